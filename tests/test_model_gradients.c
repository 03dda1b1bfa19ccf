/* Gradients of whole models: every parameter tensor of both versions under every switch, in double,
 * against differences of the loss; and in float, by every evaluator, against those in double.
 *
 * Parameters are random, so that no gate stands at zero and no feature map at the identity. The
 * difference is the fourth-order central one; where a step happens to cross a kink of a ReLU or of
 * |k|, a smaller one does not, so the best of a few steps counts. */
#include "check/check.h"

#include "tests/train_fixture.h"

#include <math.h>

enum { BATCH = 2, MAX_SETTINGS = 10, SINGLES = 3 };

typedef struct Case {
    const char *name, *evaluator;
    int64_t tokens;
    const char *settings[MAX_SETTINGS];
} Case;

static const Case cases[] = {
    {"v4", "scan", 8, {"version=4"}},
    {"v4 direct", "direct", 8, {"version=4"}},
    {"v4 dc", "scan", 8, {"version=4", "kernel_norm=dc"}},
    {"v4 dc direct", "direct", 8, {"version=4", "kernel_norm=dc"}},
    {"v4 feature maps of depth 1", "scan", 8, {"version=4", "feature_map_depth=1"}},
    {"v4 without cross_dim", "scan", 8, {"version=4", "cross_dim=false"}},
    {"v4 gated", "direct", 8, {"version=4", "spectral_gate=true"}},
    {"v4 gated, plain",
     "direct",
     5,
     {"version=4", "spectral_gate=true", "kernel_norm=dc", "feature_map_depth=1", "cross_dim=false",
      "interference_interval=0"}},
    {"v4 interference everywhere", "scan", 8, {"version=4", "interference_interval=1"}},
    {"v4 without interference", "scan", 8, {"version=4", "interference_interval=0"}},
    {"v4 dropout", "scan", 8, {"version=4", "dropout=0.3", "interference_interval=1"}},
    {"v4 odd widths", "scan", 7, {"version=4", "embedding_dim=15", "ffn_dim=7"}},
    {"v4 one head", "scan", 8, {"version=4", "num_heads=1"}},
    {"v4 heads of one", "scan", 8, {"version=4", "embedding_dim=5", "num_heads=5"}},
    {"v4 stride 5/2", "scan", 9, {"version=4", "max_seq_len=9", "field_size=21"}},
    {"v4 stride 5/3", "direct", 10, {"version=4", "max_seq_len=10", "field_size=16"}},
    {"v4 stride 5/3 scan", "scan", 10, {"version=4", "max_seq_len=10", "field_size=16"}},
    {"v4 stride 1", "scan", 9, {"version=4", "max_seq_len=9", "field_size=9"}},
    {"v4 far apart", "scan", 6, {"version=4", "max_seq_len=6", "field_size=1009"}},
    {"v4 part of the field", "direct", 3, {"version=4"}},
    {"v4 leaking",
     "direct",
     11,
     {"version=4", "max_seq_len=11", "field_size=8", "allow_leaky_geometry=true"}},
    {"v4 two chunks", "scan", 70, {"version=4", "max_seq_len=71", "field_size=176"}},
    {"v4 one token", "scan", 1, {"version=4", "interference_interval=1"}},
    {"v4 residual scale", "scan", 8, {"version=4", "residual_scale=true"}},
    {"v4 attention", "scan", 8, {"version=4", "mixer=attention"}},
    {"v4 attention without interference",
     "scan",
     8,
     {"version=4", "mixer=attention", "interference_interval=0", "residual_scale=true"}},
    {"v4 attention dropout", "scan", 8, {"version=4", "mixer=attention", "dropout=0.3"}},
    {"v4 attention two blocks", "scan", 70, {"version=4", "mixer=attention", "max_seq_len=71"}},
    {"v4 attention, heads of one",
     "scan",
     8,
     {"version=4", "mixer=attention", "embedding_dim=5", "num_heads=5"}},
    {"v4 hybrid", "scan", 8, {"version=4", "mixer=wave,attention"}},
    {"v4 gated hybrid", "direct", 8, {"version=4", "mixer=attention,wave", "spectral_gate=true"}},
    {"v3.5 attention", "scan", 8, {"version=3.5", "mixer=attention"}},
    {"v3.5 hybrid", "scan", 8, {"version=3.5", "field_size=50", "mixer=attention,wave"}},
    {"v3.5", "scan", 8, {"version=3.5", "field_size=50"}},
    {"v3.5 direct", "direct", 8, {"version=3.5", "field_size=50"}},
    {"v3.5 dropout",
     "scan",
     8,
     {"version=3.5", "field_size=50", "dropout=0.3", "interference_interval=1"}},
    {"v3.5 odd widths",
     "scan",
     8,
     {"version=3.5", "embedding_dim=15", "field_size=33", "interference_interval=0"}},
    {"v3.5 far apart", "scan", 6, {"version=3.5", "max_seq_len=6", "field_size=701"}},
    {"v3.5 leaking",
     "direct",
     9,
     {"version=3.5", "max_seq_len=9", "field_size=9", "allow_leaky_geometry=true"}},
    {"v3.5 two chunks", "scan", 66, {"version=3.5", "max_seq_len=66", "field_size=200"}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* A model with one batch loaded, and the pass that gives its loss and gradients. */
typedef struct Subject {
    wf_model *model;
    Sequence gradients;
    Pass pass;
    double targets;
} Subject;

/* ---- a subject ---- */

/* Larger than the initial values in every direction, and the same on every device. */
static void randomise(wf_model *model)
{
    for (int i = 0; i < model->parameters.count; i++) {
        const Parameter *parameter = &model->parameters.items[i];
        int64_t n = shape_elements(parameter->shape);
        bool matrix = parameter->shape.rank >= 2;
        double scale = matrix ? 0.7 / sqrt((double)shape_width(parameter->shape)) : 0.2;
        Rng rng = {.seed = 11, .stream = (uint64_t)i};
        float *values = malloc((size_t)n * sizeof *values);
        assert_non_null(values);
        must(sequence_read(&model->values, i, values));
        for (int64_t k = 0; k < n; k++) values[k] += (float)(scale * rng_normal(&rng));
        must(sequence_write(&model->values, i, values));
        free(values);
    }
}

/* Random tokens; one target in five does not count. */
static void load_batch(Subject *s, int64_t tokens)
{
    int32_t token[BATCH * 128], target[BATCH * 128], order[BATCH * 128];
    int64_t n = BATCH * tokens;
    assert_true(n <= BATCH * 128);
    Rng rng = {.seed = 21};
    for (int64_t i = 0; i < n; i++) {
        bool counts = i == 0 || rng_below(&rng, 5) > 0;
        token[i] = (int32_t)rng_below(&rng, FIXTURE_VOCABULARY);
        target[i] = counts ? (int32_t)rng_below(&rng, FIXTURE_VOCABULARY) : TARGET_NONE;
        s->targets += counts;
    }
    must(token_order(token, n, FIXTURE_VOCABULARY, order));
    PassBatch batch = {token, target, order, {3, 4}, 1 / s->targets};
    must(pass_load(&s->pass, &batch));
}

static wf_config *case_config(const Case *c)
{
    wf_config *config = fixture_config(c->settings);
    assert_true(c->settings[MAX_SETTINGS - 1] == NULL);
    return config;
}

static Subject *subject_create(wf_device *device, const Case *c, const char *evaluator)
{
    Subject *s = calloc(1, sizeof *s);
    assert_non_null(s);
    wf_config *config = case_config(c);
    PassParams params = {.batch = BATCH, .tokens = c->tokens, .gradients = &s->gradients};
    must(model_evaluator(config, evaluator, &params.evaluator));
    must(wf_model_create(device, config, 7, &s->model));
    wf_config_destroy(config);
    randomise(s->model);
    must(sequence_create(&s->model->layout, &device->limits, DTYPE_REAL, "gradients",
                         &s->gradients));
    must(pass_plan(&s->pass, s->model, &params));
    must(sequence_allocate(&s->gradients, device));
    must(pass_allocate(&s->pass, s->model));
    load_batch(s, c->tokens);
    return s;
}

static void subject_destroy(Subject *s)
{
    pass_destroy(&s->pass);
    sequence_destroy(&s->gradients);
    wf_model_destroy(s->model);
    free(s);
}

/* Mean loss; gradients are added up. */
static double loss_of(Subject *s)
{
    TallyValues sum;
    must(tally_clear(&s->pass.tally));
    must(pass_run(&s->pass));
    must(tally_read(&s->pass.tally, &sum));
    return sum.loss / s->targets;
}

static Region *page_of(const Sequence *sequence, int parameter, int64_t *offset)
{
    *offset = sequence_offset(sequence, parameter);
    return &sequence->pages[sequence->layout->segments[parameter].page];
}

static double *read_tensor(const Sequence *sequence, int parameter)
{
    int64_t offset, n = sequence->layout->segments[parameter].elements;
    const Region *page = page_of(sequence, parameter, &offset);
    double *values = malloc((size_t)n * sizeof *values);
    assert_non_null(values);
    must(device_read_doubles(page, offset, values, n));
    return values;
}

/* The gradients of the subject as it stands. */
static void find_gradients(Subject *s)
{
    for (int page = 0; page < s->gradients.layout->n_pages; page++)
        must(device_clear(&s->gradients.pages[page]));
    loss_of(s);
}

/* ---- differences ---- */

/* The derivative of the loss along `direction` in one parameter tensor, whose values are `at`. */
static double difference(Subject *s, int parameter, const double *at, const double *direction,
                         double step)
{
    static const double place[] = {-2, -1, 1, 2}, weight[] = {1, -8, 8, -1};
    int64_t offset, n = s->gradients.layout->segments[parameter].elements;
    Region *page = page_of(&s->model->values, parameter, &offset);
    double *moved = malloc((size_t)n * sizeof *moved), sum = 0;
    assert_non_null(moved);
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < n; i++) moved[i] = at[i] + place[k] * step * direction[i];
        must(device_write_doubles(page, offset, moved, n));
        sum += weight[k] * loss_of(s);
    }
    must(device_write_doubles(page, offset, at, n));
    free(moved);
    return sum / (12 * step);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Error of `exact` against differences, relative to it or to `scale`, whichever is larger; of the
 * best step. Rounding of the loss leaves an error of about 1e-16 / step. A long kernel of the l1
 * norm bends wherever one of its cells changes sign, so that its differences want small steps. */
static double error_along(Subject *s, int parameter, const double *at, const double *direction,
                          double exact, double scale)
{
    static const double steps[] = {1e-3, 2e-4, 4e-5, 8e-6, 1.6e-6, 3.2e-7, 6.4e-8};
    enum { STEPS = sizeof steps / sizeof *steps };
    double best = INFINITY;
    for (int i = 0; i < STEPS && best > 1e-6; i++) {
        double found = difference(s, parameter, at, direction, steps[i]);
        double error = fabs(found - exact) / fmax(fmax(fabs(exact), scale), 1e-5);
        best = fmin(best, error);
    }
    return best;
}

/* Largest error of one tensor: along a random direction, and in single elements, the one of the
 * largest gradient among them. */
static double check_tensor(Subject *s, int parameter)
{
    int64_t n = s->gradients.layout->segments[parameter].elements, largest = 0;
    double *at = read_tensor(&s->model->values, parameter);
    double *gradient = read_tensor(&s->gradients, parameter);
    double *direction = calloc((size_t)n, sizeof *direction);
    double norm = sqrt(dot(gradient, gradient, n));
    Rng rng = {.seed = 31, .stream = (uint64_t)parameter};
    for (int64_t i = 0; i < n; i++) {
        direction[i] = rng_normal(&rng);
        if (fabs(gradient[i]) > fabs(gradient[largest])) largest = i;
    }
    double worst = error_along(s, parameter, at, direction, dot(gradient, direction, n), norm);
    for (int k = 0; k < SINGLES; k++) {
        int64_t i = k == 0 ? largest : (int64_t)rng_below(&rng, (uint64_t)n);
        memset(direction, 0, (size_t)n * sizeof *direction);
        direction[i] = 1;
        double error =
            error_along(s, parameter, at, direction, gradient[i], norm / sqrt((double)n));
        worst = fmax(worst, error);
    }
    free(at);
    free(gradient);
    free(direction);
    return worst;
}

/* Parameters without influence on the loss: the norm that checkpoints have and nothing uses, the
 * coupling of one head with itself, and what a field with a single token does not show. */
static bool may_be_idle(const Config *config, int64_t tokens, const char *name)
{
    if (strstr(name, "interference_modules.") && strstr(name, ".norm.")) return true;
    if (config->num_heads == 1 && strstr(name, ".field_coupling")) return true;
    return tokens == 1 && (strstr(name, ".wave_frequency") || strstr(name, ".wave_damping"));
}

static double length_of(const Sequence *sequence, int parameter)
{
    double *values = read_tensor(sequence, parameter);
    int64_t n = sequence->layout->segments[parameter].elements;
    double length = sqrt(dot(values, values, n));
    free(values);
    return length;
}

static wf_device *reference(void)
{
    static wf_device *device;
    if (!device) must(backend_cpu64.open(0, &device));
    return device;
}

static void gradients_equal_differences(void **state)
{
    (void)state;
    int failures = 0, tensors = 0;
    double worst = 0;
    for (int i = 0; i < CASES; i++) {
        Subject *s = subject_create(reference(), &cases[i], cases[i].evaluator);
        find_gradients(s);
        Sequence gradients = s->gradients;
        for (int p = 0; p < s->model->parameters.count; p++) {
            const char *name = s->model->parameters.items[p].name;
            double error = check_tensor(s, p);
            bool idle = length_of(&gradients, p) == 0 &&
                        !may_be_idle(s->model->config, cases[i].tokens, name);
            find_gradients(s);
            worst = fmax(worst, error);
            tensors++;
            if (error <= 1e-6 && !idle) continue;
            failures++;
            printf("%s: %s: error %.2g%s\n", cases[i].name, name, error, idle ? ", idle" : "");
        }
        subject_destroy(s);
    }
    printf("%d tensors of %d models, largest error %.2g\n", tensors, CASES, worst);
    assert_int_equal(failures, 0);
}

/* The comparison itself: a gradient off by one part in 10⁵ does not pass. */
static void a_wrong_gradient_is_seen(void **state)
{
    (void)state;
    Subject *s = subject_create(reference(), &cases[0], cases[0].evaluator);
    for (int p = 0; p < s->model->parameters.count; p++) {
        const char *name = s->model->parameters.items[p].name;
        if (may_be_idle(s->model->config, cases[0].tokens, name)) continue;
        find_gradients(s);
        int64_t n = s->gradients.layout->segments[p].elements;
        double *at = read_tensor(&s->model->values, p);
        double *gradient = read_tensor(&s->gradients, p);
        double exact = dot(gradient, gradient, n);
        double scale = sqrt(exact);
        for (int64_t k = 0; k < n; k++) gradient[k] /= scale; /* a direction of length 1 */
        assert_true(error_along(s, p, at, gradient, scale, 0) <= 1e-6);
        assert_true(error_along(s, p, at, gradient, scale * (1 + 1e-5), 0) > 1e-6);
        free(at);
        free(gradient);
    }
    subject_destroy(s);
}

/* A clamped damping has no gradient, and the loss does not depend on it (spec §2). */
static void clamped_damping_has_no_gradient(void **state)
{
    (void)state;
    Subject *s = subject_create(reference(), &cases[0], "scan");
    int p = parameters_find(&s->model->parameters, "layers.0.attention.wave_damping");
    float damping[3];
    must(sequence_read(&s->model->values, p, damping));
    damping[1] = 3; /* softplus(3) = 3.05 > 1.5 */
    must(sequence_write(&s->model->values, p, damping));
    double loss = loss_of(s);
    find_gradients(s);
    double *gradient = read_tensor(&s->gradients, p);
    assert_true(gradient[0] != 0 && gradient[1] == 0 && gradient[2] != 0);
    assert_true(check_tensor(s, p) <= 1e-6);
    damping[1] = 5;
    must(sequence_write(&s->model->values, p, damping));
    assert_true(loss_of(s) == loss);
    free(gradient);
    subject_destroy(s);
}

/* ---- float against double ---- */

/* Root of the mean square of all gradients. */
static double typical_gradient(const Subject *s)
{
    double sum = 0;
    for (int p = 0; p < s->model->parameters.count; p++) sum += pow(length_of(&s->gradients, p), 2);
    return sqrt(sum / (double)parameters_elements(&s->model->parameters));
}

/* Root mean square of a - b in one tensor, relative to that of b, or to `typical` where b is small
 * because much cancels in it. */
static double distance(const Subject *a, const Subject *b, int parameter, double typical)
{
    double *x = read_tensor(&a->gradients, parameter), *y = read_tensor(&b->gradients, parameter);
    int64_t n = a->gradients.layout->segments[parameter].elements;
    double scale = fmax(sqrt(dot(y, y, n) / (double)n), typical);
    for (int64_t i = 0; i < n; i++) x[i] -= y[i];
    double error = sqrt(dot(x, x, n) / (double)n);
    free(x);
    free(y);
    return error / scale;
}

static void float_equals_double(void **state)
{
    (void)state;
    static const char *const evaluators[] = {"scan", "fft", "direct"};
    wf_device *device;
    must(wf_device_open("cpu", &device));
    double worst = 0;
    int runs = 0, failures = 0;
    for (int i = 0; i < CASES; i++) {
        Subject *exact = subject_create(reference(), &cases[i], cases[i].evaluator);
        find_gradients(exact);
        double typical = typical_gradient(exact);
        double bound = check_bound(parameters_elements(&exact->model->parameters));
        for (int e = 0; e < 3; e++) {
            FieldEvaluator allowed;
            if (model_evaluator(exact->model->config, evaluators[e], &allowed)) continue;
            Subject *s = subject_create(device, &cases[i], evaluators[e]);
            find_gradients(s);
            for (int p = 0; p < s->model->parameters.count; p++) {
                double error = distance(s, exact, p, typical);
                worst = fmax(worst, error);
                if (error <= bound) continue;
                failures++;
                printf("%s: %s: %s: off by %.2g, bound %.2g\n", cases[i].name, evaluators[e],
                       s->model->parameters.items[p].name, error, bound);
            }
            subject_destroy(s);
            runs++;
        }
        subject_destroy(exact);
    }
    printf("%d runs in float, largest distance %.2g\n", runs, worst);
    assert_int_equal(failures, 0);
    wf_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_differences),
        cmocka_unit_test(a_wrong_gradient_is_seen),
        cmocka_unit_test(clamped_damping_has_no_gradient),
        cmocka_unit_test(float_equals_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
