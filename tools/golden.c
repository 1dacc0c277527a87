// SPDX-License-Identifier: MIT
// Running a golden case: values, first and second derivatives, and operands that must be refused.
#include "golden.h"
#include "arrays.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <reel/core/autograd.h>
#include <reel/core/safetensors.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_INPUTS 64
#define MAX_OUTPUTS 64

typedef struct golden_case {
    char op[64];
    char *attrs, *why;
    bool refused; // the op must refuse these operands
    int n_in;
    char *input[MAX_INPUTS];
    arrays file;
} golden_case;

const reel_function *golden_function(const reel_plugin *plugin, const char *op)
{
    for (int i = 0; plugin && plugin->functions[i]; i++)
        if (!strcmp(plugin->functions[i]->name, op)) return plugin->functions[i];
    return reel_function_find(op);
}

// ---- reading a case ----

static void free_case(golden_case *c)
{
    for (int i = 0; i < c->n_in; i++) free(c->input[i]);
    free(c->attrs);
    free(c->why);
    arrays_free(&c->file);
}

static bool read_input_names(golden_case *c, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    bool done = json_is_array(list) && json_array_size(list) <= MAX_INPUTS;
    for (size_t i = 0; done && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        done = name && (c->input[c->n_in] = strdup(name));
        c->n_in += done;
    }
    json_decref(list);
    return done;
}

static bool read_case(reel_ctx *ctx, const char *path, golden_case *c, golden_report *report)
{
    reel_safetensors *file = reel_safetensors_open(ctx, path);
    if (!file) {
        snprintf(report->message, sizeof report->message, "%s", reel_ctx_error_message(ctx));
        return false;
    }
    const char *op = reel_safetensors_metadata(file, "op"), *attrs = reel_safetensors_metadata(file, "attrs");
    const char *inputs = reel_safetensors_metadata(file, "inputs"), *expect = reel_safetensors_metadata(file, "expect");
    const char *why = reel_safetensors_metadata(file, "why");
    bool done = op && inputs && read_input_names(c, inputs);
    if (!done) snprintf(report->message, sizeof report->message, "the metadata has no op, or no list of input names");
    snprintf(c->op, sizeof c->op, "%s", op ? op : "");
    snprintf(report->op, sizeof report->op, "%s", c->op);
    c->attrs = strdup(attrs ? attrs : "{}");
    c->why = strdup(why ? why : "");
    c->refused = expect && !strcmp(expect, "error");
    for (int i = 0; done && i < reel_safetensors_count(file); i++) {
        reel_tensor *x = reel_safetensors_tensor(file, i);
        done = x && arrays_add(&c->file, reel_safetensors_name(file, i), x);
        if (!done) snprintf(report->message, sizeof report->message, "%s", reel_ctx_error_message(ctx));
    }
    for (int i = 0; done && i < c->n_in; i++) {
        done = arrays_find(&c->file, "in.%d", i) != NULL;
        if (!done) snprintf(report->message, sizeof report->message, "in.%d is missing", i);
    }
    reel_safetensors_close(file);
    return done && c->attrs && c->why;
}

// ---- computing it ----

// float64 is computed in `dtype`. In a case of operands to be refused, float32 then takes float64's place, so that a
// case about mixed dtypes stays one.
static reel_dtype dtype_for(const golden_case *c, reel_dtype given, reel_dtype dtype)
{
    if (given == REEL_F64) return dtype;
    return given == REEL_F32 && c->refused && dtype == REEL_F32 ? REEL_F64 : given;
}

// What a case asks for in float64 as an attribute is computed in `dtype` too.
static void put_dtype(char *attrs, reel_dtype dtype)
{
    static const char wide[] = "\"float64\"";
    for (char *at = attrs; dtype == REEL_F32 && (at = strstr(at, wide));) memcpy(at, "\"float32\"", strlen(wide));
}

static int call(reel_ctx *ctx, const golden_case *c, const reel_function *function, reel_dtype dtype, reel_tensor **in,
                reel_tensor **out)
{
    char *attrs = strdup(c->attrs);
    if (!attrs) return -1;
    if (!c->refused) put_dtype(attrs, dtype);
    reel_named named[MAX_INPUTS];
    for (int i = 0; i < c->n_in; i++) {
        const array *a = arrays_find(&c->file, "in.%d", i);
        in[i] = array_tensor(ctx, a, dtype_for(c, a->dtype, dtype));
        if (arrays_find(&c->file, "grad.%d", i) || arrays_find(&c->file, "grad2.in.%d", i))
            reel_set_requires_grad(in[i], true);
        named[i] = (reel_named) { c->input[i], in[i] };
    }
    int n_out = reel_call_function(ctx, function, named, c->n_in, attrs, out, MAX_OUTPUTS);
    free(attrs);
    return n_out;
}

static bool add(arrays *results, reel_tensor *x, const char *kind, int i)
{
    char name[48];
    snprintf(name, sizeof name, "%s.%d", kind, i);
    return arrays_add(results, name, x);
}

// The gradients of sum <cot2, grad> by the inputs in `by` and by the cotangents in `cots`.
static bool second_order(reel_ctx *ctx, const golden_case *c, reel_dtype dtype, reel_tensor *const *by,
                         const int *by_index, int n_by, reel_tensor *const *cots, const int *cot_index, int n_cots,
                         reel_tensor *const *grads, arrays *results)
{
    reel_tensor *from[MAX_INPUTS], *weights[MAX_INPUTS], *all[MAX_INPUTS + MAX_OUTPUTS],
        *found[MAX_INPUTS + MAX_OUTPUTS];
    int n = 0, total = 0;
    for (int i = 0; i < n_by; i++) {
        const array *cot2 = arrays_find(&c->file, "cot2.%d", by_index[i]);
        if (!cot2) continue;
        from[n] = grads[i];
        weights[n++] = array_tensor(ctx, cot2, dtype);
    }
    if (n == 0) return true;
    for (int i = 0; i < n_by; i++) all[total++] = by[i];
    for (int k = 0; k < n_cots; k++) all[total++] = cots[k];
    if (!reel_grad(from, n, all, total, weights, found) || !reel_eval_all(found, total)) return false;
    for (int i = 0; i < n_by; i++)
        if (!add(results, found[i], "grad2.in", by_index[i])) return false;
    for (int k = 0; k < n_cots; k++)
        if (!add(results, found[n_by + k], "grad2.cot", cot_index[k])) return false;
    return true;
}

static bool derivatives(reel_ctx *ctx, const golden_case *c, reel_dtype dtype, reel_tensor *const *in,
                        reel_tensor *const *out, int n_out, arrays *results)
{
    reel_tensor *by[MAX_INPUTS], *from[MAX_OUTPUTS], *cots[MAX_OUTPUTS], *grads[MAX_INPUTS];
    int by_index[MAX_INPUTS], cot_index[MAX_OUTPUTS], n_by = 0, n_cots = 0;
    for (int i = 0; i < c->n_in; i++) {
        if (!arrays_find(&c->file, "grad.%d", i) && !arrays_find(&c->file, "grad2.in.%d", i)) continue;
        by_index[n_by] = i;
        by[n_by++] = in[i];
    }
    for (int k = 0; k < n_out; k++) {
        const array *cot = arrays_find(&c->file, "cot.%d", k);
        if (!cot) continue;
        cot_index[n_cots] = k;
        from[n_cots] = out[k];
        cots[n_cots++] = reel_set_requires_grad(array_tensor(ctx, cot, dtype), true);
    }
    if (n_by == 0 || n_cots == 0) return true;
    if (!reel_grad(from, n_cots, by, n_by, cots, grads) || !reel_eval_all(grads, n_by)) return false;
    for (int i = 0; i < n_by; i++)
        if (!add(results, grads[i], "grad", by_index[i])) return false;
    return second_order(ctx, c, dtype, by, by_index, n_by, cots, cot_index, n_cots, grads, results);
}

// Everything the case asks for, as numbers. On error false, and the context says why.
static bool compute(reel_ctx *ctx, const golden_case *c, const reel_function *function, reel_dtype dtype,
                    arrays *results)
{
    bool done = false;
    REEL_SCOPE(ctx)
    {
        reel_tensor *in[MAX_INPUTS], *out[MAX_OUTPUTS];
        int n_out = call(ctx, c, function, dtype, in, out);
        done = n_out >= 0 && n_out <= MAX_OUTPUTS && reel_eval_all(out, n_out);
        for (int k = 0; done && k < n_out; k++) done = add(results, out[k], "out", k);
        done = done && (c->refused || derivatives(ctx, c, dtype, in, out, n_out, results));
    }
    return done && !reel_ctx_error(ctx);
}

// ---- judging it ----

static bool fail(golden_report *report, const char *tensor, const char *text)
{
    snprintf(report->message, sizeof report->message, "%s: %s", tensor, text);
    return false;
}

static bool compare(const arrays *got, const arrays *want, bool float32, golden_report *report)
{
    char text[400];
    bool seconds = false;
    for (int i = 0; i < want->count; i++) {
        const array *right = &want->at[i];
        seconds = seconds || !strncmp(right->name, "cot2.", 5);
        if (strncmp(right->name, "out.", 4) && strncmp(right->name, "grad", 4)) continue;
        const array *ours = arrays_find(got, "%s", right->name);
        if (!ours) return fail(report, right->name, "was not computed");
        reel_dtype dtype = right->dtype == REEL_F64 && float32 ? REEL_F32 : right->dtype;
        if (ours->dtype != dtype) {
            snprintf(text, sizeof text, "%s, but %s is right", reel_dtype_name(ours->dtype), reel_dtype_name(dtype));
            return fail(report, right->name, text);
        }
        bool as_float32 = float32 || right->dtype == REEL_F32; // floats made of integers are
        if (!array_matches(ours, right, as_float32, text, sizeof text)) return fail(report, right->name, text);
        report->compared++;
    }
    for (int i = 0; i < got->count; i++) { // what the file leaves out is zero, or an output too many
        const array *ours = &got->at[i];
        if (arrays_find(want, "%s", ours->name)) continue;
        if (!strncmp(ours->name, "out.", 4)) return fail(report, ours->name, "there should be no such output");
        if (!seconds || strncmp(ours->name, "grad2.", 6)) continue;
        if (!array_matches(ours, NULL, float32, text, sizeof text)) return fail(report, ours->name, text);
        report->compared++;
    }
    return true;
}

// What is right for operands rounded to float32, computed in float64.
static bool compute_rounded(reel_ctx *ctx, golden_case *c, const reel_function *function, arrays *want)
{
    for (int i = 0; i < c->file.count; i++)
        if (!strncmp(c->file.at[i].name, "in.", 3)) array_round_to_float32(&c->file.at[i]);
    return compute(ctx, c, function, REEL_F64, want);
}

// In float32 a case whose operands leave that dtype's range is another case, that of the rounded operands.
static bool round_case(reel_ctx *ctx, golden_case *c, const reel_function *function, arrays *want)
{
    bool leaves = false;
    for (int i = 0; i < c->n_in; i++) leaves = leaves || array_leaves_float32(arrays_find(&c->file, "in.%d", i));
    return !leaves || compute_rounded(ctx, c, function, want);
}

// Near a pole or a step, rounding the operands moves what is right by more than is allowed. So float32 may also match
// float64 on the rounded operands, to the same tolerance, where float64 passes the case as it stands.
static bool rounding_explains(reel_ctx *ctx, golden_case *c, const reel_function *function, const arrays *got)
{
    arrays exact = { .count = 0 }, rounded = { .count = 0 };
    golden_report ignored = { .compared = 0 };
    bool done = compute(ctx, c, function, REEL_F64, &exact) && compare(&exact, &c->file, false, &ignored) &&
                compute_rounded(ctx, c, function, &rounded) && compare(got, &rounded, true, &ignored);
    arrays_free(&exact);
    arrays_free(&rounded);
    reel_ctx_clear_error(ctx);
    return done;
}

static bool save(reel_ctx *ctx, const char *folder, const char *path, const golden_case *c, const arrays *results)
{
    const char *base = strrchr(path, '/');
    char to[4096];
    snprintf(to, sizeof to, "%s/%s", folder, base ? base + 1 : path);
    reel_named *named = calloc((size_t)results->count + 1, sizeof *named);
    bool done = named != NULL;
    REEL_SCOPE(ctx)
    {
        for (int i = 0; done && i < results->count; i++) {
            const array *a = &results->at[i];
            named[i] = (reel_named) { a->name, array_tensor(ctx, a, a->dtype) };
        }
        reel_text texts[] = { { "op", c->op }, { "attrs", c->attrs } };
        done = done && reel_safetensors_save(ctx, to, named, results->count, texts, 2);
    }
    free(named);
    return done;
}

static golden_status judge_refusal(reel_ctx *ctx, const golden_case *c, const reel_function *function,
                                   const golden_opts *opts, golden_report *report)
{
    arrays results = { .count = 0 };
    bool accepted = compute(ctx, c, function, opts->dtype, &results);
    arrays_free(&results);
    const char *message = reel_ctx_error_message(ctx);
    if (!accepted && strstr(message, c->op)) return GOLDEN_PASSED;
    if (accepted)
        snprintf(report->message, sizeof report->message, "accepted, but must be refused: %s", c->why);
    else
        snprintf(report->message, sizeof report->message, "refused without naming the op: %s", message);
    return GOLDEN_FAILED;
}

static golden_status judge(reel_ctx *ctx, golden_case *c, const char *path, const golden_opts *opts,
                           golden_report *report)
{
    const reel_function *function = golden_function(opts->plugin, c->op);
    if (!function) return GOLDEN_UNKNOWN;
    if (c->refused) return judge_refusal(ctx, c, function, opts, report);
    bool float32 = opts->dtype == REEL_F32 && c->n_in > 0; // numbers alone have a dtype of their own
    arrays got = { .count = 0 }, rounded = { .count = 0 };
    bool done = compute(ctx, c, function, opts->dtype, &got);
    done = done && (!float32 || round_case(ctx, c, function, &rounded));
    done = done && (!opts->out || save(ctx, opts->out, path, c, &got));
    if (!done)
        snprintf(report->message, sizeof report->message, "%s",
                 reel_ctx_error(ctx) ? reel_ctx_error_message(ctx) : "no memory");
    else
        done = compare(&got, rounded.count ? &rounded : &c->file, float32, report) ||
               (report->rounded = float32 && !rounded.count && rounding_explains(ctx, c, function, &got));
    arrays_free(&got);
    arrays_free(&rounded);
    return done ? GOLDEN_PASSED : GOLDEN_FAILED;
}

golden_status golden_run(reel_ctx *ctx, const char *path, const golden_opts *opts, golden_report *report)
{
    *report = (golden_report) { .compared = 0 };
    golden_case c = { .n_in = 0 };
    golden_status status = GOLDEN_FAILED;
    REEL_SCOPE(ctx)
    {
        if (read_case(ctx, path, &c, report)) status = judge(ctx, &c, path, opts, report);
    }
    free_case(&c);
    reel_ctx_clear_error(ctx);
    return status;
}

// ---- finding cases ----

static int is_case(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), ending = strlen(".safetensors");
    return length > ending && !strcmp(entry->d_name + length - ending, ".safetensors");
}

int golden_paths(const char *path, char ***paths)
{
    struct stat status;
    struct dirent **entries = NULL;
    if (stat(path, &status)) return -1;
    bool folder = S_ISDIR(status.st_mode);
    int count = folder ? scandir(path, &entries, is_case, alphasort) : 1;
    if (count < 0) return -1;
    *paths = calloc((size_t)count + 1, sizeof **paths);
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const char *name = folder ? entries[i]->d_name : "";
        size_t size = strlen(path) + strlen(name) + 2;
        char *text = *paths ? malloc(size) : NULL;
        if (text) {
            snprintf(text, size, "%s%s%s", path, folder ? "/" : "", name);
            (*paths)[kept++] = text;
        }
        if (folder) free(entries[i]);
    }
    free(entries);
    if (*paths && kept == count) return count;
    golden_free_paths(*paths, kept);
    errno = ENOMEM;
    return -1;
}

void golden_free_paths(char **paths, int count)
{
    for (int i = 0; i < count; i++) free(paths[i]);
    free(paths);
}
