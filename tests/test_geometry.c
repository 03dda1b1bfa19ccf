/* Token places, the causality walk and its advice (spec §2). */
#include "field/geometry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static Geometry v3_5(int64_t cells, int64_t tokens)
{
    return (Geometry){MODEL_V3_5, cells, tokens};
}

static Geometry v4(int64_t cells, int64_t tokens)
{
    return (Geometry){MODEL_V4, cells, tokens};
}

static double position(const Geometry *geometry, int64_t token)
{
    TokenPlace place = geometry_place(geometry, token);
    return place.cell + place.fraction;
}

/* p_i as the specification writes it. */
static double specified(const Geometry *geometry, int64_t token)
{
    double cells = (double)geometry->cells, tokens = (double)geometry->tokens;
    double stride = (cells - 1) / fmax(tokens - 1, 1);
    if (geometry->version == MODEL_V4) return fmin((double)token * fmax(1, stride), cells - 1);
    return fmin((double)token * stride, cells - 2);
}

static void places_follow_the_specification(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {
        {2, 1},      {2, 2},       {5, 9},     {9, 5},         {13, 7}, {17, 17},    {100, 77},
        {1024, 256}, {2048, 2048}, {512, 514}, {1000003, 997}, {31, 1}, {997, 1009}, {1 << 20, 3}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (int version = 0; version < 2; version++) {
            Geometry geometry = {(ModelVersion)version, sizes[k][0], sizes[k][1]};
            for (int64_t i = 0; i < geometry.tokens; i++) {
                TokenPlace place = geometry_place(&geometry, i);
                double p = specified(&geometry, i);
                assert_true(fabs(position(&geometry, i) - p) <= 4e-16 * fmax(p, 1));
                assert_true(place.fraction >= 0 && place.fraction < 1);
                assert_true(place.cell >= 0);
                assert_true(geometry_last_cell(&geometry, i) < geometry.cells);
            }
        }
    }
}

/* float64 products of a rounded stride fall below whole cells, here at token 6·k of stride 11/6 and
 * everywhere in the last token of a long field; integers do not. */
static void whole_cells_are_exact(void **state)
{
    (void)state;
    Geometry geometry = v4(1 + 11 * 4999, 1 + 6 * 4999);
    for (int64_t k = 0; k <= 4999; k++) {
        TokenPlace place = geometry_place(&geometry, 6 * k);
        assert_int_equal(place.cell, 11 * k);
        assert_true(place.fraction == 0);
    }
    for (int64_t tokens = 2; tokens < 3000; tokens++) {
        geometry = v4(GEOMETRY_MAX - 7, tokens);
        assert_int_equal(geometry_place(&geometry, tokens - 1).cell, GEOMETRY_MAX - 8);
    }
    geometry = v4(GEOMETRY_MAX, GEOMETRY_MAX);
    assert_int_equal(geometry_place(&geometry, GEOMETRY_MAX - 1).cell, GEOMETRY_MAX - 1);
}

static void clamping(void **state)
{
    (void)state;
    Geometry geometry = v3_5(16, 4); /* stride 5; the last token is held at G - 2 */
    assert_int_equal(geometry_place(&geometry, 3).cell, 14);
    assert_true(geometry_place(&geometry, 3).fraction == 0);
    geometry = v4(16, 4);
    assert_int_equal(geometry_place(&geometry, 3).cell, 15);
    geometry = v4(5, 9); /* stride 1, not 1/2 */
    assert_int_equal(geometry_place(&geometry, 3).cell, 3);
    assert_int_equal(geometry_place(&geometry, 8).cell, 4);
}

static void reach_and_at(void **state)
{
    (void)state;
    Geometry geometry = v4(8, 5); /* positions 0, 1.75, 3.5, 5.25, 7 */
    static const int64_t at[] = {0, 0, 2, 4, 6, 7}, reach[] = {0, 1, 3, 5, 7, 8};
    for (int64_t n = 0; n <= 5; n++) {
        assert_int_equal(geometry_at(&geometry, n), at[n]);
        assert_int_equal(geometry_reach(&geometry, n), reach[n]);
    }
    int32_t cell[3];
    double fraction[3];
    geometry_places(&geometry, 2, 3, cell, fraction);
    assert_int_equal(cell[0], 3);
    assert_true(fraction[0] == 0.5);
    assert_int_equal(cell[1], 5);
    assert_true(fraction[1] == 0.25);
    assert_int_equal(cell[2], 7);
    assert_true(fraction[2] == 0);
}

/* Stride a/b with v4: M = 1 + b·k tokens over G = 1 + a·k cells. */
static bool causal_at(ModelVersion version, int64_t a, int64_t b)
{
    Geometry geometry = {version, 1 + 60 * a, 1 + 60 * b};
    return geometry_causal(&geometry, NULL);
}

static void causal_strides(void **state)
{
    (void)state;
    assert_true(causal_at(MODEL_V4, 1, 1));
    assert_true(causal_at(MODEL_V4, 3, 2));
    assert_true(causal_at(MODEL_V4, 5, 3));
    assert_true(causal_at(MODEL_V4, 7, 4));
    assert_true(causal_at(MODEL_V4, 11, 6));
    assert_true(causal_at(MODEL_V4, 2, 1));
    assert_true(causal_at(MODEL_V4, 17, 7));
    assert_false(causal_at(MODEL_V4, 4, 3));
    assert_false(causal_at(MODEL_V4, 6, 5));
    assert_false(causal_at(MODEL_V4, 1, 2));
    assert_true(causal_at(MODEL_V3_5, 2, 1));
    assert_true(causal_at(MODEL_V3_5, 17, 7));
    static const int64_t never[][2] = {{1, 1}, {3, 2}, {5, 3}, {7, 4}, {4, 3}, {1, 2}};
    for (int i = 0; i < 6; i++) assert_false(causal_at(MODEL_V3_5, never[i][0], never[i][1]));
    Geometry single = v3_5(2, 1);
    assert_true(geometry_causal(&single, NULL));
}

static void first_pair_is_named(void **state)
{
    (void)state;
    Geometry geometry = v4(512, 514);
    int64_t first = -1;
    assert_false(geometry_causal(&geometry, &first));
    assert_int_equal(first, 511); /* tokens 511 and 512 share the last cell */
    assert_int_equal(geometry_check(&geometry), WF_ERROR_ARGUMENT);
    const char *message = wf_error_message();
    assert_non_null(strstr(message, "token 511"));
    assert_non_null(strstr(message, "token 512"));
    assert_non_null(strstr(message, "lower max_seq_len to 512"));
    assert_non_null(strstr(message, "allow_leaky_geometry"));
    geometry = v3_5(64, 64);
    assert_false(geometry_causal(&geometry, &first));
    assert_int_equal(first, 62);
    geometry = v3_5(1024, 256);
    assert_int_equal(geometry_check(&geometry), WF_OK);
}

/* The advised length is causal and no longer one is. */
static void advice_is_the_largest(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++)
        for (int64_t cells = 2; cells < 40; cells++)
            for (int64_t tokens = 1; tokens < 50; tokens++) {
                Geometry geometry = {(ModelVersion)version, cells, tokens};
                int64_t advised = geometry_causal_tokens(&geometry);
                assert_in_range(advised, 1, tokens);
                for (int64_t m = tokens; m >= advised; m--) {
                    Geometry trial = {(ModelVersion)version, cells, m};
                    assert_int_equal(geometry_causal(&trial, NULL), m == advised);
                }
                Geometry raised = {(ModelVersion)version, 2 * tokens > 2 ? 2 * tokens - 1 : 2,
                                   tokens};
                assert_true(geometry_causal(&raised, NULL));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_follow_the_specification),
        cmocka_unit_test(whole_cells_are_exact),
        cmocka_unit_test(clamping),
        cmocka_unit_test(reach_and_at),
        cmocka_unit_test(causal_strides),
        cmocka_unit_test(first_pair_is_named),
        cmocka_unit_test(advice_is_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
