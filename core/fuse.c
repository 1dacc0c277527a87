// SPDX-License-Identifier: MIT
// Plays fused groups of elementwise ops.
#include <reel/core/fuse.h>
#include <string.h>

#define CHUNK 65536 /* elements a thread takes at a time */

typedef struct fused_run {
    const reel_fused *group;
    void *const *address;
    reel_node *const *nodes;
    char *buffers; /* of all workers */
    size_t buffer_bytes, worker_bytes;
} fused_run;

static void copy_run(void *to, const void *from, int64_t n, int64_t stride, size_t size)
{
#define RUN(type)                                                                                                      \
    do {                                                                                                               \
        type *t = to;                                                                                                  \
        const type *f = from;                                                                                          \
        for (int64_t i = 0; i < n; i++) t[i] = f[i * stride];                                                          \
    } while (0)
    if (stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 4: RUN(uint32_t); break;
    case 8: RUN(uint64_t); break;
    default: RUN(uint8_t); break;
    }
#undef RUN
}

/* Elements [begin, begin + n) of the broadcast operand, row-major. */
static void lay_out(const reel_fused *g, int32_t k, const void *from, int64_t begin, int64_t n, char *to)
{
    const int64_t *strides = g->strides[k];
    int64_t size = g->operands[k].size;
    int64_t index[REEL_MAX_DIMS], at = 0, rest = begin;
    for (int axis = g->ndim; axis-- > 0;) {
        index[axis] = rest % g->shape[axis];
        rest /= g->shape[axis];
        at += index[axis] * strides[axis];
    }
    int last = g->ndim - 1;
    while (n > 0) {
        int64_t run = g->shape[last] - index[last] < n ? g->shape[last] - index[last] : n;
        copy_run(to, (const char *)from + at * size, run, strides[last], (size_t)size);
        to += run * size;
        n -= run;
        at += run * strides[last];
        index[last] += run;
        for (int axis = last; axis > 0 && index[axis] == g->shape[axis]; axis--) {
            at += strides[axis - 1] - index[axis] * strides[axis];
            index[axis] = 0;
            index[axis - 1]++;
        }
    }
}

static inline __attribute__((always_inline)) void run_op(const fused_run *run, void **pointer, int64_t n, int32_t k)
{
    const reel_fused_op *op = &run->group->ops[k];
    op->fn(n, pointer[op->out], pointer[op->in[0]], op->in[1] >= 0 ? pointer[op->in[1]] : NULL,
           op->in[2] >= 0 ? pointer[op->in[2]] : NULL, op->attrs ? run->nodes[op->source]->attrs : NULL);
}

/* By calls from two places: where kernels alternate, a processor foresees each. */
static inline void run_ops(const fused_run *run, void **pointer, int64_t n)
{
    int32_t k = 0;
    for (; k + 1 < run->group->n_ops; k += 2) {
        run_op(run, pointer, n, k);
        run_op(run, pointer, n, k + 1);
    }
    if (k < run->group->n_ops) run_op(run, pointer, n, k);
}

/* The last few elements, fewer than a kernel takes at once: what is read passes through a buffer, zeros behind it. Memory
 * may end there, and a kernel may go another way for a vector when one of its elements asks for it. */
static void run_end(const fused_run *run, void **pointer, char *bounce, int64_t begin, int64_t n)
{
    const reel_fused *g = run->group;
    for (int32_t k = 0; k < g->n_operands; k++) {
        const reel_operand *operand = &g->operands[k];
        if (operand->kind == REEL_OPERAND_STRIDED)
            memset((char *)pointer[k] + n * operand->size, 0, (size_t)(REEL_TILE_LANES - n) * operand->size);
        if (!operand->read) continue;
        pointer[k] = bounce + (size_t)k * REEL_TILE_LANES * 8;
        memset(pointer[k], 0, REEL_TILE_LANES * 8);
        memcpy(pointer[k], (char *)run->address[operand->value] + begin * operand->size, (size_t)n * operand->size);
    }
    run_ops(run, pointer, REEL_TILE_LANES);
}

static void run_chunk(void *arg, int64_t chunk, int worker)
{
    const fused_run *run = arg;
    const reel_fused *g = run->group;
    char *buffers = run->buffers + (size_t)worker * run->worker_bytes;
    void **pointer = (void **)(void *)buffers;
    char *bounce = buffers + (size_t)g->n_operands * 8;
    bounce += -(uintptr_t)bounce & 63;
    char *tiles = bounce + (size_t)g->n_operands * REEL_TILE_LANES * 8;
    int64_t begin = chunk * CHUNK, end = begin + CHUNK < g->numel ? begin + CHUNK : g->numel;
    int64_t first = end - begin < g->tile ? (end - begin + REEL_TILE_LANES - 1) / REEL_TILE_LANES * REEL_TILE_LANES : g->tile;
    for (int32_t k = 0; k < g->n_operands; k++) {
        const reel_operand *operand = &g->operands[k];
        if (operand->buffer >= 0) pointer[k] = tiles + (size_t)operand->buffer * run->buffer_bytes;
        if (operand->kind == REEL_OPERAND_SCALAR) copy_run(pointer[k], run->address[operand->value], first, 0, operand->size);
    }
    for (int64_t i = begin; i < end;) {
        int64_t n = end - i < g->tile ? end - i : g->tile;
        if (n >= REEL_TILE_LANES) n -= n % REEL_TILE_LANES;
        for (int32_t k = 0; k < g->n_operands; k++) {
            const reel_operand *operand = &g->operands[k];
            if (operand->kind == REEL_OPERAND_MEMORY)
                pointer[k] = (char *)run->address[operand->value] + i * operand->size;
            else if (operand->kind == REEL_OPERAND_STRIDED)
                lay_out(g, k, run->address[operand->value], i, n, pointer[k]);
        }
        if (n < REEL_TILE_LANES)
            run_end(run, pointer, bounce, i, n);
        else
            run_ops(run, pointer, n);
        i += n;
    }
}

bool reel_fused_play(const reel_fused *group, const reel_exec *exec, void *const *address, reel_node *const *nodes)
{
    if (group->numel == 0) return true;
    fused_run run = { .group = group, .address = address, .nodes = nodes };
    run.buffer_bytes = (size_t)group->tile * 8 + 64;
    run.worker_bytes = (size_t)group->n_operands * (8 + REEL_TILE_LANES * 8) + (size_t)group->n_buffers * run.buffer_bytes + 128;
    run.worker_bytes = (run.worker_bytes + 63) & ~(size_t)63;
    int64_t chunks = (group->numel + CHUNK - 1) / CHUNK;
    int workers = chunks < exec->threads ? (int)chunks : exec->threads;
    run.buffers = reel_scratch(exec, run.worker_bytes * (size_t)workers);
    if (!run.buffers) return false;
    reel_parallel(exec, chunks, run_chunk, &run);
    return true;
}
