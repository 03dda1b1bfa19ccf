/* The command line from outside: training runs that are stopped, killed, or out of room. */
#include "cli_support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_signal_saves_and_ends(void **state)
{
    (void)state;
    char line[8192];
    snprintf(line, sizeof line,
             "cd %s && exec '%s' train " TINY "--data data.txt --device cpu --steps 100000000 "
             "--batch-size 1 --out stopped > stopped.txt 2>&1",
             folder, WAVEFIELD_BINARY);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600 && access(IN_FOLDER("stopped/metrics.jsonl"), F_OK); i++)
        usleep(100000);
    usleep(300000);
    assert_int_equal(kill(child, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_text("stopped.txt", "--resume continues"), 1);
    assert_int_equal(wavefield("generate --model stopped --max-tokens 3 --device cpu"), 0);
}

/* Starts `wavefield …` in the folder, its output into a file of it. */
static pid_t start(const char *log, const char *format, ...) PRINTF_LIKE(2, 3);
static pid_t start(const char *log, const char *format, ...)
{
    char options[4096], line[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "cd %s && exec %s %s > %s 2>&1", folder, WAVEFIELD_BINARY, options,
             log);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Waits for a file to hold that many lines with `text`, or for the child to end. */
static void wait_for_lines(pid_t child, const char *name, const char *text, int lines)
{
    siginfo_t ended = {0};
    while (!ended.si_pid && (access(IN_FOLDER(name), F_OK) || count_text(name, text) < lines)) {
        usleep(1000);
        assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    }
}

static int wait_for_end(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#define LONG_RUN                                                                                   \
    "train " TINY "--data data.txt --device cpu --steps 400 --batch-size 1 --set dropout=0.1 "     \
    "--eval-every 100 --save-every 150 "

#define RESUME "train --resume --data data.txt --device cpu --save-every 150 "

/* Signals at any time, now and then two of them: what comes out in the end is to the bit what comes
 * out of a run that was left alone, the best checkpoint included. */
static void signalled_runs_end_in_the_same_bits(void **state)
{
    (void)state;
    assert_int_equal(wavefield(LONG_RUN "--out alone"), 0);
    assert_says("best after step ");
    int stopped = 0, lines = 30;
    for (int round = 0; round < 40; round++) {
        char log[32];
        snprintf(log, sizeof log, "log%d.txt", round);
        pid_t child = round == 0 ? start(log, LONG_RUN "--out signalled")
                                 : start(log, RESUME "--out signalled");
        wait_for_lines(child, log, "device ", 1); /* signals are handled from here on */
        wait_for_lines(child, "signalled/metrics.jsonl", "gradient_norm", lines);
        kill(child, round % 2 ? SIGTERM : SIGINT);
        if (round % 3 == 2) kill(child, SIGTERM);
        int status = wait_for_end(child);
        if (WIFSIGNALED(status)) {
            assert_int_equal(round % 3, 2);
            assert_true(WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT);
        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
            if (count_text(log, "--resume continues") == 0) break;
            assert_int_equal(count_text(log, "stopped after step "), 1);
            assert_int_not_equal(access(IN_FOLDER("signalled/model.safetensors"), F_OK), 0);
            stopped++;
        }
        if (lines < 380) lines += 20 + 5 * round;
    }
    assert_true(stopped > 2);
    assert_int_equal(wavefield(RESUME "--out signalled"), 0); /* nothing is left to do */
    assert_same_file("alone/model.safetensors", "signalled/model.safetensors");
    assert_same_file("alone/best/model.safetensors", "signalled/best/model.safetensors");
    assert_same_file("alone/best/state.json", "signalled/best/state.json");
    assert_int_equal(count_text("signalled/metrics.jsonl", "gradient_norm"), 400);
    assert_int_equal(count_text("signalled/metrics.jsonl", "held_out_loss"), 4);
}

/* The second signal does not wait for a step that takes hours. */
static void a_second_signal_ends_at_once(void **state)
{
    (void)state;
    pid_t child = start("slow.txt", "train " TINY "--data data.txt --device cpu --out slow "
                                    "--batch-size 1 --accumulation 200000");
    wait_for_lines(child, "slow.txt", "device ", 1);
    siginfo_t ended = {0};
    assert_int_equal(kill(child, SIGINT), 0);
    usleep(300000);
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    assert_int_equal(ended.si_pid, 0); /* it finishes its step */
    assert_int_equal(kill(child, SIGTERM), 0);
    int status = wait_for_end(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* A terminal that is closed, which more than one may say; `wavefield train | head`. */
static void a_run_that_nobody_watches_saves_and_ends(void **state)
{
    (void)state;
    pid_t child = start("hung.txt", LONG_RUN "--out hung --steps 100000000");
    wait_for_lines(child, "hung.txt", "device ", 1);
    wait_for_lines(child, "hung/metrics.jsonl", "gradient_norm", 20);
    kill(child, SIGHUP);
    kill(child, SIGHUP);
    int status = wait_for_end(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_text("hung.txt", "--resume continues"), 1);

    assert_int_equal(wavefield(LONG_RUN "--out unread --steps 100000000 --log-every 1 | head -n 1"),
                     0);
    assert_int_equal(wavefield("eval --model unread --data data.txt --device cpu"), 0);
}

/* Its checkpoints would be removed by one and written by the other. */
static void a_folder_is_one_runs_at_a_time(void **state)
{
    (void)state;
    pid_t child = start("first.txt", LONG_RUN "--out shared --steps 100000000 --save-every 20");
    wait_for_lines(child, "first.txt", "device ", 1);
    wait_for_lines(child, "shared/metrics.jsonl", "gradient_norm", 40);
    assert_int_equal(symlink("shared", IN_FOLDER("link")), 0);
    const char *const names[] = {"shared", "link"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wavefield(RESUME "--out %s", names[i]), 1);
        assert_says("shared: another process is writing to this folder");
        assert_int_equal(wavefield(LONG_RUN "--out %s", names[i]), 1);
        assert_says("shared: another process is writing to this folder");
    }
    kill(child, SIGINT);
    assert_int_equal(WEXITSTATUS(wait_for_end(child)), 0);
    assert_int_equal(wavefield("eval --model link --data data.txt --device cpu"), 0);
    assert_int_equal(wavefield(TRAIN "--out link"), 1);
    assert_says("continue it with --resume");
}

/* A limit on file sizes is a disk that fills up in the middle of a run. */
static void a_full_disk_keeps_the_last_checkpoint(void **state)
{
    (void)state;
    char line[8192];
    assert_int_equal(wavefield(TRAIN "--out roomy"), 0);
    assert_int_equal(wavefield(TRAIN "--out tight --keep 0"), 0);
    snprintf(line, sizeof line, "cd %s/tight && rm -r *12 best model.safetensors config.json",
             folder);
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof line,
             "cd %s && (ulimit -f 40; exec %s train --resume --data data.txt --device cpu "
             "--out tight) > tight.txt 2>&1",
             folder, WAVEFIELD_BINARY);
    int status = system(line);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(count_text("tight.txt", "File too large"), 1);
    assert_int_equal(count_text("tight.txt", "the last good checkpoint is tight/step-00000006"), 1);

    /* Something in the way of the next checkpoint. */
    write_file("tight/step-00000012.partial", "in the way");
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out tight"), 1);
    assert_says("step-00000012.partial");
    assert_says("the last good checkpoint is tight/");
    assert_int_equal(unlink(IN_FOLDER("tight/step-00000012.partial")), 0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out tight"), 0);
    assert_same_file("roomy/model.safetensors", "tight/model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_saves_and_ends),
        cmocka_unit_test(signalled_runs_end_in_the_same_bits),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(a_run_that_nobody_watches_saves_and_ends),
        cmocka_unit_test(a_folder_is_one_runs_at_a_time),
        cmocka_unit_test(a_full_disk_keeps_the_last_checkpoint),
    };
    return cmocka_run_group_tests_name("cli signals", tests, cli_set_up, folder_tear_down);
}
