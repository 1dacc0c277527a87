// SPDX-License-Identifier: MIT
// Products of matrices and vectors: one play for all of them, rules that are products again.
#include <reel/ops/axes.h>
#include <reel/core/operands.h>
#include <reel/ops/gemm.h>
#include <reel/ops/matmul.h>
#include <reel/ops/matmul_integer.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/shape.h>

#include <math.h>
#include <string.h>

static bool same_dtypes(const reel_infer *infer)
{
    reel_dtype a = reel_dtype_of(infer->in[0]);
    for (int i = 0; i < infer->n_in; i++) {
        if (!infer->in[i]) continue;
        reel_dtype dtype = reel_dtype_of(infer->in[i]);
        if (dtype == REEL_BOOL) return reel_infer_fail(infer, REEL_ERROR_DTYPE, "bools have no products; cast them");
        if (dtype != a)
            return reel_infer_fail(infer, REEL_ERROR_DTYPE, "operands have the dtypes %s and %s; cast one",
                                   reel_dtype_name(a), reel_dtype_name(dtype));
    }
    return true;
}

static bool infer_matmul(reel_infer *infer)
{
    reel_shape a = reel_shape_of(infer->in[0]), b = reel_shape_of(infer->in[1]), out;
    if (a.ndim == 0 || b.ndim == 0)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "operand %d is a scalar; it must have at least one axis",
                               a.ndim != 0);
    if (!same_dtypes(infer)) return false;
    int64_t inner = a.dim[a.ndim - 1], rows = b.ndim == 1 ? b.dim[0] : b.dim[b.ndim - 2];
    if (inner != rows)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the first operand has %lld columns, the second %lld rows",
                               (long long)inner, (long long)rows);
    memset(&out, 0, sizeof out);
    int a_lead = a.ndim - 2 > 0 ? a.ndim - 2 : 0, b_lead = b.ndim - 2 > 0 ? b.ndim - 2 : 0;
    out.ndim = a_lead > b_lead ? a_lead : b_lead;
    for (int axis = 1; axis <= out.ndim; axis++) { // from the last leading axis
        int64_t x = axis <= a_lead ? a.dim[a_lead - axis] : 1, y = axis <= b_lead ? b.dim[b_lead - axis] : 1;
        if (x != y && x != 1 && y != 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "leading axes of %lld and %lld do not broadcast",
                                   (long long)x, (long long)y);
        out.dim[out.ndim - axis] = x == 1 ? y : x;
    }
    if (a.ndim > 1) out.dim[out.ndim++] = a.dim[a.ndim - 2];
    if (b.ndim > 1) out.dim[out.ndim++] = b.dim[b.ndim - 1];
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), out);
}

/* The same with ranks, and equal batches, asked for. */
static bool infer_ranks(reel_infer *infer, int a, int b)
{
    reel_shape first = reel_shape_of(infer->in[0]), second = reel_shape_of(infer->in[1]);
    if (first.ndim != a || second.ndim != b)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "operands of %d and %d axes; they must have %d and %d",
                               first.ndim, second.ndim, a, b);
    if (a == 3 && first.dim[0] != second.dim[0])
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "batches of %lld and %lld", (long long)first.dim[0],
                               (long long)second.dim[0]);
    return infer_matmul(infer);
}

static bool infer_mm(reel_infer *infer) { return infer_ranks(infer, 2, 2); }
static bool infer_bmm(reel_infer *infer) { return infer_ranks(infer, 3, 3); }
static bool infer_mv(reel_infer *infer) { return infer_ranks(infer, 2, 1); }
static bool infer_dot(reel_infer *infer) { return infer_ranks(infer, 1, 1); }

static bool run(const reel_play *play, const reel_gemm *g)
{
    if (reel_dtype_is_float(g->dtype)) return reel_gemm_run(play->exec, g) || reel_play_out_of_memory(play);
    reel_matmul_integers(play->exec, g);
    return true;
}

static bool play_matmul(const reel_play *play)
{
    const reel_buffer *a = &play->in[0], *b = &play->in[1], *out = &play->out[0];
    int a_lead = a->ndim - 2 > 0 ? a->ndim - 2 : 0, b_lead = b->ndim - 2 > 0 ? b->ndim - 2 : 0;
    reel_gemm g;
    memset(&g, 0, sizeof g);
    g.dtype = out->dtype;
    g.m = a->ndim > 1 ? a->shape[a->ndim - 2] : 1;
    g.k = a->shape[a->ndim - 1];
    g.n = b->ndim > 1 ? b->shape[b->ndim - 1] : 1;
    g.a = a->data;
    g.b = b->data;
    g.c = out->data;
    g.a_row = a->ndim > 1 ? a->strides[a->ndim - 2] : 0;
    g.a_column = a->strides[a->ndim - 1];
    g.b_row = b->ndim > 1 ? b->strides[b->ndim - 2] : b->strides[0];
    g.b_column = b->ndim > 1 ? b->strides[b->ndim - 1] : 1;
    g.c_row = g.n;
    g.relu = play->relu;
    g.batch_ndim = a_lead > b_lead ? a_lead : b_lead;
    for (int i = 0; i < g.batch_ndim; i++) {
        int x = i - (g.batch_ndim - a_lead), y = i - (g.batch_ndim - b_lead);
        g.batch[i] = out->shape[i];
        g.a_batch[i] = x >= 0 && a->shape[x] > 1 ? a->strides[x] : 0;
        g.b_batch[i] = y >= 0 && b->shape[y] > 1 ? b->strides[y] : 0;
        g.c_batch[i] = out->strides[i];
    }
    return run(play, &g);
}

/* Every element of the result is a sum over the last axis of the first operand. */
static double flops_matmul(const reel_play *play)
{
    return 2 * (double)play->out[0].numel * (double)play->in[0].shape[play->in[0].ndim - 1];
}

/* x: [..., M, K] as [rows, K]. */
static reel_tensor *as_rows(reel_tensor *x)
{
    reel_shape shape = reel_shape_of(x);
    if (!x || shape.ndim == 2) return x;
    int64_t rows = 1;
    for (int k = 0; k < shape.ndim - 1; k++)
        if (__builtin_mul_overflow(rows, shape.dim[k], &rows)) rows = 0; // only where another axis is empty
    return reel_reshape(x, REEL_SHAPE(rows, shape.dim[shape.ndim - 1]));
}

static reel_tensor *turned(reel_tensor *x) { return reel_transpose(x, -2, -1); }

static bool vjp_matmul(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0];
    int a_ndim = reel_vjp_input_shape(vjp, 0).ndim, b_ndim = reel_vjp_input_shape(vjp, 1).ndim;
    bool for_a = reel_vjp_wants(vjp, 0), for_b = reel_vjp_wants(vjp, 1);
    if (a_ndim == 1 && b_ndim == 1) {
        if (for_a) vjp->grad[0] = reel_mul(g, reel_vjp_input(vjp, 1));
        if (for_b) vjp->grad[1] = reel_mul(g, reel_vjp_input(vjp, 0));
        return true;
    }
    // Vectors as the row or column they stood for.
    if (a_ndim == 1) g = reel_unsqueeze(g, -2);
    if (b_ndim == 1) g = reel_unsqueeze(g, -1);
    if (for_a) {
        reel_tensor *b = reel_vjp_input(vjp, 1);
        if (b_ndim == 1) b = reel_unsqueeze(b, -1);
        reel_tensor *grad = reel_matmul(g, turned(b));
        vjp->grad[0] = a_ndim == 1 ? reel_squeeze(grad, REEL_DIMS(-2)) : grad;
    }
    if (for_b) {
        reel_tensor *a = reel_vjp_input(vjp, 0);
        if (a_ndim == 1) a = reel_unsqueeze(a, 0);
        // A matrix on the right meets every row of a batch: one product over all rows sums them.
        reel_tensor *grad = b_ndim <= 2 ? reel_matmul(turned(as_rows(a)), as_rows(g)) : reel_matmul(turned(a), g);
        vjp->grad[1] = b_ndim == 1 ? reel_squeeze(grad, REEL_DIMS(-1)) : grad;
    }
    return true;
}

#define PRODUCT_OP(op)                                                                                                 \
    const reel_op reel_op_##op = { .name = #op,                                                                        \
                                   .infer = infer_##op,                                                                \
                                   .play = play_matmul,                                                                \
                                   .vjp = vjp_matmul,                                                                  \
                                   .flags = REEL_OP_STRIDED | REEL_OP_RELU,                                            \
                                   .flops = flops_matmul }
PRODUCT_OP(matmul);
PRODUCT_OP(mm);
PRODUCT_OP(bmm);
PRODUCT_OP(mv);
PRODUCT_OP(dot);
#undef PRODUCT_OP

reel_tensor *reel_matmul(reel_tensor *a, reel_tensor *b)
{
    return reel_apply(&reel_op_matmul, (reel_tensor *[]) { a, b }, 2, NULL, NULL);
}

reel_tensor *reel_mm(reel_tensor *a, reel_tensor *b)
{
    return reel_apply(&reel_op_mm, (reel_tensor *[]) { a, b }, 2, NULL, NULL);
}

reel_tensor *reel_bmm(reel_tensor *a, reel_tensor *b)
{
    return reel_apply(&reel_op_bmm, (reel_tensor *[]) { a, b }, 2, NULL, NULL);
}

reel_tensor *reel_mv(reel_tensor *a, reel_tensor *x)
{
    return reel_apply(&reel_op_mv, (reel_tensor *[]) { a, x }, 2, NULL, NULL);
}

reel_tensor *reel_dot(reel_tensor *x, reel_tensor *y)
{
    return reel_apply(&reel_op_dot, (reel_tensor *[]) { x, y }, 2, NULL, NULL);
}

reel_tensor *reel_outer(reel_tensor *x, reel_tensor *y)
{
    if (!REEL_OPERANDS("outer", x, y)) return NULL;
    reel_ctx *ctx = reel_ctx_of(x);
    if (reel_ndim(x) != 1 || reel_ndim(y) != 1)
        return reel_fail(ctx, REEL_ERROR_SHAPE, "outer: operands of %d and %d axes; both must be vectors", reel_ndim(x),
                         reel_ndim(y));
    reel_tensor *z = NULL;
    REEL_COMPOSITE(ctx) { z = reel_scope_return(reel_mul(reel_unsqueeze(x, -1), y)); }
    return z;
}

/* linear */

static bool infer_linear(reel_infer *infer)
{
    reel_shape x = reel_shape_of(infer->in[0]), w = reel_shape_of(infer->in[1]), bias = reel_shape_of(infer->in[2]);
    if (x.ndim == 0)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input is a scalar; it must have at least one axis");
    if (w.ndim != 1 && w.ndim != 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "weight has %d axes; it must be [out, in] or [in]", w.ndim);
    if (!same_dtypes(infer)) return false;
    if (x.dim[x.ndim - 1] != w.dim[w.ndim - 1])
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "input has %lld features, weight takes %lld",
                               (long long)x.dim[x.ndim - 1], (long long)w.dim[w.ndim - 1]);
    if (infer->in[2] && w.ndim == 1)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "a bias goes with a weight matrix, not with a vector");
    if (infer->in[2] && (bias.ndim != 1 || bias.dim[0] != w.dim[0]))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the bias does not fit an output of %lld features",
                               (long long)w.dim[0]);
    if (w.ndim == 2)
        x.dim[x.ndim - 1] = w.dim[0];
    else
        x.dim[--x.ndim] = 0;
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), x);
}

static bool play_linear(const reel_play *play)
{
    const reel_buffer *x = &play->in[0], *w = &play->in[1], *bias = &play->in[2], *out = &play->out[0];
    reel_gemm g;
    memset(&g, 0, sizeof g);
    g.dtype = out->dtype;
    g.m = x->ndim > 1 ? x->shape[x->ndim - 2] : 1;
    g.k = x->shape[x->ndim - 1];
    g.n = w->shape[0];
    g.a = x->data;
    g.b = w->data;
    g.c = out->data;
    g.bias = bias->data;
    g.relu = play->relu;
    g.a_row = x->ndim > 1 ? x->strides[x->ndim - 2] : 0;
    g.a_column = x->strides[x->ndim - 1];
    g.b_row = w->strides[1];
    g.b_column = w->strides[0];
    g.c_row = g.n;
    g.batch_ndim = x->ndim > 2 ? x->ndim - 2 : 0;
    for (int i = 0; i < g.batch_ndim; i++) {
        g.batch[i] = x->shape[i];
        g.a_batch[i] = x->strides[i];
        g.c_batch[i] = out->strides[i];
    }
    return run(play, &g);
}

static double flops_linear(const reel_play *play)
{
    return flops_matmul(play) + (play->in[2].data ? (double)play->out[0].numel : 0);
}

static bool vjp_linear(reel_vjp *vjp)
{
    reel_tensor *g = vjp->cot[0];
    int ndim = reel_vjp_input_shape(vjp, 0).ndim;
    if (reel_vjp_wants(vjp, 0)) vjp->grad[0] = reel_matmul(g, reel_vjp_input(vjp, 1));
    if (reel_vjp_wants(vjp, 1)) {
        reel_tensor *x = reel_vjp_input(vjp, 0);
        vjp->grad[1] = reel_matmul(turned(ndim == 1 ? reel_unsqueeze(g, 0) : as_rows(g)),
                                   ndim == 1 ? reel_unsqueeze(x, 0) : as_rows(x));
    }
    if (reel_vjp_wants(vjp, 2)) vjp->grad[2] = g; // the player sums it over the rows
    return true;
}

const reel_op reel_op_linear = { .name = "linear",
                                 .infer = infer_linear,
                                 .play = play_linear,
                                 .vjp = vjp_linear,
                                 .flags = REEL_OP_STRIDED | REEL_OP_RELU,
                                 .optional = 1 << 2,
                                 .flops = flops_linear };

/* Whether `small` broadcasts to `shape` without changing it. */
static bool broadcasts_to(reel_shape small, reel_shape shape)
{
    if (small.ndim > shape.ndim) return false;
    for (int axis = 1; axis <= small.ndim; axis++)
        if (small.dim[small.ndim - axis] != 1 && small.dim[small.ndim - axis] != shape.dim[shape.ndim - axis])
            return false;
    return true;
}

/* Kernels read a bias as a row, while x and w may have any strides. */
static reel_tensor *bias_row(reel_tensor *bias) { return bias && !reel_is_contiguous(bias) ? reel_contiguous(bias) : bias; }

reel_tensor *reel_linear(reel_tensor *x, reel_tensor *w, reel_tensor *bias)
{
    if (!REEL_OPERANDS("linear", x, w)) return NULL;
    reel_shape in = reel_shape_of(x), weight = reel_shape_of(w), b = reel_shape_of(bias), out = in;
    bool fits = in.ndim > 0 && weight.ndim > 0 && in.dim[in.ndim - 1] == weight.dim[weight.ndim - 1];
    if (fits && weight.ndim == 1 && !bias) return reel_matmul(x, w);
    if (fits) out.dim[in.ndim - 1] = weight.dim[0];
    if (!bias || !fits || weight.ndim != 2 || (b.ndim == 1 && b.dim[0] == weight.dim[0]) || !broadcasts_to(b, out))
        return reel_apply(&reel_op_linear, (reel_tensor *[]) { x, w, bias_row(bias) }, 3, NULL, NULL);
    // A bias of another shape that fits all the same, as PyTorch takes it.
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x)) { y = reel_scope_return(reel_add(reel_linear(x, w, NULL), bias)); }
    return y;
}

/* Sums with a product in them */

static reel_tensor *add_product(const char *name, int ndim, reel_tensor *input, reel_tensor *a, reel_tensor *b,
                                double beta, double alpha)
{
    if (!REEL_OPERANDS(name, input, a, b)) return NULL;
    reel_ctx *ctx = reel_ctx_of(a);
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        y = ndim == 2 ? reel_mm(a, b) : reel_bmm(a, b);
        if (y && !broadcasts_to(reel_shape_of(input), reel_shape_of(y)))
            y = reel_fail(ctx, REEL_ERROR_SHAPE, "%s: input %s does not broadcast to the product's %s", name,
                          reel_shape_format(reel_shape_of(input), have), reel_shape_format(reel_shape_of(y), want));
        if (y && !reel_dtype_is_float(reel_dtype_of(y))) alpha = trunc(alpha), beta = trunc(beta);
        if (alpha != 1) y = reel_mul_scalar(y, alpha);
        if (beta != 0) y = reel_add(y, beta == 1 ? input : reel_mul_scalar(input, beta));
        y = reel_scope_return(y);
    }
    return y;
}

reel_tensor *reel_addmm(reel_tensor *input, reel_tensor *a, reel_tensor *b, double beta, double alpha)
{
    return add_product("addmm", 2, input, a, b, beta, alpha);
}

reel_tensor *reel_baddbmm(reel_tensor *input, reel_tensor *a, reel_tensor *b, double beta, double alpha)
{
    return add_product("baddbmm", 3, input, a, b, beta, alpha);
}

reel_tensor *reel_bilinear(reel_tensor *x1, reel_tensor *x2, reel_tensor *w, reel_tensor *bias)
{
    if (!REEL_OPERANDS("bilinear", x1, x2, w)) return NULL;
    reel_ctx *ctx = reel_ctx_of(x1);
    reel_shape a = reel_shape_of(x1), b = reel_shape_of(x2), s = reel_shape_of(w), lead = a, other = b;
    char a_text[REEL_SHAPE_TEXT], b_text[REEL_SHAPE_TEXT], w_text[REEL_SHAPE_TEXT];
    lead.ndim--;
    other.ndim--;
    if (a.ndim < 1 || b.ndim < 1 || s.ndim != 3 || !reel_shape_equal(lead, other) || a.dim[a.ndim - 1] != s.dim[1] ||
        b.dim[b.ndim - 1] != s.dim[2])
        return reel_fail(ctx, REEL_ERROR_SHAPE,
                         "bilinear: inputs %s and %s and weight %s; they must be [..., I], [..., J] and [N, I, J]",
                         reel_shape_format(a, a_text), reel_shape_format(b, b_text), reel_shape_format(s, w_text));
    if (bias && (reel_ndim(bias) != 1 || reel_size(bias, 0) != s.dim[0]))
        return reel_fail(ctx, REEL_ERROR_SHAPE, "bilinear: bias %s for an output of %lld features",
                         reel_shape_format(reel_shape_of(bias), a_text), (long long)s.dim[0]);
    int64_t rows = reel_shape_numel(lead), n = s.dim[0], i = s.dim[1], j = s.dim[2], columns;
    // Sizes beyond memory are possible where another axis is empty.
    if (rows < 0 || __builtin_mul_overflow(n, j, &columns))
        return reel_fail(ctx, REEL_ERROR_SHAPE, "bilinear: the axes of %s or %s hold more than memory does",
                         reel_shape_format(a, a_text), reel_shape_format(s, w_text));
    reel_tensor *y = NULL;
    REEL_COMPOSITE(ctx)
    {
        // [rows, I] x [I, N J] -> [rows, N, J], then each row's [N, J] x [J].
        reel_tensor *table = reel_reshape(reel_permute(w, REEL_DIMS(1, 0, 2)), REEL_SHAPE(i, columns));
        reel_tensor *left = reel_reshape(reel_mm(reel_reshape(x1, REEL_SHAPE(rows, i)), table), REEL_SHAPE(rows, n, j));
        y = reel_bmm(left, reel_reshape(x2, REEL_SHAPE(rows, j, 1)));
        lead.dim[lead.ndim++] = n;
        y = reel_reshape(y, lead);
        if (bias) y = reel_add(y, bias);
        y = reel_scope_return(y);
    }
    return y;
}

/* Rows of the op table */

static bool call_matmul(reel_call_args *args)
{
    return reel_args_return(args, reel_matmul(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_matmul = {
    .name = "matmul",
    .inputs = "input other",
    .attrs = "",
    .call = call_matmul,
    .formula = "sum over k of a[..., i, k] b[..., k, j]",
    .shapes = "input: [..., M, K] or [K]; other: [..., K, N] or [K] -> [..., M, N]",
    .errors = "a scalar; columns and rows that differ; batches that do not broadcast; dtypes that differ; bools",
    .orders = -1
};

static bool call_mm(reel_call_args *args)
{
    return reel_args_return(args, reel_mm(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_mm = {
    .name = "mm",
    .inputs = "input mat2",
    .attrs = "",
    .call = call_mm,
    .formula = "sum over k of a[i, k] b[k, j]",
    .shapes = "input: [M, K]; mat2: [K, N] -> [M, N]",
    .errors = "operands of another rank; columns and rows that differ; dtypes that differ; bools",
    .orders = -1
};

static bool call_bmm(reel_call_args *args)
{
    return reel_args_return(args, reel_bmm(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_bmm = {
    .name = "bmm",
    .inputs = "input mat2",
    .attrs = "",
    .call = call_bmm,
    .formula = "sum over k of a[z, i, k] b[z, k, j]",
    .shapes = "input: [B, M, K]; mat2: [B, K, N] -> [B, M, N]",
    .errors = "operands of another rank; columns and rows, or batches, that differ; dtypes that differ; bools",
    .orders = -1
};

static bool call_mv(reel_call_args *args)
{
    return reel_args_return(args, reel_mv(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_mv = {
    .name = "mv",
    .inputs = "input vec",
    .attrs = "",
    .call = call_mv,
    .formula = "sum over k of a[i, k] x[k]",
    .shapes = "input: [M, K]; vec: [K] -> [M]",
    .errors = "operands of another rank; columns and rows that differ; dtypes that differ; bools",
    .orders = -1
};

static bool call_dot(reel_call_args *args)
{
    return reel_args_return(args, reel_dot(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_dot = {
    .name = "dot",
    .inputs = "input tensor",
    .attrs = "",
    .call = call_dot,
    .formula = "sum over k of x[k] y[k]",
    .shapes = "input: [K]; tensor: [K] -> []",
    .errors = "operands of another rank; columns and rows that differ; dtypes that differ; bools",
    .orders = -1
};

static bool call_outer(reel_call_args *args)
{
    return reel_args_return(args, reel_outer(reel_args_input(args, 0), reel_args_input(args, 1)));
}
const reel_function reel_fn_outer = { .name = "outer",
                                      .inputs = "input vec2",
                                      .attrs = "",
                                      .call = call_outer,
                                      .formula = "x[i] y[j]",
                                      .shapes = "input: [M]; vec2: [N] -> [M, N]",
                                      .errors = "operands that are not vectors",
                                      .orders = -1 };

static bool call_linear(reel_call_args *args)
{
    return reel_args_return(args,
                            reel_linear(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_input(args, 2)));
}
const reel_function reel_fn_linear = {
    .name = "linear",
    .inputs = "input weight bias?",
    .attrs = "",
    .call = call_linear,
    .formula = "x w^T + bias",
    .shapes = "input: [..., K]; weight: [N, K]; bias: [N] -> [..., N]",
    .errors = "a scalar input; features that weight does not take; a weight of more than 2 axes; a bias of another "
              "size, or with a weight vector; dtypes that differ; bools",
    .orders = -1
};

static bool call_bilinear(reel_call_args *args)
{
    return reel_args_return(args, reel_bilinear(reel_args_input(args, 0), reel_args_input(args, 1),
                                                reel_args_input(args, 2), reel_args_input(args, 3)));
}
const reel_function reel_fn_bilinear = {
    .name = "bilinear",
    .inputs = "input1 input2 weight bias?",
    .attrs = "",
    .call = call_bilinear,
    .formula = "sum over i, j of x1[..., i] w[n, i, j] x2[..., j] + bias[n]",
    .shapes = "input1: [..., I]; input2: [..., J]; weight: [N, I, J]; bias: [N] -> [..., N]",
    .errors = "leading axes of the inputs that differ; a weight that is not [N, I, J]; a bias that is not [N]; dtypes "
              "that differ; bools",
    .orders = -1
};

static bool call_addmm(reel_call_args *args)
{
    return reel_args_return(args,
                            reel_addmm(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_input(args, 2),
                                       reel_args_float(args, "beta"), reel_args_float(args, "alpha")));
}
const reel_function reel_fn_addmm = {
    .name = "addmm",
    .inputs = "input mat1 mat2",
    .attrs = "beta:float=1 alpha:float=1",
    .call = call_addmm,
    .formula = "beta * input + alpha * (a x b)",
    .shapes = "input: broadcasts to [M, N]; mat1: [M, K]; mat2: [K, N] -> [M, N]",
    .errors = "operands of another rank; columns and rows, or batches, that differ; an input that does not broadcast "
              "to the product; dtypes that differ; bools",
    .orders = -1
};

static bool call_baddbmm(reel_call_args *args)
{
    return reel_args_return(args,
                            reel_baddbmm(reel_args_input(args, 0), reel_args_input(args, 1), reel_args_input(args, 2),
                                         reel_args_float(args, "beta"), reel_args_float(args, "alpha")));
}
const reel_function reel_fn_baddbmm = {
    .name = "baddbmm",
    .inputs = "input batch1 batch2",
    .attrs = "beta:float=1 alpha:float=1",
    .call = call_baddbmm,
    .formula = "beta * input + alpha * (a x b)",
    .shapes = "input: broadcasts to [B, M, N]; batch1: [B, M, K]; batch2: [B, K, N] -> [B, M, N]",
    .errors = "operands of another rank; columns and rows, or batches, that differ; an input that does not broadcast "
              "to the product; dtypes that differ; bools",
    .orders = -1
};
