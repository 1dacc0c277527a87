// SPDX-License-Identifier: MIT
// The matrix product inside convolutions, by tiles in registers, and transposes.
//
// Both operands are read where they lie, through tables of offsets: pixels of an image that are a tap apart as well as
// rows of a packed matrix.
#ifndef REEL_OPS_KERNELS_GEMM_H
#define REEL_OPS_KERNELS_GEMM_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_GEMM_ROWS 6    /* of the largest tile; other numbers of rows waste a little */
#define REEL_GEMM_VECTORS 4 /* most vectors a row of any instruction set's tile holds    */

#define REEL_GEMM_RUN 12

enum { REEL_GEMM_ADD = 1, REEL_GEMM_RELU = 2 };

/* C[j][v] (+)= row_bias[j] + sum over i < depth of a[row(j) + a_off[i]] * b[b_off[i] + v], for j < rows, v < cols, where
 * row(j) is row_off[j], or j * lda without that table. Offsets count elements. With REEL_GEMM_ADD C is added to, else
 * overwritten; row_bias may be NULL; REEL_GEMM_RELU ends with max(0, .). b is read by whole vectors; `vectors` of
 * them hold cols, and are at most max_vectors. `before` panels of max_vectors lie before those columns in b and c and are
 * multiplied as well, all by some rows before the next rows. */
typedef struct reel_gemm {
    int64_t rows, depth;
    const void *a;
    int64_t lda;
    const int64_t *row_off, *a_off;
    const void *b;
    const int64_t *b_off;
    void *c;
    int64_t ldc;
    int vectors, cols, before, flags;
    const void *row_bias;
} reel_gemm;

/* One row over panels of two vectors: c[i * c_panel + v] = act(bias + sum over t < depth of a[a_off[t]] * b[i * b_panel +
 * b_off[t] + v]) for i < panels; act is max(0, .) if relu. `bias` may be NULL. */
typedef struct reel_gemm_row {
    int64_t depth, panels, b_panel, c_panel;
    const void *a, *b, *bias;
    const int64_t *a_off, *b_off;
    void *c;
    bool relu;
} reel_gemm_row;

/* The same where the terms come in runs of `taps`, of which table b_off has the first ones' places and a_off all, the
 * others lying b_panel apart, as a row of points does: term k of a run in panel i is point i + k of the row, and is left
 * out unless that is in [low, high). */
typedef struct reel_gemm_runs {
    reel_gemm_row row;
    int64_t taps, low, high;
} reel_gemm_runs;

/* For one dtype; a vector has `lanes` elements. */
typedef struct reel_gemm_kernels_of {
    int lanes, max_vectors;
    void (*multiply)(const reel_gemm *gemm);
    void (*multiply_row)(const reel_gemm_row *row);
    /* For taps 3, 5 and 7 and at least REEL_GEMM_RUN panels; NULL where registers are few. */
    void (*multiply_runs)(const reel_gemm_runs *runs);
    /* to[c * ldt + r] = from[r * ldf + c] for r < rows, c < cols. */
    void (*transpose)(int64_t rows, int64_t cols, const void *from, int64_t ldf, void *to, int64_t ldt);
} reel_gemm_kernels_of;

REEL_DECLARE_LARGE_KERNELS(gemm, reel_gemm_kernels_of, reel_gemm_of)

/* The rows that whole register tiles do in the time of `rows`: of those left, one or two take as long as four. */
static inline int64_t reel_gemm_rows_cost(int64_t rows)
{
    int64_t left = rows % REEL_GEMM_ROWS;
    return rows - left + (left == 1 || left == 2 ? 4 : left);
}

#endif
