// SPDX-License-Identifier: MIT
// Indexed reads and sums against plain loops over random shapes; what they refuse, and where they say it is.
#include "spatial.h"

static int64_t *draw_index(int64_t n, int64_t limit)
{
    int64_t *index = malloc((size_t)(n ? n : 1) * sizeof *index);
    for (int64_t i = 0; i < n; i++) index[i] = draw_in(0, limit - 1);
    return index;
}

static reel_shape draw_whole(int most_axes, int64_t most)
{
    reel_shape shape = { .ndim = (int)draw_in(1, most_axes) };
    for (int k = 0; k < shape.ndim; k++) shape.dim[k] = draw_in(1, most);
    return shape;
}

// Element (outer, at, inner) positions of the places that index row-major element i names along `axis`.
static int64_t pointed(reel_shape whole, reel_shape index, int axis, int64_t i, int64_t at)
{
    int64_t place[REEL_MAX_DIMS], element = 0;
    for (int k = index.ndim - 1; k >= 0; k--) {
        place[k] = i % index.dim[k];
        i /= index.dim[k];
    }
    for (int k = 0; k < whole.ndim; k++) element = element * whole.dim[k] + (k == axis ? at : place[k]);
    return element;
}

static void agrees(reel_tensor *y, const double *want, const char *what)
{
    cr_assert(y, "%s", what);
    double *got = values_of(y), d = difference(got, want, reel_numel(y));
    cr_assert_leq(d, reel_dtype_of(y) == REEL_F32 ? 1e-5 : 1e-14, "%s differs by %g", what, d);
    free(got);
}

Test(index, gather_and_scatter_add_agree_with_plain_loops)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 150; round++) {
        REEL_SCOPE(ctx)
        {
            reel_dtype dtype = round % 2 ? REEL_F32 : REEL_F64;
            reel_shape whole = draw_whole(4, round % 10 ? 6 : 40), part = whole, larger;
            int axis = (int)draw_in(0, whole.ndim - 1);
            for (int k = 0; k < whole.ndim; k++) part.dim[k] = k == axis ? draw_in(0, 9) : draw_in(1, whole.dim[k]);
            larger = part;
            for (int k = 0; k < whole.ndim; k++) larger.dim[k] += draw_in(0, 1);
            int64_t n = reel_shape_numel(part), *index = draw_index(n, whole.dim[axis]);
            reel_tensor *x = draw_tensor(ctx, whole, dtype, -1, 1), *src = draw_tensor(ctx, larger, dtype, -1, 1);
            reel_tensor *i = reel_longs(ctx, part, index);
            double *xs = values_of(x), *srcs = values_of(src), *want = malloc((size_t)(n + 1) * sizeof *want);
            for (int64_t e = 0; e < n; e++) want[e] = xs[pointed(whole, part, axis, e, index[e])];
            agrees(reel_gather(x, i, axis - (round % 2 ? whole.ndim : 0)), want, "gather");
            for (int64_t e = 0; e < n; e++) {
                int64_t at = pointed(larger, part, axis, e, 0), rest = e, place = 0, step = 1;
                for (int k = part.ndim - 1; k >= 0; k--) {
                    place += rest % part.dim[k] * step;
                    rest /= part.dim[k];
                    step *= larger.dim[k];
                }
                (void)at;
                xs[pointed(whole, part, axis, e, index[e])] += srcs[place];
            }
            agrees(reel_scatter_add(x, i, src, axis), xs, "scatter_add");
            free(xs);
            free(srcs);
            free(want);
            free(index);
        }
        sound(ctx);
    }
}

Test(index, slices_agree_with_plain_loops)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 150; round++) {
        REEL_SCOPE(ctx)
        {
            reel_dtype dtype = round % 2 ? REEL_F32 : REEL_F64;
            reel_shape whole = draw_whole(4, round % 10 ? 6 : 30), part = whole;
            int axis = (int)draw_in(0, whole.ndim - 1);
            int64_t m = draw_in(0, 9), n = whole.dim[axis], outer = 1, inner = 1, *index = draw_index(m, n);
            part.dim[axis] = m;
            for (int k = 0; k < axis; k++) outer *= whole.dim[k];
            for (int k = axis + 1; k < whole.ndim; k++) inner *= whole.dim[k];
            reel_tensor *x = draw_tensor(ctx, whole, dtype, -1, 1), *src = draw_tensor(ctx, part, dtype, -1, 1);
            reel_tensor *i = reel_longs(ctx, REEL_SHAPE(m), index);
            double *xs = values_of(x), *srcs = values_of(src),
                   *want = malloc((size_t)(outer * m * inner + 1) * sizeof *want);
            for (int64_t o = 0; o < outer; o++)
                for (int64_t j = 0; j < m; j++)
                    for (int64_t k = 0; k < inner; k++)
                        want[(o * m + j) * inner + k] = xs[(o * n + index[j]) * inner + k];
            agrees(reel_index_select(x, i, axis), want, "index_select");
            for (int64_t o = 0; o < outer; o++)
                for (int64_t j = 0; j < m; j++)
                    for (int64_t k = 0; k < inner; k++)
                        xs[(o * n + index[j]) * inner + k] += srcs[(o * m + j) * inner + k];
            agrees(reel_index_add(x, i, src, axis), xs, "index_add");
            free(xs);
            free(srcs);
            free(want);
            free(index);
        }
        sound(ctx);
    }
}

Test(index, sums_have_the_same_bits_at_any_number_of_threads)
{
    enum { ROWS = 20000, WIDTH = 65 };
    int64_t *rows = draw_index(ROWS, 37), *all = draw_index((int64_t)ROWS * WIDTH, 37);
    double *first[3] = { 0 };
    for (int threads = 1; threads <= 4; threads *= 2) {
        spatial_state = 12345;
        reel_ctx *ctx = reel_ctx_new(&(reel_ctx_opts) { .threads = threads });
        reel_tensor *src = draw_tensor(ctx, REEL_SHAPE(ROWS, WIDTH), REEL_F32, -1, 1);
        reel_tensor *i = reel_longs(ctx, REEL_SHAPE(ROWS), rows), *each = reel_longs(ctx, REEL_SHAPE(ROWS, WIDTH), all);
        reel_tensor *sums[] = {
            reel_index_add(reel_zeros(ctx, REEL_SHAPE(37, WIDTH), REEL_F32), i, src, 0),
            reel_scatter_add(reel_zeros(ctx, REEL_SHAPE(37, WIDTH), REEL_F32), each, src, 0),
            reel_scatter_add(reel_zeros(ctx, REEL_SHAPE(ROWS, 37), REEL_F32), each, src, 1),
        };
        for (int k = 0; k < 3; k++) {
            double *values = values_of(sums[k]);
            if (threads == 1)
                first[k] = values;
            else {
                cr_expect_eq(memcmp(values, first[k], (size_t)reel_numel(sums[k]) * sizeof(double)), 0, "sum %d", k);
                free(values);
            }
        }
        reel_ctx_free(ctx);
    }
    for (int k = 0; k < 3; k++) free(first[k]);
    free(rows);
    free(all);
}

Test(index, the_padding_row_of_an_embedding_gets_no_gradient)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *w = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(4, 2), REEL_F64), true);
    reel_tensor *i = reel_longs(ctx, REEL_SHAPE(2, 2), (int64_t[]) { 1, 3, 1, 0 });
    reel_tensor *y = reel_embedding(i, w, &(reel_embedding_opts) { .has_padding_idx = true, .padding_idx = -3 }), *g;
    reel_tensor *loss = reel_sum(y, REEL_ALL_DIMS, false);
    cr_assert(reel_grad(&loss, 1, &w, 1, NULL, &g));
    agrees(g, (double[]) { 1, 1, 0, 0, 0, 0, 1, 1 }, "the gradient");
    y = reel_embedding(i, w, NULL);
    loss = reel_sum(y, REEL_ALL_DIMS, false);
    cr_assert(reel_grad(&loss, 1, &w, 1, NULL, &g));
    agrees(g, (double[]) { 1, 1, 2, 2, 0, 0, 1, 1 }, "the gradient without padding");
    sound(ctx);
    reel_ctx_free(ctx);
}

Test(index, one_hot_counts_classes_where_none_are_given)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *y = reel_one_hot(reel_longs(ctx, REEL_SHAPE(3), (int64_t[]) { 2, 0, 1 }), -1);
    static const int64_t want[] = { 0, 0, 1, 1, 0, 0, 0, 1, 0 };
    cr_assert(reel_shape_equal(reel_shape_of(y), REEL_SHAPE(3, 3)));
    cr_assert_eq(memcmp(reel_data_i64(y), want, sizeof want), 0);
    refused(ctx, reel_one_hot(reel_zeros(ctx, REEL_SHAPE(0), REEL_I64), -1), "one_hot", "classes");
    reel_ctx_free(ctx);
}

// An op whose index only its play can refuse.
static void refused_in_play(reel_ctx *ctx, reel_tensor *y, const char *op, const char *what)
{
    cr_assert(y, "%s is refused too early: %s", op, reel_ctx_error_message(ctx));
    cr_assert_not(reel_eval(y), "%s is not refused", op);
    refused(ctx, NULL, op, what);
}

Test(index, refuses_indexes_out_of_range_and_says_where)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(5, 3), REEL_F64), *src = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F64);
    reel_tensor *over = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 0, 5 });
    reel_tensor *under = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { 0, -1 });
    reel_tensor *huge = reel_longs(ctx, REEL_SHAPE(2), (int64_t[]) { INT64_MAX, INT64_MIN });
    reel_tensor *each = reel_longs(ctx, REEL_SHAPE(2, 3), (int64_t[]) { 0, 1, 2, 3, 4, 9 });
    refused_in_play(ctx, reel_index_select(x, over, 0), "index_select", "index 5 at [1]");
    refused_in_play(ctx, reel_index_select(x, under, 0), "index_select", "index -1 at [1]");
    refused_in_play(ctx, reel_index_select(x, huge, 1), "index_select", "index 9223372036854775807 at [0]");
    refused_in_play(ctx, reel_index_add(x, over, src, 0), "index_add", "index 5 at [1]");
    refused_in_play(ctx, reel_gather(x, each, 0), "gather", "index 9 at [1, 2]");
    refused_in_play(ctx, reel_scatter_add(x, each, src, 0), "scatter_add", "index 9 at [1, 2]");
    refused_in_play(ctx, reel_embedding(over, x, NULL), "embedding", "index 5 at [1]");
    refused_in_play(ctx, reel_one_hot(over, 5), "one_hot", "value 5 at [1]");
    reel_ctx_free(ctx);
}

Test(index, refuses_operands_that_do_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(5, 3), REEL_F64), *s = reel_scalar(ctx, REEL_F64, 1);
    reel_tensor *i = reel_zeros(ctx, REEL_SHAPE(2), REEL_I64), *j = reel_zeros(ctx, REEL_SHAPE(2, 4), REEL_I64);
    reel_tensor *small = reel_ones(ctx, REEL_SHAPE(1, 3), REEL_F64), *k = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_I64);
    reel_tensor *single = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F32), *b = reel_zeros(ctx, REEL_SHAPE(2, 3), REEL_BOOL);
    refused(ctx, reel_gather(x, x, 0), "gather", "float64");
    refused(ctx, reel_gather(x, b, 0), "gather", "bool");
    refused(ctx, reel_gather(x, i, 0), "gather", "1 axes");
    refused(ctx, reel_gather(x, j, 0), "gather", "4 elements on axis 1");
    refused(ctx, reel_gather(x, k, 2), "gather", "axis 2");
    refused(ctx, reel_scatter_add(x, k, small, 0), "scatter_add", "src only 1");
    refused(ctx, reel_scatter_add(x, k, single, 0), "scatter_add", "float32");
    refused(ctx, reel_index_select(x, k, 0), "index_select", "vector");
    refused(ctx, reel_index_select(x, x, 0), "index_select", "float64");
    refused(ctx, reel_index_select(s, i, 0), "index_select", "scalar");
    refused(ctx, reel_index_add(x, i, small, 0), "index_add", "[1, 3]");
    refused(ctx, reel_embedding(x, x, NULL), "embedding", "float64");
    refused(ctx, reel_embedding(i, reel_reshape(x, REEL_SHAPE(15)), NULL), "embedding", "matrix");
    refused(ctx, reel_embedding(i, x, &(reel_embedding_opts) { true, 5, false }), "embedding", "padding_idx 5");
    refused(ctx, reel_embedding(i, x, &(reel_embedding_opts) { true, INT64_MIN, false }), "embedding", "padding_idx");
    refused(ctx, reel_take_along(x, j, 0), "take_along", "broadcast");
    refused(ctx, reel_one_hot(i, 0), "one_hot", "0 classes");
    refused(ctx, reel_one_hot(i, -2), "one_hot", "-2 classes");
    refused(ctx, reel_one_hot(i, INT64_MAX), "one_hot", "too large");
    reel_ctx_free(ctx);
}

Test(index, embedding_shares_gradients_among_the_places_of_a_row)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *rows = reel_longs(ctx, REEL_SHAPE(2, 2), (int64_t[]) { 2, 0, 2, 2 }), *slope;
    reel_tensor *weight = reel_set_requires_grad(reel_ones(ctx, REEL_SHAPE(4, 1), REEL_F64), true);
    reel_tensor *cot = reel_doubles(ctx, REEL_SHAPE(2, 2, 1), (double[]) { 1, 5, 2, 6 });
    reel_tensor *y = reel_embedding(rows, weight, &(reel_embedding_opts) { .scale_grad_by_freq = true });
    cr_assert(reel_grad(&y, 1, &weight, 1, &cot, &slope), "%s", reel_ctx_error_message(ctx));
    const double *g = reel_data_f64(slope);
    cr_assert(g[0] == 5 && g[1] == 0 && fabs(g[2] - 3) < 1e-15 && g[3] == 0);
    reel_ctx_free(ctx);
}
