// SPDX-License-Identifier: MIT
// Products of integer matrices: exact, and around the end of the dtype as sums of integers are.
#include <reel/ops/matmul_integer.h>

typedef struct integer_job {
    const reel_gemm *g;
    int64_t rows, rows_each; // of all products
} integer_job;

// One row of c. Sums of 64 unsigned bits have the right low ones for every dtype.
#define ROW(T)                                                                                                         \
    for (int64_t j = 0; j < g->n; j++) {                                                                               \
        const T *x = (const T *)g->a + a, *y = (const T *)g->b + b + j * g->b_column;                                  \
        uint64_t sum = g->bias ? (uint64_t)((const T *)g->bias)[j] : 0;                                                \
        for (int64_t k = 0; k < g->k; k++) sum += (uint64_t)x[k * g->a_column] * (uint64_t)y[k * g->b_row];            \
        ((T *)g->c + c)[j] = (T)sum;                                                                                   \
    }

static void integer_rows(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    const integer_job *job = arg;
    const reel_gemm *g = job->g;
    int64_t end = (chunk + 1) * job->rows_each < job->rows ? (chunk + 1) * job->rows_each : job->rows;
    for (int64_t row = chunk * job->rows_each; row < end; row++) {
        reel_gemm_start start = reel_gemm_product(g, row / g->m);
        int64_t i = row % g->m, a = start.a + i * g->a_row, b = start.b, c = start.c + i * g->c_row;
        switch (g->dtype) {
        case REEL_I64: ROW(int64_t) break;
        case REEL_I32: ROW(int32_t) break;
        default: ROW(uint8_t) break;
        }
    }
}
#undef ROW

void reel_matmul_integers(const reel_exec *exec, const reel_gemm *g)
{
    integer_job job = { .g = g, .rows = g->m * reel_gemm_products(g) };
    if (job.rows == 0 || g->n == 0) return;
    double work = (double)g->n * (double)(g->k + 1);
    job.rows_each = work < 1 << 15 ? (int64_t)((1 << 15) / work) : 1;
    reel_parallel(exec, (job.rows + job.rows_each - 1) / job.rows_each, integer_rows, &job);
}
