// SPDX-License-Identifier: MIT
// Internal: FFTW's planner keeps state of its own, one for the whole process, and must be entered by one thread at a
// time. Everything of FFTW but the execution of a plan belongs between these two.
#ifndef REEL_OPS_FFTW_GUARD_H
#define REEL_OPS_FFTW_GUARD_H

void reel_fftw_lock(void);
void reel_fftw_unlock(void);

#endif
