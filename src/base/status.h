/* How a failure travels inside the library: `return fail(WF_ERROR_IO, "…")` sets the message, TRY
 * passes it on unchanged. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "wavefield/status.h"

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

/* Sets this thread's message and returns `status`. Arguments may point into the present message.
 * Control characters, and bytes that are not UTF-8, become '?'. */
wf_status fail(wf_status status, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "context: " before this thread's message and returns `status`. */
wf_status fail_within(wf_status status, const char *format, ...) PRINTF_LIKE(2, 3);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        wf_status try_status_ = (call);                                                            \
        if (try_status_) return try_status_;                                                       \
    } while (0)

/* The same for functions that release what they own at a label; `status` is theirs. */
#define TRY_GOTO(call, label)                                                                      \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status) goto label;                                                                    \
    } while (0)

#endif
