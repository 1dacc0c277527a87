// SPDX-License-Identifier: MIT
// Every golden case, in both dtypes, under every instruction set and by every convolution algorithm.
#include "../tools/golden.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

// Runs the cases whose names begin with `prefix`; returns how many there are.
static int run(const char *prefix, reel_dtype dtype, const char *isa)
{
    char **paths;
    int count = golden_paths(REEL_TEST_DATA "/golden/cases", &paths), ran = 0;
    cr_assert_gt(count, 0, "there are no cases");
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .isa = isa });
    cr_assert_not_null(ctx);
    if (reel_ctx_error(ctx) == REEL_ERROR_UNSUPPORTED) {
        reel_ctx_free(ctx);
        golden_free_paths(paths, count);
        cr_skip_test("no %s here", isa);
    }
    for (int i = 0; i < count; i++) {
        const char *name = strrchr(paths[i], '/') + 1;
        if (strncmp(name, prefix, strlen(prefix))) continue;
        golden_report report;
        golden_status status = golden_run(ctx, paths[i], &(golden_opts) { .dtype = dtype }, &report);
        cr_expect_neq(status, GOLDEN_UNKNOWN, "%s: op '%s' is not in the table", name, report.op);
        cr_expect_neq(status, GOLDEN_FAILED, "%s: %s", name, report.message);
        ran++;
    }
    reel_ctx_free(ctx);
    golden_free_paths(paths, count);
    return ran;
}

Test(golden, values_and_derivatives_are_right_in_float64) { cr_assert_eq(run("", REEL_F64, NULL), 665); }

Test(golden, values_and_derivatives_are_right_in_float32) { cr_assert_eq(run("", REEL_F32, NULL), 665); }

Test(golden, portable_kernels_are_right)
{
    run("", REEL_F64, "portable");
    run("", REEL_F32, "portable");
}

Test(golden, baseline_kernels_are_right)
{
    run("", REEL_F64, "base");
    run("", REEL_F32, "base");
}

Test(golden, avx2_kernels_are_right_where_there_are_any)
{
    run("", REEL_F64, "avx2");
    run("", REEL_F32, "avx2");
}

Test(golden, avx512_kernels_are_right_where_there_are_any)
{
    run("", REEL_F64, "avx512");
    run("", REEL_F32, "avx512");
}

Test(golden, every_convolution_algorithm_is_right)
{
    static const char *const algorithms[] = { "naive",     "direct",    "im2col",    "winograd",
                                              "winograd2", "winograd4", "winograd6", "images",
                                              "winograd_rows", "winograd_columns",
#ifdef REEL_HAVE_FFTW
                                              "fft"
#endif
    };
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        setenv("REEL_CONV_ALGO", algorithms[i], 1);
        cr_log_info("by %s", algorithms[i]);
        cr_assert_gt(run("conv", REEL_F64, NULL), 20);
        cr_assert_gt(run("conv", REEL_F32, NULL), 20);
    }
}

Test(golden, a_folder_that_is_not_there_is_told)
{
    char **paths;
    cr_assert_eq(golden_paths(REEL_TEST_DATA "/golden/nowhere", &paths), -1);
}
