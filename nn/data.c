// SPDX-License-Identifier: MIT
// Data sets in memory, of the user's own, and made from one another.
#include <inttypes.h>
#include <math.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/data_internal.h>
#include <stdlib.h>
#include <string.h>

static bool field_bytes(reel_ctx *ctx, const reel_field *field, int k, size_t *bytes)
{
    char text[REEL_SHAPE_TEXT];
    int64_t numel = reel_shape_numel(field->shape);
    if ((unsigned)field->dtype >= REEL_DTYPE_COUNT || field->shape.ndim >= REEL_MAX_DIMS || numel < 0) {
        return reel_fail(ctx, REEL_ERROR_SHAPE, "data set: field %d of dtype %d and shape %s cannot be batched", k,
                         (int)field->dtype, reel_shape_format(field->shape, text));
    }
    *bytes = (size_t)numel * reel_dtype_size(field->dtype);
    return true;
}

reel_dataset *reel_dataset_alloc(reel_ctx *ctx, const reel_dataset_kind *kind, int64_t count, const reel_field *fields,
                                 int n_fields, reel_dataset *base, void *own)
{
    reel_dataset *data = calloc(1, sizeof *data);
    if (!data) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a data set");
    *data = (reel_dataset) { .kind = kind, .refs = 1, .count = count, .n_fields = n_fields, .own = own };
    bool ok = n_fields >= 1 && n_fields <= REEL_MAX_FIELDS && count >= 0;
    if (!ok) reel_fail(ctx, REEL_ERROR_VALUE, "data set: %" PRId64 " samples of %d fields", count, n_fields);
    for (int k = 0; ok && k < n_fields; k++) {
        data->field[k] = fields[k];
        ok = field_bytes(ctx, &fields[k], k, &data->bytes[k]);
    }
    if (!ok) {
        data->own = NULL; /* stays the caller's */
        reel_dataset_free(data);
        return NULL;
    }
    if (base) {
        __atomic_add_fetch(&base->refs, 1, __ATOMIC_RELAXED);
        data->base = base;
    }
    return data;
}

void reel_dataset_free(reel_dataset *data)
{
    while (data && __atomic_sub_fetch(&data->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        reel_dataset *base = data->base;
        if (data->own && data->kind->release) data->kind->release(data);
        for (int64_t i = 0; data->class_names && i < data->classes; i++) free(data->class_names[i]);
        free(data->class_names);
        free(data);
        data = base;
    }
}

int64_t reel_dataset_count(const reel_dataset *data) { return data ? data->count : 0; }

int reel_dataset_fields(const reel_dataset *data) { return data ? data->n_fields : 0; }

reel_field reel_dataset_field(const reel_dataset *data, int k)
{
    return data && k >= 0 && k < data->n_fields ? data->field[k] : (reel_field) { .dtype = REEL_F32 };
}

const char *reel_dataset_class_name(const reel_dataset *data, int64_t label)
{
    while (data && !data->class_names) data = data->base;
    return data && label >= 0 && label < data->classes ? data->class_names[label] : NULL;
}

bool reel_dataset_read(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                       void *const *fields)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_read", "data set", data) ||
        !reel_given_list(ctx, "dataset_read", "fields", fields, data->n_fields)) {
        return false;
    }
    for (int k = 0; k < data->n_fields; k++)
        if (data->bytes[k] && !reel_given(ctx, "dataset_read", "memory for a field", fields[k])) return false;
    if (index < 0 || index >= data->count) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there is no sample %" PRId64 " of %" PRId64, index,
                         data->count);
    }
    return data->kind->read(data, ctx, index, generator, fields);
}

bool reel_dataset_tensors(const reel_dataset *data, reel_ctx *ctx, int64_t start, int64_t count, reel_tensor **fields)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_tensors", "data set", data) ||
        !reel_given_list(ctx, "dataset_tensors", "fields", fields, data->n_fields)) {
        return false;
    }
    if (start < 0 || count < 0 || start > data->count - count) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there are no samples %" PRId64 " to %" PRId64 " of %" PRId64,
                         start, start + count, data->count);
    }
    char *block[REEL_MAX_FIELDS] = { NULL };
    bool ok = true;
    for (int k = 0; ok && k < data->n_fields; k++) {
        block[k] = reel_host_alloc(ctx, (size_t)count, data->bytes[k]);
        ok = block[k] != NULL;
    }
    for (int64_t i = 0; ok && i < count; i++) {
        void *at[REEL_MAX_FIELDS];
        for (int k = 0; k < data->n_fields; k++) at[k] = block[k] + (size_t)i * data->bytes[k];
        ok = reel_dataset_read(data, ctx, start + i, NULL, at);
    }
    for (int k = 0; ok && k < data->n_fields; k++) {
        reel_shape shape = { .ndim = data->field[k].shape.ndim + 1, .dim = { count } };
        memcpy(shape.dim + 1, data->field[k].shape.dim, (size_t)(shape.ndim - 1) * sizeof *shape.dim);
        fields[k] = reel_from(ctx, shape, data->field[k].dtype, block[k]);
        ok = fields[k] != NULL;
    }
    for (int k = 0; k < data->n_fields; k++) free(block[k]);
    return ok;
}

/* The user's own */

typedef struct user_set {
    reel_source source;
    pthread_mutex_t lock;
} user_set;

static bool read_user(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                      void *const *fields)
{
    (void)generator;
    user_set *set = data->own;
    pthread_mutex_lock(&set->lock);
    bool ok = set->source.read(set->source.user, ctx, index, fields);
    pthread_mutex_unlock(&set->lock);
    if (!ok && !reel_ctx_error(ctx)) {
        reel_fail(ctx, REEL_ERROR_USER, "data set: sample %" PRId64 " could not be read", index);
    }
    return ok;
}

static void release_user(reel_dataset *data)
{
    user_set *set = data->own;
    if (set->source.release) set->source.release(set->source.user);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static const reel_dataset_kind user_kind = { read_user, NULL, release_user };

reel_dataset *reel_dataset_new(reel_ctx *ctx, const reel_source *source)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_new", "source", source)) return NULL;
    if (!source->read) return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there is no function to read samples");
    user_set *set = reel_host_alloc(ctx, 1, sizeof *set);
    if (!set) return NULL;
    set->source = *source;
    pthread_mutex_init(&set->lock, NULL);
    reel_dataset *data = reel_dataset_alloc(ctx, &user_kind, source->count, source->field, source->n_fields, NULL, set);
    if (!data) free(set);
    return data;
}

/* Memory */

typedef struct memory_set {
    const char *block[REEL_MAX_FIELDS];
    bool owned;
} memory_set;

static const void *locate_memory(const reel_dataset *data, int64_t index, int k)
{
    const memory_set *set = data->own;
    return set->block[k] + (size_t)index * data->bytes[k];
}

static bool read_memory(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                        void *const *fields)
{
    (void)ctx, (void)generator;
    for (int k = 0; k < data->n_fields; k++)
        if (data->bytes[k]) memcpy(fields[k], locate_memory(data, index, k), data->bytes[k]);
    return true;
}

static void release_memory(reel_dataset *data)
{
    memory_set *set = data->own;
    for (int k = 0; set->owned && k < data->n_fields; k++) free((char *)(uintptr_t)set->block[k]);
    free(set);
}

static const reel_dataset_kind memory_kind = { read_memory, locate_memory, release_memory };

static reel_dataset *new_memory(reel_ctx *ctx, int64_t count, const reel_field *fields, const void *const *blocks,
                                int n_fields, bool owned)
{
    memory_set *set = reel_host_alloc(ctx, 1, sizeof *set);
    if (!set) return NULL;
    memset(set, 0, sizeof *set);
    set->owned = owned;
    for (int k = 0; k < n_fields && k < REEL_MAX_FIELDS; k++) set->block[k] = blocks[k];
    reel_dataset *data = reel_dataset_alloc(ctx, &memory_kind, count, fields, n_fields, NULL, set);
    if (!data) free(set);
    return data;
}

reel_dataset *reel_dataset_from_blocks(reel_ctx *ctx, int64_t count, const reel_field *fields, void *const *blocks,
                                       int n_fields)
{
    reel_dataset *data = new_memory(ctx, count, fields, (const void *const *)blocks, n_fields, true);
    for (int k = 0; !data && k < n_fields; k++) free(blocks[k]);
    return data;
}

reel_dataset *reel_dataset_from_memory(reel_ctx *ctx, int64_t count, const reel_field *fields, const void *const *data,
                                       int n_fields)
{
    if (reel_ctx_error(ctx) || !reel_given_list(ctx, "dataset_from_memory", "fields", fields, n_fields) ||
        !reel_given_list(ctx, "dataset_from_memory", "memories", data, n_fields)) {
        return NULL;
    }
    for (int k = 0; k < n_fields; k++)
        if (!data[k] && count > 0)
            return reel_fail(ctx, REEL_ERROR_VALUE, "data set: the memory of field %d is NULL", k);
    return new_memory(ctx, count, fields, data, n_fields, false);
}

reel_dataset *reel_dataset_from_tensors(reel_tensor *const *fields, int n_fields)
{
    if (!fields || !reel_operands("dataset_from_tensors", fields, n_fields)) return NULL;
    reel_ctx *ctx = reel_ctx_of(fields[0]);
    reel_field field[REEL_MAX_FIELDS];
    void *block[REEL_MAX_FIELDS] = { NULL };
    char text[REEL_SHAPE_TEXT];
    int64_t count = reel_size(fields[0], 0);
    bool ok = n_fields <= REEL_MAX_FIELDS;
    if (!ok) reel_fail(ctx, REEL_ERROR_VALUE, "data set: %d fields are more than %d", n_fields, REEL_MAX_FIELDS);
    for (int k = 0; ok && k < n_fields; k++) {
        reel_tensor *x = fields[k];
        reel_shape shape = reel_shape_of(x);
        ok = shape.ndim > 0 && shape.dim[0] == count;
        if (!ok) {
            reel_fail(ctx, REEL_ERROR_SHAPE, "data set: field %d is %s, and axis 0 should count %" PRId64 " samples", k,
                      reel_shape_format(shape, text), count);
            break;
        }
        field[k] = (reel_field) { .dtype = reel_dtype_of(x), .shape = { .ndim = shape.ndim - 1 } };
        memcpy(field[k].shape.dim, shape.dim + 1, (size_t)(shape.ndim - 1) * sizeof *shape.dim);
        size_t bytes = (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x));
        block[k] = reel_host_alloc(ctx, bytes, 1);
        ok = block[k] && (bytes == 0 || reel_copy_out(x, block[k], bytes));
    }
    if (ok) return reel_dataset_from_blocks(ctx, count, field, block, n_fields);
    for (int k = 0; k < n_fields && k < REEL_MAX_FIELDS; k++) free(block[k]);
    return NULL;
}

/* Some samples of another one, by number or in one run */

typedef struct part_set {
    int64_t start;
    int64_t *index; /* NULL: start, start + 1, ... */
} part_set;

static int64_t part_index(const reel_dataset *data, int64_t index)
{
    const part_set *set = data->own;
    return set->index ? set->index[index] : set->start + index;
}

static bool read_part(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                      void *const *fields)
{
    return data->base->kind->read(data->base, ctx, part_index(data, index), generator, fields);
}

static const void *locate_part(const reel_dataset *data, int64_t index, int k)
{
    const reel_dataset *base = data->base;
    return base->kind->locate ? base->kind->locate(base, part_index(data, index), k) : NULL;
}

static void release_part(reel_dataset *data)
{
    part_set *set = data->own;
    free(set->index);
    free(set);
}

static const reel_dataset_kind part_kind = { read_part, locate_part, release_part };

/* `index` is the part's from the start. */
static reel_dataset *new_part(reel_ctx *ctx, reel_dataset *base, int64_t start, int64_t *index, int64_t count)
{
    part_set *set = reel_host_alloc(ctx, 1, sizeof *set);
    if (set) *set = (part_set) { start, index };
    reel_dataset *data =
        set ? reel_dataset_alloc(ctx, &part_kind, count, base->field, base->n_fields, base, set) : NULL;
    if (data) return data;
    free(set);
    free(index);
    return NULL;
}

reel_dataset *reel_dataset_slice(reel_ctx *ctx, reel_dataset *data, int64_t start, int64_t end)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_slice", "data set", data)) return NULL;
    int64_t from = start < 0 ? start + data->count : start, to = end < 0 ? end + data->count : end;
    if (from < 0 || to > data->count || from > to) {
        return reel_fail(ctx, REEL_ERROR_VALUE,
                         "data set: there is no slice %" PRId64 " to %" PRId64 " of %" PRId64 " samples", start, end,
                         data->count);
    }
    return new_part(ctx, data, from, NULL, to - from);
}

reel_dataset *reel_dataset_subset(reel_ctx *ctx, reel_dataset *data, const int64_t *index, int64_t count)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_subset", "data set", data)) return NULL;
    if (count < 0) return reel_fail(ctx, REEL_ERROR_VALUE, "data set: a part of %" PRId64 " samples", count);
    if (!reel_given_list(ctx, "dataset_subset", "samples", index, count)) return NULL;
    for (int64_t i = 0; i < count; i++) {
        if (index[i] < 0 || index[i] >= data->count) {
            return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there is no sample %" PRId64 " of %" PRId64, index[i],
                             data->count);
        }
    }
    int64_t *copy = reel_host_alloc(ctx, (size_t)count, sizeof *copy);
    if (!copy) return NULL;
    if (count > 0) memcpy(copy, index, (size_t)count * sizeof *copy);
    return new_part(ctx, data, 0, copy, count);
}

reel_dataset *reel_dataset_shard(reel_ctx *ctx, reel_dataset *data, int64_t share, int64_t shares)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_shard", "data set", data)) return NULL;
    if (share < 0 || share >= shares || data->count == 0) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: there is no share %" PRId64 " of %" PRId64 " of %" PRId64 " samples",
                         share, shares, data->count);
    }
    int64_t count = data->count / shares + (data->count % shares != 0);
    int64_t *index = reel_host_alloc(ctx, (size_t)count, sizeof *index);
    if (!index) return NULL;
    for (int64_t i = 0; i < count; i++) index[i] = (share % data->count + i * (shares % data->count)) % data->count;
    return new_part(ctx, data, 0, index, count);
}

reel_dataset *reel_dataset_shuffled(reel_ctx *ctx, reel_dataset *data, reel_generator *generator)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_shuffled", "data set", data)) return NULL;
    if (!generator) generator = reel_ctx_generator(ctx);
    int64_t *index = reel_host_alloc(ctx, (size_t)data->count, sizeof *index);
    if (!index) return NULL;
    reel_shuffle(index, data->count, generator);
    return new_part(ctx, data, 0, index, data->count);
}

void reel_shuffle(int64_t *index, int64_t count, reel_generator *generator)
{
    for (int64_t i = 0; index && i < count; i++) {
        int64_t j = generator ? reel_generator_below(generator, i + 1) : i;
        index[i] = index[j]; /* reads itself when j is i: set on the next line */
        index[j] = i;
    }
}

bool reel_dataset_split(reel_ctx *ctx, reel_dataset *data, double fraction, reel_dataset **first, reel_dataset **rest)
{
    if (first) *first = NULL;
    if (rest) *rest = NULL;
    if (reel_ctx_error(ctx) || !reel_given(ctx, "dataset_split", "data set", data) ||
        !reel_given(ctx, "dataset_split", "place for the first part", first) ||
        !reel_given(ctx, "dataset_split", "place for the rest", rest)) {
        return false;
    }
    if (!(fraction >= 0 && fraction <= 1)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: a part of %g cannot be split off", fraction);
    }
    int64_t at = (int64_t)floor((double)data->count * (1 - fraction));
    *first = reel_dataset_slice(ctx, data, 0, at);
    *rest = reel_dataset_slice(ctx, data, at, data->count);
    if (*first && *rest) return true;
    reel_dataset_free(*first);
    reel_dataset_free(*rest);
    *first = *rest = NULL;
    return false;
}
