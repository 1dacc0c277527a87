// SPDX-License-Identifier: MIT
// Writes the plan that was played last for people to read.
#include <reel/core/plan.h>
#include <reel/core/profile.h>
#include <string.h>

static void write_value(FILE *file, int32_t v)
{
    if (v < 0)
        fputc('-', file);
    else
        fprintf(file, "%%%d", v);
}

/* conv2d(%0, %1, -) -> %3 */
static void write_node(FILE *file, const reel_plan *plan, int32_t n, const char *behind)
{
    const reel_plan_node *node = &plan->nodes[n];
    const int32_t *values = plan->slots + node->slot;
    fprintf(file, "%s%s(", node->op->name, behind);
    for (int i = 0; i < node->n_in; i++) {
        if (i) fputs(", ", file);
        write_value(file, values[i]);
    }
    fputc(')', file);
    for (int k = 0; k < node->n_out; k++) {
        fputs(k ? ", " : " -> ", file);
        write_value(file, values[node->n_in + k]);
    }
    fputs(node->again ? ", again\n" : "\n", file);
}

static void write_step(FILE *file, const reel_plan *plan, int32_t s)
{
    const reel_plan_step *step = &plan->steps[s];
    fprintf(file, "step %-4d ", s);
    if (step->group < 0) {
        char behind[64];
        snprintf(behind, sizeof behind, "%s%s%s%s", step->relu >= 0 ? " + relu" : "", step->next >= 0 ? " + " : "",
                 step->next >= 0 ? plan->nodes[step->next].op->name : "", step->next_relu >= 0 ? " + relu" : "");
        write_node(file, plan, step->node, behind);
        return;
    }
    const reel_fused *group = &plan->groups[step->group];
    if (group->n_ops == 1) {
        write_node(file, plan, group->ops[0].node, "");
        return;
    }
    fprintf(file, "%d ops in one pass, tiles of %d elements\n", group->n_ops, group->tile);
    for (int32_t k = 0; k < group->n_ops; k++) {
        fputs("            ", file);
        write_node(file, plan, group->ops[k].node, "");
    }
}

static void write_place(FILE *file, const reel_plan *plan, int32_t v)
{
    const reel_plan_value *value = &plan->values[v];
    if (value->root != v) {
        fprintf(file, "view of %%%d at byte %lld", value->root, (long long)value->offset);
        return;
    }
    switch ((reel_place)value->place) {
    case REEL_PLACE_EXTERNAL: fputs("there before", file); break;
    case REEL_PLACE_ARENA: fprintf(file, "arena at %lld, %lld bytes", (long long)value->offset, (long long)value->bytes); break;
    case REEL_PLACE_SHARED: fprintf(file, "kept, shared block at %lld, %lld bytes", (long long)value->offset, (long long)value->bytes); break;
    case REEL_PLACE_OWN: fprintf(file, "kept, %lld bytes of its own", (long long)value->bytes); break;
    case REEL_PLACE_NONE: fputs("inside its step only", file); break;
    }
    if (value->turned) fputs(", batch innermost", file);
    if (value->first < 0) return;
    if (value->first == value->last)
        fprintf(file, ", step %d", value->first);
    else
        fprintf(file, ", steps %d to %d", value->first, value->last);
}

static void write_plan(FILE *file, const reel_plan *plan)
{
    char text[REEL_SHAPE_TEXT];
    fprintf(file, "plan of %d ops in %d steps; arena %lld bytes, shared block %lld bytes\n", plan->n_nodes, plan->n_steps,
            (long long)plan->arena_bytes, (long long)plan->shared_bytes);
    for (int32_t s = 0; s < plan->n_steps; s++) write_step(file, plan, s);
    for (int32_t v = 0; v < plan->n_values; v++) {
        const reel_plan_value *value = &plan->values[v];
        reel_shape shape = { .ndim = value->ndim };
        memcpy(shape.dim, value->shape, (size_t)shape.ndim * sizeof shape.dim[0]);
        fprintf(file, "%%%-5d %s %s: ", v, reel_dtype_name((reel_dtype)value->dtype), reel_shape_format(shape, text));
        write_place(file, plan, v);
        fputc('\n', file);
    }
}

bool reel_plan_write(reel_ctx *ctx, FILE *file)
{
    if (!ctx || ctx->error) return false;
    if (!ctx->plans.newest) return reel_fail(ctx, REEL_ERROR_VALUE, "plan_write: nothing has been planned yet") != NULL;
    if (!file) return reel_fail(ctx, REEL_ERROR_IO, "plan_write: there is no file (NULL)") != NULL;
    write_plan(file, ctx->plans.newest);
    if (fflush(file) || ferror(file)) return reel_fail(ctx, REEL_ERROR_IO, "plan_write: the file cannot be written") != NULL;
    return true;
}
