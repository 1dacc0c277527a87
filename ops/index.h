// SPDX-License-Identifier: MIT
// Reading and adding at places a tensor of integers names.
//
// An index is int64 (or int32 where slices are named: index_select, index_add, embedding, one_hot), of values in [0, n)
// for an axis of n elements; any other is an error of playing that names the value and where it stands. Sums at one
// place are taken in the order of the index, at any number of threads.
#ifndef REEL_OPS_INDEX_H
#define REEL_OPS_INDEX_H

#include <reel/core/op.h>

REEL_BEGIN

/* y[i][j][k] = x[index[i][j][k]][j][k] for dim 0, and so on; y has the shape of index, whose rank is x's and whose
 * sizes on the other axes are at most x's. */
REEL_API reel_tensor *reel_gather(reel_tensor *x, reel_tensor *index, int dim);

/* x, with src[i][j][k] added at [index[i][j][k]][j][k] for dim 0, and so on. index is at most of src's size on every
 * axis and of x's on every other axis. */
REEL_API reel_tensor *reel_scatter_add(reel_tensor *x, reel_tensor *index, reel_tensor *src, int dim);

/* reel_gather where x and index are broadcast against each other on the other axes, as torch.take_along_dim. */
REEL_API reel_tensor *reel_take_along(reel_tensor *x, reel_tensor *index, int dim);

/* Slices index[0], index[1], ... of an axis; index: [n] or a scalar. */
REEL_API reel_tensor *reel_index_select(reel_tensor *x, reel_tensor *index, int dim);

/* x, with slice k of src added to its slice index[k] along `dim`; index: [n]. */
REEL_API reel_tensor *reel_index_add(reel_tensor *x, reel_tensor *index, reel_tensor *src, int dim);

typedef struct reel_embedding_opts {
    bool has_padding_idx;
    int64_t padding_idx;     /* a row that gets no gradient; negative: from the end                   */
    bool scale_grad_by_freq; /* each row's gradient is divided by how often the input names the row */
} reel_embedding_opts;

/* Row input[...] of weight: input: [...] integers, weight: [V, D] -> [..., D]. */
REEL_API reel_tensor *reel_embedding(reel_tensor *input, reel_tensor *weight, const reel_embedding_opts *opts);

/* int64, 1 at [..., x[...]] and 0 elsewhere: x: [...] integers -> [..., classes]. With classes -1 (PyTorch's default) x
 * is played at once and classes is its largest value plus one. */
REEL_API reel_tensor *reel_one_hot(reel_tensor *x, int64_t classes);

REEL_END

#endif
