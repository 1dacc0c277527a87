// SPDX-License-Identifier: MIT
// The same elements under another shape: reshape, view, flatten, unflatten, squeeze, unsqueeze, expand, contiguous.
#include <reel/ops/axes.h>
#include <reel/ops/copy.h>
#include <reel/ops/shape.h>

#include <stdio.h>
#include <string.h>

typedef enum reshape_kind { RESHAPE, FLATTEN, UNFLATTEN, SQUEEZE, UNSQUEEZE } reshape_kind;

typedef struct reshape_attrs {
    reshape_kind kind;
    int start, end; /* FLATTEN; UNFLATTEN and UNSQUEEZE: the axis is `start` */
    reel_dims dims; /* SQUEEZE                                             */
    reel_shape shape;
} reshape_attrs;

enum { WHY = 256 };

static bool no_axis(char why[WHY], int64_t dim, int low, int high)
{
    snprintf(why, WHY, "axis %lld is outside [%d, %d)", (long long)dim, low, high);
    return false;
}

/* `sizes`, which must hold `numel` elements, with its -1 filled in. */
static bool fill_in(const reel_shape *sizes, int64_t numel, reel_shape *full, char why[WHY])
{
    char text[REEL_SHAPE_TEXT];
    if (sizes->ndim < 0 || sizes->ndim > REEL_MAX_DIMS) {
        snprintf(why, WHY, "%d axes; a tensor has 0 to %d", sizes->ndim, REEL_MAX_DIMS);
        return false;
    }
    *full = *sizes;
    int open = -1;
    for (int k = 0; k < sizes->ndim; k++) {
        if (sizes->dim[k] >= 0) continue;
        if (sizes->dim[k] < -1 || open >= 0) {
            snprintf(why, WHY,
                     open >= 0 && sizes->dim[k] == -1 ? "%s has more than one size of -1" : "%s has a negative size",
                     reel_shape_format(*sizes, text));
            return false;
        }
        open = k;
        full->dim[k] = 1;
    }
    int64_t known = reel_shape_numel(*full);
    if (open >= 0) {
        if (known == 0) {
            snprintf(why, WHY, "any size could stand for the -1 in %s, which has no elements",
                     reel_shape_format(*sizes, text));
            return false;
        }
        if (known < 0 || numel % known != 0) {
            snprintf(why, WHY, "no size for the -1 in %s gives %lld elements", reel_shape_format(*sizes, text),
                     (long long)numel);
            return false;
        }
        full->dim[open] = numel / known;
    } else if (known != numel) {
        snprintf(why, WHY, "%s has another number of elements than %lld", reel_shape_format(*sizes, text),
                 (long long)numel);
        return false;
    }
    return true;
}

static bool flatten_shape(const reshape_attrs *attrs, reel_shape in, reel_shape *out, char why[WHY])
{
    int ndim = in.ndim ? in.ndim : 1, start = reel_axis(attrs->start, ndim), end = reel_axis(attrs->end, ndim);
    if (start < 0) return no_axis(why, attrs->start, -ndim, ndim);
    if (end < 0) return no_axis(why, attrs->end, -ndim, ndim);
    if (start > end) {
        snprintf(why, WHY, "the first axis to join, %d, comes after the last, %d", start, end);
        return false;
    }
    if (in.ndim == 0) {
        *out = REEL_SHAPE(1);
        return true;
    }
    out->ndim = in.ndim - (end - start);
    for (int k = 0; k <= start; k++) out->dim[k] = in.dim[k];
    for (int k = start + 1; k <= end; k++)
        if (__builtin_mul_overflow(out->dim[start], in.dim[k], &out->dim[start])) out->dim[start] = -1;
    for (int k = end + 1; k < in.ndim; k++) out->dim[k - (end - start)] = in.dim[k];
    return true;
}

static bool unflatten_shape(const reshape_attrs *attrs, reel_shape in, reel_shape *out, char why[WHY])
{
    reel_shape sizes;
    int axis = reel_axis(attrs->start, in.ndim);
    if (axis < 0) return no_axis(why, attrs->start, -in.ndim, in.ndim);
    if (attrs->shape.ndim == 0) {
        snprintf(why, WHY, "no sizes given for axis %d", axis);
        return false;
    }
    if (!fill_in(&attrs->shape, in.dim[axis], &sizes, why)) return false;
    out->ndim = in.ndim - 1 + sizes.ndim;
    if (out->ndim > REEL_MAX_DIMS) {
        snprintf(why, WHY, "the result would have %d axes; a tensor has 0 to %d", out->ndim, REEL_MAX_DIMS);
        return false;
    }
    int k = 0;
    for (int i = 0; i < axis; i++) out->dim[k++] = in.dim[i];
    for (int i = 0; i < sizes.ndim; i++) out->dim[k++] = sizes.dim[i];
    for (int i = axis + 1; i < in.ndim; i++) out->dim[k++] = in.dim[i];
    return true;
}

static bool squeeze_shape(const reshape_attrs *attrs, reel_shape in, reel_shape *out, char why[WHY])
{
    int ndim = in.ndim ? in.ndim : 1;
    bool drop[REEL_MAX_DIMS] = { false };
    for (int i = 0; i < attrs->dims.count; i++) {
        int axis = reel_axis(attrs->dims.dim[i], ndim);
        if (axis < 0) return no_axis(why, attrs->dims.dim[i], -ndim, ndim);
        if (drop[axis]) {
            snprintf(why, WHY, "axis %d is named twice", axis);
            return false;
        }
        drop[axis] = true;
    }
    out->ndim = 0;
    for (int k = 0; k < in.ndim; k++)
        if (in.dim[k] != 1 || !(drop[k] || attrs->dims.count == 0)) out->dim[out->ndim++] = in.dim[k];
    return true;
}

/* The shape asked for, or why there is none. */
static bool target(const reshape_attrs *attrs, reel_shape in, reel_shape *out, char why[WHY])
{
    memset(out, 0, sizeof *out);
    switch (attrs->kind) {
    case RESHAPE: return fill_in(&attrs->shape, reel_shape_numel(in), out, why);
    case FLATTEN: return flatten_shape(attrs, in, out, why);
    case UNFLATTEN: return unflatten_shape(attrs, in, out, why);
    case SQUEEZE: return squeeze_shape(attrs, in, out, why);
    case UNSQUEEZE: break;
    }
    int axis = reel_axis(attrs->start, in.ndim + 1);
    if (axis < 0) return no_axis(why, attrs->start, -in.ndim - 1, in.ndim + 1);
    if (in.ndim == REEL_MAX_DIMS) {
        snprintf(why, WHY, "the operand already has %d axes, the most there may be", REEL_MAX_DIMS);
        return false;
    }
    out->ndim = in.ndim + 1;
    for (int k = 0; k < out->ndim; k++) out->dim[k] = k == axis ? 1 : in.dim[k - (k > axis)];
    return true;
}

/* Strides under which the memory of `in` reads as `shape`; false where no strides do. Runs of axes that lie one in the
 * other are matched from the last axis on. */
static bool view_strides(reel_shape in, const int64_t *in_strides, reel_shape shape, int64_t *strides)
{
    if (reel_shape_numel(in) == 0 || in.ndim == 0) {
        reel_row_major(shape, strides);
        return true;
    }
    int k = shape.ndim - 1;
    int64_t step = in_strides[in.ndim - 1], run = 1, covered = 1;
    for (int i = in.ndim - 1; i >= 0; i--) {
        run *= in.dim[i];
        if (i > 0 && (in.dim[i - 1] == 1 || in_strides[i - 1] == run * step)) continue;
        while (k >= 0 && (covered < run || shape.dim[k] == 1)) {
            strides[k] = covered * step;
            covered *= shape.dim[k--];
        }
        if (covered != run) return false;
        if (i > 0) {
            step = in_strides[i - 1];
            run = covered = 1;
        }
    }
    return k < 0;
}

static bool infer_reshape(reel_infer *infer)
{
    char why[WHY];
    reel_shape in = reel_shape_of(infer->in[0]), shape;
    if (!target(infer->attrs, in, &shape, why)) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%s", why);
    if (!reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape)) return false;
    infer->out[0].offset = 0;
    if (!(infer->op->flags & REEL_OP_VIEW)) return true;
    return view_strides(in, reel_strides_of(infer->in[0]), shape, infer->out[0].strides) ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE,
                           "the elements are not in memory as that shape needs them; reel_reshape copies them");
}

static bool vjp_reshape(reel_vjp *vjp)
{
    vjp->grad[0] = reel_reshape(vjp->cot[0], reel_vjp_input_shape(vjp, 0));
    return true;
}

#define RESHAPE_OP(symbol, text)                                                                                       \
    const reel_op reel_op_##symbol = { .name = text,                                                                   \
                                       .infer = infer_reshape,                                                         \
                                       .vjp = vjp_reshape,                                                             \
                                       .flags = REEL_OP_VIEW,                                                          \
                                       .attrs_size = sizeof(reshape_attrs) }
RESHAPE_OP(reshape, "reshape");
RESHAPE_OP(view, "view");
RESHAPE_OP(flatten, "flatten");
RESHAPE_OP(unflatten, "unflatten");
RESHAPE_OP(squeeze, "squeeze");
RESHAPE_OP(unsqueeze, "unsqueeze");
#undef RESHAPE_OP

const reel_op reel_op_reshape_copy = { .name = "reshape",
                                       .infer = infer_reshape,
                                       .play = reel_play_copy,
                                       .vjp = vjp_reshape,
                                       .flags = REEL_OP_STRIDED,
                                       .attrs_size = sizeof(reshape_attrs) };

/* Records the view, or the copy where there cannot be one. */
static reel_tensor *record_reshape(const reel_op *op, reel_tensor *x, reshape_attrs *attrs)
{
    char why[WHY];
    reel_shape in = reel_shape_of(x), shape;
    int64_t strides[REEL_MAX_DIMS];
    if (x && !reel_is_contiguous(x) && target(attrs, in, &shape, why) &&
        !view_strides(in, reel_strides_of(x), shape, strides)) {
        memset(attrs, 0, sizeof *attrs);
        attrs->kind = RESHAPE;
        attrs->shape = reel_shape_clean(shape);
        op = &reel_op_reshape_copy;
    }
    return reel_apply(op, &x, 1, attrs, NULL);
}

static reshape_attrs make_attrs(reshape_kind kind, int start, int end)
{
    reshape_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.kind = kind;
    attrs.start = start;
    attrs.end = end;
    return attrs;
}

reel_tensor *reel_reshape(reel_tensor *x, reel_shape shape)
{
    reshape_attrs attrs = make_attrs(RESHAPE, 0, 0);
    attrs.shape = reel_shape_clean(shape);
    return record_reshape(&reel_op_reshape, x, &attrs);
}

reel_tensor *reel_view(reel_tensor *x, reel_shape shape)
{
    reshape_attrs attrs = make_attrs(RESHAPE, 0, 0);
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_view, &x, 1, &attrs, NULL);
}

reel_tensor *reel_flatten(reel_tensor *x, int start, int end)
{
    reshape_attrs attrs = make_attrs(FLATTEN, start, end);
    return record_reshape(&reel_op_flatten, x, &attrs);
}

reel_tensor *reel_unflatten(reel_tensor *x, int dim, reel_shape sizes)
{
    reshape_attrs attrs = make_attrs(UNFLATTEN, dim, 0);
    attrs.shape = reel_shape_clean(sizes);
    return record_reshape(&reel_op_unflatten, x, &attrs);
}

reel_tensor *reel_squeeze(reel_tensor *x, reel_dims dims)
{
    reshape_attrs attrs = make_attrs(SQUEEZE, 0, 0);
    attrs.dims = reel_dims_clean(dims);
    return record_reshape(&reel_op_squeeze, x, &attrs);
}

reel_tensor *reel_unsqueeze(reel_tensor *x, int dim)
{
    reshape_attrs attrs = make_attrs(UNSQUEEZE, dim, 0);
    return record_reshape(&reel_op_unsqueeze, x, &attrs);
}

/* expand */

typedef struct expand_attrs {
    reel_shape shape;
} expand_attrs;

static bool infer_expand(reel_infer *infer)
{
    const expand_attrs *attrs = infer->attrs;
    reel_shape in = reel_shape_of(infer->in[0]), shape = attrs->shape;
    const int64_t *in_strides = reel_strides_of(infer->in[0]);
    char text[REEL_SHAPE_TEXT];
    if (shape.ndim < in.ndim || shape.ndim > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "%d sizes for an operand of %d axes; at least that many, at most %d", shape.ndim,
                               in.ndim, REEL_MAX_DIMS);
    int lead = shape.ndim - in.ndim;
    for (int k = 0; k < shape.ndim; k++) {
        int64_t have = k < lead ? 1 : in.dim[k - lead];
        if (shape.dim[k] == -1 && k >= lead) shape.dim[k] = have;
        if (shape.dim[k] < 0)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "size %lld of axis %d in %s is negative",
                                   (long long)shape.dim[k], k, reel_shape_format(attrs->shape, text));
        if (have != 1 && shape.dim[k] != have)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "axis %d has %lld elements and only 1 can become %lld",
                                   k - lead, (long long)have, (long long)shape.dim[k]);
    }
    if (!reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape)) return false;
    for (int k = 0; k < shape.ndim; k++)
        infer->out[0].strides[k] = k < lead || (in.dim[k - lead] == 1 && shape.dim[k] != 1) ? 0 : in_strides[k - lead];
    infer->out[0].offset = 0;
    return true;
}

/* The player sums a cotangent of the broadcast shape. */
static bool vjp_expand(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    return true;
}

const reel_op reel_op_expand = { .name = "expand",
                                 .infer = infer_expand,
                                 .vjp = vjp_expand,
                                 .flags = REEL_OP_VIEW,
                                 .attrs_size = sizeof(expand_attrs) };
const reel_op reel_op_broadcast_to = { .name = "broadcast_to",
                                       .infer = infer_expand,
                                       .vjp = vjp_expand,
                                       .flags = REEL_OP_VIEW,
                                       .attrs_size = sizeof(expand_attrs) };

reel_tensor *reel_expand(reel_tensor *x, reel_shape shape)
{
    expand_attrs attrs = { reel_shape_clean(shape) };
    return reel_apply(&reel_op_expand, &x, 1, &attrs, NULL);
}

reel_tensor *reel_broadcast_to(reel_tensor *x, reel_shape shape)
{
    expand_attrs attrs = { reel_shape_clean(shape) };
    return reel_apply(&reel_op_broadcast_to, &x, 1, &attrs, NULL);
}

/* contiguous */

static bool vjp_pass(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    return true;
}

const reel_op reel_op_contiguous = {
    .name = "contiguous", .infer = reel_infer_same, .play = reel_play_copy, .vjp = vjp_pass,
    .flags = REEL_OP_STRIDED | REEL_OP_CHEAP
};

reel_tensor *reel_contiguous(reel_tensor *x)
{
    if (reel_is_contiguous(x)) return reel_view(x, reel_shape_of(x));
    return reel_apply(&reel_op_contiguous, &x, 1, NULL, NULL);
}

/* Rows of the op table */

static bool call_reshape(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "shape", &shape) &&
           reel_args_return(args, reel_reshape(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_reshape = { .name = "reshape",
                                        .inputs = "input",
                                        .attrs = "shape:ints",
                                        .call = call_reshape,
                                        .formula = "the same elements in row-major order under another shape",
                                        .shapes = "input: any; shape of as many elements, one size may be -1 -> shape",
                                        .errors =
                                            "two sizes of -1, or one beside an empty axis; another number of elements",
                                        .orders = -1 };

static bool call_view(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "shape", &shape) && reel_args_return(args, reel_view(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_view = { .name = "view",
                                     .inputs = "input",
                                     .attrs = "shape:ints",
                                     .call = call_view,
                                     .formula = "reshape that never copies",
                                     .shapes = "input: any; shape of as many elements, one size may be -1 -> shape",
                                     .errors =
                                         "two sizes of -1, or one beside an empty axis; another number of elements; "
                                         "elements whose places in memory no strides of that shape give",
                                     .orders = -1 };

static bool call_flatten(reel_call_args *args)
{
    return reel_args_return(args, reel_flatten(reel_args_input(args, 0), reel_args_axis(args, "start_dim"),
                                               reel_args_axis(args, "end_dim")));
}
const reel_function reel_fn_flatten = { .name = "flatten",
                                        .inputs = "input",
                                        .attrs = "start_dim:int=0 end_dim:int=-1",
                                        .call = call_flatten,
                                        .formula = "axes start_dim to end_dim as one",
                                        .shapes = "input: any -> [..., product of the sizes, ...]",
                                        .errors = "start_dim behind end_dim",
                                        .orders = -1 };

static bool call_unflatten(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "sizes", &shape) &&
           reel_args_return(args, reel_unflatten(reel_args_input(args, 0), reel_args_axis(args, "dim"), shape));
}
const reel_function reel_fn_unflatten = {
    .name = "unflatten",
    .inputs = "input",
    .attrs = "dim:int sizes:ints",
    .call = call_unflatten,
    .formula = "axis dim as several",
    .shapes = "input: [..., n, ...]; sizes of product n, one may be -1 -> [..., sizes, ...]",
    .errors = "sizes that are none, have two -1, or another product than the axis",
    .orders = -1
};

static bool call_squeeze(reel_call_args *args)
{
    reel_dims dims;
    reel_tensor *x = reel_args_input(args, 0);
    if (!reel_args_dim_list(args, "dim", &dims)) return false;
    // An empty list names no axis, which REEL_ALL_DIMS cannot say.
    if (reel_args_has(args, "dim") && dims.count == 0) return reel_args_return(args, reel_reshape(x, reel_shape_of(x)));
    return reel_args_return(args, reel_squeeze(x, dims));
}
const reel_function reel_fn_squeeze = { .name = "squeeze",
                                        .inputs = "input",
                                        .attrs = "dim:ints=none",
                                        .call = call_squeeze,
                                        .formula = "drops axes of size 1: those of dim, or every one",
                                        .shapes = "input: any -> the same without axes of size 1",
                                        .errors = "none of its own",
                                        .orders = -1 };

static bool call_unsqueeze(reel_call_args *args)
{
    return reel_args_return(args, reel_unsqueeze(reel_args_input(args, 0), reel_args_axis(args, "dim")));
}
const reel_function reel_fn_unsqueeze = { .name = "unsqueeze",
                                          .inputs = "input",
                                          .attrs = "dim:int",
                                          .call = call_unsqueeze,
                                          .formula = "puts an axis of size 1 before axis dim",
                                          .shapes = "input: any -> [..., 1, ...]",
                                          .errors = "8 axes already",
                                          .orders = -1 };

static bool call_expand(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "size", &shape) &&
           reel_args_return(args, reel_expand(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_expand = {
    .name = "expand",
    .inputs = "input",
    .attrs = "size:ints",
    .call = call_expand,
    .formula = "repeats axes of size 1 without a copy; -1 keeps a size",
    .shapes = "input: any; size of as many axes or more -> size",
    .errors = "fewer sizes than axes; a negative size but for -1; an axis of another size that is not 1",
    .orders = -1
};

static bool call_broadcast_to(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "size", &shape) &&
           reel_args_return(args, reel_broadcast_to(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_broadcast_to = {
    .name = "broadcast_to",
    .inputs = "input",
    .attrs = "size:ints",
    .call = call_broadcast_to,
    .formula = "expand under its other name",
    .shapes = "input: any; size of as many axes or more -> size",
    .errors = "fewer sizes than axes; a negative size but for -1; an axis of another size that is not 1",
    .orders = -1
};
