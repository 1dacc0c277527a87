// SPDX-License-Identifier: MIT
// Affine grids for both dtypes.
#include <reel/ops/kernels/affine.h>
#include <string.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/sample_points.inc>
#include <reel/ops/kernels/affine.inc>
#undef INLINE
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>

#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/sample_points.inc>
#include <reel/ops/kernels/affine.inc>
#undef INLINE
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>
// clang-format on

const reel_affine_kernels REEL_KERNEL_TABLE(affine) = {
    .f32 = { .row = row_f32, .moments = moments_f32 },
    .f64 = { .row = row_f64, .moments = moments_f64 },
};
