// SPDX-License-Identifier: MIT
// Dropout kernels: Philox4x32-10 (Salmon et al. 2011) on several blocks at once, one in each 64-bit lane.
#include <reel/ops/kernels/dropout.h>

#if defined(REEL_ISA_IS_AVX512)
#define LANES 8
#elif defined(REEL_ISA_IS_AVX2)
#define LANES 4
#else
#define LANES 2
#endif

typedef uint64_t lanes __attribute__((vector_size(8 * LANES), may_alias));

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
        c0[i] = all(block);
        for (int k = 0; k < LANES; k++) c0[i][k] += (uint64_t)(i * LANES + k);
        c1[i] = c0[i] >> 32;
        c2[i] = c3[i] = (lanes) { 0 };
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
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
    for (int i = 0; i < CHAINS; i++) { /* a block is four words in a row: pairs of them to 64 bits */
        lanes low = (c0[i] & 0xffffffff) | (c1[i] << 32), high = (c2[i] & 0xffffffff) | (c3[i] << 32);
        for (int k = 0; k < LANES; k++) {
            uint64_t pair[2] = { low[k], high[k] };
            for (int j = 0; j < 4; j++) word[4 * (i * LANES + k) + j] = (uint32_t)(pair[j / 2] >> 32 * (j % 2));
        }
    }
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

const reel_dropout_kernels REEL_KERNEL_TABLE(dropout) = { .f32 = dropout_f32, .f64 = dropout_f64 };
