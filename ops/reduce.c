// SPDX-License-Identifier: MIT
// Reductions: sum, mean, prod, amax, amin, logsumexp, any, all, count_nonzero, and sum_to.
#include <limits.h>
#include <reel/core/clean.h>
#include <reel/core/op.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/reduce.h>
#include <reel/ops/reduce_op.h>
#include <reel/ops/scan.h>
#include <reel/ops/shape.h>
#include <reel/ops/turned.h>
#include <string.h>

// ---- shared with the other reductions ----

bool reel_dims_mask(reel_dims dims, int ndim, uint32_t *mask, int *bad)
{
    int axes = ndim > 0 ? ndim : 1;
    *mask = 0;
    if (dims.count <= 0) {
        *mask = (1u << ndim) - 1;
        return true;
    }
    for (int i = 0; i < dims.count && i < REEL_MAX_DIMS; i++) {
        int d = dims.dim[i] < 0 ? dims.dim[i] + axes : dims.dim[i];
        *bad = dims.dim[i];
        if (d < 0 || d >= axes || (*mask >> d & 1)) return false;
        *mask |= 1u << d;
    }
    if (ndim == 0) *mask = 0;
    return true;
}

bool reel_infer_dims(const reel_infer *infer, reel_dims dims, uint32_t *mask)
{
    int bad = 0, ndim = reel_ndim(infer->in[0]);
    if (dims.count > REEL_MAX_DIMS)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "%d axes are named, but a tensor has at most %d", dims.count,
                               REEL_MAX_DIMS);
    if (reel_dims_mask(dims, ndim, mask, &bad)) return true;
    int axes = ndim > 0 ? ndim : 1;
    if (bad < -axes || bad >= axes)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "dim %d is out of range for a tensor of %d axes", bad, ndim);
    return reel_infer_fail(infer, REEL_ERROR_VALUE, "dim %d is named twice", bad);
}

reel_shape reel_reduced_shape(reel_shape shape, uint32_t mask, bool keepdim)
{
    reel_shape out = { 0 };
    for (int d = 0; d < shape.ndim; d++) {
        if (!(mask >> d & 1))
            out.dim[out.ndim++] = shape.dim[d];
        else if (keepdim)
            out.dim[out.ndim++] = 1;
    }
    return out;
}

reel_tensor *reel_reduce_apply(const reel_op *op, reel_tensor *x, reel_dims dims, bool keepdim, double number)
{
    if (!x) return NULL;
    reel_reduce_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    if (dims.count > 0) attrs.dims = reel_dims_clean(dims);
    attrs.keepdim = keepdim;
    attrs.number = number;
    return reel_apply(op, &x, 1, &attrs, NULL);
}

uint32_t reel_reduce_mask(const reel_reduce_attrs *attrs, int ndim)
{
    uint32_t mask;
    int bad;
    reel_dims_mask(attrs->dims, ndim, &mask, &bad);
    return mask;
}

bool reel_infer_reduced(reel_infer *infer, reel_dtype dtype)
{
    const reel_reduce_attrs *attrs = infer->attrs;
    uint32_t mask;
    if (!reel_infer_dims(infer, attrs->dims, &mask)) return false;
    return reel_infer_out(infer, 0, dtype, reel_reduced_shape(reel_shape_of(infer->in[0]), mask, attrs->keepdim));
}

bool reel_infer_float(const reel_infer *infer)
{
    if (reel_dtype_is_float(reel_dtype_of(infer->in[0]))) return true;
    return reel_infer_fail(infer, REEL_ERROR_DTYPE, "takes float32 or float64, not %s",
                           reel_dtype_name(reel_dtype_of(infer->in[0])));
}

reel_tensor *reel_reduce_spread(const reel_vjp *vjp, reel_tensor *t)
{
    const reel_reduce_attrs *attrs = vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    if (attrs->keepdim) return t;
    return reel_reshape(t, reel_reduced_shape(shape, reel_reduce_mask(attrs, shape.ndim), true));
}

static int int_of(int64_t value) { return value > INT_MAX ? INT_MAX : value < -INT_MAX ? -INT_MAX : (int)value; }

int reel_args_dim(const reel_call_args *args, const char *name) { return int_of(reel_args_int(args, name)); }

bool reel_args_dims(const reel_call_args *args, reel_dims *dims)
{
    int64_t values[REEL_MAX_DIMS];
    memset(dims, 0, sizeof *dims);
    int count = reel_args_has(args, "dim") ? reel_args_ints(args, "dim", values, REEL_MAX_DIMS) : 0;
    if (count < 0) return false;
    dims->count = count;
    for (int i = 0; i < count; i++) dims->dim[i] = int_of(values[i]);
    return true;
}

// ---- inference and plays ----

static bool infer_sum(reel_infer *infer)
{
    reel_dtype dtype = reel_dtype_of(infer->in[0]);
    return reel_infer_reduced(infer, reel_dtype_is_float(dtype) ? dtype : REEL_I64);
}

static bool infer_float(reel_infer *infer)
{
    return reel_infer_float(infer) && reel_infer_reduced(infer, reel_dtype_of(infer->in[0]));
}

static bool infer_extreme(reel_infer *infer)
{
    const reel_reduce_attrs *attrs = infer->attrs;
    reel_shape shape = reel_shape_of(infer->in[0]);
    if (!reel_infer_reduced(infer, reel_dtype_of(infer->in[0]))) return false;
    uint32_t mask = reel_reduce_mask(attrs, shape.ndim);
    if (reel_numel(infer->in[0]) > 0 || reel_shape_numel(reel_reduced_shape(shape, mask, false)) == 0) return true;
    return reel_infer_fail(infer, REEL_ERROR_VALUE, "there is no largest or smallest of no elements");
}

// Of bytes bytes, as in PyTorch.
static bool infer_bool(reel_infer *infer)
{
    return reel_infer_reduced(infer, reel_dtype_of(infer->in[0]) == REEL_U8 ? REEL_U8 : REEL_BOOL);
}

static bool infer_count(reel_infer *infer) { return reel_infer_reduced(infer, REEL_I64); }

static bool run(const reel_play *play, reel_reduce_kind kind, reel_finish finish)
{
    reel_reduce_how how = { .kind = kind, .finish = finish };
    const reel_buffer *x = &play->in[0];
    uint32_t mask = reel_reduce_mask(play->attrs, x->ndim);
    if (!x->turned) return reel_reduce_run(play, mask, &how);
    int64_t panel = reel_turned_panel(play->exec->isa, x->dtype, x->shape[0]), channels = x->shape[1];
    int64_t shape[] = { x->shape[0] / panel, channels, x->numel / x->shape[0] / channels * panel };
    int64_t strides[] = { channels * shape[2], shape[2], 1 };
    reel_buffer panels = *x;
    reel_play turned = *play;
    panels.ndim = 3;
    panels.shape = shape;
    panels.strides = strides;
    turned.in = &panels;
    return reel_reduce_run(&turned, mask & 2 ? 7 : 5, &how);
}

// Over images and points, with or without channels.
static uint32_t turns_reduction(const reel_op_turns *turns)
{
    reel_tensor *x = turns->tensors[0];
    int ndim = reel_ndim(x);
    uint32_t mask = reel_reduce_mask(turns->attrs, ndim);
    return ndim >= 3 && (mask | 2) == (1u << ndim) - 1 && reel_turns_batch(turns->exec->isa, reel_dtype_of(x), reel_size(x, 0));
}

static bool play_sum(const reel_play *play) { return run(play, REEL_REDUCE_SUM, REEL_FINISH_VALUE); }
static bool play_mean(const reel_play *play) { return run(play, REEL_REDUCE_SUM, REEL_FINISH_MEAN); }
static bool play_prod(const reel_play *play) { return run(play, REEL_REDUCE_PROD, REEL_FINISH_VALUE); }
static bool play_amax(const reel_play *play) { return run(play, REEL_REDUCE_MAX, REEL_FINISH_VALUE); }
static bool play_amin(const reel_play *play) { return run(play, REEL_REDUCE_MIN, REEL_FINISH_VALUE); }
static bool play_any(const reel_play *play) { return run(play, REEL_REDUCE_COUNT, REEL_FINISH_ANY); }
static bool play_all(const reel_play *play) { return run(play, REEL_REDUCE_COUNT, REEL_FINISH_ALL); }
static bool play_count_nonzero(const reel_play *play) { return run(play, REEL_REDUCE_COUNT, REEL_FINISH_VALUE); }

static bool play_logsumexp(const reel_play *play)
{
    reel_reduce_how how = { .kind = REEL_REDUCE_SUMEXP,
                            .finish = REEL_FINISH_LOG,
                            .two_passes = true,
                            .first_kind = REEL_REDUCE_MAX,
                            .first_finish = REEL_FINISH_SHIFT };
    return reel_reduce_run(play, reel_reduce_mask(play->attrs, play->in[0].ndim), &how);
}

// ---- rules ----

static bool vjp_sum(reel_vjp *vjp)
{
    vjp->grad[0] = reel_expand(reel_reduce_spread(vjp, vjp->cot[0]), reel_vjp_input_shape(vjp, 0));
    return vjp->grad[0];
}

static bool vjp_mean(reel_vjp *vjp)
{
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    uint32_t mask = reel_reduce_mask(vjp->attrs, shape.ndim);
    double count = 1;
    for (int d = 0; d < shape.ndim; d++)
        if (mask >> d & 1) count *= (double)shape.dim[d];
    // A mean over nothing has an empty gradient, whatever the factor; 1 / 0 would be felt in its derivative.
    reel_tensor *scaled = reel_mul_scalar(reel_reduce_spread(vjp, vjp->cot[0]), count > 0 ? 1 / count : 1);
    vjp->grad[0] = reel_expand(scaled, shape);
    return vjp->grad[0];
}

// The product of the others is (product of those before) * (product of those after): true at zeros, in any order.
static bool vjp_prod(reel_vjp *vjp)
{
    reel_shape shape = reel_vjp_input_shape(vjp, 0), moved = { 0 }, lines = { 0 };
    uint32_t mask = reel_reduce_mask(vjp->attrs, shape.ndim);
    reel_dims to_back = { 0 }, back = { 0 };
    for (int pass = 0; pass < 2; pass++)
        for (int d = 0; d < shape.ndim; d++)
            if ((int)(mask >> d & 1) == pass) to_back.dim[to_back.count++] = d;
    int64_t line = 1;
    back.count = shape.ndim;
    for (int i = 0; i < shape.ndim; i++) {
        int d = to_back.dim[i];
        back.dim[d] = i;
        moved.dim[moved.ndim++] = shape.dim[d];
        if (mask >> d & 1)
            line *= shape.dim[d];
        else
            lines.dim[lines.ndim++] = shape.dim[d];
    }
    lines.dim[lines.ndim++] = line;
    reel_tensor *x = reel_vjp_input(vjp, 0);
    if (shape.ndim > 0) x = reel_permute(x, to_back);
    x = reel_reshape(x, lines);
    reel_tensor *before = reel_cumprod_with(x, -1, &(reel_scan_opts) { .exclusive = true });
    reel_tensor *after = reel_cumprod_with(x, -1, &(reel_scan_opts) { .exclusive = true, .reverse = true });
    reel_tensor *others = reel_reshape(reel_mul(before, after), moved);
    if (shape.ndim > 0) others = reel_permute(others, back);
    vjp->grad[0] = reel_mul(others, reel_reduce_spread(vjp, vjp->cot[0]));
    return vjp->grad[0];
}

static bool vjp_extreme(reel_vjp *vjp)
{
    const reel_reduce_attrs *attrs = vjp->attrs;
    reel_tensor *x = reel_vjp_input(vjp, 0), *y = reel_reduce_spread(vjp, reel_vjp_output(vjp, 0));
    reel_tensor *hit = reel_cast(reel_eq(x, y), reel_vjp_input_dtype(vjp, 0));
    reel_tensor *share = reel_div(reel_reduce_spread(vjp, vjp->cot[0]), reel_sum(hit, attrs->dims, true));
    vjp->grad[0] = reel_mul(hit, share);
    return vjp->grad[0];
}

static bool vjp_logsumexp(reel_vjp *vjp)
{
    reel_tensor *x = reel_vjp_input(vjp, 0), *y = reel_reduce_spread(vjp, reel_vjp_output(vjp, 0));
    vjp->grad[0] = reel_mul(reel_exp(reel_sub(x, y)), reel_reduce_spread(vjp, vjp->cot[0]));
    return vjp->grad[0];
}

// ---- descriptors and public functions ----

#define REDUCTION(op, infer_fn, vjp_fn)                                                                                \
    const reel_op reel_op_##op = {                                                                                     \
        .name = #op,                                                                                                   \
        .infer = infer_fn,                                                                                             \
        .play = play_##op,                                                                                             \
        .vjp = vjp_fn,                                                                                                 \
        .flags = REEL_OP_STRIDED,                                                                                      \
        .attrs_size = sizeof(reel_reduce_attrs),                                                                       \
        .turns = turns_reduction,                                                                                      \
    };                                                                                                                 \
    reel_tensor *reel_##op(reel_tensor *x, reel_dims dims, bool keepdim)                                               \
    {                                                                                                                  \
        return reel_reduce_apply(&reel_op_##op, x, dims, keepdim, 0);                                                  \
    }
REDUCTION(sum, infer_sum, vjp_sum)
REDUCTION(mean, infer_float, vjp_mean)
REDUCTION(prod, infer_sum, vjp_prod)
REDUCTION(amax, infer_extreme, vjp_extreme)
REDUCTION(amin, infer_extreme, vjp_extreme)
REDUCTION(any, infer_bool, NULL)
REDUCTION(all, infer_bool, NULL)
#undef REDUCTION

const reel_op reel_op_logsumexp = {
    .name = "logsumexp",
    .infer = infer_float,
    .play = play_logsumexp,
    .vjp = vjp_logsumexp,
    .flags = REEL_OP_STRIDED,
    .attrs_size = sizeof(reel_reduce_attrs),
};

reel_tensor *reel_logsumexp(reel_tensor *x, reel_dims dims, bool keepdim)
{
    if (x && !reel_dtype_is_float(reel_dtype_of(x))) x = reel_cast(x, REEL_F32);
    return reel_reduce_apply(&reel_op_logsumexp, x, dims, keepdim, 0);
}

const reel_op reel_op_count_nonzero = {
    .name = "count_nonzero",
    .infer = infer_count,
    .play = play_count_nonzero,
    .flags = REEL_OP_STRIDED,
    .attrs_size = sizeof(reel_reduce_attrs),
};

reel_tensor *reel_count_nonzero(reel_tensor *x, reel_dims dims)
{
    return reel_reduce_apply(&reel_op_count_nonzero, x, dims, false, 0);
}

static bool broadcasts_to(reel_shape small, reel_shape large)
{
    int lead = large.ndim - small.ndim;
    for (int d = 0; lead >= 0 && d < small.ndim; d++)
        if (small.dim[d] != 1 && small.dim[d] != large.dim[lead + d]) return false;
    return lead >= 0;
}

reel_tensor *reel_sum_to(reel_tensor *x, reel_shape shape)
{
    if (!x) return NULL;
    reel_shape from = reel_shape_of(x);
    if (shape.ndim >= 0 && shape.ndim <= REEL_MAX_DIMS && reel_shape_equal(from, shape)) return x;
    if (shape.ndim < 0 || shape.ndim > REEL_MAX_DIMS || !broadcasts_to(shape, from)) {
        char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
        bool named = shape.ndim >= 0 && shape.ndim <= REEL_MAX_DIMS;
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "sum_to: %s is not what %s broadcasts to",
                         reel_shape_format(from, have), named ? reel_shape_format(shape, want) : "that shape");
    }
    int lead = from.ndim - shape.ndim;
    reel_dims dims = { 0 };
    for (int d = 0; d < from.ndim; d++)
        if (d < lead || (shape.dim[d - lead] == 1 && from.dim[d] != 1)) dims.dim[dims.count++] = d;
    if (dims.count == lead) return reel_sum(x, dims, false);
    if (lead == 0) return reel_sum(x, dims, true);
    reel_tensor *y = NULL;
    REEL_COMPOSITE(reel_ctx_of(x)) y = reel_scope_return(reel_reshape(reel_sum(x, dims, true), shape));
    return y;
}

// ---- the table's rows ----

bool reel_args_return_as(reel_call_args *args, reel_tensor *y)
{
    return reel_args_return(args, reel_args_has(args, "dtype") ? reel_cast(y, reel_args_dtype(args, "dtype")) : y);
}

reel_tensor *reel_args_input_as(const reel_call_args *args)
{
    reel_tensor *x = reel_args_input(args, 0);
    return reel_args_has(args, "dtype") ? reel_cast(x, reel_args_dtype(args, "dtype")) : x;
}

static bool call_reduction(reel_call_args *args, reel_tensor *(*op)(reel_tensor *, reel_dims, bool), bool typed)
{
    reel_dims dims;
    if (!reel_args_dims(args, &dims)) return false;
    bool keepdim = reel_args_bool(args, "keepdim");
    return typed ? reel_args_return_as(args, op(reel_args_input_as(args), dims, keepdim))
                 : reel_args_return(args, op(reel_args_input(args, 0), dims, keepdim));
}

#define ROW(op, does, order, refused) TYPED_ROW(op, does, order, refused, false, )
#define TYPED_ROW(op, does, order, refused, typed, more)                                                               \
    static bool call_##op(reel_call_args *args) { return call_reduction(args, reel_##op, typed); }                     \
    const reel_function reel_fn_##op = {                                                                               \
        .name = #op,                                                                                                   \
        .inputs = "input",                                                                                             \
        .attrs = "dim:ints=none keepdim:bool=false" more,                                                              \
        .call = call_##op,                                                                                             \
        .formula = does,                                                                                               \
        .shapes = "input: any -> without the axes in dim, or with 1 in their place",                                   \
        .errors = refused,                                                                                             \
        .orders = order,                                                                                               \
    };
#define DTYPE " dtype:dtype=none"
TYPED_ROW(sum, "sum of x over dim (none: every axis)", -1, "none of its own", true, DTYPE)
TYPED_ROW(mean, "sum of x over dim / count", -1, "an input (cast to dtype) that is not float32 or float64", true, DTYPE)
TYPED_ROW(prod, "product of x over dim", -1, "none of its own", true, DTYPE)
ROW(amax, "largest x over dim; ties share the cotangent evenly", -1, "no elements to choose from")
ROW(amin, "smallest x over dim; ties share the cotangent evenly", -1, "no elements to choose from")
ROW(logsumexp, "log(sum(exp(x))) over dim", -1, "none of its own")
ROW(any, "whether any x over dim is not 0", 0, "none of its own")
ROW(all, "whether every x over dim is not 0", 0, "none of its own")
#undef ROW
#undef TYPED_ROW
#undef DTYPE

static bool call_count_nonzero(reel_call_args *args)
{
    reel_dims dims;
    if (!reel_args_dims(args, &dims)) return false;
    return reel_args_return(args, reel_count_nonzero(reel_args_input(args, 0), dims));
}

const reel_function reel_fn_count_nonzero = {
    .name = "count_nonzero",
    .inputs = "input",
    .attrs = "dim:ints=none",
    .call = call_count_nonzero,
    .formula = "how many x over dim are not 0",
    .shapes = "input: any -> without the axes in dim",
    .errors = "none of its own",
    .orders = 0,
};
