// SPDX-License-Identifier: MIT
// What suites of training share: points of three classes around the corners of a triangle, and a net with dropout to learn it.
#ifndef REEL_TESTS_TASK_H
#define REEL_TESTS_TASK_H

#include "fixture.h"

#include <math.h>
#include <reel/nn/callbacks.h>
#include <reel/nn/layers.h>
#include <reel/nn/train.h>
#include <reel/ops/loss.h>
#include <reel/ops/pointwise.h>

#define POINTS 90

typedef struct task {
    reel_module *module;
    reel_linear_layer first, second;
    reel_dropout_layer drop;
    reel_dataset *points;
    reel_loader *data, *validation;
    reel_optim *optim;
    reel_model model;
    bool poison; /* forward divides by zero */
} task;

static inline reel_tensor *forward(void *user, const reel_batch *batch)
{
    const task *t = user;
    reel_tensor *h = reel_dropout_forward(&t->drop, reel_relu(reel_linear_forward(&t->first, batch->field[0])));
    reel_tensor *y = reel_linear_forward(&t->second, h);
    return t->poison ? reel_div(y, reel_zeros_like(y)) : y;
}

static inline task *open_task(int64_t hidden)
{
    task *t = calloc(1, sizeof *t);
    reel_generator generator = { .seed = 11 };
    float x[POINTS * 2];
    int64_t y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        y[i] = i % 3;
        x[2 * i] = (float)(2 * cos(2.1 * (double)y[i]) + 0.5 * reel_generator_normal(&generator));
        x[2 * i + 1] = (float)(2 * sin(2.1 * (double)y[i]) + 0.5 * reel_generator_normal(&generator));
    }
    reel_tensor *fields[] = { reel_floats(ctx, REEL_SHAPE(POINTS, 2), x), reel_longs(ctx, REEL_SHAPE(POINTS), y) };
    t->points = reel_dataset_from_tensors(fields, 2);
    reel_free(fields[0]);
    reel_free(fields[1]);
    t->data = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = 20, .shuffle = true, .seed = 3 });
    t->validation = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = 45, .no_thread = true });
    reel_ctx_generator(ctx)->seed = 17;
    reel_ctx_generator(ctx)->offset = 0;
    t->module = reel_module_new(ctx, NULL);
    t->first = reel_linear_make(t->module, "first", 2, hidden, NULL);
    t->second = reel_linear_make(t->module, "second", hidden, 3, NULL);
    t->drop = reel_dropout_make(t->module, 0.2, false);
    t->optim = reel_adam_new(reel_module_parameters(t->module), &(reel_adam_opts) { .lr = 0.02 });
    t->model = (reel_model) { .module = t->module, .forward = forward, .user = t };
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    return t;
}

static inline void close_task(task *t)
{
    reel_optim_free(t->optim);
    reel_loader_free(t->data);
    reel_loader_free(t->validation);
    reel_dataset_free(t->points);
    reel_module_free(t->module);
    free(t);
}

/* All parameters as one list. */
#define WEIGHTS (2 * 8 + 8 + 8 * 3 + 3)
static inline void weights(const task *t, float to[WEIGHTS])
{
    float *at = to;
    for (int i = 0; i < reel_module_count(t->module); i++) {
        reel_tensor *x = reel_module_at(t->module, i).tensor;
        cr_assert(at + reel_numel(x) <= to + WEIGHTS);
        memcpy(at, reel_data_f32(x), (size_t)reel_numel(x) * sizeof(float));
        at += reel_numel(x);
    }
}

#endif
