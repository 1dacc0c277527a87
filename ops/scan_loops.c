// SPDX-License-Identifier: MIT
// Cumulative loops for every dtype.
#include <reel/ops/scan_loops.h>

#define SCAN_SIMD _Pragma("omp simd")
#define SCAN_INLINE __attribute__((always_inline)) static inline

#define S float
#define R float
#define STATE double
#define N(name) name##_f32
#define SCAN_FLOAT
#include "scan_loops.inc"
#define S double
#define R double
#define STATE double
#define N(name) name##_f64
#define SCAN_FLOAT
#include "scan_loops.inc"
#define S int64_t
#define R int64_t
#define STATE uint64_t
#define N(name) name##_i64
#include "scan_loops.inc"
#define S int32_t
#define R int64_t
#define STATE uint64_t
#define N(name) name##_i32
#include "scan_loops.inc"
#define S uint8_t
#define R int64_t
#define STATE uint64_t
#define N(name) name##_u8
#include "scan_loops.inc"

// bool is a byte of 0 or 1.
#define FLOATS(name) [REEL_F32] = name##_f32, [REEL_F64] = name##_f64
#define ALL(name)                                                                                                      \
    FLOATS(name), [REEL_I64] = name##_i64, [REEL_I32] = name##_i32, [REEL_U8] = name##_u8, [REEL_BOOL] = name##_u8

reel_scan_fn *const reel_scan_loops[REEL_SCAN_KINDS][REEL_DTYPE_COUNT] = {
    [REEL_SCAN_SUM] = { ALL(cumsum) },
    [REEL_SCAN_PROD] = { ALL(cumprod) },
    [REEL_SCAN_SUM_EXCLUSIVE] = { ALL(cumsum_exclusive) },
    [REEL_SCAN_PROD_EXCLUSIVE] = { ALL(cumprod_exclusive) },
    [REEL_SCAN_MAX] = { ALL(cummax) },
    [REEL_SCAN_MIN] = { ALL(cummin) },
    [REEL_SCAN_LINEAR] = { FLOATS(linear) },
    [REEL_SCAN_LINEAR_LAGGED] = { FLOATS(linear_lagged) },
};
