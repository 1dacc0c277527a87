// SPDX-License-Identifier: MIT
// Dropout kernels: a mask drawn by counter, applied as it is drawn.
#ifndef REEL_OPS_KERNELS_DROPOUT_H
#define REEL_OPS_KERNELS_DROPOUT_H

#include <reel/ops/kernels/dispatch.h>

/* Element i of n takes word i % 4 of Philox block `block` + i / 4 of stream `seed`: y = x * scale where that is at
 * least `threshold`, else 0. */
typedef void reel_dropout_fn(int64_t n, const void *x, uint64_t seed, uint64_t block, uint32_t threshold, double scale,
                             void *y);

typedef struct reel_dropout_kernels {
    reel_dropout_fn *f32, *f64;
} reel_dropout_kernels;

REEL_DECLARE_KERNELS(dropout)

#endif
