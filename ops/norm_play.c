// SPDX-License-Identifier: MIT
// How the normalisation ops are played: by rows, which are here, by long runs, or by columns. The shape alone decides.
#include "norm_job.h"

#define LONG_ROW 65536 /* elements of a row that is worth splitting                     */
#define MAX_ROWS 4096  /* rows whose weight gradients are added up in the element type */
#define MAX_CHUNKS 64  /* partial sums of the weight gradients, about                   */

static norm_job job_of(const reel_play *play, const reel_buffer *x)
{
    const norm_attrs *attrs = play->attrs;
    reel_shape shape = { .ndim = x->ndim };
    for (int d = 0; d < x->ndim; d++) shape.dim[d] = x->shape[d];
    return (norm_job) { .play = play,
                        .fns = reel_norm_fns_of(play->exec->isa, x->dtype),
                        .geometry = reel_norm_geometry(attrs, shape),
                        .dtype = x->dtype,
                        .eps = attrs->eps,
                        .x = x->data };
}

/* `weight` with one value for each of the c * s elements of a group, so that s becomes 1; true when there is none. */
static bool spread(const norm_job *job, const void **weight)
{
    const norm_geometry *k = &job->geometry;
    if (!*weight) return true;
    void *wide = reel_scratch(job->play->exec, reel_bytes((size_t)(k->g * k->c * k->s), reel_dtype_size(job->dtype)));
    if (!wide) return reel_play_out_of_memory(job->play);
    for (int64_t i = 0; i < k->g * k->c; i++) {
        double value = norm_get(*weight, job->dtype, i);
        for (int64_t j = 0; j < k->s; j++) norm_put(wide, job->dtype, i * k->s + j, value);
    }
    *weight = wide;
    return true;
}

static void rows_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    const norm_geometry *k = &job->geometry;
    (void)worker;
    reel_norm_rows rows = { .g = k->g,
                            .c = k->c,
                            .s = k->s,
                            .x = job->x,
                            .weight = job->weight,
                            .bias = job->bias,
                            .y = job->y,
                            .mean = job->mean_out,
                            .var = job->var_out,
                            .eps = job->eps,
                            .center = k->center };
    job->fns->rows(&rows, chunk * job->chunk, norm_min((chunk + 1) * job->chunk, k->n * k->g));
}

bool reel_norm_rows_play(norm_job *job)
{
    norm_geometry *k = &job->geometry;
    if (k->s > 1 && k->s < NORM_SHORT_RUN) {
        if (!spread(job, &job->weight) || !spread(job, &job->bias)) return false;
        k->c *= k->s;
        k->s = 1;
    }
    job->chunk = norm_max(1, NORM_CHUNK / (k->c * k->s));
    reel_parallel(job->play->exec, norm_ceil_div(k->n * k->g, job->chunk), rows_task, job);
    return true;
}

/* `partial`: for each chunk [2][g * c] sums. */
typedef struct rows_backward_job {
    const norm_job *job;
    char *partial;
} rows_backward_job;

static void rows_backward_task(void *arg, int64_t chunk, int worker)
{
    const rows_backward_job *task = arg;
    const norm_job *job = task->job;
    const norm_geometry *k = &job->geometry;
    int64_t width = k->g * k->c;
    (void)worker;
    char *gw = NULL, *gb = NULL;
    if (task->partial) {
        char *own = norm_out_at(task->partial, job->dtype, 2 * width * chunk);
        for (int64_t i = 0; i < 2 * width; i++) norm_put(own, job->dtype, i, 0);
        gw = job->gw ? own : NULL;
        gb = job->gb ? norm_out_at(own, job->dtype, width) : NULL;
    }
    reel_norm_rows_backward rows = { .g = k->g,
                                     .c = k->c,
                                     .gy = job->gy,
                                     .x = job->x,
                                     .weight = job->weight,
                                     .mean = job->mean,
                                     .var = job->var,
                                     .gx = job->gx,
                                     .gw = gw,
                                     .gb = gb,
                                     .eps = job->eps,
                                     .center = k->center };
    job->fns->rows_backward(&rows, chunk * job->chunk, norm_min((chunk + 1) * job->chunk, k->n * k->g));
}

bool reel_norm_rows_backward_play(norm_job *job)
{
    norm_geometry *k = &job->geometry;
    int64_t s = k->s;
    if (s > 1 && !spread(job, &job->weight)) return false;
    k->c *= s;
    k->s = 1;
    int64_t rows = k->n * k->g, width = k->g * k->c;
    int64_t samples = norm_max(1, norm_max(NORM_CHUNK, norm_min(k->n * width / MAX_CHUNKS, 4 * NORM_CHUNK)) / width);
    job->chunk = k->g * norm_min(norm_max(samples, norm_ceil_div(k->n, MAX_CHUNKS)), MAX_ROWS);
    int64_t chunks = norm_ceil_div(rows, job->chunk);
    rows_backward_job task = { .job = job };
    if (job->gw || job->gb) {
        task.partial =
            reel_scratch(job->play->exec, reel_bytes((size_t)(2 * width * chunks), reel_dtype_size(job->dtype)));
        if (!task.partial) return reel_play_out_of_memory(job->play);
    }
    reel_parallel(job->play->exec, chunks, rows_backward_task, &task);
    void *out[2] = { job->gw, job->gb };
    for (int which = 0; which < 2; which++)
        for (int64_t i = 0; out[which] && i < width / s; i++) {
            double sum = 0;
            for (int64_t chunk = 0; chunk < chunks; chunk++)
                for (int64_t j = 0; j < s; j++)
                    sum += norm_get(task.partial, job->dtype, (2 * chunk + which) * width + i * s + j);
            norm_put(out[which], job->dtype, i, sum);
        }
    return true;
}

static bool is_row(const norm_geometry *k) { return !k->batch && (k->s < NORM_SHORT_RUN || k->c * k->s <= LONG_ROW); }

bool reel_norm_play(const reel_play *play)
{
    norm_job job = job_of(play, &play->in[0]);
    job.weight = play->in[1].data;
    job.bias = play->n_in > 2 ? play->in[2].data : NULL;
    job.y = play->out[0].data;
    job.mean_out = play->out[1].data;
    job.var_out = play->out[2].data;
    if (play->in[0].numel == 0) {
        for (int64_t i = 0; i < play->out[1].numel; i++) {
            norm_put(job.mean_out, job.dtype, i, NAN);
            norm_put(job.var_out, job.dtype, i, NAN);
        }
        return true;
    }
    if (is_row(&job.geometry)) return reel_norm_rows_play(&job);
    return job.geometry.s < NORM_SHORT_RUN ? reel_norm_columns_play(&job) : reel_norm_runs_play(&job);
}

bool reel_norm_running_play(const reel_play *play)
{
    norm_job job = job_of(play, &play->in[0]);
    job.mean = play->in[1].data;
    job.var = play->in[2].data;
    job.weight = play->in[3].data;
    job.bias = play->in[4].data;
    job.y = play->out[0].data;
    if (play->in[0].numel == 0) return true;
    return job.geometry.s < NORM_SHORT_RUN ? reel_norm_columns_play(&job) : reel_norm_runs_play(&job);
}

bool reel_norm_backward_play(const reel_play *play)
{
    const norm_attrs *attrs = play->attrs;
    norm_job job = job_of(play, &play->in[1]);
    job.gy = play->in[0].data;
    job.mean = play->in[2].data;
    job.var = play->in[3].data;
    job.weight = play->in[4].data;
    int k = 0;
    if (attrs->want & NORM_WANT_INPUT) job.gx = play->out[k++].data;
    if (attrs->want & NORM_WANT_WEIGHT) job.gw = play->out[k++].data;
    if (attrs->want & NORM_WANT_BIAS) job.gb = play->out[k++].data;
    if (play->in[1].numel == 0) {
        for (int i = 0; i < play->n_out; i++)
            for (int64_t j = 0; j < play->out[i].numel; j++) norm_put(play->out[i].data, job.dtype, j, 0);
        return true;
    }
    if (job.geometry.s >= NORM_SHORT_RUN) return reel_norm_runs_backward_play(&job);
    return job.geometry.batch ? reel_norm_columns_backward_play(&job) : reel_norm_rows_backward_play(&job);
}
