// SPDX-License-Identifier: MIT
// Optimisers: one fused pass over each parameter, recorded like any op; hyperparameters by group; states by name.
#ifndef REEL_OPTIM_OPTIM_H
#define REEL_OPTIM_OPTIM_H

#include <reel/core/autograd.h>
#include <reel/core/named.h>
#include <reel/core/store.h>

REEL_BEGIN

typedef struct reel_optim reel_optim;

/* In the options below zero means the default; this is zero itself (a negative zero). */
#define REEL_ZERO (-0.0)

/* g is the gradient, p the parameter. Defaults and formulas are those of torch.optim.
 * SGD: g += weight_decay p; m = momentum m + (1 - dampening) g (first step: m = g); p -= lr (nesterov ? g + momentum m
 * : m) */
typedef struct reel_sgd_opts {
    double lr; /* 1e-3 */
    double momentum, dampening, weight_decay;
    bool nesterov, maximize;
} reel_sgd_opts;

/* Kingma & Ba 2015; amsgrad: Reddi et al. 2018; AdamW: Loshchilov & Hutter 2019 (p -= lr weight_decay p, apart from g).
 */
typedef struct reel_adam_opts {
    double lr;           /* 1e-3               */
    double beta1, beta2; /* 0.9, 0.999         */
    double eps;          /* 1e-8               */
    double weight_decay; /* Adam 0, AdamW 0.01 */
    bool amsgrad, maximize;
} reel_adam_opts;

/* Adam with Nesterov momentum (Dozat 2016). */
typedef struct reel_nadam_opts {
    double lr;           /* 2e-3       */
    double beta1, beta2; /* 0.9, 0.999 */
    double eps;          /* 1e-8       */
    double weight_decay;
    double momentum_decay; /* 4e-3 */
} reel_nadam_opts;

/* v = alpha v + (1 - alpha) g^2; p -= lr g / (sqrt(v - mean^2 if centered) + eps), through a momentum buffer if any. */
typedef struct reel_rmsprop_opts {
    double lr;    /* 1e-2 */
    double alpha; /* 0.99 */
    double eps;   /* 1e-8 */
    double weight_decay, momentum;
    bool centered, maximize;
} reel_rmsprop_opts;

/* s += g^2; p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). Duchi et al. 2011. */
typedef struct reel_adagrad_opts {
    double lr; /* 1e-2 */
    double lr_decay, weight_decay, initial_accumulator;
    double eps; /* 1e-10 */
    bool maximize;
} reel_adagrad_opts;

/* Zeiler 2012. */
typedef struct reel_adadelta_opts {
    double lr;  /* 1    */
    double rho; /* 0.9  */
    double eps; /* 1e-6 */
    double weight_decay;
    bool maximize;
} reel_adadelta_opts;

/* p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p); m = beta2 m + (1 - beta2) g. Chen et al. 2023. */
typedef struct reel_lion_opts {
    double lr;           /* 1e-4      */
    double beta1, beta2; /* 0.9, 0.99 */
    double weight_decay;
    bool maximize;
} reel_lion_opts;

/* Limited-memory BFGS (Nocedal & Wright 2006, algorithm 7.5), steps of fixed length or by a strong Wolfe line search.
 */
typedef struct reel_lbfgs_opts {
    double lr;               /* 1                */
    int max_iter;            /* a step; 20       */
    int max_eval;            /* a step; max_iter * 5 / 4 */
    double tolerance_grad;   /* 1e-7             */
    double tolerance_change; /* 1e-9             */
    int history_size;        /* 100              */
    bool strong_wolfe;
} reel_lbfgs_opts;

/* Each copies the list, not the parameters, which must be leaves that require gradients and outlive the optimiser.
 * States are made outside any scope: so must be the optimiser. NULL on error. */
REEL_API reel_optim *reel_sgd_new(reel_params params, const reel_sgd_opts *opts);
REEL_API reel_optim *reel_adam_new(reel_params params, const reel_adam_opts *opts);
REEL_API reel_optim *reel_adamw_new(reel_params params, const reel_adam_opts *opts);
REEL_API reel_optim *reel_nadam_new(reel_params params, const reel_nadam_opts *opts);
REEL_API reel_optim *reel_rmsprop_new(reel_params params, const reel_rmsprop_opts *opts);
REEL_API reel_optim *reel_adagrad_new(reel_params params, const reel_adagrad_opts *opts);
REEL_API reel_optim *reel_adadelta_new(reel_params params, const reel_adadelta_opts *opts);
REEL_API reel_optim *reel_lion_new(reel_params params, const reel_lion_opts *opts);
REEL_API reel_optim *reel_lbfgs_new(reel_params params, const reel_lbfgs_opts *opts);
REEL_API void reel_optim_free(reel_optim *optim); /* before the context goes; NULL is allowed */

/* Overwrites every parameter that has a gradient by its update, and clears the gradients, so that the next
 * reel_backward starts afresh (several reel_backward before one step accumulate). Recorded, not computed, like any op.
 */
REEL_API bool reel_optim_step(reel_optim *optim);

/* Forgets the gradients without a step. */
REEL_API void reel_optim_clear_grads(reel_optim *optim);

/* Records the loss and its reel_backward, and returns the loss. */
typedef reel_tensor *reel_closure(void *user);

/* A step that evaluates the model itself, as L-BFGS must (up to max_iter times; reel_optim_step is an error there).
 * Writes the loss at the start of the step to `loss` when that is not NULL. A closure that returns NULL is an error; after an
 * error the parameters stand where they were before, L-BFGS's where its last search began. */
REEL_API bool reel_optim_step_closure(reel_optim *optim, reel_closure *closure, void *user, double *loss);

/* How often the last reel_optim_step_closure called its closure. */
REEL_API int reel_optim_evaluations(const reel_optim *optim);

/* Hyperparameters of a group; those an optimiser has not are unused. Writable: the next step uses what stands here. */
typedef struct reel_hyper {
    double lr, initial_lr; /* initial_lr: what schedules scale */
    double weight_decay;
    double momentum, dampening;
    double beta1, beta2, eps;
    double rho; /* RMSprop's alpha, Adadelta's rho */
    double lr_decay, momentum_decay, initial_accumulator;
    bool nesterov, amsgrad, centered, maximize;
} reel_hyper;

REEL_API int reel_optim_groups(const reel_optim *optim);
REEL_API reel_hyper *reel_optim_hyper(reel_optim *optim, int group); /* NULL when there is no such group */

/* Another group of parameters with hyperparameters of its own (start from a copy of group 0's; NULL: just those).
 * A parameter that is in a group already is an error. */
REEL_API bool reel_optim_add_group(reel_optim *optim, reel_params params, const reel_hyper *hyper);

/* The rate of all groups. */
REEL_API void reel_optim_set_lr(reel_optim *optim, double lr);
REEL_API double reel_optim_lr(const reel_optim *optim); /* of group 0 */

/* Steps taken so far. */
REEL_API int64_t reel_optim_steps(const reel_optim *optim);

/* "adam" and so on; its context. */
REEL_API const char *reel_optim_name(const reel_optim *optim);
REEL_API reel_ctx *reel_optim_ctx(const reel_optim *optim);

/* States and hyperparameters as part of a file: "state.0.exp_avg", ... as torch.optim names them. A store of another
 * optimiser or of other parameters is an error; then nothing has changed. */
REEL_API bool reel_optim_store(const reel_optim *optim, reel_store *store, const char *prefix);
REEL_API bool reel_optim_restore(reel_optim *optim, const reel_store *store, const char *prefix);
REEL_API bool reel_optim_save(const reel_optim *optim, const char *path);
REEL_API bool reel_optim_load(reel_optim *optim, const char *path);

REEL_END

#endif
