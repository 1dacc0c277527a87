// SPDX-License-Identifier: MIT
// Cumulative ops: what each element makes of itself and those before it along an axis.
#ifndef REEL_OPS_SCAN_H
#define REEL_OPS_SCAN_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* y_k = x_0 + ... + x_k along axis `dim` (negative: from the end). Integers and bool give int64. */
REEL_API reel_tensor *reel_cumsum(reel_tensor *x, int dim);

/* y_k = x_0 * ... * x_k; its gradient holds at zeros too. Integers and bool give int64. */
REEL_API reel_tensor *reel_cumprod(reel_tensor *x, int dim);

/* y_k = log(exp(x_0) + ... + exp(x_k)), stable. Floating point only. */
REEL_API reel_tensor *reel_logcumsumexp(reel_tensor *x, int dim);

/* The largest (smallest) of x_0 ... x_k, and in *indices (which may be NULL) the last index it stands at, int64. NaN
 * stays once met. The cotangent goes to the element named by the index. */
REEL_API reel_tensor *reel_cummax(reel_tensor *x, int dim, reel_tensor **indices);
REEL_API reel_tensor *reel_cummin(reel_tensor *x, int dim, reel_tensor **indices);

typedef struct reel_scan_opts {
    bool reverse;   /* from the last element to the first                                            */
    bool exclusive; /* cumsum, cumprod: without the element itself (the first is 0 or 1)             */
    bool lagged;    /* linear_scan: the coefficient is that of the element before                    */
} reel_scan_opts;

REEL_API reel_tensor *reel_cumsum_with(reel_tensor *x, int dim, const reel_scan_opts *opts);
REEL_API reel_tensor *reel_cumprod_with(reel_tensor *x, int dim, const reel_scan_opts *opts);

/* The first-order recurrence s_k = b_k + a_k s_(k-1), or with `lagged` s_k = b_k + a_(k-1) s_(k-1), s_(-1) = 0; a and b
 * have one shape and dtype, float32 or float64. The rule of every cumulative op comes down to it (Blelloch 1990). */
REEL_API reel_tensor *reel_linear_scan(reel_tensor *a, reel_tensor *b, int dim, const reel_scan_opts *opts);

REEL_END

#endif
