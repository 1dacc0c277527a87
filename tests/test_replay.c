// SPDX-License-Identifier: MIT
// A training run of PyTorch's, followed step by step: the spatial transformer network on real MNIST, 200 steps of SGD.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, PARAMETERS = 16 };

static const char *const names[PARAMETERS] = { "loc1.weight", "loc1.bias", "loc2.weight", "loc2.bias", "lf1.weight", "lf1.bias",
                                               "lf2.weight",  "lf2.bias",  "conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                               "fc1.weight",  "fc1.bias",  "fc2.weight", "fc2.bias" };

typedef struct replay {
    reel_ctx *ctx;
    reel_safetensors *file;
    reel_dataset *data;
    reel_tensor *p[PARAMETERS];
    reel_dtype dtype;
} replay;

static reel_tensor *read_entry(replay *r, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", prefix, name);
    reel_tensor *t = reel_safetensors_read(r->file, key);
    cr_assert_not_null(t, "%s: %s", key, reel_ctx_error_message(r->ctx));
    return t;
}

static bool open_replay(replay *r, reel_dtype dtype, int threads)
{
    const char *folder = getenv("MNIST_DIR");
    if (!folder || !*folder) cr_skip_test("MNIST_DIR is not set");
    *r = (replay) { .ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads }), .dtype = dtype };
    r->file = reel_safetensors_open(r->ctx, REEL_TEST_DATA "/golden/replay/stn_det.safetensors");
    r->data = reel_dataset_mnist(r->ctx, folder, true);
    cr_assert(r->file && r->data, "%s", reel_ctx_error_message(r->ctx));
    for (int i = 0; i < PARAMETERS; i++)
        r->p[i] = reel_set_requires_grad(reel_cast(read_entry(r, "init", names[i]), dtype), true);
    return true;
}

static void close_replay(replay *r)
{
    cr_assert_eq(reel_ctx_error(r->ctx), REEL_OK, "%s", reel_ctx_error_message(r->ctx));
    reel_dataset_free(r->data);
    reel_safetensors_close(r->file);
    reel_ctx_free(r->ctx);
}

static reel_tensor *pool(reel_tensor *x) { return reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { 2, 2 } }); }

static reel_tensor *loss_of_batch(const replay *r, int64_t batch)
{
    reel_tensor *field[2] = { 0 }, *const *p = r->p;
    cr_assert(reel_dataset_tensors(r->data, r->ctx, batch * BATCH, BATCH, field), "%s", reel_ctx_error_message(r->ctx));
    reel_tensor *x = reel_div_scalar(reel_cast(field[0], REEL_F32), 255);
    x = reel_div_scalar(reel_sub_scalar(reel_cast(x, r->dtype), 0.1307), 0.3081);
    reel_tensor *h = reel_relu(pool(reel_conv2d(x, p[0], p[1], NULL)));
    h = reel_relu(pool(reel_conv2d(h, p[2], p[3], NULL)));
    h = reel_relu(reel_linear(reel_reshape(h, REEL_SHAPE(-1, 90)), p[4], p[5]));
    reel_tensor *theta = reel_reshape(reel_linear(h, p[6], p[7]), REEL_SHAPE(-1, 2, 3));
    x = reel_grid_sample(x, reel_affine_grid(theta, reel_shape_of(x), NULL), NULL);
    h = reel_relu(pool(reel_conv2d(x, p[8], p[9], NULL)));
    h = reel_relu(pool(reel_conv2d(h, p[10], p[11], NULL)));
    h = reel_relu(reel_linear(reel_reshape(h, REEL_SHAPE(-1, 320)), p[12], p[13]));
    return reel_nll_loss(reel_log_softmax(reel_linear(h, p[14], p[15]), 1), field[1], NULL);
}

Test(replay, the_first_loss_and_every_gradient_are_pytorchs)
{
    replay r;
    open_replay(&r, REEL_F64, 2);
    REEL_SCOPE(r.ctx)
    {
        reel_tensor *loss = loss_of_batch(&r, 0), *losses = reel_safetensors_read(r.file, "loss_f64_b64");
        cr_assert(reel_backward(loss));
        double expected = reel_data_f64(losses)[0];
        cr_assert_float_eq(reel_item(loss), expected, 1e-9 * (1 + fabs(expected)), "%.12f, but %.12f is right", reel_item(loss), expected);
        for (int i = 0; i < PARAMETERS; i++) {
            reel_tensor *right = read_entry(&r, "grad0", names[i]);
            // The larger ones are stored as float32.
            double tolerance = reel_dtype_of(right) == REEL_F32 ? 1e-7 : 1e-9;
            const double *g = reel_data_f64(reel_grad_of(r.p[i])), *e = reel_data_f64(reel_cast(right, REEL_F64));
            for (int64_t k = 0; k < reel_numel(right); k++)
                cr_assert_float_eq(g[k], e[k], tolerance * (1 + fabs(e[k])), "%s[%lld]: %.12g, but %.12g is right", names[i],
                                   (long long)k, g[k], e[k]);
        }
    }
    close_replay(&r);
}

// Every loss of the run against PyTorch's float64 run: within `early` for the first twenty steps, within `late` to the end.
static void follow(reel_dtype dtype, double early, double late)
{
    replay r;
    open_replay(&r, dtype, 2);
    reel_optim *sgd = reel_sgd_new((reel_params) { .at = r.p, .count = PARAMETERS }, &(reel_sgd_opts) { .lr = 0.01 });
    reel_tensor *losses = reel_safetensors_read(r.file, "loss_f64_b64");
    for (int64_t step = 0; step < 200; step++) {
        REEL_SCOPE(r.ctx)
        {
            reel_tensor *loss = loss_of_batch(&r, step);
            reel_backward(loss);
            reel_optim_step(sgd);
            double right = reel_data_f64(losses)[step], value = reel_item(loss);
            double tolerance = (step < 20 ? early : late) * (1 + right);
            cr_assert_float_eq(value, right, tolerance, "step %lld: %.12f, but %.12f is right", (long long)step, value, right);
        }
    }
    reel_optim_free(sgd);
    close_replay(&r);
}

Test(replay, two_hundred_steps_follow_pytorch_in_float64) { follow(REEL_F64, 1e-9, 1e-9); }

// Rounding grows along a training run: PyTorch's own float32 run leaves its float64 run by 5e-6 in 20 steps, by 2e-3 in 200.
Test(replay, two_hundred_steps_follow_pytorch_in_float32) { follow(REEL_F32, 1e-4, 1e-2); }

Test(replay, training_has_the_same_bits_at_any_number_of_threads)
{
    double first[12];
    for (int threads = 1; threads <= 4; threads *= 2) {
        replay r;
        open_replay(&r, REEL_F32, threads);
        reel_optim *adam = reel_adam_new((reel_params) { .at = r.p, .count = PARAMETERS }, NULL);
        for (int step = 0; step < 12; step++)
            REEL_SCOPE(r.ctx)
            {
                reel_tensor *loss = loss_of_batch(&r, step);
                reel_backward(loss);
                reel_optim_step(adam);
                double value = reel_item(loss);
                if (threads == 1) first[step] = value;
                cr_assert(memcmp(&value, &first[step], sizeof value) == 0, "step %d, %d threads: %.9f, not %.9f", step, threads, value,
                          first[step]);
            }
        reel_optim_free(adam);
        close_replay(&r);
    }
}

Test(replay, after_three_steps_nothing_is_allocated_or_planned)
{
    replay r;
    open_replay(&r, REEL_F32, 2);
    reel_optim *adam = reel_adam_new((reel_params) { .at = r.p, .count = PARAMETERS }, NULL);
    reel_memory_stats warm = { 0 };
    for (int step = 0; step < 10; step++) {
        if (step == 3) warm = reel_ctx_memory(r.ctx);
        REEL_SCOPE(r.ctx)
        {
            reel_tensor *loss = loss_of_batch(&r, step);
            reel_backward(loss);
            reel_optim_step(adam);
            reel_item(loss);
        }
    }
    reel_memory_stats now = reel_ctx_memory(r.ctx);
    cr_assert_eq(now.system_allocations, warm.system_allocations);
    cr_assert_eq(now.plan_misses, warm.plan_misses);
    cr_assert_eq(now.tensors_now, warm.tensors_now);
    reel_optim_free(adam);
    close_replay(&r);
}
