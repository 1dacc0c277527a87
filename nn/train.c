// SPDX-License-Identifier: MIT
// The training loop.
#include <inttypes.h>
#include <math.h>
#include <reel/core/autograd.h>
#include <reel/core/operands.h>
#include <reel/nn/train_internal.h>
#include <reel/ops/pointwise.h>
#include <reel/optim/clip.h>
#include <signal.h>
#include <stdlib.h>

/* The one thing a signal handler can reach. It is installed for the length of a reel_fit that asks for it. */
static volatile sig_atomic_t signalled;

static void on_signal(int signal)
{
    (void)signal;
    signalled = 1;
}

typedef struct signal_guard {
    bool active;
    struct sigaction interrupt, terminate;
} signal_guard;

/* A second signal finds the default action again and ends the program at once. */
static void catch_signals(signal_guard *guard, bool on)
{
    guard->active = on;
    if (!on) return;
    signalled = 0;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND) };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &guard->interrupt);
    sigaction(SIGTERM, &action, &guard->terminate);
}

static void release_signals(const signal_guard *guard)
{
    if (!guard->active) return;
    sigaction(SIGINT, &guard->interrupt, NULL);
    sigaction(SIGTERM, &guard->terminate, NULL);
}

/* Calls one function of every callback. */
#define CALLBACKS(run, ok, function)                                                                                   \
    do {                                                                                                               \
        const reel_fit_opts *opts_ = ((const reel_fit_state *)(run)->state)->opts;                                     \
        for (int i_ = 0; (ok) && i_ < opts_->n_callbacks; i_++) {                                                      \
            reel_callback *callback_ = opts_->callbacks[i_];                                                           \
            if (callback_ && callback_->function) (ok) = callback_->function(callback_, run);                          \
        }                                                                                                              \
    } while (0)

static bool take_step(reel_run *run)
{
    const reel_fit_opts *opts = ((const reel_fit_state *)run->state)->opts;
    reel_params params = reel_module_parameters(run->model->module);
    bool ok = true;
    CALLBACKS(run, ok, on_gradients);
    if (ok && opts->clip_value > 0) ok = reel_clip_grad_value(params, opts->clip_value);
    if (ok && opts->clip_norm > 0) ok = reel_clip_grad_norm(params, opts->clip_norm, 0) != NULL;
    ok = ok && reel_optim_step(run->optim);
    if (ok && run->ema) ok = reel_ema_update(run->ema);
    run->step += ok;
    return ok;
}

/* Forward, backward of `share` of the loss and, when it is time, a step: recorded as one and played as one. */
static bool train_batch(reel_run *run, double share, bool step)
{
    reel_fit_state *state = run->state;
    const reel_model *model = run->model;
    bool ok = false;
    REEL_SCOPE(run->ctx)
    {
        reel_batch batch = reel_loader_next(run->data);
        reel_tensor *output = batch.count > 0 ? model->forward(model->user, &batch) : NULL;
        reel_tensor *loss = reel_model_loss(model, output, &batch);
        reel_tensor *scaled = loss && share != 1 ? reel_mul_scalar(loss, share) : loss;
        ok = scaled && reel_backward(scaled) && (!step || take_step(run)) &&
             reel_eval_all((reel_tensor *[]) { loss, output }, 2);
        if (ok) {
            run->batch_loss = reel_item(loss);
            ok = reel_sums_add(&state->sums, run->ctx, run->batch_loss, output, &batch, run->metrics, run->n_metrics);
        }
    }
    if (ok && !isfinite(run->batch_loss) && !state->opts->allow_nan) {
        ok = reel_fail(run->ctx, REEL_ERROR_NUMERIC,
                       "fit: the loss is %g at epoch %" PRId64 ", batch %" PRId64 " of %" PRId64
                       "; with check_numerics the op that made it is named",
                       run->batch_loss, run->epoch + 1, run->batch + 1, run->batches);
    }
    if (!ok && !reel_ctx_error(run->ctx)) reel_fail(run->ctx, REEL_ERROR_USER, "fit: the model gave no output or loss");
    return ok && !reel_ctx_error(run->ctx);
}

/* From run->batch to the end of the epoch, or to where training is to stop. */
static bool train_epoch(reel_run *run)
{
    reel_fit_state *state = run->state;
    bool ok = reel_loader_start(run->data, run->epoch, run->batch);
    int64_t waiting = 0, group = 1;
    while (ok && run->batch < run->batches) {
        int64_t left = run->batches - run->batch;
        if (waiting == 0) group = left < state->opts->accumulate ? left : state->opts->accumulate;
        bool step = ++waiting == group;
        ok = train_batch(run, 1 / (double)group, step);
        if (!ok) break;
        run->batch++;
        run->seconds = reel_clock() - state->began;
        reel_sums_scores(&state->sums, run->n_metrics, &run->train);
        run->train.seconds = run->seconds;
        CALLBACKS(run, ok, on_batch);
        if (!step) continue;
        waiting = 0;
        CALLBACKS(run, ok, on_step);
        if (state->opts->handle_signals && signalled) run->interrupted = run->stop = true;
        CALLBACKS(run, ok, on_decide);
        if (run->stop) break;
    }
    return ok;
}

static bool validate(reel_run *run)
{
    if (!run->validation) return true;
    if (run->ema && !reel_ema_swap(run->ema)) return false;
    bool ok = reel_evaluate(run->model, run->validation, run->metrics, run->n_metrics, &run->valid);
    if (run->ema) ok = reel_ema_swap(run->ema) && ok;
    return ok;
}

/* One epoch with all that belongs to it. */
static bool run_epoch(reel_run *run)
{
    reel_fit_state *state = run->state;
    bool ok = true;
    if (run->batch == 0) {
        state->sums = (reel_sums) { 0 };
        state->began = reel_clock();
        CALLBACKS(run, ok, on_epoch_start);
    }
    state->epoch_done = false;
    ok = ok && train_epoch(run);
    if (ok && run->batch == run->batches) {
        ok = validate(run);
        run->seconds = reel_clock() - state->began;
        reel_sums_scores(&state->sums, run->n_metrics, &run->train);
        ok = ok && reel_history_add(run);
        state->epoch_done = ok;
        CALLBACKS(run, ok, on_epoch_end);
        if (state->opts->handle_signals && signalled && !run->stop) run->interrupted = true;
        CALLBACKS(run, ok, on_decide);
    }
    CALLBACKS(run, ok, on_save);
    if (run->interrupted) run->stop = true;
    return ok;
}

static const char *check(const reel_optim *optim, const reel_fit_opts *opts)
{
    if (!optim) return "there is no optimiser";
    if (opts->epochs < 0 || opts->accumulate < 0) return "epochs and accumulate are counts";
    if (!(opts->clip_norm >= 0) || !(opts->clip_value >= 0)) return "gradients are clipped to positive numbers";
    if (!(opts->ema_decay >= 0)) return "ema_decay is a number from 0 to 1";
    return NULL;
}

static bool train(reel_run *run)
{
    reel_fit_state *state = run->state;
    bool ok = true;
    CALLBACKS(run, ok, on_start);
    if (ok && state->opts->resume) ok = reel_run_restore(run, state->opts->resume);
    while (ok && run->epoch < run->epochs && !run->stop) {
        ok = run_epoch(run);
        if (!state->epoch_done) break;
        state->epoch_done = false;
        run->epoch++;
        run->batch = 0;
    }
    /* Callbacks end whatever happened; what they say then counts only when nothing went wrong before. */
    bool ended = true;
    CALLBACKS(run, ended, on_end);
    ok = ok && ended;
    if (ok && run->ema && state->opts->keep_average) ok = reel_ema_swap(run->ema);
    return ok && !reel_ctx_error(run->ctx);
}

bool reel_fit(const reel_model *model, reel_optim *optim, reel_loader *data, const reel_fit_opts *opts,
              reel_history *history)
{
    reel_fit_opts settings = opts ? *opts : (reel_fit_opts) { 0 };
    reel_ctx *ctx = reel_loader_ctx(data);
    reel_history own;
    if (!history) history = &own;
    reel_history_open(history, settings.metrics, 0, false);
    bool ok = reel_model_complete("fit", model, data) &&
              reel_metrics_complete("fit", ctx, settings.metrics, settings.n_metrics) &&
              reel_given_list(ctx, "fit", "callbacks", settings.callbacks, settings.n_callbacks);
    const char *wrong = ok ? check(optim, &settings) : NULL;
    if (wrong) ok = reel_fail(ctx, REEL_ERROR_VALUE, "fit: %s", wrong);
    if (settings.epochs == 0) settings.epochs = 1;
    if (settings.accumulate == 0) settings.accumulate = 1;
    if (ok) {
        reel_history_open(history, settings.metrics, settings.n_metrics, settings.validation != NULL);
        reel_fit_state state = { .opts = &settings };
        reel_run run = { .model = model,
                         .ctx = ctx,
                         .optim = optim,
                         .data = data,
                         .validation = settings.validation,
                         .metrics = settings.metrics,
                         .n_metrics = settings.n_metrics,
                         .epochs = settings.epochs,
                         .batches = reel_loader_batches(data),
                         .history = history,
                         .state = &state };
        bool training = reel_module_training(model->module), anomaly = reel_ctx_anomaly(ctx);
        signal_guard guard;
        catch_signals(&guard, settings.handle_signals);
        if (settings.check_numerics) reel_ctx_set_anomaly(ctx, true);
        reel_module_train(model->module, true);
        if (settings.ema_decay > 0) {
            run.ema = reel_ema_new(reel_module_parameters(model->module), settings.ema_decay);
            ok = run.ema != NULL;
        }
        ok = ok && train(&run);
        history->stop = run.interrupted ? REEL_STOP_INTERRUPTED : run.stop ? REEL_STOP_EARLY : REEL_STOP_DONE;
        history->steps = run.step;
        reel_ema_free(run.ema);
        reel_module_train(model->module, training);
        reel_ctx_set_anomaly(ctx, anomaly);
        release_signals(&guard);
    }
    for (int i = 0; settings.callbacks && i < settings.n_callbacks; i++) {
        reel_callback *callback = settings.callbacks[i];
        if (callback && callback->release) callback->release(callback);
    }
    if (history == &own) reel_history_free(&own);
    return ok;
}
