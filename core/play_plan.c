// SPDX-License-Identifier: MIT
// Plays a list of nodes by its plan.
#include <reel/core/plan.h>
#include <string.h>

typedef struct planned_run {
    reel_ctx *ctx;
    reel_play_list list;
    reel_plan *plan;
    void **address; /* by value */
    reel_storage *shared;
    int64_t effects_played;
} planned_run;

static bool hold_arena(reel_ctx *ctx, int64_t bytes)
{
    if ((size_t)bytes <= ctx->arena_bytes) return true;
    if (ctx->arena) reel_pool_free(ctx, ctx->arena, ctx->arena_bytes);
    ctx->arena_bytes = 0;
    ctx->arena = reel_pool_alloc(ctx, (size_t)bytes);
    if (ctx->arena) ctx->arena_bytes = (size_t)bytes;
    return ctx->arena != NULL;
}

/* Gives every value its memory; kept ones get storages that their tensors hold from here on. */
static bool place(planned_run *run)
{
    reel_ctx *ctx = run->ctx;
    const reel_plan *plan = run->plan;
    if (!hold_arena(ctx, plan->arena_bytes)) return false;
    ctx->arena_used = (size_t)plan->arena_bytes;
    if (plan->shared_bytes > 0) {
        run->shared = reel_storage_new(ctx, plan->shared_bytes, REEL_U8);
        if (!run->shared) return false;
        run->shared->shared = true;
    }
    for (int32_t v = 0; v < plan->n_values; v++) {
        const reel_plan_place *place = &plan->places[v];
        if (v + 8 < run->list.n_values) __builtin_prefetch(run->list.values[v + 8], 1);
        reel_tensor *t = v < run->list.n_values ? run->list.values[v] : NULL; /* none of what is computed again */
        switch (place->place) {
        case REEL_PLACE_EXTERNAL: run->address[v] = (char *)t->storage->data + t->offset * place->size; break;
        case REEL_PLACE_ARENA: run->address[v] = (char *)ctx->arena + place->offset; break;
        case REEL_PLACE_SHARED:
            run->address[v] = (char *)run->shared->data + place->offset;
            t->storage = run->shared;
            run->shared->refs++;
            t->offset = place->element;
            break;
        case REEL_PLACE_OWN:
            t->storage = reel_storage_new(ctx, place->bytes, REEL_U8);
            if (!t->storage) return false;
            t->offset = 0;
            run->address[v] = t->storage->data;
            break;
        default:
            run->address[v] = NULL;
            if (place->root == v) break;
            run->address[v] = (char *)run->address[place->root] + place->offset;
            if (place->kept) {
                reel_tensor *root = run->list.values[place->root];
                t->storage = root->storage;
                t->storage->refs++;
                t->offset = root->offset + place->element;
            }
            break;
        }
    }
    return true;
}

/* Where the result of an elementwise op of one operand goes. */
static void *result_address(const planned_run *run, int32_t node)
{
    return run->address[run->plan->slots[run->plan->nodes[node].slot + 1]];
}

static reel_node *node_of(const planned_run *run, int32_t node)
{
    return run->list.nodes[run->plan->nodes[node].source];
}

static bool play_op_step(planned_run *run, const reel_plan_step *step)
{
    reel_ctx *ctx = run->ctx;
    const reel_plan *plan = run->plan;
    reel_node *node = node_of(run, step->node);
    const reel_op *op = node->op;
    int n = node->n_in + node->n_out;
    bool empty = node->n_out > 0;
    int32_t slot = plan->nodes[step->node].slot;
    reel_buffer *buffers = plan->buffers + slot;
    for (int i = 0; i < n; i++) {
        int32_t v = plan->slots[slot + i];
        if (v < 0) continue;
        buffers[i].data = run->address[v];
        if (i >= node->n_in && plan->values[v].numel > 0) empty = false;
    }
    if (step->relu >= 0) /* which has taken the place of the op's own result */
        buffers[node->n_in].data = result_address(run, step->relu);
    reel_play_next next = { 0 };
    if (step->next >= 0) {
        const reel_plan_node *behind = &plan->nodes[step->next];
        reel_buffer *out = plan->buffers + behind->slot + behind->n_in;
        next = (reel_play_next) { .attrs = node_of(run, step->next)->attrs,
                                  .n_out = behind->n_out,
                                  .out = out,
                                  .relu = step->next_relu >= 0 };
        for (int k = 0; k < behind->n_out; k++)
            out[k].data = run->address[plan->slots[behind->slot + behind->n_in + k]];
        if (next.relu) out[0].data = result_address(run, step->next_relu);
    }
    if (run->list.overwrites && !reel_check_versions(ctx, node)) return false;
    if (!empty) {
        reel_play play = { .op = op,
                           .ctx = ctx,
                           .exec = &ctx->exec,
                           .attrs = node->attrs,
                           .n_in = node->n_in,
                           .n_out = node->n_out,
                           .in = buffers,
                           .out = buffers + node->n_in,
                           .relu = step->relu >= 0,
                           .next = step->next >= 0 ? &next : NULL,
                           .node = node };
        int64_t start = ctx->profile ? reel_profile_clock() : 0;
        if (!op->play(&play) || ctx->error) {
            reel_kept_forget(ctx, node);
            reel_fail(ctx, REEL_ERROR_VALUE, "%s: the kernel failed", op->name);
            return false;
        }
        const reel_op *behind = step->next >= 0 ? plan->nodes[step->next].op : NULL;
        if (ctx->profile && !reel_profile_op(ctx, start, &play, behind)) return false;
    }
    if (op->flags & REEL_OP_INPLACE) {
        int writes = op->writes ? op->writes : 1;
        for (int i = 0; i < writes && i < node->n_in; i++)
            if (node->tensors[i]) node->tensors[i]->storage->version++;
        node->needed = true; /* has happened, whatever comes later */
        run->effects_played++;
    }
    return true;
}

static bool play_group_step(planned_run *run, const reel_fused *group)
{
    for (int32_t k = 0; k < group->n_ops && run->list.overwrites; k++)
        if (!reel_check_versions(run->ctx, run->list.nodes[group->ops[k].source])) return false;
    int64_t start = run->ctx->profile ? reel_profile_clock() : 0;
    if (!reel_fused_play(group, &run->ctx->exec, run->address, run->list.nodes)) return false;
    return !run->ctx->profile || reel_profile_group(run->ctx, start, run->plan, group);
}

static bool play_steps(planned_run *run)
{
    const reel_plan *plan = run->plan;
    for (int32_t s = 0; s < plan->n_steps; s++) {
        const reel_plan_step *step = &plan->steps[s];
        bool ok = step->group >= 0 ? play_group_step(run, &plan->groups[step->group]) : play_op_step(run, step);
        reel_scratch_release(run->ctx);
        if (!ok) return false;
    }
    return true;
}

/* Takes back what a failed play has begun; effects that have happened are played, the others are not. */
static void undo(planned_run *run)
{
    if (run->plan && run->address)
        for (int64_t v = 0; v < run->list.n_values; v++) {
            const reel_plan_place *place = &run->plan->places[v];
            reel_tensor *t = run->list.values[v];
            if (!place->made || !place->kept || !t->storage) continue;
            reel_storage_unref(run->ctx, t->storage);
            t->storage = NULL;
        }
    reel_plan_count_back(&run->list, run->list.n_nodes);
    for (int64_t n = 0; n < run->list.n_nodes; n++) {
        reel_node *node = run->list.nodes[n];
        if (!node->needed) continue;
        node->needed = false;
        for (int i = 0; i < node->n_in; i++)
            if (node->tensors[i]) node->tensors[i]->pending_uses--;
        reel_node_played(node);
    }
}

bool reel_play_planned(reel_ctx *ctx, const reel_collected *collected)
{
    planned_run run = { .ctx = ctx };
    reel_play_list *list = &run.list;
    list->nodes = collected->nodes;
    list->n_nodes = collected->count;
    list->overwrites = collected->overwrites;
    bool keyed = reel_plan_key(ctx, list);
    run.plan = keyed ? reel_plan_for(ctx, list) : NULL;
    size_t address_bytes = run.plan ? (size_t)(run.plan->n_values + 1) * sizeof *run.address : 0;
    if (run.plan) run.address = reel_pool_alloc(ctx, address_bytes);
    bool ok = run.address && place(&run) && play_steps(&run);
    if (ok)
        reel_nodes_played(ctx, list->nodes, list->n_nodes, list->values, list->n_values);
    else if (keyed)
        undo(&run);
    ctx->arena_used = 0;
    if (run.shared) reel_storage_unref(ctx, run.shared);
    if (run.address) reel_pool_free(ctx, run.address, address_bytes);
    if (list->values) reel_pool_free(ctx, list->values, (size_t)list->values_capacity * sizeof *list->values);
    if (list->key) reel_pool_free(ctx, list->key, (size_t)list->key_capacity * sizeof *list->key);
    return ok;
}
