// SPDX-License-Identifier: MIT
// NumPy's files, both ways: one array (.npy) or several by name in a zip archive (.npz).
#ifndef REEL_CORE_NPY_H
#define REEL_CORE_NPY_H

#include <reel/core/named.h>

REEL_BEGIN

/* Reads a .npy file. Either byte order, C or Fortran order; float16 becomes float32, int8, int16 and uint16 int32,
 * uint32 and uint64 int64 (a value past INT64_MAX is an error). Objects, strings, complex numbers and records are
 * refused. */
REEL_API reel_tensor *reel_npy_read(reel_ctx *ctx, const char *path);

/* Writes format 1.0, little-endian, C order; like every file of Reel's whole or not at all. */
REEL_API bool reel_npy_write(reel_ctx *ctx, const char *path, reel_tensor *x);

/* A .npz archive opened for reading; entries stored or deflated, with or without zip64. Names lack their ".npy". */
typedef struct reel_npz reel_npz;
REEL_API reel_npz *reel_npz_open(reel_ctx *ctx, const char *path);
REEL_API void reel_npz_close(reel_npz *file);
REEL_API int reel_npz_count(const reel_npz *file);
REEL_API const char *reel_npz_name(const reel_npz *file, int i);
REEL_API reel_tensor *reel_npz_tensor(reel_npz *file, int i);
REEL_API reel_tensor *reel_npz_read(reel_npz *file, const char *name); /* an absent name is an error */

/* Writes an archive; `compress` deflates the entries as numpy.savez_compressed does. */
REEL_API bool reel_npz_write(reel_ctx *ctx, const char *path, const reel_named *arrays, int count, bool compress);

REEL_END

#endif
