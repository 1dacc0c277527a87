// SPDX-License-Identifier: MIT
// What a convolution algorithm is to the rest: support, cost and passes over plain memory. Not installed.
#ifndef REEL_OPS_CONV_ALGO_H
#define REEL_OPS_CONV_ALGO_H

#include <reel/core/dtype.h>
#include <reel/core/exec.h>
#include <reel/core/op.h>
#include <reel/ops/conv.h>

/* A convolution as numbers, always in three spatial axes (those that are missing come first, with size and kernel 1):
 *     y[n, k, o] = sum over c, t of x[n, c, o * stride - pad + t * dilation] * w[k, c, t]
 * where x is zero outside [0, in) and c runs over the c / groups channels of k's group. The zeros behind the image are
 * given by `out`. `pad` is never negative; taps may lie wholly in the padding. All memory is row-major:
 * x: [n, c, in], w: [k, c / groups, kernel], y: [n, k, out]. No size is 0. An axis with kernel 1, stride 1 and no
 * padding has been merged with the one before it where that has stride 1: a 1x1 convolution comes as one axis of H * W.
 */
typedef struct reel_conv_geom {
    reel_dtype dtype; /* REEL_F32 or REEL_F64 */
    int lanes;        /* of it in a vector, as costs count them; 0: as with AVX2 */
    int64_t n, groups, c, k;
    int64_t in[3], kernel[3], out[3];
    int64_t stride[3], dilation[3], pad[3];
} reel_conv_geom;

typedef enum reel_conv_pass { REEL_CONV_FORWARD, REEL_CONV_INPUT_GRAD, REEL_CONV_WEIGHT_GRAD } reel_conv_pass;

/* What is done to every element of a result of forward or input_grad before it is stored: plus its channel's bias
 * (NULL: none), then max(0, .) if relu. */
typedef struct reel_conv_epilogue {
    const void *bias;
    bool relu;
    const reel_play *play; /* whose input 1 is the weight, for reel_play_keep; or NULL */
    const struct reel_conv_pool *pool; /* asked only along images, forward in two dimensions: instead of the result */
} reel_conv_epilogue;

/* The result becomes y[n, k, i, j] = the maximum of the 2 x 2 results from (2 i, 2 j) on, then max(0, .) if relu; taps,
 * where not NULL, tell which of them it is, row by row (a NaN wins). */
typedef struct reel_conv_pool {
    uint8_t *taps;
    bool relu, taps_turned;
} reel_conv_pool;

/* What a layout depends on, of numbers that are not used 0. Of a cache line's multiple, so that what lies behind it is
 * aligned. */
typedef struct reel_conv_key {
    int64_t of[16];
} reel_conv_key;

/* Memory for the weight in an algorithm's layout, which tag and size tell apart: kept from play to play where it may be
 * (ready: it is filled), or scratch. NULL when memory is short. A layout (< 64) is of one algorithm and of one of
 * forward and input gradient, and says all that it depends on besides the weight's shape and groups, but for what a
 * key (or NULL) says: under one tag and size there is one key at a time. */
#define REEL_CONV_TAG(layout, groups) ((uint32_t)(layout) + 64 * (uint32_t)(groups))
void *reel_conv_filters(const reel_exec *exec, const reel_conv_epilogue *epilogue, uint32_t tag,
                        const reel_conv_key *key, size_t bytes, bool *ready);

/* A pass with its operands and result:
 *     forward      (x, w) -> y
 *     input grad   (gy, w) -> gx
 *         gx[n, c, i] = sum over k, o, t with o * stride - pad + t * dilation = i of gy[n, k, o] * w[k, c, t]
 *     weight grad  (x, gy) -> gw
 *         gw[k, c, t] = sum over n, o of gy[n, k, o] * x[n, c, o * stride - pad + t * dilation]
 * Images may lie turned (ops/turned.h); that is asked only along images. */
typedef struct reel_conv_call {
    const reel_conv_geom *g;
    reel_conv_pass pass;
    const void *a, *b;
    const reel_conv_epilogue *epilogue; /* not of a weight gradient */
    void *result;                       /* or what is pooled of it, if the epilogue pools */
    bool a_turned, b_turned, result_turned;
} reel_conv_call;

/* One algorithm. `run` returns false when scratch memory is short; it overwrites all of the result, whose bits may depend
 * on the geometry and on exec->isa but not on exec->threads. */
typedef struct reel_conv_impl {
    const char *name;
    int tile; /* of algorithms that differ in it alone */
    /* Whether the pass can be done: all of the geometry, and sizes of scratch within reason. */
    bool (*supports)(const reel_conv_geom *g, reel_conv_pass pass);
    /* Estimated nanoseconds, about three quarters of those on a busy core of Zen 3 with AVX2; only the order among
     * algorithms matters. INFINITY: only on demand. */
    double (*cost)(const reel_conv_geom *g, reel_conv_pass pass);
    bool (*run)(const struct reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call);
} reel_conv_impl;

extern const reel_conv_impl reel_conv_naive, reel_conv_direct, reel_conv_depthwise, reel_conv_im2col, reel_conv_dots,
    reel_conv_phases, reel_conv_images, reel_conv_winograd_rows, reel_conv_winograd_columns,
    reel_conv_winograd_columns_forward, reel_conv_winograd2, reel_conv_winograd4, reel_conv_winograd6;
#ifdef REEL_HAVE_FFTW
extern const reel_conv_impl reel_conv_fft;
#endif

/* The algorithm a pass is played with: `wanted` when it supports the pass, else the one of least cost. */
const reel_conv_impl *reel_conv_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_conv_algo wanted);

/* Plays a pass by an algorithm, and tells a profile by which. */
bool reel_conv_run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call);

/* The algorithm of a pass if it runs along images, the geometry as it is (no axes joined): then it pools as well and takes
 * images turned. Else NULL. */
const reel_conv_impl *reel_conv_along_images(const reel_conv_geom *g, reel_conv_pass pass, reel_conv_algo wanted);

/* All of them, in no order. */
extern const reel_conv_impl *const reel_conv_impls[];
extern const int reel_conv_n_impls;

/* The algorithm measured to be the fastest, from REEL_CONV_AUTOTUNE's file or by measuring now (the call's result is
 * overwritten); NULL when that is not set. False and an error when the file is damaged or cannot be written. */
bool reel_conv_tuned(const reel_exec *exec, const reel_conv_call *call, const reel_conv_impl **impl);

/* Plays a pass by the algorithm chosen, for any geometry: sizes may be 0. */
bool reel_conv_pass_play(const reel_exec *exec, reel_conv_algo wanted, const reel_conv_call *call);

/* Lanes of a vector, and their part of AVX2's, whose time a vector of any length is taken to be. */
static inline int64_t reel_conv_lanes(const reel_conv_geom *g)
{
    return g->lanes ? g->lanes : g->dtype == REEL_F32 ? 8 : 4;
}
static inline double reel_conv_width(const reel_conv_geom *g)
{
    return (double)reel_conv_lanes(g) / (g->dtype == REEL_F32 ? 8 : 4);
}

/* 2 n k out (c / groups) kernel: the arithmetic of the plain loops. */
double reel_conv_flops(const reel_conv_geom *g);

static inline int64_t reel_conv_volume(const int64_t size[3]) { return size[0] * size[1] * size[2]; }

/* result[n, k, p] = act(0 + bias[k]) throughout: what is left of a sum over nothing. */
void reel_conv_fill(reel_dtype dtype, int64_t n, int64_t channels, int64_t volume, const reel_conv_epilogue *epilogue,
                    void *result);

/* The same of an input gradient, where strides leave points that no tap reaches. */
void reel_conv_fill_unreached(const reel_conv_geom *g, const reel_conv_epilogue *epilogue, void *gx);

/* Whether x[0], ..., x[count - 1] are numbers and finite: where zeros between rows have met pixels that a tap does not see, an
 * infinity there gives NaN, and the sum is done again by an algorithm without them. */
bool reel_conv_all_finite(reel_dtype dtype, int64_t count, const void *x);

/* A pass as a gather: result points m of a grid take source points m * step + off[tap], and go to m * place_step +
 * first. Forward is one of these. An input gradient is one for each residue of the stride, with the taps that meet it.
 */
typedef struct reel_conv_gather {
    int64_t grid[3], step[3], place_step[3], first[3];
    int64_t taps[3];
    int64_t *off[3]; /* by axis, `taps` long            */
    int64_t *tap[3]; /* the kernel's index of each tap  */
} reel_conv_gather;

/* Calls `each` for the gather of a forward pass, or for all of an input gradient's; stops and returns false when it
 * does. Scratch for the lists comes from exec. A gather without taps has some taps[i] == 0. */
bool reel_conv_gathers(const reel_exec *exec, const reel_conv_geom *g, reel_conv_pass pass,
                       bool (*each)(void *arg, const reel_conv_gather *gather), void *arg);

#endif
