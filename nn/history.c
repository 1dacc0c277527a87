// SPDX-License-Identifier: MIT
// What a training leaves of its epochs.
#include <math.h>
#include <reel/core/exec.h>
#include <reel/nn/train_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_column(reel_history *history, const char *before, const char *name)
{
    snprintf(history->name[history->columns], sizeof *history->name, "%s%s", before, name);
    history->columns++;
}

bool reel_history_open(reel_history *history, const reel_metric *metrics, int n_metrics, bool validation)
{
    *history = (reel_history) { 0 };
    for (int part = 0; part < 1 + validation; part++) {
        const char *before = part ? "val_" : "";
        add_column(history, before, "loss");
        for (int i = 0; i < n_metrics; i++) add_column(history, before, metrics[i].name);
    }
    add_column(history, "", "lr");
    add_column(history, "", "seconds");
    return true;
}

void reel_history_free(reel_history *history)
{
    if (!history) return;
    free(history->values);
    history->values = NULL;
    history->epochs = 0;
}

int reel_history_column(const reel_history *history, const char *name)
{
    for (int i = 0; history && name && i < history->columns; i++)
        if (strcmp(history->name[i], name) == 0) return i;
    return -1;
}

double reel_history_at(const reel_history *history, int64_t epoch, const char *name)
{
    int column = reel_history_column(history, name);
    if (column < 0 || epoch < 0 || epoch >= history->epochs) return NAN;
    return history->values[epoch * history->columns + column];
}

bool reel_history_reserve(reel_ctx *ctx, reel_history *history, int64_t epochs)
{
    size_t bytes = reel_bytes(reel_bytes((size_t)epochs, (size_t)history->columns), sizeof(double));
    double *grown = bytes < SIZE_MAX ? realloc(history->values, bytes ? bytes : 1) : NULL;
    if (!grown) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a history of %lld epochs", (long long)epochs);
    history->values = grown;
    return true;
}

bool reel_history_add(reel_run *run)
{
    reel_history *history = run->history;
    if (!reel_history_reserve(run->ctx, history, history->epochs + 1)) return false;
    double *row = history->values + history->epochs++ * history->columns;
    for (int part = 0; part < 1 + (run->validation != NULL); part++) {
        const reel_scores *scores = part ? &run->valid : &run->train;
        *row++ = scores->loss;
        for (int i = 0; i < run->n_metrics; i++) *row++ = scores->metric[i];
    }
    *row++ = reel_optim_lr(run->optim);
    *row = run->seconds;
    return true;
}
