/* Training that computes activations again: the same bits as training that keeps them, for every
 * kind of model and evaluator, in less memory. */
#include "graph/hazards.h"
#include "train/programs.h"

#include "tests/train_fixture.h"

/* A value that no element of a tensor has before its node has run. */
static void poison(wf_trainer *trainer)
{
    const Plan *plan = trainer->programs.accumulate.plan;
    for (int s = plan->n_external; s < plan->n_slabs; s++) must(device_poison(plan->slabs[s]));
}

static void assert_same_run(const char *const *settings, const char *evaluator)
{
    enum { STEPS = 4 };
    const wf_trainer_params *kept =
        wf_trainer_params(.batch_size = 3, .accumulation = 2, .evaluator = evaluator);
    const wf_trainer_params *recomputed =
        wf_trainer_params(.batch_size = 3, .accumulation = 2, .evaluator = evaluator,
                          .recompute = true);
    Fixture a = fixture_open(fixture_cpu(), settings, kept),
            b = fixture_open(fixture_cpu(), settings, recomputed);
    assert_true(b.trainer->programs.accumulate.graph->n_nodes >
                a.trainer->programs.accumulate.graph->n_nodes);
    assert_int_equal(b.trainer->programs.evaluate.graph->n_nodes,
                     a.trainer->programs.evaluate.graph->n_nodes);
    for (int step = 0; step < STEPS; step++) {
        wf_step_stats x, y;
        poison(b.trainer);
        must(wf_trainer_step(a.trainer, &x));
        must(wf_trainer_step(b.trainer, &y));
        assert_memory_equal(&x, &y, sizeof x);
        assert_true(x.gradient_norm > 0);
    }
    assert_same_training(a.trainer, b.trainer); /* the first moments hold every gradient */
    const Pass *pass = &b.trainer->programs.accumulate;
    must(hazards_check(fixture_cpu()->backend->program_commands(pass->program), pass->plan));
    fixture_close(&a);
    fixture_close(&b);
}

static void version_4(void **state)
{
    (void)state;
    const char *const evaluators[] = {"scan", "fft", "direct"};
    for (int i = 0; i < 3; i++) {
        assert_same_run(SETTINGS("version=4", "dropout=0.1"), evaluators[i]);
        assert_same_run(SETTINGS("version=4", "num_layers=3", "interference_interval=1"),
                        evaluators[i]);
    }
    assert_same_run(SETTINGS("version=4", "dropout=0.3", "feature_map_depth=1", "cross_dim=false",
                             "interference_interval=0"),
                    "scan");
}

static void version_35(void **state)
{
    (void)state;
    const char *const evaluators[] = {"scan", "fft", "direct"};
    for (int i = 0; i < 3; i++)
        assert_same_run(SETTINGS("version=3.5", "field_size=50", "dropout=0.2"), evaluators[i]);
}

static void softmax_attention(void **state)
{
    (void)state;
    assert_same_run(SETTINGS("version=4", "dropout=0.1", "mixer=attention"), "auto");
    assert_same_run(SETTINGS("version=4", "dropout=0.1", "mixer=wave,attention"), "scan");
}

static void spectral_gate(void **state)
{
    (void)state;
    const char *const *settings = SETTINGS("version=4", "spectral_gate=true", "dropout=0.1");
    assert_same_run(settings, "fft");
    assert_same_run(settings, "direct");
}

static int64_t activations(const char *const *settings, bool recompute)
{
    MemoryPlan memory;
    wf_config *config = fixture_config(settings);
    must(training_memory(fixture_cpu(), config,
                         wf_trainer_params(.batch_size = 4, .recompute = recompute), &memory));
    wf_config_destroy(config);
    return memory.activations;
}

/* A further layer costs what crosses it, [B,N,D], and nothing of what it makes. */
static void memory_falls(void **state)
{
    (void)state;
    const char *const *two = SETTINGS("num_layers=2", "interference_interval=1");
    const char *const *eight = SETTINGS("num_layers=8", "interference_interval=1");
    int64_t kept = activations(eight, false), recomputed = activations(eight, true);
    int64_t crossing =
        round_up(4 * 17 * 12 * (int64_t)sizeof(float), fixture_cpu()->limits.alignment);
    assert_true(recomputed < kept);
    assert_true(kept - activations(two, false) > 6 * 20 * crossing);
    assert_true(recomputed - activations(two, true) < 7 * crossing);
}

static void checkpoints_do_not_depend_on_it(void **state)
{
    (void)state;
    char folder[] = "/tmp/wavefield-test-recompute-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const char *const *settings = SETTINGS("version=4", "dropout=0.1");
    Fixture a = fixture_open(fixture_cpu(), settings, wf_trainer_params(.recompute = true));
    Fixture b = fixture_open(fixture_cpu(), settings, wf_trainer_params(.batch_size = 8));
    must(wf_trainer_step(a.trainer, NULL));
    must(wf_trainer_save(a.trainer, folder, 1));
    wf_trainer_params saved;
    must(wf_checkpoint_settings(folder, &saved));
    assert_true(saved.recompute);
    must(wf_trainer_resume(b.trainer, folder));
    must(wf_trainer_step(a.trainer, NULL));
    must(wf_trainer_step(b.trainer, NULL));
    assert_same_training(a.trainer, b.trainer);
    fixture_close(&a);
    fixture_close(&b);
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* What is refused for its memory is told whether recomputation would do. */
static void refusals_suggest_it(void **state)
{
    (void)state;
    const char *const *settings = SETTINGS("num_layers=8");
    wf_config *config = fixture_config(settings);
    MemoryPlan lean, half;
    must(training_memory(fixture_cpu(), config,
                         wf_trainer_params(.batch_size = 8, .recompute = true), &lean));
    must(training_memory(fixture_cpu(), config,
                         wf_trainer_params(.batch_size = 4, .recompute = true), &half));
    const wf_trainer_params *params = wf_trainer_params(.batch_size = 8);
    Limits limits = fixture_cpu()->limits;
    char expected[64];
    fixture_cpu()->limits.total = lean.total;
    assert_int_equal(training_check_memory(fixture_cpu(), config, params), WF_ERROR_MEMORY);
    snprintf(expected, sizeof expected, "try --recompute, which needs %.2f GiB",
             (double)lean.total / (1 << 30));
    assert_message(expected);
    must(training_check_memory(fixture_cpu(), config,
                               wf_trainer_params(.batch_size = 8, .recompute = true)));
    fixture_cpu()->limits.total = half.total;
    assert_int_equal(training_check_memory(fixture_cpu(), config, params), WF_ERROR_MEMORY);
    assert_message("try --recompute and batch size 4 instead of 8");
    fixture_cpu()->limits.total = 1000;
    assert_int_equal(training_check_memory(fixture_cpu(), config, params), WF_ERROR_MEMORY);
    assert_message("batch size 1 does not fit either");
    fixture_cpu()->limits = limits;
    wf_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_4),           cmocka_unit_test(version_35),
        cmocka_unit_test(softmax_attention),   cmocka_unit_test(spectral_gate),
        cmocka_unit_test(memory_falls),        cmocka_unit_test(checkpoints_do_not_depend_on_it),
        cmocka_unit_test(refusals_suggest_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
