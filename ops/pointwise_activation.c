// SPDX-License-Identifier: MIT
// Activation functions, and the primitives that are their cotangents in one kernel.
#include <reel/core/context.h>
#include <reel/ops/pointwise_impl.h>
#include <reel/core/operands.h>
#include <reel/ops/shape.h>

#include <math.h>

/* In a rule: the cotangent, the inputs, the output, the attributes. */
#define G (vjp->cot[0])
#define X reel_vjp_input(vjp, 0)
#define Y reel_vjp_output(vjp, 0)
#define ATTRS (*(const pointwise_attrs *)vjp->attrs)

/* ---- Cotangents: op(x, g) = g f'(x), whose own rule is c g f''(x) for x and op(x, c) for g. ---- */

#define COTANGENT(op, code, scalars, second)                                                                           \
    static reel_tensor *op(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs);                                     \
    static bool vjp_##op(reel_vjp *vjp)                                                                                \
    {                                                                                                                  \
        reel_tensor *(*curve)(reel_tensor *, reel_tensor *, pointwise_attrs) = second;                                 \
        pointwise_attrs attrs = { { 0 } };                                                                             \
        for (int i = 0; i < scalars; i++) attrs.s[i] = ATTRS.s[i];                                                     \
        if (curve && reel_vjp_wants(vjp, 0)) vjp->grad[0] = curve(X, reel_mul(G, reel_vjp_input(vjp, 1)), attrs);      \
        if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = op(X, G, attrs);                                                    \
        return true;                                                                                                   \
    }                                                                                                                  \
    static const reel_op op##_op = REEL_POINTWISE(#op, code, vjp_##op, scalars);                 \
    static reel_tensor *op(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)                                      \
    {                                                                                                                  \
        return reel_pointwise2_with(&op##_op, x, g, attrs);                                                            \
    }

/* s (1 - s) (2 + x (1 - 2 s)). */
static reel_tensor *silu_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    (void)attrs;
    reel_tensor *s = reel_sigmoid(x);
    reel_tensor *bend = reel_add_scalar(reel_mul(x, reel_rsub_scalar(reel_mul_scalar(s, 2), 1)), 2);
    return reel_mul(reel_sigmoid_grad(s, g), bend);
}

/* (2 - x^2) times the normal density. */
static reel_tensor *gelu_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    (void)attrs;
    reel_tensor *x2 = reel_square(x);
    reel_tensor *density = reel_mul_scalar(reel_exp(reel_mul_scalar(x2, -0.5)), 0.39894228040143267794);
    return reel_mul(g, reel_sub(reel_mul_scalar(density, 2), reel_mul(x2, density)));
}

/* With u = k (x + a x^3) and t = tanh u: (1 - t^2) (u' + x (u'' / 2 - t u'^2)). */
static reel_tensor *gelu_tanh_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    (void)attrs;
    const double k = 0.79788456080286535588, a = 0.044715;
    reel_tensor *x2 = reel_square(x);
    reel_tensor *t = reel_tanh(reel_mul_scalar(reel_add(x, reel_mul_scalar(reel_mul(x2, x), a)), k));
    reel_tensor *slope = reel_add_scalar(reel_mul_scalar(x2, 3 * a * k), k);
    reel_tensor *bend = reel_sub(reel_mul_scalar(x, 3 * a * k), reel_mul(t, reel_square(slope)));
    return reel_mul(reel_tanh_grad(t, g), reel_add(slope, reel_mul(x, bend)));
}

/* 1 / 3 between -3 and 3. */
static reel_tensor *hardswish_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    (void)attrs;
    return reel_masked_fill(reel_div_scalar(g, 3), reel_ge_scalar(reel_abs(x), 3), 0);
}

static reel_tensor *elu_grad(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs);

/* The exponential side is its own derivative, but for the factor in the exponent; the other side is straight. */
static reel_tensor *elu_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    return reel_masked_fill(elu_grad(x, reel_mul_scalar(g, attrs.s[2]), attrs), reel_ge_scalar(x, 0), 0);
}

/* beta s (1 - s) with s = sigmoid(beta x), below the threshold. */
static reel_tensor *softplus_curve(reel_tensor *x, reel_tensor *g, pointwise_attrs attrs)
{
    reel_tensor *bx = reel_mul_scalar(x, attrs.s[0]);
    reel_tensor *slope = reel_mul_scalar(reel_sigmoid_grad(reel_sigmoid(bx), g), attrs.s[0]);
    return reel_masked_fill(slope, reel_ge_scalar(bx, attrs.s[1]), 0);
}

COTANGENT(silu_grad, SILU_GRAD, 0, silu_curve)
COTANGENT(gelu_grad, GELU_GRAD, 0, gelu_curve)
COTANGENT(gelu_tanh_grad, GELU_TANH_GRAD, 0, gelu_tanh_curve)
COTANGENT(hardswish_grad, HARDSWISH_GRAD, 0, hardswish_curve)
COTANGENT(leaky_relu_grad, LEAKY_RELU_GRAD, 1, NULL)
COTANGENT(elu_grad, ELU_GRAD, 3, elu_curve)
COTANGENT(softplus_grad, SOFTPLUS_GRAD, 2, softplus_curve)
COTANGENT(threshold_grad, THRESHOLD_GRAD, 1, NULL)
COTANGENT(hardtanh_grad, HARDTANH_GRAD, 2, NULL)
COTANGENT(clamp_grad, CLAMP_GRAD, 2, NULL)

/* ---- Activations. ---- */

/* t + x s (1 - t^2) with t = tanh(log(1 + e^x)) and s = sigmoid x. */
static reel_tensor *mish_grad(reel_tensor *x, reel_tensor *g)
{
    reel_tensor *t = reel_tanh(reel_softplus(x, 1, 20));
    return reel_mul(g, reel_add(t, reel_mul(x, reel_tanh_grad(t, reel_sigmoid(x)))));
}

/* (1 - |y|) / (1 + |x|), written so that the limits come out as from x / (1 + |x|). */
static reel_tensor *softsign_grad(reel_tensor *x, reel_tensor *y, reel_tensor *g)
{
    reel_tensor *below = reel_add_scalar(reel_abs(x), 1);
    return reel_sub(reel_div(g, below), reel_mul(g, reel_mul(reel_div(y, below), reel_sign(x))));
}

/* PyTorch's sixth is a float's also in float64, and its values are what is vouched for. */
static reel_tensor *hardsigmoid_grad(reel_tensor *x, reel_tensor *g)
{
    return reel_masked_fill(reel_mul_scalar(g, 1.0f / 6), reel_logical_not(reel_lt_scalar(reel_abs(x), 3)), 0);
}

#define NO_ATTRS ((pointwise_attrs) { { 0 } })

/* A rule and a descriptor with `scalars` numbers as attributes. */
#define ACTIVATION(op, code, scalars, rule)                                                                            \
    static bool vjp_##op(reel_vjp *vjp)                                                                                \
    {                                                                                                                  \
        vjp->grad[0] = rule;                                                                                           \
        return true;                                                                                                   \
    }                                                                                                                  \
    static const reel_op op##_op = REEL_POINTWISE(#op, code, vjp_##op, scalars);

/* The attributes of the node, as many as it has. */
static pointwise_attrs attrs_of(const reel_vjp *vjp)
{
    pointwise_attrs attrs = { { 0 } };
    for (size_t i = 0; i < vjp->op->attrs_size / sizeof(double); i++) attrs.s[i] = ATTRS.s[i];
    return attrs;
}

/* PyTorch's celu divides by alpha as a float in its gradient, and its values are what is vouched for. */
static pointwise_attrs elu_attrs(const reel_vjp *vjp)
{
    pointwise_attrs attrs = attrs_of(vjp);
    if (attrs.s[2] != 1) attrs.s[2] = 1 / (double)(float)attrs.s[0];
    return attrs;
}

ACTIVATION(logsigmoid, LOGSIGMOID, 0, reel_mul(G, reel_sigmoid(reel_neg(X))))
ACTIVATION(relu, RELU, 0, reel_threshold_grad(Y, G, 0))
ACTIVATION(silu, SILU, 0, silu_grad(X, G, NO_ATTRS))
ACTIVATION(mish, MISH, 0, mish_grad(X, G))
ACTIVATION(softsign, SOFTSIGN, 0, softsign_grad(X, Y, G))
ACTIVATION(hardswish, HARDSWISH, 0, hardswish_grad(X, G, NO_ATTRS))
ACTIVATION(hardsigmoid, HARDSIGMOID, 0, hardsigmoid_grad(X, G))
ACTIVATION(gelu, GELU, 0, gelu_grad(X, G, NO_ATTRS))
ACTIVATION(gelu_tanh, GELU_TANH, 0, gelu_tanh_grad(X, G, NO_ATTRS))
ACTIVATION(leaky_relu, LEAKY_RELU, 1, leaky_relu_grad(X, G, attrs_of(vjp)))
ACTIVATION(elu, ELU, 3, elu_grad(X, G, elu_attrs(vjp)))
ACTIVATION(softplus, SOFTPLUS, 2, softplus_grad(X, G, attrs_of(vjp)))
ACTIVATION(threshold, THRESHOLD, 2, reel_threshold_grad(X, G, ATTRS.s[0]))
ACTIVATION(hardtanh, CLAMP, 2, hardtanh_grad(X, G, attrs_of(vjp)))
ACTIVATION(clamp, CLAMP, 2, clamp_grad(X, G, attrs_of(vjp)))

static reel_tensor *activate(const reel_op *op, reel_tensor *x, double s0, double s1, double s2)
{
    return reel_pointwise1_with(op, reel_pointwise_as_float(x), (pointwise_attrs) { { s0, s1, s2 } });
}

reel_tensor *reel_threshold_grad(reel_tensor *x, reel_tensor *g, double threshold)
{
    return threshold_grad(x, g, (pointwise_attrs) { { threshold } });
}

reel_tensor *reel_relu(reel_tensor *x)
{
    return x && !reel_dtype_is_float(reel_dtype_of(x)) ? reel_clamp(x, 0, INFINITY) : reel_pointwise1(&relu_op, x);
}

reel_tensor *reel_logsigmoid(reel_tensor *x) { return activate(&logsigmoid_op, x, 0, 0, 0); }
reel_tensor *reel_relu6(reel_tensor *x) { return reel_hardtanh(x, 0, 6); }
reel_tensor *reel_silu(reel_tensor *x) { return activate(&silu_op, x, 0, 0, 0); }
reel_tensor *reel_mish(reel_tensor *x) { return activate(&mish_op, x, 0, 0, 0); }
reel_tensor *reel_softsign(reel_tensor *x) { return activate(&softsign_op, x, 0, 0, 0); }
reel_tensor *reel_hardswish(reel_tensor *x) { return activate(&hardswish_op, x, 0, 0, 0); }
reel_tensor *reel_hardsigmoid(reel_tensor *x) { return activate(&hardsigmoid_op, x, 0, 0, 0); }

reel_tensor *reel_gelu(reel_tensor *x, const reel_gelu_opts *opts)
{
    return activate(opts && opts->tanh ? &gelu_tanh_op : &gelu_op, x, 0, 0, 0);
}

reel_tensor *reel_leaky_relu(reel_tensor *x, double negative_slope)
{
    return activate(&leaky_relu_op, x, negative_slope, 0, 0);
}

/* elu's attributes: the factors of e^(.) - 1 and of x, and the one in the exponent. */
reel_tensor *reel_elu(reel_tensor *x, double alpha) { return activate(&elu_op, x, alpha, 1, 1); }
reel_tensor *reel_celu(reel_tensor *x, double alpha)
{
    if (alpha == 0) return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "celu: alpha must not be 0");
    return activate(&elu_op, x, alpha, 1, 1 / alpha);
}

reel_tensor *reel_selu(reel_tensor *x)
{
    const double alpha = 1.6732632423543772848170429916717, scale = 1.0507009873554804934193349852946;
    return activate(&elu_op, x, alpha * scale, scale, 1);
}

reel_tensor *reel_softplus(reel_tensor *x, double beta, double threshold)
{
    return activate(&softplus_op, x, beta, threshold, 0);
}

reel_tensor *reel_threshold(reel_tensor *x, double threshold, double value)
{
    if (!x || reel_dtype_is_float(reel_dtype_of(x))) return activate(&threshold_op, x, threshold, value, 0);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x)) { y = reel_scope_return(reel_masked_fill(x, reel_le_scalar(x, threshold), value)); }
    return y;
}

reel_tensor *reel_hardtanh(reel_tensor *x, double low, double high)
{
    return x && !reel_dtype_is_float(reel_dtype_of(x)) ? reel_clamp(x, trunc(low), trunc(high))
                                                       : activate(&hardtanh_op, x, low, high, 0);
}

reel_tensor *reel_clamp(reel_tensor *x, double low, double high)
{
    if (isfinite(low)) x = reel_pointwise_fit(x, low);
    if (isfinite(high)) x = reel_pointwise_fit(x, high);
    if (isnan(low) || isnan(high)) x = reel_pointwise_as_float(x);
    return reel_pointwise1_with(&clamp_op, x, (pointwise_attrs) { { low, high } });
}

reel_tensor *reel_glu(reel_tensor *x, int dim)
{
    reel_ctx *ctx = reel_ctx_of(x);
    reel_tensor *y = NULL;
    int64_t size = reel_size(x, dim);
    char text[REEL_SHAPE_TEXT];
    if (!x) return NULL;
    if (dim < -reel_ndim(x) || dim >= reel_ndim(x) || size % 2 != 0)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "glu: dim %d of %s must be an axis of even size", dim,
                         reel_shape_format(reel_shape_of(x), text));
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *gate = reel_sigmoid(reel_narrow(x, dim, size / 2, size / 2));
        y = reel_scope_return(reel_mul(reel_narrow(x, dim, 0, size / 2), gate));
    }
    return y;
}

reel_tensor *reel_prelu(reel_tensor *x, reel_tensor *weight)
{
    reel_ctx *ctx = reel_ctx_of(x);
    reel_tensor *y = NULL;
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (!REEL_OPERANDS("prelu", x, weight)) return NULL;
    int64_t channels = reel_ndim(x) > 1 ? reel_size(x, 1) : 1;
    if (reel_numel(weight) != 1 && (reel_ndim(weight) != 1 || reel_numel(weight) != channels))
        return reel_fail(ctx, REEL_ERROR_SHAPE, "prelu: weight %s has neither 1 element nor one for each channel of %s",
                         reel_shape_format(reel_shape_of(weight), a), reel_shape_format(reel_shape_of(x), b));
    reel_shape shape = { .ndim = reel_ndim(x) };
    for (int d = 0; d < shape.ndim; d++) shape.dim[d] = 1;
    if (shape.ndim > 0) shape.dim[shape.ndim > 1] = reel_numel(weight);
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *slope = reel_reshape(weight, shape);
        y = reel_scope_return(reel_where(reel_gt_scalar(x, 0), x, reel_mul(slope, x)));
    }
    return y;
}

/* ---- Table rows. ---- */

#define ROW(op, attributes, refused, text, ...)                                                                        \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        reel_tensor *x = reel_args_input(args, 0);                                                                     \
        return reel_args_return(args, reel_##op(x __VA_ARGS__));                                                       \
    }                                                                                                                  \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input",                                                            \
                                         .attrs = attributes,                                                          \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input: any -> the same",                                           \
                                         .errors = refused,                                                            \
                                         .orders = -1 };
#define F(name) reel_args_float(args, name)
#define COMMA ,
#define NOTHING "none of its own"

ROW(logsigmoid, NULL, NOTHING, "log(1 / (1 + e^-x))", )
ROW(relu, NULL, NOTHING, "max(x, 0)", )
ROW(relu6, NULL, NOTHING, "min(max(x, 0), 6)", )
ROW(silu, NULL, NOTHING, "x sigmoid(x)", )
ROW(mish, NULL, NOTHING, "x tanh(log(1 + e^x))", )
ROW(selu, NULL, NOTHING, "1.0507 (x > 0 ? x : 1.6733 (e^x - 1))", )
ROW(softsign, NULL, NOTHING, "x / (1 + |x|)", )
ROW(hardswish, NULL, NOTHING, "x min(max(x + 3, 0), 6) / 6", )
ROW(hardsigmoid, NULL, NOTHING, "min(max(x + 3, 0), 6) / 6", )
ROW(leaky_relu, "negative_slope:float=0.01", NOTHING, "x > 0 ? x : negative_slope x", COMMA F("negative_slope"))
ROW(elu, "alpha:float=1", NOTHING, "x > 0 ? x : alpha (e^x - 1)", COMMA F("alpha"))
ROW(celu, "alpha:float=1", "alpha 0", "x > 0 ? x : alpha (e^(x / alpha) - 1)", COMMA F("alpha"))
ROW(softplus, "beta:float=1 threshold:float=20", NOTHING, "beta x > threshold ? x : log(1 + e^(beta x)) / beta",
    COMMA F("beta") COMMA F("threshold"))
ROW(threshold, "threshold:float value:float", NOTHING, "x > threshold ? x : value",
    COMMA F("threshold") COMMA F("value"))
ROW(hardtanh, "min_val:float=-1 max_val:float=1", NOTHING, "min(max(x, min_val), max_val)",
    COMMA F("min_val") COMMA F("max_val"))

static bool call_gelu(reel_call_args *args)
{
    int kind = reel_args_has(args, "approximate") ? reel_args_choice(args, "approximate", "none tanh") : 0;
    return kind >= 0 && reel_args_return(args, reel_gelu(reel_args_input(args, 0), &(reel_gelu_opts) { kind == 1 }));
}

static bool call_glu(reel_call_args *args)
{
    int64_t dim = reel_args_int(args, "dim");
    if (dim != (int)dim) dim = REEL_MAX_DIMS;
    return reel_args_return(args, reel_glu(reel_args_input(args, 0), (int)dim));
}

static bool call_prelu(reel_call_args *args)
{
    return reel_args_return(args, reel_prelu(reel_args_input(args, 0), reel_args_input(args, 1)));
}

/* Ends may be numbers or tensors. */
static bool call_clamp(reel_call_args *args)
{
    reel_tensor *y = reel_args_input(args, 0), *low = reel_args_input(args, 1), *high = reel_args_input(args, 2);
    bool min = reel_args_has(args, "min"), max = reel_args_has(args, "max");
    if (!low && !high && !min && !max)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "clamp: give min, max or both") != NULL;
    if (!low && !high)
        return reel_args_return(args, reel_clamp(y, min ? F("min") : -INFINITY, max ? F("max") : INFINITY));
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        if (low) y = reel_where(reel_lt(y, low), low, y);
        if (min) y = reel_clamp(y, F("min"), INFINITY);
        if (high) y = reel_where(reel_gt(y, high), high, y);
        if (max) y = reel_clamp(y, -INFINITY, F("max"));
        for (int i = 0; i < 2; i++) { // comparisons pass over a NaN among the ends
            reel_tensor *end = i ? high : low;
            if (end && reel_dtype_is_float(reel_dtype_of(end))) y = reel_masked_fill(y, reel_isnan(end), NAN);
        }
        reel_scope_return(y);
    }
    return reel_args_return(args, y);
}

const reel_function reel_fn_gelu = { .name = "gelu",
                                     .inputs = "input",
                                     .attrs = "approximate:string=none",
                                     .call = call_gelu,
                                     .formula = "x Phi(x), or x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
                                     .shapes = "input: any -> the same",
                                     .errors = "none of its own",
                                     .orders = -1 };
const reel_function reel_fn_glu = { .name = "glu",
                                    .inputs = "input",
                                    .attrs = "dim:int=-1",
                                    .call = call_glu,
                                    .formula = "a sigmoid(b) of the halves a, b along dim",
                                    .shapes = "input: [.., 2 C, ..] -> [.., C, ..]",
                                    .errors = "an axis of odd size",
                                    .orders = -1 };
const reel_function reel_fn_prelu = { .name = "prelu",
                                      .inputs = "input weight",
                                      .call = call_prelu,
                                      .formula = "x > 0 ? x : weight x",
                                      .shapes = "input: [N, C, ..]; weight: [C] or [1] -> [N, C, ..]",
                                      .errors = "a weight with neither 1 number nor one for each channel (size of axis "
                                                "1; an input of one axis has one channel)",
                                      .orders = -1 };
const reel_function reel_fn_clamp = { .name = "clamp",
                                      .inputs = "input min? max?",
                                      .attrs = "min:float=none max:float=none",
                                      .call = call_clamp,
                                      .formula = "min(max(x, min), max)",
                                      .shapes = "input: any -> the same",
                                      .errors = "neither min nor max",
                                      .orders = -1 };
