// SPDX-License-Identifier: MIT
// Initialisers: they overwrite a parameter with constants or draws whose spread fits its fans.
#include <math.h>
#include <reel/core/operands.h>
#include <reel/nn/init.h>
#include <stdlib.h>

bool reel_fans(const reel_tensor *weight, int64_t *fan_in, int64_t *fan_out)
{
    if (!weight) return false;
    reel_shape shape = reel_shape_of(weight);
    if (shape.ndim < 2) {
        char text[REEL_SHAPE_TEXT];
        return reel_fail(reel_ctx_of(weight), REEL_ERROR_SHAPE,
                         "init: fans need two axes or more, and the tensor is %s", reel_shape_format(shape, text));
    }
    int64_t field = 1;
    for (int i = 2; i < shape.ndim; i++) field *= shape.dim[i]; /* part of a numel that fits */
    if (fan_in) *fan_in = shape.dim[1] * field;
    if (fan_out) *fan_out = shape.dim[0] * field;
    return true;
}

double reel_gain(reel_nonlinearity nonlinearity, double slope)
{
    switch (nonlinearity) {
    case REEL_GAIN_LINEAR: return 1;
    case REEL_GAIN_TANH: return 5.0 / 3;
    case REEL_GAIN_RELU: return sqrt(2);
    case REEL_GAIN_SELU: return 0.75;
    default: return sqrt(2 / (1 + slope * slope));
    }
}

/* Assigns what `value` was recorded as, and frees it. */
static reel_tensor *take(reel_tensor *x, reel_tensor *value)
{
    bool ok = value && reel_assign(x, value);
    reel_free(value);
    return ok ? x : NULL;
}

reel_tensor *reel_init_constant(reel_tensor *x, double value) { return x ? take(x, reel_full_like(x, value)) : NULL; }

reel_tensor *reel_init_uniform(reel_tensor *x, double low, double high, reel_generator *generator)
{
    if (!x) return NULL;
    return take(x, reel_rand(reel_ctx_of(x), generator, reel_shape_of(x), reel_dtype_of(x), low, high));
}

reel_tensor *reel_init_normal(reel_tensor *x, double mean, double std, reel_generator *generator)
{
    if (!x) return NULL;
    return take(x, reel_randn(reel_ctx_of(x), generator, reel_shape_of(x), reel_dtype_of(x), mean, std));
}

reel_tensor *reel_init_truncated_normal(reel_tensor *x, double mean, double std, double low, double high,
                                        reel_generator *generator)
{
    reel_ctx *ctx = reel_ctx_of(x);
    if (!x || reel_ctx_error(ctx)) return NULL;
    if (!generator) generator = reel_ctx_generator(ctx);
    double reach = fmin(fabs(low - mean), fabs(high - mean)) / std;
    if (!(std > 0) || !(low < high) || ((mean < low || mean > high) && !(reach < 3))) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "init_truncated_normal: N(%g, %g) hardly reaches [%g, %g]", mean, std,
                         low, high);
    }
    int64_t n = reel_numel(x);
    size_t size = reel_dtype_size(reel_dtype_of(x));
    void *data = malloc((size_t)n * size + 1);
    if (!data) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for %lld draws", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        double draw;
        do draw = mean + std * reel_generator_normal(generator);
        while (draw < low || draw > high);
        if (size == sizeof(float))
            ((float *)data)[i] = fminf(fmaxf((float)draw, (float)low), (float)high);
        else
            ((double *)data)[i] = draw;
    }
    bool ok = reel_set_data(x, data, (size_t)n * size);
    free(data);
    return ok ? x : NULL;
}

static double nonzero(double gain) { return gain != 0 ? gain : 1; }

/* gain / sqrt(fan), with a weight without elements no division. */
static double spread(double gain, double fan) { return fan > 0 ? gain / sqrt(fan) : 0; }

reel_tensor *reel_init_xavier_uniform(reel_tensor *x, double gain, reel_generator *generator)
{
    int64_t in, out;
    if (!reel_fans(x, &in, &out)) return NULL;
    double bound = spread(nonzero(gain) * sqrt(6), (double)in + (double)out);
    return reel_init_uniform(x, -bound, bound, generator);
}

reel_tensor *reel_init_xavier_normal(reel_tensor *x, double gain, reel_generator *generator)
{
    int64_t in, out;
    if (!reel_fans(x, &in, &out)) return NULL;
    return reel_init_normal(x, 0, spread(nonzero(gain) * sqrt(2), (double)in + (double)out), generator);
}

static bool kaiming_std(const reel_tensor *x, const reel_kaiming_opts *opts, double *std)
{
    static const reel_kaiming_opts defaults;
    if (!opts) opts = &defaults;
    int64_t in, out;
    if (!reel_fans(x, &in, &out)) return false;
    *std = spread(reel_gain(opts->nonlinearity, opts->slope), (double)(opts->fan_out ? out : in));
    return true;
}

reel_tensor *reel_init_kaiming_uniform(reel_tensor *x, const reel_kaiming_opts *opts, reel_generator *generator)
{
    double std;
    if (!kaiming_std(x, opts, &std)) return NULL;
    return reel_init_uniform(x, -sqrt(3) * std, sqrt(3) * std, generator);
}

reel_tensor *reel_init_kaiming_normal(reel_tensor *x, const reel_kaiming_opts *opts, reel_generator *generator)
{
    double std;
    return kaiming_std(x, opts, &std) ? reel_init_normal(x, 0, std, generator) : NULL;
}

bool reel_init_default(reel_tensor *weight, reel_tensor *bias, reel_generator *generator)
{
    int64_t in;
    if (!reel_given(reel_ctx_of(bias), "init_default", "weight", weight) || !reel_fans(weight, &in, NULL)) return false;
    double bound = spread(1, (double)in);
    return reel_init_uniform(weight, -bound, bound, generator) &&
           (!bias || reel_init_uniform(bias, -bound, bound, generator));
}
