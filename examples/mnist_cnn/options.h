// SPDX-License-Identifier: MIT
// The command line of mnist_cnn.
#ifndef MNIST_CNN_OPTIONS_H
#define MNIST_CNN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { PATH = 4096 };

typedef struct options {
    const char *program;
    const char *data, *out, *resume; // NULL: not given
    int64_t epochs, batch;
    bool restore_best;
    uint64_t seed;
    int threads; // 0: all there are
} options;

// Fills `opts` and makes the folder of --out; 0: go on, 1: --help was answered, 2: the command line is wrong (and has
// been said so).
int options_parse(options *opts, const char *program, int argc, char **argv);

// The path of a file in the folder of --out.
const char *options_path(const options *opts, const char *name, char path[PATH]);

#endif
