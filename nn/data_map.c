// SPDX-License-Identifier: MIT
// Data sets that change another one's samples: scaling a field, or any function.
#include <inttypes.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/data_internal.h>
#include <stdlib.h>
#include <string.h>

/* Scaling */

typedef struct normal_set {
    int k;
    reel_normalise how;
    bool by_255;
    union { /* what a byte becomes */
        float f[256];
        double d[256];
    } table;
} normal_set;

/* (x * scale - mean) / std in T, step by step as a reader of the formula would. */
#define NORMALISE(T, x)                                                                                                \
    ((((set)->by_255 ? (T)(x) / (T)255 : (T)(x) * (T)(set)->how.scale) - (T)(set)->how.mean) / (T)(set)->how.std)

#define CONVERT(T, from_type)                                                                                          \
    for (int64_t i = 0; i < n; i++) ((T *)to)[i] = NORMALISE(T, ((const from_type *)from)[i]);                         \
    break

static void convert(const normal_set *set, reel_dtype dtype, const void *from, void *to, int64_t n)
{
    bool wide = set->how.dtype == REEL_F64;
    if (dtype == REEL_U8) {
        for (int64_t i = 0; i < n; i++) {
            uint8_t byte = ((const uint8_t *)from)[i];
            if (wide)
                ((double *)to)[i] = set->table.d[byte];
            else
                ((float *)to)[i] = set->table.f[byte];
        }
    } else if (wide) {
        switch (dtype) {
        case REEL_F32: CONVERT(double, float);
        case REEL_F64: CONVERT(double, double);
        case REEL_I64: CONVERT(double, int64_t);
        case REEL_I32: CONVERT(double, int32_t);
        default: CONVERT(double, uint8_t);
        }
    } else {
        switch (dtype) {
        case REEL_F32: CONVERT(float, float);
        case REEL_F64: CONVERT(float, double);
        case REEL_I64: CONVERT(float, int64_t);
        case REEL_I32: CONVERT(float, int32_t);
        default: CONVERT(float, uint8_t);
        }
    }
}
#undef CONVERT

static bool read_normal(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                        void *const *fields)
{
    const normal_set *set = data->own;
    const reel_dataset *base = data->base;
    int k = set->k;
    int64_t n = reel_shape_numel(base->field[k].shape);
    const void *at = base->kind->locate ? base->kind->locate(base, index, k) : NULL;
    if (at) { /* in memory: so are the other fields */
        for (int j = 0; j < data->n_fields; j++)
            if (j != k && data->bytes[j]) memcpy(fields[j], base->kind->locate(base, index, j), data->bytes[j]);
        convert(set, base->field[k].dtype, at, fields[k], n);
        return true;
    }
    void *raw = reel_host_alloc(ctx, base->bytes[k], 1);
    if (!raw) return false;
    void *own[REEL_MAX_FIELDS];
    memcpy(own, fields, (size_t)data->n_fields * sizeof *own);
    own[k] = raw;
    bool ok = base->kind->read(base, ctx, index, generator, own);
    if (ok) convert(set, base->field[k].dtype, raw, fields[k], n);
    free(raw);
    return ok;
}

static void release_own(reel_dataset *data) { free(data->own); }

static const reel_dataset_kind normal_kind = { read_normal, NULL, release_own };

reel_dataset *reel_dataset_normalised(reel_ctx *ctx, reel_dataset *data, int k, const reel_normalise *how)
{
    static const reel_normalise defaults;
    if (!how) how = &defaults;
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_normalised", "data set", data)) return NULL;
    if (k < 0 || k >= data->n_fields || !reel_dtype_is_float(how->dtype)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: field %d of %d cannot be scaled to %s", k, data->n_fields,
                         reel_dtype_name(how->dtype));
    }
    normal_set *set = reel_host_alloc(ctx, 1, sizeof *set);
    if (!set) return NULL;
    *set = (normal_set) { .k = k, .how = *how };
    set->by_255 = how->scale == 0 && data->field[k].dtype == REEL_U8;
    if (how->scale == 0) set->how.scale = 1;
    if (how->std == 0) set->how.std = 1;
    for (int i = 0; i < 256; i++) {
        if (how->dtype == REEL_F64)
            set->table.d[i] = NORMALISE(double, i);
        else
            set->table.f[i] = NORMALISE(float, i);
    }
    reel_field fields[REEL_MAX_FIELDS];
    memcpy(fields, data->field, sizeof fields);
    fields[k].dtype = how->dtype;
    reel_dataset *made = reel_dataset_alloc(ctx, &normal_kind, data->count, fields, data->n_fields, data, set);
    if (!made) free(set);
    return made;
}
#undef NORMALISE

/* Through a function */

typedef struct map_set {
    reel_sample_map *map;
    void *user;
    pthread_mutex_t lock;
} map_set;

static bool read_map(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                     void *const *fields)
{
    map_set *set = data->own;
    const reel_dataset *base = data->base;
    void *in[REEL_MAX_FIELDS] = { NULL };
    bool ok = true;
    for (int k = 0; ok && k < base->n_fields; k++) {
        in[k] = reel_host_alloc(ctx, base->bytes[k], 1);
        ok = in[k] != NULL;
    }
    ok = ok && base->kind->read(base, ctx, index, generator, in);
    if (ok) {
        pthread_mutex_lock(&set->lock);
        ok = set->map(set->user, ctx, (const void *const *)in, fields, generator);
        pthread_mutex_unlock(&set->lock);
        if (!ok && !reel_ctx_error(ctx)) {
            reel_fail(ctx, REEL_ERROR_USER, "data set: sample %" PRId64 " could not be mapped", index);
        }
    }
    for (int k = 0; k < base->n_fields; k++) free(in[k]);
    return ok;
}

static void release_map(reel_dataset *data)
{
    map_set *set = data->own;
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static const reel_dataset_kind map_kind = { read_map, NULL, release_map };

reel_dataset *reel_dataset_map(reel_ctx *ctx, reel_dataset *data, const reel_field *fields, int n_fields,
                               reel_sample_map *map, void *user)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_map", "data set", data) ||
        !reel_given_list(ctx, "dataset_map", "fields", fields, n_fields)) {
        return NULL;
    }
    if (!map) return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there is no function to map samples");
    map_set *set = reel_host_alloc(ctx, 1, sizeof *set);
    if (!set) return NULL;
    set->map = map;
    set->user = user;
    pthread_mutex_init(&set->lock, NULL);
    reel_dataset *made = reel_dataset_alloc(ctx, &map_kind, data->count, fields, n_fields, data, set);
    if (!made) free(set);
    return made;
}
