// SPDX-License-Identifier: MIT
// What the files of the elementwise family share: descriptors in one line, inference, playing, promotion, table rows.
#ifndef REEL_OPS_POINTWISE_IMPL_H
#define REEL_OPS_POINTWISE_IMPL_H

#include <reel/core/op.h>
#include <reel/ops/kernels/pointwise.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/table.h>

/* The attributes of every elementwise op: up to three numbers, as their tile kernels read them. */
typedef struct pointwise_attrs {
    double s[3];
} pointwise_attrs;

/* Inference: one output of the broadcast shape. In the dtype of all inputs; bool; for where and masked_fill, whose
 * first input is a mask. */
bool reel_pointwise_infer(reel_infer *infer);
bool reel_pointwise_infer_test(reel_infer *infer);
bool reel_pointwise_infer_masked(reel_infer *infer);

/* Plays the tile kernel of play->op, or of `code`, over all elements. */
bool reel_pointwise_play(const reel_play *play);
bool reel_pointwise_play_as(const reel_play *play, int code);

/* The rule of a function that is constant almost everywhere. */
bool reel_pointwise_vjp_zero(reel_vjp *vjp);

/* fn over any number of contiguous elements: what does not fill REEL_TILE_LANES goes through padded blocks. `size[0]`
 * is the size of an output element, `size[1 + i]` of one of input i. */
void reel_pointwise_run(reel_tile_fn *fn, int64_t n, void *out, const void *const *in, int n_in, const int *size,
                        const void *attrs);

/* An elementwise descriptor with `scalars` numbers as attributes: of one dtype, floats among others; or with an inference
 * and flags of its own. */
#define REEL_POINTWISE(op_name, code, vjp_fn, scalars)                                                                 \
    REEL_POINTWISE_WITH(op_name, code, reel_pointwise_infer, vjp_fn, scalars, REEL_OP_STRIDED | REEL_OP_LIKE)
#define REEL_POINTWISE_AS(op_name, code, infer_fn, vjp_fn, scalars)                                                    \
    REEL_POINTWISE_WITH(op_name, code, infer_fn, vjp_fn, scalars, REEL_OP_STRIDED)
#define REEL_POINTWISE_WITH(op_name, code, infer_fn, vjp_fn, scalars, op_flags)                                        \
    {                                                                                                                  \
        .name = op_name, .infer = infer_fn, .play = reel_pointwise_play, .vjp = vjp_fn, .flags = op_flags,             \
        .attrs_size = (scalars) * sizeof(double), .pointwise = REEL_PW_##code                                          \
    }

/* Applications of such a descriptor. */
reel_tensor *reel_pointwise1(const reel_op *op, reel_tensor *x);
reel_tensor *reel_pointwise2(const reel_op *op, reel_tensor *a, reel_tensor *b);
reel_tensor *reel_pointwise3(const reel_op *op, reel_tensor *a, reel_tensor *b, reel_tensor *c);
reel_tensor *reel_pointwise1_with(const reel_op *op, reel_tensor *x, pointwise_attrs attrs);
reel_tensor *reel_pointwise2_with(const reel_op *op, reel_tensor *a, reel_tensor *b, pointwise_attrs attrs);

/* Casts `count` operands to the dtype in which they meet. Does nothing when one is NULL. */
void reel_pointwise_promote(reel_tensor **x, int count);

/* x as floats: integers and bools become float32. */
reel_tensor *reel_pointwise_as_float(reel_tensor *x);

/* x in a dtype that can be combined with the number s: integers stay when s is whole and in their range, become int64
 * when it is beyond, and float32 when it is not whole; bools are int64 or float32. */
reel_tensor *reel_pointwise_fit(reel_tensor *x, double s);

/* The operand or the number of this name; an error and false when neither is there. */
bool reel_pointwise_operand(const reel_call_args *args, int i, const char *name, reel_tensor **tensor, double *number);

/* The number of this name as a tensor without axes that leaves x's dtype alone where PyTorch's numbers do: 2.0 makes
 * floats of integers, 2 does not, and of bools true makes bools. */
reel_tensor *reel_pointwise_number(const reel_call_args *args, const char *name, const reel_tensor *x);

/* g (1 - y^2) of a tanh's output, g y (1 - y) of a sigmoid's, and x <= threshold ? 0 : g. */
reel_tensor *reel_tanh_grad(reel_tensor *y, reel_tensor *g);
reel_tensor *reel_sigmoid_grad(reel_tensor *y, reel_tensor *g);
reel_tensor *reel_threshold_grad(reel_tensor *x, reel_tensor *g, double threshold);

#endif
