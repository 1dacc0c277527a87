// SPDX-License-Identifier: MIT
// Bands of an image with their halo, as direct convolution reads them. Not installed.
#ifndef REEL_OPS_CONV_BANDS_H
#define REEL_OPS_CONV_BANDS_H

#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/conv.h>

/* The images of a gather, cut along the first axis of the grid that has more than one point. In a band, element 0 is
 * what the tap of least offset reads at the band's first point. */
typedef struct reel_conv_bands {
    int slab;            /* that axis                                                        */
    int64_t rows, count; /* grid points of a band along it (the last may have fewer); bands  */
    bool copied;         /* with padding, to scratch; false: a band is a place in the image  */
    int64_t step;        /* source points between grid points of the slab axis               */
    int64_t size[3];     /* of the source                                                    */
    int64_t lowest[3];   /* least offset of a tap                                            */
    int64_t extent[3];   /* of a band: strides between its rows and planes                   */
    int64_t channel;     /* elements from one channel of a band to the next                  */
} reel_conv_bands;

/* `images` share the threads and take `work` multiplications each; with `copy` bands are copied in any case. */
reel_conv_bands reel_conv_band_cut(const reel_conv_gather *gather, const int64_t size[3], int64_t channels,
                                   int64_t images, size_t element, double work, bool copy);

/* The band that starts at grid point `row` of the image `src`; uses `copy` if bands are copied. */
const void *reel_conv_band_fetch(const reel_conv_bands *bands, const reel_conv_kernels_of *kernels, size_t element,
                                 const void *src, int64_t src_c, int64_t channels, int64_t row, void *copy);

/* Offsets of (channel, taps of gather) in a band; of the points of one band. NULL when memory is short. */
int64_t *reel_conv_band_taps(const reel_exec *exec, const reel_conv_bands *bands, const reel_conv_gather *gather,
                             int64_t channels);
int64_t *reel_conv_band_points(const reel_exec *exec, const reel_conv_bands *bands, const reel_conv_gather *gather);

bool reel_conv_direct_weight_grad(const reel_exec *exec, const reel_conv_call *call);

#endif
