/* A page of panels as one gnuplot script that holds its data. Places are in units of the page's
 * width of 1400, from the upper left corner; the page is as high as what stands on it. */
#ifndef PLOT_PAGE_H
#define PLOT_PAGE_H

#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

enum { PAGE_WIDTH = 1400, PAGE_LEFT = 84, PAGE_RIGHT = 1364 };

typedef enum PageFormat {
    PAGE_SVG,
    PAGE_PNG,
    PAGE_SCRIPT /* the script itself, which draws an SVG to its standard output */
} PageFormat;

/* Colours that differ for every kind of colour vision: Okabe and Ito, "Color universal design". */
#define COLOUR_BLUE "#0072b2"
#define COLOUR_SKY  "#8fc1df"
#define COLOUR_RED  "#d55e00"
#define COLOUR_INK  "#222222"
#define COLOUR_GREY "#6b6b6b"

typedef struct Page {
    Text body;
    int height;
    int blocks; /* of data, so far */
    int labels; /* of the present panel */
} Page;

/* Where a panel's axes stand. */
typedef struct Box {
    int x, y, width, height;
} Box;

/* Lines of the script. */
void page_add(Page *page, const char *format, ...) PRINTF_LIKE(2, 3);

/* Begins a panel: everything of the one before is forgotten. `title` and `note` (either may be
 * NULL) stand above it, the note in grey to the right of the title; they are set as they are,
 * except that a title's markup is gnuplot's. */
void page_panel(Page *page, Box box, const char *title, const char *note);

/* A panel without axes, for text. */
void page_bare(Page *page);
void page_bare_end(Page *page);

/* A title and its note, on a bare panel of their own, above panels that begin at y. */
void page_heading(Page *page, int x, int y, const char *title, const char *note);

/* A line of text with its baseline at y, of `size` times the page's size; any bytes may be in it.
 */
void page_text(Page *page, int x, int y, double size, const char *colour, const char *text);

/* A block of data, whose lines page_add() adds: returns its number, $dNUMBER in the script. */
int page_block(Page *page);
void page_block_end(Page *page);

/* Draws block $dNUMBER, `rows` lines of `columns` numbers, as coloured fields that fill the box:
 * the present panel's. Sets its ranges, row 0 at the top; what `more` says is plotted over it. */
void page_fields(Page *page, int block, int64_t columns, int64_t rows, Box box, const char *more);

/* Colour `i` of `n` in an order that can be seen, dark to light. */
const char *page_shade(int64_t i, int64_t n, char *text);
#define SHADE(i, n) page_shade((i), (n), (char[8]){0})

/* The finished page; the caller frees *data. `width` is a PNG's in pixels. The height in the same
 * unit (an SVG's: the page's) into *height. */
wf_status page_render(Page *page, PageFormat format, int width, char **data, size_t *size,
                      int *height);

void page_destroy(Page *page);

#endif
