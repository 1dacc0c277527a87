// SPDX-License-Identifier: MIT
// What the parts of reel-check share: its options, and one function a command.
#ifndef REEL_TOOLS_CHECK_H
#define REEL_TOOLS_CHECK_H

#include "golden.h"
#include "op_rows.h"

/* Exit statuses. */
enum { CHECK_PASSED = 0, CHECK_FAILED = 1, CHECK_USAGE = 2 };

typedef struct check_options {
    int order; /* 0: the command's default */
    bool float32;
    uint64_t seed;
    bool verbose;
    const char *out;
    const reel_plugin *plugin; /* NULL: the table's ops; else the plugin's */
    char **names;              /* ops or folders */
    int n_names;
} check_options;

int check_list(const check_options *options);
int check_docs(const check_options *options);
int check_grad(const check_options *options);
int check_golden(const check_options *options);

/* Ops of the plugin, or of the table, by position; NULL past the last. */
const reel_function *check_function(const check_options *options, int i);

/* Whether the op is among the named ones, all if none are; whether all that are named are known, else a message. */
bool check_wants(const check_options *options, const char *name);
bool check_names(const check_options *options);

/* The rows of one of these. */
const reel_row *check_rows(const check_options *options);

#endif
