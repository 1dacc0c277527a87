// SPDX-License-Identifier: MIT
// Winograd convolution: how a batch is cut into tiles, and small images side by side in a mosaic.
//
// 14 results of an image take three tiles of six. Four images in a row, 15 points from one to the next with a line of
// zeros that both neighbours see as their padding, take ten. A run of tiles is copied from the images it covers to a
// picture, or from a picture to them; the transforms do not know of it.
#include <reel/ops/conv_winograd.h>
#include <reel/ops/sizes.h>
#include <string.h>

/* A mosaic's period along an axis. Results o of an image see points o - pad ... o + 2 - pad: its own, and zeros. */
static int64_t period_of(const reel_conv_geom *g, int axis)
{
    int64_t pad = g->pad[axis], out = g->out[axis];
    return larger(larger(out, out + 2 - pad), g->in[axis] + pad);
}

double reel_winograd_tile_cost(const reel_conv_geom *g, bool mosaic)
{
    double c_whole = (double)round_up(g->c / g->groups, 16) * (double)g->groups,
           k_whole = (double)round_up(g->k / g->groups, 16);
    return 2 * c_whole * k_whole / 105 + (double)(g->c + g->k) * (mosaic ? 0.32 : 0.2);
}

reel_winograd_cut reel_winograd_cut_of(const reel_conv_geom *g, int m, bool mosaic)
{
    reel_winograd_cut best = { .period_y = period_of(g, 1), .period_x = period_of(g, 2) };
    best.tiles_y = blocks(g->out[1], m);
    best.tiles_x = blocks(g->out[2], m);
    best.of_image = best.tiles_y * best.tiles_x;
    best.tiles = g->n * best.of_image;
    if (!mosaic || g->n == 1) return best;
    double least = (double)best.tiles * reel_winograd_tile_cost(g, false) / reel_winograd_tile_cost(g, true);
    for (int64_t across = 1; across <= smaller(g->n, m); across++) { /* m periods are whole tiles */
        reel_winograd_cut cut = best;
        cut.across = across;
        cut.tiles_y = blocks((blocks(g->n, across) - 1) * cut.period_y + g->out[1], m);
        cut.tiles_x = blocks((across - 1) * cut.period_x + g->out[2], m);
        cut.of_image = cut.tiles = cut.tiles_y * cut.tiles_x;
        if ((double)cut.tiles > least) continue;
        best = cut;
        least = (double)cut.tiles;
    }
    return best;
}

/* A rectangle of points of some channels, in an image and in a picture; distances in bytes. */
typedef struct patch {
    char *image, *picture;
    int64_t image_row, image_plane, picture_row, picture_plane, channels, rows;
    size_t width;
    int64_t ahead; /* from the image on: what is asked for meanwhile */
    bool back;     /* to the image */
} patch;

typedef uint64_t pair __attribute__((vector_size(16)));

/* Copies a patch; true where an exponent in it is all ones. */
static bool copy_patch(patch p, bool single)
{
    /* An exponent of ones, and one more, is a sign. */
    const uint64_t size = single ? 0x7fffffff7fffffff : INT64_MAX, step = single ? 0x0080000000800000 : 1ull << 52;
    pair seen = { 0 }, v = { 0 };
    const size_t width = p.width, end = width < sizeof v ? 0 : width - sizeof v;
    for (; p.channels > 0; p.channels--, p.image += p.image_plane, p.picture += p.picture_plane) {
        char *image = p.image, *picture = p.picture;
        for (int64_t y = 0; y < p.rows; y++, image += p.image_row, picture += p.picture_row) {
            char *to = p.back ? image : picture;
            const char *from = p.back ? picture : image;
            __builtin_prefetch(image + p.ahead);
            for (size_t i = 0; i < end; i += sizeof v) {
                memcpy(&v, from + i, sizeof v);
                memcpy(to + i, &v, sizeof v);
                seen |= (v & size) + step;
            }
            if (width < sizeof v) {
                memcpy(&v, from, width);
                memcpy(to, &v, width);
            } else {
                memcpy(&v, from + end, sizeof v);
                memcpy(to + end, &v, sizeof v);
            }
            seen |= (v & size) + step;
        }
    }
    return ((seen[0] | seen[1]) & ~size) != 0;
}

/* Point x of a mosaic's axis is point `*at` of image `*image`; returns how many points it is to the next image. */
static int64_t locate(int64_t x, int64_t period, int64_t *image, int64_t *at)
{
    *image = (x + period) / period - 1; /* rounded down: x >= -period */
    *at = x - *image * period;
    return period - *at;
}

/* Copies what images have of a rectangle of the mosaic, from row->(y, x) on, to the picture or (`back`) from it. */
static bool copy_mosaic(const reel_winograd *s, const reel_winograd_operand *operand, const reel_winograd_row *row,
                        int64_t columns, char *picture, bool back)
{
    const reel_winograd_side *side = operand->side;
    int64_t size = (int64_t)s->size, to_next = s->groups * side->channels, high, wide;
    bool odd = false;
    for (int64_t y = 0; y < row->height; y += high) {
        int64_t image_y, top, image_x, left;
        high = smaller(locate(row->y + y, s->cut.period_y, &image_y, &top), row->height - y);
        for (int64_t x = 0; x < columns; x += wide) {
            wide = smaller(locate(row->x + x, s->cut.period_x, &image_x, &left), columns - x);
            int64_t image = image_y * s->cut.across + image_x;
            if (image_y < 0 || image_x < 0 || image_x >= s->cut.across || image >= s->n || top >= side->height ||
                left >= side->width)
                continue;
            int64_t plane = image * to_next + row->plane;
            patch p = { .image = at(operand->images, (plane * side->height + top) * side->width + left, s->size),
                        .picture = at(picture, y * row->width + x, s->size),
                        .image_row = side->width * size,
                        .image_plane = side->height * side->width * size,
                        .picture_row = row->width * size,
                        .picture_plane = row->height * row->width * size,
                        .channels = row->channels,
                        .rows = smaller(high, side->height - top),
                        .width = (size_t)(smaller(wide, side->width - left) * size),
                        .ahead = s->lanes * side->height * side->width * size,
                        .back = back };
            odd |= copy_patch(p, s->size == sizeof(float));
        }
    }
    return odd;
}

void reel_winograd_transform_mosaic(const reel_winograd *s, const reel_winograd_operand *operand,
                                    reel_winograd_row *row)
{
    int64_t edge = operand->transform == s->kernels->image ? 2 : 0, columns = row->tiles * s->m + edge;
    bool back = operand->transform == s->kernels->result;
    char *picture = at(row->stage, (s->m + 2) * REEL_WINOGRAD_COLUMNS * s->lanes, s->size);
    row->height = s->m + edge;
    row->width = REEL_WINOGRAD_COLUMNS;
    reel_winograd_row flat = *row;
    flat.images = picture;
    flat.total = s->lanes * row->height * row->width;
    flat.plane = flat.y = flat.x = 0;
    if (!back) {
        memset(picture, 0, (size_t)flat.total * s->size);
        if (copy_mosaic(s, operand, row, columns, picture, false) && operand->odd) atomic_store(operand->odd, true);
    }
    operand->transform(&flat);
    if (back) copy_mosaic(s, operand, row, columns, picture, true);
}
