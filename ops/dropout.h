// SPDX-License-Identifier: MIT
// Dropout of elements and of whole channels.
#ifndef REEL_OPS_DROPOUT_H
#define REEL_OPS_DROPOUT_H

#include <reel/core/random.h>

REEL_BEGIN

/* In training each element is zeroed with probability p and the others are multiplied by 1 / (1 - p); otherwise the
 * input comes back as it is (Srivastava et al. 2014). The numbers are drawn, by counter, from `generator` (NULL: the
 * context's) when the op is recorded, so that playing again, the gradient, and any number of threads see the same mask.
 * Error: p outside [0, 1]. */
REEL_API reel_tensor *reel_dropout(reel_tensor *input, double p, bool training, reel_generator *generator);

/* The same for whole channels (Tompson et al. 2015): input [N, C, L] or [C, L]; [N, C, H, W] or [N, C, L];
 * [N, C, D, H, W] or [C, D, H, W]. */
REEL_API reel_tensor *reel_dropout1d(reel_tensor *input, double p, bool training, reel_generator *generator);
REEL_API reel_tensor *reel_dropout2d(reel_tensor *input, double p, bool training, reel_generator *generator);
REEL_API reel_tensor *reel_dropout3d(reel_tensor *input, double p, bool training, reel_generator *generator);

REEL_END

#endif
