// SPDX-License-Identifier: MIT
// Private to the losses: the primitives over classes.
#ifndef REEL_OPS_LOSS_CLASS_H
#define REEL_OPS_LOSS_CLASS_H

#include <reel/core/op.h>
#include <reel/ops/loss.h>

typedef struct class_attrs {
    int64_t ignore_index;
    double smoothing;
    int64_t classes; /* the gradient's only */
    int32_t reduction;
    int32_t dtype; /* the gradient's only */
} class_attrs;

/* (input, target: int64, weight?) -> (loss, ...) */
extern const reel_op reel_op_cross_entropy, reel_op_nll_loss;

#endif
