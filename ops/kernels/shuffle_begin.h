// SPDX-License-Identifier: MIT
// Lane shuffles on top of simd_begin.h: include after it, and shuffle_end.h before simd_end.h.
//
//   v_even(a, b), v_odd(a, b)      every second lane of the 2 VN lanes a, b
//   v_zip_lo(a, b), v_zip_hi(a, b) a0 b0 a1 b1 ..., their first and their second VN lanes; vi_ forms for VI
//   v_load_even(p)                 p[0], p[2], ..: reads p[0 .. 2 VN)

#define v_even K(reel_v_even)
#define v_odd K(reel_v_odd)
#define v_zip_lo K(reel_v_zip_lo)
#define v_zip_hi K(reel_v_zip_hi)
#define vi_zip_lo K(reel_vi_zip_lo)
#define vi_zip_hi K(reel_vi_zip_hi)
#define v_load_even K(reel_v_load_even)

#if defined(REEL_F32)
#define REEL_LANES_ (REEL_VECTOR_BYTES / 4)
#else
#define REEL_LANES_ (REEL_VECTOR_BYTES / 8)
#endif

#if REEL_LANES_ == 16
#define REEL_EVEN_ 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define REEL_ODD_ 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define REEL_ZIP_LO_ 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define REEL_ZIP_HI_ 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif REEL_LANES_ == 8
#define REEL_EVEN_ 0, 2, 4, 6, 8, 10, 12, 14
#define REEL_ODD_ 1, 3, 5, 7, 9, 11, 13, 15
#define REEL_ZIP_LO_ 0, 8, 1, 9, 2, 10, 3, 11
#define REEL_ZIP_HI_ 4, 12, 5, 13, 6, 14, 7, 15
#elif REEL_LANES_ == 4
#define REEL_EVEN_ 0, 2, 4, 6
#define REEL_ODD_ 1, 3, 5, 7
#define REEL_ZIP_LO_ 0, 4, 1, 5
#define REEL_ZIP_HI_ 2, 6, 3, 7
#elif REEL_LANES_ == 2
#define REEL_EVEN_ 0, 2
#define REEL_ODD_ 1, 3
#define REEL_ZIP_LO_ 0, 2
#define REEL_ZIP_HI_ 1, 3
#endif

REEL_SIMD_UNUSED V v_even(V a, V b) { return __builtin_shufflevector(a, b, REEL_EVEN_); }
REEL_SIMD_UNUSED V v_odd(V a, V b) { return __builtin_shufflevector(a, b, REEL_ODD_); }
REEL_SIMD_UNUSED V v_zip_lo(V a, V b) { return __builtin_shufflevector(a, b, REEL_ZIP_LO_); }
REEL_SIMD_UNUSED V v_zip_hi(V a, V b) { return __builtin_shufflevector(a, b, REEL_ZIP_HI_); }
REEL_SIMD_UNUSED VI vi_zip_lo(VI a, VI b) { return __builtin_shufflevector(a, b, REEL_ZIP_LO_); }
REEL_SIMD_UNUSED VI vi_zip_hi(VI a, VI b) { return __builtin_shufflevector(a, b, REEL_ZIP_HI_); }
REEL_SIMD_UNUSED V v_load_even(const T *p) { return v_even(v_load(p), v_load(p + VN)); }

#undef REEL_LANES_
#undef REEL_EVEN_
#undef REEL_ODD_
#undef REEL_ZIP_LO_
#undef REEL_ZIP_HI_
