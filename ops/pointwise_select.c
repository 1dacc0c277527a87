// SPDX-License-Identifier: MIT
// Comparisons and logic, selection by mask, interpolation, and casts.
#include <reel/core/context.h>
#include <reel/ops/pointwise_impl.h>

#include <math.h>

/* ---- Comparisons and logic. ---- */

#define TEST_OP(op, code) static const reel_op op##_op = REEL_POINTWISE_AS(#op, code, reel_pointwise_infer_test, NULL, 0);
#define TEST_SCALAR_OP(op, code)                                                                                       \
    static const reel_op op##_scalar_op = REEL_POINTWISE_AS(#op, code, reel_pointwise_infer_test, NULL, 1);

static reel_tensor *test(const reel_op *op, reel_tensor *a, reel_tensor *b)
{
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    return reel_apply(op, x, 2, NULL, NULL);
}

static reel_tensor *test_scalar(const reel_op *op, reel_tensor *x, double s)
{
    return reel_pointwise1_with(op, reel_pointwise_fit(x, s), (pointwise_attrs) { { s } });
}

static bool call_test(reel_call_args *args, reel_tensor *(*with_tensor)(reel_tensor *, reel_tensor *),
                      reel_tensor *(*with_number)(reel_tensor *, double))
{
    reel_tensor *x = reel_args_input(args, 0), *other;
    double s;
    if (!reel_pointwise_operand(args, 1, "other", &other, &s)) return false;
    return reel_args_return(args, other ? with_tensor(x, other) : with_number(x, s));
}

#define COMPARISON(op, code, text)                                                                                     \
    TEST_OP(op, code)                                                                                                  \
    TEST_SCALAR_OP(op, code##_SCALAR)                                                                                  \
    reel_tensor *reel_##op(reel_tensor *a, reel_tensor *b) { return test(&op##_op, a, b); }                            \
    reel_tensor *reel_##op##_scalar(reel_tensor *x, double s) { return test_scalar(&op##_scalar_op, x, s); }           \
    static bool call_##op(reel_call_args *args) { return call_test(args, reel_##op, reel_##op##_scalar); }             \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input other?",                                                     \
                                         .attrs = "other:float=none",                                                  \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input, other: shapes that broadcast -> that shape, bool",          \
                                         .errors = "none of its own" };
#define LOGIC(op, code, text)                                                                                          \
    TEST_OP(op, code)                                                                                                  \
    reel_tensor *reel_##op(reel_tensor *a, reel_tensor *b) { return test(&op##_op, a, b); }                            \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        return reel_args_return(args, reel_##op(reel_args_input(args, 0), reel_args_input(args, 1)));                  \
    }                                                                                                                  \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input other",                                                      \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input, other: shapes that broadcast -> that shape, bool",          \
                                         .errors = "none of its own" };
#define PREDICATE(op, text)                                                                                            \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        return reel_args_return(args, reel_##op(reel_args_input(args, 0)));                                            \
    }                                                                                                                  \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = "input",                                                            \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input: any -> the same, bool",                                     \
                                         .errors = "none of its own" };

COMPARISON(eq, EQ, "input = other")
COMPARISON(ne, NE, "input != other")
COMPARISON(lt, LT, "input < other")
COMPARISON(le, LE, "input <= other")
COMPARISON(gt, GT, "input > other")
COMPARISON(ge, GE, "input >= other")
LOGIC(logical_and, LOGICAL_AND, "input and other, where not zero is true")
LOGIC(logical_or, LOGICAL_OR, "input or other, where not zero is true")
LOGIC(logical_xor, LOGICAL_XOR, "either input or other, where not zero is true")

TEST_OP(logical_not, LOGICAL_NOT)
TEST_OP(isnan, ISNAN)
TEST_OP(isinf, ISINF)
TEST_OP(isfinite, ISFINITE)

reel_tensor *reel_logical_not(reel_tensor *x) { return reel_pointwise1(&logical_not_op, x); }

/* Integers are always finite: they differ from themselves never. */
static reel_tensor *of_float(const reel_op *op, reel_tensor *x, const reel_op *of_integer)
{
    return x && !reel_dtype_is_float(reel_dtype_of(x)) ? reel_pointwise2(of_integer, x, x) : reel_pointwise1(op, x);
}

reel_tensor *reel_isnan(reel_tensor *x) { return of_float(&isnan_op, x, &ne_op); }
reel_tensor *reel_isinf(reel_tensor *x) { return of_float(&isinf_op, x, &ne_op); }
reel_tensor *reel_isfinite(reel_tensor *x) { return of_float(&isfinite_op, x, &eq_op); }

PREDICATE(logical_not, "x = 0")
PREDICATE(isnan, "whether x is no number")
PREDICATE(isinf, "whether x is infinite")
PREDICATE(isfinite, "whether x is neither infinite nor NaN")

/* ---- Selection: input 0 is the mask. ---- */

static bool vjp_where(reel_vjp *vjp)
{
    reel_tensor *mask = reel_vjp_input(vjp, 0);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_masked_fill(vjp->cot[0], reel_logical_not(mask), 0);
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = reel_masked_fill(vjp->cot[0], mask, 0);
    return true;
}

static bool vjp_masked_fill(reel_vjp *vjp)
{
    vjp->grad[1] = reel_masked_fill(vjp->cot[0], reel_vjp_input(vjp, 0), 0);
    return true;
}

static const reel_op where_op = REEL_POINTWISE_AS("where", WHERE, reel_pointwise_infer_masked, vjp_where, 0);
static const reel_op masked_fill_op =
    REEL_POINTWISE_AS("masked_fill", MASKED_FILL, reel_pointwise_infer_masked, vjp_masked_fill, 1);

reel_tensor *reel_where(reel_tensor *condition, reel_tensor *a, reel_tensor *b)
{
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    return reel_pointwise3(&where_op, condition, x[0], x[1]);
}

reel_tensor *reel_masked_fill(reel_tensor *x, reel_tensor *mask, double value)
{
    if (x && !reel_dtype_is_float(reel_dtype_of(x))) value = reel_dtype_of(x) == REEL_BOOL ? value != 0 : trunc(value);
    return reel_pointwise2_with(&masked_fill_op, mask, x, (pointwise_attrs) { { value } });
}

/* ---- Combinations of three operands. ---- */

static bool vjp_lerp(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0];
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_mul(g, reel_rsub_scalar(reel_vjp_input(vjp, 2), 1));
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_mul(g, reel_vjp_input(vjp, 2));
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = reel_mul(g, reel_sub(reel_vjp_input(vjp, 1), reel_vjp_input(vjp, 0)));
    return true;
}

static bool vjp_addcmul(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0];
    double value = ((const pointwise_attrs *)vjp->attrs)->s[0];
    vjp->grad[0] = g;
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_mul(g, reel_mul_scalar(reel_vjp_input(vjp, 2), value));
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = reel_mul(g, reel_mul_scalar(reel_vjp_input(vjp, 1), value));
    return true;
}

static bool vjp_addcdiv(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *a = reel_vjp_input(vjp, 1), *b = reel_vjp_input(vjp, 2);
    double value = ((const pointwise_attrs *)vjp->attrs)->s[0];
    vjp->grad[0] = g;
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_div(reel_mul_scalar(g, value), b);
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = reel_mul(g, reel_div(reel_mul_scalar(a, -value), reel_square(b)));
    return true;
}

static const reel_op lerp_op = REEL_POINTWISE("lerp", LERP, vjp_lerp, 0);
static const reel_op addcmul_op = REEL_POINTWISE("addcmul", ADDCMUL, vjp_addcmul, 1);
static const reel_op addcdiv_op = REEL_POINTWISE("addcdiv", ADDCDIV, vjp_addcdiv, 1);

static reel_tensor *apply3(const reel_op *op, reel_tensor *a, reel_tensor *b, reel_tensor *c, double value)
{
    reel_tensor *x[] = { a, b, c };
    reel_pointwise_promote(x, 3);
    for (int i = 0; i < 3 && a && b && c; i++) x[i] = reel_pointwise_as_float(x[i]);
    return reel_apply(op, x, 3, &(pointwise_attrs) { { value } }, NULL);
}

reel_tensor *reel_lerp(reel_tensor *a, reel_tensor *b, reel_tensor *w) { return apply3(&lerp_op, a, b, w, 0); }

reel_tensor *reel_lerp_scalar(reel_tensor *a, reel_tensor *b, double w)
{
    return reel_lerp(a, b, a ? reel_scalar(reel_ctx_of(a), reel_dtype_of(reel_pointwise_as_float(a)), w) : NULL);
}

reel_tensor *reel_addcmul(reel_tensor *x, reel_tensor *a, reel_tensor *b, double value)
{
    if (!x || !a || !b || reel_dtype_is_float(reel_dtype_of(x)) || reel_dtype_is_float(reel_dtype_of(a)) ||
        reel_dtype_is_float(reel_dtype_of(b)))
        return apply3(&addcmul_op, x, a, b, value);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        y = reel_scope_return(reel_add(x, reel_mul_scalar(reel_mul(a, b), trunc(value))));
    }
    return y;
}

reel_tensor *reel_addcdiv(reel_tensor *x, reel_tensor *a, reel_tensor *b, double value)
{
    return apply3(&addcdiv_op, x, a, b, value);
}

/* ---- Casts: one descriptor for each dtype they lead to. ---- */

#define CAST(to, code)                                                                                                 \
    static bool infer_cast_##to(reel_infer *infer)                                                                     \
    {                                                                                                                  \
        return reel_infer_out(infer, 0, REEL_##code, reel_shape_of(infer->in[0]));                                     \
    }                                                                                                                  \
    static const reel_op cast_##to##_op = REEL_POINTWISE_AS("cast", CAST_##code, infer_cast_##to, vjp_cast, 0);

static bool vjp_cast(reel_vjp *vjp)
{
    vjp->grad[0] = reel_cast(vjp->cot[0], reel_vjp_input_dtype(vjp, 0));
    return true;
}

CAST(f32, F32)
CAST(f64, F64)
CAST(i64, I64)
CAST(i32, I32)
CAST(u8, U8)
CAST(bool, BOOL)

reel_tensor *reel_cast(reel_tensor *x, reel_dtype dtype)
{
    static const reel_op *const ops[REEL_DTYPE_COUNT] = {
        [REEL_F32] = &cast_f32_op, [REEL_F64] = &cast_f64_op, [REEL_I64] = &cast_i64_op,
        [REEL_I32] = &cast_i32_op, [REEL_U8] = &cast_u8_op,   [REEL_BOOL] = &cast_bool_op,
    };
    if (!x || reel_dtype_of(x) == dtype) return x;
    if ((int)dtype < 0 || dtype >= REEL_DTYPE_COUNT)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_DTYPE, "cast: there is no dtype %d", (int)dtype);
    return reel_pointwise1(ops[dtype], x);
}

/* ---- Table rows. ---- */

static bool call_where(reel_call_args *args)
{
    reel_tensor *x[2];
    double s[2] = { 0 };
    if (!reel_pointwise_operand(args, 1, "input", &x[0], &s[0])) return false;
    if (!reel_pointwise_operand(args, 2, "other", &x[1], &s[1])) return false;
    for (int i = 0; i < 2; i++) {
        if (x[i]) continue;
        const char *name = i ? "other" : "input";
        x[i] = x[1 - i] ? reel_pointwise_number(args, name, x[1 - i])
                        : reel_scalar(reel_args_ctx(args), reel_args_number_dtype(args, name), s[i]);
    }
    return reel_args_return(args, reel_where(reel_args_input(args, 0), x[0], x[1]));
}

/* A tensor as the value is one number without axes, in the input's dtype and with a gradient of its own. */
static bool call_masked_fill(reel_call_args *args)
{
    reel_tensor *x = reel_args_input(args, 0), *mask = reel_args_input(args, 1), *value, *y = NULL;
    double s = 0;
    if (!reel_pointwise_operand(args, 2, "value", &value, &s)) return false;
    if (!value) return reel_args_return(args, reel_masked_fill(x, mask, s));
    if (reel_ndim(value) > 0)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_SHAPE, "masked_fill: value must have no axes, but has %d",
                         reel_ndim(value)) != NULL;
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        y = reel_scope_return(reel_where(mask, reel_cast(value, reel_dtype_of(x)), x));
    }
    return reel_args_return(args, y);
}

static bool call_lerp(reel_call_args *args)
{
    reel_tensor *a = reel_args_input(args, 0), *b = reel_args_input(args, 1), *w;
    double s = 0;
    if (!reel_pointwise_operand(args, 2, "weight", &w, &s)) return false;
    return reel_args_return(args, w ? reel_lerp(a, b, w) : reel_lerp_scalar(a, b, s));
}

static bool call_addcmul(reel_call_args *args)
{
    return reel_args_return(args, reel_addcmul(reel_args_input(args, 0), reel_args_input(args, 1),
                                               reel_args_input(args, 2), reel_args_float(args, "value")));
}

static bool call_addcdiv(reel_call_args *args)
{
    return reel_args_return(args, reel_addcdiv(reel_args_input(args, 0), reel_args_input(args, 1),
                                               reel_args_input(args, 2), reel_args_float(args, "value")));
}

static bool call_cast(reel_call_args *args)
{
    reel_tensor *x = reel_args_input(args, 0), *y = reel_cast(x, reel_args_dtype(args, "dtype"));
    return reel_args_return(args, y);
}

#define THREE_OPERANDS "shapes that broadcast -> that shape"

const reel_function reel_fn_where = { .name = "where",
                                      .inputs = "condition input? other?",
                                      .attrs = "input:float=none other:float=none",
                                      .call = call_where,
                                      .formula = "condition ? input : other",
                                      .shapes = "condition (bool), input, other: " THREE_OPERANDS,
                                      .errors = "a condition that is not bool",
                                      .orders = -1 };
const reel_function reel_fn_masked_fill = { .name = "masked_fill",
                                            .inputs = "input mask value?",
                                            .attrs = "value:float=none",
                                            .call = call_masked_fill,
                                            .formula = "mask ? value : input",
                                            .shapes =
                                                "input, mask (bool): shapes that broadcast; value: [] -> that shape",
                                            .errors = "a mask that is not bool; a value with axes",
                                            .orders = -1 };
const reel_function reel_fn_lerp = { .name = "lerp",
                                     .inputs = "input end weight?",
                                     .attrs = "weight:float=none",
                                     .call = call_lerp,
                                     .formula = "input + weight (end - input)",
                                     .shapes = "input, end, weight: " THREE_OPERANDS,
                                     .errors = "none of its own",
                                     .orders = -1 };
const reel_function reel_fn_addcmul = { .name = "addcmul",
                                        .inputs = "input tensor1 tensor2",
                                        .attrs = "value:float=1",
                                        .call = call_addcmul,
                                        .formula = "input + value tensor1 tensor2",
                                        .shapes = "input, tensor1, tensor2: " THREE_OPERANDS,
                                        .errors = "none of its own",
                                        .orders = -1 };
const reel_function reel_fn_addcdiv = { .name = "addcdiv",
                                        .inputs = "input tensor1 tensor2",
                                        .attrs = "value:float=1",
                                        .call = call_addcdiv,
                                        .formula = "input + value tensor1 / tensor2",
                                        .shapes = "input, tensor1, tensor2: " THREE_OPERANDS,
                                        .errors = "none of its own",
                                        .orders = -1 };
const reel_function reel_fn_cast = { .name = "cast",
                                     .inputs = "input",
                                     .attrs = "dtype:dtype",
                                     .call = call_cast,
                                     .formula = "x in another dtype",
                                     .shapes = "input: any -> the same",
                                     .errors = "none of its own",
                                     .orders = -1 };
