// SPDX-License-Identifier: MIT
// Convolution in one, two and three dimensions, its transpose, and the true convolution of signals.
#ifndef REEL_OPS_CONV_H
#define REEL_OPS_CONV_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* How a convolution is computed; every way gives the same values within rounding. One that cannot do a shape leaves the
 * choice to the cost model, as REEL_CONV_AUTO does; REEL_CONV_FFT is an error in a build without FFTW. Environment
 * REEL_CONV_ALGO ("auto", "naive", "direct", "im2col", "winograd", "winograd2", "winograd4", "winograd6", "fft",
 * "images", "winograd_rows", "winograd_columns"), read at each call, stands in for REEL_CONV_AUTO. With
 * REEL_CONV_AUTOTUNE=FILE, REEL_CONV_AUTO measures, and remembers in FILE (docs/convolution.md). */
typedef enum reel_conv_algo {
    REEL_CONV_AUTO,
    REEL_CONV_NAIVE,     /* plain loops, the reference                                    */
    REEL_CONV_DIRECT,    /* blocked in registers, reading the image in place              */
    REEL_CONV_IM2COL,    /* a matrix product over columns that are packed as they are used */
    REEL_CONV_WINOGRAD,  /* Winograd by the tile that costs least                         */
    REEL_CONV_WINOGRAD2, /* F(2x2, 3x3)                                                   */
    REEL_CONV_WINOGRAD4, /* F(4x4, 3x3)                                                   */
    REEL_CONV_WINOGRAD6, /* F(6x6, 3x3)                                                   */
    REEL_CONV_FFT,       /* products of spectra                                           */
    REEL_CONV_IMAGES,    /* direct, with vectors along the images of a batch              */
    REEL_CONV_WINOGRAD_ROWS, /* the same with F(6, 3), F(4, 5) or F(2, 7) along rows      */
    REEL_CONV_WINOGRAD_COLUMNS /* F(9 - r, r) along columns, of any stride                */
} reel_conv_algo;

typedef enum reel_conv_padding {
    REEL_CONV_PAD_GIVEN, /* opts.padding                                                                      */
    REEL_CONV_PAD_VALID, /* none                                                                              */
    REEL_CONV_PAD_SAME   /* as many zeros as keep the size (stride 1 only); an odd one goes to the end of an axis */
} reel_conv_padding;

/* Zero is the default everywhere. Lists go by spatial axis in the order of the shape: [W], [H, W] or [D, H, W]. */
typedef struct reel_conv_opts {
    int64_t stride[3];         /* default 1                                                              */
    int64_t padding[3];        /* zeros on both sides of an axis; default 0                              */
    int64_t dilation[3];       /* distance of neighbouring taps; default 1                               */
    int64_t output_padding[3]; /* transposed only: extra size at the end, below stride or dilation; default 0 */
    int64_t groups;            /* blocks of channels that do not meet; default 1                         */
    reel_conv_padding padding_mode;
    reel_conv_algo algo;
} reel_conv_opts;

/* Cross-correlation, what the field calls convolution (torch.nn.functional.conv1d, conv2d, conv3d):
 *     y[n, k, o] = bias[k] + sum over c, t of x[n, c, o * stride - padding + t * dilation] * weight[k, c, t]
 * x: [N, C, spatial...] or [C, spatial...]; weight: [K, C / groups, kernel...]; bias: [K] or NULL
 * y: [N, K, out...] or [K, out...] with out = floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
 * One float dtype throughout. Errors: ranks, channels, groups or dtypes that do not fit, an empty kernel, a kernel
 * larger than the padded input, a negative stride, padding or dilation, 'same' with a stride, sizes past memory. */
REEL_API reel_tensor *reel_conv1d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts);
REEL_API reel_tensor *reel_conv2d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts);
REEL_API reel_tensor *reel_conv3d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias, const reel_conv_opts *opts);

/* The transpose of that map, a convolution with fractional stride (conv_transpose1d, 2d, 3d):
 *     y[n, k, i * stride - padding + t * dilation] += x[n, c, i] * weight[c, k, t], plus bias[k]
 * x: [N, C, in...] or [C, in...]; weight: [C, K / groups, kernel...]; bias: [K] or NULL
 * y: [N, K, out...] with out = (in - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
 * Errors as above; 'same' is one here; output_padding has to be below the larger of stride and dilation. */
REEL_API reel_tensor *reel_conv_transpose1d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias,
                                            const reel_conv_opts *opts);
REEL_API reel_tensor *reel_conv_transpose2d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias,
                                            const reel_conv_opts *opts);
REEL_API reel_tensor *reel_conv_transpose3d(reel_tensor *x, reel_tensor *weight, reel_tensor *bias,
                                            const reel_conv_opts *opts);

typedef enum reel_convolve_mode {
    REEL_CONVOLVE_FULL, /* every overlap: sizes a + b - 1                                            */
    REEL_CONVOLVE_SAME, /* the middle of full, of a's size                                           */
    REEL_CONVOLVE_VALID /* complete overlaps only: sizes |a - b| + 1; one must hold the other on every axis */
} reel_convolve_mode;

/* The true convolution, kernel turned around, of two signals of one, two or three axes:
 *     y[i] = sum over t of a[i - t] * b[t],    so (1, 2, 3) * (4, 5, 6) = (4, 13, 28, 27, 18)
 * Values as numpy.convolve and scipy.signal.convolve. Errors: ranks that differ or are not 1 to 3, an empty signal,
 * dtypes that differ. */
REEL_API reel_tensor *reel_convolve(reel_tensor *a, reel_tensor *b, reel_convolve_mode mode);

REEL_END

#endif
