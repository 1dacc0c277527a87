// SPDX-License-Identifier: MIT
// What .npy and .npz share. Private.
#ifndef REEL_CORE_NPY_INTERNAL_H
#define REEL_CORE_NPY_INTERNAL_H

#include <reel/core/npy.h>

/* A .npy file in memory as a tensor; `path` is for messages. */
reel_tensor *reel_npy_parse(reel_ctx *ctx, const char *path, const unsigned char *bytes, size_t size);

/* The header of x, at most REEL_NPY_HEADER bytes; returns how many. */
#define REEL_NPY_HEADER 512
size_t reel_npy_header(reel_tensor *x, unsigned char header[REEL_NPY_HEADER]);

#endif
