// SPDX-License-Identifier: MIT
// reel-check list and reel-check docs: the op table for people, as text and as the reference page.
#include "check.h"
#include <string.h>

// The widest name, for a column.
static int widest(const check_options *options)
{
    size_t most = 0;
    const reel_function *f;
    for (int i = 0; (f = check_function(options, i)); i++)
        if (strlen(f->name) > most) most = strlen(f->name);
    return (int)most;
}

bool check_wants(const check_options *options, const char *name)
{
    for (int i = 0; i < options->n_names; i++)
        if (!strcmp(options->names[i], name)) return true;
    return options->n_names == 0;
}

bool check_names(const check_options *options)
{
    for (int i = 0; i < options->n_names; i++) {
        bool known = false;
        const reel_function *f;
        for (int k = 0; !known && (f = check_function(options, k)); k++) known = !strcmp(f->name, options->names[i]);
        if (known) continue;
        fprintf(stderr, "reel-check: no op is called '%s' (reel-check list names them)\n", options->names[i]);
        return false;
    }
    return true;
}

int check_list(const check_options *options)
{
    if (!check_names(options)) return CHECK_USAGE;
    int width = widest(options), count = 0;
    const reel_function *f;
    for (int i = 0; (f = check_function(options, i)); i++) {
        if (!check_wants(options, f->name)) continue;
        printf("%-*s  (%s)%s%s\n", width, f->name, f->inputs ? f->inputs : "", f->attrs && f->attrs[0] ? "  " : "",
               f->attrs ? f->attrs : "");
        if (options->n_names > 0 && f->errors) printf("%-*s  refuses: %s\n", width, "", f->errors);
        count++;
    }
    printf("%d ops\n", count);
    return CHECK_PASSED;
}

// Text in a table's cell: a bar would end it.
static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
}

static const char *type_in_words(const char *type, size_t length)
{
    static const char *const words[][2] = {
        { "int", "integer" },   { "ints", "integer or list" },  { "ints?", "integer or list, with null" },
        { "float", "number" },  { "floats", "number or list" }, { "bool", "true or false" },
        { "string", "string" }, { "dtype", "dtype" },
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i][0]) == length && !strncmp(words[i][0], type, length)) return words[i][1];
    return "?";
}

static void print_attributes(const reel_function *f)
{
    reel_param param;
    for (int i = 0; reel_function_attr(f, i, &param); i++) {
        if (i == 0) printf("\n| attribute | type | default |\n| --- | --- | --- |\n");
        printf("| `%s` | ", param.name);
        for (const char *type = param.type; *type;) {
            size_t length = strcspn(type, "|");
            printf("%s%s", type == param.type ? "" : ", or ", type_in_words(type, length));
            type += length + (type[length] == '|');
        }
        printf(" | ");
        print_cell(!param.optional ? "required" : !strcmp(param.fallback, "none") ? "none" : param.fallback);
        printf(" |\n");
    }
}

static void print_operands(const reel_function *f)
{
    reel_param param;
    printf("`%s(", f->name);
    for (int i = 0; reel_function_input(f, i, &param); i++)
        printf("%s%s%s", i ? ", " : "", param.name, param.any_number ? "..." : param.optional ? "?" : "");
    printf(")`");
}

int check_docs(const check_options *options)
{
    printf(
        "# Ops\n\n"
        "Every op of the table, as `reel_call` and `reel-check` know it. Names, attributes and defaults are "
        "PyTorch's.\n"
        "This page is generated: `reel-check docs > docs/ops.md`.\n\n"
        "An operand with `?` may be left out; `...` stands for any number of them. An attribute that takes a list "
        "takes\n"
        "one number for every axis too. Axes may be counted from the end: -1 is the last.\n\n"
        "What every op refuses, with a message that names the op and what is wrong: an operand that is missing,\n"
        "unknown or given twice; an attribute that is missing, unknown or of another type, or a word that is none of\n"
        "those it may be; shapes or dtypes that do not fit the ones given here; an axis that the operand does not "
        "have,\n"
        "or that is named twice; sizes whose product leaves 63 bits. What an op refuses beyond that stands with "
        "it.\n\n");
    const reel_function *f;
    for (int i = 0; (f = check_function(options, i)); i++) printf("%s[%s](#%s)\n", i ? "· " : "", f->name, f->name);
    printf("\n");
    for (int i = 0; (f = check_function(options, i)); i++) {
        printf("## %s\n\n", f->name);
        print_operands(f);
        printf("\n\n    %s\n", f->formula ? f->formula : "");
        if (f->shapes && f->shapes[0]) printf("\nShapes: %s\n", f->shapes);
        print_attributes(f);
        if (f->errors && f->errors[0]) printf("\nRefuses: %s.\n", f->errors);
        if (f->orders == 0)
            printf("\nNo derivative.\n\n");
        else if (f->orders < 0)
            printf("\nDifferentiable to any order.\n\n");
        else
            printf("\nDifferentiable to order %d.\n\n", f->orders);
    }
    return CHECK_PASSED;
}
