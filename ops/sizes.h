// SPDX-License-Identifier: MIT
// What ops that cut their work into pieces count and address with. For .c files alone.
#ifndef REEL_OPS_SIZES_H
#define REEL_OPS_SIZES_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Blocks of `size` that hold n. */
static inline int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }
static inline int64_t round_up(int64_t n, int64_t unit) { return blocks(n, unit) * unit; }

/* Element `index` of elements of that size. */
static inline void *at(const void *base, int64_t index, size_t size) { return (char *)base + index * (int64_t)size; }

#endif
