/* wavefield COMMAND [options]: exit status 0, 1 for a failure, 2 for a command line that is wrong.
 * What cannot be printed is a failure too. */
#include "backends/backend.h"
#include "base/text.h"
#include "cli/common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_help(void)
{
    puts("wavefield " WAVEFIELD_VERSION
         ": trains and runs Wave Field language models on any GPU, and on the CPU\n\n"
         "Usage: wavefield COMMAND [options]\n\nCommands:");
    for (int i = 0; commands[i]; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    puts("\nOptions of a command: wavefield COMMAND --help\n"
         "Version and backends: wavefield --version");
    return EXIT_SUCCESS;
}

static int print_version(void)
{
    printf("wavefield " WAVEFIELD_VERSION "\nbackends:");
    for (int i = 0; backends[i]; i++) printf(" %s", backends[i]->name);
    putchar('\n');
    return EXIT_SUCCESS;
}

static const Subcommand *find_command(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    enum { MOST = 64 };
    const char *names[MOST];
    int n_names = 0;
    for (; commands[n_names] && n_names < MOST; n_names++) names[n_names] = commands[n_names]->name;
    const char *nearest = text_nearest(name, names, n_names);
    if (nearest) return usage_error(NULL, "no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return usage_error(NULL, "no command \"%s\"", name);
}

/* The next file opened would take the number of a standard stream that is closed, and get what is
 * printed: such a stream is /dev/null instead. */
static void hold_streams(void)
{
    int file;
    do file = open("/dev/null", O_RDWR);
    while (file >= 0 && file <= STDERR_FILENO);
    if (file >= 0) close(file);
}

/* The exit status, unless what was printed did not arrive. */
static int close_output(int exit_status)
{
    bool failed = ferror(stdout) != 0;
    failed |= fflush(stdout) != 0;
    if (!failed || exit_status) return exit_status;
    fputs("wavefield: the standard output cannot be written\n", stderr);
    return EXIT_FAILURE;
}

static int run(int n_words, char **words)
{
    if (n_words < 2) return usage_error(NULL, "a command is needed");
    const char *name = words[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return print_help();
    if (!strcmp(name, "--version")) return print_version();
    const Subcommand *command = find_command(name);
    return command ? command_run(command, n_words - 2, words + 2) : unknown_command(name);
}

int main(int n_words, char **words)
{
    hold_streams();
    return close_output(run(n_words, words));
}
