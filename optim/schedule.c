// SPDX-License-Identifier: MIT
// Learning-rate schedules: the rate as a function of how many steps (or epochs) the schedule has taken.
#include <math.h>
#include <reel/core/operands.h>
#include <reel/optim/internal.h>
#include <reel/optim/schedule.h>

#define PI 3.14159265358979323846

reel_schedule reel_lr_constant(void) { return (reel_schedule) { .kind = REEL_LR_CONSTANT }; }

reel_schedule reel_lr_step(int64_t step_size, double gamma)
{
    return (reel_schedule) { .kind = REEL_LR_STEP, .period = step_size, .gamma = gamma };
}

reel_schedule reel_lr_multistep(const int64_t *milestones, int count, double gamma)
{
    reel_schedule schedule = { .kind = REEL_LR_MULTISTEP, .milestones = count, .gamma = gamma };
    if (!milestones && count > 0) schedule.milestones = -1; /* an error of the optimiser's as it starts */
    if (milestones) for (int i = 0; i < count && i < REEL_MAX_MILESTONES; i++) schedule.milestone[i] = milestones[i];
    return schedule;
}

reel_schedule reel_lr_exponential(double gamma)
{
    return (reel_schedule) { .kind = REEL_LR_EXPONENTIAL, .gamma = gamma };
}

reel_schedule reel_lr_cosine(int64_t t_max, double eta_min)
{
    return (reel_schedule) { .kind = REEL_LR_COSINE, .period = t_max, .floor = eta_min };
}

reel_schedule reel_lr_cosine_restarts(int64_t t_0, int64_t t_mult, double eta_min)
{
    return (reel_schedule) { .kind = REEL_LR_COSINE_RESTARTS, .period = t_0, .multiplier = t_mult, .floor = eta_min };
}

reel_schedule reel_lr_one_cycle(const reel_one_cycle_opts *opts)
{
    reel_schedule schedule = { .kind = REEL_LR_ONE_CYCLE, .cycle = opts ? *opts : (reel_one_cycle_opts) { 0 } };
    reel_one_cycle_opts *cycle = &schedule.cycle;
    cycle->pct_start = reel_option(cycle->pct_start, 0.3);
    cycle->div_factor = reel_option(cycle->div_factor, 25);
    cycle->final_div_factor = reel_option(cycle->final_div_factor, 1e4);
    cycle->base_momentum = reel_option(cycle->base_momentum, 0.85);
    cycle->max_momentum = reel_option(cycle->max_momentum, 0.95);
    return schedule;
}

reel_schedule reel_lr_polynomial(int64_t total, double power)
{
    return (reel_schedule) { .kind = REEL_LR_POLYNOMIAL, .total = total, .power = power };
}

reel_schedule reel_lr_linear(double start_factor, double end_factor, int64_t total)
{
    return (reel_schedule) { .kind = REEL_LR_LINEAR, .start = start_factor, .end = end_factor, .total = total };
}

reel_schedule reel_lr_plateau(const reel_plateau_opts *opts)
{
    static const reel_plateau_opts defaults;
    reel_schedule schedule = { .kind = REEL_LR_PLATEAU, .plateau = opts ? *opts : defaults };
    reel_plateau_opts *plateau = &schedule.plateau;
    plateau->factor = reel_option(plateau->factor, 0.1);
    plateau->threshold = reel_option(plateau->threshold, 1e-4);
    plateau->eps = reel_option(plateau->eps, 1e-8);
    plateau->patience = plateau->patience == 0 ? 10 : plateau->patience < 0 ? 0 : plateau->patience;
    schedule.best = plateau->maximize ? -INFINITY : INFINITY;
    return schedule;
}

reel_schedule reel_lr_warmup(reel_schedule schedule, int64_t steps, double start_factor)
{
    schedule.warmup = steps;
    schedule.warmup_start = start_factor;
    return schedule;
}

/* From `start` (part 0) to `end` (part 1), on a line or half a cosine. */
static double anneal(double start, double end, double part, bool linear)
{
    return linear ? start + (end - start) * part : end + (start - end) / 2 * (1 + cos(PI * part));
}

static double one_cycle(const reel_one_cycle_opts *cycle, int64_t k, double *momentum)
{
    double total = (double)cycle->total_steps, at = (double)(k < cycle->total_steps ? k : cycle->total_steps - 1);
    double first = cycle->max_lr / cycle->div_factor, last = first / cycle->final_div_factor;
    double low = cycle->base_momentum, high = cycle->max_momentum;
    /* Where each phase ends, its rate and its momentum there; the first begins at 0. */
    double end[3] = { cycle->pct_start * total - 1, total - 1, total - 1 };
    double rate[4] = { first, cycle->max_lr, last, last }, inertia[4] = { high, low, high, high };
    int phases = 2;
    if (cycle->three_phase) {
        phases = 3;
        end[1] = 2 * cycle->pct_start * total - 2;
        rate[2] = first;
    }
    double begin = 0;
    int phase = 0;
    while (phase < phases - 1 && at > end[phase]) begin = end[phase++];
    double part = end[phase] > begin ? (at - begin) / (end[phase] - begin) : 1;
    *momentum = cycle->keep_momentum ? NAN : anneal(inertia[phase], inertia[phase + 1], part, cycle->linear);
    return anneal(rate[phase], rate[phase + 1], part, cycle->linear);
}

/* Where k lies in its period of cosine restarts, and that period's length. */
static double restart_part(const reel_schedule *schedule, int64_t k)
{
    double length = (double)schedule->period, at = (double)k;
    if (schedule->multiplier <= 1) return fmod(at, length) / length;
    double factor = (double)schedule->multiplier;
    while (at >= length) {
        at -= length;
        length *= factor;
    }
    return at / length;
}

static int passed(const reel_schedule *schedule, int64_t k)
{
    int count = 0;
    for (int i = 0; i < schedule->milestones; i++) count += schedule->milestone[i] <= k;
    return count;
}

static const char *check_cycle(const reel_one_cycle_opts *cycle)
{
    if (cycle->total_steps < 1) return "the one-cycle has no steps";
    if (!(cycle->max_lr > 0)) return "the one-cycle's largest rate is not above 0";
    if (!(cycle->pct_start >= 0 && cycle->pct_start <= 1))
        return "the part of the one-cycle that rises is not in [0, 1]";
    if (!(cycle->div_factor > 0 && cycle->final_div_factor > 0)) return "the one-cycle's divisors are not above 0";
    return NULL;
}

static const char *check(const reel_schedule *schedule)
{
    bool periodic =
        schedule->kind == REEL_LR_STEP || schedule->kind == REEL_LR_COSINE || schedule->kind == REEL_LR_COSINE_RESTARTS;
    bool ending = schedule->kind == REEL_LR_POLYNOMIAL || schedule->kind == REEL_LR_LINEAR;
    if (periodic && (schedule->period < 1 || schedule->period > INT64_MAX / 2))
        return "the period is not 1 or more steps";
    if (ending && schedule->total < 1) return "the schedule has no steps";
    if (schedule->kind == REEL_LR_COSINE_RESTARTS && schedule->multiplier < 1)
        return "the period would shrink at a restart";
    if (schedule->milestones < 0) return "the list of milestones is missing (NULL)";
    if (schedule->milestones > REEL_MAX_MILESTONES) return "there are too many milestones";
    if (schedule->warmup < 0) return "the warm-up has a negative length";
    if (schedule->kind == REEL_LR_PLATEAU && !(schedule->plateau.factor < 1))
        return "the plateau's factor is not below 1";
    return schedule->kind == REEL_LR_ONE_CYCLE ? check_cycle(&schedule->cycle) : NULL;
}

double reel_schedule_rate(const reel_schedule *schedule, double base, int64_t k, double *momentum)
{
    double ignored;
    if (!momentum) momentum = &ignored;
    *momentum = NAN;
    if (!schedule || check(schedule) || k < 0) return NAN;
    if (k < schedule->warmup) {
        return base * anneal(schedule->warmup_start, 1, (double)k / (double)schedule->warmup, true);
    }
    k -= schedule->warmup;
    double floor = schedule->floor, total = (double)schedule->total, at = fmin((double)k, total);
    switch (schedule->kind) {
    case REEL_LR_STEP: return base * pow(schedule->gamma, (double)(k / schedule->period));
    case REEL_LR_MULTISTEP: return base * pow(schedule->gamma, passed(schedule, k));
    case REEL_LR_EXPONENTIAL: return base * pow(schedule->gamma, (double)k);
    case REEL_LR_COSINE:
        return anneal(base, floor, (double)(k % (2 * schedule->period)) / (double)schedule->period, false);
    case REEL_LR_COSINE_RESTARTS: return anneal(base, floor, restart_part(schedule, k), false);
    case REEL_LR_ONE_CYCLE: return one_cycle(&schedule->cycle, k, momentum);
    case REEL_LR_POLYNOMIAL: return base * pow(1 - at / total, schedule->power);
    case REEL_LR_LINEAR: return base * anneal(schedule->start, schedule->end, at / total, true);
    default: return base;
    }
}

/* Sets every group's rate, and with a one-cycle its momentum. */
static bool apply(const reel_schedule *schedule, reel_optim *optim)
{
    if (!optim || reel_ctx_error(optim->ctx)) return false;
    const char *wrong = schedule ? check(schedule) : "there is none (NULL)";
    if (wrong) return reel_fail(optim->ctx, REEL_ERROR_VALUE, "schedule: %s", wrong);
    /* After its warm-up a plateau's rates are what its observations have made of them. */
    if (schedule->kind == REEL_LR_PLATEAU && schedule->taken > schedule->warmup) return true;
    for (int i = 0; i < optim->n_groups; i++) {
        reel_hyper *h = &optim->groups[i];
        double momentum;
        h->lr = reel_schedule_rate(schedule, h->initial_lr, schedule->taken, &momentum);
        if (isnan(momentum)) continue;
        if (h->momentum != 0)
            h->momentum = momentum;
        else if (h->beta1 != 0)
            h->beta1 = momentum;
    }
    return true;
}

bool reel_schedule_start(reel_schedule *schedule, reel_optim *optim) { return apply(schedule, optim); }

bool reel_schedule_advance(reel_schedule *schedule, reel_optim *optim)
{
    if (schedule) schedule->taken++;
    return apply(schedule, optim);
}

static bool better(const reel_schedule *schedule, double metric)
{
    const reel_plateau_opts *plateau = &schedule->plateau;
    double best = schedule->best, part = plateau->threshold;
    if (plateau->maximize) return metric > (plateau->absolute ? best + part : best * (1 + part));
    return metric < (plateau->absolute ? best - part : best * (1 - part));
}

bool reel_schedule_observe(reel_schedule *schedule, reel_optim *optim, double metric)
{
    if (!optim || reel_ctx_error(optim->ctx)) return false;
    if (!reel_given(optim->ctx, "schedule_observe", "schedule", schedule)) return false;
    const reel_plateau_opts *plateau = &schedule->plateau;
    if (schedule->kind != REEL_LR_PLATEAU) {
        return reel_fail(optim->ctx, REEL_ERROR_VALUE, "schedule: only a plateau observes a metric");
    }
    const char *wrong = check(schedule);
    if (wrong) return reel_fail(optim->ctx, REEL_ERROR_VALUE, "schedule: %s", wrong);
    if (better(schedule, metric)) {
        schedule->best = metric;
        schedule->bad = 0;
    } else {
        schedule->bad++;
    }
    if (schedule->cooling > 0) {
        schedule->cooling--;
        schedule->bad = 0;
    }
    if (schedule->bad <= plateau->patience) return true;
    for (int i = 0; i < optim->n_groups; i++) {
        double old = optim->groups[i].lr, cut = fmax(old * plateau->factor, plateau->min_lr);
        if (old - cut > plateau->eps) optim->groups[i].lr = cut;
    }
    schedule->cooling = plateau->cooldown;
    schedule->bad = 0;
    return true;
}

bool reel_schedule_store(const reel_schedule *schedule, reel_store *store, const char *prefix)
{
    return reel_given(reel_store_ctx(store), "schedule_store", "schedule", schedule) &&
           reel_store_put_int(store, prefix, "kind", (int64_t)schedule->kind) &&
           reel_store_put_int(store, prefix, "taken", schedule->taken) &&
           reel_store_put_double(store, prefix, "best", schedule->best) &&
           reel_store_put_int(store, prefix, "bad", schedule->bad) &&
           reel_store_put_int(store, prefix, "cooling", schedule->cooling);
}

bool reel_schedule_restore(reel_schedule *schedule, const reel_store *store, const char *prefix)
{
    int64_t kind;
    if (!reel_given(reel_store_ctx(store), "schedule_restore", "schedule", schedule)) return false;
    reel_schedule loaded = *schedule;
    if (!reel_store_int(store, prefix, "kind", &kind) || !reel_store_int(store, prefix, "taken", &loaded.taken) ||
        !reel_store_double(store, prefix, "best", &loaded.best) || !reel_store_int(store, prefix, "bad", &loaded.bad) ||
        !reel_store_int(store, prefix, "cooling", &loaded.cooling)) {
        return false;
    }
    if (kind != (int64_t)schedule->kind) {
        return reel_fail(reel_store_ctx(store), REEL_ERROR_IO, "%s: holds another kind of schedule",
                         reel_store_path(store));
    }
    *schedule = loaded;
    return true;
}
