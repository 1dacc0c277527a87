// SPDX-License-Identifier: MIT
// Training steps in the long run: nothing is asked of the system once they repeat, memory does not grow, and a graph
// that is another one at every step trains as it does op by op. The allocator is watched from here.
#include "../bench/models.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <reel/reel.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Every way to the system's allocator, of this program and of all libraries in it. A sanitizer has its own. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WATCHED 1
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static atomic_llong allocations;

void *malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, bytes);
}
void *realloc(void *memory, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, bytes);
}
void *memalign(size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *taken = memalign(alignment, bytes);
    if (!taken) return ENOMEM;
    *memory = taken;
    return 0;
}
#endif

/* The benchmarks' networks, both with dropout, on images of 28 x 28. */
typedef struct network {
    reel_ctx *ctx;
    bench_model model;
} network;

static network network_make(bool stn, int64_t batch, int threads)
{
    network m = { .ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads }) };
    bench_model_make(&m.model, m.ctx, stn, batch, 12);
    return m;
}

static void network_free(network *m)
{
    cr_assert_eq(reel_ctx_error(m->ctx), REEL_OK, "%s", reel_ctx_error_message(m->ctx));
    bench_model_free(&m->model);
    reel_ctx_free(m->ctx);
}

static double network_step(const network *m)
{
    double loss = 0;
    REEL_SCOPE(m->ctx) loss = bench_model_step(&m->model);
    return loss;
}

static void asks_nothing_of_the_system(bool is_stn)
{
#ifdef WATCHED
    for (int threads = 1; threads <= 2; threads++) {
        network m = network_make(is_stn, 16, threads);
        cr_assert_gt(atomic_load(&allocations), 0); /* the watch works */
        for (int step = 0; step < 3; step++) network_step(&m);
        reel_memory_stats before = reel_ctx_memory(m.ctx);
        long long first = atomic_load(&allocations);
        for (int step = 0; step < 20; step++) network_step(&m);
        cr_assert_eq(atomic_load(&allocations) - first, 0, "%lld allocations in 20 steps, %d threads",
                     atomic_load(&allocations) - first, threads);
        reel_memory_stats after = reel_ctx_memory(m.ctx);
        cr_assert_eq(after.system_allocations, before.system_allocations);
        cr_assert_eq(after.plan_misses, before.plan_misses);
        cr_assert_eq(after.plan_hits, before.plan_hits + 20);
        network_free(&m);
    }
#else
    (void)is_stn;
    cr_skip_test("the allocator of this build cannot be watched: a sanitizer's, or not glibc's");
#endif
}

Test(steps, of_a_cnn_ask_nothing_of_the_system_from_the_fourth_on) { asks_nothing_of_the_system(false); }
Test(steps, of_an_stn_ask_nothing_of_the_system_from_the_fourth_on) { asks_nothing_of_the_system(true); }

static void memory_stays(bool is_stn)
{
    network m = network_make(is_stn, 4, 1);
    for (int step = 0; step < 10; step++) network_step(&m);
    reel_memory_stats ten = reel_ctx_memory(m.ctx);
    for (int step = 10; step < 1000; step++) network_step(&m);
    reel_memory_stats thousand = reel_ctx_memory(m.ctx);
    cr_assert_eq(thousand.pool, ten.pool);
    cr_assert_eq(thousand.tensors_now, ten.tensors_now);
    cr_assert_eq(thousand.tensors_peak, ten.tensors_peak);
    cr_assert_eq(thousand.nodes, ten.nodes);
    network_free(&m);
}

Test(steps, a_thousand_of_a_cnn_take_the_memory_of_ten) { memory_stays(false); }
Test(steps, a_thousand_of_an_stn_take_the_memory_of_ten) { memory_stays(true); }

static void same_bits_by_threads(bool is_stn)
{
    double first[5];
    for (int threads = 1; threads <= 4; threads *= 2) {
        network m = network_make(is_stn, 24, threads);
        for (int step = 0; step < 5; step++) {
            double loss = network_step(&m);
            if (threads == 1) first[step] = loss;
            cr_assert(memcmp(&loss, &first[step], sizeof loss) == 0, "step %d, %d threads: %.9g, not %.9g", step, threads, loss,
                      first[step]);
        }
        network_free(&m);
    }
}

Test(steps, of_a_cnn_have_the_same_bits_at_any_number_of_threads) { same_bits_by_threads(false); }
Test(steps, of_an_stn_have_the_same_bits_at_any_number_of_threads) { same_bits_by_threads(true); }

/* A network whose depth, branches and batch are drawn anew at every step: y = sin(2 x0) + x1 x2, learnt by residual blocks
 * of which any number is used. */

enum { WIDTH = 12, BLOCKS = 5, FIELDS = 2 * BLOCKS + 4 };

typedef struct dynamic {
    reel_ctx *ctx;
    reel_tensor *p[FIELDS];
    reel_optim *adam;
} dynamic;

static dynamic dynamic_make(bool eager)
{
    dynamic d = { .ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 1, .eager = eager }) };
    reel_generator random = { .seed = 2 }; /* one start in six learns too slowly for the bounds below: not this one */
    for (int i = 0; i < FIELDS; i++) {
        reel_shape shape = i < 2 * BLOCKS        ? (i % 2 ? REEL_SHAPE(WIDTH) : REEL_SHAPE(WIDTH, WIDTH))
                           : i == 2 * BLOCKS     ? REEL_SHAPE(WIDTH, 3)
                           : i == 2 * BLOCKS + 1 ? REEL_SHAPE(WIDTH)
                           : i == 2 * BLOCKS + 2 ? REEL_SHAPE(1, WIDTH)
                                                 : REEL_SHAPE(1);
        d.p[i] = reel_set_requires_grad(reel_randn(d.ctx, &random, shape, REEL_F32, 0, shape.ndim == 2 ? 0.3 : 0), true);
        reel_eval(d.p[i]);
    }
    d.adam = reel_adam_new((reel_params) { .at = d.p, .count = FIELDS }, &(reel_adam_opts) { .lr = 2e-3 });
    return d;
}

static reel_tensor *block(const dynamic *d, reel_generator *random, int i, reel_tensor *h)
{
    reel_tensor *z = reel_linear(h, d->p[2 * i], d->p[2 * i + 1]);
    switch (reel_generator_below(random, 5)) {
    case 0: return reel_add(h, reel_tanh(z));
    case 1: return reel_add(h, reel_mul(reel_sigmoid(z), reel_tanh(h)));
    case 2: return reel_add(h, reel_transpose(reel_tanh(reel_transpose(z, 0, 1)), 0, 1));
    case 3: return reel_add(reel_mul_scalar(h, 0.5), reel_mul_scalar(reel_add(h, reel_tanh(z)), 0.5));
    default: return h;
    }
}

static double dynamic_step(const dynamic *d, uint64_t seed)
{
    reel_generator random = { .seed = seed };
    int64_t rows = 4 + reel_generator_below(&random, 13);
    float x[16 * 3], y[16];
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < 3; k++) x[3 * i + k] = (float)reel_generator_below(&random, 2001) / 1000 - 1;
        y[i] = sinf(2 * x[3 * i]) + x[3 * i + 1] * x[3 * i + 2];
    }
    double value = 0;
    REEL_SCOPE(d->ctx)
    {
        reel_tensor *const *p = d->p + 2 * BLOCKS;
        reel_tensor *h = reel_tanh(reel_linear(reel_floats(d->ctx, REEL_SHAPE(rows, 3), x), p[0], p[1]));
        int64_t depth = 1 + reel_generator_below(&random, 2 * BLOCKS);
        for (int64_t i = 0; i < depth; i++) h = block(d, &random, (int)reel_generator_below(&random, BLOCKS), h);
        reel_tensor *error = reel_sub(reel_linear(h, p[2], p[3]), reel_floats(d->ctx, REEL_SHAPE(rows, 1), y));
        reel_tensor *loss = reel_mean(reel_square(error), REEL_ALL_DIMS, false);
        reel_backward(loss);
        reel_optim_step(d->adam);
        value = reel_item(loss);
    }
    return value;
}

Test(steps, with_another_graph_each_train_as_op_by_op)
{
    dynamic planned = dynamic_make(false), eager = dynamic_make(true);
    double early = 0, late = 0;
    size_t pool = 0;
    int64_t nodes = 0;
    for (int step = 0; step < 10000; step++) {
        double a = dynamic_step(&planned, (uint64_t)step), b = dynamic_step(&eager, (uint64_t)step);
        cr_assert(memcmp(&a, &b, sizeof a) == 0, "step %d: %.9g, but %.9g op by op", step, a, b);
        if (step < 200) early += a / 200;
        if (step >= 9800) late += a / 200;
        if (step % 500) continue;
        for (int i = 0; i < FIELDS; i++) {
            size_t bytes = (size_t)reel_numel(planned.p[i]) * sizeof(float);
            cr_assert_eq(memcmp(reel_data(planned.p[i]), reel_data(eager.p[i]), bytes), 0, "step %d, parameter %d", step, i);
        }
        if (step == 2000) pool = reel_ctx_memory(planned.ctx).pool, nodes = reel_ctx_memory(planned.ctx).nodes;
    }
    cr_assert_gt(reel_ctx_memory(planned.ctx).plan_misses, 5000); /* the graph did change */
    cr_assert_leq(reel_ctx_memory(planned.ctx).pool, pool + pool / 50);
    cr_assert_eq(reel_ctx_memory(planned.ctx).nodes, nodes);
    cr_assert_lt(late, 0.1, "%g at first, %g at last", early, late);
    cr_assert_gt(early, 6 * late);
    for (int k = 0; k < 2; k++) {
        dynamic *d = k ? &eager : &planned;
        cr_assert_eq(reel_ctx_error(d->ctx), REEL_OK, "%s", reel_ctx_error_message(d->ctx));
        reel_optim_free(d->adam);
        reel_ctx_free(d->ctx);
    }
}

/* The ceiling. */

Test(steps, beyond_the_memory_limit_say_by_how_much_and_can_be_tried_smaller)
{
    size_t limit = (size_t)1 << 20;
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .memory_limit = limit });
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(1 << 17), REEL_F32); /* half of it */
    cr_assert_null(reel_ones(ctx, REEL_SHAPE(1 << 18), REEL_F32));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_MEMORY);
    size_t ceiling, beyond, used, asked;
    cr_assert_eq(sscanf(reel_ctx_error_message(ctx),
                        "the context's memory limit of %zu bytes would be passed by %zu: %zu are in use and %zu more were asked for",
                        &ceiling, &beyond, &used, &asked),
                 4, "%s", reel_ctx_error_message(ctx));
    cr_assert_eq(ceiling, limit);
    cr_assert_geq(used, (size_t)1 << 19);
    cr_assert_geq(asked, (size_t)1 << 20);
    cr_assert_eq(beyond, used + asked - limit);
    reel_ctx_clear_error(ctx);
    cr_assert_eq(reel_item(reel_sum(x, REEL_ALL_DIMS, false)), 1 << 17);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
    reel_ctx_free(ctx);
}
