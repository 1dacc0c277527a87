// SPDX-License-Identifier: MIT
// Losses that are entropies: cross-entropy over classes, binary cross-entropy, Kullback-Leibler divergence.
#include "loss_class.h"
#include "loss_common.h"

#include <reel/core/autograd.h>
#include <reel/ops/kernels/loss.h>
#include <reel/ops/pointwise.h>
#include <reel/core/operands.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>
#include <reel/ops/softmax.h>

#include <math.h>

/* ---- Over classes ---- */

static reel_tensor *class_loss(const reel_op *op, reel_tensor *input, reel_tensor *target, reel_tensor *weight,
                               int64_t ignore_index, double smoothing, reel_reduction reduction)
{
    if (!REEL_OPERANDS(op->name, input, target)) return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    if (!reel_loss_check_reduction(ctx, op->name, reduction)) return NULL;
    class_attrs attrs;
    __builtin_memset(&attrs, 0, sizeof attrs);
    attrs.ignore_index = ignore_index;
    attrs.smoothing = smoothing;
    attrs.reduction = (int32_t)reduction;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        if (reel_dtype_of(target) == REEL_I32 || reel_dtype_of(target) == REEL_U8) target = reel_cast(target, REEL_I64);
        reel_tensor *in[3] = { input, target, weight };
        loss = reel_scope_return(reel_apply(op, in, 3, &attrs, NULL));
    }
    return loss;
}

static reel_tensor *cross_entropy_of_probabilities(reel_tensor *input, reel_tensor *target, reel_tensor *weight,
                                                   double smoothing, reel_reduction reduction)
{
    reel_ctx *ctx = reel_ctx_of(input);
    int ndim = reel_ndim(input), axis = ndim == 1 ? 0 : 1;
    int64_t classes = reel_size(input, axis);
    char text[REEL_SHAPE_TEXT];
    if (!reel_loss_check_reduction(ctx, "cross_entropy", reduction) ||
        !reel_loss_check_pair("cross_entropy", "input", input, "target", target, true))
        return NULL;
    if (weight && (reel_ndim(weight) != 1 || reel_size(weight, 0) != classes))
        return reel_fail(ctx, REEL_ERROR_SHAPE, "cross_entropy: weight has shape %s, but there are %lld classes",
                         reel_shape_format(reel_shape_of(weight), text), (long long)classes);
    if (!(smoothing >= 0 && smoothing <= 1))
        return reel_fail(ctx, REEL_ERROR_VALUE, "cross_entropy: label_smoothing is %g, but must be in [0, 1]",
                         smoothing);
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *q = target;
        if (smoothing > 0) q = reel_add_scalar(reel_mul_scalar(q, 1 - smoothing), smoothing / (double)classes);
        if (weight) {
            reel_shape shape = { .ndim = ndim };
            for (int d = 0; d < ndim; d++) shape.dim[d] = d == axis ? classes : 1;
            q = reel_mul(q, reel_reshape(reel_detach(weight), shape));
        }
        reel_tensor *each = reel_neg(reel_sum(reel_mul(q, reel_log_softmax(input, axis)), REEL_DIMS(axis), false));
        loss = reel_scope_return(reel_loss_reduce(each, reduction));
    }
    return loss;
}

static reel_tensor *cross_entropy(reel_tensor *input, reel_tensor *target, reel_tensor *weight, int64_t ignore_index,
                                  double smoothing, reel_reduction reduction)
{
    if (!REEL_OPERANDS("cross_entropy", input, target)) return NULL;
    if (reel_dtype_is_float(reel_dtype_of(target)) && reel_ndim(input) > 0 &&
        reel_shape_equal(reel_shape_of(input), reel_shape_of(target))) {
        if (ignore_index >= 0)
            return reel_fail(reel_ctx_of(input), REEL_ERROR_VALUE,
                             "cross_entropy: ignore_index is %lld, but a target of probabilities has no classes to "
                             "ignore",
                             (long long)ignore_index);
        return cross_entropy_of_probabilities(input, target, weight, smoothing, reduction);
    }
    return class_loss(&reel_op_cross_entropy, input, target, weight, ignore_index, smoothing, reduction);
}

reel_tensor *reel_cross_entropy(reel_tensor *input, reel_tensor *target, const reel_cross_entropy_opts *opts)
{
    reel_cross_entropy_opts o = opts ? *opts : (reel_cross_entropy_opts) { 0 };
    return cross_entropy(input, target, o.weight, o.ignore ? o.ignore_index : -100, o.label_smoothing, o.reduction);
}

reel_tensor *reel_nll_loss(reel_tensor *input, reel_tensor *target, const reel_nll_loss_opts *opts)
{
    reel_nll_loss_opts o = opts ? *opts : (reel_nll_loss_opts) { 0 };
    return class_loss(&reel_op_nll_loss, input, target, o.weight, o.ignore ? o.ignore_index : -100, 0, o.reduction);
}

/* ---- Binary ---- */

typedef struct binary_job {
    const reel_play *play;
    const reel_loss_fns *fns;
    bool *outside; /* by chunk: whether an input is outside [0, 1] */
} binary_job;

#define CHUNK 32768

static void binary_task(void *arg, int64_t chunk, int worker)
{
    const binary_job *job = arg;
    const reel_play *play = job->play;
    int64_t first = chunk * CHUNK, left = play->out[0].numel - first;
    size_t at = (size_t)first * reel_dtype_size(play->out[0].dtype);
    (void)worker;
    job->outside[chunk] =
        !job->fns->binary_cross_entropy(left < CHUNK ? left : CHUNK, (const char *)play->in[0].data + at,
                                        (const char *)play->in[1].data + at, (char *)play->out[0].data + at);
}

static bool fail_outside(const reel_play *play, int64_t first)
{
    const reel_buffer *x = &play->in[0];
    for (int64_t i = first; i < x->numel; i++) {
        double value = x->dtype == REEL_F32 ? (double)((float *)x->data)[i] : ((double *)x->data)[i];
        if (value < 0 || value > 1)
            return reel_play_fail(play, REEL_ERROR_VALUE, "input is %g at element %lld, but must be in [0, 1]", value,
                                  (long long)i);
    }
    return true;
}

static bool play_binary(const reel_play *play)
{
    int64_t chunks = (play->in[0].numel + CHUNK - 1) / CHUNK;
    binary_job job = { .play = play, .fns = reel_loss_fns_of(play->exec->isa, play->in[0].dtype) };
    job.outside = reel_scratch(play->exec, (size_t)chunks + 1);
    if (!job.outside) return reel_play_out_of_memory(play);
    reel_parallel(play->exec, chunks, binary_task, &job);
    for (int64_t i = 0; i < chunks; i++)
        if (job.outside[i]) return fail_outside(play, i * CHUNK);
    return true;
}

static bool infer_binary(reel_infer *infer)
{
    const reel_tensor *input = infer->in[0], *target = infer->in[1];
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (!reel_dtype_is_float(reel_dtype_of(input)) || reel_dtype_of(input) != reel_dtype_of(target))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input and target must both be float32 or float64");
    if (!reel_shape_equal(reel_shape_of(input), reel_shape_of(target)))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input has shape %s and target has %s, which must be equal",
                               reel_shape_format(reel_shape_of(input), a), reel_shape_format(reel_shape_of(target), b));
    return reel_infer_same(infer);
}

/* g (x - t) / (x (1 - x)): the gradient by x, in one op because PyTorch holds it finite at 0 and 1 by one limit, which
 * is a float's also in float64, and its derivatives by another. */
#define EACH(T)                                                                                                        \
    {                                                                                                                  \
        const T *x = play->in[0].data, *t = play->in[1].data, *g = play->in[2].data;                                   \
        T *y = play->out[0].data;                                                                                      \
        for (int64_t i = first; i < end; i++) {                                                                        \
            T slope = (1 - x[i]) * x[i];                                                                               \
            y[i] = g[i] * (x[i] - t[i]) / (slope > (T)1e-12f ? slope : (T)1e-12f);                                     \
        }                                                                                                              \
    }
static void binary_grad_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const reel_play *play = arg;
    int64_t first = chunk * CHUNK, end = first + CHUNK < play->out[0].numel ? first + CHUNK : play->out[0].numel;
    if (play->out[0].dtype == REEL_F32)
        EACH(float)
    else
        EACH(double)
}
#undef EACH

static bool play_binary_grad(const reel_play *play)
{
    reel_parallel(play->exec, (play->out[0].numel + CHUNK - 1) / CHUNK, binary_grad_task, (void *)play);
    return true;
}

static const reel_op reel_op_binary_cross_entropy_grad;

static reel_tensor *binary_grad(reel_tensor *x, reel_tensor *t, reel_tensor *g)
{
    return reel_apply(&reel_op_binary_cross_entropy_grad, (reel_tensor *[]) { x, t, g }, 3, NULL, NULL);
}

static bool vjp_binary_grad(reel_vjp *vjp)
{
    reel_tensor *x = reel_vjp_input(vjp, 0), *t = reel_vjp_input(vjp, 1), *c = vjp->cot[0];
    reel_tensor *cg = reel_mul(c, reel_vjp_input(vjp, 2)), *y = reel_rsub_scalar(x, 1);
    reel_tensor *below = reel_mul(reel_add_scalar(x, 1e-12), reel_add_scalar(y, 1e-12));
    if (reel_vjp_wants(vjp, 0)) {
        reel_tensor *above = reel_add(reel_mul(x, reel_sub(x, reel_mul_scalar(t, 2))), t);
        vjp->grad[0] = reel_mul(cg, reel_div(above, reel_square(below)));
    }
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_neg(reel_div(cg, reel_maximum_scalar(reel_mul(x, y), 1e-12f)));
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = reel_mul(c, reel_div(reel_sub(x, t), below));
    return true;
}

static const reel_op reel_op_binary_cross_entropy_grad = {
    .name = "binary_cross_entropy_grad",
    .infer = reel_infer_same,
    .play = play_binary_grad,
    .vjp = vjp_binary_grad,
};

/* t: cot (log(1 - x) - log x), which nothing holds finite. */
static bool vjp_binary(reel_vjp *vjp)
{
    reel_tensor *x = reel_vjp_input(vjp, 0), *t = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = binary_grad(x, t, vjp->cot[0]);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_mul(vjp->cot[0], reel_sub(reel_log1p(reel_neg(x)), reel_log(x)));
    return true;
}

static const reel_op reel_op_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .infer = infer_binary,
    .play = play_binary,
    .vjp = vjp_binary,
};

static bool check_weight(const char *op, const char *name, reel_tensor *weight, reel_tensor *input)
{
    return !weight || reel_loss_check_pair(op, name, weight, "input", input, false);
}

reel_tensor *reel_binary_cross_entropy(reel_tensor *input, reel_tensor *target,
                                       const reel_binary_cross_entropy_opts *opts)
{
    if (!REEL_OPERANDS("binary_cross_entropy", input, target)) return NULL;
    reel_binary_cross_entropy_opts o = opts ? *opts : (reel_binary_cross_entropy_opts) { 0 };
    reel_ctx *ctx = reel_ctx_of(input);
    if (!reel_loss_check_reduction(ctx, "binary_cross_entropy", o.reduction) ||
        !check_weight("binary_cross_entropy", "weight", o.weight, input))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *in[2] = { input, target };
        reel_tensor *each = reel_apply(&reel_op_binary_cross_entropy, in, 2, NULL, NULL);
        if (o.weight) each = reel_mul(each, reel_detach(o.weight));
        loss = reel_scope_return(reel_loss_reduce(each, o.reduction));
    }
    return loss;
}

/* With l = log s(x) and w = 1 + (pos_weight - 1) t: (1 - t) x - w l, since log(1 - s(x)) = l - x. */
reel_tensor *reel_binary_cross_entropy_with_logits(reel_tensor *input, reel_tensor *target,
                                                   const reel_binary_cross_entropy_opts *opts)
{
    static const char op[] = "binary_cross_entropy_with_logits";
    if (!REEL_OPERANDS(op, input, target)) return NULL;
    reel_binary_cross_entropy_opts o = opts ? *opts : (reel_binary_cross_entropy_opts) { 0 };
    reel_ctx *ctx = reel_ctx_of(input);
    if (!reel_loss_check_reduction(ctx, op, o.reduction) ||
        !reel_loss_check_pair(op, "input", input, "target", target, true) ||
        !check_weight(op, "weight", o.weight, input) || !check_weight(op, "pos_weight", o.pos_weight, input))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *log_sigmoid = reel_logsigmoid(input);
        if (o.pos_weight) {
            reel_tensor *extra = reel_sub_scalar(reel_detach(o.pos_weight), 1);
            log_sigmoid = reel_mul(log_sigmoid, reel_add_scalar(reel_mul(target, extra), 1));
        }
        reel_tensor *each = reel_sub(reel_mul(reel_rsub_scalar(target, 1), input), log_sigmoid);
        if (o.weight) each = reel_mul(each, reel_detach(o.weight));
        loss = reel_scope_return(reel_loss_reduce(each, o.reduction));
    }
    return loss;
}

/* ---- Divergence ---- */

reel_tensor *reel_kl_div(reel_tensor *input, reel_tensor *target, const reel_kl_div_opts *opts)
{
    reel_kl_div_opts o = opts ? *opts : (reel_kl_div_opts) { 0 };
    if (!reel_loss_check_pair("kl_div", "input", input, "target", target, false)) return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    if (o.reduction != REEL_REDUCTION_BATCHMEAN && !reel_loss_check_reduction(ctx, "kl_div", o.reduction)) return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *each;
        if (o.log_target) {
            each = reel_mul(reel_exp(target), reel_sub(target, input));
        } else { /* t log t at 0 is 0, and so is its part of the gradient */
            reel_tensor *safe = reel_masked_fill(target, reel_eq_scalar(target, 0), 1);
            each = reel_sub(reel_mul(target, reel_log(safe)), reel_mul(target, input));
        }
        /* by input's batch, also where target is broader */
        double batch = reel_ndim(input) > 0 ? (double)reel_size(input, 0) : 1;
        bool by_batch = o.reduction == REEL_REDUCTION_BATCHMEAN;
        loss = reel_loss_reduce(each, by_batch ? REEL_REDUCTION_SUM : o.reduction);
        reel_scope_return(loss = by_batch ? reel_div_scalar(loss, batch) : loss);
    }
    return loss;
}

/* ---- Table rows ---- */

static bool call_cross_entropy(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args, cross_entropy(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_int(args, "ignore_index"),
                                                reel_args_float(args, "label_smoothing"), reduction));
}

const reel_function reel_fn_cross_entropy = {
    .name = "cross_entropy",
    .inputs = "input target weight?",
    .attrs = "ignore_index:int=-100 reduction:string=mean label_smoothing:float=0",
    .call = call_cross_entropy,
    .formula = "-sum_c q_c log softmax(input)_c, q the target's distribution",
    .shapes =
        "input: [C] or [N, C, ...]; target: classes [] or [N, ...], or probabilities of input's shape; weight: [C] "
        "-> [] (none: classes' shape)",
    .errors =
        "a class outside of [0, C) that is not ignore_index; ignore_index from 0 on with probabilities; "
        "label_smoothing outside of [0, 1]; a weight of another size or dtype; an input that is not float32 or float64",
    .orders = -1,
};

static bool call_nll_loss(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args,
                            class_loss(&reel_op_nll_loss, reel_args_input(args, 0), reel_args_input(args, 1),
                                       reel_args_input(args, 2), reel_args_int(args, "ignore_index"), 0, reduction));
}

const reel_function reel_fn_nll_loss = {
    .name = "nll_loss",
    .inputs = "input target weight?",
    .attrs = "ignore_index:int=-100 reduction:string=mean",
    .call = call_nll_loss,
    .formula = "-weight_y input_y",
    .shapes = "input: [C] or [N, C, ...]; target: [] or [N, ...]; weight: [C] -> [] (none: target's shape)",
    .errors = "a class outside of [0, C) that is not ignore_index; a weight of another size or dtype; an input that is "
              "not float32 or float64",
    .orders = -1,
};

static bool call_binary(reel_call_args *args, bool logits)
{
    reel_binary_cross_entropy_opts opts = { .weight = reel_args_input(args, 2) };
    if (!reel_loss_reduction_of(args, &opts.reduction)) return false;
    if (logits) opts.pos_weight = reel_args_input(args, 3);
    return reel_args_return(args, (logits ? reel_binary_cross_entropy_with_logits : reel_binary_cross_entropy)(
                                      reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}

static bool call_binary_cross_entropy(reel_call_args *args) { return call_binary(args, false); }
static bool call_binary_cross_entropy_with_logits(reel_call_args *args) { return call_binary(args, true); }

const reel_function reel_fn_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .inputs = "input target weight?",
    .attrs = "reduction:string=mean",
    .call = call_binary_cross_entropy,
    .formula = "-weight (target log input + (1 - target) log(1 - input)), logarithms at least -100",
    .shapes = "input, target: one shape; weight: broadcastable -> [] (none: input's shape)",
    .errors = "an input outside of [0, 1]; operands that are not float32 or float64",
    .orders = -1,
};

const reel_function reel_fn_binary_cross_entropy_with_logits = {
    .name = "binary_cross_entropy_with_logits",
    .inputs = "input target weight? pos_weight?",
    .attrs = "reduction:string=mean",
    .call = call_binary_cross_entropy_with_logits,
    .formula = "-weight (pos_weight target log s(input) + (1 - target) log(1 - s(input)))",
    .shapes = "input, target: one shape; weight, pos_weight: broadcastable -> [] (none: input's shape)",
    .errors = "operands that are not float32 or float64",
    .orders = -1,
};

static bool call_kl_div(reel_call_args *args)
{
    int reduction = reel_args_choice(args, "reduction", "mean sum none batchmean");
    if (reduction < 0) return false;
    reel_kl_div_opts opts = { .log_target = reel_args_bool(args, "log_target"),
                              .reduction = (reel_reduction)reduction };
    return reel_args_return(args, reel_kl_div(reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}

const reel_function reel_fn_kl_div = {
    .name = "kl_div",
    .inputs = "input target",
    .attrs = "reduction:string=mean log_target:bool=false",
    .call = call_kl_div,
    .formula = "target (log target - input); exp(target) (target - input) with log_target",
    .shapes = "input, target: broadcastable -> [] (none: broadcast shape)",
    .errors = "operands that are not float32 or float64",
    .orders = -1,
};
