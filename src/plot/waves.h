/* A model's waves: each layer's kernels, their reach, and how the heads are coupled. */
#ifndef PLOT_WAVES_H
#define PLOT_WAVES_H

#include "plot/page.h"
#include "wavefield/model.h"

/* Draws them from `y` on, at a page's full width; *bottom is where they end. */
wf_status waves_draw(Page *page, const wf_model *model, int y, int *bottom);

#endif
