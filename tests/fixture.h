// SPDX-License-Identifier: MIT
// What suites around files share: a context, a folder of the test's own, and what its errors must say.
#ifndef REEL_TESTS_FIXTURE_H
#define REEL_TESTS_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <reel/reel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static reel_ctx *ctx;
static char folder[64];

static inline void set_up(void)
{
    ctx = reel_ctx_new(NULL);
    strcpy(folder, "/tmp/reel-test-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static inline void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(system(command) == 0);
    reel_ctx_free(ctx);
}

static inline const char *in_folder(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static inline const char *write_bytes(const char *name, const void *data, size_t bytes)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0);
    return path;
}

static inline const char *write_text(const char *name, const char *text) { return write_bytes(name, text, strlen(text)); }

static inline size_t read_bytes(const char *path, void *to, size_t room)
{
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s: %s", path, strerror(errno));
    size_t bytes = fread(to, 1, room, file);
    fclose(file);
    return bytes;
}

static inline char *read_text(const char *path)
{
    static char text[1 << 16];
    text[read_bytes(path, text, sizeof text - 1)] = '\0';
    return text;
}

/* The context is in error with this code and a message that holds `reason`. Clears it. */
static inline void expect_error(reel_error code, const char *reason)
{
    const char *message = reel_ctx_error_message(ctx);
    cr_expect_eq(reel_ctx_error(ctx), code, "error %d: %s", reel_ctx_error(ctx), message);
    cr_expect(strstr(message, reason) != NULL, "no '%s' in: %s", reason, message);
    reel_ctx_clear_error(ctx);
}

/* The same for a file, whose name the message holds too. */
static inline void expect_file_error(reel_error code, const char *name, const char *reason)
{
    const char *message = reel_ctx_error_message(ctx);
    cr_expect(strstr(message, name) != NULL, "no file %s in: %s", name, message);
    expect_error(code, reason);
}

#endif
