// SPDX-License-Identifier: MIT
// Pooling against plain loops over random shapes, under every instruction set; its derivatives; what it refuses.
#include "spatial.h"

typedef struct windows {
    int axes, batch; // batch: whether there is a batch axis
    int64_t n, c, in[3], kernel[3], stride[3], padding[3], dilation[3], out[3];
    bool ceil_mode, exclude_pad, average;
    int64_t divisor;
} windows;

static int64_t out_size(const windows *w, int k)
{
    int64_t room = w->in[k] + 2 * w->padding[k] - w->dilation[k] * (w->kernel[k] - 1) - 1;
    double out = (double)room / (double)w->stride[k];
    int64_t size = (int64_t)(w->ceil_mode ? ceil(out) : floor(out)) + 1;
    if (w->ceil_mode && (size - 1) * w->stride[k] >= w->in[k] + w->padding[k]) size--;
    return size;
}

static windows draw_windows(bool average)
{
    for (;;) {
        windows w = { .axes = (int)draw_in(1, 3), .batch = (int)draw_in(0, 1), .c = draw_in(1, 3) };
        w.n = w.batch ? draw_in(1, 3) : 1;
        w.average = average;
        w.ceil_mode = draw_in(0, 1);
        w.exclude_pad = average && draw_in(0, 1);
        w.divisor = average && w.axes > 1 && draw_in(0, 3) == 0 ? draw_in(1, 5) : 0;
        bool pairs = draw_in(0, 3) == 0, fits = true;
        for (int k = 0; k < 3; k++) {
            w.in[k] = w.kernel[k] = w.stride[k] = w.dilation[k] = w.out[k] = 1;
            if (k < 3 - w.axes) continue;
            w.in[k] = k == 2 ? draw_in(1, 75) : draw_in(1, 9);
            w.kernel[k] = pairs ? 2 : draw_in(1, k == 2 && draw_in(0, 5) == 0 ? 20 : 4);
            w.stride[k] = pairs ? 2 : draw_in(1, 4);
            w.dilation[k] = average || pairs ? 1 : draw_in(1, 3);
            w.padding[k] = pairs ? 0 : draw_in(0, w.kernel[k] / 2);
            w.out[k] = out_size(&w, k);
            fits &= w.out[k] >= 1 && w.in[k] >= w.dilation[k];
        }
        if (fits) return w;
    }
}

static reel_pool_opts opts_of(const windows *w)
{
    reel_pool_opts o = { .ceil_mode = w->ceil_mode, .exclude_pad = w->exclude_pad, .divisor = w->divisor };
    for (int i = 0; i < w->axes; i++) {
        int k = 3 - w->axes + i;
        o.kernel[i] = w->kernel[k];
        o.stride[i] = w->stride[k];
        o.padding[i] = w->padding[k];
        o.dilation[i] = w->dilation[k];
    }
    return o;
}

static reel_shape shape_of(const windows *w, const int64_t size[3])
{
    reel_shape s = { 0 };
    if (w->batch) s.dim[s.ndim++] = w->n;
    s.dim[s.ndim++] = w->c;
    for (int k = 3 - w->axes; k < 3; k++) s.dim[s.ndim++] = size[k];
    return s;
}

// Calls f(cell of the window, its place in the plane) for the cells of window o inside of the input, in order.
typedef struct window_cells {
    int64_t cell[4096];
    int64_t count;
    int64_t padded; // cells inside of the padded input
} window_cells;

static window_cells cells_of(const windows *w, const int64_t o[3])
{
    static window_cells c;
    c.count = c.padded = 0;
    int64_t k[3];
    for (k[0] = 0; k[0] < w->kernel[0]; k[0]++)
        for (k[1] = 0; k[1] < w->kernel[1]; k[1]++)
            for (k[2] = 0; k[2] < w->kernel[2]; k[2]++) {
                bool inside = true, padded = true;
                int64_t at = 0;
                for (int a = 0; a < 3; a++) {
                    int64_t i = o[a] * w->stride[a] - w->padding[a] + k[a] * w->dilation[a];
                    inside &= i >= 0 && i < w->in[a];
                    padded &= i < w->in[a] + w->padding[a];
                    at = at * w->in[a] + i;
                }
                c.padded += padded;
                if (inside) c.cell[c.count++] = at;
            }
    return c;
}

// Values, places of maxima, and the adjoint applied to `cot`, by the definition.
static void reference(const windows *w, const double *x, const double *cot, double *y, int64_t *index, double *grad)
{
    int64_t in = w->in[0] * w->in[1] * w->in[2], at = 0, o[3];
    memset(grad, 0, (size_t)(w->n * w->c * in) * sizeof *grad);
    for (int64_t p = 0; p < w->n * w->c; p++)
        for (o[0] = 0; o[0] < w->out[0]; o[0]++)
            for (o[1] = 0; o[1] < w->out[1]; o[1]++)
                for (o[2] = 0; o[2] < w->out[2]; o[2]++, at++) {
                    window_cells c = cells_of(w, o);
                    double sum = 0, best = -INFINITY;
                    int64_t place = c.cell[0];
                    for (int64_t i = 0; i < c.count; i++) {
                        double v = x[p * in + c.cell[i]];
                        sum += v;
                        if (v > best || isnan(v)) best = v, place = c.cell[i];
                    }
                    double divisor = (double)(w->divisor ? w->divisor : w->exclude_pad ? c.count : c.padded);
                    y[at] = w->average ? sum / divisor : best;
                    index[at] = place;
                    if (!w->average) grad[p * in + place] += cot[at];
                    for (int64_t i = 0; w->average && i < c.count; i++) grad[p * in + c.cell[i]] += cot[at] / divisor;
                }
}

typedef reel_tensor *pool_fn(reel_tensor *, const reel_pool_opts *);
typedef reel_tensor *pool_indices_fn(reel_tensor *, const reel_pool_opts *, reel_tensor **);
static pool_fn *const max_fn[3] = { reel_max_pool1d, reel_max_pool2d, reel_max_pool3d };
static pool_fn *const avg_fn[3] = { reel_avg_pool1d, reel_avg_pool2d, reel_avg_pool3d };
static pool_indices_fn *const max_indices_fn[3] = { reel_max_pool1d_with_indices, reel_max_pool2d_with_indices,
                                                    reel_max_pool3d_with_indices };

static void compare_with_loops(reel_ctx *ctx, const windows *w, reel_dtype dtype)
{
    reel_shape shape = shape_of(w, w->in), out = shape_of(w, w->out);
    int64_t n_x = reel_shape_numel(shape), n_y = reel_shape_numel(out);
    double *y = malloc((size_t)n_y * sizeof *y), *grad = malloc((size_t)n_x * sizeof *grad);
    int64_t *index = malloc((size_t)n_y * sizeof *index);
    double tolerance = dtype == REEL_F32 ? 3e-6 : 1e-13;
    reel_pool_opts opts = opts_of(w);
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = draw_tensor(ctx, shape, dtype, -2, 2), *cot = draw_tensor(ctx, out, dtype, -2, 2);
        reel_tensor *without = (w->average ? avg_fn[w->axes - 1] : max_fn[w->axes - 1])(x, &opts);
        reel_set_requires_grad(x, true);
        reel_tensor *indices = NULL, *g = NULL;
        reel_tensor *value =
            w->average ? avg_fn[w->axes - 1](x, &opts) : max_indices_fn[w->axes - 1](x, &opts, &indices);
        sound(ctx);
        cr_assert(reel_shape_equal(reel_shape_of(value), out));
        cr_assert(reel_grad(&value, 1, &x, 1, &cot, &g), "%s", reel_ctx_error_message(ctx));
        double *xs = values_of(x), *cots = values_of(cot), *ys = values_of(value), *gs = values_of(g);
        double *plain = values_of(without);
        reference(w, xs, cots, y, index, grad);
        cr_assert_leq(difference(ys, y, n_y), tolerance, "values");
        cr_assert_eq(memcmp(ys, plain, (size_t)n_y * sizeof *ys), 0, "values without a gradient");
        cr_assert_leq(difference(gs, grad, n_x), tolerance, "gradient");
        if (indices) cr_assert_eq(memcmp(reel_data_i64(indices), index, (size_t)n_y * sizeof *index), 0, "indices");
        free(xs);
        free(cots);
        free(ys);
        free(gs);
        free(plain);
    }
    sound(ctx);
    free(y);
    free(grad);
    free(index);
}

static void random_shapes(bool average)
{
    EACH_ISA(ctx)
    {
        for (int i = 0; i < 300; i++) {
            windows w = draw_windows(average);
            compare_with_loops(ctx, &w, i % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

Test(pool, max_equals_plain_loops_on_random_shapes) { random_shapes(false); }
Test(pool, average_equals_plain_loops_on_random_shapes) { random_shapes(true); }

Test(pool, large_windows_keep_wide_taps)
{
    EACH_ISA(ctx)
    {
        windows w = { .axes = 2,
                      .batch = 1,
                      .n = 2,
                      .c = 2,
                      .in = { 1, 40, 37 },
                      .kernel = { 1, 18, 17 },
                      .stride = { 1, 5, 3 },
                      .dilation = { 1, 1, 1 },
                      .padding = { 0, 3, 8 } };
        for (int k = 0; k < 3; k++) w.out[k] = out_size(&w, k);
        compare_with_loops(ctx, &w, REEL_F32);
        compare_with_loops(ctx, &w, REEL_F64);
    }
}

Test(pool, a_nan_in_a_window_is_its_maximum_and_takes_the_cotangent)
{
    EACH_ISA(ctx)
    {
        float v[40];
        for (int i = 0; i < 40; i++) v[i] = (float)i;
        v[21] = NAN;
        for (int k = 2; k <= 3; k++) {
            reel_tensor *x = reel_set_requires_grad(reel_floats(ctx, REEL_SHAPE(1, 1, 2, 20), v), true), *g = NULL;
            reel_tensor *y = reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { 2, k }, .stride = { 2, k } });
            cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
            cr_assert(isnan(reel_data_f32(y)[0]) && !isnan(reel_data_f32(y)[1]));
            cr_assert_eq(reel_data_f32(g)[21], 1);
            cr_assert_eq(reel_data_f32(g)[20 + k - 1], k == 2 ? 1 : 0);
        }
    }
}

Test(pool, of_equal_values_the_first_takes_the_cotangent)
{
    EACH_ISA(ctx)
    {
        for (int k = 2; k <= 4; k += 2) {
            reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(1, 4, 64), REEL_F32), true), *g = NULL;
            reel_tensor *y = reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { k, k } });
            cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
            for (int i = 0; i < 4 * 64; i++) cr_assert_eq(reel_data_f32(g)[i], i / 64 % k == 0 && i % k == 0 ? 1 : 0);
        }
    }
}

Test(pool, windows_of_minus_infinity_point_at_their_first_cell)
{
    EACH_ISA(ctx)
    {
        reel_tensor *x = reel_full(ctx, REEL_SHAPE(1, 1, 9), REEL_F64, -INFINITY), *indices;
        reel_tensor *y =
            reel_max_pool1d_with_indices(x, &(reel_pool_opts) { .kernel = { 3 }, .padding = { 1 } }, &indices);
        cr_assert_eq(reel_data_f64(y)[0], -INFINITY);
        cr_assert_eq(reel_data_i64(indices)[0], 0);
        cr_assert_eq(reel_data_i64(indices)[1], 2);
    }
}

static void adaptive_windows(windows *w, int64_t o[3], int64_t lo[3], int64_t hi[3])
{
    for (int k = 0; k < 3; k++) {
        lo[k] = o[k] * w->in[k] / w->out[k];
        hi[k] = ((o[k] + 1) * w->in[k] + w->out[k] - 1) / w->out[k];
    }
}

typedef reel_tensor *adaptive_fn(reel_tensor *, reel_shape);

Test(pool, adaptive_pools_equal_plain_loops_on_random_shapes)
{
    static adaptive_fn *const fn[2][3] = {
        { reel_adaptive_avg_pool1d, reel_adaptive_avg_pool2d, reel_adaptive_avg_pool3d },
        { reel_adaptive_max_pool1d, reel_adaptive_max_pool2d, reel_adaptive_max_pool3d },
    };
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 200; turn++) {
            windows w = { .axes = (int)draw_in(1, 3), .batch = 1, .n = draw_in(1, 2), .c = draw_in(1, 3) };
            reel_shape size = { .ndim = w.axes };
            for (int k = 0; k < 3; k++) {
                w.in[k] = k < 3 - w.axes ? 1 : draw_in(1, k == 2 ? 60 : 8);
                w.out[k] = k < 3 - w.axes ? 1 : draw_in(1, k == 2 ? 30 : 5);
                if (k >= 3 - w.axes) size.dim[k - (3 - w.axes)] = w.out[k];
            }
            bool largest = turn % 2;
            reel_dtype dtype = turn / 2 % 2 ? REEL_F32 : REEL_F64;
            REEL_SCOPE(ctx)
            {
                reel_tensor *x = draw_tensor(ctx, shape_of(&w, w.in), dtype, -2, 2), *g = NULL;
                reel_tensor *cot = draw_tensor(ctx, shape_of(&w, w.out), dtype, -2, 2);
                reel_set_requires_grad(x, true);
                reel_tensor *y = fn[largest][w.axes - 1](x, size);
                cr_assert(reel_grad(&y, 1, &x, 1, &cot, &g), "%s", reel_ctx_error_message(ctx));
                double *xs = values_of(x), *ys = values_of(y), *gs = values_of(g), *cots = values_of(cot);
                double *grad = calloc((size_t)reel_numel(x), sizeof *grad);
                double *want = calloc((size_t)reel_numel(y), sizeof *want);
                int64_t in = w.in[0] * w.in[1] * w.in[2], at = 0, o[3], lo[3], hi[3];
                for (int64_t p = 0; p < w.n * w.c; p++)
                    for (o[0] = 0; o[0] < w.out[0]; o[0]++)
                        for (o[1] = 0; o[1] < w.out[1]; o[1]++)
                            for (o[2] = 0; o[2] < w.out[2]; o[2]++, at++) {
                                adaptive_windows(&w, o, lo, hi);
                                double count = (double)((hi[0] - lo[0]) * (hi[1] - lo[1]) * (hi[2] - lo[2]));
                                double best = -INFINITY;
                                int64_t place = 0;
                                for (int64_t d = lo[0]; d < hi[0]; d++)
                                    for (int64_t h = lo[1]; h < hi[1]; h++)
                                        for (int64_t l = lo[2]; l < hi[2]; l++) {
                                            int64_t i = p * in + (d * w.in[1] + h) * w.in[2] + l;
                                            if (xs[i] > best) best = xs[i], place = i;
                                            if (largest) continue;
                                            want[at] += xs[i] / count;
                                            grad[i] += cots[at] / count;
                                        }
                                if (largest) want[at] = best, grad[place] += cots[at];
                            }
                double tolerance = dtype == REEL_F32 ? 3e-6 : 1e-13;
                cr_assert_leq(difference(ys, want, reel_numel(y)), tolerance);
                cr_assert_leq(difference(gs, grad, reel_numel(x)), tolerance);
                free(xs), free(ys), free(gs), free(cots), free(grad), free(want);
            }
            sound(ctx);
        }
    }
}

static int pool_for_check(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)ctx, (void)n_in, (void)capacity;
    switch (*(const int *)user) {
    case 0: out[0] = reel_max_pool2d(in[0], &(reel_pool_opts) { .kernel = { 2, 2 } }); break;
    case 1:
        out[0] =
            reel_max_pool2d(in[0], &(reel_pool_opts) { .kernel = { 3, 2 }, .stride = { 1, 1 }, .padding = { 1, 1 } });
        break;
    case 2:
        out[0] =
            reel_avg_pool2d(in[0], &(reel_pool_opts) { .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 1, 0 } });
        break;
    case 3: out[0] = reel_adaptive_max_pool2d(in[0], REEL_SHAPE(2, 3)); break;
    case 4: out[0] = reel_adaptive_avg_pool2d(in[0], REEL_SHAPE(3, 2)); break;
    default: out[0] = reel_lp_pool2d(in[0], 3, &(reel_pool_opts) { .kernel = { 2, 2 }, .stride = { 1, 1 } }); break;
    }
    if (*(const int *)user < 5) out[0] = reel_mul(out[0], out[0]); // so that there is a second order
    return out[0] ? 1 : -1;
}

Test(pool, third_derivatives_equal_finite_differences)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int which = 0; which < 6; which++) {
        double v[2 * 4 * 5];
        int n = 2 * 4 * 5;
        for (int i = 0; i < n; i++) v[i] = 0.2 + 0.06 * ((i * 17) % n);
        reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(1, 2, 4, 5), v);
        reel_gradcheck_report report;
        cr_assert(reel_gradcheck(pool_for_check, &which, &x, 1, &(reel_gradcheck_opts) { .order = 3 }, &report),
                  "%d: %s", which, report.message);
    }
    reel_ctx_free(ctx);
}

Test(pool, gives_the_same_bits_at_any_number_of_threads)
{
    double *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        spatial_state = 4711;
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(7, 13, 31, 33), REEL_F32, -1, 1), *g = NULL;
        reel_set_requires_grad(x, true);
        reel_tensor *y = reel_avg_pool2d(x, &(reel_pool_opts) { .kernel = { 3, 3 }, .stride = { 2, 2 } });
        y = reel_max_pool2d(y, &(reel_pool_opts) { .kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 } });
        cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g), "%s", reel_ctx_error_message(ctx));
        double *now = values_of(g);
        if (first) cr_assert_eq(memcmp(first, now, (size_t)reel_numel(g) * sizeof *now), 0);
        if (!first) first = now;
        if (first != now) free(now);
        reel_ctx_free(ctx);
    }
    free(first);
}

Test(pool, unpooling_puts_maxima_back)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 3, 6, 7), REEL_F32, 0.1, 1), *indices, *g;
    reel_tensor *y = reel_max_pool2d_with_indices(x, &(reel_pool_opts) { .kernel = { 2, 2 } }, &indices);
    y = reel_set_requires_grad(reel_detach(y), true);
    reel_unpool_opts opts = { .kernel = { 2, 2 }, .size = REEL_SHAPE(6, 7) };
    reel_tensor *z = reel_max_unpool2d(y, indices, &opts);
    cr_assert(reel_grad(&z, 1, &y, 1, &x, &g), "%s", reel_ctx_error_message(ctx));
    const float *xs = reel_data_f32(x), *zs = reel_data_f32(z);
    int64_t kept = 0;
    for (int64_t i = 0; i < reel_numel(x); i++) {
        cr_assert(zs[i] == 0 || zs[i] == xs[i]);
        kept += zs[i] != 0;
    }
    cr_assert_eq(kept, reel_numel(y));
    cr_assert_eq(memcmp(reel_data_f32(g), reel_data_f32(y), (size_t)reel_numel(y) * sizeof(float)), 0);
    reel_ctx_free(ctx);
}

Test(pool, refuses_windows_that_do_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 3, 5, 5), REEL_F64),
                *line = reel_ones(ctx, REEL_SHAPE(3, 1), REEL_F64);
    const struct {
        reel_pool_opts opts;
        const char *what;
    } bad[] = {
        { { .kernel = { 3, 3 }, .padding = { 2, 2 } }, "over half" },
        { { .kernel = { 6, 3 } }, "has 6 cells" },
        { { .kernel = { 0, 2 } }, "kernel" },
        { { .kernel = { -1, 2 } }, "kernel" },
        { { .kernel = { 2, 2 }, .stride = { -1, 1 } }, "stride" },
        { { .kernel = { 2, 2 }, .padding = { -1, 0 } }, "padding" },
        { { .kernel = { INT64_MAX, 2 } }, "kernel" },
        { { .kernel = { 2, 2 }, .stride = { INT64_MAX, 1 } }, "stride" },
        { { .kernel = { 2, 2 }, .padding = { INT64_MAX, INT64_MAX } }, "padding" },
        { { .kernel = { 65536, 65536 }, .padding = { 32768, 32768 } }, "2^31" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refused(ctx, reel_max_pool2d(x, &bad[i].opts), "max_pool2d", bad[i].what);
        refused(ctx, reel_avg_pool2d(x, &bad[i].opts), "avg_pool2d", bad[i].what);
    }
    reel_pool_opts two = { .kernel = { 2, 2 } };
    refused(ctx, reel_max_pool2d(x, NULL), "max_pool2d", "kernel");
    refused(ctx, reel_max_pool3d(x, &(reel_pool_opts) { .kernel = { 2, 2, 2 }, .dilation = { INT64_MAX } }),
            "max_pool3d", "dilation");
    refused(ctx, reel_max_pool1d(line, &(reel_pool_opts) { .kernel = { 2 }, .dilation = { 2 }, .padding = { 1 } }),
            "max_pool1d", "no cell");
    refused(ctx,
            reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { 3, 3 }, .dilation = { 2, 2 }, .padding = { 2, 2 } }),
            "max_pool2d", "over half");
    refused(ctx, reel_max_pool2d(line, &two), "max_pool2d", "axes");
    refused(ctx, reel_max_pool2d(reel_ones(ctx, REEL_SHAPE(1, 4, 4), REEL_I64), &two), "max_pool2d", "float");
    refused(ctx, reel_avg_pool2d(reel_ones(ctx, REEL_SHAPE(1, 0, 4, 4), REEL_F32), &two), "avg_pool2d", "empty");
    refused(ctx, reel_lp_pool2d(x, 2, &(reel_pool_opts) { .kernel = { 9, 1 } }), "lp_pool2d", "window");
    refused(ctx, reel_lp_pool2d(x, 0, &two), "lp_pool2d", "norm_type");
    refused(ctx, reel_adaptive_avg_pool2d(x, REEL_SHAPE(-1, 2)), "adaptive_avg_pool2d", "negative");
    refused(ctx, reel_adaptive_max_pool2d(x, REEL_SHAPE(1, 2, 3)), "adaptive_max_pool2d", "entries");
    refused(ctx, reel_adaptive_avg_pool2d(x, REEL_SHAPE(INT64_MAX, INT64_MAX)), "adaptive_avg_pool2d", "2^31");
    refused(ctx, reel_adaptive_avg_pool2d(x, REEL_SHAPE(INT32_MAX, INT32_MAX)), "adaptive_avg_pool2d", "");
    reel_ctx_free(ctx);
}

Test(pool, unpooling_refuses_indices_and_sizes_that_do_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 1, 2, 2), REEL_F32);
    reel_unpool_opts two = { .kernel = { 2, 2 } };
    reel_tensor *out = reel_longs(ctx, REEL_SHAPE(1, 1, 2, 2), (int64_t[]) { 0, 1, 2, 16 });
    reel_tensor *y = reel_max_unpool2d(x, out, &two);
    cr_assert(y && !reel_data(y));
    refused(ctx, NULL, "max_unpool2d", "16");
    reel_tensor *in = reel_longs(ctx, REEL_SHAPE(1, 1, 2, 2), (int64_t[]) { 0, 1, 2, 15 });
    cr_assert(reel_data(reel_max_unpool2d(x, in, &two)));
    refused(ctx, reel_max_unpool2d(x, x, &two), "max_unpool2d", "int64");
    refused(ctx, reel_max_unpool2d(x, reel_longs(ctx, REEL_SHAPE(1, 1, 1, 1), (int64_t[]) { 0 }), &two), "max_unpool2d",
            "one shape");
    refused(ctx, reel_max_unpool2d(x, in, &(reel_unpool_opts) { .kernel = { 2, 2 }, .size = REEL_SHAPE(6, 4) }),
            "max_unpool2d", "size 6");
    refused(ctx, reel_max_unpool2d(x, in, &(reel_unpool_opts) { .kernel = { INT64_MAX, 2 } }), "max_unpool2d",
            "kernel");
    refused(ctx, reel_max_unpool2d(x, in, &(reel_unpool_opts) { .kernel = { 2, 2 }, .padding = { 2, 2 } }),
            "max_unpool2d", "size 0");
    reel_ctx_free(ctx);
}

Test(pool, an_empty_batch_stays_empty)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(0, 3, 4, 4), REEL_F32), true), *g;
    reel_tensor *y = reel_max_pool2d(reel_avg_pool2d(x, &(reel_pool_opts) { .kernel = { 2, 2 } }),
                                     &(reel_pool_opts) { .kernel = { 2, 1 } });
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
    cr_assert(reel_eval(g) && reel_eval(y));
    cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(0, 3, 1, 2)));
    sound(ctx);
    reel_ctx_free(ctx);
}
