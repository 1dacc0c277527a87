// SPDX-License-Identifier: MIT
// Private to the normalisation ops: their attributes, and the one geometry all of them are played in.
#ifndef REEL_OPS_NORM_PRIMITIVE_H
#define REEL_OPS_NORM_PRIMITIVE_H

#include <reel/core/op.h>

typedef enum norm_kind { NORM_BATCH, NORM_RUNNING, NORM_LAYER, NORM_RMS, NORM_GROUP, NORM_INSTANCE } norm_kind;

enum { NORM_WANT_INPUT = 1, NORM_WANT_WEIGHT = 2, NORM_WANT_BIAS = 4 };

typedef struct norm_attrs {
    double eps;
    int64_t groups;              /* NORM_GROUP                                    */
    reel_shape normalized_shape; /* NORM_LAYER, NORM_RMS                          */
    int32_t kind;
    int32_t want; /* the backward op's outputs: NORM_WANT_..., in this order */
} norm_attrs;

/* The input as [n, g, c, s]: there is one weight for each (g, c), and one mean and variance for each (n, g), or with
 * `batch` for each g. */
typedef struct norm_geometry {
    int64_t n, g, c, s;
    bool batch, center;
} norm_geometry;

norm_geometry reel_norm_geometry(const norm_attrs *attrs, reel_shape shape);

/* Elements behind one mean. */
int64_t reel_norm_count(const norm_geometry *geometry);

/* (input, weight?, bias?) -> (y, mean, var), or with NORM_RUNNING (input, mean, var, weight?, bias?) -> y. */
bool reel_norm_play(const reel_play *play);
bool reel_norm_running_play(const reel_play *play);
/* (gy, input, mean, var, weight?) -> what attrs.want says. */
bool reel_norm_backward_play(const reel_play *play);

extern const reel_op reel_op_batch_norm, reel_op_batch_norm_running, reel_op_layer_norm, reel_op_rms_norm,
    reel_op_group_norm, reel_op_instance_norm, reel_op_instance_norm_running, reel_op_norm_backward;

#endif
