// SPDX-License-Identifier: MIT
// Matrix products: batches folded, operands copied where no kernel takes their strides, tiles cut by shape alone.
#include <reel/ops/blas.h>
#include <reel/ops/copy.h>
#include <reel/ops/gemm.h>
#include <reel/ops/kernels/copy.h>
#include <reel/ops/kernels/matmul.h>
#include <reel/ops/pointwise_impl.h>
#include <reel/ops/sizes.h>

#include <limits.h>
#include <string.h>

/* c = beta c + op(a) op(b), all row-major with leading dimensions; beta is 0 or 1. */
static void gemm_blas(const reel_blas *blas, reel_dtype dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                    const void *a, int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc)
{
    int ta = transpose_a ? CblasTrans : CblasNoTrans, tb = transpose_b ? CblasTrans : CblasNoTrans;
    if (dtype == REEL_F32)
        blas->sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, (float)beta, c,
                    (int)ldc);
    else
        blas->dgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

/* y = beta y + op(x) v with x row-major [rows, columns]. */
static void gemv_blas(const reel_blas *blas, reel_dtype dtype, bool transpose, int64_t rows, int64_t columns, const void *x, int64_t ld,
                      const void *v, int64_t v_step, double beta, void *y, int64_t y_step)
{
    int t = transpose ? CblasTrans : CblasNoTrans;
    if (dtype == REEL_F32)
        blas->sgemv(CblasRowMajor, t, (int)rows, (int)columns, 1, x, (int)ld, v, (int)v_step, (float)beta, y,
                    (int)y_step);
    else
        blas->dgemv(CblasRowMajor, t, (int)rows, (int)columns, 1, x, (int)ld, v, (int)v_step, beta, y, (int)y_step);
}

/* y = beta y + <x, v> */
static void dot_blas(const reel_blas *blas, reel_dtype dtype, int64_t k, const void *x, int64_t x_step, const void *v, int64_t v_step,
                     double beta, void *y)
{
    if (dtype == REEL_F32)
        *(float *)y = (beta != 0 ? *(float *)y : 0) + blas->sdot((int)k, x, (int)x_step, v, (int)v_step);
    else
        *(double *)y = (beta != 0 ? *(double *)y : 0) + blas->ddot((int)k, x, (int)x_step, v, (int)v_step);
}

typedef enum method {
    SMALL,         /* our kernel, b as it lies                                        */
    SMALL_PACKED,  /* our kernel, each task copies its b row-major before             */
    BLOCKED,       /* our kernel on blocks of b (and a transposed a), copied in turns */
    BLAS,          /* gemm                                                            */
    MATRIX_VECTOR, /* n is 1                                                          */
    VECTOR_MATRIX  /* m is 1                                                          */
} method;

/* Work below this many multiplications goes to one thread; tasks above it are cut. About 10 us of one core. */
#define TASK_WORK ((double)(1 << 19))

enum { BLOCK_COLUMNS = 64 };

typedef struct gemm_job {
    reel_gemm g;
    method method;
    int64_t count; /* products in the batch                         */
    int64_t each;  /* products a task takes; more than 1: uncut     */
    int64_t tile_m, tile_n, tiles_m, tiles_n;
    int64_t slices, slice_k; /* of the sum; more than 1: partial sums in `parts` */
    char *parts;
    char *packed; /* copies of operands, packed_bytes a worker */
    int64_t packed_bytes;
    const reel_matmul_kernels_of *kernels;
    const reel_blas *blas; /* of the methods from BLAS on */
    const reel_copy_kernels *copies;
    reel_tile_fn *relu; /* NULL: none */
    int64_t element;
} gemm_job;

/* Batch axes of size 1 dropped, neighbours merged, and those over which b does not change made rows of a. */
static void fold_batch(reel_gemm *g)
{
    int n = 0;
    for (int i = 0; i < g->batch_ndim; i++) {
        if (g->batch[i] == 1) continue;
        int64_t size = g->batch[i], a = g->a_batch[i], b = g->b_batch[i], c = g->c_batch[i];
        if (n > 0 && g->a_batch[n - 1] == size * a && g->b_batch[n - 1] == size * b && g->c_batch[n - 1] == size * c)
            g->batch[--n] *= size;
        else
            g->batch[n] = size;
        g->a_batch[n] = a;
        g->b_batch[n] = b;
        g->c_batch[n++] = c;
    }
    while (n > 0 && g->b_batch[n - 1] == 0) {
        int i = n - 1;
        if (g->m == 1) {
            g->a_row = g->a_batch[i];
            g->c_row = g->c_batch[i];
        } else if (g->a_batch[i] != g->m * g->a_row || g->c_batch[i] != g->m * g->c_row) {
            break;
        }
        g->m *= g->batch[i];
        n--;
    }
    g->batch_ndim = n;
}

/* Strides of an axis of size 1 are made what a row-major matrix has; then one stride must be 1 and the other one large
 * enough for BLAS. */
static bool tidy(int64_t rows, int64_t columns, int64_t *row, int64_t *column)
{
    if (columns == 1 && rows == 1) {
        *row = *column = 1;
    } else if (columns == 1) {
        *column = 1;
    } else if (rows == 1) {
        if (*column == 1)
            *row = columns;
        else
            *row = 1;
    }
    if (*column == 1 && *row >= columns && *row <= INT_MAX) return true;
    return *row == 1 && *column >= rows && *column <= INT_MAX;
}

/* A row-major copy of an operand; batch axes over which it does not change are not copied. */
static bool copy_operand(const reel_exec *exec, const reel_gemm *g, int64_t rows, int64_t columns, const void **data,
                         int64_t *row, int64_t *column, int64_t *batch)
{
    int64_t shape[REEL_MAX_DIMS + 2], from[REEL_MAX_DIMS + 2], to[REEL_MAX_DIMS + 2], step = rows * columns;
    size_t element = reel_dtype_size(g->dtype);
    int ndim = 0;
    for (int i = 0; i < g->batch_ndim; i++) {
        if (batch[i] == 0) continue;
        shape[ndim] = g->batch[i];
        from[ndim++] = batch[i];
    }
    shape[ndim] = rows;
    from[ndim] = *row;
    shape[ndim + 1] = columns;
    from[ndim + 1] = *column;
    to[ndim] = columns;
    to[ndim + 1] = 1;
    for (int i = g->batch_ndim - 1, k = ndim - 1; i >= 0; i--) {
        if (batch[i] == 0) continue;
        to[k] = batch[i] = step;
        step *= shape[k--];
    }
    void *copy = reel_scratch(exec, reel_bytes((size_t)step, element));
    if (!copy) return false;
    reel_copy_strided(exec, element, ndim + 2, shape, copy, to, *data, from);
    *data = copy;
    *row = columns;
    *column = 1;
    return true;
}

static method choose_method(const reel_exec *exec, const reel_gemm *g)
{
    int64_t element = (int64_t)reel_dtype_size(g->dtype);
    double work = (double)g->m * (double)g->n * (double)g->k;
    bool huge = g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX || g->c_row > INT_MAX;
    if (huge) return g->b_column == 1 ? SMALL : SMALL_PACKED;
    if (g->n == 1) return g->m > 1 ? MATRIX_VECTOR : g->k > 16 ? VECTOR_MATRIX : SMALL;
    // b must stay in the second cache while rows of a pass; narrow vectors are left to BLAS, which has wider ones.
    bool fits = (double)g->n * (double)g->k * (double)element <= 256 * 1024 && (g->a_column == 1 || g->k <= 128);
    if (exec->isa < REEL_ISA_AVX2) fits = work <= 512;
    if (fits && g->b_column == 1) return SMALL;
    if (g->m == 1) return VECTOR_MATRIX;
    if (fits && g->m >= 24) return SMALL_PACKED;
    return exec->isa >= REEL_ISA_AVX2 && g->m >= 48 && g->n >= 48 && g->k >= 64 ? BLOCKED : BLAS;
}

/* Halves the longer side until there are tiles enough or they would be too little work. */
static void cut(gemm_job *job)
{
    const reel_gemm *g = &job->g;
    double work = (double)g->m * (double)g->n * (double)g->k;
    job->each = 1;
    job->tile_m = g->m;
    job->tile_n = g->n;
    job->tiles_m = job->tiles_n = job->slices = 1;
    job->slice_k = g->k;
    if (work < TASK_WORK) {
        job->each = (int64_t)(TASK_WORK / work) + 1;
        if (work * (double)job->count < 2 * TASK_WORK) job->each = job->count;
        return;
    }
    if (job->count >= 32 || work < 2 * TASK_WORK) return;
    int64_t want = 16 / job->count > 1 ? 16 / job->count : 1;
    bool blocks = job->method == BLAS || job->method == BLOCKED, rows_only = !blocks && job->method != VECTOR_MATRIX;
    while (job->tiles_m * job->tiles_n < want) {
        bool by_rows = rows_only || (job->method != VECTOR_MATRIX && job->tile_m >= job->tile_n);
        int64_t *tile = by_rows ? &job->tile_m : &job->tile_n, *tiles = by_rows ? &job->tiles_m : &job->tiles_n;
        double half = work / (double)(2 * job->tiles_m * job->tiles_n);
        int64_t least = blocks ? 64 : 24, step = job->method == BLOCKED && !by_rows ? BLOCK_COLUMNS : 24;
        if (*tile < 2 * least || half < TASK_WORK) break;
        *tile = (*tile / 2 + step - 1) / step * step;
        *tiles = ((by_rows ? g->m : g->n) + *tile - 1) / *tile;
    }
    // Little to cut but a long sum: cut the sum, and add the parts in order.
    if (blocks && job->count * job->tiles_m * job->tiles_n < 4 && g->k >= 4096) {
        job->slices = g->k / 2048 < 16 ? g->k / 2048 : 16;
        job->slice_k = (g->k + job->slices - 1) / job->slices;
    }
}

static void start_rows(const gemm_job *job, char *c, int64_t m, int64_t n, int64_t j)
{
    const char *bias = (const char *)job->g.bias + j * job->element;
    for (int64_t i = 0; i < m; i++) {
        char *row = c + i * job->g.c_row * job->element;
        if (n * job->element <= 64)
            for (int64_t byte = 0; byte < n * job->element; byte += 4) memcpy(row + byte, bias + byte, 4);
        else
            memcpy(row, bias, (size_t)(n * job->element));
    }
}

/* What is done to a tile of the result while it is in the cache. */
static void finish_tile(const gemm_job *job, char *c, int64_t m, int64_t n)
{
    int64_t row = job->g.c_row;
    if (!job->relu) return;
    if (row == n) {
        n *= m;
        m = 1;
    }
    for (int64_t i = 0; i < m; i++, c += row * job->element)
        reel_pointwise_run(job->relu, n, c, (const void *const[]) { c }, 1,
                           (const int[]) { (int)job->element, (int)job->element }, NULL);
}

/* Terms of a sum that a block takes: a panel of so many rows of b stays in the first cache. */
static int64_t block_terms(const gemm_job *job) { return 1024 / job->element; }

/* c = a b + bias (a, b and c already at the tile): b's blocks copied by panels of the kernel's width, and a's row-major
 * where it is transposed. */
static void run_blocked(const gemm_job *job, int64_t m, int64_t n, int64_t k, const char *a, const char *b, char *c,
                        int64_t c_row, const char *bias, int worker)
{
    const reel_gemm *g = &job->g;
    int64_t e = job->element, panel = job->kernels->width, terms = block_terms(job), a_row = g->a_row, a_column = g->a_column;
    char *b_block = job->packed + worker * job->packed_bytes, *a_block = b_block + terms * BLOCK_COLUMNS * e;
    for (int64_t p = 0; p < k; p += terms) {
        int64_t kp = smaller(terms, k - p);
        const char *a_at = a + p * g->a_column * e;
        if (g->a_column != 1) {
            a_row = kp + 64 / e;
            reel_copy_axes axes = { 2, { m, kp }, { a_row, 1 }, { g->a_row, g->a_column } };
            job->copies->copy((size_t)e, &axes, a_block, a_at);
            a_at = a_block;
            a_column = 1;
        }
        for (int64_t j = 0; j < n; j += BLOCK_COLUMNS) {
            int64_t nj = smaller(BLOCK_COLUMNS, n - j);
            const char *b_at = b + (p * g->b_row + j * g->b_column) * e;
            if (g->b_column == 1) job->kernels->pack(kp, nj, b_at, g->b_row, b_block);
            for (int64_t i = 0; i < nj; i += panel) {
                int64_t width = smaller(panel, nj - i);
                char *b_panel = b_block + i * kp * e;
                if (g->b_column != 1) {
                    reel_copy_axes axes = { 2, { kp, width }, { width, 1 }, { g->b_row, g->b_column } };
                    job->copies->copy((size_t)e, &axes, b_panel, b_at + i * g->b_column * e);
                }
                job->kernels->small(m, width, kp, a_at, a_row, a_column, REEL_MATMUL_ROWS * a_row, b_panel, width, c + (j + i) * e, c_row,
                                    bias && p == 0 ? bias + (j + i) * e : NULL, p > 0);
            }
        }
    }
}

/* Rows [i, i + m) and columns [j, j + n) of one product, terms [p, p + k) of its sum. */
static void run_tile(const gemm_job *job, const char *a, const char *b, char *c, int64_t c_row, int64_t i, int64_t m,
                     int64_t j, int64_t n, int64_t p, int64_t k, bool biased, int worker)
{
    const reel_gemm *g = &job->g;
    int64_t e = job->element;
    a += (i * g->a_row + p * g->a_column) * e;
    b += (p * g->b_row + j * g->b_column) * e;
    c += (i * c_row + j) * e;
    const char *bias = biased && g->bias ? (const char *)g->bias + j * e : NULL;
    int64_t b_row = g->b_row;
    if (job->method == SMALL_PACKED) {
        char *packed = job->packed + worker * job->packed_bytes;
        reel_copy_axes axes = { 2, { k, n }, { n, 1 }, { g->b_row, g->b_column } };
        job->copies->copy((size_t)e, &axes, packed, b);
        b = packed;
        b_row = n;
    }
    if (job->method == SMALL || job->method == SMALL_PACKED) {
        job->kernels->small(m, n, k, a, g->a_row, g->a_column, REEL_MATMUL_ROWS * g->a_row, b, b_row, c, c_row, bias, false);
        return;
    }
    if (job->method == BLOCKED) {
        run_blocked(job, m, n, k, a, b, c, c_row, bias, worker);
        return;
    }
    if (bias) start_rows(job, c, m, n, j);
    double beta = bias ? 1 : 0;
    bool ta = g->a_column != 1, tb = g->b_column != 1;
    if (job->method == MATRIX_VECTOR)
        gemv_blas(job->blas, g->dtype, ta, ta ? k : m, ta ? m : k, a, ta ? g->a_column : g->a_row, b, g->b_row, beta, c, c_row);
    else if (m == 1 && n == 1)
        dot_blas(job->blas, g->dtype, k, a, g->a_column, b, g->b_row, beta, c);
    else if (job->method == VECTOR_MATRIX)
        gemv_blas(job->blas, g->dtype, !tb, tb ? n : k, tb ? k : n, b, tb ? g->b_column : g->b_row, a, g->a_column, beta, c, 1);
    else
        gemm_blas(job->blas, g->dtype, ta, tb, m, n, k, a, ta ? g->a_column : g->a_row, b, tb ? g->b_column : g->b_row, beta,
                       c, c_row);
}

static void gemm_task(void *arg, int64_t task, int worker)
{
    const gemm_job *job = arg;
    const reel_gemm *g = &job->g;
    int64_t slice = task % job->slices, tile = task / job->slices;
    int64_t j = tile % job->tiles_n * job->tile_n, i = tile / job->tiles_n % job->tiles_m * job->tile_m;
    int64_t first = tile / (job->tiles_n * job->tiles_m) * job->each;
    int64_t m = g->m - i < job->tile_m ? g->m - i : job->tile_m, n = g->n - j < job->tile_n ? g->n - j : job->tile_n;
    int64_t p = slice * job->slice_k, k = g->k - p < job->slice_k ? g->k - p : job->slice_k;
    for (int64_t z = first; z < first + job->each && z < job->count; z++) {
        reel_gemm_start start = reel_gemm_product(g, z);
        const char *a_data = (const char *)g->a + start.a * job->element;
        const char *b_data = (const char *)g->b + start.b * job->element;
        char *c_data = (char *)g->c + start.c * job->element;
        if (job->slices == 1) {
            run_tile(job, a_data, b_data, c_data, g->c_row, i, m, j, n, p, k, true, worker);
            finish_tile(job, c_data + (i * g->c_row + j) * job->element, m, n);
        } else {
            char *part = job->parts + (z * job->slices + slice) * g->m * g->n * job->element;
            run_tile(job, a_data, b_data, part, g->n, i, m, j, n, p, k, false, worker);
        }
    }
}

#define ADD_PARTS(T)                                                                                                   \
    do {                                                                                                               \
        T *c = (T *)g->c + offset + i * g->c_row;                                                                      \
        const T *part = (const T *)job->parts + z * job->slices * g->m * g->n + i * g->n, *bias = g->bias;             \
        for (int64_t j = 0; j < g->n; j++) c[j] = bias ? bias[j] + part[j] : part[j];                                  \
        for (int64_t s = 1; s < job->slices; s++)                                                                      \
            for (int64_t j = 0; j < g->n; j++) c[j] += part[s * g->m * g->n + j];                                      \
    } while (0)

static void add_parts_task(void *arg, int64_t z, int worker)
{
    (void)worker;
    const gemm_job *job = arg;
    const reel_gemm *g = &job->g;
    int64_t offset = reel_gemm_product(g, z).c;
    for (int64_t i = 0; i < g->m; i++) {
        if (g->dtype == REEL_F32)
            ADD_PARTS(float);
        else
            ADD_PARTS(double);
    }
    finish_tile(job, (char *)g->c + offset * job->element, g->m, g->n);
}
#undef ADD_PARTS

/* No terms: bias or zeros. */
static void run_empty(const gemm_job *job)
{
    const reel_gemm *g = &job->g;
    for (int64_t z = 0; z < job->count; z++) {
        char *c = (char *)g->c + reel_gemm_product(g, z).c * job->element;
        for (int64_t i = 0; i < g->m && !g->bias; i++)
            memset(c + i * g->c_row * job->element, 0, (size_t)(g->n * job->element));
        if (g->bias) start_rows(job, c, g->m, g->n, 0);
        finish_tile(job, c, g->m, g->n);
    }
}

bool reel_gemm_run(const reel_exec *exec, const reel_gemm *gemm)
{
    gemm_job job;
    memset(&job, 0, sizeof job);
    job.g = *gemm;
    reel_gemm *g = &job.g;
    job.element = (int64_t)reel_dtype_size(g->dtype);
    if (g->relu) job.relu = reel_pointwise_tile(exec->isa, REEL_PW_RELU, g->dtype);
    job.count = reel_gemm_products(g);
    if (g->m == 0 || g->n == 0 || job.count == 0) return true;
    fold_batch(g);
    job.count = reel_gemm_products(g);
    if (g->k == 0) {
        run_empty(&job);
        return true;
    }
    if (!tidy(g->m, g->k, &g->a_row, &g->a_column) &&
        !copy_operand(exec, g, g->m, g->k, &g->a, &g->a_row, &g->a_column, g->a_batch))
        return false;
    if (!tidy(g->k, g->n, &g->b_row, &g->b_column) &&
        !copy_operand(exec, g, g->k, g->n, &g->b, &g->b_row, &g->b_column, g->b_batch))
        return false;
    job.kernels = reel_matmul_of(exec->isa, g->dtype);
    job.copies = reel_copy_kernels_for(exec->isa);
    job.method = choose_method(exec, g);
    if (job.method != SMALL && reel_gemm_packs(exec, g)) return reel_gemm_packed(exec, g);
    if (job.method >= BLAS) job.blas = reel_blas_of_process();
    if (job.method >= BLAS && !job.blas) job.method = g->b_column == 1 ? SMALL : SMALL_PACKED; /* any size, more slowly */
    cut(&job);
    if (job.method == SMALL_PACKED) job.packed_bytes = g->n * g->k * job.element;
    if (job.method == BLOCKED)
        job.packed_bytes = block_terms(&job) * BLOCK_COLUMNS * job.element +
                           (g->a_column != 1 ? (block_terms(&job) * job.element + 64) * job.tile_m : 0);
    if (job.packed_bytes > 0) {
        job.packed = reel_scratch(exec, reel_bytes((size_t)job.packed_bytes, (size_t)exec->threads));
        if (!job.packed) return false;
    }
    if (job.slices > 1) {
        int64_t numel = job.count * job.slices * g->m * g->n;
        job.parts = reel_scratch(exec, reel_bytes((size_t)numel, (size_t)job.element));
        if (!job.parts) return false;
    }
    int64_t groups = (job.count + job.each - 1) / job.each;
    reel_parallel(exec, groups * job.tiles_m * job.tiles_n * job.slices, gemm_task, &job);
    if (job.slices > 1) reel_parallel(exec, job.count, add_parts_task, &job);
    return true;
}
