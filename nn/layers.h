// SPDX-License-Identifier: MIT
// Layers: thin structs of parameters over ops, named and initialised as PyTorch's.
#ifndef REEL_NN_LAYERS_H
#define REEL_NN_LAYERS_H

#include <reel/nn/module.h>
#include <reel/ops/conv.h>

REEL_BEGIN

/* reel_X_make adds the parameters "name.weight", "name.bias", ... to the module and draws them by PyTorch's default
 * rule; on error the struct holds NULL. reel_X_forward is the op on them: NULL and an error of x's context when there is no
 * layer (NULL) or it was not made. The fields are there to be used: reel_conv2d(x, layer.weight, layer.bias, &other_opts)
 * is as good. */

/* y = x W^T + b. x: [..., in]; weight: [out, in]; bias: [out]. */
typedef struct reel_linear_layer {
    reel_tensor *weight, *bias;
} reel_linear_layer;
typedef struct reel_linear_layer_opts {
    bool no_bias;
} reel_linear_layer_opts;
REEL_API reel_linear_layer reel_linear_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                            const reel_linear_layer_opts *opts);
REEL_API reel_tensor *reel_linear_forward(const reel_linear_layer *layer, reel_tensor *x);

/* Convolutions and their transposes over 1, 2 or 3 spatial axes. weight: [out, in / groups, kernel...], transposed
 * [in, out / groups, kernel...]. `kernel` is square unless opts.kernel says otherwise. */
typedef struct reel_conv_layer {
    reel_tensor *weight, *bias;
    reel_conv_opts opts;
    int spatial;
    bool transposed;
} reel_conv_layer;
typedef struct reel_conv_layer_opts {
    reel_conv_opts conv;
    int64_t kernel[3]; /* by spatial axis; 0 means `kernel` of the call */
    bool no_bias;
} reel_conv_layer_opts;
REEL_API reel_conv_layer reel_conv1d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                          int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_conv_layer reel_conv2d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                          int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_conv_layer reel_conv3d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                          int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_conv_layer reel_conv_transpose1d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                                    int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_conv_layer reel_conv_transpose2d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                                    int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_conv_layer reel_conv_transpose3d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                                    int64_t kernel, const reel_conv_layer_opts *opts);
REEL_API reel_tensor *reel_conv_forward(const reel_conv_layer *layer, reel_tensor *x);

/* Batch normalisation over [N, C, ...]: by the batch's statistics while the module trains, else by the running ones.
 * Parameters weight, bias; buffers running_mean, running_var, num_batches_tracked. */
typedef struct reel_batch_norm_layer {
    reel_module *module;
    reel_tensor *weight, *bias, *running_mean, *running_var, *num_batches_tracked;
    double momentum, eps;
} reel_batch_norm_layer;
typedef struct reel_batch_norm_layer_opts {
    double momentum; /* of the running statistics; 0 means 0.1 */
    double eps;      /* 0 means 1e-5                           */
    bool no_affine;  /* no weight and bias                     */
} reel_batch_norm_layer_opts;
REEL_API reel_batch_norm_layer reel_batch_norm_make(reel_module *module, const char *name, int64_t channels,
                                                    const reel_batch_norm_layer_opts *opts);
REEL_API reel_tensor *reel_batch_norm_forward(const reel_batch_norm_layer *layer, reel_tensor *x);

/* Normalisation over the last axes, which are `shape`. */
typedef struct reel_layer_norm_layer {
    reel_tensor *weight, *bias;
    reel_shape shape;
    double eps;
} reel_layer_norm_layer;
typedef struct reel_layer_norm_layer_opts {
    double eps; /* 0 means 1e-5 */
    bool no_affine, no_bias;
} reel_layer_norm_layer_opts;
REEL_API reel_layer_norm_layer reel_layer_norm_make(reel_module *module, const char *name, reel_shape shape,
                                                    const reel_layer_norm_layer_opts *opts);
REEL_API reel_tensor *reel_layer_norm_forward(const reel_layer_norm_layer *layer, reel_tensor *x);

/* Normalisation over groups of channels and space. */
typedef struct reel_group_norm_layer {
    reel_tensor *weight, *bias;
    int64_t groups;
    double eps;
} reel_group_norm_layer;
REEL_API reel_group_norm_layer reel_group_norm_make(reel_module *module, const char *name, int64_t groups,
                                                    int64_t channels, const reel_layer_norm_layer_opts *opts);
REEL_API reel_tensor *reel_group_norm_forward(const reel_group_norm_layer *layer, reel_tensor *x);

/* Rows of a table [rows, width] by number; drawn from N(0, 1). padding_row, when not 0, is row padding_row - 1, which
 * begins as zeros and gets no gradient. */
typedef struct reel_embedding_layer {
    reel_tensor *weight;
    int64_t padding_row;
} reel_embedding_layer;
REEL_API reel_embedding_layer reel_embedding_make(reel_module *module, const char *name, int64_t rows, int64_t width,
                                                  int64_t padding_row);
REEL_API reel_tensor *reel_embedding_forward(const reel_embedding_layer *layer, reel_tensor *index);

/* Dropout of elements, or (channels) of whole channels of [N, C, L], [N, C, H, W] or [N, C, D, H, W], while the module
 * trains. It has no parameters. */
typedef struct reel_dropout_layer {
    const reel_module *module;
    double p;
    bool channels;
} reel_dropout_layer;
REEL_API reel_dropout_layer reel_dropout_make(const reel_module *module, double p, bool channels);
REEL_API reel_tensor *reel_dropout_forward(const reel_dropout_layer *layer, reel_tensor *x);

/* Cells of recurrent networks: weight_ih [G in], weight_hh [G hidden], bias_ih, bias_hh; G = hidden times 1 (tanh), 4
 * (LSTM), 3 (GRU); all U(-1/sqrt(hidden), 1/sqrt(hidden)). */
typedef struct reel_cell_layer {
    reel_tensor *weight_ih, *weight_hh, *bias_ih, *bias_hh;
    int64_t hidden;
} reel_cell_layer;
REEL_API reel_cell_layer reel_rnn_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                            const reel_linear_layer_opts *opts);
REEL_API reel_cell_layer reel_lstm_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                             const reel_linear_layer_opts *opts);
REEL_API reel_cell_layer reel_gru_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                            const reel_linear_layer_opts *opts);
/* x: [N, in]; h, c: [N, hidden], NULL for zeros. The LSTM writes c' to *c_next. */
REEL_API reel_tensor *reel_rnn_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h);
REEL_API reel_tensor *reel_gru_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h);
REEL_API reel_tensor *reel_lstm_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h,
                                             reel_tensor *c, reel_tensor **c_next);

REEL_END

#endif
