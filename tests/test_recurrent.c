// SPDX-License-Identifier: MIT
// Recurrent cells and attention against PyTorch's values, first and second derivatives; sequences; refusals.
#include "spatial.h"
#include <reel/core/safetensors.h>
#include <stdio.h>

#define MOST 8

typedef struct training_case {
    reel_ctx *ctx;
    reel_safetensors *file;
    const char *name;
    int n_in, n_out;
    reel_tensor *in[MOST], *out[2], *cot[2];
} training_case;

static reel_tensor *read(const training_case *c, const char *format, int i)
{
    char name[32];
    snprintf(name, sizeof name, format, i);
    return reel_safetensors_find(c->file, name) < 0 ? NULL : reel_safetensors_read(c->file, name);
}

static bool says(const training_case *c, const char *key)
{
    const char *value = reel_safetensors_metadata(c->file, key);
    return value && !strcmp(value, "true");
}

static void run_op(training_case *c, const char *op)
{
    reel_tensor **in = c->in;
    c->n_out = 1;
    if (!strcmp(op, "lstm_cell")) {
        c->out[0] = reel_lstm_cell(in[0], in[1], in[2], in[3], in[4], in[5], in[6], &c->out[1]);
        c->n_out = 2;
    } else if (!strcmp(op, "gru_cell")) {
        c->out[0] = reel_gru_cell(in[0], in[1], in[2], in[3], in[4], in[5]);
    } else {
        reel_attention_opts opts = { .is_causal = says(c, "causal") };
        c->out[0] = reel_scaled_dot_product_attention(in[0], in[1], in[2], c->n_in > 3 ? in[3] : NULL, &opts);
    }
}

static void agree(const training_case *c, reel_tensor *got, reel_tensor *want, const char *what)
{
    if (!want) return;
    cr_assert(got && reel_shape_equal(reel_shape_of(got), reel_shape_of(want)), "%s: %s: %s", c->name, what,
              reel_ctx_error_message(c->ctx));
    double *a = values_of(got), *b = values_of(want), error = difference(a, b, reel_numel(want));
    cr_assert_leq(error, 1e-9, "%s: %s differs by %g", c->name, what, error);
    free(a), free(b);
}

static void check_derivatives(training_case *c)
{
    reel_tensor *grads[MOST], *by[MOST + 2], *second[MOST + 2], *v[MOST];
    char what[32];
    for (int k = 0; k < c->n_out; k++) c->cot[k] = reel_set_requires_grad(read(c, k ? "gout%d" : "gout", k), true);
    cr_assert(reel_grad(c->out, c->n_out, c->in, c->n_in, c->cot, grads), "%s", reel_ctx_error_message(c->ctx));
    for (int i = 0; i < c->n_in; i++) {
        snprintf(what, sizeof what, "gin%d", i);
        agree(c, grads[i], read(c, "gin%d", i), what);
        v[i] = read(c, "v%d", i);
        by[i] = c->in[i];
    }
    for (int k = 0; k < c->n_out; k++) by[c->n_in + k] = c->cot[k];
    cr_assert(reel_grad(grads, c->n_in, by, c->n_in + c->n_out, v, second), "%s", reel_ctx_error_message(c->ctx));
    for (int i = 0; i < c->n_in; i++) {
        snprintf(what, sizeof what, "gg_in%d", i);
        agree(c, second[i], read(c, "gg_in%d", i), what);
    }
    for (int k = 0; k < c->n_out; k++)
        agree(c, second[c->n_in + k], read(c, k ? "gg_gout%d" : "gg_gout", k), "gg_gout");
}

static void check_cases(const char *op, int count)
{
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, REEL_TEST_DATA "/golden/training/%s_%03d.safetensors", op, i);
        training_case c = { .ctx = reel_ctx_new(NULL), .name = strrchr(path, '/') + 1 };
        c.file = reel_safetensors_open(c.ctx, path);
        cr_assert(c.file, "%s", reel_ctx_error_message(c.ctx));
        while (c.n_in < MOST && (c.in[c.n_in] = read(&c, "in%d", c.n_in))) {
            reel_set_requires_grad(c.in[c.n_in], true);
            c.n_in++;
        }
        run_op(&c, op);
        for (int k = 0; k < c.n_out; k++) agree(&c, c.out[k], read(&c, k ? "out%d" : "out", k), "out");
        check_derivatives(&c);
        sound(c.ctx);
        reel_safetensors_close(c.file);
        reel_ctx_free(c.ctx);
    }
}

Test(recurrent, lstm_cell_is_pytorchs_to_the_second_order) { check_cases("lstm_cell", 4); }
Test(recurrent, gru_cell_is_pytorchs_to_the_second_order) { check_cases("gru_cell", 4); }
Test(attention, is_pytorchs_to_the_second_order) { check_cases("attention", 9); }

Test(recurrent, a_sequence_can_be_run_and_differentiated)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *w_ih = reel_set_requires_grad(draw_tensor(ctx, REEL_SHAPE(16, 3), REEL_F32, -1, 1), true);
    reel_tensor *w_hh = draw_tensor(ctx, REEL_SHAPE(16, 4), REEL_F32, -1, 1), *grad;
    REEL_SCOPE(ctx)
    {
        reel_tensor *h = reel_zeros(ctx, REEL_SHAPE(2, 4), REEL_F32), *c = reel_zeros(ctx, REEL_SHAPE(2, 4), REEL_F32);
        for (int t = 0; t < 200; t++) {
            reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 3), REEL_F32, -1, 1);
            h = reel_lstm_cell(x, h, c, w_ih, w_hh, NULL, NULL, &c);
        }
        reel_tensor *sum = reel_sum(h, REEL_ALL_DIMS, false);
        cr_assert(reel_grad(&sum, 1, &w_ih, 1, NULL, &grad) && reel_eval(grad));
        double *values = values_of(grad), size = 0;
        for (int i = 0; i < 48; i++) size += values[i] * values[i];
        cr_assert(isfinite(size) && size > 0);
        free(values);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(attention, gives_nothing_to_a_query_that_may_look_nowhere)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    unsigned char open[4] = { 1, 0, 0, 0 }; // query 0 sees key 0, query 1 none
    reel_tensor *q = reel_set_requires_grad(draw_tensor(ctx, REEL_SHAPE(2, 3), REEL_F64, -1, 1), true), *g;
    reel_tensor *k = draw_tensor(ctx, REEL_SHAPE(2, 3), REEL_F64, -1, 1);
    reel_tensor *v = reel_doubles(ctx, REEL_SHAPE(2, 1), (double[]) { 5, 7 });
    reel_tensor *y =
        reel_scaled_dot_product_attention(q, k, v, reel_from(ctx, REEL_SHAPE(2, 2), REEL_BOOL, open), NULL);
    cr_assert_eq(reel_data_f64(y)[0], 5);
    cr_assert_eq(reel_data_f64(y)[1], 0);
    cr_assert(reel_grad(&y, 1, &q, 1, NULL, &g));
    for (int i = 0; i < 6; i++) cr_assert_eq(reel_data_f64(g)[i], 0);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(attention, drops_weights_out)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *q = reel_zeros(ctx, REEL_SHAPE(500, 4), REEL_F32), *k = reel_zeros(ctx, REEL_SHAPE(100, 4), REEL_F32);
    reel_tensor *v = reel_ones(ctx, REEL_SHAPE(100, 1), REEL_F32);
    reel_attention_opts opts = { .dropout_p = 0.5 };
    reel_tensor *y = reel_scaled_dot_product_attention(q, k, v, NULL, &opts);
    double mean = reel_item(reel_mean(y, REEL_ALL_DIMS, false)), spread = reel_item(reel_std(y, REEL_ALL_DIMS, NULL));
    cr_assert_float_eq(mean, 1, 0.03);
    cr_assert_float_eq(spread, 0.1, 0.02, "each is a mean of 100 weights of 0 or 2");
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(recurrent, refuses_what_it_cannot_do)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *h = reel_zeros(ctx, REEL_SHAPE(2, 4), REEL_F32);
    reel_tensor *w_ih = reel_zeros(ctx, REEL_SHAPE(16, 3), REEL_F32), *b = reel_zeros(ctx, REEL_SHAPE(12), REEL_F32);
    reel_tensor *w_hh = reel_zeros(ctx, REEL_SHAPE(16, 4), REEL_F32), *one = reel_zeros(ctx, REEL_SHAPE(4), REEL_F32);
    reel_tensor *c = NULL;
    refused(ctx, reel_gru_cell(x, h, w_ih, w_hh, NULL, NULL), "gru_cell", "[3H, I]");
    refused(ctx, reel_lstm_cell(x, h, h, w_hh, w_hh, NULL, NULL, &c), "lstm_cell", "w_ih has shape [16, 4]");
    refused(ctx, reel_lstm_cell(x, h, h, w_ih, w_ih, NULL, NULL, &c), "lstm_cell", "w_hh has shape [16, 3]");
    refused(ctx, reel_lstm_cell(x, h, h, w_ih, w_hh, b, NULL, &c), "lstm_cell", "b_ih has shape [12]");
    refused(ctx, reel_lstm_cell(x, h, one, w_ih, w_hh, NULL, NULL, &c), "lstm_cell", "c has shape [4]");
    refused(ctx, reel_lstm_cell(x, one, one, w_ih, w_hh, NULL, NULL, &c), "lstm_cell", "batched as the input is");
    cr_assert_null(c);
    refused(ctx, reel_scaled_dot_product_attention(x, h, h, NULL, NULL), "scaled_dot_product_attention", "[..., L, D]");
    refused(ctx, reel_scaled_dot_product_attention(h, h, h, x, NULL), "scaled_dot_product_attention", "mask [2, 3]");
    refused(ctx, reel_scaled_dot_product_attention(h, h, h, h, &(reel_attention_opts) { .is_causal = true }),
            "scaled_dot_product_attention", "do not go together");
    reel_ctx_free(ctx);
}
