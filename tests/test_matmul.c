// SPDX-License-Identifier: MIT
// Products against plain loops on random shapes, strides and broadcasts, on every instruction set; einsum against sums
// over all labels; what they refuse.
#include "spatial.h"

// A random view whose last two axes are [rows, columns]: transposed, sliced, flipped or expanded memory.
static reel_tensor *draw_matrix(reel_ctx *ctx, reel_shape shape, reel_dtype dtype)
{
    reel_shape memory = shape;
    int last = shape.ndim - 1;
    int64_t way = draw_in(0, 6);
    reel_tensor *x;
    switch (way) {
    case 0: // transposed
        if (shape.ndim < 2) break;
        memory.dim[last] = shape.dim[last - 1];
        memory.dim[last - 1] = shape.dim[last];
        return reel_transpose(draw_tensor(ctx, memory, dtype, -1, 1), -1, -2);
    case 1: // every second element
        memory.dim[last] = 2 * shape.dim[last];
        return reel_slice(draw_tensor(ctx, memory, dtype, -1, 1), -1, 1, REEL_TO_END, 2);
    case 2: // wider rows
        memory.dim[last] += 3;
        return reel_narrow(draw_tensor(ctx, memory, dtype, -1, 1), -1, 2, shape.dim[last]);
    case 3: // back to front
        return reel_flip(draw_tensor(ctx, memory, dtype, -1, 1), REEL_DIMS((int)draw_in(0, last)));
    case 4: // repeated
        memory.dim[draw_in(0, last)] = 1;
        x = reel_expand(draw_tensor(ctx, memory, dtype, -1, 1), shape);
        return x;
    default: break;
    }
    return draw_tensor(ctx, shape, dtype, -1, 1);
}

// c[z] = a[z] b[z] by its definition, leading axes broadcast.
static double *plain_matmul(reel_tensor *a, reel_tensor *b, reel_shape out, int64_t m, int64_t n, int64_t k)
{
    double *x = values_of(a), *y = values_of(b), *c = calloc((size_t)(reel_shape_numel(out) + 1), sizeof *c);
    int a_lead = reel_ndim(a) > 2 ? reel_ndim(a) - 2 : 0, b_lead = reel_ndim(b) > 2 ? reel_ndim(b) - 2 : 0;
    int lead = a_lead > b_lead ? a_lead : b_lead;
    int64_t batch = 1;
    for (int i = 0; i < lead; i++) batch *= out.dim[i];
    for (int64_t z = 0; z < batch; z++) {
        int64_t rest = z, za = 0, zb = 0, step_a = 1, step_b = 1;
        for (int i = lead - 1; i >= 0; i--) {
            int64_t at = rest % out.dim[i];
            rest /= out.dim[i];
            int ia = i - (lead - a_lead), ib = i - (lead - b_lead);
            if (ia >= 0) {
                za += (reel_size(a, ia) == 1 ? 0 : at) * step_a;
                step_a *= reel_size(a, ia);
            }
            if (ib >= 0) {
                zb += (reel_size(b, ib) == 1 ? 0 : at) * step_b;
                step_b *= reel_size(b, ib);
            }
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t p = 0; p < k; p++)
                for (int64_t j = 0; j < n; j++)
                    c[(z * m + i) * n + j] += x[(za * m + i) * k + p] * y[(zb * k + p) * n + j];
    }
    free(x);
    free(y);
    return c;
}

static void agrees(reel_tensor *y, const double *want, double size, const char *what)
{
    cr_assert(y, "%s", what);
    double *got = values_of(y), worst = 0;
    for (int64_t i = 0; i < reel_numel(y); i++) {
        double d = fabs(got[i] - want[i]);
        if (!(d <= worst)) worst = d;
    }
    double allowed = (reel_dtype_of(y) == REEL_F32 ? 4e-7 : 1e-15) * (4 + size);
    cr_assert_leq(worst, allowed, "%s differs by %g", what, worst);
    free(got);
}

static int64_t draw_size(int round)
{
    switch (draw_in(0, round % 5 == 0 ? 3 : 2)) {
    case 0: return draw_in(0, 4);
    case 1: return draw_in(1, 20);
    case 2: return draw_in(15, 70);
    default: return draw_in(60, 150);
    }
}

Test(matmul, agrees_with_plain_loops)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 400; round++) {
        REEL_SCOPE(ctx)
        {
            int64_t m = draw_size(round), n = draw_size(round), k = draw_size(round);
            reel_shape a = { 0 }, b = { 0 }, out = { 0 };
            int lead = (int)draw_in(0, 3);
            if (m * n * k > 400000) lead = lead > 1 ? 1 : lead;
            int a_lead = draw_in(0, 1) ? lead : (int)draw_in(0, lead),
                b_lead = draw_in(0, 1) ? lead : (int)draw_in(0, lead);
            lead = a_lead > b_lead ? a_lead : b_lead;
            for (int i = 0; i < lead; i++) {
                int64_t size = draw_in(1, 3), one = draw_in(0, 3);
                int64_t x = one == 0 ? 1 : size, y = one == 1 ? 1 : size;
                bool in_a = i >= lead - a_lead, in_b = i >= lead - b_lead;
                if (in_a) a.dim[a.ndim++] = x;
                if (in_b) b.dim[b.ndim++] = y;
                out.dim[out.ndim++] = (in_a ? x : 1) > (in_b ? y : 1) ? x : (in_b ? y : 1);
            }
            bool row = a_lead == 0 && draw_in(0, 5) == 0, column = b_lead == 0 && draw_in(0, 5) == 0;
            if (row) m = 1;
            if (column) n = 1;
            if (!row) a.dim[a.ndim++] = out.dim[out.ndim++] = m;
            a.dim[a.ndim++] = k;
            b.dim[b.ndim++] = k;
            if (!column) b.dim[b.ndim++] = out.dim[out.ndim++] = n;
            reel_dtype dtype = round % 2 ? REEL_F32 : REEL_F64;
            reel_tensor *x = draw_matrix(ctx, a, dtype), *y = draw_matrix(ctx, b, dtype), *z = reel_matmul(x, y);
            sound(ctx);
            char at[REEL_SHAPE_TEXT], bt[REEL_SHAPE_TEXT], what[2 * REEL_SHAPE_TEXT];
            snprintf(what, sizeof what, "%s x %s", reel_shape_format(a, at), reel_shape_format(b, bt));
            cr_assert(reel_shape_equal(reel_shape_of(z), out), "%s has another shape", what);
            double *want = plain_matmul(x, y, out, m, n, k);
            agrees(z, want, (double)k, what);
            free(want);
        }
    }
}

Test(matmul, linear_adds_its_bias_to_every_row)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 150; round++) {
        REEL_SCOPE(ctx)
        {
            int64_t rows = draw_size(round), n = draw_size(round), k = draw_size(round), twice = draw_in(1, 2);
            reel_dtype dtype = round % 2 ? REEL_F32 : REEL_F64;
            reel_tensor *x = draw_matrix(ctx, REEL_SHAPE(twice, rows, k), dtype);
            reel_tensor *w = draw_matrix(ctx, REEL_SHAPE(n, k), dtype), *bias = draw_matrix(ctx, REEL_SHAPE(n), dtype);
            double *want = plain_matmul(x, reel_transpose(w, 0, 1), REEL_SHAPE(twice, rows, n), rows, n, k);
            double *b = values_of(bias);
            for (int64_t i = 0; i < twice * rows; i++)
                for (int64_t j = 0; j < n; j++) want[i * n + j] += b[j];
            agrees(reel_linear(x, w, bias), want, (double)k, "linear");
            reel_tensor *back = reel_contiguous(reel_flip(bias, REEL_DIMS(0)));
            agrees(reel_linear(x, w, reel_flip(back, REEL_DIMS(0))), want, (double)k, "linear, its bias back to front");
            free(want);
            free(b);
        }
        sound(ctx);
    }
}

// Sizes on both sides of every path: small, tiles, long sums in slices, matrix by vector.
Test(matmul, large_products_agree_and_have_the_same_bits_at_any_number_of_threads)
{
    static const int64_t sizes[][3] = { { 300, 200, 150 },  { 130, 700, 260 }, { 8, 8, 20000 }, { 3000, 1, 500 },
                                        { 1, 3000, 500 },   { 40, 90, 8192 },  { 1, 1, 9000 },  { 5000, 24, 16 },
                                        { 257, 129, 1031 }, { 10, 2000, 64 } };
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int way = 0; way < 4; way++) {
            int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            double *first = NULL;
            for (int threads = 1; threads <= 4; threads *= 2) {
                spatial_state = 77 + s;
                reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
                reel_tensor *a = way & 1 ? reel_transpose(draw_tensor(ctx, REEL_SHAPE(k, m), REEL_F32, -1, 1), 0, 1)
                                         : draw_tensor(ctx, REEL_SHAPE(m, k), REEL_F32, -1, 1);
                reel_tensor *b = way & 2 ? reel_transpose(draw_tensor(ctx, REEL_SHAPE(n, k), REEL_F32, -1, 1), 0, 1)
                                         : draw_tensor(ctx, REEL_SHAPE(k, n), REEL_F32, -1, 1);
                reel_tensor *c = reel_matmul(a, b);
                double *values = values_of(c);
                if (threads == 1) {
                    double *want = plain_matmul(a, b, REEL_SHAPE(m, n), m, n, k);
                    agrees(c, want, sqrt((double)k) * 8, "a large product");
                    free(want);
                    first = values;
                } else {
                    cr_assert_eq(memcmp(values, first, (size_t)(m * n) * sizeof *values), 0,
                                 "%lld x %lld x %lld, way %d: other bits at %d threads", (long long)m, (long long)n,
                                 (long long)k, way, threads);
                    free(values);
                }
                reel_ctx_free(ctx);
            }
            free(first);
        }
}

// Packed products (ops/gemm_packed.c): both dtypes, ends of tiles and panels, blocks of the sum, batches, bias and relu.
Test(matmul, large_linear_layers_agree_on_every_instruction_set)
{
    static const int64_t sizes[][4] = { { 1, 197, 333, 1100 }, { 2, 401, 389, 403 }, { 1, 96, 1031, 520 } };
    EACH_ISA(ctx)
    for (int round = 0; round < 6; round++) {
        REEL_SCOPE(ctx)
        {
            int64_t batch = sizes[round / 2][0], m = sizes[round / 2][1], n = sizes[round / 2][2], k = sizes[round / 2][3];
            reel_dtype dtype = round % 2 ? REEL_F32 : REEL_F64;
            reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(batch, m, k), dtype, -1, 1);
            reel_tensor *w = draw_tensor(ctx, REEL_SHAPE(batch, n, k), dtype, -1, 1), *wt = reel_transpose(w, 1, 2);
            reel_tensor *bias = draw_tensor(ctx, REEL_SHAPE(n), dtype, -1, 1);
            double *want = plain_matmul(x, wt, REEL_SHAPE(batch, m, n), m, n, k), *b = values_of(bias);
            reel_tensor *y = batch > 1 ? reel_matmul(x, wt)
                                       : reel_relu(reel_linear(reel_squeeze(x, REEL_DIMS(0)), reel_squeeze(w, REEL_DIMS(0)), bias));
            for (int64_t i = 0; i < m * n && batch == 1; i++) want[i] = fmax(want[i] + b[i % n], 0);
            agrees(y, want, sqrt((double)k) * 8, "a packed product");
            free(want);
            free(b);
        }
        sound(ctx);
    }
}

// Operands of which only a part is packed at once.
Test(matmul, of_long_sums_agrees_in_parts_of_rows_and_columns)
{
    enum { M = 320, N = 300, K = 32768 };
    reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = 2 });
    spatial_state = 5;
    reel_tensor *a = draw_tensor(ctx, REEL_SHAPE(M, K), REEL_F32, -1, 1), *b = draw_tensor(ctx, REEL_SHAPE(K, N), REEL_F32, -1, 1);
    const float *c = reel_data_f32(reel_matmul(a, b)), *x = reel_data_f32(a), *y = reel_data_f32(b);
    sound(ctx);
    for (int draw = 0; draw < 500; draw++) {
        int64_t i = draw < 20 ? M - 1 - draw : draw_in(0, M - 1), j = draw < 20 ? N - 1 - draw % 3 : draw_in(0, N - 1);
        double want = 0;
        for (int64_t p = 0; p < K; p++) want += (double)x[i * K + p] * y[p * N + j];
        cr_assert_float_eq(c[i * N + j], want, 1e-3, "element %lld, %lld is %g, not %g", (long long)i, (long long)j, c[i * N + j], want);
    }
    reel_ctx_free(ctx);
}

Test(matmul, products_of_many_small_matrices_have_the_same_bits_at_any_number_of_threads)
{
    double *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
        spatial_state = 5;
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        reel_tensor *a = draw_tensor(ctx, REEL_SHAPE(3000, 17, 9), REEL_F32, -1, 1);
        reel_tensor *b = draw_tensor(ctx, REEL_SHAPE(3000, 9, 21), REEL_F32, -1, 1);
        reel_tensor *c = reel_bmm(a, b);
        double *values = values_of(c);
        if (threads == 1) {
            double *want = plain_matmul(a, b, reel_shape_of(c), 17, 21, 9);
            agrees(c, want, 9, "bmm");
            free(want);
            first = values;
        } else {
            cr_assert_eq(memcmp(values, first, (size_t)reel_numel(c) * sizeof *values), 0);
            free(values);
        }
        reel_ctx_free(ctx);
    }
    free(first);
}

Test(matmul, an_infinity_or_a_nan_stays_in_its_row_and_column)
{
    EACH_ISA(ctx)
    for (int64_t n = 3; n < 90; n += 43) {
        reel_tensor *a = reel_zeros(ctx, REEL_SHAPE(n, n), REEL_F32), *b = reel_zeros(ctx, REEL_SHAPE(n, n), REEL_F32);
        float *x = calloc((size_t)(n * n), sizeof *x);
        x[n + 1] = NAN;
        reel_set_data(a, x, (size_t)(n * n) * sizeof *x);
        double *c = values_of(reel_matmul(a, b));
        for (int64_t i = 0; i < n * n; i++) cr_assert_eq(!!isnan(c[i]), i / n == 1, "element %lld", (long long)i);
        free(c);
        free(x);
        reel_free(a);
        reel_free(b);
    }
}

// The sum over all labels, one operand at a time, for operands of up to 4 axes.
typedef struct plain_einsum {
    int n, labels;
    int64_t size[128];
    char letter[16];
    const char *term[3], *result;
    reel_tensor *x[3];
} plain_einsum;

static int64_t labelled(const plain_einsum *e, const char *term, const int64_t *at)
{
    int64_t place = 0;
    for (const char *c = term; *c; c++) {
        int64_t i = 0;
        for (int l = 0; l < e->labels; l++)
            if (e->letter[l] == *c) i = at[l];
        place = place * e->size[(int)*c] + i;
    }
    return place;
}

static double *sum_of_products(const plain_einsum *e)
{
    int64_t all = 1, kept = 1;
    double *values[3], *out;
    for (int l = 0; l < e->labels; l++) all *= e->size[(int)e->letter[l]];
    for (const char *c = e->result; *c; c++) kept *= e->size[(int)*c];
    for (int i = 0; i < e->n; i++) values[i] = values_of(e->x[i]);
    out = calloc((size_t)kept + 1, sizeof *out);
    for (int64_t i = 0; i < all; i++) {
        int64_t at[16], rest = i;
        for (int l = 0; l < e->labels; l++) {
            at[l] = rest % e->size[(int)e->letter[l]];
            rest /= e->size[(int)e->letter[l]];
        }
        double product = 1;
        for (int k = 0; k < e->n; k++) product *= values[k][labelled(e, e->term[k], at)];
        out[labelled(e, e->result, at)] += product;
    }
    for (int i = 0; i < e->n; i++) free(values[i]);
    return out;
}

Test(matmul, einsum_agrees_with_the_sum_over_all_labels)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    for (int round = 0; round < 600; round++) {
        REEL_SCOPE(ctx)
        {
            plain_einsum e = { .n = (int)draw_in(1, 3) };
            char terms[3][8], result[8] = "", equation[64] = "";
            for (int c = 'a'; c <= 'f'; c++) e.size[c] = draw_in(0, 15) ? draw_in(1, 4) : 0;
            for (int i = 0; i < e.n; i++) {
                int n = (int)draw_in(0, 4);
                reel_shape shape = { .ndim = n };
                for (int k = 0; k < n; k++) {
                    char c = (char)draw_in('a', 'f');
                    terms[i][k] = c;
                    shape.dim[k] = e.size[(int)c];
                    bool seen = false;
                    for (int l = 0; l < e.labels; l++) seen = seen || e.letter[l] == c;
                    if (!seen) e.letter[e.labels++] = c;
                }
                terms[i][n] = 0;
                e.term[i] = terms[i];
                e.x[i] = draw_tensor(ctx, shape, REEL_F64, -1, 1);
                if (i) strcat(equation, ",");
                strcat(equation, terms[i]);
            }
            int n = 0;
            for (int l = 0; l < e.labels; l++)
                if (draw_in(0, 1)) result[n++] = e.letter[l];
            for (int k = n - 1; k > 0; k--) {
                int j = (int)draw_in(0, k);
                char swap = result[k];
                result[k] = result[j];
                result[j] = swap;
            }
            if (draw_in(0, 2) == 0) { // left out: what occurs once, in order
                n = 0;
                for (char c = 'a'; c <= 'f'; c++) {
                    const char *once = strchr(equation, c);
                    if (once && !strchr(once + 1, c)) result[n++] = c;
                }
                result[n] = 0;
            } else {
                strcat(equation, " -> ");
                strcat(equation, result);
            }
            e.result = result;
            double *want = sum_of_products(&e);
            reel_tensor *y = reel_einsum(equation, e.x, e.n);
            cr_assert(y, "%s", reel_ctx_error_message(ctx));
            cr_assert_eq(reel_ndim(y), n);
            agrees(y, want, 2000, equation);
            free(want);
        }
    }
    reel_ctx_free(ctx);
}

static void equal(reel_tensor *y, reel_tensor *want, const char *what)
{
    double *values = values_of(want);
    cr_assert(y && reel_shape_equal(reel_shape_of(y), reel_shape_of(want)), "%s has another shape", what);
    agrees(y, values, 4, what);
    free(values);
}

Test(matmul, einsum_reads_ellipses_and_results_left_out)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = draw_tensor(ctx, REEL_SHAPE(2, 3, 4), REEL_F64, -1, 1);
    reel_tensor *w = draw_tensor(ctx, REEL_SHAPE(4, 3), REEL_F64, -1, 1),
                *s = draw_tensor(ctx, REEL_SCALAR, REEL_F64, 1, 2);
    reel_tensor *xw = reel_matmul(x, w);
    equal(reel_einsum("...i,ij->...j", (reel_tensor *[]) { x, w }, 2), xw, "...i,ij->...j");
    equal(reel_einsum("...ij->...ji", &x, 1), reel_permute(x, REEL_DIMS(0, 2, 1)), "...ij->...ji");
    equal(reel_einsum("b...a", &x, 1), reel_permute(x, REEL_DIMS(1, 2, 0)), "b...a");
    equal(reel_einsum("bki,ij", (reel_tensor *[]) { x, w }, 2), reel_permute(xw, REEL_DIMS(0, 2, 1)), "bki,ij");
    equal(reel_einsum("...,", (reel_tensor *[]) { x, s }, 2), reel_mul(x, s), "...,");
    cr_assert_eq(reel_ndim(reel_einsum("...i->i", &x, 1)), 1);
    cr_assert_neq(reel_einsum("ij->ij", &w, 1), w);
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(matmul, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(3, 4), REEL_F64), *y = reel_ones(ctx, REEL_SHAPE(5, 6), REEL_F64);
    reel_tensor *s = reel_scalar(ctx, REEL_F64, 1), *v = reel_ones(ctx, REEL_SHAPE(3), REEL_F64);
    reel_tensor *single = reel_ones(ctx, REEL_SHAPE(4, 3), REEL_F32),
                *whole = reel_ones(ctx, REEL_SHAPE(4, 3), REEL_I64);
    reel_tensor *two = reel_ones(ctx, REEL_SHAPE(2, 3, 4), REEL_F64),
                *three = reel_ones(ctx, REEL_SHAPE(3, 4, 3), REEL_F64);
    reel_tensor *square = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F64);
    reel_tensor *none = reel_zeros(ctx, REEL_SHAPE(INT64_C(1) << 40, 0), REEL_F64);
    refused(ctx, reel_matmul(x, y), "matmul", "4 columns");
    refused(ctx, reel_matmul(s, y), "matmul", "operand 0 is a scalar");
    refused(ctx, reel_matmul(x, single), "matmul", "float32");
    refused(ctx, reel_matmul(x, whole), "matmul", "int64");
    refused(ctx, reel_matmul(two, three), "matmul", "do not broadcast");
    refused(ctx, reel_matmul(none, reel_transpose(none, 0, 1)), "matmul", "too large");
    refused(ctx, reel_mm(two, three), "mm", "3 and 3");
    refused(ctx, reel_bmm(two, three), "bmm", "batches of 2 and 3");
    refused(ctx, reel_mv(x, x), "mv", "axes");
    refused(ctx, reel_dot(v, reel_ones(ctx, REEL_SHAPE(4), REEL_F64)), "dot", "3 columns");
    refused(ctx, reel_outer(x, v), "outer", "vectors");
    refused(ctx, reel_linear(x, square, NULL), "linear", "4 features");
    refused(ctx, reel_linear(x, x, reel_ones(ctx, REEL_SHAPE(2), REEL_F64)), "linear", "bias");
    refused(ctx, reel_linear(s, x, NULL), "linear", "scalar");
    refused(ctx, reel_linear(x, two, NULL), "linear", "weight has 3 axes");
    refused(ctx, reel_bilinear(x, x, x, NULL), "bilinear", "[N, I, J]");
    refused(ctx, reel_addmm(y, x, reel_transpose(x, 0, 1), 1, 1), "addmm", "broadcast");
    reel_ctx_free(ctx);
}

Test(matmul, einsum_refuses_malformed_equations)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F64), *b = reel_ones(ctx, REEL_SHAPE(4, 5), REEL_F64);
    reel_tensor *ab[] = { a, b };
    static const struct {
        const char *equation, *what;
        int n;
    } wrong[] = {
        { "ij,jk->ik", "'j' in \"ij,jk->ik\" is 3 and 4", 2 },
        { "i j ->", "space", 1 },
        { "ij,jk", "is 3 and 4", 2 },
        { "ij", "names 1 operands, 2", 2 },
        { "ij,kl", "names 2 operands, 1", 1 },
        { "ii", "is 2 and 3 in operand 0", 1 },
        { "ijk", "3 labels", 1 },
        { "i", "1 labels", 1 },
        { "ij->ii", "twice", 1 },
        { "ij->k", "in no operand", 1 },
        { "i.j", "lone '.'", 1 },
        { "......", "two ellipses", 1 },
        { "i1", "not a letter", 1 },
        { "ij-", "not a letter", 1 },
        { "ij->i->j", "second", 1 },
        { "ij->i,j", "second", 1 },
        { "abcdefghi", "more than 8", 1 },
        { "i...,i...->i", "is 2 and 4", 2 },
        { "...,...", "ellipses", 2 },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refused(ctx, reel_einsum(wrong[i].equation, ab, wrong[i].n), "einsum", wrong[i].what);
    refused(ctx, reel_einsum(NULL, ab, 1), "einsum", "no equation");
    refused(ctx, reel_einsum("ij,jk", (reel_tensor *[]) { a, NULL }, 2), "einsum", "input 1 is missing");
    reel_ctx_free(ctx);
}

Test(matmul, products_of_integers_are_exact_and_wrap)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    const int64_t big = INT64_C(1) << 62, a[] = { big + 1, 2, -3, 4, 5, 6 }, b[] = { 4, 1, 1, 0, 0, -7 };
    reel_tensor *x = reel_longs(ctx, REEL_SHAPE(2, 3), a), *y = reel_longs(ctx, REEL_SHAPE(3, 2), b);
    const int64_t *z = reel_data_i64(reel_matmul(x, y));
    cr_assert_not_null(z, "%s", reel_ctx_error_message(ctx));
    const int64_t want[] = { 6, big + 22, 21, -38 }; // 4 (2^62 + 1) leaves 64 bits
    for (int i = 0; i < 4; i++) cr_expect_eq(z[i], want[i], "element %d is %lld", i, (long long)z[i]);
    // Turned, broadcast, and as bytes.
    z = reel_data_i64(reel_matmul(reel_transpose(y, 0, 1), reel_expand(reel_transpose(x, 0, 1), REEL_SHAPE(2, 3, 2))));
    cr_assert_not_null(z, "%s", reel_ctx_error_message(ctx));
    for (int i = 0; i < 8; i++) cr_expect_eq(z[i], want[i % 2 * 2 + i / 2 % 2]);
    reel_tensor *bytes = reel_full(ctx, REEL_SHAPE(300), REEL_U8, 1), *sum = reel_dot(bytes, bytes);
    cr_expect_eq(reel_dtype_of(sum), REEL_U8);
    cr_expect_eq(reel_item(sum), 300 - 256);
    cr_assert_null(reel_mm(reel_cast(x, REEL_BOOL), reel_cast(y, REEL_BOOL)));
    cr_expect(strstr(reel_ctx_error_message(ctx), "mm: bools"));
    reel_ctx_free(ctx);
}
