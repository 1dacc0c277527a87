// SPDX-License-Identifier: MIT
// Direct convolution: register tiles read the image where it lies, through tables of pixel and tap offsets.
//
// An image is cut into bands of rows, copied with their padding unless there is none. Results are made in one of two
// ways:
//   by channel: six pixels times vectors of output channels; weights packed [taps][channels]; results are turned
//   around; by pixel:   six output channels times vectors of pixels along a row, for few channels and stride 1.
// An input gradient is such a pass over gy for every residue of the stride. A weight gradient is six taps times vectors
// of output channels, summed over pixels, with gy turned around.
#include <reel/ops/conv_bands.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/sizes.h>

/* Blocks of the reduction; of pixels whose sums are kept by channel; most columns and most sums kept by pixel. */
enum { DEPTH = 256, PIXELS = 192, COLUMNS = 240, SUMS = 6144 };

/* One gather. */
typedef struct direct {
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    size_t size;
    int lanes, panel;
    int64_t n, groups, inputs, outputs, depth; /* channels of a group; inputs * taps */
    const void *src, *weight;                  /* weight: [group][output][input][kernel], or crossed */
    int64_t src_size[3], src_c, src_n;
    reel_conv_places places;
    reel_conv_gather gather;
    reel_conv_bands bands;
    bool by_channel, crossed;
    bool by_row; /* by pixel: each row by the taps alone that do not lie in the padding above and below */
    const reel_conv_epilogue *epilogue;
    const int64_t *kernel_taps; /* index of each tap in the kernel                           */
    const int64_t *taps;        /* offset of (input, tap) in a band                               */
    const int64_t *pixels;      /* by channel: offset of each pixel of a band                     */
    const int64_t *unit, *panel_rows[REEL_GEMM_VECTORS];
    void *packed; /* by channel: [group][panel][depth][width]; else [group][output][depth] */
    int64_t kernel[3];
    char *scratch; /* of each worker: band, sums */
    size_t scratch_size, sums_at;
} direct;

/* packed[...] of one vector of outputs: columns of a panel, or rows of taps. */
static void pack_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const direct *d = arg;
    int64_t padded = round_up(d->outputs, d->lanes), of_group = padded / d->lanes, group = chunk / of_group,
            o = chunk % of_group * d->lanes, lanes = smaller(d->outputs - o, d->lanes);
    int64_t volume = reel_conv_volume(d->kernel), taps = reel_conv_volume(d->gather.taps);
    int64_t kernel = d->crossed ? group * d->inputs * d->outputs + o : (group * d->outputs + o) * d->inputs;
    int64_t in_stride = volume * (d->crossed ? d->outputs : 1), lane_stride = volume * (d->crossed ? 1 : d->inputs);
    const void *from = at(d->weight, kernel * volume, d->size);
    if (!d->by_channel) { /* by row, the rows of taps come first: those that a row meets are then one stretch */
        int64_t parts = d->by_row ? d->gather.taps[1] : 1, of_part = taps / parts;
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t part = 0; part < parts; part++)
                d->conv->pack_weights(
                    d->inputs, of_part, d->kernel_taps + part * of_part, at(from, l * lane_stride, d->size), in_stride, 1, 1, 1,
                    at(d->packed, (group * d->outputs + o + l) * d->depth + part * d->inputs * of_part, d->size), 1);
        return;
    }
    int64_t panel = o / d->panel * d->panel, step = smaller(padded - panel, d->panel);
    void *to = at(d->packed, (group * padded + panel) * d->depth + o - panel, d->size);
    if (!d->crossed && lanes == d->lanes)
        d->gemm->transpose(lanes, d->depth, from, d->depth, to, step);
    else
        d->conv->pack_weights(d->inputs, taps, d->kernel_taps, from, in_stride, lane_stride, lanes, d->lanes, to, step);
}

/* Pixels [row, row + rows) of the slab, by six, times panels of channels. */
static void band_by_channel(const direct *d, const void *band, int64_t n, int64_t group, int64_t row, int64_t rows,
                            void *sums)
{
    int64_t of_row = reel_conv_volume(d->gather.grid) / d->gather.grid[d->bands.slab], count = rows * of_row;
    int64_t q0 = n * reel_conv_volume(d->gather.grid) + row * of_row, padded = round_up(d->outputs, d->lanes);
    for (int64_t p = 0; p < count; p += PIXELS)
        for (int64_t o = 0; o < d->outputs; o += d->panel) {
            int64_t width = smaller(padded - o, d->panel), pixels = smaller(count - p, PIXELS);
            int vectors = (int)(width / d->lanes);
            reel_gemm gemm = { .rows = pixels,
                               .a = band,
                               .row_off = d->pixels + p,
                               .b_off = d->panel_rows[vectors - 1],
                               .c = sums,
                               .ldc = width,
                               .vectors = vectors,
                               .cols = (int)width };
            for (int64_t r = 0; r < d->depth; r += DEPTH, gemm.flags = REEL_GEMM_ADD) {
                gemm.depth = smaller(d->depth - r, DEPTH);
                gemm.a_off = d->taps + r;
                gemm.b = at(d->packed, (group * padded + o) * d->depth + r * width, d->size);
                d->gemm->multiply(&gemm);
            }
            reel_conv_places places = d->places;
            places.dst = at(places.dst, (group * d->outputs + o) * places.dst_c, d->size);
            const void *bias = d->epilogue->bias;
            if (bias) bias = at(bias, group * d->outputs + o, d->size);
            d->conv->unpack_turned(&places, q0 + p, (int)pixels, smaller(d->outputs - o, width), sums, width, bias,
                                   d->epilogue->relu);
        }
}

/* The taps that row y of the grid meets within the image: how many (input, tap) there are, and the first. */
static int64_t row_taps(const direct *d, int64_t y, int64_t *first)
{
    int64_t low = 0, high = d->gather.taps[1], of_row = d->inputs * d->gather.taps[2];
    const int64_t *off = d->gather.off[1];
    y *= d->gather.step[1];
    while (low < high && (y + off[low] < 0 || y + off[low] >= d->src_size[1])) low++;
    while (high > low && (y + off[high - 1] < 0 || y + off[high - 1] >= d->src_size[1])) high--;
    *first = low * of_row;
    return (high - low) * of_row;
}

/* The share of taps that lie within the image, over all rows; 1 where rows cannot be taken one by one. */
static double share_of_taps(const direct *d)
{
    const reel_conv_gather *gather = &d->gather;
    if (gather->taps[0] != 1 || gather->grid[0] != 1 || gather->step[1] != 1 || gather->step[2] != 1) return 1;
    double met = 0;
    for (int64_t y = 0; y < gather->grid[1]; y++) {
        int64_t first, taps = row_taps(d, y, &first);
        if (taps == 0) return 1;
        met += (double)taps;
    }
    return met / (double)(d->depth * gather->grid[1]);
}

/* Whether rows one by one, without their taps in the padding, are less work than lines that join them. */
static bool better_by_row(const direct *d, double share)
{
    int64_t rows = d->gather.grid[1], row = d->gather.grid[2], line = (rows - 1) * (row + d->gather.taps[2] - 1) + row;
    return share * (double)(rows * blocks(row, d->lanes)) < 0.9 * (double)blocks(line, d->lanes);
}

/* From [input][tap row][tap] to [tap row][input][tap]. */
static bool turn_taps(const reel_exec *exec, direct *d)
{
    int64_t rows = d->gather.taps[1], of_row = d->gather.taps[2], *to = reel_scratch(exec, (size_t)d->depth * sizeof *to);
    if (!to) return false;
    for (int64_t i = 0; i < d->depth; i++)
        to[(i / of_row % rows * d->inputs + i / of_row / rows) * of_row + i % of_row] = d->taps[i];
    d->taps = to;
    return true;
}

/* Columns of a line whose sums are kept: whole rows if they fit, so that rows of the result are written as a whole. */
static int64_t line_columns(const direct *d)
{
    int64_t row = d->bands.extent[2], most = smaller(COLUMNS, SUMS / d->outputs);
    int64_t columns = most >= row ? most / row * row : row <= COLUMNS ? row : COLUMNS;
    return round_up(columns, d->panel) <= REEL_CONV_PANEL ? columns : d->panel;
}

/* Lines of pixels that lie next to each other in the band, by vectors, times six channels. Between two rows of a line
 * lie pixels of the halo, whose sums are dropped. */
static void band_by_pixel(const direct *d, const void *band, int64_t n, int64_t group, int64_t row, int64_t rows,
                          void *sums)
{
    const int64_t *grid = d->gather.grid, *extent = d->bands.extent;
    int64_t first[3] = { 0, 0, 0 }, points[3] = { grid[0], grid[1], grid[2] };
    first[d->bands.slab] = row;
    points[d->bands.slab] = rows;
    bool joined = d->gather.step[1] == 1 && !d->by_row; /* rows of axis 1 form one line */
    int64_t lines = joined ? points[0] : points[0] * points[1];
    int64_t length = joined ? (points[1] - 1) * extent[2] + points[2] : points[2];
    int64_t columns = line_columns(d), ld = round_up(columns, d->panel);
    const void *weight = at(d->packed, group * d->outputs * d->depth, d->size);
    const void *bias = d->epilogue->bias ? at(d->epilogue->bias, group * d->outputs, d->size) : NULL;
    reel_conv_places places = d->places;
    places.dst = at(places.dst, group * d->outputs * places.dst_c, d->size);
    for (int64_t line = 0; line < lines; line++) {
        int64_t z = joined ? line : line / points[1], y = joined ? 0 : line % points[1];
        int64_t start = (z * d->gather.step[0] * extent[1] + y * d->gather.step[1]) * extent[2];
        int64_t from = 0, depth = d->depth;
        if (d->by_row) depth = row_taps(d, first[1] + y, &from);
        for (int64_t q = 0; q < length; q += columns) {
            int64_t width = smaller(length - q, columns);
            for (int64_t p = 0; p < width; p += d->panel) {
                reel_gemm gemm = { .rows = d->outputs,
                                   .lda = d->depth,
                                   .b = at(band, start + q + p, d->size),
                                   .c = at(sums, p, d->size),
                                   .ldc = ld,
                                   .vectors = (int)blocks(smaller(width - p, d->panel), d->lanes) };
                gemm.cols = gemm.vectors * d->lanes;
                for (int64_t r = 0; r < depth; r += DEPTH, gemm.flags = REEL_GEMM_ADD) {
                    gemm.depth = smaller(depth - r, DEPTH);
                    gemm.a = at(weight, from + r, d->size);
                    gemm.a_off = d->unit;
                    gemm.b_off = d->taps + from + r;
                    d->gemm->multiply(&gemm);
                }
            }
            for (int64_t x = q; x < q + width;) { /* the parts of rows of the grid */
                int64_t in_row = x % extent[2], m1 = y + x / extent[2],
                        most = smaller(q + width - x, extent[2] - in_row);
                int64_t good = smaller(most, points[2] - in_row);
                if (good > 0)
                    d->conv->unpack(
                        &places, ((n * grid[0] + first[0] + z) * grid[1] + first[1] + m1) * grid[2] + first[2] + in_row,
                        (int)good, d->outputs, at(sums, x - q, d->size), ld, bias, d->epilogue->relu);
                x += most;
            }
        }
    }
}

static void band_chunk(void *arg, int64_t chunk, int worker)
{
    const direct *d = arg;
    const reel_conv_bands *b = &d->bands;
    int64_t row = chunk % b->count * b->rows, group = chunk / b->count % d->groups, n = chunk / b->count / d->groups;
    int64_t rows = smaller(b->rows, d->gather.grid[b->slab] - row);
    char *scratch = d->scratch + (size_t)worker * d->scratch_size;
    const void *src = at(d->src, n * d->src_n + group * d->inputs * d->src_c, d->size);
    const void *band = reel_conv_band_fetch(b, d->conv, d->size, src, d->src_c, d->inputs, row, scratch);
    (d->by_channel ? band_by_channel : band_by_pixel)(d, band, n, group, row, rows, scratch + d->sums_at);
}

static int64_t *steps(const reel_exec *exec, int64_t count, int64_t step)
{
    int64_t *table = reel_scratch(exec, (size_t)count * sizeof *table);
    for (int64_t i = 0; table && i < count; i++) table[i] = i * step;
    return table;
}

/* Estimated cycles of both ways for one gather. */
static double channel_cycles(double pixels, double depth, int64_t outputs, int lanes)
{
    double whole = (double)round_up(outputs, lanes);
    return pixels * whole / lanes * (depth + 8) * (outputs <= lanes ? 1.3 : 1.0) + pixels * whole * 0.6;
}

static double pixel_cycles(double pixels, double halo, double depth, int64_t outputs, int lanes)
{
    double rows = (double)outputs, narrow = outputs < 3 ? 1.6 : outputs < 6 ? 1.15 : 1.05;
    return pixels * halo / lanes * rows * (depth + 10) * narrow + pixels * rows * 0.8;
}

typedef struct direct_pass {
    const reel_exec *exec;
    direct d;
    bool filled;
} direct_pass;

static int64_t *kernel_taps(const reel_exec *exec, const reel_conv_gather *gather, const int64_t kernel[3])
{
    int64_t *table = reel_scratch(exec, (size_t)reel_conv_volume(gather->taps) * sizeof *table), *to = table;
    for (int64_t a = 0; table && a < gather->taps[0]; a++)
        for (int64_t b = 0; b < gather->taps[1]; b++)
            for (int64_t t = 0; t < gather->taps[2]; t++)
                *to++ = (gather->tap[0][a] * kernel[1] + gather->tap[1][b]) * kernel[2] + gather->tap[2][t];
    return table;
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    direct_pass *pass = arg;
    direct *d = &pass->d;
    int64_t taps = reel_conv_volume(gather->taps), volume = reel_conv_volume(gather->grid);
    if (taps == 0) return true;
    d->gather = *gather;
    d->depth = d->inputs * taps;
    double work = (double)volume * (double)d->depth * (double)d->outputs;
    d->bands = reel_conv_band_cut(gather, d->src_size, d->inputs, d->n * d->groups, d->size, work, false);
    double halo = (double)d->bands.extent[2] / (double)gather->grid[2];
    double share = share_of_taps(d);
    d->by_row = share < 1 && better_by_row(d, share);
    if (d->by_row) halo = (double)round_up(gather->grid[2], d->lanes) / (double)gather->grid[2];
    d->by_channel = gather->step[2] != 1 ||
                    channel_cycles(1, (double)d->depth, d->outputs, d->lanes) <
                        pixel_cycles(1, halo, (double)d->depth * (d->by_row ? share : 1), d->outputs, d->lanes);
    d->by_row = d->by_row && !d->by_channel;
    if (!d->by_channel) /* vectors read past the last pixel */
        d->bands = reel_conv_band_cut(gather, d->src_size, d->inputs, d->n * d->groups, d->size, work, true);
    bool whole = true; /* results fill the planes they go to */
    for (int i = 0; i < 3; i++) {
        d->places.grid[i] = gather->grid[i];
        d->places.step[i] = gather->place_step[i];
        d->places.first[i] = gather->first[i];
        whole &= gather->place_step[i] == 1;
    }
    int64_t size[3] = { d->places.size[0], d->places.size[1], d->places.size[2] };
    if (whole && d->by_channel) {
        d->places.grid[0] = d->places.grid[1] = d->places.size[0] = d->places.size[1] = 1;
        d->places.grid[2] = d->places.size[2] = volume;
    }
    int64_t band = d->bands.copied ? d->inputs * d->bands.channel + d->panel : 0;
    int64_t sums = d->by_channel ? PIXELS * d->panel : d->outputs * round_up(line_columns(d), d->panel);
    d->sums_at = (size_t)round_up(band, 16) * d->size;
    d->scratch_size = d->sums_at + (size_t)round_up(sums, 16) * d->size;
    d->scratch = reel_scratch(pass->exec, reel_bytes(d->scratch_size, (size_t)pass->exec->threads));
    int64_t padded = round_up(d->outputs, d->lanes);
    bool ready = false, one = true; /* gather: a stride's taps are several */
    for (int i = 0; i < 3; i++) one &= !d->crossed || gather->place_step[i] == 1;
    size_t bytes = reel_bytes((size_t)(d->groups * padded), (size_t)d->depth * d->size);
    int tag = (d->by_channel ? 32 : d->by_row ? 33 : 34) + (d->crossed ? 4 : 0);
    d->packed = one ? reel_conv_filters(pass->exec, d->epilogue, REEL_CONV_TAG(tag, d->groups), NULL, bytes, &ready)
                    : reel_scratch(pass->exec, bytes);
    if (!d->scratch || !d->packed || !(d->kernel_taps = kernel_taps(pass->exec, gather, d->kernel)) ||
        !(d->taps = reel_conv_band_taps(pass->exec, &d->bands, gather, d->inputs)) ||
        !(d->pixels = reel_conv_band_points(pass->exec, &d->bands, gather)) || (d->by_row && !turn_taps(pass->exec, d)))
        return false;
    if (!ready) reel_parallel(pass->exec, d->groups * padded / d->lanes, pack_chunk, d);
    reel_parallel(pass->exec, d->n * d->groups * d->bands.count, band_chunk, d);
    for (int i = 0; i < 3; i++) d->places.size[i] = size[i];
    return true;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    if (call->pass == REEL_CONV_WEIGHT_GRAD) return reel_conv_direct_weight_grad(exec, call);
    const reel_conv_geom *g = call->g;
    bool fwd = call->pass == REEL_CONV_FORWARD;
    const int64_t *from = fwd ? g->in : g->out, *to = fwd ? g->out : g->in;
    direct_pass pass = { .exec = exec };
    direct *d = &pass.d;
    d->gemm = reel_gemm_of(exec->isa, g->dtype);
    d->conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    d->size = reel_dtype_size(g->dtype);
    d->lanes = d->gemm->lanes;
    d->panel = d->lanes * d->gemm->max_vectors;
    d->n = g->n;
    d->groups = g->groups;
    d->inputs = (fwd ? g->c : g->k) / g->groups;
    d->outputs = (fwd ? g->k : g->c) / g->groups;
    d->src = call->a;
    d->weight = call->b;
    d->crossed = !fwd;
    d->epilogue = call->epilogue;
    d->src_c = reel_conv_volume(from);
    d->src_n = d->src_c * d->inputs * g->groups;
    d->places.dst = call->result;
    d->places.dst_c = reel_conv_volume(to);
    d->places.dst_n = d->places.dst_c * d->outputs * g->groups;
    for (int i = 0; i < 3; i++) {
        d->src_size[i] = from[i];
        d->places.size[i] = to[i];
        d->kernel[i] = g->kernel[i];
    }
    d->unit = steps(exec, DEPTH, 1);
    if (!d->unit) return false;
    for (int v = 0; v < d->gemm->max_vectors; v++)
        if (!(d->panel_rows[v] = steps(exec, DEPTH, (v + 1) * d->lanes))) return false;
    if (!fwd) reel_conv_fill_unreached(g, call->epilogue, call->result);
    return reel_conv_gathers(exec, g, call->pass, run_gather, &pass);
}

/* Copies with their padding must not dwarf the images, nor residues be many. */
static bool supports(const reel_conv_geom *g, reel_conv_pass kind)
{
    double padded = 1, residues = 1;
    const int64_t *from = kind == REEL_CONV_INPUT_GRAD ? g->out : g->in;
    for (int i = 0; i < 3; i++) {
        double reach = (double)g->dilation[i] * (double)(g->kernel[i] - 1) + 1;
        if (kind == REEL_CONV_INPUT_GRAD) {
            residues *= (double)smaller(g->stride[i], g->in[i]);
            padded *= (double)g->in[i] / (double)g->stride[i] + reach / (double)g->stride[i] + 1;
        } else {
            padded *= (double)(g->out[i] - 1) * (double)g->stride[i] + reach;
        }
    }
    return residues <= 64 && padded <= 16 * (double)reel_conv_volume(from) + 65536;
}

/* By channel: products, results moved, images copied (an input gradient's once for each residue, whose results go to
 * places apart and whose weights are packed again). */
static double cost(const reel_conv_geom *g, reel_conv_pass kind)
{
    bool fwd = kind != REEL_CONV_INPUT_GRAD;
    int64_t inputs = (fwd ? g->c : g->k) / g->groups, outputs = (fwd ? g->k : g->c) / g->groups;
    double taps = (double)reel_conv_volume(g->kernel), residues = 1;
    for (int i = 0; i < 3; i++) residues *= fwd ? 1 : (double)smaller(g->stride[i], g->in[i]);
    double depth = (double)inputs * taps / residues, weights = (double)(g->groups * inputs * outputs) * taps;
    double pixels = (double)g->n * (double)g->groups * (double)reel_conv_volume(fwd ? g->out : g->in);
    double copies =
        (double)g->n * (double)(fwd ? g->c : g->k) * (double)reel_conv_volume(fwd ? g->in : g->out) * residues;
    int64_t lanes = reel_conv_lanes(g);
    double width = reel_conv_width(g), vectors = pixels * width * (double)blocks(outputs, lanes);
    if (kind == REEL_CONV_WEIGHT_GRAD)
        return 3000 + vectors * (0.136 * depth + 1.4) + pixels * depth * 0.076 + copies * 0.3 +
               weights * 0.38 * (double)smaller(g->n, 8);
    double narrow = outputs <= lanes ? 1.45 : 1, of_channel = vectors * (0.14 * narrow * depth + 1);
    if (residues > 1)
        of_channel = vectors * (0.2 * narrow * depth + 1) + pixels * (double)outputs * 0.6 + weights * 1.2;
    double least = of_channel + copies * 0.28;
    if (!fwd || g->stride[2] == 1) {
        double halo = 1 + (double)(g->kernel[2] - 1) * (double)g->dilation[2] / (double)(fwd ? g->out : g->in)[2];
        double of_pixel = pixels * width * halo / (double)lanes * (double)reel_gemm_rows_cost(outputs) *
                              ((residues > 1 ? 0.16 : 0.14) * depth + 1) +
                          pixels * (double)outputs * 0.5 + copies * 0.6;
        least = of_pixel < least ? of_pixel : least;
    }
    return 3000 * residues + least;
}

const reel_conv_impl reel_conv_direct = { .name = "direct",
                                          .supports = supports,
                                          .cost = cost,
                                          .run = run };
