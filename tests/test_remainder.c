// SPDX-License-Identifier: MIT
// Remainders and rounded quotients, to the bit.
#include "spatial.h"

#include <reel/ops/table.h>

static reel_tensor *divided(reel_tensor *a, reel_tensor *b, const char *rounding)
{
    char attrs[64];
    reel_tensor *y = NULL;
    snprintf(attrs, sizeof attrs, "{\"rounding_mode\": \"%s\"}", rounding);
    reel_call(reel_ctx_of(a), "div", (const reel_named[]) { { "input", a }, { "other", b } }, 2, attrs, &y, 1);
    return y;
}

// Remainders have no rounding: they are the C library's to the bit, whatever the quotient.
#define REMAINDERS(name, T, dtype, mantissa, read, fmod_of)                                                        \
    static void name(reel_ctx *ctx)                                                                                     \
    {                                                                                                                   \
        enum { N = 20011 };                                                                                             \
        static T x[N], y[N];                                                                                            \
        const T special[] = { 0, (T)-0.0, 1, -1, (T)INFINITY, (T)-INFINITY, (T)NAN, 3, (T)0.1, (T)1e-40, (T)1e38 };      \
        enum { SPECIAL = sizeof special / sizeof *special };                                                            \
        for (int i = 0; i < N; i++) {                                                                                   \
            T b = (T)draw_real(0.5, 2), q = (T)floor(exp2(draw_real(0, i % 3 ? mantissa - 2 : mantissa + 9)));           \
            x[i] = (T)draw_real(-9, 9), y[i] = i % 2 ? b : -b;                                                          \
            if (i % 4 > 1) x[i] = q * b; /* a multiple, or a neighbour of one */                                        \
            if (i % 8 > 5) x[i] = (i % 16 > 13 ? (T)nextafter##read(x[i], 0) : (T)nextafter##read(x[i], (T)INFINITY));   \
            if (i % 5 == 0 && i >= N / 2) x[i] = special[i % SPECIAL], y[i] = special[i / SPECIAL % SPECIAL];             \
        }                                                                                                               \
        reel_tensor *a = reel_from(ctx, REEL_SHAPE(N), dtype, x), *b = reel_from(ctx, REEL_SHAPE(N), dtype, y);          \
        const T *got = reel_data(reel_fmod(a, b)), *python = reel_data(reel_remainder(a, b));                           \
        sound(ctx);                                                                                                     \
        for (int i = 0; i < N; i++) {                                                                                   \
            T right = fmod_of(x[i], y[i]), floored = right != 0 && (right < 0) != (y[i] < 0) ? right + y[i] : right;     \
            bool same = memcmp(&got[i], &right, sizeof right) == 0 || (isnan(got[i]) && isnan(right));                  \
            cr_assert(same, "fmod(%a, %a) is %a, not %a", (double)x[i], (double)y[i], (double)got[i], (double)right);    \
            cr_assert(python[i] == floored || (isnan(python[i]) && isnan(floored)));                                    \
        }                                                                                                               \
    }
REMAINDERS(check_remainders_f32, float, REEL_F32, 24, f, fmodf)
REMAINDERS(check_remainders_f64, double, REEL_F64, 53, , fmod)
#undef REMAINDERS

Test(remainder, of_floats_is_exact)
{
    EACH_ISA(ctx)
    {
        check_remainders_f32(ctx);
        check_remainders_f64(ctx);
    }
}

Test(remainder, floored_quotients_of_infinite_divisors_are_pythons)
{
    static const double x[] = { 1, -1, 1e-300, -1e-300, 0, 7, -7, INFINITY }, want[] = { 0, -1, -1, 0, 0, 69, -70, NAN };
    static const double by[] = { INFINITY, INFINITY, -INFINITY, -INFINITY, -INFINITY, 0.1, 0.1, INFINITY };
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(8), x), *b = reel_doubles(ctx, REEL_SHAPE(8), by), *slope;
    reel_set_requires_grad(b, true);
    reel_tensor *rest = reel_remainder(a, b);
    const double *got = reel_data_f64(divided(a, b, "floor"));
    cr_assert(got && reel_grad(&rest, 1, &b, 1, NULL, &slope));
    for (int i = 0; i < 8; i++) {
        cr_assert(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])), "%g // %g is %g", x[i], by[i], got[i]);
        cr_assert(isnan(want[i]) || reel_data_f64(slope)[i] == -want[i]);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(remainder, of_integers_is_c_s_and_python_s)
{
    enum { N = 20000 };
    static int64_t x[N], y[N];
    for (int i = 0; i < N; i++) {
        int64_t of[] = { draw_in(-99, 99), draw_in(INT64_MIN / 4, INT64_MAX / 4), draw_in(0, UINT32_MAX), INT64_MIN };
        x[i] = of[draw_in(0, 3)], y[i] = of[draw_in(0, 3)];
        if (y[i] == 0) y[i] = -1;
    }
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_longs(ctx, REEL_SHAPE(N), x), *b = reel_longs(ctx, REEL_SHAPE(N), y);
    const int64_t *rest = reel_data_i64(reel_fmod(a, b)), *python = reel_data_i64(reel_remainder(a, b));
    const int64_t *cut = reel_data_i64(divided(a, b, "trunc")), *down = reel_data_i64(divided(a, b, "floor"));
    cr_assert(rest && python && cut && down, "%s", reel_ctx_error_message(ctx));
    for (int i = 0; i < N; i++) {
        bool wraps = y[i] == -1; // INT64_MIN / -1 has no value in C
        int64_t q = wraps ? (int64_t)(0 - (uint64_t)x[i]) : x[i] / y[i], r = wraps ? 0 : x[i] % y[i];
        bool off = r != 0 && (r < 0) != (y[i] < 0);
        cr_assert(rest[i] == r && cut[i] == q, "%lld by %lld", (long long)x[i], (long long)y[i]);
        cr_assert(python[i] == (off ? r + y[i] : r) && down[i] == (off ? q - 1 : q));
    }
    reel_ctx_free(ctx);
}
