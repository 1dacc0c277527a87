// SPDX-License-Identifier: MIT
// Threads, instruction sets and scratch memory for kernels.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <reel/core/team.h>
#include <string.h>
#ifdef REEL_HAVE_OPENMP
#include <omp.h>
#endif

static const char *const isa_names[] = { "portable", "base", "avx2", "avx512" };

const char *reel_isa_name(reel_isa isa) { return (unsigned)isa < 4 ? isa_names[isa] : "unknown"; }

reel_isa reel_isa_detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return REEL_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return REEL_ISA_AVX2;
#endif
    return REEL_ISA_BASE;
}

bool reel_isa_parse(const char *name, reel_isa *isa)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, isa_names[i]) == 0) {
            *isa = (reel_isa)i;
            return true;
        }
    return false;
}

void reel_parallel(const reel_exec *exec, int64_t chunks, reel_task *task, void *arg)
{
    if (!task) {
        reel_given(reel_exec_ctx(exec), "parallel", "task", NULL);
        return;
    }
    int threads = exec->threads < chunks ? exec->threads : (int)chunks;
#ifdef REEL_HAVE_OPENMP
    if (threads > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
        for (int64_t chunk = 0; chunk < chunks; chunk++) task(arg, chunk, omp_get_thread_num());
        return;
    }
#else
    if (threads > 1 && reel_team_run(threads, chunks, task, arg)) return;
#endif
    for (int64_t chunk = 0; chunk < chunks; chunk++) task(arg, chunk, 0);
}

void *reel_scratch(const reel_exec *exec, size_t bytes)
{
    reel_scratch_list *list = exec->scratch;
    if (!reel_grow(list->ctx, &list->blocks, &list->capacity, list->count + 1, sizeof *list->blocks)) return NULL;
    void *memory = reel_pool_alloc(list->ctx, bytes);
    if (memory) list->blocks[list->count++] = (reel_scratch_block){ memory, bytes };
    return memory;
}

int64_t reel_scratch_mark(const reel_exec *exec) { return ((const reel_scratch_list *)exec->scratch)->count; }

void reel_scratch_cut(const reel_exec *exec, int64_t mark)
{
    reel_scratch_list *list = exec->scratch;
    for (; list->count > mark; list->count--)
        reel_pool_free(list->ctx, list->blocks[list->count - 1].memory, list->blocks[list->count - 1].bytes);
}

void reel_scratch_release(reel_ctx *ctx) { reel_scratch_cut(&ctx->exec, 0); }

reel_ctx *reel_exec_ctx(const reel_exec *exec) { return ((const reel_scratch_list *)exec->scratch)->ctx; }
reel_attachment **reel_exec_attached(const reel_exec *exec) { return &reel_exec_ctx(exec)->attached; }

void reel_exec_attach(const reel_exec *exec, reel_attachment *attached)
{
    reel_attachment **list = reel_exec_attached(exec);
    attached->next = *list;
    *list = attached;
}
