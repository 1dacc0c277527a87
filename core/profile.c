// SPDX-License-Identifier: MIT
// Times what is played, and tells it as a table or as a trace.
#define _POSIX_C_SOURCE 200809L
#include <jansson.h>
#include <reel/core/file.h>
#include <reel/core/plan.h>
#include <reel/core/profile.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES 512

typedef struct profile_row {
    char *name;
    uint64_t hash;
    reel_span_kind kind;
    reel_profile_row sum;
} profile_row;

typedef struct profile_event {
    int64_t start, end; /* nanoseconds since the begin */
    double bytes, flops;
    int32_t row;
} profile_event;

struct reel_profile {
    struct reel_profile *next; /* of the context's */
    reel_ctx *ctx;
    int64_t start, end;
    const char *method; /* of the op that is being played; NULL */
    profile_row *rows;
    int64_t n_rows, rows_capacity;
    profile_event *events;
    int64_t n_events, events_capacity;
    int n_sorted;
    int32_t *sorted; /* rows that are ops, by falling time */
};

int64_t reel_profile_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Noting */

static uint64_t hash_text(const char *text) /* FNV-1a */
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}

static int32_t row_of(reel_profile *p, reel_span_kind kind, const char *name)
{
    uint64_t hash = hash_text(name);
    for (int64_t i = 0; i < p->n_rows; i++)
        if (p->rows[i].hash == hash && p->rows[i].kind == kind && strcmp(p->rows[i].name, name) == 0) return (int32_t)i;
    if (!reel_grow(p->ctx, &p->rows, &p->rows_capacity, p->n_rows + 1, sizeof *p->rows)) return -1;
    size_t bytes = strlen(name) + 1;
    char *copy = reel_pool_alloc(p->ctx, bytes);
    if (!copy) return -1;
    memcpy(copy, name, bytes);
    p->rows[p->n_rows] = (profile_row) { .name = copy, .hash = hash, .kind = kind, .sum = { .name = copy } };
    return (int32_t)p->n_rows++;
}

static bool note(reel_profile *p, int64_t start, int64_t end, reel_span_kind kind, const char *name, double bytes,
                 double flops)
{
    int32_t row = row_of(p, kind, name);
    if (row < 0 || !reel_grow(p->ctx, &p->events, &p->events_capacity, p->n_events + 1, sizeof *p->events))
        return false;
    reel_profile_row *sum = &p->rows[row].sum;
    sum->calls++;
    sum->seconds += 1e-9 * (double)(end - start);
    sum->bytes += bytes;
    sum->flops += flops;
    p->events[p->n_events++] = (profile_event) {
        .start = start - p->start, .end = end - p->start, .bytes = bytes, .flops = flops, .row = row
    };
    return true;
}

bool reel_profile_span(reel_ctx *ctx, int64_t start, reel_span_kind kind, const char *name)
{
    return note(ctx->profile, start, reel_profile_clock(), kind, name, 0, 0);
}

bool reel_profile_op(reel_ctx *ctx, int64_t start, const reel_play *play, const reel_op *next)
{
    int64_t end = reel_profile_clock();
    char name[NAME_BYTES], shape[REEL_SHAPE_TEXT];
    double bytes = 0;
    for (int i = 0; i < play->n_in + play->n_out; i++) {
        const reel_buffer *buffer = i < play->n_in ? &play->in[i] : &play->out[i - play->n_in];
        if (buffer->data) bytes += (double)buffer->numel * (double)reel_dtype_size(buffer->dtype);
    }
    int writes = play->op->flags & REEL_OP_INPLACE ? play->op->writes ? play->op->writes : 1 : 0;
    for (int i = 0; i < writes && i < play->n_in; i++)
        if (play->in[i].data) bytes += (double)play->in[i].numel * (double)reel_dtype_size(play->in[i].dtype);
    const reel_buffer *result = play->n_out ? &play->out[0] : &play->in[0];
    double flops = play->op->flops ? play->op->flops(play) : play->op->pointwise ? (double)result->numel : 0;
    reel_shape of = { .ndim = result->ndim };
    memcpy(of.dim, result->shape, (size_t)of.ndim * sizeof of.dim[0]);
    for (int k = 0; next && k < play->next->n_out; k++)
        bytes += (double)play->next->out[k].numel * (double)reel_dtype_size(play->next->out[k].dtype);
    const char *method = ctx->profile->method;
    ctx->profile->method = NULL;
    snprintf(name, sizeof name, "%s%s%s%s%s %s %s%s%s", play->op->name, play->relu ? " + relu" : "", next ? " + " : "",
             next ? next->name : "", next && play->next->relu ? " + relu" : "", reel_dtype_name(result->dtype),
             reel_shape_format(of, shape), method ? " by " : "", method ? method : "");
    return note(ctx->profile, start, end, REEL_SPAN_OP, name, bytes, flops + (play->relu ? (double)result->numel : 0));
}

bool reel_profile_group(reel_ctx *ctx, int64_t start, const reel_plan *plan, const reel_fused *group)
{
    int64_t end = reel_profile_clock();
    char name[NAME_BYTES], shape[REEL_SHAPE_TEXT];
    size_t at = 0;
    for (int32_t k = 0; k < group->n_ops; k++) {
        const char *op = plan->nodes[group->ops[k].node].op->name;
        if (at + strlen(op) > NAME_BYTES - REEL_SHAPE_TEXT - 48) {
            at += (size_t)snprintf(name + at, sizeof name - at, " + %d more", group->n_ops - k);
            break;
        }
        at += (size_t)snprintf(name + at, sizeof name - at, "%s%s", k ? " + " : "", op);
    }
    double bytes = 0;
    for (int32_t k = 0; k < group->n_operands; k++) {
        const reel_operand *operand = &group->operands[k];
        if (operand->kind != REEL_OPERAND_TILE) bytes += (double)plan->values[operand->value].numel * operand->size;
    }
    reel_shape of = { .ndim = group->ndim };
    memcpy(of.dim, group->shape, (size_t)of.ndim * sizeof of.dim[0]);
    const reel_plan_value *result = &plan->values[group->operands[group->ops[group->n_ops - 1].out].value];
    snprintf(name + at, sizeof name - at, " %s %s", reel_dtype_name((reel_dtype)result->dtype),
             reel_shape_format(of, shape));
    return note(ctx->profile, start, end, REEL_SPAN_OP, name, bytes, (double)group->numel * group->n_ops);
}

/* Begin and end */

bool reel_profile_begin(reel_ctx *ctx)
{
    if (!ctx || ctx->error) return false;
    if (ctx->profile)
        return reel_fail(ctx, REEL_ERROR_CONTEXT, "profile_begin: a profile is being taken already") != NULL;
    reel_profile *p = reel_pool_alloc(ctx, sizeof *p);
    if (!p) return false;
    *p = (reel_profile) { .ctx = ctx, .next = ctx->profiles };
    ctx->profiles = ctx->profile = p;
    ctx->exec.method = &p->method;
    p->start = p->end = reel_profile_clock();
    return true;
}

reel_profile *reel_profile_end(reel_ctx *ctx)
{
    if (!ctx) return NULL;
    reel_profile *p = ctx->profile;
    if (!p)
        return reel_fail(ctx, REEL_ERROR_CONTEXT,
                         "profile_end: no profile is being taken; begin one with reel_profile_begin");
    p->end = reel_profile_clock();
    ctx->profile = NULL;
    ctx->exec.method = NULL;
    if (p->n_rows == 0) return p;
    p->sorted = reel_pool_alloc(ctx, (size_t)p->n_rows * sizeof *p->sorted);
    for (int64_t i = 0; p->sorted && i < p->n_rows; i++) {
        if (p->rows[i].kind != REEL_SPAN_OP) continue;
        int at = p->n_sorted++;
        for (; at > 0 && p->rows[p->sorted[at - 1]].sum.seconds < p->rows[i].sum.seconds; at--)
            p->sorted[at] = p->sorted[at - 1];
        p->sorted[at] = (int32_t)i;
    }
    return p;
}

void reel_profile_free(reel_profile *p)
{
    if (!p) return;
    reel_ctx *ctx = p->ctx;
    reel_profile **link = &ctx->profiles;
    while (*link != p) link = &(*link)->next;
    *link = p->next;
    if (ctx->profile == p) {
        ctx->profile = NULL;
        ctx->exec.method = NULL;
    }
    for (int64_t i = 0; i < p->n_rows; i++) reel_pool_free(ctx, p->rows[i].name, strlen(p->rows[i].name) + 1);
    if (p->sorted) reel_pool_free(ctx, p->sorted, (size_t)p->n_rows * sizeof *p->sorted);
    if (p->rows) reel_pool_free(ctx, p->rows, (size_t)p->rows_capacity * sizeof *p->rows);
    if (p->events) reel_pool_free(ctx, p->events, (size_t)p->events_capacity * sizeof *p->events);
    reel_pool_free(ctx, p, sizeof *p);
}

/* Telling */

int reel_profile_rows(const reel_profile *p) { return p ? p->n_sorted : 0; }

reel_profile_row reel_profile_row_at(const reel_profile *p, int i)
{
    if (!p || i < 0 || i >= p->n_sorted) return (reel_profile_row) { 0 };
    return p->rows[p->sorted[i]].sum;
}

double reel_profile_seconds(const reel_profile *p) { return p ? 1e-9 * (double)(p->end - p->start) : 0; }

static reel_profile_row sum_of(const reel_profile *p, reel_span_kind kind)
{
    reel_profile_row sum = { 0 };
    for (int64_t i = 0; i < p->n_rows; i++) {
        if (p->rows[i].kind != kind) continue;
        sum.calls += p->rows[i].sum.calls;
        sum.seconds += p->rows[i].sum.seconds;
        sum.bytes += p->rows[i].sum.bytes;
        sum.flops += p->rows[i].sum.flops;
    }
    return sum;
}

static void write_line(FILE *file, const reel_profile_row *row, double whole, const char *name)
{
    fprintf(file, "%12.3f %6.1f %8lld %8.1f ", row->seconds * 1e3, whole > 0 ? 100 * row->seconds / whole : 0,
            (long long)row->calls, row->seconds > 0 ? row->bytes / row->seconds * 1e-9 : 0);
    if (row->flops > 0 && row->seconds > 0)
        fprintf(file, "%8.1f", row->flops / row->seconds * 1e-9);
    else
        fprintf(file, "%8s", "-");
    fprintf(file, "  %s\n", name);
}

bool reel_profile_write_table(const reel_profile *p, FILE *file)
{
    if (!p) return false;
    if (!file) return reel_fail(p->ctx, REEL_ERROR_IO, "profile_write_table: there is no file (NULL)") != NULL;
    double whole = reel_profile_seconds(p);
    reel_profile_row ops = sum_of(p, REEL_SPAN_OP), plans = sum_of(p, REEL_SPAN_PLAN), rest = { .seconds = whole };
    rest.seconds -= ops.seconds + plans.seconds;
    fprintf(file, "%12s %6s %8s %8s %8s  %s\n", "ms", "%", "calls", "GB/s", "GFLOP/s", "op");
    for (int i = 0; i < p->n_sorted; i++) {
        reel_profile_row row = reel_profile_row_at(p, i);
        write_line(file, &row, whole, row.name);
    }
    write_line(file, &ops, whole, "all ops");
    fprintf(file, "%12.3f %6.1f %8lld %8s %8s  plans made\n", plans.seconds * 1e3,
            whole > 0 ? 100 * plans.seconds / whole : 0, (long long)plans.calls, "", "");
    fprintf(file, "%12.3f %6.1f %8s %8s %8s  everything else: recording, gradients, the program\n", rest.seconds * 1e3,
            whole > 0 ? 100 * rest.seconds / whole : 0, "", "", "");
    if (fflush(file) || ferror(file))
        return reel_fail(p->ctx, REEL_ERROR_IO, "profile_write_table: the file cannot be written") != NULL;
    return true;
}

static void put_json_text(reel_writer *w, const char *text)
{
    json_t *json = json_string(text); // NULL for what is no UTF-8
    char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
    const char *written = quoted ? quoted : "\"?\"";
    reel_writer_put(w, written, strlen(written));
    free(quoted);
    json_decref(json);
}

bool reel_profile_write_trace(const reel_profile *p, const char *path)
{
    static const char *const kinds[] = { [REEL_SPAN_OP] = "op", [REEL_SPAN_PLAN] = "plan", [REEL_SPAN_PLAY] = "play" };
    if (!p) return false;
    reel_writer w;
    if (reel_writer_open(&w, p->ctx, path)) {
        reel_writer_print(&w, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
        for (int64_t i = 0; i < p->n_events; i++) {
            const profile_event *e = &p->events[i];
            const profile_row *row = &p->rows[e->row];
            reel_writer_print(&w,
                              "%s\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"cat\": \"%s\", \"name\": ", i ? "," : "",
                              kinds[row->kind]);
            put_json_text(&w, row->name);
            reel_writer_print(&w, ", \"ts\": %.3f, \"dur\": %.3f, \"args\": {\"bytes\": %.0f, \"flops\": %.0f}}",
                              1e-3 * (double)e->start, 1e-3 * (double)(e->end - e->start), e->bytes, e->flops);
        }
        reel_writer_print(&w, "\n]}\n");
    }
    return reel_writer_close(&w, true);
}
