// SPDX-License-Identifier: MIT
// Augmentation: how far pictures are moved, bent and noised.
#include "fixture.h"

#include <math.h>
#include <reel/nn/augment.h>
#include <reel/nn/loader.h>
#include <reel/ops/pointwise.h>

/* Augmentation */

/* [n, 1, h, w] pictures whose pixel (r, c) is 100 r + c. */
static reel_tensor *numbered(int64_t n, int64_t h, int64_t w)
{
    double *data = calloc((size_t)(n * h * w), sizeof *data);
    for (int64_t i = 0; i < n * h * w; i++) data[i] = (double)(100 * (i / w % h) + i % w);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(n, 1, h, w), data);
    free(data);
    return x;
}

static const double *augmented(reel_tensor *x, const reel_augment_opts *opts, uint64_t seed)
{
    reel_generator generator = { .seed = seed };
    const double *y = reel_data_f64(reel_augment(x, opts, &generator));
    cr_assert(y, "%s", reel_ctx_error_message(ctx));
    return y;
}

Test(augment, leaves_a_picture_alone_unless_asked, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = numbered(3, 6, 9);
    const double *y = augmented(x, &(reel_augment_opts) { 0 }, 1), *data = reel_data_f64(x);
    for (int i = 0; i < 3 * 54; i++) cr_expect_float_eq(y[i], data[i], 1e-9);
    y = augmented(x, NULL, 1);
    for (int i = 0; i < 3 * 54; i++) cr_expect_float_eq(y[i], data[i], 1e-9);
}

Test(augment, mirrors_with_the_given_probability, .init = set_up, .fini = tear_down)
{
    enum { N = 200, H = 3, W = 5 };
    const double *y = augmented(numbered(N, H, W), &(reel_augment_opts) { .flip = 0.25, .flip_vertical = 1 }, 2);
    int mirrored = 0;
    for (int n = 0; n < N; n++, y += H * W) {
        bool flipped = fabs(y[0] - 204) < 1e-9;
        mirrored += flipped;
        for (int r = 0; r < H; r++)
            for (int c = 0; c < W; c++)
                cr_expect_float_eq(y[r * W + c], 100 * (H - 1 - r) + (flipped ? W - 1 - c : c), 1e-9);
    }
    cr_expect(mirrored > 30 && mirrored < 70, "%d of 200", mirrored);
}

Test(augment, crops_whole_pixels_at_every_place, .init = set_up, .fini = tear_down)
{
    enum { N = 400, H = 6, W = 7 };
    reel_augment_opts opts = { .crop_height = 4, .crop_width = 5, .crop_padding = 1 };
    const double *y = augmented(numbered(N, H, W), &opts, 3);
    bool seen[5][5] = { { false } };
    for (int n = 0; n < N; n++, y += 20) {
        /* A pixel of the middle tells where the crop is; the outside is zeros. */
        int top = (int)lround(y[2 * 5 + 2]) / 100 - 2, left = (int)lround(y[2 * 5 + 2]) % 100 - 2;
        cr_assert(top >= -1 && top <= 3 && left >= -1 && left <= 3);
        seen[top + 1][left + 1] = true;
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 5; c++) {
                int row = top + r, column = left + c;
                bool inside = row >= 0 && row < H && column >= 0 && column < W;
                cr_expect_float_eq(y[5 * r + c], inside ? 100 * row + column : 0, 1e-9);
            }
        }
    }
    for (int i = 0; i < 25; i++) cr_expect(seen[i / 5][i % 5], "no crop at %d, %d", i / 5 - 1, i % 5 - 1);
}

/* Mass, centre and spread of a picture [size, size]. */
typedef struct blob {
    double mass, x, y, spread;
} blob;

static blob measure(const double *pixels, int size)
{
    blob b = { 0 };
    for (int r = 0; r < size; r++) {
        for (int c = 0; c < size; c++) {
            b.mass += pixels[r * size + c];
            b.x += pixels[r * size + c] * (c - (size - 1) / 2.0);
            b.y += pixels[r * size + c] * (r - (size - 1) / 2.0);
        }
    }
    b.x /= b.mass;
    b.y /= b.mass;
    for (int i = 0; i < size * size; i++) {
        double dx = i % size - (size - 1) / 2.0 - b.x, dy = i / size - (size - 1) / 2.0 - b.y;
        b.spread += pixels[i] * (dx * dx + dy * dy) / b.mass;
    }
    return b;
}

/* n pictures of a spot 8 pixels right of the centre. */
static reel_tensor *spots(int64_t n, int size)
{
    double *data = calloc((size_t)(n * size * size), sizeof *data);
    for (int64_t i = 0; i < n * size * size; i++) {
        double dx = (double)(i % size) - (size - 1) / 2.0 - 8, dy = (double)(i / size % size) - (size - 1) / 2.0;
        data[i] = exp(-(dx * dx + dy * dy) / 8);
    }
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(n, 1, size, size), data);
    free(data);
    return x;
}

Test(augment, turns_scales_and_shifts_as_far_as_it_may, .init = set_up, .fini = tear_down)
{
    enum { N = 300, S = 41 };
    reel_tensor *x = spots(N, S);
    blob still = measure(reel_data_f64(x), S);
    const double *y = augmented(x, &(reel_augment_opts) { .rotate = 90 }, 4);
    double least = 0, most = 0;
    for (int n = 0; n < N; n++) {
        blob b = measure(y + n * S * S, S);
        double angle = atan2(-b.y, b.x) * 180 / 3.14159265358979;
        least = fmin(least, angle);
        most = fmax(most, angle);
        cr_expect_float_eq(hypot(b.x, b.y), still.x, 0.1);
        cr_expect_float_eq(b.mass, still.mass, 0.02 * still.mass);
    }
    cr_expect(least > -90.5 && least < -85 && most < 90.5 && most > 85, "turned %g to %g", least, most);
    y = augmented(x, &(reel_augment_opts) { .scale_low = 0.5, .scale_high = 1.5 }, 5);
    least = most = 1;
    for (int n = 0; n < N; n++) {
        blob b = measure(y + n * S * S, S);
        double scale = b.x / still.x;
        least = fmin(least, scale);
        most = fmax(most, scale);
        cr_expect_float_eq(b.y, 0, 1e-6);
        cr_expect_float_eq(b.spread, still.spread * scale * scale, 1);
    }
    cr_expect(least > 0.49 && least < 0.53 && most > 1.47 && most < 1.51, "scaled %g to %g", least, most);
    y = augmented(x, &(reel_augment_opts) { .shift = 0.1 }, 6);
    least = most = 0;
    for (int n = 0; n < N; n++) {
        blob b = measure(y + n * S * S, S);
        least = fmin(least, b.x - still.x);
        most = fmax(most, b.y);
        cr_expect(fabs(b.x - still.x) <= 4.11 && fabs(b.y) <= 4.11);
    }
    cr_expect(least < -3.9 && most > 3.9);
}

Test(augment, bends_by_as_much_as_it_is_told, .init = set_up, .fini = tear_down)
{
    /* Pictures that hold their own coordinates show where each pixel came from. */
    enum { N = 40, S = 60 };
    double *data = calloc((size_t)N * 2 * S * S, sizeof *data);
    for (int i = 0; i < N * 2 * S * S; i++) data[i] = i / (S * S) % 2 ? i / S % S : i % S;
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(N, 2, S, S), data);
    reel_augment_opts opts = { .elastic = 2, .elastic_sigma = 4, .padding_mode = REEL_PAD_BORDER };
    const double *y = augmented(x, &opts, 7);
    double squares = 0, jump = 0;
    int count = 0;
    for (int n = 0; n < N * 2; n++) {
        for (int r = 15; r < S - 15; r++) {
            for (int c = 15; c < S - 15; c++, count++) {
                int at = (n * S + r) * S + c;
                squares += (y[at] - data[at]) * (y[at] - data[at]);
                jump = fmax(jump, fabs((y[at + 1] - data[at + 1]) - (y[at] - data[at])));
            }
        }
    }
    cr_expect_float_eq(sqrt(squares / count), 2, 0.3, "moved by %g", sqrt(squares / count));
    cr_expect_lt(jump, 3, "torn by %g between neighbours", jump);
    free(data);
}

Test(augment, adds_noise_and_refuses_nonsense, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(4, 3, 50, 50), REEL_F64);
    const double *y = augmented(x, &(reel_augment_opts) { .noise = 0.5 }, 8);
    double squares = 0;
    for (int i = 0; i < 30000; i++) squares += y[i] * y[i];
    cr_expect_float_eq(sqrt(squares / 30000), 0.5, 0.01);
    static const struct {
        reel_augment_opts opts;
        const char *reason;
    } cases[] = { { { .crop_height = 60 }, "crop is larger" },
                  { { .scale_low = 2 }, "range of scales is empty" },
                  { { .rotate = INFINITY }, "is no number" },
                  { { .noise = -1 }, "numbers from 0 up" },
                  { { .elastic = 1, .elastic_sigma = 1e9 }, "numbers from 0 up" },
                  { { .crop_padding = -1 }, "padding is negative" } };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cr_expect_null(reel_augment(x, &cases[k].opts, NULL));
        expect_error(REEL_ERROR_VALUE, cases[k].reason);
    }
    cr_expect_null(reel_augment(reel_zeros(ctx, REEL_SHAPE(4, 50, 50), REEL_U8), &cases[0].opts, NULL));
    expect_error(REEL_ERROR_SHAPE, "not uint8 [4, 50, 50]");
}

Test(augment, is_the_same_in_a_loader_whatever_thread_does_it, .init = set_up, .fini = tear_down)
{
    reel_tensor *field = numbered(20, 8, 8);
    reel_dataset *data = reel_dataset_from_tensors(&field, 1);
    reel_augment_opts opts = { .rotate = 30, .shift = 0.1, .elastic = 1, .noise = 0.1, .flip = 0.5 };
    double first[20 * 64];
    for (int run = 0; run < 2; run++) {
        reel_loader *loader = reel_loader_new(
            ctx, data, &(reel_loader_opts) { .batch = 6, .map = reel_augment_batch, .map_user = &opts, .no_thread = run });
        double values[20 * 64];
        int64_t n = 0;
        while (reel_loader_more(loader)) {
            REEL_SCOPE(ctx)
            {
                reel_batch batch = reel_loader_next(loader);
                cr_assert(batch.count, "%s", reel_ctx_error_message(ctx));
                memcpy(values + n, reel_data(batch.field[0]), (size_t)batch.count * 64 * sizeof(double));
                n += batch.count * 64;
            }
        }
        if (run == 0) memcpy(first, values, sizeof first);
        cr_expect_eq(memcmp(first, values, sizeof first), 0);
        reel_loader_free(loader);
    }
    reel_dataset_free(data);
}
