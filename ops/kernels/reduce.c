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

#define REEL_F64
#include "simd_begin.h"
#include "simd_math.inc"

#include "simd_part.inc"

#include "reduce.inc"
#include "simd_end.h"

#define ADD(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))
#define MULTIPLY(a, b) (int64_t)((uint64_t)(a) * (uint64_t)(b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

#define S float
#define N(name) name##_f32
#include "reduce_scalar.inc"
#define S double
#define N(name) name##_f64
#include "reduce_scalar.inc"
#define SCALAR_INTEGER
#define S int64_t
#define N(name) name##_i64
#include "reduce_scalar.inc"
#define SCALAR_INTEGER
#define S int32_t
#define N(name) name##_i32
#include "reduce_scalar.inc"
#define SCALAR_INTEGER
#define S uint8_t
#define N(name) name##_u8
#include "reduce_scalar.inc"

// bool is a byte of 0 or 1.
#define FLOATS(name) [REEL_F32] = name##_f32, [REEL_F64] = name##_f64
#define ALL(name)                                                                                                      \
    FLOATS(name), [REEL_I64] = name##_i64, [REEL_I32] = name##_i32, [REEL_U8] = name##_u8, [REEL_BOOL] = name##_u8

const reel_reduce_kernels REEL_KERNEL_TABLE(reduce) = {
    .lines = {
        [REEL_REDUCE_SUM] = { ALL(sum_lines) },
        [REEL_REDUCE_PROD] = { ALL(prod_lines) },
        [REEL_REDUCE_MAX] = { ALL(max_lines) },
        [REEL_REDUCE_MIN] = { ALL(min_lines) },
        [REEL_REDUCE_COUNT] = { ALL(count_lines) },
        [REEL_REDUCE_SUMEXP] = { FLOATS(sumexp_lines) },
        [REEL_REDUCE_SUMDEV] = { FLOATS(sumdev_lines) },
        [REEL_REDUCE_SUMABS] = { FLOATS(sumabs_lines) },
        [REEL_REDUCE_MAXABS] = { FLOATS(maxabs_lines) },
        [REEL_REDUCE_MINABS] = { FLOATS(minabs_lines) },
        [REEL_REDUCE_SUMPOW] = { FLOATS(sumpow_lines) },
    },
    .columns = {
        [REEL_REDUCE_SUM] = { ALL(sum_columns) },
        [REEL_REDUCE_PROD] = { ALL(prod_columns) },
        [REEL_REDUCE_MAX] = { ALL(max_columns) },
        [REEL_REDUCE_MIN] = { ALL(min_columns) },
        [REEL_REDUCE_COUNT] = { ALL(count_columns) },
        [REEL_REDUCE_SUMEXP] = { FLOATS(sumexp_columns) },
        [REEL_REDUCE_SUMDEV] = { FLOATS(sumdev_columns) },
        [REEL_REDUCE_SUMABS] = { FLOATS(sumabs_columns) },
        [REEL_REDUCE_MAXABS] = { FLOATS(maxabs_columns) },
        [REEL_REDUCE_MINABS] = { FLOATS(minabs_columns) },
        [REEL_REDUCE_SUMPOW] = { FLOATS(sumpow_columns) },
    },
    .arg_line = { { ALL(argmax_line) }, { ALL(argmin_line) } },
    .arg_columns = { { ALL(argmax_columns) }, { ALL(argmin_columns) } },
};
