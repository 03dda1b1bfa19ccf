/* Strict causality of a model: a token must not change what comes before it, to the bit. */
#include "check/check.h"
#include "check/outputs.h"

#include "base/rng.h"
#include "model/model.h"
#include "wavefield/generate.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Logits held at a time: longer sequences are cut to fit. */
static const int64_t MOST_LOGITS = (int64_t)1 << 26;

typedef struct Probe {
    wf_model *model;
    const char *evaluator; /* NULL: the decoder */
    int64_t tokens, vocabulary;
    int32_t *token;
    float *base, *changed; /* logits [tokens, vocabulary] */
} Probe;

static wf_status probe_logits(const Probe *probe, float *logits)
{
    if (probe->evaluator)
        return wf_model_logits(probe->model, probe->token, 1, probe->tokens, probe->evaluator,
                               logits);
    wf_decoder *decoder;
    TRY(wf_decoder_create(probe->model, 1, &decoder));
    wf_status status = wf_decoder_feed(decoder, probe->token, probe->tokens, NULL, logits);
    wf_decoder_destroy(decoder);
    return status;
}

/* Logits with token j replaced; the sequence is then as before. */
static wf_status probe_change(const Probe *probe, int64_t j)
{
    int32_t before = probe->token[j];
    probe->token[j] = (int32_t)((before + 1) % probe->vocabulary);
    wf_status status = probe_logits(probe, probe->changed);
    probe->token[j] = before;
    return status;
}

/* Row before j with the largest deviation, relative to the row's root mean square; -1: all equal
 * to the bit. */
static int64_t largest_change(const Probe *probe, int64_t j, double *error)
{
    int64_t worst = -1, v = probe->vocabulary;
    *error = 0;
    for (int64_t i = 0; i < j; i++) {
        const float *a = probe->changed + i * v, *b = probe->base + i * v;
        if (!memcmp(a, b, (size_t)v * sizeof *a)) continue;
        double squares = 0, largest = 0;
        for (int64_t c = 0; c < v; c++) {
            double difference = fabs((double)a[c] - (double)b[c]);
            largest = isfinite(difference) ? fmax(largest, difference) : HUGE_VAL;
            squares += (double)b[c] * (double)b[c];
        }
        double relative = squares > 0 ? largest / sqrt(squares / (double)v) : HUGE_VAL;
        if (worst >= 0 && !(relative > *error)) continue;
        worst = i;
        *error = relative;
    }
    return worst;
}

/* Logits that are no numbers are equal to the bit too, whatever they depend on. */
static wf_status check_finite(const Probe *probe)
{
    for (int64_t i = 0; i < probe->tokens * probe->vocabulary; i++)
        if (!isfinite(probe->base[i]))
            return fail(WF_ERROR_NUMERIC, "the logits of token %lld are not finite",
                        (long long)(i / probe->vocabulary));
    return WF_OK;
}

/* Positions whose token is changed: the second, the last, and some in between. */
static int positions(int64_t tokens, int64_t *out)
{
    const int64_t wanted[] = {1, tokens / 4, tokens / 2, 3 * tokens / 4, tokens - 1};
    int n = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i] > (n ? out[n - 1] : 0) && wanted[i] < tokens) out[n++] = wanted[i];
    return n;
}

static wf_status probe_run(const Probe *probe, double bound, CheckResult *result, char *detail,
                           size_t size)
{
    int64_t at[8];
    int n = positions(probe->tokens, at);
    TRY(probe_logits(probe, probe->base));
    result->bound = bound;
    result->error = HUGE_VAL;
    TRY(check_finite(probe));
    result->error = 0;
    snprintf(detail, size, "%d changed tokens in %lld, all earlier logits %s", n,
             (long long)probe->tokens, bound > 0 ? "within the bound" : "bit-equal");
    for (int i = 0; i < n; i++) {
        double error;
        TRY(probe_change(probe, at[i]));
        int64_t row = largest_change(probe, at[i], &error);
        if (row < 0 || error <= result->error) continue;
        result->error = error;
        if (error <= bound) continue;
        result->verdict = CHECK_FAILED;
        snprintf(detail, size, "changing token %lld changes the logits of token %lld",
                 (long long)at[i], (long long)row);
    }
    return WF_OK;
}

static void report(const CheckParams *params, CheckResult *result, CheckTotals *totals)
{
    totals->passed += result->verdict == CHECK_OK;
    totals->failed += result->verdict == CHECK_FAILED;
    totals->missing += result->verdict == CHECK_MISSING;
    params->report(params->context, result);
}

/* One way of evaluation. The ways this model cannot go are missing. */
static void check_way(Probe *probe, const char *evaluator, const CheckParams *params,
                      CheckTotals *totals)
{
    const Config *c = probe->model->config;
    char detail[256];
    CheckResult result = {.name = evaluator ? evaluator : "stream", .detail = detail};
    /* A transform mixes all cells: what it leaves of a later token before it is rounding. */
    bool fft = evaluator && !strcmp(evaluator, "fft");
    double bound = fft ? check_bound(c->num_layers * c->field_size) : 0;
    probe->evaluator = evaluator;
    wf_status status = probe_run(probe, bound, &result, detail, sizeof detail);
    if (status) {
        result.verdict = status == WF_ERROR_UNSUPPORTED ? CHECK_MISSING : CHECK_FAILED;
        result.detail = wf_error_message();
    }
    report(params, &result, totals);
}

static void check_geometry(const wf_model *model, const CheckParams *params, CheckTotals *totals)
{
    char detail[256];
    const Geometry *g = &model->geometry;
    CheckResult result = {.name = "geometry", .detail = detail};
    int64_t leak;
    TokenPlace last = geometry_place(g, g->tokens - 1);
    if (geometry_causal(g, &leak)) {
        snprintf(
            detail, sizeof detail,
            "%lld tokens on %lld cells, token %lld at %.6g: none reads what a later one writes",
            (long long)g->tokens, (long long)g->cells, (long long)(g->tokens - 1),
            last.cell + last.fraction);
    } else {
        result.verdict = CHECK_FAILED;
        snprintf(detail, sizeof detail, "token %lld reads cell %lld, which token %lld writes",
                 (long long)leak, (long long)geometry_last_cell(g, leak), (long long)(leak + 1));
    }
    report(params, &result, totals);
}

wf_status check_causality(wf_model *model, const CheckParams *params, CheckTotals *totals)
{
    static const char *const evaluators[] = {"scan", "fft", "direct"};
    const Config *c = model->config;
    *totals = (CheckTotals){0};
    Probe probe = {.model = model, .vocabulary = c->vocab_size};
    probe.tokens = int64_min(c->max_seq_len, int64_max(2, MOST_LOGITS / c->vocab_size));
    size_t logits = (size_t)(probe.tokens * probe.vocabulary);
    probe.token = calloc((size_t)probe.tokens, sizeof *probe.token);
    probe.base = calloc(logits, sizeof *probe.base);
    probe.changed = calloc(logits, sizeof *probe.changed);
    wf_status status = WF_OK;
    if (!probe.token || !probe.base || !probe.changed)
        status = fail(WF_ERROR_MEMORY, "out of memory for the logits of %lld tokens",
                      (long long)probe.tokens);
    if (!status) {
        Rng rng = {.seed = 5};
        for (int64_t i = 0; i < probe.tokens; i++)
            probe.token[i] = (int32_t)rng_below(&rng, (uint64_t)probe.vocabulary);
        bool field = config_has(c, MIXER_WAVE);
        if (field) check_geometry(model, params, totals);
        for (int i = 0; i < 3 && field; i++) check_way(&probe, evaluators[i], params, totals);
        if (!field) check_way(&probe, "auto", params, totals); /* one way, whatever it is called */
        check_way(&probe, NULL, params, totals);
    }
    free(probe.token);
    free(probe.base);
    free(probe.changed);
    return status;
}
