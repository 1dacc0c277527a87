// SPDX-License-Identifier: MIT
// Products of matrices and vectors, batched and broadcast.
//
// Operands are float32 or float64, both of one dtype. Transposed and broadcast operands are read where they are.
#ifndef REEL_OPS_MATMUL_H
#define REEL_OPS_MATMUL_H

#include <reel/core/op.h>
#include <reel/ops/einsum.h>

REEL_BEGIN

/* torch.matmul: [..., M, K] x [..., K, N] -> [..., M, N], leading axes broadcast. A vector on the left is a row [1, K],
 * on the right a column [K, 1], and that axis goes away again: [K] x [K] is a scalar. Sizes may be 0 (an empty sum is
 * 0). */
REEL_API reel_tensor *reel_matmul(reel_tensor *a, reel_tensor *b);

/* The same where ranks are fixed: [M, K] x [K, N]; [B, M, K] x [B, K, N]; [M, K] x [K]; [K] x [K]; [M] x [N] -> [M, N].
 */
REEL_API reel_tensor *reel_mm(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_bmm(reel_tensor *a, reel_tensor *b);
REEL_API reel_tensor *reel_mv(reel_tensor *a, reel_tensor *x);
REEL_API reel_tensor *reel_dot(reel_tensor *x, reel_tensor *y);
REEL_API reel_tensor *reel_outer(reel_tensor *x, reel_tensor *y);

/* beta * input + alpha * (a x b), with input broadcast to [M, N] and [B, M, N]. With beta 0 the input is not read. */
REEL_API reel_tensor *reel_addmm(reel_tensor *input, reel_tensor *a, reel_tensor *b, double beta, double alpha);
REEL_API reel_tensor *reel_baddbmm(reel_tensor *input, reel_tensor *a, reel_tensor *b, double beta, double alpha);

/* y = x w^T + bias: x: [..., K], w: [N, K] (or [K]: no last axis in y), bias: [N] or NULL -> [..., N]. */
REEL_API reel_tensor *reel_linear(reel_tensor *x, reel_tensor *w, reel_tensor *bias);

/* y[..., n] = sum over i, j of x1[..., i] w[n, i, j] x2[..., j] + bias[n]; bias may be NULL. */
REEL_API reel_tensor *reel_bilinear(reel_tensor *x1, reel_tensor *x2, reel_tensor *w, reel_tensor *bias);

REEL_END

#endif
