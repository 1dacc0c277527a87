// SPDX-License-Identifier: MIT
// Random changes of pictures that leave their meaning, by the samplers that train through them elsewhere.
#include <inttypes.h>
#include <math.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/augment.h>
#include <reel/ops/conv.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/shape.h>
#include <stdlib.h>

#define PI 3.14159265358979323846
#define SIGMA_LIMIT 1000

static double between(reel_generator *generator, double low, double high)
{
    return low + (high - low) * reel_generator_uniform(generator);
}

/* Where one picture's crop begins, in pixels of the picture. */
static double crop_start(reel_generator *generator, int64_t size, int64_t crop, int64_t padding)
{
    return (double)(reel_generator_below(generator, size + 2 * padding - crop + 1) - padding);
}

/* The map from a place in the result to the place in the picture it shows, both in [-1, 1] from edge to edge:
 *   source = (R(-angle) / scale) (centre of the crop + place - shift), mirrored, in pixels from the picture's centre.
 */
static void draw_theta(const reel_augment_opts *opts, const int64_t size[4], const int64_t out[2],
                       reel_generator *generator, double theta[6])
{
    double h = (double)size[2], w = (double)size[3], oh = (double)out[0], ow = (double)out[1];
    double low = opts->scale_low > 0 ? opts->scale_low : 1, high = opts->scale_high > 0 ? opts->scale_high : 1;
    double angle = between(generator, -opts->rotate, opts->rotate) * PI / 180, scale = between(generator, low, high);
    double dx = between(generator, -opts->shift, opts->shift) * w,
           dy = between(generator, -opts->shift, opts->shift) * h;
    double mirror_x = reel_generator_uniform(generator) < opts->flip ? -1 : 1;
    double mirror_y = reel_generator_uniform(generator) < opts->flip_vertical ? -1 : 1;
    double cx = crop_start(generator, size[3], out[1], opts->crop_padding) + (ow - w) / 2;
    double cy = crop_start(generator, size[2], out[0], opts->crop_padding) + (oh - h) / 2;
    /* y points down: a counter-clockwise turn of what is seen is this matrix's inverse. */
    double a = cos(angle) / scale, b = sin(angle) / scale;
    double m[2][2] = { { a * mirror_x, -b * mirror_x }, { b * mirror_y, a * mirror_y } };
    double tx = cx - dx, ty = cy - dy;
    theta[0] = m[0][0] * ow / w;
    theta[1] = m[0][1] * oh / w;
    theta[2] = (m[0][0] * tx + m[0][1] * ty) * 2 / w;
    theta[3] = m[1][0] * ow / h;
    theta[4] = m[1][1] * oh / h;
    theta[5] = (m[1][0] * tx + m[1][1] * ty) * 2 / h;
}

/* [N, 2, 3] of dtype. */
static reel_tensor *draw_thetas(reel_ctx *ctx, const reel_augment_opts *opts, const int64_t size[4],
                                const int64_t out[2], reel_dtype dtype, reel_generator *generator)
{
    double *theta = reel_host_alloc(ctx, (size_t)size[0], 6 * sizeof *theta);
    if (!theta) return NULL;
    for (int64_t n = 0; n < size[0]; n++) draw_theta(opts, size, out, generator, theta + 6 * n);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(size[0], 2, 3), theta);
    free(theta);
    return dtype == REEL_F64 ? x : reel_cast(x, dtype);
}

/* Weights of a Gaussian over 2 reach + 1 pixels, whose sum is 1. */
static reel_tensor *gaussian(reel_ctx *ctx, double sigma, int64_t reach, reel_dtype dtype)
{
    double *weight = reel_host_alloc(ctx, (size_t)(2 * reach + 1), sizeof *weight), sum = 0;
    if (!weight) return NULL;
    for (int64_t i = -reach; i <= reach; i++) sum += weight[i + reach] = exp(-0.5 * (double)(i * i) / (sigma * sigma));
    for (int64_t i = 0; i <= 2 * reach; i++) weight[i] /= sum;
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(1, 1, 2 * reach + 1, 1), weight);
    free(weight);
    return dtype == REEL_F64 ? x : reel_cast(x, dtype);
}

/* Smooth displacements [N, H, W, 2], in units of the grid: white noise through a Gaussian along both axes, which leaves
 * 1 / (2 sigma sqrt(pi)) of its standard deviation. */
static reel_tensor *draw_displacements(reel_ctx *ctx, const reel_augment_opts *opts, const int64_t size[4],
                                       const int64_t out[2], reel_dtype dtype, reel_generator *generator)
{
    double sigma = opts->elastic_sigma > 0 ? opts->elastic_sigma : 4;
    int64_t reach = (int64_t)ceil(3 * sigma);
    reel_tensor *noise = reel_randn(ctx, generator, REEL_SHAPE(2 * size[0], 1, out[0], out[1]), dtype, 0, 1);
    reel_tensor *weight = gaussian(ctx, sigma, reach, dtype);
    reel_tensor *down = reel_conv2d(noise, weight, NULL, &(reel_conv_opts) { .padding = { reach, 0 } });
    reel_tensor *across =
        reel_conv2d(down, reel_transpose(weight, 2, 3), NULL, &(reel_conv_opts) { .padding = { 0, reach } });
    reel_tensor *fields = reel_reshape(across, REEL_SHAPE(size[0], 2, out[0], out[1]));
    double unit = opts->elastic * 2 * sigma * sqrt(PI);
    const double per_axis[2] = { unit * 2 / (double)size[3], unit * 2 / (double)size[2] };
    reel_tensor *scale = reel_doubles(ctx, REEL_SHAPE(2), per_axis);
    return reel_mul(reel_permute(fields, REEL_DIMS(0, 2, 3, 1)), dtype == REEL_F64 ? scale : reel_cast(scale, dtype));
}

static const char *check(const reel_augment_opts *opts, const int64_t size[4], const int64_t out[2])
{
    double low = opts->scale_low, high = opts->scale_high;
    if (!(low >= 0) || !(high >= 0) || ((low > 0 ? low : 1) > (high > 0 ? high : 1)))
        return "its range of scales is empty";
    if (!isfinite(opts->rotate) || !isfinite(opts->shift) || !isfinite(high))
        return "an angle, shift or scale is no number";
    if (!(opts->elastic >= 0) || !(opts->elastic_sigma >= 0 && opts->elastic_sigma <= SIGMA_LIMIT) ||
        !(opts->noise >= 0)) {
        return "elastic, elastic_sigma and noise are numbers from 0 up";
    }
    if (opts->crop_padding < 0 || opts->crop_padding > INT32_MAX) return "its padding is negative";
    if (out[0] < 1 || out[1] < 1 || out[0] > size[2] + 2 * opts->crop_padding ||
        out[1] > size[3] + 2 * opts->crop_padding) {
        return "its crop is larger than the padded picture";
    }
    return NULL;
}

/* One affine_grid, bent if asked for, and one grid_sample. */
static reel_tensor *warp(reel_tensor *x, const reel_augment_opts *opts, const int64_t size[4], const int64_t out[2],
                         reel_generator *generator)
{
    reel_ctx *ctx = reel_ctx_of(x);
    reel_dtype dtype = reel_dtype_of(x);
    reel_tensor *theta = draw_thetas(ctx, opts, size, out, dtype, generator);
    reel_tensor *grid = reel_affine_grid(theta, REEL_SHAPE(size[0], size[1], out[0], out[1]), NULL);
    if (opts->elastic > 0) grid = reel_add(grid, draw_displacements(ctx, opts, size, out, dtype, generator));
    reel_grid_sample_opts how = { .mode = opts->mode, .padding_mode = opts->padding_mode };
    return reel_grid_sample(x, grid, &how);
}

reel_tensor *reel_augment(reel_tensor *x, const reel_augment_opts *opts, reel_generator *generator)
{
    static const reel_augment_opts defaults;
    if (!opts) opts = &defaults;
    if (!x) return NULL;
    reel_ctx *ctx = reel_ctx_of(x);
    char text[REEL_SHAPE_TEXT];
    if (reel_ndim(x) != 4 || !reel_dtype_is_float(reel_dtype_of(x))) {
        return reel_fail(ctx, REEL_ERROR_SHAPE, "augment: float pictures [N, C, H, W] are needed, not %s %s",
                         reel_dtype_name(reel_dtype_of(x)), reel_shape_format(reel_shape_of(x), text));
    }
    if (!generator) generator = reel_ctx_generator(ctx);
    const int64_t size[4] = { reel_size(x, 0), reel_size(x, 1), reel_size(x, 2), reel_size(x, 3) };
    const int64_t out[2] = { opts->crop_height ? opts->crop_height : size[2],
                             opts->crop_width ? opts->crop_width : size[3] };
    const char *wrong = check(opts, size, out);
    if (wrong) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "augment: of pictures %s: %s",
                         reel_shape_format(reel_shape_of(x), text), wrong);
    }
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        y = warp(x, opts, size, out, generator);
        if (opts->noise > 0) {
            y = reel_add(y, reel_randn(ctx, generator, reel_shape_of(y), reel_dtype_of(x), 0, opts->noise));
        }
        y = reel_scope_return(y);
    }
    return y;
}

bool reel_augment_batch(void *opts, reel_ctx *ctx, reel_batch *batch, reel_generator *generator)
{
    if (!reel_given(ctx, "augment_batch", "batch", batch)) return false;
    reel_tensor *y = reel_augment(batch->field[0], opts, generator);
    if (y) batch->field[0] = y;
    return y != NULL;
}
