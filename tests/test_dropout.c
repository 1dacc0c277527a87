// SPDX-License-Identifier: MIT
// Dropout: how often and by how much, whole channels, and the same mask wherever it is drawn again.
#include "spatial.h"

// Criterion is told of elements that are wrong only: millions of passing assertions take minutes.
static reel_tensor *ones(reel_ctx *ctx, reel_shape shape)
{
    return reel_set_requires_grad(reel_ones(ctx, shape, REEL_F32), true);
}

Test(dropout, zeroes_a_share_and_scales_the_rest)
{
    enum { N = 400000 };
    static const double ps[] = { 0.05, 0.3, 0.5, 0.9 };
    EACH_ISA(ctx)
    {
        for (size_t k = 0; k < sizeof ps / sizeof ps[0]; k++)
            for (int f = 0; f < 2; f++) {
                reel_tensor *x = reel_ones(ctx, REEL_SHAPE(N), f ? REEL_F32 : REEL_F64);
                double *y = values_of(reel_dropout(x, ps[k], true, NULL)), zeros = 0, pairs = 0;
                for (int i = 0; i < N; i++) {
                    if (y[i] == 0)
                        zeros++, pairs += i > 0 && y[i - 1] == 0;
                    else
                        if (!(fabs(y[i] - 1 / (1 - ps[k])) <= 1e-5)) cr_assert_float_eq(y[i], 1 / (1 - ps[k]), 1e-5);
                }
                // Five standard deviations of a binomial; of pairs, whose variance is a little larger, seven.
                double bound = 5 * sqrt(ps[k] * (1 - ps[k]) / N), square = ps[k] * ps[k];
                cr_assert_float_eq(zeros / N, ps[k], bound);
                cr_assert_float_eq(pairs / N, square, 7 * sqrt(square * (1 - square) / N),
                                   "neighbours are independent");
                free(y);
            }
        sound(ctx);
    }
}

Test(dropout, follows_philox_word_by_word_under_every_isa)
{
    EACH_ISA(ctx)
    {
        reel_generator generator = { .seed = 0x123456789abcdef0, .offset = 0xfffffffe };
        double *y = values_of(reel_dropout(reel_ones(ctx, REEL_SHAPE(1003), REEL_F32), 0.4, true, &generator));
        for (int i = 0; i < 1003; i++) {
            uint32_t word[4];
            reel_philox(0x123456789abcdef0, 0xfffffffe + (uint64_t)i / 4, word);
            if ((y[i] == 0) != (word[i % 4] < (uint32_t)(0.4 * 0x1p32)))
                cr_assert_eq(y[i] == 0, word[i % 4] < (uint32_t)(0.4 * 0x1p32), "element %d", i);
        }
        cr_assert_eq(generator.offset, UINT64_C(0xfffffffe) + 251);
        free(y);
    }
}

Test(dropout, gives_the_same_numbers_at_any_number_of_threads)
{
    double *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads, .seed = 9 });
        double *y = values_of(reel_dropout(reel_ones(ctx, REEL_SHAPE(100001), REEL_F32), 0.5, true, NULL));
        if (first) {
            cr_assert_eq(memcmp(first, y, 100001 * sizeof *y), 0);
            free(y);
        } else {
            first = y;
        }
        reel_ctx_free(ctx);
    }
    free(first);
}

Test(dropout, keeps_its_mask_in_the_gradient_and_when_played_again)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(50, 1000), REEL_F32, 1, 2), *g, *gg, *kept;
    reel_set_requires_grad(x, true);
    REEL_SCOPE(ctx)
    {
        // The value is large, so it is let go of after the sum and drawn again for the comparison.
        reel_tensor *y = reel_dropout(x, 0.5, true, NULL);
        reel_tensor *sum = reel_sum(y, REEL_ALL_DIMS, false);
        double before = reel_item(sum);
        cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
        kept = reel_sum(reel_mul(x, g), REEL_ALL_DIMS, false);
        cr_assert_float_eq(reel_item(kept), before, 1e-4 * before, "the gradient holds the mask of the value");
        cr_assert_float_eq(reel_item(reel_sum(y, REEL_ALL_DIMS, false)), before, 1e-6 * before);
        // y^2 has the second derivative 2 mask^2, and twice the mask is its square.
        reel_tensor *square = reel_square(reel_dropout(x, 0.5, true, NULL));
        cr_assert(reel_grad(&square, 1, &x, 1, NULL, &g) && reel_grad(&g, 1, &x, 1, NULL, &gg));
        double *second = values_of(gg), *values = values_of(square);
        for (int i = 0; i < 50000; i++)
            if (second[i] != (values[i] == 0 ? 0 : 8)) cr_assert_eq(second[i], values[i] == 0 ? 0 : 8);
        free(second), free(values);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(dropout, draws_anew_each_time_it_is_recorded)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1000), REEL_F32);
    double *last = NULL;
    for (int step = 0; step < 3; step++) {
        REEL_SCOPE(ctx)
        {
            double *y = values_of(reel_dropout(x, 0.5, true, NULL));
            cr_assert(!last || memcmp(last, y, 1000 * sizeof *y), "a plan found again draws other numbers");
            free(last);
            last = y;
        }
    }
    free(last);
    reel_generator generator = { .seed = 3 }, same = generator;
    double *a = values_of(reel_dropout(x, 0.5, true, &generator)), *b = values_of(reel_dropout(x, 0.5, true, &same));
    cr_assert_eq(memcmp(a, b, 1000 * sizeof *a), 0, "a generator set back repeats its numbers");
    free(a), free(b);
    reel_ctx_free(ctx);
}

static void check_channels(reel_ctx *ctx, reel_tensor *y, int64_t inner)
{
    double *values = values_of(y);
    int64_t channels = reel_numel(y) / inner, zeros = 0;
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t i = 1; i < inner; i++)
            if (values[c * inner + i] != values[c * inner]) cr_assert_eq(values[c * inner + i], values[c * inner]);
        zeros += values[c * inner] == 0;
    }
    cr_assert(zeros > channels / 4 && zeros < 3 * channels / 4, "%d of %d channels", (int)zeros, (int)channels);
    free(values);
    sound(ctx);
}

Test(dropout, takes_whole_channels)
{
    EACH_ISA(ctx)
    {
        check_channels(ctx, reel_dropout1d(ones(ctx, REEL_SHAPE(20, 10, 7)), 0.5, true, NULL), 7);
        check_channels(ctx, reel_dropout1d(ones(ctx, REEL_SHAPE(200, 5)), 0.5, true, NULL), 5);
        check_channels(ctx, reel_dropout2d(ones(ctx, REEL_SHAPE(20, 10, 3, 50)), 0.5, true, NULL), 150);
        check_channels(ctx, reel_dropout2d(ones(ctx, REEL_SHAPE(20, 10, 4)), 0.5, true, NULL), 4);
        check_channels(ctx, reel_dropout3d(ones(ctx, REEL_SHAPE(20, 10, 2, 3, 2)), 0.5, true, NULL), 12);
        check_channels(ctx, reel_dropout3d(ones(ctx, REEL_SHAPE(100, 2, 3, 2)), 0.5, true, NULL), 12);
        check_channels(ctx, reel_dropout2d(ones(ctx, REEL_SHAPE(60, 2, 300, 200)), 0.5, true, NULL), 60000);
    }
}

Test(dropout, knows_its_ends)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(3), (float[]) { 1, INFINITY, NAN });
    const float *y = reel_data_f32(reel_dropout(x, 1, true, NULL));
    for (int i = 0; i < 3; i++) cr_assert_eq(y[i], 0, "p = 1 keeps nothing");
    y = reel_data_f32(reel_dropout(x, 0, true, NULL));
    cr_assert(y[0] == 1 && isinf(y[1]) && isnan(y[2]), "p = 0 keeps everything");
    y = reel_data_f32(reel_dropout(x, 0.5, false, NULL));
    cr_assert(y[0] == 1 && isinf(y[1]) && isnan(y[2]), "outside training everything passes");
    cr_assert_eq(reel_ctx_generator(ctx)->offset, 1, "only what draws moves the generator");
    cr_assert(reel_eval(reel_dropout2d(reel_ones(ctx, REEL_SHAPE(2, 0, 3, 3), REEL_F64), 0.5, true, NULL)));
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(dropout, refuses_what_it_cannot_do)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *whole = reel_zeros(ctx, REEL_SHAPE(2), REEL_I64);
    refused(ctx, reel_dropout(x, 1.5, true, NULL), "dropout", "p is 1.5");
    refused(ctx, reel_dropout(x, -0.1, false, NULL), "dropout", "p is -0.1");
    refused(ctx, reel_dropout(x, NAN, true, NULL), "dropout", "p is");
    refused(ctx, reel_dropout(whole, 0.5, true, NULL), "dropout", "int64");
    refused(ctx, reel_dropout2d(x, 0.5, true, NULL), "dropout2d", "[N, C, H, W]");
    refused(ctx, reel_dropout3d(x, 0.5, true, NULL), "dropout3d", "[2, 3]");
    cr_assert_eq(reel_ctx_generator(ctx)->offset, 0);
    reel_ctx_free(ctx);
}
