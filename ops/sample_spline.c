// SPDX-License-Identifier: MIT
// Thin-plate-spline grids: the spline is linear in the points its control points go to, so a grid is one matrix
// product.
#include <float.h>
#include <math.h>
#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/matmul.h>
#include <reel/ops/sample.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>
#include <string.h>

typedef struct spline_attrs {
    int64_t height, width;
    int64_t align_corners;
} spline_attrs;

static bool matrix_infer(reel_infer *infer)
{
    const spline_attrs *a = infer->attrs;
    reel_tensor *control = infer->in[0];
    int64_t pixels;
    if (!control) return false;
    if (!reel_dtype_is_float(reel_dtype_of(control)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the control points must be float32 or float64");
    if (reel_ndim(control) != 2 || reel_size(control, 1) != 2 || reel_size(control, 0) < 3)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the control points must be [K, 2] with K at least 3");
    if (a->height < 1 || a->width < 1 || __builtin_mul_overflow(a->height, a->width, &pixels))
        return reel_infer_fail(infer, REEL_ERROR_VALUE,
                               "height %lld and width %lld must be at least 1 and fit together", (long long)a->height,
                               (long long)a->width);
    return reel_infer_out(infer, 0, reel_dtype_of(control), REEL_SHAPE(pixels, reel_size(control, 0)));
}

typedef struct work {
    int64_t k, height, width;
    bool align_corners, f32;
    double *control; // K x 2
    double *inverse; // (K + 3) x K: how the spline's coefficients follow from the points
    void *out;
} work;

// r^2 log r^2, the bending of a thin plate (Bookstein 1989) up to a factor.
static double bend(double dx, double dy)
{
    double r2 = dx * dx + dy * dy;
    return r2 > 0 ? r2 * log(r2) : 0;
}

static double coordinate(int64_t i, int64_t n, bool align_corners)
{
    if (align_corners) return n > 1 ? (double)(2 * i - (n - 1)) / (double)(n - 1) : 0;
    return (double)(2 * i + 1 - n) / (double)n;
}

// [B P; P^T 0], n = K + 3, and the first K columns of the identity to its right: rows of n + K numbers.
static void fill_system(const work *w, double *m)
{
    int64_t k = w->k, n = k + 3, row = n + k;
    memset(m, 0, (size_t)(n * row) * sizeof *m);
    for (int64_t i = 0; i < k; i++) {
        const double *p = w->control + 2 * i;
        for (int64_t j = 0; j < k; j++) m[i * row + j] = bend(p[0] - w->control[2 * j], p[1] - w->control[2 * j + 1]);
        double tail[3] = { 1, p[0], p[1] };
        for (int64_t j = 0; j < 3; j++) m[i * row + k + j] = m[(k + j) * row + i] = tail[j];
        m[i * row + n + i] = 1;
    }
}

// Gauss-Jordan with partial pivoting; false when the system is singular.
static bool solve(double *m, int64_t n, int64_t row)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) scale = fmax(scale, fabs(m[i * row + j]));
    for (int64_t c = 0; c < n; c++) {
        int64_t best = c;
        for (int64_t i = c + 1; i < n; i++)
            if (fabs(m[i * row + c]) > fabs(m[best * row + c])) best = i;
        if (!(fabs(m[best * row + c]) > 64 * DBL_EPSILON * scale)) return false;
        for (int64_t j = c; j < row; j++) {
            double swap = m[c * row + j];
            m[c * row + j] = m[best * row + j];
            m[best * row + j] = swap;
        }
        for (int64_t j = row - 1; j >= c; j--) m[c * row + j] /= m[c * row + c];
        for (int64_t i = 0; i < n; i++) {
            double factor = m[i * row + c];
            if (i == c || factor == 0) continue;
            for (int64_t j = c; j < row; j++) m[i * row + j] -= factor * m[c * row + j];
        }
    }
    return true;
}

static void matrix_task(void *arg, int64_t h, int worker)
{
    const work *w = arg;
    int64_t k = w->k;
    double y = coordinate(h, w->height, w->align_corners);
    (void)worker;
    for (int64_t i = 0; i < w->width; i++) {
        double x = coordinate(i, w->width, w->align_corners);
        int64_t at = (h * w->width + i) * k;
        for (int64_t c = 0; c < k; c++) {
            double sum = w->inverse[k * k + c] + x * w->inverse[(k + 1) * k + c] + y * w->inverse[(k + 2) * k + c];
            for (int64_t j = 0; j < k; j++)
                sum += bend(x - w->control[2 * j], y - w->control[2 * j + 1]) * w->inverse[j * k + c];
            if (w->f32)
                ((float *)w->out)[at + c] = (float)sum;
            else
                ((double *)w->out)[at + c] = sum;
        }
    }
}

static bool matrix_play(const reel_play *play)
{
    const spline_attrs *a = play->attrs;
    int64_t k = play->in[0].shape[0], n = k + 3, row = n + k;
    work w = { .k = k, .height = a->height, .width = a->width, .align_corners = a->align_corners != 0 };
    w.f32 = play->in[0].dtype == REEL_F32;
    w.out = play->out[0].data;
    double *system = reel_scratch(play->exec, reel_bytes(reel_bytes((size_t)n, (size_t)row), sizeof *system));
    w.control = reel_scratch(play->exec, reel_bytes((size_t)k, 2 * sizeof *w.control));
    w.inverse = reel_scratch(play->exec, reel_bytes(reel_bytes((size_t)n, (size_t)k), sizeof *w.inverse));
    if (!system || !w.control || !w.inverse) return reel_play_out_of_memory(play);
    for (int64_t i = 0; i < 2 * k; i++)
        w.control[i] = w.f32 ? (double)((const float *)play->in[0].data)[i] : ((const double *)play->in[0].data)[i];
    fill_system(&w, system);
    if (!solve(system, n, row))
        return reel_play_fail(play, REEL_ERROR_VALUE,
                              "the control points of a thin_plate_grid lie on one line, or two of them coincide");
    for (int64_t i = 0; i < n; i++) memcpy(w.inverse + i * k, system + i * row + n, (size_t)k * sizeof *w.inverse);
    reel_parallel(play->exec, w.height, matrix_task, &w);
    return true;
}

const reel_op reel_op_thin_plate_matrix = {
    .name = "thin_plate_matrix", .infer = matrix_infer, .play = matrix_play, .attrs_size = sizeof(spline_attrs)
};

reel_tensor *reel_thin_plate_matrix(reel_tensor *control, int64_t height, int64_t width,
                                    const reel_affine_grid_opts *opts)
{
    spline_attrs a = { .height = height, .width = width, .align_corners = opts && opts->align_corners };
    return reel_apply(&reel_op_thin_plate_matrix, &control, 1, &a, NULL);
}

reel_tensor *reel_thin_plate_grid(reel_tensor *points, reel_tensor *control, reel_shape size,
                                  const reel_affine_grid_opts *opts)
{
    if (!REEL_OPERANDS("thin_plate_grid", points, control)) return NULL;
    reel_shape p = reel_shape_of(points);
    char text[REEL_SHAPE_TEXT];
    if (p.ndim != 3 || p.dim[2] != 2 || p.dim[1] != reel_size(control, 0) || size.ndim != 4 || size.dim[0] != p.dim[0])
        return reel_fail(
            reel_ctx_of(points), REEL_ERROR_SHAPE,
            "thin_plate_grid: points must be [N, K, 2] for K control points and size [N, C, H, W], but points "
            "is %s, there are %lld control points, and size has %d entries and a batch of %lld",
            reel_shape_format(p, text), (long long)reel_size(control, 0), size.ndim,
            (long long)(size.ndim ? size.dim[0] : 0));
    if (reel_dtype_of(points) != reel_dtype_of(control))
        return reel_fail(reel_ctx_of(points), REEL_ERROR_DTYPE,
                         "thin_plate_grid: points and control must have one dtype");
    reel_tensor *grid = NULL;
    REEL_COMPOSITE(reel_ctx_of(points))
    {
        reel_tensor *matrix = reel_thin_plate_matrix(control, size.dim[2], size.dim[3], opts);
        grid = reel_scope_return(
            reel_reshape(reel_matmul(matrix, points), REEL_SHAPE(p.dim[0], size.dim[2], size.dim[3], 2)));
    }
    return grid;
}

static bool call_thin_plate(reel_call_args *args)
{
    reel_shape size;
    size.ndim = reel_args_ints(args, "size", size.dim, REEL_MAX_DIMS);
    if (size.ndim < 0) return false;
    reel_affine_grid_opts opts = { .align_corners = reel_args_bool(args, "align_corners") };
    return reel_args_return(args,
                            reel_thin_plate_grid(reel_args_input(args, 0), reel_args_input(args, 1), size, &opts));
}

const reel_function reel_fn_thin_plate_grid = {
    .name = "thin_plate_grid",
    .inputs = "points control",
    .attrs = "size:ints align_corners:bool=false",
    .call = call_thin_plate,
    .formula = "grid[n, h, w] = f_n(x_w, y_h), the thin-plate spline with f_n(control[k]) = points[n, k]",
    .shapes = "points: [N, K, 2], control: [K, 2], size [N, C, H, W] -> [N, H, W, 2]",
    .errors =
        "fewer than 3 control points, points on one line or two the same; another number of points than of controls; a "
        "size of other than 4 numbers from 1 on; batches that differ; dtypes that differ or are no floats",
    .orders = -1,
};
