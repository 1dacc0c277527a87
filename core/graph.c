// SPDX-License-Identifier: MIT
// Writes the recorded graph behind some tensors as text or as Graphviz DOT.
#include <reel/core/graph.h>
#include <reel/core/internal.h>
#include <reel/core/operands.h>

// What is reachable. While it is written a tensor's `slot` is its number.
typedef struct graph {
    reel_ctx *ctx;
    reel_tensor **tensors;
    int64_t n_tensors, tensors_capacity;
    reel_node **nodes;
    int64_t n_nodes, nodes_capacity;
    int32_t numbered;
    FILE *file;
} graph;

static bool reach(graph *g, reel_tensor *t)
{
    if (!t || t->wanted) return true;
    if (!reel_grow(g->ctx, &g->tensors, &g->tensors_capacity, g->n_tensors + 1, sizeof *g->tensors)) return false;
    t->wanted = true;
    g->tensors[g->n_tensors++] = t;
    reel_node *node = t->producer;
    if (!node || node->visited) return true;
    if (!reel_grow(g->ctx, &g->nodes, &g->nodes_capacity, g->n_nodes + 1, sizeof *g->nodes)) return false;
    node->visited = true;
    g->nodes[g->n_nodes++] = node;
    return true;
}

static bool collect(graph *g, reel_tensor *const *outputs, int n_outputs)
{
    for (int k = 0; k < n_outputs; k++)
        if (!reach(g, outputs[k])) return false;
    for (int64_t done = 0; done < g->n_nodes; done++)
        for (int i = 0; i < g->nodes[done]->n_in; i++)
            if (!reach(g, g->nodes[done]->tensors[i])) return false;
    reel_nodes_sort(g->nodes, g->n_nodes);
    return true;
}

static void write_type(const graph *g, const reel_tensor *t)
{
    char text[REEL_SHAPE_TEXT];
    fprintf(g->file, "%s %s", reel_dtype_name((reel_dtype)t->dtype), reel_shape_format(reel_shape_of(t), text));
}

static const char *kind(const reel_tensor *t) { return t->requires_grad ? "parameter" : "constant"; }

static void number_leaf(graph *g, reel_tensor *t, reel_graph_format format)
{
    t->slot = g->numbered++;
    fprintf(g->file, format == REEL_GRAPH_DOT ? "  t%d [shape=ellipse, label=\"%s\\n" : "%%%d = %s ", t->slot, kind(t));
    write_type(g, t);
    fputs(format == REEL_GRAPH_DOT ? "\"];\n" : "\n", g->file);
}

static void write_text(graph *g, const reel_node *node)
{
    reel_tensor *const *out = node->tensors + node->n_in;
    for (int k = 0; k < node->n_out; k++) fprintf(g->file, "%s%%%d", k ? ", " : "", out[k]->slot = g->numbered++);
    fprintf(g->file, " = %s(", node->op->name);
    for (int i = 0; i < node->n_in; i++) {
        if (i) fputs(", ", g->file);
        if (node->tensors[i])
            fprintf(g->file, "%%%d", node->tensors[i]->slot);
        else
            fputc('-', g->file);
    }
    fputc(')', g->file);
    for (int k = 0; k < node->n_out; k++) {
        fputs(k ? ", " : " ", g->file);
        write_type(g, out[k]);
    }
    fputs(node->pending ? " pending\n" : "\n", g->file);
}

// A box named after its first output; edges leave from a box or an ellipse and say what runs along them.
static void write_dot(graph *g, const reel_node *node)
{
    reel_tensor *const *out = node->tensors + node->n_in;
    int32_t box = g->numbered;
    for (int k = 0; k < node->n_out; k++) out[k]->slot = g->numbered++;
    fprintf(g->file, "  t%d [shape=box%s, label=\"%s\"];\n", box, node->pending ? ", style=dashed" : "",
            node->op->name);
    for (int i = 0; i < node->n_in; i++) {
        const reel_tensor *t = node->tensors[i];
        if (!t) continue;
        const reel_node *from = t->producer;
        fprintf(g->file, "  t%d -> t%d [label=\"", from ? from->tensors[from->n_in]->slot : t->slot, box);
        write_type(g, t);
        fputs("\"];\n", g->file);
    }
}

static void write_graph(graph *g, reel_graph_format format)
{
    if (format == REEL_GRAPH_DOT) fputs("digraph reel {\n  node [fontname=monospace];\n", g->file);
    for (int64_t i = 0; i < g->n_nodes; i++) {
        reel_node *node = g->nodes[i];
        for (int j = 0; j < node->n_in; j++)
            if (node->tensors[j] && node->tensors[j]->slot < 0) number_leaf(g, node->tensors[j], format);
        if (format == REEL_GRAPH_DOT)
            write_dot(g, node);
        else
            write_text(g, node);
    }
    for (int64_t i = 0; i < g->n_tensors; i++)
        if (g->tensors[i]->slot < 0) number_leaf(g, g->tensors[i], format);
    if (format == REEL_GRAPH_DOT) fputs("}\n", g->file);
}

bool reel_graph_write(reel_tensor *const *outputs, int n_outputs, reel_graph_format format, FILE *file)
{
    if (n_outputs < 1) return true;
    graph g = { .file = file };
    for (int k = 0; outputs && k < n_outputs && !g.ctx; k++) g.ctx = reel_ctx_of(outputs[k]);
    if (!g.ctx || g.ctx->error) return false;
    for (int k = 0; k < n_outputs; k++) {
        const char *fault = reel_tensor_fault(outputs[k], g.ctx);
        if (fault) return reel_fail(g.ctx, REEL_ERROR_CONTEXT, "graph_write: output %d %s", k, fault);
    }
    if (!file) return reel_fail(g.ctx, REEL_ERROR_IO, "graph_write: there is no file (NULL)");
    bool done = collect(&g, outputs, n_outputs);
    if (done) write_graph(&g, format);
    for (int64_t i = 0; i < g.n_nodes; i++) {
        g.nodes[i]->visited = false;
        for (int k = 0; k < g.nodes[i]->n_out; k++) reel_node_out(g.nodes[i])[k]->slot = -1;
    }
    for (int64_t i = 0; i < g.n_tensors; i++) {
        g.tensors[i]->slot = -1;
        g.tensors[i]->wanted = false;
    }
    if (g.nodes) reel_pool_free(g.ctx, g.nodes, (size_t)g.nodes_capacity * sizeof *g.nodes);
    if (g.tensors) reel_pool_free(g.ctx, g.tensors, (size_t)g.tensors_capacity * sizeof *g.tensors);
    if (done && (fflush(file) || ferror(file)))
        return reel_fail(g.ctx, REEL_ERROR_IO, "graph_write: the file cannot be written");
    return done;
}
