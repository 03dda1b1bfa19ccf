/* What manual pages and completion are made of: escaped text, and the option tables. */
#include "check/measure.h"
#include "check/rates.h"
#include "cli/common.h"
#include "cli/roff.h"
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

typedef void Writer(Text *page, const char *text);

static void assert_written(Writer *write, const char *text, const char *expected)
{
    Text page = {0};
    write(&page, text);
    assert_string_equal(page.data, expected);
    text_destroy(&page);
}

static void what_roff_would_change_is_escaped(void **state)
{
    (void)state;
    assert_written(roff_text, "--top-k", "\\-\\-top\\-k");
    assert_written(roff_text, "C:\\new", "C:\\(rsnew");
    assert_written(roff_text, "it's `a` \"b\" ^c ~d",
                   "it\\(aqs \\(gaa\\(ga \\(dqb\\(dq \\(hac \\(tid");
    assert_written(roff_text, "0 \xE2\x80\xA6 \xCE\xB1", "0 \\[u2026] \\[u03B1]");
    assert_written(roff_paragraph, ".hidden", "\\&.hidden\n");
    assert_written(roff_paragraph, "'quoted", "\\(aqquoted\n");
    assert_written(roff_paragraph, "a.b .c", "a.b .c\n");
}

static void a_wrapped_line_never_begins_a_request(void **state)
{
    (void)state;
    char text[400] = "";
    for (int i = 0; i < 60; i++) strcat(text, ".word ");
    Text page = {0};
    roff_paragraph(&page, text);
    int lines = 0;
    for (const char *line = page.data; *line; line = strchr(line, '\n') + 1, lines++) {
        assert_true(!strncmp(line, "\\&.", 3));
        assert_in_range(strcspn(line, "\n"), 1, 80);
    }
    assert_in_range(lines, 4, 8);
    text_destroy(&page);
}

static void lines_laid_out_by_hand_become_examples(void **state)
{
    (void)state;
    assert_written(roff_paragraphs, "One:\n  .a -b\n    c\nTwo.",
                   "One:\n.PP\n.RS 4\n.EX\n\\&.a \\-b\n  c\n.EE\n.RE\n.PP\nTwo.\n");
}

/* What the word that help has for the argument asks of the shell. */
static OptionNames names_of(const Option *option)
{
    const char *argument = option->argument ? option->argument : "";
    if (strstr(argument, "PRESET")) return NAMES_PRESET;
    if (strstr(argument, "FILE")) return option->names == NAMES_OUTPUT ? NAMES_OUTPUT : NAMES_FILE;
    if (strstr(argument, "DIR")) return NAMES_FOLDER;
    return option->names == NAMES_DEVICE ? NAMES_DEVICE : NAMES_NOTHING;
}

static void options_name_what_their_arguments_say(void **state)
{
    (void)state;
    for (int c = 0; commands[c]; c++)
        for (int i = 0; i < commands[c]->n_options; i++) {
            const Option *option = &commands[c]->options[i];
            if (option->names != names_of(option))
                fail_msg("%s %s: .names is %d", commands[c]->name, OPTION_PRINT(option),
                         option->names);
        }
}

static void every_figure_can_be_named(void **state)
{
    (void)state;
    const Option *figure = command_bench.options;
    while (!figure->name || strcmp(figure->name, "figure") != 0) figure++;
    int n = 0;
    for (int i = 0; i < n_measure_rows; i++, n++)
        assert_string_equal(figure->choices[n], measure_rows[i].name);
    for (int i = 0; rate_figures[i]; i++, n++)
        assert_string_equal(figure->choices[n], rate_figures[i]);
    assert_null(figure->choices[n]);
}

typedef struct Example {
    const Subcommand *command; /* whose examples they are */
    const Subcommand *line;    /* whose command line it is */
    int n_commands;
} Example;

static const Subcommand *command_named(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    fail_msg("no command %s", name);
    return NULL;
}

static bool has_option(const Subcommand *command, const char *name)
{
    for (int i = 0; i < command->n_options; i++)
        if (command->options[i].name && !strcmp(command->options[i].name, name)) return true;
    return false;
}

static void example_line(const char *text, void *context)
{
    Example *example = context;
    char words[256];
    if (text[0] != ' ') return;
    snprintf(words, sizeof words, "%s", text);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        if (!strcmp(word, "wavefield")) {
            example->line = command_named(strtok(NULL, " "));
            example->n_commands += example->line == example->command;
        } else if (!strncmp(word, "--", 2)) {
            assert_non_null(example->line);
            if (!has_option(example->line, word + 2))
                fail_msg("an example of %s has %s", example->line->name, word);
        }
    }
}

static void examples_use_options_that_exist(void **state)
{
    (void)state;
    for (int c = 0; commands[c]; c++) {
        Example example = {.command = commands[c]};
        paragraphs_each(commands[c]->examples, example_line, &example);
        assert_true(example.n_commands > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_roff_would_change_is_escaped),
        cmocka_unit_test(a_wrapped_line_never_begins_a_request),
        cmocka_unit_test(lines_laid_out_by_hand_become_examples),
        cmocka_unit_test(options_name_what_their_arguments_say),
        cmocka_unit_test(every_figure_can_be_named),
        cmocka_unit_test(examples_use_options_that_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
