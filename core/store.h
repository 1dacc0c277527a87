// SPDX-License-Identifier: MIT
// What a checkpoint is made of: named tensors and texts, gathered from several owners into one safetensors file.
#ifndef REEL_CORE_STORE_H
#define REEL_CORE_STORE_H

#include <reel/core/named.h>

REEL_BEGIN

/* Either being gathered (put..., save) or opened from a file (tensors are read when asked for). */
typedef struct reel_store reel_store;

REEL_API reel_store *reel_store_new(reel_ctx *ctx);
REEL_API reel_store *reel_store_open(reel_ctx *ctx, const char *path);
REEL_API void reel_store_close(reel_store *store);
REEL_API reel_ctx *reel_store_ctx(const reel_store *store);

/* Puts a tensor (which must live until the save) or a text under prefix + name; a name twice is an error. */
REEL_API bool reel_store_put(reel_store *store, const char *prefix, const char *name, reel_tensor *x);
REEL_API bool reel_store_put_text(reel_store *store, const char *prefix, const char *name, const char *format, ...)
    REEL_PRINTF(4, 5);
/* Numbers as texts that read back to the same bits. */
REEL_API bool reel_store_put_int(reel_store *store, const char *prefix, const char *name, int64_t value);
REEL_API bool reel_store_put_double(reel_store *store, const char *prefix, const char *name, double value);
/* n numbers, copied, as a float64 tensor [n]. */
REEL_API bool reel_store_put_doubles(reel_store *store, const char *prefix, const char *name, const double *data,
                                     int64_t n);

/* One file, whole or not at all. */
REEL_API bool reel_store_save(const reel_store *store, const char *path);

/* What an opened store holds under prefix + name. An absent or malformed one is an error that names the file. */
REEL_API int reel_store_find(const reel_store *store, const char *prefix, const char *name); /* -1: no such tensor */
REEL_API reel_tensor *reel_store_get(const reel_store *store, const char *prefix, const char *name);
REEL_API bool reel_store_has_text(const reel_store *store, const char *prefix, const char *name);
REEL_API const char *reel_store_text(const reel_store *store, const char *prefix, const char *name);
REEL_API bool reel_store_int(const reel_store *store, const char *prefix, const char *name, int64_t *value);
REEL_API bool reel_store_double(const reel_store *store, const char *prefix, const char *name, double *value);

/* A float64 tensor of n elements. */
REEL_API bool reel_store_doubles(const reel_store *store, const char *prefix, const char *name, double *to, int64_t n);

/* Reads the tensor and overwrites `x`, whose shape must be the same. */
REEL_API bool reel_store_get_into(const reel_store *store, const char *prefix, const char *name, reel_tensor *x);

/* The tensors by position: name, shape and dtype. */
REEL_API int reel_store_count(const reel_store *store);
REEL_API const char *reel_store_name(const reel_store *store, int i);
REEL_API reel_shape reel_store_shape(const reel_store *store, int i);
REEL_API reel_dtype reel_store_dtype(const reel_store *store, int i);
REEL_API const char *reel_store_path(const reel_store *store);

REEL_END

#endif
