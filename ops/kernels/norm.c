// SPDX-License-Identifier: MIT
// Normalisation kernels, compiled once per instruction set for float and double.
#include <reel/ops/kernels/norm.h>

#include <math.h>

/* Elements whose sums are taken in one go: they stay in the first cache for a second pass, and errors stay small. */
#define BLOCK 4096
/* Rows whose column sums are. */
#define ROW_BLOCK 256

#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/norm.inc>

#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/norm.inc>

#include <reel/ops/kernels/simd_end.h>
#endif

#define FNS(suffix)                                                                                                    \
    {                                                                                                                  \
        .rows = rows##suffix, .rows_backward = rows_backward##suffix, .run_moments = run_moments##suffix,              \
        .run_apply = run_apply##suffix, .run_sums = run_sums##suffix, .run_combine = run_combine##suffix,              \
        .column_moments = column_moments##suffix, .column_apply = column_apply##suffix,                                \
        .column_sums = column_sums##suffix, .column_combine = column_combine##suffix, .window_sum = window_sum##suffix \
    }

const reel_norm_kernels REEL_KERNEL_TABLE(norm) = {
    .f32 = FNS(_f32),
#if REEL_LARGE_F64
    .f64 = FNS(_f64),
#endif
};
