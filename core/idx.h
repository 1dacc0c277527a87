// SPDX-License-Identifier: MIT
// IDX files (the format of MNIST), plain or gzip-compressed.
#ifndef REEL_CORE_IDX_H
#define REEL_CORE_IDX_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Reads an IDX file of any element type (int8 and int16 become int32); a gzip stream is recognised by its first bytes,
 * not by the name. A file that is missing, truncated, of another magic number, corrupt, or of another size than its
 * header says gives REEL_ERROR_IO with the file's name and the numbers. */
REEL_API reel_tensor *reel_idx_read(reel_ctx *ctx, const char *path);

/* Writes uint8, int32, float32 or float64; gzip-compressed when the name ends in ".gz". */
REEL_API bool reel_idx_write(reel_ctx *ctx, const char *path, reel_tensor *x);

REEL_END

#endif
