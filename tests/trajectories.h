// SPDX-License-Identifier: MIT
// What suites of optimisers and schedules share: PyTorch's trajectories.
#ifndef REEL_TESTS_TRAJECTORIES_H
#define REEL_TESTS_TRAJECTORIES_H

#include "fixture.h"

#include <dirent.h>
#include <math.h>

#define GOLDEN REEL_TEST_DATA "/golden/training/"

static inline bool close_to(double x, double golden) { return fabs(x - golden) <= 1e-9 * (1 + fabs(golden)); }

/* Calls `run` for every case whose name begins with `prefix`; returns how many there were. */
static inline int for_cases(const char *prefix, void (*run)(reel_safetensors *file, const char *name))
{
    DIR *cases = opendir(GOLDEN);
    cr_assert(cases != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(cases));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        char path[4096];
        snprintf(path, sizeof path, "%s%s", GOLDEN, entry->d_name);
        reel_ctx *own = ctx = reel_ctx_new(NULL);
        reel_safetensors *file = reel_safetensors_open(ctx, path);
        cr_assert(file, "%s", reel_ctx_error_message(ctx));
        run(file, entry->d_name);
        cr_expect_eq(reel_ctx_error(ctx), REEL_OK, "%s: %s", entry->d_name, reel_ctx_error_message(ctx));
        reel_safetensors_close(file);
        reel_ctx_free(own);
        count++;
    }
    closedir(cases);
    return count;
}

static inline const char *setting(reel_safetensors *file, const char *key)
{
    const char *value = reel_safetensors_metadata(file, key);
    return value && strcmp(value, "None") != 0 ? value : "";
}

/* A number of the case's settings as an option: zero is zero, not the default. */
static inline double number(reel_safetensors *file, const char *key)
{
    double value = atof(setting(file, key));
    return value != 0 ? value : REEL_ZERO;
}

static inline bool flag(reel_safetensors *file, const char *key) { return strcmp(setting(file, key), "true") == 0; }

static inline const double *golden(reel_safetensors *file, const char *name)
{
    const double *data = reel_data_f64(reel_safetensors_read(file, name));
    cr_assert(data, "%s", reel_ctx_error_message(ctx));
    return data;
}

static inline void expect_row(const char *name, int step, const char *what, reel_tensor *x, const double *row)
{
    const double *data = reel_data_f64(x);
    cr_assert(data, "%s: %s", name, reel_ctx_error_message(ctx));
    for (int64_t i = 0; i < reel_numel(x); i++)
        cr_expect(close_to(data[i], row[i]), "%s, step %d: %s[%d] is %.17g, PyTorch's %.17g", name, step, what, (int)i,
                  data[i], row[i]);
}

#endif
