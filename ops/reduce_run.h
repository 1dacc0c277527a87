// SPDX-License-Identifier: MIT
// Internal: runs a reduction over any axes of a strided buffer, in fixed blocks spread over threads.
#ifndef REEL_OPS_REDUCE_RUN_H
#define REEL_OPS_REDUCE_RUN_H

#include <reel/core/op.h>
#include <reel/ops/reduce_gather.h>

/* How what was gathered becomes the result: g is the gathered number, n how many elements there were. */
typedef enum reel_finish {
    REEL_FINISH_VALUE,
    REEL_FINISH_MEAN,     /* g / n                      */
    REEL_FINISH_SHIFT,    /* g, or 0 when g is infinite */
    REEL_FINISH_LOG,      /* log(g) + aux               */
    REEL_FINISH_VAR,      /* g / max(0, n - param)      */
    REEL_FINISH_STD,      /* its root                   */
    REEL_FINISH_ROOT,     /* sqrt(g)                    */
    REEL_FINISH_POW_ROOT, /* g^(1 / param)              */
    REEL_FINISH_ANY,      /* g > 0                      */
    REEL_FINISH_ALL       /* g == n                     */
} reel_finish;

/* One gathering over the data, or two: the first makes `aux` for the second. */
typedef struct reel_reduce_how {
    reel_reduce_kind kind;
    reel_finish finish;
    bool two_passes;
    reel_reduce_kind first_kind;
    reel_finish first_finish;
    double param;
} reel_reduce_how;

/* Bits of the axes `dims` names (all of them when it names none). `bad` gets the first one that is out of range or
 * named twice, and the result is 0 then; else bad is untouched. A scalar has one axis, which is no axis: 0 and -1 are
 * allowed. */
bool reel_dims_mask(reel_dims dims, int ndim, uint32_t *mask, int *bad);

/* The shape without the axes of `mask`, or with size 1 in their place. */
reel_shape reel_reduced_shape(reel_shape shape, uint32_t mask, bool keepdim);

/* For infer: the mask, or a message that names the op and the axis. */
bool reel_infer_dims(const reel_infer *infer, reel_dims dims, uint32_t *mask);

/* Reduces input 0 of the play over the axes of `mask` into output 0. Takes any strides. */
bool reel_reduce_run(const reel_play *play, uint32_t mask, const reel_reduce_how *how);

#endif
