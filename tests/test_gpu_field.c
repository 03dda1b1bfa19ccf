/* The field on a GPU backend at sizes that the check's cases do not reach: test_gpu_field
 * vulkan|opencl. Long scans and transforms, the kernels of spectral gates, and what is refused.
 *
 * Device 0 of the backend. Exit code 77, a skip, where this build or machine has none. */
#include "tests/gpu_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- long fields ---- */

/* A field op over `tokens` tokens, `cells` a token, of waves that hardly fade. */
static OneOp long_field(FieldEvaluator evaluator, int64_t tokens, int64_t heads, int64_t width,
                        int64_t spacing)
{
    int64_t cells = 1 + spacing * (tokens - 1);
    Shape shape = SHAPE(1, tokens, heads, width);
    double *cell = test_memory((size_t)tokens * sizeof *cell);
    double *fraction = test_memory((size_t)tokens * sizeof *fraction);
    for (int64_t i = 0; i < tokens; i++) {
        cell[i] = (double)(spacing * i);
        if (spacing > 1 && i + 1 < tokens) fraction[i] = (double)(i % 4) / 4;
    }
    double *damping = test_normal(4, heads, 1);
    for (int64_t h = 0; h < heads; h++) damping[h] -= 12;
    OneOp op = {.op = OP_FIELD, .n_in = 6, .n_out = 2};
    op.params.field = (FieldParams){.heads = heads,
                                    .width = width,
                                    .cells = cells,
                                    .reach = cells,
                                    .damping_limit = INFINITY,
                                    .evaluator = evaluator};
    op.in[0] = operand_real(shape, test_normal(5, shape_elements(shape), 1));
    op.in[1] = operand_real(SHAPE(heads), test_normal(6, heads, 2));
    op.in[2] = operand_real(SHAPE(heads), damping);
    op.in[3] = operand_real(SHAPE(heads), test_normal(7, heads, 2));
    op.in[4] = (Operand){.dtype = DTYPE_I32, .shape = SHAPE(tokens), .value = cell};
    op.in[5] = operand_real(SHAPE(tokens), fraction);
    op.out[0] = operand_real(shape, NULL);
    op.out[1] = operand_real(SHAPE(1, heads, ceil_div(tokens, FIELD_CHUNK), 2, width), NULL);
    return op;
}

/* The backward op of a field op on one device, from that device's own carry. */
static OneOpResult run_backward(Device *device, const OneOp *forward, OneOp *op)
{
    OneOp copy = *forward;
    OneOpResult carried = test_run(device, &copy);
    Shape shape = forward->in[0].shape, heads = forward->in[1].shape;
    *op = (OneOp){.op = OP_FIELD_BACKWARD, .params = forward->params, .n_in = 8, .n_out = 4};
    op->in[0] = operand_real(shape, test_normal(8, shape_elements(shape), 1));
    for (int k = 0; k < 6; k++) op->in[k + 1] = forward->in[k];
    op->in[7] = operand_real(forward->out[1].shape, carried.out[1]);
    op->out[0] = operand_real(shape, NULL);
    for (int k = 1; k < 4; k++)
        op->out[k] = operand_real(heads, test_normal(9, shape_elements(heads), 1));
    return test_run(device, op);
}

/* Poles keep their phase over many chunks: what a wave has gained and lost by the end must not grow
 * with the way it went. */
static void long_scans_do_not_drift(void **state)
{
    (void)state;
    enum { LONG = 20011 };
    OneOp forward = long_field(FIELD_SCAN, LONG, 2, 3, 7), backward;
    expect_same("long scan", &forward, LONG);
    OneOpResult got = run_backward(gpu, &forward, &backward);
    OneOpResult expected = run_backward(test_device(true), &forward, &backward);
    for (int k = 0; k < backward.n_out; k++)
        test_close("long scan backward", got.out[k], expected.out[k],
                   operand_elements(&backward.out[k]), LONG * 3, false);
}

/* "dc" norms may be a hundredth of the terms they sum: their rounding must not show. */
static void small_norms_are_exact(void **state)
{
    (void)state;
    enum { LONG = 4099 };
    OneOp op = long_field(FIELD_SCAN, LONG, 2, 1, 1);
    op.params.field.norm = KERNEL_NORM_DC;
    expect_same("dc scan", &op, LONG);
}

/* Transforms of several passes, in an odd number of rows. */
static void long_transforms_are_right(void **state)
{
    (void)state;
    enum { LONG = 4100 };
    OneOp forward = long_field(FIELD_FFT, LONG, 1, 3, 32), backward;
    int64_t cells = forward.params.field.cells;
    assert_true(cells > 131072);
    OneOpResult got = test_run(gpu, &forward);
    forward.params.field.evaluator = FIELD_SCAN;
    OneOpResult expected = test_run(test_device(true), &forward);
    test_close("long transform", got.out[0], expected.out[0], operand_elements(&forward.out[0]),
               cells, false);
    expected = run_backward(test_device(true), &forward, &backward);
    forward.params.field.evaluator = FIELD_FFT;
    got = run_backward(gpu, &forward, &backward);
    for (int k = 0; k < backward.n_out; k++)
        test_close("long transform backward", got.out[k], expected.out[k],
                   operand_elements(&backward.out[k]), cells * 3, false);
}

/* ---- gated kernels ---- */

/* Where transforms of P points are odd, of one large factor only, or take several passes. */
static void gated_kernels_are_right(void **state)
{
    (void)state;
    static const struct {
        int64_t batch, heads, cells, size;
    } cases[] = {{1, 2, 9, 36}, {3, 2, 156, 625}, {1, 1, 4201, 16807}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t batch = cases[i].batch, heads = cases[i].heads, cells = cases[i].cells;
        OneOp op = {.op = OP_FIELD_KERNEL, .n_in = 4, .n_out = 1};
        op.params.field = (FieldParams){
            .heads = heads, .width = 1, .cells = cells, .reach = cells, .damping_limit = 1.5f};
        op.in[0] = operand_real(SHAPE(heads), test_normal(1, heads, 2));
        op.in[1] = operand_real(SHAPE(heads), test_normal(2, heads, 3));
        op.in[2] = operand_real(SHAPE(heads), test_normal(3, heads, 2));
        Shape points = SHAPE(batch, heads, FIELD_GATE_POINTS);
        op.in[3] = operand_real(points, test_normal(4, shape_elements(points), 0.3));
        op.out[0] = operand_real(SHAPE(batch, heads, cells), NULL);
        char what[64];
        snprintf(what, sizeof what, "gated kernel of %d points", (int)cases[i].size);
        expect_same(what, &op, cases[i].size);
    }
}

/* ---- refusals ---- */

static void what_is_missing_is_said(void **state)
{
    (void)state;
    OneOp op = long_field(FIELD_FFT, 3, 1, 1, 1 << 27);
    Graph *graph = graph_create();
    TensorId in[6], out[2] = {NO_TENSOR, NO_TENSOR};
    for (int k = 0; k < op.n_in; k++)
        in[k] = graph_activation(graph, "input", op.in[k].dtype, op.in[k].shape);
    graph_append(graph, &(NodeParams){.op = op.op,
                                      .params = op.params,
                                      .in = in,
                                      .n_in = op.n_in,
                                      .out = out,
                                      .n_out = op.n_out});
    test_ok(graph_status(graph));
    const char *why = NULL;
    assert_false(gpu->backend->supports(gpu, graph, &graph->nodes[0], &why));
    assert_non_null(strstr(why, "too long"));
    graph_destroy(graph);
}

int main(int argc, char **argv)
{
    int closed = gpu_open(argc, argv);
    if (closed) return closed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(long_scans_do_not_drift, test_release),
        cmocka_unit_test_teardown(small_norms_are_exact, test_release),
        cmocka_unit_test_teardown(long_transforms_are_right, test_release),
        cmocka_unit_test_teardown(gated_kernels_are_right, test_release),
        cmocka_unit_test_teardown(what_is_missing_is_said, test_release),
    };
    return cmocka_run_group_tests(tests, NULL, gpu_close);
}
