// SPDX-License-Identifier: MIT
// Convolution of many small images: vectors run over the images of a batch.
//
// A panel of images is turned around, [channel][point][image], so that a vector is one point of as many images. A
// result point is then a matrix product of the kernel and the source points it sees: rows need not fill vectors,
// strides cost nothing, and neither do taps in the padding, of which an input gradient has the most. One output
// channel is a single row of sums over several panels. A weight gradient is dot products along images and points,
// summed by lanes.
#include <reel/ops/conv_algo.h>
#include <reel/ops/conv_parts.h>
#include <reel/ops/kernels/conv.h>
#include <reel/ops/kernels/gemm.h>
#include <string.h>

enum {
    VECTORS = 2,
    SHARES = 16,
    CHUNKS = 8,
    SUMS_BYTES = 128 << 10,
    LINES_BYTES = 12 << 10,
    TOGETHER_BYTES = 512 << 10,
    TOGETHER = 4
};

/* Bytes of turned images at a time; most sums of a weight gradient. */
#define TURNED_BYTES ((int64_t)8 << 20)
#define MOST_SUMS 32768

typedef struct kernels {
    const reel_exec *exec;
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    size_t size;
    int64_t lanes, panel; /* of a vector; images of a panel */
} kernels;

static kernels kernels_of(const reel_exec *exec, const reel_conv_geom *g)
{
    kernels k = { .exec = exec, .size = reel_dtype_size(g->dtype) };
    k.gemm = reel_gemm_of(exec->isa, g->dtype);
    k.conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    k.lanes = k.gemm->lanes;
    k.panel = k.lanes * smaller(VECTORS, blocks(g->n, k.lanes));
    return k;
}

/* to[panel][channel][point of extent][image] = from[image][channel][point - before], zero where there is none. */
typedef struct turn {
    const kernels *k;
    const void *from;
    int64_t n, channels, size[3], before[3], extent[3];
    void *to;
} turn;

static void turn_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const turn *t = arg;
    const int64_t *size = t->size, *extent = t->extent, *before = t->before;
    int64_t panel = t->k->panel, first = chunk / t->channels * panel, images = smaller(t->n - first, panel);
    int64_t plane = reel_conv_volume(size), points = reel_conv_volume(extent), apart = t->channels * plane;
    const void *from = at(t->from, first * apart + chunk % t->channels * plane, t->k->size);
    void *to = at(t->to, chunk * points * panel, t->k->size);
    bool whole = memcmp(size, extent, sizeof t->size) == 0 && before[0] == 0 && before[1] == 0 && before[2] == 0;
    if (!whole || images < panel) memset(to, 0, (size_t)(points * panel) * t->k->size);
    if (whole) {
        t->k->gemm->transpose(images, plane, from, apart, to, panel);
        return;
    }
    int64_t length = smaller(size[2], extent[2] - before[2]);
    for (int64_t z = 0; z < size[0] && z + before[0] < extent[0]; z++)
        for (int64_t y = 0; y < size[1] && y + before[1] < extent[1] && length > 0; y++)
            t->k->gemm->transpose(
                images, length, at(from, (z * size[1] + y) * size[2], t->k->size), apart,
                at(to, (((z + before[0]) * extent[1] + y + before[1]) * extent[2] + before[2]) * panel, t->k->size),
                panel);
}

static void turn_images(const turn *t)
{
    reel_parallel(t->k->exec, blocks(t->n, t->k->panel) * t->channels, turn_chunk, (void *)t);
}

/* One gather of a forward pass or an input gradient. */
typedef struct images {
    kernels k;
    int64_t n, groups, inputs, outputs;
    int64_t src_size[3], kernel[3];
    const void *src, *weight;
    bool crossed; /* weight: [input][output] */
    const reel_conv_epilogue *epilogue;
    reel_conv_places places;
    reel_conv_gather gather;
    int64_t depth;
    int64_t all_lines, lines, bands; /* result rows, and those of a band; bands of an image */
    int64_t together;                /* panels of a chunk, which share their tables */
    int64_t first, here;             /* image of what is turned, and panels of it */
    void *turned;
    char *scratch; /* of each worker: two tables of offsets, sums, a pool's taps */
    size_t scratch_size, sums_at, taps_at;
} images;

/* The taps of an axis that result m has within the image: [low, high), and where the first of them lies. */
static int64_t seen(const images *p, int axis, int64_t m, int64_t *low, int64_t *high)
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
static int64_t fill_tables(const images *p, const int64_t low[3], const int64_t high[3], int64_t *restrict a_off,
                           int64_t *restrict b_off)
{
    const reel_conv_gather *gather = &p->gather;
    const int64_t *size = p->src_size, *kernel = p->kernel, *off = gather->off[2], *tap = gather->tap[2];
    int64_t volume = reel_conv_volume(kernel), plane = reel_conv_volume(size), panel = p->k.panel, count = 0;
    int64_t begin = low[2], end = high[2], next = (p->crossed ? p->outputs : 1) * volume; /* channel's kernel */
    if (begin == end) return 0;
    for (int64_t c = 0; c < p->inputs; c++)
        for (int64_t i = low[0]; i < high[0]; i++)
            for (int64_t j = low[1]; j < high[1]; j++) {
                int64_t z = gather->off[0][i] - gather->off[0][low[0]], y = gather->off[1][j] - gather->off[1][low[1]];
                int64_t from = (c * plane + (z * size[1] + y) * size[2] - off[begin]) * panel;
                int64_t row = c * next + (gather->tap[0][i] * kernel[1] + gather->tap[1][j]) * kernel[2];
                for (int64_t t = begin; t < end; t++, count++) {
                    a_off[count] = row + tap[t];
                    b_off[count] = from + off[t] * panel;
                }
            }
    return count;
}

/* The results of one point in all panels of a chunk, `b` and `c` that of the first. */
static void multiply_point(const images *p, reel_gemm *gemm, int64_t panels, const void *b, int64_t b_panel, void *c,
                           int64_t c_panel)
{
    if (p->outputs == 1 && gemm->vectors == VECTORS) {
        p->k.gemm->multiply_row(&(reel_gemm_row) { .depth = gemm->depth,
                                                   .panels = panels,
                                                   .b_panel = b_panel,
                                                   .c_panel = c_panel,
                                                   .a = gemm->a,
                                                   .b = b,
                                                   .bias = gemm->row_bias,
                                                   .a_off = gemm->a_off,
                                                   .b_off = gemm->b_off,
                                                   .c = c,
                                                   .relu = gemm->flags & REEL_GEMM_RELU });
        return;
    }
    for (int64_t i = 0; i < panels; i++) {
        gemm->b = at(b, i * b_panel, p->k.size);
        gemm->c = at(c, i * c_panel, p->k.size);
        p->k.gemm->multiply(gemm);
    }
}

/* Sums to their places: [output][point][image] to [image][output][point]. */
static void unpack(const images *p, int64_t image, int64_t group, int64_t point, int64_t points, const void *sums)
{
    int64_t here = smaller(p->n - image, p->k.panel);
    for (int64_t o = 0; o < p->outputs; o++) {
        reel_conv_places places = p->places;
        places.dst = at(places.dst, image * places.dst_n + (group * p->outputs + o) * places.dst_c, p->k.size);
        places.dst_c = places.dst_n; /* images take the place of channels */
        for (int64_t q = 0; q < points; q += REEL_CONV_PANEL)
            p->k.conv->unpack_turned(&places, point + q, (int)smaller(points - q, REEL_CONV_PANEL), here,
                                     at(sums, (o * points + q) * p->k.panel, p->k.size), p->k.panel, NULL, false);
    }
}

/* Pools pairs of the lines of sums where they lie, and unpacks what is left of them. */
static void unpack_pooled(const images *p, int64_t image, int64_t group, int64_t line, int64_t lines, void *sums,
                          uint8_t *taps)
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
    for (int64_t o = 0; o < p->outputs && pool->taps; o++)
        for (int64_t l = 0; l < here; l++) {
            uint8_t *to = pool->taps + ((image + l) * channels + group * p->outputs + o) * p->places.dst_c + point;
            const uint8_t *from = taps + o * points * panel + l;
            for (int64_t q = 0; q < points; q++) to[q] = from[q * panel];
        }
}

static void band_chunk(void *arg, int64_t chunk, int worker)
{
    const images *p = arg;
    const int64_t *grid = p->gather.grid, *size = p->src_size;
    int64_t band = chunk % p->bands, group = chunk / p->bands % p->groups;
    int64_t panel = chunk / p->bands / p->groups * p->together, panels = smaller(p->together, p->here - panel);
    int64_t from = band * p->lines, lines = smaller(p->lines, p->all_lines - from), points = lines * grid[2];
    int64_t plane = reel_conv_volume(size), in_stride = reel_conv_volume(p->kernel);
    char *scratch = p->scratch + (size_t)worker * p->scratch_size, *sums = scratch + p->sums_at;
    int64_t *a_off = (int64_t *)scratch, *b_off = a_off + p->depth;
    int64_t of_panel = p->inputs * plane * p->k.panel, of_sums = p->outputs * points * p->k.panel;
    const void *src = at(p->turned, (panel * p->groups + group) * of_panel, p->k.size);
    int64_t kernels_at = group * p->outputs * p->inputs * in_stride;
    reel_gemm gemm = { .rows = p->outputs,
                       .a = at(p->weight, kernels_at, p->k.size),
                       .lda = in_stride * (p->crossed ? 1 : p->inputs),
                       .a_off = a_off,
                       .b_off = b_off,
                       .ldc = points * p->k.panel,
                       .vectors = (int)(p->k.panel / p->k.lanes),
                       .cols = (int)p->k.panel,
                       .flags = p->epilogue->relu ? REEL_GEMM_RELU : 0 };
    if (p->epilogue->bias) gemm.row_bias = at(p->epilogue->bias, group * p->outputs, p->k.size);
    int64_t known[4] = { -1, -1, -1, -1 }; /* the taps the tables are of: low and high of axes 1 and 2 */
    for (int64_t line = 0; line < lines; line++) {
        int64_t low[3], high[3], z = (from + line) / grid[1], y = (from + line) % grid[1];
        int64_t z0 = seen(p, 0, z, &low[0], &high[0]), y0 = seen(p, 1, y, &low[1], &high[1]);
        if (y == 0) known[0] = -1;
        for (int64_t x = 0; x < grid[2]; x++) {
            int64_t x0 = seen(p, 2, x, &low[2], &high[2]), now[4] = { low[1], high[1], low[2], high[2] };
            if (memcmp(now, known, sizeof now) != 0) {
                gemm.depth = fill_tables(p, low, high, a_off, b_off);
                memcpy(known, now, sizeof known);
            }
            multiply_point(p, &gemm, panels, at(src, ((z0 * size[1] + y0) * size[2] + x0) * p->k.panel, p->k.size),
                           p->groups * of_panel, at(sums, (line * grid[2] + x) * p->k.panel, p->k.size), of_sums);
        }
    }
    for (int64_t i = 0; i < panels; i++) {
        int64_t image = p->first + (panel + i) * p->k.panel;
        void *results = at(sums, i * of_sums, p->k.size);
        if (p->epilogue->pool)
            unpack_pooled(p, image, group, from, lines, results, (uint8_t *)scratch + p->taps_at);
        else
            unpack(p, image, group, from * grid[2], points, results);
    }
}

/* Cuts result rows into bands for images that are turned `panels` at a time, and gets the workers' scratch. */
static bool cut_bands(images *p, int64_t panels)
{
    const reel_conv_gather *gather = &p->gather;
    const int64_t *grid = gather->grid, size = (int64_t)p->k.size;
    int64_t unit = p->epilogue->pool ? 2 : 1,
            rows = gather->taps[0] * gather->taps[1] * p->src_size[2]; /* that a line sees */
    p->together =
        smaller(smaller(panels, TOGETHER), larger(1, TOGETHER_BYTES / (p->inputs * rows * p->k.panel * size)));
    p->all_lines = grid[0] * grid[1] / unit * unit;
    int64_t line = p->together * p->outputs * grid[2] * p->k.panel * size;
    int64_t bands =
        larger(blocks(p->all_lines * line, SUMS_BYTES), blocks(CHUNKS, blocks(panels, p->together) * p->groups));
    p->lines = blocks(blocks(p->all_lines, smaller(p->all_lines, bands)), unit) * unit;
    p->bands = blocks(p->all_lines, p->lines);
    p->sums_at = (size_t)blocks(2 * p->depth * (int64_t)sizeof(int64_t), 64) * 64;
    p->taps_at = p->sums_at + (size_t)blocks(p->lines * line, 64) * 64;
    int64_t taps = p->epilogue->pool ? p->outputs * (p->lines / 2) * (grid[2] / 2) * p->k.panel : 0;
    p->scratch_size = p->taps_at + (size_t)blocks(taps, 64) * 64;
    p->scratch = reel_scratch(p->k.exec, reel_bytes(p->scratch_size, (size_t)p->k.exec->threads));
    return p->scratch != NULL;
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    images *p = arg;
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
    p->depth = p->inputs * reel_conv_volume(gather->taps);

    int64_t image = p->groups * p->inputs * reel_conv_volume(p->src_size), of_panel = image * p->k.panel;
    int64_t panels = larger(1, smaller(blocks(p->n, p->k.panel), TURNED_BYTES / (of_panel * (int64_t)p->k.size)));
    bool there = p->turned && panels * p->k.panel >= p->n; /* since the gather of another residue */
    if (!p->turned) p->turned = reel_scratch(p->k.exec, reel_bytes((size_t)(panels * of_panel), p->k.size));
    if (!p->turned || !cut_bands(p, panels)) return false;
    turn t = { .k = &p->k, .channels = p->groups * p->inputs, .to = p->turned };
    memcpy(t.size, p->src_size, sizeof t.size);
    memcpy(t.extent, p->src_size, sizeof t.extent);
    for (p->first = 0; p->first < p->n; p->first += panels * p->k.panel) {
        t.n = smaller(p->n - p->first, panels * p->k.panel);
        t.from = at(p->src, p->first * image, p->k.size);
        if (!there) turn_images(&t);
        p->here = blocks(t.n, p->k.panel);
        reel_parallel(p->k.exec, blocks(p->here, p->together) * p->groups * p->bands, band_chunk, p);
    }
    for (int i = 0; i < 3; i++) p->places.size[i] = size[i];
    return true;
}

static bool run(const reel_exec *exec, const reel_conv_geom *g, reel_conv_pass kind, const void *src,
                const void *weight, const reel_conv_epilogue *epilogue, void *dst)
{
    bool fwd = kind == REEL_CONV_FORWARD;
    const int64_t *from = fwd ? g->in : g->out, *to = fwd ? g->out : g->in;
    images p = { .k = kernels_of(exec, g),
                 .n = g->n,
                 .groups = g->groups,
                 .inputs = (fwd ? g->c : g->k) / g->groups,
                 .outputs = (fwd ? g->k : g->c) / g->groups,
                 .src = src,
                 .weight = weight,
                 .crossed = !fwd,
                 .epilogue = epilogue };
    p.places.dst = epilogue->pool ? epilogue->pool->y : dst;
    p.places.dst_c = epilogue->pool ? (to[1] / 2) * (to[2] / 2) : reel_conv_volume(to);
    p.places.dst_n = p.places.dst_c * p.outputs * g->groups;
    for (int i = 0; i < 3; i++) {
        p.src_size[i] = from[i];
        p.places.size[i] = to[i];
        p.kernel[i] = g->kernel[i];
    }
    if (!fwd) reel_conv_fill_unreached(g, epilogue, dst);
    return reel_conv_gathers(exec, g, kind, run_gather, &p);
}

static bool forward(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *w,
                    const reel_conv_epilogue *epilogue, void *y)
{
    return run(exec, g, REEL_CONV_FORWARD, x, w, epilogue, y);
}

static bool input_grad(const reel_exec *exec, const reel_conv_geom *g, const void *gy, const void *w,
                       const reel_conv_epilogue *epilogue, void *gx)
{
    return run(exec, g, REEL_CONV_INPUT_GRAD, gy, w, epilogue, gx);
}

/* A weight gradient. Panel i of the images is added to share i % shares of the sums. */
typedef struct weights {
    kernels k;
    const reel_conv_geom *g;
    int64_t c, outputs, rows; /* channels of a group; channels times taps */
    int64_t shares, parts, extent[3];
    const int64_t *row_off; /* of each row in the turned images */
    void *x, *gy;           /* turned: [share]... */
    void *sums, *gw;        /* sums: [share][output][row][lane] */
} weights;

static void dot_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weights *p = arg;
    const reel_conv_geom *g = p->g;
    const int64_t *extent = p->extent, *out = g->out;
    int64_t part = chunk % p->parts, group = chunk / p->parts % g->groups, share = chunk / p->parts / g->groups;
    int64_t of_part = blocks(p->outputs, p->parts), k = group * p->outputs + part * of_part;
    int64_t panel = p->k.panel, volume = reel_conv_volume(out), points = reel_conv_volume(extent);
    bool joined = g->stride[2] == 1; /* a row of results is one stretch, else a point is */
    reel_conv_dot dot = { .outputs = smaller(of_part, p->outputs - part * of_part),
                          .rows = p->rows,
                          .gy_k = volume * panel,
                          .row_off = p->row_off,
                          .sums = at(p->sums, (share * g->k + k) * p->rows * p->k.lanes, p->k.size) };
    if (dot.outputs <= 0) return;
    dot.count = joined ? out[2] * panel : panel;
    dot.gy_line = dot.count;
    dot.column_line = joined ? g->stride[1] * extent[2] * panel : g->stride[2] * panel;
    int64_t lines = joined ? out[1] : out[2], calls = joined ? out[0] : out[0] * out[1];
    int64_t at_once = joined ? larger(1, LINES_BYTES / (dot.count * (int64_t)p->k.size)) : lines;
    const void *gy = at(p->gy, (share * g->k + k) * volume * panel, p->k.size);
    const void *x = at(p->x, (share * g->c + group * p->c) * points * panel, p->k.size);
    for (int64_t i = 0; i < calls; i++) {
        int64_t z = joined ? i : i / out[1], y = joined ? 0 : i % out[1];
        int64_t first = (z * g->stride[0] * extent[1] + y * g->stride[1]) * extent[2] * panel;
        for (int64_t line = 0; line < lines; line += at_once) {
            dot.lines = smaller(at_once, lines - line);
            dot.gy = at(gy, (i * lines + line) * dot.gy_line, p->k.size);
            dot.column = at(x, first + line * dot.column_line, p->k.size);
            p->k.conv->dot(&dot);
        }
    }
}

static void add_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weights *p = arg;
    int64_t of_output = p->rows * p->k.lanes;
    p->k.conv->add_lanes(p->rows, p->shares, p->g->k * of_output, at(p->sums, chunk * of_output, p->k.size),
                         at(p->gw, chunk * p->rows, p->k.size));
}

static bool weight_grad(const reel_exec *exec, const reel_conv_geom *g, const void *x, const void *gy, void *gw)
{
    weights p = { .k = kernels_of(exec, g), .g = g, .c = g->c / g->groups, .outputs = g->k / g->groups, .gw = gw };
    int64_t taps = reel_conv_volume(g->kernel), out = reel_conv_volume(g->out), in = reel_conv_volume(g->in);
    turn of_x = { .k = &p.k, .channels = g->c }, of_gy = { .k = &p.k, .channels = g->k };
    for (int i = 0; i < 3; i++) {
        p.extent[i] = (g->out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1;
        if (g->pad[i] == 0) p.extent[i] = larger(p.extent[i], g->in[i]); /* turned as a whole */
        of_x.size[i] = g->in[i];
        of_x.before[i] = g->pad[i];
        of_x.extent[i] = p.extent[i];
        of_gy.size[i] = of_gy.extent[i] = g->out[i];
    }
    int64_t points = reel_conv_volume(p.extent), of_panel = (g->c * points + g->k * out) * p.k.panel;
    p.rows = p.c * taps;
    p.shares =
        smaller(smaller(blocks(g->n, p.k.panel), SHARES), larger(1, TURNED_BYTES / (of_panel * (int64_t)p.k.size)));
    p.parts = smaller(blocks(p.outputs, 4), blocks(CHUNKS, p.shares * g->groups));
    size_t sums = reel_bytes((size_t)(p.shares * g->k * p.rows * p.k.lanes), p.k.size);
    int64_t *row_off = reel_scratch(exec, (size_t)p.rows * sizeof *row_off);
    p.x = of_x.to = reel_scratch(exec, reel_bytes((size_t)(p.shares * g->c * points * p.k.panel), p.k.size));
    p.gy = of_gy.to = reel_scratch(exec, reel_bytes((size_t)(p.shares * g->k * out * p.k.panel), p.k.size));
    p.sums = reel_scratch(exec, sums);
    if (!row_off || !p.x || !p.gy || !p.sums) return false;
    memset(p.sums, 0, sums);
    for (int64_t r = 0; r < p.rows; r++) {
        int64_t t2 = r % g->kernel[2], t1 = r / g->kernel[2] % g->kernel[1],
                t0 = r % taps / g->kernel[2] / g->kernel[1];
        row_off[r] = (r / taps * points + (t0 * g->dilation[0] * p.extent[1] + t1 * g->dilation[1]) * p.extent[2] +
                      t2 * g->dilation[2]) *
                     p.k.panel;
    }
    p.row_off = row_off;
    for (int64_t first = 0; first < g->n; first += p.shares * p.k.panel) {
        of_x.n = of_gy.n = smaller(g->n - first, p.shares * p.k.panel);
        of_x.from = at(x, first * g->c * in, p.k.size);
        of_gy.from = at(gy, first * g->k * out, p.k.size);
        turn_images(&of_x);
        turn_images(&of_gy);
        reel_parallel(exec, blocks(of_x.n, p.k.panel) * g->groups * p.parts, dot_chunk, &p);
    }
    reel_parallel(exec, g->k, add_chunk, &p);
    return true;
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
    return kind == REEL_CONV_WEIGHT_GRAD ? c * k / (double)g->groups * taps <= MOST_SUMS : (c + k) * taps <= 1e6;
}

static double cost(const reel_conv_geom *g, reel_conv_pass kind)
{
    enum { LANES = 16 };
    double panel = LANES * (double)smaller(VECTORS, blocks(g->n, LANES)), panels = (double)blocks(g->n, (int64_t)panel);
    double pairs = (double)g->k * (double)(g->c / g->groups), in = (double)reel_conv_volume(g->in);
    double out = (double)reel_conv_volume(g->out), met = 1, all = out * (double)reel_conv_volume(g->kernel);
    for (int i = 0; i < 3; i++) { /* taps of all results that lie within the image */
        double axis = 0;
        for (int64_t t = 0; t < g->kernel[i]; t++) {
            int64_t from = g->pad[i] - t * g->dilation[i], end = g->in[i] + from; /* of o * stride, in [from, end) */
            int64_t low = from <= 0 ? 0 : blocks(from, g->stride[i]), high = end <= 0 ? 0 : blocks(end, g->stride[i]);
            axis += (double)larger(0, smaller(high, g->out[i]) - smaller(low, g->out[i]));
        }
        met *= axis;
    }
    double from = kind == REEL_CONV_INPUT_GRAD ? (double)g->k * out : (double)g->c * in, cycles;
    double to = kind == REEL_CONV_INPUT_GRAD ? (double)g->c * in : (double)g->k * out;
    bool in_cache = (double)g->n * to <= 1e6; /* turning to and from memory is slow */
    double turned = panel * (0.5 * from + (kind == REEL_CONV_WEIGHT_GRAD ? in_cache ? 0.5 : 1.1 : in_cache ? 1.2 : 3.4) * to);
    if (kind == REEL_CONV_WEIGHT_GRAD) {
        double sums = pairs * (double)reel_conv_volume(g->kernel);
        cycles = panels * (all * pairs * panel / LANES * (g->stride[2] == 1 ? 1.3 : 2) + turned) + sums * 8;
    } else {
        bool fwd = kind == REEL_CONV_FORWARD;
        int64_t outputs = (fwd ? g->k : g->c) / g->groups;
        double few = outputs == 1 ? (g->n > 2 * LANES ? 1.3 : 3) : outputs < 4 ? 2 : 1.15; /* rows that fill a tile */
        double calls = (double)g->groups * (fwd ? out : in) * (double)blocks(outputs, 6);
        cycles = panels * (met * pairs * panel / LANES * few + 40 * calls + turned);
    }
    return 4000 + cycles / 3.6;
}

const reel_conv_impl reel_conv_images = { .name = "images",
                                          .supports = supports,
                                          .cost = cost,
                                          .forward = forward,
                                          .input_grad = input_grad,
                                          .weight_grad = weight_grad };
