// SPDX-License-Identifier: MIT
// How an axis of an input gradient falls apart into the residues of its stride (conv_phases.c). Not installed.
#ifndef REEL_OPS_CONV_PHASES_H
#define REEL_OPS_CONV_PHASES_H

#include <reel/ops/conv_algo.h>

enum { REEL_PHASE_RUNS = 3 };

/* The shifts that phases [from, to) have and no others, [low, high]. */
typedef struct reel_shift_run {
    int64_t from, to, low, high;
} reel_shift_run;

/* Result s j + p - base of phase p < s takes the tap p - base + pad - s shift at cotangent j + shift. */
typedef struct reel_axis_phases {
    int64_t base, grid, low, high; /* points of a phase; shifts there are, of any phase */
    int runs;                      /* the first is of all phases */
    reel_shift_run run[REEL_PHASE_RUNS];
} reel_axis_phases;

/* Of axis i without dilation, whose kernel is at least as long as its stride; false where no shift is of all phases. */
bool reel_cut_phases(const reel_conv_geom *g, int i, int64_t base, reel_axis_phases *axis);

/* Of axis 2 by the base of least work, where a phase has `outputs` rows of sums. */
reel_axis_phases reel_best_phases(const reel_conv_geom *g, int64_t outputs, int lanes);

/* Cycles of a row of sums of all phases, for every tap of the other axes. */
double reel_phases_cycles(const reel_axis_phases *axis, int64_t outputs, int lanes);

#endif
