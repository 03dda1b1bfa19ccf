/* The commands and their options: one table a command is the single source of parsing and help.
 *
 * An option is given as --name VALUE or --name=VALUE. A list takes every word up to the next
 * option, and may be given more than once. A word that belongs to no option is the next operand.
 * Numbers without a default are -1 where they were not
 * given. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_USAGE = 2 };

typedef enum OptionKind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char *, NULL where absent */
    OPTION_LIST,    /* TextList */
    OPTION_COUNT,   /* int64_t, 1 or more */
    OPTION_INTEGER, /* int64_t, 0 or more */
    OPTION_REAL     /* double, finite, 0 or more */
} OptionKind;

typedef struct TextList {
    const char **items;
    int count;
} TextList;

typedef struct Option {
    const char *name; /* NULL: an operand, given by its place; its kind is OPTION_TEXT */
    OptionKind kind;
    const char *argument; /* what help calls the value; NULL for flags */
    const char *fallback; /* the default, read as if it had been typed; NULL: none */
    const char *help;
    size_t offset; /* of the value in the command's values */
    bool required;
} Option;

typedef struct Subcommand {
    const char *name;
    const char *summary; /* one line */
    const char *details; /* paragraphs below the options; NULL: none */
    const Option *options;
    int n_options;
    size_t values_size;
    int (*run)(const void *values); /* returns the exit status */
} Subcommand;

/* OPTION(TrainValues, steps, "steps", COUNT, "N", "1000", "steps to train") */
#define OPTION(values, field, option, kind, argument, fallback, help)                              \
    {                                                                                              \
        option, OPTION_##kind, argument, fallback, help, offsetof(values, field), false            \
    }
#define OPTION_REQUIRED(values, field, option, kind, argument, help)                               \
    {                                                                                              \
        option, OPTION_##kind, argument, NULL, help, offsetof(values, field), true                 \
    }

/* OPERAND(PlotValues, run, "RUN", "the folder"): required */
#define OPERAND(values, field, argument, help)                                                     \
    {                                                                                              \
        NULL, OPTION_TEXT, argument, NULL, help, offsetof(values, field), true                     \
    }

/* Reads the words after the command's name and runs it. Returns the exit status. */
int command_run(const Subcommand *command, int n_words, char **words);

void command_help(const Subcommand *command);

/* Prints "wavefield COMMAND: message" and where to find help; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
