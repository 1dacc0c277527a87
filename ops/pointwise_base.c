// SPDX-License-Identifier: MIT
// What all elementwise ops have in common: inference, promotion of dtypes, and how their table rows read operands.
#include <reel/core/operands.h>
#include <reel/ops/pointwise_impl.h>

#include <math.h>

static bool takes_dtype(reel_infer *infer)
{
    reel_dtype dtype = reel_dtype_of(infer->in[infer->n_in - 1]);
    if (reel_pointwise_tile(REEL_ISA_PORTABLE, infer->op->pointwise, dtype)) return true;
    return reel_infer_fail(infer, REEL_ERROR_DTYPE, "%s operands are not supported", reel_dtype_name(dtype));
}

bool reel_pointwise_infer(reel_infer *infer)
{
    if (!reel_infer_broadcast(infer)) return false;
    return reel_pointwise_tile(REEL_ISA_PORTABLE, infer->op->pointwise, infer->out[0].dtype) || takes_dtype(infer);
}

bool reel_pointwise_infer_test(reel_infer *infer)
{
    if (!reel_pointwise_infer(infer)) return false;
    infer->out[0].dtype = REEL_BOOL;
    return true;
}

bool reel_pointwise_infer_masked(reel_infer *infer)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (reel_dtype_of(infer->in[0]) != REEL_BOOL)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the mask is %s, not bool (reel_ne_scalar(mask, 0) makes one)",
                               reel_dtype_name(reel_dtype_of(infer->in[0])));
    reel_infer values = *infer;
    values.in++;
    values.n_in--;
    if (!takes_dtype(infer) || !reel_infer_broadcast(&values)) return false;
    reel_shape shape = values.out[0].shape, mask = reel_shape_of(infer->in[0]);
    reel_shape wide = { .ndim = mask.ndim > shape.ndim ? mask.ndim : shape.ndim };
    for (int axis = 1; axis <= wide.ndim; axis++) {
        int64_t m = axis <= mask.ndim ? mask.dim[mask.ndim - axis] : 1;
        int64_t n = axis <= shape.ndim ? shape.dim[shape.ndim - axis] : 1;
        if (m != n && m != 1 && n != 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the mask %s does not broadcast with %s",
                                   reel_shape_format(mask, a), reel_shape_format(shape, b));
        wide.dim[wide.ndim - axis] = m == 1 ? n : m;
    }
    return reel_infer_out(infer, 0, values.out[0].dtype, wide);
}

bool reel_pointwise_vjp_zero(reel_vjp *vjp)
{
    (void)vjp;
    return true;
}

reel_tensor *reel_pointwise1(const reel_op *op, reel_tensor *x) { return reel_apply(op, &x, 1, NULL, NULL); }

reel_tensor *reel_pointwise2(const reel_op *op, reel_tensor *a, reel_tensor *b)
{
    return reel_apply_two(op, a, b);
}

reel_tensor *reel_pointwise3(const reel_op *op, reel_tensor *a, reel_tensor *b, reel_tensor *c)
{
    return reel_apply(op, (reel_tensor *[]) { a, b, c }, 3, NULL, NULL);
}

reel_tensor *reel_pointwise1_with(const reel_op *op, reel_tensor *x, pointwise_attrs attrs)
{
    return reel_apply(op, &x, 1, &attrs, NULL);
}

reel_tensor *reel_pointwise2_with(const reel_op *op, reel_tensor *a, reel_tensor *b, pointwise_attrs attrs)
{
    return reel_apply(op, (reel_tensor *[]) { a, b }, 2, &attrs, NULL);
}

static int kind(reel_dtype dtype) { return dtype == REEL_BOOL ? 0 : reel_dtype_is_float(dtype) ? 2 : 1; }

void reel_pointwise_promote(reel_tensor **x, int count)
{
    int full = -1, scalar = -1; /* the dtypes in which operands with and without axes meet */
    bool same = true;
    if (!x[0]) return;
    reel_dtype first = reel_dtype_of(x[0]);
    for (int i = 1; i < count; i++) {
        if (!x[i]) return;
        same = same && reel_dtype_of(x[i]) == first;
    }
    if (same) return;
    for (int i = 0; i < count; i++) {
        reel_dtype dtype = reel_dtype_of(x[i]);
        int *meet = reel_ndim(x[i]) > 0 ? &full : &scalar;
        *meet = *meet < 0 ? (int)dtype : (int)reel_dtype_promote((reel_dtype)*meet, dtype);
    }
    bool raises = full < 0 || (scalar >= 0 && kind((reel_dtype)scalar) > kind((reel_dtype)full));
    for (int i = 0; i < count; i++) x[i] = reel_cast(x[i], (reel_dtype)(raises ? scalar : full));
}

reel_tensor *reel_pointwise_as_float(reel_tensor *x)
{
    return reel_dtype_is_float(reel_dtype_of(x)) ? x : reel_cast(x, REEL_F32);
}

reel_tensor *reel_pointwise_fit(reel_tensor *x, double s)
{
    reel_dtype dtype = reel_dtype_of(x);
    if (reel_dtype_is_float(dtype)) return x;
    if (floor(s) != s || fabs(s) >= 0x1p63) return reel_cast(x, REEL_F32);
    bool fits = dtype == REEL_I64 || (dtype == REEL_I32 && s >= INT32_MIN && s <= INT32_MAX) ||
                (dtype == REEL_U8 && s >= 0 && s <= UINT8_MAX);
    return fits ? x : reel_cast(x, REEL_I64);
}

bool reel_pointwise_operand(const reel_call_args *args, int i, const char *name, reel_tensor **tensor, double *number)
{
    *tensor = reel_args_input(args, i);
    if (*tensor) return true;
    if (!reel_args_has(args, name))
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s is missing: give a tensor or a number", name) !=
               NULL;
    *number = reel_args_float(args, name);
    return true;
}

reel_tensor *reel_pointwise_number(const reel_call_args *args, const char *name, const reel_tensor *x)
{
    reel_dtype dtype = reel_dtype_of(x), written = reel_args_number_dtype(args, name);
    double number = reel_args_float(args, name);
    reel_ctx *ctx = reel_args_ctx(args);
    if (reel_dtype_is_float(dtype)) return reel_scalar(ctx, dtype, number);
    reel_tensor *y = reel_scalar(ctx, written, number);
    return written == REEL_F32 || dtype == REEL_BOOL ? y : reel_cast(y, dtype);
}
