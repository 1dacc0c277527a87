// SPDX-License-Identifier: MIT
// Internal: strided copies and fills of whole operands over the threads of a play.
#ifndef REEL_OPS_COPY_H
#define REEL_OPS_COPY_H

#include <reel/core/op.h>

/* to[i . to_strides] = from[i . from_strides] for all i below `shape`; elements of 1, 4 or 8 bytes. Destinations of
 * different i differ. */
void reel_copy_strided(const reel_exec *exec, size_t element, int ndim, const int64_t *shape, void *to,
                       const int64_t *to_strides, const void *from, const int64_t *from_strides);

/* n contiguous elements of `dtype` become `value`. */
void reel_fill(const reel_exec *exec, reel_dtype dtype, void *to, int64_t n, double value);

/* The play of an op that copies its first input into its output, row-major. */
bool reel_play_copy(const reel_play *play);

/* Row-major strides of `shape`. */
static inline void reel_row_major(reel_shape shape, int64_t *strides)
{
    int64_t step = 1;
    for (int k = shape.ndim - 1; k >= 0; k--) {
        strides[k] = step;
        step *= shape.dim[k] > 0 ? shape.dim[k] : 1;
    }
}

#endif
