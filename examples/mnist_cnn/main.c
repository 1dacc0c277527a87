// SPDX-License-Identifier: MIT
// A Keras program in C: trains a small CNN on MNIST with callbacks, tests it, saves it, loads it again and predicts.
#include "data.h"
#include "network.h"

#include <stdio.h>

typedef struct job {
    options opts;
    reel_ctx *ctx;
    mnist data;
    network net, loaded;
    reel_optim *optim;
    reel_confusion *confusion;
    reel_history history;
} job;

static reel_tensor *forward(void *user, const reel_batch *batch) { return network_forward(user, batch->field[0]); }

static bool prepare(job *j)
{
    if (!mnist_open(&j->data, j->ctx, &j->opts)) return false;
    j->net = network_make(j->ctx);
    if (!j->net.module) return false;
    j->optim = reel_adam_new(reel_module_parameters(j->net.module), &(reel_adam_opts) { .lr = 1e-3, .eps = 1e-7 });
    j->confusion = reel_confusion_new(j->ctx, 10);
    return j->optim && j->confusion && !reel_ctx_error(j->ctx);
}

static bool fit(job *j, const reel_model *model)
{
    const options *opts = &j->opts;
    char path[PATH];
    reel_early_stopping_opts stopping = { .monitor = "val_loss", .patience = 2, .restore_best = opts->restore_best };
    reel_callback *callbacks[4] = { reel_progress_callback(j->ctx, stdout),
                                    reel_early_stopping_callback(j->ctx, &stopping) };
    if (opts->out) {
        callbacks[2] = reel_checkpoint_callback(j->ctx, options_path(opts, "checkpoint.safetensors", path), NULL);
        callbacks[3] = reel_curves_callback(j->ctx, options_path(opts, "curves.svg", path));
    }
    const reel_metric accuracy = reel_metric_accuracy();
    const reel_fit_opts how = { .epochs = opts->epochs, .validation = j->data.validation, .metrics = &accuracy,
                                .n_metrics = 1, .callbacks = callbacks, .n_callbacks = 4, .handle_signals = true,
                                .resume = opts->resume };
    return reel_fit(model, j->optim, j->data.training, &how, &j->history);
}

// Saves the model and makes another one of the file.
static bool save_and_load(job *j)
{
    char path[PATH];
    if (!reel_module_save(j->net.module, options_path(&j->opts, "model.safetensors", path), NULL, 0)) return false;
    j->loaded = network_make(j->ctx);
    if (!j->loaded.module || !reel_module_load(j->loaded.module, path, NULL)) return false;
    printf("%s holds model.safetensors, checkpoint.safetensors, curves.svg and confusion.svg\n", j->opts.out);
    return reel_confusion_save_svg(j->confusion, j->ctx, options_path(&j->opts, "confusion.svg", path), NULL);
}

// What the model makes of the first eight test digits.
static bool predict(job *j, const reel_model *model)
{
    reel_dataset *few = reel_dataset_slice(j->ctx, reel_loader_dataset(j->data.test), 0, 8);
    reel_loader *loader = few ? reel_loader_new(j->ctx, few, &(reel_loader_opts) { .batch = 8 }) : NULL;
    bool ok = false;
    REEL_SCOPE(j->ctx)
    {
        reel_tensor *chance = loader ? reel_softmax(reel_predict(model, loader), 1) : NULL, *label[2];
        const float *p = reel_data_f32(chance);
        const int64_t *guess = reel_data_i64(reel_argmax(chance, &(reel_arg_opts) { .dim = REEL_DIMS(1) }));
        ok = p && guess && reel_dataset_tensors(few, j->ctx, 0, 8, label);
        const int64_t *digit = ok ? reel_data_i64(label[1]) : NULL;
        for (int i = 0; i < 8 && digit; i++)
            printf("%s%d as %d (%.1f %%)%s", i ? ", " : "predicted: ", (int)digit[i], (int)guess[i],
                   100 * p[10 * i + guess[i]], i == 7 ? "\n" : "");
    }
    reel_loader_free(loader);
    reel_dataset_free(few);
    return ok;
}

static bool run(job *j)
{
    const reel_model model = { .module = j->net.module, .forward = forward, .user = &j->net };
    if (!fit(j, &model)) return false;
    if (j->history.stop == REEL_STOP_INTERRUPTED)
        return reel_fail(j->ctx, REEL_ERROR_USER, "interrupted%s",
                         j->opts.out ? "; --resume goes on from the checkpoint" : "");
    if (j->history.stop == REEL_STOP_EARLY)
        printf("stopped after %lld epochs: val_loss has not fallen for 2\n", (long long)j->history.epochs);
    reel_scores scores;
    const reel_metric counted = reel_metric_confusion(j->confusion);
    if (!reel_evaluate(&model, j->data.test, &counted, 1, &scores)) return false;
    if (j->opts.out && !save_and_load(j)) return false;
    const reel_model again = { .module = j->loaded.module, .forward = forward, .user = &j->loaded };
    if (!predict(j, j->opts.out ? &again : &model)) return false;
    printf("test loss: %.4f\ntest accuracy: %.2f %%\n", scores.loss, 100 * scores.metric[0]);
    return true;
}

int main(int argc, char **argv)
{
    job j = { 0 };
    int answer = options_parse(&j.opts, "mnist_cnn", argc, argv);
    if (answer) return answer == 1 ? 0 : 2;
    j.ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = j.opts.threads, .seed = j.opts.seed });
    bool ok = j.ctx && prepare(&j) && run(&j);
    if (!ok) fprintf(stderr, "mnist_cnn: %s\n", j.ctx ? reel_ctx_error_message(j.ctx) : "out of memory");
    reel_history_free(&j.history);
    reel_confusion_free(j.confusion);
    reel_optim_free(j.optim);
    reel_module_free(j.net.module);
    reel_module_free(j.loaded.module);
    mnist_close(&j.data);
    reel_ctx_free(j.ctx);
    return ok ? 0 : 1;
}
