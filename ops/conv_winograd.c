// SPDX-License-Identifier: MIT
// Convolution with 3x3 kernels by Winograd's minimal filtering, F(2x2), F(4x4) and F(6x6): forward and input gradient.
//
// Blocks of tiles are transformed, multiplied for each of the (m + 2)^2 products, and transformed back. Where the
// kernels are small, every worker has a block of its own in its cache; where they are large, all share one block and go
// through it in phases, so that each kernel's products are read once. An input gradient is a forward pass with kernels
// turned around, or that pass's adjoint step by step where this has fewer tiles.
#include <reel/ops/conv_winograd.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { MOST_SPREAD = 100, SUB_CHANNELS = 64 }; /* tiles of an image that is spread; a phase's chunk */

typedef enum gather_kind { FORWARD, TURNED, ADJOINT } gather_kind;

typedef struct gather_pass {
    reel_winograd s;
    gather_kind kind;
    reel_winograd_operand source, target; /* in a phased pass those of the block                        */
    const void *weight;
    void *filters; /* [groups][products][panels][inputs][panel] */
    int64_t filter_stride;
    const int64_t *unit; /* offsets of a tile's channels: 0, 1, 2 ... */
    int64_t group;       /* phased: the one at work                   */
    int64_t first, last; /* phased: the block's tiles                 */
    int64_t blocks;
    char *scratch; /* of each worker: source and target unless phased, then the stage */
    size_t scratch_size, stage_at;
} gather_pass;

/* The filters of one vector of output channels. */
static void filters_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_pass *p = arg;
    const reel_winograd *s = &p->s;
    const reel_winograd_side *outputs = p->target.side;
    int64_t per_group = outputs->padded / s->lanes, group = chunk / per_group, o = chunk % per_group * s->lanes;
    int64_t panel = o / s->panel * s->panel, inputs = p->source.side->channels;
    bool crossed = p->kind != FORWARD;
    int64_t outer = crossed ? group * inputs * outputs->channels + o : (group * outputs->channels + o) * inputs;
    s->kernels->filter(&(reel_winograd_filter) {
        .weight = at(p->weight, outer * 9, s->size),
        .readable = (s->groups * inputs * outputs->channels - outer) * 9,
        .lane_stride = 9 * (crossed ? 1 : inputs),
        .in_stride = 9 * (crossed ? outputs->channels : 1),
        .inputs = inputs,
        .lanes = (int)smaller(outputs->channels - o, s->lanes),
        .flip = p->kind == TURNED,
        .products = at(p->filters, group * s->products * p->filter_stride + panel * inputs + o - panel, s->size),
        .product_stride = p->filter_stride,
        .in_products = smaller(outputs->padded - panel, s->panel),
    });
}

/* One product of `count` tiles: target = source * filters. */
static void multiply_product(const gather_pass *p, int64_t group, int64_t product, int64_t count,
                             const reel_winograd_operand *source, const reel_winograd_operand *target)
{
    const reel_winograd *s = &p->s;
    int64_t inputs = source->side->channels, padded = target->side->padded;
    for (int64_t o = 0; o < padded; o += s->panel) {
        int64_t filter = (group * s->products + product) * p->filter_stride + o * inputs;
        reel_winograd_multiply(s, count, source->side->padded, at(source->products, product * source->stride, s->size),
                               p->unit, inputs, at(p->filters, filter, s->size),
                               (int)(smaller(padded - o, s->panel) / s->lanes),
                               at(target->products, product * target->stride + o, s->size), padded, false);
    }
}

/* One block of tiles there and back again, in the worker's own memory. */
static void block_chunk(void *arg, int64_t chunk, int worker)
{
    const gather_pass *p = arg;
    const reel_winograd *s = &p->s;
    char *scratch = p->scratch + (size_t)worker * p->scratch_size, *stage = scratch + p->stage_at;
    reel_winograd_operand source = p->source, target = p->target;
    int64_t group = chunk / p->blocks, first = chunk % p->blocks * s->block,
            last = smaller(s->cut.tiles, first + s->block);
    source.products = scratch;
    target.products = at(scratch, s->products * source.stride, s->size);
    source.first = target.first = first;
    reel_winograd_transform(s, &source, group, first, last, 0, source.side->channels, false, stage);
    for (int64_t product = 0; product < s->products; product++)
        multiply_product(p, group, product, last - first, &source, &target);
    reel_winograd_transform(s, &target, group, first, last, 0, target.side->channels, p->kind == ADJOINT, stage);
}

/* The phases of one block that all share. */

/* Tiles and channels of chunk `chunk` of a transform. */
static void transform_chunk(const gather_pass *p, const reel_winograd_operand *operand, int64_t sub, int64_t chunk,
                            int worker, bool spread)
{
    int64_t parts = blocks(operand->side->channels, SUB_CHANNELS);
    int64_t first = p->first + chunk / parts * sub, c = chunk % parts * SUB_CHANNELS;
    reel_winograd_transform(&p->s, operand, p->group, first, smaller(p->last, first + sub), c,
                            smaller(operand->side->channels, c + SUB_CHANNELS), spread,
                            p->scratch + (size_t)worker * p->scratch_size + p->stage_at);
}

static void source_chunk(void *arg, int64_t chunk, int worker)
{
    const gather_pass *p = arg;
    transform_chunk(p, &p->source, p->s.sub, chunk, worker, false);
}

static void product_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const gather_pass *p = arg;
    multiply_product(p, p->group, chunk, p->last - p->first, &p->source, &p->target);
}

static int64_t target_sub(const gather_pass *p) { return p->kind == ADJOINT ? p->s.cut.of_image : p->s.sub; }

static void target_chunk(void *arg, int64_t chunk, int worker)
{
    const gather_pass *p = arg;
    transform_chunk(p, &p->target, target_sub(p), chunk, worker, p->kind == ADJOINT);
}

static void run_phases(const reel_exec *exec, gather_pass *p)
{
    const reel_winograd *s = &p->s;
    int64_t source_parts = blocks(p->source.side->channels, SUB_CHANNELS),
            target_parts = blocks(p->target.side->channels, SUB_CHANNELS);
    for (p->group = 0; p->group < s->groups; p->group++)
        for (p->first = 0; p->first < s->cut.tiles; p->first = p->last) {
            p->last = smaller(s->cut.tiles, p->first + s->block);
            p->source.first = p->target.first = p->first;
            int64_t count = p->last - p->first;
            reel_parallel(exec, blocks(count, s->sub) * source_parts, source_chunk, p);
            reel_parallel(exec, s->products, product_chunk, p);
            reel_parallel(exec, blocks(count, target_sub(p)) * target_parts, target_chunk, p);
        }
}

/* Tiles of a block: with products of 768 KiB, to stay in a core's cache, or 20 MiB, in the cache of all. */
static void choose_block(gather_pass *p)
{
    reel_winograd *s = &p->s;
    int64_t c = s->in.padded, k = s->out.padded, unit = p->kind == ADJOINT ? s->cut.of_image : REEL_GEMM_ROWS;
    int64_t of_tile = s->products * (c + k) * (int64_t)s->size;
    s->block = (768 << 10) / of_tile;
    if (s->block < 18) s->block = 18;
    if (s->block > 36) s->block = 36;
    int64_t own_blocks = s->groups * blocks(s->cut.tiles, round_up(s->block, unit));
    s->phased = c * k > 72 * (c + k) || own_blocks < 8;
    if (s->phased) s->block = (20 << 20) / of_tile;
    if (s->block > s->cut.tiles) s->block = s->cut.tiles;
    s->block = s->block < unit ? unit : s->block / unit * unit;
    p->blocks = blocks(s->cut.tiles, s->block);
}

/* The call with another geometry. With a mosaic, *odd tells whether images may have spoilt their neighbours. */
static bool gather(const reel_exec *exec, const reel_conv_geom *g, int m, gather_kind kind, const reel_conv_call *call,
                   bool mosaic, atomic_bool *odd)
{
    const reel_conv_epilogue *epilogue = call->epilogue;
    gather_pass p = { .kind = kind, .weight = call->b };
    reel_winograd *s = &p.s;
    reel_winograd_setup(s, exec, g, m, mosaic);
    p.source = (reel_winograd_operand) { .side = &s->in, .transform = s->kernels->image, .images = (void *)call->a };
    p.target = (reel_winograd_operand) { .side = &s->out, .transform = s->kernels->result, .images = call->result };
    if (kind == ADJOINT) {
        p.source.side = &s->out;
        p.source.transform = s->kernels->cotangent;
        p.target.side = &s->in;
        p.target.transform = s->kernels->spread;
    }
    p.source.odd = odd;
    p.target.bias = epilogue->bias;
    p.target.relu = epilogue->relu;
    choose_block(&p);
    int64_t inputs = p.source.side->channels;
    int64_t source_size = reel_winograd_layout(s, &p.source, s->block, 0),
            target_size = reel_winograd_layout(s, &p.target, s->block, 0);
    p.stage_at = s->phased ? 0 : (size_t)(source_size + target_size) * s->size;
    p.scratch_size = p.stage_at + (size_t)reel_winograd_stage(s, kind == ADJOINT) * s->size;
    p.scratch = reel_scratch(exec, reel_bytes(p.scratch_size, (size_t)exec->threads));
    /* An odd number of cache lines apart, products spread over the sets of a cache. */
    p.filter_stride = (blocks(inputs * p.target.side->padded, 16) | 1) * 16;
    bool ready;
    p.filters = reel_conv_filters(exec, epilogue, REEL_CONV_TAG(m + 8 * (int)kind, s->groups), NULL,
                                  reel_bytes((size_t)(s->groups * s->products * p.filter_stride), s->size), &ready);
    p.unit = reel_winograd_steps(exec, inputs, 1);
    if (!p.scratch || !p.filters || !p.unit || !reel_winograd_tables(s, exec, inputs)) return false;
    if (!ready) reel_parallel(exec, s->groups * p.target.side->padded / s->lanes, filters_chunk, &p);
    if (!s->phased) {
        reel_parallel(exec, s->groups * p.blocks, block_chunk, &p);
        return true;
    }
    p.source.products = reel_scratch(exec, reel_bytes((size_t)source_size, s->size));
    p.target.products = reel_scratch(exec, reel_bytes((size_t)target_size, s->size));
    if (!p.source.products || !p.target.products) return false;
    run_phases(exec, &p);
    return true;
}

/* Turned around, an input gradient is the convolution of gy, padded by what is left of the kernel. */
static reel_conv_geom turned(const reel_conv_geom *g)
{
    reel_conv_geom t = *g;
    t.c = g->k;
    t.k = g->c;
    for (int i = 1; i < 3; i++) {
        t.in[i] = g->out[i];
        t.out[i] = g->in[i];
        t.pad[i] = 2 - g->pad[i];
    }
    return t;
}

/* The convolution that plays a pass, and how: an input gradient as forward's adjoint where that has fewer tiles. */
static gather_kind kind_of(const reel_conv_geom *g, reel_conv_pass pass, int m, reel_conv_geom *played)
{
    *played = *g;
    if (pass != REEL_CONV_INPUT_GRAD) return FORWARD;
    reel_conv_geom t = turned(g);
    reel_winograd_cut adjoint = reel_winograd_cut_of(g, m, false);
    if (adjoint.of_image <= MOST_SPREAD && adjoint.tiles < reel_winograd_cut_of(&t, m, true).tiles) return ADJOINT;
    *played = t;
    return TURNED;
}

static bool run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    if (call->pass == REEL_CONV_WEIGHT_GRAD) return reel_winograd_weight_grad(exec, call, impl->tile);
    reel_conv_geom played;
    gather_kind kind = kind_of(g, call->pass, impl->tile, &played);
    atomic_bool odd = false;
    if (!gather(exec, &played, impl->tile, kind, call, kind != ADJOINT, &odd)) return false;
    return !odd || gather(exec, &played, impl->tile, kind, call, false, &odd);
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
    reel_conv_geom played;
    bool mosaic = kind_of(g, pass, m, &played) != ADJOINT;
    reel_winograd_cut cut = reel_winograd_cut_of(&played, m, mosaic);
    double products = (m + 2) * (m + 2), c_whole = (double)round_up(g->c / g->groups, 16) * (double)g->groups;
    double filters = c_whole * (double)(g->k / g->groups) * 0.08;
    return 3000 + (g->dtype == REEL_F32 ? 1 : 2) * products *
                      ((double)cut.tiles * reel_winograd_tile_cost(&played, cut.across > 0) + filters);
}

#define WINOGRAD(m)                                                                                                    \
    static bool supports##m(const reel_conv_geom *g, reel_conv_pass pass)                                              \
    {                                                                                                                  \
        (void)pass;                                                                                                    \
        return supports(g, m);                                                                                         \
    }                                                                                                                  \
    static double cost##m(const reel_conv_geom *g, reel_conv_pass pass) { return cost(g, pass, m); }                   \
    const reel_conv_impl reel_conv_winograd##m = {                                                                     \
        .name = "winograd" #m, .tile = m, .supports = supports##m, .cost = cost##m, .run = run                         \
    };
WINOGRAD(2)
WINOGRAD(4)
WINOGRAD(6)
#undef WINOGRAD
