// SPDX-License-Identifier: MIT
// The gradient check itself: it passes right derivatives, and finds wrong ones where they are.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <string.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(gradcheck, .init = begin, .fini = end);

// y = x^3 with a rule that is wrong in a way `attrs` says.
enum { RIGHT, WRONG_SCALE, WRONG_AT_ONE, WRONG_SECOND };

static bool play_cube(const reel_play *play)
{
    for (int64_t i = 0; i < play->out[0].numel; i++) {
        if (play->out[0].dtype == REEL_F32) {
            float x = ((const float *)play->in[0].data)[i];
            ((float *)play->out[0].data)[i] = x * x * x;
        } else {
            double x = ((const double *)play->in[0].data)[i];
            ((double *)play->out[0].data)[i] = x * x * x;
        }
    }
    return true;
}

static bool vjp_cube(reel_vjp *vjp)
{
    int fault = *(const int *)vjp->attrs;
    reel_tensor *x = reel_vjp_input(vjp, 0);
    reel_tensor *slope = reel_mul_scalar(reel_square(x), fault == WRONG_SCALE ? 2.9 : 3);
    if (fault == WRONG_AT_ONE) { // one entry, the third
        reel_tensor *third = reel_one_hot(reel_longs(vjp->ctx, REEL_SCALAR, (int64_t[]) { 2 }), reel_numel(x));
        slope = reel_add(slope, reel_reshape(reel_cast(third, reel_dtype_of(x)), reel_shape_of(x)));
    }
    if (fault == WRONG_SECOND) slope = reel_detach(slope);
    vjp->grad[0] = reel_mul(vjp->cot[0], slope);
    return vjp->grad[0] != NULL;
}

static const reel_op cube_op = {
    .name = "cube", .infer = reel_infer_same, .play = play_cube, .vjp = vjp_cube, .attrs_size = sizeof(int)
};

static int cube(void *user, reel_ctx *c, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)c, (void)n_in, (void)capacity;
    out[0] = reel_apply(&cube_op, &in[0], 1, user, NULL);
    return out[0] ? 1 : -1;
}

static bool check_cube(int fault, const reel_gradcheck_opts *opts, reel_gradcheck_report *report)
{
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 3), (double[]) { -1.5, -0.4, 0, 0.3, 1, 2 });
    return reel_gradcheck(cube, &fault, &x, 1, opts, report);
}

Test(gradcheck, passes_right_derivatives_of_four_orders)
{
    reel_gradcheck_report r;
    cr_assert(check_cube(RIGHT, &(reel_gradcheck_opts) { .order = 4 }, &r), "%s", r.message);
    cr_assert(r.passed && r.error < 1e-8 && r.forward_error < 1e-12);
    cr_assert_gt(r.checked, 6 * 4);
}

Test(gradcheck, names_the_worst_entry_with_both_values)
{
    reel_gradcheck_report r;
    cr_assert_not(check_cube(WRONG_AT_ONE, NULL, &r));
    cr_assert(r.order == 1 && r.input == 0 && r.ndim == 2 && r.index[0] == 0 && r.index[1] == 2, "%s", r.message);
    cr_assert(fabs(r.numeric) < 1e-9 && fabs(r.analytic) > 0.01, "%s", r.message);
    cr_assert(strstr(r.message, "input 0 at [0, 2]"), "%s", r.message);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
}

Test(gradcheck, finds_a_wrong_scale)
{
    reel_gradcheck_report r;
    cr_assert_not(check_cube(WRONG_SCALE, NULL, &r));
    cr_assert_float_eq(r.analytic / r.numeric, 2.9 / 3, 1e-6);
}

Test(gradcheck, finds_a_wrong_second_derivative_behind_a_right_first)
{
    reel_gradcheck_report r;
    cr_assert(check_cube(WRONG_SECOND, NULL, &r), "%s", r.message);
    cr_assert_not(check_cube(WRONG_SECOND, &(reel_gradcheck_opts) { .order = 2 }, &r));
    cr_assert_eq(r.order, 2);
}

Test(gradcheck, checks_float32_derivatives_with_their_own_tolerance)
{
    reel_gradcheck_report r;
    cr_assert(check_cube(RIGHT, &(reel_gradcheck_opts) { .order = 2, .float32 = true }, &r), "%s", r.message);
    cr_assert_gt(r.error, 1e-9, "these cannot be float32's derivatives");
    cr_assert_not(check_cube(WRONG_SCALE, &(reel_gradcheck_opts) { .float32 = true }, &r));
}

Test(gradcheck, leaves_fixed_inputs_alone)
{
    reel_gradcheck_report r;
    cr_assert_not(check_cube(RIGHT, &(reel_gradcheck_opts) { .fixed = 1 }, &r));
    cr_assert(strstr(r.message, "nothing to differentiate by"), "%s", r.message);
}

static int several(void *user, reel_ctx *c, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)c, (void)n_in, (void)capacity;
    int *seen = user;
    *seen = reel_dtype_of(in[1]);
    out[0] = reel_index_select(in[0], in[1], 0);
    out[1] = reel_argmax(in[0], NULL);
    out[2] = reel_mul(in[0], in[2]);
    return 3;
}

Test(gradcheck, takes_several_inputs_and_outputs_of_any_dtype)
{
    int seen = -1;
    reel_tensor *in[3] = { reel_floats(ctx, REEL_SHAPE(3, 2), (float[]) { 1, 2, 3, 4, 5, 6 }),
                           reel_longs(ctx, REEL_SHAPE(4), (int64_t[]) { 0, 2, 2, 1 }),
                           reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 0.5, -2 }) };
    reel_gradcheck_report r;
    cr_assert(reel_gradcheck(several, &seen, in, 3, &(reel_gradcheck_opts) { .order = 3 }, &r), "%s", r.message);
    cr_assert_eq(seen, REEL_I64);
}

static int kinked(void *user, reel_ctx *c, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)user, (void)c, (void)n_in, (void)capacity;
    out[0] = reel_abs(in[0]);
    return 1;
}

Test(gradcheck, sees_past_a_kink_near_an_entry)
{
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 3e-5, -1e-4, 0.5 });
    reel_gradcheck_report r;
    cr_assert(reel_gradcheck(kinked, NULL, &x, 1, NULL, &r), "%s", r.message);
}

static int failing(void *user, reel_ctx *c, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)user, (void)n_in, (void)capacity;
    out[0] = reel_fail(c, REEL_ERROR_USER, "the model gave up");
    (void)in;
    return 1;
}

Test(gradcheck, tells_why_a_function_failed)
{
    reel_tensor *x = reel_scalar(ctx, REEL_F64, 1);
    reel_gradcheck_report r;
    cr_assert_not(reel_gradcheck(failing, NULL, &x, 1, NULL, &r));
    cr_assert_str_eq(r.message, "the model gave up");
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_USER);
}

Test(gradcheck, refuses_an_order_it_cannot_do)
{
    reel_gradcheck_report r;
    cr_assert_not(check_cube(RIGHT, &(reel_gradcheck_opts) { .order = 9 }, &r));
    cr_assert(strstr(r.message, "order 9"), "%s", r.message);
}

Test(gradcheck, draws_entries_of_large_inputs)
{
    reel_tensor *x = reel_randn(ctx, NULL, REEL_SHAPE(40, 50), REEL_F64, 0, 1);
    int fault = RIGHT;
    reel_gradcheck_report r;
    cr_assert(reel_gradcheck(cube, &fault, &x, 1, &(reel_gradcheck_opts) { .max_entries = 10 }, &r), "%s", r.message);
    cr_assert_eq(r.checked, 10);
}

Test(gradcheck, leaves_no_tensors_behind)
{
    reel_gradcheck_report r;
    check_cube(RIGHT, &(reel_gradcheck_opts) { .order = 2 }, &r);
    size_t before = reel_ctx_memory(ctx).tensors_now;
    int64_t nodes = reel_ctx_memory(ctx).nodes;
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(4), REEL_F64);
    int fault = RIGHT;
    reel_gradcheck(cube, &fault, &x, 1, &(reel_gradcheck_opts) { .order = 3 }, &r);
    reel_free(x);
    cr_assert_leq(reel_ctx_memory(ctx).tensors_now, before + 64);
    cr_assert_leq(reel_ctx_memory(ctx).nodes, nodes + 1);
}
