// SPDX-License-Identifier: MIT
// The threads that share a context's work: every chunk once, whoever calls, also after a fork; none left at the end.
#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <reel/core/team.h>
#include <reel/reel.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNKS = 1000 };

typedef struct count {
    atomic_int times[CHUNKS];
    atomic_int out_of_range;
    int threads;
} count;

static void count_task(void *arg, int64_t chunk, int worker)
{
    count *c = arg;
    c->times[chunk]++;
    if (worker < 0 || worker >= c->threads) c->out_of_range++;
}

static bool each_once(const count *c)
{
    bool right = c->out_of_range == 0;
    for (int i = 0; i < CHUNKS; i++) right = right && c->times[i] == 1;
    return right;
}

static bool counts_right(int threads)
{
    count *c = calloc(1, sizeof *c);
    c->threads = threads;
    reel_parallel(&(reel_exec) { .threads = threads }, CHUNKS, count_task, c);
    bool right = each_once(c);
    free(c);
    return right;
}

Test(team, runs_every_chunk_once_at_any_number_of_threads)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int round = 0; round < 50; round++)
        for (int threads = 1; threads <= 8; threads++) cr_assert(counts_right(threads), "%d threads", threads);
    reel_ctx_free(ctx);
}

static void *call_often(void *result)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 3 });
    bool right = true;
    for (int i = 0; i < 200; i++) right = right && counts_right(3);
    *(bool *)result = right;
    reel_ctx_free(ctx);
    return NULL;
}

Test(team, serves_threads_of_the_user_at_the_same_time)
{
    pthread_t thread[4];
    bool right[4] = { false };
    for (int i = 0; i < 4; i++) cr_assert_eq(pthread_create(&thread[i], NULL, call_often, &right[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 4; i++) cr_expect(right[i]);
}

static void nested_task(void *arg, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    if (!counts_right(4)) atomic_fetch_add((atomic_int *)arg, 1);
}

Test(team, a_task_that_asks_for_threads_does_it_alone)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    atomic_int wrong = 0;
    reel_parallel(&(reel_exec) { .threads = 4 }, 20, nested_task, &wrong);
    cr_expect_eq(wrong, 0);
    reel_ctx_free(ctx);
}

Test(team, a_forked_child_makes_its_own)
{
#ifdef REEL_HAVE_OPENMP
    cr_skip_test("OpenMP's threads do not survive a fork");
#endif
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 4 });
    cr_assert(counts_right(4));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(counts_right(4) && counts_right(4) ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_expect(counts_right(4));
    reel_ctx_free(ctx);
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return -1;
    int n = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

Test(team, ends_with_the_last_context)
{
    int before = count_threads();
    if (before < 0) cr_skip_test("there is no /proc here");
    reel_ctx *a = reel_ctx_new(NULL), *b = reel_ctx_new(NULL);
    cr_assert(counts_right(4));
#ifndef REEL_HAVE_OPENMP
    cr_expect_eq(count_threads(), before + 3);
    reel_ctx_free(a);
    cr_expect_eq(count_threads(), before + 3);
    reel_ctx_free(b);
    cr_expect_eq(count_threads(), before);
    a = b = reel_ctx_new(NULL);
    cr_assert(counts_right(2));
#else
    reel_ctx_free(a);
#endif
    reel_ctx_free(b);
}
