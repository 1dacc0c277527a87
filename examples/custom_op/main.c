// SPDX-License-Identifier: MIT
// An op of one's own: y = x log(1 + x^2), with its rule, checked by finite differences and used in a descent.
#include <math.h>
#include <reel/reel.h>
#include <stdio.h>

// Buffers in, buffers out. Without REEL_OP_STRIDED operands arrive row-major; both float dtypes are served.
static bool play_xlog(const reel_play *play)
{
    int64_t n = play->out[0].numel;
    if (play->in[0].dtype == REEL_F64) {
        const double *x = play->in[0].data;
        double *y = play->out[0].data;
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * log1p(x[i] * x[i]);
    } else {
        const float *x = play->in[0].data;
        float *y = play->out[0].data;
        for (int64_t i = 0; i < n; i++) y[i] = x[i] * log1pf(x[i] * x[i]);
    }
    return true;
}

// The only place that refuses operands.
static bool infer_xlog(reel_infer *infer)
{
    if (!reel_dtype_is_float(reel_dtype_of(infer->in[0])))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "float32 or float64 is needed");
    return reel_infer_same(infer);
}

// dy/dx = log(1 + x^2) + 2 x^2 / (1 + x^2), in public ops: derivatives of every order follow.
static bool vjp_xlog(reel_vjp *vjp)
{
    reel_tensor *square = reel_square(reel_vjp_input(vjp, 0));
    reel_tensor *slope = reel_add(reel_log1p(square), reel_div(reel_mul_scalar(square, 2), reel_add_scalar(square, 1)));
    vjp->grad[0] = reel_mul(vjp->cot[0], slope);
    return vjp->grad[0] != NULL;
}

static const reel_op op_xlog = { .name = "xlog", .infer = infer_xlog, .play = play_xlog, .vjp = vjp_xlog };

static reel_tensor *xlog(reel_tensor *x) { return reel_apply(&op_xlog, &x, 1, NULL, NULL); }

static int checked(void *user, reel_ctx *ctx, reel_tensor *const *inputs, int n_inputs, reel_tensor **outputs, int capacity)
{
    (void)user, (void)ctx, (void)n_inputs, (void)capacity;
    outputs[0] = xlog(inputs[0]);
    return 1;
}

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(3, 4), REEL_F64, -2, 2);
    reel_gradcheck_report report;
    bool right = reel_gradcheck(checked, NULL, &x, 1, &(reel_gradcheck_opts) { .order = 3 }, &report);
    printf("gradcheck to order 3: %s, largest error %.1e\n", right ? "passed" : "FAILED", report.error);

    // The x at which x log(1 + x^2) is 2, by Newton's method on tensors.
    reel_tensor *root = reel_scalar(ctx, REEL_F64, 1);
    for (int i = 0; i < 6; i++) {
        reel_tensor *at = reel_set_requires_grad(reel_detach(root), true), *slope = NULL, *value = xlog(at);
        reel_grad(&value, 1, &at, 1, NULL, &slope);
        root = reel_sub(reel_detach(at), reel_div(reel_sub_scalar(reel_detach(value), 2), reel_detach(slope)));
        printf("x = %.12f\n", reel_item(root));
    }
    int failed = !right || reel_ctx_error(ctx) != REEL_OK;
    if (reel_ctx_error(ctx)) fprintf(stderr, "%s\n", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
    return failed;
}
