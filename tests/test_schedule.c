// SPDX-License-Identifier: MIT
// Schedules of the learning rate against PyTorch's, clipping, averages of weights.
#include "trajectories.h"

#include <reel/optim/clip.h>
#include <reel/optim/ema.h>
#include <reel/optim/optim.h>
#include <reel/optim/schedule.h>

/* Schedules */

static reel_schedule make_schedule(reel_safetensors *file)
{
    const char *op = setting(file, "op") + strlen("lr_");
    double gamma = atof(setting(file, "gamma")), eta_min = atof(setting(file, "eta_min"));
    int64_t total = atoll(setting(file, "total_iters"));
    if (strcmp(op, "step") == 0) return reel_lr_step(atoll(setting(file, "step_size")), gamma);
    if (strcmp(op, "exponential") == 0) return reel_lr_exponential(gamma);
    if (strcmp(op, "cosine") == 0) return reel_lr_cosine(atoll(setting(file, "T_max")), eta_min);
    if (strcmp(op, "polynomial") == 0) return reel_lr_polynomial(total, atof(setting(file, "power")));
    if (strcmp(op, "linear_warmup") == 0) {
        return reel_lr_linear(atof(setting(file, "start_factor")), atof(setting(file, "end_factor")), total);
    }
    if (strcmp(op, "cosine_restarts") == 0) {
        return reel_lr_cosine_restarts(atoll(setting(file, "T_0")), atoll(setting(file, "T_mult")), eta_min);
    }
    if (strcmp(op, "multistep") == 0) {
        int64_t milestones[8];
        int count = 0;
        for (const char *at = setting(file, "milestones"); at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
            milestones[count++] = atoll(at);
        return reel_lr_multistep(milestones, count, gamma);
    }
    if (strcmp(op, "onecycle") == 0) {
        return reel_lr_one_cycle(
            &(reel_one_cycle_opts) { .max_lr = number(file, "max_lr"),
                                     .total_steps = atoll(setting(file, "total_steps")),
                                     .pct_start = number(file, "pct_start"),
                                     .div_factor = number(file, "div_factor"),
                                     .final_div_factor = number(file, "final_div_factor"),
                                     .linear = strcmp(setting(file, "anneal_strategy"), "linear") == 0,
                                     .three_phase = flag(file, "three_phase"),
                                     .base_momentum = number(file, "base_momentum"),
                                     .max_momentum = number(file, "max_momentum") });
    }
    cr_assert_str_eq(op, "plateau");
    int64_t patience = atoll(setting(file, "patience"));
    return reel_lr_plateau(&(reel_plateau_opts) { .maximize = strcmp(setting(file, "mode"), "max") == 0,
                                                  .factor = number(file, "factor"),
                                                  .patience = patience ? patience : -1,
                                                  .threshold = number(file, "threshold"),
                                                  .absolute = strcmp(setting(file, "threshold_mode"), "abs") == 0,
                                                  .cooldown = atoll(setting(file, "cooldown")),
                                                  .min_lr = atof(setting(file, "min_lr")),
                                                  .eps = number(file, "eps") });
}

static reel_optim *any_optimiser(reel_tensor **p, double lr)
{
    *p = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(3), REEL_F64), true);
    return reel_sgd_new(REEL_PARAMS(*p), &(reel_sgd_opts) { .lr = lr, .momentum = 0.5 });
}

static void follow_rates(reel_safetensors *file, const char *name)
{
    reel_tensor *p;
    reel_optim *optim = any_optimiser(&p, number(file, "lr"));
    reel_schedule schedule = make_schedule(file);
    const double *rates = golden(file, "out");
    int64_t count = reel_numel(reel_safetensors_read(file, "out"));
    bool plateau = schedule.kind == REEL_LR_PLATEAU;
    const double *metrics = plateau ? golden(file, "in0") : NULL;
    const double *momenta = schedule.kind == REEL_LR_ONE_CYCLE ? golden(file, "out1") : NULL;
    cr_assert(reel_schedule_start(&schedule, optim), "%s", reel_ctx_error_message(ctx));
    for (int64_t k = 0; k < count; k++) {
        cr_expect(close_to(reel_optim_lr(optim), rates[k]), "%s, step %d: the rate is %.17g, PyTorch's %.17g", name,
                  (int)k, reel_optim_lr(optim), rates[k]);
        if (momenta) {
            cr_expect(close_to(reel_optim_hyper(optim, 0)->momentum, momenta[k]),
                      "%s, step %d: momentum %.17g, not %.17g", name, (int)k, reel_optim_hyper(optim, 0)->momentum,
                      momenta[k]);
        }
        if (k + 1 == count) break;
        cr_assert(plateau ? reel_schedule_observe(&schedule, optim, metrics[k])
                          : reel_schedule_advance(&schedule, optim));
    }
    reel_optim_free(optim);
}

Test(schedule, follows_the_golden_rates) { cr_expect_geq(for_cases("lr_", follow_rates), 22); }

Test(schedule, warms_up_before_another_begins, .init = set_up, .fini = tear_down)
{
    reel_tensor *p;
    reel_optim *optim = any_optimiser(&p, 0.8);
    reel_schedule schedule = reel_lr_warmup(reel_lr_step(2, 0.5), 4, 0.25);
    static const double expected[] = { 0.2, 0.35, 0.5, 0.65, 0.8, 0.8, 0.4, 0.4, 0.2 };
    cr_assert(reel_schedule_start(&schedule, optim));
    for (int k = 0; k < 9; k++) {
        cr_expect_float_eq(reel_optim_lr(optim), expected[k], 1e-12, "step %d: %g", k, reel_optim_lr(optim));
        cr_assert(reel_schedule_advance(&schedule, optim));
    }
    reel_optim_free(optim);
}

Test(schedule, scales_every_groups_own_rate, .init = set_up, .fini = tear_down)
{
    reel_tensor *p, *q = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(1), REEL_F64), true);
    reel_optim *optim = any_optimiser(&p, 0.1);
    reel_hyper hyper = *reel_optim_hyper(optim, 0);
    hyper.lr = 1;
    cr_assert(reel_optim_add_group(optim, REEL_PARAMS(q), &hyper));
    reel_schedule schedule = reel_lr_exponential(0.5);
    cr_assert(reel_schedule_start(&schedule, optim) && reel_schedule_advance(&schedule, optim));
    cr_expect_float_eq(reel_optim_hyper(optim, 0)->lr, 0.05, 1e-15);
    cr_expect_float_eq(reel_optim_hyper(optim, 1)->lr, 0.5, 1e-15);
    reel_optim_free(optim);
}

Test(schedule, refuses_numbers_that_make_no_sense, .init = set_up, .fini = tear_down)
{
    reel_tensor *p;
    reel_optim *optim = any_optimiser(&p, 0.1);
    const struct {
        reel_schedule schedule;
        const char *reason;
    } cases[] = {
        { reel_lr_step(0, 0.5), "period" },
        { reel_lr_cosine(-3, 0), "period" },
        { reel_lr_cosine_restarts(5, 0, 0), "shrink" },
        { reel_lr_polynomial(0, 1), "no steps" },
        { reel_lr_linear(0.1, 1, 0), "no steps" },
        { reel_lr_one_cycle(&(reel_one_cycle_opts) { .max_lr = 1 }), "no steps" },
        { reel_lr_one_cycle(&(reel_one_cycle_opts) { .total_steps = 3 }), "not above 0" },
        { reel_lr_one_cycle(NULL), "no steps" },
        { reel_lr_plateau(&(reel_plateau_opts) { .factor = 1 }), "not below 1" },
        { reel_lr_multistep(NULL, -1, 0.1), "milestones" },
        { reel_lr_warmup(reel_lr_constant(), -1, 0.1), "warm-up" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        reel_schedule schedule = cases[k].schedule;
        cr_expect_not(reel_schedule_start(&schedule, optim));
        expect_error(REEL_ERROR_VALUE, cases[k].reason);
        cr_expect(isnan(reel_schedule_rate(&schedule, 1, 3, NULL)));
    }
    reel_schedule schedule = reel_lr_constant();
    cr_expect_not(reel_schedule_observe(&schedule, optim, 1));
    expect_error(REEL_ERROR_VALUE, "only a plateau");
    reel_optim_free(optim);
}

/* Clipping */

static void clip_case(reel_safetensors *file, const char *name)
{
    reel_tensor *p[3];
    char key[8];
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, "in%d", k);
        reel_tensor *g = reel_safetensors_read(file, key);
        p[k] = reel_set_requires_grad(reel_zeros_like(g), true);
        cr_assert(reel_set_grad(p[k], g));
    }
    const char *norm = setting(file, "norm_type");
    reel_params params = { p, 3 };
    reel_tensor *total =
        reel_clip_grad_norm(params, number(file, "max_norm"), strcmp(norm, "inf") == 0 ? INFINITY : atof(norm));
    cr_assert(total, "%s", reel_ctx_error_message(ctx));
    cr_expect(close_to(reel_item(total), *golden(file, "total_norm")), "%s: total norm", name);
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, k ? "out%d" : "out", k);
        expect_row(name, k, "gradient", reel_grad_of(p[k]), golden(file, key));
    }
}

Test(clip, scales_gradients_as_the_golden_cases_say) { cr_expect_geq(for_cases("clip_", clip_case), 4); }

Test(clip, clamps_gradients_by_value_and_passes_over_parameters_without, .init = set_up, .fini = tear_down)
{
    reel_tensor *p = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(3), REEL_F32), true);
    reel_tensor *q = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(2), REEL_F32), true);
    reel_set_grad(p, reel_floats(ctx, REEL_SHAPE(3), (float[]) { -7, 0.25f, 7 }));
    cr_assert(reel_clip_grad_value(REEL_PARAMS(p, q), 0.5));
    const float *g = reel_data_f32(reel_grad_of(p));
    cr_expect(g && g[0] == -0.5f && g[1] == 0.25f && g[2] == 0.5f);
    cr_expect_null(reel_grad_of(q));
    cr_expect_eq(reel_item(reel_clip_grad_norm(REEL_PARAMS(q), 1, 0)), 0);
    cr_expect_not(reel_clip_grad_value(REEL_PARAMS(p), -1));
    expect_error(REEL_ERROR_VALUE, "clip_grad_value");
    cr_expect_null(reel_clip_grad_norm(REEL_PARAMS(p), NAN, 2));
    expect_error(REEL_ERROR_VALUE, "clip_grad_norm");
}

/* Averages */

Test(ema, averages_swaps_and_comes_back, .init = set_up, .fini = tear_down)
{
    reel_tensor *p = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 1, -2 }), true);
    reel_ema *ema = reel_ema_new(REEL_PARAMS(p), 0.75);
    cr_assert(ema, "%s", reel_ctx_error_message(ctx));
    double average[2] = { 1, -2 };
    for (int k = 1; k <= 5; k++) {
        double x[2] = { k, k * k };
        reel_set_data(p, x, sizeof x);
        cr_assert(reel_ema_update(ema));
        for (int i = 0; i < 2; i++) average[i] = 0.75 * average[i] + 0.25 * x[i];
    }
    cr_assert(reel_ema_swap(ema));
    cr_expect(close_to(reel_data_f64(p)[0], average[0]) && close_to(reel_data_f64(p)[1], average[1]));
    cr_expect(reel_data_f64(reel_ema_average(ema, 0))[1] == 25);
    cr_assert(reel_ema_swap(ema));
    cr_expect(reel_data_f64(p)[0] == 5 && reel_data_f64(p)[1] == 25);
    reel_ema_free(ema);
    cr_expect_null(reel_ema_new(REEL_PARAMS(p), 1.5));
    expect_error(REEL_ERROR_VALUE, "ema: a decay of 1.5");
}
