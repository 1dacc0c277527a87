// SPDX-License-Identifier: MIT
// Loss kernels, compiled once per instruction set for float and double.
#include <reel/ops/kernels/loss.h>

#include <math.h>

#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/simd_math.inc>

#include <reel/ops/kernels/simd_part.inc>

#include <reel/ops/kernels/loss.inc>

#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>

#include <reel/ops/kernels/simd_math.inc>

#include <reel/ops/kernels/simd_part.inc>

#include <reel/ops/kernels/loss.inc>

#include <reel/ops/kernels/simd_end.h>
#endif

#define FNS(suffix)                                                                                                    \
    {                                                                                                                  \
        .lse_rows = lse_rows##suffix, .lse_columns = lse_columns##suffix, .softmax_rows = softmax_rows##suffix,        \
        .softmax_columns = softmax_columns##suffix, .binary_cross_entropy = binary_cross_entropy##suffix               \
    }

const reel_loss_kernels REEL_KERNEL_TABLE(loss) = {
    .f32 = FNS(_f32),
#if REEL_LARGE_F64
    .f64 = FNS(_f64),
#endif
};
