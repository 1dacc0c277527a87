// SPDX-License-Identifier: MIT
// NumPy's .npz archives: zip files of .npy files, stored or deflated (PKWARE APPNOTE 6.3, with zip64).
#include <inttypes.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/core/npy_internal.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define LOCATOR64_BYTES 20
#define END64_BYTES 56
#define COMMENT_LIMIT 65535
#define WIDE UINT32_MAX /* a 32-bit field whose value stands in the zip64 extra field */

typedef struct zip_entry {
    char *name; /* without ".npy" */
    int method;
    uint32_t crc;
    uint64_t packed, size, local_at;
} zip_entry;

struct reel_npz {
    reel_reader reader;
    int count;
    zip_entry *entries;
};

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static bool bad(const reel_npz *file, const char *what)
{
    return reel_fail(file->reader.ctx, REEL_ERROR_IO, "%s: is truncated or no .npz archive: %s", file->reader.path,
                     what);
}

/* Where the central directory lies and how many entries it has. */
typedef struct directory {
    uint64_t count, bytes, at;
} directory;

/* The end record stands behind everything but a comment of unknown length. */
static bool find_directory(const reel_npz *file, directory *found)
{
    int64_t size = file->reader.size, span = size < END_BYTES + COMMENT_LIMIT ? size : END_BYTES + COMMENT_LIMIT;
    if (size < END_BYTES) return bad(file, "it is too short");
    unsigned char *tail = reel_host_alloc(file->reader.ctx, (size_t)span, 1);
    if (!tail) return false;
    bool ok = reel_reader_at(&file->reader, size - span, tail, (size_t)span);
    int64_t at = span - END_BYTES;
    while (ok && at >= 0 && memcmp(tail + at, "PK\5\6", 4) != 0) at--;
    if (ok && at < 0) ok = bad(file, "it has no directory");
    if (ok) *found = (directory) { number(tail + at + 10, 2), number(tail + at + 12, 4), number(tail + at + 16, 4) };
    free(tail);
    if (!ok) return false;
    if (found->count != UINT16_MAX && found->bytes != WIDE && found->at != WIDE) return true;
    unsigned char locator[LOCATOR64_BYTES], end[END64_BYTES];
    int64_t locator_at = size - span + at - LOCATOR64_BYTES;
    if (locator_at < 0) return true; /* as large as it can be without zip64 */
    if (!reel_reader_at(&file->reader, locator_at, locator, sizeof locator)) return false;
    if (memcmp(locator, "PK\6\7", 4) != 0) return true;
    uint64_t end_at = number(locator + 8, 8);
    if (size < END64_BYTES || end_at > (uint64_t)size - END64_BYTES)
        return bad(file, "its zip64 directory lies outside");
    if (!reel_reader_at(&file->reader, (int64_t)end_at, end, sizeof end)) return false;
    if (memcmp(end, "PK\6\6", 4) != 0) return bad(file, "its zip64 directory is another thing");
    *found = (directory) { number(end + 32, 8), number(end + 40, 8), number(end + 48, 8) };
    return true;
}

/* Fields of 32 bits that overflowed stand in the extra field 1, in this order. */
static bool widen(const reel_npz *file, const unsigned char *extra, size_t bytes, zip_entry *entry)
{
    uint64_t *const fields[] = { &entry->size, &entry->packed, &entry->local_at };
    if (entry->size != WIDE && entry->packed != WIDE && entry->local_at != WIDE) return true;
    for (size_t at = 0; at + 4 <= bytes;) {
        size_t length = (size_t)number(extra + at + 2, 2), place = at + 4, end = at + 4 + length;
        if (end > bytes) break;
        if (number(extra + at, 2) == 1) {
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != WIDE) continue;
                if (place + 8 > end) return bad(file, "an entry's zip64 sizes are missing");
                *fields[i] = number(extra + place, 8);
                place += 8;
            }
            return true;
        }
        at = end;
    }
    return true;
}

/* One entry of the directory at `at`; moves it on. */
static bool parse_entry(reel_npz *file, const unsigned char *bytes, size_t size, size_t *at)
{
    reel_ctx *ctx = file->reader.ctx;
    if (size - *at < CENTRAL_BYTES || memcmp(bytes + *at, "PK\1\2", 4) != 0)
        return bad(file, "its directory is damaged");
    const unsigned char *head = bytes + *at;
    size_t name = (size_t)number(head + 28, 2), extra = (size_t)number(head + 30, 2),
           comment = (size_t)number(head + 32, 2);
    if (name + extra + comment > size - *at - CENTRAL_BYTES) return bad(file, "its directory is damaged");
    zip_entry *entry = &file->entries[file->count];
    *entry = (zip_entry) { .method = (int)number(head + 10, 2),
                           .crc = (uint32_t)number(head + 16, 4),
                           .packed = number(head + 20, 4),
                           .size = number(head + 24, 4),
                           .local_at = number(head + 42, 4) };
    if (!widen(file, head + CENTRAL_BYTES + name, extra, entry)) return false;
    if (number(head + 8, 2) & 1) return bad(file, "an entry is encrypted");
    if (entry->packed > (uint64_t)file->reader.size || entry->local_at > (uint64_t)file->reader.size - entry->packed) {
        return bad(file, "an entry lies outside");
    }
    entry->name = reel_host_alloc(ctx, name + 1, 1);
    if (!entry->name) return false;
    memcpy(entry->name, head + CENTRAL_BYTES, name);
    entry->name[name] = '\0';
    if (name > 4 && strcmp(entry->name + name - 4, ".npy") == 0) entry->name[name - 4] = '\0';
    file->count++;
    *at += CENTRAL_BYTES + name + extra + comment;
    return true;
}

static bool read_directory(reel_npz *file)
{
    directory found = { 0 };
    if (!find_directory(file, &found)) return false;
    if (found.bytes > (uint64_t)file->reader.size || found.at > (uint64_t)file->reader.size - found.bytes ||
        found.count > found.bytes / CENTRAL_BYTES || found.count > INT32_MAX) {
        return bad(file, "its directory lies outside");
    }
    unsigned char *bytes = reel_host_alloc(file->reader.ctx, (size_t)found.bytes, 1);
    file->entries = reel_host_alloc(file->reader.ctx, (size_t)found.count, sizeof *file->entries);
    bool ok = bytes && file->entries && reel_reader_at(&file->reader, (int64_t)found.at, bytes, (size_t)found.bytes);
    size_t at = 0;
    for (uint64_t i = 0; ok && i < found.count; i++) ok = parse_entry(file, bytes, (size_t)found.bytes, &at);
    free(bytes);
    return ok;
}

reel_npz *reel_npz_open(reel_ctx *ctx, const char *path)
{
    if (reel_ctx_error(ctx)) return NULL;
    reel_npz *file = calloc(1, sizeof *file);
    if (!file) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to open %s", path ? path : "a file");
    if (reel_reader_open(&file->reader, ctx, path) && read_directory(file)) return file;
    reel_npz_close(file);
    return NULL;
}

void reel_npz_close(reel_npz *file)
{
    if (!file) return;
    for (int i = 0; i < file->count; i++) free(file->entries[i].name);
    free(file->entries);
    reel_reader_close(&file->reader);
    free(file);
}

int reel_npz_count(const reel_npz *file) { return file ? file->count : 0; }

const char *reel_npz_name(const reel_npz *file, int i)
{
    return file && i >= 0 && i < file->count ? file->entries[i].name : NULL;
}

/* The whole of one deflated stream, or false. */
static bool unpack(const unsigned char *packed, size_t packed_bytes, unsigned char *to, size_t bytes)
{
    z_stream stream = { 0 };
    if (inflateInit2(&stream, -15) != Z_OK) return false;
    int status = Z_OK;
    size_t in = 0, out = 0;
    unsigned char nowhere;
    while (status == Z_OK) {
        size_t give = packed_bytes - in < (1u << 30) ? packed_bytes - in : (1u << 30);
        size_t room = bytes - out < (1u << 30) ? bytes - out : (1u << 30);
        stream.next_in = (unsigned char *)(uintptr_t)packed + in;
        stream.avail_in = (uInt)give;
        stream.next_out = room ? to + out : &nowhere;
        stream.avail_out = (uInt)(room ? room : 1);
        status = inflate(&stream, Z_NO_FLUSH);
        in += give - stream.avail_in;
        if (room)
            out += room - stream.avail_out;
        else if (stream.avail_out == 0)
            status = Z_DATA_ERROR; /* more than was said */
    }
    inflateEnd(&stream);
    return status == Z_STREAM_END && in == packed_bytes && out == bytes;
}

static bool checksum_fits(const zip_entry *entry, const unsigned char *bytes)
{
    uLong sum = crc32(0, NULL, 0);
    for (size_t at = 0; at < entry->size;) {
        size_t piece = entry->size - at < (1u << 30) ? (size_t)entry->size - at : (1u << 30);
        sum = crc32(sum, bytes + at, (uInt)piece);
        at += piece;
    }
    return sum == entry->crc;
}

/* The bytes of an entry, to be freed; NULL on error. */
static unsigned char *read_entry(const reel_npz *file, const zip_entry *entry)
{
    const reel_reader *reader = &file->reader;
    unsigned char local[LOCAL_BYTES];
    if ((uint64_t)reader->size - entry->local_at < LOCAL_BYTES) return bad(file, "an entry lies outside"), NULL;
    if (!reel_reader_at(reader, (int64_t)entry->local_at, local, sizeof local)) return NULL;
    uint64_t at = entry->local_at + LOCAL_BYTES + number(local + 26, 2) + number(local + 28, 2);
    if (memcmp(local, "PK\3\4", 4) != 0 || at > (uint64_t)reader->size - entry->packed) {
        return bad(file, "an entry lies outside"), NULL;
    }
    bool stored = entry->method == 0;
    /* Deflate shrinks by 1,032 at most: an entry that promises more than that costs no memory. */
    if ((!stored && entry->method != 8) || (stored && entry->packed != entry->size) ||
        entry->size / 1100 > entry->packed) {
        return reel_fail(reader->ctx, REEL_ERROR_IO, "%s: \"%s\" is packed in a way that cannot be read (method %d)",
                         reader->path, entry->name, entry->method);
    }
    unsigned char *packed = reel_host_alloc(reader->ctx, (size_t)entry->packed, 1), *bytes = packed;
    bool ok = packed && reel_reader_at(reader, (int64_t)at, packed, (size_t)entry->packed);
    if (ok && !stored) {
        bytes = reel_host_alloc(reader->ctx, (size_t)entry->size, 1);
        ok = bytes != NULL;
        if (ok && !unpack(packed, (size_t)entry->packed, bytes, (size_t)entry->size)) {
            ok = reel_fail(reader->ctx, REEL_ERROR_IO, "%s: the deflated \"%s\" is corrupt", reader->path, entry->name);
        }
        free(packed);
    }
    if (ok && !checksum_fits(entry, bytes)) {
        ok = reel_fail(reader->ctx, REEL_ERROR_IO, "%s: \"%s\" is corrupt: its checksum is another", reader->path,
                       entry->name);
    }
    if (ok) return bytes;
    free(bytes);
    return NULL;
}

reel_tensor *reel_npz_tensor(reel_npz *file, int i)
{
    if (!file || reel_ctx_error(file->reader.ctx)) return NULL;
    reel_ctx *ctx = file->reader.ctx;
    if (i < 0 || i >= file->count) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: has %d arrays and none at %d", file->reader.path, file->count, i);
    }
    const zip_entry *entry = &file->entries[i];
    unsigned char *bytes = read_entry(file, entry);
    if (!bytes) return NULL;
    size_t length = strlen(file->reader.path) + strlen(entry->name) + 2;
    char *name = reel_host_alloc(ctx, length, 1);
    reel_tensor *x = NULL;
    if (name) {
        snprintf(name, length, "%s/%s", file->reader.path, entry->name);
        x = reel_npy_parse(ctx, name, bytes, (size_t)entry->size);
    }
    free(name);
    free(bytes);
    return x;
}

reel_tensor *reel_npz_read(reel_npz *file, const char *name)
{
    if (!file || reel_ctx_error(file->reader.ctx)) return NULL;
    if (!reel_given(file->reader.ctx, "npz_read", "name", name)) return NULL;
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0) return reel_npz_tensor(file, i);
    return reel_fail(file->reader.ctx, REEL_ERROR_IO, "%s: has no array \"%s\"", file->reader.path, name);
}

/* Writing */

static void put_number(unsigned char *at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> (8 * i));
}

/* The header of one array and its elements, as one run of bytes in two pieces. */
typedef struct zip_content {
    unsigned char header[REEL_NPY_HEADER];
    size_t header_bytes;
    const unsigned char *data;
    size_t bytes;
} zip_content;

static bool open_content(reel_tensor *x, zip_content *content, zip_entry *entry)
{
    content->header_bytes = reel_npy_header(x, content->header);
    content->bytes = (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x));
    content->data = content->bytes ? reel_data(x) : content->header;
    if (!content->data) return false;
    entry->size = content->header_bytes + content->bytes;
    uLong sum = crc32(crc32(0, NULL, 0), content->header, (uInt)content->header_bytes);
    for (size_t at = 0; at < content->bytes;) {
        size_t piece = content->bytes - at < (1u << 30) ? content->bytes - at : (1u << 30);
        sum = crc32(sum, content->data + at, (uInt)piece);
        at += piece;
    }
    entry->crc = (uint32_t)sum;
    return true;
}

/* Deflates `bytes` and either counts what comes out or hands it to the writer (when there is one). */
static bool pack(z_stream *stream, reel_writer *writer, const unsigned char *data, size_t bytes, bool last,
                 uint64_t *out)
{
    unsigned char piece[16384];
    do {
        size_t give = bytes < (1u << 30) ? bytes : (1u << 30);
        stream->next_in = (unsigned char *)(uintptr_t)data;
        stream->avail_in = (uInt)give;
        data += give;
        bytes -= give;
        do {
            stream->next_out = piece;
            stream->avail_out = sizeof piece;
            if (deflate(stream, last && bytes == 0 ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) return false;
            size_t made = sizeof piece - stream->avail_out;
            *out += made;
            if (writer && !reel_writer_put(writer, piece, made)) return false;
        } while (stream->avail_out == 0);
    } while (bytes > 0);
    return true;
}

/* Sizes stand before the data, so a deflated entry is packed twice: once to count. */
static bool write_packed(reel_ctx *ctx, reel_writer *writer, const zip_content *content, uint64_t *packed)
{
    z_stream stream = { 0 };
    *packed = 0;
    if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to compress an array");
    }
    bool ok = pack(&stream, writer, content->header, content->header_bytes, false, packed) &&
              pack(&stream, writer, content->data, content->bytes, true, packed);
    deflateEnd(&stream);
    return ok;
}

/* Every entry has its sizes in a zip64 field, as NumPy writes them. */
static bool write_entry(reel_writer *writer, const char *name, reel_tensor *x, bool compress, zip_entry *entry)
{
    zip_content content;
    if (!open_content(x, &content, entry)) return false;
    entry->local_at = (uint64_t)writer->written;
    entry->method = compress ? 8 : 0;
    entry->packed = entry->size;
    if (compress && !write_packed(writer->ctx, NULL, &content, &entry->packed)) return false;
    unsigned char local[LOCAL_BYTES] = "PK\3\4", extra[20] = { 1, 0, 16, 0 };
    size_t length = strlen(name);
    put_number(local + 4, 2, 45);
    put_number(local + 6, 2, 0x800); /* UTF-8 names */
    put_number(local + 8, 2, (uint64_t)entry->method);
    put_number(local + 12, 2, 0x21); /* 1980-01-01: the same bytes whenever written */
    put_number(local + 14, 4, entry->crc);
    put_number(local + 18, 4, WIDE);
    put_number(local + 22, 4, WIDE);
    put_number(local + 26, 2, length + 4);
    put_number(local + 28, 2, sizeof extra);
    put_number(extra + 4, 8, entry->size);
    put_number(extra + 12, 8, entry->packed);
    if (!reel_writer_put(writer, local, sizeof local) || !reel_writer_put(writer, name, length) ||
        !reel_writer_put(writer, ".npy", 4) || !reel_writer_put(writer, extra, sizeof extra)) {
        return false;
    }
    if (compress) return write_packed(writer->ctx, writer, &content, &entry->packed);
    return reel_writer_put(writer, content.header, content.header_bytes) &&
           reel_writer_put(writer, content.data, content.bytes);
}

static bool write_central(reel_writer *writer, const char *name, const zip_entry *entry)
{
    unsigned char central[CENTRAL_BYTES] = "PK\1\2", extra[28] = { 1, 0, 24, 0 };
    size_t length = strlen(name);
    put_number(central + 4, 2, 45);
    put_number(central + 6, 2, 45);
    put_number(central + 8, 2, 0x800);
    put_number(central + 10, 2, (uint64_t)entry->method);
    put_number(central + 14, 2, 0x21);
    put_number(central + 16, 4, entry->crc);
    put_number(central + 20, 4, WIDE);
    put_number(central + 24, 4, WIDE);
    put_number(central + 28, 2, length + 4);
    put_number(central + 30, 2, sizeof extra);
    put_number(central + 42, 4, WIDE);
    put_number(extra + 4, 8, entry->size);
    put_number(extra + 12, 8, entry->packed);
    put_number(extra + 20, 8, entry->local_at);
    return reel_writer_put(writer, central, sizeof central) && reel_writer_put(writer, name, length) &&
           reel_writer_put(writer, ".npy", 4) && reel_writer_put(writer, extra, sizeof extra);
}

static bool write_end(reel_writer *writer, uint64_t count, uint64_t at)
{
    unsigned char end64[END64_BYTES] = "PK\6\6", locator[LOCATOR64_BYTES] = "PK\6\7", end[END_BYTES] = "PK\5\6";
    uint64_t bytes = (uint64_t)writer->written - at, end_at = (uint64_t)writer->written;
    put_number(end64 + 4, 8, END64_BYTES - 12);
    put_number(end64 + 12, 2, 45);
    put_number(end64 + 14, 2, 45);
    put_number(end64 + 24, 8, count);
    put_number(end64 + 32, 8, count);
    put_number(end64 + 40, 8, bytes);
    put_number(end64 + 48, 8, at);
    put_number(locator + 8, 8, end_at);
    put_number(locator + 16, 4, 1);
    bool small = count < UINT16_MAX && bytes < WIDE && at < WIDE;
    put_number(end + 8, 2, count < UINT16_MAX ? count : UINT16_MAX);
    put_number(end + 10, 2, count < UINT16_MAX ? count : UINT16_MAX);
    put_number(end + 12, 4, bytes < WIDE ? bytes : WIDE);
    put_number(end + 16, 4, at < WIDE ? at : WIDE);
    return (small ||
            (reel_writer_put(writer, end64, sizeof end64) && reel_writer_put(writer, locator, sizeof locator))) &&
           reel_writer_put(writer, end, sizeof end);
}

static bool check_names(reel_ctx *ctx, const char *path, const reel_named *arrays, int count)
{
    for (int i = 0; i < count; i++) {
        if (!arrays[i].name || !arrays[i].tensor) {
            return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: array %d to be written has no %s", path, i,
                             arrays[i].name ? "value" : "name");
        }
        if (strlen(arrays[i].name) > UINT16_MAX - 4)
            return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a name is too long", path);
        for (int j = 0; j < i; j++) {
            if (strcmp(arrays[i].name, arrays[j].name) == 0) {
                return reel_fail(ctx, REEL_ERROR_VALUE, "%s: cannot hold two arrays named \"%s\"", path,
                                 arrays[i].name);
            }
        }
    }
    return true;
}

bool reel_npz_write(reel_ctx *ctx, const char *path, const reel_named *arrays, int count, bool compress)
{
    if (reel_ctx_error(ctx) || !reel_given_list(ctx, "npz_write", "arrays", arrays, count)) return false;
    if (!check_names(ctx, path, arrays, count)) return false;
    zip_entry *entries = calloc(count > 0 ? (size_t)count : 1, sizeof *entries);
    if (!entries) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to write %s", path);
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, path);
    for (int i = 0; ok && i < count; i++)
        ok = write_entry(&writer, arrays[i].name, arrays[i].tensor, compress, &entries[i]);
    uint64_t directory_at = (uint64_t)writer.written;
    for (int i = 0; ok && i < count; i++) ok = write_central(&writer, arrays[i].name, &entries[i]);
    ok = ok && write_end(&writer, (uint64_t)(count > 0 ? count : 0), directory_at);
    ok = reel_writer_close(&writer, ok) && ok;
    free(entries);
    return ok;
}
