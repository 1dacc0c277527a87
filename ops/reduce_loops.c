// SPDX-License-Identifier: MIT
// Plain reductions: integers and bool, and counts.
#include <reel/ops/reduce_loops.h>

#define ADD(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))
#define MULTIPLY(a, b) (int64_t)((uint64_t)(a) * (uint64_t)(b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

#define ADD_SIMD
#define S float
#define N(name) name##_f32
#define LOOPS_FLOAT
#include "reduce_loops.inc"
#define S double
#define N(name) name##_f64
#define LOOPS_FLOAT
#include "reduce_loops.inc"
#undef ADD_SIMD
#define ADD_SIMD _Pragma("omp simd reduction(+ : a)")
#define S int64_t
#define N(name) name##_i64
#include "reduce_loops.inc"
#define S int32_t
#define N(name) name##_i32
#include "reduce_loops.inc"
#define S uint8_t
#define N(name) name##_u8
#include "reduce_loops.inc"

// bool is a byte of 0 or 1.
#define FLOATS(name) [REEL_F32] = name##_f32, [REEL_F64] = name##_f64
#define INTEGERS(name) [REEL_I64] = name##_i64, [REEL_I32] = name##_i32, [REEL_U8] = name##_u8, [REEL_BOOL] = name##_u8

#define TABLE(what)                                                                                                    \
    {                                                                                                                  \
        [REEL_LOOP_SUM] = { INTEGERS(sum_##what) }, [REEL_LOOP_PROD] = { INTEGERS(prod_##what) }, \
        [REEL_LOOP_MAX] = { INTEGERS(max_##what) }, [REEL_LOOP_MIN] = { INTEGERS(min_##what) },                        \
        [REEL_LOOP_COUNT] = { FLOATS(count_##what), INTEGERS(count_##what) },                                          \
    }

const reel_reduce_loops reel_loops = {
    .lines = TABLE(lines),
    .columns = TABLE(columns),
    .arg_line = { INTEGERS(arg_line) },
    .arg_columns = { INTEGERS(arg_columns) },
};
