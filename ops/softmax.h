// SPDX-License-Identifier: MIT
// The softmax family: exponentials normalised along an axis, and their logarithms.
#ifndef REEL_OPS_SOFTMAX_H
#define REEL_OPS_SOFTMAX_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* y = exp(x - max) / sum(exp(x - max)) along axis `dim` (negative: from the end). Floating point only. A line that
 * holds NaN or +inf, or -inf alone, is all NaN. */
REEL_API reel_tensor *reel_softmax(reel_tensor *x, int dim);

/* x - max - log(sum(exp(x - max))) along axis `dim`. */
REEL_API reel_tensor *reel_log_softmax(reel_tensor *x, int dim);

/* softmax of -x. */
REEL_API reel_tensor *reel_softmin(reel_tensor *x, int dim);

/* The cotangents of x, from the output y and its cotangent g, in one pass each and differentiable like any op:
 * y (g - sum(g y)) for softmax, g - exp(y) sum(g) for log_softmax. */
REEL_API reel_tensor *reel_softmax_backward(reel_tensor *g, reel_tensor *y, int dim);
REEL_API reel_tensor *reel_log_softmax_backward(reel_tensor *g, reel_tensor *y, int dim);

REEL_END

#endif
