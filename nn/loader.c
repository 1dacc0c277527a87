// SPDX-License-Identifier: MIT
// Batches of a data set, shuffled by seed and epoch, read ahead by a thread of their own.
#include <inttypes.h>
#include <pthread.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/nn/data_internal.h>
#include <reel/nn/loader.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Streams of random numbers of an epoch. */
enum { STREAM_ORDER, STREAM_SAMPLES, STREAM_BATCHES, STREAM_COUNT };

/* A batch in plain memory. */
typedef struct loader_slot {
    int64_t epoch, batch, count;
    int n_fields;
    reel_dtype dtype[REEL_MAX_FIELDS];
    reel_shape shape[REEL_MAX_FIELDS];
    char *block[REEL_MAX_FIELDS];
    size_t room[REEL_MAX_FIELDS];
    reel_error error; /* the batch could not be read: why */
    char message[1024];
} loader_slot;

struct reel_loader {
    reel_ctx *ctx, *own; /* the model's, and the one samples are read and mapped in */
    reel_dataset *data;
    reel_loader_opts opts;
    int64_t batches, samples; /* in an epoch */
    int64_t epoch, position;  /* of the batch that comes next */
    int64_t *order;           /* of the epoch `ordered`, when batches are shuffled */
    int64_t ordered;

    /* A ring of slots: [taken, filled) are ready. The thread makes batch after batch until told to go elsewhere. */
    int slots;
    loader_slot *ring;
    bool threaded, stop, restart;
    int64_t make_epoch, make_batch; /* what the thread makes next */
    int64_t filled, taken;
    pthread_t thread;
    pid_t process; /* the thread's: a child of fork has no thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* A stream of its own for every (seed, epoch, purpose). */
static reel_generator stream(const reel_loader *loader, int64_t epoch, int purpose)
{
    uint32_t word[4];
    reel_philox(loader->opts.seed, (uint64_t)epoch * STREAM_COUNT + (uint64_t)purpose, word);
    return (reel_generator) { .seed = (uint64_t)word[0] << 32 | word[1] };
}

static void order_epoch(reel_loader *loader, int64_t epoch)
{
    if (!loader->order || loader->ordered == epoch) return;
    reel_generator generator = stream(loader, epoch, STREAM_ORDER);
    reel_shuffle(loader->order, loader->data->count, &generator);
    loader->ordered = epoch;
}

/* Room for a batch of field k. */
static bool reserve(reel_loader *loader, loader_slot *slot, int k, size_t bytes)
{
    if (bytes <= slot->room[k]) return true;
    free(slot->block[k]);
    slot->block[k] = reel_host_alloc(loader->own, bytes, 1);
    slot->room[k] = slot->block[k] ? bytes : 0;
    return slot->block[k] != NULL;
}

static size_t batch_bytes(const loader_slot *slot, int k)
{
    return (size_t)reel_shape_numel(slot->shape[k]) * reel_dtype_size(slot->dtype[k]);
}

static bool read_samples(reel_loader *loader, loader_slot *slot)
{
    const reel_dataset *data = loader->data;
    slot->n_fields = data->n_fields;
    for (int k = 0; k < data->n_fields; k++) {
        const reel_shape *sample = &data->field[k].shape;
        slot->dtype[k] = data->field[k].dtype;
        slot->shape[k] = (reel_shape) { .ndim = sample->ndim + 1, .dim = { slot->count } };
        memcpy(slot->shape[k].dim + 1, sample->dim, (size_t)sample->ndim * sizeof *sample->dim);
        if (!reserve(loader, slot, k, batch_bytes(slot, k))) return false;
    }
    reel_generator generator = stream(loader, slot->epoch, STREAM_SAMPLES);
    for (int64_t i = 0; i < slot->count; i++) {
        int64_t place = slot->batch * loader->opts.batch + i;
        generator.offset = (uint64_t)place << 24;
        void *at[REEL_MAX_FIELDS];
        for (int k = 0; k < data->n_fields; k++) at[k] = slot->block[k] + (size_t)i * data->bytes[k];
        if (!reel_dataset_read(data, loader->own, loader->order ? loader->order[place] : place, &generator, at))
            return false;
    }
    return true;
}

/* Takes the mapped tensors back into the slot's memory. */
static bool take_back(reel_loader *loader, loader_slot *slot, const reel_batch *batch)
{
    if (batch->n_fields < 1 || batch->n_fields > REEL_MAX_FIELDS) {
        return reel_fail(loader->own, REEL_ERROR_USER, "loader: a map made %d fields", batch->n_fields);
    }
    for (int k = 0; k < batch->n_fields; k++) {
        reel_tensor *x = batch->field[k];
        if (!x) return reel_fail(loader->own, REEL_ERROR_USER, "loader: a map left field %d missing (NULL)", k);
        if (!reel_eval(x)) return false;
        if (reel_size(x, 0) != batch->count) {
            return reel_fail(loader->own, REEL_ERROR_USER,
                             "loader: a map made field %d of %" PRId64 " samples out of %" PRId64, k, reel_size(x, 0),
                             batch->count);
        }
    }
    for (int k = 0; k < batch->n_fields; k++) {
        reel_tensor *x = batch->field[k];
        slot->dtype[k] = reel_dtype_of(x);
        slot->shape[k] = reel_shape_of(x);
        size_t bytes = batch_bytes(slot, k);
        if (!reserve(loader, slot, k, bytes) || (bytes > 0 && !reel_copy_out(x, slot->block[k], bytes))) return false;
    }
    slot->n_fields = batch->n_fields;
    return true;
}

static bool map_batch(reel_loader *loader, loader_slot *slot)
{
    bool ok = true;
    REEL_SCOPE(loader->own)
    {
        reel_batch batch = {
            .count = slot->count, .index = slot->batch, .epoch = slot->epoch, .n_fields = slot->n_fields
        };
        for (int k = 0; ok && k < slot->n_fields; k++) {
            batch.field[k] = reel_from(loader->own, slot->shape[k], slot->dtype[k], slot->block[k]);
            ok = batch.field[k] != NULL;
        }
        reel_generator generator = stream(loader, slot->epoch, STREAM_BATCHES);
        generator.offset = (uint64_t)slot->batch << 40;
        ok = ok && loader->opts.map(loader->opts.map_user, loader->own, &batch, &generator);
        if (!ok && !reel_ctx_error(loader->own)) {
            reel_fail(loader->own, REEL_ERROR_USER, "loader: batch %" PRId64 " could not be mapped", slot->batch);
        }
        ok = ok && take_back(loader, slot, &batch);
    }
    return ok;
}

/* Makes one batch; what goes wrong is noted in the slot, for the reader's context. */
static void make(reel_loader *loader, loader_slot *slot, int64_t epoch, int64_t batch)
{
    order_epoch(loader, epoch);
    slot->epoch = epoch;
    slot->batch = batch;
    int64_t left = loader->samples - batch * loader->opts.batch;
    slot->count = left < loader->opts.batch ? left : loader->opts.batch;
    slot->error = REEL_OK;
    if (read_samples(loader, slot) && (!loader->opts.map || map_batch(loader, slot))) return;
    slot->error = reel_ctx_error(loader->own);
    if (slot->error == REEL_OK) slot->error = REEL_ERROR_USER;
    strncpy(slot->message, reel_ctx_error_message(loader->own), sizeof slot->message - 1);
    reel_ctx_clear_error(loader->own);
}

static void *run(void *argument)
{
    reel_loader *loader = argument;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop) {
        if (loader->filled - loader->taken >= loader->slots) {
            pthread_cond_wait(&loader->changed, &loader->lock);
            continue;
        }
        loader->restart = false;
        loader_slot *slot = &loader->ring[loader->filled % loader->slots];
        int64_t epoch = loader->make_epoch, batch = loader->make_batch;
        pthread_mutex_unlock(&loader->lock);
        make(loader, slot, epoch, batch);
        pthread_mutex_lock(&loader->lock);
        if (loader->restart) continue; /* the reader has gone elsewhere: this one is nobody's */
        loader->filled++;
        if (++loader->make_batch == loader->batches) {
            loader->make_batch = 0;
            loader->make_epoch++;
        }
        pthread_cond_broadcast(&loader->changed);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* Signals go to the program's own threads. */
static bool start_thread(reel_loader *loader)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&loader->thread, NULL, run, loader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    loader->threaded = status == 0;
    loader->process = getpid();
    if (status == 0) return true;
    return reel_fail(loader->ctx, REEL_ERROR_MEMORY, "loader: no thread could be started: %s", strerror(status));
}

/* Whether this is a child of the process whose thread reads: nothing that the thread had in hand can be used here. */
static bool orphaned(const reel_loader *loader) { return loader->threaded && loader->process != getpid(); }

static bool fail_orphaned(const reel_loader *loader)
{
    return reel_fail(loader->ctx, REEL_ERROR_CONTEXT,
                     "loader: its thread is left behind by fork; make it after fork, or with no_thread");
}

static bool check(reel_ctx *ctx, const reel_dataset *data, const reel_loader_opts *opts)
{
    char text[REEL_SHAPE_TEXT];
    if (opts->batch < 1 || opts->ahead < 0 || opts->ahead > 1024) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "loader: batches of %" PRId64 " samples, %d ahead", opts->batch,
                         opts->ahead);
    }
    if (data->count == 0) return reel_fail(ctx, REEL_ERROR_VALUE, "loader: the data set is empty");
    if (opts->batch > data->count && !opts->allow_small) {
        return reel_fail(ctx, REEL_ERROR_VALUE,
                         "loader: a batch of %" PRId64 " is larger than the data set of %" PRId64 " samples (allow_small takes it)",
                         opts->batch, data->count);
    }
    for (int k = 0; k < data->n_fields; k++) {
        reel_shape shape = data->field[k].shape;
        shape.dim[shape.ndim++] = opts->batch < data->count ? opts->batch : data->count;
        if (reel_shape_numel(shape) < 0) {
            return reel_fail(ctx, REEL_ERROR_SHAPE,
                             "loader: batches of %" PRId64 " times %s are larger than any memory", opts->batch,
                             reel_shape_format(data->field[k].shape, text));
        }
    }
    return true;
}

reel_loader *reel_loader_new(reel_ctx *ctx, reel_dataset *data, const reel_loader_opts *opts)
{
    if (reel_ctx_error(ctx)) return NULL;
    if (!data) return reel_fail(ctx, REEL_ERROR_CONTEXT, "loader: there is no data set (NULL)");
    reel_loader_opts settings = opts ? *opts : (reel_loader_opts) { 0 };
    if (settings.batch == 0) settings.batch = 32;
    if (settings.ahead == 0) settings.ahead = 2;
    if (!check(ctx, data, &settings)) return NULL;
    reel_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a loader");
    *loader = (reel_loader) { .ctx = ctx, .data = data, .opts = settings, .ordered = -1 };
    __atomic_add_fetch(&data->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    loader->slots = settings.no_thread ? 1 : settings.ahead;
    int64_t full = data->count / settings.batch, over = data->count % settings.batch;
    bool drop = settings.drop_last && full > 0;
    loader->batches = full + (over && !drop);
    loader->samples = drop ? full * settings.batch : data->count;
    loader->ring = calloc((size_t)loader->slots, sizeof *loader->ring);
    loader->own = reel_ctx_new(&(reel_ctx_opts) { .threads = 1, .isa = reel_isa_name(reel_ctx_isa(ctx)) });
    bool ok = loader->ring && loader->own;
    if (!ok) reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a loader");
    if (ok && settings.shuffle) {
        loader->order = reel_host_alloc(ctx, (size_t)data->count, sizeof *loader->order);
        ok = loader->order != NULL;
    }
    if (ok && (settings.no_thread || start_thread(loader))) return loader;
    reel_loader_free(loader);
    return NULL;
}

void reel_loader_free(reel_loader *loader)
{
    if (!loader || orphaned(loader)) return;
    if (loader->threaded) {
        pthread_mutex_lock(&loader->lock);
        loader->stop = true;
        pthread_cond_broadcast(&loader->changed);
        pthread_mutex_unlock(&loader->lock);
        pthread_join(loader->thread, NULL);
    }
    for (int i = 0; loader->ring && i < loader->slots; i++)
        for (int k = 0; k < REEL_MAX_FIELDS; k++) free(loader->ring[i].block[k]);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->changed);
    reel_ctx_free(loader->own);
    reel_dataset_free(loader->data);
    free(loader->ring);
    free(loader->order);
    free(loader);
}

bool reel_loader_start(reel_loader *loader, int64_t epoch, int64_t batch)
{
    if (!loader || reel_ctx_error(loader->ctx)) return false;
    if (orphaned(loader)) return fail_orphaned(loader);
    if (epoch < 0 || batch < 0 || batch > loader->batches) {
        return reel_fail(loader->ctx, REEL_ERROR_VALUE, "loader: there is no batch %" PRId64 " of epoch %" PRId64,
                         batch, epoch);
    }
    loader->epoch = epoch;
    loader->position = batch;
    if (!loader->threaded) return true;
    pthread_mutex_lock(&loader->lock);
    const loader_slot *ready = &loader->ring[loader->taken % loader->slots];
    bool waiting = loader->filled > loader->taken;
    int64_t have_epoch = waiting ? ready->epoch : loader->make_epoch,
            have = waiting ? ready->batch : loader->make_batch;
    if (batch == loader->batches) {
        epoch++;
        batch = 0;
    }
    if (have_epoch != epoch || have != batch) {
        loader->taken = loader->filled;
        loader->make_epoch = epoch;
        loader->make_batch = batch;
        loader->restart = true;
        pthread_cond_broadcast(&loader->changed);
    }
    pthread_mutex_unlock(&loader->lock);
    return true;
}

bool reel_loader_more(const reel_loader *loader)
{
    return loader && !reel_ctx_error(loader->ctx) && loader->position < loader->batches;
}

/* The slot's memory as tensors of the model's context. */
static bool hand_out(reel_loader *loader, const loader_slot *slot, reel_batch *batch)
{
    if (slot->error != REEL_OK) {
        return reel_fail(loader->ctx, slot->error, "%s",
                         *slot->message ? slot->message : "loader: a batch could not be read");
    }
    batch->index = slot->batch;
    batch->epoch = slot->epoch;
    batch->n_fields = slot->n_fields;
    for (int k = 0; k < slot->n_fields; k++) {
        batch->field[k] = reel_from(loader->ctx, slot->shape[k], slot->dtype[k], slot->block[k]);
        if (!batch->field[k]) return false;
    }
    batch->count = slot->count;
    return true;
}

reel_batch reel_loader_next(reel_loader *loader)
{
    reel_batch batch = { 0 };
    if (!reel_loader_more(loader) || (orphaned(loader) && !fail_orphaned(loader))) return batch;
    if (!loader->threaded) {
        make(loader, loader->ring, loader->epoch, loader->position);
        hand_out(loader, loader->ring, &batch);
    } else {
        pthread_mutex_lock(&loader->lock);
        while (loader->filled == loader->taken) pthread_cond_wait(&loader->changed, &loader->lock);
        const loader_slot *slot = &loader->ring[loader->taken % loader->slots];
        pthread_mutex_unlock(&loader->lock);
        hand_out(loader, slot, &batch);
        pthread_mutex_lock(&loader->lock);
        loader->taken++;
        pthread_cond_broadcast(&loader->changed);
        pthread_mutex_unlock(&loader->lock);
    }
    loader->position++;
    return batch;
}

int64_t reel_loader_batches(const reel_loader *loader) { return loader ? loader->batches : 0; }

int64_t reel_loader_samples(const reel_loader *loader) { return loader ? loader->samples : 0; }

int64_t reel_loader_epoch(const reel_loader *loader) { return loader ? loader->epoch : 0; }

int64_t reel_loader_position(const reel_loader *loader) { return loader ? loader->position : 0; }

uint64_t reel_loader_seed(const reel_loader *loader) { return loader ? loader->opts.seed : 0; }

int64_t reel_loader_batch_size(const reel_loader *loader) { return loader ? loader->opts.batch : 0; }

reel_dataset *reel_loader_dataset(const reel_loader *loader) { return loader ? loader->data : NULL; }

reel_ctx *reel_loader_ctx(const reel_loader *loader) { return loader ? loader->ctx : NULL; }
