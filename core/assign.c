// SPDX-License-Identifier: MIT
// Overwriting a leaf, and cutting a value off from what it came from.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <string.h>

static bool infer_assign(reel_infer *infer)
{
    const reel_tensor *to = infer->in[0], *from = infer->in[1];
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (to->dtype != from->dtype)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "a %s tensor cannot take %s values", reel_dtype_name((reel_dtype)to->dtype),
                               reel_dtype_name((reel_dtype)from->dtype));
    if (!reel_shape_equal(reel_shape_of(to), reel_shape_of(from)))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the tensor is %s, but the value is %s",
                               reel_shape_format(reel_shape_of(to), a), reel_shape_format(reel_shape_of(from), b));
    return true;
}

static bool play_assign(const reel_play *play)
{
    size_t bytes = (size_t)play->in[0].numel * reel_dtype_size(play->in[0].dtype);
    if (bytes) memmove(play->in[0].data, play->in[1].data, bytes);
    return true;
}

static const reel_op reel_op_assign = { .name = "assign", .infer = infer_assign, .play = play_assign, .flags = REEL_OP_INPLACE };

bool reel_assign(reel_tensor *x, reel_tensor *value)
{
    return reel_apply(&reel_op_assign, (reel_tensor *[]){ x, value }, 2, NULL, NULL) != NULL;
}

uint32_t reel_overwrites_of(const reel_tensor *x) { return x && x->storage ? x->storage->recorded : 0; }

void *reel_overwrite_now(reel_tensor *x)
{
    reel_storage *storage = x->storage;
    if (x->producer || !storage || storage->borrowed || storage->shared || !x->contiguous) return NULL;
    reel_kept_drop(x->ctx, storage);
    storage->version = ++storage->recorded;
    return reel_tensor_address(x);
}

bool reel_set_data(reel_tensor *x, const void *data, size_t bytes)
{
    if (!x) return false;
    size_t have = (size_t)x->numel * reel_dtype_size((reel_dtype)x->dtype);
    if (bytes != have)
        return reel_fail(x->ctx, REEL_ERROR_SHAPE, "set_data: the tensor has %zu bytes, but %zu were given", have, bytes) != NULL;
    if (bytes && !reel_given(x->ctx, "set_data", "data", data)) return false;
    reel_tensor *value = reel_from(x->ctx, reel_shape_of(x), (reel_dtype)x->dtype, data);
    bool ok = value && reel_assign(x, value) && reel_play_targets(x->ctx, NULL, 0, true);
    reel_free(value);
    return ok;
}

static bool infer_detach(reel_infer *infer)
{
    const reel_tensor *x = infer->in[0];
    memcpy(infer->out[0].strides, reel_tensor_strides(x), x->ndim * sizeof x->shape[0]);
    infer->out[0].offset = 0;
    return reel_infer_same(infer);
}

static const reel_op reel_op_detach = { .name = "detach", .infer = infer_detach, .flags = REEL_OP_VIEW };

reel_tensor *reel_detach(reel_tensor *x) { return x ? reel_apply(&reel_op_detach, &x, 1, NULL, NULL) : NULL; }

static bool vjp_identity(reel_vjp *vjp)
{
    vjp->grad[0] = vjp->cot[0];
    return true;
}

static const reel_op reel_op_identity = { .name = "identity", .infer = infer_detach, .vjp = vjp_identity, .flags = REEL_OP_VIEW };

reel_tensor *reel_identity(reel_tensor *x) { return x ? reel_apply(&reel_op_identity, &x, 1, NULL, NULL) : NULL; }
