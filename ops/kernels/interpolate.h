// SPDX-License-Identifier: MIT
// Resizing kernels: each axis has some taps an output, mostly one, two or four, and the axes are independent.
#ifndef REEL_OPS_KERNELS_INTERPOLATE_H
#define REEL_OPS_KERNELS_INTERPOLATE_H

#include <reel/ops/kernels/dispatch.h>

/* Output o of the axis is the sum over k < taps of weight[o * taps + k] times the input at index[o * taps + k]. */
typedef struct reel_resize_axis {
    int64_t in, out;
    int64_t taps;
    const int64_t *index;
    const void *weight; /* of the kernel's dtype */
} reel_resize_axis;

typedef struct reel_resize {
    reel_resize_axis axis[3]; /* depth, height, width; a missing one is of size 1 with one tap of weight 1 */
} reel_resize;

/* `row` is scratch for the width of x. */
typedef struct reel_interpolate_kernels {
    /* Rows [begin, end) of the oD * oH of a plane y, from the plane x. */
    void (*resize_f32)(const reel_resize *r, const float *x, int64_t begin, int64_t end, float *y, float *row);
    void (*resize_f64)(const reel_resize *r, const double *x, int64_t begin, int64_t end, double *y, double *row);
    /* The plane x = the adjoint of that on the plane y. */
    void (*adjoint_f32)(const reel_resize *r, const float *y, float *x, float *row);
    void (*adjoint_f64)(const reel_resize *r, const double *y, double *x, double *row);
} reel_interpolate_kernels;

REEL_DECLARE_KERNELS(interpolate)

#endif
