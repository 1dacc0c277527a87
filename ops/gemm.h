// SPDX-License-Identifier: MIT
// Internal: matrix products over the threads of a play, for every op that needs one.
#ifndef REEL_OPS_GEMM_H
#define REEL_OPS_GEMM_H

#include <reel/core/dtype.h>
#include <reel/core/exec.h>

/* c[z] = a[z] b[z] + bias for all z below `batch`, or max(0, .) of it if `relu`; a: [m, k], b: [k, n], c: [m, n] with
 * contiguous rows, bias: [n] or NULL. Strides in elements; those of a and b may be anything (0: broadcast). c overlaps nothing. */
typedef struct reel_gemm {
    reel_dtype dtype; /* float32 or float64 */
    bool relu;
    int64_t m, n, k;
    const void *a, *b, *bias;
    void *c;
    int64_t a_row, a_column, b_row, b_column, c_row;
    int batch_ndim;
    int64_t batch[REEL_MAX_DIMS], a_batch[REEL_MAX_DIMS], b_batch[REEL_MAX_DIMS], c_batch[REEL_MAX_DIMS];
} reel_gemm;

/* How many products there are, and where those of number z begin, in elements. */
static inline int64_t reel_gemm_products(const reel_gemm *g)
{
    int64_t count = 1;
    for (int i = 0; i < g->batch_ndim; i++) count *= g->batch[i];
    return count;
}

typedef struct reel_gemm_start {
    int64_t a, b, c;
} reel_gemm_start;

static inline reel_gemm_start reel_gemm_product(const reel_gemm *g, int64_t z)
{
    reel_gemm_start start = { 0, 0, 0 };
    for (int axis = g->batch_ndim - 1; axis >= 0; axis--) {
        int64_t at = z % g->batch[axis];
        z /= g->batch[axis];
        start.a += at * g->a_batch[axis];
        start.b += at * g->b_batch[axis];
        start.c += at * g->c_batch[axis];
    }
    return start;
}

/* Runs it; cut into tiles by shape alone. false: scratch memory is short. Not from within a parallel region. */
bool reel_gemm_run(const reel_exec *exec, const reel_gemm *gemm);

/* Large products from packed operands (gemm_packed.c): whether one is, once its strides are tidy; runs it. */
bool reel_gemm_packs(const reel_exec *exec, const reel_gemm *gemm);
bool reel_gemm_packed(const reel_exec *exec, const reel_gemm *gemm);

#endif
