// SPDX-License-Identifier: MIT
// Trains the spatial transformer network of PyTorch's tutorial on MNIST (Jaderberg et al. 2015), from loading to pictures.
#include "digits.h"
#include "options.h"
#include "report.h"

#include <errno.h>
#include <reel/nn/plot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OWN_TRAIN = 10000, OWN_TEST = 2000, PATH = 4096 };

typedef struct job {
    options opts;
    reel_ctx *ctx;
    poses train_poses, test_poses;
    reel_dataset *train_raw, *test_raw, *train_data, *test_data;
    reel_loader *train, *test;
    reel_module *module;
    network net;
    reel_optim *optim;
    int64_t epoch;                        // the next one
    double *train_loss, *test_loss;       // by epoch
} job;

static reel_dataset *as_float(reel_ctx *ctx, reel_dataset *raw)
{
    return raw ? reel_dataset_normalised(ctx, raw, 0, &(reel_normalise) { .dtype = REEL_F32 }) : NULL;
}

static bool open_data(job *j)
{
    reel_ctx *ctx = j->ctx;
    if (j->opts.data) {
        printf("MNIST from %s, distortion: %s\n", j->opts.data, distortion_name(j->opts.distort));
        j->train_raw = reel_dataset_mnist(ctx, j->opts.data, true);
        j->test_raw = reel_dataset_mnist(ctx, j->opts.data, false);
    } else {
        printf("No MNIST at hand (--data DIR or MNIST_DIR): %d digits drawn by this program stand in; distortion: %s\n",
               OWN_TRAIN + OWN_TEST, distortion_name(j->opts.distort));
        j->train_raw = digits_draw(ctx, OWN_TRAIN, 1000 + j->opts.seed);
        j->test_raw = digits_draw(ctx, OWN_TEST, 77);
    }
    j->train_data = as_float(ctx, j->train_raw);
    j->test_data = as_float(ctx, j->test_raw);
    if (!j->train_data || !j->test_data) return false;
    j->train_poses = (poses) { j->opts.distort, j->opts.widen };
    j->test_poses = (poses) { j->opts.distort, 0 };
    reel_loader_opts train = { .batch = j->opts.batch, .shuffle = true, .seed = j->opts.seed, .allow_small = true,
                               .map = distort_batch, .map_user = &j->train_poses };
    reel_loader_opts test = { .batch = 500, .seed = 4242, .allow_small = true, .map = distort_batch, .map_user = &j->test_poses };
    j->train = reel_loader_new(ctx, j->train_data, &train);
    j->test = j->train ? reel_loader_new(ctx, j->test_data, &test) : NULL;
    return j->test != NULL;
}

static bool make_network(job *j)
{
    j->module = reel_module_new(j->ctx, NULL);
    if (!j->module) return false;
    j->net = network_make(j->module, !j->opts.no_stn);
    reel_params params = reel_module_parameters(j->module);
    j->optim = j->opts.adam ? reel_adam_new(params, &(reel_adam_opts) { .lr = j->opts.lr })
                            : reel_sgd_new(params, &(reel_sgd_opts) { .lr = j->opts.lr });
    return j->optim && !reel_ctx_error(j->ctx);
}

static const char *in_out(const job *j, const char *name, char path[PATH])
{
    snprintf(path, PATH, "%s/%s", j->opts.out, name);
    return path;
}

static bool save_checkpoint(const job *j)
{
    char path[PATH], name[32];
    reel_store *store = reel_store_new(j->ctx);
    const reel_generator *generator = reel_ctx_generator(j->ctx);
    bool ok = store && reel_module_store(j->module, store, "") && reel_optim_store(j->optim, store, "optim.") &&
              reel_store_put_int(store, "run.", "epoch", j->epoch) &&
              reel_store_put_int(store, "run.", "generator_seed", (int64_t)generator->seed) &&
              reel_store_put_int(store, "run.", "generator_offset", (int64_t)generator->offset);
    for (int64_t e = 0; e < j->epoch && ok; e++) {
        snprintf(name, sizeof name, "train_loss.%lld", (long long)e);
        ok = reel_store_put_double(store, "run.", name, j->train_loss[e]);
        snprintf(name, sizeof name, "test_loss.%lld", (long long)e);
        ok = ok && reel_store_put_double(store, "run.", name, j->test_loss[e]);
    }
    ok = ok && reel_store_save(store, in_out(j, "checkpoint.safetensors", path));
    reel_store_close(store);
    return ok;
}

static bool resume(job *j)
{
    char name[32];
    reel_store *store = reel_store_open(j->ctx, j->opts.resume);
    int64_t seed = 0, offset = 0;
    bool ok = store && reel_module_restore(j->module, store, &(reel_module_load_opts) { .allow_unexpected = true }) &&
              reel_optim_restore(j->optim, store, "optim.") && reel_store_int(store, "run.", "epoch", &j->epoch) &&
              reel_store_int(store, "run.", "generator_seed", &seed) && reel_store_int(store, "run.", "generator_offset", &offset);
    if (ok && (j->epoch < 0 || j->epoch >= j->opts.epochs)) {
        reel_fail(j->ctx, REEL_ERROR_VALUE, "%s is a checkpoint after epoch %lld: ask for more with --epochs", j->opts.resume,
                  (long long)j->epoch);
        ok = false;
    }
    for (int64_t e = 0; ok && e < j->epoch; e++) {
        snprintf(name, sizeof name, "train_loss.%lld", (long long)e);
        ok = reel_store_double(store, "run.", name, &j->train_loss[e]);
        snprintf(name, sizeof name, "test_loss.%lld", (long long)e);
        ok = ok && reel_store_double(store, "run.", name, &j->test_loss[e]);
    }
    *reel_ctx_generator(j->ctx) = (reel_generator) { .seed = (uint64_t)seed, .offset = (uint64_t)offset };
    reel_store_close(store);
    if (ok) printf("going on after epoch %lld of %s\n", (long long)j->epoch, j->opts.resume);
    return ok;
}

// One pass over the training digits; gives the mean loss.
static double train_epoch(job *j, double *speed)
{
    char label[48];
    double sum = 0;
    int64_t done = 0;
    snprintf(label, sizeof label, "epoch %2lld/%lld", (long long)j->epoch + 1, (long long)j->opts.epochs);
    reel_module_train(j->module, true);
    reel_loader_start(j->train, j->epoch, 0);
    progress bar = progress_begin(label, reel_loader_samples(j->train));
    while (reel_loader_more(j->train))
        REEL_SCOPE(j->ctx)
        {
            reel_batch batch = reel_loader_next(j->train);
            reel_tensor *loss = reel_nll_loss(network_forward(&j->net, batch.field[0]), batch.field[1], NULL);
            reel_backward(loss);
            reel_optim_step(j->optim);
            double value = reel_item(loss);
            sum += value * (double)batch.count;
            done += batch.count;
            progress_update(&bar, done, value);
        }
    progress_end(&bar);
    *speed = (double)done / (seconds_now() - bar.started);
    return sum / (double)done;
}

// Mean loss and share of right answers over the test digits.
static double evaluate(job *j, double *accuracy)
{
    double sum = 0, right = 0;
    int64_t done = 0;
    reel_module_train(j->module, false);
    reel_loader_start(j->test, 0, 0);
    while (reel_loader_more(j->test))
        REEL_SCOPE(j->ctx)
        REEL_NO_GRAD(j->ctx)
        {
            reel_batch batch = reel_loader_next(j->test);
            reel_tensor *output = network_forward(&j->net, batch.field[0]);
            reel_tensor *loss = reel_nll_loss(output, batch.field[1], &(reel_nll_loss_opts) { .reduction = REEL_REDUCTION_SUM });
            reel_tensor *answer = reel_argmax(output, &(reel_arg_opts) { .dim = REEL_DIMS(1) });
            reel_tensor *hits = reel_sum(reel_cast(reel_eq(answer, batch.field[1]), REEL_I64), REEL_ALL_DIMS, false);
            reel_eval_all((reel_tensor *[]) { loss, hits }, 2);
            sum += reel_item(loss);
            right += reel_item(hits);
            done += batch.count;
        }
    *accuracy = right / (double)done;
    return sum / (double)done;
}

static bool write_results(job *j)
{
    char path[PATH];
    bool ok = reel_module_save(j->module, in_out(j, "model.safetensors", path), NULL, 0);
    ok = ok && report_transformer(&j->net, j->test, in_out(j, "transformer.png", path));
    const reel_series series[] = { { .name = "training", .y = j->train_loss, .count = j->epoch, .first_x = 1 },
                                   { .name = "test", .y = j->test_loss, .count = j->epoch, .first_x = 1 } };
    const reel_panel panel = { .title = "loss", .x_label = "epoch", .series = series, .n_series = 2 };
    ok = ok && reel_curves_save_svg(j->ctx, in_out(j, "loss.svg", path), &panel, 1);
    if (ok) printf("%s holds model.safetensors, transformer.png (rows of digits as they came, below each as they are handed on) "
                   "and loss.svg\n", j->opts.out);
    return ok;
}

static bool run(job *j)
{
    double accuracy = 0;
    if (!open_data(j) || !make_network(j) || (j->opts.resume && !resume(j))) return false;
    printf("%lld parameters, %s, learning rate %g, batches of %lld, %d threads%s\n", (long long)reel_module_numel(j->module),
           reel_optim_name(j->optim), j->opts.lr, (long long)j->opts.batch, reel_ctx_threads(j->ctx),
           j->opts.no_stn ? ", no transformer" : "");
    for (; j->epoch < j->opts.epochs && !reel_ctx_error(j->ctx);) {
        double speed, started = seconds_now();
        j->train_loss[j->epoch] = train_epoch(j, &speed);
        if (reel_ctx_error(j->ctx)) break;
        j->test_loss[j->epoch] = evaluate(j, &accuracy);
        if (reel_ctx_error(j->ctx)) break;
        printf("epoch %2lld/%lld  loss %.4f  test loss %.4f  test accuracy %.2f %%  %.1f s  %.0f digits/s\n",
               (long long)j->epoch + 1, (long long)j->opts.epochs, j->train_loss[j->epoch], j->test_loss[j->epoch],
               100 * accuracy, seconds_now() - started, speed);
        fflush(stdout);
        j->epoch++;
        if (j->opts.out && !save_checkpoint(j)) break;
    }
    if (reel_ctx_error(j->ctx) || (j->opts.out && !write_results(j))) return false;
    if (j->opts.distort != DISTORT_NONE && !j->opts.no_stn) {
        double before, after;
        if (!report_spread(&j->net, j->test, &before, &after)) return false;
        printf("the angles of the test digits spread by %.1f degrees as they came, by %.1f as they are handed on\n", before,
               after);
    }
    printf("test accuracy: %.2f %%\n", 100 * accuracy);
    return true;
}

int main(int argc, char **argv)
{
    job j = { 0 };
    int answer = options_parse(&j.opts, argc, argv);
    if (answer) return answer == 1 ? 0 : 2;
    if (j.opts.out && mkdir(j.opts.out, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "mnist_stn: the folder %s cannot be made: %s\n", j.opts.out, strerror(errno));
        return 1;
    }
    j.ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = j.opts.threads, .seed = j.opts.seed });
    j.train_loss = calloc((size_t)j.opts.epochs, sizeof(double));
    j.test_loss = calloc((size_t)j.opts.epochs, sizeof(double));
    bool ok = j.ctx && j.train_loss && j.test_loss && run(&j);
    if (!ok) fprintf(stderr, "mnist_stn: %s\n", reel_ctx_error_message(j.ctx));
    reel_optim_free(j.optim);
    reel_module_free(j.module);
    reel_loader_free(j.train);
    reel_loader_free(j.test);
    reel_dataset_free(j.train_data);
    reel_dataset_free(j.test_data);
    reel_dataset_free(j.train_raw);
    reel_dataset_free(j.test_raw);
    reel_ctx_free(j.ctx);
    free(j.train_loss);
    free(j.test_loss);
    return ok ? 0 : 1;
}
