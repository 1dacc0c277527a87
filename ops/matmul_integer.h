// SPDX-License-Identifier: MIT
// Internal: matrix products of integers.
#ifndef REEL_OPS_MATMUL_INTEGER_H
#define REEL_OPS_MATMUL_INTEGER_H

#include <reel/ops/gemm.h>

/* What reel_gemm_run does, of int64, int32 or uint8 (g->relu is not looked at). */
void reel_matmul_integers(const reel_exec *exec, const reel_gemm *g);

#endif
