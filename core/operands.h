// SPDX-License-Identifier: MIT
// What ops, and what is made of them, ask of their operands. Not installed.
#ifndef REEL_CORE_OPERANDS_H
#define REEL_CORE_OPERANDS_H

#include <reel/core/op.h>

/* Whether all `n` are there and of one context that has no error. One that is missing (NULL) beside others, or gone, is an
 * error in the name of `op`; where all are NULL there is no context to tell. */
bool reel_operands(const char *op, reel_tensor *const *in, int n);

#define REEL_OPERANDS(op, ...)                                                                                         \
    reel_operands(op, (reel_tensor *const[]) { __VA_ARGS__ }, (int)(sizeof((reel_tensor *const[]) { __VA_ARGS__ }) / sizeof(reel_tensor *)))

/* Whether `it` is there: what is missing (NULL) is an error in the name of `op`. */
bool reel_given(reel_ctx *ctx, const char *op, const char *what, const void *it);

/* The same of a list of n, which may be missing when n is 0; n below 0 is an error. */
bool reel_given_list(reel_ctx *ctx, const char *op, const char *what, const void *list, int64_t n);

/* So many overwrites of one memory wait at most: a loop that overwrites and never asks for a value does not grow the tape
 * without end. */
enum { REEL_MOST_PENDING_OVERWRITES = 8 };

/* Whether both are there and of one dtype. */
bool reel_same_dtype(const reel_tensor *a, const reel_tensor *b);

/* reel_apply of an op without attributes that has one result, no view, and overwrites nothing, in less time. */
reel_tensor *reel_apply_two(const reel_op *op, reel_tensor *a, reel_tensor *b);

/* How many overwrites of x's memory have been recorded; those an error has dropped do not count. */
uint32_t reel_overwrites_of(const reel_tensor *x);

/* The memory of a leaf, to be filled at once, also where an error keeps anything from being recorded: what was recorded from
 * the old value cannot be played any more. NULL when it is not the leaf's own. */
void *reel_overwrite_now(reel_tensor *x);

#endif
