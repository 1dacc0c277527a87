// SPDX-License-Identifier: MIT
// Transform sizes and tiles for convolution by spectra, chosen by estimated cost.
#include <math.h>
#include <reel/ops/conv_fft.h>
#include <reel/ops/sizes.h>

enum { SIZES = 9 }; /* tried on an axis: 16 32 48 64 80 96 .. from the kernel's reach on */

static const double MOST_BYTES = 1 << 30; /* of scratch */

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -blocks(-a, b); }

/* Dense points of an axis's result (stride 1), and points from its first tap to its last. False when past reason. */
static bool axis_reach(const reel_conv_geom *g, reel_conv_pass pass, int i, int64_t *total, int64_t *reach)
{
    const int64_t most = 1 << 28;
    if (g->in[i] > most || g->out[i] > most || g->kernel[i] > most || g->stride[i] > most || g->dilation[i] > most ||
        g->pad[i] > most)
        return false;
    *total = pass == REEL_CONV_INPUT_GRAD ? g->in[i] : (g->out[i] - 1) * g->stride[i] + 1;
    *reach = (g->kernel[i] - 1) * g->dilation[i] + 1;
    return *total <= most && *reach <= 1 << 24;
}

/* The sizes worth a look: up to the first that needs no tiles. FFTW does best with powers of two, and well with three
 * and five of them. */
static int axis_sizes(const reel_conv_geom *g, reel_conv_pass pass, int i, int64_t sizes[SIZES])
{
    int64_t total, reach;
    int count = 0;
    if (!axis_reach(g, pass, i, &total, &reach)) return 0;
    if (i < 2 && reach == 1 && g->stride[i] == 1) {
        sizes[0] = 1; /* nothing to transform: every point is a tile */
        return 1;
    }
    for (int64_t power = 16; count < SIZES; power *= 2)
        for (int quarters = 4; quarters <= 6 && count < SIZES; quarters++) {
            int64_t n = power / 4 * quarters;
            if (n < reach || n < 16 || (quarters == 5 && power < 64) || (quarters == 6 && power < 32)) continue;
            sizes[count++] = n;
            if (n >= total + reach - 1) return count;
        }
    return count;
}

/* Whether one transform of n points does for a whole axis: what wraps around meets zeros of the padding, or lands where
 * nobody looks. So 'same' padding takes in + pad points, and not in + 2 pad. */
static bool one_tile(const reel_conv_geom *g, reel_conv_pass pass, int i, int64_t n, int64_t total, int64_t reach)
{
    int64_t pad = g->pad[i];
    if (n < reach || n < total) return false;
    if (pass == REEL_CONV_INPUT_GRAD) {
        int64_t results = (g->out[i] - 1) * g->stride[i] + 1;
        return n >= results && n >= results + reach - 1 - pad && n >= pad + total;
    }
    return n >= total + reach - 1 - pad && n >= pad + smaller(g->in[i], total + reach - 1 - pad);
}

/* Of the one tile of an axis, the elements that there are. */
static void trim(reel_fft_side *side, int i)
{
    int64_t low = side->first[i] < 0 ? -side->first[i] : 0, most = side->size[i] - side->first[i] - low;
    int64_t count = smaller(side->count[i] - low, most);
    if (count < 1) return;
    side->first[i] += low;
    side->at[i] += low * side->spread[i];
    side->count[i] = count;
}

/* Axis i of the sides for transforms of n points. False when n is too short. */
static bool cut_axis(const reel_conv_geom *g, reel_conv_pass pass, int i, int64_t n, reel_fft_cut *cut)
{
    int64_t total, reach, s = g->stride[i], tiles = 1;
    if (!axis_reach(g, pass, i, &total, &reach)) return false;
    bool whole = one_tile(g, pass, i, n, total, reach);
    int64_t most = n - reach + 1, tile = total; /* points of a result that wrap around nothing */
    if (!whole) {
        if (most < s) return false;
        tiles = blocks(total, most / s * s);
        tile = blocks(blocks(total, tiles), s) * s;
    }
    reel_fft_side *x = &cut->x, *w = &cut->w, *y = &cut->y;
    cut->n[i] = n;
    x->size[i] = g->in[i];
    y->size[i] = g->out[i];
    w->size[i] = w->count[i] = g->kernel[i];
    w->spread[i] = g->dilation[i];
    w->first[i] = w->step[i] = w->at[i] = 0;
    x->tiles[i] = y->tiles[i] = tiles;
    w->tiles[i] = x->spread[i] = 1;
    x->step[i] = tile;
    y->step[i] = tile / s;
    y->spread[i] = s;
    if (pass != REEL_CONV_INPUT_GRAD) { /* y[u] = sum over t of x[u - pad + t] w[t], u from a tile's first */
        x->first[i] = -g->pad[i];
        x->count[i] = smaller(n, tile + reach - 1);
        x->at[i] = y->at[i] = y->first[i] = 0;
        y->count[i] = blocks(tile, s);
        if (tiles == 1) trim(x, i);
        return true;
    }
    x->first[i] = 0;
    x->count[i] = tile;
    if (whole) { /* x[u] is the product's point u + pad */
        x->at[i] = g->pad[i];
        y->first[i] = y->at[i] = 0;
        y->count[i] = g->out[i];
        return true;
    }
    /* x[u] = sum over t of y[u + pad - t] w[t]: the tile of y begins where the last tap of its first u reads. */
    int64_t from = g->pad[i] - reach + 1;
    x->at[i] = reach - 1;
    y->first[i] = -floor_div(-from, s);
    y->at[i] = y->first[i] * s - from;
    y->count[i] = floor_div(tile + reach - 2 - y->at[i], s) + 1;
    if (y->count[i] < 1) { /* the stride steps over all of it: a row outside of the plane */
        y->count[i] = 1;
        y->first[i] = g->out[i];
        y->at[i] = 0;
    }
    if (tiles == 1) trim(y, i);
    return true;
}

/* Nanoseconds: of a complex point of a row there or back, of one of a plane's spectrum with its columns, and of a
 * product. */
static double cost_of(const reel_conv_geom *g, const reel_fft_cut *c)
{
    double planes_x = (double)c->views * (double)g->c, planes_y = (double)c->views * (double)g->k,
           c_per = (double)(g->c / g->groups), planes_w = (double)g->k * c_per;
    double rows = planes_x * (double)c->x.rows + planes_y * (double)c->y.rows + planes_w * (double)c->w.rows;
    double points = (double)(c->columns * c->lanes * c->blocks), bits = log2((double)c->n[2]), of_column = 0.6;
    for (int i = 0; i < 2; i++)
        if (c->n[i] > 1) of_column += 0.6 * (c->n[i] > 512 ? 2 : 1);
    return 5000 + rows / 2 * ((double)c->n[2] + 16) * (1.7 + (bits > 11 ? (bits - 11) * 0.7 : 0)) +
           (planes_x + planes_y + planes_w) * points * of_column + planes_y * c_per * points * 0.17;
}

static bool within_reason(const reel_conv_geom *g, const reel_fft_cut *c)
{
    double unit = 2.0 * (double)reel_dtype_size(g->dtype), line = (double)(c->blocks * c->lanes) * unit;
    double weights = (double)g->k * (double)(g->c / g->groups);
    double of_view = (double)(g->c + g->k) * (double)c->columns * line;
    double points = (double)c->n[0] * (double)c->n[1] * (double)c->n[2];
    return points < 1 << 26 && (double)g->n * (double)reel_conv_volume(c->x.tiles) < 1e9 && of_view < MOST_BYTES / 4 &&
           weights * (double)c->columns * line < MOST_BYTES / 2;
}

/* The rest of a cut whose axes are there. */
static void finish_cut(const reel_conv_geom *g, reel_fft_cut *c)
{
    int64_t c_per = g->c / g->groups;
    c->x.channels = g->c;
    c->y.channels = g->k;
    c->w.channels = c_per;
    c->x.rows = c->x.count[0] * c->x.count[1];
    c->y.rows = c->y.count[0] * c->y.count[1];
    c->w.rows = c->w.count[0] * c->w.count[1];
    c->tiles = reel_conv_volume(c->x.tiles);
    c->views = g->n * c->tiles;
    c->columns = c->n[0] * c->n[1];
    c->lanes = c->columns == 1 && c_per * (g->k / g->groups) < 16 && c->n[2] >= 128 ? 64 : 8;
    c->blocks = blocks(c->n[2] / 2, c->lanes);
}

bool reel_fft_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_fft_cut *best, double *cost)
{
    int64_t sizes[3][SIZES];
    int counts[3];
    double least = INFINITY;
    for (int i = 0; i < 3; i++) counts[i] = axis_sizes(g, pass, i, sizes[i]);
    /* Correlation multiplies by the conjugate of what is slid along: its transform takes the other sign. */
    reel_fft_cut cut = { .x.sign = -1,
                         .w.sign = pass == REEL_CONV_FORWARD ? 1 : -1,
                         .y.sign = pass == REEL_CONV_WEIGHT_GRAD ? 1 : -1 };
    for (int a = 0; a < counts[0]; a++) {
        if (!cut_axis(g, pass, 0, sizes[0][a], &cut)) continue;
        for (int b = 0; b < counts[1]; b++) {
            if (!cut_axis(g, pass, 1, sizes[1][b], &cut)) continue;
            for (int c = 0; c < counts[2]; c++) {
                if (!cut_axis(g, pass, 2, sizes[2][c], &cut)) continue;
                finish_cut(g, &cut);
                double estimate = within_reason(g, &cut) ? cost_of(g, &cut) : INFINITY;
                if (!(estimate < least)) continue;
                least = estimate;
                *best = cut;
            }
        }
    }
    if (cost) *cost = least;
    return least < INFINITY;
}
