// SPDX-License-Identifier: MIT
// Columns of planes between lines and spectra, and the factors their transforms are made of.
#include <math.h>
#include <reel/core/attached.h>
#include <reel/ops/conv_fft.h>
#include <reel/ops/sizes.h>
#include <stdlib.h>

enum { LANES = REEL_SPECTRUM_LANES };

typedef struct axis {
    reel_attachment attached;
    reel_dtype dtype;
    reel_spectrum_columns columns;
    void *twiddles;
} axis;

static const char axes_key;

static void release(reel_attachment *attached)
{
    free(((axis *)attached)->twiddles);
    free(attached);
}

/* Fours outside, and inside what is left of the sizes that are tried: 5, 3 and powers of two. */
static void factor(reel_spectrum_columns *c, int64_t n)
{
    static const int inner[] = { 5, 3, 4, 2 };
    int64_t rest = n / 16;
    c->n = n;
    c->radix[c->passes++] = 4;
    for (int i = 0; i < 4; i++)
        for (; rest % inner[i] == 0; rest /= inner[i]) c->radix[c->passes++] = inner[i];
    c->radix[c->passes++] = 4;
}

static int64_t fill_twiddles(const reel_spectrum_columns *c, reel_dtype dtype, void *to)
{
    const long double turn = 2 * 3.14159265358979323846264338327950288L;
    int64_t count = 0, rest = c->n;
    for (int pass = 0; pass < c->passes - 1; rest /= c->radix[pass++])
        for (int64_t p = 0; p < rest / c->radix[pass]; p++)
            for (int64_t k = 1; k < c->radix[pass]; k++, count += 2) {
                if (!to) continue;
                long double angle = -turn * (long double)(p * k) / (long double)rest;
                for (int i = 0; i < 2; i++) {
                    long double part = i ? sinl(angle) : cosl(angle);
                    if (dtype == REEL_F32)
                        ((float *)to)[count + i] = (float)part;
                    else
                        ((double *)to)[count + i] = (double)part;
                }
            }
    return count;
}

/* The context's transform of n points; NULL when memory is short. */
static const reel_spectrum_columns *axis_of(const reel_exec *exec, reel_dtype dtype, int64_t n)
{
    for (reel_attachment *attached = *reel_exec_attached(exec); attached; attached = attached->next) {
        const axis *known = (const axis *)attached;
        if (attached->key == &axes_key && known->dtype == dtype && known->columns.n == n) return &known->columns;
    }
    axis *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->attached = (reel_attachment) { .key = &axes_key, .release = release };
    a->dtype = dtype;
    factor(&a->columns, n);
    a->twiddles = malloc(reel_bytes((size_t)fill_twiddles(&a->columns, dtype, NULL), reel_dtype_size(dtype)));
    if (!a->twiddles) {
        free(a);
        return NULL;
    }
    fill_twiddles(&a->columns, dtype, a->twiddles);
    a->columns.twiddles = a->twiddles;
    reel_exec_attach(exec, &a->attached);
    return &a->columns;
}

int64_t reel_fft_columns_work(const reel_fft_cut *cut)
{
    int64_t longest = cut->n[0] > cut->n[1] ? cut->n[0] : cut->n[1];
    return (2 * longest + (cut->n[0] > 1 && cut->n[1] > 1 ? cut->columns : 0)) * LANES;
}

/* Over both axes rows become a plane of points first, along axis 1. */
bool reel_fft_columns_prepare(const reel_exec *exec, reel_fft_spectra *s, bool back)
{
    const reel_fft_side *side = s->side;
    const int64_t *n = s->cut->n;
    bool both = n[0] > 1 && n[1] > 1, turned = (back ? -side->sign : side->sign) > 0;
    for (int i = 0; i < 2; i++) {
        if (n[i] == 1) continue;
        int64_t *row_at = reel_scratch(exec, reel_bytes((size_t)(2 * n[i]), sizeof *row_at)), *point_at = row_at + n[i];
        if (!row_at || !(s->axis[i] = axis_of(exec, s->dtype, n[i]))) return false;
        int64_t step = !both ? s->of_point : i == 0 ? n[1] * s->of_point : LANES;
        for (int64_t k = 0; k < n[i]; k++) {
            row_at[k] = -1;
            point_at[k] = (turned ? (n[i] - k) % n[i] : k) * step;
        }
        for (int64_t k = 0; k < side->count[i]; k++) {
            int64_t point = side->at[i] + k * side->spread[i];
            row_at[point] = (both && i == 0 ? point * n[1] : k) * LANES;
        }
        s->row_at[i] = row_at;
        s->point_at[i] = point_at;
    }
    return true;
}

static void transform(const reel_fft_spectra *s, int i, bool back, void *rows, void *points, int64_t ahead, void *work)
{
    reel_spectrum_points lines = { rows, s->row_at[i], 0 }, spectrum = { points, s->point_at[i], ahead };
    s->kernels->columns(s->axis[i], back ? &spectrum : &lines, back ? &lines : &spectrum, work);
}

void reel_fft_columns_transform(const reel_fft_spectra *s, void *lines, void *spectrum, int64_t ahead, void *work,
                                bool back)
{
    const reel_fft_side *side = s->side;
    const int64_t *n = s->cut->n;
    if (!s->axis[0] || !s->axis[1]) {
        transform(s, s->axis[0] ? 0 : 1, back, lines, spectrum, ahead, work);
        return;
    }
    void *plane = work;
    work = at(work, n[0] * n[1] * LANES, s->unit);
    for (int step = 0; step < 2; step++)
        if ((step == 0) == back)
            for (int64_t b = 0; b < n[1]; b++)
                transform(s, 0, back, at(plane, b * LANES, s->unit), at(spectrum, b * s->of_point, s->unit), s->of_point, work);
        else
            for (int64_t a = 0; a < side->count[0]; a++)
                transform(s, 1, back, at(lines, a * side->count[1] * LANES, s->unit),
                          at(plane, (side->at[0] + a * side->spread[0]) * n[1] * LANES, s->unit), 0, work);
}
