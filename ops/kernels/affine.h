// SPDX-License-Identifier: MIT
// Affine grids of points, `axes` (2 or 3) numbers each, and their adjoint.
#ifndef REEL_OPS_KERNELS_AFFINE_H
#define REEL_OPS_KERNELS_AFFINE_H

#include <reel/ops/kernels/dispatch.h>

typedef struct reel_affine_kernels_of {
    /* One row of a grid: out[i, a] = sum over b of theta[a, b] (x[i], rest)[b] for i < n; theta is axes x (axes + 1),
     * `rest` the other coordinates and the final 1. */
    void (*row)(int axes, const void *theta, const void *x, const void *rest, int64_t n, void *out);
    /* The adjoint over rows of a grid of these sizes (W, H, D) and coordinates by axis: moments[a, b] = the sum over
     * the points of grid[point, a] (x, y, z, 1)[b], axes x (axes + 1) numbers. */
    void (*moments)(int axes, const void *grid, char *const base[3], const int64_t size[3], int64_t row, int64_t rows,
                    void *moments);
} reel_affine_kernels_of;

REEL_DECLARE_KERNELS_BY_DTYPE(affine, reel_affine_kernels_of, reel_affine_of)

#endif
