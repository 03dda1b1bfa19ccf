/* A checkpoint folder, from the parts state.json, optimizer.safetensors, model.safetensors and
 * config.json, resumed by the trainer of tiny.h. */
#include "fuzz.h"
#include "tiny.h"
#include "train/settings.h"
#include "train/state.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const FILES[] = {"state.json", "optimizer.safetensors", "model.safetensors",
                                    "config.json"};
enum { N_FILES = 4 };

static Tiny tiny;

/* Everything of the trainer that resuming sets. */
typedef struct Snapshot {
    wf_progress progress;
    BatchCursor cursor;
    float *values;
    size_t n;
} Snapshot;

static Snapshot take(const wf_trainer *trainer)
{
    const ParameterList *parameters = &trainer->model->parameters;
    const Optimizer *optimizer = &trainer->programs.optimizer;
    const Sequence *all[] = {&trainer->model->values, &optimizer->first, &optimizer->second};
    Snapshot s = {.progress = trainer->progress, .cursor = trainer->batches->cursor};
    s.values = malloc(3 * (size_t)parameters_elements(parameters) * sizeof *s.values);
    REQUIRE(s.values);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < parameters->count; i++) {
            MUST(sequence_read(all[k], i, s.values + s.n));
            s.n += (size_t)shape_elements(parameters->items[i].shape);
        }
    return s;
}

/* Whether two are the same; frees both. */
static bool same(Snapshot a, Snapshot b)
{
    bool equal = memcmp(&a.progress, &b.progress, sizeof a.progress) == 0 &&
                 memcmp(&a.cursor, &b.cursor, sizeof a.cursor) == 0 && a.n == b.n &&
                 memcmp(a.values, b.values, a.n * sizeof *a.values) == 0;
    free(a.values);
    free(b.values);
    return equal;
}

static void check_state(void)
{
    TrainingState state, again;
    if (!fuzz_ok(state_load(fuzz_path("checkpoint/state.json"), &state))) return;
    MUST(state_save(&state, fuzz_path("state.json")));
    MUST(state_load(fuzz_path("state.json"), &again));
    REQUIRE(memcmp(&state.progress, &again.progress, sizeof state.progress) == 0);
    REQUIRE(memcmp(&state.cursor, &again.cursor, sizeof state.cursor) == 0);
    REQUIRE(state.fingerprint == again.fingerprint);
    REQUIRE(memcmp(&state.computed_by, &again.computed_by, sizeof state.computed_by) == 0);
    MUST(settings_compare(&state.settings, &again.settings, "again"));
    wf_trainer_params resolved; /* what a trainer would be made with */
    if (!fuzz_ok(settings_resolve(&state.settings, tiny.model->config, &resolved))) return;
    Schedule schedule = settings_schedule(&resolved);
    REQUIRE(!isnan(schedule_rate(&schedule, state.progress.step + 1)));
}

/* A run that was resumed goes on, saves, and resumes to the same. */
static void check_resumed(void)
{
    wf_step_stats stats;
    char saved[64];
    Snapshot resumed = take(tiny.trainer);
    snprintf(saved, sizeof saved, "saved/step-%08lld", (long long)resumed.progress.step);
    MUST(wf_trainer_save(tiny.trainer, fuzz_path("saved"), 1));
    fuzz_ok(wf_trainer_step(tiny.trainer, &stats));
    MUST(wf_trainer_resume(tiny.trainer, fuzz_path(saved)));
    REQUIRE(same(resumed, take(tiny.trainer)));
}

static void start(void)
{
    tiny = tiny_open();
    MUST(wf_trainer_save(tiny.trainer, fuzz_path("pristine"), 1));
    mkdir(fuzz_path("checkpoint"), 0700);
}

bool fuzz_one(const uint8_t *data, size_t size)
{
    Part parts[N_FILES];
    char name[64];
    wf_trainer_params settings;
    if (!tiny.trainer) start();
    fuzz_split(data, size, parts, N_FILES);
    for (int i = 0; i < N_FILES; i++) {
        snprintf(name, sizeof name, "checkpoint/%s", FILES[i]);
        fuzz_write(name, parts[i]);
    }
    check_state();
    fuzz_ok(wf_checkpoint_settings(fuzz_path("checkpoint"), &settings));
    Snapshot before = take(tiny.trainer);
    bool resumed = fuzz_ok(wf_trainer_resume(tiny.trainer, fuzz_path("checkpoint")));
    if (resumed) {
        free(before.values);
        check_resumed();
        MUST(wf_trainer_resume(tiny.trainer, fuzz_path("pristine")));
    } else {
        REQUIRE(same(before, take(tiny.trainer)));
    }
    return resumed;
}
