/* Lowering of the product of a few rows, as in decoding a token.
 *
 * The floor is B, read once; A and C are nothing beside it. That is what product_few reads. */
#include "backends/gpu/lower.h"

enum { MOST_ROWS = 4, LEAST_INNER = 512 /* elements a split */ };

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

void lower_product_few(Lowering *l, const ProductParams *p, Place a, Place b, const ProductEnd *end,
                       int64_t splits)
{
    const Place none = {0};
    bool wide = !p->trans_a && p->trans_b && lower_in_fours(a, p->inner, p->ld_a, p->stride_a) &&
                lower_in_fours(b, p->inner, p->ld_b, p->stride_b);
    int64_t size = p->rows * p->cols;
    bool direct = splits == 1;
    ProductEnd here = *end;
    if (!direct) here = (ProductEnd){.real = lower_scratch(l, 4 * p->batch * splits * size)};
    here.flags |= (p->trans_a ? 0 : PRODUCT_ALONG_A) | (rows_of_b(p) ? PRODUCT_ALONG_B : 0) |
                  (wide ? PRODUCT_WIDE : 0);
    lower_dispatch(l, here.then ? KERNEL_PRODUCT_FEW_THEN : KERNEL_PRODUCT_FEW,
                   GROUPS(groups_of(p), 1, p->batch * splits),
                   BUFFERS(wide ? none : a, wide ? a : none, wide ? none : b, wide ? b : none,
                           here.bias, here.x, here.c, here.real, here.y),
                   SCALARS(product_few, .rows = (uint32_t)p->rows, .cols = (uint32_t)p->cols,
                           .inner = (uint32_t)p->inner, .ld_a = (uint32_t)p->ld_a,
                           .ld_b = (uint32_t)p->ld_b, .ld_c = (uint32_t)p->ld_c,
                           .stride_a = (uint32_t)p->stride_a, .stride_b = (uint32_t)p->stride_b,
                           .stride_c = (uint32_t)p->stride_c,
                           .stride_bias = (uint32_t)p->stride_bias, .splits = (uint32_t)splits,
                           .each = (uint32_t)each_of(p, splits), .flags = here.flags),
                   2.0 * (double)p->batch * (double)size * (double)p->inner);
    if (!direct) lower_product_sum(l, p, end, here.real, p->batch, splits);
}
