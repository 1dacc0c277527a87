// SPDX-License-Identifier: MIT
// Anomaly mode: which op made a NaN or an infinity first, and where it was recorded.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/core/call_stack.h>
#include <reel/reel.h>
#include <stdio.h>
#include <string.h>

static reel_ctx *ctx;
static void set_up(void) { ctx = reel_ctx_new(&(reel_ctx_opts) { .anomaly = true }); }
static void tear_down(void) { reel_ctx_free(ctx); }

static void expect_message(const char *part)
{
    cr_expect(strstr(reel_ctx_error_message(ctx), part), "'%s' does not say '%s'", reel_ctx_error_message(ctx), part);
}

/* This file is compiled with -g; without libdw an address stands for the line. */
static void expect_line(int line)
{
#ifdef REEL_HAVE_LIBDW
    char text[64];
    snprintf(text, sizeof text, "test_anomaly.c:%d", line);
    expect_message(text);
#elif defined(REEL_HAVE_BACKTRACE)
    (void)line;
    expect_message("+0x");
#else
    (void)line;
#endif
}

Test(anomaly, names_the_first_op_and_its_line, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 1, -1, 4 });
    reel_tensor *root = reel_sqrt(x);
    int line = __LINE__ - 1;
    reel_tensor *sum = reel_sum(reel_mul(root, root), REEL_ALL_DIMS, false);
    cr_expect_not(reel_eval(sum));
    cr_expect_eq(reel_ctx_error(ctx), REEL_ERROR_NUMERIC);
    expect_message("sqrt: element 1 of the result [3] is ");
    expect_line(line);
}

Test(anomaly, of_a_gradient_names_the_op_whose_rule_it_is, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 0, 1 }), true);
    reel_tensor *root = reel_sqrt(x);
    int line = __LINE__ - 1;
    reel_tensor *sum = reel_sum(root, REEL_ALL_DIMS, false);
    cr_expect(reel_eval(sum), "%s", reel_ctx_error_message(ctx));
    reel_backward(sum);
    cr_expect_null(reel_data_f64(reel_grad_of(x)));
    cr_expect_eq(reel_ctx_error(ctx), REEL_ERROR_NUMERIC);
    expect_message("in the gradient of sqrt");
    expect_line(line);
}

Test(anomaly, says_when_an_input_was_not_finite_before, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 1, 2, NAN });
    cr_expect_not(reel_eval(reel_neg(x)));
    expect_message("neg: element 2 of the result [3] is ");
    expect_message("(so is element 2 of input 0)");
}

Test(anomaly, tells_the_line_of_other_errors, .init = set_up, .fini = tear_down)
{
    reel_tensor *a = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F32), *b = reel_ones(ctx, REEL_SHAPE(2, 4), REEL_F32);
    cr_expect_null(reel_add(a, b));
    int line = __LINE__ - 1;
    expect_message("do not broadcast");
    expect_line(line);
}

Test(anomaly, is_off_unless_asked_for)
{
    ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(1), (double[]) { -1 });
    cr_expect(isnan(reel_item(reel_sqrt(x))));
    cr_expect_not(reel_ctx_anomaly(ctx));
    reel_ctx_set_anomaly(ctx, true);
    cr_expect_not(reel_eval(reel_sqrt(x)));
    tear_down();
}

Test(anomaly, of_ops_recorded_before_it_was_on_tells_no_line)
{
    ctx = reel_ctx_new(&(reel_ctx_opts) { .anomaly = true });
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(1), (double[]) { -1 });
    for (int i = 0; i < 20; i++) REEL_SCOPE(ctx) reel_eval(reel_neg(reel_abs(reel_square(x)))); /* memory that held traced nodes */
    reel_ctx_set_anomaly(ctx, false);
    reel_tensor *root = reel_sqrt(x);
    reel_ctx_set_anomaly(ctx, true);
    cr_expect_not(reel_eval(root));
    expect_message("sqrt: element 0");
    cr_expect_null(strstr(reel_ctx_error_message(ctx), "recorded by"));
    tear_down();
}

Test(call_stack, of_no_frames_is_nothing)
{
    char text[REEL_CALL_STACK_TEXT];
    cr_expect_str_eq(reel_call_stack_describe(&(reel_call_stack) { 0 }, text), "");
}
