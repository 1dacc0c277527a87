// SPDX-License-Identifier: MIT
// What a checkpoint is made of: named tensors and texts, gathered from several owners into one safetensors file.
#include <errno.h>
#include <inttypes.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/core/safetensors.h>
#include <reel/core/store.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tensor to be saved: somebody's, or numbers of the store's own. */
typedef struct store_entry {
    char *name;
    reel_tensor *tensor;
    double *data; /* when there is no tensor: n numbers */
    int64_t n;
} store_entry;

struct reel_store {
    reel_ctx *ctx;
    reel_safetensors *file; /* NULL: being gathered */
    char *path;
    store_entry *tensors; /* names and texts are the store's own copies */
    int n_tensors, tensors_room;
    reel_text *texts;
    int n_texts, texts_room;
};

reel_store *reel_store_new(reel_ctx *ctx)
{
    if (reel_ctx_error(ctx)) return NULL;
    reel_store *store = calloc(1, sizeof *store);
    if (!store) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a store");
    store->ctx = ctx;
    return store;
}

reel_store *reel_store_open(reel_ctx *ctx, const char *path)
{
    reel_store *store = reel_store_new(ctx);
    if (!store) return NULL;
    store->file = reel_safetensors_open(ctx, path);
    store->path = store->file ? reel_copy_text(ctx, path) : NULL;
    if (store->path) return store;
    reel_store_close(store);
    return NULL;
}

void reel_store_close(reel_store *store)
{
    if (!store) return;
    for (int i = 0; i < store->n_tensors; i++) {
        free(store->tensors[i].name);
        free(store->tensors[i].data);
    }
    for (int i = 0; i < store->n_texts; i++) {
        free((char *)store->texts[i].key);
        free((char *)store->texts[i].value);
    }
    free(store->tensors);
    free(store->texts);
    free(store->path);
    reel_safetensors_close(store->file);
    free(store);
}

reel_ctx *reel_store_ctx(const reel_store *store) { return store ? store->ctx : NULL; }

const char *reel_store_path(const reel_store *store) { return store ? store->path : NULL; }

/* prefix + name in memory of its own, or NULL and an error. */
static char *full_name(reel_ctx *ctx, const char *prefix, const char *name)
{
    if (!prefix) prefix = "";
    if (!name) return reel_fail(ctx, REEL_ERROR_CONTEXT, "store: a name is missing (NULL)");
    size_t head = strlen(prefix), tail = strlen(name) + 1;
    char *full = reel_host_alloc(ctx, head + tail, 1);
    if (!full) return NULL;
    memcpy(full, prefix, head);
    memcpy(full + head, name, tail);
    return full;
}

/* Room for one more in an array, by doubling. */
static bool make_room(reel_ctx *ctx, void *array, int count, int *room, size_t size)
{
    if (count < *room) return true;
    int larger = *room ? 2 * *room : 16;
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    grown = realloc(old, (size_t)larger * size);
    if (!grown) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for %d entries of a store", larger);
    memcpy(array, &grown, sizeof grown);
    *room = larger;
    return true;
}

static bool may_put(const reel_store *store, const char *name)
{
    if (!store || reel_ctx_error(store->ctx)) return false;
    if (!store->file) return true;
    return reel_fail(store->ctx, REEL_ERROR_CONTEXT, "%s: is open for reading, and \"%s\" cannot be put into it",
                     store->path, name);
}

/* Takes `entry`, whose data is the store's from here on, whatever happens. */
static bool put_entry(reel_store *store, const char *prefix, const char *name, store_entry entry)
{
    entry.name = full_name(store->ctx, prefix, name);
    bool ok = entry.name &&
              make_room(store->ctx, &store->tensors, store->n_tensors, &store->tensors_room, sizeof(store_entry));
    for (int i = 0; ok && i < store->n_tensors; i++) {
        if (strcmp(store->tensors[i].name, entry.name) == 0) {
            ok = reel_fail(store->ctx, REEL_ERROR_VALUE, "two tensors named \"%s\" are to be saved", entry.name);
        }
    }
    if (ok) {
        store->tensors[store->n_tensors++] = entry;
    } else {
        free(entry.name);
        free(entry.data);
    }
    return ok;
}

bool reel_store_put(reel_store *store, const char *prefix, const char *name, reel_tensor *x)
{
    if (!may_put(store, name)) return false;
    if (!x) return reel_fail(store->ctx, REEL_ERROR_CONTEXT, "the tensor \"%s\" to be saved is NULL", name);
    return put_entry(store, prefix, name, (store_entry) { .tensor = x });
}

bool reel_store_put_doubles(reel_store *store, const char *prefix, const char *name, const double *data, int64_t n)
{
    if (!may_put(store, name) || !reel_given_list(store->ctx, "store_put_doubles", "numbers", data, n)) return false;
    double *copy = reel_host_alloc(store->ctx, (size_t)n, sizeof *copy);
    if (!copy) return false;
    if (n) memcpy(copy, data, (size_t)n * sizeof *copy);
    return put_entry(store, prefix, name, (store_entry) { .data = copy, .n = n });
}

bool reel_store_put_text(reel_store *store, const char *prefix, const char *name, const char *format, ...)
{
    if (!may_put(store, name) || !reel_given(store->ctx, "store_put_text", "format", format)) return false;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *full = full_name(store->ctx, prefix, name);
    char *value = length >= 0 ? reel_host_alloc(store->ctx, (size_t)length + 1, 1) : NULL;
    bool ok = full && value && vsnprintf(value, (size_t)length + 1, format, again) == length &&
              make_room(store->ctx, &store->texts, store->n_texts, &store->texts_room, sizeof(reel_text));
    va_end(again);
    va_end(args);
    for (int i = 0; ok && i < store->n_texts; i++) {
        if (strcmp(store->texts[i].key, full) == 0) {
            ok = reel_fail(store->ctx, REEL_ERROR_VALUE, "two texts named \"%s\" are to be saved", full);
        }
    }
    if (ok) {
        store->texts[store->n_texts++] = (reel_text) { full, value };
    } else {
        free(full);
        free(value);
    }
    return ok;
}

bool reel_store_put_int(reel_store *store, const char *prefix, const char *name, int64_t value)
{
    return reel_store_put_text(store, prefix, name, "%" PRId64, value);
}

/* The bits themselves, NaN's too, whatever the locale; the number behind them is for people. */
bool reel_store_put_double(reel_store *store, const char *prefix, const char *name, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return reel_store_put_text(store, prefix, name, "0x%016" PRIx64 " (%g)", bits, value);
}

bool reel_store_save(const reel_store *store, const char *path)
{
    if (!store || reel_ctx_error(store->ctx)) return false;
    reel_named *tensors = reel_host_alloc(store->ctx, (size_t)store->n_tensors, sizeof *tensors);
    bool ok = tensors != NULL;
    REEL_SCOPE(store->ctx)
    {
        for (int i = 0; ok && i < store->n_tensors; i++) {
            const store_entry *entry = &store->tensors[i];
            tensors[i] = (reel_named) { entry->name, entry->tensor };
            if (!entry->tensor) tensors[i].tensor = reel_doubles(store->ctx, REEL_SHAPE(entry->n), entry->data);
            ok = tensors[i].tensor != NULL;
        }
        ok = ok && reel_safetensors_save(store->ctx, path, tensors, store->n_tensors, store->texts, store->n_texts);
    }
    free(tensors);
    return ok;
}

int reel_store_find(const reel_store *store, const char *prefix, const char *name)
{
    char *full = store && store->file ? full_name(store->ctx, prefix, name) : NULL;
    int found = full ? reel_safetensors_find(store->file, full) : -1;
    free(full);
    return found;
}

reel_tensor *reel_store_get(const reel_store *store, const char *prefix, const char *name)
{
    char *full = store && store->file ? full_name(store->ctx, prefix, name) : NULL;
    reel_tensor *x = full ? reel_safetensors_read(store->file, full) : NULL;
    free(full);
    return x;
}

bool reel_store_has_text(const reel_store *store, const char *prefix, const char *name)
{
    char *full = store && store->file ? full_name(store->ctx, prefix, name) : NULL;
    bool has = full && reel_safetensors_metadata(store->file, full);
    free(full);
    return has;
}

const char *reel_store_text(const reel_store *store, const char *prefix, const char *name)
{
    if (!store || !store->file || reel_ctx_error(store->ctx)) return NULL;
    char *full = full_name(store->ctx, prefix, name);
    const char *value = full ? reel_safetensors_metadata(store->file, full) : NULL;
    if (full && !value) reel_fail(store->ctx, REEL_ERROR_IO, "%s: has no metadata \"%s\"", store->path, full);
    free(full);
    return value;
}

bool reel_store_int(const reel_store *store, const char *prefix, const char *name, int64_t *value)
{
    const char *text = reel_store_text(store, prefix, name);
    if (!text || !reel_given(store->ctx, "store_int", "place for the value", value)) return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno) {
        return reel_fail(store->ctx, REEL_ERROR_IO, "%s: the metadata \"%s%s\" is no whole number: %s", store->path,
                         prefix ? prefix : "", name, text);
    }
    *value = number;
    return true;
}

bool reel_store_double(const reel_store *store, const char *prefix, const char *name, double *value)
{
    const char *text = reel_store_text(store, prefix, name);
    if (!text || !reel_given(store->ctx, "store_double", "place for the value", value)) return false;
    char *end;
    errno = 0;
    unsigned long long bits = strtoull(text, &end, 16);
    if (strncmp(text, "0x", 2) != 0 || end != text + 18 || *end != ' ' || errno) {
        return reel_fail(store->ctx, REEL_ERROR_IO, "%s: the metadata \"%s%s\" is no number: %s", store->path,
                         prefix ? prefix : "", name, text);
    }
    uint64_t stored = bits;
    memcpy(value, &stored, sizeof *value);
    return true;
}

bool reel_store_get_into(const reel_store *store, const char *prefix, const char *name, reel_tensor *x)
{
    if (!store || !reel_given(store->ctx, "store_get_into", "tensor", x)) return false;
    bool ok = false;
    REEL_SCOPE(store->ctx)
    {
        reel_tensor *value = reel_store_get(store, prefix, name);
        char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
        if (value &&
            (!reel_shape_equal(reel_shape_of(value), reel_shape_of(x)) || reel_dtype_of(value) != reel_dtype_of(x))) {
            reel_fail(store->ctx, REEL_ERROR_IO, "%s: \"%s%s\" is %s %s, and %s %s is needed", store->path,
                      prefix ? prefix : "", name, reel_dtype_name(reel_dtype_of(value)),
                      reel_shape_format(reel_shape_of(value), have), reel_dtype_name(reel_dtype_of(x)),
                      reel_shape_format(reel_shape_of(x), want));
        } else if (value) {
            ok = reel_assign(x, value);
        }
    }
    return ok;
}

bool reel_store_doubles(const reel_store *store, const char *prefix, const char *name, double *to, int64_t n)
{
    if (!store || !reel_given_list(store->ctx, "store_doubles", "numbers", to, n)) return false;
    bool ok = false;
    REEL_SCOPE(store->ctx)
    {
        reel_tensor *x = reel_store_get(store, prefix, name);
        char text[REEL_SHAPE_TEXT];
        if (x && (reel_dtype_of(x) != REEL_F64 || reel_numel(x) != n)) {
            reel_fail(store->ctx, REEL_ERROR_IO, "%s: \"%s%s\" is %s %s, and %" PRId64 " float64 numbers are needed",
                      store->path, prefix ? prefix : "", name, reel_dtype_name(reel_dtype_of(x)),
                      reel_shape_format(reel_shape_of(x), text), n);
        } else if (x) {
            ok = n == 0 || reel_copy_out(x, to, (size_t)n * sizeof *to);
        }
    }
    return ok;
}

int reel_store_count(const reel_store *store) { return store && store->file ? reel_safetensors_count(store->file) : 0; }

const char *reel_store_name(const reel_store *store, int i)
{
    return store && store->file ? reel_safetensors_name(store->file, i) : NULL;
}

reel_shape reel_store_shape(const reel_store *store, int i)
{
    return store && store->file ? reel_safetensors_shape(store->file, i) : REEL_SCALAR;
}

reel_dtype reel_store_dtype(const reel_store *store, int i)
{
    return store && store->file ? reel_safetensors_dtype(store->file, i) : REEL_F32;
}
