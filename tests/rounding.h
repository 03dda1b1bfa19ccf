/* How numbers are rounded to 16 bits, by the host and by devices. Includes cmocka, whose macro
 * fail() hides the library's: other headers come before this one. */
#ifndef TESTS_ROUNDING_H
#define TESTS_ROUNDING_H

#include "backends/backend.h"
#include "base/rng.h"
#include "tensor/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static inline double half_as_double(uint16_t bits, DType dtype)
{
    return (double)(dtype == DTYPE_F16 ? float_from_f16(bits) : float_from_bf16(bits));
}

static inline uint16_t half_to_bits(double value, DType dtype)
{
    return dtype == DTYPE_F16 ? f16_from_double(value) : bf16_from_double(value);
}

/* A copy of reals into the type, on a device; n values, in and out. */
static inline void store_on(Device *device, DType dtype, double *values, int64_t n)
{
    Region region = {.name = "numbers"};
    int64_t from = region_append(&region, &device->limits, DTYPE_REAL, SHAPE(n));
    int64_t to = region_append(&region, &device->limits, dtype, SHAPE(n));
    Graph *graph = graph_create();
    graph->storage = dtype;
    TensorId x = graph_external(graph, "x", DTYPE_REAL, SHAPE(n), &region, from);
    TensorId y = graph_external(graph, "y", dtype, SHAPE(n), &region, to);
    graph_append(graph, &(NodeParams){.op = OP_COPY, .in = &x, .n_in = 1, .out = &y, .n_out = 1});
    Runnable run;
    assert_int_equal(device_allocate(device, &region), WF_OK);
    assert_int_equal(runnable_create(device, graph, &run), WF_OK);
    assert_int_equal(device_write_doubles(&region, from, values, n), WF_OK);
    assert_int_equal(device->backend->program_run(run.program), WF_OK);
    assert_int_equal(device_read_stored(&region, dtype, to, values, n), WF_OK);
    runnable_destroy(&run);
    device_release(&region);
    graph_destroy(graph);
}

/* Values of every size the type has and beyond, half-way ones among them. */
static inline void assert_device_rounds(Device *device, DType dtype)
{
    enum { N = 40000 };
    double *values = malloc(N * sizeof *values), *given = malloc(N * sizeof *given);
    assert_non_null(values);
    assert_non_null(given);
    Rng rng = {.seed = 21};
    for (int i = 0; i < N; i++) {
        double here = half_as_double((uint16_t)rng_below(&rng, 0x10000), dtype);
        double factor = i % 3 ? 1 + rng_uniform(&rng) / 256 : 1 + 0x1p-11;
        given[i] = values[i] = (double)(float)(here * factor);
    }
    given[0] = values[0] = 65519.99609375;
    given[1] = values[1] = 65520;
    given[2] = values[2] = 3.4e38;
    given[3] = values[3] = 1e-45f;
    store_on(device, dtype, values, N);
    for (int i = 0; i < N; i++) {
        double expected = half_as_double(half_to_bits(given[i], dtype), dtype);
        if (isnan(expected))
            assert_true(isnan(values[i]));
        else
            assert_true(values[i] == expected);
    }
    free(values);
    free(given);
}

#endif
