// SPDX-License-Identifier: MIT
// Convolution of many small images: vectors run over the images of a batch.
//
// A panel of images is turned around, [channel][point][image], so that a vector is one point of as many images. A
// result point is then a matrix product of the kernel and the source points it sees: rows need not fill vectors,
// strides cost nothing, and neither do taps in the padding, of which an input gradient has the most. One output
// channel is a single row of sums over several panels.
//
// The same along rows by Winograd's F(m, r): source rows go through B^T when images are turned around, a result row is
// eight such products for each of its tiles, over input channels and the kernel's rows, and A^T makes results of them.
// An input gradient is either the same or, where that takes fewer tiles, the adjoint of these steps.
#include <reel/ops/conv_images.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { VECTORS = 2, CHUNKS = 8, SUMS_BYTES = 128 << 10, TOGETHER_BYTES = 512 << 10, TOGETHER = 4 };

/* The taps of an axis that result m has within the image: [low, high), and where the first of them lies. */
int64_t reel_images_seen(const reel_images_pass *p, int axis, int64_t m, int64_t *low, int64_t *high)
{
    int64_t base = m * p->gather.step[axis], size = p->src_size[axis], taps = p->gather.taps[axis];
    const int64_t *off = p->gather.off[axis];
    *low = 0;
    *high = taps;
    while (*low < taps && base + off[*low] < 0) (*low)++;
    while (*high > *low && base + off[*high - 1] >= size) (*high)--;
    return *low < *high ? base + off[*low] : 0;
}

/* The products of a point: places in the kernel and, from the first source point on, in the turned images. */
static int64_t fill_tables(const reel_images_pass *p, const int64_t low[3], const int64_t high[3],
                           int64_t *restrict a_off, int64_t *restrict b_off)
{
    const reel_conv_gather *gather = &p->gather;
    const int64_t *size = p->src_size, *kernel = p->kernel, *off = gather->off[2], *tap = gather->tap[2];
    int64_t volume = reel_conv_volume(kernel), plane = size[0] * size[1] * p->src_row, panel = p->k.panel, count = 0;
    int64_t begin = low[2], end = high[2], next = (p->crossed ? p->outputs : 1) * volume; /* channel's kernel */
    if (begin == end) return 0;
    for (int64_t c = 0; c < p->inputs; c++)
        for (int64_t i = low[0]; i < high[0]; i++)
            for (int64_t j = low[1]; j < high[1]; j++) {
                int64_t z = gather->off[0][i] - gather->off[0][low[0]], y = gather->off[1][j] - gather->off[1][low[1]];
                int64_t from = c * plane + (z * size[1] + y) * p->src_row - off[begin] * panel;
                int64_t row = c * next + (gather->tap[0][i] * kernel[1] + gather->tap[1][j]) * kernel[2];
                for (int64_t t = begin; t < end; t++, count++) {
                    a_off[count] = row + tap[t];
                    b_off[count] = from + off[t] * panel;
                }
            }
    return count;
}

/* One output's results in panels that are `b_panel` and `c_panel` apart. */
static reel_gemm_row row_of(const reel_gemm *gemm, int64_t panels, const void *b, int64_t b_panel, void *c, int64_t c_panel)
{
    return (reel_gemm_row) { .depth = gemm->depth,
                             .panels = panels,
                             .b_panel = b_panel,
                             .c_panel = c_panel,
                             .a = gemm->a,
                             .b = b,
                             .bias = gemm->row_bias,
                             .a_off = gemm->a_off,
                             .b_off = gemm->b_off,
                             .c = c,
                             .relu = gemm->flags & REEL_GEMM_RELU };
}

/* One output's results of a line of points. */
static void multiply_line(const reel_images_pass *p, const reel_gemm *gemm, const void *b, void *c)
{
    const reel_conv_gather *gather = &p->gather;
    reel_gemm_row row = row_of(gemm, gather->grid[2], b, gather->step[2] * p->k.panel, c, p->k.panel);
    int64_t from = gather->off[2][0];
    if (p->in_a_row)
        p->k.gemm->multiply_runs(
            &(reel_gemm_runs) { .row = row, .taps = gather->taps[2], .low = -from, .high = p->src_size[2] - from });
    else
        p->k.gemm->multiply_row(&row);
}

/* The results of one point in all panels of a chunk, `b` and `c` that of the first. */
static void multiply_point(const reel_images_pass *p, reel_gemm *gemm, int64_t panels, const void *b, int64_t b_panel,
                           void *c, int64_t c_panel)
{
    if (p->outputs == 1 && gemm->vectors == VECTORS) {
        reel_gemm_row row = row_of(gemm, panels, b, b_panel, c, c_panel);
        p->k.gemm->multiply_row(&row);
        return;
    }
    for (int64_t i = 0; i < panels; i++) {
        gemm->b = at(b, i * b_panel, p->k.size);
        gemm->c = at(c, i * c_panel, p->k.size);
        p->k.gemm->multiply(gemm);
    }
}

/* Sums of one output to their places in a turned plane. */
static void unpack_turned(const reel_images_pass *p, void *plane, int64_t point, int64_t points, const void *sums)
{
    const reel_conv_places *places = &p->places;
    const int64_t *grid = places->grid, *step = places->step, *first = places->first, *size = places->size;
    size_t panel = (size_t)p->k.panel * p->k.size;
    for (int64_t q = 0, run = grid[2]; q < points; q += run) {
        int64_t x = (point + q) % grid[2], y = (point + q) / grid[2] % grid[1], z = (point + q) / grid[2] / grid[1];
        int64_t to = ((z * step[0] + first[0]) * size[1] + y * step[1] + first[1]) * size[2] + x * step[2] + first[2];
        run = step[2] == 1 ? smaller(grid[2] - x, points - q) : 1;
        memcpy((char *)plane + (size_t)to * panel, (const char *)sums + (size_t)q * panel, (size_t)run * panel);
    }
}

/* Sums to their places: [output][point][image] to [image][output][point]. */
static void unpack(const reel_images_pass *p, int64_t image, int64_t group, int64_t point, int64_t points,
                   const void *sums)
{
    int64_t here = smaller(p->n - image, p->k.panel);
    for (int64_t o = 0; o < p->outputs; o++) {
        reel_conv_places places = p->places;
        if (p->result_turned) {
            int64_t plane = image * places.dst_n + (group * p->outputs + o) * places.dst_c * p->k.panel;
            unpack_turned(p, at(places.dst, plane, p->k.size), point, points, at(sums, o * points * p->k.panel, p->k.size));
            continue;
        }
        places.dst = at(places.dst, image * places.dst_n + (group * p->outputs + o) * places.dst_c, p->k.size);
        places.dst_c = places.dst_n; /* images take the place of channels */
        for (int64_t q = 0; q < points; q += REEL_CONV_PANEL)
            p->k.conv->unpack_turned(&places, point + q, (int)smaller(points - q, REEL_CONV_PANEL), here,
                                     at(sums, (o * points + q) * p->k.panel, p->k.size), p->k.panel, NULL, false);
    }
}

/* Pools pairs of the lines of sums where they lie, and unpacks what is left of them. */
static void unpack_pooled(const reel_images_pass *p, int64_t image, int64_t group, int64_t line, int64_t lines,
                          void *sums, uint8_t *taps)
{
    const reel_conv_pool *pool = p->epilogue->pool;
    int64_t width = p->gather.grid[2], windows = width / 2, points = lines / 2 * windows, panel = p->k.panel;
    int64_t here = smaller(p->n - image, panel), channels = p->groups * p->outputs, point = line / 2 * windows;
    for (int64_t o = 0; o < p->outputs; o++)
        for (int64_t i = 0; i < lines / 2; i++) {
            int64_t from = (o * lines + 2 * i) * width * panel, to = (o * points + i * windows) * panel;
            p->k.conv->pool_turned(windows, panel, at(sums, from, p->k.size), at(sums, from + width * panel, p->k.size),
                                   pool->relu, at(sums, to, p->k.size), pool->taps ? taps + to : NULL);
        }
    unpack(p, image, group, point, points, sums);
    for (int64_t o = 0; o < p->outputs && pool->taps; o++) {
        int64_t plane = p->places.dst_c, channel = group * p->outputs + o;
        if (pool->taps_turned)
            memcpy(pool->taps + ((image * channels + channel * panel) * plane + point * panel), taps + o * points * panel,
                   (size_t)(points * panel));
        else
            reel_images_unpack_taps(points, here, taps + o * points * panel, panel,
                                    pool->taps + (image * channels + channel) * plane + point, channels * plane);
    }
}

/* The results of a band, point by point, with room for the tables. */
static void multiply_points(const reel_images_band *b, int64_t *tables)
{
    const reel_images_pass *p = b->p;
    const int64_t *grid = p->gather.grid, *size = p->src_size;
    int64_t in_stride = reel_conv_volume(p->kernel), *a_off = tables, *b_off = tables + p->depth;
    reel_gemm gemm = { .rows = p->outputs,
                       .a = at(p->weight, b->group * p->outputs * p->inputs * in_stride, p->k.size),
                       .lda = in_stride * (p->crossed ? 1 : p->inputs),
                       .a_off = a_off,
                       .b_off = b_off,
                       .ldc = b->lines * grid[2] * p->k.panel,
                       .vectors = (int)(p->k.panel / p->k.lanes),
                       .cols = (int)p->k.panel,
                       .flags = p->epilogue->relu ? REEL_GEMM_RELU : 0 };
    if (p->epilogue->bias) gemm.row_bias = at(p->epilogue->bias, b->group * p->outputs, p->k.size);
    int64_t known[4] = { -1, -1, -1, -1 }; /* the taps the tables are of: low and high of axes 1 and 2 */
    for (int64_t line = 0; line < b->lines; line++) {
        int64_t low[3], high[3], z = (b->from + line) / grid[1], y = (b->from + line) % grid[1];
        int64_t z0 = reel_images_seen(p, 0, z, &low[0], &high[0]), y0 = reel_images_seen(p, 1, y, &low[1], &high[1]);
        if (y == 0) known[0] = -1;
        for (int64_t x = 0; x < grid[2]; x += p->runs ? grid[2] : 1) {
            int64_t x0 = reel_images_seen(p, 2, x, &low[2], &high[2]);
            if (p->runs) x0 = p->before + p->gather.off[2][0], low[2] = 0, high[2] = p->gather.taps[2];
            int64_t now[4] = { low[1], high[1], low[2], high[2] };
            if (memcmp(now, known, sizeof now) != 0) {
                gemm.depth = fill_tables(p, low, high, a_off, b_off);
                memcpy(known, now, sizeof known);
            }
            const void *src = at(b->src, (z0 * size[1] + y0) * p->src_row + x0 * p->k.panel, p->k.size);
            char *sums = at(b->sums, (line * grid[2] + x) * p->k.panel, p->k.size);
            if (p->runs)
                multiply_line(p, &gemm, src, sums);
            else
                multiply_point(p, &gemm, b->panels, src, b->src_panel, sums, b->sums_panel);
        }
    }
}

static void band_chunk(void *arg, int64_t chunk, int worker)
{
    const reel_images_pass *p = arg;
    const int64_t *grid = p->gather.grid;
    int64_t panel = chunk / p->bands / p->groups * p->together;
    reel_images_band b = { .p = p,
                           .group = chunk / p->bands % p->groups,
                           .panels = smaller(p->together, p->here - panel),
                           .from = chunk % p->bands * p->lines,
                           .src_panel = p->of_panel };
    b.lines = smaller(p->lines, p->all_lines - b.from);
    int64_t points = b.lines * grid[2];
    char *scratch = p->scratch + (size_t)worker * p->scratch_size;
    b.sums = scratch + p->sums_at;
    b.products = scratch + p->products_at;
    b.sums_panel = p->outputs * points * p->k.panel;
    b.src = at(p->turned, panel * b.src_panel + b.group * (b.src_panel / p->groups), p->k.size);
    if (p->tile.results)
        reel_images_multiply_tiles(&b, scratch);
    else
        multiply_points(&b, (int64_t *)scratch);
    for (int64_t i = 0; i < b.panels; i++) {
        int64_t image = p->first + (panel + i) * p->k.panel;
        void *results = at(b.sums, i * b.sums_panel, p->k.size);
        if (p->epilogue->pool)
            unpack_pooled(p, image, b.group, b.from, b.lines, results, (uint8_t *)scratch + p->taps_at);
        else
            unpack(p, image, b.group, b.from * grid[2], points, results);
    }
}

/* Cuts result rows into bands for images that are turned `panels` at a time, and gets the workers' scratch. */
static bool cut_bands(reel_images_pass *p, int64_t panels)
{
    const reel_conv_gather *gather = &p->gather;
    const int64_t *grid = gather->grid, size = (int64_t)p->k.size;
    int64_t unit = p->epilogue->pool ? 2 : 1,
            rows = gather->taps[0] * gather->taps[1] * p->src_row; /* that a line sees */
    p->together = smaller(smaller(panels, TOGETHER), larger(1, TOGETHER_BYTES / (p->inputs * rows * size)));
    if (p->tile.results || p->runs) p->together = 1; /* the tables of a row are few */
    int64_t products = p->tile.results ? p->outputs * p->tile.products * p->src_row * size : 0; /* of a line */
    p->all_lines = grid[0] * grid[1] / unit * unit;
    int64_t line = p->together * p->outputs * grid[2] * p->k.panel * size;
    int64_t bands = larger(blocks(p->all_lines * (line + products), SUMS_BYTES),
                           blocks(CHUNKS, blocks(panels, p->together) * p->groups));
    p->lines = blocks(blocks(p->all_lines, smaller(p->all_lines, bands)), unit) * unit;
    p->bands = blocks(p->all_lines, p->lines);
    int64_t tables = p->tile.results ? p->lines * reel_images_tile_tables(p) : 2 * p->depth * (int64_t)sizeof(int64_t);
    p->sums_at = (size_t)blocks(tables, 64) * 64;
    p->products_at = p->sums_at + (size_t)blocks(p->lines * line, 64) * 64;
    p->taps_at = p->products_at + (size_t)blocks(p->lines * products, 64) * 64;
    int64_t taps = p->epilogue->pool ? p->outputs * (p->lines / 2) * (grid[2] / 2) * p->k.panel : 0;
    p->scratch_size = p->taps_at + (size_t)blocks(taps + 8, 64) * 64; /* which are read eight at a time */
    p->scratch = reel_scratch(p->k.exec, reel_bytes(p->scratch_size, (size_t)p->k.exec->threads));
    return p->scratch != NULL;
}

/* Whether the taps of a row meet points one after another, as results do, and only the outermost lie outside the image. */
static bool are_in_a_row(const reel_images_pass *p)
{
    const reel_conv_gather *gather = &p->gather;
    int64_t taps = gather->taps[2], from = gather->off[2][0], results = gather->grid[2];
    return p->k.gemm->multiply_runs && (taps == 3 || taps == 5 || taps == 7) && gather->step[2] == 1 &&
           gather->off[2][taps - 1] == from + taps - 1 && from > -taps && results >= REEL_GEMM_RUN &&
           results - 1 + from < p->src_size[2];
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    reel_images_pass *p = arg;
    if (reel_conv_volume(gather->taps) == 0) return true;
    p->gather = *gather;
    bool whole = true; /* results fill their planes */
    for (int i = 0; i < 3; i++) {
        p->places.grid[i] = gather->grid[i];
        p->places.step[i] = gather->place_step[i];
        p->places.first[i] = gather->first[i];
        whole &= gather->place_step[i] == 1;
    }
    int64_t size[3] = { p->places.size[0], p->places.size[1], p->places.size[2] };
    if (whole) {
        p->places.grid[0] = p->places.grid[1] = p->places.size[0] = p->places.size[1] = 1;
        p->places.grid[2] = p->places.size[2] = p->epilogue->pool ? p->places.dst_c : reel_conv_volume(gather->grid);
    }
    reel_images_turn t = { .k = &p->k, .channels = p->groups * p->inputs, .tile = p->tile, .turned = p->src_turned };
    memcpy(t.size, p->src_size, sizeof t.size);
    memcpy(t.extent, p->src_size, sizeof t.extent);
    p->depth = p->inputs * reel_conv_volume(gather->taps);
    bool lines = p->outputs == 1 && !p->tile.results && gather->place_step[2] == 1 && p->k.panel == VECTORS * p->k.lanes;
    int64_t before = larger(0, -gather->off[2][0]);
    int64_t reach = (gather->grid[2] - 1) * gather->step[2] + gather->off[2][gather->taps[2] - 1] + 1;
    int64_t row = (before + larger(p->src_size[2], reach)) | 1; /* odd: rows spread over the sets of a cache */
    p->in_a_row = lines && are_in_a_row(p);
    p->runs = p->in_a_row || (lines && row <= 2 * p->src_size[2] + 64);
    p->before = 0;
    if (p->runs && !p->in_a_row) {
        p->before = t.before[2] = before;
        t.extent[2] = row;
    }
    p->src_row = t.extent[2] * p->k.panel;
    if (p->tile.results) {
        int64_t results = blocks(gather->grid[2], p->tile.results), cotangents = blocks(p->src_size[2], p->tile.results);
        p->adjoint = t.cotangents = p->crossed && cotangents < results;
        p->tiles = t.tiles = p->adjoint ? cotangents : results;
        t.before[2] = p->adjoint ? 0 : -gather->off[2][0];
        if (!p->adjoint) t.extent[2] = t.tiles * p->tile.results + gather->taps[2] - 1;
        p->depth = p->inputs * gather->taps[0] * gather->taps[1];
        p->src_row = p->tiles * p->k.panel;
    }

    int64_t image = p->groups * p->inputs * reel_conv_volume(p->src_size);
    p->of_channel = reel_images_points(&t) * p->k.panel;
    int64_t of_panel = p->of_panel = t.channels * p->of_channel;
    int64_t panels = larger(1, smaller(blocks(p->n, p->k.panel), REEL_IMAGES_BYTES / (of_panel * (int64_t)p->k.size)));
    if (reel_images_are_turned(&t)) {
        panels = blocks(p->n, p->k.panel);
        p->turned = (void *)p->src;
    }
    bool there = p->turned && panels * p->k.panel >= p->n; /* as they come, or since the gather of another residue */
    if (!p->turned) p->turned = reel_scratch(p->k.exec, reel_bytes((size_t)(panels * of_panel), p->k.size));
    if (!p->turned || !cut_bands(p, panels)) return false;
    if (p->tile.results && !reel_images_make_filters(p)) return false;
    t.to = p->turned;
    for (p->first = 0; p->first < p->n; p->first += panels * p->k.panel) {
        t.n = smaller(p->n - p->first, panels * p->k.panel);
        t.from = at(p->src, p->first * image, p->k.size);
        if (!there && !reel_images_turn_all(&t)) return false;
        p->here = blocks(t.n, p->k.panel);
        reel_parallel(p->k.exec, blocks(p->here, p->together) * p->groups * p->bands, band_chunk, p);
    }
    for (int i = 0; i < 3; i++) p->places.size[i] = size[i];
    return true;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    reel_winograd_tile tile = { 0, 0 };
    if (impl == &reel_conv_winograd_rows) tile = reel_winograd_tile_of(g->kernel[2]);
    if (call->pass == REEL_CONV_WEIGHT_GRAD) return reel_images_weight_grad(exec, call, tile);
    const reel_conv_epilogue *epilogue = call->epilogue;
    bool fwd = call->pass == REEL_CONV_FORWARD;
    const int64_t *from = fwd ? g->in : g->out, *to = fwd ? g->out : g->in;
    reel_images_pass p = { .k = reel_images_kernels_for(exec, g),
                           .tile = tile,
                           .n = g->n,
                           .groups = g->groups,
                           .inputs = (fwd ? g->c : g->k) / g->groups,
                           .outputs = (fwd ? g->k : g->c) / g->groups,
                           .src = call->a,
                           .weight = call->b,
                           .src_turned = call->a_turned,
                           .result_turned = call->result_turned,
                           .crossed = !fwd,
                           .epilogue = epilogue };
    p.places.dst = call->result;
    p.places.dst_c = epilogue->pool ? (to[1] / 2) * (to[2] / 2) : reel_conv_volume(to);
    p.places.dst_n = p.places.dst_c * p.outputs * g->groups;
    for (int i = 0; i < 3; i++) {
        p.src_size[i] = from[i];
        p.places.size[i] = to[i];
        p.kernel[i] = g->kernel[i];
    }
    if (!fwd) reel_conv_fill_unreached(g, epilogue, call->result);
    return reel_conv_gathers(exec, g, call->pass, run_gather, &p);
}

/* A panel of images, results of a row, tables and sums within reason. */
static bool supports(const reel_conv_geom *g, reel_conv_pass kind)
{
    double taps = (double)reel_conv_volume(g->kernel), lanes = 32, c = (double)g->c, k = (double)g->k, padded = 1,
           row = 1;
    for (int i = 0; i < 3; i++) {
        double extent =
            (double)(g->out[i] - 1) * (double)g->stride[i] + (double)(g->kernel[i] - 1) * (double)g->dilation[i] + 1;
        padded *= extent > (double)g->in[i] ? extent : (double)g->in[i];
        row *= kind == REEL_CONV_INPUT_GRAD ? (double)smaller(g->stride[i], g->in[i]) : 1;
    }
    if (row > 64) return false;
    row = kind == REEL_CONV_INPUT_GRAD ? c * (double)g->in[2] : k * (double)g->out[2];
    double turned = kind == REEL_CONV_WEIGHT_GRAD ? c * padded + k * (double)reel_conv_volume(g->out)
                    : kind == REEL_CONV_FORWARD   ? c * (double)reel_conv_volume(g->in)
                                                  : k * (double)reel_conv_volume(g->out);
    if (turned * lanes > 16e6 || row * lanes > 4e6) return false;
    return kind == REEL_CONV_WEIGHT_GRAD ? c * k / (double)g->groups * taps <= REEL_IMAGES_MOST_SUMS
                                         : (c + k) * taps <= 1e6;
}

/* Pairs of a result and a tap of an axis that lie within the image. */
static double met(const reel_conv_geom *g, int i)
{
    double pairs = 0;
    for (int64_t t = 0; t < g->kernel[i]; t++) {
        int64_t from = g->pad[i] - t * g->dilation[i], end = g->in[i] + from; /* of o * stride, in [from, end) */
        int64_t low = from <= 0 ? 0 : blocks(from, g->stride[i]), high = end <= 0 ? 0 : blocks(end, g->stride[i]);
        pairs += (double)larger(0, smaller(high, g->out[i]) - smaller(low, g->out[i]));
    }
    return pairs;
}

/* By tiles along rows, if they have results. */
static double cost_of(const reel_conv_geom *g, reel_conv_pass kind, reel_winograd_tile by)
{
    enum { LANES = 16 };
    int64_t tile = by.results;
    bool fwd = kind == REEL_CONV_FORWARD, weight = kind == REEL_CONV_WEIGHT_GRAD, back = kind == REEL_CONV_INPUT_GRAD;
    double panel = (double)(g->n > LANES ? VECTORS * LANES : round_up(g->n, smaller(LANES, reel_conv_lanes(g)))),
           panels = (double)blocks(g->n, (int64_t)panel);
    double pairs = (double)g->k * (double)(g->c / g->groups), in = (double)reel_conv_volume(g->in);
    double out = (double)reel_conv_volume(g->out), taps = (double)reel_conv_volume(g->kernel),
           lines = met(g, 0) * met(g, 1);
    double from = back ? (double)g->k * out : (double)g->c * in, to = back ? (double)g->c * in : (double)g->k * out;
    int64_t width = back ? g->in[2] : g->out[2], outputs = (fwd ? g->k : g->c) / g->groups;
    int64_t fewest = back ? smaller(g->in[2], g->out[2]) : width;
    double products = tile ? (double)(by.products * blocks(fewest, tile)) : 0; /* of a row */
    bool runs = !weight && !tile && outputs == 1 && g->n > LANES && g->stride[2] == 1;
    double sums = tile     ? lines * products
                  : weight ? out * taps
                  : runs   ? lines * (double)(width * g->kernel[2])
                           : lines * met(g, 2),
           few = tile ? 1.3 : 1.15, transforms = 0;
    if (weight)
        few = tile ? 1.7 : g->stride[2] == 1 ? 1.3 : 2;
    else if (outputs < 4 && !tile) /* rows that fill a register tile */
        few = runs ? 1.7 : outputs > 1 || g->n > 2 * LANES ? 2 : 3;
    if (tile) {
        double rows = from / (double)(back ? g->out[2] : g->in[2]) + to / (double)width;
        transforms = (outputs == 1 && !weight ? 10 : 6) * products * rows;
    }
    if (!weight && !tile && outputs >= 4) few *= (double)reel_gemm_rows_cost(outputs) / (double)outputs;
    if (back && !tile && g->stride[2] > 1) few *= 1.6; /* taps of a residue lie apart */
    if (panel <= (double)reel_conv_lanes(g)) few *= 1.5; /* a vector a row of tiles, not two */
    bool in_cache = (double)g->n * to <= 1e6; /* turning to and from memory is slow */
    double turned = panel * ((weight ? 0.5 : 1.2) * from + (weight ? in_cache ? 0.5 : 1.1 : in_cache ? 1.2 : 3.4) * to);
    double calls = weight ? 0 : (double)g->groups * (fwd ? out : in) * (double)blocks(outputs, 6);
    if (tile) {
        double depth = taps / (double)g->kernel[2] * (double)((fwd ? g->c : g->k) / g->groups);
        double factors = (double)by.products * depth * (double)(outputs + 2 * LANES) * sizeof(float);
        calls *= products / (double)width;
        if (outputs > 1 && factors <= REEL_IMAGES_SHORT) calls /= (double)by.products;
    }
    if (runs || (tile && outputs == 1)) calls /= 6;
    if (tile && !weight) { /* products of the source that the second cache does not hold */
        double bytes = from / (double)(back ? g->out[2] : g->in[2]) * products * panel * sizeof(float);
        if (bytes > 4.5e6) transforms += 0.5 * bytes * LANES / panel;
    }
    if (g->dtype == REEL_F64) transforms *= 2.5; /* the baseline's, compiled for size */
    double cycles = panels * ((sums * pairs * few + transforms) * panel / LANES + 40 * calls + turned);
    if (weight) cycles += pairs * taps * 8;
    if (tile) cycles += 8 * pairs * taps; /* kernels */
    return 4000 + cycles / (g->dtype == REEL_F32 ? 3.6 : 1.8);
}

static double cost(const reel_conv_geom *g, reel_conv_pass kind)
{
    return cost_of(g, kind, (reel_winograd_tile) { 0, 0 });
}

const reel_conv_impl reel_conv_images = { .name = "images", .supports = supports, .cost = cost, .run = run };

/* Along rows by tiles. */

static bool supports_rows(const reel_conv_geom *g, reel_conv_pass kind)
{
    return reel_winograd_tile_of(g->kernel[2]).results > 0 && g->stride[2] == 1 && g->dilation[2] == 1 &&
           g->pad[2] < g->kernel[2] && supports(g, kind);
}

static double cost_rows(const reel_conv_geom *g, reel_conv_pass kind)
{
    return cost_of(g, kind, reel_winograd_tile_of(g->kernel[2]));
}

const reel_conv_impl reel_conv_winograd_rows = {
    .name = "winograd_rows", .supports = supports_rows, .cost = cost_rows, .run = run
};
