// SPDX-License-Identifier: MIT
// The threads that share a context's work. Not installed.
#ifndef REEL_CORE_TEAM_H
#define REEL_CORE_TEAM_H

#include <reel/core/exec.h>

/* Every context holds the team; the last one to let go ends its threads. */
void reel_team_hold(void);
void reel_team_release(void);

/* Runs task(arg, chunk, worker) for all chunks on at most `threads` threads, the caller being worker 0. False when that
 * cannot be: the team is at work for another thread, or this is a task of its own; nothing has been run then. */
bool reel_team_run(int threads, int64_t chunks, reel_task *task, void *arg);

#endif
