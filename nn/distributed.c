// SPDX-License-Identifier: MIT
// reel_fit over several processes.
#include <reel/nn/distributed.h>
#include <stdlib.h>

static bool average_gradients(reel_callback *self, reel_run *run)
{
    (void)run;
    return reel_distributed_average_grads(self->user, 0);
}

static bool stop_together(reel_callback *self, reel_run *run)
{
    double stops[2] = { run->stop, run->interrupted };
    if (!reel_distributed_mean(self->user, stops, 2)) return false;
    run->stop = stops[0] > 0;
    run->interrupted = stops[1] > 0;
    return true;
}

static bool average_row(reel_callback *self, reel_run *run)
{
    reel_history *history = run->history;
    return reel_distributed_mean(self->user, history->values + (history->epochs - 1) * history->columns,
                                 history->columns);
}

static void release(reel_callback *self) { free(self); }

reel_callback *reel_distributed_callback(reel_distributed *distributed)
{
    if (!distributed) return NULL;
    reel_callback *self = malloc(sizeof *self);
    if (!self) return reel_fail(reel_distributed_ctx(distributed), REEL_ERROR_MEMORY, "no memory for a callback");
    *self = (reel_callback) { .on_gradients = average_gradients,
                              .on_decide = stop_together,
                              .on_epoch_end = average_row,
                              .release = release,
                              .user = distributed };
    return self;
}
