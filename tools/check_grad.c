// SPDX-License-Identifier: MIT
// reel-check grad: derivatives of every op over its test rows, against finite differences.
#include "check.h"
#include <string.h>

// All rows of an op. Returns how many there are, and adds the failed ones to *failed.
static int check_op(const check_options *options, reel_ctx *ctx, const reel_function *function, int order, int *failed)
{
    int rows = 0;
    char text[1024];
    for (const reel_row *row = check_rows(options); row->op; row++) {
        if (strcmp(row->op, function->name)) continue;
        rows++;
        op_case c;
        bool passed = op_case_draw(&c, row, function, options->seed, text);
        if (passed) passed = op_case_check_derivatives(ctx, &c, order, options->float32, text, sizeof text);
        if (!passed) printf("FAIL %s: %s\n", function->name, text);
        if (passed && options->verbose)
            printf("pass %s (%s)\n", function->name, op_case_describe(&c, text, sizeof text));
        *failed += !passed;
        op_case_free(&c);
    }
    return rows;
}

int check_grad(const check_options *options)
{
    int order = options->order ? options->order : 2, passed = 0, failed = 0, without = 0, absent = 0;
    if (!check_names(options)) return CHECK_USAGE;
    reel_ctx *ctx = reel_ctx_new(NULL);
    if (!ctx) return CHECK_FAILED;
    const reel_function *function;
    for (int k = 0; (function = check_function(options, k)); k++) {
        if (!check_wants(options, function->name)) continue;
        if (!op_in_build(function->name)) {
            absent++;
            printf("none %s: this build of Reel has no FFTW\n", function->name);
            continue;
        }
        if (function->orders == 0) {
            without++;
            if (options->verbose) printf("none %s: no derivative\n", function->name);
            continue;
        }
        int bad = 0, highest = function->orders > 0 && function->orders < order ? function->orders : order;
        int rows = check_op(options, ctx, function, highest, &bad);
        if (rows == 0) {
            printf("FAIL %s: there is no test row to try it on\n", function->name);
            bad = 1;
        }
        passed += bad == 0;
        failed += bad != 0;
    }
    reel_ctx_free(ctx);
    printf("order %d: %d passed, %d failed, %d without derivative", order, passed, failed, without);
    if (absent) printf(", %d not in this build", absent);
    printf("\n");
    return failed ? CHECK_FAILED : CHECK_PASSED;
}
