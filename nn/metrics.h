// SPDX-License-Identifier: MIT
// How good a model's outputs are: averages over samples, and the confusion matrix.
#ifndef REEL_NN_METRICS_H
#define REEL_NN_METRICS_H

#include <reel/nn/loader.h>

REEL_BEGIN

typedef struct reel_metric reel_metric;

/* An average: `update` adds a batch's share to *sum and *weight, and the metric is sum / weight. `output` is what the
 * model's forward gave for `batch`; its values may be read (reel_data). */
struct reel_metric {
    const char *name; /* "accuracy": one word, since logs have it as a column */
    bool (*update)(const reel_metric *metric, reel_tensor *output, const reel_batch *batch, double *sum,
                   double *weight);
    int k;      /* top_k's */
    void *user; /* of an own one */
};

/* For outputs [N, C] (scores, logits or probabilities) and classes int64 [N] in field 1: the part of samples whose
 * class has the largest score, or one of the k largest. Scores that are NaN are never right. */
REEL_API reel_metric reel_metric_accuracy(void);
REEL_API reel_metric reel_metric_top_k(int k);

/* For outputs and float targets of one shape in field 1: the mean over elements of |y - t|, and of (y - t)^2. */
REEL_API reel_metric reel_metric_mean_absolute_error(void);
REEL_API reel_metric reel_metric_mean_squared_error(void);

/* Counts by true class (rows) and predicted class (columns). */
typedef struct reel_confusion {
    int64_t classes;
    int64_t *count; /* [classes, classes] */
} reel_confusion;

REEL_API reel_confusion *reel_confusion_new(reel_ctx *ctx, int64_t classes);
REEL_API void reel_confusion_free(reel_confusion *confusion);
/* Adds outputs [N, classes] and labels int64 [N]; a label out of range is an error. */
REEL_API bool reel_confusion_add(reel_confusion *confusion, reel_tensor *output, reel_tensor *labels);
/* Of one class: true / predicted, true / present, their harmonic mean; NaN where there are none to divide by. */
REEL_API double reel_confusion_precision(const reel_confusion *confusion, int64_t label);
REEL_API double reel_confusion_recall(const reel_confusion *confusion, int64_t label);
REEL_API double reel_confusion_f1(const reel_confusion *confusion, int64_t label);
REEL_API double reel_confusion_accuracy(const reel_confusion *confusion);
/* A picture with the counts written into the cells; `names` of the classes may be NULL (numbers). */
REEL_API bool reel_confusion_save_svg(const reel_confusion *confusion, reel_ctx *ctx, const char *path,
                                      const char *const *names);

/* A metric that fills a confusion matrix while it averages the accuracy. */
REEL_API reel_metric reel_metric_confusion(reel_confusion *confusion);

REEL_END

#endif
