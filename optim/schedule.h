// SPDX-License-Identifier: MIT
// Learning-rate schedules: the rate as a function of how many steps (or epochs) the schedule has taken.
#ifndef REEL_OPTIM_SCHEDULE_H
#define REEL_OPTIM_SCHEDULE_H

#include <reel/optim/optim.h>

REEL_BEGIN

#define REEL_MAX_MILESTONES 32

typedef enum reel_schedule_kind {
    REEL_LR_CONSTANT,
    REEL_LR_STEP,
    REEL_LR_MULTISTEP,
    REEL_LR_EXPONENTIAL,
    REEL_LR_COSINE,
    REEL_LR_COSINE_RESTARTS,
    REEL_LR_ONE_CYCLE,
    REEL_LR_POLYNOMIAL,
    REEL_LR_LINEAR,
    REEL_LR_PLATEAU
} reel_schedule_kind;

typedef struct reel_one_cycle_opts {
    double max_lr;                      /* required                                                          */
    int64_t total_steps;                /* required                                                          */
    double pct_start;                   /* part of the steps that rise; 0.3                                  */
    double div_factor;                  /* the start is max_lr / div_factor; 25                              */
    double final_div_factor;            /* the end is the start / final_div_factor; 1e4                      */
    bool linear;                        /* straight lines instead of cosines                                 */
    bool three_phase;                   /* rise, fall to the start, then vanish                              */
    bool keep_momentum;                 /* leave the momentum (Adam: beta1) alone                            */
    double base_momentum, max_momentum; /* 0.85, 0.95; the momentum runs against the rate          */
} reel_one_cycle_opts;

typedef struct reel_plateau_opts {
    bool maximize;    /* a larger metric is better                             */
    double factor;    /* 0.1                                                   */
    int64_t patience; /* observations without progress before a cut; 0 means 10, -1 none */
    double threshold; /* what counts as progress; 1e-4                         */
    bool absolute;    /* the threshold is a difference, not a part of the best */
    int64_t cooldown; /* observations after a cut that do not count            */
    double min_lr;
    double eps; /* cuts smaller than this are not made; 1e-8 */
} reel_plateau_opts;

/* Plain data: keep it by value, copy it to go back. Make one with a function below. */
typedef struct reel_schedule {
    reel_schedule_kind kind;
    int64_t period, multiplier, total;
    double gamma, floor, power, start, end;
    int64_t milestone[REEL_MAX_MILESTONES];
    int milestones;
    reel_one_cycle_opts cycle;
    reel_plateau_opts plateau;
    int64_t warmup; /* steps of linear warm-up before the schedule's own step 0 */
    double warmup_start;
    int64_t taken;        /* steps taken                                  */
    double best;          /* plateau: the best metric, what has gone by   */
    int64_t bad, cooling; /* without progress, and what is left to cool   */
} reel_schedule;

/* With base the group's initial_lr and k the steps taken (formulas of torch.optim.lr_scheduler): */
REEL_API reel_schedule reel_lr_constant(void);
REEL_API reel_schedule reel_lr_step(int64_t step_size, double gamma); /* base gamma^floor(k / step_size)      */
REEL_API reel_schedule reel_lr_multistep(const int64_t *milestones, int count, double gamma); /* gamma^(passed ones) */
REEL_API reel_schedule reel_lr_exponential(double gamma);             /* base gamma^k                         */
REEL_API reel_schedule reel_lr_cosine(int64_t t_max, double eta_min); /* Loshchilov & Hutter 2017, no restart */
REEL_API reel_schedule reel_lr_cosine_restarts(int64_t t_0, int64_t t_mult, double eta_min);
REEL_API reel_schedule reel_lr_one_cycle(const reel_one_cycle_opts *opts); /* Smith & Topin 2019                   */
REEL_API reel_schedule reel_lr_polynomial(int64_t total, double power);    /* base (1 - k / total)^power           */
REEL_API reel_schedule reel_lr_linear(double start_factor, double end_factor, int64_t total);
REEL_API reel_schedule reel_lr_plateau(const reel_plateau_opts *opts);

/* `schedule` after `steps` steps of warm-up, which rise on a line from start_factor base to the base rate. */
REEL_API reel_schedule reel_lr_warmup(reel_schedule schedule, int64_t steps, double start_factor);

/* The rate after k steps for a base rate; not for plateau, which depends on what it has seen. `momentum`, when not
 * NULL, receives the one-cycle's momentum, else NaN. NaN for numbers that make no sense. */
REEL_API double reel_schedule_rate(const reel_schedule *schedule, double base, int64_t k, double *momentum);

/* Sets the rates of step `taken` (call it once before training), or takes a step and sets them. Schedules by epoch and
 * by optimiser step differ only in when the caller advances. False, with an error in the optimiser's context, when the
 * schedule's numbers make no sense (a period below 1, ...). */
REEL_API bool reel_schedule_start(reel_schedule *schedule, reel_optim *optim);
REEL_API bool reel_schedule_advance(reel_schedule *schedule, reel_optim *optim);

/* Plateau: one observation of the metric. */
REEL_API bool reel_schedule_observe(reel_schedule *schedule, reel_optim *optim, double metric);

REEL_API bool reel_schedule_store(const reel_schedule *schedule, reel_store *store, const char *prefix);
REEL_API bool reel_schedule_restore(reel_schedule *schedule, const reel_store *store, const char *prefix);

REEL_END

#endif
