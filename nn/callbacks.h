// SPDX-License-Identifier: MIT
// Callbacks for reel_fit: progress, checkpoints, early stopping, schedules, logs, curves.
#ifndef REEL_NN_CALLBACKS_H
#define REEL_NN_CALLBACKS_H

#include <reel/nn/train.h>

REEL_BEGIN

/* Each gives NULL and an error in `ctx` when something is wrong; reel_fit releases them. `monitor` is a column of the
 * history and default "val_loss", or "loss" without validation; smaller is better unless `maximize`. */

/* A bar with loss, metrics, samples a second and time left on a terminal (as wide as it is), one line an epoch
 * elsewhere. */
REEL_API reel_callback *reel_progress_callback(reel_ctx *ctx, FILE *file);

typedef struct reel_checkpoint_opts {
    int64_t every_steps; /* also after so many optimiser steps; 0: at the end of epochs only */
    bool best_only;      /* only epochs whose monitor is the best so far                     */
    const char *monitor;
    bool maximize;
} reel_checkpoint_opts;

/* reel_run_save to `path` after every epoch, and when training is interrupted; "{epoch}" in the path becomes the number
 * of epochs done, in three digits. */
REEL_API reel_callback *reel_checkpoint_callback(reel_ctx *ctx, const char *path, const reel_checkpoint_opts *opts);

typedef struct reel_early_stopping_opts {
    const char *monitor;
    bool maximize;
    int64_t patience;  /* epochs without progress that are borne; 0: none */
    double min_delta;  /* what counts as progress                         */
    bool restore_best; /* parameters and buffers of the best epoch at the end */
} reel_early_stopping_opts;
REEL_API reel_callback *reel_early_stopping_callback(reel_ctx *ctx, const reel_early_stopping_opts *opts);

/* Drives the optimiser's rate: a step of the schedule after every epoch or (by_step) every optimiser step. A plateau
 * observes the monitor. */
typedef struct reel_schedule_opts {
    bool by_step;
    const char *monitor;
} reel_schedule_opts;
REEL_API reel_callback *reel_schedule_callback(reel_ctx *ctx, reel_schedule schedule, const reel_schedule_opts *opts);

/* The history as comma-separated values, written whole after every epoch. */
REEL_API reel_callback *reel_csv_callback(reel_ctx *ctx, const char *path);

/* Scalars of every epoch in an event file for TensorBoard, in `folder` (made when it is not there). */
REEL_API reel_callback *reel_tensorboard_callback(reel_ctx *ctx, const char *folder);

/* Loss and metrics by epoch as an SVG picture, written whole after every epoch. */
REEL_API reel_callback *reel_curves_callback(reel_ctx *ctx, const char *path);

REEL_END

#endif
