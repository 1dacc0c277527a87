// SPDX-License-Identifier: MIT
// Products with Jacobians and Hessians, and the whole matrices, from what has been recorded.
#ifndef REEL_OPS_DERIVATIVES_H
#define REEL_OPS_DERIVATIVES_H

#include <reel/core/autograd.h>

REEL_BEGIN

/* All results are recorded like any op's, so that they can be differentiated again. Inputs are tensors the outputs were
 * made from, leaves or not, and require a gradient; an input that an output does not depend on counts as derivative
 * zero. On error every result is NULL and the context says why. */

/* Forward mode. products[k] = sum over i of (d outputs[k] / d inputs[i]) tangents[i], of the shape of outputs[k].
 * `tangents` has the shapes of the inputs; a NULL entry is zero. By differentiating the reverse pass, which is linear
 * in its cotangents (the double-backward trick: https://j-towns.github.io/2017/06/12/A-new-trick.html). */
REEL_API bool reel_jvp(reel_tensor *const *outputs, int n_outputs, reel_tensor *const *inputs, int n_inputs,
                       reel_tensor *const *tangents, reel_tensor **products);

/* products[i] = sum over j of (d^2 y / d inputs[i] d inputs[j]) vectors[j] for a `y` of one element; a
 * NULL vector is zero. */
REEL_API bool reel_hvp(reel_tensor *y, reel_tensor *const *inputs, int n_inputs, reel_tensor *const *vectors,
                       reel_tensor **products);

/* The matrix d y / d x of shape [shape of y..., shape of x...], by as many passes as the smaller of the two has
 * elements. An error when the two shapes have more than REEL_MAX_DIMS axes together. */
REEL_API reel_tensor *reel_jacobian(reel_tensor *y, reel_tensor *x);

/* The matrix d^2 y / d x^2 of shape [shape of x..., shape of x...] for a `y` of one element. */
REEL_API reel_tensor *reel_hessian(reel_tensor *y, reel_tensor *x);

REEL_END

#endif
