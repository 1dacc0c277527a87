// SPDX-License-Identifier: MIT
// A line search for the strong Wolfe conditions.
#include <math.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/optim/wolfe.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 25
#define C1 1e-4
#define C2 0.9
#define LEAST_CHANGE 1e-9

bool reel_line_open(reel_ctx *ctx, reel_line *line, int64_t n)
{
    *line = (reel_line) { .n = n, .memory = reel_host_alloc(ctx, reel_bytes(5, (size_t)n), sizeof(double)) };
    if (!line->memory) return false;
    reel_trial *const points[] = { &line->start, &line->best, &line->previous, &line->bracket[0], &line->bracket[1] };
    for (int i = 0; i < 5; i++) points[i]->grad = line->memory + i * n;
    return true;
}

void reel_line_close(reel_line *line) { free(line->memory); }

static void copy(const reel_line *line, reel_trial *to, const reel_trial *from)
{
    double *grad = to->grad;
    *to = *from;
    to->grad = memcpy(grad, from->grad, (size_t)line->n * sizeof *grad);
}

static bool try_at(reel_line *line, double t)
{
    line->best.t = t;
    return line->evaluate(line->user, &line->best);
}

/* Where the cubic through losses and slopes of two points is least, kept within [low, high]. */
static double cubic_minimum(const reel_trial *a, const reel_trial *b, double low, double high)
{
    double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->t - b->t), square = d1 * d1 - a->slope * b->slope;
    if (!(square >= 0)) return (low + high) / 2;
    double d2 = sqrt(square);
    double at = a->t <= b->t ? b->t - (b->t - a->t) * ((b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2))
                             : a->t - (a->t - b->t) * ((a->slope + d2 - d1) / (a->slope - b->slope + 2 * d2));
    return fmin(fmax(at, low), high);
}

static bool descends_too_little(const reel_line *line, const reel_trial *point)
{
    return point->loss > line->start.loss + C1 * point->t * line->start.slope;
}

static bool is_flat(const reel_line *line, const reel_trial *point)
{
    return fabs(point->slope) <= -C2 * line->start.slope;
}

/* Grows the step until it fulfils the conditions (*done) or two points bracket one that does. */
static bool bracket(reel_line *line, double t, int *rounds, bool *done)
{
    copy(line, &line->previous, &line->start);
    bool ok = try_at(line, t);
    for (; ok && *rounds < MAX_ROUNDS; ++*rounds) {
        const reel_trial *point = &line->best, *before = &line->previous;
        bool rises = descends_too_little(line, point) || (*rounds > 1 && point->loss >= before->loss);
        *done = !rises && is_flat(line, point);
        if (*done) return true;
        if (rises || point->slope >= 0) break;
        double next = cubic_minimum(before, point, point->t + 0.01 * (point->t - before->t), 10 * point->t);
        copy(line, &line->previous, point);
        ok = try_at(line, next);
    }
    copy(line, &line->bracket[0], *rounds < MAX_ROUNDS ? &line->previous : &line->start);
    copy(line, &line->bracket[1], &line->best);
    return ok;
}

/* Keeps the cubic's proposal away from the ends of the bracket unless the last one made progress. */
static double propose(const reel_line *line, bool *stuck)
{
    const reel_trial *ends = line->bracket;
    double low = fmin(ends[0].t, ends[1].t), high = fmax(ends[0].t, ends[1].t), margin = 0.1 * (high - low);
    double t = cubic_minimum(&ends[0], &ends[1], low, high);
    bool near_an_end = fmin(high - t, t - low) < margin, move = near_an_end && (*stuck || t >= high || t <= low);
    *stuck = near_an_end && !move;
    if (!move) return t;
    return fabs(t - high) < fabs(t - low) ? high - margin : low + margin;
}

bool reel_line_search(reel_line *line, double t)
{
    int rounds = 0;
    bool done = false, stuck = false;
    if (!bracket(line, t, &rounds, &done)) return false;
    if (done) return true;
    int low = line->bracket[0].loss <= line->bracket[1].loss ? 0 : 1;
    while (!done && rounds < MAX_ROUNDS) {
        if (fabs(line->bracket[1].t - line->bracket[0].t) * line->reach < LEAST_CHANGE) break;
        if (!try_at(line, propose(line, &stuck))) return false;
        rounds++;
        reel_trial *near = &line->bracket[low], *far = &line->bracket[1 - low];
        const reel_trial *point = &line->best;
        if (descends_too_little(line, point) || point->loss >= near->loss) {
            copy(line, far, point);
            low = line->bracket[0].loss <= line->bracket[1].loss ? 0 : 1;
        } else {
            done = is_flat(line, point);
            if (!done && point->slope * (far->t - near->t) >= 0) copy(line, far, near);
            copy(line, near, point);
        }
    }
    copy(line, &line->best, &line->bracket[low]);
    return true;
}
