// SPDX-License-Identifier: MIT
// Convolution with 3x3 kernels by Winograd's minimal filtering, F(2x2), F(4x4) and F(6x6).
//
// Blocks of tiles are transformed, multiplied for each of the T * T products, and transformed back while they lie in
// the cache. An input gradient is a forward pass with kernels turned around. A weight gradient sums products over tiles
// in a few shares, each its own accumulator, which are added in their order at the end.
#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/kernels/winograd.h>
#include <string.h>

enum { TILES = 48, WEIGHT_TILES = 48, MOST_TAPS = 64 }; /* tiles of a block; products of the largest tile */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }
static int64_t round_up(int64_t n, int64_t unit) { return blocks(n, unit) * unit; }
static void *at(const void *base, int64_t index, size_t size) { return (char *)base + index * (int64_t)size; }

/* Elements from one product to the next: an odd number of cache lines, so that products spread over the cache's sets.
 */
static int64_t product_stride(int64_t elements, size_t size)
{
    int64_t line = 64 / (int64_t)size;
    return (blocks(elements, line) | 1) * line;
}

/* What all passes share. Images are `source` and `target` of a forward pass, or of an input gradient seen as one. */
typedef struct winograd {
    const reel_gemm_kernels_of *gemm;
    const reel_winograd_kernels_of *kernels;
    size_t size;  /* of an element */
    int lanes, m; /* of a vector; of a tile */
    int64_t products;
    int64_t groups, inputs, outputs;       /* channels of a group */
    int64_t inputs_padded, outputs_padded; /* to whole vectors    */
    int64_t n, in_height, in_width, out_height, out_width, pad_y, pad_x;
    int64_t tiles_y, tiles_x, tiles; /* all images' tiles */
    int64_t block_tiles, tile_blocks;
    const int64_t *unit, *panel_rows[REEL_GEMM_VECTORS]; /* offset tables: i, and i * width for each panel width */
    char *scratch;                                       /* of each worker                                       */
    size_t scratch_size;
} winograd;

static int64_t *steps(const reel_exec *exec, int64_t count, int64_t step)
{
    int64_t *table = reel_scratch(exec, reel_bytes((size_t)count, sizeof *table));
    for (int64_t i = 0; table && i < count; i++) table[i] = i * step;
    return table;
}

static void set_up(winograd *s, const reel_exec *exec, const reel_conv_geom *g, int m)
{
    memset(s, 0, sizeof *s);
    const reel_winograd_kernels *kernels = reel_winograd_kernels_for(exec->isa);
    s->gemm = reel_gemm_of(exec->isa, g->dtype);
    s->kernels = &(g->dtype == REEL_F32 ? kernels->f32 : kernels->f64)[m / 2 - 1];
    s->size = reel_dtype_size(g->dtype);
    s->lanes = s->gemm->lanes;
    s->m = m;
    s->products = (m + 2) * (m + 2);
    s->groups = g->groups;
    s->n = g->n;
}

static void set_sizes(winograd *s, int64_t inputs, int64_t outputs, const int64_t in[3], const int64_t out[3],
                      int64_t pad_y, int64_t pad_x, int64_t most_tiles)
{
    s->inputs = inputs;
    s->outputs = outputs;
    s->inputs_padded = round_up(inputs, s->lanes);
    s->outputs_padded = round_up(outputs, s->lanes);
    s->in_height = in[1];
    s->in_width = in[2];
    s->out_height = out[1];
    s->out_width = out[2];
    s->pad_y = pad_y;
    s->pad_x = pad_x;
    s->tiles_y = blocks(out[1], s->m);
    s->tiles_x = blocks(out[2], s->m);
    s->tiles = s->n * s->tiles_y * s->tiles_x;
    s->tile_blocks = blocks(s->tiles, most_tiles);
    s->block_tiles = round_up(blocks(s->tiles, s->tile_blocks), REEL_GEMM_ROWS);
    s->tile_blocks = blocks(s->tiles, s->block_tiles);
}

/* Calls `kernel` for the tiles [first, last) of one block of channels, in runs along rows. */
static void transform_tiles(const winograd *s, void (*kernel)(const reel_winograd_row *), reel_winograd_row row,
                            int64_t channels, int64_t channel, int64_t offset_y, int64_t offset_x, int64_t first,
                            int64_t last)
{
    int64_t longest = (REEL_WINOGRAD_COLUMNS - 2) / s->m, plane_size = row.height * row.width;
    row.total = s->n * channels * plane_size;
    while (first < last) {
        int64_t tx = first % s->tiles_x, ty = first / s->tiles_x % s->tiles_y, n = first / s->tiles_x / s->tiles_y;
        int64_t run = smaller(smaller(s->tiles_x - tx, last - first), longest);
        row.plane = (n * channels + channel) * plane_size;
        row.y = ty * s->m - offset_y;
        row.x = tx * s->m - offset_x;
        row.tiles = (int)run;
        kernel(&row);
        row.products = at(row.products, run * row.tile_stride, s->size);
        first += run;
    }
}

/* C[rows][outputs] (+)= A[rows][depth] * panels: A's row j starts at a + j * row_step, its elements a_off apart. */
static void multiply(const winograd *s, int64_t rows, int64_t row_step, const void *a, const int64_t *a_off,
                     int64_t depth, const void *b, const int64_t *b_off, int vectors, void *c, int64_t ldc, bool add)
{
    for (int64_t j = 0; j < rows; j += REEL_GEMM_ROWS) {
        const void *pointers[REEL_GEMM_ROWS];
        int height = (int)smaller(rows - j, REEL_GEMM_ROWS);
        for (int i = 0; i < height; i++) pointers[i] = at(a, (j + i) * row_step, s->size);
        s->gemm->tile[height - 1][vectors - 1](&(reel_gemm_tile) { .count = depth,
                                                                   .a = pointers,
                                                                   .a_off = a_off,
                                                                   .b = b,
                                                                   .b_off = b_off,
                                                                   .c = at(c, j * ldc, s->size),
                                                                   .ldc = ldc,
                                                                   .cols = vectors * s->lanes,
                                                                   .flags = add ? REEL_GEMM_ADD : 0 });
    }
}

/* Forward. */

typedef struct gather_pass {
    winograd s;
    const reel_conv_geom *g;
    const void *source, *weight;
    void *target, *filters; /* filters: [groups][products][panels][inputs][panel] */
    const reel_conv_epilogue *epilogue;
    bool flip; /* input gradient: kernels turned around, inputs and outputs changed */
    int64_t filter_stride, image_stride, result_stride; /* from one product to the next */
    int64_t output_parts, part; /* chunks that share a block of tiles, each with `part` outputs */
} gather_pass;

/* The filters of one vector of output channels. */
static void filters_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_pass *p = arg;
    const winograd *s = &p->s;
    int64_t per_group = s->outputs_padded / s->lanes, group = chunk / per_group, o = chunk % per_group * s->lanes;
    int64_t width = s->lanes * s->gemm->max_vectors, panel = o / width * width;
    int64_t panel_width = smaller(s->outputs_padded - panel, width);
    int64_t outer = p->flip ? group * s->inputs * s->outputs + o : (group * s->outputs + o) * s->inputs;
    reel_winograd_filter filter = {
        .weight = at(p->weight, outer * 9, s->size),
        .lane_stride = 9 * (p->flip ? 1 : s->inputs),
        .in_stride = 9 * (p->flip ? s->outputs : 1),
        .inputs = s->inputs,
        .lanes = (int)smaller(s->outputs - o, s->lanes),
        .flip = p->flip,
        .products = at(p->filters, group * s->products * p->filter_stride + panel * s->inputs + o - panel, s->size),
        .product_stride = p->filter_stride,
        .in_products = panel_width,
    };
    s->kernels->filter(&filter);
}

/* One block of tiles and one part of the outputs: there and back again. */
static void tiles_chunk(void *arg, int64_t chunk, int worker)
{
    const gather_pass *p = arg;
    const winograd *s = &p->s;
    int64_t part = chunk % p->output_parts, block = chunk / p->output_parts % s->tile_blocks,
            group = chunk / p->output_parts / s->tile_blocks;
    int64_t first = block * s->block_tiles, last = smaller(s->tiles, first + s->block_tiles), count = last - first;
    char *images = s->scratch + (size_t)worker * s->scratch_size;
    char *results = at(images, s->products * p->image_stride, s->size);
    char *stage = at(results, s->products * p->result_stride, s->size);
    reel_winograd_row row = {
        .images = (void *)p->source, .height = s->in_height, .width = s->in_width, .stage = stage
    };
    for (int64_t c = 0; c < s->inputs; c += s->lanes) {
        row.products = at(images, c, s->size);
        row.product_stride = p->image_stride;
        row.tile_stride = s->inputs_padded;
        row.channels = (int)smaller(s->inputs - c, s->lanes);
        transform_tiles(s, s->kernels->image, row, s->groups * s->inputs, group * s->inputs + c, s->pad_y, s->pad_x,
                        first, last);
    }
    int64_t o0 = part * p->part, o1 = smaller(s->outputs_padded, o0 + p->part), width = s->lanes * s->gemm->max_vectors;
    for (int64_t product = 0; product < s->products; product++)
        for (int64_t o = o0; o < o1; o += width) {
            int vectors = (int)(smaller(o1 - o, width) / s->lanes);
            int64_t filter = (group * s->products + product) * p->filter_stride + o * s->inputs;
            multiply(s, count, s->inputs_padded, at(images, product * p->image_stride, s->size), s->unit, s->inputs,
                     at(p->filters, filter, s->size), s->panel_rows[vectors - 1], vectors,
                     at(results, product * p->result_stride + o - o0, s->size), p->part, false);
        }
    row.images = p->target;
    row.height = s->out_height;
    row.width = s->out_width;
    row.relu = p->epilogue->relu;
    for (int64_t o = o0; o < smaller(s->outputs, o1); o += s->lanes) {
        row.products = at(results, o - o0, s->size);
        row.product_stride = p->result_stride;
        row.tile_stride = p->part;
        row.channels = (int)smaller(s->outputs - o, s->lanes);
        if (p->epilogue->bias) row.bias = at(p->epilogue->bias, group * s->outputs + o, s->size);
        transform_tiles(s, s->kernels->result, row, s->groups * s->outputs, group * s->outputs + o, 0, 0, first, last);
    }
}

static bool gather(const reel_exec *exec, const reel_conv_geom *g, int m, bool flip, const void *source,
                   const void *weight, const reel_conv_epilogue *epilogue, void *target)
{
    gather_pass p = {
        .g = g, .source = source, .weight = weight, .target = target, .epilogue = epilogue, .flip = flip
    };
    winograd *s = &p.s;
    set_up(s, exec, g, m);
    int64_t c = g->c / g->groups, k = g->k / g->groups;
    if (flip)
        set_sizes(s, k, c, g->out, g->in, 2 - g->pad[1], 2 - g->pad[2], TILES);
    else
        set_sizes(s, c, k, g->in, g->out, g->pad[1], g->pad[2], TILES);
    int64_t width = s->lanes * s->gemm->max_vectors;
    p.output_parts = smaller(blocks(s->outputs_padded, width), blocks(8, s->tile_blocks * s->groups));
    p.part = round_up(blocks(s->outputs_padded, p.output_parts), width);
    p.output_parts = blocks(s->outputs_padded, p.part);
    if (p.output_parts == 1) p.part = s->outputs_padded;
    p.filter_stride = product_stride(s->inputs * s->outputs_padded, s->size);
    p.image_stride = product_stride(s->block_tiles * s->inputs_padded, s->size);
    p.result_stride = product_stride(s->block_tiles * p.part, s->size);
    int64_t stage = (m + 2) * REEL_WINOGRAD_COLUMNS * s->lanes;
    s->scratch_size = (size_t)(s->products * (p.image_stride + p.result_stride) + stage) * s->size;
    s->scratch = reel_scratch(exec, reel_bytes(s->scratch_size, (size_t)exec->threads));
    p.filters = reel_scratch(exec, reel_bytes((size_t)(s->groups * s->products * p.filter_stride), s->size));
    s->unit = steps(exec, s->inputs, 1);
    for (int v = 0; v < s->gemm->max_vectors; v++)
        if (!(s->panel_rows[v] = steps(exec, s->inputs, (v + 1) * s->lanes))) return false;
    if (!s->scratch || !p.filters || !s->unit) return false;
    reel_parallel(exec, s->groups * s->outputs_padded / s->lanes, filters_chunk, &p);
    reel_parallel(exec, s->groups * s->tile_blocks * p.output_parts, tiles_chunk, &p);
    return true;
}

/* Weight gradient. */

typedef struct weight_pass {
    winograd s;
    const void *x, *gy;
    void *gw, *sums; /* sums: [share][group][product][k][c padded] */
    int64_t image_stride, cotangent_stride, sum_stride, panel_tiles;
    int64_t shares, share; /* share: blocks of tiles of one */
} weight_pass;

/* One share of the tiles of one group. */
static void share_chunk(void *arg, int64_t chunk, int worker)
{
    const weight_pass *p = arg;
    const winograd *s = &p->s;
    int64_t group = chunk % s->groups, share = chunk / s->groups, width = s->lanes * s->gemm->max_vectors;
    char *images = s->scratch + (size_t)worker * s->scratch_size;
    char *cotangents = at(images, s->products * p->image_stride, s->size);
    char *stage = at(cotangents, s->products * p->cotangent_stride, s->size);
    void *sums = at(p->sums, (share * s->groups + group) * s->products * p->sum_stride, s->size);
    int64_t end = smaller(s->tile_blocks, (share + 1) * p->share);
    for (int64_t block = share * p->share; block < end; block++) {
        int64_t first = block * s->block_tiles, last = smaller(s->tiles, first + s->block_tiles);
        reel_winograd_row row = {
            .images = (void *)p->x, .height = s->in_height, .width = s->in_width, .stage = stage
        };
        for (int64_t c = 0; c < s->inputs; c += s->lanes) {
            int64_t panel = c / width * width;
            row.tile_stride = smaller(s->inputs_padded - panel, width);
            row.products = at(images, panel * s->block_tiles + c - panel, s->size);
            row.product_stride = p->image_stride;
            row.channels = (int)smaller(s->inputs - c, s->lanes);
            transform_tiles(s, s->kernels->image, row, s->groups * s->inputs, group * s->inputs + c, s->pad_y, s->pad_x,
                            first, last);
        }
        row.images = (void *)p->gy;
        row.height = s->out_height;
        row.width = s->out_width;
        for (int64_t k = 0; k < s->outputs; k += s->lanes) {
            row.products = at(cotangents, k, s->size);
            row.product_stride = p->cotangent_stride;
            row.tile_stride = s->outputs_padded;
            row.channels = (int)smaller(s->outputs - k, s->lanes);
            transform_tiles(s, s->kernels->cotangent, row, s->groups * s->outputs, group * s->outputs + k, 0, 0, first,
                            last);
        }
        for (int64_t product = 0; product < s->products; product++)
            for (int64_t c = 0; c < s->inputs_padded; c += width) {
                int vectors = (int)(smaller(s->inputs_padded - c, width) / s->lanes);
                multiply(s, s->outputs, 1, at(cotangents, product * p->cotangent_stride, s->size), s->unit,
                         last - first, at(images, product * p->image_stride + c * s->block_tiles, s->size),
                         s->panel_rows[vectors - 1], vectors, at(sums, product * p->sum_stride + c, s->size),
                         s->inputs_padded, block > share * p->share);
            }
    }
}

/* The kernels of one output channel. */
static void kernels_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weight_pass *p = arg;
    const winograd *s = &p->s;
    int64_t group = chunk / s->outputs, k = chunk % s->outputs;
    for (int64_t c = 0; c < s->inputs; c += s->lanes) {
        reel_winograd_weight weight = {
            .products = at(p->sums, group * s->products * p->sum_stride + k * s->inputs_padded + c, s->size),
            .product_stride = p->sum_stride,
            .shares = p->shares,
            .share_stride = s->groups * s->products * p->sum_stride,
            .lanes = (int)smaller(s->inputs - c, s->lanes),
            .weight = at(p->gw, (chunk * s->inputs + c) * 9, s->size),
        };
        s->kernels->weight(&weight);
    }
}

static bool weight_grad(const reel_exec *exec, const reel_conv_geom *g, int m, const void *x, const void *gy, void *gw)
{
    weight_pass p = { .x = x, .gy = gy, .gw = gw };
    winograd *s = &p.s;
    set_up(s, exec, g, m);
    set_sizes(s, g->c / g->groups, g->k / g->groups, g->in, g->out, g->pad[1], g->pad[2], WEIGHT_TILES);
    p.sum_stride = product_stride(s->outputs * s->inputs_padded, s->size);
    p.image_stride = product_stride(s->block_tiles * s->inputs_padded, s->size);
    p.cotangent_stride = product_stride(s->block_tiles * s->outputs_padded, s->size);
    size_t sums = reel_bytes((size_t)(s->groups * s->products * p.sum_stride), s->size);
    /* Two shares at least keep two threads busy, eight at most; in between as many as stay in the last cache. */
    p.shares = sums < ((size_t)2 << 20) ? 8 : sums < ((size_t)4 << 20) ? 4 : 2;
    p.share = blocks(s->tile_blocks, smaller(p.shares, s->tile_blocks));
    p.shares = blocks(s->tile_blocks, p.share);
    int64_t stage = (m + 2) * REEL_WINOGRAD_COLUMNS * s->lanes;
    s->scratch_size = (size_t)(s->products * (p.image_stride + p.cotangent_stride) + stage) * s->size;
    s->scratch = reel_scratch(exec, reel_bytes(s->scratch_size, (size_t)exec->threads));
    p.sums = reel_scratch(exec, reel_bytes((size_t)p.shares, sums));
    s->unit = steps(exec, s->block_tiles, s->outputs_padded);
    for (int v = 0; v < s->gemm->max_vectors; v++)
        if (!(s->panel_rows[v] = steps(exec, s->block_tiles, (v + 1) * s->lanes))) return false;
    if (!s->scratch || !p.sums || !s->unit) return false;
    reel_parallel(exec, p.shares * s->groups, share_chunk, &p);
    reel_parallel(exec, s->groups * s->outputs, kernels_chunk, &p);
    return true;
}

static bool supports(const reel_conv_geom *g, int m)
{
    if (g->kernel[0] != 1 || g->in[0] != 1 || g->out[0] != 1 || g->pad[0] != 0) return false;
    for (int i = 1; i < 3; i++)
        if (g->kernel[i] != 3 || g->stride[i] != 1 || g->dilation[i] != 1 || g->pad[i] > 1 << 20) return false;
    double products = (m + 2) * (m + 2), channels = (double)(g->c + 16 * g->groups) * (double)(g->k / g->groups + 16);
    return products * channels < 1 << 27;
}

/* Products at the speed of the matrix kernels, transforms by the vector. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass, int m)
{
    const int64_t *out = pass == REEL_CONV_INPUT_GRAD ? g->in : g->out;
    double products = (m + 2) * (m + 2), c = (double)g->c, k = (double)g->k, k_per = (double)(g->k / g->groups);
    double tiles = (double)g->n * (double)blocks(out[1], m) * (double)blocks(out[2], m);
    double c_whole = (double)round_up(g->c / g->groups, 16) * (double)g->groups,
           k_whole = (double)round_up(g->k / g->groups, 16);
    double multiply_cost = 2 * tiles * products * c_whole * k_whole / 105, move = tiles * products * (c + k) * 0.06;
    double filters = products * c_whole * k_per * 0.08;
    (void)k;
    return 3000 + multiply_cost + move + filters;
}

#define WINOGRAD(m)                                                                                                    \
    static bool supports##m(const reel_conv_geom *g, reel_conv_pass pass)                                              \
    {                                                                                                                  \
        (void)pass;                                                                                                    \
        return supports(g, m);                                                                                         \
    }                                                                                                                  \
    static double cost##m(const reel_conv_geom *g, reel_conv_pass pass) { return cost(g, pass, m); }                   \
    static bool forward##m(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *w,               \
                           const reel_conv_epilogue *epilogue, void *y)                                                \
    {                                                                                                                  \
        return gather(exec, g, m, false, x, w, epilogue, y);                                                           \
    }                                                                                                                  \
    static bool input_grad##m(const reel_exec *exec, const reel_conv_geom *g, const void *gy, const void *w,           \
                              const reel_conv_epilogue *epilogue, void *gx)                                            \
    {                                                                                                                  \
        return gather(exec, g, m, true, gy, w, epilogue, gx);                                                          \
    }                                                                                                                  \
    static bool weight_grad##m(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *gy,          \
                               void *gw)                                                                               \
    {                                                                                                                  \
        return weight_grad(exec, g, m, x, gy, gw);                                                                     \
    }                                                                                                                  \
    const reel_conv_impl reel_conv_winograd##m = { .name = "winograd" #m,                                              \
                                                   .supports = supports##m,                                            \
                                                   .cost = cost##m,                                                    \
                                                   .forward = forward##m,                                              \
                                                   .input_grad = input_grad##m,                                        \
                                                   .weight_grad = weight_grad##m };
WINOGRAD(2)
WINOGRAD(4)
WINOGRAD(6)
#undef WINOGRAD
