// SPDX-License-Identifier: MIT
// Initialisers: they overwrite a parameter with constants or draws whose spread fits its fans.
#ifndef REEL_NN_INIT_H
#define REEL_NN_INIT_H

#include <reel/core/random.h>

REEL_BEGIN

/* For a weight [out, in, k...]: fan_in = in * prod(k), fan_out = out * prod(k). An error below two axes. A place
 * may be NULL. */
REEL_API bool reel_fans(const reel_tensor *weight, int64_t *fan_in, int64_t *fan_out);

/* What an activation does to the spread of what passes, as in PyTorch's calculate_gain. */
typedef enum reel_nonlinearity {
    REEL_GAIN_LEAKY_RELU, /* sqrt(2 / (1 + slope^2)) */
    REEL_GAIN_LINEAR,     /* 1; also convolutions and sigmoid */
    REEL_GAIN_TANH,       /* 5/3 */
    REEL_GAIN_RELU,       /* sqrt(2) */
    REEL_GAIN_SELU        /* 3/4 */
} reel_nonlinearity;
REEL_API double reel_gain(reel_nonlinearity nonlinearity, double slope);

typedef struct reel_kaiming_opts {
    bool fan_out;                   /* keep the spread of gradients rather than of values */
    reel_nonlinearity nonlinearity; /* default leaky ReLU                                 */
    double slope;                   /* of the leaky ReLU; default 0                       */
} reel_kaiming_opts;

/* All overwrite `x` in place (recorded, like any op) and return it, or NULL on error. A NULL generator is the
 * context's. Glorot & Bengio 2010; He et al. 2015; Saxe et al. 2013. */
REEL_API reel_tensor *reel_init_constant(reel_tensor *x, double value);
REEL_API reel_tensor *reel_init_uniform(reel_tensor *x, double low, double high, reel_generator *generator);
REEL_API reel_tensor *reel_init_normal(reel_tensor *x, double mean, double std, reel_generator *generator);
/* Normal draws kept within [low, high] by drawing again. */
REEL_API reel_tensor *reel_init_truncated_normal(reel_tensor *x, double mean, double std, double low, double high,
                                                 reel_generator *generator);
/* U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)); N(0, s), s = gain * sqrt(2 / (fan_in + fan_out)). Gain 0 is 1. */
REEL_API reel_tensor *reel_init_xavier_uniform(reel_tensor *x, double gain, reel_generator *generator);
REEL_API reel_tensor *reel_init_xavier_normal(reel_tensor *x, double gain, reel_generator *generator);
/* U(-b, b), b = gain * sqrt(3 / fan); N(0, s), s = gain / sqrt(fan). */
REEL_API reel_tensor *reel_init_kaiming_uniform(reel_tensor *x, const reel_kaiming_opts *opts,
                                                reel_generator *generator);
REEL_API reel_tensor *reel_init_kaiming_normal(reel_tensor *x, const reel_kaiming_opts *opts,
                                               reel_generator *generator);

/* PyTorch's default for the weight and bias of linear and convolution layers: both U(-b, b), b = 1 / sqrt(fan_in) of
 * the weight. `bias` may be NULL. */
REEL_API bool reel_init_default(reel_tensor *weight, reel_tensor *bias, reel_generator *generator);

REEL_END

#endif
