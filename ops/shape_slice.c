// SPDX-License-Identifier: MIT
// Parts of a tensor as views (slice, narrow, select, flip, diagonal), and their adjoints, which put parts into zeros.
#include <reel/ops/axes.h>
#include <reel/ops/copy.h>
#include <reel/ops/shape.h>

#include <string.h>

typedef struct slice_attrs {
    int64_t start, end,
        step;         /* narrow: `end` is the length; select: `start` is the index; diagonal: `start` is the offset */
    int dim, dim1;    /* diagonal: both axes                                                                        */
    reel_dims dims;   /* flip                                                                                       */
    reel_shape shape; /* adjoints: of the result                                                                    */
} slice_attrs;

/* Where the part lies in the whole: its shape, and strides and offset in elements of the whole. */
typedef struct part {
    reel_shape shape;
    int64_t strides[REEL_MAX_DIMS], offset;
} part;

/* Each of these finds the part that an op takes from a whole of this shape and strides. */
typedef bool find_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out);

static void part_whole(reel_shape whole, const int64_t *strides, part *out)
{
    out->shape = whole;
    out->offset = 0;
    for (int k = 0; k < whole.ndim; k++) out->strides[k] = strides[k];
}

static bool no_axes(const reel_infer *infer)
{
    return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand is a scalar and has no axis to take a part of");
}

/* A position as Python has it: negative ones count from the end, then it is clamped to [0, n]. */
static int64_t clamp_position(int64_t at, int64_t n)
{
    if (at < 0) at = at < -n ? 0 : at + n;
    return at > n ? n : at;
}

static bool slice_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out)
{
    const slice_attrs *attrs = infer->attrs;
    int axis;
    if (whole.ndim == 0) return no_axes(infer);
    if (!reel_infer_axis(infer, attrs->dim, whole.ndim, &axis)) return false;
    if (attrs->step <= 0)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "step %lld is not positive", (long long)attrs->step);
    int64_t n = whole.dim[axis], start = clamp_position(attrs->start, n), end = clamp_position(attrs->end, n);
    part_whole(whole, strides, out);
    out->shape.dim[axis] = end <= start ? 0 : (end - start - 1) / attrs->step + 1;
    // A step past the axis leaves one element, and would overflow as a stride.
    out->strides[axis] = out->shape.dim[axis] > 1 ? strides[axis] * attrs->step : strides[axis];
    out->offset = out->shape.dim[axis] > 0 ? start * strides[axis] : 0;
    return true;
}

static bool narrow_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out)
{
    const slice_attrs *attrs = infer->attrs;
    int axis;
    if (whole.ndim == 0) return no_axes(infer);
    if (!reel_infer_axis(infer, attrs->dim, whole.ndim, &axis)) return false;
    int64_t n = whole.dim[axis], start = attrs->start, length = attrs->end;
    if (start < -n || start > n)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "start %lld is outside [%lld, %lld]", (long long)start,
                               (long long)-n, (long long)n);
    if (start < 0) start += n;
    if (length < 0) return reel_infer_fail(infer, REEL_ERROR_VALUE, "length %lld is negative", (long long)length);
    if (length > n - start)
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "%lld elements from %lld on are past the end of axis %d, which has %lld",
                               (long long)length, (long long)start, axis, (long long)n);
    part_whole(whole, strides, out);
    out->shape.dim[axis] = length;
    out->offset = length > 0 ? start * strides[axis] : 0;
    return true;
}

static bool select_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out)
{
    const slice_attrs *attrs = infer->attrs;
    int axis;
    if (whole.ndim == 0) return no_axes(infer);
    if (!reel_infer_axis(infer, attrs->dim, whole.ndim, &axis)) return false;
    int64_t n = whole.dim[axis], index = attrs->start;
    if (index < -n || index >= n)
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "index %lld is out of range for axis %d, which has %lld elements", (long long)index,
                               axis, (long long)n);
    part_whole(whole, strides, out);
    out->shape.ndim--;
    out->shape.dim[whole.ndim - 1] = 0;
    for (int k = axis; k < out->shape.ndim; k++) {
        out->shape.dim[k] = whole.dim[k + 1];
        out->strides[k] = strides[k + 1];
    }
    out->offset = (index < 0 ? index + n : index) * strides[axis];
    return true;
}

static bool flip_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out)
{
    const slice_attrs *attrs = infer->attrs;
    bool flipped[REEL_MAX_DIMS] = { false };
    part_whole(whole, strides, out);
    for (int i = 0; i < attrs->dims.count; i++) {
        int axis;
        if (!reel_infer_axis(infer, attrs->dims.dim[i], whole.ndim ? whole.ndim : 1, &axis)) return false;
        if (flipped[axis]) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "axis %d is named twice", axis);
        flipped[axis] = true;
        if (whole.ndim == 0 || whole.dim[axis] < 2) continue;
        out->strides[axis] = -strides[axis];
        out->offset += (whole.dim[axis] - 1) * strides[axis];
    }
    if (reel_shape_numel(whole) == 0) out->offset = 0;
    return true;
}

static bool diagonal_part(const reel_infer *infer, reel_shape whole, const int64_t *strides, part *out)
{
    const slice_attrs *attrs = infer->attrs;
    int row, column;
    if (whole.ndim < 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand has %d axes; a diagonal takes two", whole.ndim);
    if (!reel_infer_axis(infer, attrs->dim, whole.ndim, &row) ||
        !reel_infer_axis(infer, attrs->dim1, whole.ndim, &column))
        return false;
    if (row == column) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "both axes of the diagonal are axis %d", row);
    int64_t rows = whole.dim[row], columns = whole.dim[column], offset = attrs->start;
    int64_t first_row = offset < 0 && offset >= -rows ? -offset : offset < 0 ? rows : 0;
    int64_t first_column = offset > columns ? columns : offset > 0 ? offset : 0;
    int64_t n = rows - first_row < columns - first_column ? rows - first_row : columns - first_column;
    memset(out, 0, sizeof *out);
    for (int k = 0; k < whole.ndim; k++) {
        if (k == row || k == column) continue;
        out->strides[out->shape.ndim] = strides[k];
        out->shape.dim[out->shape.ndim++] = whole.dim[k];
    }
    out->strides[out->shape.ndim] = strides[row] + strides[column];
    out->shape.dim[out->shape.ndim++] = n;
    out->offset = n > 0 ? first_row * strides[row] + first_column * strides[column] : 0;
    return true;
}

/* The view of a part. */
static bool infer_part(reel_infer *infer, find_part *find)
{
    part found;
    reel_tensor *x = infer->in[0];
    if (!find(infer, reel_shape_of(x), reel_strides_of(x), &found) ||
        !reel_infer_out(infer, 0, reel_dtype_of(x), found.shape))
        return false;
    memcpy(infer->out[0].strides, found.strides, sizeof found.strides);
    infer->out[0].offset = found.offset;
    return true;
}

static bool infer_slice(reel_infer *infer) { return infer_part(infer, slice_part); }
static bool infer_narrow(reel_infer *infer) { return infer_part(infer, narrow_part); }
static bool infer_select(reel_infer *infer) { return infer_part(infer, select_part); }
static bool infer_flip(reel_infer *infer) { return infer_part(infer, flip_part); }
static bool infer_diagonal(reel_infer *infer) { return infer_part(infer, diagonal_part); }

/* The whole around a part: zeros of attrs->shape. */
static bool infer_whole(reel_infer *infer, find_part *find)
{
    const slice_attrs *attrs = infer->attrs;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    int64_t strides[REEL_MAX_DIMS];
    part found;
    if (!reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), attrs->shape)) return false;
    reel_row_major(attrs->shape, strides);
    if (!find(infer, attrs->shape, strides, &found)) return false;
    reel_shape in = reel_shape_of(infer->in[0]);
    return reel_shape_equal(in, found.shape) ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand's shape %s is not the part's, %s",
                           reel_shape_format(in, have), reel_shape_format(found.shape, want));
}

static bool infer_slice_backward(reel_infer *infer) { return infer_whole(infer, slice_part); }
static bool infer_select_backward(reel_infer *infer) { return infer_whole(infer, select_part); }
static bool infer_diagonal_backward(reel_infer *infer) { return infer_whole(infer, diagonal_part); }

static bool play_whole(const reel_play *play, find_part *find)
{
    const slice_attrs *attrs = play->attrs;
    const reel_buffer *in = &play->in[0], *out = &play->out[0];
    size_t element = reel_dtype_size(in->dtype);
    reel_infer checked = { .op = play->op, .ctx = play->ctx, .attrs = attrs };
    part found;
    reel_fill(play->exec, out->dtype, out->data, out->numel, 0);
    if (!find(&checked, attrs->shape, out->strides, &found)) return false;
    reel_copy_strided(play->exec, element, in->ndim, in->shape, (char *)out->data + found.offset * (int64_t)element,
                      found.strides, in->data, in->strides);
    return true;
}

static bool play_slice_backward(const reel_play *play) { return play_whole(play, slice_part); }
static bool play_select_backward(const reel_play *play) { return play_whole(play, select_part); }
static bool play_diagonal_backward(const reel_play *play) { return play_whole(play, diagonal_part); }

static bool vjp_slice(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_slice_backward(vjp->cot[0], reel_vjp_input_shape(vjp, 0), a->dim, a->start, a->end, a->step);
    return true;
}

static bool vjp_narrow(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    int64_t start = a->start < 0 ? a->start + shape.dim[reel_axis(a->dim, shape.ndim)] : a->start;
    vjp->grad[0] = reel_slice_backward(vjp->cot[0], shape, a->dim, start, start + a->end, 1);
    return true;
}

static bool vjp_select(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_select_backward(vjp->cot[0], reel_vjp_input_shape(vjp, 0), a->dim, a->start);
    return true;
}

static bool vjp_flip(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_flip(vjp->cot[0], a->dims);
    return true;
}

static bool vjp_diagonal(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_diagonal_backward(vjp->cot[0], reel_vjp_input_shape(vjp, 0), a->start, a->dim, a->dim1);
    return true;
}

static bool vjp_slice_backward(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_slice(vjp->cot[0], a->dim, a->start, a->end, a->step);
    return true;
}

static bool vjp_select_backward(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_select(vjp->cot[0], a->dim, a->start);
    return true;
}

static bool vjp_diagonal_backward(reel_vjp *vjp)
{
    const slice_attrs *a = vjp->attrs;
    vjp->grad[0] = reel_diagonal(vjp->cot[0], a->start, a->dim, a->dim1);
    return true;
}

#define PART_OP(op)                                                                                                    \
    const reel_op reel_op_##op = {                                                                                     \
        .name = #op, .infer = infer_##op, .vjp = vjp_##op, .flags = REEL_OP_VIEW, .attrs_size = sizeof(slice_attrs)    \
    }
#define WHOLE_OP(op)                                                                                                   \
    const reel_op reel_op_##op = { .name = #op,                                                                        \
                                   .infer = infer_##op,                                                                \
                                   .play = play_##op,                                                                  \
                                   .vjp = vjp_##op,                                                                    \
                                   .flags = REEL_OP_STRIDED,                                                           \
                                   .attrs_size = sizeof(slice_attrs) }
PART_OP(slice);
PART_OP(narrow);
PART_OP(select);
PART_OP(flip);
PART_OP(diagonal);
WHOLE_OP(slice_backward);
WHOLE_OP(select_backward);
WHOLE_OP(diagonal_backward);
#undef PART_OP
#undef WHOLE_OP

static slice_attrs make_attrs(int dim, int64_t start, int64_t end, int64_t step)
{
    slice_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.dim = dim;
    attrs.start = start;
    attrs.end = end;
    attrs.step = step;
    return attrs;
}

reel_tensor *reel_slice(reel_tensor *x, int dim, int64_t start, int64_t end, int64_t step)
{
    slice_attrs attrs = make_attrs(dim, start, end, step);
    return reel_apply(&reel_op_slice, &x, 1, &attrs, NULL);
}

reel_tensor *reel_narrow(reel_tensor *x, int dim, int64_t start, int64_t length)
{
    slice_attrs attrs = make_attrs(dim, start, length, 1);
    return reel_apply(&reel_op_narrow, &x, 1, &attrs, NULL);
}

reel_tensor *reel_select(reel_tensor *x, int dim, int64_t index)
{
    slice_attrs attrs = make_attrs(dim, index, 0, 0);
    return reel_apply(&reel_op_select, &x, 1, &attrs, NULL);
}

reel_tensor *reel_flip(reel_tensor *x, reel_dims dims)
{
    slice_attrs attrs = make_attrs(0, 0, 0, 0);
    attrs.dims = reel_dims_clean(dims);
    return reel_apply(&reel_op_flip, &x, 1, &attrs, NULL);
}

reel_tensor *reel_diagonal(reel_tensor *x, int64_t offset, int dim0, int dim1)
{
    slice_attrs attrs = make_attrs(dim0, offset, 0, 0);
    attrs.dim1 = dim1;
    return reel_apply(&reel_op_diagonal, &x, 1, &attrs, NULL);
}

reel_tensor *reel_slice_backward(reel_tensor *y, reel_shape shape, int dim, int64_t start, int64_t end, int64_t step)
{
    slice_attrs attrs = make_attrs(dim, start, end, step);
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_slice_backward, &y, 1, &attrs, NULL);
}

reel_tensor *reel_select_backward(reel_tensor *y, reel_shape shape, int dim, int64_t index)
{
    slice_attrs attrs = make_attrs(dim, index, 0, 0);
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_select_backward, &y, 1, &attrs, NULL);
}

reel_tensor *reel_diagonal_backward(reel_tensor *y, reel_shape shape, int64_t offset, int dim0, int dim1)
{
    slice_attrs attrs = make_attrs(dim0, offset, 0, 0);
    attrs.dim1 = dim1;
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_diagonal_backward, &y, 1, &attrs, NULL);
}

/* Rows of the op table */

static bool call_slice(reel_call_args *args)
{
    int64_t start = reel_args_has(args, "start") ? reel_args_int(args, "start") : 0;
    int64_t end = reel_args_has(args, "end") ? reel_args_int(args, "end") : REEL_TO_END;
    return reel_args_return(args, reel_slice(reel_args_input(args, 0), reel_args_axis(args, "dim"), start, end,
                                             reel_args_int(args, "step")));
}
const reel_function reel_fn_slice = { .name = "slice",
                                      .inputs = "input",
                                      .attrs = "dim:int=0 start:int=none end:int=none step:int=1",
                                      .call = call_slice,
                                      .formula = "every step-th element of axis dim from start up to end",
                                      .shapes = "input: [..., n, ...] -> [..., ceil((end - start) / step), ...]",
                                      .errors = "a scalar; a step below 1",
                                      .orders = -1 };

static bool call_narrow(reel_call_args *args)
{
    return reel_args_return(args, reel_narrow(reel_args_input(args, 0), reel_args_axis(args, "dim"),
                                              reel_args_int(args, "start"), reel_args_int(args, "length")));
}
const reel_function reel_fn_narrow = {
    .name = "narrow",
    .inputs = "input",
    .attrs = "dim:int start:int length:int",
    .call = call_narrow,
    .formula = "length elements of axis dim from start",
    .shapes = "input: [..., n, ...] -> [..., length, ...]",
    .errors = "a scalar; a start outside of [-size, size]; a negative length, or an end past the axis",
    .orders = -1
};

static bool call_select(reel_call_args *args)
{
    return reel_args_return(
        args, reel_select(reel_args_input(args, 0), reel_args_axis(args, "dim"), reel_args_int(args, "index")));
}
const reel_function reel_fn_select = { .name = "select",
                                       .inputs = "input",
                                       .attrs = "dim:int index:int",
                                       .call = call_select,
                                       .formula = "element index of axis dim, which goes away",
                                       .shapes = "input: [..., n, ...] -> [..., ...]",
                                       .errors = "a scalar; an index outside of [-size, size)",
                                       .orders = -1 };

static bool call_flip(reel_call_args *args)
{
    reel_dims dims;
    return reel_args_dim_list(args, "dims", &dims) && reel_args_return(args, reel_flip(reel_args_input(args, 0), dims));
}
const reel_function reel_fn_flip = { .name = "flip",
                                     .inputs = "input",
                                     .attrs = "dims:ints",
                                     .call = call_flip,
                                     .formula = "the axes dims back to front",
                                     .shapes = "input: any -> the same",
                                     .errors = "none of its own",
                                     .orders = -1 };

static bool call_diagonal(reel_call_args *args)
{
    return reel_args_return(args, reel_diagonal(reel_args_input(args, 0), reel_args_int(args, "offset"),
                                                reel_args_axis(args, "dim1"), reel_args_axis(args, "dim2")));
}
const reel_function reel_fn_diagonal = { .name = "diagonal",
                                         .inputs = "input",
                                         .attrs = "offset:int=0 dim1:int=0 dim2:int=1",
                                         .call = call_diagonal,
                                         .formula = "y[..., i] = x[.., i, .., i + offset, ..]",
                                         .shapes = "input: [.., n, .., m, ..] -> [..., length of the diagonal]",
                                         .errors = "fewer than 2 axes; one axis for both",
                                         .orders = -1 };
