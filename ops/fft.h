// SPDX-License-Identifier: MIT
// Discrete Fourier transforms over pairs of real tensors, differentiable to any order.
//
// A complex tensor is a pair (re, im) of one shape. X_k = scale * sum_t x_t exp(-2 pi i k t / n) along each axis of the
// transform, and the inverse with +i. Through FFTW; a build without it gives REEL_ERROR_UNSUPPORTED.
#ifndef REEL_OPS_FFT_H
#define REEL_OPS_FFT_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Where 1 / (n0 n1 ...) goes: to the inverse (the default), half (its root) to each, or to the forward transform. */
typedef enum reel_fft_norm { REEL_FFT_BACKWARD, REEL_FFT_ORTHO, REEL_FFT_FORWARD } reel_fft_norm;

typedef struct reel_fft_opts {
    reel_dims dims;               /* axes; default the last one, or as many last ones as sizes are given */
    int n_sizes;                  /* sizes given: none (the tensor's), or one for every axis of the transform */
    int64_t sizes[REEL_MAX_DIMS]; /* the input is cut, or padded with zeros at its end, to these; 0 keeps */
    reel_fft_norm norm;
} reel_fft_opts;

/* Complex transform and its inverse. `im` may be NULL (zero); out_re and out_im, unless NULL, get the pair. false on error. */
REEL_API bool reel_fft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts, reel_tensor **out_re,
                       reel_tensor **out_im);
REEL_API bool reel_ifft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts, reel_tensor **out_re,
                        reel_tensor **out_im);

/* Transform of a real tensor: the last axis of the transform keeps n / 2 + 1 values, the rest being their conjugates.
 */
REEL_API bool reel_rfft(reel_tensor *x, const reel_fft_opts *opts, reel_tensor **out_re, reel_tensor **out_im);

/* Inverse of rfft: real, with opts->sizes' last length along the last axis (default 2 (m - 1) for m values). */
REEL_API reel_tensor *reel_irfft(reel_tensor *re, reel_tensor *im, const reel_fft_opts *opts);

REEL_END

#endif
