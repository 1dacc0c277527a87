// SPDX-License-Identifier: MIT
// Values that a plan keeps turned, the batch innermost: the bits of eager play, and where they may not lie so.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/core/random.h>
#include <reel/reel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct network {
    int64_t n, c, k, last, side, kernel, stride, padding, groups;
    reel_dtype dtype;
    reel_conv_algo algo;
    bool pool, relu, transpose;
} network;

enum { MOST = 1 << 17 };

typedef struct outcome {
    double exact[MOST]; // result and gradients by image and weights
    int64_t count;
    double sums[64]; // gradients by biases, which add in another order
    int64_t n_sums;
} outcome;

static void keep(outcome *o, reel_tensor *t)
{
    reel_tensor *wide = reel_cast(t, REEL_F64);
    cr_assert(t);
    cr_assert(wide, "%s", reel_ctx_error_message(reel_ctx_of(t)));
    cr_assert(o->count + reel_numel(wide) <= MOST);
    reel_copy_out(wide, o->exact + o->count, (size_t)reel_numel(wide) * sizeof(double));
    o->count += reel_numel(wide);
}

static void keep_sum(outcome *o, reel_tensor *t)
{
    reel_copy_out(reel_cast(t, REEL_F64), o->sums + o->n_sums, (size_t)reel_numel(t) * sizeof(double));
    o->n_sums += reel_numel(t);
}

static reel_tensor *leaf(reel_ctx *ctx, reel_generator *random, const network *s, reel_shape shape)
{
    return reel_set_requires_grad(reel_randn(ctx, random, shape, s->dtype, 0, 0.5), true);
}

static reel_tensor *behind(reel_tensor *y, const network *s)
{
    if (s->pool) y = reel_max_pool2d(y, &(reel_pool_opts) { .kernel = { 2, 2 } });
    return s->relu ? reel_relu(y) : reel_mul_scalar(reel_tanh(y), 1.5);
}

// Two convolutions with elementwise ops and pools between, which no handle names.
static reel_tensor *forward(reel_ctx *ctx, const network *s, reel_tensor *x, reel_tensor *const w[4])
{
    reel_tensor *result = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_conv_opts opts = { .stride = { s->stride, s->stride },
                                .padding = { s->padding, s->padding },
                                .groups = s->groups,
                                .algo = s->algo };
        reel_tensor *y = behind(reel_conv2d(x, w[0], w[1], &opts), s);
        y = s->transpose ? reel_conv_transpose2d(y, w[2], w[3], &opts) : reel_conv2d(y, w[2], w[3], &opts);
        result = reel_scope_return(behind(y, s));
    }
    return result;
}

static void run(const network *s, bool eager, int threads, outcome *o, bool *turned)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .eager = eager, .threads = threads });
    memset(o, 0, sizeof *o);
    REEL_SCOPE(ctx)
    {
        reel_generator random = { .seed = 11 };
        reel_shape between = s->transpose ? REEL_SHAPE(s->k, s->last / s->groups, s->kernel, s->kernel)
                                          : REEL_SHAPE(s->last, s->k / s->groups, s->kernel, s->kernel);
        reel_tensor *x = leaf(ctx, &random, s, REEL_SHAPE(s->n, s->c, s->side, s->side + 1));
        reel_tensor *w[4] = { leaf(ctx, &random, s, REEL_SHAPE(s->k, s->c / s->groups, s->kernel, s->kernel)),
                              leaf(ctx, &random, s, REEL_SHAPE(s->k)), leaf(ctx, &random, s, between),
                              leaf(ctx, &random, s, REEL_SHAPE(s->last)) };
        reel_tensor *y = forward(ctx, s, x, w);
        reel_backward(reel_sum(reel_square(y), REEL_ALL_DIMS, false));
        reel_tensor *all[] = {
            y, reel_grad_of(x), reel_grad_of(w[0]), reel_grad_of(w[1]), reel_grad_of(w[2]), reel_grad_of(w[3])
        };
        reel_eval_all(all, 6);
        char *text = NULL;
        size_t length = 0;
        FILE *file = eager ? NULL : open_memstream(&text, &length);
        if (file) {
            reel_plan_write(ctx, file);
            fclose(file);
            *turned = strstr(text, "batch innermost") != NULL;
            free(text);
        }
        keep(o, y);
        keep(o, reel_grad_of(x));
        for (int i = 0; i < 4; i += 2) {
            keep(o, reel_grad_of(w[i]));
            keep_sum(o, reel_grad_of(w[i + 1]));
        }
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

static const network networks[] = {
    { 64, 1, 6, 5, 17, 5, 1, 0, 1, REEL_F32, REEL_CONV_IMAGES, true, true, false },
    { 64, 1, 6, 5, 17, 5, 1, 0, 1, REEL_F32, REEL_CONV_WINOGRAD_ROWS, true, true, false },
    { 32, 2, 4, 6, 11, 3, 1, 1, 2, REEL_F32, REEL_CONV_IMAGES, false, true, false },
    { 32, 2, 4, 6, 11, 3, 1, 1, 2, REEL_F32, REEL_CONV_WINOGRAD_ROWS, false, false, false },
    { 64, 2, 4, 3, 12, 3, 2, 1, 1, REEL_F32, REEL_CONV_IMAGES, false, true, false },
    { 32, 3, 4, 1, 9, 3, 2, 1, 1, REEL_F32, REEL_CONV_IMAGES, false, false, true },
    { 32, 3, 4, 1, 6, 5, 1, 2, 1, REEL_F32, REEL_CONV_WINOGRAD_ROWS, false, true, true },
    { 32, 3, 4, 2, 8, 7, 1, 3, 1, REEL_F64, REEL_CONV_IMAGES, true, true, false },
    { 16, 3, 4, 2, 8, 3, 1, 0, 1, REEL_F64, REEL_CONV_WINOGRAD_ROWS, true, false, true },
    { 32, 2, 3, 4, 10, 1, 1, 0, 1, REEL_F32, REEL_CONV_IMAGES, true, true, false },
};

static void expect_alike(const outcome *a, const outcome *b, const char *what, int i)
{
    cr_assert(a->count > 0 && a->count == b->count);
    for (int64_t k = 0; k < a->count; k++)
        cr_assert(memcmp(&a->exact[k], &b->exact[k], sizeof a->exact[k]) == 0,
                  "network %d, %s: value %d is %.9g, not %.9g", i, what, (int)k, a->exact[k], b->exact[k]);
    for (int64_t k = 0; k < a->n_sums; k++)
        cr_assert_float_eq(a->sums[k], b->sums[k], 1e-5 * (1 + fabs(b->sums[k])),
                           "network %d, %s: sum %d is %.9g, not %.9g", i, what, (int)k, a->sums[k], b->sums[k]);
}

static outcome planned, reference;

Test(turned, gives_the_bits_of_eager_play_and_the_same_sums_within_rounding)
{
    for (int i = 0; i < (int)(sizeof networks / sizeof networks[0]); i++) {
        bool turned = false;
        run(&networks[i], false, 2, &planned, &turned);
        run(&networks[i], true, 2, &reference, NULL);
        bool expected = networks[i].kernel > 1; // of 1 x 1 kernels the axes are joined
        cr_expect_eq(turned, expected, "network %d: %s turned", i, turned ? "something lies" : "nothing lies");
        expect_alike(&planned, &reference, "planned", i);
    }
}

Test(turned, gives_the_same_bits_at_any_number_of_threads)
{
    for (int i = 0; i < (int)(sizeof networks / sizeof networks[0]); i++) {
        bool turned = false;
        run(&networks[i], false, 1, &reference, &turned);
        for (int threads = 2; threads <= 4; threads += 2) {
            run(&networks[i], false, threads, &planned, &turned);
            expect_alike(&planned, &reference, "by threads", i);
            cr_assert(memcmp(planned.sums, reference.sums, sizeof planned.sums) == 0);
        }
    }
}

Test(turned, a_batch_that_fills_no_panels_stays_as_it_is)
{
    network odd = networks[0];
    for (odd.n = 1; odd.n < 64; odd.n += 12) { // no multiple of any two vectors
        bool turned = true;
        run(&odd, false, 2, &planned, &turned);
        run(&odd, true, 2, &reference, NULL);
        cr_expect(!turned, "a batch of %d lies turned", (int)odd.n);
        expect_alike(&planned, &reference, "odd batch", (int)odd.n);
    }
}

// What a user reads, a view, an op that knows nothing of it and a broadcast operand need rows as they are.
Test(turned, whoever_cannot_read_it_gets_rows)
{
    reel_ctx *ctx[2] = { reel_ctx_new(NULL), reel_ctx_new(&(reel_ctx_opts) { .eager = true }) };
    for (int reader = 0; reader < 7; reader++) {
        float values[2][64 * 4 * 10 * 10] = { { 0 } };
        int64_t count[2];
        for (int i = 0; i < 2; i++) REEL_SCOPE(ctx[i])
            {
                reel_generator random = { .seed = 3 };
                reel_conv_opts opts = { .padding = { 1, 1 }, .algo = REEL_CONV_IMAGES };
                reel_tensor *x = reel_randn(ctx[i], &random, REEL_SHAPE(64, 4, 10, 10), REEL_F32, 0, 1);
                reel_tensor *w = reel_randn(ctx[i], &random, REEL_SHAPE(4, 4, 3, 3), REEL_F32, 0, 1);
                reel_tensor *y = reel_conv2d(x, w, NULL, &opts), *z = reel_conv2d(reel_tanh(y), w, NULL, &opts),
                            *result = z;
                switch (reader) {
                case 0: reel_eval(y); break;
                case 1: result = reel_add(z, reel_flip(y, REEL_DIMS(3))); break;
                case 2: result = reel_add(z, reel_cumsum(y, 0)); break;
                case 3: result = reel_mul(z, reel_sub(y, reel_slice(y, 0, 0, 1, 1))); break;
                case 4:
                    result = reel_add(
                        z, reel_reshape(reel_tanh(reel_reshape(y, REEL_SHAPE(4, 64, 100))), REEL_SHAPE(64, 4, 10, 10)));
                    break;
                case 5:
                    result = reel_add(z, reel_var(y, REEL_DIMS(0, 2, 3), &(reel_var_opts) { .keepdim = true }));
                    break;
                default: result = reel_add(reel_transpose(z, 2, 3), reel_sum(y, REEL_DIMS(0), true));
                }
                reel_free(y);
                count[i] = reel_numel(result);
                reel_copy_out(result, values[i], sizeof values[i]);
                cr_assert_eq(reel_ctx_error(ctx[i]), REEL_OK, "%s", reel_ctx_error_message(ctx[i]));
            }
        cr_assert_eq(count[0], count[1]);
        cr_expect(memcmp(values[0], values[1], sizeof values[0]) == 0, "reader %d", reader);
    }
    reel_ctx_free(ctx[0]);
    reel_ctx_free(ctx[1]);
}
