// SPDX-License-Identifier: MIT
// Resizing kernels for both dtypes.
#include <reel/ops/kernels/interpolate.h>
#include <string.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/interpolate.inc>
#include <reel/ops/kernels/simd_end.h>

#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/interpolate.inc>
#include <reel/ops/kernels/simd_end.h>
// clang-format on

const reel_interpolate_kernels REEL_KERNEL_TABLE(interpolate) = {
    .resize_f32 = resize_f32,
    .resize_f64 = resize_f64,
    .adjoint_f32 = adjoint_f32,
    .adjoint_f64 = adjoint_f64,
};
