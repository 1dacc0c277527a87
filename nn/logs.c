// SPDX-License-Identifier: MIT
// Callbacks that write what a training does: CSV, TensorBoard's event files, curves.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <reel/core/file.h>
#include <reel/nn/callback_internal.h>
#include <reel/nn/plot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct log_file {
    char *path;
    int fd; /* TensorBoard's; -1: not open */
} log_file;

static void log_release(reel_callback *self)
{
    log_file *log = self->user;
    if (log->fd >= 0) close(log->fd);
    free(log->path);
    free(self);
}

static reel_callback *new_log(reel_ctx *ctx, const char *path)
{
    reel_callback *self = reel_callback_alloc(ctx, sizeof(log_file));
    if (!self) return NULL;
    log_file *log = self->user;
    self->release = log_release;
    log->fd = -1;
    log->path = reel_copy_text(ctx, path);
    if (log->path) return self;
    log_release(self);
    return NULL;
}

/* A number that reads back to the same bits, with a point whatever the locale has; "nan" and "inf" as they are. */
static const char *format_number(double value, char text[40])
{
    snprintf(text, 40, "%.17g", value);
    double shorter;
    char brief[40];
    for (int digits = 6; digits < 17; digits++) {
        snprintf(brief, sizeof brief, "%.*g", digits, value);
        shorter = strtod(brief, NULL);
        if (memcmp(&shorter, &value, sizeof value) == 0) {
            memcpy(text, brief, sizeof brief);
            break;
        }
    }
    char *comma = strchr(text, ',');
    if (comma) *comma = '.';
    return text;
}

/* CSV */

static bool csv_epoch_end(reel_callback *self, reel_run *run)
{
    const log_file *log = self->user;
    const reel_history *history = run->history;
    reel_writer writer;
    char text[40];
    bool ok = reel_writer_open(&writer, run->ctx, log->path) && reel_writer_print(&writer, "epoch");
    for (int i = 0; ok && i < history->columns; i++) ok = reel_writer_print(&writer, ",%s", history->name[i]);
    ok = ok && reel_writer_print(&writer, "\n");
    for (int64_t row = 0; ok && row < history->epochs; row++) {
        ok = reel_writer_print(&writer, "%" PRId64, row + 1);
        for (int i = 0; ok && i < history->columns; i++) {
            ok = reel_writer_print(&writer, ",%s", format_number(history->values[row * history->columns + i], text));
        }
        ok = ok && reel_writer_print(&writer, "\n");
    }
    return reel_writer_close(&writer, ok) && ok;
}

reel_callback *reel_csv_callback(reel_ctx *ctx, const char *path)
{
    reel_callback *self = new_log(ctx, path);
    if (self) self->on_epoch_end = csv_epoch_end;
    return self;
}

/* TensorBoard: TFRecords (length, checksum, bytes, checksum) of protocol-buffer Events, little-endian. */

/* CRC-32C (Castagnoli), rotated and shifted as TFRecord has it. */
static uint32_t masked_checksum(const unsigned char *data, size_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* A protocol-buffer message being written; names are short, so that it fits. */
typedef struct message {
    unsigned char bytes[512];
    size_t used;
} message;

static void put_bytes(message *m, const void *data, size_t bytes)
{
    if (bytes > sizeof m->bytes - m->used) bytes = sizeof m->bytes - m->used;
    memcpy(m->bytes + m->used, data, bytes);
    m->used += bytes;
}

static void put_fixed(message *m, uint64_t value, int bytes)
{
    unsigned char data[8];
    for (int i = 0; i < bytes; i++) data[i] = (unsigned char)(value >> (8 * i));
    put_bytes(m, data, (size_t)bytes);
}

static void put_varint(message *m, uint64_t value)
{
    unsigned char data[10];
    size_t n = 0;
    for (; value >= 128; value >>= 7) data[n++] = (unsigned char)(value | 128);
    data[n++] = (unsigned char)value;
    put_bytes(m, data, n);
}

static void put_field(message *m, int number, int wire) { put_varint(m, (uint64_t)(number << 3 | wire)); }

static void put_block(message *m, int number, const void *data, size_t bytes)
{
    put_field(m, number, 2);
    put_varint(m, bytes);
    put_bytes(m, data, bytes);
}

/* Appends one record; an event file grows at its end alone, so a torn record hurts nobody but itself. */
static bool append_event(const log_file *log, reel_ctx *ctx, const message *event)
{
    unsigned char record[8 + 4 + sizeof event->bytes + 4];
    message out = { .used = 0 };
    put_fixed(&out, event->used, 8);
    put_fixed(&out, masked_checksum(out.bytes, 8), 4);
    memcpy(record, out.bytes, 12);
    memcpy(record + 12, event->bytes, event->used);
    out.used = 0;
    put_fixed(&out, masked_checksum(event->bytes, event->used), 4);
    memcpy(record + 12 + event->used, out.bytes, 4);
    size_t bytes = 16 + event->used;
    for (size_t at = 0; at < bytes;) {
        ssize_t done = write(log->fd, record + at, bytes - at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return reel_fail(ctx, REEL_ERROR_IO, "%s: cannot be written: %s", log->path, strerror(errno));
        at += (size_t)done;
    }
    return true;
}

static void begin_event(message *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    put_field(event, 1, 1); /* wall_time */
    put_fixed(event, bits, 8);
}

static bool append_scalar(const log_file *log, reel_ctx *ctx, const char *tag, int64_t step, double value)
{
    message event = { .used = 0 }, summary = { .used = 0 }, entry = { .used = 0 };
    float number = (float)value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_block(&entry, 1, tag, strlen(tag)); /* tag, simple_value */
    put_field(&entry, 2, 5);
    put_fixed(&entry, bits, 4);
    put_block(&summary, 1, entry.bytes, entry.used);
    begin_event(&event);
    put_field(&event, 2, 0); /* step, summary */
    put_varint(&event, (uint64_t)step);
    put_block(&event, 5, summary.bytes, summary.used);
    return append_event(log, ctx, &event);
}

static bool tensorboard_start(reel_callback *self, reel_run *run)
{
    log_file *log = self->user;
    if (mkdir(log->path, 0777) != 0 && errno != EEXIST) {
        return reel_fail(run->ctx, REEL_ERROR_IO, "%s: cannot be made: %s", log->path, strerror(errno));
    }
    char host[65] = "host";
    gethostname(host, sizeof host - 1);
    size_t bytes = strlen(log->path) + 200;
    char *path = reel_host_alloc(run->ctx, bytes, 1);
    if (!path) return false;
    snprintf(path, bytes, "%s/events.out.tfevents.%010lld.%s.%ld.reel", log->path, (long long)time(NULL), host,
             (long)getpid());
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    bool ok = log->fd >= 0;
    if (!ok) reel_fail(run->ctx, REEL_ERROR_IO, "%s: cannot be written: %s", path, strerror(errno));
    free(path);
    message event = { .used = 0 };
    begin_event(&event);
    put_block(&event, 3, "brain.Event:2", 13); /* file_version */
    return ok && append_event(log, run->ctx, &event);
}

static bool tensorboard_epoch_end(reel_callback *self, reel_run *run)
{
    const log_file *log = self->user;
    const reel_history *history = run->history;
    bool ok = true;
    for (int i = 0; ok && i < history->columns; i++) {
        double value = history->values[(history->epochs - 1) * history->columns + i];
        ok = append_scalar(log, run->ctx, history->name[i], run->epoch + 1, value);
    }
    return ok;
}

reel_callback *reel_tensorboard_callback(reel_ctx *ctx, const char *folder)
{
    reel_callback *self = new_log(ctx, folder);
    if (!self) return NULL;
    self->on_start = tensorboard_start;
    self->on_epoch_end = tensorboard_epoch_end;
    return self;
}

/* Curves */

static bool curves_epoch_end(reel_callback *self, reel_run *run)
{
    const log_file *log = self->user;
    const reel_history *history = run->history;
    int64_t n = history->epochs;
    double *columns = reel_host_alloc(run->ctx, (size_t)(n * history->columns), sizeof *columns);
    if (!columns) return false;
    for (int64_t row = 0; row < n; row++)
        for (int i = 0; i < history->columns; i++) columns[i * n + row] = history->values[row * history->columns + i];
    /* A panel for the loss and one for every metric, each with its validation's curve. */
    reel_series series[REEL_MAX_METRICS + 1][2];
    reel_panel panels[REEL_MAX_METRICS + 1];
    for (int p = 0; p < 1 + run->n_metrics; p++) {
        int valid = 1 + run->n_metrics + p;
        series[p][0] = (reel_series) { "training", columns + p * n, n, 1, false };
        if (run->validation) series[p][1] = (reel_series) { "validation", columns + valid * n, n, 1, true };
        panels[p] = (reel_panel) { history->name[p], "epoch", series[p], 1 + (run->validation != NULL) };
    }
    bool ok = reel_curves_save_svg(run->ctx, log->path, panels, 1 + run->n_metrics);
    free(columns);
    return ok;
}

reel_callback *reel_curves_callback(reel_ctx *ctx, const char *path)
{
    reel_callback *self = new_log(ctx, path);
    if (self) self->on_epoch_end = curves_epoch_end;
    return self;
}
