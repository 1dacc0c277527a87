// SPDX-License-Identifier: MIT
// Direct convolution where every group has one input channel: planes times kernels, by vectors of pixels.
//
// An image plane is copied with its padding, its rows parted by residues of the stride, so that every tap of a row of
// results reads neighbours.
#include <reel/ops/conv_bands.h>
#include <reel/ops/kernels/depthwise.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { MOST_GROUPS = 16 }; /* whose kernels are summed side by side */

typedef struct planes {
    const reel_exec *exec;
    const reel_conv_geom *g;
    reel_conv_pass kind;
    const reel_depthwise_kernels_of *kernels;
    const reel_conv_kernels_of *conv;
    size_t size;
    const void *src, *weight, *cotangent; /* of weight_grad: image and cotangent */
    void *dst;
    const reel_conv_epilogue *epilogue;
    reel_conv_gather gather;
    int64_t inputs, outputs, depth; /* planes of a group that go into a result, and that come out of it */
    int64_t extent[3], lowest[3];   /* of the padded image */
    int64_t part, row;              /* a parted row: elements of a part and of all */
    const int64_t *off;             /* [inputs][taps] in the parted image */
    bool square, same;              /* as in reel_depthwise; same: images are read where they lie */
    int64_t units, units_per_chunk;
    char *scratch; /* of each worker: padded, parted, results or sums, weights */
    size_t scratch_size, parted_at, result_at, weight_at;
} planes;

/* The padded, parted images of one group. */
static const void *fetch(const planes *p, int64_t n, int64_t group, char *scratch)
{
    const reel_conv_geom *g = p->g;
    const int64_t *size = p->kind == REEL_CONV_INPUT_GRAD ? g->out : g->in;
    int64_t channels = p->kind == REEL_CONV_INPUT_GRAD ? g->k : g->c, volume = reel_conv_volume(size);
    reel_conv_band band = { .src = at(p->src, (n * channels + group * p->inputs) * volume, p->size),
                            .src_c = volume,
                            .channels = p->inputs,
                            .to = scratch,
                            .to_c = reel_conv_volume(p->extent) };
    if (p->same) return band.src;
    for (int i = 0; i < 3; i++) {
        band.size[i] = size[i];
        band.from[i] = p->lowest[i];
        band.extent[i] = p->extent[i];
    }
    p->conv->pad(&band);
    if (p->gather.step[2] == 1) return scratch;
    void *parted = scratch + p->parted_at;
    p->kernels->part_rows(p->inputs * p->extent[0] * p->extent[1], p->extent[2], p->gather.step[2], p->part, scratch,
                          parted);
    return parted;
}

/* The kernel of output o: of all inputs, in the order of the gather's taps. */
static void fetch_kernel(const planes *p, int64_t group, int64_t o, void *to)
{
    const reel_conv_geom *g = p->g;
    int64_t volume = reel_conv_volume(g->kernel), i = 0;
    for (int64_t c = 0; c < p->inputs; c++) {
        int64_t kernel = (p->kind == REEL_CONV_INPUT_GRAD ? group * p->inputs + c : group * p->outputs + o) * volume;
        for (int64_t a = 0; a < p->gather.taps[0]; a++)
            for (int64_t b = 0; b < p->gather.taps[1]; b++)
                for (int64_t t = 0; t < p->gather.taps[2]; t++, i++) {
                    int64_t tap =
                        (p->gather.tap[0][a] * g->kernel[1] + p->gather.tap[1][b]) * g->kernel[2] + p->gather.tap[2][t];
                    memcpy(at(to, i, p->size), at(p->weight, kernel + tap, p->size), p->size);
                }
    }
}

static reel_depthwise slice(const planes *p, const void *image, int64_t m0)
{
    const int64_t *step = p->gather.step, *grid = p->gather.grid;
    return (reel_depthwise) { .image = at(image, m0 * step[0] * p->extent[1] * p->row, p->size),
                              .row_step = step[1] * p->row,
                              .rows = grid[1],
                              .cols = grid[2],
                              .taps = p->depth,
                              .off = p->off,
                              .square = p->square,
                              .same = p->same };
}

/* The results of one image's group. */
static void result_unit(const planes *p, int64_t unit, char *scratch)
{
    const reel_conv_geom *g = p->g;
    const reel_conv_gather *gather = &p->gather;
    const int64_t *size = p->kind == REEL_CONV_FORWARD ? g->out : g->in;
    int64_t n = unit / g->groups, group = unit % g->groups, volume = reel_conv_volume(size);
    bool strided = gather->place_step[0] * gather->place_step[1] * gather->place_step[2] != 1;
    const void *image = fetch(p, n, group, scratch);
    void *kernel = scratch + p->weight_at, *rows = scratch + p->result_at;
    for (int64_t o = 0; o < p->outputs; o++) {
        int64_t channel = group * p->outputs + o, plane = (n * g->groups * p->outputs + channel) * volume;
        fetch_kernel(p, group, o, kernel);
        const void *bias = p->epilogue->bias ? at(p->epilogue->bias, channel, p->size) : NULL;
        for (int64_t m0 = 0; m0 < gather->grid[0]; m0++) {
            reel_depthwise d = slice(p, image, m0);
            d.weight = kernel;
            d.pitch = gather->grid[2];
            if (!strided) {
                d.plane = at(p->dst, plane + m0 * size[1] * size[2], p->size);
                d.relu = p->epilogue->relu;
                if (bias) d.bias = g->dtype == REEL_F32 ? *(const float *)bias : *(const double *)bias;
                p->kernels->forward(&d);
                continue;
            }
            d.plane = rows;
            p->kernels->forward(&d);
            reel_conv_places places = { .dst = at(p->dst, plane, p->size) };
            for (int i = 0; i < 3; i++) {
                places.size[i] = size[i];
                places.grid[i] = gather->grid[i];
                places.step[i] = gather->place_step[i];
                places.first[i] = gather->first[i];
            }
            int64_t count = gather->grid[1] * gather->grid[2];
            for (int64_t q = 0; q < count; q += REEL_CONV_PANEL)
                p->conv->unpack(&places, m0 * count + q, (int)smaller(count - q, REEL_CONV_PANEL), 1,
                                at(rows, q, p->size), count, bias, p->epilogue->relu);
        }
    }
}

static void result_chunk(void *arg, int64_t chunk, int worker)
{
    const planes *p = arg;
    int64_t end = smaller(p->units, (chunk + 1) * p->units_per_chunk);
    for (int64_t unit = chunk * p->units_per_chunk; unit < end; unit++)
        result_unit(p, unit, p->scratch + (size_t)worker * p->scratch_size);
}

/* The kernels of some neighbouring groups, summed over all images in their order. */
static void weight_chunk(void *arg, int64_t chunk, int worker)
{
    const planes *p = arg;
    const reel_conv_geom *g = p->g;
    char *scratch = p->scratch + (size_t)worker * p->scratch_size, *sums = scratch + p->result_at;
    int64_t volume = reel_conv_volume(g->out), lanes = p->kernels->lanes;
    int64_t begin = chunk * p->units_per_chunk, groups = smaller(p->units - begin, p->units_per_chunk);
    memset(sums, 0, (size_t)(groups * p->outputs * p->depth * lanes) * p->size);
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t group = 0; group < groups; group++) {
            const void *image = fetch(p, n, begin + group, scratch);
            for (int64_t o = group * p->outputs; o < (group + 1) * p->outputs; o++)
                for (int64_t m0 = 0; m0 < g->out[0]; m0++) {
                    reel_depthwise d = slice(p, image, m0);
                    int64_t row = (n * g->k + begin * p->outputs + o) * volume + m0 * g->out[1] * g->out[2];
                    d.plane = at(p->cotangent, row, p->size);
                    d.pitch = g->out[2];
                    d.sums = at(sums, o * p->depth * lanes, p->size);
                    p->kernels->weight(&d);
                }
        }
    p->conv->add_lanes(groups * p->outputs * p->depth, 1, 0, sums, at(p->dst, begin * p->outputs * p->depth, p->size));
}

/* The padded image of a gather, and the taps' places in it. */
static bool lay_out(planes *p)
{
    const reel_conv_gather *gather = &p->gather;
    for (int i = 0; i < 3; i++) {
        int64_t low = gather->off[i][0], high = low;
        for (int64_t t = 1; t < gather->taps[i]; t++) {
            if (gather->off[i][t] < low) low = gather->off[i][t];
            if (gather->off[i][t] > high) high = gather->off[i][t];
        }
        p->lowest[i] = low;
        p->extent[i] = (gather->grid[i] - 1) * gather->step[i] + high - low + 1;
    }
    int64_t step = gather->step[2];
    p->part = blocks(p->extent[2], step);
    p->row = step == 1 ? p->extent[2] : step * p->part;
    int64_t *off = reel_scratch(p->exec, reel_bytes((size_t)p->depth, sizeof *off));
    if (!(p->off = off)) return false;
    for (int64_t c = 0; c < p->inputs; c++)
        for (int64_t a = 0; a < gather->taps[0]; a++)
            for (int64_t b = 0; b < gather->taps[1]; b++)
                for (int64_t t = 0; t < gather->taps[2]; t++) {
                    int64_t z = c * p->extent[0] + gather->off[0][a] - p->lowest[0],
                            x = gather->off[2][t] - p->lowest[2];
                    *off++ =
                        (z * p->extent[1] + gather->off[1][b] - p->lowest[1]) * p->row + x % step * p->part + x / step;
                }
    p->square = p->depth == 9 && step == 1 && gather->step[1] == 1;
    for (int t = 0; t < 9 && p->square; t++) p->square = p->off[t] == t / 3 * p->row + t % 3;
    p->same = p->square && gather->taps[0] == 1 && p->lowest[0] == 0 && p->g->in[2] >= p->kernels->lanes;
    for (int i = 0; i < 3; i++)
        p->same = p->same && p->g->in[i] == p->g->out[i] && p->g->stride[i] == 1 && p->lowest[i] == -(i > 0);
    if (p->same) {
        memcpy(p->extent, p->g->in, sizeof p->extent);
        p->row = p->extent[2];
    }
    return true;
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    planes *p = arg;
    int64_t taps = reel_conv_volume(gather->taps);
    if (taps == 0) return true;
    p->gather = *gather;
    p->depth = p->inputs * taps;
    if (!lay_out(p)) return false;
    bool weights = p->kind == REEL_CONV_WEIGHT_GRAD;
    double work = (double)reel_conv_volume(gather->grid) * (double)p->depth * (double)p->outputs *
                  (weights ? (double)p->g->n : 1);
    p->units = weights ? p->g->groups : p->g->n * p->g->groups;
    p->units_per_chunk = work > 2e5 ? 1 : (int64_t)(2e5 / work) + 1;
    if (weights && p->units_per_chunk < MOST_GROUPS) p->units_per_chunk = smaller(blocks(p->units, 8), MOST_GROUPS);
    int64_t slack = p->kernels->lanes * 4, rows = p->inputs * p->extent[0] * p->extent[1];
    int64_t result =
        weights ? p->units_per_chunk * p->outputs * p->depth * p->kernels->lanes : gather->grid[1] * gather->grid[2];
    p->parted_at = (size_t)(blocks(rows * p->extent[2] + slack, 16) * 16) * p->size;
    p->result_at =
        p->parted_at + (gather->step[2] == 1 ? 0 : (size_t)(blocks(rows * p->row + slack, 16) * 16) * p->size);
    p->weight_at = p->result_at + (size_t)(blocks(result + slack, 16) * 16) * p->size;
    p->scratch_size = p->weight_at + (size_t)(blocks(p->depth, 16) * 16) * p->size;
    p->scratch = reel_scratch(p->exec, reel_bytes(p->scratch_size, (size_t)p->exec->threads));
    if (!p->scratch) return false;
    memset(p->scratch, 0, p->scratch_size * (size_t)p->exec->threads); /* vectors read past the ends of rows */
    reel_parallel(p->exec, blocks(p->units, p->units_per_chunk), weights ? weight_chunk : result_chunk, p);
    return true;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    bool weights = call->pass == REEL_CONV_WEIGHT_GRAD, back = call->pass == REEL_CONV_INPUT_GRAD;
    const reel_depthwise_kernels *kernels = reel_depthwise_kernels_for(reel_large_isa(exec->isa, g->dtype));
    planes p = { .exec = exec,
                 .g = g,
                 .kind = call->pass,
                 .kernels = g->dtype == REEL_F32 ? &kernels->f32 : &kernels->f64,
                 .conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype),
                 .size = reel_dtype_size(g->dtype),
                 .inputs = back ? g->k / g->groups : 1,
                 .outputs = back ? 1 : g->k / g->groups,
                 .src = call->a,
                 .weight = weights ? NULL : call->b,
                 .cotangent = weights ? call->b : NULL,
                 .epilogue = call->epilogue,
                 .dst = call->result };
    if (back) reel_conv_fill_unreached(g, p.epilogue, p.dst);
    if (!reel_conv_gathers(exec, g, weights ? REEL_CONV_FORWARD : call->pass, run_gather, &p)) return false;
    return !weights || reel_conv_all_finite(g->dtype, g->k * reel_conv_volume(g->kernel), call->result) ||
           reel_conv_direct_weight_grad(exec, call);
}

static bool supports(const reel_conv_geom *g, reel_conv_pass kind)
{
    return g->c == g->groups && g->k / g->groups <= 64 && reel_conv_direct.supports(g, kind);
}

static double cost(const reel_conv_geom *g, reel_conv_pass kind)
{
    int64_t volume = reel_conv_volume(kind == REEL_CONV_INPUT_GRAD ? g->in : g->out);
    int64_t row = kind == REEL_CONV_INPUT_GRAD ? g->in[2] : g->out[2];
    double waste = (double)(blocks(row, 16) * 16) / (double)row, taps = (double)reel_conv_volume(g->kernel);
    bool added = kind == REEL_CONV_INPUT_GRAD && g->k > g->groups; /* planes of several outputs */
    double copy = g->stride[2] == 1 ? 0.3 : kind == REEL_CONV_INPUT_GRAD ? 3 : 0.9;
    double copies = (double)g->n * (double)(g->c + g->k) * (double)reel_conv_volume(g->in) * copy;
    double many = kind == REEL_CONV_WEIGHT_GRAD && g->k / g->groups > 4 ? 1.6 /* sums that do not fit registers */
                  : g->kernel[1] == 3 && g->kernel[2] == 3              ? 0.4 /* rows are read once */
                                                                        : 0.5;
    return 2000 + (double)g->n * (double)g->k * (double)volume * (taps / 16 * waste * many + (added ? 0.4 : 0.12)) +
           copies * 0.3;
}

const reel_conv_impl reel_conv_depthwise = { .name = "direct", .supports = supports, .cost = cost, .run = run };
