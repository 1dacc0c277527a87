// SPDX-License-Identifier: MIT
// IDX, NumPy's formats and PNG, both ways, and what happens when they are wrong.
#include "fixture.h"

#include <math.h>
#include <reel/core/png.h>
#include <sys/stat.h>
#include <zlib.h>

/* IDX */

static const unsigned char small_idx[] = { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6 };

Test(idx, reads_plain_and_compressed_files, .init = set_up, .fini = tear_down)
{
    const char *plain = write_bytes("small", small_idx, sizeof small_idx), *packed = in_folder("packed");
    gzFile gzip = gzopen(packed, "wb");
    cr_assert(gzwrite(gzip, small_idx, sizeof small_idx) == (int)sizeof small_idx && gzclose(gzip) == Z_OK);
    const char *paths[] = { plain, packed };
    for (int k = 0; k < 2; k++) {
        reel_tensor *x = reel_idx_read(ctx, paths[k]);
        cr_assert(x, "%s", reel_ctx_error_message(ctx));
        cr_assert_eq(reel_dtype_of(x), REEL_U8);
        cr_assert(reel_shape_equal(reel_shape_of(x), REEL_SHAPE(2, 3)));
        cr_assert_eq(memcmp(reel_data(x), small_idx + 12, 6), 0);
    }
}

Test(idx, reads_every_type_in_big_endian_order, .init = set_up, .fini = tear_down)
{
    static const struct {
        unsigned char bytes[20];
        size_t size;
        reel_dtype dtype;
        double first, second;
    } cases[] = {
        { { 0, 0, 0x09, 1, 0, 0, 0, 2, 0xff, 0x7f }, 10, REEL_I32, -1, 127 },
        { { 0, 0, 0x0B, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x01, 0x00 }, 12, REEL_I32, -2, 256 },
        { { 0, 0, 0x0C, 1, 0, 0, 0, 2, 0x80, 0, 0, 0, 0, 1, 0, 0 }, 16, REEL_I32, -2147483648.0, 65536 },
        { { 0, 0, 0x0D, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0 }, 16, REEL_F32, 1, -2 },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        reel_tensor *x = reel_idx_read(ctx, write_bytes("typed", cases[k].bytes, cases[k].size));
        cr_assert(x, "%s", reel_ctx_error_message(ctx));
        cr_assert_eq(reel_dtype_of(x), cases[k].dtype);
        const void *data = reel_data(x);
        cr_assert_eq(cases[k].dtype == REEL_F32 ? ((const float *)data)[0] : ((const int32_t *)data)[0],
                     cases[k].first);
        cr_assert_eq(cases[k].dtype == REEL_F32 ? ((const float *)data)[1] : ((const int32_t *)data)[1],
                     cases[k].second);
    }
}

Test(idx, gives_back_what_was_written, .init = set_up, .fini = tear_down)
{
    static const reel_dtype dtypes[] = { REEL_U8, REEL_I32, REEL_F32, REEL_F64 };
    static const char *const names[] = { "x.idx", "x.idx.gz" };
    unsigned char bytes[8 * 700];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (int k = 0; k < 8; k++) {
        reel_dtype dtype = dtypes[k / 2];
        reel_tensor *x = reel_from(ctx, REEL_SHAPE(7, 20, 5), dtype, bytes);
        cr_assert(reel_idx_write(ctx, in_folder(names[k % 2]), x), "%s", reel_ctx_error_message(ctx));
        reel_tensor *y = reel_idx_read(ctx, in_folder(names[k % 2]));
        cr_assert(y, "%s", reel_ctx_error_message(ctx));
        cr_assert_eq(reel_dtype_of(y), dtype);
        cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(7, 20, 5)));
        cr_assert_eq(memcmp(reel_data(y), bytes, 700 * reel_dtype_size(dtype)), 0);
    }
    unsigned char start[2];
    read_bytes(in_folder("x.idx.gz"), start, 2);
    cr_assert(start[0] == 0x1f && start[1] == 0x8b);
    cr_expect_not(reel_idx_write(ctx, in_folder("x"), reel_zeros(ctx, REEL_SHAPE(1), REEL_I64)));
    expect_file_error(REEL_ERROR_DTYPE, "x", "cannot hold int64");
}

Test(idx, refuses_files_that_are_missing_cut_or_lie, .init = set_up, .fini = tear_down)
{
    unsigned char bytes[64];
    memcpy(bytes, small_idx, sizeof small_idx);
    cr_expect_null(reel_idx_read(ctx, in_folder("absent")));
    expect_file_error(REEL_ERROR_IO, "absent", "No such file");
    cr_expect_null(reel_idx_read(ctx, write_bytes("empty", "", 0)));
    expect_file_error(REEL_ERROR_IO, "empty", "0 bytes are too few");
    cr_expect_null(reel_idx_read(ctx, write_bytes("head", bytes, 7)));
    expect_file_error(REEL_ERROR_IO, "head", "ends within its header");
    cr_expect_null(reel_idx_read(ctx, write_bytes("cut", bytes, sizeof small_idx - 1)));
    expect_file_error(REEL_ERROR_IO, "cut", "says [2, 3], 6 bytes, and 5 follow");
    cr_expect_null(reel_idx_read(ctx, write_bytes("more", bytes, sizeof small_idx + 1)));
    expect_file_error(REEL_ERROR_IO, "more", "says [2, 3], 6 bytes, and more follow");
    bytes[7] = 200;
    cr_expect_null(reel_idx_read(ctx, write_bytes("lie", bytes, sizeof small_idx)));
    expect_file_error(REEL_ERROR_IO, "lie", "says [200, 3], 600 bytes, and 6 follow");
    memset(bytes + 4, 0xff, 8);
    cr_expect_null(reel_idx_read(ctx, write_bytes("vast", bytes, sizeof small_idx)));
    expect_file_error(REEL_ERROR_IO, "vast", "[4294967295, 4294967295]");
    memcpy(bytes, small_idx, sizeof small_idx);
    bytes[0] = 1;
    cr_expect_null(reel_idx_read(ctx, write_bytes("magic", bytes, sizeof small_idx)));
    expect_file_error(REEL_ERROR_IO, "magic", "0x01000802");
    bytes[0] = 0;
    bytes[2] = 0x0A;
    cr_expect_null(reel_idx_read(ctx, write_bytes("type", bytes, sizeof small_idx)));
    expect_file_error(REEL_ERROR_IO, "type", "0x00000a02");
    bytes[2] = 8;
    bytes[3] = 9;
    cr_expect_null(reel_idx_read(ctx, write_bytes("axes", bytes, sizeof small_idx)));
    expect_file_error(REEL_ERROR_IO, "axes", "has 9 axes");
}

Test(idx, refuses_a_corrupt_gzip_stream_wherever_it_is_damaged, .init = set_up, .fini = tear_down)
{
    static unsigned char bytes[200000], raw[20000];
    memcpy(raw, (unsigned char[]) { 0, 0, 8, 1, 0, 0, 0x40, 0 }, 8);
    for (size_t i = 8; i < 8 + 0x4000; i++) raw[i] = (unsigned char)(i * i >> 5);
    gzFile gzip = gzopen(in_folder("whole.gz"), "wb");
    cr_assert(gzwrite(gzip, raw, 8 + 0x4000) == 8 + 0x4000 && gzclose(gzip) == Z_OK);
    cr_assert_not_null(reel_idx_read(ctx, in_folder("whole.gz")));
    size_t size = read_bytes(in_folder("whole.gz"), bytes, sizeof bytes);
    for (size_t cut = 2; cut < size; cut += size / 40) {
        cr_expect_null(reel_idx_read(ctx, write_bytes("cut.gz", bytes, cut)));
        expect_file_error(REEL_ERROR_IO, "cut.gz", "truncated");
    }
    /* Damage to the stream itself or its checksum is found; name and time in its header carry no data. */
    for (size_t at = 24; at < size; at += size / 60) {
        bytes[at] ^= 0x10;
        cr_expect_null(reel_idx_read(ctx, write_bytes("damaged.gz", bytes, size)), "byte %zu of %zu", at, size);
        expect_file_error(REEL_ERROR_IO, "damaged.gz", "");
        bytes[at] ^= 0x10;
    }
    bytes[size - 5] ^= 1; /* of the checksum */
    cr_expect_null(reel_idx_read(ctx, write_bytes("sum.gz", bytes, size)));
    expect_file_error(REEL_ERROR_IO, "sum.gz", "corrupt");
}

/* NumPy */

static reel_tensor *read_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/golden/npy/%s", REEL_TEST_DATA, name);
    return reel_npy_read(ctx, path);
}

Test(npy, reads_what_numpy_wrote, .init = set_up, .fini = tear_down)
{
    static const char *const names[] = { "c_order.npy", "fortran_order.npy", "big_endian.npy", "half.npy",
                                         "bytes.npy" };
    for (int k = 0; k < 5; k++) {
        reel_tensor *x = read_golden(names[k]);
        cr_assert(x, "%s", reel_ctx_error_message(ctx));
        cr_assert(reel_shape_equal(reel_shape_of(x), REEL_SHAPE(2, 3, 4)));
        cr_assert_eq(reel_dtype_of(x), k < 3 ? REEL_F64 : k == 3 ? REEL_F32 : REEL_I32);
        const void *data = reel_data(x);
        for (int i = 0; i < 24; i++) {
            double value = k < 3    ? ((const double *)data)[i]
                           : k == 3 ? ((const float *)data)[i]
                                    : ((const int32_t *)data)[i];
            cr_expect_eq(value, k < 4 ? i / 8.0 : i - 12, "%s[%d] is %g", names[k], i, value);
        }
    }
    cr_expect_eq(reel_item(read_golden("scalar.npy")), 7);
    cr_expect(reel_shape_equal(reel_shape_of(read_golden("empty.npy")), REEL_SHAPE(0, 3)));
    const uint8_t *flags = reel_data(read_golden("bool.npy"));
    cr_expect(flags && flags[0] == 1 && flags[1] == 0 && flags[2] == 1);
    cr_expect_null(read_golden("huge.npy"));
    expect_file_error(REEL_ERROR_IO, "huge.npy", "past the largest int64");
    cr_expect_null(read_golden("complex.npy"));
    expect_file_error(REEL_ERROR_UNSUPPORTED, "complex.npy", "<c16");
}

Test(npy, gives_back_every_dtype_and_shape, .init = set_up, .fini = tear_down)
{
    unsigned char bytes[8 * 12];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i % 2);
    const reel_shape shapes[] = { REEL_SHAPE(12), REEL_SHAPE(3, 4), REEL_SHAPE(1, 2, 1, 3, 1, 2, 1, 1),
                                  REEL_SHAPE(4, 0) };
    for (int dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        for (int k = 0; k < 4; k++) {
            reel_tensor *x = reel_from(ctx, shapes[k], (reel_dtype)dtype, bytes);
            cr_assert(reel_npy_write(ctx, in_folder("x.npy"), x), "%s", reel_ctx_error_message(ctx));
            reel_tensor *y = reel_npy_read(ctx, in_folder("x.npy"));
            cr_assert(y, "%s", reel_ctx_error_message(ctx));
            cr_assert_eq(reel_dtype_of(y), (reel_dtype)dtype);
            cr_assert(reel_shape_equal(reel_shape_of(y), shapes[k]));
            if (k < 3) cr_assert_eq(memcmp(reel_data(y), bytes, 12 * reel_dtype_size((reel_dtype)dtype)), 0);
        }
    }
    cr_assert_not(reel_npy_write(ctx, in_folder("none.npy"), NULL));
    expect_error(REEL_ERROR_CONTEXT, "the tensor is missing");
    cr_assert_not(reel_png_write(ctx, in_folder("none.png"), NULL));
    expect_error(REEL_ERROR_CONTEXT, "the picture is missing");
    cr_assert(reel_npy_write(ctx, in_folder("x.npy"), reel_scalar(ctx, REEL_F32, 2.5)));
    cr_assert_eq(reel_item(reel_npy_read(ctx, in_folder("x.npy"))), 2.5);
}

Test(npy, refuses_wrong_headers_and_every_cut, .init = set_up, .fini = tear_down)
{
    static unsigned char bytes[1024];
    cr_assert(reel_npy_write(ctx, in_folder("whole.npy"), reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F32)));
    size_t size = read_bytes(in_folder("whole.npy"), bytes, sizeof bytes);
    for (size_t cut = 0; cut <= size + 1; cut++) {
        if (cut == size) continue;
        cr_expect_null(reel_npy_read(ctx, write_bytes("cut.npy", bytes, cut)));
        expect_file_error(REEL_ERROR_IO, "cut.npy", "");
    }
    static const struct {
        const char *header, *reason;
    } cases[] = { { "{'fortran_order': False, 'shape': (1,), }", "'descr'" },
                  { "{'descr': '<f4', 'shape': (1,), }", "'fortran_order'" },
                  { "{'descr': '<f4', 'fortran_order': False, }", "'shape'" },
                  { "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "no count" },
                  { "{'descr': '<f4', 'fortran_order': False, 'shape': (1", "'shape' does not end" },
                  { "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "any memory" },
                  { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999,), }", "399996 bytes, and 4 follow" } };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        unsigned char file[256] = "\x93NUMPY\x01";
        size_t length = strlen(cases[k].header);
        file[8] = (unsigned char)length;
        memcpy(file + 10, cases[k].header, length);
        cr_expect_null(reel_npy_read(ctx, write_bytes("header.npy", file, 10 + length + 4)));
        expect_file_error(REEL_ERROR_IO, "header.npy", cases[k].reason);
    }
}

Test(npz, reads_what_numpy_wrote, .init = set_up, .fini = tear_down)
{
    static const char *const names[] = { "stored.npz", "packed.npz" };
    for (int k = 0; k < 2; k++) {
        char path[512];
        snprintf(path, sizeof path, "%s/golden/npy/%s", REEL_TEST_DATA, names[k]);
        reel_npz *file = reel_npz_open(ctx, path);
        cr_assert(file, "%s", reel_ctx_error_message(ctx));
        cr_assert_eq(reel_npz_count(file), 2);
        cr_assert_str_eq(reel_npz_name(file, 0), "x");
        reel_tensor *x = reel_npz_read(file, "x"), *y = reel_npz_tensor(file, 1);
        cr_assert(x && y, "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(reel_data_f32(x)[23], 23 / 8.0f);
        if (k == 0)
            cr_expect_eq(reel_data_i64(y)[4], 4);
        else
            cr_expect(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(100, 100)));
        cr_expect_null(reel_npz_read(file, "absent"));
        expect_file_error(REEL_ERROR_IO, names[k], "has no array \"absent\"");
        reel_npz_close(file);
    }
}

Test(npz, gives_back_what_was_written, .init = set_up, .fini = tear_down)
{
    static float data[70000];
    for (int i = 0; i < 70000; i++) data[i] = (float)(i % 1000);
    const reel_named out[] = { { "weights/conv", reel_floats(ctx, REEL_SHAPE(7, 10000), data) },
                               { "n", reel_scalar(ctx, REEL_I64, 5) },
                               { "empty", reel_zeros(ctx, REEL_SHAPE(0), REEL_U8) } };
    for (int compress = 0; compress < 2; compress++) {
        cr_assert(reel_npz_write(ctx, in_folder("x.npz"), out, 3, compress), "%s", reel_ctx_error_message(ctx));
        reel_npz *file = reel_npz_open(ctx, in_folder("x.npz"));
        cr_assert(file, "%s", reel_ctx_error_message(ctx));
        reel_tensor *x = reel_npz_read(file, "weights/conv");
        cr_assert(x, "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(memcmp(reel_data(x), data, sizeof data), 0);
        cr_expect_eq(reel_item(reel_npz_read(file, "n")), 5);
        cr_expect_eq(reel_numel(reel_npz_read(file, "empty")), 0);
        cr_expect_eq(reel_ctx_error(ctx), REEL_OK);
        reel_npz_close(file);
    }
    cr_expect_not(reel_npz_write(ctx, in_folder("x.npz"), (reel_named[]) { out[0], out[0] }, 2, false));
    expect_file_error(REEL_ERROR_VALUE, "x.npz", "two arrays named");
}

Test(npz, damage_gives_a_file_or_an_error, .init = set_up, .fini = tear_down)
{
    static unsigned char bytes[4096];
    const reel_named out[] = { { "x", reel_ones(ctx, REEL_SHAPE(3, 5), REEL_F32) },
                               { "y", reel_ones(ctx, REEL_SHAPE(2), REEL_F64) } };
    for (int compress = 0; compress < 2; compress++) {
        cr_assert(reel_npz_write(ctx, in_folder("whole.npz"), out, 2, compress));
        size_t size = read_bytes(in_folder("whole.npz"), bytes, sizeof bytes);
        for (size_t cut = 0; cut < size; cut++) {
            cr_expect_null(reel_npz_open(ctx, write_bytes("cut.npz", bytes, cut)));
            expect_file_error(REEL_ERROR_IO, "cut.npz", "");
        }
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0x41;
            reel_npz *file = reel_npz_open(ctx, write_bytes("damaged.npz", bytes, size));
            for (int i = 0; i < reel_npz_count(file); i++) {
                reel_tensor *x = reel_npz_tensor(file, i);
                /* What still reads has the bytes that were written: there is a checksum. */
                if (x) cr_expect(reel_item(reel_npz_tensor(file, i)) == 1 || reel_numel(x) > 1);
                reel_ctx_clear_error(ctx);
            }
            cr_expect(file || reel_ctx_error(ctx));
            reel_npz_close(file);
            reel_ctx_clear_error(ctx);
            bytes[at] ^= 0x41;
        }
    }
}

/* PNG */

Test(png, gives_back_gray_and_colour_pictures, .init = set_up, .fini = tear_down)
{
    unsigned char bytes[3 * 5 * 7];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37);
    for (int64_t channels = 1; channels <= 3; channels += 2) {
        reel_tensor *x = reel_from(ctx, REEL_SHAPE(channels, 5, 7), REEL_U8, bytes);
        cr_assert(reel_png_write(ctx, in_folder("x.png"), x), "%s", reel_ctx_error_message(ctx));
        reel_tensor *y = reel_png_read(ctx, in_folder("x.png"), 0);
        cr_assert(y, "%s", reel_ctx_error_message(ctx));
        cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(channels, 5, 7)));
        cr_assert_eq(memcmp(reel_data(y), bytes, (size_t)channels * 35), 0);
    }
    const unsigned char *rgb = reel_data(reel_png_read(ctx, in_folder("x.png"), 3));
    const unsigned char *gray = reel_data(reel_png_read(ctx, in_folder("x.png"), 1));
    cr_assert(rgb && gray);
    for (int i = 0; i < 35; i++)
        cr_expect_lt(fabs(0.299 * rgb[i] + 0.587 * rgb[35 + i] + 0.114 * rgb[70 + i] - gray[i]), 1.01);
}

Test(png, clamps_and_rounds_floats, .init = set_up, .fini = tear_down)
{
    const float f[6] = { 0, 1, -3, 7, NAN, 0.5f };
    static const unsigned char expected[6] = { 0, 255, 0, 255, 0, 128 };
    cr_assert(reel_png_write(ctx, in_folder("f.png"), reel_floats(ctx, REEL_SHAPE(2, 3), f)));
    cr_assert_eq(memcmp(reel_data(reel_png_read(ctx, in_folder("f.png"), 0)), expected, 6), 0);
}

Test(png, lays_out_a_grid, .init = set_up, .fini = tear_down)
{
    unsigned char bytes[3 * 4];
    for (int i = 0; i < 12; i++) bytes[i] = (unsigned char)(i + 1);
    reel_tensor *x = reel_from(ctx, REEL_SHAPE(3, 1, 2, 2), REEL_U8, bytes);
    cr_assert(reel_png_write_grid(ctx, in_folder("grid.png"), x, 0, 1), "%s", reel_ctx_error_message(ctx));
    static const unsigned char expected[25] = { 1,   2,   128, 5,  6,   3,   4,   128, 7,  8,   128, 128, 128,
                                                128, 128, 9,   10, 128, 128, 128, 11,  12, 128, 128, 128 };
    reel_tensor *y = reel_png_read(ctx, in_folder("grid.png"), 0);
    cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(1, 5, 5)));
    cr_assert_eq(memcmp(reel_data(y), expected, 25), 0);
}

Test(png, refuses_what_is_no_picture, .init = set_up, .fini = tear_down)
{
    static unsigned char bytes[4096];
    cr_expect_null(reel_png_read(ctx, in_folder("absent.png"), 0));
    expect_file_error(REEL_ERROR_IO, "absent.png", "No such file");
    cr_expect_null(reel_png_read(ctx, write_bytes("short.png", "\x89PNG", 4), 0));
    expect_file_error(REEL_ERROR_IO, "short.png", "4 bytes are too few");
    cr_expect_null(reel_png_read(ctx, write_bytes("text.png", "no picture at all", 17), 0));
    expect_file_error(REEL_ERROR_IO, "text.png", "is no PNG file");
    reel_tensor *x = reel_from(ctx, REEL_SHAPE(1, 20, 30), REEL_U8, bytes);
    cr_assert(reel_png_write(ctx, in_folder("whole.png"), x));
    size_t size = read_bytes(in_folder("whole.png"), bytes, sizeof bytes);
    for (size_t cut = 8; cut < size; cut++) {
        reel_tensor *y = reel_png_read(ctx, write_bytes("cut.png", bytes, cut), 0);
        cr_expect_null(y);
        expect_file_error(REEL_ERROR_IO, "cut.png", "");
    }
    for (size_t at = 8; at < size; at++) {
        bytes[at] ^= 0x20;
        cr_expect_null(reel_png_read(ctx, write_bytes("damaged.png", bytes, size), 0));
        expect_file_error(REEL_ERROR_IO, "damaged.png", "");
        bytes[at] ^= 0x20;
    }
    cr_expect_not(reel_png_write(ctx, in_folder("x.png"), reel_zeros(ctx, REEL_SHAPE(2, 3, 4), REEL_U8)));
    expect_file_error(REEL_ERROR_SHAPE, "x.png", "[2, 3, 4] is no picture");
    cr_expect_not(reel_png_write(ctx, in_folder("x.png"), reel_zeros(ctx, REEL_SHAPE(3, 4), REEL_I64)));
    expect_file_error(REEL_ERROR_DTYPE, "x.png", "int64");
    cr_expect_null(reel_png_read(ctx, in_folder("whole.png"), 2));
    expect_file_error(REEL_ERROR_VALUE, "", "0, 1 or 3, not 2");
}
