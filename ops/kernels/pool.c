// SPDX-License-Identifier: MIT
// Pooling kernels for both dtypes.
#include <math.h>
#include <reel/ops/kernels/pool.h>
#include <string.h>

static int64_t tap_place(const reel_pool_plane *g, int64_t tap)
{
    const reel_pool_axis *a = g->axis;
    int64_t kw = tap % a[2].kernel, row = tap / a[2].kernel, kh = row % a[1].kernel, kd = row / a[1].kernel;
    return (kd * a[0].step * a[1].in + kh * a[1].step) * a[2].in + kw * a[2].step;
}

// Byte taps are looked up, wide ones divided out.
static void tap_table(const reel_pool_plane *g, int64_t table[256])
{
    if (g->wide) return;
    int64_t taps = g->axis[0].kernel * g->axis[1].kernel * g->axis[2].kernel;
    for (int64_t tap = 0; tap < taps; tap++) table[tap] = tap_place(g, tap);
}

static inline int64_t tap_offset(const reel_pool_plane *g, const void *taps, int64_t at, const int64_t table[256])
{
    return g->wide ? tap_place(g, ((const int32_t *)taps)[at]) : table[((const uint8_t *)taps)[at]];
}

static void tap_indices(const reel_pool_plane *g, int64_t planes, const void *taps, int64_t *indices)
{
    const reel_pool_axis *a = g->axis;
    int64_t at = 0, table[256];
    tap_table(g, table);
    for (int64_t p = 0; p < planes; p++)
        for (int64_t od = 0; od < a[0].out; od++)
            for (int64_t oh = 0; oh < a[1].out; oh++) {
                int64_t base = (a[0].span[od].start * a[1].in + a[1].span[oh].start) * a[2].in;
                for (int64_t ow = 0; ow < a[2].out; ow++, at++)
                    indices[at] = base + a[2].span[ow].start + tap_offset(g, taps, at, table);
            }
}

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/max_pairs.inc>
#include <reel/ops/kernels/pool.inc>
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/max_pairs.inc>
#include <reel/ops/kernels/pool.inc>
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

const reel_pool_kernels REEL_KERNEL_TABLE(pool) = {
    .max_f32 = max_f32,
    .gather_f32 = gather_f32,
    .scatter_f32 = scatter_f32,
    .scatter_turned_f32 = scatter_turned_f32,
    .avg_f32 = avg_f32,
    .avg_adjoint_f32 = avg_adjoint_f32,
#if REEL_LARGE_F64
    .max_f64 = max_f64,
    .gather_f64 = gather_f64,
    .scatter_f64 = scatter_f64,
    .scatter_turned_f64 = scatter_turned_f64,
    .avg_f64 = avg_f64,
    .avg_adjoint_f64 = avg_adjoint_f64,
#endif
    .indices = tap_indices,
};
