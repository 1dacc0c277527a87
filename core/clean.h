// SPDX-License-Identifier: MIT
// Sizes and axes as attributes must hold them: a plan's key reads every byte. Not installed.
#ifndef REEL_CORE_CLEAN_H
#define REEL_CORE_CLEAN_H

#include <reel/core/dtype.h>

/* A copy whose unused sizes are 0. */
static inline reel_shape reel_shape_clean(reel_shape shape)
{
    reel_shape clean;
    __builtin_memset(&clean, 0, sizeof clean);
    clean.ndim = shape.ndim;
    for (int k = 0; k < shape.ndim && k < REEL_MAX_DIMS; k++) clean.dim[k] = shape.dim[k];
    return clean;
}

static inline reel_dims reel_dims_clean(reel_dims dims)
{
    reel_dims clean;
    __builtin_memset(&clean, 0, sizeof clean);
    clean.count = dims.count;
    for (int k = 0; k < dims.count && k < REEL_MAX_DIMS; k++) clean.dim[k] = dims.dim[k];
    return clean;
}

#endif
