// SPDX-License-Identifier: MIT
// Private to the pooling ops: windows as attributes, their checks, and the spans the kernels walk.
#ifndef REEL_OPS_POOL_GEOMETRY_H
#define REEL_OPS_POOL_GEOMETRY_H

#include <reel/core/op.h>
#include <reel/ops/kernels/pool.h>
#include <reel/ops/pool.h>
#include <reel/ops/table.h>

/* Attributes of every pooling op. Lists have three axes: a pool of fewer has leading windows of 1. */
typedef struct reel_pool_attrs {
    int64_t kernel[3], stride[3], padding[3], dilation[3];
    int64_t size[3]; /* of the output, in adaptive pools and in adjoints */
    int64_t divisor;
    int32_t axes; /* 1 to 3 */
    bool ceil_mode, exclude_pad, adaptive;
    bool taps; /* max pooling: a second output tells where the maxima stand */
} reel_pool_attrs;

/* Attributes of options, defaults filled in; `opts` NULL gives a window of 0, which the checks refuse. */
reel_pool_attrs reel_pool_attrs_of(int axes, const reel_pool_opts *opts);
/* Attributes of an adaptive pool. false and an error when `size` has neither one entry nor `axes`. */
bool reel_pool_attrs_adaptive(reel_tensor *x, const char *name, int axes, reel_shape size, reel_pool_attrs *attrs);

/* Checks input 0 and the windows, and gives the output's shape. */
bool reel_pool_infer(const reel_infer *infer, reel_shape *out);

/* The shape of `x` with its last `axes` sizes replaced by the last of `size`. */
reel_shape reel_pool_shape(reel_shape x, int axes, const int64_t size[3]);
/* The last three sizes, 1 where there are fewer axes. */
void reel_pool_sizes(const int64_t *shape, int ndim, int axes, int64_t size[3]);
/* The number of planes in front of the last `axes` axes. */
int64_t reel_pool_planes(const reel_buffer *b, int axes);

/* Spans of the windows between a plane of sizes `in` and one of sizes `out`, in scratch memory. `averages` sets counts.
 */
bool reel_pool_plane_of(const reel_play *play, const int64_t in[3], const int64_t out[3], bool averages,
                        reel_pool_plane *plane);

/* Whether `op` is a max pool of 2 x 2 windows with stride 2 and no padding, in images of height and width h, w. */
bool reel_max_pool_is_pairs(const reel_op *op, const void *attrs, int64_t h, int64_t w);

/* Planes to a chunk of parallel work, by their size alone. */
int64_t reel_pool_chunk(int64_t in_plane, int64_t out_plane);

/* For table rows: a list of one or `axes` integers, at least `least` each, into `values` (one for all); with none given
 * the values stay. The op's name is for the message. */
bool reel_pool_args_ints(const reel_call_args *args, const char *op, const char *name, int axes, int64_t least,
                         int64_t *values);
/* kernel_size, stride, padding, dilation and ceil_mode, those the row has. */
bool reel_pool_args(const reel_call_args *args, const char *op, int axes, bool padding, bool dilation,
                    reel_pool_opts *opts);
/* output_size, null keeping x's size. */
bool reel_pool_args_size(const reel_call_args *args, const char *op, int axes, reel_shape *size);

#endif
