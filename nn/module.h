// SPDX-License-Identifier: MIT
// A model's parameters and buffers by name, and its mode (training or evaluation).
#ifndef REEL_NN_MODULE_H
#define REEL_NN_MODULE_H

#include <reel/core/autograd.h>
#include <reel/core/named.h>
#include <reel/core/random.h>
#include <reel/core/store.h>

REEL_BEGIN

/* Parameters (leaves that require gradients) and buffers (state that does not, as running means), in the order they
 * were added, under the names PyTorch's state_dict has: "conv1.weight", "bn.running_mean". Made outside any scope,
 * since tensors made inside one end with it. */
typedef struct reel_module reel_module;

typedef struct reel_module_opts {
    reel_dtype dtype;          /* of parameters and buffers: REEL_F32 (default) or REEL_F64              */
    reel_generator *generator; /* initial values are drawn from it; default: the context's               */
} reel_module_opts;

REEL_API reel_module *reel_module_new(reel_ctx *ctx, const reel_module_opts *opts);
/* Frees the module and its tensors (before the context goes). NULL is allowed. */
REEL_API void reel_module_free(reel_module *module);
REEL_API reel_ctx *reel_module_ctx(const reel_module *module);
REEL_API reel_dtype reel_module_dtype(const reel_module *module);
REEL_API reel_generator *reel_module_generator(const reel_module *module);

/* Adds a parameter (zeros, to be filled by an initialiser) or a buffer filled with `value`. A name used before is an
 * error. */
REEL_API reel_tensor *reel_module_parameter(reel_module *module, const char *name, reel_shape shape);
REEL_API reel_tensor *reel_module_buffer(reel_module *module, const char *name, reel_shape shape, reel_dtype dtype,
                                         double value);

/* All entries by position, and by name (NULL when there is none). */
REEL_API int reel_module_count(const reel_module *module);
REEL_API reel_named reel_module_at(const reel_module *module, int i);
REEL_API bool reel_module_is_parameter(const reel_module *module, int i);
REEL_API reel_tensor *reel_module_find(const reel_module *module, const char *name);

/* The parameters alone, as an optimiser takes them; valid until another one is added. */
REEL_API reel_params reel_module_parameters(const reel_module *module);

/* Elements of all parameters. */
REEL_API int64_t reel_module_numel(const reel_module *module);

/* Stops (or lets) gradients flow into the parameters whose names begin with `prefix` ("" for all). */
REEL_API void reel_module_set_requires_grad(reel_module *module, const char *prefix, bool on);

/* The mode that dropout and batch normalisation look at; training at first. */
REEL_API void reel_module_train(reel_module *module, bool on);
REEL_API bool reel_module_training(const reel_module *module);

/* Forgets the gradients of all parameters. */
REEL_API void reel_module_clear_grads(reel_module *module);

typedef struct reel_module_load_opts {
    bool allow_missing;    /* entries of the module that the file lacks keep their values  */
    bool allow_unexpected; /* entries of the file that the module lacks are passed over     */
    const char *prefix;    /* only names that begin so, without it; default ""             */
} reel_module_load_opts;

/* Parameters and buffers to and from a safetensors file, which travels to PyTorch and back. Loading checks names and
 * shapes first and names the first that does not fit; then it overwrites all or nothing. Floating dtypes convert. A
 * checkpoint of reel_fit loads as well: names that begin with "reel." are its own and passed over. */
REEL_API bool reel_module_save(const reel_module *module, const char *path, const reel_text *metadata, int count);
REEL_API bool reel_module_load(reel_module *module, const char *path, const reel_module_load_opts *opts);

/* The same as part of a larger file, names prefixed. */
REEL_API bool reel_module_store(const reel_module *module, reel_store *store, const char *prefix);
REEL_API bool reel_module_restore(reel_module *module, const reel_store *store, const reel_module_load_opts *opts);

/* The values of `from`, entry by entry of the same name and shape. */
REEL_API bool reel_module_copy(reel_module *to, const reel_module *from);

REEL_END

#endif
