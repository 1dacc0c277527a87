// SPDX-License-Identifier: MIT
// Cumulative ops and sorting against plain loops along every axis, under every instruction set; gradients at zeros,
// ties, NaN, bits and refusals.
#include "spatial.h"

static const int64_t sizes[] = { 1, 2, 3, 5, 8, 17, 31, 32, 33, 64, 70, 300 };

// Three axes, now and then a long one.
static reel_shape draw_shape(void)
{
    reel_shape shape = REEL_SHAPE(draw_in(1, 4), draw_in(1, 4), draw_in(1, 4));
    shape.dim[draw_in(0, 2)] = sizes[draw_in(0, 11)];
    if (draw_in(0, 2) == 0) shape.dim[draw_in(0, 2)] = sizes[draw_in(0, 11)];
    return shape;
}

static int64_t stride_of(reel_shape shape, int dim)
{
    int64_t stride = 1;
    for (int d = dim + 1; d < shape.ndim; d++) stride *= shape.dim[d];
    return stride;
}

enum { CUMSUM, CUMPROD, LOGCUMSUMEXP, LINEAR, KINDS };

static reel_tensor *scan(int kind, reel_tensor *x, reel_tensor *z, int dim, const reel_scan_opts *opts)
{
    switch (kind) {
    case CUMSUM: return reel_cumsum_with(x, dim, opts);
    case CUMPROD: return reel_cumprod_with(x, dim, opts);
    case LOGCUMSUMEXP: return reel_logcumsumexp(x, dim);
    default: return reel_linear_scan(x, z, dim, opts);
    }
}

static void scan_plainly(int kind, const double *x, const double *z, double *y, int64_t n, int64_t stride,
                         const reel_scan_opts *opts)
{
    double state = kind == CUMPROD, most = -INFINITY;
    for (int64_t k = 0; k < n; k++) {
        int64_t row = opts->reverse ? n - 1 - k : k, at = row * stride,
                back = opts->reverse ? at + stride : at - stride;
        double v = x[at], before = state;
        switch (kind) {
        case CUMSUM: state += v; break;
        case CUMPROD: state *= v; break;
        case LOGCUMSUMEXP:
            state = state * exp(most - fmax(most, v)) + exp(v - fmax(most, v));
            most = fmax(most, v);
            break;
        default: state = z[at] + (k == 0 ? 0 : state * (opts->lagged ? x[back] : v));
        }
        y[at] = kind == LOGCUMSUMEXP ? most + log(state) : opts->exclusive && kind != LINEAR ? before : state;
    }
}

static void agree_with_plain_loops(reel_ctx *ctx, reel_dtype dtype)
{
    for (int turn = 0; turn < 160; turn++) REEL_SCOPE(ctx)
        {
            int kind = turn % KINDS, dim = (int)draw_in(0, 2);
            reel_shape shape = draw_shape();
            reel_scan_opts opts = { 0 };
            if (kind != LOGCUMSUMEXP) opts = (reel_scan_opts) { draw_in(0, 1), draw_in(0, 1), draw_in(0, 1) };
            reel_tensor *x = draw_tensor(ctx, shape, dtype, kind == CUMPROD ? 0.9 : -1, 1.1);
            reel_tensor *z = draw_tensor(ctx, shape, dtype, -1, 1);
            reel_tensor *t = scan(kind, x, z, draw_in(0, 1) ? dim : dim - 3, &opts);
            cr_assert(sound(ctx) && t);
            double *in = values_of(x), *by = values_of(z), *out = values_of(t);
            double *right = malloc((size_t)reel_numel(x) * sizeof *right);
            int64_t n = shape.dim[dim], stride = stride_of(shape, dim);
            for (int64_t r = 0; r < reel_numel(x) / n; r++) {
                int64_t at = r / stride * stride * n + r % stride;
                scan_plainly(kind, in + at, by + at, right + at, n, stride, &opts);
            }
            double worst = difference(out, right, reel_numel(x));
            cr_assert(worst <= (dtype == REEL_F64 ? 1e-13 : 1e-6), "kind %d along %d, %s: off by %g", kind, dim,
                      reel_isa_name(reel_ctx_isa(ctx)), worst);
            free(in), free(by), free(out), free(right);
        }
}

Test(scan, agrees_with_plain_loops_in_float64) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F64); }
Test(scan, agrees_with_plain_loops_in_float32) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F32); }

Test(scan, of_integers_is_int64)
{
    EACH_ISA(ctx)
    for (int dtype = REEL_I64; dtype <= REEL_BOOL; dtype++)
        for (int dim = 0; dim < 2; dim++) {
            int64_t values[70 * 5];
            for (int i = 0; i < 350; i++) values[i] = draw_in(0, dtype == REEL_BOOL ? 1 : 3);
            reel_tensor *x = reel_cast(reel_longs(ctx, REEL_SHAPE(70, 5), values), (reel_dtype)dtype);
            const int64_t *sum = reel_data_i64(reel_cumsum(x, dim)), *product = reel_data_i64(reel_cumprod(x, dim));
            sound(ctx);
            for (int i = 0; i < 350; i++) {
                bool first = dim ? i % 5 == 0 : i < 5;
                int64_t before = first ? 0 : sum[dim ? i - 1 : i - 5],
                        factor = first ? 1 : product[dim ? i - 1 : i - 5];
                cr_assert(sum[i] == before + values[i]);
                cr_assert_eq((uint64_t)product[i], (uint64_t)factor * (uint64_t)values[i]);
            }
        }
}

Test(scan, keeps_the_last_of_equal_extremes_and_nan)
{
    EACH_ISA(ctx)
    for (int side = 1; side < 20; side += 18) {
        static const double line[] = { 1, 1, 0, NAN, 3, NAN };
        static const int64_t where[] = { 0, 1, 1, 3, 3, 5 };
        double v[6 * 19];
        for (int i = 0; i < 6 * side; i++) v[i] = line[i / side];
        reel_tensor *at, *y = reel_cummax(reel_doubles(ctx, REEL_SHAPE(6, side), v), 0, &at);
        double *values = values_of(y);
        sound(ctx);
        for (int i = 0; i < 6 * side; i++) {
            cr_assert_eq(reel_data_i64(at)[i], where[i / side]);
            cr_assert(i / side < 3 ? values[i] == 1 : isnan(values[i]));
        }
        free(values);
    }
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *at, *y = reel_cummin(reel_longs(ctx, REEL_SHAPE(4), (int64_t[]) { 3, -1, 5, -1 }), -1, &at);
    cr_assert(reel_data_i64(y)[0] == 3 && reel_data_i64(y)[3] == -1 && reel_data_i64(at)[2] == 1);
    cr_assert_eq(reel_data_i64(at)[3], 3);
    reel_ctx_free(ctx);
}

Test(scan, of_logarithms_takes_infinities)
{
    EACH_ISA(ctx)
    {
        double inf = INFINITY;
        reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 4), (double[]) { -inf, -inf, -800, 1, 1, inf, 0, NAN });
        double *y = values_of(reel_logcumsumexp(x, 1));
        cr_assert(y[0] == -inf && y[1] == -inf && y[2] == -800 && y[3] == 1);
        cr_assert(y[4] == 1 && y[5] == inf && y[6] == inf && isnan(y[7]));
        free(y);
    }
}

// ---- gradients ----

static void gradient_is(reel_tensor *y, reel_tensor *x, const double *right)
{
    reel_tensor *grad;
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &grad), "%s", reel_ctx_error_message(reel_ctx_of(y)));
    double *values = values_of(grad);
    cr_assert(difference(values, right, reel_numel(x)) < 1e-13, "[%g, %g, ...], not [%g, %g, ...]", values[0],
              values[1], right[0], right[1]);
    free(values);
}

Test(scan, is_differentiated_as_pytorch_does_at_zeros_and_infinities)
{
    double inf = INFINITY;
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(5), (double[]) { 1, 0, 2, 0, 1 }), true);
    reel_tensor *y = reel_cumprod(x, 0), *grad;
    gradient_is(y, x, (double[]) { 1, 3, 0, 0, 0 });
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &grad));
    gradient_is(grad, x, (double[]) { 3, 8, 1, 4, 0 });
    x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(4), (double[]) { -inf, -inf, 0, 1 }), true);
    double sigmoid = 1 / (1 + exp(1));
    gradient_is(reel_logcumsumexp(x, 0), x, (double[]) { NAN, NAN, 1 + sigmoid, 1 - sigmoid });
    x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(4), (double[]) { 1, inf, 0, 1 }), true);
    gradient_is(reel_logcumsumexp(x, 0), x, (double[]) { 1, NAN, 0, 0 });
    x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(5), (double[]) { 1, 1, 0, NAN, 3 }), true);
    gradient_is(reel_cummax(x, 0, NULL), x, (double[]) { 1, 2, 0, 2, 0 });
    x = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 2, 3, 1 }), true);
    gradient_is(reel_topk(x, 2, 0, false, NULL), x, (double[]) { 1, 1, 0 });
    gradient_is(reel_mul(reel_sort(x, 0, true, NULL), reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 1, 10, 100 })), x,
                (double[]) { 10, 1, 100 });
    reel_ctx_free(ctx);
}

typedef struct call {
    int kind;
    reel_scan_opts opts;
} call;

static int apply_call(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)ctx, (void)capacity;
    const call *c = user;
    out[0] = scan(c->kind, in[0], n_in > 1 ? in[1] : NULL, 1, &c->opts);
    return out[0] ? 1 : -1;
}

Test(scan, derivatives_agree_with_finite_differences_in_every_direction)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int kind = 0; kind < KINDS; kind++)
        for (int way = 0; way < 8; way++) {
            call c = { kind, { way & 1, way >> 1 & 1, way >> 2 & 1 } };
            reel_tensor *x[2] = { draw_tensor(ctx, REEL_SHAPE(2, 4), REEL_F64, -1, 1),
                                  draw_tensor(ctx, REEL_SHAPE(2, 4), REEL_F64, -1, 1) };
            reel_gradcheck_report report;
            reel_gradcheck_opts opts = { .order = kind == LINEAR ? 2 : 3 };
            bool right = reel_gradcheck(apply_call, &c, x, kind == LINEAR ? 2 : 1, &opts, &report);
            cr_assert(right, "kind %d, way %d: %s", kind, way, report.message);
        }
    reel_ctx_free(ctx);
}

// ---- sorting ----

static int nan_last(double a, double b) { return isnan(a) || isnan(b) ? isnan(a) - isnan(b) : (a > b) - (a < b); }

static void check_sort(reel_ctx *ctx, reel_dtype dtype)
{
    reel_shape shape = draw_shape();
    int dim = (int)draw_in(0, 2);
    bool descending = draw_in(0, 1), whole = draw_in(0, 1), is_float = reel_dtype_is_float(dtype);
    int64_t n = reel_shape_numel(shape), size = shape.dim[dim], stride = stride_of(shape, dim);
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = dtype == REEL_BOOL ? (double)draw_in(0, 1) : draw_real(dtype == REEL_U8 ? 0 : -60, 60);
        if (!is_float || draw_in(0, 1)) x[i] = trunc(x[i] / 9); // ties, and zeros of both signs
        if (is_float) x[i] = draw_in(0, 20) == 0 ? NAN : draw_in(0, 30) == 0 ? -INFINITY : (double)(float)x[i];
    }
    int64_t k = whole ? size : draw_in(0, size);
    reel_tensor *t = reel_cast(reel_doubles(ctx, shape, x), dtype), *at;
    reel_tensor *y = whole ? reel_sort(t, dim, descending, &at) : reel_topk(t, k, dim - 3, !descending, &at);
    double *values = values_of(reel_cast(y, REEL_F64));
    const int64_t *index = reel_data_i64(at);
    sound(ctx);
    cr_assert_eq(reel_size(y, dim), k);
    for (int64_t r = 0; r < n / size; r++) {
        const double *line = x + r / stride * stride * size + r % stride;
        int64_t to = r / stride * stride * k + r % stride;
        bool *seen = calloc((size_t)size, 1);
        for (int64_t i = 0; i < k; i++) {
            int64_t from = index[to + i * stride];
            cr_assert(from >= 0 && from < size && !seen[from]);
            seen[from] = true;
            double v = line[from * stride];
            cr_assert(v == values[to + i * stride] || (isnan(v) && isnan(values[to + i * stride])));
            if (i == 0) continue;
            int64_t before = index[to + (i - 1) * stride];
            int order = nan_last(line[before * stride], v) * (descending ? -1 : 1);
            cr_assert(order < 0 || (order == 0 && before < from), "not in order, or not stable");
        }
        for (int64_t i = 0; k > 0 && i < size; i++) // what was left out comes after the last
            if (!seen[i]) {
                int64_t last = index[to + (k - 1) * stride];
                int order = nan_last(line[last * stride], line[i * stride]) * (descending ? -1 : 1);
                cr_assert(order < 0 || (order == 0 && last < i));
            }
        free(seen);
    }
    if (whole) cr_assert_eq(memcmp(reel_data_i64(reel_argsort(t, dim, descending)), index, (size_t)n * 8), 0);
    free(x), free(values);
}

Test(sort, is_stable_and_has_nan_last_along_any_axis)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int turn = 0; turn < 300; turn++) REEL_SCOPE(ctx) check_sort(ctx, (reel_dtype)(turn % REEL_DTYPE_COUNT));
    reel_ctx_free(ctx);
}

// Random, rising, falling, equal, and full of NaN.
static double drawn_for_topk(int kind, int i)
{
    switch (kind) {
    case 0: return draw_real(-60, 60);
    case 1: return i;
    case 2: return -i;
    case 3: return 7;
    case 4: return draw_in(0, 2) ? NAN : draw_real(-1, 1);
    default: return trunc(draw_real(-9, 9)); // ties
    }
}

Test(sort, topk_of_long_lines_is_what_sort_puts_first)
{
    static double x[3 * 3001];
    static const reel_dtype dtypes[] = { REEL_F32, REEL_F64, REEL_I64, REEL_U8 };
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int turn = 0; turn < 96; turn++) REEL_SCOPE(ctx)
        {
            int64_t size = turn % 2 ? 3001 : 800, k = turn % 3 == 0 ? 33 : turn % 3 == 1 ? size / 16 : draw_in(33, size / 4);
            reel_dtype dtype = dtypes[turn / 6 % 4];
            int kind = turn % 6;
            bool descending = draw_in(0, 1);
            for (int i = 0; i < 3 * size; i++) x[i] = drawn_for_topk(kind, i);
            if (kind == 4 && !reel_dtype_is_float(dtype)) continue; // NaN is none of theirs
            if (dtype == REEL_U8)
                for (int i = 0; i < 3 * size; i++) x[i] = fabs(fmod(trunc(x[i]), 256));
            reel_tensor *t = reel_cast(reel_doubles(ctx, REEL_SHAPE(3, size), x), dtype), *first, *order;
            reel_tensor *best = reel_topk(t, k, 1, !descending, &first), *sorted = reel_sort(t, 1, descending, &order);
            double *got = values_of(reel_cast(best, REEL_F64)), *right = values_of(reel_cast(sorted, REEL_F64));
            const int64_t *at = reel_data_i64(first), *all = reel_data_i64(order);
            sound(ctx);
            for (int64_t r = 0; r < 3; r++)
                for (int64_t i = 0; i < k; i++) {
                    cr_assert_eq(at[r * k + i], all[r * size + i], "place %d of %d", (int)i, (int)k);
                    cr_assert(got[r * k + i] == right[r * size + i] || isnan(right[r * size + i]));
                }
            free(got), free(right);
        }
    reel_ctx_free(ctx);
}

Test(sort, orders_the_ends_of_each_dtype)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    int64_t values[40], right[3] = { INT64_MIN, -1, INT64_MAX };
    for (int i = 0; i < 40; i++) values[i] = right[(i * 7 + 2) % 3];
    const int64_t *y = reel_data_i64(reel_sort(reel_longs(ctx, REEL_SHAPE(40), values), 0, false, NULL));
    cr_assert(y[0] == INT64_MIN && y[39] == INT64_MAX);
    for (int i = 1; i < 40; i++) cr_assert(y[i - 1] <= y[i]);
    reel_ctx_free(ctx);
}

Test(sort, has_the_same_bits_at_any_number_of_threads)
{
    int64_t *first = NULL, n = 50 * 700 * 3;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        reel_generator g = { .seed = 5 };
        reel_tensor *x = reel_round(reel_rand(ctx, &g, REEL_SHAPE(50, 700, 3), REEL_F32, 0, 100)), *at;
        cr_assert(reel_sort(x, 1, true, &at));
        double *sum = values_of(reel_add(reel_cumsum(x, 1), reel_logcumsumexp(x, 0)));
        int64_t *bits = malloc((size_t)n * 16);
        memcpy(bits, reel_data_i64(at), (size_t)n * 8), memcpy(bits + n, sum, (size_t)n * 8);
        if (first) cr_assert_eq(memcmp(first, bits, (size_t)n * 16), 0);
        if (first)
            free(bits);
        else
            first = bits;
        free(sum);
        reel_ctx_free(ctx);
    }
    free(first);
}

Test(scan, takes_scalars_and_nothing_at_all)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(reel_scalar(ctx, REEL_F64, 3), true), *at;
    for (int kind = 0; kind < KINDS; kind++) {
        reel_tensor *y = scan(kind, x, x, -1, NULL);
        cr_assert_eq(reel_item(y), 3);
        gradient_is(y, x, (double[]) { 1, 1 });
    }
    gradient_is(reel_cumprod_with(x, 0, &(reel_scan_opts) { .exclusive = true }), x, (double[]) { 0, 0 });
    gradient_is(reel_cummax(x, 0, NULL), x, (double[]) { 1, 1 });
    gradient_is(reel_sort(x, 0, false, &at), x, (double[]) { 1, 1 });
    cr_assert_eq(reel_item(at), 0);
    cr_assert_eq(reel_item(reel_topk(x, 1, 0, true, NULL)), 3);
    reel_tensor *none = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(0, 2), REEL_F64), true);
    for (int dim = 0; dim < 2; dim++) {
        for (int kind = 0; kind < KINDS; kind++)
            gradient_is(scan(kind, none, none, dim, NULL), none, (double[]) { 0, 0 });
        gradient_is(reel_sort(none, dim, true, NULL), none, (double[]) { 0, 0 });
        gradient_is(reel_cummin(none, dim, NULL), none, (double[]) { 0, 0 });
    }
    cr_assert_eq(reel_numel(reel_topk(reel_zeros(ctx, REEL_SHAPE(3), REEL_F32), 0, 0, false, NULL)), 0);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(scan, what_does_not_fit_is_refused)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *whole = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_I32),
                *at;
    refused(ctx, reel_cumsum(x, 2), "cumsum", "dim 2 is out of range");
    refused(ctx, reel_argsort(x, 2, false), "argsort: ", "dim 2 is out of range");
    refused(ctx, reel_cumprod(x, -3), "cumprod", "out of range");
    refused(ctx, reel_logcumsumexp(whole, 0), "logcumsumexp", "int32");
    refused(ctx, reel_linear_scan(x, whole, 0, NULL), "linear_scan", "one shape and dtype");
    refused(ctx, reel_cummax(x, 5, &at), "cummax", "out of range");
    cr_assert_null(at);
    refused(ctx, reel_sort(x, 2, false, &at), "sort", "out of range");
    refused(ctx, reel_argsort(x, 2, false), "sort", "out of range");
    refused(ctx, reel_topk(x, 4, 1, false, &at), "topk", "k is 4, but axis 1 has 3");
    refused(ctx, reel_topk(x, -1, 0, false, NULL), "topk", "k is -1");
    refused(ctx, reel_topk(x, INT64_MAX, 0, false, NULL), "topk", "k is 9223372036854775807");
    cr_assert_null(reel_cumsum(NULL, 0));
    sound(ctx);
    reel_ctx_free(ctx);
}
