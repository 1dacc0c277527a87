// SPDX-License-Identifier: MIT
// Resizing and its adjoint. Positions and weights of each axis are worked out once a play, in float64.
#include <math.h>
#include <reel/core/op.h>
#include <reel/ops/interpolate.h>
#include <reel/ops/kernels/interpolate.h>
#include <reel/ops/pool.h>
#include <reel/ops/table.h>
#include <string.h>

typedef struct resize_attrs {
    double scale[3]; // cells of the input for one of the output, by axis: depth, height, width
    int64_t size[3]; // of the op's output
    int32_t mode;
    int32_t axes; // 1 to 3
    int32_t align_corners, antialias;
} resize_attrs;

const reel_op reel_op_interpolate, reel_op_interpolate_adjoint;

static bool infer_resize(reel_infer *infer)
{
    const resize_attrs *a = infer->attrs;
    if (!infer->in[0]) return false;
    reel_shape x = reel_shape_of(infer->in[0]);
    if (!reel_dtype_is_float(reel_dtype_of(infer->in[0])))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the input must be float32 or float64");
    if (a->mode == REEL_INTERPOLATE_BICUBIC && a->axes != 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "bicubic is for inputs [N, C, H, W] only");
    for (int i = 1; i < x.ndim; i++)
        if (x.dim[i] < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "only the batch may be empty, but axis %d has size %lld", i,
                                   (long long)x.dim[i]);
    for (int i = 0; i < a->axes; i++) {
        int64_t size = a->size[3 - a->axes + i];
        if (size < 1)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "the size of axis %d would be %lld", i + 2,
                                   (long long)size);
        x.dim[2 + i] = size;
    }
    return reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), x);
}

// ---- taps ----

// Cells to each side of a position that count, when the filter is widened to the output's cells.
static double support_of(const resize_attrs *a, int k)
{
    return (a->mode == REEL_INTERPOLATE_BICUBIC ? 2 : 1) * fmax(a->scale[k], 1);
}

static int64_t taps_of(const resize_attrs *a, int k, int64_t in)
{
    if (a->antialias) return (int64_t)fmin(2 * ceil(support_of(a, k)) + 1, (double)in);
    switch (a->mode) {
    case REEL_INTERPOLATE_LINEAR: return 2;
    case REEL_INTERPOLATE_BICUBIC: return 4;
    default: return 1;
    }
}

static int64_t clamp(int64_t i, int64_t size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

// Cubic convolution at distance x (Keys 1981).
static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// A position as a cell and a fraction, also where the scale as given leads past the end.
static int64_t split(double position, int64_t in, double *t)
{
    int64_t cell = position < (double)in ? (int64_t)floor(position) : in - 1;
    if (cell > in - 1) cell = in - 1;
    *t = fmin(fmax(position - (double)cell, 0), 1);
    return cell;
}

// Between equal sizes a linear axis is copied whatever the scale (and so PyTorch has it).
static void fill_taps(const resize_attrs *a, int k, int64_t in, int64_t out, int64_t o, int64_t *index, double *weight)
{
    double scale = a->scale[k], t, position = a->align_corners ? scale * (double)o : scale * ((double)o + 0.5) - 0.5;
    switch (a->mode) {
    case REEL_INTERPOLATE_LINEAR:
        index[0] = split(in == out ? (double)o : fmax(position, 0), in, &t);
        index[1] = clamp(index[0] + 1, in);
        weight[0] = 1 - t;
        weight[1] = t;
        break;
    case REEL_INTERPOLATE_BICUBIC: {
        int64_t cell = split(position, in, &t);
        for (int j = 0; j < 4; j++) {
            index[j] = clamp(cell + j - 1, in);
            weight[j] = cubic(t - (double)(j - 1), -0.75);
        }
        break;
    }
    default:
        // Rounded to float32 first: what should be a whole number and just is not becomes one (and so PyTorch has it).
        position = (double)(float)(scale * ((double)o + (a->mode == REEL_INTERPOLATE_NEAREST ? 0 : 0.5)));
        index[0] = position < (double)in ? (int64_t)floor(position) : in - 1;
        weight[0] = 1;
    }
}

// The filter widened by the scale and sampled at the cells' centres, with weights that add up to 1, as Pillow resizes:
// a hat, or a cubic with a = -1/2. Taps that no cell is left for have weight 0.
static void fill_wide_taps(const resize_attrs *a, int k, int64_t in, int64_t o, int64_t taps, int64_t *index,
                           double *weight)
{
    double center = a->scale[k] * ((double)o + 0.5), support = support_of(a, k), sum = 0;
    double narrow = 1 / fmax(a->scale[k], 1);
    int64_t first = (int64_t)fmin(fmax(center - support + 0.5, 0), (double)in);
    int64_t end = (int64_t)fmin(center + support + 0.5, (double)in);
    for (int64_t j = 0; j < taps; j++) {
        double x = fabs(((double)(first + j) - center + 0.5) * narrow);
        index[j] = clamp(first + j, in);
        weight[j] = first + j >= end                     ? 0
                    : a->mode == REEL_INTERPOLATE_LINEAR ? fmax(1 - x, 0)
                    : x < 2                              ? cubic(x, -0.5)
                                                         : 0;
        sum += weight[j];
    }
    for (int64_t j = 0; j < taps && sum != 0; j++) weight[j] /= sum;
}

// ---- play ----

typedef struct work {
    const reel_interpolate_kernels *kernels;
    reel_resize r;
    bool f32, adjoint;
    int64_t planes, planes_by, rows, rows_by, pieces; // pieces of a plane, by rows
    int64_t x_plane, y_plane, row;
    char *x, *y, *row_of_worker;
} work;

static bool fill_axis(const reel_play *play, work *w, int k, int64_t in, int64_t out)
{
    const resize_attrs *a = play->attrs;
    reel_resize_axis *axis = &w->r.axis[k];
    bool missing = k < 3 - a->axes;
    int64_t taps = missing ? 1 : taps_of(a, k, in);
    size_t entries = reel_bytes((size_t)out, (size_t)taps);
    int64_t *index = reel_scratch(play->exec, reel_bytes(entries, sizeof *index));
    char *weight = reel_scratch(play->exec, reel_bytes(entries, sizeof(double)));
    double *values = reel_scratch(play->exec, reel_bytes((size_t)taps, sizeof *values));
    if (!index || !weight || !values) return reel_play_out_of_memory(play);
    for (int64_t o = 0; o < out; o++) {
        values[0] = 1;
        index[o * taps] = 0;
        if (!missing && a->antialias)
            fill_wide_taps(a, k, in, o, taps, index + o * taps, values);
        else if (!missing)
            fill_taps(a, k, in, out, o, index + o * taps, values);
        for (int64_t j = 0; j < taps; j++) {
            if (w->f32)
                ((float *)weight)[o * taps + j] = (float)values[j];
            else
                ((double *)weight)[o * taps + j] = values[j];
        }
    }
    *axis = (reel_resize_axis) { .in = in, .out = out, .taps = taps, .index = index, .weight = weight };
    return true;
}

static void task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    int64_t begin = chunk % w->pieces * w->rows_by, end = begin + w->rows_by < w->rows ? begin + w->rows_by : w->rows;
    int64_t first = chunk / w->pieces * w->planes_by;
    for (int64_t p = first; p < first + w->planes_by && p < w->planes; p++) {
        if (w->f32) {
            float *row = (float *)w->row_of_worker + worker * w->row;
            float *x = (float *)w->x + p * w->x_plane, *y = (float *)w->y + p * w->y_plane;
            if (w->adjoint)
                w->kernels->adjoint_f32(&w->r, y, x, row);
            else
                w->kernels->resize_f32(&w->r, x, begin, end, y, row);
        } else {
            double *row = (double *)w->row_of_worker + worker * w->row;
            double *x = (double *)w->x + p * w->x_plane, *y = (double *)w->y + p * w->y_plane;
            if (w->adjoint)
                w->kernels->adjoint_f64(&w->r, y, x, row);
            else
                w->kernels->resize_f64(&w->r, x, begin, end, y, row);
        }
    }
}

static bool run(const reel_play *play, const reel_buffer *x, const reel_buffer *y, bool adjoint)
{
    const resize_attrs *a = play->attrs;
    work w = { .kernels = reel_interpolate_kernels_for(play->exec->isa), .f32 = x->dtype == REEL_F32 };
    w.adjoint = adjoint;
    w.planes = x->shape[0] * x->shape[1];
    w.x_plane = w.y_plane = 1;
    for (int k = 0; k < 3; k++) {
        int at = 2 + k - (3 - a->axes);
        int64_t in = at < 2 ? 1 : x->shape[at], out = at < 2 ? 1 : y->shape[at];
        if (!fill_axis(play, &w, k, in, out)) return false;
        w.x_plane *= in;
        w.y_plane *= out;
    }
    w.rows = w.r.axis[0].out * w.r.axis[1].out;
    w.rows_by = w.rows;
    if (!adjoint && w.y_plane > 32768) w.rows_by = 32768 / w.r.axis[2].out + 1;
    w.pieces = (w.rows + w.rows_by - 1) / w.rows_by;
    w.planes_by = w.pieces > 1 ? 1 : 32768 / (w.x_plane + w.y_plane) + 1;
    w.x = x->data;
    w.y = y->data;
    w.row = (w.r.axis[2].in + 15) / 16 * 16;
    size_t row = reel_bytes((size_t)w.row, reel_dtype_size(x->dtype));
    w.row_of_worker = reel_scratch(play->exec, reel_bytes(row, (size_t)play->exec->threads));
    if (!w.row_of_worker) return reel_play_out_of_memory(play);
    reel_parallel(play->exec, (w.planes + w.planes_by - 1) / w.planes_by * w.pieces, task, &w);
    return true;
}

static bool resize_play(const reel_play *play) { return run(play, &play->in[0], &play->out[0], false); }
static bool adjoint_play(const reel_play *play) { return run(play, &play->out[0], &play->in[0], true); }

// Each is the other's rule; the attributes differ in the size only, which is that of the rule's input.
static bool resize_rule(reel_vjp *vjp, const reel_op *other)
{
    if (!vjp->cot[0] || !reel_vjp_wants(vjp, 0)) return true;
    resize_attrs a = *(const resize_attrs *)vjp->attrs;
    reel_shape shape = reel_vjp_input_shape(vjp, 0);
    for (int i = 0; i < a.axes; i++) a.size[3 - a.axes + i] = shape.dim[2 + i];
    vjp->grad[0] = reel_apply(other, &vjp->cot[0], 1, &a, NULL);
    return vjp->grad[0] != NULL;
}

static bool resize_vjp(reel_vjp *vjp) { return resize_rule(vjp, &reel_op_interpolate_adjoint); }
static bool adjoint_vjp(reel_vjp *vjp) { return resize_rule(vjp, &reel_op_interpolate); }

const reel_op reel_op_interpolate = { .name = "interpolate",
                                      .infer = infer_resize,
                                      .play = resize_play,
                                      .vjp = resize_vjp,
                                      .attrs_size = sizeof(resize_attrs) };
const reel_op reel_op_interpolate_adjoint = { .name = "interpolate_adjoint",
                                              .infer = infer_resize,
                                              .play = adjoint_play,
                                              .vjp = adjoint_vjp,
                                              .attrs_size = sizeof(resize_attrs) };

// ---- functions and the table row ----

// The sizes asked for; false and an error when they are not to be had.
static bool wanted_size(reel_ctx *ctx, const reel_interpolate_opts *o, reel_shape x, int axes, reel_shape *size)
{
    bool by_scale = o->scale_factor[0] != 0 || o->scale_factor[1] != 0 || o->scale_factor[2] != 0;
    if ((o->size.ndim > 0) == by_scale) {
        reel_fail(ctx, REEL_ERROR_VALUE, "interpolate: exactly one of size and scale_factor must be given, not %s",
                  by_scale ? "both" : "neither");
        return false;
    }
    if (!by_scale && o->size.ndim != 1 && o->size.ndim != axes) {
        reel_fail(ctx, REEL_ERROR_SHAPE, "interpolate: size must have 1 or %d entries, but has %d", axes, o->size.ndim);
        return false;
    }
    *size = (reel_shape) { .ndim = axes };
    for (int i = 0; i < axes; i++) {
        if (!by_scale) {
            size->dim[i] = o->size.dim[o->size.ndim == 1 ? 0 : i];
            continue;
        }
        double factor = o->scale_factor[i] != 0 ? o->scale_factor[i] : o->scale_factor[0];
        double wanted = floor((double)x.dim[2 + i] * factor);
        if (!(factor > 0) || !(wanted < 0x1p62)) {
            reel_fail(ctx, REEL_ERROR_VALUE, "interpolate: scale_factor %g of axis %d is not positive or too large",
                      factor, i + 2);
            return false;
        }
        size->dim[i] = (int64_t)wanted;
    }
    return true;
}

static double scale_of(const reel_interpolate_opts *o, int i, int64_t in, int64_t out)
{
    bool interpolates = o->mode == REEL_INTERPOLATE_LINEAR || o->mode == REEL_INTERPOLATE_BICUBIC;
    if (o->align_corners && interpolates) return out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
    double factor = o->scale_factor[i] != 0 ? o->scale_factor[i] : o->scale_factor[0];
    return factor > 0 && !o->recompute_scale ? 1 / factor : (double)in / (double)(out > 0 ? out : 1);
}

static reel_tensor *area(reel_tensor *x, int axes, reel_shape size)
{
    for (int i = 0; i < axes; i++)
        if (size.dim[i] < 1)
            return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "interpolate: the size of axis %d would be %lld", i + 2,
                             (long long)size.dim[i]);
    if (axes == 1) return reel_adaptive_avg_pool1d(x, size);
    return axes == 2 ? reel_adaptive_avg_pool2d(x, size) : reel_adaptive_avg_pool3d(x, size);
}

reel_tensor *reel_interpolate(reel_tensor *x, const reel_interpolate_opts *opts)
{
    static const reel_interpolate_opts none = { .mode = REEL_INTERPOLATE_NEAREST };
    if (!x) return NULL;
    if (!opts) opts = &none;
    reel_shape shape = reel_shape_of(x), size;
    int axes = shape.ndim - 2;
    bool interpolates = opts->mode == REEL_INTERPOLATE_LINEAR || opts->mode == REEL_INTERPOLATE_BICUBIC;
    if (axes < 1 || axes > 3)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "interpolate: the input must have 3 to 5 axes, but has %d",
                         shape.ndim);
    if (opts->mode < REEL_INTERPOLATE_NEAREST || opts->mode > REEL_INTERPOLATE_NEAREST_EXACT)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE, "interpolate: there is no mode %d", (int)opts->mode);
    if (opts->align_corners && !interpolates)
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE,
                         "interpolate: align_corners is for the linear and bicubic modes only");
    if (opts->antialias && (!interpolates || axes != 2))
        return reel_fail(reel_ctx_of(x), REEL_ERROR_VALUE,
                         "interpolate: antialias is for the bilinear and bicubic modes of inputs [N, C, H, W] only");
    if (!wanted_size(reel_ctx_of(x), opts, shape, axes, &size)) return NULL;
    if (opts->mode == REEL_INTERPOLATE_AREA) return area(x, axes, size);
    resize_attrs a;
    memset(&a, 0, sizeof a);
    a.mode = opts->mode;
    a.axes = axes;
    a.align_corners = opts->align_corners;
    a.antialias = opts->antialias;
    for (int i = 0; i < axes; i++) {
        a.size[3 - axes + i] = size.dim[i];
        a.scale[3 - axes + i] = scale_of(opts, i, shape.dim[2 + i], size.dim[i]);
    }
    return reel_apply(&reel_op_interpolate, &x, 1, &a, NULL);
}

static bool call_interpolate(reel_call_args *args)
{
    static const char modes[] = "nearest linear bilinear trilinear bicubic area nearest-exact";
    static const struct {
        const char *name;
        reel_interpolate_mode mode;
        int ndim; // 0: any
    } mode[] = { { "nearest", REEL_INTERPOLATE_NEAREST, 0 },
                 { "linear", REEL_INTERPOLATE_LINEAR, 3 },
                 { "bilinear", REEL_INTERPOLATE_LINEAR, 4 },
                 { "trilinear", REEL_INTERPOLATE_LINEAR, 5 },
                 { "bicubic", REEL_INTERPOLATE_BICUBIC, 4 },
                 { "area", REEL_INTERPOLATE_AREA, 0 },
                 { "nearest-exact", REEL_INTERPOLATE_NEAREST_EXACT, 0 } };
    reel_interpolate_opts o = { .align_corners = reel_args_has(args, "align_corners") };
    int which = reel_args_choice(args, "mode", modes), ndim = reel_ndim(reel_args_input(args, 0));
    if (which < 0) return false;
    if (mode[which].ndim && mode[which].ndim != ndim)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_SHAPE, "interpolate: %s is for inputs of %d axes, not %d",
                         mode[which].name, mode[which].ndim, ndim);
    o.mode = mode[which].mode;
    bool interpolates = o.mode == REEL_INTERPOLATE_LINEAR || o.mode == REEL_INTERPOLATE_BICUBIC;
    if (interpolates) o.align_corners = reel_args_has(args, "align_corners") && reel_args_bool(args, "align_corners");
    o.recompute_scale = reel_args_bool(args, "recompute_scale_factor");
    o.antialias = reel_args_bool(args, "antialias");
    o.size.ndim = reel_args_ints(args, "size", o.size.dim, 3);
    double factor[3] = { 0 };
    int factors = o.size.ndim < 0 ? -1 : reel_args_floats(args, "scale_factor", factor, 3);
    if (factors < 0) return false;
    if (factors > 1 && factors != ndim - 2)
        return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE,
                         "interpolate: scale_factor must be one number or %d, not %d", ndim - 2, factors);
    for (int i = 0; i < 3 && factors > 0; i++) {
        o.scale_factor[i] = factor[factors == 1 ? 0 : i];
        if (i < factors && !(factor[i] > 0))
            return reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE,
                             "interpolate: scale_factor must be positive, not %g", factor[i]);
    }
    return reel_args_return(args, reel_interpolate(reel_args_input(args, 0), &o));
}

const reel_function reel_fn_interpolate = {
    .name = "interpolate",
    .inputs = "input",
    .attrs = "size:ints=none scale_factor:floats=none mode:string=nearest align_corners:bool=none "
             "recompute_scale_factor:bool=false antialias:bool=false",
    .call = call_interpolate,
    .formula = "y[n, c, o] = sum over i of input[n, c, i] w(u(o) - i)",
    .shapes = "input: [N, C, L], [N, C, H, W] or [N, C, D, H, W] -> the same with other sizes",
    .errors = "both or neither of size and scale_factor; a size below 1 or a factor not above 0; a mode of another "
              "rank than input's; align_corners with the nearest and area modes; antialias with others than bilinear "
              "and bicubic; an empty axis behind the batch; an input that is not float32 or float64",
    .orders = -1,
};
