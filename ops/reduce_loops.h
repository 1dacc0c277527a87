// SPDX-License-Identifier: MIT
// Internal: reductions that are plain loops, for what floats' vector kernels do not do.
#ifndef REEL_OPS_REDUCE_LOOPS_H
#define REEL_OPS_REDUCE_LOOPS_H

#include <reel/ops/kernels/reduce.h>

typedef enum reel_loop_kind {
    REEL_LOOP_SUM,
    REEL_LOOP_PROD,
    REEL_LOOP_MAX,
    REEL_LOOP_MIN,
    REEL_LOOP_COUNT
} reel_loop_kind;

/* By dtype; as the kernels of the same types. Integers (sums and products wrap) and every COUNT (of what is not zero)
 * are gathered in int64, products of floats in float64; NULL where vector kernels do the work. */
typedef struct reel_reduce_loops {
    reel_reduce_lines_fn *lines[5][REEL_DTYPE_COUNT];
    reel_reduce_columns_fn *columns[5][REEL_DTYPE_COUNT];
    reel_arg_line_fn *arg_line[REEL_DTYPE_COUNT];
    reel_arg_columns_fn *arg_columns[REEL_DTYPE_COUNT];
} reel_reduce_loops;

extern const reel_reduce_loops reel_loops;

#endif
