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
 * n[2] / 2 frequencies (the last one is with the first) `lanes` make a block: a block's columns (axes 0 and 1) are transformed side by side.
 */
typedef struct reel_fft_cut {
    int64_t n[3], tiles, views;
    int64_t lanes, blocks, columns; /* columns: points n[0] * n[1] */
    reel_fft_side x, w, y;
} reel_fft_cut;

/* The cut of least estimated cost, its nanoseconds into `cost` (may be NULL); false when none is within reason. */
bool reel_fft_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_fft_cut *cut, double *cost);

/* The spectra of one side: of `views` of them from `view` on, as [block][point][view][channel][lane]. Between views and
 * between points is room for a line where that makes their distance odd, so that they spread over the sets of a cache.
 * Where there are no columns, a point is LANES of the lanes. */
typedef struct reel_fft_spectra {
    const reel_fft_cut *cut;
    const reel_fft_side *side;
    const reel_spectrum_kernels_of *kernels;
    reel_dtype dtype;
    size_t unit;  /* bytes of a complex number */
    void *planes; /* memory: [outer][channel][size] */
    void *spectra;
    int64_t view, views;
    int64_t of_view, of_point, of_block; /* complex numbers from one to the next */
    const reel_conv_epilogue *epilogue;
    double scale;
    const void *plan; /* of `batch` rows */
    int64_t batch;
    int64_t together,
        of_lines; /* planes of a chunk (0: rows and columns go apart); complex numbers from block to block */
    char *lines;  /* apart: the rows' of all, [block][row][lane]; the spectra where there are no columns */
    /* Of columns, by axis (NULL: one point): where a point's row is, and where its frequency. */
    const reel_spectrum_columns *axis[2];
    const int64_t *row_at[2], *point_at[2];
    char *scratch; /* of each worker: rows before and after FFTW, lines of a chunk's rows, work of columns */
    size_t scratch_size, lines_at, work_at;
} reel_fft_spectra;

/* Fills in all but the first lines and `spectra`; false when memory is short. `back` is for the way from spectra. */
bool reel_fft_spectra_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back);
size_t reel_fft_spectra_bytes(const reel_fft_spectra *s);
void reel_fft_spectra_there(const reel_exec *exec, const reel_fft_spectra *s);
void reel_fft_spectra_back(const reel_exec *exec, const reel_fft_spectra *s);

/* Complex numbers from view to view; of so many channels. */
int64_t reel_fft_view_stride(const reel_fft_cut *cut, int64_t channels);

/* Rows [row, row + rows) of all to lines[block][row][lane], or back. An odd last one has the line behind it, too. */
bool reel_fft_rows_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back);
size_t reel_fft_rows_scratch(const reel_fft_spectra *s);
void reel_fft_rows_transform(const reel_fft_spectra *s, int64_t row, int64_t rows, void *lines, void *scratch,
                             bool back);

/* Columns of one block of a plane: lines of its rows to a spectrum, or back. The next spectrum is likely to lie `ahead`
 * of this one. `work` is of so many complex numbers. */
bool reel_fft_columns_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back);
int64_t reel_fft_columns_work(const reel_fft_cut *cut);
void reel_fft_columns_transform(const reel_fft_spectra *s, void *lines, void *spectrum, int64_t ahead, void *work,
                                bool back);

#endif
