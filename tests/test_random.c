// SPDX-License-Identifier: MIT
// Tensors of draws: what comes of each word, the same at any number of threads, and how they are distributed.
#include "spatial.h"

static const uint64_t SEED = 0x1234567, FIRST = 0xfffffffe; // the counter passes 32 bits

static double uniform53(const uint32_t word[2]) { return (double)(((uint64_t)word[0] << 32 | word[1]) >> 11) * 0x1p-53; }

static double *drawn(reel_ctx *ctx, bool normal, int64_t n, reel_dtype dtype, double a, double b)
{
    reel_generator generator = { .seed = SEED, .offset = FIRST };
    reel_tensor *x = (normal ? reel_randn : reel_rand)(ctx, &generator, REEL_SHAPE(n), dtype, a, b);
    double *values = values_of(x);
    cr_assert_eq(generator.offset, FIRST + (uint64_t)(n + 1) / 2);
    return values;
}

static const int64_t sizes[] = { 1, 2, 3, 5, 31, 64, 127, 4095, 4097, 10003 };
#define N_SIZES (sizeof sizes / sizeof *sizes)

Test(random, uniform_draws_are_those_of_philox_word_by_word_under_every_isa)
{
    EACH_ISA(ctx)
    {
        for (size_t s = 0; s < N_SIZES; s++)
            for (int f = 0; f < 2; f++) {
                double *y = drawn(ctx, false, sizes[s], f ? REEL_F32 : REEL_F64, -0.7, 1.9);
                for (int64_t i = 0; i < sizes[s]; i++) {
                    uint32_t word[4];
                    reel_philox(SEED, FIRST + (uint64_t)(i / (f ? 4 : 2)), word);
                    double u = f ? (double)(word[i % 4] >> 8) * 0x1p-24 : uniform53(word + i % 2 * 2);
                    double expected = -0.7 + (1.9 - -0.7) * u;
                    if (y[i] != (f ? (double)(float)expected : expected)) cr_assert_eq(y[i], expected, "element %d", (int)i);
                }
                free(y);
            }
        sound(ctx);
    }
}

Test(random, uniform_draws_stay_below_their_end)
{
    EACH_ISA(ctx)
    {
        // 2^24 draws of 24 bits: some of the largest are there, which would be rounded to the end.
        float end = 3, most = 0;
        reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(1 << 24), REEL_F32, 2, end);
        const float *values = reel_data_f32(x);
        for (int i = 0; i < 1 << 24; i++) most = values[i] > most ? values[i] : most;
        cr_assert_lt(most, end);
        cr_assert_gt(most, 2.99999f);
        double *same = drawn(ctx, false, 100, REEL_F32, 0.3f, 0.3f);
        for (int i = 0; i < 100; i++) cr_assert_eq(same[i], (double)0.3f, "an empty range has its one number");
        free(same);
    }
}

// Box & Muller of the words of a pair: float32 has one word for the radius and one for the angle, float64 has two each.
static void expected_pair(bool f32, int64_t pair, double mean, double std, double normal[2])
{
    uint32_t word[4];
    reel_philox(SEED, FIRST + (uint64_t)(f32 ? pair / 2 : pair), word);
    const uint32_t *w = word + (f32 ? pair % 2 * 2 : 0);
    double u = f32 ? (double)((float)(int32_t)(w[0] >> 1) * 0x1p-31f + 0x1p-32f) : 1 - uniform53(w);
    double turns = f32 ? (double)((float)(int32_t)w[1] * 0x1p-32f) : uniform53(w + 2);
    double radius = sqrt(-2 * log(u)), angle = 6.283185307179586476925 * turns;
    normal[0] = mean + std * radius * cos(angle);
    normal[1] = mean + std * radius * sin(angle);
}

Test(random, normal_draws_are_box_and_mullers_of_philox_under_every_isa)
{
    EACH_ISA(ctx)
    {
        for (size_t s = 0; s < N_SIZES; s++)
            for (int f = 0; f < 2; f++) {
                double *y = drawn(ctx, true, sizes[s], f ? REEL_F32 : REEL_F64, 0.25, 1.5), bound = f ? 2e-6 : 4e-15;
                for (int64_t i = 0; i < sizes[s]; i++) {
                    double pair[2];
                    expected_pair(f, i / 2, 0.25, 1.5, pair);
                    double off = fabs(y[i] - pair[i % 2]);
                    if (!(off <= bound)) cr_assert_float_eq(y[i], pair[i % 2], bound, "element %d", (int)i);
                }
                free(y);
            }
        sound(ctx);
    }
}

Test(random, draws_are_the_same_at_any_number_of_threads_and_when_played_again)
{
    enum { N = 100003 };
    for (int normal = 0; normal < 2; normal++)
        for (int f = 0; f < 2; f++) {
            double *first = NULL;
            for (int threads = 1; threads <= 4; threads++) {
                reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
                double *y = drawn(ctx, normal, N, f ? REEL_F32 : REEL_F64, 0, 1);
                if (first) cr_assert_eq(memcmp(first, y, N * sizeof *y), 0);
                free(first);
                first = y;
                reel_ctx_free(ctx);
            }
            free(first);
        }
}

Test(random, normal_draws_have_the_moments_of_the_normal_distribution)
{
    enum { N = 1 << 20 };
    EACH_ISA(ctx)
    {
        for (int f = 0; f < 2; f++) {
            double *y = drawn(ctx, true, N, f ? REEL_F32 : REEL_F64, 0, 1), moment[5] = { 0 }, tail = 0, pairs = 0, products = 0;
            for (int i = 0; i < N; i++) {
                double power = 1;
                for (int k = 0; k < 5; k++, power *= y[i]) moment[k] += power / N;
                tail += fabs(y[i]) > 3;
                if (i > 0) products += y[i] * y[i - 1] / N;
                if (i % 2) pairs += y[i] * y[i] * y[i - 1] * y[i - 1] / (N / 2);
            }
            // Five standard deviations of each estimate.
            double s = 5 / sqrt(N);
            cr_assert_float_eq(moment[1], 0, s);
            cr_assert_float_eq(moment[2], 1, s * sqrt(2));
            cr_assert_float_eq(moment[3], 0, s * sqrt(15));
            cr_assert_float_eq(moment[4], 3, s * sqrt(96));
            cr_assert_float_eq(products, 0, s, "neighbours are uncorrelated");
            cr_assert_float_eq(pairs, 1, s * 4, "the squares of a pair are uncorrelated");
            cr_assert_float_eq(tail / N, 0.0026998, s * sqrt(0.0027));
            free(y);
        }
    }
}
