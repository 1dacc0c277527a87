// SPDX-License-Identifier: MIT
// Elementwise kernels: each computes one tile of contiguous elements; single ops and fused chains play the same ones.
#ifndef REEL_OPS_KERNELS_POINTWISE_H
#define REEL_OPS_KERNELS_POINTWISE_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* out[i] = f(a[i], b[i], c[i]; attrs) for i in [0, n). Pointers are aligned to their elements only; `out` may be the same
 * pointer as any input of equal element size. `b`, `c` and `attrs` are NULL where the op has none. */
typedef void reel_tile_fn(int64_t n, void *out, const void *a, const void *b, const void *c, const void *attrs);

/* Codes are listed once, in pointwise.def: REEL_PW(NAME, inputs). Code 0 is "not elementwise". */
typedef enum reel_pointwise_code {
    REEL_PW_NONE,
#define REEL_PW(name, inputs) REEL_PW_##name,
#include <reel/ops/kernels/pointwise.def>
#undef REEL_PW
    REEL_PW_COUNT
} reel_pointwise_code;

/* fn[code][dtype of the last input]; NULL where the op does not take the dtype. REEL_PW_CAST_F32 + d casts to dtype d. */
typedef struct reel_pointwise_kernels {
    reel_tile_fn *fn[REEL_PW_COUNT][REEL_DTYPE_COUNT];
} reel_pointwise_kernels;

REEL_DECLARE_KERNELS(pointwise)

#endif
