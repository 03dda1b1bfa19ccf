/* The field operator alone: against the definition summed in long double, its gradients against
 * finite differences, and what it refuses. */
#include "base/rng.h"
#include "check/check.h"
#include "check/outputs.h"
#include "operator/operator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Case {
    const char *name;
    wf_field_params params;
    double seed_damping; /* damping of the heads lies around it */
} Case;

static const Case cases[] = {
    {"smallest", {.batch = 1, .tokens = 1, .heads = 1, .width = 1, .cells = 2}, -1},
    {"stride 1", {.batch = 2, .tokens = 7, .heads = 3, .width = 5}, -1},
    {"stride 2", {.batch = 1, .tokens = 33, .heads = 2, .width = 3, .cells = 65}, -2},
    {"stride 5/2, chunks", {.batch = 2, .tokens = 149, .heads = 2, .width = 3, .cells = 371}, -2},
    {"stride 5/3", {.batch = 1, .tokens = 61, .heads = 2, .width = 2, .cells = 101}, -2},
    {"a part of the geometry",
     {.batch = 2, .tokens = 41, .max_tokens = 101, .heads = 1, .width = 7, .cells = 311},
     -3},
    {"far apart", {.batch = 1, .tokens = 13, .heads = 2, .width = 2, .cells = 1301}, -5},
    {"v3.5",
     {.batch = 2, .tokens = 29, .heads = 2, .width = 3, .cells = 97, .geometry = "3.5"},
     -1},
    {"dc",
     {.batch = 1, .tokens = 31, .heads = 3, .width = 2, .cells = 31, .kernel_norm = "dc"},
     -1},
    {"damping limit",
     {.batch = 1, .tokens = 19, .heads = 4, .width = 2, .cells = 57, .damping_limit = 1.5f},
     1.25},
    {"leaky v4",
     {.batch = 2, .tokens = 23, .heads = 2, .width = 3, .cells = 17, .allow_leaky_geometry = 1},
     -2},
    {"leaky v3.5",
     {.batch = 1,
      .tokens = 37,
      .heads = 2,
      .width = 2,
      .cells = 19,
      .geometry = "3.5",
      .allow_leaky_geometry = 1},
     -2},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The numbers of a case. n: u's elements, m: its heads. */
typedef struct Data {
    int64_t n, m;
    float *u, *dr, *frequency, *damping, *phase;
} Data;

static float *normal(Rng *rng, int64_t n, double mean, double spread)
{
    float *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = (float)(mean + spread * rng_normal(rng));
    return values;
}

static Data data_create(const Case *this)
{
    const wf_field_params *p = &this->params;
    Rng rng = {.seed = 5, .stream = (uint64_t)(this - cases)};
    Data data = {.n = p->batch * p->tokens * p->heads * p->width, .m = p->heads};
    data.u = normal(&rng, data.n, 0, 1);
    data.dr = normal(&rng, data.n, 0, 1);
    data.frequency = normal(&rng, data.m, 1, 0.5);
    data.damping = normal(&rng, data.m, this->seed_damping, 0.5);
    data.phase = normal(&rng, data.m, 0, 1);
    return data;
}

static void data_destroy(Data *data)
{
    free(data->u);
    free(data->dr);
    free(data->frequency);
    free(data->damping);
    free(data->phase);
}

/* ---- the definition ---- */

static int64_t tokens_of(const wf_field_params *p)
{
    return p->max_tokens ? p->max_tokens : p->tokens;
}

static int64_t cells_of(const wf_field_params *p)
{
    return p->cells ? p->cells : tokens_of(p);
}

/* p_i of spec §2; the stride is a fraction, so that no cell is missed by a rounding. */
static long double place(const wf_field_params *p, int64_t i)
{
    int64_t g = cells_of(p), m = tokens_of(p) > 1 ? tokens_of(p) - 1 : 1;
    bool old = p->geometry && !strcmp(p->geometry, "3.5");
    long double limit = (long double)(old ? g - 2 : g - 1);
    int64_t numerator = !old && g - 1 < m ? m : g - 1;
    long double at =
        (long double)(i * numerator / m) + (long double)(i * numerator % m) / (long double)m;
    return at < limit ? at : limit;
}

/* k[0 … G-1] of one head. */
static void kernel(const wf_field_params *p, const Data *data, int64_t h, long double *k)
{
    long double alpha = log1pl(expl((long double)data->damping[h])), sum = 0;
    if (p->damping_limit > 0 && alpha > (long double)p->damping_limit)
        alpha = (long double)p->damping_limit;
    bool dc = p->kernel_norm && !strcmp(p->kernel_norm, "dc");
    for (int64_t t = 0; t < cells_of(p); t++) {
        k[t] = expl(-alpha * t) *
               cosl((long double)data->frequency[h] * t + (long double)data->phase[h]);
        sum += dc ? k[t] : fabsl(k[t]);
    }
    long double norm = dc ? fmaxl(fabsl(2 * sum), 1e-8L) / 2 : fmaxl(sum, 1e-8L);
    for (int64_t t = 0; t < cells_of(p); t++) k[t] /= norm;
}

/* Scatter, propagate, gather, one channel at a time. */
static void define(const wf_field_params *p, const Data *data, double *r)
{
    int64_t g = cells_of(p), channels = p->heads * p->width;
    long double *k = malloc((size_t)g * sizeof *k), *x = malloc((size_t)g * sizeof *x);
    long double *y = malloc((size_t)g * sizeof *y);
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t c = 0; c < channels; c++) {
            kernel(p, data, c / p->width, k);
            for (int64_t i = 0; i < g; i++) x[i] = 0;
            for (int64_t i = 0; i < p->tokens; i++) {
                long double at = place(p, i), f = at - floorl(at);
                int64_t lo = (int64_t)at;
                long double u = (long double)data->u[(b * p->tokens + i) * channels + c];
                x[lo] += (1 - f) * u;
                if (f > 0) x[lo + 1] += f * u;
            }
            for (int64_t i = 0; i < g; i++) {
                y[i] = 0;
                for (int64_t t = 0; t <= i; t++) y[i] += k[t] * x[i - t];
            }
            for (int64_t i = 0; i < p->tokens; i++) {
                long double at = place(p, i), f = at - floorl(at);
                int64_t lo = (int64_t)at;
                long double value = (1 - f) * y[lo] + (f > 0 ? f * y[lo + 1] : 0);
                r[(b * p->tokens + i) * channels + c] = (double)value;
            }
        }
    free(k);
    free(x);
    free(y);
}

/* ---- running ---- */

static wf_device *open_float(void)
{
    wf_device *device = NULL;
    if (wf_device_open("cpu", &device)) fail_msg("%s", wf_error_message());
    return device;
}

static wf_device *open_double(void)
{
    Device *device = NULL;
    if (backend_cpu64.open(0, &device)) fail_msg("%s", wf_error_message());
    return device;
}

static bool is_leaky(const Case *this)
{
    return this->params.allow_leaky_geometry;
}

static wf_field *field_of(wf_device *device, const Case *this, const char *evaluator,
                          const Data *data)
{
    wf_field_params params = this->params;
    params.evaluator = evaluator;
    wf_field *field = NULL;
    if (wf_field_create(device, &params, &field))
        fail_msg("%s: %s", this->name, wf_error_message());
    assert_int_equal(wf_field_set_kernel(field, data->frequency, data->damping, data->phase),
                     WF_OK);
    return field;
}

static void expect_near(const char *what, const Case *this, const char *evaluator, const double *a,
                        const double *b, int64_t n, double bound)
{
    double error = relative_error(a, b, n);
    if (!(error <= bound))
        fail_msg("%s of %s by %s: error %.3g exceeds %.3g", what, this->name, evaluator, error,
                 bound);
}

static const char *const evaluators[] = {"auto", "scan", "fft", "direct"};

static bool serves(const char *evaluator, const Case *this)
{
    return strcmp(evaluator, "scan") != 0 || !is_leaky(this);
}

static void test_forward(void **state)
{
    (void)state;
    wf_device *device = open_float();
    for (int c = 0; c < CASES; c++) {
        Data data = data_create(&cases[c]);
        float *r = malloc((size_t)data.n * sizeof *r);
        double *found = malloc((size_t)data.n * sizeof *found);
        double *expected = malloc((size_t)data.n * sizeof *expected);
        define(&cases[c].params, &data, expected);
        for (int e = 0; e < 4; e++) {
            if (!serves(evaluators[e], &cases[c])) continue;
            wf_field *field = field_of(device, &cases[c], evaluators[e], &data);
            for (int replay = 0; replay < 2; replay++) {
                memset(r, 0xff, (size_t)data.n * sizeof *r);
                assert_int_equal(wf_field_forward(field, data.u, r), WF_OK);
            }
            for (int64_t i = 0; i < data.n; i++) found[i] = (double)r[i];
            expect_near("r", &cases[c], evaluators[e], found, expected, data.n,
                        check_bound(cells_of(&cases[c].params)));
            wf_field_destroy(field);
        }
        free(r);
        free(found);
        free(expected);
        data_destroy(&data);
    }
    wf_device_close(device);
}

/* One wrong element, by ten bounds, must be seen. */
static void test_forward_has_power(void **state)
{
    (void)state;
    double a[100], b[100];
    for (int i = 0; i < 100; i++) a[i] = b[i] = i % 2 ? 1 : -1;
    a[37] += 10 * check_bound(50);
    assert_true(relative_error(a, b, 100) > check_bound(50));
}

static wf_status forward_double(wf_field *field, double *r)
{
    TRY(field->device->backend->program_run(field->forward.program));
    return device_read_doubles(&field->regions[FIELD_R], 0, r, field_elements(field, FIELD_R));
}

static void test_forward_in_double(void **state)
{
    (void)state;
    wf_device *device = open_double();
    for (int c = 0; c < CASES; c++) {
        Data data = data_create(&cases[c]);
        double *found = malloc((size_t)data.n * sizeof *found);
        double *expected = malloc((size_t)data.n * sizeof *expected);
        define(&cases[c].params, &data, expected);
        for (int e = 0; e < 4; e++) {
            if (!serves(evaluators[e], &cases[c])) continue;
            wf_field *field = field_of(device, &cases[c], evaluators[e], &data);
            assert_int_equal(wf_field_forward(field, data.u, NULL), WF_OK);
            assert_int_equal(forward_double(field, found), WF_OK);
            expect_near("r", &cases[c], evaluators[e], found, expected, data.n, 1e-12);
            wf_field_destroy(field);
        }
        free(found);
        free(expected);
        data_destroy(&data);
    }
    wf_device_close(device);
}

/* ---- gradients ---- */

/* L = Σ dr·r with element `i` of `tensor` moved by `step`. */
static double moved_loss(wf_field *field, const Data *data, FieldTensor tensor, int64_t i,
                         double step)
{
    Region *region = &field->regions[tensor];
    int64_t at = i * (int64_t)sizeof(double);
    double value, moved, loss = 0;
    double *r = malloc((size_t)data->n * sizeof *r);
    assert_int_equal(device_read_doubles(region, at, &value, 1), WF_OK);
    moved = value + step;
    assert_int_equal(device_write_doubles(region, at, &moved, 1), WF_OK);
    assert_int_equal(forward_double(field, r), WF_OK);
    assert_int_equal(device_write_doubles(region, at, &value, 1), WF_OK);
    for (int64_t k = 0; k < data->n; k++) loss += (double)data->dr[k] * r[k];
    free(r);
    return loss;
}

/* Central differences. The step is small because a cell whose wave changes its sign within it is a
 * kink of the l1 norm. */
static double slope(wf_field *field, const Data *data, FieldTensor tensor, int64_t i)
{
    const double h = 1e-6;
    return (moved_loss(field, data, tensor, i, h) - moved_loss(field, data, tensor, i, -h)) /
           (2 * h);
}

static void check_gradient(wf_field *field, const Case *this, const char *evaluator,
                           const Data *data, FieldTensor tensor, FieldTensor gradient)
{
    int64_t n = field_elements(field, tensor), checked = n < 12 ? n : 12;
    double *all = malloc((size_t)n * sizeof *all), found[12], expected[12], squares = 0;
    assert_int_equal(device_read_doubles(&field->regions[gradient], 0, all, n), WF_OK);
    for (int64_t i = 0; i < n; i++) squares += all[i] * all[i];
    for (int64_t k = 0; k < checked; k++) {
        int64_t i = n > checked ? k * (n - 1) / (checked - 1) : k;
        found[k] = all[i];
        expected[k] = slope(field, data, tensor, i);
    }
    free(all);
    double scale = fmax(sqrt(squares / (double)n), 1e-3);
    for (int64_t k = 0; k < checked; k++)
        if (!(fabs(found[k] - expected[k]) <= 1e-6 * scale))
            fail_msg("gradient of tensor %d of %s by %s: %.12g, by differences %.12g", (int)tensor,
                     this->name, evaluator, found[k], expected[k]);
}

static void test_gradients_in_double(void **state)
{
    (void)state;
    wf_device *device = open_double();
    for (int c = 0; c < CASES; c++) {
        Data data = data_create(&cases[c]);
        for (int e = 1; e < 4; e++) {
            if (!serves(evaluators[e], &cases[c])) continue;
            wf_field *field = field_of(device, &cases[c], evaluators[e], &data);
            assert_int_equal(wf_field_forward(field, data.u, NULL), WF_OK);
            for (int replay = 0; replay < 2; replay++) /* nothing may pile up */
                assert_int_equal(wf_field_backward(field, data.dr, NULL, NULL, NULL, NULL), WF_OK);
            for (int t = 0; t < 4; t++)
                check_gradient(field, &cases[c], evaluators[e], &data, (FieldTensor)(FIELD_U + t),
                               (FieldTensor)(FIELD_D_U + t));
            wf_field_destroy(field);
        }
        data_destroy(&data);
    }
    wf_device_close(device);
}

enum { RESULTS = 5 };

typedef struct Results {
    double *values[RESULTS]; /* r; gradients of u, frequency, damping, phase */
} Results;

static Results results_of(wf_device *device, const Case *this, const char *evaluator,
                          const Data *data)
{
    Results results;
    float *floats[RESULTS];
    wf_field *field = field_of(device, this, evaluator, data);
    for (int t = 0; t < RESULTS; t++) {
        int64_t n = t < 2 ? data->n : data->m;
        floats[t] = malloc((size_t)n * sizeof(float));
        results.values[t] = malloc((size_t)n * sizeof(double));
    }
    assert_int_equal(wf_field_forward(field, data->u, floats[0]), WF_OK);
    assert_int_equal(wf_field_backward(field, data->dr, floats[1], floats[2], floats[3], floats[4]),
                     WF_OK);
    for (int t = 0; t < RESULTS; t++) {
        for (int64_t i = 0; i < (t < 2 ? data->n : data->m); i++)
            results.values[t][i] = (double)floats[t][i];
        free(floats[t]);
    }
    wf_field_destroy(field);
    return results;
}

static void results_free(Results *results)
{
    for (int t = 0; t < RESULTS; t++) free(results->values[t]);
}

/* Terms that one element sums: of r and u's gradient over cells, of a parameter's over all deposits
 * and cells. */
static int64_t reduction_of(const wf_field_params *p, int result)
{
    int64_t cells = cells_of(p);
    return result < 2 ? cells : p->batch * p->tokens * p->width * cells;
}

/* r and all gradients against the double device; false where this device cannot. */
static bool agrees(wf_device *device, wf_device *reference, const Case *this, const char *evaluator)
{
    static const char *const names[] = {"r", "du", "dfrequency", "ddamping", "dphase"};
    wf_field_params params = this->params;
    wf_field *field;
    params.evaluator = evaluator;
    wf_status status = wf_field_create(device, &params, &field);
    if (status == WF_ERROR_UNSUPPORTED) return false;
    if (status) fail_msg("%s: %s", this->name, wf_error_message());
    wf_field_destroy(field);

    Data data = data_create(this);
    Results expected = results_of(reference, this, "direct", &data);
    Results found = results_of(device, this, evaluator, &data);
    for (int t = 0; t < RESULTS; t++)
        expect_near(names[t], this, evaluator, found.values[t], expected.values[t],
                    t < 2 ? data.n : data.m, check_bound(reduction_of(&this->params, t)));
    results_free(&found);
    results_free(&expected);
    data_destroy(&data);
    return true;
}

static void test_gradients_in_float(void **state)
{
    (void)state;
    wf_device *device = open_float(), *reference = open_double();
    for (int c = 0; c < CASES; c++)
        for (int e = 0; e < 4; e++)
            if (serves(evaluators[e], &cases[c]))
                assert_true(agrees(device, reference, &cases[c], evaluators[e]));
    wf_device_close(device);
    wf_device_close(reference);
}

/* The scan everywhere; of the transforms, whose plans some drivers take a second to make, one. */
static void test_every_other_device(void **state)
{
    (void)state;
    enum { MANY = 16 };
    wf_device_info infos[MANY];
    int count;
    wf_device *reference = open_double();
    assert_int_equal(wf_device_list(infos, MANY, &count), WF_OK);
    for (int i = 0; i < count && i < MANY; i++) {
        if (infos[i].kind == WF_DEVICE_CPU) continue;
        wf_device *device;
        if (wf_device_open(infos[i].id, &device)) fail_msg("%s", wf_error_message());
        int agreed = 0;
        for (int c = 0; c < CASES; c++)
            if (!is_leaky(&cases[c])) agreed += agrees(device, reference, &cases[c], "scan");
        agreed += agrees(device, reference, &cases[3], "fft");
        print_message("%s: %d cases\n", infos[i].id, agreed);
        wf_device_close(device);
    }
    wf_device_close(reference);
}

/* ---- what is refused ---- */

static void expect_refused(wf_device *device, const wf_field_params *params, wf_status status,
                           const char *word)
{
    wf_field *field = NULL;
    assert_int_equal(wf_field_create(device, params, &field), status);
    if (!strstr(wf_error_message(), word))
        fail_msg("\"%s\" does not name \"%s\"", wf_error_message(), word);
    assert_null(field);
}

static void test_leaky_geometries(void **state)
{
    (void)state;
    wf_device *device = open_float();
    /* A stride of 4/3: token 1 at 4/3 reads cell 2, which token 2 at 8/3 writes. */
    wf_field_params params = {.batch = 1, .tokens = 4, .heads = 1, .width = 1, .cells = 5};
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "token 1");
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "token 2");
    params.evaluator = "direct";
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "leak");
    params.evaluator = "scan";
    params.allow_leaky_geometry = 1;
    expect_refused(device, &params, WF_ERROR_UNSUPPORTED, "causal");
    wf_device_close(device);
}

static void test_bad_parameters(void **state)
{
    (void)state;
    wf_device *device = open_float();
    const wf_field_params good = {.batch = 1, .tokens = 4, .heads = 1, .width = 1};
    const struct {
        size_t offset;
        int64_t value;
        const char *word;
    } sizes[] = {
        {offsetof(wf_field_params, batch), 0, "batch"},
        {offsetof(wf_field_params, tokens), -1, "tokens"},
        {offsetof(wf_field_params, heads), 0, "heads"},
        {offsetof(wf_field_params, width), -5, "width"},
        {offsetof(wf_field_params, cells), 1, "cells"},
        {offsetof(wf_field_params, cells), INT64_MAX, "cells"},
        {offsetof(wf_field_params, max_tokens), 3, "max_tokens"},
        {offsetof(wf_field_params, max_tokens), INT64_MAX, "max_tokens"},
        {offsetof(wf_field_params, width), INT64_MAX, "width"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wf_field_params params = good;
        memcpy((char *)&params + sizes[i].offset, &sizes[i].value, sizeof(int64_t));
        expect_refused(device, &params, WF_ERROR_ARGUMENT, sizes[i].word);
    }
    wf_field_params params = good;
    params.batch = params.heads = params.width = GEOMETRY_MAX;
    expect_refused(device, &params, WF_ERROR_MEMORY, "memory");
    params = good;
    params.evaluator = "fourier";
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "auto, scan, fft, direct");
    params = good;
    params.geometry = "5";
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "geometry");
    params = good;
    params.kernel_norm = "l2";
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "kernel_norm");
    params = good;
    params.damping_limit = NAN;
    expect_refused(device, &params, WF_ERROR_ARGUMENT, "damping_limit");
    expect_refused(NULL, &good, WF_ERROR_ARGUMENT, "device");
    wf_field_destroy(NULL);
    wf_device_close(device);
}

static void test_order_of_calls(void **state)
{
    (void)state;
    wf_device *device = open_float();
    wf_field *field;
    float u[3] = {1, 2, 3}, r[3];
    const float one = 1, nan = NAN;
    assert_int_equal(
        wf_field_create(device, wf_field_params(.batch = 1, .tokens = 3, .heads = 1, .width = 1),
                        &field),
        WF_OK);
    assert_int_equal(wf_field_forward(field, u, r), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_field_set_kernel(field, &one, &nan, &one), WF_ERROR_NUMERIC);
    assert_non_null(strstr(wf_error_message(), "damping of head 0"));
    assert_int_equal(wf_field_set_kernel(field, &one, NULL, &one), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_field_forward(field, u, r), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_field_set_kernel(field, &one, &one, &one), WF_OK);
    assert_int_equal(wf_field_backward(field, u, r, NULL, NULL, NULL), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_field_forward(field, NULL, r), WF_ERROR_ARGUMENT);
    assert_int_equal(wf_field_forward(field, u, r), WF_OK);
    assert_int_equal(wf_field_backward(field, u, r, NULL, NULL, NULL), WF_OK);
    /* What a forward pass left belongs to its kernel. */
    assert_int_equal(wf_field_set_kernel(field, &one, &one, &one), WF_OK);
    assert_int_equal(wf_field_backward(field, u, r, NULL, NULL, NULL), WF_ERROR_ARGUMENT);
    wf_field_destroy(field);
    wf_device_close(device);
}

/* Token j moves no r before it, not by a bit, and two operators do not disturb each other. */
static void test_causality(void **state)
{
    (void)state;
    wf_device *device = open_float();
    const Case *this = &cases[3];
    Data data = data_create(this);
    const char *const exact[] = {"scan", "direct"};
    int64_t row = this->params.heads * this->params.width, j = 70;
    float *before = malloc((size_t)data.n * sizeof *before);
    float *after = malloc((size_t)data.n * sizeof *after);
    for (int e = 0; e < 2; e++) {
        wf_field *a = field_of(device, this, exact[e], &data);
        wf_field *b = field_of(device, this, exact[e], &data);
        assert_int_equal(wf_field_forward(a, data.u, before), WF_OK);
        float kept = data.u[j * row];
        data.u[j * row] = kept + 1;
        assert_int_equal(wf_field_forward(b, data.u, after), WF_OK);
        data.u[j * row] = kept;
        assert_memory_equal(before, after, (size_t)(j * row) * sizeof *before);
        assert_true(before[j * row] != after[j * row]);
        assert_int_equal(wf_field_forward(a, data.u, after), WF_OK);
        assert_memory_equal(before, after, (size_t)data.n * sizeof *before);
        wf_field_destroy(a);
        wf_field_destroy(b);
    }
    free(before);
    free(after);
    data_destroy(&data);
    wf_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_forward_has_power),
        cmocka_unit_test(test_forward_in_double),
        cmocka_unit_test(test_gradients_in_double),
        cmocka_unit_test(test_gradients_in_float),
        cmocka_unit_test(test_every_other_device),
        cmocka_unit_test(test_leaky_geometries),
        cmocka_unit_test(test_bad_parameters),
        cmocka_unit_test(test_order_of_calls),
        cmocka_unit_test(test_causality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
