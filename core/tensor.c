// SPDX-License-Identifier: MIT
// Tensors: storage, creators, what they are, their values.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <math.h>
#include <string.h>

void *reel_tensor_address(const reel_tensor *x)
{
    return (char *)x->storage->data + x->offset * (int64_t)reel_dtype_size((reel_dtype)x->dtype);
}

void reel_free(reel_tensor *x)
{
    if (x && x->handle >= 0) reel_tensor_drop_handle(x);
}

/* Creators */

/* A leaf with a handle and, unless its data is to be borrowed, its own, uninitialised memory. */
static reel_tensor *new_leaf(reel_ctx *ctx, const char *maker, reel_shape shape, reel_dtype dtype, bool borrows)
{
    if (!ctx || ctx->error) return NULL;
    char text[REEL_SHAPE_TEXT];
    if ((unsigned)dtype >= REEL_DTYPE_COUNT) return reel_fail(ctx, REEL_ERROR_DTYPE, "%s: there is no dtype %d", maker, (int)dtype);
    if (shape.ndim < 0 || shape.ndim > REEL_MAX_DIMS)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: a tensor has 0 to %d axes, not %d", maker, REEL_MAX_DIMS, shape.ndim);
    int64_t numel = reel_shape_numel(shape);
    if (numel < 0)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: the shape %s has a negative axis or is too large for memory", maker,
                         reel_shape_format(shape, text));
    reel_tensor *t = reel_tensor_new(ctx, dtype, shape.ndim, shape.dim);
    if (!t) return NULL;
    t->storage = reel_storage_new(ctx, borrows ? 0 : numel, dtype);
    if (!t->storage || !reel_tensor_give_handle(t)) {
        reel_tensor_destroy(t);
        return NULL;
    }
    return t;
}

// The first element, and then copies of what there is, as much as stays in the first cache.
static void fill(void *data, int64_t n, reel_dtype dtype, double value)
{
    size_t size = reel_dtype_size(dtype), total = (size_t)n * size, part;
    if (n == 0) return;
    switch (dtype) {
    case REEL_F32: *(float *)data = (float)value; break;
    case REEL_F64: *(double *)data = value; break;
    case REEL_I64: *(int64_t *)data = (int64_t)value; break;
    case REEL_I32: *(int32_t *)data = (int32_t)value; break;
    case REEL_U8: *(uint8_t *)data = (uint8_t)value; break;
    case REEL_BOOL: *(bool *)data = value != 0; break;
    }
    for (size_t done = size; done < total; done += part) {
        part = done < 4096 ? done : 4096;
        if (part > total - done) part = total - done;
        memcpy((char *)data + done, data, part);
    }
}

reel_tensor *reel_full(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, double value)
{
    reel_tensor *t = new_leaf(ctx, "full", shape, dtype, false);
    if (t && !reel_dtype_is_float(dtype) && dtype != REEL_BOOL) {
        static const double low[] = { [REEL_I64] = -0x1p63, [REEL_I32] = -0x1p31, [REEL_U8] = 0 };
        static const double high[] = { [REEL_I64] = 0x1p63, [REEL_I32] = 0x1p31, [REEL_U8] = 256 };
        if (!(value >= low[dtype] && value < high[dtype])) {
            reel_free(t);
            return reel_fail(ctx, REEL_ERROR_VALUE, "full: %g does not fit into %s", value, reel_dtype_name(dtype));
        }
    }
    if (t) fill(t->storage->data, t->numel, dtype, value);
    return t;
}

reel_tensor *reel_zeros(reel_ctx *ctx, reel_shape shape, reel_dtype dtype) { return reel_full(ctx, shape, dtype, 0); }
reel_tensor *reel_ones(reel_ctx *ctx, reel_shape shape, reel_dtype dtype) { return reel_full(ctx, shape, dtype, 1); }
reel_tensor *reel_scalar(reel_ctx *ctx, reel_dtype dtype, double value) { return reel_full(ctx, REEL_SCALAR, dtype, value); }

reel_tensor *reel_full_like(reel_tensor *x, double value)
{
    return x ? reel_full(x->ctx, reel_shape_of(x), (reel_dtype)x->dtype, value) : NULL;
}
reel_tensor *reel_zeros_like(reel_tensor *x) { return reel_full_like(x, 0); }
reel_tensor *reel_ones_like(reel_tensor *x) { return reel_full_like(x, 1); }

reel_tensor *reel_from(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, const void *data)
{
    reel_tensor *t = new_leaf(ctx, "from", shape, dtype, false);
    if (t && t->numel > 0 && !data) {
        reel_free(t);
        return reel_fail(ctx, REEL_ERROR_VALUE, "from: the data pointer is NULL");
    }
    if (t && t->numel > 0) memcpy(t->storage->data, data, t->storage->bytes);
    return t;
}

reel_tensor *reel_borrow(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, const void *data)
{
    if (!ctx || ctx->error) return NULL;
    if (!data) return reel_fail(ctx, REEL_ERROR_VALUE, "borrow: the data pointer is NULL");
    int64_t numel = reel_shape_numel(shape);
    if (numel <= 0) return reel_from(ctx, shape, dtype, data);
    reel_tensor *t = new_leaf(ctx, "borrow", shape, dtype, true);
    if (!t) return NULL;
    reel_pool_free(ctx, t->storage->data, t->storage->bytes);
    t->storage->data = (void *)(uintptr_t)data; /* never written: `borrowed` forbids it */
    t->storage->bytes = (size_t)numel * reel_dtype_size(dtype);
    t->storage->borrowed = true;
    return t;
}

reel_tensor *reel_floats(reel_ctx *ctx, reel_shape shape, const float *data) { return reel_from(ctx, shape, REEL_F32, data); }
reel_tensor *reel_doubles(reel_ctx *ctx, reel_shape shape, const double *data) { return reel_from(ctx, shape, REEL_F64, data); }
reel_tensor *reel_longs(reel_ctx *ctx, reel_shape shape, const int64_t *data) { return reel_from(ctx, shape, REEL_I64, data); }

/* What a tensor is */

reel_shape reel_shape_of(const reel_tensor *x)
{
    reel_shape shape = { 0 };
    if (!x) return shape;
    shape.ndim = x->ndim;
    memcpy(shape.dim, x->shape, x->ndim * sizeof x->shape[0]);
    return shape;
}

bool reel_same_dtype(const reel_tensor *a, const reel_tensor *b) { return a && b && a->dtype == b->dtype; }

int reel_ndim(const reel_tensor *x) { return x ? x->ndim : 0; }

int64_t reel_size(const reel_tensor *x, int axis)
{
    if (!x) return 0;
    if (axis < 0) axis += x->ndim;
    return axis >= 0 && axis < x->ndim ? x->shape[axis] : 0;
}

int64_t reel_numel(const reel_tensor *x) { return x ? x->numel : 0; }
reel_dtype reel_dtype_of(const reel_tensor *x) { return x ? (reel_dtype)x->dtype : REEL_F32; }
reel_ctx *reel_ctx_of(const reel_tensor *x) { return x ? x->ctx : NULL; }
bool reel_is_contiguous(const reel_tensor *x) { return x && x->contiguous; }
const int64_t *reel_strides_of(const reel_tensor *x) { return x ? reel_tensor_strides(x) : NULL; }

/* Values */

bool reel_eval_all(reel_tensor *const *x, int count)
{
    reel_ctx *ctx = NULL;
    for (int i = 0; x && i < count && !ctx; i++) ctx = reel_ctx_of(x[i]);
    if (!ctx) return count <= 0;
    bool ready = true;
    for (int i = 0; i < count; i++) {
        const char *fault = reel_tensor_fault(x[i], ctx);
        if (fault) return reel_fail(ctx, REEL_ERROR_CONTEXT, "eval: tensor %d %s", i, fault) != NULL;
        x[i]->pinned = x[i]->handle >= 0;
        /* A value that a pending effect overwrites is not ready either. */
        ready = ready && x[i]->storage && x[i]->storage->version == x[i]->storage->recorded;
    }
    return ready || reel_play_targets(ctx, x, count, true);
}

bool reel_eval(reel_tensor *x) { return reel_eval_all(&x, 1); }

/* The value of `x` row-major, in memory beside it: views of it and rules have been told where its elements lie. */
static const void *row_major(reel_tensor *x)
{
    reel_ctx *ctx = x->ctx;
    reel_extra *extra = reel_tensor_extra(x);
    if (!extra) return NULL;
    if (extra->row_major && extra->copied == x->storage->version) return extra->row_major->data;
    int64_t first = ctx->n_handles;
    ctx->no_grad++;
    reel_tensor *copy = reel_contiguous(x);
    bool done = copy && reel_play_targets(ctx, &copy, 1, false);
    if (done) {
        reel_storage_unref(ctx, extra->row_major);
        extra->row_major = copy->storage;
        extra->row_major->refs++;
        extra->copied = x->storage->version;
    }
    while (ctx->n_handles > first) reel_tensor_drop_handle(ctx->handles[ctx->n_handles - 1]);
    ctx->no_grad--;
    return done ? extra->row_major->data : NULL;
}

const void *reel_data(reel_tensor *x)
{
    if (!x || !reel_eval(x)) return NULL;
    x->pinned = true;
    return x->contiguous ? reel_tensor_address(x) : row_major(x);
}

static const void *typed_data(reel_tensor *x, reel_dtype dtype)
{
    if (x && x->dtype != dtype)
        return reel_fail(x->ctx, REEL_ERROR_DTYPE, "data: the tensor is %s, not %s", reel_dtype_name((reel_dtype)x->dtype),
                         reel_dtype_name(dtype));
    return reel_data(x);
}

const float *reel_data_f32(reel_tensor *x) { return typed_data(x, REEL_F32); }
const double *reel_data_f64(reel_tensor *x) { return typed_data(x, REEL_F64); }
const int64_t *reel_data_i64(reel_tensor *x) { return typed_data(x, REEL_I64); }

bool reel_copy_out(reel_tensor *x, void *to, size_t bytes)
{
    const void *data = reel_data(x);
    if (!data) return false;
    size_t have = (size_t)x->numel * reel_dtype_size((reel_dtype)x->dtype);
    if (bytes != have)
        return reel_fail(x->ctx, REEL_ERROR_SHAPE, "copy_out: the tensor has %zu bytes, but %zu were asked for", have,
                         bytes) != NULL;
    if (bytes && !reel_given(x->ctx, "copy_out", "memory to copy to", to)) return false;
    if (bytes) memcpy(to, data, bytes);
    return true;
}

double reel_item(reel_tensor *x)
{
    if (!x) return NAN;
    char text[REEL_SHAPE_TEXT];
    if (x->numel != 1) {
        reel_fail(x->ctx, REEL_ERROR_SHAPE, "item: a tensor of one element is needed, but the shape is %s",
                  reel_shape_format(reel_shape_of(x), text));
        return NAN;
    }
    const void *data = reel_data(x);
    if (!data) return NAN;
    switch ((reel_dtype)x->dtype) {
    case REEL_F32: return *(const float *)data;
    case REEL_F64: return *(const double *)data;
    case REEL_I64: return (double)*(const int64_t *)data;
    case REEL_I32: return *(const int32_t *)data;
    default: return *(const uint8_t *)data;
    }
}
