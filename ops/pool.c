// SPDX-License-Identifier: MIT
// Max pooling. Where the maxima stand is kept as taps, places within the window: mostly one byte an output.
#include <reel/core/autograd.h>
#include <reel/ops/pointwise_impl.h>
#include <reel/ops/pool_geometry.h>
#include <reel/ops/turned.h>
#include <string.h>

// The work of one play: planes between x and y, cut into chunks.
typedef struct work {
    const reel_pool_kernels *kernels;
    const reel_buffer *x, *y, *taps;
    int64_t planes, chunk, x_plane, y_plane;
    int64_t panel; // images of a panel of turned operands, else 0
    reel_pool_plane plane;
    reel_tile_fn *relu; // of the results, or NULL
} work;

static bool work_begin(const reel_play *play, const reel_buffer *x, const reel_buffer *y, const reel_buffer *taps,
                       work *w)
{
    const reel_pool_attrs *a = play->attrs;
    int64_t in[3], out[3];
    reel_pool_sizes(x->shape, x->ndim, a->axes, in);
    reel_pool_sizes(y->shape, y->ndim, a->axes, out);
    *w = (work) { .kernels = reel_pool_kernels_for(reel_large_isa(play->exec->isa, x->dtype)), .x = x, .y = y, .taps = taps };
    w->planes = reel_pool_planes(x, a->axes);
    w->x_plane = in[0] * in[1] * in[2];
    w->y_plane = out[0] * out[1] * out[2];
    w->chunk = reel_pool_chunk(w->x_plane, w->y_plane);
    return reel_pool_plane_of(play, in, out, false, &w->plane);
}

static void work_run(const reel_play *play, reel_task *task, work *w)
{
    reel_parallel(play->exec, (w->planes + w->chunk - 1) / w->chunk, task, w);
}

// The planes of one chunk.
typedef struct piece {
    int64_t planes;
    char *x, *y, *taps;
} piece;

static piece piece_of(const work *w, int64_t chunk)
{
    int64_t first = chunk * w->chunk, left = w->planes - first;
    size_t size = reel_dtype_size(w->x->dtype);
    piece p = { .planes = left < w->chunk ? left : w->chunk };
    p.x = (char *)w->x->data + (size_t)(first * w->x_plane) * size;
    p.y = (char *)w->y->data + (size_t)(first * w->y_plane) * reel_dtype_size(w->y->dtype);
    if (w->taps && w->taps->data)
        p.taps = (char *)w->taps->data + (size_t)(first * w->y_plane) * reel_dtype_size(w->taps->dtype);
    return p;
}

// ---- the primitives: max_pool, and gather and scatter at its taps, adjoint to each other ----

static const reel_op *max_op(int axes, bool adaptive);
const reel_op reel_op_max_pool_gather, reel_op_max_pool_scatter, reel_op_max_pool_indices;

static bool wide_taps(const reel_pool_attrs *a, reel_shape x)
{
    int64_t window = 1, size[3];
    reel_pool_sizes(x.dim, x.ndim, a->axes, size);
    // An adaptive window has at most ceil(in / out) + 1 cells; whatever is decided here, play decides alike.
    for (int k = 0; k < 3 && window <= 256; k++) window *= a->adaptive ? size[k] : a->kernel[k];
    return window > 256;
}

static bool max_infer(reel_infer *infer)
{
    const reel_pool_attrs *a = infer->attrs;
    reel_shape out;
    if (!reel_pool_infer(infer, &out)) return false;
    reel_shape x = reel_shape_of(infer->in[0]);
    infer->n_out = a->taps ? 2 : 1;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), out) &&
           (!a->taps || reel_infer_out(infer, 1, wide_taps(a, x) ? REEL_I32 : REEL_U8, out));
}

static void max_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    (void)worker;
    if (w->x->dtype == REEL_F32)
        w->kernels->max_f32(&w->plane, p.planes, (const float *)p.x, (float *)p.y, p.taps);
    else
        w->kernels->max_f64(&w->plane, p.planes, (const double *)p.x, (double *)p.y, p.taps);
    int size = (int)reel_dtype_size(w->y->dtype);
    if (w->relu)
        reel_pointwise_run(w->relu, p.planes * w->y_plane, p.y, (const void *const[]) { p.y }, 1,
                           (const int[]) { size, size }, NULL);
}

static bool max_play(const reel_play *play)
{
    work w;
    const reel_buffer *taps = play->n_out > 1 ? &play->out[1] : NULL;
    if (!work_begin(play, &play->in[0], &play->out[0], taps, &w)) return false;
    w.plane.wide = taps && taps->dtype == REEL_I32;
    if (play->relu) w.relu = reel_pointwise_tile(play->exec->isa, REEL_PW_RELU, play->out[0].dtype);
    work_run(play, max_task, &w);
    return true;
}

static bool max_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_pool_attrs a = *(const reel_pool_attrs *)vjp->attrs;
    reel_tensor *taps = NULL;
    if (vjp->n_out > 1) {
        taps = reel_vjp_output(vjp, 1);
    } else { // recorded where no gradient was expected
        reel_tensor *x = reel_vjp_input(vjp, 0), *outputs[2] = { NULL, NULL };
        a.taps = true;
        reel_apply(max_op(a.axes, a.adaptive), &x, 1, &a, outputs);
        taps = outputs[1];
    }
    a.taps = false;
    reel_shape x = reel_vjp_input_shape(vjp, 0);
    reel_pool_sizes(x.dim, x.ndim, a.axes, a.size);
    vjp->grad[0] = reel_apply(&reel_op_max_pool_scatter, (reel_tensor *[]) { vjp->cot[0], taps }, 2, &a, NULL);
    return vjp->grad[0] != NULL;
}

static bool taps_fit(const reel_infer *infer, reel_tensor *y, reel_tensor *taps)
{
    if (!y || !taps) return false;
    reel_dtype dtype = reel_dtype_of(taps);
    if (dtype != REEL_U8 && dtype != REEL_I32)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "taps must be uint8 or int32");
    if (!reel_shape_equal(reel_shape_of(y), reel_shape_of(taps)))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "values and taps must have one shape");
    return true;
}

static bool scatter_infer(reel_infer *infer)
{
    const reel_pool_attrs *a = infer->attrs;
    reel_tensor *y = infer->in[0];
    return taps_fit(infer, y, infer->in[1]) &&
           reel_infer_out(infer, 0, reel_dtype_of(y), reel_pool_shape(reel_shape_of(y), a->axes, a->size));
}

static void scatter_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    (void)worker;
    if (w->panel && w->x->dtype == REEL_F32)
        w->kernels->scatter_turned_f32(&w->plane, p.planes, w->panel, (const float *)p.y, (const uint8_t *)p.taps,
                                       (float *)p.x);
    else if (w->panel)
        w->kernels->scatter_turned_f64(&w->plane, p.planes, w->panel, (const double *)p.y, (const uint8_t *)p.taps,
                                       (double *)p.x);
    else if (w->x->dtype == REEL_F32)
        w->kernels->scatter_f32(&w->plane, p.planes, (const float *)p.y, p.taps, (float *)p.x);
    else
        w->kernels->scatter_f64(&w->plane, p.planes, (const double *)p.y, p.taps, (double *)p.x);
}

static bool scatter_play(const reel_play *play)
{
    work w;
    if (!work_begin(play, &play->out[0], &play->in[0], &play->in[1], &w)) return false;
    w.plane.wide = play->in[1].dtype == REEL_I32;
    if (w.x->turned) { // planes of points of a panel
        w.panel = reel_turned_panel(play->exec->isa, w.x->dtype, w.x->shape[0]);
        w.planes /= w.panel;
        w.x_plane *= w.panel;
        w.y_plane *= w.panel;
        w.chunk = 1;
    }
    work_run(play, scatter_task, &w);
    return true;
}

// Pairs, as a max pool folded into a convolution leaves them.
static uint32_t scatter_turns(const reel_op_turns *turns)
{
    const reel_pool_attrs *a = turns->attrs;
    reel_tensor *y = turns->tensors[0];
    int64_t in[3], out[3];
    reel_shape x = reel_shape_of(turns->tensors[2]), shape = reel_shape_of(y);
    reel_pool_sizes(x.dim, x.ndim, a->axes, in);
    reel_pool_sizes(shape.dim, shape.ndim, a->axes, out);
    bool can = a->axes == 2 && x.ndim == 4 && reel_dtype_of(turns->tensors[1]) == REEL_U8 &&
               reel_max_pool_is_pairs(max_op(2, false), a, in[1], in[2]) &&
               reel_turns_batch(turns->exec->isa, reel_dtype_of(y), x.dim[0]);
    return can ? 7 | REEL_TURNS_TOGETHER : 0;
}

static bool scatter_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    vjp->grad[0] = reel_apply(&reel_op_max_pool_gather, (reel_tensor *[]) { vjp->cot[0], reel_vjp_input(vjp, 1) }, 2,
                              vjp->attrs, NULL);
    return vjp->grad[0] != NULL;
}

static bool gather_infer(reel_infer *infer)
{
    if (!infer->in[0] || !infer->in[1]) return false;
    return taps_fit(infer, infer->in[1], infer->in[1]) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), reel_shape_of(infer->in[1]));
}

static void gather_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    (void)worker;
    if (w->x->dtype == REEL_F32)
        w->kernels->gather_f32(&w->plane, p.planes, (const float *)p.x, p.taps, (float *)p.y);
    else
        w->kernels->gather_f64(&w->plane, p.planes, (const double *)p.x, p.taps, (double *)p.y);
}

static bool gather_play(const reel_play *play)
{
    work w;
    if (!work_begin(play, &play->in[0], &play->out[0], &play->in[1], &w)) return false;
    w.plane.wide = play->in[1].dtype == REEL_I32;
    work_run(play, gather_task, &w);
    return true;
}

static bool gather_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    vjp->grad[0] = reel_apply(&reel_op_max_pool_scatter, (reel_tensor *[]) { vjp->cot[0], reel_vjp_input(vjp, 1) }, 2,
                              vjp->attrs, NULL);
    return vjp->grad[0] != NULL;
}

// int64 indices within the plane, out of taps; attrs.size is the plane's.
static bool indices_infer(reel_infer *infer)
{
    return taps_fit(infer, infer->in[0], infer->in[0]) &&
           reel_infer_out(infer, 0, REEL_I64, reel_shape_of(infer->in[0]));
}

static void indices_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    (void)worker;
    w->kernels->indices(&w->plane, p.planes, p.taps, (int64_t *)p.y);
}

static bool indices_play(const reel_play *play)
{
    const reel_pool_attrs *a = play->attrs;
    reel_shape shape = { .ndim = play->out[0].ndim };
    memcpy(shape.dim, play->out[0].shape, (size_t)shape.ndim * sizeof shape.dim[0]);
    shape = reel_pool_shape(shape, a->axes, a->size);
    reel_buffer x = play->out[0];
    x.shape = shape.dim;
    work w;
    if (!work_begin(play, &x, &play->out[0], &play->in[0], &w)) return false;
    w.plane.wide = play->in[0].dtype == REEL_I32;
    work_run(play, indices_task, &w);
    return true;
}

#define ATTRS .attrs_size = sizeof(reel_pool_attrs)
#define MAX_OP(op_name)                                                                                                \
    const reel_op reel_op_##op_name = {                                                                                \
        .name = #op_name, .infer = max_infer, .play = max_play, .vjp = max_vjp, .flags = REEL_OP_RELU, ATTRS           \
    };
MAX_OP(max_pool1d)
MAX_OP(max_pool2d)
MAX_OP(max_pool3d)
MAX_OP(adaptive_max_pool1d)
MAX_OP(adaptive_max_pool2d)
MAX_OP(adaptive_max_pool3d)
#undef MAX_OP

const reel_op reel_op_max_pool_gather = {
    .name = "max_pool_gather", .infer = gather_infer, .play = gather_play, .vjp = gather_vjp, ATTRS
};
const reel_op reel_op_max_pool_scatter = {
    .name = "max_pool_scatter", .infer = scatter_infer, .play = scatter_play, .vjp = scatter_vjp, .turns = scatter_turns, ATTRS
};
const reel_op reel_op_max_pool_indices = {
    .name = "max_pool_indices", .infer = indices_infer, .play = indices_play, ATTRS
};
#undef ATTRS

static const reel_op *max_op(int axes, bool adaptive)
{
    static const reel_op *const ops[2][3] = {
        { &reel_op_max_pool1d, &reel_op_max_pool2d, &reel_op_max_pool3d },
        { &reel_op_adaptive_max_pool1d, &reel_op_adaptive_max_pool2d, &reel_op_adaptive_max_pool3d },
    };
    return ops[adaptive][axes - 1];
}

bool reel_max_pool_is_pairs(const reel_op *op, const void *attrs, int64_t h, int64_t w)
{
    const reel_pool_attrs *a = attrs;
    if (op != &reel_op_max_pool2d || h < 2 || w < 2 || (a->ceil_mode && (h | w) & 1)) return false;
    for (int i = 1; i < 3; i++)
        if (a->kernel[i] != 2 || a->stride[i] != 2 || a->padding[i] != 0 || a->dilation[i] != 1) return false;
    return true;
}

// ---- functions ----

// With `indices` NULL the taps are kept only where a gradient may be asked for.
static reel_tensor *max_pool(reel_tensor *x, reel_pool_attrs *a, reel_tensor **indices)
{
    const reel_op *op = max_op(a->axes, a->adaptive);
    if (indices) *indices = NULL;
    a->taps = indices || (reel_grad_enabled(reel_ctx_of(x)) && reel_requires_grad(x));
    if (!indices) return reel_apply(op, &x, 1, a, NULL);
    reel_tensor *outputs[2] = { NULL, NULL };
    if (!reel_apply(op, &x, 1, a, outputs)) return NULL;
    a->taps = false;
    reel_shape shape = reel_shape_of(x);
    reel_pool_sizes(shape.dim, shape.ndim, a->axes, a->size);
    *indices = reel_apply(&reel_op_max_pool_indices, &outputs[1], 1, a, NULL);
    reel_free(outputs[1]);
    return *indices ? outputs[0] : NULL;
}

static reel_tensor *max_regular(reel_tensor *x, int axes, const reel_pool_opts *opts, reel_tensor **indices)
{
    reel_pool_attrs a = reel_pool_attrs_of(axes, opts);
    return max_pool(x, &a, indices);
}

static reel_tensor *max_adaptive(reel_tensor *x, int axes, reel_shape size, reel_tensor **indices)
{
    reel_pool_attrs a;
    if (indices) *indices = NULL;
    return x && reel_pool_attrs_adaptive(x, max_op(axes, true)->name, axes, size, &a) ? max_pool(x, &a, indices) : NULL;
}

#define MAX_FUNCTIONS(axes)                                                                                            \
    reel_tensor *reel_max_pool##axes##d(reel_tensor *x, const reel_pool_opts *opts)                                    \
    {                                                                                                                  \
        return max_regular(x, axes, opts, NULL);                                                                       \
    }                                                                                                                  \
    reel_tensor *reel_max_pool##axes##d_with_indices(reel_tensor *x, const reel_pool_opts *opts,                       \
                                                     reel_tensor **indices)                                            \
    {                                                                                                                  \
        return max_regular(x, axes, opts, indices);                                                                    \
    }                                                                                                                  \
    reel_tensor *reel_adaptive_max_pool##axes##d(reel_tensor *x, reel_shape size)                                      \
    {                                                                                                                  \
        return max_adaptive(x, axes, size, NULL);                                                                      \
    }                                                                                                                  \
    reel_tensor *reel_adaptive_max_pool##axes##d_with_indices(reel_tensor *x, reel_shape size, reel_tensor **indices)  \
    {                                                                                                                  \
        return max_adaptive(x, axes, size, indices);                                                                   \
    }
MAX_FUNCTIONS(1)
MAX_FUNCTIONS(2)
MAX_FUNCTIONS(3)
#undef MAX_FUNCTIONS

// ---- table rows ----

static bool call_outputs(reel_call_args *args, reel_tensor *y, reel_tensor *indices, bool both)
{
    return reel_args_return(args, y) && (!both || reel_args_return(args, indices));
}

static bool call_max(reel_call_args *args, int axes)
{
    reel_pool_opts opts;
    reel_tensor *indices = NULL;
    if (!reel_pool_args(args, max_op(axes, false)->name, axes, true, true, &opts)) return false;
    bool both = reel_args_bool(args, "return_indices");
    reel_tensor *y = max_regular(reel_args_input(args, 0), axes, &opts, both ? &indices : NULL);
    return call_outputs(args, y, indices, both);
}

static bool call_adaptive(reel_call_args *args, int axes)
{
    reel_shape size;
    reel_tensor *indices = NULL;
    if (!reel_pool_args_size(args, max_op(axes, true)->name, axes, &size)) return false;
    bool both = reel_args_bool(args, "return_indices");
    reel_tensor *y = max_adaptive(reel_args_input(args, 0), axes, size, both ? &indices : NULL);
    return call_outputs(args, y, indices, both);
}

#define MAX_ERRORS                                                                                                     \
    "kernel_size, stride or dilation below 1; padding below 0 or over half of the kernel; a kernel that does not fit " \
    "into the padded input; an empty axis behind the batch; another rank; an input that is not float32 or float64; a " \
    "dilated window with no cell inside of the input"
#define ADAPTIVE_ERRORS                                                                                                \
    "a negative output_size; an empty axis behind the batch; another rank; an input that is not float32 or float64"
#define MAX_ROWS(axes_, shapes_, adaptive_shapes_)                                                                     \
    static bool call_max##axes_(reel_call_args *args) { return call_max(args, axes_); }                                \
    const reel_function reel_fn_max_pool##axes_##d = {                                                                 \
        .name = "max_pool" #axes_ "d",                                                                                 \
        .inputs = "input",                                                                                             \
        .attrs = "kernel_size:ints stride:ints=none padding:ints=0 dilation:ints=1 ceil_mode:bool=false "              \
                 "return_indices:bool=false",                                                                          \
        .call = call_max##axes_,                                                                                       \
        .formula = "y[o] = max over k of x[o * stride - padding + k * dilation]",                                      \
        .shapes = shapes_,                                                                                             \
        .errors = MAX_ERRORS,                                                                                          \
        .orders = -1,                                                                                                  \
    };                                                                                                                 \
    static bool call_adaptive##axes_(reel_call_args *args) { return call_adaptive(args, axes_); }                      \
    const reel_function reel_fn_adaptive_max_pool##axes_##d = {                                                        \
        .name = "adaptive_max_pool" #axes_ "d",                                                                        \
        .inputs = "input",                                                                                             \
        .attrs = "output_size:ints? return_indices:bool=false",                                                        \
        .call = call_adaptive##axes_,                                                                                  \
        .formula = "y[o] = max of x[floor(o * in / out) .. ceil((o + 1) * in / out))",                                 \
        .shapes = adaptive_shapes_,                                                                                    \
        .errors = ADAPTIVE_ERRORS,                                                                                     \
        .orders = -1,                                                                                                  \
    };
MAX_ROWS(1, "input: [N, C, L] or [C, L] -> [N, C, oL]", "input: [N, C, L] or [C, L] -> [N, C, output_size]")
MAX_ROWS(2, "input: [N, C, H, W] or [C, H, W] -> [N, C, oH, oW]",
         "input: [N, C, H, W] or [C, H, W] -> [N, C, output_size]")
MAX_ROWS(3, "input: [N, C, D, H, W] or [C, D, H, W] -> [N, C, oD, oH, oW]",
         "input: [N, C, D, H, W] or [C, D, H, W] -> [N, C, output_size]")
#undef MAX_ROWS
#undef MAX_ERRORS
#undef ADAPTIVE_ERRORS
