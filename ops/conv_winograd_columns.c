// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along columns, with vectors along rows: input gradients of strides along rows (forward passes are
// conv_winograd_columns_forward.c's).
//
// The phases of a stride (conv_phases.h) see the same cotangents, along columns as along rows: r rows of them at most,
// fewer where a phase has fewer taps, which zeros make up for. So B^T takes rows of cotangents to the rows of eight
// products of a tile, once for all phases; a row of a product meets all phases' rows of sums at its shifts along rows,
// which fill register tiles where the gradient has one channel or three; and A^T takes a phase's eight rows of sums to
// m = 9 - r rows of results (kernels/winograd_rows.h), woven together on the way out.
#include <reel/ops/conv_phases.h>
#include <reel/ops/conv_winograd_columns.h>
#include <reel/ops/sizes.h>

enum { PRODUCTS = REEL_COLUMNS_PRODUCTS, DEPTH = 256, CACHE = 256 << 10, SUMS = 512 };

/* Sums over the shifts of a run, for its rows (phase along rows, phase along columns, output). */
typedef struct part {
    int64_t row, rows, shifts, weights; /* elements before its weights among a product's */
    int64_t *b_off;                     /* [input][shift]: in a block                     */
} part;

typedef struct columns {
    reel_images_kernels k;
    const reel_conv_geom *g;
    const reel_conv_epilogue *epilogue;
    const void *gy;
    void *gx;
    int64_t inputs, outputs, sums; /* sums: rows of them */
    reel_axis_phases x, y;
    int64_t tile, tiles;        /* results of a phase's column in a tile; tiles of a column          */
    int64_t width, slices;      /* points of a phase's row that are done at a time                   */
    int64_t before, source, ld; /* of a row of products: zeros in front, elements; of a row of sums  */
    int64_t block;              /* inputs that are done at a time                                    */
    part part[REEL_PHASE_RUNS];
    const int64_t *unit;
    reel_columns_weights weights; /* of a product: [part][row][input][shift] */
    char *scratch; /* of each worker: block [product][input][element], sums [product][row][point], results [row][line] */
    size_t scratch_size, sums_at, results_at;
} columns;

/* The base of fewest tiles; false where none leaves 2 to 7 taps. */
static bool cut_columns(const reel_conv_geom *g, reel_axis_phases *best)
{
    int64_t least = 0;
    for (int64_t base = 0; base < g->stride[1]; base++) {
        reel_axis_phases axis;
        if (!reel_cut_phases(g, 1, base, &axis)) continue;
        int64_t tile = PRODUCTS - (axis.high - axis.low);
        if (tile < 2 || tile == PRODUCTS || (least > 0 && blocks(axis.grid, tile) >= least)) continue;
        least = blocks(axis.grid, tile);
        *best = axis;
    }
    return least > 0;
}

/* Weights of the rows of sums: the taps along columns that phase py meets in order of its shifts are
 * py - base + pad - shift * stride, and so along rows. */
static bool prepare_weights(columns *p)
{
    const reel_conv_geom *g = p->g;
    const int64_t first[] = { g->pad[1] - p->y.base, g->pad[2] - p->x.base };
    bool ready;
    if (!reel_columns_keep(&p->weights, &p->k, p->epilogue, 41, first, &ready)) return false;
    if (ready) return true;
    int64_t n = 0, most = g->stride[1] * g->stride[2] * p->x.runs;
    reel_columns_terms *terms = reel_scratch(p->k.exec, (size_t)most * sizeof *terms);
    if (!terms) return false;
    for (int i = 0; i < p->x.runs; i++) {
        const reel_shift_run *run = &p->x.run[i];
        const part *q = &p->part[i];
        for (int64_t phase = run->from * g->stride[1]; phase < run->to * g->stride[1]; phase++) {
            int64_t px = phase / g->stride[1], py = phase % g->stride[1], depth = p->inputs * q->shifts;
            terms[n++] = (reel_columns_terms) { .first = { py + first[0] - p->y.low * g->stride[1],
                                                           px + first[1] - run->low * g->stride[2] },
                                                .count = q->shifts,
                                                .to = q->weights + (phase * p->outputs - q->row) * depth,
                                                .apart = depth };
        }
    }
    return reel_columns_fill(&p->weights, &p->k, terms, n);
}

/* What `channels` inputs of a group from c on add to the sums. */
static void multiply(const columns *p, int64_t group, int64_t c, int64_t channels, const void *block, int64_t width,
                     void *sums)
{
    int64_t lanes = p->k.gemm->lanes, vectors = blocks(width, lanes), most = p->k.gemm->max_vectors;
    for (int64_t q = 0; q < PRODUCTS; q++)
        for (int64_t v = 0; v < vectors; v += most)
            for (int i = 0; i < p->x.runs; i++) {
                const part *of = &p->part[i];
                int64_t weights = (group * PRODUCTS + q) * p->weights.of_product + of->weights + c * of->shifts;
                int here = (int)smaller(vectors - v, most);
                p->k.gemm->multiply(&(reel_gemm) { .rows = of->rows,
                                                 .depth = channels * of->shifts,
                                                 .a = at(p->weights.packed, weights, p->k.size),
                                                 .lda = p->inputs * of->shifts,
                                                 .a_off = p->unit,
                                                 .b = at(block, q * channels * p->source + v * lanes, p->k.size),
                                                 .b_off = of->b_off,
                                                 .c = at(sums, (q * p->sums + of->row) * p->ld + v * lanes, p->k.size),
                                                 .ldc = p->ld,
                                                 .vectors = here,
                                                 .cols = here * (int)lanes,
                                                 .flags = c > 0 || i > 0 ? REEL_GEMM_ADD : 0 });
            }
}

/* Results of all phases of `width` points from x on, in the `lines` rows of points of a tile. */
static void weave(const columns *p, int64_t image, int64_t tile, int64_t lines, int64_t x, int64_t width,
                  const void *results)
{
    const reel_conv_geom *g = p->g;
    int64_t first = x * g->stride[2] - p->x.base, skip = larger(0, -first),
            end = smaller(width * g->stride[2], g->in[2] - first);
    for (int64_t row = 0; row < g->stride[1] * p->outputs; row++) {
        int64_t o = row % p->outputs, channel = image * p->outputs + o;
        const void *bias = p->epilogue->bias ? at(p->epilogue->bias, channel % g->c, p->k.size) : NULL;
        for (int64_t i = 0; i < lines; i++) {
            int64_t y = (tile * p->tile + i) * g->stride[1] + row / p->outputs - p->y.base;
            if (y < 0 || y >= g->in[1]) continue;
            p->k.conv->weave(g->stride[2], at(results, (row * p->tile + i) * p->ld, p->k.size),
                           g->stride[1] * p->outputs * p->tile * p->ld, skip, end, bias, p->epilogue->relu,
                           at(p->gx, (channel * g->in[1] + y) * g->in[2] + first + skip, p->k.size));
        }
    }
}

/* A slice of a row of tiles. */
static void tile_chunk(void *arg, int64_t chunk, int worker)
{
    const columns *p = arg;
    const reel_conv_geom *g = p->g;
    int64_t x = chunk % p->slices * p->width, tile = chunk / p->slices % p->tiles, image = chunk / p->slices / p->tiles;
    int64_t out = g->out[1] * g->out[2], width = smaller(p->width, p->x.grid - x);
    char *block = p->scratch + (size_t)worker * p->scratch_size, *sums = block + p->sums_at,
         *results = block + p->results_at;
    for (int64_t c = 0, channels; c < p->inputs; c += channels) {
        channels = smaller(p->block, p->inputs - c);
        p->k.rows->image(&(reel_winograd_rows) { .tile = { p->tile, PRODUCTS },
                                               .rows = channels,
                                               .tiles = 1,
                                               .panel = p->source,
                                               .points = at(p->gy, (image * p->inputs + c) * out, p->k.size),
                                               .points_row = out,
                                               .products = block,
                                               .width = g->out[2],
                                               .height = g->out[1],
                                               .first = tile * p->tile + p->y.low,
                                               .column = x - p->before });
        multiply(p, image % g->groups, c, channels, block, width, sums);
    }
    int64_t lines = smaller(p->tile, p->y.grid - tile * p->tile);
    p->k.rows->result(&(reel_winograd_rows) { .rows = p->sums,
                                            .tiles = 1,
                                            .tile = { p->tile, PRODUCTS },
                                            .panel = p->ld,
                                            .points = results,
                                            .products = sums,
                                            .points_row = p->tile * p->ld,
                                            .width = lines });
    weave(p, image, tile, lines, x, width, results);
}

/* Slices and blocks whose products and sums stay in the second cache. */
static void cut_slices(columns *p)
{
    int64_t lanes = p->k.gemm->lanes, panel = lanes * p->k.gemm->max_vectors, size = (int64_t)p->k.size;
    int64_t most = larger(CACHE / ((PRODUCTS + p->tile) * p->sums * size) / panel, 1) * panel;
    p->width = p->x.grid;
    if (p->width > most) p->width = round_up(blocks(p->width, blocks(p->width, most)), panel);
    p->slices = blocks(p->x.grid, p->width);
    p->ld = round_up(p->width, lanes);
    p->before = round_up(larger(0, -p->x.low), lanes);
    p->source = p->before + round_up(p->ld + larger(0, p->x.high), lanes);
    int64_t unit =
        larger(32 / size, lanes); /* rows an odd number of half cache lines apart do not share the cache's sets */
    p->source = (blocks(p->source, unit) | 1) * unit;
    int64_t by_cache = CACHE / (PRODUCTS * p->source * size), by_depth = DEPTH / (p->x.high - p->x.low + 1);
    p->block = blocks(p->inputs, blocks(p->inputs, larger(1, smaller(by_cache, by_depth))));
}

/* Tables and memory. */
static bool prepare(columns *p)
{
    const reel_conv_geom *g = p->g;
    int64_t shifts = p->x.high - p->x.low + 1;
    int64_t *unit = reel_scratch(p->k.exec, (size_t)(p->block * shifts) * sizeof *unit);
    if (!unit) return false;
    for (int64_t i = 0; i < p->block * shifts; i++) unit[i] = i;
    p->unit = unit;
    for (int i = 0; i < p->x.runs; i++) {
        const reel_shift_run *run = &p->x.run[i];
        int64_t rows = g->stride[1] * p->outputs, count = run->high - run->low + 1;
        int64_t *off = reel_scratch(p->k.exec, (size_t)(p->block * count) * sizeof *off);
        if (!off) return false;
        p->part[i] = (part) { run->from * rows, (run->to - run->from) * rows, count, p->weights.of_product, off };
        p->weights.of_product += p->part[i].rows * p->inputs * count;
        for (int64_t c = 0; c < p->block; c++)
            for (int64_t shift = run->low; shift <= run->high; shift++) *off++ = c * p->source + p->before + shift;
    }
    p->sums_at = (size_t)round_up(PRODUCTS * p->block * p->source, 16) * p->k.size;
    p->results_at = p->sums_at + (size_t)round_up(PRODUCTS * p->sums * p->ld, 16) * p->k.size;
    p->scratch_size = p->results_at + (size_t)round_up(p->tile * p->sums * p->ld, 16) * p->k.size;
    p->scratch = reel_scratch(p->k.exec, reel_bytes(p->scratch_size, (size_t)p->k.exec->threads));
    return p->scratch && prepare_weights(p);
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    columns p = { .k = reel_images_kernels_for(exec, g),
                  .g = g,
                  .epilogue = call->epilogue,
                  .inputs = g->k / g->groups,
                  .outputs = g->c / g->groups,
                  .gy = call->a,
                  .gx = call->result };
    cut_columns(g, &p.y);
    p.x = reel_best_phases(g, g->stride[1] * p.outputs, p.k.gemm->lanes);
    p.tile = PRODUCTS - (p.y.high - p.y.low);
    p.tiles = blocks(p.y.grid, p.tile);
    p.sums = g->stride[1] * g->stride[2] * p.outputs;
    cut_slices(&p);
    p.weights = (reel_columns_weights) { .g = g,
                                         .weight = call->b,
                                         .inputs = p.inputs,
                                         .outputs = p.outputs,
                                         .of_input = p.outputs * g->kernel[1] * g->kernel[2],
                                         .of_output = g->kernel[1] * g->kernel[2],
                                         .step = { -g->stride[1], -g->stride[2] },
                                         .taps = p.y.high - p.y.low + 1 };
    if (!prepare(&p)) return false;
    reel_parallel(exec, g->n * g->groups * p.tiles * p.slices, tile_chunk, &p);
    return true;
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    reel_axis_phases y;
    bool there =
        pass == REEL_CONV_INPUT_GRAD && g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0 &&
        g->stride[2] > 1;
    for (int i = 1; i < 3; i++)
        there &=
            g->dilation[i] == 1 && g->stride[i] <= g->kernel[i] && g->pad[i] < g->kernel[i] && g->stride[i] <= SUMS;
    return there && g->stride[1] * g->stride[2] * (g->c / g->groups) <= SUMS && cut_columns(g, &y);
}

/* Products; register tiles begun and ended, with what becomes of their sums; cotangents through their transform;
 * results woven, by vectors for a stride of 2; weights. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)pass;
    int lanes = (int)reel_conv_lanes(g);
    double width = reel_conv_width(g);
    int64_t outputs = g->c / g->groups, inputs = g->k / g->groups, of_phase = g->stride[1] * outputs,
            sums = g->stride[2] * of_phase, rows = 0;
    reel_axis_phases y = { 0 }, x = reel_best_phases(g, of_phase, lanes);
    cut_columns(g, &y);
    int64_t tile = PRODUCTS - (y.high - y.low), shifts = x.high - x.low + 1;
    for (int i = 0; i < x.runs; i++) rows += reel_gemm_rows_cost((x.run[i].to - x.run[i].from) * of_phase);
    double products = 0.166 * width * (double)inputs * reel_phases_cycles(&x, of_phase, lanes);
    double begun = 2.6 * width * (double)(rows * blocks(x.grid, lanes) * blocks(inputs * shifts, DEPTH));
    double cotangents = 0.7 * width / lanes * (double)(inputs * (x.grid + shifts + 2 * lanes));
    double lines = (double)(outputs * g->in[1]),
           results = lines * (14 + (double)g->in[2] * (g->stride[2] > 2 ? 0.42 : 0.23));
    if (g->dtype == REEL_F64) begun *= 3, cotangents *= 3; /* transforms are the baseline's, compiled for size */
    double weights = 0.6 * PRODUCTS * (double)(sums * inputs * shifts);
    double tiles = (double)(blocks(y.grid, tile) * PRODUCTS) * (products + begun + cotangents);
    return 3000 + (double)g->groups * (weights + (double)g->n * (tiles + results));
}

const reel_conv_impl reel_conv_winograd_columns = {
    .name = "winograd_columns", .supports = supports, .cost = cost, .run = run
};
