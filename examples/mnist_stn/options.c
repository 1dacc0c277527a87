// SPDX-License-Identifier: MIT
// The command line of mnist_stn.
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Trains a spatial transformer network on MNIST and shows what it learned to do.\n"
    "\n"
    "usage: mnist_stn [options]\n"
    "  --data DIR       folder with the four MNIST IDX files, plain or .gz (default: $MNIST_DIR;\n"
    "                   with neither, digits drawn by the program itself)\n"
    "  --distort HOW    none, rotate (by up to 90 degrees either way) or rts (rotation up to 45 degrees,\n"
    "                   scale 0.7 to 1.2, translation); default none\n"
    "  --widen N        over the first N epochs the distortion of the training digits grows from a fifth to\n"
    "                   the whole, which leads the transformer on (default 0: the whole from the start)\n"
    "  --epochs N       passes over the training digits (default 10)\n"
    "  --batch N        digits a step (default 64)\n"
    "  --optim NAME     sgd (the tutorial's; its accuracy may dip for some steps at any time) or adam\n"
    "                   (default adam)\n"
    "  --lr RATE        learning rate (default 0.01 for sgd, 0.001 for adam)\n"
    "  --no-stn         the same network without its transformer\n"
    "  --seed N         of the weights, the order and the distortions (default 1)\n"
    "  --threads N      threads to use (default: all cores)\n"
    "  --out DIR        where model.safetensors, transformer.png, loss.svg and checkpoint.safetensors go\n"
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

static bool positive_number(const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number > 0) || number > 1e6) return false;
    *value = number;
    return true;
}

static int refuse(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "mnist_stn: %s%s%s: %s (--help lists the options)\n", option, value ? " " : "",
            value ? value : "", expected);
    return 2;
}

int options_parse(options *opts, int argc, char **argv)
{
    *opts = (options) { .data = getenv("MNIST_DIR"), .epochs = 10, .batch = 64, .adam = true, .seed = 1 };
    if (opts->data && !*opts->data) opts->data = NULL;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            fputs(help, stdout);
            return 1;
        }
        if (strcmp(option, "--no-stn") == 0) {
            opts->no_stn = true;
            continue;
        }
        const char *value = i + 1 < argc ? argv[++i] : NULL;
        int64_t number = 0;
        static const char *const known[] = { "--data",  "--distort", "--epochs", "--batch", "--optim",
                                             "--lr",    "--seed",    "--threads", "--out",  "--resume", "--widen" };
        int which = -1;
        for (int k = 0; k < (int)(sizeof known / sizeof *known); k++)
            if (strcmp(option, known[k]) == 0) which = k;
        if (which < 0) return refuse(option, NULL, "no such option");
        if (!value) return refuse(option, NULL, "a value is missing");
        switch (which) {
        case 0: opts->data = value; break;
        case 1:
            if (!distortion_parse(value, &opts->distort)) return refuse(option, value, "none, rotate or rts is expected");
            break;
        case 2:
            if (!whole_number(value, 1, &opts->epochs)) return refuse(option, value, "a whole number from 1 is expected");
            break;
        case 3:
            if (!whole_number(value, 1, &opts->batch)) return refuse(option, value, "a whole number from 1 is expected");
            break;
        case 4:
            opts->adam = strcmp(value, "adam") == 0;
            if (!opts->adam && strcmp(value, "sgd") != 0) return refuse(option, value, "sgd or adam is expected");
            break;
        case 5:
            if (!positive_number(value, &opts->lr)) return refuse(option, value, "a positive number is expected");
            break;
        case 6:
            if (!whole_number(value, 0, &number)) return refuse(option, value, "a whole number is expected");
            opts->seed = (uint64_t)number;
            break;
        case 7:
            if (!whole_number(value, 1, &number) || number > 1024) return refuse(option, value, "1 to 1024 is expected");
            opts->threads = (int)number;
            break;
        case 8: opts->out = value; break;
        case 9: opts->resume = value; break;
        default:
            if (!whole_number(value, 0, &opts->widen)) return refuse(option, value, "a whole number is expected");
        }
    }
    if (opts->lr == 0) opts->lr = opts->adam ? 1e-3 : 1e-2;
    return 0;
}
