/* A training loop: a small model learns a text and is saved.
 *
 *     train [STEPS [FOLDER [FILE]]]
 *
 * FILE is UTF-8 text; without one a few built-in lines are learned by heart. The model folder
 * FOLDER
 * ("model") can be given to the `generate` example or to `wavefield generate --model`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavefield/train.h"

/* Edward Lear, 1871. */
static const char lines[] =
    "The Owl and the Pussy-cat went to sea\n  In a beautiful pea-green boat,\n"
    "They took some honey, and plenty of money,\n  Wrapped up in a five-pound note.\n"
    "The Owl looked up to the stars above,\n  And sang to a small guitar,\n"
    "\"O lovely Pussy! O Pussy, my love,\n  What a beautiful Pussy you are,\n"
    "  You are,\n  You are!\nWhat a beautiful Pussy you are!\"\n";

static void check(wf_status status)
{
    if (status == WF_OK) return;
    fprintf(stderr, "%s: %s\n", wf_status_name(status), wf_error_message());
    exit(1);
}

/* A file's text, or the built-in lines, as tokens; a tenth of a file is held out. */
static wf_dataset *open_data(const char *file, const wf_tokenizer *tokenizer)
{
    wf_dataset *data;
    if (file) {
        check(wf_dataset_open(
            &(wf_dataset_params){
                .files = &file, .n_files = 1, .tokenizer = tokenizer, .held_out = 0.1},
            &data));
        return data;
    }
    wf_tokens tokens = {0};
    check(wf_tokenizer_encode(tokenizer, lines, strlen(lines), 0, &tokens));
    check(wf_dataset_from_tokens(tokens.items, (int64_t)tokens.count,
                                 wf_tokenizer_vocabulary(tokenizer), 0, &data));
    wf_tokens_free(&tokens);
    return data;
}

int main(int argc, char **argv)
{
    int64_t steps = argc > 1 ? atoll(argv[1]) : 800;
    const char *folder = argc > 2 ? argv[2] : "model";
    const char *file = argc > 3 ? argv[3] : NULL;

    wf_device *device;
    wf_tokenizer *tokenizer;
    check(wf_device_open("auto", &device));
    check(wf_tokenizer_create("byte", NULL, &tokenizer));
    wf_dataset *data = open_data(file, tokenizer);

    /* The smallest preset, made smaller still. */
    wf_config *config;
    check(wf_config_create("demo", &config));
    const char *const settings[] = {"embedding_dim=64", "num_layers=2",   "ffn_dim=256",
                                    "max_seq_len=128",  "field_size=128", "tokenizer=byte"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check(wf_config_set(config, settings[i]));

    wf_model *model;
    wf_trainer *trainer;
    wf_step_stats stats = {0};
    double first = 0;
    check(wf_model_create(device, config, 1, &model));
    check(wf_model_set_tokenizer(model, tokenizer)); /* the model owns it now */
    check(wf_trainer_create(
        model, data,
        wf_trainer_params(.batch_size = 8, .sequence_length = 64, .steps = steps, .seed = 1),
        &trainer));
    for (int64_t step = 1; step <= steps; step++) {
        check(wf_trainer_step(trainer, &stats));
        if (step == 1) first = stats.loss;
        if (step == 1 || step % 50 == 0)
            printf("step %4lld  loss %.3f  accuracy %.1f %%\n", (long long)stats.step, stats.loss,
                   100 * stats.accuracy);
    }
    int64_t held_out;
    wf_dataset_size(data, NULL, &held_out, NULL);
    if (held_out > 1) {
        wf_evaluation result;
        check(wf_trainer_evaluate(trainer, &result));
        printf("held out: loss %.3f, perplexity %.2f\n", result.loss, result.perplexity);
    }
    check(wf_model_save(model, folder));
    printf("saved %s\n", folder);

    wf_trainer_destroy(trainer);
    wf_model_destroy(model);
    wf_config_destroy(config);
    wf_dataset_destroy(data);
    wf_device_close(device);
    return stats.loss < first ? 0 : 1;
}
