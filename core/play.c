// SPDX-License-Identifier: MIT
// Play: gathers the nodes that are needed, in order of recording, and computes them.
#include <reel/core/internal.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gathering: what is needed for the targets, for pending effects, and for readers of what effects overwrite. */

typedef struct gathered {
    reel_node **nodes; /* in order of recording */
    int64_t count, capacity, replays;
} gathered;

/* Says that the value of `t` is needed. Nodes that were played and whose value was dropped are listed at once. */
static bool need(reel_ctx *ctx, gathered *g, reel_tensor *t)
{
    if (!t || t->storage) return true;
    reel_node *node = t->producer;
    if (node->needed) return true;
    if (!node->pending) {
        if (!reel_grow(ctx, &g->nodes, &g->capacity, g->count + 1, sizeof *g->nodes)) return false;
        g->nodes[g->count++] = node;
        node->replay = true;
        for (int i = 0; i < node->n_in; i++)
            if (node->tensors[i]) node->tensors[i]->pending_uses++;
    }
    node->needed = true;
    return true;
}

static int by_sequence(const void *a, const void *b)
{
    const reel_node *const *x = a, *const *y = b;
    return (*x)->seq < (*y)->seq ? -1 : (*x)->seq > (*y)->seq;
}

static void set_doomed(reel_node *node, bool doomed)
{
    int writes = node->op->writes ? node->op->writes : 1;
    for (int i = 0; i < writes && i < node->n_in; i++)
        if (node->tensors[i] && node->tensors[i]->storage) node->tensors[i]->storage->doomed = doomed;
}

static bool reads_doomed(const reel_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i] && node->tensors[i]->storage && node->tensors[i]->storage->doomed) return true;
    return false;
}

static bool gather(reel_ctx *ctx, gathered *g, reel_tensor *const *targets, int64_t count, bool effects)
{
    for (int64_t i = 0; i < count; i++)
        if (!need(ctx, g, targets[i])) return false;
    effects = effects && ctx->n_effects > 0;
    bool ok = true;
    int64_t pending = 0, replayed = 0;
    for (reel_node *node = ctx->pending_last; node && ok; node = node->prev) {
        if (effects) {
            if (node->op->flags & REEL_OP_INPLACE) {
                node->needed = true;
                set_doomed(node, true);
            } else if (!node->needed) {
                node->needed = reads_doomed(node);
            }
        }
        if (!node->needed) continue;
        pending++;
        for (int i = 0; i < node->n_in && ok; i++) ok = need(ctx, g, node->tensors[i]);
        /* Dropped values may need others. */
        for (; replayed < g->count && ok; replayed++) {
            reel_node *again = g->nodes[replayed];
            for (int i = 0; i < again->n_in && ok; i++) ok = need(ctx, g, again->tensors[i]);
        }
    }
    for (; replayed < g->count && ok; replayed++) {
        reel_node *again = g->nodes[replayed];
        for (int i = 0; i < again->n_in && ok; i++) ok = need(ctx, g, again->tensors[i]);
    }
    if (effects)
        for (reel_node *node = ctx->pending_last; node; node = node->prev)
            if (node->op->flags & REEL_OP_INPLACE) set_doomed(node, false);
    g->replays = g->count;
    ok = ok && reel_grow(ctx, &g->nodes, &g->capacity, g->count + pending, sizeof *g->nodes);
    if (g->replays > 1) qsort(g->nodes, (size_t)g->replays, sizeof *g->nodes, by_sequence);
    for (reel_node *node = ctx->pending_first; node; node = node->next)
        if (node->needed) {
            if (ok) g->nodes[g->count++] = node;
            node->needed = false;
        }
    for (int64_t i = 0; i < g->replays; i++) g->nodes[i]->needed = false;
    return ok;
}

/* Playing one node */

bool reel_play_fail(const reel_play *play, reel_error error, const char *format, ...)
{
    char message[600];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    reel_fail(play->ctx, error, "%s: %s", play->op->name, message);
    return false;
}

bool reel_play_out_of_memory(const reel_play *play)
{
    return reel_play_fail(play, REEL_ERROR_MEMORY, "there is not enough memory");
}

static void set_buffer(reel_buffer *buffer, const reel_tensor *t)
{
    if (!t) {
        *buffer = (reel_buffer){ 0 };
        return;
    }
    *buffer = (reel_buffer){ .data = reel_tensor_address(t), .shape = t->shape, .strides = t->strides, .numel = t->numel,
                             .ndim = t->ndim, .dtype = (reel_dtype)t->dtype };
}

static bool check_versions(reel_ctx *ctx, const reel_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        const reel_tensor *t = node->tensors[i];
        if (t && t->storage && t->storage->version != node->versions[i])
            return reel_fail(ctx, REEL_ERROR_VERSION,
                             "%s: input %d has been overwritten %u times since this op was recorded; read its result (reel_eval) "
                             "before the overwrite, or record the op again",
                             node->op->name, i, t->storage->version - node->versions[i]) != NULL;
    }
    return true;
}

/* The first element that is not finite, or -1. */
static int64_t find_not_finite(const reel_tensor *t)
{
    if (t->dtype == REEL_F32) {
        const float *x = reel_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            if (!isfinite(x[i])) return i;
    } else if (t->dtype == REEL_F64) {
        const double *x = reel_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            if (!isfinite(x[i])) return i;
    }
    return -1;
}

static bool check_finite(reel_ctx *ctx, const reel_node *node)
{
    for (int k = 0; k < node->n_out; k++) {
        const reel_tensor *t = node->tensors[node->n_in + k];
        int64_t at = t && t->storage && t->contiguous ? find_not_finite(t) : -1;
        if (at < 0) continue;
        char shape[REEL_SHAPE_TEXT];
        double value = t->dtype == REEL_F32 ? ((float *)reel_tensor_address(t))[at] : ((double *)reel_tensor_address(t))[at];
        return reel_fail(ctx, REEL_ERROR_NUMERIC, "%s: element %lld of the result %s is %g (op %llu of this context)",
                         node->op->name, (long long)at, reel_shape_format(reel_shape_of(t), shape), value,
                         (unsigned long long)node->seq) != NULL;
    }
    return true;
}

static bool play_view(reel_node *node)
{
    reel_tensor *view = reel_node_out(node)[0], *base = node->tensors[0];
    if (view->storage) return true;
    view->storage = base->storage;
    view->storage->refs++;
    /* Until it has storage a view's offset counts from its base. */
    view->offset += base->offset;
    return true;
}

#define FEW 12

static bool play_op(reel_ctx *ctx, reel_node *node)
{
    reel_buffer few[FEW], *buffers = few;
    int n = node->n_in + node->n_out;
    if (n > FEW && !(buffers = reel_scratch(&ctx->exec, reel_bytes((size_t)n, sizeof *buffers)))) return false;
    for (int i = 0; i < node->n_in; i++) set_buffer(&buffers[i], node->tensors[i]);
    bool empty = node->n_out > 0;
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (t->numel > 0) empty = false;
        if (!t->storage) {
            t->storage = reel_storage_new(ctx, t->numel, (reel_dtype)t->dtype);
            if (!t->storage) return false;
            t->offset = 0;
            set_buffer(&buffers[node->n_in + k], t);
        } else { /* played again for another output: this one is kept as it is */
            reel_buffer *buffer = &buffers[node->n_in + k];
            set_buffer(buffer, t);
            buffer->data = reel_scratch(&ctx->exec, reel_bytes((size_t)t->numel, reel_dtype_size((reel_dtype)t->dtype)));
            if (!buffer->data) return false;
        }
    }
    if (empty) return true;
    reel_play play = { .op = node->op, .ctx = ctx, .exec = &ctx->exec, .attrs = node->attrs, .n_in = node->n_in,
                       .n_out = node->n_out, .in = buffers, .out = buffers + node->n_in };
    if (node->op->play(&play) && !ctx->error) return true;
    reel_fail(ctx, REEL_ERROR_VALUE, "%s: the kernel failed", node->op->name);
    return false;
}

static bool play_node(reel_ctx *ctx, reel_node *node)
{
    bool ok = check_versions(ctx, node) &&
              (node->op->flags & REEL_OP_VIEW ? play_view(node) : play_op(ctx, node)) && (!ctx->anomaly || check_finite(ctx, node));
    reel_scratch_release(ctx);
    if (!ok) {
        for (int k = 0; k < node->n_out; k++) {
            reel_tensor *t = reel_node_out(node)[k];
            if (!node->replay) {
                reel_storage_unref(ctx, t->storage);
                t->storage = NULL;
            }
        }
        return false;
    }
    if (node->op->flags & REEL_OP_INPLACE) {
        int writes = node->op->writes ? node->op->writes : 1;
        for (int i = 0; i < writes && i < node->n_in; i++)
            if (node->tensors[i]) node->tensors[i]->storage->version++;
    }
    reel_node_played(node);
    return true;
}

/* Nodes that were to be played again and were not go back to their rest. */
static void forget_replay(reel_node *node)
{
    node->replay = false;
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i]) node->tensors[i]->pending_uses--;
}

bool reel_play_targets(reel_ctx *ctx, reel_tensor *const *targets, int64_t count, bool effects)
{
    if (ctx->error) return false;
    if (ctx->playing)
        return reel_fail(ctx, REEL_ERROR_CONTEXT, "a value was asked for from inside an op's play") != NULL;
    gathered g = { 0 };
    for (int64_t i = 0; i < count; i++) targets[i]->wanted = true;
    bool ok = gather(ctx, &g, targets, count, effects);
    ctx->playing = true;
    int64_t played = 0;
    while (ok && played < g.count) {
        ok = play_node(ctx, g.nodes[played]);
        played += ok;
    }
    ctx->playing = false;
    for (int64_t i = played; i < g.replays; i++) forget_replay(g.nodes[i]);
    for (int64_t i = 0; i < count; i++) targets[i]->wanted = false;
    for (int64_t i = 0; i < count; i++)
        if (targets[i]->pinned || targets[i]->is_grad) reel_tensor_settle(targets[i]);
    if (g.nodes) reel_pool_free(ctx, g.nodes, (size_t)g.capacity * sizeof *g.nodes);
    if (!ok) reel_tape_discard_effects(ctx);
    return ok;
}
