/* The parameters of a training run: defaults, checks, and their form in a checkpoint. */
#ifndef TRAIN_SETTINGS_H
#define TRAIN_SETTINGS_H

#include "model/config.h"
#include "train/schedule.h"
#include "wavefield/train.h"

#include <jansson.h>

/* Fills in every default for `config` and checks every value: the message names the parameter, its
 * value and what is allowed. */
wf_status settings_resolve(const wf_trainer_params *params, const Config *config,
                           wf_trainer_params *out);

Schedule settings_schedule(const wf_trainer_params *settings);

/* The resolved settings as a JSON object, which the caller releases; NULL: out of memory. */
json_t *settings_to_json(const wf_trainer_params *settings);

/* What an object of a checkpoint has under a key, or where it lacks it what that means (JSON; NULL:
 * it may not). The caller releases it. NULL: it is missing, or out of memory. */
json_t *settings_value(const json_t *object, const char *key, const char *absent);

/* Back again; `file` is for messages. */
wf_status settings_from_json(const json_t *object, const char *file, wf_trainer_params *out);

/* WF_ERROR_ARGUMENT, naming the first parameter that differs and both its values, if they do in one
 * that has a say in the bits of the result. */
wf_status settings_compare(const wf_trainer_params *settings, const wf_trainer_params *other,
                           const char *file);

#endif
