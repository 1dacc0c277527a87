// SPDX-License-Identifier: MIT
// Derivatives of any order against finite differences, and forward against reverse mode.
#include <math.h>
#include <reel/core/autograd.h>
#include <reel/core/gradcheck.h>
#include <reel/core/operands.h>
#include <reel/core/random.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ORDER 4
#define MAX_VALUES 256 // inputs and cotangents of the highest order together
#define FN_OUTPUTS 64

// An input of the function at some order, as numbers on this side of the tape.
typedef struct value {
    reel_tensor *given; // what to pass on when it is not of a floating dtype
    double *x;          // its elements when it is
    reel_shape shape;
    int64_t numel;
    reel_dtype dtype[2]; // as a tensor: in float64, and where derivatives are taken in float32
    bool wanted;         // differentiated by
} value;

typedef struct check {
    reel_ctx *ctx;
    reel_gradcheck_fn *fn;
    void *user;
    int n_in;
    reel_gradcheck_opts opts;
    reel_gradcheck_report *report;
    reel_generator draw;
    value values[MAX_VALUES];
    int n_values;
    double *cot[MAX_VALUES]; // cotangents of the outputs of the order being checked
    reel_dtype cot_dtype[MAX_VALUES];
} check;

static double relative(double analytic, double numeric)
{
    if (analytic == numeric) return 0;
    double error = fabs(analytic - numeric) / (1 + fabs(numeric));
    return isnan(error) ? INFINITY : error;
}

// ---- the function at an order ----

static int float_outputs(const check *c, reel_tensor *const *in, reel_tensor **out)
{
    reel_tensor *all[FN_OUTPUTS] = { NULL };
    int count = c->fn(c->user, c->ctx, in, c->n_in, all, FN_OUTPUTS), kept = 0;
    if (count > FN_OUTPUTS) count = FN_OUTPUTS;
    for (int k = 0; k < count; k++)
        if (all[k] && reel_dtype_is_float(reel_dtype_of(all[k]))) out[kept++] = all[k];
    return count < 0 || reel_ctx_error(c->ctx) ? -1 : kept;
}

// The outputs of order `order`: those of fn, or the gradients of the order below by everything wanted there, with the
// cotangents that follow in `in`. Returns their number, -1 on error.
static int run(const check *c, int order, reel_tensor *const *in, reel_tensor **out)
{
    int n_out = float_outputs(c, in, out), used = c->n_in;
    for (int k = 1; k < order && n_out > 0; k++) {
        reel_tensor *by[MAX_VALUES], *grads[MAX_VALUES];
        int n_by = 0;
        for (int i = 0; i < used; i++)
            if (c->values[i].wanted) by[n_by++] = in[i];
        if (!reel_grad(out, n_out, by, n_by, in + used, grads)) return -1;
        memcpy(out, grads, (size_t)n_by * sizeof *out);
        used += n_out;
        n_out = n_by;
    }
    return n_out;
}

static reel_tensor *tensor_of(const check *c, const double *x, reel_shape shape, int64_t numel, reel_dtype dtype)
{
    if (dtype == REEL_F64) return reel_from(c->ctx, shape, REEL_F64, x);
    float *narrow = malloc((size_t)numel * sizeof *narrow + 1);
    if (!narrow)
        return reel_fail(c->ctx, REEL_ERROR_MEMORY, "gradcheck: no memory for %lld elements", (long long)numel);
    for (int64_t i = 0; i < numel; i++) narrow[i] = (float)x[i];
    reel_tensor *y = reel_from(c->ctx, shape, REEL_F32, narrow);
    free(narrow);
    return y;
}

static bool make_leaves(const check *c, bool float32, reel_tensor **in)
{
    for (int i = 0; i < c->n_values; i++) {
        const value *v = &c->values[i];
        in[i] = v->x ? tensor_of(c, v->x, v->shape, v->numel, v->dtype[float32]) : v->given;
        if (v->wanted) reel_set_requires_grad(in[i], true);
    }
    return !reel_ctx_error(c->ctx);
}

static double *read_elements(const check *c, reel_tensor *x)
{
    int64_t numel = reel_numel(x);
    double *to = malloc((size_t)numel * sizeof *to + 1);
    if (!to) return reel_fail(c->ctx, REEL_ERROR_MEMORY, "gradcheck: no memory for %lld elements", (long long)numel);
    const void *from = numel ? reel_data(x) : to;
    if (!from) {
        free(to);
        return NULL;
    }
    if (reel_dtype_of(x) == REEL_F64)
        memcpy(to, from, (size_t)numel * sizeof *to);
    else
        for (int64_t i = 0; i < numel; i++) to[i] = ((const float *)from)[i];
    return to;
}

// Sum of cotangent times output over all outputs, added with compensation: differences of it are what is measured.
static bool weighted_sum(const check *c, reel_tensor *const *out, int n_out, double *sum)
{
    double total = 0, rest = 0;
    if (!reel_eval_all(out, n_out)) return false;
    for (int k = 0; k < n_out; k++) {
        int64_t numel = reel_numel(out[k]);
        double *y = read_elements(c, out[k]);
        if (!y) return false;
        for (int64_t i = 0; i < numel; i++) {
            double term = c->cot[k][i] * y[i], next = total + term;
            rest += fabs(total) >= fabs(term) ? (total - next) + term : (term - next) + total;
            total = next;
        }
        free(y);
    }
    *sum = total + rest;
    return true;
}

static bool evaluate(const check *c, int order, double *sum)
{
    bool done = false;
    REEL_SCOPE(c->ctx)
    {
        reel_tensor *in[MAX_VALUES], *out[MAX_VALUES];
        int n_out = make_leaves(c, false, in) ? run(c, order, in, out) : -1;
        done = n_out >= 0 && weighted_sum(c, out, n_out, sum);
    }
    return done;
}

// ---- numbers to compare ----

static bool central_difference(const check *c, int order, double *x, double step, double *slope)
{
    double at = *x, up, down;
    volatile double high = at + step, low = at - step;
    *x = high;
    bool done = evaluate(c, order, &up);
    *x = low;
    done = done && evaluate(c, order, &down);
    *x = at;
    if (done) *slope = (up - down) / (high - low);
    return done;
}

// The slope along *x that comes nearest to `analytic` over ever smaller steps: a kink within a step spoils a
// difference, and a wrong derivative meets none of them. Each is extrapolated once: (4 D(h/2) - D(h)) / 3.
static bool numeric_slope(const check *c, int order, double *x, double analytic, double *slope)
{
    double step = c->opts.step * (1 + fabs(*x));
    *slope = NAN;
    for (int tries = 0; tries < 4; tries++, step /= 8) {
        double coarse, fine;
        if (!central_difference(c, order, x, step, &coarse) || !central_difference(c, order, x, step / 2, &fine))
            return false;
        double better = (4 * fine - coarse) / 3;
        if (tries == 0 || relative(analytic, better) < relative(analytic, *slope)) *slope = better;
        if (relative(analytic, *slope) <= c->opts.tolerance) break;
    }
    return true;
}

static void note(check *c, int order, int input, int64_t entry, double analytic, double numeric)
{
    reel_gradcheck_report *r = c->report;
    double error = relative(analytic, numeric);
    r->checked++;
    if (r->order && error <= r->error) return;
    r->error = error;
    r->order = order;
    r->input = input;
    r->analytic = analytic;
    r->numeric = numeric;
    const reel_shape *shape = &c->values[input].shape;
    r->ndim = shape->ndim;
    for (int a = shape->ndim - 1; a >= 0; a--) {
        r->index[a] = entry % shape->dim[a];
        entry /= shape->dim[a];
    }
}

static bool compare_entries(check *c, int order, int input, const double *analytic)
{
    value *v = &c->values[input];
    bool all = v->numel <= c->opts.max_entries;
    int64_t count = all ? v->numel : c->opts.max_entries;
    for (int64_t k = 0; k < count; k++) {
        int64_t entry = all ? k : reel_generator_below(&c->draw, v->numel);
        double numeric;
        if (!numeric_slope(c, order, &v->x[entry], analytic[entry], &numeric)) return false;
        note(c, order, input, entry, analytic[entry], numeric);
    }
    return true;
}

// <forward(v), w> = <v, reverse(w)> for random tangents v and the cotangents w of the order.
static bool compare_forward(check *c, reel_tensor *const *grads, double *const *reverse, int n_grads,
                            reel_tensor *const *cots, int n_cots)
{
    reel_tensor *tangents[MAX_VALUES], *products[MAX_VALUES];
    double from_forward = 0, from_reverse = 0, size = 0;
    for (int i = 0; i < n_grads; i++) {
        int64_t numel = reel_numel(grads[i]);
        double *tangent = malloc((size_t)numel * sizeof *tangent + 1);
        if (!tangent) return reel_fail(c->ctx, REEL_ERROR_MEMORY, "gradcheck: no memory for a tangent");
        for (int64_t e = 0; e < numel; e++) {
            tangent[e] = (float)(2 * reel_generator_uniform(&c->draw) - 1);
            from_reverse += tangent[e] * reverse[i][e];
            size += fabs(tangent[e] * reverse[i][e]);
        }
        tangents[i] = tensor_of(c, tangent, reel_shape_of(grads[i]), numel, reel_dtype_of(grads[i]));
        free(tangent);
    }
    if (reel_ctx_error(c->ctx) || !reel_grad(grads, n_grads, cots, n_cots, tangents, products)) return false;
    for (int k = 0; k < n_cots; k++) {
        double *product = read_elements(c, products[k]);
        if (!product) return false;
        for (int64_t e = 0; e < reel_numel(cots[k]); e++) {
            from_forward += product[e] * c->cot[k][e];
            size += fabs(product[e] * c->cot[k][e]);
        }
        free(product);
    }
    double error = from_forward == from_reverse ? 0 : fabs(from_forward - from_reverse) / (1 + size);
    if (isnan(error)) error = INFINITY;
    if (error > c->report->forward_error) c->report->forward_error = error;
    return true;
}

// Draws the cotangents of the outputs and makes tensors of them.
static bool draw_cotangents(check *c, reel_tensor *const *out, int n_out, reel_tensor **cots)
{
    for (int k = 0; k < n_out; k++) {
        int64_t numel = reel_numel(out[k]);
        c->cot[k] = malloc((size_t)numel * sizeof(double) + 1);
        if (!c->cot[k]) return reel_fail(c->ctx, REEL_ERROR_MEMORY, "gradcheck: no memory for a cotangent");
        for (int64_t e = 0; e < numel; e++) c->cot[k][e] = (float)(2 * reel_generator_uniform(&c->draw) - 1);
        c->cot_dtype[k] = reel_dtype_of(out[k]);
        cots[k] = tensor_of(c, c->cot[k], reel_shape_of(out[k]), numel, c->cot_dtype[k]);
        reel_set_requires_grad(cots[k], true);
    }
    return !reel_ctx_error(c->ctx);
}

// The gradients of order `order` by reverse mode, as numbers by input; compares them with forward mode on the way.
// Leaves the cotangents in c->cot and returns how many there are, -1 on error.
static int analytic_gradients(check *c, int order, double **gradients)
{
    int n_out = -1;
    REEL_SCOPE(c->ctx)
    {
        reel_tensor *in[MAX_VALUES], *out[MAX_VALUES], *cots[MAX_VALUES], *by[MAX_VALUES], *grads[MAX_VALUES];
        int n = make_leaves(c, c->opts.float32, in) ? run(c, order, in, out) : -1, n_by = 0;
        bool done = n > 0 && draw_cotangents(c, out, n, cots);
        for (int i = 0; i < c->n_values; i++)
            if (c->values[i].wanted) by[n_by++] = in[i];
        done = done && reel_grad(out, n, by, n_by, cots, grads);
        for (int i = 0; done && i < n_by; i++) {
            gradients[i] = read_elements(c, grads[i]);
            done = gradients[i] != NULL;
        }
        if (done && !c->opts.skip_forward) done = compare_forward(c, grads, gradients, n_by, cots, n);
        n_out = done || n == 0 ? n : -1;
    }
    return n_out;
}

// After an order was checked its cotangents become inputs of the next.
static bool add_cotangents(check *c, int order, int n_out)
{
    bool done = false;
    REEL_SCOPE(c->ctx)
    {
        reel_tensor *in[MAX_VALUES], *out[MAX_VALUES];
        if (!make_leaves(c, false, in) || run(c, order, in, out) != n_out) break;
        for (int k = 0; k < n_out; k++) {
            c->values[c->n_values++] = (value) { .x = c->cot[k],
                                                 .shape = reel_shape_of(out[k]),
                                                 .numel = reel_numel(out[k]),
                                                 .wanted = true,
                                                 .dtype = { reel_dtype_of(out[k]), c->cot_dtype[k] } };
            c->cot[k] = NULL;
        }
        done = true;
    }
    return done;
}

static bool check_order(check *c, int order)
{
    double *gradients[MAX_VALUES] = { NULL };
    int n_out = analytic_gradients(c, order, gradients), slot = 0;
    bool done = n_out > 0;
    for (int i = 0; done && i < c->n_values; i++)
        if (c->values[i].wanted) done = compare_entries(c, order, i, gradients[slot++]);
    for (int i = 0; i < MAX_VALUES; i++) free(gradients[i]);
    if (n_out == 0) reel_fail(c->ctx, REEL_ERROR_VALUE, "gradcheck: the function has no output of a floating dtype");
    if (!done) return false;
    int wanted = 0;
    for (int i = 0; i < c->n_values; i++) wanted += c->values[i].wanted;
    if (order < c->opts.order && (c->n_values + n_out > MAX_VALUES || wanted + n_out > MAX_VALUES))
        return reel_fail(c->ctx, REEL_ERROR_UNSUPPORTED, "gradcheck: order %d has more than %d operands", order + 1,
                         MAX_VALUES);
    return order == c->opts.order || add_cotangents(c, order, n_out);
}

static bool read_inputs(check *c, reel_tensor *const *inputs)
{
    for (int i = 0; i < c->n_in; i++) {
        value *v = &c->values[c->n_values++];
        *v = (value) { .given = inputs[i], .shape = reel_shape_of(inputs[i]), .numel = reel_numel(inputs[i]) };
        if (!inputs[i] || !reel_dtype_is_float(reel_dtype_of(inputs[i]))) continue;
        v->x = read_elements(c, inputs[i]);
        if (!v->x) return false;
        for (int64_t e = 0; c->opts.float32 && e < v->numel; e++) v->x[e] = (float)v->x[e];
        v->dtype[0] = REEL_F64;
        v->dtype[1] = REEL_F32;
        v->wanted = i >= 64 || !(c->opts.fixed >> i & 1);
    }
    return true;
}

static void describe(const check *c)
{
    reel_gradcheck_report *r = c->report;
    char where[128] = "", what[64];
    size_t used = 0;
    for (int a = 0; a < r->ndim && used < sizeof where - 24; a++)
        used += (size_t)snprintf(where + used, sizeof where - used, "%s%lld", a ? ", " : "", (long long)r->index[a]);
    if (r->input < c->n_in)
        snprintf(what, sizeof what, "input %d", r->input);
    else
        snprintf(what, sizeof what, "cotangent %d", r->input - c->n_in);
    if (reel_ctx_error(c->ctx))
        snprintf(r->message, sizeof r->message, "%s", reel_ctx_error_message(c->ctx));
    else if (r->forward_error > c->opts.tolerance)
        snprintf(r->message, sizeof r->message, "forward and reverse mode differ by %.3g", r->forward_error);
    else if (r->checked)
        snprintf(r->message, sizeof r->message, "order %d, %s at [%s]: analytic %.12g, numeric %.12g (error %.3g)",
                 r->order, what, where, r->analytic, r->numeric, r->error);
    else
        snprintf(r->message, sizeof r->message, "there was nothing to differentiate by");
}

bool reel_gradcheck(reel_gradcheck_fn *fn, void *user, reel_tensor *const *inputs, int n_inputs,
                    const reel_gradcheck_opts *opts, reel_gradcheck_report *report)
{
    reel_gradcheck_report own;
    if (!report) report = &own;
    memset(report, 0, sizeof *report);
    snprintf(report->message, sizeof report->message, "there are no inputs to differentiate by");
    reel_ctx *ctx = NULL;
    for (int i = 0; inputs && i < n_inputs && !ctx; i++) ctx = reel_ctx_of(inputs[i]);
    if (!ctx) return false;
    check *c = calloc(1, sizeof *c);
    if (!c) return reel_fail(ctx, REEL_ERROR_MEMORY, "gradcheck: no memory");
    *c = (check) { .ctx = ctx, .fn = fn, .user = user, .n_in = n_inputs, .report = report };
    if (opts) c->opts = *opts;
    if (!c->opts.order) c->opts.order = 1;
    if (!(c->opts.tolerance > 0)) c->opts.tolerance = c->opts.float32 ? 1e-3 : 1e-6;
    if (!(c->opts.step > 0)) c->opts.step = 1e-3;
    if (c->opts.max_entries <= 0) c->opts.max_entries = 64;
    c->draw.seed = c->opts.seed;
    if (c->opts.order < 0 || c->opts.order > MAX_ORDER || n_inputs > MAX_VALUES)
        reel_fail(ctx, REEL_ERROR_VALUE, "gradcheck: order %d of %d inputs, but at most order %d of %d inputs can be",
                  c->opts.order, n_inputs, MAX_ORDER, MAX_VALUES);
    bool done = reel_given(ctx, "gradcheck", "function", (const void *)(uintptr_t)fn);
    done = done && !reel_ctx_error(ctx) && read_inputs(c, inputs);
    for (int order = 1; done && order <= c->opts.order; order++) done = check_order(c, order);
    bool any = false; // an input without elements counts
    for (int i = 0; i < n_inputs && done; i++) any = any || c->values[i].wanted;
    report->passed = done && any && report->error <= c->opts.tolerance && report->forward_error <= c->opts.tolerance;
    describe(c);
    for (int i = 0; i < MAX_VALUES; i++) {
        free(c->cot[i]);
        free(c->values[i].x);
    }
    free(c);
    return report->passed;
}
