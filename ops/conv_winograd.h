// SPDX-License-Identifier: MIT
// What the passes of Winograd convolution share: sizes, tiles, and operands in the transformed domain. Not installed.
#ifndef REEL_OPS_CONV_WINOGRAD_H
#define REEL_OPS_CONV_WINOGRAD_H

#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/kernels/winograd.h>
#include <stdatomic.h>

/* The image a convolution reads, or the one it makes: an m x m tile of the latter needs m + 2 columns of the former. */
typedef struct reel_winograd_side {
    int64_t channels, padded; /* of a group; rounded up to whole vectors                                   */
    int64_t height, width;
    int64_t offset_y, offset_x; /* tile (0, 0) starts at (-offset_y, -offset_x)                            */
} reel_winograd_side;

/* Tiles of a batch: of each image for itself (across = 0), or of a mosaic with image i at row i / across * period_y and
 * column i % across * period_x, zero between images, which is then the one image there is. */
typedef struct reel_winograd_cut {
    int64_t across, period_y, period_x;
    int64_t tiles_y, tiles_x, of_image, tiles; /* of an image; of all */
} reel_winograd_cut;

typedef struct reel_winograd {
    const reel_gemm_kernels_of *gemm;
    const reel_winograd_kernels_of *kernels;
    size_t size;         /* of an element                                                       */
    int m, lanes, panel; /* tile; elements of a vector, and of the widest row of a register tile */
    int64_t products;    /* (m + 2)^2                                                           */
    int64_t groups, n;
    reel_winograd_side in, out;
    reel_winograd_cut cut;
    int64_t sub;                                  /* tiles of a phase's chunk: whole rows where these are short */
    int64_t block;                                /* tiles that are worked on at a time                   */
    bool phased;                                  /* a block is shared by all workers, or each has its own */
    const int64_t *panel_rows[REEL_GEMM_VECTORS]; /* offset tables: i * width, for panels of 1, 2 ... vectors */
} reel_winograd;

/* One operand's products, for the tiles from `first` on: channel c and tile i have theirs at
 * c / panel * panel_stride + c % panel + (i - first) * (the panel's width), `stride` elements apart. */
typedef struct reel_winograd_operand {
    const reel_winograd_side *side;
    void (*transform)(const reel_winograd_row *row); /* between images and products */
    void *images, *products;
    int64_t stride, panel, panel_stride, first;
    const void *bias;
    bool relu;
    atomic_bool *odd; /* set where a mosaic has what is neither a number nor finite; or NULL */
} reel_winograd_operand;

/* Estimated nanoseconds for a product of a tile, its matrix product and transforms, in a mosaic or not. */
double reel_winograd_tile_cost(const reel_conv_geom *g, bool mosaic);
/* The cut of least cost, without mosaics unless `mosaic`. The geometry's padding may be negative. */
reel_winograd_cut reel_winograd_cut_of(const reel_conv_geom *g, int m, bool mosaic);
/* All but block and the tables. */
void reel_winograd_setup(reel_winograd *s, const reel_exec *exec, const reel_conv_geom *g, int m, bool mosaic);
/* panel_rows for `depth` rows; false when memory is short. */
bool reel_winograd_tables(reel_winograd *s, const reel_exec *exec, int64_t depth);
/* 0, step, 2 step ... or NULL when memory is short. */
int64_t *reel_winograd_steps(const reel_exec *exec, int64_t count, int64_t step);

/* Lays out an operand for blocks of `tiles`, panel by panel or (panel 0) with all channels of a tile together; returns
 * the elements it needs. */
int64_t reel_winograd_layout(const reel_winograd *s, reel_winograd_operand *operand, int64_t tiles, int64_t panel);
/* Scratch elements of one worker's transforms. */
int64_t reel_winograd_stage(const reel_winograd *s, bool spread);
/* An operand's tiles [first, last), channels [c0, c1) of a group: images to products or the other way. With `spread` by
 * whole images. */
void reel_winograd_transform(const reel_winograd *s, const reel_winograd_operand *operand, int64_t group, int64_t first,
                             int64_t last, int64_t c0, int64_t c1, bool spread, void *stage);
/* A run of tiles from (y, x) of the mosaic on; row->plane is the channel of an image. */
void reel_winograd_transform_mosaic(const reel_winograd *s, const reel_winograd_operand *operand,
                                    reel_winograd_row *row);

/* C[rows][vectors] (+)= A[rows][depth] * B: A's row j starts at a + j * row_step, its elements a_off apart; B is a
 * panel of that many vectors. */
void reel_winograd_multiply(const reel_winograd *s, int64_t rows, int64_t row_step, const void *a, const int64_t *a_off,
                            int64_t depth, const void *b, int vectors, void *c, int64_t ldc, bool add);

bool reel_winograd_weight_grad(const reel_exec *exec, const reel_conv_call *call, int m);

#endif
