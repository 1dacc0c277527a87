// SPDX-License-Identifier: MIT
// Winograd convolution: the weight gradient, the adjoint of the forward pass in its kernels.
//
// Both images are transformed by tiles, and their products summed over tiles for each pair of channels. Small kernels
// are summed by workers in shares of the tiles, each with an accumulator of its own, which are added in their order at
// the end. Large ones have one accumulator; all workers share a block of tiles and go through it in phases.
#include <reel/ops/conv_winograd.h>
#include <reel/ops/sizes.h>

enum { SUB_CHANNELS = 64 };

typedef struct weight_pass {
    reel_winograd s;
    reel_winograd_operand image, cotangent; /* in a phased pass those of the block */
    void *gw, *sums;                        /* sums: [share][group][product][k][c padded] */
    int64_t sum_stride;                     /* from one product to the next */
    int64_t shares, share;                  /* share: tiles of one */
    const int64_t *tile_steps;              /* offsets of a channel's tiles in the cotangent */
    int64_t group, first, last;             /* phased: at work */
    char *scratch;
    size_t scratch_size, stage_at;
} weight_pass;

/* sums (+)= the outer products of `count` tiles. */
static void multiply_product(const weight_pass *p, int64_t product, int64_t count, const reel_winograd_operand *image,
                             const reel_winograd_operand *cotangent, void *sums, bool add)
{
    const reel_winograd *s = &p->s;
    for (int64_t c = 0; c < s->in.padded; c += s->panel)
        reel_winograd_multiply(
            s, s->out.channels, 1, at(cotangent->products, product * cotangent->stride, s->size), p->tile_steps, count,
            at(image->products, product * image->stride + c / s->panel * image->panel_stride, s->size),
            (int)(smaller(s->in.padded - c, s->panel) / s->lanes), at(sums, product * p->sum_stride + c, s->size),
            s->in.padded, add);
}

static void *sums_of(const weight_pass *p, int64_t share, int64_t group)
{
    return at(p->sums, (share * p->s.groups + group) * p->s.products * p->sum_stride, p->s.size);
}

/* One share of one group's tiles. */
static void share_chunk(void *arg, int64_t chunk, int worker)
{
    const weight_pass *p = arg;
    const reel_winograd *s = &p->s;
    int64_t group = chunk % s->groups, share = chunk / s->groups, begin = share * p->share;
    char *scratch = p->scratch + (size_t)worker * p->scratch_size, *stage = scratch + p->stage_at;
    reel_winograd_operand image = p->image, cotangent = p->cotangent;
    image.products = scratch;
    cotangent.products = at(scratch, s->products * image.stride, s->size);
    int64_t end = smaller(s->cut.tiles, begin + p->share);
    for (int64_t first = begin; first < end; first += s->block) {
        int64_t last = smaller(end, first + s->block);
        image.first = cotangent.first = first;
        reel_winograd_transform(s, &image, group, first, last, 0, s->in.channels, false, stage);
        reel_winograd_transform(s, &cotangent, group, first, last, 0, s->out.channels, false, stage);
        for (int64_t product = 0; product < s->products; product++)
            multiply_product(p, product, last - first, &image, &cotangent, sums_of(p, share, group), first > begin);
    }
}

/* The phases of a block that all share. */

static void transform_chunk(void *arg, int64_t chunk, int worker)
{
    const weight_pass *p = arg;
    int64_t image_parts = blocks(p->s.in.channels, SUB_CHANNELS),
            parts = image_parts + blocks(p->s.out.channels, SUB_CHANNELS), part = chunk % parts;
    const reel_winograd_operand *operand = part < image_parts ? &p->image : &p->cotangent;
    int64_t first = p->first + chunk / parts * p->s.sub, last = smaller(p->last, first + p->s.sub);
    int64_t c = (part < image_parts ? part : part - image_parts) * SUB_CHANNELS;
    reel_winograd_transform(&p->s, operand, p->group, first, last, c,
                            smaller(operand->side->channels, c + SUB_CHANNELS), false,
                            p->scratch + (size_t)worker * p->scratch_size + p->stage_at);
}

static void product_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weight_pass *p = arg;
    multiply_product(p, chunk, p->last - p->first, &p->image, &p->cotangent, sums_of(p, 0, p->group), p->first > 0);
}

static void run_phases(const reel_exec *exec, weight_pass *p)
{
    const reel_winograd *s = &p->s;
    int64_t parts =
        blocks(s->in.channels, SUB_CHANNELS) + blocks(s->out.channels, SUB_CHANNELS);
    for (p->group = 0; p->group < s->groups; p->group++)
        for (p->first = 0; p->first < s->cut.tiles; p->first = p->last) {
            p->last = smaller(s->cut.tiles, p->first + s->block);
            p->image.first = p->cotangent.first = p->first;
            reel_parallel(exec, blocks(p->last - p->first, s->sub) * parts, transform_chunk, p);
            reel_parallel(exec, s->products, product_chunk, p);
        }
}

/* The kernels of one output channel. */
static void kernels_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const weight_pass *p = arg;
    const reel_winograd *s = &p->s;
    int64_t group = chunk / s->out.channels, k = chunk % s->out.channels;
    for (int64_t c = 0; c < s->in.channels; c += s->lanes)
        s->kernels->weight(&(reel_winograd_weight) {
            .products = at(sums_of(p, 0, group), k * s->in.padded + c, s->size),
            .product_stride = p->sum_stride,
            .shares = p->shares,
            .share_stride = s->groups * s->products * p->sum_stride,
            .lanes = (int)smaller(s->in.channels - c, s->lanes),
            .weight = at(p->gw, (chunk * s->in.channels + c) * 9, s->size),
        });
}

/* Blocks as in the forward pass; shares by the size of an accumulator, for two threads at least and eight at most. */
static void choose_block(weight_pass *p)
{
    reel_winograd *s = &p->s;
    int64_t c = s->in.padded, k = s->out.padded, of_tile = s->products * (c + k) * (int64_t)s->size;
    int64_t sums = s->groups * s->products * p->sum_stride * (int64_t)s->size;
    s->phased = c * k > 72 * (c + k);
    s->block = s->phased ? (20 << 20) / of_tile : (768 << 10) / of_tile;
    if (!s->phased && s->block < 24) s->block = 24;
    if (!s->phased && s->block > 36) s->block = 36;
    if (s->block < 1) s->block = 1;
    if (s->block > s->cut.tiles) s->block = s->cut.tiles;
    p->shares = s->phased ? 1 : sums < 768 << 10 ? 8 : sums < 1536 << 10 ? 4 : 2;
    p->share = round_up(blocks(s->cut.tiles, p->shares), s->phased ? 1 : s->block);
    p->shares = blocks(s->cut.tiles, p->share);
}

bool reel_winograd_weight_grad(const reel_exec *exec, const reel_conv_call *call, int m)
{
    const reel_conv_geom *g = call->g;
    weight_pass p = { .gw = call->result };
    reel_winograd *s = &p.s;
    reel_winograd_setup(s, exec, g, m, true);
    p.image = (reel_winograd_operand) { .side = &s->in, .transform = s->kernels->image, .images = (void *)call->a };
    p.cotangent =
        (reel_winograd_operand) { .side = &s->out, .transform = s->kernels->cotangent, .images = (void *)call->b };
    p.sum_stride = (blocks(s->out.channels * s->in.padded, 16) | 1) * 16;
    choose_block(&p);
    int64_t image_size = reel_winograd_layout(s, &p.image, s->block, s->panel),
            cotangent_size = reel_winograd_layout(s, &p.cotangent, s->block, 0);
    p.stage_at = s->phased ? 0 : (size_t)(image_size + cotangent_size) * s->size;
    p.scratch_size = p.stage_at + (size_t)reel_winograd_stage(s, false) * s->size;
    p.scratch = reel_scratch(exec, reel_bytes(p.scratch_size, (size_t)exec->threads));
    p.sums = reel_scratch(exec, reel_bytes((size_t)(p.shares * s->groups * s->products * p.sum_stride), s->size));
    p.tile_steps = reel_winograd_steps(exec, s->block, s->out.padded);
    if (!p.scratch || !p.sums || !p.tile_steps || !reel_winograd_tables(s, exec, s->block)) return false;
    if (s->phased) {
        p.image.products = reel_scratch(exec, reel_bytes((size_t)image_size, s->size));
        p.cotangent.products = reel_scratch(exec, reel_bytes((size_t)cotangent_size, s->size));
        if (!p.image.products || !p.cotangent.products) return false;
        run_phases(exec, &p);
    } else {
        reel_parallel(exec, p.shares * s->groups, share_chunk, &p);
    }
    reel_parallel(exec, s->groups * s->out.channels, kernels_chunk, &p);
    return true;
}
