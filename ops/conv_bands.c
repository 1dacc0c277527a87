// SPDX-License-Identifier: MIT
// Bands of an image with their halo: cutting, copying, and tables of offsets.
#include <reel/ops/conv_bands.h>
#include <reel/ops/sizes.h>

reel_conv_bands reel_conv_band_cut(const reel_conv_gather *gather, const int64_t size[3], int64_t channels,
                                   int64_t images, size_t element, double work, bool copy)
{
    reel_conv_bands b = { .slab = gather->grid[0] > 1 ? 0 : gather->grid[1] > 1 ? 1 : 2, .copied = copy };
    int64_t reach[3];
    for (int i = 0; i < 3; i++) {
        int64_t low = gather->off[i][0], high = low;
        for (int64_t t = 1; t < gather->taps[i]; t++) {
            if (gather->off[i][t] < low) low = gather->off[i][t];
            if (gather->off[i][t] > high) high = gather->off[i][t];
        }
        b.lowest[i] = low;
        reach[i] = high - low + 1;
        b.extent[i] = (gather->grid[i] - 1) * gather->step[i] + reach[i];
        if (low < 0 || low + b.extent[i] > size[i]) b.copied = true;
    }
    /* Bands small enough to stay in a core's cache and to keep several threads busy, large enough to be worth a chunk.
     */
    int64_t grid = gather->grid[b.slab], row = channels * (int64_t)element * gather->step[b.slab];
    for (int i = 0; i < 3; i++) row *= i == b.slab ? 1 : b.extent[i];
    int64_t by_cache = (384 << 10) / (row > 0 ? row : 1), by_threads = blocks(grid, blocks(16, images));
    int64_t by_work = (int64_t)(1e6 / (work / (double)grid)) + 1;
    b.rows = by_cache < by_threads ? by_cache : by_threads;
    if (b.rows < by_work) b.rows = by_work;
    if (b.rows > grid) b.rows = grid;
    b.rows = blocks(grid, blocks(grid, b.rows));
    b.count = blocks(grid, b.rows);
    b.extent[b.slab] = (b.rows - 1) * gather->step[b.slab] + reach[b.slab];
    b.step = gather->step[b.slab];
    for (int i = 0; i < 3; i++) b.size[i] = size[i];
    if (!b.copied)
        for (int i = 0; i < 3; i++) b.extent[i] = size[i];
    b.channel = reel_conv_volume(b.extent);
    return b;
}

const void *reel_conv_band_fetch(const reel_conv_bands *b, const reel_conv_kernels_of *kernels, size_t element,
                                 const void *src, int64_t src_c, int64_t channels, int64_t row, void *copy)
{
    int64_t from[3] = { b->lowest[0], b->lowest[1], b->lowest[2] };
    from[b->slab] += row * b->step;
    if (!b->copied)
        return (const char *)src + ((from[0] * b->extent[1] + from[1]) * b->extent[2] + from[2]) * (int64_t)element;
    reel_conv_band band = { .src = src, .src_c = src_c, .channels = channels, .to = copy, .to_c = b->channel };
    for (int i = 0; i < 3; i++) {
        band.size[i] = b->size[i];
        band.from[i] = from[i];
        band.extent[i] = b->extent[i];
    }
    kernels->pad(&band);
    return copy;
}

int64_t *reel_conv_band_taps(const reel_exec *exec, const reel_conv_bands *bands, const reel_conv_gather *gather,
                             int64_t channels)
{
    const int64_t *extent = bands->extent, *lowest = bands->lowest;
    size_t count = (size_t)(channels * reel_conv_volume(gather->taps));
    int64_t *taps = reel_scratch(exec, reel_bytes(count, sizeof *taps)), *to = taps;
    if (!taps) return NULL;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t a = 0; a < gather->taps[0]; a++)
            for (int64_t b = 0; b < gather->taps[1]; b++)
                for (int64_t t = 0; t < gather->taps[2]; t++) {
                    int64_t plane = gather->off[0][a] - lowest[0],
                            row = plane * extent[1] + gather->off[1][b] - lowest[1];
                    *to++ = c * bands->channel + row * extent[2] + gather->off[2][t] - lowest[2];
                }
    return taps;
}

int64_t *reel_conv_band_points(const reel_exec *exec, const reel_conv_bands *bands, const reel_conv_gather *gather)
{
    const int64_t *extent = bands->extent, *step = gather->step;
    int64_t points[3] = { gather->grid[0], gather->grid[1], gather->grid[2] };
    points[bands->slab] = bands->rows;
    int64_t *pixels = reel_scratch(exec, reel_bytes((size_t)reel_conv_volume(points), sizeof *pixels)), *to = pixels;
    if (!pixels) return NULL;
    for (int64_t z = 0; z < points[0]; z++)
        for (int64_t y = 0; y < points[1]; y++)
            for (int64_t x = 0; x < points[2]; x++)
                *to++ = (z * step[0] * extent[1] + y * step[1]) * extent[2] + x * step[2];
    return pixels;
}
