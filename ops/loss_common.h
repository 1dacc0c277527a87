// SPDX-License-Identifier: MIT
// Private to the losses: reductions and the checks that composite losses make in their own name.
#ifndef REEL_OPS_LOSS_COMMON_H
#define REEL_OPS_LOSS_COMMON_H

#include <reel/ops/loss.h>
#include <reel/ops/table.h>

/* Whether `reduction` is one of the three every loss has; an error otherwise. */
bool reel_loss_check_reduction(reel_ctx *ctx, const char *op, reel_reduction reduction);

/* Reduces elementwise losses: their mean, their sum, or none. */
reel_tensor *reel_loss_reduce(reel_tensor *losses, reel_reduction reduction);

/* Two operands that broadcast, the first of floating point (or, with `equal`, both, and of one shape); an error in the
 * name of `op` otherwise. */
bool reel_loss_check_pair(const char *op, const char *a_name, reel_tensor *a, const char *b_name, reel_tensor *b,
                          bool equal);

/* "mean", "sum" or "none" from a table call; false after an error. */
bool reel_loss_reduction_of(reel_call_args *args, reel_reduction *reduction);

#endif
