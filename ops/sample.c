// SPDX-License-Identifier: MIT
// grid_sample and its derivatives: three primitives, in which the order of the interpolation's derivative along each
// axis is an attribute, so that every rule stays among them; and a fourth that is the second and the third at once,
// since they look at the same points.
//
// With S_k(x, g) the samples of x at g by the k-th derivative of the interpolation, A_k(y, g) the adjoint of S_k in x,
// and G_k(x, g, y)[p, a] = sum over c of y[c, p] S_{k + e_a}(x, g)[c, p] the gradient in g:
//     d S_k: x <- A_k(cot, g)         g <- G_k(x, g, cot)        (grid_sample_backward gives both)
//     d A_k: y <- S_k(cot, g)         g <- G_k(cot, g, y)
//     d G_k, with h_a component a of its cotangent, summed over a:
//            x <- A_{k + e_a}(h_a y, g)    g <- G_{k + e_a}(x, g, h_a y)    y <- h_a S_{k + e_a}(x, g)
#include <reel/core/op.h>
#include <reel/core/operands.h>
#include <reel/ops/kernels/sample.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/sample.h>
#include <reel/ops/shape.h>
#include <reel/ops/table.h>
#include <string.h>

typedef struct sample_attrs {
    int64_t size[3]; // of the adjoint's output: W, H, D
    int32_t mode, padding;
    uint8_t order[3];
    bool align_corners;
} sample_attrs;

const reel_op reel_op_grid_sample, reel_op_grid_sample_adjoint, reel_op_grid_sample_grid_grad,
    reel_op_grid_sample_backward;

static sample_attrs attrs_of(const reel_grid_sample_opts *opts)
{
    sample_attrs a;
    memset(&a, 0, sizeof a);
    if (!opts) return a;
    a.mode = opts->mode;
    a.padding = opts->padding_mode;
    a.align_corners = opts->align_corners;
    memcpy(a.order, opts->order, sizeof a.order);
    return a;
}

// The highest derivative of the interpolation that is not zero everywhere.
static int highest_order(const sample_attrs *a)
{
    return a->mode == REEL_BICUBIC ? 3 : a->mode == REEL_NEAREST ? 0 : 1;
}

// One order more along axis `axis` of the grid; false when that is zero.
static bool raise_order(const sample_attrs *a, int axis, sample_attrs *raised)
{
    *raised = *a;
    return ++raised->order[axis] <= highest_order(a);
}

static bool has_grid_grad(const sample_attrs *a, int axes)
{
    sample_attrs raised;
    for (int k = 0; k < axes; k++)
        if (raise_order(a, k, &raised)) return true;
    return false;
}

static void set_size(sample_attrs *a, reel_shape image)
{
    int axes = image.ndim - 2;
    for (int k = 0; k < 3; k++) a->size[k] = k < axes ? image.dim[image.ndim - 1 - k] : 1;
}

static reel_tensor *sample(reel_tensor *x, reel_tensor *grid, sample_attrs a)
{
    memset(a.size, 0, sizeof a.size);
    return reel_apply(&reel_op_grid_sample, (reel_tensor *[]) { x, grid }, 2, &a, NULL);
}

static reel_tensor *adjoint(reel_tensor *y, reel_tensor *grid, reel_shape image, sample_attrs a)
{
    set_size(&a, image);
    return reel_apply(&reel_op_grid_sample_adjoint, (reel_tensor *[]) { y, grid }, 2, &a, NULL);
}

static reel_tensor *grid_grad(reel_tensor *x, reel_tensor *grid, reel_tensor *y, sample_attrs a)
{
    memset(a.size, 0, sizeof a.size);
    return reel_apply(&reel_op_grid_sample_grid_grad, (reel_tensor *[]) { x, grid, y }, 3, &a, NULL);
}

// ---- inference ----

// Checks the modes, and `grid` against an image or samples [N, C, ...]; the shape of samples at the grid.
static bool infer_grid(const reel_infer *infer, reel_tensor *image, const char *name, reel_tensor *grid,
                       reel_shape *samples)
{
    const sample_attrs *a = infer->attrs;
    if (!image || !grid) return false;
    reel_shape x = reel_shape_of(image), g = reel_shape_of(grid);
    int axes = x.ndim - 2;
    if (a->mode < REEL_BILINEAR || a->mode > REEL_BICUBIC || a->padding < REEL_PAD_ZEROS ||
        a->padding > REEL_PAD_REFLECTION)
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "mode %d or padding_mode %d is none there is", (int)a->mode,
                               (int)a->padding);
    if (!reel_dtype_is_float(reel_dtype_of(image)))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "%s must be float32 or float64", name);
    if (reel_dtype_of(grid) != reel_dtype_of(image))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "%s and grid must have one dtype", name);
    if (axes != 2 && axes != 3)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%s must have 4 or 5 axes, but has %d", name, x.ndim);
    if (g.ndim != x.ndim)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "grid must have as many axes as %s, %d, but has %d", name,
                               x.ndim, g.ndim);
    if (g.dim[0] != x.dim[0])
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "%s has a batch of %lld, but grid has %lld", name,
                               (long long)x.dim[0], (long long)g.dim[0]);
    if (g.dim[g.ndim - 1] != axes)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the last axis of grid must have size %d, but has %lld", axes,
                               (long long)g.dim[g.ndim - 1]);
    if (a->mode == REEL_BICUBIC && axes == 3)
        return reel_infer_fail(infer, REEL_ERROR_UNSUPPORTED, "bicubic is for images of two dimensions only");
    *samples = x;
    for (int k = 0; k < axes; k++) samples->dim[2 + k] = g.dim[1 + k];
    return true;
}

static bool infer_image(const reel_infer *infer, reel_shape image)
{
    int64_t cells = 1;
    for (int k = 2; k < image.ndim; k++) {
        if (image.dim[k] < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                                   "the image must not be empty, but its axis %d has size %lld", k,
                                   (long long)image.dim[k]);
        if (__builtin_mul_overflow(cells, image.dim[k], &cells) || cells > INT32_MAX)
            return reel_infer_fail(infer, REEL_ERROR_UNSUPPORTED,
                                   "a plane of the image must have less than 2^31 pixels");
    }
    return true;
}

static bool sample_infer(reel_infer *infer)
{
    reel_shape samples;
    return infer_grid(infer, infer->in[0], "input", infer->in[1], &samples) &&
           infer_image(infer, reel_shape_of(infer->in[0])) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), samples);
}

static bool samples_fit(const reel_infer *infer, reel_tensor *y, reel_shape samples)
{
    char text[REEL_SHAPE_TEXT];
    return reel_shape_equal(reel_shape_of(y), samples) ||
           reel_infer_fail(infer, REEL_ERROR_SHAPE, "the samples at this grid have the shape %s",
                           reel_shape_format(samples, text));
}

static bool adjoint_infer(reel_infer *infer)
{
    const sample_attrs *a = infer->attrs;
    reel_shape samples;
    if (!infer_grid(infer, infer->in[0], "input", infer->in[1], &samples) || !samples_fit(infer, infer->in[0], samples))
        return false;
    reel_shape image = samples;
    for (int k = 2; k < image.ndim; k++) image.dim[k] = a->size[image.ndim - 1 - k];
    return infer_image(infer, image) && reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), image);
}

static bool grid_grad_infer(reel_infer *infer)
{
    reel_shape samples;
    if (!infer->in[2] || !infer_grid(infer, infer->in[0], "input", infer->in[1], &samples)) return false;
    if (reel_dtype_of(infer->in[2]) != reel_dtype_of(infer->in[0]))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "input and samples must have one dtype");
    return samples_fit(infer, infer->in[2], samples) && infer_image(infer, reel_shape_of(infer->in[0])) &&
           reel_infer_out(infer, 0, reel_dtype_of(infer->in[0]), reel_shape_of(infer->in[1]));
}

static bool backward_infer(reel_infer *infer)
{
    infer->n_out = 2;
    return grid_grad_infer(infer) && reel_infer_out(infer, 1, reel_dtype_of(infer->in[0]), reel_shape_of(infer->in[0]));
}

// ---- play ----

#define STREAM (32 << 20) // bytes of images, points and samples that caches do not hold

// A play cut into pieces by its shape alone: several small images to a piece, or a run of points or of channels of one.
typedef struct work {
    const reel_sample_kernels *kernels;
    reel_sample s;
    bool f32;
    int64_t batch, channels, plane, points;
    int64_t images, channels_by, points_by;            // to a piece
    int64_t across, along;                             // pieces of an image: by channels, by points
    int64_t room;                                      // numbers for quads, for each worker
    char *grid, *x, *y, *x_out, *out, *room_of_worker; // NULL where there is none
} work;

static const struct {
    int mode, padding;
} kernel_codes[3] = { { REEL_SAMPLE_LINEAR, REEL_SAMPLE_ZEROS },
                      { REEL_SAMPLE_NEAREST, REEL_SAMPLE_BORDER },
                      { REEL_SAMPLE_CUBIC, REEL_SAMPLE_REFLECTION } };

static work work_of(const reel_play *play, const reel_buffer *x, const reel_buffer *grid, const reel_buffer *y)
{
    const sample_attrs *a = play->attrs;
    int axes = x->ndim - 2;
    work w = { .kernels = reel_sample_kernels_for(reel_large_isa(play->exec->isa, x->dtype)), .f32 = x->dtype == REEL_F32 };
    w.s.axes = axes;
    w.s.mode = kernel_codes[a->mode].mode;
    w.s.padding = kernel_codes[a->padding].padding;
    w.s.align_corners = a->align_corners;
    w.plane = w.points = 1;
    for (int k = 0; k < 3; k++) {
        w.s.size[k] = k < axes ? x->shape[x->ndim - 1 - k] : 1;
        w.s.order[k] = k < axes ? a->order[k] : 0;
        w.plane *= w.s.size[k];
        if (k < axes) w.points *= grid->shape[1 + k];
    }
    w.s.row = grid->shape[grid->ndim - 2];
    w.batch = x->shape[0];
    w.s.channels = w.channels = w.channels_by = x->shape[1];
    w.points_by = w.points;
    w.across = w.along = w.images = 1;
    double each = (double)w.channels * (double)(w.plane + w.points) + (double)(w.points * axes);
    w.s.stream = (double)w.batch * each * (double)reel_dtype_size(x->dtype) > STREAM;
    w.x = x->data;
    w.grid = grid->data;
    w.y = y->data;
    return w;
}

#define PIECE 32768    // numbers of an image and its points that are worth a piece
#define ROOM (5 << 18) // bytes that pairs may take before channels go one by one
#define POINTS_TO_CUT 16384

static bool takes_quads(const work *w)
{
    return w->f32 && w->s.mode == REEL_SAMPLE_LINEAR && w->s.axes == 2 && w->s.size[0] >= 2 &&
           w->s.size[0] <= REEL_QUADS_MAX_CELLS && w->s.size[1] <= REEL_QUADS_MAX_CELLS && w->batch * w->points > 0;
}

// Whether the images are worth rewriting in pairs, and how many channels at a time.
static void choose_pairs(work *w)
{
    if (!takes_quads(w)) return;
    int64_t pairs = reel_quads_pairs(w->s.size);
    if (pairs > REEL_QUADS_MAX_CELLS * 2 || w->points < pairs / 16) return;
    w->s.block = ROOM / (pairs * (int64_t)sizeof(float));
    if (w->s.block < 1) w->s.block = 1;
    if (w->s.block > w->channels) w->s.block = w->channels;
    w->room = w->s.block * pairs + reel_quads_zeros(w->s.size);
}

// Images small enough share a piece, of half the numbers: pieces enough to be shared out evenly.
static void group_images(work *w)
{
    int64_t each = w->points * (w->channels + 4) + w->plane;
    if (w->across * w->along == 1 && each < PIECE) w->images = PIECE / 2 / (each + 1) + 1;
}

static void cut_by_points(work *w)
{
    int64_t by = PIECE / (w->channels + 4);
    by = (by < 64 ? 64 : by) & ~(int64_t)63;
    if (by < w->points) w->points_by = by;
    if (w->points > 0) w->along = (w->points + w->points_by - 1) / w->points_by;
}

static void cut_by_channels(work *w)
{
    int64_t pieces = w->batch > 0 && w->batch < 8 ? 8 / w->batch : 1;
    if (w->points * w->channels < PIECE || w->channels == 0) pieces = 1;
    w->channels_by = (w->channels + pieces - 1) / pieces;
    if (w->channels_by > 0) w->across = (w->channels + w->channels_by - 1) / w->channels_by;
    if (w->s.block > w->channels_by) w->s.block = w->channels_by;
}

static bool run(const reel_play *play, reel_task *task, work *w)
{
    if (w->points == 0 || w->channels == 0) return true;
    group_images(w);
    if (w->s.block) {
        size_t bytes = reel_bytes((size_t)w->room, w->f32 ? sizeof(float) : sizeof(double));
        w->room_of_worker = reel_scratch(play->exec, reel_bytes(bytes, (size_t)play->exec->threads));
        if (!w->room_of_worker) return reel_play_out_of_memory(play);
    }
    reel_parallel(play->exec, (w->batch + w->images - 1) / w->images * w->across * w->along, task, w);
    return true;
}

// One piece's part of one image.
typedef struct piece {
    int64_t first_image, end_image, channel, point, n;
    reel_sample s;
} piece;

static piece piece_of(const work *w, int64_t chunk)
{
    piece p = { .s = w->s };
    int64_t of_image = w->across * w->along, part = chunk % of_image, first = chunk / of_image * w->images;
    p.first_image = first;
    p.end_image = first + w->images < w->batch ? first + w->images : w->batch;
    p.channel = part / w->along * w->channels_by;
    p.point = part % w->along * w->points_by;
    p.n = w->points - p.point < w->points_by ? w->points - p.point : w->points_by;
    p.s.channels = w->channels - p.channel < w->channels_by ? w->channels - p.channel : w->channels_by;
    return p;
}

// Where image i of a piece begins, in numbers, in the image, the grid, and the samples.
static int64_t x_at(const work *w, const piece *p, int64_t i) { return (i * w->channels + p->channel) * w->plane; }
static int64_t grid_at(const work *w, const piece *p, int64_t i) { return (i * w->points + p->point) * w->s.axes; }
static int64_t y_at(const work *w, const piece *p, int64_t i)
{
    return (i * w->channels + p->channel) * w->points + p->point;
}

static void sample_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    for (int64_t i = p.first_image; i < p.end_image; i++) {
        int64_t x = x_at(w, &p, i), g = grid_at(w, &p, i), y = y_at(w, &p, i);
        if (w->f32)
            w->kernels->sample_f32(&p.s, (const float *)w->x + x, (const float *)w->grid + g, p.n, (float *)w->y + y,
                                   w->points, (float *)w->room_of_worker + worker * w->room);
        else
            w->kernels->sample_f64(&p.s, (const double *)w->x + x, (const double *)w->grid + g, p.n, (double *)w->y + y,
                                   w->points, (double *)w->room_of_worker + worker * w->room);
    }
}

// Few large images are cut by points, and quads, which would rewrite them for every piece, are left out.
static bool few_and_large(const work *w, int64_t pieces) { return pieces < 4 && w->points > POINTS_TO_CUT; }

static bool sample_play(const reel_play *play)
{
    work w = work_of(play, &play->in[0], &play->in[1], &play->out[0]);
    int64_t pieces = w.batch * (w.channels < 8 ? w.channels : 8);
    if (!few_and_large(&w, pieces)) choose_pairs(&w);
    if (w.s.block)
        cut_by_channels(&w);
    else
        cut_by_points(&w);
    return run(play, sample_task, &w);
}

static void backward_task(void *arg, int64_t chunk, int worker)
{
    const work *w = arg;
    piece p = piece_of(w, chunk);
    for (int64_t i = p.first_image; i < p.end_image; i++) {
        int64_t x = x_at(w, &p, i), g = grid_at(w, &p, i), y = y_at(w, &p, i);
        if (w->f32)
            w->kernels->backward_f32(&p.s, w->x ? (const float *)w->x + x : NULL, (const float *)w->grid + g, p.n,
                                     (const float *)w->y + y, w->points, w->x_out ? (float *)w->x_out + x : NULL,
                                     w->out ? (float *)w->out + g : NULL,
                                     (float *)w->room_of_worker + worker * w->room);
        else
            w->kernels->backward_f64(&p.s, w->x ? (const double *)w->x + x : NULL, (const double *)w->grid + g, p.n,
                                     (const double *)w->y + y, w->points, w->x_out ? (double *)w->x_out + x : NULL,
                                     w->out ? (double *)w->out + g : NULL, NULL);
    }
}

static void clear(const reel_buffer *out) { memset(out->data, 0, (size_t)out->numel * reel_dtype_size(out->dtype)); }

// The adjoint to x_out and the gradient in the grid to out, either of which may be NULL; x gives the image's shape.
static bool run_backward(const reel_play *play, const reel_buffer *x, const reel_buffer *y, const reel_buffer *x_out,
                         const reel_buffer *out)
{
    work w = work_of(play, x, &play->in[1], y);
    w.x = out ? x->data : NULL;
    w.x_out = x_out ? x_out->data : NULL;
    w.out = out ? out->data : NULL;
    if (x_out && w.points == 0) clear(x_out);
    if (out && w.channels == 0) clear(out);
    if (takes_quads(&w) && !(out && few_and_large(&w, w.batch))) {
        w.s.block = 1;
        w.room = REEL_QUADS_ROOM + 64;
    }
    if (!out)
        cut_by_channels(&w);
    else if (!x_out && !w.s.block)
        cut_by_points(&w);
    return run(play, backward_task, &w);
}

static bool adjoint_play(const reel_play *play)
{
    return run_backward(play, &play->out[0], &play->in[0], &play->out[0], NULL);
}

static bool grid_grad_play(const reel_play *play)
{
    return run_backward(play, &play->in[0], &play->in[2], NULL, &play->out[0]);
}

static bool backward_play(const reel_play *play)
{
    return run_backward(play, &play->in[0], &play->in[2], &play->out[1], &play->out[0]);
}

// ---- rules ----

#define IMAGES_FOR_ONE_PASS 8 // fewer are cut into more pieces when the gradients are taken one by one

static bool sample_vjp(reel_vjp *vjp)
{
    const sample_attrs *a = vjp->attrs;
    reel_tensor *cot = vjp->cot[0];
    if (!cot) return true;
    reel_shape image = reel_vjp_input_shape(vjp, 0);
    bool of_x = reel_vjp_wants(vjp, 0), of_grid = reel_vjp_wants(vjp, 1) && has_grid_grad(a, image.ndim - 2), ok = true;
    if (of_x && of_grid && image.dim[0] >= IMAGES_FOR_ONE_PASS) {
        reel_tensor *in[] = { reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1), cot }, *out[2] = { NULL, NULL };
        if (!reel_apply(&reel_op_grid_sample_backward, in, 3, a, out)) return false;
        vjp->grad[1] = out[0];
        vjp->grad[0] = out[1];
        return true;
    }
    if (of_x) ok = (vjp->grad[0] = adjoint(cot, reel_vjp_input(vjp, 1), image, *a)) && ok;
    if (of_grid) ok = (vjp->grad[1] = grid_grad(reel_vjp_input(vjp, 0), reel_vjp_input(vjp, 1), cot, *a)) && ok;
    return ok;
}

// sum, or the sum so far where there is none yet.
static reel_tensor *plus(reel_tensor *sum, reel_tensor *term) { return sum ? reel_add(sum, term) : term; }

// Of the adjoint of samples that are input y; the grid is input 1.
static bool adjoint_rule(reel_vjp *vjp, reel_tensor *cot, int y)
{
    const sample_attrs *a = vjp->attrs;
    if (!cot) return true;
    reel_tensor *grid = reel_vjp_input(vjp, 1);
    bool ok = true;
    if (reel_vjp_wants(vjp, y)) ok = (vjp->grad[y] = plus(vjp->grad[y], sample(cot, grid, *a))) && ok;
    if (reel_vjp_wants(vjp, 1) && has_grid_grad(a, reel_ndim(cot) - 2))
        ok = (vjp->grad[1] = plus(vjp->grad[1], grid_grad(cot, grid, reel_vjp_input(vjp, y), *a))) && ok;
    return ok;
}

static bool adjoint_vjp(reel_vjp *vjp) { return adjoint_rule(vjp, vjp->cot[0], 0); }

static bool grid_grad_vjp(reel_vjp *vjp)
{
    const sample_attrs *a = vjp->attrs;
    reel_tensor *cot = vjp->cot[0];
    if (!cot) return true;
    reel_shape image = reel_vjp_input_shape(vjp, 0);
    int axes = image.ndim - 2;
    reel_tensor *grid = reel_vjp_input(vjp, 1);
    for (int k = 0; k < axes; k++) {
        sample_attrs raised;
        if (!raise_order(a, k, &raised)) continue;
        reel_tensor *h = reel_unsqueeze(reel_select(cot, -1, k), 1), *hy = NULL;
        bool of_grid = reel_vjp_wants(vjp, 1) && has_grid_grad(&raised, axes);
        if (!h) return false;
        if ((reel_vjp_wants(vjp, 0) || of_grid) && !(hy = reel_mul(h, reel_vjp_input(vjp, 2)))) return false;
        if (reel_vjp_wants(vjp, 0) && !(vjp->grad[0] = plus(vjp->grad[0], adjoint(hy, grid, image, raised))))
            return false;
        if (of_grid && !(vjp->grad[1] = plus(vjp->grad[1], grid_grad(reel_vjp_input(vjp, 0), grid, hy, raised))))
            return false;
        if (reel_vjp_wants(vjp, 2) &&
            !(vjp->grad[2] = plus(vjp->grad[2], reel_mul(h, sample(reel_vjp_input(vjp, 0), grid, raised)))))
            return false;
    }
    return true;
}

static bool backward_vjp(reel_vjp *vjp) { return grid_grad_vjp(vjp) && adjoint_rule(vjp, vjp->cot[1], 2); }

const reel_op reel_op_grid_sample = { .name = "grid_sample",
                                      .infer = sample_infer,
                                      .play = sample_play,
                                      .vjp = sample_vjp,
                                      .attrs_size = sizeof(sample_attrs) };
const reel_op reel_op_grid_sample_adjoint = { .name = "grid_sample_adjoint",
                                              .infer = adjoint_infer,
                                              .play = adjoint_play,
                                              .vjp = adjoint_vjp,
                                              .attrs_size = sizeof(sample_attrs) };
const reel_op reel_op_grid_sample_grid_grad = { .name = "grid_sample_grid_grad",
                                                .infer = grid_grad_infer,
                                                .play = grid_grad_play,
                                                .vjp = grid_grad_vjp,
                                                .attrs_size = sizeof(sample_attrs) };
const reel_op reel_op_grid_sample_backward = { .name = "grid_sample_backward",
                                               .infer = backward_infer,
                                               .play = backward_play,
                                               .vjp = backward_vjp,
                                               .attrs_size = sizeof(sample_attrs) };

// ---- functions and the table row ----

reel_tensor *reel_grid_sample(reel_tensor *x, reel_tensor *grid, const reel_grid_sample_opts *opts)
{
    return sample(x, grid, attrs_of(opts));
}

reel_tensor *reel_grid_sample_adjoint(reel_tensor *y, reel_tensor *grid, reel_shape shape,
                                      const reel_grid_sample_opts *opts)
{
    int axes = reel_ndim(y) - 2;
    if (!REEL_OPERANDS("grid_sample_adjoint", y, grid)) return NULL;
    if (shape.ndim < axes)
        return reel_fail(reel_ctx_of(y), REEL_ERROR_SHAPE,
                         "grid_sample_adjoint: the image's shape must have at least %d sizes, but has %d", axes,
                         shape.ndim);
    reel_shape image = reel_shape_of(y); // wrong ranks are for infer to tell
    for (int k = 0; k < axes; k++) image.dim[image.ndim - 1 - k] = shape.dim[shape.ndim - 1 - k];
    return adjoint(y, grid, image, attrs_of(opts));
}

reel_tensor *reel_grid_sample_grid_grad(reel_tensor *x, reel_tensor *grid, reel_tensor *y,
                                        const reel_grid_sample_opts *opts)
{
    return grid_grad(x, grid, y, attrs_of(opts));
}

static bool call_grid_sample(reel_call_args *args)
{
    int mode = reel_args_choice(args, "mode", "bilinear nearest bicubic");
    int padding = mode < 0 ? -1 : reel_args_choice(args, "padding_mode", "zeros border reflection");
    if (padding < 0) return false;
    reel_grid_sample_opts opts = { .mode = (reel_sample_mode)mode,
                                   .padding_mode = (reel_sample_padding)padding,
                                   .align_corners = reel_args_bool(args, "align_corners") };
    return reel_args_return(args, reel_grid_sample(reel_args_input(args, 0), reel_args_input(args, 1), &opts));
}

const reel_function reel_fn_grid_sample = {
    .name = "grid_sample",
    .inputs = "input grid",
    .attrs = "mode:string=bilinear padding_mode:string=zeros align_corners:bool=false",
    .call = call_grid_sample,
    .formula = "y[n, c, p] = sum over i of input[n, c, i] w(u(grid[n, p]) - i)",
    .shapes = "input: [N, C, H, W]; grid: [N, oH, oW, 2] -> [N, C, oH, oW]; or [N, C, D, H, W] and [N, oD, oH, oW, 3]",
    .errors = "batches that differ; a grid of another rank, or whose last axis is not the number of space axes; an "
              "empty image, or one of 2^31 pixels; bicubic in 3-D; dtypes that differ or are no floats",
    .orders = -1,
};
