// SPDX-License-Identifier: MIT
// Running averages of weights, to evaluate with.
#include <reel/core/autograd.h>
#include <reel/core/operands.h>
#include <reel/optim/ema.h>
#include <reel/optim/internal.h>
#include <stdio.h>
#include <stdlib.h>

struct reel_ema {
    reel_ctx *ctx;
    double decay;
    int count;
    reel_tensor **p, **average;
};

reel_ema *reel_ema_new(reel_params params, double decay)
{
    if (!params.at || !reel_operands("ema", params.at, params.count)) return NULL;
    reel_ctx *ctx = reel_ctx_of(params.at[0]);
    if (!(decay >= 0 && decay <= 1))
        return reel_fail(ctx, REEL_ERROR_VALUE, "ema: a decay of %g is not in [0, 1]", decay);
    reel_ema *ema = calloc(1, sizeof *ema);
    reel_tensor **both = calloc(2 * (size_t)params.count, sizeof *both);
    if (!ema || !both) {
        free(ema);
        free(both);
        return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for averages of %d parameters", params.count);
    }
    *ema = (reel_ema) { ctx, decay, params.count, both, both + params.count };
    for (int i = 0; i < params.count; i++) {
        ema->p[i] = params.at[i];
        ema->average[i] = reel_zeros_like(params.at[i]);
        if (!ema->average[i] || !reel_assign(ema->average[i], params.at[i])) {
            reel_ema_free(ema);
            return NULL;
        }
    }
    return ema;
}

void reel_ema_free(reel_ema *ema)
{
    if (!ema) return;
    for (int i = 0; i < ema->count; i++) reel_free(ema->average[i]);
    free(ema->p);
    free(ema);
}

bool reel_ema_update(reel_ema *ema)
{
    bool ok = ema != NULL;
    reel_update update = { .kind = REEL_UPDATE_AVERAGE };
    for (int i = 0; ok && i < ema->count; i++) {
        update.a = ema->decay;
        update.b = 1 - ema->decay;
        ok = reel_update_record(ema->average[i], (reel_tensor *[3]) { NULL, NULL, NULL }, ema->p[i], &update);
    }
    return ok;
}

reel_tensor *reel_ema_average(const reel_ema *ema, int i)
{
    return ema && i >= 0 && i < ema->count ? ema->average[i] : NULL;
}

bool reel_ema_swap(reel_ema *ema)
{
    bool ok = ema != NULL;
    reel_update update = { .kind = REEL_UPDATE_SWAP };
    for (int i = 0; ok && i < ema->count; i++) {
        ok = reel_update_record(ema->p[i], (reel_tensor *[3]) { ema->average[i], NULL, NULL }, NULL, &update);
    }
    return ok;
}

bool reel_ema_store(const reel_ema *ema, reel_store *store, const char *prefix)
{
    if (!ema) return reel_given(reel_store_ctx(store), "ema_store", "average", ema);
    if (!reel_given(ema->ctx, "ema_store", "store", store)) return false;
    char name[32];
    bool ok = reel_store_put_double(store, prefix, "decay", ema->decay);
    for (int i = 0; ok && i < ema->count; i++) {
        snprintf(name, sizeof name, "average.%d", i);
        ok = reel_store_put(store, prefix, name, ema->average[i]);
    }
    return ok;
}

bool reel_ema_restore(reel_ema *ema, const reel_store *store, const char *prefix)
{
    if (!ema) return reel_given(reel_store_ctx(store), "ema_restore", "average", ema);
    if (!reel_given(ema->ctx, "ema_restore", "store", store)) return false;
    char name[32];
    bool ok = reel_store_double(store, prefix, "decay", &ema->decay);
    for (int i = 0; ok && i < ema->count; i++) {
        snprintf(name, sizeof name, "average.%d", i);
        ok = reel_store_get_into(store, prefix, name, ema->average[i]);
    }
    return ok;
}
