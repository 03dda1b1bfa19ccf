/* The energy that each token of a text reads from each head's wave, as a map. */
#ifndef PLOT_ENERGY_H
#define PLOT_ENERGY_H

#include "plot/page.h"
#include "wavefield/model.h"

/* Draws it from `y` on, at a page's full width; *bottom is where it ends. `total` is the number of
 * tokens of the text that tokens [n] begins. */
wf_status energy_draw(Page *page, wf_model *model, const int32_t *tokens, int64_t n, int64_t total,
                      int y, int *bottom);

#endif
