// SPDX-License-Identifier: MIT
// The CBLAS functions that products of matrices take, from a library that is loaded when the first of them is needed: its start
// takes longer than all else of a small program. Not installed.
#ifndef REEL_OPS_BLAS_H
#define REEL_OPS_BLAS_H

#include <cblas.h>

typedef struct reel_blas {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_dgemm) *dgemm;
    __typeof__(cblas_sgemv) *sgemv;
    __typeof__(cblas_dgemv) *dgemv;
    __typeof__(cblas_sdot) *sdot;
    __typeof__(cblas_ddot) *ddot;
} reel_blas;

/* NULL where the library that the build has found is gone. It uses no threads of its own. Any thread may call this. */
const reel_blas *reel_blas_of_process(void);

#endif
