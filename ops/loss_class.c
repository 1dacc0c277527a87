// SPDX-License-Identifier: MIT
// The primitives behind the losses over classes: cross-entropy fused with its softmax, and the negative log-likelihood.
#include "loss_class.h"

#include <reel/core/autograd.h>
#include <reel/ops/kernels/loss.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>
#include <reel/ops/softmax.h>

#include <math.h>

#define CHUNK 32768 /* elements of a chunk of parallel work */
#define BLOCK 256   /* columns of one                       */

/* input: [C] or [n, C, s...]; one sample at each (n, s). */
typedef struct class_geometry {
    int64_t n, c, s;
} class_geometry;

static int class_axis(int ndim) { return ndim == 1 ? 0 : 1; }

static class_geometry geometry_of(const reel_buffer *input)
{
    class_geometry k = { 1, input->shape[class_axis(input->ndim)], 1 };
    if (input->ndim > 1) k.n = input->shape[0];
    for (int d = 2; d < input->ndim; d++) k.s *= input->shape[d];
    return k;
}

/* ---- Inference ---- */

static bool infer_classes(reel_infer *infer)
{
    const class_attrs *attrs = infer->attrs;
    const reel_tensor *input = infer->in[0], *target = infer->in[1], *weight = infer->in[2];
    reel_shape shape = reel_shape_of(input), want = { .ndim = shape.ndim - 1 };
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (shape.ndim < 1)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input is a scalar, but must be [C] or [N, C, ...]");
    if (!reel_dtype_is_float(reel_dtype_of(input)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input is %s, but must be float32 or float64",
                               reel_dtype_name(reel_dtype_of(input)));
    if (shape.ndim > 1) want.dim[0] = shape.dim[0];
    for (int d = 2; d < shape.ndim; d++) want.dim[d - 1] = shape.dim[d];
    if (!reel_shape_equal(reel_shape_of(target), want))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "target has shape %s, but the input's %s asks for %s",
                               reel_shape_format(reel_shape_of(target), a), reel_shape_format(shape, b),
                               reel_shape_format(want, (char[REEL_SHAPE_TEXT]) { 0 }));
    if (reel_dtype_of(target) != REEL_I64)
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "target is %s, but classes are integers",
                               reel_dtype_name(reel_dtype_of(target)));
    int64_t classes = shape.dim[class_axis(shape.ndim)];
    if (weight && (reel_ndim(weight) != 1 || reel_size(weight, 0) != classes))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has shape %s, but there are %lld classes",
                               reel_shape_format(reel_shape_of(weight), a), (long long)classes);
    if (weight && reel_dtype_of(weight) != reel_dtype_of(input))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "weight is %s, but input is %s",
                               reel_dtype_name(reel_dtype_of(weight)), reel_dtype_name(reel_dtype_of(input)));
    if (!(attrs->smoothing >= 0 && attrs->smoothing <= 1))
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "label_smoothing is %g, but must be in [0, 1]",
                               attrs->smoothing);
    return reel_infer_out(infer, 0, reel_dtype_of(input), attrs->reduction == REEL_REDUCTION_NONE ? want : REEL_SCALAR);
}

/* Cross-entropy's second output is each sample's largest logit, then the logarithms of the sums of exp(x - largest). The
 * last output of both losses is what the mean divides by: the sum of the weights of the samples that count. */
static bool infer_nll(reel_infer *infer)
{
    return infer_classes(infer) && reel_infer_out(infer, 1, reel_dtype_of(infer->in[0]), REEL_SCALAR);
}

static bool infer_cross_entropy(reel_infer *infer)
{
    return infer_classes(infer) &&
           reel_infer_out(infer, 1, reel_dtype_of(infer->in[0]), REEL_SHAPE(2, reel_numel(infer->in[1]))) &&
           reel_infer_out(infer, 2, reel_dtype_of(infer->in[0]), REEL_SCALAR);
}

/* ---- Play ---- */

/* One piece of work is a range of samples of one n: of all of them in a row where s = 1. */
typedef struct class_job {
    const reel_play *play;
    const reel_loss_fns *fns;
    const class_attrs *attrs;
    class_geometry k;
    reel_dtype dtype;
    const void *x, *weight, *scale;
    const int64_t *target;
    void *most, *rest; /* by sample, see the kernels; NULL for nll_loss: 0 */
    void *sums;        /* by sample; backward: smooth, of the kernel */
    void *losses;      /* by sample, or NULL; backward: scale, of the kernel */
    void *g;           /* like x */
    double weight_sum; /* over the classes */
    bool one_scale;
    int64_t per, blocks; /* samples a piece (s = 1) or pieces a sample block */
    double *totals;      /* [chunk][2]: losses, weights */
    int64_t *bad;        /* [chunk]: the first sample of no class, or -1 */
} class_job;

static double get(const void *x, reel_dtype dtype, int64_t i)
{
    return dtype == REEL_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void put(void *x, reel_dtype dtype, int64_t i, double value)
{
    if (dtype == REEL_F32)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

static char *at(const void *x, reel_dtype dtype, int64_t i)
{
    return x ? (char *)(uintptr_t)x + i * (int64_t)reel_dtype_size(dtype) : NULL;
}

static class_job job_of(const reel_play *play, const reel_buffer *input, const reel_buffer *target,
                        const reel_buffer *weight)
{
    class_job job = { .play = play,
                      .fns = reel_loss_fns_of(play->exec->isa, input->dtype),
                      .attrs = play->attrs,
                      .k = geometry_of(input),
                      .dtype = input->dtype,
                      .x = input->data,
                      .weight = weight->data,
                      .target = target->data,
                      .weight_sum = (double)geometry_of(input).c };
    if (job.weight) {
        job.weight_sum = 0;
        for (int64_t c = 0; c < job.k.c; c++) job.weight_sum += get(job.weight, job.dtype, c);
    }
    return job;
}

/* Cuts the samples by shape alone; returns the number of chunks. */
static int64_t cut(class_job *job)
{
    int64_t width = job->k.c > 0 ? job->k.c : 1;
    if (job->k.s == 1) {
        job->per = width < CHUNK ? CHUNK / width : 1;
        return (job->k.n + job->per - 1) / job->per;
    }
    job->per = BLOCK;
    job->blocks = (job->k.s + BLOCK - 1) / BLOCK;
    return job->k.n * job->blocks;
}

typedef struct class_range {
    int64_t sample, count; /* samples                        */
    int64_t element;       /* of the first one's class 0     */
    int64_t step;          /* from class to class            */
    int64_t next;          /* from sample to sample          */
} class_range;

static class_range range_of(const class_job *job, int64_t chunk)
{
    class_geometry k = job->k;
    if (k.s == 1) {
        int64_t first = chunk * job->per, left = k.n - first;
        return (class_range) { first, left < job->per ? left : job->per, first * k.c, 1, k.c };
    }
    int64_t n = chunk / job->blocks, s = chunk % job->blocks * job->per, left = k.s - s;
    return (class_range) { n * k.s + s, left < job->per ? left : job->per, n * k.c * k.s + s, k.s, 1 };
}

static bool counts(const class_job *job, int64_t sample)
{
    int64_t y = job->target[sample];
    return y != job->attrs->ignore_index && y >= 0 && y < job->k.c;
}

static double weight_of(const class_job *job, int64_t c) { return job->weight ? get(job->weight, job->dtype, c) : 1; }

static void cross_entropy_task(void *arg, int64_t chunk, int worker)
{
    const class_job *job = arg;
    class_range r = range_of(job, chunk);
    double smoothing = job->attrs->smoothing, spread = smoothing / (double)job->k.c, totals[2] = { 0, 0 };
    (void)worker;
    void *most = at(job->most, job->dtype, r.sample), *rest = at(job->rest, job->dtype, r.sample);
    void *sums = at(job->sums, job->dtype, r.sample), *first = at(job->x, job->dtype, r.element);
    if (most && job->k.s == 1)
        job->fns->lse_rows(r.count, job->k.c, first, job->weight, most, rest, sums);
    else if (most)
        job->fns->lse_columns(job->k.c, r.count, job->k.s, first, job->weight, most, rest, sums);
    job->bad[chunk] = -1;
    for (int64_t i = 0; i < r.count; i++) {
        int64_t sample = r.sample + i, y = job->target[sample];
        double loss = 0;
        if (counts(job, sample)) {
            double x = get(job->x, job->dtype, r.element + i * r.next + y * r.step), w = weight_of(job, y);
            double log_sum = most ? get(rest, job->dtype, i) : 0;
            loss = (1 - smoothing) * w * (log_sum + ((most ? get(most, job->dtype, i) : 0) - x));
            if (smoothing > 0) loss += spread * (job->weight_sum * log_sum - get(sums, job->dtype, i));
            totals[0] += loss;
            totals[1] += w;
        } else if (y != job->attrs->ignore_index && job->bad[chunk] < 0) {
            job->bad[chunk] = sample;
        }
        if (job->losses) put(job->losses, job->dtype, sample, loss);
    }
    job->totals[2 * chunk] = totals[0];
    job->totals[2 * chunk + 1] = totals[1];
}

static bool fail_on_class(const class_job *job, int64_t sample)
{
    const reel_buffer *target = &job->play->in[1];
    reel_shape index = { .ndim = target->ndim };
    char text[REEL_SHAPE_TEXT];
    int64_t rest = sample;
    for (int d = target->ndim; d-- > 0; rest /= target->shape[d]) index.dim[d] = rest % target->shape[d];
    return reel_play_fail(job->play, REEL_ERROR_VALUE, "target is %lld at index %s, but input has %lld classes",
                          (long long)job->target[sample], reel_shape_format(index, text), (long long)job->k.c);
}

/* Both losses: nll_loss is cross-entropy whose log-sum-exp is 0. */
static bool play_losses(class_job *job, const reel_buffer *loss, const reel_buffer *total)
{
    int64_t chunks = cut(job), samples = job->k.n * job->k.s;
    const reel_exec *exec = job->play->exec;
    job->totals = reel_scratch(exec, reel_bytes((size_t)chunks + 1, 2 * sizeof(double)));
    job->bad = reel_scratch(exec, reel_bytes((size_t)chunks + 1, sizeof(int64_t)));
    if (!job->totals || !job->bad) return reel_play_out_of_memory(job->play);
    if (job->attrs->smoothing > 0) {
        job->sums = reel_scratch(exec, reel_bytes((size_t)samples + 1, reel_dtype_size(job->dtype)));
        if (!job->sums) return reel_play_out_of_memory(job->play);
    }
    if (job->attrs->reduction == REEL_REDUCTION_NONE) job->losses = loss->data;
    reel_parallel(exec, chunks, cross_entropy_task, job);
    double sum = 0, weights = 0;
    for (int64_t i = 0; i < chunks; i++) {
        if (job->bad[i] >= 0) return fail_on_class(job, job->bad[i]);
        sum += job->totals[2 * i];
        weights += job->totals[2 * i + 1];
    }
    put(total->data, job->dtype, 0, weights != 0 ? weights : 1); /* the gradient's: 0 of any order where none counts */
    if (!job->losses)
        put(loss->data, job->dtype, 0, job->attrs->reduction == REEL_REDUCTION_MEAN ? sum / weights : sum);
    return true;
}

static bool play_cross_entropy(const reel_play *play)
{
    class_job job = job_of(play, &play->in[0], &play->in[1], &play->in[2]);
    job.most = play->out[1].data;
    job.rest = at(job.most, job.dtype, job.k.n * job.k.s);
    return play_losses(&job, &play->out[0], &play->out[2]);
}

static bool play_nll(const reel_play *play)
{
    class_job job = job_of(play, &play->in[0], &play->in[1], &play->in[2]);
    return play_losses(&job, &play->out[0], &play->out[1]);
}

/* ---- The gradient ---- */

/* (scale, input, target, weight?, what cross-entropy leaves) -> scale_n (W_n softmax(input)_nc - q_nc), where q is what class_weights gives
 * and W_n its sum over the classes; scale is a scalar or one for each sample. */
static bool infer_backward(reel_infer *infer)
{
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[1]), reel_shape_of(infer->in[1]));
}

static void backward_task(void *arg, int64_t chunk, int worker)
{
    const class_job *job = arg;
    class_range r = range_of(job, chunk);
    double smoothing = job->attrs->smoothing, spread = smoothing / (double)job->k.c;
    (void)worker;
    for (int64_t i = 0; i < r.count; i++) {
        int64_t sample = r.sample + i;
        double scale = 0, total = 0;
        if (counts(job, sample)) {
            scale = get(job->scale, job->dtype, job->one_scale ? 0 : sample);
            total = (1 - smoothing) * weight_of(job, job->target[sample]) + spread * job->weight_sum;
        }
        put(job->losses, job->dtype, sample, scale * total);
        if (job->sums) put(job->sums, job->dtype, sample, scale * spread);
    }
    const void *x = at(job->x, job->dtype, r.element);
    const void *most = at(job->most, job->dtype, r.sample), *rest = at(job->rest, job->dtype, r.sample);
    const void *scale = at(job->losses, job->dtype, r.sample), *smooth = at(job->sums, job->dtype, r.sample);
    void *g = at(job->g, job->dtype, r.element);
    if (job->k.s == 1)
        job->fns->softmax_rows(r.count, job->k.c, x, most, rest, scale, smooth, job->weight, g);
    else
        job->fns->softmax_columns(job->k.c, r.count, job->k.s, x, most, rest, scale, smooth, job->weight, g);
    for (int64_t i = 0; i < r.count; i++) {
        int64_t sample = r.sample + i, y = job->target[sample], first = r.element + i * r.next;
        if (counts(job, sample)) {
            double q = (1 - smoothing) * weight_of(job, y) * get(job->scale, job->dtype, job->one_scale ? 0 : sample);
            put(job->g, job->dtype, first + y * r.step, get(job->g, job->dtype, first + y * r.step) - q);
        } else {
            for (int64_t c = 0; c < job->k.c; c++) put(job->g, job->dtype, first + c * r.step, 0);
        }
    }
}

static bool play_backward(const reel_play *play)
{
    class_job job = job_of(play, &play->in[1], &play->in[2], &play->in[3]);
    if (play->out[0].numel == 0) return true;
    job.scale = play->in[0].data;
    job.one_scale = play->in[0].ndim == 0 && play->in[2].ndim > 0;
    job.most = play->in[4].data;
    job.rest = at(job.most, job.dtype, job.k.n * job.k.s);
    job.g = play->out[0].data;
    size_t bytes = reel_bytes((size_t)(job.k.n * job.k.s), reel_dtype_size(job.dtype));
    job.losses = reel_scratch(play->exec, bytes);
    if (!job.losses) return reel_play_out_of_memory(play);
    if (job.attrs->smoothing > 0) {
        job.sums = reel_scratch(play->exec, bytes);
        if (!job.sums) return reel_play_out_of_memory(play);
    }
    int64_t chunks = cut(&job);
    reel_parallel(play->exec, chunks, backward_task, &job);
    return true;
}

/* (target, weight?) -> q [.., C, ..]: (1 - smoothing) weight_y at class y plus smoothing / C weight_c, and 0 for the
 * samples that do not count. */
static bool infer_class_weights(reel_infer *infer)
{
    const class_attrs *attrs = infer->attrs;
    reel_shape target = reel_shape_of(infer->in[0]), shape = { .ndim = target.ndim + 1 };
    shape.dim[class_axis(shape.ndim)] = attrs->classes;
    if (target.ndim > 0) shape.dim[0] = target.dim[0];
    for (int d = 2; d < shape.ndim; d++) shape.dim[d] = target.dim[d - 1];
    return reel_infer_out(infer, 0, (reel_dtype)attrs->dtype, shape);
}

static void class_weights_task(void *arg, int64_t chunk, int worker)
{
    const class_job *job = arg;
    class_range r = range_of(job, chunk);
    double smoothing = job->attrs->smoothing, spread = smoothing / (double)job->k.c;
    (void)worker;
    if (smoothing == 0)
        for (int64_t c = 0; c < (job->k.s == 1 ? 1 : job->k.c); c++)
            __builtin_memset(at(job->g, job->dtype, r.element + c * r.step), 0,
                             (size_t)(r.count * r.next) * reel_dtype_size(job->dtype));
    for (int64_t i = 0; i < r.count; i++) {
        int64_t sample = r.sample + i, y = job->target[sample], first = r.element + i * r.next;
        bool counted = counts(job, sample);
        for (int64_t c = 0; smoothing > 0 && c < job->k.c; c++)
            put(job->g, job->dtype, first + c * r.step, counted ? spread * weight_of(job, c) : 0);
        if (!counted) continue;
        double q = (1 - smoothing) * weight_of(job, y) + (smoothing > 0 ? spread * weight_of(job, y) : 0);
        put(job->g, job->dtype, first + y * r.step, q);
    }
}

static bool play_class_weights(const reel_play *play)
{
    class_job job = job_of(play, &play->out[0], &play->in[0], &play->in[1]);
    job.g = play->out[0].data;
    if (play->out[0].numel == 0) return true;
    int64_t chunks = cut(&job);
    reel_parallel(play->exec, chunks, class_weights_task, &job);
    return true;
}

static const reel_op reel_op_class_weights = {
    .name = "class_weights",
    .infer = infer_class_weights,
    .play = play_class_weights,
    .attrs_size = sizeof(class_attrs),
    .optional = 1 << 1,
};

static reel_tensor *class_weights(const reel_vjp *vjp, int input, int target, int weight)
{
    class_attrs attrs = *(const class_attrs *)vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, input);
    attrs.classes = shape.dim[class_axis(shape.ndim)];
    attrs.dtype = (int32_t)reel_vjp_input_dtype(vjp, input);
    reel_tensor *in[2] = { reel_vjp_input(vjp, target), reel_vjp_input(vjp, weight) };
    return reel_apply(&reel_op_class_weights, in, 2, &attrs, NULL);
}

/* The factor of each sample's loss: the cotangent, by the weights' sum for the mean. */
static reel_tensor *sample_scale(const reel_vjp *vjp, int total)
{
    const class_attrs *attrs = vjp->attrs;
    if (attrs->reduction != REEL_REDUCTION_MEAN) return vjp->cot[0];
    return reel_div(vjp->cot[0], reel_detach(reel_vjp_output(vjp, total)));
}

/* A scale that broadcasts against the input. */
static reel_tensor *over_classes(reel_tensor *scale, reel_shape input)
{
    return reel_ndim(scale) == input.ndim - 1 ? reel_unsqueeze(scale, class_axis(input.ndim)) : scale;
}

/* With p = softmax(x), for the cotangent u of scale (W p - q): scale: sum u (W p - q), x: scale W p (u - sum u p). */
static bool vjp_backward(reel_vjp *vjp)
{
    reel_shape shape = reel_vjp_input_shape(vjp, 1), scale_shape = reel_vjp_input_shape(vjp, 0);
    int axis = class_axis(shape.ndim);
    reel_tensor *u = vjp->cot[0], *q = class_weights(vjp, 1, 2, 3);
    reel_tensor *total = reel_sum(q, REEL_DIMS(axis), true), *p = reel_softmax(reel_vjp_input(vjp, 1), axis);
    if (reel_vjp_wants(vjp, 0)) {
        reel_tensor *each = reel_sum(reel_mul(u, reel_sub(reel_mul(total, p), q)), REEL_DIMS(axis), false);
        vjp->grad[0] = scale_shape.ndim == shape.ndim - 1 ? each : reel_sum(each, REEL_ALL_DIMS, false);
    }
    if (reel_vjp_wants(vjp, 1)) {
        reel_tensor *scale = reel_mul(over_classes(reel_vjp_input(vjp, 0), shape), total);
        vjp->grad[1] = reel_mul(scale, reel_softmax_backward(u, p, axis));
    }
    return true;
}

static const reel_op reel_op_cross_entropy_backward = {
    .name = "cross_entropy_backward",
    .infer = infer_backward,
    .play = play_backward,
    .vjp = vjp_backward,
    .attrs_size = sizeof(class_attrs),
    .optional = 1 << 3,
};

static bool vjp_cross_entropy(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_tensor *in[5] = { sample_scale(vjp, 2), reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1), reel_vjp_input(vjp, 2),
                           reel_detach(reel_vjp_output(vjp, 1)) };
    vjp->grad[0] = reel_apply(&reel_op_cross_entropy_backward, in, 5, vjp->attrs, NULL);
    return vjp->grad[0] != NULL;
}

static bool vjp_nll(reel_vjp *vjp)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_tensor *scale = over_classes(reel_neg(sample_scale(vjp, 1)), reel_vjp_input_shape(vjp, 0));
    reel_tensor *q = class_weights(vjp, 0, 1, 2);
    /* The scale is infinite where no sample counts, and the gradient still 0. */
    vjp->grad[0] = reel_masked_fill(reel_mul(q, scale), reel_eq_scalar(q, 0), 0);
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_cross_entropy = {
    .name = "cross_entropy",
    .infer = infer_cross_entropy,
    .play = play_cross_entropy,
    .vjp = vjp_cross_entropy,
    .attrs_size = sizeof(class_attrs),
    .optional = 1 << 2,
};

const reel_op reel_op_nll_loss = {
    .name = "nll_loss",
    .infer = infer_nll,
    .play = play_nll,
    .vjp = vjp_nll,
    .attrs_size = sizeof(class_attrs),
    .optional = 1 << 2,
};
