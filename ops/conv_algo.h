// SPDX-License-Identifier: MIT
// What a convolution algorithm is to the rest: support, cost and three passes over plain memory. Not installed.
#ifndef REEL_OPS_CONV_ALGO_H
#define REEL_OPS_CONV_ALGO_H

#include <reel/core/dtype.h>
#include <reel/core/exec.h>
#include <reel/ops/conv.h>

/* A convolution as numbers, always in three spatial axes (those that are missing come first, with size and kernel 1):
 *     y[n, k, o] = sum over c, t of x[n, c, o * stride - pad + t * dilation] * w[k, c, t]
 * where x is zero outside [0, in) and c runs over the c / groups channels of k's group. The zeros behind the image are
 * given by `out`. `pad` is never negative; taps may lie wholly in the padding. All memory is row-major:
 * x: [n, c, in], w: [k, c / groups, kernel], y: [n, k, out]. Any size may be 0 but kernel, out, stride and groups. */
typedef struct reel_conv_geom {
    reel_dtype dtype; /* REEL_F32 or REEL_F64 */
    int64_t n, groups, c, k;
    int64_t in[3], kernel[3], out[3];
    int64_t stride[3], dilation[3], pad[3];
} reel_conv_geom;

typedef enum reel_conv_pass { REEL_CONV_FORWARD, REEL_CONV_INPUT_GRAD, REEL_CONV_WEIGHT_GRAD } reel_conv_pass;

/* What is done to every element of a result of forward or input_grad before it is stored: plus its channel's bias (NULL:
 * none), then max(0, .) if relu. */
typedef struct reel_conv_epilogue {
    const void *bias;
    bool relu;
} reel_conv_epilogue;

/* One algorithm. The passes return false when scratch memory is short; each overwrites all of its result, whose bits may
 * depend on the geometry and on exec->isa but not on exec->threads. */
typedef struct reel_conv_impl {
    const char *name;
    /* Whether the pass can be done: all of the geometry, and sizes of scratch within reason. */
    bool (*supports)(const reel_conv_geom *g, reel_conv_pass pass);
    /* Estimated nanoseconds on one core with AVX-512; only the order among algorithms matters. INFINITY: only on demand. */
    double (*cost)(const reel_conv_geom *g, reel_conv_pass pass);
    bool (*forward)(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *w,
                    const reel_conv_epilogue *epilogue, void *y);
    /* gx[n, c, i] = sum over k, o, t with o * stride - pad + t * dilation = i of gy[n, k, o] * w[k, c, t] */
    bool (*input_grad)(const reel_exec *exec, const reel_conv_geom *g, const void *gy, const void *w,
                       const reel_conv_epilogue *epilogue, void *gx);
    /* gw[k, c, t] = sum over n, o of gy[n, k, o] * x[n, c, o * stride - pad + t * dilation] */
    bool (*weight_grad)(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *gy, void *gw);
} reel_conv_impl;

extern const reel_conv_impl reel_conv_naive, reel_conv_direct, reel_conv_im2col, reel_conv_winograd2,
    reel_conv_winograd4, reel_conv_winograd6;
#ifdef REEL_HAVE_FFTW
extern const reel_conv_impl reel_conv_fft;
#endif

/* The algorithm a pass is played with: `wanted` when it supports the pass, else the one of least cost. */
const reel_conv_impl *reel_conv_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_conv_algo wanted);

/* 2 n k out (c / groups) kernel: the arithmetic of the plain loops. */
double reel_conv_flops(const reel_conv_geom *g);

#endif
