// SPDX-License-Identifier: MIT
// Between record and play: a plan says in which steps a list of nodes is played and where every value lies. Not installed.
//
// A plan is found by the structure of what was recorded (its key): ops, attributes that matter, shapes and dtypes, which
// value feeds which, which values must outlive the plan. The whole key is compared, so a wrong hit cannot happen.
#ifndef REEL_CORE_PLAN_H
#define REEL_CORE_PLAN_H

#include <reel/core/fuse.h>
#include <reel/core/internal.h>

/* Where a value's memory is while the plan is played. */
typedef enum reel_place {
    REEL_PLACE_NONE,     /* no memory: an operand left out, or a value that never leaves a fused group         */
    REEL_PLACE_EXTERNAL, /* there before the plan: its tensor knows                                            */
    REEL_PLACE_ARENA,    /* at an offset of the context's arena, for as long as it is used                     */
    REEL_PLACE_SHARED,   /* at an offset of one block that the plan's small kept values share                  */
    REEL_PLACE_OWN       /* a storage of its own                                                               */
} reel_place;

typedef struct reel_plan_value {
    int64_t shape[REEL_MAX_DIMS], strides[REEL_MAX_DIMS];
    int64_t numel, bytes;
    int64_t offset;       /* ARENA, SHARED: bytes from the block's start; a view: bytes from its root             */
    int32_t root;         /* the value whose memory this is; itself unless a view                                 */
    int32_t first, last;  /* steps between which a root's memory is in use                                        */
    int32_t made_by;      /* node, or -1                                                                          */
    int8_t output;        /* which output of that node                                                            */
    uint8_t dtype, ndim;
    uint8_t place;
    bool kept, contiguous;
    bool turned;          /* the batch lies innermost (plan_turn.c)                                               */
    bool whole;           /* a view of all of its base as it is: who reads it reads the base                      */
} reel_plan_value;

/* What giving a value its memory asks of it, close together. */
typedef struct reel_plan_place {
    int64_t offset, bytes;
    int64_t element; /* at the offset */
    int32_t root;
    uint8_t place, size; /* of an element */
    bool kept, made;
} reel_plan_place;

typedef struct reel_plan_step {
    int32_t node;  /* of an op, else -1                            */
    int32_t group; /* of a fused group, else -1                    */
    int32_t relu;  /* the relu that is played with the op, else -1 */
    int32_t next;  /* another op that is played with it, else -1   */
    int32_t next_relu;
} reel_plan_step;

typedef struct reel_plan_node {
    const reel_op *op;
    int32_t slot;   /* its first operand in the plan's slots                    */
    int32_t source; /* the node of the list that is played: its own attributes  */
    uint16_t n_in;
    uint8_t n_out;
    bool again;     /* computed before, and dropped: see plan_recompute.c           */
} reel_plan_node;

/* A list of nodes about to be played, with every value in it numbered: inputs when first met, outputs when made. */
typedef struct reel_play_list {
    reel_node **nodes;
    int64_t n_nodes;
    reel_tensor **values;
    int64_t n_values, values_capacity;
    uint32_t *key;
    int64_t key_words, key_capacity;
    uint64_t hash;
    bool overwrites; /* some node does: versions are to be checked step by step, else the key's writing has checked them */
} reel_play_list;

typedef struct reel_plan {
    struct reel_plan *next;           /* in its bucket                         */
    struct reel_plan *newer, *older;  /* order of last use                     */
    uint64_t hash;
    uint32_t *key;
    int64_t key_words;
    reel_plan_value *values;
    reel_plan_place *places;          /* by value                              */
    reel_plan_step *steps;
    reel_plan_node *nodes;
    int32_t *slots;                   /* by node, inputs then outputs: the value, -1 for none             */
    reel_buffer *buffers;             /* by slot; of ops that are steps, with a relu's result for theirs  */
    reel_fused *groups;
    reel_fused_op *fused_ops;         /* of all groups                         */
    reel_operand *operands;           /* of all groups                         */
    int64_t (*strides)[REEL_MAX_DIMS]; /* of all groups                        */
    int32_t n_values, n_steps, n_groups, n_nodes, n_slots;
    int64_t arena_bytes, shared_bytes;
    size_t bytes;                     /* of this block                         */
} reel_plan;

/* Numbers the values of list->nodes, counts off their uses by these nodes, which are as good as played from here on, and
 * writes the key. False, with an error and with the uses counted as before, when memory is short or an input has been
 * overwritten. */
bool reel_plan_key(reel_ctx *ctx, reel_play_list *list);
void reel_plan_count_back(const reel_play_list *list, int64_t n_nodes); /* the uses by the first nodes */

/* The plan for a keyed list: from the cache, or made and put there. NULL when memory is short. */
reel_plan *reel_plan_for(reel_ctx *ctx, reel_play_list *list);

/* plan_build.c */
reel_plan *reel_plan_build(reel_ctx *ctx, const reel_play_list *list);
void reel_plan_destroy(reel_ctx *ctx, reel_plan *plan);
void reel_plan_cache_close(reel_ctx *ctx);

/* A value that must have memory of its own after the plan. */
static inline bool reel_value_outlives(const reel_tensor *t, bool eager)
{
    if (t->pending_uses > 0 || t->grad_uses > 0 || t->wanted || t->is_grad || t->pinned) return true;
    return t->handle >= 0 && (eager || t->numel * (int64_t)reel_dtype_size((reel_dtype)t->dtype) <= REEL_KEEP_BYTES);
}

/* profile.c: what has been played since `start`; only while ctx->profile is there. False when memory is short. */
int64_t reel_profile_clock(void);
typedef enum reel_span_kind { REEL_SPAN_OP, REEL_SPAN_PLAN, REEL_SPAN_PLAY } reel_span_kind;
bool reel_profile_op(reel_ctx *ctx, int64_t start, const reel_play *play, const reel_op *next);
bool reel_profile_group(reel_ctx *ctx, int64_t start, const reel_plan *plan, const reel_fused *group);
bool reel_profile_span(reel_ctx *ctx, int64_t start, reel_span_kind kind, const char *name);

/* Kept values up to this size share one block. */
#define REEL_SHARED_BYTES 1024

#endif
