// SPDX-License-Identifier: MIT
// Training that stops, by a signal or a kill, and goes on to the same bits.
#include "task.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* Going on */

/* What a training is made of in the tests of resuming: everything that has a state. */
#define CALLBACKS 3
static reel_fit_opts full_options(const task *t, reel_callback *callbacks[CALLBACKS], const char *checkpoint,
                                  int64_t every)
{
    reel_schedule schedule = reel_lr_warmup(reel_lr_cosine(40, 1e-4), 5, 0.1);
    callbacks[0] =
        reel_early_stopping_callback(ctx, &(reel_early_stopping_opts) { .patience = 3, .restore_best = true });
    callbacks[1] = reel_schedule_callback(ctx, schedule, &(reel_schedule_opts) { .by_step = true });
    callbacks[2] = reel_checkpoint_callback(ctx, checkpoint, &(reel_checkpoint_opts) { .every_steps = every });
    return (reel_fit_opts) { .epochs = 6,
                             .validation = t->validation,
                             .ema_decay = 0.9,
                             .clip_norm = 1,
                             .accumulate = 2,
                             .callbacks = callbacks,
                             .n_callbacks = CALLBACKS };
}

/* Trains afresh, or from a checkpoint where there is one; leaves the weights. */
static void train_fully(const char *checkpoint, bool resume, int64_t epochs, float to[WEIGHTS], double *val_loss)
{
    task *t = open_task(8);
    reel_callback *callbacks[CALLBACKS];
    reel_fit_opts opts = full_options(t, callbacks, checkpoint, 2);
    if (epochs) opts.epochs = epochs;
    if (resume) {
        opts.resume = checkpoint;
        reel_module_clear_grads(t->module);
        reel_ctx_generator(ctx)->seed = 999; /* comes from the checkpoint */
    }
    reel_history history;
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    if (to) weights(t, to);
    if (val_loss) *val_loss = reel_history_at(&history, history.epochs - 1, "val_loss");
    reel_history_free(&history);
    close_task(t);
}

Test(resume, at_an_epochs_end_gives_the_bits_of_never_having_stopped, .init = set_up, .fini = tear_down)
{
    float whole[WEIGHTS], parts[WEIGHTS];
    double whole_loss, parts_loss;
    train_fully(in_folder("whole"), false, 0, whole, &whole_loss);
    train_fully(in_folder("parts"), false, 2, NULL, NULL);
    train_fully(in_folder("parts"), true, 4, NULL, NULL);
    train_fully(in_folder("parts"), true, 0, parts, &parts_loss);
    cr_expect_eq(memcmp(whole, parts, sizeof whole), 0);
    cr_expect_eq(whole_loss, parts_loss);
    /* A finished training resumed is finished. */
    train_fully(in_folder("parts"), true, 0, parts, &parts_loss);
    cr_expect_eq(memcmp(whole, parts, sizeof whole), 0);
}

/* Ends the training at a step by a signal, as a user's ^C would. */
static bool interrupt_at(reel_callback *self, reel_run *run)
{
    if (run->step == *(int64_t *)self->user) raise(SIGINT);
    return true;
}

Test(resume, after_an_interrupt_at_any_step_gives_the_same_bits, .init = set_up, .fini = tear_down)
{
    float whole[WEIGHTS], parts[WEIGHTS];
    train_fully(in_folder("whole"), false, 0, whole, NULL);
    for (int64_t step = 1; step <= 18; step++) {
        task *t = open_task(8);
        reel_callback *callbacks[CALLBACKS + 1], interrupt = { .on_step = interrupt_at, .user = &step };
        const char *path = in_folder("parts");
        reel_fit_opts opts = full_options(t, callbacks, path, 0);
        callbacks[CALLBACKS] = &interrupt;
        opts.n_callbacks = CALLBACKS + 1;
        opts.handle_signals = true;
        reel_history history;
        cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(history.stop, REEL_STOP_INTERRUPTED);
        cr_expect_eq(history.steps, step);
        reel_history_free(&history);
        close_task(t);

        t = open_task(8);
        step += 1000;
        opts = full_options(t, callbacks, path, 0);
        opts.n_callbacks = CALLBACKS + 1;
        opts.resume = path;
        cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
        step -= 1000;
        weights(t, parts);
        cr_expect_eq(memcmp(whole, parts, sizeof whole), 0, "interrupted at step %d", (int)step);
        close_task(t);
    }
    struct sigaction action;
    sigaction(SIGINT, NULL, &action);
    cr_expect(action.sa_handler == SIG_DFL, "the handler was left behind");
}

/* A child trains and is killed at a random moment, again and again, until it ends by itself. */
Test(resume, after_kills_at_random_moments_gives_the_same_bits, .init = set_up, .fini = tear_down, .timeout = 600)
{
    float whole[WEIGHTS], parts[WEIGHTS];
    const char *path = in_folder("model.safetensors"), *done = in_folder("done");
    train_fully(in_folder("whole"), false, 0, whole, NULL);
    reel_generator generator = { .seed = 5 };
    int kills = 0, finished = 0, whole_files = 0;
    reel_ctx *mine = ctx;
    for (int round = 0; kills < 200; round++) {
        cr_assert_lt(round, 5000);
        fflush(NULL);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            ctx = reel_ctx_new(NULL);
            train_fully(path, access(path, F_OK) == 0, 0, parts, NULL);
            FILE *file = fopen(done, "wb");
            fwrite(parts, sizeof parts, 1, file);
            fclose(file);
            _exit(0);
        }
        struct timespec wait = { 0, (long)(reel_generator_uniform(&generator) * 25e6) };
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        kills += WIFSIGNALED(status);
        cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "a resumed training failed");
        if (access(path, F_OK) == 0) { /* the newest checkpoint always loads */
            reel_safetensors *file = reel_safetensors_open(ctx, path);
            cr_assert(file, "after %d kills: %s", kills, reel_ctx_error_message(ctx));
            reel_safetensors_close(file);
            whole_files++;
        }
        if (WIFSIGNALED(status)) continue;
        FILE *file = fopen(done, "rb");
        cr_assert(file && fread(parts, sizeof parts, 1, file) == 1);
        fclose(file);
        cr_expect_eq(memcmp(whole, parts, sizeof whole), 0, "after %d kills", kills);
        finished++;
        unlink(path); /* begin again */
    }
    ctx = mine;
    cr_expect_gt(whole_files, 0);
    cr_expect_gt(finished, 0, "no training ever came to its end");
    cr_log_info("%d kills, %d trainings finished", kills, finished);
}

Test(resume, refuses_what_does_not_fit, .init = set_up, .fini = tear_down)
{
    train_fully(in_folder("c"), false, 1, NULL, NULL);
    task *t = open_task(8), *wide = open_task(9);
    float before[WEIGHTS], after[WEIGHTS];
    weights(t, before);
    reel_callback *none[3] = { NULL };
    reel_fit_opts opts = { .epochs = 2, .resume = in_folder("absent"), .callbacks = none, .n_callbacks = 3 };
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent: cannot be opened");
    opts.resume = in_folder("c");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "was made with other metrics or another kind of validation");
    opts.validation = t->validation;
    cr_expect_not(reel_fit(&wide->model, wide->optim, wide->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "and the parameter is float32 [9, 2]");
    opts.n_callbacks = 0;
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "was made with 3 callbacks, and there are 0");
    weights(t, after);
    cr_expect_arr_eq(before, after, sizeof before);
    opts.n_callbacks = 3;
    reel_loader *other =
        reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = 20, .shuffle = true, .seed = 4 });
    cr_expect_not(reel_fit(&t->model, t->optim, other, &opts, NULL));
    expect_error(REEL_ERROR_IO, "was made with a loader of seed 3, not 4");
    reel_optim *sgd = reel_sgd_new(reel_module_parameters(t->module), NULL);
    cr_expect_not(reel_fit(&t->model, sgd, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "holds the state of adam, not of sgd");
    cr_assert(reel_module_save(t->module, in_folder("weights"), NULL, 0));
    opts.resume = in_folder("weights");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "weights: is no checkpoint of a training");
    cr_assert(reel_module_load(t->module, in_folder("c"), NULL), "%s", reel_ctx_error_message(ctx));
    reel_callback *saving[] = { reel_checkpoint_callback(ctx, in_folder("plain"), NULL) };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .callbacks = saving, .n_callbacks = 1 }, NULL));
    saving[0] = NULL;
    opts = (reel_fit_opts) { .resume = in_folder("plain"), .callbacks = saving, .n_callbacks = 1, .ema_decay = 0.9 };
    task *averaged = open_task(8);
    weights(averaged, before);
    cr_expect_not(reel_fit(&averaged->model, averaged->optim, averaged->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "plain: was made without averages of weights (ema_decay)");
    weights(averaged, after);
    cr_expect_arr_eq(before, after, sizeof before);
    close_task(averaged);
    reel_optim_free(sgd);
    reel_loader_free(other);
    close_task(t);
    close_task(wide);
}
