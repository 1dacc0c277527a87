// SPDX-License-Identifier: MIT
// The optimisers: their defaults, their states, and the numbers of a step. Formulas as in torch.optim.
#include <math.h>
#include <reel/optim/internal.h>

static const char *check_rate(const reel_hyper *h)
{
    if (!(h->lr >= 0)) return "the learning rate is not a number from 0 up";
    if (!(h->weight_decay >= 0)) return "the weight decay is not a number from 0 up";
    if (!(h->eps >= 0)) return "eps is not a number from 0 up";
    return NULL;
}

static const char *check_betas(const reel_hyper *h)
{
    if (!(h->beta1 >= 0 && h->beta1 < 1)) return "beta1 is not in [0, 1)";
    if (!(h->beta2 >= 0 && h->beta2 < 1)) return "beta2 is not in [0, 1)";
    return check_rate(h);
}

static void begin(const reel_hyper *h, reel_update *u)
{
    u->rate = h->lr;
    u->sign = h->maximize ? -1 : 1;
    u->weight_decay = h->weight_decay;
    u->shrink = 1;
    u->eps = h->eps;
}

/* SGD */

static const char *check_sgd(const reel_hyper *h)
{
    if (!(h->momentum >= 0)) return "the momentum is not a number from 0 up";
    if (h->nesterov && (h->momentum == 0 || h->dampening != 0)) return "Nesterov needs a momentum and no dampening";
    return check_rate(h);
}

static void sgd_states(const reel_hyper *h, const char *names[3], double *initial)
{
    if (h->momentum != 0) names[0] = "momentum_buffer";
    (void)initial;
}

static void prepare_sgd(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    u->flags = h->nesterov ? REEL_UPDATE_NESTEROV : 0;
    u->a = h->momentum;
    u->b = slot->steps == 1 ? 1 : 1 - h->dampening;
}

static const reel_rule sgd = { "sgd", REEL_UPDATE_SGD, sgd_states, prepare_sgd, check_sgd };

reel_optim *reel_sgd_new(reel_params params, const reel_sgd_opts *opts)
{
    static const reel_sgd_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&sgd, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1e-3),
                                          .momentum = reel_option(opts->momentum, 0),
                                          .dampening = reel_option(opts->dampening, 0),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .nesterov = opts->nesterov,
                                          .maximize = opts->maximize });
}

/* Adam and AdamW */

static void adam_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "exp_avg";
    names[1] = "exp_avg_sq";
    if (h->amsgrad) names[2] = "max_exp_avg_sq";
    (void)initial;
}

static void prepare_adam(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    u->a = h->beta1;
    u->b = h->beta2;
    u->rate = h->lr / (1 - pow(h->beta1, (double)slot->steps));
    u->c = 1 / sqrt(1 - pow(h->beta2, (double)slot->steps));
}

static void prepare_adamw(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    prepare_adam(h, slot, u);
    u->shrink = 1 - h->lr * h->weight_decay;
    u->weight_decay = 0;
}

static const reel_rule adam = { "adam", REEL_UPDATE_ADAM, adam_states, prepare_adam, check_betas };
static const reel_rule adamw = { "adamw", REEL_UPDATE_ADAM, adam_states, prepare_adamw, check_betas };

static reel_optim *new_adam(const reel_rule *rule, reel_params params, const reel_adam_opts *opts, double weight_decay)
{
    static const reel_adam_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(rule, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1e-3),
                                          .beta1 = reel_option(opts->beta1, 0.9),
                                          .beta2 = reel_option(opts->beta2, 0.999),
                                          .eps = reel_option(opts->eps, 1e-8),
                                          .weight_decay = reel_option(opts->weight_decay, weight_decay),
                                          .amsgrad = opts->amsgrad,
                                          .maximize = opts->maximize });
}

reel_optim *reel_adam_new(reel_params params, const reel_adam_opts *opts) { return new_adam(&adam, params, opts, 0); }

reel_optim *reel_adamw_new(reel_params params, const reel_adam_opts *opts)
{
    return new_adam(&adamw, params, opts, 1e-2);
}

/* NAdam */

static const char *check_nadam(const reel_hyper *h)
{
    if (!(h->momentum_decay >= 0)) return "the momentum decay is not a number from 0 up";
    return check_betas(h);
}

static void nadam_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "exp_avg";
    names[1] = "exp_avg_sq";
    (void)h, (void)initial;
}

static void prepare_nadam(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    double t = (double)slot->steps;
    double mu = h->beta1 * (1 - 0.5 * pow(0.96, t * h->momentum_decay));
    double next = h->beta1 * (1 - 0.5 * pow(0.96, (t + 1) * h->momentum_decay));
    slot->product *= mu;
    u->a = h->beta1;
    u->b = h->beta2;
    u->rate = h->lr * (1 - mu) / (1 - slot->product);
    u->d = h->lr * next / (1 - slot->product * next);
    u->c = 1 / (1 - pow(h->beta2, t));
}

static const reel_rule nadam = { "nadam", REEL_UPDATE_NADAM, nadam_states, prepare_nadam, check_nadam };

reel_optim *reel_nadam_new(reel_params params, const reel_nadam_opts *opts)
{
    static const reel_nadam_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&nadam, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 2e-3),
                                          .beta1 = reel_option(opts->beta1, 0.9),
                                          .beta2 = reel_option(opts->beta2, 0.999),
                                          .eps = reel_option(opts->eps, 1e-8),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .momentum_decay = reel_option(opts->momentum_decay, 4e-3) });
}

/* RMSprop */

static const char *check_rho(const reel_hyper *h)
{
    if (!(h->rho >= 0 && h->rho <= 1)) return "the smoothing constant is not in [0, 1]";
    if (!(h->momentum >= 0)) return "the momentum is not a number from 0 up";
    return check_rate(h);
}

static void rmsprop_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "square_avg";
    if (h->momentum != 0) names[1] = "momentum_buffer";
    if (h->centered) names[2] = "grad_avg";
    (void)initial;
}

static void prepare_rmsprop(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    u->a = h->rho;
    u->b = h->momentum;
    (void)slot;
}

static const reel_rule rmsprop = { "rmsprop", REEL_UPDATE_RMSPROP, rmsprop_states, prepare_rmsprop, check_rho };

reel_optim *reel_rmsprop_new(reel_params params, const reel_rmsprop_opts *opts)
{
    static const reel_rmsprop_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&rmsprop, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1e-2),
                                          .rho = reel_option(opts->alpha, 0.99),
                                          .eps = reel_option(opts->eps, 1e-8),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .momentum = reel_option(opts->momentum, 0),
                                          .centered = opts->centered,
                                          .maximize = opts->maximize });
}

/* Adagrad */

static const char *check_adagrad(const reel_hyper *h)
{
    if (!(h->lr_decay >= 0)) return "the decay of the rate is not a number from 0 up";
    if (!(h->initial_accumulator >= 0)) return "the accumulator's first value is not a number from 0 up";
    return check_rate(h);
}

static void adagrad_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "sum";
    *initial = h->initial_accumulator;
}

static void prepare_adagrad(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    u->rate = h->lr / (1 + (double)(slot->steps - 1) * h->lr_decay);
}

static const reel_rule adagrad = { "adagrad", REEL_UPDATE_ADAGRAD, adagrad_states, prepare_adagrad, check_adagrad };

reel_optim *reel_adagrad_new(reel_params params, const reel_adagrad_opts *opts)
{
    static const reel_adagrad_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&adagrad, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1e-2),
                                          .lr_decay = reel_option(opts->lr_decay, 0),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .initial_accumulator = reel_option(opts->initial_accumulator, 0),
                                          .eps = reel_option(opts->eps, 1e-10),
                                          .maximize = opts->maximize });
}

/* Adadelta */

static void adadelta_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "square_avg";
    names[1] = "acc_delta";
    (void)h, (void)initial;
}

static const reel_rule adadelta = { "adadelta", REEL_UPDATE_ADADELTA, adadelta_states, prepare_rmsprop, check_rho };

reel_optim *reel_adadelta_new(reel_params params, const reel_adadelta_opts *opts)
{
    static const reel_adadelta_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&adadelta, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1),
                                          .rho = reel_option(opts->rho, 0.9),
                                          .eps = reel_option(opts->eps, 1e-6),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .maximize = opts->maximize });
}

/* Lion */

static void lion_states(const reel_hyper *h, const char *names[3], double *initial)
{
    names[0] = "exp_avg";
    (void)h, (void)initial;
}

static void prepare_lion(const reel_hyper *h, reel_slot *slot, reel_update *u)
{
    begin(h, u);
    u->a = h->beta1;
    u->b = h->beta2;
    u->shrink = 1 - h->lr * h->weight_decay;
    (void)slot;
}

static const reel_rule lion = { "lion", REEL_UPDATE_LION, lion_states, prepare_lion, check_betas };

reel_optim *reel_lion_new(reel_params params, const reel_lion_opts *opts)
{
    static const reel_lion_opts defaults;
    if (!opts) opts = &defaults;
    return reel_optim_new(&lion, params,
                          &(reel_hyper) { .lr = reel_option(opts->lr, 1e-4),
                                          .beta1 = reel_option(opts->beta1, 0.9),
                                          .beta2 = reel_option(opts->beta2, 0.99),
                                          .weight_decay = reel_option(opts->weight_decay, 0),
                                          .maximize = opts->maximize });
}
