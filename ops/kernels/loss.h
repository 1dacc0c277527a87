// SPDX-License-Identifier: MIT
// Loss kernels: log-sum-exp and the softmax gradient by rows and by columns, and binary cross-entropy.
#ifndef REEL_OPS_KERNELS_LOSS_H
#define REEL_OPS_KERNELS_LOSS_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* Pointers are to T = float or double. Classes are contiguous in a row, or `pitch` elements apart in a column. */
typedef struct reel_loss_fns {
    /* most[i] = max_c x[i][c], rest[i] = log sum_c exp(x[i][c] - most[i]): their sum has not the precision of both. With
     * sums: sums[i] = sum_c weight[c] (x[i][c] - most[i]) (weight NULL: ones). */
    void (*lse_rows)(int64_t rows, int64_t classes, const void *x, const void *weight, void *most, void *rest, void *sums);
    void (*lse_columns)(int64_t classes, int64_t columns, int64_t pitch, const void *x, const void *weight, void *most,
                        void *rest, void *sums);
    /* g[i][c] = scale[i] exp(x[i][c] - most[i] - rest[i]) - smooth[i] weight[c]; smooth may be NULL, weight too (ones). */
    void (*softmax_rows)(int64_t rows, int64_t classes, const void *x, const void *most, const void *rest,
                         const void *scale, const void *smooth, const void *weight, void *g);
    void (*softmax_columns)(int64_t classes, int64_t columns, int64_t pitch, const void *x, const void *most,
                            const void *rest, const void *scale, const void *smooth, const void *weight, void *g);
    /* y = -(t max(log x, -100) + (1 - t) max(log(1 - x), -100)); false when an x is outside [0, 1]. */
    bool (*binary_cross_entropy)(int64_t n, const void *x, const void *t, void *y);
} reel_loss_fns;

REEL_DECLARE_LARGE_KERNELS(loss, reel_loss_fns, reel_loss_fns_of)

#endif
