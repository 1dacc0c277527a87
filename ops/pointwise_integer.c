// SPDX-License-Identifier: MIT
// Elementwise kernels of integers and bools, selection by mask, and casts: one compilation for all ISAs.
#include <reel/ops/kernels/pointwise.h>

#include <math.h>
#include <string.h>

#define REEL_TILE(name)                                                                                                \
    static void name(int64_t n, void *out_, const void *a_, const void *b_, const void *c_, const void *attrs_)

/* R is the result's type, F and G those of x = a[i] and y = b[i]; n is a multiple of REEL_TILE_LANES. Where the result
 * takes an operand's place, elements are no wider than the operand's: none is written before it is read. Wide elements
 * one by one are as fast as memory; REEL_SIMD makes vector code of bytes. */
#define REEL_LOOP(R, F, G, value)                                                                                      \
    const F *xs = (const F *)a_;                                                                                       \
    const G *ys = (const G *)(b_ ? b_ : a_);                                                                           \
    n &= -REEL_TILE_LANES;                                                                                             \
    REEL_SIMD for (int64_t i = 0; i < n; i++)                                                                \
    {                                                                                                                  \
        F x = xs[i];                                                                                                   \
        G y = ys[i];                                                                                                   \
        (void)y;                                                                                                       \
        ((R *)out_)[i] = (R)(value);                                                                                   \
    }

/* out[i] = value, where s is the attribute as a T. */
#define REEL_MAP(name, R, value)                                                                                       \
    REEL_TILE(name)                                                                                                    \
    {                                                                                                                  \
        T s = attrs_ ? REEL_TO(*(const double *)attrs_) : 0;                                                           \
        (void)c_, (void)s;                                                                                             \
        REEL_LOOP(R, T, T, value)                                                                                    \
    }

/* The same one by one, for what is no vector code anyway. */
#define REEL_EACH(name, R, value)                                                                                      \
    REEL_TILE(name)                                                                                                    \
    {                                                                                                                  \
        T s = attrs_ ? REEL_TO(*(const double *)attrs_) : 0;                                                           \
        (void)c_, (void)s;                                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T x = ((const T *)a_)[i], y = b_ ? ((const T *)b_)[i] : x;                                                 \
            (void)y;                                                                                                   \
            ((R *)out_)[i] = (R)(value);                                                                               \
        }                                                                                                              \
    }

static inline bool negative(int64_t v) { return v < 0; }

/* Truncation towards zero; the ends of the range for what is beyond it, 0 for NaN. */
__attribute__((always_inline)) static inline int64_t to_i64(double v)
{
    if (fabs(v) < 0x1p63) return (int64_t)v;
    return v > 0 ? INT64_MAX : v < 0 ? INT64_MIN : 0;
}

static inline int32_t to_i32(double v)
{
    int64_t i = to_i64(v);
    return i > INT32_MAX ? INT32_MAX : i < INT32_MIN ? INT32_MIN : (int32_t)i;
}

static inline uint8_t to_u8(double v)
{
    int64_t i = to_i64(v);
    return i > UINT8_MAX ? UINT8_MAX : i < 0 ? 0 : (uint8_t)i;
}

static inline uint8_t to_bool(double v) { return v != 0; }

#define REEL_SIMD
#define T int64_t
#define U uint64_t
#define REEL_SIGNED 1
#define REEL_TO to_i64
#define K(name) name##_i64
#include <reel/ops/pointwise_integer.inc>

#define T int32_t
#define U uint32_t
#define REEL_SIGNED 1
#define REEL_TO to_i32
#define K(name) name##_i32
#include <reel/ops/pointwise_integer.inc>

#define T uint8_t
#define U uint8_t
#define REEL_SIGNED 0
#define REEL_TO to_u8
#define K(name) name##_u8
#include <reel/ops/pointwise_integer.inc>

/* Bools are bytes of 0 or 1: addition is "or", multiplication "and". */
#undef REEL_SIMD
#define REEL_SIMD _Pragma("omp simd")
#define T uint8_t
#define REEL_TO to_bool
REEL_MAP(or_bool, uint8_t, (x | y))
REEL_MAP(and_bool, uint8_t, (x & y))
REEL_MAP(xor_bool, uint8_t, (x ^ y))
REEL_MAP(not_bool, uint8_t, x == 0)
#undef T
#undef REEL_TO

#undef REEL_SIMD
#define REEL_SIMD

/* Casts. A number in a bool's place is true when it is not zero. */
#define REEL_CAST(from, F, to, R, value)                                                                               \
    REEL_TILE(cast_##from##_##to)                                                                                      \
    {                                                                                                                  \
        (void)b_, (void)c_, (void)attrs_;                                                                              \
        REEL_LOOP(R, F, uint8_t, value)                                                                              \
    }
REEL_CAST(f32, float, f32, float, x)
REEL_CAST(f32, float, f64, double, x)
REEL_CAST(f64, double, f64, double, x)
REEL_CAST(f64, double, f32, float, x)
REEL_CAST(f32, float, i64, int64_t, to_i64(x))
REEL_CAST(f64, double, i64, int64_t, to_i64(x))
REEL_CAST(f32, float, i32, int32_t, to_i32(x))
REEL_CAST(f64, double, i32, int32_t, to_i32(x))
REEL_CAST(f32, float, u8, uint8_t, to_i64(x))
REEL_CAST(f64, double, u8, uint8_t, to_i64(x))
REEL_CAST(f32, uint32_t, bool, uint8_t, x << 1 != 0) /* bits: all but the sign's are 0 in zeros alone */
REEL_CAST(f64, uint64_t, bool, uint8_t, x << 1 != 0)
#define REEL_CASTS(from, F)                                                                                            \
    REEL_CAST(from, F, f32, float, x)                                                                                  \
    REEL_CAST(from, F, f64, double, x)                                                                                 \
    REEL_CAST(from, F, i64, int64_t, x)                                                                                \
    REEL_CAST(from, F, i32, int32_t, x)                                                                                \
    REEL_CAST(from, F, u8, uint8_t, x)                                                                                 \
    REEL_CAST(from, F, bool, uint8_t, x != 0)
REEL_CASTS(i64, int64_t)
REEL_CASTS(i32, int32_t)
REEL_CASTS(u8, uint8_t)

#define INTEGERS(name)                                                                                                 \
    {                                                                                                                  \
        [REEL_I64] = name##_i64, [REEL_I32] = name##_i32, [REEL_U8] = name##_u8                                        \
    }
#define INTEGERS_AND_BOOL(name, bools)                                                                                 \
    {                                                                                                                  \
        [REEL_I64] = name##_i64, [REEL_I32] = name##_i32, [REEL_U8] = name##_u8, [REEL_BOOL] = bools                   \
    }
#define CASTS(to)                                                                                                      \
    {                                                                                                                  \
        [REEL_F32] = cast_f32_##to, [REEL_F64] = cast_f64_##to, [REEL_I64] = cast_i64_##to,                            \
        [REEL_I32] = cast_i32_##to, [REEL_U8] = cast_u8_##to, [REEL_BOOL] = cast_u8_##to                               \
    }

reel_tile_fn *const reel_pointwise_shared[REEL_PW_COUNT][REEL_DTYPE_COUNT] = {
    [REEL_PW_ADD] = INTEGERS_AND_BOOL(add, or_bool),
    [REEL_PW_SUB] = INTEGERS(sub),
    [REEL_PW_MUL] = INTEGERS_AND_BOOL(mul, and_bool),
    [REEL_PW_POW] = INTEGERS(pow),
    [REEL_PW_MAXIMUM] = INTEGERS_AND_BOOL(maximum, or_bool),
    [REEL_PW_MINIMUM] = INTEGERS_AND_BOOL(minimum, and_bool),
    [REEL_PW_FMOD] = INTEGERS(fmod),
    [REEL_PW_REMAINDER] = INTEGERS(remainder),
    [REEL_PW_FLOOR_QUOTIENT] = INTEGERS(floor_quotient),
    [REEL_PW_TRUNC_QUOTIENT] = INTEGERS(trunc_quotient),
    [REEL_PW_ADD_SCALAR] = INTEGERS(add_scalar),
    [REEL_PW_RSUB_SCALAR] = INTEGERS(rsub_scalar),
    [REEL_PW_MUL_SCALAR] = INTEGERS(mul_scalar),
    [REEL_PW_POW_SCALAR] = INTEGERS(pow_scalar),
    [REEL_PW_CLAMP] = INTEGERS(clamp),
    [REEL_PW_ABS] = INTEGERS(abs),
    [REEL_PW_NEG] = INTEGERS(neg),
    [REEL_PW_SIGN] = INTEGERS_AND_BOOL(sign, and_bool), /* x and x */
    [REEL_PW_SQUARE] = INTEGERS(square),
    [REEL_PW_EQ] = INTEGERS_AND_BOOL(eq, eq_u8),
    [REEL_PW_NE] = INTEGERS_AND_BOOL(ne, ne_u8),
    [REEL_PW_LT] = INTEGERS_AND_BOOL(lt, lt_u8),
    [REEL_PW_LE] = INTEGERS_AND_BOOL(le, le_u8),
    [REEL_PW_GT] = INTEGERS_AND_BOOL(gt, gt_u8),
    [REEL_PW_GE] = INTEGERS_AND_BOOL(ge, ge_u8),
    [REEL_PW_EQ_SCALAR] = INTEGERS(eq_scalar),
    [REEL_PW_NE_SCALAR] = INTEGERS(ne_scalar),
    [REEL_PW_LT_SCALAR] = INTEGERS(lt_scalar),
    [REEL_PW_LE_SCALAR] = INTEGERS(le_scalar),
    [REEL_PW_GT_SCALAR] = INTEGERS(gt_scalar),
    [REEL_PW_GE_SCALAR] = INTEGERS(ge_scalar),
    [REEL_PW_LOGICAL_AND] = INTEGERS_AND_BOOL(logical_and, and_bool),
    [REEL_PW_LOGICAL_OR] = INTEGERS_AND_BOOL(logical_or, or_bool),
    [REEL_PW_LOGICAL_XOR] = INTEGERS_AND_BOOL(logical_xor, xor_bool),
    [REEL_PW_LOGICAL_NOT] = INTEGERS_AND_BOOL(logical_not, not_bool),
    [REEL_PW_WHERE] = INTEGERS_AND_BOOL(where, where_u8),
    [REEL_PW_MASKED_FILL] = INTEGERS_AND_BOOL(masked_fill, masked_fill_u8),
    [REEL_PW_CAST_F32] = CASTS(f32),
    [REEL_PW_CAST_F64] = CASTS(f64),
    [REEL_PW_CAST_I64] = CASTS(i64),
    [REEL_PW_CAST_I32] = CASTS(i32),
    [REEL_PW_CAST_U8] = CASTS(u8),
    [REEL_PW_CAST_BOOL] = CASTS(bool),
};
