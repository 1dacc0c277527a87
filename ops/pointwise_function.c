// SPDX-License-Identifier: MIT
// Elementary functions of one tensor, each with its rule.
#include <reel/ops/pointwise_impl.h>

#include <math.h>

/* In a rule: the cotangent, the input, the output. */
#define G (vjp->cot[0])
#define X reel_vjp_input(vjp, 0)
#define Y reel_vjp_output(vjp, 0)

/* A rule, a descriptor, the public function and its table row. `prepare` makes the operand one the kernel takes. */
#define DESCRIPTOR(op, code, vjp_fn, prepare, text, refused)                                                           \
    static const reel_op op##_op = REEL_POINTWISE(#op, code, vjp_fn, 0);                         \
    reel_tensor *reel_##op(reel_tensor *x) { return reel_pointwise1(&op##_op, prepare(x)); }                           \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        return reel_args_return(args, reel_##op(reel_args_input(args, 0)));                                            \
    }                                                                                                                  \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input",                                                            \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input: any -> the same",                                           \
                                         .errors = refused,                                                            \
                                         .orders = -1 };
#define FUNCTION(op, code, prepare, text, rule)                                                                        \
    static bool vjp_##op(reel_vjp *vjp)                                                                                \
    {                                                                                                                  \
        vjp->grad[0] = rule;                                                                                           \
        return true;                                                                                                   \
    }                                                                                                                  \
    DESCRIPTOR(op, code, vjp_##op, prepare, text, prepare##_refuses)

static reel_tensor *as_it_is(reel_tensor *x) { return x; }

/* Bools as int64. */
static reel_tensor *number(reel_tensor *x) { return x && reel_dtype_of(x) == REEL_BOOL ? reel_cast(x, REEL_I64) : x; }

#define as_float reel_pointwise_as_float
#define as_it_is_refuses "bools"
#define number_refuses "none of its own"
#define as_float_refuses "none of its own"

#define LOG_2 0.69314718055994530942
#define LOG_10 2.30258509299404568402
#define TWO_OVER_SQRT_PI 1.12837916709551257390

FUNCTION(abs, ABS, as_it_is, "|x|", reel_mul(G, reel_sign(X)))
FUNCTION(neg, NEG, as_it_is, "-x", reel_neg(G))
FUNCTION(square, SQUARE, number, "x^2", reel_mul(G, reel_mul_scalar(X, 2)))
FUNCTION(sqrt, SQRT, as_float, "sqrt(x)", reel_div(G, reel_mul_scalar(Y, 2)))
FUNCTION(rsqrt, RSQRT, as_float, "1 / sqrt(x)", reel_mul(reel_mul_scalar(G, -0.5), reel_pow_scalar(Y, 3)))
FUNCTION(reciprocal, RECIPROCAL, as_float, "1 / x", reel_neg(reel_mul(G, reel_square(Y))))
FUNCTION(exp, EXP, as_float, "e^x", reel_mul(G, Y))
FUNCTION(expm1, EXPM1, as_float, "e^x - 1", reel_mul(G, reel_add_scalar(Y, 1)))
FUNCTION(log, LOG, as_float, "log x", reel_div(G, X))
FUNCTION(log1p, LOG1P, as_float, "log(1 + x)", reel_div(G, reel_add_scalar(X, 1)))
FUNCTION(log2, LOG2, as_float, "log x / log 2", reel_div(G, reel_mul_scalar(X, LOG_2)))
FUNCTION(log10, LOG10, as_float, "log x / log 10", reel_div(G, reel_mul_scalar(X, LOG_10)))
FUNCTION(sin, SIN, as_float, "sin x", reel_mul(G, reel_cos(X)))
FUNCTION(cos, COS, as_float, "cos x", reel_neg(reel_mul(G, reel_sin(X))))
FUNCTION(tan, TAN, as_float, "tan x", reel_mul(G, reel_add_scalar(reel_square(Y), 1)))
FUNCTION(asin, ASIN, as_float, "arcsin x", reel_mul(G, reel_rsqrt(reel_rsub_scalar(reel_square(X), 1))))
FUNCTION(acos, ACOS, as_float, "arccos x", reel_neg(reel_mul(G, reel_rsqrt(reel_rsub_scalar(reel_square(X), 1)))))
FUNCTION(atan, ATAN, as_float, "arctan x", reel_div(G, reel_add_scalar(reel_square(X), 1)))
FUNCTION(sinh, SINH, as_float, "sinh x", reel_mul(G, reel_cosh(X)))
FUNCTION(cosh, COSH, as_float, "cosh x", reel_mul(G, reel_sinh(X)))
FUNCTION(tanh, TANH, as_float, "tanh x", reel_tanh_grad(Y, G))
FUNCTION(asinh, ASINH, as_float, "arsinh x", reel_mul(G, reel_rsqrt(reel_add_scalar(reel_square(X), 1))))
FUNCTION(acosh, ACOSH, as_float, "arcosh x", reel_mul(G, reel_rsqrt(reel_sub_scalar(reel_square(X), 1))))
FUNCTION(atanh, ATANH, as_float, "artanh x", reel_div(G, reel_rsub_scalar(reel_square(X), 1)))
FUNCTION(erf, ERF, as_float, "2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x",
         reel_mul(G, reel_mul_scalar(reel_exp(reel_neg(reel_square(X))), TWO_OVER_SQRT_PI)))
FUNCTION(erfc, ERFC, as_float, "1 - erf x",
         reel_mul(G, reel_mul_scalar(reel_exp(reel_neg(reel_square(X))), -TWO_OVER_SQRT_PI)))
FUNCTION(sigmoid, SIGMOID, as_float, "1 / (1 + e^-x)", reel_sigmoid_grad(Y, G))
DESCRIPTOR(sign, SIGN, reel_pointwise_vjp_zero, as_it_is, "-1, 0 or 1", number_refuses)

/* Roundings leave integers alone. */
#define ROUNDING(op, code)                                                                                             \
    static const reel_op op##_op = REEL_POINTWISE(#op, code, reel_pointwise_vjp_zero, 0);        \
    reel_tensor *reel_##op(reel_tensor *x)                                                                             \
    {                                                                                                                  \
        return x && !reel_dtype_is_float(reel_dtype_of(x)) ? x : reel_pointwise1(&op##_op, x);                         \
    }
#define ROUNDING_ROW(op, attributes, text)                                                                             \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input",                                                            \
                                         .attrs = attributes,                                                          \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input: any -> the same",                                           \
                                         .errors = "none of its own",                                                  \
                                         .orders = -1 };
ROUNDING(floor, FLOOR)
ROUNDING(ceil, CEIL)
ROUNDING(trunc, TRUNC)
ROUNDING(round, ROUND)

/* ---- g (1 - y^2): tanh's cotangent in one kernel, and its own rule. ---- */

static bool vjp_tanh_grad(reel_vjp *vjp)
{
    reel_tensor *c = vjp->cot[0], *y = reel_vjp_input(vjp, 0), *g = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_mul(reel_mul(c, g), reel_mul_scalar(y, -2));
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_tanh_grad(y, c);
    return true;
}

static const reel_op tanh_grad_op = REEL_POINTWISE("tanh_grad", TANH_GRAD, vjp_tanh_grad, 0);

reel_tensor *reel_tanh_grad(reel_tensor *y, reel_tensor *g) { return reel_pointwise2(&tanh_grad_op, y, g); }

/* g y (1 - y): sigmoid's. */
static bool vjp_sigmoid_grad(reel_vjp *vjp)
{
    reel_tensor *c = vjp->cot[0], *y = reel_vjp_input(vjp, 0), *g = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_mul(reel_mul(c, g), reel_rsub_scalar(reel_mul_scalar(y, 2), 1));
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_sigmoid_grad(y, c);
    return true;
}

static const reel_op sigmoid_grad_op =
    REEL_POINTWISE("sigmoid_grad", SIGMOID_GRAD, vjp_sigmoid_grad, 0);

reel_tensor *reel_sigmoid_grad(reel_tensor *y, reel_tensor *g) { return reel_pointwise2(&sigmoid_grad_op, y, g); }

/* ---- Rows of the roundings. ---- */

static bool call_floor(reel_call_args *args) { return reel_args_return(args, reel_floor(reel_args_input(args, 0))); }
static bool call_ceil(reel_call_args *args) { return reel_args_return(args, reel_ceil(reel_args_input(args, 0))); }
static bool call_trunc(reel_call_args *args) { return reel_args_return(args, reel_trunc(reel_args_input(args, 0))); }

/* decimals > 0 keeps as many places, < 0 rounds to tens, hundreds ... */
static bool call_round(reel_call_args *args)
{
    reel_tensor *x = reel_args_input(args, 0), *y = NULL;
    double scale = pow(10, (double)reel_args_int(args, "decimals"));
    if (scale == 1) return reel_args_return(args, reel_round(x));
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        y = reel_scope_return(reel_div_scalar(reel_round(reel_mul_scalar(x, scale)), scale));
    }
    return reel_args_return(args, y);
}

ROUNDING_ROW(floor, NULL, "the largest whole number <= x")
ROUNDING_ROW(ceil, NULL, "the smallest whole number >= x")
ROUNDING_ROW(trunc, NULL, "x without its fraction")
ROUNDING_ROW(round, "decimals:int=0", "the nearest whole number, halves to the even one")
