// SPDX-License-Identifier: MIT
// Files of named tensors in the safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes.
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <reel/core/encoding.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/core/safetensors.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000 /* the format's own */

static const char *const type_names[REEL_ENC_COUNT] = {
    [REEL_ENC_F64] = "F64", [REEL_ENC_F32] = "F32",         [REEL_ENC_F16] = "F16",         [REEL_ENC_BF16] = "BF16",
    [REEL_ENC_I64] = "I64", [REEL_ENC_F8_E4M3] = "F8_E4M3", [REEL_ENC_F8_E5M2] = "F8_E5M2", [REEL_ENC_I32] = "I32",
    [REEL_ENC_I16] = "I16", [REEL_ENC_I8] = "I8",           [REEL_ENC_U64] = "U64",         [REEL_ENC_U32] = "U32",
    [REEL_ENC_U16] = "U16", [REEL_ENC_U8] = "U8",           [REEL_ENC_BOOL] = "BOOL",
};

static const reel_encoding dtype_encodings[REEL_DTYPE_COUNT] = {
    [REEL_F32] = REEL_ENC_F32, [REEL_F64] = REEL_ENC_F64, [REEL_I64] = REEL_ENC_I64,
    [REEL_I32] = REEL_ENC_I32, [REEL_U8] = REEL_ENC_U8,   [REEL_BOOL] = REEL_ENC_BOOL,
};

typedef struct stored {
    const char *name; /* the JSON object's */
    reel_encoding encoding;
    int axes; /* may be more than a tensor has: then only reading this one fails */
    reel_shape shape;
    int64_t begin, end;
} stored;

struct reel_safetensors {
    reel_reader reader;
    json_t *header;
    int64_t data_at;
    int count;
    stored *entries;
    int texts;
    reel_text *text;
};

static bool bad(const reel_safetensors *file, const char *name, const char *what)
{
    reel_fail(file->reader.ctx, REEL_ERROR_IO, "%s: the safetensors header is wrong: \"%s\" %s", file->reader.path,
              name, what);
    return false;
}

static bool parse_shape(const reel_safetensors *file, stored *entry, const json_t *shape, int64_t *bytes)
{
    if (!json_is_array(shape)) return bad(file, entry->name, "has no list \"shape\"");
    size_t axes = json_array_size(shape);
    int64_t product = (int64_t)reel_encoding_size(entry->encoding);
    bool empty = false, overflow = false;
    for (size_t i = 0; i < axes; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            return bad(file, entry->name, "has a size that is not a count");
        }
        int64_t n = json_integer_value(size);
        if (i < REEL_MAX_DIMS) entry->shape.dim[i] = n;
        if (n == 0)
            empty = true;
        else if (__builtin_mul_overflow(product, n, &product))
            overflow = true;
    }
    if (overflow) return bad(file, entry->name, "has a shape of more bytes than any memory");
    entry->axes = axes < INT_MAX ? (int)axes : INT_MAX;
    entry->shape.ndim = axes < REEL_MAX_DIMS ? (int)axes : REEL_MAX_DIMS;
    *bytes = empty ? 0 : product;
    return true;
}

static bool parse_entry(reel_safetensors *file, stored *entry, const json_t *value)
{
    if (!json_is_object(value)) return bad(file, entry->name, "is not an object");
    const char *type = json_string_value(json_object_get(value, "dtype"));
    if (!type) return bad(file, entry->name, "has no text \"dtype\"");
    int encoding = 0;
    while (encoding < REEL_ENC_COUNT && strcmp(type_names[encoding], type) != 0) encoding++;
    if (encoding == REEL_ENC_COUNT) return bad(file, entry->name, "has an unknown dtype");
    entry->encoding = (reel_encoding)encoding;
    int64_t bytes = 0;
    if (!parse_shape(file, entry, json_object_get(value, "shape"), &bytes)) return false;
    const json_t *offsets = json_object_get(value, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return bad(file, entry->name, "has no \"data_offsets\" of two numbers");
    }
    entry->begin = json_integer_value(begin);
    entry->end = json_integer_value(end);
    int64_t available = file->reader.size - file->data_at;
    if (entry->begin < 0 || entry->end < entry->begin)
        return bad(file, entry->name, "has data_offsets that run backwards");
    if (entry->end > available) {
        reel_fail(file->reader.ctx, REEL_ERROR_IO,
                  "%s: truncated: \"%s\" should end at byte %" PRId64 " of the data, and there are %" PRId64,
                  file->reader.path, entry->name, entry->end, available);
        return false;
    }
    if (entry->end - entry->begin != bytes) {
        char shape[REEL_SHAPE_TEXT];
        reel_fail(file->reader.ctx, REEL_ERROR_IO,
                  "%s: the safetensors header is wrong: \"%s\" %s %s needs %" PRId64
                  " bytes, and its data_offsets hold %" PRId64,
                  file->reader.path, entry->name, type, reel_shape_format(entry->shape, shape), bytes,
                  entry->end - entry->begin);
        return false;
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const stored *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Every byte belongs to exactly one tensor, as the format demands. */
static bool check_cover(const reel_safetensors *file)
{
    int64_t at = 0;
    for (int i = 0; i < file->count; i++) {
        const stored *entry = &file->entries[i];
        if (entry->begin < at) return bad(file, entry->name, "overlaps another tensor");
        if (entry->begin > at) return bad(file, entry->name, "leaves a hole before it");
        at = entry->end;
    }
    int64_t available = file->reader.size - file->data_at;
    if (at == available) return true;
    reel_fail(file->reader.ctx, REEL_ERROR_IO,
              "%s: the tensors end at byte %" PRId64 " of the data, and there are %" PRId64, file->reader.path, at,
              available);
    return false;
}

static bool parse_metadata(reel_safetensors *file, json_t *metadata)
{
    if (!json_is_object(metadata)) return bad(file, "__metadata__", "is not an object");
    file->text = reel_host_alloc(file->reader.ctx, json_object_size(metadata), sizeof *file->text);
    if (!file->text) return false;
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) return bad(file, key, "in __metadata__ is not a text");
        file->text[file->texts++] = (reel_text) { key, json_string_value(value) };
    }
    return true;
}

static bool parse_header(reel_safetensors *file)
{
    file->entries = reel_host_alloc(file->reader.ctx, json_object_size(file->header), sizeof *file->entries);
    if (!file->entries) return false;
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (!parse_metadata(file, value)) return false;
        } else {
            file->entries[file->count] = (stored) { .name = name };
            if (!parse_entry(file, &file->entries[file->count], value)) return false;
            file->count++;
        }
    }
    if (file->count) qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_offset);
    return check_cover(file);
}

static bool read_header(reel_safetensors *file)
{
    const reel_reader *reader = &file->reader;
    unsigned char length[8];
    if (reader->size < 8) {
        reel_fail(reader->ctx, REEL_ERROR_IO, "%s: is no safetensors file: %" PRId64 " bytes are too few", reader->path,
                  reader->size);
        return false;
    }
    if (!reel_reader_at(reader, 0, length, sizeof length)) return false;
    uint64_t bytes = 0;
    for (int i = 7; i >= 0; i--) bytes = bytes << 8 | length[i];
    if (bytes > HEADER_LIMIT || bytes > (uint64_t)reader->size - 8) {
        reel_fail(reader->ctx, REEL_ERROR_IO,
                  "%s: is truncated or no safetensors file: its header should have %" PRIu64 " bytes, and %" PRId64
                  " follow (at most %d are allowed)",
                  reader->path, bytes, reader->size - 8, HEADER_LIMIT);
        return false;
    }
    char *text = reel_host_alloc(reader->ctx, (size_t)bytes, 1);
    if (!text) return false;
    if (reel_reader_at(reader, 8, text, (size_t)bytes)) {
        json_error_t error;
        file->header = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
        if (!file->header && json_error_code(&error) == json_error_out_of_memory) {
            reel_fail(reader->ctx, REEL_ERROR_MEMORY, "no memory to parse the header of %s", reader->path);
        } else if (!file->header) {
            reel_fail(reader->ctx, REEL_ERROR_IO, "%s: the safetensors header is not JSON: %s (byte %d)", reader->path,
                      error.text, error.position);
        } else if (!json_is_object(file->header)) {
            reel_fail(reader->ctx, REEL_ERROR_IO, "%s: the safetensors header is not a JSON object", reader->path);
            json_decref(file->header);
            file->header = NULL;
        }
    }
    free(text);
    file->data_at = 8 + (int64_t)bytes;
    return file->header != NULL;
}

reel_safetensors *reel_safetensors_open(reel_ctx *ctx, const char *path)
{
    if (reel_ctx_error(ctx)) return NULL;
    reel_safetensors *file = calloc(1, sizeof *file);
    if (!file) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to open %s", path ? path : "a file");
    if (reel_reader_open(&file->reader, ctx, path) && read_header(file) && parse_header(file)) return file;
    reel_safetensors_close(file);
    return NULL;
}

void reel_safetensors_close(reel_safetensors *file)
{
    if (!file) return;
    reel_reader_close(&file->reader);
    json_decref(file->header);
    free(file->entries);
    free(file->text);
    free(file);
}

static const stored *entry_at(const reel_safetensors *file, int i)
{
    return file && i >= 0 && i < file->count ? &file->entries[i] : NULL;
}

int reel_safetensors_count(const reel_safetensors *file) { return file ? file->count : 0; }

const char *reel_safetensors_name(const reel_safetensors *file, int i)
{
    const stored *entry = entry_at(file, i);
    return entry ? entry->name : NULL;
}

int reel_safetensors_find(const reel_safetensors *file, const char *name)
{
    for (int i = 0; file && name && i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0) return i;
    return -1;
}

reel_shape reel_safetensors_shape(const reel_safetensors *file, int i)
{
    const stored *entry = entry_at(file, i);
    return entry ? entry->shape : REEL_SCALAR;
}

const char *reel_safetensors_type(const reel_safetensors *file, int i)
{
    const stored *entry = entry_at(file, i);
    return entry ? type_names[entry->encoding] : NULL;
}

reel_dtype reel_safetensors_dtype(const reel_safetensors *file, int i)
{
    const stored *entry = entry_at(file, i);
    return entry ? reel_encoding_dtype(entry->encoding) : REEL_F32;
}

reel_tensor *reel_safetensors_tensor(reel_safetensors *file, int i)
{
    if (!file || reel_ctx_error(file->reader.ctx)) return NULL;
    reel_ctx *ctx = file->reader.ctx;
    const stored *entry = entry_at(file, i);
    if (!entry) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: has %d tensors and none at %d", file->reader.path, file->count, i);
    }
    if (entry->axes > REEL_MAX_DIMS) {
        return reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "%s: \"%s\" has %d axes, more than %d", file->reader.path,
                         entry->name, entry->axes, REEL_MAX_DIMS);
    }
    reel_dtype dtype = reel_encoding_dtype(entry->encoding);
    int64_t raw = entry->end - entry->begin, n = raw / (int64_t)reel_encoding_size(entry->encoding);
    void *data = reel_host_alloc(ctx, (size_t)n, reel_dtype_size(dtype));
    if (!data) return NULL;
    reel_tensor *x = NULL;
    if (reel_reader_at(&file->reader, file->data_at + entry->begin, reel_encoded_at(entry->encoding, data, n),
                       (size_t)raw)) {
        if (reel_decode(entry->encoding, false, data, n)) {
            x = reel_from(ctx, entry->shape, dtype, data);
        } else {
            reel_fail(ctx, REEL_ERROR_IO, "%s: \"%s\" holds numbers past the largest int64", file->reader.path,
                      entry->name);
        }
    }
    free(data);
    return x;
}

reel_tensor *reel_safetensors_read(reel_safetensors *file, const char *name)
{
    if (!file || reel_ctx_error(file->reader.ctx)) return NULL;
    if (!reel_given(file->reader.ctx, "safetensors_read", "name", name)) return NULL;
    int i = reel_safetensors_find(file, name);
    if (i >= 0) return reel_safetensors_tensor(file, i);
    return reel_fail(file->reader.ctx, REEL_ERROR_IO, "%s: has no tensor \"%s\"", file->reader.path, name);
}

const char *reel_safetensors_metadata(const reel_safetensors *file, const char *key)
{
    for (int i = 0; file && key && i < file->texts; i++)
        if (strcmp(file->text[i].key, key) == 0) return file->text[i].value;
    return NULL;
}

int reel_safetensors_metadata_count(const reel_safetensors *file) { return file ? file->texts : 0; }

reel_text reel_safetensors_metadata_at(const reel_safetensors *file, int i)
{
    return file && i >= 0 && i < file->texts ? file->text[i] : (reel_text) { NULL, NULL };
}

/* Wide elements first, so that every tensor starts at a multiple of its element size. */
static int by_width(const void *a, const void *b)
{
    const reel_named *x = a, *y = b;
    size_t wide = reel_dtype_size(reel_dtype_of(x->tensor)), narrow = reel_dtype_size(reel_dtype_of(y->tensor));
    if (wide != narrow) return wide > narrow ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Adds one tensor's line to the header; moves *at past its bytes. */
static bool add_entry(reel_ctx *ctx, const char *path, json_t *header, const reel_named *named, int64_t *at)
{
    reel_shape shape = reel_shape_of(named->tensor);
    reel_dtype dtype = reel_dtype_of(named->tensor);
    int64_t end = *at + reel_numel(named->tensor) * (int64_t)reel_dtype_size(dtype);
    json_t *sizes = json_array();
    for (int i = 0; sizes && i < shape.ndim; i++) {
        if (json_array_append_new(sizes, json_integer(shape.dim[i])) != 0) {
            json_decref(sizes);
            sizes = NULL;
        }
    }
    bool reserved = strcmp(named->name, "__metadata__") == 0;
    if (reserved || json_object_get(header, named->name)) {
        json_decref(sizes);
        return reel_fail(ctx, REEL_ERROR_VALUE, reserved ? "%s: no tensor can be named \"%s\": so the format calls the file's texts"
                                                         : "%s: cannot hold two tensors named \"%s\"", path, named->name);
    }
    json_t *line = json_pack("{s:s, s:o, s:[I, I]}", "dtype", type_names[dtype_encodings[dtype]], "shape", sizes,
                             "data_offsets", (json_int_t)*at, (json_int_t)end);
    if (!line) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the header of %s", path);
    if (json_object_set_new(header, named->name, line) != 0) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a tensor's name is not UTF-8", path);
    }
    *at = end;
    return true;
}

static json_t *make_header(reel_ctx *ctx, const char *path, const reel_named *tensors, int count,
                           const reel_text *metadata, int metadata_count)
{
    json_t *header = json_object(), *texts = json_object();
    bool ok = header && texts;
    if (!ok) reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the header of %s", path);
    for (int i = 0; ok && i < metadata_count; i++) {
        if (!metadata[i].key || !metadata[i].value) {
            ok = reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: text %d of the metadata has no %s", path, i,
                           metadata[i].key ? "value" : "key");
            break;
        }
        ok = json_object_set_new(texts, metadata[i].key, json_string(metadata[i].value)) == 0;
        if (!ok) reel_fail(ctx, REEL_ERROR_VALUE, "%s: the metadata \"%s\" is not UTF-8", path, metadata[i].key);
    }
    if (ok && metadata_count > 0 && json_object_set(header, "__metadata__", texts) != 0) {
        ok = reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the header of %s", path);
    }
    json_decref(texts);
    int64_t at = 0;
    for (int i = 0; ok && i < count; i++) ok = add_entry(ctx, path, header, &tensors[i], &at);
    if (ok) return header;
    json_decref(header);
    return NULL;
}

static bool write_header(reel_writer *writer, const json_t *header)
{
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text) return reel_fail(writer->ctx, REEL_ERROR_MEMORY, "no memory for the header of %s", writer->path);
    size_t bytes = strlen(text), padding = (8 - bytes % 8) % 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)(bytes + padding) >> (8 * i));
    bool ok = bytes + padding <= HEADER_LIMIT;
    if (!ok) reel_fail(writer->ctx, REEL_ERROR_IO, "%s: the header is larger than the format allows", writer->path);
    ok = ok && reel_writer_put(writer, length, sizeof length) && reel_writer_put(writer, text, bytes) &&
         reel_writer_put(writer, "       ", padding);
    free(text);
    return ok;
}

static bool write_tensor(reel_writer *writer, reel_tensor *x)
{
    const void *data = reel_data(x);
    size_t size = reel_dtype_size(reel_dtype_of(x));
    int64_t n = reel_numel(x);
    if (!data && (n > 0 || reel_ctx_error(writer->ctx))) return false;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (int64_t i = 0; i < n; i++) {
        char element[8];
        memcpy(element, (const char *)data + (size_t)i * size, size);
        reel_swap_bytes(element, size, 1);
        if (!reel_writer_put(writer, element, size)) return false;
    }
    return true;
#else
    return n == 0 || reel_writer_put(writer, data, (size_t)n * size);
#endif
}

bool reel_safetensors_save(reel_ctx *ctx, const char *path, const reel_named *tensors, int count,
                           const reel_text *metadata, int metadata_count)
{
    if (reel_ctx_error(ctx)) return false;
    if (!path) return reel_fail(ctx, REEL_ERROR_IO, "no path was given for a file to write");
    if (!reel_given_list(ctx, "safetensors_save", "tensors", tensors, count) ||
        !reel_given_list(ctx, "safetensors_save", "texts", metadata, metadata_count)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!tensors[i].tensor || !tensors[i].name) {
            return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: tensor %d to be saved has no %s", path, i,
                             tensors[i].name ? "value" : "name");
        }
    }
    reel_named *order = reel_host_alloc(ctx, (size_t)(count > 0 ? count : 0), sizeof *order);
    if (!order) return false;
    if (count > 0) {
        memcpy(order, tensors, (size_t)count * sizeof *order);
        qsort(order, (size_t)count, sizeof *order, by_width);
    }
    bool ok = false;
    json_t *header = make_header(ctx, path, order, count, metadata, metadata_count);
    if (header) {
        reel_writer writer;
        ok = reel_writer_open(&writer, ctx, path) && write_header(&writer, header);
        for (int i = 0; ok && i < count; i++) ok = write_tensor(&writer, order[i].tensor);
        ok = reel_writer_close(&writer, ok) && ok;
    }
    json_decref(header);
    free(order);
    return ok;
}
