// SPDX-License-Identifier: MIT
// What is missing (NULL) where a function needs it, as a list beside a count, a place for a result, a layer: an error that
// names the function and what is missing, and never a crash.
#include "fixture.h"

#include <math.h>

/* The call before gave nothing, and the context's error, which is cleared, says exactly this. */
static void refused(bool gave, const char *message)
{
    cr_expect_not(gave, "should be refused: %s", message);
    cr_expect_str_eq(reel_ctx_error_message(ctx), message);
    cr_expect(reel_ctx_error(ctx) == REEL_ERROR_CONTEXT || reel_ctx_error(ctx) == REEL_ERROR_VALUE);
    reel_ctx_clear_error(ctx);
}

/* Where no context can be found the call gives nothing, quietly. */
static void quiet(bool gave)
{
    cr_expect_not(gave);
    cr_expect_eq(reel_ctx_error(ctx), REEL_OK, "%s", reel_ctx_error_message(ctx));
}

static reel_tensor *square_of(reel_tensor *x) { return reel_sum(reel_square(x), REEL_ALL_DIMS, false); }

Test(missing, lists_of_tensors, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F64), true), *y = square_of(x), *none = NULL;
    reel_tensor *out[3] = { x, x, x };
    quiet(reel_eval_all(NULL, 2));
    quiet(reel_cat(NULL, 2, 0) || reel_stack(NULL, 2, 0) || reel_einsum("a,a->", NULL, 2));
    quiet(reel_graph_write(NULL, 1, REEL_GRAPH_TEXT, stdout));
    quiet(reel_grad(NULL, 1, NULL, 1, NULL, out));
    cr_expect_null(out[0]);
    refused(reel_graph_write((reel_tensor *[]) { y, NULL }, 2, REEL_GRAPH_TEXT, stdout), "graph_write: output 1 is missing (NULL)");
    refused(reel_grad(NULL, 1, &x, 1, NULL, out), "grad: the list of 1 outputs is missing (NULL)");
    refused(reel_grad(&y, 1, NULL, 2, NULL, out), "grad: the list of 2 inputs is missing (NULL)");
    refused(reel_grad(&y, 1, &x, 1, NULL, NULL), "grad: the list of 1 gradients is missing (NULL)");
    refused(reel_jvp(NULL, 1, &x, 1, &x, out), "jvp: the list of 1 outputs is missing (NULL)");
    refused(reel_jvp(&y, 1, NULL, 1, &x, out), "jvp: the list of 1 inputs is missing (NULL)");
    refused(reel_jvp(&y, 1, &x, 1, NULL, out), "jvp: the list of 1 tangents is missing (NULL)");
    refused(reel_jvp(&y, 1, &x, 1, &x, NULL), "jvp: the list of 1 products is missing (NULL)");
    refused(reel_hvp(y, NULL, 1, &x, out), "hvp: the list of 1 inputs is missing (NULL)");
    refused(reel_hvp(y, &x, 1, NULL, out), "hvp: the list of 1 vectors is missing (NULL)");
    refused(reel_hvp(y, &x, 1, &x, NULL), "hvp: the list of 1 products is missing (NULL)");
    refused(reel_unbind(x, 0, NULL, 2) >= 0, "unbind: the list of 2 parts is missing (NULL)");
    refused(reel_split(x, 2, 1, NULL, 2) >= 0, "split: the list of 2 parts is missing (NULL)");
    refused(reel_chunk(x, 3, 1, NULL, 3) >= 0, "chunk: the list of 3 parts is missing (NULL)");
    refused(reel_split_sizes(x, NULL, 2, 0, out) >= 0, "split: the list of 2 sizes is missing (NULL)");
    refused(reel_split_sizes(x, (int64_t[]) { 1, 1 }, 2, 0, NULL) >= 0, "split: the list of 2 parts is missing (NULL)");
    refused(reel_split_sizes(x, (int64_t[]) { 1, 1 }, -1, 0, out) >= 0, "split: there cannot be -1 sizes");
    refused(reel_roll(x, NULL, REEL_DIMS(0, 1)), "roll: there is no list of shifts (NULL)");
    refused(reel_set_grad(x, none), "set_grad: there is no gradient (NULL)");
    refused(reel_add_grad_hook(x, NULL, NULL), "add_grad_hook: there is no function (NULL)");
    cr_expect(reel_jvp(&y, 1, &x, 1, &none, out) && reel_item(out[0]) == 0, "one tangent that is missing is zero");
}

static int square(void *user, reel_ctx *own, reel_tensor *const *in, int n_in, reel_tensor **out, int capacity)
{
    (void)user, (void)own, (void)n_in, (void)capacity;
    out[0] = square_of(in[0]);
    return 1;
}

Test(missing, functions_and_places_for_values, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2), REEL_F32);
    reel_gradcheck_report report;
    quiet(reel_gradcheck(square, NULL, NULL, 1, NULL, &report));
    cr_expect_str_eq(report.message, "there are no inputs to differentiate by");
    refused(reel_gradcheck(NULL, NULL, &x, 1, NULL, &report), "gradcheck: there is no function (NULL)");
    cr_expect_str_eq(report.message, "gradcheck: there is no function (NULL)");
    refused(reel_copy_out(x, NULL, 8), "copy_out: there is no memory to copy to (NULL)");
    refused(reel_set_data(x, NULL, 8), "set_data: there is no data (NULL)");
    reel_print(x, NULL);
    refused(false, "print: there is no file (NULL)");
    quiet((reel_print(NULL, NULL), false));
    cr_expect_null(reel_shape_format(REEL_SHAPE(2), NULL));
    reel_philox(1, 2, NULL);
    cr_expect(isnan(reel_generator_uniform(NULL)) && isnan(reel_generator_normal(NULL)));
    cr_expect_eq(reel_generator_below(NULL, 5), 0);
    reel_tensor *none = reel_zeros(ctx, REEL_SHAPE(0), REEL_F32);
    cr_expect(reel_copy_out(none, NULL, 0) && reel_set_data(none, NULL, 0), "nothing needs no place");
    reel_fail(ctx, REEL_ERROR_USER, NULL);
    expect_error(REEL_ERROR_USER, "an error without a message");
}

Test(missing, parts_of_files, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2), REEL_F64);
    const reel_named one = { "x", x };
    const char *path = in_folder("f"), *other = in_folder("none");
    double numbers[2];
    cr_assert(reel_safetensors_save(ctx, path, &one, 1, (reel_text[]) { { "n", "7" }, { "d", "0x0000000000000000 (0)" } }, 2));
    refused(reel_safetensors_save(ctx, other, NULL, 1, NULL, 0), "safetensors_save: the list of 1 tensors is missing (NULL)");
    refused(reel_safetensors_save(ctx, other, &one, 1, NULL, 2), "safetensors_save: the list of 2 texts is missing (NULL)");
    refused(reel_safetensors_save(ctx, other, &one, -1, NULL, 0), "safetensors_save: there cannot be -1 tensors");
    cr_expect_not(reel_safetensors_save(ctx, other, &one, 1, (reel_text[]) { { NULL, "v" } }, 1));
    expect_file_error(REEL_ERROR_CONTEXT, other, "text 0 of the metadata has no key");
    cr_expect_not(reel_safetensors_save(ctx, other, &one, 1, (reel_text[]) { { "k", NULL } }, 1));
    expect_file_error(REEL_ERROR_CONTEXT, other, "text 0 of the metadata has no value");
    refused(reel_npz_write(ctx, other, NULL, 2, false), "npz_write: the list of 2 arrays is missing (NULL)");
    refused(reel_npz_write(ctx, other, &one, -1, false), "npz_write: there cannot be -1 arrays");
    cr_expect_not(reel_idx_write(ctx, NULL, x));
    expect_error(REEL_ERROR_IO, "no path was given for a file to write");
    refused(reel_idx_write(ctx, other, NULL), "idx_write: the tensor is missing (NULL)");
    cr_expect_eq(access(other, F_OK), -1, "nothing was written");

    reel_safetensors *file = reel_safetensors_open(ctx, path);
    refused(reel_safetensors_read(file, NULL), "safetensors_read: there is no name (NULL)");
    reel_safetensors_close(file);
    cr_assert(reel_npz_write(ctx, other, &one, 1, false));
    reel_npz *archive = reel_npz_open(ctx, other);
    refused(reel_npz_read(archive, NULL), "npz_read: there is no name (NULL)");
    reel_npz_close(archive);

    reel_store *store = reel_store_open(ctx, path);
    refused(reel_store_int(store, "", "n", NULL), "store_int: there is no place for the value (NULL)");
    refused(reel_store_double(store, "", "d", NULL), "store_double: there is no place for the value (NULL)");
    refused(reel_store_doubles(store, "", "x", NULL, 2), "store_doubles: the list of 2 numbers is missing (NULL)");
    refused(reel_store_get_into(store, "", "x", NULL), "store_get_into: there is no tensor (NULL)");
    cr_expect(reel_store_doubles(store, "", "x", numbers, 2) && numbers[1] == 1);
    reel_store_close(store);
    store = reel_store_new(ctx);
    refused(reel_store_put_doubles(store, "", "x", NULL, 2), "store_put_doubles: the list of 2 numbers is missing (NULL)");
    refused(reel_store_put_doubles(store, "", "x", numbers, -1), "store_put_doubles: there cannot be -1 numbers");
    const char *volatile format = NULL; /* a compiler that sees the NULL warns */
    refused(reel_store_put_text(store, "", "x", format), "store_put_text: there is no format (NULL)");
    cr_expect(reel_store_put_doubles(store, "", "x", NULL, 0), "none need no list");
    reel_store_close(store);
}

/* The op table */

static bool call_relu(reel_call_args *args) { return reel_args_return(args, reel_relu(reel_args_input(args, 0))); }

static int64_t ints[2];

static bool call_without_choices(reel_call_args *args) { return reel_args_choice(args, "mode", NULL) >= 0; }
static bool call_without_name(reel_call_args *args) { return reel_args_int(args, NULL) != 0 && call_relu(args); }
static bool call_without_ints(reel_call_args *args) { return reel_args_ints(args, "sizes", NULL, 2) == 2; }
static bool call_without_floats(reel_call_args *args) { return reel_args_floats(args, "sizes", NULL, 2) == 2; }
static bool call_without_room(reel_call_args *args) { return reel_args_ints(args, "sizes", ints, -1) >= 0; }

Test(missing, parts_of_a_call_from_data, .init = set_up, .fini = tear_down)
{
    const reel_named one = { "input", reel_ones(ctx, REEL_SHAPE(2), REEL_F32) };
    reel_tensor *out[1];
    refused(reel_call(ctx, "relu", NULL, 1, NULL, out, 1) >= 0, "relu: the list of 1 operands is missing (NULL)");
    refused(reel_call(ctx, "relu", &one, -1, NULL, out, 1) >= 0, "relu: there cannot be -1 operands");
    refused(reel_call(ctx, "relu", &one, 1, NULL, NULL, 1) >= 0, "relu: the list of 1 outputs is missing (NULL)");
    cr_expect_eq(reel_call(ctx, "relu", &one, 1, NULL, NULL, 0), 1);
    refused(reel_call_function(ctx, NULL, &one, 1, NULL, out, 1) >= 0, "call_function: there is no row of the op (NULL)");
    static const struct {
        reel_function row;
        const char *message;
    } rows[] = {
        { { .inputs = "input", .attrs = "", .call = call_relu }, "call_function: there is no name in the op's row (NULL)" },
        { { .name = "mine", .inputs = "input", .attrs = "" }, "mine: there is no function to call in the op's row (NULL)" },
        { { .name = "mine", .inputs = "input", .attrs = "mode:string=a", .call = call_without_choices },
          "mine: there is no list of choices (NULL)" },
        { { .name = "mine", .inputs = "input", .attrs = "", .call = call_without_name },
          "mine: the op's row does not list attribute '(NULL)'" },
        { { .name = "mine", .inputs = "input", .attrs = "sizes:ints=[1,2]", .call = call_without_ints },
          "mine: there is no place for the numbers (NULL)" },
        { { .name = "mine", .inputs = "input", .attrs = "sizes:floats=[1,2]", .call = call_without_floats },
          "mine: there is no place for the numbers (NULL)" },
        { { .name = "mine", .inputs = "input", .attrs = "sizes:ints=[1,2]", .call = call_without_room },
          "mine: attribute 'sizes' has 2 numbers, but at most -1 can be" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(reel_call_function(ctx, &rows[i].row, &one, 1, NULL, out, 1) >= 0, rows[i].message);
    reel_param param;
    cr_expect_not(reel_function_input(NULL, 0, &param) || reel_function_attr(NULL, 0, &param));
    cr_expect_not(reel_function_input(&rows[0].row, 0, NULL) || reel_function_attr(&rows[4].row, 0, NULL));
}
