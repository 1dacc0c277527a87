// SPDX-License-Identifier: MIT
// Sums of products by Einstein's notation.
#ifndef REEL_OPS_EINSUM_H
#define REEL_OPS_EINSUM_H

#include <reel/core/op.h>

REEL_BEGIN

/* torch.einsum: an operand's axes are named by letters (a-z, A-Z), operands are parted by commas, and "->" says which
 * axes the result keeps; the others are summed over. Without "->" the result has the letters that occur once, in
 * alphabetical order. A letter twice in one operand takes its diagonal. "..." stands for any further axes, which
 * broadcast and come first where the result does not say. Spaces may stand around the operands' labels, not within.
 * Operands are contracted from left to right. Errors: a malformed equation, a letter of two sizes, a result letter that
 * no operand has, one that repeats. */
REEL_API reel_tensor *reel_einsum(const char *equation, reel_tensor *const *xs, int n);

REEL_END

#endif
