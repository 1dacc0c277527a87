// SPDX-License-Identifier: MIT
// What plays keep of a weight that does not change: dropped with the value, never when it may change unseen.
#include <criterion/criterion.h>
#include <reel/ops/conv_algo.h>
#include <reel/reel.h>
#include <string.h>

enum { FILTERS = 48, RESULTS = 2 * FILTERS * 18 * 18 };

static reel_tensor *noise(reel_ctx *ctx, uint64_t seed, reel_shape shape)
{
    reel_generator random = { .seed = seed };
    reel_tensor *x = reel_randn(ctx, &random, shape, REEL_F32, 0, 1);
    reel_eval(x);
    return x;
}

static const reel_conv_algo algos[] = { REEL_CONV_DIRECT,    REEL_CONV_IM2COL,    REEL_CONV_WINOGRAD2,
                                        REEL_CONV_WINOGRAD4, REEL_CONV_WINOGRAD6, REEL_CONV_WINOGRAD_COLUMNS,
#ifdef REEL_HAVE_FFTW
                                        REEL_CONV_FFT
#endif
};
enum { ALGOS = sizeof algos / sizeof *algos };

static reel_tensor *image(reel_ctx *ctx) { return noise(ctx, 1, REEL_SHAPE(2, 32, 20, 20)); }
static reel_tensor *weight(reel_ctx *ctx, uint64_t seed) { return noise(ctx, seed, REEL_SHAPE(FILTERS, 32, 3, 3)); }

static const float *convolved(reel_tensor *x, reel_tensor *w, reel_conv_algo algo)
{
    const float *y = reel_data_f32(reel_conv2d(x, w, NULL, &(reel_conv_opts) { .algo = algo }));
    cr_assert(y, "%s", reel_ctx_error_message(reel_ctx_of(x)));
    return y;
}

/* What the convolution by weight `seed` is, computed where nothing can have been kept. */
static void expect_weight(const float *y, uint64_t seed, reel_conv_algo algo, const char *when)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    cr_assert_eq(memcmp(y, convolved(image(ctx), weight(ctx, seed), algo), RESULTS * sizeof *y), 0, "%s, algorithm %d", when, algo);
    reel_ctx_free(ctx);
}

Test(keep, convolutions_follow_a_weight_that_is_overwritten)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = image(ctx), *w = weight(ctx, 2);
    for (uint64_t seed = 2; seed < 5; seed++) {
        if (seed > 2) reel_assign(w, weight(ctx, seed));
        for (int i = 0; i < 4; i++)
            for (int a = 0; a < ALGOS; a++)
                REEL_SCOPE(ctx) expect_weight(convolved(x, w, algos[a]), seed, algos[a], "overwritten");
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

enum { READINGS = 15 };

/* Convolution `i` of those that read one weight [16, 4, 3, 3] in different ways. */
static reel_tensor *another_reading(reel_ctx *ctx, reel_tensor *w, int i, reel_conv_algo algo)
{
    static const struct {
        bool transposed;
        int64_t groups, stride, dilation, padding, side;
    } readings[READINGS] = { { false, 1, 1, 1, 1, 12 }, { false, 2, 1, 1, 1, 12 }, { false, 4, 1, 1, 0, 12 }, { false, 1, 2, 1, 0, 15 },
                     { false, 1, 1, 2, 1, 13 }, { true, 1, 1, 1, 1, 12 },  { true, 2, 1, 1, 1, 12 },  { true, 1, 2, 1, 1, 12 },
                     { true, 1, 3, 1, 0, 12 },  { true, 1, 1, 2, 0, 12 },  { true, 1, 1, 1, 1, 40 },  { false, 1, 1, 1, 1, 40 },
                     { true, 1, 2, 1, 0, 12 },  { true, 1, 2, 1, 2, 13 },  { false, 1, 3, 1, 2, 15 } };
    reel_conv_opts opts = { .groups = readings[i].groups, .algo = algo };
    for (int axis = 0; axis < 2; axis++) {
        opts.stride[axis] = readings[i].stride;
        opts.dilation[axis] = readings[i].dilation;
        opts.padding[axis] = readings[i].padding;
    }
    int64_t channels = readings[i].transposed ? 16 : 4 * readings[i].groups;
    reel_tensor *x = noise(ctx, 9, REEL_SHAPE(2, channels, readings[i].side, readings[i].side));
    return readings[i].transposed ? reel_conv_transpose2d(x, w, NULL, &opts) : reel_conv2d(x, w, NULL, &opts);
}

Test(keep, one_weight_serves_convolutions_that_read_it_differently)
{
    for (int a = 0; a < ALGOS; a++) {
        reel_ctx *ctx = reel_ctx_new(NULL), *fresh;
        reel_tensor *w = noise(ctx, 2, REEL_SHAPE(16, 4, 3, 3)), *y, *right;
        for (int round = 0; round < 4; round++)
            for (int i = 0; i < READINGS; i++)
                REEL_SCOPE(ctx)
                {
                    y = another_reading(ctx, w, i, algos[a]);
                    fresh = reel_ctx_new(NULL);
                    right = another_reading(fresh, noise(fresh, 2, REEL_SHAPE(16, 4, 3, 3)), i, algos[a]);
                    cr_assert(reel_data(y) && reel_data(right), "%s", reel_ctx_error_message(ctx));
                    cr_assert_eq(memcmp(reel_data(y), reel_data(right), sizeof(float) * (size_t)reel_numel(y)), 0,
                                 "algorithm %d, reading %d, round %d", algos[a], i, round);
                    reel_ctx_free(fresh);
                }
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
    }
}

/* Doubles what is kept of input 1 behind a key, if it is: what comes of it shows that it is read. */
typedef struct doubling {
    int64_t tag, bytes;
} doubling;

static bool infer_double(reel_infer *infer) { return reel_infer_out(infer, 0, REEL_F32, REEL_SCALAR); }

static bool play_double(const reel_play *play)
{
    const doubling *d = play->attrs;
    bool ready;
    reel_conv_key *kept = reel_play_keep(play, 1, (uint32_t)d->tag, (size_t)d->bytes, &ready);
    for (int64_t i = 0; ready && i < (d->bytes - (int64_t)sizeof *kept) / 4; i++) ((float *)(kept + 1))[i] *= 2;
    *(float *)play->out[0].data = ready;
    return true;
}

static const reel_op double_kept = {
    .name = "double_kept", .infer = infer_double, .play = play_double, .attrs_size = sizeof(doubling)
};

/* Forward by 3x3, and transposed with a stride of 2, whose two phases along columns have three taps along rows. */
Test(keep, weights_are_transformed_along_columns_once)
{
    for (int transposed = 0; transposed < 2; transposed++) {
        reel_ctx *ctx = reel_ctx_new(NULL);
        int64_t channels = transposed ? 16 : 4, rows = transposed ? 2 : 1;
        reel_tensor *w = noise(ctx, 2, REEL_SHAPE(16, 4, 3, 3)), *x = noise(ctx, 9, REEL_SHAPE(2, channels, 12, 12));
        reel_conv_opts opts = { .algo = REEL_CONV_WINOGRAD_COLUMNS, .stride = { rows, rows } };
        doubling d = { REEL_CONV_TAG(40 + transposed, 1), (int64_t)sizeof(reel_conv_key) + 8 * 4 * 16 * 4 * 3 * rows };
        static float first[2 * 16 * 25 * 25];
        for (int round = 0; round < 6; round++)
            REEL_SCOPE(ctx)
            {
                if (round == 3) {
                    reel_tensor *both[] = { w, w };
                    cr_assert_eq(reel_item(reel_apply(&double_kept, both, 2, &d, NULL)), 1, "nothing is kept");
                }
                if (round == 4) reel_assign(w, reel_mul_scalar(w, -0.5));
                reel_tensor *y = transposed ? reel_conv_transpose2d(x, w, NULL, &opts) : reel_conv2d(x, w, NULL, &opts);
                const float *data = reel_data_f32(y);
                cr_assert(data, "%s", reel_ctx_error_message(ctx));
                cr_assert_leq(reel_numel(y), (int64_t)(sizeof first / sizeof *first));
                float by = round < 3 ? 1 : round == 3 ? 2 : -0.5f;
                for (int64_t i = 0; i < reel_numel(y); i++) {
                    if (round == 0) first[i] = data[i];
                    cr_assert_eq(data[i], by * first[i], "transposed %d, round %d, [%d]", transposed, round, (int)i);
                }
            }
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
    }
}

#ifdef REEL_HAVE_FFTW
Test(keep, spectra_are_kept_of_weights_on_one_axis_and_on_two)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int rank = 1; rank <= 3; rank++) {
        reel_tensor *x = noise(ctx, 1, (reel_shape) { .ndim = rank + 2, .dim = { 2, 3, 20, 20, 20 } }), *y;
        reel_tensor *w = noise(ctx, 2, (reel_shape) { .ndim = rank + 2, .dim = { 4, 3, 5, 5, 5 } });
        reel_conv_opts opts = { .algo = REEL_CONV_FFT };
        double first = 0;
        size_t before = reel_ctx_memory(ctx).in_use;
        for (int round = 0; round < 4; round++) {
            REEL_SCOPE(ctx)
            {
                y = rank == 1   ? reel_conv1d(x, w, NULL, &opts)
                    : rank == 2 ? reel_conv2d(x, w, NULL, &opts)
                                : reel_conv3d(x, w, NULL, &opts);
                double sum = reel_item(reel_sum(reel_square(y), REEL_ALL_DIMS, false));
                if (round == 0) first = sum;
                cr_assert_eq(sum, first, "rank %d, round %d", rank, round);
            }
            size_t spectra = (size_t)(4 * 3 * 17) * 2 * sizeof(float); /* at least */
            if (round == 1) cr_assert_geq(reel_ctx_memory(ctx).in_use, before + spectra);
        }
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}
#endif

Test(keep, memory_is_taken_when_a_value_is_used_again_and_goes_with_it)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = image(ctx), *w = weight(ctx, 2), *other = weight(ctx, 3);
    for (int i = 0; i < 3; i++) REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD6);
    size_t kept = reel_ctx_memory(ctx).in_use;
    for (int i = 0; i < 3; i++) REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD6);
    cr_assert_eq(reel_ctx_memory(ctx).in_use, kept);
    reel_assign(w, other);
    REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD6);
    size_t filters = (size_t)FILTERS * 32 * 64 * sizeof(float); /* of F(6x6): 64 products a channel pair */
    size_t slack = filters / 8;                                 /* a plan and the like */
    cr_assert_leq(reel_ctx_memory(ctx).in_use, kept - filters + slack);
    for (int i = 0; i < 3; i++) REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD6);
    cr_assert_geq(reel_ctx_memory(ctx).in_use, kept);
    cr_assert_leq(reel_ctx_memory(ctx).in_use, kept + slack);
    reel_free(w);
    cr_assert_leq(reel_ctx_memory(ctx).in_use, kept - filters + slack);
    reel_ctx_free(ctx);
}

Test(keep, borrowed_memory_may_change_unseen_and_is_read_every_time)
{
    static float mine[FILTERS * 32 * 9];
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = image(ctx), *w = reel_borrow(ctx, REEL_SHAPE(FILTERS, 32, 3, 3), REEL_F32, mine);
    for (uint64_t seed = 2; seed < 8; seed++) {
        reel_copy_out(weight(ctx, seed / 3), mine, sizeof mine);
        REEL_SCOPE(ctx) expect_weight(convolved(x, w, REEL_CONV_WINOGRAD4), seed / 3, REEL_CONV_WINOGRAD4, "borrowed");
    }
    reel_ctx_free(ctx);
}

Test(keep, training_between_two_uses_is_seen)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = image(ctx), *w = reel_set_requires_grad(weight(ctx, 2), true);
    reel_optim *sgd = reel_sgd_new((reel_params) { .at = &w, .count = 1 }, &(reel_sgd_opts) { .lr = 0.1 });
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 4; i++) REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD4);
        REEL_SCOPE(ctx)
        {
            reel_backward(reel_mean(reel_square(reel_conv2d(x, w, NULL, NULL)), REEL_ALL_DIMS, false));
            reel_optim_step(sgd);
        }
        reel_ctx *fresh = reel_ctx_new(NULL);
        reel_tensor *copy = reel_from(fresh, reel_shape_of(w), REEL_F32, reel_data(w));
        const float *right = convolved(image(fresh), copy, REEL_CONV_WINOGRAD4);
        REEL_SCOPE(ctx)
        cr_assert_eq(memcmp(convolved(x, w, REEL_CONV_WINOGRAD4), right, RESULTS * sizeof *right), 0, "step %d", step);
        reel_ctx_free(fresh);
    }
    reel_optim_free(sgd);
    reel_ctx_free(ctx);
}

Test(keep, does_not_use_up_a_memory_limit)
{
    size_t needed;
    for (int tight = 0; tight < 2; tight++) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 1, .memory_limit = tight ? needed : 0 });
        reel_tensor *x = image(ctx), *w = weight(ctx, 2);
        for (int i = 0; i < (tight ? 6 : 1); i++) REEL_SCOPE(ctx) convolved(x, w, REEL_CONV_WINOGRAD6);
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        if (!tight) needed = reel_ctx_memory(ctx).pool; /* at least what was ever in use */
        reel_ctx_free(ctx);
    }
}
