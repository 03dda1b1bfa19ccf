/* The commands and their options: one table a command is the single source of parsing and help.
 *
 * An option is given as --name VALUE or --name=VALUE. A list takes every word up to the next
 * option, and may be given more than once. A word that belongs to no option is the next operand.
 * Numbers without a default are -1 where they were not given. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_USAGE = 2 };

typedef enum OptionKind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char *, NULL where absent */
    OPTION_WORD,    /* the same, one of the option's choices */
    OPTION_LIST,    /* TextList */
    OPTION_COUNT,   /* int64_t, 1 or more */
    OPTION_INTEGER, /* int64_t, 0 or more */
    OPTION_REAL     /* double, finite, 0 or more */
} OptionKind;

typedef struct TextList {
    const char **items;
    int count;
} TextList;

/* What a value names: for a shell to complete, and of a file that the command will write to find
 * out, before it does anything, that it cannot. */
typedef enum OptionNames {
    NAMES_NOTHING,
    NAMES_FILE,
    NAMES_OUTPUT,
    NAMES_FOLDER,
    NAMES_PRESET, /* or a file */
    NAMES_DEVICE
} OptionNames;

typedef struct Option {
    const char *name; /* NULL: an operand, given by its place; its kind is OPTION_TEXT */
    OptionKind kind;
    const char *argument; /* what help calls the value; NULL for flags */
    const char *fallback; /* the default, read as if it had been typed; NULL: none */
    size_t offset;        /* of the value in the command's values */
    bool required;
    const char *help;
    OptionNames names;
    /* Words, NULL-terminated, with which help begins: all that an OPTION_WORD may be, and what a
     * text may be as well. "vulkan[:n]" is vulkan alone, or with a number. */
    const char *const *choices;
} Option;

/* Text of paragraphs: a line each, and lines that begin with a space are laid out by hand. */
typedef struct Subcommand {
    const char *name;
    const char *summary;  /* one line */
    const char *details;  /* paragraphs below the options; NULL: none */
    const char *examples; /* paragraphs: what for, then the command, laid out by hand */
    const Option *options;
    int n_options;
    size_t values_size;
    int (*run)(const void *values); /* returns the exit status */
} Subcommand;

/* OPTION(TrainValues, steps, "steps", COUNT, "N", "1000", "steps to train")
 *
 * What the value names may follow the help: .names = NAMES_FILE, CHOICES("auto", "scan"). */
#define OPTION_ROW(values, field, name_, kind_, argument_, fallback_, required_, ...)              \
    {                                                                                              \
        .name = name_, .kind = OPTION_##kind_, .argument = argument_, .fallback = fallback_,       \
        .offset = offsetof(values, field), .required = required_, .help = __VA_ARGS__              \
    }
#define OPTION(values, field, name, kind, argument, fallback, ...)                                 \
    OPTION_ROW(values, field, name, kind, argument, fallback, false, __VA_ARGS__)
#define OPTION_REQUIRED(values, field, name, kind, argument, ...)                                  \
    OPTION_ROW(values, field, name, kind, argument, NULL, true, __VA_ARGS__)
#define CHOICES(...)                                                                               \
    .choices = (const char *const[])                                                               \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* OPERAND(PlotValues, folder, "DIR", "the run"): required */
#define OPERAND(values, field, argument, ...)                                                      \
    OPTION_ROW(values, field, NULL, TEXT, argument, NULL, true, __VA_ARGS__)

/* "--steps N", "--resume", "DIR"; returns `text`. */
const char *option_print(const Option *option, char *text, size_t size);
#define OPTION_PRINT(option) option_print((option), (char[96]){0}, 96)

/* The words that a value may be, NULL-terminated: presets, or the option's choices; else NULL. */
const char *const *option_words(const Option *option);

/* Appends all that help says of an option, choices and default included. */
void option_text(const Option *option, Text *text);

/* Calls `line` with each line of paragraphs (NULL: none), without its newline. */
void paragraphs_each(const char *paragraphs, void (*line)(const char *text, void *context),
                     void *context);

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
