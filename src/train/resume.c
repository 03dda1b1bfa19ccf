/* A trainer to a checkpoint and back. */
#include "base/files.h"
#include "train/checkpoint.h"
#include "train/sequences.h"
#include "train/settings.h"
#include "train/state.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

/* The files of a checkpoint that hold more than a model folder does, and the parameters. */
typedef struct CheckpointPaths {
    char *config, *values, *optimizer, *state;
} CheckpointPaths;

static wf_status paths_create(const char *folder, CheckpointPaths *out)
{
    *out = (CheckpointPaths){
        .config = path_join(folder, "config.json"),
        .values = path_join(folder, "model.safetensors"),
        .optimizer = path_join(folder, CHECKPOINT_OPTIMIZER),
        .state = path_join(folder, CHECKPOINT_STATE),
    };
    if (out->config && out->values && out->optimizer && out->state) return WF_OK;
    return fail(WF_ERROR_MEMORY, "out of memory for the paths of a checkpoint");
}

static void paths_destroy(CheckpointPaths *paths)
{
    free(paths->config);
    free(paths->values);
    free(paths->optimizer);
    free(paths->state);
}

/* ---- saving ---- */

static wf_status write_files(const wf_trainer *trainer, const char *folder,
                             const CheckpointPaths *paths)
{
    const Optimizer *optimizer = &trainer->programs.optimizer;
    const NamedSequence moments[] = {{"first.", optimizer->first}, {"second.", optimizer->second}};
    TrainingState state = {
        .settings = trainer->settings,
        .progress = trainer->progress,
        .loss_scale = trainer->loss_scale,
        .cursor = trainer->batches->cursor,
        .fingerprint = trainer->data->fingerprint,
        .computed_by = computed_by(&trainer->model->device->info),
    };
    TRY(wf_model_save(trainer->model, folder));
    TRY(sequences_save(paths->optimizer, &trainer->model->parameters, moments, 2));
    return state_save(&state, paths->state);
}

static wf_status save_as(const wf_trainer *trainer, const char *folder, const char *name)
{
    char *partial;
    CheckpointPaths paths;
    TRY(checkpoint_begin(folder, name, &partial));
    wf_status status = paths_create(partial, &paths);
    if (!status) status = write_files(trainer, partial, &paths);
    if (!status) status = checkpoint_publish(folder, name, partial);
    if (status) checkpoint_discard(partial);
    paths_destroy(&paths);
    free(partial);
    return status;
}

wf_status wf_trainer_save(wf_trainer *trainer, const char *folder, int keep)
{
    CheckpointName name;
    TRY(trainer_settle(trainer));
    TRY(save_as(trainer, folder, checkpoint_name(trainer->progress.step, &name)));
    return checkpoint_prune(folder, trainer->progress.step, keep);
}

wf_status wf_trainer_save_best(wf_trainer *trainer, const char *folder)
{
    TRY(trainer_settle(trainer));
    return save_as(trainer, folder, CHECKPOINT_BEST);
}

/* ---- resuming ---- */

/* Names the first key of two configurations that differs. */
static wf_status compare_texts(const char *here, const char *there, const char *path)
{
    json_t *mine = json_loads(here, 0, NULL), *theirs = json_loads(there, 0, NULL), *value;
    wf_status status = mine && theirs ? WF_OK : fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    const char *key;
    json_object_foreach(mine, key, value)
    {
        const json_t *other = json_object_get(theirs, key);
        if (status || json_equal(value, other)) continue;
        char *expected = json_dumps(value, JSON_ENCODE_ANY);
        char *found = json_dumps(other, JSON_ENCODE_ANY);
        status = fail(WF_ERROR_ARGUMENT, "%s: %s is %s, this trainer's model has %s", path, key,
                      found ? found : "missing", expected ? expected : "?");
        free(expected);
        free(found);
    }
    json_decref(mine);
    json_decref(theirs);
    return status;
}

static wf_status compare_config(const Config *config, const char *path)
{
    wf_config *saved;
    TRY(wf_config_create(path, &saved));
    char *here = config_print(config), *there = config_print(saved);
    wf_status status = here && there ? compare_texts(here, there, path)
                                     : fail(WF_ERROR_MEMORY, "%s: out of memory", path);
    free(here);
    free(there);
    wf_config_destroy(saved);
    return status;
}

static wf_status compare_state(const wf_trainer *trainer, const TrainingState *state,
                               const char *path)
{
    TRY(settings_compare(&trainer->settings, &state->settings, path));
    if (state->fingerprint == trainer->data->fingerprint) return WF_OK;
    return fail(WF_ERROR_ARGUMENT,
                "%s: was trained on other data: same files, order, text field, tokenizer and "
                "held-out share are needed to continue",
                path);
}

/* Everything is checked before anything of the trainer changes. */
static wf_status load_files(wf_trainer *trainer, const CheckpointPaths *paths)
{
    wf_model *model = trainer->model;
    const Optimizer *optimizer = &trainer->programs.optimizer;
    const NamedSequence values[] = {{"", model->values}};
    const NamedSequence moments[] = {{"first.", optimizer->first}, {"second.", optimizer->second}};
    TrainingState state;
    TRY(compare_config(model->config, paths->config));
    TRY(state_load(paths->state, &state));
    TRY(compare_state(trainer, &state, paths->state));
    TRY(sequences_check(paths->values, &model->parameters, values, 1));
    TRY(sequences_check(paths->optimizer, &model->parameters, moments, 2));
    wf_status status = batches_seek(trainer->batches, state.cursor);
    if (status) return fail_within(status, "%s", paths->state);
    trainer_forget_steps(trainer);
    trainer->lost = true; /* until all is read */
    TRY(sequences_load(paths->values, &model->parameters, values, 1));
    TRY(sequences_load(paths->optimizer, &model->parameters, moments, 2));
    trainer->lost = false;
    trainer->progress = state.progress;
    trainer->loss_scale = state.loss_scale;
    model_changed(model);
    return WF_OK;
}

wf_status wf_trainer_resume(wf_trainer *trainer, const char *folder)
{
    char *path;
    CheckpointPaths paths;
    TRY(checkpoint_find(folder, &path));
    wf_status status = paths_create(path, &paths);
    if (!status) status = load_files(trainer, &paths);
    paths_destroy(&paths);
    free(path);
    return status;
}

static wf_status load_state(const char *folder, TrainingState *state)
{
    char *path;
    CheckpointPaths paths;
    TRY(checkpoint_find(folder, &path));
    wf_status status = paths_create(path, &paths);
    if (!status) status = state_load(paths.state, state);
    paths_destroy(&paths);
    free(path);
    return status;
}

wf_status wf_checkpoint_settings(const char *folder, wf_trainer_params *settings)
{
    TrainingState state;
    TRY(load_state(folder, &state));
    *settings = state.settings;
    return WF_OK;
}

wf_status wf_checkpoint_progress(const char *folder, wf_progress *progress)
{
    TrainingState state;
    TRY(load_state(folder, &state));
    *progress = state.progress;
    return WF_OK;
}

wf_status wf_checkpoint_compare(const char *folder, const wf_device *device, char *text,
                                size_t size)
{
    TrainingState state;
    if (!device || !text || size == 0)
        return fail(WF_ERROR_ARGUMENT, "wf_checkpoint_compare: no device, or no place for a text");
    TRY(load_state(folder, &state));
    ComputedBy now = computed_by(&device->info);
    computed_by_compare(&state.computed_by, &now, text, size);
    return WF_OK;
}
