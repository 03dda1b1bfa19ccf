#include "plot/waves.h"

#include "model/model.h"
#include "plot/series.h"
#include "wavefield/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The share of Σ|k| that lies within a wave's reach. */
static const double REACH_SHARE = 0.95;

/* Least reach drawn, tokens: where the whole kernel sits at the token's own cell. */
static const double LEAST_REACH = 0.1;

enum { KERNEL_COLUMNS = 160 };

typedef struct Waves {
    const wf_model *model;
    int n_layers;
    int *layers; /* [n_layers] */
    int64_t heads, cells, context;
    double stride;
    double *reach;               /* [n_layers, heads] */
    double *kernel;              /* [heads, cells]: of the layer being drawn */
    double *tokens, *log_tokens; /* [cells]: t / stride, and log10(1 + it) */
    int64_t *chosen;             /* [2·KERNEL_COLUMNS] */
    double *coupling;            /* [n_layers, heads, heads] */
} Waves;

static void waves_free(Waves *waves)
{
    free(waves->layers);
    free(waves->reach);
    free(waves->kernel);
    free(waves->tokens);
    free(waves->log_tokens);
    free(waves->chosen);
    free(waves->coupling);
}

static wf_status waves_read(Waves *waves, const wf_model *model)
{
    const Config *config = model->config;
    int n = wf_model_wave_layers(model, NULL, 0);
    size_t heads = (size_t)config->num_heads, cells = (size_t)config->field_size;
    *waves = (Waves){.model = model,
                     .n_layers = n,
                     .heads = config->num_heads,
                     .cells = config->field_size,
                     .context = config->max_seq_len,
                     .stride = wf_model_stride(model),
                     .layers = calloc((size_t)n + 1, sizeof *waves->layers),
                     .reach = calloc((size_t)n * heads + 1, sizeof *waves->reach),
                     .kernel = calloc(heads * cells, sizeof *waves->kernel),
                     .tokens = calloc(cells, sizeof *waves->tokens),
                     .log_tokens = calloc(cells, sizeof *waves->log_tokens),
                     .chosen = calloc(2 * KERNEL_COLUMNS, sizeof *waves->chosen),
                     .coupling = calloc((size_t)n * heads * heads + 1, sizeof *waves->coupling)};
    if (!waves->layers || !waves->reach || !waves->kernel || !waves->tokens || !waves->log_tokens ||
        !waves->chosen || !waves->coupling)
        return fail(WF_ERROR_MEMORY, "out of memory for the waves of %d layers", n);
    wf_model_wave_layers(model, waves->layers, n);
    for (size_t t = 0; t < cells; t++) {
        waves->tokens[t] = (double)t / waves->stride;
        waves->log_tokens[t] = log10(1 + waves->tokens[t]);
    }
    for (int k = 0; k < n; k++) {
        double *coupling = waves->coupling + k * waves->heads * waves->heads;
        TRY(wf_model_wave_reach(model, waves->layers[k], REACH_SHARE,
                                waves->reach + k * waves->heads));
        TRY(wf_model_coupling(model, waves->layers[k], coupling));
    }
    return WF_OK;
}

/* ---- kernels ---- */

/* A head's kernel by its largest value, on the line y = -head. */
static int add_kernel(Page *page, const Waves *waves, int64_t head, double most)
{
    const double *kernel = waves->kernel + head * waves->cells;
    double largest = 0;
    for (int64_t t = 0; t < waves->cells; t++) largest = fmax(largest, fabs(kernel[t]));
    double scale = largest > 0 ? 0.46 / largest : 0;
    int64_t heard = (int64_t)fmin(ceil(most * waves->stride) + 1, (double)waves->cells);
    int64_t n = series_thin(waves->log_tokens, kernel, heard, KERNEL_COLUMNS, waves->chosen);
    int block = page_block(page);
    for (int64_t i = 0; i < n; i++) {
        int64_t t = waves->chosen[i];
        page_add(page, "%.5g %.4f", waves->tokens[t], scale * kernel[t] - (double)head);
    }
    page_block_end(page);
    return block;
}

/* Marks of a log10(1 + tokens) axis. */
static void set_distance_axis(Page *page, double most)
{
    static const int marks[] = {0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000};
    page_add(page, "set xrange [0:U(%g)]\nset xlabel 'distance, tokens'", most);
    text_append(&page->body, "set xtics (");
    for (size_t i = 0; i < sizeof marks / sizeof *marks && marks[i] <= most; i++)
        text_append(&page->body, "%s'%d' U(%d)", i ? ", " : "", marks[i], marks[i]);
    page_add(page, ")");
}

static void set_head_axis(Page *page, int64_t heads)
{
    page_add(page, "set yrange [%g:0.7]", 0.3 - (double)heads);
    text_append(&page->body, "set ytics scale 0 (");
    int64_t every = heads > 16 ? 4 : heads > 8 ? 2 : 1;
    for (int64_t h = 0; h < heads; h += every)
        text_append(&page->body, "%s'%lld' %lld", h ? ", " : "", (long long)h, (long long)-h);
    page_add(page, ")\nset ylabel 'head' offset 0,0");
}

static wf_status draw_kernels(Page *page, Waves *waves, int k, Box box, double most)
{
    char name[32];
    const double *reach = waves->reach + k * waves->heads;
    TRY(wf_model_wave_kernels(waves->model, waves->layers[k], waves->kernel));
    page_panel(page, box, NULL, NULL);
    snprintf(name, sizeof name, "layer %d", waves->layers[k]);
    page_text(page, box.x, box.y - 6, 1, COLOUR_INK, name);
    page_add(page, "U(x) = log10(1 + x)");
    set_distance_axis(page, most);
    set_head_axis(page, waves->heads);
    int first = page->blocks + 1;
    for (int64_t h = 0; h < waves->heads; h++) add_kernel(page, waves, h, most);
    int marks = page_block(page);
    for (int64_t h = 0; h < waves->heads; h++)
        page_add(page, "%.5g %lld", fmin(reach[h], most), (long long)-h);
    page_block_end(page);
    text_append(&page->body, "plot ");
    for (int64_t h = 0; h < waves->heads; h++)
        text_append(
            &page->body,
            "$d%lld using (U($1)):2 with filledcurves y=%lld fs transparent solid 0.18 noborder "
            "lc rgb '%s', $d%lld using (U($1)):2 with lines lw 1.4 lc rgb '%s', ",
            (long long)(first + h), (long long)-h, SHADE(h, waves->heads), (long long)(first + h),
            SHADE(h, waves->heads));
    page_add(page,
             "$d%d using (U($1)):2 with points pt 7 ps 0.7 lc rgb '%s', "
             "$d%d using (U($1)):2 with points pt 7 ps 0.45 lc rgb 'white'",
             marks, COLOUR_RED, marks);
    return WF_OK;
}

static double farthest(const Waves *waves)
{
    double most = 0;
    for (int64_t i = 0; i < waves->n_layers * waves->heads; i++) most = fmax(most, waves->reach[i]);
    return most;
}

static wf_status draw_all_kernels(Page *page, Waves *waves, int y, int *bottom)
{
    enum { GAP = 50, APART = 80 };
    int n = waves->n_layers, columns = n <= 4 ? n : n <= 8 ? 4 : 6;
    int width = (PAGE_RIGHT - PAGE_LEFT - GAP * (columns - 1)) / columns;
    int height = (int)fmin(fmax(42.0 * (double)waves->heads, 130), 300);
    double most = fmin((double)waves->context, fmax(2 * farthest(waves), 10));
    for (int k = 0; k < n; k++) {
        Box box = {PAGE_LEFT + k % columns * (width + GAP), y + k / columns * (height + APART),
                   width, height};
        TRY(draw_kernels(page, waves, k, box, most));
    }
    *bottom = y + (n + columns - 1) / columns * (height + APART);
    return WF_OK;
}

/* ---- reach ---- */

static void draw_reach(Page *page, const Waves *waves, Box box)
{
    char note[96];
    snprintf(note, sizeof note, "tokens within which %g %% of \xce\xa3|k| lies, by layer and head",
             100 * REACH_SHARE);
    page_panel(page, box, "Reach", note);
    int block = page_block(page);
    double least = 1;
    for (int k = 0; k < waves->n_layers; k++)
        for (int64_t h = 0; h < waves->heads; h++) {
            double place = (double)(h + 1) / (double)(waves->heads + 1) - 0.5;
            double reach = fmax(waves->reach[k * waves->heads + h], LEAST_REACH);
            least = fmin(least, reach);
            page_add(page, "%.4f %.5g 0x%s", k + 0.8 * place, reach, SHADE(h, waves->heads) + 1);
        }
    page_block_end(page);
    page_add(page, "set logscale y\nset yrange [%g:%g]\nset ylabel 'tokens'\nset format y '%%g'",
             least / 1.5, 2.2 * (double)waves->context);
    page_add(page, "set xrange [-0.5:%g]\nset xlabel 'layer'\nset grid noxtics",
             waves->n_layers - 0.5);
    text_append(&page->body, "set xtics scale 0 (");
    for (int k = 0; k < waves->n_layers; k++)
        text_append(&page->body, "%s'%d' %d", k ? ", " : "", waves->layers[k], k);
    page_add(page, ")");
    page_add(page,
             "set arrow 1 from graph 0, first %lld to graph 1, first %lld nohead dt 2 lw 1.2 "
             "lc rgb '%s'",
             (long long)waves->context, (long long)waves->context, COLOUR_RED);
    page_add(page,
             "set label %d 'context, %lld tokens' at graph 0.995, first %g right font ',11' tc "
             "rgb '%s'",
             ++page->labels, (long long)waves->context, 1.35 * (double)waves->context, COLOUR_RED);
    page_add(page,
             "plot $d%d using 1:2:3 with impulses lw 2 lc rgb variable, "
             "$d%d using 1:2:3 with points pt 7 ps 0.8 lc rgb variable",
             block, block);
}

/* ---- coupling ---- */

/* Shares are printed where they fit, else heads are marked so that their numbers fit. */
static void draw_coupling(Page *page, const Waves *waves, int k, double most, Box box)
{
    char text[256] = "";
    int64_t heads = waves->heads, field = box.width / heads;
    int64_t every = field >= 14 ? 1 : int64_max(heads - 1, 1);
    const double *coupling = waves->coupling + k * heads * heads;
    page_panel(page, box, NULL, NULL);
    snprintf(text, sizeof text, "layer %d", waves->layers[k]);
    page_text(page, box.x, box.y - 6, 1, COLOUR_INK, text);
    int block = page_block(page);
    for (int64_t a = 0; a < heads; a++) {
        for (int64_t b = 0; b < heads; b++)
            text_append(&page->body, "%.4f ", coupling[a * heads + b]);
        page_add(page, "%s", "");
    }
    page_block_end(page);
    page_add(page,
             "unset grid\nunset border\nset tics scale 0 font ',11'\nset xtics %lld offset "
             "0,0.5\nset ytics %lld offset 0.7,0\nset cbrange [0:%.4f]",
             (long long)every, (long long)every, most);
    page_add(page, "set palette defined (0 '#f7fafd', 0.25 '#c3d9ec', 0.6 '#4a8ac4', 1 '#08306b')");
    text[0] = 0;
    if (field >= 26)
        snprintf(text, sizeof text,
                 ", $d%d matrix using 1:2:(sprintf('%%.2f', $3)):($3 > %.4f ? 0xffffff : 0x333333) "
                 "with labels font ',10' tc rgb variable",
                 block, 0.5 * most);
    page_fields(page, block, heads, heads, box, text);
}

enum { COUPLING_GAP = 34, COUPLINGS_APART = 46, COUPLING_HEADING = 14 };

/* Six small ones a row at most. */
static int couplings_height(int n_layers)
{
    enum { LEAST = 330, LEAST_SIDE = 46 };
    int rows = (n_layers + 5) / 6;
    int needed = COUPLING_HEADING + rows * (LEAST_SIDE + COUPLINGS_APART);
    return needed > LEAST ? needed : LEAST;
}

/* The number of columns that makes n squares in a box largest. */
static int best_columns(int n, Box box, int gap, int apart, int *side)
{
    int best = 1;
    *side = 0;
    for (int columns = 1; columns <= n; columns++) {
        int rows = (n + columns - 1) / columns;
        int across = (box.width - gap * (columns - 1)) / columns;
        int down = (box.height - apart * (rows - 1)) / rows;
        int fits = across < down ? across : down;
        if (fits <= *side) continue;
        *side = fits;
        best = columns;
    }
    return best;
}

static void draw_all_couplings(Page *page, const Waves *waves, Box box)
{
    char note[96];
    double most = 0;
    for (int64_t i = 0; i < waves->n_layers * waves->heads * waves->heads; i++)
        most = fmax(most, waves->coupling[i]);
    snprintf(note, sizeof note, "share of head (column) that head (row) reads, 0 to %.2f", most);
    page_heading(page, box.x, box.y, "Coupling", note);
    box.y += COUPLING_HEADING;
    box.height -= COUPLING_HEADING;
    int side, columns = best_columns(waves->n_layers, box, COUPLING_GAP, COUPLINGS_APART, &side);
    for (int k = 0; k < waves->n_layers; k++)
        draw_coupling(page, waves, k, most,
                      (Box){box.x + k % columns * (side + COUPLING_GAP),
                            box.y + k / columns * (side + COUPLINGS_APART), side, side});
}

/* ---- all ---- */

static wf_status draw(Page *page, Waves *waves, int y, int *bottom)
{
    enum { GAP = 84, REACH_WIDTH = 720, HEADING = 26 };
    int height = couplings_height(waves->n_layers);
    bool gated = waves->model->config->spectral_gate;
    int right = PAGE_LEFT + REACH_WIDTH + GAP;
    *bottom = y;
    if (waves->n_layers == 0) return WF_OK;
    page_heading(page, PAGE_LEFT, y, "Wave kernels",
                 gated
                     ? "k(t) over its largest value, before the spectral gate; the dot is the reach"
                     : "k(t) over its largest value; the dot is the reach");
    TRY(draw_all_kernels(page, waves, y + HEADING, &y));
    y += 22;
    draw_reach(page, waves, (Box){PAGE_LEFT, y, REACH_WIDTH, height});
    draw_all_couplings(page, waves, (Box){right, y, PAGE_RIGHT - right, height});
    *bottom = y + height + 92;
    return WF_OK;
}

wf_status waves_draw(Page *page, const wf_model *model, int y, int *bottom)
{
    Waves waves;
    wf_status status = waves_read(&waves, model);
    if (!status) status = draw(page, &waves, y, bottom);
    waves_free(&waves);
    return status;
}
