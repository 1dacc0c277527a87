// SPDX-License-Identifier: MIT
// Element types and shapes.
#include <reel/core/dtype.h>
#include <stdio.h>
#include <string.h>

static const struct {
    uint8_t size, rank;
    const char *name;
} dtypes[REEL_DTYPE_COUNT] = {
    [REEL_F32] = { 4, 4, "float32" }, [REEL_F64] = { 8, 5, "float64" }, [REEL_I64] = { 8, 3, "int64" },
    [REEL_I32] = { 4, 2, "int32" },   [REEL_U8] = { 1, 1, "uint8" },    [REEL_BOOL] = { 1, 0, "bool" },
};

size_t reel_dtype_size(reel_dtype dtype) { return (unsigned)dtype < REEL_DTYPE_COUNT ? dtypes[dtype].size : 0; }

const char *reel_dtype_name(reel_dtype dtype)
{
    return (unsigned)dtype < REEL_DTYPE_COUNT ? dtypes[dtype].name : "unknown dtype";
}

reel_dtype reel_dtype_promote(reel_dtype a, reel_dtype b) { return dtypes[a].rank >= dtypes[b].rank ? a : b; }

int64_t reel_shape_numel(reel_shape shape)
{
    if (shape.ndim < 0 || shape.ndim > REEL_MAX_DIMS) return -1;
    int64_t numel = 1;
    bool empty = false;
    for (int i = 0; i < shape.ndim; i++) {
        if (shape.dim[i] < 0) return -1;
        if (shape.dim[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(numel, shape.dim[i], &numel) || numel > INT64_MAX / 8)
            return -1;
    }
    return empty ? 0 : numel;
}

bool reel_shape_equal(reel_shape a, reel_shape b)
{
    return a.ndim == b.ndim && (a.ndim <= 0 || memcmp(a.dim, b.dim, (size_t)a.ndim * sizeof a.dim[0]) == 0);
}

char *reel_shape_format(reel_shape shape, char text[REEL_SHAPE_TEXT])
{
    size_t at = 0;
    if (!text) return NULL;
    text[at++] = '[';
    for (int i = 0; i < shape.ndim && i < REEL_MAX_DIMS; i++)
        at += (size_t)snprintf(text + at, REEL_SHAPE_TEXT - at, i ? ", %lld" : "%lld", (long long)shape.dim[i]);
    text[at++] = ']';
    text[at] = 0;
    return text;
}
