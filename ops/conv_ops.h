// SPDX-License-Identifier: MIT
// The convolution primitives' descriptors and attributes, for the public functions and the planner. Not installed.
#ifndef REEL_OPS_CONV_OPS_H
#define REEL_OPS_CONV_OPS_H

#include <reel/core/op.h>
#include <reel/ops/conv.h>

/* By spatial axis of the rank, the first `rank` entries. */
typedef struct reel_conv_attrs {
    int64_t stride[3], dilation[3];
    int64_t pad_lo[3], pad_hi[3]; /* zeros before and behind the image (of a transpose: taken off its result) */
    int64_t output_padding[3];    /* conv_transpose                                                           */
    int64_t size[3];              /* conv: at most this many results (0: all); weight_grad: the kernel        */
    int64_t groups;
    int32_t rank;
    int32_t algo;
} reel_conv_attrs;

/* conv{1,2,3}d (x, weight, bias or NULL), conv_transpose{1,2,3}d (x, weight, bias or NULL), and
 * conv{1,2,3}d_weight_grad (x, cotangent of the result). */
const reel_op *reel_conv_op(int rank);
const reel_op *reel_conv_transpose_op(int rank);
const reel_op *reel_conv_weight_grad_op(int rank);

#endif
