// SPDX-License-Identifier: MIT
// Fourier transforms against the defining sum over random shapes, axes, lengths and norms; round trips, adjoints,
// derivatives, and what is refused.
#include "spatial.h"

#ifdef REEL_HAVE_FFTW

// The sum that defines a transform along one axis of a row-major pair, from n_in to n_out elements, of length n.
static void transform_axis(double **re, double **im, reel_shape *shape, int dim, int64_t n, bool inverse)
{
    int64_t had = shape->dim[dim], inner = 1, outer = 1;
    for (int d = 0; d < dim; d++) outer *= shape->dim[d];
    for (int d = dim + 1; d < shape->ndim; d++) inner *= shape->dim[d];
    double *to_re = malloc((size_t)(outer * n * inner) * sizeof *to_re);
    double *to_im = malloc((size_t)(outer * n * inner) * sizeof *to_im);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < inner; i++) {
                double a = 0, b = 0;
                for (int64_t t = 0; t < n && t < had; t++) {
                    double angle = (inverse ? 2 : -2) * acos(-1) * (double)(k * t % n) / (double)n;
                    double x = (*re)[(o * had + t) * inner + i], y = (*im)[(o * had + t) * inner + i];
                    a += x * cos(angle) - y * sin(angle), b += x * sin(angle) + y * cos(angle);
                }
                to_re[(o * n + k) * inner + i] = a, to_im[(o * n + k) * inner + i] = b;
            }
    free(*re), free(*im);
    *re = to_re, *im = to_im;
    shape->dim[dim] = n;
}

typedef struct request {
    reel_fft_opts opts;
    int dim[3]; // not negative
    int64_t n[3];
    double scale;
} request;

// Some axes of a tensor of three, with lengths or without; `bins`: how many values a half spectrum has, else 0.
static request draw_request(reel_shape shape, bool inverse, bool half)
{
    request r = { .scale = 1 };
    int count = (int)draw_in(1, 3), first = (int)draw_in(0, 2);
    bool sizes = draw_in(0, 1);
    double total = 1;
    r.opts.dims.count = count;
    r.opts.n_sizes = sizes ? count : 0;
    for (int i = 0; i < count; i++) {
        r.dim[i] = (first + i) % 3;
        r.opts.dims.dim[i] = draw_in(0, 1) ? r.dim[i] : r.dim[i] - 3;
        bool last = half && i == count - 1;
        r.n[i] = last ? 2 * (shape.dim[r.dim[i]] - 1) : shape.dim[r.dim[i]];
        if (sizes && draw_in(0, 2)) r.n[i] = r.opts.sizes[i] = draw_in(1, 12);
        if (sizes && r.n[i] == 0) r.n[i] = r.opts.sizes[i] = 1;
        total *= (double)r.n[i];
    }
    r.opts.norm = (reel_fft_norm)draw_in(0, 2);
    if (r.opts.norm == REEL_FFT_ORTHO) r.scale = 1 / sqrt(total);
    if (r.opts.norm == (inverse ? REEL_FFT_BACKWARD : REEL_FFT_FORWARD)) r.scale = 1 / total;
    return r;
}

static void expect(reel_tensor *y, double *right, reel_shape shape, double scale, reel_dtype dtype, const char *what)
{
    int64_t n = reel_shape_numel(shape);
    cr_assert(reel_shape_equal(reel_shape_of(y), shape), "%s: another shape", what);
    double *values = values_of(y);
    for (int64_t i = 0; i < n; i++) right[i] *= scale;
    double worst = difference(values, right, n);
    cr_assert(worst < (dtype == REEL_F64 ? 1e-12 : 2e-5), "%s: off by %g", what, worst);
    free(values), free(right);
}

static void check_complex(reel_ctx *ctx, reel_dtype dtype, bool inverse)
{
    reel_shape shape = REEL_SHAPE(draw_in(1, 9), draw_in(1, 9), draw_in(1, 40));
    reel_tensor *re = draw_tensor(ctx, shape, dtype, -1, 1),
                *im = draw_in(0, 3) ? draw_tensor(ctx, shape, dtype, -1, 1) : NULL;
    request r = draw_request(shape, inverse, false);
    reel_tensor *out_re, *out_im;
    cr_assert((inverse ? reel_ifft : reel_fft)(re, im, &r.opts, &out_re, &out_im), "%s", reel_ctx_error_message(ctx));
    double *a = values_of(re), *b = im ? values_of(im) : calloc((size_t)reel_numel(re), sizeof *b);
    for (int i = 0; i < r.opts.dims.count; i++) transform_axis(&a, &b, &shape, r.dim[i], r.n[i], inverse);
    expect(out_re, a, shape, r.scale, dtype, inverse ? "ifft, re" : "fft, re");
    expect(out_im, b, shape, r.scale, dtype, inverse ? "ifft, im" : "fft, im");
}

// Keeps the first n values along an axis.
static double *cut(double *x, reel_shape *shape, int dim, int64_t n)
{
    int64_t had = shape->dim[dim], inner = 1, outer = 1;
    for (int d = 0; d < dim; d++) outer *= shape->dim[d];
    for (int d = dim + 1; d < shape->ndim; d++) inner *= shape->dim[d];
    for (int64_t o = 0; o < outer; o++)
        memmove(x + o * n * inner, x + o * had * inner, (size_t)(n * inner) * sizeof *x);
    shape->dim[dim] = n;
    return x;
}

static void check_real(reel_ctx *ctx, reel_dtype dtype)
{
    reel_shape shape = REEL_SHAPE(draw_in(1, 9), draw_in(1, 9), draw_in(1, 40));
    reel_tensor *x = draw_tensor(ctx, shape, dtype, -1, 1), *out_re, *out_im;
    request r = draw_request(shape, false, false);
    cr_assert(reel_rfft(x, &r.opts, &out_re, &out_im), "%s", reel_ctx_error_message(ctx));
    double *a = values_of(x), *b = calloc((size_t)reel_numel(x), sizeof *b);
    int last = r.opts.dims.count - 1;
    for (int i = 0; i <= last; i++) transform_axis(&a, &b, &shape, r.dim[i], r.n[i], false);
    reel_shape same = shape;
    a = cut(a, &shape, r.dim[last], r.n[last] / 2 + 1), b = cut(b, &same, r.dim[last], r.n[last] / 2 + 1);
    expect(out_re, a, shape, r.scale, dtype, "rfft, re");
    expect(out_im, b, shape, r.scale, dtype, "rfft, im");
}

// irfft reads half a spectrum as if its conjugate half were there; the imaginary parts that have no room are dropped.
static void check_half(reel_ctx *ctx, reel_dtype dtype)
{
    reel_shape shape = REEL_SHAPE(draw_in(2, 9), draw_in(2, 9), draw_in(2, 20));
    reel_tensor *re = draw_tensor(ctx, shape, dtype, -1, 1), *im = draw_tensor(ctx, shape, dtype, -1, 1);
    request r = draw_request(shape, true, true);
    reel_tensor *y = reel_irfft(re, im, &r.opts);
    sound(ctx);
    double *a = values_of(re), *b = values_of(im);
    int last = r.opts.dims.count - 1, dim = r.dim[last];
    for (int i = 0; i < last; i++) transform_axis(&a, &b, &shape, r.dim[i], r.n[i], true);
    int64_t n = r.n[last], bins = shape.dim[dim], inner = 1, outer = 1;
    for (int d = 0; d < dim; d++) outer *= shape.dim[d];
    for (int d = dim + 1; d < 3; d++) inner *= shape.dim[d];
    double *right = calloc((size_t)(outer * n * inner), sizeof *right);
    for (int64_t at = 0; at < outer * n * inner; at++) {
        int64_t o = at / (n * inner), t = at / inner % n, i = at % inner;
        for (int64_t k = 0; k <= n / 2 && k < bins; k++) {
            double angle = 2 * acos(-1) * (double)(k * t % n) / (double)n, times = k == 0 || 2 * k == n ? 1 : 2;
            int64_t from = (o * bins + k) * inner + i;
            right[at] += times * (a[from] * cos(angle) - (times > 1 ? b[from] * sin(angle) : 0));
        }
    }
    shape.dim[dim] = n;
    expect(y, right, shape, r.scale, dtype, "irfft");
    free(a), free(b);
}

static void agree_with_the_sum(reel_dtype dtype)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int turn = 0; turn < 100; turn++) REEL_SCOPE(ctx)
        {
            check_complex(ctx, dtype, false);
            check_complex(ctx, dtype, true);
            check_real(ctx, dtype);
            check_half(ctx, dtype);
        }
    reel_ctx_free(ctx);
}

Test(fft, agrees_with_the_defining_sum_in_float64) { agree_with_the_sum(REEL_F64); }
Test(fft, agrees_with_the_defining_sum_in_float32) { agree_with_the_sum(REEL_F32); }

Test(fft, the_last_axis_is_the_default)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 1, 2, 3, 5 }), *re, *im;
    cr_assert(reel_rfft(x, NULL, &re, &im));
    double *values = values_of(re);
    cr_assert(values[0] == 3 && values[1] == -1 && values[2] == 8 && values[3] == -2);
    free(values);
    cr_assert(reel_fft(x, NULL, &(reel_fft_opts) { .n_sizes = 2, .sizes = { 2, 2 } }, &re, &im));
    cr_assert_eq(reel_data_f64(re)[0], 11);
    reel_tensor *alone, *part;
    cr_assert(reel_fft(x, NULL, NULL, &alone, NULL) && reel_rfft(x, NULL, NULL, &part));
    cr_assert_eq(reel_data_f64(alone)[1], -1);
    cr_assert_eq(reel_data_f64(part)[1], 0);
    reel_ctx_free(ctx);
}

Test(fft, there_and_back_is_where_one_was)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int64_t n = 1; n < 70; n++)
        for (int norm = 0; norm < 3; norm++) REEL_SCOPE(ctx)
            {
                reel_fft_opts opts = {
                    .norm = (reel_fft_norm)norm, .dims = REEL_DIMS(0, 1), .n_sizes = 2, .sizes = { 3, n }
                };
                reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(3, n), REEL_F64, -1, 1), *re, *im;
                cr_assert(reel_rfft(x, &opts, &re, &im));
                double *there = values_of(x), *back = values_of(reel_irfft(re, im, &opts));
                cr_assert(difference(back, there, 3 * n) < 1e-14 * 10);
                free(there), free(back);
            }
    reel_ctx_free(ctx);
}

// A product of spectra is a circular convolution, and so is its gradient.
Test(fft, differentiates_a_circular_convolution)
{
    enum { N = 12 };
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(draw_tensor(ctx, REEL_SHAPE(N), REEL_F64, -1, 1), true);
    reel_tensor *w = draw_tensor(ctx, REEL_SHAPE(N), REEL_F64, -1, 1),
                *c = draw_tensor(ctx, REEL_SHAPE(N), REEL_F64, -1, 1);
    reel_tensor *x_re, *x_im, *w_re, *w_im;
    cr_assert(reel_rfft(x, NULL, &x_re, &x_im) && reel_rfft(w, NULL, &w_re, &w_im));
    reel_tensor *y_re = reel_sub(reel_mul(x_re, w_re), reel_mul(x_im, w_im));
    reel_tensor *y_im = reel_add(reel_mul(x_re, w_im), reel_mul(x_im, w_re));
    reel_tensor *y = reel_irfft(y_re, y_im, &(reel_fft_opts) { .n_sizes = 1, .sizes = { N } }), *grad;
    cr_assert(reel_grad(&y, 1, &x, 1, &c, &grad), "%s", reel_ctx_error_message(ctx));
    double *got_y = values_of(y), *got = values_of(grad), *vx = values_of(x), *vw = values_of(w), *vc = values_of(c);
    for (int t = 0; t < N; t++) {
        double sum = 0, back = 0;
        for (int s = 0; s < N; s++) sum += vx[s] * vw[(t - s + N) % N], back += vc[s] * vw[(s - t + N) % N];
        cr_assert(fabs(got_y[t] - sum) < 1e-14 && fabs(got[t] - back) < 1e-14);
    }
    free(got_y), free(got), free(vx), free(vw), free(vc);
    reel_ctx_free(ctx);
}

Test(fft, has_the_same_bits_at_any_number_of_threads)
{
    for (int dim = 0; dim < 3; dim++) {
        double *first = NULL;
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
            reel_generator g = { .seed = 3 };
            reel_tensor *x = reel_rand(ctx, &g, REEL_SHAPE(60, 50, 70), REEL_F32, -1, 1), *re, *im;
            cr_assert(reel_fft(x, x, &(reel_fft_opts) { .dims = REEL_DIMS(dim) }, &re, &im));
            double *values = values_of(reel_add(re, reel_mul_scalar(im, 3)));
            if (first) cr_assert_eq(memcmp(first, values, 60 * 50 * 70 * sizeof *values), 0);
            if (first)
                free(values);
            else
                first = values;
            reel_ctx_free(ctx);
        }
        free(first);
    }
}

Test(fft, what_does_not_fit_is_refused)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *none = reel_zeros(ctx, REEL_SHAPE(2, 0), REEL_F32);
    reel_tensor *re, *im;
    cr_assert_not(reel_fft(x, NULL, &(reel_fft_opts) { .dims = REEL_DIMS(2) }, &re, &im));
    refused(ctx, re, "fft", "dim 2 is out of range");
    cr_assert_not(reel_rfft(x, &(reel_fft_opts) { .dims = REEL_DIMS(1, -1) }, &re, &im));
    refused(ctx, im, "rfft", "named twice");
    cr_assert_not(reel_rfft(none, NULL, &re, &im));
    refused(ctx, re, "rfft", "0 values");
    cr_assert_not(reel_ifft(x, reel_zeros(ctx, REEL_SHAPE(3, 2), REEL_F32), NULL, &re, &im));
    refused(ctx, re, "ifft: ", "one shape and dtype");
    cr_assert_not(reel_ifft(reel_cast(x, REEL_I64), NULL, NULL, &re, &im));
    refused(ctx, re, "ifft: ", "int64");
    cr_assert_null(reel_irfft(x, reel_cast(x, REEL_F64), NULL));
    refused(ctx, NULL, "irfft: ", "one shape and dtype");
    refused(ctx, reel_irfft(reel_zeros(ctx, REEL_SHAPE(2, 1), REEL_F32), NULL, NULL), "irfft", "0 values");
    refused(ctx, reel_irfft(x, NULL, &(reel_fft_opts) { .n_sizes = 1, .sizes = { INT64_MAX } }), "irfft", "values");
    cr_assert(reel_fft(x, NULL, &(reel_fft_opts) { .n_sizes = 1, .sizes = { INT64_MAX / 64 } }, &re, &im));
    cr_assert_not(reel_eval(re)); // no machine has that much memory
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_MEMORY);
    reel_ctx_clear_error(ctx);
    cr_assert_not(reel_fft(reel_cast(x, REEL_I64), NULL, NULL, &re, &im));
    refused(ctx, re, "fft", "int64");
    cr_assert_not(reel_fft(x, NULL, &(reel_fft_opts) { .n_sizes = 3, .sizes = { 1, 1, 1 } }, &re, &im));
    refused(ctx, re, "fft", "3 axes");
    cr_assert_null(reel_irfft(NULL, NULL, NULL));
    sound(ctx);
    reel_ctx_free(ctx);
}

#else

Test(fft, is_refused_without_fftw)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *re, *im;
    cr_assert_not(reel_fft(reel_zeros(ctx, REEL_SHAPE(2), REEL_F32), NULL, NULL, &re, &im));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_UNSUPPORTED);
    refused(ctx, re, "fft", "no FFTW");
    reel_ctx_free(ctx);
}

#endif
