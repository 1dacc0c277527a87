// SPDX-License-Identifier: MIT
// Losses of a difference, of margins, of counts and of Gaussians; cosine similarity.
#include "loss_common.h"

#include <reel/core/op.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <math.h>

static double or_default(double value, double fallback) { return value == 0 ? fallback : value; }

/* ---- Differences ---- */

typedef enum difference { SQUARED, ABSOLUTE, SMOOTH, HUBER } difference;

static const char *const difference_names[] = { "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss" };

static reel_tensor *of_difference(difference kind, reel_tensor *d, double knee)
{
    if (kind == SQUARED) return reel_square(d);
    if (kind == ABSOLUTE || (kind == SMOOTH && knee == 0)) return reel_abs(d);
    /* c (d - c / 2) with d cut to c: d^2 / 2 near 0, knee (|d| - knee / 2) beyond. Its slope is c for infinite d too. */
    reel_tensor *cut = reel_hardtanh(d, -knee, knee);
    reel_tensor *loss = reel_mul(cut, reel_sub(d, reel_mul_scalar(cut, 0.5)));
    return kind == SMOOTH ? reel_div_scalar(loss, knee) : loss;
}

static reel_tensor *difference_loss(difference kind, reel_tensor *input, reel_tensor *target, double knee,
                                    reel_reduction reduction)
{
    const char *op = difference_names[kind];
    if (!reel_loss_check_pair(op, "input", input, "target", target, false)) return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    if (!reel_loss_check_reduction(ctx, op, reduction)) return NULL;
    if (kind == SMOOTH && !(knee >= 0))
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: beta is %g, but must be 0 or more", op, knee);
    if (kind == HUBER && !(knee > 0))
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: delta is %g, but must be more than 0", op, knee);
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        loss = reel_scope_return(reel_loss_reduce(of_difference(kind, reel_sub(input, target), knee), reduction));
    }
    return loss;
}

reel_tensor *reel_mse_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts)
{
    return difference_loss(SQUARED, input, target, 0, opts ? opts->reduction : REEL_REDUCTION_MEAN);
}

reel_tensor *reel_l1_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts)
{
    return difference_loss(ABSOLUTE, input, target, 0, opts ? opts->reduction : REEL_REDUCTION_MEAN);
}

reel_tensor *reel_smooth_l1_loss(reel_tensor *input, reel_tensor *target, const reel_smooth_l1_opts *opts)
{
    reel_smooth_l1_opts o = opts ? *opts : (reel_smooth_l1_opts) { 0 };
    return difference_loss(SMOOTH, input, target, or_default(o.beta, 1), o.reduction);
}

reel_tensor *reel_huber_loss(reel_tensor *input, reel_tensor *target, const reel_huber_opts *opts)
{
    reel_huber_opts o = opts ? *opts : (reel_huber_opts) { 0 };
    return difference_loss(HUBER, input, target, or_default(o.delta, 1), o.reduction);
}

/* ---- Margins ---- */

static reel_tensor *margin_ranking_loss(reel_tensor *input1, reel_tensor *input2, reel_tensor *target, double margin,
                                        reel_reduction reduction)
{
    static const char op[] = "margin_ranking_loss";
    if (!reel_loss_check_pair(op, "input1", input1, "input2", input2, false) ||
        !reel_loss_check_pair(op, "input1", input1, "target", target, false) ||
        !reel_loss_check_pair(op, "input2", input2, "target", target, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input1), op, reduction))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(reel_ctx_of(input1))
    {
        reel_tensor *ranked = reel_mul(target, reel_sub(input2, input1));
        loss = reel_scope_return(reel_loss_reduce(reel_maximum_scalar(reel_add_scalar(ranked, margin), 0), reduction));
    }
    return loss;
}

reel_tensor *reel_margin_ranking_loss(reel_tensor *input1, reel_tensor *input2, reel_tensor *target,
                                      const reel_margin_opts *opts)
{
    reel_margin_opts o = opts ? *opts : (reel_margin_opts) { 0 };
    return margin_ranking_loss(input1, input2, target, o.margin, o.reduction);
}

static reel_tensor *hinge_embedding_loss(reel_tensor *input, reel_tensor *target, double margin,
                                         reel_reduction reduction)
{
    static const char op[] = "hinge_embedding_loss";
    if (!reel_loss_check_pair(op, "input", input, "target", target, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input), op, reduction))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(reel_ctx_of(input))
    {
        reel_tensor *far = reel_maximum_scalar(reel_rsub_scalar(input, margin), 0);
        far = reel_masked_fill(far, reel_eq_scalar(target, 1), 0);
        reel_tensor *near = reel_masked_fill(input, reel_eq_scalar(target, -1), 0);
        loss = reel_scope_return(reel_loss_reduce(reel_add(far, near), reduction));
    }
    return loss;
}

reel_tensor *reel_hinge_embedding_loss(reel_tensor *input, reel_tensor *target, const reel_margin_opts *opts)
{
    reel_margin_opts o = opts ? *opts : (reel_margin_opts) { 0 };
    return hinge_embedding_loss(input, target, or_default(o.margin, 1), o.reduction);
}

reel_tensor *reel_soft_margin_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts)
{
    static const char op[] = "soft_margin_loss";
    reel_reduction reduction = opts ? opts->reduction : REEL_REDUCTION_MEAN;
    if (!reel_loss_check_pair(op, "input", input, "target", target, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input), op, reduction))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(reel_ctx_of(input))
    {
        reel_tensor *each = reel_neg(reel_logsigmoid(reel_mul(target, input)));
        loss = reel_scope_return(reel_loss_reduce(each, reduction));
    }
    return loss;
}

/* ---- Likelihoods ---- */

/* t log t - t + log(2 pi t) / 2, and 0 for t <= 1. */
static reel_tensor *stirling(reel_tensor *t)
{
    reel_tensor *small = reel_le_scalar(t, 1), *safe = reel_masked_fill(t, small, 1);
    reel_tensor *log = reel_log(safe);
    reel_tensor *half = reel_mul_scalar(reel_add_scalar(log, 1.8378770664093453), 0.5); /* log(2 pi) */
    return reel_masked_fill(reel_add(reel_sub(reel_mul(safe, log), safe), half), small, 0);
}

static reel_tensor *poisson_nll_loss(reel_tensor *input, reel_tensor *target, bool rates, bool full, double eps,
                                     reel_reduction reduction)
{
    static const char op[] = "poisson_nll_loss";
    if (!reel_loss_check_pair(op, "input", input, "target", target, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input), op, reduction))
        return NULL;
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(reel_ctx_of(input))
    {
        reel_tensor *each = rates ? reel_sub(input, reel_mul(target, reel_log(reel_add_scalar(input, eps))))
                                  : reel_sub(reel_exp(input), reel_mul(target, input));
        if (full) each = reel_add(each, stirling(target));
        loss = reel_scope_return(reel_loss_reduce(each, reduction));
    }
    return loss;
}

reel_tensor *reel_poisson_nll_loss(reel_tensor *input, reel_tensor *target, const reel_poisson_nll_opts *opts)
{
    reel_poisson_nll_opts o = opts ? *opts : (reel_poisson_nll_opts) { 0 };
    return poisson_nll_loss(input, target, o.rates, o.full, or_default(o.eps, 1e-8), o.reduction);
}

/* max(var, eps), refusing what is negative. As in PyTorch the derivative is that of var, held back or not. */
static bool play_variance(const reel_play *play)
{
    double eps = *(const double *)play->attrs;
    const reel_buffer *var = &play->in[0];
    for (int64_t i = 0; i < var->numel; i++) {
        double value = var->dtype == REEL_F32 ? (double)((float *)var->data)[i] : ((double *)var->data)[i];
        if (value < 0)
            return reel_play_fail(play, REEL_ERROR_VALUE, "var is %g at element %lld, but must not be negative", value,
                                  (long long)i);
        if (value < eps) value = eps;
        if (var->dtype == REEL_F32)
            ((float *)play->out[0].data)[i] = (float)value;
        else
            ((double *)play->out[0].data)[i] = value;
    }
    return true;
}

static bool vjp_variance(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    return true;
}

static const reel_op reel_op_gaussian_variance = {
    .name = "gaussian_nll_loss",
    .infer = reel_infer_same,
    .play = play_variance,
    .vjp = vjp_variance,
    .attrs_size = sizeof(double),
};

static reel_tensor *gaussian_nll_loss(reel_tensor *input, reel_tensor *target, reel_tensor *var, bool full, double eps,
                                      reel_reduction reduction)
{
    static const char op[] = "gaussian_nll_loss";
    if (!reel_loss_check_pair(op, "input", input, "target", target, false) ||
        !reel_loss_check_reduction(reel_ctx_of(input), op, reduction))
        return NULL;
    reel_ctx *ctx = reel_ctx_of(input);
    if (!(eps > 0)) return reel_fail(ctx, REEL_ERROR_VALUE, "%s: eps is %g, but must be more than 0", op, eps);
    reel_tensor *loss = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_shape shape = reel_shape_of(input), cut = shape;
        cut.ndim -= cut.ndim > 0;
        if (var && shape.ndim > 0 && reel_shape_equal(reel_shape_of(var), cut)) var = reel_unsqueeze(var, -1);
        if (!reel_loss_check_pair(op, "var", var, "input", input, false)) return NULL;
        reel_tensor *held = reel_apply(&reel_op_gaussian_variance, &var, 1, &eps, NULL);
        reel_tensor *each = reel_add(reel_log(held), reel_div(reel_square(reel_sub(input, target)), held));
        each = reel_mul_scalar(each, 0.5);
        if (full) each = reel_add_scalar(each, 0.9189385332046727); /* log(2 pi) / 2 */
        loss = reel_scope_return(reel_loss_reduce(each, reduction));
    }
    return loss;
}

reel_tensor *reel_gaussian_nll_loss(reel_tensor *input, reel_tensor *target, reel_tensor *var,
                                    const reel_gaussian_nll_opts *opts)
{
    reel_gaussian_nll_opts o = opts ? *opts : (reel_gaussian_nll_opts) { 0 };
    return gaussian_nll_loss(input, target, var, o.full, or_default(o.eps, 1e-6), o.reduction);
}

/* ---- Cosine similarity ---- */

static reel_shape common_shape(reel_shape a, reel_shape b)
{
    reel_shape shape = { .ndim = a.ndim > b.ndim ? a.ndim : b.ndim };
    for (int axis = 1; axis <= shape.ndim; axis++) {
        int64_t m = axis <= a.ndim ? a.dim[a.ndim - axis] : 1, n = axis <= b.ndim ? b.dim[b.ndim - axis] : 1;
        shape.dim[shape.ndim - axis] = m == 1 ? n : m;
    }
    return shape;
}

static reel_tensor *cosine_similarity(reel_tensor *x1, reel_tensor *x2, int dim, double eps)
{
    static const char op[] = "cosine_similarity";
    if (!reel_loss_check_pair(op, "x1", x1, "x2", x2, false)) return NULL;
    reel_ctx *ctx = reel_ctx_of(x1);
    reel_shape shape = common_shape(reel_shape_of(x1), reel_shape_of(x2));
    if (shape.ndim == 0 && (dim == 0 || dim == -1)) shape = REEL_SHAPE(1); /* a number is a vector of one */
    if (dim < -shape.ndim || dim >= shape.ndim)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: dim is %d, but the operands have %d axes", op, dim, shape.ndim);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *x[2] = { reel_expand(x1, shape), reel_expand(x2, shape) };
        for (int i = 0; i < 2; i++)
            x[i] = reel_div(x[i], reel_maximum_scalar(reel_norm(x[i], 2, REEL_DIMS(dim), true), eps));
        y = reel_scope_return(reel_sum(reel_mul(x[0], x[1]), REEL_DIMS(dim), false));
    }
    return y;
}

reel_tensor *reel_cosine_similarity(reel_tensor *x1, reel_tensor *x2, int dim, const reel_cosine_opts *opts)
{
    return cosine_similarity(x1, x2, dim, or_default(opts ? opts->eps : 0, 1e-8));
}

/* ---- Table rows ---- */

static bool call_difference(reel_call_args *args, difference kind, const char *knee)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args, difference_loss(kind, reel_args_input(args, 0), reel_args_input(args, 1),
                                                  knee ? reel_args_float(args, knee) : 0, reduction));
}

static bool call_mse_loss(reel_call_args *args) { return call_difference(args, SQUARED, NULL); }
static bool call_l1_loss(reel_call_args *args) { return call_difference(args, ABSOLUTE, NULL); }
static bool call_smooth_l1_loss(reel_call_args *args) { return call_difference(args, SMOOTH, "beta"); }
static bool call_huber_loss(reel_call_args *args) { return call_difference(args, HUBER, "delta"); }

static bool call_margin_ranking_loss(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args,
                            margin_ranking_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_float(args, "margin"), reduction));
}

static bool call_hinge_embedding_loss(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args, hinge_embedding_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                       reel_args_float(args, "margin"), reduction));
}

static bool call_soft_margin_loss(reel_call_args *args)
{
    reel_loss_opts opts;
    if (!reel_loss_reduction_of(args, &opts.reduction)) return false;
    return reel_args_return(args, reel_soft_margin_loss(reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}

static bool call_poisson_nll_loss(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args, poisson_nll_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                   !reel_args_bool(args, "log_input"), reel_args_bool(args, "full"),
                                                   reel_args_float(args, "eps"), reduction));
}

static bool call_gaussian_nll_loss(reel_call_args *args)
{
    reel_reduction reduction;
    if (!reel_loss_reduction_of(args, &reduction)) return false;
    return reel_args_return(args, gaussian_nll_loss(reel_args_input(args, 0), reel_args_input(args, 1),
                                                    reel_args_input(args, 2), reel_args_bool(args, "full"),
                                                    reel_args_float(args, "eps"), reduction));
}

static bool call_cosine_similarity(reel_call_args *args)
{
    int64_t dim = reel_args_int(args, "dim");
    int axis = dim < -REEL_MAX_DIMS || dim > REEL_MAX_DIMS ? REEL_MAX_DIMS : (int)dim;
    return reel_args_return(args, cosine_similarity(reel_args_input(args, 0), reel_args_input(args, 1), axis,
                                                    reel_args_float(args, "eps")));
}

#define LOSS_ROW(op, operands, attributes, refused, text)                                                              \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = operands,                                                                                            \
        .attrs = attributes,                                                                                           \
        .call = call_##op,                                                                                             \
        .formula = text,                                                                                               \
        .shapes = "operands: broadcastable -> [] (none: broadcast shape)",                                             \
        .errors = refused "operands that are not float32 or float64",                                                  \
        .orders = -1,                                                                                                  \
    };
LOSS_ROW(mse_loss, "input target", "reduction:string=mean", "", "(input - target)^2")
LOSS_ROW(l1_loss, "input target", "reduction:string=mean", "", "|input - target|")
LOSS_ROW(smooth_l1_loss, "input target", "reduction:string=mean beta:float=1", "beta below 0; ",
         "d^2 / (2 beta) where d = |input - target| < beta, else d - beta / 2")
LOSS_ROW(huber_loss, "input target", "reduction:string=mean delta:float=1", "delta not above 0; ",
         "d^2 / 2 where d = |input - target| < delta, else delta (d - delta / 2)")
LOSS_ROW(margin_ranking_loss, "input1 input2 target", "margin:float=0 reduction:string=mean", "",
         "max(0, -target (input1 - input2) + margin)")
LOSS_ROW(hinge_embedding_loss, "input target", "margin:float=1 reduction:string=mean", "",
         "input where target is 1, max(0, margin - input) where it is -1")
LOSS_ROW(soft_margin_loss, "input target", "reduction:string=mean", "", "log(1 + exp(-target input))")
LOSS_ROW(poisson_nll_loss, "input target", "log_input:bool=true full:bool=false eps:float=1e-8 reduction:string=mean",
         "", "exp(input) - target input; input - target log(input + eps) without log_input")
LOSS_ROW(gaussian_nll_loss, "input target var", "full:bool=false eps:float=1e-6 reduction:string=mean",
         "a negative var; eps not above 0; ", "(log max(var, eps) + (input - target)^2 / max(var, eps)) / 2")
#undef LOSS_ROW

const reel_function reel_fn_cosine_similarity = {
    .name = "cosine_similarity",
    .inputs = "x1 x2",
    .attrs = "dim:int=1 eps:float=1e-8",
    .call = call_cosine_similarity,
    .formula = "sum x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along dim",
    .shapes = "x1, x2: broadcastable -> broadcast shape without dim",
    .errors = "operands that are not float32 or float64",
    .orders = -1,
};
