// SPDX-License-Identifier: MIT
// Random poses, as in Jaderberg et al. 2015: what the transformer has to undo.
#ifndef MNIST_STN_DISTORT_H
#define MNIST_STN_DISTORT_H

#include <reel/nn/loader.h>

typedef enum distortion {
    DISTORT_NONE,
    DISTORT_ROTATE, // by up to 90 degrees either way
    DISTORT_RTS     // rotation up to 45 degrees, scale 0.7 to 1.2, translation up to a tenth of the side
} distortion;

bool distortion_parse(const char *name, distortion *how);
const char *distortion_name(distortion how);

// What is subtracted from and what divides a pixel in [0, 1]: the tutorial's.
#define PIXEL_MEAN 0.1307
#define PIXEL_STD 0.3081

// What poses a loader's digits take. Over the first `widen` epochs their range grows from a fifth to the whole: a
// transformer that has learnt to undo small turns is led on to larger ones (a curriculum, Bengio et al. 2009).
typedef struct poses {
    distortion how;
    int64_t widen;
} poses;

// A loader's map: turns, scales and moves every digit of field 0 (values in [0, 1]) by a pose of its own, then
// normalises; field 2 becomes the poses, thetas of affine_grid [N, 2, 3]. `user` points to the poses.
bool distort_batch(void *user, reel_ctx *ctx, reel_batch *batch, reel_generator *generator);

#endif
