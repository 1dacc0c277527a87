// SPDX-License-Identifier: MIT
// Normalisation against plain loops over random shapes, under every instruction set; running statistics; refusals.
#include "spatial.h"

typedef enum kind { LAYER, RMS, GROUP, INSTANCE, BATCH, KINDS } kind;

// The input as [n, g, c, s]; a mean for each (n, g), or for each g with `batch`; a weight for each (g, c).
typedef struct layout {
    kind kind;
    int64_t n, g, c, s;
    bool batch, center, has_weight, has_bias;
    double eps;
    reel_shape shape, weights;
} layout;

static layout draw_layout(kind k, int64_t n, int64_t g, int64_t c, int64_t s)
{
    layout l = { .kind = k, .n = n, .g = g, .c = c, .s = s, .batch = k == BATCH, .center = k != RMS };
    l.has_weight = draw_in(0, 3) > 0;
    l.has_bias = k != RMS && draw_in(0, 3) > 0;
    l.eps = draw_in(0, 1) ? 1e-5 : 0.1;
    if (k == LAYER || k == RMS) {
        l.shape = REEL_SHAPE(n, c);
        l.weights = REEL_SHAPE(c);
    } else {
        l.shape = s == 1 && draw_in(0, 1) ? REEL_SHAPE(n, g * c) : REEL_SHAPE(n, g * c, s);
        if (s % 2 == 0 && draw_in(0, 1)) l.shape = REEL_SHAPE(n, g * c, 2, s / 2);
        l.weights = REEL_SHAPE(g * c);
    }
    return l;
}

static reel_tensor *normalise(const layout *l, reel_tensor *x, reel_tensor *w, reel_tensor *b)
{
    reel_norm_opts opts = { .eps = l->eps };
    switch (l->kind) {
    case LAYER: return reel_layer_norm(x, l->weights, w, b, &opts);
    case RMS: return reel_rms_norm(x, l->weights, w, &opts);
    case GROUP: return reel_group_norm(x, l->g, w, b, &opts);
    case INSTANCE: return reel_instance_norm(x, NULL, NULL, w, b, &(reel_instance_norm_opts) { .eps = l->eps });
    default: return reel_batch_norm(x, NULL, NULL, w, b, &(reel_batch_norm_opts) { .training = true, .eps = l->eps });
    }
}

static int64_t element(const layout *l, int64_t n, int64_t g, int64_t c, int64_t s)
{
    return ((n * l->g + g) * l->c + c) * l->s + s;
}

// Runs the rest with the indices of every element behind statistic (n0, g).
#define EACH_OF(l, n0, g, ...)                                                                                         \
    for (int64_t n = (l)->batch ? 0 : (n0); n <= ((l)->batch ? (l)->n - 1 : (n0)); n++)                                \
        for (int64_t c = 0; c < (l)->c; c++)                                                                           \
            for (int64_t s = 0; s < (l)->s; s++) {                                                                     \
                int64_t i = element(l, n, g, c, s), k = (g) * (l)->c + c;                                              \
                __VA_ARGS__                                                                                            \
            }

// y, and for the cotangent gy the gradients, by the definitions.
static void reference(const layout *l, const double *x, const double *w, const double *b, const double *gy, double *y,
                      double *gx, double *gw, double *gb)
{
    double count = (double)(l->batch ? l->n * l->s : l->c * l->s);
    for (int64_t k = 0; k < l->g * l->c; k++) gw[k] = gb[k] = 0;
    for (int64_t n0 = 0; n0 < (l->batch ? 1 : l->n); n0++)
        for (int64_t g = 0; g < l->g; g++) {
            double mean = 0, var = 0, sum = 0, dot = 0;
            EACH_OF(l, n0, g, (void)k; mean += x[i] / count;)
            if (!l->center) mean = 0;
            EACH_OF(l, n0, g, (void)k; var += (x[i] - mean) * (x[i] - mean) / count;)
            double r = 1 / sqrt(var + l->eps);
            EACH_OF(l, n0, g, {
                double h = (x[i] - mean) * r, a = gy[i] * (w ? w[k] : 1);
                y[i] = h * (w ? w[k] : 1) + (b ? b[k] : 0);
                gw[k] += gy[i] * h;
                gb[k] += gy[i];
                sum += a / count;
                dot += a * h / count;
            })
            if (!l->center) sum = 0;
            EACH_OF(l, n0, g, gx[i] = r * (gy[i] * (w ? w[k] : 1) - sum - (x[i] - mean) * r * dot);)
        }
}

static double scaled_difference(reel_tensor *got, const double *want)
{
    int64_t n = reel_numel(got);
    double *values = values_of(got), most = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(values[i] - want[i]) / (1 + most));
    for (int64_t i = 0; i < n; i++)
        if (isnan(values[i])) worst = INFINITY;
    free(values);
    return worst;
}

static double *room(int64_t n) { return malloc((size_t)(n + 1) * sizeof(double)); }

static void check(reel_ctx *ctx, const layout *l, reel_dtype dtype)
{
    double tolerance = dtype == REEL_F64 ? 1e-10 : 2e-5;
    int64_t n = l->n * l->g * l->c * l->s, k = l->g * l->c;
    double *y = room(n), *gx = room(n), *gw = room(k), *gb = room(k), *xs, *gys, *ws = NULL, *bs = NULL;
    char text[REEL_SHAPE_TEXT];
    REEL_SCOPE(ctx)
    {
        reel_tensor *x = draw_tensor(ctx, l->shape, dtype, -2, 2), *cot = draw_tensor(ctx, l->shape, dtype, -1, 1);
        reel_tensor *w = l->has_weight ? draw_tensor(ctx, l->weights, dtype, -2, 2) : NULL;
        reel_tensor *b = l->has_bias ? draw_tensor(ctx, l->weights, dtype, -2, 2) : NULL;
        reel_tensor *by[3] = { reel_set_requires_grad(x, true) }, *grads[3];
        int n_by = 1;
        if (w) by[n_by++] = reel_set_requires_grad(w, true);
        if (b) by[n_by++] = reel_set_requires_grad(b, true);
        reel_tensor *out = normalise(l, x, w, b);
        sound(ctx);
        cr_assert(reel_grad(&out, 1, by, n_by, &cot, grads), "%s", reel_ctx_error_message(ctx));
        xs = values_of(x);
        gys = values_of(cot);
        if (w) ws = values_of(w);
        if (b) bs = values_of(b);
        reference(l, xs, ws, bs, gys, y, gx, gw, gb);
        const char *isa = reel_isa_name(reel_ctx_isa(ctx));
        reel_shape_format(l->shape, text);
        double error = scaled_difference(out, y);
        cr_assert_lt(error, tolerance, "kind %d %s %s: y differs by %g", l->kind, text, isa, error);
        error = scaled_difference(grads[0], gx);
        cr_assert_lt(error, tolerance, "kind %d %s %s: gx differs by %g", l->kind, text, isa, error);
        if (w) {
            error = scaled_difference(grads[1], gw);
            cr_assert_lt(error, tolerance, "kind %d %s %s: gw differs by %g", l->kind, text, isa, error);
        }
        if (b) {
            error = scaled_difference(grads[n_by - 1], gb);
            cr_assert_lt(error, tolerance, "kind %d %s %s: gb differs by %g", l->kind, text, isa, error);
        }
        free(xs), free(gys), free(ws), free(bs);
    }
    free(y), free(gx), free(gw), free(gb);
}

Test(norm, agrees_with_plain_loops_on_random_shapes)
{
    EACH_ISA(ctx)
    {
        spatial_state = 20241;
        for (int i = 0; i < 200; i++) {
            kind k = (kind)draw_in(0, KINDS - 1);
            int64_t n = draw_in(1, 6), g = draw_in(1, 4), c = draw_in(1, 4), s = draw_in(1, 70);
            if (k == LAYER || k == RMS) g = s = 1, c = draw_in(1, 90);
            if (k == INSTANCE || k == BATCH) c = 1;
            if (draw_in(0, 2) == 0) s = k == LAYER || k == RMS ? 1 : draw_in(1, 4);
            if (k == INSTANCE && s == 1) s = 2;
            if (k == BATCH && n * s == 1) n = 2;
            layout l = draw_layout(k, n, g, c, s);
            check(ctx, &l, i % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

// Sizes at which work is cut differently: many rows, long rows, long runs, many columns.
Test(norm, agrees_with_plain_loops_where_work_is_cut)
{
    static const struct {
        kind kind;
        int64_t n, g, c, s;
    } cases[] = {
        { LAYER, 5000, 1, 7, 1 },     { LAYER, 3, 1, 70001, 1 },  { RMS, 700, 1, 131, 1 }, { GROUP, 2, 2, 3, 30011 },
        { GROUP, 1, 1, 70, 1003 },    { GROUP, 70, 3, 40, 9 },    { GROUP, 900, 5, 2, 3 }, { INSTANCE, 30, 40, 1, 5 },
        { INSTANCE, 2, 3, 1, 70000 }, { BATCH, 700, 1300, 1, 1 }, { BATCH, 300, 5, 1, 7 }, { BATCH, 9, 3, 1, 20001 },
        { BATCH, 40, 30, 1, 36 },     { BATCH, 3000, 2, 1, 31 },
    };
    reel_ctx *ctx = ctx_of_isa(3, 2);
    if (!ctx) ctx = reel_ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int f = 0; f < 2; f++) {
            layout l = draw_layout(cases[i].kind, cases[i].n, cases[i].g, cases[i].c, cases[i].s);
            l.has_weight = true;
            l.has_bias = l.kind != RMS;
            check(ctx, &l, f ? REEL_F32 : REEL_F64);
        }
    reel_ctx_free(ctx);
}

Test(norm, gives_the_same_bits_at_any_number_of_threads)
{
    static const struct {
        kind kind;
        int64_t n, g, c, s;
    } cases[] = {
        { LAYER, 900, 1, 200, 1 }, { GROUP, 2, 2, 3, 20000 }, { BATCH, 900, 70, 1, 3 }, { BATCH, 9, 5, 1, 9000 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double *first[4] = { NULL };
        for (int threads = 1; threads <= 4; threads *= 2) {
            spatial_state = 77 + i;
            layout l = draw_layout(cases[i].kind, cases[i].n, cases[i].g, cases[i].c, cases[i].s);
            l.has_weight = l.has_bias = true;
            reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
            reel_tensor *in[3] = { draw_tensor(ctx, l.shape, REEL_F32, -2, 2),
                                   draw_tensor(ctx, l.weights, REEL_F32, -2, 2),
                                   draw_tensor(ctx, l.weights, REEL_F32, -2, 2) };
            reel_tensor *cot = draw_tensor(ctx, l.shape, REEL_F32, -1, 1), *results[4];
            for (int k = 0; k < 3; k++) reel_set_requires_grad(in[k], true);
            results[3] = normalise(&l, in[0], in[1], in[2]);
            cr_assert(reel_grad(&results[3], 1, in, 3, &cot, results));
            for (int k = 0; k < 4; k++) {
                double *values = values_of(results[k]);
                if (threads == 1) {
                    first[k] = values;
                    continue;
                }
                size_t bytes = (size_t)reel_numel(results[k]) * sizeof *values;
                cr_assert_eq(memcmp(first[k], values, bytes), 0, "case %zu, result %d at %d threads", i, k, threads);
                free(values);
            }
            reel_ctx_free(ctx);
        }
        for (int k = 0; k < 4; k++) free(first[k]);
    }
}

Test(norm, keeps_its_accuracy_far_from_zero)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    float values[1000];
    double mean = 0, var = 0;
    for (int i = 0; i < 1000; i++) mean += (values[i] = (float)(10000 + draw_real(-1, 1))) / 1000.0;
    for (int i = 0; i < 1000; i++) var += (values[i] - mean) * (values[i] - mean) / 1000;
    reel_tensor *y = reel_layer_norm(reel_floats(ctx, REEL_SHAPE(1, 1000), values), REEL_SHAPE(1000), NULL, NULL, NULL);
    double *got = values_of(y), worst = 0;
    // The mean itself is a float: half a step of 1e4 is 5e-4, against a deviation of 0.6.
    for (int i = 0; i < 1000; i++) {
        double off = fabs(got[i] - (values[i] - mean) / sqrt(var + 1e-5));
        if (off > worst) worst = off; /* fmax here makes GCC 12 for aarch64 fail */
    }
    cr_assert_lt(worst, 1e-3);
    free(got);
    reel_ctx_free(ctx);
}

Test(batch_norm, moves_the_running_statistics_and_then_uses_them)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    double values[12] = { 1, 2, 3, 10, 20, 30, 5, 6, 7, -10, -20, -30 }; // [2, 2, 3]
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 2, 3), values);
    reel_tensor *mean = reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, -1 });
    reel_tensor *var = reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 2, 3 });
    REEL_SCOPE(ctx)
    {
        reel_tensor *y =
            reel_batch_norm(x, mean, var, NULL, NULL, &(reel_batch_norm_opts) { .training = true, .momentum = 0.25 });
        cr_assert(y && reel_eval(y));
    }
    // Channel 0: mean 4, unbiased variance 28 / 5; channel 1: mean 0, variance 2800 / 5.
    const double *m = reel_data_f64(mean), *v = reel_data_f64(var);
    cr_assert_float_eq(m[0], 0.75 * 1 + 0.25 * 4, 1e-12);
    cr_assert_float_eq(m[1], 0.75 * -1, 1e-12);
    cr_assert_float_eq(v[0], 0.75 * 2 + 0.25 * 28 / 5, 1e-12);
    cr_assert_float_eq(v[1], 0.75 * 3 + 0.25 * 560, 1e-9);

    reel_tensor *y = reel_batch_norm(x, mean, var, NULL, NULL, NULL);
    const double *out = reel_data_f64(y);
    for (int i = 0; i < 12; i++) {
        int c = i / 3 % 2;
        cr_assert_float_eq(out[i], (values[i] - m[c]) / sqrt(v[c] + 1e-5), 1e-12);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(batch_norm, leaves_the_running_statistics_alone_when_told)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(4, 2), REEL_F32, -1, 1);
    reel_tensor *mean = reel_zeros(ctx, REEL_SHAPE(2), REEL_F32), *var = reel_ones(ctx, REEL_SHAPE(2), REEL_F32);
    reel_tensor *y =
        reel_batch_norm(x, mean, var, NULL, NULL, &(reel_batch_norm_opts) { .training = true, .momentum = -1 });
    cr_assert(reel_eval(y));
    cr_assert_eq(reel_data_f32(mean)[0], 0);
    cr_assert_eq(reel_data_f32(var)[1], 1);
    y = reel_batch_norm(reel_zeros(ctx, REEL_SHAPE(0, 2, 3), REEL_F32), mean, var, NULL, NULL,
                        &(reel_batch_norm_opts) { .training = true });
    cr_assert(reel_eval(y));
    cr_assert_eq(reel_data_f32(mean)[0], 0, "an empty batch says nothing");
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(instance_norm, moves_the_running_statistics_by_the_mean_over_samples)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 1, 2), (double[]) { 1, 3, 10, 20 });
    reel_tensor *mean = reel_zeros(ctx, REEL_SHAPE(1), REEL_F64), *var = reel_zeros(ctx, REEL_SHAPE(1), REEL_F64);
    cr_assert(reel_eval(reel_instance_norm(x, mean, var, NULL, NULL, NULL)));
    cr_assert_float_eq(reel_item(mean), 0.1 * (2 + 15) / 2, 1e-12);
    cr_assert_float_eq(reel_item(var), 0.1 * (2 + 50) / 2, 1e-12);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(local_response_norm, sums_over_neighbouring_channels)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int64_t size = 1; size <= 7; size++) {
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 5, 3), REEL_F64, -2, 2);
        reel_tensor *y =
            reel_local_response_norm(x, size, &(reel_local_response_norm_opts) { .alpha = 0.5, .beta = 0.6, .k = 2 });
        double *in = values_of(x), *out = values_of(y);
        for (int64_t i = 0; i < 30; i++) {
            int64_t n = i / 15, c = i / 3 % 5, s = i % 3;
            double sum = 0;
            for (int64_t j = c - size / 2; j <= c + (size - 1) / 2; j++)
                if (j >= 0 && j < 5) sum += in[n * 15 + j * 3 + s] * in[n * 15 + j * 3 + s];
            cr_assert_float_eq(out[i], in[i] / pow(2 + 0.5 / (double)size * sum, 0.6), 1e-12);
        }
        free(in), free(out);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(normalize, divides_by_the_norm_but_never_by_less_than_eps)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 3, 4, 0, 0 });
    reel_set_requires_grad(x, true);
    reel_tensor *y = reel_normalize(x, -1, NULL), *g;
    const double *out = reel_data_f64(y);
    cr_assert_float_eq(out[0], 0.6, 1e-15);
    cr_assert_float_eq(out[1], 0.8, 1e-15);
    cr_assert_eq(out[2], 0);
    cr_assert(reel_grad(&y, 1, &x, 1, NULL, &g));
    cr_assert_float_eq(reel_data_f64(g)[2], 1e12, 1, "the derivative at zero is that of x / eps");
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(norm, refuses_what_it_cannot_do)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 6, 4), REEL_F32), *six = reel_zeros(ctx, REEL_SHAPE(6), REEL_F32);
    reel_tensor *flat = reel_zeros(ctx, REEL_SHAPE(3), REEL_F32), *whole = reel_zeros(ctx, REEL_SHAPE(2, 6), REEL_I64);
    reel_tensor *one = reel_zeros(ctx, REEL_SHAPE(1, 3), REEL_F32), *wide = reel_zeros(ctx, REEL_SHAPE(6), REEL_F64);
    reel_batch_norm_opts training = { .training = true };
    refused(ctx, reel_batch_norm(one, NULL, NULL, NULL, NULL, &training), "batch_norm", "one value a channel");
    refused(ctx, reel_batch_norm(x, NULL, NULL, NULL, NULL, NULL), "batch_norm", "running_mean is missing");
    refused(ctx, reel_batch_norm(x, six, NULL, NULL, NULL, NULL), "batch_norm", "running_var is missing");
    refused(ctx, reel_batch_norm(x, flat, six, NULL, NULL, &training), "batch_norm", "running_mean");
    refused(ctx, reel_batch_norm(x, six, six, flat, NULL, NULL), "batch_norm", "weight has shape [3]");
    refused(ctx, reel_batch_norm(flat, NULL, NULL, NULL, NULL, &training), "batch_norm", "[N, C, ...]");
    refused(ctx, reel_batch_norm(whole, NULL, NULL, NULL, NULL, &training), "batch_norm", "int64");
    refused(ctx, reel_batch_norm(x, NULL, NULL, wide, NULL, &training), "batch_norm", "weight is float64");
    refused(ctx, reel_instance_norm(one, NULL, NULL, NULL, NULL, NULL), "instance_norm", "one value a channel");
    refused(ctx, reel_group_norm(x, 4, NULL, NULL, NULL), "group_norm", "does not divide the 6 channels");
    refused(ctx, reel_group_norm(x, 0, NULL, NULL, NULL), "group_norm", "num_groups is 0");
    refused(ctx, reel_layer_norm(x, REEL_SHAPE(6), NULL, NULL, NULL), "layer_norm", "[6] is not the tail");
    refused(ctx, reel_layer_norm(x, REEL_SCALAR, NULL, NULL, NULL), "layer_norm", "not the tail");
    refused(ctx, reel_layer_norm(x, REEL_SHAPE(1, 2, 6, 4), NULL, NULL, NULL), "layer_norm", "not the tail");
    refused(ctx, reel_layer_norm(x, REEL_SHAPE(INT64_MAX, INT64_MAX), NULL, NULL, NULL), "layer_norm", "not the tail");
    refused(ctx, reel_layer_norm(x, REEL_SHAPE(4), six, NULL, NULL), "layer_norm", "weight has shape [6]");
    refused(ctx, reel_layer_norm(x, REEL_SHAPE(4), NULL, NULL, &(reel_norm_opts) { .eps = NAN }), "layer_norm", "eps");
    refused(ctx, reel_rms_norm(x, REEL_SHAPE(5), NULL, NULL), "rms_norm", "not the tail");
    refused(ctx, reel_local_response_norm(x, 0, NULL), "local_response_norm", "size is 0");
    refused(ctx, reel_local_response_norm(one, 3, NULL), "local_response_norm", "[N, C, L, ...]");
    refused(ctx, reel_normalize(x, 3, NULL), "normalize", "dim is 3");
    reel_tensor *y = reel_local_response_norm(x, INT64_MAX, NULL);
    cr_assert(y && reel_eval(y), "a window past every channel is allowed");
    reel_ctx_free(ctx);
}
