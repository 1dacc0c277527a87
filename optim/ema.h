// SPDX-License-Identifier: MIT
// Running averages of weights, to evaluate with.
#ifndef REEL_OPTIM_EMA_H
#define REEL_OPTIM_EMA_H

#include <reel/core/named.h>
#include <reel/core/store.h>

REEL_BEGIN

/* average = decay average + (1 - decay) p after every step; it starts as a copy of the parameters. */
typedef struct reel_ema reel_ema;

REEL_API reel_ema *reel_ema_new(reel_params params, double decay);
REEL_API void reel_ema_free(reel_ema *ema);
REEL_API bool reel_ema_update(reel_ema *ema);
REEL_API reel_tensor *reel_ema_average(const reel_ema *ema, int i); /* of parameter i */

/* Exchanges parameters and averages, in place; a second call changes them back. */
REEL_API bool reel_ema_swap(reel_ema *ema);

REEL_API bool reel_ema_store(const reel_ema *ema, reel_store *store, const char *prefix);
REEL_API bool reel_ema_restore(reel_ema *ema, const reel_store *store, const char *prefix);

REEL_END

#endif
