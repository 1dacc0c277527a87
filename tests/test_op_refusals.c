// SPDX-License-Identifier: MIT
// Every op is given attributes and operands that do not fit, also sizes near INT64_MAX: it works or refuses by name.
#include "../tools/op_rows.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <reel/core/autograd.h>
#include <reel/ops/shape.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
// The ceiling makes an error of what is well-formed and merely too large.
static void begin(void) { ctx = reel_ctx_new(&(reel_ctx_opts) { .memory_limit = 64 << 20 }); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(op_refusals, .init = begin, .fini = end, .timeout = 300);

// Calls the op and plays its outputs: what fails must name the op. Then plays its gradients, which must not crash.
static void works_or_names_the_op(const op_case *c, reel_tensor **in, const char *attrs)
{
    reel_tensor *out[OP_CASE_OUTPUTS], *floats[OP_CASE_OUTPUTS], *by[OP_CASE_OPERANDS], *grads[OP_CASE_OPERANDS];
    reel_named named[OP_CASE_OPERANDS];
    int n_by = 0, n_floats = 0;
    for (int i = 0; i < c->n; i++) {
        named[i] = (reel_named) { c->operand[i].name, in[i] };
        if (in[i] && reel_dtype_is_float(reel_dtype_of(in[i]))) by[n_by++] = reel_set_requires_grad(in[i], true);
    }
    int n = reel_call_function(ctx, c->function, named, c->n, attrs, out, OP_CASE_OUTPUTS);
    bool played = n >= 0 && reel_eval_all(out, n);
    reel_error error = reel_ctx_error(ctx);
    const char *message = reel_ctx_error_message(ctx);
    cr_expect(played || error != REEL_OK, "%s %s: failed without an error", c->row->op, attrs);
    if (error != REEL_OK && error != REEL_ERROR_MEMORY)
        cr_expect(strstr(message, c->row->op), "%s %s: '%s' does not name the op", c->row->op, attrs, message);
    for (int k = 0; played && k < n; k++)
        if (reel_dtype_is_float(reel_dtype_of(out[k]))) floats[n_floats++] = out[k];
    if (played && n_by && n_floats && reel_grad(floats, n_floats, by, n_by, NULL, grads)) reel_eval_all(grads, n_by);
    reel_ctx_clear_error(ctx);
}

static void try_attrs(const op_case *c, const json_t *attrs)
{
    char *text = json_dumps(attrs, JSON_COMPACT);
    REEL_SCOPE(ctx)
    {
        reel_tensor *in[OP_CASE_OPERANDS];
        for (int i = 0; i < c->n; i++) in[i] = op_operand_tensor(ctx, &c->operand[i], REEL_F64);
        works_or_names_the_op(c, in, text);
    }
    free(text);
}

// Puts `value` for the attribute, alone and at each place of a list of up to `places`.
static void try_value(const op_case *c, const json_t *attrs, const reel_param *param, json_t *value, int places)
{
    json_t *changed = json_deep_copy(attrs);
    json_object_set(changed, param->name, value);
    try_attrs(c, changed);
    for (int length = 1; length <= places; length++)
        for (int at = 0; at < length; at++) {
            json_t *list = json_array();
            for (int i = 0; i < length; i++)
                json_array_append_new(list, i == at ? json_incref(value) : json_integer(1));
            json_object_set_new(changed, param->name, list);
            try_attrs(c, changed);
        }
    json_decref(changed);
    json_decref(value);
}

Test(op_refusals, extreme_attributes_work_or_are_refused_by_name)
{
    static const json_int_t whole[] = { INT64_MAX,
                                        INT64_MIN,
                                        INT64_MAX / 2,
                                        -INT64_MAX / 2,
                                        (json_int_t)1 << 32,
                                        ((json_int_t)1 << 31) - 1,
                                        -((json_int_t)1 << 31),
                                        1000003,
                                        -3,
                                        -1,
                                        0,
                                        9 };
    static const double real[] = { 1e308, -1e308, 0, -1, 1e-308, 0.5 };
    static const char *const text[] = { "", "no such word", "inf", "-inf", "nan", "none", "same", "sum" };
    char why[OP_CASE_TEXT];
    for (const reel_row *row = op_rows; row->op; row++) {
        op_case c;
        const reel_function *function = reel_function_find(row->op);
        if (!function || !op_case_draw(&c, row, function, 2, why)) continue;
        json_t *attrs = row->attrs[0] ? json_loads(row->attrs, 0, NULL) : json_object();
        cr_assert_not_null(attrs, "%s: %s", row->op, row->attrs);
        reel_param param;
        for (int a = 0; reel_function_attr(function, a, &param); a++) {
            int places = strstr(param.type, "ints") || strstr(param.type, "floats") ? 3 : 0;
            for (size_t i = 0; strstr(param.type, "int") && i < sizeof whole / sizeof whole[0]; i++)
                try_value(&c, attrs, &param, json_integer(whole[i]), places);
            for (size_t i = 0; strstr(param.type, "float") && i < sizeof real / sizeof real[0]; i++)
                try_value(&c, attrs, &param, json_real(real[i]), places);
            for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
                try_value(&c, attrs, &param, json_string(text[i]), 0);
            try_value(&c, attrs, &param, json_true(), 0);
            try_value(&c, attrs, &param, json_array(), 0);
            json_t *without = json_deep_copy(attrs);
            json_object_del(without, param.name);
            try_attrs(&c, without);
            json_decref(without);
        }
        json_decref(attrs);
        op_case_free(&c);
    }
}

// ---- operands ----

enum {
    LEFT_OUT,
    OTHER_FLOAT,
    AS_INT,
    AS_BOOL,
    MORE_AXES,
    FEWER_AXES,
    LARGER,
    EMPTY,
    SCALAR,
    EMPTY_AND_HUGE,
    SPREAD,
    CHANGES
};

// Of no elements but with an axis as long as one may be, or one element spread over 2^55.
static reel_tensor *endless(const op_operand *o, int change)
{
    reel_dtype dtype = o->kind == 'i' ? REEL_I64 : o->kind == 'b' ? REEL_BOOL : REEL_F64;
    reel_shape shape = o->shape;
    for (int d = 0; d < shape.ndim; d++) shape.dim[d] = 1;
    if (shape.ndim == 0) return reel_zeros(ctx, shape, dtype);
    int64_t *last = &shape.dim[shape.ndim - 1];
    if (change == EMPTY_AND_HUGE) {
        *last = INT64_MAX / 16;
        shape.dim[0] = 0;
        return reel_zeros(ctx, shape, dtype);
    }
    reel_tensor *one = reel_zeros(ctx, shape, dtype);
    *last = (int64_t)1 << 55;
    return reel_expand(one, shape);
}

// The operand, changed in one way; its values repeat where there are more elements.
static reel_tensor *changed(const op_operand *o, int change)
{
    op_operand other = *o;
    reel_dtype floating = change == OTHER_FLOAT ? REEL_F32 : REEL_F64;
    reel_shape *shape = &other.shape;
    if (change == LEFT_OUT) return NULL;
    if (change == EMPTY_AND_HUGE || change == SPREAD) return endless(o, change);
    if (change == AS_INT) other.kind = 'i';
    if (change == AS_BOOL) other.kind = 'b';
    if (change == MORE_AXES && shape->ndim < REEL_MAX_DIMS) shape->dim[shape->ndim++] = 2;
    if (change == FEWER_AXES && shape->ndim > 0) shape->ndim--;
    if (change == LARGER && shape->ndim > 0) shape->dim[shape->ndim - 1] += 1;
    if (change == EMPTY && shape->ndim > 0) shape->dim[0] = 0;
    if (change == SCALAR) shape->ndim = 0;
    other.numel = reel_shape_numel(*shape);
    other.value = malloc((size_t)other.numel * sizeof(double) + 1);
    cr_assert_not_null(other.value);
    for (int64_t k = 0; k < other.numel; k++) other.value[k] = o->numel ? o->value[k % o->numel] : 0;
    reel_tensor *x = op_operand_tensor(ctx, &other, floating);
    free(other.value);
    return x;
}

Test(op_refusals, operands_that_do_not_fit_work_or_are_refused_by_name)
{
    char why[OP_CASE_TEXT];
    for (const reel_row *row = op_rows; row->op; row++) {
        op_case c;
        const reel_function *function = reel_function_find(row->op);
        if (!function || !op_case_draw(&c, row, function, 4, why)) continue;
        for (int which = 0; which < c.n; which++)
            for (int change = 0; change < CHANGES; change++) {
                REEL_SCOPE(ctx)
                {
                    reel_tensor *in[OP_CASE_OPERANDS];
                    for (int i = 0; i < c.n; i++)
                        in[i] = i == which ? changed(&c.operand[i], change)
                                           : op_operand_tensor(ctx, &c.operand[i], REEL_F64);
                    works_or_names_the_op(&c, in, row->attrs);
                }
            }
        op_case_free(&c);
    }
}

// Integer operands are mostly indices: values far out are refused, or have a meaning.
Test(op_refusals, integers_out_of_range_work_or_are_refused_by_name)
{
    static const int64_t values[] = { INT64_MAX, INT64_MIN, -1, 1 << 20 };
    char why[OP_CASE_TEXT];
    for (const reel_row *row = op_rows; row->op; row++) {
        op_case c;
        const reel_function *function = reel_function_find(row->op);
        if (!function || !op_case_draw(&c, row, function, 4, why)) continue;
        for (int which = 0; which < c.n; which++)
            for (size_t v = 0; c.operand[which].kind == 'i' && v < sizeof values / sizeof values[0]; v++) {
                REEL_SCOPE(ctx)
                {
                    reel_tensor *in[OP_CASE_OPERANDS];
                    for (int i = 0; i < c.n; i++) in[i] = op_operand_tensor(ctx, &c.operand[i], REEL_F64);
                    int64_t numel = c.operand[which].numel, *data = malloc((size_t)numel * sizeof *data + 1);
                    for (int64_t k = 0; k < numel; k++) data[k] = values[v];
                    in[which] = reel_from(ctx, c.operand[which].shape, REEL_I64, data);
                    free(data);
                    works_or_names_the_op(&c, in, row->attrs);
                }
            }
        op_case_free(&c);
    }
}
