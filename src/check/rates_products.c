/* Matrix products: squares, and those of a feed-forward of the 130-million-parameter preset, in
 * every type the device stores. */
#include "check/rates.h"

#include "check/measure_parts.h"
#include "check/timing.h"

#include <stdio.h>

typedef struct ProductSize {
    int64_t rows, cols, inner;
    bool trans_a, trans_b;
    const char *what;
} ProductSize;

static const ProductSize full_sizes[] = {
    {1024, 1024, 1024, false, true, ""},
    {4096, 4096, 4096, false, true, ""},
    {8192, 8192, 8192, false, true, ""},
    {8192, 3072, 768, false, true, ", a layer forward"},
    {8192, 768, 3072, false, false, ", its input's gradient"},
    {3072, 768, 8192, true, false, ", its weight's gradient"},
};
static const ProductSize quick_sizes[] = {
    {128, 128, 128, false, true, ""},
    {256, 256, 256, false, true, ""},
    {256, 768, 192, false, true, ", a layer forward"},
    {256, 192, 768, false, false, ", its input's gradient"},
    {768, 192, 256, true, false, ", its weight's gradient"},
};
enum { MOST_SIZES = 6 };

typedef struct ProductBench {
    Region region;
    Graph *graph;
    Runnable runnable;
} ProductBench;

static wf_status create(Device *device, const ProductSize *size, DType dtype, ProductBench *bench)
{
    Shape a = size->trans_a ? SHAPE(size->inner, size->rows) : SHAPE(size->rows, size->inner);
    Shape b = size->trans_b ? SHAPE(size->cols, size->inner) : SHAPE(size->inner, size->cols);
    /* A gradient of a weight is added up in float32. */
    DType result = size->trans_a ? DTYPE_REAL : dtype;
    Shape shapes[] = {a, b, SHAPE(size->rows, size->cols)};
    DType dtypes[] = {dtype, dtype, result};
    TensorId ids[4];
    int64_t offsets[3];
    bench->region = (Region){.name = "product"};
    bench->graph = graph_create();
    TRY(graph_status(bench->graph));
    bench->graph->storage = dtype;
    for (int i = 0; i < 3; i++) {
        offsets[i] = region_append(&bench->region, &device->limits, dtypes[i], shapes[i]);
        ids[i] = graph_external(bench->graph, "matrix", dtypes[i], shapes[i], &bench->region,
                                offsets[i]);
    }
    TensorId in[] = {ids[0], ids[1], NO_TENSOR};
    OpParams params = {.product = product_packed(size->rows, size->cols, size->inner, size->trans_a,
                                                 size->trans_b)};
    graph_append(bench->graph, &(NodeParams){.op = OP_PRODUCT,
                                             .params = params,
                                             .in = in,
                                             .n_in = 3,
                                             .out = &ids[2],
                                             .n_out = 1,
                                             .accumulate = size->trans_a});
    TRY(graph_status(bench->graph));
    TRY(device_allocate(device, &bench->region));
    TRY(device_clear(&bench->region));
    for (int i = 0; i < 2; i++)
        TRY(measure_noise(&bench->region, dtypes[i], offsets[i], shape_elements(shapes[i])));
    return runnable_create(device, bench->graph, &bench->runnable);
}

static wf_status measure(const Rates *rates, const ProductSize *size, DType dtype, Rate *rate)
{
    ProductBench bench = {0};
    double rows = (double)size->rows, cols = (double)size->cols, inner = (double)size->inner;
    *rate = (Rate){.figure = "product", .unit = "FLOP/s", .per_run = 2 * rows * cols * inner};
    snprintf(rate->title, sizeof rate->title, "%s %lld x %lld x %lld%s", dtype_name(dtype),
             (long long)size->rows, (long long)size->cols, (long long)size->inner, size->what);
    wf_status status = create(rates->device, size, dtype, &bench);
    if (!status)
        status = time_back_to_back(replay_program, bench.runnable.program, &bench.region,
                                   rates->params->quick ? 0.5 : 2, &rate->seconds);
    runnable_destroy(&bench.runnable);
    device_release(&bench.region);
    graph_destroy(bench.graph);
    return status;
}

static double smallest_bytes(const Rates *rates, const ProductSize *size, DType dtype)
{
    double bytes = (double)rates->device->limits.dtype_size[dtype];
    return bytes *
           (double)(size->rows * size->inner + size->inner * size->cols + size->rows * size->cols);
}

/* All of a type are measured before the first is reported: the best of them is the others' floor.
 */
static wf_status measure_type(Rates *rates, DType dtype)
{
    const ProductSize *sizes = rates->params->quick ? quick_sizes : full_sizes;
    int n = rates->params->quick ? (int)(sizeof quick_sizes / sizeof *quick_sizes)
                                 : (int)(sizeof full_sizes / sizeof *full_sizes);
    Rate rate[MOST_SIZES];
    wf_status status[MOST_SIZES];
    for (int i = 0; i < n; i++) {
        status[i] = measure(rates, &sizes[i], dtype, &rate[i]);
        if (status[i]) {
            if (rates_wanted(rates, "product")) TRY(rates_report(rates, &rate[i], status[i]));
            continue;
        }
        double best = rate[i].per_run / rate[i].seconds;
        if (best > rates->product[dtype]) rates->product[dtype] = best;
    }
    for (int i = 0; i < n; i++) {
        if (status[i] || !rates_wanted(rates, "product")) continue;
        double bytes = smallest_bytes(rates, &sizes[i], dtype) / rates->copy;
        double work = rate[i].per_run / rates->product[dtype];
        rate[i].floor = bytes > work ? bytes : work;
        TRY(rates_report(rates, &rate[i], WF_OK));
    }
    return WF_OK;
}

wf_status rates_products(Rates *rates)
{
    static const DType types[] = {DTYPE_REAL, DTYPE_F16, DTYPE_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (rates->device->limits.dtype_size[types[i]] > 0) TRY(measure_type(rates, types[i]));
    return WF_OK;
}
