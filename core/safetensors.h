// SPDX-License-Identifier: MIT
// Files of named tensors in the safetensors format, both ways (https://github.com/huggingface/safetensors).
#ifndef REEL_CORE_SAFETENSORS_H
#define REEL_CORE_SAFETENSORS_H

#include <reel/core/named.h>

REEL_BEGIN

/* A file opened for reading. Its header has been checked as a whole: sizes fit shapes and dtypes, and the tensors cover
 * the file without holes or overlaps. */
typedef struct reel_safetensors reel_safetensors;

/* Opens `path`, or gives NULL and REEL_ERROR_IO with the file's name and what is wrong. Errors go to `ctx`. */
REEL_API reel_safetensors *reel_safetensors_open(reel_ctx *ctx, const char *path);
REEL_API void reel_safetensors_close(reel_safetensors *file);

/* The tensors, in the order of their bytes in the file. */
REEL_API int reel_safetensors_count(const reel_safetensors *file);
REEL_API const char *reel_safetensors_name(const reel_safetensors *file, int i);
REEL_API int reel_safetensors_find(const reel_safetensors *file, const char *name); /* -1 when there is none */
REEL_API reel_shape reel_safetensors_shape(const reel_safetensors *file, int i);
/* As the file spells it: "F32", "BF16", ... */
REEL_API const char *reel_safetensors_type(const reel_safetensors *file, int i);
/* The dtype it is read as: F16, BF16 and the F8 kinds become float32; I8, I16 and U16 int32; U32 and U64 int64. */
REEL_API reel_dtype reel_safetensors_dtype(const reel_safetensors *file, int i);

/* Reads one tensor; by name, an absent one is an error. */
REEL_API reel_tensor *reel_safetensors_tensor(reel_safetensors *file, int i);
REEL_API reel_tensor *reel_safetensors_read(reel_safetensors *file, const char *name);

/* The file's metadata: NULL when there is no such key, and by position. */
REEL_API const char *reel_safetensors_metadata(const reel_safetensors *file, const char *key);
REEL_API int reel_safetensors_metadata_count(const reel_safetensors *file);
REEL_API reel_text reel_safetensors_metadata_at(const reel_safetensors *file, int i);

/* Writes the tensors (playing what is pending of them) and the metadata to `path`. The bytes go to a temporary name in
 * the same folder, are synced and renamed: whatever happens, `path` holds the old file or the whole new one. */
REEL_API bool reel_safetensors_save(reel_ctx *ctx, const char *path, const reel_named *tensors, int count,
                                    const reel_text *metadata, int metadata_count);

REEL_END

#endif
