// SPDX-License-Identifier: MIT
// What the parts of optim know of each other. Not installed.
#ifndef REEL_OPTIM_INTERNAL_H
#define REEL_OPTIM_INTERNAL_H

#include <reel/core/operands.h>
#include <reel/ops/kernels/update.h>
#include <reel/optim/optim.h>

/* A step of a parameter that may wait to be played, and that an error may drop then. */
typedef struct reel_taken {
    uint32_t overwrites;   /* of the parameter, with this one; 0: no step            */
    int64_t step;          /* of the optimiser                                       */
    double product_before; /* of the slot                                            */
} reel_taken;

#define REEL_TAKEN (REEL_MOST_PENDING_OVERWRITES + 1) /* those that wait, and the one whose recording plays them */

/* A parameter with what its optimiser keeps of it. */
typedef struct reel_slot {
    reel_tensor *p;
    reel_tensor *state[3];
    int64_t steps;  /* with those that an error has dropped since, as the product */
    double product; /* NAdam: of its momenta so far */
    int group;
    reel_taken taken[REEL_TAKEN]; /* the last steps, by their number modulo REEL_TAKEN */
} reel_slot;

/* What an optimiser is: which states it keeps and what numbers a step takes. */
typedef struct reel_rule {
    const char *name;
    reel_update_kind kind;
    /* The names of the states (NULL: none in that place) and their first value. */
    void (*states)(const reel_hyper *hyper, const char *names[3], double *initial);
    /* The numbers of this parameter's next step; slot->steps counts it already. */
    void (*prepare)(const reel_hyper *hyper, reel_slot *slot, reel_update *update);
    const char *(*check)(const reel_hyper *hyper); /* what is wrong with the hyperparameters, or NULL */
} reel_rule;

typedef struct reel_lbfgs reel_lbfgs;

struct reel_optim {
    reel_ctx *ctx;
    const reel_rule *rule;
    int n_groups, groups_room;
    reel_hyper *groups;
    int n_slots, slots_room;
    reel_slot *slots;
    int64_t steps; /* with those that an error has dropped since */
    int evaluations;
    reel_lbfgs *lbfgs; /* NULL for the others */
};

reel_optim *reel_optim_new(const reel_rule *rule, reel_params params, const reel_hyper *hyper);

/* Records one update of p and its states in place (any state may be NULL; g is NULL for a swap alone). */
bool reel_update_record(reel_tensor *p, reel_tensor *const state[3], reel_tensor *g, const reel_update *update);

/* An option whose zero means `otherwise`, REEL_ZERO zero. */
double reel_option(double value, double otherwise);

/* What the closure returns; that it returns nothing is an error. */
reel_tensor *reel_closure_loss(const reel_optim *optim, reel_closure *closure, void *user);

/* lbfgs.c */
bool reel_lbfgs_step(reel_optim *optim, reel_closure *closure, void *user, double *loss);
void reel_lbfgs_free(reel_lbfgs *lbfgs);
bool reel_lbfgs_store(const reel_optim *optim, reel_store *store, const char *prefix);
bool reel_lbfgs_restore(reel_optim *optim, const reel_store *store, const char *prefix);

#endif
