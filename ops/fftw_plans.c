// SPDX-License-Identifier: MIT
// FFTW's plans by shape, in a list the context frees.
#include <fftw3.h>
#include <reel/core/attached.h>
#include <reel/ops/fftw_guard.h>
#include <reel/ops/fftw_plans.h>
#include <stdlib.h>

typedef struct plan {
    reel_attachment attached;
    reel_fftw_shape shape;
    fftw_plan f64;
    fftwf_plan f32;
} plan;

static const char plans_key;

static void release(reel_attachment *attached)
{
    plan *p = (plan *)attached;
    reel_fftw_lock();
    if (p->f32) fftwf_destroy_plan(p->f32);
    if (p->f64) fftw_destroy_plan(p->f64);
    reel_fftw_unlock();
    free(p);
}

static bool same(const reel_fftw_shape *a, const reel_fftw_shape *b)
{
    return a->dtype == b->dtype && a->sign == b->sign && a->n == b->n && a->count == b->count;
}

#define MAKE(fftw, complex_type)                                                                                       \
    fftw##_plan_guru64_dft(1, &points, 1, &many, (complex_type *)from, (complex_type *)to, s->sign, FFTW_ESTIMATE)

/* An estimate asks of the operands how they are aligned, and that they differ; never what is there. */
static bool make(plan *p)
{
    static _Alignas(64) char from[64], to[64];
    const reel_fftw_shape *s = &p->shape;
    fftw_iodim64 points = { s->n, 1, 1 }, many = { s->count, s->n, s->n };
    reel_fftw_lock();
    if (s->dtype == REEL_F32)
        p->f32 = MAKE(fftwf, fftwf_complex);
    else
        p->f64 = MAKE(fftw, fftw_complex);
    reel_fftw_unlock();
    return p->f32 || p->f64;
}
#undef MAKE

const void *reel_fftw_plan(const reel_exec *exec, const reel_fftw_shape *shape)
{
    for (reel_attachment *attached = *reel_exec_attached(exec); attached; attached = attached->next)
        if (attached->key == &plans_key && same(&((plan *)attached)->shape, shape)) return attached;
    plan *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->attached = (reel_attachment) { .key = &plans_key, .release = release };
    p->shape = *shape;
    if (!make(p)) {
        free(p);
        return NULL;
    }
    reel_exec_attach(exec, &p->attached);
    return p;
}

void reel_fftw_execute(const void *shape_plan, void *from, void *to)
{
    const plan *p = shape_plan;
    if (p->f32)
        fftwf_execute_dft(p->f32, (fftwf_complex *)from, (fftwf_complex *)to);
    else
        fftw_execute_dft(p->f64, (fftw_complex *)from, (fftw_complex *)to);
}
