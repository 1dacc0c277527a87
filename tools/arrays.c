// SPDX-License-Identifier: MIT
// Tensors by name as plain numbers: reading, writing and comparing them.
#include "arrays.h"
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool arrays_add(arrays *list, const char *name, reel_tensor *x)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 16;
        array *grown = realloc(list->at, (size_t)capacity * sizeof *grown);
        if (!grown) return false;
        list->at = grown;
        list->capacity = capacity;
    }
    array *a = &list->at[list->count];
    *a = (array) { .dtype = reel_dtype_of(x), .shape = reel_shape_of(x), .numel = reel_numel(x) };
    snprintf(a->name, sizeof a->name, "%s", name);
    const void *data = reel_data(x);
    if (a->numel && !data) return false;
    a->x = malloc((size_t)a->numel * sizeof *a->x + 1);
    if (!a->x) return false;
    list->count++;
    for (int64_t i = 0; i < a->numel; i++) {
        switch (a->dtype) {
        case REEL_F32: a->x[i] = ((const float *)data)[i]; break;
        case REEL_F64: a->x[i] = ((const double *)data)[i]; break;
        case REEL_I64: a->x[i] = (double)((const int64_t *)data)[i]; break;
        case REEL_I32: a->x[i] = ((const int32_t *)data)[i]; break;
        default: a->x[i] = ((const uint8_t *)data)[i]; break;
        }
    }
    return true;
}

const array *arrays_find(const arrays *list, const char *format, ...)
{
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (int i = 0; i < list->count; i++)
        if (!strcmp(list->at[i].name, name)) return &list->at[i];
    return NULL;
}

void arrays_free(arrays *list)
{
    for (int i = 0; i < list->count; i++) free(list->at[i].x);
    free(list->at);
    *list = (arrays) { .count = 0 };
}

reel_tensor *array_tensor(reel_ctx *ctx, const array *a, reel_dtype dtype)
{
    void *data = malloc((size_t)a->numel * sizeof(double) + 1);
    if (!data)
        return reel_fail(ctx, REEL_ERROR_MEMORY, "%s: no memory for %lld elements", a->name, (long long)a->numel);
    for (int64_t i = 0; i < a->numel; i++) {
        switch (dtype) {
        case REEL_F32: ((float *)data)[i] = (float)a->x[i]; break;
        case REEL_F64: ((double *)data)[i] = a->x[i]; break;
        case REEL_I64: ((int64_t *)data)[i] = (int64_t)a->x[i]; break;
        case REEL_I32: ((int32_t *)data)[i] = (int32_t)a->x[i]; break;
        default: ((uint8_t *)data)[i] = (uint8_t)a->x[i]; break;
        }
    }
    reel_tensor *x = reel_from(ctx, a->shape, dtype, data);
    free(data);
    return x;
}

bool array_leaves_float32(const array *a)
{
    for (int64_t i = 0; a->dtype == REEL_F64 && i < a->numel; i++) {
        double size = fabs(a->x[i]);
        if (isfinite(size) && (size > FLT_MAX || (size > 0 && size < FLT_MIN))) return true;
    }
    return false;
}

void array_round_to_float32(array *a)
{
    for (int64_t i = 0; a->dtype == REEL_F64 && i < a->numel; i++) a->x[i] = (float)a->x[i];
}

// How far apart, as a multiple of what is allowed.
static double excess(double got, double want, double allowed)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (isinf(want) || isinf(got)) return want == got ? 0 : INFINITY;
    return fabs(got - want) / allowed;
}

static double largest(const array *a)
{
    double most = 0;
    for (int64_t i = 0; a && i < a->numel; i++) {
        double size = fabs((double)(float)a->x[i]);
        if (isfinite(size) && size > most) most = size;
    }
    return most;
}

bool array_matches(const array *got, const array *want, bool float32, char *text, size_t size)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (want && !reel_shape_equal(got->shape, want->shape)) {
        snprintf(text, size, "shape %s, but %s is right", reel_shape_format(got->shape, a),
                 reel_shape_format(want->shape, b));
        return false;
    }
    bool floating = got->dtype == REEL_F32 || got->dtype == REEL_F64;
    double most = float32 ? largest(want) : 0, worst = 0;
    int64_t where = 0, bad = 0;
    for (int64_t i = 0; i < got->numel; i++) {
        double right = want ? want->x[i] : 0;
        if (float32 && floating) right = (float)right;
        double allowed = !floating ? 0.5 : float32 ? 1e-4 * (1 + most) : 1e-9 * (1 + fabs(right));
        double over = excess(got->x[i], right, allowed);
        bad += over > 1;
        if (over > worst) worst = over, where = i;
    }
    if (!bad) return true;
    char index[128] = "";
    size_t used = 0;
    int64_t stride = got->numel;
    for (int axis = 0; axis < got->shape.ndim; axis++) {
        stride /= got->shape.dim[axis];
        used += (size_t)snprintf(index + used, used < sizeof index ? sizeof index - used : 0, "%s%lld",
                                 axis ? ", " : "", (long long)(where / stride % got->shape.dim[axis]));
    }
    double right = want ? want->x[where] : 0;
    snprintf(text, size, "error %.3g at [%s]: %.17g, but %.17g is right (%lld of %lld elements differ)",
             fabs(got->x[where] - right), index, got->x[where], right, (long long)bad, (long long)got->numel);
    return false;
}
