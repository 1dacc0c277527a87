// SPDX-License-Identifier: MIT
// argmax and argmin: where the extreme of an axis, or of the whole tensor, stands.
#include <reel/ops/reduce.h>
#include <reel/ops/reduce_loops.h>
#include <reel/ops/reduce_op.h>
#include <string.h>

enum { CHUNK = 1 << 15, COLUMNS = 512 };

static bool infer_arg(reel_infer *infer)
{
    const reel_reduce_attrs *attrs = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[0]);
    if (reel_dtype_of(infer->in[0]) == REEL_BOOL) return reel_infer_fail(infer, REEL_ERROR_DTYPE, "does not take bool");
    if (attrs->dims.count > 1)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "takes one axis or none, not %d", attrs->dims.count);
    if (!reel_infer_reduced(infer, REEL_I64)) return false;
    uint32_t mask = reel_reduce_mask(attrs, shape.ndim);
    if (reel_numel(infer->in[0]) > 0 || reel_shape_numel(reel_reduced_shape(shape, mask, false)) == 0) return true;
    return reel_infer_fail(infer, REEL_ERROR_VALUE, "there is no largest or smallest of no elements");
}

typedef struct job {
    reel_arg_line_fn *line;
    reel_arg_columns_fn *columns;
    const char *x;
    int64_t *out;
    int sign; // 1 the largest, -1 the smallest
    int64_t element, outer, size, inner, per_chunk, blocks;
} job;

static void lines_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t end = (chunk + 1) * j->per_chunk;
    for (int64_t o = chunk * j->per_chunk; o < end && o < j->outer; o++)
        j->out[o] = j->line(j->size, j->x + o * j->size * j->element, j->sign);
}

static void columns_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    double best[COLUMNS];
    int64_t end = (chunk + 1) * j->per_chunk;
    for (int64_t unit = chunk * j->per_chunk; unit < end && unit < j->outer * j->blocks; unit++) {
        int64_t o = unit / j->blocks, first = unit % j->blocks * COLUMNS;
        int64_t n = j->inner - first < COLUMNS ? j->inner - first : COLUMNS;
        j->columns(n, j->size, j->x + (o * j->size * j->inner + first) * j->element, j->inner, j->sign, best,
                   j->out + o * j->inner + first);
    }
}

// One long line: the winners of its pieces, gathered, are a line again, whose first winner is that of all.
static bool play_long_line(const reel_play *play, job *j)
{
    int64_t n = j->size, pieces = (n + CHUNK - 1) / CHUNK, tail = n - (pieces - 1) * CHUNK;
    int64_t *at = reel_scratch(play->exec, reel_bytes((size_t)pieces, sizeof *at));
    char *winners = reel_scratch(play->exec, reel_bytes((size_t)pieces, (size_t)j->element));
    if (!at || !winners) return reel_play_out_of_memory(play);
    job part = *j;
    part.out = at, part.size = CHUNK, part.outer = pieces - 1, part.per_chunk = 1;
    reel_parallel(play->exec, pieces - 1, lines_task, &part);
    at[pieces - 1] = j->line(tail, j->x + (pieces - 1) * CHUNK * j->element, j->sign);
    for (int64_t p = 0; p < pieces; p++)
        memcpy(winners + p * j->element, j->x + (p * CHUNK + at[p]) * j->element, (size_t)j->element);
    int64_t best = j->line(pieces, winners, j->sign);
    j->out[0] = best * CHUNK + at[best];
    return true;
}

static bool run(const reel_play *play, int sign)
{
    const reel_buffer *x = &play->in[0];
    const reel_reduce_kernels *kernels = reel_reduce_kernels_for(reel_large_isa(play->exec->isa, x->dtype));
    bool is_float = reel_dtype_is_float(x->dtype), wide = x->dtype == REEL_F64;
    uint32_t mask = reel_reduce_mask(play->attrs, x->ndim);
    const reel_reduce_attrs *attrs = play->attrs;
    job j = { .line = is_float ? kernels->arg_line[wide] : reel_loops.arg_line[x->dtype],
              .columns = is_float ? kernels->arg_columns[wide] : reel_loops.arg_columns[x->dtype],
              .sign = sign,
              .x = x->data,
              .out = play->out[0].data,
              .element = (int64_t)reel_dtype_size(x->dtype),
              .outer = 1,
              .size = 1,
              .inner = 1 };
    if (play->out[0].numel == 0) return true;
    if (attrs->dims.count == 0) {
        j.size = x->numel;
    } else {
        for (int d = 0, past = 0; d < x->ndim; d++) {
            if (mask >> d & 1)
                j.size = x->shape[d], past = 1;
            else if (past)
                j.inner *= x->shape[d];
            else
                j.outer *= x->shape[d];
        }
    }
    if (j.inner == 1 && j.outer == 1 && j.size > 2 * CHUNK) return play_long_line(play, &j);
    j.blocks = (j.inner + COLUMNS - 1) / COLUMNS;
    int64_t units = j.inner == 1 ? j.outer : j.outer * j.blocks;
    int64_t work = j.size * (j.inner < COLUMNS ? j.inner : COLUMNS);
    j.per_chunk = work < CHUNK ? CHUNK / work : 1;
    reel_parallel(play->exec, (units + j.per_chunk - 1) / j.per_chunk, j.inner == 1 ? lines_task : columns_task, &j);
    return true;
}

static bool play_argmax(const reel_play *play) { return run(play, 1); }
static bool play_argmin(const reel_play *play) { return run(play, -1); }

const reel_op reel_op_argmax = {
    .name = "argmax",
    .infer = infer_arg,
    .play = play_argmax,
    .attrs_size = sizeof(reel_reduce_attrs),
};

const reel_op reel_op_argmin = {
    .name = "argmin",
    .infer = infer_arg,
    .play = play_argmin,
    .attrs_size = sizeof(reel_reduce_attrs),
};

static reel_tensor *apply(const reel_op *op, reel_tensor *x, const reel_arg_opts *opts)
{
    return reel_reduce_apply(op, x, opts ? opts->dim : REEL_ALL_DIMS, opts && opts->keepdim, 0);
}

reel_tensor *reel_argmax(reel_tensor *x, const reel_arg_opts *opts) { return apply(&reel_op_argmax, x, opts); }
reel_tensor *reel_argmin(reel_tensor *x, const reel_arg_opts *opts) { return apply(&reel_op_argmin, x, opts); }

static bool call_arg(reel_call_args *args, reel_tensor *op(reel_tensor *, const reel_arg_opts *))
{
    reel_arg_opts opts = { .keepdim = reel_args_bool(args, "keepdim") };
    if (reel_args_has(args, "dim")) opts.dim = REEL_DIMS(reel_args_dim(args, "dim"));
    return reel_args_return(args, op(reel_args_input(args, 0), &opts));
}

static bool call_argmax(reel_call_args *args) { return call_arg(args, reel_argmax); }
static bool call_argmin(reel_call_args *args) { return call_arg(args, reel_argmin); }

const reel_function reel_fn_argmax = {
    .name = "argmax",
    .inputs = "input",
    .attrs = "dim:int=none keepdim:bool=false",
    .call = call_argmax,
    .formula = "index of the first largest x along dim (none: of the flattened tensor), int64",
    .shapes = "input: any -> without the axis dim, or with 1 in its place",
    .errors = "no elements to choose from; bools",
    .orders = 0,
};

const reel_function reel_fn_argmin = {
    .name = "argmin",
    .inputs = "input",
    .attrs = "dim:int=none keepdim:bool=false",
    .call = call_argmin,
    .formula = "index of the first smallest x along dim (none: of the flattened tensor), int64",
    .shapes = "input: any -> without the axis dim, or with 1 in its place",
    .errors = "no elements to choose from; bools",
    .orders = 0,
};
