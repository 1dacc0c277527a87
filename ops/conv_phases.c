// SPDX-License-Identifier: MIT
// Direct convolution: input gradients of strides along rows, all residues of a row at once (polyphase; Vaidyanathan,
// Multirate Systems and Filter Banks, 1993, sec. 4.3).
//
// Result x = s j + p - base of phase p < s takes the taps t that s divides x + pad - t by, at the cotangents
// j + (x + pad - t) / s. Those are a run of shifts that the phases have in common but for its ends. So a vector of
// neighbouring cotangents is loaded once for the s * outputs rows of sums of all phases, which fill register tiles
// where an image has three channels; shifts that only some of the phases have go to their rows alone. At the end the
// phases of a row are woven together.
#include <reel/ops/conv_bands.h>
#include <reel/ops/conv_phases.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/sizes.h>

enum { DEPTH = 256, SUMS = 8192 };

/* Sums over the taps of a run, for its rows (phase, output). */
typedef struct part {
    int64_t row, rows, taps, depth, weights; /* inputs * taps; elements before its weights among a group's */
    int64_t *kernel_taps;                    /* [phase][tap]: index in the kernel */
    int64_t *b_off;                          /* [input][tap]: in a band           */
} part;

/* Results of one residue of the strides along the axes before rows. */
typedef struct residue {
    int64_t grid[2], first[2];
    part part[REEL_PHASE_RUNS];
} residue;

typedef struct phases {
    const reel_exec *exec;
    const reel_conv_geom *g;
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    const reel_conv_epilogue *epilogue;
    size_t size;
    int64_t panel, inputs, outputs, stride, columns, ld;
    const void *gy, *weight;
    void *gx;
    reel_axis_phases axis;
    int64_t grid[3]; /* points of a phase, of the residues that have the most */
    reel_conv_bands bands;
    bool joined;                /* rows of a band form one line */
    int64_t residues, of_group; /* weights */
    residue *residue;
    const int64_t *unit;
    void *packed;  /* [group][residue][part][row][depth] */
    char *scratch; /* of each worker: band, sums */
    size_t scratch_size, sums_at;
} phases;

/* The greatest n with s n <= a. */
static int64_t divide_down(int64_t a, int64_t s) { return a >= 0 ? a / s : -blocks(-a, s); }

/* The shifts (x + pad - t) / s of the taps 0 <= t < kernel of an axis that a residue r has, x = r - base, are the whole
 * numbers from (r - base + pad - kernel + 1) / s to (r - base + pad) / s. Both ends grow with r, by one at most. */
bool reel_cut_phases(const reel_conv_geom *g, int i, int64_t base, reel_axis_phases *axis)
{
    int64_t s = g->stride[i], from = g->pad[i] - base, high = divide_down(from, s);
    int64_t low = 1 - divide_down(g->kernel[i] - from, s);
    int64_t first = s * (low - 1) - from + g->kernel[i],
            last = s * (high + 1) - from; /* [0, first) and [last, s) have more */
    *axis = (reel_axis_phases) { .base = base,
                                 .grid = blocks(g->in[i] + base, s),
                                 .low = low - (first > 0),
                                 .high = high + (last < s),
                                 .runs = 1,
                                 .run = { { 0, s, low, high } } };
    if (first > 0) axis->run[axis->runs++] = (reel_shift_run) { 0, first, low - 1, low - 1 };
    if (last < s) axis->run[axis->runs++] = (reel_shift_run) { last, s, high + 1, high + 1 };
    return low <= high;
}

/* Points of a row in a line of several, with what its taps see beside it. */
static int64_t line_of(const reel_axis_phases *axis) { return axis->grid + axis->high - axis->low; }

/* Vectors of sums of a row, which lies alone or is one of a line. */
static double vectors_of(const reel_axis_phases *axis, int lanes)
{
    double alone = (double)blocks(axis->grid, lanes), in_line = (double)line_of(axis) / lanes;
    return in_line < alone ? in_line : alone;
}

double reel_phases_cycles(const reel_axis_phases *axis, int64_t outputs, int lanes)
{
    int64_t products = 0;
    for (int i = 0; i < axis->runs; i++) {
        const reel_shift_run *r = &axis->run[i];
        products += (r->high - r->low + 1) * reel_gemm_rows_cost((r->to - r->from) * outputs);
    }
    return (double)products * vectors_of(axis, lanes);
}

reel_axis_phases reel_best_phases(const reel_conv_geom *g, int64_t outputs, int lanes)
{
    reel_axis_phases best = { 0 }, axis;
    double least = 0;
    for (int64_t base = 0; base < g->stride[2]; base++) {
        if (!reel_cut_phases(g, 2, base, &axis)) continue;
        double cycles = reel_phases_cycles(&axis, outputs, lanes);
        if (best.runs == 0 || cycles < least) {
            best = axis;
            least = cycles;
        }
    }
    return best;
}

/* The tables of one residue. */
static bool add_residue(void *arg, const reel_conv_gather *gather)
{
    phases *p = arg;
    const reel_conv_geom *g = p->g;
    const reel_conv_bands *bands = &p->bands;
    if (gather->taps[0] == 0 || gather->taps[1] == 0) return true;
    residue *r = &p->residue[p->residues++];
    for (int i = 0; i < 2; i++) {
        r->grid[i] = gather->grid[i];
        r->first[i] = gather->first[i];
    }
    int64_t planes = gather->taps[0] * gather->taps[1];
    for (int i = 0; i < p->axis.runs; i++) {
        const reel_shift_run *run = &p->axis.run[i];
        part *q = &r->part[i];
        q->row = run->from * p->outputs;
        q->rows = (run->to - run->from) * p->outputs;
        q->taps = planes * (run->high - run->low + 1);
        q->depth = p->inputs * q->taps;
        q->weights = p->of_group;
        p->of_group += q->rows * q->depth;
        q->kernel_taps = reel_scratch(p->exec, (size_t)(q->taps * (run->to - run->from)) * sizeof *q->kernel_taps);
        q->b_off = reel_scratch(p->exec, (size_t)q->depth * sizeof *q->b_off);
        if (!q->kernel_taps || !q->b_off) return false;
        int64_t *tap = q->kernel_taps, *off = q->b_off;
        for (int64_t phase = run->from; phase < run->to; phase++)
            for (int64_t ab = 0; ab < planes; ab++)
                for (int64_t shift = run->low; shift <= run->high; shift++) {
                    int64_t plane = gather->tap[0][ab / gather->taps[1]], row = gather->tap[1][ab % gather->taps[1]];
                    *tap++ = (plane * g->kernel[1] + row) * g->kernel[2] + phase - p->axis.base + g->pad[2] -
                             shift * p->stride;
                }
        for (int64_t c = 0; c < p->inputs; c++)
            for (int64_t ab = 0; ab < planes; ab++)
                for (int64_t shift = run->low; shift <= run->high; shift++) {
                    int64_t plane = gather->off[0][ab / gather->taps[1]] - bands->lowest[0];
                    int64_t row = plane * bands->extent[1] + gather->off[1][ab % gather->taps[1]] - bands->lowest[1];
                    *off++ = c * bands->channel + row * bands->extent[2] + shift - bands->lowest[2];
                }
    }
    return true;
}

/* The weights of an output of a group, for all residues. */
static void pack_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const phases *p = arg;
    int64_t group = chunk / p->outputs, o = chunk % p->outputs, volume = reel_conv_volume(p->g->kernel);
    const void *from = at(p->weight, (group * p->inputs * p->outputs + o) * volume, p->size);
    for (int64_t i = 0; i < p->residues; i++)
        for (int j = 0; j < p->axis.runs; j++) {
            const part *q = &p->residue[i].part[j];
            for (int64_t row = 0; row * p->outputs < q->rows; row++)
                p->conv->pack_weights(
                    p->inputs, q->taps, q->kernel_taps + row * q->taps, from, p->outputs * volume, 1, 1, 1,
                    at(p->packed, group * p->of_group + q->weights + (row * p->outputs + o) * q->depth, p->size), 1);
        }
}

/* `width` columns from b on, of all phases and outputs. */
static void multiply(const phases *p, const residue *r, int64_t group, const void *b, int64_t width, void *sums)
{
    int64_t vectors = blocks(width, p->gemm->lanes), most = p->gemm->max_vectors;
    for (int i = 0; i < p->axis.runs; i++) {
        const part *q = &r->part[i];
        reel_gemm gemm = {
            .rows = q->rows, .lda = q->depth, .a_off = p->unit, .ldc = p->ld, .flags = i > 0 ? REEL_GEMM_ADD : 0
        };
        for (int64_t d = 0; d < q->depth; d += DEPTH, gemm.flags = REEL_GEMM_ADD) {
            gemm.depth = smaller(q->depth - d, DEPTH);
            gemm.a = at(p->packed, group * p->of_group + q->weights + d, p->size);
            gemm.b_off = q->b_off + d;
            for (int64_t v = 0, here; v < vectors; v += here) { /* whole panels, then what is left */
                here = vectors - v >= most ? (vectors - v) / most * most : vectors - v;
                gemm.before = (int)(larger(here / most, 1) - 1);
                gemm.vectors = (int)(here - gemm.before * most);
                gemm.cols = gemm.vectors * p->gemm->lanes;
                gemm.b = at(b, v * p->gemm->lanes, p->size);
                gemm.c = at(sums, q->row * p->ld + v * p->gemm->lanes, p->size);
                p->gemm->multiply(&gemm);
            }
        }
    }
}

/* Points [x, x + count) of all phases of the row of results (z, y) of an image and a group. */
static void weave_row(const phases *p, int64_t n, int64_t group, int64_t z, int64_t y, int64_t x, int64_t count,
                      const void *sums)
{
    const reel_conv_geom *g = p->g;
    int64_t plane = reel_conv_volume(g->in), skip = larger(0, p->axis.base - x * p->stride),
            end = smaller(count * p->stride, g->in[2] + p->axis.base - x * p->stride);
    int64_t to =
        (n * g->c + group * p->outputs) * plane + (z * g->in[1] + y) * g->in[2] + x * p->stride - p->axis.base + skip;
    for (int64_t o = 0; o < p->outputs; o++) {
        const void *bias = p->epilogue->bias ? at(p->epilogue->bias, group * p->outputs + o, p->size) : NULL;
        p->conv->weave(p->stride, at(sums, o * p->ld, p->size), p->outputs * p->ld, skip, end, bias, p->epilogue->relu,
                       at(p->gx, to + o * plane, p->size));
    }
}

/* A line of one residue: `rows` rows of `width` points that lie next to each other in the band. */
static void line(const phases *p, const residue *r, int64_t n, int64_t group, const void *band, const int64_t point[3],
                 int64_t rows, int64_t width, void *sums)
{
    const reel_conv_geom *g = p->g;
    int64_t extent = p->bands.extent[2], length = (rows - 1) * extent + width;
    for (int64_t q = 0; q < length; q += p->columns) {
        int64_t end = smaller(length, q + p->columns);
        multiply(p, r, group, at(band, q, p->size), end - q, sums);
        for (int64_t x = q; x < end;) {
            int64_t in_row = x % extent, most = smaller(end - x, extent - in_row), good = smaller(most, width - in_row);
            int64_t z = point[0] * g->stride[0] + r->first[0], y = (point[1] + x / extent) * g->stride[1] + r->first[1];
            if (good > 0) weave_row(p, n, group, z, y, point[2] + in_row, good, at(sums, x - q, p->size));
            x += most;
        }
    }
}

static void band_chunk(void *arg, int64_t chunk, int worker)
{
    const phases *p = arg;
    const reel_conv_geom *g = p->g;
    const reel_conv_bands *b = &p->bands;
    int64_t from = chunk % b->count * b->rows, group = chunk / b->count % g->groups, n = chunk / b->count / g->groups;
    int64_t out = reel_conv_volume(g->out), first[3] = { 0, 0, 0 }, end[3] = { p->grid[0], p->grid[1], p->grid[2] };
    char *scratch = p->scratch + (size_t)worker * p->scratch_size;
    const void *gy = at(p->gy, (n * g->k + group * p->inputs) * out, p->size);
    const void *band = reel_conv_band_fetch(b, p->conv, p->size, gy, out, p->inputs, from, scratch);
    first[b->slab] = from;
    end[b->slab] = smaller(end[b->slab], from + b->rows);
    for (int64_t z = first[0]; z < end[0]; z++)
        for (int64_t y = first[1]; y < end[1]; y += p->joined ? end[1] : 1)
            for (int64_t i = 0; i < p->residues; i++) {
                const residue *r = &p->residue[i];
                int64_t rows = smaller(end[1], r->grid[1]) - y;
                if (z >= r->grid[0] || rows <= 0) continue;
                const void *at_line = at(band, ((z - first[0]) * b->extent[1] + y - first[1]) * b->extent[2], p->size);
                line(p, r, n, group, at_line, (int64_t[]) { z, y, first[2] }, p->joined ? rows : 1, end[2] - first[2],
                     scratch + p->sums_at);
            }
}

/* Columns whose sums are kept: whole rows if they fit. */
static int64_t columns_of(const phases *p)
{
    int64_t row = p->joined ? p->bands.extent[2] : p->axis.grid, most = SUMS / (p->stride * p->outputs);
    return most >= row ? most / row * row : larger(most / p->panel, 1) * p->panel;
}

/* Bands that hold what all residues see, and the workers' scratch; the number of residues there may be. */
static int64_t cut_bands(phases *p)
{
    const reel_conv_geom *g = p->g;
    int64_t ends[3][2], residues = 1; /* of all shifts */
    reel_conv_gather all = { .grid = { 0 } };
    for (int i = 0; i < 3; i++) {
        int64_t from = g->pad[i] - (i == 2 ? p->axis.base : 0), reach = g->dilation[i] * (g->kernel[i] - 1);
        ends[i][0] = -divide_down(reach - from, g->stride[i]);
        ends[i][1] = divide_down(g->stride[i] - 1 + from, g->stride[i]);
        all.off[i] = ends[i];
        all.taps[i] = 2;
        all.step[i] = 1;
        all.grid[i] = p->grid[i] = i == 2 ? p->axis.grid : blocks(g->in[i], g->stride[i]);
        if (i < 2) residues *= smaller(g->stride[i], g->in[i]);
    }
    int64_t images = g->n * g->groups;
    p->bands =
        reel_conv_band_cut(&all, g->out, p->inputs, images, p->size, reel_conv_flops(g) / 2 / (double)images, true);
    p->joined = line_of(&p->axis) < round_up(p->axis.grid, p->gemm->lanes);
    p->columns = columns_of(p);
    p->ld = round_up(p->columns, p->panel);
    p->sums_at = (size_t)round_up(p->inputs * p->bands.channel + p->panel, 16) * p->size;
    p->scratch_size = p->sums_at + (size_t)round_up(p->stride * p->outputs * p->ld, 16) * p->size;
    p->scratch = reel_scratch(p->exec, reel_bytes(p->scratch_size, (size_t)p->exec->threads));
    return residues;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    const reel_conv_geom *g = call->g;
    phases p = { .exec = exec,
                 .g = g,
                 .gemm = reel_gemm_of(exec->isa, g->dtype),
                 .conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype),
                 .epilogue = call->epilogue,
                 .size = reel_dtype_size(g->dtype),
                 .inputs = g->k / g->groups,
                 .outputs = g->c / g->groups,
                 .stride = g->stride[2],
                 .gy = call->a,
                 .weight = call->b,
                 .gx = call->result };
    p.panel = p.gemm->lanes * p.gemm->max_vectors;
    p.axis = reel_best_phases(g, p.outputs, p.gemm->lanes);
    p.residue = reel_scratch(exec, (size_t)cut_bands(&p) * sizeof *p.residue);
    int64_t *unit = reel_scratch(exec, DEPTH * sizeof *unit);
    if (!p.residue || !p.scratch || !unit) return false;
    for (int64_t i = 0; i < DEPTH; i++) unit[i] = i;
    p.unit = unit;
    reel_conv_geom rows = *g; /* the axes before rows alone */
    rows.in[2] = rows.out[2] = rows.kernel[2] = rows.stride[2] = 1;
    rows.pad[2] = 0;
    if (!reel_conv_gathers(exec, &rows, REEL_CONV_INPUT_GRAD, add_residue, &p)) return false;
    p.packed = reel_scratch(exec, reel_bytes((size_t)(g->groups * p.of_group), p.size));
    if (!p.packed) return false;
    reel_conv_fill_unreached(g, call->epilogue, call->result);
    reel_parallel(exec, g->groups * p.outputs, pack_chunk, &p);
    reel_parallel(exec, g->n * g->groups * p.bands.count, band_chunk, &p);
    return true;
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    return pass == REEL_CONV_INPUT_GRAD && g->stride[2] > 1 && g->stride[2] <= 64 && g->dilation[2] == 1 &&
           g->kernel[2] >= g->stride[2] && reel_conv_direct.supports(g, pass);
}

/* Sums, of many rows slower since their weights leave the cache; results woven, by vectors for a stride of 2; calls of
 * the tiles; cotangents copied. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)pass;
    int lanes = (int)reel_conv_lanes(g);
    int64_t outputs = g->c / g->groups;
    reel_axis_phases axis = reel_best_phases(g, outputs, lanes);
    double rows = (double)(blocks(g->in[0], g->stride[0]) * blocks(g->in[1], g->stride[1]) * g->groups);
    double taps = (double)(g->k / g->groups) * (double)(g->kernel[0] * g->kernel[1]);
    double sums =
        rows * taps * reel_phases_cycles(&axis, outputs, lanes) * reel_conv_width(g) * (0.153 + (double)outputs / 1440);
    double lines = (double)(g->c * g->in[0] * g->in[1]), results = lines * (double)g->in[2],
           copies = (double)g->k * (double)reel_conv_volume(g->out);
    double calls = rows * (double)(g->stride[0] * g->stride[1] * axis.runs * blocks(axis.grid, 2 * lanes));
    return 3000 +
           (double)g->n * (sums + results * (g->stride[2] > 2 ? 0.7 : 0.05) + 17 * lines + 10 * calls + 0.1 * copies);
}

const reel_conv_impl reel_conv_phases = { .name = "direct", .supports = supports, .cost = cost, .run = run };
