// SPDX-License-Identifier: MIT
// Reverse mode: gradients of any order, what takes part in them, overwrites and versions.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void setup(void) { ctx = reel_ctx_new(NULL); }
static void teardown(void)
{
    cr_expect_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}
TestSuite(reverse, .init = setup, .fini = teardown);

static reel_tensor *variable(double value)
{
    return reel_set_requires_grad(reel_scalar(ctx, REEL_F64, value), true);
}

static void expect_error(reel_error error, const char *words)
{
    cr_assert_eq(reel_ctx_error(ctx), error, "%s", reel_ctx_error_message(ctx));
    cr_assert(strstr(reel_ctx_error_message(ctx), words), "%s", reel_ctx_error_message(ctx));
    reel_ctx_clear_error(ctx);
}

Test(reverse, gives_gradients_of_gradients_of_gradients)
{
    reel_tensor *x = variable(2), *y = reel_mul(reel_mul(x, x), reel_mul(x, x)), *g[5] = { y };
    static const double expected[] = { 16, 32, 48, 48, 24 };
    for (int order = 1; order < 5; order++) {
        cr_assert(reel_grad(&g[order - 1], 1, &x, 1, NULL, &g[order]));
        cr_assert_eq(reel_item(g[order]), expected[order], "order %d: %g", order, reel_item(g[order]));
    }
}

Test(reverse, adds_up_over_several_backward_passes)
{
    reel_tensor *x = variable(3);
    for (int i = 0; i < 3; i++) REEL_SCOPE(ctx) { cr_assert(reel_backward(reel_mul(x, x))); }
    cr_assert_eq(reel_item(reel_grad_of(x)), 18);
    reel_clear_grad(x);
    cr_assert_null(reel_grad_of(x));
}

Test(reverse, a_gradient_in_error_is_forgotten_like_any_other)
{
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2), REEL_F64), true);
    REEL_SCOPE(ctx)
    {
        reel_tensor *nowhere = reel_longs(ctx, REEL_SHAPE(1), (int64_t[]) { 7 });
        reel_backward(reel_sum(reel_index_select(x, nowhere, 0), REEL_ALL_DIMS, false));
    }
    expect_error(REEL_ERROR_VALUE, "index 7");
    cr_assert_not(reel_eval(reel_grad_of(x)));
    expect_error(REEL_ERROR_VALUE, "index 7");
    reel_clear_grad(x);
    cr_assert(reel_backward(reel_sum(x, REEL_ALL_DIMS, false)));
    cr_assert_eq(reel_data_f64(reel_grad_of(x))[1], 1);
}

Test(reverse, takes_several_outputs_inputs_and_cotangents)
{
    reel_tensor *x = variable(2), *y = variable(5);
    reel_tensor *outputs[] = { reel_mul(x, y), reel_add(x, y) }, *inputs[] = { x, y }, *grads[2];
    reel_tensor *cotangents[] = { reel_scalar(ctx, REEL_F64, 10), NULL };
    cr_assert(reel_grad(outputs, 2, inputs, 2, cotangents, grads));
    cr_assert_eq(reel_item(grads[0]), 51);
    cr_assert_eq(reel_item(grads[1]), 21);
}

Test(reverse, differentiates_by_a_value_in_the_middle)
{
    reel_tensor *x = variable(2), *m = reel_mul(x, x), *y = reel_mul(m, m), *inputs[] = { x, m }, *grads[2];
    cr_assert(reel_grad(&y, 1, inputs, 2, NULL, grads));
    cr_assert_eq(reel_item(grads[0]), 32);
    cr_assert_eq(reel_item(grads[1]), 8);
}

Test(reverse, gives_zeros_for_an_input_that_does_not_matter)
{
    reel_tensor *x = variable(2), *z = variable(7), *y = reel_mul(x, x), *g;
    cr_assert(reel_grad(&y, 1, &z, 1, NULL, &g));
    cr_assert_eq(reel_item(g), 0);
}

Test(reverse, sums_cotangents_back_over_broadcast_axes)
{
    reel_tensor *a = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(3, 1), REEL_F32), true);
    reel_tensor *b = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(4), REEL_F32), true);
    cr_assert(reel_backward(reel_sum(reel_mul(a, b), REEL_ALL_DIMS, false)));
    cr_assert(reel_shape_equal(reel_shape_of(reel_grad_of(a)), REEL_SHAPE(3, 1)));
    cr_assert_eq(reel_data_f32(reel_grad_of(a))[2], 4);
    cr_assert_eq(reel_data_f32(reel_grad_of(b))[3], 3);
}

Test(reverse, does_not_pass_detach_and_no_grad)
{
    reel_tensor *x = variable(3), *y = NULL;
    cr_assert(reel_backward(reel_mul(x, reel_detach(x))));
    cr_assert_eq(reel_item(reel_grad_of(x)), 3);
    REEL_NO_GRAD(ctx)
    {
        cr_assert_not(reel_grad_enabled(ctx));
        y = reel_mul(x, x);
    }
    cr_assert(reel_grad_enabled(ctx));
    cr_assert_not(reel_requires_grad(y));
    cr_assert_not(reel_backward(y));
    expect_error(REEL_ERROR_VALUE, "requires a gradient");
}

static reel_tensor *twice(void *user, reel_tensor *cotangent)
{
    ++*(int *)user;
    return reel_mul_scalar(cotangent, 2);
}

Test(reverse, hands_complete_cotangents_to_hooks)
{
    int calls = 0;
    reel_tensor *x = variable(3), *m = reel_mul(x, x), *y = reel_add(m, m);
    cr_assert(reel_add_grad_hook(m, twice, &calls));
    cr_assert(reel_add_grad_hook(x, twice, &calls));
    cr_assert(reel_backward(y));
    cr_assert_eq(calls, 2);
    cr_assert_eq(reel_item(reel_grad_of(x)), 2 * 2 * 2 * 6);
}

static reel_tensor *nested(void *user, reel_tensor *cotangent)
{
    reel_backward(user);
    return cotangent;
}

Test(reverse, refuses_to_run_inside_a_hook)
{
    reel_tensor *x = variable(3), *m = reel_mul(x, x);
    reel_add_grad_hook(m, nested, reel_mul(x, x));
    cr_assert_not(reel_backward(reel_add(m, m)));
    expect_error(REEL_ERROR_CONTEXT, "inside");
}

Test(reverse, wants_one_element_or_a_cotangent)
{
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(3), REEL_F64), true);
    cr_assert_not(reel_backward(reel_mul(x, x)));
    expect_error(REEL_ERROR_SHAPE, "[3]");
    cr_assert_not(reel_backward_with(reel_mul(x, x), reel_ones(ctx, REEL_SHAPE(2), REEL_F64), false));
    expect_error(REEL_ERROR_SHAPE, "cotangent");
    cr_assert(reel_backward_with(reel_mul(x, x), NULL, false));
    cr_assert_eq(reel_data_f64(reel_grad_of(x))[1], 2);
}

Test(reverse, keeps_gradients_that_can_be_differentiated_when_asked)
{
    reel_tensor *x = variable(3), *g;
    cr_assert(reel_backward_with(reel_mul(reel_mul(x, x), x), NULL, true));
    reel_tensor *first = reel_grad_of(x);
    cr_assert(reel_requires_grad(first));
    cr_assert(reel_grad(&first, 1, &x, 1, NULL, &g));
    cr_assert_eq(reel_item(g), 18);
}

Test(reverse, reads_the_value_of_its_time_around_an_overwrite)
{
    reel_tensor *x = reel_scalar(ctx, REEL_F64, 2);
    reel_tensor *before = reel_mul(x, x);
    cr_assert(reel_assign(x, reel_scalar(ctx, REEL_F64, 5)));
    reel_tensor *after = reel_mul(x, x);
    cr_assert_eq(reel_item(after), 25);
    cr_assert_eq(reel_item(before), 4);
}

/* y = v v, v a view of the parameter whose name is gone: a second backward pass reads v anew, around an overwrite. */
static void trains_through_a_view(bool eager)
{
    reel_ctx *c = reel_ctx_new(&(reel_ctx_opts) { .eager = eager });
    reel_tensor *x = reel_set_requires_grad(reel_doubles(c, REEL_SHAPE(2), (double[]) { 1, 2 }), true);
    double want[2] = { 1, 2 };
    for (int step = 0; step < 3; step++)
        REEL_SCOPE(c)
        {
            reel_tensor *view = reel_flatten(x, 0, -1), *y = reel_mul(view, view);
            reel_free(view);
            cr_assert(reel_backward(reel_sum(y, REEL_ALL_DIMS, false)));
            cr_assert(reel_eval(reel_grad_of(x)));
            cr_assert(reel_backward(reel_sum(reel_square(y), REEL_ALL_DIMS, false)));
            reel_assign(x, reel_sub(reel_detach(x), reel_mul_scalar(reel_grad_of(x), 0.01)));
            reel_clear_grad(x);
            for (int i = 0; i < 2; i++) want[i] -= 0.01 * (2 * want[i] + 4 * want[i] * want[i] * want[i]);
        }
    cr_assert_eq(reel_ctx_error(c), REEL_OK, "%s", reel_ctx_error_message(c));
    for (int i = 0; i < 2; i++) cr_assert_float_eq(reel_data_f64(x)[i], want[i], 1e-12);
    reel_ctx_free(c);
}

Test(reverse, goes_twice_through_a_view_of_a_parameter_in_training)
{
    trains_through_a_view(false);
    trains_through_a_view(true);
}

/* Values of more than 64 KiB, which are not kept for their names' sake. */
Test(reverse, does_not_mind_that_a_strided_value_is_read)
{
    enum { N = 160, M = 240 };
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(N, M), REEL_F64), true), *grad;
    double *values = malloc(N * M * sizeof *values);
    for (int i = 0; i < N * M; i++) values[i] = sin(i);
    cr_assert(reel_set_data(x, values, N * M * sizeof *values));
    reel_tensor *y = reel_mul_scalar(x, 2), *part = reel_slice(y, 1, 5, REEL_TO_END, 3);
    reel_tensor *turned = reel_transpose(part, 0, 1), *columns = reel_mul(turned, turned);
    const int64_t *strides = reel_strides_of(part);
    const double *read = reel_data_f64(part), *again = reel_data_f64(turned);
    cr_assert(read && again && strides[1] == 3 && reel_data_f64(part) == read);
    enum { K = (M - 5 + 2) / 3 };
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            cr_assert_eq(read[n * K + k], 2 * values[n * M + 5 + 3 * k]);
            cr_assert_eq(again[k * N + n], 2 * values[n * M + 5 + 3 * k]);
        }
    cr_assert(reel_grad(&columns, 1, &x, 1, NULL, &grad));
    const double *g = reel_data_f64(grad);
    cr_assert(g, "%s", reel_ctx_error_message(ctx));
    for (int n = 0; n < N; n++)
        for (int m = 0; m < M; m++)
            cr_assert_float_eq(g[n * M + m], m >= 5 && (m - 5) % 3 == 0 ? 8 * values[n * M + m] : 0, 1e-12, "%d %d", n, m);
    free(values);
}

Test(reverse, says_so_when_its_value_has_been_overwritten)
{
    reel_tensor *x = variable(2), *y = reel_mul(x, x);
    cr_assert_eq(reel_item(y), 4);
    cr_assert(reel_set_data(x, &(double){ 5 }, sizeof(double)));
    cr_assert_not(reel_backward(y));
    expect_error(REEL_ERROR_VERSION, "overwritten");
}

Test(reverse, only_leaves_are_marked_and_overwritten)
{
    reel_tensor *x = variable(2), *y = reel_mul(x, x);
    cr_assert_null(reel_set_requires_grad(y, false));
    expect_error(REEL_ERROR_VALUE, "leaf");
    cr_assert_not(reel_assign(y, x));
    expect_error(REEL_ERROR_VALUE, "leaf");
    cr_assert_null(reel_set_requires_grad(reel_longs(ctx, REEL_SHAPE(1), (int64_t[]){ 1 }), true));
    expect_error(REEL_ERROR_DTYPE, "int64");
    static const float constant[2] = { 1, 2 };
    cr_assert_not(reel_assign(reel_borrow(ctx, REEL_SHAPE(2), REEL_F32, constant), reel_zeros(ctx, REEL_SHAPE(2), REEL_F32)));
    expect_error(REEL_ERROR_VALUE, "borrow");
}

Test(reverse, a_computed_constant_may_become_a_leaf)
{
    reel_tensor *w = reel_mul_scalar(reel_randn(ctx, NULL, REEL_SHAPE(5), REEL_F32, 0, 1), 0.1);
    cr_assert_not_null(reel_set_requires_grad(w, true));
    cr_assert(reel_is_leaf(w));
    cr_assert(reel_backward(reel_sum(w, REEL_ALL_DIMS, false)));
    cr_assert_eq(reel_data_f32(reel_grad_of(w))[4], 1);
    cr_assert(reel_assign(w, reel_zeros_like(w)));
    cr_assert_eq(reel_data_f32(w)[0], 0);
}

/* A user's own op, through the public descriptor. */

static bool play_cube(const reel_play *play)
{
    const double *x = play->in[0].data;
    double *y = play->out[0].data;
    for (int64_t i = 0; i < play->out[0].numel; i++) y[i] = x[i] * x[i] * x[i];
    return true;
}

static bool vjp_cube(reel_vjp *vjp)
{
    reel_tensor *x = reel_vjp_input(vjp, 0);
    vjp->grad[0] = reel_mul(vjp->cot[0], reel_mul_scalar(reel_mul(x, x), 3));
    return true;
}

static const reel_op op_cube = { .name = "cube", .infer = reel_infer_same, .play = play_cube, .vjp = vjp_cube };

Test(reverse, knows_a_users_own_op)
{
    reel_tensor *x = variable(2), *y = reel_apply(&op_cube, &x, 1, NULL, NULL), *g, *h;
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
    cr_assert(reel_grad(&g, 1, &x, 1, NULL, &h));
    cr_assert_eq(reel_item(y), 8);
    cr_assert_eq(reel_item(g), 12);
    cr_assert_eq(reel_item(h), 12);
}

static bool vjp_of_nothing_that_fits(reel_vjp *vjp)
{
    vjp->grad[0] = reel_zeros(vjp->ctx, REEL_SHAPE(3), REEL_F64);
    return true;
}

static bool infer_nine(reel_infer *infer)
{
    infer->n_out = 9;
    return true;
}

Test(reverse, tells_what_is_wrong_with_a_users_own_op)
{
    static const reel_op wrong = {
        .name = "wrong", .infer = reel_infer_same, .play = play_cube, .vjp = vjp_of_nothing_that_fits
    };
    static const reel_op nine = { .name = "nine", .infer = infer_nine, .play = play_cube };
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2), REEL_F64), true), *g;
    reel_tensor *y = reel_apply(&wrong, &x, 1, NULL, NULL);
    cr_assert_not(reel_grad(&y, 1, &x, 1, NULL, &g));
    cr_assert_str_eq(reel_ctx_error_message(ctx), "wrong: the rule gave a cotangent of [3] for input 0, which is [2]");
    reel_ctx_clear_error(ctx);
    cr_assert_null(reel_apply(&nine, &x, 1, NULL, NULL));
    cr_assert_str_eq(reel_ctx_error_message(ctx), "nine: 9 outputs; an op has at most 4");
    reel_ctx_clear_error(ctx);
}

Test(reverse, does_not_mind_a_chain_of_ten_thousand)
{
    reel_tensor *x = variable(1), *y = x;
    for (int i = 0; i < 10000; i++) y = reel_mul_scalar(y, 1.0001);
    cr_assert(reel_backward(y));
    cr_assert_float_eq(reel_item(reel_grad_of(x)), pow(1.0001, 10000), 1e-9);
}

Test(reverse, gradients_with_a_history_are_freed_with_their_leaves)
{
    size_t before = 0;
    for (int i = 0; i < 5; i++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(100), REEL_F64), true);
            reel_tensor *y = reel_sum(reel_mul(reel_exp(x), x), REEL_ALL_DIMS, false);
            cr_assert(reel_backward_with(y, NULL, true));
            cr_assert(reel_eval(reel_grad_of(x)));
        }
        if (i == 0) before = reel_ctx_memory(ctx).tensors_now;
        cr_assert_eq(reel_ctx_memory(ctx).tensors_now, before);
        cr_assert_eq(reel_ctx_memory(ctx).nodes, 0);
    }
    cr_assert_eq(before, 0);
}
