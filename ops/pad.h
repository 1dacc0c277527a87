// SPDX-License-Identifier: MIT
// Padding: constant, reflected, replicated or circular borders.
#ifndef REEL_OPS_PAD_H
#define REEL_OPS_PAD_H

#include <reel/core/op.h>

REEL_BEGIN

typedef enum reel_pad_mode { REEL_PAD_CONSTANT, REEL_PAD_REFLECT, REEL_PAD_REPLICATE, REEL_PAD_CIRCULAR } reel_pad_mode;

/* The order is that of PyTorch's F.pad: before and after the last axis, then before and after the one before it, ... */
typedef struct reel_pad_opts {
    int64_t pad[2 * REEL_MAX_DIMS]; /* negative: crops                                        */
    reel_pad_mode mode;
    double value; /* what REEL_PAD_CONSTANT fills with                      */
} reel_pad_opts;

/* x: [..., n] -> [..., n + before + after] for each padded axis. Reflecting leaves the edge out and asks for pads below
 * the size; replicating asks for an element; circular for pads up to the size. Errors also: a size that would be
 * negative. */
REEL_API reel_tensor *reel_pad(reel_tensor *x, const reel_pad_opts *opts);

/* The adjoint of reel_pad by the same options (its value aside) from an input of `shape`. */
REEL_API reel_tensor *reel_pad_backward(reel_tensor *y, reel_shape shape, const reel_pad_opts *opts);

REEL_END

#endif
