// SPDX-License-Identifier: MIT
// Rows of planes to half spectra and back, two real rows in one complex transform.
#include <reel/ops/conv_fft.h>
#include <reel/ops/fftw_plans.h>
#include <reel/ops/sizes.h>
#include <string.h>

enum { BATCH_POINTS = 2048, MOST_ROWS = 8 }; /* points of the rows that are transformed at once, and these */

static int64_t stride_of(const reel_fft_spectra *s) { return s->cut->n[2] + 8; } /* one number more, and alignment */

bool reel_fft_rows_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back)
{
    int64_t n = s->cut->n[2];
    s->batch = larger(1, smaller(MOST_ROWS, BATCH_POINTS / n));
    s->plan = reel_fftw_plan(
        exec, &(reel_fftw_shape) {
                  .dtype = s->dtype, .sign = back ? -s->side->sign : s->side->sign, .n = n, .count = s->batch });
    return s->plan;
}

size_t reel_fft_rows_scratch(const reel_fft_spectra *s) { return (size_t)(2 * s->batch * stride_of(s)) * s->unit; }

/* A row of a plane, and how to come to the next. */
typedef struct cursor {
    int64_t left; /* rows from here on */
    int64_t v, c, a, b, outer, from[3], low, high;
    void *line;
} cursor;

/* The image and the tile of view v. */
static void enter_view(const reel_fft_spectra *s, cursor *at)
{
    const reel_fft_side *side = s->side;
    int64_t view = s->view + at->v, tiles = reel_conv_volume(side->tiles), tile = view % tiles;
    at->outer = view / tiles;
    int64_t t[3] = { tile / side->tiles[2] / side->tiles[1], tile / side->tiles[2] % side->tiles[1],
                     tile % side->tiles[2] };
    for (int i = 0; i < 3; i++) at->from[i] = side->first[i] + t[i] * side->step[i];
    at->low = larger(0, -at->from[2]);
    at->high = smaller(side->count[2], side->size[2] - at->from[2]);
}

static cursor cursor_at(const reel_fft_spectra *s, int64_t row, int64_t rows, void *lines)
{
    const reel_fft_side *side = s->side;
    int64_t plane = row / side->rows, in_plane = row % side->rows;
    cursor at = { .left = rows,
                  .v = plane / side->channels,
                  .c = plane % side->channels,
                  .a = in_plane / side->count[1],
                  .b = in_plane % side->count[1],
                  .line = lines };
    enter_view(s, &at);
    return at;
}

/* The row here (low == high where there is none), to the next one. */
static reel_spectrum_row take_row(const reel_fft_spectra *s, cursor *at, void **line)
{
    const reel_fft_side *side = s->side;
    reel_spectrum_row row = { .data = s->planes };
    *line = at->line;
    if (at->left == 0) return row;
    int64_t a = at->from[0] + at->a, b = at->from[1] + at->b;
    if (a >= 0 && a < side->size[0] && b >= 0 && b < side->size[1] && at->low < at->high) {
        size_t element = s->unit / 2;
        int64_t place = ((at->outer * side->channels + at->c) * side->size[0] + a) * side->size[1] + b;
        row.low = at->low;
        row.high = at->high;
        row.data = (char *)s->planes + (size_t)(place * side->size[2] + at->from[2] + at->low) * element;
        if (s->epilogue && s->epilogue->bias) row.bias = (const char *)s->epilogue->bias + (size_t)at->c * element;
    }
    at->left--;
    at->line = (char *)at->line + (size_t)s->cut->lanes * s->unit;
    if (++at->b < side->count[1]) return row;
    at->b = 0;
    if (++at->a < side->count[0]) return row;
    at->a = 0;
    if (++at->c == side->channels) {
        at->c = 0;
        at->v++;
        enter_view(s, at);
        if (s->cut->columns == 1) /* lines are in their places */
            at->line = (char *)at->line + (size_t)(s->of_view - side->channels * s->cut->lanes) * s->unit;
    }
    return row;
}

typedef struct pair {
    reel_spectrum_row rows[2];
    void *lines[2];
} pair;

void reel_fft_rows_transform(const reel_fft_spectra *s, int64_t row, int64_t rows, void *lines, void *scratch,
                             bool back)
{
    const reel_fft_cut *cut = s->cut;
    int64_t n = cut->n[2], of_lines = s->of_lines;
    size_t row_size = (size_t)n * s->unit;
    char *in = scratch, *out = in + (size_t)(s->batch * stride_of(s)) * s->unit;
    reel_spectrum_place place = { s->side->at[2], s->side->spread[2], n };
    bool relu = s->epilogue && s->epilogue->relu;
    pair batch[MOST_ROWS];
    for (cursor at = cursor_at(s, row, rows, lines); at.left > 0;) {
        int64_t count = 0;
        for (; count < s->batch && at.left > 0; count++) { /* in order: join writes the number behind its row */
            pair *p = &batch[count];
            bool lone = at.left == 1;
            for (int i = 0; i < 2; i++) p->rows[i] = take_row(s, &at, &p->lines[i]);
            if (back && lone)
                for (int64_t block = 0; block < cut->blocks; block++)
                    memset((char *)p->lines[1] + (size_t)(block * of_lines) * s->unit, 0, (size_t)cut->lanes * s->unit);
            if (back)
                s->kernels->join(p->lines, n, cut->blocks, cut->lanes, of_lines, in + (size_t)count * row_size);
            else
                s->kernels->load(p->rows, &place, in + (size_t)count * row_size);
        }
        if (count < s->batch) memset(in + (size_t)count * row_size, 0, (size_t)(s->batch - count) * row_size);
        reel_fftw_execute(s->plan, in, out);
        for (int64_t i = count - 1; i >= 0; i--) { /* from the last: so does split */
            if (back)
                s->kernels->store(batch[i].rows, &place, out + (size_t)i * row_size, s->scale, relu);
            else
                s->kernels->split(out + (size_t)i * row_size, n, cut->blocks, cut->lanes, of_lines, batch[i].lines);
        }
    }
}
