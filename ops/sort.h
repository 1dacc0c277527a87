// SPDX-License-Identifier: MIT
// Sorting along an axis.
#ifndef REEL_OPS_SORT_H
#define REEL_OPS_SORT_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* x sorted along axis `dim` (negative: from the end), stable, NaN as the largest of all; *indices (which may be NULL)
 * gets where each element came from, int64. The cotangent of a value goes back to the element it was. */
REEL_API reel_tensor *reel_sort(reel_tensor *x, int dim, bool descending, reel_tensor **indices);

/* The indices alone. */
REEL_API reel_tensor *reel_argsort(reel_tensor *x, int dim, bool descending);

/* The k largest elements along `dim`, largest first (or the k smallest, smallest first); of equal ones the earlier. An
 * error unless 0 <= k <= size. */
REEL_API reel_tensor *reel_topk(reel_tensor *x, int64_t k, int dim, bool smallest, reel_tensor **indices);

REEL_END

#endif
