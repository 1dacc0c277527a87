// SPDX-License-Identifier: MIT
// Internal: cumulative ops as loops over the rows, n columns at once.
#ifndef REEL_OPS_SCAN_LOOPS_H
#define REEL_OPS_SCAN_LOOPS_H

#include <reel/core/dtype.h>

enum { REEL_SCAN_COLUMNS = 256 }; /* the most columns of one call */

/* What a row makes of the state; x is the row of a, and of b. Inclusive results are the state after, exclusive before.
 */
typedef enum reel_scan_kind {
    REEL_SCAN_SUM,
    REEL_SCAN_PROD,
    REEL_SCAN_SUM_EXCLUSIVE,
    REEL_SCAN_PROD_EXCLUSIVE,
    REEL_SCAN_MAX, /* out, and the row it stands at in index */
    REEL_SCAN_MIN,
    REEL_SCAN_LINEAR,        /* b + a * state                     */
    REEL_SCAN_LINEAR_LAGGED, /* b + (a of the row before) * state */
    REEL_SCAN_KINDS
} reel_scan_kind;

/* n <= REEL_SCAN_COLUMNS columns; `step` elements from one row to the next in all operands, negative for a scan from
 * the end. b is for LINEAR only, index (int64, rows counted from 0) for MAX and MIN. Integer sums and products give
 * int64; float32 is gathered in float64. */
typedef void reel_scan_fn(int64_t n, int64_t rows, int64_t step, const void *a, const void *b, void *out,
                          int64_t *index);

/* NULL where the kind does not take the dtype. */
extern reel_scan_fn *const reel_scan_loops[REEL_SCAN_KINDS][REEL_DTYPE_COUNT];

#endif
