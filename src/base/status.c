#include "base/status.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048 };

static _Thread_local char message[MESSAGE_SIZE];

/* What a terminal would obey rather than show: C0 but for tab and newline, which drivers' logs
 * have, DEL, and C1. */
static bool is_control(uint32_t code)
{
    return (code < 0x20 && code != '\t' && code != '\n') || (code >= 0x7F && code < 0xA0);
}

/* Messages quote what files contain: the bytes of control characters, and those that are not UTF-8,
 * become '?'. */
static void set_message(char *text)
{
    uint32_t code = 0;
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        int n = utf8_decode(text + at, length - at, &code);
        size_t size = n ? (size_t)n : 1;
        if (n == 0 || is_control(code)) memset(text + at, '?', size);
        at += size;
    }
    memcpy(message, text, length + 1);
}

wf_status fail(wf_status status, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_message(text);
    return status;
}

wf_status fail_within(wf_status status, const char *format, ...)
{
    char context[MESSAGE_SIZE / 4], text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    int room = MESSAGE_SIZE - 4 - (int)strlen(context);
    snprintf(text, sizeof text, "%s: %.*s", context, room, message);
    set_message(text);
    return status;
}

const char *wf_error_message(void)
{
    return message;
}

const char *wf_status_name(wf_status status)
{
    static const char *const names[] = {"ok",     "argument",    "io",      "format",     "memory",
                                        "device", "unsupported", "numeric", "interrupted"};
    unsigned i = (unsigned)status;
    return i < sizeof names / sizeof *names ? names[i] : "unknown";
}
