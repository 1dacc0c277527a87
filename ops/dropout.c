// SPDX-License-Identifier: MIT
// Dropout: a linear map whose mask is drawn anew, from the same counter, each time it is played or reversed.
#include <reel/ops/dropout.h>

#include <reel/core/op.h>
#include <reel/ops/kernels/random.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>

typedef struct dropout_attrs {
    double p;
    int64_t inner; /* elements that share a draw: 1, or those of a channel */
    uint64_t seed, offset;
} dropout_attrs;

#define CHUNK 32768 /* elements of a chunk of parallel work; a multiple of four */

typedef struct dropout_job {
    const reel_play *play;
    reel_dropout_fn *fn;
    int64_t inner;
    const void *factors; /* by channel; NULL: the draws are by element */
    double scale;
    uint32_t threshold;
} dropout_job;

static void element_task(void *arg, int64_t chunk, int worker)
{
    const dropout_job *job = arg;
    const dropout_attrs *attrs = job->play->attrs;
    const reel_buffer *x = &job->play->in[0];
    int64_t first = chunk * CHUNK, left = x->numel - first;
    size_t at = (size_t)first * reel_dtype_size(x->dtype);
    (void)worker;
    job->fn(left < CHUNK ? left : CHUNK, (const char *)x->data + at, attrs->seed, attrs->offset + (uint64_t)first / 4,
            job->threshold, job->scale, (char *)job->play->out[0].data + at);
}

#define SCALE_CHANNELS(T)                                                                                              \
    for (int64_t i = first; i < end; i++) {                                                                            \
        T factor = ((const T *)job->factors)[i];                                                                       \
        const T *from = (const T *)x->data + i * job->inner;                                                           \
        T *to = (T *)job->play->out[0].data + i * job->inner;                                                          \
        for (int64_t j = 0; j < job->inner; j++) to[j] = factor == 0 ? 0 : from[j] * factor;                           \
    }

static int64_t channels_per_chunk(int64_t inner) { return inner < CHUNK ? CHUNK / inner : 1; }

static void channel_task(void *arg, int64_t chunk, int worker)
{
    const dropout_job *job = arg;
    const reel_buffer *x = &job->play->in[0];
    int64_t per = channels_per_chunk(job->inner), first = chunk * per, end = first + per;
    (void)worker;
    if (end > x->numel / job->inner) end = x->numel / job->inner;
    if (x->dtype == REEL_F32) {
        SCALE_CHANNELS(float)
    } else {
        SCALE_CHANNELS(double)
    }
}
#undef SCALE_CHANNELS

static bool play_channels(dropout_job *job)
{
    const reel_buffer *x = &job->play->in[0];
    const dropout_attrs *attrs = job->play->attrs;
    int64_t channels = x->numel / job->inner;
    size_t bytes = reel_bytes((size_t)channels, reel_dtype_size(x->dtype));
    void *ones = reel_scratch(job->play->exec, bytes), *factors = reel_scratch(job->play->exec, bytes);
    if (!ones || !factors) return reel_play_out_of_memory(job->play);
    for (int64_t i = 0; i < channels; i++) {
        if (x->dtype == REEL_F32)
            ((float *)ones)[i] = 1;
        else
            ((double *)ones)[i] = 1;
    }
    job->fn(channels, ones, attrs->seed, attrs->offset, job->threshold, job->scale, factors);
    job->factors = factors;
    int64_t per = channels_per_chunk(job->inner);
    reel_parallel(job->play->exec, (channels + per - 1) / per, channel_task, job);
    return true;
}

static bool play_dropout(const reel_play *play)
{
    const dropout_attrs *attrs = play->attrs;
    const reel_buffer *x = &play->in[0];
    if (x->numel == 0) return true;
    if (attrs->p >= 1) {
        __builtin_memset(play->out[0].data, 0, (size_t)x->numel * reel_dtype_size(x->dtype));
        return true;
    }
    double words = attrs->p * 0x1p32;
    dropout_job job = { .play = play,
                        .fn = reel_random_kernels_for(play->exec->isa)->dropout[x->dtype == REEL_F64],
                        .inner = attrs->inner,
                        .scale = 1 / (1 - attrs->p),
                        .threshold = words < 0x1p32 - 1 ? (uint32_t)words : UINT32_MAX };
    if (attrs->inner > 1) return play_channels(&job);
    reel_parallel(play->exec, (x->numel + CHUNK - 1) / CHUNK, element_task, &job);
    return true;
}

static bool infer_dropout(reel_infer *infer)
{
    const dropout_attrs *attrs = infer->attrs;
    if (!reel_dtype_is_float(reel_dtype_of(infer->in[0])))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input is %s, but must be float32 or float64",
                               reel_dtype_name(reel_dtype_of(infer->in[0])));
    if (!(attrs->p >= 0 && attrs->p <= 1))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "p is %g, but must be in [0, 1]", attrs->p);
    return reel_infer_same(infer);
}

/* The mask is diagonal: its own transpose, drawn from the same counter. */
static bool vjp_dropout(reel_vjp *vjp)
{
    vjp->grad[0] = reel_apply(vjp->op, vjp->cot, 1, vjp->attrs, NULL);
    return vjp->grad[0] != NULL;
}

#define DROPOUT_OP(symbol)                                                                                             \
    static const reel_op reel_op_##symbol = {                                                                          \
        .name = #symbol,                                                                                               \
        .infer = infer_dropout,                                                                                        \
        .play = play_dropout,                                                                                          \
        .vjp = vjp_dropout,                                                                                            \
        .flags = REEL_OP_RANDOM | REEL_OP_CHEAP,                                                                       \
        .attrs_size = sizeof(dropout_attrs),                                                                           \
        .key_size = offsetof(dropout_attrs, seed),                                                                     \
    };
DROPOUT_OP(dropout)
DROPOUT_OP(dropout1d)
DROPOUT_OP(dropout2d)
DROPOUT_OP(dropout3d)
#undef DROPOUT_OP

static reel_tensor *apply_dropout(const reel_op *op, reel_tensor *input, double p, bool training,
                                  reel_generator *generator, int64_t inner)
{
    if (training && p == 0) training = false;
    if (!training && p >= 0 && p <= 1) return reel_reshape(input, reel_shape_of(input));
    if (!generator) generator = reel_ctx_generator(reel_ctx_of(input));
    dropout_attrs attrs = { p, inner, generator->seed, generator->offset };
    reel_tensor *y = reel_apply(op, &input, 1, &attrs, NULL);
    if (y) generator->offset += (uint64_t)(reel_numel(y) / inner + 3) / 4;
    return y;
}

reel_tensor *reel_dropout(reel_tensor *input, double p, bool training, reel_generator *generator)
{
    return input ? apply_dropout(&reel_op_dropout, input, p, training, generator, 1) : NULL;
}

/* `space` axes of an unbatched input follow its channels; a batched one has an axis more. */
static reel_tensor *drop_channels(const reel_op *op, reel_tensor *input, double p, bool training,
                                  reel_generator *generator, int fewest, int most, const char *wanted)
{
    if (!input) return NULL;
    reel_shape shape = reel_shape_of(input);
    char has[REEL_SHAPE_TEXT];
    if (shape.ndim < fewest || shape.ndim > most)
        return reel_fail(reel_ctx_of(input), REEL_ERROR_SHAPE, "%s: input has shape %s, but must be %s", op->name,
                         reel_shape_format(shape, has), wanted);
    int64_t inner = 1;
    int space = shape.ndim == most ? most - 2 : op == &reel_op_dropout2d ? 1 : fewest - 1;
    for (int d = shape.ndim - space; d < shape.ndim; d++)
        if (__builtin_mul_overflow(inner, shape.dim[d], &inner)) inner = 1; /* there is an empty axis */
    return apply_dropout(op, input, p, training, generator, inner > 0 ? inner : 1);
}

reel_tensor *reel_dropout1d(reel_tensor *input, double p, bool training, reel_generator *generator)
{
    return drop_channels(&reel_op_dropout1d, input, p, training, generator, 2, 3, "[N, C, L] or [C, L]");
}

reel_tensor *reel_dropout2d(reel_tensor *input, double p, bool training, reel_generator *generator)
{
    return drop_channels(&reel_op_dropout2d, input, p, training, generator, 3, 4, "[N, C, H, W] or [N, C, L]");
}

reel_tensor *reel_dropout3d(reel_tensor *input, double p, bool training, reel_generator *generator)
{
    return drop_channels(&reel_op_dropout3d, input, p, training, generator, 4, 5, "[N, C, D, H, W] or [C, D, H, W]");
}

/* ---- Table rows ---- */

#define DROPOUT_ROW(symbol, text, sizes, refused)                                                                      \
    static bool call_##symbol(reel_call_args *args)                                                                    \
    {                                                                                                                  \
        return reel_args_return(args, reel_##symbol(reel_args_input(args, 0), reel_args_float(args, "p"),              \
                                                    reel_args_bool(args, "training"), NULL));                          \
    }                                                                                                                  \
    const reel_function reel_fn_##symbol = {                                                                           \
        .name = #symbol,                                                                                               \
        .inputs = "input",                                                                                             \
        .attrs = "p:float=0.5 training:bool=true",                                                                     \
        .call = call_##symbol,                                                                                         \
        .formula = text,                                                                                               \
        .shapes = sizes,                                                                                               \
        .errors = refused,                                                                                             \
        .orders = -1,                                                                                                  \
    };
DROPOUT_ROW(dropout, "input / (1 - p), or 0 with probability p, by element", "input: any -> the same",
            "p outside of [0, 1]; an input that is not float32 or float64")
DROPOUT_ROW(dropout1d, "input / (1 - p), or 0 with probability p, by channel", "input: [N, C, L] or [C, L] -> the same",
            "p outside of [0, 1]; another rank; an input that is not float32 or float64")
DROPOUT_ROW(dropout2d, "input / (1 - p), or 0 with probability p, by channel",
            "input: [N, C, H, W] or [N, C, L] -> the same",
            "p outside of [0, 1]; another rank; an input that is not float32 or float64")
DROPOUT_ROW(dropout3d, "input / (1 - p), or 0 with probability p, by channel",
            "input: [N, C, D, H, W] or [C, D, H, W] -> the same",
            "p outside of [0, 1]; another rank; an input that is not float32 or float64")
#undef DROPOUT_ROW
