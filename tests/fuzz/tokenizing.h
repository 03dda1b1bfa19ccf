/* What holds of every tokenizer that loads, for the targets that read one. */
#ifndef TESTS_FUZZ_TOKENIZING_H
#define TESTS_FUZZ_TOKENIZING_H

#include "fuzz.h"
#include "wavefield/tokenizer.h"

/* Loads the first part of the input, written as the file `name`; encodes and decodes the second, or
 * a text of its own where there is none; saves and loads again to the same. */
bool tokenize_file(const char *name, const uint8_t *data, size_t size);

#endif
