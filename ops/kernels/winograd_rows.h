// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along rows of points, of eight products: m = 9 - r results by r = 2 to 7 taps.
//
// y = A^T [(G w) * (B^T d)] (Lavin & Gray 2015, eq. 5) at the points 0, +-1, +-2, +-1/2 and infinity; B^T depends on
// the points alone and is the same for all of them. Vectors run over a panel of images, so that rows may be as short as
// they like, or along the rows of a picture whose columns are the rows of points.
#ifndef REEL_OPS_KERNELS_WINOGRAD_ROWS_H
#define REEL_OPS_KERNELS_WINOGRAD_ROWS_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_WINOGRAD_ROWS 8 /* products of a tile */

/* Rows of points, [row][point][lane], and their products, [product][row][tile][lane], `panel` lanes each. A tile is
 * `tile` results, an even number of them but for image and result; a row of points begins `points_row` elements after the
 * one before. */
typedef struct reel_winograd_rows {
    int64_t rows, tiles, tile, panel;
    void *points, *products;
    int64_t points_row;
    int64_t width;    /* result, image_grad: points of a row, the rest of the last tile is dropped */
    int64_t before;   /* image_grad: points of the first tile that are dropped                     */
    const void *bias; /* result, image_grad: one number, or NULL                                   */
    bool relu;
    /* image, if height > 0: rows are pictures of height x width, points their rows from `first` on, lanes their columns from
     * `column` on (if negative, a multiple of a vector's lanes), with zeros around them. */
    int64_t height, first, column;
} reel_winograd_rows;

typedef struct reel_winograd_rows_of {
    void (*image)(const reel_winograd_rows *rows);  /* B^T d, of points that tile + taps - 1 of a tile are read from */
    void (*result)(const reel_winograd_rows *rows); /* act(A^T m + bias)                                             */
    void (*cotangent)(const reel_winograd_rows *rows);  /* A y                                                     */
    void (*image_grad)(const reel_winograd_rows *rows); /* act(B z + bias), added up where tiles overlap           */
} reel_winograd_rows_of;

REEL_DECLARE_LARGE_KERNELS(winograd_rows, reel_winograd_rows_of, reel_winograd_rows_for)

#endif
