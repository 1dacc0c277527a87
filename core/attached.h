// SPDX-License-Identifier: MIT
// What ops may ask of the context a play runs in: things attached from play to play, its errors, its scratch. Not installed.
#ifndef REEL_CORE_ATTACHED_H
#define REEL_CORE_ATTACHED_H

#include <reel/core/error.h>
#include <reel/core/exec.h>

/* The head of what an op keeps. `key` tells whose it is: an address of that op's. */
typedef struct reel_attachment {
    struct reel_attachment *next;
    const void *key;
    void (*release)(struct reel_attachment *attached); /* called as the context goes */
} reel_attachment;

/* The context's list, latest first, and how something is put on it. Outside of parallel regions. */
reel_attachment **reel_exec_attached(const reel_exec *exec);
void reel_exec_attach(const reel_exec *exec, reel_attachment *attached);

reel_ctx *reel_exec_ctx(const reel_exec *exec);

/* Gives back all scratch taken since the mark, so that one play can run kernels one after the other. */
int64_t reel_scratch_mark(const reel_exec *exec);
void reel_scratch_cut(const reel_exec *exec, int64_t mark);

#endif
