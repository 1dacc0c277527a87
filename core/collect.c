// SPDX-License-Identifier: MIT
// Collects what is needed for some values, for pending effects, and for readers of what effects overwrite.
#include <reel/core/internal.h>
#include <stdlib.h>

/* Says that the value of `t` is needed. Nodes that were played and whose value was dropped are listed at once. */
static bool need(reel_ctx *ctx, reel_collected *g, reel_tensor *t)
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

void reel_nodes_sort(reel_node **nodes, int64_t count)
{
    if (count > 1) qsort(nodes, (size_t)count, sizeof *nodes, by_sequence);
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

bool reel_tape_collect(reel_ctx *ctx, reel_collected *g, reel_tensor *const *targets, int64_t count, bool effects)
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
    reel_nodes_sort(g->nodes, g->replays);
    for (reel_node *node = ctx->pending_first; node; node = node->next)
        if (node->needed) {
            if (ok) g->nodes[g->count++] = node;
            node->needed = false;
        }
    for (int64_t i = 0; i < g->replays; i++) g->nodes[i]->needed = false;
    return ok;
}
