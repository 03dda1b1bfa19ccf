/* Lowering of products to a library's: which of its forms serves, and what it leaves to us.
 *
 * A library adds no GELU: cuBLASLt's is the form by tanh, the models' is that by erf. */
#include "backends/gpu/lower.h"

enum { MOST_ITEMS = 8 /* calls, one after the other, for one product */ };

typedef struct Form {
    GpuProduct product; /* of all, or of each item */
    int64_t items;      /* calls */
    bool sum;           /* of all items into one C */
    bool finish;        /* into workspace in float; product_sum does the rest */
} Form;

/* Items that follow one another along the inner axis of both operands are one product. */
static ProductParams folded(const ProductParams *p)
{
    ProductParams q = *p;
    int64_t step_a = p->trans_a ? p->ld_a : 1, step_b = p->trans_b ? 1 : p->ld_b;
    bool follow = p->stride_a == p->inner * step_a && p->stride_b == p->inner * step_b;
    if (!p->sum_batch || (p->batch > 1 && !follow)) return q;
    q.inner *= p->batch;
    q.batch = 1;
    q.sum_batch = false;
    return q;
}

/* The product in this form, if it is one. */
static bool shape_form(const ProductParams *p, const ProductPlaces *places, DType storage,
                       bool accumulate, bool by_items, bool finish, Form *form)
{
    DType result = places->to_real || finish ? DTYPE_REAL : storage;
    bool bias = places->bias.size > 0, sum = p->sum_batch;
    if (by_items ? p->batch < 2 || p->batch > MOST_ITEMS : sum) return false;
    /* Between items the sum is rounded to what C holds. */
    if (sum && !finish && (result != DTYPE_REAL || bias)) return false;
    *form = (Form){.items = by_items ? p->batch : 1, .sum = sum, .finish = finish};
    form->product = (GpuProduct){.shape = *p,
                                 .operands = storage,
                                 .result = result,
                                 .accumulate = accumulate && !finish,
                                 .a = places->a,
                                 .b = places->b,
                                 .c = places->c};
    ProductParams *shape = &form->product.shape;
    shape->sum_batch = false;
    if (by_items) shape->batch = 1;
    if (!finish) form->product.bias = places->bias;
    if (finish) {
        shape->ld_c = p->cols;
        shape->stride_c = p->rows * p->cols;
        form->product.c = (Place){.size = 4 * (sum ? 1 : p->batch) * shape->stride_c};
    }
    return true;
}

/* All at once before one by one, in place before through the workspace. */
static bool find_form(GpuLibrary *library, const ProductParams *p, const ProductPlaces *places,
                      DType storage, bool accumulate, Form *form)
{
    if (p->batch < 1 || p->rows < 1 || p->cols < 1 || p->inner < 1) return false;
    if (!gpu_library_is_right(library)) return false;
    ProductParams q = folded(p);
    for (int finish = 0; finish < 2; finish++)
        for (int by_items = 0; by_items < 2; by_items++)
            if (shape_form(&q, places, storage, accumulate, by_items, finish, form) &&
                library->takes(library, &form->product))
                return true;
    return false;
}

static Place item_of(Place place, int64_t item, int64_t stride, DType type)
{
    int64_t offset = item * stride * lower_element(type);
    return place.size ? lower_part(place, offset, place.size - offset) : place;
}

static void emit_items(Lowering *l, const Form *form)
{
    for (int64_t i = 0; i < form->items; i++) {
        GpuProduct item = form->product;
        const ProductParams *shape = &item.shape;
        item.a = item_of(item.a, i, shape->stride_a, item.operands);
        item.b = item_of(item.b, i, shape->stride_b, item.operands);
        item.bias = item_of(item.bias, i, shape->stride_bias, DTYPE_REAL);
        if (!form->sum) item.c = item_of(item.c, i, shape->stride_c, item.result);
        if (form->sum && i > 0) item.accumulate = true;
        lower_product_step(l, &item);
    }
}

bool lower_library_takes(const GpuLimits *limits, const ProductParams *p, DType storage)
{
    const ProductPlaces places = {.a = {.size = 4}, .b = {.size = 4}, .c = {.size = 4}};
    Form form;
    return limits->library && find_form(limits->library, p, &places, storage, false, &form);
}

bool lower_library_wanted(const GpuLimits *limits, const ProductParams *p, ProductChoice choice)
{
    if (!limits->library) return false;
    if (choice.tile != TILE_RULE) return choice.tile == TILE_LIBRARY;
    return limits->library->preferred && !lower_suits_few_rows(p);
}

bool lower_by_library(Lowering *l, const ProductParams *p, const ProductPlaces *places,
                      uint32_t accumulate)
{
    Form form;
    ProductChoice tuned = gpu_tuning_choice(&l->limits->tuning, p, l->graph->storage);
    GpuLibrary *library = l->limits->library;
    if (!lower_library_wanted(l->limits, p, tuned) ||
        !find_form(library, p, places, l->graph->storage, accumulate, &form))
        return false;
    int64_t bytes = library->workspace(library, &form.product);
    if (form.finish) form.product.c = lower_scratch(l, form.product.c.size);
    if (bytes > 0) form.product.workspace = lower_scratch(l, bytes);
    emit_items(l, &form);
    if (form.finish) {
        const ProductEnd end = lower_product_end(l, places, accumulate);
        lower_product_sum(l, p, &end, form.product.c, p->sum_batch ? 1 : p->batch, 1);
    }
    return true;
}
