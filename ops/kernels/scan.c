// SPDX-License-Identifier: MIT
// Cumulative kernels of one instruction set, in float64 for both dtypes.
#include <math.h>
#include <reel/ops/kernels/scan.h>

#define REEL_F64
#include "simd_begin.h"

#include "simd_math.inc"

#include "simd_end.h"

#define S float
#define N(name) name##_f32
#include "scan.inc"
#define S double
#define N(name) name##_f64
#include "scan.inc"

const reel_scan_kernels REEL_KERNEL_TABLE(scan) = { .logcumsumexp = { logcumsumexp_f32, logcumsumexp_f64 } };
