// SPDX-License-Identifier: MIT
// Winograd's transforms for float32 and float64 and tiles of 2, 4 and 6 (winograd_points.inc, winograd.inc).
#include <reel/ops/kernels/winograd.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/winograd_points.inc>
#include <reel/ops/kernels/winograd_edges.inc>
#define M 2
#include <reel/ops/kernels/winograd.inc>
#define M 4
#include <reel/ops/kernels/winograd.inc>
#define M 6
#include <reel/ops/kernels/winograd.inc>
#undef v_transpose
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/winograd_points.inc>
#include <reel/ops/kernels/winograd_edges.inc>
#define M 2
#include <reel/ops/kernels/winograd.inc>
#define M 4
#include <reel/ops/kernels/winograd.inc>
#define M 6
#include <reel/ops/kernels/winograd.inc>
#undef v_transpose
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

#define KERNELS(m, t)                                                                                                  \
    {                                                                                                                  \
        .filter = filter##m##_##t, .image = image##m##_##t, .result = result##m##_##t,                                 \
        .cotangent = cotangent##m##_##t, .spread = spread##m##_##t, .weight = weight##m##_##t,                         \
    }

const reel_winograd_kernels REEL_KERNEL_TABLE(winograd) = {
    .f32 = { KERNELS(2, f32), KERNELS(4, f32), KERNELS(6, f32) },
#if REEL_LARGE_F64
    .f64 = { KERNELS(2, f64), KERNELS(4, f64), KERNELS(6, f64) },
#endif
};
