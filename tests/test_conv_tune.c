// SPDX-License-Identifier: MIT
// Convolution algorithms chosen by measurement: what the file holds, who reads it, and what is done with a damaged one;
// and by the cost model, where what was measured left no doubt.
#include <criterion/criterion.h>
#include <reel/ops/conv_algo.h>
#include <reel/reel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static void begin(void)
{
    snprintf(path, sizeof path, "/tmp/reel_tune_%ld", (long)getpid());
    unlink(path);
    setenv("REEL_CONV_AUTOTUNE", path, 1);
    unsetenv("REEL_CONV_ALGO");
}

static void end(void) { unlink(path); }

TestSuite(conv_tune, .init = begin, .fini = end);

static char *contents(void)
{
    static char text[4096];
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void put(const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file && fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* A forward pass and both gradients of ones; the sums, which are whole numbers, are right by any algorithm. */
static void convolve(reel_ctx *ctx)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2, 3, 12, 12), REEL_F32),
                    *w = reel_ones(ctx, REEL_SHAPE(4, 3, 5, 5), REEL_F32);
        reel_set_requires_grad(x, true);
        reel_set_requires_grad(w, true);
        reel_tensor *y = reel_conv2d(x, w, NULL, NULL), *grads[2];
        if (reel_grad(&y, 1, (reel_tensor *[]) { x, w }, 2, NULL, grads) && reel_data(y) && reel_data(grads[0]) &&
            reel_data(grads[1])) {
            cr_assert_float_eq(reel_data_f32(y)[0], 75, 1e-3);
            cr_assert_float_eq(reel_data_f32(grads[0])[0], 4, 1e-3);
            cr_assert_float_eq(reel_data_f32(grads[1])[0], 128, 1e-3);
        }
    }
}

Test(conv_tune, measures_each_pass_once_and_remembers)
{
    for (int context = 0; context < 2; context++) {
        reel_ctx *ctx = reel_ctx_new(NULL);
        convolve(ctx);
        convolve(ctx);
        cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
        const char *text = contents();
        cr_assert(text && strncmp(text, "reel-conv-autotune 1\n", 21) == 0);
        cr_assert_eq(lines(text), 4, "%s", text);
        cr_assert(strstr(text, "forward") && strstr(text, "input_grad") && strstr(text, "weight_grad"));
    }
}

/* Who finds a line of its own takes what it says: naive, which no measurement would choose. */
Test(conv_tune, does_what_the_file_says)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    convolve(ctx);
    reel_ctx_free(ctx);
    char edited[4096] = "", *text = contents(), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (edited[0]) strcpy(strrchr(line, ' '), " naive");
        strcat(strcat(edited, line), "\n");
    }
    put(edited);
    ctx = reel_ctx_new(NULL);
    convolve(ctx);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
    cr_assert_str_eq(contents(), edited, "it was measured again");
}

Test(conv_tune, measures_anew_what_this_build_does_not_have)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    convolve(ctx);
    reel_ctx_free(ctx);
    char edited[4096];
    strcpy(edited, contents());
    strcpy(strrchr(edited, ' '), " quantum\n");
    put(edited);
    ctx = reel_ctx_new(NULL);
    convolve(ctx);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
    cr_assert_eq(lines(contents()), 4);
    cr_assert_null(strstr(contents(), "quantum"));
}

Test(conv_tune, says_which_line_of_a_damaged_file_is_wrong_and_leaves_it)
{
    static const struct {
        const char *text, *line;
    } damaged[] = {
        { "something else\n", "line 1" },
        { "reel-conv-autotune 2\n", "line 1" },
        { "reel-conv-autotune 1\navx2 forward float32 1 2 3\n", "line 2" },
        { "reel-conv-autotune 1\navx2 forward float32 1 1 1 1 1 1 9 1 1 3 1 1 7 1 1 1 1 1 x 0 0 0 direct\n", "line 2" },
        { "reel-conv-autotune 1\navx2 forward float32 1 1 1 1 1 1 9 1 1 3 1 1 7 1 1 1 1 1 1 0 0 0 dir", "line 2" },
        { "reel-conv-autotune 1\navx2 forward float32 1 1 1 1 1 1 9 1 1 3 1 1 7 1 1 1 1 1 1 0 0 0 direct more\n",
          "line 2" },
    };
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        put(damaged[i].text);
        reel_ctx *ctx = reel_ctx_new(NULL);
        convolve(ctx);
        cr_expect_eq(reel_ctx_error(ctx), REEL_ERROR_IO, "%s", damaged[i].text);
        cr_expect(strstr(reel_ctx_error_message(ctx), path) && strstr(reel_ctx_error_message(ctx), damaged[i].line),
                  "%s", reel_ctx_error_message(ctx));
        reel_ctx_free(ctx);
        cr_expect_str_eq(contents(), damaged[i].text);
    }
}

Test(conv_tune, says_that_its_file_cannot_be_written)
{
    setenv("REEL_CONV_AUTOTUNE", "/nowhere/at/all", 1);
    reel_ctx *ctx = reel_ctx_new(NULL);
    convolve(ctx);
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
    cr_assert(strstr(reel_ctx_error_message(ctx), "/nowhere/at/all"), "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(conv_tune, steps_back_for_an_algorithm_that_was_asked_for)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1, 1, 9, 9), REEL_F32),
                *w = reel_ones(ctx, REEL_SHAPE(1, 1, 3, 3), REEL_F32);
    cr_assert(reel_data(reel_conv2d(x, w, NULL, &(reel_conv_opts) { .algo = REEL_CONV_DIRECT })));
    cr_assert_null(contents());
    reel_ctx_free(ctx);
}

// Layers of which another way that could be taken for faster took 1.4 times as long and more (AVX2 on Zen 3, float32).
Test(conv_tune, estimates_lead_to_what_is_by_far_the_fastest)
{
    static const struct {
        int64_t n, c, side, k, kernel, stride, pad, groups;
        reel_conv_pass pass;
        const reel_conv_impl *way;
        int lanes;
    } layers[] = {
        { 8, 24, 28, 24, 5, 4, 0, 1, REEL_CONV_FORWARD, &reel_conv_direct, 8 },
        { 8, 24, 28, 24, 5, 4, 0, 1, REEL_CONV_WEIGHT_GRAD, &reel_conv_direct, 8 },
        { 1, 128, 56, 4, 7, 4, 3, 1, REEL_CONV_FORWARD, &reel_conv_direct, 8 },
        { 1, 128, 56, 4, 7, 4, 3, 1, REEL_CONV_WEIGHT_GRAD, &reel_conv_direct, 8 },
        { 1, 256, 20, 8, 5, 2, 2, 1, REEL_CONV_INPUT_GRAD, &reel_conv_direct, 8 },
        { 8, 32, 56, 4, 3, 2, 1, 1, REEL_CONV_INPUT_GRAD, &reel_conv_phases, 8 },
        { 8, 64, 56, 4, 2, 2, 1, 2, REEL_CONV_INPUT_GRAD, &reel_conv_phases, 8 },
        { 1, 32, 112, 4, 11, 2, 5, 4, REEL_CONV_INPUT_GRAD, &reel_conv_phases, 8 },
        { 32, 3, 32, 32, 3, 1, 1, 1, REEL_CONV_INPUT_GRAD, &reel_conv_direct, 8 },
        { 2, 128, 32, 64, 8, 2, 3, 1, REEL_CONV_INPUT_GRAD, &reel_conv_winograd_columns, 8 },
        { 8, 3, 224, 64, 7, 2, 3, 1, REEL_CONV_INPUT_GRAD, &reel_conv_winograd_columns, 8 },
        { 128, 64, 26, 64, 3, 1, 0, 1, REEL_CONV_FORWARD, &reel_conv_winograd6, 8 },
        { 8, 96, 112, 96, 3, 2, 1, 96, REEL_CONV_INPUT_GRAD, &reel_conv_phases, 8 },
        { 8, 144, 56, 144, 5, 2, 2, 144, REEL_CONV_INPUT_GRAD, &reel_conv_phases, 8 },
        { 64, 10, 12, 20, 5, 1, 0, 1, REEL_CONV_FORWARD, &reel_conv_winograd_rows, 8 },
        { 8, 24, 20, 4, 5, 1, 2, 1, REEL_CONV_FORWARD, &reel_conv_winograd_rows, 8 },
        // Of AVX-512's vectors of images half would be empty.
        { 8, 24, 20, 4, 5, 1, 2, 1, REEL_CONV_FORWARD, &reel_conv_direct, 16 },
        { 128, 1, 28, 64, 3, 1, 0, 1, REEL_CONV_WEIGHT_GRAD, &reel_conv_dots, 8 },
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        int64_t kernel = layers[i].kernel, stride = layers[i].stride, pad = layers[i].pad, side = layers[i].side,
                out = (side + 2 * pad - kernel) / stride + 1;
        reel_conv_geom g = { .dtype = REEL_F32,
                             .lanes = layers[i].lanes,
                             .n = layers[i].n,
                             .groups = layers[i].groups,
                             .c = layers[i].c,
                             .k = layers[i].k,
                             .in = { 1, side, side },
                             .kernel = { 1, kernel, kernel },
                             .out = { 1, out, out },
                             .stride = { 1, stride, stride },
                             .dilation = { 1, 1, 1 },
                             .pad = { 0, pad, pad } };
        const reel_conv_impl *way = reel_conv_choose(&g, layers[i].pass, REEL_CONV_AUTO);
        cr_expect_eq(way, layers[i].way, "layer %d goes by %s", (int)i, way->name);
    }
}
