// SPDX-License-Identifier: MIT
// Gradient clipping between reel_backward and a step.
#ifndef REEL_OPTIM_CLIP_H
#define REEL_OPTIM_CLIP_H

#include <reel/core/autograd.h>
#include <reel/core/named.h>

REEL_BEGIN

/* Scales all gradients by min(1, max_norm / (total + 1e-6)), where total is the norm of all of them as one vector:
 * norm_type 0 means 2, INFINITY the largest magnitude. Returns the total norm before clipping (a scalar, recorded like
 * any op). Parameters without a gradient are passed over. */
REEL_API reel_tensor *reel_clip_grad_norm(reel_params params, double max_norm, double norm_type);

/* Clamps every gradient's elements to [-value, value]. */
REEL_API bool reel_clip_grad_value(reel_params params, double value);

REEL_END

#endif
