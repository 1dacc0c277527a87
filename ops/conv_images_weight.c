// SPDX-License-Identifier: MIT
// Weight gradients along images: dot products along images and points, summed by lanes.
#include <reel/ops/conv_images.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { SHARES = 16, CHUNKS = 32, OUTPUTS = 4, LINES_BYTES = 12 << 10 };

/* Panel i of the images that are turned at a time is added to share i % shares of the sums, of which there are as many as
 * keep workers busy. Along rows of Winograd's products there is a sum for each of them, and taps come of them in the
 * end. */
typedef struct weights {
    reel_images_kernels k;
    const reel_conv_geom *g;
    int64_t c, outputs, rows;       /* channels of a group; channels times taps, or rows of taps */
    reel_winograd_tile tile;
    reel_images_powers powers;
    int64_t products;               /* of a tile; 1 without tiles */
    int64_t count, x_line, gy_line; /* elements of a row that meet, of a row of x, of gy; with tiles of one product */
    int64_t x_channel, gy_channel;  /* elements of a channel */
    int64_t shares, parts, of_part, extent[3]; /* outputs of a part */
    int64_t panels;           /* that are turned */
    bool fresh;               /* the first images of all */
    const int64_t *row_off;   /* of each row in the turned images */
    const void *x, *gy;       /* turned: [panel]... */
    void *sums, *totals, *gw; /* sums: [share][product][output][row][lane]; totals, of tiles: [product][output][row] */
} weights;

static void dot_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weights *p = arg;
    const reel_conv_geom *g = p->g;
    const int64_t *out = g->out;
    int64_t product = chunk % p->products, part = chunk / p->products % p->parts;
    int64_t group = chunk / p->products / p->parts % g->groups, share = chunk / p->products / p->parts / g->groups;
    int64_t k = group * p->outputs + part * p->of_part;
    bool joined = g->stride[2] == 1; /* a row of results is one stretch, else a point is */
    reel_conv_dot dot = { .outputs = smaller(p->of_part, p->outputs - part * p->of_part),
                          .rows = p->rows,
                          .gy_k = p->gy_channel,
                          .row_off = p->row_off,
                          .sums = at(p->sums, ((share * p->products + product) * g->k + k) * p->rows * p->k.lanes,
                                     p->k.size) };
    dot.count = joined ? p->count : p->k.panel;
    dot.gy_line = joined ? p->gy_line : dot.count;
    dot.column_line = joined ? g->stride[1] * p->x_line : g->stride[2] * p->k.panel;
    int64_t lines = joined ? out[1] : out[2], calls = joined ? out[0] : out[0] * out[1];
    int64_t at_once = joined ? larger(1, LINES_BYTES / (dot.count * (int64_t)p->k.size)) : lines;
    int64_t plane = p->extent[0] * p->extent[1] * p->x_line;
    dot.fresh = p->fresh;
    for (int64_t panel = share; panel < p->panels; panel += p->shares) {
        int64_t of_product = out[0] * out[1] * p->gy_line;
        const void *gy = at(p->gy, (panel * g->k + k) * p->gy_channel + product * of_product, p->k.size);
        const void *x = at(p->x, (panel * g->c + group * p->c) * p->x_channel + product * plane, p->k.size);
        for (int64_t i = 0; i < calls; i++) {
            int64_t z = joined ? i : i / out[1], y = joined ? 0 : i % out[1];
            int64_t first = (z * g->stride[0] * p->extent[1] + y * g->stride[1]) * p->x_line;
            for (int64_t line = 0; line < lines; line += at_once, dot.fresh = false) {
                dot.lines = smaller(at_once, lines - line);
                dot.gy = at(gy, (i * lines + line) * dot.gy_line, p->k.size);
                dot.column = at(x, first + line * dot.column_line, p->k.size);
                p->k.conv->dot(&dot);
            }
        }
    }
}

static void add_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weights *p = arg;
    int64_t of_output = p->rows * p->k.lanes, apart = p->products * p->g->k * of_output;
    for (int64_t q = 0; q < p->products; q++) {
        int64_t output = q * p->g->k + chunk;
        p->k.conv->add_lanes(p->rows, p->shares, apart, at(p->sums, output * of_output, p->k.size),
                             at(p->tile.results ? p->totals : p->gw, output * p->rows, p->k.size));
    }
    if (p->tile.results)
        reel_images_taps(p->k.size, p->rows, &p->powers, at(p->totals, chunk * p->rows, p->k.size),
                         p->g->k * p->rows, at(p->gw, chunk * p->rows * p->g->kernel[2], p->k.size));
}

/* Where the rows of the sums begin in the turned images. */
static const int64_t *row_offsets(const weights *p, const reel_exec *exec)
{
    const reel_conv_geom *g = p->g;
    int64_t *off = reel_scratch(exec, (size_t)p->rows * sizeof *off), width = p->tile.results ? 1 : g->kernel[2];
    if (!off) return NULL;
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t t2 = r % width, t1 = r / width % g->kernel[1], t0 = r / width / g->kernel[1] % g->kernel[0];
        int64_t c = r / width / g->kernel[1] / g->kernel[0];
        off[r] = c * p->x_channel + (t0 * g->dilation[0] * p->extent[1] + t1 * g->dilation[1]) * p->x_line +
                 t2 * g->dilation[2] * p->k.panel;
    }
    return off;
}

/* Scratch of so many elements, where it will be written. */
static void *room_for(const reel_images_turn *t, int64_t elements)
{
    return reel_scratch(t->k->exec, reel_bytes(reel_images_are_turned(t) ? 1 : (size_t)elements, t->k->size));
}

bool reel_images_weight_grad(const reel_exec *exec, const reel_conv_call *call, reel_winograd_tile tile)
{
    const reel_conv_geom *g = call->g;
    weights p = { .k = reel_images_kernels_for(exec, g),
                  .g = g,
                  .c = g->c / g->groups,
                  .outputs = g->k / g->groups,
                  .tile = tile,
                  .products = tile.results ? tile.products : 1,
                  .gw = call->result };
    int64_t out = reel_conv_volume(g->out), in = reel_conv_volume(g->in), panel = p.k.panel;
    reel_images_turn of_x = { .k = &p.k, .channels = g->c, .tile = tile, .turned = call->a_turned },
                     of_gy = { .k = &p.k, .channels = g->k, .tile = tile, .cotangents = true, .turned = call->b_turned };
    for (int i = 0; i < 3; i++) {
        p.extent[i] = (g->out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1;
        if (g->pad[i] == 0) p.extent[i] = larger(p.extent[i], g->in[i]); /* turned as a whole */
        of_x.size[i] = g->in[i];
        of_x.before[i] = g->pad[i];
        of_gy.size[i] = of_gy.extent[i] = g->out[i];
    }
    if (tile.results) {
        of_x.tiles = of_gy.tiles = blocks(g->out[2], tile.results);
        p.extent[2] = of_x.tiles * tile.results + g->kernel[2] - 1;
        p.count = of_x.tiles * panel;
        p.x_line = p.gy_line = p.count;
    } else {
        p.count = p.gy_line = g->out[2] * panel;
        p.x_line = p.extent[2] * panel;
    }
    memcpy(of_x.extent, p.extent, sizeof p.extent);
    p.x_channel = reel_images_points(&of_x) * panel;
    p.gy_channel = reel_images_points(&of_gy) * panel;
    int64_t x_panel = g->c * p.x_channel, gy_panel = g->k * p.gy_channel;
    p.rows = p.c * g->kernel[0] * g->kernel[1] * (tile.results ? 1 : g->kernel[2]);
    int64_t panels = smaller(smaller(blocks(g->n, panel), SHARES),
                             larger(1, REEL_IMAGES_BYTES / ((x_panel + gy_panel) * (int64_t)p.k.size)));
    int64_t chunks = g->groups * p.products; /* of a share and a part */
    p.of_part = round_up(blocks(p.outputs, blocks(CHUNKS, chunks)), OUTPUTS);
    p.parts = blocks(p.outputs, p.of_part);
    p.shares = smaller(panels, blocks(CHUNKS, chunks * p.parts));
    size_t sums = reel_bytes((size_t)(p.shares * p.products * g->k * p.rows * p.k.lanes), p.k.size);
    p.row_off = row_offsets(&p, exec);
    of_x.to = room_for(&of_x, panels * x_panel);
    of_gy.to = room_for(&of_gy, panels * gy_panel);
    p.sums = reel_scratch(exec, sums);
    if (tile.results) p.totals = reel_scratch(exec, reel_bytes((size_t)(p.products * g->k * p.rows), p.k.size));
    if (!p.row_off || !of_x.to || !of_gy.to || !p.sums || (tile.results && !p.totals)) return false;
    for (int64_t first = 0; first < g->n; first += panels * panel) {
        of_x.n = of_gy.n = smaller(g->n - first, panels * panel);
        of_x.from = at(call->a, first * g->c * in, p.k.size);
        of_gy.from = at(call->b, first * g->k * out, p.k.size);
        if (!reel_images_turn_all(&of_x) || !reel_images_turn_all(&of_gy)) return false;
        p.x = reel_images_are_turned(&of_x) ? of_x.from : of_x.to;
        p.gy = reel_images_are_turned(&of_gy) ? of_gy.from : of_gy.to;
        p.fresh = first == 0;
        p.panels = blocks(of_x.n, panel);
        reel_parallel(exec, smaller(p.panels, p.shares) * p.parts * chunks, dot_chunk, &p);
    }
    if (tile.results) reel_images_fill_powers(g->kernel[2], tile.products, &p.powers);
    reel_parallel(exec, g->k, add_chunk, &p);
    return true;
}
