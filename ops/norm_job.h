// SPDX-License-Identifier: MIT
// Private to the normalisation ops: one play's work, and the three ways to do it.
#ifndef REEL_OPS_NORM_JOB_H
#define REEL_OPS_NORM_JOB_H

#include "norm_primitive.h"

#include <reel/ops/kernels/norm.h>

#include <math.h>

#define NORM_SHORT_RUN 32 /* elements of space worth a vector loop                    */
#define NORM_CHUNK 32768  /* elements of a chunk of parallel work: less is one thread's */

static inline int64_t norm_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t norm_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t norm_max(int64_t a, int64_t b) { return a > b ? a : b; }

static inline double norm_get(const void *x, reel_dtype dtype, int64_t i)
{
    return dtype == REEL_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static inline void norm_put(void *x, reel_dtype dtype, int64_t i, double value)
{
    if (dtype == REEL_F32)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

static inline const char *norm_at(const void *x, reel_dtype dtype, int64_t i)
{
    return (const char *)x + i * (int64_t)reel_dtype_size(dtype);
}
static inline char *norm_out_at(void *x, reel_dtype dtype, int64_t i)
{
    return (char *)x + i * (int64_t)reel_dtype_size(dtype);
}

/* What all ways share. Pointers are of `dtype`; those of what is absent or not wanted are NULL. */
typedef struct norm_job {
    const reel_play *play;
    const reel_norm_fns *fns;
    norm_geometry geometry;
    reel_dtype dtype;
    double eps;
    const void *gy, *x, *weight, *bias;
    const void *mean, *var; /* given: running statistics, or those saved for the backward pass */
    void *y, *mean_out, *var_out;
    void *gx, *gw, *gb;
    int64_t chunk, segment, segments;
    reel_moments *moments;
    double *sums;
    void *column[4]; /* mean and three coefficients by column */
} norm_job;

static inline double norm_rstd(const norm_job *job, double var) { return 1 / sqrt(var + job->eps); }

/* a, b and c of gx = a w gy + b (x - mean) + c from S = sum w gy, Q = sum w gy (x - mean) over what one mean stands
 * for. */
static inline reel_moments norm_coefficients(const norm_job *job, double rstd, double s, double q)
{
    double count = (double)reel_norm_count(&job->geometry);
    return (reel_moments) { rstd, -rstd * rstd * rstd * q / count, job->geometry.center ? -rstd * s / count : 0 };
}

/* Each mean belongs to one contiguous row: moments and result while the row is in the cache. */
bool reel_norm_rows_play(norm_job *job);
bool reel_norm_rows_backward_play(norm_job *job);
/* Space is long, and the mean belongs to a batch or a row too long for the cache: moments of segments, merged in order,
 * then a second pass. */
bool reel_norm_runs_play(norm_job *job);
bool reel_norm_runs_backward_play(norm_job *job);
/* A batch with little or no space: the same over the columns of the matrix [n, g * s]. */
bool reel_norm_columns_play(norm_job *job);
bool reel_norm_columns_backward_play(norm_job *job);

#endif
