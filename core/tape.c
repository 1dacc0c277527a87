// SPDX-License-Identifier: MIT
// Record: ops become nodes on the tape.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Inference */

static size_t describe_operand(char *text, size_t size, const char *lead, int i, const reel_tensor *t)
{
    char shape[REEL_SHAPE_TEXT];
    int n = t ? snprintf(text, size, "%sinput %d: %s %s", lead, i, reel_dtype_name((reel_dtype)t->dtype),
                         reel_shape_format(reel_shape_of(t), shape))
              : snprintf(text, size, "%sinput %d: none", lead, i);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

bool reel_infer_fail(const reel_infer *infer, reel_error error, const char *format, ...)
{
    char message[512], operands[400] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format ? format : "refused", args);
    va_end(args);
    size_t at = 0;
    for (int i = 0; i < infer->n_in && i < 6; i++)
        at += describe_operand(operands + at, sizeof operands - at, i ? ", " : " (", i, infer->in[i]);
    if (infer->n_in > 6) at += (size_t)snprintf(operands + at, sizeof operands - at, ", and %d more", infer->n_in - 6);
    reel_fail(infer->ctx, error, "%s: %s%s%s", infer->op->name, message, operands, infer->n_in ? ")" : "");
    return false;
}

bool reel_infer_out(reel_infer *infer, int k, reel_dtype dtype, reel_shape shape)
{
    char text[REEL_SHAPE_TEXT];
    if (shape.ndim < 0 || shape.ndim > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the result would have %d axes; a tensor has 0 to %d", shape.ndim,
                               REEL_MAX_DIMS);
    if (reel_shape_numel(shape) < 0)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "the result's shape %s has a negative axis or is too large for memory",
                               reel_shape_format(shape, text));
    if ((unsigned)k >= (unsigned)infer->n_out) {
        if (k < 0 || k >= REEL_MAX_OUTPUTS)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "there is no output %d; an op has at most %d", k, REEL_MAX_OUTPUTS);
        infer->n_out = k + 1;
    }
    infer->out[k].dtype = dtype;
    infer->out[k].shape = shape;
    return true;
}

bool reel_infer_same(reel_infer *infer)
{
    /* The shape of a tensor that exists needs no check. */
    const reel_tensor *x = infer->in[0];
    if (!x) return reel_infer_fail(infer, REEL_ERROR_CONTEXT, "the result is to be like input 0, which is missing (NULL)");
    infer->out[0].dtype = (reel_dtype)x->dtype;
    infer->out[0].shape.ndim = x->ndim;
    for (int i = 0; i < x->ndim; i++) infer->out[0].shape.dim[i] = x->shape[i]; /* a call costs more */
    return true;
}

/* Whether all that are there have the dtype and the shape of the first. */
static inline bool alike(reel_tensor *const *in, int n_in)
{
    for (int i = 1; i < n_in; i++)
        if (in[i] && (in[i]->dtype != in[0]->dtype || !reel_tensor_same_shape(in[i], in[0]))) return false;
    return true;
}

static __attribute__((noinline)) bool infer_unequal(reel_infer *infer)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    const reel_tensor *first = infer->in[0];
    reel_shape shape = reel_shape_of(first);
    for (int i = 1; i < infer->n_in; i++) {
        const reel_tensor *t = infer->in[i];
        if (!t) continue;
        if (t->dtype != first->dtype)
            return reel_infer_fail(infer, REEL_ERROR_DTYPE, "operands have the dtypes %s and %s; cast one",
                                   reel_dtype_name((reel_dtype)first->dtype), reel_dtype_name((reel_dtype)t->dtype));
        reel_shape next = { .ndim = t->ndim > shape.ndim ? t->ndim : shape.ndim };
        for (int axis = 1; axis <= next.ndim; axis++) { /* from the last axis */
            int64_t m = axis <= shape.ndim ? shape.dim[shape.ndim - axis] : 1;
            int64_t n = axis <= t->ndim ? t->shape[t->ndim - axis] : 1;
            if (m != n && m != 1 && n != 1)
                return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                       "the shapes %s and %s do not broadcast: at axis %d the sizes are %lld and %lld",
                                       reel_shape_format(shape, a), reel_shape_format(reel_shape_of(t), b), -axis,
                                       (long long)m, (long long)n);
            next.dim[next.ndim - axis] = m == 1 ? n : m;
        }
        shape = next;
    }
    return reel_infer_out(infer, 0, (reel_dtype)first->dtype, shape);
}

bool reel_infer_broadcast(reel_infer *infer)
{
    bool same = !infer->in[0] || alike(infer->in, infer->n_in);
    return same ? reel_infer_same(infer) : infer_unequal(infer);
}

/* Recording */

const char *reel_tensor_fault(const reel_tensor *x, const reel_ctx *ctx)
{
    if (!x) return "is missing (NULL)";
    if (x->ctx != ctx) return "belongs to another context";
    return x->refs < 0 ? "is gone: it was freed, or the scope it was made in has ended (see reel_scope_return)" : NULL;
}

static bool refuse_input(reel_ctx *ctx, const char *op, int i, const reel_tensor *t)
{
    return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: input %d %s", op, i, reel_tensor_fault(t, ctx)) != NULL;
}

/* Says of `*grad` whether one of them requires a gradient. */
static inline bool check_inputs(reel_ctx *ctx, const char *op, uint32_t optional, reel_tensor *const *in, int n_in, bool *grad)
{
    bool any = false;
    if (n_in < 0 || n_in > UINT16_MAX)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %d operands are too many", op, n_in) != NULL;
    for (int i = 0; i < n_in; i++) {
        const reel_tensor *t = in[i];
        if (t ? t->ctx != ctx || t->refs < 0 : i > 31 || !(optional >> i & 1)) return refuse_input(ctx, op, i, t);
        any |= t && t->requires_grad;
    }
    *grad = any;
    return true;
}

bool reel_operands(const char *op, reel_tensor *const *in, int n)
{
    bool grad;
    for (int i = 0; i < n; i++)
        if (in[i]) return !in[i]->ctx->error && check_inputs(in[i]->ctx, op, 0, in, n, &grad);
    return false;
}

/* An overwritten operand must be memory of its own that the library may write. */
static bool check_overwritten(reel_ctx *ctx, const reel_op *op, reel_tensor *t)
{
    if (t->producer && !t->requires_grad && !t->storage) reel_eval(t);
    if (t->producer && !t->requires_grad && t->storage) reel_tensor_cut(t);
    if (t->producer || !t->storage)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: only a leaf can be overwritten, not the result of an op", op->name) != NULL;
    if (t->storage->shared) { /* small values of a plan lie in one block: this one moves out */
        reel_storage *own = reel_storage_new(ctx, t->numel, (reel_dtype)t->dtype);
        if (!own) return false;
        memcpy(own->data, reel_tensor_address(t), own->bytes);
        reel_storage_unref(ctx, t->storage);
        t->storage = own;
        t->offset = 0;
    }
    if (t->storage->borrowed)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: memory borrowed by reel_borrow cannot be overwritten; copy it with reel_from",
                         op->name) != NULL;
    if (!t->contiguous)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: only a row-major tensor can be overwritten, not a view", op->name) != NULL;
    return true;
}

static inline void pending_append(reel_ctx *ctx, reel_node *node)
{
    node->prev = ctx->pending_last;
    node->next = NULL;
    if (ctx->pending_last)
        ctx->pending_last->next = node;
    else
        ctx->pending_first = node;
    ctx->pending_last = node;
}

static bool play_now(reel_ctx *ctx, reel_node *node)
{
    if (ctx->playing) return true;
    if (reel_node_is_effect(node)) return reel_play_targets(ctx, NULL, 0, true);
    return reel_play_targets(ctx, reel_node_out(node), node->n_out, true);
}

/* What a rule records comes from where its op was recorded. */
static void note_origin(reel_ctx *ctx, reel_node *node)
{
    const reel_node *forward = ctx->reversed_now;
    node->traced = true;
    reel_node_origin *origin = reel_node_origin_of(node);
    origin->rule = forward ? forward->op : NULL;
    if (forward && forward->traced)
        origin->stack = reel_node_origin_of(forward)->stack;
    else
        reel_call_stack_capture(&origin->stack);
}

/* Without its outputs yet, but with room for so many. Its inputs count it as a reader. */
static inline reel_node *node_new(reel_ctx *ctx, const reel_op *op, reel_tensor *const *in, int n_in, int n_out,
                                  const void *attrs, bool pending, bool grad)
{
    size_t tensors = (size_t)(n_in + n_out) * sizeof(reel_tensor *), versions = ((size_t)n_in * 4 + 7) & ~(size_t)7;
    size_t bytes = offsetof(reel_node, tensors) + tensors + versions + op->attrs_size;
    if (ctx->anomaly) bytes = ((bytes + 7) & ~(size_t)7) + sizeof(reel_node_origin);
    reel_node *node = reel_small_alloc(ctx, bytes);
    if (!node) return NULL;
    node->ctx = ctx;
    node->op = op;
    node->live = 0;
    node->replay = node->reversed = node->needed = node->useful = node->visited = node->traced = false;
    node->pending = pending;
    node->requires_grad = grad;
    node->bytes = (uint32_t)bytes;
    node->n_in = (uint16_t)n_in;
    node->n_out = 0;
    uint32_t *version = (uint32_t *)((char *)node->tensors + tensors);
    node->versions = version;
    node->attrs = (char *)version + versions;
    if (attrs) memcpy(node->attrs, attrs, op->attrs_size);
    if (ctx->anomaly) note_origin(ctx, node);
    ctx->n_nodes++;
    bool strided = op->flags & (REEL_OP_STRIDED | REEL_OP_VIEW);
    for (int i = 0; i < n_in; i++) {
        reel_tensor *t = in[i];
        /* An op that takes row-major memory only gets its strided operand through a copy on the tape. */
        if (!strided && t && !t->contiguous) t = reel_contiguous(t);
        node->tensors[i] = t;
        if (!t) continue;
        version[i] = t->storage ? t->storage->recorded : 0;
        t->pending_uses += pending;
        t->grad_uses += grad;
        reel_tensor_ref(t);
    }
    node->seq = ++ctx->seq; /* after the copies it reads */
    return node;
}

/* Undoes node_new when an output could not be made, or when nothing needs to be remembered. */
static void node_abandon(reel_ctx *ctx, reel_node *node)
{
    for (int k = 0; k < node->n_out; k++) {
        reel_tensor *t = reel_node_out(node)[k];
        if (!t) continue;
        t->producer = NULL;
        if (t->handle >= 0)
            reel_tensor_drop_handle(t);
        else
            reel_tensor_destroy(t);
    }
    for (int i = 0; i < node->n_in; i++) {
        reel_tensor *t = node->tensors[i];
        if (!t) continue;
        t->pending_uses -= node->pending;
        t->grad_uses -= node->requires_grad;
        reel_tensor_unref(t);
    }
    ctx->n_nodes--;
    reel_small_free(ctx, node, node->bytes);
}

/* Makes a view of memory that is there already. */
void reel_tensor_alias(reel_tensor *view, const reel_tensor *base)
{
    view->storage = base->storage;
    view->storage->refs++;
    view->offset = base->offset + view->view_offset;
}

static void set_view(reel_tensor *t, const reel_spec *spec)
{
    int64_t expected = 1;
    for (int i = t->ndim; i-- > 0;) {
        reel_tensor_set_stride(t, i, spec->strides[i]);
        if (t->shape[i] != 1 && spec->strides[i] != expected) t->contiguous = false;
        expected *= t->shape[i];
    }
    if (t->numel <= 1) t->contiguous = true;
    t->view_offset = spec->offset;
}

/* Whoever can name an output holds it. */
static inline __attribute__((always_inline)) bool add_output(reel_node *node, reel_tensor *t, bool named)
{
    reel_node_out(node)[node->n_out++] = t;
    if (!t) return false;
    t->producer = node;
    t->grad_uses = node->requires_grad;
    t->requires_grad = node->requires_grad && reel_dtype_is_float((reel_dtype)t->dtype);
    return !named || reel_tensor_give_handle(t);
}

/* Without `out` nobody can name any but the first: they live while somebody reads them. */
static __attribute__((noinline)) bool add_others(reel_ctx *ctx, reel_node *node, const reel_infer *infer, bool named)
{
    bool ok = true;
    for (int k = 1; k < infer->n_out && ok; k++) {
        const reel_spec *spec = &infer->out[k];
        ok = add_output(node, reel_tensor_new(ctx, spec->dtype, spec->shape.ndim, spec->shape.dim), named);
    }
    return ok;
}

/* Looks at what `op` overwrites, and plays overwrites of it when many are pending. */
static bool prepare_overwrite(reel_ctx *ctx, const reel_op *op, reel_tensor *const *in, int n_in)
{
    int writes = op->writes ? op->writes : 1;
    bool many = false;
    if (n_in < 1 || !in[0]) return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: there is no input 0 to overwrite", op->name) != NULL;
    for (int i = 0; i < writes && i < n_in; i++) {
        if (!in[i]) continue;
        if (!check_overwritten(ctx, op, in[i])) return false;
        many |= in[i]->storage->recorded - in[i]->storage->version >= REEL_MOST_PENDING_OVERWRITES;
    }
    return !many || ctx->playing || reel_play_targets(ctx, NULL, 0, true);
}

static void note_overwrite(reel_ctx *ctx, reel_node *node)
{
    int writes = node->op->writes ? node->op->writes : 1;
    node->live++;
    ctx->n_effects++;
    for (int i = 0; i < writes && i < node->n_in; i++)
        if (node->tensors[i]) node->tensors[i]->storage->recorded++;
}

/* A view of memory that is there is nothing to be played. */
static reel_tensor *finish_view(reel_ctx *ctx, reel_node *node)
{
    reel_tensor *view = reel_node_out(node)[0];
    reel_tensor_alias(view, node->tensors[0]);
    if (node->requires_grad) return view;
    view->producer = NULL; /* memory under other strides: nothing to remember */
    reel_node_out(node)[0] = NULL;
    node_abandon(ctx, node);
    return view;
}

/* Says what is missing without which an op cannot be recorded. */
static __attribute__((cold, noinline)) void *refuse_op(reel_ctx *ctx, const reel_op *op, const void *attrs)
{
    const char *lack = !op                        ? "there is no op (NULL)"
                       : !op->name                ? "the op has no name"
                       : !op->infer               ? "the op has no infer"
                       : op->attrs_size && !attrs ? "the op's attributes are missing (NULL)"
                       : op->flags & REEL_OP_VIEW ? "there is no input 0 to view"
                                                  : "the op has no play";
    return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %s", op && op->name ? op->name : "apply", lack);
}

static __attribute__((cold, noinline)) bool refuse_no_output(reel_ctx *ctx, const reel_op *op)
{
    return reel_fail(ctx, REEL_ERROR_VALUE, "%s: the op has no outputs", op->name) != NULL;
}

/* Whether infer would say no more than that the result is like the operands. */
static inline bool needs_no_infer(const reel_op *op, reel_tensor *const *in, int n_in)
{
    return op->flags & REEL_OP_LIKE && reel_dtype_is_float((reel_dtype)in[0]->dtype) && alike(in, n_in);
}

/* A plain op neither overwrites nor views. What is known of the arguments when this is compiled takes no time. */
static inline __attribute__((always_inline)) reel_tensor *record(reel_ctx *ctx, const reel_op *op, reel_tensor *const *in,
                                                                 int n_in, const void *attrs, reel_tensor **out, bool plain)
{
    bool grad = false;
    if (!ctx || ctx->error || !check_inputs(ctx, op->name, op->optional, in, n_in, &grad)) return NULL;
    reel_infer infer;
    infer.n_out = 1;
    reel_dtype dtype;
    int ndim;
    const int64_t *shape;
    if (needs_no_infer(op, in, n_in)) {
        dtype = (reel_dtype)in[0]->dtype;
        ndim = in[0]->ndim;
        shape = in[0]->shape;
    } else {
        infer.op = op;
        infer.ctx = ctx;
        infer.n_in = n_in;
        infer.in = in;
        infer.attrs = attrs;
        if (!op->infer(&infer)) {
            reel_fail(ctx, REEL_ERROR_VALUE, "%s: the operands were refused", op->name);
            return NULL;
        }
        if ((unsigned)infer.n_out > REEL_MAX_OUTPUTS)
            return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %d outputs; an op has at most %d", op->name, infer.n_out,
                             REEL_MAX_OUTPUTS);
        dtype = infer.out[0].dtype;
        ndim = infer.out[0].shape.ndim;
        shape = infer.out[0].shape.dim;
    }
    bool effect = !plain && op->flags & REEL_OP_INPLACE, view = !plain && op->flags & REEL_OP_VIEW, there = view && in[0]->storage;
    if (effect) {
        if (!prepare_overwrite(ctx, op, in, n_in)) return NULL;
        infer.n_out = 0;
    }
    int n_out = infer.n_out;
    reel_node *node = node_new(ctx, op, in, n_in, n_out, attrs, !there, grad && op->vjp && ctx->no_grad == 0);
    if (!node) return NULL;
    bool ok = n_out == 0 ? effect || refuse_no_output(ctx, op) : add_output(node, reel_tensor_new(ctx, dtype, ndim, shape), true);
    if (n_out > 1) ok = ok && add_others(ctx, node, &infer, out != NULL);
    if (!ok || ctx->error) {
        node_abandon(ctx, node);
        return NULL;
    }
    for (int k = 0; k < n_out && out; k++) out[k] = reel_node_out(node)[k];
    if (view) set_view(reel_node_out(node)[0], &infer.out[0]);
    if (there) return finish_view(ctx, node);
    reel_tensor *result = n_out ? node->tensors[n_in] : node->tensors[0];
    pending_append(ctx, node);
    if (effect) note_overwrite(ctx, node);
    if (ctx->eager && !play_now(ctx, node)) return NULL;
    return result;
}

reel_tensor *reel_apply_in(reel_ctx *ctx, const reel_op *op, reel_tensor *const *in, int n_in, const void *attrs,
                           reel_tensor **out)
{
    static reel_tensor *const none[1];
    if (!op || !op->name || !op->infer || (!attrs && op->attrs_size) ||
        (!op->play && !(op->flags & REEL_OP_VIEW && in && in[0])))
        return refuse_op(ctx, op, attrs);
    if (!in) {
        if (!reel_given_list(ctx, op->name, "operands", in, n_in)) return NULL;
        in = none;
    }
    return record(ctx, op, in, n_in, attrs, out, false);
}

reel_tensor *reel_apply_two(const reel_op *op, reel_tensor *a, reel_tensor *b)
{
    const reel_tensor *first = a ? a : b;
    return first ? record(first->ctx, op, (reel_tensor *[]) { a, b }, 2, NULL, NULL, true) : NULL;
}

reel_tensor *reel_apply(const reel_op *op, reel_tensor *const *in, int n_in, const void *attrs, reel_tensor **out)
{
    int i = 0;
    while (in && i < n_in && !in[i]) i++;
    return in && i < n_in ? reel_apply_in(in[i]->ctx, op, in, n_in, attrs, out) : NULL;
}
