/* The command line from outside: tokenizers, shards and lines of JSON. */
#include "cli_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Evaluates, generates and goes on with a model whose tokenizer is a file of its own. */
static void assert_usable(const char *model, const char *tokenizer_file)
{
    char line[256], name[128];
    snprintf(name, sizeof name, "%s/step-00000012/%s", model, tokenizer_file);
    assert_int_equal(access(IN_FOLDER(name), F_OK), 0);
    assert_int_equal(wavefield("eval --model %s --data data.txt --device cpu", model), 0);
    assert_says("bits per byte");
    assert_int_equal(
        wavefield("generate --model %s --prompt 'the owl' --max-tokens 8 --device cpu", model), 0);
    assert_memory_equal(output, "the owl", 7);
    assert_int_equal(wavefield("generate --model %s --max-tokens 3 --device cpu", model), 0);

    snprintf(line, sizeof line, "cd %s && cp -r %s kept && cd %s && rm -r *12 model.safetensors",
             folder, model, model);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield("train --resume --data data.txt --device cpu --out %s", model), 0);
    snprintf(name, sizeof name, "%s/model.safetensors", model);
    assert_same_file("kept/model.safetensors", name);
    snprintf(line, sizeof line, "rm -r %s/kept", folder);
    assert_int_equal(system(line), 0);
}

static void subword_tokenizers_serve_a_model(void **state)
{
    (void)state;
    int status = wavefield(TRAIN "--out pieces --tokenizer sentencepiece-bpe --tokenizer-size 290");
    if (status && strstr(output, "build again")) skip();
    assert_int_equal(status, 0);
    assert_says("vocabulary of 290 (sentencepiece)");
    assert_usable("pieces", "tokenizer.model");

    /* A file, and more rows in the model than it has tokens. */
    assert_int_equal(wavefield(TRAIN "--out rows --tokenizer pieces/tokenizer.model"), 0);
    assert_int_equal(wavefield("train " TINY
                               "vocab_size=320 --data data.txt --device cpu --steps 2 "
                               "--batch-size 4 --out more --tokenizer pieces/tokenizer.model"),
                     0);
    assert_says("vocabulary of 320 (sentencepiece)");
    assert_int_equal(wavefield("train " TINY
                               "vocab_size=100 --data data.txt --device cpu --out few "
                               "--tokenizer pieces/tokenizer.model"),
                     1);
    assert_says("290");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer pieces --tokenizer-size 300"), 1);
    assert_says("--tokenizer-size");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer byte --tokenizer-size 300"), 1);
    assert_says("300");
    assert_int_equal(wavefield(TRAIN "--out x --tokenizer sentencepiece"), 1);
    assert_says("\"sentencepiece-unigram\"");
}

static void a_tokenizer_json_serves_a_model(void **state)
{
    (void)state;
    int status = wavefield(TRAIN "--out bpe --tokenizer %s/gpt2.json", TEST_DATA);
    if (status && strstr(output, "build again")) skip();
    assert_int_equal(status, 0);
    assert_says("vocabulary of 480 (bpe)");
    assert_usable("bpe", "tokenizer.json");
}

/* Shards give the model that the text gives, to the bit, with a tokenizer beside them or without.
 */
static void shards_train_like_the_text(void **state)
{
    (void)state;
    assert_int_equal(wavefield("tokenize --tokenizer char --data data.txt --out shards "
                               "--shard-tokens 3000"),
                     0);
    int vocabulary = 0;
    const char *says = strstr(output, "vocabulary of ");
    assert_non_null(says);
    assert_int_equal(sscanf(says, "vocabulary of %d", &vocabulary), 1);
    assert_int_equal(access(IN_FOLDER("shards/train_000002.bin"), F_OK), 0);
    assert_int_equal(access(IN_FOLDER("shards/val_000000.bin"), F_OK), 0);
    assert_int_equal(
        wavefield("tokenize --tokenizer char --data data.txt --out shards --shard-tokens 3000"), 1);
    assert_says("must be empty or absent");

    assert_int_equal(wavefield(TRAIN "--tokenizer char --out text"), 0);
    assert_int_equal(wavefield("train " TINY "--data shards --device cpu --steps 12 --batch-size 4 "
                               "--save-every 6 --out sharded"),
                     0);
    assert_says("(char)");
    assert_says("bits per byte");
    assert_same_file("text/model.safetensors", "sharded/model.safetensors");
    assert_same_file("text/tokenizer.json", "sharded/tokenizer.json");
    assert_int_equal(wavefield("eval --model sharded --data shards --device cpu"), 0);
    assert_says("bits per byte");

    assert_int_equal(
        wavefield("train " TINY "--tokenizer byte --data shards --out other --device cpu"), 1);
    assert_says("the shards in shards were made with another tokenizer (char");
    assert_int_equal(wavefield("tokenize --tokenizer byte --data data.txt --out bytes"), 0);
    assert_int_equal(wavefield("eval --model text --data bytes --device cpu"), 1);
    assert_says("the shards in bytes were made with another tokenizer (byte");
    /* not only those that come first */
    assert_int_equal(wavefield("eval --model text --data shards bytes --device cpu"), 1);
    assert_says("the shards in bytes were made with another tokenizer (byte");
    assert_int_equal(wavefield("train " TINY "--data shards/train_000000.bin shards/val_000000.bin "
                               "bytes/train_000000.bin --out other --device cpu"),
                     1);
    assert_says("the shards in bytes/ were made with another tokenizer (byte");

    /* The same run, interrupted, goes on with the tokens in one shard instead of three. */
    char line[256];
    snprintf(line, sizeof line, "cd %s/sharded && rm -r *12 best model.safetensors config.json",
             folder);
    assert_int_equal(system(line), 0);
    assert_int_equal(wavefield("tokenize --tokenizer text --data data.txt --out single"), 0);
    assert_int_equal(wavefield("train --resume --data single --device cpu --out sharded"), 0);
    assert_same_file("text/model.safetensors", "sharded/model.safetensors");
    assert_int_equal(wavefield("train --resume --data data.txt --held-out 0.1 --device cpu "
                               "--out sharded"),
                     1);
    assert_says("other data");

    remove(IN_FOLDER("shards/tokenizer.json"));
    assert_int_equal(wavefield("train " TINY "vocab_size=%d --data shards --device cpu --steps 12 "
                               "--batch-size 4 --out bare",
                               vocabulary),
                     0);
    assert_says("no tokenizer");
    assert_same_file("text/model.safetensors", "bare/model.safetensors");
    assert_int_equal(wavefield("eval --model bare --data shards/val_000000.bin --device cpu"), 0);
    assert_null(strstr(output, "bits per byte"));
    assert_int_equal(wavefield("eval --model bare --data data.txt --device cpu"), 1);
    assert_says("data.txt: text needs a tokenizer");
    assert_int_equal(wavefield("generate --model bare --device cpu"), 1);
    assert_says("bare has no tokenizer");
    assert_int_equal(wavefield("train " TINY "vocab_size=9 --data shards --device cpu --out nine"),
                     1);
    assert_says("outside the vocabulary of 9");
}

static void lines_of_json_train(void **state)
{
    (void)state;
    FILE *file = fopen(IN_FOLDER("data.jsonl"), "w");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        fprintf(file, "{\"id\": %d, \"body\": \"the f\\u00f6x number %d\", \"title\": \"the f\"}\n",
                i, i * i);
    assert_int_equal(fclose(file), 0);
    write_file("held.txt", "the f\xC3\xB6x number 1\nthe f\xC3\xB6x number 2\n");
    assert_int_equal(wavefield("train " TINY "--data data.jsonl --out lines --device cpu"), 1);
    assert_says("data.jsonl: line 1: no key \"text\"; the object has \"id\", \"body\", \"title\"");
    assert_int_equal(wavefield("train " TINY "--data data.jsonl --text-field body --tokenizer char "
                               "--eval-data held.txt --steps 5 --out lines --device cpu"),
                     0);
    assert_says("vocabulary of 23 (char)"); /* those of the texts, not of JSON */
    assert_says("34 held out");
    /* A resumed run is told what it is not given. */
    const char *again = "train --resume --data data.jsonl --out lines --device cpu "
                        "--eval-data held.txt --text-field";
    assert_int_equal(wavefield("%s text", again), 1);
    assert_says("--resume needs --data, --eval-data, --held-out and --text-field as");
    assert_says("data.jsonl: line 1: no key \"text\"");
    assert_int_equal(wavefield("%s title", again), 1);
    assert_says("was trained on other data: same files, order, text field,");
    assert_int_equal(wavefield("%s body", again), 0);
    assert_int_equal(
        wavefield("eval --model lines --data data.jsonl --text-field body --device cpu"), 0);
    assert_int_equal(wavefield("tokenize --tokenizer lines --data data.jsonl --text-field body "
                               "--out json-shards --held-out 0.1"),
                     0);
    assert_says("200 documents");
    assert_int_equal(wavefield("eval --model lines --data json-shards --device cpu"), 0);
    assert_int_equal(wavefield("train " TINY "--data json-shards --held-out 0.1 --out y "
                               "--device cpu"),
                     1);
    assert_says("one of them only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subword_tokenizers_serve_a_model),
        cmocka_unit_test(a_tokenizer_json_serves_a_model),
        cmocka_unit_test(shards_train_like_the_text),
        cmocka_unit_test(lines_of_json_train),
    };
    return cmocka_run_group_tests_name("cli data", tests, cli_set_up, folder_tear_down);
}
