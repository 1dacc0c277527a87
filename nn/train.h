// SPDX-License-Identifier: MIT
// Training as a library: fit, evaluate and predict over any forward function, with callbacks.
#ifndef REEL_NN_TRAIN_H
#define REEL_NN_TRAIN_H

#include <reel/nn/loader.h>
#include <reel/nn/metrics.h>
#include <reel/nn/module.h>
#include <reel/optim/ema.h>
#include <reel/optim/optim.h>
#include <reel/optim/schedule.h>

REEL_BEGIN

#define REEL_MAX_METRICS 8

/* What is trained: parameters, and how outputs and a loss (of one element, a mean over the batch) come from a batch. */
typedef struct reel_model {
    reel_module *module;
    reel_tensor *(*forward)(void *user, const reel_batch *batch);
    reel_tensor *(*loss)(void *user, reel_tensor *output, const reel_batch *batch); /* default: cross-entropy of the
                                                                                       output and field 1 */
    void *user;
} reel_model;

/* Averages over samples. */
typedef struct reel_scores {
    int64_t samples;
    double loss;
    double metric[REEL_MAX_METRICS];
    double seconds;
} reel_scores;

/* Puts the module into evaluation mode (and back), runs every batch of the loader's epoch, and averages. No gradients.
 * `scores` may be NULL, when metrics such as a confusion matrix are all that is wanted. */
REEL_API bool reel_evaluate(const reel_model *model, reel_loader *data, const reel_metric *metrics, int n_metrics,
                            reel_scores *scores);

/* The outputs of all batches of the loader's epoch, in its order, as one tensor [N, ...]. */
REEL_API reel_tensor *reel_predict(const reel_model *model, reel_loader *data);

typedef enum reel_stop {
    REEL_STOP_DONE,       /* all epochs were run        */
    REEL_STOP_EARLY,      /* a callback ended it        */
    REEL_STOP_INTERRUPTED /* SIGINT or SIGTERM ended it */
} reel_stop;

/* One row an epoch, one column a number: "loss", the metrics' names, the same with "val_" before them when there is
 * validation data, "lr", "seconds". */
#define REEL_MAX_COLUMNS (2 * REEL_MAX_METRICS + 4)
typedef struct reel_history {
    int64_t epochs; /* rows */
    int columns;
    char name[REEL_MAX_COLUMNS][40];
    double *values; /* [epochs, columns] */
    reel_stop stop;
    int64_t steps; /* of the optimiser, in all */
} reel_history;

REEL_API void reel_history_free(reel_history *history);                          /* its memory, not the struct itself */
REEL_API int reel_history_column(const reel_history *history, const char *name); /* -1 when there is none */
REEL_API double reel_history_at(const reel_history *history, int64_t epoch, const char *name); /* NaN: no such number */

/* A training in progress, as callbacks see it. */
typedef struct reel_run {
    const reel_model *model;
    reel_ctx *ctx;
    reel_optim *optim;
    reel_ema *ema; /* or NULL */
    reel_loader *data, *validation;
    const reel_metric *metrics;
    int n_metrics;
    int64_t epochs;    /* asked for                                              */
    int64_t epoch;     /* the present one, from 0                                */
    int64_t batch;     /* batches of it that are done                            */
    int64_t batches;   /* in an epoch                                            */
    int64_t step;      /* optimiser steps done                                   */
    double batch_loss; /* of the last batch                                      */
    reel_scores train; /* of the epoch so far                                    */
    reel_scores valid; /* of the last validation                                 */
    double seconds;    /* since the epoch began                                  */
    reel_history *history;
    bool stop;        /* set by a callback: training ends after this step or epoch */
    bool interrupted; /* it ends because of a signal                            */
    void *state;      /* private */
} reel_run;

typedef struct reel_callback reel_callback;

/* Functions that may be NULL, called in the order of the list; false ends the training with the context's error.
 * `on_save` comes after every other callback's on_epoch_end, and when training ends in the middle of an epoch. */
struct reel_callback {
    bool (*on_start)(reel_callback *self, reel_run *run);
    bool (*on_epoch_start)(reel_callback *self, reel_run *run);
    bool (*on_batch)(reel_callback *self, reel_run *run);     /* after every batch            */
    bool (*on_gradients)(reel_callback *self, reel_run *run); /* recorded, before clipping and the step that takes them */
    bool (*on_step)(reel_callback *self, reel_run *run);      /* after every optimiser step   */
    bool (*on_epoch_end)(reel_callback *self, reel_run *run); /* history has the epoch's row  */
    bool (*on_decide)(reel_callback *self, reel_run *run);    /* after every step and epoch, when all others and signals have
                                                                 had their say: whether to stop, for the last time */
    bool (*on_save)(reel_callback *self, reel_run *run);
    bool (*on_end)(reel_callback *self, reel_run *run);                        /* also after an error          */
    bool (*store)(reel_callback *self, reel_store *store, const char *prefix); /* its state, as part of a checkpoint */
    bool (*restore)(reel_callback *self, reel_run *run, const reel_store *store, const char *prefix);
    void (*release)(reel_callback *self); /* called at the end of reel_fit */
    void *user;
};

typedef struct reel_fit_opts {
    int64_t epochs;             /* default 1                                                            */
    reel_loader *validation;    /* evaluated after every epoch                                          */
    const reel_metric *metrics; /* of training and validation                                           */
    int n_metrics;
    reel_callback *const *callbacks; /* NULLs among them are passed over (an error is then in the context)   */
    int n_callbacks;
    int64_t accumulate;           /* batches whose gradients are averaged for one step; default 1. The last group of an
                                     epoch is averaged over the batches that are in it: Lightning divides by the full
                                     count there too (issue 19987), Keras goes on with it in the next epoch           */
    double clip_norm, clip_value; /* clip gradients; 0: no                                                */
    double ema_decay;             /* average the weights, and validate with the averages; 0: no           */
    bool keep_average;            /* at the end the parameters become their averages                      */
    bool handle_signals;          /* SIGINT and SIGTERM end the training after the step; else untouched   */
    bool check_numerics;          /* the first op that makes a NaN or an infinity stops it, by name       */
    bool allow_nan;               /* a loss that is no number is no error                                 */
    const char *resume;           /* a checkpoint to go on from                                           */
} reel_fit_opts;

/* Trains for opts->epochs epochs. A loss that is NaN or infinite is an error that says where. `history` may be NULL;
 * what it held before is not freed. Callbacks are released in any case. The step of a batch whose loss is no number has
 * been taken by the time it is told; check_numerics stops before it. */
REEL_API bool reel_fit(const reel_model *model, reel_optim *optim, reel_loader *data, const reel_fit_opts *opts,
                       reel_history *history);

/* Everything the run needs to go on with the same bits: parameters and buffers under their own names, and under
 * "reel.": the optimiser's state, the random generator, the place in the epoch, averages, history and callbacks. */
REEL_API bool reel_run_save(reel_run *run, const char *path);

REEL_END

#endif
