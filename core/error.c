// SPDX-License-Identifier: MIT
// Sticky errors.
#include <reel/core/internal.h>
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

void *reel_fail(reel_ctx *ctx, reel_error error, const char *format, ...)
{
    if (!ctx || ctx->error) return NULL;
    ctx->error = error ? error : REEL_ERROR_USER;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(ctx->message, sizeof ctx->message, format, args);
    va_end(args);
    if (!ctx->anomaly || ctx->playing || n < 0 || (size_t)n >= sizeof ctx->message) return NULL;
    reel_call_stack stack;
    char place[REEL_CALL_STACK_TEXT];
    reel_call_stack_capture(&stack);
    if (*reel_call_stack_describe(&stack, place)) snprintf(ctx->message + n, sizeof ctx->message - (size_t)n, " [%s]", place);
    return NULL;
}
