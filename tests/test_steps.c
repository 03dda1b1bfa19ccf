/* Steps begun one ahead of what the host has seen: test_steps [vulkan|opencl], the CPU without.
 *
 * Whatever goes wrong on the way, a run whose steps are begun and finished later has the bits of
 * one that waits for each. Exit code 77, a skip, where this build or machine has no such device. */
#include "tests/scratch.h"
#include "tests/train_fixture.h"

#include <math.h>

enum { STEPS = 12 };

static wf_device *device;
static const char *const *const SMALL = SETTINGS("version=4", "dropout=0.1");

/* ---- a device that does not always do as it is told ---- */

static const Backend *honest;
static Backend faulty;
static wf_trainer *watched;

/* Calls of program_run and of reading from now on; the one that fails, 0: none. */
static int runs, begins, ends, reads;
static int failing_run, failing_begin, failing_end;
/* The largest scale at which a step's gradients are finite; 0: any. */
static double limits[STEPS + 2];

static bool overflows(const Program *program)
{
    if (!watched || program != watched->programs.accumulate.program) return false;
    int64_t step = watched->progress.step + 1;
    return step <= STEPS && limits[step] > 0 && watched->loss_scale.scale > limits[step];
}

static wf_status faulty_run(Program *program)
{
    const double infinite = HUGE_VAL;
    if (++runs == failing_run) return WF_ERROR_DEVICE;
    must(honest->program_run(program));
    if (overflows(program))
        must(
            device_write_doubles(&watched->programs.optimizer.gradients.pages[0], 0, &infinite, 1));
    return WF_OK;
}

static wf_status faulty_begin(Readback *readback, Buffer *buffer, int64_t offset)
{
    if (++begins == failing_begin) return WF_ERROR_DEVICE;
    return honest->readback_begin(readback, buffer, offset);
}

static wf_status faulty_end(Readback *readback, void *data)
{
    if (++ends == failing_end) return WF_ERROR_DEVICE;
    return honest->readback_end(readback, data);
}

static wf_status faulty_read(Buffer *buffer, int64_t offset, void *data, int64_t size)
{
    reads++;
    return honest->buffer_read(buffer, offset, data, size);
}

static void reset_faults(void)
{
    runs = begins = ends = reads = 0;
    failing_run = failing_begin = failing_end = 0;
}

static void open_faulty(void)
{
    honest = device->backend;
    faulty = *honest;
    faulty.program_run = faulty_run;
    faulty.readback_begin = faulty_begin;
    faulty.readback_end = faulty_end;
    faulty.buffer_read = faulty_read;
    device->backend = &faulty;
}

/* ---- runs ---- */

static Fixture open_fixture(const wf_trainer_params *params)
{
    watched = NULL; /* of a fixture before */
    return fixture_open(device, SMALL, params);
}

typedef struct History {
    wf_step_stats steps[STEPS];
    wf_evaluation evaluations[STEPS + 1];
    int n;
} History;

static void note(History *history, const wf_step_stats *stats)
{
    if (stats->step == 0) return;
    assert_int_equal(stats->step, history->n + 1);
    history->steps[history->n++] = *stats;
}

static void note_evaluation(History *history, wf_trainer *trainer)
{
    must(wf_trainer_evaluate(trainer, &history->evaluations[trainer->progress.step]));
}

static bool evaluates(int step)
{
    return step == 4 || step == 5 || step == 9;
}

/* Each step is waited for. */
static void run_at_once(Fixture *f, History *history, int steps)
{
    watched = f->trainer;
    for (int i = 0; i < steps; i++) {
        wf_step_stats stats;
        must(wf_trainer_step(f->trainer, &stats));
        note(history, &stats);
        if (evaluates((int)stats.step)) note_evaluation(history, f->trainer);
    }
}

static void finish(Fixture *f, History *history)
{
    wf_step_stats stats;
    must(wf_trainer_finish_step(f->trainer, &stats));
    note(history, &stats);
}

/* The next is begun before. Some evaluations finish the step by themselves. */
static void run_late(Fixture *f, History *history, int steps)
{
    watched = f->trainer;
    for (int i = 0; i < steps; i++) {
        wf_step_stats stats;
        int64_t step = f->trainer->progress.step + 1;
        must(wf_trainer_begin_step(f->trainer, &stats));
        assert_int_equal(f->trainer->progress.step, step);
        note(history, &stats);
        if (!evaluates((int)step)) continue;
        if (step == 5) finish(f, history);
        note_evaluation(history, f->trainer);
    }
    finish(f, history);
}

static void assert_same_history(const History *a, const History *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->steps, b->steps, sizeof a->steps);
    assert_memory_equal(a->evaluations, b->evaluations, sizeof a->evaluations);
}

static void assert_same_run(const Fixture *a, const Fixture *b)
{
    assert_same_training(a->trainer, b->trainer);
    assert_memory_equal(&a->trainer->loss_scale, &b->trainer->loss_scale, sizeof(LossScale));
    assert_memory_equal(&a->trainer->batches->cursor, &b->trainer->batches->cursor,
                        sizeof(BatchCursor));
}

/* Returns how many runs of programs the late one took. */
static int compare(const wf_trainer_params *params)
{
    Fixture a = open_fixture(params), b = open_fixture(params);
    History *at_once = calloc(2, sizeof *at_once), *late = at_once + 1;
    assert_non_null(at_once);
    run_at_once(&a, at_once, STEPS);
    reset_faults();
    run_late(&b, late, STEPS);
    int taken = runs;
    assert_same_history(at_once, late);
    assert_same_run(&a, &b);
    free(at_once);
    fixture_close(&a);
    fixture_close(&b);
    return taken;
}

/* ---- the same bits ---- */

static void late_is_at_once(void **state)
{
    (void)state;
    int one = compare(wf_trainer_params(.batch_size = 1, .steps = STEPS, .seed = 4));
    int three =
        compare(wf_trainer_params(.batch_size = 1, .accumulation = 3, .steps = STEPS, .clip = 0.1));
    assert_int_equal(three, one + 2 * STEPS);
}

/* Overflows at the first step and the last, at steps in a row, at steps that are evaluated. */
static void overflows_are_done_again(void **state)
{
    (void)state;
    const double overflowing[STEPS + 2] = {
        [1] = 0x1p15, [3] = 0x1p14, [4] = 0x1p11, [5] = 0x1p10, [9] = 0x1p9, [12] = 0x1p6};
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 1, .accumulation = 2, .steps = STEPS, .precision = "f16",
                          .seed = 4);
    Limits none = device->limits;
    if (none.dtype_size[DTYPE_F16] == 0) skip();
    int without = compare(params);
    memcpy(limits, overflowing, sizeof limits);
    int with = compare(params);
    memset(limits, 0, sizeof limits);
    assert_true(with >= without + 3 * 10); /* ten halvings, of runs of three programs */
}

/* ---- what waits ---- */

/* The step after is enqueued whole before the host asks for anything, and it asks once. */
static void the_next_is_begun_first(void **state)
{
    (void)state;
    Fixture f = open_fixture(wf_trainer_params(.batch_size = 1));
    reset_faults();
    for (int i = 0; i < 5; i++) {
        must(wf_trainer_begin_step(f.trainer, NULL));
        assert_int_equal(runs, 2 * (i + 1));
        assert_int_equal(begins, i + 1);
        assert_int_equal(ends, i);
        assert_int_equal(f.trainer->n_under_way, 1);
    }
    assert_int_equal(reads, 0);
    must(wf_trainer_finish_step(f.trainer, NULL));
    assert_int_equal(ends, 5);
    fixture_close(&f);
}

static void a_trainer_may_end_under_way(void **state)
{
    (void)state;
    for (int begun = 1; begun < 4; begun++) {
        Fixture f = open_fixture(wf_trainer_params(.batch_size = 1));
        for (int i = 0; i < begun; i++) must(wf_trainer_begin_step(f.trainer, NULL));
        fixture_close(&f);
    }
}

/* ---- a step that is not finite ---- */

/* Sets one element of a parameter; returns what it was. */
static float poke(wf_model *model, float value)
{
    float values[12], before;
    must(wf_model_read(model, "norm.bias", values));
    before = values[5];
    values[5] = value;
    must(wf_model_write(model, "norm.bias", values));
    return before;
}

typedef wf_status (*Learns)(wf_trainer *trainer);

static wf_status learns_by_beginning(wf_trainer *trainer)
{
    return wf_trainer_begin_step(trainer, NULL);
}

static wf_status learns_by_finishing(wf_trainer *trainer)
{
    return wf_trainer_finish_step(trainer, NULL);
}

static wf_status learns_by_stepping(wf_trainer *trainer)
{
    return wf_trainer_step(trainer, NULL);
}

static wf_status learns_by_evaluating(wf_trainer *trainer)
{
    wf_evaluation evaluation;
    return wf_trainer_evaluate(trainer, &evaluation);
}

static wf_status learns_by_saving(wf_trainer *trainer)
{
    return wf_trainer_save(trainer, folder, 1);
}

static void who_learns_of_it_says_so(void **state)
{
    (void)state;
    static const Learns ways[] = {learns_by_beginning, learns_by_finishing, learns_by_stepping,
                                  learns_by_evaluating, learns_by_saving};
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 1, .accumulation = 2, .steps = STEPS);
    Fixture good = open_fixture(params), bad = open_fixture(params);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char name[64], path[192];
        int64_t step = bad.trainer->progress.step + 1;
        float was = poke(bad.model, NAN);
        must(wf_trainer_begin_step(bad.trainer, NULL)); /* it does not know yet */
        assert_int_equal(bad.trainer->progress.step, step);
        assert_int_equal(ways[i](bad.trainer), WF_ERROR_NUMERIC);
        snprintf(name, sizeof name, "step %lld: norm.bias: ", (long long)step);
        assert_message(name);
        assert_int_equal(bad.trainer->progress.step, step - 1);
        assert_int_equal(bad.trainer->n_under_way, 0);
        assert_int_equal(wf_checkpoint_latest(folder, path, sizeof path), WF_ERROR_IO);
        poke(bad.model, was);
        assert_same_run(&good, &bad);
        for (int k = 0; k < 2; k++) {
            must(wf_trainer_step(good.trainer, NULL));
            must(wf_trainer_begin_step(bad.trainer, NULL));
        }
        must(wf_trainer_finish_step(bad.trainer, NULL));
        assert_same_run(&good, &bad);
    }
    fixture_close(&good);
    fixture_close(&bad);
}

/* ---- a device that fails ---- */

static const wf_trainer_params *FAILING = &(wf_trainer_params){.batch_size = 1,
                                                               .steps = STEPS,
                                                               .warmup = -1,
                                                               .min_learning_rate = -1,
                                                               .weight_decay = -1,
                                                               .clip = -1};

/* Sums that do not arrive are asked for again: the step is neither lost nor done twice. */
static void sums_are_asked_for_again(void **state)
{
    (void)state;
    Fixture good = open_fixture(FAILING);
    History *expected = calloc(2, sizeof *expected), *got = expected + 1;
    run_at_once(&good, expected, STEPS);
    for (int nth = 1; nth <= 6; nth++)
        for (int begin = 0; begin < 2; begin++) {
            Fixture f = open_fixture(FAILING);
            int failures = 0;
            reset_faults();
            *(begin ? &failing_begin : &failing_end) = nth;
            memset(got, 0, sizeof *got);
            while (f.trainer->progress.step < STEPS) {
                wf_step_stats stats = {0};
                if (wf_trainer_begin_step(f.trainer, &stats)) failures++;
                if (stats.step) got->steps[stats.step - 1] = stats;
            }
            must(wf_trainer_finish_step(f.trainer, &got->steps[STEPS - 1]));
            assert_int_equal(failures, begin ? 0 : 1); /* beginning is tried twice */
            if (failures) got->steps[nth - 1] = expected->steps[nth - 1]; /* not given out */
            assert_memory_equal(got->steps, expected->steps, sizeof got->steps);
            f.trainer->progress = good.trainer->progress;
            assert_same_run(&good, &f);
            fixture_close(&f);
        }
    free(expected);
    fixture_close(&good);
}

/* A step that cannot be enqueued leaves the one under way as it is. */
static void a_step_that_cannot_begin(void **state)
{
    (void)state;
    bool halves = device->limits.dtype_size[DTYPE_F16] != 0;
    const wf_trainer_params *params =
        wf_trainer_params(.batch_size = 1, .accumulation = 3, .steps = STEPS,
                          .precision = halves ? "f16" : "f32");
    Fixture good = open_fixture(params), f = open_fixture(params);
    if (halves) limits[3] = limits[5] = 0x1p14; /* those under way are not always good */
    for (int nth = 1; nth <= 3; nth++) {
        wf_step_stats expected, stats;
        watched = good.trainer;
        must(wf_trainer_step(good.trainer, &expected));
        watched = f.trainer;
        must(wf_trainer_begin_step(f.trainer, NULL));
        reset_faults();
        failing_run = nth;
        assert_int_not_equal(wf_trainer_begin_step(f.trainer, &stats), WF_OK);
        if (nth != 2) { /* else the next step finishes it */
            must(wf_trainer_finish_step(f.trainer, &stats));
            assert_memory_equal(&stats, &expected, sizeof stats);
            assert_same_run(&good, &f);
        }
        must(wf_trainer_begin_step(f.trainer, &stats));
        if (nth == 2) assert_memory_equal(&stats, &expected, sizeof stats);
        must(wf_trainer_finish_step(f.trainer, NULL));
        watched = good.trainer;
        must(wf_trainer_step(good.trainer, NULL));
        assert_same_run(&good, &f);
    }
    memset(limits, 0, sizeof limits);
    fixture_close(&good);
    fixture_close(&f);
}

/* An update that was enqueued in part, or not at all: nobody knows, and nobody goes on. */
static void half_an_update_is_the_end(void **state)
{
    (void)state;
    Fixture good = open_fixture(FAILING), f = open_fixture(FAILING);
    wf_evaluation evaluation;
    for (int i = 0; i < 3; i++) {
        must(wf_trainer_step(good.trainer, NULL));
        must(wf_trainer_begin_step(f.trainer, NULL));
    }
    must(wf_trainer_save(f.trainer, folder, 1));
    assert_same_run(&good, &f);
    reset_faults();
    failing_run = 2;
    assert_int_not_equal(wf_trainer_begin_step(f.trainer, NULL), WF_OK);
    assert_message("step 4: its update");
    assert_int_equal(wf_trainer_begin_step(f.trainer, NULL), WF_ERROR_DEVICE);
    assert_message("resume from a checkpoint");
    assert_int_equal(wf_trainer_finish_step(f.trainer, NULL), WF_ERROR_DEVICE);
    assert_int_equal(wf_trainer_step(f.trainer, NULL), WF_ERROR_DEVICE);
    assert_int_equal(wf_trainer_evaluate(f.trainer, &evaluation), WF_ERROR_DEVICE);
    assert_int_equal(wf_trainer_save(f.trainer, folder, 1), WF_ERROR_DEVICE);
    must(wf_trainer_resume(f.trainer, folder));
    assert_same_run(&good, &f);
    must(wf_trainer_step(good.trainer, NULL));
    must(wf_trainer_step(f.trainer, NULL));
    assert_same_run(&good, &f);
    fixture_close(&good);
    fixture_close(&f);
}

/* ---- resuming ---- */

/* What is under way when a trainer is resumed is forgotten, bad or not; a checkpoint that is
 * refused leaves it. */
static void resuming_forgets_what_is_under_way(void **state)
{
    (void)state;
    Fixture good = open_fixture(FAILING), f = open_fixture(FAILING);
    History *expected = calloc(2, sizeof *expected), *got = expected + 1;
    run_at_once(&good, expected, STEPS);
    run_late(&f, got, 4);
    must(wf_trainer_save(f.trainer, folder, 1));
    for (int bad = 0; bad < 2; bad++) {
        if (bad) poke(f.model, NAN);
        must(wf_trainer_begin_step(f.trainer, NULL));
        assert_int_equal(wf_trainer_resume(f.trainer, "/nowhere"), WF_ERROR_IO);
        assert_int_equal(f.trainer->n_under_way, 1);
        must(wf_trainer_resume(f.trainer, folder));
        assert_int_equal(f.trainer->progress.step, 4);
    }
    run_late(&f, got, STEPS - 4);
    assert_same_history(expected, got);
    assert_same_run(&good, &f);
    free(expected);
    fixture_close(&good);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    char name[32];
    snprintf(name, sizeof name, "%s%s", argc > 1 ? argv[1] : "cpu", argc > 1 ? ":0" : "");
    if (wf_device_open(name, &device)) {
        print_message("skipped: %s\n", wf_error_message());
        return 77;
    }
    open_faulty();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_is_at_once),
        cmocka_unit_test(overflows_are_done_again),
        cmocka_unit_test(the_next_is_begun_first),
        cmocka_unit_test(a_trainer_may_end_under_way),
        cmocka_unit_test_setup_teardown(who_learns_of_it_says_so, folder_set_up, folder_tear_down),
        cmocka_unit_test(sums_are_asked_for_again),
        cmocka_unit_test(a_step_that_cannot_begin),
        cmocka_unit_test_setup_teardown(half_an_update_is_the_end, folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(resuming_forgets_what_is_under_way, folder_set_up,
                                        folder_tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->backend = honest;
    wf_device_close(device);
    return failed;
}
