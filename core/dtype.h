// SPDX-License-Identifier: MIT
// Element types and shapes.
#ifndef REEL_CORE_DTYPE_H
#define REEL_CORE_DTYPE_H

#include <reel/core/export.h>

REEL_BEGIN

#define REEL_MAX_DIMS 8

typedef enum reel_dtype { REEL_F32, REEL_F64, REEL_I64, REEL_I32, REEL_U8, REEL_BOOL } reel_dtype;
#define REEL_DTYPE_COUNT 6

/* Bytes of one element. */
REEL_API size_t reel_dtype_size(reel_dtype dtype);

/* "float32", "float64", "int64", "int32", "uint8", "bool". */
REEL_API const char *reel_dtype_name(reel_dtype dtype);

static inline bool reel_dtype_is_float(reel_dtype dtype) { return dtype == REEL_F32 || dtype == REEL_F64; }

/* The dtype in which operands of two dtypes meet: bool < uint8 < int32 < int64 < float32 < float64. */
REEL_API reel_dtype reel_dtype_promote(reel_dtype a, reel_dtype b);

/* Sizes by axis; ndim 0 is a scalar. */
typedef struct reel_shape {
    int ndim;
    int64_t dim[REEL_MAX_DIMS];
} reel_shape;

/* A list of axes; negative ones count from the end, none at all (REEL_ALL_DIMS) means every axis. */
typedef struct reel_dims {
    int count;
    int dim[REEL_MAX_DIMS];
} reel_dims;

/* REEL_SHAPE(2, 3) is a shape of two axes, REEL_SCALAR one of none, REEL_DIMS(0, -1) the first and the last axis. */
#define REEL_SHAPE(...)                                                                                                \
    ((reel_shape){ .ndim = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), .dim = { __VA_ARGS__ } })
#define REEL_SCALAR ((reel_shape){ .ndim = 0 })
#define REEL_DIMS(...)                                                                                                 \
    ((reel_dims){ .count = (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), .dim = { __VA_ARGS__ } })
#define REEL_ALL_DIMS ((reel_dims){ .count = 0 })

/* Product of the sizes, or -1 when an axis is negative or the product times 8 bytes leaves int64. */
REEL_API int64_t reel_shape_numel(reel_shape shape);
REEL_API bool reel_shape_equal(reel_shape a, reel_shape b);

/* "[2, 3]" into `text` (always terminated); returns `text`. 192 bytes hold any shape. */
#define REEL_SHAPE_TEXT 192
REEL_API char *reel_shape_format(reel_shape shape, char text[REEL_SHAPE_TEXT]);

REEL_END

#endif
