/* Long series made fit to draw: thinned without losing a peak, and smoothed. */
#ifndef PLOT_SERIES_H
#define PLOT_SERIES_H

#include <stdint.h>

/* Of every one of `columns` equal parts of the range of x [n] (not decreasing) that holds points
 * the indices of those with the smallest and the largest y: low[k] and high[k], at most `columns`
 * of each. Returns how many. A line through all points inks what lies between them. n ≥ 1. */
int64_t series_envelope(const double *x, const double *y, int64_t n, int64_t columns, int64_t *low,
                        int64_t *high);

/* The points of the envelope in their order, each once: their indices, at most 2·columns. Returns
 * how many. A series of no more points than that is kept whole. */
int64_t series_thin(const double *x, const double *y, int64_t n, int64_t columns, int64_t *chosen);

/* Means of y [n] weighted by a Gaussian of standard deviation `width` > 0 in x (increasing), cut at
 * three deviations, at the points at[m] (not decreasing): out [m]. Where no point is near, that of
 * the nearest. */
void series_smooth(const double *x, const double *y, int64_t n, double width, const double *at,
                   int64_t m, double *out);

/* The value with ⌊n·share⌋ smaller or equal ones before it in order; sorts them. n ≥ 1,
 * 0 ≤ share < 1. */
double series_quantile(double *values, int64_t n, double share);

#endif
