// SPDX-License-Identifier: MIT
// Reading files with every short read told, and writing them whole or not at all. Private.
#ifndef REEL_CORE_FILE_H
#define REEL_CORE_FILE_H

#include <reel/core/error.h>

/* A regular file opened for reading. All errors go to `ctx`, as REEL_ERROR_IO with the path in front. */
typedef struct reel_reader {
    reel_ctx *ctx;
    char *path;
    int fd;
    int64_t size;
} reel_reader;

bool reel_reader_open(reel_reader *reader, reel_ctx *ctx, const char *path);
bool reel_reader_at(const reel_reader *reader, int64_t offset, void *to, size_t bytes);
void reel_reader_close(reel_reader *reader);

/* The whole file in memory to be freed by the caller, `*size` bytes and a terminating zero. NULL on error. */
char *reel_file_read(reel_ctx *ctx, const char *path, size_t *size);

/* A file being written under a temporary name beside its own. It is locked, so that two writers of one file do not mix;
 * what a killed writer leaves is reused by the next. */
typedef struct reel_writer {
    reel_ctx *ctx;
    char *path;      /* where it will stand, links followed */
    char *temporary; /* ".name.tmp" in the same folder      */
    unsigned char *buffer;
    size_t used;
    int64_t written;
    int fd;
    bool failed;
} reel_writer;

bool reel_writer_open(reel_writer *writer, reel_ctx *ctx, const char *path);
bool reel_writer_put(reel_writer *writer, const void *data, size_t bytes);
bool reel_writer_print(reel_writer *writer, const char *format, ...) REEL_PRINTF(2, 3);

/* Ends the writing, also after a failed open or put: with `keep` and no failure before, the file is synced, renamed,
 * and its folder synced; otherwise the temporary name goes. True when the file stands. */
bool reel_writer_close(reel_writer *writer, bool keep);

/* The last part of a path, for messages of several files. */
const char *reel_base_name(const char *path);

/* A copy of `text`, or NULL and REEL_ERROR_MEMORY in `ctx`. */
char *reel_copy_text(reel_ctx *ctx, const char *text);

/* malloc of a * b bytes (at least one), or NULL and REEL_ERROR_MEMORY in `ctx`. */
void *reel_host_alloc(reel_ctx *ctx, size_t a, size_t b);

#endif
