// SPDX-License-Identifier: MIT
// What is exported, and the compiler attributes the public headers use.
#ifndef REEL_CORE_EXPORT_H
#define REEL_CORE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define REEL_API __attribute__((visibility("default")))
#define REEL_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#else
#define REEL_API
#define REEL_PRINTF(format_at, args_at)
#endif

#ifdef __cplusplus
#define REEL_BEGIN extern "C" {
#define REEL_END }
#else
#define REEL_BEGIN
#define REEL_END
#endif

#endif
