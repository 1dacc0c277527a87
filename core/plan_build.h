// SPDX-License-Identifier: MIT
// A plan while it is made: what plan_build.c and plan_place.c share. Not installed.
#ifndef REEL_CORE_PLAN_BUILD_H
#define REEL_CORE_PLAN_BUILD_H

#include <reel/core/plan.h>
#include <string.h>

/* What is to be played: nodes in order, the values at their operands, and how many values there are. */
typedef struct reel_plan_graph {
    reel_plan_node *nodes;
    int32_t *slots;
    int32_t n_nodes, n_slots, n_values;
} reel_plan_graph;

typedef struct reel_intervals { /* live intervals of the arena, in order of offset */
    struct interval {
        int64_t offset, bytes;
        int32_t value;
    } * live;
    int64_t count, capacity;
} reel_intervals;

typedef struct reel_plan_builder {
    reel_ctx *ctx;
    const reel_play_list *list;
    reel_plan *plan;
    int32_t n_nodes;
    int32_t *group_of;   /* by node: its group before merging, or -1                              */
    int32_t *merged;     /* by group: the group it went into, or itself                           */
    int32_t *last_node;  /* by group: its last member                                             */
    int32_t *size;       /* by group: members                                                     */
    int32_t *step_of;    /* by node                                                               */
    int32_t *operand_of; /* by value: operand in the group at hand                                */
    bool *closed;        /* by group: a value of it has been read outside                         */
    bool *outside;       /* by value: read outside of the group that makes it                     */
    int32_t *uses;       /* by value: reads, through its views too                                */
    int32_t *relu_of;    /* by node: the relu that is played with it, or -1                       */
    int32_t *next_of;    /* by node: another op that is played with it, or -1                     */
    int32_t *reader;     /* by value: the last node that reads it                                 */
    bool *folded;        /* by node: is played with what it reads                                 */
    bool *gone;          /* by value: read only by what is played with the op that makes it       */
    int32_t n_groups;
    reel_intervals arena;
} reel_plan_builder;

/* The next part of a block, at a line of its own. */
static inline void *reel_plan_carve(char **at, size_t bytes)
{
    void *part = *at;
    *at += (bytes + 63) & ~(size_t)63;
    return part;
}

/* The value at operand i of node n: its inputs, then its results; -1 for one left out. */
static inline int32_t reel_plan_operand(const reel_plan_builder *b, int32_t n, int i)
{
    return b->plan->slots[b->plan->nodes[n].slot + i];
}

/* The value of node n's output 0. */
static inline int32_t reel_plan_result_of(const reel_plan_builder *b, int32_t n)
{
    return reel_plan_operand(b, n, b->plan->nodes[n].n_in);
}

/* The recorded node that node n plays. */
static inline const reel_node *reel_plan_source(const reel_plan_builder *b, int32_t n)
{
    return b->list->nodes[b->plan->nodes[n].source];
}

/* The recorded tensor of value v, or for what is computed again the one that it was the first time. */
static inline const reel_tensor *reel_plan_tensor(const reel_plan_builder *b, int32_t v)
{
    const reel_plan_value *value = &b->plan->values[v];
    if (value->made_by < 0) return b->list->values[v];
    const reel_node *node = reel_plan_source(b, value->made_by);
    return node->tensors[node->n_in + value->output];
}

static inline int32_t reel_plan_find(const reel_plan_builder *b, int32_t group)
{
    while (b->merged[group] != group) group = b->merged[group];
    return group;
}

static inline int32_t reel_plan_group_of(const reel_plan_builder *b, int32_t node)
{
    return b->group_of[node] < 0 ? -1 : reel_plan_find(b, b->group_of[node]);
}

static inline bool reel_plan_is_whole_view(const reel_plan_builder *b, int32_t n)
{
    return (b->plan->nodes[n].op->flags & REEL_OP_VIEW) && b->plan->values[reel_plan_result_of(b, n)].whole;
}

static inline bool reel_plan_same_shape(const reel_plan_value *a, const reel_plan_value *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, a->ndim * sizeof a->shape[0]) == 0;
}

/* A plan for the graph. NULL, with an error, when memory is short. */
reel_plan *reel_plan_of_graph(reel_ctx *ctx, const reel_play_list *list, const reel_plan_graph *graph);

/* plan_recompute.c: a plan of less memory that computes cheap values again, or the one given. NULL, with an error and that
 * one gone, when memory is short. */
reel_plan *reel_plan_recompute(reel_ctx *ctx, const reel_play_list *list, reel_plan *plan);

/* plan_turn.c: which values lie turned, once ops are folded and grouped. */
void reel_plan_turn_values(reel_plan_builder *b);

/* plan_place.c: lifetimes by steps, and a place for every value. False when memory is short. */
bool reel_plan_place_values(reel_plan_builder *b);

#endif
