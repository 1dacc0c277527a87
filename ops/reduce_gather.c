// SPDX-License-Identifier: MIT
// Picks the loops for a kind of reduction on a dtype, and maps tiles of the input where it is not x itself that is
// gathered.
#include <math.h>
#include <reel/ops/reduce_gather.h>
#include <reel/ops/reduce_loops.h>

enum { TILE = 1024, TILE_COLUMNS = 128, TILE_ROOM = 64 /* bytes: a vector */ };

static reel_gathering by_loops(reel_reduce_kind kind, reel_dtype dtype)
{
    static const struct {
        reel_loop_kind loop;
        reel_join join;
    } of[] = { [REEL_REDUCE_SUM] = { REEL_LOOP_SUM, REEL_JOIN_SUM },
               [REEL_REDUCE_PROD] = { REEL_LOOP_PROD, REEL_JOIN_PROD },
               [REEL_REDUCE_MAX] = { REEL_LOOP_MAX, REEL_JOIN_MAX },
               [REEL_REDUCE_MIN] = { REEL_LOOP_MIN, REEL_JOIN_MIN },
               [REEL_REDUCE_COUNT] = { REEL_LOOP_COUNT, REEL_JOIN_SUM } };
    return (reel_gathering) { .lines = reel_loops.lines[of[kind].loop][dtype],
                              .columns = reel_loops.columns[of[kind].loop][dtype],
                              .join = of[kind].join,
                              .integer = kind == REEL_REDUCE_COUNT || !reel_dtype_is_float(dtype) };
}

static reel_gathering by_vectors(reel_isa isa, reel_reduce_kind kind, reel_dtype dtype)
{
    static const struct {
        reel_gather_kind gather;
        reel_reduce_map mapping;
    } of[] = { [REEL_REDUCE_SUM] = { REEL_GATHER_SUM, REEL_MAP_NONE },
               [REEL_REDUCE_PROD] = { REEL_GATHER_PROD, REEL_MAP_NONE },
               [REEL_REDUCE_MAX] = { REEL_GATHER_MAX, REEL_MAP_NONE },
               [REEL_REDUCE_MIN] = { REEL_GATHER_MAX, REEL_MAP_NEG },
               [REEL_REDUCE_SUMEXP] = { REEL_GATHER_SUM, REEL_MAP_EXP },
               [REEL_REDUCE_SUMDEV] = { REEL_GATHER_SUM, REEL_MAP_SQUARE },
               [REEL_REDUCE_SUMABS] = { REEL_GATHER_SUM, REEL_MAP_ABS },
               [REEL_REDUCE_MAXABS] = { REEL_GATHER_MAX, REEL_MAP_ABS },
               [REEL_REDUCE_MINABS] = { REEL_GATHER_MAX, REEL_MAP_NEG_ABS },
               [REEL_REDUCE_SUMPOW] = { REEL_GATHER_SUM, REEL_MAP_POW } };
    static const reel_join joins[] = { [REEL_GATHER_SUM] = REEL_JOIN_SUM,
                                       [REEL_GATHER_MAX] = REEL_JOIN_MAX,
                                       [REEL_GATHER_PROD] = REEL_JOIN_PROD };
    const reel_reduce_kernels *kernels = reel_reduce_kernels_for(reel_large_isa(isa, dtype));
    reel_gather_kind gather = of[kind].gather;
    return (reel_gathering) { .lines = kernels->lines[gather][dtype == REEL_F64],
                              .columns = kernels->columns[gather][dtype == REEL_F64],
                              .map = kernels->map[dtype == REEL_F64],
                              .mapping = of[kind].mapping,
                              .join = joins[gather],
                              .negated = kind == REEL_REDUCE_MIN || kind == REEL_REDUCE_MINABS };
}

reel_gathering reel_gathering_of(reel_isa isa, reel_reduce_kind kind, reel_dtype dtype, double param)
{
    bool loops = !reel_dtype_is_float(dtype) || kind == REEL_REDUCE_COUNT;
    reel_gathering g = loops ? by_loops(kind, dtype) : by_vectors(isa, kind, dtype);
    g.element = (int64_t)reel_dtype_size(dtype);
    g.param = param;
    return g;
}

void reel_gather_begin(const reel_gathering *g, reel_acc *acc, int64_t n)
{
    static const int64_t integers[] = { 0, 1, INT64_MIN, INT64_MAX };
    static const double floats[] = { 0, 1, -INFINITY, INFINITY };
    reel_acc nothing = { .i = integers[g->join] };
    if (!g->integer) nothing.f = floats[g->join];
    for (int64_t i = 0; i < n; i++) acc[i] = nothing;
}

static int64_t join_integers(reel_join join, int64_t a, int64_t b)
{
    switch (join) {
    case REEL_JOIN_PROD: return (int64_t)((uint64_t)a * (uint64_t)b);
    case REEL_JOIN_MAX: return a > b ? a : b;
    case REEL_JOIN_MIN: return a < b ? a : b;
    default: return (int64_t)((uint64_t)a + (uint64_t)b);
    }
}

void reel_gather_join(const reel_gathering *g, reel_acc *a, const reel_acc *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (g->integer)
            a[i].i = join_integers(g->join, a[i].i, b[i].i);
        else if (g->join == REEL_JOIN_SUM)
            a[i].f += b[i].f;
        else if (g->join == REEL_JOIN_PROD)
            a[i].f *= b[i].f;
        else if (b[i].f > a[i].f || b[i].f != b[i].f)
            a[i].f = b[i].f; // NaN stays: nothing is larger
    }
}

void reel_gather_lines(const reel_gathering *g, int64_t m, int64_t n, const void *x, int64_t stride, const void *aux,
                       reel_acc *acc)
{
    if (g->mapping == REEL_MAP_NONE) {
        g->lines(m, n, x, stride, acc);
        return;
    }
    double tile[TILE + TILE_ROOM / sizeof(double)];
    int64_t step = n < TILE ? TILE / (n > 0 ? n : 1) : 1;
    for (int64_t j = 0; j < m; j += step) {
        int64_t count = m - j < step ? m - j : step;
        const char *line = (const char *)x + j * stride * g->element,
                   *its = aux ? (const char *)aux + j * g->element : NULL;
        for (int64_t i = 0; i < n; i += TILE) {
            int64_t part = n - i < TILE ? n - i : TILE;
            g->map(g->mapping, count, part, line + i * g->element, stride, its, false, g->param, tile);
            g->lines(count, part, tile, part, acc + j);
        }
    }
}

void reel_gather_columns(const reel_gathering *g, int64_t n, int64_t rows, const void *x, int64_t stride,
                         const void *aux, reel_acc *acc)
{
    if (g->mapping == REEL_MAP_NONE) {
        g->columns(n, rows, x, stride, acc);
        return;
    }
    double tile[TILE + TILE_ROOM / sizeof(double)];
    for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
        int64_t part = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS, step = TILE / part;
        const char *column = (const char *)x + j * g->element, *its = aux ? (const char *)aux + j * g->element : NULL;
        for (int64_t i = 0; i < rows; i += step) {
            int64_t count = rows - i < step ? rows - i : step;
            g->map(g->mapping, count, part, column + i * stride * g->element, stride, its, true, g->param, tile);
            g->columns(part, count, tile, part, acc + j);
        }
    }
}
