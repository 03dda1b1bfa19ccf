/* Lowering of the product: which tile, and how many splits of the inner axis. A function of shape
 * and device only. */
#include "backends/gpu/lower.h"

typedef struct Tile {
    KernelId kernel;
    int64_t rows, cols, depth;
} Tile;

/* The largest tile that still gives the device enough of them; thin ones for thin results. */
static Tile choose_tile(const GpuLimits *limits, const ProductParams *p, int64_t results)
{
    static const Tile large = {KERNEL_PRODUCT_8X8, 128, 128, 8};
    static const Tile square = {KERNEL_PRODUCT_4X4, 64, 64, 16};
    static const Tile wide = {KERNEL_PRODUCT_1X4, 16, 64, 16};
    static const Tile tall = {KERNEL_PRODUCT_4X1, 64, 16, 16};
    if (p->rows <= 16) return wide;
    if (p->cols <= 16) return tall;
    int64_t tiles = ceil_div(p->rows, 128) * ceil_div(p->cols, 128) * results;
    bool fits = p->rows % 128 == 0 || p->rows >= 512;
    fits = fits && (p->cols % 128 == 0 || p->cols >= 512);
    return fits && tiles >= limits->busy_groups ? large : square;
}

/* A long inner axis is cut where the tiles alone would leave the device idle. */
static int64_t choose_splits(const GpuLimits *limits, int64_t tiles, int64_t blocks)
{
    int64_t wanted = ceil_div(limits->busy_groups, tiles);
    int64_t splits = int64_max(int64_min(int64_min(wanted, blocks / 8), 64), 1);
    return ceil_div(blocks, ceil_div(blocks, splits)); /* none empty */
}

void lower_multiply(Lowering *l, const ProductParams *p, const ProductPlaces *places,
                    uint32_t accumulate)
{
    if (lower_suits_few_rows(p)) {
        lower_product_few(l, p, places, accumulate);
        return;
    }
    int64_t items = p->sum_batch ? p->batch : 1, results = p->sum_batch ? 1 : p->batch;
    Tile tile = choose_tile(l->limits, p, results);
    int64_t tiles_x = ceil_div(p->cols, tile.cols), tiles_y = ceil_div(p->rows, tile.rows);
    int64_t blocks = ceil_div(p->inner, tile.depth) * items;
    int64_t splits = choose_splits(l->limits, tiles_x * tiles_y * results, blocks);

    uint32_t has_bias = places->bias.size > 0;
    bool direct = splits == 1, to_real = places->to_real;
    int64_t size = p->rows * p->cols;
    const Place none = {0}, c = to_real ? none : places->c, real = to_real ? places->c : none;
    Place partial = direct ? none : lower_scratch(l, 4 * results * splits * size);
    lower_dispatch(l, tile.kernel, GROUPS(tiles_x, tiles_y, results * splits),
                   BUFFERS(places->a, places->b, direct ? places->bias : none, direct ? c : none,
                           direct ? real : partial),
                   SCALARS(product_4x4, .rows = (uint32_t)p->rows, .cols = (uint32_t)p->cols,
                           .inner = (uint32_t)p->inner, .row_a = p->trans_a ? 1 : (uint32_t)p->ld_a,
                           .inner_a = p->trans_a ? (uint32_t)p->ld_a : 1,
                           .inner_b = p->trans_b ? 1 : (uint32_t)p->ld_b,
                           .col_b = p->trans_b ? (uint32_t)p->ld_b : 1,
                           .ld_c = (uint32_t)(direct ? p->ld_c : p->cols),
                           .stride_a = (uint32_t)p->stride_a, .stride_b = (uint32_t)p->stride_b,
                           .stride_c = (uint32_t)(direct ? p->stride_c : size),
                           .stride_bias = (uint32_t)p->stride_bias, .items = (uint32_t)items,
                           .splits = (uint32_t)splits, .has_bias = direct ? has_bias : 0,
                           .to_real = !direct || to_real, .accumulate = direct ? accumulate : 0),
                   2.0 * (double)p->batch * (double)size * (double)p->inner);
    if (direct) return;
    lower_dispatch(l, KERNEL_PRODUCT_SUM, lower_groups_over(l, KERNEL_PRODUCT_SUM, results * size),
                   BUFFERS(partial, places->bias, c, real),
                   SCALARS(product_sum, .items = (uint32_t)results, .rows = (uint32_t)p->rows,
                           .cols = (uint32_t)p->cols, .splits = (uint32_t)splits,
                           .ld_c = (uint32_t)p->ld_c, .stride_c = (uint32_t)p->stride_c,
                           .stride_bias = (uint32_t)p->stride_bias, .has_bias = has_bias,
                           .to_real = to_real, .accumulate = accumulate),
                   0);
}

void lower_product(Lowering *l)
{
    const ProductPlaces places = {lower_in(l, 0), lower_in(l, 1), lower_in(l, 2), lower_out(l, 0),
                                  lower_out_type(l, 0) == DTYPE_REAL};
    lower_multiply(l, &l->node->params.product, &places, lower_accumulates(l, 0));
}
