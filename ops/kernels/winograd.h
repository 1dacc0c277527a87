// SPDX-License-Identifier: MIT
// Winograd's transforms for 3x3 kernels: between images and the T x T products of each M x M tile, T = M + 2.
//
// Y = A^T [(G g G^T) * (B^T d B)] A (Lavin & Gray 2015, eq. 8), products element by element, summed over channels. The
// weight gradient is the adjoint of that in g: G^T [sum over tiles of (B^T d B) * (A y A^T)] G.
// Vectors run over channels; images are turned around on the way in and out.
#ifndef REEL_OPS_KERNELS_WINOGRAD_H
#define REEL_OPS_KERNELS_WINOGRAD_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_WINOGRAD_COLUMNS 64 /* image columns of one call; the tiles of a call are at most (this - 2) / M */

/* A run of tiles along a row, for one block of channels (as many as a vector has lanes).
 * Product p of tile i is at products[p * product_stride + i * tile_stride], a vector of channels. */
typedef struct reel_winograd_row {
    void *images;          /* the whole tensor                                                         */
    int64_t total;         /* its elements                                                             */
    int64_t plane;         /* index of the block's first channel's plane                               */
    int64_t height, width; /* of a plane; planes follow each other                                     */
    int64_t y, x;          /* of the first tile in the plane; what lies outside of the plane is zero   */
    int channels;          /* that there are of the block; the other lanes are zero, or not stored     */
    int tiles, rows;        /* rows: of tiles; of spread alone, others take one                         */
    void *products;
    int64_t product_stride, tile_stride;
    void *stage;      /* T * REEL_WINOGRAD_COLUMNS vectors of scratch                             */
    const void *bias; /* result: of the block's channels, or NULL                                 */
    bool relu;
} reel_winograd_row;

/* Kernels of `lanes` result channels at weight + lane * lane_stride + c * in_stride, nine numbers each, back to front
 * when `flip`. Product p of input channel c goes to products[p * product_stride + c * in_products]. */
typedef struct reel_winograd_filter {
    const void *weight;
    int64_t lane_stride, in_stride, inputs;
    int64_t readable; /* elements of the tensor from `weight` on */
    int lanes;
    bool flip;
    void *products;
    int64_t product_stride, in_products;
} reel_winograd_filter;

/* The gradient of the kernels of one k and a block of c: sums of shares of products to nine numbers for each lane. */
typedef struct reel_winograd_weight {
    const void *products;
    int64_t product_stride, shares, share_stride;
    int lanes;
    void *weight;
} reel_winograd_weight;

typedef struct reel_winograd_kernels_of {
    void (*filter)(const reel_winograd_filter *filter); /* G g G^T                  */
    void (*image)(const reel_winograd_row *row);        /* B^T d B                  */
    void (*result)(const reel_winograd_row *row);       /* A^T m A to images        */
    void (*cotangent)(const reel_winograd_row *row);    /* A y A^T                  */
    /* B z B^T of all tiles of an image, added up where they overlap: the adjoint of image. `stage` is a picture of
     * (rows * M + 2) * reel_winograd_pitch(tiles, M, lanes) vectors. */
    void (*spread)(const reel_winograd_row *row);
    void (*weight)(const reel_winograd_weight *weight); /* G^T z G                  */
} reel_winograd_kernels_of;

/* Vectors of a row of spread's picture: those of the tiles, and a vector's lanes to read past them. */
static inline int64_t reel_winograd_pitch(int64_t tiles, int64_t m, int64_t lanes) { return tiles * m + 2 + lanes; }

/* [0], [1], [2] for M = 2, 4, 6. */
typedef struct reel_winograd_kernels {
    reel_winograd_kernels_of f32[3], f64[3];
} reel_winograd_kernels;

REEL_DECLARE_KERNELS(winograd)

#endif
