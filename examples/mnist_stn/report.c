// SPDX-License-Identifier: MIT
// What mnist_stn shows.
#define _POSIX_C_SOURCE 200809L
#include "report.h"
#include "distort.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

progress progress_begin(const char *label, int64_t total)
{
    return (progress) { .label = label, .total = total, .started = seconds_now(), .terminal = isatty(STDOUT_FILENO) };
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_update(progress *bar, int64_t done, double loss)
{
    double now = seconds_now();
    if (!bar->terminal || (now - bar->shown < 0.1 && done < bar->total)) return;
    bar->shown = now;
    double speed = (double)done / (now - bar->started + 1e-9), left = (double)(bar->total - done) / (speed + 1e-9);
    char numbers[96], cells[64];
    int n = snprintf(numbers, sizeof numbers, " %3d %%  loss %.4f  %.0f/s  %.0f s left", (int)(100 * done / bar->total), loss,
                     speed, left);
    int room = terminal_width() - (int)strlen(bar->label) - n - 4;
    room = room > 40 ? 40 : room;
    if (room >= 5) {
        int full = (int)(room * done / bar->total);
        memset(cells, '=', (size_t)full);
        memset(cells + full, ' ', (size_t)(room - full));
        cells[room] = 0;
        printf("\r%s [%s]%s\033[K", bar->label, cells, numbers);
    } else {
        printf("\r%3d %%  loss %.4f\033[K", (int)(100 * done / bar->total), loss);
    }
    fflush(stdout);
}

void progress_end(progress *bar)
{
    if (bar->terminal) printf("\r\033[K");
}

// [N, 1, H, W] -> [N, 1, scale H, scale W], each pixel a square.
static reel_tensor *enlarge(reel_tensor *x, int64_t scale)
{
    int64_t n = reel_size(x, 0), h = reel_size(x, 2), w = reel_size(x, 3);
    reel_tensor *squares = reel_expand(reel_reshape(x, REEL_SHAPE(n, h, 1, w, 1)), REEL_SHAPE(n, h, scale, w, scale));
    return reel_reshape(squares, REEL_SHAPE(n, 1, h * scale, w * scale));
}

// The angle of a pose: of the rotation nearest to its matrix.
static double angle_of(const double m[4]) { return atan2(m[2] - m[1], m[0] + m[3]); }

static double pose_angle(const float *theta) { return angle_of((double[]) { theta[0], theta[1], theta[3], theta[4] }); }

enum { COLUMNS = 16, EACH = COLUMNS / 2 };

// Writes to `at` the places of EACH digits of `digit` in the batch, by their angles' quantiles; true when there are any.
static bool choose(const int64_t *labels, const float *theta, int64_t count, int64_t digit, int64_t at[EACH])
{
    int64_t places[512], n = 0;
    for (int64_t i = 0; i < count && n < 512; i++) {
        if (labels[i] != digit) continue;
        int64_t k = n++;
        for (; k > 0 && pose_angle(theta + 6 * places[k - 1]) > pose_angle(theta + 6 * i); k--) places[k] = places[k - 1];
        places[k] = i;
    }
    for (int64_t j = 0; n > 0 && j < EACH; j++) at[j] = places[(2 * j + 1) * n / (2 * EACH)];
    return n > 0;
}

bool report_transformer(const network *net, reel_loader *test, const char *path)
{
    reel_ctx *ctx = reel_module_ctx(net->module);
    bool written = false;
    REEL_SCOPE(ctx)
    REEL_NO_GRAD(ctx)
    {
        if (!reel_loader_start(test, 0, 0)) break;
        reel_batch batch = reel_loader_next(test);
        const int64_t *labels = reel_data_i64(reel_cast(batch.field[1], REEL_I64));
        const float *theta = reel_data_f32(batch.field[2]);
        if (!labels || !theta) break;
        int64_t chosen[10 * EACH], n = 0;
        for (int64_t digit = 0; digit < 10; digit++)
            if (choose(labels, theta, batch.count, digit, chosen + n)) n += EACH;
        reel_tensor *before = reel_index_select(batch.field[0], reel_longs(ctx, REEL_SHAPE(n), chosen), 0);
        reel_tensor *after = network_transform(net, before), *rows[2 * 10];
        int n_rows = 0;
        for (int64_t i = 0; i < n; i += COLUMNS) { // a row as they came, then the same as they are handed on
            int64_t end = i + COLUMNS < n ? i + COLUMNS : n;
            rows[n_rows++] = reel_slice(before, 0, i, end, 1);
            rows[n_rows++] = reel_slice(after, 0, i, end, 1);
        }
        reel_tensor *all = reel_add_scalar(reel_mul_scalar(reel_cat(rows, n_rows, 0), PIXEL_STD), PIXEL_MEAN);
        written = reel_png_write_grid(ctx, path, enlarge(all, 2), n < COLUMNS ? (int)n : COLUMNS, 4);
    }
    return written;
}

// Angles as points of the circle, summed.
typedef struct spread {
    double x, y, n;
} spread;

static void add_angle(spread *s, double angle)
{
    s->x += cos(angle);
    s->y += sin(angle);
    s->n++;
}

static double degrees(const spread *s)
{
    return sqrt(-2 * log(hypot(s->x, s->y) / s->n)) * (180 / 3.14159265358979323846);
}

bool report_spread(const network *net, reel_loader *test, double *before, double *after)
{
    reel_ctx *ctx = reel_module_ctx(net->module);
    spread came = { 0 }, went = { 0 };
    if (!reel_loader_start(test, 0, 0)) return false;
    while (reel_loader_more(test))
        REEL_SCOPE(ctx)
        REEL_NO_GRAD(ctx)
        {
            reel_batch batch = reel_loader_next(test);
            const float *p = reel_data_f32(batch.field[2]), *t = reel_data_f32(network_theta(net, batch.field[0]));
            for (int64_t i = 0; p && t && i < batch.count; i++, p += 6, t += 6) { // the digit is looked up at p(t(.))
                add_angle(&came, pose_angle(p));
                add_angle(&went, angle_of((double[]) { p[0] * t[0] + p[1] * t[3], p[0] * t[1] + p[1] * t[4],
                                                       p[3] * t[0] + p[4] * t[3], p[3] * t[1] + p[4] * t[4] }));
            }
        }
    *before = degrees(&came);
    *after = degrees(&went);
    return !reel_ctx_error(ctx);
}
