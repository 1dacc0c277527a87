// SPDX-License-Identifier: MIT
// Affine, projective and thin-plate-spline grids against their formulas.
#include "spatial.h"

static double base(int64_t i, int64_t n, bool align)
{
    return align ? (n > 1 ? -1 + 2 * (double)i / (double)(n - 1) : 0) : (2 * (double)i + 1) / (double)n - 1;
}

Test(grid, affine_equals_its_formula_and_its_adjoint)
{
    EACH_ISA(ctx)
    {
        for (int turn = 0; turn < 120; turn++) {
            int axes = turn % 3 == 2 ? 3 : 2;
            reel_dtype dtype = turn % 2 ? REEL_F32 : REEL_F64;
            reel_affine_grid_opts opts = { .align_corners = turn / 2 % 2 };
            int64_t n = draw_in(1, 3), size[3] = { draw_in(1, 40), draw_in(1, 9), axes == 3 ? draw_in(1, 4) : 1 };
            reel_shape shape =
                axes == 3 ? REEL_SHAPE(n, 2, size[2], size[1], size[0]) : REEL_SHAPE(n, 2, size[1], size[0]);
            REEL_SCOPE(ctx)
            {
                reel_tensor *theta = draw_tensor(ctx, REEL_SHAPE(n, axes, axes + 1), dtype, -2, 2), *g = NULL;
                reel_set_requires_grad(theta, true);
                reel_tensor *grid = reel_affine_grid(theta, shape, &opts);
                reel_tensor *cot = draw_tensor(ctx, reel_shape_of(grid), dtype, -1, 1);
                cr_assert(reel_grad(&grid, 1, &theta, 1, &cot, &g), "%s", reel_ctx_error_message(ctx));
                double *ts = values_of(theta), *gs = values_of(grid), *cs = values_of(cot), *as = values_of(g);
                double *want = calloc((size_t)reel_numel(grid), sizeof *want);
                double *adjoint = calloc((size_t)reel_numel(theta), sizeof *adjoint);
                for (int64_t e = 0; e < reel_numel(grid); e++) {
                    int64_t a = e % axes, p = e / axes;
                    double at[4] = { base(p % size[0], size[0], opts.align_corners) };
                    p /= size[0];
                    at[1] = base(p % size[1], size[1], opts.align_corners);
                    p /= size[1];
                    if (axes == 3) at[2] = base(p % size[2], size[2], opts.align_corners);
                    at[axes] = 1;
                    p /= size[2];
                    for (int b = 0; b <= axes; b++) {
                        want[e] += ts[(p * axes + a) * (axes + 1) + b] * at[b];
                        adjoint[(p * axes + a) * (axes + 1) + b] += cs[e] * at[b];
                    }
                }
                double tolerance = dtype == REEL_F32 ? 3e-6 : 1e-13;
                cr_assert_leq(difference(gs, want, reel_numel(grid)), tolerance);
                cr_assert_leq(difference(as, adjoint, reel_numel(theta)), 10 * tolerance);
                free(ts), free(gs), free(cs), free(as), free(want), free(adjoint);
            }
            sound(ctx);
        }
    }
}

Test(grid, affine_gives_the_same_bits_at_any_number_of_threads)
{
    float first[6];
    for (int threads = 1; threads <= 4; threads *= 2) {
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        spatial_state = 99;
        reel_tensor *g = reel_affine_grid_adjoint(draw_tensor(ctx, REEL_SHAPE(1, 211, 307, 2), REEL_F32, -1, 1), NULL);
        if (threads == 1) memcpy(first, reel_data_f32(g), sizeof first);
        cr_assert_eq(memcmp(first, reel_data_f32(g), sizeof first), 0);
        reel_ctx_free(ctx);
    }
}

Test(grid, affine_adjoint_of_no_points_is_zero)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_shape grids[] = { REEL_SHAPE(2, 3, 0, 2), REEL_SHAPE(2, 0, 3, 2), REEL_SHAPE(2, 3, 1, 0, 3) };
    for (int k = 0; k < 3; k++) {
        reel_tensor *theta = reel_affine_grid_adjoint(reel_ones(ctx, grids[k], REEL_F32), NULL);
        cr_assert_eq(reel_item(reel_amax(reel_abs(theta), REEL_ALL_DIMS, false)), 0);
    }
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(grid, projective_divides_by_the_third_row)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    const double h[9] = { 1.1, 0.2, -0.1, 0.05, 0.9, 0.3, 0.1, -0.2, 1.5 };
    double *g =
        values_of(reel_projective_grid(reel_doubles(ctx, REEL_SHAPE(1, 3, 3), h), REEL_SHAPE(1, 1, 4, 5), NULL));
    for (int64_t y = 0; y < 4; y++)
        for (int64_t x = 0; x < 5; x++) {
            double px = base(x, 5, false), py = base(y, 4, false), q = h[6] * px + h[7] * py + h[8];
            cr_assert_float_eq(g[2 * (5 * y + x)], (h[0] * px + h[1] * py + h[2]) / q, 1e-14);
            cr_assert_float_eq(g[2 * (5 * y + x) + 1], (h[3] * px + h[4] * py + h[5]) / q, 1e-14);
        }
    free(g);
    reel_ctx_free(ctx);
}

static const double control[2 * 9] = { -1, -1, 0, -1, 1, -1, -1, 0, 0.1, 0.05, 1, 0, -1, 1, 0, 1, 1, 1 };

Test(grid, splines_through_an_affine_image_of_their_control_points_are_affine)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    const double theta[6] = { 0.8, 0.3, 0.1, -0.2, 1.1, -0.4 };
    double moved[18];
    for (int k = 0; k < 9; k++)
        for (int a = 0; a < 2; a++)
            moved[2 * k + a] = theta[3 * a] * control[2 * k] + theta[3 * a + 1] * control[2 * k + 1] + theta[3 * a + 2];
    for (int align = 0; align < 2; align++) {
        reel_affine_grid_opts opts = { .align_corners = align };
        reel_shape size = REEL_SHAPE(1, 3, 6, 5);
        reel_tensor *spline = reel_thin_plate_grid(reel_doubles(ctx, REEL_SHAPE(1, 9, 2), moved),
                                                   reel_doubles(ctx, REEL_SHAPE(9, 2), control), size, &opts);
        double *got = values_of(spline);
        double *want = values_of(reel_affine_grid(reel_doubles(ctx, REEL_SHAPE(1, 2, 3), theta), size, &opts));
        cr_assert_leq(difference(got, want, 60), 1e-12);
        free(got), free(want);
    }
    reel_ctx_free(ctx);
}

Test(grid, splines_send_control_points_to_their_points)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    double points[18];
    for (int k = 0; k < 18; k++) points[k] = draw_real(-1, 1);
    reel_tensor *spline = reel_thin_plate_grid(reel_doubles(ctx, REEL_SHAPE(1, 9, 2), points),
                                               reel_doubles(ctx, REEL_SHAPE(9, 2), control), REEL_SHAPE(1, 1, 3, 3),
                                               &(reel_affine_grid_opts) { .align_corners = true });
    double *g = values_of(spline); // pixels stand on all control points but the middle one
    for (int k = 0; k < 18; k++)
        if (k / 2 != 4) cr_assert_float_eq(g[k], points[k], 1e-12);
    free(g);
    reel_ctx_free(ctx);
}

Test(grid, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *theta = reel_ones(ctx, REEL_SHAPE(2, 2, 3), REEL_F32);
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(3, 1, 4, 4), NULL), "affine_grid", "batch of 2");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, 0, 4), NULL), "affine_grid", "at least 1");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, -4, 4), NULL), "affine_grid", "at least 1");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, INT64_MAX, INT64_MAX), NULL), "affine_grid", "");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, 4), NULL), "affine_grid", "entries");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, 2, 2, 2, 2, 2, 2), NULL), "affine_grid", "entries");
    refused(ctx, reel_affine_grid(theta, REEL_SHAPE(2, 1, 4, 4, 4), NULL), "affine_grid", "[N, 3, 4]");
    refused(ctx, reel_affine_grid(reel_ones(ctx, REEL_SHAPE(2, 3, 2), REEL_F32), REEL_SHAPE(2, 1, 4, 4), NULL),
            "affine_grid", "[N, 2, 3]");
    refused(ctx, reel_affine_grid(reel_ones(ctx, REEL_SHAPE(2, 2, 3), REEL_I32), REEL_SHAPE(2, 1, 4, 4), NULL),
            "affine_grid", "float");
    refused(ctx, reel_projective_grid(theta, REEL_SHAPE(2, 1, 4, 4), NULL), "projective_grid", "[N, 3, 3]");
    reel_tensor *flat = reel_doubles(ctx, REEL_SHAPE(4, 2), (double[]) { -1, -1, 0, 0, 0.5, 0.5, 1, 1 });
    reel_tensor *points = reel_zeros(ctx, REEL_SHAPE(1, 4, 2), REEL_F64);
    reel_tensor *grid = reel_thin_plate_grid(points, flat, REEL_SHAPE(1, 1, 4, 4), NULL);
    cr_assert(grid && !reel_data(grid));
    refused(ctx, NULL, "thin_plate_matrix", "line");
    refused(ctx,
            reel_thin_plate_grid(points, reel_zeros(ctx, REEL_SHAPE(3, 2), REEL_F64), REEL_SHAPE(1, 1, 4, 4), NULL),
            "thin_plate_grid", "3 control");
    refused(ctx, reel_thin_plate_matrix(reel_zeros(ctx, REEL_SHAPE(2, 2), REEL_F64), 4, 4, NULL), "thin_plate_matrix",
            "at least 3");
    refused(ctx, reel_thin_plate_matrix(flat, INT64_MAX, 4, NULL), "thin_plate_matrix", "fit");
    reel_ctx_free(ctx);
}
