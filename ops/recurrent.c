// SPDX-License-Identifier: MIT
// Recurrent cells, composed of linear maps and elementwise ops.
#include <reel/ops/recurrent.h>

#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/matmul.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>

typedef struct cell {
    const char *name;
    int gates;
    reel_tensor *x, *h, *w_ih, *w_hh, *b_ih, *b_hh;
} cell;

static bool is_shape(reel_tensor *x, int ndim, int64_t a, int64_t b)
{
    return reel_ndim(x) == ndim && reel_size(x, 0) == a && (ndim < 2 || reel_size(x, 1) == b);
}

static bool refuse(const cell *k, const char *operand, reel_tensor *x, const char *wanted)
{
    char has[REEL_SHAPE_TEXT], input[REEL_SHAPE_TEXT], state[REEL_SHAPE_TEXT];
    reel_fail(reel_ctx_of(k->x), REEL_ERROR_SHAPE, "%s: %s has shape %s, but for input %s and state %s must be %s",
              k->name, operand, reel_shape_format(reel_shape_of(x), has), reel_shape_format(reel_shape_of(k->x), input),
              reel_shape_format(reel_shape_of(k->h), state), wanted);
    return false;
}

static bool check(const cell *k, const char *const wanted[3])
{
    if (!REEL_OPERANDS(k->name, k->x, k->h, k->w_ih, k->w_hh)) return false;
    int ndim = reel_ndim(k->x);
    if (ndim < 1 || ndim > 2) return refuse(k, "input", k->x, "[N, I] or [I]");
    int64_t in = reel_size(k->x, -1), hidden = reel_size(k->h, -1), rows;
    if (reel_ndim(k->h) != ndim || (ndim == 2 && reel_size(k->h, 0) != reel_size(k->x, 0)))
        return refuse(k, "state", k->h, "[N, H] or [H], batched as the input is");
    if (__builtin_mul_overflow(hidden, (int64_t)k->gates, &rows) || !is_shape(k->w_ih, 2, rows, in))
        return refuse(k, "w_ih", k->w_ih, wanted[0]);
    if (!is_shape(k->w_hh, 2, rows, hidden)) return refuse(k, "w_hh", k->w_hh, wanted[1]);
    if (k->b_ih && !is_shape(k->b_ih, 1, rows, 0)) return refuse(k, "b_ih", k->b_ih, wanted[2]);
    if (k->b_hh && !is_shape(k->b_hh, 1, rows, 0)) return refuse(k, "b_hh", k->b_hh, wanted[2]);
    return true;
}

/* Gate `i` of what a linear map of the cell gave. */
static reel_tensor *gate(const cell *k, reel_tensor *gates, int i)
{
    int64_t hidden = reel_size(k->h, -1);
    return reel_narrow(gates, -1, i * hidden, hidden);
}

static reel_tensor *from_input(const cell *k) { return reel_linear(k->x, k->w_ih, k->b_ih); }
static reel_tensor *from_state(const cell *k) { return reel_linear(k->h, k->w_hh, k->b_hh); }

reel_tensor *reel_rnn_cell(reel_tensor *x, reel_tensor *h, reel_tensor *w_ih, reel_tensor *w_hh, reel_tensor *b_ih,
                           reel_tensor *b_hh)
{
    static const char *const wanted[] = { "[H, I]", "[H, H]", "[H]" };
    cell k = { "rnn_tanh_cell", 1, x, h, w_ih, w_hh, b_ih, b_hh };
    if (!check(&k, wanted)) return NULL;
    reel_tensor *next = NULL;
    REEL_COMPOSITE(reel_ctx_of(x)) { next = reel_scope_return(reel_tanh(reel_add(from_input(&k), from_state(&k)))); }
    return next;
}

reel_tensor *reel_lstm_cell(reel_tensor *x, reel_tensor *h, reel_tensor *c, reel_tensor *w_ih, reel_tensor *w_hh,
                            reel_tensor *b_ih, reel_tensor *b_hh, reel_tensor **c_next)
{
    static const char *const wanted[] = { "[4H, I]", "[4H, H]", "[4H]" };
    cell k = { "lstm_cell", 4, x, h, w_ih, w_hh, b_ih, b_hh };
    if (c_next) *c_next = NULL;
    if (!REEL_OPERANDS(k.name, x, h, c, w_ih) || !check(&k, wanted)) return NULL;
    if (!reel_shape_equal(reel_shape_of(c), reel_shape_of(h))) {
        refuse(&k, "c", c, "of the state's shape");
        return NULL;
    }
    reel_tensor *next = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        reel_tensor *gates = reel_add(from_input(&k), from_state(&k));
        reel_tensor *input = reel_sigmoid(gate(&k, gates, 0)), *forget = reel_sigmoid(gate(&k, gates, 1));
        reel_tensor *fresh = reel_tanh(gate(&k, gates, 2)), *output = reel_sigmoid(gate(&k, gates, 3));
        reel_tensor *memory = reel_add(reel_mul(forget, c), reel_mul(input, fresh));
        next = reel_scope_return(reel_mul(output, reel_tanh(memory)));
        if (c_next) *c_next = reel_scope_return(memory);
    }
    return next;
}

reel_tensor *reel_gru_cell(reel_tensor *x, reel_tensor *h, reel_tensor *w_ih, reel_tensor *w_hh, reel_tensor *b_ih,
                           reel_tensor *b_hh)
{
    static const char *const wanted[] = { "[3H, I]", "[3H, H]", "[3H]" };
    cell k = { "gru_cell", 3, x, h, w_ih, w_hh, b_ih, b_hh };
    if (!check(&k, wanted)) return NULL;
    reel_tensor *next = NULL;
    REEL_COMPOSITE(reel_ctx_of(x))
    {
        reel_tensor *a = from_input(&k), *b = from_state(&k);
        reel_tensor *reset = reel_sigmoid(reel_add(gate(&k, a, 0), gate(&k, b, 0)));
        reel_tensor *keep = reel_sigmoid(reel_add(gate(&k, a, 1), gate(&k, b, 1)));
        reel_tensor *fresh = reel_tanh(reel_add(gate(&k, a, 2), reel_mul(reset, gate(&k, b, 2))));
        next = reel_scope_return(reel_add(fresh, reel_mul(keep, reel_sub(h, fresh))));
    }
    return next;
}

/* ---- Table rows ---- */

static bool call_rnn_tanh_cell(reel_call_args *args)
{
    return reel_args_return(args, reel_rnn_cell(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_input(args, 3),
                                                reel_args_input(args, 4), reel_args_input(args, 5)));
}

static bool call_gru_cell(reel_call_args *args)
{
    return reel_args_return(args, reel_gru_cell(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_input(args, 3),
                                                reel_args_input(args, 4), reel_args_input(args, 5)));
}

static bool call_lstm_cell(reel_call_args *args)
{
    reel_tensor *c = NULL;
    reel_tensor *h = reel_lstm_cell(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_input(args, 2),
                                    reel_args_input(args, 3), reel_args_input(args, 4), reel_args_input(args, 5),
                                    reel_args_input(args, 6), &c);
    return reel_args_return(args, h) && reel_args_return(args, c);
}

const reel_function reel_fn_rnn_tanh_cell = {
    .name = "rnn_tanh_cell",
    .inputs = "input hx w_ih w_hh b_ih? b_hh?",
    .attrs = "",
    .call = call_rnn_tanh_cell,
    .formula = "tanh(w_ih x + b_ih + w_hh h + b_hh)",
    .shapes = "input: [N, I]; hx: [N, H]; w_ih: [H, I]; w_hh: [H, H]; b_ih, b_hh: [H] -> [N, H]",
    .errors = "weights, biases or a state of shapes that do not belong together",
    .orders = -1,
};

const reel_function reel_fn_gru_cell = {
    .name = "gru_cell",
    .inputs = "input hx w_ih w_hh b_ih? b_hh?",
    .attrs = "",
    .call = call_gru_cell,
    .formula = "(1 - z) n + z h, with the gates r, z and n = tanh(W_in x + b_in + r (W_hn h + b_hn))",
    .shapes = "input: [N, I]; hx: [N, H]; w_ih: [3H, I]; w_hh: [3H, H]; b_ih, b_hh: [3H] -> [N, H]",
    .errors = "weights, biases or a state of shapes that do not belong together",
    .orders = -1,
};

const reel_function reel_fn_lstm_cell = {
    .name = "lstm_cell",
    .inputs = "input hx cx w_ih w_hh b_ih? b_hh?",
    .attrs = "",
    .call = call_lstm_cell,
    .formula = "h' = s(o) tanh(c'), c' = s(f) c + s(i) tanh(g), with the gates (i, f, g, o) linear in x and h",
    .shapes = "input: [N, I]; hx, cx: [N, H]; w_ih: [4H, I]; w_hh: [4H, H]; b_ih, b_hh: [4H] -> [N, H], [N, H]",
    .errors = "weights, biases or states of shapes that do not belong together",
    .orders = -1,
};
