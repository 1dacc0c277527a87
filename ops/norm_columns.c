// SPDX-License-Identifier: MIT
// Normalisation of batches with little or no space, over the columns of a matrix.
#include "norm_job.h"

#define COLUMNS 512  /* columns of a chunk                    */
#define MIN_ROWS 256 /* rows of a chunk of column sums, at least */

/* The matrix [n, g * s] is cut into blocks of job->chunk rows and COLUMNS columns. */
typedef struct norm_block {
    int64_t row, rows, column, columns;
} norm_block;

static norm_block block_of(const norm_job *job, int64_t chunk)
{
    int64_t width = job->geometry.g * job->geometry.s, across = norm_ceil_div(width, COLUMNS);
    int64_t row = chunk / across * job->chunk, column = chunk % across * COLUMNS;
    return (norm_block) { row, norm_min(job->chunk, job->geometry.n - row), column, norm_min(COLUMNS, width - column) };
}

static int64_t cut_columns(norm_job *job)
{
    int64_t width = job->geometry.g * job->geometry.s;
    job->chunk = norm_max(MIN_ROWS, NORM_CHUNK / width);
    return norm_ceil_div(job->geometry.n, job->chunk);
}

static void column_moments_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    int64_t width = job->geometry.g * job->geometry.s;
    norm_block block = block_of(job, chunk);
    (void)worker;
    job->fns->column_moments(block.rows, block.columns, width,
                             norm_at(job->x, job->dtype, block.row * width + block.column),
                             &job->moments[block.row / job->chunk * width + block.column]);
}

static void column_sums_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    int64_t width = job->geometry.g * job->geometry.s;
    norm_block block = block_of(job, chunk);
    int64_t first = block.row * width + block.column;
    (void)worker;
    job->fns->column_sums(block.rows, block.columns, width, norm_at(job->gy, job->dtype, first),
                          norm_at(job->x, job->dtype, first), norm_at(job->column[0], job->dtype, block.column),
                          &job->sums[2 * (block.row / job->chunk * width + block.column)]);
}

static void column_apply_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    int64_t width = job->geometry.g * job->geometry.s, row = chunk * job->chunk;
    (void)worker;
    job->fns->column_apply(norm_min(job->chunk, job->geometry.n - row), width, width,
                           norm_at(job->x, job->dtype, row * width), job->column[0], job->column[1], job->column[2],
                           norm_out_at(job->y, job->dtype, row * width));
}

static void column_combine_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    int64_t width = job->geometry.g * job->geometry.s, row = chunk * job->chunk;
    (void)worker;
    job->fns->column_combine(norm_min(job->chunk, job->geometry.n - row), width, width,
                             norm_at(job->gy, job->dtype, row * width), norm_at(job->x, job->dtype, row * width),
                             job->column[0], job->column[1], job->column[2], job->column[3],
                             norm_out_at(job->gx, job->dtype, row * width));
}

static bool make_columns(norm_job *job, int count)
{
    int64_t width = job->geometry.g * job->geometry.s;
    for (int i = 0; i < count; i++) {
        job->column[i] = reel_scratch(job->play->exec, reel_bytes((size_t)width, reel_dtype_size(job->dtype)));
        if (!job->column[i]) return reel_play_out_of_memory(job->play);
    }
    return true;
}

static void by_rows(norm_job *job, reel_task *task)
{
    job->chunk = norm_max(1, NORM_CHUNK / (job->geometry.g * job->geometry.s));
    reel_parallel(job->play->exec, norm_ceil_div(job->geometry.n, job->chunk), task, job);
}

bool reel_norm_columns_play(norm_job *job)
{
    const norm_geometry *k = &job->geometry;
    int64_t width = k->g * k->s;
    if (!make_columns(job, 3)) return false;
    if (!job->mean) {
        int64_t down = cut_columns(job);
        job->moments = reel_scratch(job->play->exec, reel_bytes((size_t)(down * width), sizeof *job->moments));
        if (!job->moments) return reel_play_out_of_memory(job->play);
        reel_parallel(job->play->exec, down * norm_ceil_div(width, COLUMNS), column_moments_task, job);
        for (int64_t i = 0; i < k->g; i++) {
            reel_moments all = { 0 };
            for (int64_t j = i * k->s; j < (i + 1) * k->s; j++)
                for (int64_t row = 0; row < down; row++) reel_moments_add(&all, &job->moments[row * width + j], true);
            norm_put(job->mean_out, job->dtype, i, all.mean);
            norm_put(job->var_out, job->dtype, i, all.m2 / all.count);
        }
        job->mean = job->mean_out;
        job->var = job->var_out;
    }
    for (int64_t j = 0; j < width; j++) {
        int64_t i = j / k->s;
        norm_put(job->column[0], job->dtype, j, norm_get(job->mean, job->dtype, i));
        norm_put(job->column[1], job->dtype, j,
                 norm_rstd(job, norm_get(job->var, job->dtype, i)) *
                     (job->weight ? norm_get(job->weight, job->dtype, i) : 1));
        norm_put(job->column[2], job->dtype, j, job->bias ? norm_get(job->bias, job->dtype, i) : 0);
    }
    by_rows(job, column_apply_task);
    return true;
}

bool reel_norm_columns_backward_play(norm_job *job)
{
    const norm_geometry *k = &job->geometry;
    int64_t width = k->g * k->s, down = cut_columns(job);
    job->sums = reel_scratch(job->play->exec, reel_bytes((size_t)(down * width), 2 * sizeof *job->sums));
    if (!job->sums) return reel_play_out_of_memory(job->play);
    if (!make_columns(job, 4)) return false;
    for (int64_t j = 0; j < width; j++)
        norm_put(job->column[0], job->dtype, j, norm_get(job->mean, job->dtype, j / k->s));
    reel_parallel(job->play->exec, down * norm_ceil_div(width, COLUMNS), column_sums_task, job);
    for (int64_t i = 0; i < k->g; i++) {
        double s = 0, q = 0, weight = job->weight ? norm_get(job->weight, job->dtype, i) : 1;
        double rstd = norm_rstd(job, norm_get(job->var, job->dtype, i));
        for (int64_t row = 0; row < down; row++)
            for (int64_t j = i * k->s; j < (i + 1) * k->s; j++) {
                s += job->sums[2 * (row * width + j)];
                q += job->sums[2 * (row * width + j) + 1];
            }
        if (job->gw) norm_put(job->gw, job->dtype, i, q * rstd);
        if (job->gb) norm_put(job->gb, job->dtype, i, s);
        reel_moments coefficient = norm_coefficients(job, rstd, weight * s, weight * q);
        for (int64_t j = i * k->s; j < (i + 1) * k->s; j++) {
            norm_put(job->column[1], job->dtype, j, coefficient.count * weight);
            norm_put(job->column[2], job->dtype, j, coefficient.mean);
            norm_put(job->column[3], job->dtype, j, coefficient.m2);
        }
    }
    if (job->gx) by_rows(job, column_combine_task);
    return true;
}
