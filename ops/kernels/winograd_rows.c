// SPDX-License-Identifier: MIT
// Winograd along rows for float32 and float64 (winograd_points.inc, winograd_rows.inc).
#include <reel/ops/kernels/winograd_rows.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/winograd_points.inc>
#include <reel/ops/kernels/winograd_rows.inc>
#include <reel/ops/kernels/simd_end.h>

#if REEL_WINOGRAD_ROWS_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/winograd_points.inc>
#include <reel/ops/kernels/winograd_rows.inc>
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

#define KERNELS(t) { .image = image_##t, .result = result_##t, .cotangent = cotangent_##t, .image_grad = image_grad_##t }

const reel_winograd_rows_kernels REEL_KERNEL_TABLE(winograd_rows) = {
    .f32 = KERNELS(f32),
#if !defined(__OPTIMIZE_SIZE__)
    .f32.line = line_f32,
#endif
#if REEL_WINOGRAD_ROWS_F64
    .f64 = KERNELS(f64),
#endif
};
