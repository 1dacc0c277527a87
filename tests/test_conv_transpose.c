// SPDX-License-Identifier: MIT
// Transposed convolution with bias, relu and output padding, by every algorithm against plain loops.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/core/random.h>
#include <reel/ops/conv_algo.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(conv_transpose, .init = begin, .fini = end, .timeout = 300);

static reel_generator draws;
static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(reel_generator_uniform(&draws) * (double)(high - low + 1));
}

// The largest difference over 1 + the largest value.
static double difference(reel_tensor *a, reel_tensor *b)
{
    reel_tensor *wide = reel_cast(b, REEL_F64), *off = reel_abs(reel_sub(reel_cast(a, REEL_F64), wide));
    return reel_item(reel_amax(off, REEL_ALL_DIMS, false)) /
           (1 + reel_item(reel_amax(reel_abs(wide), REEL_ALL_DIMS, false)));
}

static reel_tensor *noise(reel_shape shape, reel_dtype dtype)
{
    reel_tensor *t = reel_rand(ctx, &draws, shape, dtype, -1, 1);
    reel_eval(t);
    return t;
}

// Small images, whole batches of them, rows of 3, 5 and 7 taps: what goes along images, and along their rows by tiles.
static void by(reel_conv_algo algo, double f32_error, uint64_t seed)
{
    int checked = 0;
    draws = (reel_generator) { .seed = seed };
    while (checked < 80) REEL_SCOPE(ctx)
        {
            reel_dtype dtype = between(0, 3) ? REEL_F32 : REEL_F64;
            int64_t kernel[2] = { between(1, 7), 2 * between(1, 3) + 1 },
                    stride[2] = { between(1, 2), between(0, 4) ? 1 : 2 };
            int64_t n = between(1, 70), groups = between(1, 2), c = between(1, 6),
                    k = between(0, 2) ? between(1, 6) : 1;
            int64_t size[2] = { between(1, 9), between(1, 20) }, pad[2], more[2];
            bool there = true;
            for (int i = 0; i < 2; i++) {
                pad[i] = between(0, kernel[i] - 1);
                more[i] = between(0, stride[i] - 1);
                there = there && (size[i] - 1) * stride[i] - 2 * pad[i] + kernel[i] > 0;
            }
            if (!there) continue;
            reel_tensor *x = noise(REEL_SHAPE(n, c * groups, size[0], size[1]), dtype);
            reel_tensor *w = noise(REEL_SHAPE(c * groups, k, kernel[0], kernel[1]), dtype);
            reel_tensor *bias = between(0, 1) ? noise(REEL_SHAPE(k * groups), dtype) : NULL, *y[2];
            for (int i = 0; i < 2; i++) {
                y[i] = reel_conv_transpose2d(x, w, bias,
                                             &(reel_conv_opts) { .stride = { stride[0], stride[1] },
                                                                 .padding = { pad[0], pad[1] },
                                                                 .output_padding = { more[0], more[1] },
                                                                 .groups = groups,
                                                                 .algo = i ? REEL_CONV_NAIVE : algo });
                if (checked % 2) y[i] = reel_relu(y[i]);
            }
            double error = difference(y[0], y[1]);
            cr_assert_not(reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
            cr_assert(error <= (dtype == REEL_F64 ? 1e-12 : f32_error),
                      "%g: %d images [%d, %d, %d], %d outputs in %d groups, kernel [%d, %d], stride [%d, %d], "
                      "padding [%d, %d], output padding [%d, %d]",
                      error, (int)n, (int)(c * groups), (int)size[0], (int)size[1], (int)k, (int)groups, (int)kernel[0],
                      (int)kernel[1], (int)stride[0], (int)stride[1], (int)pad[0], (int)pad[1], (int)more[0],
                      (int)more[1]);
            checked++;
        }
}

Test(conv_transpose, along_images) { by(REEL_CONV_IMAGES, 4e-6, 1); }
Test(conv_transpose, along_rows_by_tiles) { by(REEL_CONV_WINOGRAD_ROWS, 2e-5, 2); }
Test(conv_transpose, by_direct_sums) { by(REEL_CONV_DIRECT, 4e-6, 3); }
Test(conv_transpose, by_columns) { by(REEL_CONV_IM2COL, 4e-6, 4); }
Test(conv_transpose, by_what_costs_least) { by(REEL_CONV_AUTO, 1e-4, 5); }

// Transposes whose strides along rows are taken by phases.
typedef struct strided {
    int rank;
    reel_shape x, w;
    reel_conv_opts opts;
    bool bias, relu;
    reel_dtype dtype;
} strided;

static reel_conv_geom geometry_of(const strided *s)
{
    reel_conv_geom g = { .dtype = s->dtype,
                         .n = s->x.dim[0],
                         .groups = s->opts.groups,
                         .k = s->x.dim[1],
                         .c = s->w.dim[1] * s->opts.groups };
    for (int i = 0; i < 3; i++) {
        int d = i - (3 - s->rank);
        g.in[i] = g.out[i] = g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
        if (d < 0) continue;
        g.out[i] = s->x.dim[2 + d];
        g.kernel[i] = s->w.dim[2 + d];
        g.stride[i] = s->opts.stride[d];
        g.dilation[i] = s->opts.dilation[d];
        g.pad[i] = s->opts.padding[d];
        g.in[i] = (g.out[i] - 1) * g.stride[i] - 2 * g.pad[i] + g.dilation[i] * (g.kernel[i] - 1) + 1 +
                  s->opts.output_padding[d];
    }
    return g;
}

// Whether the shape exists, is done in at most so many operations, and an algorithm asked for plays it in this way.
static bool goes_by(const strided *s, double flops, reel_conv_algo algo, const reel_conv_impl *way)
{
    reel_conv_geom g = geometry_of(s);
    return g.in[0] > 0 && g.in[1] > 0 && g.in[2] > 0 && reel_conv_flops(&g) <= flops &&
           reel_conv_choose(&g, REEL_CONV_INPUT_GRAD, algo) == way;
}

// Whether phases are what direct sums of this shape cost least by.
static bool by_phases(const strided *s, double flops) { return goes_by(s, flops, REEL_CONV_DIRECT, &reel_conv_phases); }

static bool by_winograd(const strided *s, double flops)
{
    return goes_by(s, flops, REEL_CONV_WINOGRAD_COLUMNS, &reel_conv_winograd_columns);
}

static strided draw_strided(void)
{
    strided s = { .rank = (int)between(1, 3),
                  .bias = between(0, 1),
                  .relu = between(0, 1),
                  .dtype = between(0, 2) ? REEL_F32 : REEL_F64 };
    int64_t most = s.rank == 1 ? 60 : s.rank == 2 ? 24 : 7;
    s.opts.groups = between(0, 2) ? 1 : between(2, 3);
    s.x = (reel_shape) { .ndim = s.rank + 2, .dim = { between(1, 3), s.opts.groups * between(1, 9) } };
    s.w = (reel_shape) { .ndim = s.rank + 2, .dim = { s.x.dim[1], between(1, between(0, 1) ? 4 : 20) } };
    for (int d = 0; d < s.rank; d++) {
        bool row = d == s.rank - 1;
        s.opts.stride[d] = between(row ? 2 : 1, between(0, 3) ? 4 : 9);
        s.opts.dilation[d] = row ? 1 : between(1, 2);
        s.x.dim[2 + d] = between(1, most);
        s.w.dim[2 + d] = between(row ? s.opts.stride[d] : 1, row ? 11 : 5);
        s.opts.padding[d] = between(0, 6);
        s.opts.output_padding[d] = between(0, s.opts.stride[d] - 1);
    }
    return s;
}

static reel_tensor *transpose(const strided *s, reel_tensor *x, reel_tensor *w, reel_tensor *bias, reel_conv_algo algo)
{
    typedef reel_tensor *fn(reel_tensor *, reel_tensor *, reel_tensor *, const reel_conv_opts *);
    static fn *const of_rank[] = { NULL, reel_conv_transpose1d, reel_conv_transpose2d, reel_conv_transpose3d };
    reel_conv_opts opts = s->opts;
    opts.algo = algo;
    reel_tensor *y = of_rank[s->rank](x, w, bias, &opts);
    return s->relu ? reel_relu(y) : y;
}

static void check(const strided *s, reel_conv_algo algo, double f32_error)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = noise(s->x, s->dtype), *w = noise(s->w, s->dtype);
        reel_tensor *bias = s->bias ? noise(REEL_SHAPE(s->w.dim[1] * s->opts.groups), s->dtype) : NULL;
        double error = difference(transpose(s, x, w, bias, algo), transpose(s, x, w, bias, REEL_CONV_NAIVE));
        cr_assert_not(reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
        cr_assert(error <= (s->dtype == REEL_F64 ? 1e-12 : f32_error),
                  "%g: rank %d, %d images of %d channels, rows of %d, %d outputs in %d groups, rows of %d taps, "
                  "strides %d and %d, "
                  "padding %d, output padding %d",
                  error, s->rank, (int)s->x.dim[0], (int)s->x.dim[1], (int)s->x.dim[s->rank + 1], (int)s->w.dim[1],
                  (int)s->opts.groups, (int)s->w.dim[s->rank + 1], (int)s->opts.stride[0],
                  (int)s->opts.stride[s->rank - 1], (int)s->opts.padding[s->rank - 1],
                  (int)s->opts.output_padding[s->rank - 1]);
    }
}

// Large enough to be cut into several bands: images, one signal along its points, a volume.
static const strided large_strided[] = {
    { 2,
      { 4, { 1, 8, 40, 41 } },
      { 4, { 8, 3, 7, 7 } },
      { .stride = { 2, 2 }, .padding = { 3, 3 }, .groups = 1 },
      true,
      true,
      REEL_F32 },
    { 2,
      { 4, { 1, 24, 17, 19 } },
      { 4, { 24, 12, 4, 4 } },
      { .stride = { 2, 2 }, .padding = { 1, 1 }, .groups = 2 },
      true,
      false,
      REEL_F32 },
    { 2,
      { 4, { 1, 12, 30, 35 } },
      { 4, { 12, 3, 11, 11 } },
      { .stride = { 4, 4 }, .padding = { 2, 2 }, .output_padding = { 3, 1 }, .groups = 1 },
      false,
      true,
      REEL_F64 },
    { 1,
      { 3, { 1, 4, 40000 } },
      { 3, { 4, 1, 9 } },
      { .stride = { 3 }, .padding = { 4 }, .output_padding = { 2 }, .groups = 1 },
      true,
      true,
      REEL_F32 },
    { 3,
      { 5, { 1, 12, 8, 9, 17 } },
      { 5, { 12, 1, 3, 3, 5 } },
      { .stride = { 2, 2, 2 }, .padding = { 1, 1, 2 }, .output_padding = { 1, 1, 1 }, .groups = 1 },
      true,
      false,
      REEL_F32 },
};
enum { LARGE = sizeof large_strided / sizeof large_strided[0] };

static strided large_case(int i)
{
    strided s = large_strided[i];
    for (int d = 0; d < s.rank; d++) s.opts.dilation[d] = 1;
    cr_assert(by_phases(&s, 1e8), "shape %d goes another way", i);
    return s;
}

// Rows that are cut into slices and channels that are cut into blocks, of several tiles.
static const strided large_winograd[] = {
    { 2,
      { 4, { 1, 90, 3, 80 } },
      { 4, { 90, 20, 3, 5 } },
      { .stride = { 2, 2 }, .padding = { 1, 1 }, .groups = 1, .dilation = { 1, 1 } },
      true,
      true,
      REEL_F32 },
    { 2,
      { 4, { 1, 24, 14, 60 } },
      { 4, { 24, 16, 2, 9 } },
      { .stride = { 1, 3 }, .padding = { 0, 8 }, .groups = 2, .dilation = { 1, 1 } },
      true,
      false,
      REEL_F64 },
    { 2,
      { 4, { 1, 150, 9, 40 } },
      { 4, { 150, 3, 7, 7 } },
      { .stride = { 2, 2 }, .padding = { 3, 3 }, .output_padding = { 1, 1 }, .groups = 1, .dilation = { 1, 1 } },
      false,
      true,
      REEL_F32 },
};
enum { LARGE_WINOGRAD = sizeof large_winograd / sizeof large_winograd[0] };

// Columns of 2 to 7 taps in a phase.
static strided draw_winograd(void)
{
    strided s = {
        .rank = 2, .bias = between(0, 1), .relu = between(0, 1), .dtype = between(0, 2) ? REEL_F32 : REEL_F64
    };
    s.opts.groups = between(0, 3) ? 1 : 2;
    s.x = (reel_shape) { 4, { between(1, 2), s.opts.groups * between(1, 9), between(1, 16), between(1, 40) } };
    s.w = (reel_shape) { 4, { s.x.dim[1], between(1, 4) } };
    for (int d = 0; d < 2; d++) {
        s.opts.stride[d] = between(d + 1, between(0, 3) ? 3 : 5);
        s.opts.dilation[d] = 1;
        s.w.dim[2 + d] = between(s.opts.stride[d], d ? 8 : 7 * s.opts.stride[d]);
        s.opts.padding[d] = between(0, s.w.dim[2 + d] - 1);
        s.opts.output_padding[d] = between(0, s.opts.stride[d] - 1);
    }
    return s;
}

static void context_of(const char *isa)
{
    reel_ctx_free(ctx);
    ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isa, .threads = 2 });
    if (reel_ctx_error(ctx) == REEL_ERROR_UNSUPPORTED) cr_skip_test("no %s here", isa);
    draws = (reel_generator) { .seed = 6 };
}

static void phases_on(const char *isa)
{
    context_of(isa);
    int checked = 0;
    for (int drawn = 0; checked < 200; drawn++) {
        cr_assert(drawn < 5000, "only %d shapes go by phases", checked);
        strided s = draw_strided();
        if (!by_phases(&s, 2e5)) continue;
        check(&s, REEL_CONV_DIRECT, 4e-6);
        checked++;
    }
    for (int i = 0; i < LARGE; i++) {
        strided s = large_case(i);
        check(&s, REEL_CONV_DIRECT, 4e-6);
    }
}

static void winograd_on(const char *isa)
{
    context_of(isa);
    int checked[8] = { 0 };
    for (int drawn = 0; drawn < 500; drawn++) {
        strided s = draw_winograd();
        if (!by_winograd(&s, 4e5)) continue;
        check(&s, REEL_CONV_WINOGRAD_COLUMNS, 1e-5);
        checked[(s.w.dim[2] + s.opts.stride[0] - 1) / s.opts.stride[0]]++;
    }
    for (int taps = 2; taps <= 7; taps++) cr_assert(checked[taps] > 15, "%d shapes have %d taps", checked[taps], taps);
    for (int i = 0; i < LARGE_WINOGRAD; i++) {
        cr_assert(by_winograd(&large_winograd[i], 1e9), "shape %d goes another way", i);
        check(&large_winograd[i], REEL_CONV_WINOGRAD_COLUMNS, 1e-5);
    }
}

Test(conv_transpose, by_phases_on_avx512) { phases_on("avx512"); }
Test(conv_transpose, by_phases_on_avx2) { phases_on("avx2"); }
Test(conv_transpose, by_phases_on_the_base) { phases_on("base"); }
Test(conv_transpose, by_phases_in_portable_code) { phases_on("portable"); }

Test(conv_transpose, by_winograd_along_columns_on_avx512) { winograd_on("avx512"); }
Test(conv_transpose, by_winograd_along_columns_on_avx2) { winograd_on("avx2"); }
Test(conv_transpose, by_winograd_along_columns_on_the_base) { winograd_on("base"); }
Test(conv_transpose, by_winograd_along_columns_in_portable_code) { winograd_on("portable"); }

Test(conv_transpose, by_winograd_along_columns_is_chosen_for_a_colour_image_of_seven_taps)
{
    strided s = { .rank = 2, .x = { 4, { 8, 64, 112, 112 } }, .w = { 4, { 64, 3, 7, 7 } } };
    s.opts = (reel_conv_opts) {
        .stride = { 2, 2 }, .padding = { 3, 3 }, .output_padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1
    };
    cr_assert(goes_by(&s, 1e10, REEL_CONV_AUTO, &reel_conv_winograd_columns));
    s = (strided) { .rank = 2, .x = { 4, { 8, 32, 32, 32 } }, .w = { 4, { 32, 4, 3, 3 } } }; /* two taps, short sums */
    s.opts = (reel_conv_opts) {
        .stride = { 2, 2 }, .padding = { 1, 1 }, .output_padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 8
    };
    cr_assert(goes_by(&s, 1e10, REEL_CONV_AUTO, &reel_conv_phases));
}

// 256 terms behind each tap.
Test(conv_transpose, by_winograd_along_columns_errs_within_bounds_over_many_channels)
{
    draws = (reel_generator) { .seed = 9 };
    for (int64_t kernel = 3; kernel <= 13; kernel += 2) {
        strided s = { .rank = 2, .x = { 4, { 1, 256, 12, 13 } }, .w = { 4, { 256, 3, kernel, kernel } } };
        s.opts = (reel_conv_opts) {
            .stride = { 2, 2 }, .padding = { kernel / 2, kernel / 2 }, .dilation = { 1, 1 }, .groups = 1
        };
        cr_assert(by_winograd(&s, 1e10));
        check(&s, REEL_CONV_WINOGRAD_COLUMNS, 1e-5);
    }
}

// What is not finite reaches the rows of its tiles, in the columns that see it, and no others.
Test(conv_transpose, by_winograd_along_columns_keeps_infinities_to_their_tiles)
{
    draws = (reel_generator) { .seed = 10 };
    for (int i = 0; i < 12; i++) {
        reel_dtype dtype = i & 1 ? REEL_F64 : REEL_F32;
        strided s = { .rank = 2, .x = { 4, { 2, 5, 30, 21 } }, .w = { 4, { 5, 3, 7, 5 } }, .dtype = dtype };
        s.opts = (reel_conv_opts) { .stride = { 2, 2 }, .padding = { 3, 2 }, .dilation = { 1, 1 }, .groups = 1 };
        cr_assert(by_winograd(&s, 1e10));
        int64_t row = between(0, 29), column = between(0, 20);
        reel_tensor *x = noise(s.x, dtype), *w = noise(s.w, dtype);
        double *values = malloc((size_t)reel_numel(x) * sizeof *values);
        const double *from = reel_data_f64(reel_cast(x, REEL_F64));
        cr_assert(from, "%s", reel_ctx_error_message(ctx));
        memcpy(values, from, (size_t)reel_numel(x) * sizeof *values);
        values[((1 * 5 + 2) * 30 + row) * 21 + column] = i & 2 ? NAN : INFINITY;
        x = reel_cast(reel_from(ctx, s.x, REEL_F64, values), dtype);
        free(values);
        reel_tensor *y[2];
        const double *data[2];
        for (int k = 0; k < 2; k++) {
            y[k] = reel_cast(transpose(&s, x, w, NULL, k ? REEL_CONV_NAIVE : REEL_CONV_WINOGRAD_COLUMNS), REEL_F64);
            cr_assert(data[k] = reel_data_f64(y[k]), "%s", reel_ctx_error_message(ctx));
        }
        int64_t height = reel_size(y[0], 2), width = reel_size(y[0], 3);
        for (int64_t q = 0; q < reel_numel(y[0]); q++) {
            int64_t image = q / (3 * height * width), r = q / width % height, c = q % width;
            bool near = image == 1 && llabs(r - 2 * row) < 2 * 8 && llabs(c - 2 * column) <= 2;
            if (!isfinite(data[1][q]))
                cr_assert(!isfinite(data[0][q]), "case %d: [%d, %d] is finite", i, (int)r, (int)c);
            else if (!near)
                cr_assert_float_eq(data[0][q], data[1][q], 1e-3, "case %d: [%d, %d] is %g", i, (int)r, (int)c,
                                   data[0][q]);
        }
    }
}

static void same_bits(const strided *s, reel_conv_algo algo)
{
    void *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx_free(ctx);
        ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        draws = (reel_generator) { .seed = 7 };
        reel_tensor *x = noise(s->x, s->dtype), *w = noise(s->w, s->dtype), *y = transpose(s, x, w, NULL, algo);
        size_t bytes = (size_t)reel_numel(y) * reel_dtype_size(s->dtype);
        const void *data = reel_data(y);
        cr_assert(data, "%s", reel_ctx_error_message(ctx));
        if (!first)
            memcpy(first = malloc(bytes), data, bytes);
        else
            cr_assert(memcmp(first, data, bytes) == 0, "differs at %d threads", threads);
    }
    free(first);
}

Test(conv_transpose, by_phases_gives_the_same_bits_at_any_number_of_threads)
{
    for (int i = 0; i < LARGE; i++) {
        strided s = large_case(i);
        same_bits(&s, REEL_CONV_DIRECT);
    }
}

Test(conv_transpose, by_winograd_along_columns_gives_the_same_bits_at_any_number_of_threads)
{
    for (int i = 0; i < LARGE_WINOGRAD; i++) same_bits(&large_winograd[i], REEL_CONV_WINOGRAD_COLUMNS);
}
