// SPDX-License-Identifier: MIT
// The planner: same values as one op at a time, repeated steps that plan and allocate nothing, graphs that change.
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void setup(void) { ctx = reel_ctx_new(NULL); }
static void teardown(void)
{
    cr_expect_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}
TestSuite(plan, .init = setup, .fini = teardown);

/* A random expression over `x` and `w`, the same for the same seed: elementwise trees, broadcasts, views, reductions,
 * products and branches. */
static reel_tensor *expression(reel_ctx *c, reel_tensor *x, reel_tensor *w, uint64_t seed, int depth)
{
    reel_generator random = { .seed = seed };
    reel_tensor *values[64] = { x, reel_matmul(x, w) };
    int n = 2;
    for (int i = 0; i < depth; i++) {
        reel_tensor *a = values[reel_generator_below(&random, n)], *b = values[reel_generator_below(&random, n)], *y = NULL;
        switch (reel_generator_below(&random, 10)) {
        case 0: y = reel_add(a, b); break;
        case 1: y = reel_mul(a, reel_tanh(b)); break;
        case 2: y = reel_sub(a, reel_mean(b, REEL_DIMS(1), true)); break;
        case 3: y = reel_matmul(reel_tanh(a), w); break;
        case 4: y = reel_sigmoid(a); break;
        case 5: y = reel_relu(reel_sub(a, b)); break;
        case 6: y = reel_transpose(reel_contiguous(reel_transpose(a, 0, 1)), 0, 1); break;
        case 7: y = reel_softmax(a, 1); break;
        case 8: y = reel_mul(reel_slice(a, 0, 0, 1, 1), b); break;
        default: y = reel_where(reel_gt(a, b), a, reel_mul_scalar(b, 0.5)); break;
        }
        values[n++] = y;
    }
    reel_tensor *total = reel_mean(reel_square(values[n - 1]), REEL_ALL_DIMS, false);
    for (int i = 1; i < n; i += 3) total = reel_add(total, reel_mean(values[i], REEL_ALL_DIMS, false));
    (void)c;
    return total;
}

typedef struct outcome {
    double loss;
    float gradient[64];
} outcome;

static outcome run(reel_ctx *c, uint64_t seed, int64_t rows, int depth)
{
    outcome result;
    memset(&result, 0, sizeof result);
    REEL_SCOPE(c)
    {
        reel_generator random = { .seed = 99 };
        reel_tensor *w = reel_set_requires_grad(reel_randn(c, &random, REEL_SHAPE(8, 8), REEL_F32, 0, 0.3), true);
        reel_tensor *x = reel_randn(c, &random, REEL_SHAPE(rows, 8), REEL_F32, 0, 1);
        reel_tensor *loss = expression(c, x, w, seed, depth);
        reel_backward(loss);
        result.loss = reel_item(loss);
        reel_copy_out(reel_grad_of(w), result.gradient, sizeof result.gradient);
    }
    return result;
}

static void expect_same(const outcome *a, const outcome *b, int seed)
{
    cr_assert(memcmp(&a->loss, &b->loss, sizeof a->loss) == 0, "seed %d: %.9g and %.9g", seed, a->loss, b->loss);
    cr_assert(memcmp(a->gradient, b->gradient, sizeof a->gradient) == 0, "seed %d", seed);
}

Test(plan, gives_the_bits_of_eager_play)
{
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    reel_ctx *recompute = reel_ctx_new(&(reel_ctx_opts) { .recompute = true });
    for (uint64_t seed = 0; seed < 200; seed++) {
        int64_t rows = seed % 8 ? 1 + (int64_t)(seed % 37) * 3 : 2100; /* beyond 2048 values have no memory of their own */
        int depth = 3 + (int)(seed % 20);
        outcome a = run(ctx, seed, rows, depth), b = run(eager, seed, rows, depth), c = run(recompute, seed, rows, depth);
        expect_same(&a, &b, (int)seed);
        expect_same(&a, &c, (int)seed);
    }
    cr_assert_eq(reel_ctx_error(eager), REEL_OK, "%s", reel_ctx_error_message(eager));
    cr_assert_eq(reel_ctx_error(recompute), REEL_OK, "%s", reel_ctx_error_message(recompute));
    reel_ctx_free(eager);
    reel_ctx_free(recompute);
}

Test(plan, gives_the_same_bits_at_any_number_of_threads)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        outcome first = { 0 };
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx *c = reel_ctx_new(&(reel_ctx_opts){ .threads = threads });
            outcome result = run(c, seed, 20000, 12);
            if (threads == 1) first = result;
            cr_assert(memcmp(&result.loss, &first.loss, sizeof first.loss) == 0, "seed %d, %d threads", (int)seed, threads);
            cr_assert(memcmp(result.gradient, first.gradient, sizeof first.gradient) == 0, "seed %d, %d threads", (int)seed, threads);
            reel_ctx_free(c);
        }
    }
}

typedef struct pooled_case {
    int64_t n, c, k, side, kernel, groups;
    bool relu_before, relu_behind, gradient, not_a_number, ceil;
    reel_dtype dtype;
} pooled_case;

/* A convolution, a max pool and relus: the pooled values, then the gradients by image and weight, as doubles. */
static int64_t pooled(reel_ctx *c, const pooled_case *s, bool keep, double *values)
{
    int64_t count = 0;
    REEL_SCOPE(c)
    {
        reel_generator random = { .seed = 5 };
        reel_tensor *x = reel_randn(c, &random, REEL_SHAPE(s->n, s->c, s->side, s->side + 1), s->dtype, 0, 1);
        reel_tensor *w = reel_randn(c, &random, REEL_SHAPE(s->k, s->c / s->groups, s->kernel, s->kernel), s->dtype, 0, 1);
        reel_tensor *bias = reel_randn(c, &random, REEL_SHAPE(s->k), s->dtype, 0, 1), *grads[2] = { NULL, NULL };
        if (s->not_a_number) x = reel_where(reel_gt_scalar(x, 2.5), reel_full(c, REEL_SHAPE(1), s->dtype, NAN), x);
        reel_eval(x);
        x = reel_set_requires_grad(reel_detach(x), s->gradient);
        reel_set_requires_grad(w, s->gradient);
        reel_tensor *y = reel_conv2d(x, w, bias, &(reel_conv_opts) { .groups = s->groups, .padding = { 1, 1 } }), *result = y;
        if (s->relu_before) result = reel_relu(result);
        result = reel_max_pool2d(result, &(reel_pool_opts) { .kernel = { 2, 2 }, .ceil_mode = s->ceil });
        if (s->relu_behind) result = reel_relu(result);
        if (s->gradient) reel_grad(&result, 1, (reel_tensor *[]) { x, w }, 2, (reel_tensor *[]) { NULL }, grads);
        reel_tensor *all[] = { result, grads[0], grads[1], keep ? y : NULL };
        for (int i = 0; i < 4; i++) {
            if (!all[i]) continue;
            reel_tensor *wide = reel_cast(all[i], REEL_F64);
            const double *data = reel_data_f64(wide);
            for (int64_t k = 0; data && k < reel_numel(wide); k++) values[count++] = data[k];
        }
    }
    return count;
}

Test(plan, pools_behind_a_convolution_without_its_result)
{
    static const pooled_case cases[] = {
        { 64, 1, 8, 28, 7, 1, false, true, true, false, false, REEL_F32 }, { 70, 3, 10, 13, 5, 1, false, false, true, false, false, REEL_F32 },
        { 64, 4, 6, 12, 5, 2, true, false, false, false, false, REEL_F32 }, { 64, 2, 5, 11, 5, 1, true, true, false, true, false, REEL_F32 },
        { 64, 2, 5, 11, 5, 1, false, true, true, true, false, REEL_F32 },  { 33, 3, 4, 9, 5, 1, true, true, true, false, false, REEL_F64 },
        { 64, 2, 3, 10, 5, 1, false, true, true, false, true, REEL_F32 },  { 64, 1, 1, 9, 3, 1, false, true, true, false, false, REEL_F32 },
    };
    enum { MOST = 1 << 20 };
    double *a = malloc(MOST * sizeof *a), *b = malloc(MOST * sizeof *b);
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int keep = 0; keep < 4; keep++) {
            setenv("REEL_CONV_ALGO", keep < 2 ? "images" : "winograd_rows", 1);
            int64_t n = pooled(ctx, &cases[i], keep % 2, a), m = pooled(eager, &cases[i], keep % 2, b);
            cr_assert(n == m && n > 0 && n <= MOST, "case %zu: %lld and %lld values", i, (long long)n, (long long)m);
            for (int64_t k = 0; k < n; k++)
                cr_assert(a[k] == b[k] || (isnan(a[k]) && isnan(b[k])), "case %zu, value %lld: %g and %g", i, (long long)k, a[k], b[k]);
        }
    unsetenv("REEL_CONV_ALGO");
    cr_assert_eq(reel_ctx_error(eager), REEL_OK, "%s", reel_ctx_error_message(eager));
    reel_ctx_free(eager);
    free(a);
    free(b);
}

Test(plan, says_what_is_played_with_a_convolution)
{
    char text[4096] = "";
    FILE *file = fmemopen(text, sizeof text, "w");
    reel_tensor *x = reel_randn(ctx, NULL, REEL_SHAPE(64, 1, 28, 28), REEL_F32, 0, 1), *w = reel_randn(ctx, NULL, REEL_SHAPE(8, 1, 7, 7), REEL_F32, 0, 1);
    reel_eval_all((reel_tensor *[]) { x, w }, 2);
    reel_conv_opts opts = { .algo = REEL_CONV_IMAGES }; /* plays both; not every instruction set takes it here by itself */
    reel_tensor *conv = reel_dropout2d(reel_conv2d(x, w, NULL, &opts), 0.5, false, NULL);
    reel_tensor *y = reel_relu(reel_max_pool2d(conv, &(reel_pool_opts) { .kernel = { 2, 2 } }));
    reel_eval(y);
    cr_assert(file && reel_plan_write(ctx, file));
    fclose(file);
    cr_expect(strstr(text, "conv2d + max_pool2d + relu("), "%s", text);
}

/* An op, views of all of its result, and ops behind: those of three values that `asked` names. */
static int64_t through_views(reel_ctx *c, int64_t n, unsigned asked, bool convolve, double *values)
{
    int64_t count = 0;
    REEL_SCOPE(c)
    {
        reel_generator random = { .seed = 11 };
        reel_tensor *x = reel_randn(c, &random, REEL_SHAPE(n, 2, 6, 6), REEL_F32, 0, 1);
        reel_tensor *w = reel_set_requires_grad(reel_randn(c, &random, REEL_SHAPE(5, 2, 3, 3), REEL_F32, 0, 1), true);
        reel_eval_all((reel_tensor *[]) { x, w }, 2);
        reel_tensor *base = convolve ? reel_conv2d(x, w, NULL, NULL) : reel_exp(x);
        reel_tensor *view = reel_dropout(reel_dropout2d(base, 0.5, false, NULL), 0.5, false, NULL);
        reel_tensor *behind = reel_relu(reel_max_pool2d(view, &(reel_pool_opts) { .kernel = { 2, 2 } }));
        reel_tensor *sum = reel_sum(reel_mul(reel_detach(reel_mul_scalar(view, 3)), view), REEL_ALL_DIMS, false);
        reel_tensor *all[] = { base, view, behind, sum }, *wanted[5], *grad = NULL;
        int n_wanted = 0;
        for (int i = 0; i < 4; i++)
            if (asked >> i & 1) wanted[n_wanted++] = all[i];
        if (convolve && (asked & 8)) {
            reel_grad(&sum, 1, &w, 1, (reel_tensor *[]) { NULL }, &grad);
            wanted[n_wanted++] = grad;
        }
        reel_eval_all(wanted, n_wanted);
        for (int i = 0; i < n_wanted; i++) {
            const float *data = reel_data_f32(wanted[i]);
            for (int64_t k = 0; data && k < reel_numel(wanted[i]); k++) values[count++] = data[k];
        }
    }
    return count;
}

Test(plan, looks_through_views_of_all_of_a_value)
{
    enum { MOST = 1 << 19 };
    double *a = malloc(MOST * sizeof *a), *b = malloc(MOST * sizeof *b);
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    for (int64_t n = 1; n <= 400; n += 399) /* small values are kept with their handles */
        for (unsigned asked = 1; asked < 32; asked++) {
            int64_t count = through_views(ctx, n, asked & 15, asked & 16, a);
            cr_assert_eq(count, through_views(eager, n, asked & 15, asked & 16, b));
            cr_assert(count <= MOST && (count > 0) == ((asked & 15) != 0), "asked %u: %lld values", asked, (long long)count);
            cr_assert(memcmp(a, b, (size_t)count * sizeof *a) == 0, "asked %u of %lld images", asked, (long long)n);
        }
    cr_assert_eq(reel_ctx_error(eager), REEL_OK, "%s", reel_ctx_error_message(eager));
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(eager);
    free(a);
    free(b);
}

Test(plan, of_a_repeated_step_is_found_and_allocates_nothing)
{
    reel_tensor *w = reel_set_requires_grad(reel_randn(ctx, NULL, REEL_SHAPE(8, 8), REEL_F32, 0, 0.3), true);
    reel_tensor *x = reel_randn(ctx, NULL, REEL_SHAPE(300, 8), REEL_F32, 0, 1);
    reel_eval(w), reel_eval(x);
    reel_memory_stats warm = { 0 };
    for (int step = 0; step < 50; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *loss = expression(ctx, x, w, 5, 18);
            reel_backward(loss);
            reel_assign(w, reel_sub(reel_detach(w), reel_mul_scalar(reel_grad_of(w), 0.01 / (1 + step))));
            reel_clear_grad(w);
            reel_item(loss);
        }
        if (step == 2) warm = reel_ctx_memory(ctx);
    }
    reel_memory_stats now = reel_ctx_memory(ctx);
    cr_assert_eq(now.system_allocations, warm.system_allocations);
    cr_assert_eq(now.plan_misses, warm.plan_misses);
    cr_assert_gt(now.plan_hits, warm.plan_hits + 40);
    cr_assert_eq(now.tensors_now, warm.tensors_now);
}

/* Of a shape the sizes alone count: neither those past its axes nor the bytes between its fields. */
static reel_shape dirty(int64_t rows, int64_t columns, int dirt)
{
    reel_shape shape;
    memset(&shape, dirt, sizeof shape);
    shape.ndim = 2;
    shape.dim[0] = rows;
    shape.dim[1] = columns;
    return shape;
}

Test(plan, does_not_depend_on_what_lies_beside_the_sizes)
{
    int64_t misses = 0;
    for (int step = 0; step < 6; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *noise = reel_randn(ctx, NULL, dirty(3, 4, 1 + step), REEL_F32, 0, 1);
            reel_tensor *mask = reel_rand(ctx, NULL, dirty(3, 4, 11 + step), REEL_F32, 0, 1);
            reel_item(reel_sum(reel_mul(noise, mask), REEL_ALL_DIMS, false));
        }
        if (step == 0) misses = reel_ctx_memory(ctx).plan_misses;
    }
    cr_assert_eq(reel_ctx_memory(ctx).plan_misses, misses);
}

Test(plan, of_a_graph_that_always_changes_stays_bounded)
{
    reel_tensor *w = reel_set_requires_grad(reel_randn(ctx, NULL, REEL_SHAPE(8, 8), REEL_F32, 0, 0.3), true);
    reel_eval(w);
    size_t held = 0;
    for (int step = 0; step < 3000; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *x = reel_randn(ctx, NULL, REEL_SHAPE(1 + step % 23, 8), REEL_F32, 0, 1);
            reel_tensor *loss = expression(ctx, x, w, (uint64_t)step, 2 + step % 17);
            reel_backward(loss);
            reel_assign(w, reel_sub(reel_detach(w), reel_mul_scalar(reel_grad_of(w), 0.001)));
            reel_clear_grad(w);
            cr_assert(isfinite(reel_item(loss)));
        }
        if (step == 1500) held = reel_ctx_memory(ctx).pool;
    }
    cr_assert_leq(reel_ctx_memory(ctx).pool, held + held / 4);
}

Test(plan, fuses_without_touching_what_is_asked_for_later)
{
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(50000), REEL_F32, -1, 1);
    reel_tensor *a = reel_mul_scalar(x, 2), *b = reel_exp(a), *c = reel_add(b, a);
    reel_tensor *d = reel_sum(c, REEL_ALL_DIMS, false);
    double sum = reel_item(d);
    cr_assert(isfinite(sum));
    const float *xs = reel_data_f32(x), *as = reel_data_f32(a), *bs = reel_data_f32(b), *cs = reel_data_f32(c);
    for (int i = 0; i < 50000; i++) {
        cr_assert_eq(as[i], 2 * xs[i]);
        cr_assert_float_eq(bs[i], expf(as[i]), 1e-5 * bs[i]);
        cr_assert_eq(cs[i], bs[i] + as[i]);
    }
}

Test(plan, broadcasts_inside_a_fused_chain)
{
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(7, 5, 11), REEL_F64, -1, 1);
    reel_tensor *row = reel_rand(ctx, NULL, REEL_SHAPE(11), REEL_F64, -1, 1), *mid = reel_rand(ctx, NULL, REEL_SHAPE(5, 1), REEL_F64, -1, 1);
    reel_eval_all((reel_tensor *[]){ x, row, mid }, 3);
    reel_tensor *y = reel_mul(reel_add(reel_mul(x, row), mid), reel_scalar(ctx, REEL_F64, 3));
    const double *ys = reel_data_f64(y), *xs = reel_data_f64(x), *rows = reel_data_f64(row), *mids = reel_data_f64(mid);
    for (int i = 0; i < 7 * 5 * 11; i++)
        cr_assert_float_eq(ys[i], (xs[i] * rows[i % 11] + mids[i / 11 % 5]) * 3, 1e-15);
}

/* Torture: every allocation of a training program fails once. */

typedef struct failing {
    int64_t calls, fail_at, live;
} failing;

static void *failing_allocate(void *user, size_t bytes, size_t alignment)
{
    failing *f = user;
    if (++f->calls == f->fail_at) return NULL;
    void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    f->live += memory != NULL;
    return memory;
}

static void failing_release(void *user, void *memory)
{
    ((failing *)user)->live -= memory != NULL;
    free(memory);
}

static void fail_each_allocation(bool recompute)
{
    int64_t survived = 0;
    for (int64_t at = 1; at < 2000; at++) {
        failing f = { .fail_at = at };
        reel_ctx *c = reel_ctx_new(&(reel_ctx_opts) { .threads = 1,
                                                      .recompute = recompute,
                                                      .allocate = failing_allocate,
                                                      .release = failing_release,
                                                      .allocator_user = &f });
        if (!c) continue;
        outcome result = run(c, 11, 4000, 14);
        bool failed = reel_ctx_error(c) != REEL_OK;
        if (failed) cr_assert_eq(reel_ctx_error(c), REEL_ERROR_MEMORY, "%s", reel_ctx_error_message(c));
        if (!failed) cr_assert(isfinite(result.loss));
        reel_ctx_free(c);
        cr_assert_eq(f.live, 0, "allocation %d leaked", (int)at);
        if (f.calls < at) break;
        survived++;
    }
    cr_assert_gt(survived, 10);
}

/* The last tile of a group is no whole one. What an earlier plan left in the arena behind it changes nothing, though tan of
 * a vector with an element so large rounds otherwise. */
Test(plan, does_not_depend_on_what_lies_behind_a_value)
{
    enum { N = 15 };
    const int64_t one = 1;
    reel_ctx *eager = reel_ctx_new(&(reel_ctx_opts) { .eager = true });
    for (int turn = 0; turn < 4000; turn++) {
        double x[N], want[N];
        for (int i = 0; i < N; i++) x[i] = turn * 0.0371 + i * 4.13;
        REEL_SCOPE(eager)
        {
            reel_tensor *y = reel_tan(reel_neg(reel_roll(reel_doubles(eager, REEL_SHAPE(N), x), &one, REEL_ALL_DIMS)));
            cr_assert(reel_copy_out(y, want, sizeof want));
        }
        REEL_SCOPE(ctx)
        {
            reel_tensor *large = reel_roll(reel_full(ctx, REEL_SHAPE(64), REEL_F64, 1e30), &one, REEL_ALL_DIMS), *first = large;
            large = reel_sum(reel_mul_scalar(large, 2), REEL_ALL_DIMS, false);
            reel_free(first);
            cr_assert(reel_eval(large));
            reel_tensor *rolled = reel_roll(reel_doubles(ctx, REEL_SHAPE(N), x), &one, REEL_ALL_DIMS);
            reel_tensor *y = reel_tan(reel_neg(rolled));
            reel_free(rolled);
            const double *got = reel_data_f64(y);
            cr_assert(got && memcmp(got, want, sizeof want) == 0, "turn %d", turn);
        }
    }
    reel_ctx_free(eager);
}

Test(plan, survives_every_failing_allocation)
{
    fail_each_allocation(false);
    fail_each_allocation(true);
}
