// SPDX-License-Identifier: MIT
// The normalisation primitives: what they accept, and their rules.
#include "norm_primitive.h"

#include <reel/ops/norm.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <math.h>

/* Product of the sizes of axes [from, to), INT64_MAX when it is larger: a 0 elsewhere may hide any size. */
static int64_t span(reel_shape shape, int from, int to)
{
    int64_t product = 1;
    for (int d = from; d < to; d++)
        if (__builtin_mul_overflow(product, shape.dim[d], &product)) return INT64_MAX;
    return product;
}

norm_geometry reel_norm_geometry(const norm_attrs *attrs, reel_shape shape)
{
    switch ((norm_kind)attrs->kind) {
    case NORM_LAYER:
    case NORM_RMS: {
        int tail = shape.ndim - attrs->normalized_shape.ndim;
        return (norm_geometry) { span(shape, 0, tail),     1, span(shape, tail, shape.ndim), 1, false,
                                 attrs->kind == NORM_LAYER };
    }
    case NORM_GROUP:
        return (norm_geometry) { shape.dim[0], attrs->groups, shape.dim[1] / attrs->groups, span(shape, 2, shape.ndim),
                                 false,        true };
    case NORM_INSTANCE:
        return (norm_geometry) { shape.dim[0], shape.dim[1], 1, span(shape, 2, shape.ndim), false, true };
    default: return (norm_geometry) { shape.dim[0], shape.dim[1], 1, span(shape, 2, shape.ndim), true, true };
    }
}

int64_t reel_norm_count(const norm_geometry *geometry)
{
    int64_t a = geometry->batch ? geometry->n : geometry->c, count;
    return __builtin_mul_overflow(a, geometry->s, &count) ? INT64_MAX : count;
}

static reel_shape statistics_shape(const norm_geometry *geometry)
{
    return REEL_SHAPE(geometry->batch ? 1 : geometry->n, geometry->g, 1, 1);
}

/* ---- Inference ---- */

static bool infer_operand(const reel_infer *infer, int k, const char *name, reel_shape want)
{
    const reel_tensor *x = infer->in[k];
    char has[REEL_SHAPE_TEXT], wants[REEL_SHAPE_TEXT];
    if (!x) return true;
    if (reel_dtype_of(x) != reel_dtype_of(infer->in[0]))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "%s is %s, but input is %s", name,
                               reel_dtype_name(reel_dtype_of(x)), reel_dtype_name(reel_dtype_of(infer->in[0])));
    if (!reel_shape_equal(reel_shape_of(x), want))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%s has shape %s, but must have %s", name,
                               reel_shape_format(reel_shape_of(x), has), reel_shape_format(want, wants));
    return true;
}

static bool infer_layer(const reel_infer *infer, const norm_attrs *attrs, reel_shape shape)
{
    reel_shape tail = attrs->normalized_shape;
    char has[REEL_SHAPE_TEXT], wants[REEL_SHAPE_TEXT];
    bool fits = tail.ndim > 0 && tail.ndim <= shape.ndim;
    for (int d = 0; fits && d < tail.ndim; d++) fits = tail.dim[d] == shape.dim[shape.ndim - tail.ndim + d];
    if (!fits)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "normalized_shape %s is not the tail of input's shape %s",
                               reel_shape_format(tail, wants), reel_shape_format(shape, has));
    return true;
}

static bool infer_channels(const reel_infer *infer, const norm_attrs *attrs, reel_shape shape)
{
    char has[REEL_SHAPE_TEXT];
    reel_shape_format(shape, has);
    if (shape.ndim < 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input has shape %s, but must be [N, C, ...]", has);
    if (attrs->kind == NORM_GROUP && (attrs->groups < 1 || shape.dim[1] % attrs->groups))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "num_groups is %lld, which does not divide the %lld channels",
                               (long long)attrs->groups, (long long)shape.dim[1]);
    norm_geometry geometry = reel_norm_geometry(attrs, shape);
    if ((attrs->kind == NORM_BATCH || attrs->kind == NORM_INSTANCE) && reel_norm_count(&geometry) == 1)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input %s has one value a channel, whose variance says nothing",
                               has);
    return true;
}

static bool infer_norm(reel_infer *infer)
{
    const norm_attrs *attrs = infer->attrs;
    const reel_tensor *x = infer->in[0];
    reel_shape shape = reel_shape_of(x);
    reel_dtype dtype = reel_dtype_of(x);
    if (!reel_dtype_is_float(dtype))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input is %s, but must be float32 or float64",
                               reel_dtype_name(dtype));
    if (!isfinite(attrs->eps)) // below 0 it is taken, as by PyTorch: the variance may be larger
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "eps is %g, but must be finite", attrs->eps);
    bool layer = attrs->kind == NORM_LAYER || attrs->kind == NORM_RMS;
    if (!(layer ? infer_layer(infer, attrs, shape) : infer_channels(infer, attrs, shape))) return false;

    reel_shape weights = layer ? attrs->normalized_shape : REEL_SHAPE(shape.dim[1]);
    int at = 1;
    if (attrs->kind == NORM_RUNNING) {
        if (!infer->in[1] || !infer->in[2])
            return reel_infer_fail(infer, REEL_ERROR_VALUE,
                                   "%s is missing, and the input's own statistics are not used",
                                   infer->in[1] ? "running_var" : "running_mean");
        if (!infer_operand(infer, 1, "running_mean", weights) || !infer_operand(infer, 2, "running_var", weights))
            return false;
        at = 3;
    }
    if (!infer_operand(infer, at, "weight", weights) || !infer_operand(infer, at + 1, "bias", weights)) return false;
    if (!reel_infer_out(infer, 0, dtype, shape)) return false;
    if (attrs->kind == NORM_RUNNING) return true;
    norm_geometry geometry = reel_norm_geometry(attrs, shape);
    infer->n_out = 3;
    return reel_infer_out(infer, 1, dtype, statistics_shape(&geometry)) &&
           reel_infer_out(infer, 2, dtype, statistics_shape(&geometry));
}

static bool infer_backward(reel_infer *infer)
{
    const norm_attrs *attrs = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[1]);
    reel_dtype dtype = reel_dtype_of(infer->in[1]);
    norm_geometry geometry = reel_norm_geometry(attrs, shape);
    infer->n_out = 0;
    if ((attrs->want & NORM_WANT_INPUT) && !reel_infer_out(infer, infer->n_out++, dtype, shape)) return false;
    for (int bit = NORM_WANT_WEIGHT; bit <= NORM_WANT_BIAS; bit *= 2)
        if ((attrs->want & bit) &&
            !reel_infer_out(infer, infer->n_out++, dtype, REEL_SHAPE(1, geometry.g, geometry.c, 1)))
            return false;
    return true;
}

/* ---- Rules ---- */

static reel_dims statistics_axes(const norm_geometry *geometry)
{
    return geometry->batch ? REEL_DIMS(0, 2, 3) : REEL_DIMS(2, 3);
}

static reel_tensor *in_geometry(reel_tensor *x, const norm_geometry *geometry)
{
    return x ? reel_reshape(x, REEL_SHAPE(geometry->n, geometry->g, geometry->c, geometry->s)) : NULL;
}

static reel_tensor *weight_in_geometry(reel_tensor *weight, const norm_geometry *geometry)
{
    return weight ? reel_reshape(weight, REEL_SHAPE(1, geometry->g, geometry->c, 1)) : NULL;
}

static reel_tensor *add_some(reel_tensor *a, reel_tensor *b) { return a && b ? reel_add(a, b) : a ? a : b; }

/* Adds the cotangents of the mean and the variance to that of the input: d mean = 1 / M, d var = 2 (x - mean) / M. */
static reel_tensor *add_statistics_cotangents(const reel_vjp *vjp, const norm_geometry *geometry, reel_tensor *gx)
{
    double per = 1 / (double)reel_norm_count(geometry);
    reel_tensor *extra = NULL;
    if (vjp->cot[1] && geometry->center) extra = reel_mul_scalar(vjp->cot[1], per);
    if (vjp->cot[2]) {
        reel_tensor *d = in_geometry(reel_vjp_input(vjp, 0), geometry);
        if (geometry->center) d = reel_sub(d, reel_vjp_output(vjp, 1));
        extra = add_some(extra, reel_mul(d, reel_mul_scalar(vjp->cot[2], 2 * per)));
    }
    if (!extra) return gx;
    extra = reel_expand(extra, REEL_SHAPE(geometry->n, geometry->g, geometry->c, geometry->s));
    return add_some(gx, reel_reshape(extra, reel_vjp_input_shape(vjp, 0)));
}

static bool vjp_norm(reel_vjp *vjp)
{
    norm_attrs attrs = *(const norm_attrs *)vjp->attrs;
    norm_geometry geometry = reel_norm_geometry(&attrs, reel_vjp_input_shape(vjp, 0));
    attrs.want = 0;
    for (int i = 0; i < 3; i++)
        if (i < vjp->n_in && reel_vjp_wants(vjp, i)) attrs.want |= 1 << i;
    if (vjp->cot[0] && attrs.want) {
        reel_tensor *in[5] = { vjp->cot[0], reel_vjp_input(vjp, 0), reel_vjp_output(vjp, 1), reel_vjp_output(vjp, 2),
                               reel_vjp_input(vjp, 1) };
        reel_tensor *out[REEL_MAX_OUTPUTS];
        if (!reel_apply(&reel_op_norm_backward, in, 5, &attrs, out)) return false;
        for (int i = 0, k = 0; i < 3; i++)
            if (attrs.want & 1 << i) vjp->grad[i] = out[k++];
        for (int i = 1; i < 3; i++)
            if (vjp->grad[i]) vjp->grad[i] = reel_reshape(vjp->grad[i], reel_vjp_input_shape(vjp, i));
    }
    if (attrs.want & NORM_WANT_INPUT) vjp->grad[0] = add_statistics_cotangents(vjp, &geometry, vjp->grad[0]);
    return true;
}

/* y = (x - mean) r w + b with constant mean and r = 1 / sqrt(var + eps). */
static bool vjp_running(reel_vjp *vjp)
{
    const norm_attrs *attrs = vjp->attrs;
    norm_geometry geometry = reel_norm_geometry(attrs, reel_vjp_input_shape(vjp, 0));
    reel_tensor *gy = in_geometry(vjp->cot[0], &geometry), *weight = reel_vjp_input(vjp, 3);
    reel_tensor *rstd = weight_in_geometry(reel_rsqrt(reel_add_scalar(reel_vjp_input(vjp, 2), attrs->eps)), &geometry);
    if (reel_vjp_wants(vjp, 0)) {
        reel_tensor *scale = weight ? reel_mul(rstd, weight_in_geometry(weight, &geometry)) : rstd;
        vjp->grad[0] = reel_reshape(reel_mul(gy, scale), reel_vjp_input_shape(vjp, 0));
    }
    if (weight && reel_vjp_wants(vjp, 3)) {
        reel_tensor *d = reel_sub(in_geometry(reel_vjp_input(vjp, 0), &geometry),
                                  weight_in_geometry(reel_vjp_input(vjp, 1), &geometry));
        reel_tensor *sum = reel_sum(reel_mul(gy, d), REEL_DIMS(0, 3), true);
        vjp->grad[3] = reel_reshape(reel_mul(sum, rstd), reel_vjp_input_shape(vjp, 3));
    }
    if (vjp->n_in > 4 && reel_vjp_wants(vjp, 4))
        vjp->grad[4] = reel_reshape(reel_sum(gy, REEL_DIMS(0, 3), true), reel_vjp_input_shape(vjp, 4));
    return true;
}

/* The rule of the backward pass. Over the M elements behind one mean, with h = (x - mean) r, a = gy w and the symmetric
 * projection P = 1 - 1 1'/M - h h'/M (without 1 1' where the mean is not taken), it gives
 *     gx = B(a) = r P a,   gw = sum gy h,   gb = sum gy.
 * mean and r are those of x, so that for cotangents (u, v, t) of (gx, gw, gb)
 *     gy: w B(u) + v h + t,   w: sum gy B(u),   x: B(-(r / M) (<a, h> u + <u, h> a) + v gy) - (r / M) <B(u), a> h.
 * mean and var themselves get nothing: what comes through them is in x's. */
static bool vjp_backward(reel_vjp *vjp)
{
    norm_attrs attrs = *(const norm_attrs *)vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 1);
    norm_geometry geometry = reel_norm_geometry(&attrs, shape);
    reel_dims axes = statistics_axes(&geometry);
    reel_tensor *cot[3] = { NULL, NULL, NULL };
    for (int i = 0, k = 0; i < 3; i++)
        if (attrs.want & 1 << i) cot[i] = vjp->cot[k++];

    reel_tensor *input = reel_vjp_input(vjp, 1), *mean = reel_vjp_input(vjp, 2), *var = reel_vjp_input(vjp, 3);
    reel_tensor *gy = in_geometry(reel_vjp_input(vjp, 0), &geometry);
    reel_tensor *weight = weight_in_geometry(reel_vjp_input(vjp, 4), &geometry);
    reel_tensor *x = in_geometry(input, &geometry), *u = in_geometry(cot[0], &geometry), *v = cot[1], *t = cot[2];
    reel_tensor *rstd = reel_rsqrt(reel_add_scalar(var, attrs.eps));
    reel_tensor *h = reel_mul(geometry.center ? reel_sub(x, mean) : x, rstd);
    reel_tensor *a = weight ? reel_mul(gy, weight) : gy;
    attrs.want = NORM_WANT_INPUT;

    reel_tensor *bu = NULL;
    if (u) {
        reel_tensor *in[5] = { cot[0], input, mean, var, NULL };
        bu = in_geometry(reel_apply(&reel_op_norm_backward, in, 5, &attrs, NULL), &geometry);
        if (!bu) return false;
    }
    if (reel_vjp_wants(vjp, 0)) {
        reel_tensor *g = bu && weight ? reel_mul(bu, weight) : bu;
        if (v) g = add_some(g, reel_mul(h, v));
        if (t) g = add_some(g, reel_expand(t, REEL_SHAPE(geometry.n, geometry.g, geometry.c, geometry.s)));
        vjp->grad[0] = g ? reel_reshape(g, reel_vjp_input_shape(vjp, 0)) : NULL;
    }
    if (weight && bu && reel_vjp_wants(vjp, 4))
        vjp->grad[4] = reel_reshape(reel_sum(reel_mul(gy, bu), REEL_DIMS(0, 3), true), reel_vjp_input_shape(vjp, 4));
    if (!reel_vjp_wants(vjp, 1) || (!u && !v)) return true;

    reel_tensor *z = v ? reel_mul(gy, v) : NULL, *direct = NULL;
    if (u) {
        reel_tensor *scale = reel_mul_scalar(rstd, -1 / (double)reel_norm_count(&geometry));
        reel_tensor *ah = reel_mul(reel_sum(reel_mul(a, h), axes, true), scale);
        reel_tensor *uh = reel_mul(reel_sum(reel_mul(u, h), axes, true), scale);
        z = add_some(reel_add(reel_mul(u, ah), reel_mul(a, uh)), z);
        direct = reel_mul(h, reel_mul(reel_sum(reel_mul(bu, a), axes, true), scale));
    }
    reel_tensor *in[5] = { reel_reshape(z, shape), input, mean, var, NULL };
    reel_tensor *gx = reel_apply(&reel_op_norm_backward, in, 5, &attrs, NULL);
    vjp->grad[1] = direct ? reel_add(gx, reel_reshape(direct, shape)) : gx;
    return vjp->grad[1] != NULL;
}

/* Bits of the inputs that may be left out: weight and bias, and for `running` infer says which statistic is missing. */
#define NORM_OP(symbol, label, player, rule, may_lack)                                                                 \
    const reel_op reel_op_##symbol = {                                                                                 \
        .name = label,                                                                                                 \
        .infer = infer_norm,                                                                                           \
        .play = player,                                                                                                \
        .vjp = rule,                                                                                                   \
        .flags = REEL_OP_CHEAP,                                                                                        \
        .attrs_size = sizeof(norm_attrs),                                                                              \
        .optional = may_lack,                                                                                          \
    };
NORM_OP(batch_norm, "batch_norm", reel_norm_play, vjp_norm, 0x6)
NORM_OP(batch_norm_running, "batch_norm", reel_norm_running_play, vjp_running, 0x1e)
NORM_OP(layer_norm, "layer_norm", reel_norm_play, vjp_norm, 0x6)
NORM_OP(rms_norm, "rms_norm", reel_norm_play, vjp_norm, 0x6)
NORM_OP(group_norm, "group_norm", reel_norm_play, vjp_norm, 0x6)
NORM_OP(instance_norm, "instance_norm", reel_norm_play, vjp_norm, 0x6)
NORM_OP(instance_norm_running, "instance_norm", reel_norm_running_play, vjp_running, 0x1e)
#undef NORM_OP

const reel_op reel_op_norm_backward = {
    .name = "norm_backward",
    .infer = infer_backward,
    .play = reel_norm_backward_play,
    .vjp = vjp_backward,
    .attrs_size = sizeof(norm_attrs),
    .optional = 1 << 4, /* weight */
};
