// SPDX-License-Identifier: MIT
// Elementwise ops over shapes, strides and dtypes against plain loops; subgradients; what is refused.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/shape.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const char *const isas[] = { "portable", "base", "avx2", "avx512" };

static reel_ctx *ctx_of_isa(int k)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isas[k], .eager = k % 2 });
    cr_assert_not_null(ctx);
    if (reel_ctx_error(ctx) != REEL_ERROR_UNSUPPORTED) return ctx;
    reel_ctx_free(ctx);
    return NULL;
}

static uint64_t state = 88172645463325252u;

static int64_t draw(int64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int64_t)(state % (uint64_t)below);
}

// Small whole numbers, which every dtype holds and every sum and product of two of them keeps.
static reel_tensor *whole_numbers(reel_ctx *ctx, reel_shape shape, reel_dtype dtype)
{
    int64_t n = reel_shape_numel(shape), *values = malloc((size_t)(n + 1) * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = dtype == REEL_BOOL ? draw(2) : draw(10);
    reel_tensor *x = reel_cast(reel_longs(ctx, shape, values), dtype);
    free(values);
    return x;
}

// The element of x that meets element `at` (row-major) of a result of this shape.
static double element(const double *x, reel_shape of, reel_shape shape, int64_t at)
{
    int64_t offset = 0, stride = 1;
    for (int axis = 1; axis <= shape.ndim; axis++) {
        int64_t size = shape.dim[shape.ndim - axis], index = at % size;
        at /= size;
        if (axis > of.ndim) continue;
        if (of.dim[of.ndim - axis] != 1) offset += index * stride;
        stride *= of.dim[of.ndim - axis];
    }
    return x[offset];
}

static const double *values_of(reel_tensor *x) { return reel_data_f64(reel_cast(x, REEL_F64)); }

// A random shape and two that broadcast to it: axes dropped in front, sizes of 1; sometimes long rows.
static void draw_shapes(reel_shape *shape, reel_shape of[3])
{
    *shape = (reel_shape) { .ndim = (int)draw(5) };
    bool long_rows = draw(3) == 0;
    for (int d = 0; d < shape->ndim; d++)
        shape->dim[d] = d == shape->ndim - 1 && long_rows ? 200 + draw(2500) : 1 + draw(d ? 7 : 40);
    for (int k = 0; k < 3; k++) {
        int dropped = k && draw(3) == 0 ? (int)draw(shape->ndim + 1) : 0;
        of[k] = (reel_shape) { .ndim = shape->ndim - dropped };
        for (int d = 0; d < of[k].ndim; d++) of[k].dim[d] = k && draw(3) == 0 ? 1 : shape->dim[d + dropped];
    }
    for (int k = 2; k > 0; k--) { // who spans the whole shape
        int j = (int)draw(k + 1);
        reel_shape swap = of[k];
        of[k] = of[j];
        of[j] = swap;
    }
}

// The same numbers in memory of another order of axes, or every second element of a larger tensor.
static reel_tensor *stride(reel_tensor *x)
{
    int nd = reel_ndim(x);
    if (nd < 1 || draw(2)) return x;
    int a = (int)draw(nd), b = (int)draw(nd);
    return reel_transpose(reel_contiguous(reel_transpose(x, a, b)), a, b);
}

Test(pointwise_shapes, broadcasting_and_strides_agree_with_plain_loops)
{
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        if (!ctx) continue;
        for (int round = 0; round < 150; round++) {
            REEL_SCOPE(ctx)
            {
                reel_shape shape, of[3];
                draw_shapes(&shape, of);
                reel_dtype dtype = (reel_dtype)draw(5);
                reel_tensor *a = stride(whole_numbers(ctx, of[0], dtype)),
                            *b = stride(whole_numbers(ctx, of[1], dtype));
                reel_tensor *c = stride(whole_numbers(ctx, of[2], dtype)),
                            *m = stride(whole_numbers(ctx, of[2], REEL_BOOL));
                reel_tensor *y[] = { reel_add(reel_mul(a, b), c), reel_maximum(reel_minimum(a, b), c),
                                     reel_where(m, a, b), reel_cast(reel_lt(reel_add(a, c), b), dtype),
                                     reel_masked_fill(reel_add(reel_add(a, b), c), m, 3) };
                const double *u = values_of(a), *v = values_of(b), *w = values_of(c), *mask = values_of(m);
                cr_assert(u && v && w && mask, "%s", reel_ctx_error_message(ctx));
                for (int j = 0; j < COUNT(y); j++) {
                    const double *got = values_of(y[j]);
                    reel_shape full = reel_shape_of(y[j]);
                    cr_assert_not_null(got, "%s", reel_ctx_error_message(ctx));
                    for (int64_t i = 0; i < reel_shape_numel(full); i++) {
                        double p = element(u, of[0], full, i), q = element(v, of[1], full, i);
                        double r = element(w, of[2], full, i), t = element(mask, of[2], full, i);
                        double right[] = { p * q + r, fmax(fmin(p, q), r), t ? p : q, p + r < q, t ? 3 : p + q + r };
                        if (got[i] != right[j])
                            cr_assert_eq(got[i], right[j], "%s, %s, round %d, op %d, element %lld: %g, not %g", isas[k],
                                         reel_dtype_name(dtype), round, j, (long long)i, got[i], right[j]);
                    }
                }
            }
        }
        reel_ctx_free(ctx);
    }
}

// Work that is cut into chunks gives the same bits at any number of threads.
Test(pointwise_shapes, threads_do_not_change_a_bit)
{
    enum { ROWS = 300, COLUMNS = 1001 };
    float *seen = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads, .seed = 7 });
        reel_tensor *x = reel_randn(ctx, NULL, REEL_SHAPE(ROWS, COLUMNS), REEL_F32, 0, 1);
        reel_tensor *row = reel_randn(ctx, NULL, REEL_SHAPE(COLUMNS), REEL_F32, 0, 1);
        reel_tensor *column = reel_randn(ctx, NULL, REEL_SHAPE(ROWS, 1), REEL_F32, 0, 1);
        const float *y = reel_data_f32(reel_tanh(reel_add(reel_mul(x, row), reel_exp(column))));
        cr_assert_not_null(y, "%s", reel_ctx_error_message(ctx));
        if (!seen) {
            seen = malloc(sizeof(float) * ROWS * COLUMNS);
            memcpy(seen, y, sizeof(float) * ROWS * COLUMNS);
        }
        cr_assert_eq(memcmp(seen, y, sizeof(float) * ROWS * COLUMNS), 0, "%d threads", threads);
        reel_ctx_free(ctx);
    }
    free(seen);
}

Test(pointwise_shapes, empty_tensors_and_scalars_are_tensors)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *none = reel_zeros(ctx, REEL_SHAPE(0, 3), REEL_F32), *one = reel_scalar(ctx, REEL_F32, 2);
    reel_tensor *y = reel_exp(reel_add(none, reel_ones(ctx, REEL_SHAPE(1, 3), REEL_F32)));
    cr_assert(reel_eval(y) && reel_size(y, 0) == 0 && reel_size(y, 1) == 3);
    y = reel_where(reel_gt_scalar(none, 0), none, one);
    cr_assert(reel_eval(y) && reel_numel(y) == 0);
    cr_assert_eq(reel_ndim(reel_mul(one, one)), 0);
    cr_assert_eq(reel_item(reel_mul(one, one)), 4);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, dtypes_meet_as_in_pytorch)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *full[REEL_DTYPE_COUNT], *scalar[REEL_DTYPE_COUNT];
    for (int d = 0; d < REEL_DTYPE_COUNT; d++) {
        full[d] = reel_ones(ctx, REEL_SHAPE(3), (reel_dtype)d);
        scalar[d] = reel_scalar(ctx, (reel_dtype)d, 1);
    }
    for (int a = 0; a < REEL_DTYPE_COUNT; a++)
        for (int b = 0; b < REEL_DTYPE_COUNT; b++)
            cr_expect_eq(reel_dtype_of(reel_add(full[a], full[b])), reel_dtype_promote((reel_dtype)a, (reel_dtype)b));
    // An operand without axes raises the kind of number only.
    cr_expect_eq(reel_dtype_of(reel_add(full[REEL_F32], scalar[REEL_F64])), REEL_F32);
    cr_expect_eq(reel_dtype_of(reel_add(full[REEL_U8], scalar[REEL_I64])), REEL_U8);
    cr_expect_eq(reel_dtype_of(reel_add(full[REEL_I64], scalar[REEL_F64])), REEL_F64);
    cr_expect_eq(reel_dtype_of(reel_add(full[REEL_BOOL], scalar[REEL_I32])), REEL_I32);
    cr_expect_eq(reel_dtype_of(reel_add(scalar[REEL_F32], scalar[REEL_F64])), REEL_F64);
    cr_expect_eq(reel_dtype_of(reel_div(full[REEL_I64], full[REEL_I64])), REEL_F32);
    cr_expect_eq(reel_dtype_of(reel_exp(full[REEL_I64])), REEL_F32);
    cr_expect_eq(reel_dtype_of(reel_abs(full[REEL_I32])), REEL_I32);
    cr_expect_eq(reel_dtype_of(reel_floor(full[REEL_I32])), REEL_I32);
    cr_expect_eq(reel_dtype_of(reel_relu(full[REEL_I64])), REEL_I64);
    cr_expect_eq(reel_dtype_of(reel_mul_scalar(full[REEL_I64], 2)), REEL_I64);
    cr_expect_eq(reel_dtype_of(reel_mul_scalar(full[REEL_I64], 0.5)), REEL_F32);
    cr_expect_eq(reel_dtype_of(reel_add_scalar(full[REEL_U8], 300)), REEL_I64);
    cr_expect_eq(reel_dtype_of(reel_eq(full[REEL_F32], full[REEL_I64])), REEL_BOOL);
    cr_expect_eq(reel_item(reel_add_scalar(scalar[REEL_BOOL], 2)), 3);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, integers_wrap_and_divide_like_python)
{
    const int64_t a[] = { 7, -7, 7, -7, INT64_MIN, INT64_MAX, 0, 3 }, b[] = { 3, 3, -3, -3, -1, 2, 5, 4 };
    const int64_t sums[] = { 10, -4, 4, -10, INT64_MAX, INT64_MIN + 1, 5, 7 };
    const int64_t fmods[] = { 1, -1, 1, -1, 0, 1, 0, 3 }, remainders[] = { 1, 2, -2, -1, 0, 1, 0, 3 };
    const int64_t powers[] = { 343, -343, 0, 0, 0, 1, 0, 81 };
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_longs(ctx, REEL_SHAPE(8), a), *y = reel_longs(ctx, REEL_SHAPE(8), b);
    const int64_t *sum = reel_data_i64(reel_add(x, y)), *rest = reel_data_i64(reel_fmod(x, y));
    const int64_t *remainder = reel_data_i64(reel_remainder(x, y)), *power = reel_data_i64(reel_pow(x, y));
    cr_assert(sum && rest && remainder && power, "%s", reel_ctx_error_message(ctx));
    for (int i = 0; i < 8; i++) {
        cr_expect_eq(sum[i], sums[i]);
        cr_expect_eq(rest[i], fmods[i]);
        cr_expect_eq(remainder[i], remainders[i], "%d", i);
        if (i != 5) cr_expect_eq(power[i], powers[i], "%d", i);
    }
    const int64_t *size = reel_data_i64(reel_abs(x)), *inside = reel_data_i64(reel_clamp(x, -5.5, 5.5));
    cr_assert_null(inside); // a bound that is not whole makes floats of integers
    reel_ctx_clear_error(ctx);
    inside = reel_data_i64(reel_clamp(x, -5, 5));
    for (int i = 0; i < 8; i++) {
        cr_expect_eq(size[i], a[i] < 0 ? (int64_t) - (uint64_t)a[i] : a[i]);
        cr_expect_eq(inside[i], a[i] < -5 ? -5 : a[i] > 5 ? 5 : a[i]);
    }
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, casts_truncate_and_never_trap)
{
    const double x[] = { 0, -0.0, 1.9, -1.9, 255.5, 300, -1, NAN, INFINITY, -INFINITY, 1e300, 3e9 };
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int dtype = REEL_F32; dtype <= REEL_F64; dtype++) {
        reel_tensor *t = reel_cast(reel_doubles(ctx, REEL_SHAPE(12), x), (reel_dtype)dtype);
        const int64_t *i64 = reel_data_i64(reel_cast(t, REEL_I64));
        const int32_t *i32 = reel_data(reel_cast(t, REEL_I32));
        const uint8_t *u8 = reel_data(reel_cast(t, REEL_U8)), *b = reel_data(reel_cast(t, REEL_BOOL));
        cr_assert(i64 && i32 && u8 && b, "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < 7; i++) {
            cr_expect_eq(i64[i], (int64_t)x[i]);
            cr_expect_eq(i32[i], (int32_t)x[i]);
            cr_expect_eq(u8[i], (uint8_t)(int64_t)x[i]);
        }
        for (int i = 0; i < 12; i++) cr_expect_eq(b[i], x[i] != 0);
    }
    reel_tensor *wide = reel_longs(ctx, REEL_SHAPE(3), (int64_t[]) { 1LL << 40 | 258, -1, 0 });
    const uint8_t *u8 = reel_data(reel_cast(wide, REEL_U8)), *b = reel_data(reel_cast(wide, REEL_BOOL));
    cr_expect(u8[0] == 2 && u8[1] == 255 && u8[2] == 0);
    cr_expect(b[0] == 1 && b[1] == 1 && b[2] == 0);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, comparisons_and_logic_know_nan)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(5), (float[]) { 1, 2, NAN, INFINITY, 0 });
    const char *right[] = { "01000", "10111", "10001", "11001", "00010", "01010", "00001", "00100", "00010", "11001" };
    reel_tensor *y[] = { reel_eq_scalar(x, 2), reel_ne_scalar(x, 2), reel_lt_scalar(x, 2), reel_le_scalar(x, 2),
                         reel_gt_scalar(x, 2), reel_ge_scalar(x, 2), reel_logical_not(x),  reel_isnan(x),
                         reel_isinf(x),        reel_isfinite(x) };
    for (int k = 0; k < COUNT(y); k++) {
        const uint8_t *got = reel_data(y[k]);
        cr_assert_not_null(got, "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < 5; i++) cr_expect_eq(got[i], right[k][i] - '0', "test %d of element %d", k, i);
    }
    reel_tensor *i = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 0, 5 });
    const uint8_t *nan = reel_data(reel_isnan(i)), *finite = reel_data(reel_isfinite(i));
    cr_expect(!nan[0] && !nan[1] && finite[0] && finite[1]);
    const uint8_t *both = reel_data(reel_logical_and(i, reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 4, 2 })));
    cr_expect(!both[0] && both[1]); // not the bits' "and"
    reel_ctx_free(ctx);
}

// d(sum y)/dx at points where the derivative is a matter of convention.
static void check_slope(reel_ctx *ctx, const char *name, reel_tensor *(*f)(reel_tensor *), int n, const double *x,
                        const double *right)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *t = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(n), x), true), *slope;
        reel_tensor *y = f(t);
        cr_assert(reel_grad(&y, 1, &t, 1, NULL, &slope), "%s: %s", name, reel_ctx_error_message(ctx));
        const double *got = reel_data_f64(slope);
        cr_assert_not_null(got, "%s: %s", name, reel_ctx_error_message(ctx));
        for (int i = 0; i < n; i++)
            cr_expect(isnan(right[i]) ? isnan(got[i]) : fabs(got[i] - right[i]) < 1e-6, "%s at %g: %g, not %g", name,
                      x[i], got[i], right[i]);
    }
}

static reel_tensor *clamp(reel_tensor *x) { return reel_clamp(x, -1, 1); }
static reel_tensor *hardtanh(reel_tensor *x) { return reel_hardtanh(x, -1, 1); }
static reel_tensor *leaky_relu(reel_tensor *x) { return reel_leaky_relu(x, 0.1); }
static reel_tensor *elu(reel_tensor *x) { return reel_elu(x, 0.5); }
static reel_tensor *threshold(reel_tensor *x) { return reel_threshold(x, 1, 9); }
static reel_tensor *with_zero(reel_tensor *x) { return reel_maximum(x, reel_zeros_like(x)); }
static reel_tensor *below_zero(reel_tensor *x) { return reel_minimum(reel_zeros_like(x), x); }
static reel_tensor *power_of_0(reel_tensor *x) { return reel_pow_scalar(x, 0); }

Test(pointwise_shapes, derivatives_at_kinks_are_pytorchs)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    const double x[] = { 0, -0.0, 1, -1, 3, -3, INFINITY, -INFINITY, NAN };
    enum { N = COUNT(x) };
#define SLOPE(f, ...) check_slope(ctx, #f, f, N, x, (double[N]) { __VA_ARGS__ })
    SLOPE(reel_abs, 0, 0, 1, -1, 1, -1, 1, -1, 0);
    SLOPE(reel_relu, 0, 0, 1, 0, 1, 0, 1, 0, 1);
    SLOPE(clamp, 1, 1, 1, 1, 0, 0, 0, 0, 0);
    SLOPE(hardtanh, 1, 1, 0, 0, 0, 0, 0, 0, 0);
    SLOPE(leaky_relu, 0.1, 0.1, 1, 0.1, 1, 0.1, 1, 0.1, 0.1);
    SLOPE(elu, 0.5, 0.5, 1, 0.5 * exp(-1), 1, 0.5 * exp(-3), 1, 0, NAN);
    SLOPE(threshold, 0, 0, 0, 0, 1, 0, 1, 0, 1);
    SLOPE(with_zero, 0.5, 0.5, 1, 0, 1, 0, 1, 0, 1);
    SLOPE(below_zero, 0.5, 0.5, 0, 1, 0, 1, 0, 1, 1);
    SLOPE(reel_hardsigmoid, 1 / 6., 1 / 6., 1 / 6., 1 / 6., 0, 0, 0, 0, 0);
    SLOPE(reel_hardswish, 0.5, 0.5, 5 / 6., 1 / 6., 1, 0, 1, 0, 1);
    SLOPE(reel_sign, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    SLOPE(reel_round, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    SLOPE(power_of_0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
#undef SLOPE
    reel_ctx_free(ctx);
}

// 0^0, 0^2 and (-2)^2 have finite slopes by base and, at 0, by exponent.
Test(pointwise_shapes, the_slopes_of_a_power_are_finite_at_zero)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 0, 0, -2 }), true);
    reel_tensor *b = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 0, 2, 2 }), true);
    reel_tensor *y = reel_pow(a, b), *in[] = { a, b }, *slope[2];
    cr_assert(reel_grad(&y, 1, in, 2, NULL, slope), "%s", reel_ctx_error_message(ctx));
    const double *da = reel_data_f64(slope[0]), *db = reel_data_f64(slope[1]);
    cr_assert(da[0] == 0 && da[1] == 0 && da[2] == -4);
    cr_assert(db[0] == 0 && db[1] == 0 && isnan(db[2]));
    reel_ctx_free(ctx);
}

static void refused(reel_ctx *ctx, reel_tensor *y, reel_error error, const char *words)
{
    cr_expect(y == NULL || reel_data(y) == NULL);
    cr_expect_eq(reel_ctx_error(ctx), error, "'%s' where '%s' was expected", reel_ctx_error_message(ctx), words);
    cr_expect_not_null(strstr(reel_ctx_error_message(ctx), words), "'%s' where '%s' was expected",
                       reel_ctx_error_message(ctx), words);
    reel_ctx_clear_error(ctx);
}

Test(pointwise_shapes, second_derivatives_at_kinks_are_pytorchs)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 0, -1 }), true), *slope,
                *bend;
    reel_tensor *y = reel_elu(x, 0.5);
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &slope) && reel_grad(&slope, 1, &x, 1, NULL, &bend));
    cr_expect_eq(reel_data_f64(slope)[0], 0.5, "the slope at 0 is that of the left");
    cr_expect_eq(reel_data_f64(bend)[0], 0, "the bend at 0 is that of the right");
    cr_expect_float_eq(reel_data_f64(bend)[1], 0.5 * exp(-1), 1e-15);
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, remainders_slope_is_the_quotient_that_the_remainder_leaves)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(1), (double[]) { 1 }), *slope;
    reel_tensor *b = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(1), (double[]) { 0.1 }), true);
    reel_tensor *y = reel_remainder(a, b);
    cr_assert(reel_grad(&y, 1, &b, 1, NULL, &slope));
    cr_expect_eq(reel_data_f64(slope)[0], -9, "1 = 9 * 0.1 + 0.1 in binary, though 1 / 0.1 rounds to 10");
    reel_ctx_free(ctx);
}

Test(pointwise_shapes, bad_operands_are_named)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(3, 4), REEL_F32), *y = reel_ones(ctx, REEL_SHAPE(3, 5), REEL_F32);
    reel_tensor *b = reel_ones(ctx, REEL_SHAPE(3, 4), REEL_BOOL), *zero = reel_zeros(ctx, REEL_SHAPE(4), REEL_I64);
    refused(ctx, reel_add(x, y), REEL_ERROR_SHAPE, "add: the shapes [3, 4] and [3, 5] do not broadcast");
    refused(ctx, reel_sub(b, b), REEL_ERROR_DTYPE, "sub: bool operands are not supported");
    refused(ctx, reel_where(x, x, x), REEL_ERROR_DTYPE, "where: the mask is float32, not bool");
    refused(ctx, reel_where(b, y, y), REEL_ERROR_SHAPE, "where: the mask [3, 4] does not broadcast with [3, 5]");
    refused(ctx, reel_masked_fill(y, b, 1), REEL_ERROR_SHAPE,
            "masked_fill: the mask [3, 4] does not broadcast with [3, 5]");
    refused(ctx, reel_fmod(reel_ones_like(zero), zero), REEL_ERROR_VALUE, "fmod: an integer is divided by zero");
    int64_t some[12] = { 1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12 };
    reel_tensor *holed = reel_longs(ctx, REEL_SHAPE(3, 4), some), *whole = reel_ones_like(holed);
    refused(ctx, reel_fmod(reel_transpose(whole, 0, 1), reel_transpose(holed, 0, 1)), REEL_ERROR_VALUE, "divided by zero");
    refused(ctx, reel_fmod(whole, reel_slice(holed, 1, 3, 4, 1)), REEL_ERROR_VALUE, "divided by zero");
    cr_assert(reel_data(reel_fmod(reel_slice(whole, 1, 0, 3, 1), reel_slice(holed, 1, 0, 3, 1))), "the 0 is left out");
    refused(ctx, reel_remainder(reel_ones_like(zero), zero), REEL_ERROR_VALUE,
            "remainder: an integer is divided by zero");
    refused(ctx, reel_glu(y, -1), REEL_ERROR_SHAPE, "glu: dim -1 of [3, 5]");
    refused(ctx, reel_glu(y, 7), REEL_ERROR_SHAPE, "glu: dim 7 of [3, 5]");
    refused(ctx, reel_prelu(x, reel_ones(ctx, REEL_SHAPE(3), REEL_F32)), REEL_ERROR_SHAPE, "prelu: weight [3]");
    refused(ctx, reel_prelu(zero, reel_ones(ctx, REEL_SHAPE(4), REEL_I64)), REEL_ERROR_SHAPE, "prelu: weight [4]");
    refused(ctx, reel_celu(x, 0), REEL_ERROR_VALUE, "celu: alpha must not be 0");
    refused(ctx, reel_pow_scalar(zero, -1), REEL_ERROR_VALUE, "pow: integers to the power of -1");
    refused(ctx, reel_cast(x, (reel_dtype)77), REEL_ERROR_DTYPE, "cast: there is no dtype 77");
    refused(ctx, reel_exp(NULL), REEL_OK, "");
    refused(ctx, reel_add(x, NULL), REEL_ERROR_CONTEXT, "add: input 1 is missing");
    reel_ctx_free(ctx);
}
