// SPDX-License-Identifier: MIT
// Convolution by products of spectra (Vasilache et al. 2014, sec. 3), rows through FFTW, by overlap-save tiles
// (Oppenheim & Schafer, sec. 8.7.3).
//
// Each of the three passes turns two of x[view, c], w[k, c], y[view, k] into the third, by a sum over the index they
// share: y = sum over c of x conj(w), x = sum over k of y w, w = sum over views of conj(y) x, at every frequency.
#include <math.h>
#include <reel/ops/conv_fft.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { LANES = REEL_SPECTRUM_LANES, BATCH_BYTES = 64 << 20, MOST_KEPT = 64 << 20 };

static const double CHUNK_FLOPS = 2e6;

typedef struct job {
    const reel_conv_geom *g;
    reel_conv_pass pass;
    reel_fft_cut cut;
    reel_fft_spectra x, w, y;
    bool first;                     /* batch of views */
    bool ready;                     /* spectra of w have been kept from an earlier play */
    int64_t points, parts, of_part; /* of a block, and chunks it is cut into */
} job;

/* An operand of a product: channels of a group from `outer` and `channel` on, at one part of a block's points. */
static void *part_of(const reel_fft_spectra *s, int64_t block, int64_t point, int64_t outer, int64_t channel)
{
    int64_t place = block * s->of_block + point * s->of_point + outer * s->of_view + channel * s->cut->lanes;
    return (char *)s->spectra + place * (int64_t)s->unit;
}

static void product_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = arg;
    int64_t part = chunk % j->parts, group = chunk / j->parts % j->g->groups, block = chunk / j->parts / j->g->groups;
    int64_t c_per = j->g->c / j->g->groups, k_per = j->g->k / j->g->groups, c0 = group * c_per, k0 = group * k_per;
    int64_t point = part * j->of_part, lanes = j->cut.lanes, views = j->x.views;
    bool forward = j->pass == REEL_CONV_FORWARD;
    void *x = part_of(&j->x, block, point, 0, c0), *w = part_of(&j->w, block, point, k0, 0),
         *y = part_of(&j->y, block, point, 0, k0);
    reel_spectrum_product p = { .points = smaller(j->of_part, j->points - point) };
    if (j->pass == REEL_CONV_WEIGHT_GRAD) { /* w[k][c] += y[view][k] x[view][c] */
        p = (reel_spectrum_product) { .a = y, .b = x, .c = w, .points = p.points, .add = !j->first };
        p.i = k_per, p.j = c_per, p.depth = views;
        p.a_i = lanes, p.a_r = j->y.of_view, p.a_point = j->y.of_point;
        p.b_j = lanes, p.b_r = j->x.of_view, p.b_point = j->x.of_point;
        p.c_i = j->w.of_view, p.c_j = lanes, p.c_point = j->w.of_point;
    } else { /* y[view][k] = x[view][c] w[k][c], or x[view][c] = y[view][k] w[k][c] */
        const reel_fft_spectra *from = forward ? &j->x : &j->y, *to = forward ? &j->y : &j->x;
        p = (reel_spectrum_product) { .a = forward ? x : y, .b = w, .c = forward ? y : x, .points = p.points };
        p.i = views, p.j = forward ? k_per : c_per, p.depth = forward ? c_per : k_per;
        p.a_i = from->of_view, p.a_r = lanes, p.a_point = from->of_point;
        p.b_j = forward ? j->w.of_view : lanes, p.b_r = forward ? lanes : j->w.of_view, p.b_point = j->w.of_point;
        p.c_i = to->of_view, p.c_j = lanes, p.c_point = to->of_point;
    }
    for (int i = 0; i < 4 && block == 0; i++) { /* points that are their own negatives */
        const int64_t *n = j->cut.n;
        int64_t own = i / 2 * (n[0] / 2) * n[1] + i % 2 * (n[1] / 2);
        if ((i < 2 || n[0] > 1) && (i % 2 == 0 || n[1] > 1)) p.real[p.n_real++] = own - point;
    }
    j->x.kernels->multiply(&p);
}

/* Memory for `bytes` of spectra of the weight, which depend on the cut and the kernel: from play to play where it may
 * be. */
static void *spectra_of_weight(const reel_exec *exec, job *j, const reel_conv_epilogue *epilogue, size_t bytes)
{
    if (!epilogue || bytes > MOST_KEPT) return reel_scratch(exec, bytes);
    reel_conv_key key = { { j->cut.lanes } };
    for (int i = 0; i < 3; i++) {
        key.of[1 + i] = j->cut.n[i];
        key.of[4 + i] = j->g->kernel[i];
        key.of[7 + i] = j->g->dilation[i];
    }
    return reel_conv_filters(exec, epilogue, REEL_CONV_TAG(48 + (int)j->pass, 0), &key, bytes, &j->ready);
}

static bool prepare_side(const reel_exec *exec, job *j, reel_fft_spectra *s, const reel_fft_side *side,
                         const void *planes, int64_t views, bool back)
{
    s->cut = &j->cut;
    s->side = side;
    s->dtype = j->g->dtype;
    s->planes = (void *)planes;
    s->views = views;
    /* Split rows are twice their spectra, for both operands, and transforms are unscaled. */
    s->scale = 0.25 / ((double)j->cut.columns * (double)j->cut.n[2]);
    return reel_fft_spectra_prepare(exec, s, back);
}

static bool prepare(const reel_exec *exec, job *j, const void *x, const void *w, const void *y,
                    const reel_conv_epilogue *epilogue, int64_t batch)
{
    const reel_conv_geom *g = j->g;
    const reel_fft_cut *cut = &j->cut;
    bool forward = j->pass == REEL_CONV_FORWARD, back = j->pass == REEL_CONV_INPUT_GRAD;
    if (!prepare_side(exec, j, &j->x, &cut->x, x, batch, back) ||
        !prepare_side(exec, j, &j->w, &cut->w, w, g->k, !forward && !back) ||
        !prepare_side(exec, j, &j->y, &cut->y, y, batch, forward))
        return false;
    (forward ? &j->y : &j->x)->epilogue = epilogue;
    size_t bytes = reel_fft_spectra_bytes(&j->w);
    j->w.spectra = spectra_of_weight(exec, j, epilogue, bytes);
    j->x.spectra = reel_scratch(exec, reel_fft_spectra_bytes(&j->x));
    j->y.spectra = reel_scratch(exec, reel_fft_spectra_bytes(&j->y));
    double flops = 8.0 * LANES * (double)batch * (double)g->k * (double)(g->c / g->groups) / (double)g->groups;
    j->points = cut->columns * cut->lanes / LANES;
    j->of_part = flops * (double)j->points < CHUNK_FLOPS ? j->points : larger(1, (int64_t)(CHUNK_FLOPS / flops));
    j->parts = (j->points + j->of_part - 1) / j->of_part;
    return j->x.spectra && j->y.spectra && j->w.spectra;
}

/* Any pass, over batches of views whose spectra are of bounded size. */
static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    reel_conv_pass pass = call->pass;
    /* The result takes the place of the one that is not an operand. */
    const void *x = pass == REEL_CONV_INPUT_GRAD ? call->result : call->a;
    const void *w = pass == REEL_CONV_WEIGHT_GRAD ? call->result : call->b;
    const void *y = pass == REEL_CONV_FORWARD ? call->result : pass == REEL_CONV_INPUT_GRAD ? call->a : call->b;
    job j = { .g = g, .pass = pass };
    reel_fft_cut *cut = &j.cut;
    if (!reel_fft_choose(g, pass, cut, NULL)) return false;
    double of_view = (double)(reel_fft_view_stride(cut, g->c) + reel_fft_view_stride(cut, g->k)) *
                     (double)(cut->columns * cut->blocks) * 2 * (double)reel_dtype_size(g->dtype);
    int64_t batch = larger(1, smaller(cut->views, (int64_t)(BATCH_BYTES / of_view)));
    if (!prepare(exec, &j, x, w, y, call->epilogue, batch)) return false;
    if (pass != REEL_CONV_WEIGHT_GRAD && !j.ready) reel_fft_spectra_there(exec, &j.w);
    for (int64_t view = 0; view < cut->views; view += batch) {
        j.x.view = j.y.view = view;
        j.x.views = j.y.views = smaller(batch, cut->views - view);
        j.first = view == 0;
        if (pass != REEL_CONV_INPUT_GRAD) reel_fft_spectra_there(exec, &j.x);
        if (pass != REEL_CONV_FORWARD) reel_fft_spectra_there(exec, &j.y);
        reel_parallel(exec, cut->blocks * g->groups * j.parts, product_chunk, &j);
        if (pass == REEL_CONV_FORWARD) reel_fft_spectra_back(exec, &j.y);
        if (pass == REEL_CONV_INPUT_GRAD) reel_fft_spectra_back(exec, &j.x);
    }
    if (pass == REEL_CONV_WEIGHT_GRAD) reel_fft_spectra_back(exec, &j.w);
    return true;
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    reel_fft_cut cut;
    return reel_fft_choose(g, pass, &cut, NULL);
}

/* Small kernels and small work, for which a search of sizes would be felt, are left to others. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    reel_fft_cut cut;
    double nanoseconds = INFINITY;
    if (reel_conv_volume(g->kernel) >= 16 && reel_conv_flops(g) > 1e6) reel_fft_choose(g, pass, &cut, &nanoseconds);
    if (nanoseconds == INFINITY) return nanoseconds;
    /* The parts overlap; spectra of images that the second cache holds take less; those of weights are kept or not. */
    double plane = (double)(cut.columns * cut.lanes * cut.blocks),
           points = (double)cut.views * (double)(g->c + g->k) * plane;
    double kept = pass == REEL_CONV_WEIGHT_GRAD ? 0 : 0.2 * (double)(g->k * (g->c / g->groups)) * plane;
    double moved = points * (points * 2 * (double)reel_dtype_size(g->dtype) > 2e6 ? 0.15 : -0.2);
    double estimate = 0.7 * nanoseconds + (moved - kept) * (1 + (cut.n[0] > 1) + (cut.n[1] > 1));
    return g->dtype == REEL_F32 ? estimate : 2 * estimate;
}

const reel_conv_impl reel_conv_fft = { .name = "fft", .supports = supports, .cost = cost, .run = run };
