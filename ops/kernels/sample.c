// SPDX-License-Identifier: MIT
// Kernels of sampling for both dtypes.
#include <reel/ops/kernels/sample.h>
#include <string.h>
#if defined(REEL_ISA_IS_AVX512) || defined(REEL_ISA_IS_AVX2)
#include <immintrin.h>
#endif

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/sample_points.inc>
#include <reel/ops/kernels/sample.inc>
#include <reel/ops/kernels/sample_pairs.inc>
#include <reel/ops/kernels/sample_quads.inc>
#include <reel/ops/kernels/sample_texels.inc>
#include <reel/ops/kernels/sample_tiles.inc>
#include <reel/ops/kernels/sample_taps.inc>
#undef INLINE
#undef COLD
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/sample_points.inc>
#include <reel/ops/kernels/sample.inc>
#include <reel/ops/kernels/sample_pairs.inc>
#include <reel/ops/kernels/sample_taps.inc>
#undef INLINE
#undef COLD
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

const reel_sample_kernels REEL_KERNEL_TABLE(sample) = {
    .sample_f32 = sample_f32,
    .backward_f32 = backward_f32,
#if REEL_LARGE_F64
    .sample_f64 = sample_f64,
    .backward_f64 = backward_f64,
#endif
};
