// SPDX-License-Identifier: MIT
// Winograd convolution: tiles, layouts of products, and the loops around transforms and register tiles.
#include <reel/ops/conv_winograd.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { SUB_TILES = 24 };

void reel_winograd_setup(reel_winograd *s, const reel_exec *exec, const reel_conv_geom *g, int m, bool mosaic)
{
    memset(s, 0, sizeof *s);
    const reel_winograd_kernels *kernels = reel_winograd_kernels_for(reel_large_isa(exec->isa, g->dtype));
    s->gemm = reel_gemm_of(exec->isa, g->dtype);
    s->kernels = &(g->dtype == REEL_F32 ? kernels->f32 : kernels->f64)[m / 2 - 1];
    s->size = reel_dtype_size(g->dtype);
    s->m = m;
    s->lanes = s->gemm->lanes;
    s->panel = s->lanes * s->gemm->max_vectors;
    s->products = (m + 2) * (m + 2);
    s->groups = g->groups;
    s->n = g->n;
    s->in = (reel_winograd_side) { .channels = g->c / g->groups,
                                   .height = g->in[1],
                                   .width = g->in[2],
                                   .offset_y = g->pad[1],
                                   .offset_x = g->pad[2] };
    s->out = (reel_winograd_side) { .channels = g->k / g->groups, .height = g->out[1], .width = g->out[2] };
    s->in.padded = round_up(s->in.channels, s->lanes);
    s->out.padded = round_up(s->out.channels, s->lanes);
    s->cut = reel_winograd_cut_of(g, m, mosaic);
    s->sub = s->cut.tiles_x > SUB_TILES ? SUB_TILES : SUB_TILES / s->cut.tiles_x * s->cut.tiles_x;
}

int64_t *reel_winograd_steps(const reel_exec *exec, int64_t count, int64_t step)
{
    int64_t *table = reel_scratch(exec, reel_bytes((size_t)count, sizeof *table));
    for (int64_t i = 0; table && i < count; i++) table[i] = i * step;
    return table;
}

bool reel_winograd_tables(reel_winograd *s, const reel_exec *exec, int64_t depth)
{
    for (int v = 0; v < s->gemm->max_vectors; v++)
        if (!(s->panel_rows[v] = reel_winograd_steps(exec, depth, (v + 1) * s->lanes))) return false;
    return true;
}

int64_t reel_winograd_layout(const reel_winograd *s, reel_winograd_operand *operand, int64_t tiles, int64_t panel)
{
    int64_t line = 64 / (int64_t)s->size;
    operand->panel = panel ? panel : operand->side->padded;
    operand->panel_stride = operand->panel * tiles;
    /* An odd number of cache lines apart, products spread over the sets of a cache. */
    operand->stride = (blocks(tiles * operand->side->padded, line) | 1) * line;
    return s->products * operand->stride;
}

int64_t reel_winograd_stage(const reel_winograd *s, bool spread)
{
    int64_t rows = (s->m + 2) * REEL_WINOGRAD_COLUMNS * s->lanes;
    int64_t picture = (s->cut.tiles_y * s->m + 2) * reel_winograd_pitch(s->cut.tiles_x, s->m, s->lanes) * s->lanes;
    if (s->cut.across) return 2 * rows; /* its picture, of a row of tiles */
    return spread && picture > rows ? picture : rows;
}

/* Rows of tiles, cut to what one call takes. */
static void transform_rows(const reel_winograd *s, const reel_winograd_operand *operand, reel_winograd_row row,
                           int64_t channel, int64_t first, int64_t last)
{
    const reel_winograd_side *side = operand->side;
    int64_t longest = (REEL_WINOGRAD_COLUMNS - 2) / s->m;
    while (first < last) {
        int64_t tx = first % s->cut.tiles_x, ty = first / s->cut.tiles_x % s->cut.tiles_y, n = first / s->cut.of_image;
        int64_t run = smaller(smaller(s->cut.tiles_x - tx, last - first), longest);
        row.y = ty * s->m - side->offset_y;
        row.x = tx * s->m - side->offset_x;
        row.tiles = (int)run;
        if (s->cut.across) {
            row.plane = channel;
            reel_winograd_transform_mosaic(s, operand, &row);
        } else {
            row.plane = (n * s->groups * side->channels + channel) * side->height * side->width;
            operand->transform(&row);
        }
        row.products = at(row.products, run * row.tile_stride, s->size);
        first += run;
    }
}

static void transform_images(const reel_winograd *s, const reel_winograd_operand *operand, reel_winograd_row row,
                             int64_t channel, int64_t first, int64_t last)
{
    const reel_winograd_side *side = operand->side;
    row.rows = (int)s->cut.tiles_y;
    row.tiles = (int)s->cut.tiles_x;
    row.y = -side->offset_y;
    row.x = -side->offset_x;
    for (; first < last; first += s->cut.of_image) {
        row.plane = (first / s->cut.of_image * s->groups * side->channels + channel) * side->height * side->width;
        operand->transform(&row);
        row.products = at(row.products, s->cut.of_image * row.tile_stride, s->size);
    }
}

void reel_winograd_transform(const reel_winograd *s, const reel_winograd_operand *operand, int64_t group, int64_t first,
                             int64_t last, int64_t c0, int64_t c1, bool spread, void *stage)
{
    const reel_winograd_side *side = operand->side;
    reel_winograd_row row = { .images = operand->images,
                              .total = s->n * s->groups * side->channels * side->height * side->width,
                              .height = side->height,
                              .width = side->width,
                              .product_stride = operand->stride,
                              .stage = stage,
                              .relu = operand->relu };
    for (int64_t c = c0; c < c1; c += s->lanes) {
        int64_t panel = c / operand->panel, in_panel = c % operand->panel, channel = group * side->channels + c;
        row.tile_stride = smaller(side->padded - panel * operand->panel, operand->panel);
        row.products = at(
            operand->products, panel * operand->panel_stride + in_panel + (first - operand->first) * row.tile_stride,
            s->size);
        row.channels = (int)smaller(side->channels - c, s->lanes);
        if (operand->bias) row.bias = at(operand->bias, channel, s->size);
        if (spread)
            transform_images(s, operand, row, channel, first, last);
        else
            transform_rows(s, operand, row, channel, first, last);
    }
}

void reel_winograd_multiply(const reel_winograd *s, int64_t rows, int64_t row_step, const void *a, const int64_t *a_off,
                            int64_t depth, const void *b, int vectors, void *c, int64_t ldc, bool add)
{
    s->gemm->multiply(&(reel_gemm) { .rows = rows,
                                     .depth = depth,
                                     .a = a,
                                     .lda = row_step,
                                     .a_off = a_off,
                                     .b = b,
                                     .b_off = s->panel_rows[vectors - 1],
                                     .c = c,
                                     .ldc = ldc,
                                     .vectors = vectors,
                                     .cols = vectors * s->lanes,
                                     .flags = add ? REEL_GEMM_ADD : 0 });
}
