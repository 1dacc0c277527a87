// SPDX-License-Identifier: MIT
// Internal: the checks every op with an index makes, of its dtype in infer and of its values in play.
#ifndef REEL_OPS_INDEX_CHECK_H
#define REEL_OPS_INDEX_CHECK_H

#include <reel/core/op.h>
#include <reel/ops/index.h>
#include <reel/ops/kernels/index.h>
#include <stdio.h>

static inline bool reel_infer_index(const reel_infer *infer, const reel_tensor *index)
{
    reel_dtype dtype = reel_dtype_of(index);
    return dtype == REEL_I64 || reel_infer_fail(infer, REEL_ERROR_DTYPE, "the index is %s; it must be int64 or int32",
                                                reel_dtype_name(dtype));
}

/* Row-major place `at` of a tensor as "[1, 2]". */
static inline char *reel_place_format(const reel_buffer *b, int64_t at, char text[REEL_SHAPE_TEXT])
{
    reel_shape place = { .ndim = b->ndim };
    for (int k = b->ndim - 1; k >= 0; k--) {
        place.dim[k] = at % b->shape[k];
        at /= b->shape[k];
    }
    return reel_shape_format(place, text);
}

/* All values of a row-major index in [0, limit), or the error of the first that is not. */
static inline bool reel_play_check_index(const reel_play *play, const reel_buffer *index, int64_t limit, int axis)
{
    const int64_t *values = index->data;
    char text[REEL_SHAPE_TEXT];
    int64_t at = reel_index_kernels_for(play->exec->isa)->check(index->numel, values, limit);
    return at < 0 || reel_play_fail(play, REEL_ERROR_VALUE,
                                    "index %lld at %s is out of range for axis %d, which has %lld elements",
                                    (long long)values[at], reel_place_format(index, at, text), axis, (long long)limit);
}

#endif
