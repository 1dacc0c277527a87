// SPDX-License-Identifier: MIT
// Variance, standard deviation and p-norms over any axes.
#include <math.h>
#include <reel/core/op.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/reduce_op.h>
#include <string.h>

// ---- variance ----

static bool infer_var(reel_infer *infer)
{
    const reel_reduce_attrs *attrs = infer->attrs;
    if (!reel_infer_float(infer)) return false;
    if (isnan(attrs->number)) return reel_infer_fail(infer, REEL_ERROR_VALUE, "the correction is NaN");
    return reel_infer_reduced(infer, reel_dtype_of(infer->in[0]));
}

static bool run_var(const reel_play *play, reel_finish finish)
{
    const reel_reduce_attrs *attrs = play->attrs;
    reel_reduce_how how = { .kind = REEL_REDUCE_SUMDEV,
                            .finish = finish,
                            .two_passes = true,
                            .first_kind = REEL_REDUCE_SUM,
                            .first_finish = REEL_FINISH_MEAN,
                            .param = attrs->number };
    return reel_reduce_run(play, reel_reduce_mask(attrs, play->in[0].ndim), &how);
}

static bool play_var(const reel_play *play) { return run_var(play, REEL_FINISH_VAR); }
static bool play_std(const reel_play *play) { return run_var(play, REEL_FINISH_STD); }

// g * 2 (x - mean) / max(n - correction, 0), with g the cotangent of the variance.
static reel_tensor *var_cotangent(reel_vjp *vjp, reel_tensor *g)
{
    const reel_reduce_attrs *attrs = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    uint32_t mask = reel_reduce_mask(attrs, shape.ndim);
    double count = 1;
    for (int d = 0; d < shape.ndim; d++)
        if (mask >> d & 1) count *= (double)shape.dim[d];
    reel_tensor *x = reel_vjp_input(vjp, 0), *deviation = reel_sub(x, reel_mean(x, attrs->dims, true));
    if (count <= attrs->number) return reel_mul(reel_mul_scalar(deviation, INFINITY), g); /* NaN where it is 0 */
    return reel_mul(deviation, reel_mul_scalar(g, 2 / (count - attrs->number)));
}

static bool vjp_var(reel_vjp *vjp)
{
    vjp->grad[0] = var_cotangent(vjp, reel_reduce_spread(vjp, vjp->cot[0]));
    return vjp->grad[0];
}

// Where the deviation is 0, so is its gradient: the division is by infinity there.
static bool vjp_std(reel_vjp *vjp)
{
    reel_tensor *y = reel_reduce_spread(vjp, reel_vjp_output(vjp, 0)), *g = reel_reduce_spread(vjp, vjp->cot[0]);
    reel_tensor *divisor = reel_masked_fill(reel_mul_scalar(y, 2), reel_eq_scalar(y, 0), INFINITY);
    vjp->grad[0] = var_cotangent(vjp, reel_div(g, divisor));
    return vjp->grad[0];
}

const reel_op reel_op_var = {
    .name = "var",
    .infer = infer_var,
    .play = play_var,
    .vjp = vjp_var,
    .flags = REEL_OP_STRIDED,
    .attrs_size = sizeof(reel_reduce_attrs),
};

const reel_op reel_op_std = {
    .name = "std",
    .infer = infer_var,
    .play = play_std,
    .vjp = vjp_std,
    .flags = REEL_OP_STRIDED,
    .attrs_size = sizeof(reel_reduce_attrs),
};

static double correction(const reel_var_opts *opts)
{
    if (!opts) return 1;
    return opts->correction != 0 || opts->biased ? opts->correction : 1;
}

reel_tensor *reel_var(reel_tensor *x, reel_dims dims, const reel_var_opts *opts)
{
    return reel_reduce_apply(&reel_op_var, x, dims, opts && opts->keepdim, correction(opts));
}

reel_tensor *reel_std(reel_tensor *x, reel_dims dims, const reel_var_opts *opts)
{
    return reel_reduce_apply(&reel_op_std, x, dims, opts && opts->keepdim, correction(opts));
}

// ---- norm: p = 2, 0 and the rest are one op; 1 and infinity are sums and extremes of |x| ----

static bool infer_norm(reel_infer *infer)
{
    const reel_reduce_attrs *attrs = infer->attrs;
    double p = attrs->number;
    reel_shape shape = reel_shape_of(infer->in[0]);
    if (!reel_infer_float(infer)) return false;
    if (isnan(p)) return reel_infer_fail(infer, REEL_ERROR_VALUE, "p is NaN");
    if (!reel_infer_reduced(infer, reel_dtype_of(infer->in[0]))) return false;
    if (reel_numel(infer->in[0]) > 0 || (p >= 0 && !isinf(p))) return true;
    if (reel_shape_numel(reel_reduced_shape(shape, reel_reduce_mask(attrs, shape.ndim), false)) == 0) return true;
    return reel_infer_fail(infer, REEL_ERROR_VALUE, "the norm of no elements is not defined for p = %g", p);
}

static bool play_norm(const reel_play *play)
{
    const reel_reduce_attrs *attrs = play->attrs;
    double p = attrs->number;
    reel_reduce_how how = { .kind = REEL_REDUCE_SUMPOW, .finish = REEL_FINISH_POW_ROOT, .param = p };
    if (p == 2) how.kind = REEL_REDUCE_SUMDEV, how.finish = REEL_FINISH_ROOT;
    if (p == 1) how.kind = REEL_REDUCE_SUMABS, how.finish = REEL_FINISH_VALUE;
    if (p == 0) how.kind = REEL_REDUCE_COUNT, how.finish = REEL_FINISH_VALUE;
    if (isinf(p)) how.kind = p > 0 ? REEL_REDUCE_MAXABS : REEL_REDUCE_MINABS, how.finish = REEL_FINISH_VALUE;
    return reel_reduce_run(play, reel_reduce_mask(attrs, play->in[0].ndim), &how);
}

// t^e, and 0 (with gradient 0) where t is 0.
static reel_tensor *pow_but_zero(reel_tensor *t, double e)
{
    reel_tensor *zero = reel_eq_scalar(t, 0);
    return reel_masked_fill(reel_pow_scalar(reel_masked_fill(t, zero, 1), e), zero, 0);
}

static bool vjp_norm(reel_vjp *vjp)
{
    const reel_reduce_attrs *attrs = vjp->attrs;
    double p = attrs->number;
    if (p == 0) return true;
    reel_tensor *x = reel_vjp_input(vjp, 0), *g = reel_reduce_spread(vjp, vjp->cot[0]);
    if (p == 1) {
        vjp->grad[0] = reel_mul(reel_sign(x), g);
        return vjp->grad[0];
    }
    reel_tensor *y = reel_reduce_spread(vjp, reel_vjp_output(vjp, 0));
    if (isinf(p)) {
        reel_tensor *hit = reel_cast(reel_eq(reel_abs(x), y), reel_vjp_input_dtype(vjp, 0));
        g = reel_div(g, reel_sum(hit, attrs->dims, true));
        vjp->grad[0] = reel_mul(reel_mul(reel_sign(x), hit), g);
    } else if (p == 2) {
        vjp->grad[0] = reel_mul(x, reel_div(g, reel_masked_fill(y, reel_eq_scalar(y, 0), INFINITY)));
    } else {
        reel_tensor *slope = reel_mul(reel_sign(x), pow_but_zero(reel_abs(x), p - 1));
        vjp->grad[0] = reel_mul(slope, reel_mul(g, pow_but_zero(y, 1 - p)));
    }
    return vjp->grad[0];
}

const reel_op reel_op_norm = {
    .name = "norm",
    .infer = infer_norm,
    .play = play_norm,
    .vjp = vjp_norm,
    .flags = REEL_OP_STRIDED,
    .attrs_size = sizeof(reel_reduce_attrs),
};

reel_tensor *reel_norm(reel_tensor *x, double p, reel_dims dims, bool keepdim)
{
    return reel_reduce_apply(&reel_op_norm, x, dims, keepdim, p);
}

// ---- the table's rows ----

static bool call_deviation(reel_call_args *args, reel_tensor *op(reel_tensor *, reel_dims, const reel_var_opts *))
{
    reel_dims dims;
    if (!reel_args_dims(args, &dims)) return false;
    reel_var_opts opts = { .keepdim = reel_args_bool(args, "keepdim"), .biased = !reel_args_bool(args, "unbiased") };
    if (reel_args_has(args, "correction")) {
        opts.correction = reel_args_float(args, "correction");
        opts.biased = opts.correction == 0;
    }
    return reel_args_return(args, op(reel_args_input(args, 0), dims, &opts));
}

static bool call_var(reel_call_args *args) { return call_deviation(args, reel_var); }
static bool call_std(reel_call_args *args) { return call_deviation(args, reel_std); }

const reel_function reel_fn_var = {
    .name = "var",
    .inputs = "input",
    .attrs = "dim:ints=none unbiased:bool=true keepdim:bool=false correction:float=none",
    .call = call_var,
    .formula = "sum((x - mean)^2) / (count - correction) over dim; correction is 1, or 0 with unbiased=false",
    .shapes = "input: any -> without the axes in dim, or with 1 in their place",
    .errors = "an input that is not float32 or float64",
    .orders = -1,
};

const reel_function reel_fn_std = {
    .name = "std",
    .inputs = "input",
    .attrs = "dim:ints=none unbiased:bool=true keepdim:bool=false correction:float=none",
    .call = call_std,
    .formula = "sqrt(var(x)) over dim",
    .shapes = "input: any -> without the axes in dim, or with 1 in their place",
    .errors = "an input that is not float32 or float64",
    .orders = -1,
};

static bool call_norm(reel_call_args *args)
{
    reel_dims dims;
    if (!reel_args_dims(args, &dims)) return false;
    const char *word = reel_args_string(args, "p");
    double p = word && !strcmp(word, "fro") ? 2 : reel_args_float(args, "p");
    if (word && p == 0)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "norm: p must be a number or \"fro\", but is \"%.32s\"",
                         word);
    return reel_args_return(args, reel_norm(reel_args_input(args, 0), p, dims, reel_args_bool(args, "keepdim")));
}

const reel_function reel_fn_norm = {
    .name = "norm",
    .inputs = "input",
    .attrs = "p:float|string=2 dim:ints=none keepdim:bool=false",
    .call = call_norm,
    .formula = "(sum |x|^p)^(1/p) over dim; p = 0 counts, p = inf and -inf are extremes of |x|, \"fro\" is 2",
    .shapes = "input: any -> without the axes in dim, or with 1 in their place",
    .errors = "a word for p other than fro, inf and -inf; no elements with p below 0 or infinite; an input that is not "
              "float32 or float64",
    .orders = -1,
};
