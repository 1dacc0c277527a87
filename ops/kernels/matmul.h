// SPDX-License-Identifier: MIT
// A matrix product for sizes where a BLAS call costs more than it gives.
#ifndef REEL_OPS_KERNELS_MATMUL_H
#define REEL_OPS_KERNELS_MATMUL_H

#include <reel/ops/kernels/dispatch.h>

/* c[i][j] = (accumulate ? c[i][j] : bias ? bias[j] : 0) + sum over p of a[i][p] b[p][j], i < m, j < n, p < k, summed in
 * the order of p. Strides in elements: a's are any, rows of b and c are contiguous. c overlaps nothing. Meant for
 * operands that fit the first two caches; any size is right. */
typedef void reel_matmul_small_fn(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                                  const void *b, int64_t b_row, void *c, int64_t c_row, const void *bias,
                                  bool accumulate);

/* to = the k rows of b by panels of `panel` columns: [panel][row][column], the last panel as wide as it is. */
typedef void reel_matmul_pack_fn(int64_t k, int64_t n, const void *b, int64_t b_row, void *to);

typedef struct reel_matmul_kernels {
    reel_matmul_small_fn *small_f32, *small_f64;
    reel_matmul_pack_fn *pack_f32, *pack_f64;
    int panel_f32, panel_f64; /* columns that are summed side by side */
} reel_matmul_kernels;

REEL_DECLARE_KERNELS(matmul)

#endif
