// SPDX-License-Identifier: MIT
// What the parts of convolution along images share: panels of turned images, and their products along rows.
#ifndef REEL_OPS_CONV_IMAGES_H
#define REEL_OPS_CONV_IMAGES_H

#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/conv.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/kernels/winograd_rows.h>
#include <reel/ops/turned.h>

/* Bytes of all factors of the sums of a tile that the first cache holds. */
#define REEL_IMAGES_SHORT (24 << 10)

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
 * tile.results, rows of points go on to the products of Winograd's tiles: images, of as many points as products, or
 * (cotangents) tiles of results, and to is [panel][channel][product][row][tile][image]. */
typedef struct reel_images_turn {
    const reel_images_kernels *k;
    const void *from;
    int64_t n, channels, size[3], before[3], extent[3];
    reel_winograd_tile tile; /* results 0: the points themselves */
    int64_t tiles;           /* of a row */
    bool cotangents;
    bool turned; /* `from` lies so already: [panel][channel][point][image] */
    void *to;
} reel_images_turn;

/* Points of an image's channel in `to`, those between channels included. */
int64_t reel_images_points(const reel_images_turn *turn);

/* Whether there is nothing to do: `from` is what `to` would be. */
bool reel_images_are_turned(const reel_images_turn *turn);

/* False when memory is short. */
bool reel_images_turn_all(const reel_images_turn *turn);

/* to[image * apart + q] = taps[q * panel + image] for q < points, image < images; reads eight taps at a time. */
void reel_images_unpack_taps(int64_t points, int64_t images, const uint8_t *taps, int64_t panel, uint8_t *to,
                             int64_t apart);

/* conv_images_rows.c. G, [tap][product]: the power of each product's point over what B^T leaves out, which is the product
 * of its differences to the other points; the last tap's at infinity. B^T's first row has the sign that makes G's
 * positive. */
#define REEL_IMAGES_TAPS 7
typedef struct reel_images_powers {
    int64_t taps, products;
    double g[REEL_IMAGES_TAPS][REEL_WINOGRAD_PRODUCTS];
} reel_images_powers;

void reel_images_fill_powers(int64_t taps, int64_t products, reel_images_powers *powers);

/* G w: products[q * apart + r] of taps weight[from[r] + tap[t]], of which those with tap[t] < 0 are zero, for
 * r < count. */
void reel_images_filter(size_t size, int64_t count, const reel_images_powers *powers, const int64_t *from,
                        const int64_t *tap, const void *weight, void *products, int64_t apart);

/* G^T z: weight[r * taps + t] of products[q * apart + r], for r < count. */
void reel_images_taps(size_t size, int64_t count, const reel_images_powers *powers, const void *products, int64_t apart,
                      void *weight);

/* One gather of a forward pass or an input gradient. */
typedef struct reel_images_pass {
    reel_images_kernels k;
    int64_t n, groups, inputs, outputs;
    int64_t src_size[3], kernel[3];
    const void *src, *weight;
    bool src_turned, result_turned;
    bool crossed; /* weight: [input][output] */
    const reel_conv_epilogue *epilogue;
    reel_conv_places places;
    reel_conv_gather gather;
    int64_t depth;
    reel_winograd_tile tile; /* results 0: no tiles */
    int64_t tiles;           /* of a row */
    bool adjoint;  /* an input gradient by the adjoint of forward's steps, tiles of cotangents, where those are fewer */
    reel_images_powers powers;
    void *filters; /* with tiles, of the weight: [group][product][output][input][tap of axis 0][tap of axis 1] */
    int64_t src_row; /* elements of a turned row, with tiles of one product */
    bool runs;           /* one output's sums take several points of a row at a time */
    bool in_a_row;       /* with runs, their taps share what is loaded, and rows need no zeros around */
    int64_t before;      /* with runs, zeros in front of a turned row, so that all its points have the same taps */
    int64_t all_lines, lines, bands; /* result rows, and those of a band; bands of an image */
    int64_t together;                /* panels of a chunk, which share their tables */
    int64_t first, here;             /* image of what is turned, and panels of it */
    void *turned;
    int64_t of_channel, of_panel; /* its elements of a channel, of a panel */
    char *scratch;    /* of each worker: two tables of offsets, sums, products, a pool's taps */
    size_t scratch_size, sums_at, products_at, taps_at;
} reel_images_pass;

/* Some result rows of some panels, on one worker. */
typedef struct reel_images_band {
    const reel_images_pass *p;
    int64_t group, panels, from, lines;
    const void *src; /* of the first panel */
    int64_t src_panel, sums_panel;
    char *sums, *products; /* [panel][output][row][point]; with tiles, [row][output][product][tile] */
} reel_images_band;

/* The taps of an axis that result m has within the image: [low, high), and where the first of them lies. */
int64_t reel_images_seen(const reel_images_pass *p, int axis, int64_t m, int64_t *low, int64_t *high);

/* conv_images_rows.c, of a pass with tiles: G of its weights, false when memory is short; scratch for a row of a band;
 * the results of a panel's band, all rows of a product and of some tiles at a time, whose sources stay in the first
 * cache. */
bool reel_images_make_filters(reel_images_pass *p);
int64_t reel_images_tile_tables(const reel_images_pass *p);
void reel_images_multiply_tiles(const reel_images_band *b, void *scratch);

/* conv_images_weight.c: a weight gradient, along rows by tiles if they have results. */
bool reel_images_weight_grad(const reel_exec *exec, const reel_conv_call *call, reel_winograd_tile tile);

/* Most sums of a weight gradient. */
#define REEL_IMAGES_MOST_SUMS 32768

#endif
