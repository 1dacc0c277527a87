// SPDX-License-Identifier: MIT
// A matrix product for sizes where a BLAS call costs more than it gives.
#ifndef REEL_OPS_KERNELS_MATMUL_H
#define REEL_OPS_KERNELS_MATMUL_H

#include <reel/ops/kernels/dispatch.h>

#define REEL_MATMUL_ROWS 6 /* that are summed side by side */

/* Strides in elements; rows of b and c are contiguous, and c overlaps nothing. */
typedef struct reel_matmul_kernels_of {
    int width; /* of a panel: columns that are summed side by side */
    /* c[i][j] = (accumulate ? c[i][j] : 0) + (bias ? bias[j] : 0) + sum over p of a[i][p] b[p][j], i < m, j < n, p < k, summed
     * in the order of p. Every 6 rows of a lie a_group apart. Meant for operands that fit the first two caches; any size is
     * right. */
    void (*small)(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column, int64_t a_group,
                  const void *b, int64_t b_row, void *c, int64_t c_row, const void *bias, bool accumulate);
    /* to = the k rows of b by panels: [panel][row][column], the last panel as wide as it is. */
    void (*pack)(int64_t k, int64_t n, const void *b, int64_t b_row, void *to);
    /* to = the m rows of a by groups of 6, interleaved: [group][column][row], the last one filled with zeros. Not
     * in the baseline. */
    void (*pack_rows)(int64_t m, int64_t k, const void *a, int64_t a_row, int64_t a_column, void *to);
} reel_matmul_kernels_of;

REEL_DECLARE_KERNELS_BY_DTYPE(matmul, reel_matmul_kernels_of, reel_matmul_of)

#endif
