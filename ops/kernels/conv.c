// SPDX-License-Identifier: MIT
// Packing of image columns and unpacking of results, for float32 and float64 (conv.inc).
#include <math.h>
#include <reel/ops/kernels/conv.h>
#include <string.h>

/* A run of columns along the last axis of one grid row. */
typedef struct run {
    int64_t n, m[3];
    int at, length;
    int64_t place; /* pack: of its first column's point in the source, or OUTSIDE unless all taps lie in the image */
} run;

enum { OUTSIDE = -1 };

/* Cuts columns [q0, q0 + width) into runs; returns how many. */
static int cut_runs(const int64_t grid[3], int64_t q0, int width, run runs[REEL_CONV_PANEL])
{
    int64_t m2 = q0 % grid[2], rest = q0 / grid[2], m1 = rest % grid[1], m0 = rest / grid[1] % grid[0],
            n = rest / grid[1] / grid[0];
    int count = 0;
    for (int at = 0; at < width; count++) {
        int64_t length = grid[2] - m2 < width - at ? grid[2] - m2 : width - at;
        runs[count] = (run) { .n = n, .m = { m0, m1, m2 }, .at = at, .length = (int)length };
        at += (int)length;
        m2 = 0;
        if (++m1 == grid[1]) {
            m1 = 0;
            if (++m0 == grid[0]) {
                m0 = 0;
                n++;
            }
        }
    }
    return count;
}

static void place_runs(const reel_conv_columns *columns, run *runs, int count)
{
    const int64_t *size = columns->size, *step = columns->step;
    for (run *u = runs; u < runs + count; u++) {
        bool inside = step[2] == 1;
        int64_t place = 0;
        for (int i = 0; i < 3; i++) {
            int64_t m = u->m[i] * step[i], last = i == 2 ? u->length - 1 : 0;
            inside &= m + columns->off[i][0] >= 0 && m + last + columns->off[i][columns->taps[i] - 1] < size[i];
            place = place * size[i] + m;
        }
        u->place = inside ? u->n * columns->src_n + place : OUTSIDE;
    }
}

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/max_pairs.inc>
#include <reel/ops/kernels/conv.inc>
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/shuffle_begin.h>
#include <reel/ops/kernels/transpose.inc>
#include <reel/ops/kernels/max_pairs.inc>
#include <reel/ops/kernels/conv.inc>
#include <reel/ops/kernels/shuffle_end.h>
#include <reel/ops/kernels/simd_end.h>
#endif

// clang-format on

#define KERNELS(t)                                                                                                     \
    {                                                                                                                  \
        .pack = pack_##t, .unpack = unpack_##t, .unpack_turned = unpack_turned_##t, .pad = pad_##t, .weave = weave_##t, .dot = dot_##t,    \
        .add_lanes = add_lanes_##t, .pack_weights = pack_weights_##t, .pool_turned = pool_turned_##t,                  \
    }

const reel_conv_kernels REEL_KERNEL_TABLE(conv) = {
    .f32 = KERNELS(f32),
#if REEL_LARGE_F64
    .f64 = KERNELS(f64),
#endif
};
