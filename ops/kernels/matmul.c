// SPDX-License-Identifier: MIT
// Small matrix products: up to 6 rows by 4 vectors of c in registers, b read straight from its rows.
#include <reel/ops/kernels/matmul.h>

#if defined(REEL_ISA_IS_AVX512) || defined(REEL_ISA_IS_AVX2)
#include <immintrin.h>
#endif
#if defined(REEL_ISA_IS_AVX512)
#define PANEL 4 /* vectors of a row of c: 24 of 32 registers hold c */
#else
#define PANEL 2 /* 12 of 16 registers hold c */
#endif

// clang-format off
#define REEL_F32
#include "simd_begin.h"
#include "matmul.inc"
#include "simd_end.h"

#define REEL_F64
#include "simd_begin.h"
#include "matmul.inc"
#include "simd_end.h"
// clang-format on

const reel_matmul_kernels REEL_KERNEL_TABLE(matmul) = { .small_f32 = small_f32,
                                                        .small_f64 = small_f64,
                                                        .pack_f32 = pack_f32,
                                                        .pack_f64 = pack_f64,
                                                        .panel_f32 = PANEL * REEL_VECTOR_BYTES / 4,
                                                        .panel_f64 = PANEL * REEL_VECTOR_BYTES / 8 };
