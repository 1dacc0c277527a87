// SPDX-License-Identifier: MIT
// Windows as columns and back, plane by plane.
#ifndef REEL_OPS_KERNELS_FOLD_H
#define REEL_OPS_KERNELS_FOLD_H

#include <reel/ops/kernels/dispatch.h>

/* By axis, height and width. */
typedef struct reel_fold_plane {
    int64_t in[2], out[2]; /* the image, the windows */
    int64_t kernel[2], dilation[2], padding[2], stride[2];
} reel_fold_plane;

/* x: planes of in[0] x in[1]; y: for each plane, kernel[0] * kernel[1] rows of out[0] * out[1]. */
typedef struct reel_fold_kernels {
    void (*unfold_f32)(const reel_fold_plane *f, int64_t planes, const float *x, float *y);
    void (*unfold_f64)(const reel_fold_plane *f, int64_t planes, const double *x, double *y);
    void (*fold_f32)(const reel_fold_plane *f, int64_t planes, const float *y, float *x);
    void (*fold_f64)(const reel_fold_plane *f, int64_t planes, const double *y, double *x);
} reel_fold_kernels;

REEL_DECLARE_KERNELS(fold)

#endif
