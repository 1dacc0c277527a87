// SPDX-License-Identifier: MIT
// Golden cases: one safetensors file with an op's operands and what values and derivatives must come out.
#ifndef REEL_TOOLS_GOLDEN_H
#define REEL_TOOLS_GOLDEN_H

#include <reel/ops/plugin.h>

typedef struct golden_opts {
    reel_dtype dtype;          /* REEL_F64, or REEL_F32: operands are rounded first            */
    const reel_plugin *plugin; /* ops besides the table's, or NULL                             */
    const char *out;           /* folder for the computed tensors, under the case's file name; NULL for none */
} golden_opts;

typedef enum golden_status { GOLDEN_PASSED, GOLDEN_FAILED, GOLDEN_UNKNOWN } golden_status;

typedef struct golden_report {
    char op[64];
    char message[640]; /* why the case failed */
    int compared;      /* tensors */
    bool rounded;      /* passed in float32 by float64's values for the rounded operands, not by the file's */
} golden_report;

/* Runs one case. The context's error is cleared afterwards. */
golden_status golden_run(reel_ctx *ctx, const char *path, const golden_opts *opts, golden_report *report);

/* The paths of the .safetensors files in a folder, sorted; or `path` itself when it is a file. Returns how many, -1
 * when it cannot be read. golden_free_paths frees them. */
int golden_paths(const char *path, char ***paths);
void golden_free_paths(char **paths, int count);

/* The table's row, or the plugin's. */
const reel_function *golden_function(const reel_plugin *plugin, const char *op);

#endif
