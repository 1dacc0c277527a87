// SPDX-License-Identifier: MIT
// The context that owns everything, and scopes, which say how long tensors live.
#ifndef REEL_CORE_CONTEXT_H
#define REEL_CORE_CONTEXT_H

#include <reel/core/error.h>
#include <reel/core/exec.h>

REEL_BEGIN

typedef struct reel_tensor reel_tensor;

/* Zero means the default everywhere. */
typedef struct reel_ctx_opts {
    int threads;             /* threads of a play; default OMP_NUM_THREADS or the cores this process may use */
    uint64_t seed;           /* of the context's random generator; default 0                                  */
    bool eager;              /* play every op as it is recorded (also: environment REEL_EAGER=1)              */
    bool anomaly;            /* see reel_ctx_set_anomaly (also: environment REEL_ANOMALY=1)                   */
    size_t memory_limit;     /* ceiling for tensor memory in bytes; default none                              */
    bool recompute;          /* where that lowers a plan's memory, cheap values that wait for gradients are dropped and
                              * computed again: the same bits, less memory, a little more time              */
    const char *isa;         /* "portable", "base", "avx2", "avx512"; default REEL_ISA or the best there is   */
    void *(*allocate)(void *user, size_t bytes, size_t alignment); /* default aligned_alloc; one alone is an error */
    void (*release)(void *user, void *memory);                     /* default free                               */
    void *allocator_user;
} reel_ctx_opts;

/* A new context, or NULL when there is no memory for one. One thread at a time may use a context. */
REEL_API reel_ctx *reel_ctx_new(const reel_ctx_opts *opts);

/* Frees the context and every tensor in it. NULL is allowed. */
REEL_API void reel_ctx_free(reel_ctx *ctx);

REEL_API int reel_ctx_threads(const reel_ctx *ctx);
REEL_API void reel_ctx_set_threads(reel_ctx *ctx, int threads);
REEL_API reel_isa reel_ctx_isa(const reel_ctx *ctx);
REEL_API const char *reel_isa_name(reel_isa isa);

/* Anomaly mode, for finding faults: ops are played one by one, and the first that makes a NaN or an infinity is an error
 * (REEL_ERROR_NUMERIC) that names the op, the element and the line of the program where it was recorded; in a gradient
 * also the op whose rule it is, with the line of that op. Other errors of recording tell their line too. Lines need a
 * program compiled with -g and a Reel built with libdw; without these the place is given as an address for addr2line.
 * Recording costs microseconds an op meanwhile. */
REEL_API void reel_ctx_set_anomaly(reel_ctx *ctx, bool on);
REEL_API bool reel_ctx_anomaly(const reel_ctx *ctx);
REEL_API void reel_ctx_set_eager(reel_ctx *ctx, bool on);

/* Version of the library as "0.1.0". */
REEL_API const char *reel_version(void);

typedef struct reel_memory_stats {
    size_t tensors_now;        /* bytes of tensor values alive now                     */
    size_t tensors_peak;       /* the most there ever were at once, with those inside a plan, or since the last reset */
    size_t pool;               /* bytes held from the system, in use or kept for reuse */
    size_t in_use;             /* of them in use: by tensors, plans, what plays keep of weights */
    int64_t system_allocations; /* calls to the system's allocator since the start     */
    int64_t nodes;             /* nodes on the tape now                                */
    int64_t plan_hits, plan_misses;
} reel_memory_stats;

REEL_API reel_memory_stats reel_ctx_memory(const reel_ctx *ctx);
REEL_API void reel_ctx_reset_peak(reel_ctx *ctx);

/* Scopes. What is made between begin and end is freed at the end, except what was handed out by reel_scope_return.
 * The end first plays pending parameter updates and gradients of tensors that live on. Scopes nest. */
REEL_API void reel_scope_begin(reel_ctx *ctx);
REEL_API void reel_scope_end(reel_ctx *ctx);

/* Hands `t` to the enclosing scope (or, from the outermost, to the context) and returns it. */
REEL_API reel_tensor *reel_scope_return(reel_tensor *t);

/* Private to REEL_SCOPE and REEL_NO_GRAD. */
typedef struct reel_guard {
    reel_ctx *ctx;
    int depth;
} reel_guard;
REEL_API reel_guard reel_scope_guard(reel_ctx *ctx);
REEL_API void reel_scope_guard_end(reel_guard *guard);
REEL_API reel_guard reel_no_grad_guard(reel_ctx *ctx);
REEL_API void reel_no_grad_guard_end(reel_guard *guard);

/* REEL_SCOPE(ctx) { ... } ends its scope however the block is left: at its end, by return, break, continue or goto.
 * break and continue leave the block only, since it is a loop of one turn, and of none when `ctx` is NULL: a variable that
 * the block sets for what follows needs a value before. */
#define REEL_SCOPE(ctx) REEL_GUARDED_(reel_scope_guard, ctx, __LINE__)

/* REEL_NO_GRAD(ctx) { ... }: what is recorded inside takes no part in differentiation. */
#define REEL_NO_GRAD(ctx) REEL_GUARDED_(reel_no_grad_guard, ctx, __LINE__)

/* The line in the guard's name lets blocks nest without one shadowing the other. */
#define REEL_GUARDED_(guard, context, line) REEL_GUARDED_AT_(guard, context, line)
#define REEL_GUARDED_AT_(guard, context, line)                                                                         \
    for (reel_guard reel_guard_##line __attribute__((cleanup(guard##_end))) = guard(context); reel_guard_##line.ctx;   \
         guard##_end(&reel_guard_##line))

REEL_END

#endif
