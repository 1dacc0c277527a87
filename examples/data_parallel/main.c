// SPDX-License-Identifier: MIT
// One model trained by several processes: mpiexec -n 4 data_parallel
//
// Every process reads its share of the data (two spirals), computes its own gradients, and steps by their mean: all
// have the same parameters at every step.
#include <math.h>
#include <reel/nn/distributed.h>
#include <reel/reel.h>
#include <stdio.h>

#define POINTS 1200

typedef struct net {
    reel_linear_layer in, hidden, out;
} net;

static reel_tensor *forward(void *user, const reel_batch *batch)
{
    const net *n = user;
    reel_tensor *h = reel_tanh(reel_linear_forward(&n->in, batch->field[0]));
    return reel_linear_forward(&n->out, reel_tanh(reel_linear_forward(&n->hidden, h)));
}

static reel_dataset *spirals(reel_ctx *ctx)
{
    static float at[POINTS][2];
    static int64_t arm[POINTS];
    reel_generator random = { .seed = 7 };
    for (int i = 0; i < POINTS; i++) {
        arm[i] = i % 2;
        double turn = 3 * sqrt(reel_generator_uniform(&random)), angle = turn * 3.14159 + (double)arm[i] * 3.14159;
        at[i][0] = (float)(turn * cos(angle) / 3 + 0.02 * reel_generator_normal(&random));
        at[i][1] = (float)(turn * sin(angle) / 3 + 0.02 * reel_generator_normal(&random));
    }
    return reel_dataset_from_tensors(
        (reel_tensor *[]) { reel_floats(ctx, REEL_SHAPE(POINTS, 2), at[0]), reel_longs(ctx, REEL_SHAPE(POINTS), arm) },
        2);
}

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_module *module = reel_module_new(ctx, NULL);
    net n = { .in = reel_linear_make(module, "in", 2, 64, NULL),
              .hidden = reel_linear_make(module, "hidden", 64, 64, NULL),
              .out = reel_linear_make(module, "out", 64, 2, NULL) };
    reel_optim *adam = reel_adam_new(reel_module_parameters(module), &(reel_adam_opts) { .lr = 5e-3 });
    reel_distributed *all =
        reel_distributed_new(reel_module_parameters(module), NULL); /* rank 0's parameters everywhere */
    int rank = reel_distributed_rank(all), size = reel_distributed_size(all);

    reel_dataset *data = spirals(ctx), *share = reel_dataset_shard(ctx, data, rank, size);
    reel_loader *loader = reel_loader_new(ctx, share, &(reel_loader_opts) { .batch = 120 / size, .shuffle = true });
    reel_model model = { .module = module, .forward = forward, .user = &n };
    reel_metric accuracy = reel_metric_accuracy();
    reel_callback *callbacks[] = { reel_distributed_callback(all),
                                   rank == 0 ? reel_progress_callback(ctx, stdout) : NULL };
    reel_fit_opts opts = {
        .epochs = 60, .metrics = &accuracy, .n_metrics = 1, .callbacks = callbacks, .n_callbacks = 2
    };
    reel_history history = { 0 };
    bool ok = reel_fit(&model, adam, loader, &opts, &history) && reel_distributed_same(all);
    if (ok && rank == 0)
        printf("%d processes, the same parameters on all: accuracy %.4f\n", size,
               reel_history_at(&history, history.epochs - 1, "accuracy"));
    if (!ok) fprintf(stderr, "rank %d: %s\n", rank, reel_ctx_error_message(ctx));

    reel_history_free(&history);
    reel_loader_free(loader);
    reel_dataset_free(share);
    reel_dataset_free(data);
    reel_optim_free(adam);
    reel_distributed_free(all); /* tells the others when this process is in error */
    reel_module_free(module);
    reel_ctx_free(ctx);
    return !ok;
}
