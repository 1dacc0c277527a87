// SPDX-License-Identifier: MIT
// Plain SVG pictures: curves and matrices.
#ifndef REEL_NN_PLOT_H
#define REEL_NN_PLOT_H

#include <reel/core/error.h>

REEL_BEGIN

/* y by x = first_x, first_x + 1, ...; NaN leaves a gap. */
typedef struct reel_series {
    const char *name;
    const double *y;
    int64_t count;
    double first_x;
    bool dashed;
} reel_series;

/* One panel of curves over a common x axis, with ticks and a legend. */
typedef struct reel_panel {
    const char *title, *x_label;
    const reel_series *series;
    int n_series;
} reel_panel;

/* Panels side by side. */
REEL_API bool reel_curves_save_svg(reel_ctx *ctx, const char *path, const reel_panel *panels, int n_panels);

/* A square table of counts, shaded by row, numbers in the cells. `names` may be NULL. */
REEL_API bool reel_matrix_save_svg(reel_ctx *ctx, const char *path, const char *title, int64_t classes,
                                   const int64_t *count, const char *const *names);

REEL_END

#endif
