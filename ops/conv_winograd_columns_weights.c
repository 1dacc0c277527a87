// SPDX-License-Identifier: MIT
// Weights of convolution by Winograd along columns: through G, once for all plays of a weight that does not change.
#include <reel/ops/conv_winograd_columns.h>
#include <reel/ops/sizes.h>

typedef struct filling {
    const reel_columns_weights *w;
    const reel_columns_terms *terms;
    int64_t n, most; /* of the terms: lists, and the longest */
    size_t size;
    reel_images_powers powers;
    int64_t *from; /* of each worker: where the taps of a list lie */
} filling;

/* The weights of an output of a group. */
static void filter_chunk(void *arg, int64_t chunk, int worker)
{
    const filling *f = arg;
    const reel_columns_weights *w = f->w;
    int64_t group = chunk / w->outputs, o = chunk % w->outputs, height = w->g->kernel[1], width = w->g->kernel[2];
    int64_t *from = f->from + worker * f->most;
    int64_t own = group * w->inputs * w->outputs * height * width + o * w->of_output;
    for (int64_t i = 0; i < f->n; i++) {
        const reel_columns_terms *terms = &f->terms[i];
        int64_t tap[REEL_COLUMNS_PRODUCTS], depth = 0, to = terms->to + o * terms->apart;
        for (int64_t t = 0; t < w->taps; t++) {
            int64_t row = terms->first[0] + t * w->step[0];
            tap[t] = row >= 0 && row < height ? row * width : -1;
        }
        for (int64_t c = 0; c < w->inputs; c++)
            for (int64_t t = 0; t < terms->count; t++)
                from[depth++] = c * w->of_input + terms->first[1] + t * w->step[1];
        reel_images_filter(f->size, depth, &f->powers, from, tap, at(w->weight, own, f->size),
                           at(w->packed, group * REEL_COLUMNS_PRODUCTS * w->of_product + to, f->size), w->of_product);
    }
}

bool reel_columns_keep(reel_columns_weights *w, const reel_images_kernels *k, const reel_conv_epilogue *epilogue,
                       int layout, const int64_t first[2], bool *ready)
{
    size_t weights = (size_t)(w->g->groups * REEL_COLUMNS_PRODUCTS * w->of_product);
    w->packed = reel_conv_filters(k->exec, epilogue, REEL_CONV_TAG(layout, w->g->groups),
                                  &(reel_conv_key) { { w->step[0], w->step[1], first[0], first[1] } },
                                  reel_bytes(weights, k->size), ready);
    return w->packed;
}

bool reel_columns_fill(const reel_columns_weights *w, const reel_images_kernels *k, const reel_columns_terms *terms,
                       int64_t n)
{
    filling f = { .w = w, .terms = terms, .n = n, .size = k->size };
    for (int64_t i = 0; i < n; i++) f.most = larger(f.most, round_up(w->inputs * terms[i].count, 8));
    f.from = reel_scratch(k->exec, reel_bytes((size_t)f.most * sizeof *f.from, (size_t)k->exec->threads));
    if (!f.from) return false;
    reel_images_fill_powers(w->taps, REEL_COLUMNS_PRODUCTS, &f.powers);
    reel_parallel(k->exec, w->g->groups * w->outputs, filter_chunk, &f);
    return true;
}
