// SPDX-License-Identifier: MIT
// reel-check: lists the ops, checks their derivatives and runs golden cases.
#include "check.h"
#include <dlfcn.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: reel-check COMMAND [OPTIONS]\n"
    "\n"
    "  list [OP...]           the ops with their operands and attributes\n"
    "  grad [OP...]           derivatives of the ops (default: all) against finite differences, on random operands\n"
    "                         from their test rows, and forward mode against reverse\n"
    "  golden DIR...          cases of values and derivatives computed elsewhere (.safetensors files or folders of "
    "them)\n"
    "  plugin FILE [COMMAND]  the same for the ops of a shared object; COMMAND is list, grad or golden, default grad\n"
    "  docs                   the reference page of all ops, as Markdown\n"
    "\n"
    "options\n"
    "  --order 1|2|3     grad: derivatives up to this order (default 2)\n"
    "  --dtype f64|f32   grad: dtype of the derivatives under test; golden: dtype the op runs in (default f64)\n"
    "  --seed N          grad: draw other sizes and values (default 0)\n"
    "  --algo NAME       convolution by auto, naive, direct, im2col, winograd, winograd2, winograd4, winograd6, fft,\n"
    "                    images, winograd_rows or winograd_columns\n"
    "  --out DIR         golden: write what was computed as .safetensors files of the cases' names\n"
    "  --verbose         a line for each case that passed, too\n"
    "  --help, --version\n"
    "\n"
    "One line a failure and a summary. The exit status is 0 when nothing failed, 1 when something did, 2 for a "
    "command\n"
    "that cannot be understood. A golden case of an op that is not known counts as unknown, not as failed.\n";

const reel_function *check_function(const check_options *options, int i)
{
    return options->plugin ? options->plugin->functions[i] : reel_function_at(i);
}

const reel_row *check_rows(const check_options *options) { return options->plugin ? options->plugin->rows : op_rows; }

static bool refuse(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "reel-check: --%s is '%s', but must be %s\n", option, value, expected);
    return false;
}

static bool set_algo(const char *name)
{
    static const char *const known[] = { "auto",      "naive",     "direct",    "im2col", "winograd",
                                         "winograd2", "winograd4", "winograd6", "fft",    "images", "winograd_rows",
                                         "winograd_columns" };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(name, known[i])) return setenv("REEL_CONV_ALGO", name, 1) == 0;
    return refuse("algo", name, "a convolution algorithm (see --help)");
}

static bool set_option(check_options *options, int option, const char *value)
{
    char *end = NULL;
    switch (option) {
    case 'o':
        options->order = value[0] >= '1' && value[0] <= '3' && !value[1] ? value[0] - '0' : 0;
        return options->order || refuse("order", value, "1, 2 or 3");
    case 'd':
        options->float32 = !strcmp(value, "f32");
        return options->float32 || !strcmp(value, "f64") || refuse("dtype", value, "f64 or f32");
    case 's':
        options->seed = strtoull(value, &end, 0);
        return (*value && !*end) || refuse("seed", value, "a whole number");
    case 'a': return set_algo(value);
    case 'O': options->out = value; return true;
    case 'v': options->verbose = true; return true;
    default: return false;
    }
}

// Reads options wherever they stand; what is left are names. Returns -1 to go on, else an exit status.
static int read_options(check_options *options, int argc, char **argv)
{
    static const struct option known[] = {
        { "order", required_argument, NULL, 'o' },
        { "dtype", required_argument, NULL, 'd' },
        { "seed", required_argument, NULL, 's' },
        { "algo", required_argument, NULL, 'a' },
        { "out", required_argument, NULL, 'O' },
        { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "hv", known, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return CHECK_PASSED;
        }
        if (option == 'V') {
            printf("reel-check %s\n", reel_version());
            return CHECK_PASSED;
        }
        if (!set_option(options, option, optarg)) {
            if (option == '?') fputs("reel-check --help lists the options\n", stderr);
            return CHECK_USAGE;
        }
    }
    options->names = argv + optind;
    options->n_names = argc - optind;
    return -1;
}

static int run_command(const char *command, const check_options *options)
{
    static const struct {
        const char *name;
        int (*run)(const check_options *);
    } commands[] = {
        { "list", check_list }, { "grad", check_grad }, { "golden", check_golden }, { "docs", check_docs }
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(command, commands[i].name)) return commands[i].run(options);
    fprintf(stderr, "reel-check: no command is called '%s'; there are list, grad, golden, plugin and docs\n", command);
    return CHECK_USAGE;
}

// The first name is the shared object, the second the command.
static int run_plugin(check_options *options)
{
    if (options->n_names == 0) {
        fputs("reel-check plugin: name a shared object\n", stderr);
        return CHECK_USAGE;
    }
    const char *path = options->names[0];
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    options->plugin = object ? dlsym(object, "reel_plugin_ops") : NULL;
    if (!options->plugin) {
        const char *why = dlerror();
        fprintf(stderr, "reel-check: %s\n", why ? why : "the shared object defines no reel_plugin_ops");
        if (!strchr(path, '/')) fprintf(stderr, "(a file in this folder is ./%s)\n", path);
        if (object) dlclose(object);
        return CHECK_USAGE;
    }
    bool named = options->n_names > 1;
    const char *command = named ? options->names[1] : "grad";
    options->names += 1 + named;
    options->n_names -= 1 + named;
    int status = run_command(command, options);
    dlclose(object);
    return status;
}

int main(int argc, char **argv)
{
    check_options options = { .order = 0 };
    int status = read_options(&options, argc, argv);
    if (status >= 0) return status;
    if (options.n_names == 0) {
        fputs(help, stderr);
        return CHECK_USAGE;
    }
    const char *command = *options.names++;
    options.n_names--;
    return strcmp(command, "plugin") ? run_command(command, &options) : run_plugin(&options);
}
