// SPDX-License-Identifier: MIT
// What the built-in callbacks share. Not installed.
#ifndef REEL_NN_CALLBACK_INTERNAL_H
#define REEL_NN_CALLBACK_INTERNAL_H

#include <reel/nn/callbacks.h>

/* A watched column and the best it has been. */
typedef struct reel_watch {
    char *name; /* NULL: val_loss, or loss without validation */
    bool maximize;
    double min_delta, best;
    int64_t best_epoch; /* -1: none yet */
} reel_watch;

bool reel_watch_open(reel_ctx *ctx, reel_watch *watch, const char *name, bool maximize, double min_delta);
void reel_watch_close(reel_watch *watch);
/* The column's newest number; an error when there is no such column. */
bool reel_watch_value(const reel_watch *watch, reel_run *run, double *value);
/* Whether the newest number is the best so far; then it is noted. */
bool reel_watch_improved(reel_watch *watch, reel_run *run, bool *improved);
bool reel_watch_store(const reel_watch *watch, reel_store *store, const char *prefix);
bool reel_watch_restore(reel_watch *watch, const reel_store *store, const char *prefix);

/* A callback followed by `bytes` of zeroed state, which is its `user`. */
reel_callback *reel_callback_alloc(reel_ctx *ctx, size_t bytes);

#endif
