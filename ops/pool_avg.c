// SPDX-License-Identifier: MIT
// Average pooling, regular and adaptive, its adjoint, and power-mean pooling made of it.
#include <math.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/pool.h>
#include <reel/ops/pool_geometry.h>
#include <string.h>

const reel_op reel_op_avg_pool_adjoint;

typedef struct work {
    const reel_pool_kernels *kernels;
    const reel_buffer *x, *y; // the windows' side is y
    int64_t planes, chunk, x_plane, y_plane, row;
    bool adjoint;
    char *rows; // one row of x for each worker
    reel_pool_plane plane;
} work;

static void task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    int64_t first = chunk * w->chunk, planes = w->planes - first < w->chunk ? w->planes - first : w->chunk;
    int64_t x = first * w->x_plane, y = first * w->y_plane;
    if (w->x->dtype == REEL_F32) {
        float *row = (float *)w->rows + worker * w->row;
        if (w->adjoint)
            w->kernels->avg_adjoint_f32(&w->plane, planes, (const float *)w->y->data + y, (float *)w->x->data + x, row);
        else
            w->kernels->avg_f32(&w->plane, planes, (const float *)w->x->data + x, (float *)w->y->data + y, row);
    } else {
        double *row = (double *)w->rows + worker * w->row;
        if (w->adjoint)
            w->kernels->avg_adjoint_f64(&w->plane, planes, (const double *)w->y->data + y, (double *)w->x->data + x,
                                        row);
        else
            w->kernels->avg_f64(&w->plane, planes, (const double *)w->x->data + x, (double *)w->y->data + y, row);
    }
}

static bool run(const reel_play *play, const reel_buffer *x, const reel_buffer *y, bool adjoint)
{
    const reel_pool_attrs *a = play->attrs;
    int64_t in[3], out[3];
    reel_pool_sizes(x->shape, x->ndim, a->axes, in);
    reel_pool_sizes(y->shape, y->ndim, a->axes, out);
    work w = { .kernels = reel_pool_kernels_for(reel_large_isa(play->exec->isa, x->dtype)), .x = x, .y = y, .adjoint = adjoint };
    w.planes = reel_pool_planes(x, a->axes);
    w.x_plane = in[0] * in[1] * in[2];
    w.y_plane = out[0] * out[1] * out[2];
    w.chunk = reel_pool_chunk(w.x_plane, w.y_plane);
    w.row = (in[2] + 15) / 16 * 16;
    if (!reel_pool_plane_of(play, in, out, true, &w.plane)) return false;
    size_t row = reel_bytes((size_t)w.row, reel_dtype_size(x->dtype));
    w.rows = reel_scratch(play->exec, reel_bytes(row, (size_t)play->exec->threads));
    if (!w.rows) return reel_play_out_of_memory(play);
    reel_parallel(play->exec, (w.planes + w.chunk - 1) / w.chunk, task, &w);
    return true;
}

static bool avg_infer(reel_infer *infer)
{
    reel_shape out;
    return reel_pool_infer(infer, &out) && reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), out);
}

static bool avg_play(const reel_play *play) { return run(play, &play->in[0], &play->out[0], false); }

static bool avg_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_pool_attrs a = *(const reel_pool_attrs *)vjp->attrs;
    reel_shape x = reel_vjp_input_shape(vjp, 0);
    reel_pool_sizes(x.dim, x.ndim, a.axes, a.size);
    vjp->grad[0] = reel_apply(&reel_op_avg_pool_adjoint, &vjp->cot[0], 1, &a, NULL);
    return vjp->grad[0] != NULL;
}

#define AVG_OP(op_name)                                                                                                \
    const reel_op reel_op_##op_name = {                                                                                \
        .name = #op_name, .infer = avg_infer, .play = avg_play, .vjp = avg_vjp, .flags = REEL_OP_CHEAP,                \
        .attrs_size = sizeof(reel_pool_attrs)                                                                          \
    };
AVG_OP(avg_pool1d)
AVG_OP(avg_pool2d)
AVG_OP(avg_pool3d)
AVG_OP(adaptive_avg_pool1d)
AVG_OP(adaptive_avg_pool2d)
AVG_OP(adaptive_avg_pool3d)
AVG_OP(lp_pool1d) // the sums of a power-mean pool, under its name for its errors
AVG_OP(lp_pool2d)
#undef AVG_OP

static const reel_op *avg_op(int axes, bool adaptive)
{
    static const reel_op *const ops[2][3] = {
        { &reel_op_avg_pool1d, &reel_op_avg_pool2d, &reel_op_avg_pool3d },
        { &reel_op_adaptive_avg_pool1d, &reel_op_adaptive_avg_pool2d, &reel_op_adaptive_avg_pool3d },
    };
    return ops[adaptive][axes - 1];
}

static bool adjoint_infer(reel_infer *infer)
{
    const reel_pool_attrs *a = infer->attrs;
    if (!infer->in[0]) return false;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]),
                          reel_pool_shape(reel_shape_of(infer->in[0]), a->axes, a->size));
}

static bool adjoint_play(const reel_play *play) { return run(play, &play->out[0], &play->in[0], true); }

static bool adjoint_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_pool_attrs a = *(const reel_pool_attrs *)vjp->attrs;
    reel_shape y = reel_vjp_input_shape(vjp, 0);
    memset(a.size, 0, sizeof a.size);
    if (a.adaptive) reel_pool_sizes(y.dim, y.ndim, a.axes, a.size);
    vjp->grad[0] = reel_apply(avg_op(a.axes, a.adaptive), &vjp->cot[0], 1, &a, NULL);
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_avg_pool_adjoint = { .name = "avg_pool_adjoint",
                                           .infer = adjoint_infer,
                                           .play = adjoint_play,
                                           .vjp = adjoint_vjp,
                                           .attrs_size = sizeof(reel_pool_attrs) };

// ---- functions ----

static reel_tensor *avg_regular(reel_tensor *x, int axes, const reel_pool_opts *opts)
{
    reel_pool_attrs a = reel_pool_attrs_of(axes, opts);
    for (int i = 0; i < 3; i++) a.dilation[i] = 1;
    a.exclude_pad = opts && opts->exclude_pad;
    a.divisor = opts && axes > 1 ? opts->divisor : 0;
    return reel_apply(avg_op(axes, false), &x, 1, &a, NULL);
}

static reel_tensor *avg_adaptive(reel_tensor *x, int axes, reel_shape size)
{
    reel_pool_attrs a;
    if (!x || !reel_pool_attrs_adaptive(x, avg_op(axes, true)->name, axes, size, &a)) return NULL;
    return reel_apply(avg_op(axes, true), &x, 1, &a, NULL);
}

// With an infinite power the largest or smallest |x| of each window.
static reel_tensor *extreme_pool(reel_tensor *x, int axes, double p, const reel_pool_opts *opts)
{
    reel_pool_opts o = opts ? *opts : (reel_pool_opts) { .ceil_mode = false };
    for (int i = 0; i < 3; i++) o.padding[i] = o.dilation[i] = 0;
    reel_tensor *y = reel_abs(x);
    if (p < 0) y = reel_neg(y);
    y = axes == 1 ? reel_max_pool1d(y, &o) : reel_max_pool2d(y, &o);
    return p < 0 ? reel_neg(y) : y;
}

// A sum of odd powers may be negative: sign(s) relu(|s|), as PyTorch has it, whose derivative is 0 at 0. A window that
// ceil_mode lets hang over the end counts as if its cells outside had the mean of those inside, which is PyTorch's,
// too.
static reel_tensor *lp_pool(reel_tensor *x, int axes, double p, const reel_pool_opts *opts)
{
    if (!x) return NULL;
    const reel_op *op = axes == 1 ? &reel_op_lp_pool1d : &reel_op_lp_pool2d;
    if (p == 0) return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "%s: norm_type must not be 0", op->name);
    reel_pool_attrs a = reel_pool_attrs_of(axes, opts);
    for (int i = 0; i < 3; i++) a.dilation[i] = 1, a.padding[i] = 0;
    a.divisor = a.ceil_mode ? 0 : 1;
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        if (isinf(p)) return reel_scope_return(extreme_pool(x, axes, p, opts));
        reel_tensor *power = reel_pow_scalar(x, p);
        reel_tensor *sum = reel_apply(op, &power, 1, &a, NULL);
        if (a.ceil_mode) sum = reel_mul_scalar(sum, (double)a.kernel[1] * (double)a.kernel[2]);
        y = reel_scope_return(reel_pow_scalar(reel_mul(reel_sign(sum), reel_relu(reel_abs(sum))), 1 / p));
    }
    return y;
}

#define AVG_FUNCTIONS(axes)                                                                                            \
    reel_tensor *reel_avg_pool##axes##d(reel_tensor *x, const reel_pool_opts *opts)                                    \
    {                                                                                                                  \
        return avg_regular(x, axes, opts);                                                                             \
    }                                                                                                                  \
    reel_tensor *reel_adaptive_avg_pool##axes##d(reel_tensor *x, reel_shape size)                                      \
    {                                                                                                                  \
        return avg_adaptive(x, axes, size);                                                                            \
    }
AVG_FUNCTIONS(1)
AVG_FUNCTIONS(2)
AVG_FUNCTIONS(3)
#undef AVG_FUNCTIONS

reel_tensor *reel_lp_pool1d(reel_tensor *x, double norm_type, const reel_pool_opts *opts)
{
    return lp_pool(x, 1, norm_type, opts);
}

reel_tensor *reel_lp_pool2d(reel_tensor *x, double norm_type, const reel_pool_opts *opts)
{
    return lp_pool(x, 2, norm_type, opts);
}

// ---- table rows ----

static bool call_avg(reel_call_args *args, int axes)
{
    reel_pool_opts opts;
    const char *op = avg_op(axes, false)->name;
    if (!reel_pool_args(args, op, axes, true, false, &opts)) return false;
    opts.exclude_pad = !reel_args_bool(args, "count_include_pad");
    if (axes > 1 && reel_args_has(args, "divisor_override")) {
        opts.divisor = reel_args_int(args, "divisor_override");
        if (!opts.divisor)
            return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: divisor_override must not be 0", op);
    }
    return reel_args_return(args, avg_regular(reel_args_input(args, 0), axes, &opts));
}

static bool call_adaptive(reel_call_args *args, int axes)
{
    reel_shape size;
    if (!reel_pool_args_size(args, avg_op(axes, true)->name, axes, &size)) return false;
    return reel_args_return(args, avg_adaptive(reel_args_input(args, 0), axes, size));
}

static bool call_lp(reel_call_args *args, int axes)
{
    reel_pool_opts opts;
    if (!reel_pool_args(args, axes == 1 ? "lp_pool1d" : "lp_pool2d", axes, false, false, &opts)) return false;
    return reel_args_return(args, lp_pool(reel_args_input(args, 0), axes, reel_args_float(args, "norm_type"), &opts));
}

#define AVG_ERRORS                                                                                                     \
    "kernel_size or stride below 1; padding below 0 or over half of the kernel; a kernel that does not fit into the "  \
    "padded input; an empty axis behind the batch; another rank; an input that is not float32 or float64"
#define ADAPTIVE_ERRORS                                                                                                \
    "a negative output_size; an empty axis behind the batch; another rank; an input that is not float32 or float64"
#define AVG_ROWS(axes_, divisor_, refused_, shapes_, adaptive_shapes_)                                                 \
    static bool call_avg##axes_(reel_call_args *args) { return call_avg(args, axes_); }                                \
    const reel_function reel_fn_avg_pool##axes_##d = {                                                                 \
        .name = "avg_pool" #axes_ "d",                                                                                 \
        .inputs = "input",                                                                                             \
        .attrs = "kernel_size:ints stride:ints=none padding:ints=0 ceil_mode:bool=false "                              \
                 "count_include_pad:bool=true" divisor_,                                                               \
        .call = call_avg##axes_,                                                                                       \
        .formula = "y[o] = sum over k of x[o * stride - padding + k] / divisor",                                       \
        .shapes = shapes_,                                                                                             \
        .errors = refused_ AVG_ERRORS,                                                                                 \
        .orders = -1,                                                                                                  \
    };                                                                                                                 \
    static bool call_adaptive##axes_(reel_call_args *args) { return call_adaptive(args, axes_); }                      \
    const reel_function reel_fn_adaptive_avg_pool##axes_##d = {                                                        \
        .name = "adaptive_avg_pool" #axes_ "d",                                                                        \
        .inputs = "input",                                                                                             \
        .attrs = "output_size:ints?",                                                                                  \
        .call = call_adaptive##axes_,                                                                                  \
        .formula = "y[o] = mean of x[floor(o * in / out) .. ceil((o + 1) * in / out))",                                \
        .shapes = adaptive_shapes_,                                                                                    \
        .errors = ADAPTIVE_ERRORS,                                                                                     \
        .orders = -1,                                                                                                  \
    };
AVG_ROWS(1, "", "", "input: [N, C, L] or [C, L] -> [N, C, oL]", "input: [N, C, L] or [C, L] -> [N, C, output_size]")
AVG_ROWS(2, " divisor_override:int=none", "divisor_override 0; ", "input: [N, C, H, W] or [C, H, W] -> [N, C, oH, oW]",
         "input: [N, C, H, W] or [C, H, W] -> [N, C, output_size]")
AVG_ROWS(3, " divisor_override:int=none", "divisor_override 0; ",
         "input: [N, C, D, H, W] or [C, D, H, W] -> [N, C, oD, oH, oW]",
         "input: [N, C, D, H, W] or [C, D, H, W] -> [N, C, output_size]")
#undef AVG_ROWS
#undef AVG_ERRORS
#undef ADAPTIVE_ERRORS

#define LP_ROW(axes_, shapes_)                                                                                         \
    static bool call_lp##axes_(reel_call_args *args) { return call_lp(args, axes_); }                                  \
    const reel_function reel_fn_lp_pool##axes_##d = {                                                                  \
        .name = "lp_pool" #axes_ "d",                                                                                  \
        .inputs = "input",                                                                                             \
        .attrs = "norm_type:float kernel_size:ints stride:ints=none ceil_mode:bool=false",                             \
        .call = call_lp##axes_,                                                                                        \
        .formula = "y = (sum over the window of x^norm_type)^(1 / norm_type)",                                         \
        .shapes = shapes_,                                                                                             \
        .errors = "norm_type 0; kernel_size or stride below 1; a kernel that does not fit into the input; an empty "   \
                  "axis behind the batch; another rank; an input that is not float32 or float64",                      \
        .orders = -1,                                                                                                  \
    };
LP_ROW(1, "input: [N, C, L] or [C, L] -> [N, C, oL]")
LP_ROW(2, "input: [N, C, H, W] or [C, H, W] -> [N, C, oH, oW]")
#undef LP_ROW
