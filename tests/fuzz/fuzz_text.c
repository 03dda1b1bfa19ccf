/* Texts as data: a letter that chooses the tokenizer, the text it is made from, and another. */
#include "reading.h"

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[3];
    wf_tokenizer *tokenizer;
    wf_dataset *dataset;
    fuzz_split(data, size, parts, 3);
    bool bytes = parts[0].size && *parts[0].data == 'b';
    const char *from = fuzz_write("from", parts[1]), *other = fuzz_write("other", parts[2]);
    const char *files[] = {from, other};
    if (!fuzz_ok(wf_tokenizer_create(bytes ? "byte" : "char",
                                     wf_tokenizer_params(.files = &from, .n_files = 1),
                                     &tokenizer)))
        return false;
    REQUIRE(wf_tokenizer_vocabulary(tokenizer) > 0);
    wf_status status =
        wf_dataset_open(wf_dataset_params(.files = files, .n_files = parts[2].size ? 2 : 1,
                                          .tokenizer = tokenizer, .held_out = 0.25),
                        &dataset);
    wf_tokenizer_destroy(tokenizer);
    if (!fuzz_ok(status)) return false;
    int64_t spanned = 0;
    REQUIRE(read_dataset(dataset));
    MUST(dataset_bytes(dataset, (TokenSpan){0, dataset->count}, &spanned));
    REQUIRE(spanned == (int64_t)(parts[1].size + parts[2].size));
    wf_dataset_destroy(dataset);
    return true;
}
