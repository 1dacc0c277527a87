// SPDX-License-Identifier: MIT
// The headers and their macros in C++.
#include <cstdio>
#include <reel/reel.h>
#include <vector>

int main()
{
    reel_ctx *ctx = reel_ctx_new(nullptr);
    std::vector<float> one(4, 1);
    reel_tensor *x = reel_set_requires_grad(reel_floats(ctx, REEL_SHAPE(2, 2), one.data()), true);
    reel_tensor *b = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2), REEL_F32), true);
    reel_sgd_opts opts {};
    opts.lr = 0.25;
    reel_optim *sgd = reel_sgd_new(REEL_PARAMS(x, b), &opts);
    REEL_SCOPE(ctx)
    {
        reel_backward(reel_sum(reel_square(reel_add(x, b)), REEL_DIMS(0, 1), false)); // 2 (x + b) = 4, and 8 for b
        reel_optim_step(sgd);
    }
    double sum = 0;
    REEL_NO_GRAD(ctx) { sum = reel_item(reel_sum(x, REEL_ALL_DIMS, false)) + 10 * reel_item(reel_sum(b, REEL_ALL_DIMS, false)); }
    if (reel_ctx_error(ctx)) std::printf("%s\n", reel_ctx_error_message(ctx));
    reel_optim_free(sgd);
    reel_ctx_free(ctx);
    return sum == 4 * 0 + 10 * 2 * -1 ? 0 : 1;
}
