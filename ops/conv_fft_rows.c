// SPDX-License-Identifier: MIT
// Rows of planes to half spectra and back, two real rows in one complex transform.
#include <reel/ops/conv_fft.h>
#include <reel/ops/fftw_plans.h>
#include <string.h>

enum { LINE_POINTS = 2048, MOST_LINES = 8 }; /* points of the lines that are transformed at once, and these */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t count_of(const reel_fft_rows *r) { return r->views * r->side->channels * r->side->rows; }
static int64_t line_of(const reel_fft_rows *r) { return r->cut->n[2] + 8; } /* one number more, and alignment */

bool reel_fft_rows_prepare(const reel_exec *exec, reel_fft_rows *r, reel_dtype dtype, bool back)
{
    r->element = reel_dtype_size(dtype);
    r->unit = 2 * r->element;
    r->kernels = reel_spectrum_kernels_of_dtype(exec->isa, dtype);
    r->batch = larger(1, smaller(MOST_LINES, LINE_POINTS / r->cut->n[2]));
    r->of_view = r->side->channels * r->side->rows | 1;
    r->stride = ((r->views * r->of_view + 1) | 1) * r->cut->lanes; /* one row more: the last one's partner */
    r->plan = reel_fftw_plan(exec, &(reel_fftw_shape) { .dtype = dtype,
                                                        .sign = back ? -r->side->sign : r->side->sign,
                                                        .n = r->cut->n[2],
                                                        .count = r->batch });
    r->scratch_size = reel_bytes((size_t)(2 * r->batch * line_of(r)), r->unit);
    r->scratch = reel_scratch(exec, reel_bytes(r->scratch_size, (size_t)exec->threads));
    return r->plan && r->scratch;
}

/* Row `index` of all rows, in memory (low == high where there is none), and where its spectrum is. */
static reel_spectrum_row row_at(const reel_fft_rows *r, int64_t index, void **spectrum)
{
    const reel_fft_side *s = r->side;
    reel_spectrum_row row = { .data = r->planes };
    int64_t per_view = s->channels * s->rows, v = index / per_view, in_view = index % per_view,
            channel = in_view / s->rows, in_plane = in_view % s->rows;
    *spectrum = (char *)r->lines + (size_t)((v * r->of_view + in_view) * r->cut->lanes) * r->unit;
    if (v >= r->views) return row;
    int64_t tiles = reel_conv_volume(s->tiles), outer = (r->view + v) / tiles, tile = (r->view + v) % tiles;
    int64_t t[3] = { tile / s->tiles[2] / s->tiles[1], tile / s->tiles[2] % s->tiles[1], tile % s->tiles[2] }, from[3];
    for (int i = 0; i < 3; i++) from[i] = s->first[i] + t[i] * s->step[i];
    from[0] += in_plane / s->count[1];
    from[1] += in_plane % s->count[1];
    if (from[0] < 0 || from[0] >= s->size[0] || from[1] < 0 || from[1] >= s->size[1]) return row;
    int64_t low = larger(0, -from[2]), high = smaller(s->count[2], s->size[2] - from[2]);
    if (low >= high) return row;
    int64_t line = ((outer * s->channels + channel) * s->size[0] + from[0]) * s->size[1] + from[1];
    row.low = low;
    row.high = high;
    row.data = (char *)r->planes + (size_t)(line * s->size[2] + from[2] + low) * r->element;
    if (r->epilogue && r->epilogue->bias) row.bias = (const char *)r->epilogue->bias + (size_t)channel * r->element;
    return row;
}

/* Chunks of some batches, so that each is worth a thread's while. */
static int64_t pairs_per_chunk(const reel_fft_rows *r)
{
    return r->batch * larger(1, LINE_POINTS * 8 / (r->batch * r->cut->n[2]));
}

typedef struct pair {
    reel_spectrum_row rows[2];
    void *spectra[2];
} pair;

static pair pair_at(const reel_fft_rows *r, int64_t index)
{
    pair p;
    for (int i = 0; i < 2; i++) p.rows[i] = row_at(r, 2 * index + i, &p.spectra[i]);
    return p;
}

/* One chunk: batches of pairs through their lines, there or back. */
static void transform(const reel_fft_rows *r, int64_t chunk, int worker, bool back)
{
    const reel_fft_cut *cut = r->cut;
    int64_t n = cut->n[2], first = chunk * pairs_per_chunk(r), pairs = (count_of(r) + 1) / 2;
    char *in = r->scratch + (size_t)worker * r->scratch_size, *out = in + (size_t)(r->batch * line_of(r)) * r->unit;
    size_t line = (size_t)n * r->unit;
    reel_spectrum_place place = { r->side->at[2], r->side->spread[2], n };
    pair batch[MOST_LINES];
    for (int64_t end = smaller(pairs, first + pairs_per_chunk(r)); first < end; first += r->batch) {
        int64_t count = smaller(r->batch, end - first);
        for (int64_t i = 0; i < count; i++) { /* in order: join writes the number behind its line */
            batch[i] = pair_at(r, first + i);
            if (back)
                r->kernels->join(batch[i].spectra, n, cut->blocks, cut->lanes, r->stride, in + (size_t)i * line);
            else
                r->kernels->load(batch[i].rows, &place, in + (size_t)i * line);
        }
        if (count < r->batch) memset(in + (size_t)count * line, 0, (size_t)(r->batch - count) * line);
        reel_fftw_execute(r->plan, in, out);
        for (int64_t i = count - 1; i >= 0; i--) { /* from the last: so does split */
            if (back)
                r->kernels->store(batch[i].rows, &place, out + (size_t)i * line, r->scale,
                                  r->epilogue && r->epilogue->relu);
            else
                r->kernels->split(out + (size_t)i * line, n, cut->blocks, cut->lanes, r->stride, batch[i].spectra);
        }
    }
}

static void there_chunk(void *arg, int64_t chunk, int worker) { transform(arg, chunk, worker, false); }
static void back_chunk(void *arg, int64_t chunk, int worker) { transform(arg, chunk, worker, true); }

static void run(const reel_exec *exec, const reel_fft_rows *r, reel_task *task)
{
    int64_t pairs = (count_of(r) + 1) / 2;
    reel_parallel(exec, (pairs + pairs_per_chunk(r) - 1) / pairs_per_chunk(r), task, (void *)r);
}

void reel_fft_rows_there(const reel_exec *exec, const reel_fft_rows *rows) { run(exec, rows, there_chunk); }

void reel_fft_rows_back(const reel_exec *exec, const reel_fft_rows *rows)
{
    size_t row = (size_t)rows->cut->lanes * rows->unit;
    char *partner = (char *)rows->lines + (size_t)(rows->views * rows->of_view) * row;
    for (int64_t block = 0; block < rows->cut->blocks && count_of(rows) % 2; block++)
        memset(partner + (size_t)(block * rows->stride) * rows->unit, 0, row);
    run(exec, rows, back_chunk);
}
