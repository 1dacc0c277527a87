// SPDX-License-Identifier: MIT
// Tensors and texts by name: operands of a call, parameters of a model, entries of a file.
#ifndef REEL_CORE_NAMED_H
#define REEL_CORE_NAMED_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* A tensor by its name. */
typedef struct reel_named {
    const char *name;
    reel_tensor *tensor;
} reel_named;

/* A text by its name, as in a file's metadata; both UTF-8. */
typedef struct reel_text {
    const char *key;
    const char *value;
} reel_text;

/* A list of parameters, as an optimiser takes it: reel_module_parameters(m), or REEL_PARAMS(w, b). */
typedef struct reel_params {
    reel_tensor *const *at;
    int count;
} reel_params;

#ifndef __cplusplus
#define REEL_PARAMS(...)                                                                                               \
    ((reel_params) { .at = (reel_tensor *const[]) { __VA_ARGS__ },                                                     \
                     .count = (int)(sizeof((reel_tensor *const[]) { __VA_ARGS__ }) / sizeof(reel_tensor *)) })
#endif

REEL_END

#ifdef __cplusplus /* a compound literal's array has no address there: this list lives as long as the call it is in */
#include <initializer_list>
static inline reel_params reel_params_of(std::initializer_list<reel_tensor *> list)
{
    return { list.begin(), static_cast<int>(list.size()) };
}
#define REEL_PARAMS(...) reel_params_of({ __VA_ARGS__ })
#endif

#endif
