// SPDX-License-Identifier: MIT
// Internal: axes and sizes as attributes name them, checked.
#ifndef REEL_OPS_AXES_H
#define REEL_OPS_AXES_H

#include <limits.h>
#include <reel/core/clean.h>
#include <reel/core/op.h>
#include <reel/ops/table.h>

/* `dim` counted from the front, or -1 when a tensor of `ndim` axes has no such axis. */
static inline int reel_axis(int64_t dim, int ndim)
{
    if (dim < -ndim || dim >= ndim) return -1;
    return (int)(dim < 0 ? dim + ndim : dim);
}

/* The same as an error of infer. */
static inline bool reel_infer_axis(const reel_infer *infer, int64_t dim, int ndim, int *axis)
{
    *axis = reel_axis(dim, ndim);
    if (*axis >= 0) return true;
    if (ndim == 0) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "axis %lld of a scalar", (long long)dim);
    return reel_infer_fail(infer, REEL_ERROR_SHAPE, "axis %lld is outside [%d, %d)", (long long)dim, -ndim, ndim);
}

/* Sizes and axes of a table row's list; false after an error. Numbers beyond an int become its nearest: no axis either.
 */
static inline int reel_clamp_int(int64_t v) { return v < INT_MIN ? INT_MIN : v > INT_MAX ? INT_MAX : (int)v; }

static inline bool reel_args_dim_list(const reel_call_args *args, const char *name, reel_dims *dims)
{
    int64_t values[REEL_MAX_DIMS];
    *dims = REEL_ALL_DIMS;
    int n = reel_args_ints(args, name, values, REEL_MAX_DIMS);
    for (int k = 0; k < n; k++) dims->dim[k] = reel_clamp_int(values[k]);
    dims->count = n < 0 ? 0 : n;
    return n >= 0;
}

static inline bool reel_args_shape(const reel_call_args *args, const char *name, reel_shape *shape)
{
    *shape = REEL_SCALAR;
    int n = reel_args_ints(args, name, shape->dim, REEL_MAX_DIMS);
    shape->ndim = n < 0 ? 0 : n;
    return n >= 0;
}

static inline int reel_args_axis(const reel_call_args *args, const char *name)
{
    return reel_clamp_int(reel_args_int(args, name));
}

/* The sizes before, at and after axis `dim`; a scalar is one axis of 1. */
static inline void reel_split_axes(const reel_buffer *x, int dim, int64_t *outer, int64_t *size, int64_t *inner)
{
    *outer = *size = *inner = 1;
    for (int d = 0; d < x->ndim; d++) *(d < dim ? outer : d == dim ? size : inner) *= x->shape[d];
}

#endif
