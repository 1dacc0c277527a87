// SPDX-License-Identifier: MIT
// Checking a function's derivatives of any order against finite differences.
#ifndef REEL_CORE_GRADCHECK_H
#define REEL_CORE_GRADCHECK_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* The function under test: reads `in`, writes at most `capacity` outputs and returns how many (negative: it failed). It
 * must give the same values for the same inputs, whatever else it uses. Its inputs and outputs that are not of a
 * floating dtype are passed through and looked at no further. */
typedef int reel_gradcheck_fn(void *user, reel_ctx *ctx, reel_tensor *const *in, int n_in, reel_tensor **out,
                              int capacity);

/* Zero means the default everywhere. */
typedef struct reel_gradcheck_opts {
    int order;           /* derivatives up to this order, 1 to 4; default 1                                      */
    double tolerance;    /* |analytic - numeric| <= tolerance * (1 + |numeric|); default 1e-6, 1e-3 with float32 */
    double step;         /* first step of the differences, times 1 + |x|; default 1e-3                           */
    int64_t max_entries; /* entries differentiated by in each input, drawn when it has more; default 64          */
    uint64_t seed;       /* of the cotangents and the drawn entries                                              */
    bool float32;        /* analytic derivatives from float32 copies of the inputs; differences stay float64     */
    bool skip_forward;   /* leave out the comparison of forward with reverse mode                                */
    uint64_t fixed;      /* bit i: input i is not differentiated by                                    */
} reel_gradcheck_opts;

typedef struct reel_gradcheck_report {
    bool passed;
    int order;                    /* of the worst entry, as all that follows                                       */
    int input;                    /* which input; from n_inputs on: a cotangent, see reel_gradcheck                */
    int64_t index[REEL_MAX_DIMS]; /* where in it                                                                   */
    int ndim;                     /* how many of `index` count                                                     */
    double analytic, numeric;
    double error;         /* |analytic - numeric| / (1 + |numeric|)                                        */
    double forward_error; /* largest difference between forward and reverse mode, relative in the same way */
    int64_t checked;      /* entries compared                                                              */
    char message[256];    /* one sentence: the worst entry, or why the check could not be made             */
} reel_gradcheck_report;

/* Compares the gradients of fn with central differences in float64, improved by Richardson extrapolation, and forward
 * with reverse mode. Order k + 1 differentiates the gradients of order k by the inputs and by the cotangents, which
 * become inputs themselves: after the n_inputs of `fn`, the cotangents of its outputs, then those of the gradients.
 * `inputs` are only read: fn gets float64 copies. Returns report->passed; an error of the context (set by fn, say)
 * makes the check fail, with the message in the report, and stays in the context. `report` and `opts` may be NULL. */
REEL_API bool reel_gradcheck(reel_gradcheck_fn *fn, void *user, reel_tensor *const *inputs, int n_inputs,
                             const reel_gradcheck_opts *opts, reel_gradcheck_report *report);

REEL_END

#endif
