// SPDX-License-Identifier: MIT
// The ops that overwrite: one node a parameter and step, one pass over its memory.
#include <math.h>
#include <reel/core/op.h>
#include <reel/optim/internal.h>
#include <string.h>

double reel_option(double value, double otherwise)
{
    if (value != 0) return value;
    return signbit(value) ? 0 : otherwise;
}

static bool infer_update(reel_infer *infer)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    const reel_tensor *p = infer->in[0];
    if (!reel_dtype_is_float(reel_dtype_of(p))) {
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "a parameter is float32 or float64, not %s",
                               reel_dtype_name(reel_dtype_of(p)));
    }
    for (int i = 1; i < infer->n_in; i++) {
        const reel_tensor *x = infer->in[i];
        if (!x) continue;
        if (reel_dtype_of(x) != reel_dtype_of(p) || !reel_shape_equal(reel_shape_of(x), reel_shape_of(p))) {
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the parameter is %s %s, but its %s is %s %s",
                                   reel_dtype_name(reel_dtype_of(p)), reel_shape_format(reel_shape_of(p), a),
                                   i == infer->n_in - 1 ? "gradient" : "state", reel_dtype_name(reel_dtype_of(x)),
                                   reel_shape_format(reel_shape_of(x), b));
        }
    }
    return true;
}

#define CHUNK 16384 /* elements: four arrays of floats fit the second-level cache */

static void update_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const reel_play *play = arg;
    const reel_update *u = play->attrs;
    const reel_update_kernels *kernels = reel_update_kernels_for(reel_large_isa(play->exec->isa, play->in[0].dtype));
    bool wide = play->in[0].dtype == REEL_F64;
    int64_t n = play->in[0].numel, begin = chunk * CHUNK;
    if (n > 2 * CHUNK) n = n - begin < CHUNK ? n - begin : CHUNK;
    size_t skip = (size_t)begin * (wide ? sizeof(double) : sizeof(float));
    char *at[5];
    for (int i = 0; i < 5; i++) at[i] = play->in[i].data ? (char *)play->in[i].data + skip : NULL;
    (wide ? kernels->f64 : kernels->f32)[u->kind](n, at[0], (void *const[]) { at[1], at[2], at[3] }, at[4], u);
}

static bool play_update(const reel_play *play)
{
    int64_t n = play->in[0].numel;
    reel_parallel(play->exec, n > 2 * CHUNK ? (n + CHUNK - 1) / CHUNK : 1, update_chunk, (void *)(uintptr_t)play);
    return true;
}

/* Inputs: the parameter, three states, the gradient; the first four are overwritten. Only what kind of update it is
 * shapes a plan: rates change from step to step. */
#define UPDATE_OP(text)                                                                                                \
    {                                                                                                                  \
        .name = text, .infer = infer_update, .play = play_update, .flags = REEL_OP_INPLACE,                            \
        .attrs_size = sizeof(reel_update), .key_size = offsetof(reel_update, rate), .writes = 4, .optional = 0x1e      \
    }

static const reel_op update_ops[REEL_UPDATE_COUNT] = {
    [REEL_UPDATE_SGD] = UPDATE_OP("sgd"),         [REEL_UPDATE_ADAM] = UPDATE_OP("adam"),
    [REEL_UPDATE_NADAM] = UPDATE_OP("nadam"),     [REEL_UPDATE_RMSPROP] = UPDATE_OP("rmsprop"),
    [REEL_UPDATE_ADAGRAD] = UPDATE_OP("adagrad"), [REEL_UPDATE_ADADELTA] = UPDATE_OP("adadelta"),
    [REEL_UPDATE_LION] = UPDATE_OP("lion"),       [REEL_UPDATE_AVERAGE] = UPDATE_OP("average"),
    [REEL_UPDATE_SWAP] = UPDATE_OP("swap"),
};
#undef UPDATE_OP

bool reel_update_record(reel_tensor *p, reel_tensor *const state[3], reel_tensor *g, const reel_update *update)
{
    reel_update attrs;
    memset(&attrs, 0, sizeof attrs);
    memcpy(&attrs, update, sizeof attrs);
    return reel_apply(&update_ops[update->kind], (reel_tensor *[]) { p, state[0], state[1], state[2], g }, 5, &attrs,
                      NULL);
}
