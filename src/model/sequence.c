#include "model/sequence.h"

#include <stdlib.h>

/* A parameter starts on a multiple of this many elements: every device's alignment, and a 4-wide
 * access, holds for it in every dtype. */
enum { SEGMENT_ALIGNMENT = 64 };

/* A kernel counts the elements of a page in 31 bits. */
static int64_t page_capacity(const Limits *limits)
{
    int64_t most = INT32_MAX / SEGMENT_ALIGNMENT * SEGMENT_ALIGNMENT;
    int64_t largest = limits->largest_allocation;
    return largest ? int64_min(most, largest / limits->dtype_size[DTYPE_REAL]) : most;
}

wf_status layout_create(const ParameterList *parameters, const Limits *limits, Layout *out)
{
    int64_t capacity = page_capacity(limits);
    Layout layout = {.n_segments = parameters->count};
    size_t n = (size_t)parameters->count;
    layout.segments = calloc(n + 1, sizeof *layout.segments);
    layout.page_elements = calloc(n + 1, sizeof *layout.page_elements);
    wf_status status = WF_OK;
    if (!layout.segments || !layout.page_elements)
        status =
            fail(WF_ERROR_MEMORY, "out of memory for a layout of %d parameters", parameters->count);
    if (!status) layout.n_pages = 1;
    for (int i = 0; i < parameters->count && !status; i++) {
        const Parameter *parameter = &parameters->items[i];
        int64_t elements = shape_elements(parameter->shape);
        int64_t padded = round_up(elements, SEGMENT_ALIGNMENT);
        if (padded > capacity) {
            status = fail(WF_ERROR_MEMORY,
                          "%s has %lld elements, the device's largest allocation holds %lld",
                          parameter->name, (long long)elements, (long long)capacity);
            break;
        }
        if (layout.page_elements[layout.n_pages - 1] > capacity - padded) layout.n_pages++;
        int64_t *used = &layout.page_elements[layout.n_pages - 1];
        layout.segments[i] = (Segment){layout.n_pages - 1, *used, elements};
        *used += padded;
    }
    if (status) {
        layout_destroy(&layout);
        return status;
    }
    *out = layout;
    return WF_OK;
}

void layout_destroy(Layout *layout)
{
    free(layout->segments);
    free(layout->page_elements);
    *layout = (Layout){0};
}

wf_status sequence_create(const Layout *layout, const Limits *limits, DType dtype, const char *name,
                          Sequence *out)
{
    Region *pages = calloc((size_t)layout->n_pages + 1, sizeof *pages);
    if (!pages) return fail(WF_ERROR_MEMORY, "out of memory for %s", name);
    for (int page = 0; page < layout->n_pages; page++)
        pages[page] = (Region){
            .name = name,
            .size = layout->page_elements[page] * limits->dtype_size[dtype],
        };
    *out = (Sequence){layout, dtype, pages};
    return WF_OK;
}

wf_status sequence_allocate(Sequence *sequence, Device *device)
{
    for (int page = 0; page < sequence->layout->n_pages; page++) {
        TRY(device_allocate(device, &sequence->pages[page]));
        TRY(device_clear(&sequence->pages[page]));
    }
    return WF_OK;
}

void sequence_destroy(Sequence *sequence)
{
    if (!sequence->pages) return;
    for (int page = 0; page < sequence->layout->n_pages; page++)
        device_release(&sequence->pages[page]);
    free(sequence->pages);
    *sequence = (Sequence){0};
}

int64_t sequence_bytes(const Sequence *sequence)
{
    int64_t bytes = 0;
    if (!sequence->pages) return 0;
    for (int page = 0; page < sequence->layout->n_pages; page++)
        bytes += sequence->pages[page].size;
    return bytes;
}

int64_t sequence_offset(const Sequence *sequence, int parameter)
{
    const Segment *segment = &sequence->layout->segments[parameter];
    int64_t elements = sequence->layout->page_elements[segment->page];
    return segment->offset * (sequence->pages[segment->page].size / elements);
}

TensorId sequence_page(Sequence *sequence, Graph *graph, int page)
{
    Region *region = &sequence->pages[page];
    return graph_external(graph, region->name, sequence->dtype,
                          SHAPE(sequence->layout->page_elements[page]), region, 0);
}

wf_status sequence_read(const Sequence *sequence, int parameter, float *values)
{
    const Segment *segment = &sequence->layout->segments[parameter];
    return device_read_floats(&sequence->pages[segment->page], sequence_offset(sequence, parameter),
                              values, segment->elements);
}

wf_status sequence_write(Sequence *sequence, int parameter, const float *values)
{
    const Segment *segment = &sequence->layout->segments[parameter];
    return device_write_floats(&sequence->pages[segment->page],
                               sequence_offset(sequence, parameter), values, segment->elements);
}
