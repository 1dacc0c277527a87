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

// Some of the axes, adjacent ones merged where one stride serves both; `to` is the stride in the output.
typedef struct axes {
    int count;
    int64_t size[REEL_MAX_DIMS], stride[REEL_MAX_DIMS], to[REEL_MAX_DIMS];
    int64_t numel;
} axes;

// One gathering over the data, with a number per result (NULL: none), to results of a dtype.
typedef struct pass {
    reel_gathering gathering;
    reel_finish finish;
    double param;
    const char *aux; // of x's dtype, in the output's order
    void *to;
    reel_dtype to_dtype;
} pass;

typedef struct job {
    pass passes[2];
    int n_passes;
    int running; // the pass under way, when the work is cut in pieces; else a chunk runs all of them
    const char *x;
    int64_t element;
    axes kept, reduced;         // without the innermost axes below
    int64_t columns, column_to; // innermost kept axis of stride 1, or 1
    int64_t line, line_stride;  // innermost reduced axis
    int64_t repeat;             // how often broadcasting repeats every element
    double count;               // elements of a result
    int64_t results;
    // The cut: results (or column blocks) by pieces of the reduced axes.
    bool by_columns;
    int64_t outer, outer_per_chunk, blocks, pieces, per_piece;
    reel_acc *partial; // [pieces][results] when pieces > 1
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

// ---- what was gathered becomes results ----

static double aux_at(const job *j, const pass *p, int64_t i)
{
    return j->element == 4 ? ((const float *)p->aux)[i] : ((const double *)p->aux)[i];
}

static double finished(const job *j, const pass *p, double g, int64_t at)
{
    double n = j->count;
    switch (p->finish) {
    case REEL_FINISH_MEAN: return g / n;
    case REEL_FINISH_SHIFT: return isinf(g) ? 0 : g;
    case REEL_FINISH_LOG: return log(g) + aux_at(j, p, at);
    case REEL_FINISH_VAR: return g / (n > p->param ? n - p->param : 0);
    case REEL_FINISH_STD: return sqrt(g / (n > p->param ? n - p->param : 0));
    case REEL_FINISH_ROOT: return sqrt(g);
    case REEL_FINISH_POW_ROOT: return pow(g, 1 / p->param);
    default: return g;
    }
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

static void finish_integers(const job *j, const pass *p, const reel_acc *acc, int64_t n, int64_t at, int64_t stride)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t value = acc[i].i;
        if (p->gathering.join == REEL_JOIN_SUM) value = (int64_t)((uint64_t)value * (uint64_t)j->repeat);
        if (p->finish == REEL_FINISH_ANY) value = value != 0;
        if (p->finish == REEL_FINISH_ALL) value = (double)value == j->count;
        put_integer(p->to, p->to_dtype, at + i * stride, value);
    }
}

// acc[i] becomes the result at `at` + i * stride.
static void finish(const job *j, const pass *p, const reel_acc *acc, int64_t n, int64_t at, int64_t stride)
{
    const reel_gathering *g = &p->gathering;
    if (g->integer) {
        finish_integers(j, p, acc, n, at, stride);
        return;
    }
    double times = g->join == REEL_JOIN_SUM ? (double)j->repeat : 1;
    for (int64_t i = 0; i < n; i++) {
        double value = reel_gathered(g, acc[i]) * times;
        if (p->finish != REEL_FINISH_VALUE) value = finished(j, p, value, at + i * stride);
        if (p->to_dtype == REEL_F32)
            ((float *)p->to)[at + i * stride] = (float)value;
        else
            ((double *)p->to)[at + i * stride] = value;
    }
}

// ---- gathering results by lines and by columns ----

static void copy_strided(void *to, const char *from, int64_t n, int64_t stride, int64_t element)
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

static const char *aux_of(const job *j, const pass *p, int64_t at) { return p->aux ? p->aux + at * j->element : NULL; }

// Gathers elements [from, to) of the reduced axes (lines of j->line, the last axis) of the result at x into acc.
static void gather_result(const job *j, const pass *p, const char *x, int64_t at, int64_t from, int64_t to,
                          reel_acc *acc)
{
    int64_t ignored;
    uint64_t copy[GATHER];
    while (from < to) {
        int64_t start = from % j->line, n = j->line - start;
        if (n > to - from) n = to - from;
        const char *line =
            x + (axes_offset(&j->reduced, from / j->line, &ignored) + start * j->line_stride) * j->element;
        from += n;
        if (j->line_stride == 1) {
            reel_gather_lines(&p->gathering, 1, n, line, 0, aux_of(j, p, at), acc);
            continue;
        }
        for (int64_t part; n > 0; n -= part, line += part * j->line_stride * j->element) {
            part = n < GATHER ? n : GATHER;
            copy_strided(copy, line, part, j->line_stride, j->element);
            reel_gather_lines(&p->gathering, 1, part, copy, 0, aux_of(j, p, at), acc);
        }
    }
}

// Results [from, to) by lines.
static void lines_pass(const job *j, const pass *p, int64_t from, int64_t to)
{
    enum { BATCH = 64 };
    reel_acc acc[BATCH];
    int last = j->kept.count - 1;
    while (from < to) {
        // A run of results along the last kept axis: one stride from line to line.
        int64_t at, run = last < 0 ? 1 : j->kept.size[last] - from % j->kept.size[last];
        if (run > BATCH) run = BATCH;
        if (run > to - from) run = to - from;
        int64_t step = last < 0 ? 0 : j->kept.stride[last], step_to = last < 0 ? 1 : j->kept.to[last];
        const char *x = j->x + axes_offset(&j->kept, from, &at) * j->element;
        reel_gather_begin(&p->gathering, acc, run);
        if (j->line_stride == 1 && j->reduced.numel == 1 && (step_to == 1 || !p->aux)) {
            reel_gather_lines(&p->gathering, run, j->line, x, step, aux_of(j, p, at), acc);
        } else {
            for (int64_t i = 0; i < run; i++)
                gather_result(j, p, x + i * step * j->element, at + i * step_to, 0, j->line * j->reduced.numel,
                              acc + i);
        }
        finish(j, p, acc, run, at, step_to);
        from += run;
    }
}

// Narrow rows that lie one behind the other, `fold` at a time, as one wide row whose parts are joined at the end.
static void gather_wide(const job *j, const pass *p, const char *x, int64_t n, int64_t rows, int64_t fold,
                        const void *aux, reel_acc *acc)
{
    reel_acc wide[WIDE];
    uint64_t wide_aux[WIDE];
    reel_gather_begin(&p->gathering, wide, fold * n);
    for (int64_t k = 0; aux && k < fold; k++)
        memcpy((char *)wide_aux + k * n * j->element, aux, (size_t)(n * j->element));
    reel_gather_columns(&p->gathering, fold * n, rows, x, fold * n, aux ? wide_aux : NULL, wide);
    for (int64_t k = 0; k < fold; k++) reel_gather_join(&p->gathering, acc, wide + k * n, n);
}

// Rows [from, to) of the reduced axes for columns [0, n) at x into acc.
static void gather_columns(const job *j, const pass *p, const char *x, int64_t n, const void *aux, int64_t from,
                           int64_t to, reel_acc *acc)
{
    int64_t ignored;
    while (from < to) {
        int64_t start = from % j->line, rows = j->line - start;
        if (rows > to - from) rows = to - from;
        const char *row =
            x + (axes_offset(&j->reduced, from / j->line, &ignored) + start * j->line_stride) * j->element;
        from += rows;
        int64_t fold = n < NARROW && j->line_stride == n ? WIDE / n : 1;
        if (fold > rows) fold = rows;
        if (fold > 1) {
            gather_wide(j, p, row, n, rows / fold, fold, aux, acc);
            row += rows / fold * fold * n * j->element;
            rows %= fold;
        }
        if (rows > 0) reel_gather_columns(&p->gathering, n, rows, row, j->line_stride, aux, acc);
    }
}

// One block of columns, one piece of the rows.
static void columns_pass(const job *j, const pass *p, int64_t unit, int64_t piece, reel_acc *acc)
{
    int64_t first = unit % j->blocks * COLUMN_BLOCK, at;
    int64_t n = j->columns - first < COLUMN_BLOCK ? j->columns - first : COLUMN_BLOCK;
    const char *x = j->x + (axes_offset(&j->kept, unit / j->blocks, &at) + first) * j->element;
    at += first * j->column_to;
    int64_t rows = j->line * j->reduced.numel, from = piece * j->per_piece, to = from + j->per_piece;
    uint64_t copy[COLUMN_BLOCK];
    const void *aux = aux_of(j, p, at);
    if (aux && j->column_to != 1) {
        copy_strided(copy, aux, n, j->column_to, j->element);
        aux = copy;
    }
    reel_gather_begin(&p->gathering, acc, n);
    gather_columns(j, p, x, n, aux, from, to < rows ? to : rows, acc);
    if (j->pieces == 1) finish(j, p, acc, n, at, j->column_to);
}

// ---- cutting the work ----

static void piece_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    const pass *p = &j->passes[j->running];
    int64_t unit = chunk / j->pieces, piece = chunk % j->pieces;
    reel_acc *acc = j->partial + piece * j->results;
    if (j->by_columns) {
        columns_pass(j, p, unit, piece, acc + unit / j->blocks * j->columns + unit % j->blocks * COLUMN_BLOCK);
        return;
    }
    int64_t total = j->line * j->reduced.numel, from = piece * j->per_piece, at, to = from + j->per_piece;
    const char *x = j->x + axes_offset(&j->kept, unit, &at) * j->element;
    reel_gather_begin(&p->gathering, acc + unit, 1);
    gather_result(j, p, x, at, from, to < total ? to : total, acc + unit);
}

static void chunk_task(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t from = chunk * j->outer_per_chunk, to = from + j->outer_per_chunk;
    if (to > j->outer) to = j->outer;
    reel_acc acc[COLUMN_BLOCK];
    for (int64_t unit = from; unit < to && j->by_columns; unit++)
        for (int p = 0; p < j->n_passes; p++) columns_pass(j, &j->passes[p], unit, 0, acc);
    for (int p = 0; p < j->n_passes && !j->by_columns; p++) lines_pass(j, &j->passes[p], from, to);
}

// Joins the pieces as a tree and finishes them.
static void join_pieces(const job *j)
{
    const pass *p = &j->passes[j->running];
    for (int64_t width = 1; width < j->pieces; width *= 2)
        for (int64_t i = 0; i + width < j->pieces; i += 2 * width) {
            reel_acc *a = j->partial + i * j->results;
            reel_gather_join(&p->gathering, a, a + width * j->results, j->results);
        }
    int64_t at;
    for (int64_t i = 0; i < j->results; i += j->columns) {
        axes_offset(&j->kept, i / j->columns, &at);
        finish(j, p, j->partial + i, j->columns, at, j->column_to);
    }
}

static bool run(const reel_exec *exec, job *j)
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
        size_t results = reel_bytes((size_t)j->results, (size_t)j->pieces);
        j->partial = reel_scratch(exec, reel_bytes(results, sizeof *j->partial));
        if (!j->partial) return false;
        for (j->running = 0; j->running < j->n_passes; j->running++) {
            reel_parallel(exec, units * j->pieces, piece_task, j);
            join_pieces(j);
        }
        return true;
    }
    int64_t per_unit = total * width > 0 ? total * width : 1;
    j->outer_per_chunk = CHUNK / per_unit > 1 ? CHUNK / per_unit : 1;
    reel_parallel(exec, (units + j->outer_per_chunk - 1) / j->outer_per_chunk, chunk_task, j);
    return true;
}

// Every result of no elements at all.
static void finish_nothing(const job *j)
{
    reel_acc nothing;
    for (int p = 0; p < j->n_passes; p++) {
        reel_gather_begin(&j->passes[p].gathering, &nothing, 1);
        for (int64_t i = 0; i < j->results; i++) finish(j, &j->passes[p], &nothing, 1, i, 1);
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

// The passes; false when there is no memory for what the first hands to the second.
static bool make_passes(const reel_play *play, const reel_reduce_how *how, job *j)
{
    const reel_buffer *x = &play->in[0], *y = &play->out[0];
    reel_isa isa = play->exec->isa;
    pass last = { .gathering = reel_gathering_of(isa, how->kind, x->dtype, how->param),
                  .finish = how->finish,
                  .param = how->param,
                  .to = y->data,
                  .to_dtype = y->dtype };
    if (how->two_passes) {
        void *aux = reel_scratch(play->exec, reel_bytes((size_t)y->numel, (size_t)j->element));
        if (!aux) return false;
        j->passes[j->n_passes++] = (pass) { .gathering = reel_gathering_of(isa, how->first_kind, x->dtype, how->param),
                                            .finish = how->first_finish,
                                            .param = how->param,
                                            .to = aux,
                                            .to_dtype = x->dtype };
        last.aux = aux;
    }
    j->passes[j->n_passes++] = last;
    return true;
}

bool reel_reduce_run(const reel_play *play, uint32_t mask, const reel_reduce_how *how)
{
    const reel_buffer *x = &play->in[0], *y = &play->out[0];
    job j = { .x = x->data,
              .element = (int64_t)reel_dtype_size(x->dtype),
              .kept = { .numel = 1 },
              .reduced = { .numel = 1 },
              .count = 1,
              .results = y->numel,
              .blocks = 1 };
    if (y->numel == 0) return true;
    if (!make_passes(play, how, &j)) return reel_play_out_of_memory(play);
    if (x->numel == 0) {
        j.count = 0;
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
    return run(play->exec, &j) || reel_play_out_of_memory(play);
}
