// SPDX-License-Identifier: MIT
// What the parts of the training loop know of each other. Not installed.
#ifndef REEL_NN_TRAIN_INTERNAL_H
#define REEL_NN_TRAIN_INTERNAL_H

#include <reel/nn/train.h>

/* Sums over an epoch so far. */
typedef struct reel_sums {
    double loss, samples;
    double metric[REEL_MAX_METRICS], weight[REEL_MAX_METRICS];
} reel_sums;

/* Behind reel_run.state. */
typedef struct reel_fit_state {
    const reel_fit_opts *opts;
    reel_sums sums;
    bool epoch_done; /* the present epoch has its row in the history */
    double began;    /* seconds of the clock, less what the epoch took before a resume */
} reel_fit_state;

double reel_clock(void);

/* Whether there is all that `what` needs; what is missing is an error of the loader's or the module's context. */
bool reel_model_complete(const char *what, const reel_model *model, const reel_loader *data);

/* Whether the list of metrics is there and every one has what it needs; else an error in the name of `what`. */
bool reel_metrics_complete(const char *what, reel_ctx *ctx, const reel_metric *metrics, int n);

/* The loss of a batch; NULL on error. */
reel_tensor *reel_model_loss(const reel_model *model, reel_tensor *output, const reel_batch *batch);

/* Adds a batch to the sums; the loss is a mean over its samples. */
bool reel_sums_add(reel_sums *sums, reel_ctx *ctx, double loss, reel_tensor *output, const reel_batch *batch,
                   const reel_metric *metrics, int n_metrics);
void reel_sums_scores(const reel_sums *sums, int n_metrics, reel_scores *scores);

/* train_state.c: fills the run from a checkpoint. */
bool reel_run_restore(reel_run *run, const char *path);

/* history.c */
bool reel_history_open(reel_history *history, const reel_metric *metrics, int n_metrics, bool validation);
bool reel_history_add(reel_run *run);
bool reel_history_reserve(reel_ctx *ctx, reel_history *history, int64_t epochs);

#endif
