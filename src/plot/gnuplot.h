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

/* Appends text as gnuplot's quoted string, in which it has no meaning of its own. Bytes that are not
 * UTF-8, and control characters, become U+FFFD and spaces. */
void gnuplot_quote(Text *script, const char *text, size_t length);

#endif
