// SPDX-License-Identifier: MIT
// Losses. Every one is reduced to its mean unless the options say otherwise.
#ifndef REEL_OPS_LOSS_H
#define REEL_OPS_LOSS_H

#include <reel/core/tensor.h>

REEL_BEGIN

typedef enum reel_reduction {
    REEL_REDUCTION_MEAN,
    REEL_REDUCTION_SUM,
    REEL_REDUCTION_NONE,
    REEL_REDUCTION_BATCHMEAN /* the sum over the first axis' size; kl_div only */
} reel_reduction;

typedef struct reel_cross_entropy_opts {
    reel_tensor *weight; /* [C], by class; takes no part in differentiation     */
    bool ignore;         /* whether ignore_index is given; otherwise it is -100 */
    int64_t ignore_index;
    double label_smoothing; /* in [0, 1] */
    reel_reduction reduction;
} reel_cross_entropy_opts;

/* -sum_c q_c log softmax(input)_c, where q is the target's distribution over classes.
 * input: [C], [N, C] or [N, C, d1, ...]; target: int64 classes [], [N] or [N, d1, ...], or probabilities of input's
 * shape. With classes q_c = (1 - label_smoothing) weight_y [c = y] + label_smoothing / C weight_c, and the mean divides
 * by the sum of weight_y over the samples whose class is not ignore_index; with probabilities
 * q_c = weight_c ((1 - label_smoothing) target_c + label_smoothing / C), and the mean divides by the number of samples.
 * A class outside [0, C) that is not ignore_index is an error found when the loss is played. */
REEL_API reel_tensor *reel_cross_entropy(reel_tensor *input, reel_tensor *target, const reel_cross_entropy_opts *opts);

typedef struct reel_nll_loss_opts {
    reel_tensor *weight; /* [C] */
    bool ignore;
    int64_t ignore_index;
    reel_reduction reduction;
} reel_nll_loss_opts;

/* -weight_y input_y: cross_entropy of log probabilities. Shapes and errors as there, classes only. */
REEL_API reel_tensor *reel_nll_loss(reel_tensor *input, reel_tensor *target, const reel_nll_loss_opts *opts);

typedef struct reel_loss_opts {
    reel_reduction reduction;
} reel_loss_opts;

/* (input - target)^2 and |input - target|; the two broadcast. */
REEL_API reel_tensor *reel_mse_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts);
REEL_API reel_tensor *reel_l1_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts);

typedef struct reel_smooth_l1_opts {
    double beta; /* 0 means 1 */
    reel_reduction reduction;
} reel_smooth_l1_opts;

/* With d = |input - target|: d^2 / (2 beta) where d < beta, else d - beta / 2 (Girshick 2015). */
REEL_API reel_tensor *reel_smooth_l1_loss(reel_tensor *input, reel_tensor *target, const reel_smooth_l1_opts *opts);

typedef struct reel_huber_opts {
    double delta; /* 0 means 1 */
    reel_reduction reduction;
} reel_huber_opts;

/* With d = |input - target|: d^2 / 2 where d <= delta, else delta (d - delta / 2) (Huber 1964). */
REEL_API reel_tensor *reel_huber_loss(reel_tensor *input, reel_tensor *target, const reel_huber_opts *opts);

typedef struct reel_binary_cross_entropy_opts {
    reel_tensor *weight;     /* broadcastable to input */
    reel_tensor *pos_weight; /* broadcastable to input; with logits only: the weight of the positive answers */
    reel_reduction reduction;
} reel_binary_cross_entropy_opts;

/* -weight (target log input + (1 - target) log(1 - input)), the logarithms cut off at -100; input in [0, 1] (else an
 * error when played), of target's shape. */
REEL_API reel_tensor *reel_binary_cross_entropy(reel_tensor *input, reel_tensor *target,
                                                const reel_binary_cross_entropy_opts *opts);

/* -weight (pos_weight target log s(input) + (1 - target) log(1 - s(input))), s the sigmoid, without overflow. */
REEL_API reel_tensor *reel_binary_cross_entropy_with_logits(reel_tensor *input, reel_tensor *target,
                                                            const reel_binary_cross_entropy_opts *opts);

typedef struct reel_kl_div_opts {
    bool log_target; /* target holds log probabilities */
    reel_reduction reduction;
} reel_kl_div_opts;

/* target (log target - input), or exp(target) (target - input) with log_target; 0 log 0 = 0. */
REEL_API reel_tensor *reel_kl_div(reel_tensor *input, reel_tensor *target, const reel_kl_div_opts *opts);

typedef struct reel_cosine_opts {
    double eps; /* 0 means 1e-8 */
} reel_cosine_opts;

/* sum x1 x2 / (max(||x1||, eps) max(||x2||, eps)) along axis `dim`; the two broadcast. */
REEL_API reel_tensor *reel_cosine_similarity(reel_tensor *x1, reel_tensor *x2, int dim, const reel_cosine_opts *opts);

typedef struct reel_ctc_opts {
    int64_t blank; /* the class of the blank */
    reel_reduction reduction;
    bool zero_infinity; /* a target that does not fit its input costs 0 instead of infinity */
} reel_ctc_opts;

/* Connectionist temporal classification: -log of the probability that the frames' classes spell the target (Graves et
 * al. 2006, eq. 6-8). log_probs: [T, N, C] or [T, C]; targets: int64 [N, S], or all targets end to end [sum of
 * target_lengths]; input_lengths, target_lengths: int64 [N] (or []). The mean divides each loss by its target length
 * (at least 1) first. Lengths or classes out of range are errors found when the loss is played. */
REEL_API reel_tensor *reel_ctc_loss(reel_tensor *log_probs, reel_tensor *targets, reel_tensor *input_lengths,
                                    reel_tensor *target_lengths, const reel_ctc_opts *opts);

typedef struct reel_margin_opts {
    double margin; /* 0 means PyTorch's default, given at each loss */
    reel_reduction reduction;
} reel_margin_opts;

/* max(0, -target (input1 - input2) + margin), target in {1, -1}; margin 0. */
REEL_API reel_tensor *reel_margin_ranking_loss(reel_tensor *input1, reel_tensor *input2, reel_tensor *target,
                                               const reel_margin_opts *opts);

/* input where target is 1, max(0, margin - input) where it is -1; margin 1. */
REEL_API reel_tensor *reel_hinge_embedding_loss(reel_tensor *input, reel_tensor *target, const reel_margin_opts *opts);

/* With s the cosine similarity along the last axis: 1 - s where target is 1, max(0, s - margin) where it is -1;
 * input1, input2: [N, D] or [D]; target: [N] or []; margin 0. */
REEL_API reel_tensor *reel_cosine_embedding_loss(reel_tensor *input1, reel_tensor *input2, reel_tensor *target,
                                                 const reel_margin_opts *opts);

typedef struct reel_triplet_opts {
    double margin; /* 0 means 1                                                                */
    double p;      /* of the norm; 0 means 2                                                   */
    double eps;    /* added to each difference; 0 means 1e-6                                   */
    bool swap;     /* take the positive's distance to the negative where it is the smaller one */
    reel_reduction reduction;
} reel_triplet_opts;

/* max(0, |anchor - positive| - |anchor - negative| + margin), the p-norms along the last axis; operands broadcast
 * (Balntas et al. 2016). */
REEL_API reel_tensor *reel_triplet_margin_loss(reel_tensor *anchor, reel_tensor *positive, reel_tensor *negative,
                                               const reel_triplet_opts *opts);

/* log(1 + exp(-target input)), target in {1, -1}. */
REEL_API reel_tensor *reel_soft_margin_loss(reel_tensor *input, reel_tensor *target, const reel_loss_opts *opts);

typedef struct reel_poisson_nll_opts {
    bool rates; /* input is the rate itself (PyTorch's log_input = false) */
    bool full;  /* add Stirling's approximation of log target!            */
    double eps; /* added to a rate; 0 means 1e-8                          */
    reel_reduction reduction;
} reel_poisson_nll_opts;

/* exp(input) - target input, or input - target log(input + eps) with rates. */
REEL_API reel_tensor *reel_poisson_nll_loss(reel_tensor *input, reel_tensor *target, const reel_poisson_nll_opts *opts);

typedef struct reel_gaussian_nll_opts {
    bool full;  /* add log(2 pi) / 2                       */
    double eps; /* the least variance taken; 0 means 1e-6  */
    reel_reduction reduction;
} reel_gaussian_nll_opts;

/* (log var + (input - target)^2 / var) / 2, var at least eps and of input's shape, or without (or with 1 as) its last
 * axis. A negative variance is an error found when the loss is played. */
REEL_API reel_tensor *reel_gaussian_nll_loss(reel_tensor *input, reel_tensor *target, reel_tensor *var,
                                             const reel_gaussian_nll_opts *opts);

REEL_END

#endif
