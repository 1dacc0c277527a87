// SPDX-License-Identifier: MIT
// sort, argsort and topk: stable, by radix, on keys whose order as unsigned integers is that of the values.
#include <reel/core/op.h>
#include <reel/ops/axes.h>
#include <reel/ops/index.h>
#include <reel/ops/reduce_op.h>
#include <reel/ops/sort.h>
#include <string.h>

enum { CHUNK = 1 << 12, INSERTION = 32, BLOCK = 128 };

typedef struct attrs {
    int64_t k; /* topk only */
    int dim;   /* as given  */
    bool descending;
} attrs;

static bool infer_sort(reel_infer *infer)
{
    uint32_t mask;
    const attrs *a = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[0]);
    infer->n_out = 2;
    return reel_infer_dims(infer, REEL_DIMS(a->dim), &mask) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape) && reel_infer_out(infer, 1, REEL_I64, shape);
}

static bool infer_topk(reel_infer *infer)
{
    uint32_t mask;
    const attrs *a = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[0]);
    infer->n_out = 2;
    if (!reel_infer_dims(infer, REEL_DIMS(a->dim), &mask)) return false;
    int dim = a->dim < 0 ? a->dim + shape.ndim : a->dim;
    int64_t size = shape.ndim ? shape.dim[dim] : 1;
    if (a->k < 0 || a->k > size)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "k is %lld, but axis %d has %lld elements", (long long)a->k,
                               a->dim, (long long)size);
    if (shape.ndim) shape.dim[dim] = a->k;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), shape) && reel_infer_out(infer, 1, REEL_I64, shape);
}

// ---- keys ----

typedef struct item {
    uint64_t key;
    int64_t index;
} item;

static uint64_t key_f32(float x)
{
    uint32_t bits;
    x += 0; // of both zeros the positive one
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return UINT32_MAX;
    return bits ^ (-(bits >> 31) | 1u << 31); // signs come in no order that a branch could foresee
}

static uint64_t key_f64(double x)
{
    uint64_t bits;
    x += 0;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return UINT64_MAX;
    return bits ^ (-(bits >> 63) | 1ull << 63);
}

// Items of elements [first, first + n) of a line, `stride` apart; descending keys are complements, so that equal ones keep
// their order.
static void load(item *items, const void *x, reel_dtype dtype, int64_t first, int64_t n, int64_t stride, bool descending)
{
    uint64_t flip = descending ? UINT64_MAX : 0;
#define LOAD(T, key_of)                                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        T v = ((const T *)x)[(first + i) * stride];                                                                    \
        items[i] = (item) { (key_of) ^ flip, first + i };                                                              \
    }                                                                                                                  \
    break;
    switch (dtype) {
    case REEL_F32: LOAD(float, key_f32(v))
    case REEL_F64: LOAD(double, key_f64(v))
    case REEL_I64: LOAD(int64_t, (uint64_t)v ^ 1ull << 63)
    case REEL_I32: LOAD(int32_t, (uint64_t)((uint32_t)v ^ 1u << 31))
    default: LOAD(uint8_t, (uint64_t)v)
    }
#undef LOAD
}

static void insertion_sort(item *items, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        item moving = items[i];
        int64_t at = i;
        for (; at > 0 && items[at - 1].key > moving.key; at--) items[at] = items[at - 1];
        items[at] = moving;
    }
}

// Least digit first, a byte a pass; a byte that all keys share is passed over. Returns where the sorted items are.
static item *radix_sort(item *items, item *spare, int64_t n)
{
    int64_t count[8][256];
    uint64_t differ = 0;
    int bytes = 0;
    for (int64_t i = 0; i < n; i++) differ |= items[i].key ^ items[0].key;
    while (bytes < 8 && differ >> 8 * bytes) bytes++;
    memset(count, 0, sizeof count);
    for (int64_t i = 0; i < n; i++)
        for (int b = 0; b < bytes; b++) count[b][items[i].key >> 8 * b & 255]++;
    for (int b = 0; b < bytes; b++) {
        if (!(differ >> 8 * b & 255)) continue;
        int64_t start = 0;
        for (int v = 0; v < 256; v++) {
            int64_t here = count[b][v];
            count[b][v] = start;
            start += here;
        }
        for (int64_t i = 0; i < n; i++) spare[count[b][items[i].key >> 8 * b & 255]++] = items[i];
        item *sorted = spare;
        spare = items;
        items = sorted;
    }
    return items;
}

// ---- play ----

typedef struct job {
    const char *x;
    char *values;
    int64_t *indices;
    item *items; /* two lines a worker */
    int64_t outer, size, inner, kept, per_chunk;
    reel_dtype dtype;
    bool descending;
} job;

// The `kept` least elements of a line in front of items, in order; of equal ones the earlier.
static void insert_least(const job *j, const void *x, item *items)
{
    int64_t kept = j->kept;
    item block[BLOCK];
    load(items, x, j->dtype, 0, kept, j->inner, j->descending);
    insertion_sort(items, kept);
    for (int64_t first = kept, n; first < j->size; first += n) {
        n = j->size - first < BLOCK ? j->size - first : BLOCK;
        load(block, x, j->dtype, first, n, j->inner, j->descending);
        for (int64_t i = 0; i < n; i++) {
            if (block[i].key >= items[kept - 1].key) continue;
            int64_t at = kept - 1;
            for (; at > 0 && items[at - 1].key > block[i].key; at--) items[at] = items[at - 1];
            items[at] = block[i];
        }
    }
}

// The same for many: elements less than the last of the kept ones gather behind them, and are sorted in when they are as
// many.
static void gather_least(const job *j, const void *x, item *items, item *spare)
{
    int64_t kept = j->kept, held = kept;
    bool any = true; // all count until the first are sorted
    item block[BLOCK];
    load(items, x, j->dtype, 0, kept, j->inner, j->descending);
    for (int64_t first = kept, n; first < j->size; first += n) {
        n = j->size - first < BLOCK ? j->size - first : BLOCK;
        load(block, x, j->dtype, first, n, j->inner, j->descending);
        for (int64_t i = 0; i <= n; i++) {
            if (held == 2 * kept || (i == n && first + n == j->size)) {
                item *sorted = radix_sort(items, spare, held);
                if (sorted != items) memcpy(items, sorted, (size_t)kept * sizeof *items);
                held = kept, any = false;
            }
            if (i < n && (any || block[i].key < items[kept - 1].key)) items[held++] = block[i];
        }
    }
}

static void sort_line(const job *j, int64_t line, item *items)
{
    int64_t element = (int64_t)reel_dtype_size(j->dtype), o = line / j->inner, i = line % j->inner;
    const char *x = j->x + (o * j->size * j->inner + i) * element;
    char *values = j->values + (o * j->kept * j->inner + i) * element;
    int64_t *indices = j->indices + o * j->kept * j->inner + i;
    if (j->size <= INSERTION || j->kept <= INSERTION) {
        insert_least(j, x, items);
    } else if (j->kept <= j->size / 16) {
        gather_least(j, x, items, items + j->size);
    } else {
        load(items, x, j->dtype, 0, j->size, j->inner, j->descending);
        items = radix_sort(items, items + j->size, j->size);
    }
    for (int64_t k = 0; k < j->kept; k++) {
        indices[k * j->inner] = items[k].index;
        memcpy(values + k * j->inner * element, x + items[k].index * j->inner * element, (size_t)element);
    }
}

static void task(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    int64_t end = (chunk + 1) * j->per_chunk;
    for (int64_t line = chunk * j->per_chunk; line < end && line < j->outer * j->inner; line++)
        sort_line(j, line, j->items + 2 * j->size * worker);
}

static bool play_sort(const reel_play *play)
{
    const reel_buffer *x = &play->in[0];
    const attrs *a = play->attrs;
    int dim = a->dim < 0 ? a->dim + x->ndim : a->dim;
    if (play->out[0].numel == 0) return true;
    job j = { .x = x->data,
              .values = play->out[0].data,
              .indices = play->out[1].data,
              .kept = x->ndim ? play->out[0].shape[dim] : 1,
              .dtype = x->dtype,
              .descending = a->descending };
    reel_split_axes(x, dim, &j.outer, &j.size, &j.inner);
    int threads = play->exec->threads > 1 ? play->exec->threads : 1;
    j.items = reel_scratch(play->exec, reel_bytes(reel_bytes((size_t)j.size, 2 * sizeof(item)), (size_t)threads));
    if (!j.items) return reel_play_out_of_memory(play);
    j.per_chunk = j.size < CHUNK ? CHUNK / j.size : 1;
    reel_parallel(play->exec, (j.outer * j.inner + j.per_chunk - 1) / j.per_chunk, task, &j);
    return true;
}

// ---- rule, descriptors, public functions ----

static bool vjp_sort(reel_vjp *vjp)
{
    const attrs *a = vjp->attrs;
    if (!vjp->cot[0]) return true;
    reel_tensor *zeros = reel_zeros(vjp->ctx, reel_vjp_input_shape(vjp, 0), reel_vjp_input_dtype(vjp, 0));
    vjp->grad[0] = reel_scatter_add(zeros, reel_vjp_output(vjp, 1), vjp->cot[0], a->dim);
    return vjp->grad[0];
}

const reel_op reel_op_sort = {
    .name = "sort",
    .infer = infer_sort,
    .play = play_sort,
    .vjp = vjp_sort,
    .attrs_size = sizeof(attrs),
};

/* The same under the name that its errors give. */
static const reel_op reel_op_argsort = {
    .name = "argsort",
    .infer = infer_sort,
    .play = play_sort,
    .vjp = vjp_sort,
    .attrs_size = sizeof(attrs),
};

const reel_op reel_op_topk = {
    .name = "topk",
    .infer = infer_topk,
    .play = play_sort,
    .vjp = vjp_sort,
    .attrs_size = sizeof(attrs),
};

static reel_tensor *apply(const reel_op *op, reel_tensor *x, int64_t k, int dim, bool descending, reel_tensor **indices)
{
    attrs a;
    memset(&a, 0, sizeof a);
    a.k = k, a.dim = dim, a.descending = descending;
    reel_tensor *out[2] = { NULL, NULL };
    reel_tensor *values = x ? reel_apply(op, &x, 1, &a, out) : NULL;
    if (indices)
        *indices = values ? out[1] : NULL;
    else if (values)
        reel_free(out[1]);
    return values;
}

reel_tensor *reel_sort(reel_tensor *x, int dim, bool descending, reel_tensor **indices)
{
    return apply(&reel_op_sort, x, 0, dim, descending, indices);
}

reel_tensor *reel_argsort(reel_tensor *x, int dim, bool descending)
{
    reel_tensor *indices = NULL;
    reel_free(apply(&reel_op_argsort, x, 0, dim, descending, &indices));
    return indices;
}

reel_tensor *reel_topk(reel_tensor *x, int64_t k, int dim, bool smallest, reel_tensor **indices)
{
    return apply(&reel_op_topk, x, k, dim, !smallest, indices);
}

// ---- the table's rows ----

static bool call_sort(reel_call_args *args)
{
    reel_tensor *indices = NULL;
    reel_tensor *values =
        reel_sort(reel_args_input(args, 0), reel_args_dim(args, "dim"), reel_args_bool(args, "descending"), &indices);
    return reel_args_return(args, values) && reel_args_return(args, indices);
}

static bool call_argsort(reel_call_args *args)
{
    return reel_args_return(
        args, reel_argsort(reel_args_input(args, 0), reel_args_dim(args, "dim"), reel_args_bool(args, "descending")));
}

static bool call_topk(reel_call_args *args)
{
    reel_tensor *indices = NULL;
    reel_tensor *values = reel_topk(reel_args_input(args, 0), reel_args_int(args, "k"), reel_args_dim(args, "dim"),
                                    !reel_args_bool(args, "largest"), &indices);
    return reel_args_return(args, values) && reel_args_return(args, indices);
}

const reel_function reel_fn_sort = {
    .name = "sort",
    .inputs = "input",
    .attrs = "dim:int=-1 descending:bool=false stable:bool=true",
    .call = call_sort,
    .formula = "x in order along dim, always stable, NaN the largest",
    .shapes = "input: any -> values, and indices (int64), both the same",
    .errors = "none of its own",
    .orders = -1,
};

const reel_function reel_fn_argsort = {
    .name = "argsort",
    .inputs = "input",
    .attrs = "dim:int=-1 descending:bool=false stable:bool=true",
    .call = call_argsort,
    .formula = "the indices of sort",
    .shapes = "input: any -> the same, int64",
    .errors = "none of its own",
    .orders = 0,
};

const reel_function reel_fn_topk = {
    .name = "topk",
    .inputs = "input",
    .attrs = "k:int dim:int=-1 largest:bool=true sorted:bool=true",
    .call = call_topk,
    .formula = "the k largest (smallest) along dim, in order",
    .shapes = "input: [..., n, ...] -> values, and indices (int64): [..., k, ...]",
    .errors = "k outside of [0, size]",
    .orders = -1,
};
