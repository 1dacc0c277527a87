// SPDX-License-Identifier: MIT
// The network of mnist_cnn.
#include "network.h"

// Keras' defaults: Glorot's uniform weights, no bias at first.
static void draw(reel_module *module, reel_tensor *weight, reel_tensor *bias)
{
    reel_init_xavier_uniform(weight, 1, reel_module_generator(module));
    reel_init_constant(bias, 0);
}

network network_make(reel_ctx *ctx)
{
    network net = { .module = reel_module_new(ctx, NULL) };
    if (!net.module) return net;
    net.conv1 = reel_conv2d_make(net.module, "conv1", 1, 64, 3, NULL);
    net.conv2 = reel_conv2d_make(net.module, "conv2", 64, 64, 3, NULL);
    net.conv3 = reel_conv2d_make(net.module, "conv3", 64, 128, 3, NULL);
    net.conv4 = reel_conv2d_make(net.module, "conv4", 128, 128, 3, NULL);
    net.dense = reel_linear_make(net.module, "dense", 128, 10, NULL);
    const reel_conv_layer *const convs[] = { &net.conv1, &net.conv2, &net.conv3, &net.conv4 };
    for (int i = 0; i < 4; i++) draw(net.module, convs[i]->weight, convs[i]->bias);
    draw(net.module, net.dense.weight, net.dense.bias);
    return net;
}

reel_tensor *network_forward(const network *net, reel_tensor *x)
{
    reel_tensor *h = reel_relu(reel_conv_forward(&net->conv1, x));
    h = reel_relu(reel_conv_forward(&net->conv2, h));
    h = reel_max_pool2d(h, &(reel_pool_opts) { .kernel = { 2, 2 } });
    h = reel_relu(reel_conv_forward(&net->conv3, h));
    h = reel_relu(reel_conv_forward(&net->conv4, h));
    h = reel_mean(h, REEL_DIMS(2, 3), false);
    h = reel_dropout(h, 0.5, reel_module_training(net->module), NULL);
    return reel_linear_forward(&net->dense, h);
}
