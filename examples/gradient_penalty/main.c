// SPDX-License-Identifier: MIT
// How far apart are two clouds of points? A critic with a gradient penalty learns their Wasserstein distance.
//
// The critic f is trained to raise E f(a) - E f(b) while its slope stays at 1 (Gulrajani et al. 2017, "Improved
// training of Wasserstein GANs"): the loss holds the norm of a gradient, and training differentiates through it. The
// second cloud is the first one moved by 3, so the right answer is known.
#include <math.h>
#include <reel/reel.h>
#include <stdio.h>

enum { BATCH = 256, HIDDEN = 64, STEPS = 400, WEIGHT = 100 }; // the slope settles at 1 + distance / (2 WEIGHT)
static const double moved_by[2] = { 1.8, 2.4 };               // 3 in length

typedef struct critic {
    reel_tensor *w[3], *b[3];
} critic;

static reel_tensor *judge(const critic *c, reel_tensor *x)
{
    x = reel_softplus(reel_linear(x, c->w[0], c->b[0]), 1, 20);
    x = reel_softplus(reel_linear(x, c->w[1], c->b[1]), 1, 20);
    return reel_linear(x, c->w[2], c->b[2]); // [BATCH, 1]
}

static critic make_critic(reel_ctx *ctx)
{
    critic c;
    const int64_t sizes[4] = { 2, HIDDEN, HIDDEN, 1 };
    for (int i = 0; i < 3; i++) {
        c.w[i] = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(sizes[i + 1], sizes[i]), REEL_F32), true);
        c.b[i] = reel_set_requires_grad(reel_zeros(ctx, REEL_SHAPE(sizes[i + 1]), REEL_F32), true);
        reel_init_default(c.w[i], c.b[i], NULL);
    }
    return c;
}

// Mean of (|slope of f at x| - 1)^2. reel_grad records like any op, so the result can be differentiated again.
static reel_tensor *slope_penalty(const critic *c, reel_tensor *x)
{
    reel_tensor *score = judge(c, reel_set_requires_grad(x, true)), *slope;
    reel_grad(&score, 1, &x, 1, NULL, &slope);
    reel_tensor *length = reel_sqrt(reel_add_scalar(reel_sum(reel_square(slope), REEL_DIMS(1), false), 1e-12));
    return reel_mean(reel_square(reel_sub_scalar(length, 1)), REEL_ALL_DIMS, false);
}

// A point on the line between each pair, where the slope of the best critic is known to be 1.
static reel_tensor *between(reel_tensor *a, reel_tensor *b)
{
    reel_tensor *t = reel_rand(reel_ctx_of(a), NULL, REEL_SHAPE(BATCH, 1), REEL_F32, 0, 1);
    return reel_detach(reel_lerp(a, b, t));
}

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    critic c = make_critic(ctx);
    reel_optim *adam = reel_adam_new(REEL_PARAMS(c.w[0], c.w[1], c.w[2], c.b[0], c.b[1], c.b[2]),
                                     &(reel_adam_opts) { .lr = 5e-3, .beta1 = 0.5, .beta2 = 0.9 });
    reel_tensor *shift = reel_floats(ctx, REEL_SHAPE(2), (float[]) { (float)moved_by[0], (float)moved_by[1] });
    double distance = 0;
    for (int step = 1; step <= STEPS; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *a = reel_randn(ctx, NULL, REEL_SHAPE(BATCH, 2), REEL_F32, 0, 1);
            reel_tensor *b = reel_add(reel_randn(ctx, NULL, REEL_SHAPE(BATCH, 2), REEL_F32, 0, 1), shift);
            reel_tensor *gap =
                reel_sub(reel_mean(judge(&c, b), REEL_ALL_DIMS, false), reel_mean(judge(&c, a), REEL_ALL_DIMS, false));
            reel_tensor *penalty = slope_penalty(&c, between(a, b));
            reel_backward(reel_sub(reel_mul_scalar(penalty, WEIGHT), gap));
            reel_optim_step(adam);
            distance += (reel_item(gap) - distance) * (step < 20 ? 1 : 0.05);
            if (step % 100 == 0) printf("step %3d: distance %.3f, penalty %.4f\n", step, distance, reel_item(penalty));
        }
    }
    printf("estimated distance %.2f, true distance 3.00\n", distance);
    if (reel_ctx_error(ctx)) fprintf(stderr, "%s\n", reel_ctx_error_message(ctx));
    int status = reel_ctx_error(ctx) || fabs(distance - 3) > 0.3;
    reel_optim_free(adam);
    reel_ctx_free(ctx);
    return status;
}
