// SPDX-License-Identifier: MIT
// What takes part in differentiation, and the gradients that leaves hold.
#include <reel/core/internal.h>
#include <reel/core/operands.h>

reel_tensor *reel_set_requires_grad(reel_tensor *x, bool on)
{
    if (!x) return NULL;
    const char *fault = reel_tensor_fault(x, x->ctx);
    if (fault) return reel_fail(x->ctx, REEL_ERROR_CONTEXT, "set_requires_grad: the tensor %s", fault);
    if (!on && !x->requires_grad) return x;
    if (x->producer && !x->requires_grad && reel_eval(x)) reel_tensor_cut(x);
    if (x->ctx->error) return NULL;
    if (x->producer)
        return reel_fail(x->ctx, REEL_ERROR_VALUE, "set_requires_grad: only a leaf can be marked, and this is the result of '%s'",
                         x->producer->op->name);
    if (on && !reel_dtype_is_float((reel_dtype)x->dtype))
        return reel_fail(x->ctx, REEL_ERROR_DTYPE, "set_requires_grad: only float32 and float64 have gradients, not %s",
                         reel_dtype_name((reel_dtype)x->dtype));
    x->requires_grad = on;
    return x;
}

bool reel_requires_grad(const reel_tensor *x) { return x && x->requires_grad; }
bool reel_is_leaf(const reel_tensor *x) { return x && (!x->producer || !x->requires_grad); }
bool reel_grad_enabled(const reel_ctx *ctx) { return ctx && ctx->no_grad == 0; }

reel_extra *reel_tensor_extra(reel_tensor *x)
{
    if (!x->extra && (x->extra = reel_small_alloc(x->ctx, sizeof *x->extra))) *x->extra = (reel_extra){ 0 };
    return x->extra;
}

reel_tensor *reel_grad_of(const reel_tensor *leaf) { return leaf && leaf->extra ? leaf->extra->grad : NULL; }

static void put_grad(reel_tensor *leaf, reel_tensor *grad)
{
    reel_extra *extra = leaf->extra;
    reel_tensor *before = extra->grad;
    if (grad) {
        reel_tensor_ref(grad);
        grad->is_grad = true;
        if (!extra->dirty) {
            extra->dirty = true;
            extra->next_dirty = leaf->ctx->dirty;
            leaf->ctx->dirty = leaf;
        }
    }
    extra->grad = grad;
    if (!before) return;
    if (before != grad) before->is_grad = false;
    reel_tensor_unref(before);
}

void reel_clear_grad(reel_tensor *leaf)
{
    if (leaf && leaf->extra) put_grad(leaf, NULL);
}

bool reel_set_grad(reel_tensor *leaf, reel_tensor *grad)
{
    if (!leaf || !reel_given(leaf->ctx, "set_grad", "gradient", grad)) return false;
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (leaf->ctx != grad->ctx || leaf->dtype != grad->dtype || !reel_shape_equal(reel_shape_of(leaf), reel_shape_of(grad)))
        return reel_fail(leaf->ctx, REEL_ERROR_SHAPE, "set_grad: the tensor is %s %s, but the gradient is %s %s",
                         reel_dtype_name((reel_dtype)leaf->dtype), reel_shape_format(reel_shape_of(leaf), a),
                         reel_dtype_name((reel_dtype)grad->dtype), reel_shape_format(reel_shape_of(grad), b)) != NULL;
    if (!reel_tensor_extra(leaf)) return false;
    put_grad(leaf, grad);
    return true;
}

bool reel_add_grad_hook(reel_tensor *x, reel_grad_hook *hook, void *user)
{
    if (!x || !reel_given(x->ctx, "add_grad_hook", "function", (const void *)(uintptr_t)hook)) return false;
    if (!reel_tensor_extra(x)) return false;
    reel_hook *added = reel_small_alloc(x->ctx, sizeof *added);
    if (!added) return false;
    *added = (reel_hook){ .call = hook, .user = user };
    reel_hook **end = &x->extra->hooks; /* in the order they were added */
    while (*end) end = &(*end)->next;
    *end = added;
    return true;
}
