// SPDX-License-Identifier: MIT
// Planes to spectra and back: rows of some planes, then their columns, in a core's cache.
#include <reel/ops/conv_fft.h>
#include <reel/ops/sizes.h>

enum { LANES = REEL_SPECTRUM_LANES, CHUNK_POINTS = 16 << 10 };
enum { LINES_BYTES = 48 << 10, MOST_BYTES = 1 << 20, FEW_PLANES = 8, MOST_CHUNKS = 32 };

int64_t reel_fft_view_stride(const reel_fft_cut *cut, int64_t channels) { return (channels | 1) * cut->lanes; }

/* Planes whose rows and columns a worker does in one go, in the second cache, without cutting a pair of rows. 0 where
 * planes are large, or few. */
static int64_t planes_together(const reel_fft_spectra *s)
{
    int64_t rows = s->side->rows, of_plane = rows * s->cut->blocks * s->cut->lanes * (int64_t)s->unit,
            planes = s->views * s->side->channels, together = smaller(LINES_BYTES / of_plane, planes / MOST_CHUNKS);
    if (s->cut->columns == 1 || of_plane > MOST_BYTES || planes < FEW_PLANES) return 0;
    return rows % 2 ? larger(2, together & ~1) : larger(1, together);
}

/* Rows of a chunk where they go apart: batches worth a thread's while. */
static int64_t rows_together(const reel_fft_spectra *s)
{
    return 2 * s->batch * larger(1, CHUNK_POINTS / (s->batch * s->cut->n[2]));
}

bool reel_fft_spectra_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back)
{
    const reel_fft_cut *cut = s->cut;
    bool lines = cut->columns == 1; /* are the spectra */
    s->unit = 2 * reel_dtype_size(s->dtype);
    s->kernels = reel_spectrum_kernels_of_dtype(exec->isa, s->dtype);
    s->of_view = reel_fft_view_stride(cut, s->side->channels);
    s->of_point = lines ? LANES : ((s->views * (s->side->channels | 1)) | 1) * LANES;
    s->of_block = lines ? ((s->views * (s->side->channels | 1) + 1) | 1) * cut->lanes : cut->columns * s->of_point;
    s->together = planes_together(s);
    int64_t rows = (s->together ? s->together : s->views * s->side->channels) * s->side->rows;
    s->of_lines = lines ? s->of_block : ((rows + 1) | 1) * LANES;
    if (!reel_fft_rows_prepare(exec, s, back) || (!lines && !reel_fft_columns_prepare(exec, s, back))) return false;
    size_t of_rows = (size_t)(cut->blocks * s->of_lines) * s->unit;
    if (!s->together && !lines && !(s->lines = reel_scratch(exec, of_rows))) return false;
    s->lines_at = reel_fft_rows_scratch(s);
    s->work_at = s->lines_at + (s->together ? of_rows : 0);
    s->scratch_size = s->work_at + (size_t)(lines ? 0 : reel_fft_columns_work(cut)) * s->unit;
    s->scratch_size = (s->scratch_size + 63) & ~(size_t)63;
    s->scratch = reel_scratch(exec, reel_bytes(s->scratch_size, (size_t)exec->threads));
    return s->scratch;
}

size_t reel_fft_spectra_bytes(const reel_fft_spectra *s)
{
    return reel_bytes(reel_bytes((size_t)s->cut->blocks, (size_t)s->of_block), s->unit);
}

static void *spectrum_of(const reel_fft_spectra *s, int64_t block, int64_t plane)
{
    int64_t channels = s->side->channels;
    return at(s->spectra, block * s->of_block + plane / channels * s->of_view + plane % channels * LANES, s->unit);
}

static void columns(const reel_fft_spectra *s, int64_t block, int64_t plane, void *lines, int64_t ahead, void *work,
                    bool back)
{
    void *spectrum = spectrum_of(s, block, plane);
    if (back && block == 0) s->kernels->pair(spectrum, s->cut->n, s->of_point, back);
    reel_fft_columns_transform(s, lines, spectrum, ahead, work, back);
    if (!back && block == 0) s->kernels->pair(spectrum, s->cut->n, s->of_point, back);
}

static void planes_chunk(const reel_fft_spectra *s, int64_t chunk, char *scratch, bool back)
{
    int64_t first = chunk * s->together, last = smaller(s->views * s->side->channels, first + s->together);
    int64_t rows = s->side->rows;
    void *lines = scratch + s->lines_at;
    if (!back) reel_fft_rows_transform(s, first * rows, (last - first) * rows, lines, scratch, back);
    for (int64_t block = 0; block < s->cut->blocks; block++)
        for (int64_t p = first; p < last; p++) {
            int64_t ahead = p + 1 < last ? LANES : s->of_block - (last - first - 1) * LANES;
            columns(s, block, p, at(lines, block * s->of_lines + (p - first) * rows * LANES, s->unit), ahead,
                    scratch + s->work_at, back);
        }
    if (back) reel_fft_rows_transform(s, first * rows, (last - first) * rows, lines, scratch, back);
}

static void rows_chunk(const reel_fft_spectra *s, int64_t chunk, char *scratch, bool back)
{
    int64_t channels = s->side->channels, all = s->views * channels * s->side->rows, first = chunk * rows_together(s);
    void *lines = s->cut->columns == 1
                      ? at(s->spectra, first / channels * s->of_view + first % channels * s->cut->lanes, s->unit)
                      : at(s->lines, first * LANES, s->unit);
    reel_fft_rows_transform(s, first, smaller(all - first, rows_together(s)), lines, scratch, back);
}

static void columns_chunk(const reel_fft_spectra *s, int64_t chunk, char *scratch, bool back)
{
    int64_t planes = s->views * s->side->channels, block = chunk / planes, plane = chunk % planes;
    void *lines = at(s->lines, block * s->of_lines + plane * s->side->rows * LANES, s->unit);
    columns(s, block, plane, lines, LANES, scratch + s->work_at, back);
}

static int64_t rows_chunks(const reel_fft_spectra *s)
{
    return blocks(s->views * s->side->channels * s->side->rows, rows_together(s));
}

static int64_t columns_chunks(const reel_fft_spectra *s)
{
    return s->cut->columns == 1 ? 0 : s->cut->blocks * s->views * s->side->channels;
}

#define CHUNK(kind, way, back)                                                                                         \
    static void kind##_##way(void *arg, int64_t chunk, int worker)                                                     \
    {                                                                                                                  \
        const reel_fft_spectra *s = arg;                                                                               \
        kind##_chunk(s, chunk, s->scratch + (size_t)worker * s->scratch_size, back);                                   \
    }
CHUNK(planes, there, false)
CHUNK(planes, back, true)
CHUNK(rows, there, false)
CHUNK(rows, back, true)
CHUNK(columns, there, false)
CHUNK(columns, back, true)
#undef CHUNK

static void run(const reel_exec *exec, const reel_fft_spectra *s, reel_task *planes, reel_task *first, int64_t firsts,
                reel_task *then, int64_t thens)
{
    void *arg = (void *)s;
    if (s->together) {
        reel_parallel(exec, blocks(s->views * s->side->channels, s->together), planes, arg);
        return;
    }
    reel_parallel(exec, firsts, first, arg);
    reel_parallel(exec, thens, then, arg);
}

void reel_fft_spectra_there(const reel_exec *exec, const reel_fft_spectra *s)
{
    run(exec, s, planes_there, rows_there, rows_chunks(s), columns_there, columns_chunks(s));
}

void reel_fft_spectra_back(const reel_exec *exec, const reel_fft_spectra *s)
{
    run(exec, s, planes_back, columns_back, columns_chunks(s), rows_back, rows_chunks(s));
}
