// SPDX-License-Identifier: MIT
// From a convolution's geometry to the algorithm that plays it, and the parts all algorithms share.
#include <math.h>
#include <reel/ops/conv_algo.h>
#include <reel/ops/sizes.h>
#include <stdlib.h>
#include <string.h>

const reel_conv_impl *const reel_conv_impls[] = {
    &reel_conv_naive,  &reel_conv_direct,        &reel_conv_depthwise, &reel_conv_im2col,    &reel_conv_dots,
    &reel_conv_phases, &reel_conv_images, &reel_conv_winograd_rows, &reel_conv_winograd_columns,
    &reel_conv_winograd_columns_forward, &reel_conv_winograd2, &reel_conv_winograd4, &reel_conv_winograd6,
#ifdef REEL_HAVE_FFTW
    &reel_conv_fft,
#endif
};
const int reel_conv_n_impls = sizeof reel_conv_impls / sizeof reel_conv_impls[0];

double reel_conv_flops(const reel_conv_geom *g)
{
    return 2.0 * (double)g->n * (double)g->k * (double)reel_conv_volume(g->out) * (double)(g->c / g->groups) *
           (double)reel_conv_volume(g->kernel);
}

static bool is_wanted(const reel_conv_impl *impl, reel_conv_algo wanted)
{
    static const char *const names[] = { [REEL_CONV_NAIVE] = "naive",
                                         [REEL_CONV_DIRECT] = "direct",
                                         [REEL_CONV_IM2COL] = "im2col",
                                         [REEL_CONV_WINOGRAD2] = "winograd2",
                                         [REEL_CONV_WINOGRAD4] = "winograd4",
                                         [REEL_CONV_WINOGRAD6] = "winograd6",
                                         [REEL_CONV_FFT] = "fft",
                                         [REEL_CONV_IMAGES] = "images",
                                         [REEL_CONV_WINOGRAD_ROWS] = "winograd_rows",
                                         [REEL_CONV_WINOGRAD_COLUMNS] = "winograd_columns" };
    if (wanted == REEL_CONV_AUTO) return true;
    if (wanted == REEL_CONV_WINOGRAD) return strncmp(impl->name, "winograd", 8) == 0;
    return strcmp(impl->name, names[wanted]) == 0;
}

const reel_conv_impl *reel_conv_choose(const reel_conv_geom *g, reel_conv_pass pass, reel_conv_algo wanted)
{
    const reel_conv_impl *best = NULL;
    double least = 0;
    for (int i = 0; i < reel_conv_n_impls; i++) {
        const reel_conv_impl *impl = reel_conv_impls[i];
        if (!is_wanted(impl, wanted) || !impl->supports(g, pass)) continue;
        double cost = impl->cost(g, pass);
        if (!best || cost < least) {
            best = impl;
            least = cost;
        }
    }
    if (best) return best;
    return wanted == REEL_CONV_AUTO ? &reel_conv_naive : reel_conv_choose(g, pass, REEL_CONV_AUTO);
}

/* Joins axis i + 1 to axis i where only axis i has taps, so that rows become longer. */
static bool merge_axis(reel_conv_geom *g, int i)
{
    int j = i + 1;
    if (g->kernel[j] != 1 || g->stride[j] != 1 || g->pad[j] != 0 || g->out[j] != g->in[j] || g->stride[i] != 1)
        return false;
    int64_t in, out, pad, dilation, reach;
    if (__builtin_mul_overflow(g->in[i], g->in[j], &in) || __builtin_mul_overflow(g->out[i], g->in[j], &out) ||
        __builtin_mul_overflow(g->pad[i], g->in[j], &pad) ||
        __builtin_mul_overflow(g->dilation[i], g->in[j], &dilation) ||
        __builtin_mul_overflow(g->kernel[i], dilation, &reach) || __builtin_add_overflow(reach, pad, &reach) ||
        __builtin_add_overflow(reach, in, &reach))
        return false;
    g->in[j] = in;
    g->out[j] = out;
    g->pad[j] = pad;
    g->dilation[j] = g->kernel[i] == 1 ? 1 : dilation;
    g->kernel[j] = g->kernel[i];
    for (; i > 0; i--) {
        g->in[i] = g->in[i - 1];
        g->out[i] = g->out[i - 1];
        g->pad[i] = g->pad[i - 1];
        g->dilation[i] = g->dilation[i - 1];
        g->kernel[i] = g->kernel[i - 1];
        g->stride[i] = g->stride[i - 1];
    }
    g->in[0] = g->out[0] = g->kernel[0] = g->stride[0] = g->dilation[0] = 1;
    g->pad[0] = 0;
    return true;
}

static bool is_point(const reel_conv_geom *g, int i) { return g->in[i] == 1 && g->out[i] == 1 && g->kernel[i] == 1; }

static reel_conv_geom simplified(const reel_conv_geom *g)
{
    reel_conv_geom s = *g;
    for (int i = 0; i < 3; i++) {
        if (s.out[i] == 1) s.stride[i] = 1; /* one result: the stride is never taken */
        if (s.kernel[i] == 1) s.dilation[i] = 1;
    }
    while (!is_point(&s, 1) && merge_axis(&s, 1)) {
    }
    if (!is_point(&s, 0)) merge_axis(&s, 0);
    return s;
}

const reel_conv_impl *reel_conv_along_images(const reel_conv_geom *g, reel_conv_pass pass, reel_conv_algo wanted)
{
    reel_conv_geom s = simplified(g);
    if (memcmp(s.in, g->in, sizeof s.in) != 0) return NULL;
    const reel_conv_impl *impl = reel_conv_choose(&s, pass, wanted);
    return impl == &reel_conv_images || impl == &reel_conv_winograd_rows ? impl : NULL;
}

void reel_conv_fill(reel_dtype dtype, int64_t n, int64_t channels, int64_t volume, const reel_conv_epilogue *epilogue,
                    void *result)
{
    for (int64_t i = 0; i < n * channels; i++) {
        const void *bias = epilogue ? epilogue->bias : NULL;
        double value = !bias               ? 0
                       : dtype == REEL_F32 ? ((const float *)bias)[i % channels]
                                           : ((const double *)bias)[i % channels];
        if (epilogue && epilogue->relu && value < 0) value = 0;
        for (int64_t p = 0; p < volume; p++) {
            if (dtype == REEL_F32)
                ((float *)result)[i * volume + p] = (float)value;
            else
                ((double *)result)[i * volume + p] = value;
        }
    }
}

void reel_conv_fill_unreached(const reel_conv_geom *g, const reel_conv_epilogue *epilogue, void *gx)
{
    bool reached = true;
    for (int i = 0; i < 3; i++) reached &= g->stride[i] == 1 || (g->dilation[i] == 1 && g->kernel[i] >= g->stride[i]);
    if (!reached) reel_conv_fill(g->dtype, g->n, g->c, reel_conv_volume(g->in), epilogue, gx);
}

bool reel_conv_all_finite(reel_dtype dtype, int64_t count, const void *x)
{
    bool finite = true;
    for (int64_t i = 0; i < count; i++)
        finite &= isfinite(dtype == REEL_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i]);
    return finite;
}

void *reel_conv_filters(const reel_exec *exec, const reel_conv_epilogue *epilogue, uint32_t tag,
                        const reel_conv_key *key, size_t bytes, bool *ready)
{
    reel_conv_key *kept = NULL;
    size_t head = key ? sizeof *key : 0;
    *ready = false;
    if (epilogue->play && bytes < SIZE_MAX - head)
        kept = reel_play_keep(epilogue->play, 1, tag, head + bytes, ready);
    if (!kept) return reel_scratch(exec, bytes);
    if (!key) return kept;
    *ready = *ready && memcmp(kept, key, sizeof *key) == 0;
    *kept = *key;
    return kept + 1;
}

bool reel_conv_run(const reel_conv_impl *impl, const reel_exec *exec, const reel_conv_call *call)
{
    if (exec->method) *exec->method = impl->name;
    return impl->run(impl, exec, call);
}

bool reel_conv_pass_play(const reel_exec *exec, reel_conv_algo wanted, const reel_conv_call *of)
{
    reel_conv_geom g = *of->g;
    reel_conv_call call = *of;
    const reel_conv_impl *impl = NULL;
    if (call.a_turned || call.b_turned || call.result_turned || (call.epilogue && call.epilogue->pool)) {
        /* As it was planned, unless the environment has asked for another algorithm since. */
        impl = reel_conv_along_images(&g, call.pass, wanted);
        return reel_conv_run(impl ? impl : &reel_conv_images, exec, of);
    }
    call.g = &g;
    g = simplified(&g);
    if (g.c == 0 && call.pass == REEL_CONV_FORWARD)
        reel_conv_fill(g.dtype, g.n, g.k, reel_conv_volume(g.out), call.epilogue, call.result);
    if (g.n == 0 && call.pass == REEL_CONV_WEIGHT_GRAD)
        memset(call.result, 0, (size_t)(g.k * (g.c / g.groups) * reel_conv_volume(g.kernel)) * reel_dtype_size(g.dtype));
    if (g.n == 0 || g.c == 0) return true;
    if (wanted == REEL_CONV_AUTO && !reel_conv_tuned(exec, &call, &impl)) return false;
    return reel_conv_run(impl ? impl : reel_conv_choose(&g, call.pass, wanted), exec, &call);
}

/* The taps that reach residue `residue` of axis i, and from where. */
static void axis_gather(const reel_conv_geom *g, int i, int64_t residue, reel_conv_gather *gather)
{
    gather->grid[i] = (g->in[i] - residue + g->stride[i] - 1) / g->stride[i];
    gather->step[i] = 1;
    gather->place_step[i] = g->stride[i];
    gather->first[i] = residue;
    gather->taps[i] = 0;
    for (int64_t t = g->kernel[i] - 1; t >= 0; t--) { /* by growing offset */
        int64_t from = residue + g->pad[i] - t * g->dilation[i];
        if (from % g->stride[i] != 0) continue;
        gather->tap[i][gather->taps[i]] = t;
        gather->off[i][gather->taps[i]++] = from / g->stride[i];
    }
}

bool reel_conv_gathers(const reel_exec *exec, const reel_conv_geom *g, reel_conv_pass pass,
                       bool (*each)(void *arg, const reel_conv_gather *gather), void *arg)
{
    reel_conv_gather gather;
    size_t total = (size_t)(g->kernel[0] + g->kernel[1] + g->kernel[2]);
    int64_t *lists = reel_scratch(exec, reel_bytes(reel_bytes(2, total), sizeof(int64_t)));
    if (!lists) return false;
    for (int i = 0; i < 3; i++) {
        gather.off[i] = lists;
        gather.tap[i] = lists + g->kernel[i];
        lists += 2 * g->kernel[i];
    }
    if (pass == REEL_CONV_FORWARD) {
        for (int i = 0; i < 3; i++) {
            gather.grid[i] = g->out[i];
            gather.step[i] = g->stride[i];
            gather.place_step[i] = 1;
            gather.first[i] = 0;
            gather.taps[i] = g->kernel[i];
            for (int64_t t = 0; t < g->kernel[i]; t++) {
                gather.tap[i][t] = t;
                gather.off[i][t] = t * g->dilation[i] - g->pad[i];
            }
        }
        return each(arg, &gather);
    }
    int64_t residues[3];
    for (int i = 0; i < 3; i++) residues[i] = smaller(g->stride[i], g->in[i]);
    for (int64_t a = 0; a < residues[0]; a++) {
        axis_gather(g, 0, a, &gather);
        for (int64_t b = 0; b < residues[1]; b++) {
            axis_gather(g, 1, b, &gather);
            for (int64_t c = 0; c < residues[2]; c++) {
                axis_gather(g, 2, c, &gather);
                if (!each(arg, &gather)) return false;
            }
        }
    }
    return true;
}
