// SPDX-License-Identifier: MIT
// Tensors by name as plain numbers, apart from any context: what a golden case holds and what was computed.
#ifndef REEL_TOOLS_ARRAYS_H
#define REEL_TOOLS_ARRAYS_H

#include <reel/core/tensor.h>

typedef struct array {
    char name[48];
    reel_dtype dtype;
    reel_shape shape;
    int64_t numel;
    double *x;
} array;

typedef struct arrays {
    array *at;
    int count, capacity;
} arrays;

/* Reads a tensor's values into a new array; false when there is no memory or the tensor has an error. */
bool arrays_add(arrays *list, const char *name, reel_tensor *x);
const array *arrays_find(const arrays *list, const char *format, ...) REEL_PRINTF(2, 3);
void arrays_free(arrays *list);

/* A tensor of the array's values in `dtype`. */
reel_tensor *array_tensor(reel_ctx *ctx, const array *a, reel_dtype dtype);

/* Whether rounding to float32 makes an infinity of a number, or zero (or a subnormal) of something else. */
bool array_leaves_float32(const array *a);
void array_round_to_float32(array *a);

/* Compares `got` with `want` (NULL: zeros). In float64 |got - want| <= 1e-9 (1 + |want|); in float32, `want` rounded,
 * 1e-4 (1 + max |want|) over its finite elements. NaN equals NaN, an infinity itself. On a difference false, and
 * `text` says how much and where. */
bool array_matches(const array *got, const array *want, bool float32, char *text, size_t size);

#endif
