/* Cuts text at the matches of a pattern, as the pre-tokenizers of Hugging Face's tokenizers do.
 *
 * Patterns there are Oniguruma's; here PCRE2 matches them. What the two read alike, or what can be
 * put so that they do (\s: PCRE2 takes U+180E for a space, Oniguruma does not), is accepted; the
 * rest is WF_ERROR_UNSUPPORTED. The Unicode tables are those of the installed PCRE2: characters
 * newer than them have no category. */
#ifndef DATA_SPLITTER_H
#define DATA_SPLITTER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Splitter Splitter;

/* `literal`: the pattern is plain text. */
wf_status splitter_create(const char *pattern, size_t length, bool literal, Splitter **out);
void splitter_destroy(Splitter *splitter); /* NULL is allowed */

/* What matching writes to: one a thread, for any splitter. NULL: out of memory. */
typedef struct SplitterMatch SplitterMatch;
SplitterMatch *splitter_match_create(void);
void splitter_match_destroy(SplitterMatch *match);

/* The next match in valid UTF-8 from byte `from` on: text[*first … *last-1], never empty. At the
 * end, *first = *last = length. */
wf_status splitter_next(const Splitter *splitter, SplitterMatch *match, const char *text,
                        size_t length, size_t from, size_t *first, size_t *last);

#endif
