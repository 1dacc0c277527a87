// SPDX-License-Identifier: MIT
// Winograd's F(m, r) along rows of turned images: kernels through G, and result rows by products of their tiles.
#include <reel/ops/conv_images.h>
#include <reel/ops/sizes.h>
#include <string.h>

/* G, [tap][product]: the power of each product's point over what B^T leaves out; the last tap's at infinity. */
static void fill_powers(int64_t taps, double powers[7][REEL_WINOGRAD_ROWS])
{
    static const double point[] = { 0, 1, -1, 2, -2, 0.5, -0.5, 0 };
    static const double scale[] = { 1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45, 0 };
    for (int q = 0; q < REEL_WINOGRAD_ROWS; q++) {
        double power = scale[q];
        for (int64_t t = 0; t < taps; t++, power *= point[q]) powers[t][q] = power;
    }
    powers[taps - 1][REEL_WINOGRAD_ROWS - 1] = 1;
}

#define FILTER(T)                                                                                                      \
    do {                                                                                                               \
        T g[7][REEL_WINOGRAD_ROWS];                                                                                    \
        for (int64_t t = 0; t < taps; t++)                                                                             \
            for (int q = 0; q < REEL_WINOGRAD_ROWS; q++) g[t][q] = (T)powers[t][q];                                    \
        for (int64_t r = 0; r < count; r++) {                                                                          \
            T sum[REEL_WINOGRAD_ROWS] = { 0 };                                                                         \
            for (int64_t t = 0; t < taps; t++) {                                                                       \
                if (tap[t] < 0) continue;                                                                              \
                T w = ((const T *)weight)[from[r] + tap[t]];                                                           \
                for (int q = 0; q < REEL_WINOGRAD_ROWS; q++) sum[q] += w * g[t][q];                                    \
            }                                                                                                          \
            for (int q = 0; q < REEL_WINOGRAD_ROWS; q++) ((T *)products)[q * apart + r] = sum[q];                      \
        }                                                                                                              \
    } while (0)

void reel_images_filter(size_t size, int64_t count, int64_t taps, const int64_t *from, const int64_t *tap,
                   const void *weight, void *products, int64_t apart)
{
    double powers[7][REEL_WINOGRAD_ROWS];
    fill_powers(taps, powers);
    if (size == sizeof(float))
        FILTER(float);
    else
        FILTER(double);
}
#undef FILTER

#define TAPS(T)                                                                                                        \
    for (int64_t r = 0; r < count; r++)                                                                                \
        for (int64_t t = 0; t < taps; t++) {                                                                           \
            double sum = 0;                                                                                            \
            for (int q = 0; q < REEL_WINOGRAD_ROWS; q++)                                                               \
                sum += powers[t][q] * (double)((const T *)products)[q * apart + r];                                    \
            ((T *)weight)[r * taps + t] = (T)sum;                                                                      \
        }

void reel_images_taps(size_t size, int64_t count, int64_t taps, const void *products, int64_t apart, void *weight)
{
    double powers[7][REEL_WINOGRAD_ROWS];
    fill_powers(taps, powers);
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
    int64_t to = (group * REEL_WINOGRAD_ROWS * p->outputs + o) * p->depth;
    reel_images_filter(p->k.size, count, gather->taps[2], from, p->adjoint ? in_order : gather->tap[2],
           at(p->weight, group * p->outputs * p->inputs * volume + o * own, p->k.size), at(p->filters, to, p->k.size),
           p->outputs * p->depth);
}

bool reel_images_make_filters(reel_images_pass *p)
{
    size_t filters = (size_t)(p->groups * REEL_WINOGRAD_ROWS * p->outputs * p->depth);
    p->filters = reel_scratch(p->k.exec, reel_bytes(filters, p->k.size));
    if (!p->filters) return false;
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
                b_off[count] = ((c * REEL_WINOGRAD_ROWS * size[0] + z) * size[1] + y) * p->src_row;
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

void reel_images_multiply_tiles(const reel_images_band *b, void *scratch)
{
    const reel_images_pass *p = b->p;
    const row_sums *sums = sums_of_rows(b, scratch);
    int64_t length = p->src_row, most = p->k.gemm->max_vectors * p->k.lanes,
            plane = p->src_size[0] * p->src_size[1] * length;
    int64_t of_output = REEL_WINOGRAD_ROWS * length, of_line = p->outputs * of_output,
            of_product = p->outputs * p->depth;
    reel_gemm gemm = { .rows = p->outputs, .lda = p->depth, .ldc = of_output };
    for (int64_t q = 0; q < REEL_WINOGRAD_ROWS; q++)
        for (int64_t v = 0; v < length; v += most) {
            gemm.a = at(p->filters, (b->group * REEL_WINOGRAD_ROWS + q) * of_product, p->k.size);
            gemm.cols = (int)smaller(length - v, most);
            gemm.vectors = gemm.cols / (int)p->k.lanes;
            for (int64_t line = 0; line < b->lines; line++) {
                gemm.a_off = sums[line].a_off;
                gemm.b_off = sums[line].b_off;
                gemm.depth = sums[line].depth;
                gemm.b = at(b->src, sums[line].first + q * plane + v, p->k.size);
                gemm.c = at(b->products, line * of_line + q * length + v, p->k.size);
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
