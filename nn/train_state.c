// SPDX-License-Identifier: MIT
// A training in a file, and a file as a training to go on with.
#include <inttypes.h>
#include <reel/core/file.h>
#include <reel/nn/train_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "reel."

static bool store_generator(reel_store *store, const char *name, const reel_generator *generator)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, PREFIX "%s.", name);
    return reel_store_put_int(store, prefix, "seed", (int64_t)generator->seed) &&
           reel_store_put_int(store, prefix, "offset", (int64_t)generator->offset);
}

static bool restore_generator(const reel_store *store, const char *name, reel_generator *generator)
{
    char prefix[64];
    int64_t seed, offset;
    snprintf(prefix, sizeof prefix, PREFIX "%s.", name);
    if (!reel_store_int(store, prefix, "seed", &seed) || !reel_store_int(store, prefix, "offset", &offset))
        return false;
    *generator = (reel_generator) { (uint64_t)seed, (uint64_t)offset };
    return true;
}

/* The sums of the epoch so far, as one list. */
static void sums_to_list(const reel_sums *sums, double seconds, double list[2 * REEL_MAX_METRICS + 3])
{
    list[0] = sums->loss;
    list[1] = sums->samples;
    list[2] = seconds;
    memcpy(list + 3, sums->metric, sizeof sums->metric);
    memcpy(list + 3 + REEL_MAX_METRICS, sums->weight, sizeof sums->weight);
}

static bool store_history(const reel_history *history, reel_store *store)
{
    char name[32];
    bool ok = reel_store_put_int(store, PREFIX, "history.epochs", history->epochs) &&
              reel_store_put_int(store, PREFIX, "history.columns", history->columns) &&
              reel_store_put_doubles(store, PREFIX, "history", history->values, history->epochs * history->columns);
    for (int i = 0; ok && i < history->columns; i++) {
        snprintf(name, sizeof name, "history.%d", i);
        ok = reel_store_put_text(store, PREFIX, name, "%s", history->name[i]);
    }
    return ok;
}

/* The rows of a history of the same columns. */
static bool restore_history(reel_run *run, const reel_store *store)
{
    reel_history *history = run->history;
    char name[32];
    int64_t epochs, columns;
    if (!reel_store_int(store, PREFIX, "history.epochs", &epochs) ||
        !reel_store_int(store, PREFIX, "history.columns", &columns)) {
        return false;
    }
    bool same = columns == history->columns && epochs >= 0;
    for (int i = 0; same && i < history->columns; i++) {
        snprintf(name, sizeof name, "history.%d", i);
        const char *column = reel_store_text(store, PREFIX, name);
        if (!column) return false;
        same = strcmp(column, history->name[i]) == 0;
    }
    if (!same) {
        return reel_fail(run->ctx, REEL_ERROR_IO, "%s: was made with other metrics or another kind of validation",
                         reel_store_path(store));
    }
    if (!reel_history_reserve(run->ctx, history, epochs) ||
        !reel_store_doubles(store, PREFIX, "history", history->values, epochs * columns)) {
        return false;
    }
    history->epochs = epochs;
    return true;
}

static bool store_callbacks(const reel_fit_opts *opts, reel_store *store)
{
    char prefix[48];
    bool ok = reel_store_put_int(store, PREFIX, "callbacks", opts->n_callbacks);
    for (int i = 0; ok && i < opts->n_callbacks; i++) {
        reel_callback *callback = opts->callbacks[i];
        snprintf(prefix, sizeof prefix, PREFIX "callback.%d.", i);
        if (callback && callback->store) ok = callback->store(callback, store, prefix);
    }
    return ok;
}

/* Told before anything of the run has changed. */
static bool same_parts(reel_run *run, const reel_store *store)
{
    const reel_fit_opts *opts = ((const reel_fit_state *)run->state)->opts;
    int64_t count;
    if (!reel_store_int(store, PREFIX, "callbacks", &count)) return false;
    if (count != opts->n_callbacks) {
        return reel_fail(run->ctx, REEL_ERROR_IO, "%s: was made with %" PRId64 " callbacks, and there are %d",
                         reel_store_path(store), count, opts->n_callbacks);
    }
    if (!run->ema || reel_store_has_text(store, PREFIX "ema.", "decay")) return true;
    return reel_fail(run->ctx, REEL_ERROR_IO, "%s: was made without averages of weights (ema_decay)",
                     reel_store_path(store));
}

static bool restore_callbacks(reel_run *run, const reel_store *store)
{
    const reel_fit_opts *opts = ((const reel_fit_state *)run->state)->opts;
    char prefix[48];
    bool ok = true;
    for (int i = 0; ok && i < opts->n_callbacks; i++) {
        reel_callback *callback = opts->callbacks[i];
        snprintf(prefix, sizeof prefix, PREFIX "callback.%d.", i);
        if (callback && callback->restore) ok = callback->restore(callback, run, store, prefix);
    }
    return ok;
}

static bool store_place(reel_run *run, reel_store *store)
{
    const reel_fit_state *state = run->state;
    double list[2 * REEL_MAX_METRICS + 3];
    sums_to_list(&state->sums, reel_clock() - state->began, list);
    bool ok = reel_store_put_text(store, PREFIX, "checkpoint", "1") &&
              reel_store_put_int(store, PREFIX, "epoch", run->epoch + state->epoch_done) &&
              reel_store_put_int(store, PREFIX, "batch", state->epoch_done ? 0 : run->batch) &&
              reel_store_put_int(store, PREFIX, "step", run->step) &&
              reel_store_put_int(store, PREFIX, "stopped", run->stop && !run->interrupted && state->epoch_done) &&
              reel_store_put_int(store, PREFIX, "data.seed", (int64_t)reel_loader_seed(run->data)) &&
              reel_store_put_int(store, PREFIX, "data.batch", reel_loader_batch_size(run->data)) &&
              reel_store_put_int(store, PREFIX, "data.samples", reel_loader_samples(run->data));
    if (ok && !state->epoch_done) ok = reel_store_put_doubles(store, PREFIX, "sums", list, 2 * REEL_MAX_METRICS + 3);
    return ok;
}

/* The order of samples is the loader's: with another one the bits would be others. */
static bool same_data(reel_run *run, const reel_store *store)
{
    const int64_t mine[3] = { (int64_t)reel_loader_seed(run->data), reel_loader_batch_size(run->data),
                              reel_loader_samples(run->data) };
    static const char *const names[3] = { "data.seed", "data.batch", "data.samples" };
    static const char *const what[3] = { "a loader of seed", "batches of", "a data set of" };
    for (int i = 0; i < 3; i++) {
        int64_t theirs;
        if (!reel_store_int(store, PREFIX, names[i], &theirs)) return false;
        if (theirs != mine[i]) {
            return reel_fail(run->ctx, REEL_ERROR_IO, "%s: was made with %s %" PRId64 ", not %" PRId64,
                             reel_store_path(store), what[i], theirs, mine[i]);
        }
    }
    return true;
}

static bool restore_place(reel_run *run, const reel_store *store)
{
    reel_fit_state *state = run->state;
    int64_t stopped, epoch, batch, step;
    if (!same_data(run, store) || !reel_store_int(store, PREFIX, "epoch", &epoch) ||
        !reel_store_int(store, PREFIX, "batch", &batch) || !reel_store_int(store, PREFIX, "step", &step) ||
        !reel_store_int(store, PREFIX, "stopped", &stopped)) {
        return false;
    }
    if (epoch < 0 || batch < 0 || batch > run->batches || step < 0) {
        return reel_fail(run->ctx, REEL_ERROR_IO, "%s: its place is batch %" PRId64 " of epoch %" PRId64,
                         reel_store_path(store), batch, epoch);
    }
    if (batch > 0) {
        double list[2 * REEL_MAX_METRICS + 3];
        if (!reel_store_doubles(store, PREFIX, "sums", list, 2 * REEL_MAX_METRICS + 3)) return false;
        state->sums.loss = list[0];
        state->sums.samples = list[1];
        state->began = reel_clock() - list[2];
        memcpy(state->sums.metric, list + 3, sizeof state->sums.metric);
        memcpy(state->sums.weight, list + 3 + REEL_MAX_METRICS, sizeof state->sums.weight);
    }
    run->epoch = epoch;
    run->batch = batch;
    run->step = step;
    run->stop = stopped != 0;
    return true;
}

/* The module draws from a generator of its own, or from the context's. */
static bool own_generator(const reel_run *run)
{
    return reel_module_generator(run->model->module) != reel_ctx_generator(run->ctx);
}

bool reel_run_save(reel_run *run, const char *path)
{
    if (!run) return false;
    const reel_fit_state *state = run->state;
    if (!state) return reel_fail(run->ctx, REEL_ERROR_CONTEXT, "run_save: the run is none that reel_fit began");
    reel_store *store = reel_store_new(run->ctx);
    bool ok = store && reel_module_store(run->model->module, store, "") && store_place(run, store) &&
              reel_optim_store(run->optim, store, PREFIX "optim.") &&
              store_generator(store, "generator", reel_ctx_generator(run->ctx));
    if (ok && own_generator(run))
        ok = store_generator(store, "module.generator", reel_module_generator(run->model->module));
    if (ok && run->ema) ok = reel_ema_store(run->ema, store, PREFIX "ema.");
    ok =
        ok && store_history(run->history, store) && store_callbacks(state->opts, store) && reel_store_save(store, path);
    reel_store_close(store);
    return ok;
}

bool reel_run_restore(reel_run *run, const char *path)
{
    reel_store *store = reel_store_open(run->ctx, path);
    bool ok = store != NULL;
    if (ok && !reel_store_has_text(store, PREFIX, "checkpoint")) {
        ok = reel_fail(run->ctx, REEL_ERROR_IO, "%s: is no checkpoint of a training", path);
    }
    ok = ok && same_parts(run, store) && restore_place(run, store) && restore_history(run, store) &&
         reel_optim_restore(run->optim, store, PREFIX "optim.") &&
         reel_module_restore(run->model->module, store, NULL) &&
         restore_generator(store, "generator", reel_ctx_generator(run->ctx));
    if (ok && own_generator(run)) {
        ok = restore_generator(store, "module.generator", reel_module_generator(run->model->module));
    }
    if (ok && run->ema) ok = reel_ema_restore(run->ema, store, PREFIX "ema.");
    ok = ok && restore_callbacks(run, store);
    reel_store_close(store);
    return ok;
}
