// SPDX-License-Identifier: MIT
// cat and stack, and the views unbind, split and chunk give.
#include <reel/ops/axes.h>
#include <reel/core/operands.h>
#include <reel/ops/copy.h>
#include <reel/ops/join.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/shape.h>

#include <stdlib.h>
#include <string.h>

typedef struct join_attrs {
    int dim;
} join_attrs;

/* PyTorch's oldest rule: a 1-D tensor without elements joins with anything. */
static bool passed_over(reel_shape shape) { return shape.ndim == 1 && shape.dim[0] == 0; }

static bool same_dtypes(const reel_infer *infer)
{
    for (int i = 1; i < infer->n_in; i++)
        if (reel_dtype_of(infer->in[i]) != reel_dtype_of(infer->in[0]))
            return reel_infer_fail(infer, REEL_ERROR_DTYPE, "operand %d is %s, operand 0 %s", i,
                                   reel_dtype_name(reel_dtype_of(infer->in[i])),
                                   reel_dtype_name(reel_dtype_of(infer->in[0])));
    return true;
}

static bool infer_cat(reel_infer *infer)
{
    const join_attrs *attrs = infer->attrs;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    int first = 0, axis;
    if (!same_dtypes(infer)) return false;
    while (first < infer->n_in && passed_over(reel_shape_of(infer->in[first]))) first++;
    if (first == infer->n_in) first = 0;
    reel_shape shape = reel_shape_of(infer->in[first]);
    for (int i = 0; i < infer->n_in; i++)
        if (reel_ndim(infer->in[i]) == 0)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "operand %d is a scalar; reel_stack joins scalars", i);
    if (!reel_infer_axis(infer, attrs->dim, shape.ndim, &axis)) return false;
    for (int i = first + 1; i < infer->n_in; i++) {
        reel_shape next = reel_shape_of(infer->in[i]), other = next;
        if (passed_over(next)) continue;
        other.dim[axis] = shape.dim[axis];
        if (!reel_shape_equal(other, shape))
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "operand %d has shape %s, which differs from %s of operand %d beside axis %d", i,
                                   reel_shape_format(next, have),
                                   reel_shape_format(reel_shape_of(infer->in[first]), want), first, axis);
        if (__builtin_add_overflow(shape.dim[axis], next.dim[axis], &shape.dim[axis])) shape.dim[axis] = -1;
    }
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape);
}

static bool play_cat(const reel_play *play)
{
    const join_attrs *attrs = play->attrs;
    const reel_buffer *out = &play->out[0];
    size_t element = reel_dtype_size(out->dtype);
    int axis = reel_axis(attrs->dim, out->ndim);
    char *to = out->data;
    for (int i = 0; i < play->n_in; i++) {
        const reel_buffer *in = &play->in[i];
        if (in->numel > 0)
            reel_copy_strided(play->exec, element, in->ndim, in->shape, to, out->strides, in->data, in->strides);
        if (in->ndim == out->ndim) to += in->shape[axis] * out->strides[axis] * (int64_t)element;
    }
    return true;
}

static bool vjp_cat(reel_vjp *vjp)
{
    const join_attrs *attrs = vjp->attrs;
    int ndim = reel_ndim(vjp->cot[0]), axis = reel_axis(attrs->dim, ndim);
    int64_t at = 0;
    for (int i = 0; i < vjp->n_in; i++) {
        reel_shape shape = reel_vjp_input_shape(vjp, i);
        if (passed_over(shape)) continue;
        if (reel_vjp_wants(vjp, i)) vjp->grad[i] = reel_narrow(vjp->cot[0], axis, at, shape.dim[axis]);
        at += shape.dim[axis];
    }
    return true;
}

const reel_op reel_op_cat = { .name = "cat",
                              .infer = infer_cat,
                              .play = play_cat,
                              .vjp = vjp_cat,
                              .flags = REEL_OP_STRIDED | REEL_OP_CHEAP,
                              .attrs_size = sizeof(join_attrs) };

static bool infer_stack(reel_infer *infer)
{
    const join_attrs *attrs = infer->attrs;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    reel_shape in = reel_shape_of(infer->in[0]), shape = in;
    int axis;
    if (!same_dtypes(infer)) return false;
    for (int i = 1; i < infer->n_in; i++)
        if (!reel_shape_equal(reel_shape_of(infer->in[i]), in))
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "operand %d has shape %s, operand 0 %s", i,
                                   reel_shape_format(reel_shape_of(infer->in[i]), have), reel_shape_format(in, want));
    if (!reel_infer_axis(infer, attrs->dim, in.ndim + 1, &axis)) return false;
    if (in.ndim == REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operands already have %d axes, the most there may be",
                               in.ndim);
    shape.ndim = in.ndim + 1;
    for (int k = axis; k < in.ndim; k++) shape.dim[k + 1] = in.dim[k];
    shape.dim[axis] = infer->n_in;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape);
}

static bool play_stack(const reel_play *play)
{
    const join_attrs *attrs = play->attrs;
    const reel_buffer *out = &play->out[0];
    size_t element = reel_dtype_size(out->dtype);
    int axis = reel_axis(attrs->dim, out->ndim);
    int64_t strides[REEL_MAX_DIMS] = { 0 };
    for (int k = 0; k < out->ndim - 1; k++) strides[k] = out->strides[k + (k >= axis)];
    for (int i = 0; i < play->n_in; i++) {
        const reel_buffer *in = &play->in[i];
        if (in->numel == 0) continue;
        char *to = (char *)out->data + i * out->strides[axis] * (int64_t)element;
        reel_copy_strided(play->exec, element, in->ndim, in->shape, to, strides, in->data, in->strides);
    }
    return true;
}

static bool vjp_stack(reel_vjp *vjp)
{
    for (int i = 0; i < vjp->n_in; i++)
        if (reel_vjp_wants(vjp, i)) vjp->grad[i] = reel_select(vjp->cot[0], ((const join_attrs *)vjp->attrs)->dim, i);
    return true;
}

const reel_op reel_op_stack = { .name = "stack",
                                .infer = infer_stack,
                                .play = play_stack,
                                .vjp = vjp_stack,
                                .flags = REEL_OP_STRIDED | REEL_OP_CHEAP,
                                .attrs_size = sizeof(join_attrs) };

/* Operands cast to the dtype in which they all meet. */
static reel_tensor *join(const reel_op *op, reel_tensor *const *xs, int n, int dim)
{
    join_attrs attrs = { dim };
    if (!xs || !reel_operands(op->name, xs, n)) return NULL;
    reel_dtype dtype = reel_dtype_of(xs[0]);
    bool mixed = false;
    for (int i = 1; i < n; i++) {
        mixed = mixed || reel_dtype_of(xs[i]) != reel_dtype_of(xs[0]);
        dtype = reel_dtype_promote(dtype, reel_dtype_of(xs[i]));
    }
    if (!mixed) return reel_apply(op, xs, n, &attrs, NULL);
    reel_ctx *ctx = reel_ctx_of(xs[0]);
    reel_tensor **cast = calloc((size_t)n, sizeof *cast), *y = NULL;
    if (!cast) return reel_fail(ctx, REEL_ERROR_MEMORY, "%s: no memory for a list of %d operands", op->name, n);
    REEL_COMPOSITE(ctx)
    {
        for (int i = 0; i < n; i++) cast[i] = reel_dtype_of(xs[i]) == dtype ? xs[i] : reel_cast(xs[i], dtype);
        y = reel_scope_return(reel_apply(op, cast, n, &attrs, NULL));
    }
    free(cast);
    return y;
}

reel_tensor *reel_cat(reel_tensor *const *xs, int n, int dim) { return join(&reel_op_cat, xs, n, dim); }

reel_tensor *reel_stack(reel_tensor *const *xs, int n, int dim) { return join(&reel_op_stack, xs, n, dim); }

/* Taking apart */

/* The axis, or -1 and an error. */
static int axis_to_part(const char *name, reel_tensor *x, int dim)
{
    int ndim = reel_ndim(x), axis = reel_axis(dim, ndim);
    if (axis < 0 && x)
        reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "%s: axis %d of an operand of %d axes", name, dim, ndim);
    return axis;
}

static int too_many(const char *name, reel_tensor *x, int64_t count, int capacity)
{
    reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "%s: %lld parts, and room for %d", name, (long long)count, capacity);
    return -1;
}

int reel_unbind(reel_tensor *x, int dim, reel_tensor **out, int capacity)
{
    int axis = axis_to_part("unbind", x, dim);
    if (axis < 0) return -1;
    int64_t n = reel_size(x, axis);
    if (n > capacity) return too_many("unbind", x, n, capacity);
    if (!reel_given_list(reel_ctx_of(x), "unbind", "parts", out, n)) return -1;
    for (int64_t i = 0; i < n; i++)
        if (!(out[i] = reel_select(x, axis, i))) return -1;
    return (int)n;
}

/* `count` pieces of `size` elements, the last one of what is left. */
static int pieces(const char *name, reel_tensor *x, int64_t count, int64_t size, int axis, reel_tensor **out,
                  int capacity)
{
    int64_t n = reel_size(x, axis);
    if (count > capacity) return too_many(name, x, count, capacity);
    if (!reel_given_list(reel_ctx_of(x), name, "parts", out, count)) return -1;
    for (int64_t i = 0; i < count; i++) {
        int64_t left = n - i * size;
        if (!(out[i] = reel_narrow(x, axis, i * size, left < size ? left : size))) return -1;
    }
    return (int)count;
}

int reel_split(reel_tensor *x, int64_t size, int dim, reel_tensor **out, int capacity)
{
    int axis = axis_to_part("split", x, dim);
    if (axis < 0) return -1;
    int64_t n = reel_size(x, axis);
    if (size < 0 || (size == 0 && n > 0)) {
        reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "split: parts of %lld elements from an axis of %lld",
                  (long long)size, (long long)n);
        return -1;
    }
    return pieces("split", x, n == 0 ? 1 : (n - 1) / size + 1, size, axis, out, capacity);
}

int reel_split_sizes(reel_tensor *x, const int64_t *sizes, int n, int dim, reel_tensor **out)
{
    int axis = axis_to_part("split", x, dim);
    if (axis < 0 || !reel_given_list(reel_ctx_of(x), "split", "sizes", sizes, n) ||
        !reel_given_list(reel_ctx_of(x), "split", "parts", out, n))
        return -1;
    int64_t left = reel_size(x, axis), at = 0;
    bool fits = true;
    for (int i = 0; i < n && fits; i++) {
        fits = sizes[i] >= 0 && sizes[i] <= left;
        left -= fits ? sizes[i] : 0;
    }
    if (!fits || left != 0) {
        reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "split: the sizes of the %d parts do not add up to the axis' %lld",
                  n, (long long)reel_size(x, axis));
        return -1;
    }
    for (int i = 0; i < n; i++) {
        if (!(out[i] = reel_narrow(x, axis, at, sizes[i]))) return -1;
        at += sizes[i];
    }
    return n;
}

int reel_chunk(reel_tensor *x, int chunks, int dim, reel_tensor **out, int capacity)
{
    int axis = axis_to_part("chunk", x, dim);
    if (axis < 0) return -1;
    if (chunks < 1) {
        reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "chunk: %d chunks; at least one", chunks);
        return -1;
    }
    int64_t n = reel_size(x, axis), size = n / chunks + (n % chunks != 0);
    return pieces("chunk", x, n == 0 ? chunks : (n - 1) / size + 1, size, axis, out, capacity);
}

/* Rows of the op table */

typedef reel_tensor *join_function(reel_tensor *const *xs, int n, int dim);

static bool call_join(reel_call_args *args, const char *name, join_function *function)
{
    enum { FEW = 64 };
    reel_tensor *few[FEW], **xs = few;
    int n = reel_args_inputs(args);
    if (n < 1) return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: no operands", name) != NULL;
    if (n > FEW && !(xs = calloc((size_t)n, sizeof *xs)))
        return reel_fail(reel_args_ctx(args), REEL_ERROR_MEMORY, "%s: no memory for a list of %d operands", name, n) !=
               NULL;
    for (int i = 0; i < n; i++) xs[i] = reel_args_input(args, i);
    bool ok = reel_args_return(args, function(xs, n, reel_args_axis(args, "dim")));
    if (xs != few) free(xs);
    return ok;
}

static bool call_cat(reel_call_args *args) { return call_join(args, "cat", reel_cat); }
const reel_function reel_fn_cat = {
    .name = "cat",
    .inputs = "tensors*",
    .attrs = "dim:int=0",
    .call = call_cat,
    .formula = "the operands one after the other along dim",
    .shapes = "tensors: [..., n_i, ...] -> [..., sum of n_i, ...]",
    .errors = "no operands, or a scalar; shapes that differ beside dim (an empty vector is left out)",
    .orders = -1
};

static bool call_stack(reel_call_args *args) { return call_join(args, "stack", reel_stack); }
const reel_function reel_fn_stack = { .name = "stack",
                                      .inputs = "tensors*",
                                      .attrs = "dim:int=0",
                                      .call = call_stack,
                                      .formula = "the operands along a new axis dim",
                                      .shapes = "tensors: any, n of one shape -> [..., n, ...]",
                                      .errors = "no operands; shapes that differ; 8 axes already",
                                      .orders = -1 };

enum { MOST_PARTS = 64 }; // a row's outputs

static bool return_parts(reel_call_args *args, reel_tensor *const *parts, int n)
{
    for (int i = 0; i < n; i++)
        if (!reel_args_return(args, parts[i])) return false;
    return n >= 0;
}

static bool call_unbind(reel_call_args *args)
{
    reel_tensor *parts[MOST_PARTS];
    return return_parts(args, parts,
                        reel_unbind(reel_args_input(args, 0), reel_args_axis(args, "dim"), parts, MOST_PARTS));
}
const reel_function reel_fn_unbind = { .name = "unbind",
                                       .inputs = "input",
                                       .attrs = "dim:int=0",
                                       .call = call_unbind,
                                       .formula = "the slices of axis dim, without it",
                                       .shapes = "input: [..., n, ...] -> n times [..., ...]",
                                       .errors = "a scalar; more than 64 outputs",
                                       .orders = -1 };

static bool call_split(reel_call_args *args)
{
    reel_tensor *parts[MOST_PARTS];
    int64_t sizes[MOST_PARTS];
    int n = reel_args_ints(args, "split_size_or_sections", sizes, MOST_PARTS), dim = reel_args_axis(args, "dim");
    if (n < 0) return false;
    n = n == 1 ? reel_split(reel_args_input(args, 0), sizes[0], dim, parts, MOST_PARTS)
               : reel_split_sizes(reel_args_input(args, 0), sizes, n, dim, parts);
    return return_parts(args, parts, n);
}
const reel_function reel_fn_split = {
    .name = "split",
    .inputs = "input",
    .attrs = "split_size_or_sections:ints dim:int=0",
    .call = call_split,
    .formula = "parts of one size along dim, the last may be smaller; or of the sizes given",
    .shapes = "input: [..., n, ...] -> parts [..., size, ...]",
    .errors = "a size below 1, or sections that are negative or do not add up to the axis; more than 64 outputs",
    .orders = -1
};

static bool call_chunk(reel_call_args *args)
{
    reel_tensor *parts[MOST_PARTS];
    int n = reel_chunk(reel_args_input(args, 0), reel_args_axis(args, "chunks"), reel_args_axis(args, "dim"), parts,
                       MOST_PARTS);
    return return_parts(args, parts, n);
}
const reel_function reel_fn_chunk = { .name = "chunk",
                                      .inputs = "input",
                                      .attrs = "chunks:int dim:int=0",
                                      .call = call_chunk,
                                      .formula =
                                          "parts of ceil(n / chunks) elements along dim, the last may be smaller",
                                      .shapes = "input: [..., n, ...] -> parts [..., size, ...]",
                                      .errors = "chunks below 1; more than 64 outputs",
                                      .orders = -1 };
