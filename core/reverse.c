// SPDX-License-Identifier: MIT
// Reverse: walks the tape backwards from some outputs and records the cotangent ops on the same tape.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <stdlib.h>
#include <string.h>

typedef struct walk {
    reel_ctx *ctx;
    reel_node **nodes; /* reachable and differentiable, in order of recording */
    int64_t n_nodes, nodes_capacity;
    reel_tensor **seen; /* tensors with a slot */
    reel_tensor **cotangents;
    int64_t n_seen, seen_capacity, cotangents_capacity;
} walk;

static bool give_slot(walk *w, reel_tensor *t)
{
    if (t->slot >= 0) return true;
    if (!reel_grow(w->ctx, &w->seen, &w->seen_capacity, w->n_seen + 1, sizeof *w->seen) ||
        !reel_grow(w->ctx, &w->cotangents, &w->cotangents_capacity, w->n_seen + 1, sizeof *w->cotangents))
        return false;
    t->slot = (int32_t)w->n_seen;
    w->seen[w->n_seen] = t;
    w->cotangents[w->n_seen++] = NULL;
    return true;
}

static bool visit(walk *w, reel_tensor *t)
{
    if (!t || !t->requires_grad) return true;
    if (!give_slot(w, t)) return false;
    reel_node *node = t->producer;
    if (!node || node->visited || !node->requires_grad) return true;
    if (!reel_grow(w->ctx, &w->nodes, &w->nodes_capacity, w->n_nodes + 1, sizeof *w->nodes)) return false;
    node->visited = true;
    node->live++; /* stays while the walk lasts */
    w->nodes[w->n_nodes++] = node;
    return true;
}

/* Nodes of one step have nearly consecutive numbers: they find their place by number; else they are sorted. */
static bool order_nodes(walk *w)
{
    if (w->n_nodes < 2) return true;
    uint64_t low = UINT64_MAX, high = 0;
    for (int64_t i = 0; i < w->n_nodes; i++) {
        if (w->nodes[i]->seq < low) low = w->nodes[i]->seq;
        if (w->nodes[i]->seq > high) high = w->nodes[i]->seq;
    }
    if (high - low >= 8 * (uint64_t)w->n_nodes) {
        reel_nodes_sort(w->nodes, w->n_nodes);
        return true;
    }
    size_t places = (size_t)(high - low + 1), bytes = places * sizeof *w->nodes;
    reel_node **at = reel_pool_alloc(w->ctx, bytes);
    if (!at) return false;
    memset(at, 0, bytes);
    for (int64_t i = 0; i < w->n_nodes; i++) at[w->nodes[i]->seq - low] = w->nodes[i];
    int64_t n = 0;
    for (size_t i = 0; i < places; i++)
        if (at[i]) w->nodes[n++] = at[i];
    reel_pool_free(w->ctx, at, bytes);
    return true;
}

static bool collect(walk *w, reel_tensor *const *outputs, int n_outputs)
{
    for (int k = 0; k < n_outputs; k++)
        if (!visit(w, outputs[k])) return false;
    for (int64_t done = 0; done < w->n_nodes; done++)
        for (int i = 0; i < w->nodes[done]->n_in; i++)
            if (!visit(w, w->nodes[done]->tensors[i])) return false;
    return order_nodes(w);
}

static void close_walk(walk *w)
{
    reel_ctx *ctx = w->ctx;
    for (int64_t i = 0; i < w->n_seen; i++) w->seen[i]->slot = -1;
    for (int64_t i = 0; i < w->n_nodes; i++) {
        w->nodes[i]->visited = w->nodes[i]->useful = false;
        reel_node_release(w->nodes[i]);
    }
    if (w->nodes) reel_pool_free(ctx, w->nodes, (size_t)w->nodes_capacity * sizeof *w->nodes);
    if (w->seen) reel_pool_free(ctx, w->seen, (size_t)w->seen_capacity * sizeof *w->seen);
    if (w->cotangents) reel_pool_free(ctx, w->cotangents, (size_t)w->cotangents_capacity * sizeof *w->cotangents);
}

/* What a rule may ask */

reel_tensor *reel_vjp_input(const reel_vjp *vjp, int i)
{
    const reel_node *node = vjp->node;
    if (i < 0 || i >= node->n_in || !node->tensors[i]) return NULL;
    reel_tensor *t = node->tensors[i];
    if (t->storage && t->storage->recorded != node->versions[i])
        return reel_fail(vjp->ctx, REEL_ERROR_VERSION,
                         "%s: its gradient needs input %d, which has been overwritten since the op was recorded; ask for the "
                         "gradient before the overwrite",
                         node->op->name, i);
    return t;
}

reel_tensor *reel_vjp_output(const reel_vjp *vjp, int k)
{
    const reel_node *node = vjp->node;
    return k >= 0 && k < node->n_out ? node->tensors[node->n_in + k] : NULL;
}

reel_shape reel_vjp_input_shape(const reel_vjp *vjp, int i)
{
    const reel_node *node = vjp->node;
    return reel_shape_of(i >= 0 && i < node->n_in ? node->tensors[i] : NULL);
}

reel_dtype reel_vjp_input_dtype(const reel_vjp *vjp, int i)
{
    const reel_node *node = vjp->node;
    return reel_dtype_of(i >= 0 && i < node->n_in ? node->tensors[i] : NULL);
}

/* A tensor that leads to something asked for. */
static bool leads_on(const reel_tensor *t)
{
    return t && t->requires_grad && t->slot >= 0 && (t->wanted || (t->producer && t->producer->useful));
}

bool reel_vjp_wants(const reel_vjp *vjp, int i)
{
    const reel_node *node = vjp->node;
    return i >= 0 && i < node->n_in && leads_on(node->tensors[i]);
}

/* The walk */

static bool run_hooks(walk *w, reel_tensor *t)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    for (reel_hook *hook = t->extra ? t->extra->hooks : NULL; hook; hook = hook->next) {
        reel_tensor *changed = hook->call(hook->user, w->cotangents[t->slot]);
        if (w->ctx->error) return false;
        if (!changed) continue;
        if (changed->dtype != t->dtype || !reel_shape_equal(reel_shape_of(changed), reel_shape_of(t)))
            return reel_fail(w->ctx, REEL_ERROR_SHAPE, "a gradient hook returned %s %s for a tensor of %s %s",
                             reel_dtype_name((reel_dtype)changed->dtype), reel_shape_format(reel_shape_of(changed), a),
                             reel_dtype_name((reel_dtype)t->dtype), reel_shape_format(reel_shape_of(t), b)) != NULL;
        w->cotangents[t->slot] = changed;
    }
    return true;
}

static bool accumulate(walk *w, const reel_node *node, int i, reel_tensor *grad)
{
    reel_tensor *t = node->tensors[i];
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (grad->dtype != t->dtype)
        return reel_fail(w->ctx, REEL_ERROR_DTYPE, "%s: the rule gave a %s cotangent for input %d, which is %s", node->op->name,
                         reel_dtype_name((reel_dtype)grad->dtype), i, reel_dtype_name((reel_dtype)t->dtype)) != NULL;
    if (!reel_tensor_same_shape(grad, t)) {
        reel_tensor *summed = reel_sum_to(grad, reel_shape_of(t));
        if (!summed && w->ctx->error == REEL_ERROR_SHAPE) { /* say it of the rule */
            reel_ctx_clear_error(w->ctx);
            return reel_fail(w->ctx, REEL_ERROR_SHAPE, "%s: the rule gave a cotangent of %s for input %d, which is %s",
                             node->op->name, reel_shape_format(reel_shape_of(grad), a), i,
                             reel_shape_format(reel_shape_of(t), b)) != NULL;
        }
        if (!summed) return false;
        grad = summed;
    }
    reel_tensor **sum = &w->cotangents[t->slot];
    *sum = *sum ? reel_add(*sum, grad) : grad;
    return *sum != NULL;
}

static bool reverse_node(walk *w, reel_node *node)
{
    reel_tensor *cot[REEL_MAX_OUTPUTS] = { 0 };
    bool any = false;
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (t->slot < 0 || !w->cotangents[t->slot]) continue;
        if (!run_hooks(w, t)) return false;
        cot[k] = w->cotangents[t->slot];
        any = true;
    }
    if (!any || !node->useful) return true;
    reel_tensor *few[8] = { 0 }, **grad = few;
    size_t bytes = (size_t)node->n_in * sizeof *grad;
    if (node->n_in > 8) {
        if (!(grad = reel_pool_alloc(w->ctx, bytes))) return false;
        memset(grad, 0, bytes);
    }
    reel_vjp vjp = { .op = node->op, .ctx = w->ctx, .attrs = node->attrs, .n_in = node->n_in, .n_out = node->n_out,
                     .cot = cot, .grad = grad, .node = node };
    w->ctx->reversed_now = node;
    bool ok = node->op->vjp(&vjp) && !w->ctx->error;
    w->ctx->reversed_now = NULL;
    if (!ok) reel_fail(w->ctx, REEL_ERROR_VALUE, "%s: its rule failed", node->op->name);
    for (int i = 0; i < node->n_in && ok; i++)
        if (grad[i] && reel_vjp_wants(&vjp, i)) ok = accumulate(w, node, i, grad[i]);
    if (grad != few) reel_pool_free(w->ctx, grad, bytes);
    reel_node_mark_reversed(node);
    return ok;
}

static bool seed_cotangent(walk *w, reel_tensor *output, reel_tensor *cotangent, int k)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (!output->requires_grad || output->slot < 0) return true;
    if (!cotangent) cotangent = reel_ones_like(output);
    if (!cotangent) return false;
    if (cotangent->dtype != output->dtype || !reel_tensor_same_shape(cotangent, output))
        return reel_fail(w->ctx, REEL_ERROR_SHAPE, "grad: output %d is %s %s, but its cotangent is %s %s", k,
                         reel_dtype_name((reel_dtype)output->dtype), reel_shape_format(reel_shape_of(output), a),
                         reel_dtype_name((reel_dtype)cotangent->dtype), reel_shape_format(reel_shape_of(cotangent), b)) != NULL;
    reel_tensor **sum = &w->cotangents[output->slot];
    *sum = *sum ? reel_add(*sum, cotangent) : cotangent;
    return *sum != NULL;
}

/* From the outputs to the cotangents of all collected tensors that lead to wanted ones. */
static bool reverse(walk *w, reel_tensor *const *outputs, int n_outputs, reel_tensor *const *cotangents)
{
    reel_ctx *ctx = w->ctx;
    for (int64_t i = 0; i < w->n_nodes; i++) {
        reel_node *node = w->nodes[i];
        for (int j = 0; j < node->n_in && !node->useful; j++) node->useful = leads_on(node->tensors[j]);
    }
    for (int k = 0; k < n_outputs; k++)
        if (!seed_cotangent(w, outputs[k], cotangents ? cotangents[k] : NULL, k)) return false;
    for (int64_t i = w->n_nodes; i-- > 0;)
        if (!reverse_node(w, w->nodes[i])) return false;
    for (int64_t i = 0; i < w->n_seen; i++) { /* leaves have no node that ran their hooks */
        reel_tensor *t = w->seen[i];
        if (!t->producer && w->cotangents[i] && !run_hooks(w, t)) return false;
    }
    return !ctx->error;
}

static bool begin(reel_ctx *ctx, const char *name)
{
    if (ctx->error) return false;
    if (ctx->reversing)
        return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: called from inside a rule or a gradient hook", name) != NULL;
    if (ctx->depth > 0 && ctx->depth <= ctx->scopes_capacity) ctx->scopes[ctx->depth - 1].reversed = true;
    ctx->reversing = true;
    reel_scope_begin(ctx);
    return !ctx->error;
}

/* Ends the inner scope without playing; `grads` stay in the scope around. */
static void end(reel_ctx *ctx, reel_tensor **grads, int n)
{
    for (int i = 0; i < n; i++)
        if (grads[i] && grads[i]->handle >= 0 && grads[i]->scope == ctx->depth) grads[i]->scope--;
    ctx->reversing = false;
    reel_scope_end_quietly(ctx);
}

/* Both ends of a gradient: there, of one context, and the inputs marked. */
static bool check_ends(reel_ctx *ctx, reel_tensor *const *outputs, int n_outputs, reel_tensor *const *inputs, int n_inputs)
{
    for (int i = 0; i < n_outputs + n_inputs; i++) {
        bool input = i >= n_outputs;
        const reel_tensor *x = input ? inputs[i - n_outputs] : outputs[i];
        const char *fault = reel_tensor_fault(x, ctx);
        char text[REEL_SHAPE_TEXT];
        if (fault)
            return reel_fail(ctx, REEL_ERROR_CONTEXT, "grad: %s %d %s", input ? "input" : "output", input ? i - n_outputs : i,
                             fault) != NULL;
        if (input && !x->requires_grad)
            return reel_fail(ctx, REEL_ERROR_VALUE,
                             "grad: input %d (%s) does not require a gradient; mark it with reel_set_requires_grad",
                             i - n_outputs, reel_shape_format(reel_shape_of(x), text)) != NULL;
    }
    return true;
}

static bool none(reel_tensor **grads, int n)
{
    for (int i = 0; grads && i < n; i++) grads[i] = NULL;
    return n <= 0;
}

bool reel_grad(reel_tensor *const *outputs, int n_outputs, reel_tensor *const *inputs, int n_inputs,
               reel_tensor *const *cotangents, reel_tensor **grads)
{
    reel_ctx *ctx = NULL;
    for (int k = 0; outputs && k < n_outputs && !ctx; k++) ctx = reel_ctx_of(outputs[k]);
    for (int i = 0; inputs && i < n_inputs && !ctx; i++) ctx = reel_ctx_of(inputs[i]);
    if (!ctx || n_outputs <= 0 || n_inputs <= 0 || !reel_given_list(ctx, "grad", "outputs", outputs, n_outputs) ||
        !reel_given_list(ctx, "grad", "inputs", inputs, n_inputs) ||
        !reel_given_list(ctx, "grad", "gradients", grads, n_inputs) ||
        !check_ends(ctx, outputs, n_outputs, inputs, n_inputs) || !begin(ctx, "grad"))
        return none(grads, n_inputs);
    walk w = { .ctx = ctx };
    for (int i = 0; i < n_inputs; i++) inputs[i]->wanted = true;
    bool ok = collect(&w, outputs, n_outputs) && reverse(&w, outputs, n_outputs, cotangents);
    for (int i = 0; i < n_inputs; i++) inputs[i]->wanted = false;
    for (int i = 0; i < n_inputs && ok; i++) { /* `grads` may be one of the lists above */
        reel_tensor *found = inputs[i]->slot >= 0 ? w.cotangents[inputs[i]->slot] : NULL;
        /* A cotangent that was not made here (one given, or shared by two inputs) is handed out as a tensor of its own. */
        bool own = found && found->handle >= 0 && found->scope == ctx->depth;
        for (int j = 0; j < i && own; j++) own = grads[j] != found;
        grads[i] = !found ? reel_zeros_like(inputs[i]) : own ? found : reel_identity(found);
        ok = grads[i] != NULL;
    }
    close_walk(&w);
    if (!ok) none(grads, n_inputs);
    end(ctx, grads, n_inputs);
    return ok;
}

bool reel_backward_with(reel_tensor *output, reel_tensor *cotangent, bool create_graph)
{
    if (!output) return false;
    reel_ctx *ctx = output->ctx;
    char text[REEL_SHAPE_TEXT];
    const char *fault = reel_tensor_fault(output, ctx);
    if (fault) return reel_fail(ctx, REEL_ERROR_CONTEXT, "backward: the output %s", fault) != NULL;
    if (!output->requires_grad)
        return reel_fail(ctx, REEL_ERROR_VALUE,
                         "backward: the output %s does not depend on a tensor that requires a gradient (or was recorded in "
                         "REEL_NO_GRAD)",
                         reel_shape_format(reel_shape_of(output), text)) != NULL;
    if (!begin(ctx, "backward")) return false;
    int32_t no_grad = ctx->no_grad;
    ctx->no_grad = create_graph ? 0 : no_grad + 1;
    walk w = { .ctx = ctx };
    bool ok = collect(&w, &output, 1);
    for (int64_t i = 0; i < w.n_seen; i++) w.seen[i]->wanted = !w.seen[i]->producer;
    ok = ok && reverse(&w, &output, 1, &cotangent);
    for (int64_t i = 0; i < w.n_seen && ok; i++) {
        reel_tensor *leaf = w.seen[i], *grad = w.cotangents[i];
        if (leaf->producer || !grad || leaf->handle < 0) continue; /* of a freed leaf nobody can ask for it */
        if (leaf->extra && leaf->extra->grad) grad = reel_add(leaf->extra->grad, grad);
        ok = grad && reel_set_grad(leaf, grad);
    }
    for (int64_t i = 0; i < w.n_seen; i++) w.seen[i]->wanted = false;
    close_walk(&w);
    ctx->no_grad = no_grad;
    end(ctx, NULL, 0);
    return ok;
}

bool reel_backward(reel_tensor *loss)
{
    char text[REEL_SHAPE_TEXT];
    if (loss && loss->numel != 1)
        return reel_fail(loss->ctx, REEL_ERROR_SHAPE,
                         "backward: the loss must have one element, but its shape is %s; give a cotangent to reel_backward_with",
                         reel_shape_format(reel_shape_of(loss), text)) != NULL;
    return reel_backward_with(loss, NULL, false);
}
