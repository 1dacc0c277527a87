// SPDX-License-Identifier: MIT
// Batches of a data set, shuffled by seed and epoch, read ahead by a thread of their own.
#ifndef REEL_NN_LOADER_H
#define REEL_NN_LOADER_H

#include <reel/nn/data.h>

REEL_BEGIN

/* A batch: field k is [count, ...]. The tensors live in the scope reel_loader_next was called in. */
typedef struct reel_batch {
    int64_t count;
    int64_t index; /* of the batch in its epoch, and of that */
    int64_t epoch;
    int n_fields;
    reel_tensor *field[REEL_MAX_FIELDS];
} reel_batch;

/* Changes a whole batch (augmentation): replaces entries of batch->field by tensors of the same `ctx`, which is the
 * loader's own and not the model's. `generator` is the batch's own. */
typedef bool reel_batch_map(void *user, reel_ctx *ctx, reel_batch *batch, reel_generator *generator);

typedef struct reel_loader_opts {
    int64_t batch;       /* samples a batch; default 32                                              */
    bool shuffle;        /* another order every epoch, from (seed, epoch) alone                      */
    uint64_t seed;       /* of the order and of the maps                                             */
    bool drop_last;      /* leave out a last batch that is not full                                  */
    bool allow_small;    /* fewer samples than one batch are no error                                */
    int ahead;           /* batches kept ready; default 2                                            */
    bool no_thread;      /* read when asked, in the caller's thread; the batches are the same        */
    reel_batch_map *map; /* default none                                                             */
    void *map_user;
} reel_loader_opts;

typedef struct reel_loader reel_loader;

/* A loader at the start of epoch 0. An empty data set, or one smaller than a batch (unless allow_small), is an error.
 * `data` may be freed before it. A child of fork cannot use a loader whose thread stayed with its parent: an error. */
REEL_API reel_loader *reel_loader_new(reel_ctx *ctx, reel_dataset *data, const reel_loader_opts *opts);
REEL_API void reel_loader_free(reel_loader *loader);

/* Goes to batch `batch` of epoch `epoch`. */
REEL_API bool reel_loader_start(reel_loader *loader, int64_t epoch, int64_t batch);

/* Whether the epoch has another batch: while (reel_loader_more(l)) REEL_SCOPE(ctx) { reel_batch b =
 * reel_loader_next(l); ... } False once the loader's context is in error. */
REEL_API bool reel_loader_more(const reel_loader *loader);

/* The next batch as tensors of the context the loader was made with. After the epoch's last one, or on error, a batch
 * of count 0. */
REEL_API reel_batch reel_loader_next(reel_loader *loader);

REEL_API int64_t reel_loader_batches(const reel_loader *loader); /* in an epoch                  */
REEL_API int64_t reel_loader_samples(const reel_loader *loader); /* in an epoch                  */
REEL_API int64_t reel_loader_epoch(const reel_loader *loader);
REEL_API int64_t reel_loader_position(const reel_loader *loader); /* the batch that comes next    */
REEL_API uint64_t reel_loader_seed(const reel_loader *loader);
REEL_API int64_t reel_loader_batch_size(const reel_loader *loader);
REEL_API reel_dataset *reel_loader_dataset(const reel_loader *loader);
REEL_API reel_ctx *reel_loader_ctx(const reel_loader *loader);

REEL_END

#endif
