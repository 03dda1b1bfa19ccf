/* What a model computes a token: floating point operations, a multiplication and an addition
 * counted as two. Elementwise work (norms, activations, gates) is left out: it is bound by memory.
 */
#ifndef MODEL_FLOPS_H
#define MODEL_FLOPS_H

#include "model/config.h"

/* Of a forward pass, per token. A backward pass takes twice as many: every product is answered by
 * two, and the field by its recomputation and its adjoint (attention's scores made anew are not
 * counted). */
typedef struct Flops {
    double attention;    /* projections, feature maps, cross_dim, gate; softmax attention whole */
    double field;        /* propagation and coupling */
    double feed_forward; /* FFN */
    double interference;
    double head; /* logits */
} Flops;

enum { FLOPS_BACKWARD = 2 };

/* For sequences of `tokens` ≥ 1: what belongs to a sequence is shared out among its tokens. */
Flops config_flops(const Config *config, FieldEvaluator evaluator, int64_t tokens);

double flops_total(const Flops *flops);

#endif
