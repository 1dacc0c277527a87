// SPDX-License-Identifier: MIT
// What mnist_stn shows.
#define _POSIX_C_SOURCE 200809L
#include "report.h"
#include "distort.h"

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

bool report_transformer(const network *net, reel_loader *test, const char *path)
{
    enum { COLUMNS = 16 };
    reel_ctx *ctx = reel_module_ctx(net->module);
    bool written = false;
    REEL_SCOPE(ctx)
    REEL_NO_GRAD(ctx)
    {
        if (!reel_loader_start(test, 0, 0)) break;
        reel_batch batch = reel_loader_next(test);
        int64_t columns = batch.count < COLUMNS ? batch.count : COLUMNS;
        reel_tensor *before = reel_slice(batch.field[0], 0, 0, columns, 1);
        reel_tensor *both = reel_cat((reel_tensor *[]) { before, network_transform(net, before) }, 2, 0);
        both = reel_add_scalar(reel_mul_scalar(both, PIXEL_STD), PIXEL_MEAN);
        written = reel_png_write_grid(ctx, path, enlarge(both, 3), (int)columns, 4);
    }
    return written;
}
