// SPDX-License-Identifier: MIT
// The same program as main.c with the training loop written out: batches, steps, validation, checkpoints, stopping.
#include "data.h"
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PATIENCE = 2 };

typedef struct job {
    options opts;
    reel_ctx *ctx;
    mnist data;
    network net, best, loaded;
    reel_optim *optim;
    int64_t epoch, waited; // the next one; epochs since the best one
    double best_loss;
    double *loss[2]; // training, validation; by epoch
} job;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool prepare(job *j)
{
    if (!mnist_open(&j->data, j->ctx, &j->opts)) return false;
    j->net = network_make(j->ctx);
    if (!j->net.module) return false;
    j->optim = reel_adam_new(reel_module_parameters(j->net.module), &(reel_adam_opts) { .lr = 1e-3, .eps = 1e-7 });
    j->best_loss = INFINITY;
    for (int i = 0; i < 2; i++) j->loss[i] = calloc((size_t)j->opts.epochs, sizeof(double));
    if (!j->loss[0] || !j->loss[1]) return reel_fail(j->ctx, REEL_ERROR_MEMORY, "no memory for the curves");
    if (j->opts.restore_best) j->best = network_make(j->ctx);
    return !reel_ctx_error(j->ctx);
}

// One pass over the training digits; gives the mean loss.
static double train_epoch(job *j)
{
    double sum = 0;
    int64_t done = 0;
    reel_module_train(j->net.module, true);
    reel_loader_start(j->data.training, j->epoch, 0);
    while (reel_loader_more(j->data.training))
        REEL_SCOPE(j->ctx)
        {
            reel_batch batch = reel_loader_next(j->data.training);
            reel_tensor *scores = network_forward(&j->net, batch.field[0]);
            reel_tensor *loss = reel_cross_entropy(scores, batch.field[1], NULL);
            reel_backward(loss);
            reel_optim_step(j->optim);
            sum += reel_item(loss) * (double)batch.count;
            done += batch.count;
        }
    return sum / (double)done;
}

// Mean loss over a loader's digits, and the share of right answers; counts them in `confusion` when there is one.
static double evaluate(job *j, const network *net, reel_loader *digits, double *accuracy, reel_confusion *confusion)
{
    double sum = 0, right = 0;
    int64_t done = 0;
    reel_module_train(net->module, false);
    reel_loader_start(digits, 0, 0);
    while (reel_loader_more(digits))
        REEL_SCOPE(j->ctx)
        REEL_NO_GRAD(j->ctx)
        {
            reel_batch batch = reel_loader_next(digits);
            reel_tensor *scores = network_forward(net, batch.field[0]);
            reel_tensor *loss = reel_cross_entropy(scores, batch.field[1], NULL);
            reel_tensor *answer = reel_argmax(scores, &(reel_arg_opts) { .dim = REEL_DIMS(1) });
            reel_tensor *hits = reel_sum(reel_cast(reel_eq(answer, batch.field[1]), REEL_I64), REEL_ALL_DIMS, false);
            reel_eval_all((reel_tensor *[]) { scores, loss, hits }, 3);
            sum += reel_item(loss) * (double)batch.count;
            right += reel_item(hits);
            done += batch.count;
            if (confusion) reel_confusion_add(confusion, scores, batch.field[1]);
        }
    *accuracy = right / (double)done;
    return sum / (double)done;
}

// What a run needs to go on with the same bits, in one file.
static bool save_checkpoint(const job *j)
{
    char path[PATH], name[32];
    reel_store *store = reel_store_new(j->ctx);
    const reel_generator *generator = reel_ctx_generator(j->ctx);
    bool ok = store && reel_module_store(j->net.module, store, "") && reel_optim_store(j->optim, store, "optim.") &&
              reel_store_put_int(store, "run.", "epoch", j->epoch) &&
              reel_store_put_int(store, "run.", "waited", j->waited) &&
              reel_store_put_double(store, "run.", "best_loss", j->best_loss) &&
              reel_store_put_int(store, "run.", "generator_seed", (int64_t)generator->seed) &&
              reel_store_put_int(store, "run.", "generator_offset", (int64_t)generator->offset);
    if (ok && j->best.module) ok = reel_module_store(j->best.module, store, "best.");
    for (int64_t e = 0; ok && e < 2 * j->epoch; e++) {
        snprintf(name, sizeof name, "loss.%d.%lld", (int)(e % 2), (long long)(e / 2));
        ok = reel_store_put_double(store, "run.", name, j->loss[e % 2][e / 2]);
    }
    ok = ok && reel_store_save(store, options_path(&j->opts, "checkpoint.safetensors", path));
    reel_store_close(store);
    return ok;
}

static bool resume(job *j)
{
    char name[32];
    int64_t seed = 0, offset = 0;
    reel_store *store = reel_store_open(j->ctx, j->opts.resume);
    const reel_module_load_opts own = { .allow_unexpected = true }, best = { .prefix = "best." };
    bool ok = store && reel_module_restore(j->net.module, store, &own) &&
              reel_optim_restore(j->optim, store, "optim.") && reel_store_int(store, "run.", "epoch", &j->epoch) &&
              reel_store_int(store, "run.", "waited", &j->waited) &&
              reel_store_double(store, "run.", "best_loss", &j->best_loss) &&
              reel_store_int(store, "run.", "generator_seed", &seed) &&
              reel_store_int(store, "run.", "generator_offset", &offset);
    if (ok && j->best.module) ok = reel_module_restore(j->best.module, store, &best);
    if (ok && (j->epoch < 0 || j->epoch >= j->opts.epochs)) {
        reel_fail(j->ctx, REEL_ERROR_VALUE, "%s is a checkpoint after epoch %lld: ask for more with --epochs",
                  j->opts.resume, (long long)j->epoch);
        ok = false;
    }
    for (int64_t e = 0; ok && e < 2 * j->epoch; e++) {
        snprintf(name, sizeof name, "loss.%d.%lld", (int)(e % 2), (long long)(e / 2));
        ok = reel_store_double(store, "run.", name, &j->loss[e % 2][e / 2]);
    }
    if (ok) *reel_ctx_generator(j->ctx) = (reel_generator) { .seed = (uint64_t)seed, .offset = (uint64_t)offset };
    reel_store_close(store);
    return ok;
}

static bool train(job *j)
{
    while (j->epoch < j->opts.epochs && j->waited < PATIENCE) {
        double accuracy, started = seconds_now();
        double loss = train_epoch(j);
        if (reel_ctx_error(j->ctx)) return false;
        if (!isfinite(loss)) return reel_fail(j->ctx, REEL_ERROR_NUMERIC, "the loss is %g", loss);
        double valid = evaluate(j, &j->net, j->data.validation, &accuracy, NULL);
        if (reel_ctx_error(j->ctx)) return false;
        j->loss[0][j->epoch] = loss;
        j->loss[1][j->epoch] = valid;
        j->epoch++;
        j->waited = valid < j->best_loss ? 0 : j->waited + 1;
        if (j->waited == 0) {
            j->best_loss = valid;
            if (j->best.module && !reel_module_copy(j->best.module, j->net.module)) return false;
        }
        printf("epoch %lld/%lld  loss %.4f  val_loss %.4f  val_accuracy %.4f  %.1f s\n", (long long)j->epoch,
               (long long)j->opts.epochs, loss, valid, accuracy, seconds_now() - started);
        fflush(stdout);
        if (j->opts.out && !save_checkpoint(j)) return false;
    }
    if (j->waited >= PATIENCE)
        printf("stopped after %lld epochs: val_loss has not fallen for %d\n", (long long)j->epoch, PATIENCE);
    return !j->best.module || reel_module_copy(j->net.module, j->best.module);
}

// Saves the model, makes another one of the file, and draws the curves.
static bool save_and_load(job *j, const reel_confusion *confusion)
{
    char path[PATH];
    if (!reel_module_save(j->net.module, options_path(&j->opts, "model.safetensors", path), NULL, 0)) return false;
    j->loaded = network_make(j->ctx);
    if (!j->loaded.module || !reel_module_load(j->loaded.module, path, NULL)) return false;
    const reel_series series[] = { { .name = "loss", .y = j->loss[0], .count = j->epoch, .first_x = 1 },
                                   { .name = "val_loss", .y = j->loss[1], .count = j->epoch, .first_x = 1 } };
    const reel_panel panel = { .title = "loss", .x_label = "epoch", .series = series, .n_series = 2 };
    return reel_curves_save_svg(j->ctx, options_path(&j->opts, "curves.svg", path), &panel, 1) &&
           reel_confusion_save_svg(confusion, j->ctx, options_path(&j->opts, "confusion.svg", path), NULL);
}

// What the model makes of the first test digits.
static bool predict(job *j, const network *net)
{
    bool ok = false;
    reel_module_train(net->module, false);
    reel_loader_start(j->data.test, 0, 0);
    REEL_SCOPE(j->ctx)
    REEL_NO_GRAD(j->ctx)
    {
        reel_batch batch = reel_loader_next(j->data.test);
        reel_tensor *chance = reel_softmax(network_forward(net, batch.field[0]), 1);
        const float *p = reel_data_f32(chance);
        const int64_t *guess = reel_data_i64(reel_argmax(chance, &(reel_arg_opts) { .dim = REEL_DIMS(1) }));
        const int64_t *digit = reel_data_i64(batch.field[1]);
        ok = p && guess && digit;
        for (int64_t i = 0; ok && i < 8 && i < batch.count; i++)
            printf("%s%d as %d (%.1f %%)", i ? ", " : "predicted: ", (int)digit[i], (int)guess[i],
                   100 * p[10 * i + guess[i]]);
        printf("\n");
    }
    return ok;
}

static bool run(job *j)
{
    double accuracy, loss;
    if ((j->opts.resume && !resume(j)) || !train(j)) return false;
    reel_confusion *confusion = reel_confusion_new(j->ctx, 10);
    if (!confusion) return false;
    loss = evaluate(j, &j->net, j->data.test, &accuracy, confusion);
    bool ok = !reel_ctx_error(j->ctx) && (!j->opts.out || save_and_load(j, confusion)) &&
              predict(j, j->opts.out ? &j->loaded : &j->net);
    reel_confusion_free(confusion);
    if (ok) printf("test loss: %.4f\ntest accuracy: %.2f %%\n", loss, 100 * accuracy);
    return ok;
}

int main(int argc, char **argv)
{
    job j = { 0 };
    int answer = options_parse(&j.opts, "mnist_cnn_by_hand", argc, argv);
    if (answer) return answer == 1 ? 0 : 2;
    j.ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = j.opts.threads, .seed = j.opts.seed });
    bool ok = j.ctx && prepare(&j) && run(&j);
    if (!ok) fprintf(stderr, "mnist_cnn_by_hand: %s\n", j.ctx ? reel_ctx_error_message(j.ctx) : "out of memory");
    reel_optim_free(j.optim);
    reel_module_free(j.net.module);
    reel_module_free(j.best.module);
    reel_module_free(j.loaded.module);
    mnist_close(&j.data);
    reel_ctx_free(j.ctx);
    for (int i = 0; i < 2; i++) free(j.loss[i]);
    return ok ? 0 : 1;
}
