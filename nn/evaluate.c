// SPDX-License-Identifier: MIT
// Running a model without training it: scores and outputs.
#include <inttypes.h>
#include <math.h>
#include <reel/core/autograd.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/train_internal.h>
#include <reel/ops/loss.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double reel_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool reel_model_complete(const char *what, const reel_model *model, const reel_loader *data)
{
    reel_ctx *ctx = data ? reel_loader_ctx(data) : model ? reel_module_ctx(model->module) : NULL;
    if (!ctx || reel_ctx_error(ctx)) return false;
    if (model && model->module && model->forward && data) return true;
    return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %s", what,
                     data ? "the model has no module or no forward function" : "there is no loader (NULL)");
}

bool reel_metrics_complete(const char *what, reel_ctx *ctx, const reel_metric *metrics, int n)
{
    if (n > REEL_MAX_METRICS)
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: %d metrics are more than %d", what, n, REEL_MAX_METRICS);
    bool ok = reel_given_list(ctx, what, "metrics", metrics, n);
    for (int i = 0; ok && i < n; i++)
        if (!metrics[i].name || !metrics[i].update)
            ok = reel_fail(ctx, REEL_ERROR_VALUE, "%s: a metric has no name or no function", what);
    return ok;
}

reel_tensor *reel_model_loss(const reel_model *model, reel_tensor *output, const reel_batch *batch)
{
    if (!output) return NULL;
    if (model->loss) return model->loss(model->user, output, batch);
    if (batch->n_fields < 2) {
        return reel_fail(reel_ctx_of(output), REEL_ERROR_VALUE,
                         "fit: the batches have no field 1 to compare outputs with");
    }
    return reel_cross_entropy(output, batch->field[1], NULL);
}

bool reel_sums_add(reel_sums *sums, reel_ctx *ctx, double loss, reel_tensor *output, const reel_batch *batch,
                   const reel_metric *metrics, int n_metrics)
{
    sums->loss += loss * (double)batch->count;
    sums->samples += (double)batch->count;
    for (int i = 0; i < n_metrics; i++) {
        if (metrics[i].update(&metrics[i], output, batch, &sums->metric[i], &sums->weight[i])) continue;
        if (!reel_ctx_error(ctx))
            reel_fail(ctx, REEL_ERROR_USER, "fit: the metric %s could not be computed", metrics[i].name);
        return false;
    }
    return true;
}

void reel_sums_scores(const reel_sums *sums, int n_metrics, reel_scores *scores)
{
    scores->samples = (int64_t)sums->samples;
    scores->loss = sums->samples > 0 ? sums->loss / sums->samples : NAN;
    for (int i = 0; i < n_metrics; i++)
        scores->metric[i] = sums->weight[i] > 0 ? sums->metric[i] / sums->weight[i] : NAN;
}

/* Calls `take` with every batch's output, in evaluation mode and without gradients. */
static bool for_batches(const reel_model *model, reel_loader *data,
                        bool (*take)(void *user, reel_tensor *output, const reel_batch *batch), void *user)
{
    reel_ctx *ctx = reel_loader_ctx(data);
    bool training = reel_module_training(model->module), ok = reel_loader_start(data, 0, 0);
    reel_module_train(model->module, false);
    while (ok && reel_loader_more(data)) {
        REEL_SCOPE(ctx)
        {
            REEL_NO_GRAD(ctx)
            {
                reel_batch batch = reel_loader_next(data);
                reel_tensor *output = batch.count > 0 ? model->forward(model->user, &batch) : NULL;
                ok = output && take(user, output, &batch);
            }
        }
    }
    reel_module_train(model->module, training);
    if (!ok && !reel_ctx_error(ctx)) reel_fail(ctx, REEL_ERROR_USER, "the model's forward gave no output");
    return ok && !reel_ctx_error(ctx);
}

typedef struct evaluation {
    const reel_model *model;
    const reel_metric *metrics;
    int n_metrics;
    reel_sums sums;
} evaluation;

static bool take_scores(void *user, reel_tensor *output, const reel_batch *batch)
{
    evaluation *e = user;
    reel_tensor *loss = reel_model_loss(e->model, output, batch);
    if (!loss || !reel_eval_all((reel_tensor *[]) { loss, output }, 2)) return false;
    return reel_sums_add(&e->sums, reel_ctx_of(output), reel_item(loss), output, batch, e->metrics, e->n_metrics);
}

bool reel_evaluate(const reel_model *model, reel_loader *data, const reel_metric *metrics, int n_metrics,
                   reel_scores *scores)
{
    reel_scores own;
    if (!scores) scores = &own;
    *scores = (reel_scores) { .loss = NAN };
    if (!reel_model_complete("evaluate", model, data) ||
        !reel_metrics_complete("evaluate", reel_loader_ctx(data), metrics, n_metrics)) {
        return false;
    }
    double began = reel_clock();
    evaluation e = { .model = model, .metrics = metrics, .n_metrics = n_metrics };
    if (!for_batches(model, data, take_scores, &e)) return false;
    reel_sums_scores(&e.sums, n_metrics, scores);
    scores->seconds = reel_clock() - began;
    return true;
}

typedef struct prediction {
    int64_t samples, done;
    reel_shape shape; /* of all outputs */
    reel_dtype dtype;
    size_t row;
    char *data;
} prediction;

static bool take_output(void *user, reel_tensor *output, const reel_batch *batch)
{
    prediction *p = user;
    reel_ctx *ctx = reel_ctx_of(output);
    reel_shape shape = reel_shape_of(output);
    char text[REEL_SHAPE_TEXT];
    if (shape.ndim < 1 || shape.dim[0] != batch->count) {
        return reel_fail(ctx, REEL_ERROR_SHAPE, "predict: axis 0 of the output %s should count %" PRId64 " samples",
                         reel_shape_format(shape, text), batch->count);
    }
    shape.dim[0] = p->samples;
    if (!p->data) {
        p->shape = shape;
        p->dtype = reel_dtype_of(output);
        p->row = (size_t)(reel_numel(output) / batch->count) * reel_dtype_size(p->dtype);
        p->data = reel_host_alloc(ctx, (size_t)p->samples, p->row);
        if (!p->data) return false;
    }
    if (!reel_shape_equal(shape, p->shape) || reel_dtype_of(output) != p->dtype) {
        return reel_fail(ctx, REEL_ERROR_SHAPE, "predict: the outputs' shape changes from batch to batch");
    }
    size_t bytes = (size_t)batch->count * p->row;
    if (bytes > 0 && !reel_copy_out(output, p->data + (size_t)p->done * p->row, bytes)) return false;
    p->done += batch->count;
    return true;
}

reel_tensor *reel_predict(const reel_model *model, reel_loader *data)
{
    if (!reel_model_complete("predict", model, data)) return NULL;
    prediction p = { .samples = reel_loader_samples(data) };
    bool ok = for_batches(model, data, take_output, &p);
    reel_tensor *outputs = ok ? reel_from(reel_loader_ctx(data), p.shape, p.dtype, p.data) : NULL;
    free(p.data);
    return outputs;
}
