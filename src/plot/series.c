#include "plot/series.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The equal parts of a series' range. */
typedef struct Columns {
    const double *x, *y;
    int64_t n, count;
    double scale; /* parts a unit of x */
} Columns;

static Columns columns_of(const double *x, const double *y, int64_t n, int64_t count)
{
    double range = x[n - 1] - x[0];
    return (Columns){x, y, n, count, range > 0 ? (double)count / range : 0};
}

static int64_t column_at(const Columns *c, int64_t i)
{
    return (int64_t)fmin((c->x[i] - c->x[0]) * c->scale, (double)(c->count - 1));
}

/* The extreme points of the part that begins with point `first`; returns where the next begins. */
static int64_t column_read(const Columns *c, int64_t first, int64_t *low, int64_t *high)
{
    int64_t i = first, column = column_at(c, first);
    *low = *high = first;
    for (; i < c->n && column_at(c, i) == column; i++) {
        if (c->y[i] < c->y[*low]) *low = i;
        if (c->y[i] > c->y[*high]) *high = i;
    }
    return i;
}

int64_t series_envelope(const double *x, const double *y, int64_t n, int64_t columns, int64_t *low,
                        int64_t *high)
{
    Columns c = columns_of(x, y, n, columns);
    int64_t count = 0;
    for (int64_t i = 0; i < n; count++) i = column_read(&c, i, &low[count], &high[count]);
    return count;
}

int64_t series_thin(const double *x, const double *y, int64_t n, int64_t columns, int64_t *chosen)
{
    Columns c = columns_of(x, y, n, columns);
    int64_t count = 0, low, high;
    for (int64_t i = 0; n <= 2 * columns && i < n; i++) chosen[count++] = i;
    for (int64_t i = 0; n > 2 * columns && i < n;) {
        i = column_read(&c, i, &low, &high);
        chosen[count++] = low < high ? low : high;
        if (low != high) chosen[count++] = low < high ? high : low;
    }
    return count;
}

static double weighted_mean(const double *x, const double *y, int64_t first, int64_t last,
                            double width, double at)
{
    double sum = 0, weights = 0;
    for (int64_t i = first; i < last; i++) {
        double z = (x[i] - at) / width, weight = exp(-0.5 * z * z);
        sum += weight * y[i];
        weights += weight;
    }
    return sum / weights;
}

void series_smooth(const double *x, const double *y, int64_t n, double width, const double *at,
                   int64_t m, double *out)
{
    int64_t first = 0, last = 0;
    for (int64_t j = 0; j < m; j++) {
        while (first < n - 1 && x[first] < at[j] - 3 * width) first++;
        if (last < first) last = first;
        while (last < n && x[last] <= at[j] + 3 * width) last++;
        if (last > first && x[first] >= at[j] - 3 * width) {
            out[j] = weighted_mean(x, y, first, last, width, at[j]);
            continue;
        }
        /* A gap: x[first] is the next point, or the last of all. */
        bool before = first > 0 && fabs(x[first - 1] - at[j]) < fabs(x[first] - at[j]);
        out[j] = y[before ? first - 1 : first];
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_quantile(double *values, int64_t n, double share)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[(int64_t)(share * (double)n)];
}
