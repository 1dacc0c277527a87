// SPDX-License-Identifier: MIT
// Internal: what is gathered of lines and columns, and how gathered numbers are joined, for every dtype.
#ifndef REEL_OPS_REDUCE_GATHER_H
#define REEL_OPS_REDUCE_GATHER_H

#include <reel/core/exec.h>
#include <reel/ops/kernels/reduce.h>

/* What is gathered of each element x. SUMEXP and SUMDEV take a number per result, `aux`: exp(x - aux), (x - aux)^2. */
typedef enum reel_reduce_kind {
    REEL_REDUCE_SUM,
    REEL_REDUCE_PROD,
    REEL_REDUCE_MAX,
    REEL_REDUCE_MIN,
    REEL_REDUCE_COUNT, /* of what is not zero */
    REEL_REDUCE_SUMEXP,
    REEL_REDUCE_SUMDEV,
    REEL_REDUCE_SUMABS,
    REEL_REDUCE_MAXABS,
    REEL_REDUCE_MINABS,
    REEL_REDUCE_SUMPOW /* |x|^param */
} reel_reduce_kind;

typedef enum reel_join { REEL_JOIN_SUM, REEL_JOIN_PROD, REEL_JOIN_MAX, REEL_JOIN_MIN } reel_join;

/* One kind on one dtype. The least is gathered as the largest of what is negated: `negated` says so. */
typedef struct reel_gathering {
    reel_reduce_lines_fn *lines;
    reel_reduce_columns_fn *columns;
    reel_reduce_map_fn *map;
    reel_reduce_map mapping;
    reel_join join;
    bool integer; /* accumulators hold int64 */
    bool negated;
    int64_t element; /* bytes */
    double param;
} reel_gathering;

reel_gathering reel_gathering_of(reel_isa isa, reel_reduce_kind kind, reel_dtype dtype, double param);

/* n accumulators that have seen nothing; b joined into a; the number that was gathered, if not an integer. */
void reel_gather_begin(const reel_gathering *g, reel_acc *acc, int64_t n);
void reel_gather_join(const reel_gathering *g, reel_acc *a, const reel_acc *b, int64_t n);
static inline double reel_gathered(const reel_gathering *g, reel_acc acc) { return g->negated ? -acc.f : acc.f; }

/* Joins m lines of n elements, `stride` from line to line, into m accumulators; aux has a number per line, or is NULL.
 */
void reel_gather_lines(const reel_gathering *g, int64_t m, int64_t n, const void *x, int64_t stride, const void *aux,
                       reel_acc *acc);

/* Joins n columns of `rows` elements into n accumulators; aux has a number per column, or is NULL. */
void reel_gather_columns(const reel_gathering *g, int64_t n, int64_t rows, const void *x, int64_t stride,
                         const void *aux, reel_acc *acc);

#endif
