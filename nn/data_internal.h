// SPDX-License-Identifier: MIT
// What the kinds of data sets share. Not installed.
#ifndef REEL_NN_DATA_INTERNAL_H
#define REEL_NN_DATA_INTERNAL_H

#include <pthread.h>
#include <reel/nn/data.h>

/* A kind of data set: how a sample is read, where it lies when it lies in memory, what goes with it. */
typedef struct reel_dataset_kind {
    bool (*read)(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                 void *const *fields);
    const void *(*locate)(const reel_dataset *data, int64_t index, int k); /* may be NULL, and give NULL */
    void (*release)(reel_dataset *data);
} reel_dataset_kind;

struct reel_dataset {
    const reel_dataset_kind *kind;
    int refs; /* changed atomically */
    int64_t count;
    int n_fields;
    reel_field field[REEL_MAX_FIELDS];
    size_t bytes[REEL_MAX_FIELDS]; /* of one sample's field */
    reel_dataset *base;            /* what it is made from, or NULL */
    char **class_names;
    int64_t classes;
    void *own; /* the kind's */
};

/* A data set without samples of its own yet: checks the fields, takes a reference to `base`, owns `own` from the start.
 */
reel_dataset *reel_dataset_alloc(reel_ctx *ctx, const reel_dataset_kind *kind, int64_t count, const reel_field *fields,
                                 int n_fields, reel_dataset *base, void *own);

/* From malloc'ed row-major memory, one block a field, which is the data set's from the start. */
reel_dataset *reel_dataset_from_blocks(reel_ctx *ctx, int64_t count, const reel_field *fields, void *const *blocks,
                                       int n_fields);

#endif
