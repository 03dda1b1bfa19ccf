#include "tests/product_forms.h"

static int64_t below(Rng *rng, int64_t bound)
{
    return (int64_t)rng_below(rng, (uint64_t)bound);
}

/* Gaps between rows and between items, or one item for all. */
static int64_t some_stride(Rng *rng, int64_t rows, int64_t ld)
{
    return below(rng, 3) ? rows * ld + below(rng, 2) * below(rng, 9) : 0;
}

static ProductParams some_product(Rng *rng)
{
    ProductParams p = product_packed(1 + below(rng, 20), 1 + below(rng, 20), 1 + below(rng, 30),
                                     below(rng, 2), below(rng, 2));
    p.batch = below(rng, 2) ? 1 : 2 + below(rng, 4);
    p.sum_batch = below(rng, 2);
    int64_t gaps = below(rng, 2);
    p.ld_a += gaps * below(rng, 5);
    p.ld_b += gaps * below(rng, 5);
    p.ld_c += gaps * below(rng, 5);
    p.stride_a = some_stride(rng, p.trans_a ? p.inner : p.rows, p.ld_a);
    p.stride_b = some_stride(rng, p.trans_b ? p.cols : p.inner, p.ld_b);
    p.stride_c = p.rows * p.ld_c + gaps * below(rng, 9);
    p.stride_bias = below(rng, 2) * p.cols;
    return p;
}

/* Of an operand: what its last item reaches. */
int64_t product_extent(int64_t batch, int64_t stride, int64_t rows, int64_t ld)
{
    return (batch - 1) * stride + rows * ld;
}

static Operand reals(int64_t n, double *values)
{
    return (Operand){.dtype = DTYPE_REAL, .shape = SHAPE(n), .value = values};
}

OneOp product_form(Rng *rng, uint64_t seed)
{
    ProductParams p = some_product(rng);
    int64_t a = product_extent(p.batch, p.stride_a, p.trans_a ? p.inner : p.rows, p.ld_a);
    int64_t b = product_extent(p.batch, p.stride_b, p.trans_b ? p.cols : p.inner, p.ld_b);
    int64_t c = product_extent(p.sum_batch ? 1 : p.batch, p.stride_c, p.rows, p.ld_c);
    OneOp op = {.op = OP_PRODUCT, .n_in = 3, .n_out = 1, .params = {.product = p}};
    op.in[0] = reals(a, test_normal(seed, a, 1));
    op.in[1] = reals(b, test_normal(seed + 1, b, 1));
    op.in[2] = reals(p.batch * p.cols, test_normal(seed + 2, p.batch * p.cols, 1));
    op.in[2].absent = below(rng, 2);
    op.out[0] = reals(c, test_normal(seed + 3, c, 1));
    op.accumulate = (uint32_t)below(rng, 2);
    return op;
}

void product_close(const OneOp *op, const double *got, const double *expected)
{
    const ProductParams *p = &op->params.product;
    int64_t terms = p->inner * p->batch + 2; /* C and the bias too */
    Closeness closeness =
        test_closeness(got, expected, operand_elements(&op->out[0]), terms, false);
    if (closeness.error <= closeness.bound) return;
    fail_msg(
        "%lldx%lldx%lld, batch %lld, transposed %d %d, sum %d, bias %d, accumulate %d: error %g",
        (long long)p->rows, (long long)p->cols, (long long)p->inner, (long long)p->batch,
        p->trans_a, p->trans_b, p->sum_batch, !op->in[2].absent, (int)op->accumulate,
        closeness.error);
}
