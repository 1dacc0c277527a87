// SPDX-License-Identifier: MIT
// Fourier transforms: three primitives along one axis, each other's adjoints, and the n-dimensional functions over
// them.
#include <math.h>
#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/fft.h>
#include <reel/ops/fftw_guard.h>
#include <reel/ops/reduce_op.h>
#include <reel/ops/shape.h>
#include <string.h>
#ifdef REEL_HAVE_FFTW
#include <fftw3.h>
#endif

enum { CHUNK = 1 << 14, COLUMNS = 16 };

/* FFT_COMPLEX pairs to pairs; FFT_REAL real lines of n to n / 2 + 1 pairs; FFT_HALF those back to n real values. The
 * bins of a half spectrum that stand for two (all but the first, and the last of an even n) are weighted by `middle`.
 */
typedef enum fft_kind { FFT_COMPLEX, FFT_REAL, FFT_HALF } fft_kind;

typedef struct attrs {
    int64_t n; /* FFT_HALF: length of the result */
    double scale, middle;
    int dim; /* not negative */
    bool inverse;
} attrs;

// ---- inference ----

static bool infer_pair(reel_infer *infer)
{
#ifndef REEL_HAVE_FFTW
    return reel_infer_fail(infer, REEL_ERROR_UNSUPPORTED, "this build of Reel has no FFTW");
#endif
    if (!reel_infer_float(infer)) return false;
    if (infer->n_in == 2 && (reel_dtype_of(infer->in[0]) != reel_dtype_of(infer->in[1]) ||
                             !reel_shape_equal(reel_shape_of(infer->in[0]), reel_shape_of(infer->in[1]))))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "the real and the imaginary part must have one shape and dtype");
    return true;
}

static bool infer_outs(reel_infer *infer, int n_out, int64_t size)
{
    reel_shape shape = reel_shape_of(infer->in[0]);
    shape.dim[((const attrs *)infer->attrs)->dim] = size;
    infer->n_out = n_out;
    for (int k = 0; k < n_out; k++)
        if (!reel_infer_out(infer, k, reel_dtype_of(infer->in[0]), shape)) return false;
    return true;
}

static int64_t axis_size(const reel_infer *infer)
{
    return reel_shape_of(infer->in[0]).dim[((const attrs *)infer->attrs)->dim];
}

static bool infer_fft(reel_infer *infer) { return infer_pair(infer) && infer_outs(infer, 2, axis_size(infer)); }
static bool infer_rfft(reel_infer *infer)
{
    return infer_pair(infer) && infer_outs(infer, 2, axis_size(infer) / 2 + 1);
}

static bool infer_irfft(reel_infer *infer)
{
    return infer_pair(infer) && infer_outs(infer, 1, ((const attrs *)infer->attrs)->n);
}

// ---- play ----

#ifdef REEL_HAVE_FFTW

typedef struct line_job {
    fft_kind kind;
    bool inverse;
    double scale, middle;
    int64_t n, n_in, n_out; // length of the transform, and of the lines read and written
    int64_t outer, inner, blocks, columns, per_chunk;
    int64_t stride; // from line to line in working memory, in elements; keeps lines aligned
    const void *re, *im;
    void *out_re, *out_im;
} line_job;

#define T float
#define FFTW(name) fftwf_##name
#define F(name) name##_f32
#include "fft_lines.inc"
#define T double
#define FFTW(name) fftw_##name
#define F(name) name##_f64
#include "fft_lines.inc"

static bool run(const reel_play *play, fft_kind kind)
{
    const reel_buffer *x = &play->in[0], *y = &play->out[0];
    const attrs *a = play->attrs;
    if (y->numel == 0) return true;
    line_job j = { .kind = kind,
                   .inverse = a->inverse,
                   .scale = a->scale,
                   .middle = a->middle,
                   .n_in = x->shape[a->dim],
                   .n_out = y->shape[a->dim],
                   .outer = 1,
                   .inner = 1,
                   .re = x->data,
                   .im = play->n_in > 1 ? play->in[1].data : NULL,
                   .out_re = y->data,
                   .out_im = play->n_out > 1 ? play->out[1].data : NULL };
    j.n = kind == FFT_HALF ? j.n_out : j.n_in;
    for (int d = 0; d < a->dim; d++) j.outer *= x->shape[d];
    for (int d = a->dim + 1; d < x->ndim; d++) j.inner *= x->shape[d];
    int64_t work = 2 * (kind == FFT_COMPLEX ? j.n : j.n / 2 + 1);
    j.stride = (work + 15) & ~(int64_t)15;
    j.columns = j.inner < COLUMNS ? j.inner : COLUMNS;
    while (j.columns > 1 && j.columns * j.stride > CHUNK) j.columns /= 2;
    j.blocks = (j.inner + j.columns - 1) / j.columns;
    j.per_chunk = j.columns * j.stride < CHUNK ? CHUNK / (j.columns * j.stride) : 1;
    return x->dtype == REEL_F32 ? run_f32(play, &j) : run_f64(play, &j);
}

#else

static bool run(const reel_play *play, fft_kind kind)
{
    (void)kind;
    return reel_play_fail(play, REEL_ERROR_UNSUPPORTED, "this build of Reel has no FFTW");
}

#endif

static bool play_fft(const reel_play *play) { return run(play, FFT_COMPLEX); }
static bool play_rfft(const reel_play *play) { return run(play, FFT_REAL); }
static bool play_irfft(const reel_play *play) { return run(play, FFT_HALF); }

// ---- rules: a transform's adjoint is the transform of the other sign with the same scale ----

static bool vjp_fft(reel_vjp *vjp);
static bool vjp_rfft(reel_vjp *vjp);
static bool vjp_irfft(reel_vjp *vjp);

const reel_op reel_op_fft = {
    .name = "fft", .infer = infer_fft, .play = play_fft, .vjp = vjp_fft, .attrs_size = sizeof(attrs)
};
const reel_op reel_op_rfft = {
    .name = "rfft", .infer = infer_rfft, .play = play_rfft, .vjp = vjp_rfft, .attrs_size = sizeof(attrs)
};
const reel_op reel_op_irfft = {
    .name = "irfft", .infer = infer_irfft, .play = play_irfft, .vjp = vjp_irfft, .attrs_size = sizeof(attrs)
};

static bool apply(const reel_op *op, reel_tensor *re, reel_tensor *im, const attrs *given, reel_tensor **out)
{
    attrs a;
    memset(&a, 0, sizeof a);
    a.n = given->n, a.scale = given->scale, a.middle = given->middle, a.dim = given->dim, a.inverse = given->inverse;
    if (!re || (op != &reel_op_rfft && !im)) return false;
    return reel_apply(op, (reel_tensor *[]) { re, im }, op == &reel_op_rfft ? 1 : 2, &a, out) != NULL;
}

// The two cotangents, zeros where there is none.
static bool cotangents(const reel_vjp *vjp, reel_tensor **re, reel_tensor **im)
{
    *re = vjp->cot[0] ? vjp->cot[0] : vjp->cot[1] ? reel_zeros_like(vjp->cot[1]) : NULL;
    *im = vjp->cot[1] ? vjp->cot[1] : *re ? reel_zeros_like(*re) : NULL;
    return *re && *im;
}

static bool vjp_fft(reel_vjp *vjp)
{
    attrs a = *(const attrs *)vjp->attrs;
    reel_tensor *re, *im;
    a.inverse = !a.inverse;
    return cotangents(vjp, &re, &im) && apply(&reel_op_fft, re, im, &a, vjp->grad);
}

// Every bin of a half spectrum counts once here, but twice in what irfft makes of it.
static bool vjp_rfft(reel_vjp *vjp)
{
    attrs a = *(const attrs *)vjp->attrs;
    reel_tensor *re, *im;
    a.middle /= 2;
    a.n = reel_vjp_input_shape(vjp, 0).dim[a.dim];
    return cotangents(vjp, &re, &im) && apply(&reel_op_irfft, re, im, &a, vjp->grad);
}

static bool vjp_irfft(reel_vjp *vjp)
{
    attrs a = *(const attrs *)vjp->attrs;
    a.middle *= 2;
    a.n = 0;
    return apply(&reel_op_rfft, vjp->cot[0], NULL, &a, vjp->grad);
}

// ---- public functions ----

typedef struct request {
    const char *name;
    int count;
    int dim[REEL_MAX_DIMS];
    int64_t size[REEL_MAX_DIMS]; // length of the transform along each axis
    double scale;
} request;

// The operands of a transform, checked in its own name.
static bool check_parts(const char *name, reel_tensor *re, reel_tensor *im)
{
    reel_ctx *ctx = reel_ctx_of(re);
    if (!reel_dtype_is_float(reel_dtype_of(re)))
        return reel_fail(ctx, REEL_ERROR_DTYPE, "%s: takes float32 or float64, not %s", name,
                         reel_dtype_name(reel_dtype_of(re))) != NULL;
    if (!im || (reel_dtype_of(re) == reel_dtype_of(im) && reel_shape_equal(reel_shape_of(re), reel_shape_of(im))))
        return true;
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    return reel_fail(ctx, REEL_ERROR_SHAPE,
                     "%s: the real part, %s %s, and the imaginary part, %s %s, must have one shape and dtype", name,
                     reel_dtype_name(reel_dtype_of(re)), reel_shape_format(reel_shape_of(re), a),
                     reel_dtype_name(reel_dtype_of(im)), reel_shape_format(reel_shape_of(im), b)) != NULL;
}

// Axes and lengths of a transform of x. `half`: the last length counts real values, of which x has half the bins.
static bool read_request(request *r, reel_tensor *x, const reel_fft_opts *opts, bool inverse, bool half)
{
    static const reel_fft_opts defaults = { 0 };
    reel_ctx *ctx = reel_ctx_of(x);
    reel_shape shape = reel_shape_of(x);
    uint32_t seen = 0;
    opts = opts ? opts : &defaults;
    int given = opts->dims.count, sizes = opts->n_sizes;
    r->count = given > 0 ? given : sizes > 0 ? sizes : 1;
    if (r->count > shape.ndim || (sizes > 0 && sizes != r->count)) {
        reel_fail(ctx, REEL_ERROR_VALUE, "%s: %d axes and %d sizes do not fit a tensor of %d axes", r->name, r->count,
                  sizes, shape.ndim);
        return false;
    }
    double total = 1;
    for (int i = 0; i < r->count; i++) {
        int d = given > 0 ? opts->dims.dim[i] : i - r->count;
        int axis = d < 0 ? d + shape.ndim : d;
        if (axis < 0 || axis >= shape.ndim || (seen >> axis & 1)) {
            reel_fail(ctx, REEL_ERROR_VALUE, "%s: dim %d is %s for a tensor of %d axes", r->name, d,
                      axis < 0 || axis >= shape.ndim ? "out of range" : "named twice", shape.ndim);
            return false;
        }
        seen |= 1u << axis;
        r->dim[i] = axis;
        int64_t size = sizes > 0 ? opts->sizes[i] : 0;
        if (size == 0) size = half && i == r->count - 1 ? 2 * (shape.dim[axis] - 1) : shape.dim[axis];
        if (size < 1 || size > INT64_MAX / 64) {
            reel_fail(ctx, REEL_ERROR_VALUE, "%s: a transform of %lld values along dim %d is not possible", r->name,
                      (long long)size, d);
            return false;
        }
        r->size[i] = size;
        total *= (double)size;
    }
    bool whole = opts->norm == (inverse ? REEL_FFT_BACKWARD : REEL_FFT_FORWARD);
    r->scale = opts->norm == REEL_FFT_ORTHO ? 1 / sqrt(total) : whole ? 1 / total : 1;
    return true;
}

// Cut or padded with zeros to `size` along an axis.
static reel_tensor *resized(reel_tensor *x, int dim, int64_t size)
{
    if (!x || reel_size(x, dim) == size) return x;
    reel_shape shape = reel_shape_of(x);
    int64_t had = shape.dim[dim];
    shape.dim[dim] = size;
    return had > size ? reel_narrow(x, dim, 0, size) : reel_slice_backward(x, shape, dim, 0, had, 1);
}

// The complex transforms along axes [0, count) of the request; the scale goes with the last.
static bool complex_axes(const request *r, int count, bool inverse, double scale, reel_tensor **pair)
{
    for (int i = 0; i < count; i++) {
        attrs a = { .dim = r->dim[i], .inverse = inverse, .scale = i == count - 1 ? scale : 1, .middle = 1 };
        reel_tensor *re = resized(pair[0], r->dim[i], r->size[i]), *im = resized(pair[1], r->dim[i], r->size[i]);
        if (!apply(&reel_op_fft, re, im, &a, pair)) return false;
    }
    return true;
}

static bool complex_fft(const char *name, bool inverse, reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts,
                        reel_tensor **out_re, reel_tensor **out_im)
{
    request r = { .name = name };
    reel_tensor *unasked;
    if (!out_re) out_re = &unasked;
    if (!out_im) out_im = &unasked;
    *out_re = *out_im = NULL;
    if (!re) return REEL_OPERANDS(name, re, im);
    if (!check_parts(name, re, im) || !read_request(&r, re, opts, inverse, false)) return false;
    REEL_COMPOSITE(reel_ctx_of(re))
    {
        reel_tensor *pair[2] = { re, im ? im : reel_zeros_like(re) };
        if (complex_axes(&r, r.count, inverse, r.scale, pair)) {
            *out_re = reel_scope_return(pair[0]);
            *out_im = reel_scope_return(pair[1]);
        }
    }
    return *out_re && *out_im;
}

bool reel_fft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts, reel_tensor **out_re, reel_tensor **out_im)
{
    return complex_fft("fft", false, re, im, opts, out_re, out_im);
}

bool reel_ifft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts, reel_tensor **out_re, reel_tensor **out_im)
{
    return complex_fft("ifft", true, re, im, opts, out_re, out_im);
}

bool reel_rfft(reel_tensor *x, const reel_fft_opts *opts, reel_tensor **out_re, reel_tensor **out_im)
{
    request r = { .name = "rfft" };
    reel_tensor *unasked;
    if (!out_re) out_re = &unasked;
    if (!out_im) out_im = &unasked;
    *out_re = *out_im = NULL;
    if (!x || !check_parts(r.name, x, NULL) || !read_request(&r, x, opts, false, false)) return false;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        int last = r.count - 1;
        attrs a = { .dim = r.dim[last], .scale = last ? 1 : r.scale, .middle = 1 };
        reel_tensor *pair[2];
        if (apply(&reel_op_rfft, resized(x, r.dim[last], r.size[last]), NULL, &a, pair) &&
            complex_axes(&r, last, false, r.scale, pair)) {
            *out_re = reel_scope_return(pair[0]);
            *out_im = reel_scope_return(pair[1]);
        }
    }
    return *out_re && *out_im;
}

reel_tensor *reel_irfft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts)
{
    request r = { .name = "irfft" };
    reel_tensor *y = NULL;
    if (!re) return REEL_OPERANDS(r.name, re, im), NULL;
    if (!check_parts(r.name, re, im) || !read_request(&r, re, opts, true, true)) return NULL;
    REEL_COMPOSITE(reel_ctx_of(re))
    {
        int last = r.count - 1;
        attrs a = { .dim = r.dim[last], .n = r.size[last], .scale = last ? 1 : r.scale, .middle = 1 };
        reel_tensor *pair[2] = { re, im ? im : reel_zeros_like(re) };
        if (complex_axes(&r, last, true, r.scale, pair)) {
            int64_t bins = a.n / 2 + 1;
            reel_tensor *half_re = resized(pair[0], a.dim, bins), *half_im = resized(pair[1], a.dim, bins);
            if (apply(&reel_op_irfft, half_re, half_im, &a, &y)) y = reel_scope_return(y);
        }
    }
    return y;
}

// ---- the table's rows ----

// Attributes n and dim of the transforms along one axis, s and dim of the others.
static bool read_opts(const reel_call_args *args, bool many, reel_fft_opts *opts)
{
    static const reel_fft_norm norms[] = { REEL_FFT_BACKWARD, REEL_FFT_ORTHO, REEL_FFT_FORWARD };
    memset(opts, 0, sizeof *opts);
    int norm = reel_args_choice(args, "norm", "backward ortho forward");
    if (norm < 0 || !reel_args_dims(args, &opts->dims)) return false;
    opts->norm = norms[norm];
    const char *sizes = many ? "s" : "n";
    if (reel_args_has(args, sizes)) opts->n_sizes = reel_args_ints(args, sizes, opts->sizes, REEL_MAX_DIMS);
    for (int i = 0; i < opts->n_sizes; i++)
        if (opts->sizes[i] == 0) opts->sizes[i] = -1; // 0 is "as it is" in the struct, but no length here
    if (many && opts->dims.count == 0 && opts->n_sizes == 0) {
        opts->dims.count = reel_ndim(reel_args_input(args, 0));
        for (int d = 0; d < opts->dims.count; d++) opts->dims.dim[d] = d;
    }
    return opts->n_sizes >= 0;
}

static bool call_fft(reel_call_args *args, bool many, bool inverse)
{
    reel_fft_opts opts;
    reel_tensor *re, *im;
    if (!read_opts(args, many, &opts)) return false;
    if (!(inverse ? reel_ifft : reel_fft)(reel_args_input(args, 0), reel_args_input(args, 1), &opts, &re, &im))
        return false;
    return reel_args_return(args, re) && reel_args_return(args, im);
}

static bool call_rfft(reel_call_args *args, bool many)
{
    reel_fft_opts opts;
    reel_tensor *re, *im;
    if (!read_opts(args, many, &opts) || !reel_rfft(reel_args_input(args, 0), &opts, &re, &im)) return false;
    return reel_args_return(args, re) && reel_args_return(args, im);
}

static bool call_irfft(reel_call_args *args, bool many)
{
    reel_fft_opts opts;
    if (!read_opts(args, many, &opts)) return false;
    return reel_args_return(args, reel_irfft(reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}

#define ONE "n:int=none dim:int=-1 norm:string=backward"
#define MANY "s:ints=none dim:ints=none norm:string=backward"
#define FFT_ERRORS                                                                                                     \
    "a length below 1; lists of different length; a real and an imaginary part that differ in shape or dtype; an "     \
    "input that is not float32 or float64; a build without FFTW"
#define ROW(op, in, attributes, does, shape, ...)                                                                      \
    static bool row_##op(reel_call_args *args) { return __VA_ARGS__; }                                                 \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = in,                                                                                                  \
        .attrs = attributes,                                                                                           \
        .call = row_##op,                                                                                              \
        .formula = does,                                                                                               \
        .shapes = shape,                                                                                               \
        .errors = FFT_ERRORS,                                                                                          \
        .orders = -1,                                                                                                  \
    };
ROW(fft, "input imag?", ONE, "X_k = sum_t x_t exp(-2 pi i k t / n)", "input, imag: [..., n] -> a pair of the same",
    call_fft(args, false, false))
ROW(ifft, "input imag?", ONE, "x_t = 1 / n sum_k X_k exp(2 pi i k t / n)",
    "input, imag: [..., n] -> a pair of the same", call_fft(args, false, true))
ROW(fftn, "input imag?", MANY, "fft along every axis of dim", "input, imag: any -> a pair of the same",
    call_fft(args, true, false))
ROW(ifftn, "input imag?", MANY, "ifft along every axis of dim", "input, imag: any -> a pair of the same",
    call_fft(args, true, true))
ROW(rfft, "input", ONE, "fft of real values, without the conjugate half",
    "input: [..., n] -> a pair of [..., n / 2 + 1]", call_rfft(args, false))
ROW(rfftn, "input", MANY, "rfft along the last axis of dim, fft along the others", "input: any -> a pair",
    call_rfft(args, true))
ROW(irfft, "input imag?", ONE, "real values from half a spectrum; n defaults to 2 (m - 1)",
    "input, imag: [..., m] -> [..., n]", call_irfft(args, false))
ROW(irfftn, "input imag?", MANY, "ifft along the axes of dim but the last, irfft along that", "input, imag: any -> any",
    call_irfft(args, true))
#undef ROW
#undef ONE
#undef MANY
