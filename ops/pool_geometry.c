// SPDX-License-Identifier: MIT
// Windows of the pooling ops: defaults, checks, and the spans the kernels walk.
#include <reel/ops/pool_geometry.h>
#include <string.h>

reel_pool_attrs reel_pool_attrs_of(int axes, const reel_pool_opts *opts)
{
    reel_pool_attrs a;
    memset(&a, 0, sizeof a);
    a.axes = axes;
    for (int i = 0; i < 3; i++) a.kernel[i] = a.stride[i] = a.dilation[i] = 1;
    for (int i = 0; i < axes; i++) {
        int k = 3 - axes + i;
        a.kernel[k] = opts ? opts->kernel[i] : 0;
        a.stride[k] = opts && opts->stride[i] ? opts->stride[i] : a.kernel[k];
        a.padding[k] = opts ? opts->padding[i] : 0;
        a.dilation[k] = opts && opts->dilation[i] ? opts->dilation[i] : 1;
    }
    a.ceil_mode = opts && opts->ceil_mode;
    return a;
}

bool reel_pool_attrs_adaptive(reel_tensor *x, const char *name, int axes, reel_shape size, reel_pool_attrs *attrs)
{
    memset(attrs, 0, sizeof *attrs);
    attrs->axes = axes;
    attrs->adaptive = true;
    if (size.ndim != 1 && size.ndim != axes) {
        reel_fail(reel_ctx_of(x), REEL_ERROR_SHAPE, "%s: size must have 1 or %d entries, but has %d", name, axes,
                  size.ndim);
        return false;
    }
    for (int i = 0; i < 3; i++) attrs->size[i] = 1;
    for (int i = 0; i < axes; i++) attrs->size[3 - axes + i] = size.dim[size.ndim == 1 ? 0 : i];
    return true;
}

void reel_pool_sizes(const int64_t *shape, int ndim, int axes, int64_t size[3])
{
    for (int i = 0; i < 3; i++) size[i] = 3 - i > axes ? 1 : shape[ndim - 3 + i];
}

reel_shape reel_pool_shape(reel_shape x, int axes, const int64_t size[3])
{
    for (int i = 0; i < axes; i++) x.dim[x.ndim - axes + i] = size[3 - axes + i];
    return x;
}

int64_t reel_pool_planes(const reel_buffer *b, int axes)
{
    int64_t planes = 1;
    for (int i = 0; i < b->ndim - axes; i++) planes *= b->shape[i];
    return planes;
}

// Windows of one axis; `k` is its place among three.
static bool axis_out(const reel_infer *infer, const reel_pool_attrs *a, int k, int64_t in, int64_t *out)
{
    int axis = k - (3 - a->axes);
    const struct {
        const char *name;
        int64_t value, least;
    } limits[] = { { "kernel", a->kernel[k], 1 },
                   { "stride", a->stride[k], 1 },
                   { "padding", a->padding[k], 0 },
                   { "dilation", a->dilation[k], 1 } };
    for (int i = 0; i < 4; i++)
        if (limits[i].value < limits[i].least || limits[i].value > INT32_MAX)
            return reel_infer_fail(infer, REEL_ERROR_VALUE,
                                   "%s of axis %d must be at least %lld and below 2^31, not %lld", limits[i].name, axis,
                                   (long long)limits[i].least, (long long)limits[i].value);
    int64_t window = a->dilation[k] * (a->kernel[k] - 1) + 1; // below 2^62
    if (2 * a->padding[k] > a->kernel[k])
        return reel_infer_fail(infer, REEL_ERROR_VALUE, "padding %lld of axis %d is over half of the kernel of %lld",
                               (long long)a->padding[k], axis, (long long)a->kernel[k]);
    int64_t padded;
    if (__builtin_add_overflow(in, 2 * a->padding[k], &padded))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the padded size of axis %d leaves 64 bits", axis);
    if (window > padded && (!a->ceil_mode || window - padded > a->stride[k] - 1))
        return reel_infer_fail(infer, REEL_ERROR_SHAPE,
                               "the window of axis %d has %lld cells, but the input with its padding has %lld", axis,
                               (long long)window, (long long)padded);
    int64_t room = padded - window, stride = a->stride[k];
    *out = room >= 0 ? room / stride + 1 : 0;
    // In ceil mode one more window that starts inside the input or the padding before it.
    if (a->ceil_mode && (room < 0 || room % stride) && *out * stride < in + a->padding[k]) ++*out;
    if (*out < 1) return reel_infer_fail(infer, REEL_ERROR_SHAPE, "no window of axis %d fits into the input", axis);
    // A dilated window that starts in the padding may step over an input smaller than its step.
    for (int64_t start = -a->padding[k]; in < a->dilation[k] && start < 0; start += stride)
        if ((a->dilation[k] - -start % a->dilation[k]) % a->dilation[k] >= in)
            return reel_infer_fail(
                infer, REEL_ERROR_SHAPE,
                "a window of axis %d has no cell inside of the input of %lld (dilation %lld, padding %lld)", axis,
                (long long)in, (long long)a->dilation[k], (long long)a->padding[k]);
    return true;
}

bool reel_pool_infer(const reel_infer *infer, reel_shape *out)
{
    const reel_pool_attrs *a = infer->attrs;
    reel_shape x = reel_shape_of(infer->in[0]);
    if (!infer->in[0]) return false;
    if (!reel_dtype_is_float(reel_dtype_of(infer->in[0])))
        return reel_infer_fail(infer, REEL_ERROR_DTYPE, "the input must be float32 or float64");
    if (x.ndim != a->axes + 1 && x.ndim != a->axes + 2)
        return reel_infer_fail(infer, REEL_ERROR_SHAPE, "the input must have %d or %d axes, but has %d", a->axes + 1,
                               a->axes + 2, x.ndim);
    for (int i = x.ndim - a->axes - 1; i < x.ndim; i++)
        if (x.dim[i] < 1)
            return reel_infer_fail(infer, REEL_ERROR_SHAPE, "only the batch may be empty, but axis %d has size %lld", i,
                                   (long long)x.dim[i]);
    int64_t size[3], window = 1, cells = 1, in[3];
    reel_pool_sizes(x.dim, x.ndim, a->axes, in);
    for (int k = 3 - a->axes; k < 3; k++) {
        if (a->adaptive) {
            size[k] = a->size[k];
            if (size[k] < 0)
                return reel_infer_fail(infer, REEL_ERROR_VALUE, "output size %lld of axis %d is negative",
                                       (long long)size[k], k - (3 - a->axes));
            if (size[k] > INT32_MAX)
                return reel_infer_fail(infer, REEL_ERROR_VALUE, "output size %lld of axis %d is not below 2^31",
                                       (long long)size[k], k - (3 - a->axes));
        }
        if (__builtin_mul_overflow(cells, in[k], &cells) || (a->adaptive && cells > INT32_MAX))
            return reel_infer_fail(infer, REEL_ERROR_UNSUPPORTED, "planes must have less than 2^31 cells");
        if (a->adaptive) continue;
        if (!axis_out(infer, a, k, in[k], &size[k])) return false;
        if (__builtin_mul_overflow(window, a->kernel[k], &window) || window > INT32_MAX)
            return reel_infer_fail(infer, REEL_ERROR_VALUE, "windows must have less than 2^31 cells");
    }
    *out = reel_pool_shape(x, a->axes, size);
    return true;
}

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }

static reel_pool_span span_regular(const reel_pool_attrs *a, int k, int64_t in, int64_t o, bool averages)
{
    reel_pool_span s;
    int64_t step = a->dilation[k], kernel = a->kernel[k];
    s.start = o * a->stride[k] - a->padding[k];
    s.lo = s.start < 0 ? ceil_div(-s.start, step) : 0;
    s.hi = ceil_div(in - s.start, step);
    if (s.hi > kernel) s.hi = kernel;
    if (s.hi < s.lo) s.hi = s.lo;
    s.count = 1;
    if (averages && a->divisor) {
        s.count = k == 0 ? (double)a->divisor : 1;
    } else if (averages) {
        int64_t end = s.start + kernel, padded = in + a->padding[k];
        s.count = (double)(a->exclude_pad ? s.hi - s.lo : (end < padded ? end : padded) - s.start);
    }
    return s;
}

// Both sizes are below 2^31.
static reel_pool_span span_adaptive(int64_t in, int64_t out, int64_t o)
{
    reel_pool_span s = { .start = o * in / out };
    s.hi = ((o + 1) * in + out - 1) / out - s.start;
    s.count = (double)s.hi;
    return s;
}

bool reel_pool_plane_of(const reel_play *play, const int64_t in[3], const int64_t out[3], bool averages,
                        reel_pool_plane *plane)
{
    const reel_pool_attrs *a = play->attrs;
    memset(plane, 0, sizeof *plane);
    size_t total = (size_t)out[0] + (size_t)out[1] + (size_t)out[2] + 1;
    reel_pool_span *span = reel_scratch(play->exec, reel_bytes(total, sizeof *span));
    if (!span) return reel_play_out_of_memory(play);
    plane->pairs = !averages && !a->adaptive;
    int64_t window = 1;
    for (int k = 0; k < 3; k++) {
        reel_pool_axis *axis = &plane->axis[k];
        *axis = (reel_pool_axis) { .in = in[k], .out = out[k], .kernel = 1, .step = 1, .span = span };
        axis->stride = a->adaptive && in[k] != out[k] ? 0 : a->adaptive ? 1 : a->stride[k];
        if (!a->adaptive) axis->step = a->dilation[k];
        for (int64_t o = 0; o < out[k]; o++) {
            span[o] = a->adaptive ? span_adaptive(in[k], out[k], o) : span_regular(a, k, in[k], o, averages);
            if (span[o].hi > axis->kernel) axis->kernel = span[o].hi;
            plane->pairs &= k == 0 ? a->kernel[0] == 1 && a->stride[0] == 1 : span[o].hi - span[o].lo == 2;
            axis->count = o == 0 || span[o].count == axis->count ? span[o].count : 0;
        }
        plane->pairs &= k == 0 || (a->kernel[k] == 2 && a->stride[k] == 2 && a->padding[k] == 0 && a->dilation[k] == 1);
        if (!a->adaptive) axis->kernel = a->kernel[k];
        window *= axis->kernel;
        span += out[k];
    }
    plane->wide = window > 256;
    return true;
}

int64_t reel_pool_chunk(int64_t in_plane, int64_t out_plane)
{
    int64_t planes = 32768 / (in_plane + out_plane + 1);
    return planes > 0 ? planes : 1;
}

bool reel_pool_args_ints(const reel_call_args *args, const char *op, const char *name, int axes, int64_t least,
                         int64_t *values)
{
    int64_t list[3];
    int count = reel_args_ints(args, name, list, 3);
    if (count < 0) return false;
    if (count == 0) return true;
    if (count != 1 && count != axes) {
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s must be one number or %d, but is %d", op, name, axes,
                  count);
        return false;
    }
    for (int i = 0; i < axes; i++) {
        values[i] = list[count == 1 ? 0 : i];
        if (values[i] >= least) continue;
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: %s must be at least %lld, but is %lld", op, name,
                  (long long)least, (long long)values[i]);
        return false;
    }
    return true;
}

bool reel_pool_args(const reel_call_args *args, const char *op, int axes, bool padding, bool dilation,
                    reel_pool_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    opts->ceil_mode = reel_args_bool(args, "ceil_mode");
    return reel_pool_args_ints(args, op, "kernel_size", axes, 1, opts->kernel) &&
           reel_pool_args_ints(args, op, "stride", axes, 1, opts->stride) &&
           (!padding || reel_pool_args_ints(args, op, "padding", axes, 0, opts->padding)) &&
           (!dilation || reel_pool_args_ints(args, op, "dilation", axes, 1, opts->dilation));
}

bool reel_pool_args_size(const reel_call_args *args, const char *op, int axes, reel_shape *size)
{
    int64_t list[3];
    int count = reel_args_ints(args, "output_size", list, 3);
    if (count < 0) return false;
    if (count != 1 && count != axes) {
        reel_fail(reel_args_ctx(args), REEL_ERROR_VALUE, "%s: output_size must be one number or %d, but is %d", op,
                  axes, count);
        return false;
    }
    *size = (reel_shape) { .ndim = axes };
    for (int i = 0; i < axes; i++) {
        size->dim[i] = list[count == 1 ? 0 : i];
        if (size->dim[i] == REEL_ARGS_NULL) size->dim[i] = reel_size(reel_args_input(args, 0), i - axes);
    }
    return true;
}
