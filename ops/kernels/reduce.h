// SPDX-License-Identifier: MIT
// Reduction kernels: contiguous lines to one number each, and rows of columns to one row.
#ifndef REEL_OPS_KERNELS_REDUCE_H
#define REEL_OPS_KERNELS_REDUCE_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* What is gathered of each element x. SUMEXP and SUMDEV take a number per result, `aux`: exp(x - aux), (x - aux)^2. */
typedef enum reel_reduce_kind {
    REEL_REDUCE_SUM,
    REEL_REDUCE_PROD,
    REEL_REDUCE_MAX,
    REEL_REDUCE_MIN,
    REEL_REDUCE_COUNT, /* of what is not zero */
    REEL_REDUCE_SUMEXP,
    REEL_REDUCE_SUMDEV,
    REEL_REDUCE_SUMABS,
    REEL_REDUCE_MAXABS,
    REEL_REDUCE_MINABS,
    REEL_REDUCE_SUMPOW, /* |x|^param */
    REEL_REDUCE_KINDS
} reel_reduce_kind;

/* Results are gathered in 8-byte accumulators: int64 for COUNT and for integers, else float64. */
typedef union reel_acc {
    double f;
    int64_t i;
} reel_acc;

/* acc[j] joins what is gathered of x[j * stride + i], 0 <= i < n, for j in [0, m). aux[j] has x's type, or aux is NULL.
 */
typedef void reel_reduce_lines_fn(int64_t m, int64_t n, const void *x, int64_t stride, const void *aux, double param,
                                  reel_acc *acc);

/* acc[j] joins what is gathered of x[i * stride + j], 0 <= i < rows, for j in [0, n). */
typedef void reel_reduce_columns_fn(int64_t n, int64_t rows, const void *x, int64_t stride, const void *aux,
                                    double param, reel_acc *acc);

/* Index of the first largest (smallest) of line[0 .. n), the first NaN if there is one; n > 0. */
typedef int64_t reel_arg_line_fn(int64_t n, const void *line);

/* The same down each of n columns of a row-major [rows, n] with `stride` from row to row. best: n elements of scratch.
 */
typedef void reel_arg_columns_fn(int64_t n, int64_t rows, const void *x, int64_t stride, void *best, int64_t *index);

/* NULL where the kind does not take the dtype. */
typedef struct reel_reduce_kernels {
    reel_reduce_lines_fn *lines[REEL_REDUCE_KINDS][REEL_DTYPE_COUNT];
    reel_reduce_columns_fn *columns[REEL_REDUCE_KINDS][REEL_DTYPE_COUNT];
    reel_arg_line_fn *arg_line[2][REEL_DTYPE_COUNT]; /* [0] the largest, [1] the smallest */
    reel_arg_columns_fn *arg_columns[2][REEL_DTYPE_COUNT];
} reel_reduce_kernels;

REEL_DECLARE_KERNELS(reduce)

#endif
