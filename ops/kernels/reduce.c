// SPDX-License-Identifier: MIT
// Reduction kernels of one instruction set.
#include <math.h>
#include <reel/ops/kernels/reduce.h>

#define REEL_F32
#include "simd_begin.h"

#include "simd_math.inc"

#include "simd_part.inc"

#include "reduce.inc"
#include "simd_end.h"

#if REEL_LARGE_F64
#define REEL_F64
#include "simd_begin.h"

#include "simd_math.inc"

#include "simd_part.inc"

#include "reduce.inc"
#include "simd_end.h"
#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        name##_f32, name##_f64                                                                                         \
    }
#else
#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        name##_f32                                                                                                     \
    }
#endif

const reel_reduce_kernels REEL_KERNEL_TABLE(reduce) = {
    .lines = { [REEL_GATHER_SUM] = BOTH(sum_lines),
               [REEL_GATHER_MAX] = BOTH(max_lines),
               [REEL_GATHER_PROD] = BOTH(prod_lines) },
    .columns = { [REEL_GATHER_SUM] = BOTH(sum_columns),
                 [REEL_GATHER_MAX] = BOTH(max_columns),
                 [REEL_GATHER_PROD] = BOTH(prod_columns) },
    .map = BOTH(map),
    .arg_line = BOTH(arg_line),
    .arg_columns = BOTH(arg_columns),
};
