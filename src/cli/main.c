/* wavefield COMMAND [options]: exit status 0, 1 for a failure, 2 for a command line that is wrong.
 */
#include "base/text.h"
#include "cli/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Subcommand *const commands[] = {
    &command_devices,  &command_info,   &command_tokenize, &command_train, &command_eval,
    &command_generate, &command_logits, &command_check,    &command_bench, &command_plot,
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int print_help(void)
{
    puts("wavefield " WAVEFIELD_VERSION
         ": trains and runs Wave Field language models on any GPU, and on the CPU\n\n"
         "Usage: wavefield COMMAND [options]\n\nCommands:");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    puts("\nOptions of a command: wavefield COMMAND --help");
    return EXIT_SUCCESS;
}

static const Subcommand *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i]->name;
    const char *nearest = text_nearest(name, names, N_COMMANDS);
    if (nearest) return usage_error(NULL, "no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return usage_error(NULL, "no command \"%s\"", name);
}

int main(int n_words, char **words)
{
    if (n_words < 2) return usage_error(NULL, "a command is needed");
    const char *name = words[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return print_help();
    if (!strcmp(name, "--version")) {
        puts("wavefield " WAVEFIELD_VERSION);
        return EXIT_SUCCESS;
    }
    const Subcommand *command = find_command(name);
    return command ? command_run(command, n_words - 2, words + 2) : unknown_command(name);
}
