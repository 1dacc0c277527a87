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
    refused(reel_store_put_text(store, "", "x", format, 1), "store_put_text: there is no format (NULL)");
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

static void *allocate(void *user, size_t bytes, size_t alignment)
{
    ++*(int *)user;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
static void give_back(void *user, void *memory)
{
    ++*(int *)user;
    free(memory);
}

Test(missing, one_half_of_an_allocator)
{
    int calls = 0;
    const reel_ctx_opts halves[2] = { { .allocate = allocate, .allocator_user = &calls },
                                      { .release = give_back, .allocator_user = &calls } };
    for (int k = 0; k < 2; k++) {
        ctx = reel_ctx_new(&halves[k]);
        refused(false, k ? "ctx_new: there is no allocate (NULL) beside the other" : "ctx_new: there is no release (NULL) beside the other");
        cr_expect_not_null(reel_ones(ctx, REEL_SHAPE(300), REEL_F32));
        reel_ctx_free(ctx);
    }
    cr_expect_eq(calls, 0, "neither is called without the other");
    ctx = NULL;
}

/* A user's own op */

static bool infer_without_words(reel_infer *infer)
{
    const char *volatile format = NULL;
    return reel_infer_fail(infer, REEL_ERROR_VALUE, format, 1);
}

static bool play_without_words(const reel_play *play)
{
    const char *volatile format = NULL;
    return reel_play_fail(play, REEL_ERROR_VALUE, format, 1);
}

static bool play_copy(const reel_play *play)
{
    memcpy(play->out->data, play->in->data, (size_t)play->in->numel * sizeof(float));
    return true;
}

static bool infer_nothing(reel_infer *infer)
{
    infer->n_out = 0;
    return true;
}

static bool infer_output_4(reel_infer *infer) { return reel_infer_out(infer, 4, REEL_F32, REEL_SHAPE(2)); }
static bool infer_output_before_0(reel_infer *infer) { return reel_infer_out(infer, -1, REEL_F32, REEL_SHAPE(2)); }

static bool play_nothing(const reel_play *play)
{
    reel_parallel(play->exec, 4, NULL, NULL);
    return play_copy(play);
}

static bool play_keeping(const reel_play *play)
{
    bool ready = true;
    void *unready = reel_play_keep(play, 0, 1, 64, NULL), *before = reel_play_keep(play, -1, 1, 64, &ready);
    return !unready && !before && !ready && play_copy(play);
}

Test(missing, parts_of_a_users_own_op, .init = set_up, .fini = tear_down)
{
    static const struct {
        reel_op op;
        const char *message;
    } table[] = {
        { { .infer = reel_infer_same, .play = play_copy }, "apply: the op has no name" },
        { { .name = "mine", .play = play_copy }, "mine: the op has no infer" },
        { { .name = "mine", .infer = reel_infer_same }, "mine: the op has no play" },
        { { .name = "mine", .infer = reel_infer_same, .play = play_copy, .attrs_size = 8 },
          "mine: the op's attributes are missing (NULL)" },
        { { .name = "mine", .infer = infer_nothing, .play = play_copy }, "mine: the op has no outputs" },
        { { .name = "mine", .infer = infer_output_4, .play = play_copy },
          "mine: there is no output 4; an op has at most 4 (input 0: float32 [2])" },
        { { .name = "mine", .infer = infer_output_before_0, .play = play_copy },
          "mine: there is no output -1; an op has at most 4 (input 0: float32 [2])" },
    };
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2), REEL_F32);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        refused(reel_apply(&table[i].op, &x, 1, NULL, NULL), table[i].message);

    /* Without operands, or without the first one. */
    static const struct {
        reel_op op;
        const char *message;
    } bare[] = {
        { { .name = "mine", .infer = reel_infer_same, .play = play_copy, .optional = 1 },
          "mine: the result is to be like input 0, which is missing (NULL)" },
        { { .name = "mine", .infer = reel_infer_broadcast, .play = play_copy, .optional = 1 },
          "mine: the result is to be like input 0, which is missing (NULL)" },
        { { .name = "mine", .infer = reel_infer_same, .flags = REEL_OP_VIEW, .optional = 1 },
          "mine: there is no input 0 to view" },
        { { .name = "mine", .infer = infer_nothing, .play = play_copy, .flags = REEL_OP_INPLACE, .optional = 1 },
          "mine: there is no input 0 to overwrite" },
    };
    reel_tensor *none = NULL;
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        refused(reel_apply_in(ctx, &bare[i].op, NULL, 0, NULL, NULL), bare[i].message);
        reel_apply_in(ctx, &bare[i].op, &none, 1, NULL, NULL);
        cr_expect(strstr(reel_ctx_error_message(ctx), bare[i].message) == reel_ctx_error_message(ctx));
        reel_ctx_clear_error(ctx);
    }
    static const reel_op mute = { .name = "mine", .infer = infer_without_words, .play = play_copy },
                         silent = { .name = "mine", .infer = reel_infer_same, .play = play_without_words };
    refused(reel_apply(&mute, &x, 1, NULL, NULL), "mine: refused (input 0: float32 [2])");
    refused(reel_eval(reel_apply(&silent, &x, 1, NULL, NULL)), "mine: failed");
    static const reel_op idle = { .name = "mine", .infer = reel_infer_same, .play = play_nothing };
    refused(reel_eval(reel_apply(&idle, &x, 1, NULL, NULL)), "parallel: there is no task (NULL)");
    static const reel_op good = { .name = "mine", .infer = reel_infer_same, .play = play_copy },
                         keeping = { .name = "mine", .infer = reel_infer_same, .play = play_keeping };
    refused(reel_apply(NULL, &x, 1, NULL, NULL), "apply: there is no op (NULL)");
    refused(reel_apply_in(ctx, NULL, &x, 1, NULL, NULL), "apply: there is no op (NULL)");
    refused(reel_apply_in(ctx, &good, NULL, 2, NULL, NULL), "mine: the list of 2 operands is missing (NULL)");
    quiet(reel_apply(&good, NULL, 2, NULL, NULL));
    cr_expect(reel_eval(reel_apply(&keeping, &x, 1, NULL, NULL)), "%s", reel_ctx_error_message(ctx));
}

/* Data, layers, training */

static bool read_nothing(void *user, reel_ctx *own, int64_t index, void *const *fields)
{
    (void)user, (void)own, (void)index, (void)fields;
    return true;
}

Test(missing, parts_of_data_sets, .init = set_up, .fini = tear_down)
{
    const reel_field field = { REEL_F32, REEL_SHAPE(2) };
    const float numbers[8] = { 0 };
    const void *memory = numbers;
    reel_dataset *data = reel_dataset_from_memory(ctx, 4, &field, &memory, 1), *first = NULL, *rest = data;
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(4, 2), REEL_F32);
    cr_assert(data);
    refused(reel_dataset_new(ctx, NULL), "dataset_new: there is no source (NULL)");
    refused(reel_dataset_from_memory(ctx, 4, NULL, &memory, 1), "dataset_from_memory: the list of 1 fields is missing (NULL)");
    refused(reel_dataset_from_memory(ctx, 4, &field, NULL, 1), "dataset_from_memory: the list of 1 memories is missing (NULL)");
    quiet(reel_dataset_from_tensors(NULL, 2));
    refused(reel_dataset_from_tensors((reel_tensor *[]) { NULL, x }, 2), "dataset_from_tensors: input 0 is missing (NULL)");
    refused(reel_dataset_from_tensors((reel_tensor *[]) { x, NULL }, 2), "dataset_from_tensors: input 1 is missing (NULL)");
    refused(reel_dataset_idx(ctx, NULL, 2), "data set: the list of 2 names is missing (NULL)");
    refused(reel_dataset_npy(ctx, NULL, 1), "data set: the list of 1 names is missing (NULL)");
    refused(reel_dataset_slice(ctx, NULL, 0, 1), "dataset_slice: there is no data set (NULL)");
    refused(reel_dataset_subset(ctx, NULL, (int64_t[]) { 0 }, 1), "dataset_subset: there is no data set (NULL)");
    refused(reel_dataset_subset(ctx, data, NULL, 2), "dataset_subset: the list of 2 samples is missing (NULL)");
    refused(reel_dataset_shard(ctx, NULL, 0, 2), "dataset_shard: there is no data set (NULL)");
    refused(reel_dataset_shuffled(ctx, NULL, NULL), "dataset_shuffled: there is no data set (NULL)");
    refused(reel_dataset_split(ctx, NULL, 0.5, &first, &rest), "dataset_split: there is no data set (NULL)");
    cr_expect(first == NULL && rest == NULL);
    refused(reel_dataset_split(ctx, data, 0.5, NULL, &rest), "dataset_split: there is no place for the first part (NULL)");
    refused(reel_dataset_split(ctx, data, 0.5, &first, NULL), "dataset_split: there is no place for the rest (NULL)");
    refused(reel_dataset_normalised(ctx, NULL, 0, NULL), "dataset_normalised: there is no data set (NULL)");
    refused(reel_dataset_map(ctx, NULL, &field, 1, NULL, NULL), "dataset_map: there is no data set (NULL)");
    refused(reel_dataset_map(ctx, data, NULL, 1, NULL, NULL), "dataset_map: the list of 1 fields is missing (NULL)");
    refused(reel_dataset_read(NULL, ctx, 0, NULL, NULL), "dataset_read: there is no data set (NULL)");
    refused(reel_dataset_read(data, ctx, 0, NULL, NULL), "dataset_read: the list of 1 fields is missing (NULL)");
    refused(reel_dataset_read(data, ctx, 0, NULL, (void *[]) { NULL }), "dataset_read: there is no memory for a field (NULL)");
    refused(reel_dataset_tensors(NULL, ctx, 0, 1, &x), "dataset_tensors: there is no data set (NULL)");
    refused(reel_dataset_tensors(data, ctx, 0, 1, NULL), "dataset_tensors: the list of 1 fields is missing (NULL)");
    refused(reel_augment_batch(NULL, ctx, NULL, NULL), "augment_batch: there is no batch (NULL)");
    reel_dataset_free(data);

    reel_source source = { .count = 2, .n_fields = 1, .field = { field }, .read = read_nothing };
    data = reel_dataset_new(ctx, &source);
    cr_expect_eq(reel_dataset_count(data), 2);
    reel_dataset_free(data);
    int64_t order[3] = { 7, 7, 7 };
    reel_shuffle(NULL, 3, NULL);
    reel_shuffle(order, 3, NULL);
    cr_expect(order[0] == 0 && order[1] == 1 && order[2] == 2);
}

Test(missing, layers, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F32), *next;
    const reel_linear_layer linear = { .weight = NULL };
    const reel_conv_layer conv = { .spatial = 2 }, flat = { .weight = x };
    const reel_batch_norm_layer batch_norm = { .eps = 0 };
    const reel_embedding_layer embedding = { .weight = NULL };
    const reel_cell_layer cell = { .hidden = 4 };
    refused(reel_linear_forward(NULL, x), "linear: the layer is missing (NULL), or was not made");
    refused(reel_linear_forward(&linear, x), "linear: the layer is missing (NULL), or was not made");
    refused(reel_conv_forward(NULL, x), "conv: the layer is missing (NULL), or was not made");
    refused(reel_conv_forward(&conv, x), "conv: the layer is missing (NULL), or was not made");
    refused(reel_conv_forward(&flat, x), "conv: the layer has 0 spatial axes, not 1 to 3");
    refused(reel_batch_norm_forward(NULL, x), "batch_norm: the layer is missing (NULL), or was not made");
    refused(reel_batch_norm_forward(&batch_norm, x), "batch_norm: the layer is missing (NULL), or was not made");
    refused(reel_layer_norm_forward(NULL, x), "layer_norm: the layer is missing (NULL), or was not made");
    refused(reel_group_norm_forward(NULL, x), "group_norm: the layer is missing (NULL), or was not made");
    refused(reel_embedding_forward(NULL, x), "embedding: the layer is missing (NULL), or was not made");
    refused(reel_embedding_forward(&embedding, x), "embedding: the layer is missing (NULL), or was not made");
    refused(reel_dropout_forward(NULL, x), "dropout: the layer is missing (NULL), or was not made");
    refused(reel_rnn_cell_forward(NULL, x, NULL), "rnn_cell: the layer is missing (NULL), or was not made");
    refused(reel_gru_cell_forward(NULL, x, NULL), "gru_cell: the layer is missing (NULL), or was not made");
    refused(reel_lstm_cell_forward(NULL, x, NULL, NULL, &next), "lstm_cell: the layer is missing (NULL), or was not made");
    refused(reel_lstm_cell_forward(&cell, x, NULL, NULL, &next), "lstm_cell: the layer is missing (NULL), or was not made");
    quiet(reel_linear_forward(NULL, NULL) || reel_conv_forward(NULL, NULL) || reel_lstm_cell_forward(NULL, NULL, NULL, NULL, NULL));
    refused(reel_init_default(NULL, x, NULL), "init_default: there is no weight (NULL)");
    quiet(reel_init_default(NULL, NULL, NULL));
    int64_t fan = 0;
    cr_expect(reel_fans(x, &fan, NULL) && fan == 3 && reel_fans(x, NULL, &fan) && fan == 2);
}

Test(missing, parts_of_modules, .init = set_up, .fini = tear_down)
{
    reel_module *module = reel_module_new(ctx, NULL);
    reel_linear_make(module, NULL, 3, 2, NULL);
    cr_expect_not_null(reel_module_find(module, "weight"), "a layer without a name");
    const char *path = in_folder("m");
    reel_store *store = reel_store_new(ctx);
    refused(reel_module_save(module, path, NULL, 2), "module_save: the list of 2 texts is missing (NULL)");
    refused(reel_module_save(module, path, (reel_text[]) { { NULL, "v" } }, 1), "store: a name is missing (NULL)");
    refused(reel_module_save(module, path, (reel_text[]) { { "k", NULL } }, 1), "module_save: there is no value of a text (NULL)");
    cr_expect_eq(access(path, F_OK), -1);
    refused(reel_module_store(module, NULL, ""), "module_store: there is no store (NULL)");
    refused(reel_module_store(NULL, store, ""), "module_store: there is no module (NULL)");
    refused(reel_module_restore(module, NULL, NULL), "module_restore: there is no store (NULL)");
    refused(reel_module_restore(NULL, store, NULL), "module_restore: there is no module (NULL)");
    refused(reel_module_copy(module, NULL), "module_copy: there is no module to copy from (NULL)");
    refused(reel_module_copy(NULL, module), "module_copy: there is no module to copy to (NULL)");
    quiet(reel_module_save(NULL, path, NULL, 2));
    reel_store_close(store);
    reel_module_free(module);
}

Test(missing, parts_of_optimisers, .init = set_up, .fini = tear_down)
{
    reel_tensor *x = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2), REEL_F32), true);
    reel_optim *optim = reel_sgd_new(REEL_PARAMS(x), NULL);
    reel_ema *ema = reel_ema_new(REEL_PARAMS(x), 0.9);
    reel_store *store = reel_store_new(ctx);
    const reel_params none = { NULL, 2 };
    cr_assert(optim && ema && store);
    quiet(reel_sgd_new(none, NULL) || reel_lbfgs_new(none, NULL) || reel_ema_new(none, 0.9));
    quiet(reel_clip_grad_norm(none, 1, 0) || reel_clip_grad_value(none, 1));
    refused(reel_optim_add_group(optim, none, NULL), "sgd: the list of 2 parameters is missing (NULL)");
    refused(reel_ema_new(REEL_PARAMS(x, NULL), 0.9), "ema: input 1 is missing (NULL)");
    refused(reel_ema_new(REEL_PARAMS(NULL, x), 0.9), "ema: input 0 is missing (NULL)");
    refused(reel_clip_grad_norm(REEL_PARAMS(NULL, x), 1, 0), "clip_grad_norm: input 0 is missing (NULL)");
    refused(reel_clip_grad_value(REEL_PARAMS(x, NULL), 1), "clip_grad_value: input 1 is missing (NULL)");
    refused(reel_optim_store(optim, NULL, ""), "optim_store: there is no store (NULL)");
    refused(reel_optim_store(NULL, store, ""), "optim_store: there is no optimiser (NULL)");
    refused(reel_optim_restore(optim, NULL, ""), "optim_restore: there is no store (NULL)");
    refused(reel_optim_restore(NULL, store, ""), "optim_restore: there is no optimiser (NULL)");
    refused(reel_ema_store(ema, NULL, ""), "ema_store: there is no store (NULL)");
    refused(reel_ema_store(NULL, store, ""), "ema_store: there is no average (NULL)");
    refused(reel_ema_restore(ema, NULL, ""), "ema_restore: there is no store (NULL)");
    refused(reel_ema_restore(NULL, store, ""), "ema_restore: there is no average (NULL)");

    reel_schedule schedule = reel_lr_multistep(NULL, 2, 0.5);
    refused(reel_schedule_start(&schedule, optim), "schedule: the list of milestones is missing (NULL)");
    schedule = reel_lr_multistep(NULL, 0, 0.5);
    cr_expect(reel_schedule_start(&schedule, optim), "none need no list");
    refused(reel_schedule_start(NULL, optim), "schedule: there is none (NULL)");
    refused(reel_schedule_advance(NULL, optim), "schedule: there is none (NULL)");
    refused(reel_schedule_observe(NULL, optim, 1), "schedule_observe: there is no schedule (NULL)");
    refused(reel_schedule_store(NULL, store, ""), "schedule_store: there is no schedule (NULL)");
    refused(reel_schedule_restore(NULL, store, ""), "schedule_restore: there is no schedule (NULL)");
    quiet(reel_schedule_store(&schedule, NULL, "") || reel_schedule_advance(NULL, NULL));
    cr_expect(isnan(reel_schedule_rate(NULL, 1, 0, NULL)));
    reel_store_close(store);
    reel_ema_free(ema);
    reel_optim_free(optim);
}

static reel_tensor *forward(void *user, const reel_batch *batch) { return reel_linear_forward(user, batch->field[0]); }

static bool released;
static void release(reel_callback *self) { released = self != NULL; }

Test(missing, parts_of_a_training, .init = set_up, .fini = tear_down)
{
    reel_module *module = reel_module_new(ctx, NULL);
    reel_linear_layer layer = reel_linear_make(module, "l", 3, 2, NULL);
    reel_optim *optim = reel_sgd_new(reel_module_parameters(module), NULL);
    reel_tensor *fields[] = { reel_ones(ctx, REEL_SHAPE(4, 3), REEL_F32), reel_zeros(ctx, REEL_SHAPE(4), REEL_I64) };
    reel_dataset *data = reel_dataset_from_tensors(fields, 2);
    reel_loader *loader = reel_loader_new(ctx, data, &(reel_loader_opts) { .batch = 2 });
    const reel_model model = { .module = module, .forward = forward, .user = &layer };
    reel_confusion *confusion = reel_confusion_new(ctx, 2);
    cr_assert(loader && optim && confusion);
    const reel_metric unnamed = { .update = reel_metric_accuracy().update, .k = 1 }, idle = { .name = "idle" },
                      unfilled = reel_metric_confusion(NULL);
    refused(reel_evaluate(&model, loader, NULL, 2, NULL), "evaluate: the list of 2 metrics is missing (NULL)");
    refused(reel_evaluate(&model, loader, &idle, -1, NULL), "evaluate: there cannot be -1 metrics");
    refused(reel_evaluate(&model, loader, &idle, REEL_MAX_METRICS + 1, NULL), "evaluate: 9 metrics are more than 8");
    refused(reel_evaluate(&model, loader, &idle, 1, NULL), "evaluate: a metric has no name or no function");
    refused(reel_evaluate(&model, loader, &unnamed, 1, NULL), "evaluate: a metric has no name or no function");
    refused(reel_evaluate(&model, loader, &unfilled, 1, NULL), "confusion: there is no matrix (NULL)");
    refused(reel_confusion_add(NULL, NULL, fields[1]), "confusion: there is no matrix (NULL)");
    refused(reel_confusion_add(confusion, fields[0], NULL), "confusion: input 1 is missing (NULL)");
    refused(reel_confusion_save_svg(NULL, ctx, in_folder("c"), NULL), "confusion_save_svg: there is no matrix (NULL)");
    refused(reel_matrix_save_svg(ctx, in_folder("c"), "t", 2, NULL, NULL), "matrix_save_svg: there is no list of counts (NULL)");

    reel_fit_opts opts = { .n_metrics = 1 };
    refused(reel_fit(&model, optim, loader, &opts, NULL), "fit: the list of 1 metrics is missing (NULL)");
    opts = (reel_fit_opts) { .n_callbacks = 2 };
    refused(reel_fit(&model, optim, loader, &opts, NULL), "fit: the list of 2 callbacks is missing (NULL)");
    opts.n_callbacks = -1;
    refused(reel_fit(&model, optim, loader, &opts, NULL), "fit: there cannot be -1 callbacks");
    opts = (reel_fit_opts) { .metrics = &idle, .n_metrics = 1, .n_callbacks = 1,
                             .callbacks = (reel_callback *[]) { &(reel_callback) { .release = release } } };
    refused(reel_fit(&model, optim, loader, &opts, NULL), "fit: a metric has no name or no function");
    cr_expect(released, "callbacks are released in any case");
    reel_run run = { .model = &model, .ctx = ctx, .optim = optim, .data = loader };
    refused(reel_run_save(&run, in_folder("r")), "run_save: the run is none that reel_fit began");
    quiet(reel_run_save(NULL, in_folder("r")));

    const double y[2] = { 1, 2 };
    const reel_series line = { .name = "y", .count = 2 }, drawn = { .y = y, .count = 2 };
    const reel_panel empty = { .n_series = 1 }, lacks = { .series = &line, .n_series = 1 },
                     whole = { .series = &drawn, .n_series = 1 };
    refused(reel_curves_save_svg(ctx, in_folder("s"), NULL, 1), "curves_save_svg: the list of 1 panels is missing (NULL)");
    refused(reel_curves_save_svg(ctx, in_folder("s"), &empty, 1), "curves_save_svg: the list of 1 series is missing (NULL)");
    refused(reel_curves_save_svg(ctx, in_folder("s"), &lacks, 1), "curves_save_svg: the list of 2 numbers is missing (NULL)");
    cr_expect_eq(access(in_folder("s"), F_OK), -1);
    cr_expect(reel_curves_save_svg(ctx, in_folder("s"), &whole, 1), "names and titles may be left out");
    reel_confusion_free(confusion);
    reel_loader_free(loader);
    reel_dataset_free(data);
    reel_optim_free(optim);
    reel_module_free(module);
}
