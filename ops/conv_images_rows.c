// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along rows of turned images: kernels through G, and result rows by products of their tiles.
#include <reel/ops/conv_images.h>
#include <reel/ops/sizes.h>
#include <math.h>
#include <string.h>

enum { PADDED = 12 }; /* products of a tile to whole vectors */

void reel_images_fill_powers(int64_t taps, int64_t products, reel_images_powers *powers)
{
    static const double point[] = { 0, 1, -1, 2, -2, 0.5, -0.5, 0.75, -0.75 };
    *powers = (reel_images_powers) { .taps = taps, .products = products };
    for (int64_t q = 0; q < products - 1; q++) {
        double power = 1;
        for (int64_t other = 0; other < products - 1; other++)
            if (other != q) power /= point[q] - point[other];
        if (q == 0) power = fabs(power);
        for (int64_t t = 0; t < taps; t++, power *= point[q]) powers->g[t][q] = power;
    }
    powers->g[taps - 1][products - 1] = 1;
}

#define FILTER(T)                                                                                                      \
    {                                                                                                                  \
        T g[REEL_IMAGES_TAPS][PADDED] = { { 0 } };                                                                     \
        for (int64_t t = 0; t < powers->taps; t++)                                                                     \
            for (int64_t q = 0; q < powers->products; q++) g[t][q] = (T)powers->g[t][q];                               \
        for (int64_t r = 0; r < count; r++) {                                                                          \
            T sum[PADDED] = { 0 };                                                                                     \
            for (int64_t t = 0; t < powers->taps; t++) {                                                               \
                if (tap[t] < 0) continue;                                                                              \
                T w = ((const T *)weight)[from[r] + tap[t]];                                                           \
                for (int q = 0; q < PADDED; q++) sum[q] += w * g[t][q];                                                \
            }                                                                                                          \
            for (int64_t q = 0; q < powers->products; q++) ((T *)products)[q * apart + r] = sum[q];                    \
        }                                                                                                              \
    }

void reel_images_filter(size_t size, int64_t count, const reel_images_powers *powers, const int64_t *from,
                        const int64_t *tap, const void *weight, void *products, int64_t apart)
{
    if (size == sizeof(float))
        FILTER(float)
    else
        FILTER(double)
}
#undef FILTER

#define TAPS(T)                                                                                                        \
    for (int64_t r = 0; r < count; r++) {                                                                              \
        double sum[REEL_IMAGES_TAPS] = { 0 };                                                                          \
        for (int64_t q = 0; q < powers->products; q++) {                                                               \
            double product = (double)((const T *)products)[q * apart + r];                                             \
            for (int t = 0; t < REEL_IMAGES_TAPS; t++) sum[t] += powers->g[t][q] * product;                            \
        }                                                                                                              \
        for (int64_t t = 0; t < powers->taps; t++) ((T *)weight)[r * powers->taps + t] = (T)sum[t];                    \
    }

void reel_images_taps(size_t size, int64_t count, const reel_images_powers *powers, const void *products, int64_t apart,
                      void *weight)
{
    if (size == sizeof(float))
        TAPS(float)
    else
        TAPS(double)
}
#undef TAPS

/* The kernels of one output channel through G. */
static void filter_chunk(void *arg, int64_t chunk, int worker)
{
    const reel_images_pass *p = arg;
    const reel_conv_gather *gather = &p->gather;
    int64_t group = chunk / p->outputs, o = chunk % p->outputs, volume = reel_conv_volume(p->kernel), count = 0;
    int64_t next = (p->crossed ? p->outputs : 1) * volume, own = (p->crossed ? 1 : p->inputs) * volume;
    int64_t *from = (int64_t *)(p->scratch + (size_t)worker * p->scratch_size);
    for (int64_t c = 0; c < p->inputs; c++)
        for (int64_t i = 0; i < gather->taps[0]; i++)
            for (int64_t j = 0; j < gather->taps[1]; j++)
                from[count++] = c * next + (gather->tap[0][i] * p->kernel[1] + gather->tap[1][j]) * p->kernel[2];
    static const int64_t in_order[] = { 0, 1, 2, 3, 4, 5, 6 };
    int64_t to = (group * p->tile.products * p->outputs + o) * p->depth;
    reel_images_filter(p->k.size, count, &p->powers, from, p->adjoint ? in_order : gather->tap[2],
           at(p->weight, group * p->outputs * p->inputs * volume + o * own, p->k.size), at(p->filters, to, p->k.size),
           p->outputs * p->depth);
}

bool reel_images_make_filters(reel_images_pass *p)
{
    size_t filters = (size_t)(p->groups * p->tile.products * p->outputs * p->depth);
    p->filters = reel_scratch(p->k.exec, reel_bytes(filters, p->k.size));
    if (!p->filters) return false;
    reel_images_fill_powers(p->gather.taps[2], p->tile.products, &p->powers);
    reel_parallel(p->k.exec, p->groups * p->outputs, filter_chunk, p);
    return true;
}

/* The sums behind a product of a row's tiles: rows of taps, and source rows that meet them. */
static int64_t fill_row_tables(const reel_images_pass *p, const int64_t low[3], const int64_t high[3],
                               int64_t *restrict a_off, int64_t *restrict b_off)
{
    const reel_conv_gather *gather = &p->gather;
    const int64_t *size = p->src_size, *taps = gather->taps;
    int64_t count = 0;
    for (int64_t c = 0; c < p->inputs; c++)
        for (int64_t i = low[0]; i < high[0]; i++)
            for (int64_t j = low[1]; j < high[1]; j++, count++) {
                int64_t z = gather->off[0][i] - gather->off[0][low[0]], y = gather->off[1][j] - gather->off[1][low[1]];
                a_off[count] = (c * taps[0] + i) * taps[1] + j;
                b_off[count] = c * p->of_channel + (z * size[1] + y) * p->src_row;
            }
    return count;
}

/* A row's sums: its tables, and its first source row. */
typedef struct row_sums {
    const int64_t *a_off, *b_off;
    int64_t depth, first;
} row_sums;

/* Of the band's rows; those that see the same taps share tables. */
static const row_sums *sums_of_rows(const reel_images_band *b, void *scratch)
{
    const reel_images_pass *p = b->p;
    row_sums *rows = scratch;
    int64_t *tables = (int64_t *)(rows + p->lines), known[4] = { -1, -1, -1, -1 };
    for (int64_t line = 0; line < b->lines; line++) {
        int64_t low[3], high[3], z = (b->from + line) / p->gather.grid[1], y = (b->from + line) % p->gather.grid[1];
        int64_t z0 = reel_images_seen(p, 0, z, &low[0], &high[0]), y0 = reel_images_seen(p, 1, y, &low[1], &high[1]);
        int64_t now[4] = { low[0], high[0], low[1], high[1] };
        if (memcmp(now, known, sizeof now) != 0) {
            rows[line] = (row_sums) { .a_off = tables, .b_off = tables + p->depth };
            rows[line].depth = fill_row_tables(p, low, high, tables, tables + p->depth);
            tables += 2 * p->depth;
            memcpy(known, now, sizeof now);
        } else {
            rows[line] = rows[line - 1];
        }
        rows[line].first = (z0 * p->src_size[1] + y0) * p->src_row;
    }
    return rows;
}

int64_t reel_images_tile_tables(const reel_images_pass *p)
{
    return 2 * p->depth * (int64_t)sizeof(int64_t) + (int64_t)sizeof(row_sums);
}

/* One output's sums of a product of a row, of all its tiles. */
static void multiply_row(const reel_images_pass *p, const reel_gemm *gemm)
{
    p->k.gemm->multiply_row(&(reel_gemm_row) { .depth = gemm->depth,
                                               .panels = p->tiles,
                                               .b_panel = p->k.panel,
                                               .c_panel = p->k.panel,
                                               .a = gemm->a,
                                               .b = gemm->b,
                                               .a_off = gemm->a_off,
                                               .b_off = gemm->b_off,
                                               .c = gemm->c });
}

/* Whether a tile goes from source to results at once. */
static bool sums_are_short(const reel_images_pass *p)
{
    int64_t factors = p->tile.products * p->depth * (p->outputs + p->k.panel) * (int64_t)p->k.size;
    return p->k.rows->line && !p->adjoint && p->outputs >= REEL_WINOGRAD_LINE && p->k.panel == 2 * p->k.lanes &&
           factors <= REEL_IMAGES_SHORT;
}

static void multiply_lines(const reel_images_band *b, const row_sums *sums)
{
    const reel_images_pass *p = b->p;
    int64_t width = p->gather.grid[2] * p->k.panel, of_product = p->src_size[0] * p->src_size[1] * p->src_row;
    reel_winograd_line line = { .outputs = p->outputs,
                                .tiles = p->tiles,
                                .tile = p->tile,
                                .width = p->gather.grid[2],
                                .source_product = of_product,
                                .filter_row = p->depth,
                                .points_row = b->lines * width,
                                .relu = p->epilogue->relu };
    line.filters = at(p->filters, b->group * p->tile.products * p->outputs * p->depth, p->k.size);
    if (p->epilogue->bias) line.bias = at(p->epilogue->bias, b->group * p->outputs, p->k.size);
    for (int64_t i = 0; i < b->lines; i++) {
        line.depth = sums[i].depth;
        line.filter_off = sums[i].a_off;
        line.source_off = sums[i].b_off;
        line.source = at(b->src, sums[i].first, p->k.size);
        line.points = at(b->sums, i * width, p->k.size);
        p->k.rows->line(&line);
    }
}

void reel_images_multiply_tiles(const reel_images_band *b, void *scratch)
{
    const reel_images_pass *p = b->p;
    const row_sums *sums = sums_of_rows(b, scratch);
    if (sums_are_short(p)) {
        multiply_lines(b, sums);
        return;
    }
    int64_t length = p->src_row, most = p->k.gemm->max_vectors * p->k.lanes,
            plane = p->src_size[0] * p->src_size[1] * length;
    int64_t of_output = p->tile.products * length, of_line = p->outputs * of_output,
            of_product = p->outputs * p->depth;
    reel_gemm gemm = { .rows = p->outputs, .lda = p->depth, .ldc = of_output };
    bool single = p->outputs == 1 && p->k.panel == 2 * p->k.lanes;
    if (single) most = length;
    for (int64_t q = 0; q < p->tile.products; q++)
        for (int64_t v = 0; v < length; v += most) {
            gemm.a = at(p->filters, (b->group * p->tile.products + q) * of_product, p->k.size);
            gemm.cols = (int)smaller(length - v, most);
            gemm.vectors = gemm.cols / (int)p->k.lanes;
            for (int64_t line = 0; line < b->lines; line++) {
                gemm.a_off = sums[line].a_off;
                gemm.b_off = sums[line].b_off;
                gemm.depth = sums[line].depth;
                gemm.b = at(b->src, sums[line].first + q * plane + v, p->k.size);
                gemm.c = at(b->products, line * of_line + q * length + v, p->k.size);
                if (single)
                    multiply_row(p, &gemm);
                else
                    p->k.gemm->multiply(&gemm);
            }
        }
    reel_winograd_rows rows = { .rows = 1,
                                .tiles = p->tiles,
                                .tile = p->tile,
                                .panel = p->k.panel,
                                .width = p->gather.grid[2],
                                .before = p->gather.off[2][p->gather.taps[2] - 1],
                                .relu = p->epilogue->relu };
    for (int64_t o = 0; o < p->outputs; o++) {
        if (p->epilogue->bias) rows.bias = at(p->epilogue->bias, b->group * p->outputs + o, p->k.size);
        for (int64_t line = 0; line < b->lines; line++) {
            rows.products = at(b->products, line * of_line + o * of_output, p->k.size);
            rows.points = at(b->sums, (o * b->lines + line) * rows.width * p->k.panel, p->k.size);
            if (p->adjoint)
                p->k.rows->image_grad(&rows);
            else
                p->k.rows->result(&rows);
        }
    }
}
