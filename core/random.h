// SPDX-License-Identifier: MIT
// Random numbers by counter (Philox4x32-10, Salmon et al. 2011): same numbers at any number of threads.
#ifndef REEL_CORE_RANDOM_H
#define REEL_CORE_RANDOM_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* A stream of numbers: a key and a position. Plain data: copy it to repeat numbers, store it to resume. */
typedef struct reel_generator {
    uint64_t seed;
    uint64_t offset; /* in blocks of four 32-bit words */
} reel_generator;

/* The context's own generator, used wherever a generator argument is NULL. */
REEL_API reel_generator *reel_ctx_generator(reel_ctx *ctx);

/* Four words of block `block` of the stream. */
REEL_API void reel_philox(uint64_t seed, uint64_t block, uint32_t word[4]);

/* Single draws, for shuffles and augmentation: uniform in [0, 1), integer in [0, n), standard normal. Without a generator
 * (NULL): NaN, 0, NaN. */
REEL_API double reel_generator_uniform(reel_generator *generator);
REEL_API int64_t reel_generator_below(reel_generator *generator, int64_t n);
REEL_API double reel_generator_normal(reel_generator *generator);

/* Tensors of draws, float32 or float64; recorded, so that playing again gives the same numbers. Uniform ones in [low, high)
 * are the same on every machine. Normal ones are Box & Muller's (1958): the first two words of a block make elements 0 and
 * 1 in float32, a radius sqrt(-2 log u) times cosine and sine of an angle, the other two elements 2 and 3; in float64 a
 * block makes two elements. Instruction sets round them differently. */
REEL_API reel_tensor *reel_rand(reel_ctx *ctx, reel_generator *generator, reel_shape shape, reel_dtype dtype,
                                double low, double high);
REEL_API reel_tensor *reel_randn(reel_ctx *ctx, reel_generator *generator, reel_shape shape, reel_dtype dtype,
                                 double mean, double std);

REEL_END

#endif
