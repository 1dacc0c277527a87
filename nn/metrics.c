// SPDX-License-Identifier: MIT
// How good a model's outputs are: averages over samples, and the confusion matrix.
#include <inttypes.h>
#include <math.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/metrics.h>
#include <reel/nn/plot.h>
#include <stdlib.h>
#include <string.h>

/* Outputs as numbers, whichever float dtype they have. */
typedef struct scores {
    const void *data;
    bool wide;
} scores;

static double score(const scores *s, int64_t i)
{
    return s->wide ? ((const double *)s->data)[i] : (double)((const float *)s->data)[i];
}

static bool read_scores(reel_tensor *x, const char *what, scores *s)
{
    if (!x) return false;
    if (!reel_dtype_is_float(reel_dtype_of(x))) {
        return reel_fail(reel_ctx_of(x), REEL_ERROR_DTYPE, "%s: outputs are float32 or float64, not %s", what,
                         reel_dtype_name(reel_dtype_of(x)));
    }
    *s = (scores) { reel_data(x), reel_dtype_of(x) == REEL_F64 };
    return s->data != NULL;
}

/* Scores [N, C] and labels int64 [N] that fit them. */
static bool read_classes(const char *what, reel_tensor *output, reel_tensor *labels, scores *s, const int64_t **label)
{
    if (!REEL_OPERANDS(what, output, labels)) return false;
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    if (reel_ndim(output) != 2 || reel_ndim(labels) != 1 || reel_size(labels, 0) != reel_size(output, 0) ||
        reel_dtype_of(labels) != REEL_I64) {
        return reel_fail(reel_ctx_of(output), REEL_ERROR_SHAPE,
                         "%s: outputs [N, C] and labels int64 [N] are needed, not %s and %s %s", what,
                         reel_shape_format(reel_shape_of(output), a), reel_dtype_name(reel_dtype_of(labels)),
                         reel_shape_format(reel_shape_of(labels), b));
    }
    *label = reel_data_i64(labels);
    return *label && read_scores(output, what, s);
}

/* Whether the class's score is among the k largest: ties count for the sample's class only when earlier classes leave
 * room, so that accuracy is what argmax gives. */
static bool among_largest(const scores *s, int64_t row, int64_t classes, int64_t label, int k)
{
    double own = score(s, row * classes + label);
    int64_t ahead = 0;
    if (isnan(own)) return false;
    for (int64_t c = 0; c < classes; c++) {
        double other = score(s, row * classes + c);
        ahead += other > own || (other == own && c < label) || isnan(other);
    }
    return ahead < k;
}

static bool update_top_k(const reel_metric *metric, reel_tensor *output, const reel_batch *batch, double *sum,
                         double *weight)
{
    scores s = { 0 };
    const int64_t *label = NULL;
    if (!read_classes(metric->name, output, batch->field[1], &s, &label)) return false;
    int64_t n = reel_size(output, 0), classes = reel_size(output, 1), right = 0;
    for (int64_t i = 0; i < n; i++)
        if (label[i] >= 0 && label[i] < classes) right += among_largest(&s, i, classes, label[i], metric->k);
    *sum += (double)right;
    *weight += (double)n;
    return true;
}

reel_metric reel_metric_accuracy(void) { return (reel_metric) { .name = "accuracy", .update = update_top_k, .k = 1 }; }

reel_metric reel_metric_top_k(int k)
{
    static const char *const names[] = { "top_0", "top_1", "top_2", "top_3", "top_4", "top_5" };
    return (reel_metric) { .name = k >= 0 && k <= 5 ? names[k] : "top_k", .update = update_top_k, .k = k };
}

static bool update_error(const reel_metric *metric, reel_tensor *output, const reel_batch *batch, double *sum,
                         double *weight)
{
    scores y = { 0 }, t = { 0 };
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    reel_tensor *target = batch->field[1];
    if (!REEL_OPERANDS(metric->name, output, target)) return false;
    if (!reel_shape_equal(reel_shape_of(output), reel_shape_of(target))) {
        return reel_fail(reel_ctx_of(output), REEL_ERROR_SHAPE, "%s: outputs are %s, but targets are %s", metric->name,
                         reel_shape_format(reel_shape_of(output), a), reel_shape_format(reel_shape_of(target), b));
    }
    if (!read_scores(output, metric->name, &y) || !read_scores(target, metric->name, &t)) return false;
    int64_t n = reel_numel(output);
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = score(&y, i) - score(&t, i);
        total += metric->k == 2 ? d * d : fabs(d);
    }
    *sum += total;
    *weight += (double)n;
    return true;
}

reel_metric reel_metric_mean_absolute_error(void)
{
    return (reel_metric) { .name = "mean_absolute_error", .update = update_error, .k = 1 };
}

reel_metric reel_metric_mean_squared_error(void)
{
    return (reel_metric) { .name = "mean_squared_error", .update = update_error, .k = 2 };
}

/* The confusion matrix */

reel_confusion *reel_confusion_new(reel_ctx *ctx, int64_t classes)
{
    if (reel_ctx_error(ctx)) return NULL;
    int64_t cells;
    if (classes < 1 || __builtin_mul_overflow(classes, classes, &cells)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "confusion: %" PRId64 " classes", classes);
    }
    reel_confusion *confusion = reel_host_alloc(ctx, 1, sizeof *confusion);
    int64_t *count = confusion ? reel_host_alloc(ctx, (size_t)cells, sizeof *count) : NULL;
    if (!count) {
        free(confusion);
        return NULL;
    }
    memset(count, 0, (size_t)cells * sizeof *count);
    *confusion = (reel_confusion) { classes, count };
    return confusion;
}

void reel_confusion_free(reel_confusion *confusion)
{
    if (!confusion) return;
    free(confusion->count);
    free(confusion);
}

bool reel_confusion_add(reel_confusion *confusion, reel_tensor *output, reel_tensor *labels)
{
    scores s = { 0 };
    const int64_t *label = NULL;
    if (!reel_given(reel_ctx_of(output ? output : labels), "confusion", "matrix", confusion)) return false;
    if (!read_classes("confusion", output, labels, &s, &label)) return false;
    int64_t classes = confusion->classes;
    if (reel_size(output, 1) != classes) {
        return reel_fail(reel_ctx_of(output), REEL_ERROR_SHAPE,
                         "confusion: outputs have %" PRId64 " classes, not %" PRId64, reel_size(output, 1), classes);
    }
    int64_t n = reel_size(output, 0);
    for (int64_t i = 0; i < n; i++) {
        if (label[i] < 0 || label[i] >= classes) {
            return reel_fail(reel_ctx_of(output), REEL_ERROR_VALUE,
                             "confusion: label %" PRId64 " is not in [0, %" PRId64 ")", label[i], classes);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            if (score(&s, i * classes + c) > score(&s, i * classes + best)) best = c;
        confusion->count[label[i] * classes + best]++;
    }
    return true;
}

/* Sums of one class's row (present), column (predicted), and of what both have (right). */
static void sums(const reel_confusion *confusion, int64_t label, double *present, double *predicted, double *right)
{
    int64_t n = confusion ? confusion->classes : 0;
    *present = *predicted = *right = 0;
    if (label < 0 || label >= n) return;
    for (int64_t c = 0; c < n; c++) {
        *present += (double)confusion->count[label * n + c];
        *predicted += (double)confusion->count[c * n + label];
    }
    *right = (double)confusion->count[label * n + label];
}

double reel_confusion_precision(const reel_confusion *confusion, int64_t label)
{
    double present, predicted, right;
    sums(confusion, label, &present, &predicted, &right);
    return predicted > 0 ? right / predicted : NAN;
}

double reel_confusion_recall(const reel_confusion *confusion, int64_t label)
{
    double present, predicted, right;
    sums(confusion, label, &present, &predicted, &right);
    return present > 0 ? right / present : NAN;
}

double reel_confusion_f1(const reel_confusion *confusion, int64_t label)
{
    double present, predicted, right;
    sums(confusion, label, &present, &predicted, &right);
    return present + predicted > 0 ? 2 * right / (present + predicted) : NAN;
}

double reel_confusion_accuracy(const reel_confusion *confusion)
{
    double all = 0, right = 0;
    for (int64_t label = 0; confusion && label < confusion->classes; label++) {
        double present, predicted, own;
        sums(confusion, label, &present, &predicted, &own);
        all += present;
        right += own;
    }
    return all > 0 ? right / all : NAN;
}

bool reel_confusion_save_svg(const reel_confusion *confusion, reel_ctx *ctx, const char *path, const char *const *names)
{
    if (reel_ctx_error(ctx) || !reel_given(ctx, "confusion_save_svg", "matrix", confusion)) return false;
    char title[64];
    snprintf(title, sizeof title, "accuracy %.2f %%", 100 * reel_confusion_accuracy(confusion));
    return reel_matrix_save_svg(ctx, path, title, confusion->classes, confusion->count, names);
}

static bool update_confusion(const reel_metric *metric, reel_tensor *output, const reel_batch *batch, double *sum,
                             double *weight)
{
    return reel_confusion_add(metric->user, output, batch->field[1]) &&
           update_top_k(metric, output, batch, sum, weight);
}

reel_metric reel_metric_confusion(reel_confusion *confusion)
{
    return (reel_metric) { .name = "accuracy", .update = update_confusion, .k = 1, .user = confusion };
}
