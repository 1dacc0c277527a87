// SPDX-License-Identifier: MIT
// What the files of the elementwise family share: descriptors in one line, inference, playing, and promotion.
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

/* Inference: one output of the broadcast shape. In the dtype of all inputs; bool; as `where` and masked_fill have it.
 */
bool reel_pointwise_infer(reel_infer *infer);
bool reel_pointwise_infer_test(reel_infer *infer);
bool reel_pointwise_infer_masked(reel_infer *infer);

/* Plays the tile kernel of play->op over all elements. */
bool reel_pointwise_play(const reel_play *play);

/* fn over any number of contiguous elements: what does not fill REEL_TILE_LANES goes through padded blocks. `size[0]`
 * is the size of an output element, `size[1 + i]` of one of input i. */
void reel_pointwise_run(reel_tile_fn *fn, int64_t n, void *out, const void *const *in, int n_in, const int *size,
                        const void *attrs);

/* An elementwise descriptor. */
#define REEL_POINTWISE(op_name, code, infer_fn, vjp_fn, scalars)                                                       \
    {                                                                                                                  \
        .name = op_name, .infer = infer_fn, .play = reel_pointwise_play, .vjp = vjp_fn, .flags = REEL_OP_STRIDED,      \
        .attrs_size = (scalars) * sizeof(double), .pointwise = REEL_PW_##code                                          \
    }

/* Applications; a NULL operand gives NULL. */
reel_tensor *reel_pointwise_apply1(const reel_op *op, reel_tensor *x);
reel_tensor *reel_pointwise_apply2(const reel_op *op, reel_tensor *a, reel_tensor *b);
reel_tensor *reel_pointwise_apply_scalars(const reel_op *op, reel_tensor *x, double s0, double s1, double s2);
reel_tensor *reel_pointwise_grad2(const reel_op *op, reel_tensor *x, reel_tensor *g, double s0, double s1, double s2);

/* Casts `count` operands to the dtype in which they meet; false when one is NULL or cannot be cast. */
bool reel_pointwise_promote(reel_tensor **x, int count);

/* x as floats: integers and bools become float32. */
reel_tensor *reel_pointwise_as_float(reel_tensor *x);

/* x in a dtype that holds a number of value s: whole numbers fit any integer, others make it float32; a bool becomes
 * int64 or float32. */
reel_tensor *reel_pointwise_fit_scalar(reel_tensor *x, double s);

/* Rules: grad[0] from the cotangent, the input and the output. */
#define REEL_COT(vjp) ((vjp)->cot[0])
#define REEL_IN(vjp, i) reel_vjp_input(vjp, i)
#define REEL_OUT(vjp) reel_vjp_output(vjp, 0)
#define REEL_S(vjp, k) (((const pointwise_attrs *)(vjp)->attrs)->s[k])

#endif
