// SPDX-License-Identifier: MIT
// The command line of mnist_cnn.
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "Trains a small convolutional network on MNIST, tests it, saves it, loads it again and predicts.\n"
    "\n"
    "usage: %s [options]\n"
    "  --data DIR       folder with the four MNIST IDX files, plain or .gz (default: $MNIST_DIR;\n"
    "                   with neither, digits drawn by the program itself)\n"
    "  --epochs N       passes over the training digits at most (default 20)\n"
    "  --batch N        digits a step (default 128)\n"
    "  --restore-best   end with the weights of the epoch with the least validation loss\n"
    "  --seed N         of the weights, the order and the dropout (default 1)\n"
    "  --threads N      threads to use (default: all cores)\n"
    "  --out DIR        where checkpoint.safetensors, model.safetensors, curves.svg and confusion.svg go\n"
    "                   (default: nothing is written)\n"
    "  --resume FILE    go on from a checkpoint.safetensors; ends with the bits of a run never stopped\n"
    "  --help           this text\n";

static bool whole_number(const char *text, int64_t least, int64_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < least) return false;
    *value = number;
    return true;
}

static int refuse(const options *opts, const char *option, const char *value, const char *reason)
{
    fprintf(stderr, "%s: %s%s%s: %s (--help lists the options)\n", opts->program, option, value ? " " : "",
            value ? value : "", reason);
    return 2;
}

static int set(options *opts, const char *option, const char *value)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = { { "--data", &opts->data }, { "--out", &opts->out }, { "--resume", &opts->resume } };
    int64_t seed = (int64_t)opts->seed, threads = 0;
    const struct {
        const char *name;
        int64_t *to, least, most;
    } numbers[] = { { "--epochs", &opts->epochs, 1, 1000000 },
                    { "--batch", &opts->batch, 1, INT_MAX },
                    { "--seed", &seed, 0, INT64_MAX },
                    { "--threads", &threads, 1, 1024 } };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (strcmp(option, texts[k].name) == 0) {
            if (!value) return refuse(opts, option, NULL, "a value is missing");
            *texts[k].to = value;
            return 0;
        }
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        if (strcmp(option, numbers[k].name) == 0) {
            if (!value) return refuse(opts, option, NULL, "a value is missing");
            if (!whole_number(value, numbers[k].least, numbers[k].to) || *numbers[k].to > numbers[k].most) {
                char reason[96];
                snprintf(reason, sizeof reason, "a whole number from %lld to %lld is expected",
                         (long long)numbers[k].least, (long long)numbers[k].most);
                return refuse(opts, option, value, reason);
            }
            opts->seed = (uint64_t)seed;
            if (threads) opts->threads = (int)threads;
            return 0;
        }
    return refuse(opts, option, NULL, "no such option");
}

int options_parse(options *opts, const char *program, int argc, char **argv)
{
    *opts = (options) { .program = program, .data = getenv("MNIST_DIR"), .epochs = 20, .batch = 128, .seed = 1 };
    if (opts->data && !*opts->data) opts->data = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf(help, program);
            return 1;
        }
        if (strcmp(argv[i], "--restore-best") == 0) {
            opts->restore_best = true;
            continue;
        }
        int wrong = set(opts, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (wrong) return wrong;
        i++;
    }
    if (opts->out && mkdir(opts->out, 0777) != 0 && errno != EEXIST)
        return refuse(opts, "--out", opts->out, strerror(errno));
    return 0;
}

const char *options_path(const options *opts, const char *name, char path[PATH])
{
    snprintf(path, PATH, "%s/%s", opts->out, name);
    return path;
}
