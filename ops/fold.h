// SPDX-License-Identifier: MIT
// Windows as columns and back, and channels as pixels and back.
#ifndef REEL_OPS_FOLD_H
#define REEL_OPS_FOLD_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Two-dimensional windows, by axis (height, width); zero means the default everywhere but in `kernel`. */
typedef struct reel_fold_opts {
    int64_t kernel[2];
    int64_t dilation[2]; /* default 1 */
    int64_t padding[2];
    int64_t stride[2]; /* default 1 */
} reel_fold_opts;

/* Every window a column: y[n, (c * kH + i) * kW + j, l] = x[n, c, h, w], the cell (i, j) of window l; zero outside of
 * x. x: [N, C, H, W] or [C, H, W], float -> [N, C * kH * kW, L] or [C * kH * kW, L], L = oH * oW. Errors: sizes below
 * 1, no window that fits. */
REEL_API reel_tensor *reel_unfold(reel_tensor *x, const reel_fold_opts *opts);

/* Its adjoint: columns added up into an image of height x width. y: [N, C * kH * kW, L] -> [N, C, height, width].
 * Errors: rows that are no multiple of kH * kW, an L that is not the number of windows. */
REEL_API reel_tensor *reel_fold(reel_tensor *y, int64_t height, int64_t width, const reel_fold_opts *opts);

/* [.., C * r * r, H, W] -> [.., C, H * r, W * r], and back. Shi et al. 2016. Errors: sizes r does not divide. */
REEL_API reel_tensor *reel_pixel_shuffle(reel_tensor *x, int64_t factor);
REEL_API reel_tensor *reel_pixel_unshuffle(reel_tensor *x, int64_t factor);

REEL_END

#endif
