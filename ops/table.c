// SPDX-License-Identifier: MIT
// The op table, and running an op from data: operands by name, attributes as JSON.
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <reel/core/operands.h>
#include <reel/ops/table.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REEL_FN(name) extern const reel_function reel_fn_##name;
#include <reel/ops/table.def>
#undef REEL_FN

#define REEL_FN(name) &reel_fn_##name,
static const reel_function *const functions[] = {
#include <reel/ops/table.def>
    NULL
};
#undef REEL_FN

#define MAX_OUTPUTS 64

struct reel_call_args {
    reel_ctx *ctx;
    const reel_function *function;
    json_t *attrs; // every attribute of the row, defaults filled in, null where there is none
    reel_tensor **in;
    int n_in;
    reel_tensor *out[MAX_OUTPUTS];
    int n_out;
};

int reel_function_count(void) { return (int)(sizeof functions / sizeof functions[0]) - 1; }

const reel_function *reel_function_at(int i) { return i >= 0 && i < reel_function_count() ? functions[i] : NULL; }

const reel_function *reel_function_find(const char *name)
{
    for (int i = 0; i < reel_function_count(); i++)
        if (name && !strcmp(functions[i]->name, name)) return functions[i];
    return NULL;
}

// ---- what a JSON value may be ----

static bool text_is_number(const char *text, double *value)
{
    static const struct {
        const char *text;
        double value;
    } words[] = { { "inf", INFINITY },      { "+inf", INFINITY },       { "-inf", -INFINITY },
                  { "infinity", INFINITY }, { "-infinity", -INFINITY }, { "nan", NAN } };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i].text)) continue;
        *value = words[i].value;
        return true;
    }
    return false;
}

static bool json_is_float(const json_t *json)
{
    double ignored;
    return json_is_number(json) || json_is_boolean(json) ||
           (json_is_string(json) && text_is_number(json_string_value(json), &ignored));
}

static double json_float(const json_t *json)
{
    double value = 0;
    if (json_is_string(json)) return text_is_number(json_string_value(json), &value) ? value : 0;
    return json_is_boolean(json) ? json_is_true(json) : json_number_value(json);
}

static bool json_is_list_of(const json_t *json, bool floats, bool nulls)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;
        if (!(floats ? json_is_float(item) : json_is_integer(item)) && !(nulls && json_is_null(item))) return false;
    }
    return true;
}

static bool dtype_of_text(const char *text, reel_dtype *dtype)
{
    if (!strncmp(text, "torch.", 6)) text += 6;
    for (int i = 0; i < REEL_DTYPE_COUNT; i++) {
        if (strcmp(text, reel_dtype_name((reel_dtype)i))) continue;
        *dtype = (reel_dtype)i;
        return true;
    }
    return false;
}

// The types a specification may name. Order is that of `type_words`, which is how an error speaks of them.
enum {
    TYPE_INT,
    TYPE_INTS,
    TYPE_INTS_OR_NULL,
    TYPE_FLOAT,
    TYPE_FLOATS,
    TYPE_BOOL,
    TYPE_STRING,
    TYPE_DTYPE,
    TYPE_COUNT
};
static const char *const type_names[TYPE_COUNT] = {
    "int", "ints", "ints?", "float", "floats", "bool", "string", "dtype"
};
static const char *const type_words[TYPE_COUNT] = { "an integer",
                                                    "an integer or a list of integers",
                                                    "an integer or a list of integers and nulls",
                                                    "a number",
                                                    "a number or a list of numbers",
                                                    "true or false",
                                                    "a string",
                                                    "a dtype's name" };

static bool json_is_type(const json_t *json, int type)
{
    reel_dtype ignored;
    switch (type) {
    case TYPE_INT: return json_is_integer(json);
    case TYPE_INTS: return json_is_list_of(json, false, false);
    case TYPE_INTS_OR_NULL: return json_is_list_of(json, false, true);
    case TYPE_FLOAT: return json_is_float(json);
    case TYPE_FLOATS: return json_is_list_of(json, true, false);
    case TYPE_BOOL: return json_is_boolean(json);
    case TYPE_STRING: return json_is_string(json);
    default: return json_is_string(json) && dtype_of_text(json_string_value(json), &ignored);
    }
}

// Type number of the alternative at *types, which moves on to the next; -1 at the end, TYPE_COUNT for no type at all.
static int next_type(const char **types)
{
    size_t length = strcspn(*types, "|");
    if (!length) return -1;
    const char *name = *types;
    *types += length + (name[length] == '|');
    for (int type = 0; type < TYPE_COUNT; type++)
        if (strlen(type_names[type]) == length && !strncmp(type_names[type], name, length)) return type;
    return TYPE_COUNT;
}

static bool json_fits(const json_t *json, const char *types)
{
    for (int type; (type = next_type(&types)) >= 0;)
        if (type < TYPE_COUNT && json_is_type(json, type)) return true;
    return false;
}

// ---- reading a call's operands and attributes ----

static void *out_of_memory(const reel_call_args *args)
{
    return reel_fail(args->ctx, REEL_ERROR_MEMORY, "%s: no memory to read the attributes", args->function->name);
}

static bool fail_type(const reel_call_args *args, const reel_param *param, const json_t *json)
{
    char expected[256] = "";
    const char *types = param->type;
    for (int type; (type = next_type(&types)) >= 0;) {
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", used ? " or " : "",
                 type < TYPE_COUNT ? type_words[type] : "of no known type");
    }
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: attribute '%s' must be %s, but is %.64s", args->function->name,
              param->name, expected, text ? text : "something else");
    free(text);
    return false;
}

// A default's text is JSON where it can be ("1", "true", "[0, 1]"), "none", or a string without its quotes.
static json_t *fallback_json(const char *text)
{
    if (!strcmp(text, "none")) return json_null();
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    return json ? json : json_string(text);
}

static bool fail_unknown_attr(const reel_call_args *args, const char *name)
{
    char known[512] = "";
    reel_param param;
    for (int i = 0; reel_function_attr(args->function, i, &param); i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", param.name);
    }
    reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: no attribute is called '%.64s'; %s%s", args->function->name, name,
              known[0] ? "there are " : "the op has none", known);
    return false;
}

static bool read_attrs(reel_call_args *args, const char *text)
{
    const char *op = args->function->name;
    json_error_t error;
    json_t *given = text && text[0] ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : json_object();
    if (!given && text && text[0] && json_error_code(&error) != json_error_out_of_memory)
        return reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: the attributes are not JSON: %s (at character %d)", op,
                         error.text, error.position);
    if (!given) return out_of_memory(args);
    bool done = false;
    if (!json_is_object(given)) {
        reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: the attributes must be a JSON object", op);
        goto end;
    }
    reel_param param;
    for (int i = 0; reel_function_attr(args->function, i, &param); i++) {
        json_t *json = json_object_get(given, param.name);
        bool from_call = json && !json_is_null(json);
        if (from_call && !json_fits(json, param.type)) {
            fail_type(args, &param, json);
            goto end;
        }
        if (!from_call && !param.optional) {
            reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: attribute '%s' is required", op, param.name);
            goto end;
        }
        json = from_call ? json_incref(json) : fallback_json(param.fallback);
        if (!json || json_object_set_new(args->attrs, param.name, json)) {
            out_of_memory(args);
            goto end;
        }
    }
    const char *name;
    json_t *ignored;
    json_object_foreach(given, name, ignored)
    {
        if (json_object_get(args->attrs, name)) continue;
        fail_unknown_attr(args, name);
        goto end;
    }
    done = true;
end:
    json_decref(given);
    return done;
}

// Position of the operand called `name`; that of the first of any number, when no name fits; or -1.
static int position_of(const reel_function *function, const char *name, bool *any_number)
{
    reel_param param;
    for (int i = 0; reel_function_input(function, i, &param); i++) {
        *any_number = param.any_number;
        if (param.any_number || !strcmp(param.name, name)) return i;
    }
    return -1;
}

static bool read_inputs(reel_call_args *args, const reel_named *inputs, int n)
{
    const char *op = args->function->name;
    for (int k = 0; k < n; k++) {
        bool any_number = false;
        int i = position_of(args->function, inputs[k].name ? inputs[k].name : "", &any_number);
        if (any_number && i < args->n_in) i = args->n_in;
        if (i < 0)
            return reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: no operand is called '%.64s'; there are: %s", op,
                             inputs[k].name ? inputs[k].name : "", args->function->inputs);
        if (i < args->n_in && args->in[i] && !any_number)
            return reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: operand '%s' is given twice", op, inputs[k].name);
        args->in[i] = inputs[k].tensor;
        if (i >= args->n_in) args->n_in = i + 1;
    }
    reel_param param;
    for (int i = 0; reel_function_input(args->function, i, &param); i++)
        if (!param.optional && (i >= args->n_in || !args->in[i]))
            return reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: operand '%s' is missing", op, param.name);
    return true;
}

// The error of a failed call must name the op that was called, also when an op it is made of refused.
static void name_the_op(reel_ctx *ctx, const char *name)
{
    char message[1024];
    const char *known = reel_ctx_error_message(ctx), *at = strstr(known, name);
    char next = at ? at[strlen(name)] : 0;
    if (at && (at == known || at[-1] == ' ') && !isalnum((unsigned char)next) && next != '_') return;
    reel_error error = reel_ctx_error(ctx);
    snprintf(message, sizeof message, "%s", known);
    reel_ctx_clear_error(ctx);
    reel_fail(ctx, error ? error : REEL_ERROR_VALUE, "%s: %s", name, message[0] ? message : "failed");
}

int reel_call_function(reel_ctx *ctx, const reel_function *function, const reel_named *inputs, int n_inputs,
                       const char *attrs_json, reel_tensor **outputs, int capacity)
{
    if (!ctx || reel_ctx_error(ctx) || !reel_given(ctx, "call_function", "row of the op", function)) return -1;
    if (!reel_given(ctx, "call_function", "name in the op's row", function->name) ||
        !reel_given(ctx, function->name, "function to call in the op's row", (const void *)(uintptr_t)function->call) ||
        !reel_given_list(ctx, function->name, "operands", inputs, n_inputs) ||
        (capacity > 0 && !reel_given_list(ctx, function->name, "outputs", outputs, capacity)))
        return -1;
    int fixed = 0;
    for (reel_param param; reel_function_input(function, fixed, &param);) fixed++;
    reel_call_args args = { .ctx = ctx, .function = function, .attrs = json_object() };
    args.in = calloc((size_t)fixed + (size_t)n_inputs + 1, sizeof *args.in);
    int count = -1;
    if (!args.in || !args.attrs)
        out_of_memory(&args);
    else if (read_inputs(&args, inputs, n_inputs) && read_attrs(&args, attrs_json) && function->call(&args) &&
             !reel_ctx_error(ctx))
        count = args.n_out;
    else
        name_the_op(ctx, function->name);
    for (int i = 0; i < count && i < capacity; i++) outputs[i] = args.out[i];
    json_decref(args.attrs);
    free(args.in);
    return count;
}

int reel_call(reel_ctx *ctx, const char *op, const reel_named *inputs, int n_inputs, const char *attrs_json,
              reel_tensor **outputs, int capacity)
{
    if (!ctx || reel_ctx_error(ctx)) return -1;
    const reel_function *function = reel_function_find(op);
    if (!function) {
        reel_fail(ctx, REEL_ERROR_UNSUPPORTED, "reel_call: no op is called '%.64s'", op ? op : "");
        return -1;
    }
    return reel_call_function(ctx, function, inputs, n_inputs, attrs_json, outputs, capacity);
}

// ---- what a row's call sees ----

reel_ctx *reel_args_ctx(const reel_call_args *args) { return args->ctx; }

int reel_args_inputs(const reel_call_args *args) { return args->n_in; }

reel_tensor *reel_args_input(const reel_call_args *args, int i)
{
    return i >= 0 && i < args->n_in ? args->in[i] : NULL;
}

// The value of an attribute the row has; NULL and an error for one it does not have.
static const json_t *attr(const reel_call_args *args, const char *name)
{
    const json_t *json = json_object_get(args->attrs, name);
    if (!json)
        reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: the op's row does not list attribute '%s'", args->function->name,
                  name ? name : "(NULL)");
    return json;
}

bool reel_args_has(const reel_call_args *args, const char *name)
{
    const json_t *json = attr(args, name);
    return json && !json_is_null(json);
}

int64_t reel_args_int(const reel_call_args *args, const char *name) { return json_integer_value(attr(args, name)); }

double reel_args_float(const reel_call_args *args, const char *name) { return json_float(attr(args, name)); }

reel_dtype reel_args_number_dtype(const reel_call_args *args, const char *name)
{
    const json_t *json = attr(args, name);
    return json_is_boolean(json) ? REEL_BOOL : json_is_integer(json) ? REEL_I64 : REEL_F32;
}

bool reel_args_bool(const reel_call_args *args, const char *name) { return json_is_true(attr(args, name)); }

const char *reel_args_string(const reel_call_args *args, const char *name)
{
    return json_string_value(attr(args, name));
}

reel_dtype reel_args_dtype(const reel_call_args *args, const char *name)
{
    reel_dtype dtype = REEL_F32;
    const char *text = reel_args_string(args, name);
    if (text) dtype_of_text(text, &dtype);
    return dtype;
}

// Items of a list, a single value being a list of one; -1 and an error when there are more than `capacity`.
static int list_size(const reel_call_args *args, const char *name, const json_t *json, int capacity)
{
    if (!json) return -1;
    if (json_is_null(json)) return 0;
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    if (count <= (size_t)(capacity > 0 ? capacity : 0)) return (int)count;
    reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: attribute '%s' has %zu numbers, but at most %d can be",
              args->function->name, name, count, capacity);
    return -1;
}

int reel_args_ints(const reel_call_args *args, const char *name, int64_t *values, int capacity)
{
    const json_t *json = attr(args, name);
    int count = list_size(args, name, json, capacity);
    if (count > 0 && !reel_given(args->ctx, args->function->name, "place for the numbers", values)) return -1;
    for (int i = 0; i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, (size_t)i) : json;
        values[i] = json_is_null(item) ? REEL_ARGS_NULL : json_integer_value(item);
    }
    return count;
}

int reel_args_floats(const reel_call_args *args, const char *name, double *values, int capacity)
{
    const json_t *json = attr(args, name);
    int count = list_size(args, name, json, capacity);
    if (count > 0 && !reel_given(args->ctx, args->function->name, "place for the numbers", values)) return -1;
    for (int i = 0; i < count; i++)
        values[i] = json_float(json_is_array(json) ? json_array_get(json, (size_t)i) : json);
    return count;
}

int reel_args_choice(const reel_call_args *args, const char *name, const char *choices)
{
    const char *text = reel_args_string(args, name);
    int index = 0;
    if (!reel_given(args->ctx, args->function->name, "list of choices", choices)) return -1;
    for (const char *at = choices; text && *at; index++) {
        size_t length = strcspn(at, " ");
        if (strlen(text) == length && !strncmp(text, at, length)) return index;
        at += length + strspn(at + length, " ");
    }
    reel_fail(args->ctx, REEL_ERROR_VALUE, "%s: attribute '%s' must be one of: %s; but is '%.64s'",
              args->function->name, name, choices, text ? text : "none");
    return -1;
}

bool reel_args_return(reel_call_args *args, reel_tensor *output)
{
    if (!output) return false;
    if (args->n_out == MAX_OUTPUTS) {
        reel_fail(args->ctx, REEL_ERROR_UNSUPPORTED, "%s: more than %d outputs", args->function->name, MAX_OUTPUTS);
        return false;
    }
    args->out[args->n_out++] = output;
    return true;
}
