// SPDX-License-Identifier: MIT
// The cumulative kernel that needs elementary functions of vectors; the others are plain loops.
#ifndef REEL_OPS_KERNELS_SCAN_H
#define REEL_OPS_KERNELS_SCAN_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* out[j][r] = log(sum over i <= r of exp(a[j][i])) for n columns, `side` elements from one to the next, of `rows`
 * elements, `step` elements from one to the next. */
typedef void reel_logcumsumexp_fn(int64_t n, int64_t side, int64_t rows, int64_t step, const void *a, void *out);

typedef struct reel_scan_kernels {
    reel_logcumsumexp_fn *logcumsumexp[2]; /* [float32, float64] */
} reel_scan_kernels;

REEL_DECLARE_KERNELS(scan)

#endif
