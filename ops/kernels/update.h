// SPDX-License-Identifier: MIT
// Optimisers' updates: each one fused pass over a parameter, its states and its gradient.
#ifndef REEL_OPS_KERNELS_UPDATE_H
#define REEL_OPS_KERNELS_UPDATE_H

#include <reel/ops/kernels/dispatch.h>

typedef enum reel_update_kind {
    REEL_UPDATE_SGD,
    REEL_UPDATE_ADAM, /* also AdamW */
    REEL_UPDATE_NADAM,
    REEL_UPDATE_RMSPROP,
    REEL_UPDATE_ADAGRAD,
    REEL_UPDATE_ADADELTA,
    REEL_UPDATE_LION,
    REEL_UPDATE_AVERAGE, /* p = a p + b g                */
    REEL_UPDATE_SWAP     /* exchanges p and states[0]    */
} reel_update_kind;
#define REEL_UPDATE_COUNT 9

/* The numbers of one step; which mean what is said at each kernel. */
typedef struct reel_update {
    int32_t kind;
    int32_t flags; /* REEL_UPDATE_NESTEROV */
    double rate, sign, weight_decay, shrink, a, b, eps, c, d;
} reel_update;

enum { REEL_UPDATE_NESTEROV = 1 };

/* n elements of the parameter p, of up to three states (NULL where there is none) and of the gradient g. */
typedef void reel_update_fn(int64_t n, void *p, void *const states[3], const void *g, const reel_update *u);

typedef struct reel_update_kernels {
    reel_update_fn *f32[REEL_UPDATE_COUNT];
    reel_update_fn *f64[REEL_UPDATE_COUNT];
} reel_update_kernels;

REEL_DECLARE_KERNELS(update)

#endif
