// SPDX-License-Identifier: MIT
// Derivatives of one drawn case against finite differences.
#include "op_rows.h"
#include <reel/core/gradcheck.h>
#include <string.h>

static int call_case(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    const op_case *c = user;
    return n_in == c->n && capacity >= OP_CASE_OUTPUTS ? op_case_call(c, ctx, in, out) : -1;
}

// The operand a report speaks of, by name.
static void where(const op_case *c, const reel_gradcheck_report *r, char *text, size_t size)
{
    if (r->input < c->n)
        snprintf(text, size, "'%s'", c->operand[r->input].name);
    else
        snprintf(text, size, "cotangent %d", r->input - c->n);
    for (int a = 0; a < r->ndim; a++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s%lld%s", a ? ", " : " [", (long long)r->index[a],
                 a == r->ndim - 1 ? "]" : "");
    }
}

bool op_case_check_derivatives(reel_ctx *ctx, const op_case *c, int order, bool float32, char *text, size_t size)
{
    reel_gradcheck_opts opts = { .order = order, .seed = c->seed, .float32 = float32, .max_entries = 24 };
    reel_gradcheck_report report;
    bool passed = false;
    REEL_SCOPE(ctx)
    {
        reel_tensor *in[OP_CASE_OPERANDS];
        for (int i = 0; i < c->n; i++) {
            in[i] = op_operand_tensor(ctx, &c->operand[i], REEL_F64);
            if (!op_operand_is_float(&c->operand[i]) || c->operand[i].kind == 'c') opts.fixed |= UINT64_C(1) << i;
        }
        passed = reel_gradcheck(call_case, (void *)c, in, c->n, &opts, &report);
    }
    if (!passed) {
        char place[160], row[512];
        where(c, &report, place, sizeof place);
        bool entry = report.checked && !reel_ctx_error(ctx) && report.error > report.forward_error;
        if (entry)
            snprintf(text, size, "order %d, %s: analytic %.12g, numeric %.12g (error %.3g)", report.order, place,
                     report.analytic, report.numeric, report.error);
        else
            snprintf(text, size, "%s", report.message);
        size_t used = strlen(text);
        snprintf(text + used, size - used, " (%s)", op_case_describe(c, row, sizeof row));
    }
    reel_ctx_clear_error(ctx);
    return passed;
}
