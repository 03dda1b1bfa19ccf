#include "cli/options.h"

#include "base/files.h"
#include "base/text.h"
#include "wavefield/config.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 32, HELP_WIDTH = 100 };

int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "wavefield%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry: wavefield%s%s --help\n", command ? " " : "", command ? command : "");
    va_end(arguments);
    return EXIT_USAGE;
}

const char *option_print(const Option *option, char *text, size_t size)
{
    bool both = option->name && option->argument;
    snprintf(text, size, "%s%s%s%s", option->name ? "--" : "", option->name ? option->name : "",
             both ? " " : "", option->argument ? option->argument : "");
    return text;
}
/* ---- reading ---- */

static void *option_value(const Option *option, void *values)
{
    return (char *)values + option->offset;
}

static bool read_integer(const char *text, int64_t least, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least) return false;
    *out = value;
    return true;
}

static bool read_real(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < 0) return false;
    *out = value;
    return true;
}

/* "vulkan:1" fits "vulkan[:n]". */
static bool word_fits(const char *text, const char *choice)
{
    size_t length = strcspn(choice, "[");
    const char *rest = text + length;
    if (strncmp(text, choice, length) != 0) return false;
    if (!*rest) return true;
    return choice[length] && rest[0] == ':' && rest[1] && !rest[1 + strspn(rest + 1, "0123456789")];
}

static bool read_word(const char *text, const Option *option, const char **out)
{
    const char *const *choice = option->choices;
    while (*choice && !word_fits(text, *choice)) choice++;
    *out = text;
    return *choice != NULL;
}

/* "auto, scan or fft" */
static void append_words(const char *const *words, Text *text)
{
    for (int i = 0; words[i]; i++)
        text_append(text, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
}

static void append_expected(const Option *option, Text *text)
{
    switch (option->kind) {
    case OPTION_WORD: append_words(option->choices, text); break;
    case OPTION_COUNT: text_append(text, "a whole number of 1 or more"); break;
    case OPTION_INTEGER: text_append(text, "a whole number of 0 or more"); break;
    default: text_append(text, "a number of 0 or more"); break;
    }
}

static int value_error(const Subcommand *command, const Option *option, const char *found)
{
    Text expected = {0};
    append_expected(option, &expected);
    int status = usage_error(command->name, "--%s expects %s, found \"%s\"", option->name,
                             expected.failed ? option->argument : expected.data, found);
    text_destroy(&expected);
    return status;
}

/* Reads one value; a list grows by it. */
static int option_read(const Subcommand *command, const Option *option, const char *text,
                       void *values)
{
    void *value = option_value(option, values);
    bool read = true;
    if (text && !*text && option->names != NAMES_NOTHING && option->kind != OPTION_WORD)
        return usage_error(command->name, "--%s expects %s, found \"\"", option->name,
                           option->argument);
    switch (option->kind) {
    case OPTION_FLAG: *(bool *)value = true; break;
    case OPTION_TEXT: *(const char **)value = text; break;
    case OPTION_WORD: read = read_word(text, option, value); break;
    case OPTION_COUNT: read = read_integer(text, 1, value); break;
    case OPTION_INTEGER: read = read_integer(text, 0, value); break;
    case OPTION_REAL: read = read_real(text, value); break;
    case OPTION_LIST: {
        TextList *list = value;
        list->items[list->count++] = text;
        break;
    }
    }
    return read ? EXIT_SUCCESS : value_error(command, option, text);
}

/* Defaults, absent numbers, and lists with room for every word of the command line. */
static int values_prepare(const Subcommand *command, int n_words, void *values)
{
    for (int i = 0; i < command->n_options; i++) {
        const Option *option = &command->options[i];
        void *value = option_value(option, values);
        if (option->kind == OPTION_LIST) {
            TextList *list = value;
            list->items = calloc((size_t)n_words + 1, sizeof *list->items);
            if (!list->items) return EXIT_FAILURE;
        } else if (option->kind == OPTION_COUNT || option->kind == OPTION_INTEGER) {
            *(int64_t *)value = -1;
        } else if (option->kind == OPTION_REAL) {
            *(double *)value = -1;
        }
        if (option->fallback && option_read(command, option, option->fallback, values))
            return EXIT_USAGE;
    }
    return EXIT_SUCCESS;
}

static void values_release(const Subcommand *command, void *values)
{
    for (int i = 0; i < command->n_options; i++)
        if (command->options[i].kind == OPTION_LIST)
            free(((TextList *)option_value(&command->options[i], values))->items);
}

static const Option *option_find(const Subcommand *command, const char *name, size_t length)
{
    for (int i = 0; i < command->n_options; i++) {
        const char *candidate = command->options[i].name;
        if (candidate && strlen(candidate) == length && !strncmp(candidate, name, length))
            return &command->options[i];
    }
    return NULL;
}

static int unknown_option(const Subcommand *command, const char *word)
{
    enum { MOST = 64 };
    const char *names[MOST];
    int n_names = 0;
    for (int i = 0; i < command->n_options && n_names < MOST; i++)
        if (command->options[i].name) names[n_names++] = command->options[i].name;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *nearest = text_nearest(name, names, n_names);
    if (nearest)
        return usage_error(command->name, "no option --%s; did you mean --%s?", name, nearest);
    return usage_error(command->name, "no option --%s", name);
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2];
}

/* The option at words[0] with its value or values; *used is how many words that was. */
static int words_read(const Subcommand *command, int n_words, char **words, void *values, int *used)
{
    const char *name = words[0] + 2;
    size_t length = strcspn(name, "=");
    const Option *option = option_find(command, name, length);
    if (!option) return unknown_option(command, words[0]);
    *used = 1;
    if (name[length] == '=') {
        if (option->kind == OPTION_FLAG)
            return usage_error(command->name, "--%s takes no value", option->name);
        return option_read(command, option, name + length + 1, values);
    }
    if (option->kind == OPTION_FLAG) return option_read(command, option, NULL, values);
    if (n_words < 2 || (option->kind == OPTION_LIST && is_option(words[1])))
        return usage_error(command->name, "--%s expects %s", option->name, option->argument);
    int status = option_read(command, option, words[1], values);
    *used = 2;
    while (!status && option->kind == OPTION_LIST && *used < n_words && !is_option(words[*used]))
        status = option_read(command, option, words[(*used)++], values);
    return status;
}

/* The first operand that has no value yet takes the word. */
static int operand_read(const Subcommand *command, const char *word, void *values)
{
    for (int i = 0; i < command->n_options; i++) {
        const char **value = option_value(&command->options[i], values);
        if (command->options[i].name || *value) continue;
        *value = word;
        return EXIT_SUCCESS;
    }
    return usage_error(command->name, "\"%s\" belongs to no option", word);
}

static int values_read(const Subcommand *command, int n_words, char **words, void *values)
{
    int used = 1;
    for (int i = 0; i < n_words; i += used) {
        used = 1;
        int status = is_option(words[i])
                         ? words_read(command, n_words - i, words + i, values, &used)
                         : operand_read(command, words[i], values);
        if (status) return status;
    }
    for (int i = 0; i < command->n_options; i++) {
        const Option *option = &command->options[i];
        const void *value = option_value(option, values);
        if (!option->required) continue;
        if (option->kind == OPTION_LIST ? ((const TextList *)value)->count == 0
                                        : *(const char *const *)value == NULL)
            return usage_error(command->name, "%s is required", OPTION_PRINT(option));
    }
    return EXIT_SUCCESS;
}

/* The results of long work have a place to go. */
static int outputs_check(const Subcommand *command, void *values)
{
    for (int i = 0; i < command->n_options; i++) {
        const Option *option = &command->options[i];
        if (option->names != NAMES_OUTPUT) continue;
        const char *path = *(const char *const *)option_value(option, values);
        if (!path || !file_check_writable(path)) continue;
        fprintf(stderr, "wavefield %s: --%s: %s\n", command->name, option->name,
                wf_error_message());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int command_run(const Subcommand *command, int n_words, char **words)
{
    for (int i = 0; i < n_words; i++) {
        if (strcmp(words[i], "--help") && strcmp(words[i], "-h")) continue;
        command_help(command);
        return EXIT_SUCCESS;
    }
    void *values = calloc(1, command->values_size);
    if (!values) return EXIT_FAILURE;
    int status = values_prepare(command, n_words, values);
    if (!status) status = values_read(command, n_words, words, values);
    if (!status) status = outputs_check(command, values);
    if (!status) status = command->run(values);
    values_release(command, values);
    free(values);
    return status;
}

/* ---- help ---- */

/* Prints `text` in words from column `column` on, broken before HELP_WIDTH. */
static void print_wrapped(const char *text, int column, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

const char *const *option_words(const Option *option)
{
    return option->names == NAMES_PRESET ? wf_config_presets() : option->choices;
}

void option_text(const Option *option, Text *text)
{
    const char *const *words = option_words(option);
    if (words) append_words(words, text);
    text_append(text, "%s%s", words ? ": " : "", option->help);
    if (option->fallback && *option->fallback)
        text_append(text, " (default: %s)", option->fallback);
}

static void option_help(const Option *option)
{
    Text text = {0};
    option_text(option, &text);
    int column = printf("  %s", OPTION_PRINT(option));
    if (column >= HELP_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    print_wrapped(text.failed ? option->help : text.data, HELP_COLUMN, HELP_COLUMN);
    text_destroy(&text);
}

void paragraphs_each(const char *paragraphs, void (*line)(const char *text, void *context),
                     void *context)
{
    Text text = {0};
    for (const char *at = paragraphs; at && *at;) {
        size_t length = strcspn(at, "\n");
        text.length = 0;
        text_append(&text, "%.*s", (int)length, at);
        if (!text.failed) line(text.data, context);
        at += length + (at[length] == '\n');
    }
    text_destroy(&text);
}

static void print_line(const char *text, void *context)
{
    (void)context;
    if (text[0] == ' ')
        puts(text); /* laid out by hand */
    else
        print_wrapped(text, 0, 0);
}

void command_help(const Subcommand *command)
{
    printf("wavefield %s: %s\n\nUsage: wavefield %s", command->name, command->summary,
           command->name);
    for (int i = 0; i < command->n_options; i++)
        if (command->options[i].required) printf(" %s", OPTION_PRINT(&command->options[i]));
    printf(" [options]\n\nOptions:\n");
    for (int i = 0; i < command->n_options; i++) option_help(&command->options[i]);
    printf("  --help%*sthis text\n", HELP_COLUMN - 8, "");
    if (command->details) putchar('\n');
    paragraphs_each(command->details, print_line, NULL);
    if (command->examples) puts("\nExamples:\n");
    paragraphs_each(command->examples, print_line, NULL);
}
