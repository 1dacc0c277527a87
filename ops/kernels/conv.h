// SPDX-License-Identifier: MIT
// Moving image data in and out of matrix panels: columns (im2col) of any stride, padding and dilation, never whole.
#ifndef REEL_OPS_KERNELS_CONV_H
#define REEL_OPS_KERNELS_CONV_H

#include <reel/core/dtype.h>
#include <reel/ops/kernels/dispatch.h>

/* The column matrix of images: column q = (n, m0, m1, m2) of a grid, row r = (c, t0, t1, t2), and the element is
 * src[n, c, m0 * step[0] + off[0][t0], ...], or 0 outside of the image. */
typedef struct reel_conv_columns {
    const void *src;
    int64_t src_n, src_c; /* elements from one image or channel to the next */
    int64_t size[3];      /* of the image, row-major                         */
    int64_t grid[3], step[3];
    int64_t taps[3];
    const int64_t *off[3];
} reel_conv_columns;

/* Where results go: grid point m of image n and channel o is dst[n, o, m0 * step[0] + first[0], ...]. */
typedef struct reel_conv_places {
    void *dst;
    int64_t dst_n, dst_c;
    int64_t size[3];
    int64_t grid[3], step[3], first[3];
} reel_conv_places;

#define REEL_CONV_PANEL 256 /* most columns of one call */

/* A box of an image with zeros around: to[c, p] = src[c, from + p] for p in [0, extent), 0 outside of the image. */
typedef struct reel_conv_band {
    const void *src;
    int64_t src_c, size[3]; /* from one channel to the next; the image */
    int64_t from[3], extent[3], channels;
    void *to;
    int64_t to_c;
} reel_conv_band;

/* sums[k][r] (vectors, by lanes) += gy[k][p] * column[row_off[r] + p] over p < count of each of `lines` lines, for
 * `outputs` k and `rows` r, from zeros on if `fresh`. Columns are read to the end of the vector that `count` ends in, and
 * finite there; gy is not. */
typedef struct reel_conv_dot {
    int64_t count, lines, outputs, rows;
    const void *gy, *column;
    int64_t gy_k, gy_line, column_line; /* elements from one output, or line, to the next */
    const int64_t *row_off;
    void *sums; /* [outputs][rows] vectors */
    bool fresh;
} reel_conv_dot;

typedef struct reel_conv_kernels_of {
    /* to[(r - r0) * ld + j] = element (r, q0 + j) for r in [r0, r1), j < width <= REEL_CONV_PANEL. */
    void (*pack)(const reel_conv_columns *columns, int64_t q0, int width, int64_t r0, int64_t r1, void *to, int64_t ld);
    /* The places of columns q0 + j, channels [0, outputs) get act(from[o * ld + j] + bias[o]); bias may be NULL. */
    void (*unpack)(const reel_conv_places *places, int64_t q0, int width, int64_t outputs, const void *from, int64_t ld,
                   const void *bias, bool relu);
    /* The same of from[j * ld + o]: rows of channels. */
    void (*unpack_turned)(const reel_conv_places *places, int64_t q0, int width, int64_t outputs, const void *from,
                          int64_t ld, const void *bias, bool relu);
    /* to[(c * taps + t) * step + l] = from[l * lane_stride + c * in_stride + tap[t]] for l < lanes, 0 up to `width`. */
    void (*pack_weights)(int64_t inputs, int64_t taps, const int64_t *tap, const void *from, int64_t in_stride,
                         int64_t lane_stride, int64_t lanes, int64_t width, void *to, int64_t step);
    /* Of `windows` windows of 2 x 2 points from the rows `upper` and `lower` of points of `panel` lanes: to[window][lane] =
     * act(the maximum), taps[window][lane] = its place 0 to 3, unless NULL; a NaN wins. `to` may be `upper`. */
    void (*pool_turned)(int64_t windows, int64_t panel, const void *upper, const void *lower, bool relu, void *to,
                        uint8_t *taps);
    /* to[e - first] = act(from[e % phases * ld + e / phases] + *bias) for first <= e < end, first < phases; bias may be
     * NULL. */
    void (*weave)(int64_t phases, const void *from, int64_t ld, int64_t first, int64_t end, const void *bias, bool relu,
                  void *to);
    void (*pad)(const reel_conv_band *band);
    void (*dot)(const reel_conv_dot *dot);
    /* to[i] = the sum of the lanes of the sum of the vectors from[i] of all shares, `apart` elements apart, for i < count. */
    void (*add_lanes)(int64_t count, int64_t shares, int64_t apart, const void *from, void *to);
} reel_conv_kernels_of;

REEL_DECLARE_LARGE_KERNELS(conv, reel_conv_kernels_of, reel_conv_kernels_of_dtype)

#endif
