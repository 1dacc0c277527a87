// SPDX-License-Identifier: MIT
// Data parallel training over MPI.
#include <limits.h>
#include <math.h>
#include <reel/optim/distributed.h>
#include <stdlib.h>
#include <string.h>

#define MOST_AT_ONCE ((int64_t)1 << 28) /* elements of one call: MPI counts by int */

struct reel_distributed {
    reel_ctx *ctx;
    MPI_Comm comm;
    int rank, size, count;
    reel_tensor **params;
    double *sums; /* the weight, then by parameter: processes that have a gradient */
    void *flat;   /* the gradients of one dtype                                    */
    bool has[2];  /* float32, float64 among the parameters                         */
    bool ours;    /* MPI was initialised here                                      */
    bool broken;  /* a process has left: no more calls                             */
};

static bool check(reel_distributed *d, int status)
{
    if (status == MPI_SUCCESS) return true;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(status, text, &length) != MPI_SUCCESS) length = 0;
    d->broken = true;
    return reel_fail(d->ctx, REEL_ERROR_IO, "distributed: MPI reports '%.*s' on rank %d", length, text, d->rank) !=
           NULL;
}

typedef enum state { FAILED, LEAVES, WELL } state;

/* Tells the others how this process is; whether all are well. */
static bool agree_on(reel_distributed *d, state mine)
{
    if (d->broken) return false;
    int word = mine == WELL ? INT_MAX : 2 * d->rank + (mine == LEAVES), least = INT_MAX;
    if (!check(d, MPI_Allreduce(&word, &least, 1, MPI_INT, MPI_MIN, d->comm))) return false;
    if (least == INT_MAX) return true;
    d->broken = true;
    bool failed = least % 2 == 0;
    if (mine == WELL || (mine == LEAVES && failed)) {
        reel_fail(d->ctx, REEL_ERROR_USER, "distributed: rank %d of %d %s", least / 2, d->size,
                  failed ? "is in error and has left; its own context says why" : "has left before the others");
    }
    return false;
}

static bool agree(reel_distributed *d, bool well) { return agree_on(d, well ? WELL : FAILED); }

static bool usable(reel_distributed *d)
{
    if (!d) return false;
    if (!d->broken) return true;
    reel_fail(d->ctx, REEL_ERROR_USER, "distributed: a process has left; make it anew");
    return false;
}

static MPI_Datatype type_of(reel_dtype dtype) { return dtype == REEL_F64 ? MPI_DOUBLE : MPI_FLOAT; }

/* FNV-1a (Fowler, Noll & Vo). */
static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
    for (const unsigned char *at = bytes, *end = at + n; at < end; at++) h = (h ^ *at) * 0x100000001B3u;
    return h;
}

#define HASH_START 0xCBF29CE484222325u

/* Whether `value` is the same everywhere. */
static bool alike(reel_distributed *d, uint64_t value, bool *same)
{
    uint64_t pair[2] = { value, ~value }, most[2];
    if (!check(d, MPI_Allreduce(pair, most, 2, MPI_UINT64_T, MPI_MAX, d->comm))) return false;
    *same = most[0] == ~most[1];
    return true;
}

static bool same_models(reel_distributed *d)
{
    uint64_t h = hash(HASH_START, &d->count, sizeof d->count);
    for (int i = 0; i < d->count; i++) {
        reel_shape shape = reel_shape_of(d->params[i]);
        int what[2] = { (int)reel_dtype_of(d->params[i]), shape.ndim };
        h = hash(hash(h, what, sizeof what), shape.dim, (size_t)shape.ndim * sizeof shape.dim[0]);
    }
    bool same;
    if (!alike(d, h, &same)) return false;
    if (same) return true;
    d->broken = true;
    return reel_fail(d->ctx, REEL_ERROR_SHAPE,
                     "distributed: the processes' models differ in the number, shapes or dtypes of their "
                     "parameters; rank %d has %d",
                     d->rank, d->count) != NULL;
}

bool reel_distributed_broadcast(reel_distributed *d, reel_params tensors)
{
    if (!usable(d)) return false;
    if (!tensors.at && tensors.count > 0)
        reel_fail(d->ctx, REEL_ERROR_CONTEXT, "distributed: the list of tensors is missing (NULL)");
    bool ok = !reel_ctx_error(d->ctx) && reel_eval_all(tensors.at, tensors.count);
    if (!agree(d, ok)) return false;
    for (int i = 0; i < tensors.count; i++) {
        reel_tensor *t = tensors.at[i];
        size_t size = reel_dtype_size(reel_dtype_of(t)), bytes = (size_t)reel_numel(t) * size;
        char *memory = malloc(bytes ? bytes : 1);
        if (!memory) reel_fail(d->ctx, REEL_ERROR_MEMORY, "distributed: there is no memory for %zu bytes", bytes);
        ok = memory && (d->rank != 0 || reel_copy_out(t, memory, bytes));
        ok = agree(d, ok);
        for (size_t at = 0; ok && at < bytes; at += (size_t)MOST_AT_ONCE) {
            size_t n = bytes - at < (size_t)MOST_AT_ONCE ? bytes - at : (size_t)MOST_AT_ONCE;
            ok = check(d, MPI_Bcast(memory + at, (int)n, MPI_BYTE, 0, d->comm));
        }
        if (ok && d->rank != 0) ok = reel_set_data(t, memory, bytes);
        free(memory);
        if (!ok) break;
    }
    return agree(d, ok);
}

/* Ends MPI when it was begun here. */
static void release(reel_distributed *d)
{
    if (d->comm != MPI_COMM_NULL) MPI_Comm_free(&d->comm);
    if (d->ours) MPI_Finalize();
    free(d->params);
    free(d->sums);
    free(d->flat);
    free(d);
}

static bool join(reel_distributed *d, MPI_Comm comm)
{
    int there = 0, gone = 0, level;
    if (!check(d, MPI_Initialized(&there)) || !check(d, MPI_Finalized(&gone))) return false;
    if (gone) {
        return reel_fail(d->ctx, REEL_ERROR_VALUE,
                         "distributed: MPI has been finalised; call MPI_Init and MPI_Finalize around "
                         "several uses") != NULL;
    }
    if (!there) {
        if (!check(d, MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level))) return false;
        d->ours = true;
    }
    return check(d, MPI_Comm_dup(comm == (MPI_Comm)0 ? MPI_COMM_WORLD : comm, &d->comm)) &&
           check(d, MPI_Comm_set_errhandler(d->comm, MPI_ERRORS_RETURN)) &&
           check(d, MPI_Comm_rank(d->comm, &d->rank)) && check(d, MPI_Comm_size(d->comm, &d->size));
}

/* Room for all gradients; false, with an error, when there is none or a parameter is none. */
static bool hold(reel_distributed *d, reel_params params)
{
    d->params = malloc((size_t)params.count * sizeof *d->params);
    d->sums = malloc(((size_t)params.count + 1) * sizeof *d->sums);
    size_t bytes[2] = { 0 };
    if (!d->params || !d->sums)
        return reel_fail(d->ctx, REEL_ERROR_MEMORY, "distributed: there is not enough memory") != NULL;
    for (int i = 0; i < params.count; i++) {
        reel_tensor *t = d->params[i] = params.at[i];
        if (!t || reel_ctx_of(t) != d->ctx || !reel_is_leaf(t) || !reel_dtype_is_float(reel_dtype_of(t))) {
            return reel_fail(d->ctx, REEL_ERROR_VALUE,
                             "distributed: parameter %d of %d is no leaf of float32 or float64 in the others' context",
                             i, params.count) != NULL;
        }
        bool wide = reel_dtype_of(t) == REEL_F64;
        bytes[wide] += (size_t)reel_numel(t) * reel_dtype_size(reel_dtype_of(t)); /* no more than the parameters take */
        d->has[wide] = true;
    }
    size_t most = bytes[bytes[1] > bytes[0]];
    d->flat = malloc(most ? most : 1);
    return d->flat || reel_fail(d->ctx, REEL_ERROR_MEMORY, "distributed: there is no memory for %zu bytes of gradients",
                                most) != NULL;
}

reel_distributed *reel_distributed_new(reel_params params, const reel_distributed_opts *opts)
{
    static const reel_distributed_opts defaults;
    if (!opts) opts = &defaults;
    reel_ctx *ctx = params.count > 0 && params.at && params.at[0] ? reel_ctx_of(params.at[0]) : NULL;
    if (!ctx) return NULL;
    reel_distributed *d = calloc(1, sizeof *d);
    if (!d) return reel_fail(ctx, REEL_ERROR_MEMORY, "distributed: there is not enough memory");
    *d = (reel_distributed) { .ctx = ctx, .comm = MPI_COMM_NULL, .count = params.count };
    bool ok = join(d, opts->comm);
    if (ok) ok = agree(d, !reel_ctx_error(ctx) && hold(d, params));
    if (ok && same_models(d) && reel_distributed_broadcast(d, (reel_params) { .at = d->params, .count = d->count }))
        return d;
    release(d);
    return NULL;
}

void reel_distributed_free(reel_distributed *d)
{
    if (!d) return;
    agree_on(d, reel_ctx_error(d->ctx) ? FAILED : LEAVES);
    release(d);
}

reel_ctx *reel_distributed_ctx(const reel_distributed *d) { return d ? d->ctx : NULL; }
int reel_distributed_rank(const reel_distributed *d) { return d ? d->rank : 0; }
int reel_distributed_size(const reel_distributed *d) { return d ? d->size : 1; }

static bool sum(reel_distributed *d, void *values, int64_t count, MPI_Datatype type, size_t size)
{
    for (int64_t at = 0; at < count; at += MOST_AT_ONCE) {
        int64_t n = count - at < MOST_AT_ONCE ? count - at : MOST_AT_ONCE;
        char *part = (char *)values + (size_t)at * size;
        if (!check(d, MPI_Allreduce(MPI_IN_PLACE, part, (int)n, type, MPI_SUM, d->comm))) return false;
    }
    return true;
}

static void scale(reel_dtype dtype, void *values, int64_t n, double by)
{
    float *x = values;
    double *y = values;
    for (int64_t i = 0; i < n && dtype == REEL_F32; i++) x[i] = (float)(x[i] * by);
    for (int64_t i = 0; i < n && dtype == REEL_F64; i++) y[i] *= by;
}

/* The gradients of one dtype one behind the other, each times `weight`; gives their number. */
static int64_t gather(reel_distributed *d, reel_dtype dtype, double weight, bool *ok)
{
    size_t size = reel_dtype_size(dtype);
    int64_t at = 0;
    for (int i = 0; i < d->count; i++) {
        if (reel_dtype_of(d->params[i]) != dtype || d->sums[1 + i] == 0) continue;
        int64_t n = reel_numel(d->params[i]);
        char *to = (char *)d->flat + (size_t)at * size;
        reel_tensor *grad = reel_grad_of(d->params[i]);
        if (!grad)
            memset(to, 0, (size_t)n * size);
        else
            *ok = *ok && reel_copy_out(grad, to, (size_t)n * size);
        at += n;
    }
    if (weight != 1) scale(dtype, d->flat, at, weight);
    return at;
}

static bool spread(reel_distributed *d, reel_dtype dtype)
{
    size_t size = reel_dtype_size(dtype);
    int64_t at = 0;
    for (int i = 0; i < d->count; i++) {
        if (reel_dtype_of(d->params[i]) != dtype || d->sums[1 + i] == 0) continue;
        reel_tensor *grad = reel_from(d->ctx, reel_shape_of(d->params[i]), dtype, (char *)d->flat + (size_t)at * size);
        if (!reel_set_grad(d->params[i], grad)) return false;
        reel_free(grad); /* the parameter holds it */
        at += reel_numel(d->params[i]);
    }
    return true;
}

static bool average(reel_distributed *d, reel_dtype dtype, double weight)
{
    if (!d->has[dtype == REEL_F64]) return true;
    bool ok = true;
    int64_t n = gather(d, dtype, weight, &ok);
    if (!agree(d, ok) || !sum(d, d->flat, n, type_of(dtype), reel_dtype_size(dtype))) return false;
    scale(dtype, d->flat, n, 1 / d->sums[0]);
    return agree(d, spread(d, dtype));
}

/* So that what has to be computed is computed in one play. */
static bool play_grads(reel_distributed *d)
{
    bool ok = true;
    reel_tensor **grads = malloc((size_t)d->count * sizeof *grads);
    if (!grads) return reel_fail(d->ctx, REEL_ERROR_MEMORY, "distributed: there is not enough memory") != NULL;
    int count = 0;
    for (int i = 0; i < d->count; i++) {
        reel_tensor *grad = reel_grad_of(d->params[i]);
        d->sums[1 + i] = grad != NULL;
        if (grad) grads[count++] = grad;
    }
    if (count) ok = reel_eval_all(grads, count);
    free(grads);
    return ok;
}

bool reel_distributed_average_grads(reel_distributed *d, double weight)
{
    if (!usable(d)) return false;
    bool ok = !reel_ctx_error(d->ctx);
    if (ok && !(weight >= 0 && isfinite(weight)))
        ok = reel_fail(d->ctx, REEL_ERROR_VALUE, "distributed: the weight of gradients is %g", weight) != NULL;
    if (ok) ok = play_grads(d);
    if (!agree(d, ok)) return false;
    d->sums[0] = weight == 0 ? 1 : weight;
    weight = d->sums[0];
    return sum(d, d->sums, d->count + 1, MPI_DOUBLE, sizeof(double)) && average(d, REEL_F32, weight) &&
           average(d, REEL_F64, weight);
}

bool reel_distributed_mean(reel_distributed *d, double *values, int count)
{
    if (!usable(d)) return false;
    if (!values && count > 0) reel_fail(d->ctx, REEL_ERROR_CONTEXT, "distributed: the list of numbers is missing (NULL)");
    if (!agree(d, !reel_ctx_error(d->ctx)) || !sum(d, values, count, MPI_DOUBLE, sizeof *values))
        return false;
    for (int i = 0; i < count; i++) values[i] /= d->size;
    return true;
}

bool reel_distributed_same(reel_distributed *d)
{
    if (!usable(d) || !agree(d, !reel_ctx_error(d->ctx) && reel_eval_all(d->params, d->count))) return false;
    for (int i = 0; i < d->count; i++) {
        reel_tensor *t = d->params[i];
        const void *data = reel_data(t);
        if (!agree(d, data != NULL)) return false;
        bool same;
        if (!alike(d, hash(HASH_START, data, (size_t)reel_numel(t) * reel_dtype_size(reel_dtype_of(t))), &same))
            return false;
        if (!same)
            return reel_fail(d->ctx, REEL_ERROR_VALUE, "distributed: parameter %d has other values on another process",
                             i) != NULL;
    }
    return true;
}
