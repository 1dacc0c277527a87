// SPDX-License-Identifier: MIT
// Pictures as PNG files, 8 bits a channel, gray or RGB, through libpng.
#include <math.h>
#include <png.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_LIMIT 1000000 /* libpng's own, too */

/* What libpng's callbacks need: where to jump and which file to name. */
typedef struct png_job {
    reel_ctx *ctx;
    const char *path;
    reel_reader reader;
    reel_writer writer;
    int64_t at;
} png_job;

static void on_error(png_structp png, png_const_charp message)
{
    png_job *job = png_get_error_ptr(png);
    reel_fail(job->ctx, REEL_ERROR_IO, "%s: %s", job->path, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep to, size_t bytes)
{
    png_job *job = png_get_io_ptr(png);
    if (!reel_reader_at(&job->reader, job->at, to, bytes)) png_error(png, "cannot be read");
    job->at += (int64_t)bytes;
}

static void on_write(png_structp png, png_bytep data, size_t bytes)
{
    png_job *job = png_get_io_ptr(png);
    if (!reel_writer_put(&job->writer, data, bytes)) png_error(png, "cannot be written");
}

static void on_flush(png_structp png) { (void)png; }

/* Asks libpng for 8-bit gray or RGB, whatever the file has. */
static int convert(png_structp png, png_infop info, int channels)
{
    int color = png_get_color_type(png, info);
    png_set_strip_16(png);
    png_set_packing(png);
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (!(color & PNG_COLOR_MASK_COLOR) && png_get_bit_depth(png, info) < 8) png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
    int own = color & PNG_COLOR_MASK_COLOR ? 3 : 1;
    if (channels == 3 && own == 1) png_set_gray_to_rgb(png);
    if (channels == 1 && own == 3) png_set_rgb_to_gray(png, PNG_ERROR_ACTION_NONE, 0.299, 0.587);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return channels ? channels : own;
}

/* The pixels, interleaved, in *pixels; both pointers are the caller's to free, also after false. */
static bool decode(png_job *job, png_structp png, png_infop info, int channels, unsigned char **pixels,
                   png_bytep **rows, reel_shape *shape)
{
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_read_fn(png, job, on_read);
    png_set_user_limits(png, SIDE_LIMIT, SIDE_LIMIT);
    png_read_info(png, info);
    int64_t height = png_get_image_height(png, info), width = png_get_image_width(png, info);
    /* Deflate shrinks by 1,032 at most: a header that promises more than that costs no memory. */
    if ((int64_t)png_get_rowbytes(png, info) * height / 1100 > job->reader.size)
        png_error(png, "truncated: too few bytes");
    *shape = REEL_SHAPE(convert(png, info, channels), height, width);
    size_t stride = png_get_rowbytes(png, info);
    if (stride != (size_t)(shape->dim[0] * width)) png_error(png, "has a layout this reader does not know");
    *pixels = reel_host_alloc(job->ctx, (size_t)height, stride);
    *rows = reel_host_alloc(job->ctx, (size_t)height, sizeof **rows);
    if (!*pixels || !*rows) return false;
    for (int64_t h = 0; h < height; h++) (*rows)[h] = *pixels + (size_t)h * stride;
    png_read_image(png, *rows);
    png_read_end(png, NULL);
    return true;
}

/* [H, W, C] to [C, H, W]. */
static reel_tensor *planes(reel_ctx *ctx, const unsigned char *pixels, reel_shape shape)
{
    int64_t channels = shape.dim[0], area = shape.dim[1] * shape.dim[2];
    if (channels == 1) return reel_from(ctx, shape, REEL_U8, pixels);
    unsigned char *plane = reel_host_alloc(ctx, (size_t)channels, (size_t)area);
    if (!plane) return NULL;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < area; i++) plane[c * area + i] = pixels[i * channels + c];
    reel_tensor *picture = reel_from(ctx, shape, REEL_U8, plane);
    free(plane);
    return picture;
}

reel_tensor *reel_png_read(reel_ctx *ctx, const char *path, int channels)
{
    if (reel_ctx_error(ctx)) return NULL;
    if (channels != 0 && channels != 1 && channels != 3) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "png_read: channels must be 0, 1 or 3, not %d", channels);
    }
    png_job job = { .ctx = ctx, .path = path };
    unsigned char signature[8];
    reel_tensor *picture = NULL;
    unsigned char *pixels = NULL;
    png_bytep *rows = NULL;
    png_structp png = NULL;
    png_infop info = NULL;
    reel_shape shape;
    if (!reel_reader_open(&job.reader, ctx, path)) goto done;
    if (job.reader.size < 8) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: is no PNG file: %lld bytes are too few", path, (long long)job.reader.size);
        goto done;
    }
    if (!reel_reader_at(&job.reader, 0, signature, 8)) goto done;
    if (png_sig_cmp(signature, 0, 8) != 0) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: is no PNG file: its first bytes are others", path);
        goto done;
    }
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
    info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to read %s", path);
    } else if (decode(&job, png, info, channels, &pixels, &rows, &shape)) {
        picture = planes(ctx, pixels, shape);
    }
done:
    if (png) png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    free(pixels);
    reel_reader_close(&job.reader);
    return picture;
}

static bool encode(png_job *job, png_structp png, png_infop info, const unsigned char *pixels, int64_t channels,
                   int64_t height, int64_t width)
{
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_write_fn(png, job, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                 channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t h = 0; h < height; h++) png_write_row(png, pixels + h * width * channels);
    png_write_end(png, NULL);
    return true;
}

/* Writes interleaved bytes [H, W, C]. */
static bool write_pixels(reel_ctx *ctx, const char *path, const unsigned char *pixels, int64_t channels, int64_t height,
                         int64_t width)
{
    png_job job = { .ctx = ctx, .path = path };
    png_structp png = NULL;
    png_infop info = NULL;
    bool ok = reel_writer_open(&job.writer, ctx, path);
    if (ok) {
        png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
        info = png ? png_create_info_struct(png) : NULL;
        if (!info) reel_fail(ctx, REEL_ERROR_MEMORY, "no memory to write %s", path);
        ok = info && encode(&job, png, info, pixels, channels, height, width);
    }
    if (png) png_destroy_write_struct(&png, &info);
    return reel_writer_close(&job.writer, ok) && ok;
}

static unsigned char to_byte(double value)
{
    return value > 0 ? (unsigned char)(fmin(value, 1) * 255 + 0.5) : 0; /* NaN is not above 0 */
}

/* Element i as a byte. */
static unsigned char pixel(const void *data, reel_dtype dtype, int64_t i)
{
    if (dtype == REEL_F32) return to_byte(((const float *)data)[i]);
    if (dtype == REEL_F64) return to_byte(((const double *)data)[i]);
    return ((const unsigned char *)data)[i];
}

/* Pictures [n, c, h, w] laid out in `columns`, with a gap around none but between all. */
static bool write_pictures(reel_ctx *ctx, const char *path, reel_tensor *x, const int64_t size[4], int64_t columns,
                           int64_t gap)
{
    int64_t n = size[0], channels = size[1], h = size[2], w = size[3], rows = (n + columns - 1) / columns;
    int64_t height, width;
    if (__builtin_mul_overflow(rows, h + gap, &height) || __builtin_mul_overflow(columns, w + gap, &width) ||
        height - gap > SIDE_LIMIT || width - gap > SIDE_LIMIT) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a picture of more than %d pixels a side", path, SIDE_LIMIT);
    }
    height -= gap;
    width -= gap;
    const void *data = reel_data(x);
    if (!data) return false;
    unsigned char *pixels = reel_host_alloc(ctx, (size_t)(height * width), (size_t)channels);
    if (!pixels) return false;
    memset(pixels, 128, (size_t)(height * width * channels));
    reel_dtype dtype = reel_dtype_of(x);
    for (int64_t i = 0; i < n * channels * h * w; i++) {
        int64_t at_w = i % w, at_h = i / w % h, c = i / (w * h) % channels, k = i / (w * h * channels);
        int64_t row = k / columns * (h + gap) + at_h, column = k % columns * (w + gap) + at_w;
        pixels[(row * width + column) * channels + c] = pixel(data, dtype, i);
    }
    bool ok = write_pixels(ctx, path, pixels, channels, height, width);
    free(pixels);
    return ok;
}

static bool check(reel_ctx *ctx, const char *path, reel_tensor *x, const int64_t size[4])
{
    char text[REEL_SHAPE_TEXT];
    reel_dtype dtype = reel_dtype_of(x);
    if (dtype != REEL_U8 && !reel_dtype_is_float(dtype)) {
        return reel_fail(ctx, REEL_ERROR_DTYPE, "%s: a picture is uint8 or float, not %s", path,
                         reel_dtype_name(dtype));
    }
    if ((size[1] != 1 && size[1] != 3) || size[0] < 1 || size[2] < 1 || size[3] < 1) {
        return reel_fail(ctx, REEL_ERROR_SHAPE, "%s: %s is no picture of 1 or 3 channels", path,
                         reel_shape_format(reel_shape_of(x), text));
    }
    return true;
}

bool reel_png_write(reel_ctx *ctx, const char *path, reel_tensor *picture)
{
    if (!picture) reel_fail(ctx, REEL_ERROR_CONTEXT, "png_write: the picture is missing (NULL)");
    if (!picture || reel_ctx_error(ctx)) return false;
    int ndim = reel_ndim(picture);
    bool planar = ndim == 3;
    int64_t size[4] = { 1, planar ? reel_size(picture, 0) : 1, reel_size(picture, -2), reel_size(picture, -1) };
    if (ndim != 2 && !planar) size[1] = 0;
    return check(ctx, path, picture, size) && write_pictures(ctx, path, picture, size, 1, 0);
}

bool reel_png_write_grid(reel_ctx *ctx, const char *path, reel_tensor *pictures, int columns, int gap)
{
    if (!pictures) reel_fail(ctx, REEL_ERROR_CONTEXT, "png_write_grid: the pictures are missing (NULL)");
    if (!pictures || reel_ctx_error(ctx)) return false;
    int ndim = reel_ndim(pictures);
    int64_t size[4] = { reel_size(pictures, 0), ndim == 4 ? reel_size(pictures, 1) : 1, reel_size(pictures, -2),
                        reel_size(pictures, -1) };
    if (ndim != 3 && ndim != 4) size[1] = 0;
    if (!check(ctx, path, pictures, size)) return false;
    if (columns < 0 || gap < 0 || gap > SIDE_LIMIT) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %d columns with gaps of %d make no grid", path, columns, gap);
    }
    int64_t across = columns ? columns : (int64_t)ceil(sqrt((double)size[0]));
    return write_pictures(ctx, path, pictures, size, across < size[0] ? across : size[0], gap);
}
