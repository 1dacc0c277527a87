// SPDX-License-Identifier: MIT
// The register tile all matrix products inside convolutions are made of, and transposes.
//
// A tile is `rows` x `cols` sums C[j][v] (+)= sum over i of a[j][a_off[i]] * b[b_off[i] + v]. Both operands are read
// where they lie, through tables of offsets: pixels of an image that are a tap apart as well as rows of a packed
// matrix.
#ifndef REEL_OPS_KERNELS_GEMM_H
#define REEL_OPS_KERNELS_GEMM_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_GEMM_ROWS 6    /* rows of the largest tile                        */
#define REEL_GEMM_VECTORS 4 /* most vectors a row of any instruction set holds */

enum { REEL_GEMM_ADD = 1, REEL_GEMM_RELU = 2 };

/* One tile. `a` has as many pointers as rows; offsets count elements. With REEL_GEMM_ADD C is added to, else
 * overwritten; `row_bias` (or NULL) gives one number to add for each row, REEL_GEMM_RELU ends with max(0, .).
 * Only `cols` columns of C are touched, but whole vectors of b are read. */
typedef struct reel_gemm_tile {
    int64_t count;
    const void *const *a;
    const int64_t *a_off;
    const void *b;
    const int64_t *b_off;
    void *c;
    int64_t ldc;
    int cols;
    int flags;
    const void *row_bias;
} reel_gemm_tile;

typedef void reel_gemm_tile_fn(const reel_gemm_tile *tile);

/* For one dtype: tile[rows - 1][vectors - 1], with `vectors` up to max_vectors, of `lanes` elements each. */
typedef struct reel_gemm_kernels_of {
    int lanes, max_vectors;
    reel_gemm_tile_fn *tile[REEL_GEMM_ROWS][REEL_GEMM_VECTORS];
    /* to[c * ldt + r] = from[r * ldf + c] for r < rows, c < cols. */
    void (*transpose)(int64_t rows, int64_t cols, const void *from, int64_t ldf, void *to, int64_t ldt);
} reel_gemm_kernels_of;

typedef struct reel_gemm_kernels {
    reel_gemm_kernels_of f32, f64;
} reel_gemm_kernels;

REEL_DECLARE_KERNELS(gemm)

static inline const reel_gemm_kernels_of *reel_gemm_of(reel_isa isa, reel_dtype dtype)
{
    const reel_gemm_kernels *kernels = reel_gemm_kernels_for(isa);
    return dtype == REEL_F32 ? &kernels->f32 : &kernels->f64;
}

#endif
