// SPDX-License-Identifier: MIT
// Optimisers: parameters in groups, steps, and states to and from files.
#include <inttypes.h>
#include <reel/optim/internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_NAME_BYTES 64

static bool grow(reel_ctx *ctx, void *array, int *room, int need, size_t size)
{
    if (need <= *room) return true;
    int larger = *room ? *room : 8;
    while (larger < need) larger = larger <= INT32_MAX / 2 ? 2 * larger : need;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, (size_t)larger * size);
    if (!grown) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for an optimiser of %d parameters", need);
    memcpy(array, &grown, sizeof grown);
    *room = larger;
    return true;
}

static bool has_parameter(const reel_optim *optim, const reel_tensor *p)
{
    for (int i = 0; i < optim->n_slots; i++)
        if (optim->slots[i].p == p) return true;
    return false;
}

/* Whether the parameter may join, and its states. */
static bool add_slot(reel_optim *optim, reel_tensor *p, int group)
{
    reel_ctx *ctx = optim->ctx;
    const char *name = optim->rule->name;
    if (!p) return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: parameter %d is NULL", name, optim->n_slots);
    if (reel_ctx_of(p) != ctx) {
        return reel_fail(ctx, REEL_ERROR_CONTEXT, "%s: parameter %d belongs to another context", name, optim->n_slots);
    }
    if (!reel_requires_grad(p) || !reel_is_leaf(p)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: parameter %d is no leaf that requires a gradient", name,
                         optim->n_slots);
    }
    if (has_parameter(optim, p)) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: parameter %d is in the optimiser already", name, optim->n_slots);
    }
    const char *names[3] = { NULL, NULL, NULL };
    double initial = 0;
    if (optim->rule->states) optim->rule->states(&optim->groups[group], names, &initial);
    reel_slot *slot = &optim->slots[optim->n_slots++];
    *slot = (reel_slot) { .p = p, .product = 1, .group = group };
    for (int k = 0; k < 3; k++)
        if (names[k] && !(slot->state[k] = reel_full_like(p, initial))) return false;
    return true;
}

/* Takes back everything from slot `first` on. */
static void drop_slots(reel_optim *optim, int first)
{
    for (int i = first; i < optim->n_slots; i++)
        for (int k = 0; k < 3; k++) reel_free(optim->slots[i].state[k]);
    optim->n_slots = first;
}

bool reel_optim_add_group(reel_optim *optim, reel_params params, const reel_hyper *hyper)
{
    if (!optim || reel_ctx_error(optim->ctx)) return false;
    reel_hyper same;
    if (!hyper) {
        same = optim->groups[0];
        hyper = &same;
    }
    const char *wrong = optim->rule->check ? optim->rule->check(hyper) : NULL;
    if (wrong) return reel_fail(optim->ctx, REEL_ERROR_VALUE, "%s: %s", optim->rule->name, wrong);
    if (!reel_given_list(optim->ctx, optim->rule->name, "parameters", params.at, params.count)) return false;
    if (params.count < 1)
        return reel_fail(optim->ctx, REEL_ERROR_VALUE, "%s: there are no parameters", optim->rule->name);
    if (optim->lbfgs && optim->n_groups > 0) {
        return reel_fail(optim->ctx, REEL_ERROR_UNSUPPORTED, "%s: has one group of parameters only", optim->rule->name);
    }
    if (!grow(optim->ctx, &optim->groups, &optim->groups_room, optim->n_groups + 1, sizeof(reel_hyper)) ||
        !grow(optim->ctx, &optim->slots, &optim->slots_room, optim->n_slots + params.count, sizeof(reel_slot))) {
        return false;
    }
    int group = optim->n_groups, first = optim->n_slots;
    optim->groups[group] = *hyper;
    optim->groups[group].initial_lr = hyper->lr;
    for (int i = 0; i < params.count; i++) {
        if (!add_slot(optim, params.at[i], group)) {
            drop_slots(optim, first);
            return false;
        }
    }
    optim->n_groups++;
    return true;
}

reel_optim *reel_optim_new(const reel_rule *rule, reel_params params, const reel_hyper *hyper)
{
    reel_ctx *ctx = NULL;
    for (int i = 0; params.at && i < params.count && !ctx; i++) ctx = reel_ctx_of(params.at[i]);
    if (!ctx) return NULL; /* no parameter, or all of a model in error: nobody to tell that is not told yet */
    if (reel_ctx_error(ctx)) return NULL;
    reel_optim *optim = calloc(1, sizeof *optim);
    if (!optim) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for an optimiser");
    optim->ctx = ctx;
    optim->rule = rule;
    if (reel_optim_add_group(optim, params, hyper)) return optim;
    reel_optim_free(optim);
    return NULL;
}

void reel_optim_free(reel_optim *optim)
{
    if (!optim) return;
    drop_slots(optim, 0);
    reel_lbfgs_free(optim->lbfgs);
    free(optim->slots);
    free(optim->groups);
    free(optim);
}

/* A hyperparameter changed since may need a state that was not made. */
static bool states_present(const reel_optim *optim, const reel_slot *slot)
{
    const char *names[3] = { NULL, NULL, NULL };
    double initial;
    optim->rule->states(&optim->groups[slot->group], names, &initial);
    for (int k = 0; k < 3; k++) {
        if (names[k] && !slot->state[k]) {
            return reel_fail(optim->ctx, REEL_ERROR_VALUE,
                             "%s: \"%s\" is needed by hyperparameters changed after the optimiser was made",
                             optim->rule->name, names[k]);
        }
    }
    return true;
}

/* What counts of a slot: the steps that were played or wait to be, and the product after them. The parameters have kept
 * their values where an error dropped a step before it was played. `*first` becomes the first such step of the optimiser
 * when it is an earlier one. */
static int64_t steps_of(const reel_slot *slot, double *product, int64_t *first)
{
    uint32_t overwrites = reel_overwrites_of(slot->p);
    int64_t steps = slot->steps;
    *product = slot->product;
    for (int k = 0; k < REEL_TAKEN && steps > 0; k++, steps--) {
        const reel_taken *taken = &slot->taken[steps % REEL_TAKEN];
        if (taken->overwrites <= overwrites) break;
        *product = taken->product_before;
        if (taken->step < *first) *first = taken->step;
    }
    return steps;
}

static int64_t steps_taken(const reel_optim *optim)
{
    int64_t first = optim->steps + 1;
    double product;
    for (int i = 0; i < optim->n_slots; i++) steps_of(&optim->slots[i], &product, &first);
    return first - 1;
}

/* Takes back the counts of steps that an error has dropped. */
static void forget_dropped_steps(reel_optim *optim)
{
    int64_t first = optim->steps + 1;
    for (int i = 0; i < optim->n_slots; i++) {
        reel_slot *slot = &optim->slots[i];
        double product;
        slot->steps = steps_of(slot, &product, &first);
        slot->product = product;
    }
    optim->steps = first - 1;
}

bool reel_optim_step(reel_optim *optim)
{
    if (!optim || reel_ctx_error(optim->ctx)) return false;
    if (optim->lbfgs) {
        return reel_fail(optim->ctx, REEL_ERROR_UNSUPPORTED,
                         "%s: evaluates the model itself: use reel_optim_step_closure", optim->rule->name);
    }
    for (int i = 0; i < optim->n_slots; i++)
        if (reel_grad_of(optim->slots[i].p) && !states_present(optim, &optim->slots[i])) return false;
    forget_dropped_steps(optim);
    optim->steps++;
    for (int i = 0; i < optim->n_slots; i++) {
        reel_slot *slot = &optim->slots[i];
        reel_tensor *g = reel_grad_of(slot->p);
        if (!g) continue;
        reel_update update = { .kind = (int32_t)optim->rule->kind };
        slot->steps++;
        slot->taken[slot->steps % REEL_TAKEN] = (reel_taken) { reel_overwrites_of(slot->p) + 1, optim->steps, slot->product };
        optim->rule->prepare(&optim->groups[slot->group], slot, &update);
        if (!reel_update_record(slot->p, slot->state, g, &update)) return false;
    }
    reel_optim_clear_grads(optim);
    return true;
}

void reel_optim_clear_grads(reel_optim *optim)
{
    for (int i = 0; optim && i < optim->n_slots; i++) reel_clear_grad(optim->slots[i].p);
}

reel_tensor *reel_closure_loss(const reel_optim *optim, reel_closure *closure, void *user)
{
    reel_tensor *loss = closure ? closure(user) : NULL;
    return loss ? loss : reel_fail(optim->ctx, REEL_ERROR_USER, "%s: the closure gave no loss", optim->rule->name);
}

bool reel_optim_step_closure(reel_optim *optim, reel_closure *closure, void *user, double *loss)
{
    if (!optim || reel_ctx_error(optim->ctx)) return false;
    if (optim->lbfgs) return reel_lbfgs_step(optim, closure, user, loss);
    reel_optim_clear_grads(optim);
    bool ok = false;
    REEL_SCOPE(optim->ctx)
    {
        reel_tensor *value = reel_closure_loss(optim, closure, user);
        ok = value && reel_optim_step(optim);
        if (ok && loss) *loss = reel_item(value);
        optim->evaluations = 1;
    }
    return ok && !reel_ctx_error(optim->ctx);
}

int reel_optim_evaluations(const reel_optim *optim) { return optim ? optim->evaluations : 0; }

int reel_optim_groups(const reel_optim *optim) { return optim ? optim->n_groups : 0; }

reel_hyper *reel_optim_hyper(reel_optim *optim, int group)
{
    return optim && group >= 0 && group < optim->n_groups ? &optim->groups[group] : NULL;
}

void reel_optim_set_lr(reel_optim *optim, double lr)
{
    for (int i = 0; optim && i < optim->n_groups; i++) optim->groups[i].lr = lr;
}

double reel_optim_lr(const reel_optim *optim) { return optim && optim->n_groups ? optim->groups[0].lr : 0; }

int64_t reel_optim_steps(const reel_optim *optim)
{
    return optim ? steps_taken(optim) : 0;
}

const char *reel_optim_name(const reel_optim *optim) { return optim ? optim->rule->name : NULL; }

reel_ctx *reel_optim_ctx(const reel_optim *optim) { return optim ? optim->ctx : NULL; }

/* States in files */

/* Every hyperparameter by its name, as it is stored. */
#define HYPERPARAMETERS(X)                                                                                             \
    X(lr)                                                                                                              \
    X(initial_lr) X(weight_decay) X(momentum) X(dampening) X(beta1) X(beta2) X(eps) X(rho) X(lr_decay)                 \
        X(momentum_decay) X(initial_accumulator)
#define SWITCHES(X) X(nesterov) X(amsgrad) X(centered) X(maximize)

static const char *state_name(char text[STATE_NAME_BYTES], int i, const char *part)
{
    snprintf(text, STATE_NAME_BYTES, "state.%d.%s", i, part);
    return text;
}

static const char *group_name(char text[STATE_NAME_BYTES], int i, const char *part)
{
    snprintf(text, STATE_NAME_BYTES, "param_groups.%d.%s", i, part);
    return text;
}

static void state_parts(const reel_optim *optim, const reel_slot *slot, const char *names[3])
{
    double initial;
    names[0] = names[1] = names[2] = NULL;
    if (optim->rule->states) optim->rule->states(&optim->groups[slot->group], names, &initial);
}

bool reel_optim_store(const reel_optim *optim, reel_store *store, const char *prefix)
{
    if (!optim) return reel_given(reel_store_ctx(store), "optim_store", "optimiser", optim);
    if (!reel_given(optim->ctx, "optim_store", "store", store)) return false;
    char text[STATE_NAME_BYTES];
    bool ok = reel_store_put_text(store, prefix, "name", "%s", optim->rule->name) &&
              reel_store_put_int(store, prefix, "steps", steps_taken(optim)) &&
              reel_store_put_int(store, prefix, "groups", optim->n_groups);
    for (int i = 0; ok && i < optim->n_groups; i++) {
        const reel_hyper *h = &optim->groups[i];
#define PUT(field) ok = ok && reel_store_put_double(store, prefix, group_name(text, i, #field), h->field);
        HYPERPARAMETERS(PUT)
#undef PUT
#define PUT(field) ok = ok && reel_store_put_int(store, prefix, group_name(text, i, #field), h->field);
        SWITCHES(PUT)
#undef PUT
    }
    for (int i = 0; ok && i < optim->n_slots; i++) {
        const reel_slot *slot = &optim->slots[i];
        const char *names[3];
        double product;
        int64_t first = 0, steps = steps_of(slot, &product, &first);
        state_parts(optim, slot, names);
        ok = reel_store_put_int(store, prefix, state_name(text, i, "step"), steps) &&
             reel_store_put_double(store, prefix, state_name(text, i, "mu_product"), product);
        for (int k = 0; ok && k < 3; k++)
            if (names[k] && slot->state[k])
                ok = reel_store_put(store, prefix, state_name(text, i, names[k]), slot->state[k]);
    }
    if (ok && optim->lbfgs) ok = reel_lbfgs_store(optim, store, prefix);
    return ok;
}

static bool same_state(const reel_optim *optim, const reel_store *store, const char *prefix, int i, const char *part)
{
    char text[STATE_NAME_BYTES], have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    const char *path = reel_store_path(store);
    int found = reel_store_find(store, prefix, state_name(text, i, part));
    if (found < 0) {
        return reel_fail(optim->ctx, REEL_ERROR_IO, "%s: has no \"%s%s\", which the optimiser needs", path,
                         prefix ? prefix : "", text);
    }
    const reel_tensor *p = optim->slots[i].p;
    reel_shape shape = reel_store_shape(store, found), own = reel_shape_of(p);
    if (reel_shape_equal(shape, own) && reel_store_dtype(store, found) == reel_dtype_of(p)) return true;
    return reel_fail(optim->ctx, REEL_ERROR_IO, "%s: \"%s\" is %s %s, and the parameter is %s %s", path, text,
                     reel_dtype_name(reel_store_dtype(store, found)), reel_shape_format(shape, have),
                     reel_dtype_name(reel_dtype_of(p)), reel_shape_format(own, want));
}

static bool same_optimiser(const reel_optim *optim, const reel_store *store, const char *prefix)
{
    const char *path = reel_store_path(store), *name = reel_store_text(store, prefix, "name");
    int64_t groups;
    if (!name || !reel_store_int(store, prefix, "groups", &groups)) return false;
    if (strcmp(name, optim->rule->name) != 0) {
        return reel_fail(optim->ctx, REEL_ERROR_IO, "%s: holds the state of %s, not of %s", path, name,
                         optim->rule->name);
    }
    if (groups != optim->n_groups) {
        return reel_fail(optim->ctx, REEL_ERROR_IO,
                         "%s: holds %" PRId64 " groups of parameters, and the optimiser has %d", path, groups,
                         optim->n_groups);
    }
    for (int i = 0; i < optim->n_slots; i++) {
        const char *names[3];
        state_parts(optim, &optim->slots[i], names);
        for (int k = 0; k < 3; k++)
            if (names[k] && optim->slots[i].state[k] && !same_state(optim, store, prefix, i, names[k])) return false;
    }
    return true;
}

static bool restore_group(reel_hyper *h, const reel_store *store, const char *prefix, int i)
{
    char text[STATE_NAME_BYTES];
    bool ok = true;
    int64_t flag = 0;
#define GET(field) ok = ok && reel_store_double(store, prefix, group_name(text, i, #field), &h->field);
    HYPERPARAMETERS(GET)
#undef GET
#define GET(field)                                                                                                     \
    ok = ok && reel_store_int(store, prefix, group_name(text, i, #field), &flag);                                      \
    h->field = flag != 0;
    SWITCHES(GET)
#undef GET
    return ok;
}

bool reel_optim_restore(reel_optim *optim, const reel_store *store, const char *prefix)
{
    if (!optim) return reel_given(reel_store_ctx(store), "optim_restore", "optimiser", optim);
    if (reel_ctx_error(optim->ctx) || !reel_given(optim->ctx, "optim_restore", "store", store)) return false;
    if (!same_optimiser(optim, store, prefix)) return false;
    char text[STATE_NAME_BYTES];
    int64_t steps = 0;
    reel_hyper *groups = calloc((size_t)optim->n_groups, sizeof *groups);
    reel_slot *slots = calloc((size_t)optim->n_slots, sizeof *slots);
    bool ok = groups && slots;
    if (!ok) reel_fail(optim->ctx, REEL_ERROR_MEMORY, "no memory to load an optimiser");
    ok = ok && reel_store_int(store, prefix, "steps", &steps);
    for (int i = 0; ok && i < optim->n_groups; i++) ok = restore_group(&groups[i], store, prefix, i);
    for (int i = 0; ok && i < optim->n_slots; i++) {
        slots[i] = optim->slots[i];
        memset(slots[i].taken, 0, sizeof slots[i].taken);
        ok = reel_store_int(store, prefix, state_name(text, i, "step"), &slots[i].steps) &&
             reel_store_double(store, prefix, state_name(text, i, "mu_product"), &slots[i].product);
    }
    for (int i = 0; ok && i < optim->n_slots; i++) {
        const char *names[3];
        state_parts(optim, &slots[i], names);
        for (int k = 0; ok && k < 3; k++) {
            if (!names[k] || !slots[i].state[k]) continue;
            ok = reel_store_get_into(store, prefix, state_name(text, i, names[k]), slots[i].state[k]);
        }
    }
    if (ok && optim->lbfgs) ok = reel_lbfgs_restore(optim, store, prefix);
    if (ok) {
        memcpy(optim->groups, groups, (size_t)optim->n_groups * sizeof *groups);
        memcpy(optim->slots, slots, (size_t)optim->n_slots * sizeof *slots);
        optim->steps = steps;
    }
    free(groups);
    free(slots);
    return ok;
}

bool reel_optim_save(const reel_optim *optim, const char *path)
{
    if (!optim) return false;
    reel_store *store = reel_store_new(optim->ctx);
    bool ok = store && reel_optim_store(optim, store, "") && reel_store_save(store, path);
    reel_store_close(store);
    return ok;
}

bool reel_optim_load(reel_optim *optim, const char *path)
{
    if (!optim) return false;
    reel_store *store = reel_store_open(optim->ctx, path);
    bool ok = store && reel_optim_restore(optim, store, "");
    reel_store_close(store);
    return ok;
}
