// SPDX-License-Identifier: MIT
// Memory: size classes with free lists for values, slabs for tensors and nodes.
#define _GNU_SOURCE
#include <reel/core/internal.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ALIGNMENT 64
#define HUGE_PAGE ((size_t)2 << 20)
#define SLAB_BYTES ((size_t)1 << 16)

/* Classes: multiples of 64 up to 1 KiB, then eight steps an octave, so that at most 1/8 is lost. */
static int size_class(size_t bytes, size_t *rounded)
{
    if (bytes <= 1024) {
        size_t units = bytes ? (bytes + 63) / 64 : 1;
        *rounded = units * 64;
        return (int)units - 1;
    }
    int octave = 63 - __builtin_clzll((unsigned long long)(bytes - 1)); /* 2^octave <= bytes - 1 < 2^(octave + 1) */
    size_t step = (size_t)1 << (octave - 3);
    size_t steps = (bytes - 1) / step + 1; /* 9 ... 16 */
    *rounded = steps * step;
    return 16 + (octave - 10) * 8 + (int)steps - 9;
}

static void *default_allocate(size_t bytes)
{
#if defined(__linux__)
    if (bytes >= 2 * HUGE_PAGE) {
        size_t whole = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
        void *memory = aligned_alloc(HUGE_PAGE, whole);
        if (memory) madvise(memory, whole, MADV_HUGEPAGE);
        return memory;
    }
#endif
    return aligned_alloc(ALIGNMENT, bytes);
}

static void *system_allocate(reel_pool *pool, size_t bytes)
{
    pool->system_allocations++;
    return pool->allocate ? pool->allocate(pool->user, bytes, ALIGNMENT) : default_allocate(bytes);
}

static void system_release(reel_pool *pool, void *memory)
{
    if (pool->release)
        pool->release(pool->user, memory);
    else
        free(memory);
}

/* Gives the kept blocks back to the system. */
static void flush(reel_pool *pool)
{
    for (int c = 0; c < REEL_POOL_CLASSES; c++) {
        size_t bytes = 0;
        if (pool->free[c]) bytes = c < 16 ? (size_t)(c + 1) * 64 : (size_t)((c - 16) % 8 + 9) << ((c - 16) / 8 + 7);
        while (pool->free[c]) {
            reel_block *block = pool->free[c];
            pool->free[c] = block->next;
            pool->held -= bytes;
            system_release(pool, block);
        }
    }
}

void *reel_pool_alloc(reel_ctx *ctx, size_t bytes)
{
    reel_pool *pool = &ctx->pool;
    if (bytes > SIZE_MAX / 4) return reel_fail(ctx, REEL_ERROR_MEMORY, "%zu bytes are more than memory can hold", bytes);
    size_t rounded;
    int c = size_class(bytes, &rounded);
    if (c >= REEL_POOL_CLASSES) return reel_fail(ctx, REEL_ERROR_MEMORY, "%zu bytes are more than memory can hold", bytes);
    if (pool->limit && (rounded > pool->limit || pool->in_use > pool->limit - rounded))
        return reel_fail(ctx, REEL_ERROR_MEMORY,
                         "the context's memory limit of %zu bytes would be passed by %zu: %zu are in use and %zu more were asked for",
                         pool->limit, pool->in_use + rounded - pool->limit, pool->in_use, rounded);
    void *memory = pool->free[c];
    if (memory) {
        pool->free[c] = pool->free[c]->next;
    } else {
        memory = system_allocate(pool, rounded);
        if (!memory) {
            flush(pool);
            memory = system_allocate(pool, rounded);
        }
        if (!memory)
            return reel_fail(ctx, REEL_ERROR_MEMORY, "the system has no %zu bytes left (%zu are in use by tensors)",
                             rounded, pool->in_use);
        pool->held += rounded;
    }
    pool->in_use += rounded;
    return memory;
}

void reel_pool_free(reel_ctx *ctx, void *memory, size_t bytes)
{
    if (!memory) return;
    reel_pool *pool = &ctx->pool;
    size_t rounded;
    int c = size_class(bytes, &rounded);
    reel_block *block = memory;
    block->next = pool->free[c];
    pool->free[c] = block;
    pool->in_use -= rounded;
}

void reel_pool_return(reel_ctx *ctx, void *memory, size_t bytes)
{
    if (!memory) return;
    size_t rounded;
    size_class(bytes, &rounded);
    ctx->pool.in_use -= rounded;
    ctx->pool.held -= rounded;
    system_release(&ctx->pool, memory);
}

void *reel_slab_alloc(reel_ctx *ctx, size_t bytes)
{
    reel_pool *pool = &ctx->pool;
    size_t units = (bytes + 63) / 64;
    if (units > 32) return reel_pool_alloc(ctx, bytes);
    if ((size_t)(pool->slab_end - pool->slab_at) < units * 64) {
        reel_block *slab = system_allocate(pool, SLAB_BYTES);
        if (!slab) return reel_fail(ctx, REEL_ERROR_MEMORY, "the system has no %zu bytes left", SLAB_BYTES);
        pool->held += SLAB_BYTES;
        slab->next = pool->slabs;
        pool->slabs = slab;
        pool->slab_at = (char *)slab + 64;
        pool->slab_end = (char *)slab + SLAB_BYTES;
    }
    void *memory = pool->slab_at;
    pool->slab_at += units * 64;
    return memory;
}

bool reel_grow_array(reel_ctx *ctx, void *array, int64_t *capacity, int64_t need, size_t item)
{
    int64_t grown = *capacity < 64 ? 64 : *capacity;
    while (grown < need) grown *= 2;
    void *smaller, *larger = reel_pool_alloc(ctx, reel_bytes((size_t)grown, item));
    if (!larger) return false;
    memcpy(&smaller, array, sizeof smaller);
    if (smaller) {
        memcpy(larger, smaller, (size_t)*capacity * item);
        reel_pool_free(ctx, smaller, (size_t)*capacity * item);
    }
    memcpy(array, &larger, sizeof larger);
    *capacity = grown;
    return true;
}

void reel_pool_close(reel_ctx *ctx)
{
    reel_pool *pool = &ctx->pool;
    flush(pool);
    while (pool->slabs) {
        reel_block *slab = pool->slabs;
        pool->slabs = slab->next;
        system_release(pool, slab);
    }
}
