// SPDX-License-Identifier: MIT
// The progress callback: a bar on a terminal, a line an epoch elsewhere.
#include <inttypes.h>
#include <math.h>
#include <reel/nn/callback_internal.h>
#include <reel/nn/train_internal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_BYTES 512
#define REFRESH_SECONDS 0.1

typedef struct progress {
    FILE *file;
    bool terminal;
    double drawn, began; /* when the line was drawn last; when this part of the epoch began */
    int64_t first_batch, first_samples;
} progress;

static int terminal_width(FILE *file)
{
    struct winsize size;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    return width > 0 ? width : 80;
}

/* Appends to a line if it all fits within `width` columns. */
static void add(char line[LINE_BYTES], int width, const char *format, ...) REEL_PRINTF(3, 4);
static void add(char line[LINE_BYTES], int width, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t have = strlen(line);
    if (length < 0 || width < 0 || have + (size_t)length >= LINE_BYTES || have + (size_t)length > (size_t)width) return;
    memcpy(line + have, text, (size_t)length + 1);
}

static void add_time(char line[LINE_BYTES], int width, double seconds)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        add(line, width, "  %" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        add(line, width, "  %d:%02d", (int)(s / 60), (int)(s % 60));
}

static void add_scores(char line[LINE_BYTES], int width, const reel_run *run, const reel_scores *scores,
                       const char *before)
{
    add(line, width, "  %sloss %.4f", before, scores->loss);
    for (int i = 0; i < run->n_metrics; i++)
        add(line, width, "  %s%s %.4f", before, run->metrics[i].name, scores->metric[i]);
}

static void add_epoch(char line[LINE_BYTES], int width, const reel_run *run)
{
    int digits = snprintf(NULL, 0, "%" PRId64, run->epochs);
    add(line, width, "epoch %*" PRId64 "/%" PRId64, digits, run->epoch + 1, run->epochs);
}

/* What there is room for, the most telling first: epoch, loss, bar, metrics, speed, time left. */
static void draw(progress *p, const reel_run *run)
{
    int width = terminal_width(p->file) - 1; /* a full line would wrap */
    if (width >= LINE_BYTES) width = LINE_BYTES - 1;
    char line[LINE_BYTES] = "", tail[LINE_BYTES] = "";
    double part = run->batches ? (double)run->batch / (double)run->batches : 1, spent = reel_clock() - p->began;
    int64_t batches = run->batch - p->first_batch, samples = run->train.samples - p->first_samples;
    add_epoch(line, width, run);
    int room = width - (int)strlen(line);
    add_scores(tail, room, run, &run->train, "");
    if (batches > 0 && spent > 0) {
        add(tail, room, "  %.0f/s", (double)samples / spent);
        add_time(tail, room, spent / (double)batches * (double)(run->batches - run->batch));
    }
    int bar = room - (int)strlen(tail) - 4;
    if (bar > 30) bar = 30;
    if (bar >= 5) {
        int full = (int)(part * bar + 0.5);
        char cells[32];
        for (int i = 0; i < bar; i++) cells[i] = i < full ? '=' : i == full ? '>' : ' ';
        add(line, width, "  [%.*s]", bar, cells);
    } else {
        add(line, width - (int)strlen(tail), " %3.0f%%", 100 * part);
    }
    add(line, width, "%s", tail);
    fprintf(p->file, "\r%s\033[K", line);
    fflush(p->file);
    p->drawn = reel_clock();
}

static bool progress_epoch_start(reel_callback *self, reel_run *run)
{
    progress *p = self->user;
    p->began = reel_clock();
    p->first_batch = run->batch;
    p->first_samples = 0;
    return true;
}

static bool progress_batch(reel_callback *self, reel_run *run)
{
    progress *p = self->user;
    if (!p->terminal) return true;
    if (p->began == 0) { /* resumed within an epoch */
        p->began = reel_clock();
        p->first_batch = run->batch;
        p->first_samples = run->train.samples;
    }
    if (run->batch == run->batches || reel_clock() - p->drawn >= REFRESH_SECONDS) draw(p, run);
    return true;
}

static bool progress_epoch_end(reel_callback *self, reel_run *run)
{
    progress *p = self->user;
    char line[LINE_BYTES] = "";
    int width = p->terminal ? terminal_width(p->file) - 1 : LINE_BYTES - 1;
    add_epoch(line, width, run);
    add_scores(line, width, run, &run->train, "");
    if (run->validation) add_scores(line, width, run, &run->valid, "val_");
    add(line, width, "  %.1f s", run->seconds);
    fprintf(p->file, "%s%s%s\n", p->terminal ? "\r" : "", line, p->terminal ? "\033[K" : "");
    fflush(p->file);
    p->drawn = 0;
    return true;
}

static bool progress_end(reel_callback *self, reel_run *run)
{
    progress *p = self->user;
    if (p->terminal && p->drawn > 0) fprintf(p->file, "\n");
    if (run->interrupted) {
        fprintf(p->file, "interrupted at epoch %" PRId64 "/%" PRId64 ", batch %" PRId64 "/%" PRId64 "\n",
                run->epoch + 1, run->epochs, run->batch, run->batches);
    }
    fflush(p->file);
    return true;
}

static void progress_release(reel_callback *self) { free(self); }

reel_callback *reel_progress_callback(reel_ctx *ctx, FILE *file)
{
    if (!file) return reel_fail(ctx, REEL_ERROR_IO, "progress: there is no file (NULL)");
    reel_callback *self = reel_callback_alloc(ctx, sizeof(progress));
    if (!self) return NULL;
    progress *p = self->user;
    *self = (reel_callback) { .on_epoch_start = progress_epoch_start,
                              .on_batch = progress_batch,
                              .on_epoch_end = progress_epoch_end,
                              .on_end = progress_end,
                              .release = progress_release,
                              .user = p };
    p->file = file;
    p->terminal = isatty(fileno(file));
    return self;
}
