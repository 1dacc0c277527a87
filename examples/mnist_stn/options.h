// SPDX-License-Identifier: MIT
// The command line of mnist_stn.
#ifndef MNIST_STN_OPTIONS_H
#define MNIST_STN_OPTIONS_H

#include "distort.h"

typedef struct options {
    const char *data, *out, *resume; // NULL: not given
    distortion distort;
    int64_t epochs, widen, batch;
    double lr; // 0: the optimiser's usual one
    bool adam, no_stn;
    uint64_t seed;
    int threads; // 0: all there are
} options;

// Fills `opts`; 0: go on, 1: --help was answered, 2: the command line is wrong (and has been said so).
int options_parse(options *opts, int argc, char **argv);

#endif
