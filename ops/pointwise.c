// SPDX-License-Identifier: MIT
// Elementwise arithmetic with tensors and numbers.
#include <reel/core/operands.h>
#include <reel/ops/pointwise_impl.h>

#include <math.h>

/* ---- Rules. g is the cotangent, a and b are the inputs, y is the output. ---- */

static bool vjp_add(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->grad[1] = vjp->cot[0];
    return true;
}

static bool vjp_sub(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_neg(vjp->cot[0]);
    return true;
}

static bool vjp_mul(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0];
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_mul(g, reel_vjp_input(vjp, 1));
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_mul(g, reel_vjp_input(vjp, 0));
    return true;
}

static bool vjp_div(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *b = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_div(g, b);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_neg(reel_mul(g, reel_div(reel_vjp_output(vjp, 0), b)));
    return true;
}

/* b a^(b-1), which is 0 at b = 0 even where a^(b-1) is not finite; y log a, 0 where y is 0 because a is. */
static bool vjp_pow(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *a = reel_vjp_input(vjp, 0), *b = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) {
        reel_tensor *slope = reel_mul(b, reel_pow(a, reel_sub_scalar(b, 1)));
        vjp->grad[0] = reel_masked_fill(reel_mul(g, slope), reel_eq_scalar(b, 0), 0);
    }
    if (reel_vjp_wants(vjp, 1)) {
        reel_tensor *flat = reel_logical_and(reel_eq_scalar(a, 0), reel_ge_scalar(b, 0));
        vjp->grad[1] = reel_masked_fill(reel_mul(g, reel_mul(reel_vjp_output(vjp, 0), reel_log(a))), flat, 0);
    }
    return true;
}

/* a < b ? 0 : a == b ? g / 2 : g, what the larger one gets. */
static reel_tensor *larger_grad(reel_tensor *a, reel_tensor *b, reel_tensor *g);

static bool vjp_larger_grad(reel_vjp *vjp)
{
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = larger_grad(reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1), vjp->cot[0]);
    return true;
}

static const reel_op larger_grad_op =
    REEL_POINTWISE("larger_grad", LARGER_GRAD, vjp_larger_grad, 0);

static reel_tensor *larger_grad(reel_tensor *a, reel_tensor *b, reel_tensor *g)
{
    return reel_pointwise3(&larger_grad_op, a, b, g);
}

static bool vjp_maximum(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *a = reel_vjp_input(vjp, 0), *b = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = larger_grad(a, b, g);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = larger_grad(b, a, g);
    return true;
}

static bool vjp_minimum(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *a = reel_vjp_input(vjp, 0), *b = reel_vjp_input(vjp, 1);
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = larger_grad(b, a, g);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = larger_grad(a, b, g);
    return true;
}

static bool vjp_atan2(reel_vjp *vjp)
{
    reel_tensor *a = reel_vjp_input(vjp, 0), *b = reel_vjp_input(vjp, 1);
    reel_tensor *g = reel_div(vjp->cot[0], reel_add(reel_square(a), reel_square(b)));
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_mul(g, b);
    if (reel_vjp_wants(vjp, 1)) vjp->grad[1] = reel_neg(reel_mul(g, a));
    return true;
}

static bool vjp_hypot(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0], *y = reel_vjp_output(vjp, 0);
    for (int i = 0; i < 2; i++)
        if (reel_vjp_wants(vjp, i)) vjp->grad[i] = reel_mul(g, reel_div(reel_vjp_input(vjp, i), y));
    return true;
}

static bool vjp_fmod(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    if (reel_vjp_wants(vjp, 1)) {
        reel_tensor *quotient = reel_trunc(reel_div(reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1)));
        vjp->grad[1] = reel_neg(reel_mul(vjp->cot[0], quotient));
    }
    return true;
}

/* The quotient in floor mode is what the remainder leaves, which no rounding of a / b can lift to the next whole number
 * (1 // 0.1 is 9, as Python has it). Of infinite b it is 0, or -1 where the signs differ: there a / b is 0 already. */
static reel_tensor *floor_of_floats(reel_tensor *a, reel_tensor *b)
{
    reel_tensor *plain = reel_sub(reel_floor(reel_div(a, b)), reel_lt_scalar(reel_mul(a, b), 0));
    reel_tensor *whole = reel_round(reel_div(reel_sub(a, reel_remainder(a, b)), b));
    return reel_where(reel_logical_or(reel_eq_scalar(b, 0), reel_isinf(b)), plain, whole);
}

static bool vjp_remainder(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    if (reel_vjp_wants(vjp, 1)) {
        reel_tensor *quotient = floor_of_floats(reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1));
        vjp->grad[1] = reel_neg(reel_mul(vjp->cot[0], quotient));
    }
    return true;
}

static double number(const reel_vjp *vjp) { return ((const pointwise_attrs *)vjp->attrs)->s[0]; }

static bool vjp_add_scalar(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    return true;
}

static bool vjp_rsub_scalar(reel_vjp *vjp)
{
    vjp->grad[0] = reel_neg(vjp->cot[0]);
    return true;
}

static bool vjp_mul_scalar(reel_vjp *vjp)
{
    vjp->grad[0] = reel_mul_scalar(vjp->cot[0], number(vjp));
    return true;
}

static bool vjp_div_scalar(reel_vjp *vjp)
{
    vjp->grad[0] = reel_div_scalar(vjp->cot[0], number(vjp));
    return true;
}

static bool vjp_pow_scalar(reel_vjp *vjp)
{
    double p = number(vjp);
    if (p == 0) return true;
    reel_tensor *x = reel_vjp_input(vjp, 0);
    reel_tensor *power = p == 2 ? x : p == -1 ? reel_square(reel_vjp_output(vjp, 0)) : reel_pow_scalar(x, p - 1);
    vjp->grad[0] = reel_mul(vjp->cot[0], reel_mul_scalar(power, p));
    return true;
}

/* ---- Playing divisions of integers, whose divisors must not be 0. ---- */

#define REEL_ZEROS(T)                                                                                                  \
    for (int64_t i = 0; i < n; i++) zeros += ((const T *)x->data)[offset + i * stride] == 0;                           \
    break;

static bool has_zero(const reel_buffer *x)
{
    int last = x->ndim - 1;
    int64_t index[REEL_MAX_DIMS] = { 0 }, offset = 0, n = 1, stride = 1, zeros = 0;
    if (last >= 0) n = x->shape[last], stride = x->strides[last];
    for (int64_t row = 0; row < x->numel && zeros == 0; row += n) {
        switch (x->dtype) {
        case REEL_I64: REEL_ZEROS(int64_t)
        case REEL_I32: REEL_ZEROS(int32_t)
        default: REEL_ZEROS(uint8_t)
        }
        for (int d = last - 1; d >= 0; d--) {
            offset += x->strides[d];
            if (++index[d] < x->shape[d]) break;
            offset -= x->strides[d] * x->shape[d];
            index[d] = 0;
        }
    }
    return zeros > 0;
}
#undef REEL_ZEROS

static bool infer_modulo(reel_infer *infer)
{
    if (!reel_infer_broadcast(infer)) return false;
    return infer->out[0].dtype != REEL_BOOL ||
           reel_infer_fail(infer, REEL_ERROR_DTYPE, "bool operands are not supported");
}

static bool play_modulo(const reel_play *play, int code)
{
    if (play->out[0].numel > 0 && has_zero(&play->in[1]))
        return reel_play_fail(play, REEL_ERROR_VALUE, "an integer is divided by zero");
    return reel_pointwise_play_as(play, code);
}

static bool play_integer_fmod(const reel_play *play) { return play_modulo(play, REEL_PW_FMOD); }
static bool play_integer_remainder(const reel_play *play) { return play_modulo(play, REEL_PW_REMAINDER); }
static bool play_floor_quotient(const reel_play *play) { return play_modulo(play, REEL_PW_FLOOR_QUOTIENT); }
static bool play_trunc_quotient(const reel_play *play) { return play_modulo(play, REEL_PW_TRUNC_QUOTIENT); }

/* ---- Descriptors and functions. ---- */

static const reel_op add_op = REEL_POINTWISE("add", ADD, vjp_add, 0);
static const reel_op sub_op = REEL_POINTWISE("sub", SUB, vjp_sub, 0);
static const reel_op mul_op = REEL_POINTWISE("mul", MUL, vjp_mul, 0);
static const reel_op div_op = REEL_POINTWISE("div", DIV, vjp_div, 0);
static const reel_op pow_op = REEL_POINTWISE("pow", POW, vjp_pow, 0);
static const reel_op maximum_op = REEL_POINTWISE("maximum", MAXIMUM, vjp_maximum, 0);
static const reel_op minimum_op = REEL_POINTWISE("minimum", MINIMUM, vjp_minimum, 0);
static const reel_op atan2_op = REEL_POINTWISE("atan2", ATAN2, vjp_atan2, 0);
static const reel_op hypot_op = REEL_POINTWISE("hypot", HYPOT, vjp_hypot, 0);

static const reel_op fmod_op = REEL_POINTWISE("fmod", FMOD, vjp_fmod, 0);
static const reel_op remainder_op = REEL_POINTWISE("remainder", REMAINDER, vjp_remainder, 0);
static const reel_op integer_fmod_op = {
    .name = "fmod", .infer = infer_modulo, .play = play_integer_fmod, .flags = REEL_OP_STRIDED
};
static const reel_op integer_remainder_op = {
    .name = "remainder", .infer = infer_modulo, .play = play_integer_remainder, .flags = REEL_OP_STRIDED
};
static const reel_op floor_quotient_op = {
    .name = "div", .infer = infer_modulo, .play = play_floor_quotient, .flags = REEL_OP_STRIDED
};
static const reel_op trunc_quotient_op = {
    .name = "div", .infer = infer_modulo, .play = play_trunc_quotient, .flags = REEL_OP_STRIDED
};

static const reel_op add_scalar_op = REEL_POINTWISE("add", ADD_SCALAR, vjp_add_scalar, 1);
static const reel_op rsub_scalar_op = REEL_POINTWISE("rsub", RSUB_SCALAR, vjp_rsub_scalar, 1);
static const reel_op mul_scalar_op = REEL_POINTWISE("mul", MUL_SCALAR, vjp_mul_scalar, 1);
static const reel_op div_scalar_op = REEL_POINTWISE("div", DIV_SCALAR, vjp_div_scalar, 1);
static const reel_op pow_scalar_op = REEL_POINTWISE("pow", POW_SCALAR, vjp_pow_scalar, 1);

static reel_tensor *apply(const reel_op *op, reel_tensor *a, reel_tensor *b)
{
    if (reel_same_dtype(a, b)) return reel_apply_two(op, a, b);
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    return reel_apply_two(op, x[0], x[1]);
}

/* The same of floats. */
static reel_tensor *apply_float(const reel_op *op, reel_tensor *a, reel_tensor *b)
{
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    if (!a || !b) return reel_apply(op, x, 2, NULL, NULL);
    return reel_pointwise2(op, reel_pointwise_as_float(x[0]), reel_pointwise_as_float(x[1]));
}

/* Integers have an op of their own, which looks at the divisors first and is no part of fused chains. */
static reel_tensor *apply_modulo(const reel_op *of_floats, const reel_op *of_integers, reel_tensor *a, reel_tensor *b)
{
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    bool floats = !x[0] || reel_dtype_is_float(reel_dtype_of(x[0]));
    return reel_apply(floats ? of_floats : of_integers, x, 2, NULL, NULL);
}

static reel_tensor *apply_scalar(const reel_op *op, reel_tensor *x, double s)
{
    return reel_pointwise1_with(op, reel_pointwise_fit(x, s), (pointwise_attrs) { { s } });
}

reel_tensor *reel_add(reel_tensor *a, reel_tensor *b) { return apply(&add_op, a, b); }
reel_tensor *reel_sub(reel_tensor *a, reel_tensor *b) { return apply(&sub_op, a, b); }
reel_tensor *reel_mul(reel_tensor *a, reel_tensor *b) { return apply(&mul_op, a, b); }
reel_tensor *reel_div(reel_tensor *a, reel_tensor *b) { return apply_float(&div_op, a, b); }
reel_tensor *reel_pow(reel_tensor *a, reel_tensor *b) { return apply(&pow_op, a, b); }
reel_tensor *reel_maximum(reel_tensor *a, reel_tensor *b) { return apply(&maximum_op, a, b); }
reel_tensor *reel_minimum(reel_tensor *a, reel_tensor *b) { return apply(&minimum_op, a, b); }
reel_tensor *reel_atan2(reel_tensor *a, reel_tensor *b) { return apply_float(&atan2_op, a, b); }
reel_tensor *reel_hypot(reel_tensor *a, reel_tensor *b) { return apply_float(&hypot_op, a, b); }

reel_tensor *reel_fmod(reel_tensor *a, reel_tensor *b) { return apply_modulo(&fmod_op, &integer_fmod_op, a, b); }

reel_tensor *reel_remainder(reel_tensor *a, reel_tensor *b)
{
    return apply_modulo(&remainder_op, &integer_remainder_op, a, b);
}

reel_tensor *reel_add_scalar(reel_tensor *x, double s) { return apply_scalar(&add_scalar_op, x, s); }
reel_tensor *reel_sub_scalar(reel_tensor *x, double s) { return apply_scalar(&add_scalar_op, x, -s); }
reel_tensor *reel_rsub_scalar(reel_tensor *x, double s) { return apply_scalar(&rsub_scalar_op, x, s); }
reel_tensor *reel_mul_scalar(reel_tensor *x, double s) { return apply_scalar(&mul_scalar_op, x, s); }

reel_tensor *reel_pow_scalar(reel_tensor *x, double p)
{
    if (x && p < 0 && floor(p) == p && !reel_dtype_is_float(reel_dtype_of(x)))
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE,
                         "pow: integers to the power of %g are no integers; cast them", p);
    return apply_scalar(&pow_scalar_op, x, p);
}

reel_tensor *reel_div_scalar(reel_tensor *x, double s)
{
    return reel_pointwise1_with(&div_scalar_op, reel_pointwise_as_float(x), (pointwise_attrs) { { s } });
}

reel_tensor *reel_maximum_scalar(reel_tensor *x, double s) { return reel_clamp(x, s, INFINITY); }
reel_tensor *reel_minimum_scalar(reel_tensor *x, double s) { return reel_clamp(x, -INFINITY, s); }

/* ---- Table rows. ---- */

typedef reel_tensor *binary_fn(reel_tensor *a, reel_tensor *b);
typedef reel_tensor *scalar_fn(reel_tensor *x, double s);

/* In which two numbers meet: that of the one written with a fraction, which is float64 as there is no tensor to fit. */
static reel_dtype written_dtype(const reel_call_args *args, const char *first, const char *second)
{
    reel_dtype dtype = reel_dtype_promote(reel_args_number_dtype(args, first), reel_args_number_dtype(args, second));
    return dtype == REEL_F32 ? REEL_F64 : dtype;
}

/* The two operands of a row, either of which may be a number. What floats meet stays one: *b is NULL then. */
static bool operands(const reel_call_args *args, const char *second, reel_tensor **a, reel_tensor **b, double *s)
{
    double first;
    if (!reel_pointwise_operand(args, 0, "input", a, &first) || !reel_pointwise_operand(args, 1, second, b, s))
        return false;
    if (!*a && *b)
        *a = reel_pointwise_number(args, "input", *b);
    else if (!*a)
        *a = reel_scalar(reel_args_ctx(args), written_dtype(args, "input", second), first);
    if (!*b && *a && !reel_dtype_is_float(reel_dtype_of(*a))) *b = reel_pointwise_number(args, second, *a);
    return *a != NULL;
}

/* x op other, where one may be a number. */
static bool call_binary(reel_call_args *args, binary_fn *with_tensor, scalar_fn *with_number, const char *name)
{
    reel_tensor *a, *b, *y = NULL;
    double s;
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        if (!operands(args, name, &a, &b, &s)) break;
        if (!b && !with_number) b = reel_pointwise_number(args, name, a);
        y = reel_scope_return(b ? with_tensor(a, b) : with_number(a, s));
    }
    return reel_args_return(args, y);
}

static bool has_tensor(const reel_call_args *args, const char *second)
{
    return reel_args_input(args, 0) || reel_args_input(args, 1) ||
           reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "one of input and %s must be a tensor", second);
}

/* Both tensors. */
static bool call_tensors(reel_call_args *args, binary_fn *op)
{
    return reel_args_return(args, op(reel_args_input(args, 0), reel_args_input(args, 1)));
}

#define BROADCAST "input, other: shapes that broadcast -> that shape"
#define ROW(op, operand_names, attributes, second, text, refused)                                                      \
    const reel_function reel_fn_##op = { .name = #op,                                                                  \
                                         .inputs = operand_names,                                                      \
                                         .attrs = attributes,                                                          \
                                         .call = call_##op,                                                            \
                                         .formula = text,                                                              \
                                         .shapes = "input, " second ": shapes that broadcast -> that shape",           \
                                         .errors = refused,                                                            \
                                         .orders = -1 };
#define BINARY(op, operand_names, attributes, second, text, refused, calls)                                            \
    static bool call_##op(reel_call_args *args) { return calls; }                                                      \
    ROW(op, operand_names, attributes, second, text, refused)

/* Numbers in place of either operand, of the second or of none: as in PyTorch. */
#define EITHER(op, with_number, second, text, refused)                                                                 \
    BINARY(op, "input? " second "?", "input:float=none " second ":float=none", second, text, refused,                  \
           has_tensor(args, second) && call_binary(args, reel_##op, with_number, second))
#define SECOND(op, text, refused)                                                                                      \
    BINARY(op, "input other?", "other:float=none", "other", text, refused, call_binary(args, reel_##op, NULL, "other"))
#define NEITHER(op, text)                                                                                              \
    BINARY(op, "input other", NULL, "other", text, "none of its own", call_tensors(args, reel_##op))

BINARY(mul, "input? other?", "input:float=none other:float=none", "other", "input * other", "none of its own",
       call_binary(args, reel_mul, reel_mul_scalar, "other"))

/* Integers take a number as it is, which says whether it is negative. */
static bool call_pow(reel_call_args *args)
{
    reel_tensor *a = reel_args_input(args, 0);
    if (!has_tensor(args, "exponent")) return false;
    if (a && !reel_args_input(args, 1) && reel_args_has(args, "exponent") && reel_args_float(args, "exponent") < 0)
        return reel_args_return(args, reel_pow_scalar(a, reel_args_float(args, "exponent")));
    return call_binary(args, reel_pow, reel_pow_scalar, "exponent");
}
ROW(pow, "input? exponent?", "input:float=none exponent:float=none", "exponent", "input ^ exponent",
    "two numbers; two bools; a negative whole number as the exponent of integers")
EITHER(remainder, NULL, "other", "input - other floor(input / other)",
       "two numbers; two bools; an integer divided by 0")
SECOND(fmod, "input - other trunc(input / other)", "two bools; an integer divided by 0")
NEITHER(maximum, "max(input, other), NaN when either is")
NEITHER(minimum, "min(input, other), NaN when either is")
NEITHER(atan2, "the angle of the point (other, input)")
NEITHER(hypot, "sqrt(input^2 + other^2)")

/* input +- alpha other. */
static bool call_sum(reel_call_args *args, binary_fn *with_tensor, scalar_fn *with_number)
{
    reel_tensor *a, *b, *y = NULL;
    double s, alpha = reel_args_float(args, "alpha");
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        if (!operands(args, "other", &a, &b, &s)) break;
        y = b ? with_tensor(a, alpha == 1 ? b : reel_mul_scalar(b, alpha)) : with_number(a, alpha * s);
        reel_scope_return(y);
    }
    return reel_args_return(args, y);
}

static bool call_add(reel_call_args *args) { return call_sum(args, reel_add, reel_add_scalar); }
static bool call_sub(reel_call_args *args) { return call_sum(args, reel_sub, reel_sub_scalar); }

enum { TRUNC, FLOOR, EXACT };

static reel_tensor *rounded_quotient(reel_tensor *a, reel_tensor *b, int mode)
{
    reel_tensor *x[] = { a, b };
    reel_pointwise_promote(x, 2);
    if (x[0] && !reel_dtype_is_float(reel_dtype_of(x[0])))
        return reel_apply(mode == FLOOR ? &floor_quotient_op : &trunc_quotient_op, x, 2, NULL, NULL);
    return mode == FLOOR ? floor_of_floats(x[0], x[1]) : reel_trunc(reel_div(x[0], x[1]));
}

/* input / other, or its floor or truncation, which of integers is an integer. */
static bool call_div(reel_call_args *args)
{
    reel_tensor *y = NULL;
    int mode = reel_args_has(args, "rounding_mode") ? reel_args_choice(args, "rounding_mode", "trunc floor") : EXACT;
    if (mode < 0) return false;
    reel_tensor *a, *b;
    double s;
    REEL_COMPOSITE(reel_args_ctx(args))
    {
        if (!operands(args, "other", &a, &b, &s)) break;
        if (mode == EXACT)
            y = b ? reel_div(a, b) : reel_div_scalar(a, s);
        else
            y = rounded_quotient(a, b ? b : reel_pointwise_number(args, "other", a), mode);
        reel_scope_return(y);
    }
    return reel_args_return(args, y);
}

const reel_function reel_fn_add = { .name = "add",
                                    .inputs = "input? other?",
                                    .attrs = "input:float=none other:float=none alpha:float=1",
                                    .call = call_add,
                                    .formula = "input + alpha other",
                                    .shapes = BROADCAST,
                                    .errors = "none of its own",
                                    .orders = -1 };
const reel_function reel_fn_sub = { .name = "sub",
                                    .inputs = "input? other?",
                                    .attrs = "input:float=none other:float=none alpha:float=1",
                                    .call = call_sub,
                                    .formula = "input - alpha other",
                                    .shapes = BROADCAST,
                                    .errors = "two bools",
                                    .orders = -1 };
const reel_function reel_fn_div = { .name = "div",
                                    .inputs = "input? other?",
                                    .attrs = "input:float=none other:float=none rounding_mode:string=none",
                                    .call = call_div,
                                    .formula =
                                        "input / other, truncated or floored by rounding_mode (of integers an integer)",
                                    .shapes = BROADCAST,
                                    .errors = "with rounding_mode: two bools, an integer divided by 0",
                                    .orders = -1 };
