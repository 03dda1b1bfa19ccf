/* A check's record as JUnit XML, which continuous integration shows: a testsuite a device, a
 * testcase a case. The form is that of the schema of Jenkins' xUnit plugin (junit-10.xsd). */
#ifndef CLI_JUNIT_H
#define CLI_JUNIT_H

#include "base/text.h"
#include "check/record.h"

/* Appends text as the content of an attribute or an element: markup is escaped, and what XML 1.0
 * has no character for (control characters, bytes that are not UTF-8) becomes '?'. */
void xml_escape(Text *out, const char *text);

/* A missing case, and a backend without a device, is skipped; a device that could not be checked is
 * an error. */
void junit_print(Text *out, const CheckRecord *record);

wf_status junit_write(const char *path, const CheckRecord *record);

#endif
