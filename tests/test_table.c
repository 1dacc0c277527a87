// SPDX-License-Identifier: MIT
// The op table itself, and how reel_call refuses what does not fit a row.
#include <criterion/criterion.h>
#include <math.h>
#include <reel/ops/table.h>
#include <string.h>

// What the calls below were given, seen from inside.
typedef struct seen {
    int64_t ints[4];
    int n_ints;
    double scale, floats[4];
    int n_floats, choice, inputs;
    bool flag, has_limit, has_word, has_bias;
    char word[16];
    reel_dtype dtype;
} seen;

static seen got;

static bool record_call(reel_call_args *args)
{
    got = (seen) { .inputs = reel_args_inputs(args) };
    got.n_ints = reel_args_ints(args, "stride", got.ints, 4);
    got.scale = reel_args_float(args, "scale");
    got.n_floats = reel_args_floats(args, "factors", got.floats, 4);
    got.flag = reel_args_bool(args, "flag");
    got.choice = reel_args_choice(args, "mode", "nearest bilinear bicubic");
    got.has_limit = reel_args_has(args, "limit");
    const char *word = reel_args_string(args, "padding");
    got.has_word = word != NULL;
    snprintf(got.word, sizeof got.word, "%s", word ? word : "");
    got.dtype = reel_args_dtype(args, "dtype");
    got.has_bias = reel_args_input(args, 1) != NULL;
    return got.choice >= 0 && got.n_ints >= 0 && reel_args_return(args, reel_args_input(args, 0));
}

static const reel_function probe = {
    .name = "probe",
    .inputs = "input bias?",
    .attrs = "stride:ints=1 padding:ints|string=0 scale:float=0.5 factors:floats=[1.5,2] flag:bool=false "
             "mode:string=bilinear limit:int=none dtype:dtype=float32 sizes:ints?=none",
    .call = record_call,
};

static bool record_many(reel_call_args *args)
{
    got = (seen) { .inputs = reel_args_inputs(args) };
    return reel_args_return(args, reel_args_input(args, 0)) &&
           reel_args_return(args, reel_args_input(args, got.inputs - 1));
}

static const reel_function many = { .name = "many", .inputs = "tensors*", .attrs = "dim:int", .call = record_many };

static reel_ctx *ctx;
static reel_tensor *x, *b;

static void begin(void)
{
    ctx = reel_ctx_new(NULL);
    x = reel_floats(ctx, REEL_SHAPE(2), (float[]) { 1, 2 });
    b = reel_floats(ctx, REEL_SHAPE(2), (float[]) { 3, 4 });
}

static void end(void) { reel_ctx_free(ctx); }

TestSuite(table, .init = begin, .fini = end);

static int call_probe(const char *attrs)
{
    reel_tensor *out[1];
    return reel_call_function(ctx, &probe, (reel_named[]) { { "input", x } }, 1, attrs, out, 1);
}

// The error has every one of these words, and the call failed.
static void refuses(int result, const char *const *words)
{
    const char *message = reel_ctx_error_message(ctx);
    cr_assert_eq(result, -1, "was accepted");
    for (; *words; words++) cr_assert(strstr(message, *words), "'%s' should name %s", message, *words);
    reel_ctx_clear_error(ctx);
}
#define REFUSES(call, ...) refuses(call, (const char *const[]) { __VA_ARGS__, NULL })

Test(table, is_in_alphabetical_order_without_doubles)
{
    for (int i = 1; i < reel_function_count(); i++)
        cr_expect_lt(strcmp(reel_function_at(i - 1)->name, reel_function_at(i)->name), 0, "%s stands before %s",
                     reel_function_at(i - 1)->name, reel_function_at(i)->name);
    cr_assert_null(reel_function_at(-1));
    cr_assert_null(reel_function_at(reel_function_count()));
}

Test(table, finds_every_row_by_its_name_and_nothing_else)
{
    for (int i = 0; i < reel_function_count(); i++)
        cr_assert_eq(reel_function_find(reel_function_at(i)->name), reel_function_at(i));
    cr_assert_null(reel_function_find("no_such_op"));
    cr_assert_null(reel_function_find(NULL));
}

static bool is_type(const char *text, size_t length)
{
    static const char *const types[] = { "int", "ints", "ints?", "float", "floats", "bool", "string", "dtype" };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i]) == length && !strncmp(types[i], text, length)) return true;
    return false;
}

Test(table, has_rows_whose_specifications_can_be_read)
{
    reel_param param;
    for (int i = 0; i < reel_function_count(); i++) {
        const reel_function *f = reel_function_at(i);
        cr_expect(f->call && f->inputs && f->formula && f->formula[0], "%s: the row is incomplete", f->name);
        for (int k = 0; reel_function_attr(f, k, &param); k++) {
            cr_expect(param.name[0] && param.type[0], "%s: attribute %d has no name or type", f->name, k);
            for (const char *type = param.type; *type;) {
                size_t length = strcspn(type, "|");
                cr_expect(is_type(type, length), "%s: attribute '%s' has an unknown type '%s'", f->name, param.name,
                          type);
                type += length + (type[length] == '|');
            }
        }
        for (int k = 0; reel_function_input(f, k, &param); k++)
            cr_expect(param.name[0] &&
                          strspn(param.name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(param.name),
                      "%s: operand %d is called '%s'", f->name, k, param.name);
    }
}

Test(table, says_of_every_op_what_it_refuses)
{
    for (int i = 0; i < reel_function_count(); i++) {
        const reel_function *f = reel_function_at(i);
        size_t length = f->errors ? strlen(f->errors) : 0;
        cr_expect(length > 0 && strchr(".;, ", f->errors[length - 1]) == NULL && !strstr(f->errors, "; ;"),
                  "%s: what it refuses is not said, or not cleanly: '%s'", f->name, f->errors ? f->errors : "");
    }
}

Test(table, fills_in_defaults)
{
    cr_assert_eq(call_probe(NULL), 1);
    cr_assert(got.n_ints == 1 && got.ints[0] == 1 && got.scale == 0.5 && !got.flag && got.choice == 1);
    cr_assert(got.n_floats == 2 && got.floats[0] == 1.5 && got.floats[1] == 2);
    cr_assert(!got.has_limit && !got.has_word && got.dtype == REEL_F32 && !got.has_bias);
    cr_assert_eq(call_probe("{}"), 1);
}

Test(table, takes_one_number_for_a_list_and_a_list)
{
    cr_assert_eq(call_probe("{\"stride\": 3, \"factors\": 7}"), 1);
    cr_assert(got.n_ints == 1 && got.ints[0] == 3 && got.n_floats == 1 && got.floats[0] == 7);
    cr_assert_eq(call_probe("{\"stride\": [3, -4], \"factors\": [1, 2.5]}"), 1);
    cr_assert(got.n_ints == 2 && got.ints[1] == -4 && got.n_floats == 2 && got.floats[1] == 2.5);
    cr_assert_eq(call_probe("{\"stride\": []}"), 1);
    cr_assert_eq(got.n_ints, 0);
}

Test(table, takes_any_alternative_of_a_type)
{
    cr_assert_eq(call_probe("{\"padding\": \"same\"}"), 1);
    cr_assert(got.has_word && !strcmp(got.word, "same"));
    cr_assert_eq(call_probe("{\"padding\": [1, 2]}"), 1);
    cr_assert_not(got.has_word);
    REFUSES(call_probe("{\"padding\": 1.5}"), "probe", "padding", "an integer or a list of integers or a string",
            "1.5");
}

Test(table, reads_infinities_and_nan_from_strings)
{
    cr_assert_eq(call_probe("{\"scale\": \"-inf\"}"), 1);
    cr_assert_eq(got.scale, -INFINITY);
    cr_assert_eq(call_probe("{\"scale\": \"nan\"}"), 1);
    cr_assert(isnan(got.scale));
    cr_assert_eq(call_probe("{\"scale\": 2}"), 1);
    cr_assert_eq(got.scale, 2);
    REFUSES(call_probe("{\"scale\": \"large\"}"), "probe", "scale", "a number", "large");
}

Test(table, takes_null_for_left_out)
{
    cr_assert_eq(call_probe("{\"stride\": null, \"limit\": null}"), 1);
    cr_assert(got.n_ints == 1 && got.ints[0] == 1 && !got.has_limit);
    cr_assert_eq(call_probe("{\"limit\": 0}"), 1);
    cr_assert(got.has_limit);
    reel_tensor *out[2];
    REFUSES(reel_call_function(ctx, &many, (reel_named[]) { { "a", x } }, 1, "{\"dim\": null}", out, 2), "many", "dim",
            "required");
}

Test(table, refuses_wrong_types_by_name)
{
    REFUSES(call_probe("{\"stride\": 2.0}"), "probe", "stride", "integer", "2.0");
    REFUSES(call_probe("{\"stride\": [1, \"a\"]}"), "probe", "stride", "[1,\"a\"]");
    REFUSES(call_probe("{\"flag\": 1}"), "probe", "flag", "true or false");
    REFUSES(call_probe("{\"mode\": 2}"), "probe", "mode", "string");
    REFUSES(call_probe("{\"dtype\": \"float16\"}"), "probe", "dtype", "float16");
    REFUSES(call_probe("{\"mode\": \"cubic\"}"), "probe", "mode", "nearest bilinear bicubic", "cubic");
    REFUSES(call_probe("{\"stride\": [1, 2, 3, 4, 5]}"), "probe", "stride", "5", "4");
}

Test(table, refuses_attributes_it_does_not_know)
{
    REFUSES(call_probe("{\"strides\": 2}"), "probe", "strides", "stride, padding, scale");
}

Test(table, refuses_what_is_not_a_json_object)
{
    REFUSES(call_probe("{\"stride\": "), "probe", "JSON");
    REFUSES(call_probe("[1]"), "probe", "object");
    REFUSES(call_probe("{\"stride\": 1, \"stride\": 2}"), "probe", "JSON");
    REFUSES(call_probe("{\"stride\": 99999999999999999999}"), "probe", "JSON");
    REFUSES(call_probe("{\"scale\": 1e999}"), "probe", "JSON");
}

Test(table, keeps_the_largest_integers)
{
    cr_assert_eq(call_probe("{\"stride\": [9223372036854775807, -9223372036854775808]}"), 1);
    cr_assert(got.ints[0] == INT64_MAX && got.ints[1] == INT64_MIN);
}

Test(table, matches_operands_by_name_in_any_order)
{
    reel_tensor *out[1];
    reel_named both[] = { { "bias", b }, { "input", x } };
    cr_assert_eq(reel_call_function(ctx, &probe, both, 2, NULL, out, 1), 1);
    cr_assert(got.has_bias && out[0] == x);
    reel_named left_out[] = { { "input", x }, { "bias", NULL } };
    cr_assert_eq(reel_call_function(ctx, &probe, left_out, 2, NULL, out, 1), 1);
    cr_assert_not(got.has_bias);
}

Test(table, refuses_missing_unknown_and_doubled_operands)
{
    reel_tensor *out[1];
    REFUSES(reel_call_function(ctx, &probe, (reel_named[]) { { "bias", b } }, 1, NULL, out, 1), "probe", "input",
            "missing");
    REFUSES(reel_call_function(ctx, &probe, NULL, 0, NULL, out, 1), "probe", "input", "missing");
    reel_named other[] = { { "input", x }, { "weight", b } };
    REFUSES(reel_call_function(ctx, &probe, other, 2, NULL, out, 1), "probe", "weight", "input bias");
    reel_named twice[] = { { "input", x }, { "input", b } };
    REFUSES(reel_call_function(ctx, &probe, twice, 2, NULL, out, 1), "probe", "input", "twice");
}

Test(table, takes_any_number_of_operands_where_a_row_says_so)
{
    reel_tensor *out[2];
    reel_named three[] = { { "a", x }, { "b", x }, { "b", b } };
    cr_assert_eq(reel_call_function(ctx, &many, three, 3, "{\"dim\": 0}", out, 2), 2);
    cr_assert(got.inputs == 3 && out[0] == x && out[1] == b);
}

Test(table, writes_no_more_outputs_than_there_is_room_for)
{
    reel_tensor *out[2] = { NULL, NULL };
    cr_assert_eq(reel_call_function(ctx, &many, (reel_named[]) { { "a", x } }, 1, "{\"dim\": 0}", out, 1), 2);
    cr_assert(out[0] == x && !out[1]);
}

Test(table, says_that_an_op_is_unknown)
{
    reel_tensor *out[1];
    REFUSES(reel_call(ctx, "no_such_op", NULL, 0, NULL, out, 1), "no_such_op");
    REFUSES(reel_call(ctx, NULL, NULL, 0, NULL, out, 1), "no op");
}

Test(table, does_nothing_while_the_context_has_an_error)
{
    reel_fail(ctx, REEL_ERROR_USER, "first");
    cr_assert_eq(call_probe(NULL), -1);
    cr_assert_str_eq(reel_ctx_error_message(ctx), "first");
}
