// SPDX-License-Identifier: MIT
// Places every value of a plan in memory by its lifetime.
#include <reel/core/plan_build.h>
#include <string.h>

static void touch(reel_plan_builder *b, int32_t v, int32_t step)
{
    if (v < 0) return;
    reel_plan_value *root = &b->plan->values[b->plan->values[v].root];
    if (root->first < 0) root->first = step;
    if (step > root->last) root->last = step;
}

static void find_lifetimes(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        const reel_plan_node *node = &b->plan->nodes[n];
        if (node->op->flags & REEL_OP_VIEW) continue;
        for (int i = 0; i < node->n_in + node->n_out; i++) touch(b, reel_plan_operand(b, n, i), b->step_of[n]);
    }
}

static void choose_places(reel_plan_builder *b)
{
    reel_plan *plan = b->plan;
    for (int32_t v = 0; v < plan->n_values; v++) {
        reel_plan_value *value = &plan->values[v];
        if (value->made_by < 0 || value->root != v) continue;
        if (value->kept && value->bytes <= REEL_SHARED_BYTES) {
            value->place = REEL_PLACE_SHARED;
            value->offset = plan->shared_bytes;
            plan->shared_bytes += value->bytes > 0 ? (value->bytes + 63) & ~(int64_t)63 : 64; /* empty, yet somewhere */
        } else if (value->kept) {
            value->place = REEL_PLACE_OWN;
        } else if ((reel_plan_group_of(b, value->made_by) >= 0 && !b->outside[v]) || b->gone[v]) {
            value->place = REEL_PLACE_NONE;
        }
    }
}

static bool arena_take(reel_plan_builder *b, int32_t v)
{
    reel_intervals *arena = &b->arena;
    reel_plan_value *value = &b->plan->values[v];
    int64_t bytes = (value->bytes + 63) & ~(int64_t)63, at = 0, best = -1, best_gap = INT64_MAX, place = 0;
    if (bytes == 0) bytes = 64;
    for (int64_t i = 0; i <= arena->count; i++) {
        int64_t gap = i < arena->count ? arena->live[i].offset - at : INT64_MAX;
        if (gap >= bytes && gap < best_gap) {
            best = at;
            best_gap = gap;
            place = i;
        }
        if (i < arena->count) at = arena->live[i].offset + arena->live[i].bytes;
    }
    if (best < 0) {
        best = at;
        place = arena->count;
    }
    if (!reel_grow(b->ctx, &arena->live, &arena->capacity, arena->count + 1, sizeof *arena->live)) return false;
    memmove(arena->live + place + 1, arena->live + place, (size_t)(arena->count - place) * sizeof *arena->live);
    arena->live[place] = (struct interval) { best, bytes, v };
    arena->count++;
    value->offset = best;
    if (best + bytes > b->plan->arena_bytes) b->plan->arena_bytes = best + bytes;
    return true;
}

static void arena_give_back(reel_plan_builder *b, int32_t v)
{
    reel_intervals *arena = &b->arena;
    for (int64_t i = 0; i < arena->count; i++)
        if (arena->live[i].value == v) {
            memmove(arena->live + i, arena->live + i + 1, (size_t)(arena->count - i - 1) * sizeof *arena->live);
            arena->count--;
            return;
        }
}

/* A group's result may overwrite an operand that dies with the step and is not read after the result is written. */
static bool take_over(reel_plan_builder *b, const reel_fused *group, int32_t k, int32_t step)
{
    reel_plan *plan = b->plan;
    const reel_operand *out = &group->operands[k];
    int32_t writer = -1;
    for (int32_t j = 0; j < group->n_ops; j++)
        if (group->ops[j].out == k) writer = j;
    for (int32_t m = 0; m < group->n_operands; m++) {
        const reel_operand *in = &group->operands[m];
        reel_plan_value *value = &plan->values[in->value];
        if (in->kind != REEL_OPERAND_MEMORY || in->written || in->size != out->size || value->root != in->value ||
            value->place != REEL_PLACE_ARENA || value->last != step)
            continue;
        bool read_later = false;
        for (int32_t j = writer + 1; j < group->n_ops; j++)
            for (int i = 0; i < 3; i++) read_later |= group->ops[j].in[i] == m;
        if (read_later) continue;
        for (int64_t i = 0; i < b->arena.count; i++)
            if (b->arena.live[i].value == in->value) {
                b->arena.live[i].value = out->value;
                plan->values[out->value].offset = value->offset;
                return true;
            }
    }
    return false;
}

/* Values that a step reads and writes, and value k of them: behind the operands of its op come the results of what is
 * played with it. */
static int32_t touched(const reel_plan *plan, const reel_plan_step *step)
{
    if (step->group >= 0) return plan->groups[step->group].n_operands;
    int32_t behind = (step->relu >= 0) + (step->next >= 0 ? plan->nodes[step->next].n_out : 0) + (step->next_relu >= 0);
    return plan->nodes[step->node].n_in + plan->nodes[step->node].n_out + behind;
}

static int32_t touched_value(const reel_plan *plan, const reel_plan_step *step, int32_t k)
{
    if (step->group >= 0) return plan->groups[step->group].operands[k].value;
    const reel_plan_node *node = &plan->nodes[step->node], *next = step->next >= 0 ? &plan->nodes[step->next] : NULL;
    if (k < node->n_in + node->n_out) return plan->slots[node->slot + k];
    k -= node->n_in + node->n_out;
    if (step->relu >= 0 && k-- == 0) return plan->slots[plan->nodes[step->relu].slot + 1];
    return k < next->n_out ? plan->slots[next->slot + next->n_in + k]
                           : plan->slots[plan->nodes[step->next_relu].slot + 1];
}

static bool lay_out_arena(reel_plan_builder *b)
{
    reel_plan *plan = b->plan;
    for (int32_t s = 0; s < plan->n_steps; s++) {
        const reel_plan_step *step = &plan->steps[s];
        const reel_fused *group = step->group >= 0 ? &plan->groups[step->group] : NULL;
        int32_t n = touched(plan, step);
        for (int32_t k = 0; k < n; k++) {
            int32_t v = touched_value(plan, step, k);
            if (v < 0 || plan->values[v].place != REEL_PLACE_ARENA || plan->values[v].first != s) continue;
            if (group && take_over(b, group, k, s)) continue;
            if (!arena_take(b, v)) return false;
        }
        for (int32_t k = 0; k < n; k++) {
            int32_t v = touched_value(plan, step, k);
            if (v < 0) continue;
            int32_t root = plan->values[v].root;
            if (plan->values[root].place == REEL_PLACE_ARENA && plan->values[root].last == s) arena_give_back(b, root);
        }
    }
    return true;
}

static void note_places(reel_plan *plan)
{
    for (int32_t v = 0; v < plan->n_values; v++) {
        const reel_plan_value *value = &plan->values[v];
        int64_t size = (int64_t)reel_dtype_size((reel_dtype)value->dtype);
        plan->places[v] = (reel_plan_place) { .offset = value->offset,
                                              .bytes = value->bytes,
                                              .element = value->offset / size,
                                              .root = value->root,
                                              .place = value->place,
                                              .size = (uint8_t)size,
                                              .kept = value->kept,
                                              .made = value->made_by >= 0 };
    }
}

bool reel_plan_place_values(reel_plan_builder *b)
{
    find_lifetimes(b);
    choose_places(b);
    bool ok = lay_out_arena(b);
    note_places(b->plan);
    if (b->arena.live) reel_pool_free(b->ctx, b->arena.live, (size_t)b->arena.capacity * sizeof *b->arena.live);
    return ok;
}
