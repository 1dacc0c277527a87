// SPDX-License-Identifier: MIT
// Kernels that draw by counter: Philox4x32-10 (Salmon et al. 2011) on several blocks at once, one in each 64-bit lane.
#include <reel/ops/kernels/random.h>
#include <stddef.h>

#if defined(REEL_ISA_IS_AVX512)
#define LANES 8
#define COUNT 0, 1, 2, 3, 4, 5, 6, 7
#define ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif defined(REEL_ISA_IS_AVX2)
#define LANES 4
#define COUNT 0, 1, 2, 3
#define ZIP_LOW 0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
#else
#define LANES 2
#define COUNT 0, 1
#define ZIP_LOW 0, 2
#define ZIP_HIGH 1, 3
#endif

typedef uint64_t lanes __attribute__((vector_size(8 * LANES), may_alias));
typedef uint64_t unaligned_lanes __attribute__((vector_size(8 * LANES), aligned(4), may_alias));

#if defined(REEL_ISA_IS_AVX512)
#include <immintrin.h>
static inline lanes multiply(lanes a, lanes b) { return (lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif defined(REEL_ISA_IS_AVX2)
#include <immintrin.h>
static inline lanes multiply(lanes a, lanes b) { return (lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#elif defined(REEL_ISA_IS_BASE) && defined(__x86_64__)
#include <immintrin.h>
static inline lanes multiply(lanes a, lanes b) { return (lanes)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#else
/* Products of the lower halves of the lanes, whatever stands in the upper ones. */
static inline lanes multiply(lanes a, lanes b) { return (a & 0xffffffff) * (b & 0xffffffff); }
#endif

static inline lanes all(uint64_t x) { return x - (lanes) { 0 }; }

enum { CHAINS = 2, BLOCKS = CHAINS * LANES, WORDS = 4 * BLOCKS };

/* The words of blocks block .. block + BLOCKS - 1. A round waits for the one before, so two chains of them go side by side. */
static void draw(uint64_t seed, uint64_t block, uint32_t word[WORDS])
{
    lanes c0[CHAINS], c1[CHAINS], c2[CHAINS], c3[CHAINS], m0 = all(0xD2511F53), m1 = all(0xCD9E8D57);
    for (int i = 0; i < CHAINS; i++) {
        c0[i] = all(block + (uint64_t)(i * LANES)) + (lanes) { COUNT };
        c1[i] = c0[i] >> 32;
        c2[i] = c3[i] = (lanes) { 0 };
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 1
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
#pragma GCC unroll 2
        for (int i = 0; i < CHAINS; i++) {
            lanes p0 = multiply(m0, c0[i]), p1 = multiply(m1, c2[i]);
            c0[i] = (p1 >> 32) ^ c1[i] ^ all(k0);
            c2[i] = (p0 >> 32) ^ c3[i] ^ all(k1);
            c1[i] = p1;
            c3[i] = p0;
        }
    }
    for (int i = 0; i < CHAINS; i++, word += 4 * LANES) { /* a block is four words in a row: two pairs */
        lanes low = (c0[i] & 0xffffffff) | (c1[i] << 32), high = (c2[i] & 0xffffffff) | (c3[i] << 32);
        *(unaligned_lanes *)word = __builtin_shufflevector(low, high, ZIP_LOW);
        *(unaligned_lanes *)(word + 2 * LANES) = __builtin_shufflevector(low, high, ZIP_HIGH);
    }
}

static void words(int64_t blocks, uint64_t seed, uint64_t block, uint32_t *word)
{
    for (int64_t i = 0; i < blocks; i += BLOCKS) draw(seed, block + (uint64_t)i, word + 4 * i);
}

#define DROPOUT(name, T)                                                                                               \
    static void name(int64_t n, const void *x_, uint64_t seed, uint64_t block, uint32_t threshold, double scale_,      \
                     void *y_)                                                                                         \
    {                                                                                                                  \
        const T *x = x_;                                                                                               \
        T *y = y_, scale = (T)scale_;                                                                                  \
        uint32_t word[WORDS];                                                                                          \
        for (int64_t i = 0; i < n; i += WORDS, block += BLOCKS) {                                                      \
            int64_t here = n - i < WORDS ? n - i : WORDS;                                                              \
            draw(seed, block, word);                                                                                   \
            _Pragma("omp simd") for (int64_t k = 0; k < here; k++)                                                     \
            {                                                                                                          \
                T kept = x[i + k] * scale;                                                                             \
                y[i + k] = word[k] >= threshold ? kept : 0;                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }

DROPOUT(dropout_f32, float)
DROPOUT(dropout_f64, double)

// clang-format off
typedef uint32_t reel_unsigned_f32;
#define REEL_F32
#include "simd_begin.h"
#include "simd_math.inc"
#include "shuffle_begin.h"
#include "normal.inc"
#include "shuffle_end.h"
#include "simd_end.h"

#if REEL_LARGE_F64
typedef uint64_t reel_unsigned_f64;
#define REEL_F64
#include "simd_begin.h"
#include "simd_math.inc"
#include "shuffle_begin.h"
#include "normal.inc"
#include "shuffle_end.h"
#include "simd_end.h"
#else
#define normal_f64 NULL
#endif
// clang-format on

const reel_random_kernels REEL_KERNEL_TABLE(random) = {
    .words = words,
    .normal = { normal_f32, normal_f64 },
    .dropout = { dropout_f32, dropout_f64 },
};
