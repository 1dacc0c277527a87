// SPDX-License-Identifier: MIT
// Data sets: numbered samples of a few fields each (a picture and its label), from memory, files or the user.
#ifndef REEL_NN_DATA_H
#define REEL_NN_DATA_H

#include <reel/core/named.h>
#include <reel/core/random.h>

REEL_BEGIN

#define REEL_MAX_FIELDS 8

typedef struct reel_field {
    reel_dtype dtype;
    reel_shape shape; /* of one sample */
} reel_field;

/* Samples are read through a function and belong to no context: a loader's thread may read them while another thread
 * trains. Data sets made from one another share what they stand on; each is freed by itself, in any order. */
typedef struct reel_dataset reel_dataset;

/* A data set of the user's own. */
typedef struct reel_source {
    int64_t count;
    int n_fields;
    reel_field field[REEL_MAX_FIELDS];
    /* Writes sample `index` to the fields' memory. Called by one thread at a time, which may be a loader's; errors go
     * to `ctx` (reel_fail) and end with false. */
    bool (*read)(void *user, reel_ctx *ctx, int64_t index, void *const *fields);
    void (*release)(void *user); /* may be NULL */
    void *user;
} reel_source;

/* All constructors give NULL and an error in `ctx` when something is wrong. */
REEL_API reel_dataset *reel_dataset_new(reel_ctx *ctx, const reel_source *source);
REEL_API void reel_dataset_free(reel_dataset *data);

/* Copies of tensors, axis 0 counting the samples: field k is [count, ...]. */
REEL_API reel_dataset *reel_dataset_from_tensors(reel_tensor *const *fields, int n_fields);

/* The same from the caller's memory, not copied, which must outlive the data set. */
REEL_API reel_dataset *reel_dataset_from_memory(reel_ctx *ctx, int64_t count, const reel_field *fields,
                                                const void *const *data, int n_fields);

/* One IDX (plain or .gz), .npy file per field; one entry of a .npz archive per field. */
REEL_API reel_dataset *reel_dataset_idx(reel_ctx *ctx, const char *const *paths, int n_fields);
REEL_API reel_dataset *reel_dataset_npy(reel_ctx *ctx, const char *const *paths, int n_fields);
REEL_API reel_dataset *reel_dataset_npz(reel_ctx *ctx, const char *path, const char *const *names, int n_fields);

/* The four files of MNIST (or Fashion-MNIST) in a folder, plain or .gz: field 0 uint8 [1, 28, 28], field 1 int64. */
REEL_API reel_dataset *reel_dataset_mnist(reel_ctx *ctx, const char *folder, bool training);

/* A folder of class folders of PNG pictures, all of one size: field 0 uint8 [C, H, W], field 1 int64, the class's place
 * in alphabetical order. Pictures are read when asked for. `channels` as in reel_png_read. */
REEL_API reel_dataset *reel_dataset_png_folder(reel_ctx *ctx, const char *folder, int channels);
/* A class's name: the folder's; NULL for data sets without. */
REEL_API const char *reel_dataset_class_name(const reel_dataset *data, int64_t label);

typedef struct reel_csv_opts {
    char delimiter;      /* default ','                                          */
    bool no_header;      /* the first line is data already                       */
    int target_columns;  /* how many of the last columns are field 1; default 0  */
    bool integer_target; /* field 1 is int64 instead of float32                 */
} reel_csv_opts;

/* Lines of numbers: field 0 float32 [columns], field 1 the targets ([] when it is one column). */
REEL_API reel_dataset *reel_dataset_csv(reel_ctx *ctx, const char *path, const reel_csv_opts *opts);

REEL_API int64_t reel_dataset_count(const reel_dataset *data);
REEL_API int reel_dataset_fields(const reel_dataset *data);
REEL_API reel_field reel_dataset_field(const reel_dataset *data, int k);

/* Samples [start, end); negative numbers count from the end. */
REEL_API reel_dataset *reel_dataset_slice(reel_ctx *ctx, reel_dataset *data, int64_t start, int64_t end);
/* Samples by number. */
REEL_API reel_dataset *reel_dataset_subset(reel_ctx *ctx, reel_dataset *data, const int64_t *index, int64_t count);
/* The share of one of `shares` processes: samples share, share + shares, ..., the first ones once more at the end where the
 * count does not divide, so that all shares are of one size. Error: a share that is not in [0, shares), or no sample. */
REEL_API reel_dataset *reel_dataset_shard(reel_ctx *ctx, reel_dataset *data, int64_t share, int64_t shares);
/* 0 to count - 1 in an order drawn from `generator` (Durstenfeld 1964); in their own order without one (NULL). */
REEL_API void reel_shuffle(int64_t *index, int64_t count, reel_generator *generator);
/* All samples in an order drawn from `generator` (NULL: the context's). */
REEL_API reel_dataset *reel_dataset_shuffled(reel_ctx *ctx, reel_dataset *data, reel_generator *generator);
/* The last part goes to `rest`: floor(count (1 - fraction)) samples stay in `first`. As Keras' validation_split. */
REEL_API bool reel_dataset_split(reel_ctx *ctx, reel_dataset *data, double fraction, reel_dataset **first,
                                 reel_dataset **rest);

/* Field k as float: (x * scale - mean) / std, computed in `dtype`; scale 0 means 1/255 for uint8 and 1 otherwise, std 0
 * means 1. A product with 1/255 is computed as the quotient x / 255. NULL: all of the defaults, in float32. */
typedef struct reel_normalise {
    reel_dtype dtype; /* REEL_F32 or REEL_F64 */
    double scale, mean, std;
} reel_normalise;
REEL_API reel_dataset *reel_dataset_normalised(reel_ctx *ctx, reel_dataset *data, int k, const reel_normalise *how);

/* Sample by sample through a function: `out` fields from `in` fields. `generator` is the sample's own, the same
 * whatever thread reads it (NULL when read outside of a loader). */
typedef bool reel_sample_map(void *user, reel_ctx *ctx, const void *const *in, void *const *out,
                             reel_generator *generator);
REEL_API reel_dataset *reel_dataset_map(reel_ctx *ctx, reel_dataset *data, const reel_field *fields, int n_fields,
                                        reel_sample_map *map, void *user);

/* Reads one sample into memory of the caller's, errors to `ctx`. */
REEL_API bool reel_dataset_read(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                                void *const *fields);

/* `count` samples from `start` on as tensors [count, ...] of `ctx`, one per field. */
REEL_API bool reel_dataset_tensors(const reel_dataset *data, reel_ctx *ctx, int64_t start, int64_t count,
                                   reel_tensor **fields);

REEL_END

#endif
