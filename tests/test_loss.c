// SPDX-License-Identifier: MIT
// Losses: cross-entropy against plain loops, CTC against the sum over all paths, the others against their formulas.
#include "spatial.h"

static double item_of(reel_tensor *x)
{
    double value = reel_item(x);
    sound(reel_ctx_of(x));
    return value;
}

// ---- over classes ----

typedef struct problem {
    int64_t n, c, s, ignore;
    bool has_weight;
    double smoothing;
    reel_reduction reduction;
} problem;

// The loss of each sample, their reduction, and the gradient for cotangents `cot` (one, or one a sample).
static double class_reference(const problem *k, const double *x, const int64_t *target, const double *w,
                              const double *cot, double *each, double *g)
{
    double sum = 0, weights = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < k->n * k->s; i++) {
            int64_t first = i / k->s * k->c * k->s + i % k->s, y = target[i];
            double max = -INFINITY, total = 0, loss = 0, mass = 0;
            for (int64_t c = 0; c < k->c; c++) max = fmax(max, x[first + c * k->s]);
            for (int64_t c = 0; c < k->c; c++) total += exp(x[first + c * k->s] - max);
            double scale = k->reduction == REEL_REDUCTION_NONE ? cot[i] : cot[0];
            if (k->reduction == REEL_REDUCTION_MEAN) scale /= weights;
            for (int64_t c = 0; c < k->c; c++) {
                double q = k->smoothing / (double)k->c * (w ? w[c] : 1);
                if (c == y) q += (1 - k->smoothing) * (w ? w[c] : 1);
                if (y == k->ignore) q = 0;
                mass += q;
                loss -= q * (x[first + c * k->s] - max - log(total));
                g[first + c * k->s] = -scale * q;
            }
            for (int64_t c = 0; c < k->c; c++)
                g[first + c * k->s] += scale * mass * exp(x[first + c * k->s] - max) / total;
            each[i] = loss;
            if (pass == 1) continue;
            sum += loss;
            weights += y == k->ignore ? 0 : w ? w[y] : 1;
        }
    return k->reduction == REEL_REDUCTION_MEAN ? sum / weights : sum;
}

static void check_classes(reel_ctx *ctx, const problem *k, reel_dtype dtype)
{
    int64_t samples = k->n * k->s, numel = samples * k->c;
    double tolerance = dtype == REEL_F64 ? 1e-11 : 1e-5;
    int64_t *target = malloc((size_t)samples * sizeof *target);
    double *each = malloc((size_t)samples * sizeof *each), *g = malloc((size_t)numel * sizeof *g);
    bool any = false;
    for (int64_t i = 0; i < samples; i++) any |= (target[i] = draw_in(0, k->c - 1)) != k->ignore;
    if (!any) target[0] = k->ignore == 0 ? k->c - 1 : 0;
    REEL_SCOPE(ctx)
    {
        bool flat = k->s == 1;
        reel_shape shape = flat ? REEL_SHAPE(k->n, k->c) : REEL_SHAPE(k->n, k->c, k->s);
        reel_shape index = flat ? REEL_SHAPE(k->n) : REEL_SHAPE(k->n, k->s);
        reel_tensor *x = draw_tensor(ctx, shape, dtype, -6, 6), *y = reel_from(ctx, index, REEL_I64, target), *gx;
        reel_tensor *w = k->has_weight ? draw_tensor(ctx, REEL_SHAPE(k->c), dtype, 0.1, 2) : NULL;
        reel_shape reduced = k->reduction == REEL_REDUCTION_NONE ? index : REEL_SCALAR;
        reel_tensor *cot = draw_tensor(ctx, reduced, dtype, -1, 1);
        reel_set_requires_grad(x, true);
        reel_tensor *loss = reel_cross_entropy(x, y,
                                               &(reel_cross_entropy_opts) { .weight = w,
                                                                            .ignore = true,
                                                                            .ignore_index = k->ignore,
                                                                            .label_smoothing = k->smoothing,
                                                                            .reduction = k->reduction });
        sound(ctx);
        cr_assert(reel_grad(&loss, 1, &x, 1, &cot, &gx));
        double *xs = values_of(x), *ws = w ? values_of(w) : NULL, *cots = values_of(cot), *losses = values_of(loss);
        double *grads = values_of(gx), all = class_reference(k, xs, target, ws, cots, each, g);
        double error = difference(losses, k->reduction == REEL_REDUCTION_NONE ? each : &all, reel_numel(loss));
        const char *isa = reel_isa_name(reel_ctx_isa(ctx));
        cr_assert_lt(error, tolerance, "%s [%d, %d, %d]: the loss differs by %g", isa, (int)k->n, (int)k->c, (int)k->s,
                     error);
        error = difference(grads, g, numel);
        cr_assert_lt(error, tolerance, "%s [%d, %d, %d]: the gradient differs by %g", isa, (int)k->n, (int)k->c,
                     (int)k->s, error);
        free(xs), free(ws), free(cots), free(losses), free(grads);
    }
    free(target), free(each), free(g);
}

Test(cross_entropy, agrees_with_plain_loops)
{
    EACH_ISA(ctx)
    {
        spatial_state = 4242;
        for (int i = 0; i < 120; i++) {
            problem k = { .n = draw_in(1, 6), .c = draw_in(2, 40), .s = draw_in(0, 1) ? 1 : draw_in(1, 40) };
            k.ignore = draw_in(0, 1) ? -100 : draw_in(0, k.c - 1);
            k.has_weight = draw_in(0, 1);
            k.smoothing = draw_in(0, 1) ? 0 : draw_real(0, 1);
            k.reduction = (reel_reduction)draw_in(0, 2);
            check_classes(ctx, &k, i % 2 ? REEL_F32 : REEL_F64);
        }
    }
}

Test(cross_entropy, agrees_with_plain_loops_where_work_is_cut)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    static const problem cases[] = { { 5000, 11, 1, 3, true, 0.1, REEL_REDUCTION_MEAN },
                                     { 3, 70000, 1, -100, false, 0, REEL_REDUCTION_SUM },
                                     { 3, 5, 1000, 2, true, 0.2, REEL_REDUCTION_MEAN },
                                     { 2, 300, 513, -100, false, 0, REEL_REDUCTION_NONE } };
    for (int i = 0; i < 8; i++) check_classes(ctx, &cases[i / 2], i % 2 ? REEL_F32 : REEL_F64);
    reel_ctx_free(ctx);
}

Test(cross_entropy, gives_the_same_bits_at_any_number_of_threads)
{
    float first[2] = { 0, 0 };
    for (int threads = 1; threads <= 4; threads *= 2) {
        spatial_state = 5;
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(20000, 10), REEL_F32, -3, 3), *g;
        reel_tensor *y = reel_cast(draw_tensor(ctx, REEL_SHAPE(20000), REEL_F32, 0, 10), REEL_I64);
        reel_set_requires_grad(x, true);
        reel_tensor *loss = reel_cross_entropy(x, y, &(reel_cross_entropy_opts) { .label_smoothing = 0.1 });
        cr_assert(reel_grad(&loss, 1, &x, 1, NULL, &g));
        float values[2] = { (float)reel_item(loss), (float)reel_item(reel_sum(reel_square(g), REEL_ALL_DIMS, false)) };
        if (threads == 1) memcpy(first, values, sizeof first);
        cr_assert_eq(memcmp(first, values, sizeof first), 0);
        sound(ctx);
        reel_ctx_free(ctx);
    }
}

Test(cross_entropy, names_a_class_out_of_range_and_where_it_stands)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    int64_t classes_of[6] = { 0, 1, 2, 0, 5, 1 };
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 5, 3), REEL_F32);
    reel_tensor *y = reel_longs(ctx, REEL_SHAPE(2, 3), classes_of);
    reel_tensor *loss = reel_cross_entropy(x, y, NULL);
    cr_assert_not_null(loss, "the classes are looked at when the loss is played");
    cr_assert_not(reel_eval(loss));
    cr_assert_str_eq(reel_ctx_error_message(ctx),
                     "cross_entropy: target is 5 at index [1, 1], but input has 5 classes");
    reel_ctx_clear_error(ctx);
    y = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { -1, 0 });
    loss = reel_nll_loss(reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F64), y, NULL);
    cr_assert_not(reel_eval(loss));
    cr_assert_str_eq(reel_ctx_error_message(ctx), "nll_loss: target is -1 at index [0], but input has 3 classes");
    reel_ctx_free(ctx);
}

Test(cross_entropy, passes_over_the_ignored_class_even_outside_the_range)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(2, 2), (double[]) { 0, 0, 7, -7 }), *g;
    reel_set_requires_grad(x, true);
    reel_tensor *loss = reel_cross_entropy(x, reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 1, -100 }), NULL);
    cr_assert_float_eq(item_of(loss), log(2), 1e-15);
    cr_assert(reel_grad(&loss, 1, &x, 1, NULL, &g));
    cr_assert_eq(reel_data_f64(g)[2], 0);
    loss = reel_cross_entropy(x, reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { -100, -100 }), NULL);
    cr_assert(isnan(item_of(loss)), "a mean of nothing");
    reel_tensor *cot = reel_set_requires_grad(reel_scalar(ctx, REEL_F64, 3), true), *both[] = { x, cot }, *second[2];
    cr_assert(reel_grad(&loss, 1, &x, 1, &cot, &g));
    cr_assert_eq(reel_data_f64(g)[0], 0);
    cr_assert(reel_grad(&g, 1, both, 2, NULL, second));
    for (int i = 0; i < 4; i++) cr_assert_eq(reel_data_f64(second[0])[i], 0);
    cr_assert_eq(item_of(second[1]), 0);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(cross_entropy, takes_classes_of_any_integer_dtype)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(2, 3), (float[]) { 1, 2, 3, 3, 2, 1 });
    reel_tensor *y = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 2, 1 });
    double want = item_of(reel_cross_entropy(x, y, NULL));
    cr_assert_eq(item_of(reel_cross_entropy(x, reel_cast(y, REEL_I32), NULL)), want);
    cr_assert_eq(item_of(reel_cross_entropy(x, reel_cast(y, REEL_U8), NULL)), want);
    cr_assert_float_eq(item_of(reel_nll_loss(reel_log_softmax(x, 1), y, NULL)), want, 1e-6);
    reel_ctx_free(ctx);
}

Test(cross_entropy, does_not_overflow)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(1, 3), (float[]) { 1e30f, -1e30f, 0 }), *g;
    reel_set_requires_grad(x, true);
    reel_tensor *loss = reel_cross_entropy(x, reel_longs(ctx, REEL_SHAPE(1), (int64_t[]) { 0 }), NULL);
    cr_assert_eq(item_of(loss), 0);
    cr_assert(reel_grad(&loss, 1, &x, 1, NULL, &g));
    cr_assert_eq(reel_data_f32(g)[1], 0);
    reel_ctx_free(ctx);
}

Test(cross_entropy, is_as_precise_far_from_zero)
{
    EACH_ISA(ctx)
    {
        static const float x[] = { 1e6f, 1e6f + 1, 1e6f - 2 };
        double sum = 1 + exp(-1) + exp(-3), p[3] = { exp(-1) / sum, 1 / sum, exp(-3) / sum };
        for (int columns = 0; columns < 2; columns++)
            for (int k = 0; k < 2; k++) {
                double smoothing = 0.3 * k, want = log(sum) + 1 + smoothing / 3;
                reel_shape shape = columns ? REEL_SHAPE(1, 3, 1, 1) : REEL_SHAPE(1, 3);
                reel_tensor *logits = reel_set_requires_grad(reel_from(ctx, shape, REEL_F32, x), true), *g;
                if (columns) shape = REEL_SHAPE(1, 3, 1, 2), logits = reel_expand(logits, shape);
                reel_tensor *y = reel_zeros(ctx, columns ? REEL_SHAPE(1, 1, 2) : REEL_SHAPE(1), REEL_I64);
                reel_cross_entropy_opts opts = { .label_smoothing = smoothing };
                reel_tensor *loss = reel_cross_entropy(logits, y, &opts);
                cr_assert_float_eq(item_of(loss), want, 1e-6, "%g, not %g", item_of(loss), want);
                cr_assert(reel_grad(&loss, 1, &logits, 1, NULL, &g));
                for (int c = 0; c < 3; c++) {
                    double right = p[c] - (c == 0) * (1 - smoothing) - smoothing / 3, got = reel_data_f32(g)[c * (1 + columns)];
                    cr_assert_float_eq(got, right / (1 + columns), 1e-6, "%g, not %g", got, right);
                }
            }
    }
}

// ---- binary, and what only values tell ----

Test(binary_cross_entropy, cuts_its_logarithms_off)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    EACH_ISA(each)
    {
        reel_tensor *x = reel_floats(each, REEL_SHAPE(4), (float[]) { 0, 1, 0, 1 });
        reel_tensor *t = reel_floats(each, REEL_SHAPE(4), (float[]) { 1, 0, 0, 1 });
        const float *loss = reel_data_f32(
            reel_binary_cross_entropy(x, t, &(reel_binary_cross_entropy_opts) { .reduction = REEL_REDUCTION_NONE }));
        cr_assert_eq(loss[0], 100);
        cr_assert_eq(loss[1], 100);
        cr_assert_eq(loss[2], 0);
        cr_assert_eq(loss[3], 0);
    }
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 0.5, 1.5, 0.5 });
    cr_assert_not(reel_eval(reel_binary_cross_entropy(x, reel_zeros_like(x), NULL)));
    cr_assert_str_eq(reel_ctx_error_message(ctx),
                     "binary_cross_entropy: input is 1.5 at element 1, but must be in [0, 1]");
    reel_ctx_free(ctx);
}

Test(binary_cross_entropy_with_logits, does_not_overflow)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(2), (float[]) { -800, 800 });
    reel_tensor *t = reel_floats(ctx, REEL_SHAPE(2), (float[]) { 1, 1 });
    cr_assert_float_eq(item_of(reel_binary_cross_entropy_with_logits(x, t, NULL)), 400, 1e-4);
    reel_ctx_free(ctx);
}

Test(gaussian_nll_loss, refuses_a_negative_variance)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2), REEL_F64);
    reel_tensor *var = reel_doubles(ctx, REEL_SHAPE(2), (double[]) { 0, -0.5 });
    cr_assert_not(reel_eval(reel_gaussian_nll_loss(x, x, var, NULL)));
    cr_assert_str_eq(reel_ctx_error_message(ctx),
                     "gaussian_nll_loss: var is -0.5 at element 1, but must not be negative");
    reel_ctx_free(ctx);
}

// ---- formulas ----

Test(loss, follows_its_formula)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    double x[3] = { -1.5, 0.25, 3 }, t[3] = { 1, -1, 1 };
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(3), x), *b = reel_doubles(ctx, REEL_SHAPE(3), t);
    double square = 0, absolute = 0, smooth = 0, huber = 0, hinge = 0, soft = 0, ranking = 0, poisson = 0;
    for (int i = 0; i < 3; i++) {
        double d = fabs(x[i] - t[i]);
        square += d * d / 3;
        absolute += d / 3;
        smooth += (d < 2 ? d * d / 4 : d - 1) / 3;
        huber += (d <= 2 ? d * d / 2 : 2 * (d - 1)) / 3;
        hinge += (t[i] > 0 ? x[i] : fmax(0, 1 - x[i])) / 3;
        soft += log1p(exp(-t[i] * x[i])) / 3;
        ranking += fmax(0, -t[i] * (x[i] - 0.5) + 0.1) / 3;
        poisson += (exp(x[i]) - t[i] * x[i]) / 3;
    }
    reel_tensor *half = reel_scalar(ctx, REEL_F64, 0.5);
    cr_assert_float_eq(item_of(reel_mse_loss(a, b, NULL)), square, 1e-14);
    cr_assert_float_eq(item_of(reel_l1_loss(a, b, NULL)), absolute, 1e-14);
    cr_assert_float_eq(item_of(reel_smooth_l1_loss(a, b, &(reel_smooth_l1_opts) { .beta = 2 })), smooth, 1e-14);
    cr_assert_float_eq(item_of(reel_huber_loss(a, b, &(reel_huber_opts) { .delta = 2 })), huber, 1e-14);
    cr_assert_float_eq(item_of(reel_hinge_embedding_loss(a, b, NULL)), hinge, 1e-14);
    cr_assert_float_eq(item_of(reel_soft_margin_loss(a, b, NULL)), soft, 1e-14);
    cr_assert_float_eq(item_of(reel_margin_ranking_loss(a, half, b, &(reel_margin_opts) { .margin = 0.1 })), ranking,
                       1e-14);
    cr_assert_float_eq(item_of(reel_poisson_nll_loss(a, b, NULL)), poisson, 1e-13);
    cr_assert_float_eq(
        item_of(reel_gaussian_nll_loss(a, b, reel_ones_like(a), &(reel_gaussian_nll_opts) { .full = true })),
        square / 2 + log(2 * acos(-1)) / 2, 1e-13);
    reel_loss_opts sum = { .reduction = REEL_REDUCTION_SUM }, none = { .reduction = REEL_REDUCTION_NONE };
    cr_assert_float_eq(item_of(reel_mse_loss(a, b, &sum)), 3 * square, 1e-13);
    cr_assert_eq(reel_numel(reel_mse_loss(a, b, &none)), 3);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(loss, of_infinite_differences_has_the_slope_of_large_ones)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_doubles(ctx, REEL_SHAPE(6), (double[]) { INFINITY, -INFINITY, 3, 2, -1, 0 }), *loss[2], *g[2];
    reel_tensor *zero = reel_zeros_like(reel_set_requires_grad(x, true));
    loss[0] = reel_huber_loss(x, zero, &(reel_huber_opts) { .delta = 2, .reduction = REEL_REDUCTION_NONE });
    loss[1] = reel_smooth_l1_loss(x, zero, &(reel_smooth_l1_opts) { .beta = 2, .reduction = REEL_REDUCTION_NONE });
    static const double slope[] = { 2, -2, 2, 2, -1, 0 }, value[] = { INFINITY, INFINITY, 4, 2, 0.5, 0 };
    for (int k = 0; k < 2; k++) {
        cr_assert(reel_grad(&loss[k], 1, &x, 1, NULL, &g[k]));
        for (int i = 0; i < 6; i++) {
            cr_assert_eq(reel_data_f64(loss[k])[i], value[i] / (k + 1), "%d %d: %g", k, i, reel_data_f64(loss[k])[i]);
            cr_assert_eq(reel_data_f64(g[k])[i], slope[i] / (k + 1), "%d %d: %g", k, i, reel_data_f64(g[k])[i]);
        }
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(kl_div, takes_zero_probabilities)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .anomaly = true });
    reel_tensor *log_q = reel_doubles(ctx, REEL_SHAPE(1, 2), (double[]) { log(0.25), log(0.75) });
    reel_tensor *p = reel_doubles(ctx, REEL_SHAPE(1, 2), (double[]) { 0, 1 });
    reel_kl_div_opts opts = { .reduction = REEL_REDUCTION_BATCHMEAN };
    cr_assert_float_eq(item_of(reel_kl_div(log_q, p, &opts)), -log(0.75), 1e-15);
    reel_ctx_free(ctx);
}

Test(cosine_similarity, is_one_for_what_points_the_same_way)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_doubles(ctx, REEL_SHAPE(2, 3), (double[]) { 1, 2, 3, 1, 0, 0 });
    reel_tensor *b = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 2, 4, 6 });
    const double *y = reel_data_f64(reel_cosine_similarity(a, b, -1, NULL));
    cr_assert_float_eq(y[0], 1, 1e-15);
    cr_assert_float_eq(y[1], 2 / sqrt(56), 1e-15);
    sound(ctx);
    reel_ctx_free(ctx);
}

// ---- connectionist temporal classification ----

// The probability of all paths of `frames` classes that spell the target once repeats and then blanks are dropped.
static double all_paths(const double *log_probs, int64_t pitch, int frames, int classes, const int64_t *target,
                        int length)
{
    int64_t paths = 1;
    double total = 0;
    for (int t = 0; t < frames; t++) paths *= classes;
    for (int64_t path = 0; path < paths; path++) {
        int64_t rest = path, last = -1;
        int at = 0;
        bool spells = true;
        double log_prob = 0;
        for (int t = 0; t < frames && spells; t++, rest /= classes) {
            int64_t label = rest % classes;
            log_prob += log_probs[t * pitch + label];
            if (label != last && label != 0) spells = at < length && target[at++] == label;
            last = label;
        }
        if (spells && at == length) total += exp(log_prob);
    }
    return total;
}

Test(ctc_loss, sums_over_all_paths)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int i = 0; i < 40; i++) {
        int frames = (int)draw_in(1, 6), batch = (int)draw_in(1, 3), longest = (int)draw_in(0, 3), classes = 3;
        int64_t targets[9], input_lengths[3], target_lengths[3], end_to_end[9];
        int total = 0;
        for (int n = 0; n < batch; n++) {
            input_lengths[n] = draw_in(1, frames);
            target_lengths[n] = draw_in(0, longest);
            for (int s = 0; s < longest; s++) {
                targets[n * longest + s] = draw_in(1, classes - 1);
                if (s < target_lengths[n]) end_to_end[total++] = targets[n * longest + s];
            }
        }
        reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(frames, batch, classes), REEL_F64, -3, 0);
        reel_tensor *lengths[2] = { reel_longs(ctx, REEL_SHAPE(batch), input_lengths),
                                    reel_longs(ctx, REEL_SHAPE(batch), target_lengths) };
        reel_tensor *labels[2] = { reel_longs(ctx, REEL_SHAPE(batch, longest), targets),
                                   reel_longs(ctx, REEL_SHAPE(total), end_to_end) };
        double *log_probs = values_of(x);
        for (int form = 0; form < 2; form++) {
            reel_ctc_opts opts = { .reduction = REEL_REDUCTION_NONE };
            reel_tensor *loss = reel_ctc_loss(x, labels[form], lengths[0], lengths[1], &opts);
            sound(ctx);
            const double *each = reel_data_f64(loss);
            for (int n = 0; n < batch; n++) {
                double p = all_paths(log_probs + n * classes, batch * classes, (int)input_lengths[n], classes,
                                     targets + n * longest, (int)target_lengths[n]);
                if (p == 0)
                    cr_assert(isinf(each[n]) && each[n] > 0);
                else
                    cr_assert_float_eq(each[n], -log(p), 1e-11);
            }
        }
        free(log_probs);
    }
    reel_ctx_free(ctx);
}

Test(ctc_loss, costs_nothing_for_the_impossible_when_told)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 3), REEL_F32, -2, 0), *g;
    reel_tensor *target = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 1, 1 }); /* needs a blank between: 3 frames */
    reel_tensor *two = reel_longs(ctx, REEL_SCALAR, (int64_t[]) { 2 });
    reel_set_requires_grad(x, true);
    reel_tensor *loss = reel_ctc_loss(x, target, two, two, &(reel_ctc_opts) { .zero_infinity = true });
    cr_assert_eq(item_of(loss), 0);
    cr_assert(reel_grad(&loss, 1, &x, 1, NULL, &g));
    cr_assert_eq(reel_data_f32(g)[0], 0);
    cr_assert(isinf(item_of(reel_ctc_loss(x, target, two, two, NULL))));
    reel_ctx_free(ctx);
}

Test(ctc_loss, names_lengths_and_labels_out_of_range)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(4, 2, 3), REEL_F32);
    reel_tensor *fine = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 2, 1 });
    reel_tensor *large = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 2, 9 });
    reel_tensor *labels = reel_longs(ctx, REEL_SHAPE(2, 2), (int64_t[]) { 1, 2, 1, 0 });
    reel_tensor *wrong = reel_longs(ctx, REEL_SHAPE(2, 2), (int64_t[]) { 1, 3, 1, 0 });
    static const char *const messages[] = {
        "ctc_loss: input length is 9 for sample 1, but must be in [0, 4]",
        "ctc_loss: target length is 9 for sample 1, but must be in [0, 2]",
        "ctc_loss: target is 3 at label 1 of sample 0, but there are 3 classes",
    };
    reel_tensor *losses[] = { reel_ctc_loss(x, labels, large, fine, NULL), reel_ctc_loss(x, labels, fine, large, NULL),
                              reel_ctc_loss(x, wrong, fine, fine, NULL) };
    for (int i = 0; i < 3; i++) {
        cr_assert_not(reel_eval(losses[i]));
        cr_assert_str_eq(reel_ctx_error_message(ctx), messages[i]);
        reel_ctx_clear_error(ctx);
    }
    reel_ctx_free(ctx);
}

Test(loss, refuses_what_it_cannot_do)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_F32), *t = reel_zeros(ctx, REEL_SHAPE(4, 3), REEL_F32);
    reel_tensor *whole = reel_zeros(ctx, REEL_SHAPE(2), REEL_I64), *three = reel_zeros(ctx, REEL_SHAPE(3), REEL_I64);
    reel_tensor *w = reel_zeros(ctx, REEL_SHAPE(2), REEL_F32), *real = reel_zeros(ctx, REEL_SHAPE(2), REEL_F32);
    refused(ctx, reel_mse_loss(x, t, NULL), "mse_loss", "do not broadcast");
    refused(ctx, reel_mse_loss(whole, whole, NULL), "mse_loss", "int64");
    refused(ctx, reel_mse_loss(x, x, &(reel_loss_opts) { .reduction = REEL_REDUCTION_BATCHMEAN }), "mse_loss",
            "reduction 3");
    refused(ctx, reel_huber_loss(x, x, &(reel_huber_opts) { .delta = -1 }), "huber_loss", "delta is -1");
    refused(ctx, reel_smooth_l1_loss(x, x, &(reel_smooth_l1_opts) { .beta = -1 }), "smooth_l1_loss", "beta is -1");
    refused(ctx, reel_cross_entropy(x, three, NULL), "cross_entropy", "asks for [2]");
    refused(ctx, reel_cross_entropy(x, real, NULL), "cross_entropy", "float32");
    refused(ctx, reel_cross_entropy(x, whole, &(reel_cross_entropy_opts) { .weight = w }), "cross_entropy",
            "there are 3 classes");
    refused(ctx, reel_cross_entropy(x, whole, &(reel_cross_entropy_opts) { .label_smoothing = 2 }), "cross_entropy",
            "label_smoothing is 2");
    refused(ctx, reel_nll_loss(reel_scalar(ctx, REEL_F32, 0), whole, NULL), "nll_loss", "scalar");
    refused(ctx, reel_binary_cross_entropy(x, t, NULL), "binary_cross_entropy", "must be equal");
    refused(ctx, reel_binary_cross_entropy_with_logits(x, t, NULL), "binary_cross_entropy_with_logits",
            "must be equal");
    refused(ctx, reel_cosine_similarity(x, x, 2, NULL), "cosine_similarity", "dim is 2");
    refused(ctx, reel_cosine_embedding_loss(x, x, x, NULL), "cosine_embedding_loss", "[N, D] and [N]");
    refused(ctx, reel_triplet_margin_loss(x, x, w, NULL), "triplet_margin_loss", "do not broadcast");
    refused(ctx, reel_triplet_margin_loss(x, x, x, &(reel_triplet_opts) { .margin = -1 }), "triplet_margin_loss",
            "margin is -1");
    refused(ctx, reel_ctc_loss(w, whole, whole, whole, NULL), "ctc_loss", "[T, N, C]");
    refused(ctx, reel_ctc_loss(x, three, whole, whole, NULL), "ctc_loss", "input_lengths");
    reel_ctx_free(ctx);
}
