// SPDX-License-Identifier: MIT
// Strided copies: rows where both sides are contiguous, blocks transposed in registers where each has its own fast axis.
#include <reel/ops/kernels/copy.h>

#include <string.h>

#define SHUFFLE __builtin_shufflevector

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
