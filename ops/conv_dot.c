// SPDX-License-Identifier: MIT
// The weight gradient of convolutions with few taps: dot products of rows of gy and packed columns, along pixels.
//
// gw[k, r] = sum over pixels of gy[k, pixel] * column[r, pixel]: columns are packed a panel of pixels at a time, gy is
// read where it lies, and sums are kept by lanes. Shares of the pixels are summed apart and added in their order at the
// end.
#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/conv.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { MOST_ROWS = 64, MOST_SUMS = 8192, SHARES = 8 };

typedef struct dots {
    const reel_exec *exec;
    const reel_conv_geom *g;
    const reel_conv_kernels_of *conv;
    size_t size;
    int lanes;
    reel_conv_columns columns;
    const void *gy;
    void *gw, *sums; /* sums: [share][group][k][r] */
    int64_t c, k, rows, volume;
    int64_t width, of_image, shares, share; /* columns of a panel; panels of an image, of a share */
    int64_t *row_off;                       /* of each row in a panel */
    char *scratch;                          /* of each worker: a panel, sums by lanes */
    size_t scratch_size, sums_at;
} dots;

static void share_chunk(void *arg, int64_t chunk, int worker)
{
    const dots *p = arg;
    const reel_conv_geom *g = p->g;
    int64_t group = chunk % g->groups, share = chunk / g->groups;
    char *panel = p->scratch + (size_t)worker * p->scratch_size, *sums = panel + p->sums_at;
    reel_conv_columns columns = p->columns;
    columns.src = at(columns.src, group * p->c * columns.src_c, p->size);
    int64_t end = smaller(g->n * p->of_image, (share + 1) * p->share);
    for (int64_t first = share * p->share, i = first; i < end; i++) {
        int64_t n = i / p->of_image, q = i % p->of_image * p->width, width = smaller(p->volume - q, p->width);
        for (int64_t j = 0; j < width; j += REEL_CONV_PANEL)
            p->conv->pack(&columns, n * p->volume + q + j, (int)smaller(width - j, REEL_CONV_PANEL), 0, p->rows,
                          at(panel, j, p->size), p->width);
        int64_t whole = blocks(width, p->lanes) * p->lanes;
        for (int64_t r = 0; r < p->rows && width < whole; r++)
            memset(at(panel, r * p->width + width, p->size), 0, (size_t)(whole - width) * p->size);
        p->conv->dot(&(reel_conv_dot) { .count = width,
                                        .lines = 1,
                                        .outputs = p->k,
                                        .rows = p->rows,
                                        .gy = at(p->gy, (n * g->k + group * p->k) * p->volume + q, p->size),
                                        .gy_k = p->volume,
                                        .column = panel,
                                        .row_off = p->row_off,
                                        .sums = sums,
                                        .fresh = i == first });
    }
    p->conv->add_lanes(p->k * p->rows, 1, 0, sums, at(p->sums, (share * g->groups + group) * p->k * p->rows, p->size));
}

static void add_shares(const dots *p)
{
    int64_t count = p->g->k * p->rows;
    for (int64_t i = 0; i < count; i++) {
        if (p->g->dtype == REEL_F32) {
            float sum = 0;
            for (int64_t s = 0; s < p->shares; s++) sum += ((const float *)p->sums)[s * count + i];
            ((float *)p->gw)[i] = sum;
        } else {
            double sum = 0;
            for (int64_t s = 0; s < p->shares; s++) sum += ((const double *)p->sums)[s * count + i];
            ((double *)p->gw)[i] = sum;
        }
    }
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    dots *p = arg;
    const reel_conv_geom *g = p->g;
    for (int i = 0; i < 3; i++) {
        p->columns.grid[i] = gather->grid[i];
        p->columns.step[i] = gather->step[i];
        p->columns.taps[i] = gather->taps[i];
        p->columns.off[i] = gather->off[i];
        p->columns.size[i] = g->in[i];
    }
    double work = (double)(g->n * g->k * p->volume) * (double)p->rows;
    int64_t panels = g->n * p->of_image;
    p->share = blocks(panels, work < 1e6 ? 1 : SHARES);
    p->shares = blocks(panels, p->share);
    p->sums_at = (size_t)round_up(p->rows * p->width, 16) * p->size;
    p->row_off = reel_scratch(p->exec, (size_t)p->rows * sizeof *p->row_off);
    if (!p->row_off) return false;
    for (int64_t r = 0; r < p->rows; r++) p->row_off[r] = r * p->width;
    p->scratch_size = p->sums_at + (size_t)(p->k * p->rows * p->lanes) * p->size;
    p->scratch = reel_scratch(p->exec, reel_bytes(p->scratch_size, (size_t)p->exec->threads));
    p->sums = reel_scratch(p->exec, reel_bytes((size_t)(p->shares * g->k * p->rows), p->size));
    if (!p->scratch || !p->sums) return false;
    reel_parallel(p->exec, p->shares * g->groups, share_chunk, p);
    add_shares(p);
    return true;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    dots p = { .exec = exec, .g = g, .gy = call->b, .gw = call->result };
    p.conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    p.lanes = reel_gemm_of(exec->isa, g->dtype)->lanes;
    p.size = reel_dtype_size(g->dtype);
    p.c = g->c / g->groups;
    p.k = g->k / g->groups;
    p.rows = p.c * reel_conv_volume(g->kernel);
    p.volume = reel_conv_volume(g->out);
    /* Panels that stay in the first cache, and long rows of gy. */
    int64_t most = (32 << 10) / (p.rows * (int64_t)p.size);
    p.of_image = blocks(p.volume, most > REEL_CONV_PANEL ? most : REEL_CONV_PANEL);
    p.width = blocks(blocks(p.volume, p.of_image), 16) * 16;
    p.of_image = blocks(p.volume, p.width);
    p.columns.src = call->a;
    p.columns.src_c = reel_conv_volume(g->in);
    p.columns.src_n = g->c * p.columns.src_c;
    return reel_conv_gathers(exec, g, REEL_CONV_FORWARD, run_gather, &p);
}

static bool supports(const reel_conv_geom *g, reel_conv_pass kind)
{
    int64_t rows = g->c / g->groups * reel_conv_volume(g->kernel);
    return kind == REEL_CONV_WEIGHT_GRAD && rows <= MOST_ROWS && rows * (g->k / g->groups) <= MOST_SUMS &&
           reel_conv_volume(g->out) >= 64;
}

static double cost(const reel_conv_geom *g, reel_conv_pass kind)
{
    (void)kind;
    double pixels = (double)g->n * (double)reel_conv_volume(g->out),
           rows = (double)(g->c * reel_conv_volume(g->kernel)), outputs = (double)(g->k / g->groups);
    double packed = g->stride[2] > 1 ? 0.28 : 0.06 + 7 / (double)g->out[2];
    double product = outputs * (g->dtype == REEL_F32 ? 0.0175 : 0.035);
    return 2000 + pixels * (rows * (product + packed) + outputs * 0.07);
}

const reel_conv_impl reel_conv_dots = { .name = "im2col", .supports = supports, .cost = cost, .run = run };
