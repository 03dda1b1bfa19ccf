/* Lowering of the embedding and its gradient. */
#include "backends/gpu/lower.h"

/* Moves the floor: the rows of x, of the table and of the positions, each once. */
void lower_embed(Lowering *l)
{
    int64_t n = shape_elements(lower_out_shape(l, 0)), width = shape_width(lower_in_shape(l, 1));
    int64_t tokens = shape_elements(lower_in_shape(l, 2)) / width;
    lower_dispatch(l, KERNEL_EMBED, lower_groups_over(l, KERNEL_EMBED, n),
                   BUFFERS(lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0)),
                   SCALARS(embed, .n = (uint32_t)n, .width = (uint32_t)width,
                           .tokens = (uint32_t)tokens, .accumulate = lower_accumulates(l, 0)),
                   0);
}

/* Places of the order in a block: about as many as there are blocks, so that neither stage is long
 * where one token has every row; more than the kernel's 256 only make the second stage longer. */
static int64_t block_places(int64_t rows)
{
    int64_t each = 16;
    while (each < 256 && each * each < rows) each *= 2;
    return each;
}

/* The floor is dx once, and the table's rows of the tokens present, read and written. This moves,
 * in addition, a row for each part of a run that crosses a block's edge, twice: at most 4/each of
 * dx. */
void lower_embed_backward(Lowering *l)
{
    Shape table = lower_out_shape(l, 0);
    int64_t rows = shape_elements(lower_in_shape(l, 1)), width = shape_width(table);
    int64_t each = block_places(rows), blocks = ceil_div(rows, each);
    int64_t tiles = ceil_div(width, gpu_kernels[KERNEL_EMBED_SLICES].threads);
    Place token = lower_in(l, 1), order = lower_in(l, 2), dtable = lower_out(l, 0);
    Place partial = lower_scratch(l, 4 * 2 * blocks * width);
    lower_dispatch(l, KERNEL_EMBED_SLICES, GROUPS(tiles, blocks, 1),
                   BUFFERS(lower_in(l, 0), token, order, dtable, partial),
                   SCALARS(embed_slices, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .each = (uint32_t)each),
                   0);
    lower_dispatch(l, KERNEL_EMBED_SUM, GROUPS(tiles, blocks, 1),
                   BUFFERS(token, order, partial, dtable),
                   SCALARS(embed_sum, .rows = (uint32_t)rows, .width = (uint32_t)width,
                           .each = (uint32_t)each),
                   0);
}
