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
    return t->contiguous ? key : put_bytes(key, reel_tensor_strides(t), t->ndim * sizeof t->shape[0]);
}

static inline void number(reel_play_list *list, reel_tensor *t)
{
    t->plan_id = (int32_t)list->n_values;
    list->values[list->n_values++] = t;
}

/* The two halves of the product of two numbers, one over the other: each bit depends on all. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 uint128;
    uint128 product = (uint128)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD1B54A32D192ED03u); /* odd, with well spread bits */
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two chains that do not wait for each other, sixteen bytes at a time. */
static uint64_t hash_words(const uint32_t *key, int64_t words)
{
    uint64_t first = (uint64_t)words, second = 1, two[4];
    int64_t i = 0;
    for (; i + 8 <= words; i += 8) {
        memcpy(two, key + i, sizeof two);
        first = mix(first ^ two[0], two[1]);
        second = mix(second ^ two[2], two[3]);
    }
    for (; i < words; i++) first = mix(first, key[i]);
    return mix(first, second);
}

void reel_plan_count_back(const reel_play_list *list, int64_t n_nodes)
{
    for (int64_t n = 0; n < n_nodes; n++)
        for (int i = 0; i < list->nodes[n]->n_in; i++)
            if (list->nodes[n]->tensors[i]) list->nodes[n]->tensors[i]->pending_uses++;
}

/* The node's part of the key, for which there is room; NULL when an input has been overwritten. */
static uint32_t *put_node(uint32_t *key, reel_play_list *list, const reel_node *node, size_t attrs)
{
    int n_in = node->n_in, n_out = node->n_out;
    key = put_bytes(key, &node->op, sizeof node->op);
    *key++ = (uint32_t)n_in << 8 | (uint32_t)n_out;
    if (attrs) key = put_bytes(key, node->attrs, attrs);
    bool overwritten = false;
    for (int i = 0; i < n_in; i++) {
        reel_tensor *t = node->tensors[i];
        if (!t) {
            *key++ = UINT32_MAX;
            continue;
        }
        t->pending_uses--;
        overwritten |= t->storage && t->storage->version != node->versions[i];
        if (t->plan_id >= 0) {
            *key++ = (uint32_t)t->plan_id;
        } else {
            number(list, t);
            key = put_external(key, t);
        }
    }
    for (int k = 0; k < n_out; k++) number(list, node->tensors[n_in + k]);
    return overwritten && !list->overwrites ? NULL : key;
}

static bool put_nodes(reel_ctx *ctx, reel_play_list *list, int64_t *done)
{
    uint32_t *key = put_bytes(list->key, &list->n_nodes, sizeof list->n_nodes);
    for (int64_t n = 0; n < list->n_nodes; n++) {
        const reel_node *node = list->nodes[n];
        /* Elementwise ops read their attributes when they are played: they shape no plan. */
        size_t attrs = node->op->pointwise ? 0 : node->op->key_size ? node->op->key_size : node->op->attrs_size;
        int64_t words = 4 + (int64_t)(attrs + 3) / 4 + node->n_in * (1 + 4 * REEL_MAX_DIMS); /* one is zeroed beyond */
        if (list->n_values + node->n_in + node->n_out > list->values_capacity || key - list->key + words > list->key_capacity) {
            list->key_words = key - list->key;
            if (!reel_grow(ctx, &list->values, &list->values_capacity, list->n_values + node->n_in + node->n_out,
                           sizeof *list->values) ||
                !reel_grow(ctx, &list->key, &list->key_capacity, list->key_words + words, sizeof *list->key))
                return false;
            key = list->key + list->key_words;
        }
        *done = n + 1;
        if (n + 6 < list->n_nodes) __builtin_prefetch(&list->nodes[n + 6]->op, 1);
        key = put_node(key, list, node, attrs);
        if (!key) return reel_check_versions(ctx, node);
    }
    list->key_words = key - list->key;
    return true;
}

/* Of every value, when all uses have been counted off: whether it is there already, else whether it outlives the plan. */
static bool put_values(reel_ctx *ctx, reel_play_list *list)
{
    int64_t words = (list->n_values + 3) / 4;
    if (!reel_grow(ctx, &list->key, &list->key_capacity, list->key_words + words, sizeof *list->key)) return false;
    uint8_t *flags = (uint8_t *)(list->key + list->key_words);
    memset(flags, 0, (size_t)words * sizeof *list->key);
    for (int64_t v = 0; v < list->n_values; v++) {
        if (v + 8 < list->n_values) __builtin_prefetch(list->values[v + 8], 1);
        list->values[v]->plan_id = -1;
        flags[v] = list->values[v]->storage ? 2 : reel_value_outlives(list->values[v], ctx->eager);
    }
    list->key_words += words;
    return true;
}

static void give_back(const reel_play_list *list, int64_t n_nodes)
{
    reel_plan_count_back(list, n_nodes);
    for (int64_t v = 0; v < list->n_values; v++) list->values[v]->plan_id = -1;
}

bool reel_plan_key(reel_ctx *ctx, reel_play_list *list)
{
    int64_t done = 0, likely = list->n_nodes * 2 + 64;
    bool ok = reel_grow(ctx, &list->values, &list->values_capacity, likely, sizeof *list->values) &&
              reel_grow(ctx, &list->key, &list->key_capacity, 4 * likely, sizeof *list->key) && put_nodes(ctx, list, &done) &&
              put_values(ctx, list);
    if (ok)
        list->hash = hash_words(list->key, list->key_words);
    else
        give_back(list, done);
    return ok;
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
    for (int64_t v = 0; v < list->n_values; v++) list->values[v]->plan_id = (int32_t)v;
    reel_plan *plan = reel_plan_build(ctx, list);
    for (int64_t v = 0; v < list->n_values; v++) list->values[v]->plan_id = -1;
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
