// SPDX-License-Identifier: MIT
// Loads CBLAS, or takes what is linked where the build says nothing of REEL_BLAS_LIBRARY.
#include <reel/ops/blas.h>
#include <stddef.h>

#ifdef REEL_BLAS_LIBRARY
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static reel_blas functions;
static bool loaded;

static void load(void)
{
    void *library = dlopen(REEL_BLAS_LIBRARY, RTLD_LAZY | RTLD_LOCAL), *found; /* stays loaded */
    if (!library) return;
#define FIND(name)                                                                                                     \
    if (!(found = dlsym(library, "cblas_" #name))) return;                                                             \
    memcpy(&functions.name, &found, sizeof found);
    REEL_BLAS_FUNCTIONS(FIND)
#undef FIND
    loaded = true;
    /* OpenBLAS brings its own threads, which would fight with ours. Other libraries lack the symbol. */
    void (*set_threads)(int);
    if (!(found = dlsym(library, "openblas_set_num_threads"))) return;
    memcpy(&set_threads, &found, sizeof found);
    set_threads(1);
}

const reel_blas *reel_blas_of_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded ? &functions : NULL;
}

#else
/* As above. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));

const reel_blas *reel_blas_of_process(void)
{
#define LINKED(name) .name = cblas_##name,
    static const reel_blas linked = { REEL_BLAS_FUNCTIONS(LINKED) };
#undef LINKED
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return &linked;
}
#endif
