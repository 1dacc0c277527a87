// SPDX-License-Identifier: MIT
// Callbacks that steer a training: checkpoints, early stopping, schedules.
#include <inttypes.h>
#include <math.h>
#include <reel/core/file.h>
#include <reel/nn/callback_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shared */

reel_callback *reel_callback_alloc(reel_ctx *ctx, size_t bytes)
{
    if (reel_ctx_error(ctx)) return NULL;
    size_t head = (sizeof(reel_callback) + 15) / 16 * 16;
    reel_callback *callback = calloc(1, head + bytes);
    if (!callback) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a callback");
    callback->user = (char *)callback + head;
    return callback;
}

bool reel_watch_open(reel_ctx *ctx, reel_watch *watch, const char *name, bool maximize, double min_delta)
{
    *watch = (reel_watch) { .maximize = maximize, .min_delta = fabs(min_delta), .best = NAN, .best_epoch = -1 };
    if (name) watch->name = reel_copy_text(ctx, name);
    return !name || watch->name;
}

void reel_watch_close(reel_watch *watch) { free(watch->name); }

bool reel_watch_value(const reel_watch *watch, reel_run *run, double *value)
{
    const reel_history *history = run->history;
    const char *name = watch->name ? watch->name : run->validation ? "val_loss" : "loss";
    int column = reel_history_column(history, name);
    if (column < 0) {
        return reel_fail(run->ctx, REEL_ERROR_VALUE, "fit: there is no column \"%s\" to watch (%s, ...)", name,
                         history->name[0]);
    }
    if (history->epochs < 1) return reel_fail(run->ctx, REEL_ERROR_VALUE, "fit: \"%s\" has no number yet", name);
    *value = history->values[(history->epochs - 1) * history->columns + column];
    return true;
}

bool reel_watch_improved(reel_watch *watch, reel_run *run, bool *improved)
{
    double value = NAN;
    if (!reel_watch_value(watch, run, &value)) return false;
    double gain = watch->maximize ? value - watch->best : watch->best - value;
    *improved = (watch->best_epoch < 0 && !isnan(value)) || gain > watch->min_delta;
    if (*improved) {
        watch->best = value;
        watch->best_epoch = run->epoch;
    }
    return true;
}

bool reel_watch_store(const reel_watch *watch, reel_store *store, const char *prefix)
{
    return reel_store_put_double(store, prefix, "best", watch->best) &&
           reel_store_put_int(store, prefix, "best_epoch", watch->best_epoch);
}

bool reel_watch_restore(reel_watch *watch, const reel_store *store, const char *prefix)
{
    return reel_store_double(store, prefix, "best", &watch->best) &&
           reel_store_int(store, prefix, "best_epoch", &watch->best_epoch);
}

/* Checkpoints */

typedef struct checkpoint {
    char *path;
    reel_checkpoint_opts opts;
    reel_watch watch;
    bool improved;
} checkpoint;

/* The path with "{epoch}" replaced. */
static char *checkpoint_path(const checkpoint *c, reel_ctx *ctx, int64_t epochs)
{
    const char *mark = strstr(c->path, "{epoch}");
    if (!mark) return reel_copy_text(ctx, c->path);
    size_t bytes = strlen(c->path) + 32;
    char *path = reel_host_alloc(ctx, bytes, 1);
    if (path) {
        snprintf(path, bytes, "%.*s%03" PRId64 "%s", (int)(mark - c->path), c->path, epochs, mark + strlen("{epoch}"));
    }
    return path;
}

static bool save_checkpoint(checkpoint *c, reel_run *run, int64_t epochs)
{
    char *path = checkpoint_path(c, run->ctx, epochs);
    bool ok = path && reel_run_save(run, path);
    free(path);
    return ok;
}

static bool checkpoint_step(reel_callback *self, reel_run *run)
{
    checkpoint *c = self->user;
    if (c->opts.every_steps < 1 || run->step % c->opts.every_steps != 0) return true;
    return save_checkpoint(c, run, run->epoch);
}

static bool checkpoint_epoch_end(reel_callback *self, reel_run *run)
{
    checkpoint *c = self->user;
    return !c->opts.best_only || reel_watch_improved(&c->watch, run, &c->improved);
}

static bool checkpoint_save(reel_callback *self, reel_run *run)
{
    checkpoint *c = self->user;
    bool whole = run->batch == run->batches; /* else training ends within the epoch */
    if (whole && c->opts.best_only && !c->improved) return true;
    return save_checkpoint(c, run, run->epoch + whole);
}

static bool checkpoint_store(reel_callback *self, reel_store *store, const char *prefix)
{
    return reel_watch_store(&((const checkpoint *)self->user)->watch, store, prefix);
}

static bool checkpoint_restore(reel_callback *self, reel_run *run, const reel_store *store, const char *prefix)
{
    (void)run;
    return reel_watch_restore(&((checkpoint *)self->user)->watch, store, prefix);
}

static void checkpoint_release(reel_callback *self)
{
    checkpoint *c = self->user;
    free(c->path);
    reel_watch_close(&c->watch);
    free(self);
}

reel_callback *reel_checkpoint_callback(reel_ctx *ctx, const char *path, const reel_checkpoint_opts *opts)
{
    static const reel_checkpoint_opts defaults;
    if (!opts) opts = &defaults;
    reel_callback *self = reel_callback_alloc(ctx, sizeof(checkpoint));
    if (!self) return NULL;
    checkpoint *c = self->user;
    *self = (reel_callback) { .on_step = checkpoint_step,
                              .on_epoch_end = checkpoint_epoch_end,
                              .on_save = checkpoint_save,
                              .store = checkpoint_store,
                              .restore = checkpoint_restore,
                              .release = checkpoint_release,
                              .user = c };
    c->opts = *opts;
    c->path = reel_copy_text(ctx, path);
    if (c->path && reel_watch_open(ctx, &c->watch, opts->monitor, opts->maximize, 0)) return self;
    checkpoint_release(self);
    return NULL;
}

/* Early stopping */

typedef struct stopping {
    reel_watch watch;
    int64_t patience, waited;
    bool restore_best;
    int count;          /* of copies: every entry of the module, then every average */
    reel_tensor **copy; /* of the best epoch */
} stopping;

/* The tensor that copy i is of. */
static reel_tensor *copied(const reel_run *run, int i)
{
    int own = reel_module_count(run->model->module);
    return i < own ? reel_module_at(run->model->module, i).tensor : reel_ema_average(run->ema, i - own);
}

static bool stopping_start(reel_callback *self, reel_run *run)
{
    stopping *s = self->user;
    if (!s->restore_best) return true;
    s->count = reel_module_count(run->model->module);
    if (run->ema) s->count += reel_module_parameters(run->model->module).count;
    s->copy = calloc(s->count ? (size_t)s->count : 1, sizeof(reel_tensor *));
    if (!s->copy) return reel_fail(run->ctx, REEL_ERROR_MEMORY, "no memory for copies of %d parameters", s->count);
    for (int i = 0; i < s->count; i++) {
        s->copy[i] = reel_zeros_like(copied(run, i));
        if (!s->copy[i] || !reel_assign(s->copy[i], copied(run, i))) return false;
    }
    return true;
}

static bool stopping_epoch_end(reel_callback *self, reel_run *run)
{
    stopping *s = self->user;
    bool improved;
    if (!reel_watch_improved(&s->watch, run, &improved)) return false;
    s->waited = improved ? 0 : s->waited + 1;
    for (int i = 0; improved && s->restore_best && i < s->count; i++)
        if (!reel_assign(s->copy[i], copied(run, i))) return false;
    if (!improved && s->waited >= s->patience) run->stop = true;
    return true;
}

static bool stopping_end(reel_callback *self, reel_run *run)
{
    stopping *s = self->user;
    if (!s->restore_best || s->watch.best_epoch < 0 || run->interrupted || reel_ctx_error(run->ctx)) return true;
    for (int i = 0; i < s->count; i++)
        if (!reel_assign(copied(run, i), s->copy[i])) return false;
    return true;
}

static bool stopping_store(reel_callback *self, reel_store *store, const char *prefix)
{
    const stopping *s = self->user;
    char name[32];
    bool ok = reel_watch_store(&s->watch, store, prefix) && reel_store_put_int(store, prefix, "waited", s->waited);
    for (int i = 0; ok && i < s->count; i++) {
        snprintf(name, sizeof name, "best.%d", i);
        ok = reel_store_put(store, prefix, name, s->copy[i]);
    }
    return ok;
}

static bool stopping_restore(reel_callback *self, reel_run *run, const reel_store *store, const char *prefix)
{
    (void)run;
    stopping *s = self->user;
    char name[32];
    bool ok = reel_watch_restore(&s->watch, store, prefix) && reel_store_int(store, prefix, "waited", &s->waited);
    for (int i = 0; ok && i < s->count; i++) {
        snprintf(name, sizeof name, "best.%d", i);
        ok = reel_store_get_into(store, prefix, name, s->copy[i]);
    }
    return ok;
}

static void stopping_release(reel_callback *self)
{
    stopping *s = self->user;
    for (int i = 0; s->copy && i < s->count; i++) reel_free(s->copy[i]);
    free(s->copy);
    reel_watch_close(&s->watch);
    free(self);
}

reel_callback *reel_early_stopping_callback(reel_ctx *ctx, const reel_early_stopping_opts *opts)
{
    static const reel_early_stopping_opts defaults;
    if (!opts) opts = &defaults;
    reel_callback *self = reel_callback_alloc(ctx, sizeof(stopping));
    if (!self) return NULL;
    stopping *s = self->user;
    *self = (reel_callback) { .on_start = stopping_start,
                              .on_epoch_end = stopping_epoch_end,
                              .on_end = stopping_end,
                              .store = stopping_store,
                              .restore = stopping_restore,
                              .release = stopping_release,
                              .user = s };
    s->patience = opts->patience;
    s->restore_best = opts->restore_best;
    if (reel_watch_open(ctx, &s->watch, opts->monitor, opts->maximize, opts->min_delta)) return self;
    stopping_release(self);
    return NULL;
}

/* Schedules */

typedef struct scheduling {
    reel_schedule schedule;
    bool by_step;
    reel_watch watch;
} scheduling;

static bool scheduling_start(reel_callback *self, reel_run *run)
{
    return reel_schedule_start(&((scheduling *)self->user)->schedule, run->optim);
}

static bool scheduling_step(reel_callback *self, reel_run *run)
{
    scheduling *s = self->user;
    return !s->by_step || reel_schedule_advance(&s->schedule, run->optim);
}

static bool scheduling_epoch_end(reel_callback *self, reel_run *run)
{
    scheduling *s = self->user;
    double metric = NAN;
    bool plateau = s->schedule.kind == REEL_LR_PLATEAU;
    /* A plateau's own steps are only those of its warm-up. */
    if (!s->by_step && !reel_schedule_advance(&s->schedule, run->optim)) return false;
    if (!plateau) return true;
    return reel_watch_value(&s->watch, run, &metric) && reel_schedule_observe(&s->schedule, run->optim, metric);
}

static bool scheduling_store(reel_callback *self, reel_store *store, const char *prefix)
{
    return reel_schedule_store(&((const scheduling *)self->user)->schedule, store, prefix);
}

static bool scheduling_restore(reel_callback *self, reel_run *run, const reel_store *store, const char *prefix)
{
    (void)run;
    return reel_schedule_restore(&((scheduling *)self->user)->schedule, store, prefix);
}

static void scheduling_release(reel_callback *self)
{
    reel_watch_close(&((scheduling *)self->user)->watch);
    free(self);
}

reel_callback *reel_schedule_callback(reel_ctx *ctx, reel_schedule schedule, const reel_schedule_opts *opts)
{
    static const reel_schedule_opts defaults;
    if (!opts) opts = &defaults;
    reel_callback *self = reel_callback_alloc(ctx, sizeof(scheduling));
    if (!self) return NULL;
    scheduling *s = self->user;
    *self = (reel_callback) { .on_start = scheduling_start,
                              .on_step = scheduling_step,
                              .on_epoch_end = scheduling_epoch_end,
                              .store = scheduling_store,
                              .restore = scheduling_restore,
                              .release = scheduling_release,
                              .user = s };
    s->schedule = schedule;
    s->by_step = opts->by_step;
    if (reel_watch_open(ctx, &s->watch, opts->monitor, false, 0)) return self;
    scheduling_release(self);
    return NULL;
}
