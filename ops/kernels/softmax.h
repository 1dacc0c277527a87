// SPDX-License-Identifier: MIT
// Softmax kernels: along contiguous lines, and down columns.
#ifndef REEL_OPS_KERNELS_SOFTMAX_H
#define REEL_OPS_KERNELS_SOFTMAX_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

typedef enum reel_softmax_kind {
    REEL_SOFTMAX,              /* out = exp(a - max) / sum(exp(a - max))          */
    REEL_LOG_SOFTMAX,          /* out = a - max - log(sum(exp(a - max)))          */
    REEL_SOFTMAX_BACKWARD,     /* out = b (a - sum(a b)): a cotangent, b output   */
    REEL_LOG_SOFTMAX_BACKWARD, /* out = a - exp(b) sum(a)                         */
} reel_softmax_kind;

/* m lines of n elements, one behind the other. b is NULL for the forward kinds. */
typedef void reel_softmax_lines_fn(reel_softmax_kind kind, int64_t m, int64_t n, const void *a, const void *b,
                                   void *out);

/* n columns of `rows` elements, `stride` from row to row in all three. */
typedef void reel_softmax_columns_fn(reel_softmax_kind kind, int64_t n, int64_t rows, int64_t stride, const void *a,
                                     const void *b, void *out);

typedef struct reel_softmax_kernels {
    reel_softmax_lines_fn *lines[2]; /* [float32, float64] */
    reel_softmax_columns_fn *columns[2];
} reel_softmax_kernels;

REEL_DECLARE_KERNELS(softmax)

#endif
