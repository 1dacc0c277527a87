// SPDX-License-Identifier: MIT
// Modules by name, initialisers, layers, and parameters in files.
#include "fixture.h"

#include <math.h>
#include <reel/core/safetensors.h>
#include <reel/nn/init.h>
#include <reel/nn/layers.h>
#include <reel/ops/attention.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/recurrent.h>
#include <reel/ops/reduce.h>

static reel_module *new_module(reel_dtype dtype)
{
    reel_module *module = reel_module_new(ctx, &(reel_module_opts) { .dtype = dtype });
    cr_assert(module, "%s", reel_ctx_error_message(ctx));
    return module;
}

/* Initialisers */

/* Mean and standard deviation of x, and its largest magnitude. */
static void statistics(reel_tensor *x, double *mean, double *std, double *reach)
{
    const float *data = reel_data_f32(x);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    int64_t n = reel_numel(x);
    double sum = 0, squares = 0;
    *reach = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += data[i];
        squares += (double)data[i] * data[i];
        *reach = fmax(*reach, fabs((double)data[i]));
    }
    *mean = sum / (double)n;
    *std = sqrt(squares / (double)n - *mean * *mean);
}

/* x is drawn from U(-bound, bound), or from N(0, std). */
static void expect_uniform(reel_tensor *x, double bound)
{
    double mean, std, reach;
    statistics(x, &mean, &std, &reach);
    cr_expect(reach <= bound && reach > 0.99 * bound, "reaches %g of %g", reach, bound);
    cr_expect_float_eq(std, bound / sqrt(3), 0.02 * bound);
    cr_expect_float_eq(mean, 0, 0.02 * bound);
}

static void expect_normal(reel_tensor *x, double expected)
{
    double mean, std, reach;
    statistics(x, &mean, &std, &reach);
    cr_expect_float_eq(std, expected, 0.02 * expected);
    cr_expect_float_eq(mean, 0, 0.02 * expected);
    cr_expect(reach > 3 * expected);
}

Test(init, spreads_as_the_fans_say, .init = set_up, .fini = tear_down)
{
    reel_tensor *w = reel_zeros(ctx, REEL_SHAPE(60, 40, 3, 3), REEL_F32);
    int64_t in, out;
    cr_assert(reel_fans(w, &in, &out));
    cr_expect(in == 360 && out == 540);
    expect_uniform(reel_init_xavier_uniform(w, 0, NULL), sqrt(6.0 / 900));
    expect_normal(reel_init_xavier_normal(w, 2, NULL), 2 * sqrt(2.0 / 900));
    expect_uniform(reel_init_kaiming_uniform(w, NULL, NULL), sqrt(6.0 / 360));
    reel_kaiming_opts relu = { .fan_out = true, .nonlinearity = REEL_GAIN_RELU };
    expect_normal(reel_init_kaiming_normal(w, &relu, NULL), sqrt(2.0 / 540));
    reel_kaiming_opts leaky = { .slope = sqrt(5) };
    expect_uniform(reel_init_kaiming_uniform(w, &leaky, NULL), 1 / sqrt(360));
    cr_assert(reel_init_default(w, NULL, NULL));
    expect_uniform(w, 1 / sqrt(360));
    expect_normal(reel_init_normal(w, 0, 3, NULL), 3);
    cr_assert_not_null(reel_init_constant(w, 0.25));
    cr_expect_eq(reel_data_f32(w)[77], 0.25f);
    double mean, std, reach;
    statistics(reel_init_truncated_normal(w, 0, 1, -2, 2, NULL), &mean, &std, &reach);
    cr_expect(reach <= 2 && reach > 1.9);
    cr_expect_float_eq(std, 0.8796, 0.02);
}

Test(init, gains_are_pytorchs)
{
    cr_expect_float_eq(reel_gain(REEL_GAIN_RELU, 0), 1.4142135623730951, 1e-15);
    cr_expect_float_eq(reel_gain(REEL_GAIN_LEAKY_RELU, 0.01), 1.4141428569978354, 1e-15);
    cr_expect_float_eq(reel_gain(REEL_GAIN_TANH, 0), 1.6666666666666667, 1e-15);
    cr_expect_float_eq(reel_gain(REEL_GAIN_SELU, 0), 0.75, 0);
    cr_expect_float_eq(reel_gain(REEL_GAIN_LINEAR, 0), 1, 0);
}

Test(init, draws_the_same_numbers_for_the_same_generator, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(100, 3), REEL_F64), *y = reel_zeros_like(x);
    reel_generator a = { .seed = 7 }, b = { .seed = 7 };
    cr_assert(reel_init_kaiming_normal(x, NULL, &a) && reel_init_kaiming_normal(y, NULL, &b));
    cr_expect_eq(memcmp(reel_data(x), reel_data(y), 300 * sizeof(double)), 0);
    cr_assert(reel_init_kaiming_normal(y, NULL, &b));
    cr_expect_neq(memcmp(reel_data(x), reel_data(y), 300 * sizeof(double)), 0);
    cr_expect(a.offset > 0 && a.offset < b.offset);
}

Test(init, refuses_what_has_no_fans, .init = set_up, .fini = tear_down)
{
    reel_tensor *b = reel_zeros(ctx, REEL_SHAPE(5), REEL_F32);
    cr_expect_null(reel_init_xavier_uniform(b, 1, NULL));
    expect_error(REEL_ERROR_SHAPE, "fans need two axes or more, and the tensor is [5]");
    cr_expect_null(reel_init_truncated_normal(b, 0, 1, 50, 51, NULL));
    expect_error(REEL_ERROR_VALUE, "hardly reaches [50, 51]");
    cr_expect_null(reel_init_uniform(b, 1, -1, NULL));
    expect_error(REEL_ERROR_VALUE, "low is 1");
    cr_expect_null(reel_rand(ctx, NULL, REEL_SHAPE(2), REEL_F32, -INFINITY, 1));
    expect_error(REEL_ERROR_VALUE, "low is -inf");
    cr_expect_not_null(reel_init_kaiming_normal(reel_zeros(ctx, REEL_SHAPE(3, 0), REEL_F32), NULL, NULL));
    cr_expect_eq(reel_ctx_error(ctx), REEL_OK);
}

/* Modules */

Test(module, holds_parameters_and_buffers_by_name, .init = set_up, .fini = tear_down)
{
    reel_module *module = new_module(REEL_F32);
    reel_tensor *w = reel_module_parameter(module, "a.weight", REEL_SHAPE(2, 3));
    reel_tensor *mean = reel_module_buffer(module, "a.mean", REEL_SHAPE(3), REEL_F32, 4);
    reel_tensor *b = reel_module_parameter(module, "b.weight", REEL_SCALAR);
    cr_assert(w && mean && b);
    cr_expect_eq(reel_module_count(module), 3);
    cr_expect_eq(reel_module_at(module, 1).tensor, mean);
    cr_expect_str_eq(reel_module_at(module, 2).name, "b.weight");
    cr_expect_null(reel_module_at(module, 3).tensor);
    cr_expect(reel_module_is_parameter(module, 0) && !reel_module_is_parameter(module, 1));
    cr_expect_eq(reel_module_find(module, "b.weight"), b);
    cr_expect_null(reel_module_find(module, "b"));
    cr_expect_null(reel_module_find(module, NULL));
    reel_params params = reel_module_parameters(module);
    cr_expect(params.count == 2 && params.at[0] == w && params.at[1] == b);
    cr_expect_eq(reel_module_numel(module), 7);
    cr_expect(reel_requires_grad(w) && !reel_requires_grad(mean));
    reel_module_set_requires_grad(module, "a.", false);
    cr_expect(!reel_requires_grad(w) && reel_requires_grad(b));
    reel_module_set_requires_grad(module, NULL, false);
    cr_expect_not(reel_requires_grad(b));
    cr_expect(reel_module_training(module));
    reel_module_train(module, false);
    cr_expect_not(reel_module_training(module));
    cr_expect_null(reel_module_parameter(module, "a.mean", REEL_SHAPE(1)));
    expect_error(REEL_ERROR_VALUE, "named \"a.mean\" already");
    cr_expect_null(reel_module_parameter(module, "", REEL_SHAPE(1)));
    expect_error(REEL_ERROR_VALUE, "needs a name");
    cr_expect_not(reel_module_save(module, in_folder("texts"), &(reel_text) { NULL, "value" }, 1));
    expect_error(REEL_ERROR_CONTEXT, "a name is missing");
    cr_expect_null(reel_group_norm_make(module, "groups", 3, 4, NULL).weight);
    expect_error(REEL_ERROR_VALUE, "\"groups\": 4 channels cannot be cut into 3 groups");
    cr_expect_null(reel_module_parameter(module, "c", REEL_SHAPE(-1)));
    expect_error(REEL_ERROR_SHAPE, "[-1]");
    reel_module_free(module);
    cr_expect_null(reel_module_new(ctx, &(reel_module_opts) { .dtype = REEL_I32 }));
    expect_error(REEL_ERROR_DTYPE, "int32");
}

/* A small net with one of everything that has parameters. */
typedef struct net {
    reel_module *module;
    reel_conv_layer conv;
    reel_batch_norm_layer norm;
    reel_linear_layer fc;
} net;

static net make_net(reel_dtype dtype, int64_t classes)
{
    net n = { .module = new_module(dtype) };
    n.conv = reel_conv2d_make(n.module, "conv1", 1, 4, 3, &(reel_conv_layer_opts) { .conv = { .padding = { 1, 1 } } });
    n.norm = reel_batch_norm_make(n.module, "bn1", 4, NULL);
    n.fc = reel_linear_make(n.module, "fc", 4, classes, NULL);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    return n;
}

static reel_tensor *run_net(const net *n, reel_tensor *x)
{
    reel_tensor *h = reel_relu(reel_batch_norm_forward(&n->norm, reel_conv_forward(&n->conv, x)));
    return reel_linear_forward(&n->fc, reel_mean(h, REEL_DIMS(2, 3), false));
}

Test(layers, have_pytorchs_names_and_shapes, .init = set_up, .fini = tear_down)
{
    reel_module *m = new_module(REEL_F32);
    reel_linear_make(m, "fc", 3, 5, NULL);
    reel_conv1d_make(m, "c1", 4, 6, 3, &(reel_conv_layer_opts) { .conv = { .groups = 2 } });
    reel_conv2d_make(m, "c2", 4, 6, 3, &(reel_conv_layer_opts) { .kernel = { 1, 5 }, .no_bias = true });
    reel_conv3d_make(m, "c3", 1, 2, 2, NULL);
    reel_conv_transpose2d_make(m, "t2", 4, 6, 3, &(reel_conv_layer_opts) { .conv = { .groups = 2 } });
    reel_batch_norm_make(m, "bn", 6, NULL);
    reel_layer_norm_make(m, "ln", REEL_SHAPE(2, 3), NULL);
    reel_group_norm_make(m, "gn", 2, 6, NULL);
    reel_embedding_make(m, "emb", 10, 3, 0);
    reel_lstm_cell_make(m, "lstm", 3, 5, NULL);
    reel_gru_cell_make(m, "gru", 3, 5, &(reel_linear_layer_opts) { .no_bias = true });
    static const struct {
        const char *name, *shape;
    } expected[] = { { "fc.weight", "[5, 3]" },
                     { "fc.bias", "[5]" },
                     { "c1.weight", "[6, 2, 3]" },
                     { "c1.bias", "[6]" },
                     { "c2.weight", "[6, 4, 1, 5]" },
                     { "c3.weight", "[2, 1, 2, 2, 2]" },
                     { "c3.bias", "[2]" },
                     { "t2.weight", "[4, 3, 3, 3]" },
                     { "t2.bias", "[6]" },
                     { "bn.weight", "[6]" },
                     { "bn.bias", "[6]" },
                     { "bn.running_mean", "[6]" },
                     { "bn.running_var", "[6]" },
                     { "bn.num_batches_tracked", "[]" },
                     { "ln.weight", "[2, 3]" },
                     { "ln.bias", "[2, 3]" },
                     { "gn.weight", "[6]" },
                     { "gn.bias", "[6]" },
                     { "emb.weight", "[10, 3]" },
                     { "lstm.weight_ih", "[20, 3]" },
                     { "lstm.weight_hh", "[20, 5]" },
                     { "lstm.bias_ih", "[20]" },
                     { "lstm.bias_hh", "[20]" },
                     { "gru.weight_ih", "[15, 3]" },
                     { "gru.weight_hh", "[15, 5]" } };
    int count = (int)(sizeof expected / sizeof *expected);
    cr_assert_eq(reel_module_count(m), count, "%d; %s", reel_module_count(m), reel_ctx_error_message(ctx));
    for (int i = 0; i < count; i++) {
        char shape[REEL_SHAPE_TEXT];
        cr_expect_str_eq(reel_module_at(m, i).name, expected[i].name);
        cr_expect_str_eq(reel_shape_format(reel_shape_of(reel_module_at(m, i).tensor), shape), expected[i].shape);
    }
    reel_conv2d_make(m, "bad", 4, 6, 3, &(reel_conv_layer_opts) { .conv = { .groups = 4 } });
    expect_error(REEL_ERROR_VALUE, "layer \"bad\": 4 channels in and 6 out cannot be cut into 4 groups");
    reel_module_free(m);
}

Test(layers, batch_norm_follows_the_modules_mode, .init = set_up, .fini = tear_down)
{
    net n = make_net(REEL_F64, 3);
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(5, 1, 6, 6), REEL_F64, 0, 1);
    double before = reel_data_f64(n.norm.running_mean)[0];
    cr_assert(reel_eval(run_net(&n, x)), "%s", reel_ctx_error_message(ctx));
    cr_expect_neq(reel_data_f64(n.norm.running_mean)[0], before);
    cr_expect_eq(reel_item(n.norm.num_batches_tracked), 1);
    reel_module_train(n.module, false);
    before = reel_data_f64(n.norm.running_mean)[0];
    reel_tensor *once = run_net(&n, x), *twice = run_net(&n, x);
    cr_expect_eq(memcmp(reel_data(once), reel_data(twice), 15 * sizeof(double)), 0);
    cr_expect_eq(reel_data_f64(n.norm.running_mean)[0], before);
    cr_expect_eq(reel_item(n.norm.num_batches_tracked), 1);
    reel_module_free(n.module);
}

Test(layers, dropout_does_nothing_outside_of_training, .init = set_up, .fini = tear_down)
{
    reel_module *m = new_module(REEL_F32);
    reel_dropout_layer drop = reel_dropout_make(m, 0.5, false), channels = reel_dropout_make(m, 0.5, true);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(8, 50, 4, 4), REEL_F32);
    double kept = reel_item(reel_sum(reel_ne_scalar(reel_dropout_forward(&drop, x), 0), REEL_ALL_DIMS, false));
    cr_expect(kept > 3000 && kept < 3400, "%g of 6400 kept", kept);
    const float *y = reel_data_f32(reel_dropout_forward(&channels, x));
    int whole = 0;
    for (int c = 0; c < 400; c++) {
        int zeros = 0;
        for (int i = 0; i < 16; i++) zeros += y[16 * c + i] == 0;
        cr_expect(zeros == 0 || zeros == 16);
        whole += zeros == 16;
    }
    cr_expect(whole > 150 && whole < 250);
    reel_module_train(m, false);
    cr_expect_eq(reel_item(reel_sum(reel_dropout_forward(&drop, x), REEL_ALL_DIMS, false)), 6400);
    reel_module_free(m);
}

Test(layers, an_embeddings_padding_row_stays_zero, .init = set_up, .fini = tear_down)
{
    reel_module *m = new_module(REEL_F64);
    reel_embedding_layer layer = reel_embedding_make(m, "emb", 4, 3, 2);
    reel_tensor *y = reel_embedding_forward(&layer, reel_longs(ctx, REEL_SHAPE(3), (int64_t[]) { 1, 0, 3 }));
    const double *rows = reel_data_f64(y);
    cr_assert(rows, "%s", reel_ctx_error_message(ctx));
    cr_expect(rows[0] == 0 && rows[2] == 0 && rows[3] != 0);
    cr_assert(reel_backward(reel_sum(y, REEL_ALL_DIMS, false)));
    const double *g = reel_data_f64(reel_grad_of(layer.weight));
    cr_expect(g[0] == 1 && g[3] == 0 && g[11] == 1);
    reel_embedding_make(m, "bad", 4, 3, 5);
    expect_error(REEL_ERROR_VALUE, "padding_row 5 is not 0 (none) to 4");
    reel_module_free(m);
}

Test(layers, of_a_model_in_error_give_nothing_and_keep_the_first_message, .init = set_up, .fini = tear_down)
{
    reel_module *m = new_module(REEL_F32);
    reel_fail(ctx, REEL_ERROR_USER, "first");
    reel_linear_layer fc = reel_linear_make(m, "fc", 3, 5, NULL);
    reel_conv_layer conv = reel_conv2d_make(m, "c", 1, 1, 3, NULL);
    reel_batch_norm_layer bn = reel_batch_norm_make(m, "bn", 3, NULL);
    reel_cell_layer cell = reel_lstm_cell_make(m, "cell", 3, 4, NULL);
    reel_tensor *c = NULL;
    cr_expect_null(reel_linear_forward(&fc, NULL));
    cr_expect_null(reel_conv_forward(&conv, NULL));
    cr_expect_null(reel_batch_norm_forward(&bn, NULL));
    cr_expect_null(reel_lstm_cell_forward(&cell, NULL, NULL, NULL, &c));
    cr_expect_str_eq(reel_ctx_error_message(ctx), "first");
    reel_module_free(m);
}

Test(layers, cells_begin_with_zeros, .init = set_up, .fini = tear_down)
{
    reel_module *m = new_module(REEL_F64);
    reel_cell_layer lstm = reel_lstm_cell_make(m, "lstm", 3, 4, NULL), gru = reel_gru_cell_make(m, "gru", 3, 4, NULL);
    reel_cell_layer rnn = reel_rnn_cell_make(m, "rnn", 3, 4, NULL);
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(2, 3), REEL_F64, -1, 1),
                *zero = reel_zeros(ctx, REEL_SHAPE(2, 4), REEL_F64);
    reel_tensor *c[2];
    reel_tensor *pairs[][2] = {
        { reel_lstm_cell_forward(&lstm, x, NULL, NULL, &c[0]), reel_lstm_cell_forward(&lstm, x, zero, zero, &c[1]) },
        { reel_gru_cell_forward(&gru, x, NULL), reel_gru_cell_forward(&gru, x, zero) },
        { reel_rnn_cell_forward(&rnn, x, NULL), reel_rnn_cell_forward(&rnn, x, zero) },
        { c[0], c[1] },
    };
    for (int k = 0; k < 4; k++) {
        cr_assert(pairs[k][0] && pairs[k][1], "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(memcmp(reel_data(pairs[k][0]), reel_data(pairs[k][1]), 8 * sizeof(double)), 0);
        cr_expect_neq(reel_data_f64(pairs[k][0])[0], 0);
    }
    reel_module_free(m);
}

/* Files */

#define PATH in_folder("model.safetensors")

static bool same_values(const reel_module *a, const reel_module *b)
{
    for (int i = 0; i < reel_module_count(a); i++) {
        reel_tensor *x = reel_module_at(a, i).tensor, *y = reel_module_find(b, reel_module_at(a, i).name);
        size_t bytes = (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x));
        if (!y || memcmp(reel_data(x), reel_data(y), bytes) != 0) return false;
    }
    return true;
}

Test(files, give_back_parameters_and_buffers, .init = set_up, .fini = tear_down)
{
    net one = make_net(REEL_F32, 3), two = make_net(REEL_F32, 3), wide = make_net(REEL_F64, 3);
    cr_assert(reel_eval(run_net(&one, reel_rand(ctx, NULL, REEL_SHAPE(5, 1, 6, 6), REEL_F32, 0, 1))));
    cr_expect_not(same_values(one.module, two.module));
    const reel_text metadata[] = { { "note", "seven" } };
    cr_assert(reel_module_save(one.module, PATH, metadata, 1), "%s", reel_ctx_error_message(ctx));
    cr_assert(reel_module_load(two.module, PATH, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect(same_values(one.module, two.module));
    cr_expect(reel_requires_grad(two.fc.weight) && reel_is_leaf(two.fc.weight));
    cr_assert(reel_module_load(wide.module, PATH, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_data_f64(wide.fc.weight)[2], (double)reel_data_f32(one.fc.weight)[2]);
    reel_safetensors *file = reel_safetensors_open(ctx, PATH);
    cr_expect_str_eq(reel_safetensors_metadata(file, "note"), "seven");
    reel_safetensors_close(file);
    cr_assert(reel_module_copy(two.module, one.module) && same_values(two.module, one.module));
    reel_module_free(one.module);
    reel_module_free(two.module);
    reel_module_free(wide.module);
}

/* Loading fails with `reason` and changes nothing. */
static void expect_refusal(reel_module *module, const char *reason)
{
    float before = reel_data_f32(reel_module_find(module, "conv1.weight"))[0];
    cr_expect_not(reel_module_load(module, PATH, NULL));
    cr_expect(strstr(reel_ctx_error_message(ctx), PATH) != NULL, "no file in: %s", reel_ctx_error_message(ctx));
    expect_error(REEL_ERROR_IO, reason);
    cr_expect_eq(reel_data_f32(reel_module_find(module, "conv1.weight"))[0], before);
}

Test(files, of_another_model_are_refused_as_a_whole, .init = set_up, .fini = tear_down)
{
    net one = make_net(REEL_F32, 3), two = make_net(REEL_F32, 4);
    cr_assert(reel_module_save(two.module, PATH, NULL, 0));
    expect_refusal(one.module, "\"fc.weight\" is [4, 4], and the model's is [3, 4]");
    reel_module_parameter(one.module, "extra", REEL_SHAPE(2));
    expect_refusal(one.module, "\"fc.weight\"");
    net three = make_net(REEL_F32, 3);
    cr_assert(reel_module_save(three.module, PATH, NULL, 0));
    expect_refusal(one.module, "has no tensor \"extra\", which the model needs");
    cr_assert(reel_module_load(one.module, PATH, &(reel_module_load_opts) { .allow_missing = true }));
    cr_assert(reel_module_save(one.module, PATH, NULL, 0));
    expect_refusal(three.module, "has a tensor \"extra\" that the model has not");
    cr_assert(reel_module_load(three.module, PATH, &(reel_module_load_opts) { .allow_unexpected = true }));
    cr_expect(same_values(three.module, one.module));
    const reel_named whole[] = { { "conv1.weight", reel_zeros(ctx, REEL_SHAPE(4, 1, 3, 3), REEL_I64) } };
    cr_assert(reel_safetensors_save(ctx, PATH, whole, 1, NULL, 0));
    cr_expect_not(reel_module_load(three.module, PATH, &(reel_module_load_opts) { .allow_missing = true }));
    expect_error(REEL_ERROR_IO, "\"conv1.weight\" is int64, and the model's is float32");
    FILE *file = fopen(PATH, "wb");
    fputs("no such thing", file);
    fclose(file);
    expect_refusal(three.module, "truncated or no safetensors file");
    reel_module_free(one.module);
    reel_module_free(two.module);
    reel_module_free(three.module);
}

Test(files, load_from_under_a_prefix, .init = set_up, .fini = tear_down)
{
    net one = make_net(REEL_F32, 3), two = make_net(REEL_F32, 3);
    reel_store *store = reel_store_new(ctx);
    cr_assert(reel_module_store(one.module, store, "model.") && reel_store_put_int(store, "", "step", 12) &&
              reel_store_put_double(store, "", "best", 0.1) && reel_store_put_double(store, "", "worst", NAN) &&
              reel_store_put_doubles(store, "", "history", (double[]) { 1, 2, 3 }, 3));
    cr_expect_not(reel_store_put(store, "model.", "fc.bias", one.fc.bias));
    expect_error(REEL_ERROR_VALUE, "two tensors named \"model.fc.bias\"");
    cr_expect_not(reel_store_put_int(store, "", "step", 1));
    expect_error(REEL_ERROR_VALUE, "two texts named \"step\"");
    cr_assert(reel_store_save(store, PATH), "%s", reel_ctx_error_message(ctx));
    reel_store_close(store);

    store = reel_store_open(ctx, PATH);
    int64_t step;
    double best, worst, history[3];
    cr_assert(reel_store_int(store, "", "step", &step) && reel_store_double(store, "", "best", &best));
    cr_assert(reel_store_double(store, "", "worst", &worst) && reel_store_doubles(store, "", "history", history, 3));
    cr_expect(step == 12 && best == 0.1 && isnan(worst) && history[2] == 3);
    cr_assert(reel_module_restore(two.module, store, &(reel_module_load_opts) { .prefix = "model." }), "%s",
              reel_ctx_error_message(ctx));
    cr_expect(same_values(one.module, two.module));
    cr_expect_not(reel_store_int(store, "", "best", &step));
    expect_error(REEL_ERROR_IO, "\"best\" is no whole number");
    cr_expect_not(reel_store_double(store, "", "step", &best));
    expect_error(REEL_ERROR_IO, "\"step\" is no number: 12");
    cr_expect_null(reel_store_text(store, "", "absent"));
    expect_error(REEL_ERROR_IO, "has no metadata \"absent\"");
    cr_expect_not(reel_store_doubles(store, "", "history", history, 2));
    expect_error(REEL_ERROR_IO, "\"history\" is float64 [3], and 2 float64 numbers are needed");
    reel_store_close(store);
    reel_module_free(one.module);
    reel_module_free(two.module);
}

Test(module, of_another_context_can_be_copied, .init = set_up, .fini = tear_down)
{
    net one = make_net(REEL_F32, 3);
    reel_ctx *mine = ctx;
    ctx = reel_ctx_new(&(reel_ctx_opts) { .seed = 9 });
    net two = make_net(REEL_F32, 3);
    cr_assert(reel_module_copy(two.module, one.module));
    cr_expect(same_values(one.module, two.module));
    reel_module_free(two.module);
    reel_ctx_free(ctx);
    ctx = mine;
    reel_module_free(one.module);
}

/* Golden cells */

typedef bool cell_fn(reel_tensor *const *in, int n, bool causal, reel_tensor **out);

static bool lstm(reel_tensor *const *in, int n, bool causal, reel_tensor **out)
{
    (void)n, (void)causal;
    out[0] = reel_lstm_cell(in[0], in[1], in[2], in[3], in[4], in[5], in[6], &out[1]);
    return out[0] && out[1];
}

static bool gru(reel_tensor *const *in, int n, bool causal, reel_tensor **out)
{
    (void)n, (void)causal;
    return (out[0] = reel_gru_cell(in[0], in[1], in[2], in[3], in[4], in[5])) != NULL;
}

static bool attention(reel_tensor *const *in, int n, bool causal, reel_tensor **out)
{
    reel_attention_opts opts = { .is_causal = causal };
    return (out[0] = reel_scaled_dot_product_attention(in[0], in[1], in[2], n > 3 ? in[3] : NULL, &opts)) != NULL;
}

static reel_tensor *golden(reel_safetensors *file, const char *format, int k)
{
    char name[32];
    snprintf(name, sizeof name, format, k);
    if (k == 0 && strcmp(format, "in%d") != 0 && reel_safetensors_find(file, name) < 0) name[strlen(name) - 1] = '\0';
    return reel_safetensors_find(file, name) >= 0 ? reel_safetensors_read(file, name) : NULL;
}

static void expect_close(const char *name, const char *what, int k, reel_tensor *x, reel_tensor *expected)
{
    if (!expected) return;
    cr_assert(x && reel_shape_equal(reel_shape_of(x), reel_shape_of(expected)), "%s: %s%d: %s", name, what, k,
              reel_ctx_error_message(ctx));
    const double *a = reel_data_f64(x), *b = reel_data_f64(expected);
    for (int64_t i = 0; i < reel_numel(x); i++)
        cr_expect(fabs(a[i] - b[i]) <= 1e-9 * (1 + fabs(b[i])), "%s: %s%d[%d] is %.17g, PyTorch's %.17g", name, what, k,
                  (int)i, a[i], b[i]);
}

/* Value, gradient and second order of one case. */
static void run_case(const char *name, cell_fn *cell)
{
    char file_path[512];
    snprintf(file_path, sizeof file_path, "%s/golden/training/%s.safetensors", REEL_TEST_DATA, name);
    reel_safetensors *file = reel_safetensors_open(ctx, file_path);
    cr_assert(file, "%s", reel_ctx_error_message(ctx));
    reel_tensor *all[10], *out[2] = { NULL, NULL }, *cot[2], *grads[8], *v[8], *second[10];
    int n = 0, outs = 1;
    for (; n < 8; n++) {
        reel_tensor *x = golden(file, "in%d", n);
        if (!x) break;
        all[n] = reel_set_requires_grad(x, true);
    }
    outs += reel_safetensors_find(file, "out1") >= 0;
    for (int k = 0; k < outs; k++) all[n + k] = cot[k] = reel_set_requires_grad(golden(file, "gout%d", k), true);
    const char *causal = reel_safetensors_metadata(file, "causal");
    cr_assert(cell(all, n, causal && strcmp(causal, "true") == 0, out), "%s: %s", name, reel_ctx_error_message(ctx));
    for (int k = 0; k < outs; k++) expect_close(name, "out", k, out[k], golden(file, "out%d", k));
    cr_assert(reel_grad(out, outs, all, n, cot, grads), "%s", reel_ctx_error_message(ctx));
    for (int k = 0; k < n; k++) {
        expect_close(name, "gin", k, grads[k], golden(file, "gin%d", k));
        v[k] = golden(file, "v%d", k);
    }
    cr_assert(reel_grad(grads, n, all, n + outs, v, second), "%s: %s", name, reel_ctx_error_message(ctx));
    for (int k = 0; k < n; k++) expect_close(name, "gg_in", k, second[k], golden(file, "gg_in%d", k));
    for (int k = 0; k < outs; k++) expect_close(name, "gg_gout", k, second[n + k], golden(file, "gg_gout%d", k));
    reel_safetensors_close(file);
}

Test(cells, follow_the_golden_cases, .init = set_up, .fini = tear_down)
{
    for (int k = 0; k < 9; k++) {
        char name[32];
        snprintf(name, sizeof name, "lstm_cell_%03d", k);
        if (k < 4) run_case(name, lstm);
        snprintf(name, sizeof name, "gru_cell_%03d", k);
        if (k < 4) run_case(name, gru);
        snprintf(name, sizeof name, "attention_%03d", k);
        run_case(name, attention);
    }
}
