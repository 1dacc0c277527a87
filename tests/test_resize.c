// SPDX-License-Identifier: MIT
// Resizing, folding and pixel shuffling against plain loops, under every instruction set.
#include "spatial.h"
#include <reel/ops/shape.h>

// ---- interpolate ----

typedef struct resize {
    int axes;
    int64_t n, c, in[3], out[3]; // depth, height, width
    double scale[3];             // as given, or 0
    reel_interpolate_opts opts;
} resize;

static double cubic(double x, double a)
{
    x = fabs(x);
    if (x <= 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
    return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

// The same with the filter as wide as the output's cells: of the cells whose centres it covers, input i's part.
static double wide_weight(const resize *r, double step, int64_t in, int64_t o, int64_t i)
{
    bool linear = r->opts.mode == REEL_INTERPOLATE_LINEAR;
    double wide = fmax(step, 1), center = step * ((double)o + 0.5), support = (linear ? 1 : 2) * wide, sum = 0, own = 0;
    for (int64_t j = 0; j < in; j++) {
        if (j < (int64_t)fmax(center - support + 0.5, 0) || j >= (int64_t)(center + support + 0.5)) continue;
        double x = ((double)j + 0.5 - center) / wide, w = linear ? fmax(0, 1 - fabs(x)) : cubic(x, -0.5);
        sum += w;
        if (j == i) own = w;
    }
    return sum != 0 ? own / sum : 0;
}

// The weight of input i in output o of axis k.
static double weight(const resize *r, int k, int64_t o, int64_t i)
{
    int64_t in = r->in[k], out = r->out[k];
    double step = r->scale[k] > 0 ? 1 / r->scale[k] : (double)in / (double)out, u;
    if (r->opts.mode == REEL_INTERPOLATE_NEAREST)
        return fmin(floor((float)(step * (double)o)), (double)(in - 1)) == (double)i;
    if (r->opts.mode == REEL_INTERPOLATE_NEAREST_EXACT)
        return fmin(floor((float)(step * ((double)o + 0.5))), (double)(in - 1)) == (double)i;
    if (r->opts.mode == REEL_INTERPOLATE_AREA) {
        int64_t lo = o * in / out, hi = ((o + 1) * in + out - 1) / out;
        return i >= lo && i < hi ? 1.0 / (double)(hi - lo) : 0;
    }
    if (r->opts.align_corners)
        u = out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0;
    else
        u = ((double)o + 0.5) * step - 0.5;
    double sum = 0;
    if (r->opts.antialias) {
        if (r->opts.align_corners) step = out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
        return wide_weight(r, step, in, o, i);
    }
    if (r->opts.mode == REEL_INTERPOLATE_LINEAR) {
        if (in == out) return i == o; // whatever the scale
        u = fmin(fmax(u, 0), (double)(in - 1));
        return fmax(0, 1 - fabs(u - (double)i));
    }
    double cell = fmin(floor(u), (double)(in - 1)), t = fmin(fmax(u - cell, 0), 1);
    for (int j = -1; j <= 2; j++)
        if (fmin(fmax(cell + j, 0), (double)(in - 1)) == (double)i) sum += cubic(t - j, -0.75);
    return sum;
}

static resize draw_resize(void)
{
    resize r = { .axes = (int)draw_in(1, 3), .n = draw_in(1, 2), .c = draw_in(1, 3) };
    do r.opts.mode = (reel_interpolate_mode)draw_in(0, 4);
    while (r.opts.mode == REEL_INTERPOLATE_BICUBIC && r.axes != 2);
    bool interpolates = r.opts.mode == REEL_INTERPOLATE_LINEAR || r.opts.mode == REEL_INTERPOLATE_BICUBIC;
    r.opts.align_corners = interpolates && draw_in(0, 1);
    r.opts.antialias = interpolates && r.axes == 2 && draw_in(0, 1);
    bool by_scale = draw_in(0, 1);
    if (!by_scale) r.opts.size.ndim = r.axes;
    for (int k = 0; k < 3; k++) {
        r.in[k] = r.out[k] = 1;
        int i = k - (3 - r.axes);
        if (i < 0) continue;
        r.in[k] = draw_in(1, k == 2 ? 40 : 6);
        r.out[k] = draw_in(1, k == 2 ? 50 : 7);
        if (by_scale) {
            r.opts.scale_factor[i] = draw_real(1.05 / (double)r.in[k], 2.5);
            r.scale[k] = r.opts.mode == REEL_INTERPOLATE_AREA ? 0 : r.opts.scale_factor[i];
            r.out[k] = (int64_t)floor((double)r.in[k] * r.opts.scale_factor[i]);
        } else {
            r.opts.size.dim[i] = r.out[k];
        }
    }
    return r;
}

static reel_shape shape_of(const resize *r, const int64_t size[3])
{
    reel_shape s = { .ndim = 2 + r->axes, .dim = { r->n, r->c } };
    for (int i = 0; i < r->axes; i++) s.dim[2 + i] = size[3 - r->axes + i];
    return s;
}

static void compare_resize(reel_ctx *ctx, const resize *r, reel_dtype dtype)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = draw_tensor(ctx, shape_of(r, r->in), dtype, -1, 1), *g = NULL;
        reel_tensor *cot = draw_tensor(ctx, shape_of(r, r->out), dtype, -1, 1);
        reel_set_requires_grad(x, true);
        reel_tensor *y = reel_interpolate(x, &r->opts);
        sound(ctx);
        cr_assert(reel_shape_equal(reel_shape_of(y), shape_of(r, r->out)));
        cr_assert(reel_grad(&y, 1, &x, 1, &cot, &g), "%s", reel_ctx_error_message(ctx));
        double *xs = values_of(x), *ys = values_of(y), *cs = values_of(cot), *gs = values_of(g);
        double *want = calloc((size_t)reel_numel(y), sizeof *want), *grad = calloc((size_t)reel_numel(x), sizeof *grad);
        int64_t o[3], i[3], at_y = 0, in = r->in[0] * r->in[1] * r->in[2];
        for (int64_t p = 0; p < r->n * r->c; p++)
            for (o[0] = 0; o[0] < r->out[0]; o[0]++)
                for (o[1] = 0; o[1] < r->out[1]; o[1]++)
                    for (o[2] = 0; o[2] < r->out[2]; o[2]++, at_y++) {
                        int64_t at = p * in;
                        for (i[0] = 0; i[0] < r->in[0]; i[0]++)
                            for (i[1] = 0; i[1] < r->in[1]; i[1]++)
                                for (i[2] = 0; i[2] < r->in[2]; i[2]++, at++) {
                                    double w = 1;
                                    for (int k = 3 - r->axes; k < 3; k++) w *= weight(r, k, o[k], i[k]);
                                    want[at_y] += w * xs[at];
                                    grad[at] += w * cs[at_y];
                                }
                    }
        double tolerance = dtype == REEL_F32 ? 3e-5 : 1e-12;
        cr_assert_leq(difference(ys, want, reel_numel(y)), tolerance, "mode %d, %lld -> %lld", (int)r->opts.mode,
                      (long long)r->in[2], (long long)r->out[2]);
        cr_assert_leq(difference(gs, grad, reel_numel(x)), tolerance, "gradient, mode %d", (int)r->opts.mode);
        free(xs), free(ys), free(cs), free(gs), free(want), free(grad);
    }
    sound(ctx);
}

Test(resize, equals_plain_loops_in_every_mode)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 150; turn++) {
            resize r = draw_resize();
            compare_resize(ctx, &r, turn % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

Test(resize, nearest_cells_are_those_of_whole_number_arithmetic)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int64_t in = 1; in <= 64; in++) {
        float cells[64];
        for (int64_t i = 0; i < in; i++) cells[i] = (float)i;
        for (int64_t out = 1; out <= 64; out++)
            REEL_SCOPE(ctx)
            {
                reel_tensor *x = reel_floats(ctx, REEL_SHAPE(1, 1, in), cells);
                reel_interpolate_opts opts = { .size = REEL_SHAPE(out), .mode = REEL_INTERPOLATE_NEAREST };
                const float *low = reel_data_f32(reel_interpolate(x, &opts));
                opts.mode = REEL_INTERPOLATE_NEAREST_EXACT;
                const float *middle = reel_data_f32(reel_interpolate(x, &opts));
                for (int64_t o = 0; o < out; o++) {
                    cr_assert_eq(low[o], (float)(o * in / out), "nearest, %d to %d", (int)in, (int)out);
                    cr_assert_eq(middle[o], (float)((2 * o + 1) * in / (2 * out)), "nearest-exact, %d to %d", (int)in,
                                 (int)out);
                }
            }
    }
    reel_ctx_free(ctx);
}

Test(resize, gives_the_same_bits_at_any_number_of_threads)
{
    float *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        spatial_state = 77;
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(1, 3, 150, 170), REEL_F32, -1, 1), *g;
        reel_set_requires_grad(x, true);
        reel_tensor *y = reel_interpolate(
            x, &(reel_interpolate_opts) { .mode = REEL_INTERPOLATE_LINEAR, .size = REEL_SHAPE(301, 333) });
        cr_assert(reel_grad(&y, 1, &x, 1, &y, &g), "%s", reel_ctx_error_message(ctx));
        size_t bytes = (size_t)reel_numel(g) * sizeof(float);
        if (!first) first = memcpy(malloc(bytes), reel_data_f32(g), bytes);
        cr_assert_eq(memcmp(first, reel_data_f32(g), bytes), 0);
        reel_ctx_free(ctx);
    }
    free(first);
}

Test(resize, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 2, 4, 4), REEL_F32);
#define REFUSE(what, ...)                                                                                              \
    refused(ctx, reel_interpolate(x, &(reel_interpolate_opts) { __VA_ARGS__ }), "interpolate", what)
    refused(ctx, reel_interpolate(x, NULL), "interpolate", "neither");
    REFUSE("both", .size = REEL_SHAPE(2, 2), .scale_factor = { 2 });
    REFUSE("entries", .size = REEL_SHAPE(2, 2, 2));
    REFUSE("would be 0", .size = REEL_SHAPE(0, 2));
    REFUSE("would be -1", .size = REEL_SHAPE(-1, 2), .mode = REEL_INTERPOLATE_AREA);
    REFUSE("would be 0", .scale_factor = { 0.1 });
    REFUSE("positive", .scale_factor = { -1 });
    REFUSE("positive", .scale_factor = { NAN });
    REFUSE("too large", .scale_factor = { 1e300 });
    REFUSE("", .size = REEL_SHAPE(INT64_MAX, INT64_MAX));
    REFUSE("align_corners", .size = REEL_SHAPE(2, 2), .align_corners = true);
    REFUSE("antialias", .size = REEL_SHAPE(2, 2), .antialias = true);
    REFUSE("mode 9", .size = REEL_SHAPE(2, 2), .mode = 9);
    x = reel_ones(ctx, REEL_SHAPE(1, 2, 4), REEL_F32);
    REFUSE("bicubic", .size = REEL_SHAPE(2), .mode = REEL_INTERPOLATE_BICUBIC);
    REFUSE("antialias", .size = REEL_SHAPE(2), .mode = REEL_INTERPOLATE_LINEAR, .antialias = true);
    x = reel_ones(ctx, REEL_SHAPE(2, 4), REEL_F32);
    REFUSE("axes", .size = REEL_SHAPE(2));
    x = reel_ones(ctx, REEL_SHAPE(1, 2, 4), REEL_I64);
    REFUSE("float", .size = REEL_SHAPE(2));
    x = reel_ones(ctx, REEL_SHAPE(1, 2, 0), REEL_F32);
    REFUSE("empty", .size = REEL_SHAPE(2));
#undef REFUSE
    reel_ctx_free(ctx);
}

// ---- unfold and fold ----

Test(fold, unfold_and_fold_equal_plain_loops_and_are_adjoint)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 150; turn++) {
            reel_fold_opts o;
            int64_t n = draw_in(1, 2), c = draw_in(1, 3), in[2], out[2];
            for (int k = 0; k < 2; k++) {
                o.kernel[k] = draw_in(1, 4), o.dilation[k] = draw_in(1, 3), o.padding[k] = draw_in(0, 4);
                o.stride[k] = draw_in(1, 3);
                int64_t window = o.dilation[k] * (o.kernel[k] - 1) + 1, least = window - 2 * o.padding[k];
                in[k] = draw_in(least < 1 ? 1 : least, (least < 1 ? 1 : least) + (k ? 40 : 6));
                out[k] = (in[k] + 2 * o.padding[k] - window) / o.stride[k] + 1;
            }
            reel_dtype dtype = turn % 2 ? REEL_F32 : REEL_F64;
            REEL_SCOPE(ctx)
            {
                int64_t rows = c * o.kernel[0] * o.kernel[1], windows = out[0] * out[1];
                reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(n, c, in[0], in[1]), dtype, -1, 1);
                reel_tensor *y = draw_tensor(ctx, REEL_SHAPE(n, rows, windows), dtype, -1, 1);
                double *xs = values_of(x), *ys = values_of(y);
                double *columns = values_of(reel_unfold(x, &o)), *image = values_of(reel_fold(y, in[0], in[1], &o));
                sound(ctx);
                double *want_y = calloc((size_t)reel_numel(y), sizeof *want_y);
                double *want_x = calloc((size_t)reel_numel(x), sizeof *want_x);
                int64_t at = 0;
                for (int64_t p = 0; p < n * c; p++)
                    for (int64_t cell = 0; cell < o.kernel[0] * o.kernel[1]; cell++)
                        for (int64_t l = 0; l < windows; l++, at++) {
                            int64_t h = l / out[1] * o.stride[0] - o.padding[0] + cell / o.kernel[1] * o.dilation[0];
                            int64_t w = l % out[1] * o.stride[1] - o.padding[1] + cell % o.kernel[1] * o.dilation[1];
                            if (h < 0 || w < 0 || h >= in[0] || w >= in[1]) continue;
                            want_y[at] = xs[(p * in[0] + h) * in[1] + w];
                            want_x[(p * in[0] + h) * in[1] + w] += ys[at];
                        }
                cr_assert_eq(memcmp(columns, want_y, (size_t)reel_numel(y) * sizeof *columns), 0);
                cr_assert_leq(difference(image, want_x, reel_numel(x)), dtype == REEL_F32 ? 1e-5 : 1e-13);
                cr_assert_float_eq(dot(columns, ys, reel_numel(y)), dot(xs, image, reel_numel(x)), 1e-2);
                free(xs), free(ys), free(columns), free(image), free(want_y), free(want_x);
            }
        }
    }
}

Test(fold, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 2, 4, 4), REEL_F32),
                *y = reel_ones(ctx, REEL_SHAPE(1, 8, 9), REEL_F32);
    reel_fold_opts two = { .kernel = { 2, 2 } };
    refused(ctx, reel_unfold(x, NULL), "unfold", "kernel");
    refused(ctx, reel_unfold(x, &(reel_fold_opts) { .kernel = { 5, 2 } }), "unfold", "has 5 cells");
    refused(ctx, reel_unfold(x, &(reel_fold_opts) { .kernel = { 2, 2 }, .stride = { -1, 1 } }), "unfold", "stride");
    refused(ctx, reel_unfold(x, &(reel_fold_opts) { .kernel = { 2, 2 }, .padding = { INT64_MAX, 1 } }), "unfold",
            "padding");
    refused(ctx, reel_unfold(x, &(reel_fold_opts) { .kernel = { INT64_MAX, 2 } }), "unfold", "kernel");
    refused(ctx, reel_unfold(x, &(reel_fold_opts) { .kernel = { 1 << 30, 1 << 30 }, .padding = { 1 << 30, 1 << 30 } }),
            "unfold", "");
    refused(ctx, reel_unfold(y, &(reel_fold_opts) { .kernel = { 20, 1 } }), "unfold", "20 cells");
    refused(ctx, reel_unfold(reel_ones(ctx, REEL_SHAPE(4, 4), REEL_F32), &two), "unfold", "axes");
    refused(ctx, reel_fold(y, 5, 4, &two), "fold", "12 windows");
    refused(ctx, reel_fold(reel_ones(ctx, REEL_SHAPE(1, 7, 9), REEL_F32), 4, 4, &two), "fold", "no multiple");
    refused(ctx, reel_fold(y, INT64_MAX, INT64_MAX, &two), "fold", "image size");
    refused(ctx, reel_fold(y, 0, 4, &two), "fold", "image size");
    cr_assert(reel_data(reel_fold(y, 4, 4, &two)));
    reel_ctx_free(ctx);
}

// ---- pixel_shuffle ----

Test(pixel_shuffle, puts_channels_into_pixels_and_back)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 2, 12, 3, 5), REEL_F64, -1, 1), *y = reel_pixel_shuffle(x, 2);
    cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(2, 2, 3, 6, 10)));
    const double *xs = reel_data_f64(x), *ys = reel_data_f64(y);
    for (int64_t e = 0; e < reel_numel(y); e++) {
        int64_t w = e % 10, h = e / 10 % 6, c = e / 60 % 3, n = e / 180;
        cr_assert_eq(ys[e], xs[((n * 12 + c * 4 + h % 2 * 2 + w % 2) * 3 + h / 2) * 5 + w / 2]);
    }
    cr_assert_eq(memcmp(reel_data_f64(reel_pixel_unshuffle(y, 2)), xs, (size_t)reel_numel(x) * sizeof *xs), 0);
    refused(ctx, reel_pixel_shuffle(x, 5), "pixel_shuffle", "divide");
    refused(ctx, reel_pixel_shuffle(x, 0), "pixel_shuffle", "factor");
    refused(ctx, reel_pixel_shuffle(x, INT64_MAX), "pixel_shuffle", "factor");
    refused(ctx, reel_pixel_unshuffle(x, 4), "pixel_unshuffle", "divide");
    refused(ctx, reel_pixel_unshuffle(reel_ones(ctx, REEL_SHAPE(4, 4), REEL_F32), 2), "pixel_unshuffle", "axes");
    reel_ctx_free(ctx);
}
