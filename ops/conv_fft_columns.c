// SPDX-License-Identifier: MIT
// Columns of planes between lines and spectra, and the factors their transforms are made of.
#include <math.h>
#include <reel/core/attached.h>
#include <reel/ops/conv_fft.h>
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

int64_t reel_fft_columns_scratch(const reel_fft_cut *cut)
{
    int64_t longest = cut->n[0] > cut->n[1] ? cut->n[0] : cut->n[1];
    return (2 * longest + (cut->n[0] > 1 && cut->n[1] > 1 ? cut->columns : 0)) * LANES;
}

bool reel_fft_columns_prepare(const reel_exec *exec, reel_fft_columns *c, const reel_fft_rows *r, reel_dtype dtype,
                              int64_t point, bool back)
{
    const reel_fft_side *s = r->side;
    bool both = r->cut->n[0] > 1 && r->cut->n[1] > 1;
    c->rows = r;
    int sign = back ? -s->sign : s->sign;
    for (int i = 0; i < 2; i++) {
        int64_t n = r->cut->n[i];
        if (n == 1) continue;
        int64_t *lists = reel_scratch(exec, reel_bytes((size_t)(2 * n), sizeof *lists));
        if (!lists || !(c->axis[i] = axis_of(exec, dtype, n))) return false;
        int64_t row = (both && i == 0 ? r->cut->n[1] : 1) * LANES;
        int64_t spectrum = both ? i == 0 ? r->cut->n[1] * point : LANES : point;
        for (int64_t k = 0; k < n; k++) {
            lists[k] = -1;
            lists[n + k] = (sign > 0 ? (n - k) % n : k) * spectrum;
        }
        for (int64_t k = 0; k < s->count[i]; k++) {
            int64_t at = s->at[i] + k * s->spread[i];
            lists[at] = both && i == 0 ? at * row : k * row;
        }
        c->row_at[i] = lists;
        c->point_at[i] = lists + n;
    }
    c->point = point;
    return true;
}

static void *at(const reel_fft_columns *c, const void *base, int64_t index)
{
    return (char *)base + index * (int64_t)c->rows->unit;
}

static void transform(const reel_fft_columns *c, int i, bool back, void *rows, void *points, void *work)
{
    const int64_t *row_at = c->row_at[i], *point_at = c->point_at[i];
    c->rows->kernels->columns(c->axis[i], back ? points : rows, back ? point_at : row_at, back ? rows : points,
                              back ? row_at : point_at, work);
}

/* Over both axes: between lines and planes axis 1, for each row of axis 0 that there is, between planes and spectra
 * axis 0. */
void reel_fft_columns_transform(const reel_fft_columns *c, void *lines, void *spectrum, void *scratch, bool back)
{
    const reel_fft_side *s = c->rows->side;
    const int64_t *n = c->rows->cut->n;
    if (!c->axis[0] || !c->axis[1]) {
        transform(c, c->axis[0] ? 0 : 1, back, lines, spectrum, scratch);
        return;
    }
    void *plane = scratch, *work = at(c, scratch, n[0] * n[1] * LANES);
    for (int step = 0; step < 2; step++)
        if ((step == 0) == back)
            for (int64_t b = 0; b < n[1]; b++)
                transform(c, 0, back, at(c, plane, b * LANES), at(c, spectrum, b * c->point), work);
        else
            for (int64_t a = 0; a < s->count[0]; a++)
                transform(c, 1, back, at(c, lines, a * s->count[1] * LANES),
                          at(c, plane, (s->at[0] + a * s->spread[0]) * n[1] * LANES), work);
}
