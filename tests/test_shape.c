// SPDX-License-Identifier: MIT
// Views, copies, joins and pads against plain loops over random shapes and strides; what they refuse.
#include "spatial.h"

// A dense array of numbers: what an op's result has to be.
typedef struct dense {
    reel_shape shape;
    double *at;
} dense;

static dense dense_new(reel_shape shape)
{
    int64_t n = reel_shape_numel(shape);
    return (dense) { shape, malloc((size_t)(n ? n : 1) * sizeof(double)) };
}

// The place of element i (row-major) by axis, and back.
static void place_of(reel_shape shape, int64_t i, int64_t *place)
{
    for (int k = shape.ndim - 1; k >= 0; k--) {
        place[k] = i % shape.dim[k];
        i /= shape.dim[k];
    }
}

static int64_t element_at(reel_shape shape, const int64_t *place)
{
    int64_t i = 0;
    for (int k = 0; k < shape.ndim; k++) i = i * shape.dim[k] + place[k];
    return i;
}

// How an op reads: `from` is where in the operand the result's `place` comes from.
typedef struct step {
    enum { PERMUTE, SLICE, FLIP, EXPAND, UNSQUEEZE, SELECT, RESHAPE, DIAGONAL, STEPS } kind;
    int axis, other, order[REEL_MAX_DIMS];
    int64_t start, step, size;
    reel_shape shape;
} step;

static bool draw_step(const dense *x, step *s)
{
    int ndim = x->shape.ndim;
    memset(s, 0, sizeof *s);
    s->kind = (int)draw_in(0, STEPS - 1);
    s->shape = x->shape;
    if (s->kind != RESHAPE && s->kind != UNSQUEEZE && ndim == 0) return false;
    s->axis = ndim ? (int)draw_in(0, ndim - 1) : 0;
    int64_t n = ndim ? x->shape.dim[s->axis] : 1, numel = reel_shape_numel(x->shape);
    switch (s->kind) {
    case PERMUTE:
        for (int k = 0; k < ndim; k++) s->order[k] = k;
        for (int k = ndim - 1; k > 0; k--) {
            int j = (int)draw_in(0, k), swap = s->order[k];
            s->order[k] = s->order[j];
            s->order[j] = swap;
        }
        for (int k = 0; k < ndim; k++) s->shape.dim[k] = x->shape.dim[s->order[k]];
        return true;
    case SLICE:
        s->start = draw_in(0, n);
        s->step = draw_in(1, 3);
        s->size = draw_in(s->start, n); // the end
        s->shape.dim[s->axis] = (s->size - s->start + s->step - 1) / s->step;
        return true;
    case FLIP: return true;
    case EXPAND:
        if (n != 1 || numel > 4000) return false;
        s->shape.dim[s->axis] = draw_in(0, 4);
        return true;
    case UNSQUEEZE:
        if (ndim == REEL_MAX_DIMS) return false;
        s->axis = (int)draw_in(0, ndim);
        s->shape.ndim++;
        for (int k = ndim; k > s->axis; k--) s->shape.dim[k] = s->shape.dim[k - 1];
        s->shape.dim[s->axis] = 1;
        return true;
    case SELECT:
        if (n == 0) return false;
        s->start = draw_in(0, n - 1);
        s->shape.ndim--;
        for (int k = s->axis; k < s->shape.ndim; k++) s->shape.dim[k] = s->shape.dim[k + 1];
        return true;
    case RESHAPE: // a random factorisation
        s->shape.ndim = (int)draw_in(numel != 1, 5);
        for (int k = 0; k < s->shape.ndim; k++) {
            int64_t f = k == s->shape.ndim - 1 || numel == 0 ? numel : draw_in(1, numel);
            while (k < s->shape.ndim - 1 && numel > 0 && numel % f) f--;
            s->shape.dim[k] = f;
            numel = numel ? numel / f : (k == 0 ? 0 : 1);
        }
        return reel_shape_numel(s->shape) == reel_shape_numel(x->shape);
    default:
        s->other = (int)draw_in(0, ndim - 1);
        if (s->other == s->axis) return false;
        s->start = draw_in(-2, 2);
        int64_t rows = n - (s->start < 0 ? -s->start : 0), m = x->shape.dim[s->other] - (s->start > 0 ? s->start : 0);
        s->shape.ndim = 0;
        for (int k = 0; k < ndim; k++)
            if (k != s->axis && k != s->other) s->shape.dim[s->shape.ndim++] = x->shape.dim[k];
        int64_t least = rows < m ? rows : m;
        s->shape.dim[s->shape.ndim++] = least > 0 ? least : 0;
        return true;
    }
}

static dense do_step(const dense *x, const step *s)
{
    dense y = dense_new(s->shape);
    int64_t n = reel_shape_numel(s->shape), place[REEL_MAX_DIMS + 1], from[REEL_MAX_DIMS];
    for (int64_t i = 0; i < n; i++) {
        place_of(y.shape, i, place);
        memcpy(from, place, sizeof from);
        switch (s->kind) {
        case PERMUTE:
            for (int k = 0; k < y.shape.ndim; k++) from[s->order[k]] = place[k];
            break;
        case SLICE: from[s->axis] = s->start + place[s->axis] * s->step; break;
        case FLIP: from[s->axis] = x->shape.dim[s->axis] - 1 - place[s->axis]; break;
        case EXPAND: from[s->axis] = 0; break;
        case UNSQUEEZE:
            for (int k = s->axis; k < x->shape.ndim; k++) from[k] = place[k + 1];
            break;
        case SELECT:
            for (int k = x->shape.ndim - 1; k > s->axis; k--) from[k] = place[k - 1];
            from[s->axis] = s->start;
            break;
        case RESHAPE: break;
        default: {
            int j = 0;
            int64_t last = place[y.shape.ndim - 1];
            for (int k = 0; k < x->shape.ndim; k++)
                if (k != s->axis && k != s->other) from[k] = place[j++];
            from[s->axis] = last + (s->start < 0 ? -s->start : 0);
            from[s->other] = last + (s->start > 0 ? s->start : 0);
        }
        }
        y.at[i] = x->at[s->kind == RESHAPE ? i : element_at(x->shape, from)];
    }
    return y;
}

static reel_tensor *record_step(reel_tensor *x, const step *s)
{
    reel_dims order = { .count = reel_ndim(x) };
    for (int k = 0; k < order.count; k++) order.dim[k] = s->order[k];
    int below = -reel_ndim(x); // negative axes are the same
    bool negative = s->axis % 2 == 0;
    switch (s->kind) {
    case PERMUTE: return reel_permute(x, order);
    case SLICE: return reel_slice(x, negative ? s->axis + below : s->axis, s->start, s->size, s->step);
    case FLIP: return reel_flip(x, REEL_DIMS(s->axis));
    case EXPAND: return reel_expand(x, s->shape);
    case UNSQUEEZE: return reel_unsqueeze(x, negative ? s->axis + below - 1 : s->axis);
    case SELECT: return reel_select(x, s->axis, negative ? s->start - reel_size(x, s->axis) : s->start);
    case RESHAPE: return reel_reshape(x, s->shape);
    default: return reel_diagonal(x, s->start, s->axis, s->other);
    }
}

static double number_at(reel_tensor *x, const void *data, int64_t i)
{
    switch (reel_dtype_of(x)) {
    case REEL_F32: return (double)((const float *)data)[i];
    case REEL_F64: return ((const double *)data)[i];
    case REEL_I64: return (double)((const int64_t *)data)[i];
    case REEL_I32: return ((const int32_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static void same_as(reel_tensor *x, const dense *want, const char *what)
{
    char a[REEL_SHAPE_TEXT], b[REEL_SHAPE_TEXT];
    cr_assert(x, "%s: %s", what, "no result");
    cr_assert(reel_shape_equal(reel_shape_of(x), want->shape), "%s: shape %s, not %s", what,
              reel_shape_format(reel_shape_of(x), a), reel_shape_format(want->shape, b));
    const void *data = reel_data(x);
    int64_t n = reel_shape_numel(want->shape), wrong = 0;
    cr_assert(data || n == 0, "%s: %s", what, reel_ctx_error_message(reel_ctx_of(x)));
    for (int64_t i = 0; i < n; i++) wrong += number_at(x, data, i) != want->at[i];
    cr_assert_eq(wrong, 0, "%s: %lld of %lld elements of %s differ", what, (long long)wrong, (long long)n,
                 reel_shape_format(want->shape, b));
}

// Counted elements, small enough for every dtype.
static reel_tensor *counted(reel_ctx *ctx, reel_shape shape, reel_dtype dtype, dense *x)
{
    *x = dense_new(shape);
    int64_t n = reel_shape_numel(shape);
    for (int64_t i = 0; i < n; i++) x->at[i] = (double)(i % 251);
    reel_tensor *wide = reel_from(ctx, shape, REEL_F64, x->at);
    return dtype == REEL_F64 ? wide : reel_cast(wide, dtype);
}

static reel_shape draw_shape(int64_t most_axes, int64_t most)
{
    reel_shape shape = { .ndim = (int)draw_in(0, most_axes) };
    for (int k = 0; k < shape.ndim; k++) shape.dim[k] = draw_in(0, 12) ? draw_in(1, most) : 0;
    return shape;
}

Test(shape, chains_of_views_agree_with_plain_loops)
{
    static const reel_dtype dtypes[] = { REEL_F32, REEL_F64, REEL_I64, REEL_U8 };
    EACH_ISA(ctx)
    for (int round = 0; round < 300; round++) {
        REEL_SCOPE(ctx)
        {
            dense x;
            reel_tensor *t = counted(ctx, draw_shape(5, 7), dtypes[round % 4], &x);
            for (int i = 0; i < 6; i++) {
                step s;
                if (!draw_step(&x, &s)) continue;
                dense y = do_step(&x, &s);
                free(x.at);
                x = y;
                t = record_step(t, &s);
                sound(ctx);
            }
            same_as(t, &x, "a chain of views");
            same_as(reel_contiguous(t), &x, "the copy of a chain of views");
            free(x.at);
        }
    }
}

Test(shape, large_transposes_agree_at_any_number_of_threads)
{
    static const reel_shape shapes[] = { { 2, { 515, 333 } }, { 4, { 3, 17, 65, 40 } }, { 3, { 64, 3, 1000 } } };
    static const reel_dtype dtypes[] = { REEL_F32, REEL_F64, REEL_U8 };
    for (int isa = 0; isa < 4; isa++)
        for (int threads = 1; threads <= 4; threads *= 2) {
            reel_ctx *ctx = ctx_of_isa(isa, threads);
            if (!ctx) continue;
            for (int i = 0; i < 3; i++)
                for (int d = 0; d < 3; d++) {
                    dense x;
                    reel_tensor *t = counted(ctx, shapes[i], dtypes[d], &x);
                    step s = { .kind = PERMUTE, .shape = shapes[i] };
                    for (int k = 0; k < shapes[i].ndim; k++) {
                        s.order[k] = (k + 1 + d) % shapes[i].ndim;
                        s.shape.dim[k] = shapes[i].dim[s.order[k]];
                    }
                    dense y = do_step(&x, &s);
                    same_as(reel_contiguous(record_step(t, &s)), &y, "a large transpose");
                    free(x.at);
                    free(y.at);
                }
            reel_ctx_free(ctx);
        }
}

// Rolls, tiles and triangles, each element by its formula.
Test(shape, roll_tile_and_triangles_agree_with_their_formulas)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 120; round++) {
        REEL_SCOPE(ctx)
        {
            dense x;
            reel_shape shape = draw_shape(4, 6);
            reel_tensor *t = counted(ctx, shape, round % 2 ? REEL_F32 : REEL_I32, &x);
            int64_t n = reel_shape_numel(shape), place[REEL_MAX_DIMS], from[REEL_MAX_DIMS];
            if (shape.ndim > 0) {
                int axis = (int)draw_in(0, shape.ndim - 1);
                int64_t shifts[2] = { draw_in(-9, 9), draw_in(-9, 9) }, total = shifts[0] + shifts[1];
                dense y = dense_new(shape);
                for (int64_t i = 0; i < n; i++) {
                    place_of(shape, i, place);
                    int64_t m = shape.dim[axis];
                    place[axis] = ((place[axis] + total) % m + m) % m;
                    y.at[element_at(shape, place)] = x.at[i];
                }
                same_as(reel_roll(t, shifts, REEL_DIMS(axis, axis)), &y, "roll of one axis twice");
                for (int64_t i = 0; i < n; i++) y.at[((i + shifts[0]) % n + n) % n] = x.at[i];
                same_as(reel_roll(t, shifts, REEL_ALL_DIMS), &y, "roll of the flattened elements");
                free(y.at);
            }
            reel_shape reps = { .ndim = (int)draw_in(0, 5) }, big = { 0 };
            for (int k = 0; k < reps.ndim; k++) reps.dim[k] = draw_in(0, 9) ? draw_in(1, 3) : 0;
            big.ndim = reps.ndim > shape.ndim ? reps.ndim : shape.ndim;
            for (int k = 0; k < big.ndim; k++) {
                int i = k - (big.ndim - shape.ndim), r = k - (big.ndim - reps.ndim);
                big.dim[k] = (i < 0 ? 1 : shape.dim[i]) * (r < 0 ? 1 : reps.dim[r]);
            }
            dense y = dense_new(big);
            for (int64_t i = 0; i < reel_shape_numel(big); i++) {
                place_of(big, i, place);
                for (int k = 0; k < shape.ndim; k++) from[k] = place[k + big.ndim - shape.ndim] % shape.dim[k];
                y.at[i] = x.at[element_at(shape, from)];
            }
            same_as(reel_tile(t, reps), &y, "tile");
            free(y.at);
            if (shape.ndim >= 2) {
                int64_t diagonal = draw_in(-7, 7);
                y = dense_new(shape);
                for (int upper = 0; upper < 2; upper++) {
                    for (int64_t i = 0; i < n; i++) {
                        place_of(shape, i, place);
                        int64_t over = place[shape.ndim - 1] - place[shape.ndim - 2] - diagonal;
                        y.at[i] = (upper ? over >= 0 : over <= 0) ? x.at[i] : 0;
                    }
                    same_as(upper ? reel_triu(t, diagonal) : reel_tril(t, diagonal), &y, upper ? "triu" : "tril");
                }
                free(y.at);
            }
            free(x.at);
        }
    }
}

// Coordinate `at` of an axis of n, where the border mode reads; -1: the fill.
static int64_t border(reel_pad_mode mode, int64_t at, int64_t n, int64_t first, int64_t last)
{
    if (mode == REEL_PAD_CONSTANT) return at < 0 || at >= n ? -1 : at;
    if (mode == REEL_PAD_REPLICATE) return at < 0 ? 0 : at >= n ? n - 1 : at;
    if (mode == REEL_PAD_REFLECT) {
        while (at < 0 || at >= n) at = at < 0 ? -at : 2 * (n - 1) - at;
        return at;
    }
    int64_t low = first < 0 ? -first : 0, high = last < 0 ? n + last : n; // what a crop leaves goes round
    while (at < low) at += high - low;
    while (at >= high) at -= high - low;
    return at;
}

Test(shape, pads_of_every_mode_agree_with_plain_loops_and_their_adjoints)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 300; round++) {
        REEL_SCOPE(ctx)
        {
            reel_shape shape = draw_shape(4, 6), big = shape;
            reel_pad_opts opts = { .mode = (reel_pad_mode)(round % 4), .value = round % 4 == 0 ? 7 : 0 };
            bool fits = true;
            for (int k = 0; k < shape.ndim; k++) {
                int64_t n = shape.dim[k], most = n - (opts.mode == REEL_PAD_REFLECT);
                if (opts.mode == REEL_PAD_CONSTANT || opts.mode == REEL_PAD_REPLICATE) most = 4;
                if (draw_in(0, 2) == 0 || most < 0 || n == 0) continue;
                int64_t first = draw_in(-1, most), last = draw_in(-1, most);
                if (opts.mode == REEL_PAD_CIRCULAR && (first < 0 || last < 0)) {
                    first = first > n - 1 ? n - 1 : first;
                    last = last > n - 1 ? n - 1 : last;
                }
                opts.pad[2 * (shape.ndim - 1 - k)] = first;
                opts.pad[2 * (shape.ndim - 1 - k) + 1] = last;
                big.dim[k] = n + first + last;
                fits = fits && big.dim[k] > 0;
            }
            if (!fits) break;
            dense x, y = dense_new(big);
            reel_dtype dtype = round % 3 ? REEL_F64 : REEL_F32;
            reel_tensor *t = counted(ctx, shape, dtype, &x);
            int64_t n = reel_shape_numel(big), place[REEL_MAX_DIMS];
            double *back = calloc((size_t)reel_shape_numel(shape) + 1, sizeof *back);
            for (int64_t i = 0; i < n; i++) {
                place_of(big, i, place);
                bool outside = false;
                for (int k = 0; k < shape.ndim; k++) {
                    int64_t first = opts.pad[2 * (shape.ndim - 1 - k)], last = opts.pad[2 * (shape.ndim - 1 - k) + 1];
                    place[k] = border(opts.mode, place[k] - first, shape.dim[k], first, last);
                    outside = outside || place[k] < 0;
                }
                y.at[i] = outside ? opts.value : x.at[element_at(shape, place)];
                if (!outside) back[element_at(shape, place)] += (double)(i % 251);
            }
            same_as(reel_pad(t, &opts), &y, "pad");
            dense g, gx = { shape, back };
            same_as(reel_pad_backward(counted(ctx, big, dtype, &g), shape, &opts), &gx, "pad_backward");
            free(x.at);
            free(y.at);
            free(g.at);
            free(back);
        }
    }
}

Test(shape, cat_and_stack_undo_split_and_unbind)
{
    EACH_ISA(ctx)
    for (int round = 0; round < 100; round++) {
        REEL_SCOPE(ctx)
        {
            reel_shape shape = draw_shape(5, 7);
            if (shape.ndim == 0) break;
            dense x;
            reel_tensor *t = counted(ctx, shape, round % 2 ? REEL_F32 : REEL_U8, &x), *parts[16];
            int axis = (int)draw_in(0, shape.ndim - 1);
            int n = reel_split(t, draw_in(1, 3), axis - (round % 3 ? shape.ndim : 0), parts, 16);
            cr_assert_gt(n, 0);
            same_as(reel_cat(parts, n, axis), &x, "cat of split");
            n = reel_chunk(t, (int)draw_in(1, 4), axis, parts, 16);
            cr_assert_gt(n, 0);
            same_as(reel_cat(parts, n, axis), &x, "cat of chunk");
            n = reel_unbind(t, axis, parts, 16);
            cr_assert_eq(n, shape.dim[axis]);
            if (n > 0) same_as(reel_stack(parts, n, axis), &x, "stack of unbind");
            free(x.at);
        }
        sound(ctx);
    }
}

Test(shape, cat_promotes_dtypes_and_passes_over_empty_vectors)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *a = reel_longs(ctx, REEL_SHAPE(1, 2), (int64_t[]) { 3, 4 });
    reel_tensor *b = reel_doubles(ctx, REEL_SHAPE(1, 1), (double[]) { 0.5 });
    reel_tensor *e = reel_zeros(ctx, REEL_SHAPE(0), REEL_F32);
    reel_tensor *y = reel_cat((reel_tensor *[]) { e, a, b }, 3, 1);
    dense want = { REEL_SHAPE(1, 3), (double[]) { 3, 4, 0.5 } };
    same_as(y, &want, "cat");
    cr_assert_eq(reel_dtype_of(y), REEL_F64);
    reel_ctx_free(ctx);
}

Test(shape, a_reshape_is_a_view_where_strides_allow_it)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_zeros(ctx, REEL_SHAPE(4, 6, 5), REEL_F32);
    reel_tensor *t = reel_transpose(x, 0, 2); // [5, 6, 4]
    cr_assert(reel_view(t, REEL_SHAPE(5, 2, 3, 1, 4)));
    cr_assert(reel_view(reel_slice(x, 1, 0, 6, 2), REEL_SHAPE(4, 1, 3, 5)));
    refused(ctx, reel_view(t, REEL_SHAPE(30, 4)), "view", "copies");
    cr_assert(reel_is_contiguous(reel_reshape(t, REEL_SHAPE(30, 4))));
    reel_ctx_free(ctx);
}

Test(shape, refuses_what_does_not_fit)
{
    reel_ctx *ctx = reel_ctx_new(NULL);
    reel_tensor *x = reel_ones(ctx, REEL_SHAPE(2, 3), REEL_F64), *s = reel_scalar(ctx, REEL_F64, 1);
    reel_tensor *v = reel_ones(ctx, REEL_SHAPE(1, 3), REEL_F64), *parts[4];
    const int64_t huge = INT64_MAX, shift[] = { 1, 2 };
    refused(ctx, reel_reshape(x, REEL_SHAPE(4, 2)), "reshape", "[4, 2]");
    refused(ctx, reel_reshape(x, REEL_SHAPE(-1, -1)), "reshape", "more than one");
    refused(ctx, reel_reshape(x, REEL_SHAPE(-2, 3)), "reshape", "negative");
    refused(ctx, reel_reshape(x, REEL_SHAPE(-1, 4)), "reshape", "no size");
    refused(ctx, reel_reshape(x, REEL_SHAPE(huge, huge)), "reshape", "elements");
    refused(ctx, reel_reshape(x, REEL_SHAPE(huge, -1)), "reshape", "-1");
    refused(ctx, reel_reshape(reel_slice(x, 0, 0, 0, 1), REEL_SHAPE(-1, 0)), "reshape", "any size");
    refused(ctx, reel_flatten(x, 1, 0), "flatten", "after");
    refused(ctx, reel_flatten(x, 0, 2), "flatten", "outside");
    refused(ctx, reel_unflatten(x, 1, REEL_SHAPE(2, -1)), "unflatten", "-1");
    refused(ctx, reel_unflatten(x, 1, REEL_SCALAR), "unflatten", "no sizes");
    refused(ctx, reel_squeeze(x, REEL_DIMS(2)), "squeeze", "axis 2");
    refused(ctx, reel_squeeze(x, REEL_DIMS(0, -2)), "squeeze", "twice");
    refused(ctx, reel_unsqueeze(x, 3), "unsqueeze", "axis 3");
    refused(ctx, reel_permute(x, REEL_DIMS(0, 0)), "permute", "twice");
    refused(ctx, reel_permute(x, REEL_DIMS(0)), "permute", "1 axes");
    refused(ctx, reel_transpose(x, 0, -3), "transpose", "axis -3");
    refused(ctx, reel_movedim(x, REEL_DIMS(0, 1), REEL_DIMS(0)), "movedim", "1 places");
    refused(ctx, reel_expand(x, REEL_SHAPE(3, 3)), "expand", "only 1");
    refused(ctx, reel_expand(x, REEL_SHAPE(3)), "expand", "1 sizes");
    refused(ctx, reel_expand(x, REEL_SHAPE(-1, 2, 3)), "expand", "negative");
    refused(ctx, reel_expand(v, REEL_SHAPE(huge, 3)), "expand", "too large");
    refused(ctx, reel_slice(x, 0, 0, 2, 0), "slice", "step 0");
    refused(ctx, reel_slice(x, 2, 0, 2, 1), "slice", "axis 2");
    refused(ctx, reel_slice(s, 0, 0, 2, 1), "slice", "scalar");
    refused(ctx, reel_narrow(x, 0, 1, 2), "narrow", "past the end");
    refused(ctx, reel_narrow(x, 0, 1, huge), "narrow", "past the end");
    refused(ctx, reel_narrow(x, 0, INT64_MIN, 1), "narrow", "outside");
    refused(ctx, reel_narrow(x, 0, 0, -1), "narrow", "negative");
    refused(ctx, reel_select(x, 1, 3), "select", "index 3");
    refused(ctx, reel_select(x, 1, INT64_MIN), "select", "out of range");
    refused(ctx, reel_flip(x, REEL_DIMS(1, -1)), "flip", "twice");
    refused(ctx, reel_diagonal(x, 0, 1, -1), "diagonal", "axis 1");
    refused(ctx, reel_diagonal_backward(x, REEL_SHAPE(4, 4), 0, 0, 1), "diagonal_backward", "[4]");
    refused(ctx, reel_slice_backward(x, REEL_SHAPE(huge, huge), 0, 0, 1, 1), "slice_backward", "too large");
    refused(ctx, reel_slice_backward(x, REEL_SHAPE(5, 3), 0, 0, 3, 1), "slice_backward", "[3, 3]");
    refused(ctx, reel_roll(x, shift, REEL_DIMS(0, 2)), "roll", "axis 2");
    refused(ctx, reel_roll(x, shift, (reel_dims) { .count = 1000000 }), "roll", "1000000 axes");
    refused(ctx, reel_tile(x, REEL_SHAPE(-1, 2)), "tile", "negative");
    refused(ctx, reel_tile(x, REEL_SHAPE(huge, huge)), "tile", "memory");
    refused(ctx, reel_repeat(x, REEL_SHAPE(2)), "repeat", "1 counts");
    refused(ctx, reel_tril(reel_select(x, 0, 0), 0), "tril", "1 axes");
    refused(ctx, reel_cat((reel_tensor *[]) { x, v }, 2, 1), "cat", "operand 1");
    refused(ctx, reel_cat((reel_tensor *[]) { s, s }, 2, 0), "cat", "scalar");
    refused(ctx, reel_stack((reel_tensor *[]) { x, v }, 2, 0), "stack", "operand 1");
    refused(ctx, reel_stack((reel_tensor *[]) { x, x }, 2, 4), "stack", "axis 4");
    cr_assert_eq(reel_split(x, 0, 1, parts, 4), -1);
    refused(ctx, NULL, "split", "0 elements");
    cr_assert_eq(reel_split(x, 1, 1, parts, 2), -1);
    refused(ctx, NULL, "split", "room for 2");
    cr_assert_eq(reel_split_sizes(x, (int64_t[]) { 1, huge }, 2, 1, parts), -1);
    refused(ctx, NULL, "split", "add up");
    cr_assert_eq(reel_chunk(x, 0, 1, parts, 4), -1);
    refused(ctx, NULL, "chunk", "0 chunks");
    cr_assert_eq(reel_unbind(x, 2, parts, 4), -1);
    refused(ctx, NULL, "unbind", "axis 2");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { 3, 0 }, .mode = REEL_PAD_REFLECT }), "pad", "reflect");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { -2, -2 } }), "pad", "negative size");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { huge, huge } }), "pad", "overflow");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { huge - 3, 0 } }), "pad", "too large");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { INT64_MIN, INT64_MIN } }), "pad", "overflow");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { 4, 0 }, .mode = REEL_PAD_CIRCULAR }), "pad", "more than once");
    refused(ctx, reel_pad(x, &(reel_pad_opts) { .pad = { 0, 0, 0, 0, 1 } }), "pad", "more axes");
    refused(ctx, reel_cat((reel_tensor *[]) { x, NULL }, 2, 0), "cat", "input 1 is missing");
    cr_assert_null(reel_reshape(NULL, REEL_SHAPE(1)));
    cr_assert_eq(reel_ctx_error(ctx), REEL_OK);
    reel_ctx_free(ctx);
}

// Rows that begin anywhere in a cache line, in pieces of vectors and beyond what a cache holds.
Test(shape, rows_of_any_length_are_copied_whole)
{
    enum { WIDTH = 70001 };
    static const int64_t lengths[] = { 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 127, 128, 129, 1000, 4099, 40000, 69000 };
    static const reel_dtype dtypes[] = { REEL_F32, REEL_F64, REEL_U8 };
    int64_t *x = malloc(3 * WIDTH * sizeof *x);
    for (int i = 0; i < 3 * WIDTH; i++) x[i] = draw_in(0, 255);
    EACH_ISA(ctx)
    {
        for (int t = 0; t < 3; t++) {
            reel_tensor *whole = reel_cast(reel_longs(ctx, REEL_SHAPE(3, WIDTH), x), dtypes[t]);
            reel_eval(whole);
            for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) REEL_SCOPE(ctx)
                {
                    int64_t n = lengths[k], from = draw_in(1, 60), shift = draw_in(1, 9);
                    reel_tensor *some = reel_slice(whole, 1, from, from + n, 1);
                    const int64_t *same = reel_data_i64(reel_cast(reel_contiguous(some), REEL_I64));
                    const int64_t *rolled = reel_data_i64(reel_cast(reel_roll(some, &shift, REEL_DIMS(1)), REEL_I64));
                    sound(ctx);
                    for (int64_t i = 0; i < 3 * n; i++) {
                        const int64_t *row = x + i / n * WIDTH + from;
                        if (same[i] != row[i % n]) cr_assert_eq(same[i], row[i % n], "element %d of %d", (int)i, (int)n);
                        int64_t back = ((i % n - shift) % n + n) % n;
                        if (rolled[i] != row[back]) cr_assert_eq(rolled[i], row[back], "rolled %d of %d", (int)i, (int)n);
                    }
                }
        }
    }
    free(x);
}
