// SPDX-License-Identifier: MIT
// Data sets and loaders: where samples come from, in which order, and what happens when they are not there.
#include "fixture.h"

#include <math.h>
#include <reel/core/png.h>
#include <reel/nn/data.h>
#include <reel/nn/loader.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* n samples: field 0 float32 [2] = (i, 10 i), field 1 int64 = i. */
static reel_dataset *counting(int64_t n)
{
    float *x = calloc((size_t)n * 2 + 1, sizeof *x);
    int64_t *y = calloc((size_t)n + 1, sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        x[2 * i] = (float)i;
        x[2 * i + 1] = 10 * (float)i;
        y[i] = i;
    }
    reel_tensor *fields[] = { reel_floats(ctx, REEL_SHAPE(n, 2), x), reel_longs(ctx, REEL_SHAPE(n), y) };
    reel_dataset *data = reel_dataset_from_tensors(fields, 2);
    free(x);
    free(y);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    return data;
}

/* The label of sample i. */
static int64_t label(const reel_dataset *data, int64_t i)
{
    float x[2];
    int64_t y;
    cr_assert(reel_dataset_read(data, ctx, i, NULL, (void *[]) { x, &y }), "%s", reel_ctx_error_message(ctx));
    cr_assert(x[0] == (float)y && x[1] == 10 * (float)y);
    return y;
}

Test(data, comes_from_tensors, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(5);
    cr_expect_eq(reel_dataset_count(data), 5);
    cr_expect_eq(reel_dataset_fields(data), 2);
    cr_expect_eq(reel_dataset_field(data, 0).shape.dim[0], 2);
    for (int64_t i = 0; i < 5; i++) cr_expect_eq(label(data, i), i);
    int64_t y;
    float x[2];
    cr_expect_not(reel_dataset_read(data, ctx, 5, NULL, (void *[]) { x, &y }));
    expect_error(REEL_ERROR_VALUE, "no sample 5 of 5");
    reel_tensor *fields[2];
    cr_assert(reel_dataset_tensors(data, ctx, 1, 3, fields), "%s", reel_ctx_error_message(ctx));
    cr_expect(reel_shape_equal(reel_shape_of(fields[0]), REEL_SHAPE(3, 2)));
    cr_expect_eq(reel_data_i64(fields[1])[2], 3);
    cr_expect_not(reel_dataset_tensors(data, ctx, 3, 3, fields));
    expect_error(REEL_ERROR_VALUE, "no samples 3 to 6 of 5");
    reel_dataset_free(data);
    reel_tensor *uneven[] = { reel_ones(ctx, REEL_SHAPE(3), REEL_F32), reel_ones(ctx, REEL_SHAPE(4, 2), REEL_F32) };
    cr_expect_null(reel_dataset_from_tensors(uneven, 2));
    expect_error(REEL_ERROR_SHAPE, "field 1 is [4, 2], and axis 0 should count 3");
}

Test(data, parts_share_and_outlive_what_they_come_from, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(20), *first, *rest;
    cr_assert(reel_dataset_split(ctx, data, 0.15, &first, &rest));
    reel_dataset *odd = reel_dataset_subset(ctx, first, (int64_t[]) { 1, 3, 5 }, 3);
    reel_dataset *last = reel_dataset_slice(ctx, data, -2, 20);
    reel_generator generator = { .seed = 3 };
    reel_dataset *shuffled = reel_dataset_shuffled(ctx, rest, &generator);
    cr_expect_null(reel_dataset_subset(ctx, data, NULL, -3));
    expect_error(REEL_ERROR_VALUE, "a part of -3 samples");
    cr_expect_null(reel_dataset_subset(ctx, data, (int64_t[]) { 20 }, 1));
    expect_error(REEL_ERROR_VALUE, "no sample 20 of 20");
    cr_expect_null(reel_dataset_slice(ctx, data, 3, 2));
    expect_error(REEL_ERROR_VALUE, "no slice 3 to 2");
    reel_dataset_free(data);
    reel_dataset_free(first);
    reel_dataset_free(rest);
    cr_expect_eq(reel_dataset_count(odd), 3);
    cr_expect_eq(label(odd, 2), 5);
    cr_expect_eq(label(last, 0), 18);
    int64_t sum = 0;
    cr_expect_eq(reel_dataset_count(shuffled), 3);
    for (int i = 0; i < 3; i++) sum += label(shuffled, i);
    cr_expect_eq(sum, 17 + 18 + 19);
    reel_dataset_free(odd);
    reel_dataset_free(last);
    reel_dataset_free(shuffled);
}

Test(data, scales_bytes_as_quotients, .init = set_up, .fini = tear_down)
{
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
    reel_tensor *field = reel_from(ctx, REEL_SHAPE(2, 128), REEL_U8, bytes);
    reel_dataset *data = reel_dataset_from_tensors(&field, 1);
    reel_dataset *scaled = reel_dataset_normalised(ctx, data, 0, &(reel_normalise) { .dtype = REEL_F32 });
    reel_dataset *normal =
        reel_dataset_normalised(ctx, data, 0, &(reel_normalise) { REEL_F64, .mean = 0.1307, .std = 0.3081 });
    float f[128];
    double d[128];
    cr_assert(reel_dataset_read(scaled, ctx, 1, NULL, (void *[]) { f }));
    cr_assert(reel_dataset_read(normal, ctx, 1, NULL, (void *[]) { d }));
    for (int i = 0; i < 128; i++) {
        cr_expect_eq(f[i], (float)(128 + i) / 255.0f);
        cr_expect_eq(d[i], ((128 + i) / 255.0 - 0.1307) / 0.3081);
    }
    reel_dataset_free(scaled);
    scaled = reel_dataset_normalised(ctx, data, 0, NULL);
    cr_assert(reel_dataset_read(scaled, ctx, 0, NULL, (void *[]) { f }));
    cr_expect_eq(f[51], 0.2f);
    reel_dataset *again =
        reel_dataset_normalised(ctx, scaled, 0, &(reel_normalise) { REEL_F32, .scale = 2, .mean = 1 });
    cr_assert(reel_dataset_read(again, ctx, 1, NULL, (void *[]) { f }));
    cr_expect_eq(f[127], 1);
    reel_dataset_free(data);
    reel_dataset_free(scaled);
    reel_dataset_free(normal);
    reel_dataset_free(again);
}

static bool add_up(void *user, reel_ctx *own, const void *const *in, void *const *out, reel_generator *generator)
{
    (void)own;
    *(double *)out[0] = ((const float *)in[0])[0] + ((const float *)in[0])[1] + *(double *)user;
    if (generator) *(double *)out[0] += 1e-3 * reel_generator_uniform(generator);
    return true;
}

Test(data, goes_through_a_function, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(4);
    double extra = 0.5, value;
    reel_dataset *mapped = reel_dataset_map(ctx, data, &(reel_field) { REEL_F64, REEL_SCALAR }, 1, add_up, &extra);
    cr_assert(reel_dataset_read(mapped, ctx, 3, NULL, (void *[]) { &value }));
    cr_expect_eq(value, 33.5);
    cr_expect_null(reel_dataset_map(ctx, data, &(reel_field) { REEL_F64, REEL_SCALAR }, 1, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "no function to map samples");
    cr_expect_null(reel_dataset_new(ctx, &(reel_source) { .count = 1, .n_fields = 1 }));
    expect_error(REEL_ERROR_VALUE, "no function to read samples");
    reel_dataset_free(data);
    reel_dataset_free(mapped);
}

Test(data, reads_idx_and_numpy_files, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_full(ctx, REEL_SHAPE(3, 2, 2), REEL_U8, 7), *y = reel_ones(ctx, REEL_SHAPE(3), REEL_U8);
    const char *paths[] = { in_folder("x.idx"), in_folder("y.idx.gz") };
    cr_assert(reel_idx_write(ctx, paths[0], x) && reel_idx_write(ctx, paths[1], y));
    reel_dataset *data = reel_dataset_idx(ctx, paths, 2);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_dataset_count(data), 3);
    cr_expect(reel_shape_equal(reel_dataset_field(data, 0).shape, REEL_SHAPE(2, 2)));
    reel_dataset_free(data);

    const reel_named arrays[] = { { "x", x }, { "y", y } };
    cr_assert(reel_npz_write(ctx, in_folder("xy.npz"), arrays, 2, true));
    data = reel_dataset_npz(ctx, in_folder("xy.npz"), (const char *[]) { "y", "x" }, 2);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_dataset_field(data, 0).shape.ndim, 0);
    reel_dataset_free(data);

    cr_assert(reel_npy_write(ctx, in_folder("x.npy"), x));
    cr_assert(reel_npy_write(ctx, in_folder("four.npy"), reel_ones(ctx, REEL_SHAPE(4), REEL_U8)));
    cr_expect_null(reel_dataset_npy(ctx, (const char *[]) { in_folder("x.npy"), in_folder("four.npy") }, 2));
    expect_error(REEL_ERROR_IO, "four.npy: holds 4 samples, but");
    cr_assert(reel_npy_write(ctx, in_folder("one.npy"), reel_scalar(ctx, REEL_F32, 1)));
    cr_expect_null(reel_dataset_npy(ctx, (const char *[]) { in_folder("one.npy") }, 1));
    expect_error(REEL_ERROR_IO, "one.npy: is one number");
}

Test(data, checks_the_files_of_mnist, .init = set_up, .fini = tear_down)
{
    const char *pictures = in_folder("train-images-idx3-ubyte"), *labels = in_folder("train-labels-idx1-ubyte.gz");
    uint8_t y[3] = { 0, 9, 4 };
    cr_expect_null(reel_dataset_mnist(ctx, folder, true));
    expect_error(REEL_ERROR_IO, "train-images-idx3-ubyte: cannot be opened");
    cr_expect_null(reel_dataset_mnist(ctx, NULL, true));
    expect_error(REEL_ERROR_IO, "no folder was given");
    cr_assert(reel_idx_write(ctx, pictures, reel_full(ctx, REEL_SHAPE(3, 28, 28), REEL_U8, 200)));
    cr_assert(reel_idx_write(ctx, labels, reel_from(ctx, REEL_SHAPE(3), REEL_U8, y)));
    reel_dataset *data = reel_dataset_mnist(ctx, folder, true);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect(reel_shape_equal(reel_dataset_field(data, 0).shape, REEL_SHAPE(1, 28, 28)));
    cr_expect_eq(reel_dataset_field(data, 1).dtype, REEL_I64);
    reel_dataset_free(data);
    y[1] = 10;
    cr_assert(reel_idx_write(ctx, labels, reel_from(ctx, REEL_SHAPE(3), REEL_U8, y)));
    cr_expect_null(reel_dataset_mnist(ctx, folder, true));
    expect_error(REEL_ERROR_IO, "train-labels-idx1-ubyte: label 1 is 10");
    cr_assert(reel_idx_write(ctx, labels, reel_from(ctx, REEL_SHAPE(2), REEL_U8, y)));
    cr_expect_null(reel_dataset_mnist(ctx, folder, true));
    expect_error(REEL_ERROR_IO, "holds 3 pictures, but train-labels-idx1-ubyte holds 2 labels");
    cr_assert(reel_idx_write(ctx, pictures, reel_ones(ctx, REEL_SHAPE(3, 28), REEL_U8)));
    cr_expect_null(reel_dataset_mnist(ctx, folder, true));
    expect_error(REEL_ERROR_IO, "train-images-idx3-ubyte: holds uint8 [3, 28]");
}

Test(data, reads_folders_of_pictures, .init = set_up, .fini = tear_down)
{
    cr_expect_null(reel_dataset_png_folder(ctx, NULL, 0));
    expect_error(REEL_ERROR_IO, "no folder was given");
    cr_expect_null(reel_dataset_png_folder(ctx, in_folder("absent"), 0));
    expect_error(REEL_ERROR_IO, "absent: cannot be opened");
    cr_expect_null(reel_dataset_png_folder(ctx, folder, 0));
    expect_error(REEL_ERROR_IO, "has no folders");
    cr_assert(mkdir(in_folder("cat"), 0700) == 0 && mkdir(in_folder("ape"), 0700) == 0 &&
              mkdir(in_folder(".git"), 0700) == 0);
    cr_expect_null(reel_dataset_png_folder(ctx, folder, 0));
    expect_error(REEL_ERROR_IO, "hold no PNG files");
    cr_assert(reel_png_write(ctx, in_folder("cat/b.png"), reel_full(ctx, REEL_SHAPE(3, 4), REEL_U8, 2)));
    cr_assert(reel_png_write(ctx, in_folder("cat/a.PNG"), reel_full(ctx, REEL_SHAPE(3, 4), REEL_U8, 1)));
    cr_assert(reel_png_write(ctx, in_folder("ape/z.png"), reel_full(ctx, REEL_SHAPE(3, 4), REEL_U8, 0)));
    write_text("ape/notes.txt", "no picture");
    reel_dataset *data = reel_dataset_png_folder(ctx, folder, 0);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_dataset_count(data), 3);
    cr_expect_str_eq(reel_dataset_class_name(data, 0), "ape");
    cr_expect_str_eq(reel_dataset_class_name(data, 1), "cat");
    cr_expect_null(reel_dataset_class_name(data, 2));
    for (int i = 0; i < 3; i++) {
        uint8_t pixels[12];
        int64_t y;
        cr_assert(reel_dataset_read(data, ctx, i, NULL, (void *[]) { pixels, &y }), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(pixels[11], i);
        cr_expect_eq(y, i > 0);
    }
    cr_assert(reel_png_write(ctx, in_folder("cat/b.png"), reel_full(ctx, REEL_SHAPE(5, 4), REEL_U8, 2)));
    reel_tensor *fields[2];
    cr_expect_not(reel_dataset_tensors(data, ctx, 0, 3, fields));
    expect_error(REEL_ERROR_IO, "cat/b.png: is [1, 5, 4], but the first picture is [1, 3, 4]");
    reel_dataset_free(data);
}

Test(data, reads_lines_of_numbers, .init = set_up, .fini = tear_down)
{
    const char *path = write_text("t.csv", "a,b,class\r\n1, -2.5,0\r\n\n\"3\",4e2 ,7\n");
    reel_dataset *data = reel_dataset_csv(ctx, path, &(reel_csv_opts) { .target_columns = 1, .integer_target = true });
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_dataset_count(data), 2);
    float x[2];
    int64_t y;
    cr_assert(reel_dataset_read(data, ctx, 1, NULL, (void *[]) { x, &y }));
    cr_expect(x[0] == 3 && x[1] == 400 && y == 7);
    reel_dataset_free(data);
    data =
        reel_dataset_csv(ctx, write_text("s.csv", "\xEF\xBB\xBF" "1;2;3"), &(reel_csv_opts) { .delimiter = ';', .no_header = true });
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(reel_dataset_fields(data), 1);
    cr_expect(reel_shape_equal(reel_dataset_field(data, 0).shape, REEL_SHAPE(3)));
    reel_dataset_free(data);

    static const struct {
        const char *text, *reason;
    } cases[] = { { "", "no lines of numbers" },
                  { "a,b\n", "no lines of numbers" },
                  { "a,b\n1,2\n1,x\n", "line 3, column 2: no number: x" },
                  { "a,b\n1,2\n1\n", "line 3 has 1 columns, and the first has 2" },
                  { "a,b\n1,2,\n", "line 2, column 3: no number" },
                  { "a,b\n1,2.5\n", "row 1: the target 2.5 is no whole number" },
                  { "a\n1 2\n", "line 2, column 1: '2' after the number" },
                  { "a\n1\n", "has 1 columns, and 1 cannot be targets" } };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cr_expect_null(reel_dataset_csv(ctx, write_text("bad.csv", cases[k].text),
                                        &(reel_csv_opts) { .target_columns = 1, .integer_target = true }));
        cr_expect(strstr(reel_ctx_error_message(ctx), "bad.csv"));
        expect_error(reel_ctx_error(ctx), cases[k].reason);
    }
    cr_expect_null(reel_dataset_csv(ctx, in_folder("absent.csv"), NULL));
    expect_error(REEL_ERROR_IO, "absent.csv");
}

/* Loaders */

static reel_loader *load(reel_dataset *data, const reel_loader_opts *opts)
{
    reel_loader *loader = reel_loader_new(ctx, data, opts);
    cr_assert(loader, "%s", reel_ctx_error_message(ctx));
    return loader;
}

/* The labels of the rest of an epoch, in order; returns how many. */
static int64_t labels_of(reel_loader *loader, int64_t *to)
{
    int64_t n = 0;
    while (reel_loader_more(loader)) {
        REEL_SCOPE(ctx)
        {
            reel_batch batch = reel_loader_next(loader);
            cr_assert(batch.count > 0, "%s", reel_ctx_error_message(ctx));
            const int64_t *y = reel_data_i64(batch.field[1]);
            const float *x = reel_data_f32(batch.field[0]);
            for (int64_t i = 0; i < batch.count; i++) {
                cr_assert_eq(x[2 * i], (float)y[i]);
                to[n++] = y[i];
            }
        }
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    return n;
}

Test(loader, hands_out_every_sample_once_an_epoch, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(23);
    int64_t y[23];
    for (int threaded = 0; threaded < 2; threaded++) {
        reel_loader *loader = load(data, &(reel_loader_opts) { .batch = 5, .no_thread = !threaded });
        cr_expect_eq(reel_loader_batches(loader), 5);
        cr_expect_eq(labels_of(loader, y), 23);
        for (int i = 0; i < 23; i++) cr_expect_eq(y[i], i);
        cr_expect_eq(reel_loader_next(loader).count, 0);
        cr_expect_eq(reel_ctx_error(ctx), REEL_OK);
        reel_loader_free(loader);
        loader = load(data, &(reel_loader_opts) { .batch = 5, .drop_last = true, .no_thread = !threaded });
        cr_expect_eq(labels_of(loader, y), 20);
        cr_expect_eq(reel_loader_samples(loader), 20);
        reel_loader_free(loader);
    }
    reel_dataset_free(data);
}

Test(loader, shuffles_by_seed_and_epoch_alone, .init = set_up, .fini = tear_down)
{
    enum { N = 100 };
    reel_dataset *data = counting(N);
    int64_t first[3][N], y[N];
    for (int run = 0; run < 4; run++) {
        reel_loader_opts opts = {
            .batch = 7, .shuffle = true, .seed = 5, .no_thread = run == 1, .ahead = run == 2 ? 9 : 1
        };
        reel_loader *loader = load(data, &opts);
        for (int epoch = 0; epoch < 3; epoch++) {
            cr_assert(reel_loader_start(loader, epoch, 0));
            cr_assert_eq(labels_of(loader, y), N);
            bool seen[N] = { false };
            for (int i = 0; i < N; i++) seen[y[i]] = true;
            for (int i = 0; i < N; i++) cr_expect(seen[i]);
            if (run == 0) memcpy(first[epoch], y, sizeof y);
            cr_expect_eq(memcmp(first[epoch], y, sizeof y), 0, "run %d, epoch %d", run, epoch);
        }
        reel_loader_free(loader);
    }
    cr_expect_neq(memcmp(first[0], first[1], sizeof y), 0);
    cr_expect_neq(memcmp(first[1], first[2], sizeof y), 0);
    reel_loader *other = load(data, &(reel_loader_opts) { .batch = 7, .shuffle = true, .seed = 6 });
    labels_of(other, y);
    cr_expect_neq(memcmp(first[0], y, sizeof y), 0);
    reel_loader_free(other);
    reel_dataset_free(data);
}

Test(loader, goes_to_any_batch_of_any_epoch, .init = set_up, .fini = tear_down)
{
    enum { N = 50 };
    reel_dataset *data = counting(N);
    int64_t whole[N], y[N];
    reel_loader *loader = load(data, &(reel_loader_opts) { .batch = 4, .shuffle = true, .ahead = 3 });
    for (int turn = 0; turn < 40; turn++) {
        int64_t epoch = turn * 7 % 5, batch = turn * 5 % 14;
        cr_assert(reel_loader_start(loader, epoch, 0));
        labels_of(loader, whole);
        cr_assert(reel_loader_start(loader, epoch, batch));
        int64_t n = labels_of(loader, y);
        cr_expect_eq(n, batch * 4 < N ? N - batch * 4 : 0);
        cr_expect_eq(memcmp(y, whole + N - n, (size_t)n * sizeof *y), 0);
    }
    cr_expect_not(reel_loader_start(loader, 0, 14));
    expect_error(REEL_ERROR_VALUE, "no batch 14 of epoch 0");
    reel_loader_free(loader);
    reel_dataset_free(data);
}

static bool perturb(void *user, reel_ctx *own, reel_batch *batch, reel_generator *generator)
{
    (void)user;
    reel_tensor *noise = reel_rand(own, generator, reel_shape_of(batch->field[0]), REEL_F32, 0, 0.5);
    batch->field[0] = reel_add(batch->field[0], noise);
    return batch->field[0] != NULL;
}

Test(loader, maps_batches_the_same_whatever_thread_does_it, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(30);
    float first[3][60];
    for (int run = 0; run < 3; run++) {
        reel_loader *loader =
            load(data, &(reel_loader_opts) { .batch = 8, .map = perturb, .no_thread = run == 1, .seed = 1 });
        for (int epoch = 0; epoch < 3; epoch++) {
            float values[60];
            int64_t n = 0;
            reel_loader_start(loader, epoch, 0);
            while (reel_loader_more(loader)) {
                REEL_SCOPE(ctx)
                {
                    reel_batch batch = reel_loader_next(loader);
                    memcpy(values + n, reel_data_f32(batch.field[0]), (size_t)batch.count * 2 * sizeof(float));
                    n += batch.count * 2;
                }
            }
            cr_assert_eq(n, 60);
            for (int i = 0; i < 60; i++) {
                double clean = i % 2 ? 10 * (i / 2) : i / 2;
                cr_expect(values[i] >= clean && values[i] < clean + 0.51);
            }
            if (run == 0) memcpy(first[epoch], values, sizeof values);
            cr_expect_eq(memcmp(first[epoch], values, sizeof values), 0, "run %d, epoch %d", run, epoch);
        }
        reel_loader_free(loader);
    }
    cr_expect_neq(memcmp(first[0], first[1], sizeof *first), 0);
    reel_dataset_free(data);
}

Test(loader, refuses_empty_and_small_data, .init = set_up, .fini = tear_down)
{
    reel_dataset *empty = counting(0), *small = counting(3);
    cr_expect_null(reel_loader_new(ctx, NULL, NULL));
    expect_error(REEL_ERROR_CONTEXT, "there is no data set");
    cr_expect_null(reel_loader_new(ctx, empty, NULL));
    expect_error(REEL_ERROR_VALUE, "the data set is empty");
    cr_expect_null(reel_loader_new(ctx, small, &(reel_loader_opts) { .batch = 4 }));
    expect_error(REEL_ERROR_VALUE, "a batch of 4 is larger than the data set of 3 samples");
    cr_expect_null(reel_loader_new(ctx, small, &(reel_loader_opts) { .batch = -1 }));
    expect_error(REEL_ERROR_VALUE, "batches of -1 samples");
    reel_loader *loader = load(small, &(reel_loader_opts) { .batch = 4, .allow_small = true, .drop_last = true });
    int64_t y[3];
    cr_expect_eq(labels_of(loader, y), 3);
    reel_loader_free(loader);
    reel_dataset_free(empty);
    reel_dataset_free(small);
}

static bool fail_at_seven(void *user, reel_ctx *own, int64_t index, void *const *fields)
{
    if (index == 7) return reel_fail(own, REEL_ERROR_USER, "sample 7 of %s is broken", (const char *)user);
    *(float *)fields[0] = (float)index;
    return true;
}

static bool map_to_nothing(void *user, reel_ctx *own, reel_batch *batch, reel_generator *generator)
{
    (void)user, (void)own, (void)generator;
    batch->field[0] = reel_add(batch->field[0], reel_zeros(own, REEL_SHAPE(99), REEL_F32));
    return true;
}

static bool map_to_null(void *user, reel_ctx *own, reel_batch *batch, reel_generator *generator)
{
    (void)user, (void)own, (void)generator;
    batch->field[1] = NULL;
    return true;
}

Test(loader, says_which_field_a_map_left_out, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(8);
    reel_loader *loader = load(data, &(reel_loader_opts) { .batch = 4, .map = map_to_null });
    cr_expect_eq(reel_loader_next(loader).count, 0);
    expect_error(REEL_ERROR_USER, "a map left field 1 missing");
    reel_loader_free(loader);
    reel_dataset_free(data);
}

Test(loader, refuses_to_go_on_in_a_child_of_fork, .init = set_up, .fini = tear_down)
{
    reel_dataset *data = counting(8);
    reel_loader *loader = load(data, &(reel_loader_opts) { .batch = 4 });
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        bool told = reel_loader_next(loader).count == 0 && reel_ctx_error(ctx) == REEL_ERROR_CONTEXT;
        reel_ctx_clear_error(ctx);
        told = told && !reel_loader_start(loader, 0, 0) && reel_ctx_error(ctx) == REEL_ERROR_CONTEXT;
        reel_loader_free(loader);
        _exit(told ? 0 : 1);
    }
    int status = -1;
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    cr_expect_eq(status, 0);
    cr_expect_eq(reel_loader_next(loader).count, 4);
    reel_loader_free(loader);
    reel_dataset_free(data);
}

Test(loader, brings_a_readers_error_to_the_models_context, .init = set_up, .fini = tear_down)
{
    char name[] = "my source";
    reel_dataset *data = reel_dataset_new(
        ctx,
        &(reel_source) {
            .count = 20, .n_fields = 1, .field = { { REEL_F32, REEL_SCALAR } }, .read = fail_at_seven, .user = name });
    for (int threaded = 0; threaded < 2; threaded++) {
        reel_loader *loader = load(data, &(reel_loader_opts) { .batch = 4, .no_thread = !threaded });
        int batches = 0;
        while (reel_loader_more(loader))
            if (reel_loader_next(loader).count) batches++;
        cr_expect_eq(batches, 1);
        expect_error(REEL_ERROR_USER, "sample 7 of my source is broken");
        cr_assert(reel_loader_start(loader, 0, 2));
        cr_expect_eq(reel_loader_next(loader).count, 4);
        reel_loader_free(loader);
        loader = load(data, &(reel_loader_opts) { .batch = 4, .no_thread = !threaded, .map = map_to_nothing });
        cr_expect_eq(reel_loader_next(loader).count, 0);
        expect_error(REEL_ERROR_SHAPE, "add");
        reel_loader_free(loader);
    }
    reel_dataset_free(data);
}
