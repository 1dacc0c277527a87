// SPDX-License-Identifier: MIT
// MNIST as mnist_cnn takes it.
#include "data.h"
#include "../mnist_stn/digits.h"

#include <stdio.h>

enum { OWN_TRAIN = 10000, OWN_TEST = 2000 };

// Takes `raw`: data sets share what they stand on, so it can go at once.
static reel_dataset *scaled(reel_ctx *ctx, reel_dataset *raw)
{
    reel_dataset *data =
        raw ? reel_dataset_normalised(ctx, raw, 0, &(reel_normalise) { .dtype = REEL_F32, .scale = 1.0 / 255 }) : NULL;
    reel_dataset_free(raw);
    return data;
}

bool mnist_open(mnist *data, reel_ctx *ctx, const options *opts)
{
    reel_dataset *all, *test;
    if (opts->data) {
        printf("MNIST from %s\n", opts->data);
        all = scaled(ctx, reel_dataset_mnist(ctx, opts->data, true));
        test = scaled(ctx, reel_dataset_mnist(ctx, opts->data, false));
    } else {
        printf("No MNIST at hand (--data DIR or MNIST_DIR): %d digits drawn by this program stand in\n",
               OWN_TRAIN + OWN_TEST);
        all = scaled(ctx, digits_draw(ctx, OWN_TRAIN, 1000 + opts->seed));
        test = scaled(ctx, digits_draw(ctx, OWN_TEST, 77));
    }
    fflush(stdout);
    data->set[2] = test;
    bool ok = all && test && reel_dataset_split(ctx, all, 0.15, &data->set[0], &data->set[1]);
    reel_dataset_free(all);
    if (!ok) return false;
    const reel_loader_opts shuffled = { .batch = opts->batch, .shuffle = true, .seed = opts->seed };
    const reel_loader_opts in_order = { .batch = 500, .allow_small = true };
    data->training = reel_loader_new(ctx, data->set[0], &shuffled);
    data->validation = reel_loader_new(ctx, data->set[1], &in_order);
    data->test = reel_loader_new(ctx, data->set[2], &in_order);
    return data->training && data->validation && data->test;
}

void mnist_close(mnist *data)
{
    reel_loader_free(data->training);
    reel_loader_free(data->validation);
    reel_loader_free(data->test);
    for (int i = 0; i < 3; i++) reel_dataset_free(data->set[i]);
}
