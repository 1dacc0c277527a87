// SPDX-License-Identifier: MIT
// L-BFGS (Nocedal & Wright 2006, algorithm 7.5) as torch.optim.LBFGS steps it, on the parameters as one vector of
// doubles.
#include <inttypes.h>
#include <math.h>
#include <reel/core/file.h>
#include <reel/optim/internal.h>
#include <reel/optim/wolfe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reel_lbfgs {
    double tolerance_grad, tolerance_change;
    int max_iter, max_eval, history_size;
    bool strong_wolfe;
    int64_t n;          /* elements of all parameters                  */
    int64_t iterations; /* in all steps                                */
    int pairs;          /* remembered                                  */
    int oldest;         /* place of the oldest one in the ring         */
    double **y, **s;    /* gradient differences and steps, history_size places */
    double *rho, *alpha;
    double *d, *grad, *previous, *x, *scratch;
    double t, scale, previous_loss;
};

/* What an evaluation needs. */
typedef struct lbfgs_problem {
    reel_optim *optim;
    reel_closure *closure;
    void *user;
    int evaluations;
    bool failed;
} lbfgs_problem;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double largest(const double *a, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i]) <= most)) most = fabs(a[i]);
    return most;
}

static double sum_of_magnitudes(const double *a, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs(a[i]);
    return sum;
}

static double element(const void *data, bool wide, int64_t i)
{
    return wide ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

/* The parameters, or their gradients (zeros where there is none), as one vector. */
static bool gather(const reel_optim *optim, bool gradients, double *to)
{
    for (int k = 0; k < optim->n_slots; k++) {
        reel_tensor *p = optim->slots[k].p, *x = gradients ? reel_grad_of(p) : p;
        int64_t n = reel_numel(p);
        const void *data = x && n ? reel_data(x) : NULL;
        if (x && n && !data) return false;
        for (int64_t i = 0; i < n; i++) to[i] = data ? element(data, reel_dtype_of(p) == REEL_F64, i) : 0;
        to += n;
    }
    return true;
}

/* x + t d as a parameter's n elements. */
static void fill(void *data, bool wide, int64_t n, const double *x, double t, const double *d)
{
    for (int64_t i = 0; i < n; i++) {
        if (wide)
            ((double *)data)[i] = x[i] + t * d[i];
        else
            ((float *)data)[i] = (float)(x[i] + t * d[i]);
    }
}

/* p = x + t d for all parameters. */
static bool scatter(reel_optim *optim, const double *x, double t, const double *d)
{
    for (int k = 0; k < optim->n_slots; k++) {
        reel_tensor *p = optim->slots[k].p;
        bool wide = reel_dtype_of(p) == REEL_F64;
        int64_t n = reel_numel(p);
        size_t bytes = (size_t)n * (wide ? sizeof(double) : sizeof(float));
        char *data = reel_host_alloc(optim->ctx, bytes, 1);
        if (!data) return false;
        fill(data, wide, n, x, t, d);
        bool ok = reel_set_data(p, data, bytes);
        free(data);
        if (!ok) return false;
        x += n;
        d += n;
    }
    return true;
}

/* p = x again, in a context in error. What cannot be written has not been moved. */
static void put_back(const reel_optim *optim, const double *x)
{
    for (int k = 0; k < optim->n_slots; k++) {
        reel_tensor *p = optim->slots[k].p;
        void *data = reel_overwrite_now(p);
        if (data) fill(data, reel_dtype_of(p) == REEL_F64, reel_numel(p), x, 0, x);
        x += reel_numel(p);
    }
}

/* Loss and gradient at the present parameters. */
static double evaluate(lbfgs_problem *problem, double *grad)
{
    reel_optim *optim = problem->optim;
    double loss = NAN;
    bool ok = false;
    reel_optim_clear_grads(optim);
    REEL_SCOPE(optim->ctx)
    {
        reel_tensor *value = reel_closure_loss(optim, problem->closure, problem->user);
        problem->evaluations++;
        if (value) loss = reel_item(value);
        ok = value && gather(optim, true, grad);
    }
    reel_optim_clear_grads(optim);
    problem->failed = problem->failed || !ok || reel_ctx_error(optim->ctx) != REEL_OK;
    return loss;
}

/* The loss along d from x, for the line search. */
static bool evaluate_at(void *user, reel_trial *point)
{
    lbfgs_problem *problem = user;
    reel_lbfgs *lbfgs = problem->optim->lbfgs;
    if (!scatter(problem->optim, lbfgs->x, point->t, lbfgs->d)) problem->failed = true;
    if (!problem->failed) point->loss = evaluate(problem, point->grad);
    if (!problem->failed) point->slope = dot(point->grad, lbfgs->d, lbfgs->n);
    return !problem->failed;
}

/* The place of the k-th oldest pair in the ring. */
static int place(const reel_lbfgs *lbfgs, int k) { return (lbfgs->oldest + k) % lbfgs->history_size; }

static bool remember(reel_ctx *ctx, reel_lbfgs *lbfgs)
{
    int64_t n = lbfgs->n;
    int at = place(lbfgs, lbfgs->pairs == lbfgs->history_size ? 0 : lbfgs->pairs);
    if (!lbfgs->y[at]) lbfgs->y[at] = reel_host_alloc(ctx, (size_t)n, sizeof(double));
    if (!lbfgs->s[at]) lbfgs->s[at] = reel_host_alloc(ctx, (size_t)n, sizeof(double));
    if (!lbfgs->y[at] || !lbfgs->s[at]) return false;
    double ys = 0, yy = 0;
    for (int64_t i = 0; i < n; i++) {
        lbfgs->scratch[i] = lbfgs->grad[i] - lbfgs->previous[i];
        ys += lbfgs->scratch[i] * (lbfgs->d[i] * lbfgs->t);
        yy += lbfgs->scratch[i] * lbfgs->scratch[i];
    }
    if (!(ys > 1e-10)) return true;
    memcpy(lbfgs->y[at], lbfgs->scratch, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < n; i++) lbfgs->s[at][i] = lbfgs->d[i] * lbfgs->t;
    lbfgs->rho[at] = 1 / ys;
    lbfgs->scale = ys / yy;
    if (lbfgs->pairs == lbfgs->history_size)
        lbfgs->oldest = (lbfgs->oldest + 1) % lbfgs->history_size;
    else
        lbfgs->pairs++;
    return true;
}

/* d = -H grad by the two loops. */
static void direction(reel_lbfgs *lbfgs)
{
    int64_t n = lbfgs->n;
    double *q = lbfgs->d;
    for (int64_t i = 0; i < n; i++) q[i] = -lbfgs->grad[i];
    for (int k = lbfgs->pairs; k-- > 0;) {
        int at = place(lbfgs, k);
        lbfgs->alpha[at] = dot(lbfgs->s[at], q, n) * lbfgs->rho[at];
        for (int64_t i = 0; i < n; i++) q[i] -= lbfgs->alpha[at] * lbfgs->y[at][i];
    }
    for (int64_t i = 0; i < n; i++) q[i] *= lbfgs->scale;
    for (int k = 0; k < lbfgs->pairs; k++) {
        int at = place(lbfgs, k);
        double beta = dot(lbfgs->y[at], q, n) * lbfgs->rho[at];
        for (int64_t i = 0; i < n; i++) q[i] += lbfgs->s[at][i] * (lbfgs->alpha[at] - beta);
    }
}

/* Moves the parameters from x by a step along d; grad and *loss follow. False when an evaluation failed. */
static bool move_along(lbfgs_problem *problem, reel_line *line, double slope, double *loss, bool last)
{
    reel_lbfgs *lbfgs = problem->optim->lbfgs;
    size_t bytes = (size_t)lbfgs->n * sizeof(double);
    if (lbfgs->strong_wolfe) {
        line->start =
            (reel_trial) { .loss = *loss, .slope = slope, .grad = memcpy(line->start.grad, lbfgs->grad, bytes) };
        line->reach = largest(lbfgs->d, lbfgs->n);
        if (!reel_line_search(line, lbfgs->t)) return false;
        lbfgs->t = line->best.t;
        *loss = line->best.loss;
        memcpy(lbfgs->grad, line->best.grad, bytes);
    }
    if (!scatter(problem->optim, lbfgs->x, lbfgs->t, lbfgs->d)) return false;
    if (!lbfgs->strong_wolfe && !last) *loss = evaluate(problem, lbfgs->grad);
    return !problem->failed;
}

/* The same from where they are, and back to there when it fails. */
static bool move(lbfgs_problem *problem, reel_line *line, double slope, double *loss, bool last)
{
    reel_lbfgs *lbfgs = problem->optim->lbfgs;
    if (!gather(problem->optim, false, lbfgs->x)) return false;
    if (move_along(problem, line, slope, loss, last)) return true;
    put_back(problem->optim, lbfgs->x);
    lbfgs->iterations--;
    return false;
}

bool reel_lbfgs_step(reel_optim *optim, reel_closure *closure, void *user, double *first_loss)
{
    reel_lbfgs *lbfgs = optim->lbfgs;
    lbfgs_problem problem = { .optim = optim, .closure = closure, .user = user };
    reel_line line;
    int64_t n = lbfgs->n;
    if (!reel_line_open(optim->ctx, &line, n)) return false;
    line.evaluate = evaluate_at;
    line.user = &problem;
    double loss = evaluate(&problem, lbfgs->grad);
    if (first_loss) *first_loss = loss;
    bool flat = largest(lbfgs->grad, n) <= lbfgs->tolerance_grad;
    for (int turn = 1; turn <= lbfgs->max_iter && !flat && !problem.failed; turn++) {
        if (lbfgs->iterations++ == 0)
            lbfgs->scale = 1;
        else if (!remember(optim->ctx, lbfgs))
            break;
        direction(lbfgs);
        memcpy(lbfgs->previous, lbfgs->grad, (size_t)n * sizeof(double));
        double before = loss, slope = dot(lbfgs->grad, lbfgs->d, n);
        lbfgs->t = optim->groups[0].lr;
        if (lbfgs->iterations == 1) lbfgs->t *= fmin(1, 1 / sum_of_magnitudes(lbfgs->grad, n));
        if (slope > -lbfgs->tolerance_change) break;
        if (!move(&problem, &line, slope, &loss, turn == lbfgs->max_iter)) problem.failed = true;
        flat = largest(lbfgs->grad, n) <= lbfgs->tolerance_grad;
        if (problem.evaluations >= lbfgs->max_eval) break;
        if (largest(lbfgs->d, n) * fabs(lbfgs->t) <= lbfgs->tolerance_change) break;
        if (fabs(loss - before) < lbfgs->tolerance_change) break;
    }
    reel_line_close(&line);
    optim->evaluations = problem.evaluations;
    if (problem.failed || reel_ctx_error(optim->ctx)) return false;
    optim->steps++;
    return true;
}

void reel_lbfgs_free(reel_lbfgs *lbfgs)
{
    if (!lbfgs) return;
    for (int i = 0; i < lbfgs->history_size; i++) {
        if (lbfgs->y) free(lbfgs->y[i]);
        if (lbfgs->s) free(lbfgs->s[i]);
    }
    double *const vectors[] = { lbfgs->rho,      lbfgs->alpha, lbfgs->d,      lbfgs->grad,
                                lbfgs->previous, lbfgs->x,     lbfgs->scratch };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]);
    free(lbfgs->y);
    free(lbfgs->s);
    free(lbfgs);
}

static const char *check_lbfgs(const reel_hyper *h)
{
    return h->lr >= 0 ? NULL : "the learning rate is not a number from 0 up";
}

static const reel_rule rule = { .name = "lbfgs", .check = check_lbfgs };

/* Another one with these settings and an empty memory. */
static reel_lbfgs *new_lbfgs(reel_ctx *ctx, const reel_lbfgs *settings)
{
    reel_lbfgs *lbfgs = malloc(sizeof *lbfgs);
    if (!lbfgs) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for L-BFGS");
    *lbfgs = (reel_lbfgs) { .tolerance_grad = settings->tolerance_grad,
                            .tolerance_change = settings->tolerance_change,
                            .max_iter = settings->max_iter,
                            .max_eval = settings->max_eval,
                            .history_size = settings->history_size,
                            .strong_wolfe = settings->strong_wolfe,
                            .n = settings->n,
                            .scale = 1 };
    size_t n = (size_t)lbfgs->n, m = (size_t)lbfgs->history_size;
    lbfgs->y = calloc(m, sizeof *lbfgs->y);
    lbfgs->s = calloc(m, sizeof *lbfgs->s);
    double **const vectors[] = { &lbfgs->d, &lbfgs->grad, &lbfgs->previous, &lbfgs->x, &lbfgs->scratch };
    bool ok = lbfgs->y && lbfgs->s;
    if (!ok) reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the history of L-BFGS");
    for (size_t i = 0; ok && i < sizeof vectors / sizeof *vectors; i++) {
        *vectors[i] = reel_host_alloc(ctx, n, sizeof(double));
        ok = *vectors[i] != NULL;
        if (ok) memset(*vectors[i], 0, n * sizeof(double));
    }
    if (ok && (lbfgs->rho = reel_host_alloc(ctx, m, sizeof(double))) &&
        (lbfgs->alpha = reel_host_alloc(ctx, m, sizeof(double)))) {
        return lbfgs;
    }
    reel_lbfgs_free(lbfgs);
    return NULL;
}

reel_optim *reel_lbfgs_new(reel_params params, const reel_lbfgs_opts *opts)
{
    static const reel_lbfgs_opts defaults;
    if (!opts) opts = &defaults;
    reel_optim *optim = reel_optim_new(&rule, params, &(reel_hyper) { .lr = reel_option(opts->lr, 1) });
    if (!optim) return NULL;
    int max_iter = opts->max_iter ? opts->max_iter : 20;
    reel_lbfgs settings = { .tolerance_grad = reel_option(opts->tolerance_grad, 1e-7),
                            .tolerance_change = reel_option(opts->tolerance_change, 1e-9),
                            .max_iter = max_iter,
                            .max_eval = opts->max_eval ? opts->max_eval : (int)((int64_t)max_iter * 5 / 4),
                            .history_size = opts->history_size ? opts->history_size : 100,
                            .strong_wolfe = opts->strong_wolfe };
    for (int i = 0; i < optim->n_slots; i++) settings.n += reel_numel(optim->slots[i].p);
    if (settings.max_iter < 1 || settings.max_eval < 1 || settings.history_size < 1) {
        reel_fail(optim->ctx, REEL_ERROR_VALUE, "lbfgs: max_iter, max_eval and history_size are counts above 0");
    } else {
        optim->lbfgs = new_lbfgs(optim->ctx, &settings);
    }
    if (optim->lbfgs) return optim;
    reel_optim_free(optim);
    return NULL;
}

/* States in files: vectors as float64 tensors of n elements. */

static const char *pair_name(char text[32], const char *part, int k)
{
    snprintf(text, 32, "%s.%d", part, k);
    return text;
}

bool reel_lbfgs_store(const reel_optim *optim, reel_store *store, const char *prefix)
{
    const reel_lbfgs *lbfgs = optim->lbfgs;
    char text[32];
    int64_t n = lbfgs->n;
    bool ok = reel_store_put_int(store, prefix, "n_iter", lbfgs->iterations) &&
              reel_store_put_int(store, prefix, "pairs", lbfgs->pairs) &&
              reel_store_put_double(store, prefix, "t", lbfgs->t) &&
              reel_store_put_double(store, prefix, "H_diag", lbfgs->scale) &&
              reel_store_put_doubles(store, prefix, "d", lbfgs->d, n) &&
              reel_store_put_doubles(store, prefix, "prev_flat_grad", lbfgs->previous, n);
    for (int k = 0; ok && k < lbfgs->pairs; k++) {
        int at = place(lbfgs, k);
        ok = reel_store_put_doubles(store, prefix, pair_name(text, "old_dirs", k), lbfgs->y[at], n) &&
             reel_store_put_doubles(store, prefix, pair_name(text, "old_stps", k), lbfgs->s[at], n) &&
             reel_store_put_double(store, prefix, pair_name(text, "ro", k), lbfgs->rho[at]);
    }
    return ok;
}

/* Fills an L-BFGS of the same sizes from the store. */
static bool restore(reel_ctx *ctx, reel_lbfgs *lbfgs, const reel_store *store, const char *prefix)
{
    char text[32];
    int64_t pairs, n = lbfgs->n;
    if (!reel_store_int(store, prefix, "n_iter", &lbfgs->iterations) ||
        !reel_store_int(store, prefix, "pairs", &pairs) || !reel_store_double(store, prefix, "t", &lbfgs->t) ||
        !reel_store_double(store, prefix, "H_diag", &lbfgs->scale) ||
        !reel_store_doubles(store, prefix, "d", lbfgs->d, n) ||
        !reel_store_doubles(store, prefix, "prev_flat_grad", lbfgs->previous, n)) {
        return false;
    }
    if (pairs < 0 || pairs > lbfgs->history_size) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: holds %" PRId64 " pairs, and the history has room for %d",
                         reel_store_path(store), pairs, lbfgs->history_size);
    }
    lbfgs->pairs = (int)pairs;
    for (int k = 0; k < lbfgs->pairs; k++) {
        lbfgs->y[k] = reel_host_alloc(ctx, (size_t)n, sizeof(double));
        lbfgs->s[k] = reel_host_alloc(ctx, (size_t)n, sizeof(double));
        if (!lbfgs->y[k] || !lbfgs->s[k] ||
            !reel_store_doubles(store, prefix, pair_name(text, "old_dirs", k), lbfgs->y[k], n) ||
            !reel_store_doubles(store, prefix, pair_name(text, "old_stps", k), lbfgs->s[k], n) ||
            !reel_store_double(store, prefix, pair_name(text, "ro", k), &lbfgs->rho[k])) {
            return false;
        }
    }
    return true;
}

bool reel_lbfgs_restore(reel_optim *optim, const reel_store *store, const char *prefix)
{
    const reel_lbfgs *old = optim->lbfgs;
    reel_lbfgs *lbfgs = new_lbfgs(optim->ctx, old);
    if (!lbfgs || !restore(optim->ctx, lbfgs, store, prefix)) {
        reel_lbfgs_free(lbfgs);
        return false;
    }
    reel_lbfgs_free(optim->lbfgs);
    optim->lbfgs = lbfgs;
    return true;
}
