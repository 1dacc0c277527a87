// SPDX-License-Identifier: MIT
// Convolution of one plane with one kernel: rows of a padded image times a few taps, by vectors of pixels.
#ifndef REEL_OPS_KERNELS_DEPTHWISE_H
#define REEL_OPS_KERNELS_DEPTHWISE_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* A plane of rows x cols results and the image they are made of: result (r, x) reads image[r * row_step + off[t] + x]
 * for each tap t. Whole vectors of the image are read. `square` says that the taps are 3x3, off[3 i + j] = i * row_step
 * + j. `same` says that they are taps 3 i + j at (i - 1) * row_step + j - 1, the image has the size of the plane, zeros around
 * it and at least as many columns as a vector has lanes; nothing beyond it is read then. */
typedef struct reel_depthwise {
    const void *image;
    int64_t row_step, rows, cols, taps;
    const int64_t *off;
    bool square, same;
    const void *weight; /* [taps]                                                                    */
    void *plane;        /* forward: results, act(bias + sum); weight: the cotangent                  */
    int64_t pitch;      /* of the plane's rows                                                       */
    double bias;
    bool relu;
    void *sums; /* weight: [taps] vectors, added to                                                  */
} reel_depthwise;

typedef struct reel_depthwise_kernels_of {
    int lanes;
    void (*forward)(const reel_depthwise *depthwise);
    void (*weight)(const reel_depthwise *depthwise);
    /* Rows of `from` in `step` parts, part p holding elements p, p + step ... and `part` long: to[r][p][i]. */
    void (*part_rows)(int64_t rows, int64_t length, int64_t step, int64_t part, const void *from, void *to);
} reel_depthwise_kernels_of;

typedef struct reel_depthwise_kernels {
    reel_depthwise_kernels_of f32, f64;
} reel_depthwise_kernels;

REEL_DECLARE_KERNELS(depthwise)

#endif
