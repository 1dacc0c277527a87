// SPDX-License-Identifier: MIT
// Folding kernels for both dtypes.
#include <reel/ops/kernels/fold.h>
#include <string.h>

// The windows [begin, end) of an axis whose cell k lies inside of the image, and where that of window `begin` lies.
typedef struct run {
    int64_t begin, end, first;
} run;

static run run_of(const reel_fold_plane *f, int a, int64_t k)
{
    int64_t start = k * f->dilation[a] - f->padding[a], stride = f->stride[a];
    run r = { .begin = start < 0 ? (-start + stride - 1) / stride : 0, .end = 0 };
    if (start < f->in[a]) r.end = (f->in[a] - start + stride - 1) / stride;
    if (r.end > f->out[a]) r.end = f->out[a];
    r.first = start + r.begin * stride;
    return r;
}

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/fold.inc>
#include <reel/ops/kernels/simd_end.h>

#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/fold.inc>
#include <reel/ops/kernels/simd_end.h>
// clang-format on

const reel_fold_kernels REEL_KERNEL_TABLE(fold) = {
    .unfold_f32 = unfold_f32,
    .unfold_f64 = unfold_f64,
    .fold_f32 = fold_f32,
    .fold_f64 = fold_f64,
};
