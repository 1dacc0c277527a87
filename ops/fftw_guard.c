// SPDX-License-Identifier: MIT
// The lock around FFTW's planner: the one thing two contexts share, because FFTW does.
#include <pthread.h>
#include <reel/ops/fftw_guard.h>

static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

void reel_fftw_lock(void) { pthread_mutex_lock(&planner); }
void reel_fftw_unlock(void) { pthread_mutex_unlock(&planner); }
