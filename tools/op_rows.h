// SPDX-License-Identifier: MIT
// Test rows: operands drawn from a row's little language, and the op called with them. For reel-check and the suites.
#ifndef REEL_TOOLS_OP_ROWS_H
#define REEL_TOOLS_OP_ROWS_H

#include <reel/ops/plugin.h>

#define OP_CASE_OPERANDS 16
#define OP_CASE_OUTPUTS 64
#define OP_CASE_TEXT 256

/* The rows of tests/op_rows.def; the last has no op. */
extern const reel_row op_rows[];

typedef struct op_operand {
    char name[REEL_PARAM_TEXT];
    char kind; /* f, c, d, i or b, as in reel_row */
    reel_shape shape;
    int64_t numel;
    double low, high;
    double *value;
} op_operand;

/* Whether this build has the op: without FFTW, the Fourier transforms are refused (which a test of its own shows). */
bool op_in_build(const char *op);

/* A row with its operands drawn. */
typedef struct op_case {
    const reel_row *row;
    const reel_function *function;
    uint64_t seed;
    int n;
    op_operand operand[OP_CASE_OPERANDS];
} op_case;

/* Reads the row and draws sizes and values by `seed`. On error false, and `why` says what is wrong with the row. */
bool op_case_draw(op_case *c, const reel_row *row, const reel_function *function, uint64_t seed,
                  char why[OP_CASE_TEXT]);
void op_case_free(op_case *c);

/* Draws the values of every operand anew, in the same shapes. */
bool op_case_redraw(op_case *c, uint64_t seed);

int op_case_find(const op_case *c, const char *name); /* -1 when there is no such operand */

static inline bool op_operand_is_float(const op_operand *o) { return o->kind != 'i' && o->kind != 'b'; }

/* The operand as a tensor: of dtype `floating`, or int64, or bool. */
reel_tensor *op_operand_tensor(reel_ctx *ctx, const op_operand *o, reel_dtype floating);

/* Calls the op with these operands in the row's order; the context's generator starts from the case's seed, so that ops
 * that draw random numbers give the same result again. Returns the number of outputs, or -1. */
int op_case_call(const op_case *c, reel_ctx *ctx, reel_tensor *const *in, reel_tensor **out);

/* Item `i` of `linear`: the operands' positions in `at`, and how many; 0 past the last, -1 for a name there is not. */
int op_case_linear(const op_case *c, int i, int at[OP_CASE_OPERANDS]);

/* "conv2d (input [1, 4, 6, 5] weight [6, 2, 3, 3]) {"groups": 2} seed 3" into `text`. */
char *op_case_describe(const op_case *c, char *text, size_t size);

/* Derivatives of the case up to `order`. Returns false when they are wrong, with one line in `text`. Clears the
 * context's error. */
bool op_case_check_derivatives(reel_ctx *ctx, const op_case *c, int order, bool float32, char *text, size_t size);

#endif
