// SPDX-License-Identifier: MIT
// Data parallel training over MPI: every process trains on its share of the data, with gradients averaged over all.
//
// In a library of its own, reel_mpi, which is built where MPI is (REEL_MPI); reel.h does not include this header.
// Functions called "collective" must be called by every process of the communicator, in the same order. Each first asks
// whether all are well: when one process is in error, the others get an error that names it, instead of waiting for ever.
#ifndef REEL_OPTIM_DISTRIBUTED_H
#define REEL_OPTIM_DISTRIBUTED_H

#include <mpi.h>
#include <reel/core/autograd.h>
#include <reel/core/named.h>

REEL_BEGIN

typedef struct reel_distributed reel_distributed;

typedef struct reel_distributed_opts {
    MPI_Comm comm; /* default MPI_COMM_WORLD; it is duplicated */
} reel_distributed_opts;

/* Joins the processes, and gives all of them the values that rank 0's parameters have. Initialises MPI when that has not been
 * done (reel_distributed_free then finalises it, and MPI does not begin twice). Copies the list, not the parameters, which must outlive it.
 * Collective. Errors: no parameters; models whose parameters differ in number, shape or dtype; what MPI reports. */
REEL_API reel_distributed *reel_distributed_new(reel_params params, const reel_distributed_opts *opts);

/* Collective, before the context goes: a process that ends by an error tells the others by this. NULL is allowed. */
REEL_API void reel_distributed_free(reel_distributed *distributed);

REEL_API reel_ctx *reel_distributed_ctx(const reel_distributed *distributed); /* of its parameters */
REEL_API int reel_distributed_rank(const reel_distributed *distributed); /* 0 ... size - 1 */
REEL_API int reel_distributed_size(const reel_distributed *distributed);

/* Between reel_backward and a step: plays the gradients and sets each to its mean over all processes, weighted by `weight`
 * (such as the samples of the process's batch; 0 means 1, the same for all). A parameter that has no gradient here counts as
 * zeros; one that has none anywhere is left alone. The same bits on all processes; run by run the same for one size.
 * Collective. Errors: a weight that is negative or no number. */
REEL_API bool reel_distributed_average_grads(reel_distributed *distributed, double weight);

/* Writes the mean over all processes of each of the `count` numbers in their place: losses, scores. Collective. */
REEL_API bool reel_distributed_mean(reel_distributed *distributed, double *values, int count);

/* Gives all processes the values that rank 0's tensors have: buffers, such as running statistics. Collective. */
REEL_API bool reel_distributed_broadcast(reel_distributed *distributed, reel_params tensors);

/* Whether the parameters have the same bits on all processes; an error names the first that has not. Collective. */
REEL_API bool reel_distributed_same(reel_distributed *distributed);

REEL_END

#endif
