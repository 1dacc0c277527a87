// SPDX-License-Identifier: MIT
// The two networks whose steps are timed and tested.
#include "models.h"

void bench_model_make(bench_model *model, reel_ctx *ctx, bool stn, int64_t batch, int64_t width)
{
    *model = (bench_model) { .stn = stn };
    reel_module *m = model->module = reel_module_new(ctx, NULL);
    model->images = reel_randn(ctx, NULL, REEL_SHAPE(batch, 1, 28, 28), REEL_F32, 0, 1);
    model->labels = reel_zeros(ctx, REEL_SHAPE(batch), REEL_I64);
    reel_eval(model->images);
    if (stn) {
        model->conv[0] = reel_conv2d_make(m, "loc1", 1, 8, 7, NULL);
        model->conv[1] = reel_conv2d_make(m, "loc2", 8, 10, 5, NULL);
        model->linear[0] = reel_linear_make(m, "lf1", 90, 32, NULL);
        model->linear[1] = reel_linear_make(m, "lf2", 32, 6, NULL);
        reel_init_constant(model->linear[1].weight, 0);
        static const float identity[] = { 1, 0, 0, 0, 1, 0 };
        reel_set_data(model->linear[1].bias, identity, sizeof identity);
        model->conv[2] = reel_conv2d_make(m, "conv1", 1, 10, 5, NULL);
        model->conv[3] = reel_conv2d_make(m, "conv2", 10, 20, 5, NULL);
        model->linear[2] = reel_linear_make(m, "fc1", 320, 50, NULL);
        model->linear[3] = reel_linear_make(m, "fc2", 50, 10, NULL);
        model->optim = reel_sgd_new(reel_module_parameters(m), &(reel_sgd_opts) { .lr = 0.01 });
    } else {
        const int64_t channels[] = { 1, width, width, 2 * width, 2 * width };
        static const char *const names[] = { "conv1", "conv2", "conv3", "conv4" };
        for (int i = 0; i < 4; i++) model->conv[i] = reel_conv2d_make(m, names[i], channels[i], channels[i + 1], 3, NULL);
        model->linear[0] = reel_linear_make(m, "fc", 2 * width, 10, NULL);
        model->optim = reel_adam_new(reel_module_parameters(m), NULL);
    }
}

void bench_model_free(bench_model *model)
{
    reel_optim_free(model->optim);
    reel_module_free(model->module);
}

static reel_tensor *pool(reel_tensor *x) { return reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { 2, 2 } }); }

static reel_tensor *stn_forward(const bench_model *m)
{
    bool training = reel_module_training(m->module);
    reel_tensor *x = m->images, *h = reel_relu(pool(reel_conv_forward(&m->conv[0], x)));
    h = reel_relu(pool(reel_conv_forward(&m->conv[1], h)));
    h = reel_relu(reel_linear_forward(&m->linear[0], reel_reshape(h, REEL_SHAPE(-1, 90))));
    reel_tensor *theta = reel_reshape(reel_linear_forward(&m->linear[1], h), REEL_SHAPE(-1, 2, 3));
    x = reel_grid_sample(x, reel_affine_grid(theta, reel_shape_of(x), NULL), NULL);
    h = reel_relu(pool(reel_conv_forward(&m->conv[2], x)));
    h = reel_relu(pool(reel_dropout2d(reel_conv_forward(&m->conv[3], h), 0.5, training, NULL)));
    h = reel_relu(reel_linear_forward(&m->linear[2], reel_reshape(h, REEL_SHAPE(-1, 320))));
    return reel_log_softmax(reel_linear_forward(&m->linear[3], reel_dropout(h, 0.5, training, NULL)), 1);
}

static reel_tensor *cnn_forward(const bench_model *m)
{
    reel_tensor *h = m->images;
    for (int i = 0; i < 4; i++) {
        h = reel_relu(reel_conv_forward(&m->conv[i], h));
        if (i == 1) h = pool(h);
    }
    h = reel_mean(h, REEL_DIMS(2, 3), false);
    h = reel_dropout(h, 0.5, reel_module_training(m->module), NULL);
    return reel_linear_forward(&m->linear[0], h);
}

reel_tensor *bench_model_forward(const bench_model *m) { return m->stn ? stn_forward(m) : cnn_forward(m); }

double bench_model_step(const bench_model *m)
{
    reel_tensor *output = bench_model_forward(m);
    reel_tensor *loss = m->stn ? reel_nll_loss(output, m->labels, NULL) : reel_cross_entropy(output, m->labels, NULL);
    reel_backward(loss);
    reel_optim_step(m->optim);
    return reel_item(loss);
}
