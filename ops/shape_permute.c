// SPDX-License-Identifier: MIT
// Axes in another order: permute, transpose, movedim. All are views.
#include <reel/ops/axes.h>
#include <reel/ops/shape.h>

#include <string.h>

typedef struct permute_attrs {
    reel_dims from, to; /* permute: `from` is the order; transpose and movedim: axis from[k] goes to place to[k] */
} permute_attrs;

/* Output 0 has input 0's axis order[k] as its axis k. */
static bool infer_order(reel_infer *infer, const int *order)
{
    reel_shape in = reel_shape_of(infer->in[0]), shape = in;
    const int64_t *strides = reel_strides_of(infer->in[0]);
    for (int k = 0; k < in.ndim; k++) shape.dim[k] = in.dim[order[k]];
    if (!reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape)) return false;
    for (int k = 0; k < in.ndim; k++) infer->out[0].strides[k] = strides[order[k]];
    infer->out[0].offset = 0;
    return true;
}

static bool axes_of(const reel_infer *infer, const reel_dims *dims, int ndim, int *axes)
{
    bool seen[REEL_MAX_DIMS] = { false };
    for (int k = 0; k < dims->count; k++) {
        if (!reel_infer_axis(infer, dims->dim[k], ndim, &axes[k])) return false;
        if (seen[axes[k]]) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "axis %d is named twice", axes[k]);
        seen[axes[k]] = true;
    }
    return true;
}

static bool infer_permute(reel_infer *infer)
{
    const permute_attrs *attrs = infer->attrs;
    int ndim = reel_ndim(infer->in[0]), order[REEL_MAX_DIMS];
    if (attrs->from.count != ndim)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%d axes are named, the operand has %d", attrs->from.count,
                               ndim);
    return axes_of(infer, &attrs->from, ndim, order) && infer_order(infer, order);
}

static bool infer_movedim(reel_infer *infer)
{
    const permute_attrs *attrs = infer->attrs;
    int ndim = reel_ndim(infer->in[0]), from[REEL_MAX_DIMS], to[REEL_MAX_DIMS], order[REEL_MAX_DIMS];
    if (attrs->from.count != attrs->to.count || attrs->from.count > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%d axes are to go to %d places", attrs->from.count,
                               attrs->to.count);
    int wrap = ndim ? ndim : 1;
    if (!axes_of(infer, &attrs->from, wrap, from) || !axes_of(infer, &attrs->to, wrap, to)) return false;
    bool moved[REEL_MAX_DIMS] = { false };
    for (int k = 0; k < ndim; k++) order[k] = -1;
    for (int i = 0; i < attrs->from.count && ndim > 0; i++) {
        order[to[i]] = from[i];
        moved[from[i]] = true;
    }
    int axis = 0;
    for (int k = 0; k < ndim; k++) {
        if (order[k] >= 0) continue;
        while (moved[axis]) axis++;
        order[k] = axis++;
    }
    return infer_order(infer, order);
}

static bool infer_transpose(reel_infer *infer)
{
    const permute_attrs *attrs = infer->attrs;
    int ndim = reel_ndim(infer->in[0]), wrap = ndim ? ndim : 1, a, b, order[REEL_MAX_DIMS];
    if (!reel_infer_axis(infer, attrs->from.dim[0], wrap, &a) || !reel_infer_axis(infer, attrs->to.dim[0], wrap, &b))
        return false;
    for (int k = 0; k < ndim; k++) order[k] = k == a ? b : k == b ? a : k;
    return infer_order(infer, order);
}

static bool vjp_permute(reel_vjp *vjp)
{
    const permute_attrs *attrs = vjp->attrs;
    int ndim = reel_vjp_input_shape(vjp, 0).ndim;
    reel_dims inverse = { .count = ndim };
    for (int k = 0; k < ndim; k++) inverse.dim[reel_axis(attrs->from.dim[k], ndim)] = k;
    vjp->grad[0] = reel_permute(vjp->cot[0], inverse);
    return true;
}

static bool vjp_movedim(reel_vjp *vjp)
{
    const permute_attrs *attrs = vjp->attrs;
    vjp->grad[0] = reel_movedim(vjp->cot[0], attrs->to, attrs->from);
    return true;
}

static bool vjp_transpose(reel_vjp *vjp)
{
    const permute_attrs *attrs = vjp->attrs;
    vjp->grad[0] = reel_transpose(vjp->cot[0], attrs->from.dim[0], attrs->to.dim[0]);
    return true;
}

const reel_op reel_op_permute = { .name = "permute",
                                  .infer = infer_permute,
                                  .vjp = vjp_permute,
                                  .flags = REEL_OP_VIEW,
                                  .attrs_size = sizeof(permute_attrs) };
const reel_op reel_op_movedim = { .name = "movedim",
                                  .infer = infer_movedim,
                                  .vjp = vjp_movedim,
                                  .flags = REEL_OP_VIEW,
                                  .attrs_size = sizeof(permute_attrs) };
const reel_op reel_op_transpose = { .name = "transpose",
                                    .infer = infer_transpose,
                                    .vjp = vjp_transpose,
                                    .flags = REEL_OP_VIEW,
                                    .attrs_size = sizeof(permute_attrs) };

static reel_tensor *record(const reel_op *op, reel_tensor *x, reel_dims from, reel_dims to)
{
    permute_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.from = reel_dims_clean(from);
    attrs.to = reel_dims_clean(to);
    return reel_apply(op, &x, 1, &attrs, NULL);
}

reel_tensor *reel_permute(reel_tensor *x, reel_dims dims) { return record(&reel_op_permute, x, dims, REEL_ALL_DIMS); }

reel_tensor *reel_movedim(reel_tensor *x, reel_dims from, reel_dims to)
{
    return record(&reel_op_movedim, x, from, to);
}

reel_tensor *reel_transpose(reel_tensor *x, int dim0, int dim1)
{
    return record(&reel_op_transpose, x, REEL_DIMS(dim0), REEL_DIMS(dim1));
}

/* Rows of the op table */

static bool call_permute(reel_call_args *args)
{
    reel_dims dims;
    return reel_args_dim_list(args, "dims", &dims) &&
           reel_args_return(args, reel_permute(reel_args_input(args, 0), dims));
}
const reel_function reel_fn_permute = { .name = "permute",
                                        .inputs = "input",
                                        .attrs = "dims:ints",
                                        .call = call_permute,
                                        .formula = "y's axis k is x's axis dims[k]",
                                        .shapes = "input: any; dims names every axis once -> the sizes in that order",
                                        .errors = "dims that do not name every axis",
                                        .orders = -1 };

static bool call_transpose(reel_call_args *args)
{
    return reel_args_return(
        args, reel_transpose(reel_args_input(args, 0), reel_args_axis(args, "dim0"), reel_args_axis(args, "dim1")));
}
const reel_function reel_fn_transpose = { .name = "transpose",
                                          .inputs = "input",
                                          .attrs = "dim0:int dim1:int",
                                          .call = call_transpose,
                                          .formula = "swaps two axes",
                                          .shapes = "input: any -> two sizes swapped",
                                          .errors = "none of its own",
                                          .orders = -1 };

static bool call_movedim(reel_call_args *args)
{
    reel_dims from, to;
    return reel_args_dim_list(args, "source", &from) && reel_args_dim_list(args, "destination", &to) &&
           reel_args_return(args, reel_movedim(reel_args_input(args, 0), from, to));
}
const reel_function reel_fn_movedim = { .name = "movedim",
                                        .inputs = "input",
                                        .attrs = "source:ints destination:ints",
                                        .call = call_movedim,
                                        .formula = "axis source[k] goes to place destination[k]",
                                        .shapes = "input: any -> the sizes in another order",
                                        .errors = "lists of different length",
                                        .orders = -1 };
