/* A run's curves over its steps: loss, accuracy, learning rate, gradient norm, throughput. */
#ifndef PLOT_CURVES_H
#define PLOT_CURVES_H

#include "plot/history.h"
#include "plot/page.h"

/* Draws them from `y` on, at a page's full width; returns where they end. */
wf_status curves_draw(Page *page, const History *history, int y, int *bottom);

#endif
