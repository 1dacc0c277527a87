// SPDX-License-Identifier: MIT
// Losses that compare embeddings: by their cosine, and by their distances in triplets.
#include "loss_common.h"

#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>

/* x . y / sqrt((|x|^2 + 1e-12) (|y|^2 + 1e-12)), as PyTorch takes it in this loss. */
static reel_tensor *cosine(reel_tensor *x, reel_tensor *y)
{
    reel_dims last = REEL_DIMS(-1);
    reel_tensor *xx = reel_add_scalar(reel_sum(reel_square(x), last, false), 1e-12);
    reel_tensor *yy = reel_add_scalar(reel_sum(reel_square(y), last, false), 1e-12);
    return reel_div(reel_sum(reel_mul(x, y), last, false), reel_sqrt(reel_mul(xx, yy)));
}

reel_tensor *reel_cosine_embedding_loss(reel_tensor *input1, reel_tensor *input2, reel_tensor *target,
                                        const reel_margin_opts *opts)
{
    static const char op[] = "cosine_embedding_loss";
    reel_margin_opts o = opts ? *opts : (reel_margin_opts) { 0 };
    if (!REEL_OPERANDS(op, input1, input2, target) ||
        !reel_loss_check_pair(op, "input1", input1, "input2", input2, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input1), op, o.reduction))
        return NULL;
    reel_ctx *ctx = reel_ctx_of(input1);
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    int ndim = reel_ndim(target);
    if (ndim > 1 || reel_ndim(input1) != ndim + 1 || reel_ndim(input2) != ndim + 1)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: input1 %s and target %s must be [N, D] and [N], or [D] and []", op,
                         reel_shape_format(reel_shape_of(input1), a), reel_shape_format(reel_shape_of(target), b));
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *s = cosine(input1, input2);
        if (!reel_loss_check_pair(op, "the similarity", s, "target", target, false)) return NULL;
        reel_tensor *zero = reel_zeros(ctx, REEL_SCALAR, reel_dtype_of(s));
        reel_tensor *near = reel_where(reel_eq_scalar(target, 1), reel_rsub_scalar(s, 1), zero);
        reel_tensor *far =
            reel_where(reel_eq_scalar(target, -1), reel_maximum_scalar(reel_sub_scalar(s, o.margin), 0), zero);
        loss = reel_scope_return(reel_loss_reduce(reel_add(near, far), o.reduction));
    }
    return loss;
}

static reel_tensor *distance(reel_tensor *a, reel_tensor *b, double p, double eps)
{
    return reel_norm(reel_add_scalar(reel_sub(a, b), eps), p, REEL_DIMS(-1), false);
}

static reel_tensor *triplet_margin_loss(reel_tensor *anchor, reel_tensor *positive, reel_tensor *negative,
                                        const reel_triplet_opts *o)
{
    static const char op[] = "triplet_margin_loss";
    if (!reel_loss_check_pair(op, "anchor", anchor, "positive", positive, false) ||
        !reel_loss_check_pair(op, "anchor", anchor, "negative", negative, false) ||
        !reel_loss_check_pair(op, "positive", positive, "negative", negative, false) ||
        !reel_loss_check_reduction(reel_ctx_of(anchor), op, o->reduction))
        return NULL;
    reel_ctx *ctx = reel_ctx_of(anchor);
    if (reel_ndim(anchor) < 1 || reel_ndim(positive) != reel_ndim(anchor) || reel_ndim(negative) != reel_ndim(anchor))
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "%s: the operands have %d, %d and %d axes, but must have one number, 1 or more", op,
                         reel_ndim(anchor), reel_ndim(positive), reel_ndim(negative));
    if (!(o->margin > 0))
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: margin is %g, but must be more than 0", op, o->margin);
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *near = distance(anchor, positive, o->p, o->eps), *far = distance(anchor, negative, o->p, o->eps);
        if (o->swap) far = reel_minimum(far, distance(positive, negative, o->p, o->eps));
        reel_tensor *each = reel_maximum_scalar(reel_add_scalar(reel_sub(near, far), o->margin), 0);
        loss = reel_scope_return(reel_loss_reduce(each, o->reduction));
    }
    return loss;
}

reel_tensor *reel_triplet_margin_loss(reel_tensor *anchor, reel_tensor *positive, reel_tensor *negative,
                                      const reel_triplet_opts *opts)
{
    reel_triplet_opts o = opts ? *opts : (reel_triplet_opts) { 0 };
    if (o.margin == 0) o.margin = 1;
    if (o.p == 0) o.p = 2;
    if (o.eps == 0) o.eps = 1e-6;
    return triplet_margin_loss(anchor, positive, negative, &o);
}

/* ---- Table rows ---- */

static bool call_cosine_embedding_loss(reel_call_args *args)
{
    reel_margin_opts opts = { .margin = reel_args_float(args, "margin") };
    if (!reel_loss_reduction_of(args, &opts.reduction)) return false;
    return reel_args_return(args, reel_cosine_embedding_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                             reel_args_input(args, 2), &opts));
}

const reel_function reel_fn_cosine_embedding_loss = {
    .name = "cosine_embedding_loss",
    .inputs = "input1 input2 target",
    .attrs = "margin:float=0 reduction:string=mean",
    .call = call_cosine_embedding_loss,
    .formula = "1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1",
    .shapes = "input1, input2: [N, D] or [D]; target: [N] or [] -> [] (none: target's shape)",
    .errors = "shapes other than [N, D], [N, D] and [N], or [D], [D] and []; operands that are not float32 or float64",
    .orders = -1,
};

static bool call_triplet_margin_loss(reel_call_args *args)
{
    reel_triplet_opts opts = { .margin = reel_args_float(args, "margin"),
                               .p = reel_args_float(args, "p"),
                               .eps = reel_args_float(args, "eps"),
                               .swap = reel_args_bool(args, "swap") };
    if (!reel_loss_reduction_of(args, &opts.reduction)) return false;
    return reel_args_return(
        args, triplet_margin_loss(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_input(args, 2), &opts));
}

const reel_function reel_fn_triplet_margin_loss = {
    .name = "triplet_margin_loss",
    .inputs = "anchor positive negative",
    .attrs = "margin:float=1 p:float=2 eps:float=1e-6 swap:bool=false reduction:string=mean",
    .call = call_triplet_margin_loss,
    .formula = "max(0, |anchor - positive + eps|_p - |anchor - negative + eps|_p + margin)",
    .shapes = "anchor, positive, negative: [..., D], broadcastable -> [] (none: broadcast shape without D)",
    .errors = "operands of different rank, or scalars; a margin not above 0; operands that are not float32 or float64",
    .orders = -1,
};
