// SPDX-License-Identifier: MIT
// Elementwise kernels: each computes one tile of contiguous elements; single ops and fused chains play the same ones.
#ifndef REEL_OPS_KERNELS_POINTWISE_H
#define REEL_OPS_KERNELS_POINTWISE_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* out[i] = f(a[i], b[i], c[i]; attrs) for i in [0, n). n is a multiple of REEL_TILE_LANES, for the ends of tensors are
 * padded by the caller; so results never depend on where a tile begins. Pointers are aligned to their elements only;
 * `out` may be the same pointer as any input of equal element size. `b`, `c` and `attrs` are NULL where the op has
 * none. `attrs` is the op's attribute struct, which is up to three doubles. */
#define REEL_TILE_LANES 16
typedef void reel_tile_fn(int64_t n, void *out, const void *a, const void *b, const void *c, const void *attrs);

/* Codes are listed once, in pointwise.def. Code 0 is "not elementwise". */
typedef enum reel_pointwise_code {
    REEL_PW_NONE,
#define REEL_PW(code, name, inputs) REEL_PW_##code,
#define REEL_PW_SHARED(code) REEL_PW_##code,
#include <reel/ops/kernels/pointwise.def>
#undef REEL_PW
#undef REEL_PW_SHARED
    REEL_PW_COUNT
} reel_pointwise_code;

/* fn[code][REEL_F32 or REEL_F64]: per ISA. Anything else has one kernel for all, in reel_pointwise_shared. */
typedef struct reel_pointwise_kernels {
    reel_tile_fn *fn[REEL_PW_COUNT][2];
} reel_pointwise_kernels;

REEL_DECLARE_KERNELS(pointwise)

extern reel_tile_fn *const reel_pointwise_shared[REEL_PW_COUNT][REEL_DTYPE_COUNT];

/* The tile kernel of `code` whose last input is of `dtype`; NULL when the op does not take it. All inputs have that
 * dtype, except the first of WHERE and MASKED_FILL, which is bool. REEL_PW_CAST_F32 + d casts to dtype d. */
static inline reel_tile_fn *reel_pointwise_tile(reel_isa isa, int code, reel_dtype dtype)
{
    reel_tile_fn *fn = reel_pointwise_shared[code][dtype];
    if (!fn && (dtype == REEL_F32 || dtype == REEL_F64))
        fn = reel_pointwise_kernels_for(isa)->fn[code][dtype == REEL_F64];
    return fn;
}

#endif
