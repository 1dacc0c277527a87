// SPDX-License-Identifier: MIT
// Convolution by spectra: transform sizes, tiles, and the way of planes to spectra and back. Not installed.
#ifndef REEL_OPS_CONV_FFT_H
#define REEL_OPS_CONV_FFT_H

#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/spectrum.h>

/* One of the three operands: x[view, c], w[k, c] or y[view, k], where a view is a tile of an image (w: one of the k).
 * By axis, element r < count of tile t is element first + t * step + r of the plane, if there is one, and stands at
 * point at + r * spread of the transform. */
typedef struct reel_fft_side {
    int64_t channels, tiles[3], size[3];
    int64_t first[3], step[3], count[3], at[3], spread[3];
    int64_t rows; /* of a plane: count[0] * count[1] */
    int sign;     /* of the transform's exponent */
} reel_fft_side;

/* A pass cut into transforms of n[0] x n[1] x n[2] points. Rows (axis 2) are transformed by themselves. Of their
 * n[2] / 2 + 1 frequencies `lanes` make a block: a block's columns (axes 0 and 1) and products are one piece of work.
 */
typedef struct reel_fft_cut {
    int64_t n[3], tiles, views;
    int64_t lanes, blocks, columns; /* columns: points n[0] * n[1] */
    reel_fft_side x, w, y;
} reel_fft_cut;

/* The cut of least estimated cost, its nanoseconds into `cost` (may be NULL); false when none is within reason. */
bool reel_fft_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_fft_cut *cut, double *cost);

/* Rows of a side's planes: `views` of them from `view` on, as [block][view][channel][row][lane]. Between views is room
 * for a row where that makes their distance odd, so that views spread over the sets of a cache. */
typedef struct reel_fft_rows {
    const reel_fft_cut *cut;
    const reel_fft_side *side;
    const reel_spectrum_kernels_of *kernels;
    size_t unit; /* bytes of a complex number */
    size_t element;
    void *planes; /* memory: [outer][channel][size]  */
    void *lines;  /* the rows' spectra               */
    int64_t view, views;
    int64_t stride, of_view; /* complex numbers from block to block; rows from view to view */
    const reel_conv_epilogue *epilogue;
    double scale;
    const void *plan; /* of `batch` lines */
    int64_t batch;
    char *scratch; /* of each worker: twice `batch` lines */
    size_t scratch_size;
} reel_fft_rows;

/* Fills in strides, plan, batch and scratch; false when memory is short. `back` is for the way from spectra to planes.
 */
bool reel_fft_rows_prepare(const reel_exec *exec, reel_fft_rows *rows, reel_dtype dtype, bool back);
void reel_fft_rows_there(const reel_exec *exec, const reel_fft_rows *rows);
void reel_fft_rows_back(const reel_exec *exec, const reel_fft_rows *rows);

/* Columns of a side's planes in a block, whose spectra are `point` complex numbers from point to point. By axis (NULL:
 * one point), where a point's row is, and where its frequency. */
typedef struct reel_fft_columns {
    const reel_fft_rows *rows;
    const reel_spectrum_columns *axis[2];
    const int64_t *row_at[2], *point_at[2];
    int64_t point;
} reel_fft_columns;

/* False when memory is short. Transforms want scratch of so many complex numbers. */
bool reel_fft_columns_prepare(const reel_exec *exec, reel_fft_columns *columns, const reel_fft_rows *rows,
                              reel_dtype dtype, int64_t point, bool back);
int64_t reel_fft_columns_scratch(const reel_fft_cut *cut);
/* One plane: its rows' lines in a block to its spectrum, or back. */
void reel_fft_columns_transform(const reel_fft_columns *columns, void *lines, void *spectrum, void *scratch, bool back);

#endif
