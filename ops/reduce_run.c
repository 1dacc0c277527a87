// SPDX-License-Identifier: MIT
// Reductions over any axes: brings the axes into lines or columns, cuts the work by shape alone, joins the pieces in
// order.
#include <math.h>
#include <reel/ops/reduce_run.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 1 << 15,        // elements of a chunk of work
    PIECE = 1 << 16,        // elements after which one result's work is cut in pieces
    COLUMN_BLOCK = 1 << 10, // columns gathered at once
    NARROW = 64,            // fewer columns than this are taken several rows at a time
    WIDE = 256,             // up to this many
    GATHER = 512            // elements of a strided line copied at once
};

bool reel_dims_mask(reel_dims dims, int ndim, uint32_t *mask, int *bad)
{
    int axes = ndim > 0 ? ndim : 1;
    *mask = 0;
    if (dims.count <= 0) {
        *mask = (1u << ndim) - 1;
        return true;
    }
    for (int i = 0; i < dims.count && i < REEL_MAX_DIMS; i++) {
        int d = dims.dim[i] < 0 ? dims.dim[i] + axes : dims.dim[i];
        *bad = dims.dim[i];
        if (d < 0 || d >= axes || (*mask >> d & 1)) return false;
        *mask |= 1u << d;
    }
    if (ndim == 0) *mask = 0;
    return true;
}

bool reel_infer_dims(const reel_infer *infer, reel_dims dims, uint32_t *mask)
{
    int bad = 0, ndim = reel_ndim(infer->in[0]);
    if (dims.count > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "%d axes are named, but a tensor has at most %d", dims.count,
                               REEL_MAX_DIMS);
    if (reel_dims_mask(dims, ndim, mask, &bad)) return true;
    int axes = ndim > 0 ? ndim : 1;
    if (bad < -axes || bad >= axes)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "dim %d is out of range for a tensor of %d axes", bad, ndim);
    return reel_infer_fail(infer, REEL_ERROR_VALUE, "dim %d is named twice", bad);
}

reel_shape reel_reduced_shape(reel_shape shape, uint32_t mask, bool keepdim)
{
    reel_shape out = { 0 };
    for (int d = 0; d < shape.ndim; d++) {
        if (!(mask >> d & 1))
            out.dim[out.ndim++] = shape.dim[d];
        else if (keepdim)
            out.dim[out.ndim++] = 1;
    }
    return out;
}

// Some of the axes, adjacent ones merged where one stride serves both; `to` is the stride in the output.
typedef struct axes {
    int count;
    int64_t size[REEL_MAX_DIMS], stride[REEL_MAX_DIMS], to[REEL_MAX_DIMS];
    int64_t numel;
} axes;

typedef struct job {
    const reel_reduce_kernels *kernels;
    reel_dtype dtype, out_dtype;
    size_t element;
    const char *x;
    axes kept, reduced;         // without the innermost axes below
    int64_t columns, column_to; // innermost kept axis of stride 1, or 1
    int64_t line, line_stride;  // innermost reduced axis
    int64_t repeat;             // how often broadcasting repeats every element
    double count;               // elements of a result
    const reel_reduce_how *how;
    char *aux; // one number of x's dtype per result, in the output's order; NULL with one pass
    void *out;
    // The cut: results (or column blocks) by pieces of the reduced axes.
    int64_t outer, outer_per_chunk, blocks, pieces, per_piece;
    bool by_columns;
    reel_acc *partial; // [pieces][results] when pieces > 1
    int64_t results;
    bool second; // the pass being run, when the work is cut in pieces
} job;

static void axes_add(axes *a, int64_t size, int64_t stride, int64_t to)
{
    a->numel *= size;
    if (size == 1) return;
    int last = a->count - 1;
    if (last >= 0 && a->stride[last] == stride * size && a->to[last] == to * size) {
        a->size[last] *= size, a->stride[last] = stride, a->to[last] = to;
        return;
    }
    a->size[a->count] = size, a->stride[a->count] = stride, a->to[a->count++] = to;
}

// Takes axis `i` out of the list.
static void axes_take(axes *a, int i)
{
    a->numel /= a->size[i];
    a->count--;
    for (; i < a->count; i++) a->size[i] = a->size[i + 1], a->stride[i] = a->stride[i + 1], a->to[i] = a->to[i + 1];
}

// Offset of the index-th element in row-major order.
static int64_t axes_offset(const axes *a, int64_t index, int64_t *to)
{
    int64_t offset = 0;
    *to = 0;
    for (int d = a->count - 1; d >= 0; d--) {
        int64_t i = index % a->size[d];
        index /= a->size[d];
        offset += i * a->stride[d], *to += i * a->to[d];
    }
    return offset;
}

static bool gathers_integers(const job *j, reel_reduce_kind kind)
{
    return kind == REEL_REDUCE_COUNT || !reel_dtype_is_float(j->dtype);
}

// How two gathered numbers of the kind are joined: as a sum, a product or an extreme.
static reel_reduce_kind joins_as(reel_reduce_kind kind)
{
    switch (kind) {
    case REEL_REDUCE_PROD:
    case REEL_REDUCE_MAX:
    case REEL_REDUCE_MIN: return kind;
    case REEL_REDUCE_MAXABS: return REEL_REDUCE_MAX;
    case REEL_REDUCE_MINABS: return REEL_REDUCE_MIN;
    default: return REEL_REDUCE_SUM;
    }
}

static reel_acc identity(const job *j, reel_reduce_kind kind)
{
    bool integer = gathers_integers(j, kind);
    switch (joins_as(kind)) {
    case REEL_REDUCE_PROD: return integer ? (reel_acc) { .i = 1 } : (reel_acc) { .f = 1 };
    case REEL_REDUCE_MAX: return integer ? (reel_acc) { .i = INT64_MIN } : (reel_acc) { .f = -INFINITY };
    case REEL_REDUCE_MIN: return integer ? (reel_acc) { .i = INT64_MAX } : (reel_acc) { .f = INFINITY };
    default: return (reel_acc) { .i = 0 };
    }
}

static reel_acc join(const job *j, reel_reduce_kind kind, reel_acc a, reel_acc b)
{
    if (gathers_integers(j, kind)) {
        switch (joins_as(kind)) {
        case REEL_REDUCE_PROD: return (reel_acc) { .i = (int64_t)((uint64_t)a.i * (uint64_t)b.i) };
        case REEL_REDUCE_MAX: return a.i > b.i ? a : b;
        case REEL_REDUCE_MIN: return a.i < b.i ? a : b;
        default: return (reel_acc) { .i = (int64_t)((uint64_t)a.i + (uint64_t)b.i) };
        }
    }
    switch (joins_as(kind)) {
    case REEL_REDUCE_PROD: return (reel_acc) { .f = a.f * b.f };
    case REEL_REDUCE_MAX: return a.f > b.f || a.f != a.f ? a : b;
    case REEL_REDUCE_MIN: return a.f < b.f || a.f != a.f ? a : b;
    default: return (reel_acc) { .f = a.f + b.f };
    }
}

static void fill(const job *j, reel_reduce_kind kind, reel_acc *acc, int64_t n)
{
    reel_acc zero = identity(j, kind);
    for (int64_t i = 0; i < n; i++) acc[i] = zero;
}

static double aux_at(const job *j, int64_t i)
{
    return j->dtype == REEL_F32 ? ((const float *)j->aux)[i] : ((const double *)j->aux)[i];
}

static double finished(const job *j, reel_finish finish, double g, int64_t at)
{
    double n = j->count, p = j->how->param;
    switch (finish) {
    case REEL_FINISH_MEAN: return g / n;
    case REEL_FINISH_SHIFT: return isinf(g) ? 0 : g;
    case REEL_FINISH_LOG: return log(g) + aux_at(j, at);
    case REEL_FINISH_VAR: return g / (n > p ? n - p : 0);
    case REEL_FINISH_STD: return sqrt(g / (n > p ? n - p : 0));
    case REEL_FINISH_ROOT: return sqrt(g);
    case REEL_FINISH_POW_ROOT: return pow(g, 1 / p);
    default: return g;
    }
}

static void put_float(void *to, reel_dtype dtype, int64_t at, double value)
{
    if (dtype == REEL_F32)
        ((float *)to)[at] = (float)value;
    else
        ((double *)to)[at] = value;
}

static void put_integer(void *to, reel_dtype dtype, int64_t at, int64_t value)
{
    switch (dtype) {
    case REEL_I64: ((int64_t *)to)[at] = value; break;
    case REEL_I32: ((int32_t *)to)[at] = (int32_t)value; break;
    case REEL_F32: ((float *)to)[at] = (float)value; break;
    case REEL_F64: ((double *)to)[at] = (double)value; break;
    default: ((uint8_t *)to)[at] = (uint8_t)value;
    }
}

// acc[i] becomes the result (or aux) at `at` + i * stride.
static void finish(const job *j, bool second, const reel_acc *acc, int64_t n, int64_t at, int64_t stride)
{
    bool to_aux = j->how->two_passes && !second;
    reel_reduce_kind kind = to_aux ? j->how->first_kind : j->how->kind;
    reel_finish how = to_aux ? j->how->first_finish : j->how->finish;
    void *to = to_aux ? (void *)j->aux : j->out;
    reel_dtype dtype = to_aux ? j->dtype : j->out_dtype;
    bool repeats = j->repeat > 1 && joins_as(kind) == REEL_REDUCE_SUM;
    if (!gathers_integers(j, kind)) {
        double times = repeats ? (double)j->repeat : 1;
        if (how == REEL_FINISH_VALUE && dtype == REEL_F32) {
            for (int64_t i = 0; i < n; i++) ((float *)to)[at + i * stride] = (float)(acc[i].f * times);
        } else {
            for (int64_t i = 0; i < n; i++)
                put_float(to, dtype, at + i * stride, finished(j, how, acc[i].f * times, at + i * stride));
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t value = acc[i].i;
        if (repeats) value = (int64_t)((uint64_t)value * (uint64_t)j->repeat);
        if (how == REEL_FINISH_ANY) value = value != 0;
        if (how == REEL_FINISH_ALL) value = (double)value == j->count;
        put_integer(to, dtype, at + i * stride, value);
    }
}

static reel_reduce_kind kind_of(const job *j, bool second)
{
    return j->how->two_passes && !second ? j->how->first_kind : j->how->kind;
}

static const void *aux_for(const job *j, bool second, int64_t at)
{
    return j->how->two_passes && second ? j->aux + at * (int64_t)j->element : NULL;
}

static void copy_strided(void *to, const char *from, int64_t n, int64_t stride, size_t element)
{
    switch (element) {
    case 4:
        for (int64_t i = 0; i < n; i++) ((uint32_t *)to)[i] = *(const uint32_t *)(from + i * stride * 4);
        break;
    case 8:
        for (int64_t i = 0; i < n; i++) ((uint64_t *)to)[i] = *(const uint64_t *)(from + i * stride * 8);
        break;
    default:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)to)[i] = *(const uint8_t *)(from + i * stride);
    }
}

// Gathers elements [from, to) of the reduced axes (lines of j->line, the last axis) of the result at x into acc.
static void gather_result(const job *j, bool second, const char *x, const void *aux, int64_t from, int64_t to,
                          reel_acc *acc)
{
    reel_reduce_kind kind = kind_of(j, second);
    reel_reduce_lines_fn *lines = j->kernels->lines[kind][j->dtype];
    int64_t element = (int64_t)j->element, ignored;
    uint64_t copy[GATHER];
    while (from < to) {
        int64_t start = from % j->line, n = j->line - start;
        if (n > to - from) n = to - from;
        const char *line = x + (axes_offset(&j->reduced, from / j->line, &ignored) + start * j->line_stride) * element;
        from += n;
        if (j->line_stride == 1) {
            lines(1, n, line, 0, aux, j->how->param, acc);
            continue;
        }
        for (int64_t part; n > 0; n -= part, line += part * j->line_stride * element) {
            part = n < GATHER ? n : GATHER;
            copy_strided(copy, line, part, j->line_stride, j->element);
            lines(1, part, copy, 0, aux, j->how->param, acc);
        }
    }
}

// Results [from, to) by lines, one pass, all of the reduced axes.
static void lines_pass(const job *j, bool second, int64_t from, int64_t to)
{
    enum { BATCH = 64 };
    reel_acc acc[BATCH];
    reel_reduce_kind kind = kind_of(j, second);
    int64_t element = (int64_t)j->element;
    int last = j->kept.count - 1;
    bool simple = j->line_stride == 1 && j->reduced.numel == 1;
    while (from < to) {
        // A run of results along the last kept axis: one stride from line to line.
        int64_t at, run = last < 0 ? 1 : j->kept.size[last] - from % j->kept.size[last];
        if (run > BATCH) run = BATCH;
        if (run > to - from) run = to - from;
        int64_t step = last < 0 ? 0 : j->kept.stride[last], step_to = last < 0 ? 1 : j->kept.to[last];
        const char *x = j->x + axes_offset(&j->kept, from, &at) * element;
        fill(j, kind, acc, run);
        if (simple && (step_to == 1 || !aux_for(j, second, 0))) {
            j->kernels->lines[kind][j->dtype](run, j->line, x, step, aux_for(j, second, at), j->how->param, acc);
        } else {
            for (int64_t i = 0; i < run; i++)
                gather_result(j, second, x + i * step * element, aux_for(j, second, at + i * step_to), 0,
                              j->line * j->reduced.numel, acc + i);
        }
        finish(j, second, acc, run, at, step_to);
        from += run;
    }
}

// Rows [from, to) of the reduced axes for columns [0, n) at x into acc. Narrow rows that lie one behind the other are
// taken several at a time, as one wide row whose parts are joined at the end.
static void gather_columns(const job *j, bool second, const char *x, int64_t n, const void *aux, int64_t from,
                           int64_t to, reel_acc *acc)
{
    reel_reduce_kind kind = kind_of(j, second);
    reel_reduce_columns_fn *columns = j->kernels->columns[kind][j->dtype];
    int64_t element = (int64_t)j->element, ignored;
    while (from < to) {
        int64_t start = from % j->line, rows = j->line - start;
        if (rows > to - from) rows = to - from;
        const char *row = x + (axes_offset(&j->reduced, from / j->line, &ignored) + start * j->line_stride) * element;
        from += rows;
        int64_t fold = n < NARROW && j->line_stride == n ? WIDE / n : 1;
        if (fold > rows) fold = rows;
        if (fold > 1) {
            reel_acc wide[WIDE];
            uint64_t wide_aux[WIDE];
            fill(j, kind, wide, fold * n);
            for (int64_t k = 0; aux && k < fold; k++)
                memcpy((char *)wide_aux + k * n * element, aux, (size_t)(n * element));
            columns(fold * n, rows / fold, row, fold * n, aux ? wide_aux : NULL, j->how->param, wide);
            for (int64_t k = 0; k < fold; k++)
                for (int64_t i = 0; i < n; i++) acc[i] = join(j, kind, acc[i], wide[k * n + i]);
            row += rows / fold * fold * n * element;
            rows %= fold;
        }
        if (rows > 0) columns(n, rows, row, j->line_stride, aux, j->how->param, acc);
    }
}

// Copies aux of n columns when the output does not hold them one behind the other.
static const void *column_aux(const job *j, bool second, int64_t at, int64_t n, void *copy)
{
    const char *aux = aux_for(j, second, at);
    if (!aux || j->column_to == 1) return aux;
    copy_strided(copy, aux, n, j->column_to, j->element);
    return copy;
}

static void columns_task_pass(const job *j, bool second, int64_t unit, int64_t piece, reel_acc *acc)
{
    int64_t block = unit % j->blocks, first = block * COLUMN_BLOCK, at;
    int64_t n = j->columns - first < COLUMN_BLOCK ? j->columns - first : COLUMN_BLOCK;
    const char *x = j->x + (axes_offset(&j->kept, unit / j->blocks, &at) + first) * (int64_t)j->element;
    at += first * j->column_to;
    int64_t rows = j->line * j->reduced.numel, from = piece * j->per_piece, to = from + j->per_piece;
    if (to > rows) to = rows;
    uint64_t copy[COLUMN_BLOCK];
    fill(j, kind_of(j, second), acc, n);
    gather_columns(j, second, x, n, column_aux(j, second, at, n, copy), from, to, acc);
    if (j->pieces == 1) finish(j, second, acc, n, at, j->column_to);
}

static void task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    if (j->pieces > 1) {
        int64_t unit = chunk / j->pieces, piece = chunk % j->pieces;
        reel_acc *acc = j->partial + piece * j->results;
        if (j->by_columns) {
            acc += unit / j->blocks * j->columns + unit % j->blocks * COLUMN_BLOCK;
            columns_task_pass(j, j->second, unit, piece, acc);
            return;
        }
        int64_t total = j->line * j->reduced.numel, from = piece * j->per_piece, at, to = from + j->per_piece;
        const char *x = j->x + axes_offset(&j->kept, unit, &at) * (int64_t)j->element;
        fill(j, kind_of(j, j->second), acc + unit, 1);
        gather_result(j, j->second, x, aux_for(j, j->second, at), from, to < total ? to : total, acc + unit);
        return;
    }
    int64_t from = chunk * j->outer_per_chunk, to = from + j->outer_per_chunk;
    if (to > j->outer) to = j->outer;
    if (j->by_columns) {
        reel_acc acc[COLUMN_BLOCK];
        for (int64_t unit = from; unit < to; unit++) {
            if (j->how->two_passes) columns_task_pass(j, false, unit, 0, acc);
            columns_task_pass(j, true, unit, 0, acc);
        }
        return;
    }
    if (j->how->two_passes) lines_pass(j, false, from, to);
    lines_pass(j, true, from, to);
}

// Joins the pieces as a tree and finishes them.
static void join_pieces(const job *j)
{
    reel_reduce_kind kind = kind_of(j, j->second);
    for (int64_t width = 1; width < j->pieces; width *= 2)
        for (int64_t p = 0; p + width < j->pieces; p += 2 * width) {
            reel_acc *a = j->partial + p * j->results, *b = a + width * j->results;
            for (int64_t i = 0; i < j->results; i++) a[i] = join(j, kind, a[i], b[i]);
        }
    int64_t at;
    for (int64_t i = 0; i < j->results; i += j->columns) {
        axes_offset(&j->kept, i / j->columns, &at);
        finish(j, j->second, j->partial + i, j->columns, at, j->column_to);
    }
}

static bool run_cut(const reel_exec *exec, job *j)
{
    int64_t total = j->line * j->reduced.numel, units = j->outer;
    j->pieces = 1, j->per_piece = total;
    int64_t width = j->by_columns ? (j->columns < COLUMN_BLOCK ? j->columns : COLUMN_BLOCK) : 1;
    // Cut one result's work when it is long, or when there are too few results to keep threads busy.
    if (total * width > 2 * PIECE && (units < 16 || total > 4 * PIECE)) {
        j->per_piece = PIECE / width > 64 ? PIECE / width : 64;
        j->pieces = (total + j->per_piece - 1) / j->per_piece;
    }
    if (j->pieces > 1) {
        j->partial =
            reel_scratch(exec, reel_bytes(reel_bytes((size_t)j->results, (size_t)j->pieces), sizeof *j->partial));
        if (!j->partial) return false;
        for (int pass = j->how->two_passes ? 0 : 1; pass < 2; pass++) {
            j->second = pass;
            reel_parallel(exec, units * j->pieces, task, j);
            join_pieces(j);
        }
        return true;
    }
    int64_t per_unit = total * width > 0 ? total * width : 1;
    j->outer_per_chunk = CHUNK / per_unit > 1 ? CHUNK / per_unit : 1;
    reel_parallel(exec, (units + j->outer_per_chunk - 1) / j->outer_per_chunk, task, j);
    return true;
}

// Every result of no elements at all.
static void finish_nothing(const job *j)
{
    for (int64_t i = 0; i < j->results; i++) {
        for (int pass = j->how->two_passes ? 0 : 1; pass < 2; pass++) {
            reel_acc nothing = identity(j, kind_of(j, pass));
            finish(j, pass, &nothing, 1, i, 1);
        }
    }
}

// Chooses the innermost axes: columns where a kept axis has stride 1, else lines.
static void choose_axes(job *j)
{
    j->columns = j->column_to = 1, j->line = 1, j->line_stride = 1;
    int last = j->reduced.count - 1;
    if (last >= 0) {
        j->line = j->reduced.size[last], j->line_stride = j->reduced.stride[last];
        axes_take(&j->reduced, last);
    }
    if (last >= 0 && j->line_stride == 1) return;
    for (int d = j->kept.count - 1; d >= 0; d--) {
        if (j->kept.stride[d] != 1) continue;
        j->by_columns = true;
        j->columns = j->kept.size[d], j->column_to = j->kept.to[d];
        axes_take(&j->kept, d);
        return;
    }
}

// Reduced axes in order of falling stride, so that memory is walked once; broadcast ones only count.
static void order_reduced(job *j, const reel_buffer *x, uint32_t mask, bool fold_repeats)
{
    int order[REEL_MAX_DIMS], n = 0;
    j->repeat = 1;
    for (int d = 0; d < x->ndim; d++) {
        if (!(mask >> d & 1)) continue;
        j->count *= (double)x->shape[d];
        if (x->strides[d] == 0 && fold_repeats && x->shape[d] > 0) {
            j->repeat *= x->shape[d];
            continue;
        }
        int i = n++;
        for (; i > 0 && llabs(x->strides[order[i - 1]]) < llabs(x->strides[d]); i--) order[i] = order[i - 1];
        order[i] = d;
    }
    for (int i = 0; i < n; i++) axes_add(&j->reduced, x->shape[order[i]], x->strides[order[i]], 0);
}

bool reel_reduce_run(const reel_play *play, uint32_t mask, const reel_reduce_how *how)
{
    const reel_buffer *x = &play->in[0], *y = &play->out[0];
    job j = { .kernels = reel_reduce_kernels_for(play->exec->isa),
              .dtype = x->dtype,
              .out_dtype = y->dtype,
              .element = reel_dtype_size(x->dtype),
              .x = x->data,
              .kept = { .numel = 1 },
              .reduced = { .numel = 1 },
              .count = 1,
              .how = how,
              .out = y->data,
              .results = y->numel,
              .blocks = 1 };
    if (y->numel == 0) return true;
    if (how->two_passes) {
        j.aux = reel_scratch(play->exec, reel_bytes((size_t)y->numel, j.element));
        if (!j.aux) return reel_play_out_of_memory(play);
    }
    if (x->numel == 0) {
        j.count = j.repeat = 0;
        finish_nothing(&j);
        return true;
    }
    order_reduced(&j, x, mask, how->kind != REEL_REDUCE_PROD);
    int64_t to = y->numel;
    for (int d = 0; d < x->ndim; d++) {
        if (mask >> d & 1) continue;
        to /= x->shape[d];
        axes_add(&j.kept, x->shape[d], x->strides[d], to);
    }
    choose_axes(&j);
    j.outer = j.kept.numel;
    if (j.by_columns) {
        j.blocks = (j.columns + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
        j.outer *= j.blocks;
    }
    return run_cut(play->exec, &j) || reel_play_out_of_memory(play);
}
