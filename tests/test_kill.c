/* Training killed at random instants: what it leaves always loads, and continues as if nothing had
 * happened.
 *
 * A child process trains and writes two checkpoints after every step, best and its own; the parent
 * kills it, again and again, takes up the newest checkpoint, and at the end compares the parameters
 * with those of a run that was never interrupted. */
#include "base/clock.h"
#include "base/files.h"

#include "tests/train_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 40, LAST_STEP = 1000000 };

static const char *program_path;

static Fixture open_fixture(wf_device *device)
{
    return fixture_open(device, SETTINGS("version=4", "dropout=0.1"),
                        wf_trainer_params(.batch_size = 2, .steps = 400));
}

static wf_device *open_device(void)
{
    wf_device *device;
    must(wf_device_open("cpu", &device));
    return device;
}

/* The child: resumes what there is, then trains and saves until it is killed. */
static int train(const char *folder)
{
    char path[192];
    Fixture f = open_fixture(open_device());
    if (!wf_checkpoint_latest(folder, path, sizeof path))
        must(wf_trainer_resume(f.trainer, folder));
    for (int step = 0; step < LAST_STEP; step++) {
        must(wf_trainer_step(f.trainer, NULL));
        must(wf_trainer_save_best(f.trainer, folder));
        must(wf_trainer_save(f.trainer, folder, 2));
    }
    return 0;
}

static pid_t start_child(const char *folder)
{
    pid_t child = fork();
    if (child == 0) {
        execl(program_path, program_path, "train", folder, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

static void sleep_seconds(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

static void wait_for_another(const char *folder, int64_t than)
{
    char path[192], before[192];
    snprintf(before, sizeof before, "%s/step-%08lld", folder, (long long)than);
    double start = clock_seconds();
    while (clock_seconds() - start < 30) {
        sleep_seconds(0.002);
        if (!wf_checkpoint_latest(folder, path, sizeof path) && strcmp(path, before) != 0) return;
    }
}

/* Three times in four the child lives until it has written something; then for a random while. */
static void run_and_kill(const char *folder, Rng *rng, int64_t before)
{
    pid_t child = start_child(folder);
    if (before == 0 || rng_below(rng, 4) > 0) wait_for_another(folder, before);
    sleep_seconds(0.25 * rng_uniform(rng));
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Everything the folder may hold is there by the rules, and nothing of the rest counts. */
static int count_leftovers(const char *folder)
{
    FolderList list;
    int leftovers = 0;
    must(folder_list(folder, &list));
    for (int i = 0; i < list.count; i++) leftovers += strchr(list.names[i], '.') != NULL;
    folder_list_destroy(&list);
    return leftovers;
}

static void killed_training_continues(void **state)
{
    (void)state;
    char folder[] = "/tmp/wavefield-test-kill-XXXXXX", path[192], best[64];
    assert_non_null(mkdtemp(folder));
    wf_device *device = open_device();
    Fixture resumed = open_fixture(device), unbroken = open_fixture(device);
    Fixture again = open_fixture(device);
    Rng rng = {.seed = (uint64_t)getpid()};
    int64_t step = 0;
    int interrupted = 0;
    for (int i = 0; i < KILLS; i++) {
        run_and_kill(folder, &rng, step);
        interrupted += count_leftovers(folder) > 0;
        must(wf_checkpoint_latest(folder, path, sizeof path));
        must(wf_trainer_resume(resumed.trainer, folder));
        assert_true(resumed.trainer->progress.step >= step);
        step = resumed.trainer->progress.step;
        must(wf_trainer_step(resumed.trainer, NULL));
        wf_model *loaded;
        must(wf_model_load(device, path, &loaded));
        wf_model_destroy(loaded);
        snprintf(best, sizeof best, "%s/best", folder);
        must(wf_checkpoint_latest(best, path, sizeof path));
        must(wf_trainer_resume(again.trainer, path));
        assert_true(again.trainer->progress.step >= step - 1);
    }
    printf("%d kills, %d of them in the middle of a write, %lld steps\n", KILLS, interrupted,
           (long long)step);
    assert_true(interrupted > 0);
    for (int64_t i = 0; i <= step; i++) must(wf_trainer_step(unbroken.trainer, NULL));
    assert_same_training(unbroken.trainer, resumed.trainer);

    must(wf_trainer_save(resumed.trainer, folder, 2));
    assert_int_equal(count_leftovers(folder), 0);
    fixture_close(&resumed);
    fixture_close(&again);
    fixture_close(&unbroken);
    wf_device_close(device);
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
    program_path = argv[0];
    if (argc == 3 && strcmp(argv[1], "train") == 0) return train(argv[2]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_training_continues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
