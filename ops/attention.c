// SPDX-License-Identifier: MIT
// Scaled dot-product attention, composed of matrix products and a softmax.
#include <reel/ops/attention.h>

#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/dropout.h>
#include <reel/ops/matmul.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>
#include <reel/ops/softmax.h>
#include <reel/ops/table.h>

#include <math.h>

static const char op[] = "scaled_dot_product_attention";

static bool check(reel_tensor *query, reel_tensor *key, reel_tensor *value, reel_tensor *mask, bool is_causal)
{
    if (!REEL_OPERANDS(op, query, key, value)) return false;
    reel_ctx *ctx = reel_ctx_of(query);
    char q[REEL_SHAPE_TEXT], k[REEL_SHAPE_TEXT], v[REEL_SHAPE_TEXT];
    reel_shape_format(reel_shape_of(query), q);
    reel_shape_format(reel_shape_of(key), k);
    reel_shape_format(reel_shape_of(value), v);
    if (reel_ndim(query) < 2 || reel_ndim(key) < 2 || reel_ndim(value) < 2 ||
        reel_size(query, -1) != reel_size(key, -1) || reel_size(key, -2) != reel_size(value, -2))
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "%s: query %s, key %s and value %s must be [..., L, D], [..., S, D] and [..., S, E]", op, q, k,
                         v) != NULL;
    if (!reel_dtype_is_float(reel_dtype_of(query)) || reel_dtype_of(query) != reel_dtype_of(key) ||
        reel_dtype_of(query) != reel_dtype_of(value))
        return reel_fail(ctx, REEL_ERROR_DTYPE, "%s: query, key and value must be of one floating-point dtype", op) !=
               NULL;
    if (mask && is_causal)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a mask and is_causal do not go together", op) != NULL;
    if (!mask) return true;
    for (int axis = 1; axis <= 2 && axis <= reel_ndim(mask); axis++) {
        int64_t has = reel_size(mask, -axis), wants = axis == 1 ? reel_size(key, -2) : reel_size(query, -2);
        if (has != 1 && has != wants)
            return reel_fail(ctx, REEL_ERROR_SHAPE,
                             "%s: mask %s does not broadcast to [..., %lld, %lld] of query %s and key %s", op,
                             reel_shape_format(reel_shape_of(mask), v), (long long)reel_size(query, -2),
                             (long long)reel_size(key, -2), q, k) != NULL;
    }
    return true;
}

/* [L, S], true above the diagonal: keys that lie behind a query. */
static reel_tensor *behind(reel_tensor *query, reel_tensor *key)
{
    reel_shape shape = REEL_SHAPE(reel_size(query, -2), reel_size(key, -2));
    return reel_ne_scalar(reel_triu(reel_ones(reel_ctx_of(query), shape, reel_dtype_of(query)), 1), 0);
}

reel_tensor *reel_scaled_dot_product_attention(reel_tensor *query, reel_tensor *key, reel_tensor *value,
                                               reel_tensor *mask, const reel_attention_opts *opts)
{
    reel_attention_opts o = opts ? *opts : (reel_attention_opts) { 0 };
    if (!check(query, key, value, mask, o.is_causal)) return NULL;
    double scale = o.scale == 0 ? 1 / sqrt((double)reel_size(query, -1)) : o.scale;
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(query))
    {
        reel_tensor *scores = reel_matmul(reel_mul_scalar(query, scale), reel_transpose(key, -2, -1));
        reel_tensor *hidden = NULL, *nothing = NULL;
        if (o.is_causal) hidden = behind(query, key);
        if (mask && reel_dtype_of(mask) == REEL_BOOL) {
            hidden = reel_logical_not(mask);
            nothing = reel_all(hidden, REEL_DIMS(-1), true);
        } else if (mask) {
            scores = reel_add(scores, mask);
        }
        if (hidden)
            scores =
                reel_where(hidden, reel_full(reel_ctx_of(query), REEL_SCALAR, reel_dtype_of(query), -INFINITY), scores);
        /* A row of -inf alone would be NaN and so would its gradient. */
        if (nothing) scores = reel_masked_fill(scores, nothing, 0);
        reel_tensor *weights = reel_softmax(scores, -1);
        if (nothing) weights = reel_masked_fill(weights, nothing, 0);
        if (o.dropout_p != 0) weights = reel_dropout(weights, o.dropout_p, true, o.generator);
        y = reel_scope_return(reel_matmul(weights, value));
    }
    return y;
}

static bool call_attention(reel_call_args *args)
{
    reel_attention_opts opts = { .is_causal = reel_args_bool(args, "is_causal"),
                                 .dropout_p = reel_args_float(args, "dropout_p"),
                                 .scale = reel_args_has(args, "scale") ? reel_args_float(args, "scale") : 0 };
    return reel_args_return(args, reel_scaled_dot_product_attention(reel_args_input(args, 0), reel_args_input(args, 1),
                                                                    reel_args_input(args, 2), reel_args_input(args, 3),
                                                                    &opts));
}

const reel_function reel_fn_scaled_dot_product_attention = {
    .name = "scaled_dot_product_attention",
    .inputs = "query key value attn_mask?",
    .attrs = "dropout_p:float=0 is_causal:bool=false scale:float=none",
    .call = call_attention,
    .formula = "softmax(query key^T scale + attn_mask) value",
    .shapes = "query: [..., L, D]; key: [..., S, D]; value: [..., S, E]; attn_mask: broadcastable to [..., L, S] -> "
              "[..., L, E]",
    .errors =
        "operands that are not of one floating dtype; a mask together with is_causal; dropout_p outside of [0, 1]",
    .orders = -1,
};
