/* Calls of every macro of parameters as a user writes them, each default overridden once: to be
 * compiled with all the warnings a user may have. */
#include <wavefield/data.h>
#include <wavefield/field.h>
#include <wavefield/generate.h>
#include <wavefield/tokenizer.h>
#include <wavefield/train.h>

#define CHECKED(status) ((status) == WF_OK ? 0 : 1)

static double clip_of(const wf_trainer_params *params)
{
    return params->clip;
}

int count_failures(const char *const *files, wf_model *model, wf_dataset *data)
{
    int failures = 0;
    wf_tokenizer *tokenizer;
    wf_sampler *sampler;
    wf_trainer *trainer;
    wf_trainer_params copy = *wf_trainer_params(.steps = 3, .warmup = 0);
    failures +=
        CHECKED(wf_tokenizer_create("char", wf_tokenizer_params(.files = files), &tokenizer));
    failures += CHECKED(wf_dataset_open(
        wf_dataset_params(.files = files, .n_files = 1, .tokenizer = tokenizer, .held_out = 0.1),
        &data));
    failures += CHECKED(wf_shards_write(
        wf_shards_params(.files = files, .n_files = 1, .held_out = 0), "shards", NULL));
    failures += CHECKED(wf_sampler_create(8, wf_sampler_params(.temperature = 0), &sampler));
    failures += CHECKED(wf_generate(model, wf_generate_params(.max_tokens = 3)));
    failures += CHECKED(wf_trainer_create(
        model, data,
        wf_trainer_params(.warmup = copy.warmup, .min_learning_rate = 0, .weight_decay = 0,
                          .clip = clip_of(wf_trainer_params(.clip = 0))),
        &trainer));
    return failures + (int)wf_field_params(.batch = 1, .heads = 2)->heads;
}
