// SPDX-License-Identifier: MIT
// What plays keep along with an input that does not change: filters brought into a kernel's layout, and the like.
#include <reel/core/internal.h>

static const size_t MOST_KEPT = (size_t)512 << 20; /* in a context */

typedef struct reel_kept {
    struct reel_kept *next;
    void *memory; /* NULL until asked for twice with the same value */
    size_t bytes;
    uint32_t tag, version;
} reel_kept;

static void drop_memory(reel_ctx *ctx, reel_kept *kept)
{
    if (!kept->memory) return;
    reel_pool_free(ctx, kept->memory, kept->bytes);
    ctx->kept -= kept->bytes;
    kept->memory = NULL;
}

void reel_kept_drop(reel_ctx *ctx, reel_storage *storage)
{
    while (storage->kept) {
        reel_kept *kept = storage->kept;
        storage->kept = kept->next;
        drop_memory(ctx, kept);
        reel_small_free(ctx, kept, sizeof *kept);
    }
}

void reel_kept_forget(reel_ctx *ctx, const reel_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i] && node->tensors[i]->storage) reel_kept_drop(ctx, node->tensors[i]->storage);
}

/* Memory that its owner may write behind our back, or that is part of a larger block, says nothing by its version. */
static reel_storage *storage_of(const reel_play *play, int i)
{
    const reel_node *node = play->node;
    const reel_tensor *t = node && i >= 0 && i < node->n_in ? node->tensors[i] : NULL;
    if (!t || t->producer || !t->storage || t->offset != 0 || !t->contiguous) return NULL;
    return t->storage->borrowed || t->storage->shared ? NULL : t->storage;
}

void *reel_play_keep(const reel_play *play, int i, uint32_t tag, size_t bytes, bool *ready)
{
    if (!ready) return NULL;
    *ready = false;
    reel_ctx *ctx = play->ctx;
    reel_storage *storage = storage_of(play, i);
    if (!storage) return NULL;
    reel_kept *kept = storage->kept;
    while (kept && kept->tag != tag) kept = kept->next;
    if (!kept || kept->version != storage->version || kept->bytes != bytes) { /* the first time with this value */
        if (!kept) {
            kept = reel_small_alloc(ctx, sizeof *kept);
            if (!kept) return NULL;
            *kept = (reel_kept){ .next = storage->kept, .tag = tag };
            storage->kept = kept;
        }
        drop_memory(ctx, kept);
        kept->version = storage->version;
        kept->bytes = bytes;
        return NULL;
    }
    *ready = kept->memory != NULL;
    /* Not where it would use up what a limit leaves. */
    size_t left = ctx->pool.limit ? ctx->pool.limit - ctx->pool.in_use : SIZE_MAX;
    if (!kept->memory && bytes <= left / 4 && bytes <= MOST_KEPT - ctx->kept) {
        kept->memory = reel_pool_alloc(ctx, bytes);
        if (kept->memory) ctx->kept += bytes;
    }
    return kept->memory;
}
