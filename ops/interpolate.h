// SPDX-License-Identifier: MIT
// Resizing of signals, images and volumes.
#ifndef REEL_OPS_INTERPOLATE_H
#define REEL_OPS_INTERPOLATE_H

#include <reel/core/tensor.h>

REEL_BEGIN

typedef enum reel_interpolate_mode {
    REEL_INTERPOLATE_NEAREST,      /* the cell floor(o * in / out)                                        */
    REEL_INTERPOLATE_LINEAR,       /* linear, bilinear or trilinear, as x has one, two or three space axes */
    REEL_INTERPOLATE_BICUBIC,      /* 2-D only; a = -0.75                                                  */
    REEL_INTERPOLATE_AREA,         /* adaptive average pooling                                             */
    REEL_INTERPOLATE_NEAREST_EXACT /* the cell floor((o + 1/2) * in / out)                            */
} reel_interpolate_mode;

typedef struct reel_interpolate_opts {
    reel_interpolate_mode mode; /* default nearest                                                                    */
    reel_shape size;            /* the spatial sizes wanted, one for all or one an axis; or                           */
    double scale_factor[3];     /* their ratio to x's: out = floor(in * scale); a later 0 repeats the first           */
    bool align_corners;         /* linear and bicubic: the centres of the corner cells keep their places              */
    bool recompute_scale;       /* with scale_factor: positions from out / in rather than from the factor as given    */
    bool antialias; /* 2-D linear and bicubic, making smaller: the filter is as wide as the output's cells, and
                       its cubic has a = -0.5 (as Pillow resizes pictures)                                */
} reel_interpolate_opts;

/* Resizes x: [N, C, L], [N, C, H, W] or [N, C, D, H, W], float. Exactly one of size and scale_factor must be given.
 * Errors: both or neither, a size below 1, a factor that is not positive, a mode that x's rank does not have,
 * antialias with another mode than 2-D linear and bicubic. */
REEL_API reel_tensor *reel_interpolate(reel_tensor *x, const reel_interpolate_opts *opts);

REEL_END

#endif
