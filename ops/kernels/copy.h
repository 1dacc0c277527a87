// SPDX-License-Identifier: MIT
// Copies between strided arrays of equal shape, for elements of 1, 4 or 8 bytes.
#ifndef REEL_OPS_KERNELS_COPY_H
#define REEL_OPS_KERNELS_COPY_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* One strided copy: axes from the destination's slowest to its fastest one; strides in elements. */
typedef struct reel_copy_axes {
    int ndim;
    int64_t shape[REEL_MAX_DIMS];
    int64_t to[REEL_MAX_DIMS];   /* strides of the destination: not 0 where the size is over 1 */
    int64_t from[REEL_MAX_DIMS]; /* strides of the source: any                                 */
} reel_copy_axes;

typedef struct reel_copy_kernels {
    /* to[i . axes->to] = from[i . axes->from] for all i. `element` is 1, 4 or 8 bytes; the arrays do not overlap. */
    void (*copy)(size_t element, const reel_copy_axes *axes, void *to, const void *from);
} reel_copy_kernels;

REEL_DECLARE_KERNELS(copy)

#endif
