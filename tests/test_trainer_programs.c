/* The programs of a trainer: the memory they need, AdamW against its formula, and their barriers.
 */
#include "tests/support.h"
#include "tests/train_fixture.h"

#include <limits.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- memory ---- */

static Backend counting;
static const Backend *counted;
static int allocations;

static wf_status count_buffer(Device *device, int64_t size, Buffer **out)
{
    allocations++;
    return counted->buffer_create(device, size, out);
}

static void refuse_what_does_not_fit(const char *precision)
{
    Fixture f = fixture_on_cpu(SETTINGS("version=4"), wf_trainer_params(.batch_size = 8));
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 8, .precision = precision);
    const wf_trainer_params *fewer = wf_trainer_params(.batch_size = 2, .precision = precision);
    MemoryPlan large, small;
    must(training_memory(f.device, f.model->config, params, &large));
    must(training_memory(f.device, f.model->config, fewer, &small));
    if (!precision) assert_true(large.parameters == sequence_bytes(&f.model->values));
    if (precision) assert_true(large.parameters > sequence_bytes(&f.model->values));
    assert_true(large.gradients == sequence_bytes(&f.model->values));
    assert_true(large.moments == 2 * large.gradients);
    assert_true(small.activations < large.activations);
    wf_trainer_destroy(f.trainer);

    Limits limits = f.device->limits;
    counted = f.device->backend;
    counting = *counted;
    counting.buffer_create = count_buffer;
    f.device->backend = &counting;
    allocations = 0;
    f.device->limits.total = small.total;
    assert_int_equal(wf_trainer_create(f.model, f.data, params, &f.trainer), WF_ERROR_MEMORY);
    assert_message("training needs ");
    assert_message("try batch size 2 instead of 8");
    f.device->limits.total = small.total - 1; /* the copies in 16 bits count */
    assert_int_equal(wf_trainer_create(f.model, f.data, fewer, &f.trainer), WF_ERROR_MEMORY);
    f.device->limits.total = 1000;
    assert_int_equal(wf_trainer_create(f.model, f.data, params, &f.trainer), WF_ERROR_MEMORY);
    assert_message("batch size 1 does not fit either");
    assert_int_equal(allocations, 0);
    assert_string_equal(wf_model_precision(f.model), "f32"); /* and can be used so */

    f.device->limits.total = small.total;
    must(wf_trainer_create(f.model, f.data, fewer, &f.trainer));
    assert_true(allocations > 0);
    must(wf_trainer_step(f.trainer, NULL));
    f.device->backend = counted;
    f.device->limits = limits;
    fixture_close(&f);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    refuse_what_does_not_fit(NULL);
    refuse_what_does_not_fit("bf16");
}

/* What the plan adds up is what is allocated. */
static int64_t allocated;

static wf_status add_buffer(Device *device, int64_t size, Buffer **out)
{
    allocated += size;
    return counted->buffer_create(device, size, out);
}

static void expect_planned(const wf_trainer_params *params)
{
    counted = fixture_cpu()->backend;
    counting = *counted;
    counting.buffer_create = add_buffer;
    fixture_cpu()->backend = &counting;
    allocated = 0;
    Fixture f = fixture_on_cpu(SETTINGS("version=4"), params);
    fixture_cpu()->backend = counted;
    MemoryPlan memory;
    must(training_memory(f.device, f.model->config, params, &memory));
    assert_int_equal(memory.total, allocated);
    fixture_close(&f);
}

static void memory_plan_is_what_is_allocated(void **state)
{
    (void)state;
    expect_planned(wf_trainer_params(.batch_size = 3));
    expect_planned(wf_trainer_params(.batch_size = 3, .precision = "bf16"));
}

/* Lets the process grow by this many bytes of addresses, or (0) as it could before. */
static bool limit_growth(rlim_t bytes)
{
    static struct rlimit before;
    unsigned long long pages;
    if (!bytes) return setrlimit(RLIMIT_AS, &before) == 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return false;
    bool read = fscanf(file, "%llu", &pages) == 1;
    fclose(file);
    if (!read || getrlimit(RLIMIT_AS, &before)) return false;
    struct rlimit now = before;
    now.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
    return setrlimit(RLIMIT_AS, &now) == 0;
}

/* A step may have 2^31 tokens, but only a batch of them is in memory; and a batch that does not fit
 * the device takes none of the host's either. */
static void accumulation_costs_no_memory(void **state)
{
    (void)state;
    Fixture f = fixture_on_cpu(SETTINGS("version=4"), wf_trainer_params(.batch_size = 1));
    wf_trainer *large = NULL, *wide = NULL;
    const int64_t most = INT32_MAX / 17;
    if (!limit_growth((rlim_t)512 << 20)) skip();
    wf_status accumulates = wf_trainer_create(
        f.model, f.data, wf_trainer_params(.batch_size = 1, .accumulation = most), &large);
    wf_status widens =
        wf_trainer_create(f.model, f.data, wf_trainer_params(.batch_size = most), &wide);
    assert_true(limit_growth(0));
    must(accumulates);
    wf_trainer_destroy(large);
    assert_int_equal(widens, WF_ERROR_MEMORY);
    assert_message("training needs ");
    fixture_close(&f);
}

/* A model whose parameters were laid out in several pages. */
static Fixture open_paged(const char *const *settings, const wf_trainer_params *params)
{
    Fixture f = {.device = fixture_cpu(), .data = fixture_data(700, 5)};
    wf_config *config = fixture_config(settings);
    int64_t largest = fixture_cpu()->limits.largest_allocation;
    fixture_cpu()->limits.largest_allocation = 8192;
    must(wf_model_create(f.device, config, 3, &f.model));
    fixture_cpu()->limits.largest_allocation = largest;
    must(wf_trainer_create(f.model, f.data, params, &f.trainer));
    wf_config_destroy(config);
    return f;
}

/* Without clipping the norm, whose order of summation follows the pages, has no influence. */
static void pages_do_not_change_bits(void **state)
{
    (void)state;
    const char *const *settings = SETTINGS("version=4", "dropout=0.1");
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 2, .clip = 0);
    Fixture one = fixture_on_cpu(settings, params), several = open_paged(settings, params);
    assert_int_equal(one.model->layout.n_pages, 1);
    assert_true(several.model->layout.n_pages > 2);
    for (int step = 0; step < 5; step++) {
        wf_step_stats a, b;
        must(wf_trainer_step(one.trainer, &a));
        must(wf_trainer_step(several.trainer, &b));
        assert_true(a.loss == b.loss);
        assert_true(fabs(a.gradient_norm - b.gradient_norm) <= 1e-6 * a.gradient_norm);
    }
    assert_same_training(one.trainer, several.trainer);
    fixture_close(&one);
    fixture_close(&several);
}

/* ---- AdamW ---- */

/* Random elements in [-1, 1] with the given scale, into a whole page. */
static double *fill_page(Sequence *sequence, Rng *rng, double offset, double scale)
{
    int64_t n = sequence->layout->page_elements[0];
    double *values = malloc((size_t)n * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)(offset + scale * (2 * rng_uniform(rng) - 1));
    must(device_write_doubles(&sequence->pages[0], 0, values, n));
    return values;
}

static void assert_page(const Sequence *sequence, const double *expected, double tolerance)
{
    int64_t n = sequence->layout->page_elements[0];
    double *values = malloc((size_t)n * sizeof *values);
    must(device_read_doubles(&sequence->pages[0], 0, values, n));
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(values[i] - expected[i]) <= tolerance * (1e-3 + fabs(expected[i])));
    free(values);
}

typedef struct Reference {
    double *value, *gradient, *first, *second;
} Reference;

/* Spec §6, one segment. Returns nothing: the arrays are updated. */
static void adamw_reference(Reference *r, const Segment *segment, double rate, double decay,
                            double shrink, int64_t step)
{
    for (int64_t i = segment->offset; i < segment->offset + segment->elements; i++) {
        double g = r->gradient[i] * shrink;
        r->first[i] = 0.9 * r->first[i] + 0.1 * g;
        r->second[i] = 0.95 * r->second[i] + 0.05 * g * g;
        double m = r->first[i] / (1 - pow(0.9, (double)step));
        double v = r->second[i] / (1 - pow(0.95, (double)step));
        r->value[i] -= rate * (m / (sqrt(v) + 1e-8) + decay * r->value[i]);
        r->gradient[i] = 0;
    }
}

static void adamw_equals_the_formula(wf_device *device, double clip, double tolerance)
{
    Fixture f = fixture_open(device, SETTINGS("version=4", "spectral_gate=true"),
                             wf_trainer_params(.qk_lr_mult = 2.5, .kernel_lr_mult = 7));
    Optimizer *optimizer = &f.trainer->programs.optimizer;
    const Layout *layout = &f.model->layout;
    assert_int_equal(layout->n_pages, 1);
    Rng rng = {.seed = 9};
    Reference r = {
        .value = fill_page(&f.model->values, &rng, 0, 1),
        .gradient = fill_page(&optimizer->gradients, &rng, 0, 1e-2),
        .first = fill_page(&optimizer->first, &rng, 0, 1e-2),
        .second = fill_page(&optimizer->second, &rng, 2e-4, 1e-4),
    };
    double norm2 = 0;
    for (int64_t i = 0; i < layout->page_elements[0]; i++) norm2 += r.gradient[i] * r.gradient[i];
    OptimizerStep step = {.step = 3, .learning_rate = 1e-2, .clip = clip, .decay = 0.1, .scale = 1};
    Tally *tally = &f.trainer->programs.accumulate.tally;
    TallyValues sums;
    must(tally_clear(tally));
    must(optimizer_load(optimizer, &step));
    must(optimizer_run(optimizer));
    must(tally_read(tally, &sums));
    assert_true(sums.all_finite);
    assert_true(fabs(sqrt(sums.norm2) - sqrt(norm2)) <= tolerance * sqrt(norm2));

    double shrink = clip > 0 && sqrt(norm2) > clip ? clip / sqrt(norm2) : 1;
    const double multiplier[] = {[GROUP_BASE] = 1, [GROUP_QK] = 2.5, [GROUP_KERNEL] = 7};
    int seen[GROUP_COUNT][2] = {{0}};
    for (int i = 0; i < f.model->parameters.count; i++) {
        const Parameter *parameter = &f.model->parameters.items[i];
        double decay = parameter->decays ? 0.1 : 0;
        adamw_reference(&r, &layout->segments[i], 1e-2 * multiplier[parameter->group], decay,
                        shrink, step.step);
        seen[parameter->group][parameter->decays]++;
    }
    assert_true(seen[GROUP_BASE][0] && seen[GROUP_BASE][1] && seen[GROUP_QK][1]);
    assert_true(seen[GROUP_KERNEL][0] && !seen[GROUP_KERNEL][1]);
    assert_page(&f.model->values, r.value, tolerance);
    assert_page(&optimizer->first, r.first, tolerance);
    assert_page(&optimizer->second, r.second, tolerance);
    for (int i = 0; i < f.model->parameters.count; i++) {
        float *gradient = malloc((size_t)layout->segments[i].elements * sizeof *gradient);
        must(sequence_read(&optimizer->gradients, i, gradient));
        for (int64_t k = 0; k < layout->segments[i].elements; k++) assert_true(gradient[k] == 0);
        free(gradient);
    }
    free(r.value);
    free(r.gradient);
    free(r.first);
    free(r.second);
    fixture_close(&f);
}

static void adamw(void **state)
{
    (void)state;
    wf_device *reference;
    must(backend_cpu64.open(0, &reference));
    const double clips[] = {0, 0.01, 1e3}; /* none, one that shrinks, one that is never reached */
    for (int i = 0; i < 3; i++) {
        adamw_equals_the_formula(fixture_cpu(), clips[i], 2e-5);
        adamw_equals_the_formula(reference, clips[i], 1e-12);
    }
    backend_cpu64.close(reference);
}

/* ---- hazards ---- */

static void every_barrier_is_needed(void **state)
{
    (void)state;
    const char *const *cases[] = {
        SETTINGS("version=4", "dropout=0.1"),
        SETTINGS("version=4", "spectral_gate=true", "cross_dim=false", "feature_map_depth=1"),
        SETTINGS("version=3.5", "field_size=50", "interference_interval=1")};
    for (int i = 0; i < 3; i++) {
        Fixture f = fixture_on_cpu(cases[i], wf_trainer_params(.batch_size = 2));
        assert_true(test_ordered(f.trainer->programs.accumulate.program, INT_MAX) > 1);
        assert_true(test_ordered(f.trainer->programs.evaluate.program, INT_MAX) > 1);
        assert_true(test_ordered(f.trainer->programs.optimizer.program, INT_MAX) > 1);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(memory_plan_is_what_is_allocated),
        cmocka_unit_test(accumulation_costs_no_memory),
        cmocka_unit_test(pages_do_not_change_bits),
        cmocka_unit_test(adamw),
        cmocka_unit_test_teardown(every_barrier_is_needed, test_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
