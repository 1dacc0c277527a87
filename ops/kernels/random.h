// SPDX-License-Identifier: MIT
// Kernels that draw by counter: words of Philox, normal draws, and dropout's mask, applied as it is drawn.
#ifndef REEL_OPS_KERNELS_RANDOM_H
#define REEL_OPS_KERNELS_RANDOM_H

#include <reel/ops/kernels/dispatch.h>

/* The four words of each Philox block from `block` of stream `seed` on; `blocks` is a multiple of 16. */
typedef void reel_words_fn(int64_t blocks, uint64_t seed, uint64_t block, uint32_t *word);

/* n draws of N(mean, std^2) from `block` on, two from every two uniform ones: four words of float32 make four draws,
 * of float64 two. */
typedef void reel_normal_fn(int64_t n, uint64_t seed, uint64_t block, double mean, double std, void *y);

/* Element i of n takes word i % 4 of Philox block `block` + i / 4 of stream `seed`: y = x * scale where that is at
 * least `threshold`, else 0. */
typedef void reel_dropout_fn(int64_t n, const void *x, uint64_t seed, uint64_t block, uint32_t threshold, double scale,
                             void *y);

/* By dtype: [float32, float64]. */
typedef struct reel_random_kernels {
    reel_words_fn *words;
    reel_normal_fn *normal[2];
    reel_dropout_fn *dropout[2];
} reel_random_kernels;

REEL_DECLARE_KERNELS(random)

#endif
