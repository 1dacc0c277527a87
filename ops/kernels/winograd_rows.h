// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along rows of points: m results by r taps from m + r - 1 products.
//
// y = A^T [(G w) * (B^T d)] (Lavin & Gray 2015, eq. 5) at the points 0, +-1, +-2, +-1/2 and infinity for eight products,
// F(6, 3) and F(4, 5), and with +-3/4 for the ten of F(4, 7); B^T depends on the points alone. Of the pairs tried as
// the fourth, +-3/4 errs least. Vectors run over a panel of images, so that rows may be as short as they like, or along
// the rows of a picture whose columns are the rows of points, by F(9 - r, r) for r = 2 to 7.
#ifndef REEL_OPS_KERNELS_WINOGRAD_ROWS_H
#define REEL_OPS_KERNELS_WINOGRAD_ROWS_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_WINOGRAD_PRODUCTS 10 /* of a tile, at most */

typedef struct reel_winograd_tile {
    int64_t results, products; /* 0: none for such a kernel */
} reel_winograd_tile;

/* For a kernel of so many taps. */
static inline reel_winograd_tile reel_winograd_tile_of(int64_t taps)
{
    switch (taps) {
    case 3: return (reel_winograd_tile) { 6, 8 };
    case 5: return (reel_winograd_tile) { 4, 8 };
    case 7: return (reel_winograd_tile) { 4, 10 };
    default: return (reel_winograd_tile) { 0, 0 };
    }
}

/* Rows of points, [row][point][lane], and their products, [product][row][tile][lane], `panel` lanes each; a row of points
 * begins `points_row` elements after the one before. A tile has an even number of results but for image and result. */
typedef struct reel_winograd_rows {
    reel_winograd_tile tile;
    int64_t rows, tiles, panel;
    void *points, *products;
    int64_t points_row;
    int64_t width;    /* but image: points of a row, the rest of the last tile is dropped or zero  */
    int64_t before;   /* image_grad: points of the first tile that are dropped                     */
    const void *bias; /* result, image_grad: a number for each row, or NULL                        */
    bool relu;
    /* image, if height > 0: rows are pictures of height x width, points their rows from `first` on, lanes their columns
     * from `column` on (if negative, a multiple of a vector's lanes), with zeros around them. */
    int64_t height, first, column;
} reel_winograd_rows;

/* A result row of some outputs, REEL_WINOGRAD_LINE or more: of each tile, panels of two vectors that lie side by side, the
 * products m[q][j] = sum over i < depth of filters[q][j][filter_off[i]] * source[q][source_off[i]], and act(A^T m + bias).
 * For few terms, whose factors the first cache holds. */
#define REEL_WINOGRAD_LINE 3
typedef struct reel_winograd_line {
    reel_winograd_tile tile;
    int64_t depth, outputs, tiles, width;
    const void *source, *filters;
    int64_t source_product, filter_row; /* elements between products of the source, between rows of filters */
    const int64_t *source_off, *filter_off;
    void *points;       /* [output][point][lane] */
    int64_t points_row; /* elements between outputs */
    const void *bias;   /* a number for each output, or NULL */
    bool relu;
} reel_winograd_line;

typedef struct reel_winograd_rows_of {
    void (*image)(const reel_winograd_rows *rows);  /* B^T d, of points that tile + taps - 1 of a tile are read from */
    void (*result)(const reel_winograd_rows *rows); /* act(A^T m + bias)                                             */
    void (*line)(const reel_winograd_line *line);    /* NULL where code is to be small                               */
    void (*cotangent)(const reel_winograd_rows *rows);  /* A y                                                     */
    void (*image_grad)(const reel_winograd_rows *rows); /* act(B z + bias), added up where tiles overlap           */
} reel_winograd_rows_of;

/* Float64 takes the baseline's everywhere: transforms are the smaller part of a convolution. */
#if defined(REEL_ISA_IS_AVX2) || defined(REEL_ISA_IS_AVX512)
#define REEL_WINOGRAD_ROWS_F64 0
#else
#define REEL_WINOGRAD_ROWS_F64 1
#endif
REEL_DECLARE_KERNELS_BY_DTYPE_(winograd_rows, reel_winograd_rows_of, reel_winograd_rows_for,
                               dtype == REEL_F64 && isa > REEL_ISA_BASE ? REEL_ISA_BASE : isa)

#endif
