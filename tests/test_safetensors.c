// SPDX-License-Identifier: MIT
// Safetensors files both ways, what happens when they are wrong, and what a save leaves when it fails.
#include "fixture.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Writes a safetensors file of a header and `bytes` of zeros. */
static const char *write_raw(const char *name, const char *header, size_t bytes)
{
    static unsigned char raw[1 << 16];
    size_t length = strlen(header);
    memset(raw, 0, sizeof raw);
    for (int i = 0; i < 8; i++) raw[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(raw + 8, header, length);
    return write_bytes(name, raw, 8 + length + bytes);
}

/* safetensors */

Test(safetensors, gives_back_every_dtype_shape_and_text, .init = set_up, .fini = tear_down)
{
    const float f[6] = { 1, -2.5f, INFINITY, NAN, 0, 1e-40f };
    const double d[2] = { 0.1, -1e300 };
    const int64_t l[1] = { INT64_MIN };
    const int32_t i[3] = { 1, -2, INT32_MAX };
    const uint8_t u[5] = { 0, 1, 2, 254, 255 }, b[2] = { 0, 1 };
    const reel_named out[] = {
        { "conv1.weight", reel_from(ctx, REEL_SHAPE(2, 3), REEL_F32, f) },
        { "d", reel_from(ctx, REEL_SHAPE(2, 1), REEL_F64, d) },
        { "a scalar \xC3\xA9", reel_from(ctx, REEL_SCALAR, REEL_I64, l) },
        { "i", reel_from(ctx, REEL_SHAPE(3), REEL_I32, i) },
        { "u", reel_from(ctx, REEL_SHAPE(5, 1, 1), REEL_U8, u) },
        { "b", reel_from(ctx, REEL_SHAPE(2), REEL_BOOL, b) },
        { "nothing", reel_zeros(ctx, REEL_SHAPE(0, 4), REEL_F32) },
    };
    const reel_text texts[] = { { "format", "pt" }, { "a", "line\nand \"quotes\"" } };
    const char *path = in_folder("all.safetensors");
    cr_assert(reel_safetensors_save(ctx, path, out, 7, texts, 2), "%s", reel_ctx_error_message(ctx));

    reel_safetensors *file = reel_safetensors_open(ctx, path);
    cr_assert(file, "%s", reel_ctx_error_message(ctx));
    cr_assert_eq(reel_safetensors_count(file), 7);
    for (int k = 0; k < 7; k++) {
        reel_tensor *x = reel_safetensors_read(file, out[k].name);
        cr_assert(x, "%s", reel_ctx_error_message(ctx));
        cr_assert_eq(reel_dtype_of(x), reel_dtype_of(out[k].tensor));
        cr_assert(reel_shape_equal(reel_shape_of(x), reel_shape_of(out[k].tensor)));
        size_t bytes = (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x));
        if (bytes) cr_assert_eq(memcmp(reel_data(x), reel_data(out[k].tensor), bytes), 0, "%s", out[k].name);
    }
    cr_assert_eq(reel_safetensors_metadata_count(file), 2);
    cr_assert_str_eq(reel_safetensors_metadata(file, "format"), "pt");
    cr_assert_str_eq(reel_safetensors_metadata(file, "a"), "line\nand \"quotes\"");
    cr_assert_null(reel_safetensors_metadata(file, "b"));
    cr_assert_null(reel_safetensors_read(file, "absent"));
    expect_file_error(REEL_ERROR_IO, "all.safetensors", "has no tensor \"absent\"");
    reel_safetensors_close(file);
}

Test(safetensors, files_begin_their_data_at_a_multiple_of_eight, .init = set_up, .fini = tear_down)
{
    for (int k = 1; k < 9; k++) {
        char name[16] = "xxxxxxxxxxxxxxx";
        name[k] = '\0';
        const reel_named one = { name, reel_ones(ctx, REEL_SHAPE(1), REEL_F64) };
        cr_assert(reel_safetensors_save(ctx, in_folder("x.safetensors"), &one, 1, NULL, 0));
        unsigned char start[9];
        read_bytes(in_folder("x.safetensors"), start, 9);
        cr_assert_eq(start[0] % 8, 0);
        cr_assert_eq(start[8], '{');
    }
}

Test(safetensors, widens_what_tensors_cannot_hold, .init = set_up, .fini = tear_down)
{
    static const unsigned char data[] = {
        0x00, 0x3c, 0x01, 0x00, 0xff, 0x7b, 0x00, 0xfc, /* F16: 1, 2^-24, 65504, -inf        */
        0x80, 0x3f, 0xc0, 0xff,                         /* BF16: 1, NaN                      */
        0x38, 0x7e, 0x01, 0xff,                         /* E4M3: 1, 448, 2^-9, NaN           */
        0x3c, 0x7b, 0x7c, 0xfc,                         /* E5M2: 1, 57344, inf, -inf         */
        0xff, 0xff, 0x00, 0x80,                         /* I16: -1, -32768                   */
        0xff, 0xff,                                     /* U16: 65535                        */
        0x80, 0x7f,                                     /* I8: -128, 127                     */
        0xff, 0xff, 0xff, 0xff,                         /* U32: 2^32 - 1                     */
        0x07, 0,    0,    0,    0,    0,    0,    0,    /* U64: 7                            */
        0,    0,    0,    0,    0,    0,    0,    0x80, /* U64: 2^63, which int64 has not    */
    };
    const char *header = "{\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[8,12]},"
                         "\"e4\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[12,16]},"
                         "\"e5\":{\"dtype\":\"F8_E5M2\",\"shape\":[4],\"data_offsets\":[16,20]},"
                         "\"s\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[20,24]},"
                         "\"us\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[24,26]},"
                         "\"c\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[26,28]},"
                         "\"ui\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[28,32]},"
                         "\"ul\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[32,40]},"
                         "\"big\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[40,48]}}";
    unsigned char raw[2048] = { 0 };
    size_t length = strlen(header);
    raw[0] = (unsigned char)length;
    raw[1] = (unsigned char)(length >> 8);
    memcpy(raw + 8, header, length);
    memcpy(raw + 8 + length, data, sizeof data);
    reel_safetensors *file = reel_safetensors_open(ctx, write_bytes("w.safetensors", raw, 8 + length + sizeof data));
    cr_assert(file, "%s", reel_ctx_error_message(ctx));
    const float *h = reel_data_f32(reel_safetensors_read(file, "h"));
    cr_assert(h && h[0] == 1 && h[1] == 0x1p-24f && h[2] == 65504 && h[3] == -INFINITY);
    const float *b = reel_data_f32(reel_safetensors_read(file, "b"));
    cr_assert(b && b[0] == 1 && isnan(b[1]));
    const float *e4 = reel_data_f32(reel_safetensors_read(file, "e4"));
    cr_assert(e4 && e4[0] == 1 && e4[1] == 448 && e4[2] == 0x1p-9f && isnan(e4[3]));
    const float *e5 = reel_data_f32(reel_safetensors_read(file, "e5"));
    cr_assert(e5 && e5[0] == 1 && e5[1] == 57344 && e5[2] == INFINITY && e5[3] == -INFINITY);
    const int32_t *s = reel_data(reel_safetensors_read(file, "s"));
    cr_assert(s && s[0] == -1 && s[1] == -32768);
    cr_assert_eq(reel_item(reel_safetensors_read(file, "us")), 65535);
    const int32_t *c = reel_data(reel_safetensors_read(file, "c"));
    cr_assert(c && c[0] == -128 && c[1] == 127);
    cr_assert_eq(reel_item(reel_safetensors_read(file, "ui")), 4294967295.0);
    cr_assert_eq(reel_item(reel_safetensors_read(file, "ul")), 7);
    cr_assert_null(reel_safetensors_read(file, "big"));
    expect_file_error(REEL_ERROR_IO, "w.safetensors", "past the largest int64");
    reel_safetensors_close(file);
}

typedef struct bad_header {
    char header[256];
    size_t bytes;
    char reason[80];
} bad_header;

ParameterizedTestParameters(safetensors, refuses_a_wrong_header)
{
    static bad_header cases[] = {
        { "{", 0, "is not JSON" },
        { "[]", 0, "is not a JSON object" },
        { "{\"a\":1}", 0, "\"a\" is not an object" },
        { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"a\" has no text \"dtype\"" },
        { "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"a\" has an unknown dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "\"a\" has no list \"shape\"" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "a size that is not a count" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "a size that is not a count" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807],\"data_offsets\":[0,4]}}", 4,
          "more bytes than any memory" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4, "is not JSON" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "no \"data_offsets\"" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "no \"data_offsets\"" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "run backwards" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "run backwards" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "[1] needs 4 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "truncated" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "end at byte 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "\"a\" leaves a hole" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
          12, "\"b\" overlaps" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
          8, "is not JSON: duplicate" },
        { "{\"__metadata__\":[]}", 0, "\"__metadata__\" is not an object" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "\"k\" in __metadata__ is not a text" },
    };
    return cr_make_param_array(bad_header, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(bad_header *bad, safetensors, refuses_a_wrong_header)
{
    set_up();
    cr_expect_null(reel_safetensors_open(ctx, write_raw("bad.safetensors", bad->header, bad->bytes)));
    expect_file_error(REEL_ERROR_IO, "bad.safetensors", bad->reason);
    tear_down();
}

Test(safetensors, refuses_what_is_no_such_file, .init = set_up, .fini = tear_down)
{
    cr_expect_null(reel_safetensors_open(ctx, in_folder("absent.safetensors")));
    expect_file_error(REEL_ERROR_IO, "absent.safetensors", "No such file");
    cr_expect_null(reel_safetensors_open(ctx, folder));
    expect_file_error(REEL_ERROR_IO, folder, "is a folder");
    cr_expect_null(reel_safetensors_open(ctx, write_bytes("empty", "", 0)));
    expect_file_error(REEL_ERROR_IO, "empty", "0 bytes are too few");
    cr_expect_null(reel_safetensors_open(ctx, write_bytes("huge", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)));
    expect_file_error(REEL_ERROR_IO, "huge", "18446744073709551615 bytes");
    cr_expect_null(reel_safetensors_open(ctx, write_bytes("longer", "\x09\0\0\0\0\0\0\0{}", 10)));
    expect_file_error(REEL_ERROR_IO, "longer", "9 bytes, and 2 follow");
    cr_expect_null(reel_safetensors_open(ctx, NULL));
    expect_file_error(REEL_ERROR_IO, "", "no path");
    cr_assert_eq(mkfifo(in_folder("pipe"), 0600), 0);
    cr_expect_null(reel_safetensors_open(ctx, in_folder("pipe")));
    expect_file_error(REEL_ERROR_IO, "pipe", "is a device");
}

Test(safetensors, a_tensor_of_too_many_axes_spoils_only_itself, .init = set_up, .fini = tear_down)
{
    reel_safetensors *file = reel_safetensors_open(
        ctx, write_raw("axes",
                       "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,2]},"
                       "\"b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[2,3]}}",
                       3));
    cr_assert(file, "%s", reel_ctx_error_message(ctx));
    cr_expect_null(reel_safetensors_read(file, "a"));
    expect_file_error(REEL_ERROR_UNSUPPORTED, "axes", "has 9 axes");
    cr_expect_eq(reel_item(reel_safetensors_read(file, "b")), 0);
    reel_safetensors_close(file);
}

Test(safetensors, every_cut_of_a_file_is_an_error_and_no_crash, .init = set_up, .fini = tear_down)
{
    const reel_named two[] = { { "weight", reel_ones(ctx, REEL_SHAPE(3, 5), REEL_F32) },
                               { "bias", reel_ones(ctx, REEL_SHAPE(3), REEL_F64) } };
    unsigned char bytes[4096];
    cr_assert(reel_safetensors_save(ctx, in_folder("whole"), two, 2, NULL, 0));
    size_t size = read_bytes(in_folder("whole"), bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++) {
        cr_expect_null(reel_safetensors_open(ctx, write_bytes("cut", bytes, cut)), "cut at %zu of %zu", cut, size);
        expect_file_error(REEL_ERROR_IO, "cut", "");
    }
}

Test(safetensors, every_damaged_byte_gives_a_file_or_an_error, .init = set_up, .fini = tear_down)
{
    const reel_named two[] = { { "weight", reel_ones(ctx, REEL_SHAPE(3, 5), REEL_F32) },
                               { "bias", reel_ones(ctx, REEL_SHAPE(3), REEL_F64) } };
    unsigned char bytes[4096];
    cr_assert(reel_safetensors_save(ctx, in_folder("whole"), two, 2, NULL, 0));
    size_t size = read_bytes(in_folder("whole"), bytes, sizeof bytes);
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (unsigned char)(1 << bit);
            reel_safetensors *file = reel_safetensors_open(ctx, write_bytes("damaged", bytes, size));
            for (int i = 0; i < reel_safetensors_count(file); i++) reel_free(reel_safetensors_tensor(file, i));
            cr_expect(file || reel_ctx_error(ctx));
            reel_safetensors_close(file);
            reel_ctx_clear_error(ctx);
            bytes[at] ^= (unsigned char)(1 << bit);
        }
    }
}

Test(safetensors, refuses_names_it_cannot_write, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1), REEL_F32);
    cr_expect_not(reel_safetensors_save(ctx, in_folder("a"), (reel_named[]) { { "x", x }, { "x", x } }, 2, NULL, 0));
    expect_file_error(REEL_ERROR_VALUE, "a", "two tensors named \"x\"");
    cr_expect_not(reel_safetensors_save(ctx, in_folder("a"), (reel_named[]) { { "__metadata__", x } }, 1, NULL, 0));
    expect_file_error(REEL_ERROR_VALUE, "a", "no tensor can be named \"__metadata__\": so the format calls the file's texts");
    cr_expect_not(reel_safetensors_save(ctx, in_folder("a"), (reel_named[]) { { "\xff", x } }, 1, NULL, 0));
    expect_file_error(REEL_ERROR_VALUE, "a", "not UTF-8");
    cr_expect_not(reel_safetensors_save(ctx, in_folder("a"), (reel_named[]) { { "x", NULL } }, 1, NULL, 0));
    expect_file_error(REEL_ERROR_CONTEXT, "a", "has no value");
    cr_expect_eq(access(in_folder("a"), F_OK), -1);
    cr_expect(reel_safetensors_save(ctx, in_folder("none"), NULL, 0, NULL, 0));
}

/* What a save leaves when it fails */

static int count_files(void)
{
    char command[128];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", folder);
    FILE *pipe = popen(command, "r");
    int count = -1;
    cr_assert(pipe && fscanf(pipe, "%d", &count) == 1 && pclose(pipe) == 0);
    return count;
}

static bool save_ones(const char *path, int64_t n)
{
    const reel_named one = { "x", reel_ones(ctx, REEL_SHAPE(n), REEL_F32) };
    return reel_safetensors_save(ctx, path, &one, 1, NULL, 0);
}

static void expect_ones(const char *path, int64_t n)
{
    reel_safetensors *file = reel_safetensors_open(ctx, path);
    cr_assert(file, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_numel(reel_safetensors_read(file, "x")), n);
    reel_safetensors_close(file);
}

Test(saving, a_full_disk_leaves_the_old_file, .init = set_up, .fini = tear_down)
{
    const char *path = in_folder("model.safetensors");
    cr_assert(save_ones(path, 100));
    struct rlimit old, small = { 0 };
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit) { 100000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    cr_expect_not(save_ones(path, 1000000));
    expect_file_error(REEL_ERROR_IO, "model.safetensors", "cannot be written: File too large");
    setrlimit(RLIMIT_FSIZE, &old);
    expect_ones(path, 100);
    cr_expect_eq(count_files(), 1, "the temporary file was left");
    cr_assert(save_ones(path, 1000000));
    expect_ones(path, 1000000);
}

Test(saving, an_unwritable_folder_is_an_error, .init = set_up, .fini = tear_down)
{
    cr_expect_not(save_ones(in_folder("absent/model.safetensors"), 1));
    expect_file_error(REEL_ERROR_IO, "absent/model.safetensors", "No such file or directory");
    cr_expect_not(save_ones("/proc/model.safetensors", 1));
    expect_file_error(REEL_ERROR_IO, "/proc/model.safetensors", "cannot be written");
    cr_expect_not(save_ones(folder, 1));
    expect_file_error(REEL_ERROR_IO, folder, "is a folder");
    cr_expect_not(save_ones("/dev/full", 1));
    expect_file_error(REEL_ERROR_IO, "/dev/full", "is a device");
    cr_expect_eq(count_files(), 0);
}

Test(saving, a_link_is_followed_and_stays_a_link, .init = set_up, .fini = tear_down)
{
    const char *path = in_folder("model.safetensors"), *link = in_folder("link");
    cr_assert(save_ones(path, 3));
    cr_assert_eq(chmod(path, 0640), 0);
    cr_assert_eq(symlink("model.safetensors", link), 0);
    cr_assert(save_ones(link, 5));
    struct stat status;
    cr_assert(lstat(link, &status) == 0 && S_ISLNK(status.st_mode));
    cr_assert(stat(path, &status) == 0);
    cr_expect_eq(status.st_mode & 0777, 0640, "the file's mode has changed");
    expect_ones(path, 5);
}

Test(saving, what_a_killed_save_left_is_in_nobodys_way, .init = set_up, .fini = tear_down)
{
    write_bytes(".model.safetensors.tmp", "half a file that is longer than a whole one would be", 52);
    cr_assert(save_ones(in_folder("model.safetensors"), 1), "%s", reel_ctx_error_message(ctx));
    expect_ones(in_folder("model.safetensors"), 1);
    cr_expect_eq(count_files(), 1);
}
