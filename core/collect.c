// SPDX-License-Identifier: MIT
// Collects what is needed for some values, for pending effects, and for readers of what effects overwrite.
#include <reel/core/internal.h>
#include <stdlib.h>
#include <string.h>

/* Says that the value of `t` is needed. Nodes that were played and whose value was dropped are listed at once. */
static inline void need(reel_collected *g, reel_tensor *t)
{
    if (!t || t->storage) return;
    reel_node *node = t->producer;
    if (node->needed) return;
    node->needed = true;
    if (node->pending) return;
    g->nodes[g->replays++] = node;
    node->replay = true;
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i]) node->tensors[i]->pending_uses++;
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

/* What a dropped value is made from, which may have been dropped too. */
static void need_again(reel_collected *g, int64_t *replayed)
{
    for (; *replayed < g->replays; ++*replayed) {
        const reel_node *again = g->nodes[*replayed];
        for (int i = 0; i < again->n_in; i++) need(g, again->tensors[i]);
    }
}

bool reel_tape_collect(reel_ctx *ctx, reel_collected *g, reel_tensor *const *targets, int64_t count, bool effects)
{
    /* What is played again fills the array from its front, what is pending from its end. */
    if (!reel_grow(ctx, &g->nodes, &g->capacity, ctx->n_nodes, sizeof *g->nodes)) return false;
    reel_node **pending = g->nodes + g->capacity;
    int64_t replayed = 0;
    for (int64_t i = 0; i < count; i++) need(g, targets[i]);
    g->overwrites = effects && ctx->n_effects > 0;
    for (reel_node *node = ctx->pending_last; node; node = node->prev) {
        if (g->overwrites) {
            if (node->op->flags & REEL_OP_INPLACE) {
                node->needed = true;
                set_doomed(node, true);
            } else if (!node->needed) {
                node->needed = reads_doomed(node);
            }
        }
        if (!node->needed) continue;
        *--pending = node;
        if (node->prev) __builtin_prefetch(node->prev->tensors[0]);
        for (int i = 0; i < node->n_in; i++) need(g, node->tensors[i]);
        need_again(g, &replayed);
    }
    need_again(g, &replayed);
    if (g->overwrites)
        for (reel_node *node = ctx->pending_last; node; node = node->prev)
            if (node->op->flags & REEL_OP_INPLACE) set_doomed(node, false);
    if (!g->nodes) return true;
    reel_nodes_sort(g->nodes, g->replays);
    int64_t n_pending = g->nodes + g->capacity - pending;
    memmove(g->nodes + g->replays, pending, (size_t)n_pending * sizeof *pending);
    g->count = g->replays + n_pending;
    for (int64_t i = 0; i < g->count; i++) g->nodes[i]->needed = false;
    return true;
}
