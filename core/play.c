// SPDX-License-Identifier: MIT
// Play: computes the nodes that are needed, one by one or by a plan.
#include <reel/core/plan.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Playing one node */

bool reel_play_fail(const reel_play *play, reel_error error, const char *format, ...)
{
    char message[600];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format ? format : "failed", args);
    va_end(args);
    reel_fail(play->ctx, error, "%s: %s", play->op->name, message);
    return false;
}

bool reel_play_out_of_memory(const reel_play *play)
{
    return reel_play_fail(play, REEL_ERROR_MEMORY, "there is not enough memory");
}

static void set_buffer(reel_buffer *buffer, const reel_tensor *t)
{
    if (!t) {
        *buffer = (reel_buffer){ 0 };
        return;
    }
    *buffer = (reel_buffer){ .data = reel_tensor_address(t), .shape = t->shape, .strides = reel_tensor_strides(t), .numel = t->numel,
                             .ndim = t->ndim, .dtype = (reel_dtype)t->dtype };
}

bool reel_check_versions(reel_ctx *ctx, const reel_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        const reel_tensor *t = node->tensors[i];
        if (t && t->storage && t->storage->version != node->versions[i])
            return reel_fail(ctx, REEL_ERROR_VERSION,
                             "%s: input %d has been overwritten since this op was recorded; ask for the result (reel_eval) before the "
                             "overwrite, or record the op again",
                             node->op->name, i) != NULL;
    }
    return true;
}

/* The first element that is not finite, or -1. */
static int64_t find_not_finite(const reel_tensor *t)
{
    if (t->dtype == REEL_F32) {
        const float *x = reel_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            if (!isfinite(x[i])) return i;
    } else if (t->dtype == REEL_F64) {
        const double *x = reel_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            if (!isfinite(x[i])) return i;
    }
    return -1;
}

/* Says which input was not finite before, if one was: then the cause lies outside the ops recorded in anomaly mode. */
static void describe_cause(const reel_node *node, char *text, size_t size)
{
    for (int i = 0; i < node->n_in; i++) {
        const reel_tensor *t = node->tensors[i];
        int64_t at = t && t->storage && t->contiguous ? find_not_finite(t) : -1;
        if (at < 0) continue;
        snprintf(text, size, " (so is element %lld of input %d)", (long long)at, i);
        return;
    }
}

static bool check_finite(reel_ctx *ctx, const reel_node *node)
{
    for (int k = 0; k < node->n_out; k++) {
        const reel_tensor *t = node->tensors[node->n_in + k];
        int64_t at = t && t->storage && t->contiguous ? find_not_finite(t) : -1;
        if (at < 0) continue;
        char shape[REEL_SHAPE_TEXT];
        double value = t->dtype == REEL_F32 ? ((float *)reel_tensor_address(t))[at] : ((double *)reel_tensor_address(t))[at];
        const reel_node_origin *origin = reel_node_origin_of(node);
        const char *rule = origin && origin->rule ? origin->rule->name : "";
        char place[REEL_CALL_STACK_TEXT] = "", input[64] = "";
        if (origin) reel_call_stack_describe(&origin->stack, place);
        describe_cause(node, input, sizeof input);
        return reel_fail(ctx, REEL_ERROR_NUMERIC, "%s: element %lld of the result %s is %g%s%s%s%s%s", node->op->name, (long long)at,
                         reel_shape_format(reel_shape_of(t), shape), value, input, *rule ? ", in the gradient of " : "", rule,
                         *place ? ", recorded by " : "", place) != NULL;
    }
    return true;
}

static bool play_view(reel_node *node)
{
    if (!reel_node_out(node)[0]->storage) reel_tensor_alias(reel_node_out(node)[0], node->tensors[0]);
    return true;
}

#define FEW 12

static bool play_op(reel_ctx *ctx, reel_node *node)
{
    reel_buffer few[FEW], *buffers = few;
    int n = node->n_in + node->n_out;
    if (n > FEW && !(buffers = reel_scratch(&ctx->exec, reel_bytes((size_t)n, sizeof *buffers)))) return false;
    for (int i = 0; i < node->n_in; i++) set_buffer(&buffers[i], node->tensors[i]);
    bool empty = node->n_out > 0;
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (t->numel > 0) empty = false;
        if (!t->storage) {
            t->storage = reel_storage_new(ctx, t->numel, (reel_dtype)t->dtype);
            if (!t->storage) return false;
            t->offset = 0;
            set_buffer(&buffers[node->n_in + k], t);
        } else { /* played again for another output: this one is kept as it is */
            reel_buffer *buffer = &buffers[node->n_in + k];
            set_buffer(buffer, t);
            buffer->data = reel_scratch(&ctx->exec, reel_bytes((size_t)t->numel, reel_dtype_size((reel_dtype)t->dtype)));
            if (!buffer->data) return false;
        }
    }
    if (empty) return true;
    reel_play play = { .op = node->op, .ctx = ctx, .exec = &ctx->exec, .attrs = node->attrs, .n_in = node->n_in,
                       .n_out = node->n_out, .in = buffers, .out = buffers + node->n_in, .node = node };
    int64_t start = ctx->profile ? reel_profile_clock() : 0;
    if (node->op->play(&play) && !ctx->error) return !ctx->profile || reel_profile_op(ctx, start, &play, NULL);
    reel_kept_forget(ctx, node);
    reel_fail(ctx, REEL_ERROR_VALUE, "%s: the kernel failed", node->op->name);
    return false;
}

static bool play_node(reel_ctx *ctx, reel_node *node)
{
    bool ok = reel_check_versions(ctx, node) &&
              (node->op->flags & REEL_OP_VIEW ? play_view(node) : play_op(ctx, node)) && (!ctx->anomaly || check_finite(ctx, node));
    reel_scratch_release(ctx);
    if (!ok) {
        for (int k = 0; k < node->n_out; k++) {
            reel_tensor *t = reel_node_out(node)[k];
            if (!node->replay) {
                reel_storage_unref(ctx, t->storage);
                t->storage = NULL;
            }
        }
        return false;
    }
    if (node->op->flags & REEL_OP_INPLACE) {
        int writes = node->op->writes ? node->op->writes : 1;
        for (int i = 0; i < writes && i < node->n_in; i++)
            if (node->tensors[i]) node->tensors[i]->storage->version++;
    }
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i]) node->tensors[i]->pending_uses--;
    reel_node_played(node);
    return true;
}

static int64_t play_each(reel_ctx *ctx, reel_node **nodes, int64_t count)
{
    int64_t played = 0;
    while (played < count && play_node(ctx, nodes[played])) played++;
    return played;
}

/* Nodes that were to be played again and were not go back to their rest. */
static void forget_replay(reel_node *node)
{
    node->replay = false;
    for (int i = 0; i < node->n_in; i++)
        if (node->tensors[i]) node->tensors[i]->pending_uses--;
}

bool reel_play_targets(reel_ctx *ctx, reel_tensor *const *targets, int64_t count, bool effects)
{
    if (ctx->error) return false;
    if (ctx->playing)
        return reel_fail(ctx, REEL_ERROR_CONTEXT, "a value was asked for from inside an op's play") != NULL;
    reel_collected g = { 0 };
    for (int64_t i = 0; i < count; i++) targets[i]->wanted = true;
    bool ok = reel_tape_collect(ctx, &g, targets, count, effects);
    ctx->playing = true;
    int64_t played = 0, start = ctx->profile ? reel_profile_clock() : 0;
    if (ok && g.count > 1 && !ctx->eager && !ctx->anomaly) {
        ok = reel_play_planned(ctx, &g);
        played = ok ? g.count : 0;
    } else if (ok) {
        played = play_each(ctx, g.nodes, g.count);
        ok = played == g.count;
    }
    ctx->playing = false;
    if (ctx->profile && g.count > 0) reel_profile_span(ctx, start, REEL_SPAN_PLAY, "play");
    for (int64_t i = played; i < g.replays; i++) forget_replay(g.nodes[i]);
    for (int64_t i = 0; i < count; i++) targets[i]->wanted = false;
    for (int64_t i = 0; i < count; i++)
        if (targets[i]->pinned || targets[i]->is_grad) reel_tensor_settle(targets[i]);
    if (g.nodes) reel_pool_free(ctx, g.nodes, (size_t)g.capacity * sizeof *g.nodes);
    if (!ok) reel_tape_discard_effects(ctx);
    return ok;
}
