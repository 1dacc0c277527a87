// SPDX-License-Identifier: MIT
// Forward passes by Winograd along columns against plain loops: shapes, instruction sets, bits, errors and where it is
// chosen.
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
TestSuite(conv_columns, .init = begin, .fini = end, .timeout = 300);

static reel_generator draws;
static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(reel_generator_uniform(&draws) * (double)(high - low + 1));
}

static reel_tensor *noise(reel_shape shape, reel_dtype dtype)
{
    reel_tensor *t = reel_rand(ctx, &draws, shape, dtype, -1, 1);
    reel_eval(t);
    return t;
}

typedef struct layer {
    int64_t n, groups, inputs, outputs; /* of a group */
    int64_t size[2], kernel[2], stride[2], pad[2];
    bool bias, relu;
    reel_dtype dtype;
} layer;

static reel_conv_geom geometry_of(const layer *l)
{
    reel_conv_geom g = { .dtype = l->dtype,
                         .n = l->n,
                         .groups = l->groups,
                         .c = l->groups * l->inputs,
                         .k = l->groups * l->outputs,
                         .in = { 1 },
                         .out = { 1 },
                         .kernel = { 1 },
                         .stride = { 1 },
                         .dilation = { 1, 1, 1 } };
    for (int d = 0; d < 2; d++) {
        g.in[d + 1] = l->size[d];
        g.kernel[d + 1] = l->kernel[d];
        g.pad[d + 1] = l->pad[d];
        g.out[d + 1] = (l->size[d] + 2 * l->pad[d] - l->kernel[d]) / l->stride[d] + 1;
        g.stride[d + 1] = g.out[d + 1] == 1 ? 1 : l->stride[d]; /* one result: the stride is never taken */
    }
    return g;
}

// Whether there are results, and an algorithm asked for plays the layer in this way.
static bool goes_by(const layer *l, reel_conv_algo algo, const reel_conv_impl *way)
{
    reel_conv_geom g = geometry_of(l);
    for (int d = 0; d < 2; d++)
        if (l->size[d] + 2 * l->pad[d] < l->kernel[d]) return false;
    return reel_conv_choose(&g, REEL_CONV_FORWARD, algo) == way;
}

static bool by_columns(const layer *l)
{
    return goes_by(l, REEL_CONV_WINOGRAD_COLUMNS, &reel_conv_winograd_columns_forward);
}

static reel_tensor *images_of(const layer *l)
{
    return noise(REEL_SHAPE(l->n, l->groups * l->inputs, l->size[0], l->size[1]), l->dtype);
}

static reel_tensor *weights_of(const layer *l)
{
    return noise(REEL_SHAPE(l->groups * l->outputs, l->inputs, l->kernel[0], l->kernel[1]), l->dtype);
}

static reel_tensor *play(const layer *l, reel_tensor *x, reel_tensor *w, reel_tensor *bias, reel_conv_algo algo)
{
    reel_tensor *y = reel_conv2d(x, w, bias,
                                 &(reel_conv_opts) { .stride = { l->stride[0], l->stride[1] },
                                                     .padding = { l->pad[0], l->pad[1] },
                                                     .groups = l->groups,
                                                     .algo = algo });
    return l->relu ? reel_relu(y) : y;
}

// The largest difference over 1 + the largest value.
static void check(const layer *l)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = images_of(l), *w = weights_of(l),
                    *bias = l->bias ? noise(REEL_SHAPE(l->groups * l->outputs), l->dtype) : NULL;
        reel_tensor *is = play(l, x, w, bias, REEL_CONV_WINOGRAD_COLUMNS),
                    *should = play(l, x, w, bias, REEL_CONV_NAIVE);
        reel_tensor *wide = reel_cast(should, REEL_F64), *off = reel_abs(reel_sub(reel_cast(is, REEL_F64), wide));
        double error = reel_item(reel_amax(off, REEL_ALL_DIMS, false)) /
                       (1 + reel_item(reel_amax(reel_abs(wide), REEL_ALL_DIMS, false)));
        cr_assert_not(reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
        cr_assert(
            error <= (l->dtype == REEL_F64 ? 1e-12 : 1e-5),
            "%g: %d images [%d, %d, %d], %d outputs in %d groups, kernel [%d, %d], stride [%d, %d], padding [%d, %d]",
            error, (int)l->n, (int)(l->groups * l->inputs), (int)l->size[0], (int)l->size[1],
            (int)(l->groups * l->outputs), (int)l->groups, (int)l->kernel[0], (int)l->kernel[1], (int)l->stride[0],
            (int)l->stride[1], (int)l->pad[0], (int)l->pad[1]);
    }
}

// Columns of 2 to 7 taps in a residue; strides that are longer than rows of taps are among them, and padding that is
// wider.
static layer draw_layer(void)
{
    layer l = { .n = between(1, 2),
                .groups = between(0, 3) ? 1 : 2,
                .inputs = between(1, 9),
                .outputs = between(1, 15),
                .bias = between(0, 1),
                .relu = between(0, 1),
                .dtype = between(0, 2) ? REEL_F32 : REEL_F64 };
    for (int d = 0; d < 2; d++) {
        l.stride[d] = between(1, between(0, 3) ? 3 : 5);
        l.kernel[d] = between(1, d ? 8 : 7 * l.stride[d]);
        l.pad[d] = between(0, between(0, 3) ? l.kernel[d] - 1 : 9);
        l.size[d] = between(1, d ? 60 : 40);
    }
    return l;
}

// Rows that are cut into slices, inputs that are cut into blocks, and both; outputs that are many and few.
static const layer large[] = {
    { 1, 1, 2, 7, { 20, 600 }, { 5, 3 }, { 1, 1 }, { 2, 1 }, true, true, REEL_F32 },
    { 2, 1, 70, 33, { 14, 40 }, { 7, 7 }, { 2, 2 }, { 3, 3 }, true, false, REEL_F32 },
    { 1, 2, 41, 9, { 17, 31 }, { 5, 4 }, { 2, 3 }, { 0, 5 }, false, true, REEL_F64 },
    { 1, 1, 33, 300, { 9, 90 }, { 4, 5 }, { 1, 1 }, { 1, 2 }, true, true, REEL_F32 },
    { 1, 1, 3, 5, { 90, 1300 }, { 13, 11 }, { 2, 4 }, { 5, 5 }, true, false, REEL_F32 },
    { 1, 1, 2, 4, { 200, 150 }, { 30, 30 }, { 16, 16 }, { 9, 9 }, true, false, REEL_F32 },
    { 1, 1, 1, 3, { 12, 700 }, { 3, 512 }, { 1, 1 }, { 1, 200 }, true, false, REEL_F64 },
};
enum { LARGE = sizeof large / sizeof large[0] };

static void agrees_on(const char *isa)
{
    reel_ctx_free(ctx);
    ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isa, .threads = 2 });
    if (reel_ctx_error(ctx) == REEL_ERROR_UNSUPPORTED) cr_skip_test("no %s here", isa);
    draws = (reel_generator) { .seed = 11 };
    int checked[8] = { 0 };
    for (int drawn = 0; drawn < 500; drawn++) {
        layer l = draw_layer();
        reel_conv_geom g = geometry_of(&l);
        if (!by_columns(&l) || reel_conv_flops(&g) > 3e6) continue;
        check(&l);
        checked[(g.kernel[1] + g.stride[1] - 1) / g.stride[1]]++;
    }
    for (int taps = 2; taps <= 7; taps++) cr_assert(checked[taps] > 15, "%d shapes have %d taps", checked[taps], taps);
    for (int i = 0; i < LARGE; i++) {
        cr_assert(by_columns(&large[i]), "shape %d goes another way", i);
        check(&large[i]);
    }
}

Test(conv_columns, agrees_with_plain_loops_on_avx512) { agrees_on("avx512"); }
Test(conv_columns, agrees_with_plain_loops_on_avx2) { agrees_on("avx2"); }
Test(conv_columns, agrees_with_plain_loops_on_the_base) { agrees_on("base"); }
Test(conv_columns, agrees_with_plain_loops_in_portable_code) { agrees_on("portable"); }

// 256 terms behind each tap.
Test(conv_columns, errs_within_bounds_over_many_channels)
{
    draws = (reel_generator) { .seed = 12 };
    for (int64_t kernel = 3; kernel <= 14; kernel++) {
        int64_t stride = kernel > 7 ? 2 : 1 + kernel % 2;
        layer l = {
            1, 1, 256, 7, { 25, 26 }, { kernel, kernel }, { stride, stride }, { kernel / 2, kernel / 2 }, .bias = true
        };
        l.dtype = REEL_F32;
        cr_assert(by_columns(&l));
        check(&l);
    }
}

Test(conv_columns, gives_the_same_bits_at_any_number_of_threads)
{
    for (int i = 0; i < LARGE; i++) {
        const layer *l = &large[i];
        void *first = NULL;
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx_free(ctx);
            ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
            draws = (reel_generator) { .seed = 13 };
            reel_tensor *x = images_of(l), *w = weights_of(l), *y = play(l, x, w, NULL, REEL_CONV_WINOGRAD_COLUMNS);
            size_t bytes = (size_t)reel_numel(y) * reel_dtype_size(l->dtype);
            const void *data = reel_data(y);
            cr_assert(data, "%s", reel_ctx_error_message(ctx));
            if (!first)
                memcpy(first = malloc(bytes), data, bytes);
            else
                cr_assert(memcmp(first, data, bytes) == 0, "shape %d differs at %d threads", i, threads);
        }
        free(first);
    }
}

// What is not finite reaches the rows of its tiles, in the columns that see it, and no others.
Test(conv_columns, keeps_infinities_to_their_tiles)
{
    draws = (reel_generator) { .seed = 14 };
    for (int i = 0; i < 12; i++) {
        layer l = { 2, 1, 3, 8, { 50, 61 }, { 7, 5 }, { 2, 2 }, { 3, 2 }, .dtype = i & 1 ? REEL_F64 : REEL_F32 };
        cr_assert(by_columns(&l));
        int64_t row = between(0, 49), column = between(0, 60);
        reel_tensor *x = images_of(&l), *w = weights_of(&l), *y[2];
        double *values = malloc((size_t)reel_numel(x) * sizeof *values);
        const double *from = reel_data_f64(reel_cast(x, REEL_F64)), *data[2];
        cr_assert(from, "%s", reel_ctx_error_message(ctx));
        memcpy(values, from, (size_t)reel_numel(x) * sizeof *values);
        values[((1 * 3 + 2) * 50 + row) * 61 + column] = i & 2 ? NAN : INFINITY;
        x = reel_cast(reel_from(ctx, reel_shape_of(x), REEL_F64, values), l.dtype);
        free(values);
        for (int k = 0; k < 2; k++) {
            y[k] = reel_cast(play(&l, x, w, NULL, k ? REEL_CONV_NAIVE : REEL_CONV_WINOGRAD_COLUMNS), REEL_F64);
            cr_assert(data[k] = reel_data_f64(y[k]), "%s", reel_ctx_error_message(ctx));
        }
        int64_t height = reel_size(y[0], 2), width = reel_size(y[0], 3);
        for (int64_t q = 0; q < reel_numel(y[0]); q++) {
            int64_t image = q / (8 * height * width), r = q / width % height, c = q % width;
            bool near = image == 1 && llabs(2 * r - row) < 2 * 8 && llabs(2 * c - column) <= 2;
            if (!isfinite(data[1][q]))
                cr_assert(!isfinite(data[0][q]), "case %d: [%d, %d] is finite", i, (int)r, (int)c);
            else if (!near)
                cr_assert_float_eq(data[0][q], data[1][q], 1e-3, "case %d: [%d, %d] is %g", i, (int)r, (int)c,
                                   data[0][q]);
        }
    }
}

Test(conv_columns, is_chosen_for_first_layers_of_seven_taps_and_left_out_of_short_sums)
{
    layer l = { 8, 1, 3, 64, { 224, 224 }, { 7, 7 }, { 2, 2 }, { 3, 3 }, .dtype = REEL_F32 };
    cr_assert(goes_by(&l, REEL_CONV_AUTO, &reel_conv_winograd_columns_forward));
    l.n = 1;
    cr_assert(goes_by(&l, REEL_CONV_AUTO, &reel_conv_winograd_columns_forward));
    l = (layer) { 4, 1, 64, 64, { 64, 64 }, { 7, 7 }, { 2, 2 }, { 3, 3 }, .dtype = REEL_F32 };
    cr_assert(goes_by(&l, REEL_CONV_AUTO, &reel_conv_winograd_columns_forward));
    l = (layer) { 8, 1, 3, 32, { 64, 64 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, .dtype = REEL_F32 };
    cr_assert(goes_by(&l, REEL_CONV_AUTO, &reel_conv_direct));
}

// Of the one plane there is, the one result along the first axis sees the padding alone.
Test(conv_columns, leaves_padding_of_a_third_axis_to_others)
{
    draws = (reel_generator) { .seed = 15 };
    reel_tensor *x = noise(REEL_SHAPE(1, 2, 1, 20, 20), REEL_F32), *w = noise(REEL_SHAPE(3, 2, 1, 5, 5), REEL_F32),
                *gx[2];
    for (int i = 0; i < 2; i++) {
        reel_set_requires_grad(x, true);
        reel_tensor *y = reel_conv3d(x, w, NULL,
                                     &(reel_conv_opts) { .stride = { 3, 2, 2 },
                                                         .padding = { 1, 2, 2 },
                                                         .algo = i ? REEL_CONV_NAIVE : REEL_CONV_WINOGRAD_COLUMNS });
        reel_tensor *sum = reel_sum(y, REEL_ALL_DIMS, false);
        reel_grad(&sum, 1, &x, 1, NULL, &gx[i]);
        cr_assert_eq(reel_item(reel_amax(reel_abs(y), REEL_ALL_DIMS, false)), 0);
        cr_assert_eq(reel_item(reel_amax(reel_abs(gx[i]), REEL_ALL_DIMS, false)), 0);
    }
    cr_assert_not(reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
}
