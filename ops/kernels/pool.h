// SPDX-License-Identifier: MIT
// Pooling kernels: each takes whole planes [D, H, W] (1-D and 2-D pools have leading ones).
#ifndef REEL_OPS_KERNELS_POOL_H
#define REEL_OPS_KERNELS_POOL_H

#include <reel/ops/kernels/dispatch.h>

/* Window o of an axis: the input cells start + k * step for lo <= k < hi. `start` may lie outside of the input, the
 * cells never do. `count` is the axis' factor of an average's divisor. */
typedef struct reel_pool_span {
    int64_t start, lo, hi;
    double count;
} reel_pool_span;

typedef struct reel_pool_axis {
    int64_t in, out;
    int64_t kernel; /* every k is below it                                                        */
    int64_t step;
    int64_t stride; /* span[o].start = span[0].start + o * stride; 0 when windows are not regular */
    double count;   /* of every span; 0 when they differ                                          */
    const reel_pool_span *span;
} reel_pool_axis;

typedef struct reel_pool_plane {
    reel_pool_axis axis[3];
    bool pairs; /* windows of 1 x 2 x 2, stride 2, none clipped */
    bool wide;  /* taps are int32 instead of uint8              */
} reel_pool_plane;

/* Where a maximum stood, as a tap: (kd * kernelH + kh) * kernelW + kw. In all of these x is [planes, D, H, W], y and
 * taps are [planes, oD, oH, oW]. */
typedef struct reel_pool_kernels {
    /* y = the maximum of each window, taps its place; taps may be NULL. */
    void (*max_f32)(const reel_pool_plane *g, int64_t planes, const float *x, float *y, void *taps);
    void (*max_f64)(const reel_pool_plane *g, int64_t planes, const double *x, double *y, void *taps);
    /* y = x at the taps. */
    void (*gather_f32)(const reel_pool_plane *g, int64_t planes, const float *x, const void *taps, float *y);
    void (*gather_f64)(const reel_pool_plane *g, int64_t planes, const double *x, const void *taps, double *y);
    /* x = 0, then y added to it at the taps. */
    void (*scatter_f32)(const reel_pool_plane *g, int64_t planes, const float *y, const void *taps, float *x);
    void (*scatter_f64)(const reel_pool_plane *g, int64_t planes, const double *y, const void *taps, double *x);
    /* The same of pairs in planes of points of `panel` images: x is [planes, D, H, W, panel], y and taps [planes, oD, oH, oW,
     * panel]. */
    void (*scatter_turned_f32)(const reel_pool_plane *g, int64_t planes, int64_t panel, const float *y, const uint8_t *taps,
                               float *x);
    void (*scatter_turned_f64)(const reel_pool_plane *g, int64_t planes, int64_t panel, const double *y,
                               const uint8_t *taps, double *x);
    /* y = the sum of each window over the product of its spans' counts, and the adjoint of that. `row` is scratch for
     * W. */
    void (*avg_f32)(const reel_pool_plane *g, int64_t planes, const float *x, float *y, float *row);
    void (*avg_f64)(const reel_pool_plane *g, int64_t planes, const double *x, double *y, double *row);
    void (*avg_adjoint_f32)(const reel_pool_plane *g, int64_t planes, const float *y, float *x, float *row);
    void (*avg_adjoint_f64)(const reel_pool_plane *g, int64_t planes, const double *y, double *x, double *row);
    /* indices = the taps' places, flat within a plane of x. */
    void (*indices)(const reel_pool_plane *g, int64_t planes, const void *taps, int64_t *indices);
} reel_pool_kernels;

REEL_DECLARE_KERNELS(pool)

#endif
