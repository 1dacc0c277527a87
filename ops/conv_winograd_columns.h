// SPDX-License-Identifier: MIT
// What both passes of convolution by Winograd along columns do with their weights. Not installed.
#ifndef REEL_OPS_CONV_WINOGRAD_COLUMNS_H
#define REEL_OPS_CONV_WINOGRAD_COLUMNS_H

#include <reel/ops/conv_images.h>

enum { REEL_COLUMNS_PRODUCTS = 8 };

/* Weights through G along columns. */
typedef struct reel_columns_weights {
    const reel_conv_geom *g;
    const void *weight;
    int64_t inputs, outputs;     /* of a group                                                            */
    int64_t of_input, of_output; /* elements of the weight from one to the next                           */
    int64_t step[2];             /* from a tap of a product, and of a row of it, to the next              */
    int64_t taps;                /* along columns, those outside of the kernel included, which are zero   */
    int64_t of_product;          /* weights of a product                                                  */
    void *packed;                /* [group][product][of_product]                                          */
} reel_columns_weights;

/* Of a product, the weights of output o from `to` + o * apart on: [input][tap along rows]. */
typedef struct reel_columns_terms {
    int64_t first[2], count; /* taps along columns and rows: the first; those along rows */
    int64_t to, apart;
} reel_columns_terms;

/* Memory for `packed`, kept from play to play where it may be (ready: it is filled). What it depends on besides the
 * weight and `step` is `first`, under a layout of REEL_CONV_TAG. False when memory is short. */
bool reel_columns_keep(reel_columns_weights *w, const reel_images_kernels *k, const reel_conv_epilogue *epilogue,
                       int layout, const int64_t first[2], bool *ready);

/* Fills it with `n` lists of terms for every output; false when memory is short. */
bool reel_columns_fill(const reel_columns_weights *w, const reel_images_kernels *k, const reel_columns_terms *terms,
                       int64_t n);

#endif
