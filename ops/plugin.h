// SPDX-License-Identifier: MIT
// A user's own ops in a shared object, for `reel-check plugin ./mine.so`.
#ifndef REEL_OPS_PLUGIN_H
#define REEL_OPS_PLUGIN_H

#include <reel/ops/table.h>

REEL_BEGIN

/* Operands and attributes to try an op on.
 *
 * `inputs` is "name:kind[sizes] ...". Kinds: f uniform in (-1, 1); f(lo,hi) uniform; c, c(lo,hi) the same, but not
 * differentiated by; d, d(lo,hi) shuffled values well apart and none near 0, for ops with kinks; i(lo,hi) int64 in
 * [lo, hi); b bool. A size is a number or a capital letter: a size from 1 to 4, one letter one size in the row. f[] is
 * a scalar.
 *
 * `linear` names operands the op is linear in, the others held fixed: "input weight" for each by itself, "input+other"
 * for both together; NULL for none. */
typedef struct reel_row {
    const char *op;
    const char *inputs;
    const char *attrs; /* a JSON object */
    const char *linear;
} reel_row;

/* What the shared object defines under the name reel_plugin_ops. Every op needs at least one row. */
typedef struct reel_plugin {
    const reel_function *const *functions; /* the last is NULL       */
    const reel_row *rows;                  /* the last has no op     */
} reel_plugin;

REEL_API extern const reel_plugin reel_plugin_ops;

REEL_END

#endif
