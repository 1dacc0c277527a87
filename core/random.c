// SPDX-License-Identifier: MIT
// Random numbers: Philox4x32-10 and the ops that draw tensors from it.
#include <reel/core/clean.h>
#include <reel/core/internal.h>
#include <math.h>
#include <reel/ops/kernels/random.h>
#include <string.h>

reel_generator *reel_ctx_generator(reel_ctx *ctx) { return ctx ? &ctx->generator : NULL; }

/* Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; constants of the Random123 reference. */
void reel_philox(uint64_t seed, uint64_t block, uint32_t word[4])
{
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    if (!word) return;
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}

static double uniform_double(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

double reel_generator_uniform(reel_generator *generator)
{
    if (!generator) return NAN;
    uint32_t word[4];
    reel_philox(generator->seed, generator->offset++, word);
    return uniform_double(word[0], word[1]);
}

int64_t reel_generator_below(reel_generator *generator, int64_t n)
{
    if (n <= 1 || !generator) return 0;
    /* Rejection keeps every number equally likely. */
    uint64_t range = (uint64_t)n, limit = UINT64_MAX - UINT64_MAX % range;
    for (;;) {
        uint32_t word[4];
        reel_philox(generator->seed, generator->offset++, word);
        uint64_t draw = (uint64_t)word[0] << 32 | word[1];
        if (draw < limit) return (int64_t)(draw % range);
        draw = (uint64_t)word[2] << 32 | word[3];
        if (draw < limit) return (int64_t)(draw % range);
    }
}

/* Box & Muller 1958. */
static void normal_pair(double u, double v, double pair[2])
{
    double radius = sqrt(-2 * log1p(-u)), angle = 6.283185307179586476925 * v;
    pair[0] = radius * cos(angle);
    pair[1] = radius * sin(angle);
}

double reel_generator_normal(reel_generator *generator)
{
    if (!generator) return NAN;
    uint32_t word[4];
    double pair[2];
    reel_philox(generator->seed, generator->offset++, word);
    normal_pair(uniform_double(word[0], word[1]), uniform_double(word[2], word[3]), pair);
    return pair[0];
}

/* Tensors of draws */

typedef struct rand_attrs {
    reel_shape shape;
    reel_dtype dtype;
    double a, b; /* low and high, or mean and standard deviation */
    uint64_t seed, offset;
} rand_attrs;

static bool infer_rand(reel_infer *infer)
{
    const rand_attrs *attrs = infer->attrs;
    if (!reel_dtype_is_float(attrs->dtype))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "draws are float32 or float64, not %s", reel_dtype_name(attrs->dtype));
    return reel_infer_out(infer, 0, attrs->dtype, attrs->shape);
}

#define CHUNK 4096 /* elements; a multiple of four */
#define TILE 64    /* blocks drawn at once */

/* Element i of float32 takes word i % 4 of block i / 4, of float64 two words. */
static void uniform(const rand_attrs *attrs, const uint32_t *word, int64_t n, int64_t at, void *out)
{
    double low = attrs->a, range = attrs->b - attrs->a;
    if (attrs->dtype == REEL_F64) {
        for (int64_t i = 0; i < n; i++) ((double *)out)[at + i] = low + range * uniform_double(word[2 * i], word[2 * i + 1]);
        return;
    }
    float *y = (float *)out + at, high = (float)attrs->b, end = range > 0 ? high : INFINITY;
    float last = nextafterf(high, (float)low);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float rounded = (float)(low + range * ((double)(int32_t)(word[i] >> 8) * 0x1p-24));
        y[i] = rounded >= end ? last : rounded; /* stays below `high` */
    }
}

static void rand_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const reel_play *play = arg;
    const rand_attrs *attrs = play->attrs;
    const reel_random_kernels *kernels = reel_random_kernels_for(reel_large_isa(play->exec->isa, attrs->dtype));
    bool wide = attrs->dtype == REEL_F64;
    int64_t begin = chunk * CHUNK, end = begin + CHUNK < play->out->numel ? begin + CHUNK : play->out->numel;
    int64_t per_block = wide ? 2 : 4;
    uint64_t block = attrs->offset + (uint64_t)(begin / per_block);
    if (play->op->name[4] == 'n') {
        char *to = (char *)play->out->data + begin * (wide ? 8 : 4);
        kernels->normal[wide](end - begin, attrs->seed, block, attrs->a, attrs->b, to);
        return;
    }
    uint32_t word[4 * TILE];
    for (int64_t n; begin < end; begin += n, block += TILE) {
        n = end - begin < TILE * per_block ? end - begin : TILE * per_block;
        kernels->words(TILE, attrs->seed, block, word);
        uniform(attrs, word, n, begin, play->out->data);
    }
}

static bool play_rand(const reel_play *play)
{
    reel_parallel(play->exec, (play->out->numel + CHUNK - 1) / CHUNK, rand_chunk, (void *)(uintptr_t)play);
    return true;
}

static const reel_op reel_op_rand = { .name = "rand", .infer = infer_rand, .play = play_rand, .flags = REEL_OP_RANDOM,
                                      .attrs_size = sizeof(rand_attrs), .key_size = offsetof(rand_attrs, seed) };
static const reel_op reel_op_randn = { .name = "randn", .infer = infer_rand, .play = play_rand, .flags = REEL_OP_RANDOM,
                                       .attrs_size = sizeof(rand_attrs), .key_size = offsetof(rand_attrs, seed) };

static reel_tensor *draw(reel_ctx *ctx, const reel_op *op, reel_generator *generator, reel_shape shape, reel_dtype dtype,
                         double a, double b)
{
    if (!ctx || ctx->error) return NULL;
    if (!generator) generator = &ctx->generator;
    rand_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.shape = reel_shape_clean(shape);
    attrs.dtype = dtype;
    attrs.a = a;
    attrs.b = b;
    attrs.seed = generator->seed;
    attrs.offset = generator->offset;
    reel_tensor *drawn = reel_apply_in(ctx, op, NULL, 0, &attrs, NULL);
    if (drawn) generator->offset += (uint64_t)(drawn->numel + 1) / 2;
    return drawn;
}

reel_tensor *reel_rand(reel_ctx *ctx, reel_generator *generator, reel_shape shape, reel_dtype dtype, double low, double high)
{
    if (ctx && (!(low <= high) || !isfinite(high - low))) return reel_fail(ctx, REEL_ERROR_VALUE, "rand: low is %g and high is %g", low, high);
    return draw(ctx, &reel_op_rand, generator, shape, dtype, low, high);
}

reel_tensor *reel_randn(reel_ctx *ctx, reel_generator *generator, reel_shape shape, reel_dtype dtype, double mean, double std)
{
    if (ctx && !(std >= 0)) return reel_fail(ctx, REEL_ERROR_VALUE, "randn: the standard deviation is %g", std);
    return draw(ctx, &reel_op_randn, generator, shape, dtype, mean, std);
}
