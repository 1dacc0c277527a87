// SPDX-License-Identifier: MIT
// Layers: thin structs of parameters over ops, named and initialised as PyTorch's.
#include <math.h>
#include <reel/nn/init.h>
#include <reel/nn/layers.h>
#include <reel/ops/dropout.h>
#include <reel/ops/index.h>
#include <reel/ops/matmul.h>
#include <reel/ops/norm.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/recurrent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256

/* "layer.part" into `text`; just "part" for a layer without a name. */
static bool join(reel_module *module, const char *layer, const char *part, char text[NAME_BYTES])
{
    bool named = layer && *layer;
    int length = snprintf(text, NAME_BYTES, "%s%s%s", named ? layer : "", named ? "." : "", part);
    if (length < NAME_BYTES) return true;
    return reel_fail(reel_module_ctx(module), REEL_ERROR_VALUE, "module: the layer's name \"%.40s...\" is too long",
                     layer);
}

static reel_tensor *parameter(reel_module *module, const char *layer, const char *part, reel_shape shape)
{
    char name[NAME_BYTES];
    return module && join(module, layer, part, name) ? reel_module_parameter(module, name, shape) : NULL;
}

static reel_tensor *filled(reel_module *module, const char *layer, const char *part, int64_t n, double value)
{
    reel_tensor *x = parameter(module, layer, part, REEL_SHAPE(n));
    return x && value != 0 ? reel_init_constant(x, value) : x;
}

static reel_tensor *buffer(reel_module *module, const char *layer, const char *part, reel_shape shape, reel_dtype dtype,
                           double value)
{
    char name[NAME_BYTES];
    return module && join(module, layer, part, name) ? reel_module_buffer(module, name, shape, dtype, value) : NULL;
}

/* What a forward gives where there is no layer (NULL), or one whose make has failed. */
static reel_tensor *no_layer(const char *op, const reel_tensor *x)
{
    return reel_fail(reel_ctx_of(x), REEL_ERROR_CONTEXT, "%s: the layer is missing (NULL), or was not made", op);
}

/* Linear */

reel_linear_layer reel_linear_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                   const reel_linear_layer_opts *opts)
{
    reel_linear_layer layer = { .weight = parameter(module, name, "weight", REEL_SHAPE(out, in)) };
    if (!opts || !opts->no_bias) layer.bias = parameter(module, name, "bias", REEL_SHAPE(out));
    if (layer.weight) reel_init_default(layer.weight, layer.bias, reel_module_generator(module));
    return layer;
}

reel_tensor *reel_linear_forward(const reel_linear_layer *layer, reel_tensor *x)
{
    return layer && layer->weight ? reel_linear(x, layer->weight, layer->bias) : no_layer("linear", x);
}

/* Convolution */

static reel_conv_layer make_conv(reel_module *module, const char *name, int64_t in, int64_t out, int64_t kernel,
                                 const reel_conv_layer_opts *opts, int spatial, bool transposed)
{
    static const reel_conv_layer_opts defaults;
    if (!opts) opts = &defaults;
    reel_conv_layer layer = { .opts = opts->conv, .spatial = spatial, .transposed = transposed };
    int64_t groups = opts->conv.groups ? opts->conv.groups : 1;
    if (!module || reel_ctx_error(reel_module_ctx(module))) return layer;
    if (groups < 1 || in % groups != 0 || out % groups != 0) {
        reel_fail(reel_module_ctx(module), REEL_ERROR_VALUE,
                  "convolution layer \"%s\": %lld channels in and %lld out cannot be cut into %lld groups", name ? name : "",
                  (long long)in, (long long)out, (long long)groups);
        return layer;
    }
    reel_shape shape = { .ndim = 2 + spatial, .dim = { out, in / groups } };
    if (transposed) {
        shape.dim[0] = in;
        shape.dim[1] = out / groups;
    }
    for (int i = 0; i < spatial; i++) shape.dim[2 + i] = opts->kernel[i] ? opts->kernel[i] : kernel;
    layer.weight = parameter(module, name, "weight", shape);
    if (!opts->no_bias) layer.bias = parameter(module, name, "bias", REEL_SHAPE(out));
    if (layer.weight) reel_init_default(layer.weight, layer.bias, reel_module_generator(module));
    return layer;
}

reel_conv_layer reel_conv1d_make(reel_module *module, const char *name, int64_t in, int64_t out, int64_t kernel,
                                 const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 1, false);
}

reel_conv_layer reel_conv2d_make(reel_module *module, const char *name, int64_t in, int64_t out, int64_t kernel,
                                 const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 2, false);
}

reel_conv_layer reel_conv3d_make(reel_module *module, const char *name, int64_t in, int64_t out, int64_t kernel,
                                 const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 3, false);
}

reel_conv_layer reel_conv_transpose1d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                           int64_t kernel, const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 1, true);
}

reel_conv_layer reel_conv_transpose2d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                           int64_t kernel, const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 2, true);
}

reel_conv_layer reel_conv_transpose3d_make(reel_module *module, const char *name, int64_t in, int64_t out,
                                           int64_t kernel, const reel_conv_layer_opts *opts)
{
    return make_conv(module, name, in, out, kernel, opts, 3, true);
}

reel_tensor *reel_conv_forward(const reel_conv_layer *layer, reel_tensor *x)
{
    typedef reel_tensor *conv_fn(reel_tensor *, reel_tensor *, reel_tensor *, const reel_conv_opts *);
    static conv_fn *const forward[2][3] = { { reel_conv1d, reel_conv2d, reel_conv3d },
                                            { reel_conv_transpose1d, reel_conv_transpose2d, reel_conv_transpose3d } };
    if (!layer || !layer->weight) return no_layer("conv", x);
    if (layer->spatial < 1 || layer->spatial > 3)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "conv: the layer has %d spatial axes, not 1 to 3", layer->spatial);
    return forward[layer->transposed][layer->spatial - 1](x, layer->weight, layer->bias, &layer->opts);
}

/* Normalisation */

reel_batch_norm_layer reel_batch_norm_make(reel_module *module, const char *name, int64_t channels,
                                           const reel_batch_norm_layer_opts *opts)
{
    reel_batch_norm_layer layer = { .module = module };
    if (opts) {
        layer.momentum = opts->momentum;
        layer.eps = opts->eps;
    }
    if (!opts || !opts->no_affine) {
        layer.weight = filled(module, name, "weight", channels, 1);
        layer.bias = filled(module, name, "bias", channels, 0);
    }
    reel_dtype dtype = reel_module_dtype(module);
    layer.running_mean = buffer(module, name, "running_mean", REEL_SHAPE(channels), dtype, 0);
    layer.running_var = buffer(module, name, "running_var", REEL_SHAPE(channels), dtype, 1);
    layer.num_batches_tracked = buffer(module, name, "num_batches_tracked", REEL_SCALAR, REEL_I64, 0);
    return layer;
}

reel_tensor *reel_batch_norm_forward(const reel_batch_norm_layer *layer, reel_tensor *x)
{
    if (!layer || !layer->num_batches_tracked) return no_layer("batch_norm", x);
    bool training = reel_module_training(layer->module);
    reel_batch_norm_opts opts = { .training = training, .momentum = layer->momentum, .eps = layer->eps };
    reel_tensor *y = reel_batch_norm(x, layer->running_mean, layer->running_var, layer->weight, layer->bias, &opts);
    if (y && training) {
        reel_tensor *count = reel_add_scalar(layer->num_batches_tracked, 1);
        if (!reel_assign(layer->num_batches_tracked, count)) return NULL;
        reel_free(count);
    }
    return y;
}

reel_layer_norm_layer reel_layer_norm_make(reel_module *module, const char *name, reel_shape shape,
                                           const reel_layer_norm_layer_opts *opts)
{
    static const reel_layer_norm_layer_opts defaults;
    if (!opts) opts = &defaults;
    reel_layer_norm_layer layer = { .shape = shape, .eps = opts->eps };
    if (opts->no_affine) return layer;
    layer.weight = parameter(module, name, "weight", shape);
    reel_init_constant(layer.weight, 1);
    if (!opts->no_bias) layer.bias = parameter(module, name, "bias", shape);
    return layer;
}

reel_tensor *reel_layer_norm_forward(const reel_layer_norm_layer *layer, reel_tensor *x)
{
    if (!layer) return no_layer("layer_norm", x);
    return reel_layer_norm(x, layer->shape, layer->weight, layer->bias, &(reel_norm_opts) { .eps = layer->eps });
}

reel_group_norm_layer reel_group_norm_make(reel_module *module, const char *name, int64_t groups, int64_t channels,
                                           const reel_layer_norm_layer_opts *opts)
{
    static const reel_layer_norm_layer_opts defaults;
    if (!opts) opts = &defaults;
    reel_group_norm_layer layer = { .groups = groups, .eps = opts->eps };
    if (groups < 1 || channels % groups != 0) {
        reel_fail(reel_module_ctx(module), REEL_ERROR_VALUE,
                  "group norm \"%s\": %lld channels cannot be cut into %lld groups", name ? name : "",
                  (long long)channels, (long long)groups);
        return layer;
    }
    if (opts->no_affine) return layer;
    layer.weight = filled(module, name, "weight", channels, 1);
    if (!opts->no_bias) layer.bias = filled(module, name, "bias", channels, 0);
    return layer;
}

reel_tensor *reel_group_norm_forward(const reel_group_norm_layer *layer, reel_tensor *x)
{
    if (!layer) return no_layer("group_norm", x);
    return reel_group_norm(x, layer->groups, layer->weight, layer->bias, &(reel_norm_opts) { .eps = layer->eps });
}

/* Embedding */

static bool clear_row(reel_tensor *weight, int64_t row)
{
    size_t size = reel_dtype_size(reel_dtype_of(weight)), bytes = (size_t)reel_numel(weight) * size;
    size_t row_bytes = (size_t)reel_size(weight, 1) * size;
    char *copy = malloc(bytes ? bytes : 1);
    if (!copy) return reel_fail(reel_ctx_of(weight), REEL_ERROR_MEMORY, "no memory for an embedding");
    bool ok = reel_copy_out(weight, copy, bytes);
    if (ok) {
        memset(copy + (size_t)row * row_bytes, 0, row_bytes);
        ok = reel_set_data(weight, copy, bytes);
    }
    free(copy);
    return ok;
}

reel_embedding_layer reel_embedding_make(reel_module *module, const char *name, int64_t rows, int64_t width,
                                         int64_t padding_row)
{
    reel_embedding_layer layer = { .padding_row = padding_row };
    if (padding_row < 0 || padding_row > rows) {
        reel_fail(reel_module_ctx(module), REEL_ERROR_VALUE,
                  "embedding layer \"%s\": padding_row %lld is not 0 (none) to %lld", name ? name : "", (long long)padding_row,
                  (long long)rows);
        return layer;
    }
    layer.weight = parameter(module, name, "weight", REEL_SHAPE(rows, width));
    if (layer.weight && reel_init_normal(layer.weight, 0, 1, reel_module_generator(module)) && padding_row) {
        clear_row(layer.weight, padding_row - 1);
    }
    return layer;
}

reel_tensor *reel_embedding_forward(const reel_embedding_layer *layer, reel_tensor *index)
{
    if (!layer || !layer->weight) return no_layer("embedding", index);
    reel_embedding_opts opts = { .has_padding_idx = layer->padding_row > 0, .padding_idx = layer->padding_row - 1 };
    return reel_embedding(index, layer->weight, &opts);
}

/* Dropout */

reel_dropout_layer reel_dropout_make(const reel_module *module, double p, bool channels)
{
    return (reel_dropout_layer) { module, p, channels };
}

reel_tensor *reel_dropout_forward(const reel_dropout_layer *layer, reel_tensor *x)
{
    if (!layer) return no_layer("dropout", x);
    bool training = reel_module_training(layer->module);
    reel_generator *generator = reel_module_generator(layer->module);
    if (!layer->channels) return reel_dropout(x, layer->p, training, generator);
    switch (reel_ndim(x)) {
    case 5: return reel_dropout3d(x, layer->p, training, generator);
    case 4: return reel_dropout2d(x, layer->p, training, generator);
    default: return reel_dropout1d(x, layer->p, training, generator);
    }
}

/* Recurrent cells */

static reel_cell_layer make_cell(reel_module *module, const char *name, int64_t in, int64_t hidden, int64_t gates,
                                 const reel_linear_layer_opts *opts)
{
    reel_cell_layer cell = { .hidden = hidden };
    int64_t rows;
    if (hidden < 1 || __builtin_mul_overflow(hidden, gates, &rows)) {
        reel_fail(reel_module_ctx(module), REEL_ERROR_VALUE, "recurrent cell \"%s\": a hidden size of %lld", name ? name : "",
                  (long long)hidden);
        return cell;
    }
    cell.weight_ih = parameter(module, name, "weight_ih", REEL_SHAPE(rows, in));
    cell.weight_hh = parameter(module, name, "weight_hh", REEL_SHAPE(rows, hidden));
    if (!opts || !opts->no_bias) {
        cell.bias_ih = parameter(module, name, "bias_ih", REEL_SHAPE(rows));
        cell.bias_hh = parameter(module, name, "bias_hh", REEL_SHAPE(rows));
    }
    double bound = 1 / sqrt((double)hidden);
    reel_tensor *const all[] = { cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh };
    for (int i = 0; i < 4; i++) reel_init_uniform(all[i], -bound, bound, reel_module_generator(module));
    return cell;
}

reel_cell_layer reel_rnn_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                   const reel_linear_layer_opts *opts)
{
    return make_cell(module, name, in, hidden, 1, opts);
}

reel_cell_layer reel_lstm_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                    const reel_linear_layer_opts *opts)
{
    return make_cell(module, name, in, hidden, 4, opts);
}

reel_cell_layer reel_gru_cell_make(reel_module *module, const char *name, int64_t in, int64_t hidden,
                                   const reel_linear_layer_opts *opts)
{
    return make_cell(module, name, in, hidden, 3, opts);
}

/* The state, or zeros [..., hidden] of x's leading axes. */
static reel_tensor *state_or_zeros(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *state)
{
    if (state || !x) return state;
    reel_shape shape = reel_shape_of(x);
    if (shape.ndim < 1) shape.ndim = 1;
    shape.dim[shape.ndim - 1] = cell->hidden;
    return reel_zeros(reel_ctx_of(x), shape, reel_dtype_of(x));
}

reel_tensor *reel_rnn_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h)
{
    if (!cell || !cell->weight_ih) return no_layer("rnn_cell", x);
    return reel_rnn_cell(x, state_or_zeros(cell, x, h), cell->weight_ih, cell->weight_hh, cell->bias_ih, cell->bias_hh);
}

reel_tensor *reel_gru_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h)
{
    if (!cell || !cell->weight_ih) return no_layer("gru_cell", x);
    return reel_gru_cell(x, state_or_zeros(cell, x, h), cell->weight_ih, cell->weight_hh, cell->bias_ih, cell->bias_hh);
}

reel_tensor *reel_lstm_cell_forward(const reel_cell_layer *cell, reel_tensor *x, reel_tensor *h, reel_tensor *c,
                                    reel_tensor **c_next)
{
    if (!cell || !cell->weight_ih) return no_layer("lstm_cell", x);
    return reel_lstm_cell(x, state_or_zeros(cell, x, h), state_or_zeros(cell, x, c), cell->weight_ih, cell->weight_hh,
                          cell->bias_ih, cell->bias_hh, c_next);
}
