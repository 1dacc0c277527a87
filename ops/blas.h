// SPDX-License-Identifier: MIT
// The CBLAS functions that products of matrices take, from a library that is loaded when the first of them is needed: its start
// takes longer than all else of a small program. Not installed.
#ifndef REEL_OPS_BLAS_H
#define REEL_OPS_BLAS_H

#include <cblas.h>

#define REEL_BLAS_FUNCTIONS(X) X(sgemm) X(dgemm) X(sgemv) X(dgemv) X(sdot) X(ddot)

typedef struct reel_blas {
#define MEMBER(name) __typeof__(cblas_##name) *name;
    REEL_BLAS_FUNCTIONS(MEMBER)
#undef MEMBER
} reel_blas;

/* NULL where the library that the build has found is gone. It uses no threads of its own. Any thread may call this. */
const reel_blas *reel_blas_of_process(void);

#endif
