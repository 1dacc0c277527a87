// SPDX-License-Identifier: MIT
// Kernels of grids and sampling: one image [C, D, H, W] (D = 1 in 2-D) and a run of its grid's points.
#ifndef REEL_OPS_KERNELS_SAMPLE_H
#define REEL_OPS_KERNELS_SAMPLE_H

#include <reel/ops/kernels/dispatch.h>

enum { REEL_SAMPLE_LINEAR, REEL_SAMPLE_NEAREST, REEL_SAMPLE_CUBIC };
enum { REEL_SAMPLE_ZEROS, REEL_SAMPLE_BORDER, REEL_SAMPLE_REFLECTION };

typedef struct reel_sample {
    int axes;        /* 2 or 3                                                                */
    int64_t size[3]; /* of the image along x, y, z: W, H, D; a plane has less than 2^31 cells */
    int64_t channels;
    int mode, padding; /* REEL_SAMPLE_...                                                       */
    bool align_corners;
    int order[3];  /* of the interpolation's derivative along x, y, z                       */
    int64_t block; /* channels to go through the points with at a time, by quads; 0: none   */
} reel_sample;

/* Numbers of `room` that quads need for one channel, by the image's sizes; quads are for linear sampling in 2-D. The
 * limit on the cells keeps whole numbers exact in float. */
#define REEL_QUADS_MAX_CELLS (1 << 22)
static inline int64_t reel_quads_cells(const int64_t size[3]) { return (size[0] + 18) / 16 * 16 * (size[1] + 3) + 16; }
/* The adjoint needs, besides, these once. */
static inline int64_t reel_quads_rows(const int64_t size[3]) { return 8 * ((size[0] + 18) / 16 * 16) + 32; }

/* Each grid point is `axes` numbers. Channel c of the samples of n points starts at y + c * y_channel. */
typedef struct reel_sample_kernels {
    /* y[c, p] = x[c] at point p. Room, for float32: 2 * block * cells. */
    void (*sample_f32)(const reel_sample *s, const float *x, const float *grid, int64_t n, float *y, int64_t y_channel,
                       float *room);
    void (*sample_f64)(const reel_sample *s, const double *x, const double *grid, int64_t n, double *y,
                       int64_t y_channel, double *room);
    /* x[c] = the sum of y[c, p] at point p: the adjoint. Room: 4 * block * cells + rows. */
    void (*scatter_f32)(const reel_sample *s, float *x, const float *grid, int64_t n, const float *y, int64_t y_channel,
                        float *room);
    void (*scatter_f64)(const reel_sample *s, double *x, const double *grid, int64_t n, const double *y,
                        int64_t y_channel, double *room);
    /* out[p, a] = sum over c of y[c, p] d(x[c] at p) / d grid[p, a]. Room, for float32: 2 * block * cells. */
    void (*grid_grad_f32)(const reel_sample *s, const float *x, const float *grid, int64_t n, const float *y,
                          int64_t y_channel, float *out, float *room);
    void (*grid_grad_f64)(const reel_sample *s, const double *x, const double *grid, int64_t n, const double *y,
                          int64_t y_channel, double *out, double *room);
    /* One row of an affine grid: out[i, a] = sum over b of theta[a, b] (x[i], rest)[b] for i < n; theta is axes x (axes
     * + 1), `rest` the other coordinates and the final 1. */
    void (*affine_row_f32)(int axes, const float *theta, const float *x, const float *rest, int64_t n, float *out);
    void (*affine_row_f64)(int axes, const double *theta, const double *x, const double *rest, int64_t n, double *out);
    /* Of one row: moments[a] = (sum of grid[i, a] x[i], sum of grid[i, a]). */
    void (*affine_moments_f32)(int axes, const float *grid, const float *x, int64_t n, float moments[3][2]);
    void (*affine_moments_f64)(int axes, const double *grid, const double *x, int64_t n, double moments[3][2]);
} reel_sample_kernels;

REEL_DECLARE_KERNELS(sample)

#endif
