// SPDX-License-Identifier: MIT
// Ops that only say where elements are: reshape, permute, expand, slice, flip and their like. Most are views.
//
// A negative axis counts from the end. Views share memory with their operand and cost no copy; each op says when it
// cannot be one. Rules and derivatives of any order exist for all of them.
#ifndef REEL_OPS_SHAPE_H
#define REEL_OPS_SHAPE_H

#include <reel/core/op.h>
#include <reel/ops/join.h>
#include <reel/ops/pad.h>

REEL_BEGIN

/* The end of an axis, for reel_slice. */
#define REEL_TO_END INT64_MAX

/* The same elements in row-major order under `shape`; one size may be -1 and is what the others leave. A view where the
 * strides of `x` allow it, a copy otherwise. Errors: another number of elements, two -1, a -1 that no size satisfies.
 */
REEL_API reel_tensor *reel_reshape(reel_tensor *x, reel_shape shape);

/* reel_reshape that never copies: an error where the strides of `x` do not allow a view. */
REEL_API reel_tensor *reel_view(reel_tensor *x, reel_shape shape);

/* Axes start..end (both included) become one; a scalar becomes [1]. PyTorch's defaults are 0 and -1. */
REEL_API reel_tensor *reel_flatten(reel_tensor *x, int start, int end);

/* Axis `dim` becomes the axes `sizes`, of the same product; one of them may be -1. */
REEL_API reel_tensor *reel_unflatten(reel_tensor *x, int dim, reel_shape sizes);

/* Drops the axes `dims` that have size 1 (others in the list stay); REEL_ALL_DIMS drops every axis of size 1. */
REEL_API reel_tensor *reel_squeeze(reel_tensor *x, reel_dims dims);

/* Puts an axis of size 1 before axis `dim`, -ndim-1 <= dim <= ndim. */
REEL_API reel_tensor *reel_unsqueeze(reel_tensor *x, int dim);

/* y's axis k is x's axis dims[k]: every axis once. (No dims: a scalar.) */
REEL_API reel_tensor *reel_permute(reel_tensor *x, reel_dims dims);

/* Swaps two axes. */
REEL_API reel_tensor *reel_transpose(reel_tensor *x, int dim0, int dim1);

/* Axis from[k] goes to place to[k]; the others keep their order. */
REEL_API reel_tensor *reel_movedim(reel_tensor *x, reel_dims from, reel_dims to);

/* Repeats axes of size 1 without a copy; -1 keeps a size, new axes come first. */
REEL_API reel_tensor *reel_expand(reel_tensor *x, reel_shape shape);
REEL_API reel_tensor *reel_broadcast_to(reel_tensor *x, reel_shape shape);

/* Elements start, start + step, ... before `end` of an axis; step > 0. Negative positions count from the end, then both
 * are clamped to the axis, as Python does: 0, REEL_TO_END and 1 take all of it. */
REEL_API reel_tensor *reel_slice(reel_tensor *x, int dim, int64_t start, int64_t end, int64_t step);

/* `length` elements from `start` (negative: from the end). An error where that leaves the axis. */
REEL_API reel_tensor *reel_narrow(reel_tensor *x, int dim, int64_t start, int64_t length);

/* One element of an axis, which goes away. */
REEL_API reel_tensor *reel_select(reel_tensor *x, int dim, int64_t index);

/* The adjoint of reel_slice: zeros of `shape` that hold y at the places the same slice would take. */
REEL_API reel_tensor *reel_slice_backward(reel_tensor *y, reel_shape shape, int dim, int64_t start, int64_t end,
                                          int64_t step);

/* The adjoint of reel_select. */
REEL_API reel_tensor *reel_select_backward(reel_tensor *y, reel_shape shape, int dim, int64_t index);

/* The axes `dims` back to front: a view of negative strides. (No dims: x itself, as in PyTorch.) */
REEL_API reel_tensor *reel_flip(reel_tensor *x, reel_dims dims);

/* y[(i + shift) mod n] = x[i] along each axis of `dims` (one shift an axis); with no dims, one shift over the flattened
 * elements. An axis may be named more than once. */
REEL_API reel_tensor *reel_roll(reel_tensor *x, const int64_t *shifts, reel_dims dims);

/* Copies of x side by side: reps[k] of them along axis k. Shorter `reps` is filled with ones in front; so is x's shape.
 */
REEL_API reel_tensor *reel_tile(reel_tensor *x, reel_shape reps);

/* reel_tile that asks for a count for every axis of x, as PyTorch's Tensor.repeat. */
REEL_API reel_tensor *reel_repeat(reel_tensor *x, reel_shape reps);

/* Keeps what is on and below (tril) or above (triu) the given diagonal of the last two axes; zero elsewhere. */
REEL_API reel_tensor *reel_tril(reel_tensor *x, int64_t diagonal);
REEL_API reel_tensor *reel_triu(reel_tensor *x, int64_t diagonal);

/* y[..., i] = x[.., i, .., i + offset, ..] over axes dim0 and dim1: a view, the diagonal as last axis. */
REEL_API reel_tensor *reel_diagonal(reel_tensor *x, int64_t offset, int dim0, int dim1);

/* The adjoint of reel_diagonal: zeros of `shape` with y on that diagonal. */
REEL_API reel_tensor *reel_diagonal_backward(reel_tensor *y, reel_shape shape, int64_t offset, int dim0, int dim1);

/* x in row-major order: a copy where it is not already. */
REEL_API reel_tensor *reel_contiguous(reel_tensor *x);

REEL_END

#endif
