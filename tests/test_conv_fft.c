// SPDX-License-Identifier: MIT
// Convolution by FFT on the large kernels it is for, and what a build without FFTW says.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/ops/conv_algo.h>
#include <reel/reel.h>
#include <string.h>

#ifdef REEL_HAVE_FFTW

/* The kernel, stride, dilation and padding are those of every axis. */
typedef struct large_case {
    int rank;
    int64_t n, groups, c, k, height, width, kernel, stride, dilation, pad; /* height: of axes before the last */
} large_case;

static const large_case cases[] = {
    { 1, 2, 1, 3, 2, 1, 3000, 200, 1, 1, 0 }, { 1, 1, 1, 1, 1, 1, 3000000, 64, 1, 1, 5 }, /* in several batches */
    { 1, 1, 1, 2, 3, 1, 5000, 61, 3, 2, 17 }, { 1, 3, 4, 8, 12, 1, 700, 151, 1, 1, 75 },
    { 2, 2, 1, 3, 5, 64, 61, 31, 1, 1, 15 },  { 2, 1, 1, 1, 1, 300, 280, 21, 1, 1, 10 },
    { 2, 1, 1, 2, 2, 120, 120, 19, 2, 1, 4 }, { 2, 1, 2, 4, 4, 70, 90, 11, 1, 4, 9 },
    { 2, 2, 1, 64, 64, 24, 24, 9, 1, 1, 4 },  { 2, 1, 6, 6, 6, 33, 47, 13, 1, 1, 30 }, /* many weights; depthwise */
    { 2, 1, 1, 2, 3, 40, 200, 25, 1, 1, 3 },  { 3, 1, 1, 2, 3, 20, 22, 7, 1, 1, 3 },
    { 3, 1, 1, 1, 2, 9, 70, 6, 2, 1, 2 },
};
enum { CASES = sizeof cases / sizeof cases[0] };

static reel_tensor *noise(reel_ctx *ctx, const large_case *s, int64_t a, int64_t b, int64_t height, int64_t width)
{
    reel_shape shape = { .ndim = s->rank + 2, .dim = { a, b } };
    for (int i = 0; i < s->rank; i++) shape.dim[2 + i] = i == s->rank - 1 ? width : height;
    return reel_rand(ctx, NULL, shape, REEL_F32, -1, 1);
}

/* y, gx and gw of float32 values in `dtype`; the results as float64. */
static void results_of(const large_case *s, reel_conv_algo algo, reel_dtype dtype, reel_tensor *const in[4],
                       reel_tensor *out[3])
{
    reel_conv_opts opts = { .groups = s->groups, .algo = algo };
    for (int i = 0; i < s->rank; i++)
        opts.stride[i] = s->stride, opts.dilation[i] = s->dilation, opts.padding[i] = s->pad;
    reel_tensor *x = reel_detach(reel_cast(in[0], dtype)), *w = reel_detach(reel_cast(in[1], dtype)),
                *bias = reel_cast(in[2], dtype), *gy = reel_cast(in[3], dtype), *grads[2];
    reel_set_requires_grad(x, true);
    reel_set_requires_grad(w, true);
    reel_tensor *y = (s->rank == 1 ? reel_conv1d : s->rank == 2 ? reel_conv2d : reel_conv3d)(x, w, bias, &opts);
    reel_grad(&y, 1, (reel_tensor *[]) { x, w }, 2, &gy, grads);
    out[0] = reel_cast(y, REEL_F64);
    for (int i = 0; i < 2; i++) out[1 + i] = reel_cast(grads[i], REEL_F64);
}

/* Largest difference over 1 + the largest value. */
static double error_of(reel_tensor *t, reel_tensor *expected)
{
    const double *a = reel_data_f64(t), *b = reel_data_f64(expected);
    double worst = 0, largest = 0;
    if (!a || !b) return INFINITY;
    for (int64_t i = 0; i < reel_numel(t); i++) {
        if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
        largest = fmax(largest, fabs(b[i]));
    }
    return worst / (1 + largest);
}

static int64_t out_size(const large_case *s, int64_t in)
{
    return (in + 2 * s->pad - s->dilation * (s->kernel - 1) - 1) / s->stride + 1;
}

Test(conv_fft, agrees_with_im2col_on_large_kernels)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int i = 0; i < CASES; i++) {
        const large_case *s = &cases[i];
        REEL_SCOPE(ctx)
        {
            reel_tensor *in[4] = { noise(ctx, s, s->n, s->c, s->height, s->width),
                                   noise(ctx, s, s->k, s->c / s->groups, s->kernel, s->kernel),
                                   reel_rand(ctx, NULL, REEL_SHAPE(s->k), REEL_F32, -1, 1),
                                   noise(ctx, s, s->n, s->k, out_size(s, s->height), out_size(s, s->width)) };
            reel_tensor *expected[3], *f64[3], *f32[3];
            results_of(s, REEL_CONV_IM2COL, REEL_F64, in, expected);
            results_of(s, REEL_CONV_FFT, REEL_F64, in, f64);
            results_of(s, REEL_CONV_FFT, REEL_F32, in, f32);
            for (int pass = 0; pass < 3; pass++) {
                double error = error_of(f64[pass], expected[pass]), f32_error = error_of(f32[pass], expected[pass]);
                cr_log_info("case %d pass %d: %g, %g", i, pass, error, f32_error);
                cr_expect(error < 1e-14, "case %d pass %d: %g", i, pass, error);
                cr_expect(f32_error < 2e-6, "case %d pass %d in float32: %g", i, pass, f32_error);
            }
        }
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

static const char *chosen(int rank, int64_t n, int64_t channels, int64_t side, int64_t kernel, reel_conv_pass pass)
{
    reel_conv_geom g = { .dtype = REEL_F32, .n = n, .groups = 1, .c = channels, .k = channels };
    for (int i = 0; i < 3; i++) {
        bool there = i >= 3 - rank;
        g.in[i] = g.out[i] = there ? side : 1;
        g.kernel[i] = there ? kernel : 1;
        g.stride[i] = g.dilation[i] = 1;
        g.pad[i] = there ? kernel / 2 : 0;
    }
    return reel_conv_choose(&g, pass, REEL_CONV_AUTO)->name;
}

Test(conv_fft, is_chosen_for_large_kernels_only)
{
    for (int pass = 0; pass < 3; pass++) {
        cr_expect_str_eq(chosen(2, 8, 16, 64, 15, pass), "fft");
        cr_expect_str_eq(chosen(2, 8, 16, 64, 51, pass), "fft");
        cr_expect_str_eq(chosen(2, 1, 1, 1024, 63, pass), "fft");
        cr_expect_str_eq(chosen(1, 1, 1, 1000000, 4097, pass), "fft");
        cr_expect_str_eq(chosen(1, 16, 64, 16000, 251, pass), "fft");
        cr_expect_str_neq(chosen(2, 8, 16, 64, 3, pass), "fft");
        cr_expect_str_neq(chosen(2, 1, 1, 512, 5, pass), "fft");
        cr_expect_str_neq(chosen(1, 1, 1, 1000, 5, pass), "fft");
    }
}

Test(conv_fft, leaves_what_is_past_reason_to_others)
{
    reel_conv_geom g = { .dtype = REEL_F32,
                         .n = 1,
                         .groups = 1,
                         .c = 4096,
                         .k = 4096,
                         .in = { 1, 99, 99 },
                         .kernel = { 1, 31, 31 },
                         .out = { 1, 69, 69 },
                         .stride = { 1, 1, 1 },
                         .dilation = { 1, 1, 1 } };
    for (int pass = 0; pass < 3; pass++) cr_expect_str_neq(reel_conv_choose(&g, pass, REEL_CONV_FFT)->name, "fft");
}

#else

Test(conv_fft, is_refused_by_a_build_without_fftw)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 1, 5, 5), REEL_F32),
                *w = reel_ones(ctx, REEL_SHAPE(1, 1, 3, 3), REEL_F32);
    cr_assert_null(reel_conv2d(x, w, NULL, &(reel_conv_opts) { .algo = REEL_CONV_FFT }));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_UNSUPPORTED);
    cr_assert(strstr(reel_ctx_error_message(ctx), "no FFTW"), "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

#endif
