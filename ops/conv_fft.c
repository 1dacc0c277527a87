// SPDX-License-Identifier: MIT
// Convolution by products of spectra (Vasilache et al. 2014, sec. 3), through FFTW, by overlap-save tiles
// (Oppenheim & Schafer, sec. 8.7.3).
//
// Each of the three passes turns two of x[view, c], w[k, c], y[view, k] into the third, by a sum over the index they
// share: y = sum over c of x conj(w), x = sum over k of y w, w = sum over views of conj(y) x, at every frequency.
#include <math.h>
#include <reel/ops/conv_fft.h>
#include <string.h>

enum { BATCH_BYTES = 64 << 20, SPECTRA_BYTES = 512 << 10, LOCAL_BYTES = 4 << 20, MOST_KEPT = 64 << 20 };

typedef struct job {
    const reel_conv_geom *g;
    reel_conv_pass pass;
    reel_fft_cut cut;
    reel_fft_rows x, w, y;
    reel_fft_columns x_columns, w_columns, y_columns;
    size_t unit;
    const reel_spectrum_kernels_of *kernels;
    bool first, last; /* batch of views   */
    bool ready;       /* spectra of w have been kept from an earlier play */
    int64_t sub;      /* views whose spectra a worker holds at once      */
    char *weights;    /* spectra of w for all batches or plays; NULL: a worker's own */
    char *scratch;    /* of each worker: for a plane's columns, spectra of x, of y, and of w */
    size_t scratch_size;
} job;

/* Spectra of planes in one block, by point of the columns, view (or k) and channel: complex numbers from one to the
 * next. Odd numbers of lanes, so that they spread over the sets of a cache. */
typedef struct operand {
    void *at;
    int64_t point, outer, inner;
} operand;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static void *at(const job *j, const void *base, int64_t index) { return (char *)base + index * (int64_t)j->unit; }

enum { LANES = REEL_SPECTRUM_LANES };
static int64_t outer_of(int64_t channels) { return (channels | 1) * LANES; }
static int64_t point_of(int64_t outers, int64_t channels) { return (outers * (channels | 1) | 1) * LANES; }

/* Spectra of `outers` x `channels` planes from an outer index and a channel on: the lines where there are no columns.
 */
static operand operand_of(const job *j, const reel_fft_rows *r, int64_t block, int64_t outer, int64_t channel,
                          int64_t outers, int64_t channels, void *spectra)
{
    int64_t lanes = j->cut.lanes;
    if (j->cut.columns > 1) return (operand) { spectra, point_of(outers, channels), outer_of(channels), LANES };
    return (operand) { at(j, r->lines, block * r->stride + (outer * r->of_view + channel) * lanes), LANES,
                       r->of_view * lanes, lanes };
}

/* Columns of planes (outer, channel) .. between lines and spectra. */
static void transform(const job *j, const reel_fft_columns *columns, int64_t block, int64_t outer, int64_t channel,
                      int64_t outers, int64_t channels, const operand *spectra, void *scratch, bool back)
{
    const reel_fft_rows *r = columns->rows;
    if (j->cut.columns == 1) return;
    for (int64_t o = 0; o < outers; o++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t row = (outer + o) * r->of_view + (channel + c) * r->side->rows;
            reel_fft_columns_transform(columns, at(j, r->lines, block * r->stride + row * LANES),
                                       at(j, spectra->at, o * spectra->outer + c * spectra->inner), scratch, back);
        }
}

/* Products of `views` views. */
static void multiply(const job *j, int64_t views, const operand *x, const operand *w, const operand *y, bool add)
{
    int64_t c_per = j->g->c / j->g->groups, k_per = j->g->k / j->g->groups;
    reel_spectrum_product p = { .points = j->cut.columns * j->cut.lanes / LANES, .add = add };
    bool forward = j->pass == REEL_CONV_FORWARD;
    const operand *a = y, *b = x, *c = w;
    if (j->pass == REEL_CONV_WEIGHT_GRAD) { /* w[k][c] += y[view][k] x[view][c] */
        p.i = k_per, p.j = c_per, p.depth = views;
        p.a_i = y->inner, p.a_r = y->outer;
        p.b_j = x->inner, p.b_r = x->outer;
        p.c_i = w->outer, p.c_j = w->inner;
    } else { /* y[view][k] = x[view][c] w[k][c], or x[view][c] = y[view][k] w[k][c] */
        a = forward ? x : y, b = w, c = forward ? y : x;
        p.i = views, p.j = forward ? k_per : c_per, p.depth = forward ? c_per : k_per;
        p.a_i = a->outer, p.a_r = a->inner;
        p.b_j = forward ? w->outer : w->inner, p.b_r = forward ? w->inner : w->outer;
        p.c_i = c->outer, p.c_j = c->inner;
    }
    p.a = a->at, p.a_point = a->point;
    p.b = b->at, p.b_point = b->point;
    p.c = c->at, p.c_point = c->point;
    j->kernels->multiply(&p);
}

/* One block of one group of channels, for all views of a batch. */
static void block_chunk(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    const reel_conv_geom *g = j->g;
    char *scratch = j->scratch + (size_t)worker * j->scratch_size;
    int64_t block = chunk % j->cut.blocks, group = chunk / j->cut.blocks, points = j->cut.columns;
    int64_t c_per = g->c / g->groups, k_per = g->k / g->groups, c0 = group * c_per, k0 = group * k_per;
    void *x_at = at(j, scratch, reel_fft_columns_scratch(&j->cut)),
         *y_at = at(j, x_at, points * point_of(j->sub, c_per)),
         *w_at = j->weights ? at(j, j->weights, chunk * points * point_of(k_per, c_per))
                            : at(j, y_at, points * point_of(j->sub, k_per));
    operand w = operand_of(j, &j->w, block, k0, 0, k_per, c_per, w_at);
    bool to_x = j->pass == REEL_CONV_INPUT_GRAD, to_y = j->pass == REEL_CONV_FORWARD, to_w = !to_x && !to_y;
    if (!to_w && !j->ready && (j->first || !j->weights))
        transform(j, &j->w_columns, block, k0, 0, k_per, c_per, &w, scratch, false);
    for (int64_t view = 0, views; view < j->x.views; view += views) {
        views = smaller(j->sub, j->x.views - view);
        operand x = operand_of(j, &j->x, block, view, c0, j->sub, c_per, x_at),
                y = operand_of(j, &j->y, block, view, k0, j->sub, k_per, y_at);
        if (!to_x) transform(j, &j->x_columns, block, view, c0, views, c_per, &x, scratch, false);
        if (!to_y) transform(j, &j->y_columns, block, view, k0, views, k_per, &y, scratch, false);
        multiply(j, views, &x, &w, &y, to_w && !(j->first && view == 0));
        if (to_x) transform(j, &j->x_columns, block, view, c0, views, c_per, &x, scratch, true);
        if (to_y) transform(j, &j->y_columns, block, view, k0, views, k_per, &y, scratch, true);
    }
    if (to_w && j->last) transform(j, &j->w_columns, block, k0, 0, k_per, c_per, &w, scratch, true);
}

/* What spectra of a weight depend on besides the weight: they are kept behind this. */
typedef struct kept_for {
    int64_t n[3], lanes, groups, kernel[3], dilation[3], padding[5];
} kept_for;

static kept_for kept_for_cut(const reel_conv_geom *g, const reel_fft_cut *cut)
{
    kept_for k = { .lanes = cut->lanes, .groups = g->groups };
    for (int i = 0; i < 3; i++) {
        k.n[i] = cut->n[i];
        k.kernel[i] = g->kernel[i];
        k.dilation[i] = g->dilation[i];
    }
    return k;
}

/* Memory for `bytes` of spectra of the weight that stays from play to play; NULL where it may not. */
static char *kept_spectra(job *j, const reel_conv_epilogue *epilogue, size_t bytes)
{
    const kept_for wanted = kept_for_cut(j->g, &j->cut);
    if (!epilogue || !epilogue->play || bytes > MOST_KEPT) return NULL;
    kept_for *kept =
        reel_play_keep(epilogue->play, 1, REEL_CONV_TAG(48 + (int)j->pass, 0), sizeof *kept + bytes, &j->ready);
    if (!kept) return NULL;
    j->ready = j->ready && memcmp(kept, &wanted, sizeof wanted) == 0;
    *kept = wanted;
    return (char *)(kept + 1);
}

static bool prepare_side(const reel_exec *exec, job *j, reel_fft_rows *r, const reel_fft_side *side, const void *planes,
                         int64_t views, bool back)
{
    r->cut = &j->cut;
    r->side = side;
    r->planes = (void *)planes;
    r->views = views;
    return reel_fft_rows_prepare(exec, r, j->g->dtype, back);
}

static size_t bytes_of_lines(const reel_fft_rows *r)
{
    return reel_bytes(reel_bytes((size_t)r->cut->blocks, (size_t)r->stride), r->unit);
}

static bool prepare(const reel_exec *exec, job *j, const void *x, const void *w, const void *y,
                    const reel_conv_epilogue *epilogue, int64_t batch)
{
    const reel_conv_geom *g = j->g;
    reel_fft_cut *cut = &j->cut;
    bool forward = j->pass == REEL_CONV_FORWARD, back = j->pass == REEL_CONV_INPUT_GRAD;
    if (!prepare_side(exec, j, &j->x, &cut->x, x, batch, back) ||
        !prepare_side(exec, j, &j->w, &cut->w, w, g->k, !forward && !back) ||
        !prepare_side(exec, j, &j->y, &cut->y, y, batch, forward))
        return false;
    (forward ? &j->y : &j->x)->epilogue = epilogue;
    /* Split rows are twice their spectra, for both operands, and FFTW does not scale. */
    j->x.scale = j->y.scale = j->w.scale = 0.25 / ((double)cut->columns * (double)cut->n[2]);
    j->unit = j->x.unit;
    j->kernels = j->x.kernels;
    int64_t c_per = g->c / g->groups, k_per = g->k / g->groups, bytes = cut->columns * (int64_t)j->unit;
    int64_t of_view = (outer_of(c_per) + outer_of(k_per)) * bytes, of_weights = point_of(k_per, c_per) * bytes;
    bool lines = cut->columns == 1; /* are the spectra */
    size_t all = lines ? bytes_of_lines(&j->w) : reel_bytes((size_t)(cut->blocks * g->groups), (size_t)of_weights);
    void *kept = kept_spectra(j, epilogue, all);
    j->x.lines = reel_scratch(exec, bytes_of_lines(&j->x));
    j->y.lines = reel_scratch(exec, bytes_of_lines(&j->y));
    j->w.lines = lines && kept ? kept : reel_scratch(exec, j->ready ? 0 : bytes_of_lines(&j->w));
    if (!j->x.lines || !j->y.lines || !j->w.lines) return false;
    if (lines) {
        j->sub = batch;
        return (j->scratch = reel_scratch(exec, 64)) != NULL;
    }
    bool shared = batch < cut->views || of_weights > LOCAL_BYTES;
    j->sub = smaller(batch, larger(1, larger(SPECTRA_BYTES, smaller(of_weights, LOCAL_BYTES)) / of_view));
    j->sub = (batch + (batch + j->sub - 1) / j->sub - 1) / ((batch + j->sub - 1) / j->sub); /* of equal parts */
    j->weights = kept;
    if (shared && !kept && !(j->weights = reel_scratch(exec, all))) return false;
    j->scratch_size =
        (size_t)(reel_fft_columns_scratch(cut) * (int64_t)j->unit +
                 (point_of(j->sub, c_per) + point_of(j->sub, k_per)) * bytes + (j->weights ? 0 : of_weights));
    j->scratch = reel_scratch(exec, reel_bytes(j->scratch_size, (size_t)exec->threads));
    reel_dtype dtype = g->dtype;
    return j->scratch && reel_fft_columns_prepare(exec, &j->x_columns, &j->x, dtype, point_of(j->sub, c_per), back) &&
           reel_fft_columns_prepare(exec, &j->y_columns, &j->y, dtype, point_of(j->sub, k_per), forward) &&
           reel_fft_columns_prepare(exec, &j->w_columns, &j->w, dtype, point_of(k_per, c_per), !forward && !back);
}

/* Any pass, over batches of views whose lines are of bounded size. */
static bool run(const reel_exec *exec, const reel_conv_geom *g, reel_conv_pass pass, const void *x, const void *w,
                const void *y, const reel_conv_epilogue *epilogue)
{
    job j = { .g = g, .pass = pass };
    reel_fft_cut *cut = &j.cut;
    if (!reel_fft_choose(g, pass, cut, NULL)) return false;
    double of_view = (double)(g->c * cut->x.rows + g->k * cut->y.rows) * (double)(cut->blocks * cut->lanes) * 2 *
                     (double)reel_dtype_size(g->dtype);
    int64_t batch = larger(1, smaller(cut->views, (int64_t)(BATCH_BYTES / of_view)));
    if (!prepare(exec, &j, x, w, y, epilogue, batch)) return false;
    if (pass != REEL_CONV_WEIGHT_GRAD && !j.ready) reel_fft_rows_there(exec, &j.w);
    for (int64_t view = 0; view < cut->views; view += batch) {
        j.x.view = j.y.view = view;
        j.x.views = j.y.views = smaller(batch, cut->views - view);
        j.first = view == 0;
        j.last = view + batch >= cut->views;
        if (pass != REEL_CONV_INPUT_GRAD) reel_fft_rows_there(exec, &j.x);
        if (pass != REEL_CONV_FORWARD) reel_fft_rows_there(exec, &j.y);
        reel_parallel(exec, g->groups * cut->blocks, block_chunk, &j);
        if (pass == REEL_CONV_FORWARD) reel_fft_rows_back(exec, &j.y);
        if (pass == REEL_CONV_INPUT_GRAD) reel_fft_rows_back(exec, &j.x);
    }
    if (pass == REEL_CONV_WEIGHT_GRAD) reel_fft_rows_back(exec, &j.w);
    return true;
}

static bool forward(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *w,
                    const reel_conv_epilogue *epilogue, void *y)
{
    return run(exec, g, REEL_CONV_FORWARD, x, w, y, epilogue);
}

static bool input_grad(const reel_exec *exec, const reel_conv_geom *g, const void *gy, const void *w,
                       const reel_conv_epilogue *epilogue, void *gx)
{
    return run(exec, g, REEL_CONV_INPUT_GRAD, gx, w, gy, epilogue);
}

static bool weight_grad(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *gy, void *gw)
{
    return run(exec, g, REEL_CONV_WEIGHT_GRAD, x, gw, gy, NULL);
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
    return nanoseconds;
}

const reel_conv_impl reel_conv_fft = { .name = "fft",
                                       .supports = supports,
                                       .cost = cost,
                                       .forward = forward,
                                       .input_grad = input_grad,
                                       .weight_grad = weight_grad };
