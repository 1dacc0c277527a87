// SPDX-License-Identifier: MIT
// Values that lie turned: [panel][channel][point][image] in place of [image][channel][point], so that a vector is one point
// of as many images. The planner keeps them so between ops that agree (core/plan_turn.c). Not installed.
#ifndef REEL_OPS_TURNED_H
#define REEL_OPS_TURNED_H

#include <reel/ops/kernels/gemm.h>

/* Images of a panel: two vectors of them, or one where that holds the batch. */
static inline int64_t reel_turned_panel(reel_isa isa, reel_dtype dtype, int64_t n)
{
    int64_t lanes = reel_gemm_of(isa, dtype)->lanes;
    return n > lanes ? 2 * lanes : lanes;
}

/* Whether a batch fills its panels: others are never kept turned. */
static inline bool reel_turns_batch(reel_isa isa, reel_dtype dtype, int64_t n)
{
    return reel_dtype_is_float(dtype) && n > 0 && n % reel_turned_panel(isa, dtype, n) == 0;
}

#endif
