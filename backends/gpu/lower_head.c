/* Lowering of the output head: product with the table, softmax and cross-entropy, and gradients, a
 * chunk of rows at a time. */
#include "backends/gpu/lower.h"

enum {
    GROUP_LOGITS = 2 * 128 * 128, /* two of the product's large tiles a busy group; fewer … */
    CHUNK_ROWS = 256              /* … rows than this would read the table for too little work */
};

typedef struct Head {
    int64_t rows, width, vocabulary, chunk;
    Place logits,
        gradient;    /* of a chunk: float; in the storage type, where that is float the same */
    Place loss, hit; /* of all rows */
} Head;

/* Whole tiles where there are rows enough. */
static int64_t chunk_rows(const GpuLimits *limits, int64_t rows, int64_t vocabulary)
{
    int64_t chunk = limits->busy_groups * GROUP_LOGITS / vocabulary / CHUNK_ROWS * CHUNK_ROWS;
    return int64_min(rows, int64_max(chunk, CHUNK_ROWS));
}

/* Rows first … of a place that holds `all` of them. */
static Place part_of_rows(Place place, int64_t all, int64_t first, int64_t rows)
{
    int64_t row = place.size / all;
    return lower_part(place, first * row, rows * row);
}

static void lower_chunk(Lowering *l, const Head *head, int64_t first, int64_t rows)
{
    int64_t scratch = l->scratch, width = head->width, vocabulary = head->vocabulary;
    Place h = part_of_rows(lower_in(l, 0), head->rows, first, rows), table = lower_in(l, 1);
    Place logits = lower_part(head->logits, 0, 4 * rows * vocabulary);
    Place gradient =
        lower_part(head->gradient, 0, lower_element(l->graph->storage) * rows * vocabulary);
    bool differentiate = lower_has_out(l, 2) || lower_has_out(l, 3);
    ProductParams product = product_packed(rows, vocabulary, width, false, true);
    lower_multiply(l, &product, &(ProductPlaces){.a = h, .b = table, .c = logits, .to_real = true},
                   0);
    lower_dispatch(l, KERNEL_HEAD_SOFTMAX, GROUPS(int64_min(rows, l->limits->groups[0]), 1, 1),
                   BUFFERS(logits, part_of_rows(lower_in(l, 2), head->rows, first, rows),
                           lower_in(l, 3), part_of_rows(head->loss, head->rows, first, rows),
                           part_of_rows(head->hit, head->rows, first, rows),
                           differentiate ? gradient : (Place){0}),
                   SCALARS(head_softmax, .rows = (uint32_t)rows, .width = (uint32_t)vocabulary,
                           .differentiate = differentiate),
                   30.0 * (double)(rows * vocabulary));
    if (lower_has_out(l, 2)) {
        Place dh = part_of_rows(lower_out(l, 2), head->rows, first, rows);
        product = product_packed(rows, width, vocabulary, false, false);
        lower_multiply(l, &product, &(ProductPlaces){.a = gradient, .b = table, .c = dh},
                       lower_accumulates(l, 2));
    }
    if (lower_has_out(l, 3)) {
        product = product_packed(vocabulary, width, rows, true, false);
        lower_multiply(
            l, &product,
            &(ProductPlaces){.a = gradient, .b = h, .c = lower_out(l, 3), .to_real = true},
            lower_accumulates(l, 3));
    }
    lower_release(l, scratch);
}

/* Workspace: a chunk's logits (128 KiB a busy group, which is 64 MiB on a large GPU, or 256 rows
 * where that is more), 8 bytes a row, and what one chunk's products want. The logits of a chunk are
 * written twice and read four times (two of them near each other, in the softmax); the table is
 * read twice a chunk and its gradient updated once. */
void lower_head_loss(Lowering *l)
{
    Shape h = lower_in_shape(l, 0);
    Head head = {.rows = shape_rows(h), .width = shape_width(h)};
    head.vocabulary = shape_elements(lower_in_shape(l, 1)) / head.width;
    head.chunk = chunk_rows(l->limits, head.rows, head.vocabulary);
    head.logits = head.gradient = lower_scratch(l, 4 * head.chunk * head.vocabulary);
    if (l->graph->storage != DTYPE_REAL)
        head.gradient = lower_scratch(l, 2 * head.chunk * head.vocabulary);
    head.loss = lower_scratch(l, 4 * head.rows);
    head.hit = lower_scratch(l, 4 * head.rows);
    for (int64_t first = 0; first < head.rows; first += head.chunk)
        lower_chunk(l, &head, first, int64_min(head.chunk, head.rows - first));
    lower_dispatch(l, KERNEL_HEAD_SUM, GROUPS(1, 1, 1),
                   BUFFERS(head.loss, head.hit, lower_in(l, 2), lower_out(l, 0), lower_out(l, 1)),
                   SCALARS(head_sum, .rows = (uint32_t)head.rows), 0);
}
