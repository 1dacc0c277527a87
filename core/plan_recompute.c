// SPDX-License-Identifier: MIT
// Plans that compute cheap values again rather than keep them (reel_ctx_opts.recompute).
//
// What fills a training step's memory is values that wait, from the forward pass to the gradients, across the step
// where most memory is in use. Such a value can be dropped and made a second time before its first reader behind that
// step when all that makes it is cheap and what it is made from is there at that time anyway (Chen et al. 2016,
// "Training deep nets with sublinear memory cost"; here no segments are told: the graph says what costs nothing). Each
// round does so for the fullest step, and stands when the plan made from it takes less memory.
#include <reel/core/plan_build.h>

#define MOST_ROUNDS 4
#define MOST_COST 8      /* ops played again for one value */
#define LEAST_BYTES 4096 /* of a value worth it            */
#define CANNOT ((int8_t)-1)

typedef struct again {
    int32_t node, anchor; /* a copy of plan node `node`, played before plan node `anchor` */
} again;

typedef struct recompute {
    reel_ctx *ctx;
    const reel_play_list *list;
    const reel_plan *plan;
    int32_t peak;        /* the step where the arena is fullest                                   */
    int32_t last_effect; /* the last node that overwrites something others may read behind it     */
    int32_t *step_of;    /* by node: -1 for views                                                 */
    bool *late;          /* by node: played behind the peak                                       */
    bool *folded;        /* by node: played with another op                                       */
    int8_t *cost;        /* by node: ops to play again for its results, or CANNOT                 */
    bool *target;        /* by value: to be computed again                                        */
    bool *at_peak;       /* by value: in use at the peak itself                                   */
    bool *read_late;     /* by value: read behind the peak                                        */
    again *copies;
    int32_t *slots; /* the plan's, then the copies'                                          */
    int32_t n_copies, n_slots, n_values;
} recompute;

static const reel_plan_node *node_of(const recompute *r, int32_t n) { return &r->plan->nodes[n]; }
static int32_t root_of(const recompute *r, int32_t v) { return r->plan->values[v].root; }

/* Steps */

static void find_steps(recompute *r)
{
    const reel_plan *plan = r->plan;
    for (int32_t n = 0; n < plan->n_nodes; n++) r->step_of[n] = -1;
    for (int32_t s = 0; s < plan->n_steps; s++) {
        const reel_plan_step *step = &plan->steps[s];
        int32_t parts[] = { step->node, step->relu, step->next, step->next_relu };
        for (int i = 0; i < 4; i++) {
            if (parts[i] < 0) continue;
            r->step_of[parts[i]] = s;
            r->folded[parts[i]] = i > 0 || step->relu >= 0 || step->next >= 0;
        }
        for (int32_t k = 0; step->group >= 0 && k < plan->groups[step->group].n_ops; k++)
            r->step_of[plan->groups[step->group].ops[k].node] = s;
    }
}

/* `change`: zeros, for the bytes of the arena in use, by step as differences. */
static void find_peak(recompute *r, int64_t *change)
{
    const reel_plan *plan = r->plan;
    for (int32_t v = 0; v < plan->n_values; v++) {
        const reel_plan_value *value = &plan->values[v];
        if (value->place != REEL_PLACE_ARENA || value->first < 0) continue;
        change[value->first] += value->bytes;
        change[value->last + 1] -= value->bytes;
    }
    int64_t bytes = 0, most = -1;
    for (int32_t s = 0; s < plan->n_steps; s++) {
        bytes += change[s];
        if (bytes <= most) continue;
        most = bytes;
        r->peak = s;
    }
}

/* Which nodes are played behind the peak, and what they and the peak read. A view goes with what it views. */
static void find_readers(recompute *r)
{
    int32_t effect = -1;
    r->last_effect = -1;
    for (int32_t n = 0; n < r->plan->n_nodes; n++) {
        const reel_plan_node *node = node_of(r, n);
        const int32_t *v = r->plan->slots + node->slot;
        bool view = node->op->flags & REEL_OP_VIEW;
        int32_t maker = view && v[0] >= 0 ? r->plan->values[v[0]].made_by : -1;
        r->late[n] = view ? maker >= 0 && r->late[maker] : r->step_of[n] > r->peak;
        for (int i = 0; i < node->n_in + node->n_out && r->step_of[n] == r->peak; i++)
            if (v[i] >= 0) r->at_peak[root_of(r, v[i])] = true;
        for (int i = 0; i < node->n_in && r->late[n]; i++)
            if (v[i] >= 0) r->read_late[v[i]] = true;
        if (node->op->flags & REEL_OP_INPLACE)
            effect = n;
        else if (!view)
            r->last_effect = effect;
    }
}

/* What can be computed again */

static bool waits(const recompute *r, int32_t root)
{
    const reel_plan_value *value = &r->plan->values[root];
    return value->place == REEL_PLACE_ARENA && value->first <= r->peak && value->last > r->peak;
}

/* Whether node n finds the memory of `root` as it is when it is played behind the peak instead, at no cost. */
static bool there(const recompute *r, int32_t n, int32_t root)
{
    const reel_plan_value *value = &r->plan->values[root];
    if (value->made_by < 0) return n > r->last_effect;
    return value->place == REEL_PLACE_OWN || value->place == REEL_PLACE_SHARED || (waits(r, root) && !r->target[root]);
}

static int8_t cost_of(const recompute *r, int32_t n)
{
    const reel_plan_node *node = node_of(r, n);
    bool view = node->op->flags & REEL_OP_VIEW, cheap = node->op->pointwise || (node->op->flags & REEL_OP_CHEAP);
    if (r->late[n] || (!view && (!cheap || r->folded[n]))) return CANNOT;
    int cost = !view;
    for (int i = 0; i < node->n_in; i++) {
        int32_t v = r->plan->slots[node->slot + i];
        if (v < 0 || there(r, n, root_of(r, v))) continue;
        int32_t maker = r->plan->values[v].made_by;
        if (maker < 0 || r->cost[maker] == CANNOT) return CANNOT;
        cost += r->cost[maker];
    }
    return cost > MOST_COST ? CANNOT : (int8_t)cost;
}

/* In order, so that what a value is made from is known to stay before the value itself may go. */
static bool find_targets(recompute *r)
{
    bool any = false;
    for (int32_t n = 0; n < r->plan->n_nodes; n++) {
        r->cost[n] = cost_of(r, n);
        const reel_plan_node *node = node_of(r, n);
        for (int k = 0; k < node->n_out && r->cost[n] > 0; k++) {
            int32_t v = r->plan->slots[node->slot + node->n_in + k];
            if (root_of(r, v) != v || !waits(r, v) || r->at_peak[v] || r->plan->values[v].bytes < LEAST_BYTES) continue;
            any = r->target[v] = true;
        }
    }
    return any;
}

/* The graph with copies */

/* Makes who reads v behind the peak read `copy`; gives the first of them, and `anchor` when there is none before it. */
static int32_t read_copy(recompute *r, int32_t v, int32_t copy, int32_t anchor)
{
    for (int32_t n = 0; n < r->plan->n_nodes; n++) {
        const reel_plan_node *node = node_of(r, n);
        for (int i = 0; i < node->n_in && r->late[n]; i++) {
            if (r->slots[node->slot + i] != v) continue;
            r->slots[node->slot + i] = copy;
            if (n < anchor) anchor = n;
        }
    }
    for (int32_t c = 0, slot = r->plan->n_slots; c < r->n_copies; c++) {
        const reel_plan_node *node = node_of(r, r->copies[c].node);
        for (int i = 0; i < node->n_in; i++) {
            if (r->slots[slot + i] != v) continue;
            r->slots[slot + i] = copy;
            if (r->copies[c].anchor < anchor) anchor = r->copies[c].anchor;
        }
        slot += node->n_in + node->n_out;
    }
    return anchor;
}

static void copy_node(recompute *r, int32_t n)
{
    const reel_plan_node *node = node_of(r, n);
    int32_t anchor = r->plan->n_nodes;
    int32_t slot = r->n_slots;
    for (int i = 0; i < node->n_in; i++) {
        int32_t v = r->plan->slots[node->slot + i];
        r->slots[slot + i] = v;
        if (v >= 0) r->read_late[v] = true;
    }
    for (int k = 0; k < node->n_out; k++) {
        r->slots[slot + node->n_in + k] = r->n_values;
        anchor = read_copy(r, r->plan->slots[node->slot + node->n_in + k], r->n_values++, anchor);
    }
    r->n_slots += node->n_in + node->n_out;
    r->copies[r->n_copies++] = (again) { .node = n, .anchor = anchor };
}

/* From behind, so that what a copy reads is asked about after it. The new values are then numbered from behind too:
 * what a view looks at comes before the view. */
static void copy_nodes(recompute *r)
{
    int32_t first = r->n_values;
    for (int32_t n = r->plan->n_nodes - 1; n >= 0; n--) {
        const reel_plan_node *node = node_of(r, n);
        if (r->late[n] || r->cost[n] == CANNOT) continue;
        bool wanted = false;
        for (int k = 0; k < node->n_out; k++) {
            int32_t v = r->plan->slots[node->slot + node->n_in + k];
            wanted |= r->read_late[v] && !there(r, n, root_of(r, v));
        }
        if (wanted) copy_node(r, n);
    }
    for (int32_t i = 0; i < r->n_slots; i++)
        if (r->slots[i] >= first) r->slots[i] = r->n_values - 1 - (r->slots[i] - first);
}

/* Nodes in their order, each copy before its anchor; of one anchor's copies the last made comes first. */
static void order_nodes(const recompute *r, reel_plan_node *nodes, int32_t *slot_of)
{
    for (int32_t c = 0, slot = r->plan->n_slots; c < r->n_copies; c++) {
        slot_of[c] = slot;
        slot += node_of(r, r->copies[c].node)->n_in + node_of(r, r->copies[c].node)->n_out;
    }
    for (int32_t n = 0, count = 0; n < r->plan->n_nodes; n++) {
        for (int32_t c = r->n_copies - 1; c >= 0; c--) {
            if (r->copies[c].anchor != n) continue;
            nodes[count] = *node_of(r, r->copies[c].node);
            nodes[count].slot = slot_of[c];
            nodes[count++].again = true;
        }
        nodes[count++] = *node_of(r, n);
    }
}

static reel_plan *plan_with_copies(const recompute *r)
{
    reel_plan_graph graph = {
        .slots = r->slots, .n_nodes = r->plan->n_nodes + r->n_copies, .n_slots = r->n_slots, .n_values = r->n_values
    };
    size_t bytes = (size_t)graph.n_nodes * sizeof *graph.nodes + (size_t)r->n_copies * sizeof(int32_t);
    graph.nodes = reel_pool_alloc(r->ctx, bytes);
    if (!graph.nodes) return NULL;
    order_nodes(r, graph.nodes, (int32_t *)(void *)(graph.nodes + graph.n_nodes));
    reel_plan *plan = reel_plan_of_graph(r->ctx, r->list, &graph);
    reel_pool_free(r->ctx, graph.nodes, bytes);
    return plan;
}

/* One round; `better` is the plan itself when there is none. False when memory is short. */
static bool improve(reel_ctx *ctx, const reel_play_list *list, reel_plan *plan, reel_plan **better)
{
    size_t n = (size_t)plan->n_nodes, v = (size_t)plan->n_values, slots = (size_t)plan->n_slots;
    size_t bytes = n * (sizeof(int32_t) + 2 * sizeof(bool) + sizeof(int8_t) + sizeof(again)) + 3 * v * sizeof(bool) +
                   2 * slots * sizeof(int32_t) + ((size_t)plan->n_steps + 1) * sizeof(int64_t) + 10 * 64;
    char *work = reel_pool_alloc(ctx, bytes), *at = work;
    if (!work) return false;
    memset(work, 0, bytes);
    recompute r = { .ctx = ctx, .list = list, .plan = plan, .n_slots = plan->n_slots, .n_values = plan->n_values };
    r.step_of = reel_plan_carve(&at, n * sizeof(int32_t));
    r.late = reel_plan_carve(&at, n * sizeof(bool));
    r.folded = reel_plan_carve(&at, n * sizeof(bool));
    r.cost = reel_plan_carve(&at, n * sizeof(int8_t));
    r.copies = reel_plan_carve(&at, n * sizeof(again));
    r.target = reel_plan_carve(&at, v * sizeof(bool));
    r.at_peak = reel_plan_carve(&at, v * sizeof(bool));
    r.read_late = reel_plan_carve(&at, v * sizeof(bool));
    r.slots = reel_plan_carve(&at, 2 * slots * sizeof(int32_t));
    memcpy(r.slots, plan->slots, slots * sizeof(int32_t));
    find_steps(&r);
    find_peak(&r, reel_plan_carve(&at, ((size_t)plan->n_steps + 1) * sizeof(int64_t)));
    find_readers(&r);
    *better = plan;
    bool ok = true;
    if (find_targets(&r)) {
        copy_nodes(&r);
        *better = plan_with_copies(&r);
        ok = *better != NULL;
    }
    reel_pool_free(ctx, work, bytes);
    return ok;
}

reel_plan *reel_plan_recompute(reel_ctx *ctx, const reel_play_list *list, reel_plan *plan)
{
    for (int round = 0; round < MOST_ROUNDS; round++) {
        reel_plan *better;
        if (!improve(ctx, list, plan, &better)) {
            reel_plan_destroy(ctx, plan);
            return NULL;
        }
        if (better == plan) break;
        bool less = better->arena_bytes < plan->arena_bytes;
        reel_plan_destroy(ctx, less ? plan : better);
        if (!less) break;
        plan = better;
    }
    return plan;
}
