/* All parameters as one sequence in one order, over as many pages as the device's largest
 * allocation demands. Values, gradients and both moments are four sequences of one layout: norm,
 * AdamW and checkpoints are single passes. A parameter never straddles a page. */
#ifndef MODEL_SEQUENCE_H
#define MODEL_SEQUENCE_H

#include "backends/backend.h"
#include "model/parameters.h"

/* Where parameter i of the list lies. */
typedef struct Segment {
    int page;
    int64_t offset; /* elements from the start of the page */
    int64_t elements;
} Segment;

typedef struct Layout {
    Segment *segments; /* one a parameter */
    int n_segments;
    int64_t *page_elements;
    int n_pages;
} Layout;

wf_status layout_create(const ParameterList *parameters, const Limits *limits, Layout *out);
void layout_destroy(Layout *layout);

/* One region a page; `name` must outlive it. */
typedef struct Sequence {
    const Layout *layout;
    DType dtype;
    Region *pages;
} Sequence;

wf_status sequence_create(const Layout *layout, const Limits *limits, DType dtype, const char *name,
                          Sequence *out);
/* Allocates the pages' buffers, cleared to zero. */
wf_status sequence_allocate(Sequence *sequence, Device *device);
void sequence_destroy(Sequence *sequence);
int64_t sequence_bytes(const Sequence *sequence);

/* Byte offset of a parameter in its page, whatever the device's element size. */
int64_t sequence_offset(const Sequence *sequence, int parameter);

/* A page as one external tensor of a graph. */
TensorId sequence_page(Sequence *sequence, Graph *graph, int page);

/* One parameter's elements out or in, of a sequence of reals. */
wf_status sequence_read(const Sequence *sequence, int parameter, float *values);
wf_status sequence_write(Sequence *sequence, int parameter, const float *values);

#endif
