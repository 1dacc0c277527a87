// SPDX-License-Identifier: MIT
// Elementwise ops: arithmetic, functions, activations, comparisons, selection and casts.
#ifndef REEL_OPS_POINTWISE_H
#define REEL_OPS_POINTWISE_H

#include <reel/core/op.h>

REEL_BEGIN

/* Everything here works element by element, is differentiable to any order where it is differentiable at all, and
 * broadcasts its operands as NumPy does: axes are aligned at the end, size 1 stretches. Operands of several dtypes are
 * cast to the one in which they meet (reel_dtype_promote); an operand of no axes takes part in that only when it is of
 * a higher kind (bool < integer < float), as in PyTorch. Conventions at kinks, infinities and NaN are PyTorch's. */

/* ---- Arithmetic: a op b. Integers stay integers (wrapping); div gives float32 for integers. ---- */
REEL_API reel_tensor *reel_add(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_sub(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_mul(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_div(reel_tensor *a, reel_tensor *b);
/* a to the power b. Integers: a negative exponent gives 0, except of 1 and -1. */
REEL_API reel_tensor *reel_pow(reel_tensor *a, reel_tensor *b);
/* NaN when either is NaN. Equal operands share the cotangent evenly. */
REEL_API reel_tensor *reel_maximum(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_minimum(reel_tensor *a, reel_tensor *b);
/* The angle of the point (x = b, y = a), in (-pi, pi]. */
REEL_API reel_tensor *reel_atan2(reel_tensor *a, reel_tensor *b);
/* a - b trunc(a / b), with the sign of a. An integer division by zero is an error. */
REEL_API reel_tensor *reel_fmod(reel_tensor *a, reel_tensor *b);
/* a - b floor(a / b), with the sign of b. An integer division by zero is an error. */
REEL_API reel_tensor *reel_remainder(reel_tensor *a, reel_tensor *b);
/* sqrt(a^2 + b^2) without overflow. */
REEL_API reel_tensor *reel_hypot(reel_tensor *a, reel_tensor *b);

/* The same with a number. An integer tensor becomes float32 when the number is not whole. */
REEL_API reel_tensor *reel_add_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_sub_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_rsub_scalar(reel_tensor *x, double s); /* s - x */
REEL_API reel_tensor *reel_mul_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_div_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_pow_scalar(reel_tensor *x, double p);
REEL_API reel_tensor *reel_maximum_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_minimum_scalar(reel_tensor *x, double s);

/* ---- Functions of one operand. Integers become float32, but stay in abs, neg, square, sign and the roundings. ---- */
REEL_API reel_tensor *reel_abs(reel_tensor *x); /* derivative 0 at 0 */
REEL_API reel_tensor *reel_neg(reel_tensor *x);
REEL_API reel_tensor *reel_sign(reel_tensor *x); /* -1, 0 or 1; derivative 0 */
REEL_API reel_tensor *reel_square(reel_tensor *x);
REEL_API reel_tensor *reel_sqrt(reel_tensor *x);
REEL_API reel_tensor *reel_rsqrt(reel_tensor *x);      /* 1 / sqrt(x) */
REEL_API reel_tensor *reel_reciprocal(reel_tensor *x); /* 1 / x       */
REEL_API reel_tensor *reel_exp(reel_tensor *x);
REEL_API reel_tensor *reel_expm1(reel_tensor *x); /* e^x - 1, exact near 0     */
REEL_API reel_tensor *reel_log(reel_tensor *x);
REEL_API reel_tensor *reel_log1p(reel_tensor *x); /* log(1 + x), exact near 0  */
REEL_API reel_tensor *reel_log2(reel_tensor *x);
REEL_API reel_tensor *reel_log10(reel_tensor *x);
REEL_API reel_tensor *reel_sin(reel_tensor *x);
REEL_API reel_tensor *reel_cos(reel_tensor *x);
REEL_API reel_tensor *reel_tan(reel_tensor *x);
REEL_API reel_tensor *reel_asin(reel_tensor *x);
REEL_API reel_tensor *reel_acos(reel_tensor *x);
REEL_API reel_tensor *reel_atan(reel_tensor *x);
REEL_API reel_tensor *reel_sinh(reel_tensor *x);
REEL_API reel_tensor *reel_cosh(reel_tensor *x);
REEL_API reel_tensor *reel_tanh(reel_tensor *x);
REEL_API reel_tensor *reel_asinh(reel_tensor *x);
REEL_API reel_tensor *reel_acosh(reel_tensor *x);
REEL_API reel_tensor *reel_atanh(reel_tensor *x);
REEL_API reel_tensor *reel_erf(reel_tensor *x);
REEL_API reel_tensor *reel_erfc(reel_tensor *x); /* 1 - erf(x), exact for large x */
/* Roundings; their derivative is 0. round takes halves to the even neighbour. */
REEL_API reel_tensor *reel_floor(reel_tensor *x);
REEL_API reel_tensor *reel_ceil(reel_tensor *x);
REEL_API reel_tensor *reel_trunc(reel_tensor *x);
REEL_API reel_tensor *reel_round(reel_tensor *x);

/* ---- Activations ---- */
REEL_API reel_tensor *reel_sigmoid(reel_tensor *x);     /* 1 / (1 + e^-x)                                  */
REEL_API reel_tensor *reel_logsigmoid(reel_tensor *x);  /* log sigmoid(x), exact for large |x|             */
REEL_API reel_tensor *reel_relu(reel_tensor *x);        /* max(x, 0); derivative 0 at 0                    */
REEL_API reel_tensor *reel_relu6(reel_tensor *x);       /* min(max(x, 0), 6)                               */
REEL_API reel_tensor *reel_silu(reel_tensor *x);        /* x sigmoid(x)                                    */
REEL_API reel_tensor *reel_mish(reel_tensor *x);        /* x tanh(log(1 + e^x)) (Misra 2019)               */
REEL_API reel_tensor *reel_selu(reel_tensor *x);        /* scaled elu (Klambauer et al. 2017)              */
REEL_API reel_tensor *reel_softsign(reel_tensor *x);    /* x / (1 + |x|)                                   */
REEL_API reel_tensor *reel_hardswish(reel_tensor *x);   /* x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019) */
REEL_API reel_tensor *reel_hardsigmoid(reel_tensor *x); /* min(max(x + 3, 0), 6) / 6                       */

/* x Phi(x) with Phi the normal distribution function (Hendrycks & Gimpel 2016); with `tanh` its approximation
 * x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. */
typedef struct reel_gelu_opts {
    bool tanh;
} reel_gelu_opts;
REEL_API reel_tensor *reel_gelu(reel_tensor *x, const reel_gelu_opts *opts);

/* x > 0 ? x : negative_slope x; PyTorch: 0.01. */
REEL_API reel_tensor *reel_leaky_relu(reel_tensor *x, double negative_slope);
REEL_API reel_tensor *reel_elu(reel_tensor *x, double alpha);  /* x > 0 ? x : alpha (e^x - 1); PyTorch: 1         */
REEL_API reel_tensor *reel_celu(reel_tensor *x, double alpha); /* x > 0 ? x : alpha (e^(x / alpha) - 1); PyTorch: 1 */
/* log(1 + e^(beta x)) / beta, and x itself where beta x > threshold; PyTorch: 1, 20. */
REEL_API reel_tensor *reel_softplus(reel_tensor *x, double beta, double threshold);
/* min(max(x, low), high), derivative 0 at and beyond the ends; PyTorch: -1, 1. Integers take the ends' whole parts. */
REEL_API reel_tensor *reel_hardtanh(reel_tensor *x, double low, double high);
/* x > threshold ? x : value. */
REEL_API reel_tensor *reel_threshold(reel_tensor *x, double threshold, double value);
/* x > 0 ? x : w x; weight has one element, or one for each channel (axis 1 of x, or its only axis). */
REEL_API reel_tensor *reel_prelu(reel_tensor *x, reel_tensor *weight);
/* The halves a, b of x along `dim`: a sigmoid(b). The axis must have an even size. */
REEL_API reel_tensor *reel_glu(reel_tensor *x, int dim);

/* min(max(x, low), high), derivative 1 at the ends and 0 beyond; -INFINITY and INFINITY leave an end open. */
REEL_API reel_tensor *reel_clamp(reel_tensor *x, double low, double high);

/* ---- Comparisons and logic: bool results, no derivative. Zero is false, all else (NaN too) is true. ---- */
REEL_API reel_tensor *reel_eq(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_ne(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_lt(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_le(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_gt(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_ge(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_eq_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_ne_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_lt_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_le_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_gt_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_ge_scalar(reel_tensor *x, double s);
REEL_API reel_tensor *reel_logical_and(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_logical_or(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_logical_xor(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_logical_not(reel_tensor *x);
REEL_API reel_tensor *reel_isnan(reel_tensor *x);
REEL_API reel_tensor *reel_isinf(reel_tensor *x);
REEL_API reel_tensor *reel_isfinite(reel_tensor *x);

/* ---- Selection and combination ---- */
/* condition ? a : b; condition is bool. */
REEL_API reel_tensor *reel_where(reel_tensor *condition, reel_tensor *a, reel_tensor *b);
/* mask ? value : x, in x's dtype: integers take the whole part of value, bools whether it is not 0. */
REEL_API reel_tensor *reel_masked_fill(reel_tensor *x, reel_tensor *mask, double value);
/* a + w (b - a), exact at both ends. */
REEL_API reel_tensor *reel_lerp(reel_tensor *a, reel_tensor *b, reel_tensor *w);
REEL_API reel_tensor *reel_lerp_scalar(reel_tensor *a, reel_tensor *b, double w);
/* x + value a b (of integers with the whole part of value an integer), and x + value a / b. */
REEL_API reel_tensor *reel_addcmul(reel_tensor *x, reel_tensor *a, reel_tensor *b, double value);
REEL_API reel_tensor *reel_addcdiv(reel_tensor *x, reel_tensor *a, reel_tensor *b, double value);

/* x in another dtype; x itself when it is of that dtype already. Floats are truncated towards zero to integers (NaN and
 * values out of range give any number); bool is "not zero". Differentiable between floats. */
REEL_API reel_tensor *reel_cast(reel_tensor *x, reel_dtype dtype);

REEL_END

#endif
