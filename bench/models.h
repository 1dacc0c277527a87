// SPDX-License-Identifier: MIT
// The two networks whose steps are timed, and tested in the long run (tests/test_steps.c).
#ifndef REEL_BENCH_MODELS_H
#define REEL_BENCH_MODELS_H

#include <reel/nn/layers.h>
#include <reel/reel.h>

typedef struct bench_model {
    reel_module *module;
    reel_optim *optim;
    reel_tensor *images, *labels;
    bool stn;
    reel_conv_layer conv[4];
    reel_linear_layer linear[4];
} bench_model;

// stn: the network of the spatial transformer tutorial, trained by SGD; else a CNN by Adam, of `width` channels, then twice
// as many.
void bench_model_make(bench_model *model, reel_ctx *ctx, bool stn, int64_t batch, int64_t width);
void bench_model_free(bench_model *model);
reel_tensor *bench_model_forward(const bench_model *model);
double bench_model_step(const bench_model *model); // its loss

#endif
