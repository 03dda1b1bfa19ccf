/* A tokenizer at work, for comparisons with other implementations and for timing.
 *
 *     tokenize encode TOKENIZER [special]    texts on the standard input, each after its length (4
 *                                            bytes, little-endian); their tokens, a line a text, or
 *                                            "error: …", then the decoded text, framed as the input
 *     tokenize train TYPE VOCABULARY FOLDER FILE…
 *     tokenize time TOKENIZER|TYPE FILE      seconds and tokens of encoding the file as one text */
#include "base/clock.h"
#include "base/files.h"
#include "wavefield/tokenizer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(wf_status status)
{
    if (!status) return;
    fprintf(stderr, "%s\n", wf_error_message());
    exit(1);
}

static void print_decoded(const wf_tokenizer *tokenizer, const wf_tokens *tokens)
{
    size_t length = 0;
    must(wf_tokenizer_decode(tokenizer, tokens->items, tokens->count, NULL, 0, &length));
    char *text = malloc(length + 1);
    if (!text) exit(1);
    must(wf_tokenizer_decode(tokenizer, tokens->items, tokens->count, text, length, &length));
    for (int i = 0; i < 4; i++) putchar((int)(length >> 8 * i & 0xFF));
    fwrite(text, 1, length, stdout);
    free(text);
}

static void encode_all(const wf_tokenizer *tokenizer, int flags)
{
    wf_tokens tokens = {0};
    unsigned char frame[4];
    while (fread(frame, 1, 4, stdin) == 4) {
        size_t length = frame[0] | frame[1] << 8 | frame[2] << 16 | (size_t)frame[3] << 24;
        char *text = malloc(length + 1);
        if (!text || fread(text, 1, length, stdin) != length) exit(1);
        tokens.count = 0;
        if (wf_tokenizer_encode(tokenizer, text, length, flags, &tokens))
            printf("error: %s", wf_error_message());
        for (size_t i = 0; i < tokens.count; i++)
            printf("%s%d", i ? " " : "", (int)tokens.items[i]);
        putchar('\n');
        print_decoded(tokenizer, &tokens);
        free(text);
    }
    wf_tokens_free(&tokens);
}

static void time_file(const wf_tokenizer *tokenizer, const char *path)
{
    FileMap map;
    wf_tokens tokens = {0};
    must(file_map(path, &map));
    double seconds = 0;
    for (int i = 0; i < 3; i++) { /* the best of three */
        tokens.count = 0;
        double start = clock_seconds();
        must(wf_tokenizer_encode(tokenizer, (const char *)map.data, map.size, 0, &tokens));
        double taken = clock_seconds() - start;
        if (i == 0 || taken < seconds) seconds = taken;
    }
    printf("%s: %zu bytes, %zu tokens, %.3f s, %.1f MB/s\n", wf_tokenizer_type(tokenizer), map.size,
           tokens.count, seconds, 1e-6 * (double)map.size / seconds);
    file_unmap(&map);
    wf_tokens_free(&tokens);
}

static wf_tokenizer *open_tokenizer(const char *name, const char *file)
{
    wf_tokenizer *tokenizer;
    must(file_exists(name)
             ? wf_tokenizer_load(name, &tokenizer)
             : wf_tokenizer_create(name, wf_tokenizer_params(.files = &file, .n_files = 1),
                                   &tokenizer));
    return tokenizer;
}

int main(int argc, char **argv)
{
    wf_tokenizer *tokenizer = NULL;
    if (argc >= 3 && !strcmp(argv[1], "encode")) {
        must(wf_tokenizer_load(argv[2], &tokenizer));
        encode_all(tokenizer, argc > 3 ? WF_ENCODE_SPECIAL : 0);
    } else if (argc >= 6 && !strcmp(argv[1], "train")) {
        must(wf_tokenizer_create(argv[2],
                                 wf_tokenizer_params(.vocabulary = atoll(argv[3]),
                                                     .files = (const char *const *)(argv + 5),
                                                     .n_files = argc - 5),
                                 &tokenizer));
        must(wf_tokenizer_save(tokenizer, argv[4]));
    } else if (argc == 4 && !strcmp(argv[1], "time")) {
        tokenizer = open_tokenizer(argv[2], argv[3]);
        time_file(tokenizer, argv[3]);
    } else {
        fprintf(stderr, "usage: see the beginning of tokenize.c\n");
        return 2;
    }
    wf_tokenizer_destroy(tokenizer);
    return 0;
}
