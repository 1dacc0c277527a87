// SPDX-License-Identifier: MIT
// Contexts, scopes and sticky errors.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void setup(void) { ctx = reel_ctx_new(NULL); }
static void teardown(void) { reel_ctx_free(ctx); }
TestSuite(scope, .init = setup, .fini = teardown);
TestSuite(error, .init = setup, .fini = teardown);

static reel_tensor *ramp(int64_t n)
{
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(n), REEL_F32);
    float values[64];
    for (int i = 0; i < n; i++) values[i] = (float)i;
    reel_set_data(x, values, (size_t)n * sizeof(float));
    return x;
}

static size_t bytes_now(void) { return reel_ctx_memory(ctx).tensors_now; }

/* The context's own arrays are there after a first round. */
static void warm_up(void)
{
    REEL_SCOPE(ctx) { reel_item(reel_sum(reel_mul(ramp(8), ramp(8)), REEL_ALL_DIMS, false)); }
}

static double leave_by_return(void)
{
    REEL_SCOPE(ctx)
    {
        return reel_item(reel_sum(ramp(4), REEL_ALL_DIMS, false));
    }
    return -1;
}

Test(scope, ends_when_the_block_is_left_by_return)
{
    warm_up();
    size_t before = bytes_now();
    cr_assert_eq(leave_by_return(), 6);
    cr_assert_eq(bytes_now(), before);
}

Test(scope, ends_when_the_block_is_left_by_break)
{
    warm_up();
    size_t before = bytes_now();
    bool after = false;
    REEL_SCOPE(ctx)
    {
        ramp(4);
        break;
    }
    after = true;
    cr_assert(after);
    cr_assert_eq(bytes_now(), before);
}

Test(scope, ends_when_the_block_is_left_by_goto)
{
    warm_up();
    size_t before = bytes_now();
    REEL_SCOPE(ctx)
    {
        ramp(4);
        goto out;
    }
out:
    cr_assert_eq(bytes_now(), before);
}

Test(scope, ends_at_every_turn_of_a_loop)
{
    warm_up();
    size_t before = bytes_now();
    for (int i = 0; i < 100; i++)
        REEL_SCOPE(ctx)
        {
            ramp(32);
            if (i % 2) continue;
            ramp(32);
        }
    cr_assert_eq(bytes_now(), before);
}

Test(scope, hands_a_tensor_to_the_scope_around)
{
    reel_tensor *kept = NULL;
    REEL_SCOPE(ctx)
    {
        reel_tensor *inner = NULL;
        REEL_SCOPE(ctx) { inner = reel_scope_return(reel_mul(ramp(4), ramp(4))); }
        cr_assert_eq(reel_data_f32(inner)[3], 9);
        kept = reel_scope_return(reel_add(inner, inner));
    }
    cr_assert_eq(reel_data_f32(kept)[3], 18);
    reel_free(kept);
}

Test(scope, keeps_what_a_returned_value_came_from)
{
    reel_tensor *x = reel_set_requires_grad(ramp(4), true), *y = NULL;
    REEL_SCOPE(ctx)
    {
        reel_tensor *square = reel_mul(x, x);
        y = reel_scope_return(reel_sum(reel_mul(square, x), REEL_ALL_DIMS, false));
    }
    cr_assert(reel_backward(y));
    cr_assert_eq(reel_data_f32(reel_grad_of(x))[3], 27);
}

Test(scope, frees_everything_with_the_context)
{
    for (int i = 0; i < 20; i++) reel_scope_begin(ctx), ramp(16);
    /* teardown frees; LeakSanitizer watches */
}

Test(scope, may_be_left_while_inner_scopes_begun_by_hand_are_open)
{
    warm_up();
    size_t before = bytes_now();
    REEL_SCOPE(ctx)
    {
        reel_scope_begin(ctx);
        ramp(8);
    }
    cr_assert_eq(bytes_now(), before);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
}

Test(scope, without_a_begin_is_an_error)
{
    reel_scope_end(ctx);
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_CONTEXT);
}

Test(scope, memory_after_a_thousand_steps_is_that_after_ten)
{
    reel_tensor *w = reel_set_requires_grad(ramp(32), true);
    size_t at_ten = 0;
    int64_t nodes_at_ten = 0;
    for (int step = 0; step < 1000; step++) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *loss = reel_sum(reel_square(reel_sub(w, ramp(32))), REEL_ALL_DIMS, false);
            reel_backward(loss);
            reel_assign(w, reel_sub(reel_detach(w), reel_mul_scalar(reel_grad_of(w), 0.1)));
            reel_clear_grad(w);
            reel_item(loss);
        }
        if (step == 10) {
            at_ten = bytes_now();
            nodes_at_ten = reel_ctx_memory(ctx).nodes;
        }
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
    cr_assert_eq(bytes_now(), at_ten);
    cr_assert_eq(reel_ctx_memory(ctx).nodes, nodes_at_ten);
}

Test(error, names_op_operands_and_reason)
{
    cr_assert_null(reel_add(ramp(3), ramp(4)));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_SHAPE);
    const char *message = reel_ctx_error_message(ctx);
    cr_assert(strstr(message, "add") && strstr(message, "[3]") && strstr(message, "[4]") && strstr(message, "float32"), "%s", message);
}

Test(error, sticks_and_the_first_one_stays)
{
    reel_tensor *x = ramp(3);
    reel_tensor *bad = reel_add(x, ramp(4));
    char first[256];
    strncpy(first, reel_ctx_error_message(ctx), sizeof first - 1);
    first[255] = 0;
    cr_assert_null(reel_mul(bad, x));
    cr_assert_null(reel_sum(bad, REEL_ALL_DIMS, false));
    cr_assert_null(reel_reshape(x, REEL_SHAPE(7)));
    cr_assert_str_eq(reel_ctx_error_message(ctx), first);
    reel_ctx_clear_error(ctx);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
    cr_assert_eq(reel_item(reel_sum(x, REEL_ALL_DIMS, false)), 3);
}

Test(error, of_a_missing_operand_says_which)
{
    cr_assert_null(reel_add(ramp(3), NULL));
    cr_assert(strstr(reel_ctx_error_message(ctx), "input 1"), "%s", reel_ctx_error_message(ctx));
}

/* Whatever `result` is, the context says that an operand of `op` is missing. */
static void says_what_is_missing(const void *result, const char *op)
{
    const char *message = reel_ctx_error_message(ctx);
    cr_expect_null(result);
    cr_expect(strstr(message, op) == message && strstr(message, "is missing (NULL)"), "%s: '%s'", op, message);
    reel_ctx_clear_error(ctx);
}

Test(error, of_a_missing_operand_is_told_by_ops_made_of_ops_too)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2, 2), REEL_F32), *image = reel_ones(ctx, REEL_SHAPE(1, 1, 2, 2), REEL_F32);
    says_what_is_missing(reel_mse_loss(x, NULL, NULL), "mse_loss");
    says_what_is_missing(reel_cross_entropy(NULL, x, NULL), "cross_entropy");
    says_what_is_missing(reel_binary_cross_entropy(x, NULL, NULL), "binary_cross_entropy");
    says_what_is_missing(reel_binary_cross_entropy_with_logits(x, NULL, NULL), "binary_cross_entropy_with_logits");
    says_what_is_missing(reel_nll_loss(x, NULL, NULL), "nll_loss");
    says_what_is_missing(reel_ctc_loss(x, x, NULL, x, NULL), "ctc_loss");
    says_what_is_missing(reel_cosine_embedding_loss(x, x, NULL, NULL), "cosine_embedding_loss");
    says_what_is_missing(reel_triplet_margin_loss(x, x, NULL, NULL), "triplet_margin_loss");
    says_what_is_missing(reel_linear(x, NULL, NULL), "linear");
    says_what_is_missing(reel_matmul(x, NULL), "matmul");
    says_what_is_missing(reel_addmm(x, x, NULL, 1, 1), "addmm");
    says_what_is_missing(reel_bilinear(x, x, NULL, NULL), "bilinear");
    says_what_is_missing(reel_outer(x, NULL), "outer");
    says_what_is_missing(reel_scaled_dot_product_attention(x, NULL, x, NULL, NULL), "scaled_dot_product_attention");
    says_what_is_missing(reel_lstm_cell(x, x, NULL, x, x, NULL, NULL, NULL), "lstm_cell");
    says_what_is_missing(reel_gru_cell(x, x, NULL, x, NULL, NULL), "gru_cell");
    says_what_is_missing(reel_gather(x, NULL, 0), "gather");
    says_what_is_missing(reel_scatter_add(x, NULL, x, 0), "scatter_add");
    says_what_is_missing(reel_take_along(x, NULL, 0), "take_along_dim");
    says_what_is_missing(reel_embedding(NULL, x, NULL), "embedding");
    says_what_is_missing(reel_prelu(x, NULL), "prelu");
    says_what_is_missing(reel_convolve(x, NULL, REEL_CONVOLVE_FULL), "convolve");
    says_what_is_missing(reel_max_unpool2d(image, NULL, &(reel_unpool_opts) { .kernel = { 2, 2 } }), "max_unpool2d");
    says_what_is_missing(reel_thin_plate_grid(x, NULL, REEL_SHAPE(1, 1, 2, 2), NULL), "thin_plate_grid");
    says_what_is_missing(reel_jacobian(x, NULL), "jacobian");
    says_what_is_missing(reel_softmax_backward(NULL, x, 0), "softmax_backward");
    says_what_is_missing(reel_log_softmax_backward(x, NULL, 0), "log_softmax_backward");
    says_what_is_missing(reel_linear_scan(x, NULL, 0, NULL), "linear_scan");
    says_what_is_missing(reel_batch_norm(NULL, NULL, NULL, x, x, NULL), "batch_norm");
    says_what_is_missing(reel_instance_norm(NULL, x, x, NULL, NULL, NULL), "instance_norm");
    says_what_is_missing(reel_layer_norm(NULL, REEL_SHAPE(2), x, NULL, NULL), "layer_norm");
    says_what_is_missing(reel_rms_norm(NULL, REEL_SHAPE(2), x, NULL), "rms_norm");
    says_what_is_missing(reel_group_norm(NULL, 1, x, x, NULL), "group_norm");
    says_what_is_missing(reel_lstm_cell(NULL, NULL, NULL, x, x, NULL, NULL, NULL), "lstm_cell");
    says_what_is_missing(reel_irfft(NULL, x, NULL), "irfft");
    cr_expect_not(reel_fft(NULL, x, NULL, NULL, NULL));
    says_what_is_missing(NULL, "fft");
    cr_expect_not(reel_assign(x, NULL));
    says_what_is_missing(NULL, "assign");
    reel_tensor *none = NULL, *grad;
    cr_expect_not(reel_grad(&none, 1, &x, 1, NULL, &grad));
    says_what_is_missing(grad, "grad: output 0");
    cr_expect_not(reel_eval_all((reel_tensor *[]) { x, NULL }, 2));
    says_what_is_missing(NULL, "eval: tensor 1");
}

/* Its memory is another's as soon as the next tensor is made: until then it is told. */
Test(error, of_a_tensor_whose_scope_has_ended)
{
    reel_tensor *leaf = NULL, *loss = NULL, *x = reel_set_requires_grad(ramp(8), true);
    REEL_SCOPE(ctx)
    {
        leaf = reel_ones(ctx, REEL_SCALAR, REEL_F32);
        loss = reel_sum(reel_square(x), REEL_ALL_DIMS, false);
        reel_backward(loss);
        cr_assert_eq(reel_item(loss), 140);
    }
    for (int i = 0; i < 7; i++) {
        switch (i) {
        case 0: cr_expect(isnan(reel_item(loss))); break;
        case 1: cr_expect(isnan(reel_item(leaf))); break;
        case 2: cr_expect_null(reel_add(x, leaf)); break;
        case 3: cr_expect_null(reel_exp(leaf)); break;
        case 4: cr_expect_not(reel_backward(loss)); break;
        case 5: cr_expect_not(reel_grad(&loss, 1, &x, 1, NULL, (reel_tensor *[1]) { NULL })); break;
        default: cr_expect_null(reel_set_requires_grad(leaf, true)); break;
        }
        cr_expect_eq(reel_ctx_error(ctx), REEL_ERROR_CONTEXT, "%d", i);
        cr_expect(strstr(reel_ctx_error_message(ctx), "scope it was made in has ended"), "%d: '%s'", i,
                  reel_ctx_error_message(ctx));
        reel_ctx_clear_error(ctx);
    }
    reel_free(leaf);
    cr_expect_eq(reel_ctx_error(ctx), REEL_OK);
}

Test(error, of_operands_of_two_contexts)
{
    reel_ctx *other = reel_ctx_new(NULL);
    cr_assert_null(reel_add(ramp(3), reel_zeros(other, REEL_SHAPE(3), REEL_F32)));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_CONTEXT);
    reel_ctx_free(other);
}

Test(error, leaves_parameters_as_they_were)
{
    reel_tensor *w = reel_set_requires_grad(ramp(4), true), *three = ramp(3);
    REEL_SCOPE(ctx)
    {
        reel_assign(w, reel_zeros_like(w));
        reel_add(w, three);
    }
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_SHAPE);
    reel_ctx_clear_error(ctx);
    cr_assert_eq(reel_data_f32(w)[3], 3);
    cr_assert_eq(reel_item(reel_sum(w, REEL_ALL_DIMS, false)), 6);
}

Test(error, users_raise_their_own)
{
    cr_assert_null(reel_fail(ctx, REEL_ERROR_USER, "my model: %d layers are too many", 9));
    cr_assert_str_eq(reel_ctx_error_message(ctx), "my model: 9 layers are too many");
}

Test(error, of_sizes_too_large_for_memory)
{
    cr_assert_null(reel_zeros(ctx, REEL_SHAPE(INT64_MAX, 4), REEL_F32));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_SHAPE);
    reel_ctx_clear_error(ctx);
    cr_assert_null(reel_zeros(ctx, REEL_SHAPE(INT64_MAX / 8), REEL_F32));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_MEMORY, "%s", reel_ctx_error_message(ctx));
    reel_ctx_clear_error(ctx);
    cr_assert_null(reel_zeros(ctx, REEL_SHAPE(-1), REEL_F32));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_SHAPE);
}

Test(error, of_a_memory_limit_says_by_how_much)
{
    reel_ctx *small = reel_ctx_new(&(reel_ctx_opts){ .memory_limit = 1 << 20 });
    cr_assert_null(reel_zeros(small, REEL_SHAPE(1 << 20), REEL_F32));
    cr_assert_eq(reel_ctx_error(small), REEL_ERROR_MEMORY);
    cr_assert(strstr(reel_ctx_error_message(small), "limit"), "%s", reel_ctx_error_message(small));
    reel_ctx_free(small);
}

Test(error, everything_takes_null)
{
    cr_assert_null(reel_add(NULL, NULL));
    cr_assert_not(reel_backward(NULL));
    cr_assert_null(reel_grad_of(NULL));
    cr_assert_eq(reel_numel(NULL), 0);
    cr_assert_null(reel_data(NULL));
    reel_free(NULL);
    reel_ctx_free(NULL);
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
}
