// SPDX-License-Identifier: MIT
// The graph written as text and as DOT.
#include <criterion/criterion.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static reel_ctx *ctx;
static void begin(void) { ctx = reel_ctx_new(NULL); }
static void end(void) { reel_ctx_free(ctx); }
TestSuite(graph, .init = begin, .fini = end);

static char *written(reel_tensor *const *outputs, int n, reel_graph_format format)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    cr_assert(reel_graph_write(outputs, n, format, file), "%s", reel_ctx_error_message(ctx));
    fclose(file);
    return text;
}

static reel_tensor *model(void)
{
    reel_tensor *x = reel_floats(ctx, REEL_SHAPE(2, 3), (float[]) { 1, 2, 3, 4, 5, 6 });
    reel_tensor *w = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(4, 3), REEL_F32), true);
    return reel_relu(reel_linear(x, w, NULL));
}

Test(graph, text_has_a_line_for_each_tensor)
{
    reel_tensor *y = model();
    char *text = written(&y, 1, REEL_GRAPH_TEXT);
    cr_assert(strstr(text, "constant float32 [2, 3]"), "%s", text);
    cr_assert(strstr(text, "parameter float32 [4, 3]"), "%s", text);
    cr_assert(strstr(text, "= relu("), "%s", text);
    cr_assert(strstr(text, "float32 [2, 4] pending"), "%s", text);
    free(text);
}

Test(graph, dot_has_balanced_braces_and_edges_between_known_nodes)
{
    reel_tensor *y = model();
    char *text = written(&y, 1, REEL_GRAPH_DOT);
    cr_assert_eq(strncmp(text, "digraph reel {\n", 15), 0);
    cr_assert_str_eq(text + strlen(text) - 2, "}\n");
    int edges = 0;
    for (const char *at = text; (at = strstr(at, " -> t")); at++) {
        int from, to;
        const char *line = at;
        while (line > text && line[-1] != '\n') line--;
        cr_assert_eq(sscanf(line, " t%d -> t%d", &from, &to), 2);
        char node[32];
        snprintf(node, sizeof node, "  t%d [", from);
        cr_assert(strstr(text, node), "no node%s in\n%s", node, text);
        edges++;
    }
    cr_assert_geq(edges, 3, "%s", text);
    free(text);
}

Test(graph, shows_gradients_like_any_op_and_can_be_asked_for_again)
{
    reel_tensor *w = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(2), REEL_F64), true), *g;
    reel_tensor *y = reel_sum(reel_exp(w), REEL_ALL_DIMS, false);
    reel_grad(&y, 1, &w, 1, NULL, &g);
    char *first = written(&g, 1, REEL_GRAPH_TEXT), *again = written(&g, 1, REEL_GRAPH_TEXT);
    cr_assert_str_eq(first, again);
    cr_assert(strstr(first, "= exp("), "%s", first);
    free(first);
    free(again);
    cr_assert_float_eq(reel_item(y), 2 * 2.718281828459045, 1e-12);
    cr_assert_float_eq(reel_data_f64(g)[0], 2.718281828459045, 1e-12);
}

Test(graph, a_leaf_alone_and_a_missing_output)
{
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2), REEL_F64), *none = NULL;
    char *text = written(&x, 1, REEL_GRAPH_TEXT);
    cr_assert_str_eq(text, "%0 = constant float64 [2]\n");
    free(text);
    cr_assert_not(reel_graph_write(&none, 1, REEL_GRAPH_TEXT, stderr));
    cr_assert_not(reel_graph_write(&x, 1, REEL_GRAPH_TEXT, NULL));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
}

Test(graph, a_full_disk_is_an_error)
{
    reel_tensor *y = model();
    FILE *full = fopen("/dev/full", "w");
    if (!full) return;
    cr_assert_not(reel_graph_write(&y, 1, REEL_GRAPH_TEXT, full));
    cr_assert_eq(reel_ctx_error(ctx), REEL_ERROR_IO);
    fclose(full);
}
