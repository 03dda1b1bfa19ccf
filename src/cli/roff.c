#include "cli/roff.h"

#include "cli/options.h"

#include <string.h>

enum { LINE_WIDTH = 78, HAND_INDENT = 2 };

/* The name of a character that roff would read or print otherwise; NULL: none. */
static const char *escape(char c)
{
    switch (c) {
    case '\\': return "\\(rs";
    case '-': return "\\-";
    case '\'': return "\\(aq";
    case '"': return "\\(dq";
    case '`': return "\\(ga";
    case '^': return "\\(ha";
    case '~': return "\\(ti";
    default: return NULL;
    }
}

static bool at_line_start(const Text *page)
{
    return page->length == 0 || page->data[page->length - 1] == '\n';
}

static void roff_bytes(Text *page, const char *text, size_t length)
{
    for (size_t i = 0; i < length && text[i];) {
        uint32_t code;
        int n = utf8_decode(text + i, length - i, &code);
        const char *name = escape(text[i]);
        if (n > 1)
            text_append(page, "\\[u%04X]", (unsigned)code);
        else if (name)
            text_append(page, "%s", name);
        else
            text_append(page, "%s%c", text[i] == '.' && at_line_start(page) ? "\\&" : "", text[i]);
        i += n > 1 ? (size_t)n : 1;
    }
}

void roff_text(Text *page, const char *text)
{
    roff_bytes(page, text, strlen(text));
}

void roff_paragraph(Text *page, const char *text)
{
    size_t begin = page->length;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (page->length > begin && page->length + 1 + length > begin + LINE_WIDTH) {
            text_append(page, "\n");
            begin = page->length;
        } else if (page->length > begin) {
            text_append(page, " ");
        }
        roff_bytes(page, text, length);
        text += length;
        text += strspn(text, " ");
    }
    text_append(page, "\n");
}

typedef struct Layout {
    Text *page;
    bool by_hand;
    bool begun;
} Layout;

static void lay_out(Layout *layout, bool by_hand)
{
    if (by_hand && !layout->by_hand) text_append(layout->page, ".PP\n.RS 4\n.EX\n");
    if (!by_hand && layout->by_hand) text_append(layout->page, ".EE\n.RE\n");
    if (!by_hand && layout->begun) text_append(layout->page, ".PP\n");
    layout->by_hand = by_hand;
    layout->begun = true;
}

static void paragraph_line(const char *text, void *context)
{
    Layout *layout = context;
    lay_out(layout, text[0] == ' ');
    if (!layout->by_hand) {
        roff_paragraph(layout->page, text);
        return;
    }
    size_t indent = strspn(text, " ");
    roff_text(layout->page, text + (indent < HAND_INDENT ? indent : HAND_INDENT));
    text_append(layout->page, "\n");
}

void roff_paragraphs(Text *page, const char *paragraphs)
{
    Layout layout = {.page = page};
    paragraphs_each(paragraphs, paragraph_line, &layout);
    if (layout.by_hand) text_append(page, ".EE\n.RE\n");
}
