// SPDX-License-Identifier: MIT
// A line search for the strong Wolfe conditions. Not installed.
#ifndef REEL_OPTIM_WOLFE_H
#define REEL_OPTIM_WOLFE_H

#include <reel/core/error.h>

/* A point of the line: the loss there, its slope along the line, and the whole gradient (n numbers). */
typedef struct reel_trial {
    double t, loss, slope;
    double *grad;
} reel_trial;

typedef struct reel_line {
    int64_t n;
    double reach; /* the direction's largest element: below change / reach a step is nothing */
    /* Fills loss, slope and grad at point->t; false ends the search. */
    bool (*evaluate)(void *user, reel_trial *point);
    void *user;
    reel_trial start; /* at t = 0, filled by the caller */
    reel_trial best, previous, bracket[2];
    double *memory;
} reel_line;

bool reel_line_open(reel_ctx *ctx, reel_line *line, int64_t n);
void reel_line_close(reel_line *line);

/* Leaves a point in line->best, first trying t; false when an evaluation failed. Nocedal & Wright 2006, algorithms 3.5
 * and 3.6 with c1 = 1e-4, c2 = 0.9, in the form of torch.optim.LBFGS. */
bool reel_line_search(reel_line *line, double t);

#endif
