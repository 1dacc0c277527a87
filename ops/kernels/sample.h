// SPDX-License-Identifier: MIT
// Kernels of sampling: one image [C, D, H, W] (D = 1 in 2-D) and a run of its grid's points.
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
    int64_t block; /* by quads: channels to go through the points with at a time; 0: not by quads */
    int64_t row;   /* points in a row of the grid                                             */
    bool stream;   /* results are more than caches hold: they may go past them                */
} reel_sample;

/* Numbers of `room` that sampling by quads needs for one channel, by the image's sizes, and once besides; quads are for
 * linear sampling in 2-D. The limit on the cells keeps whole numbers exact in float. */
#define REEL_QUADS_MAX_CELLS (1 << 22)
static inline int64_t reel_quads_pairs(const int64_t size[3]) { return 2 * ((size[0] + 9) & ~(int64_t)3) * (size[1] + 3); }
static inline int64_t reel_quads_zeros(const int64_t size[3]) { return size[0] + 64; }
/* What the derivatives need, at any sizes, and the cells of an image that is small enough to be gone through at once.
 */
#define REEL_QUADS_ROOM (96 << 10)
#define REEL_QUADS_WHOLE 4800

/* Each grid point is `axes` numbers. Channel c of the samples of n points starts at y + c * y_channel. */
typedef struct reel_sample_kernels {
    /* y[c, p] = x[c] at point p. Room, by quads: block * pairs + zeros. */
    void (*sample_f32)(const reel_sample *s, const float *x, const float *grid, int64_t n, float *y, int64_t y_channel,
                       float *room);
    void (*sample_f64)(const reel_sample *s, const double *x, const double *grid, int64_t n, double *y,
                       int64_t y_channel, double *room);
    /* Two gradients, either of which may be NULL: x_out[c] = the sum of y[c, p] at point p (the adjoint), and out[p, a]
     * = the sum over c of y[c, p] d(x[c] at p) / d grid[p, a], for which x is read. Room, by quads: ROOM + 64. */
    void (*backward_f32)(const reel_sample *s, const float *x, const float *grid, int64_t n, const float *y,
                         int64_t y_channel, float *x_out, float *out, float *room);
    void (*backward_f64)(const reel_sample *s, const double *x, const double *grid, int64_t n, const double *y,
                         int64_t y_channel, double *x_out, double *out, double *room);
} reel_sample_kernels;

REEL_DECLARE_KERNELS(sample)

#endif
