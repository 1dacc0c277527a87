// SPDX-License-Identifier: MIT
// IDX files, plain or gzip-compressed: two zero bytes, a type, the number of axes, big-endian sizes, elements.
#include <inttypes.h>
#include <reel/core/encoding.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/idx.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHUNK_BYTES ((size_t)1 << 20)

/* The bytes of a file as they come: as they are, or out of a gzip stream. */
typedef struct idx_source {
    reel_reader reader;
    int64_t at; /* in the file */
    bool gzip, ended;
    z_stream stream;
    unsigned char *input;
} idx_source;

static void close_source(idx_source *source)
{
    if (source->gzip) inflateEnd(&source->stream);
    free(source->input);
    reel_reader_close(&source->reader);
}

static bool open_source(idx_source *source, reel_ctx *ctx, const char *path)
{
    memset(source, 0, sizeof *source);
    if (!reel_reader_open(&source->reader, ctx, path)) return false;
    unsigned char first[2] = { 0 };
    if (source->reader.size >= 2 && !reel_reader_at(&source->reader, 0, first, 2)) return false;
    if (first[0] != 0x1f || first[1] != 0x8b) return true;
    source->input = reel_host_alloc(ctx, CHUNK_BYTES, 1);
    if (!source->input) return false;
    if (inflateInit2(&source->stream, 15 + 16) != Z_OK) {
        return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to decompress %s", path);
    }
    source->gzip = true;
    return true;
}

/* Gives the decompressor more of the file; false when there is none or it cannot be read. */
static bool refill(idx_source *source)
{
    int64_t left = source->reader.size - source->at;
    size_t bytes = left < (int64_t)CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    if (bytes == 0) {
        reel_fail(source->reader.ctx, REEL_ERROR_IO, "%s: truncated: the gzip stream has no end", source->reader.path);
        return false;
    }
    if (!reel_reader_at(&source->reader, source->at, source->input, bytes)) return false;
    source->stream.next_in = source->input;
    source->stream.avail_in = (uInt)bytes;
    source->at += (int64_t)bytes;
    return true;
}

/* Up to `bytes` more; fewer at the end. `*got` says how many. False on error. */
static bool read_some(idx_source *source, void *to, size_t bytes, size_t *got)
{
    *got = 0;
    if (!source->gzip) {
        int64_t left = source->reader.size - source->at;
        *got = (int64_t)bytes < left ? bytes : (size_t)left;
        if (!reel_reader_at(&source->reader, source->at, to, *got)) return false;
        source->at += (int64_t)*got;
        return true;
    }
    z_stream *stream = &source->stream;
    while (*got < bytes && !source->ended) {
        if (stream->avail_in == 0 && !refill(source)) return false;
        size_t room = bytes - *got < CHUNK_BYTES ? bytes - *got : CHUNK_BYTES;
        stream->next_out = (unsigned char *)to + *got;
        stream->avail_out = (uInt)room;
        int status = inflate(stream, Z_NO_FLUSH);
        *got += room - stream->avail_out;
        if (status == Z_STREAM_END) {
            source->ended = true;
        } else if (status == Z_MEM_ERROR) {
            return reel_fail(source->reader.ctx, REEL_ERROR_MEMORY, "no memory to decompress %s", source->reader.path);
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            reel_fail(source->reader.ctx, REEL_ERROR_IO, "%s: the gzip stream is corrupt: %s", source->reader.path,
                      stream->msg ? stream->msg : "it needs a dictionary");
            return false;
        }
    }
    return true;
}

static const struct {
    unsigned char code;
    reel_encoding encoding;
} types[] = { { 0x08, REEL_ENC_U8 },  { 0x09, REEL_ENC_I8 },  { 0x0B, REEL_ENC_I16 },
              { 0x0C, REEL_ENC_I32 }, { 0x0D, REEL_ENC_F32 }, { 0x0E, REEL_ENC_F64 } };

static bool read_header(idx_source *source, reel_encoding *encoding, reel_shape *shape)
{
    reel_ctx *ctx = source->reader.ctx;
    const char *path = source->reader.path;
    unsigned char magic[4], sizes[4 * REEL_MAX_DIMS];
    size_t got;
    if (!read_some(source, magic, 4, &got)) return false;
    if (got < 4) return reel_fail(ctx, REEL_ERROR_IO, "%s: is no IDX file: %zu bytes are too few", path, got);
    size_t type = 0, type_count = sizeof types / sizeof *types;
    while (type < type_count && types[type].code != magic[2]) type++;
    if (magic[0] || magic[1] || type == type_count) {
        return reel_fail(
            ctx, REEL_ERROR_IO,
            "%s: is no IDX file: its magic number is 0x%02x%02x%02x%02x, and 0x00, 0x00, a type in 0x08 to "
            "0x0e and the number of axes were expected",
            path, magic[0], magic[1], magic[2], magic[3]);
    }
    if (magic[3] > REEL_MAX_DIMS) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: has %d axes, more than %d", path, magic[3], REEL_MAX_DIMS);
    }
    *encoding = types[type].encoding;
    *shape = (reel_shape) { .ndim = magic[3] };
    if (!read_some(source, sizes, 4u * magic[3], &got)) return false;
    if (got < 4u * magic[3]) return reel_fail(ctx, REEL_ERROR_IO, "%s: truncated: it ends within its header", path);
    for (int i = 0; i < shape->ndim; i++) {
        const unsigned char *at = sizes + 4 * i;
        shape->dim[i] = (int64_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
    }
    return true;
}

/* What the header promises is read piece by piece, so that a header that lies costs no memory. */
static void *read_elements(idx_source *source, size_t bytes, size_t *got)
{
    size_t room = 0;
    unsigned char *data = reel_host_alloc(source->reader.ctx, 1, 1);
    *got = 0;
    while (data && *got < bytes) {
        room = bytes - room < room + CHUNK_BYTES ? bytes : 2 * room + CHUNK_BYTES;
        unsigned char *larger = realloc(data, room);
        if (!larger) {
            reel_fail(source->reader.ctx, REEL_ERROR_MEMORY, "no memory for %zu bytes of %s", room,
                      source->reader.path);
            free(data);
            return NULL;
        }
        data = larger;
        size_t want = room - *got, more;
        if (!read_some(source, data + *got, want, &more)) {
            free(data);
            return NULL;
        }
        *got += more;
        if (more < want) break;
    }
    return data;
}

static reel_tensor *read_tensor(idx_source *source)
{
    reel_ctx *ctx = source->reader.ctx;
    const char *path = source->reader.path;
    reel_encoding encoding = REEL_ENC_U8;
    reel_shape shape;
    char text[REEL_SHAPE_TEXT];
    if (!read_header(source, &encoding, &shape)) return NULL;
    int64_t n = reel_shape_numel(shape);
    size_t size = reel_encoding_size(encoding);
    if (n < 0) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: its header says %s, more than any memory", path,
                         reel_shape_format(shape, text));
    }
    size_t got, extra;
    void *data = read_elements(source, (size_t)n * size, &got);
    if (!data) return NULL;
    char next;
    reel_tensor *x = NULL;
    reel_dtype dtype = reel_encoding_dtype(encoding);
    if (got < (size_t)n * size) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: truncated: its header says %s, %zu bytes, and %zu follow", path,
                  reel_shape_format(shape, text), (size_t)n * size, got);
    } else if (read_some(source, &next, 1, &extra)) {
        void *wide = reel_dtype_size(dtype) == size ? data : realloc(data, (size_t)n * reel_dtype_size(dtype) + 1);
        if (wide) data = wide;
        if (extra > 0) {
            reel_fail(ctx, REEL_ERROR_IO, "%s: its header says %s, %zu bytes, and more follow", path,
                      reel_shape_format(shape, text), (size_t)n * size);
        } else if (!wide) {
            reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for %s", path);
        } else {
            memmove(reel_encoded_at(encoding, data, n), data, (size_t)n * size);
            reel_decode(encoding, true, data, n);
            x = reel_from(ctx, shape, dtype, data);
        }
    }
    free(data);
    return x;
}

reel_tensor *reel_idx_read(reel_ctx *ctx, const char *path)
{
    if (reel_ctx_error(ctx)) return NULL;
    idx_source source;
    reel_tensor *x = open_source(&source, ctx, path) ? read_tensor(&source) : NULL;
    close_source(&source);
    return x;
}

/* Hands bytes on to the file, through the compressor when there is one. */
static bool put(reel_writer *writer, z_stream *gzip, const void *data, size_t bytes, bool last)
{
    if (!gzip) return reel_writer_put(writer, data, bytes);
    unsigned char out[4096];
    const unsigned char *at = data;
    int status = Z_OK;
    do {
        size_t piece = bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
        gzip->next_in = (unsigned char *)at;
        gzip->avail_in = (uInt)piece;
        at += piece;
        bytes -= piece;
        do {
            gzip->next_out = out;
            gzip->avail_out = sizeof out;
            status = deflate(gzip, last && bytes == 0 ? Z_FINISH : Z_NO_FLUSH);
            if (!reel_writer_put(writer, out, sizeof out - gzip->avail_out)) return false;
        } while (gzip->avail_out == 0);
    } while (bytes > 0);
    return status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR;
}

static bool write_elements(reel_writer *writer, z_stream *gzip, const void *data, size_t size, int64_t n)
{
    unsigned char piece[4096];
    int64_t step = (int64_t)(sizeof piece / size);
    for (int64_t i = 0; i < n; i += step) {
        int64_t count = n - i < step ? n - i : step;
        memcpy(piece, (const char *)data + (size_t)i * size, (size_t)count * size);
        if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) reel_swap_bytes(piece, size, count);
        if (!put(writer, gzip, piece, (size_t)count * size, false)) return false;
    }
    return put(writer, gzip, "", 0, true);
}

bool reel_idx_write(reel_ctx *ctx, const char *path, reel_tensor *x)
{
    if (reel_ctx_error(ctx)) return false;
    if (!path) return reel_fail(ctx, REEL_ERROR_IO, "no path was given for a file to write");
    if (!x) return reel_fail(ctx, REEL_ERROR_CONTEXT, "idx_write: the tensor is missing (NULL)");
    reel_shape shape = reel_shape_of(x);
    reel_dtype dtype = reel_dtype_of(x);
    unsigned char header[4 + 4 * REEL_MAX_DIMS] = { 0 };
    size_t type = 0, type_count = sizeof types / sizeof *types;
    while (type < type_count && (types[type].encoding == REEL_ENC_I8 || types[type].encoding == REEL_ENC_I16 ||
                                 reel_encoding_dtype(types[type].encoding) != dtype)) {
        type++;
    }
    if (type == type_count) {
        return reel_fail(ctx, REEL_ERROR_DTYPE, "%s: an IDX file cannot hold %s", path, reel_dtype_name(dtype));
    }
    header[2] = types[type].code;
    header[3] = (unsigned char)shape.ndim;
    for (int i = 0; i < shape.ndim; i++) {
        if (shape.dim[i] > UINT32_MAX) {
            return reel_fail(ctx, REEL_ERROR_VALUE, "%s: an IDX file cannot hold an axis of %" PRId64, path,
                             shape.dim[i]);
        }
        for (int k = 0; k < 4; k++) header[4 + 4 * i + k] = (unsigned char)(shape.dim[i] >> (24 - 8 * k));
    }
    const void *data = reel_data(x);
    if (reel_ctx_error(ctx)) return false;
    size_t length = strlen(path);
    bool compress = length > 3 && strcmp(path + length - 3, ".gz") == 0;
    z_stream stream = { 0 };
    if (compress && deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to compress %s", path);
    }
    z_stream *gzip = compress ? &stream : NULL;
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, path) && put(&writer, gzip, header, 4 + 4 * (size_t)shape.ndim, false) &&
              write_elements(&writer, gzip, data, reel_dtype_size(dtype), reel_numel(x));
    ok = reel_writer_close(&writer, ok) && ok;
    if (gzip) deflateEnd(gzip);
    return ok;
}
