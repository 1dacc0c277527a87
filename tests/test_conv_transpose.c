// SPDX-License-Identifier: MIT
// Transposed convolution with bias, relu and output padding, by every algorithm against plain loops.
#include <criterion/criterion.h>
#include <reel/core/random.h>
#include <reel/reel.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(conv_transpose, .init = begin, .fini = end, .timeout = 300);

static reel_generator draws;
static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(reel_generator_uniform(&draws) * (double)(high - low + 1));
}

// The largest difference over 1 + the largest value.
static double difference(reel_tensor *a, reel_tensor *b)
{
    reel_tensor *wide = reel_cast(b, REEL_F64), *off = reel_abs(reel_sub(reel_cast(a, REEL_F64), wide));
    return reel_item(reel_amax(off, REEL_ALL_DIMS, false)) /
           (1 + reel_item(reel_amax(reel_abs(wide), REEL_ALL_DIMS, false)));
}

static reel_tensor *noise(reel_shape shape, reel_dtype dtype)
{
    reel_tensor *t = reel_rand(ctx, &draws, shape, dtype, -1, 1);
    reel_eval(t);
    return t;
}

// Small images, whole batches of them, rows of 3, 5 and 7 taps: what goes along images, and along their rows by tiles.
static void by(reel_conv_algo algo, double f32_error, uint64_t seed)
{
    int checked = 0;
    draws = (reel_generator) { .seed = seed };
    while (checked < 80) REEL_SCOPE(ctx)
        {
            reel_dtype dtype = between(0, 3) ? REEL_F32 : REEL_F64;
            int64_t kernel[2] = { between(1, 7), 2 * between(1, 3) + 1 },
                    stride[2] = { between(1, 2), between(0, 4) ? 1 : 2 };
            int64_t n = between(1, 70), groups = between(1, 2), c = between(1, 6),
                    k = between(0, 2) ? between(1, 6) : 1;
            int64_t size[2] = { between(1, 9), between(1, 20) }, pad[2], more[2];
            bool there = true;
            for (int i = 0; i < 2; i++) {
                pad[i] = between(0, kernel[i] - 1);
                more[i] = between(0, stride[i] - 1);
                there = there && (size[i] - 1) * stride[i] - 2 * pad[i] + kernel[i] > 0;
            }
            if (!there) continue;
            reel_tensor *x = noise(REEL_SHAPE(n, c * groups, size[0], size[1]), dtype);
            reel_tensor *w = noise(REEL_SHAPE(c * groups, k, kernel[0], kernel[1]), dtype);
            reel_tensor *bias = between(0, 1) ? noise(REEL_SHAPE(k * groups), dtype) : NULL, *y[2];
            for (int i = 0; i < 2; i++) {
                y[i] = reel_conv_transpose2d(x, w, bias,
                                             &(reel_conv_opts) { .stride = { stride[0], stride[1] },
                                                                 .padding = { pad[0], pad[1] },
                                                                 .output_padding = { more[0], more[1] },
                                                                 .groups = groups,
                                                                 .algo = i ? REEL_CONV_NAIVE : algo });
                if (checked % 2) y[i] = reel_relu(y[i]);
            }
            double error = difference(y[0], y[1]);
            cr_assert_not(reel_ctx_error(ctx), "%s", reel_ctx_error_message(ctx));
            cr_assert(error <= (dtype == REEL_F64 ? 1e-12 : f32_error),
                      "%g: %d images [%d, %d, %d], %d outputs in %d groups, kernel [%d, %d], stride [%d, %d], "
                      "padding [%d, %d], output padding [%d, %d]",
                      error, (int)n, (int)(c * groups), (int)size[0], (int)size[1], (int)k, (int)groups, (int)kernel[0],
                      (int)kernel[1], (int)stride[0], (int)stride[1], (int)pad[0], (int)pad[1], (int)more[0],
                      (int)more[1]);
            checked++;
        }
}

Test(conv_transpose, along_images) { by(REEL_CONV_IMAGES, 4e-6, 1); }
Test(conv_transpose, along_rows_by_tiles) { by(REEL_CONV_WINOGRAD_ROWS, 2e-5, 2); }
Test(conv_transpose, by_direct_sums) { by(REEL_CONV_DIRECT, 4e-6, 3); }
Test(conv_transpose, by_columns) { by(REEL_CONV_IM2COL, 4e-6, 4); }
Test(conv_transpose, by_what_costs_least) { by(REEL_CONV_AUTO, 1e-4, 5); }
