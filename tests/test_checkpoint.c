/* Checkpoints: whole or not there, the last few kept, and the best one. */
#include "base/files.h"
#include "train/checkpoint.h"

#include "tests/checkpoint_fixture.h"
#include "tests/scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a folder for each test ---- */

/* The names in the folder, one after the other, are exactly these. */
static void assert_names(const char *expected)
{
    FolderList list;
    char names[512] = "";
    must(folder_list(folder, &list));
    for (int i = 0; i < list.count; i++) {
        strcat(names, list.names[i]);
        strcat(names, " ");
    }
    folder_list_destroy(&list);
    assert_string_equal(names, expected);
}

static void assert_latest(const char *name)
{
    char path[192];
    must(wf_checkpoint_latest(folder, path, sizeof path));
    assert_string_equal(path, IN_FOLDER(name));
}

/* ---- which are kept and found ---- */

static void keeps_the_newest(void **state)
{
    (void)state;
    char path[192];
    assert_int_equal(wf_checkpoint_latest(folder, path, sizeof path), WF_ERROR_IO);
    assert_message("holds no checkpoint");
    Fixture f = open_fixture();
    must(wf_trainer_save(f.trainer, folder, 2));
    for (int i = 0; i < 3; i++) {
        steps(&f, 1);
        must(wf_trainer_save(f.trainer, folder, 2));
    }
    assert_names("step-00000002 step-00000003 ");
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 0));
    assert_names("step-00000002 step-00000003 step-00000004 ");
    assert_latest("step-00000004");
    must(wf_checkpoint_latest(IN_FOLDER("step-00000002"), path, sizeof path));
    assert_string_equal(path, IN_FOLDER("step-00000002"));
    assert_int_equal(wf_checkpoint_latest(folder, path, 5), WF_ERROR_ARGUMENT);
    fixture_close(&f);
}

static void keeps_what_others_put_there(void **state)
{
    (void)state;
    Fixture f = open_fixture();
    must(wf_trainer_save(f.trainer, folder, 1));
    must(file_write_atomic(IN_FOLDER("step-00000000/notes.txt"), "keep", 4));
    must(file_write_atomic(IN_FOLDER("metrics.jsonl"), "{}", 2));
    must(folder_make(IN_FOLDER("step-7")));
    for (int i = 0; i < 2; i++) {
        steps(&f, 1);
        must(wf_trainer_save(f.trainer, folder, 1));
    }
    assert_names("metrics.jsonl step-00000000 step-00000002 step-7 ");
    assert_latest("step-00000002");
    fixture_close(&f);
}

/* Not even where a checkpoint is replaced, and again. */
static void replaces_what_others_put_files_into(void **state)
{
    (void)state;
    Fixture f = open_fixture();
    for (int i = 1; i <= 3; i++) {
        must(wf_trainer_save_best(f.trainer, folder));
        must(file_write_atomic(IN_FOLDER("best/notes.txt"), "keep", 4));
        steps(&f, 1);
    }
    must(wf_trainer_save_best(f.trainer, folder));
    assert_names("best best.kept-1 best.kept-2 best.kept-3 ");
    assert_true(file_exists(IN_FOLDER("best.kept-1/notes.txt")));
    assert_true(file_exists(IN_FOLDER("best.kept-1/model.safetensors")));
    assert_latest("best");

    /* What stands in the way since before. */
    must(file_rename(IN_FOLDER("best.kept-2"), IN_FOLDER("best.replaced")));
    must(wf_trainer_save_best(f.trainer, folder));
    assert_names("best best.kept-1 best.kept-2 best.kept-3 ");
    fixture_close(&f);
}

/* Things that are only called like checkpoints. */
static void finds_what_is_whole(void **state)
{
    (void)state;
    Fixture f = open_fixture();
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 0));
    must(folder_make(IN_FOLDER("step-00000009")));
    must(file_write_atomic(IN_FOLDER("step-00000010"), "x", 1));
    must(folder_make(IN_FOLDER("step-00000011.replaced")));
    assert_latest("step-00000001");
    must(wf_trainer_resume(f.trainer, folder));
    fixture_close(&f);
}

/* A checkpoint that was moved away and linked to: its files are elsewhere, and stay there. */
static void keeps_linked_checkpoints(void **state)
{
    (void)state;
    Fixture f = open_fixture();
    must(wf_trainer_save(f.trainer, folder, 1));
    must(file_rename(IN_FOLDER("step-00000000"), IN_FOLDER("elsewhere")));
    assert_int_equal(symlink("elsewhere", IN_FOLDER("step-00000000")), 0);
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 1));
    assert_names("elsewhere step-00000000 step-00000001 ");
    assert_true(file_exists(IN_FOLDER("elsewhere/state.json")));
    assert_int_equal(unlink(IN_FOLDER("step-00000000")), 0);
    fixture_close(&f);
}

/* Folders as a process killed in the middle of each kind of change leaves them. */
static void ignores_and_removes_leftovers(void **state)
{
    (void)state;
    Fixture f = open_fixture();
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 0));
    must(folder_make(IN_FOLDER("step-00000009.partial")));
    must(file_write_atomic(IN_FOLDER("step-00000009.partial/config.json"), "{", 1));
    must(file_write_atomic(IN_FOLDER("step-00000009.partial/model.safetensors.part"), "x", 1));
    must(folder_make(IN_FOLDER("step-00000008.removed")));
    must(file_write_atomic(IN_FOLDER("step-00000008.removed/state.json"), "{}", 2));
    assert_latest("step-00000001");
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 0));
    assert_names("step-00000001 step-00000002 ");

    /* One that was to be replaced counts until its successor stands. */
    must(file_rename(IN_FOLDER("step-00000002"), IN_FOLDER("step-00000002.replaced")));
    must(folder_make(IN_FOLDER("step-00000002.partial")));
    assert_latest("step-00000002.replaced");
    must(wf_trainer_resume(f.trainer, folder));
    must(wf_trainer_save(f.trainer, folder, 0));
    assert_latest("step-00000002");
    steps(&f, 1);
    must(wf_trainer_save(f.trainer, folder, 0));
    assert_names("step-00000001 step-00000002 step-00000003 ");

    /* The same step again replaces the one there is. */
    must(wf_trainer_save(f.trainer, folder, 0));
    assert_names("step-00000001 step-00000002 step-00000003 ");
    fixture_close(&f);
}

/* ---- the best one ---- */

static void the_best_stays(void **state)
{
    (void)state;
    wf_evaluation e;
    wf_progress progress;
    Fixture f = open_fixture(), resumed = open_fixture();
    steps(&f, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    must(wf_trainer_save_best(f.trainer, folder));
    assert_names("best ");
    assert_latest("best"); /* a run may have nothing else yet */
    for (int i = 0; i < 2; i++) {
        steps(&f, 1);
        must(wf_trainer_save(f.trainer, folder, 1));
    }
    assert_names("best step-00000003 ");
    assert_latest("step-00000003");
    must(wf_checkpoint_progress(IN_FOLDER("best"), &progress));
    assert_int_equal(progress.step, 1);
    assert_int_equal(progress.best_step, 1);
    assert_true(progress.best_loss == e.loss);
    must(wf_checkpoint_progress(folder, &progress));
    assert_int_equal(progress.step, 3);
    assert_true(progress.best_loss == e.loss);

    steps(&f, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    must(wf_trainer_save_best(f.trainer, folder));
    assert_names("best step-00000003 ");
    assert_latest("best"); /* the newest now */
    must(wf_trainer_resume(resumed.trainer, folder));
    assert_same_training(f.trainer, resumed.trainer);
    fixture_close(&f);
    fixture_close(&resumed);
}

static void the_best_is_replaced_whole(void **state)
{
    (void)state;
    char path[192];
    Fixture f = open_fixture();
    steps(&f, 1);
    must(wf_trainer_save_best(f.trainer, folder));
    must(file_rename(IN_FOLDER("best"), IN_FOLDER("best.replaced")));
    must(folder_make(IN_FOLDER("best.partial")));
    assert_latest("best.replaced");
    must(wf_checkpoint_latest(IN_FOLDER("best"), path, sizeof path));
    assert_string_equal(path, IN_FOLDER("best.replaced"));
    must(wf_trainer_save(f.trainer, folder, 1)); /* gives back the name its successor never took */
    assert_names("best step-00000001 ");
    must(wf_trainer_save_best(f.trainer, folder));
    assert_names("best step-00000001 ");

    /* What was being replaced no longer counts beside its successor, whatever its step. */
    must(wf_trainer_save(f.trainer, IN_FOLDER("other"), 1));
    steps(&f, 1);
    must(wf_trainer_save_best(f.trainer, IN_FOLDER("other")));
    must(file_rename(IN_FOLDER("other/best"), IN_FOLDER("best.replaced")));
    assert_latest("step-00000001");
    must(file_write_atomic(IN_FOLDER("best/state.json"), "{}", 2));
    assert_latest("step-00000001"); /* nor one that cannot be read */
    fixture_close(&f);
}

static void evaluations_come_due(void **state)
{
    (void)state;
    wf_evaluation e;
    Fixture f = fixture_open(fixture_cpu(), SHAPE_4,
                             wf_trainer_params(.batch_size = 2, .steps = 5, .eval_every = 2));
    for (int step = 0; step <= 5; step++) {
        if (step) steps(&f, 1);
        bool due = step == 2 || step == 4 || step == 5;
        assert_int_equal(wf_trainer_evaluation_due(f.trainer), due);
        assert_int_equal(wf_trainer_done(f.trainer), step == 5);
        if (step != 4 && due) must(wf_trainer_evaluate(f.trainer, &e));
        if (step == 4) { /* stopped before it */
            must(wf_trainer_save(f.trainer, folder, 1));
            must(wf_trainer_resume(f.trainer, folder));
            assert_true(wf_trainer_evaluation_due(f.trainer));
        }
    }
    assert_false(wf_trainer_evaluation_due(f.trainer));
    fixture_close(&f);
}

static void patience_ends_a_run(void **state)
{
    (void)state;
    wf_evaluation e;
    Fixture f =
        fixture_open(fixture_cpu(), SHAPE_4, wf_trainer_params(.batch_size = 2, .patience = 2));
    steps(&f, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    f.trainer->progress.best_loss = e.loss / 2; /* not to be had again */
    must(wf_trainer_evaluate(f.trainer, &e));
    assert_false(wf_trainer_done(f.trainer));
    must(wf_trainer_save(f.trainer, folder, 1));
    must(wf_trainer_resume(f.trainer, folder));
    assert_int_equal(f.trainer->progress.since_best, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    assert_true(wf_trainer_done(f.trainer));
    fixture_close(&f);
}

/* A loss of 0 is a best one like any other. */
static void nothing_beats_a_loss_of_0(void **state)
{
    (void)state;
    wf_evaluation e;
    wf_progress progress;
    Fixture f =
        fixture_open(fixture_cpu(), SHAPE_4, wf_trainer_params(.batch_size = 2, .patience = 1));
    steps(&f, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    wf_trainer_progress(f.trainer, &progress);
    assert_int_equal(progress.best_step, 1);
    f.trainer->progress.best_loss = 0;
    steps(&f, 1);
    must(wf_trainer_evaluate(f.trainer, &e));
    wf_trainer_progress(f.trainer, &progress);
    assert_true(e.loss > 0 && progress.best_loss == 0);
    assert_int_equal(progress.best_step, 1);
    assert_true(wf_trainer_done(f.trainer));
    fixture_close(&f);
}

/* ---- a disk that is full ---- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void full_disk_leaves_the_previous(void **state)
{
    (void)state;
    Fixture f = open_fixture(), resumed = open_fixture();
    struct stat model;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    steps(&f, 2);
    must(wf_trainer_save(f.trainer, folder, 1));
    assert_int_equal(stat(IN_FOLDER("step-00000002/model.safetensors"), &model), 0);
    steps(&f, 1);
    /* No room for the parameters; then for them, but not for the moments; then for nothing. */
    const rlim_t limits[] = {(rlim_t)model.st_size / 2, (rlim_t)model.st_size + 64, 0};
    for (int i = 0; i < 3; i++) {
        set_file_limit(limits[i]);
        wf_status status = wf_trainer_save(f.trainer, folder, 1);
        set_file_limit(before.rlim_cur);
        assert_int_equal(status, WF_ERROR_IO);
        assert_message(limits[i] > (rlim_t)model.st_size ? "optimizer.safetensors: cannot write: "
                                                         : "model.safetensors: cannot write: ");
        assert_names("step-00000002 ");
    }
    must(wf_trainer_resume(resumed.trainer, folder));
    steps(&resumed, 1);
    assert_same_training(f.trainer, resumed.trainer);
    must(wf_trainer_save(f.trainer, folder, 1));
    assert_names("step-00000003 ");
    fixture_close(&f);
    fixture_close(&resumed);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_set_up, folder_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(keeps_the_newest),
        WITH_FOLDER(keeps_what_others_put_there),
        WITH_FOLDER(replaces_what_others_put_files_into),
        WITH_FOLDER(finds_what_is_whole),
        WITH_FOLDER(keeps_linked_checkpoints),
        WITH_FOLDER(ignores_and_removes_leftovers),
        WITH_FOLDER(the_best_stays),
        WITH_FOLDER(the_best_is_replaced_whole),
        WITH_FOLDER(evaluations_come_due),
        WITH_FOLDER(patience_ends_a_run),
        WITH_FOLDER(nothing_beats_a_loss_of_0),
        WITH_FOLDER(full_disk_leaves_the_previous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
