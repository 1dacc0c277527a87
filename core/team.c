// SPDX-License-Identifier: MIT
// The threads that share a context's work: one team a process, made when it is first needed.
#include <pthread.h>
#include <reel/core/team.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

/* The caller publishes a job and begins on it; members that are awake join in and claim chunks until none is left. The
 * caller never waits for a member that has not claimed anything, so a member that the system gives no processor to costs
 * nothing: on a busy machine a job takes what it would take alone. That is why this is not OpenMP, whose regions end when
 * every thread of the team has come by. */

enum { MOST_MEMBERS = 255, TURNS = 64, LOOKS = 16, PAUSES = 8 };

static struct team {
    pthread_mutex_t lock; /* members are made, sleep and end under it */
    pthread_cond_t wake, idle;
    pthread_t member[MOST_MEMBERS];
    int members, holds;
    bool ending;
    atomic_flag busy;           /* a job is being run                       */
    atomic_uint_fast64_t open;  /* number of the job that may be joined, or 0 */
    atomic_int inside;          /* members that work on it                  */
    atomic_int asleep;
    atomic_bool waited_for;     /* the caller sleeps until nobody is inside */
    uint64_t jobs;
    /* The job. */
    reel_task *task;
    void *arg;
    int64_t chunks;
    int threads;
    atomic_int_fast64_t next;
} team = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER,
           .busy = ATOMIC_FLAG_INIT };

static void pause_a_little(void)
{
    for (int i = 0; i < PAUSES; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
}

static void work(int worker)
{
    for (int64_t chunk; (chunk = atomic_fetch_add(&team.next, 1)) < team.chunks;) team.task(team.arg, chunk, worker);
}

/* The number of a job not seen before, 0 when the team ends. Looks for one often for a while, giving way to others in
 * between, since the next job of a play is near; then sleeps. */
static uint64_t await_job(uint64_t seen)
{
    uint64_t job;
    for (int turn = 0; turn < TURNS; turn++) {
        for (int look = 0; look < LOOKS; look++) {
            if ((job = atomic_load(&team.open)) != 0 && job != seen) return job;
            pause_a_little();
        }
        sched_yield();
    }
    pthread_mutex_lock(&team.lock);
    atomic_fetch_add(&team.asleep, 1);
    while (((job = atomic_load(&team.open)) == 0 || job == seen) && !team.ending) pthread_cond_wait(&team.wake, &team.lock);
    atomic_fetch_sub(&team.asleep, 1);
    bool ending = team.ending;
    pthread_mutex_unlock(&team.lock);
    return ending ? 0 : job;
}

static void *be_a_member(void *number)
{
    int worker = (int)(intptr_t)number;
    for (uint64_t job = 0; (job = await_job(job)) != 0;) {
        atomic_fetch_add(&team.inside, 1);
        /* Only a job that is open now has its fields in place until this member has left again. */
        if (atomic_load(&team.open) == job && worker < team.threads) work(worker);
        if (atomic_fetch_sub(&team.inside, 1) == 1 && atomic_load(&team.waited_for)) {
            pthread_mutex_lock(&team.lock);
            pthread_cond_signal(&team.idle);
            pthread_mutex_unlock(&team.lock);
        }
    }
    return NULL;
}

/* As many members as there can be, at most `wanted`. Signals are for the program's own threads. */
static void grow(int wanted)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&team.lock);
    while (team.members < wanted && team.members < MOST_MEMBERS && !team.ending) {
        int number = team.members + 1;
        if (pthread_create(&team.member[team.members], NULL, be_a_member, (void *)(intptr_t)number) != 0) break;
        team.members = number;
    }
    pthread_mutex_unlock(&team.lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void await_members(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        for (int look = 0; look < LOOKS; look++) {
            if (atomic_load(&team.inside) == 0) return;
            pause_a_little();
        }
        if (turn > 4) sched_yield();
    }
    pthread_mutex_lock(&team.lock);
    atomic_store(&team.waited_for, true);
    while (atomic_load(&team.inside) > 0) pthread_cond_wait(&team.idle, &team.lock);
    atomic_store(&team.waited_for, false);
    pthread_mutex_unlock(&team.lock);
}

bool reel_team_run(int threads, int64_t chunks, reel_task *task, void *arg)
{
    if (atomic_flag_test_and_set(&team.busy)) return false;
    if (team.members < threads - 1) grow(threads - 1);
    team.task = task;
    team.arg = arg;
    team.chunks = chunks;
    team.threads = threads;
    atomic_store(&team.next, 0);
    atomic_store(&team.open, ++team.jobs);
    if (atomic_load(&team.asleep) > 0) {
        pthread_mutex_lock(&team.lock);
        pthread_cond_broadcast(&team.wake);
        pthread_mutex_unlock(&team.lock);
    }
    work(0);
    atomic_store(&team.open, 0);
    await_members();
    atomic_flag_clear(&team.busy);
    return true;
}

/* A child of fork has none of its parent's threads. */
static void forget_members(void)
{
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.wake, NULL);
    pthread_cond_init(&team.idle, NULL);
    team.members = 0;
    team.ending = false;
    atomic_flag_clear(&team.busy);
    atomic_store(&team.open, 0);
    atomic_store(&team.inside, 0);
    atomic_store(&team.asleep, 0);
    atomic_store(&team.waited_for, false);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_members); }

void reel_team_hold(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&team.lock);
    team.holds++;
    pthread_mutex_unlock(&team.lock);
}

void reel_team_release(void)
{
    pthread_mutex_lock(&team.lock);
    bool last = --team.holds == 0 && !team.ending;
    int members = team.members;
    if (last) {
        team.ending = true;
        pthread_cond_broadcast(&team.wake);
    }
    pthread_mutex_unlock(&team.lock);
    if (!last) return;
    for (int i = 0; i < members; i++) pthread_join(team.member[i], NULL);
    pthread_mutex_lock(&team.lock);
    team.members = 0;
    team.ending = false;
    pthread_mutex_unlock(&team.lock);
}
