// SPDX-License-Identifier: MIT
// Normalisation over long runs: batches with space, and rows too long for the cache.
#include "norm_job.h"

#define SEGMENT 16384 /* elements of a piece of a run */

/* A unit is one segment of one run. */
typedef struct norm_unit {
    int64_t first, count; /* elements                */
    int64_t statistic;    /* index of mean and var   */
    int64_t weight;       /* index of weight, bias   */
} norm_unit;

static norm_unit unit_of(const norm_job *job, int64_t unit)
{
    const norm_geometry *k = &job->geometry;
    int64_t run = unit / job->segments, from = unit % job->segments * job->segment;
    return (norm_unit) { run * k->s + from, norm_min(job->segment, k->s - from), k->batch ? run % k->g : run / k->c,
                         run % (k->g * k->c) };
}

static int64_t cut_runs(norm_job *job)
{
    const norm_geometry *k = &job->geometry;
    job->segment = norm_min(k->s, SEGMENT);
    job->segments = norm_ceil_div(k->s, job->segment);
    job->chunk = norm_max(1, NORM_CHUNK / job->segment);
    return k->n * k->g * k->c * job->segments;
}

static void run_moments_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    const norm_geometry *k = &job->geometry;
    (void)worker;
    int64_t units = k->n * k->g * k->c * job->segments;
    for (int64_t i = chunk * job->chunk; i < norm_min((chunk + 1) * job->chunk, units); i++) {
        norm_unit unit = unit_of(job, i);
        job->fns->run_moments(unit.count, norm_at(job->x, job->dtype, unit.first), k->center, &job->moments[i]);
    }
}

static void run_apply_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    const norm_geometry *k = &job->geometry;
    (void)worker;
    int64_t units = k->n * k->g * k->c * job->segments;
    for (int64_t i = chunk * job->chunk; i < norm_min((chunk + 1) * job->chunk, units); i++) {
        norm_unit unit = unit_of(job, i);
        double scale = norm_rstd(job, norm_get(job->var, job->dtype, unit.statistic));
        if (job->weight) scale *= norm_get(job->weight, job->dtype, unit.weight);
        job->fns->run_apply(
            unit.count, norm_at(job->x, job->dtype, unit.first), norm_get(job->mean, job->dtype, unit.statistic), scale,
            job->bias ? norm_get(job->bias, job->dtype, unit.weight) : 0, norm_out_at(job->y, job->dtype, unit.first));
    }
}

bool reel_norm_runs_play(norm_job *job)
{
    const norm_geometry *k = &job->geometry;
    int64_t units = cut_runs(job), chunks = norm_ceil_div(units, job->chunk);
    if (!job->mean) {
        job->moments = reel_scratch(job->play->exec, reel_bytes((size_t)units, sizeof *job->moments));
        if (!job->moments) return reel_play_out_of_memory(job->play);
        reel_parallel(job->play->exec, chunks, run_moments_task, job);
        int64_t statistics = k->batch ? k->g : k->n * k->g, runs = k->batch ? k->n : k->c;
        for (int64_t i = 0; i < statistics; i++) {
            reel_moments all = { 0 };
            for (int64_t run = 0; run < runs; run++)
                for (int64_t j = 0; j < job->segments; j++)
                    reel_moments_add(&all,
                                     &job->moments[(k->batch ? run * k->g + i : i * k->c + run) * job->segments + j],
                                     k->center);
            norm_put(job->mean_out, job->dtype, i, all.mean);
            norm_put(job->var_out, job->dtype, i, all.m2 / all.count);
        }
        job->mean = job->mean_out;
        job->var = job->var_out;
    }
    reel_parallel(job->play->exec, chunks, run_apply_task, job);
    return true;
}

static void run_sums_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    const norm_geometry *k = &job->geometry;
    (void)worker;
    int64_t units = k->n * k->g * k->c * job->segments;
    for (int64_t i = chunk * job->chunk; i < norm_min((chunk + 1) * job->chunk, units); i++) {
        norm_unit unit = unit_of(job, i);
        job->fns->run_sums(unit.count, norm_at(job->gy, job->dtype, unit.first),
                           norm_at(job->x, job->dtype, unit.first), norm_get(job->mean, job->dtype, unit.statistic),
                           &job->sums[2 * i]);
    }
}

/* The coefficients of a statistic's gx = a gy + b (x - mean) + c: moments[i] holds (b, c) as (mean, m2). */
static void run_combine_task(void *arg, int64_t chunk, int worker)
{
    const norm_job *job = arg;
    const norm_geometry *k = &job->geometry;
    (void)worker;
    int64_t units = k->n * k->g * k->c * job->segments;
    for (int64_t i = chunk * job->chunk; i < norm_min((chunk + 1) * job->chunk, units); i++) {
        norm_unit unit = unit_of(job, i);
        const reel_moments *coefficient = &job->moments[unit.statistic];
        double weight = job->weight ? norm_get(job->weight, job->dtype, unit.weight) : 1;
        job->fns->run_combine(unit.count, norm_at(job->gy, job->dtype, unit.first),
                              norm_at(job->x, job->dtype, unit.first), norm_get(job->mean, job->dtype, unit.statistic),
                              coefficient->count * weight, coefficient->mean, coefficient->m2,
                              norm_out_at(job->gx, job->dtype, unit.first));
    }
}

bool reel_norm_runs_backward_play(norm_job *job)
{
    const norm_geometry *k = &job->geometry;
    int64_t units = cut_runs(job), chunks = norm_ceil_div(units, job->chunk), runs = k->n * k->g * k->c;
    int64_t statistics = k->batch ? k->g : k->n * k->g, weights = k->g * k->c;
    job->sums = reel_scratch(job->play->exec, reel_bytes((size_t)units, 2 * sizeof *job->sums));
    job->moments = reel_scratch(job->play->exec, reel_bytes((size_t)statistics, sizeof *job->moments));
    double *gradient = reel_scratch(job->play->exec, reel_bytes((size_t)weights, 2 * sizeof *gradient));
    if (!job->sums || !job->moments || !gradient) return reel_play_out_of_memory(job->play);
    reel_parallel(job->play->exec, chunks, run_sums_task, job);

    for (int64_t i = 0; i < statistics; i++) job->moments[i] = (reel_moments) { 0 };
    for (int64_t i = 0; i < 2 * weights; i++) gradient[i] = 0;
    for (int64_t run = 0; run < runs; run++) {
        norm_unit unit = unit_of(job, run * job->segments);
        double s = 0, q = 0, weight = job->weight ? norm_get(job->weight, job->dtype, unit.weight) : 1;
        for (int64_t j = 0; j < job->segments; j++) {
            s += job->sums[2 * (run * job->segments + j)];
            q += job->sums[2 * (run * job->segments + j) + 1];
        }
        job->moments[unit.statistic].mean += weight * s;
        job->moments[unit.statistic].m2 += weight * q;
        gradient[2 * unit.weight] += q * norm_rstd(job, norm_get(job->var, job->dtype, unit.statistic));
        gradient[2 * unit.weight + 1] += s;
    }
    for (int64_t i = 0; i < weights; i++) {
        if (job->gw) norm_put(job->gw, job->dtype, i, gradient[2 * i]);
        if (job->gb) norm_put(job->gb, job->dtype, i, gradient[2 * i + 1]);
    }
    if (!job->gx) return true;
    for (int64_t i = 0; i < statistics; i++)
        job->moments[i] = norm_coefficients(job, norm_rstd(job, norm_get(job->var, job->dtype, i)),
                                            job->moments[i].mean, job->moments[i].m2);
    reel_parallel(job->play->exec, chunks, run_combine_task, job);
    return true;
}
