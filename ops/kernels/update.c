// SPDX-License-Identifier: MIT
// Optimisers' updates for float32 and float64.
#include <math.h>
#include <reel/ops/kernels/update.h>

#define REEL_F32
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/update.inc>
#include <reel/ops/kernels/simd_end.h>
#if REEL_LARGE_F64
#define REEL_F64
#include <reel/ops/kernels/simd_begin.h>
#include <reel/ops/kernels/update.inc>
#include <reel/ops/kernels/simd_end.h>
#endif

#define ROW(suffix)                                                                                                    \
    {                                                                                                                  \
        [REEL_UPDATE_SGD] = update_sgd##suffix, [REEL_UPDATE_ADAM] = update_adam##suffix,                              \
        [REEL_UPDATE_NADAM] = update_nadam##suffix, [REEL_UPDATE_RMSPROP] = update_rmsprop##suffix,                    \
        [REEL_UPDATE_ADAGRAD] = update_adagrad##suffix, [REEL_UPDATE_ADADELTA] = update_adadelta##suffix,              \
        [REEL_UPDATE_LION] = update_lion##suffix, [REEL_UPDATE_AVERAGE] = update_average##suffix,                      \
        [REEL_UPDATE_SWAP] = update_swap##suffix                                                                       \
    }

const reel_update_kernels REEL_KERNEL_TABLE(update) = {
    .f32 = ROW(_f32),
#if REEL_LARGE_F64
    .f64 = ROW(_f64),
#endif
};
