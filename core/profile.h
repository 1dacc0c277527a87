// SPDX-License-Identifier: MIT
// Where the time and the memory of a play go: a profile of what was played, and a plan for people to read.
#ifndef REEL_CORE_PROFILE_H
#define REEL_CORE_PROFILE_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* What was played between reel_profile_begin and reel_profile_end. It belongs to its context and goes with it. */
typedef struct reel_profile reel_profile;

/* All plays of one op, or of one group of ops that were played in one pass, with results of one shape. */
typedef struct reel_profile_row {
    const char *name; /* "conv2d + relu float32 [64, 8, 22, 22] by images"; lives as long as the profile */
    int64_t calls;
    double seconds;
    double bytes; /* of memory read and written, every operand once a call; what stays in a tile is free  */
    double flops; /* floating-point operations, a fused multiply-add counted twice; 0: not counted        */
} reel_profile_row;

/* From here on every op that `ctx` plays is timed. False when a profile is being taken already (an error) or the
 * context has an error. Without a profile, playing costs what it always does. */
REEL_API bool reel_profile_begin(reel_ctx *ctx);

/* Ends what reel_profile_begin began and returns it; NULL and an error when none was begun. Allowed after an error. */
REEL_API reel_profile *reel_profile_end(reel_ctx *ctx);
REEL_API void reel_profile_free(reel_profile *profile);

/* Rows by falling time; one past the end is all zero. */
REEL_API int reel_profile_rows(const reel_profile *profile);
REEL_API reel_profile_row reel_profile_row_at(const reel_profile *profile, int i);

/* Seconds from begin to end, with recording, planning and the program's own work. */
REEL_API double reel_profile_seconds(const reel_profile *profile);

/* The rows as a table: milliseconds, share, calls, GB/s, GFLOP/s, name; then what planning and everything else took.
 * An error of the context when the file cannot be written. */
REEL_API bool reel_profile_write_table(const reel_profile *profile, FILE *file);

/* Every play, plan and op with its time, in the format of Chrome's trace events (chrome://tracing, Perfetto). The file is
 * written whole or not at all; an error of the context when it cannot be. */
REEL_API bool reel_profile_write_trace(const reel_profile *profile, const char *path);

/* Writes the plan that was played last: its steps in order, the ops of each, and for every value where it lies (its place
 * in the arena, a block of its own, a tile buffer), its bytes and the steps between which it lives. False and an error
 * when nothing has been planned yet (a single op needs no plan) or the file cannot be written. */
REEL_API bool reel_plan_write(reel_ctx *ctx, FILE *file);

REEL_END

#endif
