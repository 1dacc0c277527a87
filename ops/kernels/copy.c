// SPDX-License-Identifier: MIT
// Strided copies: rows where both sides are contiguous, blocks transposed in registers where each has its own fast axis.
#include <reel/ops/kernels/copy.h>

#include <string.h>

#define SHUFFLE __builtin_shufflevector

typedef uint8_t piece __attribute__((vector_size(32), aligned(1), may_alias));

/* n >= 64 bytes. Where rows do not begin with cache lines memcpy, by string instructions from some kilobytes on, takes three
 * times as long on Zen 3; what fits no cache it copies past them. */
static void copy_row(char *restrict to, const char *restrict from, size_t n)
{
    if (n > (size_t)1 << 18) {
        memcpy(to, from, n);
        return;
    }
    for (size_t i = 0; i + 64 <= n; i += 64) {
        piece a = *(const piece *)(from + i), b = *(const piece *)(from + i + 32);
        *(piece *)(to + i) = a;
        *(piece *)(to + i + 32) = b;
    }
    piece a = *(const piece *)(from + n - 64), b = *(const piece *)(from + n - 32);
    *(piece *)(to + n - 64) = a;
    *(piece *)(to + n - 32) = b;
}

#define U uint8_t
#define C(name) name##_8
#define BLOCK 0
#include "copy.inc"

#define U uint32_t
#define C(name) name##_32
#define BLOCK 8
#include "copy.inc"

#define U uint64_t
#define C(name) name##_64
#define BLOCK 4
#include "copy.inc"

static void copy(size_t element, const reel_copy_axes *axes, void *to, const void *from)
{
    switch (element) {
    case 1: copy_8(axes, to, from); break;
    case 4: copy_32(axes, to, from); break;
    default: copy_64(axes, to, from); break;
    }
}

const reel_copy_kernels REEL_KERNEL_TABLE(copy) = { .copy = copy };
