/* The script by which bash completes command lines, made from the option tables. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "base/text.h"

/* Appends `template` with the line "# @TABLES@" replaced by the commands and their options.
 * WF_ERROR_FORMAT where it has no such line. */
wf_status completion_append(Text *script, const char *template_text);

#endif
