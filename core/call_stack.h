// SPDX-License-Identifier: MIT
// Where in the user's program an op was recorded. Only contexts in anomaly mode ask. Not installed.
#ifndef REEL_CORE_CALL_STACK_H
#define REEL_CORE_CALL_STACK_H

#include <stddef.h>

enum { REEL_CALL_STACK_FRAMES = 16, REEL_CALL_STACK_TEXT = 320 };

/* The return addresses of the calls that led here, innermost first; the rest is NULL. */
typedef struct reel_call_stack {
    void *frame[REEL_CALL_STACK_FRAMES];
} reel_call_stack;

void reel_call_stack_capture(reel_call_stack *stack);

/* Writes "train_step at main.c:42" about the innermost frame that is not Reel's own: with the line when the program has
 * debugging information (-g) and Reel was built with libdw, else as "train_step in ./prog+0x1234", which addr2line -e
 * ./prog 0x1234 turns into a line. Writes "" when nothing is known. Returns `text`. */
const char *reel_call_stack_describe(const reel_call_stack *stack, char text[REEL_CALL_STACK_TEXT]);

#endif
