/* A page that shows a training run and its model. */
#ifndef PLOT_PLOT_H
#define PLOT_PLOT_H

#include "plot/history.h"
#include "plot/page.h"
#include "wavefield/model.h"

/* What to show; what is absent leaves its panels out. */
typedef struct PlotSubject {
    const char *name;       /* the page's title: any bytes */
    const History *history; /* NULL: no curves */
    wf_model *model;        /* NULL: no waves */
    const int32_t *tokens;  /* [n]: of the text whose energy is shown; NULL: no energy */
    int64_t n, total;       /* the text itself has `total` tokens */
} PlotSubject;

/* Draws the page; page_render() makes a picture of it. */
wf_status plot_draw(const PlotSubject *subject, Page *page);

#endif
