// SPDX-License-Identifier: MIT
// The network of PyTorch's spatial transformer tutorial; parameters have the tutorial's names.
#ifndef MNIST_STN_NETWORK_H
#define MNIST_STN_NETWORK_H

#include <reel/nn/layers.h>
#include <reel/reel.h>

typedef struct network {
    reel_module *module;
    bool transforms; // false: --no-stn
    reel_conv_layer loc1, loc2, conv1, conv2;
    reel_linear_layer theta1, theta2, fc1, fc2;
} network;

// Adds the layers to `module`; the transformer starts at the identity.
network network_make(reel_module *module, bool transforms);

// The poses it looks the digits up at, thetas of affine_grid. x: [N, 1, 28, 28] -> [N, 2, 3].
reel_tensor *network_theta(const network *net, reel_tensor *x);

// The digits as the transformer hands them on. x: [N, 1, 28, 28] -> the same shape.
reel_tensor *network_transform(const network *net, reel_tensor *x);

// Log probabilities of the ten digits. x: [N, 1, 28, 28] -> [N, 10].
reel_tensor *network_forward(const network *net, reel_tensor *x);

#endif
