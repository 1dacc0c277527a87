// SPDX-License-Identifier: MIT
// Digits drawn by the program itself.
#include "digits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, MOST_POINTS = 24 };

// A glyph is one or two strokes: points in a box of [-1, 1] by [-1, 1], y downwards; NAN lifts the pen.
#define LIFT { NAN, NAN }
static const float glyphs[10][MOST_POINTS][2] = {
    { { 0, -.95f }, { -.45f, -.75f }, { -.62f, -.2f }, { -.6f, .35f }, { -.4f, .8f }, { 0, .95f }, { .42f, .8f }, { .6f, .35f },
      { .62f, -.2f }, { .45f, -.75f }, { 0, -.95f } },
    { { -.3f, -.6f }, { .05f, -.95f }, { .05f, .95f } },
    { { -.55f, -.55f }, { -.35f, -.85f }, { .05f, -.95f }, { .42f, -.8f }, { .55f, -.45f }, { .4f, -.05f }, { -.1f, .45f },
      { -.6f, .92f }, { .65f, .92f } },
    { { -.5f, -.8f }, { -.1f, -.95f }, { .35f, -.85f }, { .5f, -.5f }, { .3f, -.15f }, { -.1f, -.05f }, { .35f, .05f },
      { .58f, .4f }, { .4f, .82f }, { -.05f, .95f }, { -.55f, .8f } },
    { { .2f, -.95f }, { -.65f, .3f }, { .7f, .3f }, LIFT, { .35f, -.25f }, { .35f, .95f } },
    { { .55f, -.92f }, { -.4f, -.92f }, { -.5f, -.1f }, { -.1f, -.25f }, { .35f, -.15f }, { .58f, .25f }, { .45f, .7f },
      { 0, .95f }, { -.55f, .8f } },
    { { .35f, -.95f }, { -.15f, -.65f }, { -.48f, -.1f }, { -.55f, .45f }, { -.3f, .88f }, { .1f, .95f }, { .48f, .75f },
      { .52f, .35f }, { .25f, .05f }, { -.15f, .08f }, { -.5f, .4f } },
    { { -.6f, -.9f }, { .6f, -.9f }, { .2f, -.2f }, { -.15f, .95f }, LIFT, { -.25f, .0f }, { .45f, .0f } },
    { { .05f, -.05f }, { -.4f, -.3f }, { -.42f, -.75f }, { 0, -.95f }, { .42f, -.75f }, { .4f, -.3f }, { .05f, -.05f },
      { -.45f, .3f }, { -.52f, .7f }, { 0, .95f }, { .52f, .7f }, { .45f, .3f }, { .05f, -.05f } },
    { { .45f, -.45f }, { .2f, -.1f }, { -.25f, -.12f }, { -.5f, -.45f }, { -.35f, -.85f }, { .05f, -.95f }, { .4f, -.8f },
      { .48f, -.45f }, { .48f, .95f } },
};

static float segment_distance(const float a[2], const float b[2], float x, float y)
{
    float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy;
    float t = length > 0 ? ((x - a[0]) * dx + (y - a[1]) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    dx = a[0] + t * dx - x;
    dy = a[1] + t * dy - y;
    return sqrtf(dx * dx + dy * dy);
}

static float draw(reel_generator *random, float low, float high)
{
    return low + (high - low) * (float)reel_generator_uniform(random);
}

static void draw_digit(int digit, reel_generator *random, uint8_t *pixels)
{
    float slant = draw(random, -.25f, .25f), angle = draw(random, -.15f, .15f), width = draw(random, 5.5f, 8.5f);
    float height = draw(random, 8.f, 9.8f), x0 = 13.5f + draw(random, -1.5f, 1.5f), y0 = 13.5f + draw(random, -1.5f, 1.5f);
    float thickness = draw(random, .7f, 1.6f), noise = draw(random, 0, 24), points[MOST_POINTS][2];
    int n = 0;
    for (; n < MOST_POINTS && (n == 0 || glyphs[digit][n][0] != 0 || glyphs[digit][n][1] != 0); n++) {
        float u = glyphs[digit][n][0] + draw(random, -.07f, .07f), v = glyphs[digit][n][1] + draw(random, -.07f, .07f);
        u -= slant * v;
        points[n][0] = x0 + width * (u * cosf(angle) - v * sinf(angle));
        points[n][1] = y0 + height * (u * sinf(angle) + v * cosf(angle));
    }
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float distance = SIDE;
            for (int k = 0; k + 1 < n; k++) {
                if (isnan(points[k][0]) || isnan(points[k + 1][0])) continue;
                float d = segment_distance(points[k], points[k + 1], (float)x, (float)y);
                if (d < distance) distance = d;
            }
            float ink = 255 * (thickness + .5f - distance);
            ink = ink < 0 ? 0 : ink > 255 ? 255 : ink;
            ink += draw(random, -noise, noise);
            pixels[y * SIDE + x] = (uint8_t)(ink < 0 ? 0 : ink > 255 ? 255 : ink);
        }
}

reel_dataset *digits_draw(reel_ctx *ctx, int64_t count, uint64_t seed)
{
    reel_dataset *data = NULL;
    REEL_SCOPE(ctx)
    {
        uint8_t *pixels = malloc((size_t)count * SIDE * SIDE);
        int64_t *labels = malloc((size_t)count * sizeof *labels);
        reel_generator random = { .seed = seed };
        if (!pixels || !labels) {
            reel_fail(ctx, REEL_ERROR_MEMORY, "there is no memory for %lld digits", (long long)count);
        } else {
            for (int64_t i = 0; i < count; i++) {
                labels[i] = i % 10;
                draw_digit((int)labels[i], &random, pixels + i * SIDE * SIDE);
            }
            reel_tensor *fields[] = { reel_from(ctx, REEL_SHAPE(count, 1, SIDE, SIDE), REEL_U8, pixels),
                                      reel_longs(ctx, REEL_SHAPE(count), labels) };
            if (fields[0] && fields[1]) data = reel_dataset_from_tensors(fields, 2);
        }
        free(pixels);
        free(labels);
    }
    return data;
}
