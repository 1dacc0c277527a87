// SPDX-License-Identifier: MIT
// What the parts of core know of each other: the structures behind the public handles. Not installed.
#ifndef REEL_CORE_INTERNAL_H
#define REEL_CORE_INTERNAL_H

#include <reel/core/attached.h>
#include <reel/core/autograd.h>
#include <reel/core/op.h>
#include <reel/core/random.h>
#include <reel/core/call_stack.h>

/* What core asks of ops: nothing else of ops is known here. */
reel_tensor *reel_add(reel_tensor *a, reel_tensor *b);
reel_tensor *reel_sum_to(reel_tensor *x, reel_shape shape);
reel_tensor *reel_contiguous(reel_tensor *x);

typedef struct reel_node reel_node;

/* Memory that tensors share. `recorded` counts the overwrites on the tape, `version` those that have been played. */
typedef struct reel_storage {
    void *data;
    size_t bytes;
    int32_t refs;
    uint32_t version, recorded;
    bool borrowed; /* the user's memory: never freed, never overwritten          */
    bool doomed;   /* a pending effect overwrites it; used while collecting only */
    bool shared;   /* one block for small values of a plan: never overwritten   */
    struct reel_kept *kept; /* what plays keep of this value; see keep.c        */
} reel_storage;

typedef struct reel_hook {
    struct reel_hook *next;
    reel_grad_hook *call;
    void *user;
} reel_hook;

/* What few tensors have. */
typedef struct reel_extra {
    reel_tensor *grad;
    reel_hook *hooks;
    reel_tensor *next_dirty; /* list of leaves whose gradient has not been played */
    reel_storage *row_major; /* for reel_data: the values of a view that lie otherwise */
    uint32_t copied;         /* the version they are of                                */
    bool dirty;
} reel_extra;

/* A tensor is a value on the tape. Outputs live as long as their node; the node lives while one of them is referred to.
 * What play looks at is in the first 64 bytes, one cache line. */
struct reel_tensor {
    int64_t offset;        /* of element 0 in the storage, in elements; first, since the pool writes there once it is gone */
    reel_ctx *ctx;
    reel_node *producer;   /* NULL: a leaf, or a value without history                       */
    reel_storage *storage; /* NULL: not played yet, or dropped after its last use            */
    int32_t refs;          /* the handle, nodes that read it, a leaf whose gradient it is; negative: gone */
    int32_t pending_uses;  /* unplayed nodes that read it                                    */
    int32_t grad_uses;     /* unreversed differentiable nodes that read or made it           */
    int32_t plan_id;       /* while planning: its number in the plan, else -1                */
    int32_t slot;          /* while reversing: index of its cotangent, else -1               */
    uint8_t dtype, ndim;
    bool requires_grad, contiguous;
    bool pinned;           /* asked for by the user: kept while its handle lives             */
    bool is_grad;          /* the gradient of a leaf: kept while the leaf refers to it       */
    bool wanted;           /* while reversing or playing: asked for                          */
    int64_t numel;
    int64_t view_offset;   /* of a view: from element 0 of what it views                     */
    reel_extra *extra;
    int32_t handle;        /* index in ctx->handles while the user may use it, else -1       */
    int32_t scope;         /* depth of the scope that ends its handle                        */
    int64_t shape[];       /* and behind it as many strides: see reel_tensor_strides         */
};
static inline size_t reel_tensor_bytes(int ndim) { return sizeof(reel_tensor) + (size_t)ndim * 2 * sizeof(int64_t); }
static inline const int64_t *reel_tensor_strides(const reel_tensor *x) { return x->shape + x->ndim; }
static inline void reel_tensor_set_stride(reel_tensor *x, int axis, int64_t stride) { x->shape[x->ndim + axis] = stride; }

/* One application of an op. `tensors` holds the inputs (NULL where left out), then the outputs. What play looks at lies
 * from `op` on, in one cache line with few tensors. */
struct reel_node {
    reel_ctx *ctx;         /* not where a tensor has it, whose memory this may have been: a tensor that is gone is no tensor */
    uint64_t seq;
    void *attrs;
    uint32_t *versions;    /* by input: the storage's `recorded` when this was recorded */
    int32_t live;          /* outputs with refs > 0, plus one for a pending effect      */
    uint32_t bytes;
    bool reversed, useful, visited;
    bool traced;            /* a reel_node_origin is its last part                   */
    _Alignas(64) const reel_op *op;
    reel_node *prev, *next; /* the list of pending nodes, in order of recording; `next` also strings nodes to be freed */
    uint16_t n_in;
    uint8_t n_out;
    bool pending, replay, requires_grad, needed;
    reel_tensor *tensors[];
};

/* Of a node recorded in anomaly mode: where, and by which op's rule when it belongs to a gradient (else NULL). */
typedef struct reel_node_origin {
    reel_call_stack stack;
    const reel_op *rule;
} reel_node_origin;

static inline reel_node_origin *reel_node_origin_of(const reel_node *node)
{
    return node->traced ? (reel_node_origin *)((char *)node + node->bytes - sizeof(reel_node_origin)) : NULL;
}

static inline reel_tensor **reel_node_out(reel_node *node) { return node->tensors + node->n_in; }

/* Frees of equal size are reused; nothing goes back to the system before the context does (or memory is short). */
#define REEL_POOL_CLASSES 512
typedef struct reel_block {
    struct reel_block *next;
} reel_block;

typedef struct reel_pool {
    reel_block *free[REEL_POOL_CLASSES];
    reel_block *small[32];  /* tensors and nodes, by multiples of 64 bytes */
    reel_block *slabs;
    char *slab_at, *slab_end;
    size_t in_use, held, limit;
    int64_t system_allocations;
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    void (*release)(void *user, void *memory);
    void *user;
} reel_pool;

typedef struct reel_scratch_block {
    void *memory;
    size_t bytes;
} reel_scratch_block;

typedef struct reel_scratch_list {
    reel_ctx *ctx;
    reel_scratch_block *blocks;
    int64_t count, capacity;
} reel_scratch_list;

/* Plans by the structure of what was recorded; see plan.h. */
#define REEL_PLAN_BUCKETS 256
typedef struct reel_plan_cache {
    struct reel_plan *bucket[REEL_PLAN_BUCKETS];
    struct reel_plan *newest, *oldest;
    int64_t count;
    size_t bytes;
} reel_plan_cache;

typedef struct reel_scope_mark {
    int64_t first;   /* of its handles */
    bool reversed;   /* a gradient was asked for inside */
} reel_scope_mark;

struct reel_ctx {
    reel_error error;
    char message[1024];
    reel_pool pool;
    size_t kept; /* bytes of what plays keep; see keep.c */
    reel_exec exec;
    reel_scratch_list scratch;
    reel_attachment *attached;
    reel_generator generator;
    reel_tensor **handles;
    int64_t n_handles, handles_capacity;
    reel_scope_mark *scopes;
    int32_t depth, scopes_capacity;
    int32_t no_grad;
    bool eager, anomaly, recompute, reversing, playing;
    const reel_node *reversed_now; /* whose rule is recording */
    uint64_t seq;
    int64_t n_nodes;
    reel_node *pending_first, *pending_last;
    int64_t n_effects;          /* pending nodes that overwrite */
    reel_tensor *dirty;         /* leaves whose gradients wait to be played */
    reel_node *free_nodes;      /* nodes whose last reference went; freed by an outer call */
    bool freeing;
    reel_plan_cache plans;
    void *arena;                /* memory of values that do not outlive their plan */
    size_t arena_bytes, arena_used; /* held, and used by the plan that is being played */
    size_t value_bytes, value_peak; /* of all values; the peak counts the arena too    */
    int64_t plan_hits, plan_misses;
    struct reel_profile *profile;   /* being taken, or NULL; one of `profiles` */
    struct reel_profile *profiles;  /* not freed yet                           */
};

/* pool.c */
void *reel_pool_alloc(reel_ctx *ctx, size_t bytes); /* 64-byte aligned; NULL and an error when memory is short */
void reel_pool_free(reel_ctx *ctx, void *memory, size_t bytes);
void reel_pool_return(reel_ctx *ctx, void *memory, size_t bytes); /* the same, but to the system */
void *reel_slab_alloc(reel_ctx *ctx, size_t bytes);
bool reel_grow_array(reel_ctx *ctx, void *array, int64_t *capacity, int64_t need, size_t item);

static inline void *reel_small_alloc(reel_ctx *ctx, size_t bytes)
{
    size_t units = (bytes + 63) / 64;
    reel_block *block = units - 1 < 32 ? ctx->pool.small[units - 1] : NULL;
    if (!block) return reel_slab_alloc(ctx, bytes);
    ctx->pool.small[units - 1] = block->next;
    return block;
}

static inline void reel_small_free(reel_ctx *ctx, void *memory, size_t bytes)
{
    size_t units = (bytes + 63) / 64;
    if (units > 32) {
        reel_pool_free(ctx, memory, bytes);
        return;
    }
    reel_block *block = memory;
    block->next = ctx->pool.small[units - 1];
    ctx->pool.small[units - 1] = block;
}

/* Grows the array that `array` points to (a pointer to any pointer) to hold `need` items of `item` bytes; false and an
 * error when memory is short. */
static inline bool reel_grow(reel_ctx *ctx, void *array, int64_t *capacity, int64_t need, size_t item)
{
    return need <= *capacity || reel_grow_array(ctx, array, capacity, need, item);
}
void reel_pool_close(reel_ctx *ctx);

/* exec.c */
reel_isa reel_isa_detect(void);
bool reel_isa_parse(const char *name, reel_isa *isa);
void reel_scratch_release(reel_ctx *ctx);

/* keep.c */
void reel_kept_drop(reel_ctx *ctx, reel_storage *storage);
void reel_kept_forget(reel_ctx *ctx, const reel_node *node); /* of a play that failed: what it keeps may not be filled */

/* tensor.c */
void *reel_tensor_address(const reel_tensor *x);

/* life.c */
reel_storage *reel_storage_new(reel_ctx *ctx, int64_t numel, reel_dtype dtype);
void reel_storage_free(reel_ctx *ctx, reel_storage *storage);
static inline void reel_storage_unref(reel_ctx *ctx, reel_storage *storage)
{
    if (storage && --storage->refs == 0) reel_storage_free(ctx, storage);
}
void reel_tensor_drop_handle(reel_tensor *x);
void reel_scope_close(reel_ctx *ctx); /* drops the handles of the innermost scope, or hands them to the one around it */
static inline bool reel_node_is_effect(const reel_node *node) { return node->op->flags & REEL_OP_INPLACE; }
static inline void reel_tensor_ref(reel_tensor *x)
{
    if (x->refs++ == 0 && x->producer) x->producer->live++;
}
static inline bool reel_tensor_same_shape(const reel_tensor *a, const reel_tensor *b)
{
    bool same = a->ndim == b->ndim;
    for (int i = 0; i < a->ndim && same; i++) same = a->shape[i] == b->shape[i];
    return same;
}
void reel_tensor_unref(reel_tensor *x);
void reel_tensor_destroy(reel_tensor *x); /* the object itself; refs are 0 */

/* Inline, since every op makes one: without references and handle. */
static inline reel_tensor *reel_tensor_new(reel_ctx *ctx, reel_dtype dtype, int ndim, const int64_t *shape)
{
    reel_tensor *t = reel_small_alloc(ctx, reel_tensor_bytes(ndim));
    if (!t) return NULL;
    /* Field by field: a memset of this size is a slow instruction. */
    t->ctx = ctx;
    t->producer = NULL;
    t->storage = NULL;
    t->extra = NULL;
    t->offset = t->view_offset = 0;
    t->refs = t->pending_uses = t->grad_uses = t->scope = 0;
    t->plan_id = t->slot = t->handle = -1;
    t->dtype = (uint8_t)dtype;
    t->ndim = (uint8_t)ndim;
    t->contiguous = true;
    t->requires_grad = t->pinned = t->is_grad = t->wanted = false;
    int64_t stride = 1, *strides = t->shape + ndim;
    for (int i = ndim; i-- > 0;) {
        t->shape[i] = shape[i];
        strides[i] = stride;
        stride *= shape[i];
    }
    t->numel = stride;
    return t;
}

bool reel_grow_handles(reel_ctx *ctx);
static inline bool reel_tensor_give_handle(reel_tensor *x)
{
    reel_ctx *ctx = x->ctx;
    if (ctx->n_handles == ctx->handles_capacity && !reel_grow_handles(ctx)) return false;
    x->handle = (int32_t)ctx->n_handles;
    x->scope = ctx->depth;
    ctx->handles[ctx->n_handles++] = x;
    reel_tensor_ref(x);
    return true;
}

void reel_tensor_set_grad_ref(reel_tensor *leaf, reel_tensor *grad);
reel_extra *reel_tensor_extra(reel_tensor *x);

/* assign.c: the same value as a tensor of its own, differentiable */
reel_tensor *reel_identity(reel_tensor *x);

/* context.c: ends a scope of the library's own, without playing anything */
void reel_scope_end_quietly(reel_ctx *ctx);

/* tape.c: what keeps a user's tensor from being read in `ctx`, for a message; NULL when nothing does. A tensor that is
 * gone is known as such until its memory is another's. */
const char *reel_tensor_fault(const reel_tensor *x, const reel_ctx *ctx);

/* tape.c: gives a view the memory of what it views */
void reel_tensor_alias(reel_tensor *view, const reel_tensor *base);

/* life.c: nodes */
void reel_node_played(reel_node *node);      /* leaves the list of pending nodes; uses of its inputs are counted off before */
/* The same of many with all their values. */
void reel_nodes_played(reel_ctx *ctx, reel_node **nodes, int64_t count, reel_tensor **values, int64_t n_values);
void reel_node_mark_reversed(reel_node *node);
void reel_node_release(reel_node *node);     /* one `live` less */
void reel_tensor_settle_value(reel_tensor *x);
/* Drops the value when nobody can need it, or cuts history that nobody needs; neither while its gradient may be asked for. */
static inline void reel_tensor_settle(reel_tensor *x)
{
    if (!x->storage || x->pending_uses > 0 || !x->producer || x->producer->pending || x->wanted) return;
    if (x->grad_uses == 0 || !x->producer->requires_grad) reel_tensor_settle_value(x);
}
void reel_tensor_cut(reel_tensor *x);        /* a played value forgets where it came from */
void reel_tape_discard_effects(reel_ctx *ctx);

/* collect.c: the nodes that targets and (if asked) pending effects need, in order of recording. The first `replays` were
 * played before and lost their value; their inputs count them as pending uses. False when memory is short. */
typedef struct reel_collected {
    reel_node **nodes;
    int64_t count, capacity, replays;
    bool overwrites; /* all pending effects are among them, and there are some */
} reel_collected;
void reel_nodes_sort(reel_node **nodes, int64_t count); /* in order of recording */
bool reel_tape_collect(reel_ctx *ctx, reel_collected *collected, reel_tensor *const *targets, int64_t count, bool effects);

/* play_plan.c: plays many nodes by their plan. */
bool reel_play_planned(reel_ctx *ctx, const reel_collected *collected);

/* play.c */
bool reel_check_versions(reel_ctx *ctx, const reel_node *node);
bool reel_play_targets(reel_ctx *ctx, reel_tensor *const *targets, int64_t count, bool effects);

/* Values this small are kept while the user may still ask for them, in bytes. */
#define REEL_KEEP_BYTES 65536

#endif
