// SPDX-License-Identifier: MIT
// Connectionist temporal classification (Graves et al. 2006), composed of differentiable ops.
#include "loss_common.h"

#include <reel/core/autograd.h>
#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/index.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <math.h>

/* log 0. Finite, so that a path of probability 0 has weight 0 and a gradient, not NaN. */
#define LOG_ZERO (-1e30)

typedef struct ctc_attrs {
    int64_t frames, batch, classes, blank;
} ctc_attrs;

/* (targets, input_lengths, target_lengths), all int64 -> for each sample the 2 S + 1 labels, blanks between and around;
 * whether a path may come to a label from the last but one; whether it may end there; and by frame, whether it is one
 * of the sample's. */
static bool infer_prepare(reel_infer *infer)
{
    const ctc_attrs *attrs = infer->attrs;
    reel_shape targets = reel_shape_of(infer->in[0]);
    char has[REEL_SHAPE_TEXT];
    if (targets.ndim < 1 || targets.ndim > 2 || (targets.ndim == 2 && targets.dim[0] != attrs->batch))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "targets has shape %s, but must be [%lld, S] or all targets end to end",
                               reel_shape_format(targets, has), (long long)attrs->batch);
    static const char *const names[] = { "input_lengths", "target_lengths" };
    for (int i = 0; i < 2; i++)
        if (reel_ndim(infer->in[1 + i]) != 1 || reel_numel(infer->in[1 + i]) != attrs->batch)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%s has shape %s, but must be [%lld]", names[i],
                                   reel_shape_format(reel_shape_of(infer->in[1 + i]), has), (long long)attrs->batch);
    if (attrs->blank < 0 || attrs->blank >= attrs->classes)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "blank is %lld, but there are %lld classes",
                               (long long)attrs->blank, (long long)attrs->classes);
    int64_t longest = targets.dim[targets.ndim - 1];
    if (longest > INT32_MAX)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "targets of %lld labels are too long", (long long)longest);
    reel_shape labels = REEL_SHAPE(attrs->batch, 2 * longest + 1);
    return reel_infer_out(infer, 0, REEL_I64, labels) && reel_infer_out(infer, 1, REEL_BOOL, labels) &&
           reel_infer_out(infer, 2, REEL_BOOL, labels) &&
           reel_infer_out(infer, 3, REEL_BOOL, REEL_SHAPE(attrs->frames, attrs->batch, 1));
}

static bool check_length(const reel_play *play, const char *name, int64_t n, int64_t length, int64_t most)
{
    if (length >= 0 && length <= most) return true;
    return reel_play_fail(play, REEL_ERROR_VALUE, "%s is %lld for sample %lld, but must be in [0, %lld]", name,
                          (long long)length, (long long)n, (long long)most);
}

static bool play_prepare(const reel_play *play)
{
    const ctc_attrs *attrs = play->attrs;
    const reel_buffer *targets = &play->in[0];
    const int64_t *input_lengths = play->in[1].data, *target_lengths = play->in[2].data;
    int64_t *labels = play->out[0].data, longest = targets->shape[targets->ndim - 1], width = 2 * longest + 1, at = 0;
    unsigned char *skips = play->out[1].data, *ends = play->out[2].data, *runs = play->out[3].data;
    for (int64_t n = 0; n < attrs->batch; n++) {
        int64_t first = targets->ndim == 2 ? n * longest : at, length = target_lengths[n];
        int64_t most = targets->ndim == 2 ? longest : longest - at;
        if (!check_length(play, "input length", n, input_lengths[n], attrs->frames) ||
            !check_length(play, "target length", n, length, most))
            return false;
        at += length;
        for (int64_t s = 0; s < width; s++) {
            int64_t label = attrs->blank;
            if (s % 2 && s / 2 < length) label = ((const int64_t *)targets->data)[first + s / 2];
            if (label < 0 || label >= attrs->classes)
                return reel_play_fail(play, REEL_ERROR_VALUE,
                                      "target is %lld at label %lld of sample %lld, but there are %lld classes",
                                      (long long)label, (long long)(s / 2), (long long)n, (long long)attrs->classes);
            labels[n * width + s] = label;
            skips[n * width + s] = s > 1 && label != attrs->blank && label != labels[n * width + s - 2];
            ends[n * width + s] = s == 2 * length || s == 2 * length - 1;
        }
        for (int64_t t = 0; t < attrs->frames; t++) runs[t * attrs->batch + n] = t < input_lengths[n];
    }
    return true;
}

static const reel_op reel_op_ctc_prepare = {
    .name = "ctc_loss",
    .infer = infer_prepare,
    .play = play_prepare,
    .attrs_size = sizeof(ctc_attrs),
};

/* The elements of the last axis moved on by `by`, log 0 coming in. */
static reel_tensor *moved(reel_tensor *x, int64_t by)
{
    return reel_pad(x, &(reel_pad_opts) { .pad = { by, -by }, .value = LOG_ZERO });
}

/* The log probability of each sample: alpha_t(s), the log probability of the frames up to t over all paths that end in
 * label s, by eq. 6; before the first frame every path stands at the first blank. */
static reel_tensor *log_likelihood(reel_tensor *log_probs, reel_tensor *const prepared[4], const ctc_attrs *attrs)
{
    reel_ctx *ctx = reel_ctx_of(log_probs);
    int64_t width = reel_size(prepared[0], 1);
    reel_tensor *index = reel_expand(prepared[0], REEL_SHAPE(attrs->frames, attrs->batch, width));
    reel_tensor *emitted = reel_maximum_scalar(reel_gather(log_probs, index, 2), LOG_ZERO);
    reel_tensor *start = reel_zeros(ctx, REEL_SHAPE(attrs->batch, 1), reel_dtype_of(log_probs));
    reel_tensor *alpha = reel_pad(start, &(reel_pad_opts) { .pad = { 0, width - 1 }, .value = LOG_ZERO });
    reel_tensor *no_skip = reel_logical_not(prepared[1]), *no_end = reel_logical_not(prepared[2]);
    for (int64_t t = 0; t < attrs->frames && alpha; t++) {
        reel_tensor *from[3] = { alpha, moved(alpha, 1), reel_masked_fill(moved(alpha, 2), no_skip, LOG_ZERO) };
        reel_tensor *next = reel_logsumexp(reel_stack(from, 3, 0), REEL_DIMS(0), false);
        next = reel_add(next, reel_select(emitted, 0, t));
        alpha = reel_where(reel_select(prepared[3], 0, t), next, alpha);
    }
    return reel_logsumexp(reel_masked_fill(alpha, no_end, LOG_ZERO), REEL_DIMS(1), false);
}

reel_tensor *reel_ctc_loss(reel_tensor *log_probs, reel_tensor *targets, reel_tensor *input_lengths,
                           reel_tensor *target_lengths, const reel_ctc_opts *opts)
{
    if (!REEL_OPERANDS("ctc_loss", log_probs, targets, input_lengths, target_lengths)) return NULL;
    reel_ctc_opts o = opts ? *opts : (reel_ctc_opts) { 0 };
    reel_ctx *ctx = reel_ctx_of(log_probs);
    reel_shape shape = reel_shape_of(log_probs);
    char has[REEL_SHAPE_TEXT];
    if (!reel_loss_check_reduction(ctx, "ctc_loss", o.reduction)) return NULL;
    if (shape.ndim < 2 || shape.ndim > 3 || !reel_dtype_is_float(reel_dtype_of(log_probs)))
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "ctc_loss: log_probs is %s %s, but must be floating point [T, N, C] or [T, C]",
                         reel_dtype_name(reel_dtype_of(log_probs)), reel_shape_format(shape, has));
    bool batched = shape.ndim == 3;
    ctc_attrs attrs = { shape.dim[0], batched ? shape.dim[1] : 1, shape.dim[shape.ndim - 1], o.blank };
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *in[3] = { targets, input_lengths, target_lengths }, *prepared[REEL_MAX_OUTPUTS];
        for (int i = 0; i < 3; i++) {
            if (reel_dtype_is_float(reel_dtype_of(in[i])) || reel_dtype_of(in[i]) == REEL_BOOL)
                return reel_fail(ctx, REEL_ERROR_DTYPE, "ctc_loss: targets and lengths are integers, not %s",
                                 reel_dtype_name(reel_dtype_of(in[i])));
            in[i] = reel_cast(in[i], REEL_I64);
            if (i > 0 && !batched && reel_numel(in[i]) == 1) in[i] = reel_reshape(in[i], REEL_SHAPE(1));
        }
        if (!reel_apply(&reel_op_ctc_prepare, in, 3, &attrs, prepared)) return NULL;
        if (!batched) log_probs = reel_unsqueeze(log_probs, 1);
        reel_tensor *likelihood = log_likelihood(log_probs, prepared, &attrs);
        reel_tensor *impossible = reel_lt_scalar(likelihood, LOG_ZERO / 2);
        reel_tensor *each = reel_masked_fill(reel_neg(likelihood), impossible, o.zero_infinity ? 0 : INFINITY);
        if (o.reduction == REEL_REDUCTION_MEAN)
            each = reel_div(each, reel_maximum_scalar(reel_cast(in[2], reel_dtype_of(log_probs)), 1));
        if (!batched) each = reel_squeeze(each, REEL_DIMS(0));
        loss = reel_scope_return(reel_loss_reduce(each, o.reduction));
    }
    return loss;
}

static bool call_ctc_loss(reel_call_args *args)
{
    reel_ctc_opts opts = { .blank = reel_args_int(args, "blank"),
                           .zero_infinity = reel_args_bool(args, "zero_infinity") };
    if (!reel_loss_reduction_of(args, &opts.reduction)) return false;
    return reel_args_return(args, reel_ctc_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_input(args, 3), &opts));
}

const reel_function reel_fn_ctc_loss = {
    .name = "ctc_loss",
    .inputs = "log_probs targets input_lengths target_lengths",
    .attrs = "blank:int=0 reduction:string=mean zero_infinity:bool=false",
    .call = call_ctc_loss,
    .formula = "-log of the probability that the frames' classes spell the target",
    .shapes = "log_probs: [T, N, C] or [T, C]; targets: [N, S] or [sum of lengths]; lengths: [N] -> [] (none: [N])",
    .errors = "targets or lengths that are no integers; a length outside of [0, T] or of the targets there are; a "
              "target outside of [0, C); a blank that is no class; an input that is not float32 or float64",
    .orders = -1,
};
