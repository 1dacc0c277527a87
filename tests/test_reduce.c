// SPDX-License-Identifier: MIT
// Reductions against plain loops over random shapes, axes and views, under every instruction set; their accuracy,
// conventions and bits; what they refuse.
#include "spatial.h"
#include <limits.h>

enum { SUM, MEAN, PROD, AMAX, AMIN, LOGSUMEXP, VAR, STD, NORM2, NORM1, NORM3, NORM_INF, NORM_MINUS_INF, NORM0, KINDS };
static const char *const kind_names[] = { "sum", "mean",  "prod",  "amax",  "amin",     "logsumexp", "var",
                                          "std", "norm2", "norm1", "norm3", "norm inf", "norm -inf", "norm0" };

static reel_tensor *reduce(int kind, reel_tensor *x, reel_dims dims, bool keepdim)
{
    switch (kind) {
    case SUM: return reel_sum(x, dims, keepdim);
    case MEAN: return reel_mean(x, dims, keepdim);
    case PROD: return reel_prod(x, dims, keepdim);
    case AMAX: return reel_amax(x, dims, keepdim);
    case AMIN: return reel_amin(x, dims, keepdim);
    case LOGSUMEXP: return reel_logsumexp(x, dims, keepdim);
    case VAR: return reel_var(x, dims, &(reel_var_opts) { .keepdim = keepdim });
    case STD: return reel_std(x, dims, &(reel_var_opts) { .keepdim = keepdim, .biased = true });
    case NORM2: return reel_norm(x, 2, dims, keepdim);
    case NORM1: return reel_norm(x, 1, dims, keepdim);
    case NORM3: return reel_norm(x, 3, dims, keepdim);
    case NORM_INF: return reel_norm(x, INFINITY, dims, keepdim);
    case NORM_MINUS_INF: return reel_norm(x, -INFINITY, dims, keepdim);
    default: return reel_norm(x, 0, dims, keepdim);
    }
}

static double reduce_plainly(int kind, const double *x, int64_t n)
{
    double sum = 0, product = 1, most = -INFINITY, least = INFINITY, cubes = 0, squares = 0, deviations = 0, exps = 0;
    double sizes = 0, largest = 0, smallest = INFINITY, count = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i], product *= x[i], sizes += fabs(x[i]);
        most = fmax(most, x[i]), least = fmin(least, x[i]);
        largest = fmax(largest, fabs(x[i])), smallest = fmin(smallest, fabs(x[i]));
        squares += x[i] * x[i], cubes += pow(fabs(x[i]), 3), count += x[i] != 0;
    }
    for (int64_t i = 0; i < n; i++) deviations += pow(x[i] - sum / (double)n, 2), exps += exp(x[i] - most);
    switch (kind) {
    case SUM: return sum;
    case MEAN: return sum / (double)n;
    case PROD: return product;
    case AMAX: return most;
    case AMIN: return least;
    case LOGSUMEXP: return most + log(exps);
    case VAR: return deviations / (double)(n - 1);
    case STD: return sqrt(deviations / (double)n);
    case NORM2: return sqrt(squares);
    case NORM1: return sizes;
    case NORM3: return cbrt(cubes);
    case NORM_INF: return largest;
    case NORM_MINUS_INF: return smallest;
    default: return count;
    }
}

// Some tensor, contiguous or a view: axes permuted, broadcast, reversed or stepped over.
static reel_tensor *draw_view(reel_ctx *ctx, reel_dtype dtype, double low, double high)
{
    reel_shape shape = { .ndim = (int)draw_in(0, 4) };
    for (int d = 0; d < shape.ndim; d++) {
        int64_t size = draw_in(0, 9);
        shape.dim[d] = size < 7 ? draw_in(1, 6) : size == 7 ? 1 : shape.ndim < 3 ? draw_in(60, 300) : draw_in(20, 50);
    }
    reel_tensor *x = draw_tensor(ctx, shape, dtype, low, high);
    if (shape.ndim == 0 || draw_in(0, 2) == 0) return x;
    reel_dims order = { .count = shape.ndim };
    for (int d = 0; d < shape.ndim; d++) order.dim[d] = d;
    for (int d = shape.ndim - 1; d > 0; d--) {
        int other = (int)draw_in(0, d), held = order.dim[d];
        order.dim[d] = order.dim[other], order.dim[other] = held;
    }
    if (draw_in(0, 1)) x = reel_permute(x, order);
    if (draw_in(0, 3) == 0) x = reel_flip(x, REEL_DIMS((int)draw_in(0, shape.ndim - 1)));
    if (draw_in(0, 3) == 0) x = reel_slice(x, (int)draw_in(0, shape.ndim - 1), 0, INT64_MAX, 2);
    if (draw_in(0, 3) == 0) {
        int at = (int)draw_in(0, shape.ndim);
        x = reel_unsqueeze(x, at);
        reel_shape wide = reel_shape_of(x);
        wide.dim[at] = draw_in(1, 5);
        x = reel_expand(x, wide);
    }
    return x;
}

static reel_dims draw_dims(int ndim, uint32_t *mask)
{
    reel_dims dims = { 0 };
    *mask = 0;
    for (int d = 0; d < ndim; d++)
        if (draw_in(0, 1)) {
            dims.dim[dims.count++] = draw_in(0, 1) ? d : d - ndim;
            *mask |= 1u << d;
        }
    if (dims.count == 0) *mask = (1u << ndim) - 1;
    return dims;
}

// The elements of row-major x that meet in each result, gathered; returns how many meet, and in *results how many
// times.
static int64_t gather(const double *x, reel_shape shape, uint32_t mask, double **lines, int64_t *results)
{
    int64_t n = reel_shape_numel(shape), line = 1;
    for (int d = 0; d < shape.ndim; d++)
        if (mask >> d & 1) line *= shape.dim[d];
    *results = line ? n / line : 0;
    *lines = malloc((size_t)(n + 1) * sizeof **lines);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, to = 0, in = 0, to_stride = 1, in_stride = 1;
        for (int d = shape.ndim - 1; d >= 0; d--) {
            int64_t at = rest % shape.dim[d];
            rest /= shape.dim[d];
            if (mask >> d & 1)
                in += at * in_stride, in_stride *= shape.dim[d];
            else
                to += at * to_stride, to_stride *= shape.dim[d];
        }
        (*lines)[to * line + in] = x[i];
    }
    return line;
}

static void agree_with_plain_loops(reel_ctx *ctx, reel_dtype dtype)
{
    double tolerance = dtype == REEL_F64 ? 2e-14 : 1e-6;
    for (int turn = 0; turn < 200; turn++) REEL_SCOPE(ctx)
        {
            int kind = turn % KINDS;
            uint32_t mask;
            reel_tensor *x = kind == PROD ? draw_view(ctx, dtype, 0.9, 1.1) : draw_view(ctx, dtype, -2, 3);
            reel_shape shape = reel_shape_of(x);
            reel_dims dims = draw_dims(shape.ndim, &mask);
            bool keepdim = draw_in(0, 1);
            reel_tensor *y = reduce(kind, x, dims, keepdim);
            cr_assert(sound(ctx) && y);
            double *in = values_of(x), *out = values_of(y), *lines;
            int64_t results, line = gather(in, shape, mask, &lines, &results);
            cr_assert_eq(reel_numel(y), results);
            cr_assert_eq(reel_ndim(y), keepdim ? shape.ndim : shape.ndim - __builtin_popcount(mask));
            for (int64_t i = 0; i < results; i++) {
                double right = reduce_plainly(kind, lines + i * line, line), error = fabs(out[i] - right);
                double size = kind == SUM || kind == MEAN ? reduce_plainly(NORM1, lines + i * line, line) : fabs(right);
                if (kind == MEAN) size /= (double)line;
                if (kind == PROD && dtype == REEL_F32) size *= 1 + 0.06 * (double)line; // every factor rounds
                if (isnan(out[i]) && isnan(right)) continue;
                cr_assert(error <= tolerance * (1 + size), "%s of %lld elements, %s: %.17g, but %.17g is right",
                          kind_names[kind], (long long)line, reel_isa_name(reel_ctx_isa(ctx)), out[i], right);
            }
            free(in), free(out), free(lines);
        }
}

Test(reduce, agrees_with_plain_loops_in_float64) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F64); }
Test(reduce, agrees_with_plain_loops_in_float32) { EACH_ISA(ctx) agree_with_plain_loops(ctx, REEL_F32); }

// ---- integers, bool, and where an extreme stands ----

static void check_integers(reel_ctx *ctx, reel_dtype dtype)
{
    enum { A = 5, B = 70, C = 3 };
    int64_t values[A * B * C];
    for (int i = 0; i < A * B * C; i++)
        values[i] = dtype == REEL_BOOL ? draw_in(0, 1) : draw_in(dtype == REEL_U8 ? 0 : -9, 9);
    reel_tensor *x = reel_cast(reel_longs(ctx, REEL_SHAPE(A, B, C), values), dtype);
    for (int dim = 0; dim < 3; dim++) {
        const int64_t sizes[] = { A, B, C }, strides[] = { B * C, C, 1 };
        int64_t n = sizes[dim], stride = strides[dim];
        const int64_t *sum = reel_data_i64(reel_sum(x, REEL_DIMS(dim), false));
        const int64_t *product = reel_data_i64(reel_prod(x, REEL_DIMS(dim), false));
        const int64_t *count = reel_data_i64(reel_count_nonzero(x, REEL_DIMS(dim)));
        const bool *any = reel_data(reel_any(x, REEL_DIMS(dim), false)),
                   *all = reel_data(reel_all(x, REEL_DIMS(dim), false));
        const int64_t *most = reel_data_i64(reel_cast(reel_amax(x, REEL_DIMS(dim), false), REEL_I64));
        const int64_t *least = reel_data_i64(reel_cast(reel_amin(x, REEL_DIMS(dim), false), REEL_I64));
        reel_arg_opts opts = { .dim = REEL_DIMS(dim) };
        const int64_t *at_most = dtype == REEL_BOOL ? NULL : reel_data_i64(reel_argmax(x, &opts));
        const int64_t *at_least = dtype == REEL_BOOL ? NULL : reel_data_i64(reel_argmin(x, &opts));
        sound(ctx);
        for (int64_t r = 0; r < A * B * C / n; r++) {
            const int64_t *line = values + r / stride * stride * n + r % stride;
            int64_t s = 0, p = 1, c = 0, m = 0, l = 0;
            for (int64_t i = 0; i < n; i++) {
                int64_t v = line[i * stride];
                s += v, c += v != 0, p = (int64_t)((uint64_t)p * (uint64_t)v);
                if (v > line[m * stride]) m = i;
                if (v < line[l * stride]) l = i;
            }
            cr_assert(sum[r] == s && product[r] == p && count[r] == c && any[r] == (c > 0) && all[r] == (c == n));
            cr_assert(most[r] == line[m * stride] && least[r] == line[l * stride]);
            cr_assert(!at_most || (at_most[r] == m && at_least[r] == l));
        }
    }
}

// Products go on in float64: what comes between may be beyond float32.
Test(reduce, a_product_may_leave_the_range_and_come_back)
{
    enum { ROWS = 37, COLUMNS = 19 };
    float x[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) x[i] = i / COLUMNS < 18 ? 1e12f : i / COLUMNS < 36 ? 1e-12f : 3;
    EACH_ISA(ctx)
    {
        reel_tensor *t = reel_floats(ctx, REEL_SHAPE(ROWS, COLUMNS), x);
        const float *down = reel_data_f32(reel_prod(t, REEL_DIMS(0), false));
        const float *along = reel_data_f32(reel_prod(reel_contiguous(reel_transpose(t, 0, 1)), REEL_DIMS(1), false));
        sound(ctx);
        for (int j = 0; j < COLUMNS; j++) {
            cr_assert_float_eq((double)down[j], 3, 1e-5);
            cr_assert_float_eq((double)along[j], 3, 1e-5);
        }
    }
}

Test(reduce, is_exact_on_integers_and_bool)
{
    EACH_ISA(ctx)
    for (int dtype = REEL_I64; dtype <= REEL_BOOL; dtype++) check_integers(ctx, (reel_dtype)dtype);
}

static void check_arg(reel_ctx *ctx, reel_dtype dtype, reel_shape shape)
{
    reel_tensor *x = reel_round(draw_tensor(ctx, shape, dtype, -30, 30)); // ties: the first counts
    double *v = values_of(x);
    if (shape.ndim == 1 && draw_in(0, 1)) { // NaN beats all, the first one
        double nan = NAN;
        int64_t at = draw_in(0, shape.dim[0] - 1);
        v[at] = nan, v[shape.dim[0] - 1] = nan;
        x = reel_cast(reel_doubles(ctx, shape, v), dtype);
    }
    for (int dim = 0; dim < shape.ndim; dim++) {
        int64_t n = shape.dim[dim], stride = 1;
        for (int d = dim + 1; d < shape.ndim; d++) stride *= shape.dim[d];
        const int64_t *most = reel_data_i64(reel_argmax(x, &(reel_arg_opts) { .dim = REEL_DIMS(dim) }));
        const int64_t *least =
            reel_data_i64(reel_argmin(x, &(reel_arg_opts) { .dim = REEL_DIMS(dim), .keepdim = true }));
        sound(ctx);
        for (int64_t r = 0; r < reel_numel(x) / n; r++) {
            const double *line = v + r / stride * stride * n + r % stride;
            int64_t m = 0, l = 0;
            for (int64_t i = 1; i < n; i++) {
                if (line[i * stride] > line[m * stride] || (isnan(line[i * stride]) && !isnan(line[m * stride]))) m = i;
                if (line[i * stride] < line[l * stride] || (isnan(line[i * stride]) && !isnan(line[l * stride]))) l = i;
            }
            cr_assert(most[r] == m && least[r] == l, "along %d of %d at %lld: %lld and %lld, not %lld and %lld", dim,
                      shape.ndim, (long long)r, (long long)most[r], (long long)least[r], (long long)m, (long long)l);
        }
    }
    free(v);
}

Test(reduce, finds_the_first_extreme_along_an_axis)
{
    EACH_ISA(ctx)
    for (int dtype = REEL_F32; dtype <= REEL_F64; dtype++)
        for (int turn = 0; turn < 30; turn++) REEL_SCOPE(ctx)
            {
                check_arg(ctx, (reel_dtype)dtype, REEL_SHAPE(draw_in(1, 300)));
                check_arg(ctx, (reel_dtype)dtype, REEL_SHAPE(draw_in(1, 5), draw_in(1, 70), draw_in(1, 40)));
            }
    EACH_ISA(ctx) check_arg(ctx, REEL_F32, REEL_SHAPE(200003));
}

Test(reduce, without_an_axis_an_extreme_has_its_flat_index)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(2, 3), (float[]) { 1, 5, 2, 5, -7, 0 });
    reel_tensor *y = reel_argmax(x, &(reel_arg_opts) { .keepdim = true });
    cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(1, 1)) && reel_item(y) == 1);
    cr_assert(reel_item(reel_argmin(x, NULL)) == 4 && reel_ndim(reel_argmin(x, NULL)) == 0);
    cr_assert_eq(reel_item(reel_argmax(reel_scalar(ctx, REEL_F32, 3), &(reel_arg_opts) { .dim = REEL_DIMS(-1) })), 0);
    sound(ctx);
    reel_ctx_free(ctx);
}

// ---- accuracy and bits ----

Test(reduce, of_ten_million_float32_is_right_to_a_millionth)
{
    int64_t n = 10000000;
    float *x = malloc((size_t)n * sizeof *x);
    for (int turn = 0; turn < 2; turn++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) {
            x[i] = turn ? 0.1f : (float)draw_real(0, 1);
            sum += (double)x[i], squares += (double)x[i] * (double)x[i];
        }
        EACH_ISA(ctx)
        {
            reel_tensor *t = reel_borrow(ctx, REEL_SHAPE(n), REEL_F32, x);
            double got = reel_item(reel_sum(t, REEL_ALL_DIMS, false));
            double norm = reel_item(reel_norm(t, 2, REEL_ALL_DIMS, false));
            cr_assert(fabs(got - sum) <= 2e-7 * sum, "%.10g, not %.10g", got, sum);
            cr_assert(fabs(norm - sqrt(squares)) <= 2e-7 * sqrt(squares));
            double *down = values_of(reel_sum(reel_reshape(t, REEL_SHAPE(n / 4, 4)), REEL_DIMS(0), false));
            cr_assert(fabs(down[0] + down[1] + down[2] + down[3] - sum) <= 2e-7 * sum);
            free(down);
        }
    }
    free(x);
}

Test(reduce, has_the_same_bits_at_any_number_of_threads)
{
    static const int64_t shapes[][3] = {
        { 1, 1, 700001 }, { 40, 50, 300 }, { 300, 400, 7 }, { 3, 60000, 4 }, { 2, 9, 40000 }
    };
    for (int s = 0; s < 5; s++) {
        double *first[KINDS][8] = { { NULL } };
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
            reel_generator g = { .seed = 3 };
            reel_shape shape = REEL_SHAPE(shapes[s][0], shapes[s][1], shapes[s][2]);
            reel_tensor *x = reel_rand(ctx, &g, shape, REEL_F32, 0.5, 1.5);
            cr_assert(reel_eval(x));
            for (int kind = 0; kind < KINDS; kind++)
                for (uint32_t mask = 1; mask < 8; mask++) {
                    reel_dims dims = { 0 };
                    for (int d = 0; d < 3; d++)
                        if (mask >> d & 1) dims.dim[dims.count++] = d;
                    reel_tensor *y = reduce(kind, x, dims, false);
                    double *values = values_of(y), **kept = &first[kind][mask];
                    if (*kept) cr_assert_eq(memcmp(*kept, values, (size_t)reel_numel(y) * sizeof *values), 0);
                    if (*kept)
                        free(values);
                    else
                        *kept = values;
                    reel_free(y);
                }
            reel_ctx_free(ctx);
        }
        for (int kind = 0; kind < KINDS; kind++)
            for (int mask = 0; mask < 8; mask++) free(first[kind][mask]);
    }
}

// ---- conventions ----

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(reduce_conventions, .init = begin, .fini = end);

// The gradient of the sum of y by x, and by turns that of its own sum, is `right`.
static reel_tensor *gradient_is(reel_tensor *y, reel_tensor *x, const double *right)
{
    reel_tensor *grad;
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &grad), "%s", reel_ctx_error_message(ctx));
    double *values = values_of(grad);
    cr_assert(difference(values, right, reel_numel(x)) < 1e-13, "[%g, %g, ...], not [%g, %g, ...]", values[0],
              values[1], right[0], right[1]);
    free(values);
    return grad;
}

static reel_tensor *leaf(int64_t n, const double *values)
{
    return reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(n), values), true);
}

Test(reduce_conventions, ties_share_the_cotangent_evenly)
{
    reel_tensor *x = leaf(4, (double[]) { 1, 3, 3, 2 });
    gradient_is(reel_amax(x, REEL_ALL_DIMS, false), x, (double[]) { 0, 0.5, 0.5, 0 });
    gradient_is(reel_amin(x, REEL_DIMS(0), true), x, (double[]) { 1, 0, 0, 0 });
    x = leaf(3, (double[]) { 1, -1, 1 });
    gradient_is(reel_norm(x, INFINITY, REEL_ALL_DIMS, false), x, (double[]) { 1.0 / 3, -1.0 / 3, 1.0 / 3 });
}

Test(reduce_conventions, a_product_is_differentiated_through_its_zeros)
{
    reel_tensor *x = leaf(3, (double[]) { 3, 4, 0 });
    reel_tensor *grad = gradient_is(reel_prod(x, REEL_ALL_DIMS, false), x, (double[]) { 0, 0, 12 });
    gradient_is(grad, x, (double[]) { 4, 3, 7 });
    x = leaf(5, (double[]) { 1, 0, 2, 0, 1 });
    grad = gradient_is(reel_prod(x, REEL_DIMS(0), true), x, (double[]) { 0, 0, 0, 0, 0 });
    grad = gradient_is(grad, x, (double[]) { 0, 2, 0, 2, 0 });
    // The sum of second derivatives is 2 e_3(x), with e_k the elementary symmetric polynomials: its gradient is 2 e_2.
    gradient_is(grad, x, (double[]) { 4, 10, 2, 10, 4 });
}

Test(reduce_conventions, where_a_root_is_zero_so_is_its_gradient)
{
    reel_tensor *x = leaf(2, (double[]) { 0, 0 });
    reel_tensor *grad = gradient_is(reel_norm(x, 2, REEL_ALL_DIMS, false), x, (double[]) { 0, 0 });
    gradient_is(grad, x, (double[]) { 0, 0 });
    gradient_is(reel_std(reel_add_scalar(x, 1), REEL_ALL_DIMS, NULL), x, (double[]) { 0, 0 });
    gradient_is(reel_norm(x, 3, REEL_ALL_DIMS, false), x, (double[]) { 0, 0 });
    x = leaf(3, (double[]) { 0, 0.5, -1 });
    gradient_is(reel_norm(x, 0.5, REEL_ALL_DIMS, false), x, (double[]) { 0, 1 + sqrt(2), -(1 + sqrt(0.5)) });
    gradient_is(reel_norm(x, 1, REEL_ALL_DIMS, false), x, (double[]) { 0, 1, -1 });
}

Test(reduce_conventions, nothing_has_a_sum_and_a_product_but_no_mean)
{
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 0, 3), REEL_F32);
    double *sum = values_of(reel_sum(x, REEL_DIMS(1), false)), *product = values_of(reel_prod(x, REEL_DIMS(1), true));
    for (int i = 0; i < 6; i++) cr_assert(sum[i] == 0 && product[i] == 1);
    cr_assert(isnan(reel_item(reel_mean(x, REEL_ALL_DIMS, false))));
    cr_assert(isnan(reel_item(reel_var(x, REEL_ALL_DIMS, NULL))));
    cr_assert_eq(reel_item(reel_logsumexp(x, REEL_ALL_DIMS, false)), -INFINITY);
    cr_assert_eq(reel_item(reel_norm(x, 2, REEL_ALL_DIMS, false)), 0);
    cr_assert_eq(reel_item(reel_any(x, REEL_ALL_DIMS, false)), 0);
    cr_assert_eq(reel_item(reel_all(x, REEL_ALL_DIMS, false)), 1);
    cr_assert_eq(reel_numel(reel_amax(x, REEL_DIMS(0), false)), 0); // no result is asked for
    cr_assert(sound(ctx));
    free(sum), free(product);
}

Test(reduce_conventions, infinities_and_nan_go_through)
{
    double inf = INFINITY;
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(4, 2), (double[]) { -inf, -inf, inf, 1, NAN, 2, -inf, 0 });
    double *lse = values_of(reel_logsumexp(x, REEL_DIMS(1), false)),
           *most = values_of(reel_amax(x, REEL_DIMS(1), false));
    cr_assert(lse[0] == -inf && lse[1] == inf && isnan(lse[2]) && lse[3] == 0);
    cr_assert(most[0] == -inf && most[1] == inf && isnan(most[2]) && most[3] == 0);
    const bool *any = reel_data(reel_any(x, REEL_DIMS(1), false)), *all = reel_data(reel_all(x, REEL_DIMS(1), false));
    cr_assert(any[2] && all[2] && !all[3] && any[3]);
    reel_tensor *huge = reel_full(ctx, REEL_SHAPE(3), REEL_F32, 1e4);
    cr_assert_float_eq(reel_item(reel_logsumexp(huge, REEL_ALL_DIMS, false)), 1e4 + log(3), 2e-3);
    free(lse), free(most);
}

Test(reduce_conventions, few_degrees_of_freedom_divide_by_zero)
{
    reel_tensor *one = reel_ones(ctx, REEL_SHAPE(1), REEL_F64),
                *two = reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, 2 });
    cr_assert(isnan(reel_item(reel_var(one, REEL_ALL_DIMS, NULL))));
    cr_assert_eq(reel_item(reel_var(one, REEL_ALL_DIMS, &(reel_var_opts) { .biased = true })), 0);
    cr_assert_eq(reel_item(reel_var(two, REEL_ALL_DIMS, &(reel_var_opts) { .correction = 3 })), INFINITY);
    cr_assert_eq(reel_item(reel_var(two, REEL_ALL_DIMS, &(reel_var_opts) { .correction = 1.5 })), 1);
}

Test(reduce_conventions, broadcasts_are_summed_back)
{
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 3, 4), REEL_F64, -1, 1);
    cr_assert_eq(reel_sum_to(x, REEL_SHAPE(2, 3, 4)), x);
    double *v = values_of(x), *row = values_of(reel_sum_to(x, REEL_SHAPE(4))),
           *column = values_of(reel_sum_to(x, REEL_SHAPE(3, 1)));
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        for (int i = 0; i < 6; i++) sum += v[i * 4 + k];
        cr_assert_float_eq(row[k], sum, 1e-14);
    }
    for (int j = 0; j < 3; j++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) sum += v[j * 4 + k] + v[12 + j * 4 + k];
        cr_assert_float_eq(column[j], sum, 1e-14);
    }
    cr_assert_eq(reel_ndim(reel_sum_to(x, REEL_SCALAR)), 0);
    refused(ctx, reel_sum_to(x, REEL_SHAPE(2, 4)), "sum_to", "[2, 4]");
    refused(ctx, reel_sum_to(x, REEL_SHAPE(1, 2, 3, 4)), "sum_to", "[2, 3, 4]");
    free(v), free(row), free(column);
}

Test(reduce_conventions, what_does_not_fit_is_refused)
{
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *none = reel_zeros(ctx, REEL_SHAPE(0, 3), REEL_F32);
    reel_tensor *whole = reel_zeros(ctx, REEL_SHAPE(2), REEL_I64);
    refused(ctx, reel_sum(x, REEL_DIMS(2), false), "sum", "dim 2 is out of range");
    refused(ctx, reel_prod(x, REEL_DIMS(INT_MIN), false), "prod", "out of range");
    refused(ctx, reel_mean(x, REEL_DIMS(0, -2), false), "mean", "named twice");
    refused(ctx, reel_var(x, (reel_dims) { .count = 9 }, NULL), "var", "9 axes");
    refused(ctx, reel_mean(whole, REEL_ALL_DIMS, false), "mean", "int64");
    refused(ctx, reel_std(whole, REEL_ALL_DIMS, NULL), "std", "int64");
    refused(ctx, reel_norm(whole, 2, REEL_ALL_DIMS, false), "norm", "int64");
    refused(ctx, reel_amax(none, REEL_DIMS(0), false), "amax", "no elements");
    refused(ctx, reel_amin(none, REEL_ALL_DIMS, true), "amin", "no elements");
    refused(ctx, reel_argmax(none, NULL), "argmax", "no elements");
    refused(ctx, reel_argmin(x, &(reel_arg_opts) { .dim = REEL_DIMS(0, 1) }), "argmin", "one axis");
    refused(ctx, reel_argmax(reel_cast(x, REEL_BOOL), NULL), "argmax", "bool");
    refused(ctx, reel_norm(none, INFINITY, REEL_ALL_DIMS, false), "norm", "no elements");
    refused(ctx, reel_norm(none, -1, REEL_DIMS(0), false), "norm", "no elements");
    refused(ctx, reel_norm(x, NAN, REEL_ALL_DIMS, false), "norm", "NaN");
    refused(ctx, reel_logsumexp(x, REEL_DIMS(0, 1, 2), false), "logsumexp", "dim 2");
    cr_assert_null(reel_sum(NULL, REEL_ALL_DIMS, false));
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
}
