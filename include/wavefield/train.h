/* Training: one call a step, everything between them on the device.
 *
 * A step draws accumulation × batch_size sequences, adds up their gradients, clips their global
 * norm and applies AdamW (decoupled decay). The same device, build and seed give the same bits, and
 * a resumed run equals an unbroken one. */
#ifndef WAVEFIELD_TRAIN_H
#define WAVEFIELD_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wavefield/data.h"
#include "wavefield/model.h"
#include "wavefield/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wf_trainer wf_trainer;

typedef struct wf_trainer_params {
    int64_t batch_size;       /* sequences a micro-batch; 0: 8 */
    int64_t sequence_length;  /* tokens; 0: the configuration's max_seq_len */
    int64_t accumulation;     /* micro-batches a step; 0: 1 */
    int64_t steps;            /* length of the schedule; 0: 1000 */
    int64_t warmup;           /* steps of linear warm-up; -1: the preset's, but at most steps/5;
                                 steps/20 without a preset */
    double learning_rate;     /* peak; 0: the preset's, else 1e-3 */
    double min_learning_rate; /* at the end of the cosine; negative: the preset's where its peak is
                                 used too, else a tenth of the peak; 0 allowed */
    double weight_decay;      /* negative: 0.1 */
    double clip;              /* global gradient norm; 0: none; negative: 1.0 */
    double qk_lr_mult;        /* rate of the q, k, v projections over the others'; 0: version 4: 3,
                                 3.5: 1 */
    double kernel_lr_mult;    /* the same of wave kernels and spectral gates; 0: 10 */
    uint64_t seed;            /* of dropout and of the order of the data */
    const char *evaluator;    /* "auto" (default), "scan", "fft", "direct" */
    const char *precision;    /* "f32" (default), "f16", "bf16": wf_model_set_precision(), done by
                                 wf_trainer_create(); f16 scales the loss (wf_step_stats) */
    bool recompute;           /* keep only what crosses from layer to layer and compute the rest of
                                 the activations again in the backward pass: less memory, the work
                                 of another forward pass, the same bits */
    int64_t eval_every; /* steps between evaluations (wf_trainer_evaluation_due); 0: only after
                           the last */
    int64_t patience;   /* evaluations without a better loss that end the run (wf_trainer_done);
                           0: no limit, and the only value where the data holds nothing out */
} wf_trainer_params;
/* Defaults first: wf_trainer_params(.steps = 2000). (Overridden initialisers: see data.h.) */
#define wf_trainer_params(...)                                                                     \
    (&(wf_trainer_params){                                                                         \
        .warmup = -1, .min_learning_rate = -1, .weight_decay = -1, .clip = -1, __VA_ARGS__})

typedef struct wf_step_stats {
    int64_t step;         /* steps done, this one included */
    double loss;          /* nats a token, mean over the step's tokens */
    double accuracy;      /* share of argmax hits */
    double gradient_norm; /* before clipping */
    double learning_rate; /* of this step */
    double loss_scale;    /* the gradients were computed this many times as large: 1 but for f16,
                             where it is halved whenever one overflowed (the step is then done
                             again) and doubled after many steps without */
    int64_t tokens;       /* trained on in this step */
    int64_t total_tokens; /* and in all steps up to it */
} wf_step_stats;

/* Plans training of `model` on `data`; both are borrowed and must outlive the trainer. The memory
 * needed is known and checked before anything is allocated. */
WF_API wf_status wf_trainer_create(wf_model *model, wf_dataset *data,
                                   const wf_trainer_params *params, wf_trainer **out);
WF_API void wf_trainer_destroy(wf_trainer *trainer); /* NULL is allowed */

/* The parameters with every default filled in; the texts are constants. */
WF_API void wf_trainer_settings(const wf_trainer *trainer, wf_trainer_params *settings);

/* Where the training stands, resumed steps included. A step that was begun counts (see
 * wf_trainer_begin_step) until it is known to have failed. */
typedef struct wf_progress {
    int64_t step, steps; /* done, and in all */
    int64_t tokens;      /* trained on so far */
    double best_loss;    /* the lowest that wf_trainer_evaluate found */
    int64_t best_step;   /* and after which step; both 0: none yet */
    int64_t since_best;  /* evaluations since then */
    int64_t evaluated;   /* the step of the last evaluation; 0: none yet */
} wf_progress;
WF_API void wf_trainer_progress(const wf_trainer *trainer, wf_progress *progress);

/* Whether the run is over: all steps are done, or patience is spent. A trainer that is told to can
 * go on, at min_learning_rate. */
WF_API bool wf_trainer_done(const wf_trainer *trainer);

/* Whether the last step is one to evaluate after (every eval_every-th, and the last), was not
 * evaluated yet, and there is held-out data to do it on. Also true right after resuming a run that
 * was stopped before its evaluation. */
WF_API bool wf_trainer_evaluation_due(const wf_trainer *trainer);

/* One optimizer step, from its beginning to its end. WF_ERROR_NUMERIC when the loss or a gradient
 * is not finite: the message names the step and the first bad tensor, and the parameters are those
 * of the step before. `stats` may be NULL, here and below. */
WF_API wf_status wf_trainer_step(wf_trainer *trainer, wf_step_stats *stats);

/* The same in two halves, for a device that never waits for the host:
 *
 *     while (!wf_trainer_done(trainer)) {
 *         check(wf_trainer_begin_step(trainer, &stats));
 *         if (stats.step) report(&stats);
 *     }
 *     check(wf_trainer_finish_step(trainer, &stats));
 *     if (stats.step) report(&stats);
 *
 * begin hands the next step to the device and then waits for the one before it, while the device is
 * at the new one already; `previous` gets the statistics of the one before. finish waits for the
 * step that was begun last. Each step's statistics are given out once, in order; where there are
 * none to give, stats.step is 0. The results are those of wf_trainer_step(), to the bit.
 *
 * A step that fails is named by the call that learns of it. WF_ERROR_NUMERIC from begin means the
 * step before: the parameters are those of the step before that one, and no step is under way.
 * After another failure steps may still be under way: the next call asks for them again, and the
 * statistics of one may never be given out.
 *
 * Evaluating and saving finish the step by themselves, and keep its statistics for the next call.
 * Whatever else reads or writes the model (wf_model_save, wf_model_write, …) comes after finish. */
WF_API wf_status wf_trainer_begin_step(wf_trainer *trainer, wf_step_stats *previous);
WF_API wf_status wf_trainer_finish_step(wf_trainer *trainer, wf_step_stats *stats);

/* Loss and accuracy over the held-out part of the data; every token once. WF_ERROR_ARGUMENT where
 * nothing is held out. */
typedef struct wf_evaluation {
    double loss;       /* nats a token */
    double perplexity; /* e^loss */
    double accuracy;
    double bits_per_byte; /* 0 where the text's bytes are unknown */
    int64_t tokens;
} wf_evaluation;
WF_API wf_status wf_trainer_evaluate(wf_trainer *trainer, wf_evaluation *result);

/* Writes a checkpoint folder step-NNNNNNNN under `folder`: the model folder plus optimizer state,
 * data cursor and step, complete or not at all, then drops all but the newest `keep` (0: keep all).
 * Killing the process at any instant leaves the previous checkpoint loadable. One trainer saves
 * into a folder at a time: that another process does not is for the caller to see to. */
WF_API wf_status wf_trainer_save(wf_trainer *trainer, const char *folder, int keep);

/* Writes the same as the folder `best` under `folder`, in place of the one there is. For a trainer
 * whose last evaluation is its best so far (best_step is step). wf_checkpoint_latest() and
 * wf_trainer_resume() see it as any other checkpoint; wf_trainer_save() never removes it. */
WF_API wf_status wf_trainer_save_best(wf_trainer *trainer, const char *folder);

/* Continues from the newest complete checkpoint under `folder` (or from that checkpoint folder
 * itself): the model's values become those of the checkpoint. The trainer must have been created
 * with the same configuration, data and parameters: what differs is named, and the trainer is as it
 * was. */
WF_API wf_status wf_trainer_resume(wf_trainer *trainer, const char *folder);

/* The newest complete checkpoint under `folder`, or `folder` itself if it is one, as a path into
 * `path`. WF_ERROR_IO if there is none. */
WF_API wf_status wf_checkpoint_latest(const char *folder, char *path, size_t size);

/* The settings a checkpoint (found as above) was trained with: what wf_trainer_create needs to
 * resume it; the texts are constants. */
WF_API wf_status wf_checkpoint_settings(const char *folder, wf_trainer_params *settings);

/* Where the training stood that a checkpoint (found as above) was written in. */
WF_API wf_status wf_checkpoint_progress(const char *folder, wf_progress *progress);

/* What about `device` is not as it was where a checkpoint (found as above) was written, so that a
 * run resumed on it may go on with results that differ in rounding: the device, its driver, the
 * library of products or the tuning (see wf_device_info), as words for a message, cut to `size`
 * bytes; "": nothing. What an earlier version did not note is not compared. */
WF_API wf_status wf_checkpoint_compare(const char *folder, const wf_device *device, char *text,
                                       size_t size);

/* Loss with a loaded model over the held-out part of `data`, or over all of it where nothing is
 * held out (its first token then only serves as context). Windows of `length` tokens (0:
 * max_seq_len) that do not overlap, `batch` (0: 8) at a time; every target is counted once.
 * `evaluator` as in wf_trainer_params. */
WF_API wf_status wf_evaluate(wf_model *model, const wf_dataset *data, int64_t batch, int64_t length,
                             const char *evaluator, wf_evaluation *result);

#ifdef __cplusplus
}
#endif
#endif
