// SPDX-License-Identifier: MIT
// Reduction kernels of floats: contiguous lines to one number each, and rows of columns to one row.
#ifndef REEL_OPS_KERNELS_REDUCE_H
#define REEL_OPS_KERNELS_REDUCE_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* Results are gathered in 8-byte accumulators, float64 here (int64 where integers are counted or added). */
typedef union reel_acc {
    double f;
    int64_t i;
} reel_acc;

typedef enum reel_gather_kind { REEL_GATHER_SUM, REEL_GATHER_MAX, REEL_GATHER_PROD } reel_gather_kind;

/* What is gathered in place of x. */
typedef enum reel_reduce_map {
    REEL_MAP_NONE,
    REEL_MAP_NEG,
    REEL_MAP_ABS,
    REEL_MAP_NEG_ABS,
    REEL_MAP_SQUARE, /* (x - aux)^2  */
    REEL_MAP_EXP,    /* exp(x - aux) */
    REEL_MAP_POW     /* |x|^param    */
} reel_reduce_map;

/* acc[j] joins x[j * stride + i], 0 <= i < n, for j in [0, m). */
typedef void reel_reduce_lines_fn(int64_t m, int64_t n, const void *x, int64_t stride, reel_acc *acc);

/* acc[j] joins x[i * stride + j], 0 <= i < rows, for j in [0, n). */
typedef void reel_reduce_columns_fn(int64_t n, int64_t rows, const void *x, int64_t stride, reel_acc *acc);

/* out[j * n + i] = map of x[j * stride + i], 0 <= i < n, 0 <= j < m. aux (NULL: 0) has a number for each j, or with
 * `by_column` for each i. `out` has room for a vector more. */
typedef void reel_reduce_map_fn(reel_reduce_map map, int64_t m, int64_t n, const void *x, int64_t stride,
                                const void *aux, bool by_column, double param, void *out);

/* Index of the first largest of line[0 .. n) (with sign -1: the smallest), the first NaN if there is one; n > 0. */
typedef int64_t reel_arg_line_fn(int64_t n, const void *line, int sign);

/* The same down each of n columns of [rows, n] with `stride` from row to row. best: n elements of scratch. */
typedef void reel_arg_columns_fn(int64_t n, int64_t rows, const void *x, int64_t stride, int sign, void *best,
                                 int64_t *index);

/* By dtype: [float32, float64]. */
typedef struct reel_reduce_kernels {
    reel_reduce_lines_fn *lines[3][2]; /* [reel_gather_kind][dtype] */
    reel_reduce_columns_fn *columns[3][2];
    reel_reduce_map_fn *map[2];
    reel_arg_line_fn *arg_line[2];
    reel_arg_columns_fn *arg_columns[2];
} reel_reduce_kernels;

REEL_DECLARE_KERNELS(reduce)

#endif
