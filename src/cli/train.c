/* wavefield train: a model from text. */
#include "base/clock.h"
#include "base/files.h"
#include "cli/common.h"
#include "cli/data.h"
#include "cli/metrics.h"
#include "cli/progress.h"
#include "cli/tensorboard.h"
#include "train/programs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TrainValues {
    const char *config, *out, *tokenizer, *evaluator, *precision, *device, *text_field;
    TextList set, data, eval_data;
    int64_t steps, batch_size, sequence_length, warmup, accumulation, seed, tokenizer_size;
    double learning_rate, min_learning_rate, qk_rate, kernel_rate, weight_decay, clip, held_out;
    int64_t eval_every, patience, save_every, keep, log_every;
    bool resume, recompute, no_recompute, tensorboard;
} TrainValues;

typedef struct TrainRun {
    const TrainValues *values;
    wf_device *device;
    wf_model *model;
    wf_dataset *data;
    wf_trainer *trainer;
    wf_trainer_params settings;
    int64_t held_out; /* tokens */
    int lock;         /* of the folder; -1: not held */
    Metrics *metrics;
    EventFile *events; /* NULL: not wanted */
    Progress progress;
    double since; /* when the last step was done, or the training went on */
} TrainRun;

/* ---- stopping ---- */

static volatile sig_atomic_t stop_asked;

/* The first signal lets the step finish; a second one, of either kind, ends the process. */
static void ask_to_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* A terminal that is closed, or a pipe whose reader is gone, may say so many times. */
static void ask_to_stop_unseen(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

/* Whoever started us may have it ignored, as nohup does. */
static void handle_unless_ignored(int signal_number, const struct sigaction *action)
{
    struct sigaction before;
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(signal_number, action, NULL);
}

/* A file that grows beyond the limit of its process is an error like a full disk. */
static void handle_signals(void)
{
    struct sigaction stop = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    struct sigaction unseen = {.sa_handler = ask_to_stop_unseen, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    handle_unless_ignored(SIGHUP, &unseen);
    handle_unless_ignored(SIGPIPE, &unseen);
    sigaction(SIGXFSZ, &ignore, NULL);
}

/* ---- preparation ---- */

/* NULL where the data is shards without a tokenizer. */
static wf_status choose_tokenizer(const TrainValues *v, const wf_config *config, wf_tokenizer **out)
{
    char type[64] = "";
    wf_config_get(config, "tokenizer", type, sizeof type);
    return tokenizer_choose(&(TokenizerChoice){.given = v->tokenizer,
                                               .fallback = *type ? type : "char",
                                               .data = &v->data,
                                               .text_field = v->text_field,
                                               .size = v->tokenizer_size,
                                               .room = config_integer(config, "vocab_size")},
                            out);
}

/* Is vocab_size for the tokenizer to say? In a preset of 256 tokens, which is meant for bytes or
 * characters, it is what the tokenizer has; in the other presets what they say, or what the
 * tokenizer has if that is more. --set and a file have the last word. */
static bool vocabulary_is_open(const TrainValues *v, const wf_config *config, int64_t tokens)
{
    int64_t has = config_integer(config, "vocab_size");
    bool preset = false;
    for (const char *const *name = wf_config_presets(); *name; name++)
        preset |= !strcmp(*name, v->config);
    for (int i = 0; i < v->set.count; i++)
        if (!strncmp(v->set.items[i], "vocab_size=", 11)) return false;
    return preset && (has == 256 || has < tokens);
}

static wf_status adapt_config(const TrainValues *v, const wf_tokenizer *tokenizer,
                              wf_config *config)
{
    char assignment[96];
    if (!tokenizer) return wf_config_set(config, "tokenizer=");
    int64_t tokens = wf_tokenizer_vocabulary(tokenizer);
    snprintf(assignment, sizeof assignment, "tokenizer=%s", wf_tokenizer_type(tokenizer));
    TRY(wf_config_set(config, assignment));
    if (!vocabulary_is_open(v, config, tokens)) return WF_OK;
    snprintf(assignment, sizeof assignment, "vocab_size=%lld", (long long)tokens);
    return wf_config_set(config, assignment);
}

/* A new model with the data's tokenizer. */
static wf_status create_model(TrainRun *run)
{
    const TrainValues *v = run->values;
    wf_config *config;
    wf_tokenizer *tokenizer = NULL;
    TRY(config_open(v->config, &v->set, &config));
    wf_status status = choose_tokenizer(v, config, &tokenizer);
    if (!status) status = adapt_config(v, tokenizer, config);
    if (!status) status = training_check_memory(run->device, config, &run->settings);
    if (!status) status = wf_model_create(run->device, config, run->settings.seed, &run->model);
    if (!status && tokenizer) status = wf_model_set_tokenizer(run->model, tokenizer);
    if (status) wf_tokenizer_destroy(tokenizer);
    wf_config_destroy(config);
    return status;
}

/* What the command line says goes before what the settings have. */
static void apply_options(const TrainValues *v, wf_trainer_params *settings)
{
    if (v->steps >= 0) settings->steps = v->steps;
    if (v->batch_size >= 0) settings->batch_size = v->batch_size;
    if (v->sequence_length >= 0) settings->sequence_length = v->sequence_length;
    if (v->accumulation >= 0) settings->accumulation = v->accumulation;
    if (v->warmup >= 0) settings->warmup = v->warmup;
    if (v->seed >= 0) settings->seed = (uint64_t)v->seed;
    if (v->learning_rate >= 0) settings->learning_rate = v->learning_rate;
    if (v->min_learning_rate >= 0) settings->min_learning_rate = v->min_learning_rate;
    if (v->qk_rate >= 0) settings->qk_lr_mult = v->qk_rate;
    if (v->kernel_rate >= 0) settings->kernel_lr_mult = v->kernel_rate;
    if (v->weight_decay >= 0) settings->weight_decay = v->weight_decay;
    if (v->clip >= 0) settings->clip = v->clip;
    if (v->evaluator) settings->evaluator = v->evaluator;
    if (v->precision) settings->precision = v->precision;
    if (v->recompute || v->no_recompute) settings->recompute = v->recompute;
    if (v->eval_every >= 0) settings->eval_every = v->eval_every;
    if (v->patience >= 0) settings->patience = v->patience;
}

/* A model that no run of ours can continue from stays where it is. */
static wf_status check_no_model(const char *out)
{
    char *path = path_join(out, "model.safetensors");
    if (!path) return fail(WF_ERROR_MEMORY, "out of memory for a path");
    wf_status status = WF_OK;
    if (file_exists(path))
        status = fail(WF_ERROR_ARGUMENT,
                      "%s is a model, which this run would write over: choose another --out", path);
    free(path);
    return status;
}

static wf_status check_unused(const char *out)
{
    char newest[4096];
    if (!wf_checkpoint_latest(out, newest, sizeof newest))
        return fail(WF_ERROR_ARGUMENT,
                    "%s is a checkpoint of an earlier run: continue it with --resume, or choose "
                    "another --out",
                    newest);
    return check_no_model(out);
}

/* Of several runs into one folder the first has it. A link to a folder stands for that folder. */
static wf_status hold_folder(TrainRun *run)
{
    const char *out = run->values->out;
    TRY(folder_make(out));
    char *folder = realpath(out, NULL);
    if (!folder) return fail(WF_ERROR_IO, "%s: cannot find the folder: %s", out, strerror(errno));
    wf_status status = folder_lock(folder, &run->lock);
    free(folder);
    return status;
}

static wf_status begin_new(TrainRun *run)
{
    run->settings = *wf_trainer_params(.eval_every = 500);
    apply_options(run->values, &run->settings);
    TRY(check_unused(run->values->out));
    return create_model(run);
}

static wf_status begin_resumed(TrainRun *run)
{
    char newest[4096];
    TRY(wf_checkpoint_latest(run->values->out, newest, sizeof newest));
    TRY(wf_checkpoint_settings(newest, &run->settings));
    apply_options(run->values, &run->settings);
    return wf_model_load(run->device, newest, &run->model);
}

static wf_status open_data(TrainRun *run)
{
    const TrainValues *v = run->values;
    TRY(tokenizer_check(wf_model_tokenizer(run->model), &v->data));
    TRY(tokenizer_check(wf_model_tokenizer(run->model), &v->eval_data));
    return wf_dataset_open(&(wf_dataset_params){.files = v->data.items,
                                                .n_files = v->data.count,
                                                .held_out_files = v->eval_data.items,
                                                .n_held_out_files = v->eval_data.count,
                                                .held_out = v->held_out,
                                                .tokenizer = wf_model_tokenizer(run->model),
                                                .text_field = v->text_field,
                                                .vocabulary = config_integer(
                                                    wf_model_config(run->model), "vocab_size")},
                           &run->data);
}

/* One evaluation, at the end, cannot end a run early. */
static wf_status check_patience(const wf_trainer_params *settings)
{
    if (settings->patience == 0 || settings->eval_every > 0) return WF_OK;
    return fail(WF_ERROR_ARGUMENT,
                "--patience %lld needs evaluations on the way, and --eval-every 0 makes one at the "
                "end only",
                (long long)settings->patience);
}

/* Continues, and says where that cannot be to the bit: not before the trainer's programs are made,
 * as a library of products is checked when one first asks for it. */
static wf_status resume(const TrainRun *run)
{
    char newest[4096], changed[1024];
    TRY(wf_checkpoint_latest(run->values->out, newest, sizeof newest));
    TRY(wf_trainer_resume(run->trainer, newest));
    TRY(wf_checkpoint_compare(newest, run->device, changed, sizeof changed));
    if (changed[0])
        fprintf(stderr,
                "wavefield train: warning: since %s was written something changed: %s; from here "
                "on results may differ in rounding from those of an unbroken run\n",
                newest, changed);
    return WF_OK;
}

static wf_status begin(TrainRun *run)
{
    const TrainValues *v = run->values;
    wf_progress progress;
    bool is_there = folder_exists(v->out);
    if (is_there) TRY(hold_folder(run));
    TRY(device_open("train", v->device, &run->device));
    TRY(v->resume ? begin_resumed(run) : begin_new(run));
    TRY(check_patience(&run->settings));
    wf_status status = open_data(run);
    if (status == WF_ERROR_FORMAT && v->resume)
        return fail_within(status, "--resume needs --data, --eval-data, --held-out and "
                                   "--text-field as they were given before");
    TRY(status);
    TRY(wf_trainer_create(run->model, run->data, &run->settings, &run->trainer));
    if (v->resume) TRY(resume(run));
    wf_trainer_settings(run->trainer, &run->settings);
    wf_trainer_progress(run->trainer, &progress);
    progress_begin(&run->progress, v->log_every, run->settings.steps);
    if (!is_there) { /* a folder is made for a run that can begin */
        TRY(hold_folder(run));
        TRY(check_unused(v->out));
    }
    TRY(metrics_open(v->out, progress.step, &run->metrics));
    return v->tensorboard ? events_open(v->out, progress.step, &run->events) : WF_OK;
}

static wf_status print_summary(TrainRun *run)
{
    const wf_trainer_params *s = &run->settings;
    const wf_config *config = wf_model_config(run->model);
    const wf_tokenizer *tokenizer = wf_model_tokenizer(run->model);
    wf_device_info device;
    wf_progress progress;
    MemoryPlan memory;
    int64_t parameters, training;
    wf_device_describe(run->device, &device);
    wf_trainer_progress(run->trainer, &progress);
    wf_dataset_size(run->data, &training, &run->held_out, NULL);
    TRY(wf_config_parameters(config, &parameters));
    TRY(training_memory(run->device, config, s, &memory));
    printf("model   %s, %s parameters, vocabulary of %lld (%s)\n",
           run->values->config ? run->values->config : run->values->out, COUNT_TEXT(parameters),
           (long long)config_integer(config, "vocab_size"),
           tokenizer ? wf_tokenizer_type(tokenizer) : "no tokenizer");
    printf("data    %s tokens, %s held out\n", COUNT_TEXT(training), COUNT_TEXT(run->held_out));
    printf("step    %lld x %lld x %lld = %s tokens, %lld steps%s\n", (long long)s->accumulation,
           (long long)s->batch_size, (long long)s->sequence_length,
           COUNT_TEXT(s->accumulation * s->batch_size * s->sequence_length), (long long)s->steps,
           progress.step ? ", resumed" : "");
    printf("rate    %g to %g, warm-up %lld, weight decay %g, clip %g, seed %llu\n",
           s->learning_rate, s->min_learning_rate, (long long)s->warmup, s->weight_decay, s->clip,
           (unsigned long long)s->seed);
    printf("device  %s: %s, %s of memory needed\n\n", device.id, device.name,
           BYTES_TEXT(memory.total));
    fflush(stdout);
    return WF_OK;
}

/* ---- the run ---- */

/* Evaluates where it is time, and keeps the best. */
static wf_status evaluate_if_due(TrainRun *run)
{
    wf_evaluation e;
    wf_progress progress;
    if (!wf_trainer_evaluation_due(run->trainer)) return WF_OK;
    TRY(wf_trainer_evaluate(run->trainer, &e));
    wf_trainer_progress(run->trainer, &progress);
    progress_break(&run->progress);
    printf("step %lld: held-out loss %.4f  perplexity %.3f  accuracy %.2f %%",
           (long long)progress.step, e.loss, e.perplexity, 100 * e.accuracy);
    if (e.bits_per_byte > 0) printf("  bits per byte %.4f", e.bits_per_byte);
    putchar('\n');
    fflush(stdout);
    TRY(metrics_evaluation(run->metrics, &progress, &e));
    TRY(events_evaluation(run->events, progress.step, &e));
    if (progress.best_step != progress.step) return WF_OK;
    return wf_trainer_save_best(run->trainer, run->values->out);
}

static bool is_due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* Of a step that is done; step 0: none is. */
static wf_status report_step(TrainRun *run, const wf_step_stats *stats)
{
    if (stats->step == 0) return WF_OK;
    double now = clock_seconds(), seconds = now - run->since;
    run->since = now;
    progress_step(&run->progress, stats, seconds);
    TRY(metrics_step(run->metrics, stats, seconds));
    return events_step(run->events, stats, seconds);
}

static wf_status finish_step(TrainRun *run)
{
    wf_step_stats stats;
    TRY(wf_trainer_finish_step(run->trainer, &stats));
    return report_step(run, &stats);
}

/* After the last step begun: evaluates and saves where it is time. */
static wf_status pause_where_due(TrainRun *run)
{
    const TrainValues *v = run->values;
    wf_progress progress;
    wf_trainer_progress(run->trainer, &progress);
    bool saves = !wf_trainer_done(run->trainer) && is_due(progress.step, v->save_every);
    if (!saves && !wf_trainer_evaluation_due(run->trainer)) return WF_OK;
    TRY(finish_step(run));
    TRY(evaluate_if_due(run));
    if (saves && !wf_trainer_done(run->trainer))
        TRY(wf_trainer_save(run->trainer, v->out, count_int(v->keep)));
    run->since = clock_seconds();
    return WF_OK;
}

/* A step is begun before the one before it is reported, so that the device has always work. */
static wf_status run_steps(TrainRun *run)
{
    if (!stop_asked) TRY(evaluate_if_due(run)); /* one that a stop left out */
    run->since = clock_seconds();
    while (!wf_trainer_done(run->trainer) && !stop_asked) {
        wf_step_stats stats;
        TRY(wf_trainer_begin_step(run->trainer, &stats));
        TRY(report_step(run, &stats));
        if (!stop_asked) TRY(pause_where_due(run));
    }
    return finish_step(run);
}

static void print_best(const char *out)
{
    char path[4096];
    wf_progress best;
    if (snprintf(path, sizeof path, "%s/best", out) >= (int)sizeof path) return;
    if (wf_checkpoint_progress(path, &best)) return;
    printf("best after step %lld: held-out loss %.4f, in %s\n", (long long)best.step,
           best.best_loss, path);
}

static wf_status finish_run(TrainRun *run)
{
    const TrainValues *v = run->values;
    wf_progress progress;
    if (wf_trainer_done(run->trainer))
        TRY(evaluate_if_due(run)); /* where the last step was told to stop */
    wf_trainer_progress(run->trainer, &progress);
    TRY(wf_trainer_save(run->trainer, v->out, count_int(v->keep)));
    if (!wf_trainer_done(run->trainer)) {
        printf("stopped after step %lld and saved in %s; --resume continues\n",
               (long long)progress.step, v->out);
        return WF_OK;
    }
    TRY(wf_model_save(run->model, v->out));
    if (progress.step < run->settings.steps)
        printf("ended after step %lld: no better held-out loss in %lld evaluations\n",
               (long long)progress.step, (long long)progress.since_best);
    printf("saved in %s\n", v->out);
    print_best(v->out);
    return WF_OK;
}

static wf_status train_model(TrainRun *run)
{
    TRY(begin(run));
    TRY(print_summary(run));
    wf_status status = run_steps(run);
    progress_break(&run->progress);
    TRY(status);
    return finish_run(run);
}

static void name_last_checkpoint(const TrainValues *v)
{
    char newest[4096];
    if (!wf_checkpoint_latest(v->out, newest, sizeof newest))
        fprintf(stderr, "wavefield train: the last good checkpoint is %s\n", newest);
}

/* The library takes a rate of 0 for its default, which nobody means who says 0. */
static const char *rate_of_zero(const TrainValues *v)
{
    return v->learning_rate == 0 ? "learning-rate"
           : v->qk_rate == 0     ? "qk-rate"
           : v->kernel_rate == 0 ? "kernel-rate"
                                 : NULL;
}

static int run(const void *values)
{
    const TrainValues *v = values;
    if (!v->config == !v->resume)
        return usage_error("train", v->config ? "--resume takes the configuration of the run it "
                                                "continues: leave --config out"
                                              : "--config PRESET|FILE or --resume is needed");
    if (v->resume && (v->set.count || v->tokenizer || v->tokenizer_size > 0))
        return usage_error("train", "--resume takes the configuration of the run it continues: "
                                    "leave --set and --tokenizer out");
    if (v->recompute && v->no_recompute)
        return usage_error("train", "--recompute and --no-recompute exclude each other");
    const char *rate = rate_of_zero(v);
    if (rate) return usage_error("train", "--%s expects a number above 0, found 0", rate);
    TrainRun train = {.values = v, .lock = -1};
    handle_signals();
    int exit_status = finish("train", train_model(&train));
    if (exit_status && train.trainer) name_last_checkpoint(v);
    events_close(train.events);
    metrics_close(train.metrics);
    wf_trainer_destroy(train.trainer);
    wf_dataset_destroy(train.data);
    wf_model_destroy(train.model);
    wf_device_close(train.device);
    if (train.lock >= 0) folder_unlock(train.lock);
    return exit_status;
}

static const Option options[] = {
    OPTION_CONFIG(TrainValues),
    OPTION_SET(TrainValues),
    OPTION_REQUIRED(TrainValues, data, "data", LIST, "FILE|DIR ...",
                    "UTF-8 text, .jsonl, .bin shards, or folders of shards to learn",
                    .names = NAMES_FILE),
    OPTION(TrainValues, eval_data, "eval-data", LIST, "FILE|DIR ...", NULL,
           "held-out data (default: the val shards of a folder, else --held-out)",
           .names = NAMES_FILE),
    OPTION_TEXT_FIELD(TrainValues),
    OPTION_REQUIRED(TrainValues, out, "out", TEXT, "DIR",
                    "folder for checkpoints, metrics.jsonl, the best checkpoint (DIR/best) and the "
                    "finished model",
                    .names = NAMES_FOLDER),
    OPTION(TrainValues, tokenizer, "tokenizer", TEXT, "TYPE|FILE|DIR", NULL,
           "the type of a new one; or a tokenizer.json or .model, or a folder with one (default: "
           "that beside the shards, else the configuration's type, else char)",
           .names = NAMES_FILE, TOKENIZER_TYPES),
    OPTION_TOKENIZER_SIZE(TrainValues),
    OPTION(TrainValues, held_out, "held-out", REAL, "SHARE", NULL,
           "share of the data, at its end, kept for evaluation (default: 0.05 where there is no "
           "held-out data)"),
    OPTION(TrainValues, steps, "steps", COUNT, "N", NULL, "optimizer steps (default: 1000)"),
    OPTION(TrainValues, batch_size, "batch-size", COUNT, "N", NULL,
           "sequences at a time (default: 8)"),
    OPTION(TrainValues, accumulation, "accumulation", COUNT, "N", NULL,
           "batches whose gradients are added up for a step (default: 1)"),
    OPTION(TrainValues, sequence_length, "sequence-length", COUNT, "N", NULL,
           "tokens a sequence (default: the configuration's max_seq_len)"),
    OPTION(TrainValues, learning_rate, "learning-rate", REAL, "R", NULL,
           "peak rate (default: the preset's, else 1e-3)"),
    OPTION(TrainValues, min_learning_rate, "min-learning-rate", REAL, "R", NULL,
           "rate at the end of the cosine (default: the preset's, else a tenth of the peak)"),
    OPTION(TrainValues, qk_rate, "qk-rate", REAL, "X", NULL,
           "rate of a wave's q, k, v projections over the others' (default: 3, version 3.5: 1)"),
    OPTION(TrainValues, kernel_rate, "kernel-rate", REAL, "X", NULL,
           "rate of wave kernels and spectral gates (default: 10)"),
    OPTION(TrainValues, warmup, "warmup", INTEGER, "N", NULL,
           "steps of linear warm-up (default: the preset's, else a twentieth)"),
    OPTION(TrainValues, weight_decay, "weight-decay", REAL, "R", NULL,
           "decoupled weight decay (default: 0.1)"),
    OPTION(TrainValues, clip, "clip", REAL, "R", NULL,
           "largest global gradient norm, 0: none (default: 1)"),
    OPTION(TrainValues, seed, "seed", INTEGER, "N", NULL,
           "of initial values, data order and dropout (default: 0)"),
    OPTION(TrainValues, eval_every, "eval-every", INTEGER, "N", NULL,
           "steps between evaluations on the held-out text; 0: only at the end (default: 500)"),
    OPTION(TrainValues, patience, "patience", INTEGER, "N", NULL,
           "end the run after N evaluations without a better loss, for which held-out data is "
           "needed; 0: never (default: 0)"),
    OPTION(TrainValues, save_every, "save-every", INTEGER, "N", "500",
           "steps between checkpoints; 0: only at the end"),
    OPTION(TrainValues, keep, "keep", INTEGER, "N", "2", "checkpoints to keep; 0: all"),
    OPTION(TrainValues, log_every, "log-every", COUNT, "N", "50",
           "steps a line where the output is not a terminal"),
    OPTION(TrainValues, resume, "resume", FLAG, NULL, NULL,
           "continue the run in DIR, to the bit as if it had not stopped"),
    OPTION(TrainValues, tensorboard, "tensorboard", FLAG, NULL, NULL,
           "write event files for TensorBoard into DIR too"),
    OPTION(TrainValues, recompute, "recompute", FLAG, NULL, NULL,
           "keep less for the backward pass and compute it again: less memory, more work, the same "
           "bits"),
    OPTION(TrainValues, no_recompute, "no-recompute", FLAG, NULL, NULL,
           "with --resume: keep it all from now on, where the run began with --recompute"),
    OPTION(TrainValues, precision, "precision", WORD, "TYPE", NULL,
           "how activations and the weights of products are stored; f16 scales the loss "
           "(default: f32)",
           PRECISIONS),
    OPTION(TrainValues, evaluator, "evaluator", WORD, "NAME", NULL,
           "how the field propagates (default: auto)", EVALUATORS),
    OPTION_DEVICE(TrainValues),
};

const Subcommand command_train = {
    .name = "train",
    .summary = "train a model on text or tokens",
    .details = "An interrupt finishes the step, saves a checkpoint and ends; --resume goes on from "
               "it. A second one ends at once; what was saved before stays whole. A terminal that "
               "is closed, or a pipe that nobody reads any more, is an interrupt too.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "A small model of the characters of a text:\n"
                "  wavefield train --config demo --data story.txt --out story\n"
                "The same run again, from its newest checkpoint:\n"
                "  wavefield train --config demo --data story.txt --out story --resume\n"
                "Bytes as tokens, a model of another width, and one text more:\n"
                "  wavefield train --config demo --set embedding_dim=192 --tokenizer byte \\\n"
                "      --data story.txt letters.txt --out wider\n",
    .values_size = sizeof(TrainValues),
    .run = run,
};
