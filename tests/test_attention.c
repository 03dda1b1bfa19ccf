/* Softmax attention on the CPU against the formula of graph/ops.h, written out in long double over
 * all pairs of tokens; the same continued in calls of any size; what a later token must not do. */
#include "backends/cpu/device.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Size {
    int64_t B, N, H, d, M; /* M: tokens there is room for */
} Size;

static const Size sizes[] = {
    {1, 1, 1, 1, 1},   {2, 7, 3, 5, 7},      {1, 64, 2, 8, 64},
    {3, 65, 1, 3, 90}, {1, 131, 2, 33, 200}, {2, 200, 4, 16, 257},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef struct Case {
    Size size;
    double *q, *k, *v, *y, *lse; /* [B,N,H,d], lse [B,H,N] */
} Case;

static int64_t elements(const Size *s)
{
    return s->B * s->N * s->H * s->d;
}

static void formula_of_query(const Case *c, int64_t b, int64_t h, int64_t n, long double *score)
{
    const Size *s = &c->size;
    const int64_t row = s->H * s->d, first = b * s->N * row + h * s->d;
    const double *q = c->q + first + n * row;
    long double largest = -HUGE_VALL, total = 0;
    for (int64_t j = 0; j <= n; j++) {
        score[j] = 0;
        for (int64_t i = 0; i < s->d; i++)
            score[j] += (long double)q[i] * c->k[first + j * row + i];
        score[j] /= sqrtl((long double)s->d);
        largest = fmaxl(largest, score[j]);
    }
    for (int64_t j = 0; j <= n; j++) total += score[j] = expl(score[j] - largest);
    for (int64_t i = 0; i < s->d; i++) {
        long double sum = 0;
        for (int64_t j = 0; j <= n; j++) sum += score[j] * c->v[first + j * row + i];
        c->y[first + n * row + i] = (double)(sum / total);
    }
    c->lse[(b * s->H + h) * s->N + n] = (double)(largest + logl(total));
}

static Case case_create(Size s, double deviation)
{
    int64_t n = elements(&s);
    Case c = {.size = s,
              .q = test_normal(1, n, deviation),
              .k = test_normal(2, n, deviation),
              .v = test_normal(3, n, 1),
              .y = test_memory((size_t)n * sizeof(double)),
              .lse = test_memory((size_t)(s.B * s.H * s.N) * sizeof(double))};
    long double *score = test_memory((size_t)s.N * sizeof *score);
    for (int64_t i = 0; i < s.B * s.H * s.N; i++)
        formula_of_query(&c, i / (s.H * s.N), i / s.N % s.H, i % s.N, score);
    return c;
}

/* ---- running ---- */

static Operand reals(Shape shape, double *value)
{
    return (Operand){.shape = shape, .value = value};
}

static OneOpResult run_whole(bool as_double, const Case *c)
{
    const Size *s = &c->size;
    Shape shape = SHAPE(s->B, s->N, s->H, s->d);
    OneOp op = {.op = OP_ATTENTION,
                .n_in = 3,
                .in = {reals(shape, c->q), reals(shape, c->k), reals(shape, c->v)},
                .n_out = 2,
                .out = {reals(shape, NULL), reals(SHAPE(s->B, s->H, s->N), NULL)}};
    return test_run(test_device(as_double), &op);
}

/* Tokens first … first+count-1 of x [B, tokens, H·d]. */
static double *part(const Size *s, const double *x, int64_t tokens, int64_t first, int64_t count)
{
    const int64_t row = s->H * s->d;
    double *y = test_memory((size_t)(s->B * count * row) * sizeof *y);
    for (int64_t b = 0; b < s->B; b++)
        memcpy(y + b * count * row, x + (b * tokens + first) * row,
               (size_t)(count * row) * sizeof *y);
    return y;
}

/* The sequence in calls of `count` tokens; what is kept starts as NaN. */
static double *run_stream(bool as_double, const Case *c, int64_t count)
{
    const Size *s = &c->size;
    const int64_t row = s->H * s->d;
    const Shape room = SHAPE(s->B, s->M, s->H, s->d);
    double *y = test_memory((size_t)elements(s) * sizeof *y), *keys = NULL, *values = NULL;
    for (int64_t first = 0; first < s->N; first += count) {
        int64_t n = int64_min(count, s->N - first);
        double position = (double)first;
        Shape shape = SHAPE(s->B, n, s->H, s->d);
        OneOp op = {.op = OP_ATTENTION_STREAM,
                    .n_in = 4,
                    .in = {reals(shape, part(s, c->q, s->N, first, n)),
                           reals(shape, part(s, c->k, s->N, first, n)),
                           reals(shape, part(s, c->v, s->N, first, n)),
                           {.dtype = DTYPE_I32, .shape = SHAPE(1), .value = &position}},
                    .n_out = 3,
                    .out = {reals(shape, NULL), reals(room, keys), reals(room, values)}};
        OneOpResult result = test_run(test_device(as_double), &op);
        for (int64_t b = 0; b < s->B; b++)
            memcpy(y + (b * s->N + first) * row, result.out[0] + b * n * row,
                   (size_t)(n * row) * sizeof *y);
        keys = result.out[1];
        values = result.out[2];
    }
    assert_memory_equal(part(s, keys, s->M, 0, s->N), c->k, (size_t)elements(s) * sizeof *y);
    assert_memory_equal(part(s, values, s->M, 0, s->N), c->v, (size_t)elements(s) * sizeof *y);
    return y;
}

/* ---- tests ---- */

static void attention_is_the_formula(void **state)
{
    (void)state;
    for (int i = 0; i < SIZES; i++)
        for (int as_double = 0; as_double < 2; as_double++) {
            Case c = case_create(sizes[i], 1);
            const Size *s = &c.size;
            OneOpResult got = run_whole(as_double, &c);
            test_close("y", got.out[0], c.y, elements(s), s->N + s->d, as_double);
            test_close("lse", got.out[1], c.lse, s->B * s->H * s->N, s->N + s->d, as_double);
            test_release(NULL);
        }
}

static void a_stream_continues_exactly(void **state)
{
    (void)state;
    static const int64_t counts[] = {1, 63, 64, 100, 1000};
    for (int i = 0; i < SIZES; i++) {
        Case c = case_create(sizes[i], 1);
        for (int as_double = 0; as_double < 2; as_double++)
            for (int k = 0; k < 5; k++)
                test_close("streamed y", run_stream(as_double, &c, counts[k]), c.y,
                           elements(&c.size), c.size.N + c.size.d, as_double);
        test_release(NULL);
    }
}

/* Scores of some ±1000, where e^score is neither a float nor a double: one key takes all. */
static void large_scores_stay_finite(void **state)
{
    (void)state;
    for (int as_double = 0; as_double < 2; as_double++) {
        Case c = case_create((Size){2, 150, 2, 16, 150}, 1);
        for (int64_t i = 0; i < elements(&c.size); i++) c.q[i] = 512 * c.q[i];
        long double *score = test_memory((size_t)c.size.N * sizeof *score);
        for (int64_t i = 0; i < 4 * c.size.N; i++)
            formula_of_query(&c, i / (2 * c.size.N), i / c.size.N % 2, i % c.size.N, score);
        int64_t terms = 512 * 512; /* what a score loses to rounding has grown as it has */
        OneOpResult got = run_whole(as_double, &c);
        test_close("y of large scores", got.out[0], c.y, elements(&c.size), terms, as_double);
        test_close("lse of large scores", got.out[1], c.lse, 4 * c.size.N, 32, as_double);
        test_close("streamed y of large scores", run_stream(as_double, &c, 7), c.y,
                   elements(&c.size), terms, as_double);
    }
}

/* Nothing a token holds, not even NaN, moves a bit of the tokens before it, nor another head's. */
static void later_tokens_do_not_show(void **state)
{
    (void)state;
    static const int64_t at[] = {1, 63, 64, 100, 149};
    for (int i = 0; i < 5; i++) {
        Case c = case_create((Size){1, 150, 2, 5, 150}, 1);
        OneOpResult before = run_whole(false, &c);
        double *streamed = run_stream(false, &c, 150);
        c.k[at[i] * 10 + 7] = c.v[at[i] * 10 + 8] = NAN; /* of head 1 */
        OneOpResult after = run_whole(false, &c);
        double *again = run_stream(false, &c, 150);
        for (int64_t n = 0; n < 150; n++)
            for (int64_t j = 0; j < 10; j++) {
                bool seen = n >= at[i] && j >= 5;
                int64_t e = n * 10 + j;
                assert_true(isnan(after.out[0][e]) == seen && isnan(again[e]) == seen);
                if (seen) continue;
                assert_memory_equal(&after.out[0][e], &before.out[0][e], sizeof(double));
                assert_memory_equal(&again[e], &streamed[e], sizeof(double));
            }
        test_release(NULL);
    }
}

/* Scratch does not grow with the square of the tokens. */
static void memory_grows_with_the_tokens(void **state)
{
    (void)state;
    int64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        Region region = {.name = "operands"};
        Graph *graph = graph_create();
        Shape shape = SHAPE(1, i ? 1 << 20 : 1 << 19, 2, 8);
        TensorId in[6], out[3] = {NO_TENSOR, NO_TENSOR, NO_TENSOR};
        for (int k = 0; k < 4; k++) {
            int64_t at = region_append(&region, &test_device(false)->limits, DTYPE_REAL, shape);
            in[k] = graph_external(graph, "operand", DTYPE_REAL, shape, &region, at);
        }
        TensorId dy = in[3];
        graph_append(
            graph, &(NodeParams){.op = OP_ATTENTION, .in = in, .n_in = 3, .out = out, .n_out = 2});
        TensorId back[] = {dy, in[0], in[1], in[2], out[0], out[1]};
        TensorId gradients[] = {NO_TENSOR, NO_TENSOR, NO_TENSOR};
        graph_append(
            graph,
            &(NodeParams){
                .op = OP_ATTENTION_BACKWARD, .in = back, .n_in = 6, .out = gradients, .n_out = 3});
        test_ok(graph_status(graph));
        Plan *plan;
        test_ok(device_plan_create(test_device(false), graph, &plan));
        bytes[i] = plan_memory(plan);
        plan_destroy(plan);
        graph_destroy(graph);
    }
    assert_true(bytes[1] > 0 && bytes[1] <= 2 * bytes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(attention_is_the_formula, test_release),
        cmocka_unit_test_teardown(a_stream_continues_exactly, test_release),
        cmocka_unit_test_teardown(large_scores_stay_finite, test_release),
        cmocka_unit_test_teardown(later_tokens_do_not_show, test_release),
        cmocka_unit_test_teardown(memory_grows_with_the_tokens, test_release),
    };
    int failed = 0;
    for (int i = 0; i < cpu_variant_count(); i++) { /* every float build that this machine runs */
        Device *device = NULL;
        if (cpu_open_variant(i, &device) || !device) continue;
        test_use_device(device);
        failed += cmocka_run_group_tests_name(device->info.driver, tests, NULL, NULL);
    }
    test_close_devices();
    return failed;
}
