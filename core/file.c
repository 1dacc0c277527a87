// SPDX-License-Identifier: MIT
// Reading files with every short read told, and writing them whole or not at all.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 18)

const char *reel_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void *reel_host_alloc(reel_ctx *ctx, size_t a, size_t b)
{
    size_t bytes = reel_bytes(a, b);
    void *memory = bytes == SIZE_MAX ? NULL : malloc(bytes ? bytes : 1);
    if (!memory) reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for %zu elements of %zu bytes", a, b);
    return memory;
}

char *reel_copy_text(reel_ctx *ctx, const char *text)
{
    if (!text) return reel_fail(ctx, REEL_ERROR_CONTEXT, "a name or a path is missing (NULL)");
    size_t bytes = strlen(text) + 1;
    char *copy = reel_host_alloc(ctx, bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

static bool fail_errno(reel_ctx *ctx, const char *path, const char *what)
{
    reel_fail(ctx, REEL_ERROR_IO, "%s: %s: %s", path, what, strerror(errno));
    return false;
}

bool reel_reader_open(reel_reader *reader, reel_ctx *ctx, const char *path)
{
    *reader = (reel_reader) { .ctx = ctx, .fd = -1 };
    if (!path) return reel_fail(ctx, REEL_ERROR_IO, "no path was given for a file to read");
    /* O_NONBLOCK: a pipe without a writer must not hang the open that finds it is no regular file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(ctx, path, "cannot be opened");
    struct stat status;
    if (fstat(fd, &status) != 0) {
        fail_errno(ctx, path, "cannot be looked at");
    } else if (!S_ISREG(status.st_mode)) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: is %s, not a file", path, S_ISDIR(status.st_mode) ? "a folder" : "a device");
    } else if ((reader->path = reel_copy_text(ctx, path)) != NULL) {
        reader->fd = fd;
        reader->size = (int64_t)status.st_size;
        return true;
    }
    close(fd);
    return false;
}

bool reel_reader_at(const reel_reader *reader, int64_t offset, void *to, size_t bytes)
{
    char *at = to;
    while (bytes > 0) {
        ssize_t got = pread(reader->fd, at, bytes < ((size_t)1 << 30) ? bytes : ((size_t)1 << 30), (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(reader->ctx, reader->path, "cannot be read");
        if (got == 0) {
            reel_fail(reader->ctx, REEL_ERROR_IO, "%s: ends at byte %lld, %zu bytes too early", reader->path,
                      (long long)offset, bytes);
            return false;
        }
        at += got;
        offset += got;
        bytes -= (size_t)got;
    }
    return true;
}

void reel_reader_close(reel_reader *reader)
{
    if (reader->fd >= 0) close(reader->fd);
    free(reader->path);
    *reader = (reel_reader) { .fd = -1 };
}

char *reel_file_read(reel_ctx *ctx, const char *path, size_t *size)
{
    reel_reader reader;
    char *data = NULL;
    if (reel_reader_open(&reader, ctx, path)) {
        size_t bytes = (size_t)reader.size;
        data = reel_host_alloc(ctx, bytes + 1, 1);
        if (data && !reel_reader_at(&reader, 0, data, bytes)) {
            free(data);
            data = NULL;
        }
        if (data) {
            data[bytes] = '\0';
            *size = bytes;
        }
    }
    reel_reader_close(&reader);
    return data;
}

/* Where `path` leads: renaming onto a link would replace the link. */
static char *resolve(reel_ctx *ctx, const char *path, struct stat *old, bool *exists)
{
    *exists = stat(path, old) == 0;
    if (!*exists) return reel_copy_text(ctx, path);
    if (!S_ISREG(old->st_mode)) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: is %s and cannot be written as a file", path,
                         S_ISDIR(old->st_mode) ? "a folder" : "a device");
    }
    char *real = realpath(path, NULL);
    return real ? real : reel_copy_text(ctx, path);
}

static bool open_temporary(reel_writer *writer)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        int fd = open(writer->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (fd < 0) return fail_errno(writer->ctx, writer->path, "cannot be written");
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd);
            reel_fail(writer->ctx, REEL_ERROR_IO, "%s: cannot be written: another writer is at work on it",
                      writer->path);
            return false;
        }
        /* Another writer may have renamed the file between the open and the lock. */
        struct stat mine, named;
        if (fstat(fd, &mine) == 0 && stat(writer->temporary, &named) == 0 && mine.st_ino == named.st_ino &&
            mine.st_dev == named.st_dev && S_ISREG(mine.st_mode)) {
            writer->fd = fd;
            return ftruncate(fd, 0) == 0 || fail_errno(writer->ctx, writer->path, "cannot be written");
        }
        close(fd);
    }
    reel_fail(writer->ctx, REEL_ERROR_IO, "%s: cannot be written: %s cannot be made", writer->path, writer->temporary);
    return false;
}

bool reel_writer_open(reel_writer *writer, reel_ctx *ctx, const char *path)
{
    *writer = (reel_writer) { .ctx = ctx, .fd = -1, .failed = true };
    if (!path || !*path) return reel_fail(ctx, REEL_ERROR_IO, "no path was given for a file to write");
    struct stat old;
    bool exists;
    writer->path = resolve(ctx, path, &old, &exists);
    if (!writer->path) return false;
    const char *name = reel_base_name(writer->path);
    size_t folder = (size_t)(name - writer->path), length = strlen(name);
    writer->temporary = reel_host_alloc(ctx, folder + length + sizeof "..tmp", 1);
    writer->buffer = reel_host_alloc(ctx, BUFFER_BYTES, 1);
    if (!writer->temporary || !writer->buffer) return false;
    memcpy(writer->temporary, writer->path, folder);
    sprintf(writer->temporary + folder, ".%s.tmp", name);
    if (!open_temporary(writer)) return false;
    if (exists) (void)!fchmod(writer->fd, old.st_mode & 0777); /* keeps who may read it; failing is harmless */
    writer->failed = false;
    return true;
}

static bool write_all(reel_writer *writer, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t done = write(writer->fd, at, bytes < ((size_t)1 << 30) ? bytes : ((size_t)1 << 30));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            writer->failed = true;
            return fail_errno(writer->ctx, writer->path, "cannot be written");
        }
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

static bool flush(reel_writer *writer)
{
    size_t bytes = writer->used;
    writer->used = 0;
    return write_all(writer, writer->buffer, bytes);
}

bool reel_writer_put(reel_writer *writer, const void *data, size_t bytes)
{
    if (writer->failed) return false;
    writer->written += (int64_t)bytes;
    if (bytes > BUFFER_BYTES - writer->used && !flush(writer)) return false;
    if (bytes >= BUFFER_BYTES) return write_all(writer, data, bytes);
    if (bytes > 0) memcpy(writer->buffer + writer->used, data, bytes);
    writer->used += bytes;
    return true;
}

bool reel_writer_print(reel_writer *writer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char text[512], *long_text = NULL;
    int length = vsnprintf(text, sizeof text, format, args);
    bool ok = length >= 0;
    if (ok && (size_t)length >= sizeof text) {
        long_text = reel_host_alloc(writer->ctx, (size_t)length + 1, 1);
        ok = long_text && vsnprintf(long_text, (size_t)length + 1, format, again) == length;
    }
    va_end(again);
    va_end(args);
    ok = ok && reel_writer_put(writer, long_text ? long_text : text, (size_t)length);
    if (!ok) writer->failed = true;
    free(long_text);
    return ok;
}

/* A rename is on disk only when its folder is. */
static bool sync_folder(reel_writer *writer)
{
    char *slash = strrchr(writer->path, '/');
    const char *folder = !slash ? "." : slash == writer->path ? "/" : writer->path;
    if (slash) *slash = '\0'; /* only the folder is needed from here on */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return true; /* a folder that may be written but not read cannot be synced */
    bool ok = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
    if (!ok) fail_errno(writer->ctx, folder, "cannot be synced");
    close(fd);
    return ok;
}

bool reel_writer_close(reel_writer *writer, bool keep)
{
    bool ok = keep && !writer->failed && flush(writer);
    if (ok && fsync(writer->fd) != 0) ok = fail_errno(writer->ctx, writer->path, "cannot be synced");
    if (ok && rename(writer->temporary, writer->path) != 0) {
        ok = fail_errno(writer->ctx, writer->path, "cannot be replaced");
    }
    if (writer->fd >= 0) {
        if (!ok) unlink(writer->temporary);
        close(writer->fd);
    }
    if (ok) ok = sync_folder(writer);
    free(writer->path);
    free(writer->temporary);
    free(writer->buffer);
    *writer = (reel_writer) { .fd = -1, .failed = true };
    return ok;
}
