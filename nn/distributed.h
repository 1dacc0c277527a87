// SPDX-License-Identifier: MIT
// reel_fit over several processes (MPI). In the library reel_mpi; reel.h does not include this header.
#ifndef REEL_NN_DISTRIBUTED_H
#define REEL_NN_DISTRIBUTED_H

#include <reel/nn/train.h>
#include <reel/optim/distributed.h>

REEL_BEGIN

/* For the first place in the list of callbacks, on every process: averages gradients before each step and an epoch's
 * row of the history after it, so that callbacks that stop the training or change its rate decide alike everywhere; a
 * process that is told to stop (by a callback, a signal) stops all after the same step. Processes must take the same
 * number of steps (reel_dataset_shard sees to it). Files and progress are best left to rank 0's list. */
REEL_API reel_callback *reel_distributed_callback(reel_distributed *distributed);

REEL_END

#endif
