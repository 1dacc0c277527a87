// SPDX-License-Identifier: MIT
// Rows in and out of spectra, products of spectra (spectrum.inc) and transforms of columns (spectrum_columns.inc), for
// float32 and float64.
#include <reel/ops/kernels/spectrum.h>
#include <string.h>

// clang-format off
#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/spectrum.inc>
#include <reel/ops/kernels/spectrum_columns.inc>
#include <reel/ops/kernels/simd_end.h>

#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/spectrum.inc>
#include <reel/ops/kernels/spectrum_columns.inc>
#include <reel/ops/kernels/simd_end.h>
#endif
// clang-format on

#define KERNELS(t)                                                                                                     \
    {                                                                                                                  \
        .load = load_##t, .store = store_##t, .split = split_##t, .join = join_##t, .multiply = multiply_##t,          \
        .columns = columns_##t, .pair = pair_##t,                                                                      \
    }

const reel_spectrum_kernels REEL_KERNEL_TABLE(spectrum) = {
    .f32 = KERNELS(f32),
#if REEL_LARGE_F64
    .f64 = KERNELS(f64),
#endif
};
