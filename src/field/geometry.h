/* Where tokens sit in the field (spec §2).
 *
 * Token i sits at p_i = i·(G-1)/max(M-1, 1), clamped as its version says. The quotient is formed in
 * integers, so a cell is never off by a rounding: p_i is lo_i + f_i with lo_i exact and f_i the
 * nearest double. Positions depend on G and M only, never on the length of a sequence. A token with
 * f = 0 touches cell lo only. */
#ifndef FIELD_GEOMETRY_H
#define FIELD_GEOMETRY_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ModelVersion { MODEL_V3_5, MODEL_V4 } ModelVersion;

typedef struct Geometry {
    ModelVersion version;
    int64_t cells;  /* G, 2 … GEOMETRY_MAX */
    int64_t tokens; /* M, 1 … GEOMETRY_MAX */
} Geometry;

#define GEOMETRY_MAX ((int64_t)1 << 28)

typedef struct TokenPlace {
    int32_t cell;    /* lo_i */
    double fraction; /* f_i, in [0, 1) */
} TokenPlace;

/* s: cells from a token to the next, clamping aside. */
double geometry_stride(const Geometry *geometry);

/* Of token 0 ≤ i < M. */
TokenPlace geometry_place(const Geometry *geometry, int64_t token);

/* Places of tokens first … first+n-1. */
void geometry_places(const Geometry *geometry, int64_t first, int64_t n, int32_t *cell,
                     double *fraction);

/* The last cell token i reads: hi_i if f_i > 0, else lo_i. */
int64_t geometry_last_cell(const Geometry *geometry, int64_t token);

/* Where the token scan stands after n tokens: 0 before the first, then last_cell of the last. */
int64_t geometry_at(const Geometry *geometry, int64_t n);

/* Cells 0 … reach-1 are all that the first n tokens touch. */
int64_t geometry_reach(const Geometry *geometry, int64_t n);

/* Whether last_cell(i) < cell(i+1) for all tokens. If not, *first (may be NULL) is the first i for
 * which token i reads a cell that token i+1 writes. O(M). */
bool geometry_causal(const Geometry *geometry, int64_t *first);

/* The largest M' ≤ M that makes the geometry causal: at least 1. */
int64_t geometry_causal_tokens(const Geometry *geometry);

/* WF_OK if causal; else WF_ERROR_ARGUMENT with a message that names the first pair of tokens and
 * says what to change. */
wf_status geometry_check(const Geometry *geometry);

#endif
