#include "plot/energy.h"

#include "model/model.h"
#include "plot/gnuplot.h"
#include "plot/series.h"
#include "wavefield/inspect.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct EnergyMap {
    const wf_model *model;
    const int32_t *tokens;
    int64_t n, heads, rows; /* rows: wave layers · heads */
    int n_layers;
    int *layers;    /* [n_layers] */
    double *energy; /* [rows, n] */
} EnergyMap;

static wf_status map_create(wf_model *model, const int32_t *tokens, int64_t n, EnergyMap *map)
{
    int n_layers = wf_model_wave_layers(model, NULL, 0);
    int64_t heads = model->config->num_heads, rows = n_layers * heads;
    *map = (EnergyMap){.model = model,
                       .tokens = tokens,
                       .n = n,
                       .heads = heads,
                       .rows = rows,
                       .n_layers = n_layers,
                       .layers = calloc((size_t)n_layers + 1, sizeof *map->layers),
                       .energy = calloc((size_t)(rows * n) + 1, sizeof *map->energy)};
    if (!map->layers || !map->energy)
        return fail(WF_ERROR_MEMORY, "out of memory for the energy of %lld tokens", (long long)n);
    wf_model_wave_layers(model, map->layers, n_layers);
    return n_layers ? wf_model_field_energy(model, tokens, n, NULL, map->energy) : WF_OK;
}

static void map_free(EnergyMap *map)
{
    free(map->layers);
    free(map->energy);
}

/* ---- a token's name ---- */

/* What stands under a token's column: its text, with blanks made visible; its number where it
 * stands for none. */
static void token_name(const EnergyMap *map, int64_t i, Text *name)
{
    const wf_tokenizer *tokenizer = wf_model_tokenizer(map->model);
    const char *piece;
    size_t length;
    if (!tokenizer || wf_tokenizer_piece(tokenizer, map->tokens[i], &piece, &length) || !length) {
        text_append(name, "%d", (int)map->tokens[i]);
        return;
    }
    for (size_t k = 0; k < length; k++) {
        if (piece[k] == ' ')
            text_append(name, "\xe2\x90\xa3"); /* an open box */
        else if (piece[k] == '\n')
            text_append(name, "\xe2\x8f\x8e"); /* a return key */
        else
            text_append_bytes(name, piece + k, 1);
    }
}

static size_t characters(const Text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->length; i++)
        count += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    return count;
}

/* Labels and not ticks: in a tick's name % would be a format. */
static void add_token_name(Page *page, const Text *name, int64_t i, bool upright)
{
    text_append(&page->body, "set label %d ", ++page->labels);
    gnuplot_quote(&page->body, name->data ? name->data : "", name->length);
    page_add(page,
             " at first %lld, graph 0 offset 0,-0.7 %s noenhanced font ',11' tc rgb '#444444'",
             (long long)i, upright ? "center" : "rotate by 90 right");
}

/* Upright where each is one character; returns whether they are. */
static bool add_token_names(Page *page, const EnergyMap *map)
{
    bool upright = true;
    Text name = {0};
    for (int64_t i = 0; i < map->n; i++, name.length = 0) {
        token_name(map, i, &name);
        upright &= characters(&name) <= 1;
    }
    for (int64_t i = 0; i < map->n; i++, name.length = 0) {
        token_name(map, i, &name);
        add_token_name(page, &name, i, upright);
    }
    page->body.failed |= name.failed;
    text_destroy(&name);
    return upright;
}

/* ---- the map ---- */

/* log10 of the energies; what is 0 gets the least of the others. */
static int add_matrix(Page *page, const EnergyMap *map, double least)
{
    int block = page_block(page);
    for (int64_t row = 0; row < map->rows; row++) {
        for (int64_t i = 0; i < map->n; i++) {
            double energy = map->energy[row * map->n + i];
            text_append(&page->body, "%.3f ", energy > 0 ? log10(energy) : least);
        }
        page_add(page, "%s", "");
    }
    page_block_end(page);
    return block;
}

/* Colours span all but the most extreme energies. Returns the least. */
static double set_colours(Page *page, const EnergyMap *map, double *sorted)
{
    int64_t n = 0;
    double low = 0, high = 0;
    for (int64_t i = 0; i < map->rows * map->n; i++)
        if (map->energy[i] > 0) sorted[n++] = log10(map->energy[i]);
    if (n > 0) low = series_quantile(sorted, n, 0.01);
    if (n > 0) high = series_quantile(sorted, n, 0.995);
    page_add(page, "set cbrange [%.3f:%.3f]", low, fmax(high, low + 0.1));
    page_add(page, "set cbtics %s\nset format cb '%%g'", high - low > 2 ? "1" : "0.5");
    page_add(page,
             "set palette defined (0 '#440154', 0.25 '#3b528b', 0.5 '#21918c', 0.75 '#5ec962', "
             "1 '#fde725')");
    return n > 0 ? sorted[0] : 0;
}

/* Heads' numbers where rows are high enough for at least every fourth. */
static void add_head_marks(Page *page, const EnergyMap *map, Box box)
{
    enum { LEAST = 11 };
    double row = (double)box.height / (double)map->rows;
    int64_t every = row >= LEAST ? 1 : (int64_t)ceil(LEAST / row);
    page_add(page, "unset ytics");
    if (every > 4) return;
    text_append(&page->body, "set ytics scale 0 font ',10' tc rgb '#444444' (");
    for (int64_t k = 0; k < map->n_layers; k++)
        for (int64_t h = 0; h == 0 || h + every <= map->heads; h += every)
            text_append(&page->body, "%s'%lld' %lld", k + h > 0 ? ", " : "", (long long)h,
                        (long long)(k * map->heads + h));
    page_add(page, ")");
}

static void add_layer_names(Page *page, const EnergyMap *map, Box box)
{
    enum { BESIDE = 74 };
    for (int k = 0; k < map->n_layers; k++) {
        double top = (double)(k * map->heads) - 0.5, middle = top + 0.5 * (double)map->heads;
        page_add(page,
                 "set label %d 'layer %d' at screen X(%d), first %g left font ',11' tc rgb '%s'",
                 ++page->labels, map->layers[k], box.x - BESIDE, middle, COLOUR_INK);
        if (k > 0)
            page_add(page,
                     "set arrow from graph 0, first %g to graph 1, first %g nohead front lw 2 "
                     "lc rgb 'white'",
                     top, top);
    }
}

static wf_status draw(Page *page, const EnergyMap *map, int64_t total, int y, int *bottom)
{
    enum { COLOURS = 74 };
    char note[160];
    double *sorted = calloc((size_t)(map->rows * map->n), sizeof *sorted);
    if (!sorted) return fail(WF_ERROR_MEMORY, "out of memory for an energy map");
    int height = (int)fmin(fmax(17.0 * (double)map->rows, 140), 640);
    Box box = {PAGE_LEFT + 16, y, PAGE_RIGHT - PAGE_LEFT - 16 - COLOURS, height};
    int n =
        snprintf(note, sizeof note,
                 "log\xe2\x82\x81\xe2\x82\x80 \xe2\x80\x96r\xe2\x80\x96\xc2\xb2 that each token "
                 "reads from each head's wave");
    if (total > map->n)
        snprintf(note + n, sizeof note - (size_t)n, "; the first %lld of %lld tokens",
                 (long long)map->n, (long long)total);
    page_panel(page, box, "Field energy", note);
    page_add(page, "unset grid\nunset border\nunset xtics");
    bool upright = add_token_names(page, map);
    add_head_marks(page, map, box);
    add_layer_names(page, map, box);
    double least = set_colours(page, map, sorted);
    page_add(page,
             "set colorbox user origin screen X(%d), screen Y(%d) size screen %g, screen "
             "(Y(0) - Y(%d)) noborder",
             box.x + box.width + 16, box.y + box.height, 14.0 / PAGE_WIDTH, box.height);
    int block = add_matrix(page, map, least);
    page_fields(page, block, map->n, map->rows, box, "");
    free(sorted);
    *bottom = y + height + (upright ? 50 : 110);
    return WF_OK;
}

wf_status energy_draw(Page *page, wf_model *model, const int32_t *tokens, int64_t n, int64_t total,
                      int y, int *bottom)
{
    EnergyMap map;
    wf_status status = map_create(model, tokens, n, &map);
    *bottom = y;
    if (!status && map.rows > 0) status = draw(page, &map, total, y, bottom);
    map_free(&map);
    return status;
}
