// SPDX-License-Identifier: MIT
// Putting tensors together along an axis, and taking them apart.
#ifndef REEL_OPS_JOIN_H
#define REEL_OPS_JOIN_H

#include <reel/core/op.h>

REEL_BEGIN

/* xs[0], ..., xs[n - 1] one after the other along `dim`; all other sizes equal; dtypes are promoted to a common one.
 * A 1-D tensor without elements is passed over, as in PyTorch. Errors: no tensors, ranks or sizes that differ. */
REEL_API reel_tensor *reel_cat(reel_tensor *const *xs, int n, int dim);

/* The same along a new axis `dim`: all shapes equal. */
REEL_API reel_tensor *reel_stack(reel_tensor *const *xs, int n, int dim);

/* The slices of an axis, without it: writes up to `capacity` views and returns how many there are; -1 on error (also
 * when there are more than `capacity`). */
REEL_API int reel_unbind(reel_tensor *x, int dim, reel_tensor **out, int capacity);

/* Pieces of `size` elements along `dim`, the last one may be smaller. Returns as reel_unbind. */
REEL_API int reel_split(reel_tensor *x, int64_t size, int dim, reel_tensor **out, int capacity);

/* Pieces of the given sizes, which must add up to the axis. Returns n or -1. */
REEL_API int reel_split_sizes(reel_tensor *x, const int64_t *sizes, int n, int dim, reel_tensor **out);

/* `chunks` pieces of ceil(n / chunks) elements, the last one may be smaller and there may be fewer. Returns as
 * reel_unbind. */
REEL_API int reel_chunk(reel_tensor *x, int chunks, int dim, reel_tensor **out, int capacity);

REEL_END

#endif
