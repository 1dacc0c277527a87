// SPDX-License-Identifier: MIT
// Loads CBLAS, or takes what is linked where the build says nothing of REEL_BLAS_LIBRARY.
#include <reel/ops/blas.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static reel_blas functions;
static bool loaded;

#ifdef REEL_BLAS_LIBRARY
#include <dlfcn.h>
#include <pthread.h>

static bool find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found;
}

static void load(void)
{
    void *library = dlopen(REEL_BLAS_LIBRARY, RTLD_LAZY | RTLD_LOCAL); /* stays */
    void (*set_threads)(int) = NULL;
    if (!library) return;
    loaded = find(library, "cblas_sgemm", &functions.sgemm) && find(library, "cblas_dgemm", &functions.dgemm) &&
             find(library, "cblas_sgemv", &functions.sgemv) && find(library, "cblas_dgemv", &functions.dgemv) &&
             find(library, "cblas_sdot", &functions.sdot) && find(library, "cblas_ddot", &functions.ddot);
    /* OpenBLAS brings its own threads, which would fight with ours. Other libraries lack the symbol. */
    if (find(library, "openblas_set_num_threads", &set_threads)) set_threads(1);
}

const reel_blas *reel_blas_of_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded ? &functions : NULL;
}

#else
extern void openblas_set_num_threads(int threads) __attribute__((weak));

const reel_blas *reel_blas_of_process(void)
{
    static const reel_blas linked = { .sgemm = cblas_sgemm, .dgemm = cblas_dgemm, .sgemv = cblas_sgemv,
                                      .dgemv = cblas_dgemv, .sdot = cblas_sdot,   .ddot = cblas_ddot };
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return &linked;
}
#endif
