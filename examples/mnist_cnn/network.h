// SPDX-License-Identifier: MIT
// The network of mnist_cnn: four convolutions, a global average and a dense layer.
#ifndef MNIST_CNN_NETWORK_H
#define MNIST_CNN_NETWORK_H

#include <reel/reel.h>

typedef struct network {
    reel_module *module;
    reel_conv_layer conv1, conv2, conv3, conv4;
    reel_linear_layer dense;
} network;

// A module with the layers, drawn as Keras draws them; .module is NULL on error.
network network_make(reel_ctx *ctx);

// Scores (logits) of the ten digits. x: [N, 1, 28, 28] -> [N, 10].
reel_tensor *network_forward(const network *net, reel_tensor *x);

#endif
