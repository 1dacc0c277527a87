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

/* The 4 * LANES words of blocks block .. block + LANES - 1. */
static void draw(uint64_t seed, uint64_t block, uint32_t word[4 * LANES])
{
    lanes c0 = all(block), c2 = { 0 }, c3 = { 0 };
    for (int k = 0; k < LANES; k++) c0[k] += (uint64_t)k;
    lanes c1 = c0 >> 32, m0 = all(0xD2511F53), m1 = all(0xCD9E8D57);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
        lanes p0 = multiply(m0, c0), p1 = multiply(m1, c2);
        c0 = (p1 >> 32) ^ c1 ^ all(k0);
        c2 = (p0 >> 32) ^ c3 ^ all(k1);
        c1 = p1;
        c3 = p0;
    }
    for (int k = 0; k < LANES; k++) {
        word[4 * k] = (uint32_t)c0[k];
        word[4 * k + 1] = (uint32_t)c1[k];
        word[4 * k + 2] = (uint32_t)c2[k];
        word[4 * k + 3] = (uint32_t)c3[k];
    }
}

#define DROPOUT(name, T)                                                                                               \
    static void name(int64_t n, const void *x_, uint64_t seed, uint64_t block, uint32_t threshold, double scale_,      \
                     void *y_)                                                                                         \
    {                                                                                                                  \
        const T *x = x_;                                                                                               \
        T *y = y_, scale = (T)scale_;                                                                                  \
        uint32_t word[4 * LANES];                                                                                      \
        int64_t i = 0;                                                                                                 \
        for (; i + 4 * LANES <= n; i += 4 * LANES, block += LANES) {                                                   \
            draw(seed, block, word);                                                                                   \
            for (int k = 0; k < 4 * LANES; k++) {                                                                      \
                T kept = x[i + k] * scale;                                                                             \
                y[i + k] = word[k] >= threshold ? kept : 0;                                                            \
            }                                                                                                          \
        }                                                                                                              \
        if (i == n) return;                                                                                            \
        draw(seed, block, word);                                                                                       \
        for (int k = 0; i + k < n; k++) y[i + k] = word[k] >= threshold ? x[i + k] * scale : 0;                        \
    }

DROPOUT(dropout_f32, float)
DROPOUT(dropout_f64, double)

const reel_dropout_kernels REEL_KERNEL_TABLE(dropout) = { .f32 = dropout_f32, .f64 = dropout_f64 };
