// SPDX-License-Identifier: MIT
// A model's parameters and buffers by name, and its mode (training or evaluation).
#include <reel/core/operands.h>
#include <reel/nn/module.h>
#include <reel/ops/pointwise.h>
#include <stdlib.h>
#include <string.h>

typedef struct module_entry {
    char *name;
    reel_tensor *tensor;
    bool parameter;
} module_entry;

struct reel_module {
    reel_ctx *ctx;
    reel_dtype dtype;
    reel_generator *generator;
    bool training;
    int count, room;
    module_entry *members;
    int n_parameters;
    reel_tensor **parameters; /* as many places as `room` */
};

reel_module *reel_module_new(reel_ctx *ctx, const reel_module_opts *opts)
{
    if (!ctx || reel_ctx_error(ctx)) return NULL;
    reel_dtype dtype = opts ? opts->dtype : REEL_F32;
    if (!reel_dtype_is_float(dtype)) {
        return reel_fail(ctx, REEL_ERROR_DTYPE, "module: parameters are float32 or float64, not %s",
                         reel_dtype_name(dtype));
    }
    reel_module *module = calloc(1, sizeof *module);
    if (!module) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a module");
    module->ctx = ctx;
    module->dtype = dtype;
    module->generator = opts && opts->generator ? opts->generator : reel_ctx_generator(ctx);
    module->training = true;
    return module;
}

void reel_module_free(reel_module *module)
{
    if (!module) return;
    for (int i = 0; i < module->count; i++) {
        reel_free(module->members[i].tensor);
        free(module->members[i].name);
    }
    free(module->members);
    free(module->parameters);
    free(module);
}

reel_ctx *reel_module_ctx(const reel_module *module) { return module ? module->ctx : NULL; }

reel_dtype reel_module_dtype(const reel_module *module) { return module ? module->dtype : REEL_F32; }

reel_generator *reel_module_generator(const reel_module *module) { return module ? module->generator : NULL; }

static const module_entry *find(const reel_module *module, const char *name)
{
    for (int i = 0; module && name && i < module->count; i++)
        if (strcmp(module->members[i].name, name) == 0) return &module->members[i];
    return NULL;
}

static bool make_room(reel_module *module)
{
    if (module->count < module->room) return true;
    int room = module->room ? 2 * module->room : 16;
    module_entry *members = realloc(module->members, (size_t)room * sizeof *members);
    if (members) module->members = members;
    reel_tensor **parameters = realloc(module->parameters, (size_t)room * sizeof *parameters);
    if (parameters) module->parameters = parameters;
    if (!members || !parameters) return reel_fail(module->ctx, REEL_ERROR_MEMORY, "no memory for %d parameters", room);
    module->room = room;
    return true;
}

static reel_tensor *add(reel_module *module, const char *name, reel_tensor *x, bool parameter)
{
    if (!x) return NULL;
    char *copy = NULL;
    if (!name || !*name) {
        reel_fail(module->ctx, REEL_ERROR_VALUE, "module: a parameter needs a name");
    } else if (find(module, name)) {
        reel_fail(module->ctx, REEL_ERROR_VALUE, "module: there is a parameter or buffer named \"%s\" already", name);
    } else if (make_room(module) && (!parameter || reel_set_requires_grad(x, true))) {
        copy = strdup(name);
        if (!copy) reel_fail(module->ctx, REEL_ERROR_MEMORY, "no memory for a parameter's name");
    }
    if (!copy) {
        reel_free(x);
        return NULL;
    }
    module->members[module->count++] = (module_entry) { copy, x, parameter };
    if (parameter) module->parameters[module->n_parameters++] = x;
    return x;
}

reel_tensor *reel_module_parameter(reel_module *module, const char *name, reel_shape shape)
{
    return module ? add(module, name, reel_zeros(module->ctx, shape, module->dtype), true) : NULL;
}

reel_tensor *reel_module_buffer(reel_module *module, const char *name, reel_shape shape, reel_dtype dtype, double value)
{
    return module ? add(module, name, reel_full(module->ctx, shape, dtype, value), false) : NULL;
}

int reel_module_count(const reel_module *module) { return module ? module->count : 0; }

reel_named reel_module_at(const reel_module *module, int i)
{
    if (!module || i < 0 || i >= module->count) return (reel_named) { NULL, NULL };
    return (reel_named) { module->members[i].name, module->members[i].tensor };
}

bool reel_module_is_parameter(const reel_module *module, int i)
{
    return module && i >= 0 && i < module->count && module->members[i].parameter;
}

reel_tensor *reel_module_find(const reel_module *module, const char *name)
{
    const module_entry *found = find(module, name);
    return found ? found->tensor : NULL;
}

reel_params reel_module_parameters(const reel_module *module)
{
    if (!module) return (reel_params) { NULL, 0 };
    return (reel_params) { module->parameters, module->n_parameters };
}

int64_t reel_module_numel(const reel_module *module)
{
    int64_t numel = 0;
    for (int i = 0; module && i < module->n_parameters; i++) numel += reel_numel(module->parameters[i]);
    return numel;
}

void reel_module_set_requires_grad(reel_module *module, const char *prefix, bool on)
{
    if (!prefix) prefix = "";
    for (int i = 0; module && i < module->count; i++) {
        const module_entry *member = &module->members[i];
        if (member->parameter && strncmp(member->name, prefix, strlen(prefix)) == 0) {
            reel_set_requires_grad(member->tensor, on);
        }
    }
}

void reel_module_train(reel_module *module, bool on)
{
    if (module) module->training = on;
}

bool reel_module_training(const reel_module *module) { return module && module->training; }

void reel_module_clear_grads(reel_module *module)
{
    for (int i = 0; module && i < module->n_parameters; i++) reel_clear_grad(module->parameters[i]);
}

bool reel_module_store(const reel_module *module, reel_store *store, const char *prefix)
{
    if (!module) return reel_given(reel_store_ctx(store), "module_store", "module", module);
    if (!reel_given(module->ctx, "module_store", "store", store)) return false;
    for (int i = 0; i < module->count; i++)
        if (!reel_store_put(store, prefix, module->members[i].name, module->members[i].tensor)) return false;
    return true;
}

bool reel_module_save(const reel_module *module, const char *path, const reel_text *metadata, int count)
{
    if (!module || !reel_given_list(module->ctx, "module_save", "texts", metadata, count)) return false;
    reel_store *store = reel_store_new(module->ctx);
    bool ok = store && reel_module_store(module, store, "");
    for (int i = 0; ok && i < count; i++) {
        ok = reel_given(module->ctx, "module_save", "value of a text", metadata[i].value) &&
             reel_store_put_text(store, "", metadata[i].key, "%s", metadata[i].value);
    }
    ok = ok && reel_store_save(store, path);
    reel_store_close(store);
    return ok;
}

/* What reel_run_save adds to a model's own names. */
static bool is_training_state(const char *name) { return strncmp(name, "reel.", 5) == 0; }

/* The index of each member in the store, -1 for one left out. An error names the first that does not fit. */
static bool match(const reel_module *module, const reel_store *store, const reel_module_load_opts *opts,
                  const char *prefix, int *index)
{
    size_t head = strlen(prefix);
    const char *path = reel_store_path(store);
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    for (int i = 0; i < module->count; i++) index[i] = -1;
    for (int k = 0; k < reel_store_count(store); k++) {
        const char *name = reel_store_name(store, k);
        if (strncmp(name, prefix, head) != 0 || is_training_state(name + head)) continue;
        const module_entry *found = find(module, name + head);
        if (found) {
            index[found - module->members] = k;
        } else if (!(opts && opts->allow_unexpected)) {
            return reel_fail(module->ctx, REEL_ERROR_IO, "%s: has a tensor \"%s\" that the model has not", path, name);
        }
    }
    for (int i = 0; i < module->count; i++) {
        const module_entry *member = &module->members[i];
        if (index[i] < 0) {
            if (opts && opts->allow_missing) continue;
            return reel_fail(module->ctx, REEL_ERROR_IO, "%s: has no tensor \"%s%s\", which the model needs", path,
                             prefix, member->name);
        }
        reel_shape shape = reel_store_shape(store, index[i]), own = reel_shape_of(member->tensor);
        if (!reel_shape_equal(shape, own)) {
            return reel_fail(module->ctx, REEL_ERROR_IO, "%s: \"%s%s\" is %s, and the model's is %s", path, prefix,
                             member->name, reel_shape_format(shape, have), reel_shape_format(own, want));
        }
    }
    return true;
}

/* The tensor of the store as the member's dtype. */
static reel_tensor *read_as(const reel_module *module, const reel_store *store, int k, const module_entry *member)
{
    reel_tensor *value = reel_store_get(store, "", reel_store_name(store, k));
    reel_dtype have = reel_dtype_of(value), want = reel_dtype_of(member->tensor);
    if (!value || have == want) return value;
    if (reel_dtype_is_float(have) == reel_dtype_is_float(want)) return reel_cast(value, want);
    return reel_fail(module->ctx, REEL_ERROR_IO, "%s: \"%s\" is %s, and the model's is %s", reel_store_path(store),
                     reel_store_name(store, k), reel_dtype_name(have), reel_dtype_name(want));
}

bool reel_module_restore(reel_module *module, const reel_store *store, const reel_module_load_opts *opts)
{
    if (!module) return reel_given(reel_store_ctx(store), "module_restore", "module", module);
    if (reel_ctx_error(module->ctx) || !reel_given(module->ctx, "module_restore", "store", store)) return false;
    const char *prefix = opts && opts->prefix ? opts->prefix : "";
    size_t places = module->count ? (size_t)module->count : 1;
    int *index = malloc(places * sizeof *index);
    reel_tensor **values = calloc(places, sizeof *values);
    bool ok = index && values;
    if (!ok) reel_fail(module->ctx, REEL_ERROR_MEMORY, "no memory to load %d parameters", module->count);
    ok = ok && match(module, store, opts, prefix, index);
    REEL_SCOPE(module->ctx)
    {
        REEL_NO_GRAD(module->ctx)
        {
            for (int i = 0; ok && i < module->count; i++) {
                if (index[i] < 0) continue;
                values[i] = read_as(module, store, index[i], &module->members[i]);
                ok = values[i] && reel_eval(values[i]);
            }
            for (int i = 0; ok && i < module->count; i++)
                if (values[i]) ok = reel_assign(module->members[i].tensor, values[i]);
        }
    }
    free(values);
    free(index);
    return ok && !reel_ctx_error(module->ctx);
}

bool reel_module_load(reel_module *module, const char *path, const reel_module_load_opts *opts)
{
    if (!module) return false;
    reel_store *store = reel_store_open(module->ctx, path);
    bool ok = store && reel_module_restore(module, store, opts);
    reel_store_close(store);
    return ok;
}

bool reel_module_copy(reel_module *to, const reel_module *from)
{
    if (!to) return reel_given(reel_module_ctx(from), "module_copy", "module to copy to", to);
    if (reel_ctx_error(to->ctx) || !reel_given(to->ctx, "module_copy", "module to copy from", from)) return false;
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    for (int i = 0; i < to->count; i++) {
        const module_entry *member = &to->members[i];
        reel_tensor *x = reel_module_find(from, member->name);
        if (!x) return reel_fail(to->ctx, REEL_ERROR_VALUE, "module_copy: there is no \"%s\" to copy", member->name);
        if (!reel_shape_equal(reel_shape_of(x), reel_shape_of(member->tensor))) {
            return reel_fail(to->ctx, REEL_ERROR_SHAPE, "module_copy: \"%s\" is %s, and its copy would be %s",
                             member->name, reel_shape_format(reel_shape_of(x), a),
                             reel_shape_format(reel_shape_of(member->tensor), b));
        }
    }
    for (int i = 0; i < to->count; i++) {
        reel_tensor *own = to->members[i].tensor, *x = reel_module_find(from, to->members[i].name);
        if (to->ctx == from->ctx) {
            if (!reel_assign(own, x)) return false;
        } else {
            const void *data = reel_data(x);
            if (!data || !reel_set_data(own, data, (size_t)reel_numel(x) * reel_dtype_size(reel_dtype_of(x))))
                return false;
        }
    }
    return true;
}
