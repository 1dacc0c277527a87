// SPDX-License-Identifier: MIT
// softmax, log_softmax, softmin, and the cotangents they share.
#include <reel/core/op.h>
#include <reel/ops/axes.h>
#include <reel/ops/kernels/softmax.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/reduce_op.h>
#include <reel/ops/softmax.h>
#include <string.h>

enum { CHUNK = 1 << 15, COLUMN_BLOCK = 64 };

typedef struct attrs {
    int dim; /* as given */
} attrs;

static bool infer_softmax(reel_infer *infer)
{
    uint32_t mask;
    const attrs *a = infer->attrs;
    if (!reel_infer_float(infer) || !reel_infer_dims(infer, REEL_DIMS(a->dim), &mask)) return false;
    if (infer->n_in == 2 && (reel_dtype_of(infer->in[0]) != reel_dtype_of(infer->in[1]) ||
                             !reel_shape_equal(reel_shape_of(infer->in[0]), reel_shape_of(infer->in[1]))))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the cotangent and the output must have one shape and dtype");
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), reel_shape_of(infer->in[0]));
}

typedef struct job {
    reel_softmax_lines_fn *lines;
    reel_softmax_columns_fn *columns;
    reel_softmax_kind kind;
    const char *a, *b;
    char *out;
    int64_t element, outer, size, inner, blocks, per_chunk;
} job;

static void lines_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t from = chunk * j->per_chunk, n = j->outer - from < j->per_chunk ? j->outer - from : j->per_chunk;
    int64_t at = from * j->size * j->element;
    j->lines(j->kind, n, j->size, j->a + at, j->b ? j->b + at : NULL, j->out + at);
}

static void columns_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t end = (chunk + 1) * j->per_chunk;
    for (int64_t unit = chunk * j->per_chunk; unit < end && unit < j->outer * j->blocks; unit++) {
        int64_t first = unit % j->blocks * COLUMN_BLOCK;
        int64_t n = j->inner - first < COLUMN_BLOCK ? j->inner - first : COLUMN_BLOCK;
        int64_t at = (unit / j->blocks * j->size * j->inner + first) * j->element;
        j->columns(j->kind, n, j->size, j->inner, j->a + at, j->b ? j->b + at : NULL, j->out + at);
    }
}

static bool run(const reel_play *play, reel_softmax_kind kind)
{
    const reel_buffer *x = &play->in[0];
    const reel_softmax_kernels *kernels = reel_softmax_kernels_for(reel_large_isa(play->exec->isa, x->dtype));
    int dim = ((const attrs *)play->attrs)->dim;
    if (dim < 0) dim += x->ndim;
    if (x->numel == 0) return true;
    job j = { .lines = kernels->lines[x->dtype == REEL_F64],
              .columns = kernels->columns[x->dtype == REEL_F64],
              .kind = kind,
              .a = x->data,
              .b = play->n_in > 1 ? play->in[1].data : NULL,
              .out = play->out[0].data,
              .element = (int64_t)reel_dtype_size(x->dtype) };
    reel_split_axes(x, dim, &j.outer, &j.size, &j.inner);
    j.blocks = (j.inner + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
    int64_t units = j.inner == 1 ? j.outer : j.outer * j.blocks;
    int64_t work = j.size * (j.inner < COLUMN_BLOCK ? j.inner : COLUMN_BLOCK);
    j.per_chunk = work < CHUNK ? CHUNK / work : 1;
    reel_parallel(play->exec, (units + j.per_chunk - 1) / j.per_chunk, j.inner == 1 ? lines_task : columns_task, &j);
    return true;
}

static bool play_softmax(const reel_play *play) { return run(play, REEL_SOFTMAX); }
static bool play_log_softmax(const reel_play *play) { return run(play, REEL_LOG_SOFTMAX); }
static bool play_softmax_backward(const reel_play *play) { return run(play, REEL_SOFTMAX_BACKWARD); }
static bool play_log_softmax_backward(const reel_play *play) { return run(play, REEL_LOG_SOFTMAX_BACKWARD); }

static bool vjp_softmax(reel_vjp *vjp)
{
    vjp->grad[0] = reel_softmax_backward(vjp->cot[0], reel_vjp_output(vjp, 0), ((const attrs *)vjp->attrs)->dim);
    return vjp->grad[0];
}

static bool vjp_log_softmax(reel_vjp *vjp)
{
    vjp->grad[0] = reel_log_softmax_backward(vjp->cot[0], reel_vjp_output(vjp, 0), ((const attrs *)vjp->attrs)->dim);
    return vjp->grad[0];
}

// z = y (g - sum(g y)) is its own adjoint in g; in y it is c (g - sum(g y)) - g sum(c y).
static bool vjp_softmax_backward(reel_vjp *vjp)
{
    int dim = ((const attrs *)vjp->attrs)->dim;
    reel_tensor *g = reel_vjp_input(vjp, 0), *y = reel_vjp_input(vjp, 1), *c = vjp->cot[0];
    if (reel_vjp_wants(vjp, 0) && !(vjp->grad[0] = reel_softmax_backward(c, y, dim))) return false;
    if (!reel_vjp_wants(vjp, 1)) return true;
    reel_tensor *inner = reel_sub(g, reel_sum(reel_mul(g, y), REEL_DIMS(dim), true));
    vjp->grad[1] = reel_sub(reel_mul(c, inner), reel_mul(g, reel_sum(reel_mul(c, y), REEL_DIMS(dim), true)));
    return vjp->grad[1];
}

// z = g - exp(y) sum(g): in g it is c - sum(c exp(y)), in y it is -c exp(y) sum(g).
static bool vjp_log_softmax_backward(reel_vjp *vjp)
{
    int dim = ((const attrs *)vjp->attrs)->dim;
    reel_tensor *g = reel_vjp_input(vjp, 0), *c = vjp->cot[0],
                *weighted = reel_mul(c, reel_exp(reel_vjp_input(vjp, 1)));
    if (reel_vjp_wants(vjp, 0) && !(vjp->grad[0] = reel_sub(c, reel_sum(weighted, REEL_DIMS(dim), true)))) return false;
    if (!reel_vjp_wants(vjp, 1)) return true;
    vjp->grad[1] = reel_neg(reel_mul(weighted, reel_sum(g, REEL_DIMS(dim), true)));
    return vjp->grad[1];
}

#define SOFTMAX_OP(op)                                                                                                 \
    const reel_op reel_op_##op = {                                                                                     \
        .name = #op,                                                                                                   \
        .infer = infer_softmax,                                                                                        \
        .play = play_##op,                                                                                             \
        .vjp = vjp_##op,                                                                                               \
        .flags = REEL_OP_CHEAP,                                                                                        \
        .attrs_size = sizeof(attrs),                                                                                   \
    };
SOFTMAX_OP(softmax)
SOFTMAX_OP(log_softmax)
SOFTMAX_OP(softmax_backward)
SOFTMAX_OP(log_softmax_backward)
#undef SOFTMAX_OP

static reel_tensor *apply(const reel_op *op, reel_tensor *const *in, int n_in, int dim)
{
    return reel_apply(op, in, n_in, &(attrs) { dim }, NULL);
}

reel_tensor *reel_softmax(reel_tensor *x, int dim) { return apply(&reel_op_softmax, &x, 1, dim); }
reel_tensor *reel_log_softmax(reel_tensor *x, int dim) { return apply(&reel_op_log_softmax, &x, 1, dim); }

reel_tensor *reel_softmax_backward(reel_tensor *g, reel_tensor *y, int dim)
{
    return apply(&reel_op_softmax_backward, (reel_tensor *[]) { g, y }, 2, dim);
}

reel_tensor *reel_log_softmax_backward(reel_tensor *g, reel_tensor *y, int dim)
{
    return apply(&reel_op_log_softmax_backward, (reel_tensor *[]) { g, y }, 2, dim);
}

reel_tensor *reel_softmin(reel_tensor *x, int dim)
{
    reel_tensor *y = NULL;
    if (x) REEL_COMPOSITE(reel_ctx_of(x)) y = reel_scope_return(reel_softmax(reel_neg(x), dim));
    return y;
}

// Without a dim PyTorch takes axis 0 of tensors with 0, 1 or 3 axes, else axis 1.
static int dim_of(const reel_call_args *args)
{
    int ndim = reel_ndim(reel_args_input(args, 0));
    if (reel_args_has(args, "dim")) return reel_args_dim(args, "dim");
    return ndim == 0 || ndim == 1 || ndim == 3 ? 0 : 1;
}

#define ROW(op, does)                                                                                                  \
    static bool call_##op(reel_call_args *args)                                                                        \
    {                                                                                                                  \
        return reel_args_return(args, reel_##op(reel_args_input_as(args), dim_of(args)));                              \
    }                                                                                                                  \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = "input",                                                                                             \
        .attrs = "dim:int=none dtype:dtype=none",                                                                      \
        .call = call_##op,                                                                                             \
        .formula = does,                                                                                               \
        .shapes = "input: any -> the same",                                                                            \
        .errors = "an input (cast to dtype) that is not float32 or float64",                                           \
        .orders = -1,                                                                                                  \
    };
ROW(softmax, "exp(x) / sum(exp(x)) along dim")
ROW(log_softmax, "x - log(sum(exp(x))) along dim")
ROW(softmin, "softmax(-x) along dim")
#undef ROW
