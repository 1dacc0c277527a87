// SPDX-License-Identifier: MIT
// Data parallel training: three processes of mpi_rank at a time, each of which says whether it saw what it should.
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The status of `mpiexec -n 3 mpi_rank MODE`, at most 60 s. More processes than cores, and root, are Open MPI's to
 * allow. */
static int run(const char *mode)
{
    pid_t child = fork();
    if (child == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
        setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
        setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1); /* containers forbid it, and Open MPI says so */
        setenv("OMP_NUM_THREADS", "1", 1);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* MPI's own */
        alarm(60);
        execl(REEL_MPIEXEC, REEL_MPIEXEC, REEL_MPIEXEC_COUNT, "3", REEL_MPI_RANK, mode, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *mode)
{
    static int started = -1; /* whether this machine lets mpiexec start processes at all */
    if (started < 0) started = run("probe") == 0;
    if (!started) cr_skip_test("[SKIP] %s starts no processes here", REEL_MPIEXEC);
    int status = run(mode);
    cr_expect_eq(status, 0, "%s: status %d", mode, status);
}

Test(distributed, ends_where_one_process_with_the_whole_batch_does) { expect("matches"); }
Test(distributed, weights_shares_of_other_sizes) { expect("weighted"); }
Test(distributed, counts_gradients_that_some_lack) { expect("absent"); }
Test(distributed, tells_all_when_one_is_in_error) { expect("fails"); }
Test(distributed, tells_all_when_one_leaves) { expect("leaves"); }
Test(distributed, tells_all_when_one_gives_no_list)
{
    expect("tensors");
    expect("numbers");
}
Test(distributed, refuses_models_that_differ) { expect("differs"); }
Test(distributed, finds_parameters_that_drifted) { expect("drift"); }
Test(distributed, fits_on_shares_of_a_data_set) { expect("fit"); }
Test(distributed, stops_together) { expect("stops"); }
