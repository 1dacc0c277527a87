// SPDX-License-Identifier: MIT
// Scaled dot-product attention.
#ifndef REEL_OPS_ATTENTION_H
#define REEL_OPS_ATTENTION_H

#include <reel/core/random.h>

REEL_BEGIN

typedef struct reel_attention_opts {
    bool is_causal;            /* a query sees no key behind its own index; not together with a mask */
    double scale;              /* 0 means 1 / sqrt(D)                                                */
    double dropout_p;          /* dropout of the weights                                             */
    reel_generator *generator; /* of the dropout; NULL: the context's                                */
} reel_attention_opts;

/* softmax(query key^T * scale + mask) value (Vaswani et al. 2017, eq. 1).
 * query: [..., L, D]; key: [..., S, D]; value: [..., S, E]; mask: broadcastable to [..., L, S] or NULL: added when it is
 * floating, and when it is bool, true where a query may look -> [..., L, E]. A query that may look nowhere gives 0. */
REEL_API reel_tensor *reel_scaled_dot_product_attention(reel_tensor *query, reel_tensor *key, reel_tensor *value,
                                                        reel_tensor *mask, const reel_attention_opts *opts);

REEL_END

#endif
