// SPDX-License-Identifier: MIT
// Ops on whole tensors that move elements: roll, tile, repeat, tril, triu.
#include <reel/core/operands.h>
#include <reel/ops/axes.h>
#include <reel/ops/copy.h>
#include <reel/ops/shape.h>

#include <string.h>

/* roll */

typedef struct roll_attrs {
    int64_t shifts[REEL_MAX_DIMS];
    reel_dims dims; /* none: one shift over the flattened elements */
} roll_attrs;

/* By axis, how far elements go: 0 <= shift < size. */
static void shifts_by_axis(const roll_attrs *attrs, reel_shape shape, int64_t *shift)
{
    for (int k = 0; k < shape.ndim; k++) shift[k] = 0;
    for (int i = 0; i < attrs->dims.count; i++) {
        int axis = reel_axis(attrs->dims.dim[i], shape.ndim);
        int64_t n = shape.dim[axis];
        if (n == 0) continue;
        int64_t s = attrs->shifts[i] % n;
        s = s < 0 ? s + n : s;
        shift[axis] = shift[axis] >= n - s ? shift[axis] - (n - s) : shift[axis] + s;
    }
}

static bool infer_roll(reel_infer *infer)
{
    const roll_attrs *attrs = infer->attrs;
    int axis, ndim = reel_ndim(infer->in[0]);
    if (attrs->dims.count > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "%d axes are named; at most %d can be", attrs->dims.count,
                               REEL_MAX_DIMS);
    for (int i = 0; i < attrs->dims.count; i++)
        if (!reel_infer_axis(infer, attrs->dims.dim[i], ndim, &axis)) return false;
    return reel_infer_same(infer);
}

static bool play_roll(const reel_play *play)
{
    const roll_attrs *attrs = play->attrs;
    const reel_buffer *in = &play->in[0], *out = &play->out[0];
    int64_t element = (int64_t)reel_dtype_size(in->dtype), shift[REEL_MAX_DIMS], strides[REEL_MAX_DIMS];
    reel_shape shape = { .ndim = 1, .dim = { in->numel } };
    if (attrs->dims.count == 0) {
        int64_t s = in->numel ? attrs->shifts[0] % in->numel : 0;
        shift[0] = s < 0 ? s + in->numel : s;
    } else {
        shape.ndim = in->ndim;
        for (int k = 0; k < in->ndim; k++) shape.dim[k] = in->shape[k];
        shifts_by_axis(attrs, shape, shift);
    }
    reel_row_major(shape, strides);
    // Each shifted axis has two runs: the first n - shift elements go up, the last ones come round to the front.
    for (int runs = 0; runs < 1 << shape.ndim; runs++) {
        int64_t size[REEL_MAX_DIMS], from = 0, to = 0;
        bool empty = false;
        for (int k = 0; k < shape.ndim; k++) {
            bool wrapped = runs >> k & 1;
            size[k] = wrapped ? shift[k] : shape.dim[k] - shift[k];
            from += wrapped ? (shape.dim[k] - shift[k]) * strides[k] : 0;
            to += wrapped ? 0 : shift[k] * strides[k];
            empty = empty || size[k] == 0;
        }
        if (!empty)
            reel_copy_strided(play->exec, (size_t)element, shape.ndim, size, (char *)out->data + to * element, strides,
                              (const char *)in->data + from * element, strides);
    }
    return true;
}

static bool vjp_roll(reel_vjp *vjp)
{
    const roll_attrs *attrs = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    int64_t back[REEL_MAX_DIMS] = { 0 };
    for (int i = 0; i < attrs->dims.count || i < 1; i++) {
        int64_t n = attrs->dims.count ? shape.dim[reel_axis(attrs->dims.dim[i], shape.ndim)] : reel_shape_numel(shape);
        back[i] = n ? -(attrs->shifts[i] % n) : 0;
    }
    vjp->grad[0] = reel_roll(vjp->cot[0], back, attrs->dims);
    return true;
}

const reel_op reel_op_roll = {
    .name = "roll", .infer = infer_roll, .play = play_roll, .vjp = vjp_roll, .attrs_size = sizeof(roll_attrs)
};

reel_tensor *reel_roll(reel_tensor *x, const int64_t *shifts, reel_dims dims)
{
    roll_attrs attrs;
    if (!x || !reel_given(reel_ctx_of(x), "roll", "list of shifts", shifts)) return NULL;
    memset(&attrs, 0, sizeof attrs);
    attrs.dims = reel_dims_clean(dims);
    int count = attrs.dims.count > REEL_MAX_DIMS ? 0 : attrs.dims.count; /* so many are refused */
    for (int i = 0; i < count || i < 1; i++) attrs.shifts[i] = shifts[i];
    return reel_apply(&reel_op_roll, &x, 1, &attrs, NULL);
}

/* tile */

/* One axis repeated: an axis of size `reps` is put before it, expanded, and joined with it. */
static reel_tensor *tile_axis(reel_tensor *x, int axis, int64_t reps)
{
    reel_shape shape = reel_shape_of(x);
    int64_t n = shape.dim[axis], outer = 1, inner = 1;
    for (int k = 0; k < axis; k++) outer *= shape.dim[k];
    for (int k = axis + 1; k < shape.ndim; k++) inner *= shape.dim[k];
    x = reel_expand(reel_reshape(x, REEL_SHAPE(outer, 1, n, inner)), REEL_SHAPE(outer, reps, n, inner));
    shape.dim[axis] = n * reps;
    return reel_reshape(x, shape);
}

static reel_tensor *tile(const char *name, reel_tensor *x, reel_shape reps)
{
    if (!x) return NULL;
    reel_ctx *ctx = reel_ctx_of(x);
    reel_shape in = reel_shape_of(x), shape = { 0 };
    char text[REEL_SHAPE_TEXT], x_text[REEL_SHAPE_TEXT];
    if (reps.ndim < 0 || reps.ndim > REEL_MAX_DIMS)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: %d counts; a tensor has 0 to %d axes", name, reps.ndim,
                         REEL_MAX_DIMS);
    int64_t count[REEL_MAX_DIMS];
    shape.ndim = in.ndim > reps.ndim ? in.ndim : reps.ndim;
    for (int k = 0; k < shape.ndim; k++) {
        int i = k - (shape.ndim - in.ndim), r = k - (shape.ndim - reps.ndim);
        count[k] = r < 0 ? 1 : reps.dim[r];
        if (count[k] < 0 || __builtin_mul_overflow(i < 0 ? 1 : in.dim[i], count[k], &shape.dim[k])) shape.dim[k] = -1;
    }
    if (reel_shape_numel(shape) < 0)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: counts %s are negative or make of shape %s more than memory holds",
                         name, reel_shape_format(reps, text), reel_shape_format(in, x_text));
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_shape lead = shape;
        for (int k = 0; k < shape.ndim; k++)
            lead.dim[k] = k < shape.ndim - in.ndim ? 1 : in.dim[k - shape.ndim + in.ndim];
        y = reel_reshape(x, lead);
        // An axis of no repetition first: nothing is left to repeat on the others.
        for (int k = shape.ndim - 1; k >= 0; k--)
            if (count[k] == 0) y = reel_slice(y, k, 0, 0, 1);
        for (int k = shape.ndim - 1; k >= 0; k--)
            if (count[k] > 1) y = tile_axis(y, k, count[k]);
        y = reel_scope_return(y);
    }
    return y;
}

reel_tensor *reel_tile(reel_tensor *x, reel_shape reps) { return tile("tile", x, reps); }

reel_tensor *reel_repeat(reel_tensor *x, reel_shape reps)
{
    if (x && reps.ndim < reel_ndim(x))
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "repeat: %d counts for an operand of %d axes", reps.ndim,
                         reel_ndim(x));
    return tile("repeat", x, reps);
}

/* tril, triu */

typedef struct triangle_attrs {
    int64_t diagonal;
} triangle_attrs;

typedef struct triangle_job {
    bool upper;
    int64_t diagonal, n_rows, n_columns, rows_in_all, rows_each, element;
    char *to;
    const char *from;
} triangle_job;

static void triangle_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const triangle_job *job = arg;
    int64_t first = chunk * job->rows_each, end = first + job->rows_each;
    int64_t n = job->n_columns, element = job->element;
    for (int64_t row = first; row < end && row < job->rows_in_all; row++) {
        // Columns below `edge` are tril's (with one more: the diagonal itself) or not triu's.
        int64_t i = row % job->n_rows, edge;
        if (__builtin_add_overflow(i, job->diagonal, &edge)) edge = job->diagonal < 0 ? 0 : n;
        if (!job->upper && edge < n) edge++;
        edge = edge < 0 ? 0 : edge > n ? n : edge;
        char *to = job->to + row * n * element;
        const char *from = job->from + row * n * element;
        size_t head = (size_t)(edge * element), tail = (size_t)((n - edge) * element);
        if (job->upper) {
            memset(to, 0, head);
            memcpy(to + head, from + head, tail);
        } else {
            memcpy(to, from, head);
            memset(to + head, 0, tail);
        }
    }
}

static bool play_triangle(const reel_play *play, bool upper)
{
    const triangle_attrs *attrs = play->attrs;
    const reel_buffer *in = &play->in[0];
    if (in->numel == 0) return true;
    int64_t n_columns = in->shape[in->ndim - 1], rows = in->numel / n_columns, each = (1 << 15) / n_columns;
    if (each < 1) each = 1;
    triangle_job job = { upper,
                         attrs->diagonal,
                         in->shape[in->ndim - 2],
                         n_columns,
                         rows,
                         each,
                         (int64_t)reel_dtype_size(in->dtype),
                         play->out[0].data,
                         in->data };
    reel_parallel(play->exec, (rows + each - 1) / each, triangle_chunk, &job);
    return true;
}

static bool infer_triangle(reel_infer *infer)
{
    int ndim = reel_ndim(infer->in[0]);
    if (ndim < 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand has %d axes; at least 2 make a matrix", ndim);
    return reel_infer_same(infer);
}

static bool play_tril(const reel_play *play) { return play_triangle(play, false); }
static bool play_triu(const reel_play *play) { return play_triangle(play, true); }

static bool vjp_tril(reel_vjp *vjp)
{
    vjp->grad[0] = reel_tril(vjp->cot[0], ((const triangle_attrs *)vjp->attrs)->diagonal);
    return true;
}

static bool vjp_triu(reel_vjp *vjp)
{
    vjp->grad[0] = reel_triu(vjp->cot[0], ((const triangle_attrs *)vjp->attrs)->diagonal);
    return true;
}

const reel_op reel_op_tril = {
    .name = "tril", .infer = infer_triangle, .play = play_tril, .vjp = vjp_tril, .attrs_size = sizeof(triangle_attrs)
};
const reel_op reel_op_triu = {
    .name = "triu", .infer = infer_triangle, .play = play_triu, .vjp = vjp_triu, .attrs_size = sizeof(triangle_attrs)
};

reel_tensor *reel_tril(reel_tensor *x, int64_t diagonal)
{
    triangle_attrs attrs = { diagonal };
    return reel_apply(&reel_op_tril, &x, 1, &attrs, NULL);
}

reel_tensor *reel_triu(reel_tensor *x, int64_t diagonal)
{
    triangle_attrs attrs = { diagonal };
    return reel_apply(&reel_op_triu, &x, 1, &attrs, NULL);
}

/* Rows of the op table */

static bool call_roll(reel_call_args *args)
{
    int64_t shifts[REEL_MAX_DIMS];
    reel_dims dims;
    int n = reel_args_ints(args, "shifts", shifts, REEL_MAX_DIMS);
    if (n < 0 || !reel_args_dim_list(args, "dims", &dims)) return false;
    if (n != (dims.count ? dims.count : 1))
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "roll: %d shifts for %d axes", n, dims.count) != NULL;
    return reel_args_return(args, reel_roll(reel_args_input(args, 0), shifts, dims));
}
const reel_function reel_fn_roll = {
    .name = "roll",
    .inputs = "input",
    .attrs = "shifts:ints dims:ints=none",
    .call = call_roll,
    .formula = "y[(i + shift) mod n] = x[i] along each axis of dims, or over the flattened elements",
    .shapes = "input: any -> the same",
    .errors = "another number of shifts than of axes",
    .orders = -1
};

static bool call_tile(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "dims", &shape) && reel_args_return(args, reel_tile(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_tile = { .name = "tile",
                                     .inputs = "input",
                                     .attrs = "dims:ints",
                                     .call = call_tile,
                                     .formula = "dims[k] copies of x side by side along axis k",
                                     .shapes = "input: any -> sizes times dims",
                                     .errors = "a negative count, or more than 8",
                                     .orders = -1 };

static bool call_repeat(reel_call_args *args)
{
    reel_shape shape;
    return reel_args_shape(args, "repeats", &shape) &&
           reel_args_return(args, reel_repeat(reel_args_input(args, 0), shape));
}
const reel_function reel_fn_repeat = { .name = "repeat",
                                       .inputs = "input",
                                       .attrs = "repeats:ints",
                                       .call = call_repeat,
                                       .formula = "tile with a count for every axis",
                                       .shapes = "input: any -> sizes times repeats",
                                       .errors = "a negative count; fewer counts than axes, or more than 8",
                                       .orders = -1 };

static bool call_tril(reel_call_args *args)
{
    return reel_args_return(args, reel_tril(reel_args_input(args, 0), reel_args_int(args, "diagonal")));
}
const reel_function reel_fn_tril = { .name = "tril",
                                     .inputs = "input",
                                     .attrs = "diagonal:int=0",
                                     .call = call_tril,
                                     .formula = "x on and below the diagonal of the last two axes, 0 elsewhere",
                                     .shapes = "input: [..., n, m] -> the same",
                                     .errors = "an operand of fewer than 2 axes",
                                     .orders = -1 };

static bool call_triu(reel_call_args *args)
{
    return reel_args_return(args, reel_triu(reel_args_input(args, 0), reel_args_int(args, "diagonal")));
}
const reel_function reel_fn_triu = { .name = "triu",
                                     .inputs = "input",
                                     .attrs = "diagonal:int=0",
                                     .call = call_triu,
                                     .formula = "x on and above the diagonal of the last two axes, 0 elsewhere",
                                     .shapes = "input: [..., n, m] -> the same",
                                     .errors = "an operand of fewer than 2 axes",
                                     .orders = -1 };
