// SPDX-License-Identifier: MIT
// Profiles and plans as people read them, and what is played together with the op before it.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(profile, .init = begin, .fini = end);

static void no_error(void) { cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx)); }

static reel_tensor *noise(reel_ctx *c, reel_shape shape, reel_dtype dtype)
{
    reel_generator random = { .seed = 7 };
    reel_tensor *x = reel_randn(c, &random, shape, dtype, 0, 1);
    reel_eval(x);
    return x;
}

static reel_profile_row row_named(const reel_profile *p, const char *name)
{
    for (int i = 0; i < reel_profile_rows(p); i++)
        if (strcmp(reel_profile_row_at(p, i).name, name) == 0) return reel_profile_row_at(p, i);
    cr_assert_fail("no row is named %s", name);
    return (reel_profile_row) { 0 };
}

static char *table_of(const reel_profile *p)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    cr_assert(reel_profile_write_table(p, file));
    fclose(file);
    return text;
}

static char *plan_of(reel_ctx *c)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    cr_assert(reel_plan_write(c, file), "%s", reel_ctx_error_message(c));
    fclose(file);
    return text;
}

/* A convolution with a relu behind it, then two elementwise ops that are played in one pass, then a sum. */
static void play_model(reel_tensor *x, reel_tensor *w)
{
    REEL_SCOPE(ctx)
    {
        reel_tensor *h = reel_relu(reel_conv2d(x, w, NULL, NULL));
        reel_item(reel_sum(reel_tanh(reel_mul_scalar(h, 2)), REEL_ALL_DIMS, false));
    }
}

Test(profile, counts_calls_bytes_and_arithmetic)
{
    reel_tensor *x = noise(ctx, REEL_SHAPE(8, 3, 34, 34), REEL_F32), *w = noise(ctx, REEL_SHAPE(16, 3, 3, 3), REEL_F32);
    cr_assert(reel_profile_begin(ctx));
    setenv("REEL_CONV_ALGO", "im2col", 1);
    for (int i = 0; i < 5; i++) play_model(x, w);
    reel_profile *p = reel_profile_end(ctx);
    no_error();
    cr_assert_eq(reel_profile_rows(p), 3);
    double results = 8 * 16 * 32 * 32;
    reel_profile_row conv = row_named(p, "conv2d + relu float32 [8, 16, 32, 32] by im2col");
    cr_assert_eq(conv.calls, 5);
    cr_assert_eq(conv.flops, 5 * (results * 3 * 9 * 2 + results));
    cr_assert_eq(conv.bytes, 5 * 4 * (8 * 3 * 34 * 34 + 16 * 3 * 9 + results));
    reel_profile_row fused = row_named(p, "mul + tanh float32 [8, 16, 32, 32]");
    cr_assert_eq(fused.calls, 5);
    cr_assert_eq(fused.flops, 5 * 2 * results);
    cr_assert_eq(fused.bytes, 5 * 4 * 2 * results); /* read once, written once */
    double ops = 0;
    for (int i = 0; i < 3; i++) {
        reel_profile_row row = reel_profile_row_at(p, i);
        cr_assert_gt(row.seconds, 0);
        if (i) cr_assert_leq(row.seconds, reel_profile_row_at(p, i - 1).seconds);
        ops += row.seconds;
    }
    cr_assert_lt(ops, reel_profile_seconds(p));
    char *table = table_of(p);
    cr_assert(strstr(table, "conv2d + relu float32 [8, 16, 32, 32] by im2col\n"), "%s", table);
    cr_assert(strstr(table, "GFLOP/s"), "%s", table);
    cr_assert(strstr(table, "plans made\n"), "%s", table);
    free(table);
    reel_profile_free(p);
}

Test(profile, sees_ops_that_are_played_alone)
{
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    reel_tensor *x = noise(eager, REEL_SHAPE(10), REEL_F64);
    cr_assert(reel_profile_begin(eager));
    reel_exp(x), reel_exp(x);
    reel_profile *p = reel_profile_end(eager);
    cr_assert_eq(row_named(p, "exp float64 [10]").calls, 2);
    reel_ctx_free(eager); /* and with it the profile */
}

Test(profile, ends_only_what_has_begun_and_begins_once)
{
    cr_assert_null(reel_profile_end(ctx));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_CONTEXT);
    reel_ctx_clear_error(ctx);
    cr_assert(reel_profile_begin(ctx));
    cr_assert_not(reel_profile_begin(ctx));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_CONTEXT);
    reel_ctx_clear_error(ctx);
    reel_profile *p = reel_profile_end(ctx);
    cr_assert_not_null(p);
    cr_assert_eq(reel_profile_rows(p), 0);
    cr_assert_eq(reel_profile_row_at(p, 0).calls, 0);
    cr_assert_not(reel_profile_write_table(p, NULL));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
    reel_ctx_clear_error(ctx);
    reel_profile_free(p);
    no_error();
}

/* The value behind `"key": ` in one event's line. */
static double number_in(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    cr_assert_not_null(at, "no %s in %s", key, line);
    return strtod(at + strlen(key), NULL);
}

Test(profile, trace_holds_every_event_within_its_play)
{
    char folder[] = "/tmp/reel-profile-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/trace.json", folder);
    reel_tensor *x = noise(ctx, REEL_SHAPE(8, 3, 34, 34), REEL_F32), *w = noise(ctx, REEL_SHAPE(16, 3, 3, 3), REEL_F32);
    cr_assert(reel_profile_begin(ctx));
    for (int i = 0; i < 4; i++) play_model(x, w);
    reel_profile *p = reel_profile_end(ctx);
    cr_assert(reel_profile_write_trace(p, path), "%s", reel_ctx_error_message(ctx));
    reel_profile_free(p);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    char line[1024];
    int ops = 0, plans = 0, plays = 0;
    double begun = 0;
    cr_assert_not_null(fgets(line, sizeof line, file));
    cr_assert_eq(strncmp(line, "{\"displayTimeUnit\"", 18), 0, "%s", line);
    while (fgets(line, sizeof line, file) && line[0] == '{') {
        double from = number_in(line, "\"ts\": "), length = number_in(line, "\"dur\": ");
        cr_assert_geq(length, 0);
        if (strstr(line, "\"cat\": \"op\"")) ops++;
        if (strstr(line, "\"cat\": \"plan\"")) plans++;
        if (strstr(line, "\"cat\": \"play\"")) { /* comes behind what it holds */
            plays++;
            cr_assert_leq(from, begun);
            begun = 1e300;
        } else if (begun == 0 || begun == 1e300) {
            begun = from;
        }
    }
    cr_assert_str_eq(line, "]}\n");
    fclose(file);
    cr_assert_eq(ops, 12);
    cr_assert_eq(plans, 1);
    cr_assert_eq(plays, 4);
    unlink(path);
    rmdir(folder);
}

Test(profile, trace_that_cannot_be_written_is_an_error)
{
    cr_assert(reel_profile_begin(ctx));
    reel_profile *p = reel_profile_end(ctx);
    cr_assert_not(reel_profile_write_trace(p, "/nowhere/at/all/trace.json"));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
    cr_assert(strstr(reel_ctx_error_message(ctx), "/nowhere/at/all/trace.json"), "%s", reel_ctx_error_message(ctx));
}

Test(profile, plan_shows_steps_places_and_the_size_of_the_arena)
{
    FILE *nothing = fopen("/dev/null", "w");
    cr_assert_not(reel_plan_write(ctx, nothing));
    fclose(nothing);
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_VALUE);
    reel_ctx_clear_error(ctx);
    reel_tensor *x = noise(ctx, REEL_SHAPE(8, 3, 34, 34), REEL_F32), *w = noise(ctx, REEL_SHAPE(16, 3, 3, 3), REEL_F32);
    play_model(x, w);
    cr_assert_not(reel_plan_write(ctx, NULL));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
    reel_ctx_clear_error(ctx);
    char *text = plan_of(ctx);
    /* The relu's result is the only value in the arena besides tanh's, which takes its place over. */
    cr_assert(strstr(text, "plan of 5 ops in 3 steps; arena 524288 bytes, shared block 64 bytes\n"), "%s", text);
    cr_assert(strstr(text, "step 0    conv2d + relu(%0, %1, -) -> %2\n"), "%s", text);
    cr_assert(strstr(text, "step 1    2 ops in one pass, tiles of "), "%s", text);
    cr_assert(strstr(text, "mul(%3) -> %4\n"), "%s", text);
    cr_assert(strstr(text, "step 2    sum(%5) -> %6\n"), "%s", text);
    cr_assert(strstr(text, "%0     float32 [8, 3, 34, 34]: there before, step 0\n"), "%s", text);
    cr_assert(strstr(text, "%2     float32 [8, 16, 32, 32]: inside its step only, step 0\n"), "%s", text);
    cr_assert(strstr(text, "%3     float32 [8, 16, 32, 32]: arena at 0, 524288 bytes, steps 0 to 1\n"), "%s", text);
    cr_assert(strstr(text, "%4     float32 [8, 16, 32, 32]: inside its step only, step 1\n"), "%s", text);
    cr_assert(strstr(text, "%5     float32 [8, 16, 32, 32]: arena at 0, 524288 bytes, steps 1 to 2\n"), "%s", text);
    cr_assert(strstr(text, "%6     float32 []: kept, shared block at 0, "), "%s", text);
    free(text);
}

Test(profile, plan_tells_views_by_bytes_from_what_they_view)
{
    reel_tensor *first = reel_exp(noise(ctx, REEL_SHAPE(4, 8), REEL_F64)), *y = reel_mul(first, first);
    cr_assert(reel_eval(reel_sum(reel_select(y, 0, 3), REEL_ALL_DIMS, false)));
    char *text = plan_of(ctx);
    cr_assert(strstr(text, "%2     float64 [4, 8]: kept, shared block at 256, 256 bytes"), "%s", text);
    cr_assert(strstr(text, "%3     float64 [8]: view of %2 at byte 192\n"), "%s", text);
    free(text);
}

/* Ops that play a relu with them: planned, which fuses, against eager, which does not. */

typedef reel_tensor *maker(reel_ctx *c, int i, reel_dtype dtype);

static reel_tensor *convolution(reel_ctx *c, int i, reel_dtype dtype)
{
    static const reel_conv_algo algos[] = { REEL_CONV_NAIVE, REEL_CONV_DIRECT, REEL_CONV_IM2COL, REEL_CONV_WINOGRAD2,
                                            REEL_CONV_WINOGRAD4, REEL_CONV_WINOGRAD6, REEL_CONV_AUTO };
    int channels = i % 2 ? 8 : 3;
    reel_tensor *x = noise(c, REEL_SHAPE(4, channels, 37, 41), dtype), *w = noise(c, REEL_SHAPE(13, channels, 3, 3), dtype);
    reel_conv_opts opts = { .padding = { i % 3, i % 2 }, .algo = algos[i % 7] };
    return reel_conv2d(x, w, i % 4 < 3 ? noise(c, REEL_SHAPE(13), dtype) : NULL, &opts);
}

static reel_tensor *pointwise_convolution(reel_ctx *c, int i, reel_dtype dtype)
{
    static const reel_conv_algo algos[] = { REEL_CONV_AUTO, REEL_CONV_IM2COL };
    reel_conv_opts opts = { .algo = algos[i % 2] };
    return reel_conv2d(noise(c, REEL_SHAPE(4, 300, 31, 17), dtype), noise(c, REEL_SHAPE(19, 300, 1, 1), dtype),
                       noise(c, REEL_SHAPE(19), dtype), &opts);
}

static reel_tensor *depthwise(reel_ctx *c, int i, reel_dtype dtype)
{
    reel_conv_opts opts = { .padding = { 1, 1 }, .stride = { 1 + i % 2, 1 + i % 2 }, .groups = 24 };
    return reel_conv2d(noise(c, REEL_SHAPE(4, 24, 40, 40), dtype), noise(c, REEL_SHAPE(24, 1, 3, 3), dtype),
                       noise(c, REEL_SHAPE(24), dtype), &opts);
}

static reel_tensor *transposed(reel_ctx *c, int i, reel_dtype dtype)
{
    int64_t stride = 1 + i % 3;
    reel_conv_opts opts = { .stride = { stride, stride }, .algo = i % 2 ? REEL_CONV_AUTO : REEL_CONV_WINOGRAD4 };
    return reel_conv_transpose2d(noise(c, REEL_SHAPE(4, 8, 37, 41), dtype), noise(c, REEL_SHAPE(8, 11, 3, 3), dtype),
                                 noise(c, REEL_SHAPE(11), dtype), &opts);
}

static reel_tensor *linear(reel_ctx *c, int i, reel_dtype dtype)
{
    static const int64_t sizes[][3] = { { 700, 30, 50 }, { 300, 200, 130 }, { 64, 4200, 260 }, { 1, 40, 20000 }, { 40000, 7, 1 } };
    const int64_t *s = sizes[i % 5];
    reel_tensor *bias = i % 2 ? noise(c, REEL_SHAPE(s[2]), dtype) : NULL;
    return reel_linear(noise(c, REEL_SHAPE(s[0], s[1]), dtype), noise(c, REEL_SHAPE(s[2], s[1]), dtype), bias);
}

static reel_tensor *product(reel_ctx *c, int i, reel_dtype dtype)
{
    int64_t k = i % 2 ? 4200 : 20;
    return reel_matmul(noise(c, REEL_SHAPE(3, 90, k), dtype), noise(c, REEL_SHAPE(3, k, 100), dtype));
}

static reel_tensor *pooled(reel_ctx *c, int i, reel_dtype dtype)
{
    reel_pool_opts opts = { .kernel = { 2 + i % 2, 2 } };
    return reel_max_pool2d(noise(c, REEL_SHAPE(16, 10, 35, 51), dtype), &opts);
}

static void same_bits_with_relu(maker *make, const char *name, int cases)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s + relu(", name);
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    for (int i = 0; i < cases; i++) {
        reel_dtype dtype = i % 3 == 2 ? REEL_F64 : REEL_F32;
        reel_tensor *a = reel_relu(make(ctx, i, dtype)), *b = reel_relu(make(eager, i, dtype));
        cr_assert_gt(reel_numel(a) * (int64_t)reel_dtype_size(dtype), 65536);
        const char *x = reel_data(a), *y = reel_data(b);
        cr_assert(x && y, "%s case %d: %s", name, i, reel_ctx_error_message(ctx));
        cr_assert_eq(memcmp(x, y, (size_t)reel_numel(a) * reel_dtype_size(dtype)), 0, "%s, case %d", name, i);
        char *text = plan_of(ctx);
        cr_assert(strstr(text, wanted), "%s, case %d:\n%s", name, i, text);
        free(text);
    }
    reel_ctx_free(eager);
}

Test(profile, conv_with_relu_has_eager_bits) { same_bits_with_relu(convolution, "conv2d", 42); }
Test(profile, conv_by_products_with_relu_has_eager_bits) { same_bits_with_relu(pointwise_convolution, "conv2d", 6); }
Test(profile, depthwise_conv_with_relu_has_eager_bits) { same_bits_with_relu(depthwise, "conv2d", 6); }
Test(profile, transposed_conv_with_relu_has_eager_bits) { same_bits_with_relu(transposed, "conv_transpose2d", 12); }
Test(profile, linear_with_relu_has_eager_bits) { same_bits_with_relu(linear, "linear", 10); }
Test(profile, matmul_with_relu_has_eager_bits) { same_bits_with_relu(product, "matmul", 6); }
Test(profile, max_pool_with_relu_has_eager_bits) { same_bits_with_relu(pooled, "max_pool2d", 6); }

Test(profile, relu_behind_nan_and_minus_zero_has_eager_bits)
{
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    reel_ctx *contexts[] = { ctx, eager };
    const float *values[2];
    for (int k = 0; k < 2; k++) {
        reel_tensor *x = noise(contexts[k], REEL_SHAPE(2, 1, 140, 140), REEL_F32);
        x = reel_where(reel_gt_scalar(x, 1), reel_full_like(x, NAN), reel_where(reel_gt_scalar(x, 0), x, reel_full_like(x, -0.0)));
        reel_eval(x);
        reel_tensor *w = reel_full(contexts[k], REEL_SHAPE(1, 1, 1, 1), REEL_F32, 1), *b = reel_full(contexts[k], REEL_SHAPE(1), REEL_F32, -0.0);
        values[k] = reel_data_f32(reel_relu(reel_conv2d(x, w, b, NULL)));
    }
    cr_assert_eq(memcmp(values[0], values[1], 2 * 140 * 140 * sizeof(float)), 0);
    reel_ctx_free(eager);
}

Test(profile, relu_is_a_step_of_its_own_where_its_input_is_read_elsewhere)
{
    reel_tensor *x = noise(ctx, REEL_SHAPE(4, 3, 60, 60), REEL_F32), *w = noise(ctx, REEL_SHAPE(8, 3, 3, 3), REEL_F32);
    reel_tensor *y = reel_conv2d(x, w, NULL, NULL), *z = reel_relu(y);
    reel_item(reel_sum(reel_cat((reel_tensor *[]) { y, z }, 2, 0), REEL_ALL_DIMS, false));
    char *text = plan_of(ctx);
    cr_assert(!strstr(text, "+ relu"), "%s", text);
    free(text);
    no_error();
}

Test(profile, result_before_a_relu_is_there_when_asked_for_later)
{
    reel_tensor *x = noise(ctx, REEL_SHAPE(4, 3, 60, 60), REEL_F32), *w = noise(ctx, REEL_SHAPE(8, 3, 3, 3), REEL_F32);
    reel_tensor *y = reel_conv2d(x, w, NULL, NULL), *z = reel_relu(y);
    const float *after = reel_data_f32(z), *before = reel_data_f32(y);
    no_error();
    for (int64_t i = 0; i < reel_numel(y); i++) cr_assert_eq(after[i], before[i] < 0 ? 0 : before[i]);
}
