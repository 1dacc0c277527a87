// SPDX-License-Identifier: MIT
// Choosing convolution algorithms by measurement: every one that supports a pass is timed once, and the file named by
// the environment's REEL_CONV_AUTOTUNE remembers, as FFTW's wisdom does.
//
// The file is text: a line with its version, then one of instruction set, pass, dtype, geometry and algorithm each.
#define _POSIX_C_SOURCE 200809L
#include <reel/core/attached.h>
#include <reel/core/file.h>
#include <reel/ops/conv_algo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NUMBERS = 22, NAME = 16 };
static const char version[] = "reel-conv-autotune 1";
static const char *const pass_names[] = { "forward", "input_grad", "weight_grad" };

typedef struct entry {
    char isa[NAME], pass[NAME], dtype[NAME], algo[NAME];
    long long numbers[NUMBERS]; /* the geometry's, in its order */
} entry;

typedef struct tuning {
    reel_attachment attached;
    char *path; /* NULL: nobody asked for it */
    entry *entries;
    int64_t count, capacity;
    bool read;
} tuning;

static const char tuning_key;

static void release(reel_attachment *attached)
{
    tuning *t = (tuning *)attached;
    free(t->path);
    free(t->entries);
    free(t);
}

static entry entry_of(const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_geom *g = call->g;
    entry e = { .numbers = { g->n, g->groups, g->c, g->k } };
    const int64_t *lists[] = { g->in, g->kernel, g->out, g->stride, g->dilation, g->pad };
    for (int list = 0; list < 6; list++)
        for (int i = 0; i < 3; i++) e.numbers[4 + 3 * list + i] = lists[list][i];
    snprintf(e.isa, NAME, "%s", reel_isa_name(exec->isa));
    snprintf(e.pass, NAME, "%s", pass_names[call->pass]);
    snprintf(e.dtype, NAME, "%s", reel_dtype_name(g->dtype));
    return e;
}

static bool same(const entry *a, const entry *b)
{
    return memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0 && strcmp(a->isa, b->isa) == 0 &&
           strcmp(a->pass, b->pass) == 0 && strcmp(a->dtype, b->dtype) == 0;
}

static bool append(reel_ctx *ctx, tuning *t, const entry *e)
{
    for (int64_t i = 0; i < t->count; i++)
        if (same(&t->entries[i], e)) { /* the later line holds */
            t->entries[i] = *e;
            return true;
        }
    if (t->count == t->capacity) {
        int64_t capacity = t->capacity ? 2 * t->capacity : 16;
        entry *entries = realloc(t->entries, (size_t)capacity * sizeof *entries);
        if (!entries) {
            reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the measurements of convolutions");
            return false;
        }
        t->entries = entries;
        t->capacity = capacity;
    }
    t->entries[t->count++] = *e;
    return true;
}

/* One line into an entry; false when it is no such line. */
static bool parse(char *line, entry *e)
{
    char *rest = NULL, *words[4] = { e->isa, e->pass, e->dtype, e->algo };
    memset(e, 0, sizeof *e);
    for (int word = 0; word < 4 + NUMBERS; word++) {
        char *text = strtok_r(word ? NULL : line, " ", &rest), *end;
        if (!text) return false;
        int name = word < 3 ? word : word == 3 + NUMBERS ? 3 : -1;
        if (name >= 0) {
            if (strlen(text) >= NAME) return false;
            strcpy(words[name], text);
            continue;
        }
        e->numbers[word - 3] = strtoll(text, &end, 10);
        if (*end || end == text) return false;
    }
    return !strtok_r(NULL, " ", &rest);
}

/* A file that is not there is an empty one; one that is no such file is an error, and stays as it is. */
static bool read_file(reel_ctx *ctx, tuning *t)
{
    FILE *probe = fopen(t->path, "rb");
    if (!probe) return true;
    fclose(probe);
    size_t size;
    char *text = reel_file_read(ctx, t->path, &size), *rest = NULL;
    if (!text) return false;
    int line = 1;
    bool ok = true, whole = strlen(text) == size && (size == 0 || text[size - 1] == '\n');
    for (char *at = strtok_r(text, "\n", &rest); at && ok; at = strtok_r(NULL, "\n", &rest), line++) {
        entry e;
        ok = line == 1 ? strcmp(at, version) == 0 : parse(at, &e);
        if (ok && line > 1 && !append(ctx, t, &e)) break;
    }
    free(text);
    if (!ok || !whole)
        reel_fail(
            ctx, REEL_ERROR_IO,
            "%s: line %d is not one of measured convolutions; remove the file to measure anew (REEL_CONV_AUTOTUNE)",
            t->path, line - 1);
    return !reel_ctx_error(ctx);
}

static bool write_file(reel_ctx *ctx, const tuning *t)
{
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, t->path) && reel_writer_print(&writer, "%s\n", version);
    for (int64_t i = 0; i < t->count && ok; i++) {
        const entry *e = &t->entries[i];
        ok = reel_writer_print(&writer, "%s %s %s", e->isa, e->pass, e->dtype);
        for (int k = 0; k < NUMBERS && ok; k++) ok = reel_writer_print(&writer, " %lld", e->numbers[k]);
        ok = ok && reel_writer_print(&writer, " %s\n", e->algo);
    }
    return reel_writer_close(&writer, ok);
}

/* What this context has measured or read, or NULL and an error. */
static tuning *tuning_of(const reel_exec *exec)
{
    for (reel_attachment *attached = *reel_exec_attached(exec); attached; attached = attached->next)
        if (attached->key == &tuning_key) return (tuning *)attached;
    reel_ctx *ctx = reel_exec_ctx(exec);
    const char *path = getenv("REEL_CONV_AUTOTUNE");
    tuning *t = calloc(1, sizeof *t);
    if (!t) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the measurements of convolutions");
    t->attached = (reel_attachment) { .key = &tuning_key, .release = release };
    reel_exec_attach(exec, &t->attached);
    if (path && *path) t->path = reel_copy_text(ctx, path);
    return t;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Least seconds of a few runs, the first of which is not counted; negative when memory is short. */
static double measure(const reel_exec *exec, const reel_conv_impl *impl, const reel_conv_call *call)
{
    double least = -1, spent = 0;
    int64_t mark = reel_scratch_mark(exec);
    for (int run = 0; run < 6 && (run < 2 || spent < 0.1); run++) {
        double start = now();
        if (!impl->run(impl, exec, call)) return -1;
        double seconds = now() - start;
        reel_scratch_cut(exec, mark);
        spent += seconds;
        if (run > 0 && (least < 0 || seconds < least)) least = seconds;
    }
    return least;
}

enum { HOPELESS = 16 }; /* times the least estimate: not measured */

/* The fastest of those that support the pass; NULL when memory is short. */
static const reel_conv_impl *fastest(const reel_exec *exec, const reel_conv_call *call)
{
    const reel_conv_impl *best = reel_conv_choose(call->g, call->pass, REEL_CONV_AUTO);
    double estimate = best->cost(call->g, call->pass), least = measure(exec, best, call);
    if (least < 0) return NULL;
    const reel_conv_impl *first = best;
    for (int i = 0; i < reel_conv_n_impls; i++) {
        const reel_conv_impl *impl = reel_conv_impls[i];
        if (impl == first || !impl->supports(call->g, call->pass) ||
            !(impl->cost(call->g, call->pass) < HOPELESS * estimate))
            continue;
        double seconds = measure(exec, impl, call);
        if (seconds < 0) return NULL;
        if (seconds < least) {
            least = seconds;
            best = impl;
        }
    }
    return best;
}

bool reel_conv_tuned(const reel_exec *exec, const reel_conv_call *call, const reel_conv_impl **impl)
{
    reel_ctx *ctx = reel_exec_ctx(exec);
    tuning *t = tuning_of(exec);
    *impl = NULL;
    if (!t) return false;
    if (!t->path) return !reel_ctx_error(ctx);
    if (!t->read && !read_file(ctx, t)) return false;
    t->read = true;
    entry e = entry_of(exec, call);
    for (int64_t i = 0; i < t->count; i++) {
        if (!same(&t->entries[i], &e)) continue;
        for (int k = 0; k < reel_conv_n_impls; k++)
            if (strcmp(reel_conv_impls[k]->name, t->entries[i].algo) == 0 &&
                reel_conv_impls[k]->supports(call->g, call->pass))
                *impl = reel_conv_impls[k];
    }
    if (*impl) return true;
    *impl = fastest(exec, call);
    if (!*impl) return false;
    snprintf(e.algo, NAME, "%s", (*impl)->name);
    return append(ctx, t, &e) && write_file(ctx, t);
}
