// SPDX-License-Identifier: MIT
// Random poses through Reel's own sampler.
#include "distort.h"

#include <math.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "none", "rotate", "rts" };

bool distortion_parse(const char *name, distortion *how)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *how = (distortion)i;
            return true;
        }
    return false;
}

const char *distortion_name(distortion how) { return names[how]; }

static double between(reel_generator *generator, double low, double high)
{
    return low + (high - low) * reel_generator_uniform(generator);
}

// Where a pixel of the distorted digit comes from: theta of affine_grid.
static void draw_pose(distortion how, double share, reel_generator *generator, float theta[6])
{
    const double right_angle = 1.57079632679489661923;
    double widest = how == DISTORT_ROTATE ? right_angle : right_angle / 2;
    double angle = share * between(generator, -widest, widest), scale = 1, x = 0, y = 0;
    if (how == DISTORT_RTS) {
        scale = 1 + share * (between(generator, 0.7, 1.2) - 1);
        x = share * between(generator, -0.2, 0.2);
        y = share * between(generator, -0.2, 0.2);
    }
    double c = cos(angle) / scale, s = sin(angle) / scale;
    const double pose[6] = { c, -s, -(c * x - s * y), s, c, -(s * x + c * y) };
    for (int i = 0; i < 6; i++) theta[i] = (float)pose[i];
}

bool distort_batch(void *user, reel_ctx *ctx, reel_batch *batch, reel_generator *generator)
{
    const poses *drawn = user;
    double share = batch->epoch < drawn->widen ? 0.2 + 0.8 * (double)batch->epoch / (double)drawn->widen : 1;
    reel_tensor *x = batch->field[0];
    float *theta = malloc((size_t)batch->count * 6 * sizeof *theta);
    if (!theta) return reel_fail(ctx, REEL_ERROR_MEMORY, "there is no memory for %lld poses", (long long)batch->count) != NULL;
    static const float as_it_is[6] = { 1, 0, 0, 0, 1, 0 };
    for (int64_t i = 0; i < batch->count; i++)
        if (drawn->how == DISTORT_NONE)
            memcpy(theta + 6 * i, as_it_is, sizeof as_it_is);
        else
            draw_pose(drawn->how, share, generator, theta + 6 * i);
    reel_tensor *pose = reel_floats(ctx, REEL_SHAPE(batch->count, 2, 3), theta);
    free(theta);
    if (drawn->how != DISTORT_NONE) x = reel_grid_sample(x, reel_affine_grid(pose, reel_shape_of(x), NULL), NULL);
    batch->field[0] = reel_div_scalar(reel_sub_scalar(x, PIXEL_MEAN), PIXEL_STD);
    batch->field[2] = pose;
    batch->n_fields = 3;
    return batch->field[0] && pose;
}
