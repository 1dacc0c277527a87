// SPDX-License-Identifier: MIT
// What is called during a training, and what it leaves behind.
#define _GNU_SOURCE /* memmem */
#include "task.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>

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
static bool note_gradients(reel_callback *self, reel_run *run) { return (void)run, note(self, "gradients"); }
static bool note_step(reel_callback *self, reel_run *run) { return (void)run, note(self, "step"); }
static bool note_decide(reel_callback *self, reel_run *run) { return (void)run, note(self, "decide"); }
static bool note_ended(reel_callback *self, reel_run *run) { return (void)run, note(self, "ended"); }
static bool note_save(reel_callback *self, reel_run *run) { return (void)run, note(self, "save"); }
static bool note_end(reel_callback *self, reel_run *run) { return (void)run, note(self, "end"); }
static void note_release(reel_callback *self) { note(self, "release"); }

Test(callbacks, are_called_in_order, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    diary d = { "" };
    reel_callback own = { .on_start = note_start,
                          .on_epoch_start = note_epoch,
                          .on_batch = note_batch,
                          .on_gradients = note_gradients,
                          .on_step = note_step,
                          .on_decide = note_decide,
                          .on_epoch_end = note_ended,
                          .on_save = note_save,
                          .on_end = note_end,
                          .release = note_release,
                          .user = &d };
    reel_callback *callbacks[] = { NULL, &own };
    reel_fit_opts opts = { .accumulate = 3, .callbacks = callbacks, .n_callbacks = 2 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect_str_eq(d.text, "start epoch batch batch gradients batch step decide batch gradients batch step decide ended decide save end release ");
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
        if (master < 0) cr_skip_test("this machine has no pseudo terminals");
        cr_assert(grantpt(master) == 0 && unlockpt(master) == 0);
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
