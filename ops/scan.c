// SPDX-License-Identifier: MIT
// Cumulative ops: cumsum, cumprod, logcumsumexp, cummax, cummin, and the linear recurrence their rules come down to.
#include <reel/core/op.h>
#include <reel/ops/axes.h>
#include <reel/ops/index.h>
#include <reel/ops/kernels/scan.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce_op.h>
#include <reel/ops/scan.h>
#include <reel/ops/scan_loops.h>
#include <reel/ops/shape.h>
#include <string.h>

enum { CHUNK = 1 << 15 };

typedef struct attrs {
    int dim; /* as given */
    bool reverse, exclusive, lagged;
} attrs;

// ---- inference ----

static bool infer_with(reel_infer *infer, reel_dtype dtype)
{
    uint32_t mask;
    return reel_infer_dims(infer, REEL_DIMS(((const attrs *)infer->attrs)->dim), &mask) &&
           reel_infer_out(infer, 0, dtype, reel_shape_of(infer->in[0]));
}

static bool infer_gathered(reel_infer *infer)
{
    reel_dtype dtype = reel_dtype_of(infer->in[0]);
    return infer_with(infer, reel_dtype_is_float(dtype) ? dtype : REEL_I64);
}

static bool infer_logcumsumexp(reel_infer *infer)
{
    return reel_infer_float(infer) && infer_with(infer, reel_dtype_of(infer->in[0]));
}

static bool infer_extreme(reel_infer *infer)
{
    infer->n_out = 2;
    return infer_with(infer, reel_dtype_of(infer->in[0])) &&
           reel_infer_out(infer, 1, REEL_I64, reel_shape_of(infer->in[0]));
}

static bool infer_linear(reel_infer *infer)
{
    if (!reel_infer_float(infer)) return false;
    if (reel_dtype_of(infer->in[0]) != reel_dtype_of(infer->in[1]) ||
        !reel_shape_equal(reel_shape_of(infer->in[0]), reel_shape_of(infer->in[1])))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "a and b must have one shape and dtype");
    return infer_with(infer, reel_dtype_of(infer->in[0]));
}

// ---- play ----

typedef struct job {
    reel_scan_fn *fn; // NULL: logarithm
    reel_logcumsumexp_fn *logarithm;
    const char *a, *b;
    char *out;
    int64_t *index;
    int64_t element, out_element, outer, size, inner, blocks, per_chunk;
    bool reverse;
} job;

static void columns_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t end = (chunk + 1) * j->per_chunk, step = j->reverse ? -j->inner : j->inner;
    for (int64_t unit = chunk * j->per_chunk; unit < end && unit < j->outer * j->blocks; unit++) {
        int64_t first = unit % j->blocks * REEL_SCAN_COLUMNS;
        int64_t n = j->inner - first < REEL_SCAN_COLUMNS ? j->inner - first : REEL_SCAN_COLUMNS;
        int64_t at = unit / j->blocks * j->size * j->inner + first;
        if (j->reverse) at += (j->size - 1) * j->inner;
        const char *a = j->a + at * j->element, *b = j->b ? j->b + at * j->element : NULL;
        char *out = j->out + at * j->out_element;
        if (j->fn)
            j->fn(n, j->size, step, a, b, out, j->index ? j->index + at : NULL);
        else
            j->logarithm(n, 1, j->size, step, a, out);
    }
}

// Contiguous lines, several at once as columns that lie apart.
static void lines_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t from = chunk * j->per_chunk, n = j->outer - from < j->per_chunk ? j->outer - from : j->per_chunk;
    int64_t at = from * j->size * j->element;
    j->logarithm(n, j->size, j->size, 1, j->a + at, j->out + at);
}

static job job_of(const reel_play *play)
{
    const reel_buffer *x = &play->in[0];
    const attrs *a = play->attrs;
    int dim = a->dim < 0 ? a->dim + x->ndim : a->dim;
    job j = { .a = x->data,
              .b = play->n_in > 1 ? play->in[1].data : NULL,
              .out = play->out[0].data,
              .index = play->n_out > 1 ? play->out[1].data : NULL,
              .element = (int64_t)reel_dtype_size(x->dtype),
              .out_element = (int64_t)reel_dtype_size(play->out[0].dtype),
              .reverse = a->reverse };
    reel_split_axes(x, dim, &j.outer, &j.size, &j.inner);
    return j;
}

static bool run_columns(const reel_exec *exec, job *j)
{
    j->blocks = (j->inner + REEL_SCAN_COLUMNS - 1) / REEL_SCAN_COLUMNS;
    int64_t units = j->outer * j->blocks, width = j->inner < REEL_SCAN_COLUMNS ? j->inner : REEL_SCAN_COLUMNS;
    j->per_chunk = j->size * width < CHUNK ? CHUNK / (j->size * width) : 1;
    reel_parallel(exec, (units + j->per_chunk - 1) / j->per_chunk, columns_task, j);
    return true;
}

static bool run(const reel_play *play, reel_scan_kind kind)
{
    job j = job_of(play);
    j.fn = reel_scan_loops[kind][play->in[0].dtype];
    return play->in[0].numel == 0 || run_columns(play->exec, &j);
}

static bool play_logcumsumexp(const reel_play *play)
{
    job j = job_of(play);
    j.logarithm = reel_scan_kernels_for(play->exec->isa)->logcumsumexp[play->in[0].dtype == REEL_F64];
    if (play->in[0].numel == 0) return true;
    if (j.inner > 1) return run_columns(play->exec, &j);
    j.per_chunk = j.size < CHUNK / 8 ? CHUNK / j.size : 8;
    reel_parallel(play->exec, (j.outer + j.per_chunk - 1) / j.per_chunk, lines_task, &j);
    return true;
}

static bool play_cumsum(const reel_play *play)
{
    return run(play, ((const attrs *)play->attrs)->exclusive ? REEL_SCAN_SUM_EXCLUSIVE : REEL_SCAN_SUM);
}

static bool play_cumprod(const reel_play *play)
{
    return run(play, ((const attrs *)play->attrs)->exclusive ? REEL_SCAN_PROD_EXCLUSIVE : REEL_SCAN_PROD);
}

static bool play_linear_scan(const reel_play *play)
{
    return run(play, ((const attrs *)play->attrs)->lagged ? REEL_SCAN_LINEAR_LAGGED : REEL_SCAN_LINEAR);
}

static bool play_cummax(const reel_play *play) { return run(play, REEL_SCAN_MAX); }
static bool play_cummin(const reel_play *play) { return run(play, REEL_SCAN_MIN); }

// ---- rules ----

// Element k becomes that of the next row in the scan's order (the one before, with `back`); the last (first) is 0.
static reel_tensor *shifted(reel_tensor *x, int dim, bool reverse, bool back)
{
    reel_shape shape = reel_shape_of(x);
    int64_t n = reel_ndim(x) == 0 ? 1 : reel_size(x, dim);
    if (n <= 1) return reel_zeros_like(x);
    bool up = reverse == back; // element k takes that of k + 1
    reel_tensor *part = reel_slice(x, dim, up ? 1 : 0, up ? n : n - 1, 1);
    return reel_slice_backward(part, shape, dim, up ? 0 : 1, up ? n - 1 : n, 1);
}

static bool vjp_cumsum(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    reel_scan_opts opts = { .reverse = !a->reverse, .exclusive = a->exclusive };
    vjp->grad[0] = reel_cumsum_with(vjp->cot[0], a->dim, &opts);
    return vjp->grad[0];
}

// The cotangent of x_j is (product of those before) * s_j with s_j = g_j + x_(j+1) s_(j+1): no division, true at zeros.
// Exclusive: with s of the next place, where s_j = g_j + x_j s_(j+1).
static bool vjp_cumprod(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    reel_tensor *x = reel_vjp_input(vjp, 0);
    reel_tensor *before =
        a->exclusive ? reel_vjp_output(vjp, 0)
                     : reel_cumprod_with(x, a->dim, &(reel_scan_opts) { .reverse = a->reverse, .exclusive = true });
    reel_scan_opts opts = { .reverse = !a->reverse, .lagged = !a->exclusive };
    reel_tensor *after = reel_linear_scan(x, vjp->cot[0], a->dim, &opts);
    if (a->exclusive) after = shifted(after, a->dim, a->reverse, false);
    vjp->grad[0] = reel_mul(before, after);
    return vjp->grad[0];
}

// Of s_k = b_k + a_k s_(k-1): t_k = g_k + a_(k+1) t_(k+1) is b's cotangent, t_k s_(k-1) is a's.
static bool vjp_linear_scan(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    reel_scan_opts opts = { .reverse = !a->reverse, .lagged = !a->lagged };
    reel_tensor *t = reel_linear_scan(reel_vjp_input(vjp, 0), vjp->cot[0], a->dim, &opts);
    vjp->grad[1] = t;
    if (!reel_vjp_wants(vjp, 0)) return t;
    reel_tensor *s = reel_vjp_output(vjp, 0);
    if (a->lagged)
        t = shifted(t, a->dim, a->reverse, false);
    else
        s = shifted(s, a->dim, a->reverse, true);
    vjp->grad[0] = reel_mul(t, s);
    return vjp->grad[0];
}

// The cotangent of x_j is sum over k >= j of g_k exp(x_j - y_k) = exp(x_j - y_j) t_j, t_j = g_j + exp(y_j - y_(j+1))
// t_(j+1): y only grows, so no exponential overflows.
static bool vjp_logcumsumexp(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    reel_tensor *x = reel_vjp_input(vjp, 0), *y = reel_vjp_output(vjp, 0), *t = vjp->cot[0];
    int64_t n = shape.ndim == 0 ? 1 : reel_size(y, a->dim);
    if (n > 1) {
        reel_tensor *prior = reel_slice(y, a->dim, 0, n - 1, 1), *next = reel_slice(y, a->dim, 1, n, 1);
        reel_tensor *both_infinite = reel_logical_and(reel_isinf(prior), reel_eq(prior, next));
        reel_tensor *fall = reel_masked_fill(reel_sub(prior, next), both_infinite, 0);
        reel_tensor *factor = reel_exp(reel_slice_backward(fall, shape, a->dim, 1, n, 1));
        t = reel_linear_scan(factor, t, a->dim, &(reel_scan_opts) { .reverse = true, .lagged = true });
    }
    vjp->grad[0] = reel_mul(reel_exp(reel_sub(x, y)), t);
    return vjp->grad[0];
}

static bool vjp_extreme(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    if (!vjp->cot[0]) return true;
    vjp->grad[0] = reel_scatter_add(reel_zeros_like(vjp->cot[0]), reel_vjp_output(vjp, 1), vjp->cot[0], a->dim);
    return vjp->grad[0];
}

// ---- descriptors and public functions ----

#define SCAN_OP(op, infer_fn, vjp_fn)                                                                                  \
    const reel_op reel_op_##op = {                                                                                     \
        .name = #op,                                                                                                   \
        .infer = infer_fn,                                                                                             \
        .play = play_##op,                                                                                             \
        .vjp = vjp_fn,                                                                                                 \
        .attrs_size = sizeof(attrs),                                                                                   \
    };
SCAN_OP(cumsum, infer_gathered, vjp_cumsum)
SCAN_OP(cumprod, infer_gathered, vjp_cumprod)
SCAN_OP(logcumsumexp, infer_logcumsumexp, vjp_logcumsumexp)
SCAN_OP(cummax, infer_extreme, vjp_extreme)
SCAN_OP(cummin, infer_extreme, vjp_extreme)
SCAN_OP(linear_scan, infer_linear, vjp_linear_scan)
#undef SCAN_OP

static reel_tensor *apply(const reel_op *op, reel_tensor *const *in, int n_in, int dim, const reel_scan_opts *opts,
                          reel_tensor **out)
{
    attrs a;
    memset(&a, 0, sizeof a);
    a.dim = dim;
    if (opts) a.reverse = opts->reverse, a.exclusive = opts->exclusive, a.lagged = opts->lagged;
    return reel_apply(op, in, n_in, &a, out);
}

reel_tensor *reel_cumsum_with(reel_tensor *x, int dim, const reel_scan_opts *opts)
{
    return apply(&reel_op_cumsum, &x, 1, dim, opts, NULL);
}

reel_tensor *reel_cumprod_with(reel_tensor *x, int dim, const reel_scan_opts *opts)
{
    return apply(&reel_op_cumprod, &x, 1, dim, opts, NULL);
}

reel_tensor *reel_cumsum(reel_tensor *x, int dim) { return reel_cumsum_with(x, dim, NULL); }
reel_tensor *reel_cumprod(reel_tensor *x, int dim) { return reel_cumprod_with(x, dim, NULL); }

reel_tensor *reel_logcumsumexp(reel_tensor *x, int dim) { return apply(&reel_op_logcumsumexp, &x, 1, dim, NULL, NULL); }

reel_tensor *reel_linear_scan(reel_tensor *a, reel_tensor *b, int dim, const reel_scan_opts *opts)
{
    return apply(&reel_op_linear_scan, (reel_tensor *[]) { a, b }, 2, dim, opts, NULL);
}

static reel_tensor *extreme(const reel_op *op, reel_tensor *x, int dim, reel_tensor **indices)
{
    reel_tensor *out[2] = { NULL, NULL };
    reel_tensor *values = apply(op, &x, 1, dim, NULL, out);
    if (indices)
        *indices = values ? out[1] : NULL;
    else if (values)
        reel_free(out[1]);
    return values;
}

reel_tensor *reel_cummax(reel_tensor *x, int dim, reel_tensor **indices)
{
    return extreme(&reel_op_cummax, x, dim, indices);
}

reel_tensor *reel_cummin(reel_tensor *x, int dim, reel_tensor **indices)
{
    return extreme(&reel_op_cummin, x, dim, indices);
}

// ---- the table's rows ----

static bool call_scan(reel_call_args *args, reel_tensor *(*op)(reel_tensor *, int), bool typed)
{
    int dim = reel_args_dim(args, "dim");
    return typed ? reel_args_return_as(args, op(reel_args_input_as(args), dim))
                 : reel_args_return(args, op(reel_args_input(args, 0), dim));
}

#define ROW(op, more, refused, does)                                                                                   \
    static bool call_##op(reel_call_args *args) { return call_scan(args, reel_##op, sizeof more > 1); }                \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = "input",                                                                                             \
        .attrs = "dim:int" more,                                                                                       \
        .call = call_##op,                                                                                             \
        .formula = does,                                                                                               \
        .shapes = "input: any -> the same",                                                                            \
        .errors = refused,                                                                                             \
        .orders = -1,                                                                                                  \
    };
ROW(cumsum, " dtype:dtype=none", "none of its own", "y_k = x_0 + ... + x_k along dim")
ROW(cumprod, " dtype:dtype=none", "none of its own", "y_k = x_0 * ... * x_k along dim")
ROW(logcumsumexp, "", "an input that is not float32 or float64", "y_k = log(exp(x_0) + ... + exp(x_k)) along dim")
#undef ROW

#define ROW(op, does)                                                                                                  \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        reel_tensor *indices = NULL;                                                                                   \
        reel_tensor *values = reel_##op(reel_args_input(args, 0), reel_args_dim(args, "dim"), &indices);               \
        return reel_args_return(args, values) && reel_args_return(args, indices);                                      \
    }                                                                                                                  \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = "input",                                                                                             \
        .attrs = "dim:int",                                                                                            \
        .call = call_##op,                                                                                             \
        .formula = does,                                                                                               \
        .shapes = "input: any -> values, and indices (int64), both the same",                                          \
        .errors = "none of its own",                                                                                   \
        .orders = -1,                                                                                                  \
    };
ROW(cummax, "y_k = max(x_0 ... x_k) along dim, and the last index it stands at")
ROW(cummin, "y_k = min(x_0 ... x_k) along dim, and the last index it stands at")
#undef ROW
