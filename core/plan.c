// SPDX-License-Identifier: MIT
// The key of what was recorded, and the cache of plans.
#include <reel/core/plan.h>
#include <string.h>

#define MOST_PLANS 256
#define MOST_PLAN_BYTES ((size_t)16 << 20)
#define EXTERNAL_MARK 0x80000000u

/* Each writes behind `key` and gives what comes next; the room has been seen to. */
static inline uint32_t *put_bytes(uint32_t *key, const void *bytes, size_t n)
{
    key[n / 4] = 0;
    memcpy(key, bytes, n);
    return key + (n + 3) / 4;
}

static uint32_t *put_external(uint32_t *key, const reel_tensor *t)
{
    *key++ = EXTERNAL_MARK | (uint32_t)t->dtype << 8 | (uint32_t)t->ndim << 1 | t->contiguous;
    key = put_bytes(key, t->shape, t->ndim * sizeof t->shape[0]);
    return t->contiguous ? key : put_bytes(key, t->strides, t->ndim * sizeof t->strides[0]);
}

static inline void number(reel_play_list *list, reel_tensor *t)
{
    t->plan_id = (int32_t)list->n_values;
    list->values[list->n_values++] = t;
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
    int64_t most_values = 0;
    for (int64_t n = 0; n < list->n_nodes; n++) {
        most_values += list->nodes[n]->n_in + list->nodes[n]->n_out;
        list->overwrites |= (list->nodes[n]->op->flags & REEL_OP_INPLACE) != 0;
    }
    int64_t likely = 4 * list->n_nodes + most_values + 64;
    if (!reel_grow(ctx, &list->values, &list->values_capacity, most_values, sizeof *list->values) ||
        !reel_grow(ctx, &list->key, &list->key_capacity, likely, sizeof *list->key))
        return false;
    for (int64_t n = 0; n < list->n_nodes; n++) {
        const reel_node *node = list->nodes[n];
        const reel_op *op = node->op;
        int n_in = node->n_in, n_out = node->n_out;
        /* Elementwise ops read their attributes when they are played: they shape no plan. */
        size_t attrs = op->pointwise ? 0 : op->key_size ? op->key_size : op->attrs_size;
        int64_t most = 4 + (int64_t)(attrs + 3) / 4 + n_in * (1 + 4 * REEL_MAX_DIMS) + n_out;
        if (!reel_grow(ctx, &list->key, &list->key_capacity, list->key_words + most, sizeof *list->key)) return false;
        uint32_t *key = put_bytes(list->key + list->key_words, &op, sizeof op);
        *key++ = (uint32_t)n_in << 8 | (uint32_t)n_out;
        if (attrs) key = put_bytes(key, node->attrs, attrs);
        for (int i = 0; i < n_in; i++) {
            reel_tensor *t = node->tensors[i];
            if (!t) {
                *key++ = UINT32_MAX;
                continue;
            }
            if (t->storage && t->storage->version != node->versions[i] && !list->overwrites) return reel_check_versions(ctx, node);
            if (t->plan_id >= 0) {
                *key++ = (uint32_t)t->plan_id;
            } else {
                number(list, t);
                key = put_external(key, t);
            }
        }
        for (int k = 0; k < n_out; k++) {
            reel_tensor *t = node->tensors[n_in + k];
            number(list, t);
            *key++ = (uint32_t)reel_value_outlives(t, ctx->eager) | (uint32_t)(t->storage != NULL) << 1;
        }
        list->key_words = key - list->key;
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
