// SPDX-License-Identifier: MIT
// Softmax kernels of one instruction set.
#include <math.h>
#include <reel/ops/kernels/softmax.h>

// clang-format off
#define REEL_F32
#include "simd_begin.h"
#include "simd_math.inc"

#include "simd_part.inc"
#include "softmax.inc"
#include "simd_end.h"
// clang-format on

// clang-format off
#if REEL_LARGE_F64
#define REEL_F64
#include "simd_begin.h"
#include "simd_math.inc"

#include "simd_part.inc"
#include "softmax.inc"
#include "simd_end.h"
#endif
// clang-format on

#if REEL_LARGE_F64
#define BOTH(name) { name##_f32, name##_f64 }
#else
#define BOTH(name) { name##_f32 }
#endif

const reel_softmax_kernels REEL_KERNEL_TABLE(softmax) = {
    .lines = BOTH(softmax_lines),
    .columns = BOTH(softmax_columns),
};
