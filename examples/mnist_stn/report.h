// SPDX-License-Identifier: MIT
// What mnist_stn shows: progress while it trains, pictures at the end.
#ifndef MNIST_STN_REPORT_H
#define MNIST_STN_REPORT_H

#include "network.h"

typedef struct progress {
    const char *label;
    int64_t total; // digits
    double started, shown;
    bool terminal;
} progress;

double seconds_now(void);

// A bar with speed and time left that repaints its line on a terminal; silent elsewhere.
progress progress_begin(const char *label, int64_t total);
void progress_update(progress *bar, int64_t done, double loss);
void progress_end(progress *bar);

// Writes each of the ten digits in eight poses, from one side of the range to the other, as they came, and below each
// the same as the transformer hands it on.
bool report_transformer(const network *net, reel_loader *test, const char *path);

// By how many degrees the test digits' angles spread (circular standard deviations), as they came and as the transformer
// hands them on.
bool report_spread(const network *net, reel_loader *test, double *before, double *after);

#endif
