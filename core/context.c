// SPDX-License-Identifier: MIT
// The context and its scopes.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include <reel/core/plan.h>
#include <reel/core/profile.h>
#include <reel/core/team.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *reel_version(void) { return REEL_VERSION; }

static int default_threads(void)
{
    const char *asked = getenv("OMP_NUM_THREADS");
    int threads = asked ? atoi(asked) : 0;
    if (threads > 0) return threads;
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0) return CPU_COUNT(&allowed);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < 256 ? (int)online : 1;
}

static bool environment_flag(const char *name)
{
    const char *text = getenv(name);
    return text && *text && strcmp(text, "0") != 0;
}

reel_ctx *reel_ctx_new(const reel_ctx_opts *opts)
{
    static const reel_ctx_opts defaults;
    if (!opts) opts = &defaults;
    bool own = opts->allocate && opts->release;
    reel_ctx *ctx = own ? opts->allocate(opts->allocator_user, sizeof *ctx, 64) : malloc(sizeof *ctx);
    if (!ctx) return NULL;
    memset(ctx, 0, sizeof *ctx);
    ctx->pool.allocate = own ? opts->allocate : NULL;
    ctx->pool.release = own ? opts->release : NULL;
    ctx->pool.user = opts->allocator_user;
    ctx->pool.limit = opts->memory_limit;
    ctx->scratch.ctx = ctx;
    reel_team_hold();
    ctx->generator.seed = opts->seed;
    ctx->eager = opts->eager || environment_flag("REEL_EAGER");
    ctx->anomaly = opts->anomaly || environment_flag("REEL_ANOMALY");
    ctx->recompute = opts->recompute;
    ctx->exec.threads = opts->threads > 0 ? opts->threads : default_threads();
    ctx->exec.scratch = &ctx->scratch;
    ctx->exec.isa = reel_isa_detect();
    if (!own && (opts->allocate || opts->release))
        reel_fail(ctx, REEL_ERROR_VALUE, "ctx_new: there is no %s (NULL) beside the other", opts->allocate ? "release" : "allocate");
    const char *isa = opts->isa ? opts->isa : getenv("REEL_ISA");
    if (isa && *isa) {
        reel_isa asked;
        if (!reel_isa_parse(isa, &asked))
            reel_fail(ctx, REEL_ERROR_VALUE, "the instruction set '%s' is not one of portable, base, avx2, avx512", isa);
        else if (asked > ctx->exec.isa)
            reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "this machine has no %s; the best it has is %s", isa,
                      reel_isa_name(ctx->exec.isa));
        else
            ctx->exec.isa = asked;
    }
    return ctx;
}

void reel_ctx_free(reel_ctx *ctx)
{
    if (!ctx) return;
    reel_fail(ctx, REEL_ERROR_CONTEXT, "the context is being freed"); /* nothing is played from here on */
    while (ctx->depth > 0) reel_scope_end(ctx);
    reel_tape_discard_effects(ctx);
    for (int64_t i = ctx->n_handles; i-- > 0;)
        if (ctx->handles[i]) reel_tensor_drop_handle(ctx->handles[i]);
    reel_scratch_release(ctx);
    while (ctx->profiles) reel_profile_free(ctx->profiles);
    while (ctx->attached) {
        reel_attachment *attached = ctx->attached;
        ctx->attached = attached->next;
        attached->release(attached);
    }
    reel_plan_cache_close(ctx);
    if (ctx->arena) reel_pool_free(ctx, ctx->arena, ctx->arena_bytes);
    if (ctx->handles) reel_pool_free(ctx, ctx->handles, (size_t)ctx->handles_capacity * sizeof *ctx->handles);
    if (ctx->scopes) reel_pool_free(ctx, ctx->scopes, (size_t)ctx->scopes_capacity * sizeof *ctx->scopes);
    if (ctx->scratch.blocks)
        reel_pool_free(ctx, ctx->scratch.blocks, (size_t)ctx->scratch.capacity * sizeof *ctx->scratch.blocks);
    reel_pool_close(ctx);
    reel_team_release();
    if (ctx->pool.release)
        ctx->pool.release(ctx->pool.user, ctx);
    else
        free(ctx);
}

int reel_ctx_threads(const reel_ctx *ctx) { return ctx ? ctx->exec.threads : 0; }

void reel_ctx_set_threads(reel_ctx *ctx, int threads)
{
    if (ctx) ctx->exec.threads = threads > 0 ? threads : default_threads();
}

reel_isa reel_ctx_isa(const reel_ctx *ctx) { return ctx ? ctx->exec.isa : REEL_ISA_PORTABLE; }

void reel_ctx_set_anomaly(reel_ctx *ctx, bool on)
{
    if (ctx) ctx->anomaly = on;
}

bool reel_ctx_anomaly(const reel_ctx *ctx) { return ctx && ctx->anomaly; }

void reel_ctx_set_eager(reel_ctx *ctx, bool on)
{
    if (ctx) ctx->eager = on;
}

reel_memory_stats reel_ctx_memory(const reel_ctx *ctx)
{
    if (!ctx) return (reel_memory_stats){ 0 };
    return (reel_memory_stats){
        .tensors_now = ctx->value_bytes,
        .tensors_peak = ctx->value_peak,
        .pool = ctx->pool.held,
        .in_use = ctx->pool.in_use,
        .system_allocations = ctx->pool.system_allocations,
        .nodes = ctx->n_nodes,
        .plan_hits = ctx->plan_hits,
        .plan_misses = ctx->plan_misses,
    };
}

void reel_ctx_reset_peak(reel_ctx *ctx)
{
    if (ctx) ctx->value_peak = ctx->value_bytes;
}

void reel_scope_begin(reel_ctx *ctx)
{
    if (!ctx) return;
    int64_t capacity = ctx->scopes_capacity;
    /* On a failure the depth still counts, so that every end meets its begin; its handles then live one scope longer. */
    if (reel_grow(ctx, &ctx->scopes, &capacity, ctx->depth + 1, sizeof *ctx->scopes))
        ctx->scopes_capacity = (int32_t)capacity;
    if (ctx->depth < ctx->scopes_capacity) ctx->scopes[ctx->depth] = (reel_scope_mark){ .first = ctx->n_handles };
    ctx->depth++;
}

/* Plays what must not get lost: overwrites, and gradients and results that outlive the scope. */
static void play_before_end(reel_ctx *ctx, int64_t first)
{
    int64_t count = 0, returned = 0;
    for (int64_t i = first; i < ctx->n_handles; i++)
        if (ctx->handles[i] && ctx->handles[i]->scope < ctx->depth && !ctx->handles[i]->storage) returned++;
    for (reel_tensor *leaf = ctx->dirty; leaf; leaf = leaf->extra->next_dirty)
        if (leaf->extra->grad && leaf->scope < ctx->depth) count++;
    if (count + returned == 0 && ctx->n_effects == 0) return;
    size_t bytes = (size_t)(count + returned + 1) * sizeof(reel_tensor *);
    reel_tensor **targets = reel_pool_alloc(ctx, bytes);
    if (!targets) return;
    int64_t n = 0;
    for (int64_t i = first; i < ctx->n_handles; i++)
        if (ctx->handles[i] && ctx->handles[i]->scope < ctx->depth && !ctx->handles[i]->storage)
            targets[n++] = ctx->handles[i];
    reel_tensor *leaf = ctx->dirty;
    ctx->dirty = NULL;
    while (leaf) {
        reel_tensor *next = leaf->extra->next_dirty;
        if (leaf->scope < ctx->depth) {
            if (leaf->extra->grad) targets[n++] = leaf->extra->grad;
            leaf->extra->dirty = false;
        } else {
            leaf->extra->next_dirty = ctx->dirty;
            ctx->dirty = leaf;
        }
        leaf = next;
    }
    for (int64_t i = 0; i < n; i++) {
        reel_tensor_ref(targets[i]);
        if (targets[i]->handle >= 0) targets[i]->pinned = true;
    }
    reel_play_targets(ctx, targets, n, true);
    for (int64_t i = 0; i < n; i++) reel_tensor_unref(targets[i]);
    reel_pool_free(ctx, targets, bytes);
}

void reel_scope_end_quietly(reel_ctx *ctx)
{
    if (ctx->depth <= ctx->scopes_capacity)
        reel_scope_close(ctx);
    else
        ctx->depth--; /* its begin could not be noted: its handles are the outer scope's */
}

void reel_scope_end(reel_ctx *ctx)
{
    if (!ctx) return;
    if (ctx->depth == 0) {
        reel_fail(ctx, REEL_ERROR_CONTEXT, "reel_scope_end: no scope is open");
        return;
    }
    if (ctx->depth <= ctx->scopes_capacity) {
        reel_scope_mark mark = ctx->scopes[ctx->depth - 1];
        if (!ctx->error && (ctx->depth == 1 || mark.reversed)) play_before_end(ctx, mark.first);
        if (ctx->error && ctx->n_effects) reel_tape_discard_effects(ctx);
    }
    reel_scope_end_quietly(ctx);
}

reel_tensor *reel_scope_return(reel_tensor *t)
{
    if (!t) return NULL;
    if (t->handle < 0) return reel_fail(t->ctx, REEL_ERROR_CONTEXT, "reel_scope_return: the tensor has been freed");
    if (t->scope > 0 && t->scope == t->ctx->depth) t->scope--;
    return t;
}

reel_guard reel_scope_guard(reel_ctx *ctx)
{
    reel_scope_begin(ctx);
    return (reel_guard){ ctx, ctx ? ctx->depth : 0 };
}

void reel_scope_guard_end(reel_guard *guard)
{
    /* Inner scopes begun by hand and left open end with it. */
    while (guard->ctx && guard->ctx->depth >= guard->depth) reel_scope_end(guard->ctx);
    guard->ctx = NULL;
}

reel_guard reel_composite_guard(reel_ctx *ctx) { return reel_scope_guard(ctx); }

void reel_composite_guard_end(reel_guard *guard)
{
    while (guard->ctx && guard->ctx->depth >= guard->depth) reel_scope_end_quietly(guard->ctx);
    guard->ctx = NULL;
}

reel_guard reel_no_grad_guard(reel_ctx *ctx)
{
    if (ctx) ctx->no_grad++;
    return (reel_guard){ ctx, 0 };
}

void reel_no_grad_guard_end(reel_guard *guard)
{
    if (guard->ctx) guard->ctx->no_grad--;
    guard->ctx = NULL;
}
