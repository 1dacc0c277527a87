// SPDX-License-Identifier: MIT
// Rows of indexed reads and sums, and the check of the indexes.
#ifndef REEL_OPS_KERNELS_INDEX_H
#define REEL_OPS_KERNELS_INDEX_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

typedef struct reel_index_kernels {
    /* The first place of an index outside [0, limit), or -1. */
    int64_t (*check)(int64_t n, const int64_t *index, int64_t limit);
    /* to[j] = from[index[j] * step + j * along] for j in [0, n); elements of 1, 4 or 8 bytes. */
    void (*take)(size_t element, int64_t n, void *to, const void *from, const int64_t *index, int64_t step,
                 int64_t along);
    /* By dtype, NULL for bool: to[index[j] * step + j * along] += from[j], in the order of j. Integers wrap around. */
    void (*add_at[REEL_DTYPE_COUNT])(int64_t n, void *to, const void *from, const int64_t *index, int64_t step,
                                     int64_t along);
    /* By dtype, NULL for bool: to[j] += from[j]. */
    void (*add[REEL_DTYPE_COUNT])(int64_t n, void *to, const void *from);
} reel_index_kernels;

REEL_DECLARE_KERNELS(index)

#endif
