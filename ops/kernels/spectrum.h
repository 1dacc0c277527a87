// SPDX-License-Identifier: MIT
// What convolution by spectra does around FFTW's transforms: rows in and out of complex lines, and products.
//
// Complex numbers are interleaved pairs. Real rows go through complex transforms in twos, z = a + i b: with Z the
// transform of z over n points, those of a and b are (Z[k] + conj Z[n - k]) / 2 and (Z[k] - conj Z[n - k]) / 2i.
//
// n is even, and a row's spectrum has n / 2 numbers: frequencies 0 and n / 2 are real, and share the place of frequency 0.
// A column there is the transform of d + i e with d and e real, D + i E; its numbers q and -q are taken apart into D[q] and
// E[q]. Where q is -q, D[q] and E[q] are real and stay together, and a product multiplies each by its own.
#ifndef REEL_OPS_KERNELS_SPECTRUM_H
#define REEL_OPS_KERNELS_SPECTRUM_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

#define REEL_SPECTRUM_LANES 8 /* frequencies of a row that stay together: a multiple of this */

/* A row in memory, as far as there is one: elements [low, high), which stand at the points at + i * spread of a line.
 */
typedef struct reel_spectrum_row {
    void *data; /* element `low` */
    int64_t low, high;
    const void *bias; /* of the row's channel, or NULL */
} reel_spectrum_row;

typedef struct reel_spectrum_place {
    int64_t at, spread, n;
} reel_spectrum_place;

/* c[i][j] (+)= sum over r < depth of a[i][r] * b[j][r], at each of `points` points of REEL_SPECTRUM_LANES frequencies.
 * Strides count complex numbers: by i, j and r, and from point to point. */
typedef struct reel_spectrum_product {
    const void *a, *b;
    void *c;
    int64_t i, j, depth, points;
    int64_t a_i, a_r, a_point, b_j, b_r, b_point, c_i, c_j, c_point;
    bool add;
    int n_real;
    int64_t real[4]; /* points whose first number is a pair of real ones */
} reel_spectrum_product;

enum { REEL_SPECTRUM_PASSES = 16 };

/* A transform of n = radix[0] radix[1] .. points, to[k] = sum over t of from[t] exp(-2 pi i k t / n), of the columns that
 * lie side by side in REEL_SPECTRUM_LANES. Radices are 2, 3, 4 and 5, the first and the last 4. */
typedef struct reel_spectrum_columns {
    int64_t n;
    int passes, radix[REEL_SPECTRUM_PASSES];
    const void *twiddles; /* by pass but the last, for p < m and 0 < k < radix: exp(-2 pi i p k / (radix m)), where m is
                             the product of the radices to come */
} reel_spectrum_columns;

/* Point k of columns is at[points[k]], in complex numbers; where that is negative, zeros are read and nothing is written.
 * The next columns are likely to lie `ahead` of these. */
typedef struct reel_spectrum_points {
    void *at;
    const int64_t *points;
    int64_t ahead;
} reel_spectrum_points;

typedef struct reel_spectrum_kernels_of {
    /* line[n] = a + i b with zeros around. */
    void (*load)(const reel_spectrum_row rows[2], const reel_spectrum_place *place, void *line);
    /* a = scale * Re(line) + bias, b = scale * Im(line) + bias, then max(0, .) if relu. */
    void (*store)(const reel_spectrum_row rows[2], const reel_spectrum_place *place, const void *line, double scale,
                  bool relu);
    /* Twice the spectra of a and b, in blocks of `lanes`, `stride` numbers apart. Writes line[n], too. */
    void (*split)(void *line, int64_t n, int64_t blocks, int64_t lanes, int64_t stride, void *const to[2]);
    /* The reverse: line[k] = A[k] + i B[k] and line[n - k] = conj A[k] + i conj B[k], up to line[n]. */
    void (*join)(void *const from[2], int64_t n, int64_t blocks, int64_t lanes, int64_t stride, void *line);
    /* Numbers q and -q of n[0] x n[1] taken apart, or put together again. */
    void (*pair)(void *spectrum, const int64_t n[2], int64_t of_point, bool back);
    void (*multiply)(const reel_spectrum_product *product);
    /* `work` has room for 2 n points. */
    void (*columns)(const reel_spectrum_columns *columns, const reel_spectrum_points *from, const reel_spectrum_points *to,
                    void *work);
} reel_spectrum_kernels_of;

REEL_DECLARE_LARGE_KERNELS(spectrum, reel_spectrum_kernels_of, reel_spectrum_kernels_of_dtype)

#endif
