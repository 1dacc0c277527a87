// SPDX-License-Identifier: MIT
// index_select, index_add, embedding and one_hot: an index names whole slices.
#include <reel/ops/axes.h>
#include <reel/ops/copy.h>
#include <reel/ops/index_check.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <string.h>

typedef struct select_attrs {
    int dim;
    bool pad; /* embedding: the slice `padding` takes no part in sums, and reads as zeros where `masked` */
    bool masked;
    bool by_freq; /* embedding: gradients are shared among the places of one row */
    int64_t padding;
    reel_shape shape; /* backward: of the result */
} select_attrs;

/* [outer, n, inner] -> [outer, m, inner] by m indexes into n. */
typedef struct slices {
    int64_t outer, n, m, inner;
} slices;

static slices slices_of(reel_shape whole, int axis, int64_t m)
{
    slices s = { 1, whole.ndim ? whole.dim[axis] : 1, m, 1 };
    for (int k = 0; k < axis; k++) s.outer *= whole.dim[k];
    for (int k = axis + 1; k < whole.ndim; k++) s.inner *= whole.dim[k];
    return s;
}

static reel_shape shape_of(const reel_buffer *b)
{
    reel_shape shape = { .ndim = b->ndim };
    for (int k = 0; k < b->ndim; k++) shape.dim[k] = b->shape[k];
    return shape;
}

typedef struct slice_job {
    const reel_index_kernels *kernels;
    slices s;
    const select_attrs *attrs;
    reel_dtype dtype;
    int64_t element, each;
    const int64_t *index;
    char *to;
    const char *from;
} slice_job;

static void read_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const slice_job *job = arg;
    const slices *s = &job->s;
    int64_t rows = s->outer * s->m, end = (chunk + 1) * job->each < rows ? (chunk + 1) * job->each : rows;
    size_t bytes = (size_t)(s->inner * job->element);
    if (s->inner == 1 && !job->attrs->masked) {
        for (int64_t row = chunk * job->each, n; row < end; row += n) {
            n = s->m - row % s->m < end - row ? s->m - row % s->m : end - row;
            job->kernels->take((size_t)job->element, n, job->to + row * job->element,
                               job->from + row / s->m * s->n * job->element, job->index + row % s->m, 1, 0);
        }
        return;
    }
    for (int64_t row = chunk * job->each; row < end; row++) {
        int64_t at = job->index[row % s->m];
        char *to = job->to + row * s->inner * job->element;
        if (job->attrs->pad && job->attrs->masked && at == job->attrs->padding)
            memset(to, 0, bytes);
        else
            memcpy(to, job->from + (row / s->m * s->n + at) * s->inner * job->element, bytes);
    }
}

/* to[o][j] = from[o][index[j]] */
static void read_slices(const reel_play *play, slice_job *job)
{
    int64_t rows = job->s.outer * job->s.m;
    job->each = (1 << 14) / (job->s.inner + 1) + 1;
    if (rows > 0 && job->s.inner > 0) reel_parallel(play->exec, (rows + job->each - 1) / job->each, read_chunk, job);
}

/* One outer index, or with a single one, a range of `each` columns. */
static void add_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const slice_job *job = arg;
    const slices *s = &job->s;
    int64_t o = job->each ? 0 : chunk, first = job->each ? chunk * job->each : 0;
    int64_t columns = job->each && s->inner - first > job->each ? job->each : s->inner - first;
    char *to = job->to + (o * s->n * s->inner + first) * job->element;
    const char *from = job->from + (o * s->m * s->inner + first) * job->element;
    if (s->inner == 1 && !job->attrs->pad) {
        job->kernels->add_at[job->dtype](s->m, to, from, job->index, 1, 0);
        return;
    }
    for (int64_t j = 0; j < s->m; j++) {
        if (job->attrs->pad && job->index[j] == job->attrs->padding) continue;
        job->kernels->add[job->dtype](columns, to + job->index[j] * s->inner * job->element,
                                      from + j * s->inner * job->element);
    }
}

/* to[o][index[j]] += from[o][j], in the order of j */
static void add_slices(const reel_play *play, slice_job *job)
{
    const slices *s = &job->s;
    if (s->outer == 0 || s->m == 0 || s->inner == 0) return;
    job->each = 0;
    int64_t chunks = s->outer;
    if (s->outer == 1) {
        job->each = (1 << 14) / s->m + 64;
        chunks = (s->inner + job->each - 1) / job->each;
    }
    reel_parallel(play->exec, chunks, add_chunk, job);
}

static slice_job make_job(const reel_play *play, const reel_buffer *whole, const reel_buffer *index, int axis)
{
    const select_attrs *attrs = play->attrs;
    return (slice_job) { .kernels = reel_index_kernels_for(play->exec->isa),
                         .s = slices_of(shape_of(whole), axis, index->numel),
                         .attrs = attrs,
                         .dtype = whole->dtype,
                         .element = (int64_t)reel_dtype_size(whole->dtype),
                         .index = index->data };
}

/* index_select */

static bool check_vector(const reel_infer *infer, const reel_tensor *index)
{
    if (!reel_infer_index(infer, index)) return false;
    return reel_ndim(index) < 2 ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE, "the index has %d axes; it must be a vector", reel_ndim(index));
}

/* The shape of slices index[0], index[1], ... of `whole`. */
static bool selected_shape(const reel_infer *infer, reel_shape whole, const reel_tensor *index, reel_shape *out)
{
    const select_attrs *attrs = infer->attrs;
    int axis;
    if (!check_vector(infer, index) || !reel_infer_axis(infer, attrs->dim, whole.ndim ? whole.ndim : 1, &axis))
        return false;
    *out = whole;
    if (whole.ndim > 0) {
        out->dim[axis] = reel_numel(index);
        return true;
    }
    return reel_numel(index) == 1 ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE, "%lld indexes into a scalar, which has one slice",
                           (long long)reel_numel(index));
}

static bool infer_index_select(reel_infer *infer)
{
    reel_shape shape;
    return selected_shape(infer, reel_shape_of(infer->in[0]), infer->in[1], &shape) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape);
}

static bool play_index_select(const reel_play *play)
{
    const reel_buffer *x = &play->in[0], *index = &play->in[1];
    int axis = reel_axis(((const select_attrs *)play->attrs)->dim, x->ndim ? x->ndim : 1);
    slice_job job = make_job(play, x, index, axis);
    if (!reel_play_check_index(play, index, job.s.n, axis)) return false;
    job.to = play->out[0].data;
    job.from = x->data;
    read_slices(play, &job);
    return true;
}

/* Sums */

static bool check_sums(const reel_infer *infer, const reel_tensor *src, reel_dtype dtype, reel_shape whole)
{
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    reel_shape shape;
    if (!selected_shape(infer, whole, infer->in[1], &shape)) return false;
    if (!reel_shape_equal(reel_shape_of(src), shape))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "what is added has shape %s; the index asks for %s",
                               reel_shape_format(reel_shape_of(src), have), reel_shape_format(shape, want));
    if (reel_dtype_of(src) != dtype)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "what is added is %s, the sum %s",
                               reel_dtype_name(reel_dtype_of(src)), reel_dtype_name(dtype));
    return dtype != REEL_BOOL || reel_infer_fail(infer, REEL_ERROR_DTYPE, "bool has no sums; cast it");
}

static bool infer_index_add(reel_infer *infer)
{
    reel_shape shape = reel_shape_of(infer->in[0]);
    if (!check_sums(infer, infer->in[2], reel_dtype_of(infer->in[0]), shape)) return false;
    int axis = reel_axis(((const select_attrs *)infer->attrs)->dim, shape.ndim ? shape.ndim : 1);
    if (shape.ndim > 0 && shape.dim[axis] == 0 && reel_numel(infer->in[1]) > 0)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "axis %d has no elements that the index could point to", axis);
    return reel_infer_same(infer);
}

/* out, already filled, plus slices of src. */
static bool play_sums(const reel_play *play, const reel_buffer *index, const reel_buffer *src)
{
    const reel_buffer *out = &play->out[0];
    int axis = reel_axis(((const select_attrs *)play->attrs)->dim, out->ndim ? out->ndim : 1);
    slice_job job = make_job(play, out, index, axis);
    if (!reel_play_check_index(play, index, job.s.n, axis)) return false;
    job.to = out->data;
    job.from = src->data;
    add_slices(play, &job);
    return true;
}

static bool play_index_add(const reel_play *play)
{
    return reel_play_copy(play) && play_sums(play, &play->in[1], &play->in[2]);
}

static bool infer_index_select_backward(reel_infer *infer)
{
    const select_attrs *attrs = infer->attrs;
    reel_dtype dtype = reel_dtype_of(infer->in[0]);
    return reel_infer_out(infer, 0, dtype, attrs->shape) && check_sums(infer, infer->in[0], dtype, attrs->shape);
}

static bool play_zeros_and_sums(const reel_play *play)
{
    const reel_buffer *out = &play->out[0];
    reel_fill(play->exec, out->dtype, out->data, out->numel, 0);
    return play_sums(play, &play->in[1], &play->in[0]);
}

static select_attrs make_attrs(int dim)
{
    select_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.dim = dim;
    return attrs;
}

extern const reel_op reel_op_index_select_backward, reel_op_embedding, reel_op_embedding_backward;

static bool vjp_index_select(reel_vjp *vjp)
{
    select_attrs attrs = make_attrs(((const select_attrs *)vjp->attrs)->dim);
    attrs.shape = reel_shape_clean(reel_vjp_input_shape(vjp, 0));
    vjp->grad[0] = reel_apply(&reel_op_index_select_backward, (reel_tensor *[]) { vjp->cot[0], reel_vjp_input(vjp, 1) },
                              2, &attrs, NULL);
    return true;
}

static bool vjp_index_select_backward(reel_vjp *vjp)
{
    vjp->grad[0] = reel_index_select(vjp->cot[0], reel_vjp_input(vjp, 1), ((const select_attrs *)vjp->attrs)->dim);
    return true;
}

static bool vjp_index_add(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    if (reel_vjp_wants(vjp, 2))
        vjp->grad[2] = reel_index_select(vjp->cot[0], reel_vjp_input(vjp, 1), ((const select_attrs *)vjp->attrs)->dim);
    return true;
}

const reel_op reel_op_index_select = { .name = "index_select",
                                       .infer = infer_index_select,
                                       .play = play_index_select,
                                       .vjp = vjp_index_select,
                                       .attrs_size = sizeof(select_attrs) };
const reel_op reel_op_index_select_backward = { .name = "index_select_backward",
                                                .infer = infer_index_select_backward,
                                                .play = play_zeros_and_sums,
                                                .vjp = vjp_index_select_backward,
                                                .attrs_size = sizeof(select_attrs) };
const reel_op reel_op_index_add = { .name = "index_add",
                                    .infer = infer_index_add,
                                    .play = play_index_add,
                                    .vjp = vjp_index_add,
                                    .attrs_size = sizeof(select_attrs) };

/* Records an op whose input `at` is an index; int32 becomes int64. */
static reel_tensor *record(const reel_op *op, reel_tensor **in, int n_in, int at, const select_attrs *attrs)
{
    if (reel_dtype_of(in[at]) != REEL_I32) return reel_apply(op, in, n_in, attrs, NULL);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(in[at]))
    {
        in[at] = reel_cast(in[at], REEL_I64);
        y = reel_scope_return(reel_apply(op, in, n_in, attrs, NULL));
    }
    return y;
}

reel_tensor *reel_index_select(reel_tensor *x, reel_tensor *index, int dim)
{
    select_attrs attrs = make_attrs(dim);
    return record(&reel_op_index_select, (reel_tensor *[]) { x, index }, 2, 1, &attrs);
}

reel_tensor *reel_index_add(reel_tensor *x, reel_tensor *index, reel_tensor *src, int dim)
{
    select_attrs attrs = make_attrs(dim);
    return record(&reel_op_index_add, (reel_tensor *[]) { x, index, src }, 3, 1, &attrs);
}

/* embedding: inputs are the index and the table; its adjoint's the cotangent and the index */

static bool embedded_shape(const reel_infer *infer, reel_shape index, reel_shape weight, reel_shape *out)
{
    const select_attrs *attrs = infer->attrs;
    if (weight.ndim != 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has %d axes; it must be a matrix, one row an index",
                               weight.ndim);
    if (attrs->pad && (attrs->padding < -weight.dim[0] || attrs->padding >= weight.dim[0]))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "padding_idx %lld is out of range for a weight of %lld rows",
                               (long long)attrs->padding, (long long)weight.dim[0]);
    if (index.ndim == REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the index already has %d axes, the most there may be",
                               index.ndim);
    *out = index;
    out->dim[out->ndim++] = weight.dim[1];
    return true;
}

static bool infer_embedding(reel_infer *infer)
{
    reel_shape shape;
    return reel_infer_index(infer, infer->in[0]) &&
           embedded_shape(infer, reel_shape_of(infer->in[0]), reel_shape_of(infer->in[1]), &shape) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[1]), shape);
}

/* Attributes with a padding row counted from the front. */
static select_attrs wrapped(const select_attrs *attrs, int64_t rows)
{
    select_attrs wrapped = *attrs;
    if (wrapped.padding < 0) wrapped.padding += rows;
    return wrapped;
}

static bool play_embedding(const reel_play *play)
{
    const reel_buffer *index = &play->in[0], *weight = &play->in[1];
    slice_job job = make_job(play, weight, index, 0);
    select_attrs attrs = wrapped(play->attrs, job.s.n);
    if (!reel_play_check_index(play, index, job.s.n, 0)) return false;
    job.attrs = &attrs;
    job.to = play->out[0].data;
    job.from = weight->data;
    read_slices(play, &job);
    return true;
}

static bool infer_embedding_backward(reel_infer *infer)
{
    const select_attrs *attrs = infer->attrs;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    reel_shape shape, in = reel_shape_of(infer->in[0]);
    if (!reel_infer_index(infer, infer->in[1]) ||
        !embedded_shape(infer, reel_shape_of(infer->in[1]), attrs->shape, &shape))
        return false;
    return reel_shape_equal(in, shape)
               ? reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), attrs->shape)
               : reel_infer_fail(infer, REEL_ERROR_SHAPE, "what is added has shape %s; the index asks for %s",
                                 reel_shape_format(in, have), reel_shape_format(shape, want));
}

static bool play_embedding_backward(const reel_play *play)
{
    const reel_buffer *index = &play->in[1], *out = &play->out[0];
    slice_job job = make_job(play, out, index, 0);
    select_attrs attrs = wrapped(play->attrs, job.s.n);
    reel_fill(play->exec, out->dtype, out->data, out->numel, 0);
    if (!reel_play_check_index(play, index, job.s.n, 0)) return false;
    job.attrs = &attrs;
    job.to = out->data;
    job.from = play->in[0].data;
    add_slices(play, &job);
    return true;
}

/* x / how often its row is named, one a place of the index. */
static reel_tensor *shared_by_row(reel_tensor *x, reel_tensor *index, int64_t rows)
{
    reel_ctx *ctx = reel_ctx_of(x);
    reel_dtype dtype = reel_dtype_of(x);
    reel_tensor *flat = reel_flatten(index, 0, -1);
    reel_tensor *one = reel_full(ctx, REEL_SHAPE(reel_numel(index)), dtype, 1);
    reel_tensor *count = reel_index_add(reel_zeros(ctx, REEL_SHAPE(rows), dtype), flat, one, 0);
    return reel_div(x, reel_unsqueeze(reel_reshape(reel_index_select(count, flat, 0), reel_shape_of(index)), -1));
}

static bool vjp_embedding(reel_vjp *vjp)
{
    select_attrs attrs = *(const select_attrs *)vjp->attrs;
    attrs.shape = reel_shape_clean(reel_vjp_input_shape(vjp, 1));
    if (!reel_vjp_wants(vjp, 1)) return true;
    reel_tensor *index = reel_vjp_input(vjp, 0), *g = vjp->cot[0];
    if (attrs.by_freq) g = shared_by_row(g, index, attrs.shape.dim[0]);
    attrs.by_freq = false;
    vjp->grad[1] = reel_apply(&reel_op_embedding_backward, (reel_tensor *[]) { g, index }, 2, &attrs, NULL);
    return true;
}

/* The adjoint of sums that pass over a row reads that row as zeros. */
static bool vjp_embedding_backward(reel_vjp *vjp)
{
    select_attrs attrs = *(const select_attrs *)vjp->attrs;
    attrs.shape = reel_shape_clean(REEL_SCALAR);
    attrs.masked = attrs.pad;
    vjp->grad[0] =
        reel_apply(&reel_op_embedding, (reel_tensor *[]) { reel_vjp_input(vjp, 1), vjp->cot[0] }, 2, &attrs, NULL);
    return true;
}

const reel_op reel_op_embedding = { .name = "embedding",
                                    .infer = infer_embedding,
                                    .play = play_embedding,
                                    .vjp = vjp_embedding,
                                    .attrs_size = sizeof(select_attrs) };
const reel_op reel_op_embedding_backward = { .name = "embedding_backward",
                                             .infer = infer_embedding_backward,
                                             .play = play_embedding_backward,
                                             .vjp = vjp_embedding_backward,
                                             .attrs_size = sizeof(select_attrs) };

reel_tensor *reel_embedding(reel_tensor *input, reel_tensor *weight, const reel_embedding_opts *opts)
{
    select_attrs attrs = make_attrs(0);
    attrs.pad = opts && opts->has_padding_idx;
    attrs.padding = attrs.pad ? opts->padding_idx : 0;
    attrs.by_freq = opts && opts->scale_grad_by_freq;
    return record(&reel_op_embedding, (reel_tensor *[]) { input, weight }, 2, 0, &attrs);
}

/* one_hot */

typedef struct one_hot_attrs {
    int64_t classes;
} one_hot_attrs;

static bool infer_one_hot(reel_infer *infer)
{
    const one_hot_attrs *attrs = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[0]);
    if (!reel_infer_index(infer, infer->in[0])) return false;
    if (attrs->classes < 1 && (attrs->classes < 0 || reel_numel(infer->in[0]) > 0))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "%lld classes hold no value", (long long)attrs->classes);
    if (shape.ndim == REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand already has %d axes, the most there may be",
                               shape.ndim);
    shape.dim[shape.ndim++] = attrs->classes;
    return reel_infer_out(infer, 0, REEL_I64, shape);
}

static bool play_one_hot(const reel_play *play)
{
    const one_hot_attrs *attrs = play->attrs;
    const reel_buffer *x = &play->in[0], *out = &play->out[0];
    const int64_t *value = x->data;
    int64_t *to = out->data;
    char text[REEL_SHAPE_TEXT];
    int64_t at = reel_index_kernels_for(play->exec->isa)->check(x->numel, value, attrs->classes);
    if (at >= 0)
        return reel_play_fail(play, REEL_ERROR_VALUE, "value %lld at %s is not one of %lld classes",
                              (long long)value[at], reel_place_format(x, at, text), (long long)attrs->classes);
    reel_fill(play->exec, REEL_I64, to, out->numel, 0);
    for (int64_t i = 0; i < x->numel; i++) to[i * attrs->classes + value[i]] = 1;
    return true;
}

const reel_op reel_op_one_hot = {
    .name = "one_hot", .infer = infer_one_hot, .play = play_one_hot, .attrs_size = sizeof(one_hot_attrs)
};

/* The largest value plus one, or -1 and an error. */
static int64_t classes_of(reel_tensor *x)
{
    int64_t n = reel_numel(x), most = -1;
    const int64_t *values = reel_data_i64(x);
    if (!values) return -1;
    for (int64_t i = 0; i < n; i++) most = values[i] > most ? values[i] : most;
    if (n > 0 && most >= 0 && most < INT64_MAX) return most + 1;
    reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "one_hot: no number of classes given, and no values to tell it");
    return -1;
}

reel_tensor *reel_one_hot(reel_tensor *x, int64_t classes)
{
    if (!x) return NULL;
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        if (reel_dtype_of(x) == REEL_I32) x = reel_cast(x, REEL_I64);
        if (classes == -1 && x && reel_dtype_of(x) == REEL_I64) classes = classes_of(x);
        one_hot_attrs attrs = { classes };
        y = reel_scope_return(reel_apply(&reel_op_one_hot, &x, 1, &attrs, NULL));
    }
    return y;
}

/* Rows of the op table */

static bool call_index_select(reel_call_args *args)
{
    return reel_args_return(
        args, reel_index_select(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_axis(args, "dim")));
}
const reel_function reel_fn_index_select = {
    .name = "index_select",
    .inputs = "input index",
    .attrs = "dim:int",
    .call = call_index_select,
    .formula = "slices index[0], index[1], ... of axis dim",
    .shapes = "input: [..., n, ...]; index: [m] integers -> [..., m, ...]",
    .errors = "an index that is not int64 or int32, or outside of [0, size) (negative ones do not count from the end); "
              "an index of two axes or more",
    .orders = -1
};

static bool call_index_add(reel_call_args *args)
{
    double alpha = reel_args_float(args, "alpha");
    reel_tensor *src = reel_args_input(args, 2), *y = NULL;
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        if (alpha != 1) src = reel_mul_scalar(src, alpha);
        y = reel_scope_return(
            reel_index_add(reel_args_input(args, 0), reel_args_input(args, 1), src, reel_args_axis(args, "dim")));
    }
    return reel_args_return(args, y);
}
const reel_function reel_fn_index_add = {
    .name = "index_add",
    .inputs = "input index source",
    .attrs = "dim:int alpha:float=1",
    .call = call_index_add,
    .formula = "x with alpha times slice k of source added to its slice index[k] along dim",
    .shapes = "input: [..., n, ...]; index: [m] integers; source: [..., m, ...] -> input's",
    .errors = "an index that is not int64 or int32, or outside of [0, size) (negative ones do not count from the end); "
              "an index of two axes or more; a source that has not one slice an index; dtypes that differ; bools",
    .orders = -1
};

static bool call_embedding(reel_call_args *args)
{
    reel_embedding_opts opts = { .has_padding_idx = reel_args_has(args, "padding_idx") };
    if (opts.has_padding_idx) opts.padding_idx = reel_args_int(args, "padding_idx");
    opts.scale_grad_by_freq = reel_args_bool(args, "scale_grad_by_freq");
    return reel_args_return(args, reel_embedding(reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}
const reel_function reel_fn_embedding = {
    .name = "embedding",
    .inputs = "input weight",
    .attrs = "padding_idx:int=none scale_grad_by_freq:bool=false",
    .call = call_embedding,
    .formula = "row input[...] of weight; row padding_idx gets no gradient",
    .shapes = "input: [...] integers; weight: [V, D] -> [..., D]",
    .errors = "an index that is not int64 or int32, or outside of [0, size) (negative ones do not count from the end); "
              "a weight that is no matrix; padding_idx outside of [-rows, rows)",
    .orders = -1
};

static bool call_one_hot(reel_call_args *args)
{
    return reel_args_return(args, reel_one_hot(reel_args_input(args, 0), reel_args_int(args, "num_classes")));
}
const reel_function reel_fn_one_hot = {
    .name = "one_hot",
    .inputs = "input",
    .attrs = "num_classes:int=-1",
    .call = call_one_hot,
    .formula = "1 at [..., x[...]], 0 elsewhere; -1 classes: the largest value plus one",
    .shapes = "input: [...] integers -> [..., num_classes] int64",
    .errors = "an input that is not int64 or int32; a value outside of [0, num_classes); num_classes below 1 (but -1: "
              "the largest value and one more, of at least one value)",
    .orders = 0
};
