// SPDX-License-Identifier: MIT
// Sampling against plain loops in every mode, under every instruction set, with derivatives of several orders.
#include "spatial.h"

typedef struct setting {
    int axes;
    reel_grid_sample_opts opts;
    int64_t n, c, size[3], out[3]; // sizes along x, y, z
    bool smooth; // points near the image of their places under an affine map, but for a few of the last row, which lie
                 // anywhere
    int repeats; // points at one place, one after the other; 0 is as 1
} setting;

// ---- the reference: one point, one tap after the other ----

static double fold(double u, double low, double high, double *sign)
{
    *sign = 1;
    if (high == low) return *sign = 0, 0;
    while (u < low || u > high) { // at most a few turns in these tests
        u = u < low ? 2 * low - u : 2 * high - u;
        *sign = -*sign;
    }
    return u;
}

typedef struct line {
    int taps;
    int64_t index[4]; // -1 outside
    double weight[4];
} line;

static double cubic(double x, int order)
{
    const double a = -0.75, s = x < 0 ? -1 : 1, d = fabs(x);
    if (d >= 2) return 0;
    double p[4] = { -4 * a, 8 * a, -5 * a, a };
    if (d < 1) p[0] = 1, p[1] = 0, p[2] = -(a + 3), p[3] = a + 2;
    switch (order) {
    case 0: return ((p[3] * d + p[2]) * d + p[1]) * d + p[0];
    case 1: return s * ((3 * p[3] * d + 2 * p[2]) * d + p[1]);
    case 2: return 6 * p[3] * d + 2 * p[2];
    case 3: return s * 6 * p[3];
    default: return 0;
    }
}

static line reference_line(const setting *t, int a, double g, int order)
{
    line l = { 0 };
    int64_t size = t->size[a];
    bool align = t->opts.align_corners;
    double half = align ? (double)(size - 1) / 2 : (double)size / 2, u = (g + 1) * half - (align ? 0 : 0.5);
    double low = align ? 0 : -0.5, high = align ? (double)(size - 1) : (double)size - 0.5, scale = half, sign;
    if (t->opts.mode == REEL_BICUBIC) {
        int64_t first = (int64_t)floor(u) - 1;
        l.taps = 4;
        for (int k = 0; k < 4; k++) {
            double at = (double)(first + k);
            l.weight[k] = cubic(u - at, order) * pow(scale, order);
            if (t->opts.padding_mode == REEL_PAD_REFLECTION) at = fold(at, low, high, &sign);
            if (t->opts.padding_mode != REEL_PAD_ZEROS) at = fmin(fmax(at, 0), (double)(size - 1));
            l.index[k] = at < 0 || at > (double)(size - 1) ? -1 : (int64_t)at;
        }
        return l;
    }
    if (t->opts.padding_mode == REEL_PAD_REFLECTION) u = fold(u, low, high, &sign), scale *= sign;
    if (t->opts.padding_mode != REEL_PAD_ZEROS) {
        if (u <= 0 || u >= (double)(size - 1)) scale = 0;
        u = fmin(fmax(u, 0), (double)(size - 1));
    }
    double floored = t->opts.mode == REEL_NEAREST ? nearbyint(u) : floor(u), f = u - floored;
    l.taps = t->opts.mode == REEL_NEAREST ? 1 : 2;
    for (int k = 0; k < l.taps; k++) {
        double at = floored + k;
        l.index[k] = at < 0 || at > (double)(size - 1) ? -1 : (int64_t)at;
        if (t->opts.mode == REEL_NEAREST)
            l.weight[k] = order == 0;
        else
            l.weight[k] = order == 0 ? (k ? f : 1 - f) : order == 1 ? (k ? scale : -scale) : 0;
    }
    return l;
}

// Calls of the loops: y += x, x += y, or grad += x y, at every tap.
static void reference(const setting *t, const double *x, const double *grid, const int order[3], const double *y_in,
                      double *y, double *x_out, double *sums, int64_t sums_step)
{
    int64_t plane = t->size[0] * t->size[1] * t->size[2], points = t->out[0] * t->out[1] * t->out[2];
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t p = 0; p < points; p++) {
            line l[3] = { { .taps = 1, .weight = { 1 } },
                          { .taps = 1, .weight = { 1 } },
                          { .taps = 1, .weight = { 1 } } };
            for (int a = 0; a < t->axes; a++)
                l[a] = reference_line(t, a, grid[(n * points + p) * t->axes + a], order[a]);
            for (int k = 0; k < l[0].taps * l[1].taps * l[2].taps; k++) {
                int kx = k % l[0].taps, ky = k / l[0].taps % l[1].taps, kz = k / l[0].taps / l[1].taps;
                if (l[0].index[kx] < 0 || l[1].index[ky] < 0 || l[2].index[kz] < 0) continue;
                int64_t at = (l[2].index[kz] * t->size[1] + l[1].index[ky]) * t->size[0] + l[0].index[kx];
                double w = l[0].weight[kx] * l[1].weight[ky] * l[2].weight[kz];
                for (int64_t c = 0; c < t->c; c++) {
                    int64_t i = (n * t->c + c) * plane + at, o = (n * t->c + c) * points + p;
                    if (y) y[o] += w * x[i];
                    if (x_out) x_out[i] += w * y_in[o];
                    if (sums) sums[(n * points + p) * sums_step] += w * x[i] * y_in[o];
                }
            }
        }
}

// ---- drawing settings whose points keep away from kinks and steps ----

static reel_shape image_shape(const setting *t, const int64_t size[3])
{
    reel_shape s = { .ndim = 2 + t->axes, .dim = { t->n, t->c } };
    for (int a = 0; a < t->axes; a++) s.dim[1 + t->axes - a] = size[a];
    return s;
}

static reel_shape grid_shape(const setting *t)
{
    reel_shape s = { .ndim = 2 + t->axes, .dim = { t->n } };
    for (int a = 0; a < t->axes; a++) s.dim[t->axes - a] = t->out[a];
    s.dim[1 + t->axes] = t->axes;
    return s;
}

static setting draw_setting(int turn)
{
    setting t = { .axes = turn % 4 == 3 ? 3 : 2, .n = draw_in(1, 2), .c = draw_in(1, 4) };
    t.opts.mode = (reel_sample_mode)draw_in(0, t.axes == 2 ? 2 : 1);
    t.opts.padding_mode = (reel_sample_padding)draw_in(0, 2);
    t.opts.align_corners = draw_in(0, 1);
    for (int a = 0; a < 3; a++) {
        t.size[a] = a < t.axes ? draw_in(1, a == 0 ? 20 : 7) : 1;
        t.out[a] = a < t.axes ? draw_in(1, a == 0 ? 40 : 4) : 1;
    }
    return t;
}

static double grid_number(const setting *t, int a, double u)
{
    double size = (double)t->size[a];
    if (!t->opts.align_corners) return (2 * u + 1) / size - 1;
    return size > 1 ? 2 * u / (size - 1) - 1 : u;
}

// A grid number that lands at a coordinate at least 0.1 from integers and halves, from well before to well behind.
static double draw_point(const setting *t, int a)
{
    double size = (double)t->size[a], u = floor(draw_real(-1.5 * size - 2, 2.5 * size + 2));
    u += draw_in(0, 1) ? draw_real(0.1, 0.4) : draw_real(0.6, 0.9);
    return grid_number(t, a, u);
}

static double smooth_point(const setting *t, int a, int64_t point)
{
    double x = (double)(point % t->out[0]), y = (double)(point / t->out[0] % t->out[1]);
    if (t->out[1] > 1 && point / t->out[0] % t->out[1] == t->out[1] - 1 && point % 7 == 0) return draw_point(t, a);
    double u = a == 0 ? 0.9 * x + 0.2 * y - 3.5 : -0.2 * x + 0.9 * y + 6;
    return grid_number(t, a, floor(u) + draw_real(0.1, 0.4));
}

static reel_tensor *draw_grid(reel_ctx *ctx, const setting *t, reel_dtype dtype)
{
    reel_shape shape = grid_shape(t);
    int64_t n = reel_shape_numel(shape);
    double *v = malloc((size_t)n * sizeof *v), last[3] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        int a = (int)(i % t->axes);
        double g = last[a];
        if (t->repeats < 2 || i / t->axes % t->repeats == 0)
            g = t->smooth ? smooth_point(t, a, i / t->axes) : draw_point(t, a);
        v[i] = last[a] = g;
        if (dtype == REEL_F32) ((float *)v)[i] = (float)g;
    }
    reel_tensor *grid = reel_from(ctx, shape, dtype, v);
    free(v);
    return grid;
}

static const char *describe(const setting *t)
{
    static char text[200];
    snprintf(text, sizeof text,
             "%d-D mode %d padding %d align %d, %lld x %lld x %lld x %lld x %lld -> %lld x %lld x %lld", t->axes,
             t->opts.mode, t->opts.padding_mode, t->opts.align_corners, (long long)t->n, (long long)t->c,
             (long long)t->size[2], (long long)t->size[1], (long long)t->size[0], (long long)t->out[2],
             (long long)t->out[1], (long long)t->out[0]);
    return text;
}

static double *zeros(int64_t n) { return calloc((size_t)(n ? n : 1), sizeof(double)); }

static void compare_with_loops(reel_ctx *ctx, const setting *t, reel_dtype dtype)
{
    double tolerance = dtype == REEL_F32 ? 5e-4 : 1e-10;
    reel_shape image = image_shape(t, t->size), out = image_shape(t, t->out);
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = draw_tensor(ctx, image, dtype, -1, 1), *y = draw_tensor(ctx, out, dtype, -1, 1);
        reel_tensor *grid = draw_grid(ctx, t, dtype);
        reel_tensor *s = reel_grid_sample(x, grid, &t->opts), *a = reel_grid_sample_adjoint(y, grid, image, &t->opts);
        reel_tensor *g = reel_grid_sample_grid_grad(x, grid, y, &t->opts);
        sound(ctx);
        double *xs = values_of(x), *ys = values_of(y), *gs = values_of(grid);
        double *got_s = values_of(s), *got_a = values_of(a), *got_g = values_of(g);
        double *want_s = zeros(reel_numel(s)), *want_a = zeros(reel_numel(a)), *want_g = zeros(reel_numel(g));
        int order[3] = { t->opts.order[0], t->opts.order[1], t->opts.order[2] };
        reference(t, xs, gs, order, ys, want_s, want_a, NULL, 0);
        for (int k = 0; k < t->axes; k++) {
            order[k]++;
            reference(t, xs, gs, order, ys, NULL, NULL, want_g + k, t->axes);
            order[k]--;
        }
        // Derivatives grow with the image: (size / 2)^order.
        double size = 1;
        for (int k = 0; k < t->axes; k++) size *= pow(0.5 * (double)t->size[k] + 1, t->opts.order[k]);
        cr_assert_leq(difference(got_s, want_s, reel_numel(s)), tolerance * size, "values: %s", describe(t));
        cr_assert_leq(difference(got_a, want_a, reel_numel(a)), 4 * tolerance * size, "adjoint: %s", describe(t));
        cr_assert_leq(difference(got_g, want_g, reel_numel(g)), 20 * tolerance * size, "gradient: %s", describe(t));
        double left = dot(got_s, ys, reel_numel(s)), right = dot(xs, got_a, reel_numel(x));
        cr_assert_leq(fabs(left - right) / (1 + fabs(left)), 100 * tolerance * size, "adjoint identity: %s",
                      describe(t));
        free(xs), free(ys), free(gs), free(got_s), free(got_a), free(got_g), free(want_s), free(want_a), free(want_g);
    }
    sound(ctx);
}

Test(sample, equals_plain_loops_in_every_mode)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 400; turn++) {
            setting t = draw_setting(turn);
            compare_with_loops(ctx, &t, turn / 4 % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

Test(sample, derivatives_of_the_interpolation_equal_plain_loops)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 400; turn++) {
            setting t = draw_setting(turn);
            for (int a = 0; a < t.axes; a++) t.opts.order[a] = (uint8_t)draw_in(0, t.opts.mode == REEL_BICUBIC ? 4 : 2);
            compare_with_loops(ctx, &t, turn / 4 % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

// Images that are too large to be gone through at once: tiles of points, whole and cut, and points that lie about.
Test(sample, large_images_equal_plain_loops)
{
    static const int64_t sizes[][4] = {
        { 97, 61, 75, 45 }, { 70, 113, 32, 64 }, { 2, 1700, 5, 300 }, { 1700, 1, 300, 5 }, { 120, 90, 203, 1 }
    };
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 40; turn++) {
            const int64_t *size = sizes[turn % 5];
            setting t = {
                .axes = 2, .n = 1, .c = turn % 3 + 1, .size = { size[0], size[1], 1 }, .out = { size[2], size[3], 1 }
            };
            t.smooth = turn / 5 % 4 > 0;
            t.opts.padding_mode = (reel_sample_padding)(turn / 5 % 3);
            t.opts.align_corners = turn % 2;
            t.opts.order[turn % 2] = turn >= 30;
            compare_with_loops(ctx, &t, REEL_F32);
        }
    }
}

// Channels go through the points in groups, and a point may lie in its neighbour's place.
Test(sample, any_number_of_channels_equals_plain_loops)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 36; turn++) {
            setting t = { .axes = 2, .n = 1, .c = turn % 9 + 1, .size = { 67 + turn, 53, 1 }, .out = { 40 + turn, 37, 1 } };
            if (turn % 2) t.size[0] = 3 + turn, t.size[1] = 1 + turn % 5, t.out[0] = 9 + turn, t.out[1] = 3;
            t.smooth = turn % 4 == 0;
            t.repeats = turn % 3 * 5;
            t.opts.padding_mode = (reel_sample_padding)(turn / 9 % 3);
            t.opts.align_corners = turn / 2 % 2;
            compare_with_loops(ctx, &t, REEL_F32);
        }
    }
}

// Points that are nowhere, among others that are near each other: as if they were outside.
Test(sample, gradients_at_points_that_are_no_numbers_are_those_outside)
{
    static const float nowhere[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f };
    EACH_ISA(ctx)
    {
        for (int64_t c = 1; c <= 9; c += 2)
            for (int large = 0; large < 2; large++) {
                int64_t w = large ? 75 : 9, h = large ? 60 : 7;
                setting t = { .axes = 2, .n = 1, .c = c, .size = { w, h, 1 }, .out = { w, h, 1 }, .smooth = true };
                reel_shape image = image_shape(&t, t.size);
                reel_tensor *x = draw_tensor(ctx, image, REEL_F32, -1, 1), *y = draw_tensor(ctx, image, REEL_F32, -1, 1);
                size_t bytes = (size_t)(2 * w * h) * sizeof(float);
                float *at = malloc(bytes), *outside = malloc(bytes);
                memcpy(at, reel_data(draw_grid(ctx, &t, REEL_F32)), bytes);
                memcpy(outside, at, bytes);
                for (int64_t p = 0; p < w * h; p += 13) {
                    at[2 * p + p % 2] = nowhere[p / 13 % 5];
                    outside[2 * p + p % 2] = -9;
                }
                reel_tensor *grid = reel_floats(ctx, grid_shape(&t), at), *other = reel_floats(ctx, grid_shape(&t), outside);
                free(at), free(outside);
                reel_tensor *got[2] = { reel_grid_sample_adjoint(y, grid, image, NULL),
                                        reel_grid_sample_grid_grad(x, grid, y, NULL) };
                reel_tensor *want[2] = { reel_grid_sample_adjoint(y, other, image, NULL),
                                         reel_grid_sample_grid_grad(x, other, y, NULL) };
                for (int k = 0; k < 2; k++) {
                    double *a = values_of(got[k]), *b = values_of(want[k]);
                    cr_assert_leq(difference(a, b, reel_numel(got[k])), 1e-4, "%d of %s", k, describe(&t));
                    free(a), free(b);
                }
            }
        sound(ctx);
    }
}

Test(sample, both_gradients_at_once_equal_each_alone)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 24; turn++) {
            setting t = draw_setting(turn);
            t.n = 9;
            t.smooth = turn % 3 == 2 && t.axes == 2;
            if (t.smooth) t.size[0] = 90, t.size[1] = 70, t.out[0] = 50, t.out[1] = 33;
            REEL_SCOPE(ctx)
            {
                reel_dtype dtype = turn / 12 ? REEL_F64 : REEL_F32;
                reel_tensor *x = draw_tensor(ctx, image_shape(&t, t.size), dtype, -1, 1),
                            *grid = draw_grid(ctx, &t, dtype);
                reel_tensor *y = draw_tensor(ctx, image_shape(&t, t.out), dtype, -1, 1), *got[2];
                reel_set_requires_grad(x, true), reel_set_requires_grad(grid, true);
                reel_tensor *output = reel_grid_sample(x, grid, &t.opts);
                cr_assert(reel_grad(&output, 1, (reel_tensor *[]) { x, grid }, 2, &y, got));
                reel_tensor *want[2] = { reel_grid_sample_adjoint(y, grid, reel_shape_of(x), &t.opts),
                                         reel_grid_sample_grid_grad(x, grid, y, &t.opts) };
                // Channels are added up in other groups.
                for (int k = 0; k < 2; k++) {
                    double *a = values_of(got[k]), *b = values_of(want[k]),
                           tolerance = dtype == REEL_F32 ? 1e-4 : 0;
                    cr_assert_leq(difference(a, b, reel_numel(got[k])), tolerance, "%s", describe(&t));
                    free(a), free(b);
                }
            }
        }
        sound(ctx);
    }
}

// What is more than caches hold goes past them: a batch has the bits of its halves, at widths that vectors fit and not.
Test(sample, large_batches_have_the_bits_of_their_halves)
{
    EACH_ISA(ctx)
    {
        for (int64_t width = 222; width <= 224; width += 2)
            REEL_SCOPE(ctx)
            {
                setting t = { .axes = 2, .n = 24, .c = 3, .size = { 224, 224, 1 }, .out = { width, 224, 1 }, .smooth = true };
                reel_tensor *x = draw_tensor(ctx, image_shape(&t, t.size), REEL_F32, -1, 1), *grid = draw_grid(ctx, &t, REEL_F32);
                reel_tensor *y = draw_tensor(ctx, image_shape(&t, t.out), REEL_F32, -1, 1), *whole[3], *half[3];
                for (int64_t from = -1; from < t.n; from += from < 0 ? 1 : t.n / 2) {
                    reel_tensor *of[3] = { x, grid, y }, **got = from < 0 ? whole : half;
                    for (int k = 0; k < 3 && from >= 0; k++) of[k] = reel_contiguous(reel_narrow(of[k], 0, from, t.n / 2));
                    reel_set_requires_grad(of[0] = reel_detach(of[0]), true), reel_set_requires_grad(of[1] = reel_detach(of[1]), true);
                    got[0] = reel_grid_sample(of[0], of[1], NULL);
                    cr_assert(reel_grad(got, 1, of, 2, of + 2, got + 1), "%s", reel_ctx_error_message(ctx));
                    for (int k = 0; k < 3 && from >= 0; k++) {
                        const char *all = reel_data(whole[k]), *some = reel_data(half[k]);
                        size_t bytes = (size_t)reel_numel(half[k]) * sizeof(float);
                        cr_assert_eq(memcmp(all + (from ? bytes : 0), some, bytes), 0, "%d of %s", k, describe(&t));
                    }
                }
            }
        sound(ctx);
    }
}

static int sample_for_check(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out,
                            int capacity)
{
    (void)ctx, (void)n_in, (void)capacity;
    out[0] = reel_grid_sample(in[0], in[1], &((const setting *)user)->opts);
    return out[0] ? 1 : -1;
}

static int adjoint_for_check(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out,
                             int capacity)
{
    const setting *t = user;
    (void)ctx, (void)n_in, (void)capacity;
    out[0] = reel_grid_sample_adjoint(in[0], in[1], image_shape(t, t->size), &t->opts);
    return out[0] ? 1 : -1;
}

Test(sample, third_derivatives_equal_finite_differences, .timeout = 300)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_gradcheck_opts opts = { .order = 3, .max_entries = 12 };
    for (int which = 0; which < 3 * 3 * 2 * 2; which++) {
        setting t = {
            .axes = which % 2 ? 3 : 2, .n = which % 5 ? 1 : 8, .c = 2, .size = { 4, 3, 1 }, .out = { 3, 1, 1 }
        };
        if (t.axes == 3) t.size[2] = 3;
        t.opts.mode = (reel_sample_mode)(which / 2 % 3);
        t.opts.padding_mode = (reel_sample_padding)(which / 6 % 3);
        t.opts.align_corners = which / 18 % 2;
        if (t.axes == 3 && t.opts.mode == REEL_BICUBIC) continue;
        REEL_SCOPE(ctx)
        {
            reel_tensor *in[2] = { draw_tensor(ctx, image_shape(&t, t.size), REEL_F64, -1, 1),
                                   draw_grid(ctx, &t, REEL_F64) };
            reel_gradcheck_report report;
            cr_assert(reel_gradcheck(sample_for_check, &t, in, 2, &opts, &report), "%s: %s", describe(&t),
                      report.message);
            in[0] = draw_tensor(ctx, image_shape(&t, t.out), REEL_F64, -1, 1);
            cr_assert(reel_gradcheck(adjoint_for_check, &t, in, 2,
                                     &(reel_gradcheck_opts) { .order = 2, .max_entries = 12 }, &report),
                      "adjoint: %s: %s", describe(&t), report.message);
        }
    }
    reel_ctx_free(ctx);
}

Test(sample, gives_the_same_bits_at_any_number_of_threads)
{
    for (int shape = 0; shape < 3; shape++) {
        setting t = {
            .axes = 2, .n = shape == 0 ? 1 : 5, .c = shape == 1 ? 1 : 7, .size = { 61, 47, 1 }, .out = { 83, 59, 1 }
        };
        void *first[3] = { NULL };
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
            spatial_state = 4711;
            reel_tensor *x = draw_tensor(ctx, image_shape(&t, t.size), REEL_F32, -1, 1),
                        *grid = draw_grid(ctx, &t, REEL_F32);
            reel_set_requires_grad(x, true), reel_set_requires_grad(grid, true);
            reel_tensor *result[3] = { reel_grid_sample(x, grid, NULL) };
            cr_assert(reel_grad(result, 1, (reel_tensor *[]) { x, grid }, 2, NULL, result + 1), "%s",
                      reel_ctx_error_message(ctx));
            for (int k = 0; k < 3; k++) {
                size_t bytes = (size_t)reel_numel(result[k]) * sizeof(float);
                const void *now = reel_data(result[k]);
                if (first[k]) cr_assert_eq(memcmp(first[k], now, bytes), 0);
                if (!first[k]) first[k] = memcpy(malloc(bytes), now, bytes);
            }
            reel_ctx_free(ctx);
        }
        for (int k = 0; k < 3; k++) free(first[k]);
    }
}

Test(sample, pixels_outside_of_a_points_reach_do_not_matter)
{
    EACH_ISA(ctx)
    {
        // Pixel 1 is NaN; points at -1.5 and -0.75 of four pixels touch nothing and pixel 0 only.
        for (int d = 0; d < 2; d++) {
            reel_dtype dtype = d ? REEL_F32 : REEL_F64;
            double v[4] = { 1, NAN, 3, INFINITY }, g[6] = { -1.5, 0, -1.1875, 0, NAN, 0 };
            float vf[4] = { 1, NAN, 3, INFINITY }, gf[6] = { -1.5f, 0, -1.1875f, 0, NAN, 0 };
            reel_tensor *x = reel_from(ctx, REEL_SHAPE(1, 1, 1, 4), dtype, d ? (void *)vf : (void *)v);
            reel_tensor *grid = reel_from(ctx, REEL_SHAPE(1, 1, 3, 2), dtype, d ? (void *)gf : (void *)g);
            double *y = values_of(reel_grid_sample(x, grid, NULL));
            cr_assert_eq(y[0], 0);
            cr_assert_float_eq(y[1], 0.125, 1e-6);
            cr_assert_eq(y[2], 0); // as PyTorch's
            free(y);
        }
    }
}

Test(sample, takes_coordinates_of_any_size)
{
    EACH_ISA(ctx)
    {
        const float far[] = { 1e9f, -1e9f, 1e38f, -1e38f, INFINITY, -INFINITY, NAN, 3.5e6f };
        float g[2 * 64];
        for (int i = 0; i < 64; i++) g[2 * i] = far[i / 8], g[2 * i + 1] = far[i % 8];
        reel_tensor *grid = reel_floats(ctx, REEL_SHAPE(1, 1, 64, 2), g), *wide = reel_cast(grid, REEL_F64);
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(1, 1, 5, 6), REEL_F32, -1, 1);
        for (int which = 0; which < 18; which++) {
            reel_grid_sample_opts o = { .mode = which % 3, .padding_mode = which / 3 % 3, .align_corners = which / 9 };
            for (int d = 0; d < 2; d++) {
                reel_tensor *image = d ? reel_cast(x, REEL_F64) : x, *at = d ? wide : grid;
                reel_tensor *y = reel_grid_sample(image, at, &o);
                double *ys = values_of(y);
                for (int i = 0; i < 64 && o.mode != REEL_BICUBIC; i++) cr_assert(fabs(ys[i]) <= 1);
                for (int i = 0; i < 64 && o.padding_mode == REEL_PAD_ZEROS && o.mode != REEL_BICUBIC; i++)
                    cr_assert_eq(ys[i], 0);
                cr_assert(reel_eval(reel_grid_sample_adjoint(y, at, reel_shape_of(x), &o)));
                cr_assert(reel_eval(reel_grid_sample_grid_grad(image, at, y, &o)));
                free(ys);
            }
        }
        sound(ctx);
    }
}

Test(sample, empty_batches_channels_and_grids_stay_empty)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    const int64_t n[3] = { 0, 2, 2 }, c[3] = { 3, 0, 3 }, w[3] = { 4, 4, 0 };
    for (int k = 0; k < 3; k++) {
        reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(n[k], c[k], 5, 5), REEL_F32), true);
        reel_tensor *grid = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(n[k], 3, w[k], 2), REEL_F32), true);
        reel_tensor *y = reel_grid_sample(x, grid, NULL), *g[2];
        cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(n[k], c[k], 3, w[k])));
        cr_assert(reel_grad(&y, 1, (reel_tensor *[]) { x, grid }, 2, NULL, g), "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < 2; i++) {
            double *v = values_of(g[i]);
            for (int64_t e = 0; e < reel_numel(g[i]); e++) cr_assert_eq(v[e], 0);
            free(v);
        }
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(sample, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 1, 4, 4), REEL_F32),
                *grid = reel_ones(ctx, REEL_SHAPE(1, 3, 3, 2), REEL_F32);
    reel_tensor *volume = reel_ones(ctx, REEL_SHAPE(1, 1, 4, 4, 4), REEL_F32);
#define ONES(dtype, ...) reel_ones(ctx, REEL_SHAPE(__VA_ARGS__), dtype)
    refused(ctx, reel_grid_sample(x, ONES(REEL_F32, 2, 3, 3, 2), NULL), "grid_sample", "batch of 1");
    refused(ctx, reel_grid_sample(x, ONES(REEL_F32, 1, 3, 3, 3), NULL), "grid_sample", "last axis");
    refused(ctx, reel_grid_sample(x, ONES(REEL_F32, 1, 3, 3), NULL), "grid_sample", "axes");
    refused(ctx, reel_grid_sample(ONES(REEL_F32, 1, 1, 4), ONES(REEL_F32, 1, 3, 1), NULL), "grid_sample", "axes");
    refused(ctx, reel_grid_sample(x, ONES(REEL_F64, 1, 3, 3, 2), NULL), "grid_sample", "dtype");
    refused(ctx, reel_grid_sample(ONES(REEL_I64, 1, 1, 4, 4), ONES(REEL_I64, 1, 3, 3, 2), NULL), "grid_sample",
            "float");
    refused(ctx, reel_grid_sample(ONES(REEL_F32, 1, 1, 0, 4), grid, NULL), "grid_sample", "empty");
    refused(ctx,
            reel_grid_sample(volume, ONES(REEL_F32, 1, 2, 3, 3, 3), &(reel_grid_sample_opts) { .mode = REEL_BICUBIC }),
            "grid_sample", "bicubic");
    refused(ctx, reel_grid_sample(x, grid, &(reel_grid_sample_opts) { .mode = 7 }), "grid_sample", "mode 7");
    refused(ctx, reel_grid_sample_adjoint(x, grid, REEL_SHAPE(4, 4), NULL), "grid_sample_adjoint", "[1, 1, 3, 3]");
    refused(ctx, reel_grid_sample_adjoint(ONES(REEL_F32, 1, 1, 3, 3), grid, REEL_SHAPE(INT64_MAX, INT64_MAX), NULL),
            "grid_sample_adjoint", "2^31");
    refused(ctx, reel_grid_sample_adjoint(ONES(REEL_F32, 1, 1, 3, 3), grid, REEL_SHAPE(4), NULL), "grid_sample_adjoint",
            "sizes");
#undef ONES
    reel_ctx_free(ctx);
}
