// SPDX-License-Identifier: MIT
// reel-check golden: values and derivatives against cases computed elsewhere.
#include "check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct tally {
    int passed, failed, unknown, rounded;
    char unknown_ops[64][64]; // the first of them, each once
    int n_unknown_ops;
} tally;

static void note_unknown(tally *t, const char *op)
{
    t->unknown++;
    for (int i = 0; i < t->n_unknown_ops; i++)
        if (!strcmp(t->unknown_ops[i], op)) return;
    if (t->n_unknown_ops < 64) snprintf(t->unknown_ops[t->n_unknown_ops++], 64, "%s", op);
}

static void run_paths(const check_options *options, reel_ctx *ctx, char **paths, int count, tally *t)
{
    golden_opts opts = { .dtype = options->float32 ? REEL_F32 : REEL_F64,
                         .plugin = options->plugin,
                         .out = options->out };
    for (int i = 0; i < count; i++) {
        golden_report report;
        const char *base = strrchr(paths[i], '/');
        const char *name = base ? base + 1 : paths[i];
        switch (golden_run(ctx, paths[i], &opts, &report)) {
        case GOLDEN_PASSED:
            t->passed++;
            t->rounded += report.rounded;
            if (options->verbose)
                printf("pass %s: %d tensors%s\n", name, report.compared, report.rounded ? ", of the operands rounded to float32" : "");
            break;
        case GOLDEN_FAILED:
            t->failed++;
            printf("FAIL %s: %s\n", name, report.message);
            break;
        case GOLDEN_UNKNOWN:
            note_unknown(t, report.op);
            if (options->verbose) printf("unknown %s: op '%s'\n", name, report.op);
            break;
        }
        fflush(stdout);
    }
}

int check_golden(const check_options *options)
{
    if (options->n_names == 0) {
        fprintf(stderr, "reel-check golden: name a folder of .safetensors cases\n");
        return CHECK_USAGE;
    }
    if (options->out && mkdir(options->out, 0777) && errno != EEXIST) {
        fprintf(stderr, "reel-check: %s: %s\n", options->out, strerror(errno));
        return CHECK_USAGE;
    }
    reel_ctx *ctx = reel_ctx_new(NULL);
    tally *t = calloc(1, sizeof *t);
    int status = ctx && t ? CHECK_PASSED : CHECK_FAILED;
    for (int i = 0; i < options->n_names && status == CHECK_PASSED; i++) {
        char **paths;
        int count = golden_paths(options->names[i], &paths);
        if (count <= 0) {
            fprintf(stderr, "reel-check: %s: %s\n", options->names[i], count < 0 ? strerror(errno) : "no cases in it");
            status = CHECK_USAGE;
            if (count < 0) continue;
        }
        run_paths(options, ctx, paths, count, t);
        golden_free_paths(paths, count);
    }
    if (t) {
        for (int i = 0; i < t->n_unknown_ops; i++) printf("%s%s", i ? ", " : "unknown ops: ", t->unknown_ops[i]);
        if (t->n_unknown_ops) printf("\n");
        if (t->rounded)
            printf("%d of those that passed match float64 on operands rounded to float32, which rounding moves from the file's values\n",
                   t->rounded);
        printf("%d passed, %d failed, %d unknown\n", t->passed, t->failed, t->unknown);
        if (t->failed) status = CHECK_FAILED;
    }
    reel_ctx_free(ctx);
    free(t);
    return status;
}
