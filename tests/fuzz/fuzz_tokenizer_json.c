/* tokenizer.json of every type, and a text for it. */
#include "tokenizing.h"

bool fuzz_one(const uint8_t *data, size_t size)
{
    return tokenize_file("tokenizer.json", data, size);
}
