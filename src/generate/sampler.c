/* Sampling a token from logits, in double. */
#include "base/rng.h"
#include "base/status.h"
#include "wavefield/generate.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { DEFAULT_WINDOW = 64, MAX_WINDOW = 1 << 24 };

/* Any logit times or over it is finite in double. */
static const double MAX_PENALTY = 1000;

static const uint64_t SAMPLER_STREAM = 0x73616d706c6572u; /* of base/rng.h: "sampler" */

typedef struct Candidate {
    double weight; /* the adjusted logit, later the unnormalised probability */
    int32_t token;
} Candidate;

struct wf_sampler {
    int64_t vocabulary;
    wf_sampler_params params;
    Rng rng;
    Candidate *candidates; /* [vocabulary] */
    int32_t *recent;       /* a ring of the last `window` tokens */
    int32_t *occurrences;  /* [vocabulary]: of each token in the ring */
    int64_t window, accepted;
};

static bool none(double value)
{
    return value == 0 || value == 1;
}

static wf_status check_params(int64_t vocabulary, const wf_sampler_params *p)
{
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return fail(WF_ERROR_ARGUMENT, "a sampler of %lld tokens: from 1 to %d",
                    (long long)vocabulary, INT32_MAX);
    if (!(p->temperature >= 0) || !isfinite(p->temperature))
        return fail(WF_ERROR_ARGUMENT, "temperature is %g: from 0 up, and finite", p->temperature);
    if (p->top_k < 0)
        return fail(WF_ERROR_ARGUMENT, "top_k is %d: from 1 up, or 0 for all tokens", p->top_k);
    if (!(p->top_p >= 0 && p->top_p <= 1))
        return fail(WF_ERROR_ARGUMENT, "top_p is %g: from 0 to 1", p->top_p);
    double penalty = p->repetition_penalty;
    if (penalty != 0 && !(penalty >= 1 / MAX_PENALTY && penalty <= MAX_PENALTY))
        return fail(WF_ERROR_ARGUMENT, "repetition_penalty is %g: from %g to %g, or 0 for none",
                    penalty, 1 / MAX_PENALTY, MAX_PENALTY);
    if (p->repetition_window < 0 || p->repetition_window > MAX_WINDOW)
        return fail(WF_ERROR_ARGUMENT, "repetition_window is %d: from 1 to %d, or 0 for %d",
                    p->repetition_window, MAX_WINDOW, DEFAULT_WINDOW);
    return WF_OK;
}

wf_status wf_sampler_create(int64_t vocabulary, const wf_sampler_params *params, wf_sampler **out)
{
    static const wf_sampler_params greedy = {0};
    if (!out) return fail(WF_ERROR_ARGUMENT, "wf_sampler_create: no place for the sampler");
    if (!params) params = &greedy;
    TRY(check_params(vocabulary, params));
    wf_sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler) return fail(WF_ERROR_MEMORY, "out of memory for a sampler");
    sampler->vocabulary = vocabulary;
    sampler->params = *params;
    sampler->rng = (Rng){.seed = params->seed, .stream = SAMPLER_STREAM};
    sampler->window = params->repetition_window ? params->repetition_window : DEFAULT_WINDOW;
    sampler->candidates = malloc((size_t)vocabulary * sizeof *sampler->candidates);
    sampler->occurrences = calloc((size_t)vocabulary, sizeof *sampler->occurrences);
    sampler->recent = malloc((size_t)sampler->window * sizeof *sampler->recent);
    if (!sampler->candidates || !sampler->occurrences || !sampler->recent) {
        wf_sampler_destroy(sampler);
        return fail(WF_ERROR_MEMORY, "out of memory for a sampler of %lld tokens",
                    (long long)vocabulary);
    }
    *out = sampler;
    return WF_OK;
}

void wf_sampler_destroy(wf_sampler *sampler)
{
    if (!sampler) return;
    free(sampler->candidates);
    free(sampler->occurrences);
    free(sampler->recent);
    free(sampler);
}

void wf_sampler_accept(wf_sampler *sampler, int32_t token)
{
    if (token < 0 || token >= sampler->vocabulary) return;
    int32_t *slot = &sampler->recent[sampler->accepted % sampler->window];
    if (sampler->accepted >= sampler->window) sampler->occurrences[*slot]--;
    *slot = token;
    sampler->occurrences[token]++;
    sampler->accepted++;
}

/* The penalty of Keskar et al., "CTRL", 2019, §4.1: once for each distinct token of the window.
 * Negative logits are multiplied, so that they too become less likely. */
static double penalised(const wf_sampler *sampler, int32_t token, double logit)
{
    double penalty = sampler->params.repetition_penalty;
    if (none(penalty) || !sampler->occurrences[token]) return logit;
    return logit > 0 ? logit / penalty : logit * penalty;
}

static wf_status read_logits(wf_sampler *sampler, const float *logits)
{
    bool any = false;
    for (int64_t i = 0; i < sampler->vocabulary; i++) {
        double logit = (double)logits[i];
        if (isnan(logit) || logit > DBL_MAX)
            return fail(WF_ERROR_NUMERIC, "the logit of token %lld is %g", (long long)i, logit);
        any |= isfinite(logit) != 0;
        sampler->candidates[i] = (Candidate){penalised(sampler, (int32_t)i, logit), (int32_t)i};
    }
    if (!any)
        return fail(WF_ERROR_NUMERIC, "no token can be drawn: all %lld logits are -infinity",
                    (long long)sampler->vocabulary);
    return WF_OK;
}

/* A total order, so that equal logits are always taken in the same order. */
static bool before(Candidate a, Candidate b)
{
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

static void swap(Candidate *a, Candidate *b)
{
    Candidate t = *a;
    *a = *b;
    *b = t;
}

/* ---- the likeliest first, by a heap: only as many are sorted as are used ---- */

static void sift_down(Candidate *heap, int64_t n, int64_t at)
{
    for (;;) {
        int64_t first = at, child = 2 * at + 1;
        if (child < n && before(heap[child], heap[first])) first = child;
        if (child + 1 < n && before(heap[child + 1], heap[first])) first = child + 1;
        if (first == at) return;
        swap(&heap[at], &heap[first]);
        at = first;
    }
}

static void heapify(Candidate *heap, int64_t n)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--) sift_down(heap, n, i);
}

/* Moves the first of heap[0 … n-1] to heap[n-1]; the rest stay a heap of n-1. */
static Candidate *pop(Candidate *heap, int64_t n)
{
    swap(&heap[0], &heap[n - 1]);
    sift_down(heap, n - 1, 0);
    return &heap[n - 1];
}

static double exponentiate(Candidate *list, int64_t n, double largest, double temperature)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        list[i].weight = exp((list[i].weight - largest) / temperature);
        sum += list[i].weight;
    }
    return sum;
}

/* Leaves the candidates that top_k and top_p keep, their weights unnormalised probabilities, in
 * *kept; returns the sum of the weights. */
static double restrict_candidates(wf_sampler *sampler, Candidate **kept, int64_t *n_kept)
{
    const wf_sampler_params *p = &sampler->params;
    Candidate *list = sampler->candidates;
    int64_t n = sampler->vocabulary;
    double largest = list[0].weight;
    for (int64_t i = 1; i < n; i++) largest = fmax(largest, list[i].weight);

    if (p->top_k > 0 && p->top_k < n) {
        heapify(list, n);
        for (int64_t left = n; left > n - p->top_k; left--) pop(list, left);
        list += n - p->top_k;
        n = p->top_k;
    }
    double sum = exponentiate(list, n, largest, p->temperature);
    if (!none(p->top_p)) {
        heapify(list, n);
        double mass = 0;
        int64_t left = n;
        /* The token that crosses p is kept. */
        while (left > 0 && mass < p->top_p * sum) mass += pop(list, left--)->weight;
        list += left;
        n -= left;
        sum = mass;
    }
    *kept = list;
    *n_kept = n;
    return sum;
}

static int32_t likeliest(const wf_sampler *sampler)
{
    Candidate best = sampler->candidates[0];
    for (int64_t i = 1; i < sampler->vocabulary; i++)
        if (before(sampler->candidates[i], best)) best = sampler->candidates[i];
    return best.token;
}

static int32_t draw(wf_sampler *sampler)
{
    Candidate *list;
    int64_t n;
    double sum = restrict_candidates(sampler, &list, &n);
    double target = rng_uniform(&sampler->rng) * sum, passed = 0;
    int32_t token = -1;
    for (int64_t i = 0; i < n; i++) {
        if (list[i].weight <= 0) continue;
        token = list[i].token; /* the last possible one, should rounding leave target ≥ passed */
        passed += list[i].weight;
        if (target < passed) break;
    }
    return token;
}

wf_status wf_sampler_draw(wf_sampler *sampler, const float *logits, int32_t *token)
{
    TRY(read_logits(sampler, logits));
    *token = sampler->params.temperature > 0 ? draw(sampler) : likeliest(sampler);
    wf_sampler_accept(sampler, *token);
    return WF_OK;
}
