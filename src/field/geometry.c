#include "field/geometry.h"

#include <stddef.h>

TokenPlace geometry_place(const Geometry *geometry, int64_t token)
{
    int64_t numerator = geometry->cells - 1;
    int64_t denominator = geometry->tokens > 1 ? geometry->tokens - 1 : 1;
    int64_t limit = geometry->cells - 2;
    if (geometry->version == MODEL_V4) {
        limit = geometry->cells - 1;
        if (numerator < denominator) numerator = denominator = 1; /* a stride of at least 1 */
    }
    int64_t cell = token * numerator / denominator;
    int64_t remainder = token * numerator % denominator;
    if (cell >= limit) return (TokenPlace){.cell = (int32_t)limit};
    return (TokenPlace){(int32_t)cell, (double)remainder / (double)denominator};
}

double geometry_stride(const Geometry *geometry)
{
    int64_t between = geometry->tokens > 1 ? geometry->tokens - 1 : 1;
    double stride = (double)(geometry->cells - 1) / (double)between;
    return geometry->version == MODEL_V4 && stride < 1 ? 1 : stride;
}

void geometry_places(const Geometry *geometry, int64_t first, int64_t n, int32_t *cell,
                     double *fraction)
{
    for (int64_t i = 0; i < n; i++) {
        TokenPlace place = geometry_place(geometry, first + i);
        cell[i] = place.cell;
        fraction[i] = place.fraction;
    }
}

static int64_t last_cell(TokenPlace place)
{
    return place.cell + (place.fraction > 0);
}

int64_t geometry_last_cell(const Geometry *geometry, int64_t token)
{
    return last_cell(geometry_place(geometry, token));
}

int64_t geometry_at(const Geometry *geometry, int64_t n)
{
    return n > 0 ? geometry_last_cell(geometry, n - 1) : 0;
}

int64_t geometry_reach(const Geometry *geometry, int64_t n)
{
    return n > 0 ? geometry_last_cell(geometry, n - 1) + 1 : 0;
}

bool geometry_causal(const Geometry *geometry, int64_t *first)
{
    TokenPlace here = geometry_place(geometry, 0);
    for (int64_t i = 0; i + 1 < geometry->tokens; i++) {
        TokenPlace next = geometry_place(geometry, i + 1);
        if (last_cell(here) >= next.cell) {
            if (first) *first = i;
            return false;
        }
        here = next;
    }
    return true;
}

int64_t geometry_causal_tokens(const Geometry *geometry)
{
    /* A stride below 1 leaks, and v3.5 needs 2. Strides from 2 on are causal, so the search ends at
     * (G+1)/2 tokens; between 1 and 2 a leak shows after about 1/(2 - stride) tokens. */
    Geometry trial = *geometry;
    int64_t bound = trial.version == MODEL_V4 ? trial.cells : (trial.cells + 1) / 2;
    if (trial.tokens > bound) trial.tokens = bound;
    while (trial.tokens > 1 && !geometry_causal(&trial, NULL)) trial.tokens--;
    return trial.tokens;
}

/* Published version 4 configurations have max_seq_len = field_size + 2. */
static const char UNCHANGED[] =
    " (tokens past the field's end fold onto its last cell; all others keep their places, so this "
    "changes nothing for sequences that fit)";

wf_status geometry_check(const Geometry *geometry)
{
    int64_t i;
    if (geometry_causal(geometry, &i)) return WF_OK;
    long long cells = geometry->cells, tokens = geometry->tokens, first = i;
    long long smaller = geometry_causal_tokens(geometry);
    bool unchanged = geometry->version == MODEL_V4 && smaller == cells;
    return fail(
        WF_ERROR_ARGUMENT,
        "the geometry leaks: with field_size %lld and max_seq_len %lld token %lld reads "
        "cell %lld, which token %lld (cell %lld) writes, so the model would see its own "
        "target; lower max_seq_len to %lld%s, or raise field_size to %lld or more (not under "
        "trained weights), or set allow_leaky_geometry to true if a published checkpoint "
        "needs it",
        cells, tokens, first, (long long)geometry_last_cell(geometry, i), first + 1,
        (long long)geometry_place(geometry, i + 1).cell, smaller, unchanged ? UNCHANGED : "",
        2 * tokens - 1);
}
