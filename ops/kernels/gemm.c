// SPDX-License-Identifier: MIT
// Matrix products by register tiles, for float32 and float64 (gemm.inc).
#include <reel/ops/kernels/gemm.h>

#if defined(REEL_ISA_IS_AVX512)
#define MAX_VECTORS 4
#else
#define MAX_VECTORS 2
#endif

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/gemm.inc>
#undef v_transpose
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/gemm.inc>
#undef v_transpose
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

#if REEL_VECTOR_BYTES > 16
#define MULTIPLY_RUNS(t) multiply_runs_##t
#else
#define MULTIPLY_RUNS(t) NULL
#endif

#define KERNELS(t, type)                                                                                               \
    {                                                                                                                  \
        .lanes = REEL_VECTOR_BYTES / sizeof(type), .max_vectors = MAX_VECTORS, .multiply = multiply_##t,               \
        .multiply_row = multiply_row_##t, .multiply_runs = MULTIPLY_RUNS(t), .transpose = transpose_##t,               \
    }

const reel_gemm_kernels REEL_KERNEL_TABLE(gemm) = {
    .f32 = KERNELS(f32, float),
#if REEL_LARGE_F64
    .f64 = KERNELS(f64, double),
#endif
};
