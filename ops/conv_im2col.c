// SPDX-License-Identifier: MIT
// Convolution as a matrix product over image columns (im2col), which are packed panel by panel as they are used.
//
// Forward and input gradient: result[o, q] = sum over r of weight[o, r] * column[r, q], a panel of q at a time. Weight
// gradient: gw[k, r] = sum over q of column[r, q] * gy[k, q], a block of r at a time. Works for every geometry.
#include <reel/ops/conv_algo.h>
#include <reel/ops/kernels/conv.h>
#include <reel/ops/kernels/gemm.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum {
    DEPTH = 512,
    OUTPUTS = 192,
    ROWS = 96,                 /* blocks of the reduction, of output channels, of weight gradient rows */
    FLIPPED_ROWS = 32,
    FIRST_CACHE = 16 << 10,    /* of columns that every six rows pass over */
    PACKED_BYTES = 256 << 10,  /* of columns that are packed at once */
    SHARED_DEPTH = 64,         /* of columns whose panels images may share, */
    SHARED_GANG = 7            /* and panels of a unit then */
};

/* Tables 0, 1, 2 … and 0, s, 2s … for operands that are packed. */
static int64_t *steps(const reel_exec *exec, int64_t count, int64_t step)
{
    int64_t *table = reel_scratch(exec, (size_t)count * sizeof *table);
    for (int64_t i = 0; table && i < count; i++) table[i] = i * step;
    return table;
}

/* One gather: result[g, o, q] = act(weight[g][o, r] * column[g][r, q] + bias[g, o]). */
typedef struct product {
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    size_t size; /* of an element */
    reel_conv_columns columns;
    reel_conv_places places;
    const void *weight; /* [groups][outputs][depth] */
    int64_t groups, outputs, depth;
    int64_t domains, cols; /* columns are cut into panels within each of some domains: images, or all images as one */
    bool straight;         /* results of a domain lie next to each other: register tiles write them */
    int64_t src_group, dst_group; /* elements from one group to the next */
    const reel_conv_epilogue *epilogue;
    int64_t gang; /* panels of a unit: several where they are flat, so that results are written in long rows */
    int64_t ld;   /* straight: elements between rows of packed columns */
    int64_t panels, of_block, output_blocks, units, units_per_chunk; /* gangs are counted in `panels` */
    int panel;
    const int64_t *unit, *panel_rows;
    char *scratch; /* of each worker: a packed panel, then sums */
    size_t scratch_size;
} product;

/* `count` packed columns at b times the weights, to c. */
static void multiply_columns(const product *p, reel_gemm *gemm, int64_t count, void *b, void *c, int64_t ldc)
{
    gemm->b = b;
    gemm->c = c;
    gemm->ldc = ldc;
    gemm->before = (int)(blocks(count, p->panel) - 1);
    gemm->cols = (int)(count - gemm->before * p->panel);
    gemm->vectors = gemm->before > 0 ? p->gemm->max_vectors : (int)blocks(gemm->cols, p->gemm->lanes);
    p->gemm->multiply(gemm);
}

/* A gang's results straight to their places: by six rows over all panels, so that long rows are written, or where columns
 * are long, by panels, each of which then stays in the first cache. A panel that two images share goes by way of sums. */
static void product_straight(const product *p, const reel_conv_columns *columns, const reel_conv_places *places, int64_t q0,
                             int64_t width, reel_gemm gemm, void *scratch)
{
    int64_t size = p->places.grid[2], step = p->panel;
    void *sums = at(scratch, p->depth * p->ld, p->size);
    p->conv->pack(columns, q0, (int)width, 0, p->depth, scratch, p->ld);
    if (p->depth * p->ld * (int64_t)p->size <= FIRST_CACHE) step = p->gang * p->panel;
    for (int64_t q = 0, here; q < width; q += here) {
        int64_t n = (q0 + q) / size, point = (q0 + q) % size, left = smaller(size - point, width - q);
        void *b = at(scratch, q, p->size);
        here = smaller(step, left);
        if (here < width - q) here = here / p->panel * p->panel; /* whole panels, unless they are the last */
        if (here > 0) {
            multiply_columns(p, &gemm, here, b, at(places->dst, n * places->dst_n + point, p->size), places->dst_c);
            continue;
        }
        here = smaller(p->panel, width - q);
        reel_gemm shared = gemm;
        shared.row_bias = NULL;
        shared.flags = 0;
        multiply_columns(p, &shared, here, b, sums, p->panel);
        p->conv->unpack(places, q0 + q, (int)here, gemm.rows, sums, p->panel, gemm.row_bias, p->epilogue->relu);
    }
}

static void product_unit(const product *p, int64_t unit, char *scratch)
{
    int64_t block = unit % p->output_blocks, panel = unit / p->output_blocks % p->panels,
            group = unit / p->output_blocks / p->panels, gang = p->gang * p->panel;
    int64_t of_domain = p->panels / p->domains, domain = panel / of_domain, in_domain = panel % of_domain * gang;
    int64_t q0 = domain * p->cols + in_domain, o0 = block * p->of_block, width = smaller(p->cols - in_domain, gang);
    reel_conv_columns columns = p->columns;
    columns.src = at(columns.src, group * p->src_group, p->size);
    reel_conv_places places = p->places;
    places.dst = at(places.dst, group * p->dst_group + o0 * places.dst_c, p->size);
    const void *bias = p->epilogue->bias ? at(p->epilogue->bias, group * p->outputs + o0, p->size) : NULL;
    reel_gemm gemm = { .rows = smaller(p->outputs - o0, p->of_block),
                       .depth = p->depth,
                       .a = at(p->weight, (group * p->outputs + o0) * p->depth, p->size),
                       .lda = p->depth,
                       .a_off = p->unit,
                       .b_off = p->panel_rows };
    if (p->straight) {
        gemm.row_bias = bias;
        gemm.flags = p->epilogue->relu ? REEL_GEMM_RELU : 0;
        product_straight(p, &columns, &places, q0, width, gemm, scratch);
        return;
    }
    const void *weight = gemm.a;
    gemm.b = scratch;
    gemm.c = at(scratch, DEPTH * p->panel, p->size);
    gemm.ldc = p->panel;
    gemm.vectors = (int)blocks(width, p->gemm->lanes);
    gemm.cols = gemm.vectors * p->gemm->lanes; /* what lies behind `width` is never read */
    for (int64_t r = 0; r < p->depth; r += DEPTH) {
        gemm.depth = smaller(p->depth - r, DEPTH);
        gemm.a = at(weight, r, p->size);
        p->conv->pack(&columns, q0, (int)width, r, r + gemm.depth, scratch, p->panel);
        p->gemm->multiply(&gemm);
        gemm.flags = REEL_GEMM_ADD;
    }
    p->conv->unpack(&places, q0, (int)width, gemm.rows, gemm.c, p->panel, bias, p->epilogue->relu);
}

static void product_chunk(void *arg, int64_t chunk, int worker)
{
    const product *p = arg;
    int64_t end = smaller(p->units, (chunk + 1) * p->units_per_chunk);
    for (int64_t unit = chunk * p->units_per_chunk; unit < end; unit++)
        product_unit(p, unit, p->scratch + (size_t)worker * p->scratch_size);
}

/* What all gathers of one pass have in common. */
typedef struct gather_pass {
    const reel_exec *exec;
    const reel_conv_geom *g;
    reel_conv_pass kind;
    const void *weight;
    void *packed; /* input gradient: the weights of one gather as [groups][c][k, taps] */
    product p;
} gather_pass;

/* packed[group][c][(k, t)] = w[k, c, tap[t]] */
static void pack_flipped(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_pass *s = ((void **)arg)[0];
    const reel_conv_gather *gather = ((void **)arg)[1];
    const reel_conv_geom *g = s->g;
    int64_t c_per = g->c / g->groups, k_per = g->k / g->groups, group = chunk / c_per, c = chunk % c_per;
    int64_t at_packed = chunk * s->p.depth;
    if (reel_conv_volume(g->kernel) == 1) { /* a transpose, some rows at a time */
        int64_t rows = smaller(c_per - c, FLIPPED_ROWS), from = group * k_per * c_per + c;
        if (c % FLIPPED_ROWS == 0)
            s->p.gemm->transpose(k_per, rows, at(s->weight, from, s->p.size), c_per, at(s->packed, at_packed, s->p.size), k_per);
        return;
    }
    for (int64_t k = 0; k < k_per; k++) {
        int64_t from = ((group * k_per + k) * c_per + c) * reel_conv_volume(g->kernel);
        for (int64_t a = 0; a < gather->taps[0]; a++)
            for (int64_t b = 0; b < gather->taps[1]; b++)
                for (int64_t t = 0; t < gather->taps[2]; t++, at_packed++) {
                    int64_t i = from + (gather->tap[0][a] * g->kernel[1] + gather->tap[1][b]) * g->kernel[2] +
                                gather->tap[2][t];
                    memcpy(at(s->packed, at_packed, s->p.size), at(s->weight, i, s->p.size), s->p.size);
                }
    }
}

static bool run_gather(void *arg, const reel_conv_gather *gather)
{
    gather_pass *s = arg;
    product *p = &s->p;
    const reel_conv_geom *g = s->g;
    int64_t taps = reel_conv_volume(gather->taps);
    bool whole = true;
    if (taps == 0) return true;
    for (int i = 0; i < 3; i++) {
        p->columns.grid[i] = p->places.grid[i] = gather->grid[i];
        p->columns.step[i] = gather->step[i];
        p->columns.taps[i] = gather->taps[i];
        p->columns.off[i] = gather->off[i];
        p->places.step[i] = gather->place_step[i];
        p->places.first[i] = gather->first[i];
        whole &= gather->place_step[i] == 1;
    }
    int64_t volume = reel_conv_volume(gather->grid);
    p->depth = (s->kind == REEL_CONV_FORWARD ? g->c : g->k) / g->groups * taps;
    p->straight = volume >= 4 * p->panel && whole && p->depth <= DEPTH;
    /* Panels of long columns may be shared by images, since most of what is in them is work; short ones are not worth it. */
    bool by_image = volume >= 4 * p->panel && !(p->straight && p->depth >= SHARED_DEPTH);
    p->domains = by_image ? g->n : 1;
    p->cols = by_image ? volume : g->n * volume;
    if (whole) { /* the results of an image fill its planes */
        p->places.grid[0] = p->places.grid[1] = p->places.size[0] = p->places.size[1] = 1;
        p->places.grid[2] = p->places.size[2] = volume;
    }
    if (s->kind == REEL_CONV_INPUT_GRAD) reel_parallel(s->exec, g->c, pack_flipped, (void *[]) { s, (void *)gather });
    int64_t most = smaller(REEL_CONV_PANEL, PACKED_BYTES / (p->depth * (int64_t)p->size)) / p->panel;
    p->gang = p->straight ? smaller(most, blocks(p->cols, p->panel)) : 1;
    if (p->gang < 1) p->gang = 1;
    if (p->straight && p->gang > 1) {
        int64_t panels = blocks(p->cols, p->panel), gangs = blocks(panels, by_image ? p->gang : smaller(p->gang, SHARED_GANG));
        p->gang = blocks(panels, gangs);
    }
    int64_t line = 64 / (int64_t)p->size; /* an odd number of lines: rows fall into all sets of a cache */
    p->ld = p->straight ? (blocks(p->gang * p->panel, line) | 1) * line : p->panel;
    p->panel_rows = steps(s->exec, DEPTH, p->ld);
    size_t columns = (size_t)(p->straight ? p->depth * p->ld + p->outputs * p->panel : (DEPTH + OUTPUTS) * p->panel);
    size_t scratch = (columns * p->size + 63) / 64 * 64;
    if (scratch > p->scratch_size) { /* residues of a stride after the first mostly need no more */
        p->scratch_size = scratch;
        p->scratch = reel_scratch(s->exec, reel_bytes(scratch, (size_t)s->exec->threads));
    }
    if (!p->panel_rows || !p->scratch) return false;
    p->panels = p->domains * blocks(p->cols, p->gang * p->panel);
    p->of_block = p->straight ? p->outputs : OUTPUTS;
    p->output_blocks = blocks(p->outputs, p->of_block);
    p->units = p->groups * p->panels * p->output_blocks;
    double unit_work = (double)(p->gang * p->panel) * (double)smaller(p->outputs, p->of_block) * (double)p->depth;
    p->units_per_chunk = unit_work > 1e6 ? 1 : (int64_t)(1e6 / unit_work) + 1;
    reel_parallel(s->exec, blocks(p->units, p->units_per_chunk), product_chunk, p);
    return true;
}

static bool gather(const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    bool fwd = call->pass == REEL_CONV_FORWARD;
    gather_pass s = { .exec = exec, .g = g, .kind = call->pass, .weight = call->b };
    product *p = &s.p;
    p->size = reel_dtype_size(g->dtype);
    p->gemm = reel_gemm_of(exec->isa, g->dtype);
    p->conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    p->groups = g->groups;
    p->epilogue = call->epilogue;
    p->panel = p->gemm->lanes * p->gemm->max_vectors;
    p->unit = steps(exec, DEPTH, 1);
    int64_t c_per = g->c / g->groups, k_per = g->k / g->groups;
    p->outputs = fwd ? k_per : c_per;
    p->weight = call->b;
    if (!fwd) {
        size_t weights = (size_t)(g->k * c_per * reel_conv_volume(g->kernel));
        p->weight = s.packed = reel_scratch(exec, reel_bytes(weights, reel_dtype_size(g->dtype)));
    }
    if (!p->unit || !p->weight) return false;
    p->columns.src = call->a;
    p->columns.src_c = reel_conv_volume(fwd ? g->in : g->out);
    p->columns.src_n = (fwd ? g->c : g->k) * p->columns.src_c;
    p->places.dst = call->result;
    p->places.dst_c = reel_conv_volume(fwd ? g->out : g->in);
    p->places.dst_n = (fwd ? g->k : g->c) * p->places.dst_c;
    for (int i = 0; i < 3; i++) {
        p->columns.size[i] = (fwd ? g->in : g->out)[i];
        p->places.size[i] = (fwd ? g->out : g->in)[i];
    }
    p->src_group = p->columns.src_c * (fwd ? c_per : k_per);
    p->dst_group = p->places.dst_c * p->outputs;
    if (!fwd) reel_conv_fill_unreached(g, call->epilogue, call->result);
    return reel_conv_gathers(exec, g, call->pass, run_gather, &s);
}

/* Weight gradient: sums[share][group][r][k], for shares of the columns that are added up at the end in their order. */
typedef struct weights {
    const reel_gemm_kernels_of *gemm;
    const reel_conv_kernels_of *conv;
    const reel_conv_geom *g;
    size_t size; /* of an element */
    reel_conv_columns columns;
    const void *gy;
    void *gw, *sums;
    int64_t depth, cols, k_per, k_padded; /* rows r, columns q, k of a group, and rounded up to whole vectors */
    int64_t row_blocks, shares, share;    /* share: columns of one */
    int panel;
    const int64_t *unit, *panel_rows;
    char *scratch; /* of each worker: packed columns, then transposed gy */
    size_t scratch_size;
} weights;

/* to[q - q0][k - k0] = gy[n, k, p] for q = (n, p), in rows of `panel`; lanes past the last channel are zero. */
static void transpose_gy(const weights *s, int64_t group, int64_t q0, int64_t q1, int64_t k0, int64_t width, void *to)
{
    const reel_conv_geom *g = s->g;
    int64_t volume = reel_conv_volume(g->out), vectors = blocks(width, s->gemm->lanes);
    for (int64_t q = q0; q < q1 && width < vectors * s->gemm->lanes; q++)
        for (int64_t k = width; k < vectors * s->gemm->lanes; k++)
            for (size_t b = 0; b < s->size; b++) ((char *)to)[((size_t)((q - q0) * s->panel + k)) * s->size + b] = 0;
    while (q0 < q1) {
        int64_t n = q0 / volume, p = q0 % volume, length = smaller(volume - p, q1 - q0);
        const void *from = at(s->gy, (n * g->k + group * s->k_per + k0) * volume + p, s->size);
        s->gemm->transpose(width, length, from, volume, to, s->panel);
        to = at(to, length * s->panel, s->size);
        q0 += length;
    }
}

static void weights_chunk(void *arg, int64_t chunk, int worker)
{
    const weights *s = arg;
    const reel_conv_geom *g = s->g;
    int64_t block = chunk % s->row_blocks, group = chunk / s->row_blocks % g->groups,
            share = chunk / s->row_blocks / g->groups;
    int64_t r0 = block * ROWS, rows = smaller(s->depth - r0, ROWS);
    int64_t q_end = smaller(s->cols, (share + 1) * s->share);
    char *packed = s->scratch + (size_t)worker * s->scratch_size;
    void *turned = packed + (size_t)(ROWS * REEL_CONV_PANEL) * s->size;
    void *sums = at(s->sums, ((share * g->groups + group) * s->depth + r0) * s->k_padded, s->size);
    reel_conv_columns columns = s->columns;
    columns.src = at(columns.src, group * (g->c / g->groups) * columns.src_c, s->size);
    bool add = false;
    for (int64_t q = share * s->share; q < q_end; q += REEL_CONV_PANEL, add = true) {
        int64_t count = smaller(q_end - q, REEL_CONV_PANEL);
        s->conv->pack(&columns, q, (int)count, r0, r0 + rows, packed, REEL_CONV_PANEL);
        for (int64_t k = 0; k < s->k_per; k += s->panel) {
            int64_t width = smaller(s->k_per - k, s->panel);
            transpose_gy(s, group, q, q + count, k, width, turned);
            int vectors = (int)blocks(width, s->gemm->lanes);
            s->gemm->multiply(&(reel_gemm) { .rows = rows,
                                             .depth = count,
                                             .a = packed,
                                             .lda = REEL_CONV_PANEL,
                                             .a_off = s->unit,
                                             .b = turned,
                                             .b_off = s->panel_rows,
                                             .c = at(sums, k, s->size),
                                             .ldc = s->k_padded,
                                             .vectors = vectors,
                                             .cols = vectors * s->gemm->lanes,
                                             .flags = add ? REEL_GEMM_ADD : 0 });
        }
    }
}

/* Adds the shares of one block of rows and turns it into gw[k][r]. */
static void weights_finish(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weights *s = arg;
    const reel_conv_geom *g = s->g;
    int64_t block = chunk % s->row_blocks, group = chunk / s->row_blocks;
    int64_t r0 = block * ROWS, rows = smaller(s->depth - r0, ROWS), share_size = g->groups * s->depth * s->k_padded;
    void *sums = at(s->sums, (group * s->depth + r0) * s->k_padded, s->size);
    for (int64_t share = 1; share < s->shares; share++) {
        const void *more = at(sums, share * share_size, s->size);
        for (int64_t i = 0; i < rows * s->k_padded; i++) {
            if (g->dtype == REEL_F32)
                ((float *)sums)[i] += ((const float *)more)[i];
            else
                ((double *)sums)[i] += ((const double *)more)[i];
        }
    }
    void *to = at(s->gw, group * s->k_per * s->depth + r0, s->size);
    s->gemm->transpose(rows, s->k_per, sums, s->k_padded, to, s->depth);
}

typedef struct weights_pass {
    const reel_exec *exec;
    weights s;
} weights_pass;

static bool run_weights(void *arg, const reel_conv_gather *gather)
{
    weights_pass *pass = arg;
    weights *s = &pass->s;
    const reel_conv_geom *g = s->g;
    for (int i = 0; i < 3; i++) {
        s->columns.grid[i] = gather->grid[i];
        s->columns.step[i] = gather->step[i];
        s->columns.taps[i] = gather->taps[i];
        s->columns.off[i] = gather->off[i];
        s->columns.size[i] = g->in[i];
    }
    s->depth = g->c / g->groups * reel_conv_volume(g->kernel);
    s->cols = g->n * reel_conv_volume(g->out);
    s->k_per = g->k / g->groups;
    s->k_padded = blocks(s->k_per, s->gemm->lanes) * s->gemm->lanes;
    s->row_blocks = blocks(s->depth, ROWS);
    int64_t wanted = blocks(8, s->row_blocks * g->groups); /* eight chunks keep several threads busy */
    double work = (double)s->cols * (double)s->depth * (double)s->k_per * (double)g->groups;
    if (work < 1e6) wanted = 1;
    s->share = blocks(blocks(s->cols, wanted), REEL_CONV_PANEL) * REEL_CONV_PANEL;
    s->shares = blocks(s->cols, s->share);
    size_t sums = reel_bytes((size_t)(s->shares * g->groups), reel_bytes((size_t)s->depth, (size_t)s->k_padded));
    s->sums = reel_scratch(pass->exec, reel_bytes(sums, s->size));
    if (!s->sums) return false;
    reel_parallel(pass->exec, s->shares * g->groups * s->row_blocks, weights_chunk, s);
    reel_parallel(pass->exec, g->groups * s->row_blocks, weights_finish, s);
    return true;
}

static bool weight_grad(const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    weights_pass pass = { .exec = exec };
    weights *s = &pass.s;
    s->g = g;
    s->size = reel_dtype_size(g->dtype);
    s->gemm = reel_gemm_of(exec->isa, g->dtype);
    s->conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    s->gy = call->b;
    s->gw = call->result;
    s->panel = s->gemm->lanes * s->gemm->max_vectors;
    s->columns.src = call->a;
    s->columns.src_c = reel_conv_volume(g->in);
    s->columns.src_n = g->c * s->columns.src_c;
    s->unit = steps(exec, REEL_CONV_PANEL, 1);
    s->panel_rows = steps(exec, REEL_CONV_PANEL, s->panel);
    s->scratch_size = (size_t)(REEL_CONV_PANEL * (ROWS + s->panel)) * s->size;
    s->scratch = reel_scratch(exec, reel_bytes(s->scratch_size, (size_t)exec->threads));
    if (!s->unit || !s->panel_rows || !s->scratch) return false;
    return reel_conv_gathers(exec, g, REEL_CONV_FORWARD, run_weights, &pass);
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    (void)impl;
    return call->pass == REEL_CONV_WEIGHT_GRAD ? weight_grad(exec, call) : gather(exec, call);
}

static bool supports(const reel_conv_geom *g, reel_conv_pass pass)
{
    (void)g, (void)pass;
    return true;
}

/* The product; columns packed, by runs along rows, one by one with a stride; results of a gradient with a stride, which
 * go to places apart, and its weights. */
static double cost(const reel_conv_geom *g, reel_conv_pass pass)
{
    bool back = pass == REEL_CONV_INPUT_GRAD;
    const int64_t *to = back ? g->in : g->out;
    double inputs = (double)(back ? g->k : g->c), outputs = (double)(back ? g->c : g->k), taps = 1;
    double pixels = (double)g->n * (double)reel_conv_volume(to), run = (double)to[2];
    int64_t of_group = (back ? g->c : g->k) / g->groups, stride = g->stride[0] * g->stride[1] * g->stride[2];
    if (reel_conv_volume(g->kernel) == 1 && stride == 1) {
        double columns = pixels * inputs;
        return 3000 + columns * outputs / (double)g->groups / (g->dtype == REEL_F32 ? 55 : 27.5) +
               (columns + pixels * outputs) * 0.05;
    }
    for (int i = 0; i < 3; i++) taps *= (double)g->kernel[i] / (back ? (double)smaller(g->stride[i], g->in[i]) : 1);
    double columns = pixels * inputs * taps, rows = (double)reel_gemm_rows_cost(of_group), each = 0.06;
    if (back)
        run /= (double)smaller(g->stride[2], g->in[2]);
    else if (g->stride[2] > 1)
        each = 0.28;
    double apart = pass == REEL_CONV_WEIGHT_GRAD ? 0.16
                   : back && stride > 1          ? 0.6
                                                 : 0.05,
           flipped = back ? inputs * (double)(of_group * reel_conv_volume(g->kernel)) : 0;
    double products = columns * (pass == REEL_CONV_WEIGHT_GRAD ? (double)round_up(of_group, reel_conv_lanes(g)) / 48
                                                               : rows / (back ? 42 : 55));
    return 3000 + products * (g->dtype == REEL_F32 ? 1 : 2) + columns * (each + 7 / run) + pixels * outputs * apart +
           7 * flipped;
}

const reel_conv_impl reel_conv_im2col = { .name = "im2col",
                                          .supports = supports,
                                          .cost = cost,
                                          .run = run };
