// SPDX-License-Identifier: MIT
// The three convolution primitives, whose rules refer to each other, and the public functions over them.
//
// With (A, p) the map of a convolution with parameters p: conv(x, w) = A(w) x, conv_transpose(y, w) = A(w)^T y, and
// weight_grad(x, y) is the gradient of <y, A(w) x> by w. Each is bilinear, so each rule is the other two.
#include <reel/core/op.h>
#include <reel/ops/conv_algo.h>
#include <reel/ops/conv_ops.h>
#include <reel/ops/pool_geometry.h>
#include <reel/ops/reduce.h>
#include <reel/ops/turned.h>
#include <stdlib.h>
#include <string.h>

static reel_tensor *apply3(const reel_op *op, reel_tensor *a, reel_tensor *b, reel_tensor *bias,
                           const reel_conv_attrs *attrs)
{
    return reel_apply(op, (reel_tensor *[]) { a, b, bias }, 3, attrs, NULL);
}

static reel_tensor *apply2(const reel_op *op, reel_tensor *a, reel_tensor *b, const reel_conv_attrs *attrs)
{
    return reel_apply(op, (reel_tensor *[]) { a, b }, 2, attrs, NULL);
}

/* dilation * (kernel - 1) + 1, or -1 when that leaves int64. */
static int64_t extent(int64_t kernel, int64_t dilation)
{
    int64_t reach;
    return __builtin_mul_overflow(kernel - 1, dilation, &reach) || reach == INT64_MAX ? -1 : reach + 1;
}

/* What conv and conv_transpose ask alike of operands and attributes. */
static bool check_operands(const reel_infer *infer)
{
    const reel_conv_attrs *a = infer->attrs;
    reel_tensor *x = infer->in[0], *w = infer->in[1], *bias = infer->in[2];
    int rank = a->rank;
    if (reel_ndim(w) != rank + 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has %d axes, expected %d", reel_ndim(w), rank + 2);
    if (reel_ndim(x) != rank + 2 && reel_ndim(x) != rank + 1)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input has %d axes, expected %d, or %d without a batch",
                               reel_ndim(x), rank + 2, rank + 1);
    reel_dtype dtype = reel_dtype_of(x);
    if (!reel_dtype_is_float(dtype))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input is %s, expected float32 or float64",
                               reel_dtype_name(dtype));
    if (reel_dtype_of(w) != dtype || (bias && reel_dtype_of(bias) != dtype))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input is %s, but %s is %s", reel_dtype_name(dtype),
                               reel_dtype_of(w) != dtype ? "weight" : "bias",
                               reel_dtype_name(reel_dtype_of(reel_dtype_of(w) != dtype ? w : bias)));
    if (a->groups < 1)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "groups is %lld, expected at least 1", (long long)a->groups);
    for (int i = 0; i < rank; i++) {
        long long stride = a->stride[i], dilation = a->dilation[i], pad = a->pad_lo[i];
        if (stride < 1) return reel_infer_fail(infer, REEL_ERROR_VALUE, "stride is %lld, expected at least 1", stride);
        if (dilation < 1)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "dilation is %lld, expected at least 1", dilation);
        if (pad < 0) return reel_infer_fail(infer, REEL_ERROR_VALUE, "padding is %lld, expected 0 or more", pad);
        if (reel_size(w, 2 + i) < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has an empty kernel (axis %d)", 2 + i);
        if (reel_size(x, i - rank) < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input is empty along axis %d; only the batch may be",
                                   reel_ndim(x) - rank + i);
    }
    return true;
}

static bool check_bias(const reel_infer *infer, int64_t channels)
{
    reel_tensor *bias = infer->in[2];
    if (bias && (reel_ndim(bias) != 1 || reel_size(bias, 0) != channels)) {
        char text[REEL_SHAPE_TEXT];
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "bias is %s, expected [%lld], one for each output channel",
                               reel_shape_format(reel_shape_of(bias), text), (long long)channels);
    }
    return true;
}

/* The result's shape: x's with `channels` and `spatial` put in. */
static bool out_like(reel_infer *infer, reel_tensor *x, int rank, int64_t channels, const int64_t spatial[3])
{
    reel_shape shape = reel_shape_of(x);
    shape.dim[shape.ndim - rank - 1] = channels;
    for (int i = 0; i < rank; i++) shape.dim[shape.ndim - rank + i] = spatial[i];
    return reel_infer_out(infer, 0, reel_dtype_of(x), shape);
}

static bool infer_conv(reel_infer *infer)
{
    const reel_conv_attrs *a = infer->attrs;
    reel_tensor *x = infer->in[0], *w = infer->in[1];
    if (!check_operands(infer)) return false;
    long long channels = reel_size(x, -a->rank - 1), outputs = reel_size(w, 0), per_group = reel_size(w, 1);
    if (outputs < 1 || outputs % a->groups)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "weight has %lld output channels, which groups=%lld does not divide", outputs,
                               (long long)a->groups);
    int64_t expected;
    if (__builtin_mul_overflow(per_group, a->groups, &expected) || expected != channels) {
        char text[REEL_SHAPE_TEXT];
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "weight has %lld input channels per group, but input %s with groups=%lld has %lld%s",
                               per_group, reel_shape_format(reel_shape_of(x), text), (long long)a->groups,
                               channels / a->groups, channels % a->groups ? " and a remainder" : "");
    }
    if (!check_bias(infer, outputs)) return false;
    int64_t out[3] = { 0 };
    for (int i = 0; i < a->rank; i++) {
        int64_t in = reel_size(x, i - a->rank), reach = extent(reel_size(w, 2 + i), a->dilation[i]), padded;
        if (reach < 0 || __builtin_add_overflow(in, a->pad_lo[i], &padded) ||
            __builtin_add_overflow(padded, a->pad_hi[i], &padded))
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "padding %lld or dilation %lld gives a size past 2^63",
                                   (long long)a->pad_lo[i], (long long)a->dilation[i]);
        if (padded < reach)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "kernel spans %lld along axis %d, but the padded input has %lld", (long long)reach,
                                   reel_ndim(x) - a->rank + i, (long long)padded);
        out[i] = (padded - reach) / a->stride[i] + 1;
        if (a->size[i] && a->size[i] < out[i]) out[i] = a->size[i];
    }
    return out_like(infer, x, a->rank, outputs, out);
}

static bool infer_conv_transpose(reel_infer *infer)
{
    const reel_conv_attrs *a = infer->attrs;
    reel_tensor *x = infer->in[0], *w = infer->in[1];
    if (!check_operands(infer)) return false;
    long long channels = reel_size(x, -a->rank - 1), per_group = reel_size(w, 1);
    if (reel_size(w, 0) != channels) {
        char text[REEL_SHAPE_TEXT];
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has %lld input channels, but input %s has %lld",
                               (long long)reel_size(w, 0), reel_shape_format(reel_shape_of(x), text), channels);
    }
    if (channels < 1 || channels % a->groups)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "groups=%lld does not divide the input's %lld channels",
                               (long long)a->groups, channels);
    int64_t outputs, out[3] = { 0 };
    if (__builtin_mul_overflow(per_group, a->groups, &outputs))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has too many output channels");
    if (!check_bias(infer, outputs)) return false;
    for (int i = 0; i < a->rank; i++) {
        int64_t stride = a->stride[i], dilation = a->dilation[i], extra = a->output_padding[i], size, crop;
        int64_t reach = extent(reel_size(w, 2 + i), dilation);
        if (extra < 0 || (extra >= stride && extra >= dilation))
            return reel_infer_fail(infer, REEL_ERROR_VALUE,
                                   "output_padding is %lld, expected 0 or more and below stride %lld or dilation %lld",
                                   (long long)extra, (long long)stride, (long long)dilation);
        if (reach < 0 || __builtin_mul_overflow(reel_size(x, i - a->rank) - 1, stride, &size) ||
            __builtin_add_overflow(size, reach, &size) || __builtin_add_overflow(size, extra, &size) ||
            __builtin_add_overflow(a->pad_lo[i], a->pad_hi[i], &crop))
            return reel_infer_fail(infer, REEL_ERROR_VALUE,
                                   "stride %lld, padding %lld or dilation %lld gives a size past 2^63",
                                   (long long)stride, (long long)a->pad_lo[i], (long long)dilation);
        if (size <= crop)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "output would be empty along axis %d: size %lld less padding %lld",
                                   reel_ndim(x) - a->rank + i, (long long)size, (long long)crop);
        out[i] = size - crop;
    }
    return out_like(infer, x, a->rank, outputs, out);
}

static bool infer_weight_grad(reel_infer *infer)
{
    const reel_conv_attrs *a = infer->attrs;
    reel_tensor *x = infer->in[0], *y = infer->in[1];
    if (reel_ndim(x) != reel_ndim(y) || reel_dtype_of(x) != reel_dtype_of(y))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input and cotangent differ in rank or dtype");
    reel_shape shape = { .ndim = a->rank + 2,
                         .dim = { reel_size(y, -a->rank - 1), reel_size(x, -a->rank - 1) / a->groups } };
    for (int i = 0; i < a->rank; i++) shape.dim[2 + i] = a->size[i];
    return reel_infer_out(infer, 0, reel_dtype_of(x), shape);
}

/* The geometry of a convolution from its image, weight and result. */
static reel_conv_geom geometry(const reel_exec *exec, const reel_conv_attrs *a, const reel_buffer *x,
                               const reel_buffer *w, const reel_buffer *y)
{
    int rank = a->rank, at = x->ndim - rank;
    reel_conv_geom g = { .dtype = x->dtype,
                         .lanes = reel_gemm_of(exec->isa, x->dtype)->lanes,
                         .n = at == 2 ? x->shape[0] : 1,
                         .groups = a->groups,
                         .c = x->shape[at - 1],
                         .k = y->shape[at - 1] };
    for (int i = 0; i < 3; i++) {
        int from = i - (3 - rank);
        bool there = from >= 0;
        g.in[i] = there ? x->shape[at + from] : 1;
        g.kernel[i] = there ? w->shape[2 + from] : 1;
        g.out[i] = there ? y->shape[at + from] : 1;
        g.stride[i] = there ? a->stride[from] : 1;
        g.dilation[i] = there ? a->dilation[from] : 1;
        g.pad[i] = there ? a->pad_lo[from] : 0;
    }
    return g;
}

/* Plays a pass from (x, w, y), whichever is the result. */
static bool play_pass(const reel_play *play, reel_conv_pass pass, const reel_buffer *x, const reel_buffer *w,
                      const reel_buffer *y)
{
    const reel_conv_attrs *a = play->attrs;
    reel_conv_geom g = geometry(play->exec, a, x, w, y);
    reel_conv_epilogue epilogue = { .relu = play->relu, .play = play };
    reel_conv_pool pool = { 0 };
    const reel_buffer *from = pass == REEL_CONV_INPUT_GRAD ? y : x, *by = pass == REEL_CONV_WEIGHT_GRAD ? y : w,
                      *result = play->out;
    if (pass != REEL_CONV_WEIGHT_GRAD) epilogue.bias = play->in[2].data;
    if (play->next) {
        result = play->next->out;
        pool.relu = play->next->relu;
        if (play->next->n_out > 1) pool.taps = result[1].data, pool.taps_turned = result[1].turned;
        epilogue.pool = &pool;
    }
    reel_conv_call call = { .g = &g,
                            .pass = pass,
                            .a = from->data,
                            .b = by->data,
                            .epilogue = pass == REEL_CONV_WEIGHT_GRAD ? NULL : &epilogue,
                            .result = result->data,
                            .a_turned = from->turned,
                            .b_turned = by->turned,
                            .result_turned = result->turned };
    return reel_conv_pass_play(play->exec, a->algo, &call) ? true : reel_play_out_of_memory(play);
}

static bool play_conv(const reel_play *play)
{
    return play_pass(play, REEL_CONV_FORWARD, &play->in[0], &play->in[1], &play->out[0]);
}

static bool play_conv_transpose(const reel_play *play)
{
    return play_pass(play, REEL_CONV_INPUT_GRAD, &play->out[0], &play->in[1], &play->in[0]);
}

static bool play_weight_grad(const reel_play *play)
{
    return play_pass(play, REEL_CONV_WEIGHT_GRAD, &play->in[0], &play->out[0], &play->in[1]);
}

static reel_buffer buffer_of(reel_tensor *t, reel_shape *shape)
{
    *shape = reel_shape_of(t);
    return (reel_buffer) { .shape = shape->dim, .ndim = shape->ndim, .dtype = reel_dtype_of(t) };
}

/* What has been measured runs along images or not: that is known when it is played. */
static bool is_measured(const reel_conv_attrs *a) { return a->algo == REEL_CONV_AUTO && getenv("REEL_CONV_AUTOTUNE"); }

/* A max pool of pairs behind the algorithm that has the results of a window at hand. */
static bool folds_conv(const reel_op_pair *fold)
{
    const reel_conv_attrs *a = fold->attrs;
    reel_tensor *result = fold->tensors[fold->n_in];
    reel_shape x, w, y;
    reel_buffer in = buffer_of(fold->tensors[0], &x), weight = buffer_of(fold->tensors[1], &w),
                out = buffer_of(result, &y);
    if (a->rank != 2 || x.ndim != 4 || reel_numel(result) == 0 || reel_numel(fold->tensors[0]) == 0 || is_measured(a))
        return false;
    reel_conv_geom g = geometry(fold->exec, a, &in, &weight, &out);
    return reel_max_pool_is_pairs(fold->next, fold->next_attrs, g.out[1], g.out[2]) &&
           reel_conv_along_images(&g, REEL_CONV_FORWARD, a->algo);
}

/* The operands of `bits`, where the pass runs along images; x, w and y are numbers of tensors. */
static uint32_t turns(const reel_op_turns *of, reel_conv_pass pass, int x, int w, int y, uint32_t bits)
{
    const reel_conv_attrs *a = of->attrs;
    reel_shape shape[3];
    reel_buffer image = buffer_of(of->tensors[x], &shape[0]), weight = buffer_of(of->tensors[w], &shape[1]),
                result = buffer_of(of->tensors[y], &shape[2]);
    if (image.ndim != a->rank + 2 || reel_numel(of->tensors[x]) == 0 || reel_numel(of->tensors[y]) == 0 ||
        is_measured(a) || !reel_turns_batch(of->exec->isa, image.dtype, image.shape[0]))
        return 0;
    reel_conv_geom g = geometry(of->exec, a, &image, &weight, &result);
    return reel_conv_along_images(&g, pass, a->algo) ? bits : 0;
}

static uint32_t turns_conv(const reel_op_turns *of)
{
    return turns(of, REEL_CONV_FORWARD, 0, 1, 3, 1u | 1u << 3 | 1u << 4);
}

static uint32_t turns_conv_transpose(const reel_op_turns *of)
{
    return turns(of, REEL_CONV_INPUT_GRAD, 3, 1, 0, 1u | 1u << 3);
}

static uint32_t turns_weight_grad(const reel_op_turns *of)
{
    return turns(of, REEL_CONV_WEIGHT_GRAD, 0, 2, 1, 1u | 1u << 1);
}

static double flops_conv(const reel_play *play)
{
    reel_conv_geom g = geometry(play->exec, play->attrs, &play->in[0], &play->in[1], &play->out[0]);
    return reel_conv_flops(&g) + (play->in[2].data ? (double)play->out[0].numel : 0);
}

static double flops_conv_transpose(const reel_play *play)
{
    reel_conv_geom g = geometry(play->exec, play->attrs, &play->out[0], &play->in[1], &play->in[0]);
    return reel_conv_flops(&g) + (play->in[2].data ? (double)play->out[0].numel : 0);
}

static double flops_weight_grad(const reel_play *play)
{
    reel_conv_geom g = geometry(play->exec, play->attrs, &play->in[0], &play->out[0], &play->in[1]);
    return reel_conv_flops(&g);
}

/* A^T y, of the spatial sizes `in`. The end of the image that no tap reached comes back as output padding; it may
 * exceed the stride only where a transpose said so before. */
static reel_tensor *input_grad(reel_conv_attrs a, reel_tensor *y, reel_tensor *w, reel_shape in, reel_shape kernel)
{
    for (int i = 0; i < a.rank; i++) {
        int64_t reached = (reel_size(y, i - a.rank) - 1) * a.stride[i] + a.dilation[i] * (kernel.dim[2 + i] - 1) + 1;
        a.output_padding[i] = in.dim[in.ndim - a.rank + i] + a.pad_lo[i] + a.pad_hi[i] - reached;
        a.size[i] = 0;
    }
    return apply3(reel_conv_transpose_op(a.rank), y, w, NULL, &a);
}

/* A x, of the spatial sizes `out`. */
static reel_tensor *forward(reel_conv_attrs a, reel_tensor *x, reel_tensor *w, reel_shape out)
{
    for (int i = 0; i < a.rank; i++) {
        a.size[i] = out.dim[out.ndim - a.rank + i];
        a.output_padding[i] = 0;
    }
    return apply3(reel_conv_op(a.rank), x, w, NULL, &a);
}

static reel_tensor *weight_grad(reel_conv_attrs a, reel_tensor *x, reel_tensor *y, reel_shape kernel)
{
    for (int i = 0; i < a.rank; i++) {
        a.size[i] = kernel.dim[2 + i];
        a.output_padding[i] = 0;
    }
    return apply2(reel_conv_weight_grad_op(a.rank), x, y, &a);
}

static reel_tensor *bias_grad(const reel_conv_attrs *a, reel_tensor *cot)
{
    int ndim = reel_ndim(cot);
    reel_dims dims = { 0 };
    for (int i = 0; i < ndim; i++)
        if (i != ndim - a->rank - 1) dims.dim[dims.count++] = i;
    return reel_sum(cot, dims, false);
}

static bool vjp_conv(reel_vjp *vjp)
{
    const reel_conv_attrs *a = vjp->attrs;
    reel_tensor *cot = vjp->cot[0];
    reel_shape in = reel_vjp_input_shape(vjp, 0), kernel = reel_vjp_input_shape(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = input_grad(*a, cot, reel_vjp_input(vjp, 1), in, kernel);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = weight_grad(*a, reel_vjp_input(vjp, 0), cot, kernel);
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = bias_grad(a, cot);
    return true;
}

static bool vjp_conv_transpose(reel_vjp *vjp)
{
    const reel_conv_attrs *a = vjp->attrs;
    reel_tensor *cot = vjp->cot[0];
    reel_shape out = reel_vjp_input_shape(vjp, 0), kernel = reel_vjp_input_shape(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = forward(*a, cot, reel_vjp_input(vjp, 1), out);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = weight_grad(*a, cot, reel_vjp_input(vjp, 0), kernel);
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = bias_grad(a, cot);
    return true;
}

static bool vjp_weight_grad(reel_vjp *vjp)
{
    const reel_conv_attrs *a = vjp->attrs;
    reel_tensor *cot = vjp->cot[0];
    reel_shape in = reel_vjp_input_shape(vjp, 0), out = reel_vjp_input_shape(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = input_grad(*a, reel_vjp_input(vjp, 1), cot, in, reel_shape_of(cot));
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = forward(*a, reel_vjp_input(vjp, 0), cot, out);
    return true;
}

enum { BIAS_IS_OPTIONAL = 1 << 2 };

#define OP(op_name, rules, may_lack, kind, folds_)                                                                     \
    {                                                                                                                  \
        .name = op_name, .infer = infer_##rules, .play = play_##rules, .vjp = vjp_##rules, .flags = kind,              \
        .attrs_size = sizeof(reel_conv_attrs), .optional = may_lack, .flops = flops_##rules, .folds = folds_, .turns = turns_##rules          \
    }
static const reel_op ops[3][3] = {
    { OP("conv1d", conv, BIAS_IS_OPTIONAL, REEL_OP_RELU, NULL),
      OP("conv2d", conv, BIAS_IS_OPTIONAL, REEL_OP_RELU, folds_conv),
      OP("conv3d", conv, BIAS_IS_OPTIONAL, REEL_OP_RELU, NULL) },
    { OP("conv_transpose1d", conv_transpose, BIAS_IS_OPTIONAL, REEL_OP_RELU, NULL),
      OP("conv_transpose2d", conv_transpose, BIAS_IS_OPTIONAL, REEL_OP_RELU, NULL),
      OP("conv_transpose3d", conv_transpose, BIAS_IS_OPTIONAL, REEL_OP_RELU, NULL) },
    { OP("conv1d_weight_grad", weight_grad, 0, 0, NULL), OP("conv2d_weight_grad", weight_grad, 0, 0, NULL),
      OP("conv3d_weight_grad", weight_grad, 0, 0, NULL) },
};
#undef OP

const reel_op *reel_conv_op(int rank) { return &ops[0][rank - 1]; }
const reel_op *reel_conv_transpose_op(int rank) { return &ops[1][rank - 1]; }
const reel_op *reel_conv_weight_grad_op(int rank) { return &ops[2][rank - 1]; }
