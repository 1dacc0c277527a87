// SPDX-License-Identifier: MIT
// Derivatives: backward, grad, and what takes part in them.
#ifndef REEL_CORE_AUTOGRAD_H
#define REEL_CORE_AUTOGRAD_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Marks a leaf (a tensor no op made) as one to differentiate by; returns it. An error on a non-leaf or an integer. */
REEL_API reel_tensor *reel_set_requires_grad(reel_tensor *x, bool on);
REEL_API bool reel_requires_grad(const reel_tensor *x);
REEL_API bool reel_is_leaf(const reel_tensor *x);

/* The same value, cut off from what it came from. */
REEL_API reel_tensor *reel_detach(reel_tensor *x);

/* false inside REEL_NO_GRAD. */
REEL_API bool reel_grad_enabled(const reel_ctx *ctx);

/* Adds d(loss)/d(leaf) to the gradient of every leaf that requires it. `loss` has one element; with
 * reel_backward_with, any shape and a cotangent of that shape. Recorded, not computed, like any op. */
REEL_API bool reel_backward(reel_tensor *loss);
REEL_API bool reel_backward_with(reel_tensor *output, reel_tensor *cotangent, bool create_graph);

/* The gradient reel_backward left at a leaf, or NULL when there is none. It belongs to the leaf. */
REEL_API reel_tensor *reel_grad_of(const reel_tensor *leaf);
REEL_API void reel_clear_grad(reel_tensor *leaf);
REEL_API bool reel_set_grad(reel_tensor *leaf, reel_tensor *grad);

/* grads[i] = sum over k of cotangents[k]^T d outputs[k] / d inputs[i], recorded so that it can be differentiated again.
 * `cotangents`, or any one of them, may be NULL: ones. Inputs may be any tensors, leaves or not. An input the outputs
 * do not depend on gets zeros. Returns false (grads all NULL) on error. `grads` may be one of the other lists. */
REEL_API bool reel_grad(reel_tensor *const *outputs, int n_outputs, reel_tensor *const *inputs, int n_inputs,
                        reel_tensor *const *cotangents, reel_tensor **grads);

/* Called with a cotangent when it is complete; what it returns (same shape and dtype; NULL: unchanged) goes on instead. */
typedef reel_tensor *reel_grad_hook(void *user, reel_tensor *cotangent);
REEL_API bool reel_add_grad_hook(reel_tensor *x, reel_grad_hook *hook, void *user);

REEL_END

#endif
