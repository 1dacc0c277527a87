// SPDX-License-Identifier: MIT
// NumPy's .npy files, and the arrays inside .npz archives: a magic text, a header that is a Python dictionary,
// elements.
#include <inttypes.h>
#include <reel/core/encoding.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/npy_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a header says. */
typedef struct npy_header {
    reel_encoding encoding;
    bool big_endian, fortran_order;
    reel_shape shape;
    size_t data_at;
} npy_header;

static bool bad(reel_ctx *ctx, const char *path, const char *what)
{
    return reel_fail(ctx, REEL_ERROR_IO, "%s: the .npy header is wrong: %s", path, what);
}

static const char *skip(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n') at++;
    return at;
}

/* The value behind 'key': in the dictionary, or NULL. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[2][24];
    snprintf(quoted[0], sizeof quoted[0], "'%s'", key);
    snprintf(quoted[1], sizeof quoted[1], "\"%s\"", key);
    const char *at = strstr(header, quoted[0]);
    if (!at) at = strstr(header, quoted[1]);
    if (!at) return NULL;
    at = skip(at + strlen(quoted[0]));
    return *at == ':' ? skip(at + 1) : NULL;
}

static bool parse_descr(reel_ctx *ctx, const char *path, const char *at, npy_header *header)
{
    static const struct {
        char code[3];
        reel_encoding encoding;
    } codes[] = { { "f8", REEL_ENC_F64 }, { "f4", REEL_ENC_F32 }, { "f2", REEL_ENC_F16 }, { "i8", REEL_ENC_I64 },
                  { "i4", REEL_ENC_I32 }, { "i2", REEL_ENC_I16 }, { "i1", REEL_ENC_I8 },  { "u8", REEL_ENC_U64 },
                  { "u4", REEL_ENC_U32 }, { "u2", REEL_ENC_U16 }, { "u1", REEL_ENC_U8 },  { "b1", REEL_ENC_BOOL } };
    if (!at) return bad(ctx, path, "it has no 'descr'");
    bool quoted = *at == '\'' || *at == '"';
    size_t length = quoted ? strcspn(at + 1, "'\"") : strcspn(at, ",}");
    const char *text = at + quoted;
    if (quoted && length == 3 && strchr("<>|=", text[0])) {
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
            if (memcmp(text + 1, codes[i].code, 2) != 0) continue;
            header->encoding = codes[i].encoding;
            header->big_endian = text[0] == '>' || (text[0] == '=' && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
            return true;
        }
    }
    return reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "%s: elements of type %.*s cannot be read", path,
                     (int)(length < 60 ? length : 60), text);
}

static bool parse_shape(reel_ctx *ctx, const char *path, const char *at, npy_header *header)
{
    if (!at || *at != '(') return bad(ctx, path, "it has no tuple 'shape'");
    at = skip(at + 1);
    while (*at != ')') {
        char *end;
        unsigned long long size = strtoull(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || size > INT64_MAX)
            return bad(ctx, path, "a size in 'shape' is no count");
        if (header->shape.ndim == REEL_MAX_DIMS) {
            return reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "%s: has more than %d axes", path, REEL_MAX_DIMS);
        }
        header->shape.dim[header->shape.ndim++] = (int64_t)size;
        at = skip(end + (*end == 'L'));
        if (*at == ',')
            at = skip(at + 1);
        else if (*at != ')')
            return bad(ctx, path, "'shape' does not end");
    }
    if (reel_shape_numel(header->shape) < 0) return bad(ctx, path, "'shape' is larger than any memory");
    return true;
}

static bool parse_header(reel_ctx *ctx, const char *path, const unsigned char *bytes, size_t size, npy_header *header)
{
    *header = (npy_header) { 0 };
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: is no .npy file: its first bytes are others", path);
    }
    int version = bytes[6];
    size_t at = version == 1 ? 10 : 12;
    if (version < 1 || version > 3) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: has format version %d, and 1 to 3 are known", path, version);
    }
    if (size < at) return bad(ctx, path, "it is truncated");
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (version > 1) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - at) return bad(ctx, path, "it is truncated");
    char *text = reel_host_alloc(ctx, length + 1, 1);
    if (!text) return false;
    memcpy(text, bytes + at, length);
    text[length] = '\0';
    const char *order = value_of(text, "fortran_order");
    bool ok = parse_descr(ctx, path, value_of(text, "descr"), header) &&
              parse_shape(ctx, path, value_of(text, "shape"), header);
    if (ok && (!order || (strncmp(order, "True", 4) != 0 && strncmp(order, "False", 5) != 0))) {
        ok = bad(ctx, path, "it has no 'fortran_order'");
    }
    header->fortran_order = ok && order[0] == 'T';
    header->data_at = at + length;
    free(text);
    return ok;
}

/* Elements of column order (first axis fastest) in row order. */
static void to_row_order(const char *from, char *to, size_t size, reel_shape shape)
{
    int64_t n = reel_shape_numel(shape), index[REEL_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        int64_t place = 0, stride = 1;
        for (int d = 0; d < shape.ndim; d++) {
            place += index[d] * stride;
            stride *= shape.dim[d];
        }
        memcpy(to + (size_t)i * size, from + (size_t)place * size, size);
        for (int d = shape.ndim; d-- > 0 && ++index[d] == shape.dim[d];) index[d] = 0;
    }
}

reel_tensor *reel_npy_parse(reel_ctx *ctx, const char *path, const unsigned char *bytes, size_t size)
{
    npy_header header;
    if (!parse_header(ctx, path, bytes, size, &header)) return NULL;
    int64_t n = reel_shape_numel(header.shape);
    size_t element = reel_encoding_size(header.encoding), have = size - header.data_at;
    if ((size_t)n * element != have) {
        char text[REEL_SHAPE_TEXT];
        return reel_fail(ctx, REEL_ERROR_IO, "%s: its header says %s, %zu bytes, and %zu follow", path,
                         reel_shape_format(header.shape, text), (size_t)n * element, have);
    }
    reel_dtype dtype = reel_encoding_dtype(header.encoding);
    char *data = reel_host_alloc(ctx, (size_t)n, reel_dtype_size(dtype)), *turned = NULL;
    reel_tensor *x = NULL;
    if (!data) return NULL;
    if (have) memcpy(reel_encoded_at(header.encoding, data, n), bytes + header.data_at, have);
    if (!reel_decode(header.encoding, header.big_endian, data, n)) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: holds numbers past the largest int64", path);
    } else if (!header.fortran_order || header.shape.ndim < 2) {
        x = reel_from(ctx, header.shape, dtype, data);
    } else if ((turned = reel_host_alloc(ctx, (size_t)n, reel_dtype_size(dtype))) != NULL) {
        to_row_order(data, turned, reel_dtype_size(dtype), header.shape);
        x = reel_from(ctx, header.shape, dtype, turned);
    }
    free(turned);
    free(data);
    return x;
}

reel_tensor *reel_npy_read(reel_ctx *ctx, const char *path)
{
    if (reel_ctx_error(ctx)) return NULL;
    size_t size;
    char *bytes = reel_file_read(ctx, path, &size);
    reel_tensor *x = bytes ? reel_npy_parse(ctx, path, (const unsigned char *)bytes, size) : NULL;
    free(bytes);
    return x;
}

size_t reel_npy_header(reel_tensor *x, unsigned char header[REEL_NPY_HEADER])
{
    static const char *const codes[REEL_DTYPE_COUNT] = {
        [REEL_F32] = "f4", [REEL_F64] = "f8", [REEL_I64] = "i8", [REEL_I32] = "i4", [REEL_U8] = "u1", [REEL_BOOL] = "b1"
    };
    reel_dtype dtype = reel_dtype_of(x);
    reel_shape shape = reel_shape_of(x);
    char order = reel_dtype_size(dtype) == 1 ? '|' : __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? '>' : '<';
    char text[REEL_NPY_HEADER];
    int at = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", order, codes[dtype]);
    for (int i = 0; i < shape.ndim; i++) {
        at += snprintf(text + at, sizeof text - (size_t)at, "%" PRId64 "%s", shape.dim[i],
                       i + 1 < shape.ndim ? ", "
                       : shape.ndim == 1  ? ","
                                          : "");
    }
    at += snprintf(text + at, sizeof text - (size_t)at, "), }");
    size_t length = ((size_t)at + 1 + 10 + 63) / 64 * 64 - 10; /* the elements begin at a multiple of 64 */
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (unsigned char)length;
    header[9] = (unsigned char)(length >> 8);
    memset(header + 10, ' ', length);
    memcpy(header + 10, text, (size_t)at);
    header[10 + length - 1] = '\n';
    return 10 + length;
}

bool reel_npy_write(reel_ctx *ctx, const char *path, reel_tensor *x)
{
    if (!x) reel_fail(ctx, REEL_ERROR_CONTEXT, "npy_write: the tensor is missing (NULL)");
    if (!x || reel_ctx_error(ctx)) return false;
    unsigned char header[REEL_NPY_HEADER];
    size_t length = reel_npy_header(x, header), bytes = (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x));
    const void *data = bytes ? reel_data(x) : "";
    if (!data) return false;
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, path) && reel_writer_put(&writer, header, length) &&
              reel_writer_put(&writer, data, bytes);
    return reel_writer_close(&writer, ok) && ok;
}
