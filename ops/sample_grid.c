// SPDX-License-Identifier: MIT
// Grids of sampling positions: affine, its adjoint, and projective made of it.
#include <reel/core/op.h>
#include <reel/ops/kernels/affine.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/sample.h>
#include <reel/ops/shape.h>
#include <reel/ops/sizes.h>
#include <reel/ops/table.h>
#include <string.h>

typedef struct grid_attrs {
    int64_t size[5]; // N, C, H, W or N, C, D, H, W
    int32_t ndim;
    bool align_corners;
} grid_attrs;

const reel_op reel_op_affine_grid, reel_op_affine_grid_adjoint;

static grid_attrs attrs_of(reel_shape size, const reel_affine_grid_opts *opts)
{
    grid_attrs a;
    memset(&a, 0, sizeof a);
    a.ndim = size.ndim;
    for (int i = 0; i < size.ndim && i < 5; i++) a.size[i] = size.dim[i];
    a.align_corners = opts && opts->align_corners;
    return a;
}

static bool affine_infer(reel_infer *infer)
{
    const grid_attrs *a = infer->attrs;
    reel_tensor *theta = infer->in[0];
    if (!theta) return false;
    if (!reel_dtype_is_float(reel_dtype_of(theta)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "theta must be float32 or float64");
    if (a->ndim != 4 && a->ndim != 5)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "size must have 4 or 5 entries, but has %d", a->ndim);
    int axes = a->ndim - 2;
    for (int i = 0; i < a->ndim; i++)
        if (a->size[i] < 1)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "entry %d of size must be at least 1, but is %lld", i,
                                   (long long)a->size[i]);
    reel_shape t = reel_shape_of(theta);
    if (t.ndim != 3 || t.dim[1] != axes || t.dim[2] != axes + 1)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "theta must be [N, %d, %d] for a size of %d entries", axes,
                               axes + 1, a->ndim);
    if (t.dim[0] != a->size[0])
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "theta has a batch of %lld, but size one of %lld",
                               (long long)t.dim[0], (long long)a->size[0]);
    reel_shape grid = { .ndim = a->ndim, .dim = { t.dim[0] } };
    for (int k = 0; k < axes; k++) grid.dim[1 + k] = a->size[2 + k];
    grid.dim[1 + axes] = axes;
    return reel_infer_out(infer, 0, reel_dtype_of(theta), grid);
}

// Rows of points of a whole batch, cut into pieces of whole rows.
typedef struct work {
    const reel_affine_kernels_of *kernels;
    size_t item; // of the grid's dtype
    int axes;
    int64_t size[3]; // W, H, D
    int64_t batch, rows, rows_by, pieces;
    char *base[3]; // coordinates by axis, in the grid's dtype
    char *theta, *grid;
    char *moments; // by piece: axes x (axes + 1) of the grid's dtype
} work;

static double get(const work *w, const void *from, int64_t i)
{
    return w->item == sizeof(float) ? (double)((const float *)from)[i] : ((const double *)from)[i];
}

static void put(const work *w, void *to, int64_t i, double value)
{
    if (w->item == sizeof(float))
        ((float *)to)[i] = (float)value;
    else
        ((double *)to)[i] = value;
}

static void fill_base(const work *w, int axis, bool align_corners)
{
    int64_t n = w->size[axis];
    for (int64_t i = 0; i < n; i++)
        put(w, w->base[axis], i,
            align_corners ? (n > 1 ? (double)(2 * i - (n - 1)) / (double)(n - 1) : 0)
                          : (double)(2 * i + 1 - n) / (double)n);
}

static bool work_begin(const reel_play *play, const reel_buffer *theta, const reel_buffer *grid, work *w)
{
    const grid_attrs *a = play->attrs;
    *w = (work) { .kernels = reel_affine_of(play->exec->isa, grid->dtype), .item = reel_dtype_size(grid->dtype) };
    w->axes = grid->ndim - 2;
    w->batch = grid->shape[0];
    w->rows = 1;
    for (int k = 0; k < 3; k++) {
        w->size[k] = k < w->axes ? grid->shape[w->axes - k] : 1;
        if (k > 0) w->rows *= w->size[k];
        w->base[k] = reel_scratch(play->exec, reel_bytes((size_t)w->size[k], sizeof(double)));
        if (!w->base[k]) return reel_play_out_of_memory(play);
        fill_base(w, k, a->align_corners);
    }
    w->rows_by = w->size[0] > 0 ? 8192 / w->size[0] : w->rows;
    if (w->rows_by < 1) w->rows_by = 1;
    if (w->rows_by > w->rows) w->rows_by = w->rows;
    w->pieces = w->rows_by ? (w->rows + w->rows_by - 1) / w->rows_by : 0;
    w->theta = theta->data;
    w->grid = grid->data;
    return true;
}

static void affine_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    int64_t n = chunk / w->pieces, first = chunk % w->pieces * w->rows_by, end = smaller(first + w->rows_by, w->rows);
    (void)worker;
    for (int64_t row = first; row < end; row++) {
        double rest[3]; // the coordinates other than x, and 1, in the grid's dtype
        put(w, rest, 0, get(w, w->base[1], row % w->size[1]));
        if (w->axes == 3) put(w, rest, 1, get(w, w->base[2], row / w->size[1]));
        put(w, rest, w->axes - 1, 1);
        w->kernels->row(w->axes, at(w->theta, n * w->axes * (w->axes + 1), w->item), w->base[0], rest, w->size[0],
                        at(w->grid, (n * w->rows + row) * w->size[0] * w->axes, w->item));
    }
}

static bool affine_play(const reel_play *play)
{
    work w;
    if (!work_begin(play, &play->in[0], &play->out[0], &w)) return false;
    reel_parallel(play->exec, w.batch * w.pieces, affine_task, &w);
    return true;
}

static bool affine_vjp(reel_vjp *vjp)
{
    const grid_attrs *a = vjp->attrs;
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    vjp->grad[0] =
        reel_affine_grid_adjoint(vjp->cot[0], &(reel_affine_grid_opts) { .align_corners = a->align_corners });
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_affine_grid = { .name = "affine_grid",
                                      .infer = affine_infer,
                                      .play = affine_play,
                                      .vjp = affine_vjp,
                                      .attrs_size = sizeof(grid_attrs) };

// ---- its adjoint ----

static bool adjoint_infer(reel_infer *infer)
{
    if (!infer->in[0]) return false;
    reel_shape g = reel_shape_of(infer->in[0]);
    int axes = g.ndim - 2;
    if (!reel_dtype_is_float(reel_dtype_of(infer->in[0])))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the grid must be float32 or float64");
    if ((axes != 2 && axes != 3) || g.dim[g.ndim - 1] != axes)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the grid must be [N, H, W, 2] or [N, D, H, W, 3]");
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), REEL_SHAPE(g.dim[0], axes, axes + 1));
}

static void adjoint_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    int64_t n = chunk / w->pieces, first = chunk % w->pieces * w->rows_by;
    (void)worker;
    w->kernels->moments(w->axes, at(w->grid, (n * w->rows + first) * w->size[0] * w->axes, w->item), w->base, w->size,
                        first, smaller(w->rows_by, w->rows - first),
                        at(w->moments, chunk * w->axes * (w->axes + 1), w->item));
}

static bool adjoint_play(const reel_play *play)
{
    work w;
    if (!work_begin(play, &play->out[0], &play->in[0], &w)) return false;
    int64_t entries = w.axes * (w.axes + 1);
    w.moments = reel_scratch(play->exec, reel_bytes((size_t)(w.batch * w.pieces * entries + 1), w.item));
    if (!w.moments) return reel_play_out_of_memory(play);
    reel_parallel(play->exec, w.batch * w.pieces, adjoint_task, &w);
    for (int64_t i = 0; i < w.batch * entries; i++) {
        double sum = 0;
        for (int64_t p = 0; p < w.pieces; p++)
            sum += get(&w, w.moments, (i / entries * w.pieces + p) * entries + i % entries);
        put(&w, w.theta, i, sum);
    }
    return true;
}

static bool adjoint_vjp(reel_vjp *vjp)
{
    const grid_attrs *a = vjp->attrs;
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    reel_shape grid = reel_vjp_input_shape(vjp, 0), size = { .ndim = grid.ndim, .dim = { grid.dim[0], 1 } };
    if (reel_shape_numel(grid) == 0) return true;
    for (int k = 2; k < size.ndim; k++) size.dim[k] = grid.dim[k - 1];
    vjp->grad[0] = reel_affine_grid(vjp->cot[0], size, &(reel_affine_grid_opts) { .align_corners = a->align_corners });
    return vjp->grad[0] != NULL;
}

const reel_op reel_op_affine_grid_adjoint = { .name = "affine_grid_adjoint",
                                              .infer = adjoint_infer,
                                              .play = adjoint_play,
                                              .vjp = adjoint_vjp,
                                              .attrs_size = sizeof(grid_attrs) };

// ---- functions and table rows ----

reel_tensor *reel_affine_grid(reel_tensor *theta, reel_shape size, const reel_affine_grid_opts *opts)
{
    grid_attrs a = attrs_of(size, opts);
    return reel_apply(&reel_op_affine_grid, &theta, 1, &a, NULL);
}

reel_tensor *reel_affine_grid_adjoint(reel_tensor *grid, const reel_affine_grid_opts *opts)
{
    grid_attrs a = attrs_of(REEL_SCALAR, opts);
    return reel_apply(&reel_op_affine_grid_adjoint, &grid, 1, &a, NULL);
}

reel_tensor *reel_projective_grid(reel_tensor *theta, reel_shape size, const reel_affine_grid_opts *opts)
{
    if (!theta) return NULL;
    reel_shape t = reel_shape_of(theta);
    char text[REEL_SHAPE_TEXT];
    if (t.ndim != 3 || t.dim[1] != 3 || t.dim[2] != 3 || size.ndim != 4)
        return reel_fail(
            reel_ctx_of(theta), REEL_ERROR_SHAPE,
            "projective_grid: theta must be [N, 3, 3] and size [N, C, H, W], but theta is %s and size has %d "
            "entries",
            reel_shape_format(t, text), size.ndim);
    reel_tensor *grid = NULL;
    REEL_COMPOSITE(reel_ctx_of(theta))
    {
        reel_tensor *above = reel_narrow(theta, 1, 0, 2), *below = reel_narrow(theta, 1, 2, 1);
        below = reel_expand(below, REEL_SHAPE(-1, 2, -1));
        grid = reel_scope_return(reel_div(reel_affine_grid(above, size, opts), reel_affine_grid(below, size, opts)));
    }
    return grid;
}

typedef reel_tensor *grid_fn(reel_tensor *theta, reel_shape size, const reel_affine_grid_opts *opts);

static bool call_grid(reel_call_args *args, grid_fn *grid)
{
    reel_shape size;
    size.ndim = reel_args_ints(args, "size", size.dim, REEL_MAX_DIMS);
    if (size.ndim < 0) return false;
    reel_affine_grid_opts opts = { .align_corners = reel_args_bool(args, "align_corners") };
    return reel_args_return(args, grid(reel_args_input(args, 0), size, &opts));
}

static bool call_affine(reel_call_args *args) { return call_grid(args, reel_affine_grid); }
static bool call_projective(reel_call_args *args) { return call_grid(args, reel_projective_grid); }

const reel_function reel_fn_affine_grid = {
    .name = "affine_grid",
    .inputs = "theta",
    .attrs = "size:ints align_corners:bool=false",
    .call = call_affine,
    .formula = "grid[n, h, w] = theta[n] (x_w, y_h, 1)",
    .shapes = "theta: [N, 2, 3], size [N, C, H, W] -> [N, H, W, 2]; or [N, 3, 4], [N, C, D, H, W] -> [N, D, H, W, 3]",
    .errors =
        "a size of other than 4 or 5 numbers from 1 on; batches that differ; a theta that is not float32 or float64",
    .orders = -1,
};

const reel_function reel_fn_projective_grid = {
    .name = "projective_grid",
    .inputs = "theta",
    .attrs = "size:ints align_corners:bool=false",
    .call = call_projective,
    .formula = "grid[n, h, w] = (u / q, v / q), (u, v, q) = theta[n] (x_w, y_h, 1)",
    .shapes = "theta: [N, 3, 3], size [N, C, H, W] -> [N, H, W, 2]",
    .errors = "a theta that is not [N, 3, 3]; a size of other than 4 numbers from 1 on; batches that differ; a theta "
              "that is not float32 or float64",
    .orders = -1,
};
