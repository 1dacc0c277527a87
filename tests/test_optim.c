// SPDX-License-Identifier: MIT
// Optimisers against PyTorch's trajectories; groups, states, errors.
#include "trajectories.h"

#include <reel/optim/optim.h>
#include <reel/optim/schedule.h>

static double second_number(reel_safetensors *file, const char *key)
{
    const char *comma = strchr(setting(file, key), ',');
    double value = comma ? atof(comma + 1) : 0;
    return value != 0 ? value : REEL_ZERO;
}

static reel_optim *make_optimiser(reel_safetensors *file, reel_params params)
{
    const char *op = setting(file, "op") + strlen("opt_");
    double lr = number(file, "lr"), decay = number(file, "weight_decay"), eps = number(file, "eps");
    double beta1 = number(file, "betas"), beta2 = second_number(file, "betas");
    bool maximize = flag(file, "maximize");
    if (strcmp(op, "sgd") == 0) {
        return reel_sgd_new(params, &(reel_sgd_opts) { .lr = lr,
                                                       .momentum = number(file, "momentum"),
                                                       .dampening = number(file, "dampening"),
                                                       .weight_decay = decay,
                                                       .nesterov = flag(file, "nesterov"),
                                                       .maximize = maximize });
    }
    reel_adam_opts adam = { lr, beta1, beta2, eps, decay, flag(file, "amsgrad"), maximize };
    if (strcmp(op, "adam") == 0) return reel_adam_new(params, &adam);
    if (strcmp(op, "adamw") == 0) return reel_adamw_new(params, &adam);
    if (strcmp(op, "nadam") == 0) {
        return reel_nadam_new(params,
                              &(reel_nadam_opts) { lr, beta1, beta2, eps, decay, number(file, "momentum_decay") });
    }
    if (strcmp(op, "rmsprop") == 0) {
        return reel_rmsprop_new(params, &(reel_rmsprop_opts) { .lr = lr,
                                                               .alpha = number(file, "alpha"),
                                                               .eps = eps,
                                                               .weight_decay = decay,
                                                               .momentum = number(file, "momentum"),
                                                               .centered = flag(file, "centered") });
    }
    if (strcmp(op, "adagrad") == 0) {
        return reel_adagrad_new(params,
                                &(reel_adagrad_opts) { .lr = lr,
                                                       .lr_decay = number(file, "lr_decay"),
                                                       .weight_decay = decay,
                                                       .initial_accumulator = number(file, "initial_accumulator_value"),
                                                       .eps = eps });
    }
    if (strcmp(op, "adadelta") == 0) {
        return reel_adadelta_new(params, &(reel_adadelta_opts) { lr, number(file, "rho"), eps, decay, maximize });
    }
    if (strcmp(op, "lion") == 0) {
        return reel_lion_new(params,
                             &(reel_lion_opts) { .lr = lr, .beta1 = beta1, .beta2 = beta2, .weight_decay = decay });
    }
    cr_assert_str_eq(op, "lbfgs");
    return reel_lbfgs_new(params, &(reel_lbfgs_opts) { .lr = lr,
                                                       .max_iter = atoi(setting(file, "max_iter")),
                                                       .max_eval = atoi(setting(file, "max_eval")),
                                                       .tolerance_grad = number(file, "tolerance_grad"),
                                                       .tolerance_change = number(file, "tolerance_change"),
                                                       .history_size = atoi(setting(file, "history_size")),
                                                       .strong_wolfe = *setting(file, "line_search_fn") });
}

/* The cases' loss and its gradient, in plain C: what is tested here is the optimiser alone. */
typedef struct quadratic {
    const double *A, *b;
    reel_tensor *p, *r;
} quadratic;

static reel_tensor *evaluate(void *user)
{
    const quadratic *q = user;
    const double *p = reel_data_f64(q->p), *r = reel_data_f64(q->r);
    cr_assert(p && r, "%s", reel_ctx_error_message(ctx));
    double loss = 0.01 * ((1 - r[0]) * (1 - r[0]) + 100 * (r[1] - r[0] * r[0]) * (r[1] - r[0] * r[0]));
    double gp[5], gr[2] = { 0.01 * (-2 * (1 - r[0]) - 400 * r[0] * (r[1] - r[0] * r[0])), 2 * (r[1] - r[0] * r[0]) };
    for (int i = 0; i < 5; i++) {
        gp[i] = -q->b[i];
        loss -= q->b[i] * p[i];
        for (int j = 0; j < 5; j++) {
            gp[i] += 0.5 * (q->A[5 * i + j] + q->A[5 * j + i]) * p[j];
            loss += 0.5 * p[i] * q->A[5 * i + j] * p[j];
        }
    }
    reel_set_grad(q->p, reel_doubles(ctx, REEL_SHAPE(5), gp));
    reel_set_grad(q->r, reel_doubles(ctx, REEL_SHAPE(2), gr));
    return reel_scalar(ctx, REEL_F64, loss);
}

static void follow(reel_safetensors *file, const char *name)
{
    reel_tensor *p = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(5), golden(file, "p0")), true);
    reel_tensor *r = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(2), golden(file, "r0")), true);
    quadratic q = { golden(file, "A"), golden(file, "b"), p, r };
    const double *traj_p = golden(file, "traj_p"), *traj_r = golden(file, "traj_r"), *losses = golden(file, "loss");
    reel_optim *optim = make_optimiser(file, REEL_PARAMS(p, r));
    cr_assert(optim, "%s: %s", name, reel_ctx_error_message(ctx));
    bool closure = strstr(name, "lbfgs") != NULL;
    int steps = atoi(setting(file, "steps"));
    for (int step = 0; step < steps; step++) {
        expect_row(name, step, "p", p, traj_p + 5 * step);
        expect_row(name, step, "r", r, traj_r + 2 * step);
        double loss = NAN;
        if (closure || step % 2) {
            cr_assert(reel_optim_step_closure(optim, evaluate, &q, &loss), "%s", reel_ctx_error_message(ctx));
        } else {
            REEL_SCOPE(ctx)
            {
                reel_tensor *value = evaluate(&q);
                cr_assert(reel_optim_step(optim), "%s", reel_ctx_error_message(ctx));
                loss = reel_item(value);
            }
        }
        cr_expect(close_to(loss, losses[step]), "%s, step %d: the loss is %.17g, PyTorch's %.17g", name, step, loss,
                  losses[step]);
        if (closure) {
            int64_t evals = reel_data_i64(reel_safetensors_read(file, "evals"))[step];
            cr_expect_eq(reel_optim_evaluations(optim), evals, "%s, step %d: %d evaluations, PyTorch's %d", name, step,
                         reel_optim_evaluations(optim), (int)evals);
        }
    }
    expect_row(name, steps, "p", p, traj_p + 5 * steps);
    expect_row(name, steps, "r", r, traj_r + 2 * steps);
    reel_optim_free(optim);
}

Test(optim, follows_the_golden_trajectories) { cr_expect_geq(for_cases("opt_", follow), 48); }

/* The same from the gradients that the file gives, in float32 too, at every instruction set. */
static void feed(reel_safetensors *file, const char *name)
{
    if (strstr(name, "lbfgs")) return;
    const double *grad_p = golden(file, "grad_p"), *traj_p = golden(file, "traj_p"), *p0 = golden(file, "p0");
    int steps = atoi(setting(file, "steps"));
    static const char *const isas[] = { "portable", "base", "avx2", "avx512" };
    for (int k = 0; k < 8; k++) {
        reel_ctx *outer = ctx;
        ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isas[k / 2] });
        if (reel_ctx_error(ctx) == REEL_OK) { /* else this machine has no such instructions */
            reel_tensor *p = NULL;
            float f[5];
            for (int i = 0; i < 5; i++) f[i] = (float)p0[i];
            p = k % 2 ? reel_floats(ctx, REEL_SHAPE(5), f) : reel_doubles(ctx, REEL_SHAPE(5), p0);
            reel_optim *optim = make_optimiser(file, REEL_PARAMS(reel_set_requires_grad(p, true)));
            for (int step = 0; step < steps; step++) {
                REEL_SCOPE(ctx)
                {
                    for (int i = 0; i < 5; i++) f[i] = (float)grad_p[5 * step + i];
                    reel_set_grad(p, k % 2 ? reel_floats(ctx, REEL_SHAPE(5), f)
                                           : reel_doubles(ctx, REEL_SHAPE(5), grad_p + 5 * step));
                    cr_assert(reel_optim_step(optim), "%s", reel_ctx_error_message(ctx));
                }
            }
            for (int i = 0; i < 5; i++) {
                double x = k % 2 ? reel_data_f32(p)[i] : reel_data_f64(p)[i], y = traj_p[5 * steps + i];
                double tolerance = k % 2 ? 2e-5 * (1 + fabs(y)) : 1e-9 * (1 + fabs(y));
                cr_expect(fabs(x - y) <= tolerance, "%s, %s: %.17g, PyTorch's %.17g", name, isas[k / 2], x, y);
            }
            reel_optim_free(optim);
        }
        reel_ctx_free(ctx);
        ctx = outer;
    }
}

Test(optim, takes_given_gradients_in_both_dtypes_on_every_instruction_set)
{
    cr_expect_geq(for_cases("opt_", feed), 48);
}

/* Groups, states, errors */

static reel_tensor *leaf(int n) { return reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(n), REEL_F64), true); }

static void give_gradients(reel_tensor *const *p, int count, int step)
{
    for (int k = 0; k < count; k++) {
        double g[8];
        for (int i = 0; i < 8; i++) g[i] = sin(step + 3 * k + i);
        reel_set_grad(p[k], reel_doubles(ctx, reel_shape_of(p[k]), g));
    }
}

Test(optim, a_group_has_hyperparameters_of_its_own, .init = set_up, .fini = tear_down)
{
    reel_tensor *p = leaf(1), *q = leaf(1);
    reel_optim *optim = reel_sgd_new(REEL_PARAMS(p), &(reel_sgd_opts) { .lr = 0.5 });
    reel_hyper hyper = *reel_optim_hyper(optim, 0);
    hyper.lr = 0.25;
    hyper.momentum = 0.9;
    cr_assert(reel_optim_add_group(optim, REEL_PARAMS(q), &hyper));
    for (int k = 0; k < 2; k++) {
        reel_set_grad(p, reel_ones(ctx, REEL_SHAPE(1), REEL_F64));
        reel_set_grad(q, reel_ones(ctx, REEL_SHAPE(1), REEL_F64));
        cr_assert(reel_optim_step(optim));
    }
    cr_expect_float_eq(reel_item(p), 0, 1e-15);
    cr_expect_float_eq(reel_item(q), 1 - 0.25 - 0.25 * 1.9, 1e-15);
    cr_expect_not(reel_optim_add_group(optim, REEL_PARAMS(p), &hyper));
    expect_error(REEL_ERROR_VALUE, "in the optimiser already");
    cr_expect_eq(reel_optim_groups(optim), 2);
    cr_expect_null(reel_optim_hyper(optim, 2));
    cr_assert(reel_optim_add_group(optim, REEL_PARAMS(leaf(1)), NULL));
    cr_expect_eq(reel_optim_hyper(optim, 2)->lr, 0.5);
    reel_optim_free(optim);
}

Test(optim, a_step_uses_gradients_up_and_passes_over_parameters_without, .init = set_up, .fini = tear_down)
{
    reel_tensor *p = leaf(2), *q = leaf(2);
    reel_optim *optim = reel_adam_new(REEL_PARAMS(p, q), NULL);
    give_gradients(&p, 1, 0);
    cr_assert(reel_optim_step(optim));
    cr_expect_null(reel_grad_of(p));
    cr_expect_eq(reel_data_f64(q)[0], 1);
    cr_expect_neq(reel_data_f64(p)[1], 1);
    cr_expect_eq(reel_optim_steps(optim), 1);
    reel_optim_free(optim);
}

static reel_tensor *give_nothing(void *user)
{
    (void)user;
    return NULL;
}

Test(optim, refuses_what_cannot_be_optimised, .init = set_up, .fini = tear_down)
{
    reel_tensor *p = leaf(2), *constant = reel_ones(ctx, REEL_SHAPE(2), REEL_F64);
    cr_expect_null(reel_sgd_new(REEL_PARAMS(constant), NULL));
    expect_error(REEL_ERROR_VALUE, "no leaf that requires a gradient");
    cr_expect_null(reel_sgd_new(REEL_PARAMS(p, p), NULL));
    expect_error(REEL_ERROR_VALUE, "already");
    cr_expect_null(reel_sgd_new(REEL_PARAMS(p, NULL), NULL));
    expect_error(REEL_ERROR_CONTEXT, "parameter 1 is NULL");
    cr_expect_null(reel_sgd_new(REEL_PARAMS(p), &(reel_sgd_opts) { .lr = -1 }));
    expect_error(REEL_ERROR_VALUE, "sgd: the learning rate");
    cr_expect_null(reel_sgd_new(REEL_PARAMS(p), &(reel_sgd_opts) { .nesterov = true }));
    expect_error(REEL_ERROR_VALUE, "Nesterov");
    cr_expect_null(reel_adam_new(REEL_PARAMS(p), &(reel_adam_opts) { .beta1 = 1 }));
    expect_error(REEL_ERROR_VALUE, "adam: beta1");
    cr_expect_null(reel_adamw_new(REEL_PARAMS(p), &(reel_adam_opts) { .beta2 = NAN }));
    expect_error(REEL_ERROR_VALUE, "adamw: beta2");
    cr_expect_null(reel_lbfgs_new(REEL_PARAMS(p), &(reel_lbfgs_opts) { .max_iter = -1 }));
    expect_error(REEL_ERROR_VALUE, "lbfgs: max_iter");
    reel_optim *lbfgs = reel_lbfgs_new(REEL_PARAMS(p), NULL);
    cr_assert(lbfgs);
    cr_expect_not(reel_optim_step(lbfgs));
    expect_error(REEL_ERROR_UNSUPPORTED, "reel_optim_step_closure");
    cr_expect_not(reel_optim_step_closure(lbfgs, give_nothing, NULL, NULL));
    expect_error(REEL_ERROR_USER, "lbfgs: the closure gave no loss");
    reel_optim *plain = reel_sgd_new(REEL_PARAMS(p), NULL);
    cr_expect_not(reel_optim_step_closure(plain, give_nothing, NULL, NULL));
    expect_error(REEL_ERROR_USER, "sgd: the closure gave no loss");
    reel_optim_free(plain);
    reel_optim_free(lbfgs);
    reel_optim *sgd = reel_sgd_new(REEL_PARAMS(p), NULL);
    reel_optim_hyper(sgd, 0)->momentum = 0.9;
    give_gradients(&p, 1, 0);
    cr_expect_not(reel_optim_step(sgd));
    expect_error(REEL_ERROR_VALUE, "changed after the optimiser was made");
    reel_optim_free(sgd);
}

typedef reel_optim *maker(reel_params params);

static reel_optim *make_sgd(reel_params p)
{
    return reel_sgd_new(p, &(reel_sgd_opts) { .momentum = 0.9, .dampening = 0.1 });
}
static reel_optim *make_adam(reel_params p) { return reel_adam_new(p, &(reel_adam_opts) { .amsgrad = true }); }
static reel_optim *make_nadam(reel_params p) { return reel_nadam_new(p, NULL); }
static reel_optim *make_rmsprop(reel_params p)
{
    return reel_rmsprop_new(p, &(reel_rmsprop_opts) { .centered = true, .momentum = 0.5 });
}
static reel_optim *make_adagrad(reel_params p) { return reel_adagrad_new(p, &(reel_adagrad_opts) { .lr_decay = 0.1 }); }
static reel_optim *make_adadelta(reel_params p) { return reel_adadelta_new(p, NULL); }
static reel_optim *make_lion(reel_params p) { return reel_lion_new(p, NULL); }

/* p after two steps, between which the play of another one ends with an error where `broken`. */
static double after_an_error(maker *make, bool broken)
{
    reel_tensor *p = leaf(1);
    reel_optim *optim = make(REEL_PARAMS(p));
    for (int k = 0; k < 3; k++) {
        if (k == 1 && !broken) continue;
        REEL_SCOPE(ctx)
        {
            reel_tensor *at = reel_longs(ctx, REEL_SHAPE(1), (int64_t[]) { k == 1 ? 7 : 0 });
            reel_tensor *loss = reel_sum(reel_square(reel_index_select(p, at, 0)), REEL_ALL_DIMS, false);
            cr_assert(reel_backward(loss) && reel_optim_step(optim));
            cr_assert_eq(reel_eval(loss), k != 1);
        }
        if (k == 1) expect_error(REEL_ERROR_VALUE, "index 7");
        cr_expect_eq(reel_optim_steps(optim), k < 2 ? 1 : 2);
    }
    reel_optim_free(optim);
    return reel_item(p);
}

Test(optim, a_step_that_an_error_dropped_is_not_counted, .init = set_up, .fini = tear_down)
{
    cr_expect_eq(after_an_error(make_adam, true), after_an_error(make_adam, false));
    cr_expect_eq(after_an_error(make_nadam, true), after_an_error(make_nadam, false));
}

/* Steps that wait to be played, in a scope that ends with an error. The first leaves out the second parameter. */
static void drop_steps(reel_optim *optim, reel_tensor *const *p, int count)
{
    REEL_SCOPE(ctx)
    {
        for (int k = 0; k < count; k++) {
            give_gradients(p, k == 0 ? 1 : 2, 5);
            cr_assert(reel_optim_step(optim), "%s", reel_ctx_error_message(ctx));
        }
        reel_fail(ctx, REEL_ERROR_USER, "a batch that is no good");
    }
    expect_error(REEL_ERROR_USER, "no good");
}

/* p + q after `good` steps, `waiting` that an error drops, and another good one. */
static double after_dropped_steps(maker *make, int good, int waiting)
{
    reel_tensor *p = leaf(1), *q = leaf(1), *list[] = { p, q };
    reel_optim *optim = make(REEL_PARAMS(p, q));
    for (int k = 0; k < good + 1; k++) {
        if (k == good && waiting > 0) {
            drop_steps(optim, list, waiting);
            cr_expect_eq(reel_optim_steps(optim), good, "%d steps were dropped", waiting);
            cr_assert(reel_optim_save(optim, in_folder("dropped")));
            reel_store *store = reel_store_open(ctx, in_folder("dropped"));
            int64_t steps = -1, first = -1, second = -1;
            cr_assert(reel_store_int(store, "", "steps", &steps) && reel_store_int(store, "", "state.0.step", &first) &&
                      reel_store_int(store, "", "state.1.step", &second));
            cr_expect(steps == good && first == good && second == good, "%d: %d, %d, %d", waiting, (int)steps, (int)first,
                      (int)second);
            reel_store_close(store);
        }
        give_gradients(list, 2, k);
        cr_assert(reel_optim_step(optim) && reel_eval_all(list, 2));
    }
    cr_expect_eq(reel_optim_steps(optim), good + 1);
    reel_optim_free(optim);
    return reel_item(p) + reel_item(q);
}

/* Rosenbrock's function, which is in error at the evaluation whose turn comes: by an op that is refused, or by one that fails
 * when it is played. */
typedef struct valley {
    reel_tensor *x, *y;
    int calls, error_at;
    bool played;
    double at[2][64]; /* where it was asked */
} valley;

static reel_tensor *evaluate_valley(void *user)
{
    valley *v = user;
    cr_assert_lt(v->calls, 64);
    v->at[0][v->calls] = reel_item(v->x);
    v->at[1][v->calls] = reel_item(v->y);
    if (++v->calls == v->error_at && !v->played) return reel_add(v->x, reel_zeros(ctx, REEL_SHAPE(7), REEL_F64));
    reel_tensor *bend = reel_sub(reel_cast(v->y, REEL_F64), reel_square(v->x));
    reel_tensor *loss = reel_add(reel_square(reel_sub_scalar(v->x, 1)), reel_mul_scalar(reel_square(bend), 10));
    if (v->calls == v->error_at) loss = reel_index_select(loss, reel_longs(ctx, REEL_SHAPE(1), (int64_t[]) { 3 }), 0);
    loss = reel_sum(loss, REEL_ALL_DIMS, false);
    return reel_backward(loss) ? loss : NULL;
}

/* Two steps; an error at evaluation `error_at` of the second one is cleared, and the step taken again. */
static void descend(bool wolfe, int error_at, bool played, double end[2])
{
    valley v = { .x = leaf(1), .y = reel_set_requires_grad(reel_full(ctx, REEL_SHAPE(1), REEL_F32, -1.3), true) };
    reel_lbfgs_opts opts = { .lr = wolfe ? 1 : 0.01, .max_iter = 6, .strong_wolfe = wolfe };
    reel_optim *optim = reel_lbfgs_new(REEL_PARAMS(v.x, v.y), &opts);
    cr_assert(reel_optim_step_closure(optim, evaluate_valley, &v, NULL), "%s", reel_ctx_error_message(ctx));
    double x = reel_item(v.x), y = reel_item(v.y), loss;
    if (error_at) {
        v = (valley) { v.x, v.y, .error_at = error_at, .played = played };
        cr_assert_not(reel_optim_step_closure(optim, evaluate_valley, &v, &loss));
        cr_expect_eq(v.calls, error_at);
        expect_error(played ? REEL_ERROR_VALUE : REEL_ERROR_SHAPE, played ? "index 3" : "[7]");
        cr_expect_eq(reel_optim_steps(optim), 1);
        int began = 0; /* the evaluation where it stands now; the one that failed was elsewhere, but for the first */
        while (began < error_at && (reel_item(v.x) != v.at[0][began] || reel_item(v.y) != v.at[1][began])) began++;
        cr_expect(v.at[0][0] == x && v.at[1][0] == y);
        cr_expect(error_at <= 2 ? began == 0 : wolfe ? began < error_at - 1 : began == error_at - 2,
                  "evaluation %d failed, at %d", error_at, began + 1);
        reel_tensor *bend = reel_square(reel_sub(v.y, reel_cast(reel_square(v.x), REEL_F32)));
        cr_expect(reel_eval(bend), "what is recorded afterwards reads the value: %s", reel_ctx_error_message(ctx));
    }
    cr_assert(reel_optim_step_closure(optim, evaluate_valley, &v, NULL), "%s", reel_ctx_error_message(ctx));
    end[0] = reel_item(v.x);
    end[1] = reel_item(v.y);
    cr_expect_eq(reel_optim_steps(optim), 2);
    reel_optim_free(optim);
}

Test(optim, lbfgs_stands_where_its_search_began_when_the_closure_fails, .init = set_up, .fini = tear_down)
{
    for (int wolfe = 0; wolfe < 2; wolfe++) {
        double whole[2], again[2];
        descend(wolfe, 0, false, whole);
        for (int error_at = 1; error_at <= 6; error_at++)
            for (int played = 0; played < 2; played++) {
                descend(wolfe, error_at, played, again);
                if (error_at <= 2) /* in the first search: the step begins anew */
                    cr_expect(whole[0] == again[0] && whole[1] == again[1], "wolfe %d, evaluation %d", wolfe, error_at);
            }
    }
}

Test(optim, several_steps_that_an_error_dropped_are_not_counted, .init = set_up, .fini = tear_down)
{
    static maker *const makers[] = { make_adam, make_nadam };
    for (int m = 0; m < 2; m++)
        for (int good = 0; good < 12; good += 3) {
            double expected = after_dropped_steps(makers[m], good, 0);
            for (int waiting = 1; waiting <= 8; waiting++)
                cr_expect_eq(after_dropped_steps(makers[m], good, waiting), expected, "%d good, %d waited", good, waiting);
        }
    reel_tensor *list[] = { leaf(1), leaf(1) };
    reel_optim *optim = make_adam((reel_params) { list, 2 });
    drop_steps(optim, list, 11);
    cr_expect_eq(reel_optim_steps(optim), 8, "the ninth of one parameter has the first eight played");
    reel_optim_free(optim);
}

Test(optim, a_saved_state_goes_on_with_the_same_bits, .init = set_up, .fini = tear_down)
{
    maker *const makers[] = { make_sgd, make_adam, make_nadam, make_rmsprop, make_adagrad, make_adadelta, make_lion };
    char path[] = "/tmp/reel-optim-XXXXXX";
    close(mkstemp(path));
    for (size_t k = 0; k < sizeof makers / sizeof *makers; k++) {
        reel_tensor *p[2] = { leaf(5), leaf(3) }, *q[2] = { leaf(5), leaf(3) };
        reel_optim *first = makers[k]((reel_params) { p, 2 }), *second = makers[k]((reel_params) { q, 2 });
        for (int step = 0; step < 8; step++) {
            if (step == 4) {
                reel_optim_set_lr(first, 0.123);
                cr_assert(reel_optim_save(first, path), "%s", reel_ctx_error_message(ctx));
                cr_assert(reel_optim_load(second, path), "%s", reel_ctx_error_message(ctx));
                for (int i = 0; i < 2; i++) reel_assign(q[i], p[i]);
            }
            give_gradients(p, 2, step);
            cr_assert(reel_optim_step(first));
            if (step < 4) continue;
            give_gradients(q, 2, step);
            cr_assert(reel_optim_step(second));
        }
        cr_expect_eq(memcmp(reel_data(p[0]), reel_data(q[0]), 5 * sizeof(double)), 0, "%s", reel_optim_name(first));
        cr_expect_eq(memcmp(reel_data(p[1]), reel_data(q[1]), 3 * sizeof(double)), 0, "%s", reel_optim_name(first));
        cr_expect_eq(reel_optim_steps(second), 8);
        reel_optim_free(first);
        reel_optim_free(second);
    }
    unlink(path);
}

Test(optim, a_saved_lbfgs_goes_on_with_the_same_bits, .init = set_up, .fini = tear_down)
{
    char path[] = "/tmp/reel-optim-XXXXXX";
    close(mkstemp(path));
    double A[25] = { 0 }, b[5] = { 1, 2, 3, 4, 5 };
    for (int i = 0; i < 5; i++) A[6 * i] = 1 + i;
    const reel_lbfgs_opts opts = { .max_iter = 2, .history_size = 3, .strong_wolfe = true };
    quadratic one = { A, b, leaf(5), leaf(2) }, two = { A, b, leaf(5), leaf(2) };
    reel_optim *first = reel_lbfgs_new(REEL_PARAMS(one.p, one.r), &opts);
    reel_optim *second = reel_lbfgs_new(REEL_PARAMS(two.p, two.r), &opts);
    for (int step = 0; step < 6; step++) {
        if (step == 3) {
            cr_assert(reel_optim_save(first, path), "%s", reel_ctx_error_message(ctx));
            cr_assert(reel_optim_load(second, path), "%s", reel_ctx_error_message(ctx));
            reel_assign(two.p, one.p);
            reel_assign(two.r, one.r);
        }
        cr_assert(reel_optim_step_closure(first, evaluate, &one, NULL), "%s", reel_ctx_error_message(ctx));
        if (step >= 3) cr_assert(reel_optim_step_closure(second, evaluate, &two, NULL));
    }
    cr_expect_eq(memcmp(reel_data(one.p), reel_data(two.p), 5 * sizeof(double)), 0);
    cr_expect_eq(memcmp(reel_data(one.r), reel_data(two.r), 2 * sizeof(double)), 0);
    reel_optim_free(first);
    reel_optim_free(second);
    unlink(path);
}

Test(optim, a_state_of_another_optimiser_changes_nothing, .init = set_up, .fini = tear_down)
{
    char path[] = "/tmp/reel-optim-XXXXXX";
    close(mkstemp(path));
    reel_tensor *p = leaf(3), *q = leaf(4), *r = leaf(3);
    reel_optim *adam = make_adam(REEL_PARAMS(p)), *sgd = make_sgd(REEL_PARAMS(p)), *other = make_adam(REEL_PARAMS(q));
    reel_optim *two = make_adam(REEL_PARAMS(p, r));
    give_gradients(&p, 1, 0);
    reel_optim_set_lr(adam, 0.5);
    cr_assert(reel_optim_step(adam) && reel_optim_save(adam, path));
    cr_expect_not(reel_optim_load(sgd, path));
    expect_error(REEL_ERROR_IO, "holds the state of adam, not of sgd");
    cr_expect_not(reel_optim_load(other, path));
    expect_error(REEL_ERROR_IO, "\"state.0.exp_avg\" is float64 [3], and the parameter is float64 [4]");
    cr_expect_not(reel_optim_load(two, path));
    expect_error(REEL_ERROR_IO, "has no \"state.1.exp_avg\"");
    cr_expect_eq(reel_optim_lr(two), 1e-3);
    cr_expect_eq(reel_optim_steps(two), 0);
    reel_optim_free(adam);
    reel_optim_free(sgd);
    reel_optim_free(other);
    reel_optim_free(two);
    unlink(path);
}

Test(optim, updates_have_the_same_bits_at_any_number_of_threads)
{
    enum { N = 100003 };
    static float first[N], start[N], grad[N];
    for (int i = 0; i < N; i++) {
        start[i] = sinf((float)i);
        grad[i] = cosf((float)(3 * i));
    }
    for (int threads = 1; threads <= 4; threads++) {
        ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        reel_tensor *p = reel_set_requires_grad(reel_floats(ctx, REEL_SHAPE(N), start), true);
        reel_optim *optim = reel_adam_new(REEL_PARAMS(p), NULL);
        for (int step = 0; step < 3; step++) {
            reel_set_grad(p, reel_floats(ctx, REEL_SHAPE(N), grad));
            cr_assert(reel_optim_step(optim));
        }
        if (threads == 1) memcpy(first, reel_data(p), sizeof first);
        cr_expect_eq(memcmp(first, reel_data(p), sizeof first), 0, "%d threads", threads);
        reel_optim_free(optim);
        reel_ctx_free(ctx);
    }
}
