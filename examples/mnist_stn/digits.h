// SPDX-License-Identifier: MIT
// Digits drawn by the program itself: an honest stand-in where MNIST is not at hand.
#ifndef MNIST_STN_DIGITS_H
#define MNIST_STN_DIGITS_H

#include <reel/reel.h>

// `count` digits, the classes in turn: field 0 uint8 [1, 28, 28], field 1 int64, as reel_dataset_mnist gives them. Each
// is the strokes of its glyph under random slant, scale, shift, wobble and thickness, with noise; the same for the same
// seed.
reel_dataset *digits_draw(reel_ctx *ctx, int64_t count, uint64_t seed);

#endif
