// SPDX-License-Identifier: MIT
// unfold and fold, adjoint to each other, and pixel_shuffle, made of views.
#include <reel/core/op.h>
#include <reel/ops/fold.h>
#include <reel/ops/kernels/fold.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>
#include <string.h>

typedef struct fold_attrs {
    int64_t kernel[2], dilation[2], padding[2], stride[2];
    int64_t size[2]; // of the image, for fold
} fold_attrs;

const reel_op reel_op_unfold, reel_op_fold;

static fold_attrs attrs_of(const reel_fold_opts *opts)
{
    fold_attrs a;
    memset(&a, 0, sizeof a);
    for (int i = 0; i < 2; i++) {
        a.kernel[i] = opts ? opts->kernel[i] : 0;
        a.dilation[i] = opts && opts->dilation[i] ? opts->dilation[i] : 1;
        a.padding[i] = opts ? opts->padding[i] : 0;
        a.stride[i] = opts && opts->stride[i] ? opts->stride[i] : 1;
    }
    return a;
}

// The windows along both axes of an image of the sizes `in`, their number, and the cells of one window.
static bool infer_windows(const reel_infer *infer, const int64_t in[2], int64_t out[2], int64_t *windows,
                          int64_t *cells)
{
    const fold_attrs *a = infer->attrs;
    for (int i = 0; i < 2; i++) {
        const struct {
            const char *name;
            int64_t value, least;
        } limits[] = { { "kernel", a->kernel[i], 1 },
                       { "dilation", a->dilation[i], 1 },
                       { "padding", a->padding[i], 0 },
                       { "stride", a->stride[i], 1 },
                       { "image size", in[i], 1 } };
        for (int k = 0; k < 5; k++)
            if (limits[k].value < limits[k].least || limits[k].value > INT32_MAX)
                return reel_infer_fail(infer, REEL_ERROR_VALUE,
                                       "%s of axis %d must be at least %lld and below 2^31, not %lld", limits[k].name,
                                       i, (long long)limits[k].least, (long long)limits[k].value);
        int64_t window = a->dilation[i] * (a->kernel[i] - 1) + 1, padded = in[i] + 2 * a->padding[i];
        if (window > padded)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "a window of axis %d has %lld cells, but the image with its padding has %lld", i,
                                   (long long)window, (long long)padded);
        out[i] = (padded - window) / a->stride[i] + 1;
    }
    if (__builtin_mul_overflow(out[0], out[1], windows) || __builtin_mul_overflow(a->kernel[0], a->kernel[1], cells))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the windows leave 64 bits");
    return true;
}

static bool unfold_infer(reel_infer *infer)
{
    reel_tensor *x = infer->in[0];
    if (!x) return false;
    reel_shape s = reel_shape_of(x);
    if (!reel_dtype_is_float(reel_dtype_of(x)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the input must be float32 or float64");
    if (s.ndim != 3 && s.ndim != 4)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input must have 3 or 4 axes, but has %d", s.ndim);
    int64_t in[2] = { s.dim[s.ndim - 2], s.dim[s.ndim - 1] }, out[2], windows, cells, rows,
            channels = s.dim[s.ndim - 3];
    if (channels < 1) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input must have channels");
    if (!infer_windows(infer, in, out, &windows, &cells)) return false;
    if (__builtin_mul_overflow(channels, cells, &rows))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the columns leave 64 bits");
    s.ndim--;
    s.dim[s.ndim - 2] = rows;
    s.dim[s.ndim - 1] = windows;
    return reel_infer_out(infer, 0, reel_dtype_of(x), s);
}

static bool fold_infer(reel_infer *infer)
{
    const fold_attrs *a = infer->attrs;
    reel_tensor *y = infer->in[0];
    if (!y) return false;
    reel_shape s = reel_shape_of(y);
    if (!reel_dtype_is_float(reel_dtype_of(y)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the input must be float32 or float64");
    if (s.ndim != 2 && s.ndim != 3)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input must have 2 or 3 axes, but has %d", s.ndim);
    int64_t out[2], windows, cells, rows = s.dim[s.ndim - 2], columns = s.dim[s.ndim - 1];
    if (!infer_windows(infer, a->size, out, &windows, &cells)) return false;
    if (rows < 1 || rows % cells)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "the input's %lld rows are no multiple of the %lld cells of a window", (long long)rows,
                               (long long)cells);
    if (columns != windows)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input has %lld columns, but the image has %lld windows",
                               (long long)columns, (long long)windows);
    s.ndim++;
    s.dim[s.ndim - 3] = rows / cells;
    s.dim[s.ndim - 2] = a->size[0];
    s.dim[s.ndim - 1] = a->size[1];
    return reel_infer_out(infer, 0, reel_dtype_of(y), s);
}

typedef struct work {
    const reel_fold_kernels *kernels;
    reel_fold_plane f;
    bool f32, unfold;
    int64_t planes, chunk, x_plane, y_plane;
    char *x, *y;
} work;

static void task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    int64_t first = chunk * w->chunk, planes = w->planes - first < w->chunk ? w->planes - first : w->chunk;
    int64_t x = first * w->x_plane, y = first * w->y_plane;
    (void)worker;
    if (w->f32 && w->unfold)
        w->kernels->unfold_f32(&w->f, planes, (const float *)w->x + x, (float *)w->y + y);
    else if (w->f32)
        w->kernels->fold_f32(&w->f, planes, (const float *)w->y + y, (float *)w->x + x);
    else if (w->unfold)
        w->kernels->unfold_f64(&w->f, planes, (const double *)w->x + x, (double *)w->y + y);
    else
        w->kernels->fold_f64(&w->f, planes, (const double *)w->y + y, (double *)w->x + x);
}

static bool play_planes(const reel_play *play, const reel_buffer *x, const reel_buffer *y, bool unfold)
{
    const fold_attrs *a = play->attrs;
    work w = { .kernels = reel_fold_kernels_for(play->exec->isa), .f32 = x->dtype == REEL_F32, .unfold = unfold };
    for (int i = 0; i < 2; i++) {
        w.f.in[i] = x->shape[x->ndim - 2 + i];
        w.f.kernel[i] = a->kernel[i];
        w.f.dilation[i] = a->dilation[i];
        w.f.padding[i] = a->padding[i];
        w.f.stride[i] = a->stride[i];
        w.f.out[i] = (w.f.in[i] + 2 * a->padding[i] - a->dilation[i] * (a->kernel[i] - 1) - 1) / a->stride[i] + 1;
    }
    w.x_plane = w.f.in[0] * w.f.in[1];
    w.y_plane = a->kernel[0] * a->kernel[1] * w.f.out[0] * w.f.out[1];
    w.planes = x->numel / w.x_plane;
    w.chunk = 32768 / (w.x_plane + w.y_plane) + 1;
    w.x = x->data;
    w.y = y->data;
    reel_parallel(play->exec, (w.planes + w.chunk - 1) / w.chunk, task, &w);
    return true;
}

static bool unfold_play(const reel_play *play) { return play_planes(play, &play->in[0], &play->out[0], true); }
static bool fold_play(const reel_play *play) { return play_planes(play, &play->out[0], &play->in[0], false); }

static bool unfold_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    fold_attrs a = *(const fold_attrs *)vjp->attrs;
    reel_shape x = reel_vjp_input_shape(vjp, 0);
    for (int i = 0; i < 2; i++) a.size[i] = x.dim[x.ndim - 2 + i];
    vjp->grad[0] = reel_apply(&reel_op_fold, &vjp->cot[0], 1, &a, NULL);
    return vjp->grad[0] != NULL;
}

static bool fold_vjp(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    fold_attrs a = *(const fold_attrs *)vjp->attrs;
    memset(a.size, 0, sizeof a.size);
    vjp->grad[0] = reel_apply(&reel_op_unfold, &vjp->cot[0], 1, &a, NULL);
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_unfold = {
    .name = "unfold", .infer = unfold_infer, .play = unfold_play, .vjp = unfold_vjp, .attrs_size = sizeof(fold_attrs)
};
const reel_op reel_op_fold = {
    .name = "fold", .infer = fold_infer, .play = fold_play, .vjp = fold_vjp, .attrs_size = sizeof(fold_attrs)
};

// ---- functions ----

reel_tensor *reel_unfold(reel_tensor *x, const reel_fold_opts *opts)
{
    fold_attrs a = attrs_of(opts);
    return reel_apply(&reel_op_unfold, &x, 1, &a, NULL);
}

reel_tensor *reel_fold(reel_tensor *y, int64_t height, int64_t width, const reel_fold_opts *opts)
{
    fold_attrs a = attrs_of(opts);
    a.size[0] = height;
    a.size[1] = width;
    return reel_apply(&reel_op_fold, &y, 1, &a, NULL);
}

// [.., C r r, H, W] and [.., C, H r, W r]: leading axes as one, the pixels' axes moved, axes joined.
static reel_tensor *shuffle(reel_tensor *x, int64_t r, bool up)
{
    const char *op = up ? "pixel_shuffle" : "pixel_unshuffle";
    if (!x) return NULL;
    reel_shape s = reel_shape_of(x), out = s;
    char text[REEL_SHAPE_TEXT];
    int n = s.ndim;
    if (n < 3)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "%s: the input must have at least 3 axes, but has %d", op,
                         n);
    int64_t square, c = s.dim[n - 3], h = s.dim[n - 2], w = s.dim[n - 1], lead = 1;
    if (r < 1 || __builtin_mul_overflow(r, r, &square))
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "%s: the factor must be at least 1 and below 2^31, not %lld",
                         op, (long long)r);
    if (up ? c % square != 0 : h % r != 0 || w % r != 0)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "%s: a factor of %lld does not divide the sizes of %s", op,
                         (long long)r, reel_shape_format(s, text));
    for (int i = 0; i < n - 3; i++) lead *= s.dim[i];
    out.dim[n - 3] = up ? c / square : c * square;
    out.dim[n - 2] = up ? h * r : h / r;
    out.dim[n - 1] = up ? w * r : w / r;
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        reel_shape split = up ? REEL_SHAPE(lead, c / square, r, r, h, w) : REEL_SHAPE(lead, c, h / r, r, w / r, r);
        reel_dims order = up ? REEL_DIMS(0, 1, 4, 2, 5, 3) : REEL_DIMS(0, 1, 3, 5, 2, 4);
        y = reel_scope_return(reel_reshape(reel_permute(reel_reshape(x, split), order), out));
    }
    return y;
}

reel_tensor *reel_pixel_shuffle(reel_tensor *x, int64_t factor) { return shuffle(x, factor, true); }
reel_tensor *reel_pixel_unshuffle(reel_tensor *x, int64_t factor) { return shuffle(x, factor, false); }

// ---- table rows ----

static bool args_pair(const reel_call_args *args, const char *op, const char *name, int64_t least, int64_t pair[2])
{
    int count = reel_args_ints(args, name, pair, 2);
    if (count < 0) return false;
    if (count == 1) pair[1] = pair[0];
    for (int i = 0; i < 2 && count > 0; i++) {
        if (pair[i] >= least) continue;
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s must be at least %lld, not %lld", op, name,
                  (long long)least, (long long)pair[i]);
        return false;
    }
    if (count == 0) reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s must be one number or two", op, name);
    return count > 0;
}

static bool args_windows(const reel_call_args *args, const char *op, reel_fold_opts *opts)
{
    return args_pair(args, op, "kernel_size", 1, opts->kernel) && args_pair(args, op, "dilation", 1, opts->dilation) &&
           args_pair(args, op, "padding", 0, opts->padding) && args_pair(args, op, "stride", 1, opts->stride);
}

static bool call_unfold(reel_call_args *args)
{
    reel_fold_opts opts;
    return args_windows(args, "unfold", &opts) && reel_args_return(args, reel_unfold(reel_args_input(args, 0), &opts));
}

static bool call_fold(reel_call_args *args)
{
    reel_fold_opts opts;
    int64_t size[2];
    return args_pair(args, "fold", "output_size", 1, size) && args_windows(args, "fold", &opts) &&
           reel_args_return(args, reel_fold(reel_args_input(args, 0), size[0], size[1], &opts));
}

static bool call_shuffle(reel_call_args *args)
{
    return reel_args_return(args, reel_pixel_shuffle(reel_args_input(args, 0), reel_args_int(args, "upscale_factor")));
}

static bool call_unshuffle(reel_call_args *args)
{
    return reel_args_return(args,
                            reel_pixel_unshuffle(reel_args_input(args, 0), reel_args_int(args, "downscale_factor")));
}

const reel_function reel_fn_unfold = {
    .name = "unfold",
    .inputs = "input",
    .attrs = "kernel_size:ints dilation:ints=1 padding:ints=0 stride:ints=1",
    .call = call_unfold,
    .formula = "y[(c * kH + i) * kW + j, l] = input[c, h, w], cell (i, j) of window l",
    .shapes = "input: [N, C, H, W] or [C, H, W] -> [N, C * kH * kW, L]",
    .errors = "kernel_size, stride or dilation below 1, padding below 0, or one of them from 2^31 on; a window larger "
              "than the padded image; an empty channel axis; an input that is not float32 or float64",
    .orders = -1,
};
const reel_function reel_fn_fold = {
    .name = "fold",
    .inputs = "input",
    .attrs = "output_size:ints kernel_size:ints dilation:ints=1 padding:ints=0 stride:ints=1",
    .call = call_fold,
    .formula = "y[c, h, w] = sum of input[(c * kH + i) * kW + j, l] over the cells (i, j) of windows l at (h, w)",
    .shapes = "input: [N, C * kH * kW, L] or [C * kH * kW, L] -> [N, C, output_size]",
    .errors = "kernel_size, stride or dilation below 1, padding below 0, or one of them from 2^31 on; a window larger "
              "than the padded output; rows that the kernel's cells do not divide; columns that are not the output's "
              "windows; an input that is not float32 or float64",
    .orders = -1,
};
const reel_function reel_fn_pixel_shuffle = {
    .name = "pixel_shuffle",
    .inputs = "input",
    .attrs = "upscale_factor:int",
    .call = call_shuffle,
    .formula = "y[c, h * r + i, w * r + j] = input[(c * r + i) * r + j, h, w]",
    .shapes = "input: [.., C * r * r, H, W] -> [.., C, H * r, W * r]",
    .errors = "a factor below 1; channels that its square does not divide",
    .orders = -1,
};
const reel_function reel_fn_pixel_unshuffle = {
    .name = "pixel_unshuffle",
    .inputs = "input",
    .attrs = "downscale_factor:int",
    .call = call_unshuffle,
    .formula = "y[(c * r + i) * r + j, h, w] = input[c, h * r + i, w * r + j]",
    .shapes = "input: [.., C, H * r, W * r] -> [.., C * r * r, H, W]",
    .errors = "a factor below 1; a height or width that it does not divide",
    .orders = -1,
};
