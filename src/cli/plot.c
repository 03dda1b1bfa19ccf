/* wavefield plot: a page that shows a training run and its model. */
#include "plot/plot.h"

#include "base/files.h"
#include "cli/common.h"
#include "plot/gnuplot.h"
#include "wavefield/generate.h"
#include "wavefield/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of the energy map: each has its token's name below. */
enum { MOST_TOKENS = 128, OWN_TOKENS = 96, MOST_WIDTH = 16384 };

typedef struct PlotValues {
    const char *folder, *out, *text, *device;
    int64_t width;
} PlotValues;

typedef struct PlotRun {
    const PlotValues *values;
    PageFormat format;
    wf_device *device;
    wf_model *model;
    char *metrics; /* path */
    History history;
    bool has_history;
    Text text;
    wf_tokens tokens;
} PlotRun;

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), n = strlen(end);
    return length > n && !strcmp(text + length - n, end);
}

static bool choose_format(const char *path, PageFormat *format)
{
    static const struct {
        const char *end;
        PageFormat format;
    } formats[] = {{".svg", PAGE_SVG}, {".png", PAGE_PNG}, {".gp", PAGE_SCRIPT}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!ends_in(path, formats[i].end)) continue;
        *format = formats[i].format;
        return true;
    }
    return false;
}

/* ---- what there is to show ---- */

static wf_status load_history(PlotRun *run)
{
    run->metrics = path_join(run->values->folder, "metrics.jsonl");
    if (!run->metrics) return fail(WF_ERROR_MEMORY, "out of memory for a path");
    run->has_history = file_exists(run->metrics);
    if (!run->has_history) return WF_OK;
    TRY(history_read(run->metrics, &run->history));
    if (run->history.unfinished)
        fprintf(stderr, "wavefield plot: %s: line %lld is half-written and was left out\n",
                run->metrics, (long long)run->history.unfinished);
    return WF_OK;
}

/* A run that has not saved anything yet has curves and no model. */
static bool is_unsaved(const PlotRun *run)
{
    char newest[4096], *config = path_join(run->values->folder, "config.json");
    bool saved = !config || file_exists(config) ||
                 !wf_checkpoint_latest(run->values->folder, newest, sizeof newest);
    free(config);
    return run->has_history && !saved;
}

static wf_status load_model(PlotRun *run)
{
    if (is_unsaved(run)) {
        fprintf(stderr, "wavefield plot: %s holds no checkpoint yet: its curves only\n",
                run->values->folder);
        return WF_OK;
    }
    TRY(wf_device_open(run->values->device, &run->device));
    return model_open(run->device, run->values->folder, NULL, &run->model);
}

/* ---- the text whose energy is shown ---- */

static int emit(void *context, const char *text, size_t length)
{
    Text *into = context;
    text_append_bytes(into, text, length);
    return into->failed;
}

/* Without --text, what the model itself writes: any tokenizer has tokens for it. */
static wf_status choose_text(PlotRun *run)
{
    if (run->values->text) {
        text_append(&run->text, "%s", run->values->text);
    } else {
        int64_t n = config_integer(wf_model_config(run->model), "max_seq_len");
        wf_status status = wf_generate(
            run->model,
            wf_generate_params(.prompt = "", .max_tokens = n < OWN_TOKENS ? n : OWN_TOKENS,
                               .sampler = {.temperature = 0.8, .top_p = 0.95},
                               .ignore_end_of_text = 1, .emit = emit, .context = &run->text));
        if (status) return fail_within(status, "a text by the model (--text gives another)");
    }
    return run->text.failed ? fail(WF_ERROR_MEMORY, "out of memory for a text") : WF_OK;
}

static wf_status encode_given(PlotRun *run)
{
    wf_status status = wf_tokenizer_encode(wf_model_tokenizer(run->model), run->text.data,
                                           run->text.length, 0, &run->tokens);
    if (status) return fail_within(status, "--text");
    return run->tokens.count ? WF_OK : fail(WF_ERROR_ARGUMENT, "--text has no tokens");
}

/* A model may break off within a character, or write nothing that can be read. */
static wf_status encode_own(PlotRun *run)
{
    const wf_tokenizer *tokenizer = wf_model_tokenizer(run->model);
    const char *text = run->text.data ? run->text.data : "";
    size_t length = run->text.length;
    wf_status status = wf_tokenizer_encode(tokenizer, text, length, 0, &run->tokens);
    if (status == WF_ERROR_FORMAT)
        status = wf_tokenizer_encode(tokenizer, text, utf8_check(text, length), 0, &run->tokens);
    if (!status && run->tokens.count == 0)
        fputs("wavefield plot: the model writes no text: give one with --text to see its energy\n",
              stderr);
    return status;
}

static wf_status load_text(PlotRun *run)
{
    if (!run->model) return WF_OK;
    if (!wf_model_tokenizer(run->model)) {
        if (run->values->text)
            return fail(WF_ERROR_ARGUMENT, "--text: the model has no tokenizer to read it with");
        return WF_OK;
    }
    TRY(choose_text(run));
    return run->values->text ? encode_given(run) : encode_own(run);
}

/* ---- the page ---- */

/* The folder's own name, whatever way it was written. */
static char *folder_name(const char *folder)
{
    char *whole = realpath(folder, NULL);
    const char *slash = whole ? strrchr(whole, '/') : NULL;
    char *name = strdup(slash && slash[1] ? slash + 1 : folder);
    free(whole);
    return name;
}

static wf_status draw(PlotRun *run, const char *name, Page *page)
{
    int64_t n = (int64_t)run->tokens.count;
    PlotSubject subject = {.name = name,
                           .history = run->has_history ? &run->history : NULL,
                           .model = run->model,
                           .tokens = run->tokens.count ? run->tokens.items : NULL,
                           .total = n};
    if (run->model) {
        int64_t context = config_integer(wf_model_config(run->model), "max_seq_len");
        int64_t most = context < MOST_TOKENS ? context : MOST_TOKENS;
        subject.n = n < most ? n : most;
    }
    return plot_draw(&subject, page);
}

static wf_status write_page(PlotRun *run)
{
    Page page = {0};
    char *picture = NULL, *name = folder_name(run->values->folder);
    size_t size;
    int height, width = run->format == PAGE_PNG ? (int)run->values->width : PAGE_WIDTH;
    if (!name) return fail(WF_ERROR_MEMORY, "out of memory for a name");
    wf_status status = draw(run, name, &page);
    if (!status) status = page_render(&page, run->format, width, &picture, &size, &height);
    if (!status) status = file_write_atomic(run->values->out, picture, size);
    if (!status) printf("wrote %s (%d x %d)\n", run->values->out, width, height);
    page_destroy(&page);
    free(picture);
    free(name);
    return status;
}

static wf_status plot(PlotRun *run)
{
    const PlotValues *v = run->values;
    if (!folder_exists(v->folder)) return fail(WF_ERROR_IO, "%s: no such folder", v->folder);
    if (run->format != PAGE_SCRIPT) TRY(gnuplot_check());
    TRY(load_history(run));
    TRY(load_model(run));
    TRY(load_text(run));
    return write_page(run);
}

static int run(const void *values)
{
    const PlotValues *v = values;
    PlotRun run = {.values = v};
    if (!choose_format(v->out, &run.format))
        return usage_error("plot", "--out %s: expected a name that ends in .svg, .png or .gp",
                           v->out);
    if (v->width < 200 || v->width > MOST_WIDTH)
        return usage_error("plot", "--width expects 200 to %d, found %lld", MOST_WIDTH,
                           (long long)v->width);
    int exit_status = finish("plot", plot(&run));
    history_destroy(&run.history);
    free(run.metrics);
    wf_tokens_free(&run.tokens);
    text_destroy(&run.text);
    wf_model_destroy(run.model);
    wf_device_close(run.device);
    return exit_status;
}

static const Option options[] = {
    OPERAND(PlotValues, folder, "DIR", "a training folder, or a model's", .names = NAMES_FOLDER),
    OPTION(PlotValues, out, "out", TEXT, "FILE", "plot.svg",
           "the page: FILE.svg, FILE.png, or FILE.gp, the gnuplot script that draws it",
           .names = NAMES_OUTPUT),
    OPTION(PlotValues, text, "text", TEXT, "TEXT", NULL,
           "the text whose energy in the field is shown (default: one that the model writes)"),
    OPTION(PlotValues, width, "width", COUNT, "PIXELS", "1400", "of a PNG"),
    OPTION_DEVICE(PlotValues),
};

const Subcommand command_plot = {
    .name = "plot",
    .summary = "draw a training run and its model: curves, waves, energy",
    .details = "Shows metrics.jsonl, where DIR has one, and the finished model or the newest "
               "checkpoint. Needs gnuplot; docs/plot.md says how to read the page.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "What became of a run, and of its waves:\n"
                "  wavefield plot story\n"
                "As a picture of 2800 pixels, with the energy of a text of your own:\n"
                "  wavefield plot story --out story.png --width 2800 --text \"Once upon a time\"\n",
    .values_size = sizeof(PlotValues),
    .run = run,
};
