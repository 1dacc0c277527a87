// SPDX-License-Identifier: MIT
// einsum: the equation is read once; operands are contracted from left to right by batched products.
#include <reel/ops/axes.h>
#include <reel/core/operands.h>
#include <reel/ops/einsum.h>
#include <reel/ops/matmul.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <string.h>

/* Labels are 0-25 for A-Z, 26-51 for a-z, and from 52 on the axes an ellipsis stands for, last one last. */
enum { LETTERS = 52, LABELS = LETTERS + REEL_MAX_DIMS };

/* A tensor whose axes have labels, each once. */
typedef struct term {
    reel_tensor *x;
    int ndim;
    int label[REEL_MAX_DIMS];
} term;

typedef struct equation {
    reel_ctx *ctx;
    const char *text;
    int n;
    reel_tensor *const *xs;
    int ellipsis;         /* most axes an ellipsis stands for */
    int64_t size[LABELS]; /* -1: the label does not occur   */
    int last_use[LABELS]; /* the last operand that has it   */
    int n_out, out[REEL_MAX_DIMS];
} equation;

static int label_of(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1; }

static char letter_of(int label)
{
    return (char)(label >= LETTERS ? '.' : label < 26 ? 'A' + label : 'a' + label - 26);
}

static int find(const term *t, int label)
{
    for (int k = 0; k < t->ndim; k++)
        if (t->label[k] == label) return k;
    return -1;
}

static void drop(term *t, int k)
{
    for (t->ndim--; k < t->ndim; k++) t->label[k] = t->label[k + 1];
}

#define MALFORMED(e, ...) (reel_fail((e)->ctx, REEL_ERROR_VALUE, "einsum: " __VA_ARGS__), false)

/* Reads one operand's labels from *at up to a comma, "->" or the end. `ellipsis_axes` is what "..." stands for. */
static bool read_labels(const equation *e, const char **at, int ellipsis_axes, int *labels, int *count,
                        bool *has_ellipsis)
{
    *count = 0;
    *has_ellipsis = false;
    bool gap = false;
    for (const char *c = *at;; c++) {
        if (*c == ' ') {
            gap = *count > 0 || *has_ellipsis;
            continue;
        }
        if (*c == 0 || *c == ',' || (c[0] == '-' && c[1] == '>')) {
            *at = c;
            return true;
        }
        if (gap) return MALFORMED(e, "a space within the labels of one operand of \"%s\"", e->text);
        int label = label_of(*c), more = 1;
        if (*c == '.') {
            if (strncmp(c, "...", 3) != 0) return MALFORMED(e, "a lone '.' in \"%s\"; an ellipsis has three", e->text);
            if (*has_ellipsis) return MALFORMED(e, "two ellipses in one operand of \"%s\"", e->text);
            *has_ellipsis = true;
            label = LABELS - ellipsis_axes;
            more = ellipsis_axes;
            c += 2;
        } else if (label < 0) {
            return MALFORMED(e, "'%c' in \"%s\" is not a letter", *c, e->text);
        }
        if (*count + more > REEL_MAX_DIMS)
            return MALFORMED(e, "an operand of \"%s\" has more than %d labels", e->text, REEL_MAX_DIMS);
        for (int i = 0; i < more; i++) labels[(*count)++] = label + i;
    }
}

/* A size for a label; 1 broadcasts. */
static bool note_size(equation *e, int label, int operand, int64_t size)
{
    e->last_use[label] = operand;
    if (e->size[label] < 0 || e->size[label] == 1) {
        e->size[label] = size;
    } else if (size != 1 && size != e->size[label]) {
        if (label < LETTERS)
            return MALFORMED(e, "'%c' in \"%s\" is %lld and %lld", letter_of(label), e->text, (long long)e->size[label],
                             (long long)size);
        return MALFORMED(e, "the ellipses of \"%s\" stand for axes of %lld and %lld", e->text,
                         (long long)e->size[label], (long long)size);
    }
    return true;
}

/* Labels of operand i, one an axis. */
static bool read_operand(const equation *e, const char **at, int i, int *labels, int *rest)
{
    int count;
    bool ellipsis;
    const char *start = *at;
    reel_shape shape = reel_shape_of(e->xs[i]);
    char text[REEL_SHAPE_TEXT];
    if (!read_labels(e, at, 0, labels, &count, &ellipsis)) return false;
    *rest = shape.ndim - count;
    if (*rest < 0 || (*rest > 0 && !ellipsis))
        return MALFORMED(e, "operand %d of \"%s\" has %d labels and the shape %s", i, e->text, count,
                         reel_shape_format(shape, text));
    return read_labels(e, &start, *rest, labels, &count, &ellipsis);
}

/* Notes the sizes of operand i's labels. */
static bool check_operand(equation *e, const char **at, int i, int *times)
{
    int labels[REEL_MAX_DIMS], rest;
    reel_shape shape = reel_shape_of(e->xs[i]);
    if (!read_operand(e, at, i, labels, &rest)) return false;
    if (rest > e->ellipsis) e->ellipsis = rest;
    for (int k = 0; k < shape.ndim; k++) {
        for (int first = 0; first < k; first++)
            if (labels[first] == labels[k] && shape.dim[first] != shape.dim[k])
                return MALFORMED(e, "'%c' in \"%s\" is %lld and %lld in operand %d", letter_of(labels[k]), e->text,
                                 (long long)shape.dim[first], (long long)shape.dim[k], i);
        times[labels[k]]++;
        if (!note_size(e, labels[k], i, shape.dim[k])) return false;
    }
    return true;
}

/* Operand i with one axis a label: letters that repeat take the diagonal. */
static bool take_operand(const equation *e, const char **at, int i, term *out)
{
    int labels[REEL_MAX_DIMS], rest, ndim = reel_ndim(e->xs[i]);
    if (!read_operand(e, at, i, labels, &rest)) return false;
    out->x = e->xs[i];
    out->ndim = 0;
    for (int k = 0; k < ndim; k++) {
        int first = find(out, labels[k]);
        if (first < 0) {
            out->label[out->ndim++] = labels[k];
            continue;
        }
        // Axes `first` and `out->ndim` of what x is by now carry one label; the diagonal comes last and is moved back.
        out->x = reel_movedim(reel_diagonal(out->x, 0, first, out->ndim), REEL_DIMS(-1), REEL_DIMS(first));
    }
    return out->x != NULL;
}

/* The labels of the result: those after "->", or all that occur once, in order, after the ellipsis. */
static bool read_result_labels(equation *e, const char *at, const int *times)
{
    bool ellipsis = false;
    if (*at == 0) {
        e->n_out = 0;
        for (int i = LABELS - e->ellipsis; i < LABELS; i++) e->out[e->n_out++] = i;
        for (int label = 0; label < LETTERS; label++) {
            if (times[label] != 1) continue;
            if (e->n_out == REEL_MAX_DIMS)
                return MALFORMED(e, "the result of \"%s\" would have more than %d axes", e->text, REEL_MAX_DIMS);
            e->out[e->n_out++] = label;
        }
        return true;
    }
    at += 2;
    if (!read_labels(e, &at, e->ellipsis, e->out, &e->n_out, &ellipsis)) return false;
    if (*at != 0) return MALFORMED(e, "a second '%s' after the result of \"%s\"", *at == ',' ? "," : "->", e->text);
    for (int k = 0; k < e->n_out; k++) {
        if (e->size[e->out[k]] < 0)
            return MALFORMED(e, "'%c' of the result of \"%s\" is in no operand", letter_of(e->out[k]), e->text);
        for (int i = 0; i < k; i++)
            if (e->out[i] == e->out[k])
                return MALFORMED(e, "'%c' occurs twice in the result of \"%s\"", letter_of(e->out[k]), e->text);
    }
    return true;
}

static bool read_result(equation *e, const char *at, const int *times)
{
    if (!read_result_labels(e, at, times)) return false;
    for (int k = 0; k < e->n_out; k++) e->last_use[e->out[k]] = e->n; // never summed over
    return true;
}

/* Sums t over the axes whose label no operand after `now` and not the result has, and that `other` lacks. Axes of size
 * 1 go where `other` has them larger. */
static bool sum_out(const equation *e, term *t, const term *other, int now)
{
    reel_dims dims = { .count = 0 }, ones = { .count = 0 };
    for (int k = t->ndim - 1; k >= 0; k--) {
        int there = other ? find(other, t->label[k]) : -1;
        if (there >= 0 && reel_size(t->x, k) == 1 && reel_size(other->x, there) != 1)
            ones.dim[ones.count++] = k;
        else if (there < 0 && e->last_use[t->label[k]] <= now)
            dims.dim[dims.count++] = k;
    }
    if (ones.count) {
        t->x = reel_squeeze(t->x, ones);
        for (int i = 0; i < ones.count; i++) {
            for (int d = 0; d < dims.count; d++)
                if (dims.dim[d] > ones.dim[i]) dims.dim[d]--;
            drop(t, ones.dim[i]);
        }
    }
    if (dims.count) {
        t->x = reel_sum(t->x, dims, false);
        for (int i = 0; i < dims.count; i++) drop(t, dims.dim[i]);
    }
    return t->x != NULL;
}

/* t with its axes in the order of `labels`, those it lacks as axes of size 1. */
static reel_tensor *arranged(const term *t, const int *labels, int count)
{
    reel_dims order = { .count = 0 };
    bool in_order = true;
    for (int i = 0; i < count; i++) {
        int k = find(t, labels[i]);
        if (k < 0) continue;
        in_order = in_order && k == order.count;
        order.dim[order.count++] = k;
    }
    reel_tensor *x = in_order ? t->x : reel_permute(t->x, order);
    for (int i = 0; i < count; i++)
        if (find(t, labels[i]) < 0) x = reel_unsqueeze(x, i);
    return x;
}

static bool too_many_axes(const equation *e)
{
    return MALFORMED(e, "a product within \"%s\" needs more than %d axes", e->text, REEL_MAX_DIMS);
}

/* The product of the sizes of labels[0..count) in t; -1 when it is beyond int64. */
static int64_t extent(const term *t, const int *labels, int count)
{
    int64_t product = 1;
    for (int i = 0; i < count; i++)
        if (__builtin_mul_overflow(product, reel_size(t->x, find(t, labels[i])), &product)) return -1;
    return product;
}

/* a and b into one term: labels both have and something later needs are a batch, other common ones are summed over. */
static bool contract(const equation *e, term *a, term *b, int now)
{
    if (!sum_out(e, a, b, now) || !sum_out(e, b, a, now)) return false;
    int batch[REEL_MAX_DIMS], left[REEL_MAX_DIMS], right[REEL_MAX_DIMS], inner[REEL_MAX_DIMS];
    int n_batch = 0, n_left = 0, n_right = 0, n_inner = 0;
    for (int k = 0; k < a->ndim; k++) {
        int label = a->label[k];
        if (find(b, label) < 0)
            left[n_left++] = label;
        else if (e->last_use[label] > now)
            batch[n_batch++] = label;
        else
            inner[n_inner++] = label;
    }
    for (int k = 0; k < b->ndim; k++)
        if (find(a, b->label[k]) < 0) right[n_right++] = b->label[k];
    int all[4 * REEL_MAX_DIMS], n_out = n_batch + n_left + n_right;
    if (n_out > REEL_MAX_DIMS) return too_many_axes(e);
    memcpy(all, batch, sizeof(int) * (size_t)n_batch);
    memcpy(all + n_batch, left, sizeof(int) * (size_t)n_left);
    memcpy(all + n_batch + n_left, right, sizeof(int) * (size_t)n_right);
    memcpy(all + n_out, inner, sizeof(int) * (size_t)n_inner);
    reel_tensor *x;
    if (n_inner == 0 || (n_left == 0 && n_right == 0)) {
        // No sum, or one along rows that meet element by element: a product by broadcasting.
        if (n_out + n_inner > REEL_MAX_DIMS) return too_many_axes(e);
        x = reel_mul(arranged(a, all, n_out + n_inner), arranged(b, all, n_out + n_inner));
        reel_dims dims = { .count = n_inner };
        for (int i = 0; i < n_inner; i++) dims.dim[i] = n_out + i;
        if (n_inner) x = reel_sum(x, dims, false);
    } else {
        int order_a[REEL_MAX_DIMS * 3], order_b[REEL_MAX_DIMS * 3];
        memcpy(order_a, all, sizeof(int) * (size_t)(n_batch + n_left));
        memcpy(order_a + n_batch + n_left, inner, sizeof(int) * (size_t)n_inner);
        memcpy(order_b, batch, sizeof(int) * (size_t)n_batch);
        memcpy(order_b + n_batch, inner, sizeof(int) * (size_t)n_inner);
        memcpy(order_b + n_batch + n_inner, right, sizeof(int) * (size_t)n_right);
        int64_t z = extent(a, batch, n_batch), m = extent(a, left, n_left), n = extent(b, right, n_right);
        int64_t k = extent(a, inner, n_inner);
        if (z < 0 || m < 0 || n < 0 || k < 0) return MALFORMED(e, "sizes in \"%s\" are beyond memory", e->text);
        reel_shape shape = { .ndim = n_out };
        for (int i = 0; i < n_out; i++) {
            const term *from = i < n_batch + n_left ? a : b;
            shape.dim[i] = reel_size(from->x, find(from, all[i]));
        }
        x = reel_matmul(reel_reshape(arranged(a, order_a, a->ndim), REEL_SHAPE(z, m, k)),
                        reel_reshape(arranged(b, order_b, b->ndim), REEL_SHAPE(z, k, n)));
        x = reel_reshape(x, shape);
    }
    a->x = x;
    a->ndim = n_out;
    memcpy(a->label, all, sizeof(int) * (size_t)n_out);
    return x != NULL;
}

/* Reads the whole equation. */
static bool check_equation(equation *e)
{
    const char *at = e->text;
    int times[LABELS] = { 0 }, labels[REEL_MAX_DIMS], count, operands = 1;
    bool ellipsis;
    for (;; operands++, at++) {
        if (!read_labels(e, &at, 0, labels, &count, &ellipsis)) return false;
        if (*at != ',') break;
    }
    if (operands != e->n) return MALFORMED(e, "\"%s\" names %d operands, %d are given", e->text, operands, e->n);
    at = e->text;
    for (int i = 0; i < e->n; i++) {
        if (!check_operand(e, &at, i, times)) return false;
        if (*at == ',') at++;
    }
    return read_result(e, at, times);
}

reel_tensor *reel_einsum(const char *text, reel_tensor *const *xs, int n)
{
    if (!xs || !reel_operands("einsum", xs, n)) return NULL;
    reel_ctx *ctx = reel_ctx_of(xs[0]);
    if (!text) return reel_fail(ctx, REEL_ERROR_VALUE, "einsum: no equation");
    equation e = { .ctx = ctx, .text = text, .n = n, .xs = xs };
    for (int label = 0; label < LABELS; label++) e.size[label] = e.last_use[label] = -1;
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        if (!check_equation(&e)) break;
        const char *at = text;
        term sum, next;
        bool ok = take_operand(&e, &at, 0, &sum);
        for (int i = 1; i < n && ok; i++) {
            at++; // the comma
            ok = take_operand(&e, &at, i, &next) && contract(&e, &sum, &next, i);
        }
        if (!ok || !sum_out(&e, &sum, NULL, n - 1)) break;
        y = arranged(&sum, e.out, e.n_out);
        if (y == xs[0]) y = reel_reshape(y, reel_shape_of(y)); // a handle of its own
        y = reel_scope_return(y);
    }
    return y;
}

/* Rows of the op table */

static bool call_einsum(reel_call_args *args)
{
    enum { FEW = 16 };
    reel_tensor *xs[FEW];
    int n = reel_args_inputs(args);
    if (n < 1 || n > FEW)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "einsum: %d operands; 1 to %d", n, FEW) != NULL;
    for (int i = 0; i < n; i++) xs[i] = reel_args_input(args, i);
    return reel_args_return(args, reel_einsum(reel_args_string(args, "equation"), xs, n));
}
const reel_function reel_fn_einsum = {
    .name = "einsum",
    .inputs = "operands*",
    .attrs = "equation:string",
    .call = call_einsum,
    .formula = "sum of products over the labels that the result does not name",
    .shapes = "operands: one axis a label -> one axis a label of the result",
    .errors = "an equation that is not letters, commas, '...' and '->'; a space within one operand's labels; labels "
              "and axes of different number; one label for two sizes; a label of the result that no operand has, or "
              "twice; more than 8 axes; dtypes that differ or are no floats",
    .orders = -1
};
