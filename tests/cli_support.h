/* What the tests of the command line share: the program itself, run in a folder, and files there.
 * Includes cmocka, whose macro fail() hides the library's: other headers come before this one. */
#ifndef TESTS_CLI_SUPPORT_H
#define TESTS_CLI_SUPPORT_H

#include "base/status.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A model that trains in a second, and a training of it. */
#define TINY                                                                                       \
    "--config demo --set embedding_dim=16 num_layers=2 num_heads=2 ffn_dim=24 field_size=70 "      \
    "max_seq_len=32 "

#define TRAIN "train " TINY "--data data.txt --device cpu --steps 12 --batch-size 4 --save-every 6 "

/* A folder with data.txt: about 9 KB of sentences that are alike and not the same. */
int cli_set_up(void **state);

/* Runs `wavefield …` in the folder; returns its exit status. */
int wavefield(const char *format, ...) PRINTF_LIKE(1, 2);

void write_bytes(const char *name, const char *bytes, size_t size);
void write_file(const char *name, const char *text);

/* How many lines of a file have the text. */
int count_text(const char *name, const char *text);

void assert_same_file(const char *a, const char *b);

#endif
