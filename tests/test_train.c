// SPDX-License-Identifier: MIT
// The training loop: what it computes, how it stops, what it leaves behind, and how it goes on.
#define _GNU_SOURCE /* memmem */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <reel/core/safetensors.h>
#include <reel/nn/callbacks.h>
#include <reel/nn/layers.h>
#include <reel/nn/train.h>
#include <reel/ops/loss.h>
#include <reel/ops/pointwise.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static reel_ctx *ctx;
static char folder[64];

static void set_up(void)
{
    ctx = reel_ctx_new(NULL);
    strcpy(folder, "/tmp/reel-train-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(system(command) == 0);
    reel_ctx_free(ctx);
}

static const char *in_folder(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static char *read_text(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s: %s", path, strerror(errno));
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = '\0';
    return text;
}

static void expect_error(reel_error code, const char *reason)
{
    const char *message = reel_ctx_error_message(ctx);
    cr_expect_eq(reel_ctx_error(ctx), code, "error %d: %s", reel_ctx_error(ctx), message);
    cr_expect(strstr(message, reason) != NULL, "no '%s' in: %s", reason, message);
    reel_ctx_clear_error(ctx);
}

/* A task: points of three classes around the corners of a triangle; and a net with dropout to learn it. */

#define POINTS 90

typedef struct task {
    reel_module *module;
    reel_linear_layer first, second;
    reel_dropout_layer drop;
    reel_dataset *points;
    reel_loader *data, *validation;
    reel_optim *optim;
    reel_model model;
    bool poison; /* forward divides by zero */
} task;

static reel_tensor *forward(void *user, const reel_batch *batch)
{
    const task *t = user;
    reel_tensor *h = reel_dropout_forward(&t->drop, reel_relu(reel_linear_forward(&t->first, batch->field[0])));
    reel_tensor *y = reel_linear_forward(&t->second, h);
    return t->poison ? reel_div(y, reel_zeros_like(y)) : y;
}

static task *open_task(int64_t hidden)
{
    task *t = calloc(1, sizeof *t);
    reel_generator generator = { .seed = 11 };
    float x[POINTS * 2];
    int64_t y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        y[i] = i % 3;
        x[2 * i] = (float)(2 * cos(2.1 * (double)y[i]) + 0.5 * reel_generator_normal(&generator));
        x[2 * i + 1] = (float)(2 * sin(2.1 * (double)y[i]) + 0.5 * reel_generator_normal(&generator));
    }
    reel_tensor *fields[] = { reel_floats(ctx, REEL_SHAPE(POINTS, 2), x), reel_longs(ctx, REEL_SHAPE(POINTS), y) };
    t->points = reel_dataset_from_tensors(fields, 2);
    reel_free(fields[0]);
    reel_free(fields[1]);
    t->data = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = 20, .shuffle = true, .seed = 3 });
    t->validation = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = 45, .no_thread = true });
    reel_ctx_generator(ctx)->seed = 17;
    reel_ctx_generator(ctx)->offset = 0;
    t->module = reel_module_new(ctx, NULL);
    t->first = reel_linear_make(t->module, "first", 2, hidden, NULL);
    t->second = reel_linear_make(t->module, "second", hidden, 3, NULL);
    t->drop = reel_dropout_make(t->module, 0.2, false);
    t->optim = reel_adam_new(reel_module_parameters(t->module), &(reel_adam_opts) { .lr = 0.02 });
    t->model = (reel_model) { .module = t->module, .forward = forward, .user = t };
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    return t;
}

static void close_task(task *t)
{
    reel_optim_free(t->optim);
    reel_loader_free(t->data);
    reel_loader_free(t->validation);
    reel_dataset_free(t->points);
    reel_module_free(t->module);
    free(t);
}

/* All parameters as one list. */
#define WEIGHTS (2 * 8 + 8 + 8 * 3 + 3)
static void weights(const task *t, float to[WEIGHTS])
{
    float *at = to;
    for (int i = 0; i < reel_module_count(t->module); i++) {
        reel_tensor *x = reel_module_at(t->module, i).tensor;
        cr_assert(at + reel_numel(x) <= to + WEIGHTS);
        memcpy(at, reel_data_f32(x), (size_t)reel_numel(x) * sizeof(float));
        at += reel_numel(x);
    }
}

/* Learning */

Test(train, fit_learns_and_says_what_it_did, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_metric metrics[] = { reel_metric_accuracy() };
    reel_history history;
    reel_fit_opts opts = { .epochs = 12, .validation = t->validation, .metrics = metrics, .n_metrics = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(history.epochs, 12);
    cr_expect_eq(history.steps, 12 * 5);
    cr_expect_eq(history.stop, REEL_STOP_DONE);
    static const char *const names[] = { "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds" };
    cr_assert_eq(history.columns, 6);
    for (int i = 0; i < 6; i++) cr_expect_str_eq(history.name[i], names[i]);
    cr_expect_gt(reel_history_at(&history, 11, "val_accuracy"), 0.95);
    cr_expect_lt(reel_history_at(&history, 11, "loss"), 0.5 * reel_history_at(&history, 0, "loss"));
    cr_expect_eq(reel_history_at(&history, 0, "lr"), 0.02);
    cr_expect(isnan(reel_history_at(&history, 12, "loss")) && isnan(reel_history_at(&history, 0, "absent")));
    cr_expect(reel_module_training(t->module));

    reel_scores scores;
    cr_assert(reel_evaluate(&t->model, t->validation, metrics, 1, &scores), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(scores.loss, reel_history_at(&history, 11, "val_loss"));
    cr_expect_eq(scores.metric[0], reel_history_at(&history, 11, "val_accuracy"));
    cr_expect_eq(scores.samples, POINTS);
    cr_expect(reel_module_training(t->module));

    reel_tensor *outputs = reel_predict(&t->model, t->validation);
    cr_assert(outputs, "%s", reel_ctx_error_message(ctx));
    cr_assert(reel_shape_equal(reel_shape_of(outputs), REEL_SHAPE(POINTS, 3)));
    const float *y = reel_data_f32(outputs);
    int right = 0;
    for (int i = 0; i < POINTS; i++) {
        int best = 0;
        for (int c = 1; c < 3; c++)
            if (y[3 * i + c] > y[3 * i + best]) best = c;
        right += best == i % 3;
    }
    cr_expect_float_eq((double)right / POINTS, scores.metric[0], 1e-12);
    reel_history_free(&history);
    close_task(t);
}

Test(train, the_loop_is_the_one_a_user_would_write, .init = set_up, .fini = tear_down)
{
    float fitted[WEIGHTS], by_hand[WEIGHTS];
    task *t = open_task(8);
    cr_assert(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .epochs = 3 }, NULL));
    weights(t, fitted);
    close_task(t);
    t = open_task(8);
    for (int epoch = 0; epoch < 3; epoch++) {
        reel_loader_start(t->data, epoch, 0);
        while (reel_loader_more(t->data)) {
            REEL_SCOPE(ctx)
            {
                reel_batch batch = reel_loader_next(t->data);
                reel_tensor *loss = reel_cross_entropy(forward(t, &batch), batch.field[1], NULL);
                reel_backward(loss);
                reel_optim_step(t->optim);
            }
        }
    }
    weights(t, by_hand);
    cr_expect_eq(memcmp(fitted, by_hand, sizeof fitted), 0);
    close_task(t);
}

Test(train, accumulated_batches_make_one_step, .init = set_up, .fini = tear_down)
{
    /* Without dropout, five batches of 18 accumulated are one batch of 90. */
    float whole[WEIGHTS], parts[WEIGHTS];
    for (int k = 0; k < 2; k++) {
        task *t = open_task(8);
        t->drop.p = 0;
        reel_loader *data = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = k ? 18 : 90 });
        reel_fit_opts opts = { .epochs = 4, .accumulate = k ? 5 : 1 };
        reel_history history;
        cr_assert(reel_fit(&t->model, t->optim, data, &opts, &history), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(history.steps, 4);
        weights(t, k ? parts : whole);
        reel_history_free(&history);
        reel_loader_free(data);
        close_task(t);
    }
    for (int i = 0; i < WEIGHTS; i++) cr_expect_float_eq(whole[i], parts[i], 2e-5);
}

Test(train, clips_gradients_and_averages_weights, .init = set_up, .fini = tear_down)
{
    float start[WEIGHTS], end[WEIGHTS];
    task *t = open_task(8);
    weights(t, start);
    reel_optim *sgd = reel_sgd_new(reel_module_parameters(t->module), &(reel_sgd_opts) { .lr = 1 });
    cr_assert(reel_fit(&t->model, sgd, t->data, &(reel_fit_opts) { .clip_norm = 1e-3 }, NULL));
    weights(t, end);
    double distance = 0;
    for (int i = 0; i < WEIGHTS; i++) distance += (end[i] - start[i]) * (double)(end[i] - start[i]);
    cr_expect(sqrt(distance) <= 5 * 1e-3 * 1.0001, "five steps went %g", sqrt(distance));
    cr_expect_gt(sqrt(distance), 1e-4);
    weights(t, start);
    cr_assert(reel_fit(&t->model, sgd, t->data, &(reel_fit_opts) { .clip_value = 1e-4 }, NULL));
    weights(t, end);
    for (int i = 0; i < WEIGHTS; i++) cr_expect(fabsf(end[i] - start[i]) <= 5.001e-4f);
    reel_fit_opts frozen = { .epochs = 2, .ema_decay = 1, .keep_average = true, .validation = t->validation };
    weights(t, start);
    cr_assert(reel_fit(&t->model, sgd, t->data, &frozen, NULL), "%s", reel_ctx_error_message(ctx));
    weights(t, end);
    cr_expect_eq(memcmp(start, end, sizeof start), 0, "averages of decay 1 never move");
    reel_optim_free(sgd);
    close_task(t);
}

Test(train, leaves_no_tensors_behind, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_callback *callbacks[2];
    size_t first = 0;
    for (int round = 0; round < 3; round++) {
        callbacks[0] =
            reel_early_stopping_callback(ctx, &(reel_early_stopping_opts) { .patience = 9, .restore_best = true });
        callbacks[1] = reel_checkpoint_callback(ctx, in_folder("c"), NULL);
        reel_fit_opts opts = { .epochs = round == 2 ? 10 : 2,
                               .validation = t->validation,
                               .ema_decay = 0.9,
                               .callbacks = callbacks,
                               .n_callbacks = 2 };
        cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
        if (round == 1) first = reel_ctx_memory(ctx).tensors_now;
    }
    cr_expect_eq(reel_ctx_memory(ctx).tensors_now, first);
    close_task(t);
}

/* Metrics */

static reel_batch batch_of(reel_tensor *x, reel_tensor *y)
{
    return (reel_batch) { .count = reel_size(x, 0), .n_fields = 2, .field = { x, y } };
}

Test(metrics, count_what_is_right, .init = set_up, .fini = tear_down)
{
    const float
        scores[] = { 3, 2, 1, 0, /* 0 */ 1, 3, 2, 0, /* 1 */ 5, 5, 1, 0, /* a tie: 0 */ NAN, 1, 0, 2 /* none */ };
    reel_tensor *y = reel_floats(ctx, REEL_SHAPE(4, 4), scores);
    reel_tensor *labels = reel_longs(ctx, REEL_SHAPE(4), (int64_t[]) { 0, 2, 1, 0 });
    reel_batch batch = batch_of(y, labels);
    static const double expected[] = { 1, 3, 3, 3 };
    for (int k = 1; k <= 4; k++) {
        reel_metric metric = k == 1 ? reel_metric_accuracy() : reel_metric_top_k(k);
        double sum = 0, weight = 0;
        cr_assert(metric.update(&metric, y, &batch, &sum, &weight), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(sum, expected[k - 1], "top %d: %g", k, sum);
        cr_expect_eq(weight, 4);
    }
    double sum = 0, weight = 0;
    reel_metric accuracy = reel_metric_accuracy(), error = reel_metric_mean_absolute_error();
    reel_batch wrong = batch_of(y, reel_longs(ctx, REEL_SHAPE(3), (int64_t[]) { 0, 1, 2 }));
    cr_expect_not(accuracy.update(&accuracy, y, &wrong, &sum, &weight));
    expect_error(REEL_ERROR_SHAPE,
                 "accuracy: outputs [N, C] and labels int64 [N] are needed, not [4, 4] and int64 [3]");
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 1, 2, 3, 4 });
    reel_batch pair = batch_of(a, reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 1, 0, 3, 7 }));
    cr_assert(error.update(&error, a, &pair, &sum, &weight));
    cr_expect(sum == 5 && weight == 4);
    reel_metric squared = reel_metric_mean_squared_error();
    sum = weight = 0;
    cr_assert(squared.update(&squared, a, &pair, &sum, &weight));
    cr_expect(sum == 13 && weight == 4);
}

Test(metrics, a_confusion_matrix_gives_precision_and_recall, .init = set_up, .fini = tear_down)
{
    reel_confusion *confusion = reel_confusion_new(ctx, 3);
    const float scores[] = { 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1 };
    reel_tensor *y = reel_floats(ctx, REEL_SHAPE(5, 3), scores);
    cr_assert(reel_confusion_add(confusion, y, reel_longs(ctx, REEL_SHAPE(5), (int64_t[]) { 0, 0, 1, 1, 1 })));
    static const int64_t expected[] = { 1, 1, 0, 0, 2, 1, 0, 0, 0 };
    cr_expect_eq(memcmp(confusion->count, expected, sizeof expected), 0);
    cr_expect_eq(reel_confusion_precision(confusion, 0), 1);
    cr_expect_eq(reel_confusion_recall(confusion, 0), 0.5);
    cr_expect_float_eq(reel_confusion_precision(confusion, 1), 2.0 / 3, 1e-15);
    cr_expect_float_eq(reel_confusion_f1(confusion, 0), 2.0 / 3, 1e-15);
    cr_expect(isnan(reel_confusion_recall(confusion, 2)) && reel_confusion_precision(confusion, 2) == 0);
    cr_expect_float_eq(reel_confusion_accuracy(confusion), 0.6, 1e-15);
    cr_expect_not(reel_confusion_add(confusion, y, reel_longs(ctx, REEL_SHAPE(5), (int64_t[]) { 0, 0, 3, 1, 1 })));
    expect_error(REEL_ERROR_VALUE, "label 3 is not in [0, 3)");
    const char *names[] = { "a<b", "b", "c" };
    cr_assert(reel_confusion_save_svg(confusion, ctx, in_folder("m.svg"), names), "%s", reel_ctx_error_message(ctx));
    char *svg = read_text(in_folder("m.svg"));
    cr_expect(strncmp(svg, "<svg", 4) == 0 && strstr(svg, "</svg>\n") && strstr(svg, "a&lt;b") &&
              strstr(svg, "60.00 %"));
    reel_confusion_free(confusion);
    cr_expect_null(reel_confusion_new(ctx, 0));
    expect_error(REEL_ERROR_VALUE, "0 classes");
}

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
    reel_fit_opts opts = { .epochs = 2, .resume = in_folder("absent") };
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent: cannot be opened");
    opts.resume = in_folder("c");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "was made with other metrics or another kind of validation");
    opts.validation = t->validation;
    cr_expect_not(reel_fit(&wide->model, wide->optim, wide->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "and the parameter is float32 [9, 2]");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "was made with 3 callbacks, and there are 0");
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
    reel_optim_free(sgd);
    reel_loader_free(other);
    close_task(t);
    close_task(wide);
}

/* What goes wrong */

Test(train, a_loss_that_is_no_number_is_an_error_that_says_where, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    t->poison = true;
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .check_numerics = true }, NULL));
    expect_error(REEL_ERROR_NUMERIC, "div: element 0 of the result [20, 3]");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_NUMERIC, "at epoch 1, batch 1 of 5");
    cr_expect_not(reel_ctx_anomaly(ctx));
    cr_assert(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .allow_nan = true }, NULL), "%s",
              reel_ctx_error_message(ctx));
    close_task(t);
}

Test(train, a_full_disk_or_unwritable_folder_ends_it_and_leaves_the_old_checkpoint, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    const char *path = in_folder("c.safetensors");
    reel_callback *callbacks[] = { reel_checkpoint_callback(ctx, path, NULL) };
    reel_fit_opts opts = { .epochs = 1, .callbacks = callbacks, .n_callbacks = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit) { 500, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    callbacks[0] = reel_checkpoint_callback(ctx, path, NULL);
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    setrlimit(RLIMIT_FSIZE, &old);
    expect_error(REEL_ERROR_IO, "c.safetensors: cannot be written: File too large");
    callbacks[0] = reel_checkpoint_callback(ctx, in_folder("absent/c"), NULL);
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/c: cannot be written: No such file or directory");
    cr_assert(reel_module_load(t->module, path, NULL), "%s", reel_ctx_error_message(ctx));
    callbacks[0] = reel_csv_callback(ctx, in_folder("absent/log.csv"));
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/log.csv");
    callbacks[0] = reel_tensorboard_callback(ctx, in_folder("absent/log"));
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/log: cannot be made");
    close_task(t);
}

static reel_tensor *forward_nothing(void *user, const reel_batch *batch)
{
    (void)user, (void)batch;
    return NULL;
}

Test(train, refuses_what_it_cannot_train, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    cr_expect_not(reel_fit(&(reel_model) { .module = t->module }, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "no module or no forward function");
    cr_expect_not(reel_fit(&t->model, NULL, t->data, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "no optimiser");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .epochs = -1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "counts");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .clip_norm = -1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "clipped to positive numbers");
    reel_model nothing = { .module = t->module, .forward = forward_nothing };
    cr_expect_not(reel_fit(&nothing, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_USER, "gave no output");
    reel_scores scores;
    cr_expect_not(reel_evaluate(&nothing, t->data, NULL, 0, &scores));
    expect_error(REEL_ERROR_USER, "gave no output");
    cr_expect_null(reel_predict(&nothing, t->data));
    expect_error(REEL_ERROR_USER, "gave no output");
    reel_callback *callbacks[] = { reel_early_stopping_callback(
        ctx, &(reel_early_stopping_opts) { .monitor = "val_lost" }) };
    cr_expect_not(
        reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .callbacks = callbacks, .n_callbacks = 1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "no column \"val_lost\" to watch");
    close_task(t);
}

/* Callbacks */

typedef struct diary {
    char text[4096];
} diary;

static bool note(reel_callback *self, const char *what)
{
    diary *d = self->user;
    strcat(strcat(d->text, what), " ");
    return true;
}
static bool note_start(reel_callback *self, reel_run *run) { return (void)run, note(self, "start"); }
static bool note_epoch(reel_callback *self, reel_run *run) { return (void)run, note(self, "epoch"); }
static bool note_batch(reel_callback *self, reel_run *run) { return (void)run, note(self, "batch"); }
static bool note_step(reel_callback *self, reel_run *run) { return (void)run, note(self, "step"); }
static bool note_ended(reel_callback *self, reel_run *run) { return (void)run, note(self, "ended"); }
static bool note_save(reel_callback *self, reel_run *run) { return (void)run, note(self, "save"); }
static bool note_end(reel_callback *self, reel_run *run) { return (void)run, note(self, "end"); }
static void note_release(reel_callback *self) { note(self, "release"); }

Test(callbacks, are_called_in_order, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    diary d = { "" };
    reel_callback own = { note_start, note_epoch, note_batch, note_step,    note_ended, note_save,
                          note_end,   NULL,       NULL,       note_release, &d };
    reel_callback *callbacks[] = { NULL, &own };
    reel_fit_opts opts = { .accumulate = 3, .callbacks = callbacks, .n_callbacks = 2 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect_str_eq(d.text, "start epoch batch batch batch step batch batch step ended save end release ");
    close_task(t);
}

/* From the third epoch on the optimiser climbs. */
static bool spoil(reel_callback *self, reel_run *run)
{
    (void)self;
    if (run->epoch == 1) reel_optim_hyper(run->optim, 0)->maximize = true;
    return true;
}

Test(callbacks, early_stopping_waits_and_brings_back_the_best, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_callback worsen = { .on_epoch_end = spoil };
    reel_callback *callbacks[] = {
        reel_early_stopping_callback(ctx, &(reel_early_stopping_opts) { .patience = 2, .restore_best = true }),
        reel_checkpoint_callback(ctx, in_folder("best"), &(reel_checkpoint_opts) { .best_only = true }),
        &worsen,
    };
    reel_fit_opts opts = { .epochs = 20, .validation = t->validation, .callbacks = callbacks, .n_callbacks = 3 };
    reel_history history;
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(history.stop, REEL_STOP_EARLY);
    int64_t at = 0;
    for (int64_t k = 1; k < history.epochs; k++)
        if (reel_history_at(&history, k, "val_loss") < reel_history_at(&history, at, "val_loss")) at = k;
    cr_expect(at > 0 && history.epochs == at + 3);
    double best = reel_history_at(&history, at, "val_loss");
    reel_scores scores;
    cr_assert(reel_evaluate(&t->model, t->validation, NULL, 0, &scores));
    cr_expect_eq(scores.loss, best);
    cr_assert(reel_module_load(t->module, in_folder("best"), NULL), "%s", reel_ctx_error_message(ctx));
    cr_assert(reel_evaluate(&t->model, t->validation, NULL, 0, &scores));
    cr_expect_eq(scores.loss, best);
    reel_history_free(&history);
    close_task(t);
}

Test(callbacks, checkpoints_are_named_by_epoch, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_callback *callbacks[] = { reel_checkpoint_callback(ctx, in_folder("c-{epoch}.safetensors"), NULL) };
    reel_fit_opts opts = { .epochs = 3, .callbacks = callbacks, .n_callbacks = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect(access(in_folder("c-001.safetensors"), F_OK) == 0 && access(in_folder("c-003.safetensors"), F_OK) == 0);
    cr_expect(access(in_folder("c-000.safetensors"), F_OK) != 0 && access(in_folder("c-004.safetensors"), F_OK) != 0);
    close_task(t);
}

Test(callbacks, schedules_drive_the_rate, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_callback *callbacks[] = { reel_schedule_callback(ctx, reel_lr_exponential(0.5), NULL) };
    reel_fit_opts opts = { .epochs = 3, .callbacks = callbacks, .n_callbacks = 1, .validation = t->validation };
    reel_history history;
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    for (int k = 0; k < 3; k++) cr_expect_float_eq(reel_history_at(&history, k, "lr"), 0.02 * pow(0.5, k), 1e-15);
    reel_history_free(&history);
    reel_optim_set_lr(t->optim, 1e-12);
    reel_optim_hyper(t->optim, 0)->initial_lr = 1e-12;
    reel_plateau_opts plateau = { .patience = -1, .factor = 0.1, .eps = REEL_ZERO, .threshold = 0.5 };
    callbacks[0] = reel_schedule_callback(ctx, reel_lr_plateau(&plateau), NULL);
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    cr_expect_float_eq(reel_optim_lr(t->optim), 1e-14, 1e-20, "%g", reel_optim_lr(t->optim));
    reel_history_free(&history);
    callbacks[0] = reel_schedule_callback(ctx, reel_lr_step(0, 0.5), NULL);
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_VALUE, "period");
    close_task(t);
}

/* Castagnoli's checksum, bit by bit, as TFRecord masks it. */
static uint32_t masked(const unsigned char *data, size_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * bytes; i++) {
        uint32_t bit = (crc ^ (uint32_t)(data[i / 8] >> (i % 8))) & 1;
        crc = crc >> 1 ^ (bit ? 0x82F63B78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static uint32_t word(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

Test(callbacks, logs_hold_what_the_history_holds, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_metric metrics[] = { reel_metric_accuracy() };
    reel_callback *callbacks[] = { reel_csv_callback(ctx, in_folder("log.csv")),
                                   reel_tensorboard_callback(ctx, in_folder("tb")),
                                   reel_curves_callback(ctx, in_folder("curves.svg")) };
    reel_fit_opts opts = { .epochs = 3,
                           .callbacks = callbacks,
                           .n_callbacks = 3,
                           .validation = t->validation,
                           .metrics = metrics,
                           .n_metrics = 1 };
    reel_history history;
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));

    char *line = strtok(read_text(in_folder("log.csv")), "\n");
    cr_expect_str_eq(line, "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds");
    for (int row = 0; row < 3; row++) {
        line = strtok(NULL, "\n");
        cr_assert(line);
        cr_expect_eq(strtol(line, &line, 10), row + 1);
        for (int i = 0; i < history.columns; i++) {
            cr_expect_eq(*line, ',');
            cr_expect_eq(strtod(line + 1, &line), history.values[row * history.columns + i]);
        }
    }
    cr_expect_null(strtok(NULL, "\n"));

    DIR *logs = opendir(in_folder("tb"));
    char path[1024] = "";
    for (struct dirent *entry; (entry = readdir(logs));)
        if (strstr(entry->d_name, "tfevents")) snprintf(path, sizeof path, "%s/%s", in_folder("tb"), entry->d_name);
    closedir(logs);
    static unsigned char bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file), at = 0;
    fclose(file);
    int records = 0;
    for (; at < size; records++) {
        uint32_t length = word(bytes + at);
        cr_assert(at + 16 + length <= size);
        cr_expect_eq(word(bytes + at + 8), masked(bytes + at, 8));
        cr_expect_eq(word(bytes + at + 12 + length), masked(bytes + at + 12, length));
        if (records == 0) cr_expect(memmem(bytes + at, 16 + length, "brain.Event:2", 13) != NULL);
        if (records == 1) {
            float loss = (float)history.values[0];
            const unsigned char *tag = memmem(bytes + at, 16 + length, "\x0a\x04loss\x15", 7);
            cr_assert(tag);
            cr_expect_eq(memcmp(tag + 7, &loss, 4), 0);
        }
        at += 16 + length;
    }
    cr_expect_eq(records, 1 + 3 * 6);

    char *svg = read_text(in_folder("curves.svg"));
    cr_expect(strncmp(svg, "<svg", 4) == 0 && strstr(svg, "</svg>\n") && strstr(svg, "accuracy") &&
              strstr(svg, "<polyline"));
    cr_expect(!strstr(svg, "nan") && !strstr(svg, "inf"));
    reel_history_free(&history);
    close_task(t);
}

static void fit_with_progress(FILE *file)
{
    task *t = open_task(8);
    reel_metric metrics[] = { reel_metric_accuracy() };
    reel_callback *callbacks[] = { reel_progress_callback(ctx, file) };
    reel_fit_opts opts = { .epochs = 11,
                           .callbacks = callbacks,
                           .n_callbacks = 1,
                           .validation = t->validation,
                           .metrics = metrics,
                           .n_metrics = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    close_task(t);
}

Test(callbacks, progress_is_a_line_an_epoch_in_a_file, .init = set_up, .fini = tear_down)
{
    FILE *file = fopen(in_folder("out"), "w");
    fit_with_progress(file);
    fclose(file);
    char *text = read_text(in_folder("out"));
    int lines = 0;
    for (char *at = text; *at; at++) lines += *at == '\n';
    cr_expect_eq(lines, 11);
    cr_expect_eq(strncmp(text, "epoch  1/11  loss ", 18), 0);
    cr_expect(strstr(text, "\nepoch 11/11  loss ") && strstr(text, "  val_accuracy ") && !strchr(text, '\r'));
}

Test(callbacks, progress_fits_a_terminal_of_any_width, .init = set_up, .fini = tear_down)
{
    static const int widths[] = { 200, 80, 40, 20, 5 };
    for (int k = 0; k < 5; k++) {
        int master = posix_openpt(O_RDWR | O_NOCTTY);
        cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        FILE *terminal = fdopen(open(ptsname(master), O_RDWR | O_NOCTTY), "r+");
        cr_assert(terminal);
        struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)widths[k] };
        cr_assert_eq(ioctl(master, TIOCSWINSZ, &size), 0);
        fit_with_progress(terminal);
        static char text[1 << 16];
        ssize_t bytes = 0, got;
        fcntl(master, F_SETFL, O_NONBLOCK);
        while ((got = read(master, text + bytes, sizeof text - 1 - (size_t)bytes)) > 0) bytes += got;
        fclose(terminal);
        close(master);
        text[bytes] = '\0';
        cr_expect(strchr(text, '\r') != NULL);
        for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
            char *end = strstr(line, "\033[K");
            if (end) *end = '\0';
            cr_expect_lt(strlen(line), (size_t)widths[k], "%d columns: %s", widths[k], line);
        }
    }
}
