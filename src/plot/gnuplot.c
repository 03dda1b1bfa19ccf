#include "plot/gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What the child reads and writes: files without names, so that nobody waits for anybody. */
typedef struct Streams {
    FILE *file[3]; /* standard input, output, error */
} Streams;

static void streams_close(Streams *streams)
{
    for (int i = 0; i < 3; i++)
        if (streams->file[i]) fclose(streams->file[i]);
}

static wf_status streams_open(Streams *streams, const char *input, size_t length)
{
    for (int i = 0; i < 3; i++)
        if (!(streams->file[i] = tmpfile()))
            return fail(WF_ERROR_IO, "a temporary file for gnuplot: %s", strerror(errno));
    if (fwrite(input, 1, length, streams->file[0]) == length && fflush(streams->file[0]) == 0 &&
        fseek(streams->file[0], 0, SEEK_SET) == 0)
        return WF_OK;
    return fail(WF_ERROR_IO, "the temporary script for gnuplot: %s", strerror(errno));
}

static wf_status streams_read(FILE *file, char **data, size_t *size)
{
    long length = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    if (length < 0 || fseek(file, 0, SEEK_SET))
        return fail(WF_ERROR_IO, "what gnuplot wrote: %s", strerror(errno));
    *data = malloc((size_t)length + 1);
    if (!*data) return fail(WF_ERROR_MEMORY, "out of memory for a picture of %ld bytes", length);
    *size = fread(*data, 1, (size_t)length, file);
    (*data)[*size] = 0;
    if (*size == (size_t)length) return WF_OK;
    free(*data);
    return fail(WF_ERROR_IO, "what gnuplot wrote cannot be read");
}

static wf_status absent(int error)
{
    return fail(WF_ERROR_UNSUPPORTED,
                "gnuplot cannot be run (%s): install it (Debian: apt-get install gnuplot-nox), or "
                "write the script alone with --out FILE.gp",
                strerror(error));
}

/* Runs gnuplot on the streams; *code is its exit code, -1 if a signal ended it. */
static wf_status run(Streams *streams, char *const *arguments, int *code)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int state, error = posix_spawn_file_actions_init(&actions);
    if (error) return absent(error);
    for (int i = 0; i < 3 && !error; i++)
        error = posix_spawn_file_actions_adddup2(&actions, fileno(streams->file[i]), i);
    if (!error) error = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) return absent(error);
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR) return fail(WF_ERROR_IO, "waiting for gnuplot: %s", strerror(errno));
    *code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return *code == 127 ? absent(ENOENT) : WF_OK;
}

static wf_status fail_with_output(Streams *streams)
{
    char *text;
    size_t length;
    TRY(streams_read(streams->file[2], &text, &length));
    const char *from = text + strspn(text, " \t\r\n");
    length = strlen(from);
    while (length > 0 && strchr(" \t\r\n", from[length - 1])) length--;
    wf_status status = fail(WF_ERROR_UNSUPPORTED, "gnuplot failed: %.*s",
                            (int)(length < 1000 ? length : 1000), length ? from : "no message");
    free(text);
    return status;
}

static wf_status run_script(char *const *arguments, const char *script, size_t length,
                            char **picture, size_t *size)
{
    Streams streams = {{0}};
    int code = -1;
    wf_status status = streams_open(&streams, script, length);
    if (!status) status = run(&streams, arguments, &code);
    if (!status && code != 0) status = fail_with_output(&streams);
    if (!status) status = streams_read(streams.file[1], picture, size);
    streams_close(&streams);
    return status;
}

wf_status gnuplot_check(void)
{
    char *arguments[] = {"gnuplot", "--version", NULL}, *version;
    size_t size;
    TRY(run_script(arguments, "", 0, &version, &size));
    free(version);
    return WF_OK;
}

wf_status gnuplot_run(const char *script, size_t length, char **picture, size_t *size)
{
    char *arguments[] = {"gnuplot", "-d", NULL}; /* without the user's own settings */
    return run_script(arguments, script, length, picture, size);
}

void gnuplot_quote(Text *script, const char *text, size_t length)
{
    static const char special[] = "\"\\`@'";
    text_append(script, "\"");
    for (size_t i = 0; i < length;) {
        uint32_t code;
        int bytes = utf8_decode(text + i, length - i, &code);
        if (bytes == 0 || (code & 0xfffe) == 0xfffe) /* the latter may stand in no XML */
            text_append(script, "\xef\xbf\xbd");
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            text_append(script, " ");
        else if (bytes == 1 && strchr(special, text[i]))
            text_append(script, "\\%03o", (unsigned)code);
        else
            text_append_bytes(script, text + i, (size_t)bytes);
        i += bytes ? (size_t)bytes : 1;
    }
    text_append(script, "\"");
}
