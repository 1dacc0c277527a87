// SPDX-License-Identifier: MIT
// Fused groups: chains and trees of elementwise ops, evaluated tile by tile in one pass over memory. Not installed.
#ifndef REEL_CORE_FUSE_H
#define REEL_CORE_FUSE_H

#include <reel/core/internal.h>
#include <reel/ops/kernels/pointwise.h>

/* How an operand meets the group's row-major result. */
typedef enum reel_operand_kind {
    REEL_OPERAND_MEMORY, /* element i of the result meets element i of its memory         */
    REEL_OPERAND_TILE,   /* lives in a tile buffer only                                   */
    REEL_OPERAND_SCALAR, /* one element meets all                                         */
    REEL_OPERAND_STRIDED /* broadcast or strided: laid out in a tile buffer, tile by tile */
} reel_operand_kind;

typedef struct reel_operand {
    int32_t value;  /* in the plan                             */
    int16_t buffer; /* tile buffer, -1 for MEMORY              */
    uint8_t kind, size;
    bool written;   /* an output in memory                     */
    bool read;      /* memory from before the group: it may end with its last element, what is written has room for lanes */
} reel_operand;

typedef struct reel_fused_op {
    reel_tile_fn *fn;
    int32_t node, source; /* in the plan, and in the list: see reel_plan_node */
    int16_t in[3], out; /* operands; -1 for none */
    bool attrs;         /* it has some           */
} reel_fused_op;

typedef struct reel_fused {
    reel_fused_op *ops;
    reel_operand *operands;
    int64_t (*strides)[REEL_MAX_DIMS]; /* by operand, of STRIDED ones: by the result's axes */
    int32_t n_ops, n_operands, n_buffers;
    int32_t tile;         /* elements */
    int64_t numel;
    int ndim;
    int64_t shape[REEL_MAX_DIMS];
} reel_fused;

#define REEL_FUSED_MOST_OPS 256
#define REEL_FUSED_MOST_OPERANDS (4 * REEL_FUSED_MOST_OPS)

/* Plays a group. address[v] is the memory of value v; the list's nodes give the attributes. False when memory is short. */
bool reel_fused_play(const reel_fused *group, const reel_exec *exec, void *const *address, reel_node *const *nodes);

#endif
