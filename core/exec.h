// SPDX-License-Identifier: MIT
// What a kernel may ask of the machine: threads, an instruction set and scratch memory.
#ifndef REEL_CORE_EXEC_H
#define REEL_CORE_EXEC_H

#include <reel/core/export.h>

REEL_BEGIN

/* Instruction sets kernels are compiled for, slowest first. `base` is SSE2 on x86-64 and NEON on aarch64. */
typedef enum reel_isa { REEL_ISA_PORTABLE, REEL_ISA_BASE, REEL_ISA_AVX2, REEL_ISA_AVX512 } reel_isa;

/* Handed to every play; owned by the context. */
typedef struct reel_exec {
    reel_isa isa;
    int threads;   /* threads a parallel region may use; never a reason to cut work differently */
    void *scratch; /* private: the scratch allocations of the running op */
    const char **method; /* private: where a play says how it went about it, for a profile; NULL when none is taken */
} reel_exec;

/* One piece of parallel work: `chunk` counts from 0, `worker` is below exec->threads and is for scratch only. */
typedef void reel_task(void *arg, int64_t chunk, int worker);

/* Runs task(arg, chunk, worker) for every chunk in [0, chunks), spread over the threads in no fixed order, and waits.
 * Chunks must be cut by the work's shape alone, never by the thread count, so that results have the same bits at any
 * number of threads. With one chunk or one thread it is a plain call. Must not be nested. */
REEL_API void reel_parallel(const reel_exec *exec, int64_t chunks, reel_task *task, void *arg);

/* `bytes` of 64-byte aligned, uninitialised memory that lives until the running op's play returns. NULL when memory is
 * short (the play should then return reel_play_out_of_memory). Call it outside of parallel regions. */
REEL_API void *reel_scratch(const reel_exec *exec, size_t bytes);

/* a * b, or SIZE_MAX when that overflows (no allocation of SIZE_MAX succeeds). */
static inline size_t reel_bytes(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

REEL_END

#endif
