// SPDX-License-Identifier: MIT
// Element encodings that files have and tensors have not, widened to the dtypes tensors have. Private.
#ifndef REEL_CORE_ENCODING_H
#define REEL_CORE_ENCODING_H

#include <reel/core/dtype.h>

typedef enum reel_encoding {
    REEL_ENC_F64,
    REEL_ENC_F32,
    REEL_ENC_F16,
    REEL_ENC_BF16,
    REEL_ENC_F8_E4M3,
    REEL_ENC_F8_E5M2,
    REEL_ENC_I64,
    REEL_ENC_I32,
    REEL_ENC_I16,
    REEL_ENC_I8,
    REEL_ENC_U64,
    REEL_ENC_U32,
    REEL_ENC_U16,
    REEL_ENC_U8,
    REEL_ENC_BOOL
} reel_encoding;
#define REEL_ENC_COUNT 15

size_t reel_encoding_size(reel_encoding encoding);
reel_dtype reel_encoding_dtype(reel_encoding encoding);

/* Where the raw bytes must lie for reel_decode: at the end of the `n` decoded elements' memory. */
void *reel_encoded_at(reel_encoding encoding, void *decoded, int64_t n);

/* Decodes in place. False when a number does not fit (a uint64 past INT64_MAX). */
bool reel_decode(reel_encoding encoding, bool big_endian, void *decoded, int64_t n);

/* Turns n elements of `size` bytes around; encoding for a big-endian file is decoding. */
void reel_swap_bytes(void *data, size_t size, int64_t n);

#endif
