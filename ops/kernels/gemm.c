// SPDX-License-Identifier: MIT
// Register tiles of matrix products, for float32 and float64 (gemm.inc).
#include <reel/ops/kernels/gemm.h>

#if defined(REEL_ISA_IS_AVX512)
#define MAX_VECTORS 4
#else
#define MAX_VECTORS 2
#endif

#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/gemm.inc>

#include <reel/ops/kernels/simd_end.h>

#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/gemm.inc>

#include <reel/ops/kernels/simd_end.h>

#if MAX_VECTORS == 4
#define ROW(rows, t)                                                                                                   \
    {                                                                                                                  \
        tile_##rows##x1_##t, tile_##rows##x2_##t, tile_##rows##x3_##t, tile_##rows##x4_##t                             \
    }
#else
#define ROW(rows, t)                                                                                                   \
    {                                                                                                                  \
        tile_##rows##x1_##t, tile_##rows##x2_##t                                                                       \
    }
#endif
#define KERNELS(t, type)                                                                                               \
    {                                                                                                                  \
        .lanes = REEL_VECTOR_BYTES / sizeof(type), .max_vectors = MAX_VECTORS,                                         \
        .tile = { ROW(1, t), ROW(2, t), ROW(3, t), ROW(4, t), ROW(5, t), ROW(6, t) }, .transpose = transpose_##t,      \
    }

const reel_gemm_kernels REEL_KERNEL_TABLE(gemm) = { .f32 = KERNELS(f32, float), .f64 = KERNELS(f64, double) };
