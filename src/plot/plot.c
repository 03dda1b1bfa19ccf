#include "plot/plot.h"

#include "model/model.h"
#include "plot/curves.h"
#include "plot/energy.h"
#include "plot/waves.h"
#include "wavefield/inspect.h"

#include <stdio.h>

/* ---- what stands at the top ---- */

/* "1,234,567" */
static void add_count(Text *text, double count)
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.0f", count);
    for (int i = 0; i < n; i++) {
        text_append_bytes(text, digits + i, 1);
        if ((n - i - 1) % 3 == 0 && i + 1 < n) text_append(text, ",");
    }
}

static wf_status describe_model(const wf_model *model, Text *text)
{
    const Config *c = model->config;
    int64_t parameters;
    int waves = wf_model_wave_layers(model, NULL, 0);
    TRY(wf_config_parameters(c, &parameters));
    text_append(text, "Wave Field version %s, ", c->version == MODEL_V4 ? "4" : "3.5");
    add_count(text, (double)parameters);
    text_append(text, " parameters: %lld layers", (long long)c->num_layers);
    if (waves < c->num_layers) text_append(text, " (%d with a field)", waves);
    text_append(text, " of %lld heads, width %lld, context ", (long long)c->num_heads,
                (long long)c->embedding_dim);
    add_count(text, (double)c->max_seq_len);
    text_append(text, " tokens");
    if (waves == 0) return WF_OK;
    text_append(text, " on ");
    add_count(text, (double)c->field_size);
    text_append(text, " cells, %.3g a token", wf_model_stride(model));
    return WF_OK;
}

static void describe_duration(Text *text, double seconds)
{
    if (seconds >= 3600)
        text_append(text, "%.1f hours", seconds / 3600);
    else if (seconds >= 60)
        text_append(text, "%.1f minutes", seconds / 60);
    else
        text_append(text, "%.1f seconds", seconds);
}

static void describe_run(const History *history, Text *text)
{
    double tokens = 0, seconds = 0;
    for (int i = 0; i < history->n_steps; i++) {
        tokens += history->steps[i].tokens;
        seconds += history->steps[i].seconds;
    }
    text_append(text, "Step ");
    add_count(text, (double)history->steps[history->n_steps - 1].step);
    text_append(text, ", ");
    add_count(text, tokens);
    text_append(text, " tokens in ");
    describe_duration(text, seconds);
    if (history->n_evaluations > 0) {
        const HistoryEvaluation *last = &history->evaluations[history->n_evaluations - 1];
        text_append(text, "; on held-out text loss %.4f, accuracy %.2f %%", last->loss,
                    100 * last->accuracy);
    }
}

static wf_status draw_header(Page *page, const PlotSubject *subject, int *bottom)
{
    Text line = {0};
    int y = 44;
    page_bare(page);
    page_text(page, 40, y, 1.9, COLOUR_INK, subject->name);
    y += 26;
    wf_status status = subject->model ? describe_model(subject->model, &line) : WF_OK;
    if (!status && line.data) {
        page_text(page, 40, y, 1.05, COLOUR_GREY, line.data);
        y += 20;
    }
    page->body.failed |= line.failed;
    text_destroy(&line);
    line = (Text){0};
    if (!status && subject->history && subject->history->n_steps > 0) {
        describe_run(subject->history, &line);
        if (line.data) page_text(page, 40, y, 1.05, COLOUR_GREY, line.data);
        y += 20;
    }
    page->body.failed |= line.failed;
    text_destroy(&line);
    page_bare_end(page);
    *bottom = y + 34;
    return status;
}

wf_status plot_draw(const PlotSubject *subject, Page *page)
{
    int y;
    *page = (Page){0};
    TRY(draw_header(page, subject, &y));
    if (subject->history) TRY(curves_draw(page, subject->history, y, &y));
    if (subject->model) TRY(waves_draw(page, subject->model, y, &y));
    if (subject->model && subject->tokens)
        TRY(energy_draw(page, subject->model, subject->tokens, subject->n, subject->total, y, &y));
    page->height = y;
    return WF_OK;
}
