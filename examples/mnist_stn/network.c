// SPDX-License-Identifier: MIT
// The network of PyTorch's spatial transformer tutorial.
#include "network.h"

network network_make(reel_module *module, bool transforms)
{
    network net = { .module = module, .transforms = transforms };
    if (transforms) {
        net.loc1 = reel_conv2d_make(module, "localization.0", 1, 8, 7, NULL);
        net.loc2 = reel_conv2d_make(module, "localization.3", 8, 10, 5, NULL);
        net.theta1 = reel_linear_make(module, "fc_loc.0", 10 * 3 * 3, 32, NULL);
        net.theta2 = reel_linear_make(module, "fc_loc.2", 32, 6, NULL);
        static const double identity[] = { 1, 0, 0, 0, 1, 0 };
        float bias[6];
        for (int i = 0; i < 6; i++) bias[i] = (float)identity[i];
        reel_init_constant(net.theta2.weight, 0);
        if (reel_module_dtype(module) == REEL_F64)
            reel_set_data(net.theta2.bias, identity, sizeof identity);
        else
            reel_set_data(net.theta2.bias, bias, sizeof bias);
    }
    net.conv1 = reel_conv2d_make(module, "conv1", 1, 10, 5, NULL);
    net.conv2 = reel_conv2d_make(module, "conv2", 10, 20, 5, NULL);
    net.fc1 = reel_linear_make(module, "fc1", 320, 50, NULL);
    net.fc2 = reel_linear_make(module, "fc2", 50, 10, NULL);
    return net;
}

static reel_tensor *pool(reel_tensor *x) { return reel_max_pool2d(x, &(reel_pool_opts) { .kernel = { 2, 2 } }); }

reel_tensor *network_theta(const network *net, reel_tensor *x)
{
    reel_tensor *h = reel_relu(pool(reel_conv_forward(&net->loc1, x)));
    h = reel_relu(pool(reel_conv_forward(&net->loc2, h)));
    h = reel_relu(reel_linear_forward(&net->theta1, reel_reshape(h, REEL_SHAPE(-1, 10 * 3 * 3))));
    return reel_reshape(reel_linear_forward(&net->theta2, h), REEL_SHAPE(-1, 2, 3));
}

reel_tensor *network_transform(const network *net, reel_tensor *x)
{
    if (!net->transforms) return x;
    return reel_grid_sample(x, reel_affine_grid(network_theta(net, x), reel_shape_of(x), NULL), NULL);
}

reel_tensor *network_forward(const network *net, reel_tensor *x)
{
    bool training = reel_module_training(net->module);
    reel_tensor *h = network_transform(net, x);
    h = reel_relu(pool(reel_conv_forward(&net->conv1, h)));
    h = reel_relu(pool(reel_dropout2d(reel_conv_forward(&net->conv2, h), 0.5, training, NULL)));
    h = reel_relu(reel_linear_forward(&net->fc1, reel_reshape(h, REEL_SHAPE(-1, 320))));
    h = reel_dropout(h, 0.5, training, NULL);
    return reel_log_softmax(reel_linear_forward(&net->fc2, h), 1);
}
