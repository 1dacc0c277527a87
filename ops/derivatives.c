// SPDX-License-Identifier: MIT
// Products with Jacobians and Hessians, and the whole matrices, by reverse mode and reverse mode differentiated.
#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/derivatives.h>
#include <reel/ops/join.h>
#include <reel/ops/shape.h>
#include <stdlib.h>
#include <string.h>

static bool none(reel_tensor **results, int n)
{
    for (int i = 0; results && i < n; i++) results[i] = NULL;
    return false;
}

static reel_ctx *ctx_of_any(reel_tensor *const *xs, int n)
{
    for (int i = 0; xs && i < n; i++)
        if (xs[i]) return reel_ctx_of(xs[i]);
    return NULL;
}

// A cotangent that stands for any: reverse mode is linear in it, so its value does not matter.
static reel_tensor *zeros_to_differentiate_by(reel_tensor *like)
{
    return reel_set_requires_grad(reel_zeros_like(like), true);
}

// Hands results to the scope around.
static bool hand_out(reel_tensor **results, int n)
{
    bool all = true;
    for (int i = 0; i < n; i++) {
        results[i] = reel_scope_return(results[i]);
        all = all && results[i];
    }
    return all;
}

// products[k] = sum over i of tangents[i]^T d grads[i] / d by[k], a NULL tangent being zero. `grads` has n more places.
static bool grad_along(const char *name, reel_tensor **grads, int n, reel_tensor *const *by, int n_by, reel_tensor *const *tangents,
                       reel_tensor **products)
{
    reel_tensor **along = grads + n;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (!tangents[i]) continue;
        reel_shape want = reel_shape_of(grads[i]), have = reel_shape_of(tangents[i]);
        reel_dtype own = reel_dtype_of(grads[i]), other = reel_dtype_of(tangents[i]);
        char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
        if (own != other || !reel_shape_equal(want, have))
            return reel_fail(reel_ctx_of(grads[i]), REEL_ERROR_SHAPE, "%s: input %d is %s %s, but its direction is %s %s",
                             name, i, reel_dtype_name(own), reel_shape_format(want, a), reel_dtype_name(other),
                             reel_shape_format(have, b));
        grads[kept] = grads[i];
        along[kept++] = tangents[i];
    }
    if (kept > 0) return reel_grad(grads, kept, by, n_by, along, products);
    for (int k = 0; k < n_by; k++) products[k] = reel_zeros_like(by[k]);
    return true;
}

bool reel_jvp(reel_tensor *const *outputs, int n_outputs, reel_tensor *const *inputs, int n_inputs,
              reel_tensor *const *tangents, reel_tensor **products)
{
    reel_ctx *ctx = ctx_of_any(outputs, n_outputs);
    if (!ctx) ctx = ctx_of_any(inputs, n_inputs);
    if (!ctx || reel_ctx_error(ctx) || n_outputs < 1 || n_inputs < 1 ||
        !reel_given_list(ctx, "jvp", "outputs", outputs, n_outputs) ||
        !reel_given_list(ctx, "jvp", "inputs", inputs, n_inputs) ||
        !reel_given_list(ctx, "jvp", "tangents", tangents, n_inputs) ||
        !reel_given_list(ctx, "jvp", "products", products, n_outputs))
        return none(products, n_outputs);
    size_t slots = (size_t)n_outputs + 2 * (size_t)n_inputs;
    reel_tensor **memory = calloc(slots, sizeof *memory);
    bool done = false;
    if (!memory) reel_fail(ctx, REEL_ERROR_MEMORY, "jvp: no memory for %zu tensors", slots);
    if (memory) REEL_COMPOSITE(ctx)
    {
        reel_tensor **cots = memory, **grads = memory + n_outputs;
        for (int k = 0; k < n_outputs; k++) cots[k] = zeros_to_differentiate_by(outputs[k]);
        done = reel_grad(outputs, n_outputs, inputs, n_inputs, cots, grads) &&
               grad_along("jvp", grads, n_inputs, cots, n_outputs, tangents, products) && hand_out(products, n_outputs);
    }
    free(memory);
    return done || none(products, n_outputs);
}

bool reel_hvp(reel_tensor *y, reel_tensor *const *inputs, int n_inputs, reel_tensor *const *vectors,
              reel_tensor **products)
{
    reel_ctx *ctx = y ? reel_ctx_of(y) : ctx_of_any(inputs, n_inputs);
    if (!ctx || reel_ctx_error(ctx) || n_inputs < 1 || !reel_given_list(ctx, "hvp", "inputs", inputs, n_inputs) ||
        !reel_given_list(ctx, "hvp", "vectors", vectors, n_inputs) ||
        !reel_given_list(ctx, "hvp", "products", products, n_inputs))
        return none(products, n_inputs);
    reel_tensor **grads = NULL;
    if (y && reel_numel(y) != 1)
        reel_fail(ctx, REEL_ERROR_SHAPE, "hvp: y must have one element, but has %lld", (long long)reel_numel(y));
    else if (!(grads = calloc(2 * (size_t)n_inputs, sizeof *grads)))
        reel_fail(ctx, REEL_ERROR_MEMORY, "hvp: no memory for %d tensors", n_inputs);
    bool done = false;
    if (grads) REEL_COMPOSITE(ctx)
    {
        done = reel_grad(&y, 1, inputs, n_inputs, NULL, grads) &&
               grad_along("hvp", grads, n_inputs, inputs, n_inputs, vectors, products) && hand_out(products, n_inputs);
    }
    free(grads);
    return done || none(products, n_inputs);
}

// Row i of the identity of `like`'s elements, in its shape.
static reel_tensor *unit(reel_tensor *like, int64_t i)
{
    int64_t numel = reel_numel(like);
    size_t size = reel_dtype_size(reel_dtype_of(like));
    unsigned char *data = calloc((size_t)numel, size);
    if (!data)
        return reel_fail(reel_ctx_of(like), REEL_ERROR_MEMORY, "jacobian: no memory for %lld elements",
                         (long long)numel);
    if (size == sizeof(float))
        ((float *)(void *)data)[i] = 1;
    else
        ((double *)(void *)data)[i] = 1;
    reel_tensor *x = reel_from(reel_ctx_of(like), reel_shape_of(like), reel_dtype_of(like), data);
    free(data);
    return x;
}

// The matrix of numel(y) rows, each a gradient by x.
static reel_tensor *by_rows(reel_tensor *y, reel_tensor *x, reel_tensor **rows)
{
    for (int64_t i = 0; i < reel_numel(y); i++) {
        reel_tensor *cot = unit(y, i);
        if (!cot || !reel_grad(&y, 1, &x, 1, &cot, &rows[i])) return NULL;
        rows[i] = reel_reshape(rows[i], REEL_SHAPE(-1));
    }
    return reel_stack(rows, (int)reel_numel(y), 0);
}

// The same matrix by columns: one reverse pass, differentiated by its cotangent along each element of x.
static reel_tensor *by_columns(reel_tensor *y, reel_tensor *x, reel_tensor **columns)
{
    reel_tensor *cot = zeros_to_differentiate_by(y), *grad;
    if (!cot || !reel_grad(&y, 1, &x, 1, &cot, &grad)) return NULL;
    for (int64_t j = 0; j < reel_numel(x); j++) {
        reel_tensor *tangent = unit(x, j);
        if (!tangent || !reel_grad(&grad, 1, &cot, 1, &tangent, &columns[j])) return NULL;
        columns[j] = reel_reshape(columns[j], REEL_SHAPE(-1));
    }
    return reel_stack(columns, (int)reel_numel(x), 1);
}

reel_tensor *reel_jacobian(reel_tensor *y, reel_tensor *x)
{
    if (!REEL_OPERANDS("jacobian", y, x)) return NULL;
    reel_ctx *ctx = reel_ctx_of(y);
    reel_shape shape = reel_shape_of(y), tail = reel_shape_of(x);
    if (shape.ndim + tail.ndim > REEL_MAX_DIMS)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "jacobian: %d axes of y and %d of x are more than %d together",
                         shape.ndim, tail.ndim, REEL_MAX_DIMS);
    if (!reel_dtype_is_float(reel_dtype_of(y)) || !reel_dtype_is_float(reel_dtype_of(x)))
        return reel_fail(ctx, REEL_ERROR_DTYPE, "jacobian: y is %s and x is %s, but both must be of a floating dtype",
                         reel_dtype_name(reel_dtype_of(y)), reel_dtype_name(reel_dtype_of(x)));
    memcpy(shape.dim + shape.ndim, tail.dim, (size_t)tail.ndim * sizeof tail.dim[0]);
    shape.ndim += tail.ndim;
    int64_t rows = reel_numel(y), columns = reel_numel(x), passes = rows < columns ? rows : columns;
    if (passes == 0) return reel_zeros(ctx, shape, reel_dtype_of(y));
    if (passes > INT32_MAX)
        return reel_fail(ctx, REEL_ERROR_VALUE, "jacobian: %lld passes are too many", (long long)passes);
    reel_tensor **slices = calloc((size_t)passes, sizeof *slices), *matrix = NULL;
    if (!slices) return reel_fail(ctx, REEL_ERROR_MEMORY, "jacobian: no memory for %lld tensors", (long long)passes);
    REEL_COMPOSITE(ctx)
    {
        matrix = rows <= columns ? by_rows(y, x, slices) : by_columns(y, x, slices);
        matrix = reel_scope_return(reel_reshape(matrix, shape));
    }
    free(slices);
    return matrix;
}

reel_tensor *reel_hessian(reel_tensor *y, reel_tensor *x)
{
    if (!REEL_OPERANDS("hessian", y, x)) return NULL;
    if (reel_numel(y) != 1)
        return reel_fail(reel_ctx_of(y), REEL_ERROR_SHAPE, "hessian: y must have one element, but has %lld",
                         (long long)reel_numel(y));
    reel_tensor *grad, *matrix = NULL;
    REEL_COMPOSITE(reel_ctx_of(y))
    {
        if (reel_grad(&y, 1, &x, 1, NULL, &grad)) matrix = reel_scope_return(reel_jacobian(grad, x));
    }
    return matrix;
}
