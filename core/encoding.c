// SPDX-License-Identifier: MIT
// Element encodings that files have and tensors have not, widened to the dtypes tensors have.
#include <math.h>
#include <reel/core/encoding.h>
#include <string.h>

#define HOST_IS_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

static const struct {
    uint8_t size;
    reel_dtype dtype;
} encodings[REEL_ENC_COUNT] = {
    [REEL_ENC_F64] = { 8, REEL_F64 },  [REEL_ENC_F32] = { 4, REEL_F32 },     [REEL_ENC_F16] = { 2, REEL_F32 },
    [REEL_ENC_BF16] = { 2, REEL_F32 }, [REEL_ENC_F8_E4M3] = { 1, REEL_F32 }, [REEL_ENC_F8_E5M2] = { 1, REEL_F32 },
    [REEL_ENC_I64] = { 8, REEL_I64 },  [REEL_ENC_I32] = { 4, REEL_I32 },     [REEL_ENC_I16] = { 2, REEL_I32 },
    [REEL_ENC_I8] = { 1, REEL_I32 },   [REEL_ENC_U64] = { 8, REEL_I64 },     [REEL_ENC_U32] = { 4, REEL_I64 },
    [REEL_ENC_U16] = { 2, REEL_I32 },  [REEL_ENC_U8] = { 1, REEL_U8 },       [REEL_ENC_BOOL] = { 1, REEL_BOOL },
};

size_t reel_encoding_size(reel_encoding encoding) { return encodings[encoding].size; }

reel_dtype reel_encoding_dtype(reel_encoding encoding) { return encodings[encoding].dtype; }

void *reel_encoded_at(reel_encoding encoding, void *decoded, int64_t n)
{
    size_t widened = reel_dtype_size(encodings[encoding].dtype) - encodings[encoding].size;
    return (char *)decoded + (size_t)n * widened;
}

void reel_swap_bytes(void *data, size_t size, int64_t n)
{
    unsigned char *at = data;
    for (int64_t i = 0; i < n; i++, at += size) {
        for (size_t low = 0, high = size - 1; low < high; low++, high--) {
            unsigned char byte = at[low];
            at[low] = at[high];
            at[high] = byte;
        }
    }
}

/* A float of `exponent` and `mantissa` bits below its sign: exact in a float. */
static float small_float(uint32_t bits, int exponent, int mantissa, bool has_infinity)
{
    uint32_t fraction = bits & ((1u << mantissa) - 1), field = bits >> mantissa & ((1u << exponent) - 1);
    int bias = (1 << (exponent - 1)) - 1;
    uint32_t top = (1u << exponent) - 1;
    float value;
    if (has_infinity && field == top) {
        value = fraction ? NAN : INFINITY;
    } else if (!has_infinity && field == top && fraction == (1u << mantissa) - 1) {
        value = NAN;
    } else if (field == 0) {
        value = ldexpf((float)fraction, 1 - bias - mantissa);
    } else {
        value = ldexpf((float)(fraction | 1u << mantissa), (int)field - bias - mantissa);
    }
    return bits >> (exponent + mantissa) & 1 ? -value : value;
}

static float bfloat(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* The raw element is read before its place is written: walking forward, writing never passes reading. */
#define WIDEN(raw_type, type, expression)                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        raw_type raw;                                                                                                  \
        memcpy(&raw, (const char *)from + (size_t)i * sizeof raw, sizeof raw);                                         \
        type wide = (expression);                                                                                      \
        memcpy((char *)decoded + (size_t)i * sizeof wide, &wide, sizeof wide);                                         \
    }                                                                                                                  \
    break

bool reel_decode(reel_encoding encoding, bool big_endian, void *decoded, int64_t n)
{
    void *from = reel_encoded_at(encoding, decoded, n);
    if (big_endian != HOST_IS_BIG_ENDIAN) reel_swap_bytes(from, encodings[encoding].size, n);
    bool fits = true;
    switch (encoding) {
    case REEL_ENC_F16: WIDEN(uint16_t, float, small_float(raw, 5, 10, true));
    case REEL_ENC_BF16: WIDEN(uint16_t, float, bfloat(raw));
    case REEL_ENC_F8_E4M3: WIDEN(uint8_t, float, small_float(raw, 4, 3, false));
    case REEL_ENC_F8_E5M2: WIDEN(uint8_t, float, small_float(raw, 5, 2, true));
    case REEL_ENC_I16: WIDEN(int16_t, int32_t, raw);
    case REEL_ENC_I8: WIDEN(int8_t, int32_t, raw);
    case REEL_ENC_U16: WIDEN(uint16_t, int32_t, raw);
    case REEL_ENC_U32: WIDEN(uint32_t, int64_t, raw);
    case REEL_ENC_U64: WIDEN(uint64_t, int64_t, (fits = fits && raw <= INT64_MAX, (int64_t)(raw & INT64_MAX)));
    case REEL_ENC_BOOL: WIDEN(uint8_t, uint8_t, raw != 0);
    default: break;
    }
    return fits;
}
#undef WIDEN
