// SPDX-License-Identifier: MIT
// Tensors: making them, asking what they are, reading their values.
#ifndef REEL_CORE_TENSOR_H
#define REEL_CORE_TENSOR_H

#include <reel/core/context.h>
#include <reel/core/dtype.h>
#include <stdio.h>

REEL_BEGIN

/* Creators. The result is a constant until reel_set_requires_grad. NULL on error, as everywhere. */
REEL_API reel_tensor *reel_zeros(reel_ctx *ctx, reel_shape shape, reel_dtype dtype);
REEL_API reel_tensor *reel_ones(reel_ctx *ctx, reel_shape shape, reel_dtype dtype);
REEL_API reel_tensor *reel_full(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, double value);
REEL_API reel_tensor *reel_scalar(reel_ctx *ctx, reel_dtype dtype, double value);
REEL_API reel_tensor *reel_zeros_like(reel_tensor *x);
REEL_API reel_tensor *reel_ones_like(reel_tensor *x);
REEL_API reel_tensor *reel_full_like(reel_tensor *x, double value);

/* Copies reel_shape_numel(shape) elements of `dtype`, row-major, from `data`. */
REEL_API reel_tensor *reel_from(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, const void *data);

/* The same without a copy: `data` must outlive the tensor and must not change while it lives. */
REEL_API reel_tensor *reel_borrow(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, const void *data);

/* Copies of C arrays: reel_floats(ctx, REEL_SHAPE(2, 2), (float[]){ 1, 2, 3, 4 }). */
REEL_API reel_tensor *reel_floats(reel_ctx *ctx, reel_shape shape, const float *data);
REEL_API reel_tensor *reel_doubles(reel_ctx *ctx, reel_shape shape, const double *data);
REEL_API reel_tensor *reel_longs(reel_ctx *ctx, reel_shape shape, const int64_t *data);

/* What a tensor is. All take NULL: an empty shape, 0, REEL_F32, false, NULL. */
REEL_API reel_shape reel_shape_of(const reel_tensor *x);
REEL_API int reel_ndim(const reel_tensor *x);
REEL_API int64_t reel_size(const reel_tensor *x, int axis); /* a negative axis counts from the end; 0 when there is none */
REEL_API int64_t reel_numel(const reel_tensor *x);
REEL_API reel_dtype reel_dtype_of(const reel_tensor *x);
REEL_API reel_ctx *reel_ctx_of(const reel_tensor *x);
REEL_API bool reel_is_contiguous(const reel_tensor *x);
/* Elements from one index to the next, by axis; reel_ndim(x) numbers. */
REEL_API const int64_t *reel_strides_of(const reel_tensor *x);

/* Values: these play what is pending. reel_data gives row-major elements, valid until the tensor is freed or the
 * parameter overwritten; the typed forms give NULL and an error when the dtype is another. */
REEL_API const void *reel_data(reel_tensor *x);
REEL_API const float *reel_data_f32(reel_tensor *x);
REEL_API const double *reel_data_f64(reel_tensor *x);
REEL_API const int64_t *reel_data_i64(reel_tensor *x);
REEL_API bool reel_copy_out(reel_tensor *x, void *to, size_t bytes);

/* The value of a tensor of one element, any dtype. NaN (and an error) when it has another number of elements. */
REEL_API double reel_item(reel_tensor *x);

/* Plays what is pending of `x`; reel_eval_all of several at once. false on error. */
REEL_API bool reel_eval(reel_tensor *x);
REEL_API bool reel_eval_all(reel_tensor *const *x, int count);

/* Writes the tensor as nested brackets, long axes shortened ("..."), to `file`. */
REEL_API void reel_print(reel_tensor *x, FILE *file);

/* Frees a tensor before its scope ends. Ops recorded from it keep what they need. */
REEL_API void reel_free(reel_tensor *x);

/* Overwrites a leaf's value (same shape and dtype): recorded, and played when the value is next needed or the scope
 * ends. A rule that would later read the old value gives REEL_ERROR_VERSION. */
REEL_API bool reel_assign(reel_tensor *x, reel_tensor *value);

/* The same at once, from memory. */
REEL_API bool reel_set_data(reel_tensor *x, const void *data, size_t bytes);

REEL_END

#endif
