// SPDX-License-Identifier: MIT
// Linear regression: finds the slopes and the offset behind noisy points, by gradient descent and by one Newton step.
#include <reel/reel.h>
#include <stdio.h>

static reel_tensor *loss_of(reel_tensor *w, reel_tensor *x, reel_tensor *y)
{
    return reel_mean(reel_square(reel_sub(reel_matmul(x, w), y)), REEL_ALL_DIMS, false);
}

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .seed = 7 });

    // 200 points of y = 3 a - 2 b + 0.5, with noise; the last column of x is 1, so that w[2] is the offset.
    reel_tensor *ab = reel_randn(ctx, NULL, REEL_SHAPE(200, 2), REEL_F64, 0, 1);
    reel_tensor *x = reel_cat((reel_tensor *[]) { ab, reel_ones(ctx, REEL_SHAPE(200, 1), REEL_F64) }, 2, 1);
    reel_tensor *truth = reel_doubles(ctx, REEL_SHAPE(3), (double[]) { 3, -2, 0.5 });
    reel_tensor *y = reel_add(reel_matmul(x, truth), reel_randn(ctx, NULL, REEL_SHAPE(200), REEL_F64, 0, 0.1));
    reel_eval_all((reel_tensor *[]) { x, y }, 2);

    reel_tensor *w = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(3), REEL_F64), true);
    reel_optim *sgd = reel_sgd_new(REEL_PARAMS(w), &(reel_sgd_opts) { .lr = 0.1 });
    for (int step = 0; step <= 60; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *loss = loss_of(w, x, y);
            reel_backward(loss);
            reel_optim_step(sgd);
            double value = reel_item(loss);
            if (step % 20 == 0) printf("step %2d  loss %.6f\n", step, value);
        }
    }
    const double *found = reel_data_f64(w);
    if (found) printf("gradient descent: %.3f %.3f %.3f\n", found[0], found[1], found[2]);

    // The loss is quadratic, so from anywhere one step w - H^-1 g is exact; here H v = g is solved by conjugate gradients
    // on Hessian-vector products, each the gradient of <gradient, v>.
    reel_tensor *start = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(3), REEL_F64), true), *g = NULL;
    reel_tensor *loss = loss_of(start, x, y);
    reel_grad(&loss, 1, &start, 1, NULL, &g);
    reel_tensor *step = reel_zeros_like(g), *r = reel_detach(g), *p = r;
    for (int i = 0; i < 3; i++) {
        reel_tensor *hp = NULL;
        reel_grad(&g, 1, &start, 1, &p, &hp);
        reel_tensor *rr = reel_dot(r, r), *alpha = reel_div(rr, reel_dot(p, hp));
        step = reel_add(step, reel_mul(alpha, p));
        r = reel_sub(r, reel_mul(alpha, hp));
        p = reel_add(r, reel_mul(reel_div(reel_dot(r, r), rr), p));
    }
    found = reel_data_f64(reel_neg(step));
    if (found) printf("one Newton step:  %.3f %.3f %.3f\n", found[0], found[1], found[2]);

    int failed = reel_ctx_error(ctx) != REEL_OK;
    if (failed) fprintf(stderr, "%s\n", reel_ctx_error_message(ctx));
    reel_optim_free(sgd);
    reel_ctx_free(ctx);
    return failed;
}
