// SPDX-License-Identifier: MIT
// Printing a tensor to a file of the user's.
#include <reel/core/internal.h>
#include <reel/core/operands.h>
#include <math.h>

#define EDGE 3        /* elements shown at each end of a long axis */
#define WHOLE 1000    /* tensors up to this many elements are shown whole */

static void print_element(FILE *file, const void *data, reel_dtype dtype, int64_t i)
{
    switch (dtype) {
    case REEL_F32: fprintf(file, "%11.5g", (double)((const float *)data)[i]); break;
    case REEL_F64: fprintf(file, "%11.5g", ((const double *)data)[i]); break;
    case REEL_I64: fprintf(file, "%6lld", (long long)((const int64_t *)data)[i]); break;
    case REEL_I32: fprintf(file, "%6d", ((const int32_t *)data)[i]); break;
    case REEL_U8: fprintf(file, "%3d", ((const uint8_t *)data)[i]); break;
    case REEL_BOOL: fprintf(file, "%s", ((const uint8_t *)data)[i] ? " true" : "false"); break;
    }
}

void reel_print(reel_tensor *x, FILE *file)
{
    if (!reel_given(reel_ctx_of(x), "print", "file", file)) return;
    if (!x) {
        fprintf(file, "(no tensor)\n");
        return;
    }
    const void *data = reel_data(x);
    if (!data) {
        fprintf(file, "(no value: %s)\n", reel_ctx_error_message(x->ctx));
        return;
    }
    char text[REEL_SHAPE_TEXT];
    fprintf(file, "%s %s%s\n", reel_dtype_name((reel_dtype)x->dtype), reel_shape_format(reel_shape_of(x), text),
            x->requires_grad ? ", requires grad" : "");
    if (x->numel == 0) {
        fprintf(file, "[]\n");
        return;
    }
    bool shorten = x->numel > WHOLE;
    int64_t index[REEL_MAX_DIMS] = { 0 };
    int ndim = x->ndim, opened = ndim;
    for (int i = 0; i < ndim; i++) fputc('[', file);
    for (;;) {
        int64_t at = 0;
        for (int i = 0; i < ndim; i++) at += index[i] * reel_tensor_strides(x)[i];
        print_element(file, data, (reel_dtype)x->dtype, at);
        int axis = ndim - 1;
        for (; axis >= 0; axis--) {
            bool jump = shorten && x->shape[axis] > 2 * EDGE && index[axis] == EDGE - 1;
            index[axis] = jump ? x->shape[axis] - EDGE : index[axis] + 1;
            if (index[axis] < x->shape[axis]) {
                if (jump) fprintf(file, axis == ndim - 1 ? ", ..." : "\n%*s...", axis + 1, "");
                break;
            }
            index[axis] = 0;
            fputc(']', file);
        }
        if (axis < 0) break;
        opened = ndim - 1 - axis;
        if (opened == 0) {
            fprintf(file, ", ");
            continue;
        }
        fprintf(file, "\n%*s", axis + 1, "");
        for (int i = 0; i < opened; i++) fputc('[', file);
    }
    fputc('\n', file);
}
