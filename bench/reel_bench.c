// SPDX-License-Identifier: MIT
// Reel's side of the benchmarks: reads "ROW REPEATS" lines from standard input, answers each with the seconds of every
// repeat on one line. `reel_bench ROW REPEATS` runs one row and ends, for measuring the memory of a process;
// `reel_bench ROW REPEATS profile` writes where the time went, and `... plan` the plan, to standard error.
#define _POSIX_C_SOURCE 200809L
#include "models.h"

#include <reel/core/internal.h>
#include <reel/ops/kernels/gemm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench {
    reel_ctx *ctx;
    char row[128];
    reel_tensor *x, *w, *y;
    reel_conv_opts conv;
    int spatial;
    reel_dims dims;
    bench_model model;
    void (*run)(struct bench *b);
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static reel_tensor *noise(bench *b, reel_shape shape)
{
    reel_tensor *x = reel_randn(b->ctx, NULL, shape, REEL_F32, 0, 1);
    reel_eval(x);
    return x;
}

static reel_tensor *convolve(bench *b)
{
    return b->spatial == 1 ? reel_conv1d(b->x, b->w, NULL, &b->conv) : reel_conv2d(b->x, b->w, NULL, &b->conv);
}

static void run_conv_forward(bench *b) { reel_eval(convolve(b)); }

static void gradient_of(bench *b, reel_tensor *output, reel_tensor *input)
{
    reel_tensor *g = NULL;
    reel_grad(&output, 1, &input, 1, &b->y, &g);
    reel_eval(g);
}

static void run_conv_input(bench *b) { gradient_of(b, convolve(b), b->x); }
static void run_conv_weight(bench *b) { gradient_of(b, convolve(b), b->w); }

// "conv N C H W K kH kW stride pad groups pass"; a 1-D one has H = kH = 1 and "conv1".
static bool prepare_conv(bench *b)
{
    long long v[10];
    char kind[16], pass[16];
    if (sscanf(b->row, "%15s %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %15s", kind, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
               &v[6], &v[7], &v[8], &v[9], pass) != 12)
        return false;
    b->spatial = strcmp(kind, "conv1") == 0 ? 1 : 2;
    int64_t s = v[7], p = v[8];
    b->conv = (reel_conv_opts) { .stride = { s, s }, .padding = { p, p }, .groups = v[9] };
    b->x = b->spatial == 1 ? noise(b, REEL_SHAPE(v[0], v[1], v[3])) : noise(b, REEL_SHAPE(v[0], v[1], v[2], v[3]));
    b->w = b->spatial == 1 ? noise(b, REEL_SHAPE(v[4], v[1] / v[9], v[6])) : noise(b, REEL_SHAPE(v[4], v[1] / v[9], v[5], v[6]));
    b->y = noise(b, reel_shape_of(convolve(b)));
    b->run = run_conv_forward;
    if (strcmp(pass, "input") == 0) {
        reel_set_requires_grad(b->x, true);
        b->run = run_conv_input;
    } else if (strcmp(pass, "weight") == 0) {
        reel_set_requires_grad(b->w, true);
        b->run = run_conv_weight;
    }
    return true;
}

static void run_sample_forward(bench *b) { reel_eval(reel_grid_sample(b->x, b->w, NULL)); }

static void run_sample_backward(bench *b)
{
    reel_tensor *output = reel_grid_sample(b->x, b->w, NULL), *inputs[] = { b->x, b->w }, *g[2] = { 0 };
    reel_grad(&output, 1, inputs, 2, &b->y, g);
    reel_eval_all(g, 2);
}

static bool prepare_sample(bench *b)
{
    long long v[4];
    char pass[16];
    if (sscanf(b->row, "sample %lld %lld %lld %lld %15s", &v[0], &v[1], &v[2], &v[3], pass) != 5) return false;
    b->x = noise(b, REEL_SHAPE(v[0], v[1], v[2], v[3]));
    float *theta = malloc((size_t)v[0] * 6 * sizeof *theta);
    if (!theta) return false;
    for (int64_t i = 0; i < v[0]; i++) memcpy(theta + 6 * i, (const float[]) { .9f, .2f, .05f, -.2f, .9f, -.05f }, 6 * sizeof *theta);
    b->w = reel_affine_grid(reel_floats(b->ctx, REEL_SHAPE(v[0], 2, 3), theta), reel_shape_of(b->x), NULL);
    free(theta);
    reel_eval(b->w);
    b->y = noise(b, reel_shape_of(b->x));
    b->run = run_sample_forward;
    if (strcmp(pass, "backward") == 0) {
        reel_set_requires_grad(b->x, true);
        reel_set_requires_grad(b->w, true);
        b->run = run_sample_backward;
    }
    return true;
}

static void run_affine(bench *b) { reel_eval(reel_affine_grid(b->x, REEL_SHAPE(64, 1, 224, 224), NULL)); }

static reel_tensor *chain(bench *b)
{
    reel_tensor *y = reel_relu(reel_add_scalar(reel_mul_scalar(b->x, 2), 1));
    return reel_sub(reel_mul(y, b->x), b->w);
}
static void run_chain(bench *b) { reel_eval(chain(b)); }
static void run_chain_grad(bench *b) { gradient_of(b, chain(b), b->x); }
static void run_exp(bench *b) { reel_eval(reel_exp(b->x)); }
static void run_tanh(bench *b) { reel_eval(reel_tanh(b->x)); }
static void run_gelu(bench *b) { reel_eval(reel_gelu(b->x, NULL)); }
static void run_log(bench *b) { reel_eval(reel_log(b->x)); }
static void run_pow(bench *b) { reel_eval(reel_pow_scalar(b->x, 1.7)); }
static void run_softmax(bench *b) { reel_eval(reel_softmax(b->x, 1)); }
static void run_layer_norm(bench *b) { reel_eval(reel_layer_norm(b->x, REEL_SHAPE(1000), NULL, NULL, NULL)); }
static void run_matmul(bench *b) { reel_eval(reel_matmul(b->x, b->w)); }

static void run_matmul_backward(bench *b)
{
    reel_tensor *output = reel_matmul(b->x, b->w), *inputs[] = { b->x, b->w }, *g[2] = { 0 };
    reel_grad(&output, 1, inputs, 2, &b->y, g);
    reel_eval_all(g, 2);
}

static void run_tiny(bench *b)
{
    reel_tensor *y = b->x;
    for (int i = 0; i < 1000; i++) y = reel_add(reel_mul(y, b->w), b->y);
    reel_data(y);
}

static void run_tiny_backward(bench *b)
{
    reel_tensor *y = b->x;
    for (int i = 0; i < 1000; i++) y = reel_add(reel_mul(y, b->w), b->y);
    reel_backward(reel_sum(y, REEL_ALL_DIMS, false));
    reel_data(reel_grad_of(b->x));
    reel_clear_grad(b->x);
}

/* What the machine can do: on every thread at once (two of them may share a core), the register tile of convolutions on
 * operands in the first cache. */
enum { PEAK_DEPTH = 128, PEAK_TIMES = 4000 };

static void peak_chunk(void *arg, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const reel_gemm_kernels_of *kernels = arg;
    float a[6 * PEAK_DEPTH] = { 0 }, columns[PEAK_DEPTH * 64] = { 0 }, c[6 * 64];
    int64_t a_off[PEAK_DEPTH], b_off[PEAK_DEPTH];
    int width = kernels->lanes * kernels->max_vectors;
    for (int i = 0; i < PEAK_DEPTH; i++) a_off[i] = i, b_off[i] = (int64_t)i * width;
    reel_gemm gemm = { .rows = 6, .depth = PEAK_DEPTH, .a = a, .lda = PEAK_DEPTH, .a_off = a_off, .b = columns, .b_off = b_off,
                       .c = c, .ldc = width, .vectors = kernels->max_vectors, .cols = width };
    for (int i = 0; i < PEAK_TIMES * 64 / width; i++) kernels->multiply(&gemm);
}

static void run_peak(bench *b)
{
    const reel_exec *exec = &b->ctx->exec;
    reel_parallel(exec, exec->threads, peak_chunk, (void *)reel_gemm_of(exec->isa, REEL_F32));
}

static void run_model_step(bench *b) { bench_model_step(&b->model); }

static void run_model_forward(bench *b)
{
    REEL_NO_GRAD(b->ctx) reel_eval(bench_model_forward(&b->model));
}

static bool prepare(bench *b)
{
    static const struct {
        const char *row;
        void (*run)(bench *b);
        int64_t rows, columns; // of x, and of w and y where they are used
        bool grad;
    } plain[] = {
        { "affine_grid", run_affine, 64, 6, false },          { "chain", run_chain, 1, 10000000, false },
        { "chain_grad", run_chain_grad, 1, 10000000, true },  { "exp", run_exp, 1, 10000000, false },
        { "tanh", run_tanh, 1, 10000000, false },             { "gelu", run_gelu, 1, 10000000, false },
        { "log", run_log, 1, 10000000, false },               { "pow", run_pow, 1, 10000000, false },
        { "softmax", run_softmax, 10000, 1000, false },       { "layer_norm", run_layer_norm, 10000, 1000, false },
        { "matmul 1024", run_matmul, 1024, 1024, false },     { "matmul_backward 1024", run_matmul_backward, 1024, 1024, true },
        { "matmul 64", run_matmul, 64, 64, false },           { "matmul_backward 64", run_matmul_backward, 64, 64, true },
        { "peak", run_peak, 1, 4, false },                    { "tiny", run_tiny, 1, 4, true },                     { "tiny_backward", run_tiny_backward, 1, 4, true },
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(b->row, plain[i].row) != 0) continue;
        reel_shape shape = REEL_SHAPE(plain[i].rows, plain[i].columns);
        b->x = reel_rand(b->ctx, NULL, shape, REEL_F32, 0.1, 1);
        if (plain[i].run == run_affine) b->x = reel_reshape(b->x, REEL_SHAPE(64, 2, 3));
        b->w = reel_rand(b->ctx, NULL, shape, REEL_F32, 0.1, 1);
        b->y = reel_rand(b->ctx, NULL, shape, REEL_F32, 0.1, 1);
        reel_eval(b->x), reel_eval(b->w), reel_eval(b->y);
        if (plain[i].grad) reel_set_requires_grad(b->x, true);
        if (plain[i].grad && plain[i].run == run_matmul_backward) reel_set_requires_grad(b->w, true);
        b->run = plain[i].run;
        return true;
    }
    char name[16], pass[16];
    long long batch;
    if (sscanf(b->row, "model %15s %lld %15s", name, &batch, pass) == 3) {
        bench_model_make(&b->model, b->ctx, strcmp(name, "stn") == 0, batch, 64);
        b->run = strcmp(pass, "train") == 0 ? run_model_step : run_model_forward;
        if (b->run == run_model_forward) reel_module_train(b->model.module, false);
        return true;
    }
    return strncmp(b->row, "conv", 4) == 0 ? prepare_conv(b) : prepare_sample(b);
}

static void close_bench(bench *b)
{
    if (b->model.module) bench_model_free(&b->model);
    reel_ctx_free(b->ctx);
    *b = (bench) { 0 };
}

static bool answer(bench *b, const char *row, int repeats)
{
    if (strcmp(row, b->row) != 0) {
        close_bench(b);
        b->ctx = reel_ctx_new(NULL);
        snprintf(b->row, sizeof b->row, "%s", row);
        if (!b->ctx || !prepare(b)) {
            printf("error: no such row or no memory: %s\n", row);
            return false;
        }
        for (int i = 0; i < 3; i++) REEL_SCOPE(b->ctx) b->run(b);
    }
    for (int i = 0; i < repeats && !reel_ctx_error(b->ctx); i++) {
        double start = now();
        REEL_SCOPE(b->ctx) b->run(b);
        printf("%.9f ", now() - start);
    }
    if (reel_ctx_error(b->ctx)) printf("error: %s", reel_ctx_error_message(b->ctx));
    printf("\n");
    return !reel_ctx_error(b->ctx);
}

int main(int argc, char **argv)
{
    static bench b;
    char line[160];
    bool ok = true;
    if (argc == 4) {
        ok = answer(&b, argv[1], 1);
        if (ok && strcmp(argv[3], "profile") == 0) {
            reel_profile_begin(b.ctx);
            ok = answer(&b, argv[1], atoi(argv[2]));
            reel_profile_write_table(reel_profile_end(b.ctx), stderr);
        } else if (ok) {
            reel_plan_write(b.ctx, stderr);
        }
    } else if (argc == 3) {
        ok = answer(&b, argv[1], atoi(argv[2]));
    } else {
        setvbuf(stdout, NULL, _IOLBF, 0);
        while (fgets(line, sizeof line, stdin)) {
            char *last = strrchr(line, ' ');
            if (!last) continue;
            *last = 0;
            answer(&b, line, atoi(last + 1));
            fflush(stdout);
        }
    }
    close_bench(&b);
    return !ok;
}
