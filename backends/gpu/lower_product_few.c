/* Lowering of the product of a few rows, as in decoding a token.
 *
 * The floor is B, read once; A and C are nothing beside it. That is what product_few reads. */
#include "backends/gpu/lower.h"

enum { MOST_ROWS = 4, LEAST_INNER = 512 /* elements a split */ };

static bool in_fours(Place place, int64_t ld, int64_t stride)
{
    return place.offset % 16 == 0 && ld % 4 == 0 && stride % 4 == 0;
}

bool lower_suits_few_rows(const ProductParams *p)
{
    return p->rows <= MOST_ROWS && (!p->sum_batch || p->batch == 1);
}

static bool rows_of_b(const ProductParams *p)
{
    return p->trans_b || p->ld_b == 1; /* contiguous along the inner axis */
}

static int64_t groups_of(const ProductParams *p)
{
    return ceil_div(p->cols, rows_of_b(p) ? 4 : 32);
}

/* Elements of the inner axis a split. */
static int64_t each_of(const ProductParams *p, int64_t splits)
{
    return round_up(ceil_div(p->inner, splits), 4);
}

int64_t lower_few_splits(const GpuLimits *limits, const ProductParams *p, int64_t splits)
{
    if (splits == 0) {
        int64_t wanted = ceil_div(2 * limits->busy_groups, groups_of(p) * p->batch);
        splits = int64_min(int64_min(wanted, p->inner / LEAST_INNER), PRODUCT_MOST_SPLITS);
    }
    return int64_max(1, ceil_div(p->inner, each_of(p, int64_max(1, splits)))); /* none empty */
}

void lower_product_few(Lowering *l, const ProductParams *p, const ProductPlaces *places,
                       uint32_t accumulate, int64_t splits)
{
    bool to_real = places->to_real;
    const Place none = {0}, c = to_real ? none : places->c, real = to_real ? places->c : none;
    Place a = places->a, b = places->b, bias = places->bias;
    bool wide = !p->trans_a && p->trans_b && p->inner % 4 == 0 &&
                in_fours(a, p->ld_a, p->stride_a) && in_fours(b, p->ld_b, p->stride_b);
    int64_t size = p->rows * p->cols;
    bool direct = splits == 1;
    Place partial = direct ? none : lower_scratch(l, 4 * p->batch * splits * size);
    lower_dispatch(l, KERNEL_PRODUCT_FEW, GROUPS(groups_of(p), 1, p->batch * splits),
                   BUFFERS(wide ? none : a, wide ? a : none, wide ? none : b, wide ? b : none, bias,
                           direct ? c : none, direct ? real : partial),
                   SCALARS(product_few, .rows = (uint32_t)p->rows, .cols = (uint32_t)p->cols,
                           .inner = (uint32_t)p->inner, .row_a = p->trans_a ? 1 : (uint32_t)p->ld_a,
                           .inner_a = p->trans_a ? (uint32_t)p->ld_a : 1,
                           .inner_b = p->trans_b ? 1 : (uint32_t)p->ld_b,
                           .col_b = p->trans_b ? (uint32_t)p->ld_b : 1, .ld_c = (uint32_t)p->ld_c,
                           .stride_a = (uint32_t)p->stride_a, .stride_b = (uint32_t)p->stride_b,
                           .stride_c = (uint32_t)p->stride_c,
                           .stride_bias = (uint32_t)p->stride_bias, .splits = (uint32_t)splits,
                           .each = (uint32_t)each_of(p, splits), .wide = wide,
                           .has_bias = bias.size > 0, .to_real = to_real, .accumulate = accumulate),
                   2.0 * (double)p->batch * (double)size * (double)p->inner);
    if (direct) return;
    lower_dispatch(l, KERNEL_PRODUCT_SUM, lower_groups_over(l, KERNEL_PRODUCT_SUM, p->batch * size),
                   BUFFERS(partial, bias, c, real),
                   SCALARS(product_sum, .items = (uint32_t)p->batch, .rows = (uint32_t)p->rows,
                           .cols = (uint32_t)p->cols, .splits = (uint32_t)splits,
                           .ld_c = (uint32_t)p->ld_c, .stride_c = (uint32_t)p->stride_c,
                           .stride_bias = (uint32_t)p->stride_bias, .has_bias = bias.size > 0,
                           .to_real = to_real, .accumulate = accumulate),
                   0);
}
