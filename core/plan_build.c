// SPDX-License-Identifier: MIT
// Makes a plan: folds ops into others, groups elementwise ones, and orders the steps.
#include <reel/core/plan_build.h>
#include <string.h>

/* Values */

#define MOST_BYTES ((int64_t)1 << 46) /* of a value: more than any machine has, and sums of offsets do not overflow */

/* Whether a view is all of its base as it is: a dropout that drops nothing, a detached value. Then whoever reads it reads
 * the base. */
static bool is_whole(const reel_plan_value *view, const reel_plan_value *base)
{
    return view->contiguous && base->contiguous && view->offset == base->offset && view->dtype == base->dtype &&
           reel_plan_same_shape(view, base);
}

static reel_plan_value describe(const reel_tensor *t, int32_t v)
{
    reel_plan_value value = { .numel = t->numel,
                              .root = v,
                              .first = -1,
                              .last = -1,
                              .made_by = -1,
                              .dtype = t->dtype,
                              .ndim = t->ndim,
                              .contiguous = t->contiguous,
                              .place = REEL_PLACE_EXTERNAL };
    /* Room for whole lanes, so that the end of a tensor needs no care. */
    value.bytes = t->numel > MOST_BYTES ? INT64_MAX
                                        : (t->numel + REEL_TILE_LANES - 1) / REEL_TILE_LANES * REEL_TILE_LANES *
                                              (int64_t)reel_dtype_size((reel_dtype)t->dtype);
    memcpy(value.shape, t->shape, t->ndim * sizeof value.shape[0]);
    memcpy(value.strides, reel_tensor_strides(t), t->ndim * sizeof value.strides[0]);
    return value;
}

/* Output k of node n. What is computed again is never kept. */
static void describe_output(reel_plan_builder *b, int32_t n, int k)
{
    const reel_node *node = reel_plan_source(b, n);
    const reel_tensor *t = node->tensors[node->n_in + k];
    int32_t v = reel_plan_operand(b, n, node->n_in + k);
    reel_plan_value *value = &b->plan->values[v];
    *value = describe(t, v);
    value->made_by = n;
    value->output = (int8_t)k;
    value->place = REEL_PLACE_ARENA;
    value->kept = v < b->list->n_values && !t->storage && reel_value_outlives(t, b->ctx->eager);
    if (!(node->op->flags & REEL_OP_VIEW)) return;
    const reel_plan_value *base = &b->plan->values[reel_plan_operand(b, n, 0)];
    value->root = base->root;
    value->offset = base->offset + t->view_offset * (int64_t)reel_dtype_size((reel_dtype)t->dtype);
    value->place = REEL_PLACE_NONE;
    if (value->kept) b->plan->values[value->root].kept = true; /* of external roots it means nothing */
    value->whole = is_whole(value, base);
}

static bool describe_values(reel_plan_builder *b)
{
    reel_plan *plan = b->plan;
    for (int32_t v = 0; v < b->list->n_values; v++) plan->values[v] = describe(b->list->values[v], v);
    for (int32_t n = 0; n < b->n_nodes; n++) {
        const reel_plan_node *node = &plan->nodes[n];
        for (int i = 0; i < node->n_in; i++) {
            int32_t *v = &plan->slots[node->slot + i];
            if (*v >= 0 && plan->values[*v].whole) *v = reel_plan_operand(b, plan->values[*v].made_by, 0);
        }
        for (int k = 0; k < node->n_out; k++) {
            describe_output(b, n, k);
            const reel_plan_value *value = &plan->values[reel_plan_operand(b, n, node->n_in + k)];
            if (value->root != reel_plan_operand(b, n, node->n_in + k) || value->bytes <= MOST_BYTES) continue;
            return reel_fail(b->ctx, REEL_ERROR_MEMORY,
                             "%s: its result of %lld elements is more than memory can hold", node->op->name,
                             (long long)value->numel) != NULL;
        }
    }
    return true;
}

/* A relu, or another op, behind an op that can play it as well */

/* Whether value v is an op's first result and read once, so that it need not be in memory for that reader. */
static bool passing(const reel_plan_builder *b, int32_t v)
{
    const reel_plan_value *value = &b->plan->values[v];
    return value->made_by >= 0 && value->root == v && value->output == 0 && !value->kept && b->uses[v] == 1 &&
           !reel_plan_tensor(b, v)->storage;
}

static void fold_relus(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        if (b->plan->nodes[n].op->pointwise != REEL_PW_RELU) continue;
        int32_t v = reel_plan_operand(b, n, 0), maker = b->plan->values[v].made_by;
        if (!passing(b, v) || !(b->plan->nodes[maker].op->flags & REEL_OP_RELU)) continue;
        b->relu_of[maker] = n;
        b->folded[n] = b->gone[v] = true;
    }
}

static void fold_next(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        const reel_node *node = reel_plan_source(b, n);
        if (!node->op->folds) continue;
        int32_t v = reel_plan_result_of(b, b->relu_of[n] >= 0 ? b->relu_of[n] : n);
        if (!passing(b, v)) continue;
        int32_t m = b->reader[v];
        const reel_node *next = reel_plan_source(b, m);
        if (reel_plan_operand(b, m, 0) != v || (next->op->flags & (REEL_OP_VIEW | REEL_OP_INPLACE)) ||
            b->folded[m])
            continue;
        reel_op_pair fold = { .exec = &b->ctx->exec,
                              .attrs = node->attrs,
                              .next_attrs = next->attrs,
                              .tensors = node->tensors,
                              .n_in = node->n_in,
                              .next = next->op };
        if (!node->op->folds(&fold)) continue;
        b->next_of[n] = m;
        b->folded[m] = b->gone[v] = true;
    }
}

static void fold(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        b->relu_of[n] = b->next_of[n] = -1;
        b->folded[n] = false;
        for (int i = 0; i < b->plan->nodes[n].n_in && !reel_plan_is_whole_view(b, n); i++) {
            int32_t v = reel_plan_operand(b, n, i);
            if (v < 0) continue;
            b->uses[b->plan->values[v].root]++;
            b->reader[v] = n;
        }
    }
    fold_relus(b);
    fold_next(b);
}

/* Grouping */

static bool fusable(const reel_plan_builder *b, int32_t n)
{
    const reel_node *node = reel_plan_source(b, n);
    if (!node->op->pointwise || b->folded[n] || node->n_in < 1 || node->n_in > 3 || node->n_out != 1) return false;
    const reel_tensor *last = node->tensors[node->n_in - 1], *out = node->tensors[node->n_in];
    for (int i = 0; i < node->n_in; i++)
        if (!node->tensors[i]) return false;
    return out->numel > 0 && out->ndim <= REEL_MAX_DIMS &&
           reel_pointwise_tile(b->ctx->exec.isa, node->op->pointwise, (reel_dtype)last->dtype) != NULL;
}

static void close_all(reel_plan_builder *b)
{
    for (int32_t g = 0; g < b->n_groups; g++) b->closed[g] = true;
}

/* The group that node n may join through its input i, or -1; a group it reads from without joining is closed. */
static int32_t joinable(reel_plan_builder *b, int32_t n, int i, bool can, const reel_plan_value *out)
{
    int32_t v = reel_plan_operand(b, n, i);
    if (v < 0) return -1;
    const reel_plan_value *value = &b->plan->values[v];
    int32_t maker = b->plan->values[value->root].made_by;
    if (maker < 0) return -1;
    int32_t g = reel_plan_group_of(b, maker);
    if (g < 0) return -1;
    if (can && value->root == v && !b->closed[g] && reel_plan_same_shape(value, out)) return g;
    b->closed[g] = true;
    return -1;
}

static void group_nodes(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        const reel_plan_node *node = &b->plan->nodes[n];
        b->group_of[n] = -1;
        if (node->op->flags & REEL_OP_INPLACE) close_all(b);
        bool can = fusable(b, n);
        const reel_plan_value *out = node->n_out ? &b->plan->values[reel_plan_result_of(b, n)] : NULL;
        int32_t into = -1;
        /* Reads that close come first: a group read both as it is and broadcast cannot be joined. */
        for (int i = 0; i < node->n_in && !reel_plan_is_whole_view(b, n); i++) joinable(b, n, i, can, out);
        if (!can) continue;
        for (int i = 0; i < node->n_in; i++) {
            int32_t g = joinable(b, n, i, can, out);
            if (g < 0 || g == into) continue;
            if (into < 0 && b->size[g] < REEL_FUSED_MOST_OPS) {
                into = g;
            } else if (into >= 0 && b->size[g] + b->size[into] < REEL_FUSED_MOST_OPS) {
                b->merged[g] = into;
                b->size[into] += b->size[g];
            } else {
                b->closed[g] = true;
            }
        }
        if (into < 0) {
            into = b->n_groups++;
            b->merged[into] = into;
            b->closed[into] = false;
            b->size[into] = 0;
        }
        b->group_of[n] = into;
        b->last_node[into] = n;
        b->size[into]++;
    }
    for (int32_t n = 0; n < b->n_nodes; n++) /* a merged group ends where its last part ends */
        if (b->group_of[n] >= 0) b->last_node[reel_plan_find(b, b->group_of[n])] = n;
}

/* A lone op on strided operands is better off in its own play. */
static void ungroup_lone_strided(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        int32_t g = reel_plan_group_of(b, n);
        if (g < 0 || b->size[g] != 1) continue;
        const reel_node *node = reel_plan_source(b, n);
        for (int i = 0; i < node->n_in; i++) {
            const reel_tensor *t = node->tensors[i];
            if (t->numel != 1 && !(t->contiguous && t->numel == node->tensors[node->n_in]->numel)) b->group_of[n] = -1;
        }
    }
}

static void find_outside_uses(reel_plan_builder *b)
{
    for (int32_t n = 0; n < b->n_nodes; n++) {
        int32_t g = reel_plan_group_of(b, n);
        for (int i = 0; i < b->plan->nodes[n].n_in && !reel_plan_is_whole_view(b, n); i++) {
            int32_t v = reel_plan_operand(b, n, i);
            if (v < 0) continue;
            int32_t root = b->plan->values[v].root, maker = b->plan->values[root].made_by;
            if (maker >= 0 && (g < 0 || reel_plan_group_of(b, maker) != g)) b->outside[root] = true;
        }
    }
}

/* Steps */

static void describe_buffers(const reel_plan_builder *b, int32_t n)
{
    reel_plan *plan = b->plan;
    const reel_plan_node *node = &plan->nodes[n];
    for (int i = 0; i < node->n_in + node->n_out; i++) {
        int32_t slot = node->slot + i, v = plan->slots[slot];
        reel_buffer *buffer = &plan->buffers[slot];
        *buffer = (reel_buffer) { 0 };
        if (v < 0) continue;
        const reel_plan_value *value = &plan->values[v];
        *buffer = (reel_buffer) { .shape = value->shape,
                                  .strides = value->strides,
                                  .numel = value->numel,
                                  .ndim = value->ndim,
                                  .dtype = (reel_dtype)value->dtype,
                                  .turned = value->turned };
    }
}

static void add_op_step(reel_plan_builder *b, int32_t n)
{
    reel_plan *plan = b->plan;
    int32_t next = b->next_of[n], next_relu = next >= 0 ? b->relu_of[next] : -1,
            parts[] = { n, b->relu_of[n], next, next_relu };
    for (int i = 0; i < 4; i++)
        if (parts[i] >= 0) b->step_of[parts[i]] = plan->n_steps;
    plan->steps[plan->n_steps++] =
        (reel_plan_step) { .node = n, .group = -1, .relu = b->relu_of[n], .next = next, .next_relu = next_relu };
    describe_buffers(b, n);
    if (next >= 0) describe_buffers(b, next);
}

static int16_t add_operand(reel_plan_builder *b, reel_fused *group, int32_t v, int32_t g)
{
    if (b->operand_of[v] >= 0) return (int16_t)b->operand_of[v];
    const reel_plan_value *value = &b->plan->values[v];
    reel_operand *operand = &group->operands[group->n_operands];
    *operand = (reel_operand) { .value = v, .buffer = -1, .size = (uint8_t)reel_dtype_size((reel_dtype)value->dtype) };
    bool inside = value->made_by >= 0 && value->root == v && reel_plan_group_of(b, value->made_by) == g;
    if (inside) {
        operand->written = value->kept || b->outside[v];
        operand->kind = operand->written ? REEL_OPERAND_MEMORY : REEL_OPERAND_TILE;
    } else if (value->numel == 1) {
        operand->kind = group->numel == 1 ? REEL_OPERAND_MEMORY : REEL_OPERAND_SCALAR;
    } else if (value->numel == group->numel && value->contiguous) {
        operand->kind = REEL_OPERAND_MEMORY;
    } else {
        operand->kind = REEL_OPERAND_STRIDED;
        int lead = group->ndim - value->ndim;
        for (int axis = 0; axis < group->ndim; axis++)
            group->strides[group->n_operands][axis] =
                axis < lead || value->shape[axis - lead] == 1 ? 0 : value->strides[axis - lead];
    }
    operand->read = operand->kind == REEL_OPERAND_MEMORY && !inside;
    b->operand_of[v] = group->n_operands;
    return (int16_t)group->n_operands++;
}

/* Gives tile buffers to the operands that need one; a value's buffer is free again after its last reader. */
static void assign_buffers(reel_fused *group)
{
    int16_t free_list[REEL_FUSED_MOST_OPERANDS];
    int n_free = 0, n_memory = 0, size = 1;
    for (int32_t k = 0; k < group->n_operands; k++) {
        reel_operand *operand = &group->operands[k];
        if (operand->size > size) size = operand->size;
        if (operand->kind == REEL_OPERAND_MEMORY) n_memory++;
        if (operand->kind == REEL_OPERAND_SCALAR || operand->kind == REEL_OPERAND_STRIDED)
            operand->buffer = (int16_t)group->n_buffers++;
    }
    int32_t last_read[REEL_FUSED_MOST_OPERANDS];
    for (int32_t k = 0; k < group->n_operands; k++) last_read[k] = -1;
    for (int32_t j = 0; j < group->n_ops; j++)
        for (int i = 0; i < 3; i++)
            if (group->ops[j].in[i] >= 0) last_read[group->ops[j].in[i]] = j;
    for (int32_t j = 0; j < group->n_ops; j++) {
        const reel_fused_op *op = &group->ops[j];
        reel_operand *out = &group->operands[op->out];
        /* A result may take the buffer of an operand of its size that is read for the last time. */
        if (out->kind == REEL_OPERAND_TILE) {
            for (int i = 0; i < 3 && out->buffer < 0; i++) {
                if (op->in[i] < 0) continue;
                reel_operand *in = &group->operands[op->in[i]];
                if (in->kind != REEL_OPERAND_TILE || in->size != out->size || last_read[op->in[i]] != j) continue;
                out->buffer = in->buffer;
                last_read[op->in[i]] = -2; /* given away */
            }
            if (out->buffer < 0) out->buffer = n_free ? free_list[--n_free] : (int16_t)group->n_buffers++;
        }
        for (int i = 0; i < 3; i++) {
            if (op->in[i] < 0 || last_read[op->in[i]] != j || group->operands[op->in[i]].kind != REEL_OPERAND_TILE)
                continue;
            free_list[n_free++] = group->operands[op->in[i]].buffer;
            last_read[op->in[i]] = -2;
        }
    }
    int64_t tile = 32768 / ((int64_t)(group->n_buffers + n_memory) * size);
    tile = tile > 4096 ? 4096 : tile < 256 ? 256 : tile;
    group->tile = (int32_t)(tile / REEL_TILE_LANES * REEL_TILE_LANES);
}

static void add_group_step(reel_plan_builder *b, int32_t n, int32_t g, int32_t *ops_used, int32_t *operands_used,
                           const int32_t *members, int32_t n_members)
{
    reel_plan *plan = b->plan;
    reel_fused *group = &plan->groups[plan->n_groups];
    const reel_plan_value *out = &plan->values[reel_plan_result_of(b, n)];
    *group = (reel_fused) {
        .ops = plan->fused_ops + *ops_used, .operands = plan->operands + *operands_used,
        .strides = plan->strides + *operands_used, .numel = out->numel, .ndim = out->ndim
    };
    memcpy(group->shape, out->shape, sizeof group->shape);
    for (int32_t m = 0; m < n_members; m++) {
        const reel_node *node = reel_plan_source(b, members[m]);
        reel_fused_op *op = &group->ops[group->n_ops++];
        const reel_tensor *typed = node->tensors[node->n_in - 1];
        *op = (reel_fused_op) { .node = members[m], .source = plan->nodes[members[m]].source, .in = { -1, -1, -1 },
                                .attrs = node->op->attrs_size > 0 };
        op->fn = reel_pointwise_tile(b->ctx->exec.isa, node->op->pointwise, (reel_dtype)typed->dtype);
        for (int i = 0; i < node->n_in; i++) op->in[i] = add_operand(b, group, reel_plan_operand(b, members[m], i), g);
        op->out = add_operand(b, group, reel_plan_result_of(b, members[m]), g);
        b->step_of[members[m]] = plan->n_steps;
    }
    for (int32_t k = 0; k < group->n_operands; k++) b->operand_of[group->operands[k].value] = -1;
    assign_buffers(group);
    *ops_used += group->n_ops;
    *operands_used += group->n_operands;
    plan->steps[plan->n_steps++] =
        (reel_plan_step) { .node = -1, .group = plan->n_groups++, .relu = -1, .next = -1, .next_relu = -1 };
}

/* The whole */

static void make_steps(reel_plan_builder *b, int32_t *members, int32_t *starts)
{
    int32_t ops_used = 0, operands_used = 0;
    /* Members of each group, in order: counted, then put in place. */
    for (int32_t g = 0; g <= b->n_groups; g++) starts[g] = 0;
    for (int32_t n = 0; n < b->n_nodes; n++)
        if (b->group_of[n] >= 0) starts[reel_plan_group_of(b, n) + 1]++;
    for (int32_t g = 0; g < b->n_groups; g++) starts[g + 1] += starts[g];
    for (int32_t n = 0; n < b->n_nodes; n++)
        if (b->group_of[n] >= 0) members[starts[reel_plan_group_of(b, n)]++] = n;
    for (int32_t g = b->n_groups; g > 0; g--) starts[g] = starts[g - 1];
    starts[0] = 0;
    for (int32_t n = 0; n < b->n_nodes; n++) {
        int32_t g = reel_plan_group_of(b, n);
        if ((b->plan->nodes[n].op->flags & REEL_OP_VIEW) || b->folded[n]) continue;
        if (g < 0)
            add_op_step(b, n);
        else if (b->last_node[g] == n)
            add_group_step(b, n, g, &ops_used, &operands_used, members + starts[g], starts[g + 1] - starts[g]);
    }
}

/* A plan with its block carved and its graph in place, and the builder's work arrays; NULL when memory is short. */
static reel_plan *new_plan(reel_ctx *ctx, const reel_play_list *list, const reel_plan_graph *graph)
{
    size_t n = (size_t)graph->n_nodes, v = (size_t)graph->n_values, slots = (size_t)graph->n_slots;
    size_t key_bytes = (size_t)list->key_words * sizeof *list->key;
    size_t bytes = sizeof(reel_plan) + key_bytes + v * (sizeof(reel_plan_value) + sizeof(reel_plan_place)) +
                   n * sizeof(reel_plan_step) + slots * (sizeof(reel_buffer) + sizeof(int32_t)) +
                   n * (sizeof(reel_plan_node) + sizeof(reel_fused) + sizeof(reel_fused_op)) +
                   slots * (sizeof(reel_operand) + REEL_MAX_DIMS * sizeof(int64_t)) + 17 * 64;
    char *at = reel_pool_alloc(ctx, bytes);
    if (!at) return NULL;
    reel_plan *plan = reel_plan_carve(&at, sizeof *plan);
    memset(plan, 0, sizeof *plan);
    plan->bytes = bytes;
    plan->hash = list->hash;
    plan->key_words = list->key_words;
    plan->key = reel_plan_carve(&at, key_bytes);
    memcpy(plan->key, list->key, key_bytes);
    plan->values = reel_plan_carve(&at, v * sizeof *plan->values);
    plan->n_values = graph->n_values;
    plan->places = reel_plan_carve(&at, v * sizeof *plan->places);
    plan->steps = reel_plan_carve(&at, n * sizeof *plan->steps);
    plan->buffers = reel_plan_carve(&at, slots * sizeof *plan->buffers);
    plan->slots = reel_plan_carve(&at, slots * sizeof *plan->slots);
    plan->n_slots = graph->n_slots;
    memcpy(plan->slots, graph->slots, slots * sizeof *plan->slots);
    plan->nodes = reel_plan_carve(&at, n * sizeof *plan->nodes);
    plan->n_nodes = graph->n_nodes;
    memcpy(plan->nodes, graph->nodes, n * sizeof *plan->nodes);
    plan->groups = reel_plan_carve(&at, n * sizeof *plan->groups);
    plan->fused_ops = reel_plan_carve(&at, n * sizeof *plan->fused_ops);
    plan->operands = reel_plan_carve(&at, slots * sizeof *plan->operands);
    plan->strides = reel_plan_carve(&at, slots * sizeof *plan->strides);
    return plan;
}

static bool build(reel_plan_builder *b)
{
    size_t n = (size_t)b->n_nodes, v = (size_t)b->plan->n_values;
    size_t bytes = n * 9 * sizeof(int32_t) + v * (3 * sizeof(int32_t) + 2 * sizeof(bool)) + n * 2 * sizeof(bool) + 23 * 64;
    char *work = reel_pool_alloc(b->ctx, bytes), *at = work;
    if (!work) return false;
    b->group_of = reel_plan_carve(&at, n * sizeof(int32_t));
    b->merged = reel_plan_carve(&at, n * sizeof(int32_t));
    b->last_node = reel_plan_carve(&at, n * sizeof(int32_t));
    b->size = reel_plan_carve(&at, n * sizeof(int32_t));
    b->step_of = reel_plan_carve(&at, n * sizeof(int32_t));
    int32_t *members = reel_plan_carve(&at, n * sizeof(int32_t)), *starts = reel_plan_carve(&at, (n + 1) * sizeof(int32_t));
    b->operand_of = reel_plan_carve(&at, v * sizeof(int32_t));
    b->closed = reel_plan_carve(&at, n * sizeof(bool));
    b->outside = reel_plan_carve(&at, v * sizeof(bool));
    b->uses = reel_plan_carve(&at, v * sizeof(int32_t));
    b->relu_of = reel_plan_carve(&at, n * sizeof(int32_t));
    b->folded = reel_plan_carve(&at, n * sizeof(bool));
    b->next_of = reel_plan_carve(&at, n * sizeof(int32_t));
    b->reader = reel_plan_carve(&at, v * sizeof(int32_t));
    b->gone = reel_plan_carve(&at, v * sizeof(bool));
    memset(b->outside, 0, v * sizeof(bool));
    memset(b->gone, 0, v * sizeof(bool));
    memset(b->uses, 0, v * sizeof(int32_t));
    for (size_t i = 0; i < v; i++) b->operand_of[i] = -1;
    bool ok = describe_values(b);
    if (ok) {
        fold(b);
        group_nodes(b);
        ungroup_lone_strided(b);
        find_outside_uses(b);
        reel_plan_turn_values(b);
        make_steps(b, members, starts);
        ok = reel_plan_place_values(b);
    }
    reel_pool_free(b->ctx, work, bytes);
    return ok;
}

reel_plan *reel_plan_of_graph(reel_ctx *ctx, const reel_play_list *list, const reel_plan_graph *graph)
{
    reel_plan_builder b = { .ctx = ctx, .list = list, .plan = new_plan(ctx, list, graph), .n_nodes = graph->n_nodes };
    if (b.plan && build(&b)) return b.plan;
    if (b.plan) reel_plan_destroy(ctx, b.plan);
    return NULL;
}

reel_plan *reel_plan_build(reel_ctx *ctx, const reel_play_list *list)
{
    reel_plan_graph graph = { .n_nodes = (int32_t)list->n_nodes, .n_values = (int32_t)list->n_values };
    for (int64_t n = 0; n < list->n_nodes; n++) graph.n_slots += list->nodes[n]->n_in + list->nodes[n]->n_out;
    size_t bytes = (size_t)graph.n_nodes * sizeof *graph.nodes + (size_t)graph.n_slots * sizeof *graph.slots;
    graph.nodes = reel_pool_alloc(ctx, bytes);
    if (!graph.nodes) return NULL;
    graph.slots = (int32_t *)(void *)(graph.nodes + graph.n_nodes);
    for (int32_t n = 0, slot = 0; n < graph.n_nodes; n++) {
        const reel_node *node = list->nodes[n];
        graph.nodes[n] =
            (reel_plan_node) { .op = node->op, .slot = slot, .source = n, .n_in = node->n_in, .n_out = node->n_out };
        for (int i = 0; i < node->n_in + node->n_out; i++)
            graph.slots[slot++] = node->tensors[i] ? node->tensors[i]->plan_id : -1;
    }
    reel_plan *plan = reel_plan_of_graph(ctx, list, &graph);
    reel_pool_free(ctx, graph.nodes, bytes);
    return plan && ctx->recompute ? reel_plan_recompute(ctx, list, plan) : plan;
}

/* Plans are of any size: kept for reuse, their memory would fit few others. */
void reel_plan_destroy(reel_ctx *ctx, reel_plan *plan) { reel_pool_return(ctx, plan, plan->bytes); }
