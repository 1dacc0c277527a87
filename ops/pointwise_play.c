// SPDX-License-Identifier: MIT
// Playing one elementwise op: tiles of contiguous memory in parallel, broadcast operands without copies of them.
#include <reel/ops/pointwise_impl.h>

#include <string.h>

/* A chunk is one piece of parallel work, a tile is what is gathered at once of an operand that is not contiguous, and
 * rows of this length or more are played one by one. All in elements. */
#define CHUNK 32768
#define TILE 1024
#define LONG_ROW 256
#define MAX_IN 3

/* How the elements of an operand are brought into the output's order. */
typedef enum operand_kind {
    DENSE,    /* they are in it                                            */
    REPEATED, /* every tile has the same ones: gathered once for a chunk   */
    GATHERED  /* gathered for each tile                                    */
} operand_kind;

/* An operand along the collapsed axes, the last one fastest. */
typedef struct operand {
    const char *data;
    int size;
    operand_kind kind;
    int64_t stride[REEL_MAX_DIMS];
} operand;

typedef struct job {
    reel_tile_fn *fn;
    const void *attrs;
    char *out;
    int64_t numel, chunk, tile;
    int ndim, n_in;
    int64_t shape[REEL_MAX_DIMS];
    int size[1 + MAX_IN];
    operand in[MAX_IN];
} job;

void reel_pointwise_run(reel_tile_fn *fn, int64_t n, void *out, const void *const *in, int n_in, const int *size,
                        const void *attrs)
{
    int64_t whole = n - n % REEL_TILE_LANES;
    const void *at[MAX_IN] = { NULL };
    for (int i = 0; i < n_in; i++) at[i] = in[i];
    if (whole) fn(whole, out, at[0], at[1], at[2], attrs);
    if (whole == n) return;

    _Alignas(64) char block[1 + MAX_IN][REEL_TILE_LANES * sizeof(double)];
    size_t rest = (size_t)(n - whole);
    for (int i = 0; i < n_in; i++) {
        size_t bytes = rest * (size_t)size[1 + i];
        memcpy(block[1 + i], (const char *)in[i] + whole * size[1 + i], bytes);
        memset(block[1 + i] + bytes, 0, REEL_TILE_LANES * (size_t)size[1 + i] - bytes);
        at[i] = block[1 + i];
    }
    fn(REEL_TILE_LANES, block[0], at[0], at[1], at[2], attrs);
    memcpy((char *)out + whole * size[0], block[0], rest * (size_t)size[0]);
}

/* n elements, `stride` elements apart, to contiguous memory. */
#define REEL_COPY(U)                                                                                                   \
    {                                                                                                                  \
        const U *f = (const U *)from, first = *f;                                                                      \
        if (stride == 0)                                                                                               \
            for (int64_t i = 0; i < n; i++) ((U *)to)[i] = first;                                                      \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++) ((U *)to)[i] = f[i * stride];                                              \
        break;                                                                                                         \
    }

static void copy_row(char *to, const char *from, int64_t n, int64_t stride, int size)
{
    if (stride == 1) {
        memcpy(to, from, (size_t)(n * size));
        return;
    }
    switch (size) {
    case 1: REEL_COPY(uint8_t)
    case 4: REEL_COPY(uint32_t)
    default: REEL_COPY(uint64_t)
    }
}
#undef REEL_COPY

/* Where element `at` of the output's row-major order is in x. */
static int64_t offset_of(const job *j, const operand *x, int64_t at)
{
    int64_t offset = 0;
    for (int d = j->ndim - 1; d >= 0; d--) {
        offset += at % j->shape[d] * x->stride[d];
        at /= j->shape[d];
    }
    return offset;
}

/* Elements [at, at + n) of the output's row-major order, gathered from x. */
static void gather(const job *j, const operand *x, int64_t at, int64_t n, char *to)
{
    int last = j->ndim - 1;
    int64_t index[REEL_MAX_DIMS], rest = at, offset = offset_of(j, x, at);
    for (int d = last; d >= 0; d--) {
        index[d] = rest % j->shape[d];
        rest /= j->shape[d];
    }
    while (n > 0) {
        int64_t length = j->shape[last] - index[last] < n ? j->shape[last] - index[last] : n;
        copy_row(to, x->data + offset * x->size, length, x->stride[last], x->size);
        to += length * x->size;
        n -= length;
        offset -= index[last] * x->stride[last];
        index[last] = 0;
        for (int d = last - 1; d >= 0; d--) {
            offset += x->stride[d];
            if (++index[d] < j->shape[d]) break;
            offset -= x->stride[d] * j->shape[d];
            index[d] = 0;
        }
    }
}

static int64_t chunk_end(const job *j, int64_t begin)
{
    return j->numel - begin < j->chunk ? j->numel : begin + j->chunk;
}

static void play_dense(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    int64_t begin = chunk * j->chunk;
    const void *in[MAX_IN];
    (void)worker;
    for (int i = 0; i < j->n_in; i++) in[i] = j->in[i].data + begin * j->in[i].size;
    reel_pointwise_run(j->fn, chunk_end(j, begin) - begin, j->out + begin * j->size[0], in, j->n_in, j->size, j->attrs);
}

/* Tiles that run across short rows. */
static void play_tiles(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    int64_t begin = chunk * j->chunk, end = chunk_end(j, begin);
    _Alignas(64) char buffer[MAX_IN][TILE * sizeof(double)];
    const void *in[MAX_IN];
    (void)worker;
    for (int64_t at = begin, n; at < end; at += n) {
        n = end - at < j->tile ? end - at : j->tile;
        for (int i = 0; i < j->n_in; i++) {
            const operand *x = &j->in[i];
            in[i] = x->kind == DENSE ? x->data + at * x->size : buffer[i];
            if (x->kind == GATHERED || (x->kind == REPEATED && at == begin)) gather(j, x, at, n, buffer[i]);
        }
        reel_pointwise_run(j->fn, n, j->out + at * j->size[0], in, j->n_in, j->size, j->attrs);
    }
}

/* Long rows, where an operand is contiguous, one value, or strided along the row. */
static void play_rows(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    int64_t at = chunk * j->chunk, end = chunk_end(j, at), row = j->shape[j->ndim - 1];
    _Alignas(64) char buffer[MAX_IN][TILE * sizeof(double)];
    const void *in[MAX_IN];
    (void)worker;
    while (at < end) {
        int64_t length = row - at % row < end - at ? row - at % row : end - at;
        const char *from[MAX_IN];
        for (int i = 0; i < j->n_in; i++) {
            const operand *x = &j->in[i];
            from[i] = x->data + offset_of(j, x, at) * x->size;
            if (x->stride[j->ndim - 1] == 0) copy_row(buffer[i], from[i], length < j->tile ? length : j->tile, 0, x->size);
        }
        for (int64_t k = 0, n; k < length; k += n) {
            n = length - k < j->tile ? length - k : j->tile;
            for (int i = 0; i < j->n_in; i++) {
                const operand *x = &j->in[i];
                int64_t stride = x->stride[j->ndim - 1];
                in[i] = stride == 1 ? from[i] + k * x->size : buffer[i];
                if (stride != 0 && stride != 1) copy_row(buffer[i], from[i] + k * stride * x->size, n, stride, x->size);
            }
            reel_pointwise_run(j->fn, n, j->out + (at + k) * j->size[0], in, j->n_in, j->size, j->attrs);
        }
        at += length;
    }
}

/* Drops axes of size 1 and joins neighbours that lie end to end in every operand. */
static void collapse(job *j, const reel_buffer *out, const reel_buffer *in)
{
    int nd = 0;
    for (int d = 0; d < out->ndim; d++) {
        if (out->shape[d] == 1) continue;
        int64_t stride[MAX_IN];
        bool joins = nd > 0;
        for (int i = 0; i < j->n_in; i++) {
            int axis = d - out->ndim + in[i].ndim;
            stride[i] = axis < 0 || in[i].shape[axis] == 1 ? 0 : in[i].strides[axis];
            joins = joins && j->in[i].stride[nd - 1] == stride[i] * out->shape[d];
        }
        if (!joins) j->shape[nd++] = 1;
        j->shape[nd - 1] *= out->shape[d];
        for (int i = 0; i < j->n_in; i++) j->in[i].stride[nd - 1] = stride[i];
    }
    if (nd == 0) {
        j->shape[nd++] = 1;
        for (int i = 0; i < j->n_in; i++) j->in[i].stride[0] = 1;
    }
    j->ndim = nd;
}

/* Chooses how to go through the elements, from shapes and strides alone. */
static reel_task *choose(job *j)
{
    bool dense = true, contiguous_rows = true, strided_rows = false;
    int64_t longest = 1; /* period that fits a tile; shorter ones divide it */
    j->chunk = CHUNK;
    for (int i = 0; i < j->n_in; i++) {
        operand *x = &j->in[i];
        int64_t size = 1, period = 1;
        x->kind = DENSE;
        for (int d = j->ndim - 1; d >= 0; d--) {
            if (x->stride[d] != size) x->kind = GATHERED;
            size *= j->shape[d];
            if (x->stride[d] != 0) period = size;
        }
        dense = dense && x->kind == DENSE;
        contiguous_rows = contiguous_rows && x->stride[j->ndim - 1] == 1;
        strided_rows = strided_rows || x->stride[j->ndim - 1] > 1 || x->stride[j->ndim - 1] < 0;
        if (x->kind != DENSE && period <= TILE) {
            x->kind = REPEATED;
            if (period > longest) longest = period;
        }
    }
    if (dense) return play_dense;
    if (j->shape[j->ndim - 1] >= LONG_ROW) {
        j->tile = contiguous_rows ? CHUNK : strided_rows ? TILE : LONG_ROW; /* one value is written out in short */
        return play_rows;
    }
    while (longest % REEL_TILE_LANES && 2 * longest <= TILE) longest *= 2;
    j->tile = TILE - TILE % longest;
    j->chunk = CHUNK - CHUNK % j->tile;
    return play_tiles;
}

bool reel_pointwise_play(const reel_play *play) { return reel_pointwise_play_as(play, play->op->pointwise); }

bool reel_pointwise_play_as(const reel_play *play, int code)
{
    const reel_buffer *out = &play->out[0];
    if (out->numel == 0) return true;
    job j;
    j.fn = reel_pointwise_tile(play->exec->isa, code, play->in[play->n_in - 1].dtype);
    j.attrs = play->attrs;
    j.out = out->data;
    j.numel = out->numel;
    j.n_in = play->n_in;
    j.size[0] = (int)reel_dtype_size(out->dtype);
    for (int i = 0; i < j.n_in; i++) {
        j.in[i].data = play->in[i].data;
        j.in[i].size = j.size[1 + i] = (int)reel_dtype_size(play->in[i].dtype);
    }
    collapse(&j, out, play->in);
    reel_task *task = choose(&j);
    reel_parallel(play->exec, (j.numel + j.chunk - 1) / j.chunk, task, &j);
    return true;
}
