// SPDX-License-Identifier: MIT
// Which values of a plan lie turned, the batch innermost, between ops that would otherwise turn them there and back.
//
// A value may when whoever makes it can write it so and all its readers can read it so. Ops tell by `turns`; an
// elementwise pass can when all that it reads and writes element by element lies alike. All candidates are taken to lie
// turned, and those that cannot are taken out until nothing changes.
#include <reel/core/plan_build.h>

/* Takes value v out; false when it was out. */
static bool lay_flat(reel_plan_builder *b, int32_t v)
{
    if (v < 0) return false;
    reel_plan_value *root = &b->plan->values[b->plan->values[v].root];
    bool was = root->turned;
    root->turned = false;
    return was;
}

/* Operand i of node n's step: its inputs, then what remains of its results with what is played with it. */
static int32_t operand_of(const reel_plan_builder *b, int32_t n, int i)
{
    int n_in = b->plan->nodes[n].n_in;
    if (i < n_in) return reel_plan_operand(b, n, i);
    int32_t last = b->next_of[n] >= 0 ? b->next_of[n] : n;
    if (i == n_in && b->relu_of[last] >= 0) return reel_plan_result_of(b, b->relu_of[last]);
    return reel_plan_operand(b, last, b->plan->nodes[last].n_in + i - n_in);
}

/* Operands that cannot, or not without the others, are taken out. */
static bool settle_op(reel_plan_builder *b, int32_t n)
{
    const reel_node *node = reel_plan_source(b, n);
    int count = node->n_in + (b->next_of[n] >= 0 ? b->plan->nodes[b->next_of[n]].n_out : node->n_out);
    uint32_t can = 0;
    bool any = false; /* else there is nothing to ask the op about */
    for (int i = 0; i < count; i++) {
        int32_t v = operand_of(b, n, i);
        any |= v >= 0 && b->plan->values[b->plan->values[v].root].turned;
    }
    if (!any) return false;
    if (node->op->turns)
        can = node->op->turns(&(reel_op_turns) {
            .exec = &b->ctx->exec, .attrs = node->attrs, .tensors = node->tensors, .n_in = node->n_in });
    bool changed = false;
    for (int i = 0; i < count && (can & REEL_TURNS_TOGETHER); i++) {
        int32_t v = operand_of(b, n, i);
        if ((can >> i & 1) && v >= 0 && !b->plan->values[v].turned) can = 0;
    }
    for (int i = 0; i < count; i++)
        if (!can || !(can >> i & 1)) changed |= lay_flat(b, operand_of(b, n, i));
    return changed;
}

static bool settle_elementwise(reel_plan_builder *b, int32_t n)
{
    int n_in = b->plan->nodes[n].n_in;
    const reel_plan_value *values = b->plan->values, *out = &values[reel_plan_result_of(b, n)];
    bool can = true, changed = false;
    for (int i = 0; i <= n_in; i++) {
        const reel_plan_value *value = &values[reel_plan_operand(b, n, i)];
        if (value->numel > 1 || out->numel == 1) can &= value->turned && reel_plan_same_shape(value, out);
    }
    for (int i = 0; i <= n_in && !can; i++) changed |= lay_flat(b, reel_plan_operand(b, n, i));
    return changed;
}

void reel_plan_turn_values(reel_plan_builder *b)
{
    reel_plan *plan = b->plan;
    bool any = false;
    for (int32_t v = 0; v < plan->n_values; v++) {
        reel_plan_value *value = &plan->values[v];
        value->turned = value->made_by >= 0 && value->root == v && !value->kept && !b->gone[v] &&
                        !reel_plan_tensor(b, v)->storage && value->ndim >= 3 && value->numel > 0;
        any |= value->turned;
    }
    bool back = false;
    for (bool changed = any; changed; back = !back) { /* forth and back: a chain of any length settles in a few passes */
        changed = false;
        for (int32_t i = 0; i < b->n_nodes; i++) {
            int32_t n = back ? b->n_nodes - 1 - i : i;
            if (b->folded[n] || reel_plan_is_whole_view(b, n)) continue;
            changed |= b->group_of[n] >= 0 ? settle_elementwise(b, n) : settle_op(b, n);
        }
    }
    for (int32_t n = 0; n < b->n_nodes; n++) /* an op's own result, whose place a relu's has taken */
        if (b->relu_of[n] >= 0)
            plan->values[reel_plan_result_of(b, n)].turned = plan->values[reel_plan_result_of(b, b->relu_of[n])].turned;
}
