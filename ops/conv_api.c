// SPDX-License-Identifier: MIT
// The public convolution functions: options and defaults, and their rows in the op table.
#include <reel/ops/conv_ops.h>
#include <reel/core/operands.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>
#include <stdlib.h>
#include <string.h>

static const char *const algo_names[] = { "auto",      "naive",     "direct",    "im2col", "winograd",
                                          "winograd2", "winograd4", "winograd6", "fft",    "images", "winograd_rows",
                                          "winograd_columns" };
enum { ALGOS = sizeof algo_names / sizeof algo_names[0] };

static int checked_algo(reel_ctx *ctx, const char *op, int algo)
{
#ifndef REEL_HAVE_FFTW
    if (algo == REEL_CONV_FFT) {
        reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "%s: the algorithm is fft, but this build of Reel has no FFTW", op);
        return -1;
    }
#else
    (void)ctx, (void)op;
#endif
    return algo;
}

/* The algorithm asked for: the option, else the environment's. -1 and an error when there is none such. */
static int wanted_algo(reel_ctx *ctx, const char *op, reel_conv_algo algo)
{
    if ((int)algo < 0 || (int)algo >= ALGOS) {
        reel_fail(ctx, REEL_ERROR_VALUE, "%s: algo is %d, which is no convolution algorithm", op, (int)algo);
        return -1;
    }
    const char *name = algo == REEL_CONV_AUTO ? getenv("REEL_CONV_ALGO") : NULL;
    if (!name || !*name) return checked_algo(ctx, op, (int)algo);
    for (int i = 0; i < ALGOS; i++)
        if (strcmp(name, algo_names[i]) == 0) return checked_algo(ctx, op, i);
    reel_fail(
        ctx, REEL_ERROR_VALUE,
        "%s: REEL_CONV_ALGO is '%s', expected one of auto, naive, direct, im2col, winograd, winograd2, winograd4, "
        "winograd6, fft, images, winograd_rows, winograd_columns",
        op, name);
    return -1;
}

/* Padding that keeps the size; false and an error where there is none. */
static bool pad_same(reel_ctx *ctx, const char *op, reel_tensor *weight, reel_conv_attrs *a)
{
    for (int i = 0; i < a->rank; i++) {
        int64_t total;
        if (a->stride[i] != 1) {
            reel_fail(ctx, REEL_ERROR_VALUE, "%s: padding 'same' needs stride 1, got %lld", op,
                      (long long)a->stride[i]);
            return false;
        }
        /* A weight of another rank, an empty kernel or a bad dilation is left for infer to report. */
        bool known = reel_ndim(weight) == a->rank + 2 && reel_size(weight, 2 + i) > 0 && a->dilation[i] > 0 &&
                     !__builtin_mul_overflow(reel_size(weight, 2 + i) - 1, a->dilation[i], &total);
        a->pad_lo[i] = known ? total / 2 : 0;
        a->pad_hi[i] = known ? total - total / 2 : 0;
    }
    return true;
}

static bool read_opts(const reel_op *op, bool transposed, int rank, reel_tensor *x, reel_tensor *weight,
                      const reel_conv_opts *opts, reel_conv_attrs *a)
{
    static const reel_conv_opts none = { 0 };
    const reel_conv_opts *o = opts ? opts : &none;
    reel_ctx *ctx = reel_ctx_of(x ? x : weight);
    int algo = wanted_algo(ctx, op->name, o->algo);
    if (algo < 0) return false;
    memset(a, 0, sizeof *a);
    a->rank = rank;
    a->algo = algo;
    a->groups = o->groups ? o->groups : 1;
    for (int i = 0; i < rank; i++) {
        a->stride[i] = o->stride[i] ? o->stride[i] : 1;
        a->dilation[i] = o->dilation[i] ? o->dilation[i] : 1;
        if (o->padding_mode == REEL_CONV_PAD_GIVEN) a->pad_lo[i] = a->pad_hi[i] = o->padding[i];
        if (transposed) a->output_padding[i] = o->output_padding[i];
    }
    if (o->padding_mode == REEL_CONV_PAD_GIVEN || o->padding_mode == REEL_CONV_PAD_VALID) return true;
    if (o->padding_mode == REEL_CONV_PAD_SAME && !transposed) return pad_same(ctx, op->name, weight, a);
    reel_fail(ctx, REEL_ERROR_VALUE, "%s: padding_mode %d is not one of this op's", op->name, (int)o->padding_mode);
    return false;
}

static reel_tensor *conv(bool transposed, int rank, reel_tensor *x, reel_tensor *weight, reel_tensor *bias,
                         const reel_conv_opts *opts)
{
    const reel_op *op = transposed ? reel_conv_transpose_op(rank) : reel_conv_op(rank);
    reel_conv_attrs attrs;
    if (!read_opts(op, transposed, rank, x, weight, opts, &attrs)) return NULL;
    return reel_apply(op, (reel_tensor *[]) { x, weight, bias }, 3, &attrs, NULL);
}

reel_tensor *reel_conv1d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(false, 1, x, weight, bias, opts);
}

reel_tensor *reel_conv2d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(false, 2, x, weight, bias, opts);
}

reel_tensor *reel_conv3d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(false, 3, x, weight, bias, opts);
}

reel_tensor *reel_conv_transpose1d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(true, 1, x, weight, bias, opts);
}

reel_tensor *reel_conv_transpose2d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(true, 2, x, weight, bias, opts);
}

reel_tensor *reel_conv_transpose3d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts)
{
    return conv(true, 3, x, weight, bias, opts);
}

/* The full convolution is the transpose of a convolution with stride 1; the other modes take its ends off. */
static bool convolve_attrs(reel_ctx *ctx, reel_shape a, reel_shape b, reel_convolve_mode mode, reel_conv_attrs *attrs)
{
    memset(attrs, 0, sizeof *attrs);
    attrs->rank = a.ndim;
    attrs->groups = 1;
    attrs->algo = wanted_algo(ctx, "convolve", REEL_CONV_AUTO);
    if (attrs->algo < 0) return false;
    bool a_holds = true, b_holds = true;
    for (int i = 0; i < a.ndim; i++) {
        a_holds &= a.dim[i] >= b.dim[i];
        b_holds &= b.dim[i] >= a.dim[i];
        int64_t cut = mode == REEL_CONVOLVE_SAME    ? b.dim[i] - 1
                      : mode == REEL_CONVOLVE_VALID ? 2 * ((a.dim[i] < b.dim[i] ? a.dim[i] : b.dim[i]) - 1)
                                                    : 0;
        attrs->stride[i] = attrs->dilation[i] = 1;
        attrs->pad_lo[i] = cut / 2;
        attrs->pad_hi[i] = cut - cut / 2;
    }
    if (mode == REEL_CONVOLVE_VALID && !a_holds && !b_holds) {
        char at[REEL_SHAPE_TEXT], bt[REEL_SHAPE_TEXT];
        reel_fail(ctx, REEL_ERROR_SHAPE,
                  "convolve: mode 'valid' needs one of %s and %s to hold the other on every axis",
                  reel_shape_format(a, at), reel_shape_format(b, bt));
        return false;
    }
    return true;
}

static reel_shape with_leading_ones(reel_shape shape, int ones)
{
    reel_shape result = { .ndim = shape.ndim + ones };
    for (int i = 0; i < ones; i++) result.dim[i] = 1;
    for (int i = 0; i < shape.ndim; i++) result.dim[ones + i] = shape.dim[i];
    return result;
}

reel_tensor *reel_convolve(reel_tensor *a, reel_tensor *b, reel_convolve_mode mode)
{
    if (!REEL_OPERANDS("convolve", a, b)) return NULL;
    reel_ctx *ctx = reel_ctx_of(a);
    reel_shape as = reel_shape_of(a), bs = reel_shape_of(b), ys;
    if (as.ndim != bs.ndim || as.ndim < 1 || as.ndim > 3)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "convolve: signals of %d and %d axes, expected the same, 1 to 3",
                         as.ndim, bs.ndim);
    if (reel_shape_numel(as) == 0 || reel_shape_numel(bs) == 0)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "convolve: a signal is empty");
    if (mode != REEL_CONVOLVE_FULL && mode != REEL_CONVOLVE_SAME && mode != REEL_CONVOLVE_VALID)
        return reel_fail(ctx, REEL_ERROR_VALUE, "convolve: mode %d is not full, same or valid", (int)mode);
    reel_conv_attrs attrs;
    if (!convolve_attrs(ctx, as, bs, mode, &attrs)) return NULL;
    reel_tensor *result = NULL;
    REEL_COMPOSITE(ctx)
    {
        reel_tensor *x = reel_reshape(a, with_leading_ones(as, 1)), *w = reel_reshape(b, with_leading_ones(bs, 2));
        reel_tensor *y = reel_apply(reel_conv_transpose_op(as.ndim), (reel_tensor *[]) { x, w, NULL }, 3, &attrs, NULL);
        ys = reel_shape_of(y);
        for (int i = 0; i < as.ndim; i++) ys.dim[i] = ys.dim[i + 1];
        ys.ndim = as.ndim;
        result = reel_scope_return(reel_reshape(y, ys));
    }
    return result;
}

/* A list of one number or of `rank` into one entry an axis. */
static bool read_list(reel_call_args *args, const char *op, const char *name, int rank, int64_t least, int64_t list[3])
{
    int count = reel_args_ints(args, name, list, 3);
    if (count < 0) return false;
    if (count != 1 && count != rank) {
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s has %d numbers, expected 1 or %d", op, name, count,
                  rank);
        return false;
    }
    for (int i = 0; i < rank; i++) {
        if (count == 1) list[i] = list[0];
        if (list[i] < least) {
            reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s is %lld, expected at least %lld", op, name,
                      (long long)list[i], (long long)least);
            return false;
        }
    }
    return true;
}

static bool call_conv(reel_call_args *args, int rank, bool transposed)
{
    reel_conv_opts opts = { 0 };
    const char *op = transposed ? reel_conv_transpose_op(rank)->name : reel_conv_op(rank)->name;
    if (!read_list(args, op, "stride", rank, 1, opts.stride) ||
        !read_list(args, op, "dilation", rank, 1, opts.dilation))
        return false;
    if (!transposed && reel_args_string(args, "padding")) {
        int mode = reel_args_choice(args, "padding", "valid same");
        if (mode < 0) return false;
        opts.padding_mode = mode ? REEL_CONV_PAD_SAME : REEL_CONV_PAD_VALID;
    } else if (!read_list(args, op, "padding", rank, 0, opts.padding)) {
        return false;
    }
    if (transposed && !read_list(args, op, "output_padding", rank, 0, opts.output_padding)) return false;
    opts.groups = reel_args_int(args, "groups");
    if (opts.groups < 1) {
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: groups is %lld, expected at least 1", op,
                  (long long)opts.groups);
        return false;
    }
    return reel_args_return(args, conv(transposed, rank, reel_args_input(args, 0), reel_args_input(args, 1),
                                       reel_args_input(args, 2), &opts));
}

static bool call_conv1d(reel_call_args *args) { return call_conv(args, 1, false); }
static bool call_conv2d(reel_call_args *args) { return call_conv(args, 2, false); }
static bool call_conv3d(reel_call_args *args) { return call_conv(args, 3, false); }
static bool call_conv_transpose1d(reel_call_args *args) { return call_conv(args, 1, true); }
static bool call_conv_transpose2d(reel_call_args *args) { return call_conv(args, 2, true); }
static bool call_conv_transpose3d(reel_call_args *args) { return call_conv(args, 3, true); }

static bool call_convolve(reel_call_args *args)
{
    int mode = reel_args_choice(args, "mode", "full same valid");
    if (mode < 0) return false;
    return reel_args_return(
        args, reel_convolve(reel_args_input(args, 0), reel_args_input(args, 1), (reel_convolve_mode)mode));
}

#define REEL_CONV_ERRORS                                                                                               \
    "stride, dilation or groups below 1, padding below 0; padding 'same' with a stride; channels that groups does "    \
    "not divide, or other than the weight's; a bias that is not [K]; an empty kernel, or one larger than the padded "  \
    "input; an empty space axis; dtypes that differ or are no floats"
#define REEL_CONV_TRANSPOSE_ERRORS                                                                                     \
    "stride, dilation or groups below 1, padding below 0; output_padding that is not below stride or dilation; "       \
    "channels that groups does not divide, or other than the weight's; a bias that is not [K]; an empty kernel, "      \
    "input or output axis; dtypes that differ or are no floats"
#define REEL_CONV_ROW(rank, spatial, kernel, out)                                                                      \
    const reel_function reel_fn_conv##rank##d = {                                                                      \
        .name = "conv" #rank "d",                                                                                      \
        .inputs = "input weight bias?",                                                                                \
        .attrs = "stride:ints=1 padding:ints|string=0 dilation:ints=1 groups:int=1",                                   \
        .call = call_conv##rank##d,                                                                                    \
        .formula = "y[n, k, o] = bias[k] + sum over c, t of x[n, c, o * stride - padding + t * dilation] * "           \
                   "weight[k, c, t]",                                                                                  \
        .shapes = "input: [N, C, " spatial "] or [C, " spatial "]; weight: [K, C / groups, " kernel                    \
                  "]; bias: [K] -> [N, K, " out "]",                                                                   \
        .errors = REEL_CONV_ERRORS,                                                                                    \
        .orders = -1,                                                                                                  \
    };                                                                                                                 \
    const reel_function reel_fn_conv_transpose##rank##d = {                                                            \
        .name = "conv_transpose" #rank "d",                                                                            \
        .inputs = "input weight bias?",                                                                                \
        .attrs = "stride:ints=1 padding:ints=0 output_padding:ints=0 groups:int=1 dilation:ints=1",                    \
        .call = call_conv_transpose##rank##d,                                                                          \
        .formula = "y[n, k, i * stride - padding + t * dilation] += x[n, c, i] * weight[c, k, t], plus bias[k]",       \
        .shapes = "input: [N, C, " spatial "] or [C, " spatial "]; weight: [C, K / groups, " kernel                    \
                  "]; bias: [K] -> [N, K, " out "]",                                                                   \
        .errors = REEL_CONV_TRANSPOSE_ERRORS,                                                                          \
        .orders = -1,                                                                                                  \
    };
REEL_CONV_ROW(1, "W", "kW", "oW")
REEL_CONV_ROW(2, "H, W", "kH, kW", "oH, oW")
REEL_CONV_ROW(3, "D, H, W", "kD, kH, kW", "oD, oH, oW")
#undef REEL_CONV_ROW
#undef REEL_CONV_ERRORS
#undef REEL_CONV_TRANSPOSE_ERRORS

const reel_function reel_fn_convolve = {
    .name = "convolve",
    .inputs = "x y",
    .attrs = "mode:string=full",
    .call = call_convolve,
    .formula = "z[i] = sum over t of x[i - t] * y[t]",
    .shapes = "x: [A...]; y: [B...], 1 to 3 axes -> full: [A + B - 1...]; same: [A...]; valid: [|A - B| + 1...]",
    .errors = "signals of different rank, of more than 3 axes or empty; mode valid when neither signal holds the other "
              "on every axis; dtypes that differ or are no floats",
    .orders = -1,
};
