// SPDX-License-Identifier: MIT
// Spatial transformers: grids of sampling positions, and sampling an image at them, differentiable to any order.
#ifndef REEL_OPS_SAMPLE_H
#define REEL_OPS_SAMPLE_H

#include <reel/core/tensor.h>

REEL_BEGIN

typedef struct reel_affine_grid_opts {
    bool align_corners; /* -1 and 1 are the centres of the border pixels; else their outer edges (the default) */
} reel_affine_grid_opts;

/* grid[n, h, w] = theta[n] (x_w, y_h, 1): the positions an affine map sends the pixels of `size` to.
 * theta: [N, 2, 3] and size [N, C, H, W] -> [N, H, W, 2], or [N, 3, 4] and [N, C, D, H, W] -> [N, D, H, W, 3]; the last
 * axis is (x, y) or (x, y, z). Positions span [-1, 1] over the image. Jaderberg et al. 2015, eq. 1. Errors: a batch
 * that differs, sizes below 1. */
REEL_API reel_tensor *reel_affine_grid(reel_tensor *theta, reel_shape size, const reel_affine_grid_opts *opts);

/* Its adjoint: theta[n] = sum over the pixels of grid[n, h, w] (x_w, y_h, 1)^T. */
REEL_API reel_tensor *reel_affine_grid_adjoint(reel_tensor *grid, const reel_affine_grid_opts *opts);

/* The same for a plane homography: grid[n, h, w] = (u / q, v / q), (u, v, q) = theta[n] (x_w, y_h, 1).
 * theta: [N, 3, 3], size [N, C, H, W] -> [N, H, W, 2]. A point with q = 0 gives infinities. */
REEL_API reel_tensor *reel_projective_grid(reel_tensor *theta, reel_shape size, const reel_affine_grid_opts *opts);

/* The thin-plate spline that sends control[k] to points[n, k] and bends least between them, at the pixels of `size`.
 * points: [N, K, 2], control: [K, 2] (not differentiable), both (x, y) in [-1, 1]; size [N, C, H, W] -> [N, H, W, 2].
 * It is linear in the points: reel_thin_plate_matrix gives the [H * W, K] matrix, which a loop may keep.
 * Errors: fewer than three control points, or all of them on a line. Bookstein 1989. */
REEL_API reel_tensor *reel_thin_plate_grid(reel_tensor *points, reel_tensor *control, reel_shape size,
                                           const reel_affine_grid_opts *opts);
REEL_API reel_tensor *reel_thin_plate_matrix(reel_tensor *control, int64_t height, int64_t width,
                                             const reel_affine_grid_opts *opts);

typedef enum reel_sample_mode { REEL_BILINEAR, REEL_NEAREST, REEL_BICUBIC } reel_sample_mode;
typedef enum reel_sample_padding { REEL_PAD_ZEROS, REEL_PAD_BORDER, REEL_PAD_REFLECTION } reel_sample_padding;

typedef struct reel_grid_sample_opts {
    reel_sample_mode mode;            /* default bilinear (trilinear in 3-D); bicubic is 2-D only                    */
    reel_sample_padding padding_mode; /* what lies outside of the image; default zeros                               */
    bool align_corners;               /* as in reel_affine_grid                                                      */
    uint8_t order[3];                 /* order of the derivative of the interpolation along x, y, z; default 0: none */
} reel_grid_sample_opts;

/* y[n, c, p] = sum over pixels i of x[n, c, i] w(u(grid[n, p]) - i): x read at the positions of grid, in [-1, 1] from
 * edge to edge, (x, y) or (x, y, z) in its last axis. x: [N, C, H, W], grid: [N, oH, oW, 2] -> [N, C, oH, oW]; or [N,
 * C, D, H, W] and [N, oD, oH, oW, 3]. float32 or float64. Bicubic has a = -0.75; nearest rounds halves to even. With
 * opts.order = k it samples the k-th partial derivative of that function with respect to grid, so that gradients of
 * every order stay in this family. Errors: batches, ranks or dtypes that differ, an empty image, a plane of 2^31 pixels
 * or more. */
REEL_API reel_tensor *reel_grid_sample(reel_tensor *x, reel_tensor *grid, const reel_grid_sample_opts *opts);

/* Its adjoint in x: writes y into a zero image of the spatial sizes of `shape` ([.., H, W] or [.., D, H, W]) with the
 * same weights, adding where positions meet. y: [N, C, oH, oW] -> [N, C, H, W]. */
REEL_API reel_tensor *reel_grid_sample_adjoint(reel_tensor *y, reel_tensor *grid, reel_shape shape,
                                               const reel_grid_sample_opts *opts);

/* Its gradient in grid: out[n, p, a] = sum over c of y[n, c, p] d grid_sample(x, grid)[n, c, p] / d grid[n, p, a]. */
REEL_API reel_tensor *reel_grid_sample_grid_grad(reel_tensor *x, reel_tensor *grid, reel_tensor *y,
                                                 const reel_grid_sample_opts *opts);

REEL_END

#endif
