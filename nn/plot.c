// SPDX-License-Identifier: MIT
// Plain SVG pictures: curves and matrices.
#include <inttypes.h>
#include <math.h>
#include <reel/core/file.h>
#include <reel/core/operands.h>
#include <reel/nn/plot.h>
#include <stdio.h>
#include <string.h>

#define PANEL_WIDTH 420
#define PANEL_HEIGHT 320
#define LEFT 62
#define RIGHT 16
#define TOP 36
#define BOTTOM 46
#define MAX_CLASSES 1000

static const char *const colours[] = { "#2b6cb0", "#dd6b20", "#2f855a", "#b83280", "#6b46c1", "#718096" };

/* Text with what SVG gives a meaning to replaced. */
static bool put_text(reel_writer *writer, const char *text)
{
    bool ok = true;
    for (; ok && text && *text; text++) {
        switch (*text) {
        case '&': ok = reel_writer_print(writer, "&amp;"); break;
        case '<': ok = reel_writer_print(writer, "&lt;"); break;
        case '>': ok = reel_writer_print(writer, "&gt;"); break;
        case '"': ok = reel_writer_print(writer, "&quot;"); break;
        default: ok = reel_writer_put(writer, text, 1); break;
        }
    }
    return ok;
}

/* Tenths without a locale's comma: SVG knows the point alone. */
typedef struct decimal {
    char text[32];
} decimal;

static decimal tenths(double value)
{
    decimal d;
    int64_t t = (int64_t)llround(value * 10);
    snprintf(d.text, sizeof d.text, "%s%" PRId64 ".%d", t < 0 ? "-" : "", (t < 0 ? -t : t) / 10,
             (int)((t < 0 ? -t : t) % 10));
    return d;
}

static bool begin(reel_writer *writer, double width, double height)
{
    decimal w = tenths(width), h = tenths(height);
    return reel_writer_print(
        writer,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"white\"/>\n",
        w.text, h.text, w.text, h.text);
}

static bool label(reel_writer *writer, double x, double y, const char *attributes, const char *text)
{
    decimal at_x = tenths(x), at_y = tenths(y);
    return reel_writer_print(writer, "<text x=\"%s\" y=\"%s\" %s>", at_x.text, at_y.text, attributes) &&
           put_text(writer, text) && reel_writer_print(writer, "</text>\n");
}

static bool line(reel_writer *writer, double x1, double y1, double x2, double y2, const char *colour)
{
    decimal a = tenths(x1), b = tenths(y1), c = tenths(x2), d = tenths(y2);
    return reel_writer_print(writer, "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\"/>\n", a.text, b.text,
                             c.text, d.text, colour);
}

/* Curves */

/* An axis: its range in numbers and in pixels. */
typedef struct axis {
    double low, high, from, to, tick;
} axis;

static double place(const axis *a, double value)
{
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

/* 1, 2 or 5 times a power of ten, so that there are at most `most` ticks. */
static double nice_tick(double span, int most)
{
    double raw = span / most, power = pow(10, floor(log10(raw))), lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static void widen(axis *a, double value)
{
    if (!isfinite(value)) return;
    a->low = fmin(a->low, value);
    a->high = fmax(a->high, value);
}

/* Makes a usable range of what was seen, ending at ticks when `round`. */
static void close_axis(axis *a, int most, bool round)
{
    if (!(a->low <= a->high)) a->low = 0, a->high = 1;
    if (a->high - a->low < 1e-12 * fmax(fabs(a->low), fabs(a->high)) || a->high == a->low) {
        double reach = a->high == 0 ? 1 : fabs(a->high) * 0.1;
        a->low -= reach;
        a->high += reach;
    }
    a->tick = nice_tick(a->high - a->low, most);
    if (!round) return;
    a->low = floor(a->low / a->tick) * a->tick;
    a->high = ceil(a->high / a->tick) * a->tick;
}

static bool draw_ticks(reel_writer *writer, const axis *x, const axis *y)
{
    bool ok = true;
    char text[40];
    for (int side = 0; side < 2; side++) {
        const axis *a = side ? y : x;
        int64_t first = (int64_t)ceil(a->low / a->tick - 1e-9), last = (int64_t)floor(a->high / a->tick + 1e-9);
        for (int64_t i = first; ok && i <= last && i - first < 100; i++) {
            double value = (double)i * a->tick, at = place(a, value);
            snprintf(text, sizeof text, "%.6g", value);
            char *comma = strchr(text, ',');
            if (comma) *comma = '.';
            if (side) {
                ok = line(writer, x->from, at, x->to, at, "#e2e8f0") &&
                     label(writer, x->from - 6, at + 4, "text-anchor=\"end\" fill=\"#4a5568\"", text);
            } else {
                ok = line(writer, at, y->from, at, y->from + 4, "#4a5568") &&
                     label(writer, at, y->from + 18, "text-anchor=\"middle\" fill=\"#4a5568\"", text);
            }
        }
    }
    return ok && line(writer, x->from, y->from, x->to, y->from, "#4a5568") &&
           line(writer, x->from, y->from, x->from, y->to, "#4a5568");
}

/* Runs of finite points as lines; a point alone as a dot. */
static bool draw_series(reel_writer *writer, const reel_series *s, const axis *x, const axis *y, const char *colour)
{
    bool ok = true;
    for (int64_t i = 0; ok && i < s->count;) {
        if (!isfinite(s->y[i])) {
            i++;
            continue;
        }
        int64_t end = i;
        while (end < s->count && isfinite(s->y[end])) end++;
        if (end - i == 1) {
            decimal cx = tenths(place(x, s->first_x + (double)i)), cy = tenths(place(y, s->y[i]));
            ok = reel_writer_print(writer, "<circle cx=\"%s\" cy=\"%s\" r=\"2.5\" fill=\"%s\"/>\n", cx.text, cy.text,
                                   colour);
        } else {
            ok = reel_writer_print(writer, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\"%s points=\"",
                                   colour, s->dashed ? " stroke-dasharray=\"5 3\"" : "");
            for (int64_t k = i; ok && k < end; k++) {
                decimal px = tenths(place(x, s->first_x + (double)k)), py = tenths(place(y, s->y[k]));
                ok = reel_writer_print(writer, "%s,%s ", px.text, py.text);
            }
            ok = ok && reel_writer_print(writer, "\"/>\n");
        }
        i = end;
    }
    return ok;
}

/* How many points of the curves a box hides. */
static int64_t count_hidden(const reel_panel *panel, const axis *x, const axis *y, double left, double top, double bottom)
{
    int64_t hidden = 0;
    for (int i = 0; i < panel->n_series; i++)
        for (int64_t k = 0; k < panel->series[i].count; k++) {
            double at = place(y, panel->series[i].y[k]);
            hidden += place(x, panel->series[i].first_x + (double)k) >= left && at >= top && at <= bottom;
        }
    return hidden;
}

/* At the right, above or below, where it hides less of the curves. */
static bool draw_legend(reel_writer *writer, const reel_panel *panel, const axis *x, const axis *y)
{
    bool ok = true;
    double left = x->to - 110, height = 16 * panel->n_series, above = y->to, below = y->from - 10 - height;
    bool lower = count_hidden(panel, x, y, left, below, y->from) < count_hidden(panel, x, y, left, above, above + 10 + height);
    for (int i = 0; ok && panel->n_series > 1 && i < panel->n_series; i++) {
        double at = (lower ? below : above) + 14 + 16 * i;
        decimal x1 = tenths(left), x2 = tenths(left + 24), h = tenths(at - 4);
        ok = reel_writer_print(writer,
                               "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\" stroke-width=\"1.8\"%s/>\n",
                               x1.text, h.text, x2.text, h.text, colours[i % 6],
                               panel->series[i].dashed ? " stroke-dasharray=\"5 3\"" : "") &&
             label(writer, left + 30, at, "fill=\"#1a202c\"", panel->series[i].name);
    }
    return ok;
}

static bool draw_panel(reel_writer *writer, const reel_panel *panel, double left)
{
    axis x = { INFINITY, -INFINITY, left + LEFT, left + PANEL_WIDTH - RIGHT, 1 };
    axis y = { INFINITY, -INFINITY, PANEL_HEIGHT - BOTTOM, TOP, 1 };
    for (int i = 0; i < panel->n_series; i++) {
        const reel_series *s = &panel->series[i];
        if (s->count > 0) widen(&x, s->first_x), widen(&x, s->first_x + (double)(s->count - 1));
        for (int64_t k = 0; k < s->count; k++) widen(&y, s->y[k]);
    }
    close_axis(&x, 8, false);
    close_axis(&y, 6, true);
    if (x.tick < 1) x.tick = 1; /* epochs and steps are whole */
    bool ok =
        draw_ticks(writer, &x, &y) &&
        label(writer, (x.from + x.to) / 2, TOP - 14, "text-anchor=\"middle\" font-size=\"14\"", panel->title) &&
        label(writer, (x.from + x.to) / 2, PANEL_HEIGHT - 8, "text-anchor=\"middle\" fill=\"#4a5568\"", panel->x_label);
    for (int i = 0; ok && i < panel->n_series; i++) ok = draw_series(writer, &panel->series[i], &x, &y, colours[i % 6]);
    return ok && draw_legend(writer, panel, &x, &y);
}

bool reel_curves_save_svg(reel_ctx *ctx, const char *path, const reel_panel *panels, int n_panels)
{
    if (reel_ctx_error(ctx)) return false;
    if (n_panels < 1) return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a picture of %d panels", path, n_panels);
    bool given = reel_given_list(ctx, "curves_save_svg", "panels", panels, n_panels);
    for (int i = 0; given && i < n_panels; i++) {
        given = reel_given_list(ctx, "curves_save_svg", "series", panels[i].series, panels[i].n_series);
        for (int k = 0; given && k < panels[i].n_series; k++)
            given = reel_given_list(ctx, "curves_save_svg", "numbers", panels[i].series[k].y, panels[i].series[k].count);
    }
    if (!given) return false;
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, path) && begin(&writer, (double)PANEL_WIDTH * n_panels, PANEL_HEIGHT);
    for (int i = 0; ok && i < n_panels; i++) ok = draw_panel(&writer, &panels[i], (double)PANEL_WIDTH * i);
    ok = ok && reel_writer_print(&writer, "</svg>\n");
    return reel_writer_close(&writer, ok) && ok;
}

/* Matrices */

static const char *class_name(const char *const *names, int64_t i, char text[24])
{
    if (names && names[i]) return names[i];
    snprintf(text, 24, "%" PRId64, i);
    return text;
}

/* From white to blue by the cell's part of its row. */
static bool draw_cell(reel_writer *writer, double x, double y, double size, int64_t count, double part)
{
    decimal left = tenths(x), top = tenths(y), side = tenths(size);
    char number[24], style[96];
    int red = (int)(255 - 212 * part), green = (int)(255 - 147 * part), blue = (int)(255 - 79 * part);
    if (!reel_writer_print(writer,
                           "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"rgb(%d,%d,%d)\" "
                           "stroke=\"#cbd5e0\"/>\n",
                           left.text, top.text, side.text, side.text, red, green, blue)) {
        return false;
    }
    if (count == 0 || size < 12) return true;
    snprintf(number, sizeof number, "%" PRId64, count);
    int fit = (int)(1.5 * size / (double)strlen(number)), font = fit < 12 ? fit : 12;
    snprintf(style, sizeof style, "text-anchor=\"middle\" font-size=\"%d\" fill=\"%s\"", font,
             part > 0.5 ? "white" : "#1a202c");
    return label(writer, x + size / 2, y + size / 2 + font * 0.35, style, number);
}

bool reel_matrix_save_svg(reel_ctx *ctx, const char *path, const char *title, int64_t classes, const int64_t *count,
                          const char *const *names)
{
    if (reel_ctx_error(ctx)) return false;
    if (classes < 1 || classes > MAX_CLASSES) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "%s: a matrix of %" PRId64 " classes is no picture", path, classes);
    }
    if (!reel_given(ctx, "matrix_save_svg", "list of counts", count)) return false;
    double size = classes <= 20 ? 40 : classes <= 100 ? 14 : 4, left = 96, top = 70, side = size * (double)classes;
    char text[24], turned[96];
    reel_writer writer;
    bool ok = reel_writer_open(&writer, ctx, path) && begin(&writer, left + side + 24, top + side + 44) &&
              label(&writer, left + side / 2, 22, "text-anchor=\"middle\" font-size=\"14\"", title) &&
              label(&writer, left + side / 2, top + side + 28, "text-anchor=\"middle\" fill=\"#4a5568\"", "predicted");
    decimal middle = tenths(top + side / 2);
    snprintf(turned, sizeof turned, "text-anchor=\"middle\" fill=\"#4a5568\" transform=\"rotate(-90 18 %s)\"",
             middle.text);
    ok = ok && label(&writer, 18, top + side / 2, turned, "true");
    for (int64_t row = 0; ok && row < classes; row++) {
        double all = 0, at = top + size * (double)row;
        for (int64_t c = 0; c < classes; c++) all += (double)count[row * classes + c];
        for (int64_t c = 0; ok && c < classes; c++) {
            int64_t n = count[row * classes + c];
            ok = draw_cell(&writer, left + size * (double)c, at, size, n, all > 0 ? (double)n / all : 0);
        }
        if (!ok || size < 12) continue;
        ok = label(&writer, left - 8, at + size / 2 + 4, "text-anchor=\"end\"", class_name(names, row, text)) &&
             label(&writer, left + size * ((double)row + 0.5), top - 8, "text-anchor=\"middle\"",
                   class_name(names, row, text));
    }
    ok = ok && reel_writer_print(&writer, "</svg>\n");
    return reel_writer_close(&writer, ok) && ok;
}
