// SPDX-License-Identifier: MIT
// Every op of the table over its test rows: derivatives, dtypes, and the adjoints of linear ops.
#include "../tools/arrays.h"
#include "../tools/op_rows.h"
#include <criterion/criterion.h>
#include <math.h>
#include <reel/core/autograd.h>
#include <reel/core/random.h>
#include <reel/ops/shape.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(op_rows, .init = begin, .fini = end, .timeout = 600);

// The next row that can be drawn, of an op that this build has, from *row on; false after the last.
static bool next_case(const reel_row **row, uint64_t seed, op_case *c)
{
    char why[OP_CASE_TEXT];
    for (; (*row)->op; (*row)++) {
        const reel_function *function = reel_function_find((*row)->op);
        if (!op_in_build((*row)->op) || !function || !op_case_draw(c, *row, function, seed, why))
            continue; // told by the first tests
        (*row)++;
        return true;
    }
    return false;
}

Test(op_rows, every_op_has_a_row)
{
    for (int i = 0; i < reel_function_count(); i++) {
        bool found = false;
        for (const reel_row *row = op_rows; row->op; row++)
            found = found || !strcmp(row->op, reel_function_at(i)->name);
        cr_expect(found, "%s has no row in tests/op_rows.def", reel_function_at(i)->name);
    }
}

Test(op_rows, every_row_is_of_an_op_and_can_be_read)
{
    char why[OP_CASE_TEXT];
    for (const reel_row *row = op_rows; row->op; row++) {
        const reel_function *function = reel_function_find(row->op);
        cr_expect(function, "%s is not in the table", row->op);
        op_case c;
        bool drawn = function && op_case_draw(&c, row, function, 1, why);
        if (!function) continue;
        cr_expect(drawn, "%s", why);
        if (drawn) op_case_free(&c);
    }
}

static void check_derivatives(const char *op, int order)
{
    op_case c;
    char text[1024];
    int rows = 0;
    for (const reel_row *row = op_rows; next_case(&row, 11, &c); op_case_free(&c)) {
        if (c.function->orders == 0 || (op && strcmp(op, c.row->op))) continue;
        rows++;
        int highest = c.function->orders > 0 && c.function->orders < order ? c.function->orders : order;
        bool right = op_case_check_derivatives(ctx, &c, highest, false, text, sizeof text);
        cr_expect(right, "%s: %s", c.row->op, text);
    }
    cr_expect_gt(rows, 0, "%s has no row", op ? op : "nothing");
}

Test(op_rows, ops_that_this_build_has_not_are_refused)
{
    int absent = 0;
    for (const reel_row *row = op_rows; row->op; row++) {
        const reel_function *function = reel_function_find(row->op);
        op_case c;
        char why[OP_CASE_TEXT];
        if (op_in_build(row->op) || !function || !op_case_draw(&c, row, function, 1, why)) continue;
        absent++;
        REEL_SCOPE(ctx)
        {
            reel_tensor *in[OP_CASE_OPERANDS], *out[OP_CASE_OUTPUTS];
            for (int i = 0; i < c.n; i++) in[i] = op_operand_tensor(ctx, &c.operand[i], REEL_F64);
            cr_expect_lt(op_case_call(&c, ctx, in, out), 1, "%s is in this build after all", row->op);
        }
        cr_expect(strstr(reel_ctx_error_message(ctx), "this build of Reel has no FFTW"), "%s",
                  reel_ctx_error_message(ctx));
        reel_ctx_clear_error(ctx);
        op_case_free(&c);
    }
    if (absent) cr_skip_test("%d rows are of Fourier transforms, which a build without FFTW refuses", absent);
}

Test(op_rows, first_and_second_derivatives_agree_with_finite_differences) { check_derivatives(NULL, 2); }

Test(op_rows, third_derivatives_agree_with_finite_differences)
{
    static const char *const ops[] = { "batch_norm", "conv2d",  "grid_sample", "layer_norm",
                                       "max_pool2d", "softmax", "tanh" };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) check_derivatives(ops[i], 3);
}

// How an operand lies in memory.
typedef enum layout { ROWS, BACKWARDS, SPACED, TURNED, LAYOUTS } layout;

// x's values behind other strides.
static reel_tensor *laid(reel_tensor *x, layout how)
{
    int n = reel_ndim(x);
    if (n == 0 || how == ROWS) return x;
    reel_dims order = { .count = n };
    for (int k = 0; k < n; k++) order.dim[k] = how == TURNED ? n - 1 - k : k;
    if (how == SPACED)
        return reel_select(reel_stack((reel_tensor *[]) { x, reel_full_like(x, 99) }, 2, n), n, 0);
    if (how == BACKWARDS) return reel_flip(reel_contiguous(reel_flip(x, order)), order);
    return reel_permute(reel_contiguous(reel_permute(x, order)), order);
}

// Outputs of the case as numbers; false on an error, which `told` makes a failure of the test.
static bool values_laid(const op_case *c, reel_dtype dtype, layout how, bool told, arrays *out)
{
    *out = (arrays) { .count = 0 };
    bool done = false;
    REEL_SCOPE(ctx)
    {
        reel_tensor *in[OP_CASE_OPERANDS], *results[OP_CASE_OUTPUTS];
        for (int i = 0; i < c->n; i++) {
            bool overwritten = !strncmp(c->operand[i].name, "running_", 8); // only a row can be
            in[i] = laid(op_operand_tensor(ctx, &c->operand[i], dtype), overwritten ? ROWS : how);
            reel_eval(in[i]);
        }
        int n = op_case_call(c, ctx, in, results);
        done = n > 0;
        for (int k = 0; done && k < n; k++) done = arrays_add(out, "out", results[k]);
    }
    char text[512];
    if (told)
        cr_expect(done, "%s: %s (%s)", c->row->op, reel_ctx_error_message(ctx), op_case_describe(c, text, sizeof text));
    reel_ctx_clear_error(ctx);
    return done;
}

static bool values_of(const op_case *c, reel_dtype dtype, bool told, arrays *out)
{
    return values_laid(c, dtype, ROWS, told, out);
}

Test(op_rows, operands_of_any_strides_give_the_same_values)
{
    op_case c;
    char text[400], row_text[512];
    for (const reel_row *row = op_rows; next_case(&row, 13, &c); op_case_free(&c)) {
        if (!strcmp(c.row->op, "view")) continue; // it refuses strides
        arrays rows, strided;
        bool right = values_of(&c, REEL_F64, true, &rows);
        for (layout how = BACKWARDS; right && how < LAYOUTS; how++) {
            bool both = values_laid(&c, REEL_F64, how, true, &strided);
            for (int k = 0; both && k < rows.count; k++)
                cr_expect(array_matches(&strided.at[k], &rows.at[k], false, text, sizeof text),
                          "%s, layout %d: output %d: %s (%s)", c.row->op, how, k, text,
                          op_case_describe(&c, row_text, sizeof row_text));
            arrays_free(&strided);
        }
        arrays_free(&rows);
    }
}

Test(op_rows, float32_agrees_with_float64)
{
    op_case c;
    char text[400], row_text[512];
    for (const reel_row *row = op_rows; next_case(&row, 5, &c); op_case_free(&c)) {
        for (int i = 0; i < c.n; i++)
            for (int64_t k = 0; op_operand_is_float(&c.operand[i]) && k < c.operand[i].numel; k++)
                c.operand[i].value[k] = (float)c.operand[i].value[k];
        arrays wide, narrow;
        bool both = values_of(&c, REEL_F64, true, &wide);
        both = values_of(&c, REEL_F32, true, &narrow) && both && wide.count == narrow.count;
        cr_expect(both, "%s: other outputs in float32", c.row->op);
        for (int k = 0; both && k < wide.count; k++)
            cr_expect(array_matches(&narrow.at[k], &wide.at[k], true, text, sizeof text), "%s: output %d: %s (%s)",
                      c.row->op, k, text, op_case_describe(&c, row_text, sizeof row_text));
        arrays_free(&wide);
        arrays_free(&narrow);
    }
}

// ---- linear ops ----

static double dot(const double *a, const double *b, int64_t n, double *size)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
        *size += fabs(a[i] * b[i]);
    }
    return sum;
}

// <A x, y> = <x, A^T y> with x the operands `at`, A^T from reverse mode, and a random y for every output.
static void check_adjoint(const op_case *c, const int *at, int n_at)
{
    double forward = 0, backward = 0, size = 0;
    bool done = false;
    char text[512];
    reel_generator g = { .seed = 77 };
    REEL_SCOPE(ctx)
    {
        reel_tensor *in[OP_CASE_OPERANDS], *out[OP_CASE_OUTPUTS], *by[OP_CASE_OPERANDS], *grads[OP_CASE_OPERANDS];
        reel_tensor *cots[OP_CASE_OUTPUTS];
        for (int i = 0; i < c->n; i++) in[i] = op_operand_tensor(ctx, &c->operand[i], REEL_F64);
        for (int i = 0; i < n_at; i++) by[i] = reel_set_requires_grad(in[at[i]], true);
        int n = op_case_call(c, ctx, in, out);
        for (int k = 0; k < n; k++) cots[k] = reel_rand(ctx, &g, reel_shape_of(out[k]), REEL_F64, -1, 1);
        if (n < 1 || !reel_grad(out, n, by, n_at, cots, grads)) break;
        done = reel_eval_all(out, n) && reel_eval_all(cots, n) && reel_eval_all(grads, n_at);
        for (int k = 0; done && k < n; k++)
            if (reel_numel(out[k]))
                forward += dot(reel_data_f64(out[k]), reel_data_f64(cots[k]), reel_numel(out[k]), &size);
        for (int i = 0; done && i < n_at; i++)
            if (reel_numel(grads[i]))
                backward += dot(reel_data_f64(by[i]), reel_data_f64(grads[i]), reel_numel(grads[i]), &size);
    }
    op_case_describe(c, text, sizeof text);
    cr_expect(done, "%s: %s (%s)", c->row->op, reel_ctx_error_message(ctx), text);
    cr_expect_leq(fabs(forward - backward), 1e-12 * (1 + size), "%s: <Ax, y> = %.15g, <x, A'y> = %.15g (%s)",
                  c->row->op, forward, backward, text);
    reel_ctx_clear_error(ctx);
}

Test(op_rows, adjoints_of_linear_ops_are_their_transposes)
{
    op_case c;
    int at[OP_CASE_OPERANDS], checked = 0;
    for (const reel_row *row = op_rows; next_case(&row, 3, &c); op_case_free(&c)) {
        int n;
        for (int i = 0; (n = op_case_linear(&c, i, at)) > 0; i++, checked++) check_adjoint(&c, at, n);
        cr_expect_eq(n, 0, "%s: '%s' names an operand the row does not have", c.row->op, c.row->linear);
    }
    cr_assert_gt(checked, 40);
}

// Whether f(a - 3b) = f(a) - 3f(b) in the operands of `mask`, for two random draws of them.
static bool is_linear(op_case *c, uint32_t mask)
{
    arrays result[3] = { { .count = 0 } };
    double *first[OP_CASE_OPERANDS] = { NULL };
    bool linear = true;
    for (int i = 0; i < c->n; i++) {
        size_t bytes = (size_t)c->operand[i].numel * sizeof(double);
        first[i] = malloc(bytes + 1);
        memcpy(first[i], c->operand[i].value, bytes);
    }
    for (int turn = 0; turn < 3 && linear; turn++) {
        if (turn == 1) op_case_redraw(c, c->seed + 1);
        for (int i = 0; i < c->n; i++)
            for (int64_t k = 0; k < c->operand[i].numel; k++) {
                double *value = &c->operand[i].value[k];
                if (!(mask >> i & 1))
                    *value = first[i][k];
                else if (turn == 2)
                    *value = first[i][k] - 3 * *value;
            }
        linear = values_of(c, REEL_F64, false, &result[turn]);
    }
    bool any = false;
    for (int k = 0; linear && k < result[0].count; k++) {
        linear = result[0].at[k].dtype == REEL_F64 && reel_shape_equal(result[0].at[k].shape, result[2].at[k].shape);
        for (int64_t e = 0; linear && e < result[0].at[k].numel; e++) {
            double sum = result[0].at[k].x[e] - 3 * result[1].at[k].x[e], got = result[2].at[k].x[e];
            any = any || sum != 0;
            linear = fabs(got - sum) <= 1e-11 * (1 + fabs(sum)); // false for NaN
        }
    }
    for (int turn = 0; turn < 3; turn++) arrays_free(&result[turn]);
    for (int i = 0; i < c->n; i++) free(first[i]);
    return linear && any;
}

// Whether a row of the op declares it linear in operand `name` (by itself or with others).
static bool declares(const char *op, const char *name)
{
    for (const reel_row *row = op_rows; row->op; row++) {
        if (strcmp(row->op, op) || !row->linear) continue;
        size_t length = strlen(name);
        for (const char *at = row->linear; (at = strstr(at, name)); at++)
            if ((at == row->linear || strchr(" +", at[-1])) && (!at[length] || strchr(" +", at[length]))) return true;
    }
    return false;
}

Test(op_rows, no_linear_op_is_left_undeclared)
{
    op_case c;
    for (const reel_row *row = op_rows; next_case(&row, 21, &c); op_case_free(&c)) {
        uint32_t floats = 0;
        for (int i = 0; i < c.n; i++)
            floats |= (uint32_t)(op_operand_is_float(&c.operand[i]) && c.operand[i].kind != 'c') << i;
        for (int i = 0; c.function->orders != 0 && i < c.n; i++)
            if (floats >> i & 1 && !declares(c.row->op, c.operand[i].name))
                cr_expect_not(is_linear(&c, UINT32_C(1) << i),
                              "%s is linear in '%s' on the row %s %s: let it say so with ROW_LINEAR", c.row->op,
                              c.operand[i].name, c.row->inputs, c.row->attrs);
        bool undeclared = c.function->orders != 0;
        for (int i = 0; i < c.n; i++)
            undeclared = undeclared && (!(floats >> i & 1) || !declares(c.row->op, c.operand[i].name));
        if (undeclared)
            cr_expect_not(is_linear(&c, floats),
                          "%s is linear in its operands on the row %s %s: let it say so with ROW_LINEAR", c.row->op,
                          c.row->inputs, c.row->attrs);
    }
}

Test(op_rows, eager_play_gives_the_same_values)
{
    op_case c;
    for (const reel_row *row = op_rows; next_case(&row, 9, &c); op_case_free(&c)) {
        arrays planned, eager;
        reel_ctx_set_eager(ctx, false);
        bool both = values_of(&c, REEL_F64, true, &planned);
        reel_ctx_set_eager(ctx, true);
        both = values_of(&c, REEL_F64, true, &eager) && both;
        char text[400];
        for (int k = 0; both && k < planned.count; k++)
            cr_expect(array_matches(&eager.at[k], &planned.at[k], false, text, sizeof text), "%s: output %d: %s",
                      c.row->op, k, text);
        arrays_free(&planned);
        arrays_free(&eager);
    }
}
