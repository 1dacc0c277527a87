// SPDX-License-Identifier: MIT
// A first model: a small network learns the sine.
#include <reel/reel.h>
#include <stdio.h>

int main(void)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_rand(ctx, NULL, REEL_SHAPE(256, 1), REEL_F32, -3, 3), *y = reel_sin(x);
    reel_eval(x), reel_eval(y);

    reel_module *net = reel_module_new(ctx, NULL);
    reel_linear_layer a = reel_linear_make(net, "a", 1, 32, NULL), b = reel_linear_make(net, "b", 32, 1, NULL);
    reel_optim *adam = reel_adam_new(reel_module_parameters(net), &(reel_adam_opts) { .lr = 1e-2 });

    for (int step = 0; step < 500; step++) {
        REEL_SCOPE(ctx)                                       /* what is made in here is freed at its end */
        {
            reel_tensor *h = reel_tanh(reel_linear_forward(&a, x));
            reel_tensor *loss = reel_mse_loss(reel_linear_forward(&b, h), y, NULL);
            reel_backward(loss);                              /* recorded, like everything else           */
            reel_optim_step(adam);
            double value = reel_item(loss);                   /* played here: one plan for the whole step */
            if (step % 100 == 0) printf("%3d  %.5f\n", step, value);
        }
    }
    if (reel_ctx_error(ctx)) fprintf(stderr, "%s\n", reel_ctx_error_message(ctx));
    reel_optim_free(adam);
    reel_module_free(net);
    reel_ctx_free(ctx);
}
