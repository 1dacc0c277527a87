// SPDX-License-Identifier: MIT
// Convolution by plain loops, summed in double: what every other algorithm is held against.
#include <math.h>
#include <reel/ops/conv_algo.h>

typedef struct job {
    const reel_conv_geom *g;
    const void *a, *b; /* the two operands in the order of the pass */
    const reel_conv_epilogue *epilogue;
    void *result;
} job;

static double get(reel_dtype dtype, const void *data, int64_t i)
{
    return dtype == REEL_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
}

static void put(reel_dtype dtype, void *data, int64_t i, double value)
{
    if (dtype == REEL_F32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

static int64_t flat(const int64_t size[3], const int64_t at[3]) { return (at[0] * size[1] + at[1]) * size[2] + at[2]; }

/* The next point of a box in row-major order; false after the last. */
static bool next(const int64_t size[3], int64_t at[3])
{
    for (int i = 2; i >= 0; i--) {
        if (++at[i] < size[i]) return true;
        at[i] = 0;
    }
    return false;
}

/* The image point that tap t of result o reads; false when it lies in the padding. */
static bool source(const reel_conv_geom *g, const int64_t o[3], const int64_t t[3], int64_t in[3])
{
    for (int i = 0; i < 3; i++) {
        in[i] = o[i] * g->stride[i] - g->pad[i] + t[i] * g->dilation[i];
        if (in[i] < 0 || in[i] >= g->in[i]) return false;
    }
    return true;
}

/* The result that reaches image point `in` by tap t; false when there is none. */
static bool target(const reel_conv_geom *g, const int64_t in[3], const int64_t t[3], int64_t o[3])
{
    for (int i = 0; i < 3; i++) {
        int64_t at = in[i] + g->pad[i] - t[i] * g->dilation[i];
        if (at < 0 || at % g->stride[i] != 0 || at / g->stride[i] >= g->out[i]) return false;
        o[i] = at / g->stride[i];
    }
    return true;
}

static double finish(const job *j, int64_t channel, double sum)
{
    if (j->epilogue->bias) sum += get(j->g->dtype, j->epilogue->bias, channel);
    return j->epilogue->relu && sum < 0 ? 0 : sum;
}

/* One (n, k) plane of y. */
static void forward_plane(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    const reel_conv_geom *g = j->g;
    int64_t n = chunk / g->k, k = chunk % g->k, per_group = g->c / g->groups, c0 = k / (g->k / g->groups) * per_group;
    int64_t o[3] = { 0 }, in_volume = reel_conv_volume(g->in), taps = reel_conv_volume(g->kernel);
    do {
        double sum = 0;
        for (int64_t c = 0; c < per_group; c++) {
            int64_t t[3] = { 0 }, in[3], x = (n * g->c + c0 + c) * in_volume, w = (k * per_group + c) * taps;
            do {
                if (source(g, o, t, in))
                    sum += get(g->dtype, j->a, x + flat(g->in, in)) * get(g->dtype, j->b, w + flat(g->kernel, t));
            } while (next(g->kernel, t));
        }
        put(g->dtype, j->result, chunk * reel_conv_volume(g->out) + flat(g->out, o), finish(j, k, sum));
    } while (next(g->out, o));
}

/* One (n, c) plane of gx. */
static void input_grad_plane(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    const reel_conv_geom *g = j->g;
    int64_t n = chunk / g->c, c = chunk % g->c, c_per = g->c / g->groups, k_per = g->k / g->groups,
            k0 = c / c_per * k_per;
    int64_t in[3] = { 0 }, out_volume = reel_conv_volume(g->out), taps = reel_conv_volume(g->kernel);
    do {
        double sum = 0;
        for (int64_t k = k0; k < k0 + k_per; k++) {
            int64_t t[3] = { 0 }, o[3], y = (n * g->k + k) * out_volume, w = (k * c_per + c % c_per) * taps;
            do {
                if (target(g, in, t, o))
                    sum += get(g->dtype, j->a, y + flat(g->out, o)) * get(g->dtype, j->b, w + flat(g->kernel, t));
            } while (next(g->kernel, t));
        }
        put(g->dtype, j->result, chunk * reel_conv_volume(g->in) + flat(g->in, in), finish(j, c, sum));
    } while (next(g->in, in));
}

/* The kernel of one (k, c). */
static void weight_grad_kernel(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    const reel_conv_geom *g = j->g;
    int64_t c_per = g->c / g->groups, k = chunk / c_per, c = k / (g->k / g->groups) * c_per + chunk % c_per;
    int64_t t[3] = { 0 }, in_volume = reel_conv_volume(g->in), out_volume = reel_conv_volume(g->out);
    do {
        double sum = 0;
        for (int64_t n = 0; n < g->n; n++) {
            int64_t o[3] = { 0 }, in[3], x = (n * g->c + c) * in_volume, y = (n * g->k + k) * out_volume;
            do {
                if (source(g, o, t, in))
                    sum += get(g->dtype, j->a, x + flat(g->in, in)) * get(g->dtype, j->b, y + flat(g->out, o));
            } while (next(g->out, o));
        }
        put(g->dtype, j->result, chunk * reel_conv_volume(g->kernel) + flat(g->kernel, t), sum);
    } while (next(g->kernel, t));
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    job j = { g, call->a, call->b, call->epilogue, call->result };
    switch (call->pass) {
    case REEL_CONV_FORWARD: reel_parallel(exec, g->n * g->k, forward_plane, &j); break;
    case REEL_CONV_INPUT_GRAD: reel_parallel(exec, g->n * g->c, input_grad_plane, &j); break;
    default: reel_parallel(exec, g->k * (g->c / g->groups), weight_grad_kernel, &j); break;
    }
    return true;
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)g, (void)pass;
    return true;
}

static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)pass;
    return reel_conv_flops(g) * 2;
}

const reel_conv_impl reel_conv_naive = { .name = "naive", .supports = supports, .cost = cost, .run = run };
