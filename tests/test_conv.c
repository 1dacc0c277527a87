// SPDX-License-Identifier: MIT
// Convolution: every algorithm against plain loops, under every instruction set, and what is refused.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/ops/conv_algo.h>
#include <reel/ops/conv_winograd.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    reel_conv_algo algo;
    const char *name;
    double f32_error; /* largest difference over 1 + largest value */
} algos[] = {
    { REEL_CONV_NAIVE, "naive", 2e-7 },         { REEL_CONV_DIRECT, "direct", 4e-6 },
    { REEL_CONV_IM2COL, "im2col", 4e-6 },       { REEL_CONV_WINOGRAD2, "winograd2", 4e-6 },
    { REEL_CONV_WINOGRAD4, "winograd4", 2e-5 }, { REEL_CONV_WINOGRAD6, "winograd6", 1e-4 },
    { REEL_CONV_IMAGES, "images", 4e-6 },       { REEL_CONV_WINOGRAD_ROWS, "winograd_rows", 2e-5 },
    { REEL_CONV_WINOGRAD_COLUMNS, "winograd_columns", 1e-5 }, { REEL_CONV_AUTO, "auto", 1e-4 },
#ifdef REEL_HAVE_FFTW
    { REEL_CONV_FFT, "fft", 4e-6 },
#endif
};
enum { ALGOS = sizeof algos / sizeof algos[0] };

static uint64_t state;
static void reseed(uint64_t seed) { state = seed * 2654435761u + 88172645463325252u; }
static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
static int64_t between(int64_t low, int64_t high) { return low + (int64_t)(draw() >> 33) % (high - low + 1); }
static double uniform(void) { return (double)(draw() >> 11) / 4503599627370496.0 - 1; }

typedef struct conv_case {
    int rank;
    bool bias;
    reel_conv_geom g;
} conv_case;

static void output_sizes(conv_case *s)
{
    for (int i = 0; i < 3; i++)
        s->g.out[i] = (s->g.in[i] + 2 * s->g.pad[i] - s->g.dilation[i] * (s->g.kernel[i] - 1) - 1) / s->g.stride[i] + 1;
}

static conv_case random_case(void)
{
    for (;;) {
        conv_case s = { .rank = (int)between(1, 3), .bias = draw() & 1024 };
        reel_conv_geom *g = &s.g;
        int64_t kind = between(0, 9), largest = s.rank == 1 ? 80 : s.rank == 2 ? 20 : 8;
        g->n = between(1, 4);
        g->groups = kind == 0 ? between(2, 4) : 1;
        g->c = g->groups * between(1, kind < 5 ? 6 : 19);
        g->k = g->groups * between(1, kind < 5 ? 6 : 19);
        if (kind == 1) g->c = g->groups = g->k = between(1, 20); /* depthwise */
        if (kind == 2) g->k = 2 * (g->c = g->groups = between(1, 9));
        if (kind == 6) g->k = between(60, 70);
        if (kind == 7) g->c = between(60, 70);
        for (int i = 0; i < 3; i++) {
            bool there = i >= 3 - s.rank, plain = kind >= 8;
            g->in[i] = there ? between(1, largest) : 1;
            g->kernel[i] = there ? kind >= 7 ? 3 : between(1, 5) : 1;
            g->stride[i] = there && !plain && !(draw() & 64) ? between(1, 3) : 1;
            g->dilation[i] = there && !plain && !(draw() & 192) ? between(1, 3) : 1;
            g->pad[i] = there ? between(0, plain ? 2 : 4) : 0;
        }
        for (int i = 3 - s.rank; kind == 1 && g->k % 2 == 1 && i < 3; i++) { /* 3x3 that keeps the size, a way of its own */
            g->kernel[i] = i == 0 ? 1 : 3;
            g->pad[i] = i == 0 ? 0 : 1;
            g->stride[i] = g->dilation[i] = 1;
        }
        if (kind == 3) g->kernel[0] = g->kernel[1] = g->kernel[2] = 1;
        output_sizes(&s);
        bool fits = true;
        for (int i = 0; i < 3; i++) fits &= g->in[i] + 2 * g->pad[i] >= g->dilation[i] * (g->kernel[i] - 1) + 1;
        if (fits && reel_conv_flops(g) < 2e6) return s;
    }
}

static int64_t x_count(const reel_conv_geom *g) { return g->n * g->c * reel_conv_volume(g->in); }
static int64_t w_count(const reel_conv_geom *g) { return g->k * (g->c / g->groups) * reel_conv_volume(g->kernel); }
static int64_t y_count(const reel_conv_geom *g) { return g->n * g->k * reel_conv_volume(g->out); }

/* The plain loops, in double: y, gx and gw at once. */
static void plain_loops(const reel_conv_geom *g, const double *x, const double *w, const double *bias, const double *gy,
                        double *y, double *gx, double *gw)
{
    int64_t cg = g->c / g->groups, kg = g->k / g->groups, in = reel_conv_volume(g->in), out = reel_conv_volume(g->out),
            taps = reel_conv_volume(g->kernel);
    memset(gx, 0, (size_t)x_count(g) * sizeof *gx);
    memset(gw, 0, (size_t)w_count(g) * sizeof *gw);
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t k = 0; k < g->k; k++)
            for (int64_t o = 0; o < out; o++) {
                int64_t o2 = o % g->out[2], o1 = o / g->out[2] % g->out[1], o0 = o / g->out[2] / g->out[1];
                double sum = bias ? bias[k] : 0, cot = gy[(n * g->k + k) * out + o];
                for (int64_t c = 0; c < cg; c++)
                    for (int64_t t = 0; t < taps; t++) {
                        int64_t t2 = t % g->kernel[2], t1 = t / g->kernel[2] % g->kernel[1],
                                t0 = t / g->kernel[2] / g->kernel[1];
                        int64_t i0 = o0 * g->stride[0] - g->pad[0] + t0 * g->dilation[0],
                                i1 = o1 * g->stride[1] - g->pad[1] + t1 * g->dilation[1],
                                i2 = o2 * g->stride[2] - g->pad[2] + t2 * g->dilation[2];
                        if (i0 < 0 || i0 >= g->in[0] || i1 < 0 || i1 >= g->in[1] || i2 < 0 || i2 >= g->in[2]) continue;
                        int64_t xi = (n * g->c + k / kg * cg + c) * in + (i0 * g->in[1] + i1) * g->in[2] + i2,
                                wi = (k * cg + c) * taps + t;
                        sum += x[xi] * w[wi];
                        gx[xi] += cot * w[wi];
                        gw[wi] += cot * x[xi];
                    }
                y[(n * g->k + k) * out + o] = sum;
            }
}

static double *randoms(int64_t count, bool single)
{
    double *values = malloc((size_t)(count + 1) * sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = single ? (double)(float)uniform() : uniform();
    return values;
}

static reel_tensor *tensor_of(reel_ctx *ctx, reel_dtype dtype, reel_shape shape, const double *values)
{
    if (dtype == REEL_F64) return reel_from(ctx, shape, dtype, values);
    int64_t count = reel_shape_numel(shape);
    float *floats = malloc((size_t)(count + 1) * sizeof *floats);
    for (int64_t i = 0; i < count; i++) floats[i] = (float)values[i];
    reel_tensor *result = reel_from(ctx, shape, dtype, floats);
    free(floats);
    return result;
}

static reel_shape tensor_shape(int rank, int64_t a, int64_t b, const int64_t spatial[3])
{
    reel_shape shape = { .ndim = rank + 2, .dim = { a, b } };
    for (int i = 0; i < rank; i++) shape.dim[2 + i] = spatial[3 - rank + i];
    return shape;
}

/* Largest |t - ref| over 1 + largest |ref|. */
static double error_of(reel_tensor *t, const double *ref, int64_t count)
{
    double worst = 0, largest = 0;
    const void *data = reel_data(t);
    if (!data || reel_numel(t) != count) return INFINITY;
    for (int64_t i = 0; i < count; i++) {
        double value = reel_dtype_of(t) == REEL_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
        if (!(fabs(value - ref[i]) <= worst)) worst = fabs(value - ref[i]);
        largest = fmax(largest, fabs(ref[i]));
    }
    return worst / (1 + largest);
}

typedef reel_tensor *conv_fn(reel_tensor *, reel_tensor *, reel_tensor *, const reel_conv_opts *);
static conv_fn *const conv_of_rank[] = { NULL, reel_conv1d, reel_conv2d, reel_conv3d };
static conv_fn *const transpose_of_rank[] = { NULL, reel_conv_transpose1d, reel_conv_transpose2d,
                                              reel_conv_transpose3d };

static reel_conv_opts opts_of(const conv_case *s, reel_conv_algo algo)
{
    reel_conv_opts opts = { .groups = s->g.groups, .algo = algo };
    for (int i = 0; i < s->rank; i++) {
        opts.stride[i] = s->g.stride[3 - s->rank + i];
        opts.padding[i] = s->g.pad[3 - s->rank + i];
        opts.dilation[i] = s->g.dilation[3 - s->rank + i];
    }
    return opts;
}

static char *describe(const conv_case *s, char text[256])
{
    const reel_conv_geom *g = &s->g;
    snprintf(text, 256,
             "rank %d n %lld groups %lld c %lld k %lld in %lldx%lldx%lld kernel %lldx%lldx%lld stride %lld,%lld,%lld "
             "dilation "
             "%lld,%lld,%lld pad %lld,%lld,%lld",
             s->rank, (long long)g->n, (long long)g->groups, (long long)g->c, (long long)g->k, (long long)g->in[0],
             (long long)g->in[1], (long long)g->in[2], (long long)g->kernel[0], (long long)g->kernel[1],
             (long long)g->kernel[2], (long long)g->stride[0], (long long)g->stride[1], (long long)g->stride[2],
             (long long)g->dilation[0], (long long)g->dilation[1], (long long)g->dilation[2], (long long)g->pad[0],
             (long long)g->pad[1], (long long)g->pad[2]);
    return text;
}

/* Data of one shape, and what the plain loops make of it. */
typedef struct problem {
    double *x, *w, *bias, *gy, *y, *gx, *gw;
} problem;

static problem make_problem(const reel_conv_geom *g, bool single)
{
    problem p = { .x = randoms(x_count(g), single),
                  .w = randoms(w_count(g), single),
                  .bias = randoms(g->k, single),
                  .gy = randoms(y_count(g), single) };
    p.y = malloc((size_t)y_count(g) * sizeof *p.y);
    p.gx = malloc((size_t)x_count(g) * sizeof *p.gx);
    p.gw = malloc((size_t)w_count(g) * sizeof *p.gw);
    return p;
}

static void free_problem(problem *p)
{
    double *all[] = { p->x, p->w, p->bias, p->gy, p->y, p->gx, p->gw };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* The errors of y, gx, gw by one algorithm. */
static void errors_of(reel_ctx *ctx, const conv_case *s, const problem *p, reel_dtype dtype, reel_conv_algo algo,
                      double error[3])
{
    const reel_conv_geom *g = &s->g;
    REEL_SCOPE(ctx)
    {
        reel_conv_opts opts = opts_of(s, algo);
        reel_tensor *x = tensor_of(ctx, dtype, tensor_shape(s->rank, g->n, g->c, g->in), p->x);
        reel_tensor *w = tensor_of(ctx, dtype, tensor_shape(s->rank, g->k, g->c / g->groups, g->kernel), p->w);
        reel_tensor *gy = tensor_of(ctx, dtype, tensor_shape(s->rank, g->n, g->k, g->out), p->gy);
        reel_tensor *bias = s->bias ? tensor_of(ctx, dtype, REEL_SHAPE(g->k), p->bias) : NULL;
        reel_set_requires_grad(x, true);
        reel_set_requires_grad(w, true);
        reel_tensor *y = conv_of_rank[s->rank](x, w, bias, &opts), *grads[2] = { NULL, NULL };
        reel_grad(&y, 1, (reel_tensor *[]) { x, w }, 2, &gy, grads);
        error[0] = error_of(y, p->y, y_count(g));
        error[1] = error_of(grads[0], p->gx, x_count(g));
        error[2] = error_of(grads[1], p->gw, w_count(g));
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
}

/* A context of that instruction set; the test is skipped where the machine has none. */
static reel_ctx *context_of(const char *isa, int threads)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isa, .threads = threads });
    if (reel_ctx_error(ctx) == REEL_ERROR_UNSUPPORTED) {
        reel_ctx_free(ctx);
        cr_skip_test("no %s here", isa);
    }
    return ctx;
}

static void agree_with_plain_loops(const char *isa, int shapes)
{
    reel_ctx *ctx = context_of(isa, 2);
    reseed(7);
    for (int i = 0; i < shapes; i++) {
        conv_case s = random_case();
        reel_dtype dtype = i & 1 ? REEL_F64 : REEL_F32;
        problem p = make_problem(&s.g, dtype == REEL_F32);
        plain_loops(&s.g, p.x, p.w, s.bias ? p.bias : NULL, p.gy, p.y, p.gx, p.gw);
        for (int a = 0; a < ALGOS; a++) {
            double error[3], bound = dtype == REEL_F32 ? algos[a].f32_error : 1e-12;
            char text[256];
            errors_of(ctx, &s, &p, dtype, algos[a].algo, error);
            for (int pass = 0; pass < 3; pass++)
                cr_assert(error[pass] <= bound, "%s %s pass %d: %g; %s", isa, algos[a].name, pass, error[pass],
                          describe(&s, text));
        }
        free_problem(&p);
    }
    reel_ctx_free(ctx);
}

Test(conv, agrees_with_plain_loops_on_avx512) { agree_with_plain_loops("avx512", 500); }
Test(conv, agrees_with_plain_loops_on_avx2) { agree_with_plain_loops("avx2", 500); }
Test(conv, agrees_with_plain_loops_on_the_base) { agree_with_plain_loops("base", 500); }
Test(conv, agrees_with_plain_loops_on_portable_code) { agree_with_plain_loops("portable", 500); }

/* By columns, few rows or many: numbers of outputs, taps and pixels that fill register tiles and vectors, and that do not. */
static void columns_agree_with_plain_loops(const char *isa, bool few)
{
    reel_ctx *ctx = context_of(isa, 2);
    reseed(29);
    for (int i = 0; i < 60; i++) {
        conv_case s = { .rank = 2, .bias = i & 1 };
        s.g = (reel_conv_geom) { .n = 2,
                                 .groups = 1,
                                 .c = between(1, 3),
                                 .k = i % 10 + 1,
                                 .in = { 1, between(9, 25), between(9, 40) },
                                 .kernel = { 1, between(1, 4), between(1, 4) },
                                 .stride = { 1, 1, i % 7 == 6 ? 2 : 1 },
                                 .dilation = { 1, 1, 1 },
                                 .pad = { 0, between(0, 1), between(0, 1) } };
        if (!few) { /* long columns, whose panels images share */
            s.g.n = between(1, 5);
            s.g.groups = between(1, 2);
            s.g.c = s.g.groups * between(40, 90);
            s.g.k *= s.g.groups;
            for (int axis = 1; axis < 3; axis++) s.g.in[axis] = between(7, 12), s.g.kernel[axis] = i % 4 == 3 ? 2 : 1;
        }
        output_sizes(&s);
        problem p = make_problem(&s.g, i % 3 != 0);
        plain_loops(&s.g, p.x, p.w, s.bias ? p.bias : NULL, p.gy, p.y, p.gx, p.gw);
        double error[3], bound = i % 3 != 0 ? 4e-6 : 1e-12;
        char text[256];
        errors_of(ctx, &s, &p, i % 3 != 0 ? REEL_F32 : REEL_F64, REEL_CONV_IM2COL, error);
        for (int pass = 0; pass < 3; pass++)
            cr_assert(error[pass] <= bound, "%s pass %d: %g; %s", isa, pass, error[pass], describe(&s, text));
        free_problem(&p);
    }
    reel_ctx_free(ctx);
}

Test(conv, of_few_taps_agrees_with_plain_loops_on_avx512) { columns_agree_with_plain_loops("avx512", true); }
Test(conv, of_few_taps_agrees_with_plain_loops_on_avx2) { columns_agree_with_plain_loops("avx2", true); }
Test(conv, of_few_taps_agrees_with_plain_loops_on_the_base) { columns_agree_with_plain_loops("base", true); }
Test(conv, of_long_columns_agrees_with_plain_loops_on_avx512) { columns_agree_with_plain_loops("avx512", false); }
Test(conv, of_long_columns_agrees_with_plain_loops_on_avx2) { columns_agree_with_plain_loops("avx2", false); }
Test(conv, of_long_columns_agrees_with_plain_loops_on_the_base) { columns_agree_with_plain_loops("base", false); }

/* Vectors along images: numbers of images that fill panels, chunks of panels and blocks of memory, and that do not. */
Test(conv, along_images_agrees_with_plain_loops_at_any_batch)
{
    static const int64_t batches[] = { 5, 16, 17, 31, 32, 47, 64, 70, 100, 130 };
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 2 });
    reseed(23);
    for (size_t i = 0; i < 4 * sizeof batches / sizeof batches[0]; i++) {
        conv_case s = { .rank = 2, .bias = i & 1 };
        bool large = i == 39, one = i % 4 == 2; /* more than is turned at once; a single channel out, and in */
        int64_t side = large ? 32 : between(5, 13), kernel = large ? 3 : between(2, 5), wide = large || i % 4 == 1 ? kernel : between(2, 7);
        s.g = (reel_conv_geom) { .n = batches[i / 4],
                                 .groups = i % 4 == 3 && !large ? 2 : 1,
                                 .c = large ? 16 : one ? 1 : 2 * between(1, 4),
                                 .k = large ? 2 : one ? i % 8 == 2 ? between(1, 2) : between(3, 13) : 2 * between(1, 5),
                                 .in = { 1, side, large ? side : between(7, 13) },
                                 .kernel = { 1, kernel, wide },
                                 .stride = { 1, between(1, 2), i % 5 < 3 ? 1 : 2 },
                                 .dilation = { 1, 1, 1 },
                                 .pad = { 0, between(0, 2), between(0, 2) } };
        output_sizes(&s);
        problem p = make_problem(&s.g, i % 3 != 0);
        plain_loops(&s.g, p.x, p.w, s.bias ? p.bias : NULL, p.gy, p.y, p.gx, p.gw);
        for (int rows = 0; rows < 2; rows++) {
            double error[3], bound = i % 3 == 0 ? 1e-12 : rows ? 2e-5 : 4e-6;
            char text[256];
            errors_of(ctx, &s, &p, i % 3 != 0 ? REEL_F32 : REEL_F64, rows ? REEL_CONV_WINOGRAD_ROWS : REEL_CONV_IMAGES,
                      error);
            for (int pass = 0; pass < 3; pass++)
                cr_assert(error[pass] <= bound, "%s, pass %d: %g; %s", rows ? "winograd_rows" : "images", pass,
                          error[pass], describe(&s, text));
        }
        free_problem(&p);
    }
    reel_ctx_free(ctx);
}

/* Small images that tiles of m cover better side by side: whole mosaics and last rows with empty places, few tiles that all
 * threads share and many that each has to itself. */
static conv_case mosaic_case(int i, int m)
{
    static const int64_t batches[] = { 5, 17, 16, 2, 3, 130 };
    int64_t odd = m + 1 + i % 2 * m; /* tiles hang over the edge by m - 1 points */
    conv_case s = { .rank = 2, .bias = i & 1 };
    s.g = (reel_conv_geom) { .n = batches[i % 6],
                             .groups = i % 5 == 4 ? 2 : 1,
                             .c = 2 * between(2, 10),
                             .k = 2 * between(1, i % 6 == 5 ? 4 : 10),
                             .kernel = { 1, 3, 3 },
                             .stride = { 1, 1, 1 },
                             .dilation = { 1, 1, 1 },
                             .pad = { 0, i % 3, (i + i / 3) % 3 } };
    for (int axis = 0; axis < 3; axis++) s.g.in[axis] = axis == 0 ? 1 : odd + 2 - 2 * s.g.pad[axis];
    if (i % 4 == 3) s.g.in[2] += between(1, m); /* not square */
    output_sizes(&s);
    return s;
}

static void mosaics_agree_with_plain_loops(const char *isa)
{
    static const reel_conv_algo by_tile[] = { REEL_CONV_WINOGRAD2, REEL_CONV_WINOGRAD4, REEL_CONV_WINOGRAD6 };
    reel_ctx *ctx = context_of(isa, 2);
    reseed(31);
    int mosaics = 0, wide = 0;
    for (int i = 0; i < 108; i++) {
        int m = 2 + 2 * (i % 3);
        conv_case s = mosaic_case(i / 3, m);
        int64_t across = reel_winograd_cut_of(&s.g, m, true).across;
        mosaics += across > 0;
        wide += across > 1;
        bool single = i % 4 < 2;
        problem p = make_problem(&s.g, single);
        plain_loops(&s.g, p.x, p.w, s.bias ? p.bias : NULL, p.gy, p.y, p.gx, p.gw);
        double error[3], bound = !single ? 1e-12 : m == 2 ? 4e-6 : m == 4 ? 2e-5 : 1e-4;
        char text[256];
        errors_of(ctx, &s, &p, single ? REEL_F32 : REEL_F64, by_tile[m / 2 - 1], error);
        for (int pass = 0; pass < 3; pass++)
            cr_assert(error[pass] <= bound, "F(%d), %lld across, pass %d: %g; %s", m, (long long)across, pass,
                      error[pass], describe(&s, text));
        free_problem(&p);
    }
    cr_assert(mosaics > 60 && wide > 50, "%d of the shapes make mosaics, %d of them with images side by side", mosaics, wide);
    reel_ctx_free(ctx);
}

Test(conv, of_small_images_agrees_with_plain_loops_on_avx512) { mosaics_agree_with_plain_loops("avx512"); }
Test(conv, of_small_images_agrees_with_plain_loops_on_avx2) { mosaics_agree_with_plain_loops("avx2"); }
Test(conv, of_small_images_agrees_with_plain_loops_on_the_base) { mosaics_agree_with_plain_loops("base"); }
Test(conv, of_small_images_agrees_with_plain_loops_on_portable_code) { mosaics_agree_with_plain_loops("portable"); }

Test(conv, keeps_infinities_and_nans_to_their_own_image)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reseed(37);
    for (int i = 0; i < 24; i++) {
        conv_case s = { .rank = 2 };
        s.g = (reel_conv_geom) { .n = 5,
                                 .groups = 1,
                                 .c = 4,
                                 .k = 3,
                                 .in = { 1, 7, 7 },
                                 .kernel = { 1, 3, 3 },
                                 .stride = { 1, 1, 1 },
                                 .dilation = { 1, 1, 1 },
                                 .pad = { 0, 1, 1 } };
        output_sizes(&s);
        cr_assert(reel_winograd_cut_of(&s.g, 6, true).across > 1);
        reel_dtype dtype = i & 1 ? REEL_F64 : REEL_F32;
        problem p = make_problem(&s.g, dtype == REEL_F32);
        p.x[(2 * 4 + i % 4) * 49 + between(0, 48)] = i & 2 ? INFINITY : -NAN;
        p.gy[(1 * 3 + i % 3) * 49 + between(0, 48)] = i & 2 ? NAN : -INFINITY;
        plain_loops(&s.g, p.x, p.w, NULL, p.gy, p.y, p.gx, p.gw);
        REEL_SCOPE(ctx)
        {
            reel_conv_opts opts = opts_of(&s, REEL_CONV_WINOGRAD6);
            reel_tensor *x = tensor_of(ctx, dtype, REEL_SHAPE(5, 4, 7, 7), p.x), *gx;
            reel_tensor *w = tensor_of(ctx, dtype, REEL_SHAPE(3, 4, 3, 3), p.w);
            reel_tensor *gy = tensor_of(ctx, dtype, REEL_SHAPE(5, 3, 7, 7), p.gy);
            reel_set_requires_grad(x, true);
            reel_tensor *y = reel_conv2d(x, w, NULL, &opts);
            reel_grad(&y, 1, &x, 1, &gy, &gx);
            reel_tensor *rows[] = { reel_cast(y, REEL_F64), reel_cast(gx, REEL_F64) };
            for (int r = 0; r < 2; r++) {
                const double *data = reel_data_f64(rows[r]), *ref = r ? p.gx : p.y;
                int64_t image = r ? 4 * 49 : 3 * 49;
                cr_assert(data, "%s", reel_ctx_error_message(ctx));
                for (int64_t at = 0; at < 5 * image; at++)
                    if (at / image == 2 - r) /* may spread over tiles */
                        cr_assert(isfinite(ref[at]) || !isfinite(data[at]), "case %d, %d at %d", i, r, (int)at);
                    else
                        cr_assert(fabs(data[at] - ref[at]) < 1e-3, "case %d, %d at %d: %g", i, r, (int)at, data[at]);
            }
        }
        free_problem(&p);
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(conv, errs_within_bounds_over_many_channels)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reseed(17);
    for (int64_t channels = 16; channels <= 256; channels *= 4) {
        conv_case s = { .rank = 2, .bias = true };
        s.g = (reel_conv_geom) { .n = 1,
                                 .groups = 1,
                                 .c = channels,
                                 .k = 32,
                                 .in = { 1, 13, 14 },
                                 .kernel = { 1, 3, 3 },
                                 .stride = { 1, 1, 1 },
                                 .dilation = { 1, 1, 1 },
                                 .pad = { 0, 1, 0 } };
        output_sizes(&s);
        problem p = make_problem(&s.g, true);
        plain_loops(&s.g, p.x, p.w, p.bias, p.gy, p.y, p.gx, p.gw);
        for (int a = 0; a < ALGOS; a++) {
            double error[3];
            errors_of(ctx, &s, &p, REEL_F32, algos[a].algo, error);
            for (int pass = 0; pass < 3; pass++)
                cr_assert(error[pass] <= algos[a].f32_error, "%s pass %d of %lld channels: %g", algos[a].name, pass,
                          (long long)channels, error[pass]);
        }
        free_problem(&p);
    }
    reel_ctx_free(ctx);
}

static double dot(reel_tensor *a, reel_tensor *b)
{
    const double *p = reel_data_f64(a), *q = reel_data_f64(b);
    double sum = 0;
    cr_assert(p && q && reel_numel(a) == reel_numel(b));
    for (int64_t i = 0; i < reel_numel(a); i++) sum += p[i] * q[i];
    return sum;
}

Test(conv, and_its_transpose_are_adjoint)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reseed(11);
    for (int i = 0; i < 300; i++) {
        conv_case s = random_case();
        const reel_conv_geom *g = &s.g;
        problem p = make_problem(g, false);
        REEL_SCOPE(ctx)
        {
            reel_conv_opts opts = opts_of(&s, REEL_CONV_AUTO);
            reel_tensor *x = tensor_of(ctx, REEL_F64, tensor_shape(s.rank, g->n, g->c, g->in), p.x);
            reel_tensor *w = tensor_of(ctx, REEL_F64, tensor_shape(s.rank, g->k, g->c / g->groups, g->kernel), p.w);
            reel_tensor *y = tensor_of(ctx, REEL_F64, tensor_shape(s.rank, g->n, g->k, g->out), p.gy);
            reel_set_requires_grad(w, true);
            reel_tensor *ax = conv_of_rank[s.rank](x, w, NULL, &opts), *gw;
            for (int d = 0; d < s.rank; d++) {
                int at = 3 - s.rank + d;
                opts.output_padding[d] =
                    (g->in[at] + 2 * g->pad[at] - g->dilation[at] * (g->kernel[at] - 1) - 1) % g->stride[at];
            }
            reel_tensor *aty = transpose_of_rank[s.rank](y, w, NULL, &opts);
            reel_grad(&ax, 1, &w, 1, &y, &gw);
            double left = dot(ax, y), scale = 1 + fabs(left);
            char text[256];
            cr_assert_float_eq(left, dot(x, aty), 1e-10 * scale, "%s", describe(&s, text));
            cr_assert_float_eq(left, dot(w, gw), 1e-10 * scale, "%s", describe(&s, text));
        }
        free_problem(&p);
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
}

Test(conv, gives_the_same_bits_at_any_number_of_threads)
{
    reseed(13);
    for (int i = 0; i < 80; i++) {
        conv_case s = i < 60 ? random_case() : mosaic_case(i, 2 + i % 3 * 2);
        const reel_conv_geom *g = &s.g;
        problem p = make_problem(g, true);
        for (int a = 0; a < ALGOS; a++) {
            float *first[3] = { NULL, NULL, NULL };
            for (int threads = 1; threads <= 4; threads *= 2) {
                reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
                reel_conv_opts opts = opts_of(&s, algos[a].algo);
                reel_tensor *x = tensor_of(ctx, REEL_F32, tensor_shape(s.rank, g->n, g->c, g->in), p.x);
                reel_tensor *w = tensor_of(ctx, REEL_F32, tensor_shape(s.rank, g->k, g->c / g->groups, g->kernel), p.w);
                reel_set_requires_grad(x, true);
                reel_set_requires_grad(w, true);
                reel_tensor *results[3] = { conv_of_rank[s.rank](x, w, NULL, &opts) };
                reel_grad(results, 1, (reel_tensor *[]) { x, w }, 2, NULL, results + 1);
                for (int r = 0; r < 3; r++) {
                    size_t bytes = (size_t)reel_numel(results[r]) * sizeof(float);
                    const float *data = reel_data_f32(results[r]);
                    cr_assert(data, "%s", reel_ctx_error_message(ctx));
                    if (!first[r])
                        memcpy(first[r] = malloc(bytes), data, bytes);
                    else
                        cr_assert(memcmp(first[r], data, bytes) == 0, "%s differs at %d threads", algos[a].name,
                                  threads);
                }
                reel_ctx_free(ctx);
            }
            for (int r = 0; r < 3; r++) free(first[r]);
        }
        free_problem(&p);
    }
}

static void expect_convolve(int n, const double *a, int m, const double *b, reel_convolve_mode mode, int count,
                            const double *expected)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *y = reel_convolve(reel_doubles(ctx, REEL_SHAPE(n), a), reel_doubles(ctx, REEL_SHAPE(m), b), mode);
    const double *data = reel_data_f64(y);
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    cr_assert_eq(reel_numel(y), count);
    for (int i = 0; i < count; i++) cr_assert_float_eq(data[i], expected[i], 1e-12, "element %d: %g", i, data[i]);
    reel_ctx_free(ctx);
}

Test(convolve, multiplies_polynomials)
{
    const double a[] = { 1, 2, 3 }, b[] = { 4, 5, 6 };
    expect_convolve(3, a, 3, b, REEL_CONVOLVE_FULL, 5, (double[]) { 4, 13, 28, 27, 18 });
    expect_convolve(3, a, 3, b, REEL_CONVOLVE_SAME, 3, (double[]) { 13, 28, 27 });
    expect_convolve(3, a, 3, b, REEL_CONVOLVE_VALID, 1, (double[]) { 28 });
}

Test(convolve, takes_the_middle_as_numpy_does)
{
    const double a[] = { 1, 2, 3, 4 }, b[] = { 1, 1 };
    expect_convolve(4, a, 2, b, REEL_CONVOLVE_SAME, 4, (double[]) { 1, 3, 5, 7 });
    expect_convolve(4, a, 2, b, REEL_CONVOLVE_VALID, 3, (double[]) { 3, 5, 7 });
    expect_convolve(2, b, 4, a, REEL_CONVOLVE_VALID, 3, (double[]) { 3, 5, 7 });
}

static void expect_refusal(const char *op, reel_shape x, reel_shape w, const reel_shape *bias, const char *attrs,
                           const char *reason)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *out;
    reel_named in[3] = { { "input", reel_zeros(ctx, x, REEL_F32) }, { "weight", reel_zeros(ctx, w, REEL_F32) } };
    if (bias) in[2] = (reel_named) { "bias", reel_zeros(ctx, *bias, REEL_F32) };
    cr_assert_eq(reel_call(ctx, op, in, bias ? 3 : 2, attrs, &out, 1), -1, "%s with %s was accepted", op, attrs);
    const char *message = reel_ctx_error_message(ctx);
    cr_assert(strncmp(message, op, strlen(op)) == 0 && strstr(message, reason), "%s", message);
    reel_ctx_free(ctx);
}

Test(conv, refuses_what_does_not_fit)
{
    reel_shape x = REEL_SHAPE(1, 4, 5, 5), w = REEL_SHAPE(4, 4, 3, 3), three = REEL_SHAPE(3);
    expect_refusal("conv2d", REEL_SHAPE(1, 3, 5, 5), REEL_SHAPE(4, 2, 3, 3), NULL, "{}",
                   "weight has 2 input channels per group, but input [1, 3, 5, 5] with groups=1 has 3");
    expect_refusal("conv2d", REEL_SHAPE(5, 5), w, NULL, "{}", "input has 2 axes");
    expect_refusal("conv2d", x, REEL_SHAPE(4, 4, 3), NULL, "{}", "weight has 3 axes");
    expect_refusal("conv2d", REEL_SHAPE(1, 4, 2, 5), w, NULL, "{}", "kernel spans 3 along axis 2");
    expect_refusal("conv2d", x, w, &three, "{}", "bias is [3], expected [4]");
    expect_refusal("conv2d", x, w, NULL, "{\"stride\": 0}", "stride is 0");
    expect_refusal("conv2d", x, w, NULL, "{\"stride\": [1, -1]}", "stride is -1");
    expect_refusal("conv2d", x, w, NULL, "{\"dilation\": 0}", "dilation is 0");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": -1}", "padding is -1");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": [1, 1, 1]}", "padding has 3 numbers");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": \"full\"}", "full");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": \"same\", \"stride\": 2}", "needs stride 1");
    expect_refusal("conv2d", x, w, NULL, "{\"groups\": 0}", "groups is 0");
    expect_refusal("conv2d", x, REEL_SHAPE(3, 2, 3, 3), NULL, "{\"groups\": 2}", "groups=2 does not divide");
    expect_refusal("conv2d", x, REEL_SHAPE(4, 4, 0, 3), NULL, "{}", "empty kernel");
    expect_refusal("conv2d", REEL_SHAPE(1, 4, 0, 5), w, NULL, "{\"padding\": 2}", "input is empty");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": 4611686018427387904}", "past 2^63");
    expect_refusal("conv2d", x, w, NULL, "{\"padding\": 2305843009213693952}", "");
    expect_refusal("conv2d", x, w, NULL, "{\"dilation\": 4611686018427387904}", "past 2^63");
    expect_refusal("conv_transpose2d", x, REEL_SHAPE(3, 4, 3, 3), NULL, "{}", "weight has 3 input channels");
    expect_refusal("conv_transpose2d", x, w, NULL, "{\"output_padding\": 1}", "output_padding is 1");
    expect_refusal("conv_transpose2d", x, w, NULL, "{\"padding\": 4}", "would be empty");
    expect_refusal("conv_transpose2d", x, w, NULL, "{\"stride\": 4611686018427387904}", "past 2^63");
    expect_refusal("conv_transpose2d", x, w, &three, "{}", "bias is [3], expected [4]");
    expect_refusal("conv_transpose2d", x, REEL_SHAPE(4, 4, 3, 3), NULL, "{\"groups\": 3}", "groups=3 does not divide");
}

Test(conv, takes_an_empty_batch_and_an_image_without_one)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *w = reel_ones(ctx, REEL_SHAPE(4, 3, 3, 3), REEL_F32), *gw;
    reel_set_requires_grad(w, true);
    reel_tensor *none = reel_conv2d(reel_zeros(ctx, REEL_SHAPE(0, 3, 6, 7), REEL_F32), w, NULL, NULL);
    cr_assert(reel_shape_equal(reel_shape_of(none), REEL_SHAPE(0, 4, 4, 5)));
    cr_assert(reel_grad(&none, 1, &w, 1, NULL, &gw));
    for (int i = 0; i < 4 * 27; i++) cr_assert_eq(reel_data_f32(gw)[i], 0);
    reel_tensor *one = reel_conv2d(reel_ones(ctx, REEL_SHAPE(3, 6, 7), REEL_F32), w, NULL, NULL);
    cr_assert(reel_shape_equal(reel_shape_of(one), REEL_SHAPE(4, 4, 5)));
    cr_assert_eq(reel_data_f32(one)[0], 27);
    reel_tensor *bare = reel_conv2d(reel_zeros(ctx, REEL_SHAPE(1, 0, 3, 3), REEL_F32),
                                    reel_zeros(ctx, REEL_SHAPE(2, 0, 3, 3), REEL_F32),
                                    reel_floats(ctx, REEL_SHAPE(2), (float[]) { 5, 6 }), NULL);
    cr_assert_eq(reel_data_f32(bare)[1], 6);
    reel_ctx_free(ctx);
}

Test(conv, weight_gradient_is_not_finite_only_at_taps_that_see_what_is_not)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int k = 0; k < 2; k++) { /* the last image, behind which nothing is read, and one before it */
        float image[2][12][12] = { 0 };
        image[k][0][11] = INFINITY; /* the corner that tap (0, 2) sees alone */
        image[k][5][5] = 1;
        reel_tensor *w = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(4, 1, 3, 3), REEL_F32), true);
        reel_tensor *y = reel_conv2d(reel_floats(ctx, REEL_SHAPE(2, 1, 12, 12), &image[0][0][0]), w, NULL, NULL), *g;
        cr_assert(reel_grad(&y, 1, &w, 1, NULL, &g), "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < 4 * 9; i++) cr_assert_eq(reel_data_f32(g)[i], i % 9 == 2 ? INFINITY : 1, "image %d, element %d", k, i);
        reel_tensor *single = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(1, 1, 3, 3), REEL_F32), true);
        y = reel_conv2d(reel_floats(ctx, REEL_SHAPE(2, 1, 12, 12), &image[0][0][0]), single, NULL, NULL); /* planes */
        cr_assert(reel_grad(&y, 1, &single, 1, NULL, &g), "%s", reel_ctx_error_message(ctx));
        for (int i = 0; i < 9; i++) cr_assert_eq(reel_data_f32(g)[i], i == 2 ? INFINITY : 1, "image %d, tap %d of a plane", k, i);
    }
    reel_ctx_free(ctx);
}
