// SPDX-License-Identifier: MIT
// Internal: what the reduction ops share.
#ifndef REEL_OPS_REDUCE_OP_H
#define REEL_OPS_REDUCE_OP_H

#include <reel/ops/reduce_run.h>
#include <reel/ops/table.h>

/* Attributes of every reduction. */
typedef struct reel_reduce_attrs {
    reel_dims dims; /* as given; unused places are 0 */
    bool keepdim;
    bool biased;
    double number; /* correction of var and std, p of norm */
} reel_reduce_attrs;

/* Records `op` on x; NULL passes through. */
reel_tensor *reel_reduce_apply(const reel_op *op, reel_tensor *x, reel_dims dims, bool keepdim, double number);

/* Output 0 is of `dtype` and of input 0's reduced shape. */
bool reel_infer_reduced(reel_infer *infer, reel_dtype dtype);
bool reel_infer_float(const reel_infer *infer);

/* Axes of the op as a mask; its attributes have been inferred. */
uint32_t reel_reduce_mask(const reel_reduce_attrs *attrs, int ndim);

/* For rules: t, of the op's output shape, with size 1 in place of the reduced axes, so that it broadcasts. */
reel_tensor *reel_reduce_spread(const reel_vjp *vjp, reel_tensor *t);

/* For rows: attribute "dim" as axes; one that does not fit in an int stays out of range. */
bool reel_args_dims(const reel_call_args *args, reel_dims *dims);
int reel_args_dim(const reel_call_args *args, const char *name);

/* For rows with an attribute "dtype": operand 0 cast to it, and an output that is to be of it. */
reel_tensor *reel_args_input_as(const reel_call_args *args);
bool reel_args_return_as(reel_call_args *args, reel_tensor *y);

#endif
