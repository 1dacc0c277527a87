// SPDX-License-Identifier: MIT
// The smallest program: what starting, computing one gradient and ending costs.
#include <reel/reel.h>
#include <stdio.h>

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_set_requires_grad(reel_scalar(ctx, REEL_F32, 3), true);
    reel_backward(reel_mul(x, x));
    printf("hello, d(x^2)/dx at 3 is %g\n", reel_item(reel_grad_of(x)));
    reel_ctx_free(ctx);
    return 0;
}
