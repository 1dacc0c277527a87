// SPDX-License-Identifier: MIT
// What the suites of pooling, sampling and resizing share: random numbers, contexts by instruction set, comparisons.
#ifndef REEL_TESTS_SPATIAL_H
#define REEL_TESTS_SPATIAL_H

#include <criterion/criterion.h>
#include <math.h>
#include <reel/core/gradcheck.h>
#include <reel/ops/pointwise.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static uint64_t spatial_state = 88172645463325252u;

static inline uint64_t draw(void)
{
    spatial_state ^= spatial_state << 13;
    spatial_state ^= spatial_state >> 7;
    spatial_state ^= spatial_state << 17;
    return spatial_state;
}

static inline int64_t draw_in(int64_t low, int64_t high)
{
    return low + (int64_t)(draw() % (uint64_t)(high - low + 1));
}

static inline double draw_real(double low, double high)
{
    return low + (high - low) * (double)(draw() >> 11) / 9007199254740992.0;
}

// A tensor of uniform numbers, the same in both dtypes to float's precision.
static inline reel_tensor *draw_tensor(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, double low, double high)
{
    int64_t n = reel_shape_numel(shape);
    double *values = malloc((size_t)(n ? n : 1) * sizeof *values);
    float *floats = (float *)values;
    for (int64_t i = 0; i < n; i++) {
        float v = (float)draw_real(low, high);
        if (dtype == REEL_F32)
            floats[i] = v;
        else
            values[i] = v;
    }
    reel_tensor *x = reel_from(ctx, shape, dtype, values);
    free(values);
    return x;
}

// Values as float64, to be freed.
static inline double *values_of(reel_tensor *x)
{
    int64_t n = reel_numel(x);
    double *values = malloc((size_t)(n ? n : 1) * sizeof *values);
    const void *data = reel_data(x);
    cr_assert(data || n == 0, "%s", reel_ctx_error_message(reel_ctx_of(x)));
    for (int64_t i = 0; i < n; i++)
        values[i] = reel_dtype_of(x) == REEL_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
    return values;
}

// The largest |a - b| / (1 + |b|), NaN being equal to NaN.
static inline double difference(const double *a, const double *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))) continue;
        double d = fabs(a[i] - b[i]) / (1 + fabs(b[i]));
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    }
    return worst;
}

static inline double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

// A context of each instruction set this machine has; NULL past the last.
static inline reel_ctx *ctx_of_isa(int isa, int threads)
{
    static const char *const names[] = { "portable", "base", "avx2", "avx512" };
    if (isa > 3) return NULL;
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = names[isa], .threads = threads });
    cr_assert(ctx);
    if (!reel_ctx_error(ctx)) return ctx;
    reel_ctx_free(ctx);
    return NULL;
}

#define EACH_ISA(ctx)                                                                                                  \
    for (int isa_ = 0; isa_ < 4; isa_++)                                                                               \
        for (reel_ctx *ctx = ctx_of_isa(isa_, 2); ctx; reel_ctx_free(ctx), ctx = NULL)

static inline bool sound(reel_ctx *ctx)
{
    cr_assert(!reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
    return true;
}

// The error of a call that has to be refused; its message has to contain both texts. Clears it.
static inline void refused(reel_ctx *ctx, const reel_tensor *y, const char *op, const char *what)
{
    cr_assert_null(y);
    cr_assert_neq(reel_ctx_error(ctx), REEL_OK, "%s: no error (%s)", op, what);
    const char *message = reel_ctx_error_message(ctx);
    cr_assert(strstr(message, op) && strstr(message, what), "'%s' speaks of '%s' nowhere, or not of %s", message, what,
              op);
    reel_ctx_clear_error(ctx);
}

#endif
