// SPDX-License-Identifier: MIT
// What the losses share: reductions, and checks in the name of the loss.
#include "loss_common.h"

#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>

bool reel_loss_check_reduction(reel_ctx *ctx, const char *op, reel_reduction reduction)
{
    if (reduction == REEL_REDUCTION_MEAN || reduction == REEL_REDUCTION_SUM || reduction == REEL_REDUCTION_NONE)
        return true;
    reel_fail(ctx, REEL_ERROR_VALUE, "%s: reduction %d is not one of this loss: mean, sum and none are", op,
              (int)reduction);
    return false;
}

reel_tensor *reel_loss_reduce(reel_tensor *losses, reel_reduction reduction)
{
    switch (reduction) {
    case REEL_REDUCTION_SUM: return reel_sum(losses, REEL_ALL_DIMS, false);
    case REEL_REDUCTION_NONE: return losses;
    default: return reel_mean(losses, REEL_ALL_DIMS, false);
    }
}

static bool broadcast(reel_shape a, reel_shape b)
{
    for (int axis = 1; axis <= a.ndim && axis <= b.ndim; axis++) {
        int64_t m = a.dim[a.ndim - axis], n = b.dim[b.ndim - axis];
        if (m != n && m != 1 && n != 1) return false;
    }
    return true;
}

bool reel_loss_check_pair(const char *op, const char *a_name, reel_tensor *a, const char *b_name, reel_tensor *b,
                          bool equal)
{
    if (!REEL_OPERANDS(op, a, b)) return false;
    reel_shape a_shape = reel_shape_of(a), b_shape = reel_shape_of(b);
    char a_text[REEL_SHAPE_TEXT], b_text[REEL_SHAPE_TEXT];
    if (!reel_dtype_is_float(reel_dtype_of(a)) || (equal && !reel_dtype_is_float(reel_dtype_of(b)))) {
        reel_fail(reel_ctx_of(a), REEL_ERROR_DTYPE, "%s: %s is %s and %s is %s, but must be floating point", op, a_name,
                  reel_dtype_name(reel_dtype_of(a)), b_name, reel_dtype_name(reel_dtype_of(b)));
        return false;
    }
    if (equal ? reel_shape_equal(a_shape, b_shape) : broadcast(a_shape, b_shape)) return true;
    reel_fail(reel_ctx_of(a), REEL_ERROR_SHAPE, "%s: %s has shape %s and %s has shape %s, which %s", op, a_name,
              reel_shape_format(a_shape, a_text), b_name, reel_shape_format(b_shape, b_text),
              equal ? "must be equal" : "do not broadcast");
    return false;
}

bool reel_loss_reduction_of(reel_call_args *args, reel_reduction *reduction)
{
    int choice = reel_args_choice(args, "reduction", "mean sum none");
    *reduction = (reel_reduction)choice;
    return choice >= 0;
}
