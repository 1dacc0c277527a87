// SPDX-License-Identifier: MIT
// Products with Jacobians and Hessians, and the matrices themselves.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <string.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(derivatives, .init = begin, .fini = end);

static reel_tensor *variable(reel_shape shape, const double *values)
{
    return reel_set_requires_grad(reel_doubles(ctx, shape, values), true);
}

static void agree(reel_tensor *got, const double *want, int n)
{
    cr_assert_not_null(got, "%s", reel_ctx_error_message(ctx));
    cr_assert_eq(reel_numel(got), n);
    const double *x = reel_data_f64(got);
    cr_assert_not_null(x, "%s", reel_ctx_error_message(ctx));
    for (int i = 0; i < n; i++) cr_expect_float_eq(x[i], want[i], 1e-12, "[%d]: %.15g, not %.15g", i, x[i], want[i]);
}

static void has_shape(reel_tensor *x, reel_shape shape)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    cr_assert(reel_shape_equal(reel_shape_of(x), shape), "%s, not %s", reel_shape_format(reel_shape_of(x), a),
              reel_shape_format(shape, b));
}

Test(derivatives, jvp_is_the_jacobian_times_the_tangent)
{
    reel_tensor *a = variable(REEL_SHAPE(2), (double[]) { 2, 3 }), *b = variable(REEL_SCALAR, (double[]) { 5 });
    reel_tensor *y[2] = { reel_mul(reel_square(a), b), reel_sum(a, REEL_ALL_DIMS, false) };
    reel_tensor *in[2] = { a, b }, *products[2];
    reel_tensor *tangents[2] = { reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, -1 }),
                                 reel_scalar(ctx, REEL_F64, 0.5) };
    cr_assert(reel_jvp(y, 2, in, 2, tangents, products));
    agree(products[0], (double[]) { 2 * 2 * 5 + 4 * 0.5, -2 * 3 * 5 + 9 * 0.5 }, 2);
    agree(products[1], (double[]) { 0 }, 1);
}

Test(derivatives, jvp_takes_a_missing_tangent_for_zero)
{
    reel_tensor *a = variable(REEL_SCALAR, (double[]) { 2 }), *b = variable(REEL_SCALAR, (double[]) { 5 });
    reel_tensor *y = reel_mul(a, b), *in[2] = { a, b }, *product;
    reel_tensor *tangents[2] = { NULL, reel_scalar(ctx, REEL_F64, 1) };
    cr_assert(reel_jvp(&y, 1, in, 2, tangents, &product));
    agree(product, (double[]) { 2 }, 1);
    tangents[1] = NULL;
    cr_assert(reel_jvp(&y, 1, in, 2, tangents, &product));
    agree(product, (double[]) { 0 }, 1);
}

Test(derivatives, jvp_can_be_differentiated_again)
{
    reel_tensor *x = variable(REEL_SCALAR, (double[]) { 2 }), *one = reel_scalar(ctx, REEL_F64, 1);
    reel_tensor *y = reel_mul(x, reel_square(x)), *slope, *second, *third;
    cr_assert(reel_jvp(&y, 1, &x, 1, &one, &slope));
    cr_assert(reel_jvp(&slope, 1, &x, 1, &one, &second));
    cr_assert(reel_grad(&second, 1, &x, 1, NULL, &third));
    agree(slope, (double[]) { 12 }, 1);
    agree(second, (double[]) { 12 }, 1);
    agree(third, (double[]) { 6 }, 1);
}

Test(derivatives, jacobian_has_the_axes_of_y_then_those_of_x)
{
    reel_tensor *x = variable(REEL_SHAPE(3), (double[]) { 1, 2, 3 });
    reel_tensor *wide = reel_sum(reel_mul(reel_reshape(x, REEL_SHAPE(3, 1)), reel_reshape(x, REEL_SHAPE(1, 3))),
                                 REEL_DIMS(1), false); /* x_i * sum x */
    reel_tensor *j = reel_jacobian(wide, x);
    has_shape(j, REEL_SHAPE(3, 3));
    agree(j, (double[]) { 7, 1, 1, 2, 8, 2, 3, 3, 9 }, 9);
}

Test(derivatives, jacobian_is_the_same_by_rows_and_by_columns)
{
    double values[6] = { 0.3, -1, 2, 0.5, -0.2, 1.1 };
    reel_tensor *x = variable(REEL_SHAPE(2, 3), values);
    reel_tensor *y = reel_sin(x), *few = reel_sum(y, REEL_DIMS(1), false), *by_rows = reel_jacobian(few, x);
    has_shape(by_rows, REEL_SHAPE(2, 2, 3));
    double want[12] = { 0 };
    for (int i = 0; i < 6; i++) want[i / 3 * 6 + i] = cos(values[i]);
    agree(by_rows, want, 12);

    reel_tensor *p = variable(REEL_SHAPE(2), (double[]) { 0.7, -0.4 });
    reel_tensor *many = reel_exp(
        reel_mul(reel_reshape(p, REEL_SHAPE(2, 1)), reel_doubles(ctx, REEL_SHAPE(1, 3), (double[]) { 1, 2, 3 })));
    reel_tensor *by_columns = reel_jacobian(many, p);
    has_shape(by_columns, REEL_SHAPE(2, 3, 2));
    double columns[12] = { 0 };
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) columns[(i * 3 + k) * 2 + i] = (k + 1) * exp((i ? -0.4 : 0.7) * (k + 1));
    agree(by_columns, columns, 12);
}

Test(derivatives, jacobian_of_scalars_and_of_nothing)
{
    reel_tensor *x = variable(REEL_SCALAR, (double[]) { 3 });
    reel_tensor *j = reel_jacobian(reel_square(x), x);
    has_shape(j, REEL_SCALAR);
    agree(j, (double[]) { 6 }, 1);
    reel_tensor *none = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(0, 2), REEL_F64), true);
    has_shape(reel_jacobian(reel_square(none), none), REEL_SHAPE(0, 2, 0, 2));
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
}

Test(derivatives, jacobian_of_an_output_that_does_not_depend_is_zero)
{
    reel_tensor *x = variable(REEL_SHAPE(2), (double[]) { 1, 2 }),
                *other = variable(REEL_SHAPE(3), (double[]) { 1, 2, 3 });
    agree(reel_jacobian(reel_square(other), x), (double[6]) { 0 }, 6);
}

Test(derivatives, hessian_is_the_matrix_of_second_derivatives)
{
    reel_tensor *x = variable(REEL_SHAPE(3), (double[]) { 1, 2, 3 });
    reel_tensor *y = reel_prod(x, REEL_ALL_DIMS, false);
    agree(reel_hessian(y, x), (double[]) { 0, 3, 2, 3, 0, 1, 2, 1, 0 }, 9);
    reel_tensor *linear = reel_sum(x, REEL_ALL_DIMS, false);
    agree(reel_hessian(linear, x), (double[9]) { 0 }, 9);
}

Test(derivatives, hvp_is_the_hessian_times_the_vectors)
{
    reel_tensor *a = variable(REEL_SHAPE(2), (double[]) { 1, 2 }), *b = variable(REEL_SCALAR, (double[]) { 3 });
    reel_tensor *y = reel_sum(reel_mul(reel_mul(a, reel_square(a)), b), REEL_ALL_DIMS, false); /* b sum a^3 */
    reel_tensor *in[2] = { a, b }, *products[2];
    reel_tensor *v[2] = { reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, -1 }), reel_scalar(ctx, REEL_F64, 2) };
    cr_assert(reel_hvp(y, in, 2, v, products));
    agree(products[0], (double[]) { 6 * 3 * 1 + 3 * 2, -6 * 3 * 2 + 12 * 2 }, 2);
    agree(products[1], (double[]) { 3 - 12 }, 1);
    v[0] = NULL;
    cr_assert(reel_hvp(y, in, 2, v, products));
    agree(products[0], (double[]) { 6, 24 }, 2);
}

static void refuses(bool failed, const char *words)
{
    cr_assert(failed, "was accepted");
    cr_assert(strstr(reel_ctx_error_message(ctx), words), "'%s' should say '%s'", reel_ctx_error_message(ctx), words);
    reel_ctx_clear_error(ctx);
}

Test(derivatives, refuse_what_has_none)
{
    reel_tensor *x = variable(REEL_SHAPE(2), (double[]) { 1, 2 }), *y = reel_square(x), *product;
    reel_tensor *plain = reel_ones(ctx, REEL_SHAPE(2), REEL_F64), *whole = reel_zeros(ctx, REEL_SHAPE(2), REEL_I64);
    refuses(!reel_hessian(y, x), "one element, but has 2");
    refuses(!reel_hvp(y, &x, 1, &plain, &product), "one element, but has 2");
    cr_assert_null(product);
    refuses(!reel_jacobian(y, plain), "does not require a gradient");
    refuses(!reel_jacobian(y, whole), "int64");
    refuses(!reel_jvp(&y, 1, &plain, 1, &plain, &product), "does not require a gradient");
    cr_assert_null(product);
    reel_tensor *short_one = reel_ones(ctx, REEL_SHAPE(1), REEL_F64), *sum = reel_sum(y, REEL_ALL_DIMS, false);
    refuses(!reel_jvp(&y, 1, &x, 1, &short_one, &product),
            "jvp: input 0 is float64 [2], but its direction is float64 [1]");
    refuses(!reel_hvp(sum, &x, 1, &short_one, &product),
            "hvp: input 0 is float64 [2], but its direction is float64 [1]");
    reel_tensor *deep = reel_reshape(x, REEL_SHAPE(1, 1, 1, 1, 1, 1, 2));
    refuses(!reel_jacobian(deep, deep), "more than 8");
}

Test(derivatives, may_take_the_place_of_what_they_are_made_from)
{
    reel_tensor *x = variable(REEL_SHAPE(2), (double[]) { 2, 3 }), *y = reel_sum(reel_mul(x, reel_square(x)), REEL_ALL_DIMS, false);
    reel_tensor *v = reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, -1 }), *g = y, *square = reel_square(x), *t = v;
    cr_assert(reel_grad(&g, 1, &x, 1, NULL, &g));
    agree(g, (double[]) { 12, 27 }, 2);
    cr_assert(reel_grad(&g, 1, &x, 1, &v, &g));
    agree(g, (double[]) { 12, -18 }, 2);
    cr_assert(reel_hvp(y, &x, 1, &v, &v));
    agree(v, (double[]) { 12, -18 }, 2);
    cr_assert(reel_jvp(&square, 1, &x, 1, &t, &square));
    agree(square, (double[]) { 4, -6 }, 2);
    reel_tensor *by = x;
    cr_assert(reel_grad(&y, 1, &by, 1, NULL, &by));
    agree(by, (double[]) { 12, 27 }, 2);
    cr_assert(reel_requires_grad(x));
}

Test(derivatives, nothing_comes_of_nothing)
{
    reel_tensor *product, *none = NULL;
    cr_assert_null(reel_jacobian(NULL, NULL));
    cr_assert_null(reel_hessian(NULL, NULL));
    cr_assert_not(reel_hvp(NULL, &none, 1, &none, &product));
    cr_assert_not(reel_jvp(&none, 1, &none, 1, &none, &product));
}

Test(derivatives, are_kept_by_the_scope_they_are_asked_for_in)
{
    reel_tensor *x = variable(REEL_SHAPE(3), (double[]) { 1, 2, 3 });
    size_t now = 0;
    int64_t nodes = 0;
    for (int turn = 0; turn < 5; turn++) {
        REEL_SCOPE(ctx)
        {
            agree(reel_hessian(reel_prod(x, REEL_ALL_DIMS, false), x), (double[]) { 0, 3, 2, 3, 0, 1, 2, 1, 0 }, 9);
        }
        if (turn == 1) now = reel_ctx_memory(ctx).tensors_now, nodes = reel_ctx_memory(ctx).nodes;
    }
    cr_assert_eq(reel_ctx_memory(ctx).tensors_now, now);
    cr_assert_eq(reel_ctx_memory(ctx).nodes, nodes);
}
