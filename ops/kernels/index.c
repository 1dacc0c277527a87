// SPDX-License-Identifier: MIT
// Rows of indexed reads and sums.
#include <reel/ops/kernels/index.h>

static int64_t check(int64_t n, const int64_t *index, int64_t limit)
{
    enum { BLOCK = 1024 };
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n;
        int bad = 0;
#pragma omp simd reduction(| : bad)
        for (int64_t j = start; j < end; j++) bad |= (index[j] < 0) | (index[j] >= limit);
        for (int64_t j = start; bad && j < end; j++)
            if (index[j] < 0 || index[j] >= limit) return j;
    }
    return -1;
}

#define TAKE(U)                                                                                                        \
    for (int64_t j = 0; j < n; j++) ((U *)to)[j] = ((const U *)from)[index[j] * step + j * along]

static void take(size_t element, int64_t n, void *restrict to, const void *restrict from, const int64_t *restrict index,
                 int64_t step, int64_t along)
{
    switch (element) {
    case 1: TAKE(uint8_t); break;
    case 4: TAKE(uint32_t); break;
    default: TAKE(uint64_t); break;
    }
}
#undef TAKE

#define SUMS(name, T)                                                                                                  \
    static void add_at_##name(int64_t n, void *to, const void *from, const int64_t *index, int64_t step,               \
                              int64_t along)                                                                           \
    {                                                                                                                  \
        T *y = to;                                                                                                     \
        const T *x = from;                                                                                             \
        for (int64_t j = 0; j < n; j++) y[index[j] * step + j * along] += x[j];                                        \
    }                                                                                                                  \
    static void add_##name(int64_t n, void *to, const void *from)                                                      \
    {                                                                                                                  \
        T *restrict y = to;                                                                                            \
        const T *restrict x = from;                                                                                    \
        _Pragma("omp simd") for (int64_t j = 0; j < n; j++) y[j] += x[j];                                                                  \
    }
SUMS(f32, float)
SUMS(f64, double)
SUMS(i64, uint64_t)
SUMS(i32, uint32_t)
SUMS(u8, uint8_t)
#undef SUMS

const reel_index_kernels REEL_KERNEL_TABLE(index) = {
    .check = check,
    .take = take,
    .add_at = { [REEL_F32] = add_at_f32,
                [REEL_F64] = add_at_f64,
                [REEL_I64] = add_at_i64,
                [REEL_I32] = add_at_i32,
                [REEL_U8] = add_at_u8 },
    .add = { [REEL_F32] = add_f32,
             [REEL_F64] = add_f64,
             [REEL_I64] = add_i64,
             [REEL_I32] = add_i32,
             [REEL_U8] = add_u8 },
};
