// SPDX-License-Identifier: MIT
// Test rows: operands drawn from a row's little language, and the op called with them.
#include "op_rows.h"
#include <math.h>
#include <reel/core/random.h>
#include <stdlib.h>
#include <string.h>

#define ROW(op, inputs, attrs) { #op, inputs, attrs, NULL },
#define ROW_LINEAR(op, inputs, attrs, linear) { #op, inputs, attrs, linear },
const reel_row op_rows[] = {
#include <reel/tests/op_rows.def>
    { NULL, NULL, NULL, NULL }
};
#undef ROW
#undef ROW_LINEAR

bool op_in_build(const char *op)
{
#ifdef REEL_HAVE_FFTW
    (void)op;
    return true;
#else
    return !strstr(op, "fft");
#endif
}

static const char *skip_space(const char *at) { return at + strspn(at, " "); }

// One number or letter of a size list or a range, moving past it; false when there is neither.
static bool read_number(const char **at, const int64_t letters[26], double *value)
{
    if (**at >= 'A' && **at <= 'Z') {
        *value = (double)letters[*(*at)++ - 'A'];
        return true;
    }
    char *end;
    *value = strtod(*at, &end);
    bool found = end != *at;
    *at = end;
    return found;
}

// "name:kind(lo,hi)[sizes]" at *at, which moves past it.
static bool read_operand(const char **at, const int64_t letters[26], op_operand *o)
{
    const char *text = *at;
    size_t length = strcspn(text, ": ");
    if (text[length] != ':' || length >= sizeof o->name) return false;
    *o = (op_operand) { .low = -1, .high = 1 };
    memcpy(o->name, text, length);
    text += length + 1;
    o->kind = *text++;
    if (!strchr("fcdib", o->kind)) return false;
    if (o->kind == 'd') o->low = -2, o->high = 2;
    if (*text == '(') {
        text++;
        if (!read_number(&text, letters, &o->low) || *text++ != ',') return false;
        if (!read_number(&text, letters, &o->high) || *text++ != ')') return false;
    } else if (o->kind == 'i') {
        return false;
    }
    if (*text++ != '[') return false;
    for (double size; *text != ']';) {
        if (o->shape.ndim == REEL_MAX_DIMS || !read_number(&text, letters, &size)) return false;
        o->shape.dim[o->shape.ndim++] = (int64_t)size;
        if (*text == ',') text++;
    }
    *at = text + 1;
    o->numel = reel_shape_numel(o->shape);
    return o->numel >= 0 && o->low <= o->high && (**at == ' ' || **at == 0);
}

// Values between low and high in equal steps, moved a little within what keeps them 0.05 apart, none within 0.02 of 0,
// shuffled. `operands` share them, so that ops with kinks where two operands meet have no ties.
static bool draw_distinct(op_operand *const *operands, int n, double low, double high, reel_generator *g)
{
    int64_t total = 0;
    for (int i = 0; i < n; i++) total += operands[i]->numel;
    double *pool = malloc((size_t)total * sizeof *pool + 1);
    if (!pool) return false;
    double step = (high - low) / (double)(total ? total : 1), free_play = step > 0.05 ? (step - 0.05) / 2 : 0;
    for (int64_t k = 0; k < total; k++) {
        pool[k] = low + ((double)k + 0.5) * step + free_play * (2 * reel_generator_uniform(g) - 1);
        if (fabs(pool[k]) < 0.02) pool[k] = copysign(0.025, pool[k]);
    }
    for (int64_t k = total - 1; k > 0; k--) {
        int64_t other = reel_generator_below(g, k + 1);
        double held = pool[k];
        pool[k] = pool[other];
        pool[other] = held;
    }
    for (int64_t i = 0, at = 0; i < n; at += operands[i++]->numel)
        memcpy(operands[i]->value, pool + at, (size_t)operands[i]->numel * sizeof *pool);
    free(pool);
    return true;
}

bool op_case_redraw(op_case *c, uint64_t seed)
{
    reel_generator g = { .seed = seed };
    op_operand *shared[OP_CASE_OPERANDS];
    int n_shared = 0;
    c->seed = seed;
    for (int i = 0; i < c->n; i++) {
        op_operand *o = &c->operand[i];
        bool usual = o->kind == 'd' && o->low == -2 && o->high == 2;
        if (usual)
            shared[n_shared++] = o;
        else if (o->kind == 'd' && !draw_distinct(&o, 1, o->low, o->high, &g))
            return false;
        for (int64_t k = 0; o->kind != 'd' && k < o->numel; k++) {
            double u = reel_generator_uniform(&g);
            o->value[k] = o->kind == 'b'   ? u < 0.5
                          : o->kind == 'i' ? o->low + floor(u * (o->high - o->low))
                                           : o->low + u * (o->high - o->low);
        }
    }
    return draw_distinct(shared, n_shared, -2, 2, &g);
}

bool op_case_draw(op_case *c, const reel_row *row, const reel_function *function, uint64_t seed, char why[OP_CASE_TEXT])
{
    *c = (op_case) { .row = row, .function = function, .seed = seed };
    reel_generator g = { .seed = seed, .offset = UINT64_C(1) << 32 };
    int64_t letters[26];
    for (int i = 0; i < 26; i++) letters[i] = 1 + reel_generator_below(&g, 4);
    for (const char *at = skip_space(row->inputs); *at; at = skip_space(at)) {
        if (c->n == OP_CASE_OPERANDS || !read_operand(&at, letters, &c->operand[c->n])) {
            snprintf(why, OP_CASE_TEXT, "%s: the row's operands are malformed at '%.80s'", row->op, at);
            goto fail;
        }
        op_operand *o = &c->operand[c->n++];
        o->value = calloc((size_t)o->numel + 1, sizeof *o->value);
        if (!o->value) goto no_memory;
    }
    if (op_case_redraw(c, seed)) return true;
no_memory:
    snprintf(why, OP_CASE_TEXT, "%s: no memory for the row's operands", row->op);
fail:
    op_case_free(c);
    return false;
}

void op_case_free(op_case *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->operand[i].value);
        c->operand[i].value = NULL;
    }
    c->n = 0;
}

int op_case_find(const op_case *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->operand[i].name, name)) return i;
    return -1;
}

reel_tensor *op_operand_tensor(reel_ctx *ctx, const op_operand *o, reel_dtype floating)
{
    reel_dtype dtype = o->kind == 'i' ? REEL_I64 : o->kind == 'b' ? REEL_BOOL : floating;
    if (dtype == REEL_F64) return reel_from(ctx, o->shape, dtype, o->value);
    void *data = malloc((size_t)o->numel * sizeof(int64_t) + 1);
    if (!data)
        return reel_fail(ctx, REEL_ERROR_MEMORY, "%s: no memory for %lld elements", o->name, (long long)o->numel);
    for (int64_t k = 0; k < o->numel; k++) {
        if (dtype == REEL_F32)
            ((float *)data)[k] = (float)o->value[k];
        else if (dtype == REEL_I64)
            ((int64_t *)data)[k] = (int64_t)o->value[k];
        else
            ((uint8_t *)data)[k] = o->value[k] != 0;
    }
    reel_tensor *x = reel_from(ctx, o->shape, dtype, data);
    free(data);
    return x;
}

int op_case_call(const op_case *c, reel_ctx *ctx, reel_tensor *const *in, reel_tensor **out)
{
    reel_named named[OP_CASE_OPERANDS];
    for (int i = 0; i < c->n; i++) named[i] = (reel_named) { c->operand[i].name, in[i] };
    *reel_ctx_generator(ctx) = (reel_generator) { .seed = c->seed };
    return reel_call_function(ctx, c->function, named, c->n, c->row->attrs, out, OP_CASE_OUTPUTS);
}

int op_case_linear(const op_case *c, int i, int at[OP_CASE_OPERANDS])
{
    const char *text = skip_space(c->row->linear ? c->row->linear : "");
    for (; i > 0 && *text; i--) text = skip_space(text + strcspn(text, " "));
    int n = 0;
    while (*text && *text != ' ') {
        size_t length = strcspn(text, "+ ");
        char name[REEL_PARAM_TEXT] = "";
        if (length >= sizeof name || n == OP_CASE_OPERANDS) return -1;
        memcpy(name, text, length);
        at[n] = op_case_find(c, name);
        if (at[n++] < 0) return -1;
        text += length + (text[length] == '+');
    }
    return n;
}

char *op_case_describe(const op_case *c, char *text, size_t size)
{
    size_t used = 0;
    char shape[REEL_SHAPE_TEXT];
    for (int i = 0; i < c->n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", i ? ", " : "", c->operand[i].name,
                                 reel_shape_format(c->operand[i].shape, shape));
    if (used < size)
        snprintf(text + used, size - used, "%s%s, seed %llu", c->row->attrs[0] ? " " : "", c->row->attrs,
                 (unsigned long long)c->seed);
    return text;
}
