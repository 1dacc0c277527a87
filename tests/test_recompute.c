// SPDX-License-Identifier: MIT
// Plans that compute cheap values again: the same bits in less memory.
#include <criterion/criterion.h>
#include <reel/reel.h>
#include <stdio.h>
#include <string.h>

#define LAYERS 10
#define ROWS 512 /* more than REEL_KEEP_BYTES a value */
#define WIDTH 64

typedef struct network {
    reel_tensor *weight[LAYERS], *scale[LAYERS], *shift[LAYERS];
    reel_optim *optim;
} network;

static void make(network *net, reel_ctx *ctx)
{
    reel_generator random = { .seed = 5 };
    reel_tensor *all[3 * LAYERS];
    for (int l = 0; l < LAYERS; l++) {
        net->weight[l] = all[3 * l] = reel_randn(ctx, &random, REEL_SHAPE(WIDTH, WIDTH), REEL_F32, 0, 0.12);
        net->scale[l] = all[3 * l + 1] = reel_ones(ctx, REEL_SHAPE(WIDTH), REEL_F32);
        net->shift[l] = all[3 * l + 2] = reel_zeros(ctx, REEL_SHAPE(WIDTH), REEL_F32);
        for (int i = 0; i < 3; i++) reel_set_requires_grad(all[3 * l + i], true);
    }
    net->optim = reel_adam_new((reel_params) { .at = all, .count = 3 * LAYERS }, &(reel_adam_opts) { .lr = 1e-3 });
}

/* One layer of each kind that leaves something to compute again, and some that do not. */
static reel_tensor *layer(const network *net, int kind, int l, reel_tensor *h)
{
    reel_norm_opts opts = { .eps = 1e-5 };
    reel_tensor *z = reel_linear(h, net->weight[l], net->shift[l]), *n;
    switch (kind) {
    case 0: return reel_gelu(z, NULL);
    case 1: return reel_mul(z, reel_sigmoid(z));
    case 2:
        n = reel_gelu(reel_layer_norm(h, REEL_SHAPE(WIDTH), net->scale[l], net->shift[l], &opts), NULL);
        return reel_add(h, reel_linear(n, net->weight[l], NULL));
    case 3: return reel_tanh(reel_mul(reel_softplus(z, 1, 20), net->scale[l]));
    case 4: return reel_relu(z); /* whose rule reads what the next product reads anyway */
    case 5: return reel_dropout(reel_gelu(z, NULL), 0.3, true, NULL);
    case 6: /* through views, cut up and put together */
        z = reel_gelu(reel_reshape(z, REEL_SHAPE(ROWS / 4, 4, WIDTH)), NULL);
        z = reel_cat((reel_tensor *[]) { reel_slice(z, 1, 2, 4, 1), reel_slice(z, 1, 0, 2, 1) }, 2, 1);
        return reel_reshape(reel_transpose(reel_contiguous(reel_transpose(z, 0, 1)), 0, 1), REEL_SHAPE(ROWS, WIDTH));
    default: return reel_mul(h, reel_softmax(z, 1));
    }
}
#define KINDS 8

typedef struct outcome {
    double loss[3];
    float weight[WIDTH * WIDTH];
    size_t peak;
    int64_t misses;
} outcome;

/* Three steps of training: their losses, the first weight at the end, and the memory of the last step. */
static void train(int kind, int threads, bool recompute, outcome *result)
{
    memset(result, 0, sizeof *result);
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads, .recompute = recompute });
    network net;
    make(&net, ctx);
    reel_generator random = { .seed = 6 };
    reel_tensor *x = reel_randn(ctx, &random, REEL_SHAPE(ROWS, WIDTH), REEL_F32, 0, 1);
    reel_eval(x);
    for (int step = 0; step < 3; step++) {
        reel_ctx_reset_peak(ctx);
        REEL_SCOPE(ctx)
        {
            reel_tensor *h = x;
            for (int l = 0; l < LAYERS; l++) h = layer(&net, kind, l, h);
            reel_tensor *loss = reel_mean(reel_square(h), REEL_ALL_DIMS, false);
            reel_optim_clear_grads(net.optim);
            reel_backward(loss);
            reel_optim_step(net.optim);
            result->loss[step] = reel_item(loss);
        }
    }
    reel_copy_out(net.weight[0], result->weight, sizeof result->weight);
    result->peak = reel_ctx_memory(ctx).tensors_peak;
    result->misses = reel_ctx_memory(ctx).plan_misses;
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "kind %d: %s", kind, reel_ctx_error_message(ctx));
    reel_optim_free(net.optim);
    reel_ctx_free(ctx);
}

static outcome kept, again;

Test(recompute, gives_the_same_bits_in_no_more_memory)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (int threads = 1; threads <= 4; threads *= 2) {
            train(kind, threads, false, &kept);
            train(kind, threads, true, &again);
            cr_expect(memcmp(kept.loss, again.loss, sizeof kept.loss) == 0, "kind %d, %d threads", kind, threads);
            cr_expect(memcmp(kept.weight, again.weight, sizeof kept.weight) == 0, "kind %d, %d threads", kind, threads);
            cr_expect_leq(again.peak, kept.peak, "kind %d: %zu and %zu bytes", kind, again.peak, kept.peak);
            cr_expect_eq(again.misses, kept.misses, "kind %d plans %d times", kind, (int)again.misses);
        }
}

/* Of two values a layer, or three, that wait for the gradients one is enough; parameters and moments stay. */
Test(recompute, takes_much_less_memory_where_activations_are_cheap)
{
    static const int kinds[] = { 0, 1, 2, 3, 5 };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        train(kinds[i], 1, false, &kept);
        train(kinds[i], 1, true, &again);
        size_t fixed = 3 * LAYERS * WIDTH * (WIDTH + 2) * sizeof(float); /* values and two moments */
        cr_expect_lt((double)(again.peak - fixed), 0.7 * (double)(kept.peak - fixed),
                     "kind %d: %zu and %zu bytes beside %zu", kinds[i], again.peak, kept.peak, fixed);
    }
}

/* Under a ceiling that the plan without it does not fit, training goes on. */
Test(recompute, fits_under_a_ceiling)
{
    size_t peak[2], in_use[2] = { 0 };
    for (int recompute = 0; recompute < 2; recompute++) {
        size_t low = 1 << 20, high = 64 << 20; /* the least limit that lets a step pass */
        while (high - low > 4096) {
            size_t limit = low + (high - low) / 2;
            reel_ctx *ctx =
                reel_ctx_new(&(reel_ctx_opts) { .threads = 1, .recompute = recompute, .memory_limit = limit });
            network net;
            make(&net, ctx);
            REEL_SCOPE(ctx)
            {
                reel_tensor *h = reel_ones(ctx, REEL_SHAPE(4 * ROWS, WIDTH), REEL_F32);
                for (int l = 0; l < LAYERS; l++) h = layer(&net, 0, l, h);
                reel_backward(reel_mean(reel_square(h), REEL_ALL_DIMS, false));
                reel_optim_step(net.optim);
            }
            bool fits = reel_ctx_error(ctx) == REEL_OK;
            cr_assert(fits || reel_ctx_error(ctx) == REEL_ERROR_MEMORY, "%s", reel_ctx_error_message(ctx));
            if (fits) {
                high = limit;
                peak[recompute] = reel_ctx_memory(ctx).tensors_peak;
            } else {
                low = limit;
            }
            reel_optim_free(net.optim);
            reel_ctx_free(ctx);
        }
        in_use[recompute] = high;
    }
    cr_expect_lt((double)in_use[1], 0.75 * (double)in_use[0], "%zu and %zu bytes", in_use[1], in_use[0]);
    cr_expect_lt(peak[1], peak[0]);
}

/* What is made from a leaf that is overwritten before the gradients is not made again from other values. */
Test(recompute, never_reads_what_has_been_overwritten)
{
    double values[2];
    for (int recompute = 0; recompute < 2; recompute++) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .recompute = recompute });
        REEL_SCOPE(ctx)
        {
            reel_generator random = { .seed = 1 };
            reel_tensor *x =
                reel_set_requires_grad(reel_randn(ctx, &random, REEL_SHAPE(160, 160), REEL_F32, 0, 0.08), true);
            reel_tensor *shift = reel_randn(ctx, &random, REEL_SHAPE(160, 160), REEL_F32, 0, 1);
            reel_eval(x), reel_eval(shift);
            reel_tensor *h = reel_matmul(x, x), *y = h;
            for (int i = 0; i < 6; i++)
                y = reel_matmul(reel_tanh(reel_add(reel_square(y), shift)), x); /* no rule reads shift */
            reel_tensor *loss = reel_mean(reel_square(y), REEL_ALL_DIMS, false);
            reel_assign(shift, reel_zeros(ctx, REEL_SHAPE(160, 160), REEL_F32));
            reel_backward(loss);
            values[recompute] = reel_item(reel_sum(reel_abs(reel_grad_of(x)), REEL_ALL_DIMS, false));
        }
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
    }
    cr_expect(values[0] != 0 && values[0] == values[1], "%.17g and %.17g", values[0], values[1]);
}

Test(recompute, is_written_with_the_plan)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .recompute = true });
    network net;
    make(&net, ctx);
    REEL_SCOPE(ctx)
    {
        reel_tensor *h = reel_ones(ctx, REEL_SHAPE(ROWS, WIDTH), REEL_F32);
        for (int l = 0; l < LAYERS; l++) h = layer(&net, 0, l, h);
        reel_backward(reel_mean(reel_square(h), REEL_ALL_DIMS, false));
        reel_optim_step(net.optim);
    }
    FILE *file = tmpfile();
    cr_assert(reel_plan_write(ctx, file), "%s", reel_ctx_error_message(ctx));
    rewind(file);
    char line[256];
    int copies = 0;
    while (fgets(line, sizeof line, file)) copies += strstr(line, "gelu(") && strstr(line, ", again\n");
    fclose(file);
    cr_expect_geq(copies, LAYERS - 2, "%d", copies);
    reel_optim_free(net.optim);
    reel_ctx_free(ctx);
}
