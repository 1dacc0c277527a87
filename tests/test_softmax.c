// SPDX-License-Identifier: MIT
// The softmax family against plain loops along every axis, under every instruction set; its rules, bits and refusals.
#include "spatial.h"

enum { SOFTMAX, LOG_SOFTMAX, SOFTMIN, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD, KINDS };

static reel_tensor *apply(int kind, reel_tensor *x, reel_tensor *y, int dim)
{
    switch (kind) {
    case SOFTMAX: return reel_softmax(x, dim);
    case LOG_SOFTMAX: return reel_log_softmax(x, dim);
    case SOFTMIN: return reel_softmin(x, dim);
    case SOFTMAX_BACKWARD: return reel_softmax_backward(x, y, dim);
    default: return reel_log_softmax_backward(x, y, dim);
    }
}

// One line of n elements `stride` apart; size gets what the roundings of each result are in proportion to: it itself,
// and in the backward kinds, which end in a difference from a sum, the terms of that sum.
static void apply_plainly(int kind, const double *x, const double *y, double *out, double *size, int64_t n,
                          int64_t stride)
{
    double most = -INFINITY, sum = 0, terms = 0, sign = kind == SOFTMIN ? -1 : 1;
    for (int64_t i = 0; i < n; i++) most = fmax(most, sign * x[i * stride]);
    for (int64_t i = 0; i < n; i++) {
        double v = x[i * stride];
        double term = kind == SOFTMAX_BACKWARD       ? v * y[i * stride]
                      : kind == LOG_SOFTMAX_BACKWARD ? v
                                                     : exp(sign * v - most);
        sum += term, terms += fabs(term);
    }
    for (int64_t i = 0; i < n; i++) {
        double v = x[i * stride], factor = kind == SOFTMAX_BACKWARD ? y[i * stride] : exp(y[i * stride]);
        double *to = &out[i * stride];
        switch (kind) {
        case LOG_SOFTMAX: *to = v - most - log(sum); break;
        case SOFTMAX_BACKWARD: *to = factor * (v - sum); break;
        case LOG_SOFTMAX_BACKWARD: *to = v - factor * sum; break;
        default: *to = exp(sign * v - most) / sum;
        }
        size[i * stride] = 1 + fabs(*to) + (kind >= SOFTMAX_BACKWARD ? fabs(factor) * terms : 0);
    }
}

static void agree_with_plain_loops(reel_ctx *ctx, reel_dtype dtype)
{
    double tolerance = dtype == REEL_F64 ? 1e-14 : 1e-6;
    for (int turn = 0; turn < 150; turn++) REEL_SCOPE(ctx)
        {
            static const int64_t sizes[] = { 1, 2, 3, 5, 8, 10, 16, 17, 33, 64, 70, 130, 1000, 2100 };
            int kind = turn % KINDS, dim = (int)draw_in(0, 2);
            reel_shape shape = REEL_SHAPE(draw_in(1, 4), draw_in(1, 4), draw_in(1, 4));
            shape.dim[draw_in(0, 2)] = sizes[draw_in(0, 13)];
            if (draw_in(0, 3) == 0) shape.dim[2] = sizes[draw_in(0, 11)];
            reel_tensor *x = draw_tensor(ctx, shape, dtype, -8, 8), *y = draw_tensor(ctx, shape, dtype, -3, 0.5);
            reel_tensor *z = apply(kind, x, y, draw_in(0, 1) ? dim : dim - 3);
            cr_assert(sound(ctx) && z);
            double *in = values_of(x), *by = values_of(y), *out = values_of(z);
            double *right = malloc((size_t)reel_numel(x) * sizeof *right),
                   *size = malloc((size_t)reel_numel(x) * sizeof *size);
            int64_t n = shape.dim[dim], stride = 1;
            for (int d = dim + 1; d < 3; d++) stride *= shape.dim[d];
            for (int64_t r = 0; r < reel_numel(x) / n; r++) {
                int64_t at = r / stride * stride * n + r % stride;
                apply_plainly(kind, in + at, by + at, right + at, size + at, n, stride);
            }
            for (int64_t i = 0; i < reel_numel(x); i++)
                cr_assert(fabs(out[i] - right[i]) <= tolerance * size[i],
                          "kind %d along %d of [%d, %d, %d], %s: %g, not %g", kind, dim, (int)shape.dim[0],
                          (int)shape.dim[1], (int)shape.dim[2], reel_isa_name(reel_ctx_isa(ctx)), out[i], right[i]);
            free(in), free(by), free(out), free(right), free(size);
        }
}

Test(softmax, agrees_with_plain_loops_in_float64) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F64); }
Test(softmax, agrees_with_plain_loops_in_float32) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F32); }

Test(softmax, neither_overflows_nor_loses_what_is_far_below)
{
    EACH_ISA(ctx)
    {
        reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 3), (double[]) { 1e4, 0, -1e4, -1e4, -1e4, -1e4 });
        double *y = values_of(reel_softmax(x, 1)), *log_y = values_of(reel_log_softmax(x, 1));
        cr_assert(y[0] == 1 && y[1] == 0 && y[2] == 0 && fabs(y[3] - 1.0 / 3) < 1e-15);
        cr_assert(log_y[0] == 0 && log_y[1] == -1e4 && log_y[2] == -2e4 && fabs(log_y[4] + log(3)) < 1e-11);
        free(y), free(log_y);
    }
}

Test(softmax, special_values_stay_in_their_line)
{
    EACH_ISA(ctx)
    for (int width = 3; width < 100; width += 40) // a part of a vector, and several
        for (int along = 0; along < 2; along++) {
            double *v = malloc(4 * (size_t)width * sizeof *v), inf = INFINITY;
            for (int i = 0; i < 4 * width; i++) v[i] = i / width == 0 ? -inf : 0.5;
            v[width] = NAN, v[2 * width + 1] = inf, v[3 * width + 1] = -inf;
            reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(4, width), v);
            if (along == 0) x = reel_contiguous(reel_transpose(x, 0, 1));
            reel_tensor *t = reel_softmax(x, along);
            if (along == 0) t = reel_transpose(t, 0, 1);
            double *y = values_of(t);
            for (int i = 0; i < 3 * width; i++) cr_assert(isnan(y[i]));
            cr_assert(y[3 * width + 1] == 0 && fabs(y[3 * width] - 1.0 / (width - 1)) < 1e-15);
            free(v), free(y);
        }
}

typedef struct call {
    int kind, dim;
} call;

static int apply_call(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)ctx, (void)capacity;
    const call *c = user;
    out[0] = apply(c->kind, in[0], n_in > 1 ? in[1] : NULL, c->dim);
    return out[0] ? 1 : -1;
}

Test(softmax, derivatives_to_the_third_order_agree_with_finite_differences)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (call c = { 0 }; c.kind < KINDS; c.kind++)
        for (c.dim = 0; c.dim < 2; c.dim++) {
            reel_tensor *x[2];
            for (int i = 0; i < 2; i++) x[i] = draw_tensor(ctx, REEL_SHAPE(3, 4), REEL_F64, -1, 1);
            reel_gradcheck_report report;
            reel_gradcheck_opts opts = { .order = 3 };
            bool right = reel_gradcheck(apply_call, &c, x, c.kind < SOFTMAX_BACKWARD ? 1 : 2, &opts, &report);
            cr_assert(right, "kind %d along %d: %s", c.kind, c.dim, report.message);
        }
    reel_ctx_free(ctx);
}

Test(softmax, has_the_same_bits_at_any_number_of_threads)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int dim = 0; dim < 3; dim++) {
            double *first = NULL;
            for (int threads = 1; threads <= 4; threads *= 2) {
                reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
                reel_generator g = { .seed = 3 };
                reel_tensor *x = reel_rand(ctx, &g, REEL_SHAPE(70, 50, 90), REEL_F32, -3, 3);
                double *values = values_of(apply(kind, x, x, dim));
                if (first) cr_assert_eq(memcmp(first, values, 70 * 50 * 90 * sizeof *values), 0);
                if (first)
                    free(values);
                else
                    first = values;
                reel_ctx_free(ctx);
            }
            free(first);
        }
}

Test(softmax, takes_scalars_and_nothing_at_all)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    cr_assert_eq(reel_item(reel_softmax(reel_scalar(ctx, REEL_F32, 7), -1)), 1);
    cr_assert_eq(reel_item(reel_log_softmax(reel_scalar(ctx, REEL_F64, 7), 0)), 0);
    cr_assert_eq(reel_numel(reel_softmax(reel_zeros(ctx, REEL_SHAPE(0, 3), REEL_F32), 0)), 0);
    cr_assert(reel_eval(reel_softmax(reel_zeros(ctx, REEL_SHAPE(3, 0), REEL_F32), 1)));
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(softmax, what_does_not_fit_is_refused)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32);
    refused(ctx, reel_softmax(x, 2), "softmax", "dim 2 is out of range");
    refused(ctx, reel_log_softmax(x, -3), "log_softmax", "dim -3 is out of range");
    refused(ctx, reel_softmax(reel_cast(x, REEL_I64), 0), "softmax", "int64");
    refused(ctx, reel_softmax_backward(x, reel_zeros(ctx, REEL_SHAPE(2, 1), REEL_F32), 0), "softmax_backward",
            "one shape");
    cr_assert_null(reel_softmin(NULL, 0));
    sound(ctx);
    reel_ctx_free(ctx);
}
