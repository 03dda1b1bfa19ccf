/* The page of a training run: its history read and refused, series made fit to draw, text made
 * harmless, and the command from outside. */
#include "base/files.h"
#include "plot/gnuplot.h"
#include "plot/history.h"
#include "plot/page.h"
#include "plot/series.h"
#include "scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void must(wf_status status)
{
    if (status) print_error("%s: %s\n", wf_status_name(status), wf_error_message());
    assert_int_equal(status, WF_OK);
}

/* ---- history ---- */

#define STEP(step)                                                                                 \
    "{\"step\":" #step ",\"loss\":2.5,\"accuracy\":0.25,\"gradient_norm\":1.5,"                    \
    "\"learning_rate\":1e-3,\"tokens\":64,\"seconds\":0.5}\n"
#define EVALUATION(step)                                                                           \
    "{\"step\":" #step ",\"held_out_loss\":3.5,\"held_out_perplexity\":33,"                        \
    "\"held_out_accuracy\":0.125,\"held_out_bits_per_byte\":0,\"held_out_tokens\":9}\n"

static wf_status read_text(const char *text, size_t length, History *history)
{
    must(file_write_atomic(IN_FOLDER("metrics.jsonl"), text, length));
    return history_read(IN_FOLDER("metrics.jsonl"), history);
}

static void a_history_is_read(void **state)
{
    (void)state;
    /* With a key of a later version, another order of keys, a whole number for a real, and a gap.
     */
    const char text[] = STEP(1) EVALUATION(1) STEP(
        2) "{\"seconds\":2,\"tokens\":8,\"learning_rate\":0,\"gradient_norm\":3,\"accuracy\":1,"
           "\"loss\":1,\"step\":7,\"colour\":\"blue\"}\n" EVALUATION(7);
    History history;
    must(read_text(text, strlen(text), &history));
    assert_int_equal(history.n_steps, 3);
    assert_int_equal(history.steps[2].step, 7);
    assert_true(history.steps[2].gradient_norm == 3 && history.steps[2].seconds == 2);
    assert_true(history.steps[0].loss == 2.5 && history.steps[0].learning_rate == 1e-3);
    assert_int_equal(history.n_evaluations, 2);
    assert_true(history.evaluations[1].step == 7 && history.evaluations[1].loss == 3.5);
    assert_true(history.evaluations[1].accuracy == 0.125);
    assert_int_equal(history.unfinished, 0);
    history_destroy(&history);

    must(read_text("", 0, &history));
    assert_int_equal(history.n_steps, 0);
    history_destroy(&history);
}

static void a_half_written_last_line_is_left_out(void **state)
{
    (void)state;
    const char text[] = STEP(1) STEP(2);
    History history;
    /* However much of the last line there is. Without its line's end alone it is whole. */
    for (size_t length = strlen(STEP(1)) + 1; length <= strlen(text); length++) {
        must(read_text(text, length, &history));
        bool whole = length >= strlen(text) - 1;
        assert_int_equal(history.n_steps, whole ? 2 : 1);
        assert_int_equal(history.unfinished, whole ? 0 : 2);
        history_destroy(&history);
    }
    const char zeros[] = STEP(1) "{\"st\0\0\0";
    must(read_text(zeros, sizeof zeros - 1, &history));
    assert_int_equal(history.unfinished, 2);
    history_destroy(&history);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {STEP(1) "{\"step\":2,\"lo\n", "line 2 is no JSON"},
        {STEP(1) "\n" STEP(2), "line 2 is no JSON"},
        {STEP(1) "[1, 2]\n", "line 2: expected an object, found an array"},
        {"17\n", "line 1"},
        {"{\"step\":1,\"loss\":2}\n", "line 1 has no key \"accuracy\""},
        {"{\"loss\":2}\n", "line 1 has no key \"step\""},
        {"{\"step\":1.5,\"loss\":2}\n",
         "\"step\": expected a whole number of 1 or more, found 1.5"},
        {"{\"step\":0,\"loss\":2}\n", "found 0"},
        {"{\"step\":-3,\"loss\":2}\n", "found -3"},
        {"{\"step\":\"1\",\"loss\":2}\n", "\"step\": expected a whole number"},
        {"{\"step\":99999999999999999999,\"loss\":2}\n", "line 1"},
        {"{\"step\":1,\"loss\":\"low\"}\n", "\"loss\": expected a number, found a string"},
        {"{\"step\":1,\"loss\":null}\n", "\"loss\": expected a number, found null"},
        {"{\"step\":1,\"loss\":-1}\n", "\"loss\": expected 0 or more, found -1"},
        {"{\"step\":1,\"loss\":1e999}\n", "line 1"},
        {"{\"step\":1,\"loss\":NaN}\n", "line 1"},
        {"{\"step\":1,\"step\":2,\"loss\":1}\n", "line 1"},
        {STEP(2) STEP(2), "line 2: \"step\": expected more than 2, found 2"},
        {STEP(2) STEP(1), "line 2: \"step\": expected more than 2, found 1"},
        {EVALUATION(5) STEP(6) EVALUATION(5), "line 3: \"step\": expected more than 5"},
        {"{\"step\":1,\"held_out_loss\":1}\n", "line 1 has no key \"held_out_accuracy\""},
        {"{\"step\":1,\"held_out_loss\":{}}\n", "\"held_out_loss\": expected a number, found an"},
        {STEP(1) "\xff\n", "line 2"},
    };
    History history = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &history),
                         WF_ERROR_FORMAT);
        bool named = strstr(wf_error_message(), cases[i].message) &&
                     strstr(wf_error_message(), "metrics.jsonl");
        if (!named) print_error("case %zu: %s\n", i, wf_error_message());
        assert_true(named);
    }
    assert_int_equal(history_read(IN_FOLDER("absent"), &history), WF_ERROR_IO);
    assert_int_equal(history_read(folder, &history), WF_ERROR_IO);
}

/* ---- series ---- */

static void thinning_keeps_every_peak(void **state)
{
    (void)state;
    enum { N = 1000, COLUMNS = 10 };
    double x[N], y[N];
    int64_t chosen[2 * COLUMNS], low[COLUMNS], high[COLUMNS];
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = sin(0.05 * i);
    }
    y[437] = 9;
    y[438] = -9;
    int64_t n = series_thin(x, y, N, COLUMNS, chosen);
    assert_true(n > COLUMNS && n <= 2 * COLUMNS);
    bool up = false, down = false;
    for (int64_t i = 0; i < n; i++) {
        up |= chosen[i] == 437;
        down |= chosen[i] == 438;
        if (i > 0) assert_true(chosen[i] > chosen[i - 1]);
    }
    assert_true(up && down);
    assert_int_equal(series_envelope(x, y, N, COLUMNS, low, high), COLUMNS);
    assert_true(low[4] == 438 && high[4] == 437);

    assert_int_equal(series_thin(x, y, 20, COLUMNS, chosen), 20);
    assert_int_equal(chosen[19], 19);
    for (int i = 0; i < N; i++) x[i] = 3; /* no range at all */
    assert_int_equal(series_thin(x, y, N, COLUMNS, chosen), 2);
}

static void smoothing_is_a_weighted_mean(void **state)
{
    (void)state;
    enum { N = 101 };
    double x[N], y[N], out[3];
    for (int i = 0; i < N; i++) {
        x[i] = i < 50 ? i : i + 400; /* a gap */
        y[i] = 2 * x[i] + 1;
    }
    /* A line is its own mean away from its ends; in the gap the nearest point answers. */
    series_smooth(x, y, N, 3, (const double[]){25, 200, 480}, 3, out);
    assert_true(fabs(out[0] - 51) < 1e-9 && fabs(out[2] - 961) < 1e-9);
    assert_true(out[1] == y[49]);
    series_smooth(x, y, N, 3, (const double[]){400, 1e6}, 2, out);
    assert_true(out[0] == y[50] && out[1] == y[N - 1]);
    double expected = 0, weights = 0; /* at the end, by hand */
    for (int i = 0; i <= 9; i++) {
        double weight = exp(-0.5 * i * i / 9.0);
        expected += weight * y[i];
        weights += weight;
    }
    series_smooth(x, y, N, 3, (const double[]){0}, 1, out);
    assert_true(fabs(out[0] - expected / weights) < 1e-9);

    double values[] = {5, 1, 4, 2, 3};
    assert_true(series_quantile(values, 5, 0) == 1);
    assert_true(series_quantile(values, 5, 0.5) == 3);
    assert_true(series_quantile(values, 5, 0.99) == 5);
}

/* ---- the script ---- */

static bool gnuplot_is_absent(void)
{
    if (!gnuplot_check()) return false;
    print_message("no gnuplot: pages are not drawn\n");
    return true;
}

/* gnuplot itself must read back, and do, nothing but the text. */
static void any_text_is_only_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"plain 50 %d", "plain 50 %d"},
        {"it's ''", "it's ''"},
        {"\\n`touch x` $(touch x) @x {/:Bold} \"", "\\n`touch x` $(touch x) @x {/:Bold} \""},
        {"a\nb\tc\x01\x7f.", "a b c  ."},
        {"\xc3\xa9\xe2\x90\xa3", "\xc3\xa9\xe2\x90\xa3"},
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xef\xbf\xbf\xef\xbf\xbe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"", ""},
    };
    Text script = {0};
    if (gnuplot_is_absent()) return;
    text_append(&script, "set print '-'\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_append(&script, "print ");
        gnuplot_quote(&script, cases[i].text, strlen(cases[i].text));
        text_append(&script, "\n");
    }
    char *printed;
    size_t size, at = 0;
    must(gnuplot_run(script.data, script.length, &printed, &size));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strcspn(printed + at, "\n");
        assert_int_equal(length, strlen(cases[i].printed));
        assert_memory_equal(printed + at, cases[i].printed, length);
        at += length + 1;
    }
    assert_int_equal(at, size);
    free(printed);
    text_destroy(&script);
}

static void a_broken_script_is_told(void **state)
{
    (void)state;
    char *picture;
    size_t size;
    const char script[] = "plot nonsense\n";
    if (gnuplot_is_absent()) return;
    assert_int_equal(gnuplot_run(script, strlen(script), &picture, &size), WF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(wf_error_message(), "nonsense"));
}

static void without_gnuplot_it_says_what_to_install(void **state)
{
    (void)state;
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    setenv("PATH", folder, 1);
    assert_int_equal(gnuplot_check(), WF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(wf_error_message(), "gnuplot-nox"));
    setenv("PATH", path, 1);
    free(path);
}

/* ---- the command ---- */

static int shell(const char *format, ...) PRINTF_LIKE(1, 2);
static int shell(const char *format, ...)
{
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return folder_run(command);
}
#define WAVEFIELD WAVEFIELD_BINARY " "

static void shell_ok(const char *command)
{
    int status = shell("%s", command);
    if (status) print_error("%s\n%s\n", command, output);
    assert_int_equal(status, 0);
}

/* A run of a few steps, in a folder whose name asks for trouble. */
#define RUN "\"it's a <run> & \\$(touch oops)\""

#define TRAIN                                                                                      \
    "train --config demo --set embedding_dim=16 num_layers=3 num_heads=2 ffn_dim=24 "              \
    "field_size=70 max_seq_len=32 --data data.txt --device cpu --steps 12 --batch-size 4 "         \
    "--save-every 6 --eval-every 4 "

static void train(void)
{
    FILE *file = fopen(IN_FOLDER("data.txt"), "w");
    assert_non_null(file);
    for (int i = 0; i < 400; i++) fprintf(file, "the fox %s the hen.\n", i % 3 ? "sees" : "hears");
    assert_int_equal(fclose(file), 0);
    shell_ok(WAVEFIELD TRAIN "--tokenizer byte --out " RUN);
    shell_ok(WAVEFIELD TRAIN "--tokenizer char --steps 1 --out chars");
}

static void check_svg(const char *name, const char *texts)
{
    if (shell("command -v python3") != 0) {
        print_message("no python3: %s is not checked\n", name);
        return;
    }
    int status = shell("python3 %s svg %s %s", CHECK_PAGE, name, texts);
    if (status) print_error("%s\n", output);
    assert_int_equal(status, 0);
}

#define CURVES "Loss Accuracy 'Learning rate' 'Gradient norm' Throughput "
#define WAVES  "'Wave kernels' Reach Coupling 'Field energy' 'context, 32 tokens' "

static void a_run_becomes_a_page(void **state)
{
    (void)state;
    train();
    if (gnuplot_is_absent()) return;
    shell_ok(WAVEFIELD "plot " RUN " --device cpu");
    assert_says("wrote plot.svg (1400 x ");
    check_svg("plot.svg", CURVES WAVES "'layer 0' 'layer 1' 'layer 2' " RUN);
    assert_int_equal(shell("test -e oops || test -e " RUN "/oops"), 1);

    shell_ok(WAVEFIELD "plot " RUN " --device cpu --width 900 --out \"a 'page'.png\"");
    int width, height;
    const char *size = strrchr(output, '(');
    assert_non_null(size);
    assert_int_equal(sscanf(size, "(%d x %d)", &width, &height), 2);
    assert_int_equal(width, 900);
    if (shell("command -v python3") == 0) {
        int status = shell("python3 %s png \"a 'page'.png\" %d %d", CHECK_PAGE, width, height);
        if (status) print_error("%s\n", output);
        assert_int_equal(status, 0);
    }

    /* The script alone gives the same page. */
    shell_ok(WAVEFIELD "plot " RUN " --device cpu --out page.gp");
    shell_ok("gnuplot page.gp > again.svg && cmp plot.svg again.svg");
}

static void a_model_without_a_run_has_its_own_panels(void **state)
{
    (void)state;
    if (gnuplot_is_absent()) return;
    shell_ok(WAVEFIELD "plot " RUN "/step-00000006 --device cpu --out model.svg "
                       "--text '<x> %d \"& @\\`%'");
    check_svg("model.svg", WAVES "step-00000006 '<' x '>' '%' d '\"' '&' '@' '\\' '`'");
    if (shell("command -v python3") == 0)
        assert_int_equal(shell("python3 %s svg model.svg Loss", CHECK_PAGE), 1);

    /* The least there can be: one layer, one head, one token, one step of nothing but zeros. */
    shell_ok(WAVEFIELD TRAIN "--set num_layers=1 num_heads=1 --tokenizer byte --out least");
    shell_ok("echo '{\"step\":1,\"loss\":0,\"accuracy\":0,\"gradient_norm\":0,"
             "\"learning_rate\":0,\"tokens\":0,\"seconds\":0}' > least/metrics.jsonl");
    shell_ok(WAVEFIELD "plot least --device cpu --text x --out least.svg");
    check_svg("least.svg", CURVES WAVES "x");

    /* Layers of attention have nothing to show. */
    shell_ok(WAVEFIELD TRAIN
             "--steps 1 --set mixer=wave,attention,wave --tokenizer byte --out mixed");
    shell_ok(WAVEFIELD "plot mixed --device cpu --text fox --out mixed.svg");
    check_svg("mixed.svg", CURVES WAVES "'layer 0' 'layer 2'");
    shell_ok(WAVEFIELD TRAIN "--steps 1 --set mixer=attention --tokenizer byte --out other");
    shell_ok(WAVEFIELD "plot other --device cpu --text fox --out other.svg");
    check_svg("other.svg", CURVES);
    if (shell("command -v python3") == 0) {
        assert_int_equal(shell("python3 %s svg mixed.svg 'layer 1'", CHECK_PAGE), 1);
        assert_int_equal(shell("python3 %s svg other.svg Reach", CHECK_PAGE), 1);
    }

    /* Metrics of a run that has saved nothing yet, and was killed while it wrote a line. */
    shell_ok("mkdir young && head -n 3 " RUN "/metrics.jsonl > young/metrics.jsonl && "
             "printf '{\"step\":4,\"lo' >> young/metrics.jsonl");
    shell_ok(WAVEFIELD "plot young --device cpu --out young.svg");
    assert_says("line 4 is half-written");
    assert_says("no checkpoint yet");
    check_svg("young.svg", CURVES);
}

static void what_cannot_be_drawn_is_told_and_nothing_is_written(void **state)
{
    (void)state;
    assert_int_equal(shell(WAVEFIELD "plot"), 2);
    assert_says("DIR is required");
    assert_int_equal(shell(WAVEFIELD "plot one two"), 2);
    assert_says("\"two\"");
    assert_int_equal(shell(WAVEFIELD "plot " RUN " --out page.pdf"), 2);
    assert_says(".svg, .png or .gp");
    assert_int_equal(shell(WAVEFIELD "plot " RUN " --width 10"), 2);
    assert_int_equal(shell(WAVEFIELD "plot nowhere --out n.gp"), 1);
    assert_says("nowhere");
    assert_int_equal(shell("mkdir empty && " WAVEFIELD "plot empty --device cpu --out n.gp"), 1);
    assert_says("empty");
    assert_int_equal(shell(WAVEFIELD "plot " RUN " --device cpu --text '' --out n.gp"), 1);
    assert_says("--text");
    assert_int_equal(shell(WAVEFIELD "plot chars --device cpu --text 'QQQ' --out n.gp"), 1);
    assert_says("--text");
    shell_ok("mkdir broken && echo nonsense > broken/metrics.jsonl");
    assert_int_equal(shell(WAVEFIELD "plot broken --device cpu --out n.gp"), 1);
    assert_says("broken/metrics.jsonl: line 1");
    assert_int_equal(shell("PATH=/nowhere " WAVEFIELD "plot " RUN " --device cpu --out n.svg"), 1);
    assert_says("gnuplot-nox");
    assert_int_equal(shell("ls n.svg n.gp n.svg.part n.gp.part 2>/dev/null | grep -q ."), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_is_read),
        cmocka_unit_test(a_half_written_last_line_is_left_out),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(thinning_keeps_every_peak),
        cmocka_unit_test(smoothing_is_a_weighted_mean),
        cmocka_unit_test(any_text_is_only_text),
        cmocka_unit_test(a_broken_script_is_told),
        cmocka_unit_test(without_gnuplot_it_says_what_to_install),
        cmocka_unit_test(a_run_becomes_a_page),
        cmocka_unit_test(a_model_without_a_run_has_its_own_panels),
        cmocka_unit_test(what_cannot_be_drawn_is_told_and_nothing_is_written),
    };
    return cmocka_run_group_tests_name("plot", tests, folder_set_up, folder_tear_down);
}
