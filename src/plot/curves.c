#include "plot/curves.h"

#include "plot/series.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parts of a panel's width: a curve has one smoothed point in each. */
enum { COLUMNS = 300 };

/* How wide the smoothing is, of the run's steps. */
static const double SMOOTHING = 0.01;

typedef struct Curve {
    const char *title, *unit;
    double (*value)(const HistoryStep *step);
    double (*held_out)(const HistoryEvaluation *evaluation); /* NULL: none */
    bool smooth, logarithmic, from_zero, falls, scaled;
} Curve;

static double loss(const HistoryStep *step)
{
    return step->loss;
}
static double held_out_loss(const HistoryEvaluation *evaluation)
{
    return evaluation->loss;
}
static double accuracy(const HistoryStep *step)
{
    return 100 * step->accuracy;
}
static double held_out_accuracy(const HistoryEvaluation *evaluation)
{
    return 100 * evaluation->accuracy;
}
static double learning_rate(const HistoryStep *step)
{
    return step->learning_rate;
}
static double gradient_norm(const HistoryStep *step)
{
    return step->gradient_norm;
}
static double throughput(const HistoryStep *step)
{
    return step->seconds > 0 ? step->tokens / step->seconds : NAN;
}

static const Curve curves[] = {
    {"Loss", "nats a token", loss, held_out_loss, .smooth = true, .falls = true},
    {"Accuracy", "%", accuracy, held_out_accuracy, .smooth = true},
    {"Learning rate", NULL, learning_rate, NULL, .from_zero = true, .scaled = true},
    {"Gradient norm", NULL, gradient_norm, NULL, .smooth = true, .logarithmic = true},
    {"Throughput", "tokens a second", throughput, NULL, .smooth = true, .from_zero = true},
};

/* The values of one curve, and room for what becomes of them. */
typedef struct Series {
    double *x, *y, *sorted;
    int64_t n;
    int power; /* of ten, which the values are divided by */
} Series;

static void series_free(Series *series)
{
    free(series->x);
    free(series->y);
    free(series->sorted);
}

static bool is_drawable(const Curve *curve, double value)
{
    return isfinite(value) && (!curve->logarithmic || value > 0);
}

static wf_status series_of(const Curve *curve, const History *history, Series *series)
{
    size_t n = (size_t)history->n_steps;
    *series = (Series){calloc(n, sizeof *series->x), calloc(n, sizeof *series->y),
                       calloc(n, sizeof *series->sorted), 0, 0};
    if (!series->x || !series->y || !series->sorted)
        return fail(WF_ERROR_MEMORY, "out of memory for the curve of %d steps", history->n_steps);
    for (int i = 0; i < history->n_steps; i++) {
        double value = curve->value(&history->steps[i]);
        if (!is_drawable(curve, value)) continue;
        series->x[series->n] = (double)history->steps[i].step;
        series->y[series->n++] = value;
    }
    return WF_OK;
}

/* Small values in units of a power of ten, for marks that can be read. */
static void scale_series(Series *series)
{
    double largest = 0;
    for (int64_t i = 0; i < series->n; i++) largest = fmax(largest, series->y[i]);
    if (largest > 0) series->power = (int)floor(log10(largest) + 1e-9);
    for (int64_t i = 0; i < series->n; i++) series->y[i] /= pow(10, series->power);
}

/* What steps did between their extremes, where there are more of them than can be told apart. */
static int add_envelope(Page *page, const Series *series)
{
    int64_t low[COLUMNS], high[COLUMNS];
    int64_t n = series_envelope(series->x, series->y, series->n, COLUMNS, low, high);
    int block = page_block(page);
    for (int64_t i = 0; i < n; i++)
        page_add(page, "%.6g %.6g %.6g", 0.5 * (series->x[low[i]] + series->x[high[i]]),
                 series->y[low[i]], series->y[high[i]]);
    page_block_end(page);
    return block;
}

static int add_points(Page *page, const Series *series)
{
    int64_t chosen[2 * COLUMNS];
    int block = page_block(page);
    int64_t n = series_thin(series->x, series->y, series->n, COLUMNS, chosen);
    for (int64_t i = 0; i < n; i++)
        page_add(page, "%.0f %.6g", series->x[chosen[i]], series->y[chosen[i]]);
    page_block_end(page);
    return block;
}

static int add_smoothed(Page *page, const Series *series)
{
    double first = series->x[0], range = series->x[series->n - 1] - first;
    int64_t n = series->n < COLUMNS ? series->n : COLUMNS;
    double at[COLUMNS] = {0}, mean[COLUMNS];
    for (int64_t i = 0; i < n; i++)
        at[i] = first + (n > 1 ? range * (double)i / (double)(n - 1) : 0);
    series_smooth(series->x, series->y, series->n, fmax(0.4, SMOOTHING * range), at, n, mean);
    int block = page_block(page);
    for (int64_t i = 0; i < n; i++) page_add(page, "%.6g %.6g", at[i], mean[i]);
    page_block_end(page);
    return block;
}

static int add_evaluations(Page *page, const Curve *curve, const History *history)
{
    int block = page_block(page);
    for (int i = 0; i < history->n_evaluations; i++)
        page_add(page, "%lld %.6g", (long long)history->evaluations[i].step,
                 curve->held_out(&history->evaluations[i]));
    page_block_end(page);
    return block;
}

/* In the corner that a training curve leaves free. */
static void set_key(Page *page, bool falls)
{
    page_add(page, "set key at graph 0.99,%s right %s Right samplen 1.8 spacing 1.1 tc rgb '%s'",
             falls ? "0.97" : "0.04", falls ? "top" : "bottom", COLOUR_GREY);
}

/* Marks at 1, 2 and 5 times powers of ten: a gradient norm may stay within one. */
static void set_log_marks(Page *page, double low, double high)
{
    text_append(&page->body, "set ytics (");
    int first = 1;
    for (int power = (int)floor(log10(low)); power <= (int)ceil(log10(high)); power++)
        for (int digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3) {
            double mark = digit * pow(10, power);
            if (mark < low || mark > high || (digit > 1 && high > 1000 * low)) continue;
            text_append(&page->body, "%s'%g' %g", first ? "" : ", ", mark, mark);
            first = 0;
        }
    page_add(page, ")");
}

/* All but the most extreme values of a long run, and all evaluations: its first steps must not
 * flatten the rest. */
static void set_range(Page *page, const Curve *curve, const History *history, const Series *series)
{
    memcpy(series->sorted, series->y, (size_t)series->n * sizeof *series->y);
    double low = series_quantile(series->sorted, series->n, 0.005);
    double high = series->sorted[series->n - 1 - (int64_t)(0.015 * (double)series->n)];
    for (int i = 0; curve->held_out && i < history->n_evaluations; i++) {
        low = fmin(low, curve->held_out(&history->evaluations[i]));
        high = fmax(high, curve->held_out(&history->evaluations[i]));
    }
    double pad = fmax(0.06 * (high - low), 1e-3 * fabs(high));
    if (pad == 0) pad = 1;
    if (curve->from_zero) {
        page_add(page, "set yrange [0:%.6g]", high > 0 ? 1.12 * high : 1);
    } else if (curve->logarithmic && high > 4 * low) {
        page_add(page, "set logscale y\nset yrange [%.6g:%.6g]", low / 1.2, high * 1.2);
        set_log_marks(page, low / 1.2, high * 1.2);
    } else {
        page_add(page, "set yrange [%.6g:%.6g]", low - pad, high + pad);
    }
}

static void draw_lines(Page *page, const Curve *curve, const History *history, const Series *series)
{
    bool dense = curve->smooth && series->n > 2 * COLUMNS;
    bool held_out = curve->held_out && history->n_evaluations > 0;
    int points = dense ? add_envelope(page, series) : add_points(page, series);
    int smoothed = curve->smooth ? add_smoothed(page, series) : 0;
    int evaluations = held_out ? add_evaluations(page, curve, history) : 0;
    if (curve->held_out) set_key(page, curve->falls);
    if (dense)
        text_append(
            &page->body,
            "plot $d%d using 1:2:3 with filledcurves fs solid 0.6 noborder lc rgb '%s' title "
            "'each step'",
            points, COLOUR_SKY);
    else
        text_append(&page->body,
                    "plot $d%d using 1:2 with lines lw %g lc rgb '%s' title 'each step'", points,
                    curve->smooth ? 0.8 : 2.0, curve->smooth ? COLOUR_SKY : COLOUR_BLUE);
    if (smoothed)
        text_append(&page->body, ", $d%d using 1:2 with lines lw 2 lc rgb '%s' title 'smoothed'",
                    smoothed, COLOUR_BLUE);
    if (evaluations)
        text_append(&page->body,
                    ", $d%d using 1:2 with linespoints lw 1.4 pt 7 ps 0.55 lc rgb '%s' title "
                    "'held out'",
                    evaluations, COLOUR_RED);
    page_add(page, "%s", "");
}

/* The unit of a curve: its own, or the power of ten it was scaled by, "× 10⁻³". */
static const char *unit_of(const Curve *curve, const Series *series, char *text, size_t size)
{
    static const char *const digits[] = {
        "\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",     "\xe2\x81\xb4",
        "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8", "\xe2\x81\xb9"};
    char plain[16];
    if (series->power == 0) return curve->unit;
    size_t used = (size_t)snprintf(text, size, "\xc3\x97 10");
    snprintf(plain, sizeof plain, "%d", series->power);
    for (const char *c = plain; *c && used + 4 < size; c++)
        used += (size_t)snprintf(text + used, size - used, "%s",
                                 *c == '-' ? "\xe2\x81\xbb" : digits[*c - '0']);
    return text;
}

static wf_status draw_curve(Page *page, const Curve *curve, const History *history, Box box)
{
    Series series;
    wf_status status = series_of(curve, history, &series);
    if (!status) {
        long long last = history->steps[history->n_steps - 1].step;
        char unit[64];
        if (curve->scaled) scale_series(&series);
        page_panel(page, box, curve->title, unit_of(curve, &series, unit, sizeof unit));
        page_add(page, "set xlabel 'step'\nset xrange [0:%lld]\nset format x '%%.0f'", last);
        if (last < 10) page_add(page, "set xtics 1");
        if (series.n > 0) {
            set_range(page, curve, history, &series);
            draw_lines(page, curve, history, &series);
        } else {
            page_add(page, "set yrange [0:1]\nplot NaN");
        }
    }
    series_free(&series);
    return status;
}

wf_status curves_draw(Page *page, const History *history, int y, int *bottom)
{
    enum { GAP = 84, HIGH = 250, LOW = 150, ROWS_APART = 94 };
    int width = PAGE_RIGHT - PAGE_LEFT;
    int half = (width - GAP) / 2, third = (width - 2 * GAP) / 3;
    *bottom = y;
    if (history->n_steps == 0) return WF_OK;
    for (int i = 0; i < 2; i++)
        TRY(draw_curve(page, &curves[i], history,
                       (Box){PAGE_LEFT + i * (half + GAP), y, half, HIGH}));
    y += HIGH + ROWS_APART;
    for (int i = 0; i < 3; i++)
        TRY(draw_curve(page, &curves[2 + i], history,
                       (Box){PAGE_LEFT + i * (third + GAP), y, third, LOW}));
    *bottom = y + LOW + ROWS_APART;
    return WF_OK;
}
