// SPDX-License-Identifier: MIT
// Sticky errors: the first failure stays in the context, later calls yield NULL until it is cleared.
#ifndef REEL_CORE_ERROR_H
#define REEL_CORE_ERROR_H

#include <reel/core/export.h>

REEL_BEGIN

typedef struct reel_ctx reel_ctx;

typedef enum reel_error {
    REEL_OK,
    REEL_ERROR_SHAPE,       /* operands whose shapes do not fit                              */
    REEL_ERROR_DTYPE,       /* operands whose dtypes do not fit                              */
    REEL_ERROR_VALUE,       /* an attribute or a value out of its range                      */
    REEL_ERROR_MEMORY,      /* an allocation failed, or the context's ceiling would be passed */
    REEL_ERROR_VERSION,     /* a value that has been overwritten since it was recorded       */
    REEL_ERROR_CONTEXT,     /* operands of two contexts, a missing operand, misuse of a scope */
    REEL_ERROR_IO,          /* a file that is missing, malformed, or cannot be written       */
    REEL_ERROR_UNSUPPORTED, /* something this build or op does not do                        */
    REEL_ERROR_NUMERIC,     /* a NaN or an infinity where the user asked to be told          */
    REEL_ERROR_USER         /* raised by a user's own op or model                            */
} reel_error;

/* The first error since the context was made or cleared; REEL_OK (0) when there is none. */
REEL_API reel_error reel_ctx_error(const reel_ctx *ctx);

/* Its message, one sentence that names op, operands and reason; "" when there is none. Lives as long as the error. */
REEL_API const char *reel_ctx_error_message(const reel_ctx *ctx);

/* Forgets the error, so that work can go on. */
REEL_API void reel_ctx_clear_error(reel_ctx *ctx);

/* Raises an error (the first one stays) and returns NULL, so that `return reel_fail(ctx, ...)` ends a model. */
REEL_API void *reel_fail(reel_ctx *ctx, reel_error error, const char *format, ...) REEL_PRINTF(3, 4);

REEL_END

#endif
