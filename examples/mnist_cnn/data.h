// SPDX-License-Identifier: MIT
// MNIST as mnist_cnn takes it: float32 [1, 28, 28] in [0, 1] and int64 labels.
#ifndef MNIST_CNN_DATA_H
#define MNIST_CNN_DATA_H

#include "options.h"

#include <reel/reel.h>

typedef struct mnist {
    reel_dataset *set[3];
    reel_loader *training, *validation, *test;
} mnist;

// From the folder of the options, or drawn by the program, which says so; the last 15 % of the training digits are for
// validation. Only training digits are shuffled. The caller closes it in any case.
bool mnist_open(mnist *data, reel_ctx *ctx, const options *opts);
void mnist_close(mnist *data);

#endif
