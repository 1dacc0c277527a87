// SPDX-License-Identifier: MIT
// Reductions: sums, products, extremes, moments and norms over any axes.
//
// `dims` lists the axes to reduce: any number of them, negative ones count from the end, none at all (REEL_ALL_DIMS)
// means every axis. With `keepdim` they stay as axes of size 1. An axis that is out of range or named twice is an
// error. Every sum has a fixed shape (blocks cut by the tensor's sizes, added in one order; float32 is gathered in
// float64), so results have the same bits at any number of threads.
#ifndef REEL_OPS_REDUCE_H
#define REEL_OPS_REDUCE_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Sum; of no elements 0. Integers and bool give int64. d x = cotangent, spread over the axes. */
REEL_API reel_tensor *reel_sum(reel_tensor *x, reel_dims dims, bool keepdim);

/* Sum / count; of no elements NaN. Floating point only. */
REEL_API reel_tensor *reel_mean(reel_tensor *x, reel_dims dims, bool keepdim);

/* Product; of no elements 1. Integers and bool give int64. d x_i = cotangent * product of the others, zeros included.
 */
REEL_API reel_tensor *reel_prod(reel_tensor *x, reel_dims dims, bool keepdim);

/* Largest and smallest element; NaN if there is one. No elements are an error. Elements that tie share the cotangent
 * evenly. */
REEL_API reel_tensor *reel_amax(reel_tensor *x, reel_dims dims, bool keepdim);
REEL_API reel_tensor *reel_amin(reel_tensor *x, reel_dims dims, bool keepdim);

/* log(sum(exp(x))), computed as m + log(sum(exp(x - m))) with m the largest; of no elements, or of -inf alone, -inf.
 * d x = cotangent * exp(x - result), and 0 where the result is -inf. Integers are taken as float32. */
REEL_API reel_tensor *reel_logsumexp(reel_tensor *x, reel_dims dims, bool keepdim);

/* Whether any, or every, element is other than zero (NaN is other); bool. Of no elements: false, true. */
REEL_API reel_tensor *reel_any(reel_tensor *x, reel_dims dims, bool keepdim);
REEL_API reel_tensor *reel_all(reel_tensor *x, reel_dims dims, bool keepdim);

/* How many elements are not zero; int64. */
REEL_API reel_tensor *reel_count_nonzero(reel_tensor *x, reel_dims dims);

typedef struct reel_arg_opts {
    reel_dims dim; /* at most one axis; none (the default): the index into the flattened tensor */
    bool keepdim;
} reel_arg_opts;

/* Index (int64) of the first largest, or smallest, element along an axis; the first NaN if there is one. No elements
 * are an error. Not differentiable. */
REEL_API reel_tensor *reel_argmax(reel_tensor *x, const reel_arg_opts *opts);
REEL_API reel_tensor *reel_argmin(reel_tensor *x, const reel_arg_opts *opts);

typedef struct reel_var_opts {
    bool keepdim;
    bool biased;       /* divide by the count: correction 0                                        */
    double correction; /* divide by max(0, count - correction); 0 means 1, or 0 when `biased` is set */
} reel_var_opts;

/* Variance sum((x - mean)^2) / (count - correction), from the mean by a second pass, and its square root. The default
 * is unbiased (correction 1, Bessel's). Where count <= correction: NaN or infinity, as the division says. Floating
 * point only. */
REEL_API reel_tensor *reel_var(reel_tensor *x, reel_dims dims, const reel_var_opts *opts);
REEL_API reel_tensor *reel_std(reel_tensor *x, reel_dims dims, const reel_var_opts *opts);

/* The p-norm (sum |x|^p)^(1/p); p = 0 counts what is not zero, p = inf and -inf are the largest and smallest |x|. Its
 * gradient at 0 is 0. No elements give 0, and are an error for p < 0 and p = inf. Floating point only. */
REEL_API reel_tensor *reel_norm(reel_tensor *x, double p, reel_dims dims, bool keepdim);

/* Sums a broadcast back: x's shape must be what `shape` broadcasts to, and the result has `shape`. x itself when the
 * shapes are equal. */
REEL_API reel_tensor *reel_sum_to(reel_tensor *x, reel_shape shape);

REEL_END

#endif
