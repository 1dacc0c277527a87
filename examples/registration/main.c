// SPDX-License-Identifier: MIT
// Image registration: finds the affine motion between two pictures through grid_sample, by gradient descent and by Newton's
// method with the Hessian of the sampler, and writes what it saw.
#include <math.h>
#include <reel/reel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 96 };

// A smooth picture: a few soft blobs and a ring.
static reel_tensor *make_picture(reel_ctx *ctx)
{
    static double pixels[SIDE * SIDE];
    static const double blob[5][4] = { { -.3, -.35, .22, 1 }, { .35, -.2, .16, .8 }, { .1, .4, .25, .9 }, { -.45, .3, .12, .7 }, { .5, .5, .1, .6 } };
    for (int i = 0; i < SIDE * SIDE; i++) {
        double x = (2 * (i % SIDE) + 1.0) / SIDE - 1, y = (2 * (i / SIDE) + 1.0) / SIDE - 1, radius = hypot(x + .05, y - .05);
        double value = .5 * exp(-pow((radius - .62) / .07, 2));
        for (int k = 0; k < 5; k++)
            value += blob[k][3] * exp(-(pow(x - blob[k][0], 2) + pow(y - blob[k][1], 2)) / (2 * pow(blob[k][2], 2)));
        pixels[i] = value > 1 ? 1 : value;
    }
    return reel_doubles(ctx, REEL_SHAPE(1, 1, SIDE, SIDE), pixels);
}

// The picture seen through theta, six numbers. Bicubic sampling has the second derivatives that Newton's method needs.
static reel_tensor *warp(reel_tensor *picture, reel_tensor *theta)
{
    reel_tensor *grid = reel_affine_grid(reel_reshape(theta, REEL_SHAPE(1, 2, 3)), reel_shape_of(picture), NULL);
    return reel_grid_sample(picture, grid, &(reel_grid_sample_opts) { .mode = REEL_BICUBIC, .padding_mode = REEL_PAD_BORDER });
}

typedef struct problem {
    reel_tensor *moving, *fixed;
} problem;

static reel_tensor *mismatch(const problem *p, reel_tensor *theta)
{
    return reel_mean(reel_square(reel_sub(warp(p->moving, theta), p->fixed)), REEL_ALL_DIMS, false);
}

static double distance(const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < 6; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

static double descend(reel_ctx *ctx, const problem *p, const double truth[6], double theta[6], int steps)
{
    reel_tensor *t = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(6), theta), true);
    reel_optim *adam = reel_adam_new(REEL_PARAMS(t), &(reel_adam_opts) { .lr = 0.01 });
    double loss = 0;
    for (int step = 1; step <= steps; step++)
        REEL_SCOPE(ctx)
        {
            reel_tensor *m = mismatch(p, t);
            reel_backward(m);
            reel_optim_step(adam);
            loss = reel_item(m);
            if (step % (steps / 4) == 0)
                printf("  descent step %3d  mismatch %.3e  error of theta %.2e\n", step, loss, distance(reel_data_f64(t), truth));
        }
    reel_copy_out(t, theta, 6 * sizeof *theta);
    reel_optim_free(adam);
    reel_free(t);
    return loss;
}

// Solves h x = g for 6 unknowns by Gaussian elimination with pivots.
static void solve(double h[6][6], double g[6])
{
    for (int k = 0; k < 6; k++) {
        int pivot = k;
        for (int i = k + 1; i < 6; i++)
            if (fabs(h[i][k]) > fabs(h[pivot][k])) pivot = i;
        for (int j = 0; j < 6; j++) {
            double swap = h[k][j];
            h[k][j] = h[pivot][j];
            h[pivot][j] = swap;
        }
        double swap = g[k];
        g[k] = g[pivot];
        g[pivot] = swap;
        for (int i = k + 1; i < 6; i++) {
            double factor = h[i][k] / h[k][k];
            for (int j = k; j < 6; j++) h[i][j] -= factor * h[k][j];
            g[i] -= factor * g[k];
        }
    }
    for (int k = 5; k >= 0; k--) {
        for (int j = k + 1; j < 6; j++) g[k] -= h[k][j] * g[j];
        g[k] /= h[k][k];
    }
}

// Newton's method: the exact Hessian, row by row, is the gradient of each entry of the gradient.
static double newton(reel_ctx *ctx, const problem *p, const double truth[6], double theta[6], int steps)
{
    double loss = 0;
    for (int step = 1; step <= steps; step++)
        REEL_SCOPE(ctx)
        {
            reel_tensor *t = reel_set_requires_grad(reel_doubles(ctx, REEL_SHAPE(6), theta), true), *g = NULL, *rows[6];
            reel_tensor *m = mismatch(p, t);
            reel_grad(&m, 1, &t, 1, NULL, &g);
            for (int i = 0; i < 6; i++) {
                reel_tensor *entry = reel_select(g, 0, i);
                reel_grad(&entry, 1, &t, 1, NULL, &rows[i]);
            }
            double h[6][6], gradient[6];
            if (!reel_copy_out(reel_stack(rows, 6, 0), h, sizeof h) || !reel_copy_out(g, gradient, sizeof gradient)) return NAN;
            loss = reel_item(m);
            solve(h, gradient);
            for (int i = 0; i < 6; i++) theta[i] -= gradient[i];
            printf("  Newton step  %2d  mismatch %.3e  error of theta %.2e\n", step, loss, distance(theta, truth));
        }
    return loss;
}

int main(int argc, char **argv)
{
    const char *out = argc > 1 ? argv[1] : "out";
    if (argc > 2 || *out == '-') {
        fprintf(stderr, "usage: registration [FOLDER]\nregistration.png goes to FOLDER (default: out)\n");
        return 2;
    }
    char path[4096];
    reel_ctx *ctx = reel_ctx_new(NULL);
    const double angle = 0.3, scale = 1.1, truth[6] = { scale * cos(angle), -scale * sin(angle), 0.12, scale * sin(angle), scale * cos(angle), -0.08 };
    problem p = { .moving = make_picture(ctx) };
    p.fixed = warp(p.moving, reel_doubles(ctx, REEL_SHAPE(6), truth));
    reel_eval(p.fixed);
    double theta[6] = { 1, 0, 0, 0, 1, 0 };
    printf("descent from the identity:\n");
    descend(ctx, &p, truth, theta, 120);
    printf("Newton's method from there:\n");
    newton(ctx, &p, truth, theta, 5);
    double error = distance(theta, truth);
    printf("theta = %.6f %.6f %.6f  %.6f %.6f %.6f, error %.1e\n", theta[0], theta[1], theta[2], theta[3], theta[4], theta[5], error);

    mkdir(out, 0777);
    snprintf(path, sizeof path, "%s/registration.png", out);
    reel_tensor *found = warp(p.moving, reel_doubles(ctx, REEL_SHAPE(6), theta));
    reel_tensor *difference = reel_abs(reel_sub(found, p.fixed));
    if (reel_png_write_grid(ctx, path, reel_cat((reel_tensor *[]) { p.moving, p.fixed, found, difference }, 4, 0), 4, 4))
        printf("%s: the picture, the picture moved, the first one registered, what is left\n", path);
    int failed = reel_ctx_error(ctx) != REEL_OK || !(error < 1e-6);
    if (reel_ctx_error(ctx)) fprintf(stderr, "%s\n", reel_ctx_error_message(ctx));
    reel_ctx_free(ctx);
    return failed;
}
