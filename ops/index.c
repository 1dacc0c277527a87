// SPDX-License-Identifier: MIT
// gather, scatter_add and their like: every element has a place of its own.
#include <reel/ops/axes.h>
#include <reel/core/operands.h>
#include <reel/ops/copy.h>
#include <reel/ops/index_check.h>
#include <reel/ops/pad.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/shape.h>

#include <string.h>

typedef struct gather_attrs {
    int dim;
    reel_shape shape; /* gather_backward: of the result */
} gather_attrs;

/* A scalar counts as one element on one axis. */
static reel_shape at_least_1d(reel_shape shape) { return shape.ndim ? shape : REEL_SHAPE(1); }

/* `index` may name places along `dim` of something of shape `x`. */
static bool check_gather(const reel_infer *infer, reel_shape x, const reel_tensor *index_tensor)
{
    const gather_attrs *attrs = infer->attrs;
    reel_shape index = at_least_1d(reel_shape_of(index_tensor));
    int axis;
    x = at_least_1d(x);
    if (!reel_infer_axis(infer, attrs->dim, x.ndim, &axis)) return false;
    if (reel_numel(index_tensor) == 0) return true; // of any dtype
    if (reel_dtype_of(index_tensor) != REEL_I64)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the index is %s; it must be int64",
                               reel_dtype_name(reel_dtype_of(index_tensor)));
    if (index.ndim != x.ndim)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "index has %d axes, the operand it points into %d", index.ndim,
                               x.ndim);
    for (int k = 0; k < x.ndim; k++)
        if (k != axis && index.dim[k] > x.dim[k])
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "index has %lld elements on axis %d, the operand it points into only %lld",
                                   (long long)index.dim[k], k, (long long)x.dim[k]);
    return x.dim[axis] > 0 ||
           reel_infer_fail(infer, REEL_ERROR_VALUE, "axis %d has no elements that the index could point to", axis);
}

static bool infer_gather(reel_infer *infer)
{
    return check_gather(infer, reel_shape_of(infer->in[0]), infer->in[1]) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), reel_shape_of(infer->in[1]));
}

/* Operands as a walk over index rows sees them. */
typedef struct gather_job {
    const reel_index_kernels *kernels;
    size_t element;
    reel_dtype dtype;
    int ndim, axis;
    int64_t shape[REEL_MAX_DIMS]; /* of index                                             */
    int64_t whole[REEL_MAX_DIMS]; /* strides of the operand that index points into        */
    int64_t part[REEL_MAX_DIMS];  /* strides of the one that is as index, or larger (src) */
    const int64_t *index;
    char *to;
    const char *from;
    int64_t rows, rows_each;
    bool sums;
    int64_t column_each; /* scatter along axis 0: columns a chunk */
} gather_job;

static void make_job(const reel_play *play, const reel_buffer *whole, const reel_buffer *part, const reel_buffer *index,
                     int dim, gather_job *job)
{
    memset(job, 0, sizeof *job);
    job->kernels = reel_index_kernels_for(play->exec->isa);
    job->dtype = whole->dtype;
    job->element = reel_dtype_size(whole->dtype);
    job->ndim = index->ndim ? index->ndim : 1;
    job->axis = reel_axis(dim, whole->ndim ? whole->ndim : 1);
    job->rows = 1;
    for (int k = 0; k < job->ndim; k++) {
        job->shape[k] = index->ndim ? index->shape[k] : 1;
        job->whole[k] = whole->ndim ? whole->strides[k] : 1;
        job->part[k] = part->ndim ? part->strides[k] : 1;
        if (k < job->ndim - 1) job->rows *= job->shape[k];
    }
    job->index = index->data;
}

/* Offsets of a row of index in both operands; the gathered axis adds nothing to the whole's. */
static void row_offsets(const gather_job *job, int64_t row, int64_t *whole, int64_t *part)
{
    *whole = *part = 0;
    for (int k = job->ndim - 2; k >= 0; k--) {
        int64_t i = row % job->shape[k];
        row /= job->shape[k];
        if (k != job->axis) *whole += i * job->whole[k];
        *part += i * job->part[k];
    }
}

/* Rows that are read, or added where `sums`. */
static void rows_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_job *job = arg;
    int last = job->ndim - 1;
    int64_t n = job->shape[last],
            end = (chunk + 1) * job->rows_each < job->rows ? (chunk + 1) * job->rows_each : job->rows;
    int64_t element = (int64_t)job->element, step = job->whole[job->axis];
    int64_t along = job->axis == last ? 0 : job->whole[last];
    for (int64_t row = chunk * job->rows_each; row < end; row++) {
        int64_t whole, part;
        row_offsets(job, row, &whole, &part);
        const int64_t *index = job->index + row * n;
        if (job->sums)
            job->kernels->add_at[job->dtype](n, job->to + whole * element, job->from + part * element, index, step,
                                             along);
        else
            job->kernels->take(job->element, n, job->to + part * element, job->from + whole * element, index, step,
                               along);
    }
}

static bool play_gather(const reel_play *play)
{
    const gather_attrs *attrs = play->attrs;
    const reel_buffer *x = &play->in[0], *index = &play->in[1];
    gather_job job;
    if (index->numel == 0) return true;
    make_job(play, x, &play->out[0], index, attrs->dim, &job);
    if (!reel_play_check_index(play, index, x->ndim ? x->shape[job.axis] : 1, job.axis)) return false;
    job.to = play->out[0].data;
    job.from = x->data;
    job.rows_each = (1 << 14) / job.shape[job.ndim - 1] + 1;
    reel_parallel(play->exec, (job.rows + job.rows_each - 1) / job.rows_each, rows_chunk, &job);
    return true;
}

/* Along axis 0, columns cannot meet. */
static void scatter_columns_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_job *job = arg;
    int last = job->ndim - 1;
    int64_t n = job->shape[last], first = chunk * job->column_each;
    int64_t columns = n - first < job->column_each ? n - first : job->column_each, element = (int64_t)job->element;
    for (int64_t row = 0; row < job->rows; row++) {
        int64_t whole, part;
        row_offsets(job, row, &whole, &part);
        job->kernels->add_at[job->dtype](columns, job->to + (whole + first * job->whole[last]) * element,
                                         job->from + (part + first) * element, job->index + row * n + first,
                                         job->whole[job->axis], job->whole[last]);
    }
}

/* out, already filled, plus src at the places of index. */
static bool scatter(const reel_play *play, const reel_buffer *index, const reel_buffer *src, int dim)
{
    const reel_buffer *out = &play->out[0];
    gather_job job;
    if (index->numel == 0) return true;
    make_job(play, out, src, index, dim, &job);
    if (!reel_play_check_index(play, index, out->ndim ? out->shape[job.axis] : 1, job.axis)) return false;
    job.to = out->data;
    job.from = src->data;
    int last = job.ndim - 1;
    if (job.axis == 0 && last > 0) {
        job.column_each = (1 << 14) / job.rows + 64; // fewer make too short runs of every row
        reel_parallel(play->exec, (job.shape[last] + job.column_each - 1) / job.column_each, scatter_columns_chunk,
                      &job);
        return true;
    }
    // Rows whose places cannot meet go to different chunks: leading indexes when the sum is along a later axis.
    int64_t block = job.axis == 0 ? job.rows : job.rows / job.shape[0]; // rows that may meet
    job.sums = true;
    job.rows_each = block * ((1 << 14) / (block * job.shape[last]) + 1);
    reel_parallel(play->exec, (job.rows + job.rows_each - 1) / job.rows_each, rows_chunk, &job);
    return true;
}

static bool infer_sums(const reel_infer *infer, const reel_tensor *src, reel_dtype dtype)
{
    if (reel_dtype_of(src) != dtype)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "what is added is %s, the sum %s",
                               reel_dtype_name(reel_dtype_of(src)), reel_dtype_name(dtype));
    return dtype != REEL_BOOL || reel_infer_fail(infer, REEL_ERROR_DTYPE, "bool has no sums; cast it");
}

/* src, which must be at least as large as index on every axis. */
static bool check_src(const reel_infer *infer, const reel_tensor *index_tensor, const reel_tensor *src_tensor)
{
    reel_shape index = at_least_1d(reel_shape_of(index_tensor)), src = at_least_1d(reel_shape_of(src_tensor));
    if (reel_numel(index_tensor) == 0) return true;
    if (src.ndim != index.ndim)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "index has %d axes, src %d", index.ndim, src.ndim);
    for (int k = 0; k < src.ndim; k++)
        if (index.dim[k] > src.dim[k])
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "index has %lld elements on axis %d, src only %lld",
                                   (long long)index.dim[k], k, (long long)src.dim[k]);
    return true;
}

static bool infer_scatter_add(reel_infer *infer)
{
    return check_gather(infer, reel_shape_of(infer->in[0]), infer->in[1]) &&
           check_src(infer, infer->in[1], infer->in[2]) &&
           infer_sums(infer, infer->in[2], reel_dtype_of(infer->in[0])) && reel_infer_same(infer);
}

static bool play_scatter_add(const reel_play *play)
{
    return reel_play_copy(play) && scatter(play, &play->in[1], &play->in[2], ((const gather_attrs *)play->attrs)->dim);
}

static bool infer_gather_backward(reel_infer *infer)
{
    const gather_attrs *attrs = infer->attrs;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), attrs->shape) &&
           check_gather(infer, attrs->shape, infer->in[1]) && check_src(infer, infer->in[1], infer->in[0]) &&
           infer_sums(infer, infer->in[0], reel_dtype_of(infer->in[0]));
}

static bool play_gather_backward(const reel_play *play)
{
    const reel_buffer *out = &play->out[0];
    reel_fill(play->exec, out->dtype, out->data, out->numel, 0);
    return scatter(play, &play->in[1], &play->in[0], ((const gather_attrs *)play->attrs)->dim);
}

extern const reel_op reel_op_gather_backward;

static reel_tensor *gather_backward(reel_tensor *cot, reel_tensor *index, reel_shape shape, int dim)
{
    gather_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.dim = dim;
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_gather_backward, (reel_tensor *[]) { cot, index }, 2, &attrs, NULL);
}

static bool vjp_gather(reel_vjp *vjp)
{
    const gather_attrs *attrs = vjp->attrs;
    vjp->grad[0] = gather_backward(vjp->cot[0], reel_vjp_input(vjp, 1), reel_vjp_input_shape(vjp, 0), attrs->dim);
    return true;
}

/* What src has beyond index was not read: zeros behind the gathered cotangent. */
static reel_tensor *grown(reel_tensor *x, reel_shape shape)
{
    reel_shape small = reel_shape_of(x);
    if (reel_shape_equal(small, shape) || !x) return x;
    if (reel_numel(x) == 0) return reel_zeros(reel_ctx_of(x), shape, reel_dtype_of(x));
    if (small.ndim != shape.ndim) return reel_reshape(x, shape);
    reel_pad_opts opts = { .value = 0 };
    for (int k = 0; k < shape.ndim; k++) opts.pad[2 * (shape.ndim - 1 - k) + 1] = shape.dim[k] - small.dim[k];
    return reel_pad(x, &opts);
}

static bool vjp_scatter_add(reel_vjp *vjp)
{
    const gather_attrs *attrs = vjp->attrs;
    vjp->grad[0] = vjp->cot[0];
    if (reel_vjp_wants(vjp, 2))
        vjp->grad[2] =
            grown(reel_gather(vjp->cot[0], reel_vjp_input(vjp, 1), attrs->dim), reel_vjp_input_shape(vjp, 2));
    return true;
}

static bool vjp_gather_backward(reel_vjp *vjp)
{
    const gather_attrs *attrs = vjp->attrs;
    vjp->grad[0] = grown(reel_gather(vjp->cot[0], reel_vjp_input(vjp, 1), attrs->dim), reel_vjp_input_shape(vjp, 0));
    return true;
}

const reel_op reel_op_gather = {
    .name = "gather", .infer = infer_gather, .play = play_gather, .vjp = vjp_gather, .attrs_size = sizeof(gather_attrs)
};
// gather on operands that have been broadcast: what its refusals name is the op that was called.
const reel_op reel_op_take_along_dim = { .name = "take_along_dim",
                                         .infer = infer_gather,
                                         .play = play_gather,
                                         .vjp = vjp_gather,
                                         .attrs_size = sizeof(gather_attrs) };
const reel_op reel_op_scatter_add = { .name = "scatter_add",
                                      .infer = infer_scatter_add,
                                      .play = play_scatter_add,
                                      .vjp = vjp_scatter_add,
                                      .attrs_size = sizeof(gather_attrs) };
const reel_op reel_op_gather_backward = { .name = "gather_backward",
                                          .infer = infer_gather_backward,
                                          .play = play_gather_backward,
                                          .vjp = vjp_gather_backward,
                                          .attrs_size = sizeof(gather_attrs) };

static reel_tensor *record(const reel_op *op, reel_tensor *x, reel_tensor *index, reel_tensor *src, int n_in, int dim)
{
    gather_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.dim = dim;
    return reel_apply(op, (reel_tensor *[]) { x, index, src }, n_in, &attrs, NULL);
}

reel_tensor *reel_gather(reel_tensor *x, reel_tensor *index, int dim)
{
    return record(&reel_op_gather, x, index, NULL, 2, dim);
}

reel_tensor *reel_scatter_add(reel_tensor *x, reel_tensor *index, reel_tensor *src, int dim)
{
    return record(&reel_op_scatter_add, x, index, src, 3, dim);
}

reel_tensor *reel_take_along(reel_tensor *x, reel_tensor *index, int dim)
{
    if (!REEL_OPERANDS("take_along_dim", x, index)) return NULL;
    reel_ctx *ctx = reel_ctx_of(x);
    reel_shape a = reel_shape_of(x), b = reel_shape_of(index);
    int axis = reel_axis(dim, a.ndim);
    char a_text[REEL_SHAPE_TEXT], b_text[REEL_SHAPE_TEXT];
    if (axis < 0 || a.ndim != b.ndim)
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "take_along_dim: axis %d of an operand of shape %s by an index of shape %s", dim,
                         reel_shape_format(a, a_text), reel_shape_format(b, b_text));
    for (int k = 0; k < a.ndim; k++) {
        if (k == axis || a.dim[k] == b.dim[k]) continue;
        if (a.dim[k] != 1 && b.dim[k] != 1)
            return reel_fail(ctx, REEL_ERROR_SHAPE, "take_along_dim: shapes %s and %s do not broadcast beside axis %d",
                             reel_shape_format(a, a_text), reel_shape_format(b, b_text), axis);
        int64_t size = a.dim[k] == 1 ? b.dim[k] : a.dim[k];
        a.dim[k] = b.dim[k] = size;
    }
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        if (!reel_shape_equal(a, reel_shape_of(x))) x = reel_expand(x, a);
        if (!reel_shape_equal(b, reel_shape_of(index))) index = reel_expand(index, b);
        y = reel_scope_return(record(&reel_op_take_along_dim, x, index, NULL, 2, axis));
    }
    return y;
}

/* Rows of the op table */

static bool call_gather(reel_call_args *args)
{
    return reel_args_return(
        args, reel_gather(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_axis(args, "dim")));
}
const reel_function reel_fn_gather = {
    .name = "gather",
    .inputs = "input index",
    .attrs = "dim:int",
    .call = call_gather,
    .formula = "y[i][j][k] = x[index[i][j][k]][j][k] for dim 0, and so on",
    .shapes = "input: any; index: integers of that rank -> index's",
    .errors = "an index that is not int64, or outside of [0, size) (negative ones do not count from the end); "
              "an index with more elements than input on another axis than dim",
    .orders = -1
};

static bool call_scatter_add(reel_call_args *args)
{
    return reel_args_return(args, reel_scatter_add(reel_args_input(args, 0), reel_args_input(args, 1),
                                                   reel_args_input(args, 2), reel_args_axis(args, "dim")));
}
const reel_function reel_fn_scatter_add = {
    .name = "scatter_add",
    .inputs = "input index src",
    .attrs = "dim:int",
    .call = call_scatter_add,
    .formula = "x with src[i][j][k] added at [index[i][j][k]][j][k] for dim 0, and so on",
    .shapes = "input: any; index: integers of that rank; src: index's or larger -> input's",
    .errors = "an index that is not int64, or outside of [0, size) (negative ones do not count from the end); an "
              "index with more elements than src, or than input on another axis than dim; src of another dtype; bools",
    .orders = -1
};

static bool call_take_along_dim(reel_call_args *args)
{
    reel_tensor *x = reel_args_input(args, 0), *index = reel_args_input(args, 1), *y = NULL;
    if (reel_args_has(args, "dim"))
        return reel_args_return(args, reel_take_along(x, index, reel_args_axis(args, "dim")));
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        y = reel_scope_return(reel_take_along(reel_flatten(x, 0, -1), reel_flatten(index, 0, -1), 0));
    }
    return reel_args_return(args, y);
}
const reel_function reel_fn_take_along_dim = {
    .name = "take_along_dim",
    .inputs = "input indices",
    .attrs = "dim:int=none",
    .call = call_take_along_dim,
    .formula = "gather that broadcasts; without dim, of the flattened elements",
    .shapes = "input: any; indices: integers that broadcast beside dim -> the broadcast shape",
    .errors = "an index that is not int64, or outside of [0, size) (negative ones do not count from the end); "
              "shapes that do not broadcast beside dim",
    .orders = -1
};
