// SPDX-License-Identifier: MIT
// Strided copies: axes sorted and merged, cut into chunks by shape, each chunk one kernel call.
#include <reel/ops/copy.h>
#include <reel/ops/kernels/copy.h>

#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 15, MAX_CHUNKS = 64 };

/* Axes of size 1 dropped, the others from the destination's slowest to its fastest, neighbours merged where both sides
 * run on. Returns the number of elements. */
static int64_t arrange(reel_copy_axes *axes, int ndim, const int64_t *shape, const int64_t *to, const int64_t *from)
{
    int64_t numel = 1;
    int n = 0;
    for (int k = 0; k < ndim; k++) {
        numel *= shape[k];
        if (shape[k] == 1) continue;
        int place = n++;
        int64_t span = to[k] < 0 ? -to[k] : to[k];
        for (; place > 0; place--) {
            int64_t before = axes->to[place - 1] < 0 ? -axes->to[place - 1] : axes->to[place - 1];
            if (before >= span) break;
            axes->shape[place] = axes->shape[place - 1];
            axes->to[place] = axes->to[place - 1];
            axes->from[place] = axes->from[place - 1];
        }
        axes->shape[place] = shape[k];
        axes->to[place] = to[k];
        axes->from[place] = from[k];
    }
    int last = -1;
    for (int k = 0; k < n; k++) {
        if (last >= 0 && axes->to[last] == axes->shape[k] * axes->to[k] &&
            axes->from[last] == axes->shape[k] * axes->from[k]) {
            axes->shape[last] *= axes->shape[k];
        } else {
            last++;
            axes->shape[last] = axes->shape[k];
        }
        axes->to[last] = axes->to[k];
        axes->from[last] = axes->from[k];
    }
    axes->ndim = last + 1;
    return numel;
}

typedef struct copy_job {
    const reel_copy_kernels *kernels;
    size_t element;
    const reel_copy_axes *axes;
    int axis; /* the one that is cut */
    int64_t chunks;
    char *to;
    const char *from;
} copy_job;

static void copy_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const copy_job *job = arg;
    reel_copy_axes axes = *job->axes;
    int64_t n = axes.shape[job->axis], each = (n + job->chunks - 1) / job->chunks;
    int64_t first = chunk * each, end = first + each < n ? first + each : n;
    if (first >= end) return;
    axes.shape[job->axis] = end - first;
    job->kernels->copy(job->element, &axes, job->to + first * axes.to[job->axis] * (int64_t)job->element,
                       job->from + first * axes.from[job->axis] * (int64_t)job->element);
}

void reel_copy_strided(const reel_exec *exec, size_t element, int ndim, const int64_t *shape, void *to,
                       const int64_t *to_strides, const void *from, const int64_t *from_strides)
{
    reel_copy_axes axes;
    int64_t numel = arrange(&axes, ndim, shape, to_strides, from_strides);
    if (numel == 0) return;
    const reel_copy_kernels *kernels = reel_copy_kernels_for(exec->isa);
    if (numel < 2 * CHUNK_ELEMENTS) {
        kernels->copy(element, &axes, to, from);
        return;
    }
    // The slowest axis that is long enough to be cut evenly, else the longest one.
    int axis = 0;
    for (int k = 1; k < axes.ndim && axes.shape[axis] < 16; k++)
        if (axes.shape[k] > axes.shape[axis]) axis = k;
    int64_t chunks = numel / CHUNK_ELEMENTS;
    if (chunks > MAX_CHUNKS) chunks = MAX_CHUNKS;
    if (chunks > axes.shape[axis]) chunks = axes.shape[axis];
    copy_job job = { kernels, element, &axes, axis, chunks, to, from };
    reel_parallel(exec, chunks, copy_chunk, &job);
}

typedef struct fill_job {
    size_t element;
    char *to;
    int64_t n, each;
    uint64_t bits;
} fill_job;

static void fill_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const fill_job *job = arg;
    int64_t first = chunk * job->each, n = job->n - first < job->each ? job->n - first : job->each;
    char *to = job->to + first * (int64_t)job->element;
    if (job->bits == 0 || job->element == 1) {
        memset(to, (int)job->bits, (size_t)n * job->element);
    } else if (job->element == 4) {
        for (int64_t i = 0; i < n; i++) ((uint32_t *)to)[i] = (uint32_t)job->bits;
    } else {
        for (int64_t i = 0; i < n; i++) ((uint64_t *)to)[i] = job->bits;
    }
}

/* `value` as an element's bits; beyond an integer's range it becomes the nearest value it has. */
static uint64_t element_bits(reel_dtype dtype, double value)
{
    uint64_t bits = 0;
    if (dtype == REEL_F32) {
        float v = (float)value;
        memcpy(&bits, &v, sizeof v);
    } else if (dtype == REEL_F64) {
        memcpy(&bits, &value, sizeof value);
    } else if (dtype == REEL_BOOL) {
        bits = value != 0;
    } else {
        double low = dtype == REEL_I64 ? -0x1p63 : dtype == REEL_I32 ? -0x1p31 : 0;
        double high = dtype == REEL_I64 ? 0x1.fffffffffffffp62 : dtype == REEL_I32 ? 0x1.fffffffcp30 : 255;
        int64_t v = value != value ? 0 : (int64_t)(value < low ? low : value > high ? high : value);
        bits = dtype == REEL_I64 ? (uint64_t)v : dtype == REEL_I32 ? (uint32_t)v : (uint8_t)v;
    }
    return bits;
}

void reel_fill(const reel_exec *exec, reel_dtype dtype, void *to, int64_t n, double value)
{
    if (n <= 0) return;
    int64_t chunks = n / CHUNK_ELEMENTS;
    chunks = chunks < 1 ? 1 : chunks > MAX_CHUNKS ? MAX_CHUNKS : chunks;
    fill_job job = { reel_dtype_size(dtype), to, n, (n + chunks - 1) / chunks, element_bits(dtype, value) };
    reel_parallel(exec, (n + job.each - 1) / job.each, fill_chunk, &job);
}

bool reel_play_copy(const reel_play *play)
{
    // The result may have another shape than the operand (reshape): row-major order of the operand's elements is meant.
    const reel_buffer *in = &play->in[0], *out = &play->out[0];
    int64_t strides[REEL_MAX_DIMS], span = 1;
    for (int k = in->ndim - 1; k >= 0; span *= in->shape[k--]) strides[k] = span;
    reel_copy_strided(play->exec, reel_dtype_size(in->dtype), in->ndim, in->shape, out->data, strides, in->data, in->strides);
    return true;
}
