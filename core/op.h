// SPDX-License-Identifier: MIT
// The op descriptor: what a primitive is, Reel's own or a user's.
#ifndef REEL_CORE_OP_H
#define REEL_CORE_OP_H

#include <reel/core/tensor.h>

REEL_BEGIN

#define REEL_MAX_OUTPUTS 4
#define REEL_MAX_ATTRS 512 /* bytes of an op's attributes */

typedef struct reel_op reel_op;

/* What infer says of one output. Strides and offset (in elements from input 0's first one) are for
 * REEL_OP_VIEW only. */
typedef struct reel_spec {
    reel_dtype dtype;
    reel_shape shape;
    int64_t strides[REEL_MAX_DIMS];
    int64_t offset;
} reel_spec;

/* Seen by infer. Inputs that may be left out are NULL. */
typedef struct reel_infer {
    const reel_op *op;
    reel_ctx *ctx;
    int n_in;
    reel_tensor *const *in;
    const void *attrs;
    int n_out; /* set by infer; 1 on entry */
    reel_spec out[REEL_MAX_OUTPUTS];
} reel_infer;

/* Records "<op>: <message> (input 0: float32 [2, 3], ...)" and returns false. */
REEL_API bool reel_infer_fail(const reel_infer *infer, reel_error error, const char *format, ...) REEL_PRINTF(3, 4);

/* Output k is of `dtype` and `shape`; fails when the shape is negative or too large for memory. */
REEL_API bool reel_infer_out(reel_infer *infer, int k, reel_dtype dtype, reel_shape shape);

/* The usual inferences: one output like input 0; like the broadcast of all inputs, which must have one dtype. */
REEL_API bool reel_infer_same(reel_infer *infer);
REEL_API bool reel_infer_broadcast(reel_infer *infer);

/* Memory of one operand as a kernel sees it; strides count elements and may be 0 (broadcast) or negative. */
typedef struct reel_buffer {
    void *data; /* NULL for an input left out */
    const int64_t *shape;
    const int64_t *strides;
    int64_t numel;
    int ndim;
    reel_dtype dtype;
    bool turned; /* private: the batch lies innermost (ops/turned.h), only where the op's `turns` allows it */
} reel_buffer;

/* Private: the op behind, which play does as well (reel_op.folds has agreed); its input 0 is output 0, which has no memory
 * then. */
typedef struct reel_play_next {
    const void *attrs;
    int n_out;
    const reel_buffer *out;
    bool relu; /* max(0, .) of its output 0 */
} reel_play_next;

/* Seen by play. Outputs are uninitialised, row-major and never overlap the inputs. */
typedef struct reel_play {
    const reel_op *op;
    reel_ctx *ctx;
    const reel_exec *exec;
    const void *attrs;
    int n_in, n_out;
    const reel_buffer *in;
    const reel_buffer *out;
    bool relu;        /* private: max(0, .) of output 0, asked only of ops with REEL_OP_RELU */
    const reel_play_next *next; /* private: NULL, or what else is to be done, asked only of ops with `folds` */
    const void *node; /* private */
} reel_play;

/* For what only values can tell (an index out of range). Both return false. Call them outside parallel regions. */
REEL_API bool reel_play_fail(const reel_play *play, reel_error error, const char *format, ...) REEL_PRINTF(3, 4);
REEL_API bool reel_play_out_of_memory(const reel_play *play);

/* `bytes` of memory to keep what a play makes of input i alone (a weight in a kernel's layout) for plays to come: with
 * `*ready` it holds what was left in it under this tag, else it is to be filled. NULL when the input is not a leaf of its
 * own memory, has changed since it was last asked for (so that what changes at every step is never kept), or the context
 * keeps half a GiB already; then use reel_scratch. It goes when the value is overwritten. Call it outside parallel regions. */
REEL_API void *reel_play_keep(const reel_play *play, int i, uint32_t tag, size_t bytes, bool *ready);

/* Seen by vjp: cot[k] is the cotangent of output k (NULL: zero), grad[i] is to be set to the cotangent of input i (NULL
 * stays zero). Everything in it is recorded with public ops, so that gradients of any order exist. A grad may be of the
 * input's broadcast shape: it is summed back to the input's. */
typedef struct reel_vjp {
    const reel_op *op;
    reel_ctx *ctx;
    const void *attrs;
    int n_in, n_out;
    reel_tensor *const *cot;
    reel_tensor **grad;
    const void *node; /* private */
} reel_vjp;

/* Input i and output k as recorded (NULL for an input left out). An error when the value has been overwritten since. */
REEL_API reel_tensor *reel_vjp_input(const reel_vjp *vjp, int i);
REEL_API reel_tensor *reel_vjp_output(const reel_vjp *vjp, int k);
/* Their shape and dtype, which need no value: no error ever. */
REEL_API reel_shape reel_vjp_input_shape(const reel_vjp *vjp, int i);
REEL_API reel_dtype reel_vjp_input_dtype(const reel_vjp *vjp, int i);

/* Whether grad[i] will be looked at: skip the work when not. */
REEL_API bool reel_vjp_wants(const reel_vjp *vjp, int i);

enum {
    REEL_OP_VIEW = 1,    /* the output is the input's memory under other strides; play is NULL         */
    REEL_OP_STRIDED = 2, /* play takes any strides; without it inputs are made row-major before        */
    REEL_OP_INPLACE = 4, /* overwrites input 0 (and those its `writes` names); no outputs              */
    REEL_OP_RANDOM = 8,  /* attributes past key_size (seeds and offsets) change from step to step      */
    REEL_OP_RELU = 16,   /* private: play heeds reel_play's relu, so that a relu behind costs no pass  */
    REEL_OP_LIKE = 64,   /* private: of operands of one shape and floating dtype the result has these too, and none is refused */
    REEL_OP_CHEAP = 32   /* a play takes little more than its memory's reading and writing: it may be played again
                          * rather than its results kept (reel_ctx_opts.recompute); elementwise ops always may     */
};

/* Private: an application of `op` to `tensors` (inputs, then outputs), whose output 0 only `next` reads, as its input 0. */
typedef struct reel_op_pair {
    const reel_exec *exec;
    const void *attrs, *next_attrs;
    reel_tensor *const *tensors;
    int n_in;
    const struct reel_op *next;
} reel_op_pair;

/* Private: an application whose operands may lie turned: `tensors` are the inputs, then the outputs. */
typedef struct reel_op_turns {
    const reel_exec *exec;
    const void *attrs;
    reel_tensor *const *tensors;
    int n_in;
} reel_op_turns;

#define REEL_TURNS_TOGETHER (1u << 31) /* all of them or none */

/* A primitive. Constant, and alive as long as any context that used it. A name and infer every op has, play every one but a
 * view: what lacks one is refused when it is recorded. */
struct reel_op {
    const char *name;
    bool (*infer)(reel_infer *infer);       /* the only place that rejects operands; completes nothing else      */
    bool (*play)(const reel_play *play);    /* buffers in, buffers out; pure; same bits at any thread count      */
    bool (*vjp)(reel_vjp *vjp);             /* NULL: not differentiable                                         */
    uint32_t flags;                         /* REEL_OP_...                                                       */
    uint16_t attrs_size;                    /* bytes of the attribute struct: plain data, zero-padded            */
    uint16_t key_size;                      /* its leading bytes that shape a plan; 0: all of them               */
    uint16_t pointwise;                     /* private: the tile kernel of an elementwise op                     */
    uint16_t writes;                        /* REEL_OP_INPLACE: how many leading inputs are overwritten; 0 is 1  */
    uint32_t optional;                      /* bit i: input i may be left out (NULL); other NULLs are errors     */
    double (*flops)(const reel_play *play); /* arithmetic of a play, for profiles; NULL: not counted             */
    bool (*folds)(const reel_op_pair *fold);   /* private: whether play would do the op behind with less work; or NULL */
    /* Private: which operands play takes turned: bit i is input i, bit n_in + k is output k, its own or that of the op
     * played with it. NULL: none. */
    uint32_t (*turns)(const reel_op_turns *turns);
};

/* Records one application. Inputs that may be left out are NULL. Returns output 0, and all outputs through `out` when it
 * is not NULL (infer says how many). The context is the first operand's; reel_apply_in names it for ops without. */
REEL_API reel_tensor *reel_apply(const reel_op *op, reel_tensor *const *in, int n_in, const void *attrs,
                                 reel_tensor **out);
REEL_API reel_tensor *reel_apply_in(reel_ctx *ctx, const reel_op *op, reel_tensor *const *in, int n_in,
                                    const void *attrs, reel_tensor **out);

/* REEL_COMPOSITE(ctx) { ... } is the scope of an op made of ops: its temporaries die at its end, what reel_scope_return
 * names lives on, and unlike at the end of a REEL_SCOPE nothing is ever played. */
#define REEL_COMPOSITE(ctx) REEL_GUARDED_(reel_composite_guard, ctx, __LINE__)
REEL_API reel_guard reel_composite_guard(reel_ctx *ctx);
REEL_API void reel_composite_guard_end(reel_guard *guard);

REEL_END

#endif
