// SPDX-License-Identifier: MIT
// Padding and its adjoint. A constant border is a fill and a copy; the other modes read each axis through a table.
#include <reel/ops/axes.h>
#include <reel/ops/copy.h>
#include <reel/ops/kernels/index.h>
#include <reel/ops/pad.h>

#include <string.h>

typedef struct pad_attrs {
    int64_t pad[2 * REEL_MAX_DIMS];
    double value;
    reel_pad_mode mode;
    reel_shape shape; /* pad_backward: of the result */
} pad_attrs;

static int64_t before(const pad_attrs *attrs, int ndim, int axis) { return attrs->pad[2 * (ndim - 1 - axis)]; }
static int64_t after(const pad_attrs *attrs, int ndim, int axis) { return attrs->pad[2 * (ndim - 1 - axis) + 1]; }

/* What pads of one axis of n elements make of its size; false (and an error) where they do not fit. */
static bool padded_size(const reel_infer *infer, int axis, int64_t n, int64_t first, int64_t last, int64_t *size)
{
    const pad_attrs *attrs = infer->attrs;
    *size = n;
    if (first == 0 && last == 0) return true;
    long long f = (long long)first, l = (long long)last, m = (long long)n;
    if (__builtin_add_overflow(n, first, size) || __builtin_add_overflow(*size, last, size))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "pads %lld and %lld of axis %d overflow", f, l, axis);
    if (*size < 0)
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "pads %lld and %lld leave a negative size on axis %d, which has %lld", f, l, axis, m);
    switch (attrs->mode) {
    case REEL_PAD_CONSTANT: return true;
    case REEL_PAD_REFLECT:
        if (first < n && last < n) break;
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "reflecting by %lld and %lld asks for more elements than axis %d has: %lld", f, l, axis,
                               m);
    case REEL_PAD_REPLICATE:
        if (n > 0) break;
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "axis %d has no element to replicate", axis);
    case REEL_PAD_CIRCULAR: {
        // A crop comes first: what goes round is what is left.
        int64_t left = n + (first < 0 ? first : 0) + (last < 0 ? last : 0);
        if (first <= left && last <= left) return true;
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "pads %lld and %lld go round axis %d, which has %lld, more than once", f, l, axis, m);
    }
    default: return reel_infer_fail(infer, REEL_ERROR_VALUE, "unknown mode %d", (int)attrs->mode);
    }
    if (*size == 0)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "pads %lld and %lld leave nothing of axis %d, which has %lld",
                               f, l, axis, m);
    return true;
}

static bool padded_shape(const reel_infer *infer, reel_shape in, reel_shape *out)
{
    const pad_attrs *attrs = infer->attrs;
    *out = in;
    for (int i = 2 * in.ndim; i < 2 * REEL_MAX_DIMS; i++)
        if (attrs->pad[i] != 0)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "pads are given for more axes than the %d there are",
                                   in.ndim);
    for (int k = 0; k < in.ndim; k++)
        if (!padded_size(infer, k, in.dim[k], before(attrs, in.ndim, k), after(attrs, in.ndim, k), &out->dim[k]))
            return false;
    return true;
}

static bool infer_pad(reel_infer *infer)
{
    reel_shape shape;
    return padded_shape(infer, reel_shape_of(infer->in[0]), &shape) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape);
}

static bool infer_pad_backward(reel_infer *infer)
{
    const pad_attrs *attrs = infer->attrs;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    reel_shape in = reel_shape_of(infer->in[0]), padded;
    reel_dtype dtype = reel_dtype_of(infer->in[0]);
    if (!reel_dtype_is_float(dtype))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "sums are of float32 or float64, not %s",
                               reel_dtype_name(dtype));
    if (!reel_infer_out(infer, 0, dtype, attrs->shape) || !padded_shape(infer, attrs->shape, &padded)) return false;
    return reel_shape_equal(in, padded) ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE, "the operand's shape %s is not the padded one, %s",
                           reel_shape_format(in, have), reel_shape_format(padded, want));
}

static bool play_constant(const reel_play *play)
{
    const pad_attrs *attrs = play->attrs;
    const reel_buffer *in = &play->in[0], *out = &play->out[0];
    int64_t element = (int64_t)reel_dtype_size(in->dtype), from = 0, to = 0, kept = 1, shape[REEL_MAX_DIMS];
    for (int k = 0; k < in->ndim; k++) {
        int64_t first = before(attrs, in->ndim, k), last = after(attrs, in->ndim, k);
        shape[k] = in->shape[k] + (first < 0 ? first : 0) + (last < 0 ? last : 0);
        if (shape[k] < 0) shape[k] = 0;
        from += first < 0 ? -first * in->strides[k] : 0;
        to += first > 0 ? first * out->strides[k] : 0;
        kept *= shape[k];
    }
    if (kept < out->numel) reel_fill(play->exec, out->dtype, out->data, out->numel, attrs->value);
    if (kept > 0)
        reel_copy_strided(play->exec, (size_t)element, in->ndim, shape, (char *)out->data + to * element, out->strides,
                          (const char *)in->data + from * element, in->strides);
    return true;
}

/* The element of an axis of n that stands at place i of the padded axis. */
static int64_t source(reel_pad_mode mode, int64_t n, int64_t first, int64_t last, int64_t i)
{
    int64_t at = i - first;
    if (mode == REEL_PAD_REFLECT) return at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at;
    if (mode == REEL_PAD_REPLICATE) return at < 0 ? 0 : at >= n ? n - 1 : at;
    int64_t crop = first < 0 ? -first : 0, left = n - crop + (last < 0 ? last : 0);
    at = i - (first > 0 ? first : 0);
    return crop + (at < 0 ? at + left : at >= left ? at - left : at);
}

typedef struct pad_job {
    const reel_index_kernels *kernels;
    reel_dtype dtype;
    int64_t element;
    int ndim;
    int64_t padded[REEL_MAX_DIMS], strides[REEL_MAX_DIMS]; /* sizes of the padded side, strides of the other        */
    const int64_t *table[REEL_MAX_DIMS];                   /* by axis: source() of every place                      */
    int64_t middle, middle_from, middle_n; /* of a row: the run of places that has its elements in order */
    int64_t rows, rows_each;
    char *to;
    const char *from;
} pad_job;

/* Where a row of the padded side reads or adds on the other one, in elements. */
static int64_t row_offset(const pad_job *job, int64_t row)
{
    int64_t offset = 0;
    for (int k = job->ndim - 2; k >= 0; k--) {
        offset += job->table[k][row % job->padded[k]] * job->strides[k];
        row /= job->padded[k];
    }
    return offset;
}

static void pad_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const pad_job *job = arg;
    int64_t n = job->padded[job->ndim - 1], e = job->element, tail = job->middle + job->middle_n;
    const int64_t *table = job->table[job->ndim - 1];
    int64_t end = (chunk + 1) * job->rows_each < job->rows ? (chunk + 1) * job->rows_each : job->rows;
    for (int64_t row = chunk * job->rows_each; row < end; row++) {
        const char *from = job->from + row_offset(job, row) * e;
        char *to = job->to + row * n * e;
        job->kernels->take((size_t)e, job->middle, to, from, table, 1, 0);
        memcpy(to + job->middle * e, from + job->middle_from * e, (size_t)(job->middle_n * e));
        job->kernels->take((size_t)e, n - tail, to + tail * e, from, table + tail, 1, 0);
    }
}

static void pad_backward_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const pad_job *job = arg;
    int64_t n = job->padded[job->ndim - 1], e = job->element, tail = job->middle + job->middle_n;
    const int64_t *table = job->table[job->ndim - 1];
    int64_t end = (chunk + 1) * job->rows_each < job->rows ? (chunk + 1) * job->rows_each : job->rows;
    for (int64_t row = chunk * job->rows_each; row < end; row++) {
        char *to = job->to + row_offset(job, row) * e;
        const char *from = job->from + row * n * e;
        job->kernels->add_at[job->dtype](job->middle, to, from, table, 1, 0);
        job->kernels->add[job->dtype](job->middle_n, to + job->middle_from * e, from + job->middle * e);
        job->kernels->add_at[job->dtype](n - tail, to, from + tail * e, table + tail, 1, 0);
    }
}

/* Tables and rows for the padded side `big` and the other one. */
static bool prepare(const reel_play *play, const reel_buffer *big, const reel_buffer *small, pad_job *job)
{
    const pad_attrs *attrs = play->attrs;
    int64_t places = 0;
    for (int k = 0; k < big->ndim; k++) places += big->shape[k];
    int64_t *table = reel_scratch(play->exec, reel_bytes((size_t)places, sizeof *table));
    if (!table) return reel_play_out_of_memory(play);
    memset(job, 0, sizeof *job);
    job->kernels = reel_index_kernels_for(play->exec->isa);
    job->dtype = big->dtype;
    job->element = (int64_t)reel_dtype_size(big->dtype);
    job->ndim = big->ndim;
    job->rows = 1;
    for (int k = 0; k < big->ndim; k++) {
        int64_t first = before(attrs, big->ndim, k), last = after(attrs, big->ndim, k);
        job->padded[k] = big->shape[k];
        job->strides[k] = small->strides[k];
        job->table[k] = table;
        for (int64_t i = 0; i < big->shape[k]; i++) *table++ = source(attrs->mode, small->shape[k], first, last, i);
        if (k < big->ndim - 1) job->rows *= big->shape[k];
    }
    int axis = big->ndim - 1;
    int64_t first = before(attrs, big->ndim, axis), last = after(attrs, big->ndim, axis);
    job->middle = first > 0 ? first : 0;
    job->middle_from = first < 0 ? -first : 0;
    job->middle_n = small->shape[axis] + (first < 0 ? first : 0) + (last < 0 ? last : 0);
    // Reflecting and replicating may crop past the elements themselves: then the table alone says what stands where.
    if (job->middle_n < 0) {
        job->middle = big->shape[axis];
        job->middle_from = job->middle_n = 0;
    }
    return true;
}

static bool play_pad(const reel_play *play)
{
    const pad_attrs *attrs = play->attrs;
    const reel_buffer *out = &play->out[0];
    pad_job job;
    if (attrs->mode == REEL_PAD_CONSTANT || out->ndim == 0) return play_constant(play);
    if (out->numel == 0) return true;
    if (!prepare(play, out, &play->in[0], &job)) return false;
    job.to = out->data;
    job.from = play->in[0].data;
    job.rows_each = (1 << 15) / out->shape[out->ndim - 1] + 1;
    reel_parallel(play->exec, (job.rows + job.rows_each - 1) / job.rows_each, pad_chunk, &job);
    return true;
}

/* Places of one unpadded leading index never meet those of another: chunks are whole leading indexes. */
static bool play_pad_backward(const reel_play *play)
{
    const pad_attrs *attrs = play->attrs;
    const reel_buffer *in = &play->in[0], *out = &play->out[0];
    pad_job job;
    if (out->ndim == 0) return play_constant(play);
    reel_fill(play->exec, out->dtype, out->data, out->numel, 0);
    if (in->numel == 0) return true;
    if (!prepare(play, in, out, &job)) return false;
    job.to = out->data;
    job.from = in->data;
    int64_t apart = 1;
    for (int k = 0; k < in->ndim - 1 && before(attrs, in->ndim, k) == 0 && after(attrs, in->ndim, k) == 0; k++)
        apart *= in->shape[k];
    int64_t rows = job.rows / apart, numel = rows * in->shape[in->ndim - 1];
    job.rows_each = rows * ((1 << 15) / numel + 1);
    reel_parallel(play->exec, (job.rows + job.rows_each - 1) / job.rows_each, pad_backward_chunk, &job);
    return true;
}

static void opts_of(const pad_attrs *attrs, reel_pad_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    memcpy(opts->pad, attrs->pad, sizeof opts->pad);
    opts->mode = attrs->mode;
}

static bool vjp_pad(reel_vjp *vjp)
{
    reel_pad_opts opts;
    opts_of(vjp->attrs, &opts);
    vjp->grad[0] = reel_pad_backward(vjp->cot[0], reel_vjp_input_shape(vjp, 0), &opts);
    return true;
}

static bool vjp_pad_backward(reel_vjp *vjp)
{
    reel_pad_opts opts;
    opts_of(vjp->attrs, &opts);
    vjp->grad[0] = reel_pad(vjp->cot[0], &opts);
    return true;
}

/* A constant border takes any strides; the tables of the other modes take row-major operands. */
const reel_op reel_op_pad = { .name = "pad",
                              .infer = infer_pad,
                              .play = play_pad,
                              .vjp = vjp_pad,
                              .flags = REEL_OP_STRIDED | REEL_OP_CHEAP,
                              .attrs_size = sizeof(pad_attrs) };
const reel_op reel_op_pad_table = {
    .name = "pad", .infer = infer_pad, .play = play_pad, .vjp = vjp_pad, .attrs_size = sizeof(pad_attrs)
};
const reel_op reel_op_pad_backward = { .name = "pad_backward",
                                       .infer = infer_pad_backward,
                                       .play = play_pad_backward,
                                       .vjp = vjp_pad_backward,
                                       .attrs_size = sizeof(pad_attrs) };

static pad_attrs make_attrs(const reel_pad_opts *opts)
{
    pad_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    if (!opts) return attrs;
    memcpy(attrs.pad, opts->pad, sizeof attrs.pad);
    attrs.mode = opts->mode;
    attrs.value = opts->mode == REEL_PAD_CONSTANT ? opts->value : 0;
    return attrs;
}

reel_tensor *reel_pad(reel_tensor *x, const reel_pad_opts *opts)
{
    pad_attrs attrs = make_attrs(opts);
    return reel_apply(attrs.mode == REEL_PAD_CONSTANT ? &reel_op_pad : &reel_op_pad_table, &x, 1, &attrs, NULL);
}

reel_tensor *reel_pad_backward(reel_tensor *y, reel_shape shape, const reel_pad_opts *opts)
{
    pad_attrs attrs = make_attrs(opts);
    if (attrs.mode == REEL_PAD_CONSTANT) {
        // The adjoint of a border is a crop, that of a crop a border of zeros.
        for (int i = 0; i < 2 * REEL_MAX_DIMS; i++)
            attrs.pad[i] = attrs.pad[i] == INT64_MIN ? INT64_MAX : -attrs.pad[i];
        attrs.value = 0;
        reel_tensor *x = reel_apply(&reel_op_pad, &y, 1, &attrs, NULL);
        char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
        if (!x || reel_shape_equal(reel_shape_of(x), shape)) return x;
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "pad_backward: the pads leave %s, not %s",
                         reel_shape_format(reel_shape_of(x), have), reel_shape_format(shape, want));
    }
    attrs.shape = reel_shape_clean(shape);
    return reel_apply(&reel_op_pad_backward, &y, 1, &attrs, NULL);
}

/* Rows of the op table */

static bool call_pad(reel_call_args *args)
{
    reel_pad_opts opts;
    memset(&opts, 0, sizeof opts);
    int n = reel_args_ints(args, "pad", opts.pad, 2 * REEL_MAX_DIMS);
    int mode = reel_args_choice(args, "mode", "constant reflect replicate circular");
    if (n < 0 || mode < 0) return false;
    opts.mode = (reel_pad_mode)mode;
    if (reel_args_has(args, "value")) opts.value = reel_args_float(args, "value");
    if (n % 2 != 0)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "pad: %d pads; each axis has two", n) != NULL;
    if (n > 2 * reel_ndim(reel_args_input(args, 0)))
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "pad: %d pads for an operand of %d axes", n,
                         reel_ndim(reel_args_input(args, 0))) != NULL;
    if (opts.mode != REEL_PAD_CONSTANT && opts.value != 0)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "pad: only a constant border has a value") != NULL;
    return reel_args_return(args, reel_pad(reel_args_input(args, 0), &opts));
}
const reel_function reel_fn_pad = {
    .name = "pad",
    .inputs = "input",
    .attrs = "pad:ints mode:string=constant value:float=none",
    .call = call_pad,
    .formula = "a border around the last axes: constant, reflect, replicate or circular; negative pads crop",
    .shapes = "input: [..., n] -> [..., n + before + after]; pad: before and after the last axis, then the one before "
              "it, ...",
    .errors = "an odd number of pads, or pads for more axes than input has; crops that leave less than 0, or, but for "
              "constant, nothing; reflect by the axis' size or more; circular by more than the axis; a value with "
              "another mode than constant; an empty axis that is to be continued",
    .orders = -1
};
