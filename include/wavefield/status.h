/* Statuses and messages.
 *
 * Every call that can fail returns a wf_status. The message of the last failure in the calling
 * thread says what was wrong, where, and what to do; it stays until the next failing call of that
 * thread. It is UTF-8 without control characters but tab and newline, whatever a file it quotes
 * contains.
 *
 * A call that fails to make an object leaves *out as it was. Texts passed in are copied; what is
 * borrowed, or owned from then on, is said. A pointer that is not said to be NULL at times must
 * not be. */
#ifndef WAVEFIELD_STATUS_H
#define WAVEFIELD_STATUS_H

#if defined(WAVEFIELD_SHARED) && defined(_WIN32)
#define WF_API __declspec(dllimport)
#elif defined(__GNUC__)
#define WF_API __attribute__((visibility("default")))
#else
#define WF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wf_status {
    WF_OK = 0,
    WF_ERROR_ARGUMENT,    /* a value the caller passed is outside its documented range */
    WF_ERROR_IO,          /* the operating system refused: file missing, disk full, … */
    WF_ERROR_FORMAT,      /* a file's content is not what its format demands */
    WF_ERROR_MEMORY,      /* the host or the device has too little memory */
    WF_ERROR_DEVICE,      /* no such device, or its driver failed */
    WF_ERROR_UNSUPPORTED, /* valid, but this device or build cannot do it */
    WF_ERROR_NUMERIC,     /* a NaN or an infinity appeared where none may */
    WF_ERROR_INTERRUPTED  /* a callback asked to stop */
} wf_status;

/* The message of the last failure in this thread, "" if none. Owned by the library. */
WF_API const char *wf_error_message(void);

/* A short constant name: "ok", "argument", "io", … */
WF_API const char *wf_status_name(wf_status status);

#ifdef __cplusplus
}
#endif
#endif
