// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along columns, with vectors along rows: forward passes of any stride.
//
// With a stride s along columns, residue e of a picture's rows meets the taps e, e + s, ... of a kernel's column: r of
// them at most, fewer in the last residues, which zeros make up for. B^T takes eight rows of each residue to the rows
// of eight products of a tile; these are added up over residues, channels and the taps along rows by register tiles,
// and A^T takes the eight rows of sums of an output to m = 9 - r rows of results (kernels/winograd_rows.h). A stride
// along rows takes rows apart by residues as well, so that the points a tap sees lie side by side.
#include <reel/ops/conv_winograd_columns.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { PRODUCTS = REEL_COLUMNS_PRODUCTS, DEPTH = 256, CACHE = 256 << 10, WIDTH = 256, RESIDUES = 64, TERMS = 512 };

typedef struct forward {
    reel_images_kernels k;
    const reel_conv_geom *g;
    const reel_conv_epilogue *epilogue;
    const void *x;
    void *y;
    int64_t inputs, outputs;
    int64_t taps, tile, tiles; /* of a residue's column; results of a column in a tile; tiles of a column */
    int64_t lines, residues;   /* rows of the picture under a tile; residues along rows that taps have    */
    int64_t width, slices;     /* results of a row that are done at a time                               */
    int64_t row, ld;           /* elements of a residue's row, of a row of sums                          */
    int64_t block, together;   /* inputs whose products, outputs whose sums are at hand                  */
    int64_t depth;             /* [residue along columns][input][tap along rows]: terms of all inputs    */
    int64_t of_input;          /* products of an input: [residue][product][residue along rows][element]  */
    int64_t *a_off, *b_off;    /* [input of a block][residue][tap]                                       */
    reel_columns_weights weights; /* of a product: [output][depth] */
    /* Of each worker: an input's rows [residue][line], products, sums [output][product][point], results. */
    char *scratch;
    size_t scratch_size, products_at, sums_at, results_at;
} forward;

/* Weights of the residues along columns. */
static bool prepare_weights(forward *p)
{
    const reel_conv_geom *g = p->g;
    reel_columns_terms terms[RESIDUES];
    bool ready;
    if (!reel_columns_keep(&p->weights, &p->k, p->epilogue, 40, (const int64_t[]) { 0, 0 }, &ready)) return false;
    for (int64_t e = 0; e < g->stride[1]; e++)
        terms[e] = (reel_columns_terms) {
            .first = { e, 0 }, .count = g->kernel[2], .to = e * p->inputs * g->kernel[2], .apart = p->depth
        };
    return ready || reel_columns_fill(&p->weights, &p->k, terms, g->stride[1]);
}

/* An input's rows under a tile, taken apart by residues along rows, and their products. */
static void transform(const forward *p, const void *x, int64_t tile, int64_t column, void *rows, void *products)
{
    const reel_conv_geom *g = p->g;
    int64_t none = 0, y = tile * p->tile * g->stride[1] - g->pad[1], count = p->lines * p->row, off[RESIDUES];
    for (int64_t t = 0; t < p->residues; t++) off[t] = column * g->stride[2] + t - g->pad[2];
    reel_conv_columns columns = { .src = x,
                                  .size = { 1, g->in[1], g->in[2] },
                                  .grid = { 1, p->lines, p->row },
                                  .step = { 1, 1, g->stride[2] },
                                  .taps = { 1, 1, p->residues },
                                  .off = { &none, &y, off } };
    for (int64_t q = 0; q < count; q += REEL_CONV_PANEL)
        p->k.conv->pack(&columns, q, (int)smaller(REEL_CONV_PANEL, count - q), 0, p->residues, at(rows, q, p->k.size),
                      count);
    for (int64_t e = 0; e < g->stride[1]; e++)
        p->k.rows->image(&(reel_winograd_rows) { .tile = { p->tile, PRODUCTS },
                                               .rows = p->residues,
                                               .tiles = 1,
                                               .panel = p->row,
                                               .points = rows,
                                               .points_row = count,
                                               .products = at(products, e * PRODUCTS * p->residues * p->row, p->k.size),
                                               .width = g->stride[1] * p->row,
                                               .height = PRODUCTS,
                                               .column = e * p->row });
}

/* What `channels` inputs of a group from c on add to the sums of `rows` outputs from o on. */
static void multiply(const forward *p, int64_t group, int64_t c, int64_t channels, int64_t o, int64_t rows,
                     const void *products, void *sums)
{
    const reel_conv_geom *g = p->g;
    int64_t lanes = p->k.gemm->lanes, vectors = p->ld / lanes, most = p->k.gemm->max_vectors;
    for (int64_t q = 0; q < PRODUCTS; q++)
        for (int64_t v = 0, w; v < vectors; v += w) {
            w = rows > REEL_GEMM_ROWS || vectors - v < most ? smaller(vectors - v, most) : (vectors - v) / most * most;
            int64_t before = (w - 1) / most, weights = ((group * PRODUCTS + q) * p->outputs + o) * p->depth;
            p->k.gemm->multiply(&(reel_gemm) { .rows = rows,
                                             .depth = channels * g->stride[1] * g->kernel[2],
                                             .a = at(p->weights.packed, weights + c * g->kernel[2], p->k.size),
                                             .lda = p->depth,
                                             .a_off = p->a_off,
                                             .b = at(products, q * p->residues * p->row + v * lanes, p->k.size),
                                             .b_off = p->b_off,
                                             .c = at(sums, q * p->ld + v * lanes, p->k.size),
                                             .ldc = PRODUCTS * p->ld,
                                             .before = (int)before,
                                             .vectors = (int)(w - before * most),
                                             .cols = (int)((w - before * most) * lanes),
                                             .flags = c > 0 ? REEL_GEMM_ADD : 0 });
        }
}

/* Results of an output, `width` of each of a tile's rows. */
static void finish(const forward *p, int64_t image, int64_t o, int64_t tile, int64_t column, int64_t width,
                   const void *sums, void *results)
{
    const reel_conv_geom *g = p->g;
    int64_t k = image % g->groups * p->outputs + o, lines = smaller(p->tile, g->out[1] - tile * p->tile);
    bool straight = p->ld == g->out[2];
    char *to = at(p->y, ((image * p->outputs + o) * g->out[1] + tile * p->tile) * g->out[2] + column, p->k.size);
    p->k.rows->result(&(reel_winograd_rows) { .tile = { p->tile, PRODUCTS },
                                            .rows = 1,
                                            .tiles = 1,
                                            .panel = p->ld,
                                            .points = straight ? to : results,
                                            .products = (void *)sums,
                                            .width = lines,
                                            .bias = p->epilogue->bias ? at(p->epilogue->bias, k, p->k.size) : NULL,
                                            .relu = p->epilogue->relu });
    for (int64_t i = 0; i < lines && !straight; i++)
        memcpy(at(to, i * g->out[2], p->k.size), at(results, i * p->ld, p->k.size), (size_t)width * p->k.size);
}

/* A slice of a row of tiles. */
static void tile_chunk(void *arg, int64_t chunk, int worker)
{
    const forward *p = arg;
    const reel_conv_geom *g = p->g;
    int64_t x = chunk % p->slices * p->width, tile = chunk / p->slices % p->tiles, image = chunk / p->slices / p->tiles;
    int64_t in = g->in[1] * g->in[2], width = smaller(p->width, g->out[2] - x);
    char *rows = p->scratch + (size_t)worker * p->scratch_size, *products = rows + p->products_at,
         *sums = rows + p->sums_at, *results = rows + p->results_at;
    for (int64_t c = 0, channels; c < p->inputs; c += channels) {
        channels = smaller(p->block, p->inputs - c);
        for (int64_t i = 0; i < channels; i++)
            transform(p, at(p->x, (image * p->inputs + c + i) * in, p->k.size), tile, x, rows,
                      at(products, i * p->of_input, p->k.size));
        for (int64_t o = 0; o < p->outputs; o += p->together) {
            int64_t here = smaller(p->together, p->outputs - o);
            multiply(p, image % g->groups, c, channels, o, here, products, sums);
            for (int64_t r = 0; r < here && c + channels == p->inputs; r++)
                finish(p, image, o + r, tile, x, width, at(sums, r * PRODUCTS * p->ld, p->k.size), results);
        }
    }
}

/* Results of a row that are done at a time: the sums of all outputs stay in the second cache. */
static int64_t width_of(const reel_conv_geom *g, int64_t panel)
{
    int64_t outputs = g->k / g->groups, by_cache = CACHE / (PRODUCTS * outputs * (int64_t)reel_dtype_size(g->dtype));
    int64_t most = larger(smaller(WIDTH, by_cache) / panel, 1) * panel;
    return g->out[2] > most ? round_up(blocks(g->out[2], blocks(g->out[2], most)), panel) : g->out[2];
}

/* Slices and blocks whose products and sums stay in the second cache. */
static void cut_slices(forward *p)
{
    const reel_conv_geom *g = p->g;
    int64_t lanes = p->k.gemm->lanes, panel = lanes * p->k.gemm->max_vectors, size = (int64_t)p->k.size;
    p->width = width_of(g, panel);
    p->slices = blocks(g->out[2], p->width);
    p->ld = round_up(p->width, lanes);
    /* rows an odd number of half cache lines apart do not share the cache's sets */
    int64_t unit = larger(32 / size, lanes);
    p->row = (blocks(p->ld + (g->kernel[2] - 1) / g->stride[2], unit) | 1) * unit;
    p->of_input = g->stride[1] * PRODUCTS * p->residues * p->row;
    int64_t by_cache = CACHE / (p->of_input * size), by_depth = DEPTH / (g->stride[1] * g->kernel[2]);
    p->block = blocks(p->inputs, blocks(p->inputs, larger(1, smaller(by_cache, by_depth))));
    p->together = p->block == p->inputs ? smaller(REEL_GEMM_ROWS, p->outputs) : p->outputs;
}

/* Tables and memory. */
static bool prepare(forward *p)
{
    const reel_conv_geom *g = p->g;
    size_t terms = (size_t)(p->block * g->stride[1] * g->kernel[2]);
    int64_t *a = p->a_off = reel_scratch(p->k.exec, terms * sizeof *a),
            *b = p->b_off = reel_scratch(p->k.exec, terms * sizeof *b);
    if (!a || !b) return false;
    for (int64_t c = 0; c < p->block; c++)
        for (int64_t e = 0; e < g->stride[1]; e++)
            for (int64_t t = 0; t < g->kernel[2]; t++) {
                *a++ = (e * p->inputs + c) * g->kernel[2] + t;
                *b++ = c * p->of_input + (e * PRODUCTS * p->residues + t % g->stride[2]) * p->row + t / g->stride[2];
            }
    p->products_at = (size_t)round_up(p->residues * p->lines * p->row, 16) * p->k.size;
    p->sums_at = p->products_at + (size_t)round_up(p->block * p->of_input, 16) * p->k.size;
    p->results_at = p->sums_at + (size_t)round_up(p->together * PRODUCTS * p->ld, 16) * p->k.size;
    p->scratch_size = p->results_at + (size_t)round_up(p->tile * p->ld, 16) * p->k.size;
    p->scratch = reel_scratch(p->k.exec, reel_bytes(p->scratch_size, (size_t)p->k.exec->threads));
    return p->scratch && prepare_weights(p);
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    forward p = { .k = reel_images_kernels_for(exec, g),
                  .g = g,
                  .epilogue = call->epilogue,
                  .x = call->a,
                  .y = call->result,
                  .inputs = g->c / g->groups,
                  .outputs = g->k / g->groups,
                  .taps = blocks(g->kernel[1], g->stride[1]),
                  .lines = PRODUCTS * g->stride[1],
                  .residues = smaller(g->stride[2], g->kernel[2]) };
    p.tile = PRODUCTS + 1 - p.taps;
    p.tiles = blocks(g->out[1], p.tile);
    p.depth = g->stride[1] * p.inputs * g->kernel[2];
    cut_slices(&p);
    p.weights = (reel_columns_weights) { .g = g,
                                         .weight = call->b,
                                         .inputs = p.inputs,
                                         .outputs = p.outputs,
                                         .of_input = g->kernel[1] * g->kernel[2],
                                         .of_output = p.inputs * g->kernel[1] * g->kernel[2],
                                         .step = { g->stride[1], 1 },
                                         .taps = p.taps,
                                         .of_product = p.outputs * p.depth };
    if (!prepare(&p)) return false;
    reel_parallel(exec, g->n * g->groups * p.tiles * p.slices, tile_chunk, &p);
    return true;
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    int64_t taps = blocks(g->kernel[1], g->stride[1]);
    return pass == REEL_CONV_FORWARD && g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0 &&
           g->dilation[1] == 1 && g->dilation[2] == 1 && taps >= 2 && taps <= 7 && g->stride[1] <= RESIDUES &&
           g->stride[2] <= RESIDUES && g->stride[1] * g->kernel[2] <= TERMS;
}

/* Of a slice of a row of tiles, vectors of products, of rows and of sums through their transforms; rows and results
 * that are copied; weights, and those that the second cache does not hold again for every slice. Float64's transforms
 * are the baseline's, compiled for size. Where it would be about as fast, others round less. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)pass;
    bool single = g->dtype == REEL_F32, by_vectors = g->stride[2] <= 2 || g->stride[2] == 4;
    int64_t lanes = single ? 16 : 8, inputs = g->c / g->groups, outputs = g->k / g->groups,
            tile = PRODUCTS + 1 - blocks(g->kernel[1], g->stride[1]), rows = reel_gemm_rows_cost(outputs);
    int64_t lines = PRODUCTS * g->stride[1] * inputs * smaller(g->stride[2], g->kernel[2]),
            weights = PRODUCTS * outputs * g->stride[1] * inputs * g->kernel[2], width = width_of(g, lanes),
            bytes = weights * (int64_t)reel_dtype_size(g->dtype), copies = g->out[2] % lanes ? tile : 1;
    double vectors = (double)blocks(width, lanes), vector = single ? 1 : 5;
    double points = (double)(width + g->kernel[2] / g->stride[2] + lanes);
    double products = 0.32 * (double)(weights / outputs * rows) * vectors;
    double there = (double)lines * (10 + points * (3.4 * vector / (double)lanes + (by_vectors ? 0 : 0.1)));
    double back = (double)outputs * (2.7 * vector * (double)(PRODUCTS + tile) * vectors + 12 * (double)copies);
    double slice = products + there + back + (bytes > CACHE ? 0.0156 * (double)bytes : 0);
    double slices = (double)(g->n * blocks(g->out[1], tile) * blocks(g->out[2], width));
    return 5000 + (double)g->groups * (0.5 * (double)weights + 1.06 * slices * slice);
}

const reel_conv_impl reel_conv_winograd_columns_forward = {
    .name = "winograd_columns", .supports = supports, .cost = cost, .run = run
};
