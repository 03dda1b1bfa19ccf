/* Running gnuplot: a script in, a picture out, no shell and no file names between. */
#ifndef PLOT_GNUPLOT_H
#define PLOT_GNUPLOT_H

#include "base/status.h"
#include "base/text.h"

#include <stddef.h>

/* WF_ERROR_UNSUPPORTED, saying what to install, where there is no gnuplot. */
wf_status gnuplot_check(void);

/* Runs a script that draws to its standard output; the caller frees *picture.
 * WF_ERROR_UNSUPPORTED as above, or with what gnuplot printed when it fails. */
wf_status gnuplot_run(const char *script, size_t length, char **picture, size_t *size);

/* Appends text as gnuplot's quoted string, in which nothing of it has a meaning of its own: quotes,
 * backslashes and what gnuplot expands (`command`, @macro) go in as octal codes. Control characters
 * become spaces; what is not UTF-8, or may stand in no XML, becomes U+FFFD. A string for a label,
 * not for a tick's name, where % is a format. */
void gnuplot_quote(Text *script, const char *text, size_t length);

#endif
