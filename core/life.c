// SPDX-License-Identifier: MIT
// The life of storages, tensors and nodes: values and history leave the tape when nobody can need them.
#include <reel/core/internal.h>

reel_storage *reel_storage_new(reel_ctx *ctx, int64_t numel, reel_dtype dtype)
{
    reel_storage *storage = reel_small_alloc(ctx, sizeof *storage);
    if (!storage) return NULL;
    size_t bytes = (size_t)numel * reel_dtype_size(dtype);
    *storage = (reel_storage){ .bytes = bytes, .refs = 1, .data = reel_pool_alloc(ctx, bytes) };
    if (storage->data) {
        ctx->value_bytes += bytes;
        if (ctx->value_bytes + ctx->arena_used > ctx->value_peak) ctx->value_peak = ctx->value_bytes + ctx->arena_used;
        return storage;
    }
    reel_small_free(ctx, storage, sizeof *storage);
    return NULL;
}

void reel_storage_free(reel_ctx *ctx, reel_storage *storage)
{
    reel_kept_drop(ctx, storage);
    if (!storage->borrowed) {
        reel_pool_free(ctx, storage->data, storage->bytes);
        ctx->value_bytes -= storage->bytes;
    }
    reel_small_free(ctx, storage, sizeof *storage);
}

static void destroy_extra(reel_ctx *ctx, reel_tensor *x)
{
    if (x->extra->dirty)
        for (reel_tensor **at = &ctx->dirty; *at; at = &(*at)->extra->next_dirty)
            if (*at == x) {
                *at = x->extra->next_dirty;
                break;
            }
    reel_tensor *grad = x->extra->grad;
    reel_storage_unref(ctx, x->extra->row_major);
    for (reel_hook *hook = x->extra->hooks; hook;) {
        reel_hook *next = hook->next;
        reel_small_free(ctx, hook, sizeof *hook);
        hook = next;
    }
    reel_small_free(ctx, x->extra, sizeof *x->extra);
    if (grad) reel_tensor_unref(grad);
}

static inline void destroy(reel_ctx *ctx, reel_tensor *x)
{
    reel_storage_unref(ctx, x->storage);
    if (x->extra) destroy_extra(ctx, x);
    /* Who still names it shall be told. */
    x->producer = NULL;
    x->storage = NULL;
    x->extra = NULL;
    x->refs = -1;
    reel_small_free(ctx, x, reel_tensor_bytes(x->ndim));
}

void reel_tensor_destroy(reel_tensor *x) { destroy(x->ctx, x); }

static void pending_unlink(reel_ctx *ctx, reel_node *node)
{
    if (node->prev)
        node->prev->next = node->next;
    else
        ctx->pending_first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        ctx->pending_last = node->prev;
    node->pending = false;
}

static void node_free(reel_ctx *ctx, reel_node *node)
{
    bool waits = node->pending || node->replay, holds = node->requires_grad && !node->reversed;
    if (node->pending) pending_unlink(ctx, node);
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (t && t->producer == node) destroy(ctx, t);
    }
    for (int i = 0; i < node->n_in; i++) {
        reel_tensor *t = node->tensors[i];
        if (!t) continue;
        t->pending_uses -= waits;
        t->grad_uses -= holds;
        reel_tensor_settle(t);
        reel_tensor_unref(t);
    }
    ctx->n_nodes--;
    reel_small_free(ctx, node, node->bytes);
}

/* A chain of nodes of any length goes one by one, not by recursion: what is released meanwhile waits in the list. */
static void free_released(reel_ctx *ctx)
{
    while (ctx->free_nodes) {
        reel_node *node = ctx->free_nodes;
        ctx->free_nodes = node->next;
        node_free(ctx, node);
    }
}

void reel_node_release(reel_node *node)
{
    if (--node->live > 0) return;
    reel_ctx *ctx = node->ctx;
    if (node->pending) {
        pending_unlink(ctx, node);
        node->replay = true; /* its inputs still count a use */
    }
    node->next = ctx->free_nodes;
    ctx->free_nodes = node;
    if (ctx->freeing) return;
    ctx->freeing = true;
    free_released(ctx);
    ctx->freeing = false;
}

void reel_node_played(reel_node *node)
{
    reel_ctx *ctx = node->ctx;
    if (node->pending) pending_unlink(ctx, node);
    node->replay = false;
    node->live++; /* it must outlast the settling below */
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i]) reel_tensor_settle(node->tensors[i]);
    for (int k = 0; k < node->n_out; k++)
        if (reel_node_out(node)[k]) reel_tensor_settle(reel_node_out(node)[k]);
    if (reel_node_is_effect(node)) {
        ctx->n_effects--;
        node->live--;
    }
    reel_node_release(node);
}

void reel_nodes_played(reel_ctx *ctx, reel_node **nodes, int64_t count, reel_tensor **values, int64_t n_values)
{
    for (int64_t n = 0; n < count; n++) {
        reel_node *first = nodes[n], *last = first;
        last->needed = last->replay = false;
        if (!first->pending) continue;
        last->pending = false;
        while (n + 1 < count && nodes[n + 1] == last->next) { /* neighbours leave the list together */
            last = nodes[++n];
            last->needed = last->replay = last->pending = false;
        }
        *(first->prev ? &first->prev->next : &ctx->pending_first) = last->next;
        *(last->next ? &last->next->prev : &ctx->pending_last) = first->prev;
    }
    bool inner = ctx->freeing;
    ctx->freeing = true; /* nodes and values that go stay readable until all are settled */
    for (int64_t v = 0; v < n_values; v++) {
        if (v + 8 < n_values) __builtin_prefetch(values[v + 8]);
        reel_tensor_settle(values[v]);
    }
    for (int64_t n = 0; n < count && ctx->n_effects > 0; n++) {
        if (!reel_node_is_effect(nodes[n])) continue;
        ctx->n_effects--;
        reel_node_release(nodes[n]);
    }
    if (!inner) free_released(ctx);
    ctx->freeing = inner;
}

void reel_node_mark_reversed(reel_node *node)
{
    if (node->reversed) return;
    node->reversed = true;
    for (int i = 0; i < node->n_in + node->n_out; i++)
        if (node->tensors[i]) {
            node->tensors[i]->grad_uses--;
            reel_tensor_settle(node->tensors[i]);
        }
}

void reel_tensor_cut(reel_tensor *x)
{
    reel_node *node = x->producer;
    if (!node || node->pending || node->requires_grad) return;
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (t && t->refs > 0 && !t->storage) return;
    }
    node->live++;
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (!t || t->refs == 0) continue;
        t->producer = NULL;
        reel_node_out(node)[k] = NULL;
        node->live--;
    }
    reel_node_release(node);
}

/* Memory that stays anyway. A view of it keeps it, and with it the count of its overwrites. */
static bool views_leaf(const reel_tensor *x)
{
    while (x->producer && x->producer->op->flags & REEL_OP_VIEW) x = x->producer->tensors[0];
    return !x->producer;
}

void reel_tensor_settle_value(reel_tensor *x)
{
    reel_node *node = x->producer;
    reel_ctx *ctx = x->ctx;
    bool keep = x->pinned || x->is_grad ||
                (x->handle >= 0 && (ctx->eager || x->numel * (int64_t)reel_dtype_size((reel_dtype)x->dtype) <= REEL_KEEP_BYTES));
    if (keep) {
        if (!node->requires_grad) reel_tensor_cut(x);
    } else if (x->grad_uses == 0 && !views_leaf(x)) {
        reel_storage_unref(ctx, x->storage);
        x->storage = NULL;
    }
}

void reel_tensor_unref(reel_tensor *x)
{
    if (--x->refs > 0) return;
    if (x->producer)
        reel_node_release(x->producer);
    else
        reel_tensor_destroy(x);
}

bool reel_grow_handles(reel_ctx *ctx)
{
    if (ctx->n_handles > INT32_MAX) return reel_fail(ctx, REEL_ERROR_MEMORY, "more than %d tensors", INT32_MAX) != NULL;
    return reel_grow(ctx, &ctx->handles, &ctx->handles_capacity, ctx->n_handles + 1, sizeof *ctx->handles);
}

static inline void lose_handle(reel_tensor *x)
{
    x->handle = -1;
    x->pinned = false;
    if (x->extra) { /* nobody can ask for these, and a gradient with a history leads back to its leaf */
        reel_clear_grad(x);
        reel_storage_unref(x->ctx, x->extra->row_major);
        x->extra->row_major = NULL;
    }
    reel_tensor_settle(x);
    reel_tensor_unref(x);
}

void reel_tensor_drop_handle(reel_tensor *x)
{
    reel_ctx *ctx = x->ctx;
    int64_t first = ctx->depth && ctx->depth <= ctx->scopes_capacity ? ctx->scopes[ctx->depth - 1].first : 0;
    if (x->handle >= first) { /* of the innermost scope: the last handle takes its place */
        reel_tensor *last = ctx->handles[--ctx->n_handles];
        ctx->handles[x->handle] = last;
        if (last) last->handle = x->handle;
    } else {
        ctx->handles[x->handle] = NULL;
    }
    lose_handle(x);
}

/* Drops the handles of the innermost scope, or hands them to the one around it. */
void reel_scope_close(reel_ctx *ctx)
{
    int64_t first = ctx->scopes[ctx->depth - 1].first, kept = first, stay = 0;
    bool inner = ctx->freeing;
    ctx->freeing = true;
    /* From the newest on, so that a value goes together with the node that read it. */
    for (int64_t i = ctx->n_handles; i-- > first;) {
        reel_tensor *t = ctx->handles[i];
        if (i >= first + 4) __builtin_prefetch(ctx->handles[i - 4], 1);
        if (!t) continue;
        if (t->scope < ctx->depth) {
            stay++;
        } else {
            ctx->handles[i] = NULL;
            lose_handle(t);
            if (!inner) free_released(ctx);
        }
    }
    ctx->freeing = inner;
    for (int64_t i = first; stay > 0; i++) {
        reel_tensor *t = ctx->handles[i];
        if (!t) continue;
        t->handle = kept;
        ctx->handles[kept++] = t;
        stay--;
    }
    ctx->n_handles = kept;
    ctx->depth--;
}

void reel_tape_discard_effects(reel_ctx *ctx)
{
    for (reel_node *node = ctx->pending_first; node && ctx->n_effects > 0;) {
        reel_node *effect = node;
        node = node->next;
        if (!reel_node_is_effect(effect)) continue;
        int writes = effect->op->writes ? effect->op->writes : 1;
        for (int i = 0; i < writes && i < effect->n_in; i++)
            if (effect->tensors[i] && effect->tensors[i]->storage)
                effect->tensors[i]->storage->recorded = effect->tensors[i]->storage->version;
        ctx->n_effects--;
        /* Releasing may free neighbours: begin again from the front. */
        reel_node_release(effect);
        node = ctx->pending_first;
    }
}
