// SPDX-License-Identifier: MIT
// The key of what was recorded, and the cache of plans.
#include <reel/core/plan.h>
#include <string.h>

#define MOST_PLANS 256
#define MOST_PLAN_BYTES ((size_t)16 << 20)
#define EXTERNAL_MARK 0x80000000u

static inline void put(reel_play_list *list, uint32_t word) { list->key[list->key_words++] = word; }

static void put_bytes(reel_play_list *list, const void *bytes, size_t n)
{
    list->key[list->key_words + (int64_t)(n / 4)] = 0;
    memcpy(list->key + list->key_words, bytes, n);
    list->key_words += (int64_t)((n + 3) / 4);
}

static bool number(reel_ctx *ctx, reel_play_list *list, reel_tensor *t)
{
    if (!reel_grow(ctx, &list->values, &list->values_capacity, list->n_values + 1, sizeof *list->values)) return false;
    t->plan_id = (int32_t)list->n_values;
    list->values[list->n_values++] = t;
    return true;
}

static void put_external(reel_play_list *list, const reel_tensor *t)
{
    put(list, EXTERNAL_MARK | (uint32_t)t->dtype << 8 | (uint32_t)t->ndim << 1 | t->contiguous);
    put_bytes(list, t->shape, t->ndim * sizeof t->shape[0]);
    if (!t->contiguous) put_bytes(list, t->strides, t->ndim * sizeof t->strides[0]);
}

bool reel_value_outlives(const reel_tensor *t, bool eager)
{
    if (t->wanted || t->is_grad || t->pinned || t->pending_uses > 0 || t->grad_uses > 0) return true;
    return t->handle >= 0 && (eager || t->numel * (int64_t)reel_dtype_size((reel_dtype)t->dtype) <= REEL_KEEP_BYTES);
}

static inline uint64_t mix(uint64_t hash, const uint32_t *two)
{
    hash = (hash ^ ((uint64_t)two[0] << 32 | two[1])) * 0x9E3779B97F4A7C15u; /* the golden ratio's bits */
    return hash ^ hash >> 29;
}

/* Four chains that do not wait for each other, eight bytes at a time. */
static uint64_t hash_words(const uint32_t *key, int64_t words)
{
    uint64_t h[4] = { (uint64_t)words, 1, 2, 3 };
    int64_t i = 0;
    for (; i + 8 <= words; i += 8)
        for (int k = 0; k < 4; k++) h[k] = mix(h[k], key + i + 2 * k);
    for (; i < words; i++) h[0] = mix(h[0], (const uint32_t[]){ key[i], 0 });
    for (int k = 1; k < 4; k++) h[0] = mix(h[0], (const uint32_t[]){ (uint32_t)(h[k] >> 32), (uint32_t)h[k] });
    return h[0] ^ h[0] >> 32;
}

bool reel_plan_key(reel_ctx *ctx, reel_play_list *list)
{
    for (int64_t n = 0; n < list->n_nodes && !list->overwrites; n++) list->overwrites = list->nodes[n]->op->flags & REEL_OP_INPLACE;
    for (int64_t n = 0; n < list->n_nodes; n++) {
        const reel_node *node = list->nodes[n];
        const reel_op *op = node->op;
        /* Elementwise ops read their attributes when they are played: they shape no plan. */
        size_t attrs = op->pointwise ? 0 : op->key_size ? op->key_size : op->attrs_size;
        int64_t most = 4 + (int64_t)(attrs + 3) / 4 + node->n_in * (1 + 4 * REEL_MAX_DIMS) + node->n_out;
        if (!reel_grow(ctx, &list->key, &list->key_capacity, list->key_words + most, sizeof *list->key)) return false;
        put_bytes(list, &op, sizeof op);
        put(list, (uint32_t)node->n_in << 8 | node->n_out);
        if (attrs) put_bytes(list, node->attrs, attrs);
        for (int i = 0; i < node->n_in; i++) {
            reel_tensor *t = node->tensors[i];
            if (t && t->storage && t->storage->version != node->versions[i] && !list->overwrites) return reel_check_versions(ctx, node);
            if (!t) {
                put(list, UINT32_MAX);
            } else if (t->plan_id >= 0) {
                put(list, (uint32_t)t->plan_id);
            } else {
                if (!number(ctx, list, t)) return false;
                put_external(list, t);
            }
        }
        for (int k = 0; k < node->n_out; k++) {
            reel_tensor *t = node->tensors[node->n_in + k];
            if (!number(ctx, list, t)) return false;
            put(list, (uint32_t)reel_value_outlives(t, ctx->eager) | (uint32_t)(t->storage != NULL) << 1);
        }
    }
    list->hash = hash_words(list->key, list->key_words);
    return true;
}

/* The cache: buckets by hash, and a list in order of last use. */

static void unlink_use(reel_plan_cache *cache, reel_plan *plan)
{
    if (plan->newer)
        plan->newer->older = plan->older;
    else
        cache->newest = plan->older;
    if (plan->older)
        plan->older->newer = plan->newer;
    else
        cache->oldest = plan->newer;
}

static void link_newest(reel_plan_cache *cache, reel_plan *plan)
{
    plan->newer = NULL;
    plan->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = plan;
    else
        cache->oldest = plan;
    cache->newest = plan;
}

static void evict(reel_ctx *ctx, reel_plan *plan)
{
    reel_plan_cache *cache = &ctx->plans;
    unlink_use(cache, plan);
    reel_plan **at = &cache->bucket[plan->hash % REEL_PLAN_BUCKETS];
    while (*at != plan) at = &(*at)->next;
    *at = plan->next;
    cache->count--;
    cache->bytes -= plan->bytes;
    reel_plan_destroy(ctx, plan);
}

void reel_plan_cache_close(reel_ctx *ctx)
{
    while (ctx->plans.oldest) evict(ctx, ctx->plans.oldest);
}

reel_plan *reel_plan_for(reel_ctx *ctx, reel_play_list *list)
{
    reel_plan_cache *cache = &ctx->plans;
    for (reel_plan *plan = cache->bucket[list->hash % REEL_PLAN_BUCKETS]; plan; plan = plan->next)
        if (plan->hash == list->hash && plan->key_words == list->key_words &&
            memcmp(plan->key, list->key, (size_t)list->key_words * sizeof *list->key) == 0) {
            ctx->plan_hits++;
            if (plan != cache->newest) {
                unlink_use(cache, plan);
                link_newest(cache, plan);
            }
            return plan;
        }
    ctx->plan_misses++;
    int64_t start = ctx->profile ? reel_profile_clock() : 0;
    reel_plan *plan = reel_plan_build(ctx, list);
    if (!plan) return NULL;
    if (ctx->profile && !reel_profile_span(ctx, start, REEL_SPAN_PLAN, "plan")) {
        reel_plan_destroy(ctx, plan);
        return NULL;
    }
    while (cache->oldest && (cache->count >= MOST_PLANS || cache->bytes + plan->bytes > MOST_PLAN_BYTES))
        evict(ctx, cache->oldest);
    plan->next = cache->bucket[plan->hash % REEL_PLAN_BUCKETS];
    cache->bucket[plan->hash % REEL_PLAN_BUCKETS] = plan;
    link_newest(cache, plan);
    cache->count++;
    cache->bytes += plan->bytes;
    return plan;
}
