// SPDX-License-Identifier: MIT
// The elementwise kernels of one ISA, float32 and float64.
#include <reel/ops/kernels/pointwise.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/simd_math.inc>
#include <reel/ops/kernels/pointwise.inc>
#include <reel/ops/kernels/simd_end.h>

#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/simd_math.inc>
#include <reel/ops/kernels/pointwise.inc>
#include <reel/ops/kernels/pointwise_pow.inc>
#include <reel/ops/kernels/simd_end.h>
// clang-format on

const reel_pointwise_kernels REEL_KERNEL_TABLE(pointwise) = {
#define REEL_PW(code, name, inputs) [REEL_PW_##code] = { pw_##name##_f32, pw_##name##_f64 },
#define REEL_PW_SHARED(code)
    .fn = {
#include <reel/ops/kernels/pointwise.def>
    },
#undef REEL_PW
#undef REEL_PW_SHARED
};
