// SPDX-License-Identifier: MIT
// Direct convolution: the weight gradient, six taps times vectors of output channels, summed over pixels.
//
// sums[r][k] += image[pixel + tap r] * gy[k, pixel]: the image is read in place, gy is turned around block by block.
// Shares of the bands are summed apart and added in their order at the end.
#include <reel/ops/conv_bands.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/sizes.h>

enum { PIXELS = 128, ROWS = 96 }; /* of a block of gy; of a chunk of the end */

typedef struct weight_pass {
    const reel_exec *exec;
    const reel_conv_geom *g;
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    size_t size;
    const void *x, *gy;
    void *gw, *sums; /* sums: [share][group][r][k padded] */
    int64_t c, k, k_padded, depth, panel;
    reel_conv_bands bands;
    int64_t of_row, shares, share; /* pixels of a band's row; share: bands (of all images) of one */
    const int64_t *taps, *pixels, *panel_rows[REEL_GEMM_VECTORS];
    char *scratch; /* of each worker: a band, gy turned */
    size_t scratch_size, turned_at;
} weight_pass;

static void *sums_of(const weight_pass *p, int64_t share, int64_t group)
{
    return at(p->sums, (share * p->g->groups + group) * p->depth * p->k_padded, p->size);
}

/* turned[pixel][k], lanes past the last channel zero. */
static void turn(const weight_pass *p, const void *gy, int64_t channels, int64_t width, int64_t pixels, void *turned)
{
    p->gemm->transpose(channels, pixels, gy, reel_conv_volume(p->g->out), turned, width);
    for (int64_t i = 0; i < pixels && channels < width; i++)
        for (int64_t k = channels; k < width; k++) {
            if (p->g->dtype == REEL_F32)
                ((float *)turned)[i * width + k] = 0;
            else
                ((double *)turned)[i * width + k] = 0;
        }
}

static void band(const weight_pass *p, int64_t n, int64_t group, int64_t row, char *scratch, void *sums, bool first)
{
    const reel_conv_geom *g = p->g;
    int64_t volume = reel_conv_volume(g->in), count = smaller(p->bands.rows, g->out[p->bands.slab] - row) * p->of_row;
    const void *src = at(p->x, (n * g->c + group * p->c) * volume, p->size);
    const void *image = reel_conv_band_fetch(&p->bands, p->conv, p->size, src, volume, p->c, row, scratch);
    void *turned = scratch + p->turned_at;
    int64_t y = (n * g->k + group * p->k) * reel_conv_volume(g->out) + row * p->of_row;
    for (int64_t q = 0; q < count; q += PIXELS, first = false)
        for (int64_t k = 0; k < p->k; k += p->panel) {
            int64_t width = smaller(p->k_padded - k, p->panel), pixels = smaller(count - q, PIXELS);
            int vectors = (int)(width / p->gemm->lanes);
            turn(p, at(p->gy, y + k * reel_conv_volume(g->out) + q, p->size), smaller(p->k - k, width), width, pixels,
                 turned);
            p->gemm->multiply(&(reel_gemm) { .rows = p->depth,
                                             .depth = pixels,
                                             .a = image,
                                             .row_off = p->taps,
                                             .a_off = p->pixels + q,
                                             .b = turned,
                                             .b_off = p->panel_rows[vectors - 1],
                                             .c = at(sums, k, p->size),
                                             .ldc = p->k_padded,
                                             .vectors = vectors,
                                             .cols = (int)width,
                                             .flags = first ? 0 : REEL_GEMM_ADD });
        }
}

static void share_chunk(void *arg, int64_t chunk, int worker)
{
    const weight_pass *p = arg;
    int64_t group = chunk % p->g->groups, share = chunk / p->g->groups, begin = share * p->share;
    int64_t end = smaller(begin + p->share, p->g->n * p->bands.count);
    for (int64_t i = begin; i < end; i++)
        band(p, i / p->bands.count, group, i % p->bands.count * p->bands.rows,
             p->scratch + (size_t)worker * p->scratch_size, sums_of(p, share, group), i == begin);
}

/* Adds the shares of some rows and turns them into gw[k][r]. */
static void finish_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weight_pass *p = arg;
    int64_t of_group = blocks(p->depth, ROWS), group = chunk / of_group, r = chunk % of_group * ROWS;
    int64_t rows = smaller(p->depth - r, ROWS);
    void *sums = at(sums_of(p, 0, group), r * p->k_padded, p->size);
    for (int64_t share = 1; share < p->shares; share++) {
        const void *more = at(sums_of(p, share, group), r * p->k_padded, p->size);
        for (int64_t i = 0; i < rows * p->k_padded; i++) {
            if (p->g->dtype == REEL_F32)
                ((float *)sums)[i] += ((const float *)more)[i];
            else
                ((double *)sums)[i] += ((const double *)more)[i];
        }
    }
    p->gemm->transpose(rows, p->k, sums, p->k_padded, at(p->gw, group * p->k * p->depth + r, p->size), p->depth);
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    weight_pass *p = arg;
    const reel_conv_geom *g = p->g;
    double work = (double)reel_conv_volume(g->out) * (double)p->depth * (double)p->k;
    p->bands = reel_conv_band_cut(gather, g->in, p->c, g->n * g->groups, p->size, work, false);
    p->of_row = reel_conv_volume(g->out) / g->out[p->bands.slab];
    /* Two shares at least keep two threads busy, eight at most; large sums have fewer. */
    size_t bytes = reel_bytes(reel_bytes((size_t)(g->groups * p->depth), (size_t)p->k_padded), p->size);
    int64_t bands = g->n * p->bands.count, wanted = bytes < (size_t)1 << 20 ? 8 : bytes < (size_t)4 << 20 ? 4 : 2;
    if (work * (double)(g->n * g->groups) < 1e6) wanted = 1;
    wanted = blocks(wanted, g->groups);
    p->share = blocks(bands, smaller(wanted, bands));
    p->shares = blocks(bands, p->share);
    p->turned_at = (size_t)blocks(p->bands.copied ? p->c * p->bands.channel : 0, 16) * 16 * p->size;
    p->scratch_size = p->turned_at + (size_t)(PIXELS * p->panel) * p->size;
    p->scratch = reel_scratch(p->exec, reel_bytes(p->scratch_size, (size_t)p->exec->threads));
    p->sums = reel_scratch(p->exec, reel_bytes((size_t)p->shares, bytes));
    if (!p->scratch || !p->sums || !(p->taps = reel_conv_band_taps(p->exec, &p->bands, gather, p->c)) ||
        !(p->pixels = reel_conv_band_points(p->exec, &p->bands, gather)))
        return false;
    reel_parallel(p->exec, p->shares * g->groups, share_chunk, p);
    reel_parallel(p->exec, g->groups * blocks(p->depth, ROWS), finish_chunk, p);
    return true;
}

bool reel_conv_direct_weight_grad(const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    weight_pass p = { .exec = exec, .g = g, .x = call->a, .gy = call->b, .gw = call->result };
    p.gemm = reel_gemm_of(exec->isa, g->dtype);
    p.conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    p.size = reel_dtype_size(g->dtype);
    p.c = g->c / g->groups;
    p.k = g->k / g->groups;
    p.k_padded = blocks(p.k, p.gemm->lanes) * p.gemm->lanes;
    p.depth = p.c * reel_conv_volume(g->kernel);
    p.panel = p.gemm->lanes * p.gemm->max_vectors;
    for (int v = 0; v < p.gemm->max_vectors; v++) {
        int64_t *table = reel_scratch(exec, PIXELS * sizeof *table);
        if (!table) return false;
        for (int64_t i = 0; i < PIXELS; i++) table[i] = i * (v + 1) * p.gemm->lanes;
        p.panel_rows[v] = table;
    }
    return reel_conv_gathers(exec, g, REEL_CONV_FORWARD, run_gather, &p);
}
