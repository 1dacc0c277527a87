// SPDX-License-Identifier: MIT
// Pictures as PNG files, 8 bits a channel, gray or RGB.
#ifndef REEL_CORE_PNG_H
#define REEL_CORE_PNG_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* Reads a picture as uint8 [C, H, W], C = 1 (gray) or 3 (RGB). Palettes become RGB, 16 bits become 8, transparency is
 * dropped. `channels` 1 or 3 converts (gray = 0.299 R + 0.587 G + 0.114 B), 0 takes what the file has. */
REEL_API reel_tensor *reel_png_read(reel_ctx *ctx, const char *path, int channels);

/* Writes [H, W], [1, H, W] or [3, H, W]: uint8, or float in [0, 1] (values outside are clamped, NaN is black). */
REEL_API bool reel_png_write(reel_ctx *ctx, const char *path, reel_tensor *picture);

/* Writes [N, C, H, W] (or [N, H, W]) as one picture of `columns` columns (0: near square), `gap` pixels apart. */
REEL_API bool reel_png_write_grid(reel_ctx *ctx, const char *path, reel_tensor *pictures, int columns, int gap);

REEL_END

#endif
