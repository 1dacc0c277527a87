// SPDX-License-Identifier: MIT
// Large matrix products: both operands are packed once, b by panels and a by register tiles, then tasks of rows and columns
// multiply what all threads share.
//
// The blocking is Goto's (Goto & van de Geijn 2008, fig. 8): a panel of b stays in the first cache while a task's block of a
// passes over it from the second.
#include <reel/ops/copy.h>
#include <reel/ops/gemm.h>
#include <reel/ops/kernels/copy.h>
#include <reel/ops/kernels/matmul.h>
#include <reel/ops/pointwise_impl.h>
#include <reel/ops/sizes.h>

enum {
    TERMS_BYTES = 2048,     /* of a row of a in a block: 512 terms of float32                        */
    MOST_ROWS = 144,        /* of a task, whose block of a then stays in the second cache            */
    TASKS = 32,             /* that are wanted                                                       */
    PACK_ROWS = 48,         /* of a that a chunk packs                                               */
    PACK_COLUMNS = 128,     /* of b that a chunk packs                                               */
    PACKED_BYTES = 32 << 20 /* of each operand that are packed at once                               */
};

/* A part of a product: all rows and columns that are packed at once. */
typedef struct packed_job {
    reel_gemm g;
    const reel_matmul_kernels_of *kernels;
    const reel_copy_kernels *copies;
    reel_tile_fn *relu;
    int64_t element, terms, blocks;          /* terms of a block of the sum; blocks */
    int64_t rows, columns, of_row, of_column; /* of a task; tasks over all rows, all columns */
    char *a, *b;                             /* packed: [block][6 rows][term][row], [block][panel][term][column] */
} packed_job;

static int64_t terms_of(const packed_job *job, int64_t block) { return smaller(job->terms, job->g.k - block * job->terms); }

/* Where a block of a from row i on, and of b from column j on, is packed. */
static char *rows_of_a(const packed_job *job, int64_t block, int64_t i)
{
    int64_t rows = round_up(job->g.m, REEL_MATMUL_ROWS);
    return job->a + (block * job->terms * rows + i * terms_of(job, block)) * job->element;
}

static char *panel_of_b(const packed_job *job, int64_t block, int64_t j)
{
    return job->b + (block * job->terms * job->g.n + j * terms_of(job, block)) * job->element;
}

static void pack_a_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const packed_job *job = arg;
    const reel_gemm *g = &job->g;
    int64_t block = task % job->blocks, i = task / job->blocks * PACK_ROWS, p = block * job->terms;
    job->kernels->pack_rows(smaller(PACK_ROWS, g->m - i), terms_of(job, block),
                            (const char *)g->a + (i * g->a_row + p * g->a_column) * job->element, g->a_row, g->a_column,
                            rows_of_a(job, block, i));
}

static void pack_b_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const packed_job *job = arg;
    const reel_gemm *g = &job->g;
    int64_t block = task % job->blocks, first = task / job->blocks * PACK_COLUMNS, p = block * job->terms, e = job->element;
    int64_t k = terms_of(job, block), n = smaller(PACK_COLUMNS, g->n - first);
    const char *b = (const char *)g->b + (p * g->b_row + first * g->b_column) * e;
    if (g->b_column == 1) {
        job->kernels->pack(k, n, b, g->b_row, panel_of_b(job, block, first));
        return;
    }
    for (int64_t j = 0; j < n; j += job->kernels->width) {
        int64_t width = smaller(job->kernels->width, n - j);
        reel_copy_axes axes = { 2, { k, width }, { width, 1 }, { g->b_row, g->b_column } };
        job->copies->copy((size_t)e, &axes, panel_of_b(job, block, first + j), b + j * g->b_column * e);
    }
}

static void multiply_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const packed_job *job = arg;
    const reel_gemm *g = &job->g;
    int64_t e = job->element, i = task / job->of_row * job->rows, m = smaller(job->rows, g->m - i);
    int64_t first = task % job->of_row * job->columns, end = smaller(first + job->columns, g->n);
    char *c = (char *)g->c + i * g->c_row * e;
    for (int64_t block = 0; block < job->blocks; block++)
        for (int64_t j = first; j < end; j += job->kernels->width) {
            const char *bias = g->bias && block == 0 ? (const char *)g->bias + j * e : NULL;
            int64_t width = smaller(job->kernels->width, end - j), k = terms_of(job, block);
            job->kernels->small(m, width, k, rows_of_a(job, block, i), 1, REEL_MATMUL_ROWS, REEL_MATMUL_ROWS * k,
                                panel_of_b(job, block, j), width, c + j * e, g->c_row, bias, block > 0);
        }
    for (int64_t r = 0; r < m && job->relu; r++) {
        char *row = c + (r * g->c_row + first) * e;
        reel_pointwise_run(job->relu, end - first, row, (const void *const[]) { row }, 1, (const int[]) { (int)e, (int)e }, NULL);
    }
}

/* Work for all threads in each product; those of a batch are else shared out whole. */
bool reel_gemm_packs(const reel_exec *exec, const reel_gemm *g)
{
    double work = (double)g->m * (double)g->n * (double)g->k;
    return exec->isa >= REEL_ISA_AVX2 && g->m >= 96 && g->n >= 128 && g->k >= 128 && g->k <= PACKED_BYTES / 1024 &&
           work >= (reel_gemm_products(g) == 1 ? 8e6 : 6e7);
}

/* Rows or columns that are packed at once, of rows of k terms. */
static int64_t strip_of(const packed_job *job, int64_t n)
{
    return smaller(n, PACKED_BYTES / (job->g.k * job->element) / PACK_COLUMNS * PACK_COLUMNS);
}

/* Tasks of the rows and columns that are packed. */
static void cut(packed_job *job)
{
    int64_t width = job->kernels->width, m = job->g.m, n = job->g.n;
    job->rows = round_up(blocks(m, blocks(m, MOST_ROWS)), REEL_MATMUL_ROWS);
    job->of_column = blocks(m, job->rows);
    int64_t most = blocks(n, 2 * width);
    job->columns = round_up(blocks(n, smaller(blocks(TASKS, job->of_column), most)), width);
    job->of_row = blocks(n, job->columns);
}

/* c = a b + bias of one product, by parts whose operands are packed at once. */
static void run(const reel_exec *exec, packed_job *job, const reel_gemm *whole)
{
    reel_gemm *g = &job->g;
    int64_t e = job->element, of_b = strip_of(job, whole->n), of_a = strip_of(job, whole->m);
    for (int64_t j = 0; j < whole->n; j += of_b) {
        g->n = smaller(of_b, whole->n - j);
        g->b = (const char *)whole->b + j * whole->b_column * e;
        g->bias = whole->bias ? (const char *)whole->bias + j * e : NULL;
        reel_parallel(exec, job->blocks * blocks(g->n, PACK_COLUMNS), pack_b_task, job);
        for (int64_t i = 0; i < whole->m; i += of_a) {
            g->m = smaller(of_a, whole->m - i);
            g->a = (const char *)whole->a + i * whole->a_row * e;
            g->c = (char *)whole->c + (i * whole->c_row + j) * e;
            cut(job);
            reel_parallel(exec, job->blocks * blocks(g->m, PACK_ROWS), pack_a_task, job);
            reel_parallel(exec, job->of_row * job->of_column, multiply_task, job);
        }
    }
}

bool reel_gemm_packed(const reel_exec *exec, const reel_gemm *gemm)
{
    packed_job job = { .g = *gemm, .kernels = reel_matmul_of(exec->isa, gemm->dtype), .copies = reel_copy_kernels_for(exec->isa) };
    reel_gemm one = *gemm;
    int64_t e = job.element = (int64_t)reel_dtype_size(gemm->dtype), k = gemm->k;
    if (gemm->relu) job.relu = reel_pointwise_tile(exec->isa, REEL_PW_RELU, gemm->dtype);
    job.terms = round_up(blocks(k, blocks(k, TERMS_BYTES / e)), 8);
    job.blocks = blocks(k, job.terms);
    size_t rows = (size_t)round_up(strip_of(&job, gemm->m), REEL_MATMUL_ROWS);
    job.a = reel_scratch(exec, reel_bytes(rows * (size_t)k, (size_t)e));
    job.b = reel_scratch(exec, reel_bytes((size_t)(strip_of(&job, gemm->n) * k), (size_t)e));
    if (!job.a || !job.b) return false;
    int64_t count = reel_gemm_products(gemm);
    for (int64_t z = 0; z < count; z++) {
        reel_gemm_start start = reel_gemm_product(gemm, z);
        one.a = (const char *)gemm->a + start.a * e;
        one.b = (const char *)gemm->b + start.b * e;
        one.c = (char *)gemm->c + start.c * e;
        run(exec, &job, &one);
    }
    return true;
}
