// SPDX-License-Identifier: MIT
// The training loop: what it computes and what goes wrong; metrics.
#include "task.h"

#include <signal.h>
#include <sys/resource.h>

/* Learning */

Test(train, fit_learns_and_says_what_it_did, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_metric metrics[] = { reel_metric_accuracy() };
    reel_history history;
    reel_fit_opts opts = { .epochs = 12, .validation = t->validation, .metrics = metrics, .n_metrics = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, &history), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(history.epochs, 12);
    cr_expect_eq(history.steps, 12 * 5);
    cr_expect_eq(history.stop, REEL_STOP_DONE);
    static const char *const names[] = { "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds" };
    cr_assert_eq(history.columns, 6);
    for (int i = 0; i < 6; i++) cr_expect_str_eq(history.name[i], names[i]);
    cr_expect_gt(reel_history_at(&history, 11, "val_accuracy"), 0.95);
    cr_expect_lt(reel_history_at(&history, 11, "loss"), 0.5 * reel_history_at(&history, 0, "loss"));
    cr_expect_eq(reel_history_at(&history, 0, "lr"), 0.02);
    cr_expect(isnan(reel_history_at(&history, 12, "loss")) && isnan(reel_history_at(&history, 0, "absent")));
    cr_expect(reel_module_training(t->module));

    reel_scores scores;
    cr_assert(reel_evaluate(&t->model, t->validation, metrics, 1, &scores), "%s", reel_ctx_error_message(ctx));
    cr_expect_eq(scores.loss, reel_history_at(&history, 11, "val_loss"));
    cr_expect_eq(scores.metric[0], reel_history_at(&history, 11, "val_accuracy"));
    cr_expect_eq(scores.samples, POINTS);
    cr_expect(reel_module_training(t->module));

    reel_tensor *outputs = reel_predict(&t->model, t->validation);
    cr_assert(outputs, "%s", reel_ctx_error_message(ctx));
    cr_assert(reel_shape_equal(reel_shape_of(outputs), REEL_SHAPE(POINTS, 3)));
    const float *y = reel_data_f32(outputs);
    int right = 0;
    for (int i = 0; i < POINTS; i++) {
        int best = 0;
        for (int c = 1; c < 3; c++)
            if (y[3 * i + c] > y[3 * i + best]) best = c;
        right += best == i % 3;
    }
    cr_expect_float_eq((double)right / POINTS, scores.metric[0], 1e-12);
    reel_history_free(&history);
    close_task(t);
}

Test(train, the_loop_is_the_one_a_user_would_write, .init = set_up, .fini = tear_down)
{
    float fitted[WEIGHTS], by_hand[WEIGHTS];
    task *t = open_task(8);
    cr_assert(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .epochs = 3 }, NULL));
    weights(t, fitted);
    close_task(t);
    t = open_task(8);
    for (int epoch = 0; epoch < 3; epoch++) {
        reel_loader_start(t->data, epoch, 0);
        while (reel_loader_more(t->data)) {
            REEL_SCOPE(ctx)
            {
                reel_batch batch = reel_loader_next(t->data);
                reel_tensor *loss = reel_cross_entropy(forward(t, &batch), batch.field[1], NULL);
                reel_backward(loss);
                reel_optim_step(t->optim);
            }
        }
    }
    weights(t, by_hand);
    cr_expect_eq(memcmp(fitted, by_hand, sizeof fitted), 0);
    close_task(t);
}

Test(train, accumulated_batches_make_one_step, .init = set_up, .fini = tear_down)
{
    /* Without dropout, five batches of 18 accumulated are one batch of 90. */
    float whole[WEIGHTS], parts[WEIGHTS];
    for (int k = 0; k < 2; k++) {
        task *t = open_task(8);
        t->drop.p = 0;
        reel_loader *data = reel_loader_new(ctx, t->points, &(reel_loader_opts) { .batch = k ? 18 : 90 });
        reel_fit_opts opts = { .epochs = 4, .accumulate = k ? 5 : 1 };
        reel_history history;
        cr_assert(reel_fit(&t->model, t->optim, data, &opts, &history), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(history.steps, 4);
        weights(t, k ? parts : whole);
        reel_history_free(&history);
        reel_loader_free(data);
        close_task(t);
    }
    for (int i = 0; i < WEIGHTS; i++) cr_expect_float_eq(whole[i], parts[i], 2e-5);
}

typedef struct slope {
    reel_tensor *weight;
} slope;

/* The loss is the batch's mean times the weight: that mean is the gradient. */
static reel_tensor *scale_mean(void *user, const reel_batch *batch)
{
    return reel_mul(reel_mean(batch->field[0], REEL_ALL_DIMS, false), ((const slope *)user)->weight);
}
static reel_tensor *the_output(void *user, reel_tensor *output, const reel_batch *batch)
{
    (void)user, (void)batch;
    return output;
}

Test(train, a_group_that_is_not_full_is_averaged_over_its_batches, .init = set_up, .fini = tear_down)
{
    /* Five batches of means 1, 2, 4, 8, 16; of lr 1, steps go by the means over groups. */
    static const float means[5] = { 1, 2, 4, 8, 16 };
    static const struct {
        int64_t accumulate, steps;
        double distance;
    } cases[] = { { 1, 5, 31 },           { 2, 3, 1.5 + 6 + 16 }, { 3, 2, 7.0 / 3 + 12 },
                  { 4, 2, 15.0 / 4 + 16 }, { 5, 1, 31.0 / 5 },     { 9, 1, 31.0 / 5 } };
    const reel_field field = { REEL_F32, REEL_SCALAR };
    const void *memory = means;
    reel_dataset *numbers = reel_dataset_from_memory(ctx, 5, &field, &memory, 1);
    reel_loader *data = reel_loader_new(ctx, numbers, &(reel_loader_opts) { .batch = 1 });
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reel_module *module = reel_module_new(ctx, NULL);
        slope line = { reel_module_parameter(module, "w", REEL_SCALAR) };
        reel_optim *sgd = reel_sgd_new(reel_module_parameters(module), &(reel_sgd_opts) { .lr = 1 });
        const reel_model model = { .module = module, .forward = scale_mean, .loss = the_output, .user = &line };
        reel_history history;
        reel_fit_opts opts = { .epochs = 2, .accumulate = cases[i].accumulate };
        cr_assert(reel_fit(&model, sgd, data, &opts, &history), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(history.steps, 2 * cases[i].steps);
        cr_expect_float_eq(reel_item(line.weight), -2 * cases[i].distance, 1e-5, "groups of %d: %g", (int)cases[i].accumulate,
                           reel_item(line.weight));
        reel_history_free(&history);
        reel_optim_free(sgd);
        reel_module_free(module);
    }
    reel_loader_free(data);
    reel_dataset_free(numbers);
}

Test(train, clips_gradients_and_averages_weights, .init = set_up, .fini = tear_down)
{
    float start[WEIGHTS], end[WEIGHTS];
    task *t = open_task(8);
    weights(t, start);
    reel_optim *sgd = reel_sgd_new(reel_module_parameters(t->module), &(reel_sgd_opts) { .lr = 1 });
    cr_assert(reel_fit(&t->model, sgd, t->data, &(reel_fit_opts) { .clip_norm = 1e-3 }, NULL));
    weights(t, end);
    double distance = 0;
    for (int i = 0; i < WEIGHTS; i++) distance += (end[i] - start[i]) * (double)(end[i] - start[i]);
    cr_expect(sqrt(distance) <= 5 * 1e-3 * 1.0001, "five steps went %g", sqrt(distance));
    cr_expect_gt(sqrt(distance), 1e-4);
    weights(t, start);
    cr_assert(reel_fit(&t->model, sgd, t->data, &(reel_fit_opts) { .clip_value = 1e-4 }, NULL));
    weights(t, end);
    for (int i = 0; i < WEIGHTS; i++) cr_expect(fabsf(end[i] - start[i]) <= 5.001e-4f);
    reel_fit_opts frozen = { .epochs = 2, .ema_decay = 1, .keep_average = true, .validation = t->validation };
    weights(t, start);
    cr_assert(reel_fit(&t->model, sgd, t->data, &frozen, NULL), "%s", reel_ctx_error_message(ctx));
    weights(t, end);
    cr_expect_eq(memcmp(start, end, sizeof start), 0, "averages of decay 1 never move");
    reel_optim_free(sgd);
    close_task(t);
}

Test(train, leaves_no_tensors_behind, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_callback *callbacks[2];
    size_t first = 0;
    for (int round = 0; round < 3; round++) {
        callbacks[0] =
            reel_early_stopping_callback(ctx, &(reel_early_stopping_opts) { .patience = 9, .restore_best = true });
        callbacks[1] = reel_checkpoint_callback(ctx, in_folder("c"), NULL);
        reel_fit_opts opts = { .epochs = round == 2 ? 10 : 2,
                               .validation = t->validation,
                               .ema_decay = 0.9,
                               .callbacks = callbacks,
                               .n_callbacks = 2 };
        cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
        if (round == 1) first = reel_ctx_memory(ctx).tensors_now;
    }
    cr_expect_eq(reel_ctx_memory(ctx).tensors_now, first);
    close_task(t);
}

/* Metrics */

static reel_batch batch_of(reel_tensor *x, reel_tensor *y)
{
    return (reel_batch) { .count = reel_size(x, 0), .n_fields = 2, .field = { x, y } };
}

Test(metrics, count_what_is_right, .init = set_up, .fini = tear_down)
{
    const float
        scores[] = { 3, 2, 1, 0, /* 0 */ 1, 3, 2, 0, /* 1 */ 5, 5, 1, 0, /* a tie: 0 */ NAN, 1, 0, 2 /* none */ };
    reel_tensor *y = reel_floats(ctx, REEL_SHAPE(4, 4), scores);
    reel_tensor *labels = reel_longs(ctx, REEL_SHAPE(4), (int64_t[]) { 0, 2, 1, 0 });
    reel_batch batch = batch_of(y, labels);
    static const double expected[] = { 1, 3, 3, 3 };
    for (int k = 1; k <= 4; k++) {
        reel_metric metric = k == 1 ? reel_metric_accuracy() : reel_metric_top_k(k);
        double sum = 0, weight = 0;
        cr_assert(metric.update(&metric, y, &batch, &sum, &weight), "%s", reel_ctx_error_message(ctx));
        cr_expect_eq(sum, expected[k - 1], "top %d: %g", k, sum);
        cr_expect_eq(weight, 4);
    }
    double sum = 0, weight = 0;
    reel_metric accuracy = reel_metric_accuracy(), error = reel_metric_mean_absolute_error();
    reel_batch wrong = batch_of(y, reel_longs(ctx, REEL_SHAPE(3), (int64_t[]) { 0, 1, 2 }));
    cr_expect_not(accuracy.update(&accuracy, y, &wrong, &sum, &weight));
    expect_error(REEL_ERROR_SHAPE,
                 "accuracy: outputs [N, C] and labels int64 [N] are needed, not [4, 4] and int64 [3]");
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 1, 2, 3, 4 });
    reel_batch pair = batch_of(a, reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 1, 0, 3, 7 }));
    cr_assert(error.update(&error, a, &pair, &sum, &weight));
    cr_expect(sum == 5 && weight == 4);
    reel_metric squared = reel_metric_mean_squared_error();
    sum = weight = 0;
    cr_assert(squared.update(&squared, a, &pair, &sum, &weight));
    cr_expect(sum == 13 && weight == 4);
}

Test(metrics, a_confusion_matrix_gives_precision_and_recall, .init = set_up, .fini = tear_down)
{
    reel_confusion *confusion = reel_confusion_new(ctx, 3);
    const float scores[] = { 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1 };
    reel_tensor *y = reel_floats(ctx, REEL_SHAPE(5, 3), scores);
    cr_assert(reel_confusion_add(confusion, y, reel_longs(ctx, REEL_SHAPE(5), (int64_t[]) { 0, 0, 1, 1, 1 })));
    static const int64_t expected[] = { 1, 1, 0, 0, 2, 1, 0, 0, 0 };
    cr_expect_eq(memcmp(confusion->count, expected, sizeof expected), 0);
    cr_expect_eq(reel_confusion_precision(confusion, 0), 1);
    cr_expect_eq(reel_confusion_recall(confusion, 0), 0.5);
    cr_expect_float_eq(reel_confusion_precision(confusion, 1), 2.0 / 3, 1e-15);
    cr_expect_float_eq(reel_confusion_f1(confusion, 0), 2.0 / 3, 1e-15);
    cr_expect(isnan(reel_confusion_recall(confusion, 2)) && reel_confusion_precision(confusion, 2) == 0);
    cr_expect_float_eq(reel_confusion_accuracy(confusion), 0.6, 1e-15);
    cr_expect_not(reel_confusion_add(confusion, y, reel_longs(ctx, REEL_SHAPE(5), (int64_t[]) { 0, 0, 3, 1, 1 })));
    expect_error(REEL_ERROR_VALUE, "label 3 is not in [0, 3)");
    const char *names[] = { "a<b", "b", "c" };
    cr_assert(reel_confusion_save_svg(confusion, ctx, in_folder("m.svg"), names), "%s", reel_ctx_error_message(ctx));
    char *svg = read_text(in_folder("m.svg"));
    cr_expect(strncmp(svg, "<svg", 4) == 0 && strstr(svg, "</svg>\n") && strstr(svg, "a&lt;b") &&
              strstr(svg, "60.00 %"));
    reel_confusion_free(confusion);
    cr_expect_null(reel_confusion_new(ctx, 0));
    expect_error(REEL_ERROR_VALUE, "0 classes");
}

/* What goes wrong */

Test(train, a_loss_that_is_no_number_is_an_error_that_says_where, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    t->poison = true;
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .check_numerics = true }, NULL));
    expect_error(REEL_ERROR_NUMERIC, "div: element 0 of the result [20, 3]");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_NUMERIC, "at epoch 1, batch 1 of 5");
    cr_expect_not(reel_ctx_anomaly(ctx));
    cr_assert(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .allow_nan = true }, NULL), "%s",
              reel_ctx_error_message(ctx));
    close_task(t);
}

Test(train, a_full_disk_or_unwritable_folder_ends_it_and_leaves_the_old_checkpoint, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    const char *path = in_folder("c.safetensors");
    reel_callback *callbacks[] = { reel_checkpoint_callback(ctx, path, NULL) };
    reel_fit_opts opts = { .epochs = 1, .callbacks = callbacks, .n_callbacks = 1 };
    cr_assert(reel_fit(&t->model, t->optim, t->data, &opts, NULL), "%s", reel_ctx_error_message(ctx));
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit) { 500, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    callbacks[0] = reel_checkpoint_callback(ctx, path, NULL);
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    setrlimit(RLIMIT_FSIZE, &old);
    expect_error(REEL_ERROR_IO, "c.safetensors: cannot be written: File too large");
    callbacks[0] = reel_checkpoint_callback(ctx, in_folder("absent/c"), NULL);
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/c: cannot be written: No such file or directory");
    cr_assert(reel_module_load(t->module, path, NULL), "%s", reel_ctx_error_message(ctx));
    callbacks[0] = reel_csv_callback(ctx, in_folder("absent/log.csv"));
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/log.csv");
    callbacks[0] = reel_tensorboard_callback(ctx, in_folder("absent/log"));
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &opts, NULL));
    expect_error(REEL_ERROR_IO, "absent/log: cannot be made");
    close_task(t);
}

static reel_tensor *forward_nothing(void *user, const reel_batch *batch)
{
    (void)user, (void)batch;
    return NULL;
}

Test(train, a_path_or_file_that_is_missing_is_an_error, .init = set_up, .fini = tear_down)
{
    cr_expect_null(reel_checkpoint_callback(ctx, NULL, NULL));
    expect_error(REEL_ERROR_CONTEXT, "a path is missing");
    cr_expect_null(reel_csv_callback(ctx, NULL));
    expect_error(REEL_ERROR_CONTEXT, "a path is missing");
    cr_expect_null(reel_progress_callback(ctx, NULL));
    expect_error(REEL_ERROR_IO, "there is no file");
    reel_history history = { 0 };
    cr_expect_eq(reel_history_column(&history, NULL), -1);
    cr_expect(isnan(reel_history_at(NULL, 0, "loss")));
}

Test(train, evaluation_needs_no_place_for_scores, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    reel_confusion *confusion = reel_confusion_new(ctx, 3);
    const reel_metric metric = reel_metric_confusion(confusion);
    cr_expect(reel_evaluate(&t->model, t->data, &metric, 1, NULL), "%s", reel_ctx_error_message(ctx));
    cr_expect_not(isnan(reel_confusion_accuracy(confusion)));
    cr_expect(isnan(reel_confusion_accuracy(NULL)) && isnan(reel_confusion_recall(NULL, 0)));
    reel_confusion_free(confusion);
    close_task(t);
}

Test(train, refuses_what_it_cannot_train, .init = set_up, .fini = tear_down)
{
    task *t = open_task(8);
    cr_expect_not(reel_fit(&(reel_model) { .module = t->module }, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "no module or no forward function");
    cr_expect_not(reel_fit(&t->model, NULL, t->data, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "no optimiser");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .epochs = -1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "counts");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .clip_norm = -1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "clipped to positive numbers");
    cr_expect_not(reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .ema_decay = -0.5 }, NULL));
    expect_error(REEL_ERROR_VALUE, "ema_decay is a number from 0 to 1");
    cr_expect_not(reel_fit(&t->model, t->optim, NULL, NULL, NULL));
    expect_error(REEL_ERROR_VALUE, "fit: there is no loader");
    cr_expect_not(reel_evaluate(&t->model, NULL, NULL, 0, NULL));
    expect_error(REEL_ERROR_VALUE, "evaluate: there is no loader");
    cr_expect_null(reel_predict(&(reel_model) { .module = t->module }, t->data));
    expect_error(REEL_ERROR_VALUE, "predict: the model has no module or no forward function");
    reel_model nothing = { .module = t->module, .forward = forward_nothing };
    cr_expect_not(reel_fit(&nothing, t->optim, t->data, NULL, NULL));
    expect_error(REEL_ERROR_USER, "gave no output");
    reel_scores scores;
    cr_expect_not(reel_evaluate(&nothing, t->data, NULL, 0, &scores));
    expect_error(REEL_ERROR_USER, "gave no output");
    cr_expect_null(reel_predict(&nothing, t->data));
    expect_error(REEL_ERROR_USER, "gave no output");
    reel_callback *callbacks[] = { reel_early_stopping_callback(
        ctx, &(reel_early_stopping_opts) { .monitor = "val_lost" }) };
    cr_expect_not(
        reel_fit(&t->model, t->optim, t->data, &(reel_fit_opts) { .callbacks = callbacks, .n_callbacks = 1 }, NULL));
    expect_error(REEL_ERROR_VALUE, "no column \"val_lost\" to watch");
    close_task(t);
}
