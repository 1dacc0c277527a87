// SPDX-License-Identifier: MIT
// Convolution of planes, for float32 and float64 (depthwise.inc).
#include <reel/ops/kernels/depthwise.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/depthwise.inc>
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/depthwise.inc>
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

#define KERNELS(t, type)                                                                                               \
    {                                                                                                                  \
        .lanes = REEL_VECTOR_BYTES / sizeof(type), .forward = forward_##t, .weight = weight_##t,                       \
        .part_rows = part_rows_##t,                                                                                    \
    }

const reel_depthwise_kernels REEL_KERNEL_TABLE(depthwise) = {
    .f32 = KERNELS(f32, float),
#if REEL_LARGE_F64
    .f64 = KERNELS(f64, double),
#endif
};
