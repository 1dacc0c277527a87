// SPDX-License-Identifier: MIT
// Sticky errors.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <stdarg.h>
#include <stdio.h>

reel_error reel_ctx_error(const reel_ctx *ctx) { return ctx ? ctx->error : REEL_ERROR_CONTEXT; }

const char *reel_ctx_error_message(const reel_ctx *ctx)
{
    return ctx ? ctx->message : "there is no context: reel_ctx_new returned NULL";
}

void reel_ctx_clear_error(reel_ctx *ctx)
{
    if (!ctx) return;
    ctx->error = REEL_OK;
    ctx->message[0] = 0;
}

bool reel_given(reel_ctx *ctx, const char *op, const char *what, const void *it)
{
    return it || reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: there is no %s (NULL)", op, what) != NULL;
}

bool reel_given_list(reel_ctx *ctx, const char *op, const char *what, const void *list, int64_t n)
{
    if (n < 0) return reel_fail(ctx, REEL_ERROR_VALUE, "%s: there cannot be %lld %s", op, (long long)n, what) != NULL;
    return list || n == 0 ||
           reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: the list of %lld %s is missing (NULL)", op, (long long)n, what) != NULL;
}

void *reel_fail(reel_ctx *ctx, reel_error error, const char *format, ...)
{
    if (!ctx || ctx->error) return NULL;
    ctx->error = error ? error : REEL_ERROR_USER;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(ctx->message, sizeof ctx->message, format ? format : "an error without a message", args);
    va_end(args);
    if (!ctx->anomaly || ctx->playing || n < 0 || (size_t)n >= sizeof ctx->message) return NULL;
    reel_call_stack stack;
    char place[REEL_CALL_STACK_TEXT];
    reel_call_stack_capture(&stack);
    if (*reel_call_stack_describe(&stack, place)) snprintf(ctx->message + n, sizeof ctx->message - (size_t)n, " [%s]", place);
    return NULL;
}
