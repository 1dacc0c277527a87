// SPDX-License-Identifier: MIT
// FFTW's plans for complex transforms, kept in a context until it goes. Not installed.
#ifndef REEL_OPS_FFTW_PLANS_H
#define REEL_OPS_FFTW_PLANS_H

#include <reel/core/dtype.h>
#include <reel/core/exec.h>

/* `count` transforms out of place over n points, one behind the other, unscaled, exponent sign * 2 pi i k t / n. */
typedef struct reel_fftw_shape {
    reel_dtype dtype;
    int sign;
    int64_t n, count;
} reel_fftw_shape;

/* The context's plan of that shape; NULL when memory is short. Plans are estimated, not measured, so that they, and
 * with them the bits of results, are the same in every run. Outside of parallel regions. */
const void *reel_fftw_plan(const reel_exec *exec, const reel_fftw_shape *shape);

/* from -> to, both 16-byte aligned. Threads may execute one plan at once. */
void reel_fftw_execute(const void *plan, void *from, void *to);

#endif
