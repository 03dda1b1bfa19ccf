#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048 };

static _Thread_local char message[MESSAGE_SIZE];

wf_status fail(wf_status status, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof message);
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
    memcpy(message, text, sizeof message);
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
