// SPDX-License-Identifier: MIT
// Random changes of pictures that leave their meaning: shifted, turned, scaled, bent, cropped, mirrored, noisy.
#ifndef REEL_NN_AUGMENT_H
#define REEL_NN_AUGMENT_H

#include <reel/nn/loader.h>
#include <reel/ops/sample.h>

REEL_BEGIN

/* Drawn anew for every picture of a batch; zero leaves a thing alone. */
typedef struct reel_augment_opts {
    double rotate;                    /* degrees: turned by U(-rotate, rotate), counter-clockwise is positive      */
    double scale_low, scale_high;     /* enlarged by U(low, high), both axes alike; default 1                      */
    double shift;                     /* moved by U(-shift, shift) of its width and of its height                  */
    double flip, flip_vertical;       /* probability of being mirrored left to right, top to bottom                */
    double elastic, elastic_sigma;    /* bent: displacements of this standard deviation in pixels, smooth over
                                         sigma pixels (default 4). Simard et al. 2003                              */
    int64_t crop_height, crop_width;  /* cut out at a random place, after padding                                  */
    int64_t crop_padding;             /* pixels around, filled as padding_mode says                                */
    double noise;                     /* standard deviation of normal noise that is added                          */
    reel_sample_mode mode;            /* how pixels between pixels are found; default bilinear                     */
    reel_sample_padding padding_mode; /* what lies outside; default zeros                                         */
} reel_augment_opts;

/* x: [N, C, H, W] float -> [N, C, H, W], or [N, C, crop_height, crop_width]. All geometry is one affine_grid and one
 * grid_sample, so pixels are interpolated once; differentiable in x. NULL generator: the context's. */
REEL_API reel_tensor *reel_augment(reel_tensor *x, const reel_augment_opts *opts, reel_generator *generator);

/* The same for field 0 of a loader's batches: { .map = reel_augment_batch, .map_user = &opts }; opts must live on. */
REEL_API bool reel_augment_batch(void *opts, reel_ctx *ctx, reel_batch *batch, reel_generator *generator);

REEL_END

#endif
