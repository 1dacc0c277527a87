// SPDX-License-Identifier: MIT
// Small matrix products: up to 6 rows by 4 vectors of c in registers, b read straight from its rows.
#include <reel/ops/kernels/matmul.h>

#if defined(REEL_ISA_IS_AVX512) || defined(REEL_ISA_IS_AVX2)
#define PACKS 1
#else
#define PACKS 0 /* large products are BLAS's */
#endif
#if defined(REEL_ISA_IS_AVX512)
#define PANEL 4 /* vectors of a row of c: 24 of 32 registers hold c */
#else
#define PANEL 2 /* 12 of 16 registers hold c */
#endif

// clang-format off
#define REEL_F32
#include "simd_begin.h"
#include "transpose.inc"
#include "matmul.inc"
#undef v_transpose
#include "simd_end.h"

#define REEL_F64
#include "simd_begin.h"
#include "transpose.inc"
#include "matmul.inc"
#undef v_transpose
#include "simd_end.h"
// clang-format on

#if PACKS
#define PACK_ROWS(t) pack_rows_##t
#else
#define PACK_ROWS(t) NULL
#endif
#define KERNELS(t, bytes)                                                                                              \
    {                                                                                                                  \
        .width = PANEL * REEL_VECTOR_BYTES / bytes, .small = small_##t, .pack = pack_##t, .pack_rows = PACK_ROWS(t),   \
    }

const reel_matmul_kernels REEL_KERNEL_TABLE(matmul) = { .f32 = KERNELS(f32, 4), .f64 = KERNELS(f64, 8) };
