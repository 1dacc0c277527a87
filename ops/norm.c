// SPDX-License-Identifier: MIT
// Normalisation: the public functions, local response normalisation, and the table's rows.
#include <reel/ops/norm.h>

#include "norm_primitive.h"

#include <reel/core/autograd.h>
#include <reel/core/operands.h>
#include <reel/ops/kernels/norm.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>

#include <float.h>
#include <math.h>

/* ---- Batch and instance ---- */

static bool check_running(reel_ctx *ctx, const char *op, const char *name, reel_tensor *running, reel_tensor *input)
{
    if (!running) return true;
    char has[REEL_SHAPE_TEXT];
    if (reel_ndim(running) == 1 && reel_size(running, 0) == reel_size(input, 1) &&
        reel_dtype_of(running) == reel_dtype_of(input))
        return true;
    reel_fail(ctx, REEL_ERROR_SHAPE, "%s: %s is %s %s, but must be %s [%lld], one value a channel", op, name,
              reel_dtype_name(reel_dtype_of(running)), reel_shape_format(reel_shape_of(running), has),
              reel_dtype_name(reel_dtype_of(input)), (long long)reel_size(input, 1));
    return false;
}

/* running = (1 - momentum) running + momentum factor mean_n(statistic), statistic: [1 or N, C, 1, 1]. */
static void update_running(reel_tensor *running, reel_tensor *statistic, double momentum, double factor)
{
    if (!running) return;
    reel_tensor *temporary[4] = { NULL };
    temporary[0] = reel_reshape(statistic, REEL_SHAPE(reel_size(statistic, 0), reel_size(statistic, 1)));
    temporary[1] = reel_mean(temporary[0], REEL_DIMS(0), false);
    temporary[2] = reel_mul_scalar(temporary[1], factor);
    temporary[3] = reel_lerp_scalar(running, temporary[2], momentum);
    reel_assign(running, temporary[3]);
    for (int i = 0; i < 4; i++)
        if (temporary[i] != running) reel_free(temporary[i]);
}

/* Both norms: by the input's own statistics, which then move the running ones, or by the running ones. Exact numbers,
 * where the public functions read 0 as a default. */
static reel_tensor *channel_norm(const char *name, bool batch, reel_tensor *input, reel_tensor *running_mean,
                                 reel_tensor *running_var, reel_tensor *weight, reel_tensor *bias, bool own,
                                 double momentum, double eps)
{
    if (!input) return REEL_OPERANDS(name, input, running_mean, running_var, weight, bias), NULL;
    reel_shape shape = reel_shape_of(input);
    if (batch && shape.ndim == 1 && shape.dim[0] == 0) { // PyTorch takes an empty vector for no samples of no channels
        reel_tensor *y = NULL;
        REEL_COMPOSITE(reel_ctx_of(input))
        {
            y = channel_norm(name, true, reel_reshape(input, REEL_SHAPE(0, 0)), running_mean, running_var, weight, bias,
                             own, momentum, eps);
            y = reel_scope_return(reel_reshape(y, shape));
        }
        return y;
    }
    norm_attrs attrs;
    __builtin_memset(&attrs, 0, sizeof attrs);
    attrs.eps = eps;
    attrs.kind = !own ? NORM_RUNNING : batch ? NORM_BATCH : NORM_INSTANCE;
    if (!own) {
        REEL_NO_GRAD(reel_ctx_of(input))
        {
            running_mean = running_mean ? reel_detach(running_mean) : NULL;
            running_var = running_var ? reel_detach(running_var) : NULL;
        }
        reel_tensor *in[5] = { input, running_mean, running_var, weight, bias };
        reel_tensor *y =
            reel_apply(batch ? &reel_op_batch_norm_running : &reel_op_instance_norm_running, in, 5, &attrs, NULL);
        reel_free(running_mean);
        reel_free(running_var);
        return y;
    }
    const reel_op *op = batch ? &reel_op_batch_norm : &reel_op_instance_norm;
    reel_tensor *in[3] = { input, weight, bias };
    if ((!running_mean && !running_var) || momentum < 0) return reel_apply(op, in, 3, &attrs, NULL);

    reel_ctx *ctx = reel_ctx_of(input);
    reel_tensor *out[REEL_MAX_OUTPUTS];
    if (reel_ndim(input) >= 2 && (!check_running(ctx, name, "running_mean", running_mean, input) ||
                                  !check_running(ctx, name, "running_var", running_var, input)))
        return NULL;
    if (!reel_apply(op, in, 3, &attrs, out)) return NULL;
    norm_geometry geometry = reel_norm_geometry(&attrs, reel_shape_of(input));
    double count = (double)reel_norm_count(&geometry);
    if (reel_numel(input) > 0) {
        REEL_NO_GRAD(ctx)
        {
            update_running(running_mean, out[1], momentum, 1);
            update_running(running_var, out[2], momentum, count / (count - 1));
        }
    }
    reel_free(out[1]);
    reel_free(out[2]);
    return reel_ctx_error(ctx) ? NULL : out[0];
}

static double or_default(double value, double fallback) { return value == 0 ? fallback : value; }

reel_tensor *reel_batch_norm(reel_tensor *input, reel_tensor *running_mean, reel_tensor *running_var,
                             reel_tensor *weight, reel_tensor *bias, const reel_batch_norm_opts *opts)
{
    reel_batch_norm_opts o = opts ? *opts : (reel_batch_norm_opts) { 0 };
    return channel_norm("batch_norm", true, input, running_mean, running_var, weight, bias, o.training,
                        or_default(o.momentum, 0.1), or_default(o.eps, 1e-5));
}

reel_tensor *reel_instance_norm(reel_tensor *input, reel_tensor *running_mean, reel_tensor *running_var,
                                reel_tensor *weight, reel_tensor *bias, const reel_instance_norm_opts *opts)
{
    reel_instance_norm_opts o = opts ? *opts : (reel_instance_norm_opts) { 0 };
    return channel_norm("instance_norm", false, input, running_mean, running_var, weight, bias, !o.use_running_stats,
                        or_default(o.momentum, 0.1), or_default(o.eps, 1e-5));
}

/* ---- Rows ---- */

static reel_tensor *row_norm(const reel_op *op, norm_kind kind, reel_tensor *input, reel_shape normalized_shape,
                             int64_t groups, reel_tensor *weight, reel_tensor *bias, double eps)
{
    norm_attrs attrs;
    __builtin_memset(&attrs, 0, sizeof attrs);
    attrs.eps = eps;
    attrs.groups = groups;
    attrs.kind = kind;
    attrs.normalized_shape.ndim = normalized_shape.ndim;
    for (int d = 0; d < normalized_shape.ndim && d < REEL_MAX_DIMS; d++)
        attrs.normalized_shape.dim[d] = normalized_shape.dim[d];
    reel_tensor *in[3] = { input, weight, bias };
    return reel_apply(op, in, 3, &attrs, NULL);
}

reel_tensor *reel_layer_norm(reel_tensor *input, reel_shape normalized_shape, reel_tensor *weight, reel_tensor *bias,
                             const reel_norm_opts *opts)
{
    return row_norm(&reel_op_layer_norm, NORM_LAYER, input, normalized_shape, 0, weight, bias,
                    or_default(opts ? opts->eps : 0, 1e-5));
}

static double machine_epsilon(const reel_tensor *x) { return reel_dtype_of(x) == REEL_F64 ? DBL_EPSILON : FLT_EPSILON; }

reel_tensor *reel_rms_norm(reel_tensor *input, reel_shape normalized_shape, reel_tensor *weight,
                           const reel_norm_opts *opts)
{
    return row_norm(&reel_op_rms_norm, NORM_RMS, input, normalized_shape, 0, weight, NULL,
                    or_default(opts ? opts->eps : 0, machine_epsilon(input)));
}

reel_tensor *reel_group_norm(reel_tensor *input, int64_t num_groups, reel_tensor *weight, reel_tensor *bias,
                             const reel_norm_opts *opts)
{
    return row_norm(&reel_op_group_norm, NORM_GROUP, input, REEL_SCALAR, num_groups, weight, bias,
                    or_default(opts ? opts->eps : 0, 1e-5));
}

/* ---- Local response ---- */

typedef struct window_attrs {
    int64_t before, after;
} window_attrs;

typedef struct window_job {
    const reel_norm_fns *fns;
    const reel_buffer *x, *y;
    int64_t channels, inner;
    window_attrs window;
} window_job;

static void window_task(void *arg, int64_t n, int worker)
{
    const window_job *job = arg;
    size_t at = (size_t)(n * job->channels * job->inner) * reel_dtype_size(job->x->dtype);
    (void)worker;
    job->fns->window_sum(job->channels, job->inner, job->window.before, job->window.after,
                         (const char *)job->x->data + at, (char *)job->y->data + at);
}

static bool play_window(const reel_play *play)
{
    const reel_buffer *x = &play->in[0];
    if (x->numel == 0) return true;
    window_job job = { .fns = reel_norm_fns_of(play->exec->isa, x->dtype),
                       .x = x,
                       .y = &play->out[0],
                       .channels = x->shape[1],
                       .inner = x->numel / (x->shape[0] * x->shape[1]),
                       .window = *(const window_attrs *)play->attrs };
    reel_parallel(play->exec, x->shape[0], window_task, &job);
    return true;
}

extern const reel_op reel_op_channel_window_sum;

static bool vjp_window(reel_vjp *vjp)
{
    const window_attrs *attrs = vjp->attrs;
    window_attrs mirrored = { attrs->after, attrs->before };
    vjp->grad[0] = reel_apply(&reel_op_channel_window_sum, vjp->cot, 1, &mirrored, NULL);
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_channel_window_sum = {
    .name = "channel_window_sum",
    .infer = reel_infer_same,
    .play = play_window,
    .vjp = vjp_window,
    .attrs_size = sizeof(window_attrs),
};

static reel_tensor *local_response_norm(reel_tensor *input, int64_t size, double alpha, double beta, double k)
{
    if (!input) return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    char has[REEL_SHAPE_TEXT];
    if (reel_ndim(input) < 3 || !reel_dtype_is_float(reel_dtype_of(input)))
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "local_response_norm: input is %s %s, but must be floating point [N, C, L, ...]",
                         reel_dtype_name(reel_dtype_of(input)), reel_shape_format(reel_shape_of(input), has));
    if (size < 1)
        return reel_fail(ctx, REEL_ERROR_VALUE, "local_response_norm: size is %lld, but must be at least 1",
                         (long long)size);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        window_attrs window = { size / 2, (size - 1) / 2 };
        reel_tensor *squares = reel_square(input);
        reel_tensor *sum = squares ? reel_apply(&reel_op_channel_window_sum, &squares, 1, &window, NULL) : NULL;
        reel_tensor *base = reel_add_scalar(reel_mul_scalar(sum, alpha / (double)size), k);
        y = reel_scope_return(reel_div(input, reel_pow_scalar(base, beta)));
    }
    return y;
}

reel_tensor *reel_local_response_norm(reel_tensor *input, int64_t size, const reel_local_response_norm_opts *opts)
{
    reel_local_response_norm_opts o = opts ? *opts : (reel_local_response_norm_opts) { 0 };
    return local_response_norm(input, size, or_default(o.alpha, 1e-4), or_default(o.beta, 0.75), or_default(o.k, 1));
}

/* ---- Vector norm ---- */

static reel_tensor *normalize(reel_tensor *input, double p, int dim, double eps)
{
    if (!input) return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    int ndim = reel_ndim(input) > 0 ? reel_ndim(input) : 1;
    if (dim < -ndim || dim >= ndim)
        return reel_fail(ctx, REEL_ERROR_VALUE, "normalize: dim is %d, but input has %d axes", dim, reel_ndim(input));
    if (!reel_dtype_is_float(reel_dtype_of(input)))
        return reel_fail(ctx, REEL_ERROR_DTYPE, "normalize: input is %s, but must be float32 or float64",
                         reel_dtype_name(reel_dtype_of(input)));
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_dims dims = reel_ndim(input) > 0 ? REEL_DIMS(dim) : REEL_ALL_DIMS;
        reel_tensor *norm = reel_clamp(reel_norm(input, p, dims, true), eps, INFINITY);
        y = reel_scope_return(reel_div(input, norm));
    }
    return y;
}

reel_tensor *reel_normalize(reel_tensor *input, int dim, const reel_normalize_opts *opts)
{
    reel_normalize_opts o = opts ? *opts : (reel_normalize_opts) { 0 };
    return normalize(input, or_default(o.p, 2), dim, or_default(o.eps, 1e-12));
}

/* ---- Table rows ---- */

static bool call_channel_norm(reel_call_args *args, bool batch)
{
    bool own = reel_args_bool(args, batch ? "training" : "use_input_stats");
    return reel_args_return(args, channel_norm(batch ? "batch_norm" : "instance_norm", batch, reel_args_input(args, 0),
                                               reel_args_input(args, 1), reel_args_input(args, 2),
                                               reel_args_input(args, 3), reel_args_input(args, 4), own,
                                               reel_args_float(args, "momentum"), reel_args_float(args, "eps")));
}

static bool call_batch_norm(reel_call_args *args) { return call_channel_norm(args, true); }
static bool call_instance_norm(reel_call_args *args) { return call_channel_norm(args, false); }

const reel_function reel_fn_batch_norm = {
    .name = "batch_norm",
    .inputs = "input running_mean? running_var? weight? bias?",
    .attrs = "training:bool=false momentum:float=0.1 eps:float=1e-5",
    .call = call_batch_norm,
    .formula = "(x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c, over N and space",
    .shapes = "input: [N, C, ...]; running_mean, running_var, weight, bias: [C] -> [N, C, ...]",
    .errors = "training on one value a channel; running statistics missing without training; statistics, weight or "
              "bias of another shape or dtype; eps not finite; an input that is not float32 or float64",
    .orders = -1,
};

const reel_function reel_fn_instance_norm = {
    .name = "instance_norm",
    .inputs = "input running_mean? running_var? weight? bias?",
    .attrs = "use_input_stats:bool=true momentum:float=0.1 eps:float=1e-5",
    .call = call_instance_norm,
    .formula = "(x - mean_nc) / sqrt(var_nc + eps) * weight_c + bias_c, over space",
    .shapes = "input: [N, C, ...]; running_mean, running_var, weight, bias: [C] -> [N, C, ...]",
    .errors = "one value an instance and channel; running statistics missing without use_input_stats; statistics, "
              "weight or bias of another shape or dtype; eps not finite; an input that is not float32 or float64",
    .orders = -1,
};

static bool args_shape(reel_call_args *args, const char *name, reel_shape *shape)
{
    shape->ndim = reel_args_ints(args, name, shape->dim, REEL_MAX_DIMS);
    return shape->ndim >= 0;
}

static bool call_layer_norm(reel_call_args *args)
{
    reel_shape shape = { 0 };
    if (!args_shape(args, "normalized_shape", &shape)) return false;
    return reel_args_return(args,
                            row_norm(&reel_op_layer_norm, NORM_LAYER, reel_args_input(args, 0), shape, 0,
                                     reel_args_input(args, 1), reel_args_input(args, 2), reel_args_float(args, "eps")));
}

const reel_function reel_fn_layer_norm = {
    .name = "layer_norm",
    .inputs = "input weight? bias?",
    .attrs = "normalized_shape:ints eps:float=1e-5",
    .call = call_layer_norm,
    .formula = "(x - mean) / sqrt(var + eps) * weight + bias, over the last axes",
    .shapes = "input: [..., *normalized_shape]; weight, bias: normalized_shape -> input's",
    .errors = "a normalized_shape that is not the end of input's shape; weight or bias of another shape or dtype; eps "
              "not finite; an input that is not float32 or float64",
    .orders = -1,
};

static bool call_rms_norm(reel_call_args *args)
{
    reel_shape shape = { 0 };
    if (!args_shape(args, "normalized_shape", &shape)) return false;
    double eps = reel_args_has(args, "eps") ? reel_args_float(args, "eps") : machine_epsilon(reel_args_input(args, 0));
    return reel_args_return(args, row_norm(&reel_op_rms_norm, NORM_RMS, reel_args_input(args, 0), shape, 0,
                                           reel_args_input(args, 1), NULL, eps));
}

const reel_function reel_fn_rms_norm = {
    .name = "rms_norm",
    .inputs = "input weight?",
    .attrs = "normalized_shape:ints eps:float=none",
    .call = call_rms_norm,
    .formula = "x / sqrt(mean(x^2) + eps) * weight, over the last axes",
    .shapes = "input: [..., *normalized_shape]; weight: normalized_shape -> input's",
    .errors = "a normalized_shape that is not the end of input's shape; weight or bias of another shape or dtype; eps "
              "not finite; an input that is not float32 or float64",
    .orders = -1,
};

static bool call_group_norm(reel_call_args *args)
{
    return reel_args_return(args, row_norm(&reel_op_group_norm, NORM_GROUP, reel_args_input(args, 0), REEL_SCALAR,
                                           reel_args_int(args, "num_groups"), reel_args_input(args, 1),
                                           reel_args_input(args, 2), reel_args_float(args, "eps")));
}

const reel_function reel_fn_group_norm = {
    .name = "group_norm",
    .inputs = "input weight? bias?",
    .attrs = "num_groups:int=1 eps:float=1e-5",
    .call = call_group_norm,
    .formula = "(x - mean_ng) / sqrt(var_ng + eps) * weight_c + bias_c, over a group's channels and space",
    .shapes = "input: [N, C, ...]; weight, bias: [C] -> [N, C, ...]",
    .errors = "channels that num_groups does not divide; weight or bias of another shape or dtype; eps not finite; an "
              "input that is not float32 or float64",
    .orders = -1,
};

static bool call_local_response_norm(reel_call_args *args)
{
    return reel_args_return(args, local_response_norm(reel_args_input(args, 0), reel_args_int(args, "size"),
                                                      reel_args_float(args, "alpha"), reel_args_float(args, "beta"),
                                                      reel_args_float(args, "k")));
}

const reel_function reel_fn_local_response_norm = {
    .name = "local_response_norm",
    .inputs = "input",
    .attrs = "size:int alpha:float=1e-4 beta:float=0.75 k:float=1",
    .call = call_local_response_norm,
    .formula = "x_c / (k + alpha / size * sum of x_j^2 over `size` channels around c)^beta",
    .shapes = "input: [N, C, L, ...] -> the same",
    .errors = "an input of fewer than 3 axes; size below 1; an input that is not float32 or float64",
    .orders = -1,
};

static bool call_normalize(reel_call_args *args)
{
    int64_t dim = reel_args_int(args, "dim");
    int axis = dim < -REEL_MAX_DIMS - 1 || dim > REEL_MAX_DIMS ? REEL_MAX_DIMS + 1 : (int)dim;
    return reel_args_return(
        args, normalize(reel_args_input(args, 0), reel_args_float(args, "p"), axis, reel_args_float(args, "eps")));
}

const reel_function reel_fn_normalize = {
    .name = "normalize",
    .inputs = "input",
    .attrs = "p:float=2 dim:int=1 eps:float=1e-12",
    .call = call_normalize,
    .formula = "x / max(norm_p(x), eps), the norm along dim",
    .shapes = "input: any -> the same",
    .errors = "an input that is not float32 or float64",
    .orders = -1,
};
