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
} reel_plan_value;

typedef struct reel_plan_step {
    int32_t node;    /* of an op, else -1          */
    int32_t group;   /* of a fused group, else -1  */
    int32_t buffers; /* the op's first buffer      */
} reel_plan_step;

/* A list of nodes about to be played, with every value in it numbered: inputs when first met, outputs when made. */
typedef struct reel_play_list {
    reel_node **nodes;
    int64_t n_nodes;
    reel_tensor **values; /* NULL only where an output's tensor is gone */
    int64_t n_values, values_capacity;
    uint32_t *key;
    int64_t key_words, key_capacity;
    uint64_t hash;
} reel_play_list;

typedef struct reel_plan {
    struct reel_plan *next;           /* in its bucket                         */
    struct reel_plan *newer, *older;  /* order of last use                     */
    uint64_t hash;
    uint32_t *key;
    int64_t key_words;
    reel_plan_value *values;
    reel_plan_step *steps;
    reel_buffer *buffers;             /* of all op steps, inputs then outputs  */
    int32_t *buffer_values;           /* the value in each buffer, -1 for none */
    reel_fused *groups;
    int32_t n_values, n_steps, n_groups, n_buffers;
    int64_t arena_bytes, shared_bytes;
    size_t bytes;                     /* of this block                         */
} reel_plan;

/* Numbers the values of list->nodes and writes the key. False when memory is short. */
bool reel_plan_key(reel_ctx *ctx, reel_play_list *list);

/* The plan for a keyed list: from the cache, or made and put there. NULL when memory is short. */
reel_plan *reel_plan_for(reel_ctx *ctx, reel_play_list *list);

/* plan_build.c */
reel_plan *reel_plan_build(reel_ctx *ctx, const reel_play_list *list);
void reel_plan_destroy(reel_ctx *ctx, reel_plan *plan);
void reel_plan_cache_close(reel_ctx *ctx);

/* A value that must have memory of its own after the plan. */
bool reel_value_outlives(const reel_tensor *t, bool eager);

/* Kept values up to this size share one block. */
#define REEL_SHARED_BYTES 1024

#endif
