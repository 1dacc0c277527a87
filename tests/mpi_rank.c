// SPDX-License-Identifier: MIT
// One process of test_distributed: mpi_rank MODE. Its status is 0 when what the mode expects has come about.
#include <math.h>
#include <reel/nn/distributed.h>
#include <reel/reel.h>
#include <stdio.h>
#include <string.h>

#define ROWS 12
#define WIDTH 5
#define STEPS 4

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "rank %d, line %d: %s: %s\n", rank, __LINE__, #condition, reel_ctx_error_message(ctx));    \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

typedef struct net {
    reel_tensor *w, *b, *spare;
    reel_optim *sgd;
} net;

static net make(reel_ctx *ctx, uint64_t seed)
{
    reel_generator random = { .seed = seed };
    net n = { .w = reel_set_requires_grad(reel_randn(ctx, &random, REEL_SHAPE(WIDTH, WIDTH), REEL_F64, 0, 0.5), true),
              .b = reel_set_requires_grad(reel_randn(ctx, &random, REEL_SHAPE(WIDTH), REEL_F64, 0, 1), true),
              .spare = reel_set_requires_grad(reel_randn(ctx, &random, REEL_SHAPE(3), REEL_F32, 0, 1), true) };
    n.sgd = reel_sgd_new(REEL_PARAMS(n.w, n.b, n.spare), &(reel_sgd_opts) { .lr = 0.1, .momentum = 0.9 });
    return n;
}

static reel_params params_of(net *n)
{
    static reel_tensor *list[3];
    list[0] = n->w, list[1] = n->b, list[2] = n->spare;
    return (reel_params) { .at = list, .count = 3 };
}

/* The mean over rows [first, first + rows) of what a layer makes of fixed numbers. */
static reel_tensor *loss_of(reel_ctx *ctx, const net *n, int first, int rows)
{
    double x[ROWS * WIDTH];
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = sin(i * 0.7);
    reel_tensor *part = reel_from(ctx, REEL_SHAPE(rows, WIDTH), REEL_F64, x + first * WIDTH);
    return reel_mean(reel_square(reel_sub_scalar(reel_tanh(reel_linear(part, n->w, n->b)), 0.3)), REEL_ALL_DIMS, false);
}

/* Shares of a batch, of one size or of sizes by weight, end where the whole batch on one process does. */
static int matches(int rank, int size, bool weighted)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 1 });
    net n = make(ctx, (uint64_t)rank), whole = make(ctx, 0); /* rank 0's values are everybody's */
    reel_distributed *d = reel_distributed_new(params_of(&n), NULL);
    EXPECT(d && reel_distributed_rank(d) == rank && reel_distributed_size(d) == size);
    int rows = weighted ? (rank == 0 ? ROWS - 2 * (size - 1) : 2) : ROWS / size;
    int first = weighted ? (rank == 0 ? 0 : ROWS - 2 * (size - rank)) : rank * rows;
    for (int step = 0; step < STEPS; step++) {
        REEL_SCOPE(ctx)
        {
            reel_backward(loss_of(ctx, &n, first, rows));
            EXPECT(reel_distributed_average_grads(d, weighted ? rows : 0) && reel_optim_step(n.sgd));
            EXPECT(!reel_grad_of(n.spare)); /* which has a gradient nowhere */
            reel_backward(loss_of(ctx, &whole, 0, ROWS));
            reel_optim_step(whole.sgd);
        }
    }
    EXPECT(reel_distributed_same(d));
    for (int i = 0; i < 2; i++) {
        const double *ours = reel_data_f64(i ? n.b : n.w), *theirs = reel_data_f64(i ? whole.b : whole.w);
        for (int k = 0; k < (i ? WIDTH : WIDTH * WIDTH); k++) EXPECT(fabs(ours[k] - theirs[k]) < 1e-14);
    }
    reel_distributed_free(d);
    EXPECT(reel_ctx_error(ctx) == REEL_OK);
    reel_optim_free(n.sgd);
    reel_optim_free(whole.sgd);
    reel_ctx_free(ctx);
    return 0;
}

/* A gradient that one process alone has counts by its share; float32 beside float64. */
static int absent(int rank, int size)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    net n = make(ctx, 3);
    reel_distributed *d = reel_distributed_new(params_of(&n), NULL);
    EXPECT(d);
    REEL_SCOPE(ctx)
    {
        if (rank == size - 1) reel_backward(reel_sum(reel_mul_scalar(n.spare, 6), REEL_ALL_DIMS, false));
        EXPECT(reel_distributed_average_grads(d, 0));
        EXPECT(!reel_grad_of(n.w) && reel_grad_of(n.spare));
        for (int k = 0; k < 3; k++) EXPECT(fabsf(reel_data_f32(reel_grad_of(n.spare))[k] - 6.0f / (float)size) < 1e-6f);
    }
    double numbers[2] = { rank, 1 };
    EXPECT(reel_distributed_mean(d, numbers, 2) && numbers[0] == (size - 1) / 2.0 && numbers[1] == 1);
    reel_distributed_free(d);
    reel_optim_free(n.sgd);
    reel_ctx_free(ctx);
    return 0;
}

/* One in error, or one that leaves: the others are told who. */
static int one_is_missing(int rank, int size, bool fails)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    net n = make(ctx, 3);
    reel_distributed *d = reel_distributed_new(params_of(&n), NULL);
    EXPECT(d);
    char who[40];
    snprintf(who, sizeof who, "rank %d of %d %s", size - 1, size, fails ? "is in error" : "has left before");
    bool missing = rank == size - 1;
    REEL_SCOPE(ctx)
    {
        reel_backward(loss_of(ctx, &n, 0, 2));
        if (missing && fails) EXPECT(!reel_add(n.w, n.spare)); /* of other dtypes and shapes */
        if (!missing || fails) EXPECT(!reel_distributed_average_grads(d, 0));
    }
    if (!missing) EXPECT(strstr(reel_ctx_error_message(ctx), who) && !reel_distributed_mean(d, NULL, 0));
    if (missing && fails) EXPECT(strstr(reel_ctx_error_message(ctx), "add"));
    reel_distributed_free(d);
    reel_optim_free(n.sgd);
    reel_ctx_free(ctx);
    return 0;
}

/* A list that is NULL on one process is its error, and the others are told. */
static int missing_list(int rank, bool tensors)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    net n = make(ctx, 3);
    EXPECT(!reel_distributed_new((reel_params) { NULL, 2 }, NULL) && !reel_ctx_error(ctx));
    reel_distributed *d = reel_distributed_new(params_of(&n), NULL);
    EXPECT(d);
    double numbers[2] = { 0 };
    if (tensors)
        EXPECT(!reel_distributed_broadcast(d, rank == 1 ? (reel_params) { NULL, 2 } : params_of(&n)));
    else
        EXPECT(!reel_distributed_mean(d, rank == 1 ? NULL : numbers, 2));
    const char *own = tensors ? "the list of tensors is missing" : "the list of numbers is missing";
    EXPECT(strstr(reel_ctx_error_message(ctx), rank == 1 ? own : "rank 1 of"));
    reel_distributed_free(d);
    reel_optim_free(n.sgd);
    reel_ctx_free(ctx);
    return 0;
}

static int differing_models(int rank)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    net n = make(ctx, 3);
    reel_params params = params_of(&n);
    params.count = rank == 1 ? 2 : 3;
    EXPECT(!reel_distributed_new(params, NULL) && strstr(reel_ctx_error_message(ctx), "models differ"));
    reel_optim_free(n.sgd);
    reel_ctx_free(ctx);
    return 0;
}

static int drift(int rank)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    net n = make(ctx, 3);
    reel_distributed *d = reel_distributed_new(params_of(&n), NULL);
    EXPECT(d && reel_distributed_same(d));
    if (rank == 1) reel_set_data(n.b, (double[WIDTH]) { 1 }, WIDTH * sizeof(double));
    EXPECT(!reel_distributed_same(d) && strstr(reel_ctx_error_message(ctx), "parameter 1 has other values"));
    reel_distributed_free(d);
    reel_optim_free(n.sgd);
    reel_ctx_free(ctx);
    return 0;
}

typedef struct line {
    reel_linear_layer layer;
    int64_t stop_at; /* a batch at which this process asks to stop */
} line;

static reel_tensor *forward(void *user, const reel_batch *batch)
{
    return reel_linear_forward(&((line *)user)->layer, batch->field[0]);
}

static reel_tensor *squares(void *user, reel_tensor *output, const reel_batch *batch)
{
    (void)user;
    return reel_mse_loss(output, batch->field[1], NULL);
}

static bool ask_to_stop(reel_callback *self, reel_run *run)
{
    const line *l = self->user;
    if (l->stop_at && run->step == l->stop_at) run->stop = true;
    return true;
}

/* reel_fit on shares of a data set: the same history everywhere; a process that stops, stops all. */
static int fit(int rank, int size, bool stops)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .seed = 1 });
    float x[50], y[50];
    for (int i = 0; i < 50; i++) x[i] = (float)i / 50, y[i] = 3 * x[i] - 1;
    reel_dataset *all = reel_dataset_from_tensors(
        (reel_tensor *[]) { reel_floats(ctx, REEL_SHAPE(50, 1), x), reel_floats(ctx, REEL_SHAPE(50, 1), y) }, 2);
    reel_dataset *share = reel_dataset_shard(ctx, all, rank, size);
    EXPECT(share && reel_dataset_count(share) == (50 + size - 1) / size);
    reel_loader *loader = reel_loader_new(ctx, share, &(reel_loader_opts) { .batch = 4, .shuffle = true });
    reel_module *module = reel_module_new(ctx, NULL);
    line l = { .layer = reel_linear_make(module, "line", 1, 1, NULL), .stop_at = stops && rank == 1 ? 7 : 0 };
    reel_optim *adam = reel_adam_new(reel_module_parameters(module), &(reel_adam_opts) { .lr = 0.1 });
    reel_distributed *d = reel_distributed_new(reel_module_parameters(module), NULL);
    reel_callback stopper = { .on_batch = ask_to_stop, .user = &l };
    reel_callback *callbacks[] = { reel_distributed_callback(d), &stopper };
    reel_model model = { .module = module, .forward = forward, .loss = squares, .user = &l };
    reel_history history;
    EXPECT(d && reel_fit(&model, adam, loader,
                         &(reel_fit_opts) { .epochs = 30, .callbacks = callbacks, .n_callbacks = 2 }, &history));
    if (stops) {
        EXPECT(history.steps == 7 && history.stop == REEL_STOP_EARLY);
    } else {
        double last = reel_history_at(&history, 29, "loss"), mean[1] = { last };
        EXPECT(last < 1e-2 && reel_distributed_mean(d, mean, 1) && fabs(mean[0] - last) < 1e-15);
    }
    EXPECT(reel_distributed_same(d));
    reel_history_free(&history);
    reel_distributed_free(d);
    reel_optim_free(adam);
    reel_loader_free(loader);
    reel_dataset_free(share);
    reel_dataset_free(all);
    reel_module_free(module);
    EXPECT(reel_ctx_error(ctx) == REEL_OK);
    reel_ctx_free(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *mode = argc > 1 ? argv[1] : "";
    int status = strcmp(mode, "probe") == 0      ? 0
                 : strcmp(mode, "matches") == 0  ? matches(rank, size, false)
                 : strcmp(mode, "weighted") == 0 ? matches(rank, size, true)
                 : strcmp(mode, "absent") == 0   ? absent(rank, size)
                 : strcmp(mode, "fails") == 0    ? one_is_missing(rank, size, true)
                 : strcmp(mode, "leaves") == 0   ? one_is_missing(rank, size, false)
                 : strcmp(mode, "differs") == 0  ? differing_models(rank)
                 : strcmp(mode, "tensors") == 0  ? missing_list(rank, true)
                 : strcmp(mode, "numbers") == 0  ? missing_list(rank, false)
                 : strcmp(mode, "drift") == 0    ? drift(rank)
                 : strcmp(mode, "fit") == 0      ? fit(rank, size, false)
                 : strcmp(mode, "stops") == 0    ? fit(rank, size, true)
                                                 : 2;
    MPI_Finalize();
    return status;
}
