#include "train/explain.h"

#include "train/diagnose.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* The largest gradient, and the sum of all squares. */
typedef struct GradientSummary {
    const char *name; /* of the parameter with the largest */
    double largest, norm2;
} GradientSummary;

static wf_status summarise_gradients(const wf_trainer *trainer, GradientSummary *summary)
{
    const ParameterList *parameters = &trainer->model->parameters;
    *summary = (GradientSummary){.name = ""};
    for (int i = 0; i < parameters->count; i++) {
        const Parameter *parameter = &parameters->items[i];
        int64_t n = shape_elements(parameter->shape);
        float *values = malloc((size_t)n * sizeof *values);
        if (!values) return fail(WF_ERROR_MEMORY, "out of memory for %s", parameter->name);
        wf_status status = sequence_read(&trainer->programs.optimizer.gradients, i, values);
        for (int64_t k = 0; k < n && !status; k++) {
            double size = fabs((double)values[k]);
            summary->norm2 += size * size;
            if (size <= summary->largest) continue;
            summary->largest = size;
            summary->name = parameter->name;
        }
        free(values);
        TRY(status);
    }
    return WF_OK;
}

/* Every tensor was finite: either the norm is beyond the device's range, or the second run was not
 * like the first. */
static wf_status explain_norm(const wf_trainer *trainer)
{
    long long step = trainer->progress.step + 1;
    GradientSummary gradients;
    TRY(summarise_gradients(trainer, &gradients));
    if (gradients.norm2 < (double)FLT_MAX)
        return fail(WF_ERROR_DEVICE,
                    "step %lld: the loss or a gradient was not finite, but the same step run again "
                    "node by node is: the device does not repeat its results",
                    step);
    return fail(WF_ERROR_NUMERIC,
                "step %lld: the norm of the gradients is not finite; the largest is %g, of %s; the "
                "parameters are still those of step %lld",
                step, gradients.largest, gradients.name, step - 1);
}

/* Draws the step's micro-batches again and runs them, node by node, to the first tensor that is not
 * finite. */
wf_status explain_step(wf_trainer *trainer)
{
    long long step = trainer->progress.step + 1;
    TRY(tally_clear(&trainer->programs.accumulate.tally));
    for (int64_t micro = 0; micro < trainer->settings.accumulation; micro++) {
        BadTensor bad;
        TRY(trainer_load_micro_batch(trainer, micro));
        TRY(diagnose_pass(&trainer->programs.accumulate, &bad));
        if (!bad.tensor) continue;
        return fail(WF_ERROR_NUMERIC,
                    "step %lld: %s: element %lld of %s is %s; the parameters are still those of "
                    "step %lld",
                    step, bad.tensor->name, (long long)bad.element, SHAPE_TEXT(bad.tensor->shape),
                    isnan(bad.value) ? "NaN" : "infinite", step - 1);
    }
    return explain_norm(trainer);
}
