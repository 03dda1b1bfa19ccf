#include "cli/completion.h"

#include "cli/common.h"

#include <string.h>

static const char tables_line[] = "# @TABLES@\n";

static const char *names_word(const Option *option)
{
    switch (option->names) {
    case NAMES_FILE:
    case NAMES_OUTPUT: return "file";
    case NAMES_FOLDER: return "folder";
    case NAMES_PRESET: return "file";
    case NAMES_DEVICE: return "device";
    case NAMES_NOTHING: break;
    }
    return "";
}

/* One option: what it takes (nothing for a flag), and the words that may follow it. */
static void append_option(Text *script, const Option *option)
{
    text_append(script, "        --%s)\n            takes=%s names='%s' words='", option->name,
                option->kind == OPTION_FLAG   ? "nothing"
                : option->kind == OPTION_LIST ? "list"
                                              : "one",
                names_word(option));
    const char *const *words = option_words(option);
    for (int i = 0; words && words[i]; i++)
        text_append(script, "%s%.*s", i ? " " : "", (int)strcspn(words[i], "["), words[i]);
    text_append(script, "' ;;\n");
}

static void append_command(Text *script, const Subcommand *command)
{
    text_append(script, "    %s)\n        options='", command->name);
    const char *operand = "";
    for (int i = 0; i < command->n_options; i++) {
        const Option *option = &command->options[i];
        if (option->name)
            text_append(script, "--%s ", option->name);
        else
            operand = names_word(option);
    }
    text_append(script, "--help' names='%s'\n        case ${2-} in\n", operand);
    for (int i = 0; i < command->n_options; i++)
        if (command->options[i].name) append_option(script, &command->options[i]);
    text_append(script, "        esac ;;\n");
}

static void append_tables(Text *script)
{
    text_append(script, "    commands='");
    for (int i = 0; commands[i]; i++) text_append(script, "%s%s", i ? " " : "", commands[i]->name);
    text_append(script, "'\n    case ${1-} in\n");
    for (int i = 0; commands[i]; i++) append_command(script, commands[i]);
    text_append(script, "    esac\n");
}

wf_status completion_append(Text *script, const char *template_text)
{
    const char *place = strstr(template_text, tables_line);
    if (!place)
        return fail(WF_ERROR_FORMAT, "the completion's template has no line \"%.*s\"",
                    (int)sizeof tables_line - 2, tables_line);
    text_append_bytes(script, template_text, (size_t)(place - template_text));
    append_tables(script);
    text_append(script, "%s", place + strlen(tables_line));
    return WF_OK;
}
