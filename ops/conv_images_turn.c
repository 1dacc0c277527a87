// SPDX-License-Identifier: MIT
// Panels of images turned around, so that a vector is one point of as many images.
#include <reel/ops/conv_images.h>
#include <reel/ops/sizes.h>
#include <string.h>

reel_images_kernels reel_images_kernels_for(const reel_exec *exec, const reel_conv_geom *g)
{
    reel_images_kernels k = { .exec = exec, .size = reel_dtype_size(g->dtype) };
    k.gemm = reel_gemm_of(exec->isa, g->dtype);
    k.conv = reel_conv_kernels_of_dtype(exec->isa, g->dtype);
    k.rows = reel_winograd_rows_for(exec->isa, g->dtype);
    k.lanes = k.gemm->lanes;
    k.panel = reel_turned_panel(exec->isa, g->dtype, g->n);
    return k;
}

/* Channels of products lie 39/64 of a page apart, beside whole pages: the rows of all that a result row meets at once
 * would share a few sets of the first cache where a channel is whole pages, as of 24 or 12 rows it is. */
int64_t reel_images_points(const reel_images_turn *t)
{
    enum { PAGE = 4096, APART = 39 * 64 };
    int64_t rows = t->extent[0] * t->extent[1], point = t->k->panel * (int64_t)t->k->size;
    if (!t->tile.results) return rows * t->extent[2];
    int64_t points = rows * t->tile.products * t->tiles, over = points * point % PAGE;
    return points + blocks((APART - over + PAGE) % PAGE, point);
}

typedef struct turn_job {
    const reel_images_turn *t;
    char *scratch; /* of each worker: a channel of a panel */
    int64_t scratch_size;
} turn_job;

static bool is_whole(const reel_images_turn *t)
{
    return memcmp(t->size, t->extent, sizeof t->size) == 0 && t->before[0] == 0 && t->before[1] == 0 && t->before[2] == 0;
}

bool reel_images_are_turned(const reel_images_turn *t) { return t->turned && !t->tile.results && is_whole(t); }

/* Points of a channel of a panel, from number `first` on. */
static void turn_points(const reel_images_turn *t, int64_t chunk, int64_t first, int64_t count, void *to)
{
    int64_t panel = t->k->panel, image = chunk / t->channels * panel, plane = reel_conv_volume(t->size);
    size_t size = t->k->size;
    if (t->turned)
        memcpy(to, at(t->from, (chunk * plane + first) * panel, size), (size_t)(count * panel) * size);
    else
        t->k->gemm->transpose(smaller(t->n - image, panel), count,
                              at(t->from, (image * t->channels + chunk % t->channels) * plane + first, size),
                              t->channels * plane, to, panel);
}

/* A channel of a panel, by points: at `to`, or where they lie so. */
static void *turn_channel(const reel_images_turn *t, int64_t chunk, void *to)
{
    const int64_t *size = t->size, *extent = t->extent, *before = t->before;
    int64_t panel = t->k->panel, plane = reel_conv_volume(size), row = extent[2] * panel;
    void *result = to;
    if (t->turned && is_whole(t)) return at(t->from, chunk * plane * panel, t->k->size);
    if (t->n - chunk / t->channels * panel < panel)
        memset(to, 0, (size_t)(reel_conv_volume(extent) * panel) * t->k->size);
    if (is_whole(t)) {
        turn_points(t, chunk, 0, plane, to);
        return result;
    }
    int64_t length = larger(0, smaller(size[2], extent[2] - before[2]));
    for (int64_t i = 0; i < extent[0] * extent[1]; i++, to = at(to, row, t->k->size)) {
        int64_t z = i / extent[1] - before[0], y = i % extent[1] - before[1];
        bool inside = z >= 0 && z < size[0] && y >= 0 && y < size[1] && length > 0;
        int64_t head = inside ? before[2] * panel : row, tail = inside ? (before[2] + length) * panel : row;
        memset(to, 0, (size_t)head * t->k->size);
        if (!inside) continue;
        turn_points(t, chunk, (z * size[1] + y) * size[2], length, at(to, head, t->k->size));
        memset(at(to, tail, t->k->size), 0, (size_t)(row - tail) * t->k->size);
    }
    return result;
}

static void turn_chunk(void *arg, int64_t chunk, int worker)
{
    const turn_job *job = arg;
    const reel_images_turn *t = job->t;
    void *to = at(t->to, chunk * reel_images_points(t) * t->k->panel, t->k->size);
    if (!t->tile.results) {
        turn_channel(t, chunk, to);
        return;
    }
    reel_winograd_rows rows = { .rows = t->extent[0] * t->extent[1],
                                .tiles = t->tiles,
                                .tile = t->tile,
                                .panel = t->k->panel,
                                .points = turn_channel(t, chunk, job->scratch + worker * job->scratch_size),
                                .points_row = t->extent[2] * t->k->panel,
                                .width = t->extent[2],
                                .products = to };
    if (t->cotangents)
        t->k->rows->cotangent(&rows);
    else
        t->k->rows->image(&rows);
}

bool reel_images_turn_all(const reel_images_turn *t)
{
    const reel_exec *exec = t->k->exec;
    turn_job job = { .t = t };
    if (reel_images_are_turned(t)) return true;
    if (t->tile.results) {
        int64_t bytes = reel_conv_volume(t->extent) * t->k->panel * (int64_t)t->k->size;
        job.scratch_size = round_up(bytes, 64);
        job.scratch = reel_scratch(exec, reel_bytes((size_t)job.scratch_size, (size_t)exec->threads));
        if (!job.scratch) return false;
    }
    reel_parallel(exec, blocks(t->n, t->k->panel) * t->channels, turn_chunk, &job);
    return true;
}

/* By blocks of eight bytes by eight, whose rows exchange halves, quarters and eighths. */
void reel_images_unpack_taps(int64_t points, int64_t images, const uint8_t *taps, int64_t panel, uint8_t *to,
                             int64_t apart)
{
    static const uint64_t low[] = { 0x00000000ffffffff, 0x0000ffff0000ffff, 0x00ff00ff00ff00ff };
    int64_t q = 0;
    for (; q + 8 <= points && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__; q += 8)
        for (int64_t image = 0; image < images; image += 8) {
            uint64_t row[8];
            for (int i = 0; i < 8; i++) memcpy(&row[i], taps + (q + i) * panel + image, 8);
#pragma GCC unroll 3
            for (int round = 0; round < 3; round++) {
                int apart_by = 4 >> round;
#pragma GCC unroll 8
                for (int i = 0; i < 8; i++) {
                    if (i & apart_by) continue;
                    uint64_t changed = ((row[i] >> 8 * apart_by) ^ row[i + apart_by]) & low[round];
                    row[i + apart_by] ^= changed;
                    row[i] ^= changed << 8 * apart_by;
                }
            }
            for (int i = 0; i < 8 && image + i < images; i++) memcpy(to + (image + i) * apart + q, &row[i], 8);
        }
    for (; q < points; q++)
        for (int64_t image = 0; image < images; image++) to[image * apart + q] = taps[q * panel + image];
}
