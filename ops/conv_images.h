// SPDX-License-Identifier: MIT
// What the parts of convolution along images share: panels of turned images, and their products along rows.
#ifndef REEL_OPS_CONV_IMAGES_H
#define REEL_OPS_CONV_IMAGES_H

#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/conv.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/kernels/winograd_rows.h>

/* Bytes of turned images at a time. */
#define REEL_IMAGES_BYTES ((int64_t)8 << 20)

typedef struct reel_images_kernels {
    const reel_exec *exec;
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    const reel_winograd_rows_of *rows;
    size_t size;
    int64_t lanes, panel; /* of a vector; images of a panel */
} reel_images_kernels;

reel_images_kernels reel_images_kernels_for(const reel_exec *exec, const reel_conv_geom *g);

/* to[panel][channel][point of extent][image] = from[image][channel][point - before], zero where there is none. With
 * `tile`, rows of points go on to the products of Winograd's tiles of so many results: images of F(tile, taps), of
 * tile + taps - 1 points each, or (cotangents) tiles of results, and to is [panel][channel][product][row][tile][image].
 */
typedef struct reel_images_turn {
    const reel_images_kernels *k;
    const void *from;
    int64_t n, channels, size[3], before[3], extent[3];
    int64_t tile, tiles; /* 0: the points themselves; tiles of a row */
    bool cotangents;
    void *to;
} reel_images_turn;

/* Elements of an image's channel in `to`. */
int64_t reel_images_points(const reel_images_turn *turn);

/* False when memory is short. */
bool reel_images_turn_all(const reel_images_turn *turn);

/* The results of a tile of `taps` taps in a row, if F(., taps) has REEL_WINOGRAD_ROWS products; else 0. */
static inline int64_t reel_images_tile(int64_t taps)
{
    int64_t tile = REEL_WINOGRAD_ROWS + 1 - taps;
    return taps > 1 && tile > 1 && tile % 2 == 0 ? tile : 0;
}

/* G w: products[q * apart + r] of the taps weight[from[r] + tap[t]], for r < count, of elements of that size. */
void reel_images_filter(size_t size, int64_t count, int64_t taps, const int64_t *from, const int64_t *tap,
                        const void *weight, void *products, int64_t apart);

/* G^T z: weight[r * taps + t] of products[q * apart + r], for r < count. */
void reel_images_taps(size_t size, int64_t count, int64_t taps, const void *products, int64_t apart, void *weight);

/* conv_images_weight.c: a weight gradient, along rows by tiles of so many results (0: none). */
bool reel_images_weight_grad(const reel_exec *exec, const reel_conv_geom *g, int64_t tile, const void *x,
                             const void *gy, void *gw);

/* Most sums of a weight gradient. */
#define REEL_IMAGES_MOST_SUMS 32768

#endif
