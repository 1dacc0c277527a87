// SPDX-License-Identifier: MIT
// Gradient clipping between reel_backward and a step.
#include <math.h>
#include <reel/core/operands.h>
#include <reel/ops/join.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>
#include <reel/optim/clip.h>
#include <stdlib.h>

/* The parameters' context; NULL when it is in error, or one of them is missing. */
static reel_ctx *context_of(const char *op, reel_params params)
{
    return params.at && reel_operands(op, params.at, params.count) ? reel_ctx_of(params.at[0]) : NULL;
}

/* Sum of |g|^p, or the largest |g|, as a scalar. */
static reel_tensor *measure(reel_tensor *g, double p)
{
    if (isinf(p))
        return reel_numel(g) ? reel_amax(reel_abs(g), REEL_ALL_DIMS, false) : reel_sum(g, REEL_ALL_DIMS, false);
    if (p == 2) return reel_sum(reel_square(g), REEL_ALL_DIMS, false);
    if (p == 1) return reel_sum(reel_abs(g), REEL_ALL_DIMS, false);
    return reel_sum(reel_pow_scalar(reel_abs(g), p), REEL_ALL_DIMS, false);
}

/* The norm of all gradients, added in the order of the parameters; NULL without a gradient. */
static reel_tensor *total_norm(reel_params params, double p)
{
    reel_tensor *total = NULL;
    for (int i = 0; i < params.count; i++) {
        reel_tensor *g = reel_grad_of(params.at[i]);
        if (!g) continue;
        reel_tensor *part = measure(g, p);
        total = !total ? part : isinf(p) ? reel_maximum(total, part) : reel_add(total, part);
        if (!total) return NULL;
    }
    if (!total || isinf(p) || p == 1) return total;
    return p == 2 ? reel_sqrt(total) : reel_pow_scalar(total, 1 / p);
}

reel_tensor *reel_clip_grad_norm(reel_params params, double max_norm, double norm_type)
{
    reel_ctx *ctx = context_of("clip_grad_norm", params);
    if (!ctx) return NULL;
    double p = norm_type == 0 ? 2 : norm_type;
    if (!(max_norm >= 0) || !(p > 0)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "clip_grad_norm: max_norm %g or norm_type %g is no positive number",
                         max_norm, norm_type);
    }
    reel_tensor *total = NULL;
    REEL_NO_GRAD(ctx)
    {
        REEL_COMPOSITE(ctx)
        {
            total = total_norm(params, p);
            reel_tensor *scale = NULL;
            if (total) {
                reel_tensor *inverse = reel_reciprocal(reel_add_scalar(total, 1e-6));
                scale = reel_minimum_scalar(reel_mul_scalar(inverse, max_norm), 1);
            }
            bool ok = scale != NULL;
            for (int i = 0; ok && i < params.count; i++) {
                reel_tensor *g = reel_grad_of(params.at[i]);
                if (g) ok = reel_set_grad(params.at[i], reel_mul(g, scale));
            }
            if (!total && !reel_ctx_error(ctx)) total = reel_scalar(ctx, reel_dtype_of(params.at[0]), 0);
            total = reel_scope_return(total);
        }
    }
    return total;
}

bool reel_clip_grad_value(reel_params params, double value)
{
    reel_ctx *ctx = context_of("clip_grad_value", params);
    if (!ctx) return false;
    if (!(value >= 0)) return reel_fail(ctx, REEL_ERROR_VALUE, "clip_grad_value: %g is no positive number", value);
    bool ok = true;
    REEL_NO_GRAD(ctx)
    {
        REEL_COMPOSITE(ctx)
        {
            for (int i = 0; ok && i < params.count; i++) {
                reel_tensor *g = reel_grad_of(params.at[i]);
                if (g) ok = reel_set_grad(params.at[i], reel_clamp(g, -value, value));
            }
        }
    }
    return ok;
}
