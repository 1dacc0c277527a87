// SPDX-License-Identifier: MIT
// Normalisation kernels: statistics, their application, and the sums and combinations of the backward pass.
#ifndef REEL_OPS_KERNELS_NORM_H
#define REEL_OPS_KERNELS_NORM_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* Mean and sum of squared deviations from it; `m2` is the plain sum of squares where the mean is not taken. */
typedef struct reel_moments {
    double count, mean, m2;
} reel_moments;

/* Two sets of values as one (Chan, Golub & LeVeque 1979). */
static inline void reel_moments_add(reel_moments *a, const reel_moments *b, bool center)
{
    double count = a->count + b->count;
    if (b->count == 0) return;
    if (center) {
        double delta = b->mean - a->mean;
        a->mean += delta * (b->count / count);
        a->m2 += delta * delta * (a->count * b->count / count);
    }
    a->m2 += b->m2;
    a->count = count;
}

/* The whole of layer_norm and its like: rows of `len` = c * s contiguous elements, each normalised by its own moments.
 * Row i belongs to group i % g, whose weights are the c (s > 1: one for each run of s) from (i % g) * c on. */
typedef struct reel_norm_rows {
    int64_t g, c, s;
    const void *x, *weight, *bias; /* weight and bias may be NULL */
    void *y, *mean, *var;          /* mean, var: one a row        */
    double eps;
    bool center;
} reel_norm_rows;

/* Its backward pass for s = 1. gw and gb are [g * c] sums over the rows of one call, added to what they hold. */
typedef struct reel_norm_rows_backward {
    int64_t g, c;
    const void *gy, *x, *weight, *mean, *var;
    void *gx;      /* NULL: not wanted */
    void *gw, *gb; /* NULL: not wanted */
    double eps;
    bool center;
} reel_norm_rows_backward;

/* Pointers are to T = float or double. A "run" is contiguous; "columns" are the columns of a row-major block of `rows`
 * rows, each `pitch` elements from the next. */
typedef struct reel_norm_fns {
    void (*rows)(const reel_norm_rows *job, int64_t first, int64_t end);
    void (*rows_backward)(const reel_norm_rows_backward *job, int64_t first, int64_t end);

    void (*run_moments)(int64_t n, const void *x, bool center, reel_moments *moments);
    /* y = (x - mean) * scale + shift */
    void (*run_apply)(int64_t n, const void *x, double mean, double scale, double shift, void *y);
    /* sums[0] = sum gy, sums[1] = sum gy (x - mean) */
    void (*run_sums)(int64_t n, const void *gy, const void *x, double mean, double sums[2]);
    /* gx = a gy + b (x - mean) + c */
    void (*run_combine)(int64_t n, const void *gy, const void *x, double mean, double a, double b, double c, void *gx);

    void (*column_moments)(int64_t rows, int64_t cols, int64_t pitch, const void *x, reel_moments *moments);
    /* y = (x - mean) * scale + shift with T mean[cols] ... */
    void (*column_apply)(int64_t rows, int64_t cols, int64_t pitch, const void *x, const void *mean, const void *scale,
                         const void *shift, void *y);
    /* sums[2 j], sums[2 j + 1] as run_sums */
    void (*column_sums)(int64_t rows, int64_t cols, int64_t pitch, const void *gy, const void *x, const void *mean,
                        double *sums);
    void (*column_combine)(int64_t rows, int64_t cols, int64_t pitch, const void *gy, const void *x, const void *mean,
                           const void *a, const void *b, const void *c, void *gx);

    /* y[c][i] = sum of x[j][i] for j in [c - before, c + after] cut to [0, channels) */
    void (*window_sum)(int64_t channels, int64_t inner, int64_t before, int64_t after, const void *x, void *y);
} reel_norm_fns;

REEL_DECLARE_LARGE_KERNELS(norm, reel_norm_fns, reel_norm_fns_of)

#endif
