// SPDX-License-Identifier: MIT
// Max unpooling: values put back at the indices max pooling gave.
#include <reel/ops/index.h>
#include <reel/core/operands.h>
#include <reel/ops/pool_geometry.h>
#include <reel/ops/shape.h>
#include <string.h>

typedef struct unpool_attrs {
    int64_t size[3]; /* of the output, by axis */
    int32_t axes, zero;
} unpool_attrs;

static bool unpool_infer(reel_infer *infer)
{
    const unpool_attrs *a = infer->attrs;
    reel_tensor *x = infer->in[0], *indices = infer->in[1];
    if (!x || !indices) return false;
    if (!reel_dtype_is_float(reel_dtype_of(x)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the input must be float32 or float64");
    if (reel_dtype_of(indices) != REEL_I64)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the indices must be int64");
    reel_shape shape = reel_shape_of(x);
    if (shape.ndim != a->axes + 1 && shape.ndim != a->axes + 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input must have %d or %d axes, but has %d", a->axes + 1,
                               a->axes + 2, shape.ndim);
    if (!reel_shape_equal(shape, reel_shape_of(indices)))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input and indices must have one shape");
    for (int i = shape.ndim - a->axes - 1; i < shape.ndim; i++)
        if (shape.dim[i] < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "only the batch may be empty, but axis %d has size %lld", i,
                                   (long long)shape.dim[i]);
    for (int i = 0; i < a->axes; i++) {
        shape.dim[shape.ndim - a->axes + i] = a->size[i];
        if (a->size[i] < 1)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "the output's axis %d would have size %lld", i,
                                   (long long)a->size[i]);
    }
    return reel_infer_out(infer, 0, reel_dtype_of(x), shape);
}

typedef struct work {
    const reel_play *play;
    int64_t planes, chunk, x_plane, y_plane;
    int64_t *bad; /* for each chunk, the place of its first index out of range, or -1 */
} work;

static void unpool_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    const int64_t *index = w->play->in[1].data;
    int64_t end = (chunk + 1) * w->chunk < w->planes ? (chunk + 1) * w->chunk : w->planes;
    size_t size = reel_dtype_size(w->play->in[0].dtype);
    (void)worker;
    w->bad[chunk] = -1;
    for (int64_t p = chunk * w->chunk; p < end; p++) {
        char *y = (char *)w->play->out[0].data + (size_t)(p * w->y_plane) * size;
        memset(y, 0, (size_t)w->y_plane * size);
        for (int64_t i = p * w->x_plane; i < (p + 1) * w->x_plane; i++) {
            if (index[i] < 0 || index[i] >= w->y_plane) {
                if (w->bad[chunk] < 0) w->bad[chunk] = i;
            } else if (size == sizeof(float)) {
                ((float *)y)[index[i]] = ((const float *)w->play->in[0].data)[i];
            } else {
                ((double *)y)[index[i]] = ((const double *)w->play->in[0].data)[i];
            }
        }
    }
}

static bool unpool_play(const reel_play *play)
{
    const unpool_attrs *a = play->attrs;
    work w = { .play = play, .planes = reel_pool_planes(&play->in[0], a->axes) };
    if (w.planes == 0) return true;
    w.x_plane = play->in[0].numel / w.planes;
    w.y_plane = play->out[0].numel / w.planes;
    w.chunk = reel_pool_chunk(w.x_plane, w.y_plane);
    int64_t chunks = (w.planes + w.chunk - 1) / w.chunk;
    w.bad = reel_scratch(play->exec, reel_bytes((size_t)chunks, sizeof *w.bad));
    if (!w.bad) return reel_play_out_of_memory(play);
    reel_parallel(play->exec, chunks, unpool_task, &w);
    for (int64_t c = 0; c < chunks; c++)
        if (w.bad[c] >= 0)
            return reel_play_fail(
                play, REEL_ERROR_VALUE, "index %lld (element %lld) is outside of a plane of %lld cells",
                (long long)((const int64_t *)play->in[1].data)[w.bad[c]], (long long)w.bad[c], (long long)w.y_plane);
    return true;
}

// The cotangent at the indices.
static bool unpool_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    const unpool_attrs *a = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0), planes = shape;
    planes.ndim -= a->axes - 1;
    planes.dim[planes.ndim - 1] = -1;
    if (reel_shape_numel(shape) == 0) return true;
    int last = planes.ndim - 1;
    reel_tensor *flat = reel_reshape(vjp->cot[0], planes), *index = reel_reshape(reel_vjp_input(vjp, 1), planes);
    vjp->grad[0] = reel_reshape(reel_gather(flat, index, last), shape);
    return vjp->grad[0] != NULL;
}

#define UNPOOL_OP(op_name)                                                                                             \
    const reel_op reel_op_##op_name = { .name = #op_name,                                                              \
                                        .infer = unpool_infer,                                                         \
                                        .play = unpool_play,                                                           \
                                        .vjp = unpool_vjp,                                                             \
                                        .attrs_size = sizeof(unpool_attrs) };
UNPOOL_OP(max_unpool1d)
UNPOOL_OP(max_unpool2d)
UNPOOL_OP(max_unpool3d)
#undef UNPOOL_OP

static const reel_op *const unpool_ops[3] = { &reel_op_max_unpool1d, &reel_op_max_unpool2d, &reel_op_max_unpool3d };

// The size of one axis of the output: the default, or the wanted one when it is within a stride of that.
static bool unpool_size(reel_ctx *ctx, const char *op, int axis, int64_t in, const int64_t window[3], int64_t wanted,
                        int64_t *size)
{
    int64_t kernel = window[0], stride = window[1] ? window[1] : kernel, padding = window[2];
    if (kernel < 1 || stride < 1 || padding < 0 || kernel > INT32_MAX || stride > INT32_MAX || padding > INT32_MAX) {
        reel_fail(ctx, REEL_ERROR_VALUE,
                  "%s: axis %d needs a kernel and a stride from 1 and a padding from 0, all below 2^31, but has %lld, "
                  "%lld and %lld",
                  op, axis, (long long)kernel, (long long)stride, (long long)padding);
        return false;
    }
    int64_t regular;
    if (__builtin_mul_overflow(in - 1, stride, &regular) || __builtin_add_overflow(regular, kernel, &regular)) {
        reel_fail(ctx, REEL_ERROR_VALUE, "%s: the output's axis %d leaves 64 bits", op, axis);
        return false;
    }
    regular -= 2 * padding;
    *size = wanted == INT64_MIN ? regular : wanted;
    if (*size > regular - stride && *size < regular + stride) return true;
    reel_fail(ctx, REEL_ERROR_VALUE, "%s: output size %lld of axis %d must lie between %lld and %lld", op,
              (long long)*size, axis, (long long)(regular - stride + 1), (long long)(regular + stride - 1));
    return false;
}

static reel_tensor *max_unpool(reel_tensor *x, reel_tensor *indices, int axes, const reel_unpool_opts *opts)
{
    static const reel_unpool_opts none = { .kernel = { 0 } };
    const reel_op *op = unpool_ops[axes - 1];
    if (!REEL_OPERANDS(op->name, x, indices)) return NULL;
    if (!opts) opts = &none;
    unpool_attrs a;
    memset(&a, 0, sizeof a);
    a.axes = axes;
    int given = opts->size.ndim, ndim = reel_ndim(x);
    if (given != 0 && given != axes && given != ndim)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE,
                         "%s: the output's size must have %d or %d entries, but has %d", op->name, axes, ndim, given);
    for (int i = 0; i < axes; i++) {
        int64_t window[3] = { opts->kernel[i], opts->stride[i], opts->padding[i] };
        int64_t wanted = given ? opts->size.dim[given - axes + i] : INT64_MIN;
        if (!unpool_size(reel_ctx_of(x), op->name, i, reel_size(x, i - axes), window, wanted, &a.size[i])) return NULL;
    }
    return reel_apply(op, (reel_tensor *[]) { x, indices }, 2, &a, NULL);
}

static bool call_unpool(reel_call_args *args, int axes)
{
    const char *op = unpool_ops[axes - 1]->name;
    reel_unpool_opts opts = { .kernel = { 0 } };
    if (!reel_pool_args_ints(args, op, "kernel_size", axes, 1, opts.kernel) ||
        !reel_pool_args_ints(args, op, "stride", axes, 1, opts.stride) ||
        !reel_pool_args_ints(args, op, "padding", axes, 0, opts.padding))
        return false;
    opts.size.ndim = reel_args_ints(args, "output_size", opts.size.dim, REEL_MAX_DIMS);
    if (opts.size.ndim < 0) return false;
    return reel_args_return(args, max_unpool(reel_args_input(args, 0), reel_args_input(args, 1), axes, &opts));
}

#define UNPOOL(axes_, shapes_)                                                                                         \
    reel_tensor *reel_max_unpool##axes_##d(reel_tensor *x, reel_tensor *indices, const reel_unpool_opts *opts)         \
    {                                                                                                                  \
        return max_unpool(x, indices, axes_, opts);                                                                    \
    }                                                                                                                  \
    static bool call_unpool##axes_(reel_call_args *args) { return call_unpool(args, axes_); }                          \
    const reel_function reel_fn_max_unpool##axes_##d = {                                                               \
        .name = "max_unpool" #axes_ "d",                                                                               \
        .inputs = "input indices",                                                                                     \
        .attrs = "kernel_size:ints stride:ints=none padding:ints=0 output_size:ints=none",                             \
        .call = call_unpool##axes_,                                                                                    \
        .formula = "y = 0; y[n, c, indices[n, c, o]] = input[n, c, o]",                                                \
        .shapes = shapes_,                                                                                             \
        .errors = "indices of another shape, not int64, or outside of the output; kernel_size or stride below 1, "     \
                  "padding below 0; an output_size a stride or more away from the default; an empty axis behind the "  \
                  "batch; an input that is not float32 or float64",                                                    \
        .orders = -1,                                                                                                  \
    };
UNPOOL(1, "input, indices: [N, C, L] or [C, L] -> [N, C, oL]")
UNPOOL(2, "input, indices: [N, C, H, W] or [C, H, W] -> [N, C, oH, oW]")
UNPOOL(3, "input, indices: [N, C, D, H, W] or [C, D, H, W] -> [N, C, oD, oH, oW]")
#undef UNPOOL
