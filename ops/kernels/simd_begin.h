// SPDX-License-Identifier: MIT
// Opens a kernel body for one dtype: include with REEL_F32 or REEL_F64 defined, then the .inc, then simd_end.h.
//
//   T        the element type                VN      lanes of a vector (1 never happens: portable uses 16 bytes too)
//   V        a vector of T                   VI      the integer vector of the same lanes (comparison results)
//   TI       the integer of T's size         K(name) name_f32 or name_f64
//
// Arithmetic and comparisons are the compiler's vector extensions (a * b + c contracts to FMA where there is one).
// No include guard: it is meant to be included once per dtype.

#if defined(REEL_ISA_IS_AVX512) || defined(REEL_ISA_IS_AVX2)
#include <immintrin.h>
#endif

#if defined(REEL_F32)
#define T float
#define TI int32_t
#define K(name) name##_f32
#elif defined(REEL_F64)
#define T double
#define TI int64_t
#define K(name) name##_f64
#else
#error "define REEL_F32 or REEL_F64 before including simd_begin.h"
#endif

#ifndef REEL_VECTOR_BYTES
#if defined(REEL_ISA_IS_AVX512)
#define REEL_VECTOR_BYTES 64
#elif defined(REEL_ISA_IS_AVX2)
#define REEL_VECTOR_BYTES 32
#else
#define REEL_VECTOR_BYTES 16
#endif
#endif

#define V K(reel_v)
#define VU K(reel_vu)
#define VI K(reel_vi)
#define VN ((int)(REEL_VECTOR_BYTES / sizeof(T)))
#define v_load K(reel_v_load)
#define v_store K(reel_v_store)
#define v_load_n K(reel_v_load_n)
#define v_store_n K(reel_v_store_n)
#define v_set1 K(reel_v_set1)
#define v_select K(reel_v_select)
#define v_max K(reel_v_max)
#define v_min K(reel_v_min)
#define v_relu K(reel_v_relu)
#define v_abs K(reel_v_abs)
#define v_sum K(reel_v_sum)

typedef T V __attribute__((vector_size(REEL_VECTOR_BYTES), may_alias));
typedef T VU __attribute__((vector_size(REEL_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
typedef TI VI __attribute__((vector_size(REEL_VECTOR_BYTES), may_alias));

/* x stays in its register: GCC would load what comes from memory again for each use. */
#if defined(__x86_64__)
#define LOADED(x) __asm__("" : "+v"(x))
#else
#define LOADED(x) (void)(x)
#endif

#ifndef REEL_SIMD_UNUSED
#define REEL_SIMD_UNUSED __attribute__((unused, always_inline)) static inline
#endif

REEL_SIMD_UNUSED V v_load(const T *p) { return *(const VU *)p; }
REEL_SIMD_UNUSED void v_store(T *p, V v) { *(VU *)p = v; }

/* The first n lanes, 0 <= n <= VN; the others are zero. */
REEL_SIMD_UNUSED V v_load_n(const T *p, int64_t n)
{
#if defined(REEL_ISA_IS_AVX512) && defined(REEL_F32)
    return (V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(REEL_ISA_IS_AVX512)
    return (V)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif defined(REEL_ISA_IS_AVX2) && defined(REEL_F32)
    return (V)_mm256_maskload_ps(p, (__m256i)((VI) { 0, 1, 2, 3, 4, 5, 6, 7 } < (TI)n));
#elif defined(REEL_ISA_IS_AVX2)
    return (V)_mm256_maskload_pd(p, (__m256i)((VI) { 0, 1, 2, 3 } < (TI)n));
#else
    V v = { 0 };
    __builtin_memcpy(&v, p, (size_t)n * sizeof(T));
    return v;
#endif
}

REEL_SIMD_UNUSED void v_store_n(T *p, V v, int64_t n)
{
#if defined(REEL_ISA_IS_AVX512) && defined(REEL_F32)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(REEL_ISA_IS_AVX512)
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#elif defined(REEL_ISA_IS_AVX2) && defined(REEL_F32)
    _mm256_maskstore_ps(p, (__m256i)((VI) { 0, 1, 2, 3, 4, 5, 6, 7 } < (TI)n), (__m256)v);
#elif defined(REEL_ISA_IS_AVX2)
    _mm256_maskstore_pd(p, (__m256i)((VI) { 0, 1, 2, 3 } < (TI)n), (__m256d)v);
#else
    __builtin_memcpy(p, &v, (size_t)n * sizeof(T));
#endif
}

REEL_SIMD_UNUSED V v_set1(T x) { return x - (V){ 0 }; }

/* Lane by lane, mask ? a : b, where mask is all ones or zero (a comparison's result). */
REEL_SIMD_UNUSED V v_select(VI mask, V a, V b) { return (V)((mask & (VI)a) | (~mask & (VI)b)); }

/* A NaN in either operand gives NaN, as PyTorch's maximum and minimum. The instructions give b for NaN and for equals. */
#if defined(REEL_ISA_IS_AVX512) && defined(REEL_F32)
REEL_SIMD_UNUSED V K(reel_v_or_nan)(V m, V a)
{
    return (V)_mm512_mask_mov_ps((__m512)m, _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q), (__m512)a);
}
REEL_SIMD_UNUSED V v_max(V a, V b) { return K(reel_v_or_nan)((V)_mm512_max_ps((__m512)a, (__m512)b), a); }
REEL_SIMD_UNUSED V v_min(V a, V b) { return K(reel_v_or_nan)((V)_mm512_min_ps((__m512)a, (__m512)b), a); }
#elif defined(REEL_ISA_IS_AVX2) && defined(REEL_F32)
REEL_SIMD_UNUSED V K(reel_v_or_nan)(V m, V a)
{
    return (V)_mm256_blendv_ps((__m256)m, (__m256)a, _mm256_cmp_ps((__m256)a, (__m256)a, _CMP_UNORD_Q));
}
REEL_SIMD_UNUSED V v_max(V a, V b) { return K(reel_v_or_nan)((V)_mm256_max_ps((__m256)a, (__m256)b), a); }
REEL_SIMD_UNUSED V v_min(V a, V b) { return K(reel_v_or_nan)((V)_mm256_min_ps((__m256)a, (__m256)b), a); }
#else
REEL_SIMD_UNUSED V v_max(V a, V b) { return v_select((VI)(a > b) | (VI)(a != a), a, b); }
REEL_SIMD_UNUSED V v_min(V a, V b) { return v_select((VI)(a < b) | (VI)(a != a), a, b); }
#endif

/* 0 where a < 0: NaN and -0 stay, as they do in the elementwise op. */
REEL_SIMD_UNUSED V v_relu(V a) { return (V)(~(VI)(a < 0) & (VI)a); }

REEL_SIMD_UNUSED V v_abs(V a)
{
    V minus_zero = v_set1((T)-0.0);
    return (V)((VI)a & ~(VI)minus_zero);
}

/* Sum of the lanes by halving: a fixed order. */
REEL_SIMD_UNUSED T v_sum(V v)
{
    T lane[REEL_VECTOR_BYTES / sizeof(T)];
    __builtin_memcpy(lane, &v, sizeof v);
    for (int half = VN / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
