/* What the tests of subword tokenizers share: a folder, and the files of tests/data.
 * Includes cmocka, whose macro fail() hides the library's: other headers come before this one. */
#ifndef TESTS_SUBWORD_FIXTURE_H
#define TESTS_SUBWORD_FIXTURE_H

#include "wavefield/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], text_path[80], json_path[80], model_path[80];

static inline int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wavefield-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(text_path, sizeof text_path, "%s/text", folder);
    snprintf(json_path, sizeof json_path, "%s/tokenizer.json", folder);
    snprintf(model_path, sizeof model_path, "%s/tokenizer.model", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    unlink(text_path);
    unlink(json_path);
    unlink(model_path);
    return rmdir(folder);
}

static inline void assert_message(const char *part)
{
    if (!strstr(wf_error_message(), part))
        fail_msg("\"%s\" is not in: %s", part, wf_error_message());
}

static inline const char *data_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    return path;
}

/* Skips the test where the build lacks the type. */
static inline wf_tokenizer *load(const char *path)
{
    wf_tokenizer *tokenizer = NULL;
    wf_status status = wf_tokenizer_load(path, &tokenizer);
    if (status == WF_ERROR_UNSUPPORTED && strstr(wf_error_message(), "build again")) {
        print_message("%s\n", wf_error_message());
        skip();
    }
    if (status) fail_msg("%s", wf_error_message());
    return tokenizer;
}

#endif
