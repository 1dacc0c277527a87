// SPDX-License-Identifier: MIT
// Reading the specification strings of the op table's rows.
#include <reel/ops/table.h>
#include <string.h>

// Word i of a text of words between single or repeated spaces; its length, or 0 past the last.
static size_t word_at(const char *text, int i, const char **word)
{
    const char *at = text ? text : "";
    for (;;) {
        at += strspn(at, " ");
        size_t length = strcspn(at, " ");
        if (!length || i-- == 0) {
            *word = at;
            return length;
        }
        at += length;
    }
}

static void copy(char to[REEL_PARAM_TEXT], const char *from, size_t length)
{
    if (length > REEL_PARAM_TEXT - 1) length = REEL_PARAM_TEXT - 1;
    memcpy(to, from, length);
    to[length] = 0;
}

bool reel_function_input(const reel_function *function, int i, reel_param *param)
{
    const char *word;
    if (!function || !param) return false;
    size_t length = word_at(function->inputs, i, &word);
    *param = (reel_param) { .optional = false };
    if (!length) return false;
    char last = word[length - 1];
    param->optional = last == '?' || last == '*';
    param->any_number = last == '*';
    copy(param->name, word, length - param->optional);
    return true;
}

bool reel_function_attr(const reel_function *function, int i, reel_param *param)
{
    const char *word;
    if (!function || !param) return false;
    size_t length = word_at(function->attrs, i, &word);
    *param = (reel_param) { .optional = false };
    if (!length) return false;
    size_t name = strcspn(word, ":= ");
    copy(param->name, word, name);
    const char *rest = word + name + (word[name] == ':');
    size_t type = strcspn(rest, "= ");
    copy(param->type, rest, type);
    param->optional = rest[type] == '=';
    if (param->optional) {
        const char *fallback = rest + type + 1;
        copy(param->fallback, fallback, (size_t)(word + length - fallback));
    }
    return true;
}
