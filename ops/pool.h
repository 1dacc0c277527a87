// SPDX-License-Identifier: MIT
// Pooling over windows: max, average, power mean, adaptive, and max unpooling, in one to three dimensions.
#ifndef REEL_OPS_POOL_H
#define REEL_OPS_POOL_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Windows of a pool, by axis, slowest first: 1-D pools read entry 0, 2-D pools entries 0 and 1. Zero means the default
 * everywhere but in `kernel`, which has none. */
typedef struct reel_pool_opts {
    int64_t kernel[3];   /* window size                                                                      */
    int64_t stride[3];   /* from one window to the next; default: kernel                                     */
    int64_t padding[3];  /* cells added on both sides, at most half the kernel                               */
    int64_t dilation[3]; /* between the cells of a window, default 1; max pooling only                       */
    bool ceil_mode;      /* a last window that starts inside input or left padding counts even if it sticks out */
    bool exclude_pad;    /* average pooling: divide by the cells inside the input (count_include_pad = false) */
    int64_t divisor;     /* average pooling in 2-D and 3-D: divide by this instead (divisor_override)        */
} reel_pool_opts;

/* y[n, c, o] = max over k of x[n, c, o * stride - padding + k * dilation]; cells outside of x do not take part.
 * x: [N, C, L], [N, C, H, W] or [N, C, D, H, W], float; N may be left out.
 * oH = floor((H + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1, or ceil with ceil_mode.
 * Of equal values the first in row-major order counts (it gets the cotangent); a NaN in a window makes it NaN.
 * Errors: a window larger than the padded input, padding over half the kernel, sizes below 1. */
REEL_API reel_tensor *reel_max_pool1d(reel_tensor *x, const reel_pool_opts *opts);
REEL_API reel_tensor *reel_max_pool2d(reel_tensor *x, const reel_pool_opts *opts);
REEL_API reel_tensor *reel_max_pool3d(reel_tensor *x, const reel_pool_opts *opts);

/* The same, and where each maximum stands: int64, flat within x's plane (h * W + w), in y's shape. */
REEL_API reel_tensor *reel_max_pool1d_with_indices(reel_tensor *x, const reel_pool_opts *opts, reel_tensor **indices);
REEL_API reel_tensor *reel_max_pool2d_with_indices(reel_tensor *x, const reel_pool_opts *opts, reel_tensor **indices);
REEL_API reel_tensor *reel_max_pool3d_with_indices(reel_tensor *x, const reel_pool_opts *opts, reel_tensor **indices);

/* y[n, c, o] = sum over k of x[n, c, o * stride - padding + k] / divisor, cells outside of x being zero. The divisor is
 * the number of the window's cells inside the padded input; see exclude_pad and divisor. Shapes and errors as max_pool.
 */
REEL_API reel_tensor *reel_avg_pool1d(reel_tensor *x, const reel_pool_opts *opts);
REEL_API reel_tensor *reel_avg_pool2d(reel_tensor *x, const reel_pool_opts *opts);
REEL_API reel_tensor *reel_avg_pool3d(reel_tensor *x, const reel_pool_opts *opts);

/* y = (sum over the window of x^norm_type)^(1 / norm_type); with an infinite norm_type the largest (smallest) |x|.
 * Reads kernel, stride and ceil_mode only. As in PyTorch a window that sticks out in ceil mode counts as if its cells
 * outside had the mean of those inside. Errors: norm_type 0, and those of avg_pool. */
REEL_API reel_tensor *reel_lp_pool1d(reel_tensor *x, double norm_type, const reel_pool_opts *opts);
REEL_API reel_tensor *reel_lp_pool2d(reel_tensor *x, double norm_type, const reel_pool_opts *opts);

/* Pools to a given size: window o of an axis covers floor(o * H / oH) up to ceil((o + 1) * H / oH). `size` has one
 * entry an axis, or one for all: reel_adaptive_avg_pool2d(x, REEL_SHAPE(1, 1)) is the global average. Errors: a
 * negative size. */
REEL_API reel_tensor *reel_adaptive_avg_pool1d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_avg_pool2d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_avg_pool3d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_max_pool1d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_max_pool2d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_max_pool3d(reel_tensor *x, reel_shape size);
REEL_API reel_tensor *reel_adaptive_max_pool1d_with_indices(reel_tensor *x, reel_shape size, reel_tensor **indices);
REEL_API reel_tensor *reel_adaptive_max_pool2d_with_indices(reel_tensor *x, reel_shape size, reel_tensor **indices);
REEL_API reel_tensor *reel_adaptive_max_pool3d_with_indices(reel_tensor *x, reel_shape size, reel_tensor **indices);

typedef struct reel_unpool_opts {
    int64_t kernel[3];
    int64_t stride[3]; /* default: kernel */
    int64_t padding[3];
    reel_shape size; /* spatial sizes of the output (or its whole shape), within one stride of the default;
                        default (none): (in - 1) * stride - 2 * padding + kernel */
} reel_unpool_opts;

/* Puts x[n, c, o] at indices[n, c, o] of a plane of zeros: the partial inverse of max_pool. Where two indices are equal
 * the last value stays. x and indices: [N, C, H, W] (1-D and 3-D alike), N may be left out; indices int64.
 * Errors: shapes that differ, an index outside of the output. */
REEL_API reel_tensor *reel_max_unpool1d(reel_tensor *x, reel_tensor *indices, const reel_unpool_opts *opts);
REEL_API reel_tensor *reel_max_unpool2d(reel_tensor *x, reel_tensor *indices, const reel_unpool_opts *opts);
REEL_API reel_tensor *reel_max_unpool3d(reel_tensor *x, reel_tensor *indices, const reel_unpool_opts *opts);

REEL_END

#endif
