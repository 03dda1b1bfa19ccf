#include "plot/page.h"

#include "plot/gnuplot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_add(Page *page, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_append(&page->body, "%s\n", line);
}

/* ---- panels ---- */

static const char panel_style[] = "set border 3 lc rgb '#8a8a8a' lw 0.8\n"
                                  "set tics out nomirror scale 0.4 tc rgb '#444444'\n"
                                  "set xlabel tc rgb '#444444' offset 0,0.35\n"
                                  "set ylabel tc rgb '#444444' offset 0.6,0\n"
                                  "set grid lt 1 lc rgb '#e9e9e9' lw 0.8\n"
                                  "unset key\n"
                                  "unset colorbox\n";

void page_text(Page *page, int x, int y, double size, const char *colour, const char *text)
{
    text_append(&page->body, "set label %d ", ++page->labels);
    gnuplot_quote(&page->body, text, strlen(text));
    page_add(page, " at screen X(%d), Y(%d) left noenhanced font ',%g' tc rgb '%s'", x, y,
             12 * size, colour);
}

static void add_title(Page *page, int x, int y, const char *title, const char *note)
{
    int after = x;
    if (title) {
        page_add(page,
                 "set label %d '{/:Bold %s}' at screen X(%d), Y(%d) left font ',14' tc rgb '%s'",
                 ++page->labels, title, x, y - 16, COLOUR_INK);
        after += 14 + 9 * (int)strlen(title);
    }
    if (note) page_text(page, after, y - 16, 0.92, COLOUR_GREY, note);
}

void page_bare(Page *page)
{
    page->labels = 0;
    page_add(page, "\nreset");
}

void page_bare_end(Page *page)
{
    page_add(page, "unset border\nunset tics\nunset key\nset xrange [0:1]\nset yrange [0:1]\n"
                   "plot NaN");
}

void page_heading(Page *page, int x, int y, const char *title, const char *note)
{
    page_bare(page);
    add_title(page, x, y, title, note);
    page_bare_end(page);
}

void page_panel(Page *page, Box box, const char *title, const char *note)
{
    page->labels = 0;
    page_add(page, "\nreset");
    text_append_bytes(&page->body, panel_style, sizeof panel_style - 1);
    page_add(page, "set lmargin at screen X(%d)\nset rmargin at screen X(%d)", box.x,
             box.x + box.width);
    page_add(page, "set tmargin at screen Y(%d)\nset bmargin at screen Y(%d)", box.y,
             box.y + box.height);
    add_title(page, box.x, box.y, title, note);
}

int page_block(Page *page)
{
    page_add(page, "$d%d << EOD", ++page->blocks);
    return page->blocks;
}

void page_block_end(Page *page)
{
    page_add(page, "EOD");
}

/* Some of the colour map "viridis" (van der Walt and Smith, 2015; in the public domain), short of
 * the yellow that white paper swallows. */
const char *page_shade(int64_t i, int64_t n, char *text)
{
    static const int stops[][3] = {
        {0x44, 0x01, 0x54}, {0x3b, 0x52, 0x8b}, {0x21, 0x91, 0x8c}, {0x5e, 0xc9, 0x62}};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    double at = n > 1 ? LAST * (double)i / (double)(n - 1) : 0;
    int stop = at < LAST ? (int)at : LAST - 1;
    int rgb[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = (int)(stops[stop][c] + (at - stop) * (stops[stop + 1][c] - stops[stop][c]) + 0.5);
    snprintf(text, 8, "#%02x%02x%02x", rgb[0] & 255, rgb[1] & 255, rgb[2] & 255);
    return text;
}

/* Viewers blur a picture that they enlarge, so a field is sampled every other unit at least, and
 * its edge is blurred by less than two; not for tens of thousands of fields, which need no edges.
 */
static int samples_of_field(int64_t columns, int64_t rows, Box box)
{
    const int64_t most = 120000;
    double width = (double)box.width / (double)columns, height = (double)box.height / (double)rows;
    int samples = (int)((width > height ? width : height) / 2) + 1;
    while (samples > 1 && columns * rows * samples * samples > most) samples--;
    return samples;
}

void page_fields(Page *page, int block, int64_t columns, int64_t rows, Box box, const char *more)
{
    int samples = samples_of_field(columns, rows, box);
    double edge = 0.5 - 0.5 / samples, right = (double)columns - 1, bottom = (double)rows - 1;
    page_add(page, "F(column, row) = real(word($d%d[int(row + 1.5)], int(column + 1.5)))", block);
    page_add(page, "set samples %lld\nset isosamples %lld", (long long)(columns * samples),
             (long long)(rows * samples));
    page_add(page, "set urange [%.9g:%.9g]\nset vrange [%.9g:%.9g]", -edge, right + edge, -edge,
             bottom + edge);
    page_add(page, "set xrange [-0.5:%g]\nset yrange [%g:-0.5]", right + 0.5, bottom + 0.5);
    page_add(page, "plot '++' using 1:2:(F($1, $2)) with image%s", more);
}

/* ---- the whole ---- */

static void add_terminal(Text *script, PageFormat format, int width, int height, int page_height)
{
    if (format == PAGE_PNG) {
        double scale = (double)width / PAGE_WIDTH;
        text_append(script,
                    "set terminal pngcairo size %d,%d enhanced font 'sans-serif,12' fontscale %g "
                    "linewidth %g pointscale %g background rgb 'white'\n",
                    width, height, 0.78 * scale, scale, 1.3 * scale);
    } else {
        text_append(script,
                    "set terminal svg size %d,%d dynamic enhanced font 'sans-serif,12' background "
                    "rgb 'white'\n",
                    PAGE_WIDTH, page_height);
    }
}

static void add_script(Text *script, const Page *page, PageFormat format, int width, int height)
{
    text_append(script, "# gnuplot THIS_FILE > page.svg\n");
    add_terminal(script, format, width, height, page->height);
    text_append(script, "set encoding utf8\nX(x) = x / %d.0\nY(y) = 1 - y / %d.0\nset multiplot\n",
                PAGE_WIDTH, page->height);
    text_append_bytes(script, page->body.data, page->body.length);
    text_append(script, "\nunset multiplot\n");
}

wf_status page_render(Page *page, PageFormat format, int width, char **data, size_t *size,
                      int *height)
{
    Text script = {0};
    *height =
        format == PAGE_PNG ? (int)((double)page->height * width / PAGE_WIDTH + 0.5) : page->height;
    add_script(&script, page, format, width, *height);
    if (script.failed || page->body.failed) {
        text_destroy(&script);
        return fail(WF_ERROR_MEMORY, "out of memory for a page");
    }
    if (format == PAGE_SCRIPT) {
        *data = script.data;
        *size = script.length;
        return WF_OK;
    }
    wf_status status = gnuplot_run(script.data, script.length, data, size);
    text_destroy(&script);
    return status;
}

void page_destroy(Page *page)
{
    text_destroy(&page->body);
    *page = (Page){0};
}
