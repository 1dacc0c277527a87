// SPDX-License-Identifier: MIT
// Normalisation: over a batch, a layer, groups of channels, one channel, neighbouring channels, or by a vector norm.
#ifndef REEL_OPS_NORM_H
#define REEL_OPS_NORM_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* eps: added to the variance; 0 means 1e-5 (rms_norm: the machine epsilon of the dtype). */
typedef struct reel_norm_opts {
    double eps;
} reel_norm_opts;

typedef struct reel_batch_norm_opts {
    bool training;   /* use the batch's own statistics and update the running ones; default: use the running ones */
    double momentum; /* weight of the batch in the running statistics; 0 means 0.1, negative: they stay as they are */
    double eps;      /* added to the variance; 0 means 1e-5 */
} reel_batch_norm_opts;

/* y = (x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c for each channel c (Ioffe & Szegedy 2015).
 * input: [N, C, ...]; running_mean, running_var, weight, bias: [C], each may be NULL -> input's shape.
 * In training mean and (biased) variance are the batch's, over N and space, and the running statistics, where given,
 * are assigned (1 - momentum) * running + momentum * batch with the unbiased variance; they must be leaves. Otherwise
 * they are the running statistics, which must be given. Running statistics take no part in differentiation.
 * Errors: in training, one value a channel; otherwise, no running statistics. */
REEL_API reel_tensor *reel_batch_norm(reel_tensor *input, reel_tensor *running_mean, reel_tensor *running_var,
                                      reel_tensor *weight, reel_tensor *bias, const reel_batch_norm_opts *opts);

/* y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the last axes (Ba et al. 2016).
 * input: [..., *normalized_shape]; weight, bias: normalized_shape or NULL -> input's shape.
 * Errors: normalized_shape is empty or is not the tail of input's shape. */
REEL_API reel_tensor *reel_layer_norm(reel_tensor *input, reel_shape normalized_shape, reel_tensor *weight,
                                      reel_tensor *bias, const reel_norm_opts *opts);

/* y = x / sqrt(mean(x^2) + eps) * weight, the mean over the last axes (Zhang & Sennrich 2019).
 * input: [..., *normalized_shape]; weight: normalized_shape or NULL -> input's shape. */
REEL_API reel_tensor *reel_rms_norm(reel_tensor *input, reel_shape normalized_shape, reel_tensor *weight,
                                    const reel_norm_opts *opts);

/* layer_norm over each of num_groups groups of channels of a sample, and its space (Wu & He 2018).
 * input: [N, C, ...]; weight, bias: [C] or NULL -> input's shape. Error: num_groups does not divide C. */
REEL_API reel_tensor *reel_group_norm(reel_tensor *input, int64_t num_groups, reel_tensor *weight, reel_tensor *bias,
                                      const reel_norm_opts *opts);

typedef struct reel_instance_norm_opts {
    bool use_running_stats; /* instead of the input's own (PyTorch's use_input_stats = false) */
    double momentum;        /* 0 means 0.1, negative: the running statistics stay as they are */
    double eps;             /* 0 means 1e-5 */
} reel_instance_norm_opts;

/* y = (x - mean_nc) / sqrt(var_nc + eps) * weight_c + bias_c, over each channel of each sample (Ulyanov et al. 2016).
 * input: [N, C, ...]; running_mean, running_var, weight, bias: [C], each may be NULL -> input's shape. Running
 * statistics, where given, take in the mean over N of each sample's. Error: one value a channel. */
REEL_API reel_tensor *reel_instance_norm(reel_tensor *input, reel_tensor *running_mean, reel_tensor *running_var,
                                         reel_tensor *weight, reel_tensor *bias, const reel_instance_norm_opts *opts);

typedef struct reel_local_response_norm_opts {
    double alpha; /* 0 means 1e-4 */
    double beta;  /* 0 means 0.75 */
    double k;     /* 0 means 1    */
} reel_local_response_norm_opts;

/* y_c = x_c / (k + alpha / size * sum of x_j^2)^beta over the channels j in [c - size / 2, c + (size - 1) / 2], those
 * outside counting as zeros (Krizhevsky et al. 2012). input: [N, C, L, ...] -> the same. Error: size < 1. */
REEL_API reel_tensor *reel_local_response_norm(reel_tensor *input, int64_t size,
                                               const reel_local_response_norm_opts *opts);

typedef struct reel_normalize_opts {
    double p;   /* 0 means 2     */
    double eps; /* 0 means 1e-12 */
} reel_normalize_opts;

/* y = x / max(||x||_p, eps), the norm along axis `dim`. -> input's shape */
REEL_API reel_tensor *reel_normalize(reel_tensor *input, int dim, const reel_normalize_opts *opts);

REEL_END

#endif
