// SPDX-License-Identifier: MIT
// Elementary functions, activations and arithmetic against the C library, under every instruction set.
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <reel/ops/pointwise.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = { "portable", "base", "avx2", "avx512" };

// A context of the k-th instruction set; NULL where the machine has none such.
static reel_ctx *ctx_of_isa(int k)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isas[k] });
    cr_assert_not_null(ctx);
    if (reel_ctx_error(ctx) != REEL_ERROR_UNSUPPORTED) return ctx;
    reel_ctx_free(ctx);
    return NULL;
}

typedef long double real;
typedef reel_tensor *unary(reel_tensor *x);

static real square(real x) { return x * x; }
static real rsqrt(real x) { return 1 / sqrtl(x); }
static real reciprocal(real x) { return 1 / x; }
static real negative(real x) { return -x; }
static real sign(real x) { return (x > 0) - (x < 0); }
static real sigmoid(real x) { return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x)); }
static real logsigmoid(real x) { return (x < 0 ? x : 0) - log1pl(expl(-fabsl(x))); }
static real relu(real x) { return x < 0 ? 0 : x; }
static real relu6(real x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static real silu(real x) { return x * sigmoid(x); }
static real mish(real x) { return x * tanhl(log1pl(expl(x))); }
static real selu(real x)
{
    return 1.0507009873554804934193349852946L * (x > 0 ? x : 1.6732632423543772848170429916717L * expm1l(x));
}
static real softsign(real x) { return x / (1 + fabsl(x)); }
static real hardsigmoid(real x) { return relu6(x + 3) / 6; }
static real hardswish(real x) { return x * relu6(x + 3) / 6; }

// Ends of the interval, and the error allowed in units in the last place of float32 and float64.
typedef struct function {
    const char *name;
    unary *reel;
    real (*right)(real);
    double low, high, ulp_f32, ulp_f64;
} function;

#define F(name, right, low, high, ulps)                                                                                \
    {                                                                                                                  \
#name, reel_##name, right, low, high, ulps, ulps                                                               \
    }
static const function functions[] = {
    F(abs, fabsl, -9, 9, 0),
    F(neg, negative, -9, 9, 0),
    F(sign, sign, -9, 9, 0),
    F(square, square, -9, 9, 0.51),
    F(sqrt, sqrtl, 0, 900, 0.51),
    F(rsqrt, rsqrt, 1e-3, 900, 1.6),
    F(reciprocal, reciprocal, -9, 9, 0.51),
    F(exp, expl, -90, 90, 1.01),
    F(exp, expl, -2, 2, 1.01),
    F(expm1, expm1l, -80, 80, 1.01),
    F(expm1, expm1l, -1e-3, 1e-3, 1.01),
    F(expm1, expm1l, -1, 1, 1.01),
    F(expm1, expm1l, 80, 88.7, 1.01),
    F(log, logl, 1e-3, 2, 1.01),
    F(log, logl, 1, 1e30, 1.01),
    F(log1p, log1pl, -0.9, 9, 1.01),
    F(log1p, log1pl, -1e-3, 1e-3, 1.01),
    F(log2, log2l, 1e-3, 900, 1.01),
    F(log10, log10l, 1e-3, 900, 1.01),
    F(sin, sinl, -9, 9, 1.01),
    F(sin, sinl, -1e6, 1e6, 1.01),
    F(cos, cosl, -9, 9, 1.01),
    F(cos, cosl, -1e6, 1e6, 1.01),
    F(tan, tanl, -9, 9, 1.01),
    F(asin, asinl, -1, 1, 1.01),
    F(acos, acosl, -1, 1, 1.01),
    F(atan, atanl, -90, 90, 1.01),
    F(sinh, sinhl, -9, 9, 1.6),
    F(sinh, sinhl, -1e-3, 1e-3, 1.6),
    F(cosh, coshl, -9, 9, 1.6),
    F(tanh, tanhl, -9, 9, 1.01),
    F(tanh, tanhl, -1, 1, 1.01),
    F(asinh, asinhl, -90, 90, 1.6),
    F(acosh, acoshl, 1, 90, 1.6),
    F(atanh, atanhl, -0.99, 0.99, 1.6),
    F(erf, erfl, -5, 5, 1.2),
    F(erfc, erfcl, -5, 9, 1.6),
    F(sigmoid, sigmoid, -80, 80, 2.6),
    F(logsigmoid, logsigmoid, -80, 80, 3),
    F(relu, relu, -9, 9, 0),
    F(relu6, relu6, -9, 9, 0),
    F(silu, silu, -80, 80, 3.2),
    F(mish, mish, -30, 30, 5),
    F(selu, selu, -30, 30, 2.6),
    F(softsign, softsign, -90, 90, 1.6),
    F(hardsigmoid, hardsigmoid, -2.5, 9, 3),
    F(hardswish, hardswish, -2.5, 9, 4),
    F(floor, floorl, -9, 9, 0),
    F(ceil, ceill, -9, 9, 0),
    F(trunc, truncl, -9, 9, 0),
    F(round, rintl, -9, 9, 0),
    F(round, rintl, -1e9, 1e9, 0),
};
#undef F
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

// Distance of `got` from `right` in units of the last place of `right` in the dtype.
static double distance_f32(float got, real right)
{
    float nearest = (float)right;
    if (isnan(right) || isnan(got)) return isnan(right) && isnan(got) ? 0 : INFINITY;
    if (got == nearest)
        return isinf(got) ? 0 : (double)(fabsl((real)got - right) / (nextafterf(fabsf(got), INFINITY) - fabsf(got)));
    if (isinf(nearest) || isinf(got)) return INFINITY;
    return (double)(fabsl((real)got - right) / (nextafterf(fabsf(nearest), INFINITY) - fabsf(nearest)));
}

static double distance_f64(double got, real right)
{
    double nearest = (double)right;
    if (isnan(right) || isnan(got)) return isnan(right) && isnan(got) ? 0 : INFINITY;
    if (got == nearest)
        return isinf(got) ? 0 : (double)(fabsl((real)got - right) / (nextafter(fabs(got), INFINITY) - fabs(got)));
    if (isinf(nearest) || isinf(got)) return INFINITY;
    return (double)(fabsl((real)got - right) / (nextafter(fabs(nearest), INFINITY) - fabs(nearest)));
}

#define POINTS 4003

static void check_function(reel_ctx *ctx, const char *isa, const function *f)
{
    static float x32[POINTS];
    static double x64[POINTS];
    for (int i = 0; i < POINTS; i++) {
        x64[i] = f->low + (f->high - f->low) * i / (POINTS - 1);
        x32[i] = (float)x64[i];
        if (x32[i] < f->low || x32[i] > f->high) x32[i] = (float)((f->low + f->high) / 2);
    }
    REEL_SCOPE(ctx)
    {
        const float *y32 = reel_data_f32(f->reel(reel_floats(ctx, REEL_SHAPE(POINTS), x32)));
        const double *y64 = reel_data_f64(f->reel(reel_doubles(ctx, REEL_SHAPE(POINTS), x64)));
        cr_assert(y32 && y64, "%s: %s", f->name, reel_ctx_error_message(ctx));
        double worst32 = 0, worst64 = 0;
        int at32 = 0, at64 = 0;
        for (int i = 0; i < POINTS; i++) {
            double d32 = distance_f32(y32[i], f->right(x32[i])), d64 = distance_f64(y64[i], f->right(x64[i]));
            if (d32 > worst32) worst32 = d32, at32 = i;
            if (d64 > worst64) worst64 = d64, at64 = i;
        }
        // Portable code asks the C library, lane by lane, which promises less for some functions.
        double more = strcmp(isa, "portable") == 0 ? 1.5 : 0;
        cr_expect_leq(worst32, f->ulp_f32 + more, "%s, float32, %s: %.2f ULP off at %.9g: %.9g", isa, f->name, worst32,
                      x32[at32], y32[at32]);
        cr_expect_leq(worst64, f->ulp_f64 + more, "%s, float64, %s: %.2f ULP off at %.17g: %.17g", isa, f->name,
                      worst64, x64[at64], y64[at64]);
    }
}

Test(pointwise, functions_are_right_to_the_last_places)
{
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        for (int i = 0; ctx && i < COUNT(functions); i++) check_function(ctx, isas[k], &functions[i]);
        reel_ctx_free(ctx);
    }
}

static bool same_special(double got, double right, double tolerance)
{
    if (isnan(right)) return isnan(got);
    if (isinf(right)) return got == right;
    if (right == 0) return got == 0 && signbit(got) == signbit(right);
    return fabs(got - right) <= tolerance * fabs(right);
}

// 0, infinities, NaN, denormals and huge numbers are treated as the C library does.
Test(pointwise, special_values_are_ieees)
{
    const float x32[] = { 0,         -0.0f, 1,    -1,   1e-45f, -1e-45f, 1e-40f, 1e-38f, 3e38f,   -3e38f, INFINITY,
                          -INFINITY, NAN,   0.5f, 1.5f, 2.5f,   -2.5f,   88.8f,  -87.5f, -103.9f, 8388609 };
    const double x64[] = { 0,         -0.0, 1,   -1,  5e-324, -5e-324, 1e-310, 1e-308, 1e308, -1e308,          INFINITY,
                           -INFINITY, NAN,  0.5, 1.5, 2.5,    -2.5,    709.9,  -708.5, -745,  4503599627370497 };
    enum { N = COUNT(x32) };
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        for (int i = 0; ctx && i < COUNT(functions); i++) {
            const function *f = &functions[i];
            if (f->right == sign || f->right == silu || f->right == mish || f->right == hardswish) continue; // below
            REEL_SCOPE(ctx)
            {
                const float *y32 = reel_data_f32(f->reel(reel_floats(ctx, REEL_SHAPE(N), x32)));
                const double *y64 = reel_data_f64(f->reel(reel_doubles(ctx, REEL_SHAPE(N), x64)));
                cr_assert(y32 && y64, "%s: %s", f->name, reel_ctx_error_message(ctx));
                for (int j = 0; j < N; j++) {
                    // Results among the denormals are rounded once more.
                    float right = (float)f->right(x32[j]);
                    double t32 = fabsf(right) < FLT_MIN ? FLT_TRUE_MIN / fabs(right) + 1e-6 : 1e-6;
                    cr_expect(same_special(y32[j], right, t32), "%s, %s(%g) is %g, not %g", isas[k], f->name, x32[j],
                              y32[j], right);
                    double right64 = (double)f->right(x64[j]);
                    double t64 = fabs(right64) < DBL_MIN ? DBL_TRUE_MIN / fabs(right64) + 1e-14 : 1e-14;
                    cr_expect(same_special(y64[j], right64, t64), "%s, %s(%g) is %g, not %g", isas[k], f->name, x64[j],
                              y64[j], right64);
                }
            }
        }
        reel_ctx_free(ctx);
    }
}

Test(pointwise, conventions_at_infinity_and_nan_are_pytorchs)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(4), (double[]) { INFINITY, -INFINITY, NAN, -0.0 });
    const double *y = reel_data_f64(reel_sign(x));
    cr_assert(y[0] == 1 && y[1] == -1 && y[2] == 0 && y[3] == 0);
    y = reel_data_f64(reel_silu(x));
    cr_assert(y[0] == INFINITY && isnan(y[1]) && isnan(y[2]) && y[3] == 0);
    y = reel_data_f64(reel_mish(x));
    cr_assert(y[0] == INFINITY && isnan(y[1]) && isnan(y[2]) && y[3] == 0);
    y = reel_data_f64(reel_gelu(x, NULL));
    cr_assert(y[0] == INFINITY && isnan(y[1]) && isnan(y[2]) && y[3] == 0);
    y = reel_data_f64(reel_clamp(x, -1, 1));
    cr_assert(y[0] == 1 && y[1] == -1 && isnan(y[2]) && y[3] == 0);
    y = reel_data_f64(reel_maximum(x, reel_full_like(x, 0)));
    cr_assert(y[0] == INFINITY && y[1] == 0 && isnan(y[2]));
    y = reel_data_f64(reel_minimum(reel_full_like(x, 0), x));
    cr_assert(y[0] == 0 && y[1] == -INFINITY && isnan(y[2]));
    y = reel_data_f64(reel_threshold(x, 0, 7));
    cr_assert(y[0] == INFINITY && y[1] == 7 && isnan(y[2]) && y[3] == 7);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

// Activations with attributes, by their formulas.
static double phi(double x) { return 0.5 * erfc(-x / sqrt(2)); }
static double elu(double x, double alpha) { return x > 0 ? x : alpha * expm1(x); }

Test(pointwise, activations_follow_their_formulas)
{
    static double x[500]; // 0 is not among them
    for (int i = 0; i < COUNT(x); i++) x[i] = -10 + 20.0 * i / (COUNT(x) - 1);
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        if (!ctx) continue;
        for (int dtype = REEL_F32; dtype <= REEL_F64; dtype++) {
            double tolerance = dtype == REEL_F64 ? 1e-13 : 1e-5;
            reel_tensor *t = reel_cast(reel_doubles(ctx, REEL_SHAPE(COUNT(x)), x), (reel_dtype)dtype);
            reel_tensor *y[] = { reel_gelu(t, NULL),          reel_gelu(t, &(reel_gelu_opts) { .tanh = true }),
                                 reel_leaky_relu(t, 0.1),     reel_elu(t, 0.7),
                                 reel_celu(t, 0.7),           reel_softplus(t, 2, 15),
                                 reel_hardtanh(t, -2, 3),     reel_threshold(t, 1, -5),
                                 reel_clamp(t, -INFINITY, 3), reel_pow_scalar(t, 3),
                                 reel_pow_scalar(t, -2) };
            for (int j = 0; j < COUNT(y); j++) {
                const double *got = reel_data_f64(reel_cast(y[j], REEL_F64));
                const double *at = reel_data_f64(reel_cast(t, REEL_F64));
                cr_assert(got && at, "%s", reel_ctx_error_message(ctx));
                for (int i = 0; i < COUNT(x); i++) {
                    double v = at[i], inner = sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
                    const double right[] = { v * phi(v),
                                             0.5 * v * (1 + tanh(inner)),
                                             v > 0 ? v : 0.1 * v,
                                             elu(v, 0.7),
                                             v > 0 ? v : 0.7 * expm1(v / 0.7),
                                             2 * v > 15 ? v : log1p(exp(2 * v)) / 2,
                                             v < -2  ? -2
                                             : v > 3 ? 3
                                                     : v,
                                             v > 1 ? v : -5,
                                             v > 3 ? 3 : v,
                                             v * v * v,
                                             1 / (v * v) };
                    cr_assert_leq(fabs(got[i] - right[j]), tolerance * (1 + fabs(right[j])),
                                  "%s, %s, activation %d at %g: %g, not %g", isas[k],
                                  reel_dtype_name((reel_dtype)dtype), j, v, got[i], right[j]);
                }
            }
        }
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
    }
}

static double python_modulo(double a, double b)
{
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Test(pointwise, functions_of_two_operands_are_the_c_librarys)
{
    enum { N = 31 };
    double x[N], a[N * N], b[N * N];
    for (int i = 0; i < N; i++)
        x[i] = i < 24 ? (i - 12) * 0.73 : (double[]) { 0, -0.0, INFINITY, -INFINITY, NAN, 1e-300, 1 }[i - 24];
    for (int i = 0; i < N * N; i++) a[i] = x[i / N], b[i] = x[i % N];
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        if (!ctx) continue;
        reel_tensor *s = reel_doubles(ctx, REEL_SHAPE(N * N), a), *t = reel_doubles(ctx, REEL_SHAPE(N * N), b);
        reel_tensor *y[] = { reel_add(s, t),   reel_sub(s, t),   reel_mul(s, t),  reel_div(s, t),      reel_pow(s, t),
                             reel_atan2(s, t), reel_hypot(s, t), reel_fmod(s, t), reel_remainder(s, t) };
        for (int j = 0; j < COUNT(y); j++) {
            const double *got = reel_data_f64(y[j]);
            cr_assert_not_null(got, "%s", reel_ctx_error_message(ctx));
            for (int i = 0; i < N * N; i++) {
                double u = a[i], v = b[i];
                double right[] = { u + v,       u - v,      u * v,
                                   u / v,       pow(u, v),  atan2(u, v),
                                   hypot(u, v), fmod(u, v), python_modulo(u, v) };
                cr_assert(isnan(right[j])   ? isnan(got[i])
                          : isinf(right[j]) ? got[i] == right[j]
                                            : fabs(got[i] - right[j]) <= 4e-16 * fabs(right[j]),
                          "%s: function %d of %g and %g is %.17g, not %.17g", isas[k], j, u, v, got[i], right[j]);
            }
        }
        reel_ctx_free(ctx);
    }
}

// float32 powers have a kernel of their own: random ones to 0.6 ULP, and all pairs of special ones.
Test(pointwise, powers_of_floats_are_right)
{
    static const float special[] = { 0,      -0.0f,   1,     -1,     2,        -2,       0.5f,      -0.5f,
                                     3,      -3,      1.5f,  -1.5f,  1e9f,     INFINITY, -INFINITY, NAN,
                                     1e-45f, -1e-45f, 3e38f, -3e38f, 16777216, 8388609,  0.1f,      -0.1f };
    enum { S = COUNT(special), N = S * S + 5000 };
    static float a[N], b[N];
    uint32_t state = 1;
    for (int i = 0; i < N; i++) {
        state = state * 1664525u + 1013904223u;
        a[i] = i < S * S ? special[i / S] : ldexpf(1 + (float)(state >> 8) * 0x1p-24f, (int)(state >> 3) % 60 - 30);
        state = state * 1664525u + 1013904223u;
        b[i] = i < S * S ? special[i % S] : ((float)(state >> 8) * 0x1p-24f - 0.5f) * 12;
    }
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        if (!ctx) continue;
        const float *y =
            reel_data_f32(reel_pow(reel_floats(ctx, REEL_SHAPE(N), a), reel_floats(ctx, REEL_SHAPE(N), b)));
        cr_assert_not_null(y, "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < N; i++) {
            real right = powl(a[i], b[i]);
            cr_expect_leq(distance_f32(y[i], right), 0.6, "%s: %g^%g is %.9g, not %.9g", isas[k], a[i], b[i], y[i],
                          (double)right);
            cr_expect(isnan(right) || !signbit(y[i]) == !signbit(right), "%s: sign of %g^%g", isas[k], a[i], b[i]);
        }
        reel_ctx_free(ctx);
    }
}

// The end of a tensor, and a place inside it, are computed as its beginning is.
Test(pointwise, a_result_does_not_depend_on_its_place)
{
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        for (int i = 0; ctx && i < COUNT(functions); i++) {
            REEL_SCOPE(ctx)
            {
                float value = (float)(functions[i].low + 0.37 * (functions[i].high - functions[i].low)), x[37];
                for (int j = 0; j < 37; j++) x[j] = value;
                const float *y = reel_data_f32(functions[i].reel(reel_floats(ctx, REEL_SHAPE(37), x)));
                for (int j = 1; j < 37; j++)
                    cr_assert_eq(memcmp(&y[j], &y[0], sizeof *y), 0, "%s: %s", isas[k], functions[i].name);
            }
        }
        reel_ctx_free(ctx);
    }
}

// Nor on what stands beside it: SLEEF reduces a vector by one of two ways, as its largest element asks.
Test(pointwise, a_result_does_not_depend_on_its_neighbours)
{
    enum { N = 4096, LANES = 16 };
    static float alone[N][LANES], beside[N][LANES], right[N];
    static const float others[] = { 200, -1e4f, 1e20f, INFINITY, NAN, 1e-40f };
    for (int k = 0; k < COUNT(isas); k++) {
        reel_ctx *ctx = ctx_of_isa(k);
        for (int i = 0; ctx && i < COUNT(functions); i++) {
            for (int n = 0; n < N; n++) {
                float x = (float)(functions[i].low + (n + 0.5) / N * (functions[i].high - functions[i].low));
                for (int j = 0; j < LANES; j++) alone[n][j] = x, beside[n][j] = j == 5 ? x : others[n % COUNT(others)];
            }
            REEL_SCOPE(ctx)
            {
                reel_tensor *x = reel_floats(ctx, REEL_SHAPE(N, LANES), alone[0]), *y;
                y = reel_select(functions[i].reel(x), 1, 5);
                cr_assert(reel_copy_out(y, right, sizeof right));
                y = reel_select(functions[i].reel(reel_floats(ctx, REEL_SHAPE(N, LANES), beside[0])), 1, 5);
                const float *got = reel_data_f32(y);
                for (int n = 0; n < N; n++)
                    cr_assert(memcmp(&got[n], &right[n], sizeof *got) == 0, "%s: %s %a beside %g", isas[k],
                              functions[i].name, (double)alone[n][0], (double)others[n % COUNT(others)]);
            }
        }
        reel_ctx_free(ctx);
    }
}
