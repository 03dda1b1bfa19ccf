/* Makes the manual pages and the completion out of the option tables, when Wavefield is built.
 *
 *     wavefield-document man FOLDER             wavefield.1 and a wavefield-COMMAND.1 a command
 *     wavefield-document bash FOLDER TEMPLATE   the completion script, `wavefield`
 */
#include "base/files.h"
#include "base/text.h"
#include "cli/common.h"
#include "cli/completion.h"
#include "cli/roff.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what holds for every command ---- */

static const char description[] =
    "Wavefield trains and runs Wave Field language models, which carry information from token to "
    "token by a damped wave instead of attention.\n"
    "Each command has a page of its own.";

static const struct {
    const char *status, *meaning;
} statuses[] = {
    {"0", "Success."},
    {"1", "Failure; the message on standard error says of what, and what to do."},
    {"2", "The command line is wrong."},
};

static const struct {
    const char *name, *meaning;
} variables[] = {
    {"OMP_NUM_THREADS", "How many threads the CPU backend uses; as many as there are cores by "
                        "default. The results do not depend on it."},
    {"OMP_WAIT_POLICY", "With \"passive\" waiting threads sleep, which helps where several "
                        "programs share the cores."},
    {"VK_DRIVER_FILES", "The Vulkan loader's list of drivers; VK_ICD_FILENAMES in older ones."},
    {"OCL_ICD_VENDORS", "Where the OpenCL loader looks for drivers."},
    {"CUDA_VISIBLE_DEVICES", "Which devices the CUDA driver shows."},
    {"TMPDIR", "Where text out of .jsonl files is kept while a tokenizer learns from it; /tmp by "
               "default."},
};

static const struct {
    const char *name, *meaning;
} files[] = {
    {"MODEL/config.json", "A model's shape and options; any config.json can be given to --config."},
    {"MODEL/model.safetensors", "Its parameters."},
    {"MODEL/tokenizer.json", "Its tokenizer."},
    {"OUT/step-NNNNNNNN", "A checkpoint of a training run: a model folder that also holds what "
                          "--resume needs. It is complete or absent."},
    {"SHARDS/train_NNNNNN.bin", "Tokens to train on; val_NNNNNN.bin holds those to evaluate on, "
                                "and tokenizer.json says what they mean."},
    {"OUT/best", "The checkpoint with the lowest held-out loss so far."},
    {"OUT/metrics.jsonl", "A training run's steps and evaluations, one JSON object a line."},
};

/* ---- parts of a page ---- */

static void page_begin(Text *page, const char *command, const char *summary)
{
    char title[64];
    snprintf(title, sizeof title, "wavefield%s%s", command ? "-" : "", command ? command : "");
    text_append(page, ".TH ");
    for (const char *c = title; *c; c++)
        text_append(page, "%s%c", *c == '-' ? "\\" : "", toupper((unsigned char)*c));
    text_append(page, " 1 " WAVEFIELD_DATE " \"Wavefield " WAVEFIELD_VERSION
                      "\" \"Wavefield Manual\"\n.SH NAME\n");
    roff_text(page, title);
    text_append(page, " \\- ");
    roff_paragraph(page, summary);
}

/* A term in bold, with its argument, and what it means. */
/* An item is a term in bold, an argument in italics, or both. */
static void page_item(Text *page, const char *term, const char *argument, const char *meaning)
{
    text_append(page, ".TP\n");
    if (term) {
        text_append(page, "\\fB");
        roff_text(page, term);
        text_append(page, "\\fR%s", argument ? " " : "");
    }
    if (argument) {
        text_append(page, "\\fI");
        roff_text(page, argument);
        text_append(page, "\\fR");
    }
    text_append(page, "\n");
    roff_paragraph(page, meaning);
}
#define PAGE_ITEMS(page, table, term, meaning)                                                     \
    for (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)                                   \
    page_item(page, (table)[i].term, NULL, (table)[i].meaning)

static void page_reference(Text *page, const char *command)
{
    text_append(page, "\\fBwavefield%s%s\\fR(1)", command ? "\\-" : "", command ? command : "");
}

static void page_statuses(Text *page)
{
    text_append(page, ".SH \"EXIT STATUS\"\n");
    PAGE_ITEMS(page, statuses, status, meaning);
}

static wf_status page_write(Text *page, const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    wf_status status = page->failed || !path ? fail(WF_ERROR_MEMORY, "out of memory for %s", name)
                                             : file_write_atomic(path, page->data, page->length);
    free(path);
    text_destroy(page);
    return status;
}

/* ---- pages ---- */

static wf_status write_overview(const char *folder)
{
    Text page = {0};
    page_begin(&page, NULL, "train and run Wave Field language models");
    text_append(&page, ".SH SYNOPSIS\n\\fBwavefield\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n.br\n"
                       "\\fBwavefield\\fR \\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR\n"
                       ".SH DESCRIPTION\n");
    roff_paragraphs(&page, description);
    text_append(&page, ".SH COMMANDS\n");
    for (int i = 0; commands[i]; i++) {
        text_append(&page, ".TP\n");
        page_reference(&page, commands[i]->name);
        text_append(&page, "\n");
        roff_paragraph(&page, commands[i]->summary);
    }
    text_append(&page, ".SH OPTIONS\n");
    page_item(&page, "--help", NULL, "Print the commands; after a command, its options.");
    page_item(&page, "--version", NULL, "Print the version and the backends built in.");
    page_statuses(&page);
    text_append(&page, ".SH ENVIRONMENT\n");
    PAGE_ITEMS(&page, variables, name, meaning);
    text_append(&page, ".SH FILES\n");
    PAGE_ITEMS(&page, files, name, meaning);
    text_append(&page, ".SH EXAMPLES\n");
    for (int i = 0; commands[i]; i++) {
        if (i) text_append(&page, ".PP\n");
        roff_paragraphs(&page, commands[i]->examples);
    }
    text_append(&page, ".SH \"SEE ALSO\"\n");
    for (int i = 0; commands[i]; i++) {
        page_reference(&page, commands[i]->name);
        text_append(&page, commands[i + 1] ? ",\n" : "\n");
    }
    return page_write(&page, folder, "wavefield.1");
}

static void page_synopsis(Text *page, const Subcommand *command)
{
    text_append(page, ".SH SYNOPSIS\n\\fBwavefield ");
    roff_text(page, command->name);
    text_append(page, "\\fR");
    for (int i = 0; i < command->n_options; i++) {
        const Option *option = &command->options[i];
        if (!option->required) continue;
        text_append(page, "\n");
        if (option->name) {
            text_append(page, "\\fB\\-\\-");
            roff_text(page, option->name);
            text_append(page, "\\fR ");
        }
        text_append(page, "\\fI");
        roff_text(page, option->argument);
        text_append(page, "\\fR\\&"); /* what ends in dots ends no sentence */
    }
    text_append(page, "\n[\\fIoptions\\fR]\n");
}

static void page_option(Text *page, const Option *option)
{
    char term[64];
    Text meaning = {0};
    snprintf(term, sizeof term, "--%s", option->name ? option->name : "");
    option_text(option, &meaning);
    page->failed |= meaning.failed;
    if (!meaning.failed)
        page_item(page, option->name ? term : NULL, option->argument, meaning.data);
    text_destroy(&meaning);
}

static wf_status write_command(const char *folder, const Subcommand *command)
{
    Text page = {0};
    char name[64];
    snprintf(name, sizeof name, "wavefield-%s.1", command->name);
    page_begin(&page, command->name, command->summary);
    page_synopsis(&page, command);
    if (command->details) {
        text_append(&page, ".SH DESCRIPTION\n");
        roff_paragraphs(&page, command->details);
    }
    text_append(&page, ".SH OPTIONS\nA value may also be given as "
                       "\\fB\\-\\-\\fR\\fIoption\\fR\\fB=\\fR\\fIvalue\\fR.\n");
    for (int i = 0; i < command->n_options; i++) page_option(&page, &command->options[i]);
    page_item(&page, "--help", NULL, "print the options");
    page_statuses(&page);
    if (command->examples) {
        text_append(&page, ".SH EXAMPLES\n");
        roff_paragraphs(&page, command->examples);
    }
    text_append(&page, ".SH \"SEE ALSO\"\n");
    page_reference(&page, NULL);
    text_append(&page, ", for the environment and the files\n");
    return page_write(&page, folder, name);
}

static wf_status write_pages(const char *folder)
{
    TRY(folder_make(folder));
    TRY(write_overview(folder));
    for (int i = 0; commands[i]; i++) TRY(write_command(folder, commands[i]));
    return WF_OK;
}

/* ---- completion ---- */

static wf_status write_completion(const char *folder, const char *template_path)
{
    enum { LARGEST = 1 << 20 };
    char *template_text;
    size_t size;
    Text script = {0};
    TRY(folder_make(folder));
    TRY(file_read(template_path, LARGEST, &template_text, &size));
    wf_status status = completion_append(&script, template_text);
    free(template_text);
    if (!status) return page_write(&script, folder, "wavefield");
    text_destroy(&script);
    return fail_within(status, template_path);
}

int main(int n_words, char **words)
{
    if (n_words == 3 && !strcmp(words[1], "man")) return finish("document", write_pages(words[2]));
    if (n_words == 4 && !strcmp(words[1], "bash"))
        return finish("document", write_completion(words[2], words[3]));
    fprintf(stderr, "usage: wavefield-document man FOLDER | bash FOLDER TEMPLATE\n");
    return EXIT_USAGE;
}
