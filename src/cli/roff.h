/* Manual pages in roff, with the man macros (groff_man(7), mandoc's man(7)). */
#ifndef CLI_ROFF_H
#define CLI_ROFF_H

#include "base/text.h"

/* Appends `text` so that it comes out as it is: backslashes, the characters that a typesetter would
 * replace by prettier ones (- ' ` ^ ~ "), a dot that would begin a request, and what is not ASCII.
 */
void roff_text(Text *page, const char *text);

/* The same as a paragraph of short lines, with its newline. */
void roff_paragraph(Text *page, const char *text);

/* Text of paragraphs (cli/options.h); lines laid out by hand become examples. */
void roff_paragraphs(Text *page, const char *paragraphs);

#endif
